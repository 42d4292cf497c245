/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_KAFKA_TABLE_H
#define EARSHOT_COMMON_STREAM_KAFKA_TABLE_H

/*
 * What kafka_scan.c, kafka_table.c, kafka_each.c, kafka_share.c and kafka_keep.c share: passes over
 * a partition without a group, tables in memory, and the key that readers hand to nobody.
 */

#include "common/stream/kafka_entries.h"
#include "common/stream/kafka_internal.h"

/* --- kafka_scan.c: one pass over a partition --- */

/* A consumer alone that reads stretches of partitions. Threads: any number, each another partition.
 */
struct kafka_scanner {
    struct kafka *kafka;
    rd_kafka_t *client;
    rd_kafka_topic_t **handles; /* [kafka->topic_count] */
};

EAR_MUST_CHECK
int kafka_scanner_open(struct kafka_scanner *scanner, struct kafka *kafka, struct ear_error *err);
void kafka_scanner_close(struct kafka_scanner *scanner);

/* A stretch of a partition, and who gets its messages. */
struct kafka_stretch {
    struct kafka_topic *topic;
    int partition;
    int64_t position; /* in: the first offset wanted; out: what to read next. Never moves back */
    int64_t end;      /* read until position is here; not beyond the last stable offset */
    /* 0: go on; 1: enough; -1: failed. The message lives during the call. */
    int (*take)(void *user, const struct stream_message *message, struct ear_error *err);
    void *user;
    bool rolls; /* also tombstones of housekeeping */
};

/* Reads it, markers of transactions and of housekeeping left out. EAR_RETRY when nothing comes for
 * long; position then says how far it came. */
EAR_MUST_CHECK
int kafka_scan(const struct kafka_scanner *scanner, struct kafka_stretch *stretch,
               struct ear_error *err);

/* Where what is committed ends (the last stable offset), and where what is kept begins. */
EAR_MUST_CHECK
int kafka_end_of(struct kafka *kafka, const struct kafka_topic *topic, int partition, int64_t *out,
                 struct ear_error *err);
EAR_MUST_CHECK
int kafka_begin_of(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                   int64_t *out, struct ear_error *err);

/* --- kafka_table.c --- */

/* One partition, as far as this process has looked into it; entries only of compacted topics. */
struct kafka_table {
    pthread_mutex_t lock;
    struct kafka_entries entries;
    int64_t position;           /* what to read next */
    int64_t floor;              /* what is kept begins here: entries below it are gone */
    int64_t fresh_mono_us;      /* when it was last read to the end; 0: never */
    _Atomic int64_t noted;      /* the highest offset that this process committed; -1: none */
    _Atomic int64_t rolled_end; /* ending here, it needs no new segment; -1: not known */
};

struct kafka_tables {
    struct kafka_scanner scanner;
    struct kafka_table **tables; /* [topic_count], each [partitions] */
    pthread_mutex_t shares_lock;
    struct kafka_share *shares;   /* a list: what they own is answered by them */
    _Atomic int64_t keep_mono_us; /* when keeping house looks again */
};

/* Made at the first need; any thread. NULL with err. */
struct kafka_tables *kafka_tables_of(struct kafka *kafka, struct ear_error *err);

/* EAR_CONFIG where the topic is unknown or no table. */
EAR_MUST_CHECK
int kafka_compacted_topic(struct kafka_topic **out, const struct kafka *kafka, const char *name,
                          struct ear_error *err);

/* A pass by the tables' own client; waits for a look into the same partition. */
EAR_MUST_CHECK
int kafka_scan_shared(struct kafka *kafka, struct kafka_stretch *stretch, struct ear_error *err);

/* Waits until what this process committed is below the last stable offset, which is *end then. */
EAR_MUST_CHECK
int kafka_settled_end(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                      int64_t *end, struct ear_error *err);

/* --- kafka_restore.c: what shares hold --- */

/* Answers from what a share owns: 1 found, 0 no such key, -1 failed; 2: no share owns it. */
EAR_MUST_CHECK
int kafka_share_lookup(struct kafka_tables *tables, const struct kafka_topic *topic, int partition,
                       const char *key, size_t key_length, char **out, size_t *out_length,
                       struct ear_error *err);

/* A copy of a value, NUL-ended, the caller's. */
EAR_MUST_CHECK
int kafka_copy_value(char **out, size_t *out_length, const char *value, size_t value_length,
                     struct ear_error *err);

/* --- kafka_write.c --- */

/* Adds a tombstone to a partition of one's own choice. */
EAR_MUST_CHECK
int kafka_publish_to(struct stream_transaction *transaction, struct kafka_topic *topic,
                     int partition, const char *key, size_t key_length, int64_t at_us,
                     struct ear_error *err);

/* --- kafka_keep.c --- */

/* The key of the tombstones that make a broker begin a new segment: no message of anybody's. */
#define KAFKA_ROLL_KEY "earshot:roll"

static inline bool kafka_is_roll(const char *key, size_t key_length)
{
    return key != NULL && key_length == sizeof KAFKA_ROLL_KEY - 1 &&
           __builtin_memcmp(key, KAFKA_ROLL_KEY, sizeof KAFKA_ROLL_KEY - 1) == 0;
}

#endif
