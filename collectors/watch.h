/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_WATCH_H
#define EARSHOT_COLLECTORS_WATCH_H

/*
 * Folders that sources read from, watched by inotify(7): when a file there is written, moved in or
 * removed, its source is woken, at most once a second; and once more when nothing has happened for
 * some seconds, since a last row without its end is only then taken as it stands. A source that is
 * not woken (a network's file system tells nothing, or there are more folders than
 * WATCH_FOLDERS_MAX) is asked every so often as ever. Threads: one at a time.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { WATCH_FOLDERS_MAX = 4096 };

struct watch;

/* base: the folder that relative patterns start at; borrowed. -1: EAR_FATAL. Where the system gives
 * no watch, nobody is woken, and the log says so. */
EAR_MUST_CHECK
int watch_new(struct watch **out, const char *base, struct ear_error *err);
void watch_free(struct watch *watch);

/* Watches for the source of that number: a file, a folder or a pattern, as in a file source's
 * `path`; borrowed. -1: EAR_FATAL. */
EAR_MUST_CHECK
int watch_add(struct watch *watch, size_t source, const char *path, struct ear_error *err);

/* Tells the sources that are to be asked now. NULL: nothing happens. */
void watch_look(struct watch *watch, int64_t mono_us, void (*wake)(void *user, size_t source),
                void *user);

#endif
