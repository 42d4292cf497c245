/* SPDX-License-Identifier: Apache-2.0 */

/* Keys of compacted topics: which message is the latest of each, and which it superseded. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream/local_internal.h"

enum { SAME_HASH_MAX = 16 }; /* keys that may share a 128-bit hash before the oldest is forgotten */

/* The value of an index entry: offsets, one for each key with that hash. */
struct places {
    uint64_t offsets[SAME_HASH_MAX];
    size_t count;
};

struct hash128 local_hash(const struct stream_message *message)
{
    return hash128_of(message->key, message->key_length);
}

bool local_same_key(const struct stream_message *a, const struct stream_message *b)
{
    return a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0;
}

static int read_places(struct places *out, const MDB_val *data)
{
    size_t size = data->mv_size;

    if (size == 0 || size % sizeof out->offsets[0] != 0 || size > sizeof out->offsets) {
        return MDB_CORRUPTED;
    }
    memcpy(out->offsets, data->mv_data, size);
    out->count = size / sizeof out->offsets[0];
    return 0;
}

static int put_places(MDB_cursor *cursor, struct hash128 *hash, struct places *places)
{
    MDB_val key = {sizeof hash->bytes, hash->bytes};
    MDB_val data = {places->count * sizeof places->offsets[0], places->offsets};

    return mdb_cursor_put(cursor, &key, &data, 0);
}

static void drop_place(struct places *places, size_t i)
{
    places->count--;
    memmove(&places->offsets[i], &places->offsets[i + 1],
            (places->count - i) * sizeof places->offsets[0]);
}

/* --- indexing a lump --- */

struct lump {
    MDB_txn *txn;
    const struct local_topic *topic;
    int partition;
    struct local_entry *entries; /* [count] */
    size_t count;
    struct local_mark *marks; /* [mark_count]: what goes to the superseded table */
    size_t mark_count;
};

struct local_mark {
    uint64_t offset;
    struct local_superseded what;
};

