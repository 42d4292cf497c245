/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a page: found, mapped, emitted. */
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

int records_gather(struct nodes *nodes, const struct pointer *pointer, const struct json_node *root,
                   struct ear_error *err)
{
    struct gather gather = {.nodes = nodes};

    pointer_each(pointer, root, add_node, &gather);
    return gather.failed ? ear_fail_memory(err, "a page") : 0;
}

/* What stands where the records should be, and can hold none, is another kind of answer. */
int records_check_place(const struct pointer *pointer, bool xml, const struct json_node *root,
                        bool *absent, bool *sole, struct ear_error *err)
{
    const struct json_node *node = root;

    *absent = *sole = false;
    for (size_t i = 0; i < pointer->step_count && node != NULL; i++) {
        const struct pointer_step *step = &pointer->steps[i];
        const enum json_kind kind = json_kind_of(node);

        const bool last = i + 1 == pointer->step_count || step[1].kind == STEP_EACH;

        if (kind == JSON_NULL || (xml && last && kind == JSON_OBJECT && step->kind == STEP_KEY &&
                                  json_get(node, step->key) == NULL)) {
            *absent = !xml || !last; /* in XML a list of none is but the element around it */
            return 0;
        }
        if (xml && kind == JSON_STRING && step->kind == STEP_EACH) {
            return 0; /* one, and nothing but its text */
        }
        if (kind != JSON_ARRAY && kind != JSON_OBJECT) {
            return ear_fail(err, EAR_REJECT,
                            "schema: %s: a list was expected there, and it is neither list nor "
                            "object",
                            pointer->text);
        }
        if (step->kind != STEP_KEY) {
            *sole = !xml && step->kind == STEP_EACH && kind == JSON_OBJECT;
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
    *absent = node == NULL || json_kind_of(node) == JSON_NULL;
    return 0;
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
        if (telling->sole) {
            return -1;
        }
        return reject_record(node, &record, output, err);
    }
    if (engine->definition->hook != NULL) {
        engine->definition->hook->mend(&record, &engine->at->list->cursor, node);
    }
    *created_us = record.created_us;
    if (telling->of_page) {
        fit_record(engine, environment, &record);
    }
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
    /* a probe shows one page; the one behind it only tells whether pages work */
    wanted = wanted && !(engine->poll->probe && telling->of_page && engine->frames[0].pages > 0);
    return wanted ? output->emit(output->user, &record, err) : 0;
}

/* Of a batch: the record whose child this one says to be. */
static const struct json_node *find_parent(struct engine *engine,
                                           const struct environment *environment)
{
    const struct frame *frame = frame_top(engine);
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

static uint64_t of_batch(const struct frame *frame, const struct environment *environment)
{
    return children_of(frame, scalar_text(pointer_first(&frame->child->on, environment), NULL));
}

int records_emit(struct engine *engine, const struct source_output *output, bool *all,
                 struct ear_error *err)
{
    struct frame *frame = frame_top(engine);
    struct telling telling = {
        .map = frame->map,
        .skip = frame->skip,
        .deleted = frame->deleted,
        .root = frame->root,
        .of_list = frame->child == NULL,
        .of_page = true,
        .of_id = frame->of_id,
    };
    struct environment environment;
    const size_t until = frame->next + ENGINE_PIECE;

    frame_environment(engine, &environment);
    if (frame->joins == NULL) {
        frame->joins = joins_new();
    }
    environment.joins = frame->joins;
    for (; frame->next < frame->nodes.count && frame->next < until; frame->next++) {
        int64_t created_us = INT64_MIN;

        environment.record = frame->nodes.items[frame->next];
        telling.sole = frame->sole && frame->next < frame->first_count;
        if (frame->child != NULL && frame->child->on.text != NULL) {
            environment.parent = find_parent(engine, &environment);
            telling.of_id = frame->child->gone ? of_batch(frame, &environment) : 0;
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
