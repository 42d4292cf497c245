/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/collectors/definition/forum.h"

#define HEAD                                                                                       \
    "earshot: 1\nplatform: place\nchannel: forum\n"                                                \
    "params: {base: {required: true, help: where}, key: {secret: true}}\n"
#define MAP "records: /posts/*\n" FIELDS
#define FIELDS                                                                                     \
    "map: {id: /id, url: '{base}/p/{/id}', text: /text, created_at: {from: /created, as: unix},\n" \
    "  edited_at: {from: /updated, as: unix}, thread: /thread, author: {id: /author, name: "       \
    "/author}}\n"

static const struct place {
    const char *name, *yaml;
    bool by_change; /* its cursor follows edits */
} places[] = {
    {"page by last",
     HEAD MAP "request: {url: '{base}/posts'}\n"
              "page: {kind: last, from: /id, into: before}\n"
              "cursor: {by: /id, as: int, order: newest}\n",
     false},
    {"page by token",
     HEAD MAP "request: {url: '{base}/token'}\n"
              "page: {kind: token, from: /next, into: after}\n"
              "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n",
     false},
    {"page by number",
     HEAD MAP "request: {url: '{base}/number'}\n"
              "page: {kind: number, into: page, first: 1}\n"
              "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n",
     false},
    {"page by offset",
     HEAD MAP "request: {url: '{base}/offset'}\n"
              "page: {kind: offset, into: start, size: 5}\n"
              "cursor: {by: /id, as: int, order: newest, overlap: 3}\n",
     false},
    {"page by link",
     HEAD MAP "request: {url: '{base}/link'}\n"
              "page: {kind: link, rel: next}\n"
              "cursor: {by: /id, as: int, order: newest}\n",
     false},
    {"an order that only the server knows",
     HEAD MAP "request: {url: '{base}/posts'}\n"
              "page: {kind: last, from: /id, into: before}\n"
              "cursor: {by: /id, as: text, order: newest}\n",
     false},
    {"oldest first",
     HEAD MAP "request: {url: '{base}/changed'}\n"
              "page: {kind: number, into: page, first: 1}\n"
              "cursor: {by: /updated, as: unix, order: oldest, into: since,\n"
              "  send: '{cursor|unix}', start: '{since|unix}'}\n",
     true},
    {"oldest first, no pages",
     HEAD MAP "request: {url: '{base}/after'}\n"
              "page: {kind: none}\n"
              "cursor: {by: /id, as: int, order: oldest, into: min}\n",
     false},
    {"links for cursors",
     HEAD MAP "request: {url: '{base}/tag'}\n"
              "page: {kind: link, rel: next}\n"
              "cursor: {by: link, rel: prev, order: oldest}\n",
     false},
    {"threads and their replies",
     HEAD MAP "request: {url: '{base}/threads'}\n"
              "page: {kind: token, from: /next, into: after}\n"
              "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"
              "revisit: [{window: 30d, every: 1h}]\n"
              "children:\n"
              "  - {each: /posts/*, when: {path: /replies, over: 0, changed: true},\n"
              "     request: {url: '{base}/replies', query: {thread: '{/id}'}},\n"
              "     page: {kind: number, into: page, first: 1}}\n",
     false},
    {"threads and their replies, many at once",
     HEAD MAP
     "request: {url: '{base}/threads'}\n"
     "page: {kind: token, from: /next, into: after}\n"
     "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"
     "revisit: [{window: 30d, every: 1h}]\n"
     "children:\n"
     "  - {each: /posts/*, when: {path: /replies, over: 0, changed: true}, batch: 3, join: ';',\n"
     "     request: {url: '{base}/many', query: {threads: '{ids}'}},\n"
     "     page: {kind: number, into: page, first: 1}}\n",
     false},
    {"ids one by one",
     HEAD FIELDS "request: {url: '{base}/item/{post/id}'}\nrecords: ''\n"
                 "walk: {last: {url: '{base}/max'}, at: ''}\n",
     false},
};

enum { PLACES = sizeof places / sizeof places[0] };

static void open_place(struct paper *paper, const char *yaml, struct forum *forum)
{
    paper_open(paper, yaml, forum_serve, forum);
    paper->params[0] = "https://forum.example";
    paper->params[1] = "S3CRET";
}

static struct forum *new_forum(size_t threads)
{
    struct forum *forum = calloc(1, sizeof *forum);

    assert_non_null(forum);
    forum->page = 5;
    forum_fill(forum, threads, 600, 3600);
    for (size_t i = 0; i < threads; i += 3) { /* every third has replies, some more than a page */
        for (size_t k = 0; k <= i % 8; k++) {
            forum_add(forum, NOON_US / SECOND_US - 3500 + (int64_t)(i + k), (int64_t)i + 1);
        }
    }
    return forum;
}

static void more_posts(struct forum *forum, size_t count, int64_t now_us)
{
    for (size_t i = 0; i < count; i++) {
        forum_add(forum, now_us / SECOND_US - 50 + (int64_t)i * 2, 0);
    }
    /* a reply to the last thread, and a late one */
    forum_add(forum, now_us / SECOND_US - 2, forum_get(forum, (int64_t)forum->count)->thread);
    forum_add(forum, now_us / SECOND_US - 1, 1);
}

static struct paper *new_paper(void)
{
    struct paper *paper = calloc(1, sizeof *paper);

