/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a walk over a whole window ought to have shown and did not. Absence alone proves nothing (a
 * cache, a filter, half an answer): each is asked for by itself, a few a poll, and only an answer
 * that says so makes it gone. One that is there all the same is missed again by the next walk, and
 * let go of after a few times.
 */
#include "collectors/definition/engine_internal.h"

#include <string.h>

enum { MOST = 20, ASKED_MAX = 3, VAIN_MAX = 6 };

static int64_t most_of(const struct gone *gone)
{
    return gone->most > 0 ? gone->most : MOST;
}

int gone_go_on(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    struct kept_list *at = engine->at;
    const struct gone *gone = &at->list->gone;
    struct environment environment;
    const struct kept_post *post = NULL;

    while (engine->gone_at < at->post_count && !at->posts[engine->gone_at].missing) {
        engine->gone_at++;
    }
    if (!gone->given || engine->poll->probe || engine->gone_at == at->post_count ||
        engine->gone_asked >= most_of(gone)) {
        engine->stage = STAGE_END;
        return 0;
    }
    post = &at->posts[engine->gone_at];
    engine->gone_asked++;
    engine->conditional = false;
    engine_environment(engine, &environment);
    environment.id = post->id;
    environment.url = post->url;
    environment.thread = post->thread;
    environment.key = post->key;
    if (ask_prepare(engine, &gone->request, &environment, NULL, 0, err) != 0) {
        if (err->kind != EAR_REJECT) {
            return -1;
        }
        ear_error_clear(err); /* what its address needs was never known */
        kept_drop_post(at, engine->gone_at);
        return 0;
    }
    return ask_send(engine, FOR_GONE, turn, err);
}

static bool says_gone(const struct gone *gone, int status)
{
    for (size_t i = 0; i < gone->status_count; i++) {
        if (gone->statuses[i] == status) {
            return true;
        }
    }
    return gone->status_count == 0 && (status == 404 || status == 410);
}

/* A page may say it by itself. */
static int page_says_gone(struct engine *engine, const struct fetch_answer *answer, bool *says,
                          struct ear_error *err)
{
    const struct gone *gone = &engine->at->list->gone;
    struct environment environment;
    const struct json_node *root = NULL;

    *says = false;
    if (gone->when.count == 0) {
        return 0;
    }
    root = rules_read(engine->body, &gone->request, answer, err);
    if (root == NULL) {
        if (err->kind != EAR_REJECT) {
            return -1;
        }
        ear_error_clear(err);
        return 0;
    }
    rules_tell(engine, root, answer);
    engine_environment(engine, &environment);
    environment.record = root;
    environment.answer = answer;
    *says = conditions_any(&gone->when, &environment);
    return 0;
}

static int emit_gone(struct engine *engine, const struct source_output *output,
                     struct ear_error *err)
{
    struct kept_list *at = engine->at;
    const struct kept_post *post = &at->posts[engine->gone_at];
    const struct source_record record = {
        .native_id = post->id,
        .host = post->host,
        .created_us = INT64_MIN,
        .edited_us = INT64_MIN,
        .deleted = true,
        .rating = -1,
        .likes = -1,
        .replies = -1,
        .shares = -1,
        .views = -1,
    };

    if (output->emit(output->user, &record, err) != 0) {
        return -1;
    }
    kept_drop_post(at, engine->gone_at);
    engine->save = true;
    return 0;
}

static void note_there(struct engine *engine)
{
    struct kept_list *at = engine->at;
    struct kept_post *post = &at->posts[engine->gone_at];

    engine->save = true;
    post->missing = false;
    post->listed = post->listed && post->of == 0; /* else it only left the list for a child's */
    if (++post->asked >= ASKED_MAX) {
        kept_drop_post(at, engine->gone_at);
    } else {
        engine->gone_at++;
    }
}

/* The poll ends here, and goes on with this post; but not for ever. */
static int give_up(struct engine *engine, const struct source_output *output, struct ear_error *err)
{
    struct kept_list *at = engine->at;
    struct ear_error saving = {EAR_NONE, ""};

    if (++at->posts[engine->gone_at].asked >= VAIN_MAX) {
        kept_drop_post(at, engine->gone_at);
    }
    if (engine_save(engine, output, &saving) != 0) {
        *err = saving;
        return -1;
    }
    return 0;
}

int gone_answer(struct engine *engine, const struct fetch_answer *answer,
                const struct source_output *output, struct source_turn *turn, struct ear_error *err)
{
    const struct gone *gone = &engine->at->list->gone;
    enum verdict verdict = VERDICT_PAGE;
    bool says = false;

    if (says_gone(gone, answer->status)) {
        says = !gone->both;
        if (gone->both && page_says_gone(engine, answer, &says, err) != 0) {
            return -1;
        }
        if (says) {
            return emit_gone(engine, output, err);
        }
    }
    verdict = rules_judge(engine, answer, true, turn, err);
    switch (verdict) {
    case VERDICT_AGAIN:
        return 0;
    case VERDICT_PAGE:
        if (!gone->both && page_says_gone(engine, answer, &says, err) != 0) {
            return -1;
        }
        if (says) {
            return emit_gone(engine, output, err);
        }
        note_there(engine);
        return 0;
    case VERDICT_SAME:
    case VERDICT_SKIP:
    case VERDICT_END:
        note_there(engine);
        return 0;
    case VERDICT_DECIDED:
    case VERDICT_FAILED:
        break;
    }
    if (err->kind == EAR_FATAL) {
        return -1;
    }
    if (err->kind == EAR_CONFIG) { /* a rule for the lists, not for one post */
        ear_error_clear(err);
        *turn = (struct source_turn){0};
        note_there(engine);
        return 0;
    }
    engine->decided = true;
    return give_up(engine, output, err) != 0 || verdict == VERDICT_FAILED ? -1 : 0;
}
