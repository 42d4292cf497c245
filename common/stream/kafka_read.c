/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading from Kafka. librdkafka fetches ahead into queues; a read polls the client's main queue
 * (assignments, errors), then takes from the partitions' queues in turn and copies what it took
 * into the batch. One descriptor says when any of the queues has something.
 *
 * Offsets have gaps: the markers of transactions. That a partition is at its end is told by an
 * event of its own, which carries the offset behind the markers; the same offset counts as where
 * the reader stands, so that a group that has read everything has no lag.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/stream/kafka_table.h"

enum {
    NAP_MS = 100,       /* the group's callbacks are served at least this often */
    SETTLE_MS = 60000,  /* how long a read that must know waits for an assignment or an end */
    AHEAD_KIB = 65536,  /* fetched ahead by one reader, all partitions together */
    AHEAD_LEAST = 1088, /* of one partition: the longest message */
};

/* --- making readers --- */

void kafka_reader_close(struct stream_reader *base)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;

    if (reader->client != NULL) {
        if (reader->group != NULL) {
            rd_kafka_consumer_close(reader->client); /* calls back: partitions are given up */
        }
        kafka_drop_lanes(reader);
        if (reader->events != NULL) {
            rd_kafka_queue_destroy(reader->events);
        }
        rd_kafka_destroy(reader->client);
    }
    if (reader->given != NULL) {
        rd_kafka_topic_partition_list_destroy(reader->given);
    }
    if (reader->wake >= 0) {
        close(reader->wake);
    }
    free(reader->group);
    free(reader);
}

/* With separate queues librdkafka's bound on what is fetched ahead holds for each. */
static int bound_ahead(const struct kafka *kafka, rd_kafka_conf_t *conf, int partitions,
                       struct ear_error *err)
{
    char text[32];
    int each = AHEAD_KIB / (partitions > 0 ? partitions : 1);

    for (size_t i = 0; i < kafka->setting_count; i++) {
        if (strcmp(kafka->settings[i].name, "queued.max.messages.kbytes") == 0) {
            return 0;
        }
    }
    snprintf(text, sizeof text, "%d", each > AHEAD_LEAST ? each : AHEAD_LEAST);
    return kafka_set(conf, "queued.max.messages.kbytes", text, err);
}

/* A reader with a client; of a group, not subscribed yet. */
static struct kafka_reader *new_reader(struct kafka *kafka, const char *group, int partitions,
                                       struct ear_error *err)
{
    const uint64_t one = 1;
    struct kafka_reader *reader = calloc(1, sizeof *reader);
    rd_kafka_conf_t *conf = NULL;
    char *full = group == NULL ? NULL : kafka_full_group(kafka, group, err);

    if (reader == NULL || (group != NULL && full == NULL)) {
        free(reader);
        free(full);
        if (err->kind == EAR_NONE) {
            ear_fail_memory(err, "a reader of the log");
        }
        return NULL;
    }
    reader->base.backend = &stream_kafka;
    reader->kafka = kafka;
    reader->user = (struct kafka_user){kafka, reader};
    reader->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    reader->group = group == NULL ? NULL : strdup(group);
    conf = kafka_conf(kafka, group == NULL ? KAFKA_ALONE : KAFKA_MEMBER, err);
    if (conf == NULL || reader->wake < 0 || (group != NULL && reader->group == NULL)) {
        goto done;
    }
    rd_kafka_conf_set_opaque(conf, &reader->user);
    if (bound_ahead(kafka, conf, partitions, err) != 0 ||
        (full != NULL && kafka_set(conf, "group.id", full, err) != 0)) {
        goto done;
    }
    if (full != NULL) {
        rd_kafka_conf_set_rebalance_cb(conf, kafka_rebalance);
    }
    if (kafka_make(&reader->client, kafka, RD_KAFKA_CONSUMER, conf, err) != 0) {
        conf = NULL;
        goto done;
    }
    free(full);
    reader->events = rd_kafka_queue_get_consumer(reader->client);
    rd_kafka_queue_io_event_enable(reader->events, reader->wake, &one, sizeof one);
    return reader;

done:
    if (err->kind == EAR_NONE) {
        ear_fail_memory(err, "a reader of the log");
    }
    if (conf != NULL) {
        rd_kafka_conf_destroy(conf);
    }
    free(full);
    kafka_reader_close(&reader->base);
    return NULL;
}

