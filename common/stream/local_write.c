/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing to the local log. A transaction gathers records, encoded as they will be stored, one list
 * for each partition; the log's one writer lock is held in commit only, for appending and syncing.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream/local_internal.h"
#include "common/testpoint.h"

enum {
    FIRST_BYTES = 64 * 1024,
    FIRST_RECORDS = 256,
    NO_RECORD = -1,
};

static const size_t bytes_max = (size_t)256 * 1024 * 1024; /* of one transaction, encoded */
static const int64_t records_max = INT32_MAX / 2;

/* A message, encoded in transaction.bytes. */
struct record {
    size_t at;
    uint32_t size;
    int32_t next; /* of the same lane */
};

/* The records for one partition. */
struct outbound {
    struct local_topic *topic;
    int partition;
    int32_t first, last;
};

/* One partition of the group's move. */
struct step {
    struct local_reader *reader;
    struct local_lane *lane;
    int64_t expected, next;
};

struct local_transaction {
    struct stream_transaction base;
    struct local *local;
    char *bytes;
    size_t used, room;
    struct record *records;
    int64_t record_count, record_room;
    struct outbound *lanes; /* [local.lane_count]; topic NULL: none yet */
    struct step *steps;
    size_t step_count;
    bool indexed; /* one lump is enough for one commit */
};

int local_begin(struct stream_transaction **out, struct stream *stream, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct local_transaction *transaction;

    if (local->read_only) {
        return ear_fail(err, EAR_FATAL, "the log %s is open for reading only", local->folder);
    }
    transaction = calloc(1, sizeof *transaction);
    if (transaction == NULL) {
        return ear_fail_memory(err, "a transaction");
    }
    transaction->base.backend = &stream_local;
    transaction->local = local;
    transaction->lanes = calloc(local->lane_count + 1, sizeof *transaction->lanes);
    if (transaction->lanes == NULL) {
        local_abort(&transaction->base);
        return ear_fail_memory(err, "a transaction");
    }
    *out = &transaction->base;
    return 0;
}

void local_abort(struct stream_transaction *base)
{
    struct local_transaction *transaction = (struct local_transaction *)base;

    free(transaction->bytes);
    free(transaction->records);
    free(transaction->lanes);
    free(transaction->steps);
    free(transaction);
}

/* --- publishing --- */

static int make_room(struct local_transaction *transaction, size_t needed, struct ear_error *err)
{
    size_t room = transaction->room == 0 ? FIRST_BYTES : transaction->room;
    char *grown;

    if (needed > bytes_max - transaction->used || transaction->record_count >= records_max) {
        return ear_fail(err, EAR_FATAL,
                        "a transaction of more than %zu MiB (a bug of ours): commit sooner",
                        bytes_max >> 20);
    }
    while (room - transaction->used < needed) {
        room *= 2;
    }
    if (room != transaction->room) {
        grown = realloc(transaction->bytes, room);
        if (grown == NULL) {
            return ear_fail_memory(err, "the messages of a transaction");
        }
        transaction->bytes = grown;
        transaction->room = room;
    }
    if (transaction->record_count == transaction->record_room) {
        int64_t count =
            transaction->record_room == 0 ? FIRST_RECORDS : transaction->record_room * 2;
        struct record *records =
            realloc(transaction->records, (size_t)count * sizeof *transaction->records);

        if (records == NULL) {
            return ear_fail_memory(err, "the messages of a transaction");
        }
        transaction->records = records;
        transaction->record_room = count;
    }
    return 0;
}

static char *append_bytes(char *to, const void *bytes, size_t length)
{
    if (bytes != NULL && length > 0) {
        memcpy(to, bytes, length);
    }
    return to + length;
}

static void link_record(struct local_transaction *transaction, struct local_topic *topic,
                        int partition, size_t size)
{
    struct outbound *lane = &transaction->lanes[topic->first_lane + (size_t)partition];
    int32_t number = (int32_t)transaction->record_count++;

    transaction->records[number] =
        (struct record){.at = transaction->used, .size = (uint32_t)size, .next = NO_RECORD};
    transaction->used += (size + 7) & ~(size_t)7;
    if (lane->topic == NULL) {
        *lane = (struct outbound){topic, partition, number, number};
    } else {
        transaction->records[lane->last].next = number;
        lane->last = number;
    }
}

int local_publish(struct stream_transaction *base, const char *name, const char *key,
                  size_t key_length, const char *value, size_t value_length, int64_t at_us,
                  struct ear_error *err)
{
    struct local_transaction *transaction = (struct local_transaction *)base;
    struct local *local = transaction->local;
    size_t key_bytes = key == NULL ? 0 : key_length;
    const struct local_header header = {
        .at_us = at_us, .key_length = (uint32_t)key_bytes, .tombstone = value == NULL ? 1 : 0};
    size_t size = sizeof header + key_bytes + (value == NULL ? 0 : value_length);
    struct local_topic *topic;
    int partition;
    char *to;

    if (local_topic_named(&topic, local, name, err) != 0 ||
        stream_check_message(topic->name, topic->compact, key, key_bytes, value_length, err) != 0 ||
        make_room(transaction, size + 8, err) != 0) {
        return -1;
    }
    if (key == NULL) {
        partition = (int)(atomic_fetch_add(&local->turn, 1) % (unsigned)topic->count);
    } else {
        partition = stream_partition_of(topic->by_prefix, key, key_length, topic->count);
    }
    to = append_bytes(transaction->bytes + transaction->used, &header, sizeof header);
    to = append_bytes(to, key, key_bytes);
    append_bytes(to, value, value == NULL ? 0 : value_length);
    link_record(transaction, topic, partition, size);
    return 0;
}

