/* SPDX-License-Identifier: Apache-2.0 */

/* What the store on PostgreSQL promises beyond the suite of test_store.c: many writers at once,
 * lost connections, what may not be opened, and the views of other programs. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "sinks/store/store.h"
#include "tests/sinks/database.h"

struct place {
    char schema[16];
    struct store *one, *other;
};

static struct store *open_store(const struct place *place, bool read_only)
{
    struct store_config config = {
        .url = database_url(), .schema = place->schema, .read_only = read_only};
    struct ear_error err = {0};
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
    database_schema(place->schema, sizeof place->schema);
    place->one = open_store(place, false);
    place->other = open_store(place, false);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;

    store_close(place->one);
    store_close(place->other);
    free(place);
    return 0;
}

static void set_meta(struct store *store, const char *key, const char *value)
{
    struct ear_error err = {0};
    struct store_value values[] = {store_text(key), store_text(value)};

    if (store_change(store, QUERY_META_SET, values, 2, &err) != 1) {
        fail_msg("%s", err.message);
    }
}

static void begin(struct store *store)
{
    struct ear_error err = {0};

    if (store_begin(store, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void commit(struct store *store)
{
    struct ear_error err = {0};

    if (store_commit(store, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

/* In the schema of the place: the first number of an answer. */
static int64_t ask(const char *schema, const char *wanted)
{
    char sql[512];
    char *text = NULL;
    int64_t number = 0;

    snprintf(sql, sizeof sql, "SET search_path = %s; %s", schema, wanted);
    text = database_ask(sql);
    number = strtoll(text, NULL, 10);
    free(text);
    return number;
}

static void act(const char *schema, const char *wanted)
{
    char sql[512];

    snprintf(sql, sizeof sql, "SET search_path = %s; %s", schema, wanted);
    database_do(sql);
}

/* --- opening --- */

static void assert_refused(const struct store_config *config, enum ear_error_kind kind,
                           const char *why)
{
    struct ear_error err = {0};
    struct store *store = NULL;

    assert_int_equal(store_open(&store, config, &err), -1);
    assert_int_equal(err.kind, kind);
    if (strstr(err.message, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, why);
    }
    assert_null(strstr(err.message, "hunter2"));
}

static void a_newer_store_is_refused_by_name(void **state)
{
    const struct place *place = *state;
    struct store_config config = {.url = database_url(), .schema = place->schema};

    act(place->schema, "INSERT INTO migration (version) VALUES (9)");
    assert_refused(&config, EAR_CONFIG, "store version 9");
    config.read_only = true;
    assert_refused(&config, EAR_CONFIG, "store version 9");
}

static void tables_of_another_program_are_left_alone(void **state)
{
    struct store_config config = {.url = database_url(), .schema = "yours"};

    (void)state;
    act("public", "CREATE SCHEMA yours; CREATE TABLE yours.insight (mine text)");
    assert_refused(&config, EAR_CONFIG, "another program");
}

static void who_may_not_come_in_is_told_how_without_the_secret(void **state)
{
    char url[320];
    const char *host = strchr(database_url(), '@');
    struct store_config config = {.url = url};

    (void)state;
    snprintf(url, sizeof url, "postgresql://nobody:hunter2%s", host);
    assert_refused(&config, EAR_CONFIG, "pg_hba.conf");
    snprintf(url, sizeof url, "%s_none?application_name=hunter2", database_url());
    assert_refused(&config, EAR_CONFIG, "createdb");
    snprintf(url, sizeof url, "postgresql://nobody:hunter2@127.0.0.1:1/none");
    assert_refused(&config, EAR_RETRY, "127.0.0.1:1/none");
    snprintf(url, sizeof url, "postgresql://nobody:hunter2@h/none?sslmod=verify-full");
    assert_refused(&config, EAR_CONFIG, "\"sslmod\"");
    snprintf(url, sizeof url, "postgresql://nobody:%%hunter2@h/none");
    assert_refused(&config, EAR_CONFIG, "no URL that libpq reads");
}

static void who_may_not_make_the_schema_is_told_the_grant(void **state)
{
    char url[320];
    const char *host = strchr(database_url(), '@');
    struct store_config config = {.url = url, .schema = "not_yet"};

    (void)state;
    database_do("CREATE ROLE \"may not\" LOGIN PASSWORD 'hunter2'");
    snprintf(url, sizeof url, "postgresql://may%%20not:hunter2%s", host);
    assert_refused(&config, EAR_CONFIG, "GRANT CREATE ON DATABASE \"");
    assert_refused(&config, EAR_CONFIG, " TO \"may not\"");
    database_do("DROP ROLE \"may not\"");
}

