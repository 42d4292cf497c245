/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static int check(int file, const char *path, size_t most_bytes, bool secret, size_t *size,
                 struct ear_error *err)
{
    struct stat status;

    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        return ear_fail(err, EAR_CONFIG, "%s is no file", path);
    }
    if (secret && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return ear_fail(err, EAR_CONFIG, "%s can be read by others; run: chmod 600 %s", path, path);
    }
    if (status.st_size < 0 || (size_t)status.st_size > most_bytes) {
        return ear_fail(err, EAR_CONFIG, "%s is over %zu bytes: not written by us; remove it", path,
                        most_bytes);
    }
    *size = (size_t)status.st_size;
    return 0;
}

int private_file_read(char **out, size_t *length, const char *path, size_t most_bytes, bool secret,
                      struct ear_error *err)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = NULL;
    size_t size = 0;
    size_t have = 0;
    int result = -1;

    *out = NULL;
    *length = 0;
    if (file < 0) {
        return errno == ENOENT
                   ? 0
                   : ear_fail(err, EAR_CONFIG, "cannot open %s: %s", path, strerrordesc_np(errno));
    }
    if (check(file, path, most_bytes, secret, &size, err) != 0) {
        goto done;
    }
    text = malloc(size + 1);
    if (text == NULL) {
        ear_fail_memory(err, path);
        goto done;
    }
    while (have < size) {
        const ssize_t got = read(file, text + have, size - have);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            ear_fail(err, EAR_CONFIG, "cannot read %s: %s", path,
                     got == 0 ? "it is shorter than it was" : strerrordesc_np(errno));
            goto done;
        }
        have += (size_t)got;
    }
    text[have] = '\0';
    *length = have;
    *out = text;
    text = NULL;
    result = 0;

done:
    free(text);
    close(file);
    return result;
}

/* --- writing --- */

int private_file_make_folder(const char *path, struct ear_error *err)
{
    char folder[PATH_BYTES];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        if (slash == path) {
            continue;
        }
        if ((size_t)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path) >=
            sizeof(folder)) {
            return ear_fail(err, EAR_RETRY, "the path %.64s… is too long", path);
        }
        if (mkdir(folder, 0750) != 0 && errno != EEXIST) {
            return ear_fail(err, EAR_RETRY, "cannot make the folder of %s: %s", path,
                            strerrordesc_np(errno));
        }
    }
    return 0;
}

/* A new name lasts through a power cut only once its folder is synced. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int file = -1;
    int result = -1;

    (void)snprintf(folder, sizeof(folder), "%.*s/", slash == NULL ? 0 : (int)(slash - path), path);
    file = open(slash == NULL ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    result = fsync(file);
    close(file);
    return result;
}

static int write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        const ssize_t put = write(file, text, length);

        if (put < 0 && errno != EINTR) {
            return -1;
        }
        if (put > 0) {
            text += put;
            length -= (size_t)put;
        }
    }
    return 0;
}

int private_file_write(const char *path, const char *text, size_t length, bool lasting,
                       struct ear_error *err)
{
    char fresh[PATH_BYTES];
    int file = -1;
    int result = -1;
    const int wanted = snprintf(fresh, sizeof(fresh), "%s.new", path);

    if (wanted < 0 || (size_t)wanted >= sizeof(fresh)) {
        return ear_fail(err, EAR_RETRY, "the path %.64s… is too long", path);
    }
    if (private_file_make_folder(path, err) != 0) {
        return -1;
    }
    (void)unlink(fresh); /* of a process that was killed here */
    file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || write_all(file, text, length) != 0 || (lasting && fsync(file) != 0) ||
        rename(fresh, path) != 0) {
        ear_fail(err, EAR_RETRY, "cannot write %s: %s; make room, or its folder writable", path,
                 strerrordesc_np(errno));
        goto done;
    }
    fresh[0] = '\0';
    if (lasting && sync_folder_of(path) != 0) {
        ear_fail(err, EAR_RETRY, "cannot sync the folder of %s: %s", path, strerrordesc_np(errno));
        goto done;
    }
    result = 0;

done:
    if (file >= 0) {
        close(file);
    }
    if (file >= 0 && fresh[0] != '\0') {
        (void)unlink(fresh);
    }
    return result;
}
