/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledger knows without asking the log, on a real local log: never more than the log says.
 */

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/ledger.h"
#include "collectors/outgoing.h"
#include "common/clock.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

#define NOW_US INT64_C(1795000000000000)

struct books {
    char folder[64];
    struct settings *settings;
    struct stream *stream;
    struct ledger *ledger;
    struct outgoing *outgoing;
};

static int open_books(void **state)
{
    struct books *books = calloc(1, sizeof(*books));
    struct ear_error err = {0};

    assert_non_null(books);
    (void)snprintf(books->folder, sizeof(books->folder), "/tmp/earshot-ledger-XXXXXX");
    assert_non_null(mkdtemp(books->folder)); /* NOLINT(concurrency-mt-unsafe): one thread */
    assert_int_equal(settings_load(&books->settings, NULL, books->folder, ".", &err), 0);
    assert_int_equal(settings_open_stream(&books->stream, books->settings, false, &err), 0);
    assert_int_equal(ledger_new(&books->ledger, books->stream, &err), 0);
    assert_int_equal(outgoing_new(&books->outgoing, &err), 0);
    *state = books;
    return 0;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
    (void)stat;
    (void)kind;
    (void)where;
    return remove(path);
}

static int close_books(void **state)
{
    struct books *books = *state;

    outgoing_free(books->outgoing);
    ledger_free(books->ledger);
    stream_close(books->stream);
    settings_free(books->settings);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    (void)nftw(books->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(books);
    return 0;
}

static struct hash128 hash_of(const char *what, int number)
{
    char text[64];

    return hash128_of(text, (size_t)snprintf(text, sizeof(text), "%s %d", what, number));
}

static void put(struct books *books, int item, struct hash128 raw)
{
    const struct ledger_entry entry = {
        .hash = raw, .raw = raw, .version = 1, .first_us = INT64_MIN};
    struct ear_error err = {0};

    assert_int_equal(ledger_put(books->ledger, books->outgoing, "blog", hash_of("item", item),
                                &entry, NOW_US, &err),
                     0);
}

static void commit(struct books *books)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    assert_int_equal(stream_begin(&transaction, books->stream, &err), 0);
    assert_int_equal(outgoing_publish(books->outgoing, transaction, NULL, &err), 0);
    assert_int_equal(stream_commit(transaction, &err), 0);
    outgoing_clear(books->outgoing);
    ledger_reset(books->ledger);
}

static bool knows(struct books *books, int item, struct hash128 raw)
{
    return ledger_knows(books->ledger, "blog", hash_of("item", item), raw, NOW_US);
}

static void know(struct books *books, int item, struct hash128 raw)
{
    ledger_know(books->ledger, "blog", hash_of("item", item), raw);
}

static void what_was_looked_up_is_known_until_it_changes(void **state)
{
    struct books *books = *state;
    const struct hash128 one = hash_of("raw", 1);
    const struct hash128 other = hash_of("raw", 2);

    assert_false(knows(books, 1, one));
    put(books, 1, one);
    commit(books);
    know(books, 1, one);
    assert_true(knows(books, 1, one));
    assert_false(knows(books, 1, other));
    assert_false(knows(books, 2, one));
    /* Changed, and changed back: the log says the second, and so must we. */
    put(books, 1, other);
    assert_false(knows(books, 1, one));
    commit(books);
    assert_false(knows(books, 1, one));
}

static void what_comes_to_nothing_leaves_nothing_known(void **state)
{
    struct books *books = *state;
    const struct hash128 one = hash_of("raw", 1);

    ledger_mark(books->ledger);
    put(books, 1, one);
    know(books, 1, one); /* as told of the group */
    ledger_rewind(books->ledger);
    outgoing_clear(books->outgoing);
    ledger_reset(books->ledger);
    assert_false(knows(books, 1, one));
}

static void it_is_forgotten_after_a_day_and_when_others_may_have_written(void **state)
{
    struct books *books = *state;
    const struct hash128 one = hash_of("raw", 1);

    assert_false(knows(books, 1, one)); /* the day begins */
    know(books, 1, one);
    assert_true(knows(books, 1, one));
    ledger_forget_known(books->ledger);
    assert_false(knows(books, 1, one));
    know(books, 1, one);
    assert_false(
        ledger_knows(books->ledger, "blog", hash_of("item", 1), one, NOW_US + CLOCK_DAY_US + 1));
}

static void many_are_known_and_never_too_many(void **state)
{
    enum { MANY = LEDGER_KNOWN_MAX + LEDGER_KNOWN_MAX / 2 };
    struct books *books = *state;
    int known = 0;

    assert_false(knows(books, 0, hash_of("raw", 0)));
    for (int i = 0; i < MANY; i++) {
        know(books, i, hash_of("raw", i));
        if (i == LEDGER_KNOWN_MAX / 4) {
            for (int n = 0; n <= i; n++) {
                known += knows(books, n, hash_of("raw", n)) ? 1 : 0;
            }
            assert_in_range(known, i / 2, i + 1);
            known = 0;
        }
    }
    for (int i = 0; i < MANY; i++) {
        known += knows(books, i, hash_of("raw", i)) ? 1 : 0;
        assert_false(knows(books, i, hash_of("raw", -1 - i)));
    }
    assert_in_range(known, LEDGER_KNOWN_MAX / 2, LEDGER_KNOWN_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_looked_up_is_known_until_it_changes, open_books,
                                        close_books),
        cmocka_unit_test_setup_teardown(what_comes_to_nothing_leaves_nothing_known, open_books,
                                        close_books),
        cmocka_unit_test_setup_teardown(
            it_is_forgotten_after_a_day_and_when_others_may_have_written, open_books, close_books),
        cmocka_unit_test_setup_teardown(many_are_known_and_never_too_many, open_books, close_books),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
