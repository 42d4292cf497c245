/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids one by one instead of a list: where the newest stands is asked for, then each from where we
 * stood to there; at first sight, and into the past, from there down to the instant. An id that is
 * null is not ready yet: it is asked for again with the next polls, for a day.
 *
 *     LAST ─▶ what was awaited ─▶ down (first sight, backfill) or up, id by id
 */
#include "collectors/definition/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings/settings.h"

enum {
    IDS_BEHIND = 3,   /* in a row, older than the instant: the way down is over */
    IDS_POLL = 10000, /* are asked for by one poll, where page.max says nothing */
    IDS_FAR = 1000000 /* behind the newest: that many are never asked for one by one */
};

static int ask_id(struct engine *engine, int64_t id, struct source_turn *turn,
                  struct ear_error *err)
{
    const struct list *list = engine->at->list;
    struct environment environment;
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRId64, id);
    engine->id_asked = id;
    engine->conditional = false;
    engine_environment(engine, &environment);
    environment.id = environment.page = environment.cursor = text;
    if (ask_prepare(engine, &list->request, &environment, NULL, 0, err) != 0) {
        return -1;
    }
    engine->ids_asked++;
    return ask_send(engine, FOR_ID, turn, err);
}

static int ask_last(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    struct environment environment;

    engine->conditional = false;
    engine_environment(engine, &environment);
    return ask_prepare(engine, &engine->at->list->last, &environment, NULL, 0, err) == 0
               ? ask_send(engine, FOR_LAST, turn, err)
               : -1;
}

static int64_t step_of(const struct list *list)
{
    return list->step > 0 ? list->step : 1;
}

/* Begins the way down at the newest id, at first sight or into the past. */
static void begin_down(struct engine *engine, struct walk *walk, enum walk_kind kind)
{
    struct kept_list *at = engine->at;
    const int64_t now_us = engine->poll->now_us;
    const int64_t history_us = engine->poll->source->history_us;

    walk_clear(walk);
    walk->kind = kind;
    walk->down = walk->first = true;
    walk->began_us = now_us;
    walk->has_high = walk->has_base = true;
    walk->high = engine->id_last;
    walk->base = engine->id_last; /* the next to be asked for */
    if (kind == WALK_PAST) {
        walk->since_us = engine->poll->backfill_since_us;
        at->history_us = walk->since_us < at->history_us ? walk->since_us : at->history_us;
    } else {
        at->history_us = engine->poll->probe || history_us == INT64_MAX
                             ? INT64_MIN
                             : now_us - now_us % CLOCK_SECOND_US - history_us;
        walk->since_us = at->history_us;
    }
}

static void end_down(struct engine *engine)
{
    struct kept_list *at = engine->at;
    struct walk *walk = engine->walk;

    if (walk->kind == WALK_HEAD) {
        at->at = walk->high;
        at->has_at = true;
        at->seen = true;
    } else {
        at->past_us = walk->since_us < at->past_us ? walk->since_us : at->past_us;
    }
    walk_clear(walk);
    engine->save = true;
}

static bool is_spent(struct engine *engine, struct source_turn *turn)
{
    const int64_t most = engine->at->list->page.max;
    const int64_t max = engine->poll->probe ? ENGINE_PIECE / 10 : most > 0 ? most : IDS_POLL;

    if (engine->ids_asked < max) {
        return false;
    }
    if (!engine->poll->probe) {
        turn->next = SOURCE_LATER;
        turn->wait_us = most > 0 ? 0 : CLOCK_MINUTE_US;
        (void)snprintf(engine->say, sizeof(engine->say),
                       "%" PRId64 " ids are all that a poll asks for", max);
        turn->why = engine->say;
        engine->decided = true;
    }
    engine->save = true;
    engine->stage = STAGE_END;
    return true;
}

/* The newest id is nowhere near where we stood: it was a lie then, or is one now, or ids are given
 * out anew. What is asked for is what is near it, and what lies between is told as a gap. */