    assert_non_null(paper);
    return paper;
}

static void free_place(struct paper *paper, struct forum *forum)
{
    paper_close(paper);
    free(paper);
    free(forum);
}

/* --- what holds for every way to page --- */

static void every_post_is_there_once_after_each_poll(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(23);

        print_message("%s\n", places[i].name);
        open_place(paper, places[i].yaml, forum);
        paper_poll_well(paper);
        forum_compare(forum, paper);
        for (size_t poll = 0; poll < 4; poll++) {
            const size_t before = forum->count;

            paper->now_us += 2 * HOUR_US;
            more_posts(forum, poll * 4, paper->now_us);
            paper_poll_well(paper);
            forum_compare(forum, paper);
            assert_int_equal(paper->published, forum->count - before);
        }
        paper->now_us += HOUR_US / 2;
        paper_poll_well(paper);
        assert_int_equal(paper->published, 0);
        if (paper->requests > 4) { /* what lies within the overlap */
            fail_msg("an idle poll costs %zu requests:\n%s", paper->requests, paper->log);
        }
        assert_int_equal(paper->post_count, forum->count);
        assert_int_equal(paper->gaps, 0);
        assert_int_equal(paper->rejects, 0);
        free_place(paper, forum);
    }
}

/* Kills the polls at their n-th steps, before and after the commit, then lets one go through. */
static void crash_at_each_step(const struct place *place, bool uncommitted, size_t polls)
{
    for (size_t n = 1;; n++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(17);
        bool crashed = false;

        open_place(paper, place->yaml, forum);
        for (size_t poll = 0; poll < polls; poll++) {
            paper->crash_at = n;
            paper->crash_uncommitted = uncommitted;
            crashed = paper_poll(paper) == PAPER_CRASHED || crashed;
            paper->now_us += HOUR_US;
            more_posts(forum, 2, paper->now_us);
            paper->crash_at = 0;
            paper_poll_well(paper);
            forum_compare(forum, paper);
            assert_int_equal(paper->gaps, 0);
            paper->now_us += 2 * HOUR_US;
            more_posts(forum, 7, paper->now_us);
        }
        for (size_t i = 0; i < paper->post_count; i++) {
            if (paper->posts[i].published != 1) {
                fail_msg("%s: post %s was published %d times", place->name, paper->posts[i].id,
                         paper->posts[i].published);
            }
        }
        free_place(paper, forum);
        if (!crashed) {
            break;
        }
    }
}

static void a_crash_at_any_step_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        print_message("%s\n", places[i].name);
        crash_at_each_step(&places[i], false, 2);
        crash_at_each_step(&places[i], true, 2);
    }
}

/* Crash after crash: each poll gets one step further than the one before at most. */
static void a_poll_that_is_always_killed_comes_to_its_end_at_last(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(30);
        size_t polls = 0;

        open_place(paper, places[i].yaml, forum);
        paper->crash_at = 45; /* enough for a page and what hangs on it */
        while (paper_poll(paper) == PAPER_CRASHED) {
            if (++polls > 60) {
                fail_msg("%s: no end\n%s", places[i].name, paper->log);
            }
        }
        assert_int_equal(paper->end, PAPER_DONE);
        forum_compare(forum, paper);
        free_place(paper, forum);
    }
}

/* New posts come while the walk is under way, and push what is not read yet to later pages. */
static void write_meanwhile(struct forum *forum, int64_t requests)
{
    if (requests % 2 == 0 && requests < 20) {
        forum_add(forum, NOON_US / SECOND_US + requests, 0);
    }
}

static void posts_that_come_during_a_walk_are_there_after_the_next(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(29);

        open_place(paper, places[i].yaml, forum);
        forum->meanwhile = write_meanwhile;
        paper_poll_well(paper);
        forum->meanwhile = NULL;
        paper->now_us += 2 * HOUR_US;
        paper_poll_well(paper);
        forum_compare(forum, paper);
        free_place(paper, forum);
    }
}

static void an_old_post_pinned_on_top_stops_no_walk(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(20);

        open_place(paper, places[i].yaml, forum);
        forum->pinned = 2;
        paper_poll_well(paper);
        forum_compare(forum, paper);
        paper->now_us += 2 * HOUR_US;
        more_posts(forum, 14, paper->now_us);
        paper_poll_well(paper);
        forum_compare(forum, paper);
        free_place(paper, forum);
    }
}

static void secrets_never_get_into_the_cursor(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLACES; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(12);

        open_place(paper, places[i].yaml, forum);
        for (size_t n = 1; n < 12; n++) {
            paper->crash_at = n;
            (void)paper_poll(paper);
            if (paper->cursor != NULL && strstr(paper->cursor, "S3CRET") != NULL) {
                fail_msg("%s: %s", places[i].name, paper->cursor);
            }
        }
        free_place(paper, forum);
    }
}

/* --- numbers without bounds --- */

static void serve_extremes(void *world, const struct fetch_request *request, struct reply *reply)
{
    int *turn = world;
    static const char *const ids[] = {"-9223372036854775808", "-1", "0", "9223372036854775807"};

    (void)request;
    fputs("{\"posts\":[", reply->out);
    for (int i = 0; i < 4; i++) {
        fprintf(reply->out, "%s{\"id\":%s,\"text\":\"t%d\",\"created\":%s,\"updated\":%s}",
                i == 0 ? "" : ",", ids[i], *turn / 4, i % 2 == 0 ? "-62135596800" : "253402300799",
                ids[i]);
    }
    fputs("]}", reply->out);
    (*turn)++;
}

