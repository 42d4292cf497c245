/* SPDX-License-Identifier: Apache-2.0 */

/* earshot-process itself: started, stopped, and told what it cannot do. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/lockfile.h"
#include "tests/processors/runner/runner_kit.h"

#define V1 INT64_C(1795341600000000)

static pid_t start(const struct runner_kit *kit, const char *command, const char *option)
{
    char config[128];
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);

        snprintf(config, sizeof config, "%s/earshot.yaml", kit->folder);
        setenv("EARSHOT_SHARE", TESTS_DIR "/../processors/stages", 1);
        dup2(nowhere, STDERR_FILENO);
        execl(BUILD_DIR "/bin/earshot-process", "earshot-process", command, "--config", config,
              option, (char *)NULL);
        _exit(127);
    }
    return child;
}

static int end(pid_t child)
{
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void write_config(const struct runner_kit *kit, const char *text)
{
    char path[128];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/earshot.yaml", kit->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_kit(void **state)
{
    static struct runner_kit kit;

    runner_kit_make(&kit, 10);
    *state = &kit;
    return 0;
}

static int remove_kit(void **state)
{
    runner_kit_remove(*state);
    return 0;
}

static void put_posts(struct runner_kit *kit, int count, const char *text)
{
    runner_kit_open(kit);
    for (int i = 0; i < count; i++) {
        runner_kit_post(kit, i, V1, text);
    }
    runner_kit_close(kit);
}

static size_t count_insights(struct runner_kit *kit)
{
    size_t count = 0;

    runner_kit_open(kit);
    count = runner_kit_each(kit, "insights", NULL, NULL);
    runner_kit_close(kit);
    return count;
}

static void chains_that_feed_each_other_run_until_the_end(void **state)
{
    struct runner_kit *kit = *state;

    write_config(kit, "earshot: 1\n"
                      "stream: {size: 64MiB}\n"
                      "processors:\n"
                      "  - {name: second, from: middle, to: insights, stages: [brands]}\n"
                      "  - {name: first, from: posts, to: middle, stages: [normalise],\n"
                      "     batch: {messages: 7}}\n");
    put_posts(kit, 100, "pass");
    assert_int_equal(end(start(kit, "run", "--until-end")), 0);
    assert_int_equal(count_insights(kit), 100);
    assert_int_equal(end(start(kit, "run", "--until-end")), 0);
    assert_int_equal(count_insights(kit), 100);
}

static void a_second_process_waits_its_turn(void **state)
{
    struct runner_kit *kit = *state;
    pid_t first = start(kit, "run", NULL);
    struct timespec pause = {.tv_nsec = 20000000};
    char run_dir[128];

    snprintf(run_dir, sizeof run_dir, "%s/earshot.data/run", kit->folder);
    for (int i = 0; i < 500 && lockfile_holder(run_dir, "process") != first; i++) {
        nanosleep(&pause, NULL);
    }
    assert_int_equal(end(start(kit, "run", "--until-end")), 75);
    assert_int_equal(kill(first, SIGTERM), 0);
    assert_int_equal(end(first), 0);
}

static void a_stage_that_hangs_does_not_hold_the_stop(void **state)
{
    struct runner_kit *kit = *state;
    struct timespec began, ended, pause = {.tv_sec = 1};
    pid_t child = 0;

    put_posts(kit, 3, "hang");
    child = start(kit, "run", NULL);
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &began);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(end(child), 0);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_true(ended.tv_sec - began.tv_sec <= 10);
    assert_int_equal(count_insights(kit), 0);
}

static void what_never_ends_is_given_up(void **state)
{
    struct runner_kit *kit = *state;
    FILE *away = fopen(kit->away, "w");

    assert_non_null(away);
    fclose(away);
    put_posts(kit, 3, "away");
    assert_int_equal(end(start(kit, "run", "--deadline=1s")), 75);
    assert_int_equal(count_insights(kit), 0);
    assert_int_equal(unlink(kit->away), 0);
    assert_int_equal(end(start(kit, "run", "--until-end")), 0);
    assert_int_equal(count_insights(kit), 3);
}

static void a_wrong_chain_starts_nothing(void **state)
{
    static const char *const chains[] = {"language: {hint: [german]}", "langauge",
                                         "plugin: {name: a, path: b.so}",
                                         "signals: {vocabulary: none.yaml}"};
    struct runner_kit *kit = *state;

    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        char text[256], data[128];
        struct stat status;

        snprintf(text, sizeof text, "earshot: 1\nprocessors: [{name: main, stages: [%s]}]\n",
                 chains[i]);
        write_config(kit, text);
        assert_int_equal(end(start(kit, "check", NULL)), 78);
        assert_int_equal(end(start(kit, "run", "--until-end")), 78);
        snprintf(data, sizeof data, "%s/earshot.data", kit->folder);
        assert_int_equal(stat(data, &status), -1);
        assert_int_equal(errno, ENOENT);
    }
    write_config(kit, "earshot: 1\nprocessors: [{name: main, stages: [normalise, brands]}]\n");
    assert_int_equal(end(start(kit, "check", NULL)), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_kit, remove_kit)
    const struct CMUnitTest tests[] = {
        TEST(chains_that_feed_each_other_run_until_the_end),
        TEST(a_second_process_waits_its_turn),
        TEST(a_stage_that_hangs_does_not_hold_the_stop),
        TEST(what_never_ends_is_given_up),
        TEST(a_wrong_chain_starts_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
