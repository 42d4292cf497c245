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
    schedule_init(&schedule, 10 * MINUTE, 0, NOW);
    assert_true(schedule_is_due(&schedule, NOW));
    assert_int_equal(schedule.state, SCHEDULE_OK);
    assert_int_equal(schedule.interval_us, 10 * MINUTE);
}

/* A poll that found so many posts, one interval after the last. */
static void poll(struct schedule *schedule, int64_t posts, uint64_t seed)
{
    schedule_done(
        schedule,
        &(struct schedule_poll){.posts = posts, .since_us = schedule->interval_us, .requests = 1},
        NOW, seed);
}

static void the_interval_follows_what_comes_within_bounds(void **state)
{
    struct schedule schedule;
    int64_t before_us = 0;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, 0, NOW);
    before_us = schedule.interval_us;
    poll(&schedule, 3, 1);
    assert_true(schedule.interval_us < before_us);
    for (int i = 0; i < 20; i++) {
        poll(&schedule, 30, (uint64_t)i);
        assert_true(schedule.interval_us >= 5 * MINUTE);
        assert_in_range(schedule.next_at_us - NOW, schedule.interval_us * INT64_C(9) / 10,
                        schedule.interval_us * 11 / 10);
    }
    assert_int_equal(schedule.interval_us, 5 * MINUTE);
    for (int i = 0; i < 40; i++) {
        poll(&schedule, 0, (uint64_t)i);
        assert_true(schedule.interval_us <= 20 * MINUTE);
    }
    assert_int_equal(schedule.interval_us, 20 * MINUTE);
}

static void the_interval_is_the_root_of_one_over_the_rate(void **state)
{
    static const struct {
        int64_t apart_us; /* posts */
        int64_t expected_us;
    } cases[] = {
        /* every 10 m: at one post in 10 m just that, at four times as many half of it, … */
        {10 * MINUTE, 10 * MINUTE},
        {150 * SECOND, 5 * MINUTE},
        {5 * MINUTE, INT64_C(424) * SECOND},
        {20 * MINUTE, INT64_C(849) * SECOND},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schedule schedule;
        int64_t sum_us = 0;
        int64_t at_us = 0;
        int64_t posts = 0;

        schedule_init(&schedule, 10 * MINUTE, 0, NOW);
        for (int j = 0; j < 600; j++) {
            const int64_t since_us = schedule.interval_us;

            at_us += since_us;
            schedule_done(&schedule,
                          &(struct schedule_poll){.posts = at_us / cases[i].apart_us - posts,
                                                  .since_us = since_us},
                          NOW + at_us, 1);
            posts = at_us / cases[i].apart_us;
            sum_us += j >= 100 ? schedule.interval_us : 0;
        }
        assert_in_range(sum_us / 500, cases[i].expected_us * 8 / 10,
                        cases[i].expected_us * 12 / 10);
    }
}

static void history_says_nothing_of_the_rate(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, 0, NOW);
    schedule_done(&schedule, &(struct schedule_poll){.posts = 5000, .since_us = -1}, NOW, 1);
    assert_int_equal(schedule.interval_us, 10 * MINUTE);
}

static void a_target_is_kept_even_by_a_source_that_sleeps(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, 8 * MINUTE, NOW);
    for (uint64_t i = 0; i < 50; i++) {
        poll(&schedule, 0, i);
        assert_true(schedule.next_at_us - NOW <= 8 * MINUTE);
        assert_true(schedule.next_at_us - NOW >= 7 * MINUTE);
    }
    schedule_init(&schedule, 10 * MINUTE, SECOND, NOW); /* never below half of `every` */
    poll(&schedule, 100, 1);
    assert_int_equal(schedule.interval_us, 5 * MINUTE);
}

static void a_shared_budget_spreads_polls(void **state)
{
    struct schedule schedule;
    int64_t wait_us = 0;

    (void)state;
    schedule_init(&schedule, MINUTE, 0, NOW);
    for (uint64_t i = 0; i < 60; i++) { /* five requests a poll, each of them due once a minute */
        schedule_done(&schedule,
                      &(struct schedule_poll){
                          .posts = 9, .since_us = MINUTE, .requests = 5, .share_us = MINUTE},
                      NOW, i);
    }
    wait_us = schedule.next_at_us - NOW;
    assert_in_range(wait_us, 290 * SECOND, 300 * SECOND);
    schedule_done(&schedule,
                  &(struct schedule_poll){.since_us = MINUTE, .requests = 500, .share_us = MINUTE},
                  NOW, 1); /* one long walk is not the rule */
    assert_true(schedule.next_at_us - NOW <= 10 * MINUTE);
    schedule_done(&schedule,
                  &(struct schedule_poll){.since_us = MINUTE, .requests = 5, .share_us = 24 * HOUR},
                  NOW, 1);
    assert_int_equal(schedule.next_at_us - NOW, 24 * HOUR); /* never more than a day */
}

