/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_PROCESS_H
#define EARSHOT_PROCESSORS_PROCESS_H

/*
 * The role: every processor of the configuration, each on a thread of its own, until it is told to
 * stop or until nothing is left to do. One process a log holds the lock `process`. Stops within
 * 10 s: a batch that a stage does not give back by then is left uncommitted and comes again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/command/command.h"
#include "common/error.h"

/* What `run` is called with. */
struct process_options {
    bool until_end;
    int64_t deadline_us; /* 0: none */
};

extern const struct ear_option process_options[];

/* The commands `run` and `check` of earshot-process. Exit codes as in interface.md; -1 with err. */
EAR_MUST_CHECK
int process_run(const struct command_call *call, struct ear_error *err);
EAR_MUST_CHECK
int process_check(const struct command_call *call, struct ear_error *err);

#endif
