/* SPDX-License-Identifier: Apache-2.0 */
/* The books of completeness: what counts as planned, what leaves a stretch behind, ages, and that
 * they come back from a message as they went into it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/coverage.h"
#include "common/clock.h"
#include "common/json/json.h"

#define NOW INT64_C(1795334400000000) /* 2026-11-22T08:00:00Z, the beginning of an hour */
#define MINUTE CLOCK_MINUTE_US
#define EVERY (5 * MINUTE)

static struct coverage_begun begin(struct coverage *coverage, int64_t at_us)
{
    struct ear_error err = {0};
    struct coverage_begun begun;

    assert_int_equal(
        coverage_begin(coverage, EVERY, COVERAGE_AWAY, "nobody asked", at_us, &begun, &err), 0);
    return begun;
}

static void poll_well(struct coverage *coverage, int64_t at_us)
{
    (void)begin(coverage, at_us);
    coverage_made(coverage, at_us + EVERY, at_us + CLOCK_SECOND_US);
}

static void every_poll_made_is_every_poll_planned(void **state)
{
    struct coverage coverage = {0};

    (void)state;
    for (int i = 0; i < 12; i++) {
        poll_well(&coverage, NOW + i * EVERY + (i % 3) * CLOCK_SECOND_US);
    }
    assert_int_equal(coverage.hours[0].planned, 12);
    assert_int_equal(coverage.hours[0].made, 12);
    assert_int_equal(coverage.gap_count, 0);
    coverage_clear(&coverage);
}

static void attempts_after_a_failure_are_not_planned_twice(void **state)
{
    struct coverage coverage = {0};

    (void)state;
    (void)begin(&coverage, NOW);
    coverage_failed(&coverage, false, NOW);
    for (int i = 1; i <= 4; i++) { /* backoff: 1, 2, 3, 4 s */
        assert_int_equal(begin(&coverage, NOW + i * CLOCK_SECOND_US).planned, 0);
        coverage_failed(&coverage, i == 2, NOW + i * CLOCK_SECOND_US);
    }
    assert_int_equal(begin(&coverage, NOW + 10 * CLOCK_SECOND_US).planned, 0);
    coverage_made(&coverage, NOW + EVERY, NOW + 10 * CLOCK_SECOND_US);
    assert_int_equal(coverage.hours[0].planned, 1);
    assert_int_equal(coverage.hours[0].made, 1);
    assert_int_equal(coverage.hours[0].failed, 5);
    assert_int_equal(coverage.hours[0].ours, 1);
    coverage_clear(&coverage);
}

static void a_source_that_fails_for_long_misses_what_its_plan_wanted(void **state)
{
    struct coverage coverage = {0};

    (void)state;
    poll_well(&coverage, NOW);
    for (int i = 1; i <= 20; i++) { /* asked again each minute */
        (void)begin(&coverage, NOW + EVERY + (i - 1) * MINUTE);
        coverage_failed(&coverage, false, NOW + EVERY + (i - 1) * MINUTE);
    }
    assert_int_equal(coverage.hours[0].planned, 1 + 4); /* at 5, 10, 15, 20 */
    assert_int_equal(coverage.hours[0].made, 1);
    assert_int_equal(coverage.gap_count, 0);
    coverage_clear(&coverage);
}

static void a_poll_asked_for_out_of_turn_counts_as_planned(void **state)
{
    struct coverage coverage = {0};

    (void)state;
    poll_well(&coverage, NOW);
    poll_well(&coverage, NOW + MINUTE);
    assert_int_equal(coverage.hours[0].planned, 2);
    assert_int_equal(coverage.hours[0].made, 2);
    coverage_clear(&coverage);
}

static void a_little_late_is_counted_in_its_hour(void **state)
{
    struct coverage coverage = {0};

    (void)state;
    poll_well(&coverage, NOW + 50 * MINUTE); /* planned: 55 */
    (void)begin(&coverage, NOW + 64 * MINUTE);
    assert_int_equal(coverage.gap_count, 0);
    assert_int_equal(coverage.hours[1].hour_us, NOW);
    assert_int_equal(coverage.hours[1].planned, 1 + 1); /* 50, 55 */
    assert_int_equal(coverage.hours[0].planned, 1);     /* 60, made at 64 */
    coverage_clear(&coverage);
}

static void three_days_leave_one_stretch_with_its_polls(void **state)
{
    struct coverage coverage = {0};
    const int64_t back_us = NOW + 3 * CLOCK_DAY_US;
    struct coverage_begun begun;

    (void)state;
    poll_well(&coverage, NOW);
    begun = begin(&coverage, back_us);
    assert_true(begun.gap);
    assert_int_equal(coverage.gap_count, 1);
    assert_int_equal(coverage.gaps[0].kind, COVERAGE_AWAY);
    assert_int_equal(coverage.gaps[0].from_us, NOW + EVERY);
    assert_int_equal(coverage.gaps[0].to_us, back_us);
    assert_int_equal(coverage.gaps[0].polls, 3 * 288 - 1);
    assert_string_equal(coverage.gaps[0].why, "nobody asked");
    assert_int_equal(coverage.hours[0].planned, 1); /* not in the hour as well */
    assert_int_equal(begun.planned, 3 * 288);
    coverage_clear(&coverage);
}

