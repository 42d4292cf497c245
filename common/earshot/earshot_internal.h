/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_EARSHOT_EARSHOT_INTERNAL_H
#define EARSHOT_COMMON_EARSHOT_EARSHOT_INTERNAL_H

/*
 * What the commands of `earshot` share. The program itself knows no role's insides: it starts the
 * role programs beside it, and reads and writes the log.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/command/command.h"
#include "common/json/json.h"
#include "common/settings/settings.h"
#include "common/terminal.h"

/* --- roles and their programs --- */

struct role {
    const char *name;    /* "collect": of `earshot run collect`, and of its lock */
    const char *program; /* "earshot-collect" */
    const char *command; /* "run": what makes it the role until it is stopped */
};

enum { ROLE_COLLECT, ROLE_PROCESS, ROLE_SINK, ROLE_INGEST, ROLE_COUNT };
extern const struct role roles[ROLE_COUNT];

/* Whether a configuration has work for the role; `ingest:` is nobody's must. */
bool role_is_configured(size_t which, const struct settings *settings);

/* A command line for a program beside this one. */
struct launch {
    char path[4096];
    const char *argv[96];
    size_t count;
    char deadline[32];
};

/* PROGRAM COMMAND with --config and --log as this one has them. */
void launch_init(struct launch *launch, const struct command_call *call, const char *program,
                 const char *command);
void launch_add(struct launch *launch, const char *argument); /* borrowed */
/* --deadline in whole milliseconds, at least one. */
void launch_add_deadline(struct launch *launch, int64_t left_us);

/* Runs it to its end with stdin and stdout as they are; its exit code, or -1. */
EAR_MUST_CHECK
int launch_run(const struct launch *launch, struct ear_error *err);

/* Whether the log answers; one that is not there yet is none to complain of. -1: as
 * settings_look_stream. */
EAR_MUST_CHECK
int confirm_log(const struct settings *settings, struct ear_error *err);

/*
 * Lets processors and sinks read on to the end, unless a running one does it anyhow. Returns an
 * exit code: EXIT_DONE, EXIT_LATER (cut off), EXIT_FAILED; or -1.
 */
EAR_MUST_CHECK
int carry_through(const struct command_call *call, const struct settings *settings,
                  int64_t deadline_us, struct ear_error *err);

/*
 * What all roles find wrong with the configuration of the call, as one sorted list without
 * repetitions: on stderr (events, if the log was asked to be JSON), or as NDJSON on stdout. Sets
 * *errors. -1: a program could not be asked.
 */
EAR_MUST_CHECK
int check_configuration(const struct command_call *call, bool json, size_t *errors,
                        struct ear_error *err);

/* Starts the roles and keeps them running until SIGTERM. Returns an exit code, or -1. */
EAR_MUST_CHECK
int supervise(const struct command_call *call, const struct settings *settings,
              const bool wanted[ROLE_COUNT], struct ear_error *err);

/* --- printing --- */

/* The writer's text as one line on stdout; then the writer is empty. */
EAR_MUST_CHECK
int print_json_line(struct json_writer *writer, struct ear_error *err);

/* "2d 3h ago", "in 5m", "never" for an RFC 3339 instant or NULL. */
const char *ago(char out[48], const char *instant, int64_t now_us);

/* --- writing decisions --- */

/* Publishes one message in a transaction of its own. */
EAR_MUST_CHECK
int publish_one(struct stream *stream, const char *topic, const char *key, const char *value,
                int64_t at_us, struct ear_error *err);

/* Begins a decision in an empty writer: an object with id, at, who (NULL: $USER), kind and subject,
 * left open. */
EAR_MUST_CHECK
int decision_begin(struct json_writer *writer, const char *who, const char *kind,
                   const char *subject, int64_t now_us, struct ear_error *err);

/* --- asks --- */

/* What asks are called, from the log: those that were removed are left out. */
struct asks_known {
    const char **names; /* [count], NULL-ended; NULL where there is none */
    size_t count;
};

EAR_MUST_CHECK
int asks_known_read(struct asks_known *out, struct stream *stream, struct ear_error *err);
void asks_known_clear(struct asks_known *known);
bool asks_known_have(const struct asks_known *known, const char *name);

/* --- the commands --- */

struct deciding_options {
    bool no_wait;
};

struct check_values {
    bool online;
};

struct run_values {
    bool once, demo;
    int64_t deadline;
};

struct tap_values {
    bool json, meta, until_end;
    const char *from;
    struct ear_strings where;
};

struct ask_values {
    bool no_wait;
    int64_t limit;
    const char *thread, *since, *until, *name, *who;
    struct ear_strings sources;
};

struct label_values {
    bool no_wait;
    const char *note, *who;
};

struct import_values {
    bool no_wait;
    const char *source, *channel, *about, *zone, *lang, *delimiter, *scale;
    struct ear_strings map;
};

struct backfill_values {
    const char *since;
    bool stop, no_wait;
};

struct compact_values {
    bool needed, quiet;
};

struct version_values {
    bool json;
};

struct status_values {
    bool watch, quiet;
};

struct init_values {
    bool yes, force;
    const char *brand;
    struct ear_strings words, competitors, feeds, files;
    const char *timezone;
};

int command_backfill(const struct command_call *call, struct ear_error *err);
int command_ask(const struct command_call *call, struct ear_error *err);
int command_check(const struct command_call *call, struct ear_error *err);
int command_compact(const struct command_call *call, struct ear_error *err);
int command_completion(const struct command_call *call, struct ear_error *err);
int command_example(const struct command_call *call, struct ear_error *err);
int command_explain(const struct command_call *call, struct ear_error *err);
int command_forget(const struct command_call *call, struct ear_error *err);
int command_import(const struct command_call *call, struct ear_error *err);
int command_init(const struct command_call *call, struct ear_error *err);
int command_label(const struct command_call *call, struct ear_error *err);
int command_rejects(const struct command_call *call, struct ear_error *err);
int command_run(const struct command_call *call, struct ear_error *err);
int command_status(const struct command_call *call, struct ear_error *err);
int command_tap(const struct command_call *call, struct ear_error *err);
int command_version(const struct command_call *call, struct ear_error *err);

extern const struct ear_option ask_options[], backfill_options[], check_options[],
    compact_options[], decide_options[], import_options[], init_options[], label_options[],
    run_options[], status_options[], tap_options[], version_options[];

/* The table of main, for completion. */
extern const struct command earshot_commands[];

#endif
