/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collectors/drift.h"
#include "common/clock.h"

#define MINUTE CLOCK_MINUTE_US
#define NOW INT64_C(1795334400000000) /* a full minute */

static void more_than_one_in_a_hundred_and_two_is_a_drift(void **state)
{
    static const struct {
        int64_t records, rejects;
        enum drift_change change;
    } cases[] = {
        {0, 0, DRIFT_SAME},    {1, 1, DRIFT_SAME},     {2, 2, DRIFT_BEGAN},
        {50, 1, DRIFT_SAME},   {199, 2, DRIFT_BEGAN},  {200, 2, DRIFT_SAME},
        {1000, 0, DRIFT_SAME}, {1000, 10, DRIFT_SAME}, {1000, 11, DRIFT_BEGAN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct drift drift = {0};

        assert_int_equal(drift_add(&drift, cases[i].records, cases[i].rejects, NOW),
                         cases[i].change);
        assert_int_equal(drift.drifting, cases[i].change == DRIFT_BEGAN);
    }
}

static void a_minute_leaves_the_window_after_ten(void **state)
{
    struct drift drift = {0};

    (void)state;
    for (int i = 0; i < 25; i++) {
        struct drift_counts counts;

        (void)drift_add(&drift, 10, 1, NOW + i * MINUTE);
        (void)drift_add(&drift, 10, 0, NOW + i * MINUTE + MINUTE - 1);
        counts = drift_counts(&drift, NOW + i * MINUTE);
        assert_int_equal(counts.records, 20 * (i < 9 ? i + 1 : 10));
        assert_int_equal(counts.rejects, i < 9 ? i + 1 : 10);
    }
    assert_int_equal(drift_counts(&drift, NOW + 33 * MINUTE).rejects, 1);
    assert_int_equal(drift_counts(&drift, NOW + 34 * MINUTE).records, 0);
}

static void it_begins_once_and_ends_with_a_clean_window(void **state)
{
    struct drift drift = {0};

    (void)state;
    assert_int_equal(drift_add(&drift, 5, 2, NOW), DRIFT_BEGAN);
    assert_int_equal(drift_add(&drift, 5, 5, NOW + MINUTE), DRIFT_SAME);
    assert_int_equal(drift_add(&drift, 0, 0, NOW + 10 * MINUTE), DRIFT_SAME);
    assert_int_equal(drift_add(&drift, 0, 0, NOW + 11 * MINUTE), DRIFT_ENDED);
    assert_int_equal(drift_add(&drift, 0, 0, NOW + 12 * MINUTE), DRIFT_SAME);
    assert_int_equal(drift_add(&drift, 2, 2, NOW + 13 * MINUTE), DRIFT_BEGAN);
}

static void at_the_edge_it_is_not_told_again_and_again(void **state)
{
    struct drift drift = {0};

    (void)state;
    assert_int_equal(drift_add(&drift, 299, 3, NOW), DRIFT_BEGAN);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(drift_add(&drift, 100, 0, NOW), DRIFT_SAME);
    }
    assert_int_equal(drift_add(&drift, 1, 0, NOW), DRIFT_ENDED); /* 3 of 600 */
}

static void only_a_reject_begins_it(void **state)
{
    struct drift drift = {0};

    (void)state;
    assert_int_equal(drift_add(&drift, 300, 0, NOW), DRIFT_SAME);
    assert_int_equal(drift_add(&drift, 2, 2, NOW + 5 * MINUTE), DRIFT_SAME);
    assert_int_equal(drift_add(&drift, 0, 0, NOW + 11 * MINUTE), DRIFT_SAME); /* 2 of 2 are left */
    assert_int_equal(drift_add(&drift, 1, 1, NOW + 11 * MINUTE), DRIFT_BEGAN);
}

static void a_clock_set_back_does_no_harm(void **state)
{
    struct drift drift = {0};

    (void)state;
    assert_int_equal(drift_add(&drift, 2, 2, NOW), DRIFT_BEGAN);
    assert_int_equal(drift_add(&drift, 0, 0, NOW - 3 * MINUTE), DRIFT_ENDED);
    assert_int_equal(drift_add(&drift, 2, 2, NOW - 10 * MINUTE), DRIFT_BEGAN); /* same bucket */
    assert_int_equal(drift_counts(&drift, NOW).records, 0);
}

static void what_is_restored_drifts_until_its_last_reject_is_old(void **state)
{
    static const struct {
        int64_t reject_us, end_us;
    } cases[] = {
        {NOW, NOW + 10 * MINUTE},
        {NOW - 4 * MINUTE, NOW + 6 * MINUTE},
        {NOW + CLOCK_DAY_US, NOW + 10 * MINUTE}, /* the clock was set back */
        {INT64_MIN, NOW},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct drift drift = {0};

        drift_restore(&drift, cases[i].reject_us, NOW);
        assert_true(drift.drifting);
        if (cases[i].end_us > NOW) {
            assert_int_equal(drift_add(&drift, 0, 0, cases[i].end_us - 1), DRIFT_SAME);
        }
        assert_int_equal(drift_add(&drift, 0, 0, cases[i].end_us), DRIFT_ENDED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_one_in_a_hundred_and_two_is_a_drift),
        cmocka_unit_test(a_minute_leaves_the_window_after_ten),
        cmocka_unit_test(it_begins_once_and_ends_with_a_clean_window),
        cmocka_unit_test(at_the_edge_it_is_not_told_again_and_again),
        cmocka_unit_test(only_a_reject_begins_it),
        cmocka_unit_test(a_clock_set_back_does_no_harm),
        cmocka_unit_test(what_is_restored_drifts_until_its_last_reject_is_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
