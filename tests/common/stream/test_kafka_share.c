/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sharing keys out on a real Kafka, among processes that are killed, stopped and paused. What each
 * test shows in the end is read from the log: every key's numbers 1, 2, 3, … once each and in
 * order, the last of them in the table. Sessions last 2 s here, transactions 4 s or 10 s.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

#include "tests/common/stream/kafka_member.h"

#define SESSION_MS "2000"
#define SHORT_TRANSACTION "transaction.timeout.ms=4000"
#define LONG_TRANSACTION "transaction.timeout.ms=10000"

static char program[4096]; /* this one: not /proc/self/exe, which under valgrind is valgrind */

enum { MEMBERS_MAX = 4, SKIPPED = 77, MS = 1000 };

static const int64_t SECOND_US = 1000000;
static const int64_t SESSION_US = INT64_C(2000000);

struct process {
    pid_t pid;
    int in, out; /* its stdin, its stdout */
    char line[640];
    size_t length;
    int owned;       /* as it said last */
    int64_t at_us;   /* when it said so */
    int64_t commits; /* as it said last */
    int fenced, retried, wrong;
    bool twice;
};

struct test {
    char url[256];
    char mark[64];
    struct process members[MEMBERS_MAX];
};

static int64_t mono_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

/* --- members --- */

static void start(struct test *test, int number, const char *instance, const char *mode,
                  const char *transaction, const char *kill_point)
{
    struct process *process = &test->members[number];
    int in[2];
    int out[2];

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    *process = (struct process){.in = in[1], .out = out[0]};
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        for (int i = 3; i < 256; i++) {
            close(i);
        }
        if (kill_point != NULL) {
            setenv("EARSHOT_KILL_POINT", kill_point, 1);      /* NOLINT(concurrency-mt-unsafe) */
            setenv("EARSHOT_KILL_POINT_MARK", test->mark, 1); /* NOLINT(concurrency-mt-unsafe) */
        }
        execl(program, program, "--member", test->url, instance, mode,
              "session.timeout.ms=" SESSION_MS, transaction, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    fcntl(process->out, F_SETFL, O_NONBLOCK);
    fcntl(process->out, F_SETFD, FD_CLOEXEC);
    fcntl(process->in, F_SETFD, FD_CLOEXEC);
}

static void take_line(struct process *process)
{
    const char *line = process->line;

    if (strncmp(line, "OWN ", 4) == 0) {
        process->owned = (int)strtol(line + 4, NULL, 10);
        process->at_us = mono_us();
    } else if (strncmp(line, "C ", 2) == 0) {
        process->commits = strtoll(line + 2, NULL, 10);
    } else if (strncmp(line, "FENCED", 6) == 0) {
        process->fenced++;
    } else if (strncmp(line, "RETRY", 5) == 0) {
        process->retried++;
    } else if (strncmp(line, "TWICE", 5) == 0) {
        process->twice = true;
    } else {
        process->wrong++;
    }
    if (line[0] != 'C') {
        print_message("    %d: %.300s\n", (int)process->pid, line);
    }
}

static void listen_to(struct process *process)
{
    char byte;

    while (process->out > 0 && read(process->out, &byte, 1) == 1) {
        if (byte == '\n') {
            process->line[process->length] = '\0';
            process->length = 0;
            take_line(process);
        } else if (process->length + 1 < sizeof process->line) {
            process->line[process->length++] = byte;
        }
    }
}

static void listen_ms(struct test *test, int ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&pause, NULL);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        listen_to(&test->members[i]);
    }
}

static void command(const struct process *process, char what)
{
    assert_int_equal(write(process->in, &what, 1), 1);
}

static void forget(struct process *process)
{
    close(process->in);
    close(process->out);
    process->pid = 0;
    process->in = process->out = 0;
    process->owned = 0;
}

