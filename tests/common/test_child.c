/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/child.h"

static bool at_once(void)
{
    return true;
}

static void the_exit_code_comes_back(void **state)
{
    static const struct {
        const char *script;
        int code;
    } cases[] = {{"exit 0", 0}, {"exit 78", 78}, {"kill -9 $$", 128 + 9}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const argv[] = {"sh", "-c", cases[i].script, NULL};
        struct child_config config = {"/bin/sh", argv, -1, -1};
        struct ear_error err = {EAR_NONE, ""};

        assert_int_equal(child_run(&config, NULL, &err), cases[i].code);
    }
}

static void a_program_that_is_not_there_is_named(void **state)
{
    const char *const argv[] = {"nobody", NULL};
    struct child_config config = {"/nowhere/nobody", argv, -1, -1};
    struct ear_error err = {EAR_NONE, ""};

    (void)state;
    assert_int_equal(child_run(&config, NULL, &err), -1);
    assert_int_equal(err.kind, EAR_FATAL);
    assert_non_null(strstr(err.message, "/nowhere/nobody cannot be started: No such file"));
}

static void output_is_captured_up_to_a_limit(void **state)
{
    const char *const argv[] = {"sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; exit 3", NULL};
    struct child_config config = {"/bin/sh", argv, -1, -1};
    struct ear_error err = {EAR_NONE, ""};
    char *text = NULL;
    size_t length = 0;
    int code = 0;

    (void)state;
    assert_int_equal(child_capture(&text, &length, &code, &config, 100000, NULL, &err), 0);
    assert_int_equal(length, 100000);
    assert_int_equal(strlen(text), 100000);
    assert_int_equal(code, 3);
    free(text);
    text = NULL;
    assert_int_equal(child_capture(&text, &length, &code, &config, 99999, NULL, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_null(text);
}

static void stdin_can_be_a_file_and_no_other_descriptor_is_handed_on(void **state)
{
    const char *const argv[] = {"sh", "-c", "cat; ls /proc/self/fd | wc -l", NULL};
    struct child_config config = {"/bin/sh", argv, -1, -1};
    struct ear_error err = {EAR_NONE, ""};
    char path[] = "/tmp/earshot-child-XXXXXX";
    char *text = NULL;
    size_t length = 0;
    int code = 0;
    int leaky = open("/dev/null", O_RDONLY); /* without close-on-exec */

    (void)state;
    config.in = mkstemp(path);
    assert_true(config.in >= 0 && leaky >= 0);
    assert_int_equal(write(config.in, "hello\n", 6), 6);
    assert_int_equal(lseek(config.in, 0, SEEK_SET), 0);
    assert_int_equal(child_capture(&text, &length, &code, &config, 1000, NULL, &err), 0);
    assert_string_equal(text, "hello\n4\n"); /* 0, 1, 2 and the folder that ls reads */
    free(text);
    close(config.in);
    close(leaky);
    unlink(path);
}

static void a_stop_is_handed_on(void **state)
{
    const char *const argv[] = {"sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done",
                                NULL};
    struct child_config config = {"/bin/sh", argv, -1, -1};
    struct ear_error err = {EAR_NONE, ""};
    pid_t pid = -1;
    int code = 0;

    (void)state;
    code = child_run(&config, at_once, &err);
    assert_true(code == 5 || code == 128 + SIGTERM); /* the latter before its trap was set */
    assert_int_equal(child_start(&pid, &config, &err), 0);
    assert_false(child_wait(pid, 50, &code));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(child_wait(pid, 10000, &code));
    assert_int_equal(code, 128 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_code_comes_back),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
        cmocka_unit_test(output_is_captured_up_to_a_limit),
        cmocka_unit_test(stdin_can_be_a_file_and_no_other_descriptor_is_handed_on),
        cmocka_unit_test(a_stop_is_handed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