static int keep_near(struct engine *engine, const struct source_output *output,
                     struct ear_error *err)
{
    struct kept_list *at = engine->at;
    const int64_t now_us = engine->poll->now_us;
    const int64_t from_us = at->at_us;
    const int64_t far = IDS_FAR * step_of(at->list);
    const int64_t stood = at->at;
    char why[160];

    if (at->walk.kind != WALK_NONE && at->walk.base - far > engine->id_last) {
        walk_clear(&at->walk); /* down from a lie: from the newest then */
    }
    if (!at->has_at || (at->at >= engine->id_last - far && at->at - far <= engine->id_last)) {
        return 0;
    }
    at->at = engine->id_last - IDS_POLL * step_of(at->list);
    at->at = at->at < 0 ? 0 : at->at;
    at->awaited_count = 0;
    engine->save = true;
    (void)snprintf(why, sizeof(why),
                   "the newest id is %" PRId64 " and was %" PRId64 ": it goes on from %" PRId64,
                   engine->id_last, stood, at->at);
    return output->gap == NULL || engine->poll->probe
               ? 0
               : output->gap(output->user, from_us, now_us, why, err);
}

/* Where the walk goes on, once the newest id is known. */
static int go_on_walk(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    struct kept_list *at = engine->at;
    const bool past = engine->poll->backfill_since_us != 0;
    struct walk *walk = past ? &at->past : &at->walk;

    engine->walk = walk;
    if (past && walk->kind != WALK_NONE && walk->since_us != engine->poll->backfill_since_us) {
        walk_clear(walk);
    }
    if (walk->kind == WALK_NONE && engine->walked) {
        engine->stage = STAGE_END;
        return 0;
    }
    if (walk->kind == WALK_NONE && (past || !at->has_at)) {
        begin_down(engine, walk, past ? WALK_PAST : WALK_HEAD);
        engine->walked = true;
    }
    if (walk->kind != WALK_NONE) {
        if (walk->base <= 0 || walk->old >= IDS_BEHIND) {
            end_down(engine);
            return 0;
        }
        return ask_id(engine, walk->base, turn, err);
    }
    if (at->at > engine->id_last - step_of(at->list)) {
        engine->stage = STAGE_END;
        return 0;
    }
    return ask_id(engine, at->at + step_of(at->list), turn, err);
}

int ids_go_on(struct engine *engine, const struct source_output *output, struct source_turn *turn,
              struct ear_error *err)
{
    struct kept_list *at = engine->at;

    if (!engine->id_known) {
        engine->awaited_at = 0;
        engine->walk = &at->walk;
        return ask_last(engine, turn, err);
    }
    if (engine->ids_asked == 0 && engine->poll->backfill_since_us == 0 &&
        keep_near(engine, output, err) != 0) {
        return -1;
    }
    if (is_spent(engine, turn)) {
        return 0;
    }
    if (engine->awaited_at < at->awaited_count && engine->poll->backfill_since_us == 0) {
        return ask_id(engine, at->awaited[engine->awaited_at].id, turn, err);
    }
    engine->awaited_at = KEPT_AWAITED_MAX;
    return go_on_walk(engine, turn, err);
}

/* --- answers --- */

static void drop_awaited(struct kept_list *at, size_t place)
{
    at->awaited_count--;
    memmove(at->awaited + place, at->awaited + place + 1,
            (at->awaited_count - place) * sizeof(at->awaited[0]));
}

static void await(struct engine *engine, int64_t id)
{
    struct kept_list *at = engine->at;

    if (at->awaited_count == KEPT_AWAITED_MAX) {
        drop_awaited(at, 0);
    }
    at->awaited[at->awaited_count++] =
        (struct kept_awaited){.id = id, .since_us = engine->poll->now_us};
}

