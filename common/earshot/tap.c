/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot tap`: what a topic holds and what arrives, without joining a group. */

#include <stdlib.h>
#include <string.h>

#include "common/earshot/earshot_internal.h"

const struct ear_option tap_options[] = {
    {"json", EAR_BOOLEAN, offsetof(struct tap_values, json), "false",
     "values as they lie in the log, one a line, also on a terminal", NULL},
    {"meta", EAR_BOOLEAN, offsetof(struct tap_values, meta), "false",
     "wrap each as {topic, partition, offset, key, value}", NULL},
    {"from", EAR_STRING, offsetof(struct tap_values, from), NULL,
     "0 (the oldest), a duration back such as 1h, or an instant; else only what arrives", NULL},
    {"until-end", EAR_BOOLEAN, offsetof(struct tap_values, until_end), "false",
     "stop at what is the end now", NULL},
    {"where", EAR_STRINGS, offsetof(struct tap_values, where), NULL,
     "only messages with FIELD=VALUE, such as label=wish, source=our-blog, lang=en", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

enum {
    BATCH_MESSAGES = 500,
    BATCH_BYTES = 4 * 1024 * 1024,
    WAIT_MS = 300,
    LINE_MAX_BYTES = 2 << 20
};

struct tap {
    const struct tap_values *options;
    const struct command_call *call;
    struct stream *stream;
    struct stream_reader *reader;
    struct json *json;
    struct json_writer *writer;
    const char *topic;
    int64_t ends[STREAM_PARTITIONS_MAX]; /* [partitions]: where --until-end stops */
    int partitions;
};

/* --- what passes --- */

static bool lists(const struct json_node *array, const char *value)
{
    for (const struct json_node *item = json_first(array); item != NULL; item = json_next(item)) {
        const char *text = json_string(item, NULL);

        if (text != NULL && strcmp(text, value) == 0) {
            return true;
        }
    }
    return false;
}

/* A condition looks at the message's own fields, then at those of its insight. */
static bool holds(const struct json_node *message, const char *field, const char *value)
{
    const struct json_node *places[] = {message, json_get(message, "insight")};
    const char *list = strcmp(field, "label") == 0        ? "labels"
                       : strcmp(field, "tag") == 0        ? "tags"
                       : strcmp(field, "brand") == 0      ? "brands"
                       : strcmp(field, "competitor") == 0 ? "competitors"
                       : strcmp(field, "flag") == 0       ? "flags"
                                                          : field;

    for (size_t i = 0; i < 2; i++) {
        const struct json_node *node = json_get(places[i], field);
        const char *text = json_string(node, NULL);
        bool truth = false;

        if ((text != NULL && strcmp(text, value) == 0) || lists(node, value) ||
            lists(json_get(places[i], list), value) ||
            (json_boolean(node, &truth) && strcmp(value, truth ? "true" : "false") == 0)) {
            return true;
        }
    }
    return false;
}

static bool passes(const struct tap *tap, const struct json_node *message)
{
    for (size_t i = 0; i < tap->options->where.count; i++) {
        const char *condition = tap->options->where.items[i];
        size_t length = strcspn(condition, "=");
        char field[128];

        snprintf(field, sizeof field, "%.*s", (int)length, condition);
        if (!holds(message, field, condition + length + 1)) {
            return false;
        }
    }
    return true;
}

/* --- how it looks --- */

static void print_labels(const struct json_node *message)
{
    const struct json_node *labels = json_get(json_get(message, "insight"), "labels");

    for (const struct json_node *item = json_first(labels); item != NULL; item = json_next(item)) {
        fputs(" [", stdout);
        print_text(stdout, json_string(item, NULL), 20);
        fputc(']', stdout);
    }
}

/* One line for people: when, where from, labels, the words. */
static void print_row(const struct stream_message *message, const struct json_node *root)
{
    static const char *const instants[] = {"created_at", "at", "collected_at"};
    static const char *const words[] = {"title", "text", "reason", "kind"};
    const char *instant = NULL;
    char now[INSTANT_SIZE];
    bool first = true;

    for (size_t i = 0; instant == NULL && i < 3; i++) {
        instant = json_string(json_get(root, instants[i]), NULL);
    }
    print_text(stdout, instant == NULL ? instant_format(now, message->at_us) : instant, 20);
    fputs("  ", stdout);
    print_text(stdout, json_string(json_get(root, "source"), NULL), 24);
    print_labels(root);
    for (size_t i = 0; i < 4; i++) {
        const char *text = json_string(json_get(root, words[i]), NULL);

        if (text != NULL && text[0] != '\0') {
            fputs(first ? "  " : " — ", stdout);
            print_text(stdout, text, 120);
            first = false;
        }
    }
    if (first) {
        fputs("  ", stdout);
        print_text(stdout, message->key, 100);
    }
    fputc('\n', stdout);
}

static int print_meta(struct tap *tap, const struct stream_message *message, struct ear_error *err)
{
    json_write_object(tap->writer);
    json_member_string(tap->writer, "topic", message->topic);
    json_member_integer(tap->writer, "partition", message->partition);
    json_member_integer(tap->writer, "offset", message->offset);
    json_write_key(tap->writer, "key");
    json_write_bytes(tap->writer, message->key, message->key_length);
    json_write_key(tap->writer, "value");
    json_write_raw(tap->writer, message->value, message->value_length);
    json_write_object_end(tap->writer);
    return print_json_line(tap->writer, err);
}

static int print_message(struct tap *tap, const struct stream_message *message,
                         struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *root = NULL;
    bool table = tap->call->output == OUTPUT_TABLE && !tap->options->json && !tap->options->meta;

    if (message->value == NULL) {
        return 0; /* a tombstone says nothing that anybody could read */
    }
    if (table || tap->options->where.count > 0) {
        root =
            json_read(tap->json, message->value, message->value_length, &json_limits_default, &why);
        if (!passes(tap, root)) {
            return 0;
        }
    }
    if (table) {
        print_row(message, root);
        return 0;
    }
    if (tap->options->meta) {
        return print_meta(tap, message, err);
    }
    fwrite(message->value, 1, message->value_length, stdout);
    fputc('\n', stdout);
    return 0;
}

/* --- the loop --- */

static bool at_end(const struct tap *tap)
{
    for (int i = 0; i < tap->partitions; i++) {
        if (stream_position(tap->reader, tap->topic, i) < tap->ends[i]) {
            return false;
        }
    }
    return true;
}

static int follow(struct tap *tap, struct ear_error *err)
{
    struct stream_batch batch = {0};
    bool until_end = tap->options->until_end;
    int result = 0;

    while (result == 0 && !command_stop_asked() && !(until_end && at_end(tap))) {
        result = stream_read(tap->reader, &batch, BATCH_MESSAGES, BATCH_BYTES,
                             until_end ? 0 : WAIT_MS, err);
        for (size_t i = 0; result == 0 && i < batch.count; i++) {
            const struct stream_message *message = &batch.messages[i];

            if (!until_end || message->offset < tap->ends[message->partition]) {
                result = print_message(tap, message, err);
            }
        }
        if (result == 0 && until_end && batch.count == 0) {
            break; /* the rest was compacted away */
        }
        if (result == 0 && fflush(stdout) != 0) {
            break; /* nobody reads any more */
        }
    }
    stream_batch_clear(&batch);
    return result;
}

static int open_tap(struct tap *tap, int64_t from_us, struct ear_error *err)
{
    struct stream_span span;

    if (settings_open_stream(&tap->stream, tap->call->settings, true, err) != 0) {
        return -1;
    }
    tap->partitions = stream_partitions(tap->stream, tap->topic);
    for (int i = 0; i < tap->partitions; i++) {
        if (stream_span(tap->stream, tap->topic, i, &span, err) != 0) {
            return -1;
        }
        tap->ends[i] = span.end;
    }
    if (json_new(&tap->json, err) != 0 || json_writer_new(&tap->writer, LINE_MAX_BYTES, err) != 0) {
        return -1;
    }
    return stream_follow(&tap->reader, tap->stream, tap->topic, from_us, err);
}

static int check_topic(const struct command_call *call, const char *topic)
{
    const char *names[17] = {NULL};
    char listed[400] = "";
    char nearest[128];

    for (size_t i = 0; i < call->settings->topic_count; i++) {
        size_t length = strlen(listed);

        names[i] = call->settings->topics[i].name;
        snprintf(listed + length, sizeof listed - length, "%s%s", i == 0 ? "" : ", ", names[i]);
        if (strcmp(names[i], topic) == 0) {
            return EXIT_DONE;
        }
    }
    config_suggest(nearest, sizeof nearest, topic, names);
    return command_misused(call, "'%s' is no topic; %s", topic,
                           nearest[0] != '\0' ? nearest : listed);
}

int command_tap(const struct command_call *call, struct ear_error *err)
{
    const struct tap_values *options = call->options;
    struct tap tap = {.options = options, .call = call, .topic = call->arguments[0]};
    int64_t from_us = INT64_MAX;
    int result = check_topic(call, tap.topic);

    if (result != EXIT_DONE) {
        return result;
    }
    for (size_t i = 0; i < options->where.count; i++) {
        if (strchr(options->where.items[i], '=') == NULL) {
            return command_misused(call, "--where takes FIELD=VALUE, such as label=wish");
        }
    }
    if (options->from != NULL && strcmp(options->from, "0") == 0) {
        from_us = INT64_MIN;
    } else if (options->from != NULL &&
               instant_parse_bound(&from_us, options->from, clock_now_us(&call->clock),
                                   call->settings->zone, err) != 0) {
        return command_misused(call, "--from: %s", err->message);
    }
    command_stop_on_signals();
    result = open_tap(&tap, from_us, err);
    if (result == 0) {
        result = follow(&tap, err);
    }
    stream_reader_close(tap.reader);
    stream_close(tap.stream);
    json_writer_free(tap.writer);
    json_free(tap.json);
    return result == 0 ? EXIT_DONE : -1;
}
