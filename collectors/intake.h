/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_INTAKE_H
#define EARSHOT_COLLECTORS_INTAKE_H

/*
 * What steps of polls bring into the log: new and changed posts, what their sources were thereby
 * seen to hold, what was rejected, the counts for the audit, and the cursors. Several steps, of any
 * sources, make up a group, which one transaction commits: a crash before it leaves nothing of any
 * of them, a crash after it all. (A transaction costs 1 to 2 ms on the local log, up to 100 ms on
 * Kafka, however small it is.)
 *
 *     intake_begin ─▶ records by intake_output ─▶ intake_keep (or intake_drop) ─┐
 *          ▲                                                                    │
 *          └──────────────────────── the next step ─────────────────────────────┴▶ intake_commit
 *
 * What is unchanged is not published again; a change is a new version; an item confirmed gone is
 * published as deleted; ids and authors that were forgotten are passed over. Within one group the
 * same item may come several times: the intake remembers what it has published itself.
 *
 * Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/coverage.h"
#include "collectors/misfit.h"
#include "collectors/post.h"
#include "collectors/source.h"
#include "common/error.h"

struct intake;
struct metrics;
struct stream;
struct stream_share;

/* When a group is to be committed at the latest: items, bytes of messages, age of its first step.
 */
enum { INTAKE_ITEMS_MAX = 500, INTAKE_BYTES_MAX = 4 * 1024 * 1024, INTAKE_AGE_MAX_US = 100000 };

struct intake_counts {
    int64_t fresh, edited, deleted, unchanged, rejected, forgotten;
    int64_t astray; /* of the first three, those whose version is not of this hour: the audit counts
                       them apart */
    int64_t again;  /* of unchanged: rejects that were told before */
    int64_t undated; /* of fresh and edited: without a time of their own to be believed */
};

void intake_counts_add(struct intake_counts *sum, const struct intake_counts *counts);

/* Warns in the log that so many posts of a source are counted at the time they were seen, though
 * they may be years old, and what to do. 0: says nothing. */
void intake_tell_undated(const char *source, int64_t count);

/* One source's part in the group: what its later steps in the same group replace. All zero before
 * its first; the intake's own otherwise. */
struct intake_part {
    uint64_t group;       /* to which the rest belongs */
    size_t cursor, audit; /* one past the number of the message that goes out; 0: none */
    int64_t hour_us;      /* of the audit */
    struct intake_counts audited;
};

/* Stream, rules, metrics (may be NULL) and share (likewise: nobody else writes for these sources)
 * are borrowed. */
EAR_MUST_CHECK
int intake_new(struct intake **out, struct stream *stream, struct stream_share *share,
               const struct post_rules *rules, struct metrics *metrics, struct ear_error *err);
void intake_free(struct intake *intake);

/* Begins a step of one source; one that was not kept is dropped. The origin is borrowed until its
 * end; so is cursor (JSON, may be NULL): where the source stands, which is what rejects name. */
EAR_MUST_CHECK
int intake_begin(struct intake *intake, const struct post_origin *origin, const char *cursor,
                 size_t cursor_length, int64_t now_us, struct ear_error *err);

/* Where a reader's step puts its records. */
const struct source_output *intake_output(struct intake *intake);

/* Sets something aside that is no item of a reader: a page. Once for the same bytes and reason. */
EAR_MUST_CHECK
int intake_reject(struct intake *intake, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err);

/* Takes a reject of this source back, by its name (SOURCE/HASH): if the item is still no good, it
 * is rejected anew. */
EAR_MUST_CHECK
int intake_retry(struct intake *intake, const char *reject, struct ear_error *err);

/* The cursor that the reader set, borrowed until the end; NULL: it set none. */
const char *intake_cursor(const struct intake *intake, size_t *length);

/* What this step holds so far. */
const struct intake_counts *intake_counts(const struct intake *intake);

/* The code of this step's last reject, and its reason (cut where it is long); both borrowed
 * until the end. NULL: there was none. */
const char *intake_last_reject(const struct intake *intake, const char **reason);

/* The first item of this step that was rejected, also where that was told before. All of it is
 * borrowed until the end; what_to_do is what a person can do about it. */
struct intake_reject {
    const char *item, *code, *reason, *what_to_do;
};

/* False: there was none. */
bool intake_first_reject(struct intake_reject *out, const struct intake *intake);

/* Of this step's new posts, how old they were ([AGES_COUNT]); those without a time of their own
 * are left out. */
const uint32_t *intake_ages(const struct intake *intake);

/* When the step's last record that has a time was said: how far a walk into the past has come.
 * INT64_MIN: none had one. */
int64_t intake_reached_us(const struct intake *intake);

/* What the step's reader told to be missing, [*count]; the last ones where there were many. */
const struct coverage_gap *intake_gaps(const struct intake *intake, size_t *count);

/* What the step's reader told that does not fit, [*count]. */
const struct misfit *intake_misfits(const struct intake *intake, size_t *count);

/* True if this step would publish nothing: then it need not be kept. */
bool intake_is_empty(const struct intake *intake);

/*
 * Ends the step: what it holds joins the group, with the source's message on `cursors` (NULL: none)
 * and the counts of the audit. -1: EAR_REJECT (the cursor is too large), EAR_FATAL; then nothing of
 * the step is in the group, and it has still to be dropped.
 */
EAR_MUST_CHECK
int intake_keep(struct intake *intake, struct intake_part *part, const char *cursor_message,
                size_t length, struct ear_error *err);

/* Ends the step without a trace in the group. */
void intake_drop(struct intake *intake);

/* Does the group hold anything? Is it time to commit it? */
bool intake_holds(const struct intake *intake);
bool intake_is_full(const struct intake *intake);

/* How long it pays to wait for more before a commit: as long as one takes, of late, less the
 * group's age; 0: not at all, or no group is open. */
int64_t intake_patience_us(const struct intake *intake);

/*
 * Commits the group and begins another, whatever happens. -1: EAR_RETRY (log full or away: nothing
 * was published), EAR_FENCED (one of its sources went to another collector: likewise), EAR_FATAL.
 */
EAR_MUST_CHECK
int intake_commit(struct intake *intake, struct ear_error *err);

/* Where sources stand was read from the log anew: others may have written there. */
void intake_forget_known(struct intake *intake);

/* Forgets the group and the step under way. */
void intake_abort(struct intake *intake);

#endif
