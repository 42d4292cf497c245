/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_RUNNER_RUNNER_H
#define EARSHOT_PROCESSORS_RUNNER_RUNNER_H

/*
 * Carries messages through one chain, from its topic to its topic, exactly once. A turn reads a
 * batch (by time and count) of the group process.NAME, runs the stages, and in one transaction
 * publishes what came of every message and moves the group: insights; for an input without output
 * {"id","version","model","dropped":true}, so that an edit that no longer passes takes back what
 * its earlier version said; rejects; the audit. Deleted messages and tombstones bypass the stages.
 *
 * The policy for what goes wrong lies here and nowhere else. A batch that fails in a stage is read
 * again and tried again, twice; then one message at a time, and the one that fails alone is
 * rejected, by name. Where every message fails alone with EAR_RETRY it is not they who are bad: the
 * batch waits. A rejected edit does not take back its earlier version: what we cannot read is not
 * what was deleted.
 */

#include <stdbool.h>

#include "common/error.h"

struct chain;
struct clock;
struct metrics;
struct runner;
struct settings_processor;
struct stream;

/* All borrowed until close. */
struct runner_config {
    struct stream *stream;
    const struct settings_processor *processor;
    struct chain *chain;
    const struct clock *clock;
    struct metrics *metrics; /* NULL: none are kept */
    int wait_ms; /* how long a turn waits for its first message, 0 to 1000; 0 also never waits for
                    more */
};

/* Joins the group. -1 as stream_subscribe. Caller closes. */
EAR_MUST_CHECK
int runner_open(struct runner **out, const struct runner_config *config, struct ear_error *err);
void runner_close(struct runner *runner);

/*
 * One batch, or none: then *idle is true. Returns 0; or -1, and nothing of the batch counts:
 * EAR_RETRY: wait runner_pause_ms, then call again, the batch comes again; EAR_CONFIG, EAR_FATAL:
 * stop. Logs what it rejects, once it is committed. Threads: one at a time per runner.
 */
EAR_MUST_CHECK
int runner_turn(struct runner *runner, bool *idle, struct ear_error *err);

/* How long to wait after a turn that failed: 0.1 s, doubling to 5 s. */
int runner_pause_ms(const struct runner *runner);

/* How many messages lie between the group and the end of its topic, by metric
 * earshot_consumer_lag_messages; failures are passed over. Threads: as runner_turn. */
void runner_measure_lag(struct runner *runner);

#endif
