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

/* --- nodes --- */

struct gather {
    struct nodes *nodes;
    bool failed;
};

static bool add_node(void *user, const struct json_node *node)
{
    struct gather *gather = user;
    struct nodes *nodes = gather->nodes;

    if (json_kind_of(node) == JSON_NULL) {
        return true;
    }
    if (nodes->count == nodes->capacity) {
        const size_t capacity = nodes->capacity == 0 ? 64 : nodes->capacity * 2;
        const struct json_node **items = realloc(nodes->items, capacity * sizeof(void *));

        if (items == NULL) {
            gather->failed = true;
            return false;
        }
        nodes->items = items;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = node;
    return nodes->count < ENGINE_NODES_MAX;
}

static int gather_nodes(struct nodes *nodes, const struct pointer *pointer,
                        const struct json_node *root, struct ear_error *err)
{
    struct gather gather = {.nodes = nodes};

    pointer_each(pointer, root, add_node, &gather);
    return gather.failed ? ear_fail_memory(err, "a page") : 0;
}

/* What stands where the records should be, and can hold none, is another kind of answer. */
static int check_place(const struct pointer *pointer, const struct json_node *root,
                       struct ear_error *err)
{
    const struct json_node *node = root;

    for (size_t i = 0; i < pointer->step_count && node != NULL; i++) {
        const struct pointer_step *step = &pointer->steps[i];
        const enum json_kind kind = json_kind_of(node);

        if (kind == JSON_NULL) {
            return 0;
        }
        if (kind != JSON_ARRAY && kind != JSON_OBJECT) {
            return ear_fail(err, EAR_REJECT,
                            "schema: %s: a list was expected there, and it is neither list nor "
                            "object",
                            pointer->text);
        }
        if (step->kind != STEP_KEY) {
            return 0;
        }
        if (kind == JSON_OBJECT) {
            node = json_get(node, step->key);
        } else {
            int64_t at = step->index;

            for (node = at < 0 ? NULL : json_first(node); node != NULL && at > 0; at--) {
                node = json_next(node);
            }
        }
    }
    return 0;
}

/* --- frames --- */

static struct frame *top(struct engine *engine)
{
    return &engine->frames[engine->depth - 1];
}

/* What stands in templates of the records of the page in hand. */
static void record_environment(struct engine *engine, struct environment *out)
{
    engine_environment(engine, out);
    out->grandparent = out->parent;
    out->parent = out->record;
}

static void clear_children(struct frame *frame)
{
    frame->each.count = 0;
    frame->each_from = frame->each_to = 0;
    frame->child_found = false;
    free(frame->each_id);
    free(frame->each_value);
    frame->each_id = frame->each_value = NULL;
}

static void clear_page(struct frame *frame)
{
    clear_children(frame);
    frame->child_at = 0;
    frame->nodes.count = frame->first_count = frame->next = 0;
    frame->root = NULL;
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
        const struct frame *above = top(engine);

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
    struct frame *frame = top(engine);

    clear_page(frame);
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
    struct frame *frame = top(engine);
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

/* --- records --- */

static int reject_record(const struct json_node *node, const struct source_record *record,
                         const struct source_output *output, struct ear_error *err)
{
    const struct ear_error why = *err;
    const size_t code = strcspn(why.message, ":");
    char name[40];
    size_t length = 0;
    const char *raw = json_raw(node, &length);

    ear_error_clear(err);
    (void)snprintf(name, sizeof(name), "%.*s", (int)code, why.message);
    return output->reject(output->user, record->native_id == NULL ? "record" : record->native_id,
                          name, why.message[code] == ':' ? why.message + code + 2 : why.message,
                          raw, length, err);
}

/* A post that a later walk ought to show: it may be gone then. */
static int note_shown(struct engine *engine, const struct source_record *record,
                      const struct environment *environment, uint64_t of, struct ear_error *err)
{
    const struct list *list = engine->at->list;
    const struct pointer *key = &list->gone.key;
    int64_t widest_us = 0;

    for (size_t i = 0; list->gone.given && i < list->revisit_count; i++) {
        widest_us =
            list->revisits[i].window_us > widest_us ? list->revisits[i].window_us : widest_us;
    }
    if (record->deleted || record->created_us == INT64_MIN || engine->poll->probe ||
        record->created_us < engine->poll->now_us - widest_us) {
        return 0;
    }
    return kept_show(engine->at, record,
                     key->text == NULL ? NULL : scalar_text(pointer_first(key, environment), NULL),
                     of, err);
}

int frame_emit(struct engine *engine, const struct telling *telling,
               const struct environment *environment, int64_t *created_us,
               const struct source_output *output, struct ear_error *err)
{
    struct source_record record = {.created_us = INT64_MIN, .edited_us = INT64_MIN};
    const struct json_node *node = environment->record;
    const int64_t history_us = engine->at->history_us;
    bool wanted = true;

    *created_us = INT64_MIN;
    value_memory_empty(engine->values);
    if (map_record(&record, telling->map, environment, telling->root, engine->values, err) != 0) {
        if (err->kind != EAR_REJECT) {
            return -1;
        }
        if (conditions_any(telling->skip, environment)) {
            ear_error_clear(err);
            return 0;
        }
        return reject_record(node, &record, output, err);
    }
    *created_us = record.created_us;
    if (conditions_any(telling->skip, environment)) {
        return 0;
    }
    record.deleted = conditions_any(telling->deleted, environment);
    if (record.edited_us <= record.created_us) {
        record.edited_us = INT64_MIN; /* many say when it was written there, until it is edited */
    }
    wanted = telling->of_list ? walk_wants(engine, node, record.created_us)
                              : record.created_us == INT64_MIN || history_us == INT64_MIN ||
                                    record.created_us >= history_us;
    if ((telling->of_list || telling->of_id != 0) &&
        note_shown(engine, &record, environment, telling->of_id, err) != 0) {
        return -1;
    }
    return wanted ? output->emit(output->user, &record, err) : 0;
}

/* Of a batch: the record whose child this one says to be. */
static const struct json_node *find_parent(struct engine *engine,
                                           const struct environment *environment)
{
    const struct frame *frame = top(engine);
    const struct frame *above = frame - 1;
    const char *wanted = scalar_text(pointer_first(&frame->child->on, environment), NULL);
    struct environment parents = *environment;

    for (size_t i = above->each_from; wanted != NULL && i < above->each_to; i++) {
        const char *id = NULL;

        parents.record = above->each.items[i];
        id = scalar_text(pointer_first(&frame->child->id, &parents), NULL);
        if (id != NULL && strcmp(id, wanted) == 0) {
            return above->each.items[i];
        }
    }
    return NULL;
}

static int emit_piece(struct engine *engine, const struct source_output *output, bool *all,
                      struct ear_error *err)
{
    struct frame *frame = top(engine);
    const struct telling telling = {
        .map = frame->map,
        .skip = frame->skip,
        .deleted = frame->deleted,
        .root = frame->root,
        .of_list = frame->child == NULL,
        .of_id = frame->of_id,
    };
    struct environment environment;
    const size_t until = frame->next + ENGINE_PIECE;

    record_environment(engine, &environment);
    for (; frame->next < frame->nodes.count && frame->next < until; frame->next++) {
        int64_t created_us = INT64_MIN;

        environment.record = frame->nodes.items[frame->next];
        if (frame->child != NULL && frame->child->on.text != NULL) {
            environment.parent = find_parent(engine, &environment);
        }
        if (frame_emit(engine, &telling, &environment, &created_us, output, err) != 0) {
            return -1;
        }
        if (frame->child == NULL && frame->next < frame->first_count) {
            walk_note(engine, environment.record, created_us);
        }
    }
    *all = frame->next == frame->nodes.count;
    return 0;
}

/* --- children --- */

static uint64_t salt_of_child(const struct frame *frame)
{
    return frame->salt * 31 + frame->child_at + 1;
}

/* What is remembered of a record whose children are asked for: id and value. */
static void remember(struct engine *engine, const struct child *child,
                     const struct environment *environment, uint64_t *id, uint64_t *value,
                     bool *keeps)
{
    const struct json_node *name = pointer_first(&child->id, environment);
    const char *text = scalar_text(name, NULL);
    const struct frame *frame = top(engine);

    *keeps = false;
    *value = 0;
    for (size_t i = 0; i < child->when.count; i++) {
        char what[CONDITION_VALUE_SIZE];

        if (child->when.items[i].changed) {
            condition_value(&child->when.items[i], environment, what);
            *value = hash64_of(what, strlen(what), *value);
            *keeps = true;
        }
    }
    if (!*keeps && child->max > 0) { /* else the same ones would be asked for with every poll */
        *value = hash64_of(&engine->walk->began_us, sizeof(engine->walk->began_us), 5);
        *keeps = true;
    }
    *keeps = *keeps && text != NULL;
    *id = *keeps ? hash64_of(text, strlen(text), salt_of_child(frame)) >> 16 : 0;
    *value >>= 28;
}

static int find_each(struct engine *engine, const struct child *child, struct ear_error *err)
{
    struct frame *frame = top(engine);
    struct environment environment;
    size_t kept = 0;

    clear_children(frame);
    if (gather_nodes(&frame->each, &child->each, frame->root, err) != 0) {
        return -1;
    }
    frame->each_id = calloc(frame->each.count + 1, sizeof(uint64_t));
    frame->each_value = calloc(frame->each.count + 1, sizeof(uint64_t));
    if (frame->each_id == NULL || frame->each_value == NULL) {
        return ear_fail_memory(err, "a page");
    }
    record_environment(engine, &environment);
    for (size_t i = 0; i < frame->each.count; i++) {
        uint64_t id = 0;
        uint64_t value = 0;
        bool keeps = false;

        environment.record = frame->each.items[i];
        if (!conditions_all(&child->when, &environment)) {
            continue;
        }
        remember(engine, child, &environment, &id, &value, &keeps);
        if (keeps && !kept_differs(&engine->kept, id, value)) {
            continue;
        }
        frame->each.items[kept] = frame->each.items[i];
        frame->each_id[kept] = id;
        frame->each_value[kept] = value;
        kept++;
    }
    frame->each.count = kept;
    frame->child_found = true;
    return 0;
}

/* What was asked for is through. */
static int note_children(struct engine *engine, struct ear_error *err)
{
    struct frame *frame = top(engine);

    for (size_t i = frame->each_from; i < frame->each_to; i++) {
        if (frame->each_id[i] != 0 &&
            kept_note(&engine->kept, frame->each_id[i], frame->each_value[i], err) != 0) {
            return -1;
        }
    }
    frame->each_from = frame->each_to;
    engine->unsaved++;
    return 0;
}

static char *join_ids(struct engine *engine, const struct child *child, size_t *to)
{
    const struct frame *frame = top(engine);
    const char *joiner = child->join == NULL ? "," : child->join;
    struct environment environment;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    size_t at = frame->each_from;

    if (out == NULL) {
        return NULL;
    }
    record_environment(engine, &environment);
    for (int64_t i = 0; at < frame->each.count && i < child->batch; at++) {
        const char *id = NULL;

        environment.record = frame->each.items[at];
        id = scalar_text(pointer_first(&child->id, &environment), NULL);
        if (id != NULL) {
            (void)fprintf(out, "%s%s", i == 0 ? "" : joiner, id);
            i++;
        }
    }
    *to = at;
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* What hung on the same record before and does not any more may be gone. */
static void miss_of_child(struct engine *engine, uint64_t of, bool is_over)
{
    struct kept_list *at = engine->at;

    for (size_t i = 0; of != 0 && i < at->post_count; i++) {
        struct kept_post *post = &at->posts[i];

        if (post->of == of) {
            post->missing = post->missing || (is_over && !post->shown);
            post->shown = post->shown && is_over;
        }
    }
}

/* What tells this child's request from all others, where its records are to be missed. */
static void begin_child(struct engine *engine)
{
    struct frame *frame = top(engine);
    struct environment environment;
    const char *text = NULL;

    if (!frame->child->gone || frame->of == NULL || engine->poll->probe) {
        return;
    }
    engine_environment(engine, &environment);
    environment.record = frame->of;
    text = scalar_text(pointer_first(&frame->child->id, &environment), NULL);
    if (text != NULL) {
        frame->of_id = hash64_of(text, strlen(text), frame->salt) >> 16 | 1;
        miss_of_child(engine, frame->of_id, false);
    }
}

/* Lays the next child's frame on top; *none: there is none left on this page. */
static int next_child(struct engine *engine, bool *none, struct source_turn *turn,
                      struct ear_error *err)
{
    struct frame *frame = top(engine);

    *none = false;
    while (frame->child_at < frame->child_count) {
        const struct child *child = &frame->children[frame->child_at];

        if (!frame->child_found && find_each(engine, child, err) != 0) {
            return -1;
        }
        if (frame->each_to < frame->each.count) {
            const int64_t max = engine->poll->probe ? ENGINE_PROBE_CHILDREN : child->max;
            char *ids = NULL;

            if (max > 0 && engine->child_requests >= max) {
                if (engine->poll->probe) {
                    break;
                }
                turn->next = SOURCE_LATER;
                (void)snprintf(engine->say, sizeof(engine->say),
                               "%lld requests for what hangs on records are all that a poll makes",
                               (long long)max);
                turn->why = engine->say;
                engine->save = true;
                return 0;
            }
            frame->each_from = frame->each_to;
            if (child->batch > 0) {
                ids = join_ids(engine, child, &frame->each_to);
                if (ids == NULL) {
                    return ear_fail_memory(err, "a request");
                }
            } else {
                frame->each_to = frame->each_from + 1;
            }
            if (frame_push(engine, child,
                           child->batch > 0 ? NULL : frame->each.items[frame->each_from],
                           err) != 0) {
                free(ids);
                return -1;
            }
            top(engine)->ids = ids;
            begin_child(engine);
            return 0;
        }
        clear_children(frame);
        frame->child_at++;
    }
    *none = true;
    return 0;
}

/* --- pages --- */

static int child_is_through(struct engine *engine, struct ear_error *err)
{
    if (top(engine)->whole) {
        miss_of_child(engine, top(engine)->of_id, true);
    }
    frame_pop(engine);
    if (note_children(engine, err) != 0) {
        return -1;
    }
    engine->save = engine->save || engine->unsaved >= ENGINE_SAVE_EVERY;
    return 0;
}

static int go_to_next(struct engine *engine, const struct source_output *output,
                      struct ear_error *err)
{
    struct frame *frame = top(engine);
    const int64_t max = frame->page->max > 0 ? frame->page->max : ENGINE_PAGES_MAX;
    char *text = NULL;
    bool over = false;

    if (next_page(engine, frame, frame->url, &text, err) != 0) {
        return -1;
    }
    if (frame->child == NULL) {
        if (walk_go_on(engine, text, &over, output, err) != 0) {
            return -1;
        }
        clear_page(frame);
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
        return child_is_through(engine, err);
    }
    clear_page(frame);
    free(frame->text);
    frame->text = text;
    frame->state = FRAME_ASK;
    return 0;
}

int frame_go_on(struct engine *engine, const struct source_output *output, struct source_turn *turn,
                struct ear_error *err)
{
    struct frame *frame = top(engine);
    bool all = true;

    switch (frame->state) {
    case FRAME_ASK:
        engine->child_requests += frame->child == NULL ? 0 : 1;
        return ask(engine, turn, err);
    case FRAME_EMIT:
        if (emit_piece(engine, output, &all, err) != 0) {
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
        if (next_child(engine, &all, turn, err) != 0) {
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

/* --- answers --- */

/* The link that is the cursor: of the first page on the way down, of each on the way up. */
static int take_link(struct engine *engine, const struct fetch_answer *answer,
                     struct ear_error *err)
{
    const struct cursor *cursor = &engine->at->list->cursor;
    struct walk *walk = engine->walk;
    char *link = NULL;
    char *whole = NULL;

    if (!cursor->by_link || (walk->down && walk->pages > 0)) {
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
    const struct frame *frame = top(engine);
    uint64_t hash = 1;

    for (size_t i = 0; i < frame->nodes.count; i++) {
        size_t length = 0;
        const char *raw = json_raw(frame->nodes.items[i], &length);

        hash = hash64_of(raw, length, hash);
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
    struct frame *frame = top(engine);

    clear_page(frame);
    frame->root = rules_read(frame->json, frame->request, answer, err);
    if (frame->root == NULL) {
        return -1;
    }
    rules_tell(engine, frame->root, answer);
    for (size_t i = 0; i < frame->record_count; i++) {
        if (check_place(&frame->records[i], frame->root, err) != 0 ||
            gather_nodes(&frame->nodes, &frame->records[i], frame->root, err) != 0) {
            return -1;
        }
        frame->first_count = i == 0 ? frame->nodes.count : frame->first_count;
    }
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
    struct frame *frame = top(engine);
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
        if (is_child) {
            return child_is_through(engine, err);
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
