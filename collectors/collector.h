/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_COLLECTOR_H
#define EARSHOT_COLLECTORS_COLLECTOR_H

/*
 * The collector: begins polls when they are due, steps them, hands their requests to the fetcher,
 * commits each step in one transaction, and decides what becomes of a failure (reliability.md,
 * "Bad input"). It pauses, and says so, while the log is nearly full. One loop, one thread.
 *
 *     idle ──due──▶ begin ──▶ step ──▶ commit ──▶ idle (done)
 *                              ▲         │
 *                              └─ answer ┴▶ fetching, or step again
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/intake.h"
#include "collectors/sources.h"
#include "common/error.h"

struct clock;
struct collector;
struct fetch;
struct metrics;
struct post_rules;
struct settings;
struct stream;

/* All borrowed until collector_free. */
struct collector_config {
    const struct settings *settings;
    const struct sources *sources; /* checked: each has its reader */
    struct stream *stream;
    struct fetch *fetch;
    const struct post_rules *rules;
    struct metrics *metrics; /* may be NULL */
    const struct clock *clock;
    uint64_t seed; /* of the jitter */
    bool once;     /* each source is polled once, whatever its schedule says */
};

/* Restores where every source stands. -1: EAR_RETRY, EAR_FATAL. */
EAR_MUST_CHECK
int collector_new(struct collector **out, const struct collector_config *config,
                  struct ear_error *err);
/* Polls under way are dropped: what they committed stays, they go on from there next time. */
void collector_free(struct collector *collector);

/* One turn: begins what is due, steps what is ready, waits up to timeout_ms for an answer. -1:
 * EAR_FATAL: the collector must stop. */
EAR_MUST_CHECK
int collector_turn(struct collector *collector, int timeout_ms, struct ear_error *err);

/* With `once`: is a source still to be polled to its end? */
bool collector_is_busy(const struct collector *collector);

/* With `once`: no more; what is not at its end goes on at the next run. */
void collector_cut(struct collector *collector, const char *why);

enum collector_outcome {
    COLLECTOR_WELL,
    COLLECTOR_LATER,  /* something to try again */
    COLLECTOR_FAILED, /* for good: a person has to look */
};

/* How a source fared, since the start. Borrowed until the next turn. */
struct collector_report {
    const char *source;
    struct intake_counts counts;
    int64_t requests;
    enum collector_outcome outcome;
    const char *error; /* NULL: none */
};

struct collector_report collector_report_at(const struct collector *collector, size_t index);

/* What an answer that is no page means, with the cure; `out` is used where there is a number to
 * say.
 */
const char *collector_sentence(int status, char *out, size_t size);

#endif
