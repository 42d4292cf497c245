/* SPDX-License-Identifier: Apache-2.0 */
#include "common/instant.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/instant/instant_internal.h"

int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* Years begin in March here, so that the leap day is the last of its year; an era has 400 years. */
int64_t civil_days(int64_t year, int month, int day)
{
    int64_t shifted = month <= 2 ? year - 1 : year;
    int64_t era = floor_div(shifted, 400);
    int64_t year_of_era = shifted - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t since = days + 719468;
    int64_t era = floor_div(since, 146097);
    int64_t day_of_era = since - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;

    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

bool civil_valid(const struct civil *civil)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap;
    int length;

    if (civil->year < 1 || civil->year > 9999 || civil->month < 1 || civil->month > 12) {
        return false;
    }
    leap = civil->year % 4 == 0 && (civil->year % 100 != 0 || civil->year % 400 == 0);
    length = lengths[civil->month - 1] + (civil->month == 2 && leap ? 1 : 0);
    return civil->day >= 1 && civil->day <= length && civil->hour >= 0 && civil->hour <= 23 &&
           civil->minute >= 0 && civil->minute <= 59 && civil->second >= 0 && civil->second <= 60;
}

int64_t civil_seconds(const struct civil *civil)
{
    return civil_days(civil->year, civil->month, civil->day) * SECONDS_A_DAY +
           civil->hour * (int64_t)SECONDS_AN_HOUR + civil->minute * INT64_C(60) + civil->second;
}

bool read_digits(struct cursor_text *text, int digits, int *out)
{
    int value = 0;

    if (text->end - text->at < digits) {
        return false;
    }
    for (int i = 0; i < digits; i++) {
        if (text->at[i] < '0' || text->at[i] > '9') {
            return false;
        }
        value = value * 10 + (text->at[i] - '0');
    }
    text->at += digits;
    *out = value;
    return true;
}

int read_number(struct cursor_text *text, int most, int64_t *out)
{
    int64_t value = 0;
    int count = 0;

    while (count < most && text->at + count < text->end && text->at[count] >= '0' &&
           text->at[count] <= '9') {
        value = value * 10 + (text->at[count] - '0');
        count++;
    }
    if (count > 0) {
        text->at += count;
        *out = value;
    }
    return count;
}

bool read_char(struct cursor_text *text, char c)
{
    if (text->at == text->end || *text->at != c) {
        return false;
    }
    text->at++;
    return true;
}

bool read_fraction(struct cursor_text *text, int64_t *micros)
{
    int64_t unit = CLOCK_SECOND_US;
    const char *first;

    *micros = 0;
    if (!read_char(text, '.') && !read_char(text, ',')) {
        return true;
    }
    first = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
        unit /= 10;
        *micros += (*text->at - '0') * unit;
        text->at++;
    }
    return text->at > first;
}

/* "Z", "z" or "+01:00". */
static bool read_offset(struct cursor_text *text, int64_t *offset_s)
{
    int hours = 0;
    int minutes = 0;
    bool west;

    *offset_s = 0;
    if (read_char(text, 'Z') || read_char(text, 'z')) {
        return true;
    }
    west = read_char(text, '-');
    if (!west && !read_char(text, '+')) {
        return false;
    }
    if (!read_digits(text, 2, &hours) || !read_char(text, ':') || !read_digits(text, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *offset_s = (hours * INT64_C(3600) + minutes * INT64_C(60)) * (west ? -1 : 1);
    return true;
}

bool instant_parse_rfc3339(int64_t *out_us, const char *text, size_t length)
{
    struct cursor_text rest = {text, text + length};
    struct civil civil = {0};
    int year = 0;
    int64_t offset_s = 0;

    if (!read_digits(&rest, 4, &year) || !read_char(&rest, '-') ||
        !read_digits(&rest, 2, &civil.month) || !read_char(&rest, '-') ||
        !read_digits(&rest, 2, &civil.day)) {
        return false;
    }
    if (!read_char(&rest, 'T') && !read_char(&rest, 't') && !read_char(&rest, ' ')) {
        return false;
    }
    if (!read_digits(&rest, 2, &civil.hour) || !read_char(&rest, ':') ||
        !read_digits(&rest, 2, &civil.minute) || !read_char(&rest, ':') ||
        !read_digits(&rest, 2, &civil.second)) {
        return false;
    }
    if (rest.at < rest.end && *rest.at == ',') {
        return false; /* ISO 8601 has it, RFC 3339 has not */
    }
    civil.year = year;
    if (!read_fraction(&rest, &civil.micros) || !read_offset(&rest, &offset_s) ||
        rest.at != rest.end || !civil_valid(&civil)) {
        return false;
    }
    *out_us = (civil_seconds(&civil) - offset_s) * CLOCK_SECOND_US + civil.micros;
    return true;
}

/* What lies outside the years 1 to 9999 is written as the nearest instant that can be. */
static int64_t clamp_seconds(int64_t seconds)
{
    int64_t least = civil_days(1, 1, 1) * SECONDS_A_DAY;
    int64_t most = civil_days(10000, 1, 1) * SECONDS_A_DAY - 1;

    if (seconds < least) {
        return least;
    }
    return seconds > most ? most : seconds;
}

/* Writes `count` digits and what stands behind them; returns the place after. */
static char *put_digits(char *at, int64_t value, int count, char behind)
{
    for (int i = count; i-- > 0; value /= 10) {
        at[i] = (char)('0' + value % 10);
    }
    at[count] = behind;
    return at + count + 1;
}

/* Every message has several: snprintf would take a tenth of a post's time. */
const char *instant_format(char out[INSTANT_SIZE], int64_t at_us)
{
    int64_t seconds = floor_div(at_us, CLOCK_SECOND_US);
    int64_t micros = (at_us % CLOCK_SECOND_US + CLOCK_SECOND_US) % CLOCK_SECOND_US;
    int64_t year = 0;
    int64_t second_of_day;
    int64_t days;
    int month = 0;
    int day = 0;
    char *at = out;

    seconds = clamp_seconds(seconds);
    days = floor_div(seconds, SECONDS_A_DAY);
    second_of_day = seconds - days * SECONDS_A_DAY;
    civil_from_days(days, &year, &month, &day);
    at = put_digits(at, year, 4, '-');
    at = put_digits(at, month, 2, '-');
    at = put_digits(at, day, 2, 'T');
    at = put_digits(at, second_of_day / SECONDS_AN_HOUR, 2, ':');
    at = put_digits(at, second_of_day / 60 % 60, 2, ':');
    at = put_digits(at, second_of_day % 60, 2, micros != 0 ? '.' : 'Z');
    if (micros != 0) {
        at = put_digits(at, micros, 6, 'Z');
    }
    *at = '\0';
    return out;
}

const char *day_format(char out[DAY_SIZE], int64_t day)
{
    int64_t year = 0;
    int month = 0;
    int day_of_month = 0;

    civil_from_days(floor_div(clamp_seconds(day > 4000000    ? INT64_MAX
                                            : day < -4000000 ? INT64_MIN
                                                             : day * SECONDS_A_DAY),
                              SECONDS_A_DAY),
                    &year, &month, &day_of_month);
    snprintf(out, DAY_SIZE, "%04d-%02d-%02d", (int)year, month, day_of_month);
    return out;
}
