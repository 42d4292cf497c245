/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_KAFKA_SHARE_H
#define EARSHOT_COMMON_STREAM_KAFKA_SHARE_H

/* What kafka_share.c (the group, ownership) and kafka_restore.c (what an owner has to know before
 * it owns) share. */

#include "common/stream/kafka_table.h"

enum { KAFKA_SHARE_TABLES_MAX = 4 };

/* One table's part of a partition. */
struct kafka_share_lane {
    struct kafka_entries entries;
    int64_t position; /* what comes next, as far as was read */
    int64_t target;   /* restored once position is here; -1: not known, ask */
};

/*
 *            given by the group                all lanes restored
 *   NONE ──────────────────────▶ RESTORING ──────────────────────▶ OWNED
 *    ▲                            │  ▲  ▲                           │ │
 *    └── taken by the group ──────┘  │  └── commit failed or in doubt │
 *    └───────────────────────────────┼────── taken by the group ──────┘
 */
enum kafka_share_state { KAFKA_SHARE_NONE, KAFKA_SHARE_RESTORING, KAFKA_SHARE_OWNED };

struct kafka_share_part {
    enum kafka_share_state state;
    bool seek;             /* what is read is not at its beginning yet: take nothing */
    int64_t epoch;         /* of the change since which it is owned */
    int64_t since_mono_us; /* when restoring it began */
    struct kafka_share_lane lanes[KAFKA_SHARE_TABLES_MAX];
};

struct kafka_share {
    struct stream_share base;
    struct kafka *kafka;
    struct kafka_share *next; /* of kafka_tables.shares, under its lock */
    char *group;              /* PREFIX.GROUP */
    rd_kafka_t *client;
    struct kafka_topic *tables[KAFKA_SHARE_TABLES_MAX];
    size_t table_count;
    int partitions;
    pthread_mutex_t lock;           /* parts: changed by the share's thread, looked up by others */
    struct kafka_share_part *parts; /* [partitions] */
    rd_kafka_consumer_group_metadata_t *metadata; /* of this assignment; NULL: none of use */
    int64_t epochs;
    bool assigned;            /* the group has given out what it had to give */
    bool changed;             /* what is owned, since the last turn that said so */
    bool twice;               /* the instance is used twice */
    int ask;                  /* the lane that is asked next: partition × tables + table */
    int64_t ask_mono_us;      /* not before: a question has just been in vain */
    struct ear_error trouble; /* met in a callback */
};

/* --- kafka_restore.c --- */

/* Forgets what a partition holds and begins to restore it; `seek`: its reader has to go back. */
void kafka_restore_begin(struct kafka_share *share, int partition, bool seek);
/* Lets go of a partition. */
void kafka_restore_drop(struct kafka_share *share, int partition);
/* Brings readers of partitions in doubt back to their beginning. */
void kafka_restore_seek(struct kafka_share *share);
/* Takes a message or an end of a partition from the group's consumer. */
EAR_MUST_CHECK
int kafka_restore_take(struct kafka_share *share, const rd_kafka_message_t *raw,
                       struct ear_error *err);
/* Asks one lane how far it has to be read, if any is to be asked. True: something was asked. */
bool kafka_restore_ask(struct kafka_share *share);
/* Owns what is restored. */
EAR_MUST_CHECK
int kafka_restore_own(struct kafka_share *share, struct ear_error *err);
/* Which of a share's tables a topic is; -1: none. */
int kafka_share_table(const struct kafka_share *share, const struct kafka_topic *topic);
/* Whether any partition is being restored. */
bool kafka_restore_busy(const struct kafka_share *share);

#endif
