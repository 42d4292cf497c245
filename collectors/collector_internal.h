/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_COLLECTOR_INTERNAL_H
#define EARSHOT_COLLECTORS_COLLECTOR_INTERNAL_H

/* What collector.c (the loop), owner.c (which sources are ours), poll.c (the steps of a poll),
 * group.c (what several steps commit together), again.c (reading a source anew) and failure.c (what
 * becomes of a poll that fails) share. */

#include "collectors/backfill.h"
#include "collectors/collector.h"
#include "collectors/outage.h"
#include "collectors/post.h"
#include "collectors/source.h"
#include "collectors/standing.h"
#include "common/clock.h"
#include "common/json/json.h"

struct errands;
struct stream_share;

enum {
    COLLECTOR_POLLS_MAX = 1024,
    COLLECTOR_PAGES_MAX = 4,    /* pages that are being taken apart at once: each may be 16 MiB */
    COLLECTOR_AGAINS_MAX = 60,  /* times that `once` goes on with a source that says later */
    COLLECTOR_PARTS_MAX = 1024, /* sources that take part in a group */
    COLLECTOR_CURSOR_MAX = 1024 * 1024, /* a message of the log */
};

/* An ask that is served is open until that is seen in the log: not sooner again. */
#define ASKED_AGAIN_US (3 * CLOCK_SECOND_US)

enum listening_phase {
    LISTENING_AWAY, /* not ours, or not restored yet: nothing is known of it */
    LISTENING_IDLE,
    LISTENING_FETCHING, /* its request is with the fetcher */
    LISTENING_READY,    /* to be stepped again */
    LISTENING_STOPPED,  /* its cursor is not understood: a person has to look */
};

/* One source at run time. */
struct listening {
    const struct source_entry *entry;
    struct post_origin origin;
    int64_t epoch; /* since which change of the share it is ours; 0: it is not */
    struct standing standing;
    enum listening_phase phase;
    bool woken;            /* what it reads has changed: due now */
    int64_t asked_mono_us; /* when an ask to read it anew was last served; 0: never */
    size_t part;           /* one past its place among the group's parts; 0: it takes no part */

    /* the poll under way */
    void *state;
    struct source_poll poll;
    char *began_with; /* the cursor that poll borrows */
    bool any_status, first_page;
    int64_t found; /* posts that are new, edited or deleted */
    char *budget;  /* id of the one that its requests were taken from; NULL: none */
    int64_t budget_requests;
    bool moved;                      /* its cursor has changed since it began */
    bool holds_page;                 /* its reader goes through a page step by step */
    char *page_etag, *page_modified; /* of the first page */
    int64_t floor_us;                /* not sooner again, as the first page says */
    bool is_queued;                  /* among the ready ones */
    struct listening *next_ready;

    /* what is reported */
    bool finished;         /* with `once` */
    int64_t again_mono_us; /* likewise: not sooner; 0: at once */
    int64_t agains;
    int64_t later_us; /* how long a poll that goes on later asks to wait; 0: it does not say */
    bool elsewhere;   /* likewise: finished because another collector has it */
    enum collector_outcome outcome;
    struct intake_counts counts;
    int64_t undated_told; /* of them, what the log was told of */
    int64_t requests;
};

/* A source's part in the group: what holds once it is committed. */
struct part {
    struct listening *listening;
    struct intake_part intake;
    struct intake_counts counts;
    struct drift drift_before;
    int64_t failures_before; /* in a row */
    bool log_before;         /* the last was the log's */
    enum drift_change change;
    bool done;      /* its poll came to its end */
    bool later;     /* not that of what there is to read: it goes on */
    bool failed;    /* its poll failed */
    bool walked;    /* a walk into its past came to its end */
    int64_t gaps;   /* told by its reader */
    size_t misfits; /* likewise, that are new: the last ones of its standing */
    uint32_t ages[AGES_COUNT];
    bool red, news; /* of a failure: for good; of another kind than the last */
};

struct collector {
    struct collector_config config;
    struct stream_share *share;
    struct errands *errands;
    struct watch *watch; /* NULL with `once` */
    struct intake *intake;
    struct json_writer *writer;
    struct listening *items; /* [count] */
    size_t count;
    size_t owned;       /* sources that are ours */
    bool unsettled;     /* a source that is ours is still to be restored */
    bool share_away;    /* the group could not be asked: said once */
    struct part *parts; /* [part_count] of the open group */
    size_t part_count, part_capacity;
    bool commit_failed;                   /* in this turn: the rest waits for the next */
    size_t under_way;                     /* polls */
    size_t pages;                         /* polls that hold a page */
    size_t turn;                          /* where the next look for due ones starts */
    struct listening *ready, *ready_last; /* a queue */
    int64_t next_due_us;                  /* of the idle ones; wall time */
    int64_t looked_mono_us;               /* when due ones were last looked for; 0: never */
    int64_t house_mono_us;                /* when the log was last kept */
    bool paused;
    struct outage outage; /* our own */
    int64_t outage_us;    /* since when */
    size_t away_sources;  /* that nobody had asked for long: said once a turn */
    int64_t away_polls;
    bool
        is_crowded; /* COLLECTOR_POLLS_MAX are under way: others that are due wait for one to end */
};

int64_t collector_now_us(const struct collector *collector);

/* --- owner.c --- */

/* Serves the share, waiting up to timeout_ms for it: restores what is newly ours, lets go of what
 * is not any more. -1: EAR_FATAL, EAR_CONFIG, EAR_FENCED (the instance is used twice). */
EAR_MUST_CHECK
int owner_serve(struct collector *collector, int timeout_ms, struct ear_error *err);

/* Forgets all sources: each that is still ours is restored from the log at the next turn. */
void owner_drop_all(struct collector *collector);

