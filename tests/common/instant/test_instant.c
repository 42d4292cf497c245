/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/instant.h"

static int64_t instant(const char *text)
{
    int64_t at_us = 0;

    if (!instant_parse_rfc3339(&at_us, text, strlen(text))) {
        fail_msg("the test's own '%s' is no instant", text);
    }
    return at_us;
}

static void rfc3339_is_read_strictly(void **state)
{
    static const struct {
        const char *text;
        int64_t at_us;
    } right[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2026-11-20T08:00:00Z", INT64_C(1795161600000000)},
        {"2026-11-20t08:00:00z", INT64_C(1795161600000000)},
        {"2026-11-20 08:00:00Z", INT64_C(1795161600000000)},
        {"2026-11-20T08:00:00.5+01:00", INT64_C(1795158000500000)},
        {"2026-11-20T08:00:00.1234567-00:30", INT64_C(1795163400123456)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
    };
    static const char *const wrong[] = {
        "",
        "2026-11-20",
        "2026-11-20T08:00Z",
        "2026-11-20T08:00:00",
        "2026-11-20T08:00:00+0100",
        "2026-11-20T08:00:00+1:00",
        "2026-11-20T08:00:00+24:00",
        "2026-11-20T08:00:00.Z",
        "2026-11-20T08:00:00,5Z",
        "2026-11-20T08:00:00Z ",
        " 2026-11-20T08:00:00Z",
        "2026-11-20_08:00:00Z",
        "2026-11-31T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2026-13-01T08:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T08:60:00Z",
        "2026-11-20T08:00:61Z",
        "0000-01-01T00:00:00Z",
        "+2026-11-20T08:00:00Z",
    };
    int64_t at_us = 4711;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (instant_parse_rfc3339(&at_us, wrong[i], strlen(wrong[i]))) {
            fail_msg("'%s' was read", wrong[i]);
        }
    }
    assert_int_equal(at_us, 4711);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        if (!instant_parse_rfc3339(&at_us, right[i].text, strlen(right[i].text)) ||
            at_us != right[i].at_us) {
            fail_msg("'%s' gave %lld", right[i].text, (long long)at_us);
        }
    }
}

static void instants_are_written_and_read_back(void **state)
{
    static const char *const texts[] = {
        "1970-01-01T00:00:00Z",        "2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000001Z",
        "1969-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
        "2000-02-29T12:00:00.500000Z"};
    char out[INSTANT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_string_equal(instant_format(out, instant(texts[i])), texts[i]);
    }
    assert_string_equal(instant_format(out, INT64_MIN), "0001-01-01T00:00:00.224192Z");
    assert_string_equal(instant_format(out, INT64_MAX), "9999-12-31T23:59:59.775807Z");
}

static void every_day_of_a_millennium_is_written_and_read_back(void **state)
{
    char text[DAY_SIZE];
    char whole[INSTANT_SIZE];
    int64_t at_us = 0;

    (void)state;
    for (int64_t day = -200000; day < 200000; day++) {
        snprintf(whole, sizeof whole, "%sT00:00:00Z", day_format(text, day));
        assert_true(instant_parse_rfc3339(&at_us, whole, strlen(whole)));
        assert_true(at_us == day * CLOCK_DAY_US);
    }
    assert_string_equal(day_format(text, INT64_MAX), "9999-12-31");
    assert_string_equal(day_format(text, INT64_MIN), "0001-01-01");
}

