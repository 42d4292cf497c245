/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/processors/runner/runner_kit.h"

#define V1 INT64_C(1795341600000000) /* 2026-11-22T10:00:00Z */

static int open_kit(void **state)
{
    static struct runner_kit kit;

    runner_kit_make(&kit, 10);
    runner_kit_open(&kit);
    *state = &kit;
    return 0;
}

static int close_kit(void **state)
{
    runner_kit_close(*state);
    runner_kit_remove(*state);
    return 0;
}

static void assert_holds(struct runner_kit *kit, const char *topic, const char *needle,
                         size_t times)
{
    char *last = times == 0 ? NULL : runner_kit_find(kit, topic, needle, times - 1);
    char *more = runner_kit_find(kit, topic, needle, times);

    if ((times > 0 && last == NULL) || more != NULL) {
        fail_msg("%s does not hold '%s' %zu times", topic, needle, times);
    }
    free(last);
    free(more);
}

static void every_post_becomes_one_insight(void **state)
{
    struct runner_kit *kit = *state;

    for (int i = 0; i < 57; i++) {
        runner_kit_post(kit, i, V1 + i, "pass Acme");
    }
    assert_int_equal(runner_kit_drain(kit), 0);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 57);
    assert_int_equal(runner_kit_each(kit, "rejects", NULL, NULL), 0);
    for (int i = 0; i < 57; i++) {
        char needle[64];

        snprintf(needle, sizeof needle, "\"id\":\"test:a:%d\"", i);
        assert_holds(kit, "insights", needle, 1);
    }
    assert_holds(kit, "insights", "\"insight\":{\"brands\":[\"Acme\"],\"competitors\":[]}", 57);
    runner_kit_close(kit);
    runner_kit_open(kit);
    assert_int_equal(runner_kit_drain(kit), 0);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 57);
}

static void what_is_dropped_takes_its_earlier_version_back(void **state)
{
    struct runner_kit *kit = *state;

    runner_kit_post(kit, 1, V1, "pass");
    runner_kit_post(kit, 1, V1 + 1, "drop");
    runner_kit_drain(kit);
    assert_holds(kit, "insights",
                 "{\"id\":\"test:a:1\",\"version\":1795341600000001,\"model\":\"contrary-1\","
                 "\"dropped\":true,\"source\":\"s1\"}",
                 1);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 2);
}

static void count_tombstones(void *user, const struct stream_message *message)
{
    *(int *)user += message->value == NULL;
}

static void deletions_bypass_the_stages(void **state)
{
    static const char deleted[] =
        "{\"id\":\"test:a:1\",\"source\":\"s\",\"version\":7,\"deleted\":true}";
    struct runner_kit *kit = *state;
    int tombstones = 0;

    runner_kit_put(kit, "test:a:1", deleted);
    runner_kit_put(kit, "test:a:2", NULL);
    runner_kit_put(kit, "test:a:3", "{\"id\":\"test:a:3\",\"source\":\"s\",\"deleted\":true}");
    runner_kit_drain(kit);
    assert_holds(kit, "insights", deleted, 1);
    runner_kit_each(kit, "insights", count_tombstones, &tombstones);
    assert_int_equal(tombstones, 1);
    assert_holds(kit, "rejects", "'version' is missing; a deleted message needs it", 1);
}

static void what_cannot_be_handled_is_rejected_by_name(void **state)
{
    static const struct {
        const char *key, *value, *reject;
    } cases[] = {
        {"k", "{\"id\":\"test:a:9\"", "\"stage\":\"main\",\"code\":\"bad_json\""},
        {"k", "[1]", "\"code\":\"schema\",\"reason\":\"a message is a JSON object\""},
        {"k", "{\"text\":\"a\",\"source\":\"src\"}", "\"source\":\"src\",\"item\":\"posts/"},
        {"test:a:2", "{\"id\":\"test:a:2\",\"text\":\"a\"}",
         "\"item\":\"test:a:2\",\"stage\":\"normalise\",\"code\":\"schema\",\"reason\":\"'source' "
         "is missing; a post needs it, as a string\""},
    };
    struct runner_kit *kit = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        runner_kit_put(kit, cases[i].key, cases[i].value);
    }
    runner_kit_post(kit, 4, V1, "reject");
    runner_kit_post(kit, 5, V1, "huge");
    runner_kit_drain(kit);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_holds(kit, "rejects", cases[i].reject, 1);
    }
    assert_holds(kit, "rejects",
                 "\"stage\":\"contrary\",\"code\":\"contrary\",\"reason\":\"it asked for it\"", 1);
    assert_holds(kit, "rejects", "\"code\":\"too_large\"", 1);
    assert_int_equal(runner_kit_each(kit, "rejects", NULL, NULL), 6);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 0);
}

