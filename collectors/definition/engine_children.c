/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked for once a record: which of them, by their conditions and by what has changed
 * since; one by one, or many in one request; and what is noted of them once they are through.
 */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void children_clear(struct frame *frame)
{
    frame->each.count = 0;
    frame->each_from = frame->each_to = 0;
    frame->child_found = false;
    free(frame->each_id);
    free(frame->each_value);
    frame->each_id = frame->each_value = NULL;
}

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
    const struct frame *frame = frame_top(engine);

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
    struct frame *frame = frame_top(engine);
    const struct pointer *each = child->each.text != NULL  ? &child->each
                                 : frame->record_count > 0 ? &frame->records[0]
                                                           : NULL;
    struct environment environment;
    size_t kept = 0;

    children_clear(frame);
    if (each != NULL && records_gather(&frame->each, each, frame->root, err) != 0) {
        return -1;
    }
    frame->each_id = calloc(frame->each.count + 1, sizeof(uint64_t));
    frame->each_value = calloc(frame->each.count + 1, sizeof(uint64_t));
    if (frame->each_id == NULL || frame->each_value == NULL) {
        return ear_fail_memory(err, "a page");
    }
    frame_environment(engine, &environment);
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
static int children_through(struct engine *engine, struct ear_error *err)
{
    struct frame *frame = frame_top(engine);

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
    const struct frame *frame = frame_top(engine);
    const char *joiner = child->join == NULL ? "," : child->join;
    struct environment environment;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    size_t at = frame->each_from;

    if (out == NULL) {
        return NULL;
    }
    frame_environment(engine, &environment);
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
static void children_miss(struct engine *engine, uint64_t of, bool is_over)
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

uint64_t children_of(const struct frame *frame, const char *id)
{
    return id == NULL ? 0 : hash64_of(id, strlen(id), frame->salt) >> 16 | 1;
}

/* All that hangs on the records that this child was asked for. */
static void miss_all(struct engine *engine, bool is_over)
{
    struct frame *frame = frame_top(engine);
    const struct frame *above = frame - 1;
    struct environment environment;

    if (!frame->child->gone || engine->poll->probe) {
        return;
    }
    engine_environment(engine, &environment);
    for (size_t i = above->each_from; i < above->each_to; i++) {
        environment.record = above->each.items[i];
        frame->of_id =
            children_of(frame, scalar_text(pointer_first(&frame->child->id, &environment), NULL));
        children_miss(engine, frame->of_id, is_over);
    }
}

/* Lays the next child's frame on top; *none: there is none left on this page. */
int children_next(struct engine *engine, bool *none, struct source_turn *turn,
                  struct ear_error *err)
{
    struct frame *frame = frame_top(engine);

    *none = false;
    while (frame->child_at < frame->child_count) {
        const struct child *child = &frame->children[frame->child_at];

        if (!frame->child_found && find_each(engine, child, err) != 0) {
            return -1;
        }
        if (frame->each_to < frame->each.count) {
            const int64_t max = !engine->poll->probe            ? child->max
                                : engine->poll->probe_pages > 1 ? ENGINE_PROBE_CHILDREN - 1
                                                                : ENGINE_PROBE_CHILDREN;
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
            frame_top(engine)->ids = ids;
            miss_all(engine, false);
            return 0;
        }
        children_clear(frame);
        frame->child_at++;
    }
    *none = true;
    return 0;
}

int children_end(struct engine *engine, struct ear_error *err)
{
    const struct frame *frame = frame_top(engine);
    const bool works = (!frame->unfit && frame->root != NULL) || fit_works(engine);

    if (frame_top(engine)->whole) {
        miss_all(engine, true);
    }
    frame_pop(engine);
    if (!works) { /* a wrong place: they are asked for once it is put right */
        frame = frame_top(engine);
        for (size_t i = frame->each_from; i < frame->each_to; i++) {
            frame->each_id[i] = 0;
        }
    }
    if (children_through(engine, err) != 0) {
        return -1;
    }
    engine->save = engine->save || engine->unsaved >= ENGINE_SAVE_EVERY;
    return 0;
}
