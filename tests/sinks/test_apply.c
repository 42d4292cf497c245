/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/hash.h"
#include "tests/sinks/tape.h"

#define HOUR CLOCK_HOUR_US
#define DAY CLOCK_DAY_US
#define WISH "\"wish\":0.9,\"labels\":[\"wish\"]"
#define COMPLAINT "\"complaint\":0.8,\"labels\":[\"complaint\"]"

static void assert_text(struct shelf *shelf, const char *id, const char *text)
{
    struct ear_error err = {0};
    struct hash128 hash = hash128_of(id, strlen(id));
    struct store_value values[] = {store_blob(hash.bytes, sizeof hash.bytes)};
    int64_t row = 0;
    bool found = false;
    struct store_rows *rows = NULL;

    assert_int_equal(
        store_ask_integer(&row, &found, shelf->store, QUERY_INSIGHT_FIND, values, 1, &err), 0);
    assert_int_equal(found, text != NULL);
    if (text == NULL) {
        return;
    }
    values[0] = store_integer(row);
    assert_int_equal(store_select(&rows, shelf->store, QUERY_INSIGHT_SHOW, values, 1, &err), 0);
    assert_int_equal(store_next(rows, &err), 1);
    assert_string_equal(store_get_text(rows, 4, NULL), text);
    store_rows_end(rows);
}

