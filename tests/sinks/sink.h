/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_SINKS_SINK_H
#define EARSHOT_TESTS_SINKS_SINK_H

/*
 * earshot-sink as a program, in tests: a data folder of its own, the log filled from a tape,
 * commands run in it at the tape's now. Everything here fails the test instead of returning an
 * error.
 */

#include <stddef.h>

#include "tests/sinks/tape.h"

struct sink {
    char folder[64]; /* the data folder; removed at the end */
    char schema[16]; /* of the store, where it is one on PostgreSQL (database.h) */
};

/* Makes the folder and points EARSHOT_DATA and EARSHOT_NOW to it. */
void sink_open(struct sink *sink);
void sink_close(struct sink *sink);

/* Takes the store away, whatever else it is known by; "" the sink's own, or what a rebuild made. */
void sink_lose_store(const struct sink *sink, const char *name);

/* Publishes all messages of a tape to the log, in one transaction. */
void sink_publish(const struct tape *tape);

/* How many messages a topic of the log holds. */
size_t sink_count(const char *topic);

/* Runs earshot-sink with words divided by blanks; returns what it printed (caller frees). The test
 * fails unless it ends with `code`. */
char *sink_run(const char *words, int code);

/* The same, and throws the output away. */
void sink_do(const char *words, int code);

/* A file of the data folder as text; caller frees. NULL: there is none. */
char *sink_file(const struct sink *sink, const char *name);

#endif
