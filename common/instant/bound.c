/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/instant/instant_internal.h"

/* "2026-11-20" and nothing else. */
static bool read_date(const char *text, size_t length, int64_t *day)
{
    struct cursor_text rest = {text, text + length};
    struct civil civil = {0};
    int year = 0;

    if (!read_digits(&rest, 4, &year) || !read_char(&rest, '-') ||
        !read_digits(&rest, 2, &civil.month) || !read_char(&rest, '-') ||
        !read_digits(&rest, 2, &civil.day) || rest.at != rest.end) {
        return false;
    }
    civil.year = year;
    if (!civil_valid(&civil)) {
        return false;
    }
    *day = civil_days(civil.year, civil.month, civil.day);
    return true;
}

int instant_parse_bound(int64_t *out_us, const char *text, int64_t now_us, const struct zone *zone,
                        struct ear_error *err)
{
    size_t length = strlen(text);
    int64_t day = zone_day(zone, now_us);
    int64_t back_us = 0;
    bool dated = length > 10 && text[4] == '-' && text[7] == '-';

    if (strcmp(text, "now") == 0) {
        *out_us = now_us;
    } else if (strcmp(text, "today") == 0 || read_date(text, length, &day)) {
        *out_us = zone_day_start_us(zone, day);
    } else if (strcmp(text, "yesterday") == 0) {
        *out_us = zone_day_start_us(zone, day - 1);
    } else if (duration_parse(&back_us, text, err) == 0) {
        if (__builtin_sub_overflow(now_us, back_us, out_us)) {
            *out_us = INT64_MIN;
        }
    } else if (!dated || !instant_parse_any(out_us, text, length, zone)) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.64s' is no time; write a date (2026-11-20), an instant "
                        "(2026-11-20T08:00:00Z), how long ago (7d), now, today or yesterday",
                        text);
    }
    ear_error_clear(err);
    return 0;
}
