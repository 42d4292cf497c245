/* SPDX-License-Identifier: Apache-2.0 */

/* What `earshot` and tests ask of the store: one post, how it stands, all facts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/command/command.h"
#include "common/hash.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/settings/settings.h"
#include "sinks/balance/balance.h"
#include "sinks/commands/commands.h"
#include "sinks/setup.h"
#include "sinks/store/store.h"

enum { WRITER_BYTES = 1024 * 1024, ARENA_BYTES = 16 * 1024 * 1024, SET_MAX = 64 };

/* Opens the store for reading, as a snapshot. *out NULL: there is none yet. */
static int open_store(struct store **out, const struct command_call *call, const char *path,
                      struct ear_error *err)
{
    struct setup setup = {0};
    struct store_config config;
    int result = -1;

    *out = NULL;
    if (setup_init(&setup, call->settings, err) != 0) {
        return -1;
    }
    if (path != NULL && setup_turn(&setup, path, err) != 0) {
        goto done;
    }
    config = setup_store(&setup);
    config.read_only = true;
    config.role = "view";
    if (store_missing(&config)) {
        result = 0;
    } else if (store_open(out, &config, err) == 0) {
        result = store_begin(*out, err);
    }

done:
    setup_clear(&setup);
    return result;
}

/* --- stored --- */

struct correction {
    struct json *json;
    char *labels[SET_MAX];
    bool wanted[SET_MAX];
    size_t count;
    char *last; /* body of the latest decision; NULL: none */
};

static void correction_clear(struct correction *correction)
{
    for (size_t i = 0; i < correction->count; i++) {
        free(correction->labels[i]);
    }
    free(correction->last);
    json_free(correction->json);
}

/* Later decisions win, label by label. */
static int correct(struct correction *correction, const struct json_node *member,
                   struct ear_error *err)
{
    bool wanted = false;
    size_t at = 0;

    while (at < correction->count && strcmp(correction->labels[at], json_key(member)) != 0) {
        at++;
    }
    if (!json_boolean(member, &wanted) || at == SET_MAX) {
        return 0;
    }
    if (at == correction->count) {
        correction->labels[at] = strdup(json_key(member));
        if (correction->labels[at] == NULL) {
            return ear_fail_memory(err, "corrections");
        }
        correction->count++;
    }
    correction->wanted[at] = wanted;
    return 0;
}

static int take_decision(struct correction *correction, const char *body, size_t length,
                         struct ear_error *err)
{
    const struct json_node *root =
        json_read(correction->json, body, length, &json_limits_default, err);

    if (root == NULL) {
        return -1;
    }
    for (const struct json_node *member = json_first(json_get(root, "set")); member != NULL;
         member = json_next(member)) {
        if (correct(correction, member, err) != 0) {
            return -1;
        }
    }
    free(correction->last);
    correction->last = strndup(body, length);
    return correction->last == NULL ? ear_fail_memory(err, "corrections") : 0;
}

