/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/token/token.h"
#include "tests/collectors/definition/paper.h"

#define PLACE                                                                                      \
    "earshot: 1\nplatform: place\nchannel: forum\n"                                                \
    "params: {base: {required: true, help: where}, key: {secret: true}, user: {help: whom}}\n"     \
    "request: {url: '{base}/posts'}\nrecords: /posts/*\n"                                          \
    "page: {kind: token, from: /next, into: after}\n"                                              \
    "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"                               \
    "map: {id: /id, text: /text, created_at: {from: /created, as: unix}}\n"

/* A server of three pages, with one of these in front of the n-th request. */
struct script {
    int fault_at, status;
    const char *body, *header, *value;
    int64_t retry_after_us;
    int asked;
    /* tokens */
    int tokens, expired_status;
    bool wants_token, session;
    const char *expired_body;
    char good[32], refused[32];
    bool refuses_all, refuses_login;
    char seen[400]; /* Authorization of each request but those for tokens */
};

static void serve_token(struct script *script, const struct fetch_request *request,
                        struct reply *reply)
{
    script->tokens++;
    if (script->refuses_login) {
        reply->status = 401;
        fputs("{\"error\":\"invalid_client\"}", reply->out);
        return;
    }
    snprintf(script->good, sizeof script->good, "T%d", script->tokens);
    if (script->session) {
        assert_non_null(request->body);
        fprintf(reply->out, "{\"jwt\":\"%s\",\"again\":\"R%d\"}", script->good, script->tokens);
    } else {
        fprintf(reply->out, "{\"access_token\":\"%s\",\"expires_in\":3600}", script->good);
    }
}

static void serve(void *world, const struct fetch_request *request, struct reply *reply)
{
    struct script *script = world;
    const char *after = asked_for(request, "after");
    const char *shown = asked_header(request, "Authorization");
    char wanted[64];

    if (asked_path(request, "/token") || asked_path(request, "/login")) {
        serve_token(script, request, reply);
        return;
    }
    script->asked++;
    snprintf(script->seen + strlen(script->seen), sizeof script->seen - strlen(script->seen), "%s|",
             shown == NULL ? "-" : shown);
    snprintf(wanted, sizeof wanted, "Bearer %s", script->good);
    if (script->wants_token &&
        (script->refuses_all || shown == NULL || strcmp(shown, wanted) != 0)) {
        reply->status = script->expired_status == 0 ? 401 : script->expired_status;
        fputs(script->expired_body == NULL ? "{}" : script->expired_body, reply->out);
        return;
    }
    if (script->asked == script->fault_at) {
        reply->status = script->status;
        reply->retry_after_us = script->retry_after_us == 0 ? -1 : script->retry_after_us;
        fputs(script->body == NULL ? "{}" : script->body, reply->out);
        if (script->header != NULL) {
            reply_header(reply, script->header, "%s", script->value);
        }
        return;
    }
    if (asked_path(request, "/about")) {
        fputs("{\"version\":\"2.1\",\"board\":\"b7\"}", reply->out);
        return;
    }
    fprintf(reply->out, "{\"posts\":[{\"id\":\"%s1\",\"text\":\"a\",\"created\":%d}]%s",
            after == NULL ? "a" : after, after == NULL ? 1795348000 : 1795347000,
            after == NULL             ? ",\"next\":\"b\"}"
            : strcmp(after, "b") == 0 ? ",\"next\":\"c\"}"
                                      : "}");
}

static struct paper *new_place(const char *yaml, struct script *script)
{
    struct paper *paper = calloc(1, sizeof *paper);

    assert_non_null(paper);
    paper_open(paper, yaml, serve, script);
    paper->params[0] = "https://forum.example";
    paper->params[1] = "S3CRET";
    paper->params[2] = "kim";
    return paper;
}

static void free_place(struct paper *paper)
{
    tokens_close(paper->tokens);
    paper_close(paper);
    free(paper);
}

