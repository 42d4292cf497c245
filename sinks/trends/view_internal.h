/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_TRENDS_VIEW_INTERNAL_H
#define EARSHOT_SINKS_TRENDS_VIEW_INTERNAL_H

/* What the files of the views share. */

#include <stdio.h>

#include "common/command/command.h"
#include "common/json/json.h"
#include "sinks/store/store.h"
#include "sinks/trends/view.h"

/* The words of a filter that facts know by number. */
enum view_word {
    WORD_BRAND,
    WORD_COMPETITOR,
    WORD_LABEL,
    WORD_THEME,
    WORD_TOUCHPOINT,
    WORD_CHANNEL,
    WORD_SOURCE,
    WORD_LANG,
    WORD_COUNT,
};

enum { WORD_UNSAID = -1, WORD_ANY = -2 };

/* --- tally.c: what is counted of a set of posts --- */

enum { TALLY_SAMPLE = 4 };

struct tally_set {
    int64_t *slots; /* open addressing; 0 is empty */
    size_t size, count;
};

struct tally {
    int64_t posts;
    struct tally_set people, threads;
    int64_t first_us, last_us;
    int64_t sample[TALLY_SAMPLE]; /* rows, newest first; copies stay out */
    int64_t sample_us[TALLY_SAMPLE];
    size_t sample_count;
};

EAR_MUST_CHECK
int tally_add(struct tally *tally, const struct view_post *post, struct ear_error *err);
void tally_clear(struct tally *tally);

/* --- print.c: what all tables and JSON views have in common --- */

/* "2026-11-22" in the view's zone; "22 Nov 2026" for people. */
const char *print_day(char *out, size_t size, const struct view *view, int64_t at_us);

/* Columns of the terminal, 80 to 160; 100 where there is none. */
int print_width(void);

/* Text in one line, cut to so many columns, with an ellipsis; control characters left out. Returns
 * the columns used. */
int print_cut(FILE *out, const char *text, int columns);

/* The same as a cell of a table: filled up with blanks to the width. */
void print_cell(FILE *out, const char *text, int columns);

/* The head of a view's JSON object, up to and with "rows":[. */
void print_head(struct json_writer *writer, const struct view *view,
                const struct view_complete *complete);

/* Writes out what the writer holds and resets it. */
EAR_MUST_CHECK
int print_flush(struct json_writer *writer, FILE *out, struct ear_error *err);

/* The lines under a table: as of when, how counted, how complete. */
void print_foot(FILE *out, const struct view *view, const struct view_complete *complete,
                const char *rule);

/* A list of post ids of rows. */
EAR_MUST_CHECK
int print_sample(struct json_writer *writer, const struct view *view, const struct tally *tally,
                 struct ear_error *err);

/* --- labels.c: how labels are called and ordered --- */

/* Criticism first: complaint, wish, praise, then the others. */
size_t label_rank(const char *label);

/* "Complaints"; a label that is not known by heart is called what it is. */
const char *label_title(const char *label);

/* --- list.c --- */

/* One row a post, newest first: those with the label (NULL: all). */
int list_command(const struct command_call *call, const char *label, struct ear_error *err);

#endif
