/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_APPLY_APPLY_H
#define EARSHOT_SINKS_APPLY_APPLY_H

/*
 * What messages do to the store. One idea: a post's rows are a function of its latest version, of
 * what people decided about it, and of who said the same before; applying a message replaces those
 * rows, whatever came before, and never counts anything up. So late posts, edits, deletions, a
 * better model and corrections are one path, and an empty store fed the same messages ends up the
 * same (rules S1 to S4 of architecture.md).
 *
 * A batch is one transaction with its positions. A message that will never do is set aside as a
 * reject in the outbox of that transaction; the rest is kept. Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/stream/stream.h"
#include "sinks/store/store.h"

struct apply;
struct zone;

struct apply_config {
    const struct zone *zone;      /* in which days and hours are told; NULL: UTC. Borrowed */
    const char *timezone;         /* its name, kept in the store: another one recounts every fact */
    int64_t horizon_us;           /* posts said longer ago are frozen */
    struct store *names_store;    /* a second handle of a shared store, for words alone (names.h);
                                     NULL: none. Borrowed */
    bool trend_days, trend_hours; /* cells of the trend cube that changed go into the outbox */
};

enum { APPLY_AGES_MAX = 1024 };

/* How far the ledger goes back: as long as the topic audit is kept. */
#define APPLY_LEDGER_US (7 * INT64_C(86400000000))

/* How long it is kept, for each source, how completely it was listened to in an hour; for all of
 * them together it stays as long as the horizon. */
#define APPLY_COVERAGE_US (35 * INT64_C(86400000000))

/* What a batch did. */
struct apply_stats {
    size_t posts;                  /* stored anew or replaced */
    size_t removed;                /* deleted, dropped, forgotten */
    size_t stale;                  /* older than what is stored */
    size_t too_old;                /* beyond the horizon */
    size_t rejected;               /* set aside; each is in the outbox */
    size_t skipped;                /* below the store's position: applied before */
    double ages_s[APPLY_AGES_MAX]; /* [age_count] said to stored, of posts that were new */
    size_t age_count;
};

/*
 * Begins on a store opened for writing, which is borrowed. A store kept in another time zone is
 * recounted first. -1: as the store's errors.
 */
EAR_MUST_CHECK
int apply_open(struct apply **out, struct store *store, const struct apply_config *config,
               struct ear_error *err);
void apply_close(struct apply *apply);

/*
 * Applies messages of the topics insights, decisions, forgotten, cursors and audit in one
 * transaction and moves their positions under guard. Per partition in order of offset; gaps are no
 * matter. -1 and nothing is changed: EAR_RETRY (and perhaps store_broken), EAR_FENCED (somebody
 * else moved a position: they have been read again), EAR_CONFIG, EAR_FATAL.
 */
EAR_MUST_CHECK
int apply_batch(struct apply *apply, const struct stream_message messages[], size_t count,
                int64_t now_us, struct apply_stats *stats, struct ear_error *err);

/* Where a reader stands on a partition that has nothing more for it. */
struct apply_place {
    const char *topic;
    int partition;
    int64_t next;
};

/*
 * Moves positions past what is no message (Kafka's markers of transactions), under guard, in a
 * transaction of its own; what stands there already, or was never applied, is left alone. Else a
 * position would lie below what the log keeps once a quiet partition has aged. -1 as apply_batch.
 */
EAR_MUST_CHECK
int apply_pass(struct apply *apply, const struct apply_place places[], size_t count,
               struct ear_error *err);

/* The offset of the next message wanted of a partition, read from the store now: another sink may
 * have moved it. -1: none was applied yet. */
EAR_MUST_CHECK
int apply_position(int64_t *out, struct apply *apply, const char *topic, int partition,
                   struct ear_error *err);

/*
 * What follows concerns posts of all partitions: on a shared store the holder alone calls it
 * (store_hold).
 */

/*
 * Works off at most `max` notes of where something was said that may have been copied: the posts
 * concerned are marked as copies, or as none any more. *more: notes are left.
 */
EAR_MUST_CHECK
int apply_copies(struct apply *apply, int64_t now_us, size_t max, bool *more,
                 struct ear_error *err);

/*
 * Recomputes the roll-ups of at most max_days dirty days, newest first, in one transaction, and
 * notes in the outbox which weeks of the trend feed and which cells of the trend cube that changed.
 * *more: days are left.
 */
EAR_MUST_CHECK
int apply_rollups(struct apply *apply, int64_t now_us, size_t max_days, bool *more,
                  struct ear_error *err);

/* Removes a slice of what the horizon has passed: insights, facts, tombstones; roll-ups stay.
 * *more: posts are left. */
EAR_MUST_CHECK
int apply_expire(struct apply *apply, int64_t now_us, bool *more, struct ear_error *err);

#endif
