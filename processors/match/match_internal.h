/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_MATCH_MATCH_INTERNAL_H
#define EARSHOT_PROCESSORS_MATCH_MATCH_INTERNAL_H

#include "processors/match/match.h"

/* Stands where a word begins or ends; once where only white space lies between two words. */
enum { MATCH_MARKER = 0x01 };

enum { FOLD_BYTES = 10, FOLD_PAGE = 256, FOLD_PAGES = 0x110000 / FOLD_PAGE };

enum fold_kind {
    FOLD_UNKNOWN, /* not looked at yet */
    FOLD_SPACE,   /* ends a word, leaves nothing */
    FOLD_HYPHEN,  /* white space between words, else itself */
    FOLD_WORD,    /* part of a word */
    FOLD_OTHER,   /* ends a word, stands for itself */
    FOLD_NOTHING, /* invisible: as if it were not there */
};

/* What becomes of one code point. */
struct fold {
    uint8_t kind;
    uint8_t length;
    char bytes[FOLD_BYTES];
};

struct match_text {
    char *folded;
    uint32_t *point; /* [length] the code point that each folded byte comes from */
    size_t length, capacity;
    uint32_t *words; /* [word_count] where each word's marker lies in `folded` */
    size_t word_count, word_capacity;
    struct fold *pages[FOLD_PAGES]; /* made when a character of theirs is first met */
};

#endif
