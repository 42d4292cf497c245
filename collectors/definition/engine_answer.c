/* SPDX-License-Identifier: Apache-2.0 */
/* An answer to a page: read, or judged where it is none. */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The link that is the cursor: of the first page on the way down, of each on the way up. A page
 * that shows nothing moves it nowhere. */
static int take_link(struct engine *engine, const struct fetch_answer *answer,
                     struct ear_error *err)
{
    const struct cursor *cursor = &engine->at->list->cursor;
    struct walk *walk = engine->walk;
    char *link = NULL;
    char *whole = NULL;

    if (!cursor->by_link || (walk->down && walk->pages > 0) ||
        frame_top(engine)->nodes.count == 0) {
        return 0;
    }
    link = next_link(answer, cursor->rel == NULL ? "prev" : cursor->rel);
    if (link == NULL) {
        return 0;
    }
    whole = ask_link(engine, answer->url, link, err);
    free(link);
    if (whole == NULL) {
        return -1;
    }
    free(walk->link);
    walk->link = whole;
    return 0;
}

/* The first page, read anew: is it what the server called unchanged? */
static int note_head(struct engine *engine, const struct fetch_answer *answer,
                     struct ear_error *err)
{
    struct kept_list *at = engine->at;
    const struct frame *frame = frame_top(engine);
    uint64_t hash = 1;

    for (size_t i = 0; i < frame->nodes.count; i++) {
        size_t length = 0;
        const char *raw = json_raw(frame->nodes.items[i], &length);

        hash = hash64_of(raw, length, hash);
    }
    if (at->quiet > 0 && at->page_url == engine->page_url && at->page_hash == hash) {
        at->honest = true;
    }
    if (at->quiet > 0 && at->page_url == engine->page_url && at->page_hash != hash &&
        (at->etag != NULL ? answer->etag != NULL && strcmp(at->etag, answer->etag) == 0
                          : at->last_modified != NULL && answer->last_modified != NULL &&
                                strcmp(at->last_modified, answer->last_modified) == 0)) {
        at->lies = true;
    }
    engine->page_hash = hash;
    engine->head_read = true;
    return kept_set(&engine->etag, answer->etag, KEPT_TEXT_MAX, err) != 0 ||
                   kept_set(&engine->last_modified, answer->last_modified, KEPT_TEXT_MAX, err) != 0
               ? -1
               : 0;
}

static int load_page(struct engine *engine, const struct fetch_answer *answer,
                     struct ear_error *err)
{
    struct frame *frame = frame_top(engine);
    bool absent = false;
    bool sole = false;

    frame_clear_page(frame);
    frame->root = rules_read(frame->json, frame->request, answer, err);
    if (frame->root == NULL) {
        return -1;
    }
    rules_tell(engine, frame->root, answer);
    for (size_t i = 0; i < frame->record_count; i++) {
        if (records_check_place(&frame->records[i], frame->request->accept == ACCEPT_XML,
                                frame->root, &absent, &sole, err) != 0 ||
            records_gather(&frame->nodes, &frame->records[i], frame->root, err) != 0) {
            return -1;
        }
        frame->odd = i == 0 ? absent : frame->odd && absent;
        frame->sole = i == 0 ? sole : frame->sole;
        frame->first_count = i == 0 ? frame->nodes.count : frame->first_count;
    }
    fit_page(engine);
    if (frame->page->kind == PAGE_LINK && frame->page->rel != NULL) {
        frame->link = next_link(answer, frame->page->rel);
    }
    frame->url = strdup(answer->url);
    if (frame->url == NULL) {
        return ear_fail_memory(err, "a page");
    }
    if (frame->child == NULL) {
        if (take_link(engine, answer, err) != 0 ||
            (engine->walk->pages == 0 && note_head(engine, answer, err) != 0)) {
            return -1;
        }
        engine->resumed = false;
    }
    frame->state = FRAME_EMIT;
    return 0;
}

/* What the walk went on from is not understood any more: it begins at its head again. */
static bool begin_again(struct engine *engine, const struct fetch_answer *answer,
                        struct source_turn *turn, struct ear_error *err)
{
    struct frame *frame = frame_top(engine);
    const int status = answer->status;