int local_move(struct stream_transaction *base, struct stream_reader *base_reader,
               struct ear_error *err)
{
    struct local_transaction *transaction = (struct local_transaction *)base;
    struct local_reader *reader = (struct local_reader *)base_reader;
    struct step *steps;

    if (reader->group == NULL) {
        return ear_fail(err, EAR_FATAL, "a reader without a group has no position to move");
    }
    steps =
        realloc(transaction->steps, (transaction->step_count + reader->lane_count) * sizeof *steps);
    if (steps == NULL) {
        return ear_fail_memory(err, "a transaction");
    }
    transaction->steps = steps;
    for (size_t i = 0; i < reader->lane_count; i++) {
        struct local_lane *lane = &reader->lanes[i];

        if (lane->next != lane->committed) {
            steps[transaction->step_count++] =
                (struct step){reader, lane, lane->committed, lane->next};
        }
    }
    return 0;
}

/* --- committing --- */

/* The group must stand where the reader believes that it does: else somebody else reads too. */
static int take_step(struct local *local, MDB_txn *txn, const struct step *step,
                     struct ear_error *err)
{
    const struct local_lane *lane = step->lane;
    const char *group = step->reader->group;
    int64_t position;
    int code = local_position_get(local, txn, group, lane->topic->name, lane->partition, &position);

    if (code == 0 && position != step->expected) {
        return ear_fail(err, EAR_FENCED,
                        "group '%s' stands at %s/%d/%lld, not at %lld where this reader left it: "
                        "another process reads for it; nothing was published",
                        group, lane->topic->name, lane->partition, (long long)position,
                        (long long)step->expected);
    }
    if (code == 0) {
        code =
            local_position_put(local, txn, group, lane->topic->name, lane->partition, step->next);
    }
    return code == 0 ? 0 : local_fail(local, code, "move a group", err);
}

static int append_records(struct local_transaction *transaction, MDB_txn *txn,
                          const struct outbound *lane, struct local_state *state)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, lane->topic->partitions[lane->partition].messages, &cursor);

    if (code != 0) {
        return code;
    }
    for (int32_t i = lane->first; i != NO_RECORD && code == 0; i = transaction->records[i].next) {
        const struct record *record = &transaction->records[i];
        MDB_val key = local_offset_key(&state->next);
        MDB_val data = {record->size, transaction->bytes + record->at};

        code = mdb_cursor_put(cursor, &key, &data, MDB_APPEND);
        state->next += code == 0;
    }
    mdb_cursor_close(cursor);
    return code;
}

static int append_lane(struct local_transaction *transaction, MDB_txn *txn,
                       const struct outbound *lane)
{
    struct local *local = transaction->local;
    struct local_state state;
    int code = local_state_get(local, txn, lane->topic, lane->partition, &state);

    if (code == 0 && lane->topic->compact && state.next - state.indexed > LOCAL_LUMP &&
        !transaction->indexed) {
        code = local_index(txn, lane->topic, lane->partition, &state, LOCAL_LUMP);
        transaction->indexed = true;
    }
    code = code == 0 ? append_records(transaction, txn, lane, &state) : code;
    return code == 0 ? local_state_put(local, txn, lane->topic, lane->partition, &state) : code;
}

static int write_all(struct local_transaction *transaction, MDB_txn *txn, struct ear_error *err)
{
    struct local *local = transaction->local;

    for (size_t i = 0; i < transaction->step_count; i++) {
        if (take_step(local, txn, &transaction->steps[i], err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < local->lane_count; i++) {
        int code = 0;

        if (transaction->lanes[i].topic != NULL) {
            code = append_lane(transaction, txn, &transaction->lanes[i]);
        }
        if (code != 0) {
            return local_fail(local, code, "publish", err);
        }
    }
    return 0;
}

/* Publishing stops where the size says so; the map's last pages are for removing. */
static int check_room(const struct local_transaction *transaction, struct ear_error *err)
{
    double full = 0;

    if (transaction->record_count == 0) {
        return 0;
    }
    if (local_measure(transaction->local, transaction->used, &full, err) != 0) {
        return -1;
    }
    return full < 1.0 ? 0 : local_fail(transaction->local, MDB_MAP_FULL, "publish", err);
}

static int commit_all(struct local_transaction *transaction, struct ear_error *err)
{
    struct local *local = transaction->local;
    MDB_txn *txn;

    if (check_room(transaction, err) != 0 || local_enter(local, 0, &txn, err) != 0) {
        return -1;
    }
    if (write_all(transaction, txn, err) != 0) {
        local_leave(local, txn);
        return -1;
    }
    if (TESTPOINT_FAILS("stream.before-commit")) {
        int reason = errno;

        local_leave(local, txn);
        return local_fail(local, reason, "publish", err);
    }
    if (local_commit(local, txn, "publish", err) != 0) {
        return -1;
    }
    TESTPOINT("stream.after-commit");
    local_members_wake(local->members);
    return 0;
}

int local_transaction_commit(struct stream_transaction *base, struct ear_error *err)
{
    struct local_transaction *transaction = (struct local_transaction *)base;
    int result = 0;

    if (transaction->record_count > 0 || transaction->step_count > 0) {
        result = commit_all(transaction, err);
    }
    for (size_t i = 0; i < transaction->step_count && result == 0; i++) {
        transaction->steps[i].lane->committed = transaction->steps[i].next;
    }
    local_abort(base);
    return result;
}