static void numbers_at_their_bounds_break_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 11; i++) {
        struct paper *paper = new_paper();
        int turn = 0;

        paper_open(paper, places[i].yaml, serve_extremes, &turn);
        paper->params[0] = "https://forum.example";
        for (int poll = 0; poll < 3; poll++) {
            (void)paper_poll(paper);
            assert_true(paper->err.kind != EAR_FATAL);
            paper->now_us += 2 * HOUR_US;
        }
        free_place(paper, NULL);
    }
}

/* --- hooks --- */

static void serve_claims(void *world, const struct fetch_request *request, struct reply *reply)
{
    (void)world;
    (void)request;
    fputs("{\"posts\":[{\"id\":\"1\",\"text\":\"a\",\"said\":1795348800,\"had\":1795345200},"
          "{\"id\":\"2\",\"text\":\"b\",\"said\":1795341600,\"had\":1795345200}]}",
          reply->out);
}

static void a_claimed_time_is_never_later_than_the_servers(void **state)
{
    struct paper *paper = new_paper();

    (void)state;
    paper_open(paper,
               HEAD "request: {url: '{base}/posts'}\nrecords: /posts/*\npage: {kind: none}\n"
                    "cursor: {by: /had, as: unix, order: newest}\nhook: claimed-time\n"
                    "map: {id: /id, text: /text, created_at: {from: /said, as: unix}}\n",
               serve_claims, NULL);
    paper->params[0] = "https://forum.example";
    paper_poll_well(paper);
    assert_int_equal(paper_find(paper, "1")->created_us, INT64_C(1795345200) * SECOND_US);
    assert_int_equal(paper_find(paper, "2")->created_us, INT64_C(1795341600) * SECOND_US);
    free_place(paper, NULL);
}

/* --- pages and their limits --- */

static const char limited[] = HEAD MAP "request: {url: '{base}/posts'}\n"
                                       "page: {kind: last, from: /id, into: before, max: 2}\n"
                                       "cursor: {by: /id, as: int, order: newest}\n";

static void a_walk_that_meets_its_limit_tells_a_gap(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum->page = 5;
    forum_fill(forum, 30, 600, 3600);
    open_place(paper, limited, forum);
    paper_poll_well(paper);
    assert_int_equal(paper->post_count, 10);
    assert_int_equal(paper->gaps, 1); /* of its history */
    assert_int_equal(paper_said(paper, "gap -.."), 1);
    paper->now_us += HOUR_US;
    for (int i = 0; i < 12; i++) {
        forum_add(forum, paper->now_us / SECOND_US - 100 + i, 0);
    }
    paper_poll_well(paper);
    assert_int_equal(paper->gaps, 1);
    assert_int_equal(paper_said(paper, "gap 2026-11-22T11:00:00Z..2026-11-22T12:58:22Z"), 1);
    paper->now_us += HOUR_US;
    forum_add(forum, paper->now_us / SECOND_US - 100, 0);
    paper_poll_well(paper);
    assert_int_equal(paper->gaps, 0); /* told once */
    free_place(paper, forum);
}

static void half_an_answer_is_not_the_end_of_the_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) { /* those that are walked back */
        struct paper *paper = new_paper();
        struct forum *forum = calloc(1, sizeof *forum);

        forum->page = 5;
        forum_fill(forum, 20, 600, 3600);
        open_place(paper, places[i].yaml, forum);
        paper_poll_well(paper);
        paper->now_us += HOUR_US;
        for (int k = 0; k < 17; k++) {
            forum_add(forum, paper->now_us / SECOND_US - 600 + (int64_t)k * 30, 0);
        }
        forum->fault_in = 3;
        forum->fault_status = 200;
        forum->fault_body = "{\"posts\":[]}";
        if (paper_poll(paper) != PAPER_LATER) {
            fail_msg("%s: %d\n%s", places[i].name, (int)paper->end, paper->log);
        }
        paper->now_us += 60 * SECOND_US;
        paper_poll_well(paper);
        forum_compare(forum, paper);
        assert_int_equal(paper->gaps, 0);
        free_place(paper, forum);
    }
}

/* The server forgot what was read before: said once, after it was asked twice. */
static void a_list_that_lost_its_past_tells_a_gap(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum->page = 5;
    forum_fill(forum, 20, 600, 3600);
    open_place(paper, places[0].yaml, forum);
    paper_poll_well(paper);
    for (size_t i = 0; i < 20; i++) {
        forum->posts[i].deleted = true;
    }
    paper->now_us += HOUR_US;
    forum_add(forum, paper->now_us / SECOND_US - 60, 0);
    assert_int_equal(paper_poll(paper), PAPER_LATER);
    assert_int_equal(paper->gaps, 0);
    paper->now_us += 60 * SECOND_US;
    paper_poll_well(paper);
    assert_int_equal(paper->gaps, 1);
    paper->now_us += 60 * SECOND_US;
    paper_poll_well(paper);
    assert_int_equal(paper->gaps, 0);
    free_place(paper, forum);
}