static void *open_and_close(void *user)
{
    store_close(open_store(user, false));
    return NULL;
}

static void sinks_that_start_at_once_make_one_store(void **state)
{
    enum { THREADS = 4 };
    struct place place = {.one = NULL};
    pthread_t threads[THREADS];

    (void)state;
    database_schema(place.schema, sizeof place.schema);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &place), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    /* each step once */
    assert_int_equal(ask(place.schema, "SELECT count(*) FROM migration"),
                     ask(place.schema, "SELECT max(version) FROM migration"));
}

static void a_backup_is_pg_dumps_work(void **state)
{
    const struct place *place = *state;
    struct ear_error err = {0};

    assert_int_equal(store_backup(place->one, "/tmp/never", &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "use pg_dump"));
}

/* --- rows that are sent later --- */

static void a_row_that_is_refused_later_takes_the_whole_transaction_with_it(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    struct store_value gone[] = {store_null(), store_integer(1), store_text("m"), store_integer(1)};

    begin(place->one);
    set_meta(place->one, "a", "lost");
    assert_int_equal(store_run(place->one, QUERY_GONE_PUT, gone, 4, &err), 0);
    assert_int_equal(store_commit(place->one, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_false(store_broken(place->one));
    assert_int_equal(ask(place->schema, "SELECT count(*) FROM meta"), 0);
    begin(place->one);
    set_meta(place->one, "a", "kept");
    commit(place->one);
    assert_int_equal(ask(place->schema, "SELECT count(*) FROM meta"), 1);
}

static void text_that_the_database_refuses_is_a_rows_fault(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } texts[] = {{"a\0b", 3}, {"\xED\xA0\x80", 3}, {"\xff", 1}};
    struct place *place = *state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct store_value row[] = {store_text("k"), store_bytes(texts[i].bytes, texts[i].length),
                                    store_null()};
        struct store_value good[] = {store_text("k"), store_text("good"), store_null()};
        struct ear_error err = {0};

        begin(place->one); /* gathered: known at the end */
        assert_int_equal(store_run(place->one, QUERY_OUTBOX_ADD, good, 3, &err), 0);
        assert_int_equal(store_run(place->one, QUERY_OUTBOX_ADD, row, 3, &err), 0);
        assert_int_equal(store_commit(place->one, &err), -1);
        assert_int_equal(err.kind, EAR_REJECT);
        ear_error_clear(&err);
        begin(place->one); /* alone: known at once */
        assert_int_equal(store_savepoint(place->one, &err), 0);
        assert_int_equal(store_run(place->one, QUERY_OUTBOX_ADD, row, 3, &err), -1);
        assert_int_equal(err.kind, EAR_REJECT);
        assert_int_equal(store_savepoint_undo(place->one, &err), 0);
        assert_int_equal(store_run(place->one, QUERY_OUTBOX_ADD, good, 3, &err), 0);
        commit(place->one);
    }
    assert_int_equal(ask(place->schema, "SELECT count(*) FROM outbox"), 1);
}

enum { FACTS = 2500 };

