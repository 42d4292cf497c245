/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keeping house: indexes what was published, removes what was superseded, what is too old and,
 * under pressure, what all have read. In slices: one write transaction each, bounded by steps and
 * by time, since nobody can publish meanwhile.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/stream/local_internal.h"
#include "common/testpoint.h"

enum {
    SLICE_STEPS = 32 * 1024,
    SLICE_US = 50 * 1000,
    TAIL_LONG = LOCAL_LUMP / 4 * 3,
    YIELD_PART = 64,      /* of the size: what yields in one slice, before looking how full it is */
    AGE_STEPS = 8 * 1024, /* messages that go by age from one partition in one slice */
    INDEX_WITHIN_US = 60 * 1000000, /* a tail older than that is indexed however short */
};

static const double pressure_above = 0.9;
static const double pressure_until = 0.85;

struct sweep {
    struct local *local;
    MDB_txn *txn;
    int64_t now_us;
    bool superseded_only; /* and all of it, whatever the lag and whoever has not read it */
    size_t steps;         /* left in this slice */
    int64_t until_mono_us;
    bool changed;
    bool more;
    int64_t yield_bytes;   /* left in this slice: what goes for want of room alone */
    uint64_t *read_by_all; /* [lane]: every known group of the topic has read what lies below */
    size_t *groups;        /* [lane]: how many groups know the topic */
    struct local_entry *entries; /* [AGE_STEPS]: what goes by age; made when first needed */
};

/* --- what the groups have read --- */

static void note_position(struct sweep *sweep, size_t lane, const MDB_val *data, size_t *seen)
{
    uint64_t position = 0;

    if (data->mv_size == sizeof position) {
        memcpy(&position, data->mv_data, sizeof position);
    }
    if (position < sweep->read_by_all[lane]) {
        sweep->read_by_all[lane] = position;
    }
    seen[lane]++;
}

/* A group that knows a topic but has no position on one of its partitions has read nothing there.
 */
static void note_missing(struct sweep *sweep, const size_t *seen)
{
    for (size_t lane = 0; lane < sweep->local->lane_count; lane++) {
        if (seen[lane] < sweep->groups[lane]) {
            sweep->read_by_all[lane] = 0;
        }
    }
}

static void note_group(struct sweep *sweep, const struct local_topic *topic)
{
    for (int i = 0; i < topic->count; i++) {
        sweep->groups[topic->first_lane + (size_t)i]++;
    }
}

