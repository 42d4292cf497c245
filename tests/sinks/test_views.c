/* SPDX-License-Identifier: Apache-2.0 */

/* What people read: views against numbers counted by hand, exports to the letter, the trend feed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/json/json.h"
#include "tests/sinks/sink.h"

#define DAY CLOCK_DAY_US
#define DELIVERY "\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\"}]"

/*
 * Thirty days back from now, and thirty before:
 *   now:    complaints 5 posts by 3 people (loud twice, one of them a copy of nobody), delivery 3
 *           wishes 2 by 2, one copy of a wish, praise 1; ours 1, staff 1, one post without a label
 *   before: complaints 2 by 1, delivery 1, wish 1
 */
static void fill(struct tape *tape)
{
    static const char complaint[] =
        "\"complaint\":0.8,\"labels\":[\"complaint\"],\"brands\":[\"Acme\"]";
    static const char late[] =
        "\"complaint\":0.9,\"labels\":[\"complaint\"],\"brands\":[\"Acme\"]," DELIVERY;
    static const char wish[] = "\"wish\":0.94,\"labels\":[\"wish\"],\"brands\":[\"Acme\"]";
    static const char rival[] =
        "\"praise\":0.9,\"labels\":[\"praise\"],\"competitors\":[\"Globex\"]";
    static const char same[] = "Wouldn't it be nice if sync worked offline?";

    tape_post(tape, "f:h:c1", 10, "m", "forum", "loud", "It broke again.", 1 * DAY, complaint);
    tape_post(tape, "f:h:c2", 11, "m", "forum", "loud", "And again.", 2 * DAY, late);
    tape_post(tape, "f:h:c3", 12, "m", "forum", "ann", "My parcel came late.", 3 * DAY, late);
    tape_post(tape, "f:h:c4", 13, "m", "blog", "bob", "=Late, \\\"again\\\"", 4 * DAY, late);
    tape_post(tape, "f:h:c5", 14, "m", "blog", "ann", "Too dear.", 29 * DAY, complaint);
    tape_post(tape, "f:h:w1", 15, "m", "forum", "cat", same, 6 * DAY, wish);
    tape_post(tape, "f:h:w2", 16, "m", "blog", "dan", "I would like a dark mode.", 5 * DAY, wish);
    tape_post(tape, "f:h:w3", 17, "m", "blog", "eve", same, 5 * DAY, wish);
    tape_post(tape, "f:h:p1", 18, "m", "forum", "", "I love theirs.", 1 * DAY, rival);
    tape_post(tape, "f:h:n1", 19, "m", "forum", "fay", "Just a post.", 1 * DAY, "");
    tape_post(tape, "f:h:b1", 20, "m", "forum", "gus", "It was late.", 31 * DAY, late);
    tape_post(tape, "f:h:b2", 21, "m", "forum", "gus", "It was slow.", 59 * DAY, complaint);
    tape_post(tape, "f:h:b3", 22, "m", "forum", "hal", "I wish it were blue.", 40 * DAY, wish);
    tape_post(tape, "f:h:o1", 23, "m", "forum", "ivy", "Older than both.", 61 * DAY, complaint);
    tape_add(tape, "insights", "f:h:us",
             "{\"id\":\"f:h:us\",\"source\":\"forum\",\"version\":24,\"ours\":true,"
             "\"created_at\":\"2026-11-21T08:00:00Z\",\"text\":\"Sorry!\",\"tags\":[\"team\"],"
             "\"insight\":{\"labels\":[\"complaint\"],\"model\":\"m\"}}");
    tape_add(tape, "insights", "f:h:staff",
             "{\"id\":\"f:h:staff\",\"source\":\"forum\",\"version\":25,\"audience\":\"internal\","
             "\"created_at\":\"2026-11-21T08:00:00Z\",\"text\":\"Inside.\",\"tags\":[\"team\"],"
             "\"insight\":{\"labels\":[\"wish\"],\"model\":\"m\"}}");
    tape_add(tape, "cursors", "forum",
             "{\"source\":\"forum\",\"state\":\"ok\",\"last_success_at\":\"2026-11-22T07:58:00Z\","
             "\"every_us\":300000000,\"failures\":0}");
    tape_add(tape, "cursors", "blog",
             "{\"source\":\"blog\",\"state\":\"red\",\"error\":\"401\",\"failures\":9}");
    tape_add(tape, "cursors", "old",
             "{\"source\":\"old\",\"state\":\"ok\",\"last_success_at\":\"2026-11-21T07:58:00Z\","
             "\"plan_at\":\"2026-11-21T08:00:00Z\",\"every_us\":3600000000,\"failures\":0,"
             "\"hours\":[{\"hour\":\"2026-11-21T07:00:00Z\",\"planned\":8,\"made\":6,"
             "\"ages\":[0,0,0,10,10]}],"
             "\"gaps\":[{\"kind\":\"away\",\"from\":\"2026-11-20T08:00:00Z\","
             "\"to\":\"2026-11-20T18:00:00Z\",\"found\":\"2026-11-20T18:00:00Z\",\"polls\":10,"
             "\"why\":\"nobody asked\"}]}");
}

