/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/drift.h"

#include "common/clock.h"

#define WINDOW_US (DRIFT_MINUTES * CLOCK_MINUTE_US)

void drift_restore(struct drift *drift, int64_t reject_us, int64_t now_us)
{
    reject_us = reject_us > now_us ? now_us : reject_us < 0 ? 0 : reject_us;
    *drift =
        (struct drift){.drifting = true, .reject_us = reject_us, .until_us = reject_us + WINDOW_US};
}

struct drift_counts drift_counts(const struct drift *drift, int64_t now_us)
{
    const int64_t minute = now_us / CLOCK_MINUTE_US;
    struct drift_counts sum = {0, 0};

    for (int i = 0; i < DRIFT_MINUTES; i++) {
        const int64_t age = minute - drift->buckets[i].minute;

        if (age >= 0 && age < DRIFT_MINUTES) {
            sum.records += drift->buckets[i].counts.records;
            sum.rejects += drift->buckets[i].counts.rejects;
        }
    }
    return sum;
}

static void count(struct drift *drift, int64_t records, int64_t rejects, int64_t now_us)
{
    const int64_t minute = now_us / CLOCK_MINUTE_US;
    struct drift_bucket *bucket = &drift->buckets[(uint64_t)minute % DRIFT_MINUTES];

    if (bucket->minute != minute) {
        *bucket = (struct drift_bucket){.minute = minute};
    }
    bucket->counts.records += records;
    bucket->counts.rejects += rejects;
    if (rejects > 0) {
        drift->reject_us = now_us;
    }
}

enum drift_change drift_add(struct drift *drift, int64_t records, int64_t rejects, int64_t now_us)
{
    struct drift_counts sum;

    count(drift, records, rejects, now_us);
    sum = drift_counts(drift, now_us);
    if (!drift->drifting) {
        drift->drifting = rejects > 0 && sum.rejects >= DRIFT_REJECTS_MIN &&
                          sum.rejects * DRIFT_BEGINS_PER > sum.records;
        return drift->drifting ? DRIFT_BEGAN : DRIFT_SAME;
    }
    if (now_us < drift->until_us || sum.rejects * DRIFT_ENDS_PER > sum.records) {
        return DRIFT_SAME;
    }
    drift->drifting = false;
    drift->until_us = 0;
    return DRIFT_ENDED;
}
