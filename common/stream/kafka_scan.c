/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One pass over a stretch of a partition, without a group: the fetcher of that partition is
 * started, its queue is drained until the wanted end, and it is stopped again, so that nothing is
 * fetched between two passes. Where a stretch ends in markers of transactions, which nobody is
 * given, the end of the partition tells how far it goes.
 */

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/stream/kafka_table.h"

enum { SCAN_BATCH = 500, SCAN_POLL_MS = 250, SCAN_STALLED_MS = 30000 };

int kafka_scanner_open(struct kafka_scanner *scanner, struct kafka *kafka, struct ear_error *err)
{
    rd_kafka_conf_t *conf = kafka_conf(kafka, KAFKA_ALONE, err);

    *scanner = (struct kafka_scanner){.kafka = kafka};
    /* A pass is over when the broker says that there is no more: it need not hold that back. */
    if (conf == NULL || kafka_set(conf, "fetch.wait.max.ms", "10", err) != 0 ||
        kafka_set(conf, "enable.partition.eof", "true", err) != 0) {
        if (conf != NULL) {
            rd_kafka_conf_destroy(conf);
        }
        return -1;
    }
    if (kafka_make(&scanner->client, kafka, RD_KAFKA_CONSUMER, conf, err) != 0) {
        return -1;
    }
    scanner->handles = calloc(kafka->topic_count, sizeof(rd_kafka_topic_t *));
    for (size_t i = 0; scanner->handles != NULL && i < kafka->topic_count; i++) {
        scanner->handles[i] = rd_kafka_topic_new(scanner->client, kafka->topics[i].full, NULL);
        if (scanner->handles[i] == NULL) {
            kafka_fail(kafka, rd_kafka_last_error(), kafka->topics[i].full, err);
            kafka_scanner_close(scanner);
            return -1;
        }
    }
    if (scanner->handles == NULL) {
        kafka_scanner_close(scanner);
        return ear_fail_memory(err, "a reader of tables");
    }
    return 0;
}

void kafka_scanner_close(struct kafka_scanner *scanner)
{
    for (size_t i = 0; scanner->handles != NULL && i < scanner->kafka->topic_count; i++) {
        if (scanner->handles[i] != NULL) {
            rd_kafka_topic_destroy(scanner->handles[i]);
        }
    }
    free(scanner->handles);
    if (scanner->client != NULL) {
        rd_kafka_destroy(scanner->client);
    }
    *scanner = (struct kafka_scanner){.kafka = scanner->kafka};
}

/* An error that is told among the messages. Trouble that passes is left to librdkafka. */
static int take_error(const struct kafka_scanner *scanner, struct kafka_stretch *stretch,
                      const rd_kafka_message_t *raw, struct ear_error *err)
{
    char doing[384];

    if (raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        stretch->position = raw->offset > stretch->position ? raw->offset : stretch->position;
        return 0;
    }
    if (kafka_kind_of(raw->err) == EAR_RETRY) {
        return 0;
    }
    if (kafka_unknown(raw->err)) {
        return kafka_confirm_topics(scanner->kafka, err);
    }
    snprintf(doing, sizeof doing, "read %s/%d", stretch->topic->full, stretch->partition);
    return kafka_fail(scanner->kafka, raw->err, doing, err);
}

static int take_raw(const struct kafka_scanner *scanner, struct kafka_stretch *stretch,
                    const rd_kafka_message_t *raw, struct ear_error *err)
{
    struct stream_message message;
    int result = 0;

    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return take_error(scanner, stretch, raw, err);
    }
    if (raw->offset < stretch->position) {
        return 0;
    }
    if (raw->offset < stretch->end) {
        message = kafka_message(stretch->topic, raw);
        if (stretch->rolls || !kafka_is_roll(message.key, message.key_length)) {
            result = stretch->take(stretch->user, &message, err);
        }
    }
    stretch->position = raw->offset + 1;
    return result;
}

/* 1: the taker has seen enough. */
static int drain(const struct kafka_scanner *scanner, struct kafka_stretch *stretch,
                 rd_kafka_queue_t *queue, struct ear_error *err)
{
    int64_t moved_us = clock_mono_us();
    int result = 0;

    while (result == 0 && stretch->position < stretch->end) {
        rd_kafka_message_t *raw[SCAN_BATCH];
        const int64_t before = stretch->position;
        const ssize_t count = rd_kafka_consume_batch_queue(queue, SCAN_POLL_MS, raw, SCAN_BATCH);

        for (ssize_t i = 0; i < count; i++) {
            if (result == 0 && stretch->position < stretch->end) {
                result = take_raw(scanner, stretch, raw[i], err);
            }
            rd_kafka_message_destroy(raw[i]);
        }
        if (stretch->position > before) {
            moved_us = clock_mono_us();
        } else if (result == 0 && clock_mono_us() - moved_us > SCAN_STALLED_MS * INT64_C(1000)) {
            result = ear_fail(err, EAR_RETRY, "Kafka at %s brings nothing of %s/%d from %lld on",
                              scanner->kafka->brokers, stretch->topic->full, stretch->partition,
                              (long long)stretch->position);
        }
    }
    return result;
}

/* What the client has to say of brokers that come and go; it says so here or keeps it for ever. */
static void hear(const struct kafka_scanner *scanner)
{
    rd_kafka_message_t *raw;

    while ((raw = rd_kafka_consumer_poll(scanner->client, 0)) != NULL) {
        rd_kafka_message_destroy(raw);
    }
}

int kafka_scan(const struct kafka_scanner *scanner, struct kafka_stretch *stretch,
               struct ear_error *err)
{
    rd_kafka_topic_t *handle = scanner->handles[stretch->topic - scanner->kafka->topics];
    rd_kafka_queue_t *queue;
    int result;

    if (stretch->position >= stretch->end) {
        return 0;
    }
    hear(scanner);
    queue = rd_kafka_queue_new(scanner->client);
    if (rd_kafka_consume_start_queue(handle, stretch->partition, stretch->position, queue) != 0) {
        rd_kafka_queue_destroy(queue);
        return kafka_fail(scanner->kafka, rd_kafka_last_error(), "begin to read", err);
    }
    result = drain(scanner, stretch, queue, err);
    rd_kafka_consume_stop(handle, stretch->partition);
    rd_kafka_queue_destroy(queue);
    return result < 0 ? -1 : 0;
}

static int ask_offset(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                      int64_t which, int64_t *out, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int result;

    rd_kafka_topic_partition_list_add(list, topic->full, partition);
    result = kafka_offsets(kafka, list, which, err);
    if (result == 0) {
        *out = list->elems[0].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int kafka_end_of(struct kafka *kafka, const struct kafka_topic *topic, int partition, int64_t *out,
                 struct ear_error *err)
{
    return ask_offset(kafka, topic, partition, RD_KAFKA_OFFSET_END, out, err);
}

int kafka_begin_of(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                   int64_t *out, struct ear_error *err)
{
    return ask_offset(kafka, topic, partition, RD_KAFKA_OFFSET_BEGINNING, out, err);
}
