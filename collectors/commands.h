/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_COMMANDS_H
#define EARSHOT_COLLECTORS_COMMANDS_H

/* The commands of earshot-collect, a row of main.c each. */

#include <stdbool.h>
#include <stdint.h>

#include "common/command/command.h"
#include "common/option.h"

struct intake_counts;
struct misfits;
struct settings;

struct run_values {
    bool until_end;
    int64_t deadline_us;
};

struct once_values {
    int64_t deadline_us;
};

struct probe_values {
    int64_t count;
    bool raw;
};

struct source_values {
    struct ear_strings header;   /* "Name: value" */
    const char *record, *replay; /* folders */
    bool accept;
};

struct import_values {
    const char *source, *channel, *about, *lang, *zone, *delimiter, *scale;
    struct ear_strings map; /* "text=Comment" */
};

extern const struct ear_option collect_source_options[], collect_run_options[],
    collect_once_options[], collect_probe_options[], collect_import_options[];

int collect_run(const struct command_call *call, struct ear_error *err);
int collect_once(const struct command_call *call, struct ear_error *err);
int collect_backfill(const struct command_call *call, struct ear_error *err);
int collect_check(const struct command_call *call, struct ear_error *err);
int collect_source(const struct command_call *call, struct ear_error *err);
/* `source new URL`, with the settings that were read. */
int source_new(const struct command_call *call, struct settings *settings, const char *url,
               struct ear_error *err);
/* `source test NAME`, likewise. */
int source_test(const struct command_call *call, struct settings *settings, const char *name,
                struct ear_error *err);
int collect_probe(const struct command_call *call, struct ear_error *err);
int collect_receive(const struct command_call *call, struct ear_error *err);
int collect_import(const struct command_call *call, struct ear_error *err);

/* The line of a source: {"source","new",…,"error"} on stdout, with "warnings" where there are
 * misfits (may be NULL). -1: EAR_FATAL. */
EAR_MUST_CHECK
int collect_print_counts(const char *source, const struct intake_counts *counts, int64_t requests,
                         const char *error, const struct misfits *misfits, struct ear_error *err);

#endif
