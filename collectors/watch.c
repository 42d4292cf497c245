/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watch is a folder of a source; a folder that two sources read from has two, by one descriptor.
 * Whatever comes into a folder that holds folders makes the source's pattern be matched anew: they
 * may be ones to be watched. Folders that go take their watch with them (IN_IGNORED).
 */
#include "collectors/watch.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectors/file/file.h"
#include "common/clock.h"
#include "common/log.h"

static const int64_t AGAIN_US = CLOCK_SECOND_US; /* not sooner again */
static const int64_t SETTLED_US = 3 * CLOCK_SECOND_US;
static const uint32_t EVENTS = IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM |
                               IN_DELETE | IN_CREATE | IN_DELETE_SELF;

struct folder {
    int descriptor;
    size_t watched;
    bool holds; /* the files themselves; else folders that may */
};

/* A source's pattern. */
struct watched {
    size_t source;
    char *folders;                        /* a pattern from the root */
    const char *name;                     /* of files; within `folders`' memory */
    int64_t woken_us, due_us, settled_us; /* monotonic; 0: never, not due */
};

struct watch {
    int file; /* -1: the system gives none */
    const char *base;
    struct watched *items; /* [count] */
    size_t count;
    struct folder folders[WATCH_FOLDERS_MAX];
    size_t folder_count;
    bool said;
};

/* Said once: polls go on as ever. */
static void say_why(struct watch *watch, const char *what, int number)
{
    if (!watch->said) {
        log_warn("%s cannot be watched: %s; what comes there is found when its source is due", what,
                 strerrordesc_np(number));
        watch->said = true;
    }
}

int watch_new(struct watch **out, const char *base, struct ear_error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL) {
        return ear_fail_memory(err, "the watch");
    }
    watch->base = base == NULL ? "" : base;
    watch->file = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->file < 0) {
        say_why(watch, "folders", errno);
    }
    *out = watch;
    return 0;
}

void watch_free(struct watch *watch)
{
    if (watch != NULL) {
        for (size_t i = 0; i < watch->count; i++) {
            free(watch->items[i].folders);
        }
        free(watch->items);
        if (watch->file >= 0) {
            close(watch->file);
        }
        free(watch);
    }
}

static bool is_watched(const struct watch *watch, int descriptor, size_t watched)
{
    for (size_t i = 0; i < watch->folder_count; i++) {
        if (watch->folders[i].descriptor == descriptor && watch->folders[i].watched == watched) {
            return true;
        }
    }
    return false;
}

static void watch_folder(struct watch *watch, size_t watched, const char *path, bool holds)
{
    struct stat status;
    int descriptor = -1;

    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode) ||
        watch->folder_count == WATCH_FOLDERS_MAX) {
        return;
    }
    descriptor = inotify_add_watch(watch->file, path, EVENTS | IN_ONLYDIR);
    if (descriptor < 0) {
        say_why(watch, path, errno);
    } else if (!is_watched(watch, descriptor, watched)) {
        watch->folders[watch->folder_count++] =
            (struct folder){.descriptor = descriptor, .watched = watched, .holds = holds};
    }
}

/* Watches what the pattern of folders matches now, and the folders above it in which new ones may
 * come to match. */
static void watch_matches(struct watch *watch, size_t watched)
{
    const char *pattern = watch->items[watched].folders;
    size_t length = strlen(pattern);
    size_t above = 0; /* where the folder ends that the first wildcard looks into */

    while (above < length && strchr("*?[", pattern[above]) == NULL) {
        above += pattern[above] == '\\' && above + 1 < length ? 2 : 1;
    }
    while (above > 1 && above < length && pattern[above] != '/') {
        above--;
    }
    for (size_t end = above < 1 ? 1 : above; end <= length; end++) {
        char part[4096];
        glob_t found;

        if ((end < length && pattern[end] != '/' && end > 1) || end >= sizeof part) {
            continue;
        }
        snprintf(part, sizeof part, "%.*s", (int)end, pattern);
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): it is unsafe for ~ only, which is not asked for */
        if (glob(part, GLOB_NOSORT, NULL, &found) == 0) {
            for (size_t i = 0; i < found.gl_pathc; i++) {
                watch_folder(watch, watched, found.gl_pathv[i], end == length);
            }
            globfree(&found);
        }
    }
}

/*
 * The pattern's folder and the names in it. What the configuration's folder is called is no
 * pattern, and neither is the name of what is there; a path that names a folder stands for all in
 * it.
 */
