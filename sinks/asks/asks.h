/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_ASKS_ASKS_H
#define EARSHOT_SINKS_ASKS_ASKS_H

/*
 * Asks: a question put out, a contest, an invitation. People decide one (`earshot ask`), which says
 * where the answers come: a thread, by its address, or sources. What belongs to it follows from the
 * decisions and the posts alone, whichever came first, and however often one of them changes: it is
 * told when somebody looks, and stored nowhere. Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct ask;
struct store;

enum { ASK_SOURCES_MAX = 32, ASKS_MAX = 10000 };

/* As the decisions about it have it, the later ones over the earlier; strings are its own. */
struct ask {
    char *id, *title;
    char *thread;                   /* an address without its fragment; NULL: none */
    char *sources[ASK_SOURCES_MAX]; /* [source_count] */
    size_t source_count;
    int64_t at_us;              /* decided */
    int64_t since_us, until_us; /* INT64_MIN, INT64_MAX: open */
    bool ended;                 /* by hand */
};

struct asks {
    struct ask *items; /* [count], by the order in which they were decided first */
    size_t count;
};

/* All that the store knows of. -1: EAR_FATAL. */
EAR_MUST_CHECK
int asks_load(struct asks *out, struct store *store, struct ear_error *err);
void asks_clear(struct asks *asks);
const struct ask *asks_find(const struct asks *asks, const char *id); /* NULL: none */

/* --- what belongs to one --- */

struct ask_filter;

/* Looks the thread up in the store. Both are borrowed. -1: EAR_FATAL, EAR_RETRY. */
EAR_MUST_CHECK
int ask_filter_new(struct ask_filter **out, struct store *store, const struct ask *ask,
                   struct ear_error *err);
void ask_filter_free(struct ask_filter *filter);

/* Whether a stored post belongs to the ask: *out. -1: EAR_FATAL, EAR_RETRY. */
EAR_MUST_CHECK
int ask_filter_fits(bool *out, const struct ask_filter *filter, int64_t row, struct ear_error *err);

#endif
