/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetcher against a server of our own that misbehaves on request (server.py). What the network
 * cannot show here (public addresses) is shown by refusal: nothing is sent to them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/fetch/fetch.h"
#include "collectors/fetch/fetch_internal.h"
#include "common/clock.h"
#include "tests/collectors/fetch/hostile.h"

#define SECOND INT64_C(1000000)

static const char *const loopback[] = {"127.0.0.0/8"};

static const struct fetch_config config = {
    .allow = {loopback, 1},
    .body_limit_bytes = INT64_C(16) * 1024 * 1024,
    .total_timeout_us = 10 * SECOND,
    .slow_timeout_us = 5 * SECOND,
    .concurrent = 100,
    .host_concurrent = 4,
    .host_rate_per_s = 10,
    .user_agent = "earshot-test/1",
};

static int start_server(void **state)
{
    *state = hostile_start();
    return 0;
}

static int stop_server(void **state)
{
    hostile_stop(*state);
    return 0;
}

static struct fetch *open_with(const struct fetch_config *settings)
{
    struct ear_error err = {0};
    struct fetch *fetch = NULL;

    if (fetch_open(&fetch, settings, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return fetch;
}

/* Whom fetchers opened from now on trust; "": the system's list. */
static void trust(const char *certificate)
{
    assert_int_equal(setenv("SSL_CERT_FILE", certificate, 1), 0); /* NOLINT: one thread */
}

static const char *address_of(const struct hostile *server, const char *path)
{
    static char text[8][512];
    static int next;
    char *out = text[next++ % 8];

    (void)snprintf(out, sizeof(text[0]), "http://127.0.0.1:%d%s", server->plain_port, path);
    return out;
}

static void start(struct fetch *fetch, const struct fetch_request *request, void *user)
{
    struct ear_error err = {0};

    if (fetch_start(fetch, request, user, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static const struct fetch_answer *await(struct fetch *fetch)
{
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};
    void *user = NULL;

    if (fetch_turn(fetch, 15000, &answer, &user, &err) != 1) {
        fail_msg("no answer: %s", err.message);
    }
    return answer;
}

static const struct fetch_answer *ask(struct fetch *fetch, const char *url)
{
    start(fetch, &(struct fetch_request){.url = url, .source = "test"}, NULL);
    return await(fetch);
}

static void assert_failure(const struct fetch_answer *answer, enum ear_error_kind kind,
                           const char *code)
{
    assert_int_equal(answer->status, 0);
    if (answer->failure.kind != kind || strncmp(answer->failure.message, code, strlen(code)) != 0) {
        fail_msg("expected %s, got kind %d: %s", code, (int)answer->failure.kind,
                 answer->failure.message);
    }
    assert_int_equal(answer->body_length, 0);
}

static void a_page_comes_with_its_headers(void **state)
{
    struct fetch *fetch = open_with(&config);
    const struct fetch_header headers[] = {{"X-Key", "secret"}, {"X-Empty", ""}};
    const struct fetch_answer *answer = NULL;

    start(fetch,
          &(struct fetch_request){.url = address_of(*state, "/echo?a=%20b#part"),
                                  .headers = headers,
                                  .header_count = 2,
                                  .source = "test"},
          NULL);
    assert_int_equal(fetch_pending(fetch), 1);
    answer = await(fetch);
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->failure.kind, EAR_NONE);
    assert_string_equal(answer->type, "application/json");
    assert_string_equal(answer->etag, "W/\"v1\"");
    assert_null(answer->last_modified);
    assert_int_equal(answer->retry_after_us, -1);
    assert_string_equal(fetch_answer_header(answer, "x-many"), "one");
    assert_non_null(strstr(answer->body, "\"target\": \"/echo?a=%20b\""));
    assert_non_null(strstr(answer->body, "\"x-key\": \"secret\""));
    assert_non_null(strstr(answer->body, "\"x-empty\": \"\""));
    assert_non_null(strstr(answer->body, "\"user-agent\": \"earshot-test/1\""));
    assert_null(strstr(answer->body, "expect"));
    assert_int_equal(strlen(answer->body), answer->body_length);
    assert_int_equal(fetch_pending(fetch), 0);
    fetch_close(fetch);
}

static void a_form_is_posted(void **state)
{
    struct fetch *fetch = open_with(&config);
    const struct fetch_answer *answer = NULL;

    start(fetch,
          &(struct fetch_request){.method = "POST",
                                  .url = address_of(*state, "/echo"),
                                  .body = "grant=x",
                                  .body_length = 7},
          NULL);
    answer = await(fetch);
    assert_non_null(strstr(answer->body, "\"method\": \"POST\""));
    assert_non_null(strstr(answer->body, "\"body\": \"grant=x\""));
    fetch_close(fetch);
}

static void an_unchanged_page_is_304(void **state)
{
    struct fetch *fetch = open_with(&config);
    struct fetch_request request = {.url = address_of(*state, "/cached")};
    const struct fetch_answer *answer = NULL;

    start(fetch, &request, NULL);
    answer = await(fetch);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->etag, "\"e1\"");
    request.etag = "\"e1\"";
    request.last_modified = "Sat, 21 Nov 2026 08:00:00 GMT";
    start(fetch, &request, NULL);
    answer = await(fetch);
    assert_int_equal(answer->status, 304);
    assert_int_equal(answer->body_length, 0);
    fetch_close(fetch);
}

static void connections_are_used_again(void **state)
{
    struct fetch *fetch = open_with(&config);
    char first[64];
    const char *place = strstr(ask(fetch, address_of(*state, "/echo"))->body, "\"connection\"");

    (void)snprintf(first, sizeof(first), "%.20s", place);
    for (int i = 0; i < 5; i++) {
        place = strstr(ask(fetch, address_of(*state, "/echo"))->body, "\"connection\"");
        assert_memory_equal(place, first, 18);
    }
    fetch_close(fetch);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    static const struct {
        const char *path;
        int64_t expected_us;
    } cases[] = {
        {"/status?code=429", -1},
        {"/status?code=429&after=120", 120 * INT64_C(1000000)},
        {"/status?code=503&after=0.5", 500000},
        {"/status?code=429&after=-5", 1000000},
        {"/status?code=429&after=0", 1000000},
        {"/status?code=429&after=99999999", 3600 * INT64_C(1000000)},
        {"/status?code=429&after=nan", 3600 * INT64_C(1000000)},
        {"/status?code=429&after=soon", -1},
        {"/status?code=429&after=Sun,%2022%20Nov%202026%2008:02:00%20GMT"
         "&date=Sun,%2022%20Nov%202026%2008:00:00%20GMT",
         120 * INT64_C(1000000)},
        {"/status?code=429&after=Sun,%2022%20Nov%202026%2007:00:00%20GMT"
         "&date=Sun,%2022%20Nov%202026%2008:00:00%20GMT",
         1000000},
        {"/status?code=429&after=Wed,%2001%20Jan%201997%2000:00:00%20GMT", 1000000},
    };
    struct fetch *fetch = open_with(&config);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct fetch_answer *answer = ask(fetch, address_of(*state, cases[i].path));

        assert_in_range(answer->status, 429, 503);
        if (answer->retry_after_us != cases[i].expected_us) {
            fail_msg("%s: %lld", cases[i].path, (long long)answer->retry_after_us);
        }
    }
    fetch_close(fetch);
}

static void redirects_are_followed_five_times(void **state)
{
    struct fetch *fetch = open_with(&config);
    const struct fetch_answer *answer = ask(fetch, address_of(*state, "/hops?left=5"));

    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "arrived");
    assert_non_null(strstr(answer->url, "/hops?left=0"));
    assert_failure(ask(fetch, address_of(*state, "/hops?left=6")), EAR_REJECT, "redirect: more");
    fetch_close(fetch);
}

