/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_OUTBOX_OUTBOX_H
#define EARSHOT_SINKS_OUTBOX_OUTBOX_H

/*
 * The relay: what the transactions of the store left in its outbox goes out, in order, and is taken
 * out of it once it has gone. A reject carries its value and is published under its id; one that is
 * in the log already (the relay died in between) is not published again. Of the trend feed the
 * outbox names the weeks that changed, of the trend cube the cells: the relay reads the numbers
 * when it writes or publishes, so that a stale one can never come last. Only one process relays
 * (the holder); what it published and could not take out, the next one publishes again, as it then
 * is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct metrics;
struct store;
struct stream;
struct zone;

struct outbox_config {
    struct store *store;
    struct stream *stream;
    const char *feed_dir; /* NULL: no feed is written */
    const struct zone *zone;
    int64_t feed_weeks;
    const char *rejects_topic; /* "rejects" */
};

/*
 * Sends a slice. `feeds`: also writes the trend feed if its weeks changed; without it they wait.
 * *left: how many rows still lie there. -1 and they stay: EAR_RETRY (log full, disk full),
 * EAR_FATAL.
 */
EAR_MUST_CHECK
int outbox_relay(size_t *left, const struct outbox_config *config, int64_t now_us, bool feeds,
                 struct ear_error *err);

#endif
