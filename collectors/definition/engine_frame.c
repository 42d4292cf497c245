/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page after the other, and what hangs on each: its records are emitted, then for each of those
 * that have something to ask for a frame of its own is laid on top, with pages and children of its
 * own; only when all of them are through comes the next page. The page in hand stays until then, so
 * what is held is one page a generation.
 *
 *     ASK ─▶ (answer) ─▶ EMIT ─▶ CHILDREN ─▶ NEXT ─▶ ASK …
 *                                  │  ▲
 *                                  ▼  │ done
 *                              frame on top
 */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- frames --- */

struct frame *frame_top(struct engine *engine)
{
    return &engine->frames[engine->depth - 1];
}

/* What stands in templates of the records of the page in hand. */
void frame_environment(struct engine *engine, struct environment *out)
{
    engine_environment(engine, out);
    out->grandparent = out->parent;
    out->parent = out->record;
}

void frame_clear_page(struct frame *frame)
{
    children_clear(frame);
    frame->child_at = 0;
    frame->nodes.count = frame->first_count = frame->next = 0;
    frame->ids_hash = 0;
    frame->unfit = frame->repeated = false;
    frame->root = NULL;
    joins_free(frame->joins);
    frame->joins = NULL;
    free(frame->link);
    free(frame->url);
    frame->link = frame->url = NULL;
}

int frame_push(struct engine *engine, const struct child *child, const struct json_node *of,
               struct ear_error *err)
{
    struct frame *frame = NULL;

    if (engine->depth == ENGINE_DEPTH_MAX) {
        return ear_fail(err, EAR_CONFIG, "config: children are nested more than %d deep",
                        ENGINE_DEPTH_MAX - 1);
    }
    frame = &engine->frames[engine->depth];
    *frame = (struct frame){.child = child, .of = of, .salt = engine->at->salt};
    if (child == NULL) {
        const struct list *list = engine->at->list;

        frame->request = &list->request;
        frame->page = &list->page;
        frame->records = list->records;
        frame->record_count = list->record_count;
        frame->map = &list->map;
        frame->skip = &list->skip;
        frame->deleted = &list->deleted;
        frame->children = list->children;
        frame->child_count = list->child_count;
    } else {
        const struct frame *above = frame_top(engine);

        frame->request = &child->request;
        frame->page = &child->page;
        frame->records = child->records;
        frame->record_count = child->record_count;
        frame->map = &child->map;
        frame->skip = &child->skip;
        frame->deleted = &child->deleted;
        frame->children = child->children;
        frame->child_count = child->child_count;
        frame->salt = above->salt * 31 + (uint64_t)(child - above->children) + 1;
        frame->text = next_first(frame->page);
    }
    if (json_new(&frame->json, err) != 0) {
        free(frame->text);
        return -1;
    }
    engine->depth++;
    return 0;
}

void frame_pop(struct engine *engine)
{
    struct frame *frame = frame_top(engine);

    frame_clear_page(frame);
    json_free(frame->json);
    free(frame->nodes.items);
    free(frame->each.items);
    free(frame->ids);
    free(frame->text);
    *frame = (struct frame){0};
    engine->depth--;
}

/* --- asking --- */

/* The cursor's member of a list's request; value NULL: there is none. */
static int fill_cursor(struct engine *engine, const struct frame *frame, struct extra *extra,
                       struct ear_error *err)
{
    const struct cursor *cursor = &engine->at->list->cursor;
    const struct template *text = NULL;
    struct environment environment;
    bool absent = false;

    free(engine->cursor);
    engine->cursor = NULL;
    if (walk_cursor(engine, &engine->cursor, err) != 0) {
        return -1;
    }
    if (cursor->into == NULL) {
        return 0;
    }
    text = engine->cursor == NULL ? cursor->start : cursor->send;
    extra->into = cursor->into;
    if (text == NULL) {
        extra->value = engine->cursor == NULL ? NULL : strdup(engine->cursor);
        return engine->cursor != NULL && extra->value == NULL ? ear_fail_memory(err, "a cursor")
                                                              : 0;
    }
    engine_environment(engine, &environment);
    extra->encoded = true;
    extra->value = template_expand(
        text, &environment, frame->request->form_count > 0 ? TEMPLATE_BODY_FORM : TEMPLATE_QUERY,
        &absent, err);
    return extra->value == NULL && !absent ? -1 : 0;
}

