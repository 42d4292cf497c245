/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/clock.h"
#include "common/instant/instant_internal.h"

/*
 * A reader of dates that goes from left to right and takes what each piece can only be: digits
 * before a colon are a time, four digits a year, a word a month, a zone or half of the day. It
 * accepts whatever then has a day, a month and a year, each once, and nothing it does not know, but
 * for one word in front: the name of the weekday, in any language.
 */

enum { TEXT_LIMIT = 80 };

struct reading {
    struct cursor_text rest;
    struct civil civil; /* 0 where not read yet: year, month, day */
    bool has_time;
    bool has_offset;
    bool has_half;
    bool any_number; /* a weekday stands before all numbers */
    bool weekday;
    bool month_in_front; /* before all numbers: may turn out to be a weekday, such as "mardi" */
    int64_t offset_s;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* The character `ahead` from here; NUL beyond the end. */
static char peek(const struct cursor_text *text, size_t ahead)
{
    if ((size_t)(text->end - text->at) <= ahead) {
        return '\0';
    }
    return text->at[ahead];
}

static size_t digits_ahead(const struct cursor_text *text)
{
    size_t count = 0;

    while (is_digit(peek(text, count))) {
        count++;
    }
    return count;
}

/* RFC 5322, section 4.3: 26 is 2026, 98 is 1998, 126 is 2026. */
static int64_t full_year(int64_t year, int digits)
{
    if (digits == 2) {
        return year < 50 ? 2000 + year : 1900 + year;
    }
    return digits == 3 ? 1900 + year : year;
}

static bool set_date(struct reading *reading, int64_t year, int64_t month, int64_t day)
{
    if (reading->civil.year != 0 || reading->civil.month != 0 || reading->civil.day != 0) {
        return false;
    }
    reading->civil.year = year;
    reading->civil.month = (int)month;
    reading->civil.day = (int)day;
    return true;
}

/* hh:mm[:ss[.fraction]] */
static bool read_clock(struct reading *reading)
{
    struct civil *civil = &reading->civil;
    int64_t hour = 0;

    if (reading->has_time || read_number(&reading->rest, 2, &hour) == 0 ||
        !read_char(&reading->rest, ':') || !read_digits(&reading->rest, 2, &civil->minute)) {
        return false;
    }
    civil->hour = (int)hour;
    reading->has_time = true;
    if (!read_char(&reading->rest, ':')) {
        return true;
    }
    if (!read_digits(&reading->rest, 2, &civil->second)) {
        return false;
    }
    if (peek(&reading->rest, 0) == ',' && !is_digit(peek(&reading->rest, 1))) {
        return true; /* "08:00:00, 20 Nov 2026" */
    }
    return read_fraction(&reading->rest, &civil->micros);
}

/* "hhmm" or "hhmmss" after the T of a compact date. */
static bool read_compact_clock(struct reading *reading)
{
    struct civil *civil = &reading->civil;

    reading->has_time = true;
    if (!read_digits(&reading->rest, 2, &civil->hour) ||
        !read_digits(&reading->rest, 2, &civil->minute)) {
        return false;
    }
    if (!is_digit(peek(&reading->rest, 0))) {
        return true;
    }
    return read_digits(&reading->rest, 2, &civil->second) &&
           read_fraction(&reading->rest, &civil->micros);
}

/* A T between date and time. */
static bool skip_t(struct reading *reading)
{
    char c = peek(&reading->rest, 0);

    if ((c == 'T' || c == 't') && is_digit(peek(&reading->rest, 1))) {
        reading->rest.at++;
        return true;
    }
    return false;
}

/* yyyymmdd[Thhmm[ss]] */
static bool read_compact_date(struct reading *reading)
{
    int year = 0;
    int month = 0;
    int day = 0;

    if (!read_digits(&reading->rest, 4, &year) || !read_digits(&reading->rest, 2, &month) ||
        !read_digits(&reading->rest, 2, &day) || !set_date(reading, year, month, day)) {
        return false;
    }
    return !skip_t(reading) || read_compact_clock(reading);
}

/* yyyy-mm[-dd], also with slashes and points. */
static bool read_year_first(struct reading *reading)
{
    int64_t month = 0;
    int64_t day = 1;
    int year = 0;
    char separator;

    if (!read_digits(&reading->rest, 4, &year)) {
        return false;
    }
    separator = *reading->rest.at++;
    if (read_number(&reading->rest, 2, &month) == 0) {
        return false;
    }
    if (read_char(&reading->rest, separator) && read_number(&reading->rest, 2, &day) == 0) {
        return false;
    }
    if (!set_date(reading, year, month, day)) {
        return false;
    }
    if (skip_t(reading) && peek(&reading->rest, 2) != ':') {
        return read_compact_clock(reading);
    }
    return true;
}

/* 20.11.2026, 11/20/2026: with points the day comes first, else the month, unless that cannot be.
 */
static bool read_year_last(struct reading *reading)
{
    int64_t first = 0;
    int64_t second = 0;
    int64_t year = 0;
    int digits;
    char separator;
    bool day_first;

    if (read_number(&reading->rest, 2, &first) == 0) {
        return false;
    }
    separator = *reading->rest.at++;
    if (read_number(&reading->rest, 2, &second) == 0 || !read_char(&reading->rest, separator)) {
        return false;
    }
    digits = read_number(&reading->rest, 4, &year);
    if (digits != 2 && digits != 4) {
        return false;
    }
    day_first = separator == '.' ? second <= 12 : first > 12;
    return set_date(reading, full_year(year, digits), day_first ? second : first,
                    day_first ? first : second);
}

/* A number alone: the day, then the year; "20th", "20." */
static bool read_plain_number(struct reading *reading)
{
    static const char *const ordinals[] = {"st", "nd", "rd", "th"};
    int64_t value = 0;
    int digits = read_number(&reading->rest, 4, &value);

    if (is_digit(peek(&reading->rest, 0))) {
        return false;
    }
    if (digits <= 2 && reading->civil.day == 0) {
        reading->civil.day = (int)value;
        for (size_t i = 0; i < sizeof ordinals / sizeof ordinals[0]; i++) {
            if (peek(&reading->rest, 0) == ordinals[i][0] &&
                peek(&reading->rest, 1) == ordinals[i][1]) {
                reading->rest.at += 2;
                break;
            }
        }
        return value != 0;
    }
    if (digits >= 2 && reading->civil.year == 0) {
        reading->civil.year = full_year(value, digits);
        return true;
    }
    return false;
}

static bool read_digits_piece(struct reading *reading)
{
    size_t count = digits_ahead(&reading->rest);
    char after = peek(&reading->rest, count);
    bool number_after = is_digit(peek(&reading->rest, count + 1));
    bool separated = (after == '-' || after == '/' || after == '.') && number_after;

    reading->any_number = true;
    if (count <= 2 && after == ':') {
        return read_clock(reading);
    }
    if (count == 4 && separated) {
        return read_year_first(reading);
    }
    if (count <= 2 && separated) {
        return read_year_last(reading);
    }
    if (count == 8) {
        return read_compact_date(reading);
    }
    return read_plain_number(reading);
}

/* ±hh:mm, ±hhmm or ±hh, after a time; also behind "GMT". */
static bool read_offset_piece(struct reading *reading)
{
    int hours = 0;
    int minutes = 0;
    bool west = read_char(&reading->rest, '-');

    if (!west && !read_char(&reading->rest, '+')) {
        return false;
    }
    if (digits_ahead(&reading->rest) == 1) {
        int64_t hour = 0;

        (void)read_number(&reading->rest, 1, &hour); /* "GMT+2" */
        hours = (int)hour;
    } else if (!read_digits(&reading->rest, 2, &hours)) {
        return false;
    }
    if (read_char(&reading->rest, ':') || is_digit(peek(&reading->rest, 0))) {
        if (!read_digits(&reading->rest, 2, &minutes)) {
            return false;
        }
    }
    if (hours > 23 || minutes > 59 || (reading->has_offset && reading->offset_s != 0)) {
        return false;
    }
    reading->has_offset = true;
    reading->offset_s =
        (hours * (int64_t)SECONDS_AN_HOUR + minutes * INT64_C(60)) * (west ? -1 : 1);
    return true;
}

static bool take_half(struct reading *reading, bool afternoon)
{
    if (!reading->has_time || reading->has_half || reading->civil.hour < 1 ||
        reading->civil.hour > 12) {
        return false;
    }
    reading->has_half = true;
    reading->civil.hour = reading->civil.hour % 12 + (afternoon ? 12 : 0);
    return true;
}

/* "a.m." and "p.m." as "am" and "pm". */
static bool read_dotted_half(struct reading *reading)
{
    char half = peek(&reading->rest, 0);
    char m = peek(&reading->rest, 2);

    if ((half != 'a' && half != 'p' && half != 'A' && half != 'P') ||
        peek(&reading->rest, 1) != '.' || (m != 'm' && m != 'M')) {
        return false;
    }
    reading->rest.at += peek(&reading->rest, 3) == '.' ? 4 : 3;
    return take_half(reading, half == 'p' || half == 'P');
}

static bool read_word_piece(struct reading *reading)
{
    const char *word = reading->rest.at;
    int64_t value = 0;
    size_t length = 0;

    if (reading->has_time && peek(&reading->rest, 1) == '.' && read_dotted_half(reading)) {
        return true;
    }
    while (is_letter(peek(&reading->rest, length))) {
        length++;
    }
    if (reading->civil.day != 0 && !reading->has_time && length == 1 && skip_t(reading)) {
        return true;
    }
    reading->rest.at += length;
    switch (word_look_up(word, length, &value)) {
    case WORD_MONTH:
        if (reading->civil.month != 0 && !reading->month_in_front) {
            return false;
        }
        reading->civil.month = (int)value;
        reading->month_in_front = !reading->any_number;
        return true;
    case WORD_ZONE:
        if (reading->has_time && !reading->has_offset) {
            reading->has_offset = true;
            reading->offset_s = value;
        } /* else a number said it already: "+0100 CET" */
        return reading->has_time;
    case WORD_MORNING:
    case WORD_AFTERNOON:
        return take_half(reading, (word[0] | 0x20) == 'p');
    case WORD_FILLER:
        return reading->any_number;
    case WORD_UNKNOWN:
        break;
    }
    if (reading->any_number || reading->weekday || length < 2) {
        return false;
    }
    reading->weekday = true;
    return true;
}

/* RFC 822 lets a comment stand at the end: "(PST)". */
static bool skip_comment(struct reading *reading)
{
    const char *close =
        memchr(reading->rest.at, ')', (size_t)(reading->rest.end - reading->rest.at));

    if (close == NULL) {
        return false;
    }
    reading->rest.at = close + 1;
    return true;
}

static bool read_piece(struct reading *reading)
{
    char c = *reading->rest.at;

    if (is_digit(c)) {
        return read_digits_piece(reading);
    }
    if (is_letter(c)) {
        return read_word_piece(reading);
    }
    if ((c == '+' || c == '-') && reading->has_time && is_digit(peek(&reading->rest, 1))) {
        return read_offset_piece(reading);
    }
    if (c == '(') {
        return skip_comment(reading);
    }
    reading->rest.at++;
    return strchr(" \t\r\n,.-/", c) != NULL && c != '\0';
}

static bool finish(int64_t *out_us, struct reading *reading, const struct zone *zone)
{
    struct civil *civil = &reading->civil;
    int64_t extra_us = 0;

    if (civil->hour == 24 && civil->minute == 0 && civil->second == 0 && civil->micros == 0) {
        civil->hour = 0; /* ISO 8601: the end of the day */
        extra_us = CLOCK_DAY_US;
    }
    if (!civil_valid(civil)) {
        return false;
    }
    if (reading->has_offset) {
        *out_us =
            (civil_seconds(civil) - reading->offset_s) * CLOCK_SECOND_US + civil->micros + extra_us;
    } else {
        *out_us = zone_civil_us(zone, civil) + extra_us;
    }
    return true;
}

/* Digits alone: seconds or milliseconds since 1970, a compact date, or a year. */
static bool read_number_alone(int64_t *out_us, const char *text, size_t length,
                              const struct zone *zone)
{
    struct cursor_text rest = {text, text + length};
    struct reading reading = {.rest = rest};
    bool negative = read_char(&rest, '-');
    int64_t value = 0;
    int64_t micros = 0;
    int digits = read_number(&rest, 18, &value);

    if (digits == 0 || !read_fraction(&rest, &micros) || rest.at != rest.end) {
        return false;
    }
    if (!negative && micros == 0 && length == (size_t)digits) {
        if (digits == 4 && value >= 1900 && value < 2200) { /* W3CDTF: a year */
            return set_date(&reading, value, 1, 1) && finish(out_us, &reading, zone);
        }
        if (digits == 8 && read_compact_date(&reading) && finish(out_us, &reading, zone)) {
            return true;
        }
        if (digits == 14 && read_compact_date(&reading) && read_compact_clock(&reading) &&
            finish(out_us, &reading, zone)) {
            return true;
        }
    }
    if ((digits >= 9 && digits <= 11) || (digits == 1 && value == 0)) {
        value = value * CLOCK_SECOND_US + micros;
    } else if (digits == 12 || digits == 13) {
        value = value * 1000;
    } else {
        return false;
    }
    *out_us = negative ? -value : value;
    return true;
}

/*
 * The form of RFC 5322 with four-digit years and GMT, "Sun, 22 Nov 2026 16:53:00 GMT", as most
 * feeds have it: read at once. False: another form, or no date; then word for word.
 */
static bool read_mail_date(int64_t *out_us, const char *text, size_t length)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char form[] = "Aaa, 00 Aaa 0000 00:00:00 GMT";
    struct civil civil = {0};
    int fields[5];
    size_t count = 0;

