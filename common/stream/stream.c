/* SPDX-License-Identifier: Apache-2.0 */

/* The door: picks the back end by the URL's scheme and passes every call on. */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/hash.h"
#include "common/metrics.h"
#include "common/stream/stream_internal.h"

static const struct stream_backend *const backends[] = {&stream_local, &stream_kafka};

int stream_partition_of(bool by_prefix, const char *key, size_t key_length, int count)
{
    const char *end = by_prefix ? memchr(key, '/', key_length) : NULL;
    struct hash128 hash = hash128_of(key, end == NULL ? key_length : (size_t)(end - key));
    uint64_t number = 0;

    for (size_t i = 0; i < sizeof number; i++) {
        number = number << 8 | hash.bytes[i];
    }
    return (int)(number % (uint64_t)count);
}

int stream_check_message(const char *topic, bool compact, const char *key, size_t key_length,
                         size_t value_length, struct ear_error *err)
{
    if (key_length > STREAM_KEY_MAX) {
        return ear_fail(err, EAR_REJECT,
                        "too_large: a key for topic '%s' has %zu bytes; at most %d are taken",
                        topic, key_length, STREAM_KEY_MAX);
    }
    if (value_length > STREAM_MESSAGE_MAX) {
        return ear_fail(err, EAR_REJECT,
                        "too_large: a message for topic '%s' has %zu bytes; at most %d are taken",
                        topic, value_length, STREAM_MESSAGE_MAX);
    }
    if (key == NULL && compact) {
        return ear_fail(err, EAR_REJECT, "no_key: topic '%s' is compacted: messages need a key",
                        topic);
    }
    return 0;
}

int64_t stream_start_at(const struct stream_start *start, const char *topic, int partition,
                        struct ear_error *err)
{
    return start->at == NULL ? STREAM_AT_GROUP : start->at(start->user, topic, partition, err);
}

static const struct stream_backend *backend_of(const char *url, struct ear_error *err)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strncmp(url, backends[i]->scheme, strlen(backends[i]->scheme)) == 0) {
            return backends[i];
        }
    }
    if (strncasecmp(url, "kafka:", 6) == 0) {
        ear_fail(err, EAR_CONFIG,
                 "the URL '%.*s': write kafka:// in lower case, then "
                 "HOST:PORT/PREFIX",
                 (int)strcspn(url, ":") + 1, url);
        return NULL;
    }
    ear_fail(err, EAR_CONFIG,
             "the URL '%.*s' names no log that is known; write local:PATH or "
             "kafka://HOST:PORT/PREFIX",
             (int)strcspn(url, ":") + 1, url);
    return NULL;
}

int stream_check_url(const char *url, struct ear_error *err)
{
    const struct stream_backend *backend = backend_of(url, err);

    return backend == NULL ? -1 : backend->check_url == NULL ? 0 : backend->check_url(url, err);
}

int stream_open(struct stream **out, const struct stream_config *config, struct ear_error *err)
{
    const struct stream_backend *backend = backend_of(config->url, err);

    return backend == NULL ? -1 : backend->open(out, config, err);
}

void stream_close(struct stream *stream)
{
    if (stream != NULL) {
        stream->backend->close(stream);
    }
}

int stream_subscribe(struct stream_reader **out, struct stream *stream, const char *group,
                     const char *const topics[], size_t topic_count,
                     const struct stream_start *start, struct ear_error *err)
{
    return stream->backend->subscribe(out, stream, group, topics, topic_count, start, err);
}

int stream_follow(struct stream_reader **out, struct stream *stream, const char *topic,
                  int64_t from_us, struct ear_error *err)
{
    return stream->backend->follow(out, stream, topic, from_us, err);
}

void stream_reader_close(struct stream_reader *reader)
{
    if (reader != NULL) {
        reader->backend->reader_close(reader);
    }
}

int stream_seek(struct stream_reader *reader, const char *topic, int partition, int64_t offset,
                struct ear_error *err)
{
    return reader->backend->seek(reader, topic, partition, offset, err);
}

int stream_read(struct stream_reader *reader, struct stream_batch *batch, size_t max_messages,
                size_t max_bytes, int timeout_ms, struct ear_error *err)
{
    return reader->backend->read(reader, batch, max_messages, max_bytes, timeout_ms, err);
}

int stream_rewind(struct stream_reader *reader, struct ear_error *err)
{
    return reader->backend->rewind(reader, err);
}

int64_t stream_position(const struct stream_reader *reader, const char *topic, int partition)
{
    return reader->backend->position(reader, topic, partition);
}

bool stream_is_ahead(const struct stream_reader *reader)
{
    return reader->backend->is_ahead(reader);
}

