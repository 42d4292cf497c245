/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static struct zone *open_zone(const char *name)
{
    struct zone *zone = NULL;
    struct ear_error err = {0};

    if (zone_open(&zone, name, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return zone;
}

static void zones_agree_with_the_c_library(void **state)
{
    static const char *const names[] = {
        "Europe/Berlin",     "Europe/Dublin",    "America/New_York", "America/Sao_Paulo",
        "Asia/Kolkata",      "Asia/Kathmandu",   "Australia/Sydney", "Australia/Lord_Howe",
        "Africa/Casablanca", "America/St_Johns", "Pacific/Apia",     "Asia/Gaza",
        "America/Godthab",   "Antarctica/Troll", "Etc/GMT+5",        "UTC"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct zone *zone = open_zone(names[i]);

        setenv("TZ", names[i], 1);
        tzset();
        /* some 11 hours apart, 1938 to 2101: through the table and the rule after it */
        for (time_t at = -1000000000; at < 4150000000; at += 40009) {
            struct tm local;

            assert_non_null(localtime_r(&at, &local));
            if (zone_offset_s(zone, at * CLOCK_SECOND_US) != local.tm_gmtoff) {
                fail_msg("%s at %lld: %lld, but the C library says %ld", names[i], (long long)at,
                         (long long)zone_offset_s(zone, at * CLOCK_SECOND_US), local.tm_gmtoff);
            }
            assert_int_equal(zone_hour(zone, at * CLOCK_SECOND_US), local.tm_hour);
        }
        zone_close(zone);
    }
    unsetenv("TZ");
    tzset();
}

static void a_change_happens_to_the_second(void **state)
{
    struct zone *berlin = open_zone("Europe/Berlin");

    (void)state;
    assert_int_equal(zone_offset_s(berlin, instant("2026-03-29T00:59:59.999999Z")), 3600);
    assert_int_equal(zone_offset_s(berlin, instant("2026-03-29T01:00:00Z")), 7200);
    assert_int_equal(zone_offset_s(berlin, instant("2090-10-29T00:59:59Z")), 7200);
    assert_int_equal(zone_offset_s(berlin, instant("2090-10-29T01:00:00Z")), 3600);
    assert_int_equal(zone_offset_s(NULL, instant("2026-07-01T00:00:00Z")), 0);
    zone_close(berlin);
}

static void fixed_offsets_are_zones(void **state)
{
    static const struct {
        const char *name;
        int64_t offset_s;
    } cases[] = {{"UTC", 0},         {"Z", 0},         {"+02:00", 7200},
                 {"-05:30", -19800}, {"+0530", 19800}, {"-03", -10800}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zone *zone = open_zone(cases[i].name);

        assert_int_equal(zone_offset_s(zone, 0), cases[i].offset_s);
        zone_close(zone);
    }
    zone_close(NULL);
}

static void unknown_zones_are_refused_with_what_was_meant(void **state)
{
    static const struct {
        const char *name;
        const char *hint;
    } cases[] = {
        {"Europe/Berlni", "did you mean 'Europe/Berlin'?"},
        {"europe/berlin", "did you mean 'Europe/Berlin'?"},
        {"Berlin", "did you mean 'Europe/Berlin'?"},
        {"Europe", "write one such as Europe/Berlin, UTC or +02:00"},
        {"", "write one such as"},
        {"+2 hours", "write one such as"},
        {"../../../etc/passwd", "write one such as"},
        {"/etc/localtime", "write one such as"},
        {"tzdata.zi", "is no time zone"},
        {"leapseconds", "cannot be read"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zone *zone = NULL;
        struct ear_error err = {0};

        assert_int_equal(zone_open(&zone, cases[i].name, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_null(zone);
        if (strstr(err.message, cases[i].hint) == NULL) {
            fail_msg("'%s' gave: %s", cases[i].name, err.message);
        }
    }
}

static void days_begin_where_the_clock_says_so(void **state)
{
    static const struct {
        const char *zone;
        const char *within; /* an instant of the day */
        const char *start;
        int64_t hours; /* of the day */
    } cases[] = {
        {"Europe/Berlin", "2026-11-20T08:00:00Z", "2026-11-19T23:00:00Z", 24},
        {"Europe/Berlin", "2026-11-19T23:30:00Z", "2026-11-19T23:00:00Z", 24},
        {"Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23},
        {"Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25},
        {"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", 23}, /* no midnight */
        {"Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-29T10:00:00Z", 24}, /* next: the 31st */
        {"UTC", "1969-12-31T23:59:59Z", "1969-12-31T00:00:00Z", 24},
    };
    char out[INSTANT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zone *zone = open_zone(cases[i].zone);
        int64_t day = zone_day(zone, instant(cases[i].within));
        int64_t start_us = zone_day_start_us(zone, day);

        assert_string_equal(instant_format(out, start_us), cases[i].start);
        assert_int_equal(zone_day(zone, start_us), day);
        assert_int_equal(zone_day(zone, start_us - 1), day - 1);
        assert_int_equal(zone_day_start_us(zone, day + 1) - start_us,
                         cases[i].hours * CLOCK_HOUR_US);
        zone_close(zone);
    }
}

static void local_times_that_are_skipped_or_double_have_one_meaning(void **state)
{
    struct zone *berlin = open_zone("Europe/Berlin");
    int64_t at_us = 0;
    char out[INSTANT_SIZE];

    (void)state;
    /* 02:30 does not exist on 29 March: half an hour after the change */
    assert_true(instant_parse_any(&at_us, "2026-03-29 02:30", 16, berlin));
    assert_string_equal(instant_format(out, at_us), "2026-03-29T01:30:00Z");
    /* 02:30 exists twice on 25 October: the first */
    assert_true(instant_parse_any(&at_us, "2026-10-25 02:30", 16, berlin));
    assert_string_equal(instant_format(out, at_us), "2026-10-25T00:30:00Z");
    zone_close(berlin);
}

static void far_away_instants_are_no_trouble(void **state)
{
    struct zone *berlin = open_zone("Europe/Berlin");

    (void)state;
    assert_in_range(zone_offset_s(berlin, INT64_MAX), 3600, 7200);
    assert_in_range(zone_offset_s(berlin, INT64_MIN), 3000, 3600);
    assert_true(zone_day(berlin, INT64_MIN) < 0);
    assert_in_range(zone_hour(berlin, INT64_MIN), 0, 23);
    assert_true(zone_day_start_us(berlin, INT64_MAX) > 0);
    assert_true(zone_day_start_us(berlin, INT64_MIN) < 0);
    zone_close(berlin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_agree_with_the_c_library),
        cmocka_unit_test(a_change_happens_to_the_second),
        cmocka_unit_test(fixed_offsets_are_zones),
        cmocka_unit_test(unknown_zones_are_refused_with_what_was_meant),
        cmocka_unit_test(days_begin_where_the_clock_says_so),
        cmocka_unit_test(local_times_that_are_skipped_or_double_have_one_meaning),
        cmocka_unit_test(far_away_instants_are_no_trouble),
    };

    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