static int read_correction(struct correction *correction, struct store *store,
                           const struct store_value *hash, struct ear_error *err)
{
    struct store_value values[] = {*hash, store_text("label")};
    struct store_rows *rows = NULL;
    int there = 0;

    if (json_new(&correction->json, err) != 0 ||
        store_select(&rows, store, QUERY_DECISION_OF_POST, values, 2, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        size_t length = 0;
        const char *body = store_get_text(rows, 0, &length);

        if (take_decision(correction, body, length, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* "null", or {"set":{…},"who","at","note"}; borrowed until the writer is used again. */
static const char *correction_text(struct correction *correction, struct json_writer *writer,
                                   struct ear_error *err)
{
    const struct json_node *last = NULL;

    if (correction->last == NULL) {
        return "null";
    }
    last = json_read(correction->json, correction->last, strlen(correction->last),
                     &json_limits_default, err);
    if (last == NULL) {
        return NULL;
    }
    json_write_object(writer);
    json_write_key(writer, "set");
    json_write_object(writer);
    for (size_t i = 0; i < correction->count; i++) {
        json_write_key(writer, correction->labels[i]);
        json_write_boolean(writer, correction->wanted[i]);
    }
    json_write_object_end(writer);
    json_member_string(writer, "who", json_string(json_get(last, "who"), NULL));
    json_member_string(writer, "at", json_string(json_get(last, "at"), NULL));
    json_member_string(writer, "note", json_string(json_get(last, "note"), NULL));
    json_write_object_end(writer);
    return json_writer_text(writer, NULL, err);
}

static int print_stored(struct store *store, const struct store_value *hash, const char *body,
                        size_t length, struct ear_error *err)
{
    struct correction correction = {0};
    struct message_arena *arena = NULL;
    struct json_writer *writer = NULL;
    struct ear_message *message = NULL;
    const char *text = NULL;
    int result = -1;

    if (message_arena_new(&arena, ARENA_BYTES, err) != 0 ||
        json_writer_new(&writer, WRITER_BYTES, err) != 0 ||
        read_correction(&correction, store, hash, err) != 0) {
        goto done;
    }
    text = correction_text(&correction, writer, err);
    message = text == NULL ? NULL : message_read(arena, body, length, err);
    if (message == NULL || message_set_raw(message, "correction", text, strlen(text), err) != 0) {
        goto done;
    }
    text = message_text(message, &length, err);
    if (text != NULL) {
        fwrite(text, 1, length, stdout);
        fputc('\n', stdout);
        result = EXIT_DONE;
    }

done:
    correction_clear(&correction);
    json_writer_free(writer);
    message_arena_free(arena);
    return result;
}

/* The body of a post, copied; caller frees. 1 found, 0 none, -1 failed. */
static int find_body(char **out, size_t *length, struct store *store,
                     const struct store_value *hash, struct ear_error *err)
{
    struct store_value row[] = {store_null()};
    struct store_rows *rows = NULL;
    int64_t number = 0;
    bool found = false;
    int there = 0;
    const char *body = NULL;

    if (store_ask_integer(&number, &found, store, QUERY_INSIGHT_FIND, hash, 1, err) != 0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    row[0] = store_integer(number);
    if (store_select(&rows, store, QUERY_INSIGHT_BODY, row, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        body = store_get_text(rows, 0, length);
        *out = strndup(body, *length);
        there = *out == NULL ? ear_fail_memory(err, "a post") : 1;
    }
    store_rows_end(rows);
    return there;
}

int stored_command(const struct command_call *call, struct ear_error *err)
{
    const char *id = call->arguments[0];
    struct hash128 hash = hash128_of(id, strlen(id));
    struct store_value value = store_blob(hash.bytes, sizeof hash.bytes);
    struct store *store = NULL;
    char *body = NULL;
    size_t length = 0;
    int result = -1;

    if (open_store(&store, call, NULL, err) == 0) {
        int found = store == NULL ? 0 : find_body(&body, &length, store, &value, err);

        if (found == 1) {
            result = print_stored(store, &value, body, length, err);
        } else if (found == 0) {
            fprintf(stderr, "no post '%s' is stored; earshot export posts lists all of them\n", id);
            result = EXIT_FAILED;
        }
    }
    free(body);
    store_close(store);
    return result;
}

/* --- status --- */

static int each(struct store *store, enum store_query query, struct json_writer *writer,
                void (*write)(struct json_writer *writer, const struct store_rows *rows),
                struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, store, query, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        write(writer, rows);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static void write_span(struct json_writer *writer, const struct store_rows *rows)
{
    static const char *const names[] = {"posts", "oldest_at", "newest_at"};
    char at[INSTANT_SIZE];

    json_member_integer(writer, names[0], store_get_integer(rows, 0));
    for (int i = 1; i <= 2; i++) {
        json_write_key(writer, names[i]);
        json_write_string(
            writer, store_is_null(rows, i) ? NULL : instant_format(at, store_get_integer(rows, i)));
    }
}

static void write_decisions(struct json_writer *writer, const struct store_rows *rows)
{
    json_member_integer(writer, "decisions", store_get_integer(rows, 0));
    json_member_integer(writer, "decisions_waiting", store_get_integer(rows, 1));
}

static void write_position(struct json_writer *writer, const struct store_rows *rows)
{
    json_write_object(writer);
    json_member_string(writer, "topic", store_get_text(rows, 0, NULL));
    json_member_integer(writer, "partition", store_get_integer(rows, 1));
    json_member_integer(writer, "next", store_get_integer(rows, 2));
    json_write_object_end(writer);
}

static void write_counter(struct json_writer *writer, const struct store_rows *rows)
{
    json_member_integer(writer, store_get_text(rows, 0, NULL), store_get_integer(rows, 1));
}

/* What the audit found. A difference stands once it has lasted too long to be under way. */
static void write_difference(struct json_writer *writer, const struct store_rows *rows,
                             int64_t now_us)
{
    char at[INSTANT_SIZE];
    int64_t since_us = store_get_integer(rows, 6);

    json_write_object(writer);
    json_member_string(writer, "source", store_get_text(rows, 1, NULL));
    json_member_string(writer, "hour", instant_format(at, store_get_integer(rows, 0)));
    json_member_string(writer, "topic", store_get_text(rows, 2, NULL));
    json_member_string(writer, "reader", store_get_text(rows, 3, NULL));
    json_member_string(writer, "kind", store_get_text(rows, 4, NULL));
    json_member_integer(writer, "amount", store_get_integer(rows, 5));
    json_member_string(writer, "since", instant_format(at, since_us));
    json_write_key(writer, "stands");
    json_write_boolean(writer, balance_stands(since_us, now_us));
    json_write_object_end(writer);
}

static int write_audit(struct json_writer *writer, struct store *store, int64_t now_us,
                       struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, store, QUERY_DIFFERENCE_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    json_write_key(writer, "audit");
    json_write_array(writer);
    while ((there = store_next(rows, err)) == 1) {
        write_difference(writer, rows, now_us);
    }
    json_write_array_end(writer);
    store_rows_end(rows);
    return there;
}

static int write_status(struct json_writer *writer, struct store *store, int64_t now_us,
                        struct ear_error *err)
{
    static const struct {
        const char *name;
        enum store_query query;
    } counts[] = {{"facts", QUERY_FACT_COUNT},
                  {"dirty_days", QUERY_DIRTY_COUNT},
                  {"outbox", QUERY_OUTBOX_COUNT}};

    json_write_object(writer);
    json_member_string(writer, "version", store_version(store));
    json_member_integer(writer, "pending_bytes", store_pending_bytes(store));
    if (each(store, QUERY_INSIGHT_SPAN, writer, write_span, err) != 0 ||
        each(store, QUERY_DECISION_COUNTS, writer, write_decisions, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        int64_t count = 0;

        if (store_ask_integer(&count, NULL, store, counts[i].query, NULL, 0, err) != 0) {
            return -1;
        }
        json_member_integer(writer, counts[i].name, count);
    }
    json_write_key(writer, "counters");
    json_write_object(writer);
    if (each(store, QUERY_COUNTER_EACH, writer, write_counter, err) != 0) {
        return -1;
    }
    json_write_object_end(writer);
    json_write_key(writer, "positions");
    json_write_array(writer);
    if (each(store, QUERY_POSITION_EACH, writer, write_position, err) != 0) {
        return -1;
    }
    json_write_array_end(writer);
    if (write_audit(writer, store, now_us, err) != 0) {
        return -1;
    }
    json_write_object_end(writer);
    return 0;
}

int status_command(const struct command_call *call, struct ear_error *err)
{
    struct store *store = NULL;
    struct json_writer *writer = NULL;
    const char *text = NULL;
    int result = -1;

    if (open_store(&store, call, NULL, err) != 0 ||
        json_writer_new(&writer, WRITER_BYTES, err) != 0) {
        goto done;
    }
    if (store == NULL) {
        json_write_object(writer);
        json_member_integer(writer, "posts", 0);
        json_write_object_end(writer);
    } else if (write_status(writer, store, clock_now_us(&call->clock), err) != 0) {
        goto done;
    }
    text = json_writer_text(writer, NULL, err);
    if (text != NULL) {
        puts(text);
        result = EXIT_DONE;
    }

done:
    json_writer_free(writer);
    store_close(store);
    return result;
}

/* --- facts --- */

static int print_fact(struct json_writer *writer, const struct store_rows *rows,
                      struct ear_error *err)
{
    static const struct {
        const char *name;
        bool number;
    } columns[] = {{"post", false},       {"day", false},      {"hour", true},     {"brand", false},
                   {"label", false},      {"channel", false},  {"source", false},  {"lang", false},
                   {"touchpoint", false}, {"theme", false},    {"audience", true}, {"author", true},
                   {"thread", true},      {"created_us", true}};
    const char *text = NULL;

    json_writer_reset(writer);
    json_write_object(writer);
    for (int i = 0; i < (int)(sizeof columns / sizeof columns[0]); i++) {
        if (columns[i].number) {
            json_member_integer(writer, columns[i].name, store_get_integer(rows, i));
        } else {
            json_member_string(writer, columns[i].name, store_get_text(rows, i, NULL));
        }
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, NULL, err);
    if (text == NULL) {
        return -1;
    }
    puts(text);
    return 0;
}

int facts_command(const struct command_call *call, struct ear_error *err)
{
    const char *path = call->argument_count > 0 ? call->arguments[0] : NULL;
    struct store *store = NULL;
    struct store_rows *rows = NULL;
    struct json_writer *writer = NULL;
    int there = -1;

    if (open_store(&store, call, path, err) != 0 ||
        json_writer_new(&writer, WRITER_BYTES, err) != 0) {
        goto done;
    }
    there = 0;
    if (store != NULL) {
        there = store_select(&rows, store, QUERY_FACT_EACH, NULL, 0, err);
    }
    while (rows != NULL && there == 0 && (there = store_next(rows, err)) == 1) {
        there = print_fact(writer, rows, err);
    }

done:
    store_rows_end(rows);
    json_writer_free(writer);
    store_close(store);
    return there < 0 ? -1 : EXIT_DONE;
}
