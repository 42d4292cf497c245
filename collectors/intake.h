/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_INTAKE_H
#define EARSHOT_COLLECTORS_INTAKE_H

/*
 * What one step of a poll brings into the log, in one transaction: new and changed posts, what the
 * source was thereby seen to hold, what was rejected, the count for the audit, and the cursor. A
 * crash before the commit leaves nothing of it, a crash after it all.
 *
 *     intake_begin ─▶ records by intake_output ─▶ intake_commit (or intake_abort)
 *
 * What is unchanged is not published again; a change is a new version; an item confirmed gone is
 * published as deleted; ids and authors that were forgotten are passed over. Within one transaction
 * the same item may come several times: the intake remembers what it has published itself.
 *
 * Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/post.h"
#include "collectors/source.h"
#include "common/error.h"

struct intake;
struct metrics;
struct stream;

struct intake_counts {
    int64_t fresh, edited, deleted, unchanged, rejected, forgotten;
};

/* Stream, rules and metrics (may be NULL) are borrowed. */
EAR_MUST_CHECK
int intake_new(struct intake **out, struct stream *stream, const struct post_rules *rules,
               struct metrics *metrics, struct ear_error *err);
void intake_free(struct intake *intake);

/* Begins a transaction for one source. The origin is borrowed until its end; cursor (JSON, may be
 * NULL) is where the source stands: what rejects name. */
EAR_MUST_CHECK
int intake_begin(struct intake *intake, const struct post_origin *origin, const char *cursor,
                 size_t cursor_length, int64_t now_us, struct ear_error *err);

/* Where a reader's step puts its records. */
const struct source_output *intake_output(struct intake *intake);

/* Sets something aside that is no item of a reader: a page. Once for the same bytes and reason. */
EAR_MUST_CHECK
int intake_reject(struct intake *intake, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err);

/* The cursor that the reader set, borrowed until the end; NULL: it set none. */
const char *intake_cursor(const struct intake *intake, size_t *length);

/* What this transaction holds so far. */
const struct intake_counts *intake_counts(const struct intake *intake);

/* The code of this transaction's last reject, and its reason (cut where it is long); both borrowed
 * until the end. NULL: there was none. */
const char *intake_last_reject(const struct intake *intake, const char **reason);

/* True if nothing would be published: then a commit may be spared. */
bool intake_is_empty(const struct intake *intake);

/*
 * Publishes the source's message on `cursors` (NULL: none) and commits. Ends the transaction,
 * whatever happens. -1: EAR_RETRY (log full: nothing was published), EAR_FATAL.
 */
EAR_MUST_CHECK
int intake_commit(struct intake *intake, const char *cursor_message, size_t length,
                  struct ear_error *err);
void intake_abort(struct intake *intake);

#endif
