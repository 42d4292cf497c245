/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_LOCAL_INTERNAL_H
#define EARSHOT_COMMON_STREAM_LOCAL_INTERNAL_H

/*
 * The local log: one LMDB environment, PATH/data.mdb. Its tables:
 *
 *   meta               "format" -> 32-bit number
 *                      "t\0TOPIC" -> 32-bit number of partitions
 *                      "p\0TOPIC\0" + partition -> struct local_state
 *   groups             GROUP "\0" TOPIC "\0" + partition -> 64-bit position
 *   m/TOPIC/PARTITION  64-bit offset -> struct local_header, key, value   (always appended)
 *   i/TOPIC/PARTITION  128-bit hash of a key -> offsets of the latest message of every key with
 * that hash (one, unless two keys collide: the keys themselves are compared) s/TOPIC/PARTITION
 * 64-bit offset of a message that superseded one or is a tombstone
 *                      -> struct local_superseded; in the order in which they may go
 *
 * Numbers are the machine's own (LMDB's file is too); `partition` in keys is one byte.
 *
 * Only compacted topics have i and s, and both lag behind: messages from state.indexed on, the
 * *tail*, are in neither. Adding one key to a big table copies a page for it; adding a lump of
 * thousands in the order of their hashes copies each page once. So publishing only appends, and
 * maintenance (or a commit that finds the tail too long) indexes a lump. Who looks a key up keeps
 * the tail's keys in memory (struct local_tail). A message leaves the log only when it is indexed.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <lmdb.h>

#include "common/hash.h"
#include "common/stream/local_members.h"
#include "common/stream/stream_internal.h"

enum {
    LOCAL_FORMAT = 1,
    LOCAL_NAME_MAX = 128,           /* bytes of a group's or topic's name */
    LOCAL_PLACE_SIZE = 2 * 128 + 8, /* two names and a partition, as a key */
    LOCAL_LUMP = 128 * 1024 /* messages that one transaction indexes at most; the tail's bound */
};

#define LOCAL_NO_OFFSET UINT64_MAX

struct local_header {
    int64_t at_us;
    uint32_t key_length;
    uint32_t tombstone; /* 1: no value */
};

struct local_state {
    uint64_t next;    /* offset of the next message: offsets never come again */
    uint64_t floor;   /* everything below went by age or size */
    uint64_t indexed; /* the tail begins here */
};

struct local_superseded {
    uint64_t old;  /* the message that was superseded; LOCAL_NO_OFFSET: none (or gone) */
    int64_t at_us; /* of the message that did it */
    uint64_t tombstone;
};

/* A message's place in the index. */
struct local_entry {
    struct hash128 hash;
    uint64_t offset;
    int64_t at_us;
    bool tombstone;
};

/* Where the latest message of a key lies in a tail. */
struct local_slot {
    uint32_t tag;   /* 32 bits of the key's hash */
    uint32_t where; /* offset less the tail's beginning, or one of: */
};

#define LOCAL_FREE UINT32_MAX
/* In a walk's copy: gone from the log before it was told. */
#define LOCAL_UNTOLD (UINT32_MAX - 1)

/* The keys of a tail: an open-addressed table. */
struct local_tail {
    struct local_slot *slots; /* [capacity], a power of two, at most half of them taken */
    size_t capacity;
    size_t count;
    uint64_t from, to; /* covers the offsets [from, to) */
};

struct local_partition {
    MDB_dbi messages, index, superseded; /* 0: not there (read only, and not made yet) */
    struct local_tail tail;              /* under local.tail_lock */
};

struct local_topic {
    char *name;
    int count;
    bool compact, yields, by_prefix;
    int64_t retention_us;
    size_t first_lane; /* lanes number all partitions of all topics */
    struct local_partition *partitions;
};

struct local {
    struct stream base;
    char *folder;
    int64_t size_bytes;
    int64_t compact_lag_us;
    bool read_only;
    bool *missing; /* the config's; while it is opened */
    struct local_topic *topics;
    size_t topic_count;
    size_t lane_count;
    struct local_members *members;

    /* Held for reading around every LMDB transaction, for writing while the file is replaced. */
    pthread_rwlock_t env_lock;
    MDB_env *env; /* NULL: replacing it failed; nothing works any more */
    MDB_dbi meta, groups;

    pthread_mutex_t tail_lock;
    atomic_uint turn;             /* partition of the next message without a key */
    atomic_size_t maintain_first; /* lane with which the next maintenance begins */

