/* SPDX-License-Identifier: Apache-2.0 */

/* The sink as a process on a real log: killed at every named point, failing disks, positions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "tests/sinks/database.h"
#include "tests/sinks/sink.h"

enum { POSTS = 60, EXIT_KILLED = 128 + 9 };

#define WISH "\"wish\":0.9,\"labels\":[\"wish\"],\"brands\":[\"Acme\"]"

/* Posts, an edit and a deletion of every fourth, and three messages that will never do. */
static void fill(struct tape *tape)
{
    for (int i = 0; i < POSTS; i++) {
        char id[32];

        snprintf(id, sizeof id, "feed:h:%d", i);
        tape_post(tape, id, 1, "m", "s", i % 2 == 0 ? "a" : "b", "A text that somebody wrote.",
                  i * CLOCK_HOUR_US, WISH);
        if (i % 4 == 1) {
            tape_post(tape, id, 2, "m", "s", "a", "An edited text.", i * CLOCK_HOUR_US, "");
        }
        if (i % 4 == 2) {
            tape_add(tape, "insights", id, "{\"id\":\"%s\",\"version\":3,\"deleted\":true}", id);
        }
    }
    tape_post(tape, "feed:h:bad", -1, "m", "s", "a", "refused", 0, WISH);
    tape_add(tape, "insights", "feed:h:broken", "{\"id\":");
    tape_add(tape, "decisions", "feed:h:0", "{\"id\":\"d\"}");
    tape_add(tape, "decisions", "feed:h:4",
             "{\"id\":\"d1\",\"kind\":\"label\",\"post\":\"feed:h:4\",\"set\":{\"wish\":false}}");
    tape_add(tape, "cursors", "s", "{\"source\":\"s\",\"state\":\"ok\",\"failures\":0}");
}

static void assert_as_rebuilt(const struct sink *sink)
{
    char *facts = sink_run("facts", 0);
    char *again = NULL;

    assert_lines(facts, "\"post\":", NULL, 45 + 29);
    assert_lines(facts, "\"label\":\"wish\"", NULL, 29);
    sink_lose_store(sink, "again.sqlite");
    sink_do("rebuild again.sqlite", 0);
    again = sink_run("facts again.sqlite", 0);
    assert_string_equal(facts, again);
    free(facts);
    free(again);
}

static void what_was_published_is_in_the_store_once(void **state)
{
    struct sink sink;
    struct tape tape = {0};
    char *text = NULL;

    (void)state;
    sink_open(&sink);
    fill(&tape);
    sink_publish(&tape);
    sink_do("run --until-end", 0);
    assert_as_rebuilt(&sink);
    assert_int_equal(sink_count("rejects"), 3);
    sink_do("run --until-end", 0);
    assert_int_equal(sink_count("rejects"), 3);
    text = sink_run("status", 0);
    assert_non_null(strstr(text, "\"posts\":45,"));
    assert_non_null(strstr(text, "\"dirty_days\":0,\"outbox\":0"));
    free(text);
    sink_close(&sink);
    tape_clear(&tape);
}

/* Killed at a point, started again: as if nothing had been. */
static void killed_at(const char *point, int pass, const char *action)
{
    struct sink sink;
    struct tape tape = {0};
    char setting[96];
    bool killed = strcmp(action, "kill") == 0;

    print_message("%s:%d:%s\n", point, pass, action);
    sink_open(&sink);
    fill(&tape);
    sink_publish(&tape);
    snprintf(setting, sizeof setting, "%s:%d:%s", point, pass, action);
    setenv("EARSHOT_KILL_POINT", setting, 1);
    sink_do("run --until-end", killed ? EXIT_KILLED : 0);
    unsetenv("EARSHOT_KILL_POINT");
    sink_do("run --until-end", 0);
    assert_as_rebuilt(&sink);
    assert_int_equal(sink_count("rejects"), 3);
    sink_close(&sink);
    tape_clear(&tape);
}

static void a_sink_killed_at_any_point_ends_up_as_if_it_had_not_been(void **state)
{
    static const char *const points[] = {"sink.before-commit", "sink.commit", "sink.after-commit",
                                         "sink.group-moved",   "sink.rollup", "sink.outbox-sent",
                                         "sink.feed-written"};

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        killed_at(points[i], 1, "kill");
    }
}

static void a_failing_disk_is_outlasted(void **state)
{
    (void)state;
    /* The first two commits are of the opening, then come the rows, notes of copies taken and done
     * with, the roll-ups, the feed, the outbox. */
    for (int pass = 3; pass <= 9; pass++) {
        killed_at("sink.commit", pass, "kill");
        killed_at("sink.commit", pass, "enospc");
        killed_at("sink.commit", pass, "eio");
    }
}

/* The answer to COMMIT is lost: what was committed is not applied again. */
static void a_lost_answer_is_read_again_from_the_store(void **state)
{
    (void)state;
    for (int pass = 3; pass <= 9 && database_wanted(); pass++) {
        killed_at("sink.commit-answer", pass, "eio");
    }
}

static void the_store_knows_better_than_the_group(void **state)
{
    struct sink sink;
    struct tape tape = {0};
    struct tape more = {0};

    (void)state;
    sink_open(&sink);
    fill(&tape);
    sink_publish(&tape);
    sink_do("run --until-end", 0);
    /* A new store: the group stands at the end, and everything comes again. */
    sink_lose_store(&sink, "");
    sink_do("run --until-end", 0);
    assert_as_rebuilt(&sink);
    tape_post(&more, "feed:h:0", 9, "m", "s", "a", "Later.", 0, WISH);
    sink_publish(&more);
    sink_do("run --until-end", 0);
    sink_close(&sink);
    tape_clear(&tape);
    tape_clear(&more);
}

static void a_store_of_another_program_or_a_newer_one_is_refused(void **state)
{
    struct sink sink;

    (void)state;
    sink_open(&sink);
    if (database_wanted()) {
        char sql[128];

        snprintf(sql, sizeof sql, "CREATE SCHEMA %s CREATE TABLE insight (mine text)", sink.schema);
        database_do(sql);
    } else {
        FILE *file = fopen("store.sqlite", "wb");

        assert_non_null(file);
        fputs("this is no database at all, but it is long enough to be looked at as one", file);
        fclose(file);
    }
    sink_do("run --until-end", 78);
    sink_close(&sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_published_is_in_the_store_once),
        cmocka_unit_test(a_sink_killed_at_any_point_ends_up_as_if_it_had_not_been),
        cmocka_unit_test(a_failing_disk_is_outlasted),
        cmocka_unit_test(a_lost_answer_is_read_again_from_the_store),
        cmocka_unit_test(the_store_knows_better_than_the_group),
        cmocka_unit_test(a_store_of_another_program_or_a_newer_one_is_refused),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