/* As feeds, mail, forums and survey exports write the same morning, and a few others. */
static void odd_dates_are_read(void **state)
{
    static const struct {
        const char *text;
        const char *at; /* NULL: none of what we read */
    } cases[] = {
        /* RFC 3339 and ISO 8601 */
        {"2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z"},
        {" 2026-11-20T08:00:00Z\n", "2026-11-20T08:00:00Z"},
        {"2026-11-20T08:00:00.123456+00:00", "2026-11-20T08:00:00.123456Z"},
        {"2026-11-20T08:00:00,5Z", "2026-11-20T08:00:00.500000Z"},
        {"2026-11-20T08:00Z", "2026-11-20T08:00:00Z"},
        {"2026-11-20T08:00:00+0100", "2026-11-20T07:00:00Z"},
        {"2026-11-20T08:00:00+01", "2026-11-20T07:00:00Z"},
        {"2026-11-20T08:00:00 -05:00", "2026-11-20T13:00:00Z"},
        {"2026-11-20T08:00:00", "2026-11-20T07:00:00Z"}, /* without a zone: Berlin here */
        {"2026-07-20T08:00:00", "2026-07-20T06:00:00Z"},
        {"2026-11-20 08:00", "2026-11-20T07:00:00Z"},
        {"2026-11-20 08:00:00 UTC", "2026-11-20T08:00:00Z"},
        {"2026-11-20 08:00:00.000 +0100 CET", "2026-11-20T07:00:00Z"},
        {"2026-11-20", "2026-11-19T23:00:00Z"},
        {"2026-11", "2026-10-31T23:00:00Z"},
        {"2026", "2025-12-31T23:00:00Z"},
        {"2026/11/20 08:00:00", "2026-11-20T07:00:00Z"},
        {"2026.11.20", "2026-11-19T23:00:00Z"},
        {"20261120", "2026-11-19T23:00:00Z"},
        {"20261120T080000Z", "2026-11-20T08:00:00Z"},
        {"20261120T0800", "2026-11-20T07:00:00Z"},
        {"20261120080000", "2026-11-20T07:00:00Z"},
        {"2026-11-20T24:00:00Z", "2026-11-21T00:00:00Z"},
        {"2026-1-2 3:04", "2026-01-02T02:04:00Z"},
        /* RFC 822, 1123, 850 */
        {"Fri, 20 Nov 2026 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 +0000", "2026-11-20T08:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 -0800", "2026-11-20T16:00:00Z"},
        {"Fri, 20 Nov 2026 08:00 EST", "2026-11-20T13:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 PDT", "2026-11-20T15:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 Z", "2026-11-20T08:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 UT", "2026-11-20T08:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 -0800 (PST)", "2026-11-20T16:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 GMT+2", "2026-11-20T06:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 GMT+0200", "2026-11-20T06:00:00Z"},
        {"Fri, 20 Nov 26 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"20 Nov 98 08:00:00 GMT", "1998-11-20T08:00:00Z"},
        {"20 Nov 126 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"20 Nov 2026 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"20 Nov 2026", "2026-11-19T23:00:00Z"},
        {"Fri,20 Nov 2026 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"Fri, 2 Nov 2026 8:00:00 GMT", "2026-11-02T08:00:00Z"},
        {"fri, 20 NOV 2026 08:00:00 gmt", "2026-11-20T08:00:00Z"},
        {"Friday, 20-Nov-26 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"Friday, 20-Nov-2026 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"Wrongday, 20 Nov 2026 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"Thurs., 20 Nov 2026 08:00:00 GMT", "2026-11-20T08:00:00Z"},
        {"Fri, 20 September 2026 08:00:00 GMT", "2026-09-20T08:00:00Z"},
        {"Fri, 20 Sept 2026 08:00:00 GMT", "2026-09-20T08:00:00Z"},
        {"Fr, 20 Nov 2026 08:00:00 +0100", "2026-11-20T07:00:00Z"},
        {"Sa, 20 Dez 2026 08:00:00 MEZ", "2026-12-20T07:00:00Z"},
        {"Mi, 20 M\xc3\xa4r 2026 08:00:00 +0100", "2026-03-20T07:00:00Z"},
        {"ven, 20 nov 2026 08:00:00 +0100", "2026-11-20T07:00:00Z"},
        {"mardi 24 novembre 2026 08:00", "2026-11-24T07:00:00Z"},
        {"Mar, 24 Mar 2026 08:00:00 +0000", "2026-03-24T08:00:00Z"},
        {"s\xc3\xa1"
         "b, 20 d\xc3\xa9"
         "c 2026 08:00:00 +0000",
         "2026-12-20T08:00:00Z"},
        {"20 de diciembre de 2026", "2026-12-19T23:00:00Z"},
        {"20 ao\xc3\xbbt 2026", "2026-08-19T22:00:00Z"},
        {"Fri, 20 Nov 2026 08:00:00 IST", NULL}, /* Ireland, Israel or India? */
        {"Fri, 20 Nov 2026 08:00:00 QQQ", NULL},
        /* ctime and date(1) */
        {"Fri Nov 20 08:00:00 2026", "2026-11-20T07:00:00Z"},
        {"Fri Nov  2 08:00:00 2026", "2026-11-02T07:00:00Z"},
        {"Fri Nov 20 08:00:00 UTC 2026", "2026-11-20T08:00:00Z"},
        {"Fri Nov 20 08:00:00 +0000 2026", "2026-11-20T08:00:00Z"},
        {"Fri Nov 20 2026 08:00:00 GMT+0100 (Central European Standard Time)",
         "2026-11-20T07:00:00Z"},
        /* as people and spreadsheets write */
        {"November 20, 2026", "2026-11-19T23:00:00Z"},
        {"Nov. 20, 2026 8:05 AM", "2026-11-20T07:05:00Z"},
        {"November 20th, 2026 at 8:05 p.m. EST", "2026-11-21T01:05:00Z"},
        {"20. November 2026 08:05 Uhr", "2026-11-20T07:05:00Z"},
        {"2026 Nov 20", "2026-11-19T23:00:00Z"},
        {"20.11.2026", "2026-11-19T23:00:00Z"},
        {"20.11.26 08:05", "2026-11-20T07:05:00Z"},
        {"2.3.2026", "2026-03-01T23:00:00Z"},
        {"11/20/2026", "2026-11-19T23:00:00Z"},
        {"20/11/2026", "2026-11-19T23:00:00Z"},
        {"2/3/2026", "2026-02-02T23:00:00Z"},
        {"11/20/26, 8:05 PM", "2026-11-20T19:05:00Z"},
        {"11/20/2026 12:00:00 AM", "2026-11-19T23:00:00Z"},
        {"11/20/2026 12:00 pm", "2026-11-20T11:00:00Z"},
        {"20-11-2026 08:05", "2026-11-20T07:05:00Z"},
        {"08:05, 20 Nov 2026", "2026-11-20T07:05:00Z"},
        /* counted since 1970 */
        {"0", "1970-01-01T00:00:00Z"},
        {"1795161600", "2026-11-20T08:00:00Z"},
        {"1795161600.25", "2026-11-20T08:00:00.250000Z"},
        {"1795161600123", "2026-11-20T08:00:00.123000Z"},
        {"-1000000000", "1938-04-24T22:13:20Z"},
        /* none of these */
        {"", NULL},
        {"   ", NULL},
        {"soon", NULL},
        {"17", NULL},
        {"20261340", NULL},
        {"31.02.2026", NULL},
        {"13/13/2026", NULL},
        {"0.0.2026", NULL},
        {"20 Nov", NULL},
        {"Nov 2026", NULL},
        {"08:00", NULL},
        {"20 Nov 2026 25:00", NULL},
        {"20 Nov 2026 13:00 PM", NULL},
        {"20 Nov 2026 08:00 08:00", NULL},
        {"20 Nov Dec 2026", NULL},
        {"20 Nov 2026 2027", NULL},
        {"an old day 20 Nov 2026", NULL},
        {"20 Nov 2026 <b>", NULL},
        {"99999999999999999999", NULL},
        {"2026-11-20T08:00:00Z2026-11-20T08:00:00Z2026-11-20T08:00:00Z2026-11-20T08:00:00Z12",
         NULL},
        {"0000-00-00 00:00:00", NULL},
    };
    struct zone *berlin = NULL;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(zone_open(&berlin, "Europe/Berlin", &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t at_us = 4711;
        char out[INSTANT_SIZE];
        bool read = instant_parse_any(&at_us, cases[i].text, strlen(cases[i].text), berlin);

        if (read != (cases[i].at != NULL) ||
            (read && strcmp(instant_format(out, at_us), cases[i].at) != 0)) {
            fail_msg("'%s' gave %s", cases[i].text, read ? instant_format(out, at_us) : "nothing");
        }
        assert_true(read || at_us == 4711);
    }
    zone_close(berlin);
}

static void without_a_zone_utc_holds(void **state)
{
    int64_t at_us = 0;

    (void)state;
    assert_true(instant_parse_any(&at_us, "20.11.2026 08:00", 16, NULL));
    assert_true(at_us == instant("2026-11-20T08:00:00Z"));
}

static void text_need_not_be_ended(void **state)
{
    const char text[] = {'2', '0', '.', '1', '1', '.', '2', '0', '2', '6', '9'};
    int64_t at_us = 0;

    (void)state;
    assert_true(instant_parse_any(&at_us, text, 10, NULL));
    assert_true(at_us == instant("2026-11-20T00:00:00Z"));
    assert_false(instant_parse_any(&at_us, "20.11.2026\0", 11, NULL));
}

static void bounds_are_dates_instants_or_durations(void **state)
{
    static const struct {
        const char *text;
        const char *at;
    } cases[] = {
        {"now", "2026-11-20T23:30:00Z"},
        {"today", "2026-11-20T23:00:00Z"}, /* in Berlin it is already the 21st */
        {"yesterday", "2026-11-19T23:00:00Z"},
        {"2026-11-20", "2026-11-19T23:00:00Z"},
        {"2026-07-01", "2026-06-30T22:00:00Z"},
        {"2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z"},
        {"2026-11-20 08:00", "2026-11-20T07:00:00Z"},
        {"2026-11-20T08:00", "2026-11-20T07:00:00Z"},
        {"7d", "2026-11-13T23:30:00Z"},
        {"1h30m", "2026-11-20T22:00:00Z"},
    };
    static const char *const wrong[] = {"",       "soon", "20.11.2026", "2026-11-31",
                                        "7 days", "-7d",  "1795161600"};
    int64_t now_us = instant("2026-11-20T23:30:00Z");
    struct zone *berlin = NULL;
    struct ear_error err = {0};
    int64_t at_us = 4711;

    (void)state;
    assert_int_equal(zone_open(&berlin, "Europe/Berlin", &err), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(instant_parse_bound(&at_us, wrong[i], now_us, berlin, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, "write a date (2026-11-20)"));
    }
    assert_int_equal(at_us, 4711);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[INSTANT_SIZE];

        assert_int_equal(instant_parse_bound(&at_us, cases[i].text, now_us, berlin, &err), 0);
        assert_string_equal(instant_format(out, at_us), cases[i].at);
    }
    zone_close(berlin);
}

static void durations_are_read_or_refused_with_the_cure(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } right[] = {
        {"30s", 30 * CLOCK_SECOND_US},   {"5m", 5 * CLOCK_MINUTE_US},
        {"2h", 2 * CLOCK_HOUR_US},       {"90d", 90 * CLOCK_DAY_US},
        {"1w", 7 * CLOCK_DAY_US},        {"250ms", 250000},
        {"1h30m", 90 * CLOCK_MINUTE_US}, {"1m1ms", CLOCK_MINUTE_US + 1000},
        {"0h5m", 5 * CLOCK_MINUTE_US},
    };
    static const char *const wrong[] = {"",
                                        "10 parsecs",
                                        "banana",
                                        "5",
                                        "m",
                                        "5 m",
                                        "-5m",
                                        "+5m",
                                        "0s",
                                        "1.5h",
                                        "5M",
                                        "5mm",
                                        "5m ",
                                        "5us",
                                        "1h-5m",
                                        "99999999999999999999s",
                                        "9223372036855s9223372036855s",
                                        "9999999999w"};
    struct ear_error err = {0};
    int64_t us = 4711;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (duration_parse(&us, wrong[i], &err) != -1) {
            fail_msg("'%s' was read", wrong[i]);
        }
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, "such as 30s, 5m or 2h"));
    }
    assert_int_equal(us, 4711);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(duration_parse(&us, right[i].text, &err), 0);
        assert_true(us == right[i].us);
    }
}