    pthread_mutex_t fullness_lock;
    double fullness;
    int64_t fullness_mono_us;   /* when it was measured; 0: never */
    int64_t unmeasured_bytes;   /* published since */
    atomic_bool under_pressure; /* topics that yield do, until there is room again */
};

/* --- local.c --- */

/* Fills err from an LMDB or system code: "the log PATH: DOING: …", its kind by what can be done. */
int local_fail(const struct local *local, int code, const char *doing, struct ear_error *err);

/* An LMDB transaction (flags 0 or MDB_RDONLY) with the environment held; ends with local_commit or
 * local_leave. */
EAR_MUST_CHECK
int local_enter(struct local *local, unsigned flags, MDB_txn **out, struct ear_error *err);
void local_leave(struct local *local, MDB_txn *txn);
EAR_MUST_CHECK
int local_commit(struct local *local, MDB_txn *txn, const char *doing, struct ear_error *err);

struct local_topic *local_find_topic(const struct local *local, const char *name);
EAR_MUST_CHECK
int local_topic_named(struct local_topic **out, const struct local *local, const char *name,
                      struct ear_error *err);
int local_partitions(struct stream *stream, const char *topic);
EAR_MUST_CHECK
int local_check_partition(const struct local_topic *topic, int partition, struct ear_error *err);

/* All zero where the log has none. Returns an LMDB code. */
int local_state_get(struct local *local, MDB_txn *txn, const struct local_topic *topic,
                    int partition, struct local_state *out);
int local_state_put(struct local *local, MDB_txn *txn, const struct local_topic *topic,
                    int partition, const struct local_state *state);

/* A group's position; -1: none. Returns an LMDB code. */
int local_position_get(struct local *local, MDB_txn *txn, const char *group, const char *topic,
                       int partition, int64_t *out);
int local_position_put(struct local *local, MDB_txn *txn, const char *group, const char *topic,
                       int partition, int64_t position);

/* Splits a stored message. Key and value are borrowed from data. False: broken. */
bool local_decode(struct stream_message *out, const struct local_topic *topic, int partition,
                  uint64_t offset, const MDB_val *data);

/* Gets one message; 0, MDB_NOTFOUND or another LMDB code. */
int local_message_get(MDB_txn *txn, const struct local_topic *topic, int partition, uint64_t offset,
                      struct stream_message *out);

static inline MDB_val local_offset_key(uint64_t *offset)
{
    return (MDB_val){sizeof *offset, offset};
}

static inline uint64_t local_offset_of(const MDB_val *key)
{
    uint64_t offset;

    memcpy(&offset, key->mv_data, sizeof offset); /* LMDB aligns to two bytes only */
    return offset;
}

/* --- local_open.c --- */

/* Opens the file and all tables; for opening and for after it was replaced. */
EAR_MUST_CHECK
int local_open_env(struct local *local, struct ear_error *err);

/* --- local_read.c --- */

int local_subscribe(struct stream_reader **out, struct stream *stream, const char *group,
                    const char *const topics[], size_t topic_count,
                    const struct stream_start *start, struct ear_error *err);
int local_follow(struct stream_reader **out, struct stream *stream, const char *topic,
                 int64_t from_us, struct ear_error *err);
void local_reader_close(struct stream_reader *base);
int local_read(struct stream_reader *base, struct stream_batch *batch, size_t max_messages,
               size_t max_bytes, int timeout_ms, struct ear_error *err);
int local_rewind(struct stream_reader *base, struct ear_error *err);
/* A partition as a reader sees it. */
struct local_lane {
    struct local_topic *topic;
    int partition;
    int64_t next;      /* offset to read next */
    int64_t committed; /* the group's position as this reader knows it */
};

struct local_reader {
    struct stream_reader base;
    struct local *local;
    char *group; /* NULL: follows without one */
    struct stream_start start;
    struct local_lane *lanes;
    size_t lane_count;
    size_t first; /* lane with which the next read begins */
};

/* Says what is wrong with a position, if anything is; `whose` begins the sentence. */
EAR_MUST_CHECK
int local_check_position(const struct local_topic *topic, int partition, int64_t position,
                         const struct local_state *state, const char *whose, struct ear_error *err);
EAR_MUST_CHECK
int local_check_group(const char *group, struct ear_error *err);

/* --- local_place.c --- */

int local_seek(struct stream_reader *base, const char *topic, int partition, int64_t offset,
               struct ear_error *err);
int64_t local_position(const struct stream_reader *base, const char *topic, int partition);
bool local_is_ahead(const struct stream_reader *base);
int local_span(struct stream *stream, const char *name, int partition, struct stream_span *out,
               struct ear_error *err);