static void serve_for_ever(void *world, const struct fetch_request *request, struct reply *reply)
{
    const char *mode = world;

    (void)request;
    fprintf(reply->out, "{\"posts\":[{\"id\":%s,\"text\":\"a\",\"created\":1}],\"next\":\"%s\"}",
            strcmp(mode, "same") == 0             ? "7"
            : asked_for(request, "after") == NULL ? "7"
                                                  : "8",
            strcmp(mode, "circle") == 0 && asked_for(request, "after") != NULL &&
                    strcmp(asked_for(request, "after"), "b") == 0
                ? "c"
                : "b");
}

static void a_server_that_goes_in_circles_ends_the_walk(void **state)
{
    static const char *const modes[] = {"same", "token", "circle"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct paper *paper = new_paper();

        paper_open(paper, places[1].yaml, serve_for_ever, (void *)modes[i]);
        paper->params[0] = "https://forum.example";
        paper_poll_well(paper);
        assert_in_range(paper->requests, 1, 8);
        free_place(paper, NULL);
    }
}

static void serve_elsewhere(void *world, const struct fetch_request *request, struct reply *reply)
{
    (void)request;
    fputs("{\"posts\":[{\"id\":1,\"text\":\"a\",\"created\":1}]}", reply->out);
    reply_header(reply, "link", "<%s>; rel=\"last next\"", (const char *)world);
}

static void links_stay_on_the_host(void **state)
{
    struct paper *paper = new_paper();

    (void)state;
    paper_open(paper, places[4].yaml, serve_elsewhere, (void *)"https://evil.example/link?max=1");
    paper->params[0] = "https://forum.example";
    assert_int_equal(paper_poll(paper), PAPER_FAILED);
    assert_int_equal(paper->err.kind, EAR_REJECT);
    assert_non_null(strstr(paper->err.message, "evil.example"));
    paper->world = (void *)"http://forum.example/link?max=1"; /* behind a proxy */
    paper_poll_well(paper);
    assert_in_range(paper_said(paper, "ask https://forum.example/link?max=1"), 1, 3);
    paper->world = (void *)"?max=1";
    paper_poll_well(paper);
    assert_in_range(paper_said(paper, "ask https://forum.example/link?max=1"), 1, 3);
    free_place(paper, NULL);
}

/* Records change while a list that is ordered by change is walked by numbers of pages. */
static void change_meanwhile(struct forum *forum, int64_t requests)
{
    struct forum_post *post = forum_get(forum, 3 * requests - 2);

    if (requests <= 4) {
        post->updated_s = NOON_US / SECOND_US + requests;
        snprintf(post->text, sizeof post->text, "changed %" PRId64, requests);
    }
}

