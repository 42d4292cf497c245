/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing to Kafka: a transaction gathers its messages in memory, and where its reader is moved to.
 * What a broker sees of it happens in kafka_commit.c.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"
#include "common/metrics.h"
#include "common/stream/kafka_table.h"
#include "common/testfault.h"
#include "common/testpoint.h"

enum {
    CHUNK_BYTES = 256 * 1024,
    KEPT_BYTES = 8 * 1024 * 1024, /* of a transaction's memory, for the next */
    FIRST_RECORDS = 256,
};

static const size_t bytes_max = (size_t)256 * 1024 * 1024; /* of one transaction */
static const size_t records_max = (size_t)1000 * 1000;

struct kafka_chunk {
    struct kafka_chunk *next;
    size_t size, used;
    char bytes[];
};

/* --- gathering --- */

int kafka_begin(struct stream_transaction **out, struct stream *stream, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    struct kafka_transaction *transaction;

    if (kafka->read_only) {
        return ear_fail(err, EAR_FATAL, "the log %s is open for reading only", kafka->prefix);
    }
    transaction = atomic_exchange(&kafka->kept, NULL);
    if (transaction == NULL) {
        transaction = calloc(1, sizeof *transaction);
    }
    if (transaction == NULL) {
        return ear_fail_memory(err, "a transaction");
    }
    transaction->base.backend = &stream_kafka;
    transaction->kafka = kafka;
    *out = &transaction->base;
    return 0;
}

