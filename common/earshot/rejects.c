/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot rejects`: what could not be handled. A stage's or sink's reject is named by the place of
 * its message (topic/partition/offset): retry publishes that message once more. A collector's is
 * named source/hash: retry marks it, and the collector that has the source reads that anew from the
 * beginning; what is known there is not published again. Nobody but its collector writes where a
 * source stands.
 */

#include <stdlib.h>
#include <string.h>

#include "common/earshot/earshot_internal.h"
#include "common/message/message.h"

enum { REJECT_MAX = 4 * 1024 * 1024, PLACE_MAX = 256, COUNT_MAX = 4096 };

struct work {
    const struct command_call *call;
    struct stream *stream;
    struct json *json;
    struct stream_transaction *transaction; /* retry, drop */
    const char *id;                         /* NULL: all */
    int64_t at_us;
    size_t found, done, gone;
    bool collect; /* a source has to be asked again */
    struct ear_error *err;
    bool failed;
};

static const char *string_of(const struct json_node *root, const char *name)
{
    const char *text = json_string(json_get(root, name), NULL);

    return text == NULL ? "" : text;
}

/* --- list and show --- */

static void print_row(const struct json_node *root, const char *key)
{
    printf("%.19sZ  ", string_of(root, "at"));
    print_text(stdout, key, 60);
    fputs("  ", stdout);
    print_text(stdout, string_of(root, "source"), 24);
    printf("  %s/", string_of(root, "stage"));
    print_text(stdout, string_of(root, "code"), 24);
    fputs("\n    ", stdout);
    if (string_of(root, "item")[0] != '\0') {
        print_text(stdout, string_of(root, "item"), 100); /* FILE:LINE; entry 3 */
        fputs(": ", stdout);
    }
    print_text(stdout, string_of(root, "reason"), 200);
    if (string_of(root, "action")[0] != '\0') {
        fputs("\n    → ", stdout);
        print_text(stdout, string_of(root, "action"), 200);
    }
    fputc('\n', stdout);
}

/* A reject as JSON; one that is asked for by its id with its bytes, while they are kept. */
static void print_json(struct work *work, const struct stream_message *message)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *bytes = NULL;
    char *body = NULL;
    size_t length = 0;

    if (work->id != NULL && message->value_length > 1 &&
        stream_lookup(work->stream, "bodies", message->key, message->key_length, &body, &length,
                      &why) == 1) {
        bytes = json_get(json_read(work->json, body, length, &json_limits_default, &why), "bytes");
    }
    if (bytes != NULL) {
        const char *raw = json_raw(bytes, &length);

        fwrite(message->value, 1, message->value_length - 1, stdout);
        fputs(",\"bytes\":", stdout);
        fwrite(raw, 1, length, stdout);
        fputs("}\n", stdout);
    } else {
        fwrite(message->value, 1, message->value_length, stdout);
        fputc('\n', stdout);
    }
    free(body);
}

static bool list_one(void *user, const struct stream_message *message)
{
    struct work *work = user;
    struct ear_error why = {EAR_NONE, ""};

    if (message->value == NULL || (work->id != NULL && strcmp(work->id, message->key) != 0)) {
        return true;
    }
    work->found++;
    if (work->call->output == OUTPUT_TABLE && work->id == NULL) {
        print_row(json_read(work->json, message->value, message->value_length, &json_limits_default,
                            &why),
                  message->key);
    } else {
        print_json(work, message);
    }
    return true;
}

/* --- drop and retry --- */

static int bury(struct work *work, const struct stream_message *message)
{
    return stream_publish(work->transaction, "rejects", message->key, message->key_length, NULL, 0,
                          work->at_us, work->err);
}

static bool drop_one(void *user, const struct stream_message *message)
{
    struct work *work = user;

    if (message->value == NULL || (work->id != NULL && strcmp(work->id, message->key) != 0)) {
        return true;
    }
    work->found++;
    work->failed = bury(work, message) != 0;
    work->done += work->failed ? 0 : 1;
    return !work->failed;
}

/* "posts/3/1290" taken apart. False: not such a place. */
static bool parse_place(const char *id, char topic[PLACE_MAX], int *partition, int64_t *offset)
{
    const char *first = strchr(id, '/');
    char *end = NULL;

    if (first == NULL || first == id || (size_t)(first - id) >= PLACE_MAX) {
        return false;
    }
    *partition = (int)strtol(first + 1, &end, 10);
    if (end == first + 1 || *end != '/') {
        return false;
    }
    first = end;
    *offset = strtoll(first + 1, &end, 10);
    if (end == first + 1 || *end != '\0') {
        return false;
    }
    snprintf(topic, PLACE_MAX, "%.*s", (int)(strchr(id, '/') - id), id);
    return true;
}

/* Counts a message that is published once more for the audit: as if it had come through. */
static int count_again(struct work *work, const struct stream_message *message)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *root =
        json_read(work->json, message->value, message->value_length, &json_limits_default, &why);
    struct json_writer *writer = NULL;
    const char *source = json_string(json_get(root, "source"), NULL);
    int64_t version = 0;
    char hour[INSTANT_SIZE];
    char at[INSTANT_SIZE];
    char key[512];
    const char *text = NULL;
    size_t length = 0;
    int result = -1;

    if (!json_integer(json_get(root, "version"), &version) || source == NULL) {
        return 0; /* nobody counts it under a source */
    }
    if (json_writer_new(&writer, COUNT_MAX, work->err) != 0) {
        return -1;
    }
    instant_format(hour, version - version % CLOCK_HOUR_US);
    json_write_object(writer);
    json_member_string(writer, "role", "command");
    json_member_string(writer, "to", message->topic);
    json_member_string(writer, "source", source);
    json_member_string(writer, "hour", hour);
    json_member_integer(writer, "out", 1);
    json_member_string(writer, "at", instant_format(at, work->at_us));
    json_write_object_end(writer);
    snprintf(key, sizeof key, "%.400s/%s", source, hour);
    text = json_writer_text(writer, &length, work->err);
    if (text != NULL) {
        result = stream_publish(work->transaction, "audit", key, strlen(key), text, length,
                                work->at_us, work->err);
    }
    json_writer_free(writer);
    return result;
}

/* Publishes the message once more where it lay. */
static int send_again(struct work *work, const char *topic, int partition, int64_t offset)
{
    struct stream_batch batch = {0};
    int found = stream_fetch(work->stream, topic, partition, offset, &batch, work->err);
    int result = found < 0 ? -1 : 0;

    if (found == 1 && batch.count == 1 && batch.messages[0].value != NULL) {
        const struct stream_message *message = &batch.messages[0];

        result = stream_publish(work->transaction, topic, message->key, message->key_length,
                                message->value, message->value_length, work->at_us, work->err);
        result = result == 0 ? count_again(work, message) : -1;
        work->done += result == 0 ? 1 : 0;
    } else if (found >= 0) {
        work->gone++; /* superseded or aged out: nothing is left to retry */
    }
    stream_batch_clear(&batch);
    return result;
}

/* Marks a collector's reject: whichever collector has its source reads that anew. */
static int ask_again(struct work *work, const struct stream_message *message)
{
    struct message_arena *arena = NULL;
    struct ear_message *marked = NULL;
    const char *text = NULL;
    size_t length = 0;
    int result = -1;

    if (message_arena_new(&arena, REJECT_MAX, work->err) != 0) {
        return -1;
    }
    marked = message_read(arena, message->value, message->value_length, work->err);
    if (marked != NULL && message_set_raw(marked, "again", "true", 4, work->err) == 0) {
        text = message_text(marked, &length, work->err);
    }
    if (text != NULL) {
        result = stream_publish(work->transaction, "rejects", message->key, message->key_length,
                                text, length, work->at_us, work->err);
    }
    message_arena_free(arena);
    return result;
}

static bool retry_one(void *user, const struct stream_message *message)
{
    struct work *work = user;
    char topic[PLACE_MAX];
    int partition = 0;
    int64_t offset = 0;

    if (message->value == NULL || (work->id != NULL && strcmp(work->id, message->key) != 0)) {
        return true;
    }
    work->found++;
    if (parse_place(message->key, topic, &partition, &offset) &&
        stream_partitions(work->stream, topic) > 0) {
        work->failed = send_again(work, topic, partition, offset) != 0 || bury(work, message) != 0;
    } else {
        work->failed = ask_again(work, message) != 0;
        work->collect = true;
        work->done++;
    }
    return !work->failed;
}

/* --- the command --- */

static int in_transaction(struct work *work,
                          bool (*visit)(void *user, const struct stream_message *message))
{
    if (stream_begin(&work->transaction, work->stream, work->err) != 0) {
        return -1;
    }
    if (stream_each_latest(work->stream, "rejects", visit, work, work->err) != 0 || work->failed) {
        stream_abort(work->transaction);
        return -1;
    }
    return stream_commit(work->transaction, work->err);
}

static int carry_on(struct work *work, struct ear_error *err)
{
    const struct deciding_options *options = work->call->options;
    int64_t deadline_us = clock_mono_us() + 10 * CLOCK_MINUTE_US;
    struct launch launch;
    int code = EXIT_DONE;

    if (options->no_wait) {
        return EXIT_DONE;
    }
    if (work->collect) {
        launch_init(&launch, work->call, roles[ROLE_COLLECT].program, "once");
        launch_add_deadline(&launch, deadline_us - clock_mono_us());
        code = launch_run(&launch, err);
    }
    if (code == EXIT_DONE) {
        code = carry_through(work->call, work->call->settings, deadline_us, err);
    }
    return code;
}

/* Collectors of other machines may have the source. */
static bool is_shared(const struct settings *settings)
{
    return strncmp(settings->stream_url, "local:", 6) != 0;
}

static int act(struct work *work, const char *verb, struct ear_error *err)
{
    pid_t holder = settings_role_holder(work->call->settings, roles[ROLE_COLLECT].name);

    if (strcmp(verb, "drop") == 0) {
        return in_transaction(work, drop_one);
    }
    if (in_transaction(work, retry_one) != 0) {
        return -1;
    }
    if (work->collect && (holder > 0 || is_shared(work->call->settings))) {
        fputs("the collector that has the source asks it again within seconds\n", stderr);
        work->collect = false;
    }
    stream_close(work->stream);
    work->stream = NULL;
    return carry_on(work, err);
}

static int run_verb(struct work *work, const char *verb, struct ear_error *err)
{
    bool acts = strcmp(verb, "retry") == 0 || strcmp(verb, "drop") == 0;
    int code = EXIT_DONE;

    if (acts) {
        code = act(work, verb, err);
    } else if (stream_each_latest(work->stream, "rejects", list_one, work, err) != 0) {
        code = -1;
    }
    if (code >= 0 && work->id != NULL && work->found == 0) {
        fprintf(stderr, "there is no reject '%s'; `earshot rejects` lists them\n", work->id);
        return EXIT_FAILED;
    }
    if (code >= 0 && acts) {
        fprintf(stderr, "%zu %s%s\n", work->done,
                strcmp(verb, "drop") == 0 ? "dropped" : "sent again",
                work->gone > 0 ? "; the rest is no longer in the log" : "");
    } else if (code >= 0 && work->found == 0 && work->call->output == OUTPUT_TABLE) {
        fputs("nothing was rejected\n", stderr);
    }
    return code;
}

int command_rejects(const struct command_call *call, struct ear_error *err)
{
    const char *verb = call->argument_count > 0 ? call->arguments[0] : "list";
    bool acts = strcmp(verb, "retry") == 0 || strcmp(verb, "drop") == 0;
    struct work work = {.call = call, .at_us = clock_now_us(&call->clock), .err = err};
    int code = -1;

    if (!acts && strcmp(verb, "show") != 0 && strcmp(verb, "list") != 0) {
        return command_misused(call, "'%s' is neither retry nor drop nor show", verb);
    }
    if (strcmp(verb, "show") == 0 && call->argument_count < 2) {
        return command_misused(call, "show needs the reject's ID");
    }
    if (strcmp(verb, "drop") == 0 && call->argument_count < 2) {
        return command_misused(call, "drop needs the reject's ID, or 'all'");
    }
    work.id = call->argument_count > 1 && strcmp(call->arguments[1], "all") != 0
                  ? call->arguments[1]
                  : NULL;
    if (settings_open_stream(&work.stream, call->settings, !acts, err) == 0 &&
        json_new(&work.json, err) == 0) {
        code = run_verb(&work, verb, err);
    }
    stream_close(work.stream);
    json_free(work.json);
    return code;
}