static void what_moves_to_the_end_of_a_list_loses_nothing(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum->page = 5;
    forum_fill(forum, 40, 600, 3600);
    open_place(paper, places[6].yaml, forum);
    forum->meanwhile = change_meanwhile;
    paper_poll_well(paper);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

static void many_posts_of_one_second_are_paged_through(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum->page = 5;
    forum_fill(forum, 4, 600, 3600);
    for (int i = 0; i < 17; i++) {
        forum_add(forum, NOON_US / SECOND_US - 1000, 0);
    }
    forum_add(forum, NOON_US / SECOND_US - 900, 0);
    open_place(paper, places[6].yaml, forum);
    paper_poll_well(paper);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

/* --- history and backfill --- */

static void first_sight_goes_back_as_far_as_history_says(void **state)
{
    static const size_t wanted[] = {0, 24, 60};
    static const int64_t histories[] = {0, 4 * HOUR_US, INT64_MAX};

    (void)state;
    for (size_t place = 0; place < 9; place++) {
        for (size_t i = 0; i < 3; i++) {
            struct paper *paper = new_paper();
            struct forum *forum = calloc(1, sizeof *forum);

            forum->page = 5;
            forum_fill(forum, 60, 600, 10); /* ten minutes apart */
            open_place(paper, places[place].yaml, forum);
            paper->source.history_us = histories[i];
            paper_poll_well(paper);
            if (paper->post_count != wanted[i]) {
                fail_msg("%s: %zu instead of %zu\n%s", places[place].name, paper->post_count,
                         wanted[i], paper->log);
            }
            if (i < 2 && place < 6) {
                assert_in_range(paper->requests, 1, 6);
            }
            paper->now_us += HOUR_US;
            forum_add(forum, paper->now_us / SECOND_US - 5, 0);
            paper_poll_well(paper);
            assert_int_equal(paper->post_count, wanted[i] + 1);
            free_place(paper, forum);
        }
    }
}

static void a_backfill_walks_into_the_past_beside_the_polls(void **state)
{
    (void)state;
    for (size_t place = 0; place < PLACES; place++) {
        struct paper *paper = new_paper();
        struct forum *forum = calloc(1, sizeof *forum);
        const int64_t since_us = NOON_US - 8 * HOUR_US;
        size_t kills = 0;

        forum->page = 5;
        forum_fill(forum, 60, 600, 10);
        open_place(paper, places[place].yaml, forum);
        paper->source.history_us = 0;
        paper_poll_well(paper);
        assert_int_equal(paper->post_count, 0);
        paper->backfill_since_us = since_us;
        paper->crash_at = 3; /* killed again and again */
        while (paper_poll(paper) == PAPER_CRASHED) {
            assert_true(++kills < 100);
            paper->backfill_since_us = 0; /* an ordinary poll between */
            paper->crash_at = 0;
            paper->now_us += 60 * SECOND_US;
            forum_add(forum, paper->now_us / SECOND_US - 5, 0);
            paper_poll_well(paper);
            assert_int_equal(paper_said(paper, "reject"), 0);
            paper->backfill_since_us = since_us;
            paper->crash_at = 3 + 2 * kills;
        }
        assert_int_equal(paper->end, PAPER_DONE);
        paper->backfill_since_us = 0;
        paper->crash_at = 0;
        paper->now_us += 60 * SECOND_US;
        paper_poll_well(paper);
        if (paper->post_count != 48 + kills) {
            fail_msg("%s: %zu posts after %zu kills", places[place].name, paper->post_count, kills);
        }
        paper->backfill_since_us = since_us; /* done is done */
        paper_poll_well(paper);
        assert_int_equal(paper->published, 0);
        free_place(paper, forum);
    }
}

static void probe_shows_one_page_and_moves_nothing(void **state)
{
    (void)state;
    for (size_t place = 0; place < PLACES; place++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(20);

        open_place(paper, places[place].yaml, forum);
        paper->probe = true;
        paper->source.history_us = 0;
        paper_poll_well(paper);
        assert_null(paper->cursor);
        assert_in_range(paper->post_count, 5, 40);
        assert_in_range(paper->requests, 1, place < 9 ? 1 : place == 11 ? 25 : 8);
        free_place(paper, forum);
    }
}

/* --- revisits, and what is gone --- */

static const char revisited[] =
    HEAD MAP "request: {url: '{base}/posts'}\n"
             "page: {kind: last, from: /id, into: before}\n"
             "cursor: {by: /id, as: int, order: newest}\n"
             "revisit: [{window: 2h, every: 1h}, {window: 1d, every: 6h}]\n"
             "gone: {request: {url: '{base}/item/{post/id}'}, most: 2}\n";

static void windows_are_visited_again_when_they_are_due(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);
    size_t narrow = 0;

    (void)state;
    forum->page = 5;
    forum_fill(forum, 100, 600, 10);
    open_place(paper, revisited, forum);
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 22); /* an empty page behind a full one is doubted once */
    snprintf(forum_get(forum, 95)->text, 32, "edited");
    snprintf(forum_get(forum, 70)->text, 32, "edited");
    paper->now_us += HOUR_US / 2; /* nothing is due */
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 1);
    assert_string_equal(paper_find(paper, "95")->text, "post 95");
    paper->now_us += HOUR_US / 2; /* two hours back */
    paper_poll_well(paper);
    narrow = paper->requests;
    assert_in_range(narrow, 2, 3);
    assert_string_equal(paper_find(paper, "95")->text, "edited");
    assert_string_equal(paper_find(paper, "70")->text, "post 70");
    paper->now_us += HOUR_US / 4;
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 1);
    paper->now_us += 5 * HOUR_US; /* both, in one walk */
    paper_poll_well(paper);
    assert_string_equal(paper_find(paper, "70")->text, "edited");
    assert_in_range(paper->requests, 18, 21);
    free_place(paper, forum);
}

static void only_an_answer_makes_a_post_gone(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);
    size_t asked = 0;

    (void)state;
    forum->page = 5;
    forum_fill(forum, 60, 600, 10);
    open_place(paper, revisited, forum);
    paper_poll_well(paper);
    forum_get(forum, 58)->deleted = true;
    forum_get(forum, 57)->deleted = true;
    forum_get(forum, 56)->deleted = true;
    forum->unseen = 59; /* absent from the list, and there all the same */
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/item/"), 2); /* two a poll */
    paper->now_us += HOUR_US / 10;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/item/"), 2); /* the other two with the next, due or not */
    assert_true(paper_find(paper, "58")->deleted);
    assert_true(paper_find(paper, "57")->deleted);
    assert_true(paper_find(paper, "56")->deleted);
    assert_false(paper_find(paper, "59")->deleted);
    assert_int_equal(paper_alive(paper), 57);
    paper->now_us += HOUR_US / 10;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/item/"), 0);
    for (int i = 0; i < 12; i++) { /* it is not asked for for ever */
        paper->now_us += HOUR_US;
        paper_poll_well(paper);
        asked += paper_said(paper, "/item/59");
    }
    assert_in_range(asked, 1, 2);
    free_place(paper, forum);
}

static void a_reply_that_is_not_shown_again_is_asked_for(void **state)
{
    static const char yaml[] =
        HEAD MAP "request: {url: '{base}/threads'}\n"
                 "page: {kind: token, from: /next, into: after}\n"
                 "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"
                 "revisit: [{window: 30d, every: 1h}]\n"
                 "gone: {request: {url: '{base}/item/{post/key}'}, key: /id}\n"
                 "children:\n"
                 "  - {each: /posts/*, when: {path: /replies, over: 0, changed: true},\n"
                 "     gone: true, request: {url: '{base}/replies', query: {thread: '{/id}'}},\n"
                 "     page: {kind: number, into: page, first: 1}}\n";
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);
    int64_t replies[7];

    (void)state;
    forum->page = 3;
    forum_fill(forum, 8, 600, 10);
    for (size_t i = 0; i < 7; i++) {
        replies[i] = forum_add(forum, NOON_US / SECOND_US - 120, i < 5 ? 6 : 7)->id;
    }
    open_place(paper, yaml, forum);
    paper_poll_well(paper);
    forum_compare(forum, paper);
    forum_get(forum, replies[3])->deleted = true;
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/item/"), 1);
    forum_compare(forum, paper);
    paper->now_us += HOUR_US; /* what was not asked for again is not missed */
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/item/"), 0);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

