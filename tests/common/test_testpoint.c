/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/testpoint.h"

#ifdef EARSHOT_TEST_POINTS

/* What a process does that passes "first" and "second" by turns, armed with `setting`: it ends with
 * the number of the step that failed, or by a signal. */
static int run_armed(const char *setting, const char *mark)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        setenv("EARSHOT_KILL_POINT", setting, 1);
        setenv("EARSHOT_KILL_POINT_MARK", mark, 1);
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(99);
        }
        for (int step = 1; step <= 5; step++) {
            TESTPOINT("testpoint.first");
            errno = 0;
            if (TESTPOINT_FAILS("testpoint.second")) {
                _exit(errno == ENOSPC ? step : errno == EIO ? 10 + step : 98);
            }
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void points_act_as_armed(void **state)
{
    static const struct {
        const char *setting;
        int signal;
        int code;
    } cases[] = {
        {"", 0, 0},
        {"testpoint.first", SIGKILL, 0},
        {"testpoint.first:5:kill", SIGKILL, 0},
        {"testpoint.first:6:kill", 0, 0},
        {"testpoint.first:1:enospc", 0, 0}, /* this one cannot fail */
        {"testpoint.first:1:pause=0", 0, 0},
        {"testpoint.second:3:enospc", 0, 3},
        {"testpoint.second:2:eio", 0, 12},
        {"testpoint.unknown", 0, 78},
        {"testpoint.first:0", 0, 78},
        {"testpoint.first:x", 0, 78},
        {"testpoint.first:1:explode", 0, 78},
        {"testpoint.first:1:pause=", 0, 78},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = run_armed(cases[i].setting, "");

        if (cases[i].signal != 0) {
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), cases[i].signal);
        } else {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), cases[i].code);
        }
    }
}

static void with_a_mark_only_the_first_process_acts(void **state)
{
    char folder[] = "/tmp/earshot-point-XXXXXX";
    char mark[64];
    int status;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(mark, sizeof mark, "%s/mark", folder);
    status = run_armed("testpoint.second:2:enospc", mark);
    assert_int_equal(WEXITSTATUS(status), 2);
    assert_int_equal(access(mark, F_OK), 0);
    status = run_armed("testpoint.second:2:enospc", mark);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(unlink(mark), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_point_that_is_not_listed_stops_the_process(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(99);
        }
        TESTPOINT("nobody.knows-this");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void points_are_printed_but_for_those_of_this_test(void **state)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);

    (void)state;
    assert_non_null(stream);
    assert_true(testpoint_print(stream));
    fclose(stream);
    assert_null(strstr(text, "testpoint."));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_act_as_armed),
        cmocka_unit_test(with_a_mark_only_the_first_process_acts),
        cmocka_unit_test(a_point_that_is_not_listed_stops_the_process),
        cmocka_unit_test(points_are_printed_but_for_those_of_this_test),
    };

    return cmocka_run_group_tests_name("testpoint", tests, NULL, NULL);
}

#else

static void a_build_without_points_has_none(void **state)
{
    (void)state;
    TESTPOINT("testpoint.first");
    assert_false(TESTPOINT_FAILS("testpoint.second"));
    assert_false(testpoint_print(stderr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_build_without_points_has_none)};

    return cmocka_run_group_tests_name("testpoint", tests, NULL, NULL);
}

#endif
