/* SPDX-License-Identifier: Apache-2.0 */
/* Our own outage: when it is one, when it is a source's, and when it is over. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collectors/outage.h"

#define SECOND INT64_C(1000000)

static struct outage with_hosts(uint64_t count)
{
    struct outage outage = {0};

    for (uint64_t host = 1; host <= count; host++) {
        outage_know(&outage, host);
        outage_know(&outage, host);
    }
    return outage;
}

static void all_hosts_silent_for_long_are_our_outage(void **state)
{
    struct outage outage = with_hosts(20);

    (void)state;
    for (int64_t t = 0; t < 10; t++) {
        assert_int_equal(outage_note(&outage, (uint64_t)t + 1, false, t * SECOND), OUTAGE_SAME);
    }
    assert_int_equal(outage_note(&outage, 11, false, 10 * SECOND), OUTAGE_BEGAN);
    assert_true(outage.away);
    assert_int_equal(outage_note(&outage, 12, false, 11 * SECOND), OUTAGE_SAME); /* told once */
    assert_int_equal(outage_note(&outage, 5, true, 12 * SECOND), OUTAGE_ENDED);
    assert_false(outage.away);
    assert_int_equal(outage_note(&outage, 6, true, 13 * SECOND), OUTAGE_SAME);
}

static void one_answer_in_between_makes_it_the_sources(void **state)
{
    struct outage outage = with_hosts(20);

    (void)state;
    for (int64_t t = 0; t < 100; t++) {
        assert_int_equal(outage_note(&outage, (uint64_t)(t % 20) + 1, t % 9 == 8, t * SECOND),
                         OUTAGE_SAME);
    }
}

static void hosts_that_are_dead_among_few_are_not_ours(void **state)
{
    struct outage outage = with_hosts(20);

    (void)state;
    for (int64_t t = 0; t < 100; t++) { /* two hosts, asked again and again */
        assert_int_equal(outage_note(&outage, (uint64_t)(t % 2) + 1, false, t * SECOND),
                         OUTAGE_SAME);
    }
}

static void of_two_hosts_both_have_to_be_silent_and_of_one_nobody_can_tell(void **state)
{
    struct outage two = with_hosts(2);
    struct outage one = with_hosts(1);

    (void)state;
    assert_int_equal(outage_note(&two, 1, false, 0), OUTAGE_SAME);
    assert_int_equal(outage_note(&two, 1, false, 60 * SECOND), OUTAGE_SAME);
    assert_int_equal(outage_note(&two, 2, false, 61 * SECOND), OUTAGE_BEGAN);
    for (int64_t t = 0; t < 100; t++) {
        assert_int_equal(outage_note(&one, 1, false, t * SECOND), OUTAGE_SAME);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hosts_silent_for_long_are_our_outage),
        cmocka_unit_test(one_answer_in_between_makes_it_the_sources),
        cmocka_unit_test(hosts_that_are_dead_among_few_are_not_ours),
        cmocka_unit_test(of_two_hosts_both_have_to_be_silent_and_of_one_nobody_can_tell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