static void poison_is_rejected_on_the_third_try_and_nothing_else(void **state)
{
    static const char *const poisons[] = {"poison", "twice"};
    struct runner_kit *kit = *state;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 9; i++) {
            runner_kit_post(kit, round * 9 + i, V1, i == 4 ? poisons[round] : "pass");
        }
        assert_true(runner_kit_drain(kit) >= 2);
    }
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 16);
    assert_int_equal(runner_kit_each(kit, "rejects", NULL, NULL), 2);
    assert_holds(kit, "rejects",
                 "\"item\":\"test:a:4\",\"stage\":\"contrary\",\"code\":\"stage_failed\","
                 "\"reason\":\"poison\"",
                 1);
    assert_holds(kit, "rejects", "\"tries\":3", 2);
    assert_holds(kit, "rejects", "judged one message twice", 1);
}

static void what_all_of_them_need_is_waited_for(void **state)
{
    struct runner_kit *kit = *state;
    bool idle = false;
    FILE *away = fopen(kit->away, "w");

    assert_non_null(away);
    fclose(away);
    for (int i = 0; i < 5; i++) {
        runner_kit_post(kit, i, V1, "away");
    }
    for (int i = 0; i < 30; i++) {
        assert_int_equal(runner_turn(kit->runner, &idle, &kit->err), -1);
        assert_int_equal(kit->err.kind, EAR_RETRY);
        assert_true(runner_pause_ms(kit->runner) >= 100);
        assert_true(runner_pause_ms(kit->runner) <= 5000);
    }
    assert_non_null(strstr(kit->err.message, "processor 'main': stage 'contrary': what it needs"));
    assert_int_equal(unlink(kit->away), 0);
    assert_int_equal(runner_kit_drain(kit), 0);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 5);
    assert_int_equal(runner_kit_each(kit, "rejects", NULL, NULL), 0);
}

static void more_messages_go_to_another_topic(void **state)
{
    struct runner_kit *kit = *state;

    runner_kit_post(kit, 1, V1, "more");
    runner_kit_drain(kit);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 1);
    assert_holds(kit, "decisions", "\"id\":\"test:a:1#1\"", 1);
    assert_holds(kit, "decisions", "\"id\":\"test:a:1#2\"", 1);
}

static void more_than_another_topic_takes_is_a_reject(void **state)
{
    struct runner_kit *kit = *state;

    for (int i = 0; i < 9; i++) {
        runner_kit_post(kit, i, V1, i == 4 ? "hoard" : "pass");
    }
    runner_kit_drain(kit);
    assert_int_equal(runner_kit_each(kit, "insights", NULL, NULL), 8);
    assert_int_equal(runner_kit_each(kit, "decisions", NULL, NULL), 0);
    assert_int_equal(runner_kit_each(kit, "rejects", NULL, NULL), 1);
    assert_holds(kit, "rejects",
                 "\"item\":\"test:a:4\",\"stage\":\"contrary\",\"code\":\"too_large\"", 1);
}

static void the_audit_says_what_went_where(void **state)
{
    struct runner_kit *kit = *state;
    static const char *const texts[] = {"pass", "drop", "reject", "pass", "pass", "pass"};

    for (int i = 0; i < 6; i++) {
        runner_kit_post(kit, 2 * i, i < 5 ? V1 : V1 + INT64_C(3600000000), texts[i]);
    }
    runner_kit_post(kit, 1, V1, "pass");
    runner_kit_drain(kit);
    assert_holds(kit, "audit",
                 "{\"role\":\"process\",\"source\":\"s0\",\"hour\":\"2026-11-22T10:00:00Z\","
                 "\"in\":5,\"out\":3,\"dropped\":1,\"rejected\":1,\"at\":\"2026-11-22T10:00:",
                 1);
    assert_holds(kit, "audit",
                 "\"source\":\"s0\",\"hour\":\"2026-11-22T11:00:00Z\",\"in\":1,\"out\":1,"
                 "\"dropped\":0,\"rejected\":0",
                 1);
    assert_holds(kit, "audit", "\"source\":\"s1\"", 1);
}

