/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which brands and competitors a post names, by the words of `brands:` and `competitors:` in the
 * configuration: whole words, upper or lower case, in title and text. What the source is about
 * (`about`) counts as named. Where words overlap the longest wins: "Acme Air" names Acme Air, not
 * Acme. Never drops: a post that names nobody gets two empty lists.
 */
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/settings/settings.h"
#include "processors/insight.h"
#include "processors/match/match.h"
#include "processors/stage.h"

enum { HITS_MAX = 4096, INSIGHT_MAX = 128 * 1024 };

struct state {
    const struct settings_brand *brands; /* [brand_count], the settings' */
    size_t brand_count;
    struct match *match; /* tag: index of the brand */
    struct match_text *text;
    struct json_writer *writer;
    bool *named; /* [brand_count] */
    struct match_hit hits[HITS_MAX];
};

static void close_state(void *opened)
{
    struct state *state = opened;

    if (state == NULL) {
        return;
    }
    match_free(state->match);
    match_text_free(state->text);
    json_writer_free(state->writer);
    free(state->named);
    free(state);
}

static int add_brands(struct state *state, const struct settings *settings, struct ear_error *err)
{
    state->brands = settings->brands;
    state->brand_count = settings->brand_count;
    for (size_t i = 0; i < state->brand_count; i++) {
        const struct settings_brand *brand = &state->brands[i];

        for (size_t word = 0; word < brand->words.count; word++) {
            const char *phrase = brand->words.items[word];

            if (match_add(state->match, phrase, strlen(phrase), (uint32_t)i, err) != 0) {
                ear_error_context(err, "%s '%s'", brand->competitor ? "competitor" : "brand",
                                  brand->name);
                return -1;
            }
        }
    }
    return 0;
}

static int open_state(void **out, const void *config, const struct ear_stage_context *context,
                      struct ear_error *err)
{
    int result = -1;
    struct state *state = calloc(1, sizeof *state);

    (void)config;
    if (state == NULL) {
        ear_fail_memory(err, "the stage brands");
        goto done;
    }
    if (match_new(&state->match, err) != 0 || match_text_new(&state->text, err) != 0 ||
        json_writer_new(&state->writer, INSIGHT_MAX, err) != 0 ||
        add_brands(state, context->settings, err) != 0 || match_build(state->match, err) != 0) {
        goto done;
    }
    state->named = calloc(state->brand_count + 1, sizeof *state->named);
    if (state->named == NULL) {
        ear_fail_memory(err, "the stage brands");
        goto done;
    }
    *out = state;
    state = NULL;
    result = 0;

done:
    close_state(state);
    return result;
}

static int mark_named(struct state *state, const char *text, size_t length, struct ear_error *err)
{
    struct match_hit longest = {0};
    size_t count = 0;

    if (match_text_set(state->text, text, length, err) != 0) {
        return -1;
    }
    count = match_find(state->match, state->text, state->hits, HITS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct match_hit *hit = &state->hits[i];

        if (hit->end > longest.end) { /* hits come by start, the longest first */
            longest = *hit;
        }
        if (hit->start == longest.start && hit->end == longest.end) {
            state->named[hit->tag] = true;
        }
    }
    return 0;
}

static void mark_about(struct state *state, const char *about)
{
    for (size_t i = 0; about != NULL && i < state->brand_count; i++) {
        if (strcmp(state->brands[i].name, about) == 0) {
            state->named[i] = true;
        }
    }
}

static void write_names(const struct state *state, const char *key, bool competitor)
{
    json_write_key(state->writer, key);
    json_write_array(state->writer);
    for (size_t i = 0; i < state->brand_count; i++) {
        if (state->named[i] && state->brands[i].competitor == competitor) {
            json_write_string(state->writer, state->brands[i].name);
        }
    }
    json_write_array_end(state->writer);
}

static int judge(struct state *state, struct ear_message *post, struct ear_output *out,
                 struct ear_error *err)
{
    static const char *const fields[] = {"title", "text"};
    const char *members = NULL;
    size_t length = 0;

    memset(state->named, 0, state->brand_count * sizeof *state->named);
    for (size_t i = 0; i < 2; i++) {
        const char *text = ear_message_bytes(post, fields[i], &length);

        if (text != NULL && mark_named(state, text, length, err) != 0) {
            return -1;
        }
    }
    mark_about(state, ear_message_string(post, "about"));
    json_writer_reset(state->writer);
    json_write_object(state->writer);
    write_names(state, "brands", false);
    write_names(state, "competitors", true);
    json_write_object_end(state->writer);
    members = json_writer_text(state->writer, &length, err);
    if (members == NULL || insight_add(post, members, length, err) != 0) {
        return -1;
    }
    return ear_publish(out, post, err);
}

static int process(void *state, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err)
{
    (void)config;
    for (size_t i = 0; i < count; i++) {
        if (judge(state, messages[i], out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct ear_stage brands_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "brands",
    .about = "says which brands and competitors a post names",
    .open = open_state,
    .process = process,
    .close = close_state,
};
