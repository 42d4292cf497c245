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

enum { TRUST_304 = 20 /* polls in a row */, PROBE_DAYS = 30 };

static const struct list *list_of(const struct engine *engine)
{
    return engine->at->list;
}

static bool is_numeric(const struct cursor *cursor)
{
    return cursor->given && !cursor->by_link && cursor->as != AS_TEXT;
}

static bool is_text(const struct cursor *cursor)
{
    return cursor->given && !cursor->by_link && cursor->as == AS_TEXT;
}

static bool is_time(const struct cursor *cursor)
{
    return is_numeric(cursor) && cursor->as != AS_INT && cursor->as != AS_NUMBER;
}

static int64_t less(int64_t value, int64_t by)
{
    return value < INT64_MIN + by ? INT64_MIN : value - by;
}

/* So long ago, in whole seconds: some servers take no others. */
static int64_t ago(const struct engine *engine, int64_t span_us)
{
    const int64_t at_us = less(engine->poll->now_us, span_us);

    return at_us == INT64_MIN ? at_us : at_us - at_us % CLOCK_SECOND_US;
}

static int64_t lower(int64_t one, int64_t other)
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

    return engine->poll->probe || history_us == INT64_MAX ? INT64_MIN : ago(engine, history_us);
}

static void begin_first(struct engine *engine, struct walk *walk)
{
    struct kept_list *at = engine->at;

    if (!at->seen) {
        at->history_us = lower(history_floor(engine), at->past_us);
    }
    walk->first = true;
    walk->since_us = at->history_us;
    if (engine->poll->probe && !walk->down) {
        walk->since_us = ago(engine, PROBE_DAYS * CLOCK_DAY_US);
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

    if (is_numeric(cursor)) {
        walk->has_floor = true;
        walk->floor = is_time(cursor) ? less(at->at, cursor->overlap_us) : at->at;
        walk->since_us = is_time(cursor) ? walk->floor : less(at->at_us, CLOCK_HOUR_US);
    } else {
        walk->since_us = less(at->at_us, CLOCK_HOUR_US);
    }
    if (!is_time(cursor) && cursor->overlap_us > 0 && at->at_us != INT64_MIN) {
        walk->has_floor_us = true;
        walk->floor_us = walk->since_us = less(at->at_us, cursor->overlap_us);
    }
    if (window_us > 0) {
        const int64_t from_us = ago(engine, window_us);

        walk->floor_us = walk->has_floor_us ? lower(walk->floor_us, from_us) : from_us;
        walk->has_floor_us = true;
        walk->since_us = lower(walk->since_us, from_us);
    }
}

static int begin_up(struct engine *engine, struct walk *walk, int64_t window_us,
                    struct ear_error *err)
{
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;

    if (is_numeric(cursor)) {
        walk->has_base = true;
        walk->base = less(at->at, is_time(cursor) ? cursor->overlap_us : cursor->overlap_count);
        if (is_time(cursor) && window_us > 0) {
            walk->base = lower(walk->base, ago(engine, window_us));
        }
        walk->since_us = is_time(cursor) ? walk->base : less(at->at_us, CLOCK_HOUR_US);
        return 0;
    }
    walk->since_us = less(at->at_us, CLOCK_HOUR_US);
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

    if (!list_of(engine)->cursor.by_link || bits == 0 || engine->poll->probe) {
        return false;
    }
    walk->down = true;
    walk->revisits = bits;
    walk->has_floor_us = true;
    walk->floor_us = walk->since_us = ago(engine, window_us);
    forget_shown(engine->at);
    return true;
}

static void begin_past(struct engine *engine, struct walk *walk)
{
    const struct cursor *cursor = &list_of(engine)->cursor;
    const int64_t since_us = engine->poll->backfill_since_us; /* as given: it names the walk */

    walk->first = true;
    walk->down = !cursor->given || cursor->order == ORDER_NEWEST || cursor->by_link;
    walk->since_us = since_us;
    walk->has_floor_us = walk->down;
    walk->floor_us = since_us;
    engine->at->history_us = lower(engine->at->history_us, since_us);
    if (!walk->down && is_time(cursor) && cursor->start == NULL) {
        walk->has_base = true;
        walk->base = since_us;
    }
}

static void forget_page(struct engine *engine)
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
    forget_page(engine);
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
    frame->pages = walk->pages;
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
static bool is_withheld(const struct engine *engine)
{
    const struct cursor *cursor = &list_of(engine)->cursor;
    const struct walk *walk = engine->walk;
    int64_t at_us = engine->at->at_us;

    if (cursor->within_us == 0) {
        return false;
    }
    if (is_time(cursor) && (walk->has_floor || walk->has_base)) {
        at_us = walk->has_floor ? walk->floor : walk->base;
    }
    return at_us < less(engine->poll->now_us, cursor->within_us);
}

int walk_cursor(struct engine *engine, char **text, struct ear_error *err)
{
    const struct walk *walk = engine->walk;
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;
    bool known = true;

    *text = NULL;
    if (is_withheld(engine)) {
        return 0;
    }
    if (is_text(cursor) && (walk->base_text != NULL || (walk->down && at->at_text != NULL))) {
        /* no window can be told by it */
        *text = walk->first || walk->revisits != 0
                    ? NULL
                    : strdup(walk->base_text != NULL ? walk->base_text : at->at_text);
        known = walk->first || walk->revisits != 0 || *text != NULL;
    } else if (is_numeric(cursor) && walk->down && walk->has_floor) {
        int64_t value = walk->floor;

        if (is_time(cursor) && walk->has_floor_us) {
            value = lower(value, walk->floor_us);
        } else if (!is_time(cursor)) {
            value = less(value, cursor->overlap_count);
        }
        if (is_time(cursor) || walk->revisits == 0) {
            *text = value_text(cursor->as, value);
            known = *text != NULL;
        }
    } else if (is_numeric(cursor) && walk->has_base) {
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
           !engine->resumed && !engine->poll->probe && !at->lies && at->quiet < TRUST_304 &&
           (at->etag != NULL || at->last_modified != NULL);
}

/* --- what a page shows --- */

bool walk_wants(const struct engine *engine, const struct json_node *node, int64_t created_us)
{
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;
    int64_t value = 0;
    const char *text = NULL;
    const bool has_value =
        cursor->given && !cursor->by_link && cursor_value(cursor, node, &value, &text);
    const int64_t time_us = has_value && is_time(cursor) ? value : created_us;

    if (at->history_us == INT64_MIN || time_us == INT64_MIN || time_us >= at->history_us) {
        return true;
    }
    if (has_value && is_numeric(cursor)) {
        return at->has_born && value > at->born;
    }
    if (has_value) {
        return !engine->walk->first && !kept_knows(at, text);
    }
    return cursor->by_link && !engine->walk->down;
}

static void note_value(struct engine *engine, int64_t value)
{
    struct page_sight *sight = &engine->sight;
    struct walk *walk = engine->walk;
    const struct kept_list *at = engine->at;

    sight->rising = sight->rising && (!sight->has_value[0] || value >= sight->value[0]);
    sight->has_value[1] = sight->has_value[0];
    sight->value[1] = sight->value[0];
    sight->has_value[0] = true;
    sight->value[0] = value;
    sight->most = sight->has_most && sight->most > value ? sight->most : value;
    sight->has_most = true;
    walk->high = walk->has_high && walk->high > value ? walk->high : value;
    walk->low = walk->has_low && walk->low < value ? walk->low : value;
    walk->has_high = walk->has_low = true;
    walk->old += at->has_at && value <= at->at ? 1 : 0;
}

static void note_text(struct engine *engine, const char *text)
{
    struct page_sight *sight = &engine->sight;
    struct walk *walk = engine->walk;
    const bool known = kept_knows(engine->at, text);

    sight->known[1] = sight->has_value[0] && sight->known[0];
    sight->has_value[1] = sight->has_value[0];
    sight->has_value[0] = true;
    sight->known[0] = known;
    walk->old += known ? 1 : 0;
    kept_note_text(walk, text);
    if (walk->text == NULL && strlen(text) <= KEPT_TEXT_MAX) {
        walk->text = strdup(text);
    }
    if (!walk->down) {
        free(sight->last_text);
        sight->last_text = strdup(text);
    }
}

void walk_note(struct engine *engine, const struct json_node *node, int64_t created_us)
{
    const struct cursor *cursor = &list_of(engine)->cursor;
    struct page_sight *sight = &engine->sight;
    struct walk *walk = engine->walk;
    int64_t value = 0;
    const char *text = NULL;
    int64_t time_us = created_us;

    sight->count++;
    if (cursor->given && !cursor->by_link && cursor_value(cursor, node, &value, &text)) {
        if (is_text(cursor)) {
            note_text(engine, text);
        } else {
            note_value(engine, value);
            time_us = is_time(cursor) ? value : time_us;
        }
    }
    if (time_us != INT64_MIN) {
        sight->time_us[1] = sight->time_us[0];
        sight->time_us[0] = time_us;
        walk->high_us = walk->high_us > time_us ? walk->high_us : time_us;
        walk->low_us = walk->low_us == INT64_MIN || time_us < walk->low_us ? time_us : walk->low_us;
    }
}

/* --- where it ends --- */

/* The server's newest is older than what was seen before: it lost something, or began anew. */
static bool went_back(const struct engine *engine)
{
    const struct walk *walk = engine->walk;

    return walk->kind == WALK_HEAD && walk->down && walk->has_floor && walk->has_high &&
           engine->at->has_at && walk->high < walk->floor && list_of(engine)->cursor.into == NULL;
}

/* Is the n-th record from the end of the page older than whatever is looked for? */
static bool is_behind(const struct engine *engine, size_t n)
{
    const struct page_sight *sight = &engine->sight;
    const struct walk *walk = engine->walk;
    const bool by_text = is_text(&list_of(engine)->cursor) && !walk->first;

    if (went_back(engine)) { /* its values began anew: only times can tell */
        return sight->time_us[n] == INT64_MIN || sight->time_us[n] < engine->at->at_us;
    }
    if (walk->has_floor && (!sight->has_value[n] || sight->value[n] >= walk->floor)) {
        return false;
    }
    if (by_text && (!sight->has_value[n] || !sight->known[n])) {
        return false;
    }
    if (walk->has_floor_us &&
        (sight->time_us[n] == INT64_MIN || sight->time_us[n] >= walk->floor_us)) {
        return false;
    }
    return walk->has_floor || by_text || walk->has_floor_us;
}

static bool has_reached_floor(const struct engine *engine)
{
    const struct walk *walk = engine->walk;
    const int64_t overlap = list_of(engine)->cursor.overlap_count;

    if (engine->sight.count == 0 || (!walk->first && walk->old < overlap)) {
        return false;
    }
    return is_behind(engine, 0) && (engine->sight.count == 1 || is_behind(engine, 1));
}

/* Did the walk end before it met what was read before? */
static bool leaves_gap(const struct engine *engine, bool exhausted)
{
    const struct walk *walk = engine->walk;
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;

    if (walk->kind != WALK_HEAD || walk->first || !walk->down || !cursor->given) {
        return false;
    }
    if (exhausted && ((cursor->into != NULL && !is_withheld(engine)) || cursor->by_link)) {
        return false; /* the server itself stops where we stood */
    }
    if (is_numeric(cursor) ? walk->has_low && walk->low <= at->at : walk->old > 0) {
        return false;
    }
    return true;
}

static int tell_gap(struct engine *engine, bool exhausted, const struct source_output *output,
                    struct ear_error *err)
{
    const struct walk *walk = engine->walk;
    const struct kept_list *at = engine->at;
    char why[160];

    if (output->gap == NULL || !leaves_gap(engine, exhausted) ||
        (exhausted && !walk->has_low && walk->text == NULL)) { /* nothing at all is no gap */
        return 0;
    }
    if (exhausted) {
        (void)snprintf(why, sizeof(why), "the server has nothing older any more");
    } else {
        (void)snprintf(why, sizeof(why), "%" PRId64 " pages are all that the server gives",
                       walk->pages);
    }
    return output->gap(output->user, at->at_us,
                       walk->low_us == INT64_MIN ? engine->poll->now_us : walk->low_us, why, err);
}

static void miss_posts(struct engine *engine)
{
    const struct walk *walk = engine->walk;
    struct kept_list *at = engine->at;
    const int64_t from_us = walk->down ? walk->floor_us : walk->since_us;

    if (walk->revisits == 0 || walk->cut || (walk->down ? !walk->has_floor_us : !walk->has_base)) {
        return;
    }
    for (size_t i = 0; i < at->post_count; i++) {
        struct kept_post *post = &at->posts[i];

        post->missing =
            post->missing || (!post->shown && post->listed && post->created_us >= from_us &&
                              post->created_us < walk->began_us);
    }
}

/* Old posts that no window reaches any more are not waited for. */
static void drop_posts(struct engine *engine)
{
    struct kept_list *at = engine->at;
    int64_t widest_us = 0;

    for (size_t i = 0; i < at->list->revisit_count; i++) {
        widest_us = at->list->revisits[i].window_us > widest_us ? at->list->revisits[i].window_us
                                                                : widest_us;
    }
    while (at->post_count > 0 && !at->posts[0].missing &&
           at->posts[0].created_us < less(engine->poll->now_us, widest_us)) {
        kept_drop_post(at, 0);
    }
}

static int keep_head(struct engine *engine, struct ear_error *err)
{
    struct walk *walk = engine->walk;
    struct kept_list *at = engine->at;

    if (walk->has_high) {
        at->at = at->has_at && at->at > walk->high && !went_back(engine) ? at->at : walk->high;
        at->has_at = true;
    }
    at->at_us = walk->high_us > at->at_us ? walk->high_us : at->at_us;
    kept_keep_texts(at, walk);
    if (walk->text != NULL && walk->down &&
        kept_set(&at->at_text, walk->text, KEPT_TEXT_MAX, err) != 0) {
        return -1;
    }
    if (walk->link != NULL && kept_set(&at->link, walk->link, KEPT_TEXT_MAX, err) != 0) {
        return -1;
    }
    if (engine->head_read) {
        free(at->etag);
        free(at->last_modified);
        at->etag = engine->etag;
        at->last_modified = engine->last_modified;
        engine->etag = engine->last_modified = NULL;
        at->page_url = engine->page_url;
        at->page_hash = engine->page_hash;
        at->quiet = 0;
    }
    if (walk->first && walk->has_high && !at->has_born) {
        at->born = walk->high;
        at->has_born = true;
    }
    at->seen = true;
    return 0;
}

static int finish(struct engine *engine, bool exhausted, const struct source_output *output,
                  struct ear_error *err)
{
    struct walk *walk = engine->walk;
    struct kept_list *at = engine->at;

    if (tell_gap(engine, exhausted, output, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < at->list->revisit_count && i < KEPT_REVISITS_MAX; i++) {
        if ((walk->revisits & 1U << i) != 0 || (walk->first && walk->kind == WALK_HEAD)) {
            at->revisited_us[i] = walk->began_us;
        }
    }
    if (!exhausted && !has_reached_floor(engine)) {
        walk->cut = true; /* by the number of pages */
    }
    miss_posts(engine);
    if (walk->kind == WALK_HEAD && keep_head(engine, err) != 0) {
        return -1;
    }
    if (walk->kind == WALK_PAST) {
        at->past_us = lower(at->past_us, walk->since_us);
    }
    drop_posts(engine);
    walk_clear(walk);
    engine->save = true;
    return 0;
}

/* After the first page: what it holds is there from now on. */
static void keep_first_page(struct engine *engine)
{
    struct kept_list *at = engine->at;
    const struct walk *walk = engine->walk;

    if (walk->kind != WALK_HEAD || walk->pages != 0 || !walk->first) {
        return;
    }
    if (walk->has_high && !at->has_born && walk->down) {
        at->born = walk->high;
        at->has_born = true;
    }
}

/* Up: where the cursor is after this page; *again: ask the list anew from there. */
static int move_up(struct engine *engine, bool more, bool *again, struct ear_error *err)
{
    struct walk *walk = engine->walk;
    struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;
    struct page_sight *sight = &engine->sight;
    const enum page_kind kind = at->list->page.kind;
    int64_t next = 0;

    *again = false;
    if (cursor->by_link) {
        return walk->kind == WALK_HEAD && walk->link != NULL
                   ? kept_set(&at->link, walk->link, KEPT_TEXT_MAX, err)
                   : 0;
    }
    if (is_text(cursor) && sight->last_text != NULL) {
        const bool moved =
            walk->base_text == NULL || strcmp(walk->base_text, sight->last_text) != 0;

        *again = moved && kind == PAGE_NONE && cursor->into != NULL;
        if (walk->kind == WALK_HEAD &&
            kept_set(&at->at_text, sight->last_text, KEPT_TEXT_MAX, err) != 0) {
            return -1;
        }
        return *again ? kept_set(&walk->base_text, sight->last_text, KEPT_TEXT_MAX, err) : 0;
    }
    if (!is_numeric(cursor) || !sight->has_most) {
        return 0;
    }
    if (walk->kind == WALK_HEAD) {
        at->at = at->has_at && at->at > sight->most ? at->at : sight->most;
        at->has_at = true;
        at->at_us = walk->high_us > at->at_us ? walk->high_us : at->at_us;
    }
    next = less(sight->most, is_time(cursor) ? cursor->overlap_us : cursor->overlap_count);
    if (cursor->into == NULL || !sight->rising || kind == PAGE_TOKEN || kind == PAGE_LAST) {
        return 0;
    }
    if (kind == PAGE_NONE) {
        next = walk->has_base && next <= walk->base ? sight->most : next;
        *again = !walk->has_base || next > walk->base;
    } else { /* worth it if it gains at least half of what the page spans */
        *again = more && (!walk->has_base || (next > walk->base &&
                                              next - walk->base >= (sight->most - walk->base) / 2));
    }
    if (*again) {
        walk->base = next;
        walk->has_base = true;
    }
    return 0;
}

/* A backfill of a list that is read upwards is over where ordinary polls go on. */
static bool met_cursor(const struct engine *engine)
{
    const struct walk *walk = engine->walk;

    return walk->kind == WALK_PAST && !walk->down && engine->at->has_at && engine->sight.has_most &&
           engine->sight.most >= engine->at->at;
}

int walk_go_on(struct engine *engine, char *text, bool *over, const struct source_output *output,
               struct ear_error *err)
{
    struct walk *walk = engine->walk;
    struct frame *frame = &engine->frames[0];
    const int64_t max = frame->page->max > 0 ? frame->page->max : ENGINE_PAGES_MAX;
    bool again = false;
    int result = 0;

    keep_first_page(engine);
    if (!walk->down) {
        result = move_up(engine, text != NULL, &again, err);
    }
    walk->pages++;
    walk->stuck = 0;
    walk->stuck_many = 0;
    if (result == 0 && again) {
        free(text);
        text = next_first(frame->page);
        frame->ring_count = 0; /* the pages of the new beginning are others */
    }
    *over = result == 0 && (engine->poll->probe || (text == NULL && !again) || walk->pages >= max ||
                            met_cursor(engine) || (walk->down && has_reached_floor(engine)));
    if (result != 0 || (*over && engine->poll->probe)) {
        free(text);
        return result;
    }
    if (*over && text == NULL && !walk->doubted && leaves_gap(engine, true)) {
        /* half an answer looks like the end of the list: only the second one is believed */
        walk->doubted = true;
        walk->pages--;
        *over = false;
        (void)snprintf(engine->say, sizeof(engine->say),
                       "the list ends before what was read before; it is asked again");
        engine->turn->next = SOURCE_LATER;
        engine->turn->why = engine->say;
        engine->decided = engine->save = true;
        return 0;
    }
    if (*over) {
        result = finish(engine, text == NULL, output, err);
        free(text);
        return result;
    }
    free(walk->page);
    free(frame->text);
    frame->text = text;
    walk->page = again || text == NULL ? NULL : strdup(text);
    frame->pages = walk->pages;
    forget_page(engine);
    engine->resumed = false;
    engine->save = true;
    return 0;
}

int walk_end(struct engine *engine, const struct source_output *output, struct ear_error *err)
{
    engine->save = !engine->poll->probe;
    return engine->poll->probe ? 0 : finish(engine, true, output, err);
}

void walk_unchanged(struct engine *engine)
{
    engine->at->quiet++;
    walk_clear(engine->walk);
    engine->save = true;
}