int64_t local_group_position(struct stream *stream, const char *group, const char *name,
                             int partition, struct ear_error *err);
int local_fetch(struct stream *stream, const char *name, int partition, int64_t offset,
                struct stream_batch *batch, struct ear_error *err);

/* Puts lane->next at the first message of an instant or later. LMDB code. */
int local_find_instant(MDB_txn *txn, struct local_lane *lane, const struct local_state *state,
                       int64_t from_us);

/* --- local_group.c --- */

/* A key of the table of groups, GROUP "\0" TOPIC "\0" + partition, taken apart; the names are
 * borrowed from it, NUL-ended. False: it is none. */
bool local_group_key(const MDB_val *key, const char **group, const char **topic, int *partition);

int local_each_group(struct stream *stream,
                     bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                   int64_t position),
                     void *user, struct ear_error *err);
int local_forget_group(struct stream *stream, const char *group, struct ear_error *err);

/* --- local_write.c --- */

int local_begin(struct stream_transaction **out, struct stream *stream, struct ear_error *err);
int local_publish(struct stream_transaction *base, const char *name, const char *key,
                  size_t key_length, const char *value, size_t value_length, int64_t at_us,
                  struct ear_error *err);
int local_move(struct stream_transaction *base, struct stream_reader *base_reader,
               struct ear_error *err);
int local_transaction_commit(struct stream_transaction *base, struct ear_error *err);
void local_abort(struct stream_transaction *base);

/* --- local_index.c --- */

/* Indexes up to `limit` messages of the tail; changes state, which the caller puts. LMDB code. */
int local_index(MDB_txn *txn, const struct local_topic *topic, int partition,
                struct local_state *state, size_t limit);

/* Takes entries (sorted here) out of the index where it names their offsets. LMDB code. */
int local_unindex(MDB_txn *txn, const struct local_topic *topic, int partition,
                  struct local_entry *entries, size_t count);

struct hash128 local_hash(const struct stream_message *message);
bool local_same_key(const struct stream_message *a, const struct stream_message *b);
int local_lookup(struct stream *stream, const char *name, const char *key, size_t key_length,
                 char **out, size_t *out_length, struct ear_error *err);
EAR_MUST_CHECK
int local_compacted_topic(struct local_topic **out, const struct local *local, const char *name,
                          struct ear_error *err);

/* --- local_share.c --- */

int local_share_open(struct stream_share **out, struct stream *stream, const char *group,
                     const char *const tables[], size_t table_count, struct ear_error *err);
void local_share_close(struct stream_share *base);
int local_share_turn(struct stream_share *base, int timeout_ms, bool *changed,
                     struct ear_error *err);
int64_t local_share_owns(const struct stream_share *base, const char *key, size_t key_length);
bool local_share_settling(const struct stream_share *base);
int local_share_guard(struct stream_transaction *transaction, struct stream_share *share,
                      struct ear_error *err);

/* --- local_table.c --- */

int local_each_latest(struct stream *stream, const char *name,
                      bool (*visit)(void *user, const struct stream_message *message), void *user,
                      struct ear_error *err);

/* --- local_tail.c --- */

/* Brings a tail up to `state`. LMDB code. */
int local_tail_update(struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                      int partition, const struct local_state *state);
/* The offset of the latest message in the tail with the key (and in the partition) of `like`, or
 * LOCAL_NO_OFFSET. LMDB code. */
int local_tail_find(const struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                    const struct stream_message *like, struct hash128 hash, uint64_t *out);
/* 0 or ENOMEM. */
EAR_MUST_CHECK
int local_tail_copy(struct local_tail *out, const struct local_tail *tail);
void local_tail_clear(struct local_tail *tail);

/* --- local_fullness.c --- */

double local_fullness(struct stream *stream);

/* How full the log is, 0 to 1 and a little more: measured now or, where nothing much can have
 * changed, before. bytes: what is about to be published. Outside of transactions. */
EAR_MUST_CHECK
int local_measure(struct local *local, size_t bytes, double *out, struct ear_error *err);

/* Something was removed: what was measured is of no use any more. */
void local_measure_anew(struct local *local);

/* --- local_maintain.c --- */

int local_maintain(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err);

/* Removes all that was superseded, and the tombstones that every group has read. */
EAR_MUST_CHECK
int local_sweep_superseded(struct local *local, struct ear_error *err);

/* --- local_compact.c --- */

int local_compact(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err);

#endif