static void only_the_last_stretches_are_remembered(void **state)
{
    struct coverage coverage = {0};
    struct ear_error err = {0};
    char why[COVERAGE_WHY_SIZE + 20];

    (void)state;
    memset(why, 'w', sizeof(why));
    (void)snprintf(why + COVERAGE_WHY_SIZE - 2, 10, "ü");
    for (int i = 0; i < COVERAGE_GAPS_MAX + 5; i++) {
        assert_int_equal(
            coverage_gap(&coverage, COVERAGE_GAP, NOW + i, NOW + i + 1, 0, why, NOW + i, &err), 0);
    }
    assert_int_equal(coverage.gap_count, COVERAGE_GAPS_MAX);
    assert_int_equal(coverage.gaps[0].from_us, NOW + 5);
    assert_int_equal(strlen(coverage.gaps[0].why), COVERAGE_WHY_SIZE - 2); /* no half of the ü */
    assert_int_equal(coverage.hours[0].gaps, COVERAGE_GAPS_MAX + 5);
    coverage_clear(&coverage);
}

static void the_same_stretch_is_told_once(void **state)
{
    struct coverage coverage = {0};
    struct ear_error err = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            coverage_gap(&coverage, COVERAGE_GAP, INT64_MIN, NOW, 0, "cut", NOW + i, &err), 0);
    }
    assert_int_equal(coverage.gap_count, 1);
    coverage_clear(&coverage);
}

static void ages_fall_into_buckets_of_doubling_width(void **state)
{
    (void)state;
    assert_int_equal(ages_bucket(-5), 0);
    assert_int_equal(ages_bucket(999999), 0);
    assert_int_equal(ages_bucket(CLOCK_SECOND_US), 1);
    assert_int_equal(ages_bucket(3 * CLOCK_SECOND_US), 2);
    assert_int_equal(ages_bucket(100 * CLOCK_DAY_US), AGES_COUNT - 1);
}

static void an_age_is_read_off_between_the_bounds(void **state)
{
    uint32_t ages[AGES_COUNT] = {0};

    (void)state;
    assert_true(ages_at(ages, 0.5) < 0);
    ages[3] = 100; /* 4 to 8 s */
    assert_true(ages_at(ages, 0.5) > 5.9 && ages_at(ages, 0.5) < 6.1);
    ages[10] = 10; /* 512 to 1024 s */
    assert_true(ages_at(ages, 0.5) < 8);
    assert_true(ages_at(ages, 0.95) > 512);
}

static struct coverage carry(const struct coverage *coverage, int64_t written_us)
{
    struct ear_error err = {0};
    struct json_writer *writer = NULL;
    struct json *json = NULL;
    struct coverage out;
    const char *text = NULL;
    size_t length = 0;

    assert_int_equal(json_writer_new(&writer, 1 << 20, &err), 0);
    assert_int_equal(json_new(&json, &err), 0);
    json_write_object(writer);
    coverage_write(coverage, writer);
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, &err);
    assert_non_null(text);
    assert_int_equal(coverage_read(&out, json_read(json, text, length, &json_limits_default, &err),
                                   written_us, MINUTE, &err),
                     0);
    json_free(json);
    json_writer_free(writer);
    return out;
}

static void the_books_come_back_from_the_message(void **state)
{
    struct coverage before = {0};
    struct coverage after;
    struct ear_error err = {0};
    uint32_t ages[AGES_COUNT] = {3, 0, 5};

    (void)state;
    poll_well(&before, NOW);
    coverage_request(&before, NOW);
    coverage_posts(&before, 8, ages, NOW);
    assert_int_equal(
        coverage_gap(&before, COVERAGE_GAP, INT64_MIN, NOW, 0, "10 pages are all", NOW, &err), 0);
    poll_well(&before, NOW + 60 * MINUTE);
    coverage_failed(&before, true, NOW + 61 * MINUTE);
    after = carry(&before, NOW + 61 * MINUTE);
    assert_memory_equal(after.hours, before.hours, sizeof(before.hours));
    assert_int_equal(after.plan_us, before.plan_us);
    assert_true(after.retries);
    assert_int_equal(after.gap_count, 2); /* what was told, and the 55 minutes before the second */
    assert_memory_equal(after.gaps, before.gaps, 2 * sizeof(*before.gaps));
    coverage_clear(&before);
    coverage_clear(&after);
}

static void what_was_done_since_the_message_is_not_missed(void **state)
{
    struct coverage before = {0};
    struct coverage after;

    (void)state;
    poll_well(&before, NOW); /* and every second after it, without a message, until a crash */
    before.plan_us = NOW + CLOCK_SECOND_US;
    after = carry(&before, NOW);
    assert_int_equal(after.plan_us, NOW + MINUTE);
    coverage_clear(&before);
    coverage_clear(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_poll_made_is_every_poll_planned),
        cmocka_unit_test(attempts_after_a_failure_are_not_planned_twice),
        cmocka_unit_test(a_source_that_fails_for_long_misses_what_its_plan_wanted),
        cmocka_unit_test(a_poll_asked_for_out_of_turn_counts_as_planned),
        cmocka_unit_test(a_little_late_is_counted_in_its_hour),
        cmocka_unit_test(three_days_leave_one_stretch_with_its_polls),
        cmocka_unit_test(only_the_last_stretches_are_remembered),
        cmocka_unit_test(the_same_stretch_is_told_once),
        cmocka_unit_test(ages_fall_into_buckets_of_doubling_width),
        cmocka_unit_test(an_age_is_read_off_between_the_bounds),
        cmocka_unit_test(the_books_come_back_from_the_message),
        cmocka_unit_test(what_was_done_since_the_message_is_not_missed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
