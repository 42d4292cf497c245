/* SPDX-License-Identifier: Apache-2.0 */

/* The audit: what collectors and processors say they wrote and read, against what arrived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "tests/sinks/sink.h"

/* A version of the hour of now, in the tests. */
#define VERSION (TAPE_NOW_US + 5 * CLOCK_MINUTE_US)
#define HOUR "2026-11-22T08:00:00Z"

static void publish(struct tape *tape)
{
    sink_publish(tape);
    tape_clear(tape);
}

static void post(struct tape *tape, int number, int64_t version)
{
    char id[32];

    snprintf(id, sizeof id, "feed:h:%d", number);
    tape_post(tape, id, version, "m", "forum", "a", "A text that somebody wrote.", CLOCK_DAY_US,
              "");
}

static void processed(struct tape *tape, int in, int out, int dropped, int rejected)
{
    tape_add(
        tape, "audit", "forum/" HOUR,
        "{\"role\":\"process\",\"source\":\"forum\",\"hour\":\"" HOUR
        "\",\"in\":%d,\"out\":%d,\"dropped\":%d,\"rejected\":%d,\"at\":\"2026-11-22T07:59:00Z\","
        "\"name\":\"main\",\"from\":\"posts\",\"to\":\"insights\"}",
        in, out, dropped, rejected);
}

static void collected(struct tape *tape, int out)
{
    tape_add(
        tape, "audit", "forum/" HOUR,
        "{\"role\":\"collect\",\"source\":\"forum\",\"hour\":\"" HOUR
        "\",\"in\":%d,\"out\":%d,\"dropped\":0,\"rejected\":0,\"at\":\"2026-11-22T07:58:00Z\"}",
        out, out);
}

/* Runs the sink and expects these words in what its status says of the audit. */
static void expect_audit(const char *wanted)
{
    char *text = NULL;
    const char *audit = NULL;

    sink_do("run --until-end", 0);
    text = sink_run("status", 0);
    audit = strstr(text, "\"audit\":");
    if (audit == NULL || strstr(audit, wanted) == NULL) {
        fail_msg("status says %s, expected %s", audit == NULL ? text : audit, wanted);
    }
    free(text);
}

static void open_sink(struct sink *sink)
{
    FILE *file = NULL;

    sink_open(sink);
    setenv("EARSHOT_AUDIT_GRACE", "0", 1);
    file = fopen("earshot.yaml", "w");
    assert_non_null(file);
    fputs("earshot: 1\nprocessors:\n  - {name: main, from: posts, to: insights, stages: "
          "[normalise]}\n",
          file);
    fclose(file);
}

/* The first start: the ledger begins in this hour. */
static void begin(struct sink *sink)
{
    open_sink(sink);
    sink_do("run --until-end", 0);
}

static void what_was_written_and_arrived_balances(void **state)
{
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    begin(&sink);
    for (int i = 0; i < 20; i++) {
        post(&tape, i, VERSION + i);
    }
    post(&tape, 3, VERSION + 100); /* an edit */
    post(&tape, 5, VERSION - 100); /* a stale one */
    tape_add(&tape, "insights", "feed:h:4",
             "{\"id\":\"feed:h:4\",\"source\":\"forum\",\"version\":%lld,\"deleted\":true}",
             (long long)VERSION + 200);
    tape_add(&tape, "insights", "feed:h:90",
             "{\"id\":\"feed:h:90\",\"version\":%lld,\"model\":\"m\",\"dropped\":true,"
             "\"source\":\"forum\"}",
             (long long)VERSION);
    tape_add(&tape, "insights", "feed:h:7", NULL); /* what is forgotten is no message */
    processed(&tape, 20, 20, 0, 0);
    processed(&tape, 5, 3, 1, 1);
    publish(&tape);
    expect_audit("\"audit\":[]");
    sink_do("run --until-end", 0);
    expect_audit("\"audit\":[]");
    sink_close(&sink);
}

static void a_message_that_never_arrives_is_named(void **state)
{
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    begin(&sink);
    post(&tape, 1, VERSION);
    post(&tape, 2, VERSION);
    processed(&tape, 3, 3, 0, 0);
    publish(&tape);
    expect_audit(
        "[{\"source\":\"forum\",\"hour\":\"" HOUR
        "\",\"topic\":\"insights\",\"reader\":\"sink.store\",\"kind\":\"lost\",\"amount\":1,");
    expect_audit("\"stands\":true}]");
    setenv("EARSHOT_AUDIT_GRACE", "3600", 1);
    expect_audit("\"stands\":false}]");
    post(&tape, 3, VERSION);
    publish(&tape);
    expect_audit("\"audit\":[]");
    sink_close(&sink);
}

static void a_message_that_arrives_twice_is_named(void **state)
{
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    begin(&sink);
    post(&tape, 1, VERSION);
    post(&tape, 1, VERSION);
    processed(&tape, 1, 1, 0, 0);
    publish(&tape);
    expect_audit("\"kind\":\"doubled\",\"amount\":1,");
    sink_close(&sink);
}

