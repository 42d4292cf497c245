/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets, through the fetcher's door, against a real server. Time is the fetcher's clock, which
 * the test moves: an hour passes without being waited for.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/fetch/fetch.h"
#include "common/clock.h"
#include "common/instant.h"
#include "common/metrics.h"
#include "tests/collectors/fetch/hostile.h"

#define SECOND CLOCK_SECOND_US
#define MINUTE CLOCK_MINUTE_US
#define HOUR CLOCK_HOUR_US

static const char *const loopback[] = {"127.0.0.0/8"};

struct bench {
    struct hostile *server;
    struct clock clock;
    struct fetch *fetch;
    struct metrics *metrics;
    char folder[64], path[128];
};

static int begin(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    bench->server = hostile_start();
    (void)snprintf(bench->folder, sizeof(bench->folder), "/tmp/earshot-budget-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    (void)snprintf(bench->path, sizeof(bench->path), "%s/budgets.json", bench->folder);
    *state = bench;
    return 0;
}

static int end(void **state)
{
    struct bench *bench = *state;

    (void)unlink(bench->path);
    (void)rmdir(bench->folder);
    hostile_stop(bench->server);
    free(bench);
    return 0;
}

/* The clock starts at an instant, or at the machine's time (NULL). */
static void set_clock(struct bench *bench, const char *at)
{
    struct ear_error err = {0};

    assert_int_equal(clock_init(&bench->clock, at, &err), 0);
}

static void pass(struct bench *bench, int64_t us)
{
    bench->clock.shift_us += us;
}

static void open_fetch(struct bench *bench, bool kept)
{
    struct ear_error err = {0};
    const struct fetch_config config = {
        .allow = {loopback, 1},
        .body_limit_bytes = INT64_C(1024) * 1024,
        .total_timeout_us = 10 * SECOND,
        .slow_timeout_us = 5 * SECOND,
        .concurrent = 100,
        .host_concurrent = 4,
        .host_rate_per_s = 10,
        .user_agent = "earshot-test/1",
        .metrics = bench->metrics,
        .clock = &bench->clock,
        .budget_path = kept ? bench->path : NULL,
    };

    if (fetch_open(&bench->fetch, &config, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void open_new(struct bench *bench, const char *at)
{
    set_clock(bench, at);
    open_fetch(bench, false);
}

static void close_fetch(struct bench *bench)
{
    fetch_close(bench->fetch);
    bench->fetch = NULL;
}

/* -1: refused, and *err says why. */
static int start_as(struct bench *bench, const char *source, const struct fetch_budget *budget,
                    const char *path, void *user, struct ear_error *err)
{
    char url[512];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", bench->server->plain_port, path);
    return fetch_start(bench->fetch,
                       &(struct fetch_request){.url = url, .source = source, .budget = budget},
                       user, err);
}

static const struct fetch_answer *await(struct bench *bench)
{
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};
    void *user = NULL;

    if (fetch_turn(bench->fetch, 15000, &answer, &user, &err) != 1) {
        fail_msg("no answer: %s", err.message);
    }
    return answer;
}

static const struct fetch_answer *ask_as(struct bench *bench, const char *source,
                                         const struct fetch_budget *budget, const char *path)
{
    struct ear_error err = {0};

    if (start_as(bench, source, budget, path, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return await(bench);
}

static const struct fetch_answer *ask(struct bench *bench, const struct fetch_budget *budget)
{
    return ask_as(bench, "s", budget, "/echo");
}

static int64_t wait_of(struct bench *bench, const struct fetch_budget *budget)
{
    return fetch_budget_wait_us(bench->fetch, budget, "s");
}

static void assert_about(int64_t value, int64_t expected, int64_t slack)
{
    if (value < expected - slack || value > expected + slack) {
        fail_msg("%lld s is not about %lld s", (long long)(value / SECOND),
                 (long long)(expected / SECOND));
    }
}

/* --- windows --- */

static void no_window_ever_sees_more_than_its_units(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 3, .per_us = SECOND};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    int64_t went_us[10];
    struct ear_error err = {0};

    open_new(bench, NULL);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(start_as(bench, "s", &budget, "/echo", NULL, &err), 0);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(await(bench)->status, 200);
        went_us[i] = clock_mono_us();
    }
    for (size_t i = 3; i < 10; i++) { /* answers may be late by as much as one of them takes */
        assert_true(went_us[i] - went_us[i - 3] > 900000);
    }
    assert_true(went_us[9] - went_us[0] < 5 * SECOND); /* nor are fewer let go */
    close_fetch(bench);
}

static void what_waits_too_long_is_refused_and_says_how_long(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 2, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    const struct fetch_budget other = {"b", &limit, 1, 1};
    struct ear_error err = {0};

    open_new(bench, NULL);
    assert_int_equal(wait_of(bench, &budget), 0);
    assert_int_equal(ask(bench, &budget)->status, 200);
    pass(bench, 10 * MINUTE);
    assert_int_equal(ask(bench, &budget)->status, 200);
    assert_about(wait_of(bench, &budget), 50 * MINUTE, 2 * MINUTE);
    assert_int_equal(start_as(bench, "s", &budget, "/echo", NULL, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    assert_int_equal(strncmp(err.message, "budget: ", 8), 0);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_int_equal(fetch_pending(bench->fetch), 0);
    assert_int_equal(wait_of(bench, &other), 0); /* another credential's */
    pass(bench, 52 * MINUTE);
    assert_int_equal(wait_of(bench, &budget), 0);
    assert_int_equal(ask(bench, &budget)->status, 200);
    assert_about(wait_of(bench, &budget), 8 * MINUTE, 2 * MINUTE + MINUTE);
    close_fetch(bench);
}

static void a_request_may_cost_more_or_nothing(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 100, .per_us = HOUR};
    const struct fetch_budget search = {"a", &limit, 1, 60};
    const struct fetch_budget read = {"a", &limit, 1, 1};
    const struct fetch_budget nothing = {"a", &limit, 1, 0};
    const struct fetch_budget huge = {"b", &limit, 1, 5000};

    open_new(bench, NULL);
    assert_int_equal(ask(bench, &search)->status, 200);
    assert_true(wait_of(bench, &search) > 50 * MINUTE);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(wait_of(bench, &read), 0);
        assert_int_equal(ask(bench, &read)->status, 200);
    }
    assert_true(wait_of(bench, &read) > 50 * MINUTE);
    assert_int_equal(wait_of(bench, &nothing), 0);
    assert_int_equal(wait_of(bench, &huge), 0); /* more than there ever is: once a window */
    close_fetch(bench);
}

static void several_limits_hold_at_once(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limits[] = {{.units = 2, .per_us = MINUTE},
                                         {.units = 3, .per_us = HOUR}};
    const struct fetch_budget budget = {"a", limits, 2, 1};

    open_new(bench, NULL);
    ask(bench, &budget);
    ask(bench, &budget);
    assert_about(wait_of(bench, &budget), MINUTE, 2 * SECOND);
    pass(bench, 62 * SECOND);
    ask(bench, &budget);
    assert_about(wait_of(bench, &budget), HOUR, 3 * MINUTE);
    close_fetch(bench);
}

static void a_day_begins_anew_at_midnight_of_its_zone(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {
        .units = 2, .per_us = 24 * HOUR, .zone = "America/Los_Angeles"};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    const struct fetch_limit unknown = {.units = 2, .per_us = HOUR, .zone = "Europe/Atlantis"};
    const struct fetch_budget nowhere = {"b", &unknown, 1, 1};
    struct ear_error err = {0};

    open_new(bench, "2026-11-22T06:00:00Z"); /* 22:00 of the 21st there */
    ask(bench, &budget);
    ask(bench, &budget);
    assert_about(wait_of(bench, &budget), 2 * HOUR, SECOND);
    pass(bench, 2 * HOUR - MINUTE);
    assert_about(wait_of(bench, &budget), MINUTE, SECOND);
    pass(bench, MINUTE);
    assert_int_equal(wait_of(bench, &budget), 0);
    assert_int_equal(start_as(bench, "s", &nowhere, "/echo", NULL, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "Atlantis"));
    close_fetch(bench);
}

static void a_clock_that_is_set_back_gives_nothing_away(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1, .per_us = HOUR};
    const struct fetch_limit daily = {.units = 1, .zone = "UTC"};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    const struct fetch_budget of_day = {"b", &daily, 1, 1};

    open_new(bench, "2026-11-22T12:00:00Z");
    ask(bench, &budget);
    ask(bench, &of_day);
    pass(bench, -24 * HOUR);
    assert_about(wait_of(bench, &of_day), 12 * HOUR, MINUTE);
    assert_about(wait_of(bench, &budget), HOUR, 2 * MINUTE);
    pass(bench, 62 * MINUTE);
    assert_int_equal(wait_of(bench, &budget), 0);
    close_fetch(bench);
}

static void a_redirect_at_home_is_a_request_too(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 2, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    open_new(bench, NULL);
    assert_int_equal(ask_as(bench, "s", &budget, "/redirect?to=/echo")->status, 200);
    assert_true(wait_of(bench, &budget) > 50 * MINUTE);
    close_fetch(bench);
}

static void what_is_cancelled_was_never_spent(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1, .per_us = 10 * SECOND};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    struct ear_error err = {0};
    int mine = 0;

    open_new(bench, NULL);
    ask(bench, &budget);
    assert_int_equal(start_as(bench, "s", &budget, "/echo", &mine, &err), 0);
    assert_about(wait_of(bench, &budget), 20 * SECOND, SECOND);
    fetch_cancel(bench->fetch, &mine);
    assert_about(wait_of(bench, &budget), 10 * SECOND, SECOND);
    assert_int_equal(fetch_pending(bench->fetch), 0);
    close_fetch(bench);
}

/* --- what servers say --- */

static void a_server_says_what_is_left_in_four_notations(void **state)
{
    static const struct {
        enum fetch_reset as;
        const char *reset;
    } cases[] = {
        {FETCH_RESET_SECONDS, "600"},     {FETCH_RESET_SECONDS, "600.25"},
        {FETCH_RESET_UNIX, "1795341600"}, {FETCH_RESET_RFC3339, "2026-11-22T10:00:00.000Z"},
        {FETCH_RESET_MS, "600000"},       {FETCH_RESET_MS, "1795341600000"},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct fetch_limit limit = {.units = 1000,
                                          .per_us = HOUR,
                                          .remaining = "x-left",
                                          .reset = "x-reset",
                                          .reset_as = cases[i].as};
        const struct fetch_budget budget = {"a", &limit, 1, 1};
        char path[256];

        open_new(bench, "2026-11-22T09:50:00Z");
        (void)snprintf(
            path, sizeof(path),
            "/quota?X-Left=1.9&X-Reset=%s&Date=Sun,%%2022%%20Nov%%202026%%2009:50:00%%20GMT",
            cases[i].reset);
        ask_as(bench, "s", &budget, path);
        assert_int_equal(wait_of(bench, &budget), 0);
        (void)snprintf(
            path, sizeof(path),
            "/quota?X-Left=0&X-Reset=%s&Date=Sun,%%2022%%20Nov%%202026%%2009:50:00%%20GMT",
            cases[i].reset);
        ask_as(bench, "s", &budget, path);
        assert_about(wait_of(bench, &budget), 10 * MINUTE, 2 * SECOND);
        pass(bench, 10 * MINUTE + SECOND);
        assert_int_equal(wait_of(bench, &budget), 0);
        close_fetch(bench);
    }
}

static void an_instant_is_of_the_servers_clock(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1000,
                                      .per_us = HOUR,
                                      .remaining = "x-left",
                                      .reset = "x-reset",
                                      .reset_as = FETCH_RESET_RFC3339};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    open_new(bench, "2026-11-22T09:58:00Z"); /* eight minutes ahead of the server's */
    ask_as(bench, "s", &budget,
           "/quota?X-Left=0&X-Reset=2026-11-22T10:00:00Z&Date=Sun,%2022%20Nov%202026%2009:50:00%"
           "20GMT");
    assert_about(wait_of(bench, &budget), 10 * MINUTE, 2 * SECOND);
    close_fetch(bench);
}