static void redirects_are_checked_at_each_hop(void **state)
{
    static const struct {
        const char *to, *code;
    } cases[] = {
        {"http://10.1.2.3/", "forbidden_address: 10.1.2.3"},
        {"http://[::1]/", "forbidden_address: ::1"},
        {"http://169.254.169.254/latest/meta-data/", "forbidden_address: 169.254"},
        {"file:///etc/passwd", "redirect: "},
        {"ftp://127.0.0.1/", "redirect: "},
        {"gopher://127.0.0.1/", "redirect: "},
        {"http:///", "redirect: "},
    };
    struct fetch *fetch = open_with(&config);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[256];

        (void)snprintf(path, sizeof(path), "/redirect?to=%s", cases[i].to);
        assert_failure(ask(fetch, address_of(*state, path)), EAR_REJECT, cases[i].code);
    }
    fetch_close(fetch);
}

/* Another port is another origin: what is secret stays behind. */
static void secrets_stay_on_their_origin(void **state)
{
    const struct hostile *server = *state;
    struct fetch *fetch = NULL;
    const struct fetch_header headers[] = {{"Authorization", "Bearer topsecret"},
                                           {"X-Api-Key", "topsecret"}};
    char url[256];
    const struct fetch_answer *answer = NULL;

    if (server->tls_port == 0) {
        skip();
    }
    trust(server->certificate);
    fetch = open_with(&config);
    (void)snprintf(url, sizeof(url),
                   "http://jo:topsecret@127.0.0.1:%d/redirect?to=https://localhost:%d/echo",
                   server->plain_port, server->tls_port);
    start(fetch, &(struct fetch_request){.url = url, .headers = headers, .header_count = 2}, NULL);
    answer = await(fetch);
    assert_int_equal(answer->status, 200);
    assert_null(strstr(answer->body, "topsecret"));
    assert_null(strstr(answer->body, "authorization"));
    /* The same origin again gets them. */
    (void)snprintf(url, sizeof(url), "http://jo:topsecret@127.0.0.1:%d/redirect?to=/echo",
                   server->plain_port);
    start(fetch, &(struct fetch_request){.url = url}, NULL);
    answer = await(fetch);
    assert_non_null(strstr(answer->body, "\"authorization\": \"Basic "));
    assert_null(strstr(answer->url, "topsecret"));
    /* What is posted never goes to another origin. */
    (void)snprintf(url, sizeof(url), "/redirect?code=307&to=https://localhost:%d/echo",
                   server->tls_port);
    start(fetch,
          &(struct fetch_request){.method = "POST",
                                  .url = address_of(server, url),
                                  .body = "topsecret",
                                  .body_length = 9},
          NULL);
    assert_failure(await(fetch), EAR_REJECT, "redirect: ");
    fetch_close(fetch);
    trust("");
}

