/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk along a list.
 *
 *     down, newest first:   head ──page──page──▶ … until the last records of a page are older than
 *                           the cursor less its overlap, and than every window that is due
 *     up, oldest first:     cursor ──page──page──▶ … until the list has no more
 *
 * Down, the cursor moves when the walk is at its end; until then the walk itself is kept {floor,
 * page, high}, so that a crash goes on with the page it was at. It is the last records of a page
 * that count, two of them: one old post pinned on top, or one out of its place, ends nothing. Up,
 * the cursor moves with each page; where the list's pages shift when a record moves to its end
 * (pages by number), it is asked anew from the cursor rather than for its next page.
 */
#include "collectors/definition/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/settings/settings.h"

enum { DOUBT_304 = 4, TRUST_304 = 20 /* polls in a row */, PROBE_DAYS = 30 };

const struct list *walk_list(const struct engine *engine)
{
    return engine->at->list;
}

bool walk_is_numeric(const struct cursor *cursor)
{
    return cursor->given && !cursor->by_link && cursor->as != AS_TEXT;
}

bool walk_is_text(const struct cursor *cursor)
{
    return cursor->given && !cursor->by_link && cursor->as == AS_TEXT;
}

bool walk_is_time(const struct cursor *cursor)
{
    return walk_is_numeric(cursor) && cursor->as != AS_INT && cursor->as != AS_NUMBER;
}

int64_t walk_less(int64_t value, int64_t by)
{
    return value < INT64_MIN + by ? INT64_MIN : value - by;
}

/* So long ago, in whole seconds: some servers take no others. */
int64_t walk_ago(const struct engine *engine, int64_t span_us)
{
    const int64_t at_us = walk_less(engine->poll->now_us, span_us);

    return at_us == INT64_MIN ? at_us : at_us - at_us % CLOCK_SECOND_US;
}