    if (!engine->resumed || engine->depth != 1 || engine->walk->page == NULL || status < 400 ||
        status >= 500 || status == 401 || status == 403 || status == 408 || status == 429) {
        return false;
    }
    ear_error_clear(err);
    *turn = (struct source_turn){0};
    engine->resumed = false;
    if (engine->at->list->cursor.by_link && !engine->walk->down) {
        free(engine->at->link); /* the link that was the cursor is dead: from the head, as far as */
        engine->at->link = NULL;
        engine->walk->down = true;
        engine->walk->has_floor_us = engine->at->at_us != INT64_MIN;
        engine->walk->floor_us = engine->at->at_us;
    }
    free(engine->walk->page);
    engine->walk->page = NULL;
    engine->walk->pages = 0;
    frame->pages = 0;
    free(frame->text);
    frame->text = next_first(frame->page);
    frame->state = FRAME_ASK;
    return true;
}

/* One child that ends poll after poll must not stop the list: it is set aside after a few. */
static int note_stuck(struct engine *engine, const struct fetch_answer *answer, bool *passed,
                      const struct source_output *output, struct source_turn *turn,
                      struct ear_error *err)
{
    struct walk *walk = engine->walk;
    const char *url = engine->asked.url;
    const uint64_t hash = hash64_of(url, strlen(url), 11) >> 2;
    char item[80];
    char reason[160];

    *passed = false;
    if (engine->depth < 2 || answer->status == 429 || answer->status == 401 ||
        (answer->status == 0 && answer->failure.kind != EAR_REJECT) ||
        (err->kind != EAR_NONE && err->kind != EAR_RETRY && err->kind != EAR_REJECT)) {
        return 0;
    }
    walk->stuck_many = walk->stuck == hash ? walk->stuck_many + 1 : 1;
    walk->stuck = hash;
    if (walk->stuck_many < ENGINE_STUCK_MAX) {
        struct ear_error ignored = {EAR_NONE, ""};

        if (!engine->poll->probe && engine_save(engine, output, &ignored) != 0) {
            return 0; /* the poll fails all the same */
        }
        return 0;
    }
    (void)snprintf(item, sizeof(item), "child %016llx", (unsigned long long)hash);
    (void)snprintf(reason, sizeof(reason), "%.120s (%d polls in a row)",
                   err->kind == EAR_NONE ? "the server answers with an error" : err->message,
                   ENGINE_STUCK_MAX);
    ear_error_clear(err);
    *turn = (struct source_turn){0};
    *passed = true;
    walk->stuck = 0;
    walk->stuck_many = 0;
    engine->save = true;
    return output->reject(output->user, item, "child", reason, answer->body, answer->body_length,
                          err);
}

int frame_answer(struct engine *engine, const struct fetch_answer *answer,
                 const struct source_output *output, struct source_turn *turn,
                 struct ear_error *err)
{
    const bool is_child = engine->depth > 1;
    enum verdict verdict = rules_judge(engine, answer, is_child, turn, err);
    bool passed = false;

    if (verdict == VERDICT_PAGE && load_page(engine, answer, err) != 0) {
        verdict = VERDICT_FAILED;
    }
    if ((verdict == VERDICT_DECIDED || verdict == VERDICT_FAILED) && err->kind != EAR_FATAL) {
        if (begin_again(engine, answer, turn, err)) {
            return 0;
        }
        if (note_stuck(engine, answer, &passed, output, turn, err) != 0) {
            return -1;
        }
        verdict = passed ? VERDICT_SKIP : verdict;
    }
    switch (verdict) {
    case VERDICT_PAGE:
        return 0;
    case VERDICT_SAME:
        walk_unchanged(engine);
        frame_pop(engine);
        return 0;
    case VERDICT_SKIP:
    case VERDICT_END:
        if (is_child) { /* what hung on a record that is gone is gone with it: it is asked for */
            frame_top(engine)->whole = answer->status == 404 || answer->status == 410;
            if (answer->status == 403 || frame_top(engine)->whole) {
                fit_refused(engine, answer->status);
            }
            return children_end(engine, err);
        }
        if (walk_end(engine, output, err) != 0) {
            return -1;
        }
        frame_pop(engine);
        return 0;
    case VERDICT_AGAIN:
        return 0;
    case VERDICT_DECIDED:
        engine->decided = true;
        return 0;
    case VERDICT_FAILED:
        break;
    }
    return -1;
}
