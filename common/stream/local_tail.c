/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The keys of a tail in memory: what a lookup asks before the index. Rebuilt when the tail begins
 * elsewhere, else continued from where it was left; a tail is short (LOCAL_LUMP and what one
 * transaction published).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream/local_internal.h"

enum { FIRST_CAPACITY = 256 };

static size_t place_of(const struct local_tail *tail, struct hash128 hash)
{
    size_t place;

    memcpy(&place, hash.bytes + HASH128_SIZE - sizeof place, sizeof place);
    return place & (tail->capacity - 1);
}

static bool same_hash(const struct hash128 *a, const struct hash128 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct local_slot *slot_for(const struct local_tail *tail, struct hash128 hash)
{
    size_t place = place_of(tail, hash);

    while (tail->slots[place].offset != LOCAL_NO_OFFSET &&
           !same_hash(&tail->slots[place].hash, &hash)) {
        place = (place + 1) & (tail->capacity - 1);
    }
    return &tail->slots[place];
}

static void set(struct local_tail *tail, struct hash128 hash, uint64_t offset)
{
    struct local_slot *slot = slot_for(tail, hash);

    tail->count += slot->offset == LOCAL_NO_OFFSET;
    *slot = (struct local_slot){hash, offset};
}

static void make_free(struct local_slot *slots, size_t capacity)
{
    for (size_t i = 0; i < capacity; i++) {
        slots[i].offset = LOCAL_NO_OFFSET;
    }
}

static int grow(struct local_tail *tail)
{
    struct local_tail grown = *tail;

    if (tail->capacity > 0 && tail->count < tail->capacity / 2) {
        return 0;
    }
    grown.capacity = tail->capacity == 0 ? FIRST_CAPACITY : tail->capacity * 2;
    grown.count = 0;
    grown.slots = malloc(grown.capacity * sizeof *grown.slots);
    if (grown.slots == NULL) {
        return ENOMEM;
    }
    make_free(grown.slots, grown.capacity);
    for (size_t i = 0; i < tail->capacity; i++) {
        if (tail->slots[i].offset != LOCAL_NO_OFFSET) {
            set(&grown, tail->slots[i].hash, tail->slots[i].offset);
        }
    }
    free(tail->slots);
    *tail = grown;
    return 0;
}

static int add_from(struct local_tail *tail, MDB_cursor *cursor, const struct local_topic *topic,
                    int partition)
{
    uint64_t offset = tail->to;
    MDB_val key = local_offset_key(&offset);
    MDB_val data;
    int code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);

    while (code == 0) {
        struct stream_message message;

        if (!local_decode(&message, topic, partition, local_offset_of(&key), &data)) {
            return MDB_CORRUPTED;
        }
        code = grow(tail);
        if (code != 0) {
            return code;
        }
        set(tail, local_hash(&message), (uint64_t)message.offset);
        tail->to = (uint64_t)message.offset + 1;
        code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_tail_update(struct local_tail *tail, MDB_txn *txn, const struct local_topic *topic,
                      int partition, const struct local_state *state)
{
    MDB_cursor *cursor;
    int code;

    if (tail->from != state->indexed) {
        local_tail_clear(tail);
        tail->from = tail->to = state->indexed;
    }
    if (tail->to == state->next) {
        return 0;
    }
    code = mdb_cursor_open(txn, topic->partitions[partition].messages, &cursor);
    if (code != 0) {
        return code;
    }
    code = add_from(tail, cursor, topic, partition);
    mdb_cursor_close(cursor);
    if (code == 0) {
        tail->to = state->next;
    }
    return code;
}

uint64_t local_tail_find(const struct local_tail *tail, struct hash128 hash)
{
    return tail->capacity == 0 ? LOCAL_NO_OFFSET : slot_for(tail, hash)->offset;
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
