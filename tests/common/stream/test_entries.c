/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys in memory: what is older than its topic keeps goes, nothing else does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "common/stream/kafka_entries.h"

#define DAY (INT64_C(86400) * 1000000)
#define NOW (INT64_C(1700000000) * 1000000) /* some day in 2023: past for any clock */

static void put(struct kafka_entries *entries, int number, int64_t at_us, int64_t offset)
{
    char key[32];
    const struct stream_message message = {.topic = "seen",
                                           .offset = offset,
                                           .at_us = at_us,
                                           .key = key,
                                           .key_length =
                                               (size_t)snprintf(key, sizeof key, "s/%d", number),
                                           .value = "{}",
                                           .value_length = 2};

    assert_int_equal(kafka_entries_put(entries, &message), 0);
}

static bool holds(const struct kafka_entries *entries, int number)
{
    char key[32];
    const size_t length = (size_t)snprintf(key, sizeof key, "s/%d", number);

    return kafka_entries_find(entries, key, length) != NULL;
}

/* A thousand new keys a day for a year, each kept for 90 days; ten are written anew each month. */
static void keys_are_bounded_by_the_retention(void **state)
{
    struct kafka_entries entries = {.budget = SIZE_MAX, .retention_us = 90 * DAY};
    int64_t offset = 0;
    size_t most = 0;

    (void)state;
    for (int day = 0; day < 365; day++) {
        for (int i = 0; i < 1000; i++) {
            put(&entries, day * 1000 + i, NOW + day * DAY + i, offset++);
        }
        for (int i = 0; day % 30 == 0 && i < 10; i++) {
            put(&entries, i, NOW + day * DAY + 2000, offset++);
        }
        most = entries.count > most ? entries.count : most;
    }
    assert_in_range(most, 90000, 150000); /* the hand is never far behind */
    for (int i = 0; i < 10; i++) {
        assert_true(holds(&entries, i));
    }
    for (int number = 276 * 1000; number < 365 * 1000; number++) { /* of the last 89 days */
        assert_true(holds(&entries, number));
    }
    assert_false(holds(&entries, 20));
    kafka_entries_clear(&entries);
}

static void a_clock_that_is_ahead_makes_nothing_old(void **state)
{
    struct kafka_entries entries = {.budget = SIZE_MAX, .retention_us = 90 * DAY};
    struct timespec now;
    int64_t now_us = 0;

    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    now_us = now.tv_sec * INT64_C(1000000);
    for (int i = 0; i < 100; i++) {
        put(&entries, i, now_us, i);
    }
    for (int i = 100; i < 1000; i++) {
        put(&entries, i, now_us + 3650 * DAY, i);
    }
    assert_int_equal(entries.count, 1000);
    kafka_entries_clear(&entries);
}

static void without_a_retention_everything_stays(void **state)
{
    struct kafka_entries entries = {.budget = SIZE_MAX};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        put(&entries, i, NOW + i * 10 * DAY, i);
    }
    assert_int_equal(entries.count, 1000);
    kafka_entries_clear(&entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_bounded_by_the_retention),
        cmocka_unit_test(a_clock_that_is_ahead_makes_nothing_old),
        cmocka_unit_test(without_a_retention_everything_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
