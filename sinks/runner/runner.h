/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_RUNNER_RUNNER_H
#define EARSHOT_SINKS_RUNNER_RUNNER_H

/*
 * Carries messages from the log into the store, exactly once. A turn reads a batch of the group
 * sink.store, applies it with its positions in one transaction of the store, and then moves the
 * group, so that lag can be seen. Where to read on is what the store says, never the group. Between
 * turns the house is kept: dirty days, the outbox, the horizon, the log.
 *
 * The policy for what goes wrong lies here and nowhere else: after an I/O error, a full disk or
 * damage the store is closed, opened anew and checked, and the batch comes again; a position that
 * somebody else moved is read again. Threads: one, the role's own.
 */

#include <stdbool.h>

#include "common/error.h"
#include "common/stream/stream.h"
#include "sinks/setup.h"

struct clock;
struct metrics;
struct runner;
struct settings;

/* All borrowed until close. */
struct runner_config {
    const struct settings *settings;
    const struct setup *setup;
    struct stream *stream;
    const struct clock *clock;
    struct metrics *metrics; /* NULL: none are kept */
    int wait_ms;             /* how long a turn waits for its first message */
};

/* Opens the store and joins the group where the store stands. -1 as store_open and
 * stream_subscribe. Caller closes. */
EAR_MUST_CHECK
int runner_open(struct runner **out, const struct runner_config *config, struct ear_error *err);
void runner_close(struct runner *runner);

/*
 * One batch, or none: then *idle is true. -1 and nothing of the batch counts: EAR_RETRY: wait
 * runner_pause_ms, then call again, the batch comes again; EAR_CONFIG, EAR_FATAL: stop.
 */
EAR_MUST_CHECK
int runner_turn(struct runner *runner, bool *idle, struct ear_error *err);

/*
 * Keeps the house: at most once a second, or now if `all`, and then until nothing is left: dirty
 * days, outbox, trend feed. Also measures lag. -1 as runner_turn.
 */
EAR_MUST_CHECK
int runner_keep(struct runner *runner, bool all, struct ear_error *err);

/* How long to wait after a failure: 0.1 s, doubling to 5 s; the next turn that goes well resets it.
 */
int runner_pause_ms(const struct runner *runner);

#endif
