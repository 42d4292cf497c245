/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many sources whose steps make up one group: one transaction for all of them, nothing of a step
 * that fails, everything again after a commit that fails. On a real local log, with a reader whose
 * sources say by their names what they do.
 */

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/collector.h"
#include "collectors/fetch/fetch.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

enum { SOURCES_MAX = 64, NAME_SIZE = 32, LONG_CURSOR = 2 * 1024 * 1024 };

/* --- the reader: "post-N" shows one item and is done, "steps-N" three in three steps, "bad-N" one
 * and then a page that is useless, "long-N" wants to remember more than a message holds --- */

struct reading {
    const char *source;
    int step;
};

static int begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    struct reading *reading = calloc(1, sizeof(*reading));

    (void)err;
    assert_non_null(reading);
    reading->source = poll->source->name;
    *out = reading;
    return 0;
}

static int emit(const struct reading *reading, const struct source_output *output,
                struct ear_error *err)
{
    char id[NAME_SIZE];
    const struct source_record record = {.native_id = id,
                                         .text = reading->source,
                                         .text_length = strlen(reading->source),
                                         .created_us = INT64_MIN,
                                         .edited_us = INT64_MIN,
                                         .rating = -1,
                                         .likes = -1,
                                         .replies = -1,
                                         .shares = -1,
                                         .views = -1};

    (void)snprintf(id, sizeof(id), "%d", reading->step);
    return output->emit(output->user, &record, err);
}

static int remember(const struct reading *reading, const struct source_output *output,
                    struct ear_error *err)
{
    static char long_cursor[LONG_CURSOR + 16];
    char cursor[NAME_SIZE];

    if (strncmp(reading->source, "long-", 5) != 0) {
        (void)snprintf(cursor, sizeof(cursor), "{\"step\":%d}", reading->step);
        return output->cursor(output->user, cursor, strlen(cursor), err);
    }
    (void)snprintf(long_cursor, sizeof(long_cursor), "{\"x\":\"%*d\"}", LONG_CURSOR, 1);
    return output->cursor(output->user, long_cursor, strlen(long_cursor), err);
}

static int step(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    struct reading *reading = state;

    (void)answer;
    reading->step++;
    if (emit(reading, output, err) != 0 || remember(reading, output, err) != 0) {
        return -1;
    }
    if (strncmp(reading->source, "bad-", 4) == 0) {
        return ear_fail(err, EAR_REJECT, "bad_json: a page was expected");
    }
    turn->next =
        strncmp(reading->source, "steps-", 6) == 0 && reading->step < 3 ? SOURCE_MORE : SOURCE_DONE;
    return 0;
}

static const struct source_reader reader = {
    .name = "named",
    .about = "does as its name says",
    .channel = "forum",
    .begin = begin,
    .step = step,
    .end = free,
};

/* --- the bench --- */

struct bench {
    char folder[64];
    struct settings *settings;
    struct stream *stream;
    struct fetch *fetch;
    struct post_rules *rules;
    struct metrics *metrics;
    struct pseudonym_key key;
    struct clock clock;
    char names[SOURCES_MAX][NAME_SIZE];
    struct settings_source configured[SOURCES_MAX];
    struct source_entry entries[SOURCES_MAX];
    struct sources sources;
    struct collector *collector;
};

static void check(int result, const struct ear_error *err)
{
    if (result != 0) {
        fail_msg("%s", err->message);
    }
}

static void open_bench(struct bench *bench, const char *folder)
{
    struct ear_error err = {0};
    const struct fetch_config fetching = {.concurrent = 1,
                                          .host_concurrent = 1,
                                          .host_rate_per_s = 1,
                                          .user_agent = "earshot-test/1"};

    (void)snprintf(bench->folder, sizeof(bench->folder), "%s", folder);
    check(settings_load(&bench->settings, NULL, bench->folder, ".", &err), &err);
    check(settings_open_stream(&bench->stream, bench->settings, false, &err), &err);
    check(fetch_open(&bench->fetch, &fetching, &err), &err);
    check(metrics_new(&bench->metrics, &err), &err);
    check(post_rules_new(&bench->rules, bench->settings, &bench->key, &err), &err);
    check(clock_init(&bench->clock, NULL, &err), &err);
    bench->sources = (struct sources){.items = bench->entries};
}

