/* SPDX-License-Identifier: Apache-2.0 */
/* A definition that is valid and does not fit its server: what is missing is told. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/collectors/definition/paper.h"

#define BEGIN                                                                                      \
    "earshot: 1\nplatform: place\nchannel: forum\n"                                                \
    "params: {base: {required: true, help: where}}\n"                                              \
    "request: {url: '{base}/posts'}\n"
#define CURSOR "cursor: {by: /created, as: unix, order: newest}\n"
#define MAP "map: {id: /id, text: /text, created_at: {from: /created, as: unix}}\n"
#define GOOD BEGIN "records: /posts/*\n" CURSOR MAP
#define CHILDREN(url, records)                                                                     \
    GOOD "children: [{when: {path: /replies, over: 0, changed: true}, request: {url: '" url        \
         "'}, records: " records "}]\n"

enum { PER_PAGE = 10 };

/* A forum of so many posts, ten a page, each with a comment. */
struct forum {
    int posts;
    int missing; /* comments of these first posts are not there */
    bool no_texts;
};

static void write_posts(const struct forum *forum, int page, struct reply *reply)
{
    const int from = (page - 1) * PER_PAGE;
    const int to = from + PER_PAGE < forum->posts ? from + PER_PAGE : forum->posts;

    fputs("{\"posts\":[", reply->out);
    for (int i = from; i < to; i++) {
        fprintf(reply->out,
                "%s{\"id\":\"p%d\",\"text\":\"%s\",\"created\":%d,\"written\":\"%d\",\"replies\":1,"
                "\"views\":%d}",
                i == from ? "" : ",", i, forum->no_texts ? "" : "a", 1795348000 - i * 60,
                1795348000 - i * 60, rand() % 1000);
    }
    fprintf(reply->out, "],\"paging\":{\"after\":%d}}", to < forum->posts ? page + 1 : 0);
}

static void serve(void *world, const struct fetch_request *request, struct reply *reply)
{
    const struct forum *forum = world;
    const char *page = asked_for(request, "page");
    int number = 0;
    bool found = false;

    if (asked_path(request, "/posts")) {
        write_posts(forum, page == NULL ? 1 : (int)strtol(page, NULL, 10), reply);
        return;
    }
    if (strstr(request->url, "/comments") != NULL && strstr(request->url, ".example/p") != NULL) {
        number = (int)strtol(strstr(request->url, ".example/p") + 10, NULL, 10);
        found = true;
    }
    if (found && number >= forum->missing) {
        fprintf(reply->out,
                "{\"comments\":[{\"id\":\"c%d\",\"text\":\"b\",\"created\":1795348000}]}", number);
        return;
    }
    reply->status = 404;
    fputs("{}", reply->out);
}

static struct paper *new_place(const char *yaml, struct forum *forum)
{
    struct paper *paper = calloc(1, sizeof *paper);

    assert_non_null(paper);
    paper_open(paper, yaml, serve, forum);
    paper->params[0] = "https://forum.example";
    return paper;
}

static void free_place(struct paper *paper)
{
    paper_close(paper);
    free(paper);
}

/* What one walk of a definition says, at once and as a probe. */
static void expect_said(const char *yaml, struct forum *forum, const char *text)
{
    for (int probe = 0; probe < 2; probe++) {
        struct paper *paper = new_place(yaml, forum);
        size_t said = 0;

        paper->probe = probe == 1;
        paper->probe_pages = 2;
        for (bool over = false; !over;) {
            over = paper_poll(paper) != PAPER_LATER;
            said += paper_said(paper, text);
        }
        if (said == 0) {
            fail_msg("'%s' is missing in%s:\n%s", text, probe == 1 ? " a probe" : "", paper->log);
        }
        free_place(paper);
    }
}

static void a_wrong_address_of_children_is_told(void **state)
{
    struct forum forum = {.posts = 10};
    struct paper *paper = new_place(CHILDREN("{base}/{/id}/replies", "/comments/*"), &forum);

    (void)state;
    paper_poll_well(paper);
    assert_int_equal(paper_alive(paper), 10);
    assert_int_equal(paper_said(paper, "misfit children/1/request: 10 of 10 requests were answered "
                                       "404; is the address right?"),
                     1);
    free_place(paper);
}

static void children_of_a_wrong_address_are_asked_for_again(void **state)
{
    struct forum forum = {.posts = 10, .missing = 10};
    struct paper *paper = new_place(CHILDREN("{base}/{/id}/comments", "/comments/*"), &forum);

    (void)state;
    paper_poll_well(paper);
    assert_int_equal(paper_alive(paper), 10);
    forum.missing = 0; /* put right */
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper_alive(paper), 20);
    assert_true(paper_said(paper, "fits children/1/request") > 0);
    free_place(paper);
}

static void a_child_that_is_gone_is_nothing_to_tell(void **state)
{
    struct forum forum = {.posts = 10, .missing = 1};
    struct paper *paper = new_place(CHILDREN("{base}/{/id}/comments", "/comments/*"), &forum);

    (void)state;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "misfit"), 0);
    paper->now_us += HOUR_US;
    paper->requests = 0;
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 2); /* one of the page, one of a child not known to be gone */
    free_place(paper);
}

static void records_that_are_elsewhere_are_told(void **state)
{
    struct forum forum = {.posts = 30};

    (void)state;
    expect_said(CHILDREN("{base}/{/id}/comments", "/data/*"), &forum,
                "misfit children/1/records: /data finds nothing; the answer has /comments");
    expect_said(BEGIN "records: /items/*\n" CURSOR MAP, &forum,
                "misfit records: /items finds nothing; the answer has /posts, /paging");
}

