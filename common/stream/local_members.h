/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_LOCAL_MEMBERS_H
#define EARSHOT_COMMON_STREAM_LOCAL_MEMBERS_H

/*
 * The processes that have a local log open: a small file beside it, mapped by all of them. It does
 * three things. It lets one process have the log to itself (to replace the file) and names who is
 * in the way. It refuses a process that opens the same log twice, which LMDB's locks would not
 * survive. And it wakes readers: a counter that every commit raises, waited upon as a futex.
 *
 * Locks are those of an open file description (fcntl F_OFD_…): byte 0 is the gate (read: a member;
 * write: the only one), byte 1 + i belongs to whoever has slot i. They go with the process, however
 * it ends. A process that forks must not use its parent's stream.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct local_members;

/* Joins; waits a few seconds while another process has the log to itself, then EAR_RETRY. */
EAR_MUST_CHECK
int local_members_join(struct local_members **out, const char *folder, struct ear_error *err);
void local_members_leave(struct local_members *members);

/* Has the log to itself from now on; EAR_RETRY names who else has it open. */
EAR_MUST_CHECK
int local_members_exclude(struct local_members *members, struct ear_error *err);
void local_members_readmit(struct local_members *members);

/* What the counter says now: taken before looking for messages, handed to wait. */
uint32_t local_members_sequence(const struct local_members *members);

/* Waits until the counter differs from `seen` or the time has passed. Returns -1 when a signal came
 * first, else 0. */
int local_members_wait(struct local_members *members, uint32_t seen, int64_t timeout_us);

/* Raises the counter and wakes all who wait, in every process. */
void local_members_wake(struct local_members *members);

#endif
