/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `earshot classify`: each line becomes a message {"id","text"}, goes through the stages classify
 * and signals as a post would, and is printed as one line. Lines are taken in batches, so that the
 * stages work as they do in the pipeline.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/text/text.h"
#include "processors/classify/classify.h"
#include "processors/classify/commands.h"
#include "processors/classify/explanation.h"
#include "processors/host.h"
#include "processors/stages/stages.h"

enum { BATCH_LINES = 256, ARENA_MAX = 64 * 1024 * 1024, OUTPUT_MAX = 2 * MESSAGE_MAX, STAGES = 2 };

const struct ear_option classify_command_options[] = {
    {"explain", EAR_BOOLEAN, offsetof(struct classify_command_options, explain), "false",
     "add the words that weighed for each label", NULL},
    {0},
};

/* A stage with its config, opened. */
struct opened {
    const struct ear_stage *stage;
    void *config;
    void *state;
};

/* A line of the batch: a message, or what is wrong with it. */
struct line {
    struct ear_message *message; /* NULL: broken, then `error` */
    const char *id;              /* JSON text */
    const char *error;
};

struct filter {
    struct config *defaults;
    struct opened stages[STAGES];
    struct classify_model *model; /* for --explain; NULL: not asked for */
    struct message_arena *arena;
    struct json_writer *writer;
    struct line lines[BATCH_LINES];
    size_t count;
    int64_t number; /* of the last line read, from 1 */
    bool broken;
};

static int open_stage(struct filter *filter, struct opened *opened, const char *name,
                      const struct command_call *call, struct ear_error *err)
{
    const struct ear_stage_context context = {
        .size = sizeof context, .share_dir = call->share_dir, .base_dir = ".", .settings = NULL};

    for (size_t i = 0; stages_builtin[i] != NULL; i++) {
        if (strcmp(stages_builtin[i]->name, name) == 0) {
            opened->stage = stages_builtin[i];
        }
    }
    assert(opened->stage != NULL);
    opened->config = calloc(1, opened->stage->config_size + 1);
    if (opened->config == NULL) {
        return ear_fail_memory(err, "a stage");
    }
    if (opened->stage->options != NULL) {
        (void)config_fill(filter->defaults, NULL, opened->stage->options, NULL, name,
                          opened->config);
    }
    return opened->stage->open(&opened->state, opened->config, &context, err);
}

static int filter_init(struct filter *filter, const struct command_call *call,
                       struct ear_error *err)
{
    const struct classify_command_options *options = call->options;
    char path[4096];

    if (config_new(&filter->defaults, err) < 0 ||
        message_arena_new(&filter->arena, ARENA_MAX, err) < 0 ||
        json_writer_new(&filter->writer, OUTPUT_MAX, err) < 0 ||
        open_stage(filter, &filter->stages[0], "classify", call, err) < 0 ||
        open_stage(filter, &filter->stages[1], "signals", call, err) < 0) {
        return -1;
    }
    return options->explain
               ? classify_open(&filter->model,
                               command_share_path(call, "model.bin", path, sizeof path), err)
               : 0;
}

static void filter_clear(struct filter *filter)
{
    for (size_t i = 0; i < STAGES; i++) {
        if (filter->stages[i].state != NULL) {
            filter->stages[i].stage->close(filter->stages[i].state);
        }
        free(filter->stages[i].config);
    }
    classify_close(filter->model);
    json_writer_free(filter->writer);
    message_arena_free(filter->arena);
    config_free(filter->defaults);
}

static const char *keep(struct message_arena *arena, const char *text, size_t length,
                        struct ear_error *err)
{
    char *copy = message_arena_take(arena, length + 1, err);

    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

/* A message of its own around plain text. */
static int read_plain(struct filter *filter, struct line *line, const char *text, size_t length,
                      struct ear_error *err)
{
    int result = -1;
    bool repaired = false;
    size_t size = 0;
    char *mended = text_repair(text, length, &size, &repaired);
    char *normal = mended == NULL ? NULL : text_nfc(mended, size, &size);

    if (normal == NULL) {
        ear_fail_memory(err, "a line");
        goto done;
    }
    line->message = message_read(filter->arena, "{}", 2, err);
    if (line->message == NULL || message_set_string(line->message, "text", normal, size, err) < 0) {
        goto done;
    }
    result = 0;

done:
    free(normal);
    free(mended);
    return result;
}

/* Sets a record's text anew, mended and in NFC, as the stages expect it. */
static int normalise_record(struct line *line, struct ear_error *err)
{
    int result = -1;
    size_t length = 0;
    const char *text = message_string(line->message, "text", &length);
    char *normal = text_nfc(text, length, &length);

    if (normal == NULL) {
        return ear_fail_memory(err, "a record");
    }
    result = message_set_string(line->message, "text", normal, length, err);
    free(normal);
    return result;
}

/* What the line is: a record, broken, or plain text. */
static int read_line(struct filter *filter, struct line *line, const char *text, size_t length,
                     struct ear_error *err)
{
    size_t blank = strspn(text, " \t");
    size_t raw = 0;
    const char *id = NULL;