void stream_measure_lag(struct stream *stream, const struct stream_reader *reader,
                        const char *topic, struct metrics *metrics)
{
    const int partitions = metrics == NULL ? 0 : stream_partitions(stream, topic);

    for (int partition = 0; partition < partitions; partition++) {
        struct ear_error ignored = {0};
        struct stream_span span;
        char number[16], labels[256];
        const int64_t position = stream_position(reader, topic, partition);
        double lag = NAN; /* a partition that another process reads */

        if (position >= 0) {
            if (stream_span(stream, topic, partition, &span, &ignored) != 0) {
                continue;
            }
            lag = (double)(span.end - (position < span.earliest ? span.earliest : position));
        }
        snprintf(number, sizeof number, "%d", partition);
        metrics_labels(labels, sizeof labels, "topic", topic, "partition", number, NULL);
        metrics_set(metrics, "earshot_consumer_lag_messages", labels, lag);
    }
}

int stream_share_open(struct stream_share **out, struct stream *stream, const char *group,
                      const char *const tables[], size_t table_count, struct ear_error *err)
{
    return stream->backend->share_open(out, stream, group, tables, table_count, err);
}

void stream_share_close(struct stream_share *share)
{
    if (share != NULL) {
        share->backend->share_close(share);
    }
}

int stream_share_turn(struct stream_share *share, int timeout_ms, bool *changed,
                      struct ear_error *err)
{
    return share->backend->share_turn(share, timeout_ms, changed, err);
}

int64_t stream_share_owns(const struct stream_share *share, const char *key, size_t key_length)
{
    return share->backend->share_owns(share, key, key_length);
}

bool stream_share_settling(const struct stream_share *share)
{
    return share->backend->share_settling(share);
}

int stream_share_guard(struct stream_transaction *transaction, struct stream_share *share,
                       struct ear_error *err)
{
    return share->backend->share_guard(transaction, share, err);
}

int stream_begin(struct stream_transaction **out, struct stream *stream, struct ear_error *err)
{
    return stream->backend->begin(out, stream, err);
}

int stream_publish(struct stream_transaction *transaction, const char *topic, const char *key,
                   size_t key_length, const char *value, size_t value_length, int64_t at_us,
                   struct ear_error *err)
{
    return transaction->backend->publish(transaction, topic, key, key_length, value, value_length,
                                         at_us, err);
}

int stream_move(struct stream_transaction *transaction, struct stream_reader *reader,
                struct ear_error *err)
{
    return transaction->backend->move(transaction, reader, err);
}

int stream_commit(struct stream_transaction *transaction, struct ear_error *err)
{
    return transaction->backend->commit(transaction, err);
}

void stream_abort(struct stream_transaction *transaction)
{
    if (transaction != NULL) {
        transaction->backend->abort(transaction);
    }
}

int stream_lookup(struct stream *stream, const char *topic, const char *key, size_t key_length,
                  char **out, size_t *out_length, struct ear_error *err)
{
    return stream->backend->lookup(stream, topic, key, key_length, out, out_length, err);
}

int stream_each_latest(struct stream *stream, const char *topic,
                       bool (*visit)(void *user, const struct stream_message *message), void *user,
                       struct ear_error *err)
{
    return stream->backend->each_latest(stream, topic, visit, user, err);
}

int stream_partitions(struct stream *stream, const char *topic)
{
    return stream->backend->partitions(stream, topic);
}

int stream_span(struct stream *stream, const char *topic, int partition, struct stream_span *out,
                struct ear_error *err)
{
    return stream->backend->span(stream, topic, partition, out, err);
}

int64_t stream_group_position(struct stream *stream, const char *group, const char *topic,
                              int partition, struct ear_error *err)
{
    return stream->backend->group_position(stream, group, topic, partition, err);
}

int stream_each_group(struct stream *stream,
                      bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                    int64_t position),
                      void *user, struct ear_error *err)
{
    return stream->backend->each_group(stream, visit, user, err);
}

int stream_forget_group(struct stream *stream, const char *group, struct ear_error *err)
{
    return stream->backend->forget_group(stream, group, err);
}

int stream_fetch(struct stream *stream, const char *topic, int partition, int64_t offset,
                 struct stream_batch *batch, struct ear_error *err)
{
    return stream->backend->fetch(stream, topic, partition, offset, batch, err);
}

double stream_fullness(struct stream *stream)
{
    return stream->backend->fullness(stream);
}

int stream_maintain(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err)
{
    return stream->backend->maintain(stream, now_us, more, err);
}

int stream_compact(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err)
{
    return stream->backend->compact(stream, disk, freed_bytes, err);
}