static void a_server_in_trouble_makes_nothing_gone(void **state)
{
    static const int statuses[] = {0, 403, 429, 500, 503};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = calloc(1, sizeof *forum);

        forum->page = 5;
        forum_fill(forum, 60, 600, 10);
        open_place(paper, revisited, forum);
        paper_poll_well(paper);
        forum_get(forum, 58)->deleted = true;
        forum->fault_in = 1;
        forum->fault_path = "/item/";
        forum->fault_status = statuses[i];
        paper->now_us += HOUR_US;
        assert_int_equal(paper_poll(paper), statuses[i] == 403 ? PAPER_DONE : PAPER_JUDGED);
        assert_int_equal(forum->fault_in, 0);
        assert_false(paper_find(paper, "58")->deleted);
        paper->now_us += statuses[i] == 403 ? 6 * HOUR_US : 60 * SECOND_US;
        paper_poll_well(paper);
        assert_true(paper_find(paper, "58")->deleted);
        free_place(paper, forum);
    }
}

static void serve_bad_item(void *world, const struct fetch_request *request, struct reply *reply)
{
    if (strstr(request->url, "/item/") != NULL) {
        reply->status = 500;
        return;
    }
    forum_serve(world, request, reply);
}

static void a_post_that_cannot_be_asked_for_is_let_go_of(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);
    int failed = 0;

    (void)state;
    forum->page = 5;
    forum_fill(forum, 60, 600, 10);
    open_place(paper, revisited, forum);
    paper_poll_well(paper);
    forum_get(forum, 58)->deleted = true;
    paper->serve = serve_bad_item;
    paper->now_us += HOUR_US;
    while (paper_poll(paper) == PAPER_JUDGED) {
        assert_true(++failed < 10);
        paper->now_us += 60 * SECOND_US;
    }
    assert_int_equal(paper->end, PAPER_DONE);
    assert_int_equal(failed, 6);
    free_place(paper, forum);
}

/* --- what names the next page --- */

/* It keeps in mind itself where we are. */
static void serve_same_name(void *world, const struct fetch_request *request, struct reply *reply)
{
    struct forum *forum = world;
    const int64_t from = asked_for(request, "after") == NULL ? 0 : forum->pinned;
    const int64_t count = (int64_t)forum->count;
    int64_t to = from + forum->page < count ? from + forum->page : count;

    fputs("{\"posts\":[", reply->out);
    for (int64_t i = from; i < to; i++) {
        const struct forum_post *post = &forum->posts[count - 1 - i];

        fprintf(reply->out,
                "%s{\"id\":%" PRId64 ",\"text\":\"%s\",\"created\":%" PRId64 ",\"updated\":%" PRId64
                ",\"thread\":%" PRId64 ",\"author\":1}",
                i == from ? "" : ",", post->id, post->text, post->created_s, post->updated_s,
                post->thread);
    }
    forum->pinned = to;
    fprintf(reply->out, "]%s}", to < count ? ",\"next\":\"on\"" : "");
}

static void a_cursor_that_the_server_would_refuse_is_not_sent(void **state)
{
    static const char yaml[] =
        HEAD MAP "request: {url: '{base}/posts'}\n"
                 "page: {kind: last, from: /id, into: before}\n"
                 "cursor: {by: /id, as: int, order: newest, into: since_id, within: 6d}\n";
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(23);

    (void)state;
    open_place(paper, yaml, forum);
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "since_id="), 0);
    paper->now_us += 5 * DAY_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "since_id="), 1);
    paper->now_us += 2 * DAY_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "since_id="), 0);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

static void pages_may_all_be_called_the_same(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(23);

    (void)state;
    forum->page = 5;
    open_place(paper, places[1].yaml, forum);
    paper->serve = serve_same_name;
    paper_poll_well(paper);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

/* --- children --- */

static void only_what_changed_is_asked_for_again(void **state)
{
    (void)state;
    for (size_t place = 9; place < 11; place++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(20);

        open_place(paper, places[place].yaml, forum);
        paper_poll_well(paper);
        forum_compare(forum, paper);
        paper->now_us += HOUR_US; /* the whole window is walked, no thread has changed */
        paper_poll_well(paper);
        assert_int_equal(paper_said(paper, "/replies") + paper_said(paper, "/many"), 0);
        paper->now_us += HOUR_US;
        forum_add(forum, paper->now_us / SECOND_US - 60, 1);
        paper_poll_well(paper);
        forum_compare(forum, paper);
        assert_int_equal(paper->published, 1);
        assert_in_range(paper_said(paper, "/replies") + paper_said(paper, "/many"), 1, 3);
        free_place(paper, forum);
    }
}

static void a_child_that_is_not_there_is_passed_over(void **state)
{
    static const int statuses[] = {403, 404, 410};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(12);

        open_place(paper, places[9].yaml, forum);
        forum->fault_in = 1;
        forum->fault_path = "/replies?thread=4&";
        forum->fault_status = statuses[i];
        paper_poll_well(paper);
        assert_int_equal(forum->fault_in, 0);
        assert_int_equal(paper->post_count, forum->count - 4);
        free_place(paper, forum);
    }
}

