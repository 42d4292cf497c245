/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The keys of a tail in memory: what a lookup asks before the index. An open-addressed table of 32
 * bits of a key's hash and where its latest message lies; the keys themselves are read from the log
 * and compared, so eight bytes a slot are enough. Rebuilt when the tail begins elsewhere, else
 * continued from where it was left; a tail is bounded (LOCAL_LUMP and what a few transactions
 * publish).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream/local_internal.h"

enum { FIRST_CAPACITY = 256 };

static uint32_t tag_of(struct hash128 hash)
{
    uint32_t tag;

    memcpy(&tag, hash.bytes + HASH128_SIZE - sizeof tag, sizeof tag);
    return tag;
}

static size_t next_place(const struct local_tail *tail, size_t place)
{
    return (place + 1) & (tail->capacity - 1);
}

/*
 * The slot of a key: its own, or the free one where it belongs. A message that is gone cannot be
 * compared; its slot passes for the key's. LMDB code.
 */
static int find_slot(const struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                     int partition, uint32_t tag, const struct stream_message *like,
                     struct local_slot **out)
{
    size_t place = tag & (tail->capacity - 1);

    for (;; place = next_place(tail, place)) {
        struct local_slot *slot = &tail->slots[place];
        struct stream_message message;
        int code;

        if (slot->where == LOCAL_FREE) {
            *out = slot;
            return 0;
        }
        if (slot->tag != tag || slot->where == LOCAL_UNTOLD) {
            continue;
        }
        code = local_message_get(txn, topic, partition, tail->from + slot->where, &message);
        if (code == MDB_NOTFOUND || (code == 0 && local_same_key(&message, like))) {
            *out = slot;
            return 0;
        }
        if (code != 0) {
            return code;
        }
    }
}

static int grow(struct local_tail *tail)
{
    struct local_tail grown = *tail;

    if (tail->capacity > 0 && tail->count < tail->capacity / 2) {
        return 0;
    }
    grown.capacity = tail->capacity == 0 ? FIRST_CAPACITY : tail->capacity * 2;
    grown.slots = malloc(grown.capacity * sizeof *grown.slots);
    if (grown.slots == NULL) {
        return ENOMEM;
    }
    memset(grown.slots, 0xff, grown.capacity * sizeof *grown.slots); /* LOCAL_FREE */
    for (size_t i = 0; i < tail->capacity; i++) {
        size_t place = tail->slots[i].tag & (grown.capacity - 1);

        if (tail->slots[i].where == LOCAL_FREE) {
            continue;
        }
        while (grown.slots[place].where != LOCAL_FREE) {
            place = next_place(&grown, place);
        }
        grown.slots[place] = tail->slots[i];
    }
    free(tail->slots);
    *tail = grown;
    return 0;
}

static int add_message(struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                       int partition, const struct stream_message *message)
{
    uint32_t tag = tag_of(local_hash(message));
    struct local_slot *slot = NULL;
    int code = grow(tail);

    code = code == 0 ? find_slot(tail, txn, topic, partition, tag, message, &slot) : code;
    if (code == 0) {
        tail->count += slot->where == LOCAL_FREE;
        *slot = (struct local_slot){tag, (uint32_t)((uint64_t)message->offset - tail->from)};
        tail->to = (uint64_t)message->offset + 1;
    }
    return code;
}

static int add_from(struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                    int partition)
{
    uint64_t offset = tail->to;
    MDB_val key = local_offset_key(&offset);
    MDB_val data;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, topic->partitions[partition].messages, &cursor);

    if (code != 0) {
        return code;
    }
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    while (code == 0) {
        struct stream_message message;

        if (!local_decode(&message, topic, partition, local_offset_of(&key), &data)) {
            code = MDB_CORRUPTED;
            break;
        }
        code = add_message(tail, txn, topic, partition, &message);
        code = code == 0 ? mdb_cursor_get(cursor, &key, &data, MDB_NEXT) : code;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_tail_update(struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                      int partition, const struct local_state *state)
{
    int code = 0;

    if (tail->from != state->indexed) {
        local_tail_clear(tail);
        tail->from = tail->to = state->indexed;
    }
    if (tail->to < state->next) {
        code = add_from(tail, txn, topic, partition);
        tail->to = code == 0 ? state->next : tail->to;
    }
    return code;
}

int local_tail_find(const struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                    const struct stream_message *like, struct hash128 hash, uint64_t *out)
{
    struct local_slot *slot = NULL;
    int code;

    *out = LOCAL_NO_OFFSET;
    if (tail->capacity == 0) {
        return 0;
    }
    code = find_slot(tail, txn, topic, like->partition, tag_of(hash), like, &slot);
    if (code == 0 && slot->where != LOCAL_FREE) {
        *out = tail->from + slot->where;
    }
    return code;
}

int local_tail_copy(struct local_tail *out, const struct local_tail *tail)
{
    *out = *tail;
    out->slots = NULL;
    if (tail->capacity == 0) {
        return 0;
    }
    out->slots = malloc(tail->capacity * sizeof *out->slots);
    if (out->slots == NULL) {
        *out = (struct local_tail){0};
        return ENOMEM;
    }
    memcpy(out->slots, tail->slots, tail->capacity * sizeof *out->slots);
    return 0;
}

void local_tail_clear(struct local_tail *tail)
{
    free(tail->slots);
    *tail = (struct local_tail){0};
}
