/* SPDX-License-Identifier: Apache-2.0 */

/* The local log: errors, transactions, its small tables. How it works stands in local_internal.h.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/stream/local_internal.h"

enum { DISK_FULL_BYTES = 1024 * 1024 };

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

/* LMDB calls a write that stopped half-way EIO. On a full disk it is not the disk that is broken.
 */
static int reason_of(const struct local *local, int code)
{
    struct statvfs status;

    if (code == EIO && statvfs(local->folder, &status) == 0 &&
        status.f_bavail < DISK_FULL_BYTES / status.f_frsize) {
        return ENOSPC;
    }
    return code == EFBIG ? ENOSPC : code;
}

int local_commit(struct local *local, MDB_txn *txn, const char *doing, struct ear_error *err)
{
    int code = reason_of(local, mdb_txn_commit(txn));

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

int local_state_get(struct local *local, MDB_txn *txn, const struct local_topic *topic,
                    int partition, struct local_state *out)
{
    char bytes[LOCAL_PLACE_SIZE];
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
    char bytes[LOCAL_PLACE_SIZE];
    struct local_state copy = *state;
    MDB_val key = place_key(bytes, sizeof bytes, "p", topic->name, partition);
    MDB_val data = {sizeof copy, &copy};

    return mdb_put(txn, local->meta, &key, &data, 0);
}

int local_position_get(struct local *local, MDB_txn *txn, const char *group, const char *topic,
                       int partition, int64_t *out)
{
    char bytes[LOCAL_PLACE_SIZE];
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
    char bytes[LOCAL_PLACE_SIZE];
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

int local_partitions(struct stream *stream, const char *topic)
{
    const struct local_topic *found = local_find_topic((struct local *)stream, topic);

    return found == NULL ? 0 : found->count;
}
