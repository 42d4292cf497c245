/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/outbox/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "common/stream/stream.h"
#include "common/testpoint.h"
#include "sinks/store/store.h"
#include "sinks/trends/feed.h"

enum { SLICE = 256 };

struct sent {
    int64_t numbers[SLICE]; /* rows that have gone */
    size_t count;
    size_t rejects;
    bool feed; /* weeks of the trend feed are among them */
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

static int publish(struct sent *sent, const struct outbox_config *config,
                   struct stream_transaction *transaction, const struct store_rows *rows,
                   int64_t now_us, struct ear_error *err)
{
    size_t key_length = 0;
    size_t length = 0;
    const char *key = store_get_text(rows, 2, &key_length);
    const char *body = store_get_text(rows, 3, &length);
    bool there = false;

    if (is_there(&there, config, key, key_length, body, length, err) != 0) {
        return -1;
    }
    sent->rejects += !there;
    return there ? 0
                 : stream_publish(transaction, config->rejects_topic, key, key_length, body, length,
                                  now_us, err);
}

/* A page of rows after *after. Returns how many there were, or -1. */
static int send_page(struct sent *sent, int64_t *after, const struct outbox_config *config,
                     struct stream_transaction *transaction, int64_t now_us, bool feeds,
                     struct ear_error *err)
{
    struct store_value values[] = {store_integer(*after), store_integer(SLICE)};
    struct store_rows *rows = NULL;
    int seen = 0;
    int there = 0;

    if (store_select(&rows, config->store, QUERY_OUTBOX_NEXT, values, 2, err) != 0) {
        return -1;
    }
    while (sent->count < SLICE && (there = store_next(rows, err)) == 1) {
        bool reject = strcmp(store_get_text(rows, 1, NULL), "reject") == 0;

        *after = store_get_integer(rows, 0);
        seen++;
        if (reject && publish(sent, config, transaction, rows, now_us, err) != 0) {
            there = -1;
            break;
        }
        if (reject || feeds) {
            sent->numbers[sent->count++] = *after;
            sent->feed = sent->feed || !reject;
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : seen;
}

static int send_rows(struct sent *sent, const struct outbox_config *config,
                     struct stream_transaction *transaction, int64_t now_us, bool feeds,
                     struct ear_error *err)
{
    int64_t after = 0;
    int seen = SLICE;

    while (seen == SLICE && sent->count < SLICE) {
        seen = send_page(sent, &after, config, transaction, now_us, feeds, err);
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

int outbox_relay(size_t *left, const struct outbox_config *config, int64_t now_us, bool feeds,
                 struct ear_error *err)
{
    struct sent sent = {.count = 0};
    struct stream_transaction *transaction = NULL;

    if (count_left(left, config, err) != 0) {
        return -1;
    }
    if (*left == 0) {
        return 0;
    }
    if (stream_begin(&transaction, config->stream, err) != 0) {
        return -1;
    }
    if (send_rows(&sent, config, transaction, now_us, feeds, err) != 0) {
        stream_abort(transaction);
        return -1;
    }
    if (sent.rejects == 0) {
        stream_abort(transaction);
    } else if (stream_commit(transaction, err) != 0) {
        return -1;
    }
    TESTPOINT("sink.outbox-sent");
    if (write_feed(&sent, config, now_us, err) != 0 ||
        (sent.count > 0 && take_out(&sent, config, err) != 0)) {
        return -1;
    }
    return count_left(left, config, err);
}