static void https_never_leads_to_http(void **state)
{
    const struct hostile *server = *state;
    struct fetch *fetch = NULL;
    char url[256];

    if (server->tls_port == 0) {
        skip();
    }
    trust(server->certificate);
    fetch = open_with(&config);
    (void)snprintf(url, sizeof(url), "https://localhost:%d/redirect?to=http://127.0.0.1:%d/echo",
                   server->tls_port, server->plain_port);
    assert_failure(ask(fetch, url), EAR_REJECT, "redirect: https://localhost");
    fetch_close(fetch);
    trust("");
}

static void certificates_are_always_checked(void **state)
{
    const struct hostile *server = *state;
    struct fetch *fetch = NULL;
    char url[256];

    if (server->tls_port == 0) {
        skip();
    }
    fetch = open_with(&config);
    (void)snprintf(url, sizeof(url), "https://localhost:%d/echo", server->tls_port);
    assert_failure(ask(fetch, url), EAR_REJECT, "tls: ");
    fetch_close(fetch);
    /* Trusted, but for another name. */
    trust(server->certificate);
    fetch = open_with(&config);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/echo", server->tls_port);
    assert_failure(ask(fetch, url), EAR_REJECT, "tls: ");
    fetch_close(fetch);
    trust("");
}

static void internal_addresses_are_refused(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1/",
        "http://localhost/",
        "http://10.0.0.1/",
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://169.254.169.254/",
        "http://100.64.0.1/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[ff02::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://017700000001/",
    };
    struct fetch_config strict = config;
    struct fetch *fetch = NULL;

    (void)state;
    strict.allow = (struct ear_strings){0};
    fetch = open_with(&strict);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_failure(ask(fetch, urls[i]), EAR_REJECT, "forbidden_address: ");
    }
    fetch_close(fetch);
}

