/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_INTAKE_INTERNAL_H
#define EARSHOT_COLLECTORS_INTAKE_INTERNAL_H

/* What intake.c (steps and groups) and intake_record.c (what becomes of a record) share. */

#include "collectors/intake.h"
#include "common/clock.h"

enum { CODE_SIZE = 32, REASON_SIZE = 200, STEP_GAPS_MAX = 8, STEP_MISFITS_MAX = 12 };

struct intake {
    struct stream *stream;
    struct stream_share *share; /* NULL: none */
    const struct post_rules *rules;
    struct metrics *metrics;
    struct ledger *ledger;
    struct outgoing *outgoing;
    struct json_writer *writer;  /* of a post */
    struct json_writer *rejects; /* of a reject */
    struct source_output output;
    bool anything_forgotten;   /* the topic holds something at all */
    int64_t forgotten_mono_us; /* when that was last asked */

    /* the group */
    uint64_t group;        /* its number */
    int64_t items;         /* posts and rejects */
    int64_t first_mono_us; /* when its first step was kept */
    int64_t commit_us;     /* how long a commit takes, smoothed */

    /* the step under way */
    bool stepping;
    size_t first; /* the number of its first message */
    const struct post_origin *origin;
    bool once;         /* a source that nobody asks again by itself: an import */
    const char *stood; /* the cursor before this step */
    size_t stood_length;
    int64_t now_us;
    char *cursor; /* the one after it */
    size_t cursor_length;
    struct intake_counts counts;
    char last_code[CODE_SIZE], last_reason[REASON_SIZE]; /* of the last reject */
    struct {
        char item[REASON_SIZE], code[CODE_SIZE], reason[REASON_SIZE];
    } first_reject;
    uint32_t ages[AGES_COUNT];
    int64_t reached_us;
    struct coverage_gap gaps[STEP_GAPS_MAX]; /* [gap_count] */
    size_t gap_count;
    struct misfit misfits[STEP_MISFITS_MAX]; /* [misfit_count] */
    size_t misfit_count;
};

static inline int64_t intake_hour_of(int64_t at_us)
{
    return at_us - at_us % CLOCK_HOUR_US;
}

/* --- intake_record.c --- */

/* The functions through which a reader tells what it found. */
struct source_output intake_make_output(struct intake *intake);

/* Looks, now and then, whether anything was forgotten at all. */
EAR_MUST_CHECK
int intake_look_for_forgotten(struct intake *intake, struct ear_error *err);

/* Adds a message to the group. */
EAR_MUST_CHECK
int intake_publish(struct intake *intake, const char *topic, const char *key, size_t key_length,
                   const char *value, size_t length, struct ear_error *err);

/* Adds the counts of an hour for the audit. */
EAR_MUST_CHECK
int intake_publish_audit(struct intake *intake, const struct intake_counts *counts, int64_t hour_us,
                         struct ear_error *err);

#endif