static void add_facts(struct store *store)
{
    struct ear_error err = {0};

    for (int64_t i = 0; i < FACTS; i++) {
        struct store_value values[14];

        for (size_t column = 0; column < 14; column++) {
            values[column] = store_integer(column == 1 ? i : column == 11 ? INT64_MIN : 0);
        }
        if (store_run(store, QUERY_FACT_ADD, values, 14, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
}

static void gathered_rows_are_there_for_whoever_asks(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    int64_t count = 0;
    struct store_value first[] = {store_integer(0), store_integer(0)};

    begin(place->one);
    add_facts(place->one);
    assert_int_equal(store_ask_integer(&count, NULL, place->one, QUERY_FACT_COUNT, NULL, 0, &err),
                     0);
    assert_int_equal(count, FACTS);
    assert_int_equal(store_change(place->one, QUERY_FACT_DELETE, first, 2, &err), 1);
    commit(place->one);
    assert_int_equal(ask(place->schema, "SELECT count(*) FROM fact_row WHERE author < 0"),
                     FACTS - 1);
}

static void more_rows_than_one_fetch_come_one_after_the_other(void **state)
{
    struct place *place = *state;
    struct store *reader = open_store(place, true);
    struct store_value values[] = {store_integer(0), store_integer(0), store_integer(-1),
                                   store_integer(1)};
    struct ear_error err = {0};
    struct store_rows *rows = NULL;
    int64_t expected = 0;

    begin(place->one);
    add_facts(place->one);
    commit(place->one);
    begin(reader);
    assert_int_equal(store_select(&rows, reader, QUERY_FACT_SCAN, values, 4, &err), 0);
    while (store_next(rows, &err) == 1) {
        assert_int_equal(store_get_integer(rows, 0), expected++);
        assert_int_equal(store_get_integer(rows, 9), INT64_MIN);
    }
    assert_int_equal(err.kind, EAR_NONE);
    assert_int_equal(expected, FACTS);
    store_rows_end(rows);
    store_close(reader);
}

/* --- many writers --- */

static void a_lost_connection_is_told_from_a_refused_row(void **state)
{
    struct place *place = *state;
    struct ear_error err = {0};
    struct store_value values[] = {store_text("a"), store_text("lost")};

    begin(place->one);
    set_meta(place->one, "a", "lost");
    act(place->schema,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'earshot-sink' AND datname = current_database() AND "
        "state = 'idle in transaction'");
    assert_int_equal(store_change(place->one, QUERY_META_SET, values, 2, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    assert_true(store_broken(place->one));
    store_rollback(place->one);
    store_close(place->one);
    place->one = open_store(place, false);
    assert_int_equal(ask(place->schema, "SELECT count(*) FROM meta"), 0);
    set_meta(place->one, "a", "kept");
}

/* A writer on a thread of its own: begins, says so, and goes on when it can. */
struct writer {
    struct store *store;
    bool exclusive;
    const char *first, *second; /* keys of meta */
    atomic_bool began, done;
    int result;
    struct ear_error err;
};

static void *write_both(void *user)
{
    struct writer *writer = user;
    struct store_value first[] = {store_text(writer->first), store_text("x")};
    struct store_value second[] = {store_text(writer->second), store_text("x")};
    struct ear_error *err = &writer->err;

    writer->result = writer->exclusive ? store_begin_exclusive(writer->store, err)
                                       : store_begin(writer->store, err);
    if (writer->result == 0 && store_change(writer->store, QUERY_META_SET, first, 2, err) < 0) {
        writer->result = -1;
    }
    atomic_store(&writer->began, true);
    if (writer->result == 0 && store_change(writer->store, QUERY_META_SET, second, 2, err) < 0) {
        writer->result = -1;
    }
    if (writer->result == 0) {
        writer->result = store_commit(writer->store, err);
    }
    store_rollback(writer->store);
    atomic_store(&writer->done, true);
    return NULL;
}

static void pause_ms(long ms)
{
    const struct timespec wait = {.tv_nsec = ms * 1000000};

    nanosleep(&wait, NULL);
}

static void a_deadlock_is_worth_another_try(void **state)
{
    struct place *place = *state;
    struct writer writer = {.store = place->other, .first = "b", .second = "a"};
    struct store_value values[] = {store_text("b"), store_text("y")};
    struct ear_error err = {0};
    pthread_t thread;
    int result = 0;

    begin(place->one);
    set_meta(place->one, "a", "y");
    assert_int_equal(pthread_create(&thread, NULL, write_both, &writer), 0);
    while (!atomic_load(&writer.began)) {
        pause_ms(1);
    }
    result = store_change(place->one, QUERY_META_SET, values, 2, &err) == 1
                 ? store_commit(place->one, &err)
                 : -1;
    store_rollback(place->one);
    pthread_join(thread, NULL);
    assert_int_equal(result + writer.result, -1);
    assert_int_equal(result == 0 ? writer.err.kind : err.kind, EAR_RETRY);
    assert_false(store_broken(place->one));
    assert_false(store_broken(place->other));
}

/* Whether the writer has to wait until our transaction is over. */
static bool has_to_wait(struct place *place, bool ours_exclusive, bool its_exclusive)
{
    struct writer writer = {
        .store = place->other, .exclusive = its_exclusive, .first = "b", .second = "c"};
    struct ear_error err = {0};
    pthread_t thread;
    bool waited = false;

    assert_int_equal(ours_exclusive ? store_begin_exclusive(place->one, &err)
                                    : store_begin(place->one, &err),
                     0);
    set_meta(place->one, "a", "y");
    assert_int_equal(pthread_create(&thread, NULL, write_both, &writer), 0);
    for (int i = 0; i < 40 && !atomic_load(&writer.done); i++) {
        pause_ms(10);
    }
    waited = !atomic_load(&writer.done);
    commit(place->one);
    pthread_join(thread, NULL);
    assert_int_equal(writer.result, 0);
    return waited;
}

static void transactions_run_side_by_side_but_for_one_that_is_alone(void **state)
{
    struct place *place = *state;

    assert_false(has_to_wait(place, false, false));
    assert_true(has_to_wait(place, true, false));
    assert_true(has_to_wait(place, false, true));
    assert_true(has_to_wait(place, true, true));
}

static bool holds(struct store *store)
{
    struct ear_error err = {0};
    bool held = false;

    if (store_hold(store, &held, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return held;
}

static void one_holds_and_another_follows_when_it_has_gone(void **state)
{
    struct place *place = *state;

    assert_true(store_shared(place->one));
    assert_true(holds(place->one));
    assert_false(holds(place->other));
    assert_true(holds(place->one));
    store_close(place->one);
    place->one = NULL;
    for (int i = 0; i < 100 && !holds(place->other); i++) {
        pause_ms(10); /* the server needs a moment to see it */
    }
    assert_true(holds(place->other));
}

static void a_holder_that_stands_still_is_none_after_ten_seconds(void **state)
{
    struct place *place = *state;
    int64_t began_us = clock_mono_us();
    struct ear_error err = {0};
    bool held = false;

    assert_true(holds(place->one));
    while (!holds(place->other)) {
        pause_ms(100);
    }
    assert_true(clock_mono_us() - began_us < 10 * CLOCK_SECOND_US);
    assert_int_equal(store_hold(place->one, &held, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    assert_true(store_broken(place->one));
}

/* --- the views of other programs --- */

static void every_column_of_every_view_is_told_about(void **state)
{
    char *text = database_ask(
        "SELECT c.relname || '.' || coalesce(a.attname, '') FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 1 "
        "WHERE n.nspname = 'v1' AND (coalesce(col_description(c.oid, a.attnum), '') = '' OR "
        "coalesce(obj_description(c.oid), '') = '')");

    (void)state;
    assert_string_equal(text, "");
    free(text);
    text = database_ask("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class "
                        "WHERE relnamespace = 'v1'::regnamespace");
    assert_string_equal(
        text, "complaint_theme coverage_gaps coverage_hourly post_insight remedy trend_daily "
              "wish\n");
    free(text);
}

static void the_readers_role_reads_the_views_and_nothing_else(void **state)
{
    const struct place *place = *state;
    char sql[320];
    char *text = NULL;

    free(database_ask("SET ROLE earshot_reader; SELECT * FROM v1.trend_daily; "
                      "SELECT * FROM v1.post_insight; SELECT * FROM v1.complaint_theme; "
                      "SELECT * FROM v1.wish; SELECT * FROM v1.remedy; "
                      "SELECT * FROM v1.coverage_hourly; SELECT * FROM v1.coverage_gaps"));
    snprintf(sql, sizeof sql,
             "SELECT has_schema_privilege('earshot_reader', '%s', 'USAGE'), "
             "has_table_privilege('earshot_reader', '%s.insight', 'SELECT'), "
             "has_table_privilege('earshot_reader', 'v1.wish', 'INSERT'), "
             "rolcanlogin FROM pg_roles WHERE rolname = 'earshot_reader'",
             place->schema, place->schema);
    text = database_ask(sql);
    assert_string_equal(text, "f|f|f|f\n");
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_newer_store_is_refused_by_name),
        TEST(tables_of_another_program_are_left_alone),
        TEST(who_may_not_come_in_is_told_how_without_the_secret),
        TEST(who_may_not_make_the_schema_is_told_the_grant),
        TEST(sinks_that_start_at_once_make_one_store),
        TEST(a_backup_is_pg_dumps_work),
        TEST(a_row_that_is_refused_later_takes_the_whole_transaction_with_it),
        TEST(text_that_the_database_refuses_is_a_rows_fault),
        TEST(gathered_rows_are_there_for_whoever_asks),
        TEST(more_rows_than_one_fetch_come_one_after_the_other),
        TEST(a_lost_connection_is_told_from_a_refused_row),
        TEST(a_deadlock_is_worth_another_try),
        TEST(transactions_run_side_by_side_but_for_one_that_is_alone),
        TEST(one_holds_and_another_follows_when_it_has_gone),
        TEST(a_holder_that_stands_still_is_none_after_ten_seconds),
        TEST(every_column_of_every_view_is_told_about),
        TEST(the_readers_role_reads_the_views_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
