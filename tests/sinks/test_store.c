/* SPDX-License-Identifier: Apache-2.0 */

/* What every back end of the store promises: one suite, run on SQLite, and on PostgreSQL where
 * EARSHOT_TEST_POSTGRES names one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sinks/store/store.h"
#include "tests/sinks/database.h"

struct place {
    char folder[64], url[300], schema[16];
    struct store *store;
};

static struct store *open_at(const struct place *place, bool read_only, bool check)
{
    struct ear_error err = {0};
    struct store_config config = {
        .url = place->url, .schema = place->schema, .read_only = read_only, .check = check};
    struct store *store = NULL;

    if (store_open(&store, &config, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return store;
}

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    snprintf(place->folder, sizeof place->folder, "/tmp/earshot-store-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    database_schema(place->schema, sizeof place->schema);
    if (database_wanted()) {
        snprintf(place->url, sizeof place->url, "%s", database_url());
    } else {
        snprintf(place->url, sizeof place->url, "sqlite:%s/store.sqlite", place->folder);
    }
    place->store = open_at(place, false, false);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    static const char *const files[] = {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm",
                                        "backup.sqlite"};
    struct place *place = *state;
    char path[160];

    store_close(place->store);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", place->folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(place->folder), 0);
    free(place);
    return 0;
}

static void set_meta(struct store *store, const char *key, const char *value)
{
    struct ear_error err = {0};
    struct store_value values[] = {store_text(key), store_text(value)};

    if (store_run(store, QUERY_META_SET, values, 2, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

/* A value of meta; "" where there is none. */
static const char *meta(struct store *store, const char *key, char *out, size_t size)
{
    struct ear_error err = {0};
    struct store_value values[] = {store_text(key)};
    struct store_rows *rows = NULL;
    int there = 0;

    assert_int_equal(store_select(&rows, store, QUERY_META_GET, values, 1, &err), 0);
    there = store_next(rows, &err);
    assert_true(there >= 0);
    snprintf(out, size, "%s", there == 1 ? store_get_text(rows, 0, NULL) : "");
    store_rows_end(rows);
    return out;
}

#define assert_meta(store, key, value)                                                             \
    do {                                                                                           \
        char text[64];                                                                             \
        assert_string_equal(meta(store, key, text, sizeof text), value);                           \
    } while (0)

static void what_is_committed_stays_and_what_is_rolled_back_was_never(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};

    assert_int_equal(store_begin(place->store, &err), 0);
    set_meta(place->store, "a", "kept");
    assert_int_equal(store_commit(place->store, &err), 0);
    assert_int_equal(store_begin(place->store, &err), 0);
    set_meta(place->store, "a", "lost");
    set_meta(place->store, "b", "lost");
    store_rollback(place->store);
    store_rollback(place->store);
    assert_meta(place->store, "a", "kept");
    assert_meta(place->store, "b", "");
    store_close(place->store);
    place->store = open_at(place, false, true);
    assert_meta(place->store, "a", "kept");
}

static void a_savepoint_undoes_what_came_after_it(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};

    assert_int_equal(store_begin(place->store, &err), 0);
    set_meta(place->store, "a", "1");
    assert_int_equal(store_savepoint(place->store, &err), 0);
    set_meta(place->store, "a", "2");
    assert_int_equal(store_savepoint_undo(place->store, &err), 0);
    assert_int_equal(store_savepoint(place->store, &err), 0);
    set_meta(place->store, "b", "3");
    assert_int_equal(store_savepoint_keep(place->store, &err), 0);
    assert_int_equal(store_commit(place->store, &err), 0);
    assert_meta(place->store, "a", "1");
    assert_meta(place->store, "b", "3");
}