/* Its exit code; -1 for a signal. */
static int await_end(struct process *process)
{
    int status = 0;

    assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
    listen_to(process);
    forget(process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void kill_member(struct test *test, int number)
{
    kill(test->members[number].pid, SIGKILL);
    await_end(&test->members[number]);
}

/* Lets it leave by itself. */
static void end_member(struct test *test, int number)
{
    struct process *process = &test->members[number];

    close(process->in);
    process->in = 0;
    assert_int_equal(await_end(process), 0);
    assert_int_equal(process->wrong, 0);
}

/* Waits until members [0..MEMBERS_MAX) own what `wanted` says (-1: something), or fails. Returns
 * how long that took. */
static int64_t await_owned(struct test *test, const int wanted[MEMBERS_MAX], int64_t most_us)
{
    const int64_t began_us = mono_us();

    for (;;) {
        bool all = true;

        listen_ms(test, 10);
        for (int i = 0; i < MEMBERS_MAX; i++) {
            all = all && (wanted[i] < 0 ? test->members[i].owned > 0
                                        : test->members[i].owned == wanted[i]);
        }
        if (all) {
            return mono_us() - began_us;
        }
        if (mono_us() - began_us > most_us) {
            fail_msg("members own %d, %d, %d, %d keys after %lld ms", test->members[0].owned,
                     test->members[1].owned, test->members[2].owned, test->members[3].owned,
                     (long long)((mono_us() - began_us) / MS));
        }
    }
}

/* All keys have one owner each, and every running member has some. */
static int64_t await_shared(struct test *test, int64_t most_us)
{
    const int64_t began_us = mono_us();

    for (;;) {
        int sum = 0;
        bool all = true;

        listen_ms(test, 10);
        for (int i = 0; i < MEMBERS_MAX; i++) {
            sum += test->members[i].owned;
            all = all && (test->members[i].pid == 0 || test->members[i].owned > 0);
        }
        if (all && sum == MEMBER_KEYS) {
            return mono_us() - began_us;
        }
        if (mono_us() - began_us > most_us) {
            fail_msg("members own %d keys in sum", sum);
        }
    }
}

static void await_commits(struct test *test, int number, int64_t more, int64_t most_us)
{
    const int64_t began_us = mono_us();
    const int64_t from = test->members[number].commits;

    while (test->members[number].commits < from + more) {
        listen_ms(test, 10);
        if (mono_us() - began_us > most_us) {
            fail_msg("member %d committed %lld times and not %lld", number,
                     (long long)(test->members[number].commits - from), (long long)more);
        }
    }
}

static void await_mark(struct test *test, int64_t most_us)
{
    const int64_t began_us = mono_us();

    while (access(test->mark, F_OK) != 0) {
        listen_ms(test, 5);
        assert_true(mono_us() - began_us < most_us);
    }
}

/* --- the judge --- */

struct verdict {
    int64_t last[MEMBER_KEYS];
    int64_t lost, doubled, count;
};

static void judge_batch(struct verdict *verdict, const struct stream_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const long key = strtol(batch->messages[i].key + strlen("source-"), NULL, 10);
        const int64_t number = strtoll(batch->messages[i].value, NULL, 10);

        assert_in_range(key, 0, MEMBER_KEYS - 1);
        verdict->count++;
        if (number <= verdict->last[key]) {
            verdict->doubled++;
            continue;
        }
        verdict->lost += number - verdict->last[key] - 1;
        verdict->last[key] = number;
    }
}

static void read_log(struct verdict *verdict, struct stream *stream)
{
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct ear_error err = {0};

    if (stream_follow(&reader, stream, "log", INT64_MIN, &err) != 0) {
        fail_msg("%s", err.message);
    }
    do {
        if (stream_read(reader, &batch, 1000, 1 << 20, 0, &err) != 0) {
            fail_msg("%s", err.message);
        }
        judge_batch(verdict, &batch);
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
}

static void judge(struct test *test, struct verdict *verdict)
{
    struct stream_config config = {.url = test->url,
                                   .compact_lag_us = 3600 * SECOND_US,
                                   .topics = member_topics,
                                   .topic_count = 3};
    struct stream *stream = NULL;
    struct ear_error err = {0};

    memset(verdict, 0, sizeof *verdict);
    if (stream_open(&stream, &config, &err) != 0) {
        fail_msg("%s", err.message);
    }
    read_log(verdict, stream);
    for (int i = 0; i < MEMBER_KEYS; i++) {
        char key[16];
        char *text = NULL;
        size_t length = 0;
        int found = stream_lookup(stream, "cursors", key, member_key(key, i), &text, &length, &err);

        if (found < 0) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(found == 1 ? strtoll(text, NULL, 10) : 0, verdict->last[i]);
        free(text);
    }
    stream_close(stream);
    print_message("    judged %lld messages: %lld lost, %lld doubled\n", (long long)verdict->count,
                  (long long)verdict->lost, (long long)verdict->doubled);
}

static void assert_exact(struct test *test)
{
    struct verdict *verdict = calloc(1, sizeof *verdict);

    assert_non_null(verdict);
    judge(test, verdict);
    assert_true(verdict->count > 0);
    assert_int_equal(verdict->lost, 0);
    assert_int_equal(verdict->doubled, 0);
    free(verdict);
}

/* --- tests --- */

static void members_share_the_keys_out(void **state)
{
    struct test *test = *state;

    start(test, 0, "a", "write", SHORT_TRANSACTION, NULL);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 0, 5, 60 * SECOND_US);
    start(test, 1, "b", "write", SHORT_TRANSACTION, NULL);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 1, 5, 60 * SECOND_US);
    start(test, 2, "c", "write", SHORT_TRANSACTION, NULL);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 0, 5, 60 * SECOND_US);
    await_commits(test, 2, 5, 60 * SECOND_US);
    end_member(test, 0);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 1, 5, 60 * SECOND_US);
    end_member(test, 1);
    end_member(test, 2);
    assert_exact(test);
}

