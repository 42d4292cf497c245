/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which partitions a reader has, and where it stands on them. The group's callback only notes what
 * was assigned; stream_read then asks where to begin (the committed offset, or the owner's
 * database) as often as it takes, and starts reading there: a callback that waited for somebody's
 * pending transaction would hold its caller for as long.
 *
 * Each partition keeps a queue of its own, so that a read takes fairly from all. librdkafka sends a
 * partition's messages to the client's main queue until it is told otherwise, and does so again
 * when it begins to fetch, in a thread of its own: kafka_read.c copes with messages on either.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/stream/kafka_internal.h"
#include "common/testfault.h"
#include "common/testpoint.h"

enum { COMMITTED_MS = 300, SEEK_MS = 5000, STUCK_MS = 200, NAP_US = 20 * 1000 };

/* --- lanes --- */

static void drop(struct kafka_held *held)
{
    for (size_t i = 0; i < held->count; i++) {
        rd_kafka_message_destroy(held->items[held->first + i]);
    }
    held->first = 0;
    held->count = 0;
}

static void drop_held(struct kafka_lane *lane)
{
    drop(&lane->early);
    drop(&lane->held);
}

void kafka_drop_lanes(struct kafka_reader *reader)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct kafka_lane *lane = &reader->lanes[i];

        drop_held(lane);
        free(lane->early.items);
        free(lane->held.items);
        if (lane->queue != NULL) {
            rd_kafka_queue_destroy(lane->queue);
        }
    }
    free(reader->lanes);
    reader->lanes = NULL;
    reader->lane_count = 0;
}

struct kafka_lane *kafka_find_lane(const struct kafka_reader *reader,
                                   const struct kafka_topic *topic, int partition)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct kafka_lane *lane = &reader->lanes[i];

        if (lane->topic == topic && lane->partition == partition) {
            return lane;
        }
    }
    return NULL;
}

static int fill_lanes(struct kafka_reader *reader, const rd_kafka_topic_partition_list_t *list,
                      struct ear_error *err)
{
    reader->lanes = calloc((size_t)list->cnt + 1, sizeof *reader->lanes);
    if (reader->lanes == NULL) {
        return ear_fail_memory(err, "the partitions of a reader");
    }
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *place = &list->elems[i];
        struct kafka_lane *lane = &reader->lanes[reader->lane_count++];

        lane->topic = kafka_find_full(reader->kafka, place->topic);
        lane->partition = place->partition;
        lane->next = place->offset;
        if (lane->topic == NULL) {
            reader->lane_count--;
            return ear_fail(err, EAR_FATAL, "a group was given the topic %s, which nobody reads",
                            place->topic);
        }
        lane->early.items = calloc(KAFKA_HELD, sizeof(rd_kafka_message_t *));
        lane->held.items = calloc(KAFKA_HELD, sizeof(rd_kafka_message_t *));
        if (lane->early.items == NULL || lane->held.items == NULL) {
            return ear_fail_memory(err, "the partitions of a reader");
        }
    }
    return 0;
}

int kafka_start_lanes(struct kafka_reader *reader, const rd_kafka_topic_partition_list_t *list,
                      struct ear_error *err)
{
    const uint64_t one = 1;
    rd_kafka_resp_err_t code;

    kafka_drop_lanes(reader);
    ear_error_clear(&reader->trouble);
    if (fill_lanes(reader, list, err) != 0) {
        kafka_drop_lanes(reader);
        return -1;
    }
    code = rd_kafka_assign(reader->client, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_drop_lanes(reader);
        return kafka_fail(reader->kafka, code, "begin to read", err);
    }
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct kafka_lane *lane = &reader->lanes[i];

        assert(lane->topic != NULL); /* fill_lanes saw to it */
        TESTPOINT("kafka.lanes-asked");
        lane->queue =
            rd_kafka_queue_get_partition(reader->client, lane->topic->full, lane->partition);
        rd_kafka_queue_forward(lane->queue, NULL);
        rd_kafka_queue_io_event_enable(lane->queue, reader->wake, &one, sizeof one);
    }
    TESTPOINT("kafka.lanes-parted");
    reader->assigned = true;
    reader->generation++;
    return 0;
}

void kafka_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
                     rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_reader *reader = ((const struct kafka_user *)opaque)->owner;

    if (reader->given != NULL) {
        rd_kafka_topic_partition_list_destroy(reader->given);
        reader->given = NULL;
    }
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        TESTPOINT("kafka.assigned");
        reader->given = rd_kafka_topic_partition_list_copy(list);
        return;
    }
    TESTPOINT("kafka.revoked");
    reader->fenced = reader->fenced || reader->lane_count > 0;
    reader->assigned = false;
    reader->generation++;
    kafka_drop_lanes(reader);
    rd_kafka_assign(client, NULL);
}