static void what_is_left_is_counted_down_until_the_next_word(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1000,
                                      .per_us = HOUR,
                                      .remaining = "x-left",
                                      .reset = "x-reset",
                                      .reset_as = FETCH_RESET_SECONDS};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    char *text = NULL;

    open_new(bench, NULL);
    close_fetch(bench);
    {
        struct ear_error err = {0};

        assert_int_equal(metrics_new(&bench->metrics, &err), 0);
    }
    open_fetch(bench, false);
    ask_as(bench, "s", &budget, "/quota?X-Left=3&X-Reset=600");
    for (int i = 0; i < 3; i++) { /* these answers say nothing */
        assert_int_equal(wait_of(bench, &budget), 0);
        ask(bench, &budget);
    }
    assert_about(wait_of(bench, &budget), 10 * MINUTE, 2 * SECOND);
    text = metrics_text(bench->metrics);
    assert_non_null(strstr(text, "earshot_collect_quota_remaining{source=\"s\"} 0"));
    free(text);
    close_fetch(bench);
    metrics_free(bench->metrics);
    bench->metrics = NULL;
}

static void an_answers_body_may_say_it(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {
        .units = 300, .per_us = 24 * HOUR, .remaining = "/quota_remaining"};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    open_new(bench, NULL);
    ask(bench, &budget);
    fetch_budget_tell(bench->fetch, &budget, 0, 1, -1);
    assert_int_equal(wait_of(bench, &budget), 0);
    fetch_budget_tell(bench->fetch, &budget, 0, 0, -1);
    assert_about(wait_of(bench, &budget), 24 * HOUR, SECOND);
    fetch_budget_tell(bench->fetch, &budget, 0, 0, 90 * SECOND);
    assert_about(wait_of(bench, &budget), 90 * SECOND, SECOND);
    fetch_budget_tell(bench->fetch, &budget, 0, 299, -1);
    assert_int_equal(wait_of(bench, &budget), 0);
    fetch_budget_rest(bench->fetch, &budget, 45 * SECOND);
    assert_about(wait_of(bench, &budget), 45 * SECOND, SECOND);
    fetch_budget_tell(bench->fetch, &budget, 7, 0, -1); /* no such limit */
    close_fetch(bench);
}