    if (blank >= length || text[blank] != '{') {
        return read_plain(filter, line, text, length, err);
    }
    line->message = message_read(filter->arena, text, length, err);
    if (line->message == NULL && err->kind != EAR_REJECT) {
        return -1;
    }
    if (line->message == NULL) {
        line->error = keep(filter->arena, err->message, strlen(err->message), err);
        ear_error_clear(err);
        return line->error == NULL ? -1 : 0;
    }
    id = message_raw(line->message, "id", &raw);
    if (id != NULL) {
        line->id = keep(filter->arena, id, raw, err);
        if (line->id == NULL) {
            return -1;
        }
    }
    if (message_raw(line->message, "text", &raw) == NULL) {
        return read_plain(filter, line, text, length, err);
    }
    if (message_string(line->message, "text", NULL) == NULL) {
        line->message = NULL;
        line->error = "schema: 'text' is no string";
        return 0;
    }
    return normalise_record(line, err);
}

static int judge_batch(struct filter *filter, struct ear_error *err)
{
    struct ear_message *messages[BATCH_LINES];
    size_t count = 0;

    for (size_t i = 0; i < filter->count; i++) {
        if (filter->lines[i].message != NULL) {
            host_attach(filter->lines[i].message);
            messages[count++] = filter->lines[i].message;
        }
    }
    for (size_t i = 0; i < STAGES && count > 0; i++) {
        const struct opened *opened = &filter->stages[i];
        struct host_output output;

        if (host_output_init(&output, filter->arena, messages, count, err) < 0 ||
            opened->stage->process(opened->state, opened->config, messages, count, &output.output,
                                   err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void copy_member(struct json_writer *writer, const struct json_node *insight,
                        const char *name)
{
    size_t length = 0;
    const struct json_node *node = json_get(insight, name);
    const char *raw = node == NULL ? NULL : json_raw(node, &length);

    if (raw != NULL) {
        json_write_key(writer, name);
        json_write_raw(writer, raw, length);
    }
}

static int write_judged(struct filter *filter, const struct line *line, struct ear_error *err)
{
    static const char *const members[] = {"labels", "wish",    "complaint", "praise", "sentiment",
                                          "unsure", "signals", "evidence",  "model"};
    const struct json_node *insight = message_node(line->message, "insight");

    if (insight == NULL) {
        return ear_fail(err, EAR_FATAL, "the stages left no insight behind");
    }
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        copy_member(filter->writer, insight, members[i]);
    }
    if (filter->model != NULL) {
        struct explanation explanation;
        size_t length = 0;
        const char *text = message_string(line->message, "text", &length);

        if (explanation_of(&explanation, filter->model, text, length, err) < 0) {
            return -1;
        }
        json_write_key(filter->writer, "explain");
        explanation_write(&explanation, text, filter->writer);
    }
    return 0;
}

static int print_line(struct filter *filter, const struct line *line, int64_t number,
                      struct ear_error *err)
{
    size_t length = 0;
    const char *text = NULL;

    json_writer_reset(filter->writer);
    json_write_object(filter->writer);
    json_write_key(filter->writer, "id");
    if (line->id != NULL) {
        json_write_raw(filter->writer, line->id, strlen(line->id));
    } else {
        json_write_integer(filter->writer, number);
    }
    if (line->message == NULL) {
        json_member_string(filter->writer, "error", line->error);
        filter->broken = true;
    } else if (write_judged(filter, line, err) < 0) {
        return -1;
    }
    json_write_object_end(filter->writer);
    text = json_writer_text(filter->writer, &length, err);
    if (text == NULL) {
        return -1;
    }
    fwrite(text, 1, length, stdout);
    putchar('\n');
    return 0;
}

static int finish_batch(struct filter *filter, struct ear_error *err)
{
    int64_t first = filter->number - (int64_t)filter->count + 1;

    if (judge_batch(filter, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < filter->count; i++) {
        if (print_line(filter, &filter->lines[i], first + (int64_t)i, err) < 0) {
            return -1;
        }
    }
    filter->count = 0;
    message_arena_reset(filter->arena);
    return 0;
}

static int take_line(struct filter *filter, char *text, size_t length, struct ear_error *err)
{
    struct line *line = &filter->lines[filter->count];

    *line = (struct line){0};
    filter->number++;
    filter->count++;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) {
        text[--length] = '\0';
    }
    if (length > MESSAGE_MAX) {
        line->error = "too_large: a line has at most 1 MiB";
        return 0;
    }
    return read_line(filter, line, text, length, err);
}

static int filter_lines(struct filter *filter, FILE *in, struct ear_error *err)
{
    int result = -1;
    char *text = NULL;
    size_t size = 0;
    size_t bytes = 0;
    ssize_t length = 0;

    while ((length = getline(&text, &size, in)) > 0) {
        if (take_line(filter, text, (size_t)length, err) < 0) {
            goto done;
        }
        bytes += (size_t)length;
        if (filter->count == BATCH_LINES || bytes > MESSAGE_MAX) {
            bytes = 0;
            if (finish_batch(filter, err) < 0) {
                goto done;
            }
        }
    }
    result = finish_batch(filter, err);

done:
    free(text);
    return result;
}

int classify_command(const struct command_call *call, struct ear_error *err)
{
    int result = -1;
    struct filter *filter = calloc(1, sizeof *filter);
    const char *path = call->argument_count > 0 ? call->arguments[0] : "-";
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

    if (filter == NULL) {
        ear_fail_memory(err, "the filter");
        goto done;
    }
    if (in == NULL) {
        ear_fail(err, EAR_REJECT, "%s: cannot be read: %s", path, strerrordesc_np(errno));
        goto done;
    }
    if (filter_init(filter, call, err) < 0 || filter_lines(filter, in, err) < 0) {
        goto done;
    }
    result = filter->broken ? EXIT_FAILED : EXIT_DONE;

done:
    if (in != NULL && in != stdin) {
        fclose(in);
    }
    if (filter != NULL) {
        filter_clear(filter);
    }
    free(filter);
    return result;
}