/* A child that always fails: set aside after five polls, and the rest goes on. */
static void serve_poison(void *world, const struct fetch_request *request, struct reply *reply)
{
    if (strstr(request->url, "/replies?thread=4&") != NULL) {
        reply->status = 500;
        return;
    }
    forum_serve(world, request, reply);
}

static void one_child_does_not_stop_the_list_for_ever(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(12);

    (void)state;
    open_place(paper, places[9].yaml, forum);
    paper->serve = serve_poison;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(paper_poll(paper), PAPER_JUDGED);
        assert_int_equal(paper->judged, 500);
        paper->now_us += 60 * SECOND_US;
    }
    paper_poll_well(paper);
    assert_int_equal(paper->rejects, 1);
    assert_int_equal(paper->post_count, forum->count - 4);
    free_place(paper, forum);
}

static const char sparing[] =
    HEAD MAP "request: {url: '{base}/threads'}\n"
             "page: {kind: token, from: /next, into: after}\n"
             "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"
             "children:\n"
             "  - {each: /posts/*, when: {path: /replies, over: 0}, max: 3,\n"
             "     request: {url: '{base}/replies', query: {thread: '{/id}'}},\n"
             "     page: {kind: number, into: page, first: 1}}\n";

static void what_a_poll_may_ask_for_goes_on_with_the_next(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(24);
    size_t polls = 0;

    (void)state;
    open_place(paper, sparing, forum);
    while (paper_poll(paper) == PAPER_LATER) {
        assert_true(++polls < 40);
        paper->now_us += 60 * SECOND_US;
    }
    assert_int_equal(paper->end, PAPER_DONE);
    assert_true(polls > 2);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

/* --- ids --- */

static void an_id_that_is_null_comes_later(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum_fill(forum, 10, 600, 10);
    open_place(paper, places[11].yaml, forum);
    paper_poll_well(paper);
    paper->now_us += HOUR_US;
    for (int i = 0; i < 4; i++) {
        forum_add(forum, paper->now_us / SECOND_US - 10, 0)->unready = i == 1;
    }
    paper_poll_well(paper);
    assert_null(paper_find(paper, "12"));
    assert_int_equal(paper->post_count, 13);
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 2); /* where the newest is, and that one again */
    forum_get(forum, 12)->unready = false;
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    forum_compare(forum, paper);
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 1);
    free_place(paper, forum);
}

/* Says that its newest id is `unseen`. */
static void serve_lies(void *world, const struct fetch_request *request, struct reply *reply)
{
    struct forum *forum = world;

    if (forum->unseen > 0 && asked_path(request, "/max")) {
        fprintf(reply->out, "%lld", (long long)forum->unseen);
        return;
    }
    forum_serve(forum, request, reply);
}

static void a_newest_id_that_is_a_lie_costs_one_poll_and_is_told(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum_fill(forum, 10, 600, 10);
    open_place(paper, places[11].yaml, forum);
    paper->serve = serve_lies;
    paper_poll_well(paper);
    more_posts(forum, 3, paper->now_us);
    paper->now_us += HOUR_US;
    forum->unseen = INT64_C(1) << 60;
    assert_int_equal(paper_poll(paper), PAPER_LATER);
    assert_int_equal(paper->wait_us, 60 * SECOND_US);
    assert_int_equal(paper->requests, 10001);
    assert_int_equal(paper->gaps, 1);
    assert_int_equal(paper_said(paper, "the newest id is 1152921504606846976 and was 10"), 1);
    forum->unseen = 0;
    paper->now_us += HOUR_US;
    paper_poll_well(paper); /* the truth again: all there is */
    forum_compare(forum, paper);
    assert_int_equal(paper->gaps, 1);
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 1);
    assert_int_equal(paper->gaps, 0);
    free_place(paper, forum);
}

static void a_newest_id_that_is_a_lie_at_first_sight_is_forgotten(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum_fill(forum, 10, 600, 10);
    open_place(paper, places[11].yaml, forum);
    paper->serve = serve_lies;
    forum->unseen = INT64_MAX;
    assert_int_equal(paper_poll(paper), PAPER_LATER);
    assert_int_equal(paper->requests, 10001);
    forum->unseen = 0;
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

/* --- 304 --- */

static void an_unchanged_page_is_not_read_again(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(12);

    (void)state;
    forum->etags = true;
    open_place(paper, places[1].yaml, forum);
    paper_poll_well(paper);
    paper->now_us += HOUR_US / 2;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "if-none-match"), 1);
    assert_int_equal(paper->requests, 1);
    more_posts(forum, 3, paper->now_us);
    paper_poll_well(paper);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

static void a_304_that_lies_is_found_out(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(12);
    size_t polls = 0;

    (void)state;
    forum->etags = forum->lies = true;
    open_place(paper, places[1].yaml, forum);
    paper_poll_well(paper);
    paper->now_us += 60 * SECOND_US;
    more_posts(forum, 3, paper->now_us);
    while (paper->post_count < forum->count) {
        paper->now_us += 60 * SECOND_US;
        paper_poll_well(paper);
        assert_true(++polls <= 5);
    }
    assert_int_equal(polls, 5);
    paper->now_us += 60 * SECOND_US;
    more_posts(forum, 3, paper->now_us);
    paper_poll_well(paper); /* it is not asked that way again */
    assert_int_equal(paper_said(paper, "if-none-match"), 0);
    forum_compare(forum, paper);
    free_place(paper, forum);
}

