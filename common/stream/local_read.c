/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading the local log. A read copies its batch out and ends the LMDB transaction before it
 * returns: one left open would keep every page that is freed meanwhile, and the file would grow.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/stream/local_internal.h"

enum {
    NAP_US = 50 * 1000
}; /* waiting readers look for themselves this often, should a wake be
      lost with a killed writer */

/* --- where a group stands --- */

/* Says what is wrong with a position, if anything is. */
int local_check_position(const struct local_topic *topic, int partition, int64_t position,
                         const struct local_state *state, const char *whose, struct ear_error *err)
{
    if (position < (int64_t)state->floor) {
        return ear_fail(err, EAR_CONFIG,
                        "%s stands at %s/%d/%lld, but the log keeps only what comes from %lld on: "
                        "messages between are gone; if that may be, move it there",
                        whose, topic->name, partition, (long long)position,
                        (long long)state->floor);
    }
    if (position > (int64_t)state->next) {
        return ear_fail(err, EAR_CONFIG,
                        "%s stands at %s/%d/%lld, but the log ends at %lld: is this the log that "
                        "it read?",
                        whose, topic->name, partition, (long long)position, (long long)state->next);
    }
    return 0;
}

/* Reads the group's position on a lane, making one at the earliest where there is none. */
static int place_lane(struct local_reader *reader, MDB_txn *txn, struct local_lane *lane,
                      bool *missing, struct ear_error *err)
{
    struct local *local = reader->local;
    struct local_state state;
    char whose[LOCAL_NAME_MAX + 16];
    int code = local_state_get(local, txn, lane->topic, lane->partition, &state);

    code = code == 0 ? local_position_get(local, txn, reader->group, lane->topic->name,
                                          lane->partition, &lane->committed)
                     : code;
    if (code != 0) {
        return local_fail(local, code, "read a group's position", err);
    }
    if (lane->committed < 0) {
        *missing = true;
        lane->committed = (int64_t)state.floor;
    }
    lane->next = lane->committed;
    snprintf(whose, sizeof whose, "group '%s'", reader->group);
    return local_check_position(lane->topic, lane->partition, lane->committed, &state, whose, err);
}

