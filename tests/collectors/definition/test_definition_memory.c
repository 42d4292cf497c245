/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/definition/engine_memory.h"

/* Spread as hashes are, but for every third: those meet in one slot. */
static uint64_t id_of(uint64_t i)
{
    const uint64_t mask = (UINT64_C(1) << 48) - 1;

    return i % 3 == 0 ? (i * KEPT_SLOTS + 5) & mask : (i * UINT64_C(0x9E3779B97F4A7C15)) >> 16;
}

static void note(struct kept *kept, uint64_t i, uint64_t value)
{
    struct ear_error err = {EAR_NONE, ""};

    assert_int_equal(kept_note(kept, id_of(i), value, &err), 0);
}

static void what_changed_is_known_until_it_is_the_longest_unused(void **state)
{
    struct kept kept = {0};
    struct kept again = {0};
    struct json_writer *writer = NULL;
    struct ear_error err = {EAR_NONE, ""};
    const struct definition definition = {.platform = "p"};
    const char *cursor = NULL;
    char *copy = NULL;
    size_t length = 0;

    (void)state;
    for (uint64_t i = 0; i < KEPT_CHANGED_MAX; i++) {
        assert_true(kept_differs(&kept, id_of(i), 1));
        note(&kept, i, i);
    }
    for (uint64_t i = 0; i < KEPT_CHANGED_MAX; i += 2) { /* half of them is used, and one is new */
        assert_false(kept_differs(&kept, id_of(i), i));
        assert_true(kept_differs(&kept, id_of(i), i + 1));
    }
    note(&kept, 4, 77);
    for (uint64_t i = 0; i < 100; i++) { /* the odd ones go, the first of them first */
        note(&kept, KEPT_CHANGED_MAX + i, 9);
    }
    assert_int_equal(kept.change_count, KEPT_CHANGED_MAX);
    snprintf(kept.of, sizeof kept.of, "x");
    assert_int_equal(kept_load(&again, &definition, NULL, NULL, 0, &err), 0);
    memcpy(kept.of, again.of, sizeof kept.of);
    kept_clear(&again);
    assert_int_equal(json_writer_new(&writer, KEPT_BYTES_MAX, &err), 0);
    cursor = kept_write(&kept, writer, &length, &err);
    assert_non_null(cursor);
    copy = strndup(cursor, length);
    assert_int_equal(kept_load(&again, &definition, NULL, copy, length, &err), 0);
    for (int turn = 0; turn < 2; turn++) { /* after writing, and as it is read */
        struct kept *each = turn == 0 ? &kept : &again;

        assert_int_equal(each->change_count, KEPT_CHANGED_MAX);
        for (uint64_t i = 0; i < KEPT_CHANGED_MAX + 100; i++) {
            const bool gone = i % 2 == 1 && i < 200;
            const uint64_t value = i == 4 ? 77 : i < KEPT_CHANGED_MAX ? i : 9;

            if (kept_differs(each, id_of(i), value) != gone) {
                fail_msg("turn %d: %llu", turn, (unsigned long long)i);
            }
        }
    }
    free(copy);
    json_writer_free(writer);
    kept_clear(&kept);
    kept_clear(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changed_is_known_until_it_is_the_longest_unused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
