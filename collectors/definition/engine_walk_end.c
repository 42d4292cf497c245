/* SPDX-License-Identifier: Apache-2.0 */
/* What a page of a walk shows, and whether it is the last. */
#include "collectors/definition/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings/settings.h"

/* --- what a page shows --- */

bool walk_wants(const struct engine *engine, const struct json_node *node, int64_t created_us)
{
    const struct kept_list *at = engine->at;
    const struct cursor *cursor = &at->list->cursor;
    int64_t value = 0;
    const char *text = NULL;
    const bool has_value =
        cursor->given && !cursor->by_link && cursor_value(cursor, node, &value, &text);
    const int64_t time_us = has_value && walk_is_time(cursor) ? value : created_us;

    if (at->history_us == INT64_MIN || time_us == INT64_MIN || time_us >= at->history_us) {
        return true;
    }
    if (has_value && walk_is_numeric(cursor)) {
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
    if (walk_is_time(&at->list->cursor)) { /* what claims to be of the future moves it no further */
        value = walk_lower(value, engine->poll->now_us);
    }
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
    const struct cursor *cursor = &walk_list(engine)->cursor;
    struct page_sight *sight = &engine->sight;
    struct walk *walk = engine->walk;
    int64_t value = 0;
    const char *text = NULL;
    int64_t time_us = created_us;

    sight->count++;
    if (cursor->given && !cursor->by_link && cursor_value(cursor, node, &value, &text)) {
        if (walk_is_text(cursor)) {
            note_text(engine, text);
        } else {
            note_value(engine, value);
            time_us = walk_is_time(cursor) ? value : time_us;
        }
    }
    if (time_us != INT64_MIN) {
        sight->time_us[1] = sight->time_us[0];
        sight->time_us[0] = time_us;
        time_us = walk_lower(time_us, engine->poll->now_us);
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
           engine->at->has_at && walk->high < walk->floor && walk_list(engine)->cursor.into == NULL;
}

/* Is the n-th record from the end of the page older than whatever is looked for? */
static bool is_behind(const struct engine *engine, size_t n)
{
    const struct page_sight *sight = &engine->sight;
    const struct walk *walk = engine->walk;
    const bool by_text = walk_is_text(&walk_list(engine)->cursor) && !walk->first;

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
    const int64_t overlap = walk_list(engine)->cursor.overlap_count;

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
    if (exhausted && ((cursor->into != NULL && !walk_withholds(engine)) || cursor->by_link)) {
        return false; /* the server itself stops where we stood */
    }
    if (walk_is_numeric(cursor) ? walk->has_low && walk->low <= at->at : walk->old > 0) {
        return false;
    }
    return true;
}

/* Did a walk into what nobody has read yet, the first one or a backfill, end before its time: by
 * the number of its pages, or as they do not work? */
static bool leaves_past(const struct engine *engine, bool exhausted)
{
    const struct walk *walk = engine->walk;

    return walk->first && walk->down && (engine->unpaged || !exhausted) &&
           walk_list(engine)->cursor.given && !has_reached_floor(engine);
}

static int tell_gap(struct engine *engine, bool exhausted, const struct source_output *output,
                    struct ear_error *err)
{
    const struct walk *walk = engine->walk;
    const struct kept_list *at = engine->at;
    const bool past = leaves_past(engine, exhausted);
    int64_t from_us = at->at_us;
    char why[160];

    if (output->gap == NULL || (!past && !leaves_gap(engine, exhausted)) ||
        (exhausted && !walk->has_low && walk->text == NULL &&
         !engine->unpaged)) { /* nothing at all is no gap */
        return 0;
    }
    if (past) {
        from_us = walk->has_floor_us ? walk->floor_us : INT64_MIN;
    }
    if (engine->unpaged) {
        (void)snprintf(why, sizeof(why), "its further pages cannot be read: `page` does not fit");
    } else if (exhausted) {
        (void)snprintf(why, sizeof(why), "the server has nothing older any more");
    } else {
        (void)snprintf(why, sizeof(why),
                       past ? "its history ends with page %" PRId64 ", as `page.max` says"
                            : "%" PRId64 " pages are all that the server gives",
                       walk->pages);
    }
    return output->gap(output->user, from_us,
                       walk->low_us == INT64_MIN ? engine->poll->now_us : walk->low_us, why, err);
}

/* How far back a walk ought to have shown all there is; INT64_MAX: nowhere. One that was cut by the
 * number of its pages came as far as the last records of the last page. */
static int64_t shown_from(const struct engine *engine)
{
    const struct walk *walk = engine->walk;
    const int64_t *last_us = engine->sight.time_us;

    if (walk->revisits == 0 || (walk->down ? !walk->has_floor_us : !walk->has_base)) {
        return INT64_MAX;
    }
    if (!walk->cut) {
        return walk->down ? walk->floor_us : walk->since_us;
    }
    return !walk->down || last_us[0] == INT64_MIN || last_us[1] == INT64_MIN
               ? INT64_MAX
               : -walk_lower(-last_us[0], -last_us[1]);
}

static void miss_posts(struct engine *engine)
{
    const struct walk *walk = engine->walk;
    struct kept_list *at = engine->at;
    const int64_t from_us = shown_from(engine);

    if (from_us == INT64_MAX) {
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
           at->posts[0].created_us < walk_less(engine->poll->now_us, widest_us)) {
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

    engine->believed = engine->believed || walk->doubted;
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
        at->past_us = walk_lower(at->past_us, walk->since_us);
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
    if (walk_is_text(cursor) && sight->last_text != NULL) {
        const bool moved =
            walk->base_text == NULL || strcmp(walk->base_text, sight->last_text) != 0;

        *again = moved && kind == PAGE_NONE && cursor->into != NULL;
        if (walk->kind == WALK_HEAD &&
            kept_set(&at->at_text, sight->last_text, KEPT_TEXT_MAX, err) != 0) {
            return -1;
        }
        return *again ? kept_set(&walk->base_text, sight->last_text, KEPT_TEXT_MAX, err) : 0;
    }
    if (!walk_is_numeric(cursor) || !sight->has_most) {
        return 0;
    }
    if (walk->kind == WALK_HEAD) {
        at->at = at->has_at && at->at > sight->most ? at->at : sight->most;
        at->has_at = true;
        at->at_us = walk->high_us > at->at_us ? walk->high_us : at->at_us;
    }
    next =
        walk_less(sight->most, walk_is_time(cursor) ? cursor->overlap_us : cursor->overlap_count);
    if (cursor->into == NULL || !sight->rising || kind == PAGE_TOKEN || kind == PAGE_LAST) {
        return 0;
    }
    if (kind == PAGE_NONE) {
        next = walk->has_base && next <= walk->base ? sight->most : next;
        *again = !walk->has_base || next > walk->base;
    } else { /* worth it if it gains at least half of what the page spans */
        const double gain = (double)next - (double)walk->base; /* any number may be an id */
        const double span = (double)sight->most - (double)walk->base;

        *again = more && (!walk->has_base || (next > walk->base && gain >= span / 2));
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

/* Is this the end of the list, as it looks? */
static bool is_doubtful(const struct engine *engine, const struct frame *frame)
{
    const struct walk *walk = engine->walk;

    if (engine->believed) {
        return false;
    }
    return leaves_gap(engine, true) ||
           (walk->down && !has_reached_floor(engine) &&
            (walk->first ? frame->odd || frame->blank : walk->revisits != 0 && frame->odd));
}

/* Half an answer looks like the end of the list: only the second one is believed. */
static void doubt(struct engine *engine, const struct frame *frame)
{
    const bool gap = leaves_gap(engine, true);

    engine->walk->doubted = true;
    engine->walk->pages--;
    if (frame->blank && !gap) {
        return; /* it may well be none: once more at once */
    }
    (void)snprintf(engine->say, sizeof(engine->say),
                   "the list ends where it should go on; it is asked again");
    engine->turn->next = SOURCE_LATER;
    engine->turn->why = engine->say;
    engine->decided = engine->save = true;
}

int walk_go_on(struct engine *engine, char *text, bool *over, const struct source_output *output,
               struct ear_error *err)
{
    struct walk *walk = engine->walk;
    struct frame *frame = &engine->frames[0];
    const int64_t max = frame->page->max > 0 ? frame->page->max : ENGINE_PAGES_MAX;
    bool again = false;
    int result = 0;

    engine->unpaged = text == NULL && fit_is_unpaged(engine);
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
        frame->ids_before = 0;
        frame->hash = 0; /* … or the same, where a whole page is of one instant: read on */
    }
    *over = result == 0 && ((engine->poll->probe && walk->pages >= engine->poll->probe_pages) ||
                            (text == NULL && !again) || walk->pages >= max || met_cursor(engine) ||
                            (walk->down && has_reached_floor(engine)));
    if (result != 0 || (*over && engine->poll->probe)) {
        free(text);
        walk_clear(walk);
        return result;
    }
    if (*over && text == NULL && !walk->doubted && is_doubtful(engine, frame)) {
        doubt(engine, frame);
        *over = false;
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
    walk_forget_page(engine);
    engine->resumed = false;
    engine->save = true;
    return 0;
}

int walk_end(struct engine *engine, const struct source_output *output, struct ear_error *err)
{
    engine->save = !engine->poll->probe;
    if (engine->poll->probe) {
        walk_clear(engine->walk);
        return 0;
    }
    return finish(engine, true, output, err);
}

void walk_unchanged(struct engine *engine)
{
    engine->at->quiet++;
    walk_clear(engine->walk);
    engine->save = true;
}