/* The table is in order of group, then topic: each pair is met in one run. */
static int read_groups(struct sweep *sweep, size_t *seen)
{
    const struct local_topic *last_topic = NULL;
    const char *last_group = "";
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_open(sweep->txn, sweep->local->groups, &cursor);

    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
        const struct local_topic *topic;
        const char *group;
        const char *name;
        int partition;

        if (!local_group_key(&key, &group, &name, &partition)) {
            code = MDB_CORRUPTED;
            break;
        }
        topic = local_find_topic(sweep->local, name);
        if (topic == NULL || partition >= topic->count) {
            continue;
        }
        if (topic != last_topic || strcmp(group, last_group) != 0) {
            note_group(sweep, topic);
        }
        last_topic = topic;
        last_group = group;
        note_position(sweep, topic->first_lane + (size_t)partition, &data, seen);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

static int find_read_by_all(struct sweep *sweep)
{
    size_t count = sweep->local->lane_count;
    size_t *seen = calloc(count + 1, sizeof *seen);
    int code = ENOMEM;

    sweep->read_by_all = calloc(count + 1, sizeof *sweep->read_by_all);
    sweep->groups = calloc(count + 1, sizeof *sweep->groups);
    if (seen != NULL && sweep->read_by_all != NULL && sweep->groups != NULL) {
        for (size_t lane = 0; lane < count; lane++) {
            sweep->read_by_all[lane] = UINT64_MAX;
        }
        code = read_groups(sweep, seen);
        note_missing(sweep, seen);
    }
    free(seen);
    return code;
}

/* --- one partition --- */

struct plot {
    struct local_topic *topic;
    int partition;
    struct local_partition *tables;
    uint64_t read_by_all;
    size_t groups;
    struct local_state state;
    bool changed; /* state has to be put */
};

static bool out_of_time(struct sweep *sweep)
{
    if (sweep->steps > 0 && (sweep->superseded_only || clock_mono_us() < sweep->until_mono_us)) {
        return false;
    }
    sweep->more = true;
    return true;
}

static void count_step(struct sweep *sweep)
{
    sweep->changed = true;
    sweep->steps -= sweep->steps > 0;
}

/* Is it time to index the tail? Not for each message by itself: a lump costs little more. */
static int tail_is_due(struct sweep *sweep, const struct plot *plot, bool *out)
{
    uint64_t tail = plot->state.next - plot->state.indexed;
    int64_t wait_us = sweep->local->compact_lag_us;
    uint64_t offset = plot->state.indexed;
    MDB_val key = local_offset_key(&offset);
    struct stream_message first;
    MDB_cursor *cursor;
    MDB_val data;
    int code;

    *out = tail > 0 && (sweep->superseded_only || tail >= TAIL_LONG ||
                        (plot->topic->yields && sweep->local->under_pressure));
    if (tail == 0 || *out) {
        return 0;
    }
    if (plot->topic->retention_us > 0 && plot->topic->retention_us < wait_us) {
        wait_us = plot->topic->retention_us;
    }
    wait_us = wait_us < INDEX_WITHIN_US ? wait_us : INDEX_WITHIN_US;
    code = mdb_cursor_open(sweep->txn, plot->tables->messages, &cursor);
    if (code != 0) {
        return code;
    }
    code = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    if (code == 0 && local_decode(&first, plot->topic, plot->partition, offset, &data)) {
        *out = first.at_us <= sweep->now_us - wait_us;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

static int index_tail(struct sweep *sweep, struct plot *plot)
{
    bool due = false;
    int code = tail_is_due(sweep, plot, &due);

    while (code == 0 && due && plot->state.indexed < plot->state.next) {
        uint64_t before = plot->state.indexed;

        if (out_of_time(sweep)) {
            break;
        }
        code = local_index(sweep->txn, plot->topic, plot->partition, &plot->state, LOCAL_LUMP);
        plot->changed = sweep->changed = true;
        before = plot->state.indexed - before;
        sweep->steps -= before < sweep->steps ? (size_t)before : sweep->steps;
    }
    return code;
}

/* --- superseded messages and tombstones --- */

static int remove_message(struct sweep *sweep, const struct plot *plot, uint64_t offset)
{
    MDB_val key = local_offset_key(&offset);
    int code = mdb_del(sweep->txn, plot->tables->messages, &key, NULL);

    return code == MDB_NOTFOUND ? 0 : code;
}

/* The tombstone itself goes, and its key leaves the index if nothing newer stands there. */
static int remove_tombstone(struct sweep *sweep, const struct plot *plot, uint64_t offset)
{
    struct stream_message message;
    struct local_entry entry = {.offset = offset};
    int code = local_message_get(sweep->txn, plot->topic, plot->partition, offset, &message);

    if (code != 0) {
        return code == MDB_NOTFOUND ? 0 : code;
    }
    entry.hash = local_hash(&message);
    code = local_unindex(sweep->txn, plot->topic, plot->partition, &entry, 1);
    return code == 0 ? remove_message(sweep, plot, offset) : code;
}

/* Deals with one mark. *keep: it has still to be there for the tombstone's sake. */
static int settle(struct sweep *sweep, const struct plot *plot, uint64_t offset,
                  struct local_superseded *what, bool *keep)
{
    int code = 0;

    if (what->old != LOCAL_NO_OFFSET) {
        code = remove_message(sweep, plot, what->old);
        what->old = LOCAL_NO_OFFSET;
        count_step(sweep);
    }
    *keep = what->tombstone != 0 && offset >= plot->read_by_all;
    if (code == 0 && what->tombstone != 0 && !*keep) {
        code = remove_tombstone(sweep, plot, offset);
        count_step(sweep);
    }
    return code;
}

/* May it go? In the order of the marks, so the first that may not ends the matter. */
static bool is_due(const struct sweep *sweep, const struct plot *plot, uint64_t offset,
                   const struct local_superseded *what)
{
    return sweep->superseded_only || (offset < plot->read_by_all &&
                                      what->at_us <= sweep->now_us - sweep->local->compact_lag_us);
}

static int settle_marks(struct sweep *sweep, struct plot *plot, MDB_cursor *cursor)
{
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_get(cursor, &key, &data, MDB_FIRST);

    while (code == 0) {
        struct local_superseded what;
        uint64_t offset = local_offset_of(&key);
        bool had_old;
        bool keep;

        if (data.mv_size != sizeof what) {
            return MDB_CORRUPTED;
        }
        memcpy(&what, data.mv_data, sizeof what);
        if (!is_due(sweep, plot, offset, &what) || out_of_time(sweep)) {
            break;
        }
        had_old = what.old != LOCAL_NO_OFFSET;
        code = settle(sweep, plot, offset, &what, &keep);
        if (code == 0 && !keep) {
            count_step(sweep);
            code = mdb_cursor_del(cursor, 0);
        } else if (code == 0 && had_old) {
            key = local_offset_key(&offset);
            data = (MDB_val){sizeof what, &what};
            code = mdb_cursor_put(cursor, &key, &data, MDB_CURRENT);
        }
        code = code == 0 ? mdb_cursor_get(cursor, &key, &data, MDB_NEXT) : code;
    }
    return code == MDB_NOTFOUND ? 0 : code;
}

static int sweep_superseded(struct sweep *sweep, struct plot *plot)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(sweep->txn, plot->tables->superseded, &cursor);

    if (code == 0) {
        code = settle_marks(sweep, plot, cursor);
        mdb_cursor_close(cursor);
    }
    return code;
}

/* --- age and size --- */

/* What is gone itself needs no mark any more. */
static int drop_marks_below(struct sweep *sweep, const struct plot *plot)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_open(sweep->txn, plot->tables->superseded, &cursor);

    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &data, MDB_FIRST)) == 0 &&
           local_offset_of(&key) < plot->state.floor) {
        code = mdb_cursor_del(cursor, 0);
        if (code != 0) {
            break;
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Notes a message that goes: its key has to leave the index. */
static int note_gone(struct sweep *sweep, const struct plot *plot,
                     const struct stream_message *message, size_t count)
{
    if (sweep->entries == NULL) {
        sweep->entries = malloc(AGE_STEPS * sizeof *sweep->entries);
    }
    if (sweep->entries == NULL) {
        return ENOMEM;
    }
    sweep->entries[count].offset = (uint64_t)message->offset;
    if (plot->topic->compact) {
        sweep->entries[count].hash = local_hash(message);
    }
    return 0;
}

/* How far the front may go. */
struct front {
    uint64_t limit;    /* offset */
    int64_t latest_us; /* published at or before: goes by age */
    bool yields;       /* later ones too, while sweep.yield_bytes last */
};

/* May it go? Counts what yields. */
static bool may_go(struct sweep *sweep, const struct front *front,
                   const struct stream_message *message)
{
    if ((uint64_t)message->offset >= front->limit) {
        return false;
    }
    if (message->at_us <= front->latest_us) {
        return true;
    }
    if (!front->yields) {
        return false;
    }
    sweep->yield_bytes -= (int64_t)(message->key_length + message->value_length);
    return sweep->yield_bytes > 0;
}

static int remove_front(struct sweep *sweep, struct plot *plot, const struct front *front,
                        size_t *count)
{
    struct stream_message message;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_open(sweep->txn, plot->tables->messages, &cursor);

    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &data, MDB_FIRST)) == 0) {
        if (!local_decode(&message, plot->topic, plot->partition, local_offset_of(&key), &data)) {
            code = MDB_CORRUPTED;
            break;
        }
        if (!may_go(sweep, front, &message)) {
            break;
        }
        if (*count == AGE_STEPS || (*count % 64 == 0 && out_of_time(sweep))) {
            sweep->more = true;
            break;
        }
        plot->state.floor = (uint64_t)message.offset + 1;
        code = note_gone(sweep, plot, &message, (*count)++);
        code = code == 0 ? mdb_cursor_del(cursor, 0) : code;
        if (code != 0) {
            break;
        }
        count_step(sweep);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

static int sweep_old(struct sweep *sweep, struct plot *plot)
{
    struct front front = {
        .limit = plot->read_by_all,
        .latest_us =
            plot->topic->retention_us > 0 ? sweep->now_us - plot->topic->retention_us : INT64_MIN,
        .yields = plot->topic->yields && sweep->local->under_pressure && plot->groups > 0 &&
                  sweep->yield_bytes > 0,
    };
    size_t count = 0;
    int code;

    if (!front.yields && front.latest_us == INT64_MIN) {
        return 0;
    }
    if (plot->topic->compact && plot->state.indexed < front.limit) {
        front.limit = plot->state.indexed;
    }
    code = remove_front(sweep, plot, &front, &count);
    if (code != 0 || count == 0) {
        return code;
    }
    plot->changed = true;
    if (plot->topic->compact) {
        code = local_unindex(sweep->txn, plot->topic, plot->partition, sweep->entries, count);
        code = code == 0 ? drop_marks_below(sweep, plot) : code;
    }
    if (front.yields) { /* the next slice looks again how full it is, and lets another one yield */
        sweep->more = true;
        sweep->local->maintain_first =
            (plot->topic->first_lane + (size_t)plot->partition + 1) % sweep->local->lane_count;
    }
    return code;
}

/* --- a slice --- */

static int sweep_partition(struct sweep *sweep, struct plot *plot)
{
    struct local *local = sweep->local;
    int code = local_state_get(local, sweep->txn, plot->topic, plot->partition, &plot->state);

    if (code == 0 && plot->topic->compact) {
        code = index_tail(sweep, plot);
        code = code == 0 ? sweep_superseded(sweep, plot) : code;
    }
    if (code == 0 && !sweep->superseded_only) {
        code = sweep_old(sweep, plot);
    }
    if (code == 0 && plot->changed) {
        code = local_state_put(local, sweep->txn, plot->topic, plot->partition, &plot->state);
    }
    return code;
}

static struct plot plot_of(const struct sweep *sweep, size_t lane)
{
    const struct local *local = sweep->local;
    size_t i = 0;
    struct plot plot;

    while (i + 1 < local->topic_count && local->topics[i + 1].first_lane <= lane) {
        i++;
    }
    plot = (struct plot){.topic = &local->topics[i],
                         .partition = (int)(lane - local->topics[i].first_lane),
                         .read_by_all = sweep->read_by_all[lane],
                         .groups = sweep->groups[lane]};
    plot.tables = &plot.topic->partitions[plot.partition];
    return plot;
}

/* All partitions, beginning where the last slice had to stop. */
static int sweep_all(struct sweep *sweep)
{
    struct local *local = sweep->local;
    size_t first = local->maintain_first;
    int code = find_read_by_all(sweep);

    for (size_t i = 0; i < local->lane_count && code == 0; i++) {
        size_t lane = (first + i) % local->lane_count;
        struct plot plot = plot_of(sweep, lane);

        if (sweep->steps == 0 ||
            (!sweep->superseded_only && clock_mono_us() >= sweep->until_mono_us)) {
            local->maintain_first = lane;
            sweep->more = true;
            break;
        }
        code = sweep_partition(sweep, &plot);
    }
    return code;
}

static int watch_pressure(struct local *local, struct ear_error *err)
{
    double full = 0;

    if (local_measure(local, 0, &full, err) != 0) {
        return -1;
    }
    if (full > pressure_above) {
        local->under_pressure = true;
    } else if (full < pressure_until) {
        local->under_pressure = false;
    }
    return 0;
}

/* One slice in one transaction. */
static int sweep_slice(struct sweep *sweep, struct ear_error *err)
{
    struct local *local = sweep->local;
    int code;

    sweep->steps = SLICE_STEPS;
    sweep->until_mono_us = clock_mono_us() + SLICE_US;
    sweep->changed = sweep->more = false;
    sweep->yield_bytes = local->size_bytes / YIELD_PART;
    if (watch_pressure(local, err) != 0 || local_enter(local, 0, &sweep->txn, err) != 0) {
        return -1;
    }
    code = sweep_all(sweep);
    free(sweep->read_by_all);
    free(sweep->groups);
    free(sweep->entries);
    sweep->entries = NULL;
    if (code == 0 && sweep->changed && TESTPOINT_FAILS("stream.maintain")) {
        code = errno;
    }
    if (code != 0 || !sweep->changed) {
        local_leave(local, sweep->txn);
        return code == 0 ? 0 : local_fail(local, code, "keep house", err);
    }
    if (local_commit(local, sweep->txn, "keep house", err) != 0) {
        return -1;
    }
    local_measure_anew(local);
    return 0;
}

int local_maintain(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct sweep sweep = {.local = local, .now_us = now_us};
    int stale;

    *more = false;
    if (local->read_only) {
        return 0;
    }
    pthread_rwlock_rdlock(&local->env_lock);
    if (local->env != NULL) {
        mdb_reader_check(local->env, &stale);
    }
    pthread_rwlock_unlock(&local->env_lock);
    if (sweep_slice(&sweep, err) != 0) {
        return -1;
    }
    *more = sweep.more;
    return 0;
}

int local_sweep_superseded(struct local *local, struct ear_error *err)
{
    struct sweep sweep = {.local = local, .superseded_only = true};

    do {
        if (sweep_slice(&sweep, err) != 0) {
            return -1;
        }
    } while (sweep.more);
    return 0;
}
