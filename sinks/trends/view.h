/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_TRENDS_VIEW_H
#define EARSHOT_SINKS_TRENDS_VIEW_H

/*
 * What every view is made of: which posts it looks at (the filter), a walk over the facts of a
 * period, post by post, and how complete what it saw is. Views read a snapshot of the store and
 * write nothing.
 *
 * Counting rules (views.md): the unit is the person; a copy is no person; our own accounts and our
 * own staff are not customers. Time is when it was said.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ages.h"
#include "common/error.h"
#include "common/option.h"

struct ask_filter;
struct asks;
struct command_call;
struct settings;
struct store;
struct zone;

/* As people type it; NULL: not given. Filled by view_options. */
struct view_options {
    const char *brand, *competitor, *label, *theme, *touchpoint, *segment, *channel, *source, *tag;
    const char *lang, *contains, *since, *until, *audience, *feed, *ask;
    int64_t limit; /* rows of a table; 0: all */
    bool posts;
};

extern const struct ear_option view_options[];

/* A view under way. */
struct view {
    struct store *store; /* NULL: there is none yet, and nothing to see */
    const struct zone *zone;
    const struct view_options *options;
    int64_t now_us, since_us, until_us;
    int64_t before_us;  /* the previous equal period begins here and ends at since_us */
    int64_t numbers[8]; /* of the words of the filter, by enum view_word; -1 nobody said it yet, -2
                           not asked for */
    int audience;       /* -1: all */
    bool impossible;    /* a word of the filter occurs nowhere */
    char *contains;     /* folded; NULL: not asked for */
    struct asks *asks;  /* read where --ask was given; NULL: not */
    struct ask_filter *ask_filter; /* NULL: whatever it answers */
    bool borrowed;                 /* the store is not ours to close */
    char **names;                  /* [name_count] words by number; NULL where unused */
    size_t name_count;
};

/* Opens the store read-only (a store that does not exist yet is an empty view), reads the filter
 * and the period. all_time: without --since everything counts. Returns 0; EXIT_USAGE where the
 * options make no sense, which was said; -1. */
EAR_MUST_CHECK
int view_open(struct view *view, const struct command_call *call, bool all_time,
              struct ear_error *err);
void view_close(struct view *view);

/* A view over a store that is open already, which is borrowed: customers, all that they said. */
EAR_MUST_CHECK
int view_over(struct view *view, struct store *store, const struct zone *zone, int64_t now_us,
              struct ear_error *err);

/* The word of a number; "" where there is none. */
const char *view_name(const struct view *view, int64_t number);

enum { VIEW_WORDS_MAX = 32 };

/* One post of the walk. */
struct view_post {
    int64_t row, day, created_us;
    int64_t person; /* 0: a copy, nobody */
    int64_t thread;
    int64_t brands[VIEW_WORDS_MAX], labels[VIEW_WORDS_MAX], touchpoints[VIEW_WORDS_MAX];
    size_t brand_count, label_count, touchpoint_count;
};

/* Calls visit for each post said in [since_us, until_us) that the filter lets through, by day.
 * visit returns -1 with err to stop. */
EAR_MUST_CHECK
int view_walk(const struct view *view, int64_t since_us, int64_t until_us,
              int (*visit)(void *user, const struct view_post *post, struct ear_error *err),
              void *user, struct ear_error *err);

/* --- completeness --- */

enum { VIEW_SOURCES_MAX = 64, VIEW_SOURCE_SIZE = 96, VIEW_GAPS_MAX = 16 };

/* A stretch of time of which posts may be missing. */
struct view_gap {
    char source[VIEW_SOURCE_SIZE], kind[16], why[200];
    int64_t from_us, to_us; /* from_us 0: unknown since when */
    int64_t polls;
};

struct view_complete {
    size_t sources, healthy, late, red;
    char late_names[VIEW_SOURCES_MAX][VIEW_SOURCE_SIZE];
    char red_names[VIEW_SOURCES_MAX][VIEW_SOURCE_SIZE];
    int64_t planned, made;     /* polls of the view's period, as far as the books go back */
    uint32_t ages[AGES_COUNT]; /* of posts when they came */
    struct view_gap gaps[VIEW_GAPS_MAX]; /* the latest first */
    size_t gap_count;                    /* all of them */
};

/*
 * How the sources fare: red where a person has to look; late where the last success is three
 * intervals (and ten minutes) ago. And how completely they were listened to in the view's period
 * (hours that touch it), or that one of them was by which the view is filtered: polls that
 * stretches without any would have had count by the part of them that lies in the period; so do
 * those that a source has missed since its collector last wrote.
 */
EAR_MUST_CHECK
int view_completeness(struct view_complete *out, const struct view *view, struct ear_error *err);

/* --- the commands --- */

int asks_command(const struct command_call *call, struct ear_error *err);
int trends_command(const struct command_call *call, struct ear_error *err);
int wishes_command(const struct command_call *call, struct ear_error *err);
int complaints_command(const struct command_call *call, struct ear_error *err);
int praise_command(const struct command_call *call, struct ear_error *err);

#endif