static void allow_takes_addresses_and_ranges(void **state)
{
    static const char *const good[] = {"127.0.0.1", "::1", "10.0.0.0/8", "fd00::/8", "0.0.0.0/0"};
    static const char *const bad[] = {"localhost",   "",      "10.0.0.0/33", "::/129", "10.0.0.0/",
                                      "10.0.0.0/-1", "1.2.3", "10.0.0.0/8x"};
    struct fetch_config settings = config;
    struct ear_error err = {0};
    struct fetch *fetch = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        settings.allow = (struct ear_strings){&bad[i], 1};
        assert_int_equal(fetch_open(&fetch, &settings, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, "network.allow"));
    }
    settings.allow = (struct ear_strings){good, 5};
    fetch = open_with(&settings);
    assert_int_equal(ask(fetch, address_of(*state, "/echo"))->status, 200);
    fetch_close(fetch);
}

static void bombs_are_cut(void **state)
{
    struct fetch *fetch = open_with(&config);

    assert_failure(ask(fetch, address_of(*state, "/bomb")), EAR_REJECT, "bomb: ");
    assert_failure(ask(fetch, address_of(*state, "/bomb?chunked=1")), EAR_REJECT, "bomb: ");
    assert_failure(ask(fetch, address_of(*state, "/codings?count=3")), EAR_REJECT, "bomb: ");
    assert_string_equal(ask(fetch, address_of(*state, "/codings?count=2"))->body, "packed");
    assert_int_equal(ask(fetch, address_of(*state, "/packed?with=gzip"))->status, 200);
    assert_int_equal(ask(fetch, address_of(*state, "/packed?with=deflate"))->status, 200);
    fetch_close(fetch);
}

static void big_answers_are_cut(void **state)
{
    struct fetch_config small = config;
    struct fetch *fetch = NULL;

    small.body_limit_bytes = 100000;
    fetch = open_with(&small);
    assert_int_equal(ask(fetch, address_of(*state, "/big?size=100000"))->body_length, 100000);
    assert_failure(ask(fetch, address_of(*state, "/big?size=100001")), EAR_REJECT, "too_big: ");
    assert_failure(ask(fetch, address_of(*state, "/endless")), EAR_REJECT, "too_big: ");
    assert_failure(ask(fetch, address_of(*state, "/manyheaders?count=201&size=1")), EAR_REJECT,
                   "too_big: ");
    assert_failure(ask(fetch, address_of(*state, "/manyheaders?count=10&size=9000")), EAR_REJECT,
                   "too_big: ");
    fetch_close(fetch);
}

static void slow_answers_are_cut(void **state)
{
    struct fetch_config quick = config;
    struct fetch *fetch = NULL;

    quick.slow_timeout_us = SECOND;
    fetch = open_with(&quick);
    assert_failure(ask(fetch, address_of(*state, "/hang")), EAR_RETRY, "slow_source: ");
    assert_failure(ask(fetch, address_of(*state, "/drip?size=1000&pause=0.1")), EAR_RETRY,
                   "slow_source: ");
    fetch_close(fetch);
    quick.slow_timeout_us = 20 * SECOND;
    quick.total_timeout_us = SECOND;
    fetch = open_with(&quick);
    assert_failure(ask(fetch, address_of(*state, "/drip?size=1000000&pause=0.001")), EAR_RETRY,
                   "slow_source: ");
    fetch_close(fetch);
}