static void durations_are_told_by_their_two_biggest_units(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {999, "0s"},
        {1000, "1ms"},
        {250999, "250ms"},
        {12 * CLOCK_SECOND_US, "12s"},
        {12 * CLOCK_SECOND_US + 500000, "12s"},
        {90 * CLOCK_SECOND_US, "1m 30s"},
        {CLOCK_HOUR_US + 30 * CLOCK_SECOND_US, "1h"},
        {3 * CLOCK_DAY_US + 4 * CLOCK_HOUR_US + CLOCK_MINUTE_US, "3d 4h"},
        {400 * CLOCK_DAY_US, "400d"},
        {-90 * CLOCK_SECOND_US, "-1m 30s"},
        {INT64_MIN, "-106751991d 4h"},
    };
    char out[DURATION_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(duration_format(out, cases[i].us), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_is_read_strictly),
        cmocka_unit_test(instants_are_written_and_read_back),
        cmocka_unit_test(every_day_of_a_millennium_is_written_and_read_back),
        cmocka_unit_test(odd_dates_are_read),
        cmocka_unit_test(without_a_zone_utc_holds),
        cmocka_unit_test(text_need_not_be_ended),
        cmocka_unit_test(bounds_are_dates_instants_or_durations),
        cmocka_unit_test(durations_are_read_or_refused_with_the_cure),
        cmocka_unit_test(durations_are_told_by_their_two_biggest_units),
    };

    return cmocka_run_group_tests_name("instant", tests, NULL, NULL);
}
