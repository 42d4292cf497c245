/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Compacting at once. In the tables first: from then on no door shows what was superseded. On the
 * disk its bytes lie in free pages until they are used again; a rewritten file has none of them.
 * The new file is synced before it takes the old one's name: a power cut leaves the one or the
 * other.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/stream/local_internal.h"
#include "common/testpoint.h"

static int64_t size_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

static int sync_folder(const char *path)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = file < 0 || fsync(file) != 0 ? errno : 0;

    if (file >= 0) {
        close(file);
    }
    return code;
}

static int copy_file(struct local *local, const char *copy)
{
    int file = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int code;

    if (file < 0) {
        return errno;
    }
    code = mdb_env_copyfd2(local->env, file, MDB_CP_COMPACT);
    if (code == 0 && (fsync(file) != 0 || TESTPOINT_FAILS("stream.compact-copied"))) {
        code = errno;
    }
    close(file);
    return code;
}

/* With the environment to ourselves, within the process and among processes. */
static int replace_file(struct local *local, const char *path, const char *copy,
                        struct ear_error *err)
{
    int code = copy_file(local, copy);
    int result = 0;

    if (code != 0) {
        unlink(copy);
        return local_fail(local, code, "rewrite it", err);
    }
    mdb_env_close(local->env);
    local->env = NULL;
    if (rename(copy, path) != 0) {
        code = errno;
        unlink(copy);
    } else {
        TESTPOINT("stream.compact-renamed");
        code = sync_folder(local->folder);
    }
    if (code != 0) {
        result = local_fail(local, code, "put the rewritten file in its place", err);
    }
    /* Open it again in any case: the old file is as good as it was. */
    if (result == 0) {
        return local_open_env(local, err);
    }
    return local_open_env(local, &(struct ear_error){0}) == 0 ? -1 : result;
}

static int rewrite(struct local *local, int64_t *freed_bytes, struct ear_error *err)
{
    char path[PATH_MAX];
    char copy[PATH_MAX];
    int64_t before;
    int result = -1;

    snprintf(path, sizeof path, "%s/data.mdb", local->folder);
    snprintf(copy, sizeof copy, "%s/data.mdb.new", local->folder);
    pthread_rwlock_wrlock(&local->env_lock);
    if (local_members_exclude(local->members, err) == 0) {
        before = size_of(path);
        if (local->env == NULL) {
            result = local_fail(local, MDB_PANIC, "rewrite it", err);
        } else {
            result = replace_file(local, path, copy, err);
        }
        *freed_bytes = before - size_of(path);
        local_members_readmit(local->members);
    }
    pthread_rwlock_unlock(&local->env_lock);
    return result;
}

int local_compact(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    int64_t freed = 0;

    if (local->read_only) {
        return ear_fail(err, EAR_FATAL, "the log %s is open for reading only", local->folder);
    }
    if (local_sweep_superseded(local, err) != 0 || (disk && rewrite(local, &freed, err) != 0)) {
        return -1;
    }
    if (freed_bytes != NULL) {
        *freed_bytes = freed;
    }
    return 0;
}
