/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_NAMES_H
#define EARSHOT_SINKS_NAMES_H

/*
 * Numbers for words that facts repeat (brands, labels, touch points, channels, …): the table `name`
 * of the store, with a bounded cache in front. Threads: one at a time.
 */

#include <stdint.h>

#include "common/error.h"
#include "sinks/store/store.h"

struct names;

/*
 * On a store that others write too, words are given their numbers through `adder`, a handle of its
 * own that is never in a transaction: a word is there for all at once, and nobody waits for a
 * transaction that has added one. NULL: through the store itself.
 */
EAR_MUST_CHECK
int names_new(struct names **out, struct store *store, struct store *adder, struct ear_error *err);
void names_free(struct names *names);

/* The number of a word, given to it now if it has none; '' (and NULL) is 0. Inside a transaction of
 * the store. -1: failed. */
EAR_MUST_CHECK
int64_t names_number(struct names *names, const char *word, struct ear_error *err);

/* The transaction was rolled back: what it named is unknown again. */
void names_forget(struct names *names);

/* The number of a word that exists: 0 for '', -1 where nobody said it yet, -2 failed. For readers.
 */
EAR_MUST_CHECK
int64_t names_find(struct store *store, const char *word, struct ear_error *err);

#endif
