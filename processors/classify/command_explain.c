/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `earshot explain`: why a stored post was judged as it was, in a form that a marketing person
 * reads: each label with its probability, the sentence behind it, and the words that spoke for and
 * against it. The words come from today's model; if the post was judged by another generation, it
 * says so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/message/message.h"
#include "processors/classify/classify.h"
#include "processors/classify/commands.h"
#include "processors/classify/explanation.h"

struct explain {
    const struct command_call *call;
    struct classify_model *model;
    struct json *json;
    struct json_writer *writer;
};

static bool is_given(const struct json_node *labels, const char *name)
{
    for (const struct json_node *label = json_first(labels); label != NULL;
         label = json_next(label)) {
        const char *text = json_string(label, NULL);

        if (text != NULL && strcmp(text, name) == 0) {
            return true;
        }
    }
    return false;
}

static void print_reasons(const struct explanation *explanation, const char *text, int label)
{
    const char *between = "  ";

    for (int i = 0; i < explanation->reason_count[label]; i++) {
        const struct classify_reason *reason = &explanation->reasons[label][i];

        printf("%s\"%.*s\" %+.1f", between, (int)(reason->end - reason->start),
               text + reason->start, (double)reason->weight);
        between = ", ";
    }
    putchar('\n');
}

static void print_correction(const struct json_node *correction)
{
    const char *who = json_string(json_get(correction, "who"), NULL);
    const char *at = json_string(json_get(correction, "at"), NULL);
    const char *between = " ";

    if (correction == NULL || json_kind_of(correction) != JSON_OBJECT) {
        return;
    }
    printf("  corrected by %s%s%s:", who == NULL ? "a person" : who, at == NULL ? "" : " on ",
           at == NULL ? "" : at);
    for (const struct json_node *set = json_first(json_get(correction, "set")); set != NULL;
         set = json_next(set)) {
        printf("%s%s %s", between, json_key(set), json_kind_of(set) == JSON_TRUE ? "yes" : "no");
        between = ", ";
    }
    putchar('\n');
}

static void print_signals(const struct json_node *signals)
{
    for (const struct json_node *signal = json_first(signals); signal != NULL;
         signal = json_next(signal)) {
        const char *kind = json_string(json_get(signal, "kind"), NULL);
        const char *value = json_string(json_get(signal, "value"), NULL);
        const char *words = json_string(json_get(signal, "words"), NULL);

        if (kind != NULL && value != NULL) {
            printf("  %s %s  \"%s\"\n", kind, value, words == NULL ? "" : words);
        }
    }
}

/* For people. */
static void print_text(const struct explain *explain, const struct json_node *post,
                       const char *text, const struct explanation *explanation)
{
    const struct json_node *insight = json_get(post, "insight");
    const char *id = json_string(json_get(post, "id"), NULL);
    const char *model = json_string(json_get(insight, "model"), NULL);
    const char *unsure = json_string(json_get(insight, "unsure"), NULL);

    printf("%s\n  %s\n", id == NULL ? "" : id, text);
    if (unsure != NULL) {
        const char *lang = json_string(json_get(post, "lang"), NULL);

        printf("  not judged: the model knows no language '%s'\n", lang == NULL ? "und" : lang);
    }
    for (int label = 0; label < EXPLAINED_LABELS && unsure == NULL; label++) {
        const char *name = classify_label_name((enum classify_label)label);
        double score = (double)explanation->scores[label];

        (void)json_number(json_get(insight, name), &score);
        printf("  %s %-9s %.2f", is_given(json_get(insight, "labels"), name) ? "*" : " ", name,
               score);
        print_reasons(explanation, text, label);
    }
    print_signals(json_get(insight, "signals"));
    if (model != NULL && strcmp(model, classify_generation(explain->model)) != 0) {
        printf("  judged by model %s; the words are those of today's, %s\n", model,
               classify_generation(explain->model));
    } else {
        printf("  model %s; * marks the labels that were given\n",
               classify_generation(explain->model));
    }
    print_correction(json_get(post, "correction"));
}

static int print_json(const struct explain *explain, const struct json_node *post, const char *text,
                      const struct explanation *explanation, struct ear_error *err)
{
    static const char *const members[] = {"id", "version", "correction", "insight"};
    struct json_writer *writer = explain->writer;
    size_t length = 0;
    const char *line = NULL;

    json_writer_reset(writer);
    json_write_object(writer);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const struct json_node *node = json_get(post, members[i]);
        const char *raw = node == NULL ? NULL : json_raw(node, &length);

        if (raw != NULL) {
            json_write_key(writer, members[i]);
            json_write_raw(writer, raw, length);
        }
    }
    json_member_string(writer, "text", text);
    json_write_key(writer, "explain");
    explanation_write(explanation, text, writer);
    json_write_object_end(writer);
    line = json_writer_text(writer, &length, err);
    if (line == NULL) {
        return -1;
    }
    puts(line);
    return 0;
}

static int explain_line(const struct explain *explain, const char *line, size_t length,
                        struct ear_error *err)
{
    struct explanation explanation;
    const struct json_node *post =
        json_read(explain->json, line, length, &json_limits_default, err);
    size_t size = 0;
    const char *text = post == NULL ? NULL : json_string(json_get(post, "text"), &size);

    if (post == NULL) {
        return -1;
    }
    if (text == NULL) {
        text = "";
    }
    if (explanation_of(&explanation, explain->model, text, size, err) < 0) {
        return -1;
    }
    if (explain->call->output != OUTPUT_TABLE) {
        return print_json(explain, post, text, &explanation, err);
    }
    print_text(explain, post, text, &explanation);
    return 0;
}

int explain_command(const struct command_call *call, struct ear_error *err)
{
    int result = -1;
    struct explain explain = {.call = call};
    char path[4096];
    char *line = NULL;
    size_t size = 0;
    ssize_t length = 0;
    int count = 0;

    if (classify_open(&explain.model, command_share_path(call, "model.bin", path, sizeof path),
                      err) < 0 ||
        json_new(&explain.json, err) < 0 ||
        json_writer_new(&explain.writer, (size_t)4 * MESSAGE_MAX, err) < 0) {
        goto done;
    }
    while ((length = getline(&line, &size, stdin)) > 0) {
        if (explain_line(&explain, line, (size_t)length, err) < 0) {
            goto done;
        }
        count++;
    }
    result = count > 0 ? EXIT_DONE : EXIT_FAILED;

done:
    free(line);
    json_writer_free(explain.writer);
    json_free(explain.json);
    classify_close(explain.model);
    return result;
}