static void the_keys_of_a_killed_member_move_within_its_session(void **state)
{
    struct test *test = *state;
    int64_t took_us;

    start(test, 0, "a", "write", SHORT_TRANSACTION, NULL);
    start(test, 1, "b", "write", SHORT_TRANSACTION, NULL);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 0, 5, 60 * SECOND_US);
    await_commits(test, 1, 5, 60 * SECOND_US);
    command(&test->members[1], 'i'); /* no transaction of its is open when it dies */
    listen_ms(test, 1000);
    kill_member(test, 1);
    took_us = await_owned(test, (int[MEMBERS_MAX]){MEMBER_KEYS, 0, 0, 0}, 60 * SECOND_US);
    print_message("    owned again after %lld ms\n", (long long)(took_us / MS));
    assert_true(took_us < SESSION_US + 5 * SECOND_US);
    await_commits(test, 0, 10, 60 * SECOND_US);
    end_member(test, 0);
    assert_exact(test);
}

static void a_member_that_lost_its_keys_is_fenced(void **state)
{
    struct test *test = *state;
    int fenced;

    start(test, 0, "a", "write", SHORT_TRANSACTION, NULL);
    start(test, 1, "b", "write", LONG_TRANSACTION, "kafka.flushed:12:pause=1");
    await_shared(test, 60 * SECOND_US);
    await_mark(test, 60 * SECOND_US);
    kill(test->members[1].pid, SIGSTOP); /* as it is about to send offsets */
    test->members[1].owned = 0;
    await_owned(test, (int[MEMBERS_MAX]){MEMBER_KEYS, 0, 0, 0}, 60 * SECOND_US);
    fenced = test->members[1].fenced;
    kill(test->members[1].pid, SIGCONT);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 1, 5, 60 * SECOND_US);
    assert_int_equal(test->members[1].fenced, fenced + 1);
    end_member(test, 0);
    end_member(test, 1);
    assert_exact(test);
}

/*
 * The thirteenth fault: "a" stops with its records written and its offsets not sent, so that its
 * open transaction hides what comes behind it. "b" takes over, restores (what is hidden is not yet
 * written) and commits; then "c" takes over from "b", and what "b" committed lies behind the last
 * stable offset: "c" has to wait for it, though the end of the partition was read.
 */
static void a_restore_waits_for_what_a_zombie_hides(void **state)
{
    struct test *test = *state;
    int64_t stopped_us;
    int64_t took_us;
    char other[sizeof test->mark + 8];

    start(test, 0, "a", "write", LONG_TRANSACTION, "kafka.flushed:12:pause=1");
    await_mark(test, 60 * SECOND_US);
    kill(test->members[0].pid, SIGSTOP);
    stopped_us = mono_us();
    test->members[0].owned = 0;
    start(test, 1, "b", "write", SHORT_TRANSACTION, NULL);
    await_owned(test, (int[MEMBERS_MAX]){0, MEMBER_KEYS, 0, 0}, 60 * SECOND_US);
    await_commits(test, 1, 10, 60 * SECOND_US);
    snprintf(other, sizeof other, "%s.met", test->mark);
    rename(test->mark, other); /* the next point to be met is another */
    end_member(test, 1);
    start(test, 2, "c", "write", SHORT_TRANSACTION, "kafka.share-hidden:1:pause=0");
    await_mark(test, 60 * SECOND_US); /* committed > last stable offset was met */
    remove(other);
    await_owned(test, (int[MEMBERS_MAX]){0, 0, MEMBER_KEYS, 0}, 60 * SECOND_US);
    took_us = mono_us() - stopped_us;
    print_message("    owned %lld ms after the zombie stopped\n", (long long)(took_us / MS));
    assert_true(took_us > 8 * SECOND_US); /* it waited for the end of the zombie's transaction */
    await_commits(test, 2, 5, 60 * SECOND_US);
    kill(test->members[0].pid, SIGCONT);
    await_shared(test, 60 * SECOND_US);
    await_commits(test, 0, 5, 60 * SECOND_US);
    end_member(test, 0);
    end_member(test, 2);
    assert_exact(test);
}

