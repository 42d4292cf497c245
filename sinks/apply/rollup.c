/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Roll-ups are caches of facts: a dirty day is counted whole, and the week it lies in is noted for
 * the relay, which writes the trend feed anew. Where the trend cube is published, its cells are
 * counted with them, and those that changed are named in the outbox.
 */
#include <stdio.h>
#include <string.h>

#include "common/instant.h"
#include "common/testpoint.h"
#include "sinks/apply/apply_internal.h"

enum { DAYS_MAX = 512, KEY_SIZE = 1024, PLACE_SIZE = 96 };

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

/* Appends a part of a key; what divides parts is escaped. */
static void add_part(char *key, size_t *used, const char *text)
{
    for (; *text != '\0' && *used + 4 < KEY_SIZE; text++) {
        if (*text == '/' || *text == '%') {
            *used += (size_t)snprintf(key + *used, 4, "%%%02X", (unsigned)*text);
        } else {
            key[(*used)++] = *text;
        }
    }
    key[*used] = '\0';
}

/* A cell's key: "1h/2026-11-22T08:00/Acme/wish", "1d/2026-11-22/Acme/". */
static void cell_key(char key[KEY_SIZE], int64_t day, int64_t hour, const char *brand,
                     const char *label)
{
    char name[DAY_SIZE];
    size_t used = 0;

    day_format(name, day);
    if (hour < 0) {
        used = (size_t)snprintf(key, KEY_SIZE, "1d/%s/", name);
    } else {
        used = (size_t)snprintf(key, KEY_SIZE, "1h/%sT%02d:00/", name, (int)hour);
    }
    add_part(key, &used, brand);
    key[used++] = '/';
    add_part(key, &used, label);
}

/* One cell is no longer what it was: kept, and named in the outbox. */
static int change_cell(struct apply *apply, int64_t day, const struct store_rows *rows,
                       struct ear_error *err)
{
    char key[KEY_SIZE];
    char place[PLACE_SIZE];
    int64_t hour = store_get_integer(rows, 0);
    int64_t brand = store_get_integer(rows, 3);
    int64_t label = store_get_integer(rows, 4);
    struct store_value cell[] = {
        store_integer(day),
        store_integer(hour),
        store_integer(brand),
        store_integer(label),
        store_integer(store_get_integer(rows, 5)),
        store_integer(store_get_integer(rows, 6)),
        store_integer(store_get_integer(rows, 7)),
        store_integer(apply->now_us),
    };
    int result = store_is_null(rows, 5) ? store_run(apply->store, QUERY_TREND_DELETE, cell, 4, err)
                                        : store_run(apply->store, QUERY_TREND_PUT, cell, 8, err);

    cell_key(key, day, hour, store_get_text(rows, 1, NULL), store_get_text(rows, 2, NULL));
    snprintf(place, sizeof place, "%lld %lld %lld %lld", (long long)day, (long long)hour,
             (long long)brand, (long long)label);
    {
        struct store_value values[] = {store_text("trend"), store_text(key), store_text(place)};

        return result != 0 ? -1 : store_run(apply->store, QUERY_OUTBOX_ADD, values, 3, err);
    }
}

static int change_cells(struct apply *apply, int64_t day, struct ear_error *err)
{
    struct store_value values[] = {store_integer(day), store_integer(apply->config.trend_days),
                                   store_integer(apply->config.trend_hours)};
    struct store_rows *rows = NULL;
    int there = 0;

    if (!apply->config.trend_days && !apply->config.trend_hours) {
        return 0;
    }
    if (store_select(&rows, apply->store, QUERY_TREND_CHANGED, values, 3, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        if (change_cell(apply, day, rows, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there;
}

static int recompute(struct apply *apply, int64_t day, struct ear_error *err)
{
    char name[DAY_SIZE];
    struct store_value values[] = {store_integer(day)};
    struct store_value week[] = {store_text("feed"), store_text(day_format(name, week_of(day))),
                                 store_null()};

    if (store_run(apply->store, QUERY_DIRTY_CLEAR, values, 1, err) != 0 ||
        store_run(apply->store, QUERY_ROLLUP_CLEAR, values, 1, err) != 0 ||
        store_run(apply->store, QUERY_ROLLUP_FILL, values, 1, err) != 0 ||
        change_cells(apply, day, err) != 0) {
        return -1;
    }
    return store_run(apply->store, QUERY_OUTBOX_ADD, week, 3, err);
}

/* Which windows are published is part of the store: with others, every cell is told anew. */
static int keep_windows(struct apply *apply, struct ear_error *err)
{
    const char *windows = apply->config.trend_days    ? apply->config.trend_hours ? "1d 1h" : "1d"
                          : apply->config.trend_hours ? "1h"
                                                      : "";
    struct store_value values[] = {store_text("trends"), store_text(windows)};
    struct store_value all[] = {store_integer(apply->horizon_day)};
    struct store_rows *rows = NULL;
    bool same = windows[0] == '\0';
    int there = 0;

    if (apply->windows_kept) {
        return 0;
    }
    if (store_select(&rows, apply->store, QUERY_META_GET, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    same = there == 1 ? strcmp(store_get_text(rows, 0, NULL), windows) == 0 : same;
    store_rows_end(rows);
    if (there < 0) {
        return -1;
    }
    if (!same &&
        (store_begin(apply->store, err) != 0 ||
         (windows[0] != '\0' && store_run(apply->store, QUERY_DIRTY_ALL, all, 1, err) != 0) ||
         store_run(apply->store, QUERY_META_SET, values, 2, err) != 0 ||
         store_commit(apply->store, err) != 0)) {
        store_rollback(apply->store);
        return -1;
    }
    apply->windows_kept = true;
    return 0;
}

/* A day that the horizon has passed is not counted again: its facts go, its roll-up stays. */
static int drop_frozen(struct apply *apply, const int64_t days[], size_t *count,
                       struct ear_error *err)
{
    struct store_value frozen[] = {store_integer(apply->horizon_day)};
    size_t left = *count;

    while (left > 0 && days[left - 1] < apply->horizon_day) {
        left--;
    }
    if (left == *count) {
        return 0;
    }
    *count = left;
    return store_run(apply->store, QUERY_DIRTY_FORGET_BEFORE, frozen, 1, err);
}

int apply_rollups(struct apply *apply, int64_t now_us, size_t max_days, bool *more,
                  struct ear_error *err)
{
    int64_t days[DAYS_MAX] = {0};
    size_t count = 0;

    apply_set_now(apply, now_us);
    max_days = max_days > DAYS_MAX ? DAYS_MAX : max_days;
    if (keep_windows(apply, err) != 0 || dirty_days(days, &count, max_days, apply, err) != 0) {
        return -1;
    }
    *more = count == max_days;
    if (count == 0) {
        return 0;
    }
    if (store_begin_derived(apply->store, err) != 0) {
        return -1;
    }
    if (drop_frozen(apply, days, &count, err) != 0) {
        store_rollback(apply->store);
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
