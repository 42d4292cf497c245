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
 * What was deleted goes so; its tombstones, whose time begins when they are cleaned for the first
 * time, go when the broker cleans again: for that a second one of ours follows when their time
 * (delete.retention.ms) is over. A partition whose last two messages are ours needs no third. So a
 * partition at rest costs two tombstones, not one an interval. Two processes that do the same at
 * once append more: no harm. Readers hand these tombstones to nobody.
 */

#include "common/clock.h"
#include "common/stream/kafka_table.h"

/* Offsets looked at for the last messages: them, and the markers of their transactions. */
enum { TAIL = 8, ENOUGH_ROLLS = 2 };

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

/* How long it takes until a tombstone that is cleaned away for the first time by a roll could go.
 */
static int64_t tombstone_us(const struct kafka *kafka, const struct kafka_topic *topic)
{
    const int64_t most_us = topic->retention_us > 0 ? CLOCK_DAY_US : CLOCK_HOUR_US;

    return kafka->compact_lag_us +
           (kafka->compact_lag_us < most_us ? kafka->compact_lag_us : most_us);
}

/* Counts how many of the last messages are ours. */
static int take_last(void *user, const struct stream_message *message, struct ear_error *err)
{
    int *rolls = user;

    (void)err;
    *rolls = kafka_is_roll(message->key, message->key_length) ? *rolls + 1 : 0;
    return 0;
}

/* How many tombstones of ours the partition ends with; ENOUGH_ROLLS where it holds nothing. */
static int count_rolls(int *out, struct kafka *kafka, struct kafka_topic *topic, int partition,
                       struct ear_error *err)
{
    struct kafka_tables *tables = kafka_tables_of(kafka, err);
    struct stream_span span = {0};
    int rolls = 0;
    struct kafka_stretch stretch = {
        .topic = topic, .partition = partition, .take = take_last, .user = &rolls, .rolls = true};
    struct kafka_table *table;

    *out = ENOUGH_ROLLS;
    if (tables == NULL || kafka_span_of(kafka, topic, partition, &span, err) != 0) {
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
    if (rolls >= ENOUGH_ROLLS) {
        atomic_store(&table->rolled_end, span.end);
    }
    *out = rolls;
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

struct round {
    struct kafka *kafka;
    struct stream_transaction *transaction;
    int64_t now_us;
    bool all; /* whatever is idle or not */
    size_t rolls;
};

static int roll_topic(struct round *round, struct kafka_topic *topic, struct ear_error *err)
{
    struct kafka *kafka = round->kafka;
    bool idle[STREAM_PARTITIONS_MAX] = {false};
    bool idle_long[STREAM_PARTITIONS_MAX] = {false};
    const int64_t last_us = round->now_us - SLACK_US;

    if (find_idle(idle, kafka, topic, last_us - segment_us(kafka, topic), err) != 0 ||
        find_idle(idle_long, kafka, topic, last_us - tombstone_us(kafka, topic), err) != 0) {
        return -1;
    }
    for (int p = 0; p < topic->count; p++) {
        int rolls = ENOUGH_ROLLS;

        if ((round->all || idle[p]) && count_rolls(&rolls, kafka, topic, p, err) != 0) {
            return -1;
        }
        if (rolls == 0 || (rolls < ENOUGH_ROLLS && idle_long[p])) {
            if (kafka_publish_to(round->transaction, topic, p, KAFKA_ROLL_KEY,
                                 sizeof KAFKA_ROLL_KEY - 1, round->now_us, err) != 0) {
                return -1;
            }
            round->rolls++;
        }
    }
    return 0;
}

static int roll(struct kafka *kafka, bool all, int64_t now_us, struct ear_error *err)
{
    struct round round = {.kafka = kafka, .now_us = now_us, .all = all};

    if (kafka_begin(&round.transaction, &kafka->base, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < kafka->topic_count; i++) {
        if (kafka->topics[i].compact && roll_topic(&round, &kafka->topics[i], err) != 0) {
            kafka_abort(round.transaction);
            return -1;
        }
    }
    if (round.rolls == 0) {
        kafka_abort(round.transaction);
        return 0;
    }
    return kafka_commit(round.transaction, err);
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
    kafka_look_back(kafka);
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
    (void)disk;
    if (freed_bytes != NULL) {
        *freed_bytes = STREAM_FREED_LATER;
    }
    return 0;
}
