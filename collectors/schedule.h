/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SCHEDULE_H
#define EARSHOT_COLLECTORS_SCHEDULE_H

/*
 * When a source is asked again. Pure: the time comes in as an argument, and so does the seed of the
 * jitter, so that a test needs neither to sleep nor to guess.
 *
 * A source that answers is asked around every `every`: sooner while it brings something new, later
 * while it does not, never outside SCHEDULE_FASTEST and SCHEDULE_SLOWEST times that. One that does
 * not answer is asked after a backoff that doubles from 1 s to 5 min, or when it says so itself.
 * One that refuses is red, and asked again daily: a source never dies silently.
 */

#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_FASTEST 0.5
#define SCHEDULE_SLOWEST 2.0
#define SCHEDULE_BACKOFF_FIRST_US INT64_C(1000000)
#define SCHEDULE_BACKOFF_MAX_US (INT64_C(300) * 1000000)
#define SCHEDULE_RETRY_AFTER_MAX_US (INT64_C(3600) * 1000000)
#define SCHEDULE_DAILY_US (INT64_C(86400) * 1000000)

enum schedule_state { SCHEDULE_OK, SCHEDULE_WAITING, SCHEDULE_RED };

/* Where a source stands; lives in its cursor. */
struct schedule {
    int64_t every_us;    /* as configured; at least 1 s */
    int64_t interval_us; /* as it now stands */
    int64_t next_at_us;  /* wall time of the next poll */
    int64_t failures;    /* in a row */
    enum schedule_state state;
};

/* A source seen for the first time: due now. */
void schedule_init(struct schedule *schedule, int64_t every_us, int64_t now_us);

/*
 * What a cursor remembered, taken over as far as it makes sense today: an interval outside today's
 * bounds, or an instant further off than any rule here would set, is brought back in.
 */
void schedule_restore(struct schedule *schedule, int64_t every_us, int64_t interval_us,
                      int64_t next_at_us, int64_t failures, enum schedule_state state,
                      int64_t now_us);

/* A poll came to its end; `found`: it brought something new. floor_us: the server asks not to be
 * asked sooner (Cache-Control; at most an hour is heeded); 0: nothing said. */
void schedule_done(struct schedule *schedule, bool found, int64_t floor_us, int64_t now_us,
                   uint64_t seed);

/* No answer, or one that says later. retry_after_us below 0: it did not say when. */
void schedule_wait(struct schedule *schedule, int64_t retry_after_us, int64_t now_us,
                   uint64_t seed);

/* The poll goes on in wait_us at the soonest (0: as the schedule has it): nobody failed. At most a
 * day off. */
void schedule_later(struct schedule *schedule, int64_t wait_us, int64_t now_us);

/* Refused: red, asked again after about again_us (SCHEDULE_DAILY_US). */
void schedule_refuse(struct schedule *schedule, int64_t again_us, int64_t now_us, uint64_t seed);

bool schedule_is_due(const struct schedule *schedule, int64_t now_us);

/* "ok", "waiting", "red". */
const char *schedule_state_name(enum schedule_state state);
bool schedule_state_parse(enum schedule_state *out, const char *name);

#endif
