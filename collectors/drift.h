/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DRIFT_H
#define EARSHOT_COLLECTORS_DRIFT_H

/*
 * Whether a source drifts: whether more of what it sends than usual cannot be read, as when a site
 * renames a field. Counted over a sliding window of ten buckets of a minute each: the minute under
 * way and the nine before it. A source begins to drift with a reject that makes them more than 1 in
 * DRIFT_BEGINS_PER of the window's records, and at least DRIFT_REJECTS_MIN; it ends when they are
 * no more than 1 in DRIFT_ENDS_PER, so that a source at the edge is not told of again and again.
 *
 * The numbers live in memory. After a restart only the fact and the time of the last reject are
 * known (drift_restore): the source drifts on until that reject would have left the window.
 * Threads: one at a time.
 */

#include <stdbool.h>
#include <stdint.h>

enum { DRIFT_MINUTES = 10, DRIFT_REJECTS_MIN = 2, DRIFT_BEGINS_PER = 100, DRIFT_ENDS_PER = 200 };

struct drift_counts {
    int64_t records; /* rejects included */
    int64_t rejects;
};

struct drift_bucket {
    int64_t minute; /* since 1970 */
    struct drift_counts counts;
};

/* All zero: nothing was counted yet. To be read through the functions below, but for the first two
 * fields. */
struct drift {
    bool drifting;
    int64_t reject_us;                          /* when the last reject came; 0: never */
    int64_t until_us;                           /* restored: it does not end sooner */
    struct drift_bucket buckets[DRIFT_MINUTES]; /* by minute, modulo */
};

enum drift_change { DRIFT_SAME, DRIFT_BEGAN, DRIFT_ENDED };

/* A source that drifted when the program ended; reject_us: when its last reject came. */
void drift_restore(struct drift *drift, int64_t reject_us, int64_t now_us);

/* Counts what came (records include the rejects; both may be 0) and judges anew. What lies in the
 * future, after the clock was set back, does not count. */
enum drift_change drift_add(struct drift *drift, int64_t records, int64_t rejects, int64_t now_us);

/* What the window holds. */
struct drift_counts drift_counts(const struct drift *drift, int64_t now_us);

#endif