    if (length != sizeof form - 1) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        const bool fits = form[i] == '0'   ? is_digit(text[i])
                          : form[i] == 'A' ? text[i] >= 'A' && text[i] <= 'Z'
                          : form[i] == 'a' ? text[i] >= 'a' && text[i] <= 'z'
                                           : text[i] == form[i];

        if (!fits) {
            return false;
        }
    }
    for (const size_t *at = (const size_t[]){5, 12, 17, 20, 23}; count < 5; at++, count++) {
        fields[count] = (text[*at] - '0') * 10 + text[*at + 1] - '0';
    }
    civil = (struct civil){.year = fields[1] * 100 + (text[14] - '0') * 10 + text[15] - '0',
                           .day = fields[0],
                           .hour = fields[2],
                           .minute = fields[3],
                           .second = fields[4]};
    for (int month = 0; month < 12; month++) {
        if (memcmp(months + (ptrdiff_t)month * 3, text + 8, 3) == 0) {
            civil.month = month + 1;
        }
    }
    if (civil.month == 0 || civil.year < 1000 || !civil_valid(&civil)) {
        return false;
    }
    *out_us = civil_seconds(&civil) * 1000000;
    return true;
}

bool instant_parse_any(int64_t *out_us, const char *text, size_t length, const struct zone *zone)
{
    struct reading reading = {0};

    while (length > 0 && strchr(" \t\r\n", text[0]) != NULL && text[0] != '\0') {
        text++;
        length--;
    }
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL && text[length - 1] != '\0') {
        length--;
    }
    if (read_mail_date(out_us, text, length) || instant_parse_rfc3339(out_us, text, length)) {
        return true;
    }
    if (length == 0 || length > TEXT_LIMIT) {
        return false;
    }
    if (read_number_alone(out_us, text, length, zone)) {
        return true;
    }
    reading.rest = (struct cursor_text){text, text + length};
    while (reading.rest.at < reading.rest.end) {
        if (!read_piece(&reading)) {
            return false;
        }
    }
    return finish(out_us, &reading, zone);
}
