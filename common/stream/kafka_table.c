/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables: for each partition of a compacted topic that somebody looks into, its keys in memory,
 * read from where the last look ended up to the last stable offset. A look is answered from memory
 * for FRESH_US; then, and whenever this process has committed to the partition since, the end is
 * asked for and what is new is read. What a share of this process owns is answered by the share,
 * which needs to read nothing: nobody else writes it.
 *
 * A table holds every key; values beyond VALUES_BUDGET bytes a partition stay in the log and are
 * fetched when asked for. A table that was not read for long is read anew: tombstones may have
 * come and gone meanwhile.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/stream/kafka_table.h"

enum { VALUES_BUDGET = 16 * 1024 * 1024, FETCH_TRIES = 5, SETTLE_ANSWER_MS = 500 };

static const int64_t FRESH_US = CLOCK_SECOND_US / 2;
static const int64_t STALE_MAX_US = 10 * CLOCK_MINUTE_US;
static const int64_t SETTLE_US = CLOCK_MINUTE_US;
static const int64_t SETTLE_LAST_US = 2 * CLOCK_SECOND_US;

/* --- making and freeing --- */

static struct kafka_table *new_tables(int count)
{
    struct kafka_table *tables = calloc((size_t)count, sizeof *tables);

    for (int i = 0; tables != NULL && i < count; i++) {
        pthread_mutex_init(&tables[i].lock, NULL);
        tables[i].entries.budget = VALUES_BUDGET;
        atomic_init(&tables[i].noted, -1);
        atomic_init(&tables[i].rolled_end, -1);
    }
    return tables;
}

void kafka_tables_free(struct kafka_tables *tables)
{
    struct kafka *kafka;

    if (tables == NULL) {
        return;
    }
    kafka = tables->scanner.kafka;
    for (size_t i = 0; tables->tables != NULL && i < kafka->topic_count; i++) {
        for (int p = 0; tables->tables[i] != NULL && p < kafka->topics[i].count; p++) {
            kafka_entries_clear(&tables->tables[i][p].entries);
            pthread_mutex_destroy(&tables->tables[i][p].lock);
        }
        free(tables->tables[i]);
    }
    free(tables->tables);
    kafka_scanner_close(&tables->scanner);
    pthread_mutex_destroy(&tables->shares_lock);
    free(tables);
}

static struct kafka_tables *make_tables(struct kafka *kafka, struct ear_error *err)
{
    struct kafka_tables *tables = calloc(1, sizeof *tables);

    if (tables == NULL) {
        ear_fail_memory(err, "tables of the log");
        return NULL;
    }
    pthread_mutex_init(&tables->shares_lock, NULL);
    tables->scanner.kafka = kafka;
    tables->tables = calloc(kafka->topic_count, sizeof(struct kafka_table *));
    for (size_t i = 0; tables->tables != NULL && i < kafka->topic_count; i++) {
        tables->tables[i] = new_tables(kafka->topics[i].count);
        if (tables->tables[i] == NULL) {
            ear_fail_memory(err, "tables of the log");
            kafka_tables_free(tables);
            return NULL;
        }
    }
    if (tables->tables == NULL) {
        ear_fail_memory(err, "tables of the log");
        kafka_tables_free(tables);
        return NULL;
    }
    return tables;
}

struct kafka_tables *kafka_tables_of(struct kafka *kafka, struct ear_error *err)
{
    struct kafka_tables *tables;

    pthread_mutex_lock(&kafka->tables_lock);
    if (kafka->tables == NULL) {
        kafka->tables = make_tables(kafka, err);
    }
    tables = kafka->tables;
    pthread_mutex_unlock(&kafka->tables_lock);
    return tables;
}

/* A process that only writes needs no client for tables: it is made at the first look. */
static int open_scanner(struct kafka_tables *tables, struct ear_error *err)
{
    struct kafka *kafka = tables->scanner.kafka;
    int result = 0;

    pthread_mutex_lock(&kafka->tables_lock);
    if (tables->scanner.client == NULL) {
        result = kafka_scanner_open(&tables->scanner, kafka, err);
    }
    pthread_mutex_unlock(&kafka->tables_lock);
    return result;
}

void kafka_table_note(struct kafka *kafka, const struct kafka_record records[], size_t count)
{
    struct ear_error err = {0};
    struct kafka_tables *tables = kafka_tables_of(kafka, &err);

    for (size_t i = 0; tables != NULL && i < count; i++) {
        struct kafka_table *table =
            &tables->tables[records[i].topic - kafka->topics][records[i].partition];
        int64_t before = atomic_load(&table->noted);

        while (before < records[i].offset &&
               !atomic_compare_exchange_weak(&table->noted, &before, records[i].offset)) {
        }
    }
}