/* --- where to begin --- */

int kafka_fail_position(struct kafka_reader *reader, const struct kafka_topic *topic, int partition,
                        int64_t position, struct ear_error *err)
{
    struct stream_span span = {0};
    const char *group = reader->group == NULL ? "a reader" : reader->group;

    if (kafka_span_of(reader->kafka, topic, partition, &span, err) != 0) {
        return -1;
    }
    if (position < span.earliest) {
        ear_fail(err, EAR_CONFIG,
                 "group '%s' stands at %s/%d/%lld, but the log keeps only what comes from %lld on: "
                 "messages between are gone; if that may be, move it there",
                 group, topic->name, partition, (long long)position, (long long)span.earliest);
    } else {
        ear_fail(err, EAR_CONFIG,
                 "group '%s' stands at %s/%d/%lld, but the log ends at %lld: is this the log that "
                 "it read?",
                 group, topic->name, partition, (long long)position, (long long)span.end);
    }
    reader->trouble = *err;
    return -1;
}

/* The group's committed offsets into `list`. 0: a transaction that moves them is pending. */
static int ask_committed(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *list,
                         struct ear_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(reader->client, list, COMMITTED_MS);

    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 1;
    }
    if (kafka_kind_of(code) == EAR_RETRY || kafka_kind_of(code) == EAR_FENCED) {
        return 0;
    }
    return kafka_fail(reader->kafka, code, "where the group stands", err);
}

static int place_one(struct kafka_reader *reader, rd_kafka_topic_partition_t *place,
                     int64_t earliest, struct ear_error *err)
{
    const struct kafka_topic *topic = kafka_find_full(reader->kafka, place->topic);
    int64_t at;

    if (topic == NULL) {
        return ear_fail(err, EAR_FATAL, "a group was given the topic %s, which nobody reads",
                        place->topic);
    }
    at = stream_start_at(&reader->start, topic->name, place->partition, err);
    if (at == STREAM_AT_FAILED) {
        return -1;
    }
    if (at == STREAM_AT_GROUP) {
        at = place->offset < 0 ? STREAM_AT_EARLIEST : place->offset;
    }
    place->offset = at == STREAM_AT_EARLIEST ? earliest : at;
    if (TESTFAULT("offset-reset-latest") && at == STREAM_AT_EARLIEST) {
        place->offset = RD_KAFKA_OFFSET_END;
        return 0;
    }
    return place->offset >= earliest
               ? 0
               : kafka_fail_position(reader, topic, place->partition, place->offset, err);
}

int kafka_place(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *list,
                struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *earliest = rd_kafka_topic_partition_list_copy(list);
    int result = ask_committed(reader, list, err);

    if (result == 1 &&
        kafka_offsets(reader->kafka, earliest, RD_KAFKA_OFFSET_BEGINNING, err) != 0) {
        result = -1;
    }
    for (int i = 0; i < list->cnt && result == 1; i++) {
        if (place_one(reader, &list->elems[i], earliest->elems[i].offset, err) != 0) {
            result = -1;
        }
    }
    rd_kafka_topic_partition_list_destroy(earliest);
    return result;
}

/* --- going elsewhere --- */

static rd_kafka_topic_partition_list_t *list_lanes(const struct kafka_reader *reader)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)reader->lane_count);

    for (size_t i = 0; i < reader->lane_count; i++) {
        rd_kafka_topic_partition_list_add(list, reader->lanes[i].topic->full,
                                          reader->lanes[i].partition)
            ->offset = reader->lanes[i].next;
    }
    return list;
}

/* Begins anew on all partitions, on those in `list` elsewhere. */
static int start_anew(struct kafka_reader *reader, const rd_kafka_topic_partition_list_t *list,
                      struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *all = list_lanes(reader);
    rd_kafka_resp_err_t code;

    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_list_set_offset(all, list->elems[i].topic,
                                                 list->elems[i].partition, list->elems[i].offset);
    }
    code = rd_kafka_assign(reader->client, all);
    rd_kafka_topic_partition_list_destroy(all);
    for (size_t i = 0; i < reader->lane_count; i++) {
        rd_kafka_queue_forward(reader->lanes[i].queue, NULL);
        drop_held(&reader->lanes[i]); /* it comes again */
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : kafka_fail(reader->kafka, code, "begin to read elsewhere", err);
}

