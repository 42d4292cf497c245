/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What only the local log promises: its size is bounded, several processes share it, any of them
 * may be killed, and its file can be rewritten. Other processes are this program itself, started
 * with the name of a role.
 */

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/common/stream/fixture.h"

enum { CANNOT_MOUNT = 77 };
enum { KEYS = 16, STEP = 10, MODEL_KEYS = 200 };

static int make(void **state)
{
    *state = fixture_new(&local_backend);
    return 0;
}

static int drop(void **state)
{
    fixture_free(*state);
    return 0;
}

/* --- other processes --- */

static char program[4096];

/* Starts this program in a role on the fixture's log; the setting goes to EARSHOT_KILL_POINT. */
static pid_t start(const struct fixture *f, const char *role, const char *argument,
                   const char *kill_point)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (kill_point != NULL) {
            setenv("EARSHOT_KILL_POINT", kill_point, 1);
        }
        execl(program, program, role, f->folder, argument, (char *)NULL);
        _exit(127);
    }
    return child;
}

static int wait_for(pid_t child)
{
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_ends_well(pid_t child)
{
    int status = wait_for(child);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- a bounded log --- */

/* Publishes 100 KiB at a time until the log refuses; returns how many went in. */
static int fill(struct stream *stream, const char *topic)
{
    static char value[10 * 1024];
    struct ear_error err = {0};
    int count = 0;

    memset(value, 'x', sizeof value);
    for (;;) {
        struct stream_transaction *transaction = NULL;

        assert_int_equal(stream_begin(&transaction, stream, &err), 0);
        for (int i = 0; i < 10; i++) {
            char key[16];

            snprintf(key, sizeof key, "k%d", count * 10 + i);
            assert_int_equal(stream_publish(transaction, topic, key, strlen(key), value,
                                            sizeof value, NOW_US, &err),
                             0);
        }
        if (stream_commit(transaction, &err) != 0) {
            break;
        }
        count++;
        assert_in_range(count, 1, 10000);
    }
    assert_int_equal(err.kind, EAR_RETRY);
    assert_true(strstr(err.message, "full") != NULL || strstr(err.message, "room on the disk"));
    return count;
}

static void a_full_log_takes_in_again_what_room_is_made_for(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader;

    f->config.size_bytes = 8 * 1024 * 1024;
    fixture_reopen(f);
    reader = subscribe(f->stream, "g", "posts");
    publish(f->stream, "log", "a", "kept for ever");
    for (int round = 0; round < 6; round++) {
        int unread = fill(f->stream, "posts") * 10;

        assert_true(unread > 0);
        assert_true(stream_fullness(f->stream) > 0.9);
        keep_house(f->stream, NOW_US); /* nothing unread goes */
        assert_int_equal(read_and_move(f->stream, reader), unread);
        keep_house(f->stream, NOW_US);
        assert_true(stream_fullness(f->stream) < 0.9);
        assert_true(count_messages(f->stream, "posts") > 0); /* no more yields than has to */
    }
    assert_int_equal(count_messages(f->stream, "log"), 1);
    stream_reader_close(reader);
}

static void a_full_disk_is_no_broken_disk(void **state)
{
    struct fixture *f = *state;
    int status;

    stream_close(f->stream);
    f->stream = NULL;
    status = wait_for(start(f, "disk", "", NULL));
    fixture_open(f);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_MOUNT) {
        print_message("skipped: no small file system can be mounted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- processes that share it --- */

struct tally {
    long last[KEYS];
    long count;
};

/* Values of a key go up by KEYS, from the key's own number. */
static void see_tally(void *user, const struct stream_message *message)
{
    struct tally *tally = user;
    long key = strtol(message->key, NULL, 10);
    long value = strtol(message->value, NULL, 10);

    assert_in_range(key, 0, KEYS - 1);
    if (value != tally->last[key] + KEYS) {
        fail_msg("key %ld: %ld after %ld", key, value, tally->last[key]);
    }
    tally->last[key] = value;
    tally->count++;
}

static struct tally new_tally(void)
{
    struct tally tally = {.count = 0};

    for (int key = 0; key < KEYS; key++) {
        tally.last[key] = key - KEYS;
    }
    return tally;
}

static void write_numbers(struct stream *stream, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char key[32];
        char value[16];

        snprintf(key, sizeof key, "%s", prefix);
        snprintf(value, sizeof value, "%d", i + 1);
        publish(stream, "log", key, value);
    }
}

struct pair {
    int last[2];
};

static void see_pair(void *user, const struct stream_message *message)
{
    struct pair *pair = user;
    int which = message->key[0] - 'a';

    assert_in_range(which, 0, 1);
    assert_int_equal(strtol(message->value, NULL, 10), pair->last[which] + 1);
    pair->last[which]++;
}

static void two_processes_write_at_once(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct pair pair = {{0, 0}};
    pid_t one = start(f, "write", "a", NULL);
    pid_t two = start(f, "write", "b", NULL);

    while (pair.last[0] + pair.last[1] < 400) {
        struct stream_batch batch = {0};
        struct ear_error err = {0};

        assert_int_equal(stream_read(reader, &batch, 50, 1 << 20, 20000, &err), 0);
        assert_true(batch.count > 0);
        for (size_t i = 0; i < batch.count; i++) {
            see_pair(&pair, &batch.messages[i]);
        }
        stream_batch_clear(&batch);
    }
    assert_ends_well(one);
    assert_ends_well(two);
    assert_int_equal(read_all(reader, see_pair, &pair), 0);
    stream_reader_close(reader);
}

static void a_view_reads_while_others_write(void **state)
{
    struct fixture *f = *state;
    struct stream_transaction *transaction = NULL;
    struct stream_reader *reader = NULL;
    const char *const topic = "log";
    struct ear_error err = {0};
    bool more = true;

    publish(f->stream, "table", "a", "1");
    f->config.read_only = true;
    fixture_reopen(f);
    assert_ends_well(start(f, "write", "a", NULL));
    assert_int_equal(count_messages(f->stream, "log"), 200);
    assert_latest(f->stream, "table", "a", "1");
    assert_int_equal(stream_begin(&transaction, f->stream, &err), -1);
    assert_int_equal(stream_subscribe(&reader, f->stream, "g", &topic, 1, NULL, &err), -1);
    assert_int_equal(stream_maintain(f->stream, NOW_US, &more, &err), 0);
    assert_false(more);
}

static void a_view_of_no_log_may_be_tried_again(void **state)
{
    struct fixture *f = *state;
    struct stream_config config = f->config;
    struct stream *stream = NULL;
    struct ear_error err = {0};
    char url[128];

    snprintf(url, sizeof url, "%s/none", f->url);
    config.url = url;
    config.read_only = true;
    assert_int_equal(stream_open(&stream, &config, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
}

static void a_process_opens_a_log_once(void **state)
{
    struct fixture *f = *state;
    struct stream *second = NULL;
    struct ear_error err = {0};

    assert_int_equal(stream_open(&second, &f->config, &err), -1);
    assert_int_equal(err.kind, EAR_FATAL);
    assert_non_null(strstr(err.message, "open in this process"));
    publish(f->stream, "log", "a", "v");
}

/* --- a random walk beside a model --- */

struct model {
    int values[MODEL_KEYS]; /* 0: none */
    int seen;
};

static bool see_model(void *user, const struct stream_message *message)
{
    struct model *model = user;

    assert_int_equal(strtol(message->value, NULL, 10),
                     model->values[strtol(message->key, NULL, 10)]);
    model->seen++;
    return true;
}

static void check_model(struct stream *stream, struct model *model)
{
    struct ear_error err = {0};
    int expected = 0;

    for (int key = 0; key < MODEL_KEYS; key++) {
        char name[16];
        char value[16];

        snprintf(name, sizeof name, "%d", key);
        snprintf(value, sizeof value, "%d", model->values[key]);
        assert_latest(stream, "table", name, model->values[key] == 0 ? NULL : value);
        expected += model->values[key] != 0;
    }
    model->seen = 0;
    assert_int_equal(stream_each_latest(stream, "table", see_model, model, &err), 0);
    assert_int_equal(model->seen, expected);
}

static void publish_random(struct stream *stream, struct model *model, unsigned *seed, int number)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    assert_int_equal(stream_begin(&transaction, stream, &err), 0);
    for (int i = rand_r(seed) % 30; i >= 0; i--) {
        int key = rand_r(seed) % MODEL_KEYS;
        bool removes = rand_r(seed) % 4 == 0;
        char name[16];
        char value[16];

        snprintf(name, sizeof name, "%d", key);
        snprintf(value, sizeof value, "%d", number);
        model->values[key] = removes ? 0 : number;
        assert_int_equal(stream_publish(transaction, "table", name, strlen(name),
                                        removes ? NULL : value, strlen(value), NOW_US, &err),
                         0);
    }
    assert_int_equal(stream_commit(transaction, &err), 0);
}

static void lookups_agree_with_a_model_whatever_happens(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = NULL;
    struct model model = {.seen = 0};
    struct ear_error err = {0};
    unsigned seed = 3;

    for (int step = 1; step <= 400; step++) {
        int what = rand_r(&seed) % 20;

        publish_random(f->stream, &model, &seed, step);
        if (what < 4) {
            keep_house(f->stream, NOW_US + LAG_US);
        } else if (what == 4) {
            assert_int_equal(stream_compact(f->stream, rand_r(&seed) % 2 == 0, NULL, &err), 0);
        } else if (what == 5) {
            fixture_reopen(f);
        } else if (what == 6) {
            reader = subscribe(f->stream, "g", "table");
            read_and_move(f->stream, reader);
            stream_reader_close(reader);
        }
        if (what < 10) {
            check_model(f->stream, &model);
        }
    }
    reader = subscribe(f->stream, "g", "table");
    read_and_move(f->stream, reader);
    stream_reader_close(reader);
    keep_house(f->stream, NOW_US + LAG_US);
    check_model(f->stream, &model);
    assert_int_equal(count_messages(f->stream, "table"), model.seen);
}

/* Longer than the tail may be: the commit indexes by itself. */
static void a_long_tail_is_indexed_without_maintenance(void **state)
{
    struct fixture *f = *state;
    struct ear_error err = {0};

    f->topics[0] = (struct stream_topic){.name = "one", .partitions = 1, .compact = true};
    fixture_reopen(f);
    for (int first = 0; first < 150000; first += 5000) {
        struct stream_transaction *transaction = NULL;

        assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
        for (int i = first; i < first + 5000; i++) {
            char key[16];

            snprintf(key, sizeof key, "%d", i % 40000);
            assert_int_equal(
                stream_publish(transaction, "one", key, strlen(key), "v", 1, NOW_US, &err), 0);
        }
        assert_int_equal(stream_commit(transaction, &err), 0);
        assert_latest(f->stream, "one", "0", "v");
    }
    assert_latest(f->stream, "one", "39999", "v");
    assert_latest(f->stream, "one", "40000", NULL);
    assert_int_equal(stream_compact(f->stream, false, NULL, &err), 0);
    assert_int_equal(count_messages(f->stream, "one"), 40000);
}

static void a_topic_may_become_a_table_and_stop_being_one(void **state)
{
    struct fixture *f = *state;

    for (int round = 0; round < 3; round++) {
        char value[16];

        snprintf(value, sizeof value, "%d", round);
        f->topics[0].compact = false;
        fixture_reopen(f);
        publish(f->stream, "log", "a", value);
        publish(f->stream, "log", "b", round == 1 ? NULL : value);
        f->topics[0].compact = true;
        fixture_reopen(f);
        assert_latest(f->stream, "log", "a", value);
        assert_latest(f->stream, "log", "b", round == 1 ? NULL : value);
        keep_house(f->stream, NOW_US + LAG_US);
        assert_latest(f->stream, "log", "a", value);
        assert_int_equal(count_messages(f->stream, "log"), round == 1 ? 1 : 2);
    }
}

/* --- rewriting the file --- */

static bool file_holds(const struct fixture *f, const char *text)
{
    static char bytes[8 * 1024 * 1024];
    char path[128];
    ssize_t size;
    int file;

    snprintf(path, sizeof path, "%s/log/data.mdb", f->folder);
    file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    size = read(file, bytes, sizeof bytes);
    close(file);
    assert_true(size > 0);
    return memmem(bytes, (size_t)size, text, strlen(text)) != NULL;
}

static void what_is_forgotten_is_off_the_disk_once_compacted(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct ear_error err = {0};
    int64_t freed = 0;

    publish(f->stream, "log", "a", "before");
    for (int i = 0; i < 50; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%d", i);
        publish(f->stream, "posts", key, "what nobody may know");
    }
    for (int i = 0; i < 50; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%d", i);
        publish(f->stream, "posts", key, i == 0 ? "harmless" : NULL);
    }
    assert_true(file_holds(f, "what nobody may know"));
    assert_int_equal(stream_compact(f->stream, true, &freed, &err), 0);
    assert_true(freed > 0);
    assert_false(file_holds(f, "what nobody may know"));
    assert_true(file_holds(f, "harmless"));
    assert_latest(f->stream, "posts", "k0", "harmless");
    assert_latest(f->stream, "posts", "k1", NULL);
    assert_int_equal(count_messages(f->stream, "posts"), 1);
    publish(f->stream, "log", "a", "after");
    assert_int_equal(read_and_move(f->stream, reader), 2);
    stream_reader_close(reader);
    fixture_reopen(f);
    assert_latest(f->stream, "posts", "k0", "harmless");
}

static void who_has_the_log_open_is_named(void **state)
{
    struct fixture *f = *state;
    struct ear_error err = {0};
    int64_t freed = 0;
    char pid[32];
    pid_t holder = start(f, "hold", "", NULL);
    int tries = 0;

    snprintf(pid, sizeof pid, "pid %d", (int)holder);
    while (stream_compact(f->stream, true, &freed, &err) == 0) { /* until it has opened */
        usleep(10 * 1000);
        assert_in_range(tries++, 0, 3000);
    }
    assert_int_equal(err.kind, EAR_RETRY);
    assert_non_null(strstr(err.message, pid));
    publish(f->stream, "log", "a", "v");
    assert_int_equal(kill(holder, SIGKILL), 0);
    wait_for(holder);
    assert_int_equal(stream_compact(f->stream, true, &freed, &err), 0);
    publish(f->stream, "log", "a", "v");
}

/* --- kills --- */

static long cursor_of(struct stream *stream, const char *name)
{
    struct ear_error err = {0};
    size_t length = 0;
    char *text = NULL;
    int found = stream_lookup(stream, "table", name, strlen(name), &text, &length, &err);
    long value;

    if (found < 0) {
        fail_msg("%s", err.message);
    }
    value = found == 1 ? strtol(text, NULL, 10) : 0;
    free(text);
    return value;
}

static void publish_number(struct stream_transaction *transaction, const char *topic,
                           const char *key, long number)
{
    struct ear_error err = {0};
    char value[32];

    snprintf(value, sizeof value, "%ld", number);
    if (stream_publish(transaction, topic, key, strlen(key), value, strlen(value), NOW_US, &err) !=
        0) {
        fail_msg("%s", err.message);
    }
}

/* Publishes the next STEP numbers and moves the cursor in one transaction, as a collector does. */
static int collect(struct stream *stream, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;
    long number = cursor_of(stream, "collector");

    if (stream_begin(&transaction, stream, err) != 0) {
        return -1;
    }
    for (int i = 0; i < STEP; i++, number++) {
        char key[16];

        snprintf(key, sizeof key, "%ld", number % KEYS);
        publish_number(transaction, "posts", key, number);
    }
    publish_number(transaction, "table", "collector", number);
    return stream_commit(transaction, err);
}

/* Passes on from posts to log, as a processor does. Returns how many, or -1. */
static int process(struct stream *stream, struct stream_reader *reader, int timeout_ms,
                   struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;
    struct stream_batch batch = {0};
    int count = -1;

    if (stream_read(reader, &batch, 25, 1 << 20, timeout_ms, err) != 0 ||
        stream_begin(&transaction, stream, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < batch.count; i++) {
        const struct stream_message *message = &batch.messages[i];

        if (stream_publish(transaction, "log", message->key, message->key_length, message->value,
                           message->value_length, NOW_US, err) != 0) {
            stream_abort(transaction);
            goto done;
        }
    }
    if (stream_move(transaction, reader, err) != 0) {
        stream_abort(transaction);
        goto done;
    }
    if (stream_commit(transaction, err) == 0) {
        count = (int)batch.count;
    }

done:
    stream_batch_clear(&batch);
    return count;
}

static void any_writer_may_be_killed_at_any_time(void **state)
{
    static const char *const roles[] = {"collect", "process", "house"};
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "p", "posts");
    struct tally tally = new_tally();
    struct ear_error err = {0};
    unsigned seed = 1;
    pid_t children[3];
    long collected;

    stream_reader_close(reader);
    stream_close(f->stream);
    f->stream = NULL;
    for (int i = 0; i < 3; i++) {
        children[i] = start(f, roles[i], "", NULL);
    }
    for (int kills = 0; kills < 200; kills++) {
        int victim = rand_r(&seed) % 3;

        usleep(5000 + (unsigned)rand_r(&seed) % 40000);
        assert_int_equal(kill(children[victim], SIGKILL), 0);
        assert_true(WIFSIGNALED(wait_for(children[victim])));
        children[victim] = start(f, roles[victim], "", NULL);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(children[i], SIGKILL), 0);
        assert_true(WIFSIGNALED(wait_for(children[i])));
    }
    fixture_open(f);
    reader = subscribe(f->stream, "p", "posts");
    while (process(f->stream, reader, 0, &err) > 0) {
    }
    collected = cursor_of(f->stream, "collector");
    stream_reader_close(reader);
    assert_int_equal(stream_follow(&reader, f->stream, "log", INT64_MIN, &err), 0);
    read_all(reader, see_tally, &tally);
    stream_reader_close(reader);
    assert_true(collected > 0);
    assert_int_equal(tally.count, collected);
}

static void every_kill_point_leaves_a_whole_log(void **state)
{
    static const struct {
        const char *setting;
        bool killed;
        int code; /* of its exit where it is not killed */
    } cases[] = {
        {"stream.before-commit:7", true, 0},
        {"stream.after-commit:7", true, 0},
        {"stream.maintain:3", true, 0},
        {"stream.compact-copied", true, 0},
        {"stream.compact-renamed", true, 0},
        {"stream.before-commit:7:enospc", false, 0},
        {"stream.before-commit:7:eio", false, 3},
        {"stream.maintain:3:enospc", false, 0},
        {"stream.maintain:3:eio", false, 3},
        {"stream.compact-copied:1:enospc", false, 0},
        {"stream.compact-copied:1:eio", false, 3},
    };
    struct fixture *f = *state;
    long target = 0;

#ifndef EARSHOT_TEST_POINTS
    skip();
#endif
    stream_close(f->stream);
    f->stream = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char argument[32];
        int status;

        target += 20L * STEP;
        snprintf(argument, sizeof argument, "%ld", target);
        status = wait_for(start(f, "work", argument, cases[i].setting));
        assert_int_equal(WIFSIGNALED(status), cases[i].killed);
        if (!cases[i].killed) {
            assert_int_equal(WEXITSTATUS(status), cases[i].code);
        }
        assert_ends_well(start(f, "work", argument, NULL));
        fixture_open(f);
        assert_int_equal(cursor_of(f->stream, "collector"), target);
        for (int key = 0; key < KEYS; key++) {
            char name[16];
            char value[32];

            snprintf(name, sizeof name, "%d", key);
            snprintf(value, sizeof value, "%ld", (target - 1 - key) / KEYS * KEYS + key);
            assert_latest(f->stream, "posts", name, value);
        }
        assert_int_equal(count_messages(f->stream, "posts"), KEYS);
        stream_close(f->stream);
        f->stream = NULL;
    }
    fixture_open(f);
}

/* --- the roles --- */

/* A failure that passes is tried again, any other ends the process. */
static void must(int result, const struct ear_error *err)
{
    if (result < 0 && err->kind != EAR_RETRY) {
        fprintf(stderr, "%s\n", err->message);
        _exit(3);
    }
}

static void work(struct stream *stream, long target)
{
    struct ear_error err = {0};
    bool more = false;
    int result = -1;

    while (cursor_of(stream, "collector") < target) {
        must(collect(stream, &err), &err);
        must(stream_maintain(stream, NOW_US, &more, &err), &err);
    }
    while (result != 0) {
        result = stream_compact(stream, true, NULL, &err);
        must(result, &err);
    }
}

/* Fills a file system of 6 MiB that is this process's own, makes room, goes on. */
static void fill_disk(struct fixture *f)
{
    static const char ballast[512 * 1024];
    const unsigned long mine = MS_NOSUID | MS_NODEV;
    char path[128];
    size_t held;
    int file;

    snprintf(path, sizeof path, "%s", f->url + strlen("local:"));
    if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", path, "tmpfs", mine, "size=6m") != 0) {
        _exit(CANNOT_MOUNT);
    }
    snprintf(path, sizeof path, "%s/ballast", f->url + strlen("local:"));
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(file, ballast, sizeof ballast), sizeof ballast);
    close(file);
    fixture_open(f);
    publish(f->stream, "log", "a", "before");
    held = (size_t)fill(f->stream, "posts") * 10;
    assert_int_equal(count_messages(f->stream, "posts"), held);
    assert_int_equal(unlink(path), 0);
    publish(f->stream, "log", "a", "after");
    fixture_reopen(f);
    assert_int_equal(count_messages(f->stream, "posts"), held);
    assert_int_equal(count_messages(f->stream, "log"), 2);
}