/* --- the cursor --- */

static void a_cursor_is_kept_small_whatever_comes(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = calloc(1, sizeof *forum);

    (void)state;
    forum->page = 100;
    forum_fill(forum, 1400, 60, 10);
    for (int64_t i = 1; i <= 1400; i++) {
        forum_add(forum, NOON_US / SECOND_US - 5, i);
    }
    open_place(paper,
               HEAD MAP "request: {url: '{base}/threads'}\n"
                        "page: {kind: token, from: /next, into: after}\n"
                        "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"
                        "revisit: [{window: 30d, every: 1h}]\n"
                        "gone: {request: {url: '{base}/item/{post/id}'}}\n"
                        "children:\n"
                        "  - {each: /posts/*, when: {path: /replies, over: 0, changed: true},\n"
                        "     request: {url: '{base}/replies', query: {thread: '{/id}'}}}\n",
               forum);
    paper_poll_well(paper);
    forum_compare(forum, paper);
    assert_in_range(strlen(paper->cursor), 1000, 256 * 1024);
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/replies"), 0);
    free_place(paper, forum);
}

static void a_cursor_that_is_not_understood_stops_the_source(void **state)
{
    static const char *const cursors[] = {"{\"v\":2}", "[]", "{", "{}"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct paper *paper = new_paper();
        struct forum *forum = new_forum(5);

        open_place(paper, places[0].yaml, forum);
        paper->cursor = strdup(cursors[i]);
        assert_int_equal(paper_poll(paper), PAPER_FAILED);
        assert_int_equal(paper->err.kind, EAR_CONFIG);
        assert_int_equal(strncmp(paper->err.message, "cursor: ", 8), 0);
        free_place(paper, forum);
    }
}

static void another_place_begins_anew_another_key_does_not(void **state)
{
    struct paper *paper = new_paper();
    struct forum *forum = new_forum(20);

    (void)state;
    open_place(paper, places[0].yaml, forum);
    paper_poll_well(paper);
    paper->params[1] = "another key";
    paper_poll_well(paper);
    assert_int_equal(paper->requests, 1);
    paper->params[0] = "https://other.example";
    paper_poll_well(paper);
    assert_true(paper->requests > 3);
    free_place(paper, forum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_post_is_there_once_after_each_poll),
        cmocka_unit_test(a_crash_at_any_step_loses_nothing),
        cmocka_unit_test(a_poll_that_is_always_killed_comes_to_its_end_at_last),
        cmocka_unit_test(posts_that_come_during_a_walk_are_there_after_the_next),
        cmocka_unit_test(an_old_post_pinned_on_top_stops_no_walk),
        cmocka_unit_test(secrets_never_get_into_the_cursor),
        cmocka_unit_test(numbers_at_their_bounds_break_nothing),
        cmocka_unit_test(a_claimed_time_is_never_later_than_the_servers),
        cmocka_unit_test(a_walk_that_meets_its_limit_tells_a_gap),
        cmocka_unit_test(half_an_answer_is_not_the_end_of_the_list),
        cmocka_unit_test(a_list_that_lost_its_past_tells_a_gap),
        cmocka_unit_test(a_server_that_goes_in_circles_ends_the_walk),
        cmocka_unit_test(links_stay_on_the_host),
        cmocka_unit_test(what_moves_to_the_end_of_a_list_loses_nothing),
        cmocka_unit_test(many_posts_of_one_second_are_paged_through),
        cmocka_unit_test(first_sight_goes_back_as_far_as_history_says),
        cmocka_unit_test(a_backfill_walks_into_the_past_beside_the_polls),
        cmocka_unit_test(probe_shows_one_page_and_moves_nothing),
        cmocka_unit_test(windows_are_visited_again_when_they_are_due),
        cmocka_unit_test(only_an_answer_makes_a_post_gone),
        cmocka_unit_test(a_reply_that_is_not_shown_again_is_asked_for),
        cmocka_unit_test(pages_may_all_be_called_the_same),
        cmocka_unit_test(a_cursor_that_the_server_would_refuse_is_not_sent),
        cmocka_unit_test(a_server_in_trouble_makes_nothing_gone),
        cmocka_unit_test(a_post_that_cannot_be_asked_for_is_let_go_of),
        cmocka_unit_test(only_what_changed_is_asked_for_again),
        cmocka_unit_test(a_child_that_is_not_there_is_passed_over),
        cmocka_unit_test(one_child_does_not_stop_the_list_for_ever),
        cmocka_unit_test(what_a_poll_may_ask_for_goes_on_with_the_next),
        cmocka_unit_test(an_id_that_is_null_comes_later),
        cmocka_unit_test(a_newest_id_that_is_a_lie_costs_one_poll_and_is_told),
        cmocka_unit_test(a_newest_id_that_is_a_lie_at_first_sight_is_forgotten),
        cmocka_unit_test(an_unchanged_page_is_not_read_again),
        cmocka_unit_test(a_304_that_lies_is_found_out),
        cmocka_unit_test(a_cursor_is_kept_small_whatever_comes),
        cmocka_unit_test(a_cursor_that_is_not_understood_stops_the_source),
        cmocka_unit_test(another_place_begins_anew_another_key_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