static void what_is_no_answer_may_be_asked_again(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1:1/", "http://does-not-exist.invalid/"};
    struct fetch *fetch = open_with(&config);

    assert_failure(ask(fetch, urls[0]), EAR_RETRY, "no_answer: ");
    assert_failure(ask(fetch, urls[1]), EAR_RETRY, "no_answer: ");
    assert_failure(ask(fetch, address_of(*state, "/short")), EAR_RETRY, "no_answer: ");
    assert_failure(ask(fetch, address_of(*state, "/garbage")), EAR_RETRY, "no_answer: ");
    assert_int_equal(ask(fetch, address_of(*state, "/nowhere"))->status, 404);
    fetch_close(fetch);
}

static void what_is_no_url_is_refused(void **state)
{
    static const char *const urls[] = {
        "",        "forum.example", "ftp://127.0.0.1/",   "file:///etc/passwd",
        "http://", "http://a b/",   "javascript:alert(1)"};
    struct fetch *fetch = open_with(&config);
    const struct fetch_header header = {"X-Key", "a\r\nHost: evil"};
    struct ear_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_equal(fetch_start(fetch, &(struct fetch_request){.url = urls[i]}, NULL, &err),
                         -1);
        assert_int_equal(err.kind, EAR_CONFIG);
    }
    assert_int_equal(fetch_start(fetch,
                                 &(struct fetch_request){.url = "http://127.0.0.1/",
                                                         .headers = &header,
                                                         .header_count = 1},
                                 NULL, &err),
                     -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_int_equal(fetch_pending(fetch), 0);
    fetch_close(fetch);
}

/* A host that is not opened by `allow` cannot be reached here, so the budget is seen by its pace:
 * refusals take their turn too. */
static void a_host_has_a_budget(void **state)
{
    struct fetch_config tight = config;
    struct fetch *fetch = NULL;
    int64_t began_us = 0;

    (void)state;
    tight.allow = (struct ear_strings){0};
    tight.host_rate_per_s = 20;
    fetch = open_with(&tight);
    began_us = clock_mono_us();
    for (int i = 0; i < 40; i++) {
        start(fetch, &(struct fetch_request){.url = "http://127.0.0.1:1/", .source = "test"}, NULL);
    }
    for (int i = 0; i < 40; i++) {
        (void)await(fetch);
    }
    /* 20 at once from the full bucket, 20 more at 20 a second. */
    assert_in_range(clock_mono_us() - began_us, 900000, 3000000);
    fetch_close(fetch);
}

