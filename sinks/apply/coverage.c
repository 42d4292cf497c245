/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How completely sources were listened to: the hours and the stretches in a source's message on
 * `cursors`. The last word on an hour is what counts, so applying a message again changes nothing;
 * the total of an hour follows by the difference. Both are rows of the partition that the message
 * came by, which one sink writes.
 */
#include <string.h>

#include "common/ages.h"
#include "common/json_instant.h"
#include "sinks/apply/apply_internal.h"

enum { COUNTS = 7, HOURS_MAX = 2, GAPS_MAX = 64 };

static const char *const count_names[COUNTS] = {"planned",  "made",  "failed", "ours",
                                                "requests", "posts", "gaps"};

struct hour {
    int64_t hour_us;
    int64_t counts[COUNTS];
    uint32_t ages[AGES_COUNT];
};

static bool read_hour(struct hour *out, const struct json_node *root)
{
    size_t bucket = 0;

    *out = (struct hour){0};
    for (size_t i = 0; i < COUNTS; i++) {
        (void)json_integer(json_get(root, count_names[i]), &out->counts[i]);
    }
    for (const struct json_node *each = json_first(json_get(root, "ages"));
         each != NULL && bucket < AGES_COUNT; each = json_next(each)) {
        int64_t count = 0;

        (void)json_integer(each, &count);
        out->ages[bucket++] = count < 0 || count > UINT32_MAX ? 0 : (uint32_t)count;
    }
    out->hour_us = json_instant(root, "hour", INT64_MIN);
    return out->hour_us != INT64_MIN;
}

/* What the store holds of it; nothing: all zero. */
static int find(struct hour *out, struct apply *apply, enum store_query query,
                const struct store_value key[2], struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    *out = (struct hour){0};
    if (store_select(&rows, apply->store, query, key, 2, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    for (int i = 0; there == 1 && i < COUNTS; i++) {
        out->counts[i] = store_get_integer(rows, i);
    }
    if (there == 1) {
        ages_parse(out->ages, store_get_text(rows, COUNTS, NULL));
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static int put(struct apply *apply, enum store_query query, const struct store_value key[2],
               const struct hour *hour, struct ear_error *err)
{
    char ages[AGES_TEXT_SIZE];
    struct store_value values[2 + COUNTS + 1] = {key[0], key[1]};

    for (size_t i = 0; i < COUNTS; i++) {
        values[2 + i] = store_integer(hour->counts[i]);
    }
    values[2 + COUNTS] = store_text(ages_format(ages, hour->ages));
    return store_run(apply->store, query, values, 2 + COUNTS + 1, err);
}

static int apply_hour(struct apply *apply, const struct stream_message *message,
                      const struct hour *hour, struct ear_error *err)
{
    const struct store_value one[] = {store_integer(hour->hour_us),
                                      store_bytes(message->key, message->key_length)};
    const struct store_value all[] = {store_integer(hour->hour_us),
                                      store_integer(message->partition)};
    struct hour before;
    struct hour total;

    if (hour->hour_us < apply->now_us - APPLY_COVERAGE_US) {
        return 0;
    }
    if (find(&before, apply, QUERY_COVERAGE_FIND, one, err) != 0) {
        return -1;
    }
    if (memcmp(before.counts, hour->counts, sizeof before.counts) == 0 &&
        memcmp(before.ages, hour->ages, sizeof before.ages) == 0) {
        return 0;
    }
    if (find(&total, apply, QUERY_COVERAGE_TOTAL_FIND, all, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < COUNTS; i++) {
        total.counts[i] += hour->counts[i] - before.counts[i];
    }
    for (size_t i = 0; i < AGES_COUNT; i++) {
        total.ages[i] += hour->ages[i] - before.ages[i]; /* modulo 2^32: never below 0 in the end */
    }
    return put(apply, QUERY_COVERAGE_PUT, one, hour, err) != 0
               ? -1
               : put(apply, QUERY_COVERAGE_TOTAL_PUT, all, &total, err);
}

static int apply_gap(struct apply *apply, const struct stream_message *message,
                     const struct json_node *root, struct ear_error *err)
{
    const char *kind = json_string(json_get(root, "kind"), NULL);
    const int64_t found_us = json_instant(root, "found", INT64_MIN);
    int64_t from_us = json_instant(root, "from", 0);
    int64_t to_us = json_instant(root, "to", INT64_MIN);
    int64_t polls = 0;

    (void)json_integer(json_get(root, "polls"), &polls);
    if (kind == NULL || strlen(kind) > POST_NAME_MAX || to_us == INT64_MIN ||
        found_us == INT64_MIN) {
        return 0;
    }
    /* Where a stretch ends may be a server's word; it goes by that end, as coverage_expire sees it.
     */
    to_us = to_us > found_us ? found_us : to_us;
    from_us = from_us > to_us ? to_us : from_us;
    if (to_us < apply->now_us - apply->config.horizon_us) {
        return 0;
    }
    {
        const struct store_value values[] = {
            store_bytes(message->key, message->key_length),
            store_text(kind),
            store_integer(from_us),
            store_integer(to_us),
            store_integer(found_us),
            store_integer(polls),
            store_text(json_string(json_get(root, "why"), NULL)),
        };

        return store_run(apply->store, QUERY_COVERAGE_GAP_PUT, values, 7, err);
    }
}

int coverage_apply(struct apply *apply, const struct stream_message *message,
                   const struct ear_message *cursor, struct ear_error *err)
{
    size_t count = 0;

    for (const struct json_node *each = json_first(message_node(cursor, "hours"));
         each != NULL && count < HOURS_MAX; each = json_next(each), count++) {
        struct hour hour;

        if (read_hour(&hour, each) && apply_hour(apply, message, &hour, err) != 0) {
            return -1;
        }
    }
    count = 0;
    for (const struct json_node *each = json_first(message_node(cursor, "gaps"));
         each != NULL && count < GAPS_MAX; each = json_next(each), count++) {
        if (apply_gap(apply, message, each, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Hours go sooner than their totals: there are as many of them as sources. */
int coverage_expire(struct apply *apply, struct ear_error *err)
{
    const struct store_value hours[] = {store_integer(apply->now_us - APPLY_COVERAGE_US)};
    const struct store_value all[] = {store_integer(apply->now_us - apply->config.horizon_us)};

    return store_run(apply->store, QUERY_COVERAGE_EXPIRE, hours, 1, err) != 0 ||
                   store_run(apply->store, QUERY_COVERAGE_TOTAL_EXPIRE, all, 1, err) != 0 ||
                   store_run(apply->store, QUERY_COVERAGE_GAP_EXPIRE, all, 1, err) != 0
               ? -1
               : 0;
}