int kafka_subscribe(struct stream_reader **out, struct stream *stream, const char *group,
                    const char *const topics[], size_t topic_count,
                    const struct stream_start *start, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    rd_kafka_topic_partition_list_t *list;
    struct kafka_reader *reader = NULL;
    struct kafka_topic *topic;
    rd_kafka_resp_err_t code;
    int partitions = 0;
    int result = -1;

    ear_error_clear(err);
    if (kafka->read_only) {
        return ear_fail(err, EAR_FATAL,
                        "group '%s' cannot subscribe: the log %s is open for reading only", group,
                        kafka->prefix);
    }
    list = rd_kafka_topic_partition_list_new((int)topic_count);
    for (size_t i = 0; i < topic_count; i++) {
        if (kafka_topic_named(&topic, kafka, topics[i], err) != 0) {
            goto done;
        }
        rd_kafka_topic_partition_list_add(list, topic->full, RD_KAFKA_PARTITION_UA);
        partitions += topic->count;
    }
    reader = new_reader(kafka, group, partitions, err);
    if (reader == NULL) {
        goto done;
    }
    if (start != NULL) {
        reader->start = *start;
    }
    code = rd_kafka_subscribe(reader->client, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_fail(kafka, code, "join a group", err);
        goto done;
    }
    *out = &reader->base;
    reader = NULL;
    result = 0;

done:
    rd_kafka_topic_partition_list_destroy(list);
    if (reader != NULL) {
        kafka_reader_close(&reader->base);
    }
    return result;
}

int kafka_reader_alone(struct kafka_reader **out, struct kafka *kafka,
                       const rd_kafka_topic_partition_list_t *list, struct ear_error *err)
{
    struct kafka_reader *reader;

    ear_error_clear(err);
    reader = new_reader(kafka, NULL, list->cnt, err);
    if (reader == NULL) {
        return -1;
    }
    if (kafka_start_lanes(reader, list, err) != 0) {
        kafka_reader_close(&reader->base);
        return -1;
    }
    *out = reader;
    return 0;
}

/* --- taking messages --- */

struct share {
    struct stream_batch *batch;
    size_t max_messages; /* of the whole batch */
    size_t max_bytes;
};

/* A group has missed messages. Who follows without one goes on with what is kept. */
static int hear_gap(struct kafka_reader *reader, struct kafka_lane *lane, struct ear_error *err)
{
    struct stream_span span = {0};

    if (reader->group == NULL) {
        if (kafka_span_of(reader->kafka, lane->topic, lane->partition, &span, err) != 0) {
            return -1;
        }
        if (lane->next < span.earliest) {
            return kafka_lane_to(reader, lane, span.earliest, err);
        }
    }
    return kafka_fail_position(reader, lane->topic, lane->partition, lane->next, err);
}

/* What comes in place of a message. Trouble that passes is librdkafka's to mend, and logged. */
static int hear_event(struct kafka_reader *reader, struct kafka_lane *lane,
                      const rd_kafka_message_t *message, struct ear_error *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        if (lane != NULL && message->offset > lane->next) { /* past the markers of transactions */
            lane->next = message->offset;
            lane->touched = true;
        }
        return 0;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return lane == NULL ? 0 : hear_gap(reader, lane, err);
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED: /* its partitions go; the callback says so */
        return 0;
    default:
        if (kafka_unknown(message->err)) {
            return kafka_confirm_topics(reader->kafka, err);
        }
        if (kafka_kind_of(message->err) == EAR_RETRY || kafka_kind_of(message->err) == EAR_FENCED) {
            return 0;
        }
        kafka_fail(reader->kafka, message->err, "read", err);
        reader->trouble = *err;
        return -1;
    }
}

/* Copies a message into the batch. Below where the reader stands there is nothing new. */
static int give(struct kafka_lane *lane, const rd_kafka_message_t *message,
                struct stream_batch *batch, struct ear_error *err)
{
    const struct stream_message copy = kafka_message(lane->topic, message);

    if (message->offset < lane->next) {
        return 0;
    }
    if (!kafka_is_roll(copy.key, copy.key_length) && batch_add(batch, &copy, err) != 0) {
        return -1;
    }
    lane->next = message->offset + 1;
    lane->touched = true;
    return 0;
}

static bool fits(const struct share *share, const rd_kafka_message_t *message)
{
    const struct stream_batch *batch = share->batch;

    return batch->count == 0 ||
           (batch->count < share->max_messages &&
            batch->bytes + message->len + message->key_len <= share->max_bytes);
}

