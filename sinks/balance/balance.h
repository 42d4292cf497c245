/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_BALANCE_BALANCE_H
#define EARSHOT_SINKS_BALANCE_BALANCE_H

/*
 * The self-audit: does everything that was written to a topic arrive at each of its readers, once?
 * The ledger (sinks/apply) holds the counts; the holder looks at them in rounds. A round tells what
 * is under way from what is lost by places, not by time:
 *
 *     look at the ledger, note where the topics end ─▶ every reader is past that
 *          ─▶ note where the audit ends ─▶ the store is past that ─▶ look again
 *
 * What the first look knew as written was below those ends, so each reader has read and counted it
 * by the second; what the first look knew as read was written, and that was counted, by the second.
 * What then differs is lost or doubled. A difference that stands for BALANCE_GRACE is an alert: an
 * open transaction at the log may hide for a while what was committed behind it, and ends before.
 *
 * Threads: the role's own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/metrics.h"

struct balance;
struct settings;
struct store;
struct stream;

/* All borrowed until free. */
struct balance_config {
    const struct settings *settings;
    struct stream *stream;
    struct metrics *metrics; /* NULL: none are kept */
};

EAR_MUST_CHECK
int balance_new(struct balance **out, const struct balance_config *config, struct ear_error *err);
void balance_free(struct balance *balance);

/*
 * A step of a round, about once a second; begins one if it is time (or `now_us` asks for it by
 * `all`), and never waits. Writes what differs into the store, logs alerts. *done: a round has just
 * ended. -1 as the store's and the stream's errors; the round is begun again.
 */
EAR_MUST_CHECK
int balance_turn(struct balance *balance, struct store *store, int64_t now_us, bool all, bool *done,
                 struct ear_error *err);

/*
 * Notes since when this store keeps a ledger, once: what was read before it began is no loss. To be
 * called before the first batch is applied.
 */
EAR_MUST_CHECK
int balance_begin(struct store *store, struct stream *stream, int64_t now_us,
                  struct ear_error *err);

/* True if a difference that was found first at since_us has lasted so long that it is an alert: 45
 * s. (Test builds: as many seconds as EARSHOT_AUDIT_GRACE says.) */
bool balance_stands(int64_t since_us, int64_t now_us);

#endif