int64_t kafka_table_noted(struct kafka *kafka, const struct kafka_topic *topic, int partition)
{
    struct ear_error err = {0};
    struct kafka_tables *tables = kafka_tables_of(kafka, &err);

    return tables == NULL ? -1
                          : atomic_load(&tables->tables[topic - kafka->topics][partition].noted);
}

/* --- reading up to the end --- */

int kafka_settled_end(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                      int64_t *end, struct ear_error *err)
{
    struct kafka_tables *tables = kafka_tables_of(kafka, err);
    const int64_t until_us = clock_mono_us() + SETTLE_US;
    struct timespec pause = {.tv_nsec = 2000000};

    if (tables == NULL) {
        return -1;
    }
    for (;;) {
        const struct kafka_table *table = &tables->tables[topic - kafka->topics][partition];
        int64_t noted;

        if (kafka_end_of(kafka, topic, partition, end, err) != 0) {
            return -1;
        }
        noted = atomic_load(&table->noted);
        if (noted < 0 || *end >= noted + 2) { /* the message, and the end of its transaction */
            return 0;
        }
        if (clock_mono_us() > until_us) {
            return ear_fail(err, EAR_RETRY,
                            "a transaction on %s/%d at Kafka is open since a minute or more, and "
                            "hides what was committed behind %lld; it ends with its timeout",
                            topic->full, partition, (long long)*end);
        }
        nanosleep(&pause, NULL);
        pause.tv_nsec = pause.tv_nsec < 50000000 ? pause.tv_nsec * 2 : pause.tv_nsec;
    }
}

