/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walking a compacted topic as a table: the latest message of every key, each key once. First the
 * tail's keys, as they are when the walk begins; then the index in the order of hashes, without
 * those. Both in slices that are copied out, so that no LMDB transaction is open while the caller
 * looks at them. A key that is published anew meanwhile is seen once, as it was or as it is.
 */

#include <stdlib.h>
#include <string.h>

#include "common/stream/local_internal.h"

enum { SLICE_BYTES = 1024 * 1024, SLICE_STEPS = 16 * 1024 };

struct walk {
    struct local *local;
    struct local_topic *topic;
    int partition;
    struct local_tail tail; /* a copy: what lay there when the walk of this partition began */
    size_t slot;            /* of the tail: where the next slice begins */
    struct hash128 after;   /* of the index: the last hash that was passed */
    bool begun, ended;
    struct stream_batch batch;
    bool (*visit)(void *user, const struct stream_message *message);
    void *user;
};

static int copy_tail(struct walk *walk, MDB_txn *txn)
{
    struct local_tail *tail = &walk->topic->partitions[walk->partition].tail;
    struct local_state state;
    int code = local_state_get(walk->local, txn, walk->topic, walk->partition, &state);

    code = code == 0 ? local_tail_update(tail, txn, walk->topic, walk->partition, &state) : code;
    return code == 0 ? local_tail_copy(&walk->tail, tail) : code;
}

/* Copies a message, unless it is a tombstone. 1: copied or a tombstone, 0: not in the log any more.
 */
static int add_message(struct walk *walk, MDB_txn *txn, uint64_t offset, struct ear_error *err)
{
    struct stream_message message;
    int code = local_message_get(txn, walk->topic, walk->partition, offset, &message);

    if (code == MDB_NOTFOUND) {
        return 0;
    }
    if (code != 0) {
        return local_fail(walk->local, code, "walk a topic's keys", err);
    }
    return message.value == NULL || batch_add(&walk->batch, &message, err) == 0 ? 1 : -1;
}

/* A message that is gone already was superseded by one that is indexed: that one will be told. */
static int slice_of_tail(struct walk *walk, MDB_txn *txn, struct ear_error *err)
{
    while (walk->slot < walk->tail.capacity && walk->batch.bytes < SLICE_BYTES) {
        struct local_slot *slot = &walk->tail.slots[walk->slot++];
        int found;

        if (slot->where == LOCAL_FREE) {
            continue;
        }
        found = add_message(walk, txn, walk->tail.from + slot->where, err);
        if (found < 0) {
            return -1;
        }
        if (found == 0) {
            slot->where = LOCAL_UNTOLD;
        }
    }
    return 0;
}

/* An indexed message, unless the tail has told its key. */
static int add_indexed(struct walk *walk, MDB_txn *txn, struct hash128 hash, uint64_t offset,
                       struct ear_error *err)
{
    struct stream_message message;
    uint64_t told = LOCAL_NO_OFFSET;
    int code = local_message_get(txn, walk->topic, walk->partition, offset, &message);

    code = code == 0 ? local_tail_find(&walk->tail, txn, walk->topic, &message, hash, &told) : code;
    if (code != 0) {
        return local_fail(walk->local, code, "walk a topic's keys", err);
    }
    return told != LOCAL_NO_OFFSET || message.value == NULL
               ? 0
               : batch_add(&walk->batch, &message, err);
}

static int add_entry(struct walk *walk, MDB_txn *txn, struct hash128 hash, const MDB_val *data,
                     struct ear_error *err)
{
    for (size_t i = 0; i + sizeof(uint64_t) <= data->mv_size; i += sizeof(uint64_t)) {
        uint64_t offset;

        memcpy(&offset, (const char *)data->mv_data + i, sizeof offset);
        if (add_indexed(walk, txn, hash, offset, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int slice_of_index(struct walk *walk, MDB_txn *txn, struct ear_error *err)
{
    MDB_val key = {sizeof walk->after.bytes, walk->after.bytes};
    MDB_val data;
    MDB_cursor *cursor;
    int result = 0;
    int code = mdb_cursor_open(txn, walk->topic->partitions[walk->partition].index, &cursor);

    if (code != 0) {
        return local_fail(walk->local, code, "walk a topic's keys", err);
    }
    code = mdb_cursor_get(cursor, &key, &data, walk->begun ? MDB_SET_RANGE : MDB_FIRST);
    if (code == 0 && walk->begun && memcmp(key.mv_data, walk->after.bytes, key.mv_size) == 0) {
        code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    for (int i = 0; i < SLICE_STEPS && code == 0 && walk->batch.bytes < SLICE_BYTES; i++) {
        walk->begun = true;
        memcpy(walk->after.bytes, key.mv_data, sizeof walk->after.bytes);
        result = add_entry(walk, txn, walk->after, &data, err);
        if (result != 0) {
            break;
        }
        code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    walk->ended = code == MDB_NOTFOUND;
    mdb_cursor_close(cursor);
    if (result == 0 && code != 0 && code != MDB_NOTFOUND) {
        result = local_fail(walk->local, code, "walk a topic's keys", err);
    }
    return result;
}

static int next_slice(struct walk *walk, struct ear_error *err)
{
    MDB_txn *txn;
    int result;

    batch_reset(&walk->batch);
    if (local_enter(walk->local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    result = walk->slot < walk->tail.capacity ? slice_of_tail(walk, txn, err)
                                              : slice_of_index(walk, txn, err);
    local_leave(walk->local, txn);
    return result;
}

static int begin_partition(struct walk *walk, struct ear_error *err)
{
    MDB_txn *txn;
    int code;

    walk->slot = 0;
    walk->begun = walk->ended = false;
    local_tail_clear(&walk->tail);
    pthread_mutex_lock(&walk->local->tail_lock);
    if (local_enter(walk->local, MDB_RDONLY, &txn, err) != 0) {
        pthread_mutex_unlock(&walk->local->tail_lock);
        return -1;
    }
    code = copy_tail(walk, txn);
    local_leave(walk->local, txn);
    pthread_mutex_unlock(&walk->local->tail_lock);
    return code == 0 ? 0 : local_fail(walk->local, code, "walk a topic's keys", err);
}

/* 1: the caller has seen enough. */
static int walk_partition(struct walk *walk, struct ear_error *err)
{
    if (walk->topic->partitions[walk->partition].messages == 0) {
        return 0;
    }
    if (begin_partition(walk, err) != 0) {
        return -1;
    }
    while (!walk->ended) {
        if (next_slice(walk, err) != 0) {
            return -1;
        }
        for (size_t i = 0; i < walk->batch.count; i++) {
            if (!walk->visit(walk->user, &walk->batch.messages[i])) {
                return 1;
            }
        }
    }
    return 0;
}

int local_each_latest(struct stream *stream, const char *name,
                      bool (*visit)(void *user, const struct stream_message *message), void *user,
                      struct ear_error *err)
{
    struct walk walk = {.local = (struct local *)stream, .visit = visit, .user = user};
    int result = 0;

    if (local_compacted_topic(&walk.topic, walk.local, name, err) != 0) {
        return -1;
    }
    for (; walk.partition < walk.topic->count && result == 0; walk.partition++) {
        result = walk_partition(&walk, err);
    }
    local_tail_clear(&walk.tail);
    stream_batch_clear(&walk.batch);
    return result < 0 ? -1 : 0;
}
