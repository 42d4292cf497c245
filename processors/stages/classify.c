/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage `classify`: wish, complaint, praise and tone of a post's text, by the model of
 * processors/classify. Adds probabilities, labels (those over their threshold: the source's, else
 * the stage's, else the model's own), sentiment, and the sentence behind each label as code points
 * of `text`. A language that the model was not trained for is marked `unsure`, not guessed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/settings/settings.h"
#include "common/text/text.h"
#include "processors/classify/classify.h"
#include "processors/insight.h"
#include "processors/stage.h"

enum { JUDGED_LABELS = CLASSIFY_PRAISE + 1, INSIGHT_MAX = 64 * 1024, SCORE_DIGITS = 4 };

struct classify_config {
    struct {
        double of[JUDGED_LABELS];
    } threshold;
    const char *model;
};

#define THRESHOLD(name, index, help)                                                               \
    {                                                                                              \
        name, EAR_NUMBER, (index) * sizeof(double), "-1 [-1..1]", help, NULL                       \
    }

static const struct ear_option threshold_options[] = {
    THRESHOLD("wish", CLASSIFY_WISH,
              "probability from which a post is a wish; -1: the model's own"),
    THRESHOLD("complaint", CLASSIFY_COMPLAINT, "the same for complaints"),
    THRESHOLD("praise", CLASSIFY_PRAISE, "the same for praise"),
    {0},
};

static const struct ear_option options[] = {
    {"threshold", EAR_SECTION, offsetof(struct classify_config, threshold), NULL,
     "probabilities from which labels are given", threshold_options},
    {"model", EAR_STRING, offsetof(struct classify_config, model), NULL,
     "a model file; the shipped one where absent", NULL},
    {0},
};

struct classify_state {
    struct classify_model *model;
    struct json_writer *writer;
    const struct settings *settings; /* NULL: no sources known */
};

static void close_state(void *pointer)
{
    struct classify_state *state = pointer;

    if (state == NULL) {
        return;
    }
    classify_close(state->model);
    json_writer_free(state->writer);
    free(state);
}

static int open_state(void **out, const void *pointer, const struct ear_stage_context *context,
                      struct ear_error *err)
{
    int result = -1;
    const struct classify_config *config = pointer;
    struct classify_state *state = calloc(1, sizeof *state);
    char path[4096];

    if (state == NULL) {
        ear_fail_memory(err, "the stage classify");
        goto done;
    }
    if (config->model == NULL) {
        snprintf(path, sizeof path, "%s/model.bin", context->share_dir);
    } else if (config->model[0] == '/') {
        snprintf(path, sizeof path, "%s", config->model);
    } else {
        snprintf(path, sizeof path, "%s/%s", context->base_dir, config->model);
    }
    state->settings = context->settings;
    if (classify_open(&state->model, path, err) < 0 ||
        json_writer_new(&state->writer, INSIGHT_MAX, err) < 0) {
        goto done;
    }
    *out = state;
    state = NULL;
    result = 0;

done:
    close_state(state);
    return result;
}

static const struct settings_source *find_source(const struct settings *settings, const char *name)
{
    if (settings == NULL || name == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < settings->source_count; i++) {
        if (strcmp(settings->sources[i].name, name) == 0) {
            return &settings->sources[i];
        }
    }
    return NULL;
}

static double threshold_of(const struct classify_state *state, const struct classify_config *config,
                           const struct settings_source *source, size_t label)
{
    const double of_source[JUDGED_LABELS] = {
        source == NULL ? -1 : source->threshold_wish,
        source == NULL ? -1 : source->threshold_complaint,
        source == NULL ? -1 : source->threshold_praise,
    };

    if (of_source[label] >= 0) {
        return of_source[label];
    }
    if (config->threshold.of[label] >= 0) {
        return config->threshold.of[label];
    }
    return (double)classify_threshold(state->model, (enum classify_label)label);
}

static void write_span(struct json_writer *writer, const char *text, size_t label,
                       struct classify_span span)
{
    size_t start = text_code_points(text, span.start);

    json_write_object(writer);
    json_member_string(writer, "label", classify_label_name((enum classify_label)label));
    json_member_integer(writer, "start", (int64_t)start);
    json_member_integer(
        writer, "end",
        (int64_t)(start + text_code_points(text + span.start, span.end - span.start)));
    json_write_object_end(writer);
}

