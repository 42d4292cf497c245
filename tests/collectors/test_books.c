/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completeness and walks into the past, by a collector on a real local log, with a reader that has
 * an archive of pages: what the books say after good and bad days, that a walk brings every post
 * once, makes way for ordinary polls, outlives its collector, and leaves their cursor alone.
 */

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/collector.h"
#include "collectors/fetch/fetch.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/json/json.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

#define NOW INT64_C(1795334400000000) /* 2026-11-22T08:00:00Z */

enum { PAGES = 30, PAGE_POSTS = 5, EACH_MAX = 512 };

/* --- the archive: page 0 is the newest; a post an hour --- */

static struct archive {
    int newest;                /* posts that there are; the newest has this number */
    int64_t step_pause_us;     /* how long a step of a walk takes */
    int ordinary, walks;       /* polls that began */
    int pages_walked;          /* by walks */
    const char *gap;           /* told by the next ordinary poll; NULL: none */
    enum ear_error_kind fails; /* the next ordinary polls fail so */
    const char *why;
} archive;

struct reading {
    int64_t since_us;
    int64_t at, past,
        to_us; /* what the cursor says: the newest post read, the walk's page and end */
};

static int64_t number_after(const char *text, const char *key)
{
    const char *at = text == NULL ? NULL : strstr(text, key);

    return at == NULL ? 0 : strtoll(at + strlen(key), NULL, 10);
}

static int begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    struct reading *reading = calloc(1, sizeof(*reading));

    (void)err;
    assert_non_null(reading);
    reading->since_us = poll->backfill_since_us;
    reading->at = number_after(poll->cursor, "\"at\":");
    reading->past = number_after(poll->cursor, "\"past\":");
    reading->to_us = number_after(poll->cursor, "\"to\":");
    if (reading->since_us != 0 && reading->to_us != reading->since_us) {
        reading->past = 0;
        reading->to_us = reading->since_us;
    }
    archive.walks += reading->since_us != 0 ? 1 : 0;
    archive.ordinary += reading->since_us != 0 ? 0 : 1;
    *out = reading;
    return 0;
}

static int64_t said_at(int number)
{
    return NOW - (int64_t)(archive.newest - number) * CLOCK_HOUR_US;
}

static int tell(const struct source_output *output, int number, struct ear_error *err)
{
    char id[16];
    char text[32];
    struct source_record record = {
        .native_id = id,
        .text = text,
        .author_id = "jo",
        .created_us = said_at(number),
        .edited_us = INT64_MIN,
        .rating = -1,
        .likes = -1,
        .replies = -1,
        .shares = -1,
        .views = -1,
    };

    (void)snprintf(id, sizeof(id), "%d", number);
    (void)snprintf(text, sizeof(text), "post %d", number);
    record.text_length = strlen(text);
    return output->emit(output->user, &record, err);
}

