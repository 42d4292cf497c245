/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/outbox/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/json/json.h"
#include "common/stream/stream.h"
#include "common/testpoint.h"
#include "sinks/store/store.h"
#include "sinks/trends/feed.h"

enum { SLICE = 512, WRITER_BYTES = 64 * 1024 };

struct sent {
    int64_t numbers[SLICE]; /* rows that have gone */
    size_t count;
    size_t published;
    bool feed; /* weeks of the trend feed are among them */
};

/* The relay at work. */
struct relay {
    const struct outbox_config *config;
    struct stream_transaction *transaction;
    struct json_writer *writer;
    int64_t now_us;
    bool feeds;
    struct sent sent;
};

/* True if the log holds this very reject: the relay died after it had published it. */
static int is_there(bool *out, const struct outbox_config *config, const char *key,
                    size_t key_length, const char *body, size_t length, struct ear_error *err)
{
    char *value = NULL;
    size_t value_length = 0;
    int found = stream_lookup(config->stream, config->rejects_topic, key, key_length, &value,
                              &value_length, err);

    *out = found == 1 && value_length == length && memcmp(value, body, length) == 0;
    free(value);
    return found < 0 ? -1 : 0;
}

static int publish(struct relay *relay, const char *topic, const char *key, size_t key_length,
                   const char *value, size_t length, struct ear_error *err)
{
    relay->sent.published++;
    return stream_publish(relay->transaction, topic, key, key_length, value, length, relay->now_us,
                          err);
}

static int send_reject(struct relay *relay, const struct store_rows *rows, struct ear_error *err)
{
    size_t key_length = 0;
    size_t length = 0;
    const char *key = store_get_text(rows, 2, &key_length);
    const char *body = store_get_text(rows, 3, &length);
    bool there = false;

    if (is_there(&there, relay->config, key, key_length, body, length, err) != 0) {
        return -1;
    }
    return there ? 0
                 : publish(relay, relay->config->rejects_topic, key, key_length, body, length, err);
}

/* A cell's message from its row; its window and start stand in front of the key. */
static const char *cell_text(struct relay *relay, const char *key, const struct store_rows *cell,
                             size_t *length, struct ear_error *err)
{
    static const char *const counts[] = {"posts", "people", "conversations"};
    struct json_writer *writer = relay->writer;
    const char *start = strchr(key, '/') + 1;
    char at[INSTANT_SIZE];

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "key", key);
    json_write_key(writer, "window");
    json_write_bytes(writer, key, (size_t)(start - 1 - key));
    json_write_key(writer, "start");
    json_write_bytes(writer, start, strcspn(start, "/"));
    json_member_string(writer, "brand", store_get_text(cell, 4, NULL));
    json_member_string(writer, "label", store_get_text(cell, 5, NULL));
    for (int i = 0; i < 3; i++) {
        json_member_integer(writer, counts[i], store_get_integer(cell, i));
    }
    json_member_string(writer, "at", instant_format(at, store_get_integer(cell, 3)));
    json_write_object_end(writer);
    return json_writer_text(writer, length, err);
}

/* The outbox names a cell that changed; its value is read now. One that holds nothing any more is a
 * tombstone. */
static int send_cell(struct relay *relay, const struct store_rows *rows, struct ear_error *err)
{
    size_t key_length = 0;
    const char *key = store_get_text(rows, 2, &key_length);
    char *place = (char *)store_get_text(rows, 3, NULL);
    struct store_value values[4];
    struct store_rows *cell = NULL;
    const char *text = NULL;
    size_t length = 0;
    int there = -1;

    for (size_t i = 0; i < 4; i++) {
        values[i] = store_integer(strtoll(place, &place, 10));
    }
    if (store_select(&cell, relay->config->store, QUERY_TREND_VALUE, values, 4, err) != 0) {
        return -1;
    }
    there = store_next(cell, err);
    if (there == 1) {
        text = cell_text(relay, key, cell, &length, err);
    }
    store_rows_end(cell);
    if (there < 0 || (there == 1 && text == NULL)) {
        return -1;
    }
    return publish(relay, "trends", key, key_length, text, length, err);
}