/* --- killed --- */

enum { KILLED_POSTS = 35, KILLED_BATCH = 10 };

/* What insights hold of each post: how often, and the last version. */
struct seen {
    int times[KILLED_POSTS];
    long long last[KILLED_POSTS];
    bool in_order;
};

static void note(void *user, const struct stream_message *message)
{
    struct seen *seen = user;
    int number = 0;
    const char *version = strstr(message->value, "\"version\":");

    number = (int)strtol(message->key + strlen("test:a:"), NULL, 10);
    assert_true(number >= 0 && number < KILLED_POSTS);
    assert_non_null(version);
    seen->times[number]++;
    seen->in_order =
        seen->in_order && strtoll(version + strlen("\"version\":"), NULL, 10) > seen->last[number];
    seen->last[number] = strtoll(version + strlen("\"version\":"), NULL, 10);
}

/* Drains in a process of its own with a kill point set; true if it was killed. */
static bool drain_killed(struct runner_kit *kit, const char *point)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        setenv("EARSHOT_KILL_POINT", point, 1);
        runner_kit_open(kit);
        runner_kit_drain(kit);
        runner_kit_close(kit);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    return WIFSIGNALED(status);
}

static void put_versions(struct runner_kit *kit)
{
    runner_kit_open(kit);
    for (int i = 0; i < KILLED_POSTS; i++) {
        runner_kit_post(kit, i, V1 + 1, i % 7 == 3 ? "drop" : i == 20 ? "poison" : "pass");
    }
    for (int i = 0; i < KILLED_POSTS; i++) {
        runner_kit_post(kit, i, V1 + 2, "pass");
    }
    runner_kit_close(kit);
}

static void assert_exactly_once(struct runner_kit *kit, const char *point)
{
    struct seen seen = {.in_order = true};

    runner_kit_open(kit);
    runner_kit_drain(kit);
    runner_kit_each(kit, "insights", note, &seen);
    for (int i = 0; i < KILLED_POSTS; i++) {
        if (seen.times[i] != (i == 20 ? 1 : 2) || seen.last[i] != V1 + 2) {
            fail_msg("%s: post %d is there %d times, last %lld", point, i, seen.times[i],
                     seen.last[i]);
        }
    }
    assert_true(seen.in_order);
    assert_int_equal(runner_kit_each(kit, "rejects", NULL, NULL), 1);
    runner_kit_close(kit);
}

static void a_kill_at_any_point_loses_and_doubles_nothing(void **state)
{
    static const struct {
        const char *name;
        size_t actions; /* 1: it only kills */
    } points[] = {{"process.after-stage", 1},
                  {"process.before-commit", 3},
                  {"process.before-rewind", 3},
                  {"process.after-commit", 1}};
    static const char *const actions[] = {"kill", "enospc", "eio"};

    (void)state;
    for (size_t point = 0; point < sizeof points / sizeof points[0]; point++) {
        for (size_t action = 0; action < points[point].actions; action++) {
            bool reached = true;

            for (int pass = 1; reached && pass < 60; pass += pass < 4 ? 1 : 5) {
                struct runner_kit kit;
                char name[64];

                snprintf(name, sizeof name, "%s:%d:%s", points[point].name, pass, actions[action]);
                runner_kit_make(&kit, KILLED_BATCH);
                put_versions(&kit);
                reached = drain_killed(&kit, name) || (action > 0 && pass < 4);
                assert_true(reached || pass > 1); /* else nothing was tried */
                assert_exactly_once(&kit, name);
                runner_kit_remove(&kit);
            }
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)
    const struct CMUnitTest tests[] = {
        TEST(every_post_becomes_one_insight),
        TEST(what_is_dropped_takes_its_earlier_version_back),
        TEST(deletions_bypass_the_stages),
        TEST(what_cannot_be_handled_is_rejected_by_name),
        TEST(poison_is_rejected_on_the_third_try_and_nothing_else),
        TEST(what_all_of_them_need_is_waited_for),
        TEST(more_messages_go_to_another_topic),
        TEST(more_than_another_topic_takes_is_a_reject),
        TEST(the_audit_says_what_went_where),
        cmocka_unit_test(a_kill_at_any_point_loses_and_doubles_nothing),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
