/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll of a definition, from its outside: what is asked first, then each list in turn.
 *
 *     first ─▶ LIST ─▶ HEAD ─▶ (REVISIT) ─▶ GONE ─▶ END ─▶ the next LIST … ─▶ done
 *                 └──▶ IDS ─────────────────────────▲
 *
 * A walk that an earlier poll left is brought to its end first, then the head is asked for all the
 * same. A poll that backfills walks each list once, beside that.
 */
#include "collectors/definition/engine_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/instant.h"
#include "common/settings/settings.h"

#define FIRST_FRESH_US CLOCK_DAY_US

int64_t engine_now_us(const struct engine *engine)
{
    return engine->poll->now_us + (clock_mono_us() - engine->began_mono_us);
}

void engine_environment(const struct engine *engine, struct environment *out)
{
    const struct frame *frame = engine->depth == 0 ? NULL : &engine->frames[engine->depth - 1];

    *out = (struct environment){
        .definition = engine->definition,
        .params = engine->params,
        .first = engine->first_root,
        .cursor = engine->cursor,
        .since_us = engine->walk == NULL ? INT64_MIN : engine->walk->since_us,
        .now_us = engine->poll->now_us,
        .zone = engine->zone != NULL ? engine->zone : engine->poll->settings->zone,
    };
    if (frame != NULL) {
        out->record = frame->of;
        out->parent = engine->depth < 2 ? NULL : engine->frames[engine->depth - 2].of;
        out->grandparent = engine->depth < 3 ? NULL : engine->frames[engine->depth - 3].of;
        out->page = frame->text;
        out->ids = frame->ids;
    }
}

int engine_save(struct engine *engine, const struct source_output *output, struct ear_error *err)
{
    size_t length = 0;
    const char *text = NULL;

    engine->save = false;
    engine->unsaved = 0;
    if (engine->poll->probe) {
        return 0;
    }
    text = kept_write(&engine->kept, engine->writer, &length, err);
    return text == NULL ? -1 : output->cursor(output->user, text, length, err);
}

void engine_end(void *state)
{
    struct engine *engine = state;

    if (engine == NULL) {
        return;
    }
    while (engine->depth > 0) {
        frame_pop(engine);
    }
    auth_end(engine);
    ask_clear(&engine->asked);
    ask_clear(&engine->login);
    kept_clear(&engine->kept);
    value_memory_free(engine->values);
    json_writer_free(engine->writer);
    json_free(engine->body);
    json_free(engine->first);
    zone_close(engine->zone);
    free(engine->cursor);
    free(engine->etag);
    free(engine->last_modified);
    free(engine->sight.last_text);
    free(engine->fits);
    free(engine->sent_auth);
    free(engine->sent_url);
    free(engine);
}

int engine_begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    int result = -1;
    struct engine *engine = calloc(1, sizeof(*engine));

    if (engine == NULL) {
        return ear_fail_memory(err, "a poll");
    }
    engine->poll = poll;
    engine->definition = poll->self;
    engine->params = poll->config;
    engine->began_mono_us = clock_mono_us();
    if (poll->source->zone != NULL && zone_open(&engine->zone, poll->source->zone, err) != 0) {
        goto done;
    }
    if (json_writer_new(&engine->writer, KEPT_BYTES_MAX, err) != 0 ||
        json_new(&engine->body, err) != 0 || value_memory_new(&engine->values, err) != 0 ||
        kept_load(&engine->kept, engine->definition, engine->params,
                  poll->probe ? NULL : poll->cursor, poll->cursor_length, err) != 0 ||
        auth_begin(engine, err) != 0) {
        goto done;
    }
    *out = engine;
    engine = NULL;
    result = 0;

done:
    engine_end(engine);
    return result;
}

/* --- what is asked first --- */

/* The answer that was kept is good for a day: it says what version a server is. */
static int recall_first(struct engine *engine, struct ear_error *err)
{
    const int64_t age_us = engine->poll->now_us - engine->kept.first_us;

    if (engine->kept.first == NULL || age_us < 0 || age_us >= FIRST_FRESH_US) {
        return 0;
    }
    if (engine->first == NULL && json_new(&engine->first, err) != 0) {
        return -1;
    }
    engine->first_root = json_read(engine->first, engine->kept.first, strlen(engine->kept.first),
                                   &json_limits_default, err);
    if (engine->first_root == NULL && err->kind == EAR_REJECT) {
        ear_error_clear(err);
    }
    return err->kind == EAR_NONE ? 0 : -1;
}

static int ask_first(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    struct environment environment;

    const int needs = engine->definition->first.needs;

    if (!engine->definition->has_first || engine->first_root != NULL ||
        (needs >= 0 && (engine->params[needs] == NULL || engine->params[needs][0] == '\0'))) {
        return 0;
    }
    if (recall_first(engine, err) != 0) {
        return -1;
    }
    if (engine->first_root != NULL) {
        return 0;
    }
    engine_environment(engine, &environment);
    return ask_prepare(engine, &engine->definition->first, &environment, NULL, 0, err) == 0
               ? ask_send(engine, FOR_FIRST, turn, err)
               : -1;
}

static int take_first(struct engine *engine, const struct fetch_answer *answer,
                      struct source_turn *turn, struct ear_error *err)
{
    const char *raw = NULL; /* JSON, whatever it came in */
    size_t length = 0;
    char *text = NULL;