static void free_chunks(struct kafka_chunk *chunk)
{
    while (chunk != NULL) {
        struct kafka_chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void kafka_transaction_free(struct kafka_transaction *transaction)
{
    if (transaction != NULL) {
        free_chunks(transaction->chunks);
        free_chunks(transaction->spare);
        if (transaction->places != NULL) {
            rd_kafka_topic_partition_list_destroy(transaction->places);
        }
        free(transaction->records);
        free(transaction);
    }
}

/* Empties a transaction, but keeps its memory. */
static void empty(struct kafka_transaction *transaction)
{
    struct kafka_chunk *chunk = transaction->chunks;
    struct kafka_chunk *spare = transaction->spare;
    struct kafka_record *records = transaction->records;
    size_t room = transaction->record_room;

    if (transaction->places != NULL) {
        rd_kafka_topic_partition_list_destroy(transaction->places);
    }
    while (chunk != NULL) {
        struct kafka_chunk *next = chunk->next;

        if (chunk->size == CHUNK_BYTES) {
            *chunk = (struct kafka_chunk){spare, CHUNK_BYTES, 0};
            spare = chunk;
        } else {
            free(chunk);
        }
        chunk = next;
    }
    *transaction =
        (struct kafka_transaction){.spare = spare, .records = records, .record_room = room};
}

/* The memory is kept for the next transaction: allocating it anew would cost more than filling it.
 * Not under the address sanitizer, which is to see what uses it too late. */
void kafka_abort(struct stream_transaction *base)
{
#ifdef __SANITIZE_ADDRESS__
    static const bool keeps = false;
#else
    static const bool keeps = true;
#endif
    struct kafka_transaction *transaction = (struct kafka_transaction *)base;
    struct kafka *kafka = transaction->kafka;
    struct kafka_transaction *none = NULL;

    if (keeps && transaction->bytes <= KEPT_BYTES) {
        empty(transaction);
        if (atomic_compare_exchange_strong(&kafka->kept, &none, transaction)) {
            return;
        }
    }
    kafka_transaction_free(transaction);
}

/* Memory that does not move until the transaction ends: librdkafka sends from it. */
static char *take(struct kafka_transaction *transaction, size_t needed, struct ear_error *err)
{
    struct kafka_chunk *chunk = transaction->chunks;
    size_t size = needed > CHUNK_BYTES ? needed : CHUNK_BYTES;

    if (transaction->bytes + needed > bytes_max) {
        ear_fail(err, EAR_FATAL,
                 "a transaction of more than %zu MiB (a bug of ours): commit sooner",
                 bytes_max >> 20);
        return NULL;
    }
    if (chunk == NULL || chunk->size - chunk->used < needed) {
        if (size == CHUNK_BYTES && transaction->spare != NULL) {
            chunk = transaction->spare;
            transaction->spare = chunk->next;
        } else {
            chunk = malloc(sizeof *chunk + size);
        }
        if (chunk == NULL) {
            ear_fail_memory(err, "the messages of a transaction");
            return NULL;
        }
        *chunk = (struct kafka_chunk){transaction->chunks, size, 0};
        transaction->chunks = chunk;
    }
    chunk->used += needed;
    transaction->bytes += needed;
    return chunk->bytes + chunk->used - needed;
}

static struct kafka_record *new_record(struct kafka_transaction *transaction, struct ear_error *err)
{
    size_t room = transaction->record_room == 0 ? FIRST_RECORDS : transaction->record_room * 2;
    struct kafka_record *grown;

    if (transaction->record_count >= records_max) {
        ear_fail(err, EAR_FATAL, "a transaction of more than %zu messages (a bug of ours)",
                 records_max);
        return NULL;
    }
    if (transaction->record_count == transaction->record_room) {
        grown = realloc(transaction->records, room * sizeof *grown);
        if (grown == NULL) {
            ear_fail_memory(err, "the messages of a transaction");
            return NULL;
        }
        transaction->records = grown;
        transaction->record_room = room;
    }
    return &transaction->records[transaction->record_count];
}

static int check_message(const struct kafka_topic *topic, const char *key, size_t key_length,
                         size_t value_length, struct ear_error *err)
{
    if (stream_check_message(topic->name, topic->compact, key, key_length, value_length, err) !=
        0) {
        return -1;
    }
    return kafka_is_roll(key, key_length)
               ? ear_fail(err, EAR_REJECT, "bad_id: the key '%s' is the log's own", KAFKA_ROLL_KEY)
               : 0;
}

/* Housekeeping's own tombstones: as few as partitions, in a partition of its choice. */
int kafka_publish_to(struct stream_transaction *base, struct kafka_topic *topic, int partition,
                     const char *key, size_t key_length, int64_t at_us, struct ear_error *err)
{
    struct kafka_transaction *transaction = (struct kafka_transaction *)base;
    struct kafka_record *record = new_record(transaction, err);

    if (record == NULL) {
        return -1;
    }
    *record = (struct kafka_record){.topic = topic,
                                    .partition = partition,
                                    .at_us = at_us,
                                    .key = key,
                                    .key_length = key_length,
                                    .offset = -1};
    transaction->record_count++;
    return 0;
}

int kafka_publish(struct stream_transaction *base, const char *name, const char *key,
                  size_t key_length, const char *value, size_t value_length, int64_t at_us,
                  struct ear_error *err)
{
    struct kafka_transaction *transaction = (struct kafka_transaction *)base;
    struct kafka *kafka = transaction->kafka;
    size_t key_bytes = key == NULL ? 0 : key_length;
    size_t value_bytes = value == NULL ? 0 : value_length;
    struct kafka_topic *topic;
    struct kafka_record *record;
    char *to;

    if (kafka_topic_named(&topic, kafka, name, err) != 0 ||
        check_message(topic, key, key_bytes, value_bytes, err) != 0) {
        return -1;
    }
    record = new_record(transaction, err);
    to = record == NULL ? NULL : take(transaction, key_bytes + 1 + value_bytes, err);
    if (to == NULL) {
        return -1;
    }
    if (key_bytes > 0) {
        memcpy(to, key, key_bytes);
    }
    to[key_bytes] = '\0';
    if (value_bytes > 0) {
        memcpy(to + key_bytes + 1, value, value_bytes);
    }
    *record = (struct kafka_record){.topic = topic,
                                    .at_us = at_us,
                                    .key = key == NULL ? NULL : to,
                                    .key_length = key_bytes,
                                    .value = value == NULL ? NULL : to + key_bytes + 1,
                                    .value_length = value_bytes,
                                    .offset = -1};
    record->partition = key == NULL
                            ? (int)(atomic_fetch_add(&kafka->turn, 1) % (unsigned)topic->count)
                            : stream_partition_of(topic->by_prefix, key, key_bytes, topic->count);
    transaction->record_count++;
    return 0;
}

int kafka_move(struct stream_transaction *base, struct stream_reader *base_reader,
               struct ear_error *err)
{
    struct kafka_transaction *transaction = (struct kafka_transaction *)base;
    struct kafka_reader *reader = (struct kafka_reader *)base_reader;

    if (reader->group == NULL) {
        return ear_fail(err, EAR_FATAL, "a reader without a group has no position to move");
    }
    if (transaction->reader != NULL) {
        return ear_fail(err, EAR_FATAL, "a transaction moves one reader, once (a bug of ours)");
    }
    transaction->reader = reader;
    transaction->generation = reader->generation;
    transaction->places = rd_kafka_topic_partition_list_new((int)reader->lane_count);
    for (size_t i = 0; i < reader->lane_count; i++) {
        const struct kafka_lane *lane = &reader->lanes[i];

        if (lane->touched) {
            rd_kafka_topic_partition_list_add(transaction->places, lane->topic->full,
                                              lane->partition)
                ->offset = TESTFAULT("offset-without-one") ? lane->next - 1 : lane->next;
        }
    }
    return 0;
}

void kafka_transaction_tie(struct stream_transaction *base, struct kafka_share *share)
{
    ((struct kafka_transaction *)base)->share = share;
}
