/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_STAGES_SIGNALS_VOCABULARY_H
#define EARSHOT_PROCESSORS_STAGES_SIGNALS_VOCABULARY_H

/*
 * What the stage signals looks for: one or more YAML files read into one automaton. Each phrase
 * leads to an entry that says what it means: a signal (kind and value), a word that negates, an end
 * of the reach of negation, or words that mean nothing although smaller phrases lie in them ("in
 * order to"). signals.yaml tells the format.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/option.h"
#include "processors/match/match.h"

enum vocabulary_meaning {
    VOCABULARY_SIGNAL,
    VOCABULARY_NEGATES,        /* what comes after it */
    VOCABULARY_NEGATES_BEFORE, /* what came before it */
    VOCABULARY_BREAKS,
    VOCABULARY_IGNORE,
};

enum vocabulary_negated {
    VOCABULARY_KEEP,  /* says the same, marked: "no delivery yet" speaks of delivery */
    VOCABULARY_DROP,  /* says nothing when negated: "not urgent" */
    VOCABULARY_OTHER, /* says something else when negated: "wouldn't recommend" */
};

struct vocabulary_entry {
    enum vocabulary_meaning meaning;
    const char *kind, *value; /* of a signal; live as long as the vocabulary */
    enum vocabulary_negated negated;
    const char *other; /* VOCABULARY_OTHER: the value then */
    const char *lang;  /* NULL: any language */
};

struct vocabulary {
    struct match *match;              /* tag: index of the entry */
    struct vocabulary_entry *entries; /* [entry_count] */
    size_t entry_count, entry_capacity;
    int64_t before_words, after_words; /* how far negation reaches, in words */
    struct config *config;             /* owns the strings */
};

/*
 * Reads files[]: "builtin" is share_dir/signals.yaml, other names start at base_dir; the last
 * file's reach of negation holds. -1: EAR_CONFIG with FILE:LINE:COL of the first fault, EAR_FATAL.
 * Caller clears, also after a failure. Threads: any number may read one.
 */
EAR_MUST_CHECK
int vocabulary_init(struct vocabulary *out, const struct ear_strings *files, const char *share_dir,
                    const char *base_dir, struct ear_error *err);
void vocabulary_clear(struct vocabulary *vocabulary);

#endif