/* Is the source still ours, as it was when it was restored? */
bool owner_has(const struct collector *collector, const struct listening *listening);

/* Restores a source from the log, whatever is known of it here; its poll must be over. -1:
 * EAR_RETRY, EAR_FATAL. */
EAR_MUST_CHECK
int owner_restore(struct collector *collector, struct listening *listening, struct ear_error *err);

/* --- again.c --- */

/* Lets sources that somebody asked for begin anew, as steps of the group. -1: EAR_FATAL,
 * EAR_CONFIG. */
EAR_MUST_CHECK
int again_serve(struct collector *collector, struct ear_error *err);

/* --- poll.c --- */

/* Begins a poll and makes its first step. -1: EAR_FATAL. */
EAR_MUST_CHECK
int poll_begin(struct collector *collector, struct listening *listening, struct ear_error *err);

/* The same for a walk into its past, on from where it was left. */
EAR_MUST_CHECK
int poll_begin_past(struct collector *collector, struct listening *listening,
                    struct ear_error *err);

/* Is the poll under way such a walk? */
static inline bool poll_is_past(const struct listening *listening)
{
    return listening->poll.backfill_since_us != 0;
}

/* A step; answer NULL: none was asked for. -1: EAR_FATAL. */
EAR_MUST_CHECK
int poll_step(struct collector *collector, struct listening *listening,
              const struct fetch_answer *answer, struct ear_error *err);

/* What the fetcher brought. -1: EAR_FATAL. */
EAR_MUST_CHECK
int poll_answered(struct collector *collector, struct listening *listening,
                  const struct fetch_answer *answer, struct ear_error *err);

/* Says that a poll came to its end, and that a source began or ceased to drift: once that is
 * committed. */
void poll_tell_done(const struct collector *collector, const struct listening *listening);
void poll_tell_drift(const struct collector *collector, const struct listening *listening,
                     enum drift_change change);

/* Lets go of the poll, at its end or before. */
void poll_end(struct collector *collector, struct listening *listening);

/* --- keep.c --- */

/* What the step found goes into the group, where there is something to commit. -1: as
 * group_keep; nothing of it is there. */
EAR_MUST_CHECK
int poll_keep_step(struct collector *collector, struct listening *listening,
                   const struct source_turn *turn, struct ear_error *err);

void poll_show_drift(const struct collector *collector, const struct listening *listening);

/* --- group.c --- */

/* The source's part in the open group, made where missing. Moves when another joins. NULL:
 * EAR_FATAL. */
struct part *group_join(struct collector *collector, struct listening *listening,
                        struct ear_error *err);

/* Ends the intake's step: it is in the group, as the source's part. As intake_keep. */
EAR_MUST_CHECK
int group_keep(struct collector *collector, struct listening *listening, const char *message,
               size_t length, struct ear_error *err);

/* Is it time to commit? */
bool group_is_full(const struct collector *collector);

/* Commits; lets take effect what was done, or restores the sources that took part. -1: EAR_FATAL.
 */
EAR_MUST_CHECK
int group_commit(struct collector *collector, struct ear_error *err);

/* --- books.c: completeness, as metrics and in the log --- */

/* A poll begins. */
void books_tell_begun(const struct collector *collector, const struct listening *listening,
                      const struct coverage_begun *begun);

/* What a part did to the books: once it is committed. */
void books_tell_part(const struct collector *collector, const struct part *part);

/* A host answered, or not: is our own network away? Says so once, and once that it is back. */
void books_note_answer(struct collector *collector, const struct listening *listening,
                       bool answered);

/* Says, once for all of them, that sources were not asked for long. */
void books_tell_away(struct collector *collector);

/* --- backfill.c: walks into the past --- */

/* Takes up what people asked for, as steps of the group. -1: EAR_FATAL, EAR_CONFIG. */
EAR_MUST_CHECK
int backfill_serve(struct collector *collector, struct ear_error *err);

/* Is there one to go on with now? The source must have been polled well before. */
bool backfill_is_due(const struct collector *collector, const struct listening *listening,
                     int64_t now_us);

/* A step of one brought so much and has come so far. */
void backfill_step(struct listening *listening, const struct intake_counts *counts,
                   int64_t reached_us);

/* --- failure.c --- */

/* The answer is no page: decides whether to wait or to show the source red. -1: EAR_FATAL. */
EAR_MUST_CHECK
int failure_of_answer(struct collector *collector, struct listening *listening,
                      const struct fetch_answer *answer, struct ear_error *err);

/* A step, or the beginning, failed with *err, which is cleared if the collector goes on. answer:
 * what the step was about; NULL: nothing. wait_us: not sooner again; 0: the reader does not say.
 * -1: EAR_FATAL. */
EAR_MUST_CHECK
int failure_of_step(struct collector *collector, struct listening *listening,
                    const struct fetch_answer *answer, int64_t wait_us, struct ear_error *err);

/* A step could not join the group: *err says why, and is cleared if the collector goes on. -1:
 * EAR_FATAL. */
EAR_MUST_CHECK
int failure_of_keeping(struct collector *collector, struct listening *listening,
                       struct ear_error *err);

/* The log did not take the group that the source, by now restored, took part in. -1: EAR_FATAL. */
EAR_MUST_CHECK
int failure_of_commit(struct collector *collector, const struct part *part,
                      const struct ear_error *why, struct ear_error *err);

/* The cursor is not understood, or of another reader: the source stops. */
void failure_of_cursor(struct collector *collector, struct listening *listening,
                       const struct ear_error *why);

/* Says what a poll failed of: once that is committed. */
void failure_tell(const struct collector *collector, const struct part *part);

#endif