/* Asks for the first page of a list only if it has changed. */
static int make_conditional(struct engine *engine, struct ear_error *err)
{
    const struct kept_list *at = engine->at;
    const struct asked *asked = &engine->asked;
    uint64_t hash = hash64_of(asked->url, strlen(asked->url), 3);

    if (asked->body != NULL) {
        hash = hash64_of(asked->body, strlen(asked->body), hash);
    }
    engine->page_url = hash == 0 ? 1 : hash;
    engine->conditional = walk_may_be_same(engine) && at->page_url == engine->page_url;
    if (!engine->conditional) {
        return 0;
    }
    return kept_set(&engine->asked.etag, at->etag, KEPT_TEXT_MAX, err) != 0 ||
                   kept_set(&engine->asked.last_modified, at->last_modified, KEPT_TEXT_MAX, err) !=
                       0
               ? -1
               : 0;
}

static int ask(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    struct frame *frame = frame_top(engine);
    struct extra extras[2] = {{0}, {.into = frame->page->into, .value = frame->text}};
    struct environment environment;
    int result = -1;

    engine->conditional = false;
    if (frame->child == NULL && fill_cursor(engine, frame, &extras[0], err) != 0) {
        return -1;
    }
    engine_environment(engine, &environment);
    if (frame->text != NULL && (frame->page->kind == PAGE_LINK ||
                                (frame->child == NULL && engine->at->list->cursor.by_link))) {
        result = ask_follow(engine, frame->request, &environment, frame->text, err);
    } else {
        result = ask_prepare(engine, frame->request, &environment, extras, 2, err);
    }
    free(extras[0].value);
    if (result != 0) {
        return -1;
    }
    if (frame->child == NULL && engine->walk->pages == 0 && make_conditional(engine, err) != 0) {
        return -1;
    }
    return ask_send(engine, FOR_PAGE, turn, err);
}

/* --- pages --- */

static int go_to_next(struct engine *engine, const struct source_output *output,
                      struct ear_error *err)
{
    struct frame *frame = frame_top(engine);
    const int64_t max = frame->page->max > 0 ? frame->page->max : ENGINE_PAGES_MAX;
    char *text = NULL;
    bool over = false;

    if (next_page(engine, frame, frame->url, &text, err) != 0) {
        return -1;
    }
    fit_next(engine, text != NULL);
    if (frame->child == NULL) {
        if (walk_go_on(engine, text, &over, output, err) != 0) {
            return -1;
        }
        frame_clear_page(frame);
        frame->state = FRAME_ASK;
        if (over) {
            frame_pop(engine);
        }
        return 0;
    }
    frame->pages++;
    frame->whole = text == NULL;
    if (text == NULL || frame->pages >= max || engine->poll->probe) {
        free(text);
        return children_end(engine, err);
    }
    frame_clear_page(frame);
    free(frame->text);
    frame->text = text;
    frame->state = FRAME_ASK;
    return 0;
}

int frame_go_on(struct engine *engine, const struct source_output *output, struct source_turn *turn,
                struct ear_error *err)
{
    struct frame *frame = frame_top(engine);
    bool all = true;

    switch (frame->state) {
    case FRAME_ASK:
        engine->child_requests += frame->child == NULL ? 0 : 1;
        return ask(engine, turn, err);
    case FRAME_EMIT:
        if (records_emit(engine, output, &all, err) != 0) {
            return -1;
        }
        if (all) {
            frame->state = FRAME_CHILDREN;
        } else {
            turn->next = SOURCE_MORE;
            engine->decided = true;
        }
        return 0;
    case FRAME_CHILDREN:
        if (children_next(engine, &all, turn, err) != 0) {
            return -1;
        }
        if (turn->next == SOURCE_LATER) {
            engine->decided = true;
        } else if (all) {
            frame->state = FRAME_NEXT;
        }
        return 0;
    case FRAME_NEXT:
        return go_to_next(engine, output, err);
    }
    return 0;
}
