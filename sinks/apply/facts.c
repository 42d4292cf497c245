/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A post's facts, and which days of which brands have to be counted anew because of them. Marks are
 * kept in memory while a transaction runs, each once, and written before it commits: a batch
 * touches few days and brands however many posts it has.
 */
#include "sinks/apply/apply_internal.h"

#include <string.h>

/* Everything of a fact that does not differ between the rows of a post. */
struct fact_rest {
    int64_t audience, hour, channel, source, lang, theme, author, thread, created_us;
};

static int put_row(struct apply *apply, int64_t day, int64_t row, const int64_t key[3],
                   const struct fact_rest *rest, struct ear_error *err)
{
    struct store_value values[] = {store_integer(day),          store_integer(row),
                                   store_integer(key[0]),       store_integer(key[1]),
                                   store_integer(key[2]),       store_integer(rest->audience),
                                   store_integer(rest->hour),   store_integer(rest->channel),
                                   store_integer(rest->source), store_integer(rest->lang),
                                   store_integer(rest->theme),  store_integer(rest->author),
                                   store_integer(rest->thread), store_integer(rest->created_us)};

    return store_run(apply->store, QUERY_FACT_ADD, values, sizeof values / sizeof values[0], err) <
                   0
               ? -1
               : 0;
}

/* The numbers of words, with 0 ('' or all) in front if `all`. */
static int numbers(int64_t out[], size_t *count, struct apply *apply,
                   const struct post_names *words, bool all, struct ear_error *err)
{
    *count = 0;
    if (all) {
        out[(*count)++] = 0;
    }
    for (size_t i = 0; i < words->count; i++) {
        int64_t number = names_number(apply->names, words->items[i], err);

        if (number < 0) {
            return -1;
        }
        out[(*count)++] = number;
    }
    return 0;
}

static int rest_of(struct fact_rest *rest, struct apply *apply, const struct post *post,
                   const char *source, bool copy, struct ear_error *err)
{
    *rest = (struct fact_rest){
        .audience = post->audience,
        .hour = post->hour,
        .channel = names_number(apply->names, post->channel, err),
        .author = copy ? 0 : post->person,
        .thread = post->conversation,
        .created_us = post->created_us,
    };
    rest->source = names_number(apply->names, source, err);
    rest->lang = names_number(apply->names, post->lang, err);
    rest->theme = names_number(apply->names, post->theme, err);
    return rest->channel < 0 || rest->source < 0 || rest->lang < 0 || rest->theme < 0 ? -1 : 0;
}

static const struct post_names no_brand = {.items = {"-"}, .count = 1};

int facts_put(struct apply *apply, const struct post *post, int64_t row, const char *source,
              bool copy, struct ear_error *err)
{
    int64_t brands[POST_BRANDS_MAX];
    int64_t labels[POST_LABELS_MAX + 1];
    int64_t touchpoints[POST_TOUCHPOINTS_MAX + 1];
    size_t brand_count = 0;
    size_t label_count = 0;
    size_t touchpoint_count = 0;
    struct fact_rest rest;

    if (rest_of(&rest, apply, post, source, copy, err) != 0 ||
        numbers(brands, &brand_count, apply, post->brands.count == 0 ? &no_brand : &post->brands,
                false, err) != 0 ||
        numbers(labels, &label_count, apply, &post->labels, true, err) != 0 ||
        numbers(touchpoints, &touchpoint_count, apply, &post->touchpoints, true, err) != 0) {
        return -1;
    }
    for (size_t b = 0; b < brand_count; b++) {
        if (facts_mark(apply, post->day, brands[b], err) != 0) {
            return -1;
        }
        for (size_t i = 0; i < label_count * touchpoint_count; i++) {
            int64_t key[3] = {brands[b], labels[i / touchpoint_count],
                              touchpoints[i % touchpoint_count]};

            if (put_row(apply, post->day, row, key, &rest, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

int facts_take(struct apply *apply, int64_t day, int64_t row, struct ear_error *err)
{
    struct store_value values[] = {store_integer(day), store_integer(row)};

    if (facts_mark_post(apply, day, row, err) != 0) {
        return -1;
    }
    return store_run(apply->store, QUERY_FACT_DELETE, values, 2, err) < 0 ? -1 : 0;
}

int facts_mark_post(struct apply *apply, int64_t day, int64_t row, struct ear_error *err)
{
    struct store_value values[] = {store_integer(day), store_integer(row)};

    if (day < apply->horizon_day) {
        return 0; /* frozen: its roll-up is primary data */
    }
    return store_run(apply->store, QUERY_FACT_BRANDS, values, 2, err) < 0 ? -1 : 0;
}

int facts_mark(struct apply *apply, int64_t day, int64_t brand, struct ear_error *err)
{
    uint64_t at = ((uint64_t)day * 1021 + (uint64_t)brand) % DIRTY_MAX;

    if (day < apply->horizon_day) {
        return 0;
    }
    while (apply->dirty[at].used) {
        if (apply->dirty[at].day == day && apply->dirty[at].brand == brand) {
            return 0;
        }
        at = (at + 1) % DIRTY_MAX;
    }
    apply->dirty[at] = (struct dirty_day){.day = day, .brand = brand, .used = true};
    apply->dirty_count++;
    return apply->dirty_count < DIRTY_MAX / 2 ? 0 : facts_flush(apply, err);
}

int facts_flush(struct apply *apply, struct ear_error *err)
{
    for (size_t i = 0; i < DIRTY_MAX && apply->dirty_count > 0; i++) {
        struct store_value values[] = {store_integer(apply->dirty[i].day),
                                       store_integer(apply->dirty[i].brand)};

        if (apply->dirty[i].used && store_run(apply->store, QUERY_DIRTY_ADD, values, 2, err) < 0) {
            return -1;
        }
    }
    if (apply->dirty_count > 0) {
        memset(apply->dirty, 0, sizeof apply->dirty);
    }
    apply->dirty_count = 0;
    return 0;
}