static void a_refused_row_is_a_reject_and_the_transaction_goes_on(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    struct store_value gone[] = {store_null(), store_integer(1), store_text("m"), store_integer(1)};

    assert_int_equal(store_begin(place->store, &err), 0);
    assert_int_equal(store_savepoint(place->store, &err), 0);
    assert_int_equal(store_run(place->store, QUERY_GONE_PUT, gone, 4, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_memory_equal(err.message, "store: ", 7);
    assert_false(store_broken(place->store));
    assert_int_equal(store_savepoint_undo(place->store, &err), 0);
    set_meta(place->store, "a", "after");
    assert_int_equal(store_commit(place->store, &err), 0);
    assert_meta(place->store, "a", "after");
}

static void a_guarded_position_moves_from_where_it_stood_only(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    struct store_value first[] = {store_text("insights"), store_integer(0), store_integer(10)};
    struct store_value move[] = {store_text("insights"), store_integer(0), store_integer(20),
                                 store_integer(10)};

    assert_int_equal(store_change(place->store, QUERY_POSITION_FIRST, first, 3, &err), 1);
    assert_int_equal(store_change(place->store, QUERY_POSITION_FIRST, first, 3, &err), 0);
    assert_int_equal(store_change(place->store, QUERY_POSITION_MOVE, move, 4, &err), 1);
    assert_int_equal(store_change(place->store, QUERY_POSITION_MOVE, move, 4, &err), 0);
}

static void text_comes_back_byte_for_byte(void **state)
{
    static const char *const texts[] = {
        "",
        "'; DROP TABLE insight; --",
        "\xEF\xBF\xBD\xF0\x9F\x98\x80",
        "a\nb\tc\x01",
    };
    struct place *place = *state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        set_meta(place->store, "text", texts[i]);
        assert_meta(place->store, "text", texts[i]);
    }
}

static void a_reader_sees_a_snapshot_and_writes_nothing(void **state)
{
    struct place *place = *state;
    struct store *reader = NULL;
    struct ear_error err = {0};
    struct store_value values[] = {store_text("a"), store_text("mine")};

    set_meta(place->store, "a", "1");
    reader = open_at(place, true, false);
    assert_int_equal(store_begin(reader, &err), 0);
    assert_meta(reader, "a", "1");
    set_meta(place->store, "a", "2");
    assert_meta(reader, "a", "1");
    store_rollback(reader);
    assert_int_equal(store_begin(reader, &err), 0);
    assert_meta(reader, "a", "2");
    assert_int_equal(store_run(reader, QUERY_META_SET, values, 2, &err), -1);
    store_rollback(reader);
    store_close(reader);
}

static void a_reader_of_no_store_is_told_so(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    struct store *reader = NULL;
    char url[320];
    struct store_config config = {.url = url, .schema = "none", .read_only = true};
    struct store_config there = {.url = place->url, .schema = place->schema};

    snprintf(url, sizeof url, "%s%s", place->url, database_wanted() ? "" : ".none");
    assert_true(store_missing(&config));
    assert_false(store_missing(&there));
    assert_int_equal(store_open(&reader, &config, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    assert_true(store_missing(&config));
}

/* --- SQLite's own file --- */

static void a_backup_is_a_store_of_its_own(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    struct store_config config = {.read_only = true};
    struct store *copy = NULL;
    char path[160];
    char url[176];

    set_meta(place->store, "a", "copied");
    snprintf(path, sizeof path, "%s/backup.sqlite", place->folder);
    snprintf(url, sizeof url, "sqlite:%s", path);
    assert_int_equal(store_backup(place->store, path, &err), 0);
    config.url = url;
    assert_int_equal(store_open(&copy, &config, &err), 0);
    assert_meta(copy, "a", "copied");
    store_close(copy);
}

/* A reader that closes last must not merge the log into the file: the writer does. */
static void a_reader_does_not_checkpoint(void **state)
{
    struct place *place = *state;
    struct store *reader = NULL;

    set_meta(place->store, "a", "1");
    reader = open_at(place, true, false);
    assert_meta(reader, "a", "1");
    store_close(reader);
    assert_true(store_pending_bytes(place->store) > 0);
}

static void patch(const struct place *place, long at, unsigned char value)
{
    char path[160];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/store.sqlite", place->folder);
    file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(value, file), value);
    assert_int_equal(fclose(file), 0);
}

static void assert_refused(struct place *place, bool check, const char *why)
{
    struct ear_error err = {0};
    struct store_config config = {.url = place->url, .check = check};
    struct store *store = NULL;

    assert_int_equal(store_open(&store, &config, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    if (strstr(err.message, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, why);
    }
}

static void a_newer_file_is_refused_by_name(void **state)
{
    struct place *place = *state;

    store_close(place->store);
    place->store = NULL;
    patch(place, 63, 9); /* the last byte of user_version */
    assert_refused(place, false, "store version 9");
}

static void a_file_of_another_program_is_refused(void **state)
{
    struct place *place = *state;

    store_close(place->store);
    place->store = NULL;
    patch(place, 71, 9); /* of application_id */
    assert_refused(place, false, "another program");
}

static void a_damaged_file_is_found_by_the_check(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};

    assert_int_equal(store_begin(place->store, &err), 0);
    for (int i = 0; i < 400; i++) {
        char key[32];

        snprintf(key, sizeof key, "key %d", i);
        set_meta(place->store, key, "a value of some length, so that there are a few pages of it");
    }
    assert_int_equal(store_commit(place->store, &err), 0);
    store_close(place->store);
    place->store = NULL;
    for (long page = 8; page < 11; page++) {
        for (long byte = 0; byte < 64; byte++) {
            patch(place, page * 4096 + byte, 0x5a);
        }
    }
    {
        struct store_config config = {.url = place->url, .check = true};

        assert_int_equal(store_open(&place->store, &config, &err), -1);
        assert_true(err.kind == EAR_CONFIG || err.kind == EAR_RETRY);
        place->store = NULL;
    }
}

static void an_unknown_url_names_what_to_write(void **state)
{
    struct ear_error err = {0};
    struct store_config config = {.url = "mysql://user:secret@host/db"};
    struct store *store = NULL;

    (void)state;
    assert_int_equal(store_open(&store, &config, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "write sqlite:PATH"));
    assert_null(strstr(err.message, "secret"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_committed_stays_and_what_is_rolled_back_was_never),
        TEST(a_savepoint_undoes_what_came_after_it),
        TEST(a_refused_row_is_a_reject_and_the_transaction_goes_on),
        TEST(a_guarded_position_moves_from_where_it_stood_only),
        TEST(text_comes_back_byte_for_byte),
        TEST(a_reader_sees_a_snapshot_and_writes_nothing),
        TEST(a_reader_of_no_store_is_told_so),
        TEST(an_unknown_url_names_what_to_write),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    const struct CMUnitTest sqlite_tests[] = {
        TEST(a_backup_is_a_store_of_its_own),       TEST(a_reader_does_not_checkpoint),
        TEST(a_newer_file_is_refused_by_name),      TEST(a_file_of_another_program_is_refused),
        TEST(a_damaged_file_is_found_by_the_check),
    };
    int failed =
        cmocka_run_group_tests_name(database_wanted() ? "postgres" : "sqlite", tests, NULL, NULL);

    return database_wanted()
               ? failed
               : failed + cmocka_run_group_tests_name("sqlite's file", sqlite_tests, NULL, NULL);
}