static void rules_are_obeyed(void **state)
{
    static const struct {
        const char *rules;
        struct script script;
        enum paper_end end;
        int judged;
        enum ear_error_kind kind;
        int64_t wait_us;
        const char *says;
        size_t posts;
    } cases[] = {
        {"", {.fault_at = 2, .status = 500}, PAPER_JUDGED, 500, EAR_NONE, 0, "", 1},
        {"", {.fault_at = 1, .status = 404}, PAPER_JUDGED, 404, EAR_NONE, 0, "", 0},
        {"", {.fault_at = 1, .status = 0}, PAPER_JUDGED, 0, EAR_NONE, 0, "", 0},
        {"", {.fault_at = 1, .status = 429}, PAPER_JUDGED, 429, EAR_NONE, 0, "", 0},
        {"limit: {requests: 9, per: 1m, reset: X-Reset, reset_as: seconds}\n",
         {.fault_at = 2, .status = 429, .header = "x-reset", .value = "77"},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         77 * SECOND_US,
         "rate_limit: ",
         1},
        {"limit: {requests: 9, per: 1m, reset: X-Reset, reset_as: rfc3339}\n",
         {.fault_at = 2, .status = 429, .header = "x-reset", .value = "2026-11-22T12:01:30Z"},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         90 * SECOND_US,
         "rate_limit: ",
         1},
        {"errors: [{status: 400, path: /error, is: slow, do: wait, for: 40s, say: 'Slow, "
         "{user}.'}]\n",
         {.fault_at = 2, .status = 400, .body = "{\"error\":\"slow\"}"},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         40 * SECOND_US,
         "rate_limit: Slow, kim.",
         1},
        {"errors: [{status: 400, path: /error, is: slow, do: wait, for: 40s}]\n",
         {.fault_at = 2, .status = 400, .body = "{\"error\":\"other\"}"},
         PAPER_JUDGED,
         400,
         EAR_NONE,
         0,
         "",
         1},
        {"errors: [{status: 429, do: wait, wait_from: /extras/wait}]\n",
         {.fault_at = 2, .status = 429, .body = "{\"extras\":{\"wait\":12.5}}"},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         12500000,
         "",
         1},
        {"errors: [{status: 403, do: wait}]\n",
         {.fault_at = 1, .status = 403, .retry_after_us = 9 * SECOND_US},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         9 * SECOND_US,
         "",
         0},
        /* noon in UTC is 04:00 in California: twenty hours to midnight */
        {"limit: {requests: 9, per: 1d, zone: America/Los_Angeles}\n"
         "errors: [{status: 403, do: wait, until: '00:00', say: spent}]\n",
         {.fault_at = 2, .status = 403},
         PAPER_LATER,
         0,
         EAR_NONE,
         20 * HOUR_US,
         "spent",
         1},
        {"errors: [{status: 200, path: /errors/0/kind, is: limited, do: wait, for: 5s}]\n",
         {.fault_at = 2, .status = 200, .body = "{\"errors\":[{\"kind\":\"limited\"}]}"},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         5 * SECOND_US,
         "later: ",
         1},
        {"errors: [{status: 400, do: end}]\n",
         {.fault_at = 3, .status = 400},
         PAPER_DONE,
         0,
         EAR_NONE,
         0,
         "",
         2},
        {"errors: [{status: 403, do: skip}]\n",
         {.fault_at = 1, .status = 403},
         PAPER_DONE,
         0,
         EAR_NONE,
         0,
         "",
         0},
        {"errors: [{status: 403, do: retry}]\n",
         {.fault_at = 2, .status = 403},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         0,
         "auth: ",
         1},
        {"errors: [{status: [403, 404], do: stop, say: '{base} is no forum: {/why}'}]\n",
         {.fault_at = 1, .status = 404, .body = "{\"why\":\"moved\"}"},
         PAPER_FAILED,
         0,
         EAR_CONFIG,
         0,
         "not_found: https://forum.example is no forum: moved",
         0},
        {"errors: [{status: 403, header: X-Left, is: 0, do: wait, for: 3s}]\n",
         {.fault_at = 1, .status = 403, .header = "x-left", .value = "0"},
         PAPER_FAILED,
         0,
         EAR_RETRY,
         3 * SECOND_US,
         "",
         0},
        {"",
         {.fault_at = 2, .status = 200, .body = "{\"posts\":"},
         PAPER_FAILED,
         0,
         EAR_REJECT,
         0,
         "bad_json",
         1},
        {"",
         {.fault_at = 2, .status = 200, .body = "{\"posts\":\"none\"}"},
         PAPER_FAILED,
         0,
         EAR_REJECT,
         0,
         "schema: ",
         1},
        {"",
         {.fault_at = 2, .status = 200, .body = "{\"posts\":[{\"text\":\"x\"}]}"},
         PAPER_DONE,
         0,
         EAR_NONE,
         0,
         "",
         1}, /* a record without an id is rejected */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[3000];
        struct script script = cases[i].script;
        struct paper *paper = NULL;
        enum paper_end end = PAPER_DONE;

        snprintf(yaml, sizeof yaml, "%s%s", PLACE, cases[i].rules);
        paper = new_place(yaml, &script);
        end = paper_poll(paper);
        if (end != cases[i].end || paper->judged != cases[i].judged ||
            paper->err.kind != cases[i].kind ||
            llabs(paper->wait_us - cases[i].wait_us) > SECOND_US ||
            strstr(end == PAPER_LATER ? paper->why : paper->err.message, cases[i].says) == NULL ||
            paper->post_count != cases[i].posts) {
            fail_msg("case %zu: end %d, judged %d, '%s' '%s', wait %" PRId64 ", %zu posts\n%s", i,
                     (int)end, paper->judged, paper->err.message, paper->why, paper->wait_us,
                     paper->post_count, paper->log);
        }
        paper_poll_well(paper); /* and the next one brings the rest */
        assert_int_equal(paper->post_count, i == 12 || i == 19 ? 2 : 3);
        free_place(paper);
    }
}

