/* SPDX-License-Identifier: Apache-2.0 */

/* Opening and closing the local log. How it works stands in local_internal.h. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/stream/local_internal.h"

enum { READERS_MAX = 512, FILE_MODE = 0640, FOLDER_MODE = 0750 };

static int open_table(MDB_txn *txn, MDB_dbi *out, char kind, const struct local_topic *topic,
                      int partition, unsigned flags)
{
    char name[LOCAL_NAME_MAX + 16];
    int code;

    snprintf(name, sizeof name, "%c/%s/%d", kind, topic->name, partition);
    code = mdb_dbi_open(txn, name, flags, out);
    if (code == MDB_NOTFOUND) {
        *out = 0;
        return 0;
    }
    return code;
}

/* A topic that is no longer compacted loses its index: nobody would keep it true. */
static int drop_index(struct local *local, MDB_txn *txn, struct local_topic *topic, int partition)
{
    struct local_partition *part = &topic->partitions[partition];
    struct local_state state;
    int code;

    if (part->index == 0) {
        return 0;
    }
    code = mdb_drop(txn, part->index, 0);
    code = code == 0 && part->superseded != 0 ? mdb_drop(txn, part->superseded, 0) : code;
    code = code == 0 ? local_state_get(local, txn, topic, partition, &state) : code;
    if (code == 0 && state.indexed != 0) {
        state.indexed = 0;
        code = local_state_put(local, txn, topic, partition, &state);
    }
    return code;
}

static int open_partition(struct local *local, MDB_txn *txn, struct local_topic *topic,
                          int partition)
{
    struct local_partition *part = &topic->partitions[partition];
    unsigned make = local->read_only ? 0 : MDB_CREATE;
    unsigned make_index = topic->compact ? make : 0;
    int code = open_table(txn, &part->messages, 'm', topic, partition, make | MDB_INTEGERKEY);

    code = code == 0 ? open_table(txn, &part->index, 'i', topic, partition, make_index) : code;
    code = code == 0 ? open_table(txn, &part->superseded, 's', topic, partition,
                                  make_index | MDB_INTEGERKEY)
                     : code;
    if (code == 0 && !topic->compact && !local->read_only) {
        code = drop_index(local, txn, topic, partition);
    }
    return code;
}

/* Compares how many partitions the log has of a topic; notes it where the topic is new. */
static int check_topic(struct local *local, MDB_txn *txn, struct local_topic *topic,
                       struct ear_error *err)
{
    char bytes[LOCAL_PLACE_SIZE];
    int length = snprintf(bytes, sizeof bytes, "t%c%s", 0, topic->name);
    uint32_t count = (uint32_t)topic->count;
    MDB_val key = {(size_t)length, bytes};
    MDB_val data;
    int code = mdb_get(txn, local->meta, &key, &data);

    if (code == 0 && data.mv_size == sizeof count) {
        memcpy(&count, data.mv_data, sizeof count);
        if (count != (uint32_t)topic->count) {
            return ear_fail(err, EAR_CONFIG,
                            "the log %s has topic '%s' with %u partitions, not %d; their number "
                            "never changes: write %u, or give the log another path",
                            local->folder, topic->name, count, topic->count, count);
        }
    } else if (code == MDB_NOTFOUND && !local->read_only) {
        data = (MDB_val){sizeof count, &count};
        code = mdb_put(txn, local->meta, &key, &data, 0);
    }
    return code == 0 || code == MDB_NOTFOUND ? 0 : local_fail(local, code, "read its topics", err);
}

static int check_format(struct local *local, MDB_txn *txn, struct ear_error *err)
{
    char name[] = "format";
    uint32_t format = LOCAL_FORMAT;
    MDB_val key = {sizeof name - 1, name};
    MDB_val data;
    int code = mdb_get(txn, local->meta, &key, &data);

    if (code == 0 && data.mv_size == sizeof format) {
        memcpy(&format, data.mv_data, sizeof format);
        if (format != LOCAL_FORMAT) {
            return ear_fail(err, EAR_FATAL,
                            "the log %s has format %u and this program knows %d only: it was "
                            "written by a newer one; run that",
                            local->folder, format, LOCAL_FORMAT);
        }
        return 0;
    }
    if (code == MDB_NOTFOUND) {
        data = (MDB_val){sizeof format, &format};
        code = mdb_put(txn, local->meta, &key, &data, 0);
    }
    return code == 0 ? 0 : local_fail(local, code, "read its format", err);
}

static int no_log_yet(const struct local *local, struct ear_error *err)
{
    if (local->missing != NULL) {
        *local->missing = true;
    }
    return ear_fail(err, EAR_RETRY, "there is no log in %s yet; earshot run makes it",
                    local->folder);
}