static void sources_take_turns(void **state)
{
    struct fetch_config tight = config;
    struct fetch *fetch = NULL;
    static char names[6][8] = {"a", "a", "a", "a", "b", "c"};
    char order[7] = "";
    struct ear_error err = {0};

    (void)state;
    tight.allow = (struct ear_strings){0};
    tight.host_concurrent = 1;
    tight.host_rate_per_s = 1000;
    fetch = open_with(&tight);
    for (size_t i = 0; i < 6; i++) {
        start(fetch, &(struct fetch_request){.url = "http://10.0.0.1/", .source = names[i]},
              names[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        const struct fetch_answer *answer = NULL;
        void *user = NULL;

        assert_int_equal(fetch_turn(fetch, 5000, &answer, &user, &err), 1);
        order[i] = *(char *)user;
    }
    assert_string_equal(order, "abcaaa");
    fetch_close(fetch);
}

static void hosts_opened_by_allow_have_no_budget(void **state)
{
    struct fetch_config tight = config;
    struct fetch *fetch = NULL;
    bool beyond = false;

    tight.host_concurrent = 1;
    tight.host_rate_per_s = 1;
    fetch = open_with(&tight);
    for (int i = 0; i < 20; i++) {
        start(fetch, &(struct fetch_request){.url = address_of(*state, "/counted?key=open")}, NULL);
    }
    for (int i = 0; i < 20; i++) {
        beyond = strtol(await(fetch)->body, NULL, 10) > 4 || beyond;
    }
    assert_true(beyond);
    fetch_close(fetch);
}

/* What `allow` opens is not left alone: here, where all is opened, the host is told after the fact.
 */
static const struct fetch_answer *ask_closed(struct fetch *fetch, const char *url)
{
    const struct fetch_answer *answer = ask(fetch, url);
    struct host *host = fetch->hosts.items[0];
    struct transfer transfer = *fetch->given;

    assert_int_equal(fetch->hosts.count, 1);
    host->opened = false;
    host_read_answer(host, &transfer, clock_mono_us());
    return answer;
}

/* A host without a budget that says "too many" is left alone by all sources. */
static void a_host_that_refuses_is_left_alone(void **state)
{
    struct fetch *fetch = open_with(&config);
    struct ear_error err = {0};
    const char *url = address_of(*state, "/echo");
    int64_t began_us = 0;

    assert_int_equal(ask(fetch, address_of(*state, "/status?code=429&after=120"))->status, 429);
    assert_int_equal(fetch_rest_us(fetch, url), 0); /* it is opened */
    assert_int_equal(ask_closed(fetch, address_of(*state, "/status?code=429&after=120"))->status,
                     429);
    assert_in_range(fetch_rest_us(fetch, url), 110 * INT64_C(1000000), 120 * INT64_C(1000000));
    assert_int_equal(
        fetch_start(fetch, &(struct fetch_request){.url = url, .source = "other"}, NULL, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    fetch_close(fetch);

    fetch = open_with(&config); /* a short rest is waited out */
    assert_int_equal(ask_closed(fetch, address_of(*state, "/status?code=429"))->status, 429);
    began_us = clock_mono_us();
    assert_int_equal(ask(fetch, url)->status, 200);
    assert_in_range(clock_mono_us() - began_us, 800000, 5000000);
    fetch_close(fetch);
}

static void transfers_at_once_are_limited(void **state)
{
    struct fetch_config few = config;
    struct fetch *fetch = NULL;

    few.concurrent = 2;
    fetch = open_with(&few);
    for (int i = 0; i < 12; i++) {
        start(fetch, &(struct fetch_request){.url = address_of(*state, "/counted?key=few")}, NULL);
    }
    for (int i = 0; i < 12; i++) {
        assert_in_range(strtol(await(fetch)->body, NULL, 10), 1, 2);
    }
    fetch_close(fetch);
}

/* Six servers that send 10 MB and stop are more than the memory for bodies: the largest is cut, a
 * small page still comes at once. */
static void memory_is_bounded_over_all_transfers(void **state)
{
    struct fetch_config patient = config;
    struct fetch *fetch = NULL;
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};
    static char small[] = "small";
    void *user = NULL;
    int cut = 0;

    patient.slow_timeout_us = 5 * SECOND;
    fetch = open_with(&patient);
    for (int i = 0; i < 8; i++) {
        start(fetch, &(struct fetch_request){.url = address_of(*state, "/pour?size=10000000")},
              NULL);
    }
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/big?size=1000000")}, small);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(fetch_turn(fetch, 15000, &answer, &user, &err), 1);
        if (user == small) {
            assert_int_equal(answer->body_length, 1000000);
        } else {
            cut += strncmp(answer->failure.message, "memory: ", 8) == 0;
        }
    }
    assert_in_range(cut, 1, 7);
    fetch_close(fetch);
}

static void a_turn_without_answers_ends_in_time(void **state)
{
    struct fetch *fetch = open_with(&config);
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};
    void *user = NULL;
    int64_t began_us = clock_mono_us();

    (void)state;
    assert_int_equal(fetch_turn(fetch, 50, &answer, &user, &err), 0);
    assert_in_range(clock_mono_us() - began_us, 40000, 2000000);
    fetch_wake(fetch);
    began_us = clock_mono_us();
    assert_int_equal(fetch_turn(fetch, 5000, &answer, &user, &err), 0);
    assert_in_range(clock_mono_us() - began_us, 0, 2000000);
    fetch_close(fetch);
}

static void closing_cuts_what_is_under_way(void **state)
{
    struct fetch_config few = config;
    struct fetch *fetch = NULL;
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};
    void *user = NULL;

    few.concurrent = 2;
    fetch = open_with(&few);
    for (int i = 0; i < 5; i++) {
        start(fetch, &(struct fetch_request){.url = address_of(*state, "/hang")}, NULL);
    }
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/echo")}, NULL);
    assert_int_equal(fetch_turn(fetch, 100, &answer, &user, &err), 0);
    assert_int_equal(fetch_pending(fetch), 6);
    fetch_close(fetch);
}