static void write_scores(struct json_writer *writer, const float scores[])
{
    for (size_t label = 0; label < JUDGED_LABELS; label++) {
        json_write_key(writer, classify_label_name((enum classify_label)label));
        json_write_number(writer, (double)scores[label], SCORE_DIGITS);
    }
    json_write_key(writer, "sentiment");
    json_write_number(writer, (double)(scores[CLASSIFY_POSITIVE] - scores[CLASSIFY_NEGATIVE]),
                      SCORE_DIGITS);
}

static void write_labels(struct json_writer *writer, const char *text, const bool given[],
                         const struct classify_span spans[])
{
    json_write_key(writer, "labels");
    json_write_array(writer);
    for (size_t label = 0; label < JUDGED_LABELS; label++) {
        if (given[label]) {
            json_write_string(writer, classify_label_name((enum classify_label)label));
        }
    }
    json_write_array_end(writer);
    json_write_key(writer, "evidence");
    json_write_array(writer);
    for (size_t label = 0; label < JUDGED_LABELS; label++) {
        if (given[label]) {
            write_span(writer, text, label, spans[label]);
        }
    }
    json_write_array_end(writer);
}

/* The text that is judged: `text`, else `title` (whose spans would not be the text's: then there
 * are none). */
static const char *text_of(const struct ear_message *message, size_t *length, bool *is_title)
{
    const char *text = ear_message_bytes(message, "text", length);

    *is_title = text == NULL || *length == 0;
    if (*is_title) {
        const char *title = ear_message_bytes(message, "title", length);

        return title == NULL ? (*length = 0, "") : title;
    }
    return text;
}

/* English, or unknown: short posts often are. */
static bool is_known_language(const char *lang)
{
    return lang == NULL || strcmp(lang, "und") == 0 || strncmp(lang, "en", 2) == 0;
}

static int judge(struct classify_state *state, const struct classify_config *config,
                 struct ear_message *message, struct ear_error *err)
{
    struct json_writer *writer = state->writer;
    const struct settings_source *source =
        find_source(state->settings, ear_message_string(message, "source"));
    const char *lang = ear_message_string(message, "lang");
    float scores[CLASSIFY_LABELS];
    struct classify_span spans[CLASSIFY_LABELS];
    bool given[JUDGED_LABELS] = {false};
    bool is_title = false;
    size_t length = 0;
    const char *text = text_of(message, &length, &is_title);
    const char *json = NULL;

    json_writer_reset(writer);
    json_write_object(writer);
    if (is_known_language(lang)) {
        if (classify_text(state->model, text, length, scores, spans, err) < 0) {
            return -1;
        }
        for (size_t label = 0; label < JUDGED_LABELS; label++) {
            given[label] = spans[label].end > 0 &&
                           (double)scores[label] >= threshold_of(state, config, source, label);
        }
        write_scores(writer, scores);
    } else {
        json_member_string(writer, "unsure", "language");
    }
    if (is_title) {
        memset(spans, 0, sizeof spans);
    }
    write_labels(writer, text, given, spans);
    json_member_string(writer, "model", classify_generation(state->model));
    json_write_object_end(writer);
    json = json_writer_text(writer, &length, err);
    return json == NULL ? -1 : insight_add(message, json, length, err);
}

static int process(void *pointer, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err)
{
    struct classify_state *state = pointer;

    for (size_t i = 0; i < count; i++) {
        if (judge(state, config, messages[i], err) == 0) {
            if (ear_publish(out, messages[i], err) < 0) {
                return -1;
            }
        } else if (err->kind != EAR_REJECT) {
            return -1;
        } else {
            char reason[sizeof err->message];

            snprintf(reason, sizeof reason, "%s", err->message);
            ear_error_clear(err);
            if (ear_reject(out, messages[i], "too_large", reason, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static const char *generation(const void *pointer)
{
    const struct classify_state *state = pointer;

    return classify_generation(state->model);
}

extern const struct ear_stage classify_stage;
const struct ear_stage classify_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "classify",
    .about = "wish, complaint, praise and tone, with the sentence behind each",
    .options = options,
    .config_size = sizeof(struct classify_config),
    .open = open_state,
    .process = process,
    .close = close_state,
    .generation = generation,
};
