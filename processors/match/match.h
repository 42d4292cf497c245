/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_MATCH_MATCH_H
#define EARSHOT_PROCESSORS_MATCH_MATCH_H

/*
 * Finds any number of phrases in a text in one pass, as people write them: upper or lower case,
 * words whole, white space and line ends alike.
 *
 * Two ideas. A text is made ready first (struct match_text): folded, its white space dropped, a
 * marker byte put where a word begins or ends; phrases go through the same, so "whole words" is
 * nothing but bytes that must be equal. And the phrases are one Aho–Corasick automaton over those
 * bytes: the time depends on the text, not on how many phrases there are.
 *
 * "Acme" is found in "ACME's" and "#acme", not in "acmephone". A phrase that ends in * stands for
 * every word that begins so: "deliver*". A hyphen or underscore between words is white space:
 * "set-up" is "set up". Writing without spaces between words (Chinese, Japanese, Korean, Thai) is
 * matched anywhere.
 *
 * Source: Aho and Corasick 1975, "Efficient string matching: an aid to bibliographic search".
 */

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum {
    MATCH_PHRASE_MAX = 512,       /* bytes of a phrase, folded */
    MATCH_PHRASES_MAX = 200000,   /* of one automaton */
    MATCH_TEXT_MAX = 1024 * 1024, /* bytes of a text that are looked at; the rest is ignored */
    MATCH_TABLE_MAX = 256 << 20,  /* bytes of an automaton's table */
};

struct match;      /* the automaton; never changes once built */
struct match_text; /* a text made ready; used again for the next */

EAR_MUST_CHECK
int match_new(struct match **out, struct ear_error *err);
void match_free(struct match *match);

/*
 * Adds a phrase (UTF-8), before match_build. `tag` comes back with each hit; the same phrase may be
 * added with several. -1: EAR_CONFIG (nothing left of it when folded, too long, too many),
 * EAR_FATAL.
 */
EAR_MUST_CHECK
int match_add(struct match *match, const char *phrase, size_t length, uint32_t tag,
              struct ear_error *err);

/* Builds the automaton; afterwards nothing can be added, and any number of threads may search. -1:
 * EAR_CONFIG (beyond MATCH_TABLE_MAX), EAR_FATAL. */
EAR_MUST_CHECK
int match_build(struct match *match, struct ear_error *err);

EAR_MUST_CHECK
int match_text_new(struct match_text **out, struct ear_error *err);
void match_text_free(struct match_text *text);

/* Makes a text ready. Bytes that are not UTF-8 count as one code point each and match nothing.
 * Borrowed for the call. -1: EAR_FATAL. */
EAR_MUST_CHECK
int match_text_set(struct match_text *text, const char *bytes, size_t length,
                   struct ear_error *err);

/* Where a phrase was found. */
struct match_hit {
    uint32_t tag;
    uint32_t start, end;           /* code points of the text, end exclusive */
    uint32_t first_word, end_word; /* numbers of words, end exclusive; punctuation lies between */
};

/*
 * Every place where a phrase stands, overlapping ones too: by start, the longest first, equal ones
 * by tag. At most max of them (those that end first); returns how many. Threads: any number
 * on one automaton, one at a time per text.
 */
size_t match_find(const struct match *match, const struct match_text *text, struct match_hit hits[],
                  size_t max);

#endif
