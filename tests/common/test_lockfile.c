/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/lockfile.h"

struct folder {
    char path[64];
    char run[96];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    if (folder == NULL) {
        return -1;
    }
    snprintf(folder->path, sizeof folder->path, "/tmp/earshot-lock-XXXXXX");
    if (mkdtemp(folder->path) == NULL) {
        free(folder);
        return -1;
    }
    snprintf(folder->run, sizeof folder->run, "%s/data/run", folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    char path[128];
    int result;

    snprintf(path, sizeof path, "%s/collect.lock", folder->run);
    unlink(path);
    rmdir(folder->run);
    snprintf(path, sizeof path, "%s/data", folder->path);
    rmdir(path);
    result = rmdir(folder->path);
    free(folder);
    return result;
}

static void a_lock_is_taken_once_and_named(void **state)
{
    struct folder *folder = *state;
    struct lockfile *lock = NULL;
    struct lockfile *second = NULL;
    struct ear_error err = {0};
    char pid[32];

    assert_int_equal(lockfile_holder(folder->run, "collect"), 0);
    assert_int_equal(lockfile_open(&lock, folder->run, "collect", &err), 0);
    assert_int_equal(lockfile_holder(folder->run, "collect"), getpid());

    assert_int_equal(lockfile_open(&second, folder->run, "collect", &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    snprintf(pid, sizeof pid, "kill %d", (int)getpid());
    assert_non_null(strstr(err.message, pid));
    assert_null(second);
    assert_int_equal(lockfile_holder(folder->run, "collect"), getpid());

    lockfile_close(lock);
    lockfile_close(NULL);
    assert_int_equal(lockfile_holder(folder->run, "collect"), 0);
    assert_int_equal(lockfile_open(&lock, folder->run, "collect", &err), 0);
    lockfile_close(lock);
}

/* A child that takes the lock, says so, and waits to be killed. */
static pid_t start_holder(const struct folder *folder)
{
    int told[2];
    char byte = 0;
    pid_t child;

    assert_int_equal(pipe(told), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lockfile *lock = NULL;
        struct ear_error err = {0};

        if (lockfile_open(&lock, folder->run, "collect", &err) != 0 ||
            write(told[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    close(told[1]);
    return child;
}

static void a_killed_process_holds_nothing(void **state)
{
    struct folder *folder = *state;
    struct lockfile *lock = NULL;
    struct ear_error err = {0};
    pid_t child = start_holder(folder);
    bool fell = true;
    char pid[32];

    assert_int_equal(lockfile_holder(folder->run, "collect"), child);
    assert_int_equal(lockfile_last(folder->run, "collect", &fell), child);
    assert_false(fell);
    assert_int_equal(lockfile_open(&lock, folder->run, "collect", &err), -1);
    snprintf(pid, sizeof pid, "pid %d", (int)child);
    assert_non_null(strstr(err.message, pid));

    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(lockfile_holder(folder->run, "collect"), 0);
    assert_int_equal(lockfile_last(folder->run, "collect", &fell), child);
    assert_true(fell);
    assert_int_equal(lockfile_open(&lock, folder->run, "collect", &err), 0);
    lockfile_close(lock);
    assert_int_equal(lockfile_last(folder->run, "collect", &fell), 0);
    assert_false(fell);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct lockfile *lock = NULL;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(lockfile_open(&lock, "/proc/nothing/run", "collect", &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "/proc/nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lock_is_taken_once_and_named, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_killed_process_holds_nothing, make_folder, remove_folder),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
    };

    return cmocka_run_group_tests_name("lockfile", tests, NULL, NULL);
}
