/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Roll-ups are caches of facts: a dirty day is counted whole, for the brands that changed, and the
 * week it lies in is noted for the relay, which writes the trend feed anew.
 */
#include <stdio.h>

#include "common/instant.h"
#include "common/testpoint.h"
#include "sinks/apply/apply_internal.h"

enum { DAYS_MAX = 512 };

static int dirty_days(int64_t days[], size_t *count, size_t max_days, struct apply *apply,
                      struct ear_error *err)
{
    struct store_value values[] = {store_integer((int64_t)max_days)};
    struct store_rows *rows = NULL;
    int there = 0;

    *count = 0;
    if (store_select(&rows, apply->store, QUERY_DIRTY_DAYS, values, 1, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1 && *count < max_days) {
        days[(*count)++] = store_get_integer(rows, 0);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* The Monday of a day's week: 1970-01-01 was a Thursday. */
static int64_t week_of(int64_t day)
{
    int64_t since = (day + 3) % 7;

    return day - (since < 0 ? since + 7 : since);
}

static int recompute(struct apply *apply, int64_t day, struct ear_error *err)
{
    char name[DAY_SIZE];
    struct store_value values[] = {store_integer(day)};
    struct store_value week[] = {store_text("feed"), store_text(day_format(name, week_of(day))),
                                 store_null()};

    if (store_run(apply->store, QUERY_ROLLUP_CLEAR, values, 1, err) < 0 ||
        store_run(apply->store, QUERY_ROLLUP_FILL, values, 1, err) < 0 ||
        store_run(apply->store, QUERY_DIRTY_CLEAR, values, 1, err) < 0) {
        return -1;
    }
    return store_run(apply->store, QUERY_OUTBOX_ADD, week, 3, err) < 0 ? -1 : 0;
}

int apply_rollups(struct apply *apply, size_t max_days, bool *more, struct ear_error *err)
{
    int64_t days[DAYS_MAX];
    size_t count = 0;

    max_days = max_days > DAYS_MAX ? DAYS_MAX : max_days;
    if (dirty_days(days, &count, max_days, apply, err) != 0) {
        return -1;
    }
    *more = count == max_days;
    if (count == 0) {
        return 0;
    }
    if (store_begin(apply->store, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (recompute(apply, days[i], err) != 0) {
            store_rollback(apply->store);
            return -1;
        }
    }
    TESTPOINT("sink.rollup");
    if (store_commit(apply->store, err) != 0) {
        store_rollback(apply->store);
        return -1;
    }
    return 0;
}