static int send_row(struct relay *relay, const struct store_rows *rows, struct ear_error *err)
{
    struct sent *sent = &relay->sent;
    const char *kind = store_get_text(rows, 1, NULL);
    bool feed = strcmp(kind, "feed") == 0;
    int result = 0;

    if (feed && !relay->feeds) {
        return 0;
    }
    if (strcmp(kind, "reject") == 0) {
        result = send_reject(relay, rows, err);
    } else if (strcmp(kind, "trend") == 0) {
        result = send_cell(relay, rows, err);
    }
    sent->numbers[sent->count++] = store_get_integer(rows, 0);
    sent->feed = sent->feed || feed;
    return result;
}

/* A page of rows after *after. Returns how many there were, or -1. */
static int send_page(struct relay *relay, int64_t *after, struct ear_error *err)
{
    struct store_value values[] = {store_integer(*after), store_integer(SLICE)};
    struct store_rows *rows = NULL;
    int seen = 0;
    int there = 0;

    if (store_select(&rows, relay->config->store, QUERY_OUTBOX_NEXT, values, 2, err) != 0) {
        return -1;
    }
    while (relay->sent.count < SLICE && (there = store_next(rows, err)) == 1) {
        *after = store_get_integer(rows, 0);
        seen++;
        if (send_row(relay, rows, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : seen;
}

static int send_rows(struct relay *relay, struct ear_error *err)
{
    int64_t after = 0;
    int seen = SLICE;

    while (seen == SLICE && relay->sent.count < SLICE) {
        seen = send_page(relay, &after, err);
    }
    return seen < 0 ? -1 : 0;
}

static int take_out(const struct sent *sent, const struct outbox_config *config,
                    struct ear_error *err)
{
    if (store_begin(config->store, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sent->count; i++) {
        struct store_value values[] = {store_integer(sent->numbers[i])};

        if (store_run(config->store, QUERY_OUTBOX_DELETE, values, 1, err) < 0) {
            store_rollback(config->store);
            return -1;
        }
    }
    if (store_commit(config->store, err) != 0) {
        store_rollback(config->store);
        return -1;
    }
    return 0;
}

static int write_feed(const struct sent *sent, const struct outbox_config *config, int64_t now_us,
                      struct ear_error *err)
{
    struct feed_config feed = {
        .store = config->store, .zone = config->zone, .weeks = config->feed_weeks};

    if (!sent->feed || config->feed_dir == NULL) {
        return 0;
    }
    if (feed_refresh(&feed, now_us, err) != 0 ||
        feed_write(&feed, config->feed_dir, now_us, err) != 0) {
        return -1;
    }
    TESTPOINT("sink.feed-written");
    return 0;
}

static int count_left(size_t *left, const struct outbox_config *config, struct ear_error *err)
{
    int64_t count = 0;

    if (store_ask_integer(&count, NULL, config->store, QUERY_OUTBOX_COUNT, NULL, 0, err) != 0) {
        return -1;
    }
    *left = (size_t)count;
    return 0;
}

static int relay_slice(struct relay *relay, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;

    if (json_writer_new(&relay->writer, WRITER_BYTES, err) != 0 ||
        stream_begin(&relay->transaction, relay->config->stream, err) != 0) {
        return -1;
    }
    transaction = relay->transaction;
    if (send_rows(relay, err) != 0) {
        stream_abort(transaction);
        return -1;
    }
    if (relay->sent.published == 0) {
        stream_abort(transaction);
    } else if (stream_commit(transaction, err) != 0) {
        return -1;
    }
    TESTPOINT("sink.outbox-sent");
    return 0;
}

int outbox_relay(size_t *left, const struct outbox_config *config, int64_t now_us, bool feeds,
                 struct ear_error *err)
{
    struct relay relay = {.config = config, .now_us = now_us, .feeds = feeds};
    int result = -1;

    if (count_left(left, config, err) != 0) {
        return -1;
    }
    if (*left == 0) {
        return 0;
    }
    result = relay_slice(&relay, err);
    json_writer_free(relay.writer);
    if (result != 0 || write_feed(&relay.sent, config, now_us, err) != 0 ||
        (relay.sent.count > 0 && take_out(&relay.sent, config, err) != 0)) {
        return -1;
    }
    return count_left(left, config, err);
}
