/* SPDX-License-Identifier: Apache-2.0 */

/* Looking without joining: where partitions begin and end, one message by its place, following. */

#include "common/stream/kafka_table.h"

int kafka_partitions(struct stream *stream, const char *name)
{
    const struct kafka_topic *topic = kafka_find_topic((struct kafka *)stream, name);

    return topic == NULL ? 0 : topic->count;
}

/* What this process committed counts, also where the broker is still marking it committed. */
int kafka_span(struct stream *stream, const char *name, int partition, struct stream_span *out,
               struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    struct kafka_topic *topic;
    struct stream_span span = {0};

    if (kafka_topic_named(&topic, kafka, name, err) != 0 ||
        kafka_check_partition(topic, partition, err) != 0 ||
        kafka_settled_end(kafka, topic, partition, &span.end, err) != 0 ||
        kafka_begin_of(kafka, topic, partition, &span.earliest, err) != 0) {
        return -1;
    }
    *out = span;
    return 0;
}

/* --- one message --- */

struct place {
    int64_t offset;
    struct stream_batch *batch;
    bool found;
};

static int take_place(void *user, const struct stream_message *message, struct ear_error *err)
{
    struct place *place = user;

    if (message->offset == place->offset) {
        if (batch_add(place->batch, message, err) != 0) {
            return -1;
        }
        place->found = true;
    }
    return 1;
}

int kafka_fetch(struct stream *stream, const char *name, int partition, int64_t offset,
                struct stream_batch *batch, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    struct place place = {.offset = offset, .batch = batch};
    struct kafka_stretch stretch = {.partition = partition,
                                    .position = offset,
                                    .end = offset + 1,
                                    .take = take_place,
                                    .user = &place};
    struct stream_span span = {0};
    int result;

    batch_reset(batch);
    if (kafka_topic_named(&stretch.topic, kafka, name, err) != 0 ||
        kafka_span(stream, name, partition, &span, err) != 0) {
        return -1;
    }
    if (offset < span.earliest || offset >= span.end) {
        return 0;
    }
    result = kafka_scan_shared(kafka, &stretch, err);
    if (result != 0) {
        batch_reset(batch);
        return -1;
    }
    return place.found ? 1 : 0;
}

/* --- following --- */

/* Ends first, then times: a message that comes between is behind both. */
static int begin_at(struct kafka *kafka, const struct kafka_topic *topic,
                    rd_kafka_topic_partition_list_t *list, int64_t from_us, struct ear_error *err)
{
    int64_t ends[STREAM_PARTITIONS_MAX] = {0};

    if (from_us == INT64_MIN) {
        return kafka_offsets(kafka, list, RD_KAFKA_OFFSET_BEGINNING, err);
    }
    for (int i = 0; i < topic->count; i++) {
        if (kafka_settled_end(kafka, topic, i, &ends[i], err) != 0) {
            return -1;
        }
    }
    /* A message's time is in milliseconds there: the first that may be at or after from_us. */
    if (from_us != INT64_MAX && kafka_offsets(kafka, list, from_us / 1000, err) != 0) {
        return -1;
    }
    for (int i = 0; i < list->cnt; i++) {
        if (from_us == INT64_MAX || list->elems[i].offset < 0) {
            list->elems[i].offset = ends[list->elems[i].partition];
        }
    }
    return 0;
}

int kafka_follow(struct stream_reader **out, struct stream *stream, const char *name,
                 int64_t from_us, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    rd_kafka_topic_partition_list_t *list;
    struct kafka_reader *reader = NULL;
    struct kafka_topic *topic;
    int result;

    if (kafka_topic_named(&topic, kafka, name, err) != 0) {
        return -1;
    }
    list = kafka_all_partitions(topic);
    if (list == NULL) {
        return ear_fail_memory(err, "a reader of the log");
    }
    result = begin_at(kafka, topic, list, from_us, err);
    if (result == 0) {
        result = kafka_reader_alone(&reader, kafka, list, err);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (result == 0) {
        *out = &reader->base;
    }
    return result;
}

double kafka_fullness(struct stream *stream)
{
    (void)stream;
    return 0;
}
