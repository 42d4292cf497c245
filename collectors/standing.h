/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_STANDING_H
#define EARSHOT_COLLECTORS_STANDING_H

/*
 * Where a source stands: its message on the topic `cursors`. The reader's own cursor is opaque; the
 * rest is the schedule, when it last went well, what it last failed of, whether it drifts, how
 * completely it was listened to, and how far a walk into its past has come.
 */

#include <stddef.h>
#include <stdint.h>

#include "collectors/backfill.h"
#include "collectors/coverage.h"
#include "collectors/drift.h"
#include "collectors/misfit.h"
#include "collectors/schedule.h"
#include "common/clock.h"
#include "common/error.h"

struct json_writer;
struct settings_source;
struct stream;

/* How old the message may get while nothing happens. */
#define STANDING_FRESH_US SETTINGS_STANDING_FRESH_US

struct standing {
    struct schedule schedule;
    char *cursor; /* [cursor_length] the reader's own, JSON; NULL: first sight */
    size_t cursor_length;
    char *etag, *last_modified; /* of the first page of the last poll that came to its end; NULL */
    int64_t last_success_us, last_post_us; /* INT64_MIN: never */
    int64_t written_us;                    /* when the message was last published; INT64_MIN */
    char *code, *error;                    /* of the last failure; NULL: none */
    char *later;       /* why the last poll goes on later; NULL: it came to its end */
    double quota_left; /* of the budget that its last poll was taken from; below 0: not known */
    struct drift drift;
    char *drift_error; /* why it drifts, a sentence; of no meaning when it does not */
    struct coverage coverage;
    struct backfill backfill;
    struct misfits misfits;
};

/*
 * Restores a source. What is not understood (another reader's, not JSON) is EAR_REJECT "cursor: …"
 * and the source must stop: it never starts from zero by itself. EAR_RETRY, EAR_FATAL: the log.
 */
EAR_MUST_CHECK
int standing_restore(struct standing *out, struct stream *stream,
                     const struct settings_source *source, int64_t now_us, struct ear_error *err);
void standing_clear(struct standing *standing);

/* The message; the writer's until it is used again. cursor: the reader's after this step. NULL:
 * EAR_FATAL. */
const char *standing_write(const struct standing *standing, const struct settings_source *source,
                           const char *cursor, size_t cursor_length, int64_t now_us,
                           struct json_writer *writer, size_t *length, struct ear_error *err);

/* When it wants to be asked next: its schedule, or a walk into its past that is open. */
int64_t standing_next_us(const struct standing *standing);

/* Is a walk into its past open that may go on now? Only of a source that answers, and was asked
 * before. */
bool standing_may_walk(const struct standing *standing);

/* Remembers a failure. -1: EAR_FATAL. */
EAR_MUST_CHECK
int standing_set_failure(struct standing *standing, const char *code, const char *error,
                         struct ear_error *err);
void standing_clear_failure(struct standing *standing);

/* Replaces *slot by a copy of text; NULL empties it. -1: EAR_FATAL. */
EAR_MUST_CHECK
int standing_set_text(char **slot, const char *text, struct ear_error *err);

#endif
