/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/watch.h"

static const int64_t s_us = INT64_C(1000000);

struct world {
    char folder[64];
    struct watch *watch;
    int64_t now_us;
    int woken[4]; /* since the last look */
};

static void put(const struct world *world, const char *name, const char *text)
{
    char path[200];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", world->folder, name);
    file = fopen(path, "ae");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make(const struct world *world, const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", world->folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void wake(void *user, size_t source)
{
    struct world *world = user;

    assert_true(source < 4);
    world->woken[source]++;
}

static int look(struct world *world, int64_t after_us, size_t source)
{
    world->now_us += after_us;
    memset(world->woken, 0, sizeof world->woken);
    watch_look(world->watch, world->now_us, wake, world);
    return world->woken[source];
}

static void open_world(struct world *world)
{
    struct ear_error err = {0};

    *world = (struct world){.now_us = 1000 * s_us};
    snprintf(world->folder, sizeof world->folder, "/tmp/earshot-watch[1]-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_int_equal(watch_new(&world->watch, world->folder, &err), 0);
}

static void add(struct world *world, size_t source, const char *path)
{
    struct ear_error err = {0};

    assert_int_equal(watch_add(world->watch, source, path, &err), 0);
}

static void close_world(struct world *world)
{
    char command[100];
    static const char *const names[] = {"a.csv",     "b.txt",     "in/a.csv", "in/c.csv",
                                        "y/1/a.csv", "y/2/a.csv", "in",       "y/1",
                                        "y/2",       "y",         ""};

    watch_free(world->watch);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(command, sizeof command, "%s/%s", world->folder, names[i]);
        (void)remove(command);
    }
}

static void a_change_wakes_whose_pattern_fits(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    make(&world, "in");
    add(&world, 0, "in/*.csv");
    add(&world, 1, "in");
    add(&world, 2, "a.csv");
    add(&world, 3, "b.txt");
    assert_int_equal(look(&world, s_us, 0), 0);
    put(&world, "in/a.csv", "text\nhello\n");
    assert_int_equal(look(&world, s_us, 0), 1);
    assert_int_equal(world.woken[1], 1);
    assert_int_equal(world.woken[2], 0);
    assert_int_equal(world.woken[3], 0);
    look(&world, 10 * s_us, 0);
    put(&world, "a.csv", "text\nhello\n");
    assert_int_equal(look(&world, s_us, 2), 1);
    assert_int_equal(world.woken[0] + world.woken[1] + world.woken[3], 0);
    close_world(&world);
}

static void it_is_woken_again_when_nothing_happens_any_more(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    add(&world, 0, "*.csv");
    put(&world, "a.csv", "text\nhalf a r");
    assert_int_equal(look(&world, 0, 0), 1);
    assert_int_equal(look(&world, s_us, 0), 0);
    assert_int_equal(look(&world, 2 * s_us, 0), 1); /* 3 s after the last change */
    assert_int_equal(look(&world, 60 * s_us, 0), 0);
    close_world(&world);
}

static void a_busy_writer_wakes_at_most_once_a_second(void **state)
{
    struct world world;
    int woken = 0;

    (void)state;
    open_world(&world);
    add(&world, 0, "*.csv");
    for (int i = 0; i < 100; i++) {
        put(&world, "a.csv", "row\n");
        woken += look(&world, s_us / 10, 0);
    }
    assert_in_range(woken, 9, 11);
    close_world(&world);
}

static void folders_that_come_later_are_watched(void **state)
{
    struct world world;

    (void)state;
    open_world(&world);
    add(&world, 0, "y/*/*.csv");
    make(&world, "y");
    add(&world, 1, "y/*/*.csv");
    look(&world, 10 * s_us, 0);
    make(&world, "y/1");
    assert_int_equal(look(&world, s_us, 1), 1);
    look(&world, 10 * s_us, 1);
    put(&world, "y/1/a.csv", "text\nhello\n");
    assert_int_equal(look(&world, s_us, 1), 1);
    look(&world, 10 * s_us, 1);
    assert_int_equal(look(&world, 10 * s_us, 1), 0);
    close_world(&world);
}

static void a_folder_that_goes_and_comes_back_is_watched_again(void **state)
{
    struct world world;
    char path[200];

    (void)state;
    open_world(&world);
    make(&world, "y");
    make(&world, "y/1");
    add(&world, 0, "y/*/*.csv");
    snprintf(path, sizeof path, "%s/y/1", world.folder);
    assert_int_equal(rmdir(path), 0);
    look(&world, s_us, 0);
    look(&world, 10 * s_us, 0);
    make(&world, "y/1");
    look(&world, s_us, 0);
    look(&world, 10 * s_us, 0);
    put(&world, "y/1/a.csv", "text\nhello\n");
    assert_int_equal(look(&world, s_us, 0), 1);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_wakes_whose_pattern_fits),
        cmocka_unit_test(it_is_woken_again_when_nothing_happens_any_more),
        cmocka_unit_test(a_busy_writer_wakes_at_most_once_a_second),
        cmocka_unit_test(folders_that_come_later_are_watched),
        cmocka_unit_test(a_folder_that_goes_and_comes_back_is_watched_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
