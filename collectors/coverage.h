/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_COVERAGE_H
#define EARSHOT_COLLECTORS_COVERAGE_H

/*
 * How completely a source was listened to: the book behind the sentence "completeness stands beside
 * every number". For the hour under way and the one before: how many polls the plan wanted and how
 * many were made, what they cost, how old posts were when they came; and where something may be
 * missing: stretches of time in which nobody asked, or the source refused, or the server no longer
 * had what was said. It lives in the source's message on `cursors`; the sink keeps each hour and
 * each stretch for good, and a reader of an hour takes the last one that was written.
 *
 * Planned is what the source's interval asks for, however often it fails and is asked again: one
 * poll an interval. A poll that comes too late by several intervals leaves a stretch behind, with
 * the polls that it would have had; up to then those are counted in the hour. Pure: time comes in.
 * Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ages.h"
#include "common/error.h"

struct json_node;
struct json_writer;

enum {
    COVERAGE_GAPS_MAX = 16, /* stretches that are remembered: the last ones */
    COVERAGE_WHY_SIZE = 200,
    /* A source that is later than this, and than two intervals, leaves a stretch behind. */
    COVERAGE_LATE_S = 600,
};

struct coverage_hour {
    int64_t hour_us; /* when it began */
    int64_t planned, made;
    int64_t failed; /* attempts */
    int64_t ours;   /* of them, those that failed since our own network was away */
    int64_t requests;
    int64_t posts;             /* new ones */
    int64_t gaps;              /* stretches COVERAGE_GAP told */
    uint32_t ages[AGES_COUNT]; /* of new posts, between being said and being published here */
};

enum coverage_kind {
    COVERAGE_GAP,     /* the server no longer gives what was said then */
    COVERAGE_AWAY,    /* nobody asked: no collector ran, or none came round to it */
    COVERAGE_REFUSED, /* the source was red or waited, as the server said or after failures */
    COVERAGE_OUTAGE,  /* our own network was away */
};

struct coverage_gap {
    enum coverage_kind kind;
    int64_t from_us, to_us; /* INT64_MIN: unknown since when */
    int64_t found_us;
    int64_t polls; /* that the plan had in it; 0 for COVERAGE_GAP */
    char why[COVERAGE_WHY_SIZE];
};

/* All zero: nothing was told yet. */
struct coverage {
    struct coverage_hour hours[2]; /* the latest first; hour_us 0: none */
    int64_t plan_us;               /* when the plan next wants a poll; 0: at once, the first */
    bool retries;                  /* the last attempt failed: the next is none of the plan's */
    struct coverage_gap *gaps;     /* [gap_count] the oldest first; its own */
    size_t gap_count;
};

void coverage_clear(struct coverage *coverage);

/*
 * A poll begins, of a source that is asked every interval_us. kind: why it was not asked for as
 * long as it was not; why: the same as a sentence (NULL: none). *begun: what that means. -1:
 * EAR_FATAL.
 */
struct coverage_begun {
    int64_t planned; /* so many polls of the plan since the last one, this one among them */
    bool gap;        /* it leaves a stretch behind: the last of gaps */
};

EAR_MUST_CHECK
int coverage_begin(struct coverage *coverage, int64_t interval_us, enum coverage_kind kind,
                   const char *why, int64_t now_us, struct coverage_begun *begun,
                   struct ear_error *err);

/* That poll came to its end, and the next is planned; or it failed (ours: through our own outage).
 */
void coverage_made(struct coverage *coverage, int64_t next_us, int64_t now_us);
void coverage_failed(struct coverage *coverage, bool ours, int64_t now_us);

void coverage_request(struct coverage *coverage, int64_t now_us);

/* New posts of this age each; ages: [AGES_COUNT], NULL where they do not count (the past that a
 * first sight or a backfill brings). */
void coverage_posts(struct coverage *coverage, int64_t posts, const uint32_t *ages, int64_t now_us);

/* Something may be missing. One that lies within the last of its kind is no other. -1: EAR_FATAL.
 */
EAR_MUST_CHECK
int coverage_gap(struct coverage *coverage, enum coverage_kind kind, int64_t from_us, int64_t to_us,
                 int64_t polls, const char *why, int64_t now_us, struct ear_error *err);

/* As members of an object: "plan_at", "hours", "gaps". */
void coverage_write(const struct coverage *coverage, struct json_writer *writer);

/*
 * What coverage_write wrote at written_us. Polls of the plan within fresh_us of that may have been
 * made without being told: they are not missed. What is not understood is left out. -1: EAR_FATAL.
 */
EAR_MUST_CHECK
int coverage_read(struct coverage *out, const struct json_node *root, int64_t written_us,
                  int64_t fresh_us, struct ear_error *err);

/* "gap", "away", "refused", "outage". */
const char *coverage_kind_name(enum coverage_kind kind);

#endif
