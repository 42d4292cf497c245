/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keeping house on Kafka: brokers compact and age out by themselves, but for one thing. A broker
 * never cleans the segment that it is writing, and begins a new one only when something is
 * appended: what was deleted last in a partition that then falls silent would lie there for ever.
 * So whoever keeps house looks for compacted partitions to which nothing was appended for as long
 * as a segment lasts, and appends a tombstone under a key of its own (KAFKA_ROLL_KEY). Its time is
 * now, the segment's first message is older than a segment may be: the broker begins a new segment
 * for it, and cleans the old one when its time has come (max.compaction.lag.ms).
 *
 * A partition whose last message is such a tombstone needs no other: what lies before it is in
 * segments that are closed. So a partition at rest costs one tombstone, not one an interval. Two
 * processes that do the same at once append two: no harm. Readers hand these tombstones to nobody.
 */

#include "common/clock.h"
#include "common/stream/kafka_table.h"

enum { TAIL = 8 }; /* offsets looked at for the last message: it, and markers behind it */

static const int64_t SLACK_US = CLOCK_SECOND_US;
static const int64_t LOOK_MIN_US = CLOCK_SECOND_US / 2;
static const int64_t LOOK_MAX_US = 10 * CLOCK_MINUTE_US;

/* How long a segment lasts before the next append begins another. */
static int64_t segment_us(const struct kafka *kafka, const struct kafka_topic *topic)
{
    const int64_t half_us = kafka->compact_lag_us / 2;

    return topic->retention_us > 0 && topic->retention_us / 2 < half_us ? topic->retention_us / 2
                                                                        : half_us;
}

static int take_last(void *user, const struct stream_message *message, struct ear_error *err)
{
    (void)err;
    *(bool *)user = kafka_is_roll(message->key, message->key_length);
    return 0;
}

/* Whether the partition holds something, and its last message is no tombstone of ours. */
static int wants_roll(bool *out, struct kafka *kafka, struct kafka_topic *topic, int partition,
                      struct ear_error *err)
{
    struct kafka_tables *tables = kafka_tables_of(kafka, err);
    struct stream_span span = {0};
    bool rolled = false;
    struct kafka_stretch stretch = {
        .topic = topic, .partition = partition, .take = take_last, .user = &rolled, .rolls = true};
    struct kafka_table *table;

    *out = false;
    if (tables == NULL || kafka_end_of(kafka, topic, partition, &span.end, err) != 0 ||
        kafka_begin_of(kafka, topic, partition, &span.earliest, err) != 0) {
        return -1;
    }
    table = &tables->tables[topic - kafka->topics][partition];
    if (span.end <= span.earliest || span.end == atomic_load(&table->rolled_end)) {
        return 0;
    }
    stretch.position = span.end - TAIL > span.earliest ? span.end - TAIL : span.earliest;
    stretch.end = span.end;
    if (kafka_scan_shared(kafka, &stretch, err) != 0) {
        return -1;
    }
    if (rolled) {
        atomic_store(&table->rolled_end, span.end);
    }
    *out = !rolled;
    return 0;
}

/* Those of a topic's partitions to which nothing was appended since from_us, as messages tell. */
static int find_idle(bool idle[STREAM_PARTITIONS_MAX], struct kafka *kafka,
                     const struct kafka_topic *topic, int64_t from_us, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list = kafka_all_partitions(topic);
    int result = kafka_offsets(kafka, list, from_us / 1000, err);

    for (int i = 0; i < list->cnt && result == 0; i++) {
        idle[list->elems[i].partition] = list->elems[i].offset < 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

static int roll_topic(struct stream_transaction *transaction, struct kafka *kafka,
                      struct kafka_topic *topic, bool all, int64_t now_us, size_t *rolls,
                      struct ear_error *err)
{
    bool idle[STREAM_PARTITIONS_MAX] = {false};

    if (!all &&
        find_idle(idle, kafka, topic, now_us - segment_us(kafka, topic) - SLACK_US, err) != 0) {
        return -1;
    }
    for (int p = 0; p < topic->count; p++) {
        bool wanted = false;

        if ((all || idle[p]) && wants_roll(&wanted, kafka, topic, p, err) != 0) {
            return -1;
        }
        if (wanted) {
            if (kafka_publish_to(transaction, topic, p, KAFKA_ROLL_KEY, sizeof KAFKA_ROLL_KEY - 1,
                                 now_us, err) != 0) {
                return -1;
            }
            ++*rolls;
        }
    }
    return 0;
}

static int roll(struct kafka *kafka, bool all, int64_t now_us, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;
    size_t rolls = 0;

    if (kafka_begin(&transaction, &kafka->base, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < kafka->topic_count; i++) {
        if (kafka->topics[i].compact &&
            roll_topic(transaction, kafka, &kafka->topics[i], all, now_us, &rolls, err) != 0) {
            kafka_abort(transaction);
            return -1;
        }
    }
    if (rolls == 0) {
        kafka_abort(transaction);
        return 0;
    }
    return kafka_commit(transaction, err);
}

/* Whether it is time to look again; if so, the next time is set. Several threads may ask. */
static bool due(struct kafka *kafka, struct kafka_tables *tables)
{
    const int64_t sixteenth_us = kafka->compact_lag_us / 16;
    const int64_t every_us = sixteenth_us < LOOK_MIN_US   ? LOOK_MIN_US
                             : sixteenth_us > LOOK_MAX_US ? LOOK_MAX_US
                                                          : sixteenth_us;
    const int64_t mono_us = clock_mono_us();
    int64_t next_us = atomic_load(&tables->keep_mono_us);

    return mono_us >= next_us &&
           atomic_compare_exchange_strong(&tables->keep_mono_us, &next_us, mono_us + every_us);
}

int kafka_maintain(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    struct kafka_tables *tables;

    *more = false;
    if (kafka->read_only) {
        return 0;
    }
    tables = kafka_tables_of(kafka, err);
    if (tables == NULL) {
        return -1;
    }
    return due(kafka, tables) ? roll(kafka, false, now_us, err) : 0;
}

/* What is superseded by now lies in closed segments afterwards, where these are old enough, and the
 * broker cleans them within its own time: nothing more can be asked of it. */
int kafka_compact(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    struct clock clock = {0};

    if (kafka->read_only) {
        return ear_fail(err, EAR_CONFIG, "the log was opened to read only");
    }
    if (clock_init(&clock, NULL, err) != 0 || roll(kafka, true, clock_now_us(&clock), err) != 0) {
        return -1;
    }
    if (disk && freed_bytes != NULL) {
        *freed_bytes = STREAM_FREED_LATER;
    }
    return 0;
}