/* --- who we are --- */

static void each_shows_who_it_is_in_its_way(void **state)
{
    static const struct {
        const char *auth, *seen, *asks;
    } cases[] = {
        {"auth: {kind: bearer, value: '{key}'}\n", "Bearer S3CRET|", "/posts \n"},
        {"auth: {kind: header, name: Authorization, value: 'Token {key}'}\n", "Token S3CRET|",
         "/posts \n"},
        {"auth: {kind: basic, user: '{user}', password: '{key}'}\n", "Basic a2ltOlMzQ1JFVA==|",
         "/posts \n"},
        {"auth: {kind: query, name: key, value: '{key}'}\n", "-|", "/posts?key=S3CRET \n"},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char yaml[3000];
        struct script script = {0};
        struct paper *paper = NULL;

        snprintf(yaml, sizeof yaml, "%s%s", PLACE, cases[i].auth);
        paper = new_place(yaml, &script);
        paper_poll_well(paper);
        assert_int_equal(strncmp(script.seen, cases[i].seen, strlen(cases[i].seen)), 0);
        assert_int_equal(paper_said(paper, cases[i].asks), 1);
        assert_null(strstr(paper->cursor, "S3CRET"));
        free_place(paper);
    }
}

#define OAUTH                                                                                      \
    "auth: {kind: oauth2, grant: client_credentials, token_url: '{base}/token', id: '{user}',\n"   \
    "  secret: '{key}', via: basic}\nheaders: {X-Who: 'earshot of {user}'}\n"
#define LOGIN                                                                                      \
    "login:\n  request: {url: '{base}/login', json: {name: '{user}', password: '{key}'}}\n"        \
    "  token: /jwt\n  refresh: /again\n"                                                           \
    "  expired: {status: 400, path: /error, in: [Expired]}\n"

static void open_tokens(struct paper *paper)
{
    struct ear_error err = {EAR_NONE, ""};

    assert_int_equal(tokens_open(&paper->tokens, NULL, &err), 0);
}

static void a_token_is_fetched_first_and_kept(void **state)
{
    static const char *const ways[] = {PLACE OAUTH, PLACE LOGIN};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct script script = {.wants_token = true, .session = i == 1};
        struct paper *paper = new_place(ways[i], &script);

        open_tokens(paper);
        paper_poll_well(paper);
        assert_int_equal(script.tokens, 1);
        assert_int_equal(paper->post_count, 3);
        assert_string_equal(script.seen, "Bearer T1|Bearer T1|Bearer T1|");
        paper->now_us += 60 * SECOND_US;
        paper_poll_well(paper);
        assert_int_equal(script.tokens, 1);
        assert_null(strstr(paper->cursor, "T1"));
        free_place(paper);
    }
}

static void a_token_that_expires_in_mid_walk_is_renewed_once(void **state)
{
    static const char *const ways[] = {PLACE OAUTH, PLACE LOGIN};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct script script = {.wants_token = true,
                                .session = i == 1,
                                .expired_status = i == 1 ? 400 : 401,
                                .expired_body = "{\"error\":\"Expired\"}"};
        struct paper *paper = new_place(ways[i], &script);

        open_tokens(paper);
        paper_poll_well(paper);
        snprintf(script.good, sizeof script.good, "another");
        paper->now_us += 600 * SECOND_US;
        script.seen[0] = '\0';
        paper_poll_well(paper);
        assert_int_equal(script.tokens, 2);
        assert_int_equal(strncmp(script.seen, "Bearer T1|Bearer T2|", 20), 0);
        free_place(paper);
    }
}

