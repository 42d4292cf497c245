/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector on a real local log, with a reader that follows a script: what is published, what
 * is not published again, what becomes of failures, and that a death at any point loses and doubles
 * nothing. For the latter the test runs itself as a child with a kill point set.
 */

#include <dirent.h>
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
#include "common/json/json.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "tests/collectors/fetch/hostile.h"

#define NOW INT64_C(1795334400000000) /* 2026-11-22T08:00:00Z */

enum { ITEMS_MAX = 8, TOLD_MAX = 64 };

/* --- the scripted reader --- */

struct item {
    const char *id, *text;
    bool deleted, broken; /* broken: handed over as a reject */
};

/* NOLINTBEGIN(bugprone-macro-parentheses): whole initialisers */
#define SAYS(id, text)                                                                             \
    {                                                                                              \
        id, text, false, false                                                                     \
    }
#define GONE(id)                                                                                   \
    {                                                                                              \
        id, NULL, true, false                                                                      \
    }
#define BROKEN(id, text)                                                                           \
    {                                                                                              \
        id, text, false, true                                                                      \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

struct step {
    struct item items[ITEMS_MAX]; /* up to the first without an id */
    const char *url;              /* asked for first */
    bool any_status;
    enum ear_error_kind failure; /* EAR_NONE: none */
    const char *message;
    int64_t later_us;
    bool sets_cursor; /* though it fails */
};

static struct script {
    const struct step *steps; /* [count] */
    size_t count;
    bool again;  /* each poll from the start, whatever the cursor says */
    bool silent; /* sets no cursor */
    char base[64];
    int last_status; /* that a step saw */
    const struct fetch_budget *budget;
    int laters; /* so often a step with later_us says so before it goes on */
} script;

struct reading {
    size_t at;
    bool asked;
    char url[256];
};

static int script_begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    const char *at = poll->cursor == NULL ? NULL : strstr(poll->cursor, "\"at\":");

    (void)err;
    assert_non_null(reading);
    reading->at = at == NULL || script.again ? 0 : (size_t)strtol(at + 5, NULL, 10);
    *out = reading;
    return 0;
}