/* The id is through: with a record of that time, or none. */
static void note_id(struct engine *engine, bool there, int64_t created_us)
{
    struct kept_list *at = engine->at;
    struct walk *walk = engine->walk;

    engine->unsaved++;
    engine->save = engine->save || engine->unsaved >= ENGINE_SAVE_EVERY;
    if (engine->awaited_at < at->awaited_count) {
        const struct kept_awaited *awaited = &at->awaited[engine->awaited_at];

        if (there || engine->poll->now_us - awaited->since_us > CLOCK_DAY_US) {
            drop_awaited(at, engine->awaited_at);
        } else {
            engine->awaited_at++;
        }
        return;
    }
    if (!there && (walk->kind == WALK_NONE || (walk->kind == WALK_HEAD && walk->pages < 50))) {
        await(engine, engine->id_asked); /* further down they will never come */
    }
    if (walk->kind != WALK_PAST && created_us > at->at_us && created_us <= engine->poll->now_us) {
        at->at_us = created_us;
    }
    if (walk->kind == WALK_NONE) {
        at->at = engine->id_asked;
        return;
    }
    walk->pages++;
    walk->base -= step_of(at->list);
    if (created_us != INT64_MIN) {
        walk->old = created_us < walk->since_us ? walk->old + 1 : 0;
    }
    if (engine->poll->probe && walk->pages >= ENGINE_PIECE / 10) {
        walk->base = 0;
    }
}

static int emit_id(struct engine *engine, const struct json_node *root, int64_t *created_us,
                   const struct source_output *output, struct ear_error *err)
{
    const struct list *list = engine->at->list;
    const struct telling telling = {
        .map = &list->map,
        .skip = &list->skip,
        .deleted = &list->deleted,
        .root = root,
        .of_list = true,
    };
    struct environment environment;

    engine_environment(engine, &environment);
    environment.record = root;
    if (list->record_count > 0) {
        environment.record = pointer_first(&list->records[0], &environment);
    }
    if (environment.record == NULL) {
        return 0;
    }
    return frame_emit(engine, &telling, &environment, created_us, output, err);
}

static int take_last(struct engine *engine, const struct json_node *root, struct ear_error *err)
{
    struct environment environment;
    const struct json_node *node = NULL;
    const char *text = NULL;
    char *end = NULL;

    engine_environment(engine, &environment);
    environment.record = root;
    node = engine->at->list->last_at.text == NULL
               ? root
               : pointer_first(&engine->at->list->last_at, &environment);
    text = scalar_text(node, NULL);
    engine->id_last = text == NULL ? 0 : strtoll(text, &end, 10);
    if (text == NULL || end == text || *end != '\0' || engine->id_last <= 0) {
        return ear_fail(err, EAR_REJECT, "schema: where the newest id stands is no number");
    }
    engine->id_known = true;
    return 0;
}

int ids_answer(struct engine *engine, const struct fetch_answer *answer,
               const struct source_output *output, struct source_turn *turn, struct ear_error *err)
{
    const struct list *list = engine->at->list;
    const bool for_last = engine->asked_for == FOR_LAST;
    const struct json_node *root = NULL;
    int64_t created_us = INT64_MIN;

    switch (rules_judge(engine, answer, !for_last, turn, err)) {
    case VERDICT_AGAIN:
        return 0;
    case VERDICT_DECIDED:
        engine->decided = true;
        return 0;
    case VERDICT_FAILED:
        return -1;
    case VERDICT_SAME:
    case VERDICT_SKIP:
    case VERDICT_END:
        if (for_last) {
            engine->stage = STAGE_END;
            return 0;
        }
        note_id(engine, true, INT64_MIN); /* it will never be there */
        return 0;
    case VERDICT_PAGE:
        break;
    }
    root = rules_read(engine->body, for_last ? &list->last : &list->request, answer, err);
    if (root == NULL) {
        return -1;
    }
    rules_tell(engine, root, answer);
    if (for_last) {
        return take_last(engine, root, err);
    }
    if (json_kind_of(root) == JSON_NULL) {
        note_id(engine, false, INT64_MIN);
        return 0;
    }
    if (emit_id(engine, root, &created_us, output, err) != 0) {
        return -1;
    }
    note_id(engine, true, created_us);
    return 0;
}