static int open_tables(struct local *local, MDB_txn *txn, struct ear_error *err)
{
    unsigned make = local->read_only ? 0 : MDB_CREATE;
    int code = mdb_dbi_open(txn, "meta", make, &local->meta);

    code = code == 0 ? mdb_dbi_open(txn, "groups", make, &local->groups) : code;
    if (code == MDB_NOTFOUND) {
        return no_log_yet(local, err);
    }
    if (code != 0) {
        return local_fail(local, code, "open its tables", err);
    }
    if (check_format(local, txn, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < local->topic_count; i++) {
        struct local_topic *topic = &local->topics[i];

        if (check_topic(local, txn, topic, err) != 0) {
            return -1;
        }
        for (int partition = 0; partition < topic->count; partition++) {
            code = open_partition(local, txn, topic, partition);
            if (code != 0) {
                return local_fail(local, code, "open its topics", err);
            }
        }
    }
    return 0;
}

/* A little more than what may be filled: removing needs pages too. */
static size_t map_size(const struct local *local)
{
    size_t size = (size_t)local->size_bytes;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    size += size / 32 + 1024 * page;
    return size / page * page;
}

static int create_env(struct local *local)
{
    int code = mdb_env_create(&local->env);

    code = code == 0 ? mdb_env_set_mapsize(local->env, map_size(local)) : code;
    code = code == 0 ? mdb_env_set_maxreaders(local->env, READERS_MAX) : code;
    code = code == 0 ? mdb_env_set_maxdbs(local->env, (MDB_dbi)(2 + 3 * local->lane_count)) : code;
    return code;
}

int local_open_env(struct local *local, struct ear_error *err)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (local->read_only ? MDB_RDONLY : 0);
    MDB_txn *txn = NULL;
    char path[4096];
    int stale;
    int code;

    snprintf(path, sizeof path, "%s/data.mdb", local->folder);
    code = create_env(local);
    code = code == 0 ? mdb_env_open(local->env, path, flags, FILE_MODE) : code;
    code = code == 0 ? mdb_reader_check(local->env, &stale) : code;
    code = code == 0 ? mdb_txn_begin(local->env, NULL, flags & MDB_RDONLY, &txn) : code;
    if (code == ENOENT && local->read_only) {
        no_log_yet(local, err);
        goto failed;
    }
    if (code != 0) {
        local_fail(local, code, "open it", err);
        goto failed;
    }
    if (open_tables(local, txn, err) != 0) {
        goto failed;
    }
    code = mdb_txn_commit(txn);
    txn = NULL;
    if (code != 0) {
        local_fail(local, code, "make its tables", err);
        goto failed;
    }
    return 0;

failed:
    mdb_txn_abort(txn);
    mdb_env_close(local->env);
    local->env = NULL;
    return -1;
}

static int copy_topic(struct local *local, struct local_topic *out,
                      const struct stream_topic *topic, struct ear_error *err)
{
    if (strlen(topic->name) >= LOCAL_NAME_MAX || topic->partitions < 1 ||
        topic->partitions > STREAM_PARTITIONS_MAX) {
        return ear_fail(err, EAR_CONFIG,
                        "topic '%.*s' with %d partitions: a name has up to %d bytes, a topic 1 to "
                        "%d partitions",
                        LOCAL_NAME_MAX, topic->name, topic->partitions, LOCAL_NAME_MAX - 1,
                        STREAM_PARTITIONS_MAX);
    }
    out->name = strdup(topic->name);
    out->partitions = calloc((size_t)topic->partitions, sizeof *out->partitions);
    if (out->name == NULL || out->partitions == NULL) {
        return ear_fail_memory(err, "the topics of the log");
    }
    out->count = topic->partitions;
    out->compact = topic->compact;
    out->yields = topic->yields;
    out->by_prefix = topic->by_prefix;
    out->retention_us = topic->retention_us;
    out->first_lane = local->lane_count;
    local->lane_count += (size_t)topic->partitions;
    return 0;
}

