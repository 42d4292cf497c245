/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "common/instant/instant_internal.h"

/*
 * Months as feeds and survey exports write them: English, German, French, Spanish, Italian,
 * Portuguese, Dutch, Polish, Swedish. A word is a month if it begins with one of the stems below
 * and the stem is long enough to be no other month; "mar" is March, "mai" May.
 */
static const char *const month_stems[12][12] = {
    {"jan", "jän", "ene", "gen", "stycz", "sty"},
    {"feb", "fév", "fev", "lut"},
    {"mar", "mär", "mrz", "maa", "mrt"},
    {"apr", "avr", "abr", "kwi"},
    {"may", "mai", "mag", "mei", "maj"},
    {"jun", "juin", "giu", "czerw", "cze"},
    {"jul", "juil", "lug", "lip"},
    {"aug", "aoû", "aou", "ago", "sie"},
    {"sep", "set", "wrz"},
    {"oct", "okt", "ott", "out", "paź", "paz"},
    {"nov", "lis"},
    {"dec", "dez", "déc", "dic", "gru"},
};

/* RFC 822 (American and military Z), and what other servers are fond of. Where a name has several
 * meanings, such as IST, it is none. */
static const struct {
    const char *name;
    int minutes;
} zones[] = {
    {"z", 0},      {"ut", 0},      {"utc", 0},     {"gmt", 0},    {"wet", 0},    {"est", -300},
    {"edt", -240}, {"cst", -360},  {"cdt", -300},  {"mst", -420}, {"mdt", -360}, {"pst", -480},
    {"pdt", -420}, {"akst", -540}, {"akdt", -480}, {"hst", -600}, {"west", 60},  {"bst", 60},
    {"cet", 60},   {"mez", 60},    {"cest", 120},  {"mesz", 120}, {"eet", 120},  {"eest", 180},
    {"msk", 180},  {"jst", 540},   {"kst", 540},   {"aest", 600}, {"aedt", 660}, {"nzst", 720},
    {"nzdt", 780}, {"brt", -180},
};

static const char *const fillers[] = {"at", "um",   "uhr", "de", "del", "of", "the", "à",
                                      "le", "alle", "kl",  "o",  "om",  "h",  "on"};

static bool is_word(const char *word, size_t length, const char *known)
{
    return strlen(known) == length && strncasecmp(word, known, length) == 0;
}

static int month_of(const char *word, size_t length)
{
    for (int month = 0; month < 12; month++) {
        for (size_t i = 0; month_stems[month][i] != NULL; i++) {
            size_t stem = strlen(month_stems[month][i]);

            if (length >= stem && strncasecmp(word, month_stems[month][i], stem) == 0) {
                return month + 1;
            }
        }
    }
    return 0;
}

enum word_kind word_look_up(const char *word, size_t length, int64_t *value)
{
    enum { MONTH_LONGEST = 16 }; /* "października" has 13 bytes */
    int month;

    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        if (is_word(word, length, zones[i].name)) {
            *value = zones[i].minutes * INT64_C(60);
            return WORD_ZONE;
        }
    }
    if (is_word(word, length, "am")) {
        return WORD_MORNING;
    }
    if (is_word(word, length, "pm")) {
        return WORD_AFTERNOON;
    }
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        if (is_word(word, length, fillers[i])) {
            return WORD_FILLER;
        }
    }
    month = length <= MONTH_LONGEST ? month_of(word, length) : 0;
    *value = month;
    return month != 0 ? WORD_MONTH : WORD_UNKNOWN;
}
