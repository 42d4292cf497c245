/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_INSTANT_INSTANT_INTERNAL_H
#define EARSHOT_COMMON_INSTANT_INSTANT_INTERNAL_H

/*
 * What the files behind common/instant.h share: the calendar, and a reader of digits. Calendar
 * arithmetic is Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms", exact for every
 * year, without a table.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/instant.h"

enum { SECONDS_A_DAY = 86400, SECONDS_AN_HOUR = 3600 };

/* A date and a time of day as one writes them; offset_s is east of UTC. */
struct civil {
    int64_t year; /* 1..9999 */
    int month;    /* 1..12 */
    int day;      /* 1..31 */
    int hour;     /* 0..23 */
    int minute;   /* 0..59 */
    int second;   /* 0..60: a leap second is taken as the first second of the next minute */
    int64_t micros;
};

/* Days since 1970-01-01 of a date, and back. */
int64_t civil_days(int64_t year, int month, int day);
void civil_from_days(int64_t days, int64_t *year, int *month, int *day);

/* The fields are a date of the calendar and a time of day. */
bool civil_valid(const struct civil *civil);

/* Seconds since 1970 as if the fields were UTC; without the micros. */
int64_t civil_seconds(const struct civil *civil);

/* a divided by b (b > 0), rounded down: -1 / 10 is -1. */
int64_t floor_div(int64_t a, int64_t b);

/* Text that is being read: what is left of it. */
struct cursor_text {
    const char *at;
    const char *end;
};

/* Reads exactly `digits` digits; false leaves the text where it was. */
bool read_digits(struct cursor_text *text, int digits, int *out);

/* Reads the character c; false leaves the text where it was. */
bool read_char(struct cursor_text *text, char c);

/* Reads ".5" or ",5" if it stands there: any number of digits, those beyond microseconds dropped.
 * False: a separator without digits. */
bool read_fraction(struct cursor_text *text, int64_t *micros);

/* Reads 1 to `most` digits; returns how many, 0 if none stands there. */
int read_number(struct cursor_text *text, int most, int64_t *out);

/*
 * The rule of a TZif footer (RFC 8536, section 3.3; POSIX TZ), such as
 * "CET-1CEST,M3.5.0,M10.5.0/3": what holds after the last transition. Offsets are seconds east.
 */
struct zone_change {
    char kind; /* 'M': month, week, weekday; 'J': day 1..365, never 29 February; 'N': day 0..365 */
    int month, week, weekday, day;
    int64_t time_s; /* of local time, may be negative or beyond a day */
};

struct zone_rule {
    bool daylight; /* false: offset_s holds for ever */
    int64_t offset_s, daylight_offset_s;
    struct zone_change start, end; /* of daylight saving time */
};

bool zone_rule_parse(struct zone_rule *out, const char *text, size_t length);
int64_t zone_rule_offset_s(const struct zone_rule *rule, int64_t at_s);

/* What a word of a date means, case ignored. */
enum word_kind {
    WORD_UNKNOWN,
    WORD_MONTH,     /* value: 1..12; long or short, in the bigger European languages */
    WORD_ZONE,      /* value: seconds east */
    WORD_MORNING,   /* am */
    WORD_AFTERNOON, /* pm */
    WORD_FILLER,    /* "at", "um", "de": says nothing */
};

/* Looks a word up; length bytes of letters (or bytes from 0x80 on). */
enum word_kind word_look_up(const char *word, size_t length, int64_t *value);

/* Reads a TZif file's bytes; `name` is for messages. Caller closes. */
EAR_MUST_CHECK
int zone_from_tzif(struct zone **out, const unsigned char *bytes, size_t length, const char *name,
                   struct ear_error *err);

/* The instant that the local fields name in a zone (NULL: UTC). Skipped by a clock change: as much
 * after the change. Twice: the first. */
int64_t zone_civil_us(const struct zone *zone, const struct civil *civil);

#endif