/* False: not within the time, or a broker is away. */
static bool settles(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                    int64_t noted, int64_t until_us)
{
    struct timespec pause = {.tv_nsec = 2000000};

    for (;;) {
        int64_t begin = 0;
        int64_t end = 0; /* the last stable offset: the client reads what is committed */

        if (rd_kafka_query_watermark_offsets(kafka->client, topic->full, partition, &begin, &end,
                                             SETTLE_ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return false;
        }
        if (end >= noted + 2) {
            return true;
        }
        if (clock_mono_us() > until_us) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
}

void kafka_settle_last(struct kafka *kafka)
{
    const int64_t until_us = clock_mono_us() + SETTLE_LAST_US;

    for (size_t i = 0; kafka->tables != NULL && i < kafka->topic_count; i++) {
        for (int partition = 0; partition < kafka->topics[i].count; partition++) {
            const int64_t noted = atomic_load(&kafka->tables->tables[i][partition].noted);

            if (noted >= 0 && !settles(kafka, &kafka->topics[i], partition, noted, until_us)) {
                return;
            }
        }
    }
}

static int take_entry(void *user, const struct stream_message *message, struct ear_error *err)
{
    if (message->key == NULL) {
        return 0;
    }
    return kafka_entries_put(user, message) == 0 ? 0 : ear_fail_memory(err, "a table of the log");
}

/* Well within the time that the broker keeps a tombstone (at least the lag of compaction or an
 * hour). */
static int64_t stale_us(const struct kafka *kafka)
{
    const int64_t half_us = kafka->compact_lag_us / 2;

    return half_us < CLOCK_SECOND_US ? CLOCK_SECOND_US
           : half_us < STALE_MAX_US  ? half_us
                                     : STALE_MAX_US;
}

static int read_on(struct kafka_tables *tables, struct kafka_topic *topic, int partition,
                   struct kafka_table *table, struct ear_error *err)
{
    const int64_t began_us = clock_mono_us();
    struct kafka_stretch stretch = {
        .topic = topic, .partition = partition, .take = take_entry, .user = &table->entries};
    int result;

    if (table->fresh_mono_us != 0 &&
        began_us - table->fresh_mono_us > stale_us(tables->scanner.kafka)) {
        kafka_entries_clear(&table->entries);
        table->position = 0;
        table->fresh_mono_us = 0;
    }
    if (kafka_settled_end(tables->scanner.kafka, topic, partition, &stretch.end, err) != 0 ||
        ((table->fresh_mono_us == 0 || topic->retention_us > 0) &&
         kafka_begin_of(tables->scanner.kafka, topic, partition, &table->floor, err) != 0)) {
        return -1;
    }
    stretch.position = table->position > table->floor ? table->position : table->floor;
    result = kafka_scan(&tables->scanner, &stretch, err);
    table->position = stretch.position;
    if (result == 0) {
        table->fresh_mono_us = began_us;
    }
    return result;
}

static int refresh(struct kafka_tables *tables, struct kafka_topic *topic, int partition,
                   struct kafka_table *table, struct ear_error *err)
{
    if (table->fresh_mono_us != 0 && clock_mono_us() - table->fresh_mono_us < FRESH_US &&
        table->position > atomic_load(&table->noted)) {
        return 0;
    }
    return read_on(tables, topic, partition, table, err);
}

int kafka_scan_shared(struct kafka *kafka, struct kafka_stretch *stretch, struct ear_error *err)
{
    struct kafka_tables *tables = kafka_tables_of(kafka, err);
    struct kafka_table *table;
    int result;

    if (tables == NULL || open_scanner(tables, err) != 0) {
        return -1;
    }
    table = &tables->tables[stretch->topic - kafka->topics][stretch->partition];
    pthread_mutex_lock(&table->lock);
    result = kafka_scan(&tables->scanner, stretch, err);
    pthread_mutex_unlock(&table->lock);
    return result;
}

/* --- looking --- */

int kafka_copy_value(char **out, size_t *out_length, const char *value, size_t value_length,
                     struct ear_error *err)
{
    char *copy = malloc(value_length + 1);

    if (copy == NULL) {
        return ear_fail_memory(err, "a message of the log");
    }
    memcpy(copy, value, value_length);
    copy[value_length] = '\0';
    *out = copy;
    *out_length = value_length;
    return 1;
}

struct sought {
    int64_t offset;
    char **out;
    size_t *out_length;
    int found;
};

static int take_value(void *user, const struct stream_message *message, struct ear_error *err)
{
    struct sought *sought = user;

    if (message->offset == sought->offset && message->value != NULL) {
        sought->found = kafka_copy_value(sought->out, sought->out_length, message->value,
                                         message->value_length, err);
    }
    return sought->found < 0 ? -1 : 1;
}

/* The value of an entry, from memory or from its place. 0: the message is gone from there. */
static int value_of(struct kafka_tables *tables, struct kafka_topic *topic, int partition,
                    const struct kafka_entry *entry, char **out, size_t *out_length,
                    struct ear_error *err)
{
    struct sought sought = {.offset = entry->offset, .out = out, .out_length = out_length};
    struct kafka_stretch stretch = {.topic = topic,
                                    .partition = partition,
                                    .position = entry->offset,
                                    .end = entry->offset + 1,
                                    .take = take_value,
                                    .user = &sought};

    if (!entry->placed) {
        return kafka_copy_value(out, out_length, kafka_entry_value(entry), entry->value_length,
                                err);
    }
    return kafka_scan(&tables->scanner, &stretch, err) == 0 ? sought.found : -1;
}

/* The table's lock is held. A message that has gone from its place was superseded: what superseded
 * it is read first. */
static int look(struct kafka_tables *tables, struct kafka_topic *topic, int partition,
                struct kafka_table *table, const char *key, size_t key_length, char **out,
                size_t *out_length, struct ear_error *err)
{
    for (int tries = 0; tries < FETCH_TRIES; tries++) {
        const struct kafka_entry *entry;
        int found;

        if (tries == 0 ? refresh(tables, topic, partition, table, err) != 0
                       : read_on(tables, topic, partition, table, err) != 0) {
            return -1;
        }
        entry = kafka_entries_find(&table->entries, key, key_length);
        if (entry == NULL || entry->offset < table->floor) {
            return 0;
        }
        found = value_of(tables, topic, partition, entry, out, out_length, err);
        if (found != 0) {
            return found;
        }
    }
    return ear_fail(err, EAR_RETRY, "a key of %s/%d changes faster than it can be read",
                    topic->full, partition);
}

int kafka_compacted_topic(struct kafka_topic **out, const struct kafka *kafka, const char *name,
                          struct ear_error *err)
{
    if (kafka_topic_named(out, kafka, name, err) != 0) {
        return -1;
    }
    return (*out)->compact ? 0
                           : ear_fail(err, EAR_CONFIG,
                                      "the topic '%s' keeps every message: it is no table", name);
}

int kafka_lookup(struct stream *stream, const char *name, const char *key, size_t key_length,
                 char **out, size_t *out_length, struct ear_error *err)
{
    struct kafka *kafka = (struct kafka *)stream;
    struct kafka_topic *topic;
    struct kafka_tables *tables;
    struct kafka_table *table;
    int partition;
    int found;

    if (kafka_compacted_topic(&topic, kafka, name, err) != 0) {
        return -1;
    }
    tables = kafka_tables_of(kafka, err);
    if (tables == NULL) {
        return -1;
    }
    partition = stream_partition_of(topic->by_prefix, key, key_length, topic->count);
    found = kafka_share_lookup(tables, topic, partition, key, key_length, out, out_length, err);
    if (found <= 1) {
        return found;
    }
    if (open_scanner(tables, err) != 0) {
        return -1;
    }
    table = &tables->tables[topic - kafka->topics][partition];
    pthread_mutex_lock(&table->lock);
    found = look(tables, topic, partition, table, key, key_length, out, out_length, err);
    pthread_mutex_unlock(&table->lock);
    return found;
}