static int split(struct watched *item, const char *base, const char *path, struct ear_error *err)
{
    bool relative = path[0] != '/' && base[0] != '\0';
    struct stat status;
    char *literal = NULL;
    char *slash = NULL;
    bool there = false;

    if (asprintf(&literal, "%s%s%s", relative ? base : "", relative ? "/" : "", path) < 0) {
        return ear_fail_memory(err, "the watch");
    }
    there = stat(literal, &status) == 0;
    item->folders = malloc(2 * strlen(literal) + 2);
    if (item->folders == NULL) {
        free(literal);
        return ear_fail_memory(err, "the watch");
    }
    if (there) {
        file_escape(item->folders, literal);
    } else {
        slash = file_escape(item->folders, relative ? base : "");
        snprintf(slash, strlen(path) + 2, "%s%s", relative ? "/" : "", path);
    }
    free(literal);
    item->name = "*";
    slash = strrchr(item->folders, '/');
    if ((!there || !S_ISDIR(status.st_mode)) && slash != NULL) {
        /* "/name" leaves "/": the root is a folder too */
        memmove(slash + 2, slash + 1, strlen(slash + 1) + 1);
        slash[slash == item->folders ? 1 : 0] = '\0';
        item->name = slash + 2;
    }
    return 0;
}

int watch_add(struct watch *watch, size_t source, const char *path, struct ear_error *err)
{
    struct watched *items = realloc(watch->items, (watch->count + 1) * sizeof *items);

    if (items == NULL) {
        return ear_fail_memory(err, "the watch");
    }
    watch->items = items;
    items[watch->count] = (struct watched){.source = source};
    if (split(&items[watch->count], watch->base, path, err) != 0) {
        return -1;
    }
    watch->count++;
    if (watch->file >= 0) {
        watch_matches(watch, watch->count - 1);
    }
    return 0;
}

static void note(struct watch *watch, size_t watched, int64_t mono_us)
{
    struct watched *item = &watch->items[watched];
    int64_t soonest_us = item->woken_us == 0 ? mono_us : item->woken_us + AGAIN_US;

    if (item->due_us == 0) {
        item->due_us = soonest_us > mono_us ? soonest_us : mono_us;
    }
    item->settled_us = mono_us + SETTLED_US;
}

static void drop_folder(struct watch *watch, int descriptor)
{
    for (size_t i = 0; i < watch->folder_count;) {
        if (watch->folders[i].descriptor == descriptor) {
            watch->folders[i] = watch->folders[--watch->folder_count];
        } else {
            i++;
        }
    }
}

static void take_event(struct watch *watch, const struct inotify_event *event, int64_t mono_us)
{
    const char *name = event->len > 0 ? event->name : "";

    if ((event->mask & IN_IGNORED) != 0) {
        drop_folder(watch, event->wd);
        return;
    }
    for (size_t i = 0; i < watch->folder_count; i++) {
        size_t watched = watch->folders[i].watched;

        if (watch->folders[i].descriptor != event->wd) {
            continue;
        }
        if ((event->mask & IN_ISDIR) != 0) {
            watch_matches(watch, watched);
            note(watch, watched, mono_us);
        } else if (watch->folders[i].holds && fnmatch(watch->items[watched].name, name, 0) == 0) {
            note(watch, watched, mono_us);
        }
    }
}

/* Events were lost: everybody may be meant. */
static void note_all(struct watch *watch, int64_t mono_us)
{
    for (size_t i = 0; i < watch->count; i++) {
        watch_matches(watch, i);
        note(watch, i, mono_us);
    }
}

static void read_events(struct watch *watch, int64_t mono_us)
{
    _Alignas(struct inotify_event) char bytes[16384];
    ssize_t got = 0;

    while ((got = read(watch->file, bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < got;) {
            struct inotify_event event;

            memcpy(&event, bytes + at, sizeof event);
            if ((event.mask & IN_Q_OVERFLOW) != 0) {
                note_all(watch, mono_us);
            } else {
                take_event(watch, (const struct inotify_event *)(const void *)(bytes + at),
                           mono_us);
            }
            at += (ssize_t)(sizeof event + event.len);
        }
    }
}

void watch_look(struct watch *watch, int64_t mono_us, void (*wake)(void *user, size_t source),
                void *user)
{
    if (watch == NULL || watch->file < 0) {
        return;
    }
    read_events(watch, mono_us);
    for (size_t i = 0; i < watch->count; i++) {
        struct watched *item = &watch->items[i];

        if (item->due_us != 0 && mono_us >= item->due_us) {
            item->due_us = 0;
            item->woken_us = mono_us;
            wake(user, item->source);
        } else if (item->settled_us != 0 && mono_us >= item->settled_us) {
            item->settled_us = 0;
            item->woken_us = mono_us;
            wake(user, item->source);
        }
    }
}