int64_t walk_lower(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* --- where it begins --- */

/* The widest window that is due, 0: none; *bits says which are. */
static int64_t due_window(const struct engine *engine, unsigned *bits)
{
    const struct kept_list *at = engine->at;
    int64_t widest_us = 0;

    *bits = 0;
    for (size_t i = 0; i < at->list->revisit_count && i < KEPT_REVISITS_MAX; i++) {
        const struct revisit *revisit = &at->list->revisits[i];
        const int64_t since_us = engine->poll->now_us - at->revisited_us[i];

        if (since_us >= revisit->every_us || since_us < 0) {
            *bits |= 1U << i;
            widest_us = revisit->window_us > widest_us ? revisit->window_us : widest_us;
        }
    }
    return widest_us;
}

static int64_t history_floor(const struct engine *engine)
{
    const int64_t history_us = engine->poll->source->history_us;

    return engine->poll->probe || history_us == INT64_MAX ? INT64_MIN
                                                          : walk_ago(engine, history_us);
}

static void begin_first(struct engine *engine, struct walk *walk)
{
    struct kept_list *at = engine->at;

    if (!at->seen) {
        at->history_us = walk_lower(history_floor(engine), at->past_us);
    }
    walk->first = true;
    walk->since_us = at->history_us;
    if (engine->poll->probe && !walk->down) {
        walk->since_us = walk_ago(engine, PROBE_DAYS * CLOCK_DAY_US);
    }
    if (walk->down && at->history_us != INT64_MIN) {
        walk->has_floor_us = true;
        walk->floor_us = at->history_us;
    }
}

static void begin_down(struct engine *engine, struct walk *walk, int64_t window_us)
{
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;

    if (walk_is_numeric(cursor)) {
        walk->has_floor = true;
        walk->floor = walk_is_time(cursor) ? walk_less(at->at, cursor->overlap_us) : at->at;
        walk->since_us = walk_is_time(cursor) ? walk->floor : walk_less(at->at_us, CLOCK_HOUR_US);
    } else {
        walk->since_us = walk_less(at->at_us, CLOCK_HOUR_US);
    }
    if (!walk_is_time(cursor) && cursor->overlap_us > 0 && at->at_us != INT64_MIN) {
        walk->has_floor_us = true;
        walk->floor_us = walk->since_us = walk_less(at->at_us, cursor->overlap_us);
    }
    if (window_us > 0) {
        const int64_t from_us = walk_ago(engine, window_us);

        walk->floor_us = walk->has_floor_us ? walk_lower(walk->floor_us, from_us) : from_us;
        walk->has_floor_us = true;
        walk->since_us = walk_lower(walk->since_us, from_us);
    }
}

static int begin_up(struct engine *engine, struct walk *walk, int64_t window_us,
                    struct ear_error *err)
{
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;

    if (walk_is_numeric(cursor)) {
        walk->has_base = true;
        walk->base =
            walk_less(at->at, walk_is_time(cursor) ? cursor->overlap_us : cursor->overlap_count);
        if (walk_is_time(cursor) && window_us > 0) {
            walk->base = walk_lower(walk->base, walk_ago(engine, window_us));
        }
        walk->since_us = walk_is_time(cursor) ? walk->base : walk_less(at->at_us, CLOCK_HOUR_US);
        return 0;
    }
    walk->since_us = walk_less(at->at_us, CLOCK_HOUR_US);
    if (cursor->by_link) {
        return kept_set(&walk->page, at->link, KEPT_TEXT_MAX, err);
    }
    return kept_set(&walk->base_text, at->at_text, KEPT_TEXT_MAX, err);
}

static bool knows_where(const struct kept_list *at)
{
    return at->has_at || at->at_text != NULL || at->link != NULL;
}

static void forget_shown(struct kept_list *at)
{
    for (size_t i = 0; i < at->post_count; i++) {
        at->posts[i].shown = false;
    }
}

static int begin_head(struct engine *engine, struct walk *walk, struct ear_error *err)
{
    struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;
    int64_t window_us = 0;
    unsigned bits = 0;

    walk->down = !cursor->given || cursor->order == ORDER_NEWEST || engine->poll->probe ||
                 (cursor->by_link && at->link == NULL);
    if (engine->poll->probe && cursor->given && cursor->order == ORDER_OLDEST && !cursor->by_link) {
        walk->down = false;
    }
    if (!cursor->given) { /* all of it, every time */
        at->history_us = at->seen ? at->history_us : history_floor(engine);
        walk->since_us = at->history_us;
        return 0;
    }
    if (!at->seen || !knows_where(at)) {
        begin_first(engine, walk);
        return 0;
    }
    window_us = cursor->by_link ? 0 : due_window(engine, &bits);
    walk->revisits = bits;
    if (bits != 0) {
        forget_shown(at);
    }
    if (walk->down) {
        begin_down(engine, walk, window_us);
        return 0;
    }
    return begin_up(engine, walk, window_us, err);
}

/* By itself only where the head is followed by links: else it is part of the walk from the head. */
static bool begin_revisit(struct engine *engine, struct walk *walk)
{
    unsigned bits = 0;
    const int64_t window_us = due_window(engine, &bits);

    if (!walk_list(engine)->cursor.by_link || bits == 0 || engine->poll->probe) {
        return false;
    }
    walk->down = true;
    walk->revisits = bits;
    walk->has_floor_us = true;
    walk->floor_us = walk->since_us = walk_ago(engine, window_us);
    forget_shown(engine->at);
    return true;
}

static void begin_past(struct engine *engine, struct walk *walk)
{
    const struct cursor *cursor = &walk_list(engine)->cursor;
    const int64_t since_us = engine->poll->backfill_since_us; /* as given: it names the walk */

    walk->first = true;
    walk->down = !cursor->given || cursor->order == ORDER_NEWEST || cursor->by_link;
    walk->since_us = since_us;
    walk->has_floor_us = walk->down;
    walk->floor_us = since_us;
    engine->at->history_us = walk_lower(engine->at->history_us, since_us);
    if (!walk->down && walk_is_time(cursor) && cursor->start == NULL) {
        walk->has_base = true;
        walk->base = since_us;
    }
}

void walk_forget_page(struct engine *engine)
{
    free(engine->sight.last_text);
    engine->sight = (struct page_sight){.rising = true, .time_us = {INT64_MIN, INT64_MIN}};
}

int walk_begin(struct engine *engine, enum walk_kind kind, bool *begun, struct ear_error *err)
{
    struct walk *walk = kind == WALK_PAST ? &engine->at->past : &engine->at->walk;
    struct frame *frame = NULL;

    *begun = false;
    if (kind == WALK_PAST && walk->kind != WALK_NONE &&
        walk->since_us != engine->poll->backfill_since_us) {
        walk_clear(walk); /* it was asked for to another instant */
    }
    engine->resumed = walk->kind != WALK_NONE;
    engine->walk = walk;
    engine->head_read = false;
    walk_forget_page(engine);
    if (!engine->resumed) {
        walk_clear(walk);
        walk->began_us = engine->poll->now_us;
        if (kind == WALK_HEAD && begin_head(engine, walk, err) != 0) {
            return -1;
        }
        if (kind == WALK_REVISIT && !begin_revisit(engine, walk)) {
            return 0;
        }
        if (kind == WALK_PAST) {
            begin_past(engine, walk);
        }
        walk->kind = kind;
    }
    if (frame_push(engine, NULL, NULL, err) != 0) {
        return -1;
    }
    frame = &engine->frames[0];
    free(frame->text);
    frame->text = walk->page != NULL ? strdup(walk->page) : next_first(frame->page);
    if (engine->resumed && walk->page != NULL && !walk->doubted && next_back(frame)) {
        walk->pages--;
    }
    frame->pages = walk->pages;
    frame->goes_on = engine->resumed && walk->page != NULL;
    *begun = true;
    return walk->page != NULL && frame->text == NULL ? ear_fail_memory(err, "a page") : 0;
}

/* --- what is asked with --- */

static char *value_text(enum value_as as, int64_t value)
{
    char when[INSTANT_SIZE];
    char *text = NULL;
    int size = 0;

    switch (as) {
    case AS_TIME:
        return strdup(instant_format(when, value));
    case AS_UNIX:
        size = value % CLOCK_SECOND_US == 0
                   ? asprintf(&text, "%" PRId64, value / CLOCK_SECOND_US)
                   : asprintf(&text, "%" PRId64 ".%06d", value / CLOCK_SECOND_US,
                              (int)(value % CLOCK_SECOND_US));
        break;
    case AS_UNIX_MS:
        size = asprintf(&text, "%" PRId64, value / 1000);
        break;
    default:
        size = asprintf(&text, "%" PRId64, value);
        break;
    }
    return size < 0 ? NULL : text;
}

/* The cursor is older than what the server lets one ask from: then it is not sent at all. */
bool walk_withholds(const struct engine *engine)
{
    const struct cursor *cursor = &walk_list(engine)->cursor;
    const struct walk *walk = engine->walk;
    int64_t at_us = engine->at->at_us;

    if (cursor->within_us == 0) {
        return false;
    }
    if (walk_is_time(cursor) && (walk->has_floor || walk->has_base)) {
        at_us = walk->has_floor ? walk->floor : walk->base;
    }
    return at_us < walk_less(engine->poll->now_us, cursor->within_us);
}

int walk_cursor(struct engine *engine, char **text, struct ear_error *err)
{
    const struct walk *walk = engine->walk;
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;
    bool known = true;

    *text = NULL;
    if (walk_withholds(engine)) {
        return 0;
    }
    if (walk_is_text(cursor) && (walk->base_text != NULL || (walk->down && at->at_text != NULL))) {
        /* no window can be told by it */
        *text = walk->first || walk->revisits != 0
                    ? NULL
                    : strdup(walk->base_text != NULL ? walk->base_text : at->at_text);
        known = walk->first || walk->revisits != 0 || *text != NULL;
    } else if (walk_is_numeric(cursor) && walk->down && walk->has_floor) {
        int64_t value = walk->floor;

        if (walk_is_time(cursor) && walk->has_floor_us) {
            value = walk_lower(value, walk->floor_us);
        } else if (!walk_is_time(cursor)) {
            value = walk_less(value, cursor->overlap_count);
        }
        if (walk_is_time(cursor) || walk->revisits == 0) {
            *text = value_text(cursor->as, value);
            known = *text != NULL;
        }
    } else if (walk_is_numeric(cursor) && walk->has_base) {
        *text = value_text(cursor->as, walk->base);
        known = *text != NULL;
    }
    return known ? 0 : ear_fail_memory(err, "a cursor");
}

bool walk_may_be_same(const struct engine *engine)
{
    const struct kept_list *at = engine->at;
    const struct walk *walk = engine->walk;

    return walk->kind == WALK_HEAD && !walk->first && walk->revisits == 0 && walk->page == NULL &&
           !engine->resumed && !engine->poll->probe && !at->lies &&
           at->quiet < (at->honest ? TRUST_304 : DOUBT_304) &&
           (at->etag != NULL || at->last_modified != NULL);
}
