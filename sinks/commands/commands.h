/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_COMMANDS_COMMANDS_H
#define EARSHOT_SINKS_COMMANDS_COMMANDS_H

/*
 * The commands of earshot-sink that are not views: the role itself, and what `earshot` and tests
 * ask of the store.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/option.h"

struct command_call;

struct run_options {
    bool until_end;
    int64_t deadline_us; /* 0: none */
};

extern const struct ear_option run_options[];

/* The role until SIGTERM, or until nothing is left to do. */
int run_command(const struct command_call *call, struct ear_error *err);

/* Checks the configuration, the sinks' own keys included. */
int check_command(const struct command_call *call, struct ear_error *err);

/* A new store from the log: nothing is classified again. */
int rebuild_command(const struct command_call *call, struct ear_error *err);

/* One stored insight with what people corrected, as one JSON line; exit code 1 if there is none. */
int stored_command(const struct command_call *call, struct ear_error *err);

/* What the store holds and where it stands, as one JSON object. */
int status_command(const struct command_call *call, struct ear_error *err);

/* Every fact in words, NDJSON in a fixed order: two stores can be compared by it. */
int facts_command(const struct command_call *call, struct ear_error *err);

#endif
