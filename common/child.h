/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_CHILD_H
#define EARSHOT_COMMON_CHILD_H

/*
 * Other programs, started and waited for. No shell in between; every descriptor but the three
 * standard ones is closed in the child; a child gets SIGTERM when its parent dies, so that nothing
 * is left behind. Threads: start children from one thread that lives as long as they do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/error.h"

struct child_config {
    const char *path;        /* of the program */
    const char *const *argv; /* NULL-ended, the name first */
    int in, out;             /* what becomes its stdin and stdout; -1: ours */
};

/* Starts it. -1 with EAR_FATAL: no such program, no more processes. */
EAR_MUST_CHECK
int child_start(pid_t *out, const struct child_config *config, struct ear_error *err);

/* Waits at most timeout_ms (-1: as long as it takes). True: it ended, and *code is its exit code,
 * or 128 and the signal that ended it. A signal that we get ends the wait early. */
bool child_wait(pid_t pid, int timeout_ms, int *code);

/*
 * Runs it to its end and keeps what it wrote to stdout, NUL-ended; config->out is ignored. At most
 * limit bytes: what is more is EAR_REJECT. SIGTERM and SIGINT that reach us (`stop` answers true)
 * are handed on. Caller frees *out.
 */
EAR_MUST_CHECK
int child_capture(char **out, size_t *length, int *code, const struct child_config *config,
                  size_t limit, bool (*stop)(void), struct ear_error *err);

/* Runs it to its end; hands SIGTERM on like child_capture. Returns its exit code, or -1. */
EAR_MUST_CHECK
int child_run(const struct child_config *config, bool (*stop)(void), struct ear_error *err);

#endif
