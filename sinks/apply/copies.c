/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Copies: a post is one if another author, or another source, said the same (folded) words at most
 * 30 days before it. That is a property of the set of posts, not of the order in which they came,
 * so every arrival, edit and removal settles the posts within the window after it.
 */
#include "common/clock.h"
#include "common/instant.h"
#include "sinks/apply/apply_internal.h"

#define COPY_WINDOW_US (30 * CLOCK_DAY_US)

/* The stretch of the store's index that an instant lies in. */
static struct store_value stretch(const struct apply *apply, int64_t at_us)
{
    return store_integer(zone_day(apply->config.zone, at_us) / 32);
}

int copies_near(bool *out, struct apply *apply, const struct post *post, struct ear_error *err)
{
    struct store_value values[] = {
        store_integer(post->fold),
        stretch(apply, post->created_us - COPY_WINDOW_US),
        stretch(apply, post->created_us),
        stretch(apply, post->created_us + COPY_WINDOW_US),
    };
    int64_t one = 0;

    *out = false;
    return post->fold == 0
               ? 0
               : store_ask_integer(&one, out, apply->store, QUERY_COPY_NEAR, values, 4, err);
}

int copies_is(bool *out, struct apply *apply, const struct post *post, const char *source,
              struct ear_error *err)
{
    struct store_value values[] = {
        store_integer(post->fold),
        store_integer(post->created_us),
        store_blob(post->hash.bytes, sizeof post->hash.bytes),
        store_text(source),
        store_text(post->author),
        store_integer(post->created_us - COPY_WINDOW_US),
        stretch(apply, post->created_us - COPY_WINDOW_US),
        stretch(apply, post->created_us),
    };
    int64_t one = 0;

    *out = false;
    if (post->fold == 0) {
        return 0;
    }
    return store_ask_integer(&one, out, apply->store, QUERY_COPY_EARLIER, values, 8, err);
}

/* Writes down who counts in the facts of posts that became copies, or are none any more. */
static int settle(struct apply *apply, enum store_query query, const struct store_value values[],
                  size_t count, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, apply->store, query, values, count, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        int64_t row = store_get_integer(rows, 0);
        int64_t day = store_get_integer(rows, 1);
        struct store_value person[] = {store_integer(day), store_integer(row),
                                       store_integer(store_get_integer(rows, 2))};

        if (facts_mark_post(apply, day, row, err) != 0 ||
            store_run(apply->store, QUERY_FACT_PERSON, person, 3, err) < 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there;
}

int copies_made(struct apply *apply, const struct post *post, const char *source,
                struct ear_error *err)
{
    struct store_value values[] = {
        store_integer(post->fold),
        store_integer(post->created_us),
        store_blob(post->hash.bytes, sizeof post->hash.bytes),
        store_text(source),
        store_text(post->author),
        store_integer(post->created_us + COPY_WINDOW_US),
        stretch(apply, post->created_us),
        stretch(apply, post->created_us + COPY_WINDOW_US),
    };

    return post->fold == 0 ? 0 : settle(apply, QUERY_COPY_MADE, values, 8, err);
}

int copies_unmade(struct apply *apply, int64_t fold, int64_t created_us, struct ear_error *err)
{
    struct store_value values[] = {
        store_integer(fold),
        store_integer(created_us),
        store_integer(created_us + COPY_WINDOW_US),
        store_integer(COPY_WINDOW_US),
        stretch(apply, created_us),
        stretch(apply, created_us + COPY_WINDOW_US),
    };

    return fold == 0 ? 0 : settle(apply, QUERY_COPY_UNMADE, values, 6, err);
}