static void close_bench(struct bench *bench)
{
    collector_free(bench->collector);
    post_rules_free(bench->rules);
    metrics_free(bench->metrics);
    fetch_close(bench->fetch);
    stream_close(bench->stream);
    settings_free(bench->settings);
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
    (void)stat;
    (void)kind;
    (void)where;
    return remove(path);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    char folder[] = "/tmp/earshot-test-XXXXXX";

    assert_non_null(bench);
    assert_non_null(mkdtemp(folder)); /* NOLINT(concurrency-mt-unsafe): one thread */
    open_bench(bench, folder);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    close_bench(bench);
    (void)nftw(bench->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(bench);
    return 0;
}

static void add(struct bench *bench, const char *kind, int count)
{
    for (int i = 0; i < count; i++) {
        const size_t place = bench->sources.count++;

        assert_true(place < SOURCES_MAX);
        (void)snprintf(bench->names[place], NAME_SIZE, "%s-%d", kind, i);
        bench->configured[place] = (struct settings_source){
            .name = bench->names[place], .use = "named", .every_us = CLOCK_HOUR_US};
        bench->entries[place] =
            (struct source_entry){.source = &bench->configured[place], .reader = &reader};
    }
}

static void poll_all(struct bench *bench)
{
    struct ear_error err = {0};
    const struct collector_config config = {
        .settings = bench->settings,
        .sources = &bench->sources,
        .stream = bench->stream,
        .fetch = bench->fetch,
        .rules = bench->rules,
        .metrics = bench->metrics,
        .clock = &bench->clock,
        .once = true,
    };

    collector_free(bench->collector);
    bench->collector = NULL;
    check(collector_new(&bench->collector, &config, &err), &err);
    while (collector_is_busy(bench->collector)) {
        check(collector_turn(bench->collector, 100, &err), &err);
    }
}

static size_t with_outcome(const struct bench *bench, enum collector_outcome outcome)
{
    size_t count = 0;

    for (size_t i = 0; i < bench->sources.count; i++) {
        count += collector_report_at(bench->collector, i).outcome == outcome ? 1 : 0;
    }
    return count;
}

/* How many messages a topic holds whose value has `part` in it. */
static size_t count_with(struct bench *bench, const char *topic, const char *part)
{
    struct ear_error err = {0};
    struct stream_reader *follower = NULL;
    struct stream_batch batch = {0};
    size_t count = 0;

    check(stream_follow(&follower, bench->stream, topic, INT64_MIN, &err), &err);
    do {
        check(stream_read(follower, &batch, 1000, 1 << 20, 0, &err), &err);
        for (size_t i = 0; i < batch.count; i++) {
            count +=
                batch.messages[i].value != NULL && strstr(batch.messages[i].value, part) != NULL
                    ? 1
                    : 0;
        }
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(follower);
    return count;
}

static void assert_metric(const struct bench *bench, const char *line)
{
    char *text = metrics_text(bench->metrics);

    assert_non_null(text);
    if (strstr(text, line) == NULL) {
        fail_msg("no '%s' in %s", line, text);
    }
    free(text);
}

/* --- the tests --- */

static void steps_of_many_sources_are_one_transaction(void **state)
{
    struct bench *bench = *state;

    add(bench, "post", 40);
    poll_all(bench);
    assert_int_equal(with_outcome(bench, COLLECTOR_WELL), 40);
    assert_int_equal(count_with(bench, "posts", "\"text\""), 40);
    assert_int_equal(count_with(bench, "seen", "\"hash\""), 40);
    assert_int_equal(count_with(bench, "cursors", "\"step\":1"), 40);
    assert_int_equal(count_with(bench, "audit", "\"out\":1"), 40);
    assert_metric(bench, "earshot_collect_commit_duration_seconds_count 1\n");
    assert_metric(bench, "earshot_collect_commit_messages_sum 160\n");
    assert_metric(bench, "earshot_collect_sources 40\n");
}

static void a_source_has_one_cursor_and_one_audit_in_a_group(void **state)
{
    struct bench *bench = *state;

    add(bench, "steps", 2);
    poll_all(bench);
    assert_int_equal(count_with(bench, "posts", "\"text\""), 6);
    assert_int_equal(count_with(bench, "cursors", "\"use\""), 2);
    assert_int_equal(count_with(bench, "cursors", "\"step\":3"), 2);
    assert_int_equal(count_with(bench, "audit", "\"role\""), 2);
    assert_int_equal(count_with(bench, "audit", "\"out\":3"), 2);
}

static void a_step_that_fails_takes_nothing_of_others_with_it(void **state)
{
    struct bench *bench = *state;

    add(bench, "post", 3);
    add(bench, "bad", 2);
    add(bench, "long", 1);
    add(bench, "steps", 3);
    poll_all(bench);
    assert_int_equal(with_outcome(bench, COLLECTOR_WELL), 6);
    assert_int_equal(with_outcome(bench, COLLECTOR_LATER), 2);
    assert_int_equal(with_outcome(bench, COLLECTOR_FAILED), 1);
    assert_int_equal(count_with(bench, "posts", "\"text\""), 12);
    assert_int_equal(count_with(bench, "posts", "\"text\":\"bad"), 0);
    assert_int_equal(count_with(bench, "posts", "\"text\":\"long"), 0);
    assert_int_equal(count_with(bench, "rejects", "\"code\":\"bad_json\""), 2);
    assert_int_equal(count_with(bench, "cursors", "\"code\":\"bad_json\""), 2);
    assert_int_equal(count_with(bench, "cursors", "\"code\":\"cursor\""), 1);
    assert_metric(bench, "earshot_collect_commit_duration_seconds_count 1\n");
    /* Nor does the intake remember what was taken out. */
    assert_int_equal(count_with(bench, "seen", "\"version\""), 14); /* 12 posts, 2 rejects */
}

/* The child: a commit that fails, and another process's go at it after that. */
static int live_with_a_failed_commit(const char *folder)
{
    struct bench bench = {0};
    bool good = false;

    open_bench(&bench, folder);
    add(&bench, "post", 5);
    add(&bench, "steps", 2);
    add(&bench, "bad", 1);
    poll_all(&bench);
    good = with_outcome(&bench, COLLECTOR_LATER) == 8 && count_with(&bench, "posts", "") == 0 &&
           count_with(&bench, "cursors", "") == 0;
    for (size_t i = 0; i < bench.sources.count && good; i++) {
        const struct collector_report report = collector_report_at(bench.collector, i);

        good = report.counts.fresh == 0 && strcmp(report.error, "the log takes nothing more") == 0;
    }
    poll_all(&bench);
    good = good && with_outcome(&bench, COLLECTOR_WELL) == 7 &&
           count_with(&bench, "posts", "\"text\"") == 11 &&
           count_with(&bench, "rejects", "\"code\"") == 1;
    close_bench(&bench);
    return good ? 0 : 1;
}

static void a_commit_that_fails_restores_every_source(void **state)
{
    struct bench *bench = *state;
    char folder[128];
    int status = 0;
    pid_t pid = 0;

#ifndef EARSHOT_TEST_POINTS
    skip();
#endif
    (void)snprintf(folder, sizeof(folder), "%s/child", bench->folder);
    pid = fork();
    if (pid == 0) {
        setenv("EARSHOT_KILL_POINT", "collect.before-commit:1:enospc", 1); /* NOLINT: one thread */
        execl(BUILD_DIR "/tests/test_group", "test_group", folder, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(steps_of_many_sources_are_one_transaction),
        CASE(a_source_has_one_cursor_and_one_audit_in_a_group),
        CASE(a_step_that_fails_takes_nothing_of_others_with_it),
        CASE(a_commit_that_fails_restores_every_source),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    if (argc == 2) {
        return live_with_a_failed_commit(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
