/* SPDX-License-Identifier: Apache-2.0 */
#include "common/instant/instant_internal.h"

/*
 * STD offset [DST [offset] , start [/time] , end [/time]]. POSIX writes offsets west of UTC; here
 * they are turned east at once. A name is letters, or anything in <…>.
 */

static bool skip_name(struct cursor_text *text)
{
    const char *first = text->at;

    if (read_char(text, '<')) {
        while (text->at < text->end && *text->at != '>') {
            text->at++;
        }
        return text->at > first + 1 && read_char(text, '>');
    }
    while (text->at < text->end &&
           ((*text->at >= 'A' && *text->at <= 'Z') || (*text->at >= 'a' && *text->at <= 'z'))) {
        text->at++;
    }
    return text->at - first >= 3;
}

/* [+|-]h[h[h]][:mm[:ss]] as seconds. */
static bool read_time(struct cursor_text *text, int64_t *out_s)
{
    int64_t hours = 0;
    int minutes = 0;
    int seconds = 0;
    bool negative = read_char(text, '-');

    if (!negative) {
        (void)read_char(text, '+');
    }
    if (read_number(text, 3, &hours) == 0 || hours > 167) {
        return false;
    }
    if (read_char(text, ':') && (!read_digits(text, 2, &minutes) || minutes > 59)) {
        return false;
    }
    if (read_char(text, ':') && (!read_digits(text, 2, &seconds) || seconds > 59)) {
        return false;
    }
    *out_s = (hours * SECONDS_AN_HOUR + minutes * INT64_C(60) + seconds) * (negative ? -1 : 1);
    return true;
}

static bool read_month_week_day(struct cursor_text *text, struct zone_change *change)
{
    int64_t month = 0;
    int64_t week = 0;
    int64_t weekday = 0;

    if (read_number(text, 2, &month) == 0 || !read_char(text, '.') ||
        read_number(text, 1, &week) == 0 || !read_char(text, '.') ||
        read_number(text, 1, &weekday) == 0) {
        return false;
    }
    change->kind = 'M';
    change->month = (int)month;
    change->week = (int)week;
    change->weekday = (int)weekday;
    return month >= 1 && month <= 12 && week >= 1 && week <= 5 && weekday <= 6;
}

static bool read_change(struct cursor_text *text, struct zone_change *change)
{
    int64_t day = 0;

    *change = (struct zone_change){.time_s = INT64_C(2) * SECONDS_AN_HOUR};
    if (!read_char(text, ',')) {
        return false;
    }
    if (read_char(text, 'M')) {
        if (!read_month_week_day(text, change)) {
            return false;
        }
    } else {
        change->kind = read_char(text, 'J') ? 'J' : 'N';
        if (read_number(text, 3, &day) == 0 || day > 365 || (change->kind == 'J' && day == 0)) {
            return false;
        }
        change->day = (int)day;
    }
    return !read_char(text, '/') || read_time(text, &change->time_s);
}

bool zone_rule_parse(struct zone_rule *out, const char *text, size_t length)
{
    struct cursor_text rest = {text, text + length};
    struct zone_rule rule = {0};
    int64_t west_s = 0;

    if (!skip_name(&rest) || !read_time(&rest, &west_s)) {
        return false;
    }
    rule.offset_s = -west_s;
    if (rest.at < rest.end) {
        rule.daylight = true;
        rule.daylight_offset_s = rule.offset_s + SECONDS_AN_HOUR;
        if (!skip_name(&rest)) {
            return false;
        }
        if (rest.at < rest.end && *rest.at != ',') {
            if (!read_time(&rest, &west_s)) {
                return false;
            }
            rule.daylight_offset_s = -west_s;
        }
        if (!read_change(&rest, &rule.start) || !read_change(&rest, &rule.end)) {
            return false;
        }
    }
    if (rest.at != rest.end) {
        return false;
    }
    *out = rule;
    return true;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The day of a change in a year, since 1970-01-01. */
static int64_t change_day(const struct zone_change *change, int64_t year)
{
    int64_t first = civil_days(year, 1, 1);
    int64_t day;
    int64_t month_end;

    if (change->kind == 'N') {
        return first + change->day;
    }
    if (change->kind == 'J') {
        return first + change->day - 1 + (is_leap(year) && change->day >= 60 ? 1 : 0);
    }
    first = civil_days(year, change->month, 1);
    month_end =
        change->month == 12 ? civil_days(year + 1, 1, 1) : civil_days(year, change->month + 1, 1);
    /* 1970-01-01 was a Thursday, day 4 of the week */
    day = first + (change->weekday - (first + 4) % 7 + 7) % 7 + INT64_C(7) * (change->week - 1);
    while (day >= month_end) {
        day -= 7; /* week 5 is the last */
    }
    return day;
}

int64_t zone_rule_offset_s(const struct zone_rule *rule, int64_t at_s)
{
    int64_t year = 0;
    int month = 0;
    int day = 0;
    int64_t start_s;
    int64_t end_s;
    bool daylight;

    if (!rule->daylight) {
        return rule->offset_s;
    }
    civil_from_days(floor_div(at_s + rule->offset_s, SECONDS_A_DAY), &year, &month, &day);
    start_s = change_day(&rule->start, year) * SECONDS_A_DAY + rule->start.time_s - rule->offset_s;
    end_s =
        change_day(&rule->end, year) * SECONDS_A_DAY + rule->end.time_s - rule->daylight_offset_s;
    /* south of the equator the year begins and ends in summer */
    daylight = start_s < end_s ? at_s >= start_s && at_s < end_s : at_s >= start_s || at_s < end_s;
    return daylight ? rule->daylight_offset_s : rule->offset_s;
}
