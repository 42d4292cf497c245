/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/instant.h"

static int set_up(void **state)
{
    (void)state;
    return unsetenv("EARSHOT_NOW_SHIFT");
}

static void clock_shows_the_machines_time_unless_told(void **state)
{
    struct clock clock = {.shift_us = 1};
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(clock_init(&clock, NULL, &err), 0);
    assert_int_equal(clock.shift_us, 0);
    assert_int_equal(clock_init(&clock, "", &err), 0);
    assert_true(clock_now_us(&clock) > INT64_C(1700000000) * CLOCK_SECOND_US);
}

static void clock_starts_where_told_and_runs_on(void **state)
{
    struct clock clock = {0};
    struct ear_error err = {0};
    int64_t start_us = 0;
    int64_t first_us;

    (void)state;
    assert_true(instant_parse_rfc3339(&start_us, "2031-05-06T07:08:09Z", 20));
    assert_int_equal(clock_init(&clock, "2031-05-06T07:08:09Z", &err), 0);
    first_us = clock_now_us(&clock);
    assert_in_range(first_us - start_us, 0, 10 * CLOCK_SECOND_US);
    while (clock_now_us(&clock) == first_us) {
    }
    assert_true(clock_now_us(&clock) > first_us);
}

static void a_shift_of_the_environment_wins(void **state)
{
    struct clock clock = {0};
    struct ear_error err = {0};

    (void)state;
    setenv("EARSHOT_NOW_SHIFT", "-5000000", 1);
    assert_int_equal(clock_init(&clock, "2031-05-06T07:08:09Z", &err), 0);
    assert_int_equal(clock.shift_us, -5000000);
}

static void what_is_no_instant_is_refused_with_the_cure(void **state)
{
    static const char *const wrong[] = {"tomorrow", "2026-11-20", "2026-11-20T08:00:00"};
    struct clock clock = {.shift_us = 7};
    struct ear_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(clock_init(&clock, wrong[i], &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, "2026-11-20T08:00:00Z"));
    }
    setenv("EARSHOT_NOW_SHIFT", "1h", 1);
    assert_int_equal(clock_init(&clock, NULL, &err), -1);
    assert_non_null(strstr(err.message, "EARSHOT_NOW_SHIFT"));
    setenv("EARSHOT_NOW_SHIFT", "99999999999999999999", 1);
    assert_int_equal(clock_init(&clock, NULL, &err), -1);
    assert_int_equal(clock.shift_us, 7);
}

static void monotonic_time_never_goes_back(void **state)
{
    int64_t last = clock_mono_us();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_us();

        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(clock_shows_the_machines_time_unless_told, set_up),
        cmocka_unit_test_setup(clock_starts_where_told_and_runs_on, set_up),
        cmocka_unit_test_setup(a_shift_of_the_environment_wins, set_up),
        cmocka_unit_test_setup(what_is_no_instant_is_refused_with_the_cure, set_up),
        cmocka_unit_test_setup(monotonic_time_never_goes_back, set_up),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