static void a_wrong_place_is_asked_for_twice_at_most(void **state)
{
    struct forum forum = {.posts = 40};
    struct paper *paper =
        new_place(BEGIN "records: /items/*\n"
                        "page: {kind: token, from: /paging/after, into: page}\n" CURSOR MAP,
                  &forum);
    int polls = 0;

    (void)state;
    while (paper_poll(paper) == PAPER_LATER && polls < 60) {
        polls++;
    }
    assert_int_equal(polls, 1);
    assert_true(paper->requests <= 3);
    free_place(paper);
}

static void pages_that_do_not_work_are_told_and_leave_a_gap(void **state)
{
    static const struct {
        const char *page, *says;
    } cases[] = {
        {"page: {kind: number, into: seite, first: 1}\n",
         "misfit page: page 2 brings the same 10 records as the page before it: the server does "
         "not heed `seite`"},
        {"page: {kind: offset, into: from}\n", "page 2 brings the same 10 records"},
        {"page: {kind: token, from: /next, into: page}\n",
         "misfit page: 10 records came, and the answer has no /next; it has /posts, /paging"},
        {"page: {kind: token, from: /paging/next, into: page}\n",
         "the answer has no /paging/next; it has /after"},
        {"page: {kind: link, rel: next}\n", "no header Link with rel=\"next\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[2000];
        struct forum forum = {.posts = 40};
        struct paper *paper = NULL;
        size_t gaps = 0;

        snprintf(yaml, sizeof yaml, "%s%s", GOOD, cases[i].page);
        paper = new_place(yaml, &forum);
        for (bool over = false; !over;) {
            over = paper_poll(paper) != PAPER_LATER;
            gaps += paper_said(paper, "its further pages cannot be read");
        }
        if (gaps != 1) {
            fail_msg("no gap with %s:\n%s", cases[i].page, paper->log);
        }
        free_place(paper);
        expect_said(yaml, &forum, cases[i].says);
    }
}

static void pages_that_work_are_nothing_to_tell(void **state)
{
    static const char *const pages[] = {
        "page: {kind: number, into: page, first: 1}\n",
        "page: {kind: token, from: /paging/after, into: page, end: {path: /paging/after, is: 0}}\n",
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char yaml[2000];
        struct forum forum = {.posts = 40};
        struct paper *paper = NULL;

        snprintf(yaml, sizeof yaml, "%s%s", GOOD, pages[i]);
        paper = new_place(yaml, &forum);
        paper_poll_well(paper);
        assert_int_equal(paper_alive(paper), 40);
        assert_int_equal(paper_said(paper, "misfit"), 0);
        assert_int_equal(paper->gaps, 0);
        free_place(paper);
    }
}

static void a_history_that_is_cut_off_is_a_gap(void **state)
{
    struct forum forum = {.posts = 40};
    struct paper *paper =
        new_place(GOOD "page: {kind: number, into: page, first: 1, max: 2}\n", &forum);

    (void)state;
    paper_poll_well(paper);
    assert_int_equal(paper_alive(paper), 20);
    assert_int_equal(paper_said(paper, "its history ends with page 2, as `page.max` says"), 1);
    free_place(paper);
}

static void fields_that_are_elsewhere_are_told(void **state)
{
    struct forum forum = {.posts = 10};

    (void)state;
    expect_said(BEGIN "records: /posts/*\nmap: {id: /id, text: /body}\n", &forum,
                "misfit map/text: no record had a text at /body; the records have /id, /text, ");
    expect_said(BEGIN "records: /posts/*\nmap: {id: /id, text: /text, created_at: /date}\n", &forum,
                "misfit map/created_at: no record had a time at /date; the records have /id");
    expect_said(BEGIN "records: /posts/*\nmap: {id: /id, text: /text, created_at: {from: /created, "
                      "as: unix_ms}}\n",
                &forum,
                "no record's time could be read: /created is '1795348000', read as: unix_ms");
    forum.no_texts = true; /* there, and empty */
    {
        struct paper *paper = new_place(GOOD, &forum);

        paper_poll_well(paper);
        assert_int_equal(paper_said(paper, "misfit"), 0);
        free_place(paper);
    }
}

static void a_probe_asks_for_two_pages_and_few_children(void **state)
{
    struct forum forum = {.posts = 40};
    struct paper *paper =
        new_place(CHILDREN("{base}/{/id}/comments",
                           "/comments/*") "page: {kind: number, into: page, first: 1}\n",
                  &forum);

    (void)state;
    paper->probe = true;
    paper->probe_pages = 2;
    paper_poll_well(paper);
    assert_true(paper->requests <= 4);
    assert_int_equal(paper_said(paper, "came page 1: 10 records"), 1);
    assert_int_equal(paper_said(paper, "came page 2: 10 records"), 1);
    assert_true(paper_said(paper, "/comments") > 0);
    free_place(paper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_address_of_children_is_told),
        cmocka_unit_test(children_of_a_wrong_address_are_asked_for_again),
        cmocka_unit_test(a_child_that_is_gone_is_nothing_to_tell),
        cmocka_unit_test(records_that_are_elsewhere_are_told),
        cmocka_unit_test(a_wrong_place_is_asked_for_twice_at_most),
        cmocka_unit_test(pages_that_do_not_work_are_told_and_leave_a_gap),
        cmocka_unit_test(pages_that_work_are_nothing_to_tell),
        cmocka_unit_test(a_history_that_is_cut_off_is_a_gap),
        cmocka_unit_test(fields_that_are_elsewhere_are_told),
        cmocka_unit_test(a_probe_asks_for_two_pages_and_few_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