static int emit_items(const struct step *step, const struct source_output *output,
                      struct ear_error *err)
{
    for (size_t i = 0; i < ITEMS_MAX && step->items[i].id != NULL; i++) {
        const struct item *item = &step->items[i];
        const struct source_record record = {
            .native_id = item->id,
            .text = item->text,
            .text_length = item->text == NULL ? 0 : strlen(item->text),
            .author_id = "jo",
            .created_us = NOW - CLOCK_HOUR_US,
            .edited_us = INT64_MIN,
            .deleted = item->deleted,
            .rating = -1,
            .likes = -1,
            .replies = -1,
            .shares = -1,
            .views = -1,
        };
        const int result =
            item->broken
                ? output->reject(output->user, item->id, "bad_json", "this is no JSON", item->text,
                                 item->text == NULL ? 0 : strlen(item->text), err)
                : output->emit(output->user, &record, err);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int script_step(void *state, const struct fetch_answer *answer,
                       const struct source_output *output, struct source_turn *turn,
                       struct ear_error *err)
{
    struct reading *reading = state;
    const struct step *step = NULL;
    char cursor[32];

    if (reading->at >= script.count) {
        turn->next = SOURCE_DONE;
        return 0;
    }
    step = &script.steps[reading->at];
    if (answer != NULL) {
        script.last_status = answer->status;
    } else if (step->url != NULL) {
        (void)snprintf(reading->url, sizeof(reading->url), "%s%s",
                       *step->url == '/' ? script.base : "", step->url);
        turn->request.url = reading->url;
        turn->request.budget = script.budget;
        turn->any_status = step->any_status;
        turn->next = SOURCE_FETCH;
        return 0;
    }
    if (step->later_us > 0 && script.laters > 0) {
        script.laters--;
        turn->next = SOURCE_LATER;
        turn->wait_us = step->later_us;
        turn->why = "its token is being fetched";
        return 0;
    }
    if (step->failure != EAR_NONE && step->sets_cursor &&
        (emit_items(step, output, err) != 0 ||
         output->cursor(output->user, "{\"at\":0,\"vain\":1}", 17, err) != 0)) {
        return -1;
    }
    if (step->failure != EAR_NONE) {
        return ear_fail(err, step->failure, "%s", step->message);
    }
    reading->at++;
    (void)snprintf(cursor, sizeof(cursor), "{\"at\":%zu}", reading->at);
    turn->next = reading->at == script.count ? SOURCE_DONE : SOURCE_MORE;
    if (emit_items(step, output, err) != 0) {
        return -1;
    }
    return script.silent ? 0 : output->cursor(output->user, cursor, strlen(cursor), err);
}

static const struct source_reader script_reader = {
    .name = "script",
    .about = "follows a script",
    .channel = "forum",
    .begin = script_begin,
    .step = script_step,
    .end = free,
};

/* --- the bench --- */

struct bench {
    char folder[64];
    struct settings *settings;
    struct stream *stream;
    struct fetch *fetch;
    struct post_rules *rules;
    struct pseudonym_key key;
    struct clock clock;
    struct settings_source source;
    struct source_entry entry;
    struct sources sources;
    struct collector *collector;
    struct hostile *server;
};

static struct hostile *the_server;

static const char *const loopback[] = {"127.0.0.1"};

static void check(int result, const struct ear_error *err)
{
    if (result != 0) {
        fail_msg("%s", err->message);
    }
}

static void open_bench(struct bench *bench, const char *folder)
{
    struct ear_error err = {0};
    const struct fetch_config fetching = {
        .allow = {loopback, 1},
        .body_limit_bytes = 16 << 20,
        .total_timeout_us = 10 * CLOCK_SECOND_US,
        .slow_timeout_us = 5 * CLOCK_SECOND_US,
        .concurrent = 10,
        .host_concurrent = 4,
        .host_rate_per_s = 10,
        .user_agent = "earshot-test/1",
        .clock = &bench->clock,
    };

    (void)snprintf(bench->folder, sizeof(bench->folder), "%s", folder);
    check(settings_load(&bench->settings, NULL, bench->folder, ".", &err), &err);
    check(settings_open_stream(&bench->stream, bench->settings, false, &err), &err);
    check(fetch_open(&bench->fetch, &fetching, &err), &err);
    memset(bench->key.bytes, 1, sizeof(bench->key.bytes));
    check(post_rules_new(&bench->rules, bench->settings, &bench->key, &err), &err);
    check(clock_init(&bench->clock, "2026-11-22T08:00:00Z", &err), &err);
    bench->source = (struct settings_source){
        .name = "scripted", .use = "script", .every_us = 10 * CLOCK_MINUTE_US};
    bench->entry = (struct source_entry){.source = &bench->source, .reader = &script_reader};
    bench->sources = (struct sources){.items = &bench->entry, .count = 1};
}

static void close_bench(struct bench *bench)
{
    collector_free(bench->collector);
    post_rules_free(bench->rules);
    fetch_close(bench->fetch);
    stream_close(bench->stream);
    settings_free(bench->settings);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);

    for (struct dirent *each = dir == NULL ? NULL : readdir(dir); /* NOLINT: one thread */
         each != NULL; each = readdir(dir)) {                     /* NOLINT */
        char path[512];

        if (each->d_name[0] == '.' && (each->d_name[1] == '\0' || each->d_name[1] == '.')) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, each->d_name);
        if (unlink(path) != 0) {
            remove_folder(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(folder);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    char folder[] = "/tmp/earshot-test-XXXXXX";

    assert_non_null(bench);
    assert_non_null(mkdtemp(folder));
    open_bench(bench, folder);
    bench->server = the_server;
    script = (struct script){0};
    if (the_server != NULL) {
        (void)snprintf(script.base, sizeof(script.base), "http://127.0.0.1:%d",
                       the_server->plain_port);
    }
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    close_bench(bench);
    remove_folder(bench->folder);
    free(bench);
    return 0;
}

/* Polls the source once, in a collector of its own: as a restarted process would. */
static struct collector_report poll_once(struct bench *bench)
{
    struct ear_error err = {0};
    const struct collector_config config = {
        .settings = bench->settings,
        .sources = &bench->sources,
        .stream = bench->stream,
        .fetch = bench->fetch,
        .rules = bench->rules,
        .clock = &bench->clock,
        .seed = 1,
        .once = true,
    };

    collector_free(bench->collector);
    bench->collector = NULL;
    check(collector_new(&bench->collector, &config, &err), &err);
    while (collector_is_busy(bench->collector)) {
        check(collector_turn(bench->collector, 1000, &err), &err);
    }
    return collector_report_at(bench->collector, 0);
}

static struct collector_report play(struct bench *bench, const struct step steps[], size_t count)
{
    script.steps = steps;
    script.count = count;
    script.again = true;
    return poll_once(bench);
}

/* --- what the log holds --- */

struct told {
    char key[128], text[256];
    int64_t version;
    bool deleted;
};

struct tale {
    struct told items[TOLD_MAX];
    size_t count;
};

/* Every message of a topic from the beginning, in order per key. */
static void read_topic(struct bench *bench, const char *topic, struct tale *out)
{
    struct ear_error err = {0};
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct json *json = NULL;

    out->count = 0;
    check(json_new(&json, &err), &err);
    check(stream_follow(&reader, bench->stream, topic, INT64_MIN, &err), &err);
    do {
        check(stream_read(reader, &batch, 100, 1 << 20, 0, &err), &err);
        for (size_t i = 0; i < batch.count; i++) {
            const struct stream_message *message = &batch.messages[i];
            struct told *told = &out->items[out->count++];
            const struct json_node *root =
                json_read(json, message->value, message->value_length, &json_limits_default, &err);
            const char *text = json_string(json_get(root, "text"), NULL);

            assert_true(out->count < TOLD_MAX);
            memset(told, 0, sizeof(*told));
            (void)snprintf(told->key, sizeof(told->key), "%s", message->key);
            if (text == NULL) {
                text = json_string(json_get(root, "code"), NULL);
            }
            (void)snprintf(told->text, sizeof(told->text), "%s", text == NULL ? "" : text);
            (void)json_integer(json_get(root, "version"), &told->version);
            (void)json_boolean(json_get(root, "deleted"), &told->deleted);
        }
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    json_free(json);
}

static size_t count_of(struct bench *bench, const char *topic)
{
    static struct tale tale;

    read_topic(bench, topic, &tale);
    return tale.count;
}

/* What was told of one id, joined by '|', versions growing. */
static const char *tale_of(struct bench *bench, const char *id)
{
    static struct tale tale;
    static char joined[1024];
    char key[128];
    int64_t version = 0;
    size_t length = 0;

    (void)snprintf(key, sizeof(key), "script:scripted:%s", id);
    read_topic(bench, "posts", &tale);
    joined[0] = '\0';
    for (size_t i = 0; i < tale.count; i++) {
        const struct told *told = &tale.items[i];

        if (strcmp(told->key, key) == 0) {
            assert_true(told->version > version);
            version = told->version;
            length += (size_t)snprintf(joined + length, sizeof(joined) - length, "%s%s",
                                       length == 0 ? "" : "|", told->deleted ? "-" : told->text);
        }
    }
    return joined;
}

static char *standing_of(struct bench *bench)
{
    struct ear_error err = {0};
    char *text = NULL;
    size_t length = 0;

    assert_int_equal(stream_lookup(bench->stream, "cursors", "scripted", 8, &text, &length, &err),
                     1);
    return text;
}

static void assert_standing(struct bench *bench, const char *part)
{
    char *text = standing_of(bench);

    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }
    free(text);
}

static void put(struct bench *bench, const char *topic, const char *key, const char *value)
{
    struct ear_error err = {0};
    struct stream_transaction *transaction = NULL;

    check(stream_begin(&transaction, bench->stream, &err), &err);
    check(stream_publish(transaction, topic, key, strlen(key), value, strlen(value), NOW, &err),
          &err);
    check(stream_commit(transaction, &err), &err);
}

/* --- the tests --- */

static void new_posts_come_with_seen_audit_and_cursor(void **state)
{
    static const struct step steps[] = {{.items = {SAYS("1", "one"), SAYS("2", "two")}}};
    struct bench *bench = *state;
    const struct collector_report report = play(bench, steps, 1);

    assert_int_equal(report.outcome, COLLECTOR_WELL);
    assert_null(report.error);
    assert_int_equal(report.counts.fresh, 2);
    assert_string_equal(tale_of(bench, "1"), "one");
    assert_string_equal(tale_of(bench, "2"), "two");
    assert_int_equal(count_of(bench, "seen"), 2);
    assert_int_equal(count_of(bench, "audit"), 1);
    assert_standing(bench, "\"cursor\":{\"at\":1}");
    assert_standing(bench, "\"state\":\"ok\"");
    assert_standing(bench, "\"last_post_at\":\"2026-11-22T08:00:0");
}

static void a_step_that_fails_keeps_its_cursor_if_it_emitted_nothing(void **state)
{
    static const struct step empty[] = {
        {.failure = EAR_RETRY, .message = "later: not now", .sets_cursor = true}};
    static const struct step full[] = {{.items = {SAYS("1", "one")},
                                        .failure = EAR_RETRY,
                                        .message = "later: not now",
                                        .sets_cursor = true}};
    struct bench *bench = *state;
    char *text = NULL;

    assert_int_equal(play(bench, full, 1).outcome, COLLECTOR_LATER);
    assert_int_equal(count_of(bench, "posts"), 0);
    text = standing_of(bench);
    assert_null(strstr(text, "\"cursor\""));
    free(text);
    assert_int_equal(play(bench, empty, 1).outcome, COLLECTOR_LATER);
    assert_standing(bench, "\"cursor\":{\"at\":0,\"vain\":1}");
}

static void what_is_unchanged_is_not_told_again(void **state)
{
    static const struct step steps[] = {{.items = {SAYS("1", "one"), SAYS("2", "two")}}};
    struct bench *bench = *state;
    struct collector_report report;

    (void)play(bench, steps, 1);
    report = play(bench, steps, 1);
    assert_int_equal(report.counts.fresh, 0);
    assert_int_equal(report.counts.unchanged, 2);
    assert_int_equal(count_of(bench, "posts"), 2);
    assert_int_equal(count_of(bench, "audit"), 1);
}

static void edits_and_deletions_are_new_versions(void **state)
{
    static const struct step first[] = {{.items = {SAYS("1", "one"), SAYS("2", "two")}}};
    static const struct step second[] = {{.items = {SAYS("1", "one!"), GONE("2")}}};
    static const struct step third[] = {{.items = {SAYS("2", "two"), GONE("9")}}};
    struct bench *bench = *state;
    struct collector_report report;

    (void)play(bench, first, 1);
    report = play(bench, second, 1);
    assert_int_equal(report.counts.edited, 1);
    assert_int_equal(report.counts.deleted, 1);
    report = play(bench, second, 1);
    assert_int_equal(report.counts.unchanged, 2);
    assert_string_equal(tale_of(bench, "1"), "one|one!");
    assert_string_equal(tale_of(bench, "2"), "two|-");
    /* It may come back; what was never there cannot go. */
    report = play(bench, third, 1);
    assert_int_equal(report.counts.fresh, 1);
    assert_int_equal(report.counts.deleted, 0);
    assert_string_equal(tale_of(bench, "2"), "two|-|two");
    assert_string_equal(tale_of(bench, "9"), "");
}

static void one_step_may_show_an_item_several_times(void **state)
{
    static const struct step steps[] = {
        {.items = {SAYS("1", "one"), SAYS("1", "one"), SAYS("1", "more"), GONE("1"), GONE("1"),
                   SAYS("1", "back")}}};
    struct bench *bench = *state;
    const struct collector_report report = play(bench, steps, 1);

    assert_string_equal(tale_of(bench, "1"), "one|more|-|back");
    assert_int_equal(report.counts.fresh, 2);
    assert_int_equal(report.counts.edited, 1);
    assert_int_equal(report.counts.deleted, 1);
    assert_int_equal(report.counts.unchanged, 2);
}

static void a_poll_goes_on_where_it_failed(void **state)
{
    static const struct step broken[] = {{.items = {SAYS("1", "one")}},
                                         {.items = {SAYS("2", "two")},
                                          .failure = EAR_RETRY,
                                          .message = "no_answer: the line went dead"}};
    static const struct step whole[] = {{.items = {SAYS("0", "never")}},
                                        {.items = {SAYS("2", "two")}}};
    struct bench *bench = *state;
    struct collector_report report = play(bench, broken, 2);

    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_string_equal(report.error, "the line went dead");
    assert_int_equal(report.counts.fresh, 1);
    assert_standing(bench, "\"cursor\":{\"at\":1}");
    assert_standing(bench, "\"state\":\"waiting\"");
    assert_standing(bench, "\"code\":\"no_answer\"");
    script.steps = whole;
    script.again = false;
    report = poll_once(bench);
    assert_int_equal(report.outcome, COLLECTOR_WELL);
    assert_int_equal(count_of(bench, "posts"), 2);
    assert_standing(bench, "\"state\":\"ok\"");
    assert_standing(bench, "\"failures\":0");
}

static void forgotten_posts_and_people_are_passed_over(void **state)
{
    static const struct step steps[] = {{.items = {SAYS("1", "one"), SAYS("2", "two")}}};
    struct bench *bench = *state;
    char author[PSEUDONYM_SIZE];
    char key[HASH128_TEXT_SIZE];
    struct collector_report report;

    hash128_format(key, hash128_of("script:scripted:1", 17));
    put(bench, "forgotten", key, "{\"kind\":\"post\"}");
    report = play(bench, steps, 1);
    assert_int_equal(report.counts.forgotten, 1);
    assert_int_equal(report.counts.fresh, 1);
    assert_string_equal(tale_of(bench, "1"), "");
    pseudonym_of(author, &bench->key, "script", "jo");
    hash128_format(key, hash128_of(author, strlen(author)));
    put(bench, "forgotten", key, "{\"kind\":\"author\"}");
    {
        static const struct step later[] = {{.items = {SAYS("3", "three"), SAYS("2", "two!")}}};

        report = play(bench, later, 1);
    }
    assert_int_equal(report.counts.forgotten, 2);
    assert_int_equal(count_of(bench, "posts"), 1);
}

static void what_is_rejected_is_told_once(void **state)
{
    static const struct step steps[] = {
        {.items = {BROKEN("line 3", "{broken"), SAYS("1", "one"), SAYS("bad\nid", "text"),
                   BROKEN("line 4", "{broken")}}};
    struct bench *bench = *state;
    struct collector_report report = play(bench, steps, 1);
    static struct tale tale;

    assert_int_equal(report.outcome, COLLECTOR_WELL);
    assert_int_equal(report.counts.rejected, 3);
    assert_int_equal(report.counts.fresh, 1);
    read_topic(bench, "rejects", &tale);
    assert_int_equal(tale.count, 3);
    report = play(bench, steps, 1);
    assert_int_equal(report.counts.rejected, 0);
    assert_int_equal(count_of(bench, "rejects"), 3);
}

/* --- drift --- */

/* Polls what is due in a collector that runs on. */
static void turn(struct bench *bench, const struct step steps[], int64_t later_us)
{
    struct ear_error err = {0};

    script.steps = steps;
    bench->clock.shift_us += later_us;
    for (int i = 0; i < 5; i++) {
        check(collector_turn(bench->collector, 1, &err), &err);
    }
}

static void start(struct bench *bench, struct metrics *metrics)
{
    struct ear_error err = {0};
    const struct collector_config config = {
        .settings = bench->settings,
        .sources = &bench->sources,
        .stream = bench->stream,
        .fetch = bench->fetch,
        .rules = bench->rules,
        .metrics = metrics,
        .clock = &bench->clock,
    };

    collector_free(bench->collector);
    bench->collector = NULL;
    check(collector_new(&bench->collector, &config, &err), &err);
}

static void assert_gauge(struct metrics *metrics, int value)
{
    char *text = metrics_text(metrics);
    char line[80];

    (void)snprintf(line, sizeof(line), "earshot_collect_drifting{source=\"scripted\"} %d\n", value);
    assert_non_null(text);
    assert_non_null(strstr(text, line));
    free(text);
}

/* How often `part` was said on stderr, which went to `file`. */
static int said(FILE *file, const char *part)
{
    static char text[16384];
    int count = 0;
    const ssize_t length = pread(fileno(file), text, sizeof(text) - 1, 0);

    assert_true(length >= 0);
    text[length] = '\0';
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void a_source_that_drifts_says_so_once_until_it_is_clean(void **state)
{
    static const struct step worse[] = {
        {.items = {SAYS("1", "one"), BROKEN("a", "{a"), BROKEN("b", "{b")}}};
    static const struct step still[] = {{.items = {SAYS("2", "two"), BROKEN("c", "{c")}}};
    static const struct step clean[] = {{.items = {SAYS("3", "three")}}};
    struct bench *bench = *state;
    struct ear_error err = {0};
    struct metrics *metrics = NULL;
    FILE *file = tmpfile();
    const int stderr_before = dup(STDERR_FILENO);
    char *after = NULL;
    int warned = 0;
    int ended = 0;

    assert_non_null(file);
    assert_true(stderr_before >= 0);
    check(metrics_new(&metrics, &err), &err);
    script.count = 1;
    script.again = true;
    bench->source.every_us = CLOCK_MINUTE_US;
    (void)dup2(fileno(file), STDERR_FILENO);
    start(bench, metrics);
    turn(bench, clean, 0);
    assert_gauge(metrics, 0);
    turn(bench, worse, CLOCK_HOUR_US);
    assert_standing(bench, "\"state\":\"ok\",\"drifting\":true,\"drift_error\":\"2 of 3 records");
    assert_standing(bench, "'bad_json': this is no JSON");
    assert_gauge(metrics, 1);
    turn(bench, still, 9 * CLOCK_MINUTE_US);
    assert_standing(bench, "\"drift_error\":\"3 of 5 records");
    start(bench, metrics); /* it is remembered */
    turn(bench, clean, 9 * CLOCK_MINUTE_US);
    assert_standing(bench, "\"drift_error\":\"3 of 5 records");
    turn(bench, clean, 15 * CLOCK_MINUTE_US);
    after = standing_of(bench);
    assert_null(strstr(after, "drift"));
    free(after);
    assert_gauge(metrics, 0);
    (void)dup2(stderr_before, STDERR_FILENO);
    (void)close(stderr_before);
    warned = said(file, "the source is drifting: 2 of 3 records");
    ended = said(file, "the source no longer drifts");
    (void)fclose(file);
    metrics_free(metrics);
    assert_int_equal(warned, 1);
    assert_int_equal(ended, 1);
}

static void a_useless_page_is_kept_and_the_source_waits(void **state)
{
    static const struct step steps[] = {
        {.url = "/echo", .failure = EAR_REJECT, .message = "bad_json: a page was expected"}};
    struct bench *bench = *state;
    struct collector_report report = play(bench, steps, 1);
    static struct tale tale;

    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_int_equal(report.requests, 1);
    assert_int_equal(report.counts.rejected, 1);
    assert_standing(bench, "\"code\":\"bad_json\"");
    read_topic(bench, "rejects", &tale);
    assert_int_equal(tale.count, 1);
    assert_string_equal(tale.items[0].text, "bad_json");
}

static void answers_decide_what_becomes_of_a_source(void **state)
{
    static const struct {
        const char *url, *code, *standing;
        enum collector_outcome outcome;
    } cases[] = {
        {"/status?code=401", "\"code\":\"auth\"", "\"state\":\"red\"", COLLECTOR_FAILED},
        {"/status?code=403", "\"code\":\"auth\"", "\"state\":\"red\"", COLLECTOR_FAILED},
        {"/status?code=404", "\"code\":\"not_found\"", "\"state\":\"red\"", COLLECTOR_FAILED},
        {"/status?code=410", "\"code\":\"gone\"", "\"state\":\"red\"", COLLECTOR_FAILED},
        {"/status?code=400", "\"code\":\"refused\"", "\"state\":\"red\"", COLLECTOR_FAILED},
        {"/status?code=429&after=1800", "\"next_at\":\"2026-11-22T08:3", "\"state\":\"waiting\"",
         COLLECTOR_LATER},
        {"/status?code=500", "\"code\":\"server\"", "\"state\":\"waiting\"", COLLECTOR_LATER},
        {"/status?code=503", "\"code\":\"server\"", "\"state\":\"waiting\"", COLLECTOR_LATER},
        {"/short", "\"code\":\"no_answer\"", "\"state\":\"waiting\"", COLLECTOR_LATER},
        {"/bomb", "\"code\":\"bomb\"", "\"state\":\"waiting\"", COLLECTOR_LATER},
        {"http://10.0.0.1/", "\"code\":\"forbidden_address\"", "\"state\":\"red\"",
         COLLECTOR_FAILED},
        {"gopher://127.0.0.1/", "\"code\":\"config\"", "\"state\":\"red\"", COLLECTOR_FAILED},
        {"/echo", "\"cursor\":{\"at\":1}", "\"state\":\"ok\"", COLLECTOR_WELL},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct step steps[] = {{.url = cases[i].url, .items = {SAYS("1", "one")}}};
        const struct collector_report report = play(bench, steps, 1);

        if (report.outcome != cases[i].outcome) {
            fail_msg("%s: %s", cases[i].url, report.error);
        }
        assert_int_equal(report.error != NULL, report.outcome != COLLECTOR_WELL);
        assert_standing(bench, cases[i].code);
        assert_standing(bench, cases[i].standing);
    }
    assert_string_equal(tale_of(bench, "1"), "one");
}

static void a_step_that_takes_any_status_gets_it(void **state)
{
    static const struct {
        const char *url;
        int status;
    } cases[] = {{"/status?code=410", 410},
                 {"/status?code=503", 503},
                 {"/short", 0},
                 {"http://10.0.0.1/", 0},
                 {"not a URL", 0}};
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct step steps[] = {{.url = cases[i].url, .any_status = true}};

        script.last_status = -1;
        assert_int_equal(play(bench, steps, 1).outcome, COLLECTOR_WELL);
        assert_int_equal(script.last_status, cases[i].status);
    }
}

static void a_cursor_that_is_not_understood_stops_the_source(void **state)
{
    static const char *const cursors[] = {
        "{\"source\":\"scripted\",\"use\":\"other\",\"state\":\"ok\",\"cursor\":{\"x\":1}}",
        "{\"source\":\"scripted\",\"use\":\"script\",\"state\":\"purple\"}",
        "{\"source\":\"scripted\",\"use\":\"script\",\"state\":\"ok\",\"cursor\":7}",
        "gibberish",
    };
    static const struct step steps[] = {{.items = {SAYS("1", "one")}}};
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        char *after = NULL;
        struct collector_report report;

        put(bench, "cursors", "scripted", cursors[i]);
        report = play(bench, steps, 1);
        assert_int_equal(report.outcome, COLLECTOR_FAILED);
        assert_non_null(strstr(report.error, "cursor: "));
        after = standing_of(bench);
        assert_string_equal(after, cursors[i]);
        free(after);
    }
    assert_int_equal(count_of(bench, "posts"), 0);
}

/* A page is asked for with the marks of the last one that was taken in to its end. */
static void an_unchanged_page_is_not_sent_again(void **state)
{
    static const struct step steps[] = {{.url = "/cached", .items = {SAYS("1", "one")}}};
    static const struct step cut[] = {{.url = "/cached"},
                                      {.failure = EAR_RETRY, .message = "no_answer: cut"}};
    struct bench *bench = *state;

    (void)play(bench, cut, 2);
    assert_int_equal(script.last_status, 200);
    (void)play(bench, steps, 1);
    assert_int_equal(script.last_status, 200);
    assert_standing(bench, "\"etag\":\"\\\"e1\\\"\"");
    for (int i = 0; i < 2; i++) {
        (void)play(bench, steps, 1);
        assert_int_equal(script.last_status, 304);
    }
}

static void the_schedule_is_kept_between_runs(void **state)
{
    static const struct step steps[] = {{.items = {SAYS("1", "one")}}};
    struct bench *bench = *state;
    struct ear_error err = {0};
    struct collector_config config = {
        .settings = bench->settings,
        .sources = &bench->sources,
        .stream = bench->stream,
        .fetch = bench->fetch,
        .rules = bench->rules,
        .clock = &bench->clock,
    };

    (void)play(bench, steps, 1);
    collector_free(bench->collector);
    bench->collector = NULL;
    {
        static const struct step more[] = {{.items = {SAYS("2", "two")}}};

        script.steps = more;
    }
    check(collector_new(&bench->collector, &config, &err), &err);
    for (int i = 0; i < 5; i++) {
        check(collector_turn(bench->collector, 10, &err), &err);
    }
    assert_string_equal(tale_of(bench, "2"), ""); /* not due */
    bench->clock.shift_us += CLOCK_HOUR_US;
    for (int i = 0; i < 5; i++) {
        check(collector_turn(bench->collector, 10, &err), &err);
    }
    assert_string_equal(tale_of(bench, "2"), "two");
}

static void a_spent_budget_ends_the_poll_where_it_is_and_it_goes_on_later(void **state)
{
    static const struct step steps[] = {{.url = "/echo", .items = {SAYS("1", "one")}},
                                        {.url = "/echo", .items = {SAYS("2", "two")}},
                                        {.url = "/echo", .items = {SAYS("3", "three")}},
                                        {.items = {SAYS("4", "four")}}};
    const struct fetch_limit limit = {.units = 2, .per_us = CLOCK_HOUR_US};
    const struct fetch_budget budget = {"scripted.example", &limit, 1, 1};
    struct bench *bench = *state;
    struct collector_report report;

    script.steps = steps;
    script.count = 4;
    script.budget = &budget;
    report = poll_once(bench);
    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_non_null(strstr(report.error, "budget"));
    assert_int_equal(report.requests, 2);
    assert_int_equal(report.counts.fresh, 2);
    assert_standing(bench, "\"cursor\":{\"at\":2}");
    assert_standing(bench, "\"state\":\"ok\""); /* nobody failed */
    assert_standing(bench, "\"next_at\":\"2026-11-22T09:0");
    assert_standing(bench, "\"later\":\"the budget of requests is spent");
    assert_standing(bench, "\"quota_left\":0");
    report = poll_once(bench); /* still not */
    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_int_equal(report.requests, 0);
    bench->clock.shift_us += CLOCK_HOUR_US + 2 * CLOCK_MINUTE_US;
    report = poll_once(bench);
    assert_int_equal(report.outcome, COLLECTOR_WELL);
    assert_null(report.error);
    assert_int_equal(report.counts.fresh, 2);
    assert_standing(bench, "\"cursor\":{\"at\":4}");
    assert_string_equal(tale_of(bench, "4"), "four");
}

/* `once` means to the newest: what comes by itself within the deadline is waited for. */
static void once_waits_for_what_comes_later_by_itself(void **state)
{
    static const struct step steps[] = {
        {.items = {SAYS("1", "one")}},
        {.later_us = 50 * CLOCK_SECOND_US / 1000, .items = {SAYS("2", "two")}}};
    struct bench *bench = *state;
    struct ear_error err = {0};
    struct collector_config config = {
        .settings = bench->settings,
        .sources = &bench->sources,
        .stream = bench->stream,
        .fetch = bench->fetch,
        .rules = bench->rules,
        .clock = &bench->clock,
        .once = true,
        .once_until_mono_us = clock_mono_us() + CLOCK_MINUTE_US,
    };
    struct collector_report report;
    const int64_t began_us = clock_mono_us();

    script.steps = steps;
    script.count = 2;
    script.laters = 3;
    check(collector_new(&bench->collector, &config, &err), &err);
    while (collector_is_busy(bench->collector)) {
        check(collector_turn(bench->collector, 10, &err), &err);
    }
    report = collector_report_at(bench->collector, 0);
    assert_int_equal(report.outcome, COLLECTOR_WELL);
    assert_int_equal(report.counts.fresh, 2);
    assert_true(clock_mono_us() - began_us >= 3 * 50 * CLOCK_SECOND_US / 1000);
    collector_free(bench->collector);
    bench->collector = NULL;

    script.laters = 1; /* but not beyond it */
    script.again = true;
    config.once_until_mono_us = clock_mono_us() + 20 * CLOCK_SECOND_US / 1000;
    check(collector_new(&bench->collector, &config, &err), &err);
    while (collector_is_busy(bench->collector)) {
        check(collector_turn(bench->collector, 10, &err), &err);
    }
    report = collector_report_at(bench->collector, 0);
    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_string_equal(report.error, "its token is being fetched");
}

/* A request stands in the queue when it turns out that there is nothing to wait for. */
static void a_budget_that_ends_while_a_request_waits_ends_the_poll_too(void **state)
{
    static const struct step steps[] = {{.url = "/echo", .items = {SAYS("1", "one")}},
                                        {.url = "/echo", .items = {SAYS("2", "two")}}};
    const struct fetch_limit limit = {.units = 1, .per_us = 20 * CLOCK_SECOND_US};
    const struct fetch_budget budget = {"scripted.example", &limit, 1, 1};
    struct bench *bench = *state;
    struct ear_error err = {0};
    struct collector_config config = {
        .settings = bench->settings,
        .sources = &bench->sources,
        .stream = bench->stream,
        .fetch = bench->fetch,
        .rules = bench->rules,
        .clock = &bench->clock,
        .once = true,
    };
    struct collector_report report;

    script.steps = steps;
    script.count = 2;
    script.budget = &budget;
    check(collector_new(&bench->collector, &config, &err), &err);
    while (collector_report_at(bench->collector, 0).counts.fresh == 0) {
        check(collector_turn(bench->collector, 10, &err), &err);
    }
    check(collector_turn(bench->collector, 10, &err), &err);
    assert_true(collector_is_busy(bench->collector));
    assert_int_equal(fetch_pending(bench->fetch), 1);
    fetch_budget_rest(bench->fetch, &budget, CLOCK_HOUR_US); /* as after another source's 429 */
    while (collector_is_busy(bench->collector)) {
        check(collector_turn(bench->collector, 10, &err), &err);
    }
    report = collector_report_at(bench->collector, 0);
    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_int_equal(report.requests, 1);
    assert_standing(bench, "\"cursor\":{\"at\":1}");
    assert_standing(bench, "\"state\":\"ok\"");
    assert_standing(bench, "\"next_at\":\"2026-11-22T09:00:");
}

static void polls_that_share_a_budget_come_as_often_as_it_grants(void **state)
{
    static const struct step steps[] = {{.url = "/echo"}, {.url = "/echo"}};
    const struct fetch_limit limit = {.units = 24, .per_us = 24 * CLOCK_HOUR_US};
    const struct fetch_budget budget = {"scripted.example", &limit, 1, 1};
    struct bench *bench = *state;

    script.steps = steps;
    script.count = 2;
    script.again = true;
    script.budget = &budget;
    (void)poll_once(bench); /* two requests a poll, one an hour: about 1.3 h after the first */
    assert_standing(bench, "\"next_at\":\"2026-11-22T09:1");
}

/* A log that is nearly full: collecting pauses, and goes on when there is room. */
static void a_full_log_pauses_the_collector(void **state)
{
    static const struct step steps[] = {{.items = {SAYS("1", "one")}}};
    struct bench *bench = *state;
    struct ear_error err = {0};
    char *bulk = calloc(1, 60001);
    struct collector_report report;
    char key[32];

    assert_non_null(bulk);
    memset(bulk, 'x', 60000);
    stream_close(bench->stream);
    bench->stream = NULL;
    remove_folder(bench->folder);
    bench->settings->stream_size_bytes = INT64_C(8) << 20;
    check(settings_open_stream(&bench->stream, bench->settings, false, &err), &err);
    for (int i = 0; stream_fullness(bench->stream) < 0.9; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        put(bench, "decisions", key, bulk);
    }
    report = play(bench, steps, 1);
    assert_int_equal(report.outcome, COLLECTOR_LATER);
    assert_non_null(strstr(report.error, "log is nearly full"));
    assert_int_equal(report.counts.fresh, 0);
    assert_int_equal(count_of(bench, "posts"), 0);
    free(bulk);
}

/* --- death at any point --- */

static const struct step storm[] = {
    {.items = {SAYS("1", "one"), SAYS("2", "two"), BROKEN("bad", "{")}},
    {.url = "/echo", .items = {SAYS("1", "one!"), SAYS("3", "three")}},
    {.url = "/echo", .items = {GONE("2"), SAYS("4", "four"), SAYS("4", "four!")}},
    {.url = "/status?code=404", .any_status = true, .items = {GONE("3")}},
    {.url = "/echo", .items = {SAYS("1", "one!!"), SAYS("2", "two")}},
};

static const struct {
    const char *id, *tale;
} storm_tales[] = {
    {"1", "one|one!|one!!"}, {"2", "two|-|two"}, {"3", "three|-"}, {"4", "four|four!"}};

/* The child: the storm, from wherever the log stands, to its end. */
static int run_storm(const char *folder, const char *base)
{
    struct bench bench = {0};
    struct collector_report report;

    open_bench(&bench, folder);
    script.steps = storm;
    script.count = sizeof(storm) / sizeof(storm[0]);
    (void)snprintf(script.base, sizeof(script.base), "%s", base);
    report = poll_once(&bench);
    close_bench(&bench);
    return report.outcome == COLLECTOR_WELL ? 0 : 75;
}

/* Runs the child with a point set ("": none). Returns its status as waitpid gives it. */
static int run_child(const char *folder, const char *point)
{
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        setenv("EARSHOT_KILL_POINT", point, 1); /* NOLINT: one thread */
        if (*point == '\0') {
            unsetenv("EARSHOT_KILL_POINT"); /* NOLINT */
        }
        execl(BUILD_DIR "/tests/test_collector", "test_collector", folder, script.base,
              (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Kills the child at the n-th pass of a point, lets it finish, and looks at the log. Returns
 * whether the point was passed so often. */
static bool survive(const char *point, int pass, const char *action)
{
    char folder[] = "/tmp/earshot-test-XXXXXX";
    char setting[128];
    struct bench bench = {0};
    static struct tale tale;
    int status = 0;
    bool reached = false;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(setting, sizeof(setting), "%s:%d:%s", point, pass, action);
    status = run_child(folder, setting);
    reached = WIFSIGNALED(status) || WEXITSTATUS(status) == 75;
    assert_true(reached || status == 0);
    status = run_child(folder, "");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    open_bench(&bench, folder);
    for (size_t i = 0; i < sizeof(storm_tales) / sizeof(storm_tales[0]); i++) {
        assert_string_equal(tale_of(&bench, storm_tales[i].id), storm_tales[i].tale);
    }
    read_topic(&bench, "rejects", &tale);
    assert_int_equal(tale.count, 1);
    assert_standing(&bench, "\"cursor\":{\"at\":5}");
    close_bench(&bench);
    remove_folder(folder);
    return reached;
}

static void a_death_at_any_point_loses_and_doubles_nothing(void **state)
{
    static const char *const points[] = {"collect.before-fetch", "collect.after-fetch",
                                         "collect.after-step",   "collect.before-commit",
                                         "collect.after-commit", "stream.before-commit",
                                         "stream.after-commit"};
    (void)state;
#ifndef EARSHOT_TEST_POINTS
    skip();
#endif
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        int pass = 1;

        while (survive(points[i], pass, "kill")) {
            pass++;
        }
        assert_true(pass > 2); /* it was passed at all */
    }
}

static void a_log_that_takes_nothing_loses_and_doubles_nothing(void **state)
{
    int pass = 1;

    (void)state;
#ifndef EARSHOT_TEST_POINTS
    skip();
#endif
    while (survive("collect.before-commit", pass, "enospc")) {
        pass++;
    }
    assert_true(pass > 2); /* how many steps share a commit depends on how quick they are */
}

static int start_server(void **state)
{
    (void)state;
    the_server = hostile_start();
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    hostile_stop(the_server);
    return 0;
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(new_posts_come_with_seen_audit_and_cursor),
        CASE(a_step_that_fails_keeps_its_cursor_if_it_emitted_nothing),
        CASE(what_is_unchanged_is_not_told_again),
        CASE(edits_and_deletions_are_new_versions),
        CASE(one_step_may_show_an_item_several_times),
        CASE(a_poll_goes_on_where_it_failed),
        CASE(forgotten_posts_and_people_are_passed_over),
        CASE(what_is_rejected_is_told_once),
        CASE(a_source_that_drifts_says_so_once_until_it_is_clean),
        CASE(a_useless_page_is_kept_and_the_source_waits),
        CASE(answers_decide_what_becomes_of_a_source),
        CASE(a_step_that_takes_any_status_gets_it),
        CASE(a_cursor_that_is_not_understood_stops_the_source),
        CASE(an_unchanged_page_is_not_sent_again),
        CASE(the_schedule_is_kept_between_runs),
        CASE(a_spent_budget_ends_the_poll_where_it_is_and_it_goes_on_later),
        CASE(once_waits_for_what_comes_later_by_itself),
        CASE(a_budget_that_ends_while_a_request_waits_ends_the_poll_too),
        CASE(polls_that_share_a_budget_come_as_often_as_it_grants),
        CASE(a_full_log_pauses_the_collector),
        CASE(a_death_at_any_point_loses_and_doubles_nothing),
        CASE(a_log_that_takes_nothing_loses_and_doubles_nothing),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    if (argc == 3) {
        return run_storm(argv[1], argv[2]);
    }
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