struct shop {
    struct sink sink;
    struct tape tape;
    struct json *json;
};

static int open_shop(void **state)
{
    struct shop *shop = calloc(1, sizeof *shop);
    struct ear_error err = {0};

    assert_non_null(shop);
    sink_open(&shop->sink);
    fill(&shop->tape);
    sink_publish(&shop->tape);
    sink_do("run --until-end", 0);
    assert_int_equal(json_new(&shop->json, &err), 0);
    *state = shop;
    return 0;
}

static int close_shop(void **state)
{
    struct shop *shop = *state;

    sink_close(&shop->sink);
    tape_clear(&shop->tape);
    json_free(shop->json);
    free(shop);
    return 0;
}

/* Runs a view and reads its object; valid until the next one. */
static const struct json_node *view_of(struct shop *shop, const char *words)
{
    struct ear_error err = {0};
    char *text = sink_run(words, 0);
    const struct json_node *root =
        json_read(shop->json, text, strlen(text), &json_limits_default, &err);

    if (root == NULL) {
        fail_msg("%s: %s: %.500s", words, err.message, text);
    }
    free(text);
    return root;
}

static const struct json_node *row_of(const struct json_node *view, const char *key)
{
    for (const struct json_node *row = json_first(json_get(view, "rows")); row != NULL;
         row = json_next(row)) {
        if (strcmp(json_string(json_get(row, "key"), NULL), key) == 0) {
            return row;
        }
    }
    return NULL;
}

static int64_t number(const struct json_node *node, const char *pointer)
{
    int64_t value = -1;

    json_integer(json_pointer(node, pointer), &value);
    return value;
}

