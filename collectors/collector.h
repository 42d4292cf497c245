/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_COLLECTOR_H
#define EARSHOT_COLLECTORS_COLLECTOR_H

/*
 * The collector: begins polls when they are due, steps them, hands their requests to the fetcher,
 * and decides what becomes of a failure (reliability.md, "Bad input"). Steps of several polls make
 * up a group, committed in one transaction when nothing more is ready, or when it is large or old
 * enough. It pauses, and says so, while the log is nearly full. One loop, one thread.
 *
 *     away ──given──▶ idle ──due──▶ begin ──▶ step ──▶ group ──▶ commit ──▶ idle (done)
 *       ▲                                      ▲         │
 *       └──taken── (any)                       └─ answer ┴▶ fetching, or step again
 *
 * Sources are shared out: a collector polls those that its group gave to it (all of them on the
 * local log), from where their last owner's last commit left them. One that goes to another
 * collector is let go in the middle of whatever it is at. What a step changes here in memory runs
 * ahead of the log until the group is committed; if that fails, its sources are restored from the
 * log.
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
struct tokens;

/* All borrowed until collector_free. */
struct collector_config {
    const struct settings *settings;
    const struct sources *sources; /* checked: each has its reader */
    struct stream *stream;
    struct fetch *fetch;
    struct tokens *tokens;
    const struct post_rules *rules;
    struct metrics *metrics; /* may be NULL */
    const struct clock *clock;
    uint64_t seed;              /* of the jitter */
    bool once;                  /* each source is polled once, whatever its schedule says */
    int64_t once_until_mono_us; /* with `once`: a poll that goes on later by itself (a budget, a
                                   token) is waited for if that is before then; 0: none is */
    const char *only; /* this source alone is asked, until a walk into its past that was asked for
                         is at its end; NULL: all */
};

/* Joins the group of collectors; sources come with the first turns. -1: EAR_RETRY, EAR_CONFIG,
 * EAR_FATAL. */
EAR_MUST_CHECK
int collector_new(struct collector **out, const struct collector_config *config,
                  struct ear_error *err);
/* Polls under way are dropped: what they committed stays, they go on from there next time. */
void collector_free(struct collector *collector);

/* One turn: takes over and lets go of sources, begins what is due, steps what is ready, commits,
 * waits up to timeout_ms for an answer. -1: the collector must stop: EAR_FATAL, EAR_CONFIG;
 * EAR_FENCED: another process has this one's instance. */
EAR_MUST_CHECK
int collector_turn(struct collector *collector, int timeout_ms, struct ear_error *err);

/* With `once`: is a source still to be polled to its end? One that another collector has is not.
 * With `only`: is the walk still under way? */
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
    const struct misfits *misfits;
};

struct collector_report collector_report_at(const struct collector *collector, size_t index);

/* What an answer that is no page means, with the cure; `out` is used where there is a number to
 * say.
 */
const char *collector_sentence(int status, char *out, size_t size);

#endif