/* A partition cannot be sought on (_STATE) a moment after it was assigned; nor ever once it was out
 * of range: then all begin anew. */
static int seek_all(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *list,
                    struct ear_error *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)SEEK_MS * 1000;
    int64_t stuck_us = clock_mono_us() + (int64_t)STUCK_MS * 1000;

    for (;;) {
        rd_kafka_error_t *error = rd_kafka_seek_partitions(reader->client, list, SEEK_MS);
        rd_kafka_resp_err_t code =
            error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);

        rd_kafka_error_destroy(error);
        for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            code = list->elems[i].err;
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return 0;
        }
        if (code == RD_KAFKA_RESP_ERR__STATE && clock_mono_us() > stuck_us) {
            return start_anew(reader, list, err);
        }
        if (clock_mono_us() > until_us) {
            return kafka_fail(reader->kafka, code, "go back to where the group stands", err);
        }
        usleep(NAP_US);
    }
}

static int go_to(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *list,
                 struct ear_error *err)
{
    if (seek_all(reader, list, err) != 0) {
        return -1;
    }
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *place = &list->elems[i];
        struct kafka_lane *lane =
            kafka_find_lane(reader, kafka_find_full(reader->kafka, place->topic), place->partition);

        drop_held(lane);
        lane->next = place->offset;
        lane->touched = false;
    }
    ear_error_clear(&reader->trouble);
    return 0;
}

int kafka_lane_to(struct kafka_reader *reader, const struct kafka_lane *lane, int64_t offset,
                  struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int result;

    rd_kafka_topic_partition_list_add(list, lane->topic->full, lane->partition)->offset = offset;
    result = go_to(reader, list, err);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int kafka_rewind(struct stream_reader *base, struct ear_error *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    int64_t until_us = clock_mono_us() + (int64_t)KAFKA_RETRY_MS * 1000;
    rd_kafka_topic_partition_list_t *list;
    int placed = 0;

    if (reader->group == NULL) {
        return ear_fail(err, EAR_FATAL, "a reader without a group has no position to go back to");
    }
    if (reader->lane_count == 0 || TESTFAULT("no-rewind")) {
        return 0; /* what is assigned next begins where the group stands */
    }
    list = list_lanes(reader);
    while (placed == 0 && clock_mono_us() < until_us) {
        placed = kafka_place(reader, list, err);
    }
    if (placed == 0) {
        ear_fail(err, EAR_RETRY,
                 "Kafka at %s does not say where group '%s' stands: a transaction is pending",
                 reader->kafka->brokers, reader->group);
    }
    TESTPOINT("kafka.rewinding");
    if (placed == 1 && go_to(reader, list, err) != 0) {
        placed = -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return placed == 1 ? 0 : -1;
}

int kafka_seek(struct stream_reader *base, const char *name, int partition, int64_t offset,
               struct ear_error *err)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    struct kafka_topic *topic;
    struct kafka_lane *lane;
    struct stream_span span = {0};

    if (kafka_topic_named(&topic, reader->kafka, name, err) != 0 ||
        kafka_check_partition(topic, partition, err) != 0) {
        return -1;
    }
    lane = kafka_find_lane(reader, topic, partition);
    if (lane == NULL) {
        return ear_fail(err, EAR_CONFIG, "%s/%d is not this reader's now", name, partition);
    }
    if (kafka_span_of(reader->kafka, topic, partition, &span, err) != 0) {
        return -1;
    }
    if (offset < span.earliest || offset > span.end) {
        return ear_fail(
            err, EAR_CONFIG, "%s/%d holds the offsets %lld to %lld; a reader cannot stand at %lld",
            name, partition, (long long)span.earliest, (long long)span.end, (long long)offset);
    }
    return kafka_lane_to(reader, lane, offset, err);
}

int64_t kafka_position(const struct stream_reader *base, const char *name, int partition)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)base;
    const struct kafka_topic *topic = kafka_find_topic(reader->kafka, name);
    const struct kafka_lane *lane =
        topic == NULL ? NULL : kafka_find_lane(reader, topic, partition);

    return lane == NULL ? -1 : lane->next;
}

bool kafka_is_ahead(const struct stream_reader *base)
{
    const struct kafka_reader *reader = (const struct kafka_reader *)base;

    for (size_t i = 0; reader->group != NULL && i < reader->lane_count; i++) {
        if (reader->lanes[i].touched) {
            return true;
        }
    }
    return false;
}
