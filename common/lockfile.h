/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_LOCKFILE_H
#define EARSHOT_COMMON_LOCKFILE_H

/*
 * One process per role: a file under run/ that is locked for the life of the process and
 * names its pid. The lock dies with the process however it dies, so a stale file is no obstacle.
 * Threads: any; one lock is one thread's at a time.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

struct lockfile;

/*
 * Takes DIR/NAME.lock, making DIR if needed. -1 with EAR_RETRY when another process holds it: the
 * message names its pid and says how to stop it. Caller closes.
 */
EAR_MUST_CHECK
int lockfile_open(struct lockfile **out, const char *dir, const char *name, struct ear_error *err);
void lockfile_close(struct lockfile *lock);

/* The pid that holds DIR/NAME.lock now, or 0. */
pid_t lockfile_holder(const char *dir, const char *name);

/* The same; and where nobody holds it, the pid of a holder that ended without closing it, then with
 * *fell set. */
pid_t lockfile_last(const char *dir, const char *name, bool *fell);

#endif