/* Of a user's requests, one may be under way, one in its host's queue and one done. */
static void cancelling_takes_one_users_requests_out(void **state)
{
    struct fetch_config few = config;
    struct fetch *fetch = NULL;
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};
    int users[2] = {0};
    void *user = NULL;

    few.concurrent = 3;
    fetch = open_with(&few);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/hang")}, &users[0]);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/echo")}, &users[0]);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/echo")}, &users[0]);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/hang")}, &users[0]);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/hang")}, &users[0]);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/hang")}, &users[0]);
    start(fetch, &(struct fetch_request){.url = address_of(*state, "/status?code=404")}, &users[1]);
    assert_int_equal(fetch_turn(fetch, 2000, &answer, &user, &err), 1);
    assert_ptr_equal(user, &users[0]);
    usleep(50000); /* the second answer comes meanwhile */
    fetch_cancel(fetch, &users[0]);
    assert_int_equal(fetch_pending(fetch), 1);
    assert_int_equal(fetch_turn(fetch, 5000, &answer, &user, &err), 1);
    assert_ptr_equal(user, &users[1]);
    assert_int_equal(answer->status, 404);
    assert_int_equal(fetch_pending(fetch), 0);
    assert_int_equal(fetch_turn(fetch, 10, &answer, &user, &err), 0);
    fetch_cancel(fetch, &users[1]); /* nothing is left of it */
    fetch_close(fetch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_comes_with_its_headers),
        cmocka_unit_test(a_form_is_posted),
        cmocka_unit_test(an_unchanged_page_is_304),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(redirects_are_followed_five_times),
        cmocka_unit_test(redirects_are_checked_at_each_hop),
        cmocka_unit_test(secrets_stay_on_their_origin),
        cmocka_unit_test(https_never_leads_to_http),
        cmocka_unit_test(certificates_are_always_checked),
        cmocka_unit_test(internal_addresses_are_refused),
        cmocka_unit_test(allow_takes_addresses_and_ranges),
        cmocka_unit_test(bombs_are_cut),
        cmocka_unit_test(big_answers_are_cut),
        cmocka_unit_test(slow_answers_are_cut),
        cmocka_unit_test(what_is_no_answer_may_be_asked_again),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(a_host_has_a_budget),
        cmocka_unit_test(sources_take_turns),
        cmocka_unit_test(hosts_opened_by_allow_have_no_budget),
        cmocka_unit_test(a_host_that_refuses_is_left_alone),
        cmocka_unit_test(transfers_at_once_are_limited),
        cmocka_unit_test(memory_is_bounded_over_all_transfers),
        cmocka_unit_test(a_turn_without_answers_ends_in_time),
        cmocka_unit_test(closing_cuts_what_is_under_way),
        cmocka_unit_test(cancelling_takes_one_users_requests_out),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
