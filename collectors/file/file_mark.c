/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a file is known again: by its inode, its first bytes, and the bytes before where it was read
 * to. All of that as it was and longer: it has grown. As long as it was but touched: somebody may
 * have mended a row in place, so it is read again.
 */
#include "collectors/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t SETTLED_US = INT64_C(2000000);

void mark_reset(struct file_mark *mark)
{
    char *path = mark->path;
    bool present = mark->present;

    *mark = (struct file_mark){.path = path, .present = present, .line = 1, .tail_offset = -1};
}

static int64_t time_us(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000 + time->tv_nsec / 1000;
}

/* When the file changed. One that was given up may become readable by a change of its mode, which
 * its own time does not tell. */
static int64_t change_us(const struct file_mark *mark, const struct stat *status)
{
    return time_us(mark->head_length < 0 ? &status->st_ctim : &status->st_mtim);
}

/* A hash of `length` bytes at `offset`; false: they are not there. */
static bool hash_part(struct hash128 *out, int fd, int64_t offset, int64_t length)
{
    char bytes[FILE_MARK_MAX];
    size_t got = 0;

    while (got < (size_t)length) {
        ssize_t now = pread(fd, bytes + got, (size_t)length - got, offset + (off_t)got);

        if (now == 0 || (now < 0 && errno != EINTR)) {
            return false;
        }
        got += now > 0 ? (size_t)now : 0;
    }
    *out = hash128_of(bytes, got);
    return true;
}

static int64_t part_before(const struct file_mark *mark)
{
    return mark->offset < FILE_MARK_MAX ? mark->offset : FILE_MARK_MAX;
}

int mark_note(struct file_mark *mark, int fd, struct ear_error *err)
{
    struct stat status;
    int64_t before = part_before(mark);

    if (fstat(fd, &status) != 0) {
        return ear_fail(err, EAR_RETRY, "'%s' cannot be read: %s", mark->path,
                        strerrordesc_np(errno));
    }
    mark->inode = (int64_t)status.st_ino;
    mark->size = status.st_size;
    mark->head_length = mark->offset < FILE_MARK_MAX ? mark->offset : FILE_MARK_MAX;
    mark->changed_us = change_us(mark, &status);
    if (!hash_part(&mark->head, fd, 0, mark->head_length) ||
        !hash_part(&mark->before, fd, mark->offset - before, before)) {
        mark->inode = 0; /* it shrinks while it is read: from its beginning next time */
    }
    return 0;
}

void mark_give_up(struct file_mark *mark, const char *path)
{
    struct stat status;

    if (stat(path, &status) == 0) {
        mark_reset(mark);
        mark->inode = (int64_t)status.st_ino;
        mark->size = mark->offset = status.st_size;
        mark->head_length = -1; /* any change: from its beginning */
        mark->changed_us = change_us(mark, &status);
    }
}

static bool begins_the_same(const struct file_mark *mark, const char *path)
{
    struct hash128 head;
    struct hash128 before;
    int64_t length = part_before(mark);
    int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool same = fd >= 0 && mark->head_length >= 0 && mark->head_length <= FILE_MARK_MAX &&
                hash_part(&head, fd, 0, mark->head_length) &&
                hash_part(&before, fd, mark->offset - length, length) &&
                memcmp(&head, &mark->head, sizeof head) == 0 &&
                memcmp(&before, &mark->before, sizeof before) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return same;
}

bool mark_wants_reading(struct file_mark *mark, const char *path, int64_t now_us, bool *settled)
{
    struct stat status;
    bool same_file = false;

    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    *settled = llabs(now_us - time_us(&status.st_mtim)) > SETTLED_US;
    if (mark->inode == 0) {
        mark_reset(mark);
        return true;
    }
    same_file = mark->inode == (int64_t)status.st_ino;
    if (same_file && mark->size == status.st_size && mark->changed_us == change_us(mark, &status)) {
        /* Unless its last row was taken as it stood, the rest was still being written. */
        return mark->offset < mark->size && mark->tail_offset < 0;
    }
    if (!same_file || status.st_size <= mark->size || !begins_the_same(mark, path)) {
        mark_reset(mark);
    }
    return true;
}