static int tell_page(const struct source_output *output, int page, struct ear_error *err)
{
    for (int i = 0; i < PAGE_POSTS; i++) {
        const int number = archive.newest - page * PAGE_POSTS - i;

        if (number > 0 && tell(output, number, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int keep(const struct reading *reading, const struct source_output *output,
                struct ear_error *err)
{
    char cursor[96];

    (void)snprintf(cursor, sizeof(cursor), "{\"at\":%lld,\"past\":%lld,\"to\":%lld}",
                   (long long)reading->at, (long long)reading->past, (long long)reading->to_us);
    return output->cursor(output->user, cursor, strlen(cursor), err);
}

static int walk(struct reading *reading, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    const int page = (int)reading->past++;
    const bool done =
        page == PAGES - 1 || said_at(archive.newest - (page + 1) * PAGE_POSTS) < reading->since_us;

    usleep((useconds_t)archive.step_pause_us);
    archive.pages_walked++;
    turn->next = done ? SOURCE_DONE : SOURCE_MORE;
    if (done) {
        reading->past = 0;
        reading->to_us = 0;
    }
    return tell_page(output, page, err) != 0 ? -1 : keep(reading, output, err);
}

static int step(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    struct reading *reading = state;

    (void)answer;
    if (reading->since_us != 0) {
        return walk(reading, output, turn, err);
    }
    if (archive.fails != EAR_NONE) {
        return ear_fail(err, archive.fails, "%s", archive.why);
    }
    if (archive.gap != NULL) {
        if (output->gap(output->user, NOW - CLOCK_DAY_US, NOW - CLOCK_HOUR_US, archive.gap, err) !=
            0) {
            return -1;
        }
        archive.gap = NULL;
    }
    reading->at = archive.newest;
    turn->next = SOURCE_DONE;
    return tell_page(output, 0, err) != 0 ? -1 : keep(reading, output, err);
}

static const struct source_reader archive_reader = {
    .name = "archive",
    .about = "pages of an archive",
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
    struct pseudonym_key key;
    struct clock clock;
    struct settings_source source;
    struct source_entry entry;
    struct sources sources;
    struct collector *collector;
};

static void check(int result, const struct ear_error *err)
{
    if (result != 0) {
        fail_msg("%s", err->message);
    }
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    struct ear_error err = {0};
    const struct fetch_config fetching = {
        .body_limit_bytes = 1 << 20,
        .total_timeout_us = 10 * CLOCK_SECOND_US,
        .slow_timeout_us = 5 * CLOCK_SECOND_US,
        .concurrent = 10,
        .host_concurrent = 4,
        .host_rate_per_s = 10,
        .user_agent = "earshot-test/1",
    };

    assert_non_null(bench);
    (void)snprintf(bench->folder, sizeof(bench->folder), "/tmp/earshot-books-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    archive = (struct archive){.newest = PAGES * PAGE_POSTS};
    check(settings_load(&bench->settings, NULL, bench->folder, ".", &err), &err);
    check(settings_open_stream(&bench->stream, bench->settings, false, &err), &err);
    check(fetch_open(&bench->fetch, &fetching, &err), &err);
    memset(bench->key.bytes, 1, sizeof(bench->key.bytes));
    check(post_rules_new(&bench->rules, bench->settings, &bench->key, &err), &err);
    check(clock_init(&bench->clock, "2026-11-22T08:00:00Z", &err), &err);
    bench->source = (struct settings_source){
        .name = "forum", .use = "archive", .every_us = 10 * CLOCK_MINUTE_US};
    bench->entry = (struct source_entry){.source = &bench->source, .reader = &archive_reader};
    bench->sources = (struct sources){.items = &bench->entry, .count = 1};
    *state = bench;
    return 0;
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);

    for (struct dirent *each = dir == NULL ? NULL : readdir(dir); /* NOLINT: one thread */
         each != NULL; each = readdir(dir)) {                     /* NOLINT */
        char path[512];

        if (each->d_name[0] == '.') {
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

static int tear_down(void **state)
{
    struct bench *bench = *state;

    collector_free(bench->collector);
    post_rules_free(bench->rules);
    fetch_close(bench->fetch);
    stream_close(bench->stream);
    settings_free(bench->settings);
    remove_folder(bench->folder);
    free(bench);
    return 0;
}

static void start(struct bench *bench, bool once, const char *only)
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
        .once = once,
        .only = only,
    };

    collector_free(bench->collector);
    bench->collector = NULL;
    check(collector_new(&bench->collector, &config, &err), &err);
}

static void poll_once(struct bench *bench, const char *at)
{
    struct ear_error err = {0};

    check(clock_init(&bench->clock, at, &err), &err);
    start(bench, true, NULL);
    while (collector_is_busy(bench->collector)) {
        check(collector_turn(bench->collector, 1000, &err), &err);
    }
}

static void turn(struct bench *bench, int timeout_ms)
{
    struct ear_error err = {0};

    check(collector_turn(bench->collector, timeout_ms, &err), &err);
}

static void errand(struct bench *bench, const char *at, const char *since)
{
    struct ear_error err = {0};
    struct stream_transaction *transaction = NULL;
    char text[256];

    (void)snprintf(text, sizeof(text), "{\"source\":\"forum\",\"at\":\"%s\"%s%s%s}", at,
                   since == NULL ? "" : ",\"backfill_since\":\"", since == NULL ? "" : since,
                   since == NULL ? "" : "\"");
    check(stream_begin(&transaction, bench->stream, &err), &err);
    check(stream_publish(transaction, "errands", "forum", 5, text, strlen(text), NOW, &err), &err);
    check(stream_commit(transaction, &err), &err);
}

static char *standing_of(struct bench *bench)
{
    struct ear_error err = {0};
    char *text = NULL;
    size_t length = 0;

    assert_int_equal(stream_lookup(bench->stream, "cursors", "forum", 5, &text, &length, &err), 1);
    return text;
}

static bool stands(struct bench *bench, const char *part)
{
    char *text = standing_of(bench);
    const bool there = strstr(text, part) != NULL;

    free(text);
    return there;
}

static void assert_stands(struct bench *bench, const char *part)
{
    char *text = standing_of(bench);

    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }
    free(text);
}

/* How often each post was published; returns how many there are at all. */
static size_t posts_of(struct bench *bench, int times[EACH_MAX])
{
    struct ear_error err = {0};
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    size_t count = 0;

    memset(times, 0, EACH_MAX * sizeof(*times));
    check(stream_follow(&reader, bench->stream, "posts", INT64_MIN, &err), &err);
    do {
        check(stream_read(reader, &batch, 1000, 1 << 20, 0, &err), &err);
        for (size_t i = 0; i < batch.count; i++) {
            const long number = strtol(strrchr(batch.messages[i].key, ':') + 1, NULL, 10);

            assert_in_range(number, 1, EACH_MAX - 1);
            times[number]++;
            count++;
        }
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    return count;
}

static void assert_all_once(struct bench *bench)
{
    int times[EACH_MAX];

    assert_int_equal(posts_of(bench, times), archive.newest);
    for (int i = 1; i <= archive.newest; i++) {
        assert_int_equal(times[i], 1);
    }
}

/* --- the tests --- */

static void polls_planned_and_made_stand_where_the_source_stands(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    assert_stands(bench, "\"hours\":[{\"hour\":\"2026-11-22T08:00:00Z\",\"planned\":1,\"made\":1,"
                         "\"posts\":5}]");
    poll_once(bench, "2026-11-22T08:10:00Z");
    assert_stands(bench, "\"planned\":2,\"made\":2,\"posts\":5}]");
    assert_false(stands(bench, "\"gaps\""));
}

static void only_posts_of_a_source_known_before_count_for_freshness(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    assert_false(stands(bench, "\"ages\""));
    archive.newest++; /* said at 08:00, seen at 08:10: 600 s, bucket 10 */
    poll_once(bench, "2026-11-22T08:10:00Z");
    assert_stands(bench, "\"posts\":6,\"ages\":[0,0,0,0,0,0,0,0,0,0,1]}]");
}

static void a_gap_that_the_reader_tells_is_kept_with_its_reason(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    archive.gap = "10 pages are all that the server gives";
    poll_once(bench, "2026-11-22T08:10:00Z");
    assert_stands(bench, "\"gaps\":[{\"kind\":\"gap\",\"from\":\"2026-11-21T08:00:00Z\","
                         "\"to\":\"2026-11-22T07:00:00Z\",\"found\":\"2026-11-22T08:1");
    assert_stands(bench, "\"why\":\"10 pages are all that the server gives\"}]");
    assert_stands(bench, "\"gaps\":1");
    poll_once(bench, "2026-11-22T08:20:00Z"); /* and stays */
    assert_stands(bench, "10 pages are all that the server gives");
}

static void three_days_without_a_collector_are_one_stretch(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    archive.newest += 3;
    poll_once(bench, "2026-11-25T08:00:00Z");
    assert_stands(bench, "\"gaps\":[{\"kind\":\"away\",\"from\":\"2026-11-22T08:");
    assert_stands(bench, "\"to\":\"2026-11-25T08:00:00");
    assert_stands(bench, "nobody asked");
    assert_stands(bench, "\"hours\":[{\"hour\":\"2026-11-25T08:00:00Z\",\"planned\":1,\"made\":1");
}

static void a_source_that_refuses_is_not_our_absence(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    archive.fails = EAR_CONFIG;
    archive.why = "auth: the key is refused";
    poll_once(bench, "2026-11-22T08:10:00Z");
    assert_stands(bench, "\"failed\":1");
    archive.fails = EAR_NONE;
    poll_once(bench, "2026-11-23T05:00:00Z"); /* red: asked again after about a day */
    assert_stands(bench, "\"kind\":\"refused\"");
    assert_stands(bench, "\"why\":\"the key is refused\"");
    assert_false(stands(bench, "\"away\""));
}

static void a_walk_brings_every_post_once_and_leaves_the_cursor(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    errand(bench, "2026-11-22T08:01:00Z", "1971-01-01T00:00:00Z");
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 100);
    }
    assert_all_once(bench);
    assert_int_equal(archive.walks, 1);
    assert_stands(bench, "\"cursor\":{\"at\":150,\"past\":0,\"to\":0}");
    assert_stands(bench, "\"posts\":145,\"requests\":0}"); /* those of the first page are known */
    assert_stands(bench, "\"done_at\":\"2026-11-22T08:0");
    assert_stands(bench, "\"reached\":\"2026-11-16T03:00:00Z\"");
    assert_false(stands(bench, "\"ages\"")); /* the past says nothing of freshness */
}

static void a_walk_ends_where_it_was_asked_to(void **state)
{
    struct bench *bench = *state;
    int times[EACH_MAX];

    poll_once(bench, "2026-11-22T08:00:00Z");
    errand(bench, "2026-11-22T08:01:00Z", "2026-11-21T08:00:00Z"); /* 24 posts back */
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 100);
    }
    assert_int_equal(posts_of(bench, times), 25);
    assert_int_equal(archive.pages_walked, 5);
}

static void a_walk_makes_way_for_ordinary_polls(void **state)
{
    struct bench *bench = *state;
    int ordinary = 0;

    bench->source.every_us = CLOCK_SECOND_US;
    archive.step_pause_us = 100000;
    poll_once(bench, "2026-11-22T08:00:00Z");
    errand(bench, "2026-11-22T08:01:00Z", "1971-01-01T00:00:00Z");
    ordinary = archive.ordinary;
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 10);
    }
    assert_all_once(bench);
    assert_true(archive.ordinary - ordinary >= 2); /* three seconds' walk */
    assert_true(archive.walks >= 2);
    assert_int_equal(archive.pages_walked, PAGES); /* none twice */
}

