/* SPDX-License-Identifier: Apache-2.0 */

/* Places in the local log: where a reader stands, an instant, a span, one message. */

#include <string.h>

#include "common/stream/local_internal.h"

/* The first message at or after an offset. LMDB code. */
static int message_from(MDB_cursor *cursor, const struct local_lane *lane, uint64_t offset,
                        struct stream_message *out)
{
    MDB_val key = local_offset_key(&offset);
    MDB_val data;
    int code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);

    if (code != 0) {
        return code;
    }
    return local_decode(out, lane->topic, lane->partition, local_offset_of(&key), &data)
               ? 0
               : MDB_CORRUPTED;
}

/* Halves [floor, next) by time: writers' clocks are close enough for a look. */
int local_find_instant(MDB_txn *txn, struct local_lane *lane, const struct local_state *state,
                       int64_t from_us)
{
    uint64_t low = state->floor;
    uint64_t high = state->next;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, lane->topic->partitions[lane->partition].messages, &cursor);

    if (code != 0) {
        return code;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct stream_message message;

        code = message_from(cursor, lane, middle, &message);
        if (code != 0 && code != MDB_NOTFOUND) {
            break;
        }
        if (code == MDB_NOTFOUND || message.at_us >= from_us) {
            high = middle;
        } else {
            low = (uint64_t)message.offset + 1;
        }
        code = 0;
    }
    mdb_cursor_close(cursor);
    lane->next = (int64_t)low;
    return code;
}

static struct local_lane *find_lane(const struct local_reader *reader, const char *topic,
                                    int partition)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct local_lane *lane = &reader->lanes[i];

        if (lane->partition == partition && strcmp(lane->topic->name, topic) == 0) {
            return lane;
        }
    }
    return NULL;
}

int64_t local_position(const struct stream_reader *base, const char *topic, int partition)
{
    const struct local_lane *lane = find_lane((const struct local_reader *)base, topic, partition);

    return lane == NULL ? -1 : lane->next;
}

bool local_is_ahead(const struct stream_reader *base)
{
    const struct local_reader *reader = (const struct local_reader *)base;

    for (size_t i = 0; reader->group != NULL && i < reader->lane_count; i++) {
        if (reader->lanes[i].next != reader->lanes[i].committed) {
            return true;
        }
    }
    return false;
}

int local_seek(struct stream_reader *base, const char *topic, int partition, int64_t offset,
               struct ear_error *err)
{
    struct local_reader *reader = (struct local_reader *)base;
    struct local_lane *lane = find_lane(reader, topic, partition);
    struct local_state state;
    MDB_txn *txn;
    int code;

    if (lane == NULL) {
        return ear_fail(err, EAR_CONFIG, "this reader does not read %s/%d", topic, partition);
    }
    if (local_enter(reader->local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    code = local_state_get(reader->local, txn, lane->topic, partition, &state);
    local_leave(reader->local, txn);
    if (code != 0) {
        return local_fail(reader->local, code, "read a topic's state", err);
    }
    if (local_check_position(lane->topic, partition, offset, &state, "what is asked for", err) !=
        0) {
        return -1;
    }
    lane->next = offset;
    return 0;
}

static int first_offset(MDB_txn *txn, const struct local_topic *topic, int partition,
                        const struct local_state *state, int64_t *out)
{
    const struct local_lane lane = {.topic = (struct local_topic *)topic, .partition = partition};
    struct stream_message message;
    MDB_cursor *cursor;
    int code;

    *out = (int64_t)state->next;
    if (topic->partitions[partition].messages == 0) {
        return 0;
    }
    code = mdb_cursor_open(txn, topic->partitions[partition].messages, &cursor);
    if (code != 0) {
        return code;
    }
    code = message_from(cursor, &lane, 0, &message);
    if (code == 0) {
        *out = message.offset;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_span(struct stream *stream, const char *name, int partition, struct stream_span *out,
               struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_topic *topic;
    struct local_state state;
    struct stream_span span = {0};
    MDB_txn *txn;
    int code;

    if (local_topic_named(&topic, local, name, err) != 0 ||
        local_check_partition(topic, partition, err) != 0 ||
        local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    code = local_state_get(local, txn, topic, partition, &state);
    span.end = (int64_t)state.next;
    code = code == 0 ? first_offset(txn, topic, partition, &state, &span.earliest) : code;
    local_leave(local, txn);
    if (code != 0) {
        return local_fail(local, code, "read a topic's state", err);
    }
    *out = span;
    return 0;
}

int64_t local_group_position(struct stream *stream, const char *group, const char *name,
                             int partition, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_topic *topic;
    int64_t position;
    MDB_txn *txn;
    int code;

    if (local_check_group(group, err) != 0 || local_topic_named(&topic, local, name, err) != 0 ||
        local_check_partition(topic, partition, err) != 0 ||
        local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        return -2;
    }
    code = local_position_get(local, txn, group, name, partition, &position);
    local_leave(local, txn);
    if (code != 0) {
        local_fail(local, code, "read a group's position", err);
        return -2;
    }
    return position;
}

int local_fetch(struct stream *stream, const char *name, int partition, int64_t offset,
                struct stream_batch *batch, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_topic *topic;
    struct stream_message message;
    MDB_txn *txn;
    int code;
    int result = -1;

    batch_reset(batch);
    if (local_topic_named(&topic, local, name, err) != 0 ||
        local_check_partition(topic, partition, err) != 0) {
        return -1;
    }
    if (topic->partitions[partition].messages == 0) {
        return 0;
    }
    if (local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    code = local_message_get(txn, topic, partition, (uint64_t)offset, &message);
    if (code == MDB_NOTFOUND) {
        result = 0;
    } else if (code != 0) {
        local_fail(local, code, "read a message", err);
    } else if (batch_add(batch, &message, err) == 0) {
        result = 1;
    }
    local_leave(local, txn);
    return result;
}