/* Gives out what the lane holds, until the share is full. */
static int take_held(struct kafka_reader *reader, struct kafka_lane *lane, struct kafka_held *held,
                     const struct share *share, struct ear_error *err)
{
    while (held->count > 0) {
        rd_kafka_message_t *message = held->items[held->first];
        int result;

        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && !fits(share, message)) {
            return 0;
        }
        held->first++;
        held->count--;
        result = message->err == RD_KAFKA_RESP_ERR_NO_ERROR
                     ? give(lane, message, share->batch, err)
                     : hear_event(reader, lane, message, err);
        rd_kafka_message_destroy(message);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int take_lane(struct kafka_reader *reader, struct kafka_lane *lane,
                     const struct share *share, struct ear_error *err)
{
    if (take_held(reader, lane, &lane->early, share, err) != 0) {
        return -1;
    }
    return lane->early.count > 0 || reader->crowded
               ? 0
               : take_held(reader, lane, &lane->held, share, err);
}

/*
 * Twice around the lanes: first each gets its part of what is left, then the rest goes to whoever
 * has more. The lane that begins moves on from read to read. A partition's messages stay in order.
 */
static int take_all(struct kafka_reader *reader, const struct share *share, struct ear_error *err)
{
    const struct stream_batch *batch = share->batch;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < reader->lane_count; i++) {
            struct kafka_lane *lane = &reader->lanes[(reader->first + i) % reader->lane_count];
            size_t parts = round == 0 ? reader->lane_count - i : 1;
            size_t messages = share->max_messages - batch->count;
            size_t bytes = share->max_bytes > batch->bytes ? share->max_bytes - batch->bytes : 0;
            const struct share part = {share->batch, batch->count + (messages + parts - 1) / parts,
                                       batch->bytes + bytes / parts};

            if (take_lane(reader, lane, &part, err) != 0) {
                return -1;
            }
        }
    }
    reader->first = reader->first + 1 < reader->lane_count ? reader->first + 1 : 0;
    return 0;
}

/* Behind what is held. False: it can be no more. */
static bool hold(struct kafka_held *held, rd_kafka_message_t *message)
{
    if (held->first + held->count == KAFKA_HELD) {
        if (held->first == 0) {
            return false;
        }
        memmove(held->items, held->items + held->first, held->count * sizeof(rd_kafka_message_t *));
        held->first = 0;
    }
    held->items[held->first + held->count++] = message;
    return true;
}

static bool holds_all_it_can(const struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        if (reader->lanes[i].early.count == KAFKA_HELD) {
            return true;
        }
    }
    return false;
}

/* Takes what the partitions' own queues have, where nothing is left of the last time. */
static void gather(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct kafka_lane *lane = &reader->lanes[i];
        ssize_t got =
            lane->held.count > 0
                ? 0
                : rd_kafka_consume_batch_queue(lane->queue, 0, lane->held.items, KAFKA_HELD);

        if (got > 0) {
            lane->held = (struct kafka_held){lane->held.items, 0, (size_t)got};
        }
    }
}

/*
 * The main queue: the group's callbacks, errors, and messages of a partition that librdkafka had
 * not parted from it yet. Whatever it holds of a partition came before what the partition's own
 * queue holds, and so before what was gathered there before this queue was emptied. The other way
 * round a message could come into this queue, and a later one (or the end) into that, after this
 * one had been looked at: the later one would be given out first, the earlier one then be taken for
 * one that was given out, and lost.
 */
static int serve(struct kafka_reader *reader, struct ear_error *err)
{
    int result = 0;

    reader->crowded = false;
    while (result == 0) {
        rd_kafka_message_t *message;
        struct kafka_lane *lane = NULL;

        if (holds_all_it_can(reader)) {
            reader->crowded = true;
            return 0;
        }
        message = rd_kafka_consumer_poll(reader->client, 0);
        if (message == NULL) {
            return 0;
        }
        if (message->rkt != NULL) {
            lane = kafka_find_lane(
                reader, kafka_find_full(reader->kafka, rd_kafka_topic_name(message->rkt)),
                message->partition);
        }
        if (lane != NULL && hold(&lane->early, message)) {
            rd_kafka_queue_forward(lane->queue, NULL);
            continue;
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            result = hear_event(reader, NULL, message, err);
        }
        rd_kafka_message_destroy(message);
    }
    return result;
}

/* --- reading --- */

static int begin_given(struct kafka_reader *reader, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *given = reader->given;
    int placed = given->cnt == 0 ? 1 : kafka_place(reader, given, err);

    if (placed != 1) {
        return placed;
    }
    reader->given = NULL;
    placed = kafka_start_lanes(reader, given, err);
    rd_kafka_topic_partition_list_destroy(given);
    return placed;
}