static int run_role(const char *role, const char *folder, const char *argument)
{
    struct fixture fixture = {.backend = &local_backend};
    struct fixture *f = &fixture;
    struct ear_error err = {0};
    struct stream_reader *reader = NULL;
    bool more = false;

    snprintf(f->url, sizeof f->url, "local:%s/log", folder);
    fixture_configure(f);
    f->config.compact_lag_us = 0;
    if (strcmp(role, "disk") == 0) {
        fill_disk(f);
    } else {
        fixture_open(f);
    }
    if (strcmp(role, "process") == 0) {
        reader = subscribe(f->stream, "p", "posts");
    }
    if (strcmp(role, "write") == 0) {
        write_numbers(f->stream, argument, 200);
    } else if (strcmp(role, "disk") == 0) {
        publish(f->stream, "log", "a", "again");
    } else if (strcmp(role, "work") == 0) {
        work(f->stream, strtol(argument, NULL, 10));
    } else {
        for (;;) {
            if (strcmp(role, "collect") == 0) {
                must(collect(f->stream, &err), &err);
                usleep(500);
            } else if (strcmp(role, "process") == 0) {
                must(process(f->stream, reader, 100, &err), &err);
            } else if (strcmp(role, "house") == 0) {
                must(stream_maintain(f->stream, NOW_US + LAG_US, &more, &err), &err);
                usleep(1000);
            } else {
                usleep(10 * 1000);
            }
        }
    }
    stream_close(f->stream);
    return 0;
}

#define PROMISE(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PROMISE(a_full_log_takes_in_again_what_room_is_made_for),
        PROMISE(a_full_disk_is_no_broken_disk),
        PROMISE(two_processes_write_at_once),
        PROMISE(a_view_reads_while_others_write),
        PROMISE(a_view_of_no_log_may_be_tried_again),
        PROMISE(a_process_opens_a_log_once),
        PROMISE(lookups_agree_with_a_model_whatever_happens),
        PROMISE(a_long_tail_is_indexed_without_maintenance),
        PROMISE(a_topic_may_become_a_table_and_stop_being_one),
        PROMISE(what_is_forgotten_is_off_the_disk_once_compacted),
        PROMISE(who_has_the_log_open_is_named),
        PROMISE(any_writer_may_be_killed_at_any_time),
        PROMISE(every_kill_point_leaves_a_whole_log),
    };

    if (realpath(argv[0], program) ==
        NULL) { /* not /proc/self/exe: under valgrind that is valgrind */
        return 1;
    }
    if (argc == 4) {
        return run_role(argv[1], argv[2], argv[3]);
    }
    return cmocka_run_group_tests_name("stream, local", tests, NULL, NULL);
}
