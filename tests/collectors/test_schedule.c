/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collectors/schedule.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define NOW (INT64_C(1790000000) * SECOND)

static void the_first_poll_is_due_now(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, NOW);
    assert_true(schedule_is_due(&schedule, NOW));
    assert_int_equal(schedule.state, SCHEDULE_OK);
    assert_int_equal(schedule.interval_us, 10 * MINUTE);
}

static void the_interval_follows_what_comes_within_bounds(void **state)
{
    struct schedule schedule;
    int64_t before_us = 0;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, NOW);
    before_us = schedule.interval_us;
    schedule_done(&schedule, true, 0, NOW, 1);
    assert_true(schedule.interval_us < before_us);
    for (int i = 0; i < 20; i++) {
        schedule_done(&schedule, true, 0, NOW, (uint64_t)i);
        assert_true(schedule.interval_us >= 5 * MINUTE);
        assert_in_range(schedule.next_at_us - NOW, schedule.interval_us * INT64_C(9) / 10,
                        schedule.interval_us * 11 / 10);
    }
    assert_int_equal(schedule.interval_us, 5 * MINUTE);
    for (int i = 0; i < 20; i++) {
        schedule_done(&schedule, false, 0, NOW, (uint64_t)i);
        assert_true(schedule.interval_us <= 20 * MINUTE);
    }
    assert_int_equal(schedule.interval_us, 20 * MINUTE);
}

static void a_server_may_ask_for_less(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, MINUTE, NOW);
    schedule_done(&schedule, false, 30 * MINUTE, NOW, 1);
    assert_int_equal(schedule.next_at_us - NOW, 30 * MINUTE);
    schedule_done(&schedule, false, INT64_C(30) * 24 * HOUR, NOW, 1);
    assert_int_equal(schedule.next_at_us - NOW, HOUR);
    schedule_done(&schedule, true, -5, NOW, 1);
    assert_true(schedule.next_at_us - NOW <= 2 * MINUTE * 11 / 10);
}

static void backoff_doubles_with_jitter_up_to_five_minutes(void **state)
{
    static const int64_t most_s[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300};

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct schedule schedule;

        schedule_init(&schedule, 10 * MINUTE, NOW);
        for (size_t i = 0; i < sizeof(most_s) / sizeof(most_s[0]); i++) {
            int64_t wait_us = 0;

            schedule_wait(&schedule, -1, NOW, seed);
            wait_us = schedule.next_at_us - NOW;
            assert_true(wait_us >= SECOND && wait_us >= most_s[i] * SECOND / 2);
            assert_true(wait_us <= most_s[i] * SECOND);
            assert_int_equal(schedule.state, SCHEDULE_WAITING);
            assert_int_equal(schedule.failures, i + 1);
        }
        schedule_done(&schedule, false, 0, NOW, seed);
        assert_int_equal(schedule.failures, 0);
        assert_int_equal(schedule.state, SCHEDULE_OK);
    }
}

static void jitter_depends_on_the_seed(void **state)
{
    int64_t first_us = 0;
    int different = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct schedule schedule;

        schedule_init(&schedule, 10 * MINUTE, NOW);
        schedule.failures = 8;
        schedule_wait(&schedule, -1, NOW, seed);
        first_us = seed == 0 ? schedule.next_at_us : first_us;
        different += schedule.next_at_us != first_us;
    }
    assert_true(different > 40);
}

static void retry_after_is_obeyed_up_to_an_hour(void **state)
{
    static const struct {
        int64_t said_us, least_us, most_us;
    } cases[] = {
        {0, SECOND, 2 * SECOND}, {30 * SECOND, 30 * SECOND, 33 * SECOND},
        {HOUR, HOUR, HOUR},      {24 * HOUR, HOUR, HOUR},
        {INT64_MAX, HOUR, HOUR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schedule schedule;

        schedule_init(&schedule, 10 * MINUTE, NOW);
        schedule_wait(&schedule, cases[i].said_us, NOW, i);
        assert_in_range(schedule.next_at_us - NOW, cases[i].least_us, cases[i].most_us);
    }
}

static void a_red_source_is_asked_again_daily(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, NOW);
    schedule_refuse(&schedule, SCHEDULE_DAILY_US, NOW, 7);
    assert_int_equal(schedule.state, SCHEDULE_RED);
    assert_in_range(schedule.next_at_us - NOW, 21 * HOUR, 27 * HOUR);
    assert_false(schedule_is_due(&schedule, NOW + 20 * HOUR));
    assert_true(schedule_is_due(&schedule, NOW + 27 * HOUR));
}

static void what_is_restored_fits_today(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_restore(&schedule, 10 * MINUTE, 7 * MINUTE, NOW + MINUTE, 3, SCHEDULE_WAITING, NOW);
    assert_int_equal(schedule.interval_us, 7 * MINUTE);
    assert_int_equal(schedule.next_at_us, NOW + MINUTE);
    assert_int_equal(schedule.failures, 3);
    assert_int_equal(schedule.state, SCHEDULE_WAITING);
    /* `every` was an hour then, and the clock stood in another year. */
    schedule_restore(&schedule, MINUTE, HOUR, NOW + INT64_C(400) * 24 * HOUR, -1, SCHEDULE_OK, NOW);
    assert_int_equal(schedule.interval_us, 2 * MINUTE);
    assert_true(schedule_is_due(&schedule, NOW));
    assert_int_equal(schedule.failures, 0);
    schedule_restore(&schedule, MINUTE, MINUTE, NOW + 23 * HOUR, 1, SCHEDULE_RED, NOW);
    assert_false(schedule_is_due(&schedule, NOW));
}

static void states_have_names(void **state)
{
    enum schedule_state parsed = SCHEDULE_OK;

    (void)state;
    for (int each = SCHEDULE_OK; each <= SCHEDULE_RED; each++) {
        assert_true(schedule_state_parse(&parsed, schedule_state_name((enum schedule_state)each)));
        assert_int_equal(parsed, each);
    }
    assert_false(schedule_state_parse(&parsed, "green"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_poll_is_due_now),
        cmocka_unit_test(the_interval_follows_what_comes_within_bounds),
        cmocka_unit_test(a_server_may_ask_for_less),
        cmocka_unit_test(backoff_doubles_with_jitter_up_to_five_minutes),
        cmocka_unit_test(jitter_depends_on_the_seed),
        cmocka_unit_test(retry_after_is_obeyed_up_to_an_hour),
        cmocka_unit_test(a_red_source_is_asked_again_daily),
        cmocka_unit_test(what_is_restored_fits_today),
        cmocka_unit_test(states_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