static void after_an_abort_everything_is_restored(void **state)
{
    struct test *test = *state;
    static const char *const points[] = {"kafka.produced:6:eio", "kafka.before-commit:6:enospc"};

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        int owned_before;

        start(test, 0, "a", "write", SHORT_TRANSACTION, points[i]);
        await_mark(test, 60 * SECOND_US);
        listen_ms(test, 100);
        owned_before = test->members[0].retried;
        assert_int_equal(owned_before, 1);
        await_commits(test, 0, 10, 60 * SECOND_US);
        assert_int_equal(test->members[0].owned, MEMBER_KEYS);
        end_member(test, 0);
        remove(test->mark);
    }
    assert_exact(test);
}

static void who_dies_in_a_transaction_leaves_nothing_of_it(void **state)
{
    struct test *test = *state;
    static const char *const points[] = {"kafka.begun:9",          "kafka.flushed:9",
                                         "kafka.offsets-sent:9",   "kafka.committed:9",
                                         "kafka.share-assigned:1", "kafka.share-restored:3"};

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        start(test, 0, "a", "write", SHORT_TRANSACTION, points[i]);
        assert_int_equal(await_end(&test->members[0]), -1);
        remove(test->mark);
    }
    start(test, 0, "a", "write", SHORT_TRANSACTION, NULL);
    await_commits(test, 0, 5, 60 * SECOND_US);
    end_member(test, 0);
    assert_exact(test);
}

static void an_instance_that_is_used_twice_leaves(void **state)
{
    struct test *test = *state;
    int64_t until_us;

    start(test, 0, "same", "write", LONG_TRANSACTION, NULL);
    await_commits(test, 0, 5, 60 * SECOND_US);
    start(test, 1, "same", "write", LONG_TRANSACTION, NULL);
    until_us = mono_us() + 30 * SECOND_US;
    while (!test->members[0].twice && !test->members[1].twice && mono_us() < until_us) {
        listen_ms(test, 10);
    }
    assert_true(test->members[0].twice != test->members[1].twice);
    {
        const int gone = test->members[0].twice ? 0 : 1;

        test->members[gone].owned = 0;
        assert_int_equal(await_end(&test->members[gone]), 3);
        await_shared(test, 60 * SECOND_US);
        await_commits(test, 1 - gone, 5, 60 * SECOND_US);
        end_member(test, 1 - gone);
    }
    assert_exact(test);
}

/* --- the frame --- */

static int make(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    const char *brokers = getenv("EARSHOT_TEST_KAFKA"); /* NOLINT(concurrency-mt-unsafe) */
    struct timespec now;

    if (test == NULL) {
        return -1;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(test->url, sizeof test->url, "kafka://%s/share%d.%lld", brokers, (int)getpid(),
             (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    snprintf(test->mark, sizeof test->mark, "/tmp/earshot-share-%d-%ld", (int)getpid(),
             now.tv_nsec);
    *state = test;
    return 0;
}

static int drop(void **state)
{
    struct test *test = *state;

    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (test->members[i].pid > 0) {
            kill(test->members[i].pid, SIGKILL);
            waitpid(test->members[i].pid, NULL, 0);
            forget(&test->members[i]);
        }
    }
    remove(test->mark);
    free(test);
    return 0;
}

#define PROMISE(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PROMISE(members_share_the_keys_out),
        PROMISE(the_keys_of_a_killed_member_move_within_its_session),
        PROMISE(a_member_that_lost_its_keys_is_fenced),
        PROMISE(a_restore_waits_for_what_a_zombie_hides),
        PROMISE(after_an_abort_everything_is_restored),
        PROMISE(who_dies_in_a_transaction_leaves_nothing_of_it),
        PROMISE(an_instance_that_is_used_twice_leaves),
    };

    if (realpath(argv[0], program) == NULL) {
        return 1;
    }
    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    if (argc > 4 && strcmp(argv[1], "--member") == 0) {
        return member_main(argc, argv);
    }
    if (getenv("EARSHOT_TEST_KAFKA") == NULL) { /* NOLINT(concurrency-mt-unsafe) */
        print_message("skipped: no Kafka; set EARSHOT_TEST_KAFKA, or run by ctest\n");
        return getenv("CI") == NULL ? SKIPPED : 1; /* NOLINT(concurrency-mt-unsafe) */
    }
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
