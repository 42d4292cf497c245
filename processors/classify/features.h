/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_CLASSIFY_FEATURES_H
#define EARSHOT_PROCESSORS_CLASSIFY_FEATURES_H

/*
 * From text to hashed words: what training/features.py does, to the bit. Characters fall into
 * classes (features.c has the table); a token is a run of word characters, folded; a run of ? or of
 * !; one emoji; or a mask: a URL, a handle, a number. Sentences end at . ! ? … before white space
 * (not after an abbreviation), at line ends, and after FEATURES_SENTENCE_MAX tokens.
 *
 * A token's hash is FNV-1a (64 bit) of its folded bytes; a group of two or three combines the
 * hashes of its tokens. A feature is a hash's top 16 bits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { FEATURES_BUCKETS = 1 << 16, FEATURES_SENTENCE_MAX = 200, FEATURES_GROUP_MAX = 3 };

struct feature_token {
    uint64_t hash;
    uint32_t start, end; /* bytes of the text */
};

struct feature_sentence {
    struct feature_token tokens[FEATURES_SENTENCE_MAX];
    size_t count;
    uint32_t start, end; /* bytes of the text, white space trimmed */
};

/*
 * The next sentence that has a token, from byte *at on; moves *at past it. 1 found, 0 no more, -1
 * EAR_FATAL. text: UTF-8 in NFC, valid.
 */
EAR_MUST_CHECK
int features_next_sentence(const char *text, size_t length, size_t *at,
                           struct feature_sentence *out, struct ear_error *err);

/* Appends a sentence to the one before it, as far as FEATURES_SENTENCE_MAX allows. */
void features_join(struct feature_sentence *into, const struct feature_sentence *next);

/* The feature of the group of `size` (1..3) tokens that begins at tokens[0]. */
uint32_t features_group(const struct feature_token *tokens, size_t size);

#endif