static void what_a_processor_loses_is_named_with_it(void **state)
{
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    begin(&sink);
    for (int i = 0; i < 4; i++) {
        post(&tape, i, VERSION);
    }
    collected(&tape, 6);
    processed(&tape, 5, 4, 0, 1);
    publish(&tape);
    expect_audit("\"topic\":\"posts\",\"reader\":\"process.main\",\"kind\":\"lost\",\"amount\":1,");
    processed(&tape, 1, 0, 0, 0);
    publish(&tape);
    expect_audit("\"reader\":\"process.main\",\"kind\":\"unsettled\",\"amount\":1,");
    sink_close(&sink);
}

static void what_is_under_way_is_no_difference(void **state)
{
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    begin(&sink);
    collected(&tape, 3);
    processed(&tape, 2, 0, 2, 0);
    tape_add(&tape, "posts", "feed:h:1",
             "{\"id\":\"feed:h:1\",\"source\":\"forum\",\"version\":%lld}", (long long)VERSION);
    for (int i = 0; i < 2; i++) {
        post(&tape, i, VERSION);
    }
    publish(&tape); /* the group of the processor has not read the post */
    expect_audit("\"audit\":[]");
    sink_close(&sink);
}

static void what_another_store_counted_is_not_missed(void **state)
{
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    begin(&sink);
    post(&tape, 1, VERSION);
    processed(&tape, 1, 1, 0, 0);
    publish(&tape);
    expect_audit("\"audit\":[]");
    assert_int_equal(remove("store.sqlite"), 0);
    processed(&tape, 1, 1, 0, 0); /* as if a version of it was compacted away meanwhile */
    publish(&tape);
    expect_audit("\"audit\":[]");
    sink_close(&sink);
}

/* --- seeded faults: what the ledger and the rebuild catch --- */

/* A fault, and a kill that makes it show. Returns what was stored of the three posts and rejects.
 */
static void run_faulty(struct sink *sink, const char *fault, const char *point, bool broken)
{
    struct tape tape = {0};

    begin(sink);
    for (int i = 0; i < 3; i++) {
        post(&tape, i, VERSION);
    }
    if (broken) {
        tape_add(&tape, "insights", "feed:h:broken", "{\"id\":");
    }
    publish(&tape);
    setenv("EARSHOT_FAULT", fault, 1);
    setenv("EARSHOT_KILL_POINT", point, 1);
    sink_do("run --until-end", 128 + 9);
    unsetenv("EARSHOT_KILL_POINT");
    sink_do("run --until-end", 0);
    unsetenv("EARSHOT_FAULT");
    processed(&tape, 3, 3, 0, 0);
    publish(&tape);
}

static void a_position_outside_the_transaction_is_caught_by_the_ledger(void **state)
{
    struct sink sink;

    (void)state;
    run_faulty(&sink, "", "sink.before-commit", false);
    expect_audit("\"audit\":[]");
    sink_close(&sink);
    run_faulty(&sink, "sink-offset-outside", "sink.before-commit", false);
    expect_audit("\"kind\":\"lost\",\"amount\":3,");
    sink_close(&sink);
}

static void a_reject_outside_the_transaction_is_missed(void **state)
{
    struct sink sink;

    (void)state;
    run_faulty(&sink, "", "sink.commit:2", true);
    assert_int_equal(sink_count("rejects"), 1);
    sink_close(&sink);
    run_faulty(&sink, "reject-outside", "sink.commit:2", true);
    assert_int_equal(sink_count("rejects"), 0);
    sink_close(&sink);
}

static void without_deduplication_an_old_version_comes_back(void **state)
{
    static const char *const faults[] = {"", "dedupe-off"};
    struct sink sink;
    struct tape tape = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *text = NULL;

        begin(&sink);
        post(&tape, 1, VERSION + 1);
        post(&tape, 1, VERSION);
        processed(&tape, 2, 2, 0, 0);
        publish(&tape);
        setenv("EARSHOT_FAULT", faults[i], 1);
        sink_do("run --until-end", 0);
        unsetenv("EARSHOT_FAULT");
        text = sink_run("stored feed:h:1", 0);
        assert_int_equal(strstr(text, "\"version\":1795334700000001") != NULL, i == 0);
        free(text);
        sink_close(&sink);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_and_arrived_balances),
        cmocka_unit_test(a_message_that_never_arrives_is_named),
        cmocka_unit_test(a_message_that_arrives_twice_is_named),
        cmocka_unit_test(what_a_processor_loses_is_named_with_it),
        cmocka_unit_test(what_is_under_way_is_no_difference),
        cmocka_unit_test(what_another_store_counted_is_not_missed),
        cmocka_unit_test(a_position_outside_the_transaction_is_caught_by_the_ledger),
        cmocka_unit_test(a_reject_outside_the_transaction_is_missed),
        cmocka_unit_test(without_deduplication_an_old_version_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