static int by_hash(const void *left, const void *right)
{
    const struct local_entry *a = left;
    const struct local_entry *b = right;
    int order = memcmp(a->hash.bytes, b->hash.bytes, sizeof a->hash.bytes);

    return order != 0 ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static int by_offset(const void *left, const void *right)
{
    const struct local_mark *a = left;
    const struct local_mark *b = right;

    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Reads up to `limit` messages from state->indexed on. */
static int gather(struct lump *lump, struct local_state *state, size_t limit)
{
    uint64_t offset = state->indexed;
    MDB_val key = local_offset_key(&offset);
    MDB_val data;
    MDB_cursor *cursor;
    int code =
        mdb_cursor_open(lump->txn, lump->topic->partitions[lump->partition].messages, &cursor);

    if (code != 0) {
        return code;
    }
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    while (code == 0 && lump->count < limit) {
        struct stream_message message;

        if (!local_decode(&message, lump->topic, lump->partition, local_offset_of(&key), &data)) {
            code = MDB_CORRUPTED;
            break;
        }
        lump->entries[lump->count++] = (struct local_entry){
            local_hash(&message), (uint64_t)message.offset, message.at_us, message.value == NULL};
        state->indexed = (uint64_t)message.offset + 1;
        code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (code == MDB_NOTFOUND) {
        state->indexed = state->next;
        code = 0;
    }
    return code;
}

static void mark(struct lump *lump, const struct local_entry *entry, uint64_t old)
{
    lump->marks[lump->mark_count++] =
        (struct local_mark){entry->offset, {old, entry->at_us, entry->tombstone ? 1 : 0}};
}

/* The hash is there: is it this key's, or one that collides? */
static int supersede(struct lump *lump, MDB_cursor *cursor, struct local_entry *entry,
                     const MDB_val *data)
{
    struct places places = {.count = 0};
    struct stream_message message;
    struct stream_message old;
    int code = read_places(&places, data);

    code = code == 0
               ? local_message_get(lump->txn, lump->topic, lump->partition, entry->offset, &message)
               : code;
    for (size_t i = 0; i < places.count && code == 0; i++) {
        code = local_message_get(lump->txn, lump->topic, lump->partition, places.offsets[i], &old);
        if (code == 0 && local_same_key(&old, &message)) {
            mark(lump, entry, places.offsets[i]);
            places.offsets[i] = entry->offset;
            return put_places(cursor, &entry->hash, &places);
        }
    }
    if (code != 0) {
        return code;
    }
    if (places.count == SAME_HASH_MAX) {
        drop_place(&places, 0);
    }
    places.offsets[places.count++] = entry->offset;
    if (entry->tombstone) {
        mark(lump, entry, LOCAL_NO_OFFSET);
    }
    return put_places(cursor, &entry->hash, &places);
}

static int place_entries(struct lump *lump)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(lump->txn, lump->topic->partitions[lump->partition].index, &cursor);

    if (code != 0) {
        return code;
    }
    qsort(lump->entries, lump->count, sizeof *lump->entries, by_hash);
    for (size_t i = 0; i < lump->count && code == 0; i++) {
        struct local_entry *entry = &lump->entries[i];
        MDB_val key = {sizeof entry->hash.bytes, entry->hash.bytes};
        MDB_val data = {sizeof entry->offset, &entry->offset};

        code = mdb_cursor_put(cursor, &key, &data, MDB_NOOVERWRITE);
        if (code == MDB_KEYEXIST) {
            code = supersede(lump, cursor, entry, &data);
        } else if (code == 0 && entry->tombstone) {
            mark(lump, entry, LOCAL_NO_OFFSET);
        }
    }
    mdb_cursor_close(cursor);
    return code;
}

static int put_marks(struct lump *lump)
{
    MDB_cursor *cursor;
    int code =
        mdb_cursor_open(lump->txn, lump->topic->partitions[lump->partition].superseded, &cursor);

    if (code != 0) {
        return code;
    }
    qsort(lump->marks, lump->mark_count, sizeof *lump->marks, by_offset);
    for (size_t i = 0; i < lump->mark_count && code == 0; i++) {
        MDB_val key = local_offset_key(&lump->marks[i].offset);
        MDB_val data = {sizeof lump->marks[i].what, &lump->marks[i].what};

        code = mdb_cursor_put(cursor, &key, &data, MDB_APPEND);
    }
    mdb_cursor_close(cursor);
    return code;
}

int local_index(MDB_txn *txn, const struct local_topic *topic, int partition,
                struct local_state *state, size_t limit)
{
    struct lump lump = {.txn = txn, .topic = topic, .partition = partition};
    uint64_t tail = state->next - state->indexed;
    int code = ENOMEM;

    limit = tail < limit ? (size_t)tail : limit;
    if (limit == 0) {
        return 0;
    }
    lump.entries = malloc(limit * sizeof *lump.entries);
    lump.marks = malloc(limit * sizeof *lump.marks);
    if (lump.entries != NULL && lump.marks != NULL) {
        code = gather(&lump, state, limit);
        code = code == 0 ? place_entries(&lump) : code;
        code = code == 0 ? put_marks(&lump) : code;
    }
    free(lump.entries);
    free(lump.marks);
    return code;
}

/* --- taking out --- */

static int unplace(MDB_cursor *cursor, struct local_entry *entry)
{
    MDB_val key = {sizeof entry->hash.bytes, entry->hash.bytes};
    MDB_val data;
    struct places places = {.count = 0};
    int code = mdb_cursor_get(cursor, &key, &data, MDB_SET_KEY);

    if (code != 0) {
        return code == MDB_NOTFOUND ? 0 : code;
    }
    code = read_places(&places, &data);
    for (size_t i = 0; i < places.count && code == 0; i++) {
        if (places.offsets[i] == entry->offset) {
            drop_place(&places, i);
            return places.count == 0 ? mdb_cursor_del(cursor, 0)
                                     : put_places(cursor, &entry->hash, &places);
        }
    }
    return code;
}

int local_unindex(MDB_txn *txn, const struct local_topic *topic, int partition,
                  struct local_entry *entries, size_t count)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, topic->partitions[partition].index, &cursor);

    if (code != 0) {
        return code;
    }
    qsort(entries, count, sizeof *entries, by_hash);
    for (size_t i = 0; i < count && code == 0; i++) {
        code = unplace(cursor, &entries[i]);
    }
    mdb_cursor_close(cursor);
    return code;
}