static void a_walk_goes_on_in_another_collector(void **state)
{
    struct bench *bench = *state;

    poll_once(bench, "2026-11-22T08:00:00Z");
    errand(bench, "2026-11-22T08:01:00Z", "1971-01-01T00:00:00Z");
    archive.step_pause_us = 40000;
    for (int rounds = 0; rounds < 4; rounds++) {
        const int walked = archive.pages_walked;

        start(bench, false, NULL); /* the last one is gone without a word */
        while (archive.pages_walked < walked + 4) {
            turn(bench, 10);
        }
    }
    assert_false(stands(bench, "\"done_at\""));
    archive.step_pause_us = 0;
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 100);
    }
    assert_all_once(bench);
    assert_stands(bench, "\"done_at\"");
    assert_int_equal(archive.walks, 5);
    assert_in_range(archive.pages_walked, PAGES, PAGES + 4 * 4); /* at most an open group again */
}

static void a_walk_can_be_stopped_and_another_asked_for(void **state)
{
    struct bench *bench = *state;

    archive.step_pause_us = 20000;
    poll_once(bench, "2026-11-22T08:00:00Z");
    errand(bench, "2026-11-22T08:01:00Z", "1971-01-01T00:00:00Z");
    start(bench, false, NULL);
    while (archive.pages_walked < 3) {
        turn(bench, 10);
    }
    errand(bench, "2026-11-22T08:02:00Z", NULL);
    for (int i = 0; i < 100 && stands(bench, "\"since\""); i++) {
        turn(bench, 50);
    }
    assert_false(stands(bench, "\"since\""));
    errand(bench, "2026-11-22T08:03:00Z", "1971-01-01T00:00:00Z");
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 100);
    }
    assert_all_once(bench);
}