static void resets_are_read_or_refused(void **state)
{
    static const struct {
        const char *text;
        enum fetch_reset as;
        int64_t expected_us; /* -1: not understood */
    } cases[] = {
        {"30", FETCH_RESET_SECONDS, 30 * SECOND},
        {"30s", FETCH_RESET_SECONDS, 30 * SECOND},
        {"0.2", FETCH_RESET_SECONDS, 200000},
        {"-5", FETCH_RESET_SECONDS, 0},
        {"100, 100;w=60", FETCH_RESET_SECONDS, 100 * SECOND},
        {"soon", FETCH_RESET_SECONDS, -1},
        {"", FETCH_RESET_UNIX, -1},
        {"nan", FETCH_RESET_SECONDS, -1},
        {"inf", FETCH_RESET_SECONDS, -1},
        {"1e300", FETCH_RESET_SECONDS, -1},
        {"999999999", FETCH_RESET_SECONDS, 366 * CLOCK_DAY_US},
        {"1000000060", FETCH_RESET_SECONDS, MINUTE}, /* reset_as: unix was forgotten */
        {"1000000060000", FETCH_RESET_SECONDS, MINUTE},
        {"1000000060000", FETCH_RESET_UNIX, MINUTE},
        {"1000000060", FETCH_RESET_UNIX, MINUTE},
        {"999999000", FETCH_RESET_UNIX, 0},
        {"2001-09-09T01:47:40Z", FETCH_RESET_RFC3339, MINUTE},
        {"2001-09-09 01:47:40", FETCH_RESET_RFC3339, MINUTE},
        {"60000", FETCH_RESET_MS, MINUTE},
        {"1000000060000", FETCH_RESET_MS, MINUTE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t wait_us = -1;
        const bool read =
            fetch_reset_parse(&wait_us, cases[i].text, cases[i].as, INT64_C(1000000000) * SECOND);

        if (read != (cases[i].expected_us >= 0) || wait_us != cases[i].expected_us) {
            fail_msg("'%s': %lld", cases[i].text, (long long)wait_us);
        }
    }
    assert_false(fetch_reset_parse(&(int64_t){0}, NULL, FETCH_RESET_SECONDS, 0));
}

static void a_429_lets_all_of_its_budget_rest(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1, .per_us = 5 * SECOND};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    const struct fetch_answer *answer = NULL;
    struct ear_error err = {0};

    open_new(bench, NULL);
    assert_int_equal(start_as(bench, "one", &budget, "/quota?code=429&Retry-After=120", NULL, &err),
                     0);
    assert_int_equal(start_as(bench, "two", &budget, "/echo", NULL, &err), 0); /* waits behind it */
    assert_int_equal(await(bench)->status, 429);
    answer = await(bench); /* not sent: given up */
    assert_int_equal(answer->status, 0);
    assert_int_equal(answer->failure.kind, EAR_RETRY);
    assert_int_equal(strncmp(answer->failure.message, "budget: ", 8), 0);
    assert_about(answer->budget_wait_us, 2 * MINUTE, 2 * SECOND);
    assert_int_equal(answer->retry_after_us, answer->budget_wait_us);
    assert_about(wait_of(bench, &budget), 2 * MINUTE, 2 * SECOND);
    assert_int_equal(fetch_pending(bench->fetch), 0);
    pass(bench, 2 * MINUTE + SECOND);
    assert_int_equal(ask(bench, &budget)->status, 200);
    close_fetch(bench);
}