static void what_was_learnt_is_restored(void **state)
{
    struct schedule schedule;
    struct schedule other;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, 0, NOW);
    schedule_init(&other, 10 * MINUTE, 0, NOW);
    for (int i = 0; i < 20; i++) {
        poll(&schedule, 5, 1);
    }
    schedule_restore_rate(&other, schedule.posts, schedule.over_us);
    other.interval_us = schedule.interval_us;
    poll(&schedule, 0, 1);
    poll(&other, 0, 1);
    assert_int_equal(schedule.interval_us, other.interval_us);
    schedule_restore_rate(&other, -1, 5); /* makes no sense: passed over */
    assert_true(other.posts > 0);
}

static void a_server_may_ask_for_less(void **state)
{
    struct schedule schedule;
    struct schedule_poll said = {.since_us = MINUTE, .floor_us = 30 * MINUTE};

    (void)state;
    schedule_init(&schedule, MINUTE, 0, NOW);
    schedule_done(&schedule, &said, NOW, 1);
    assert_int_equal(schedule.next_at_us - NOW, 30 * MINUTE);
    said.floor_us = INT64_C(30) * 24 * HOUR;
    schedule_done(&schedule, &said, NOW, 1);
    assert_int_equal(schedule.next_at_us - NOW, HOUR);
    said.floor_us = -5;
    schedule_done(&schedule, &said, NOW, 1);
    assert_true(schedule.next_at_us - NOW <= 2 * MINUTE * 11 / 10);
}

static void backoff_doubles_with_jitter_up_to_five_minutes(void **state)
{
    static const int64_t most_s[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300};

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct schedule schedule;

        schedule_init(&schedule, 10 * MINUTE, 0, NOW);
        for (size_t i = 0; i < sizeof(most_s) / sizeof(most_s[0]); i++) {
            int64_t wait_us = 0;

            schedule_wait(&schedule, -1, NOW, seed);
            wait_us = schedule.next_at_us - NOW;
            assert_true(wait_us >= SECOND && wait_us >= most_s[i] * SECOND / 2);
            assert_true(wait_us <= most_s[i] * SECOND);
            assert_int_equal(schedule.state, SCHEDULE_WAITING);
            assert_int_equal(schedule.failures, i + 1);
        }
        schedule_done(&schedule, &(struct schedule_poll){.since_us = MINUTE}, NOW, seed);
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

        schedule_init(&schedule, 10 * MINUTE, 0, NOW);
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

        schedule_init(&schedule, 10 * MINUTE, 0, NOW);
        schedule_wait(&schedule, cases[i].said_us, NOW, i);
        assert_in_range(schedule.next_at_us - NOW, cases[i].least_us, cases[i].most_us);
    }
}

static void a_red_source_is_asked_again_daily(void **state)
{
    struct schedule schedule;

    (void)state;
    schedule_init(&schedule, 10 * MINUTE, 0, NOW);
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
    schedule_restore(&schedule, 10 * MINUTE, 0, 7 * MINUTE, NOW + MINUTE, 3, SCHEDULE_WAITING, NOW);
    assert_int_equal(schedule.interval_us, 7 * MINUTE);
    assert_int_equal(schedule.next_at_us, NOW + MINUTE);
    assert_int_equal(schedule.failures, 3);
    assert_int_equal(schedule.state, SCHEDULE_WAITING);
    /* `every` was an hour then, and the clock stood in another year. */
    schedule_restore(&schedule, MINUTE, 0, HOUR, NOW + INT64_C(400) * 24 * HOUR, -1, SCHEDULE_OK,
                     NOW);
    assert_int_equal(schedule.interval_us, 2 * MINUTE);
    assert_true(schedule_is_due(&schedule, NOW));
    assert_int_equal(schedule.failures, 0);
    schedule_restore(&schedule, MINUTE, 0, MINUTE, NOW + 23 * HOUR, 1, SCHEDULE_RED, NOW);
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
        cmocka_unit_test(the_interval_is_the_root_of_one_over_the_rate),
        cmocka_unit_test(history_says_nothing_of_the_rate),
        cmocka_unit_test(a_target_is_kept_even_by_a_source_that_sleeps),
        cmocka_unit_test(a_shared_budget_spreads_polls),
        cmocka_unit_test(what_was_learnt_is_restored),
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