/* A source that was never seen is first polled as usual. */
static void a_walk_waits_for_the_first_sight(void **state)
{
    struct bench *bench = *state;

    errand(bench, "2026-11-22T08:01:00Z", "1971-01-01T00:00:00Z");
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 100);
    }
    assert_all_once(bench);
    assert_int_equal(archive.ordinary, 1);
}

/* What was forgotten is never brought back: not by an ordinary poll, not by a walk. */
static void a_walk_brings_nothing_back_that_was_forgotten(void **state)
{
    struct bench *bench = *state;
    struct ear_error err = {0};
    struct stream_transaction *transaction = NULL;
    char key[HASH128_TEXT_SIZE];
    const char id[] = "archive:forum:77";
    int times[EACH_MAX];

    poll_once(bench, "2026-11-22T08:00:00Z");
    hash128_format(key, hash128_of(id, strlen(id)));
    check(stream_begin(&transaction, bench->stream, &err), &err);
    check(stream_publish(transaction, "forgotten", key, strlen(key), "{\"kind\":\"post\"}", 15, NOW,
                         &err),
          &err);
    check(stream_commit(transaction, &err), &err);
    errand(bench, "2026-11-22T08:01:00Z", "1971-01-01T00:00:00Z");
    start(bench, false, "forum");
    while (collector_is_busy(bench->collector)) {
        turn(bench, 100);
    }
    assert_int_equal(posts_of(bench, times), archive.newest - 1);
    assert_int_equal(times[77], 0);
}

