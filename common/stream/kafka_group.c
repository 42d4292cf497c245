/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Groups, as the broker keeps them: asked for by its admin requests, through the stream's client.
 * Only groups whose names begin with our prefix are ours; outside they are named without it.
 */

#include <stdlib.h>
#include <string.h>

#include "common/stream/kafka_internal.h"

/* --- positions of a group --- */

/* The committed offsets of a group: all of them, or of `partitions`. The event holds *out. */
static rd_kafka_event_t *offsets_of(struct kafka *kafka, const char *full,
                                    const rd_kafka_topic_partition_list_t *partitions,
                                    const rd_kafka_topic_partition_list_t **out,
                                    struct ear_error *err)
{
    rd_kafka_ListConsumerGroupOffsets_t *wanted =
        rd_kafka_ListConsumerGroupOffsets_new(full, partitions);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->client);
    rd_kafka_event_t *event;
    const rd_kafka_group_result_t **groups;
    size_t count = 0;

    rd_kafka_ListConsumerGroupOffsets(kafka->client, &wanted, 1, NULL, queue);
    event = kafka_await(kafka, queue, "read a group's positions", err);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
    if (event == NULL) {
        return NULL;
    }
    groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    if (count == 1 && rd_kafka_group_result_error(groups[0]) == NULL &&
        rd_kafka_group_result_partitions(groups[0]) != NULL) {
        *out = rd_kafka_group_result_partitions(groups[0]);
        return event;
    }
    kafka_fail(kafka,
               count == 1 && rd_kafka_group_result_error(groups[0]) != NULL
                   ? rd_kafka_error_code(rd_kafka_group_result_error(groups[0]))
                   : RD_KAFKA_RESP_ERR__BAD_MSG,
               "read a group's positions", err);
    rd_kafka_event_destroy(event);
    return NULL;
}

static int64_t position_in(struct kafka *kafka, const rd_kafka_topic_partition_list_t *list,
                           const struct kafka_topic *topic, int partition, struct ear_error *err)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];

        if (element->partition != partition || strcmp(element->topic, topic->full) != 0) {
            continue;
        }
        if (element->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_fail(kafka, element->err, "read a group's position", err);
            return -2;
        }
        return element->offset >= 0 ? element->offset : -1;
    }
    return -1;
}

int64_t kafka_group_position(struct stream *stream, const char *group, const char *name,
                             int partition, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    rd_kafka_topic_partition_list_t *wanted = NULL;
    const rd_kafka_topic_partition_list_t *list = NULL;
    rd_kafka_event_t *event = NULL;
    struct kafka_topic *topic;
    int64_t position = -2;
    char *full = NULL;

    if (kafka_topic_named(&topic, kafka, name, err) != 0 ||
        kafka_check_partition(topic, partition, err) != 0) {
        return -2;
    }
    full = kafka_full_group(kafka, group, err);
    if (full == NULL) {
        return -2;
    }
    wanted = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(wanted, topic->full, partition);
    event = offsets_of(kafka, full, wanted, &list, err);
    if (event != NULL) {
        position = position_in(kafka, list, topic, partition, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_topic_partition_list_destroy(wanted);
    free(full);
    return position;
}

/* --- all groups --- */

/* What is behind our prefix and its dot; NULL: not ours. */
static const char *without_prefix(const struct kafka *kafka, const char *full)
{
    const size_t length = strlen(kafka->prefix);

    return strncmp(full, kafka->prefix, length) == 0 && full[length] == '.' ? full + length + 1
                                                                            : NULL;
}

/* 1: the caller has seen enough. */
static int visit_group(struct kafka *kafka, const char *full,
                       bool (*visit)(void *user, const char *group, const char *topic,
                                     int partition, int64_t position),
                       void *user, struct ear_error *err)
{
    const rd_kafka_topic_partition_list_t *list = NULL;
    rd_kafka_event_t *event = offsets_of(kafka, full, NULL, &list, err);
    int result = 0;

    if (event == NULL) {
        return -1;
    }
    for (int i = 0; i < list->cnt && result == 0; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        const char *topic = without_prefix(kafka, element->topic);

        if (topic != NULL && element->err == RD_KAFKA_RESP_ERR_NO_ERROR && element->offset >= 0 &&
            !visit(user, without_prefix(kafka, full), topic, element->partition, element->offset)) {
            result = 1;
        }
    }
    rd_kafka_event_destroy(event);
    return result;
}

static rd_kafka_event_t *list_groups(struct kafka *kafka, struct ear_error *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->client);
    rd_kafka_event_t *event;
    const rd_kafka_error_t **errors;
    size_t failed = 0;

    rd_kafka_ListConsumerGroups(kafka->client, NULL, queue);
    event = kafka_await(kafka, queue, "list groups", err);
    rd_kafka_queue_destroy(queue);
    if (event == NULL) {
        return NULL;
    }
    errors = rd_kafka_ListConsumerGroups_result_errors(
        rd_kafka_event_ListConsumerGroups_result(event), &failed);
    if (failed > 0) {
        kafka_fail(kafka, rd_kafka_error_code(errors[0]), "list groups", err);
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

int kafka_each_group(struct stream *stream,
                     bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                   int64_t position),
                     void *user, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    rd_kafka_event_t *event = list_groups(kafka, err);
    const rd_kafka_ConsumerGroupListing_t **groups;
    size_t count = 0;
    int result = 0;

    if (event == NULL) {
        return -1;
    }
    groups = rd_kafka_ListConsumerGroups_result_valid(
        rd_kafka_event_ListConsumerGroups_result(event), &count);
    for (size_t i = 0; i < count && result == 0; i++) {
        const char *full = rd_kafka_ConsumerGroupListing_group_id(groups[i]);

        if (without_prefix(kafka, full) != NULL) {
            result = visit_group(kafka, full, visit, user, err);
        }
    }
    rd_kafka_event_destroy(event);
    return result < 0 ? -1 : 0;
}

/* --- forgetting one --- */

int kafka_forget_group(struct stream *stream, const char *group, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    char *full = kafka_full_group(kafka, group, err);
    rd_kafka_DeleteGroup_t *doomed;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    const rd_kafka_group_result_t **groups;
    const rd_kafka_error_t *error;
    size_t count = 0;
    int result = -1;

    if (full == NULL) {
        return -1;
    }
    queue = rd_kafka_queue_new(kafka->client);
    doomed = rd_kafka_DeleteGroup_new(full);
    rd_kafka_DeleteGroups(kafka->client, &doomed, 1, NULL, queue);
    event = kafka_await(kafka, queue, "forget a group", err);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteGroup_destroy(doomed);
    free(full);
    if (event == NULL) {
        return -1;
    }
    groups = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    error = count == 1 ? rd_kafka_group_result_error(groups[0]) : NULL;
    if (error == NULL) {
        result = 1;
    } else if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
        result = 0;
    } else if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP) {
        ear_fail(err, EAR_RETRY, "the group '%s' has members that are reading: stop them first",
                 group);
    } else {
        kafka_fail(kafka, rd_kafka_error_code(error), "forget a group", err);
    }
    rd_kafka_event_destroy(event);
    return result;
}