static int place_all(struct local_reader *reader, MDB_txn *txn, bool *missing,
                     struct ear_error *err)
{
    *missing = false;
    for (size_t i = 0; i < reader->lane_count; i++) {
        if (place_lane(reader, txn, &reader->lanes[i], missing, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Where the reader's owner knows better than the group, it begins there. */
static int start_elsewhere(struct local_reader *reader, struct ear_error *err)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        const struct local_lane *lane = &reader->lanes[i];
        struct stream_span span = {0};
        int64_t at = stream_start_at(&reader->start, lane->topic->name, lane->partition, err);

        if (at == STREAM_AT_GROUP) {
            continue;
        }
        if (at == STREAM_AT_FAILED ||
            local_span(&reader->local->base, lane->topic->name, lane->partition, &span, err) != 0 ||
            local_seek(&reader->base, lane->topic->name, lane->partition,
                       at == STREAM_AT_EARLIEST ? span.earliest : at, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int local_rewind(struct stream_reader *base, struct ear_error *err)
{
    struct local_reader *reader = (struct local_reader *)base;
    MDB_txn *txn;
    bool missing;
    int result;

    if (reader->group == NULL) {
        return ear_fail(err, EAR_FATAL, "a reader without a group has no position to go back to");
    }
    if (local_enter(reader->local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    result = place_all(reader, txn, &missing, err);
    local_leave(reader->local, txn);
    return result == 0 ? start_elsewhere(reader, err) : -1;
}

/* A group is known from its first subscription on, so that nothing it has to read goes by age. */
static int join_group(struct local_reader *reader, struct ear_error *err)
{
    struct local *local = reader->local;
    MDB_txn *txn;
    bool missing;

    if (local_enter(local, 0, &txn, err) != 0) {
        return -1;
    }
    if (place_all(reader, txn, &missing, err) != 0) {
        local_leave(local, txn);
        return -1;
    }
    if (!missing) {
        local_leave(local, txn);
        return 0;
    }
    for (size_t i = 0; i < reader->lane_count; i++) {
        const struct local_lane *lane = &reader->lanes[i];
        int code = local_position_put(local, txn, reader->group, lane->topic->name, lane->partition,
                                      lane->committed);

        if (code != 0) {
            local_leave(local, txn);
            return local_fail(local, code, "note a group", err);
        }
    }
    return local_commit(local, txn, "note a group", err);
}

/* --- making readers --- */

static struct local_reader *new_reader(struct local *local, const char *group, size_t lane_count)
{
    struct local_reader *reader = calloc(1, sizeof *reader);

    if (reader == NULL) {
        return NULL;
    }
    reader->base.backend = &stream_local;
    reader->local = local;
    reader->group = group == NULL ? NULL : strdup(group);
    reader->lanes = calloc(lane_count + 1, sizeof *reader->lanes);
    if ((group != NULL && reader->group == NULL) || reader->lanes == NULL) {
        local_reader_close(&reader->base);
        return NULL;
    }
    return reader;
}

void local_reader_close(struct stream_reader *base)
{
    struct local_reader *reader = (struct local_reader *)base;

    free(reader->group);
    free(reader->lanes);
    free(reader);
}

static void add_lanes(struct local_reader *reader, struct local_topic *topic)
{
    for (int partition = 0; partition < topic->count; partition++) {
        reader->lanes[reader->lane_count++] =
            (struct local_lane){.topic = topic, .partition = partition};
    }
}

int local_check_group(const char *group, struct ear_error *err)
{
    if (*group == '\0' || strlen(group) >= LOCAL_NAME_MAX) {
        return ear_fail(err, EAR_CONFIG, "a group's name has 1 to %d bytes; '%.*s' has %zu",
                        LOCAL_NAME_MAX - 1, LOCAL_NAME_MAX, group, strlen(group));
    }
    return 0;
}

static int check_group(const struct local *local, const char *group, struct ear_error *err)
{
    if (local_check_group(group, err) != 0) {
        return -1;
    }
    if (local->read_only) {
        return ear_fail(err, EAR_FATAL,
                        "group '%s' cannot subscribe: the log %s is open for reading only", group,
                        local->folder);
    }
    return 0;
}

int local_subscribe(struct stream_reader **out, struct stream *stream, const char *group,
                    const char *const topics[], size_t topic_count,
                    const struct stream_start *start, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_reader *reader;
    struct local_topic *topic;
    size_t lanes = 0;

    if (check_group(local, group, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < topic_count; i++) {
        if (local_topic_named(&topic, local, topics[i], err) != 0) {
            return -1;
        }
        lanes += (size_t)topic->count;
    }
    reader = new_reader(local, group, lanes);
    if (reader == NULL) {
        return ear_fail_memory(err, "a reader of the log");
    }
    for (size_t i = 0; i < topic_count; i++) {
        add_lanes(reader, local_find_topic(local, topics[i]));
    }
    if (start != NULL) {
        reader->start = *start;
    }
    if (join_group(reader, err) != 0 || start_elsewhere(reader, err) != 0) {
        local_reader_close(&reader->base);
        return -1;
    }
    *out = &reader->base;
    return 0;
}

/* --- following --- */

static int place_by_instant(struct local_reader *reader, MDB_txn *txn, int64_t from_us)
{
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct local_lane *lane = &reader->lanes[i];
        struct local_state state;
        int code = local_state_get(reader->local, txn, lane->topic, lane->partition, &state);

        if (code != 0) {
            return code;
        }
        if (from_us == INT64_MAX) {
            lane->next = (int64_t)state.next;
        } else if (from_us == INT64_MIN || state.floor == state.next) {
            lane->next = (int64_t)state.floor;
        } else {
            code = local_find_instant(txn, lane, &state, from_us);
            if (code != 0) {
                return code;
            }
        }
    }
    return 0;
}

int local_follow(struct stream_reader **out, struct stream *stream, const char *topic,
                 int64_t from_us, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_reader *reader;
    struct local_topic *found;
    MDB_txn *txn;
    int code;

    if (local_topic_named(&found, local, topic, err) != 0) {
        return -1;
    }
    reader = new_reader(local, NULL, (size_t)found->count);
    if (reader == NULL) {
        return ear_fail_memory(err, "a reader of the log");
    }
    add_lanes(reader, found);
    if (local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        local_reader_close(&reader->base);
        return -1;
    }
    code = place_by_instant(reader, txn, from_us);
    local_leave(local, txn);
    if (code != 0) {
        local_reader_close(&reader->base);
        return local_fail(local, code, "find an instant", err);
    }
    *out = &reader->base;
    return 0;
}

/* --- reading --- */

struct share {
    struct stream_batch *batch;
    size_t max_messages; /* of the whole batch */
    size_t max_bytes;
};

/* Is there a hole that no compaction made? Then somebody's messages went unread. */
static int check_hole(struct local_reader *reader, MDB_txn *txn, struct local_lane *lane,
                      struct ear_error *err)
{
    struct local_state state;
    char whose[LOCAL_NAME_MAX + 16];
    int code = local_state_get(reader->local, txn, lane->topic, lane->partition, &state);

    if (code != 0) {
        return local_fail(reader->local, code, "read a topic's state", err);
    }
    if (reader->group == NULL) {
        return 0;
    }
    snprintf(whose, sizeof whose, "group '%s'", reader->group);
    return local_check_position(lane->topic, lane->partition, lane->next, &state, whose, err);
}

/* Copies messages of one lane until the share is full or there are no more. */
static int take_lane(struct local_reader *reader, MDB_txn *txn, struct local_lane *lane,
                     const struct share *share, struct ear_error *err)
{
    struct stream_batch *batch = share->batch;
    uint64_t offset = (uint64_t)lane->next;
    MDB_val key = local_offset_key(&offset);
    MDB_val data;
    MDB_cursor *cursor;
    int result = -1;
    int code = mdb_cursor_open(txn, lane->topic->partitions[lane->partition].messages, &cursor);

    if (code != 0) {
        return local_fail(reader->local, code, "read", err);
    }
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    if (code == 0 && local_offset_of(&key) != offset && check_hole(reader, txn, lane, err) != 0) {
        goto done;
    }
    while (code == 0 && batch->count < share->max_messages) {
        struct stream_message message;

        if (!local_decode(&message, lane->topic, lane->partition, local_offset_of(&key), &data)) {
            code = MDB_CORRUPTED;
            break;
        }
        if (batch->count > 0 &&
            batch->bytes + message.key_length + message.value_length > share->max_bytes) {
            break;
        }
        if (batch_add(batch, &message, err) != 0) {
            goto done;
        }
        lane->next = message.offset + 1;
        code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    if (code != 0 && code != MDB_NOTFOUND) {
        local_fail(reader->local, code, "read", err);
        goto done;
    }
    result = 0;

done:
    mdb_cursor_close(cursor);
    return result;
}

/*
 * Twice around the lanes: first each gets its part of what is left, then the rest goes to whoever
 * has more. The lane that begins moves on from read to read. A partition's messages stay in order.
 */
static int take_all(struct local_reader *reader, MDB_txn *txn, const struct share *share,
                    struct ear_error *err)
{
    struct stream_batch *batch = share->batch;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < reader->lane_count; i++) {
            struct local_lane *lane = &reader->lanes[(reader->first + i) % reader->lane_count];
            size_t parts = round == 0 ? reader->lane_count - i : 1;
            size_t messages = share->max_messages - batch->count;
            size_t bytes = share->max_bytes > batch->bytes ? share->max_bytes - batch->bytes : 0;
            struct share part = {batch, batch->count + (messages + parts - 1) / parts,
                                 batch->bytes + bytes / parts};

            if (lane->topic->partitions[lane->partition].messages == 0) {
                continue;
            }
            if (take_lane(reader, txn, lane, &part, err) != 0) {
                return -1;
            }
        }
    }
    reader->first = reader->first + 1 < reader->lane_count ? reader->first + 1 : 0;
    return 0;
}

static int read_now(struct local_reader *reader, const struct share *share, struct ear_error *err)
{
    MDB_txn *txn;
    int result;

    batch_reset(share->batch);
    if (local_enter(reader->local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    result = take_all(reader, txn, share, err);
    local_leave(reader->local, txn);
    return result;
}

int local_read(struct stream_reader *base, struct stream_batch *batch, size_t max_messages,
               size_t max_bytes, int timeout_ms, struct ear_error *err)
{
    struct local_reader *reader = (struct local_reader *)base;
    struct local_members *members = reader->local->members;
    const struct share share = {batch, max_messages, max_bytes};
    int64_t end_mono_us = timeout_ms > 0 ? clock_mono_us() + (int64_t)timeout_ms * 1000 : 0;

    for (;;) {
        uint32_t seen = local_members_sequence(members);
        int64_t left_us;

        if (read_now(reader, &share, err) != 0) {
            return -1;
        }
        if (batch->count > 0 || timeout_ms <= 0) {
            return 0;
        }
        left_us = end_mono_us - clock_mono_us();
        if (left_us <= 0 ||
            local_members_wait(members, seen, left_us < NAP_US ? left_us : NAP_US) != 0) {
            return 0;
        }
    }
}
