/* SPDX-License-Identifier: Apache-2.0 */
#include "common/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The lock is an open file description's (F_OFD_SETLK), not flock: asking who holds it
 * (F_OFD_GETLK) then takes nothing, so that a question never stands in the way of a start. The file
 * is never removed: between removal and a new file two processes could hold "the" lock.
 */

struct lockfile {
    int file;
};

static struct flock whole_file(void)
{
    struct flock lock = {0};

    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

static bool lock_path(char *out, size_t size, const char *dir, const char *name)
{
    int length = snprintf(out, size, "%s/%s.lock", dir, name);

    return length > 0 && (size_t)length < size;
}

static int make_folders(const char *dir, struct ear_error *err)
{
    char path[4096];
    size_t length = strlen(dir);

    if (length >= sizeof path) {
        return ear_fail(err, EAR_CONFIG, "the path of the lock folder is too long: %.64s…", dir);
    }
    memcpy(path, dir, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        path[i] = '\0';
        if (mkdir(path, 0750) != 0 && errno != EEXIST) {
            return ear_fail(err, EAR_CONFIG, "cannot make the folder %s: %s", path,
                            strerrordesc_np(errno));
        }
        path[i] = i < length ? '/' : '\0';
    }
    return 0;
}

static pid_t written_pid(int file)
{
    char text[24] = {0};
    ssize_t got = pread(file, text, sizeof text - 1, 0);
    long pid = got > 0 ? strtol(text, NULL, 10) : 0;

    return pid > 0 ? (pid_t)pid : 0;
}

static int write_pid(int file)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(file, 0) != 0 || pwrite(file, text, (size_t)length, 0) != length) {
        return -1;
    }
    return 0;
}

static int fail_held(const char *path, int file, const char *name, struct ear_error *err)
{
    long pid = (long)written_pid(file);

    return ear_fail(err, EAR_RETRY,
                    "another process (pid %ld) is '%s' here and holds %s; let it finish or stop it "
                    "with: kill %ld",
                    pid, name, path, pid);
}

int lockfile_open(struct lockfile **out, const char *dir, const char *name, struct ear_error *err)
{
    char path[4096];
    int result = -1;
    struct flock lock = whole_file();
    struct lockfile *made = NULL;

    if (!lock_path(path, sizeof path, dir, name)) {
        return ear_fail(err, EAR_CONFIG, "the path of the lock '%s' is too long", name);
    }
    if (make_folders(dir, err) != 0) {
        return -1;
    }
    made = malloc(sizeof *made);
    if (made == NULL) {
        return ear_fail_memory(err, "a lock");
    }
    made->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (made->file < 0) {
        ear_fail(err, EAR_CONFIG, "cannot open the lock %s: %s; make its folder writable", path,
                 strerrordesc_np(errno));
        goto done;
    }
    if (fcntl(made->file, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            fail_held(path, made->file, name, err);
        } else {
            ear_fail(err, EAR_CONFIG, "cannot lock %s: %s; put the data on a local disk", path,
                     strerrordesc_np(errno));
        }
        goto done;
    }
    if (write_pid(made->file) != 0) {
        ear_fail(err, EAR_FATAL, "cannot write %s: %s", path, strerrordesc_np(errno));
        goto done;
    }
    *out = made;
    made = NULL;
    result = 0;

done:
    if (made != NULL && made->file >= 0) {
        close(made->file);
    }
    free(made);
    return result;
}

void lockfile_close(struct lockfile *lock)
{
    if (lock == NULL) {
        return;
    }
    if (ftruncate(lock->file, 0) != 0) {
        /* the pid stays written; nobody believes it without the lock */
    }
    close(lock->file);
    free(lock);
}

pid_t lockfile_holder(const char *dir, const char *name)
{
    bool fell = false;
    pid_t pid = lockfile_last(dir, name, &fell);

    return fell ? 0 : pid;
}

pid_t lockfile_last(const char *dir, const char *name, bool *fell)
{
    char path[4096];
    struct flock lock = whole_file();
    pid_t pid = 0;
    int file = -1;

    *fell = false;
    if (!lock_path(path, sizeof path, dir, name)) {
        return 0;
    }
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    if (fcntl(file, F_OFD_GETLK, &lock) == 0) {
        pid = written_pid(file);
        *fell = lock.l_type == F_UNLCK && pid > 0;
    }
    close(file);
    return pid;
}
