/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_CLASSIFY_COMMANDS_H
#define EARSHOT_PROCESSORS_CLASSIFY_COMMANDS_H

/*
 * The two commands that show the model at work: `classify`, a filter from lines to NDJSON, and
 * `explain`, which says of stored posts why they were judged as they were. Rows of
 * earshot-process's command table; interface.md section 1 has their contract.
 */

#include "common/command/command.h"
#include "common/error.h"
#include "common/option.h"

struct classify_command_options {
    bool explain; /* add the words that weighed */
};
extern const struct ear_option classify_command_options[];

/* Lines of FILE or stdin, judged in order, a line for a line. Exit 0; 1 if a record was broken; -1
 * with err. */
EAR_MUST_CHECK
int classify_command(const struct command_call *call, struct ear_error *err);

/* Stored insights (NDJSON on stdin, as `earshot-sink stored` prints them), explained for people or
 * as JSON. Exit 0; 1 if there was none. */
EAR_MUST_CHECK
int explain_command(const struct command_call *call, struct ear_error *err);

#endif
