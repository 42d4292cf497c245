/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens, against a server that gives them out, lets them end, rotates and refuses them
 * (server.py). What a source's poll does with the room stands in `obtain`.
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
#include "collectors/token/token.h"
#include "common/clock.h"

#define SECOND CLOCK_SECOND_US
#define MINUTE CLOCK_MINUTE_US

enum { PROCESSES = 8 };

static const char *const loopback[] = {"127.0.0.0/8"};

static struct {
    pid_t pid;
    int input, port;
} server;

struct bench {
    char folder[64], path[128], url[128], login_url[128], renew_url[128];
    struct fetch *fetch;
    struct tokens *tokens;
    struct token_key client, session, password, refresh;
    char first_refresh[128];
    char text[1024]; /* of the token last obtained */
    struct ear_error err;
    int64_t wait_us;
};

/* --- the server --- */

static int start_server(void **state)
{
    int to[2];
    int from[2];
    char line[32] = "";

    (void)state;
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    server.pid = fork();
    if (server.pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp("python3", "python3", TESTS_DIR "/collectors/token/server.py", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    server.input = to[1];
    for (size_t i = 0; i < sizeof(line) - 1 && read(from[0], line + i, 1) == 1 && line[i] != '\n';
         i++) {
    }
    close(from[0]);
    server.port = (int)strtol(line, NULL, 10);
    assert_true(server.port > 0);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    close(server.input);
    (void)waitpid(server.pid, NULL, 0);
    return 0;
}

static const struct fetch_answer *send_request(struct bench *bench,
                                               const struct fetch_request *request)
{
    const struct fetch_answer *answer = NULL;
    void *user = NULL;

    if (fetch_start(bench->fetch, request, NULL, &bench->err) != 0 ||
        fetch_turn(bench->fetch, 15000, &answer, &user, &bench->err) != 1) {
        fail_msg("no answer: %s", bench->err.message);
    }
    return answer;
}

static const struct fetch_answer *look(struct bench *bench, const char *path)
{
    char url[2048];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", server.port, path);
    return send_request(bench, &(struct fetch_request){.url = url, .source = "test"});
}

static void tell(struct bench *bench, const char *what)
{
    char path[1024];

    (void)snprintf(path, sizeof(path), "/do?%s", what);
    assert_int_equal(look(bench, path)->status, 200);
}

static int times(struct bench *bench, const char *what)
{
    char name[64];
    const char *at = NULL;

    (void)snprintf(name, sizeof(name), "\"%s\": ", what);
    at = strstr(look(bench, "/counts")->body, name);
    return at == NULL ? 0 : (int)strtol(at + strlen(name), NULL, 10);
}

/* What /api answers to a token. */
static int status_with(struct bench *bench, const char *token)
{
    char header[1100];
    char url[128];
    const struct fetch_header headers[] = {{"Authorization", header}};

    (void)snprintf(header, sizeof(header), "Bearer %s", token);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/api", server.port);
    return send_request(bench,
                        &(struct fetch_request){.url = url, .headers = headers, .header_count = 1})
        ->status;
}

/* --- the bench --- */

static void open_fetch(struct bench *bench)
{
    const struct fetch_config config = {
        .allow = {loopback, 1},
        .body_limit_bytes = INT64_C(1024) * 1024,
        .total_timeout_us = 10 * SECOND,
        .slow_timeout_us = 5 * SECOND,
        .concurrent = 10,
        .host_concurrent = 4,
        .host_rate_per_s = 10,
        .user_agent = "earshot-test/1",
    };

    if (fetch_open(&bench->fetch, &config, &bench->err) != 0) {
        fail_msg("%s", bench->err.message);
    }
}

static void open_tokens(struct bench *bench)
{
    tokens_close(bench->tokens);
    bench->tokens = NULL;
    if (tokens_open(&bench->tokens, bench->path, &bench->err) != 0) {
        fail_msg("%s", bench->err.message);
    }
}

static int begin(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    (void)snprintf(bench->folder, sizeof(bench->folder), "/tmp/earshot-token-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    (void)snprintf(bench->path, sizeof(bench->path), "%s/tokens.json", bench->folder);
    (void)snprintf(bench->url, sizeof(bench->url), "http://127.0.0.1:%d/token", server.port);
    (void)snprintf(bench->login_url, sizeof(bench->url), "http://127.0.0.1:%d/login", server.port);
    (void)snprintf(bench->renew_url, sizeof(bench->url), "http://127.0.0.1:%d/renew", server.port);
    open_fetch(bench);
    open_tokens(bench);
    tell(bench, "life=3600&rotate=1&slow=0&fresh=1");
    bench->client = (struct token_key){.kind = TOKEN_CLIENT_CREDENTIALS,
                                       .url = bench->url,
                                       .id = "the client",
                                       .secret = "s3cret/+ä:%",
                                       .via_basic = true};
    bench->password = bench->client;
    bench->password.kind = TOKEN_PASSWORD;
    bench->password.user = "jo@example";
    bench->password.password = "pass word&=é";
    bench->refresh = bench->client;
    bench->refresh.kind = TOKEN_REFRESH_TOKEN;
    (void)snprintf(bench->first_refresh, sizeof(bench->first_refresh), "%s",
                   look(bench, "/refresh")->body);
    bench->refresh.refresh = bench->first_refresh;
    bench->session = (struct token_key){.kind = TOKEN_SESSION,
                                        .url = bench->login_url,
                                        .user = "jo@example",
                                        .password = "pass word&=é",
                                        .token_at = "/accessJwt",
                                        .refresh_at = "/refreshJwt",
                                        .can_renew = true};
    *state = bench;
    return 0;
}

static int end(void **state)
{
    struct bench *bench = *state;
    char lock[160];

    tokens_close(bench->tokens);
    fetch_close(bench->fetch);
    (void)snprintf(lock, sizeof(lock), "%s.lock", bench->path);
    (void)unlink(lock);
    (void)unlink(bench->path);
    (void)rmdir(bench->folder);
    free(bench);
    return 0;
}

/* --- what a poll does --- */

/* The request of a session's step, as an engine would fill it. */
static const struct fetch_answer *log_in(struct bench *bench, const struct token_turn *turn)
{
    static const char body[] = "{\"identifier\":\"jo@example\",\"password\":\"pass word&=é\"}";
    char bearer[512];
    const struct fetch_header json[] = {{"Content-Type", "application/json"}};
    const struct fetch_header renew[] = {{"Authorization", bearer}};

    if (turn->step == TOKEN_STEP_LOGIN) {
        return send_request(bench, &(struct fetch_request){.method = "POST",
                                                           .url = bench->login_url,
                                                           .headers = json,
                                                           .header_count = 1,
                                                           .body = body,
                                                           .body_length = sizeof(body) - 1});
    }
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", turn->refresh);
    return send_request(
        bench, &(struct fetch_request){
                   .method = "POST", .url = bench->renew_url, .headers = renew, .header_count = 1});
}

static int obtain_as(struct bench *bench, const struct token_key *key, const void *who,
                     int64_t now_us)
{
    for (int i = 0; i < 4; i++) {
        struct token_turn turn;

        ear_error_clear(&bench->err);
        if (token_get(bench->tokens, key, who, now_us, &turn, &bench->err) != 0) {
            return -1;
        }
        if (turn.state == TOKEN_READY) {
            (void)snprintf(bench->text, sizeof(bench->text), "%s", turn.text);
            return TOKEN_READY;
        }
        if (turn.state == TOKEN_BUSY) {
            bench->wait_us = turn.wait_us;
            assert_true(turn.wait_us > 0 && turn.why != NULL);
            return TOKEN_BUSY;
        }
        if (token_put(bench->tokens, key, who,
                      turn.step == TOKEN_STEP_OAUTH ? send_request(bench, &turn.request)
                                                    : log_in(bench, &turn),
                      now_us, &bench->wait_us, &bench->err) != 0) {
            return -1;
        }
    }
    fail_msg("it fetches for ever");
    return -1;
}

static int64_t now(void)
{
    const struct clock clock = {0};

    return clock_now_us(&clock);
}

static void obtain(struct bench *bench, const struct token_key *key, int64_t now_us)
{
    if (obtain_as(bench, key, bench, now_us) != TOKEN_READY) {
        fail_msg("no token: %s", bench->err.message);
    }
}

static enum token_state state_of(struct bench *bench, const struct token_key *key, const void *who,
                                 int64_t now_us)
{
    struct token_turn turn;

    if (token_get(bench->tokens, key, who, now_us, &turn, &bench->err) != 0) {
        fail_msg("%s", bench->err.message);
    }
    return turn.state;
}

static char *file_of(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    size_t length = 0;

    assert_non_null(file);
    length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    (void)fclose(file);
    return text;
}

/* --- grants --- */

static void a_client_gets_a_token_by_basic_or_by_form(void **state)
{
    struct bench *bench = *state;
    struct token_key form = bench->client;

    obtain(bench, &bench->client, now());
    assert_int_equal(status_with(bench, bench->text), 200);
    form.via_basic = false;
    form.scope = "read";
    obtain(bench, &form, now());
    assert_int_equal(status_with(bench, bench->text), 200);
    assert_int_equal(times(bench, "client_credentials"), 2);
    for (int i = 0; i < 5; i++) { /* kept: nothing is asked for again */
        obtain(bench, &bench->client, now());
    }
    assert_int_equal(times(bench, "token"), 2);
}

static void a_password_gets_a_token_once_and_then_its_refresh_token_does(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();

    obtain(bench, &bench->password, began_us);
    assert_int_equal(status_with(bench, bench->text), 200);
    obtain(bench, &bench->password, began_us + 50 * MINUTE);
    obtain(bench, &bench->password, began_us + 100 * MINUTE);
    assert_int_equal(times(bench, "password"), 1);
    assert_int_equal(times(bench, "refresh_token"), 2);
    assert_int_equal(status_with(bench, bench->text), 200);
    tell(bench, "forget=1"); /* the refresh token is dead: the password again, by itself */
    obtain(bench, &bench->password, began_us + 150 * MINUTE);
    assert_int_equal(times(bench, "password"), 2);
    assert_int_equal(status_with(bench, bench->text), 200);
}

static void a_refresh_token_that_rotates_outlives_the_process(void **state)
{
    struct bench *bench = *state;
    int64_t at_us = now();
    struct stat status;

    for (int i = 0; i < 5; i++) {
        obtain(bench, &bench->refresh, at_us);
        assert_int_equal(status_with(bench, bench->text), 200);
        assert_non_null(strstr(file_of(bench->path), bench->text));
        open_tokens(bench);                    /* as a new process */
        obtain(bench, &bench->refresh, at_us); /* the same token */
        at_us += 50 * MINUTE;
    }
    assert_int_equal(times(bench, "refresh_token"), 5);
    assert_int_equal(times(bench, "refused"), 0);
    assert_null(strstr(file_of(bench->path), bench->first_refresh));
    assert_int_equal(stat(bench->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void a_refresh_token_newly_configured_is_taken(void **state)
{
    struct bench *bench = *state;
    char second[128];

    obtain(bench, &bench->refresh, now());
    tell(bench, "forget=1&revoke=1");
    (void)snprintf(second, sizeof(second), "%s", look(bench, "/refresh")->body);
    bench->refresh.refresh = second;
    obtain(bench, &bench->refresh, now());
    assert_int_equal(status_with(bench, bench->text), 200);
}

/* The server took the old refresh token back at the moment it answered: whoever dies right after
 * token_put, without having used anything, finds the new one in the file. */
static void a_death_after_the_answer_loses_no_refresh_token(void **state)
{
    struct bench *bench = *state;
    int64_t at_us = now();

    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        int status = 0;

        if (child == 0) {
            struct token_turn turn;

            open_fetch(bench); /* connections are not shared */
            if (token_get(bench->tokens, &bench->refresh, bench, at_us, &turn, &bench->err) == 0 &&
                turn.state == TOKEN_FETCH &&
                token_put(bench->tokens, &bench->refresh, bench, send_request(bench, &turn.request),
                          at_us, &bench->wait_us, &bench->err) == 0) {
                (void)kill(getpid(), SIGKILL);
            }
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        open_tokens(bench);
        obtain(bench, &bench->refresh, at_us);
        assert_int_equal(times(bench, "refresh_token"), i + 1);
        at_us += 50 * MINUTE;
    }
    assert_int_equal(times(bench, "refused"), 0);
}

/* One that died while it was fetching does not keep the others waiting. */
static void a_death_while_fetching_leaves_no_lease_behind(void **state)
{
    struct bench *bench = *state;
    const pid_t child = fork();
    int status = 0;

    if (child == 0) {
        _exit(state_of(bench, &bench->refresh, bench, now()) == TOKEN_FETCH ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_non_null(strstr(file_of(bench->path), "lease_pid"));
    obtain(bench, &bench->refresh, now());
}

/* --- sessions --- */

static void a_session_is_renewed_and_begun_anew_where_it_cannot_be(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();

    obtain(bench, &bench->session, began_us);
    assert_int_equal(status_with(bench, bench->text), 200);
    obtain(bench, &bench->session, began_us + 47 * MINUTE); /* its JWT says an hour */
    assert_int_equal(times(bench, "login"), 1);
    assert_int_equal(times(bench, "renew"), 0);
    obtain(bench, &bench->session, began_us + 49 * MINUTE);
    assert_int_equal(times(bench, "renew"), 1);
    assert_int_equal(status_with(bench, bench->text), 200);
    tell(bench, "forget=1");
    obtain(bench, &bench->session, began_us + 100 * MINUTE);
    assert_int_equal(times(bench, "renew"), 2);
    assert_int_equal(times(bench, "login"), 2);
    assert_int_equal(status_with(bench, bench->text), 200);
}

static void a_session_that_cannot_be_renewed_logs_in_again(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();

    bench->session.can_renew = false;
    obtain(bench, &bench->session, began_us);
    obtain(bench, &bench->session, began_us + 59 * MINUTE);
    assert_int_equal(times(bench, "login"), 2);
    assert_int_equal(times(bench, "renew"), 0);
}

/* --- life --- */

static void a_token_is_fetched_ahead_by_one_while_the_others_use_the_old_one(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();
    int other = 0;
    char old[1024];

    obtain(bench, &bench->client, began_us);
    (void)snprintf(old, sizeof(old), "%s", bench->text);
    assert_int_equal(state_of(bench, &bench->client, bench, began_us + 47 * MINUTE), TOKEN_READY);
    assert_int_equal(state_of(bench, &bench->client, bench, began_us + 49 * MINUTE), TOKEN_FETCH);
    assert_int_equal(obtain_as(bench, &bench->client, &other, began_us + 49 * MINUTE), TOKEN_READY);
    assert_string_equal(bench->text, old);
    assert_int_equal(obtain_as(bench, &bench->client, &other, began_us + 51 * MINUTE), TOKEN_READY);
    assert_string_not_equal(bench->text, old); /* two minutes are all that the first one has */
    assert_int_equal(times(bench, "token"), 2);
}

static void who_comes_second_waits_while_there_is_none(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();
    int other = 0;
    int third = 0;

    assert_int_equal(state_of(bench, &bench->client, bench, began_us), TOKEN_FETCH);
    assert_int_equal(obtain_as(bench, &bench->client, &other, began_us), TOKEN_BUSY);
    assert_int_equal(bench->wait_us, SECOND);
    assert_int_equal(obtain_as(bench, &bench->client, &third, began_us), TOKEN_BUSY);
    assert_int_equal(obtain_as(bench, &bench->password, &other, began_us),
                     TOKEN_READY);      /* another credential */
    token_let_go(bench->tokens, bench); /* its poll ended */
    assert_null(strstr(file_of(bench->path), "lease_pid"));
    assert_int_equal(obtain_as(bench, &bench->client, &other, began_us), TOKEN_READY);
    assert_int_equal(obtain_as(bench, &bench->client, &third, began_us), TOKEN_READY);
    assert_int_equal(times(bench, "client_credentials"), 1);
}

static void a_token_without_an_end_is_used_until_it_is_refused(void **state)
{
    struct bench *bench = *state;

    tell(bench, "life=0");
    obtain(bench, &bench->client, now());
    obtain(bench, &bench->client, now() + 300 * CLOCK_DAY_US);
    assert_int_equal(times(bench, "token"), 1);
}

/* The file drops tokens that nobody uses: a use in memory alone must not look like none. */
static void a_token_that_is_used_daily_is_kept_through_a_restart(void **state)
{
    struct bench *bench = *state;
    int64_t at_us = now();

    tell(bench, "life=0");
    obtain(bench, &bench->client, at_us);
    for (int i = 0; i < 2 * 100; i++) {
        at_us += CLOCK_DAY_US / 2;
        obtain(bench, &bench->client, at_us);
    }
    open_tokens(bench);
    obtain(bench, &bench->password, at_us); /* what is written drops what is unused */
    open_tokens(bench);
    obtain(bench, &bench->client, at_us);
    assert_int_equal(times(bench, "client_credentials"), 1);
    at_us += 100 * CLOCK_DAY_US;
    obtain(bench, &bench->password, at_us);
    open_tokens(bench);
    obtain(bench, &bench->client, at_us);
    assert_int_equal(times(bench, "client_credentials"), 2);
}

/* --- 401 --- */

static void a_token_that_is_refused_is_replaced_once(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();
    char old[1024];
    char fresh[1024];

    obtain(bench, &bench->client, began_us);
    (void)snprintf(old, sizeof(old), "%s", bench->text);
    tell(bench, "revoke=1");
    assert_int_equal(status_with(bench, old), 401);
    assert_int_equal(token_reject(bench->tokens, &bench->client, old, began_us, &bench->err), 0);
    obtain(bench, &bench->client, began_us);
    (void)snprintf(fresh, sizeof(fresh), "%s", bench->text);
    assert_string_not_equal(fresh, old);
    assert_int_equal(status_with(bench, fresh), 200);
    /* another source comes with the old one: nothing is to be done */
    assert_int_equal(token_reject(bench->tokens, &bench->client, old, began_us, &bench->err), 0);
    obtain(bench, &bench->client, began_us);
    assert_string_equal(bench->text, fresh);
    /* the fresh one is not taken either: then it is not the token */
    assert_int_equal(
        token_reject(bench->tokens, &bench->client, fresh, began_us + 10 * SECOND, &bench->err),
        -1);
    assert_int_equal(bench->err.kind, EAR_CONFIG);
    assert_int_equal(strncmp(bench->err.message, "auth: ", 6), 0);
    assert_null(strstr(bench->err.message, fresh));
    obtain(bench, &bench->client, began_us + 10 * SECOND); /* others go on with it */
    assert_string_equal(bench->text, fresh);
    assert_int_equal(
        token_reject(bench->tokens, &bench->client, fresh, began_us + 5 * MINUTE, &bench->err), 0);
    obtain(bench, &bench->client, began_us + 5 * MINUTE);
    assert_int_equal(times(bench, "token"), 3);
}

/* --- what goes wrong --- */

static void a_refused_credential_is_not_tried_again_at_once(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();

    bench->client.secret = "wrong-secret";
    assert_int_equal(obtain_as(bench, &bench->client, bench, began_us), -1);
    assert_int_equal(bench->err.kind, EAR_CONFIG);
    assert_string_equal(bench->err.message,
                        "auth: the server gives no token (401, invalid_client: Client "
                        "authentication failed.); check the source's id and secret");
    for (int i = 0; i < 20; i++) { /* a hundred sources share it */
        assert_int_equal(obtain_as(bench, &bench->client, bench, began_us + MINUTE), -1);
        assert_int_equal(bench->err.kind, EAR_CONFIG);
    }
    assert_int_equal(times(bench, "token"), 1);
    assert_int_equal(obtain_as(bench, &bench->client, bench, began_us + 11 * MINUTE), -1);
    assert_int_equal(times(bench, "token"), 2);
    bench->client.secret = "s3cret/+ä:%"; /* mended: at once */
    obtain(bench, &bench->client, began_us + 11 * MINUTE);
}

static void a_dead_refresh_token_asks_for_a_person(void **state)
{
    struct bench *bench = *state;

    obtain(bench, &bench->refresh, now());
    tell(bench, "forget=1");
    assert_int_equal(obtain_as(bench, &bench->refresh, bench, now() + 50 * MINUTE), TOKEN_READY);
    assert_int_equal(obtain_as(bench, &bench->refresh, bench, now() + 61 * MINUTE), -1);
    assert_int_equal(bench->err.kind, EAR_CONFIG);
    assert_non_null(strstr(bench->err.message, "invalid_grant"));
    assert_non_null(strstr(bench->err.message, "give the source a new refresh token"));
    assert_null(strstr(bench->err.message, bench->first_refresh)); /* which the server quotes */
    assert_int_equal(times(bench, "refused"), 4); /* each time the rotated one, then the first */
}

static void a_server_that_is_away_is_asked_later(void **state)
{
    static const struct {
        const char *what;
        int64_t least_us, most_us;
    } cases[] = {
        {"fail=503", SECOND, SECOND},
        {"fail=500", 2 * SECOND, 2 * SECOND},
        {"fail=429&after=120", 120 * SECOND, 120 * SECOND},
        {"fail=408", 8 * SECOND, 8 * SECOND},
    };
    struct bench *bench = *state;
    int64_t at_us = now();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tell(bench, cases[i].what);
        assert_int_equal(obtain_as(bench, &bench->client, bench, at_us), -1);
        assert_int_equal(bench->err.kind, EAR_RETRY);
        assert_in_range(bench->wait_us, cases[i].least_us, cases[i].most_us);
        assert_int_equal(obtain_as(bench, &bench->client, bench, at_us), TOKEN_BUSY);
        at_us += cases[i].most_us;
    }
    assert_int_equal(times(bench, "failed"), 4);
    obtain(bench, &bench->client, at_us);
    assert_int_equal(times(bench, "token"), 1);
}

static void a_token_that_still_lives_is_used_while_no_new_one_is_to_be_had(void **state)
{
    struct bench *bench = *state;
    const int64_t began_us = now();

    obtain(bench, &bench->client, began_us);
    tell(bench, "fail=503");
    obtain(bench, &bench->client, began_us + 50 * MINUTE);
    tell(bench, "fail=401");
    obtain(bench, &bench->client, began_us + 55 * MINUTE);
    assert_int_equal(times(bench, "failed"), 2);
    assert_int_equal(times(bench, "token"), 1);
    assert_int_equal(obtain_as(bench, &bench->client, bench, began_us + 61 * MINUTE), -1);
    assert_int_equal(bench->err.kind, EAR_CONFIG);
    obtain(bench, &bench->client, began_us + 66 * MINUTE);
    assert_int_equal(times(bench, "token"), 2);
}

static void a_server_that_is_not_there_is_asked_later(void **state)
{
    struct bench *bench = *state;

    bench->client.url = "http://127.0.0.1:1/token";
    assert_int_equal(obtain_as(bench, &bench->client, bench, now()), -1);
    assert_int_equal(bench->err.kind, EAR_RETRY);
    assert_non_null(strstr(bench->err.message, "no_answer"));
    bench->client.url = "http://10.1.2.3/token"; /* nor is that a matter of time */
    assert_int_equal(obtain_as(bench, &bench->client, bench, now()), -1);
    assert_int_equal(bench->err.kind, EAR_CONFIG);
    assert_non_null(strstr(bench->err.message, "forbidden_address"));
}

static void no_answer_puts_a_secret_into_a_message(void **state)
{
    static const char *const bodies[] = {
        "fail=400&body={\"error\":\"s3cret-word\",\"error_description\":\"s3cret-word is wrong\"}",
        "fail=400&body={\"error\":{\"status\":\"s3cret-word\",\"message\":\"no s3cret-word\"}}",
        "fail=400&body={\"message\":\"you sent s3cret-word\"}",
        "fail=400&body={\"error\":\"line%0Aend\",\"error_description\":\"a\\nb\\u001b[31m\"}",
        "fail=401&body=<html>s3cret-word</html>",
        "fail=200&body=s3cret-word",
        "fail=200&body={\"access_token\":\"s3cret-word with spaces\"}",
        "fail=200&body={\"access_token\":\"s3cret-word\\r\\nX: y\"}",
        "fail=200&body={\"access_token\":[\"s3cret-word\"]}",
        "fail=200&body={\"access_token\":\"\"}",
        "fail=200&body={\"error\":\"bad_verification_code\",\"error_description\":\"s3cret-word\"}",
        "fail=200&body=[]",
        "fail=200&body=",
        "fail=302&body=s3cret-word",
    };
    struct bench *bench = *state;
    int64_t at_us = now();

    bench->client.secret = "s3cret-word";
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        tell(bench, bodies[i]);
        if (obtain_as(bench, &bench->client, bench, at_us) != -1) {
            fail_msg("taken: %s", bodies[i]);
        }
        assert_int_equal(bench->err.kind, EAR_CONFIG);
        assert_null(strstr(bench->err.message, "s3cret"));
        assert_null(strpbrk(bench->err.message, "\n\r\x1b"));
        assert_int_equal(strncmp(bench->err.message, "auth: ", 6), 0);
        at_us += 11 * MINUTE;
    }
}

static void no_answer_to_a_login_puts_its_password_into_a_message(void **state)
{
    static const char body[] = "{\"error\":\"wrong\",\"message\":\"jo, not 'pass word'\"}";
    const struct fetch_answer answer = {
        .status = 400, .url = "", .body = body, .body_length = sizeof(body) - 1};
    struct bench *bench = *state;
    struct token_turn turn;

    bench->session.user = "a name";
    bench->session.password = NULL; /* the caller's request holds it */
    bench->session.hidden[1] = "pass word";
    assert_int_equal(token_get(bench->tokens, &bench->session, bench, now(), &turn, &bench->err),
                     0);
    assert_int_equal(turn.step, TOKEN_STEP_LOGIN);
    assert_int_equal(token_put(bench->tokens, &bench->session, bench, &answer, now(),
                               &bench->wait_us, &bench->err),
                     -1);
    assert_non_null(strstr(bench->err.message, "wrong"));
    assert_null(strstr(bench->err.message, "pass word"));
}

static void a_token_that_cannot_be_written_is_not_given_out(void **state)
{
    struct bench *bench = *state;
    char blocked[160];

    (void)snprintf(blocked, sizeof(blocked), "%s.new", bench->path);
    assert_int_equal(state_of(bench, &bench->refresh, bench, now()), TOKEN_FETCH);
    assert_int_equal(mkdir(blocked, 0700), 0);
    {
        struct token_turn turn;

        /* the same one is told again; its lease is in the file already */
        assert_int_equal(rmdir(blocked), 0);
        assert_int_equal(
            token_get(bench->tokens, &bench->refresh, bench, now(), &turn, &bench->err), 0);
        assert_int_equal(mkdir(blocked, 0700), 0);
        assert_int_equal(token_put(bench->tokens, &bench->refresh, bench,
                                   send_request(bench, &turn.request), now(), &bench->wait_us,
                                   &bench->err),
                         -1);
    }
    assert_int_equal(bench->err.kind, EAR_RETRY);
    assert_int_equal(obtain_as(bench, &bench->refresh, bench, now()), -1);
    assert_int_equal(bench->err.kind, EAR_RETRY);
    assert_int_equal(rmdir(blocked), 0); /* there is room again */
    obtain(bench, &bench->refresh, now());
    assert_int_equal(status_with(bench, bench->text), 200);
    assert_int_equal(times(bench, "token"), 1);
    assert_non_null(strstr(file_of(bench->path), bench->text));
}

static void a_file_that_others_may_read_or_that_is_not_ours_is_refused(void **state)
{
    static const char *const texts[] = {"", "{\"tok3n", "[]", "{\"version\":2,\"x\":\"tok3n\"}"};
    struct bench *bench = *state;
    struct tokens *tokens = NULL;

    obtain(bench, &bench->client, now());
    assert_int_equal(chmod(bench->path, 0640), 0);
    assert_int_equal(tokens_open(&tokens, bench->path, &bench->err), -1);
    assert_int_equal(bench->err.kind, EAR_CONFIG);
    assert_non_null(strstr(bench->err.message, "chmod 600"));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *file = fopen(bench->path, "w");

        assert_non_null(file);
        (void)fputs(texts[i], file);
        (void)fclose(file);
        assert_int_equal(chmod(bench->path, 0600), 0);
        ear_error_clear(&bench->err);
        assert_int_equal(tokens_open(&tokens, bench->path, &bench->err), -1);
        assert_int_equal(bench->err.kind, EAR_CONFIG);
        assert_null(strstr(bench->err.message, "tok3n"));
    }
}

static void without_a_file_tokens_live_in_memory(void **state)
{
    struct bench *bench = *state;

    tokens_close(bench->tokens);
    assert_int_equal(tokens_open(&bench->tokens, NULL, &bench->err), 0);
    obtain(bench, &bench->refresh, now());
    obtain(bench, &bench->refresh, now() + 50 * MINUTE);
    assert_int_equal(times(bench, "refused"), 0);
}

/* --- several processes --- */

/* Each of them wants the token at once; the refresh token works once. */
static void processes_of_one_machine_share_a_token(void **state)
{
    struct bench *bench = *state;
    pid_t children[PROCESSES];

    tell(bench, "slow=0.2");
    for (int round = 0; round < 3; round++) {
        const int64_t at_us = now() + (int64_t)round * 50 * MINUTE;

        for (size_t i = 0; i < PROCESSES; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                int got = TOKEN_BUSY;

                open_fetch(bench);
                open_tokens(bench);
                for (int j = 0; j < 200 && got == TOKEN_BUSY; j++) {
                    got = obtain_as(bench, &bench->refresh, bench, at_us);
                    if (got == TOKEN_BUSY) {
                        usleep(20000);
                    }
                }
                if (got == TOKEN_READY && status_with(bench, bench->text) == 200) {
                    /* not _exit: what is the parent's is no leak of this process */
                    execlp("true", "true", (char *)NULL);
                }
                _exit(1);
            }
        }
        for (size_t i = 0; i < PROCESSES; i++) {
            int status = 0;

            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_int_equal(status, 0);
        }
        assert_int_equal(times(bench, "refresh_token"), round + 1);
    }
    assert_int_equal(times(bench, "refused"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_client_gets_a_token_by_basic_or_by_form),
        CASE(a_password_gets_a_token_once_and_then_its_refresh_token_does),
        CASE(a_refresh_token_that_rotates_outlives_the_process),
        CASE(a_refresh_token_newly_configured_is_taken),
        CASE(a_death_after_the_answer_loses_no_refresh_token),
        CASE(a_death_while_fetching_leaves_no_lease_behind),
        CASE(a_session_is_renewed_and_begun_anew_where_it_cannot_be),
        CASE(a_session_that_cannot_be_renewed_logs_in_again),
        CASE(a_token_is_fetched_ahead_by_one_while_the_others_use_the_old_one),
        CASE(who_comes_second_waits_while_there_is_none),
        CASE(a_token_without_an_end_is_used_until_it_is_refused),
        CASE(a_token_that_is_used_daily_is_kept_through_a_restart),
        CASE(a_token_that_is_refused_is_replaced_once),
        CASE(a_refused_credential_is_not_tried_again_at_once),
        CASE(a_dead_refresh_token_asks_for_a_person),
        CASE(a_server_that_is_away_is_asked_later),
        CASE(a_token_that_still_lives_is_used_while_no_new_one_is_to_be_had),
        CASE(a_server_that_is_not_there_is_asked_later),
        CASE(no_answer_puts_a_secret_into_a_message),
        CASE(no_answer_to_a_login_puts_its_password_into_a_message),
        CASE(a_token_that_cannot_be_written_is_not_given_out),
        CASE(a_file_that_others_may_read_or_that_is_not_ours_is_refused),
        CASE(without_a_file_tokens_live_in_memory),
        CASE(processes_of_one_machine_share_a_token),
    };

    return cmocka_run_group_tests_name("token", tests, start_server, stop_server);
}