/* --- looking up --- */

int local_compacted_topic(struct local_topic **out, const struct local *local, const char *name,
                          struct ear_error *err)
{
    if (local_topic_named(out, local, name, err) != 0) {
        return -1;
    }
    if (!(*out)->compact) {
        return ear_fail(err, EAR_FATAL,
                        "topic '%s' is not compacted: it has no latest message of a key", name);
    }
    return 0;
}

/* Looks in the index. LMDB code, MDB_NOTFOUND where the key has no message. */
static int find_indexed(MDB_txn *txn, const struct local_topic *topic,
                        const struct stream_message *like, struct hash128 hash,
                        struct stream_message *out)
{
    MDB_val place = {sizeof hash.bytes, hash.bytes};
    MDB_val data;
    struct places places = {.count = 0};
    int code = mdb_get(txn, topic->partitions[like->partition].index, &place, &data);

    code = code == 0 ? read_places(&places, &data) : code;
    for (size_t i = 0; code == 0 && i < places.count; i++) {
        code = local_message_get(txn, topic, like->partition, places.offsets[i], out);
        if (code == 0 && local_same_key(out, like)) {
            return 0;
        }
    }
    return code == 0 ? MDB_NOTFOUND : code;
}

/* Tail first, then index. Under tail_lock. */
static int find_latest(struct local *local, MDB_txn *txn, struct local_topic *topic,
                       const char *key, size_t key_length, struct stream_message *out)
{
    struct hash128 hash = hash128_of(key, key_length);
    const struct stream_message like = {
        .partition = stream_partition_of(topic->by_prefix, key, key_length, topic->count),
        .key = key,
        .key_length = key_length};
    struct local_partition *part = &topic->partitions[like.partition];
    struct local_state state;
    uint64_t offset = LOCAL_NO_OFFSET;
    int code;

    if (part->messages == 0) {
        return MDB_NOTFOUND;
    }
    code = local_state_get(local, txn, topic, like.partition, &state);
    code = code == 0 ? local_tail_update(&part->tail, txn, topic, like.partition, &state) : code;
    code = code == 0 ? local_tail_find(&part->tail, txn, topic, &like, hash, &offset) : code;
    if (code != 0) {
        return code;
    }
    if (offset != LOCAL_NO_OFFSET) {
        return local_message_get(txn, topic, like.partition, offset, out);
    }
    return part->index == 0 ? MDB_NOTFOUND : find_indexed(txn, topic, &like, hash, out);
}

static char *copy_value(const struct stream_message *message)
{
    char *copy = malloc(message->value_length + 1);

    if (copy != NULL) {
        memcpy(copy, message->value, message->value_length);
        copy[message->value_length] = '\0';
    }
    return copy;
}

int local_lookup(struct stream *stream, const char *name, const char *key, size_t key_length,
                 char **out, size_t *out_length, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_topic *topic;
    struct stream_message message;
    MDB_txn *txn;
    int result = -1;
    int code;

    if (local_compacted_topic(&topic, local, name, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&local->tail_lock);
    if (local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        pthread_mutex_unlock(&local->tail_lock);
        return -1;
    }
    code = find_latest(local, txn, topic, key, key_length, &message);
    if (code == MDB_NOTFOUND || (code == 0 && message.value == NULL)) {
        result = 0;
    } else if (code != 0) {
        local_fail(local, code, "look a key up", err);
    } else {
        char *copy = copy_value(&message);

        if (copy == NULL) {
            ear_fail_memory(err, "a value of the log");
        } else {
            *out = copy;
            *out_length = message.value_length;
            result = 1;
        }
    }
    local_leave(local, txn);
    pthread_mutex_unlock(&local->tail_lock);
    return result;
}
