/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SCHEDULE_H
#define EARSHOT_COLLECTORS_SCHEDULE_H

/*
 * When a source is asked again. Pure: the time comes in as an argument, and so does the seed of the
 * jitter, so that a test needs neither to sleep nor to guess.
 *
 * A source that answers is asked around every `every`, never outside SCHEDULE_FASTEST and
 * SCHEDULE_SLOWEST times that: the busier the sooner. The interval that costs least delay, summed
 * over all posts of all sources, for a given number of requests is the root of one over the rate at
 * which posts come; scaled so that a source that brings one post within its freshness target is
 * asked just that often:
 *
 *     interval = sqrt(fresh / rate)
 *
 * The rate is learnt: what came, over the time it came in, both fading. A target of one's own
 * (`fresh`) is a bound as well: it is not asked later than that. Where a budget is shared, a poll
 * comes no sooner than the source's share of it allows. One that does
 * not answer is asked after a backoff that doubles from 1 s to 5 min, or when it says so itself.
 * One that refuses is red, and asked again daily: a source never dies silently.
 */

#include <stdbool.h>
#include <stdint.h>

/* Source: the root law follows from minimising sum(rate * interval / 2) under a bound on sum(1 /
 * interval) by Lagrange's method; Cho and Garcia-Molina 2003, "Effective page refresh policies for
 * Web crawlers", has its like. */
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
    int64_t fresh_us;    /* how old a post may be on arrival; 0: not said, then `every` */
    int64_t interval_us; /* as it now stands */
    int64_t next_at_us;  /* wall time of the next poll */
    int64_t failures;    /* in a row */
    enum schedule_state state;
    double posts;    /* that came, fading with SCHEDULE_MEMORY times the target */
    double over_us;  /* the time they came in, likewise */
    double requests; /* that a poll takes, as the last ones show; at least 1 */
};

#define SCHEDULE_MEMORY 4.0

/* What a poll that came to its end was like. */
struct schedule_poll {
    int64_t posts;    /* new, edited and deleted ones */
    int64_t since_us; /* since the last poll that came to its end; below 0: none did, and what came
                         is history that says nothing of the rate */
    int64_t requests; /* that were taken from a budget */
    int64_t share_us; /* for each of them, so that all who share the budget may; 0: no budget */
    int64_t floor_us; /* the server asks not to be asked sooner (Cache-Control; at most an hour is
                         heeded); 0: nothing said */
};

/* A source seen for the first time: due now. fresh_us 0: not said. */
void schedule_init(struct schedule *schedule, int64_t every_us, int64_t fresh_us, int64_t now_us);

/*
 * What a cursor remembered, taken over as far as it makes sense today: an interval outside today's
 * bounds, or an instant further off than any rule here would set, is brought back in.
 */
void schedule_restore(struct schedule *schedule, int64_t every_us, int64_t fresh_us,
                      int64_t interval_us, int64_t next_at_us, int64_t failures,
                      enum schedule_state state, int64_t now_us);

/* The rate that a cursor remembered; what makes no sense is passed over. */
void schedule_restore_rate(struct schedule *schedule, double posts, double over_us);

/* A poll came to its end. */
void schedule_done(struct schedule *schedule, const struct schedule_poll *poll, int64_t now_us,
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