    switch (rules_judge(engine, answer, false, turn, err)) {
    case VERDICT_PAGE:
        break;
    case VERDICT_AGAIN:
        return 0;
    case VERDICT_FAILED:
        return -1;
    default:
        turn->next = turn->next == SOURCE_LATER ? SOURCE_LATER : SOURCE_JUDGE;
        engine->decided = true;
        return 0;
    }
    if (engine->first == NULL && json_new(&engine->first, err) != 0) {
        return -1;
    }
    engine->first_root = rules_read(engine->first, &engine->definition->first, answer, err);
    if (engine->first_root == NULL) {
        return -1;
    }
    raw = json_raw(engine->first_root, &length);
    if (length <= KEPT_FIRST_MAX) {
        text = strndup(raw, length);
        if (text == NULL) {
            return ear_fail_memory(err, "the first answer");
        }
    }
    free(engine->kept.first);
    engine->kept.first = text;
    engine->kept.first_us = engine->poll->now_us;
    engine->save = true;
    return 0;
}

/* --- stages --- */

static bool is_asked_for(const struct engine *engine, const struct list *list)
{
    struct environment environment;

    if (list->needs >= 0 &&
        (engine->params[list->needs] == NULL || engine->params[list->needs][0] == '\0')) {
        return false;
    }
    engine_environment(engine, &environment);
    environment.record = engine->first_root;
    return list->when.count == 0 || conditions_all(&list->when, &environment);
}

static void enter_list(struct engine *engine)
{
    const struct list *list = &engine->definition->lists[engine->list];

    engine->at = &engine->kept.lists[engine->list];
    engine->walk = NULL;
    engine->gone_at = 0;
    engine->gone_asked = 0;
    engine->id_known = engine->walked = false;
    if (!is_asked_for(engine, list)) {
        engine->stage = STAGE_END;
    } else {
        engine->stage = list->walks ? STAGE_IDS : STAGE_HEAD;
    }
}

static int enter_head(struct engine *engine, struct ear_error *err)
{
    const struct kept_list *at = engine->at;
    const bool past = engine->poll->backfill_since_us != 0 && !engine->poll->probe;
    const bool left = !past && at->walk.kind != WALK_NONE;
    const enum walk_kind kind = past ? WALK_PAST : left ? at->walk.kind : WALK_HEAD;
    bool begun = false;

    if (past && at->past.kind == WALK_NONE && at->past_us <= engine->poll->backfill_since_us) {
        engine->stage = STAGE_END; /* it was walked that far */
        return 0;
    }
    /* What was left is not the head as it is now, unless it never went beyond its first page. */
    engine->stage = past                                                ? STAGE_END
                    : left && (at->walk.pages > 0 || kind != WALK_HEAD) ? STAGE_HEAD
                                                                        : STAGE_REVISIT;
    return walk_begin(engine, kind, &begun, err);
}

static int go_on_stage(struct engine *engine, const struct source_output *output,
                       struct source_turn *turn, struct ear_error *err)
{
    bool begun = false;

    switch (engine->stage) {
    case STAGE_LIST:
        enter_list(engine);
        return 0;
    case STAGE_HEAD:
        return enter_head(engine, err);
    case STAGE_REVISIT:
        engine->stage = STAGE_GONE;
        /* A probe leaves its walk as it is: begun again, it would show the page twice. */
        return engine->poll->probe ? 0 : walk_begin(engine, WALK_REVISIT, &begun, err);
    case STAGE_GONE:
        return gone_go_on(engine, turn, err);
    case STAGE_IDS:
        return ids_go_on(engine, output, turn, err);
    case STAGE_END:
        engine->list++;
        engine->stage = STAGE_LIST;
        return 0;
    }
    return 0;
}

static int go_on(struct engine *engine, const struct source_output *output,
                 struct source_turn *turn, struct ear_error *err)
{
    if (!engine->decided && ask_first(engine, turn, err) != 0) {
        return -1;
    }
    while (!engine->decided) {
        int result = 0;

        if (engine->depth > 0) {
            result = frame_go_on(engine, output, turn, err);
        } else if (engine->list == engine->definition->list_count) {
            turn->next = SOURCE_DONE;
            engine->save = true;
            break;
        } else {
            result = go_on_stage(engine, output, turn, err);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int take_answer(struct engine *engine, const struct fetch_answer *answer,
                       const struct source_output *output, struct source_turn *turn,
                       struct ear_error *err)
{
    switch (engine->asked_for) {
    case FOR_TOKEN:
        return auth_answer(engine, answer, turn, err);
    case FOR_FIRST:
        return take_first(engine, answer, turn, err);
    case FOR_PAGE:
        return frame_answer(engine, answer, output, turn, err);
    case FOR_GONE:
        return gone_answer(engine, answer, output, turn, err);
    case FOR_LAST:
    case FOR_ID:
        return ids_answer(engine, answer, output, turn, err);
    case FOR_NOTHING:
        break;
    }
    return 0;
}

int engine_step(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    struct engine *engine = state;

    engine->decided = false;
    engine->turn = turn;
    engine->output = output;
    if (answer != NULL && take_answer(engine, answer, output, turn, err) != 0) {
        return -1;
    }
    if (go_on(engine, output, turn, err) != 0) {
        return -1;
    }
    if ((turn->next == SOURCE_DONE || turn->next == SOURCE_LATER) && fit_tell(engine, err) != 0) {
        return -1;
    }
    return engine->save && turn->next != SOURCE_JUDGE ? engine_save(engine, output, err) : 0;
}

const struct source_reader *definition_reader(struct definition *definition)
{
    definition->reader.begin = engine_begin;
    definition->reader.step = engine_step;
    definition->reader.end = engine_end;
    return &definition->reader;
}