static void trends_count_posts_people_and_conversations(void **state)
{
    static const struct {
        const char *words, *key;
        int64_t posts, people, threads, before, before_people;
    } rows[] = {
        {"trends", "all", 10, 7, 10, 3, 2},
        {"trends", "complaint", 5, 3, 5, 2, 1},
        {"trends", "wish", 3, 2, 3, 1, 1},
        {"trends", "praise", 1, 1, 1, 0, 0},
        {"trends", "touchpoint:delivery", 3, 3, 3, 1, 1},
        {"trends", "brand:Acme", 8, 5, 8, 3, 2},
        {"trends", "brand:Globex", 1, 1, 1, 0, 0},
        {"trends", "brand:-", 1, 1, 1, 0, 0},
        {"trends --source blog", "all", 4, 3, 4, 0, 0},
        {"trends --source blog", "complaint", 2, 2, 2, 0, 0},
        {"trends --label complaint", "all", 5, 3, 5, 2, 1},
        {"trends --label complaint", "touchpoint:delivery", 3, 3, 3, 1, 1},
        {"trends --touchpoint delivery", "all", 3, 3, 3, 1, 1},
        {"trends --brand Acme", "all", 8, 5, 8, 3, 2},
        {"trends --competitor Globex", "all", 1, 1, 1, 0, 0},
        {"trends --contains LATE", "all", 2, 2, 2, 1, 1},
        {"trends --channel forum --lang en", "all", 10, 7, 10, 3, 2},
        {"trends --channel social", "all", 0, 0, 0, 0, 0},
        {"trends --since 2d", "all", 3, 3, 3, 2, 2},
        {"trends --since 2026-11-19 --until 2026-11-21", "complaint", 2, 2, 2, 1, 1},
        {"trends --audience ours", "all", 1, 1, 1, 0, 0},
        {"trends --audience internal", "all", 1, 1, 1, 0, 0},
        {"trends --audience all --tag team", "all", 2, 2, 2, 0, 0},
        {"trends --tag team", "all", 0, 0, 0, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct json_node *view = view_of(*state, rows[i].words);
        const struct json_node *row = row_of(view, rows[i].key);

        if (row == NULL) {
            fail_msg("%s has no row %s", rows[i].words, rows[i].key);
        }
        if (number(row, "/posts") != rows[i].posts || number(row, "/people") != rows[i].people ||
            number(row, "/conversations") != rows[i].threads ||
            number(row, "/before/posts") != rows[i].before ||
            number(row, "/before/people") != rows[i].before_people) {
            fail_msg("%s, %s: %s", rows[i].words, rows[i].key, json_raw(row, NULL));
        }
    }
}

static void a_view_says_as_of_when_and_how_complete(void **state)
{
    const struct json_node *view = view_of(*state, "trends");
    const struct json_node *row = NULL;

    assert_memory_equal(json_string(json_get(view, "as_of"), NULL), "2026-11-22T08:00:", 17);
    assert_memory_equal(json_string(json_get(view, "since"), NULL), "2026-10-23T08:00:", 17);
    assert_int_equal(number(view, "/complete/sources"), 3);
    assert_int_equal(number(view, "/complete/healthy"), 1);
    assert_string_equal(json_string(json_pointer(view, "/complete/red/0"), NULL), "blog");
    assert_string_equal(json_string(json_pointer(view, "/complete/late/0"), NULL), "old");
    assert_string_equal(json_string(json_pointer(view, "/rows/0/key"), NULL), "all");
    assert_string_equal(json_string(json_pointer(view, "/rows/1/key"), NULL), "complaint");
    assert_string_equal(json_string(json_pointer(view, "/rows/2/key"), NULL), "wish");
    assert_string_equal(json_string(json_pointer(view, "/rows/3/key"), NULL), "praise");
    row = row_of(view, "complaint");
    assert_string_equal(json_string(json_get(row, "title"), NULL),
                        "Complaints rose: 5 posts by 3 people, 2 the period before");
    assert_string_equal(json_string(json_get(row, "label"), NULL), "complaint");
    assert_string_equal(json_string(json_get(row, "first_at"), NULL), "2026-10-24T08:00:00Z");
    assert_string_equal(json_string(json_get(row, "last_at"), NULL), "2026-11-21T08:00:00Z");
    assert_int_equal(json_count(json_get(row, "sample")), 4);
    assert_string_equal(json_string(json_pointer(row, "/sample/0"), NULL), "f:h:c1");
}

static void polls_that_were_not_made_stand_beside_the_numbers(void **state)
{
    const struct json_node *view = view_of(*state, "trends");

    /* 8 of the hour, 10 of the stretch, 24 since that source's plan was last heard of */
    assert_int_equal(number(view, "/complete/polls/planned"), 8 + 10 + 24);
    assert_int_equal(number(view, "/complete/polls/made"), 6);
    assert_int_equal(number(view, "/complete/freshness/p50_s"), 8);
    assert_int_equal(number(view, "/complete/gap_count"), 1);
    assert_string_equal(json_string(json_pointer(view, "/complete/gaps/0/source"), NULL), "old");
    assert_string_equal(json_string(json_pointer(view, "/complete/gaps/0/from"), NULL),
                        "2026-11-20T08:00:00Z");
    /* of a period, by the part that lies in it */
    view = view_of(*state, "trends --since 2026-11-20T13:00:00Z --until 2026-11-21T09:00:00Z");
    assert_int_equal(number(view, "/complete/polls/planned"), 8 + 5 + 1);
    view = view_of(*state, "trends --since 6h");
    assert_int_equal(number(view, "/complete/polls/planned"), 6);
    assert_int_equal(number(view, "/complete/gap_count"), 0);
    view = view_of(*state, "trends --source forum");
    assert_int_equal(number(view, "/complete/polls/planned"), 0);
    assert_int_equal(number(view, "/complete/gap_count"), 0);
    view = view_of(*state, "trends --source old");
    assert_int_equal(number(view, "/complete/polls/made"), 6);
}

static void lists_have_a_row_a_post_newest_first(void **state)
{
    static const struct {
        const char *words;
        size_t rows;
        const char *first;
    } cases[] = {
        {"complaints", 5, "f:h:c1"},
        {"wishes", 2, "f:h:w2"},
        {"praise", 1, "f:h:p1"},
        {"complaints --touchpoint delivery", 3, "f:h:c2"},
        {"complaints --since 90d", 8, "f:h:c1"},
        {"wishes --audience internal", 1, "f:h:staff"},
        {"wishes --source nowhere", 0, NULL},
        {"trends --posts", 9, NULL},
        {"export complaints", 5, "f:h:c1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct json_node *view = view_of(*state, cases[i].words);

        assert_int_equal(json_count(json_get(view, "rows")), cases[i].rows);
        if (cases[i].first != NULL) {
            assert_string_equal(json_string(json_pointer(view, "/rows/0/key"), NULL),
                                cases[i].first);
        }
    }
    {
        const struct json_node *row =
            json_pointer(view_of(*state, "complaints --contains parcel"), "/rows/0");

        assert_string_equal(json_string(json_get(row, "url"), NULL), "https://example.org/f:h:c3");
        assert_string_equal(json_string(json_get(row, "label"), NULL), "complaint");
        assert_int_equal(number(row, "/posts"), 1);
        assert_int_equal(number(row, "/before/people"), 0);
        assert_string_equal(json_string(json_pointer(row, "/sample/0"), NULL), "f:h:c3");
    }
}

static void export_posts_is_to_the_letter(void **state)
{
    char *text = sink_run("export posts", 0);

    (void)state;
    assert_lines(text, "{\"id\":\"", NULL, 16);
    assert_memory_equal(text, "{\"id\":\"f:h:b1\",", 15);
    assert_lines(text,
                 "{\"id\":\"f:h:w1\",\"source\":\"forum\",\"url\":\"https://example.org/f:h:w1\","
                 "\"title\":\"A title\",\"text\":\"Wouldn't it be nice if sync worked offline?\","
                 "\"author\":{\"id\":\"cat\",\"name\":\"Name of cat\"},\"thread\":null,"
                 "\"created_at\":\"2026-11-16T08:00:00Z\",\"edited_at\":null,\"labels\":[\"wish\"],"
                 "\"wish\":0.94,\"complaint\":null,\"praise\":null,\"version\":15}",
                 NULL, 1);
    assert_lines(text, "\"id\":\"f:h:p1\"", "\"author\":{\"id\":null,\"name\":null}", 1);
    free(text);
    text = sink_run("export posts --label wish", 0);
    assert_lines(text, "{\"id\":\"", NULL, 5);
    free(text);
}

static void csv_is_quoted_and_runs_no_formula(void **state)
{
    char *text = sink_run("export posts -o csv", 0);

    (void)state;
    assert_memory_equal(text,
                        "id,source,url,title,text,author.id,author.name,thread,created_at,"
                        "edited_at,labels,wish,complaint,praise,version\r\n",
                        112);
    assert_lines(text,
                 "f:h:c4,blog,https://example.org/f:h:c4,A title,\"'=Late, \"\"again\"\"\",bob,",
                 ",,2026-11-18T08:00:00Z,,complaint,,0.9,,13\r", 1);
    free(text);
    text = sink_run("trends -o csv", 0);
    assert_lines(text,
                 "complaint,\"Complaints rose: 5 posts by 3 people, 2 the period "
                 "before\",complaint,5,3,5,2,1,2,",
                 NULL, 1);
    free(text);
    text = sink_run("complaints -o csv", 0);
    assert_lines(text, "f:h:", NULL, 5);
    free(text);
}

static void a_table_says_the_sentence_first_and_fits(void **state)
{
    char *text = sink_run("trends -o table", 0);
    const char *line = text;

    (void)state;
    assert_memory_equal(text, "Complaints rose: 5 posts by 3 people", 36);
    assert_true(strstr(text, "\nComplaints ") < strstr(text, "\nPraise "));
    assert_null(strstr(text, "%"));
    assert_null(strstr(text, "\033"));
    assert_non_null(strstr(text, "Sources: 1 healthy, 1 late, 1 red (red: blog)"));
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");

        assert_true(length <= 120);
        line += length + (line[length] == '\n');
    }
    free(text);
    text = sink_run("complaints -o table -n 2", 0);
    assert_non_null(strstr(text, "… and 3 more"));
    free(text);
}

static void the_feed_is_written_and_stable(void **state)
{
    struct shop *shop = *state;
    struct ear_error err = {0};
    char *atom = sink_file(&shop->sink, "feeds/trends.atom");
    char *json = sink_file(&shop->sink, "feeds/trends.json");
    char *again = NULL;
    const struct json_node *root = NULL;
    struct tape more = {0};

    assert_non_null(atom);
    assert_non_null(json);
    root = json_read(shop->json, json, strlen(json), &json_limits_default, &err);
    assert_non_null(root);
    assert_string_equal(json_string(json_get(root, "version"), NULL),
                        "https://jsonfeed.org/version/1.1");
    assert_string_equal(json_string(json_pointer(root, "/items/0/title"), NULL),
                        "Complaints about Acme: 4 posts by 3 people, 0 the week before");
    assert_string_equal(json_string(json_pointer(root, "/items/0/_earshot/week"), NULL),
                        "2026-W47");
    assert_lines(atom,
                 "<title>Complaints about Acme: 4 posts by 3 people, 0 the week before</title>",
                 NULL, 1);
    again = sink_run("export trends --feed atom", 0);
    assert_string_equal(again, atom);
    free(again);
    /* Nothing new: nothing changes. Something new in one week: its entry alone. */
    sink_do("run --until-end", 0);
    again = sink_file(&shop->sink, "feeds/trends.atom");
    assert_string_equal(again, atom);
    free(again);
    tape_post(&more, "f:h:c9", 30, "m", "forum", "zoe", "Yet another.", 0,
              "\"labels\":[\"complaint\"],\"brands\":[\"Acme\"]");
    sink_publish(&more);
    sink_do("run --until-end", 0);
    again = sink_file(&shop->sink, "feeds/trends.json");
    assert_string_not_equal(again, json);
    root = json_read(shop->json, again, strlen(again), &json_limits_default, &err);
    assert_string_equal(json_string(json_pointer(root, "/items/0/title"), NULL),
                        "Complaints about Acme: 5 posts by 4 people, 0 the week before");
    free(again);
    free(atom);
    free(json);
    tape_clear(&more);
}

static void a_deletion_leaves_every_count_and_the_feed(void **state)
{
    struct shop *shop = *state;
    struct tape more = {0};
    char *feed = NULL;

    tape_add(&more, "insights", "f:h:c4", "{\"id\":\"f:h:c4\",\"version\":90,\"deleted\":true}");
    sink_publish(&more);
    sink_do("run --until-end", 0);
    assert_int_equal(number(row_of(view_of(shop, "trends --source blog"), "complaint"), "/posts"),
                     1);
    feed = sink_file(&shop->sink, "feeds/trends.atom");
    assert_null(strstr(feed, "f:h:c4"));
    free(feed);
    tape_clear(&more);
}

static void a_stored_post_comes_with_its_correction(void **state)
{
    struct tape more = {0};
    char *text = sink_run("stored f:h:w1", 0);

    (void)state;
    assert_non_null(strstr(text, "\"correction\":null}"));
    free(text);
    sink_do("stored f:h:none", 1);
    tape_add(&more, "decisions", "f:h:w1",
             "{\"id\":\"d1\",\"at\":\"2026-11-22T07:00:00Z\",\"who\":\"kim\",\"kind\":\"label\","
             "\"subject\":\"f:h:w1\",\"post\":\"f:h:w1\",\"set\":{\"wish\":false}}");
    sink_publish(&more);
    sink_do("run --until-end", 0);
    text = sink_run("stored f:h:w1", 0);
    assert_non_null(strstr(text, "\"correction\":{\"set\":{\"wish\":false},\"who\":\"kim\","
                                 "\"at\":\"2026-11-22T07:00:00Z\"}}"));
    free(text);
    text = sink_run("export posts --contains nice", 0);
    assert_lines(text, "\"id\":\"f:h:w1\"", "\"labels\":[]", 1);
    free(text);
    tape_clear(&more);
}

static void an_empty_store_is_an_empty_view(void **state)
{
    struct sink sink;
    char *text = NULL;

    (void)state;
    sink_open(&sink);
    text = sink_run("trends", 0);
    assert_non_null(strstr(text, "\"posts\":0"));
    free(text);
    text = sink_run("wishes", 0);
    assert_non_null(strstr(text, "\"rows\":[]"));
    free(text);
    text = sink_run("export posts", 0);
    assert_string_equal(text, "");
    free(text);
    sink_do("stored f:h:1", 1);
    text = sink_run("wishes -o table", 0);
    assert_non_null(strstr(text, "No wishes in this period. A longer one: --since 180d\n"));
    free(text);
    sink_do("trends --since soon", 2);
    sink_do("trends --since today --until 2020-01-01", 2);
    sink_do("wishes --feed atom", 2);
    sink_do("export nothing", 2);
    sink_close(&sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trends_count_posts_people_and_conversations),
        cmocka_unit_test(a_view_says_as_of_when_and_how_complete),
        cmocka_unit_test(polls_that_were_not_made_stand_beside_the_numbers),
        cmocka_unit_test(lists_have_a_row_a_post_newest_first),
        cmocka_unit_test(export_posts_is_to_the_letter),
        cmocka_unit_test(csv_is_quoted_and_runs_no_formula),
        cmocka_unit_test(a_table_says_the_sentence_first_and_fits),
        cmocka_unit_test(the_feed_is_written_and_stable),
        cmocka_unit_test(a_deletion_leaves_every_count_and_the_feed),
        cmocka_unit_test(a_stored_post_comes_with_its_correction),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(an_empty_store_is_an_empty_view),
    };
    int failed = cmocka_run_group_tests_name("views", tests, open_shop, close_shop);

    return failed + cmocka_run_group_tests_name("no store", alone, NULL, NULL);
}
