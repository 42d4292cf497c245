/* SPDX-License-Identifier: Apache-2.0 */

/* The local log: opening, its tables, its transactions. How it works stands in local_internal.h. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/stream/local_internal.h"

enum { READERS_MAX = 512, FILE_MODE = 0640, FOLDER_MODE = 0750 };

/* --- errors --- */

static enum ear_error_kind kind_of(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EAGAIN:
    case EINTR:
    case MDB_MAP_FULL:
    case MDB_READERS_FULL:
        return EAR_RETRY;
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR:
    case MDB_MAP_RESIZED:
        return EAR_CONFIG;
    default:
        return EAR_FATAL;
    }
}

static const char *advice_of(int code)
{
    switch (code) {
    case MDB_MAP_FULL:
        return "; it is full: let processors and sinks catch up, or raise stream.size";
    case ENOSPC:
    case EDQUOT:
        return "; make room on the disk";
    case MDB_MAP_RESIZED:
        return "; another process opened it with a larger stream.size: restart this one";
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        return "; the file is broken or of another version: restore it from the backup";
    default:
        return "";
    }
}

int local_fail(const struct local *local, int code, const char *doing, struct ear_error *err)
{
    char buffer[128];
    const char *text = code > 0 ? strerrordesc_np(code) : mdb_strerror(code);

    if (text == NULL) {
        snprintf(buffer, sizeof buffer, "error %d", code);
        text = buffer;
    }
    return ear_fail(err, kind_of(code), "the log %s: cannot %s: %s%s", local->folder, doing, text,
                    advice_of(code));
}

/* --- transactions --- */

int local_enter(struct local *local, unsigned flags, MDB_txn **out, struct ear_error *err)
{
    int code;

    pthread_rwlock_rdlock(&local->env_lock);
    code = local->env == NULL ? MDB_PANIC : mdb_txn_begin(local->env, NULL, flags, out);
    if (code != 0) {
        pthread_rwlock_unlock(&local->env_lock);
        return local_fail(local, code, "begin a transaction", err);
    }
    return 0;
}

void local_leave(struct local *local, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&local->env_lock);
}

int local_commit(struct local *local, MDB_txn *txn, const char *doing, struct ear_error *err)
{
    int code = mdb_txn_commit(txn);

    pthread_rwlock_unlock(&local->env_lock);
    return code == 0 ? 0 : local_fail(local, code, doing, err);
}

/* --- small tables --- */

/* Writes first "\0" second "\0" partition; returns the key. */
static MDB_val place_key(char *out, size_t size, const char *first, const char *second,
                         int partition)
{
    int length = snprintf(out, size, "%s%c%s%c%c", first, 0, second, 0, partition);

    return (MDB_val){(size_t)length, out};
}

enum { PLACE_SIZE = 2 * LOCAL_NAME_MAX + 8 };

int local_state_get(struct local *local, MDB_txn *txn, const struct local_topic *topic,
                    int partition, struct local_state *out)
{
    char bytes[PLACE_SIZE];
    MDB_val key = place_key(bytes, sizeof bytes, "p", topic->name, partition);
    MDB_val data;
    int code;

    memset(out, 0, sizeof *out);
    if (topic->partitions[partition].messages == 0) {
        return 0;
    }
    code = mdb_get(txn, local->meta, &key, &data);
    if (code == 0 && data.mv_size != sizeof *out) {
        return MDB_CORRUPTED;
    }
    if (code == 0) {
        memcpy(out, data.mv_data, sizeof *out);
    }
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_state_put(struct local *local, MDB_txn *txn, const struct local_topic *topic,
                    int partition, const struct local_state *state)
{
    char bytes[PLACE_SIZE];
    struct local_state copy = *state;
    MDB_val key = place_key(bytes, sizeof bytes, "p", topic->name, partition);
    MDB_val data = {sizeof copy, &copy};

    return mdb_put(txn, local->meta, &key, &data, 0);
}

int local_position_get(struct local *local, MDB_txn *txn, const char *group, const char *topic,
                       int partition, int64_t *out)
{
    char bytes[PLACE_SIZE];
    MDB_val key = place_key(bytes, sizeof bytes, group, topic, partition);
    MDB_val data;
    int code = mdb_get(txn, local->groups, &key, &data);

    *out = -1;
    if (code == 0 && data.mv_size != sizeof *out) {
        return MDB_CORRUPTED;
    }
    if (code == 0) {
        memcpy(out, data.mv_data, sizeof *out);
    }
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_position_put(struct local *local, MDB_txn *txn, const char *group, const char *topic,
                       int partition, int64_t position)
{
    char bytes[PLACE_SIZE];
    MDB_val key = place_key(bytes, sizeof bytes, group, topic, partition);
    MDB_val data = {sizeof position, &position};

    return mdb_put(txn, local->groups, &key, &data, 0);
}

/* --- messages --- */

bool local_decode(struct stream_message *out, const struct local_topic *topic, int partition,
                  uint64_t offset, const MDB_val *data)
{
    struct local_header header;
    const char *bytes = data->mv_data;

    if (data->mv_size < sizeof header) {
        return false;
    }
    memcpy(&header, bytes, sizeof header);
    if (data->mv_size - sizeof header < header.key_length) {
        return false;
    }
    bytes += sizeof header;
    *out = (struct stream_message){
        .topic = topic->name,
        .partition = partition,
        .offset = (int64_t)offset,
        .at_us = header.at_us,
        .key = bytes,
        .key_length = header.key_length,
        .value = header.tombstone != 0 ? NULL : bytes + header.key_length,
        .value_length = data->mv_size - sizeof header - header.key_length,
    };
    return true;
}

int local_message_get(MDB_txn *txn, const struct local_topic *topic, int partition, uint64_t offset,
                      struct stream_message *out)
{
    MDB_val key = local_offset_key(&offset);
    MDB_val data;
    int code = mdb_get(txn, topic->partitions[partition].messages, &key, &data);

    if (code != 0) {
        return code;
    }
    return local_decode(out, topic, partition, offset, &data) ? 0 : MDB_CORRUPTED;
}

/* --- topics --- */

struct local_topic *local_find_topic(const struct local *local, const char *name)
{
    for (size_t i = 0; i < local->topic_count; i++) {
        if (strcmp(local->topics[i].name, name) == 0) {
            return &local->topics[i];
        }
    }
    return NULL;
}

int local_topic_named(struct local_topic **out, const struct local *local, const char *name,
                      struct ear_error *err)
{
    *out = local_find_topic(local, name);
    if (*out == NULL) {
        return ear_fail(err, EAR_CONFIG, "the log %s has no topic '%s'", local->folder, name);
    }
    return 0;
}

int local_check_partition(const struct local_topic *topic, int partition, struct ear_error *err)
{
    if (partition < 0 || partition >= topic->count) {
        return ear_fail(err, EAR_CONFIG, "topic '%s' has no partition %d, only 0 to %d",
                        topic->name, partition, topic->count - 1);
    }
    return 0;
}

static int local_partitions(struct stream *stream, const char *topic)
{
    const struct local_topic *found = local_find_topic((struct local *)stream, topic);

    return found == NULL ? 0 : found->count;
}

/* --- opening --- */

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
    char bytes[PLACE_SIZE];
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
        local_open_env(local, err) != 0) {
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
    .fetch = local_fetch,
    .fullness = local_fullness,
    .maintain = local_maintain,
    .compact = local_compact,
};