static int copy_config(struct local *local, const struct stream_config *config,
                       struct ear_error *err)
{
    local->folder = strdup(config->url + strlen(stream_local.scheme));
    local->topics = calloc(config->topic_count + 1, sizeof *local->topics);
    if (local->folder == NULL || local->topics == NULL) {
        return ear_fail_memory(err, "the log");
    }
    if (*local->folder == '\0') {
        return ear_fail(err, EAR_CONFIG, "stream.url '%s' has no path; write local:PATH",
                        config->url);
    }
    local->size_bytes = config->size_bytes;
    local->compact_lag_us = config->compact_lag_us;
    local->read_only = config->read_only;
    local->missing = config->missing;
    for (size_t i = 0; i < config->topic_count; i++) {
        local->topic_count++;
        if (copy_topic(local, &local->topics[i], &config->topics[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Makes the folder, or says that there is no log in it. */
static int find_folder(const struct local *local, struct ear_error *err)
{
    char path[4096];

    if (local->read_only) {
        snprintf(path, sizeof path, "%s/data.mdb", local->folder);
        return access(path, F_OK) == 0 ? 0 : no_log_yet(local, err);
    }
    if (mkdir(local->folder, FOLDER_MODE) != 0 && errno != EEXIST) {
        return ear_fail(err, EAR_CONFIG, "cannot make the folder of the log %s: %s", local->folder,
                        strerrordesc_np(errno));
    }
    return 0;
}

static void init_locks(struct local *local)
{
    pthread_rwlockattr_t attributes;

    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&local->env_lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    pthread_mutex_init(&local->tail_lock, NULL);
    pthread_mutex_init(&local->fullness_lock, NULL);
}

static void local_close(struct stream *stream)
{
    struct local *local = (struct local *)stream;

    if (local->env != NULL) {
        mdb_env_close(local->env);
    }
    local_members_leave(local->members);
    for (size_t i = 0; i < local->topic_count; i++) {
        struct local_topic *topic = &local->topics[i];

        for (int partition = 0; partition < topic->count; partition++) {
            local_tail_clear(&topic->partitions[partition].tail);
        }
        free(topic->partitions);
        free(topic->name);
    }
    free(local->topics);
    free(local->folder);
    pthread_rwlock_destroy(&local->env_lock);
    pthread_mutex_destroy(&local->tail_lock);
    pthread_mutex_destroy(&local->fullness_lock);
    free(local);
}

/*
 * A topic that is compacted from now on has a tail of all it holds: indexed here, a lump at a time,
 * so that tails stay short.
 */
static int catch_up_partition(struct local *local, struct local_topic *topic, int partition,
                              struct ear_error *err)
{
    struct local_state state = {.next = LOCAL_LUMP + 1};

    while (state.next - state.indexed > LOCAL_LUMP) {
        MDB_txn *txn;
        int code;

        if (local_enter(local, 0, &txn, err) != 0) {
            return -1;
        }
        code = local_state_get(local, txn, topic, partition, &state);
        if (code == 0 && state.next - state.indexed > LOCAL_LUMP) {
            code = local_index(txn, topic, partition, &state, LOCAL_LUMP);
            code = code == 0 ? local_state_put(local, txn, topic, partition, &state) : code;
        }
        if (code != 0) {
            local_leave(local, txn);
            return local_fail(local, code, "index it", err);
        }
        if (local_commit(local, txn, "index it", err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int catch_up(struct local *local, struct ear_error *err)
{
    for (size_t i = 0; i < local->topic_count && !local->read_only; i++) {
        struct local_topic *topic = &local->topics[i];

        for (int partition = 0; topic->compact && partition < topic->count; partition++) {
            if (catch_up_partition(local, topic, partition, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int local_open(struct stream **out, const struct stream_config *config,
                      struct ear_error *err)
{
    struct local *local = calloc(1, sizeof *local);

    if (local == NULL) {
        return ear_fail_memory(err, "the log");
    }
    local->base.backend = &stream_local;
    init_locks(local);
    if (copy_config(local, config, err) != 0 || find_folder(local, err) != 0 ||
        local_members_join(&local->members, local->folder, err) != 0 ||
        local_open_env(local, err) != 0 || catch_up(local, err) != 0) {
        local_close(&local->base);
        return -1;
    }
    *out = &local->base;
    return 0;
}

const struct stream_backend stream_local = {
    .scheme = "local:",
    .open = local_open,
    .close = local_close,
    .subscribe = local_subscribe,
    .follow = local_follow,
    .reader_close = local_reader_close,
    .seek = local_seek,
    .read = local_read,
    .rewind = local_rewind,
    .position = local_position,
    .is_ahead = local_is_ahead,
    .share_open = local_share_open,
    .share_close = local_share_close,
    .share_turn = local_share_turn,
    .share_owns = local_share_owns,
    .share_settling = local_share_settling,
    .share_guard = local_share_guard,
    .begin = local_begin,
    .publish = local_publish,
    .move = local_move,
    .commit = local_transaction_commit,
    .abort = local_abort,
    .lookup = local_lookup,
    .each_latest = local_each_latest,
    .partitions = local_partitions,
    .span = local_span,
    .group_position = local_group_position,
    .each_group = local_each_group,
    .forget_group = local_forget_group,
    .fetch = local_fetch,
    .fullness = local_fullness,
    .maintain = local_maintain,
    .compact = local_compact,
};