static void the_later_version_and_then_model_wins(void **state)
{
    static const struct {
        const char *what;
        int64_t versions[2];
        const char *models[2];
        const char *stays;
    } cases[] = {
        {"a later version", {10, 20}, {"m1", "m1"}, "second"},
        {"an older version", {20, 10}, {"m1", "m2"}, "first"},
        {"a later model of the same version", {10, 10}, {"m1", "m2"}, "second"},
        {"an older model of the same version", {10, 10}, {"m2", "m1"}, "first"},
        {"the same again", {10, 10}, {"m1", "m1"}, "second"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tape tape = {0};
        struct shelf shelf = {0};

        shelf_open(&shelf);
        tape_post(&tape, "f:h:1", cases[i].versions[0], cases[i].models[0], "s", "a", "first", HOUR,
                  "");
        tape_post(&tape, "f:h:1", cases[i].versions[1], cases[i].models[1], "s", "a", "second",
                  HOUR, "");
        shelf_apply_all(&shelf, &tape, 1);
        assert_text(&shelf, "f:h:1", cases[i].stays);
        assert_int_equal(shelf_number(&shelf, QUERY_FACT_COUNT), 1);
        shelf_close(&shelf);
        tape_clear(&tape);
    }
}

/* Each case: messages about one post, and the text that stays (NULL: none). */
static void what_was_deleted_or_dropped_returns_only_with_something_newer(void **state)
{
    static const char deleted[] =
        "{\"id\":\"f:h:1\",\"source\":\"s\",\"version\":20,\"deleted\":true}";
    static const char dropped[] =
        "{\"id\":\"f:h:1\",\"version\":20,\"model\":\"m2\",\"dropped\":true}";
    static const struct {
        const char *what;
        int64_t before;
        const char *takes;
        int64_t after;
        const char *after_model;
        bool stays;
    } cases[] = {
        {"deleted", 10, deleted, 0, "", false},
        {"deleted, then an older version", 10, deleted, 15, "m9", false},
        {"deleted, then the same version by a later model", 10, deleted, 20, "m9", false},
        {"deleted, then a later version", 10, deleted, 21, "m1", true},
        {"deleted before it came", 0, deleted, 10, "m1", false},
        {"a newer version, then an older deletion", 30, deleted, 0, "", true},
        {"dropped", 20, dropped, 0, "", false},
        {"dropped, then an older model", 20, dropped, 20, "m1", false},
        {"dropped, then the same model", 20, dropped, 20, "m2", true},
        {"dropped, then a later model", 20, dropped, 20, "m3", true},
        {"dropped, then a later version", 20, dropped, 21, "m1", true},
        {"a newer version, then an older drop", 30, dropped, 0, "", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tape tape = {0};
        struct shelf shelf = {0};

        shelf_open(&shelf);
        if (cases[i].before != 0) {
            tape_post(&tape, "f:h:1", cases[i].before, "m1", "s", "a", "text", HOUR, WISH);
        }
        tape_add(&tape, "insights", "f:h:1", "%s", cases[i].takes);
        if (cases[i].after != 0) {
            tape_post(&tape, "f:h:1", cases[i].after, cases[i].after_model, "s", "a", "text", HOUR,
                      WISH);
        }
        shelf_apply_all(&shelf, &tape, i % 2 == 0 ? 1 : 10);
        assert_text(&shelf, "f:h:1", cases[i].stays ? "text" : NULL);
        assert_int_equal(shelf_number(&shelf, QUERY_FACT_COUNT), cases[i].stays ? 2 : 0);
        shelf_close(&shelf);
        tape_clear(&tape);
    }
}

static void a_tombstone_takes_a_post_out(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};

    (void)state;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 1, "m", "s", "a", "text", HOUR, WISH);
    tape_add(&tape, "insights", "f:h:1", NULL);
    shelf_apply_all(&shelf, &tape, 1);
    assert_text(&shelf, "f:h:1", NULL);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void facts_are_brands_by_labels_by_touch_points(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    char *facts = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_post(
        &tape, "f:h:1", 1, "m", "s", "a", "text", HOUR,
        "\"labels\":[\"wish\",\"complaint\"],\"brands\":[\"Acme\"],\"competitors\":[\"Globex\"],"
        "\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\"},"
        "{\"kind\":\"touchpoint\",\"value\":\"delivery\"},{\"kind\":\"urgency\",\"value\":\"high\"}"
        ","
        "{\"kind\":\"theme\",\"value\":\"late parcels\"}]");
    tape_post(&tape, "f:h:2", 1, "m", "s", "", "text", HOUR, "");
    shelf_apply_all(&shelf, &tape, 10);
    facts = shelf_facts(&shelf);
    assert_lines(facts, "f:h:1|2026-11-22|7|Acme|", "|delivery|late parcels|", 3);
    assert_lines(facts, "f:h:1|2026-11-22|7|Acme|", NULL, 6);
    assert_lines(facts, "f:h:1|2026-11-22|7|Globex|complaint|forum|s|en|", NULL, 2);
    assert_lines(facts, "f:h:2|2026-11-22|7|-||forum|s|en||||", NULL, 0);
    assert_lines(facts, "f:h:2|2026-11-22|7|-||forum|s|en|||0|", NULL, 1);
    assert_lines(facts, "f:h:", NULL, 13);
    free(facts);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void a_decision_overrides_labels_at_once_waits_and_survives_versions(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    char *facts = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_add(&tape, "decisions", "f:h:1",
             "{\"id\":\"d1\",\"at\":\"2026-11-22T07:00:00Z\",\"who\":\"kim\",\"kind\":\"label\","
             "\"subject\":\"f:h:1\",\"post\":\"f:h:1\",\"set\":{\"wish\":false,\"praise\":true}}");
    shelf_apply_all(&shelf, &tape, 1);
    facts = shelf_rows(&shelf, QUERY_DECISION_COUNTS, 2);
    assert_string_equal(facts, "1|1\n");
    free(facts);
    tape_post(&tape, "f:h:1", 1, "m1", "s", "a", "text", HOUR, WISH);
    shelf_apply(&shelf, &tape, 1, 2);
    facts = shelf_facts(&shelf);
    assert_lines(facts, "|wish|", NULL, 0);
    assert_lines(facts, "|praise|", NULL, 1);
    free(facts);
    tape_post(&tape, "f:h:1", 2, "m2", "s", "a", "edited", HOUR, WISH);
    tape_add(&tape, "decisions", "f:h:1",
             "{\"id\":\"d2\",\"kind\":\"label\",\"post\":\"f:h:1\",\"set\":{\"praise\":null,"
             "\"complaint\":true}}");
    tape_add(&tape, "decisions", "f:h:1",
             "{\"id\":\"d1\",\"kind\":\"label\",\"post\":\"f:h:1\",\"set\":{\"wish\":true}}");
    shelf_apply(&shelf, &tape, 2, 5);
    facts = shelf_facts(&shelf);
    assert_lines(facts, "|wish|", NULL, 0);
    assert_lines(facts, "|praise|", NULL, 0);
    assert_lines(facts, "|complaint|", NULL, 1);
    free(facts);
    facts = shelf_rows(&shelf, QUERY_DECISION_COUNTS, 2);
    assert_string_equal(facts, "2|0\n");
    free(facts);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void another_source_is_noted_in_also_and_the_first_stays(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    struct ear_error err = {0};
    struct hash128 hash = hash128_of("f:h:1", 5);
    struct store_value values[] = {store_blob(hash.bytes, sizeof hash.bytes)};
    struct store_rows *rows = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 5, "m", "one", "a", "text", HOUR, "");
    tape_post(&tape, "f:h:1", 6, "m", "two", "a", "text", HOUR, "");
    tape_post(&tape, "f:h:1", 4, "m", "three", "a", "old", HOUR, "");
    tape_post(&tape, "f:h:1", 7, "m", "two", "a", "text", HOUR, "");
    shelf_apply_all(&shelf, &tape, 2);
    assert_int_equal(store_select(&rows, shelf.store, QUERY_INSIGHT_FIND, values, 1, &err), 0);
    assert_int_equal(store_next(rows, &err), 1);
    assert_string_equal(store_get_text(rows, 3, NULL), "one");
    assert_string_equal(store_get_text(rows, 4, NULL), "[\"three\",\"two\"]");
    store_rows_end(rows);
    assert_text(&shelf, "f:h:1", "text");
    shelf_close(&shelf);
    tape_clear(&tape);
}

#define SAME "Wouldn't it be nice if it worked OFFLINE on the train?"

static void a_copy_is_stored_and_counts_as_nobody(void **state)
{
    static const struct {
        const char *what, *source, *author, *text;
        int64_t age_us;
        bool copy;
    } cases[] = {
        {"another author", "s", "b", "wouldn't it  be nice if it worked offline on the train?",
         2 * DAY, true},
        {"another source", "t", "a", SAME, 2 * DAY, true},
        {"the same author and source", "s", "a", SAME, 2 * DAY, false},
        {"another text", "s", "b", "Wouldn't it be nice if it worked underwater, on a dive?",
         2 * DAY, false},
        {"a month and more later", "s", "b", SAME, 9 * DAY, false},
        {"thirty days later", "s", "b", SAME, 10 * DAY, true},
        {"before the other", "s", "b", SAME, 41 * DAY, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tape tape = {0};
        struct shelf shelf = {0};
        char *facts = NULL;

        shelf_open(&shelf);
        tape_post(&tape, "f:h:2", 1, "m", cases[i].source, cases[i].author, cases[i].text,
                  cases[i].age_us, WISH);
        tape_post(&tape, "f:h:1", 1, "m", "s", "a", SAME, 40 * DAY, WISH);
        if (cases[i].age_us < 10 * DAY) {
            tape_post(&tape, "f:h:1", 2, "m", "s", "a", SAME, 40 * DAY, WISH);
        }
        if (cases[i].age_us == 2 * DAY) {
            tape_post(&tape, "f:h:1", 3, "m", "s", "a", SAME, 3 * DAY, WISH);
        }
        shelf_apply_all(&shelf, &tape, i % 2 == 0 ? 1 : 10);
        facts = shelf_facts(&shelf);
        assert_lines(facts, "f:h:2|", "||0|0|", cases[i].copy ? 2 : 0);
        assert_lines(facts, "f:h:1|", "||0|0|", cases[i].age_us == 41 * DAY ? 2 : 0);
        assert_lines(facts, "f:h:", NULL, 4);
        free(facts);
        tape_add(&tape, "insights", "f:h:1", "{\"id\":\"f:h:1\",\"version\":9,\"deleted\":true}");
        shelf_apply(&shelf, &tape, tape.count - 1, tape.count);
        facts = shelf_facts(&shelf);
        assert_lines(facts, "f:h:2|", "||0|0|", 0);
        free(facts);
        shelf_close(&shelf);
        tape_clear(&tape);
    }
}

static void short_texts_are_nobodys_copies(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    char *facts = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 1, "m", "s", "a", "Thank you!", 2 * HOUR, "");
    tape_post(&tape, "f:h:2", 1, "m", "s", "b", "Thank you!", HOUR, "");
    shelf_apply_all(&shelf, &tape, 10);
    facts = shelf_facts(&shelf);
    assert_lines(facts, "f:h:", "||0|0|", 0);
    free(facts);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void forget(struct tape *tape, const char *what, const char *kind)
{
    char key[HASH128_TEXT_SIZE];

    hash128_format(key, hash128_of(what, strlen(what)));
    tape_add(tape, "forgotten", key, "{\"kind\":\"%s\",\"at\":\"2026-11-22T07:00:00Z\"}", kind);
}

static void what_is_forgotten_goes_and_stays_away(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};

    (void)state;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 1, "m", "s", "a", "one", HOUR, WISH);
    tape_post(&tape, "f:h:2", 1, "m", "s", "a", "two", HOUR, WISH);
    tape_post(&tape, "f:h:3", 1, "m", "s", "b", "three", HOUR, WISH);
    tape_post(&tape, "f:h:4", 1, "m", "s", "b", "four", HOUR, WISH);
    forget(&tape, "a", "author");
    forget(&tape, "f:h:3", "post");
    tape_post(&tape, "f:h:3", 2, "m", "s", "b", "three again", HOUR, WISH);
    tape_post(&tape, "f:h:5", 1, "m", "s", "a", "five", HOUR, WISH);
    shelf_apply_all(&shelf, &tape, 3);
    assert_text(&shelf, "f:h:1", NULL);
    assert_text(&shelf, "f:h:2", NULL);
    assert_text(&shelf, "f:h:3", NULL);
    assert_text(&shelf, "f:h:4", "four");
    assert_text(&shelf, "f:h:5", NULL);
    assert_int_equal(shelf_counter(&shelf, "forgotten"), 2);
    assert_int_equal(shelf_number(&shelf, QUERY_FACT_COUNT), 2);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void beyond_the_horizon_posts_are_frozen_and_roll_ups_stay(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    struct ear_error err = {0};
    struct apply_stats stats;
    char *rollups = NULL;
    bool more = true;

    (void)state;
    shelf.config.horizon_us = 30 * DAY;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 1, "m", "s", "a", "old", 29 * DAY, WISH);
    tape_post(&tape, "f:h:2", 1, "m", "s", "a", "older", 40 * DAY, WISH);
    shelf_apply_all(&shelf, &tape, 10);
    assert_int_equal(shelf_counter(&shelf, "too_old"), 1);
    assert_text(&shelf, "f:h:2", NULL);
    shelf_rollups(&shelf);
    tape_post(&tape, "f:h:1", 2, "m", "s", "a", "edited", 29 * DAY, COMPLAINT);
    assert_int_equal(
        apply_batch(shelf.apply, tape.messages + 2, 1, TAPE_NOW_US + 5 * DAY, &stats, &err), 0);
    assert_int_equal(stats.too_old, 1);
    assert_int_equal(apply_expire(shelf.apply, TAPE_NOW_US + 5 * DAY, &more, &err), 0);
    assert_false(more);
    assert_text(&shelf, "f:h:1", NULL);
    assert_int_equal(shelf_number(&shelf, QUERY_FACT_COUNT), 0);
    shelf_rollups(&shelf);
    rollups = shelf_rows(&shelf, QUERY_ROLLUP_EACH, 6);
    assert_string_equal(rollups, "2026-10-24|-||1|1|1\n2026-10-24|-|wish|1|1|1\n");
    free(rollups);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void a_row_that_is_refused_is_rejected_alone(void **state)
{
    static char long_source[70 * 1000];
    struct tape tape = {0};
    struct shelf shelf = {0};
    struct apply_stats stats;
    char *outbox = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 1, "m", "s", "a", "one", HOUR, WISH);
    tape_post(&tape, "f:h:bad", -7, "m", "s", "a", "no version of ours", HOUR, WISH);
    tape_add(&tape, "insights", "f:h:x", "{\"id\":");
    tape_add(&tape, "insights", "f:h:y", "{\"id\":\"f:h:y\"}");
    snprintf(long_source, sizeof long_source, "{\"id\":\"f:h:z\",\"source\":\"%0*d\"}", 69000, 0);
    tape_add(&tape, "insights", "f:h:z", "%s", long_source);
    tape_post(&tape, "f:h:2", 1, "m", "s", "a", "two", HOUR, WISH);
    stats = shelf_apply_all(&shelf, &tape, 10);
    assert_int_equal(stats.rejected, 4);
    assert_int_equal(stats.posts, 2);
    assert_text(&shelf, "f:h:1", "one");
    assert_text(&shelf, "f:h:2", "two");
    assert_text(&shelf, "f:h:bad", NULL);
    assert_int_equal(shelf_number(&shelf, QUERY_OUTBOX_COUNT), 4);
    assert_int_equal(shelf_counter(&shelf, "rejected"), 4);
    {
        struct ear_error err = {0};
        struct store_value values[] = {store_integer(0), store_integer(10)};
        struct store_rows *rows = NULL;
        char place[64];

        assert_int_equal(store_select(&rows, shelf.store, QUERY_OUTBOX_NEXT, values, 2, &err), 0);
        assert_int_equal(store_next(rows, &err), 1);
        snprintf(place, sizeof place, "insights/%d/%lld", tape.messages[1].partition,
                 (long long)tape.messages[1].offset);
        assert_string_equal(store_get_text(rows, 1, NULL), "reject");
        assert_string_equal(store_get_text(rows, 2, NULL), place);
        assert_non_null(strstr(store_get_text(rows, 3, NULL), "\"code\":\"store\""));
        assert_non_null(strstr(store_get_text(rows, 3, NULL), "\"item\":\"f:h:bad\""));
        assert_int_equal(store_next(rows, &err), 1);
        assert_non_null(strstr(store_get_text(rows, 3, NULL), "\"code\":\"bad_json\""));
        assert_int_equal(store_next(rows, &err), 1);
        assert_non_null(strstr(store_get_text(rows, 3, NULL), "\"code\":\"schema\""));
        store_rows_end(rows);
    }
    free(outbox);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void what_was_applied_before_is_passed_over(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    struct apply_stats stats;
    char *before = NULL;
    char *after = NULL;

    (void)state;
    shelf_open(&shelf);
    for (int i = 0; i < 20; i++) {
        char id[16];

        snprintf(id, sizeof id, "f:h:%d", i % 7);
        tape_post(&tape, id, i + 1, "m", "s", "a", "text", HOUR, WISH);
    }
    shelf_apply_all(&shelf, &tape, 6);
    before = shelf_facts(&shelf);
    shelf_reopen(&shelf);
    stats = shelf_apply_all(&shelf, &tape, 7);
    after = shelf_facts(&shelf);
    assert_int_equal(stats.skipped, 20);
    assert_string_equal(before, after);
    free(before);
    free(after);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void a_position_that_another_sink_moved_fences_the_batch(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    struct ear_error err = {0};
    struct apply_stats stats;
    struct apply *other = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_post(&tape, "f:h:1", 1, "m", "s", "a", "one", HOUR, WISH);
    tape_post(&tape, "f:h:1", 2, "m", "s", "a", "two", HOUR, WISH);
    tape_post(&tape, "f:h:1", 3, "m", "s", "a", "three", HOUR, WISH);
    shelf_apply(&shelf, &tape, 0, 1);
    assert_int_equal(apply_open(&other, shelf.store, &shelf.config, &err), 0);
    assert_int_equal(apply_batch(other, tape.messages + 1, 1, TAPE_NOW_US, &stats, &err), 0);
    assert_int_equal(apply_batch(shelf.apply, tape.messages + 1, 2, TAPE_NOW_US, &stats, &err), -1);
    assert_int_equal(err.kind, EAR_FENCED);
    assert_text(&shelf, "f:h:1", "two");
    stats = shelf_apply(&shelf, &tape, 1, 3);
    assert_int_equal(stats.skipped, 1);
    assert_text(&shelf, "f:h:1", "three");
    apply_close(other);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void our_own_and_our_staffs_posts_are_an_audience_of_their_own(void **state)
{
    static const struct {
        const char *member, *audience;
    } cases[] = {
        {"\"x\":1", "|0|"},        {"\"ours\":true", "|2|"},
        {"\"staff\":true", "|1|"}, {"\"audience\":\"internal\"", "|1|"},
        {"\"ours\":false", "|0|"},
    };
    struct tape tape = {0};
    struct shelf shelf = {0};
    char *rollups = NULL;

    (void)state;
    shelf_open(&shelf);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *facts = NULL;

        tape_add(&tape, "insights", "f:h:1",
                 "{\"id\":\"f:h:1\",\"version\":%zu,\"source\":\"s\",\"text\":\"t\","
                 "\"created_at\":\"2026-11-21T08:00:00Z\",%s}",
                 i + 1, cases[i].member);
        shelf_apply(&shelf, &tape, i, i + 1);
        facts = shelf_facts(&shelf);
        assert_lines(facts, "f:h:1", cases[i].audience, 1);
        free(facts);
        shelf_rollups(&shelf);
        rollups = shelf_rows(&shelf, QUERY_ROLLUP_EACH, 6);
        assert_int_equal(rollups[0] == '\0', cases[i].audience[1] != '0');
        free(rollups);
    }
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void a_reply_belongs_to_the_conversation_of_its_root(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};

    (void)state;
    shelf_open(&shelf);
    tape_add(&tape, "insights", "f:h:1", "{\"id\":\"f:h:1\",\"version\":1,\"text\":\"root\"}");
    tape_add(&tape, "insights", "f:h:2",
             "{\"id\":\"f:h:2\",\"version\":1,\"text\":\"reply\",\"thread\":\"1\"}");
    tape_add(&tape, "insights", "f:h:3",
             "{\"id\":\"f:h:3\",\"version\":1,\"text\":\"reply\",\"thread\":\"f:h:1\"}");
    tape_add(&tape, "insights", "g:h:4",
             "{\"id\":\"g:h:4\",\"version\":1,\"text\":\"elsewhere\",\"thread\":\"1\"}");
    shelf.config.horizon_us = INT64_C(100) * 365 * DAY;
    shelf_reopen(&shelf);
    shelf_apply_all(&shelf, &tape, 10);
    shelf_rollups(&shelf);
    {
        char *rollups = shelf_rows(&shelf, QUERY_ROLLUP_EACH, 6);

        assert_string_equal(rollups, "1970-01-01|-||4|4|2\n");
        free(rollups);
    }
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void cursors_say_how_sources_fare(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    char *rows = NULL;

    (void)state;
    shelf_open(&shelf);
    tape_add(&tape, "cursors", "forum", "{\"source\":\"forum\",\"state\":\"ok\",\"failures\":0}");
    tape_add(&tape, "cursors", "blog", "{\"source\":\"blog\",\"state\":\"ok\",\"failures\":0}");
    tape_add(&tape, "cursors", "forum",
             "{\"source\":\"forum\",\"state\":\"red\",\"at\":\"2026-11-22T08:00:00Z\","
             "\"every_us\":300000000,\"code\":\"auth\",\"error\":\"401\",\"failures\":3}");
    tape_add(&tape, "cursors", "blog", NULL);
    shelf_apply_all(&shelf, &tape, 3);
    rows = shelf_rows(&shelf, QUERY_SOURCE_EACH, 10);
    assert_string_equal(rows, "forum|red|1795334400000000||||300000000|auth|401|3\n");
    free(rows);
    shelf_close(&shelf);
    tape_clear(&tape);
}

/* The rows of a span of hours or stretches around now, as text; caller frees. */
static char *span_of(struct shelf *shelf, enum store_query query, const char *source, int columns)
{
    enum { SPAN_SIZE = 32 * 1024 };
    const struct store_value values[] = {store_integer(TAPE_NOW_US - CLOCK_DAY_US),
                                         store_integer(TAPE_NOW_US + CLOCK_DAY_US),
                                         store_text(source)};
    struct ear_error err = {0};
    struct store_rows *rows = NULL;
    char *text = calloc(1, SPAN_SIZE);
    size_t length = 0;

    assert_non_null(text);
    if (store_select(&rows, shelf->store, query, values, source == NULL ? 2 : 3, &err) != 0) {
        fail_msg("%s", err.message);
    }
    while (store_next(rows, &err) == 1) {
        for (int i = 0; i < columns; i++) {
            const char *cell = store_get_text(rows, i, NULL);

            length += (size_t)snprintf(text + length, SPAN_SIZE - length, "%s%s", i == 0 ? "" : "|",
                                       cell == NULL ? "" : cell);
        }
        length += (size_t)snprintf(text + length, SPAN_SIZE - length, "\n");
    }
    store_rows_end(rows);
    return text;
}

static void assert_span(struct shelf *shelf, enum store_query query, const char *source,
                        int columns, const char *wanted)
{
    char *text = span_of(shelf, query, source, columns);

    assert_string_equal(text, wanted);
    free(text);
}

static void the_last_word_on_an_hour_counts_and_totals_follow(void **state)
{
    static const char forum[] =
        "{\"source\":\"forum\",\"state\":\"ok\",\"failures\":0,\"hours\":["
        "{\"hour\":\"2026-11-22T07:00:00Z\",\"planned\":12,\"made\":%d,\"requests\":%d,"
        "\"posts\":4,\"ages\":[1,0,%d]}],"
        "\"gaps\":[{\"kind\":\"gap\",\"from\":\"2026-11-22T06:00:00Z\",\"to\":\"2026-11-22T07:00:"
        "00Z\","
        "\"found\":\"2026-11-22T07:00:00Z\",\"why\":\"10 pages are all\"},"
        "{\"kind\":\"away\",\"to\":\"2026-11-22T05:00:00Z\",\"found\":\"2026-11-22T05:00:00Z\","
        "\"polls\":7}]}";
    struct tape tape = {0};
    struct shelf shelf = {0};

    (void)state;
    shelf_open(&shelf);
    for (int round = 0; round < 2; round++) {
        tape_add(&tape, "cursors", "forum", forum, 10, 11, 2);
        tape_add(&tape, "cursors", "forum", forum, 12, 13, 3);
        tape_add(&tape, "cursors", "forum",
                 "{\"source\":\"forum\",\"state\":\"ok\",\"failures\":0,\"hours\":["
                 "{\"hour\":\"2026-11-22T08:00:00Z\",\"planned\":1},"
                 "{\"hour\":\"2025-11-22T08:00:00Z\",\"planned\":99}]}"); /* beyond what is kept */
    }
    shelf_apply_all(&shelf, &tape, 2);
    assert_span(&shelf, QUERY_COVERAGE_SPAN, NULL, 8, "12|12|0|0|13|4|0|1,0,3\n1|0|0|0|0|0|0|\n");
    assert_span(&shelf, QUERY_COVERAGE_SPAN_OF, "forum", 8,
                "12|12|0|0|13|4|0|1,0,3\n1|0|0|0|0|0|0|\n");
    assert_span(&shelf, QUERY_COVERAGE_SPAN_OF, "blog", 8, "");
    assert_span(&shelf, QUERY_COVERAGE_GAP_SPAN, "", 7,
                "forum|gap|1795327200000000|1795330800000000|1795330800000000|0|10 pages are all\n"
                "forum|away|0|1795323600000000|1795323600000000|7|\n");
    assert_span(&shelf, QUERY_COVERAGE_GAP_SPAN, "blog", 7, "");
    shelf_close(&shelf);
    tape_clear(&tape);
}

static int64_t rows_of(struct shelf *shelf, enum store_query query)
{
    char *text = span_of(shelf, query, "", 7);
    int64_t rows = 0;

    for (const char *at = text; *at != '\0'; at++) {
        rows += *at == '\n' ? 1 : 0;
    }
    free(text);
    return rows;
}

static void stretches_go_by_their_end_and_are_bounded_by_the_day(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};

    (void)state;
    shelf_open(&shelf);
    for (int i = 0; i < 200; i++) { /* a server whose answers are never whole, each time anew */
        tape_add(&tape, "cursors", "liar",
                 "{\"source\":\"liar\",\"state\":\"ok\",\"failures\":0,\"gaps\":[{\"kind\":\"gap\","
                 "\"from\":\"2026-11-21T00:00:00Z\",\"to\":\"2026-11-%02dT%02d:%02d:00Z\","
                 "\"found\":\"2026-11-%02dT%02d:%02d:00Z\"}]}",
                 21 + i / 100, i < 100 ? 20 : 1, i % 60, 21 + i / 100, i < 100 ? 21 : 2, i % 60);
    }
    tape_add(&tape, "cursors", "old", /* found just now, of a time that is no longer kept */
             "{\"source\":\"old\",\"state\":\"ok\",\"failures\":0,\"gaps\":[{\"kind\":\"gap\","
             "\"to\":\"2001-01-01T00:00:00Z\",\"found\":\"2026-11-22T07:00:00Z\"}]}");
    tape_add(&tape, "cursors", "early", /* it ends when it was found, at the latest */
             "{\"source\":\"early\",\"state\":\"ok\",\"failures\":0,\"gaps\":[{\"kind\":\"gap\","
             "\"to\":\"2099-01-01T00:00:00Z\",\"found\":\"2026-11-22T07:00:00Z\"}]}");
    shelf_apply_all(&shelf, &tape, 7);
    assert_span(&shelf, QUERY_COVERAGE_GAP_SPAN, "old", 7, "");
    assert_span(&shelf, QUERY_COVERAGE_GAP_SPAN, "early", 7,
                "early|gap|0|1795330800000000|1795330800000000|0|\n");
    assert_int_equal(rows_of(&shelf, QUERY_COVERAGE_GAP_SPAN), 2 * 48 + 1);
    shelf_close(&shelf);
    tape_clear(&tape);
}

static void the_books_of_all_sources_are_added_up(void **state)
{
    struct tape tape = {0};
    struct shelf shelf = {0};
    struct ear_error err = {0};
    bool more = false;
    int64_t planned = 0;
    char *text = NULL;

    (void)state;
    shelf_open(&shelf);
    for (int i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof name, "s%d", i);
        tape_add(&tape, "cursors", name,
                 "{\"source\":\"%s\",\"state\":\"ok\",\"failures\":0,\"hours\":[{\"hour\":"
                 "\"2026-11-22T07:00:00Z\",\"planned\":%d,\"made\":1,\"ages\":[0,1]}]}",
                 name, i);
    }
    shelf_apply_all(&shelf, &tape, 7);
    text = span_of(&shelf, QUERY_COVERAGE_SPAN, NULL, 1); /* a row a partition */
    for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        planned += strtoll(at, NULL, 10);
    }
    assert_int_equal(planned, 190);
    free(text);
    /* 36 days later the hours of single sources are gone, what they add up to is not */
    if (apply_expire(shelf.apply, TAPE_NOW_US + 36 * CLOCK_DAY_US, &more, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_span(&shelf, QUERY_COVERAGE_SPAN_OF, "s7", 1, "");
    text = span_of(&shelf, QUERY_COVERAGE_SPAN, NULL, 1);
    assert_true(text[0] != '\0');
    free(text);
    shelf_close(&shelf);
    tape_clear(&tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_word_on_an_hour_counts_and_totals_follow),
        cmocka_unit_test(stretches_go_by_their_end_and_are_bounded_by_the_day),
        cmocka_unit_test(the_books_of_all_sources_are_added_up),
        cmocka_unit_test(the_later_version_and_then_model_wins),
        cmocka_unit_test(what_was_deleted_or_dropped_returns_only_with_something_newer),
        cmocka_unit_test(a_tombstone_takes_a_post_out),
        cmocka_unit_test(facts_are_brands_by_labels_by_touch_points),
        cmocka_unit_test(a_decision_overrides_labels_at_once_waits_and_survives_versions),
        cmocka_unit_test(another_source_is_noted_in_also_and_the_first_stays),
        cmocka_unit_test(a_copy_is_stored_and_counts_as_nobody),
        cmocka_unit_test(short_texts_are_nobodys_copies),
        cmocka_unit_test(what_is_forgotten_goes_and_stays_away),
        cmocka_unit_test(beyond_the_horizon_posts_are_frozen_and_roll_ups_stay),
        cmocka_unit_test(a_row_that_is_refused_is_rejected_alone),
        cmocka_unit_test(what_was_applied_before_is_passed_over),
        cmocka_unit_test(a_position_that_another_sink_moved_fences_the_batch),
        cmocka_unit_test(our_own_and_our_staffs_posts_are_an_audience_of_their_own),
        cmocka_unit_test(a_reply_belongs_to_the_conversation_of_its_root),
        cmocka_unit_test(cursors_say_how_sources_fare),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