static void a_429_that_says_nothing_makes_it_rest_longer_each_time(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1000, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    open_new(bench, NULL);
    for (int64_t rest = 1; rest <= 64; rest *= 2) {
        assert_int_equal(ask_as(bench, "s", &budget, "/quota?code=429")->status, 429);
        assert_about(wait_of(bench, &budget), rest * SECOND, SECOND / 2);
        pass(bench, rest * SECOND);
    }
    ask(bench, &budget);
    ask_as(bench, "s", &budget, "/quota?code=429");
    assert_about(wait_of(bench, &budget), SECOND, SECOND / 2);
    close_fetch(bench);
}

/* --- between runs --- */

static void a_restart_begins_no_new_quota(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limits[] = {{.units = 3, .per_us = HOUR},
                                         {.units = 5, .per_us = HOUR, .zone = "Europe/Berlin"}};
    const struct fetch_budget budget = {"api.example/0123", limits, 1, 1};
    const struct fetch_budget daily = {"b", &limits[1], 1, 5};
    const struct fetch_budget resting = {"c", limits, 1, 1};
    const struct fetch_limit told_limit = {.units = 1000, .per_us = HOUR};
    const struct fetch_budget told = {"d", &told_limit, 1, 1};
    struct stat status;

    set_clock(bench, "2026-11-22T10:00:00Z");
    open_fetch(bench, true);
    for (int i = 0; i < 3; i++) {
        ask(bench, &budget);
        pass(bench, 5 * MINUTE);
    }
    ask(bench, &daily);
    ask_as(bench, "s", &resting, "/quota?code=429&Retry-After=1800");
    ask(bench, &told);
    fetch_budget_tell(bench->fetch, &told, 0, 0, 40 * MINUTE);
    close_fetch(bench);
    assert_int_equal(stat(bench->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    pass(bench, 5 * MINUTE);
    open_fetch(bench, true);
    assert_about(wait_of(bench, &budget), 40 * MINUTE, 2 * MINUTE);
    assert_about(wait_of(bench, &daily), 12 * HOUR + 40 * MINUTE, SECOND); /* 10:20 to 23:00 UTC */
    assert_about(wait_of(bench, &resting), 25 * MINUTE, SECOND);
    assert_about(wait_of(bench, &told), 35 * MINUTE, SECOND);
    pass(bench, 42 * MINUTE);
    ask(bench, &budget); /* the first of three is past */
    close_fetch(bench);

    pass(bench, -30 * CLOCK_DAY_US); /* what lies in the future says nothing */
    open_fetch(bench, true);
    assert_int_equal(wait_of(bench, &budget), 0);
    assert_int_equal(wait_of(bench, &resting), 0);
    assert_int_equal(wait_of(bench, &told), 0);
    close_fetch(bench);
}

static void a_limit_that_nobody_names_any_more_binds_nobody(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit old = {.units = 1, .per_us = HOUR};
    const struct fetch_limit wider = {.units = 2, .per_us = HOUR};
    const struct fetch_budget before = {"a", &old, 1, 1};
    const struct fetch_budget after = {"a", &wider, 1, 1};
    struct fetch_limit many[FETCH_LIMITS_MAX + 1];
    const struct fetch_budget too_many = {"b", many, FETCH_LIMITS_MAX + 1, 1};
    struct ear_error err = {0};

    set_clock(bench, NULL);
    open_fetch(bench, true);
    ask(bench, &before);
    assert_true(wait_of(bench, &before) > 50 * MINUTE);
    close_fetch(bench);
    open_fetch(bench, true);
    assert_int_equal(wait_of(bench, &after), 0);
    ask(bench, &after);
    ask(bench, &after);
    assert_true(wait_of(bench, &after) > 50 * MINUTE);
    for (size_t i = 0; i <= FETCH_LIMITS_MAX; i++) {
        many[i] = (struct fetch_limit){.units = 1, .per_us = HOUR + (int64_t)i};
    }
    assert_int_equal(start_as(bench, "s", &too_many, "/echo", NULL, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    close_fetch(bench);
}

static void a_killed_process_loses_no_more_than_a_second(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 4, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    pid_t child = 0;
    int ready[2];
    char byte = 0;

    set_clock(bench, NULL);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        const struct fetch_answer *answer = NULL;
        struct ear_error err = {0};
        void *user = NULL;

        open_fetch(bench, true);
        for (int i = 0; i < 4; i++) {
            ask(bench, &budget);
        }
        if (fetch_turn(bench->fetch, 1200, &answer, &user, &err) != 0) {
            _exit(1);
        }
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    open_fetch(bench, true);
    assert_true(wait_of(bench, &budget) > 50 * MINUTE);
    close_fetch(bench);
}

static void a_file_that_is_not_understood_is_as_good_as_none(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"version\":2,\"budgets\":[]}",
        "{\"version\":1,\"budgets\":[{\"id\":\"a\",\"windows\":[{\"units\":-1},{\"units\":1,\"per_"
        "us\":1},"
        "{\"units\":1,\"per_us\":3600000000,\"slot\":-5,\"spent\":\"0:1\"},"
        "{\"units\":1,\"per_us\":3600000000,\"slot\":29,\"spent\":\"99:1 :: -1:7 x\"},"
        "{\"units\":1,\"zone\":\"No/Where\",\"day\":1,\"spent_today\":1}]},{\"id\":7},3]}",
    };
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 1, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    set_clock(bench, NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *file = fopen(bench->path, "w");

        assert_non_null(file);
        assert_true(fputs(texts[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
        open_fetch(bench, true);
        assert_int_equal(wait_of(bench, &budget), 0);
        ask(bench, &budget);
        close_fetch(bench);
        open_fetch(bench, true);
        assert_true(wait_of(bench, &budget) > 50 * MINUTE);
        close_fetch(bench);
    }
}

/* --- who shares --- */

static void a_long_walk_leaves_a_quarter_to_the_others(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 20, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    int walked = 0;
    int others = 0;

    open_new(bench, NULL);
    ask_as(bench, "one", &budget, "/echo");
    ask_as(bench, "two", &budget, "/echo");
    for (; walked < 20 && fetch_budget_wait_us(bench->fetch, &budget, "walk") == 0; walked++) {
        ask_as(bench, "walk", &budget, "/echo");
    }
    assert_int_equal(walked, 13); /* and the two: three quarters of 20 */
    for (; others < 20 &&
           fetch_budget_wait_us(bench->fetch, &budget, others % 2 == 0 ? "one" : "two") == 0;
         others++) {
        ask_as(bench, others % 2 == 0 ? "one" : "two", &budget, "/echo");
    }
    assert_int_equal(others, 5);
    close_fetch(bench);
}

static void a_walk_alone_may_take_all(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 20, .per_us = HOUR};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    open_new(bench, NULL);
    for (int i = 0; i < 20; i++) {
        ask_as(bench, "walk", &budget, "/echo");
    }
    assert_true(fetch_budget_wait_us(bench->fetch, &budget, "walk") > 50 * MINUTE);
    close_fetch(bench);
}

static void who_waits_by_itself_is_not_in_the_others_way(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 8, .per_us = 20 * SECOND};
    const struct fetch_budget budget = {"a", &limit, 1, 1};
    struct ear_error err = {0};
    const struct fetch_answer *answer = NULL;
    void *user = NULL;
    int walk = 0;
    int one = 0;

    open_new(bench, NULL);
    ask_as(bench, "one", &budget, "/echo");
    for (int i = 0; i < 5; i++) {
        ask_as(bench, "walk", &budget, "/echo");
    }
    assert_int_equal(start_as(bench, "walk", &budget, "/echo", &walk, &err), 0); /* has to wait */
    assert_int_equal(start_as(bench, "one", &budget, "/echo", &one, &err), 0);
    assert_int_equal(fetch_turn(bench->fetch, 5000, &answer, &user, &err), 1);
    assert_ptr_equal(user, &one);
    close_fetch(bench);
}

static void a_share_grows_with_those_who_share(void **state)
{
    struct bench *bench = *state;
    const struct fetch_limit limit = {.units = 60, .per_us = MINUTE};
    const struct fetch_budget budget = {"a", &limit, 1, 1};

    open_new(bench, NULL);
    assert_int_equal(fetch_budget_share_us(bench->fetch, "a"), 0);
    ask_as(bench, "one", &budget, "/echo");
    assert_about(fetch_budget_share_us(bench->fetch, "a"), SECOND, 1000);
    ask_as(bench, "two", &budget, "/echo");
    ask_as(bench, "three", &budget, "/echo");
    assert_about(fetch_budget_share_us(bench->fetch, "a"), 3 * SECOND, 1000);
    fetch_budget_tell(bench->fetch, &budget, 0, 10, 10 * MINUTE); /* one a minute is left */
    assert_about(fetch_budget_share_us(bench->fetch, "a"), 3 * MINUTE, SECOND);
    pass(bench, 2 * HOUR); /* nobody asked any more */
    ask_as(bench, "two", &budget, "/echo");
    assert_about(fetch_budget_share_us(bench->fetch, "a"), SECOND, 1000);
    close_fetch(bench);
}

static void an_id_names_host_and_credential_and_tells_neither_secret(void **state)
{
    char one[FETCH_BUDGET_ID_SIZE];
    char other[FETCH_BUDGET_ID_SIZE];
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(fetch_budget_id(one, "https://API.Example/v1/x?key=s3cret", NULL, &err), 0);
    assert_string_equal(one, "api.example");
    assert_int_equal(fetch_budget_id(one, "http://127.0.0.1:8080/v1", "", &err), 0);
    assert_string_equal(one, "127.0.0.1:8080");
    assert_int_equal(fetch_budget_id(one, "https://api.example/a", "s3cret", &err), 0);
    assert_int_equal(fetch_budget_id(other, "https://api.example/b", "s3cret", &err), 0);
    assert_string_equal(one, other);
    assert_null(strstr(one, "s3cret"));
    assert_int_equal(fetch_budget_id(other, "https://api.example/b", "another", &err), 0);
    assert_string_not_equal(one, other);
    assert_int_equal(fetch_budget_id(other, "gopher://x", NULL, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_window_ever_sees_more_than_its_units),
        cmocka_unit_test(what_waits_too_long_is_refused_and_says_how_long),
        cmocka_unit_test(a_request_may_cost_more_or_nothing),
        cmocka_unit_test(several_limits_hold_at_once),
        cmocka_unit_test(a_day_begins_anew_at_midnight_of_its_zone),
        cmocka_unit_test(a_clock_that_is_set_back_gives_nothing_away),
        cmocka_unit_test(a_redirect_at_home_is_a_request_too),
        cmocka_unit_test(what_is_cancelled_was_never_spent),
        cmocka_unit_test(a_server_says_what_is_left_in_four_notations),
        cmocka_unit_test(an_instant_is_of_the_servers_clock),
        cmocka_unit_test(what_is_left_is_counted_down_until_the_next_word),
        cmocka_unit_test(an_answers_body_may_say_it),
        cmocka_unit_test(resets_are_read_or_refused),
        cmocka_unit_test(a_429_lets_all_of_its_budget_rest),
        cmocka_unit_test(a_429_that_says_nothing_makes_it_rest_longer_each_time),
        cmocka_unit_test(a_restart_begins_no_new_quota),
        cmocka_unit_test(a_limit_that_nobody_names_any_more_binds_nobody),
        cmocka_unit_test(a_killed_process_loses_no_more_than_a_second),
        cmocka_unit_test(a_file_that_is_not_understood_is_as_good_as_none),
        cmocka_unit_test(a_long_walk_leaves_a_quarter_to_the_others),
        cmocka_unit_test(a_walk_alone_may_take_all),
        cmocka_unit_test(who_waits_by_itself_is_not_in_the_others_way),
        cmocka_unit_test(a_share_grows_with_those_who_share),
        cmocka_unit_test(an_id_names_host_and_credential_and_tells_neither_secret),
    };

    return cmocka_run_group_tests_name("budget", tests, begin, end);
}
