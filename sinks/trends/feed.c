/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Counting the trend feed. What an entry says is kept as JSON in the store, with the instant at
 * which it last changed; counting again changes only what differs. feed_text.c writes it down.
 */
#include "sinks/trends/feed.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"
#include "sinks/trends/view_internal.h"

enum { CELLS_MAX = 4096, SLOTS = 8192, SUMMARY_BYTES = 64 * 1024 };

struct cell {
    int64_t week, brand, label;
    struct tally tally;
};

struct count {
    const struct feed_config *config;
    struct view view;
    struct cell *cells; /* [cell_count] of CELLS_MAX */
    size_t cell_count;
    uint16_t slots[SLOTS]; /* index + 1 of a cell; 0 is empty */
    struct json_writer *writer;
    int64_t now_us;
};

/* The Monday of a day's week: 1970-01-01 was a Thursday. */
static int64_t week_of(int64_t day)
{
    int64_t since = (day + 3) % 7;

    return day - (since < 0 ? since + 7 : since);
}

static struct cell *cell_of(struct count *count, int64_t week, int64_t brand, int64_t label,
                            bool make)
{
    int64_t key[3] = {week, brand, label};
    size_t at = (size_t)hash64_of(key, sizeof key, 0) % SLOTS;

    while (count->slots[at] != 0) {
        struct cell *cell = &count->cells[count->slots[at] - 1];

        if (cell->week == week && cell->brand == brand && cell->label == label) {
            return cell;
        }
        at = (at + 1) % SLOTS;
    }
    if (!make || count->cell_count == CELLS_MAX) {
        return NULL;
    }
    count->cells[count->cell_count] = (struct cell){.week = week, .brand = brand, .label = label};
    count->cell_count++;
    count->slots[at] = (uint16_t)count->cell_count;
    return &count->cells[count->cell_count - 1];
}

static int count_post(void *user, const struct view_post *post, struct ear_error *err)
{
    struct count *count = user;
    int64_t week = week_of(post->day);

    for (size_t b = 0; b < post->brand_count; b++) {
        for (size_t l = 0; l < post->label_count; l++) {
            struct cell *cell = cell_of(count, week, post->brands[b], post->labels[l], true);

            if (cell != NULL && tally_add(&cell->tally, post, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* --- what an entry says --- */

static int write_sample(struct count *count, const struct tally *tally, struct ear_error *err)
{
    struct json_writer *writer = count->writer;

    json_write_key(writer, "sample");
    json_write_array(writer);
    for (size_t i = 0; i < tally->sample_count; i++) {
        struct store_value values[] = {store_integer(tally->sample[i])};
        struct store_rows *rows = NULL;
        int there = 0;

        if (store_select(&rows, count->view.store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
            return -1;
        }
        there = store_next(rows, err);
        if (there == 1) {
            json_write_object(writer);
            json_member_string(writer, "id", store_get_text(rows, 0, NULL));
            json_member_string(writer, "url", store_get_text(rows, 2, NULL));
            json_write_object_end(writer);
        }
        store_rows_end(rows);
        if (there < 0) {
            return -1;
        }
    }
    json_write_array_end(writer);
    return 0;
}

/* Borrowed until the writer is used again. */
static const char *summary_of(struct count *count, const struct cell *cell, struct ear_error *err)
{
    const struct cell *before = cell_of(count, cell->week - 7, cell->brand, cell->label, false);
    struct json_writer *writer = count->writer;

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_integer(writer, "posts", cell->tally.posts);
    json_member_integer(writer, "people", (int64_t)cell->tally.people.count);
    json_member_integer(writer, "conversations", (int64_t)cell->tally.threads.count);
    json_member_integer(writer, "before", before == NULL ? 0 : before->tally.posts);
    if (write_sample(count, &cell->tally, err) != 0) {
        return NULL;
    }
    json_write_object_end(writer);
    return json_writer_text(writer, NULL, err);
}

/* --- bringing the store's entries up to date --- */

static int put_cell(struct count *count, const struct cell *cell, struct ear_error *err)
{
    const char *summary = summary_of(count, cell, err);
    struct store_value values[] = {store_integer(cell->week),
                                   store_text(view_name(&count->view, cell->brand)),
                                   store_text(view_name(&count->view, cell->label)),
                                   store_text(summary), store_integer(count->now_us)};

    if (summary == NULL) {
        return -1;
    }
    return store_run(count->view.store, QUERY_FEED_PUT, values, 5, err) < 0 ? -1 : 0;
}

/* Entries of weeks that are counted and that nobody said anything for any more. */
static int drop_empty(struct count *count, int64_t first, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, count->view.store, QUERY_FEED_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        int64_t week = store_get_integer(rows, 0);
        const char *brand = store_get_text(rows, 1, NULL);
        const char *label = store_get_text(rows, 2, NULL);
        bool kept = false;

        for (size_t i = 0; i < count->cell_count && !kept; i++) {
            const struct cell *cell = &count->cells[i];

            kept = cell->week == week && week >= first &&
                   strcmp(view_name(&count->view, cell->brand), brand) == 0 &&
                   strcmp(view_name(&count->view, cell->label), label) == 0;
        }
        if (!kept) {
            struct store_value values[] = {store_integer(week), store_text(brand),
                                           store_text(label)};

            if (store_run(count->view.store, QUERY_FEED_DELETE, values, 3, err) < 0) {
                there = -1;
                break;
            }
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static int bring_up(struct count *count, int64_t first, struct ear_error *err)
{
    if (drop_empty(count, first, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count->cell_count; i++) {
        if (count->cells[i].week >= first && put_cell(count, &count->cells[i], err) != 0) {
            return -1;
        }
    }
    return store_commit(count->view.store, err);
}

static int refresh(struct count *count, struct ear_error *err)
{
    const struct feed_config *config = count->config;
    int64_t last = week_of(zone_day(config->zone, count->now_us));
    int64_t first = last - 7 * (config->weeks - 1);
    int64_t since_us = zone_day_start_us(config->zone, first - 7);

    if (view_over(&count->view, config->store, config->zone, count->now_us, err) != 0) {
        return -1;
    }
    if (view_walk(&count->view, since_us, count->now_us + CLOCK_DAY_US, count_post, count, err) !=
        0) {
        return -1;
    }
    if (store_begin(config->store, err) != 0) {
        return -1;
    }
    if (bring_up(count, first, err) != 0) {
        store_rollback(config->store);
        return -1;
    }
    return 0;
}

int feed_refresh(const struct feed_config *config, int64_t now_us, struct ear_error *err)
{
    struct count *count = calloc(1, sizeof *count);
    int result = -1;

    if (count == NULL) {
        ear_fail_memory(err, "the trend feed");
        return -1;
    }
    count->config = config;
    count->now_us = now_us;
    count->cells = calloc(CELLS_MAX, sizeof *count->cells);
    if (count->cells == NULL) {
        ear_fail_memory(err, "the trend feed");
        goto done;
    }
    if (json_writer_new(&count->writer, SUMMARY_BYTES, err) != 0) {
        goto done;
    }
    result = refresh(count, err);

done:
    for (size_t i = 0; i < count->cell_count; i++) {
        tally_clear(&count->cells[i].tally);
    }
    free(count->cells);
    json_writer_free(count->writer);
    view_close(&count->view);
    free(count);
    return result;
}
