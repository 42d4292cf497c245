/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_COLLECTOR_INTERNAL_H
#define EARSHOT_COLLECTORS_COLLECTOR_INTERNAL_H

/* What collector.c (the loop), poll.c (the steps of a poll) and failure.c (what becomes of one that
 * fails) share. */

#include "collectors/collector.h"
#include "collectors/post.h"
#include "collectors/source.h"
#include "collectors/standing.h"
#include "common/json/json.h"

enum {
    COLLECTOR_POLLS_MAX = 128,
    COLLECTOR_PAGES_MAX = 4, /* pages that are being taken apart at once: each may be 16 MiB */
    COLLECTOR_CURSOR_MAX = 1024 * 1024, /* a message of the log */
};

enum listening_phase {
    LISTENING_IDLE,
    LISTENING_FETCHING, /* its request is with the fetcher */
    LISTENING_READY,    /* to be stepped again */
    LISTENING_STOPPED,  /* its cursor is not understood: a person has to look */
};

/* One source at run time. */
struct listening {
    const struct source_entry *entry;
    struct post_origin origin;
    struct standing standing;
    enum listening_phase phase;

    /* the poll under way */
    void *state;
    struct source_poll poll;
    char *began_with; /* the cursor that poll borrows */
    bool any_status, first_page, found;
    bool holds_page;                 /* its reader goes through a page step by step */
    char *page_etag, *page_modified; /* of the first page */
    int64_t floor_us;                /* not sooner again, as the first page says */
    struct listening *next_ready;

    /* what is reported */
    bool finished; /* with `once` */
    enum collector_outcome outcome;
    struct intake_counts counts;
    int64_t requests;
};

struct collector {
    struct collector_config config;
    struct intake *intake;
    struct json_writer *writer;
    struct listening *items; /* [count] */
    size_t count;
    size_t under_way;                     /* polls */
    size_t pages;                         /* polls that hold a page */
    size_t turn;                          /* where the next look for due ones starts */
    struct listening *ready, *ready_last; /* a queue */
    int64_t next_due_us;                  /* of the idle ones; wall time */
    int64_t house_mono_us;                /* when the log was last kept */
    bool paused;
    bool
        is_crowded; /* COLLECTOR_POLLS_MAX are under way: others that are due wait for one to end */
};

int64_t collector_now_us(const struct collector *collector);

/* --- poll.c --- */

/* Begins a poll and makes its first step. -1: EAR_FATAL. */
EAR_MUST_CHECK
int poll_begin(struct collector *collector, struct listening *listening, struct ear_error *err);

/* A step; answer NULL: none was asked for. -1: EAR_FATAL. */
EAR_MUST_CHECK
int poll_step(struct collector *collector, struct listening *listening,
              const struct fetch_answer *answer, struct ear_error *err);

/* What the fetcher brought. -1: EAR_FATAL. */
EAR_MUST_CHECK
int poll_answered(struct collector *collector, struct listening *listening,
                  const struct fetch_answer *answer, struct ear_error *err);

/* Counts whether the poll holds a page. */
void poll_hold_page(struct collector *collector, struct listening *listening, bool holds);

/* Says that a source began or ceased to drift, once that is committed. */
void poll_tell_drift(const struct collector *collector, const struct listening *listening,
                     enum drift_change change);

/* Lets go of the poll, at its end or before. */
void poll_end(struct collector *collector, struct listening *listening);

/* --- failure.c --- */

/* The answer is no page: decides whether to wait or to show the source red. -1: EAR_FATAL. */
EAR_MUST_CHECK
int failure_of_answer(struct collector *collector, struct listening *listening,
                      const struct fetch_answer *answer, struct ear_error *err);

/* A step, or the beginning, failed with *err, which is cleared if the collector goes on. answer:
 * what the step was about; NULL: nothing. -1: EAR_FATAL. */
EAR_MUST_CHECK
int failure_of_step(struct collector *collector, struct listening *listening,
                    const struct fetch_answer *answer, struct ear_error *err);

/* The log did not take a step: *err says why, and is cleared if the collector goes on. */
EAR_MUST_CHECK
int failure_of_commit(struct collector *collector, struct listening *listening,
                      struct ear_error *err);

/* The cursor is not understood, or of another reader: the source stops. */
void failure_of_cursor(struct collector *collector, struct listening *listening,
                       const struct ear_error *why);

#endif