/* What is there now, into the batch. */
static int read_now(struct kafka_reader *reader, const struct share *share, struct ear_error *err)
{
    gather(reader);
    if (serve(reader, err) != 0) {
        return -1;
    }
    if (reader->fenced) {
        reader->fenced = false;
        batch_reset(share->batch);
        return ear_fail(err, EAR_FENCED,
                        "partitions of group '%s' changed hands: what was read and not moved is "
                        "void",
                        reader->group);
    }
    if (reader->given != NULL && begin_given(reader, err) != 0) {
        return -1;
    }
    if (reader->trouble.kind != EAR_NONE) {
        *err = reader->trouble;
        return -1;
    }
    return take_all(reader, share, err);
}

/*
 * Asks where the partitions end; a reader that stands there has nothing to read. A commit is
 * answered when its outcome is sure, and its end is written into the partitions a moment later:
 * what this process committed itself is waited for, up to and with that end.
 */
static int ask_ends(struct kafka_reader *reader, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)reader->lane_count);
    int result;

    for (size_t i = 0; i < reader->lane_count; i++) {
        rd_kafka_topic_partition_list_add(list, reader->lanes[i].topic->full,
                                          reader->lanes[i].partition);
    }
    result = kafka_offsets(reader->kafka, list, RD_KAFKA_OFFSET_END, err);
    for (size_t i = 0; i < reader->lane_count && result == 0; i++) {
        struct kafka_lane *lane = &reader->lanes[i];
        int64_t noted = kafka_table_noted(reader->kafka, lane->topic, lane->partition);

        lane->end = list->elems[i].offset;
        if (noted >= 0 && lane->end < noted + 2) {
            lane->end = noted + 2;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

static bool at_end(const struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        if (reader->lanes[i].next < reader->lanes[i].end) {
            return false;
        }
    }
    return true;
}

/* True when a signal ended the wait. */
static bool nap(const struct kafka_reader *reader, int64_t left_us)
{
    struct pollfd wake = {.fd = reader->wake, .events = POLLIN, .revents = 0};
    uint64_t count;
    int ready =
        poll(&wake, 1, left_us > INT64_C(1000) * NAP_MS ? NAP_MS : (int)(left_us / 1000) + 1);

    if (ready > 0 && read(reader->wake, &count, sizeof count) < 0) {
        return false; /* another queue's wake came with it */
    }
    return ready < 0 && errno == EINTR;
}

/*
 * Nothing came and nothing is to be waited for: is there really nothing? 1 yes, 0 not known yet.
 * *asked: for which assignment the ends were asked in this read.
 */
static int nothing_there(struct kafka_reader *reader, int64_t *asked, struct ear_error *err)
{
    if (!reader->assigned) {
        return 0;
    }
    if (*asked != reader->generation) {
        if (ask_ends(reader, err) != 0) {
            return -1;
        }
        *asked = reader->generation;
    }
    return at_end(reader) ? 1 : 0;
}

static int wait_in_vain(const struct kafka_reader *reader, struct ear_error *err)
{
    if (!reader->assigned) {
        return ear_fail(err, EAR_RETRY,
                        "Kafka at %s gave group '%s' no partitions within %d s: is its coordinator "
                        "up, and does every reader of the group still poll?",
                        reader->kafka->brokers, reader->group, SETTLE_MS / 1000);
    }
    return ear_fail(err, EAR_RETRY, "Kafka at %s brings nothing though there is more to read",
                    reader->kafka->brokers);
}

int kafka_read(struct stream_reader *base, struct stream_batch *batch, size_t max_messages,
               size_t max_bytes, int timeout_ms, struct ear_error *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    const struct share share = {batch, max_messages, max_bytes};
    int64_t end_us = clock_mono_us() + (int64_t)(timeout_ms > 0 ? timeout_ms : SETTLE_MS) * 1000;
    int64_t asked = -1;

    ear_error_clear(err);
    batch_reset(batch);
    for (;;) {
        int64_t left_us;

        if (read_now(reader, &share, err) != 0) {
            if (batch->count > 0 && (reader->trouble.kind != EAR_NONE || err->kind == EAR_RETRY)) {
                ear_error_clear(err); /* first what came before it; then it is told again */
                return 0;
            }
            batch_reset(batch);
            return -1;
        }
        if (batch->count > 0) {
            return 0;
        }
        if (timeout_ms <= 0) {
            int nothing = nothing_there(reader, &asked, err);

            if (nothing != 0) {
                return nothing == 1 ? 0 : -1;
            }
        }
        left_us = end_us - clock_mono_us();
        if (left_us <= 0) {
            return timeout_ms > 0 ? 0 : wait_in_vain(reader, err);
        }
        if (nap(reader, left_us) && timeout_ms > 0) {
            return 0;
        }
    }
}
