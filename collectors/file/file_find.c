/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a source's path stands for, and what they are called. */
#include "collectors/file/file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectors/file/file.h"

char *file_escape(char *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*?[\\", *text) != NULL) {
            *out++ = '\\';
        }
        *out++ = *text;
    }
    *out = '\0';
    return out;
}

/* The pattern from the root. What the configuration's folder is called is no pattern, and neither
 * is the name of a file that is there. */
static char *pattern_of(const char *base, const char *path)
{
    char *literal = NULL;
    char *pattern = NULL;
    char *at = NULL;
    bool relative = path[0] != '/' && base != NULL;

    if (asprintf(&literal, "%s%s%s", relative ? base : "", relative ? "/" : "", path) < 0) {
        return NULL;
    }
    pattern = malloc(2 * strlen(literal) + 1);
    if (pattern != NULL && access(literal, F_OK) == 0) {
        file_escape(pattern, literal);
    } else if (pattern != NULL) {
        at = file_escape(pattern, relative ? base : "");
        (void)snprintf(at, strlen(path) + 2, "%s%s", relative ? "/" : "", path);
    }
    free(literal);
    return pattern;
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Where nothing was found: that is no answer when the folder that was to be looked into may not be
 * read, or when a plain name names nothing. */
static int explain_nothing(const char *base, const char *path, struct ear_error *err)
{
    size_t length = strcspn(path, "*?[");
    bool plain = path[length] == '\0';
    char *folder = NULL;
    int result = 0;

    while (!plain && length > 0 && path[length - 1] != '/') {
        length--;
    }
    if (asprintf(&folder, "%s/%.*s", path[0] != '/' && base != NULL ? base : "", (int)length,
                 path) < 0) {
        return ear_fail_memory(err, "a file source");
    }
    if (faccessat(AT_FDCWD, folder, R_OK | X_OK, AT_EACCESS) != 0 && errno == EACCES) {
        result = ear_fail(err, EAR_RETRY,
                          "the folder of '%.300s' may not be read: permission denied; let the user "
                          "that runs this read it",
                          path);
    } else if (plain && !is_folder(folder)) {
        result = ear_fail(err, EAR_RETRY, "there is no file '%.300s'; mend 'path', or put it there",
                          path);
    }
    free(folder);
    return result;
}

/* Matches the pattern; a folder stands for the files in it. */
static int match(glob_t *found, const char *pattern, int *got, struct ear_error *err)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): it is unsafe for ~ only, which is not asked for */
    *got = glob(pattern, 0, NULL, found);
    if (*got == 0 && found->gl_pathc == 1 && is_folder(found->gl_pathv[0])) {
        char *inside = NULL;

        if (asprintf(&inside, "%s/*", pattern) < 0) {
            return ear_fail_memory(err, "a file source");
        }
        globfree(found);
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): as above */
        *got = glob(inside, 0, NULL, found);
        free(inside);
    }
    return *got == GLOB_NOSPACE ? ear_fail_memory(err, "a file source") : 0;
}

int files_find(glob_t *out, const char *base, const char *path, struct ear_error *err)
{
    char *pattern = pattern_of(base, path);
    int got = 0;
    int result = -1;

    if (pattern == NULL) {
        return ear_fail_memory(err, "a file source");
    }
    result = match(out, pattern, &got, err);
    free(pattern);
    if (result != 0) {
        return -1;
    }
    if (got == GLOB_NOMATCH) {
        out->gl_pathc = 0;
        return explain_nothing(base, path, err);
    }
    if (out->gl_pathc > FILE_FILES_MAX) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.200s' matches %zu files, and one source reads %d; move what is done "
                        "away, or make two sources",
                        path, (size_t)out->gl_pathc, FILE_FILES_MAX);
    }
    return 0;
}

const char *files_name(const char *base, const char *path)
{
    size_t length = base != NULL ? strlen(base) : 0;

    if (strncmp(path, "/proc/self/fd/", 14) == 0) {
        return "stdin"; /* what `import -` hands over */
    }
    return length > 0 && strncmp(path, base, length) == 0 && path[length] == '/' ? path + length + 1
                                                                                 : path;
}