static void who_is_refused_for_good_stops(void **state)
{
    static const char *const ways[] = {PLACE OAUTH, PLACE LOGIN};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct script script = {.wants_token = true,
                                .session = i % 2 == 1,
                                .refuses_all = i < 2,
                                .refuses_login = i >= 2};
        struct paper *paper = new_place(ways[i % 2], &script);

        open_tokens(paper);
        assert_int_equal(paper_poll(paper), PAPER_FAILED);
        assert_int_equal(paper->err.kind, EAR_CONFIG);
        assert_int_equal(strncmp(paper->err.message, "auth: ", 6), 0);
        assert_null(strstr(paper->err.message, "S3CRET"));
        assert_in_range(script.tokens, 1, 4);
        free_place(paper);
    }
}

static void a_crash_while_a_token_is_fetched_costs_nothing(void **state)
{
    (void)state;
    for (size_t n = 1; n < 9; n++) {
        struct script script = {.wants_token = true};
        struct paper *paper = new_place(PLACE OAUTH, &script);

        open_tokens(paper);
        paper->crash_at = n;
        (void)paper_poll(paper);
        paper->crash_at = 0;
        paper_poll_well(paper);
        assert_int_equal(paper->post_count, 3);
        free_place(paper);
    }
}

/* A server that writes the token it was shown into its links. */
static void serve_telltale_links(void *world, const struct fetch_request *request,
                                 struct reply *reply)
{
    const char *page = asked_for(request, "n");
    const int number = page == NULL ? 1 : page[0] - '0';

    (void)world;
    if (asked_path(request, "/token")) {
        fputs("{\"access_token\":\"T0KEN/1\",\"expires_in\":3600}", reply->out);
        return;
    }
    assert_null(asked_for(request, "access_token"));
    assert_string_equal(asked_header(request, "Authorization"), "Bearer T0KEN/1");
    fprintf(reply->out, "{\"posts\":[{\"id\":%d,\"text\":\"t\",\"created\":%" PRId64 "}]", number,
            NOON_US / SECOND_US - 60 * number);
    if (number < 4) {
        fprintf(reply->out, ",\"next\":\"https://forum.example/posts?access_token=%s&n=%d\"",
                number == 1 ? "T0KEN/1" : "T0KEN%2F1", number + 1);
    }
    fputs("}", reply->out);
}

static void a_token_in_a_link_is_kept_nowhere(void **state)
{
    static const char yaml[] =
        "earshot: 1\nplatform: place\nchannel: forum\n"
        "params: {base: {required: true, help: where}, key: {secret: true}, user: {help: whom}}\n"
        "request: {url: '{base}/posts'}\nrecords: /posts/*\n"
        "page: {kind: link, from: /next}\n"
        "cursor: {by: /created, as: unix, order: newest, overlap: 1m}\n"
        "map: {id: /id, text: /text, created_at: {from: /created, as: unix}}\n" OAUTH;

    (void)state;
    for (size_t n = 1; n < 8; n++) {
        struct paper *paper = new_place(yaml, NULL);

        paper->serve = serve_telltale_links;
        open_tokens(paper);
        paper->crash_at = n;
        (void)paper_poll(paper);
        assert_true(paper->cursor == NULL || strstr(paper->cursor, "T0KEN") == NULL);
        paper->crash_at = 0;
        paper_poll_well(paper);
        assert_int_equal(paper->post_count, 4);
        free_place(paper);
    }
}

/* --- first --- */

static void first_is_asked_for_once_a_day(void **state)
{
    struct script script = {0};
    struct paper *paper = new_place(
        PLACE
        "first: {url: '{base}/about'}\n"
        "lists:\n"
        "  - {name: new, when: {path: /version, matches: '^2'},\n"
        "     request: {url: '{base}/posts', query: {board: '{first/board}'}}}\n"
        "  - {name: old, when: {path: /version, matches: '^1'}, request: {url: '{base}/old'}}\n",
        &script);

    (void)state;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/about"), 1);
    assert_int_equal(paper_said(paper, "/posts?board=b7"), 3);
    assert_int_equal(paper_said(paper, "/old"), 0);
    paper->now_us += HOUR_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/about"), 0);
    assert_true(paper_said(paper, "/posts?board=b7") > 0);
    paper->now_us += DAY_US;
    paper_poll_well(paper);
    assert_int_equal(paper_said(paper, "/about"), 1);
    free_place(paper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_obeyed),
        cmocka_unit_test(each_shows_who_it_is_in_its_way),
        cmocka_unit_test(a_token_is_fetched_first_and_kept),
        cmocka_unit_test(a_token_that_expires_in_mid_walk_is_renewed_once),
        cmocka_unit_test(who_is_refused_for_good_stops),
        cmocka_unit_test(a_crash_while_a_token_is_fetched_costs_nothing),
        cmocka_unit_test(a_token_in_a_link_is_kept_nowhere),
        cmocka_unit_test(first_is_asked_for_once_a_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
