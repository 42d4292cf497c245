/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_SINKS_TAPE_H
#define EARSHOT_TESTS_SINKS_TAPE_H

/*
 * What the tests of the sink share: a log in memory whose messages are written down like a
 * sentence, a store (in a temporary folder, or in a schema of database.h), and what it holds as
 * text, so that two stores can be compared. Everything here fails the test instead of returning an
 * error.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/stream/stream.h"
#include "sinks/apply/apply.h"
#include "sinks/store/store.h"

enum { TAPE_PARTITIONS = 4, TAPE_TOPICS = 6 };

/* 2026-11-22T08:00:00Z, a Sunday: now, in the tests. */
#define TAPE_NOW_US INT64_C(1795334400000000)

struct tape {
    struct stream_message *messages; /* in the order written */
    size_t count, room;
    int64_t next[TAPE_TOPICS][TAPE_PARTITIONS]; /* offsets by topic and partition */
};

void tape_clear(struct tape *tape);

/* Adds a message whose value is printed; the key says the partition. A NULL format is a tombstone.
 */
void tape_add(struct tape *tape, const char *topic, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * An insight of a post: id, version, model, author ('' none) and text, said `age_us` before now,
 * with the members of "insight" that are given as JSON ("\"labels\":[\"wish\"]", may be "").
 */
void tape_post(struct tape *tape, const char *id, int64_t version, const char *model,
               const char *source, const char *author, const char *text, int64_t age_us,
               const char *insight);

/* One store that a test works on. */
struct shelf {
    char folder[64];
    char url[300], schema[16];
    struct store *store;
    struct apply *apply;
    struct apply_config config;
};

void shelf_open(struct shelf *shelf);
/* Closes and opens it again, as after a crash between two batches. */
void shelf_reopen(struct shelf *shelf);
void shelf_close(struct shelf *shelf);

/* Applies messages [from, to) of the tape as one batch; returns what it did. */
struct apply_stats shelf_apply(struct shelf *shelf, const struct tape *tape, size_t from,
                               size_t to);
/* Applies all of it, in batches of `size`. */
struct apply_stats shelf_apply_all(struct shelf *shelf, const struct tape *tape, size_t size);
/* What the holder does: copies; copies and roll-ups. */
void shelf_copies(struct shelf *shelf);
void shelf_rollups(struct shelf *shelf);

/* The rows of a query as text, columns divided by '|', a row a line; caller frees. */
char *shelf_rows(struct shelf *shelf, enum store_query query, int columns);
int64_t shelf_number(struct shelf *shelf, enum store_query query);
/* Facts as text, all columns, once copies are settled. */
char *shelf_facts(struct shelf *shelf);
/* The value of a counter. */
int64_t shelf_counter(struct shelf *shelf, const char *name);

/* Fails unless the text has that many lines containing `part` (and `also`, unless NULL). */
void assert_lines(const char *text, const char *part, const char *also, size_t wanted);

#endif