/* How many entries of `seen` were last written at that instant or in the second after it. */
static size_t written_at(struct bench *bench, int64_t at_us)
{
    struct ear_error err = {0};
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    size_t count = 0;

    check(stream_follow(&reader, bench->stream, "seen", INT64_MIN, &err), &err);
    do {
        check(stream_read(reader, &batch, 1000, 1 << 20, 0, &err), &err);
        for (size_t i = 0; i < batch.count; i++) {
            const int64_t at_s = number_after(batch.messages[i].value, "\"at\":");

            count += at_s == at_us / CLOCK_SECOND_US || at_s == at_us / CLOCK_SECOND_US + 1 ? 1 : 0;
        }
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    return count;
}

/* What a source goes on showing is remembered for as long: written anew once a month, told once. */
static void what_is_shown_for_long_is_not_told_again(void **state)
{
    struct bench *bench = *state;
    int times[EACH_MAX];

    poll_once(bench, "2026-11-22T08:00:00Z");
    assert_int_equal(written_at(bench, NOW), PAGE_POSTS);
    poll_once(bench, "2026-12-15T08:00:00Z");
    assert_int_equal(written_at(bench, NOW + 23 * CLOCK_DAY_US), 0);
    poll_once(bench, "2026-12-25T08:00:00Z");
    assert_int_equal(written_at(bench, NOW + 33 * CLOCK_DAY_US), PAGE_POSTS);
    poll_once(bench, "2026-12-26T08:00:00Z");
    assert_int_equal(written_at(bench, NOW + 34 * CLOCK_DAY_US), 0);
    assert_int_equal(posts_of(bench, times), 0); /* gone by age, and none came anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BOOK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        BOOK(polls_planned_and_made_stand_where_the_source_stands),
        BOOK(only_posts_of_a_source_known_before_count_for_freshness),
        BOOK(a_gap_that_the_reader_tells_is_kept_with_its_reason),
        BOOK(three_days_without_a_collector_are_one_stretch),
        BOOK(a_source_that_refuses_is_not_our_absence),
        BOOK(a_walk_brings_every_post_once_and_leaves_the_cursor),
        BOOK(a_walk_ends_where_it_was_asked_to),
        BOOK(a_walk_makes_way_for_ordinary_polls),
        BOOK(a_walk_goes_on_in_another_collector),
        BOOK(a_walk_can_be_stopped_and_another_asked_for),
        BOOK(a_walk_waits_for_the_first_sight),
        BOOK(a_walk_brings_nothing_back_that_was_forgotten),
        BOOK(what_is_shown_for_long_is_not_told_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
