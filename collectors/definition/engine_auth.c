/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom we are. What the definition says of it is filled in once a poll; a token comes from
 * collectors/token, which may send us for it first: then the request at hand waits until it is
 * there.
 */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/settings/settings.h"

bool auth_has_tokens(const struct engine *engine)
{
    const enum auth_kind kind = engine->definition->auth.kind;

    return engine->has_auth && (kind == AUTH_OAUTH2 || kind == AUTH_LOGIN);
}

/* A text of `auth` filled in; NULL: none is given, or err. */
static const char *fill(struct engine *engine, size_t at, const struct template *text,
                        enum template_use use, struct ear_error *err)
{
    struct environment environment;
    bool absent = false;

    if (text == NULL) {
        return NULL;
    }
    engine_environment(engine, &environment);
    engine->key_text[at] = template_expand(text, &environment, use, &absent, err);
    return engine->key_text[at];
}

/* What the source keeps secret goes into its login. */
static void hide_secrets(struct engine *engine)
{
    const struct definition *definition = engine->definition;
    size_t count = 0;

    for (size_t i = 0; i < definition->param_count && count < TOKEN_HIDDEN_MAX; i++) {
        if (definition->params[i].secret) {
            engine->key.hidden[count++] = engine->params[i];
        }
    }
}

/* What tells this login from another: all that it sends. */
static int name_login(struct engine *engine, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;
    struct environment environment;
    char *all = NULL;
    char digits[HASH128_TEXT_SIZE];

    engine_environment(engine, &environment);
    if (ask_prepare(engine, &auth->login, &environment, NULL, 0, err) != 0) {
        return -1;
    }
    if (asprintf(&all, "%s\n%s", engine->asked.url,
                 engine->asked.body == NULL ? "" : engine->asked.body) < 0) {
        return ear_fail_memory(err, "a login");
    }
    hash128_format(digits, hash128_of(all, strlen(all)));
    free(all);
    engine->key_text[0] = strdup(engine->asked.url);
    engine->key_text[1] = strdup(digits);
    ask_clear(&engine->asked);
    if (engine->key_text[0] == NULL || engine->key_text[1] == NULL) {
        return ear_fail_memory(err, "a login");
    }
    engine->key.url = engine->key_text[0];
    engine->key.user = engine->key_text[1];
    return 0;
}

static int fill_key(struct engine *engine, struct ear_error *err)
{
    static const enum token_kind kinds[] = {[GRANT_CLIENT_CREDENTIALS] = TOKEN_CLIENT_CREDENTIALS,
                                            [GRANT_REFRESH_TOKEN] = TOKEN_REFRESH_TOKEN,
                                            [GRANT_PASSWORD] = TOKEN_PASSWORD};
    const struct auth *auth = &engine->definition->auth;
    struct token_key *key = &engine->key;

    if (auth->kind == AUTH_LOGIN) {
        key->kind = TOKEN_SESSION;
        key->can_renew = auth->relogin.url != NULL;
        key->token_at = auth->token.text;
        key->refresh_at = auth->refresh_token.text;
        key->expires_at = auth->expires.text;
        hide_secrets(engine);
        return name_login(engine, err);
    }
    key->kind = kinds[auth->grant];
    key->via_basic = auth->via_basic;
    key->url = fill(engine, 0, auth->token_url, TEMPLATE_URL, err);
    key->id = fill(engine, 1, auth->id, TEMPLATE_PLAIN, err);
    key->secret = fill(engine, 2, auth->secret, TEMPLATE_PLAIN, err);
    key->user = fill(engine, 3, auth->user, TEMPLATE_PLAIN, err);
    key->password = fill(engine, 4, auth->password, TEMPLATE_PLAIN, err);
    key->refresh = fill(engine, 5, auth->refresh, TEMPLATE_PLAIN, err);
    key->scope = fill(engine, 6, auth->scope, TEMPLATE_PLAIN, err);
    if (err->kind == EAR_NONE && key->url == NULL) {
        ear_fail(err, EAR_CONFIG, "auth: there is no address that tokens come from");
    }
    return err->kind == EAR_NONE ? 0 : -1;
}

/* A text that tells this credential from another, for the budget. */
static int name_credential(struct engine *engine, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;
    const struct template *const texts[] = {auth->value, auth->user,   auth->password,
                                            auth->id,    auth->secret, auth->refresh};
    struct environment environment;
    char *all = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&all, &size);

    if (out == NULL) {
        return ear_fail_memory(err, "a credential");
    }
    engine_environment(engine, &environment);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        bool absent = false;
        char *text = texts[i] == NULL
                         ? NULL
                         : template_expand(texts[i], &environment, TEMPLATE_PLAIN, &absent, err);

        (void)fprintf(out, "%s\n", text == NULL ? "" : text);
        free(text);
    }
    (void)fputs(
        engine->key.kind == TOKEN_SESSION && engine->key.user != NULL ? engine->key.user : "", out);
    if (fclose(out) != 0) {
        ear_fail_memory(err, "a credential");
    }
    engine->credential = all;
    return err->kind == EAR_NONE ? 0 : -1;
}

static void fill_limits(struct engine *engine)
{
    static const enum fetch_reset notations[] = {[RESET_SECONDS] = FETCH_RESET_SECONDS,
                                                 [RESET_UNIX] = FETCH_RESET_UNIX,
                                                 [RESET_RFC3339] = FETCH_RESET_RFC3339,
                                                 [RESET_MS] = FETCH_RESET_MS};
    const struct definition *definition = engine->definition;

    for (size_t i = 0; i < definition->limit_count && i < FETCH_LIMITS_MAX; i++) {
        const struct limit *limit = &definition->limits[i];

        engine->limits[engine->limit_count++] = (struct fetch_limit){
            .units = (double)limit->requests,
            .per_us = limit->per_us,
            .zone = limit->zone,
            .remaining = limit->remaining,
            .reset = limit->reset,
            .reset_as = notations[limit->reset_as],
        };
    }
}

int auth_begin(struct engine *engine, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;

    fill_limits(engine);
    engine->has_auth =
        auth->kind != AUTH_NONE && (auth->needs < 0 || (engine->params[auth->needs] != NULL &&
                                                        engine->params[auth->needs][0] != '\0'));
    if (!engine->has_auth) {
        return 0;
    }
    if (auth_has_tokens(engine) && fill_key(engine, err) != 0) {
        return -1;
    }
    return name_credential(engine, err);
}

void auth_end(struct engine *engine)
{
    if (auth_has_tokens(engine) && engine->poll->tokens != NULL) {
        token_let_go(engine->poll->tokens, engine);
    }
    for (size_t i = 0; i < sizeof(engine->key_text) / sizeof(engine->key_text[0]); i++) {
        free(engine->key_text[i]);
    }
    free(engine->credential);
    free(engine->token);
}

/* The request for a token: OAuth's is complete but for what all requests say. */
static int send_oauth(struct engine *engine, const struct fetch_request *request,
                      struct source_turn *turn, struct ear_error *err)
{
    const struct definition *definition = engine->definition;
    struct request plain = {.headers = definition->headers,
                            .header_count = definition->header_count};
    const size_t most = sizeof(engine->sent) / sizeof(engine->sent[0]);

    engine->decided = true;
    turn->next = SOURCE_FETCH;
    turn->any_status = true;
    turn->request = *request;
    turn->request.source = engine->poll->source->name;
    engine->sent_count = 0;
    for (size_t i = 0; i < request->header_count && engine->sent_count < most; i++) {
        engine->sent[engine->sent_count++] = request->headers[i];
    }
    for (size_t i = 0; i < plain.header_count && engine->sent_count < most; i++) {
        struct environment environment;
        bool absent = false;

        engine_environment(engine, &environment);
        free(engine->key_text[7 + i % 5]);
        engine->key_text[7 + i % 5] =
            template_expand(plain.headers[i].value, &environment, TEMPLATE_HEADER, &absent, err);
        if (engine->key_text[7 + i % 5] != NULL) {
            engine->sent[engine->sent_count++] = (struct fetch_header){
                .name = plain.headers[i].name, .value = engine->key_text[7 + i % 5]};
        } else if (!absent) {
            return -1;
        }
        if (i == 4) {
            break; /* five are enough for a token */
        }
    }
    turn->request.headers = engine->sent;
    turn->request.header_count = engine->sent_count;
    return 0;
}

/* A login is a request of the definition's own: it goes out while the one that needs it waits. */
static int send_login(struct engine *engine, const struct token_turn *token,
                      struct source_turn *turn, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;
    const struct request *request = token->step == TOKEN_STEP_RENEW ? &auth->relogin : &auth->login;
    struct asked waiting = engine->asked;
    struct environment environment;
    int result = -1;

    engine->asked = (struct asked){0};
    engine_environment(engine, &environment);
    environment.token = token->refresh;
    if (ask_prepare(engine, request, &environment, NULL, 0, err) == 0) {
        ask_clear(&engine->login);
        engine->login = engine->asked;
        engine->asked = (struct asked){0};
        engine->sent_count = 0;
        for (size_t i = 0; i < engine->login.header_count && i < 16; i++) {
            engine->sent[engine->sent_count++] = engine->login.headers[i];
        }
        if (engine->login.type != NULL) {
            engine->sent[engine->sent_count++] =
                (struct fetch_header){.name = "Content-Type", .value = engine->login.type};
        }
        engine->decided = true;
        turn->next = SOURCE_FETCH;
        turn->any_status = true;
        turn->request = (struct fetch_request){
            .method = engine->login.method,
            .url = engine->login.url,
            .headers = engine->sent,
            .header_count = engine->sent_count,
            .body = engine->login.body,
            .body_length = engine->login.body == NULL ? 0 : strlen(engine->login.body),
            .source = engine->poll->source->name,
        };
        result = 0;
    }
    ask_clear(&engine->asked);
    engine->asked = waiting;
    return result;
}

int auth_token(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    struct token_turn token = {0};

    if (!auth_has_tokens(engine)) {
        return 1;
    }
    if (engine->poll->tokens == NULL) {
        return ear_fail(err, EAR_CONFIG, "auth: there is nowhere to keep a token");
    }
    if (token_get(engine->poll->tokens, &engine->key, engine, engine_now_us(engine), &token, err) !=
        0) {
        return -1;
    }
    switch (token.state) {
    case TOKEN_READY:
        free(engine->token);
        engine->token = strdup(token.text);
        return engine->token == NULL ? ear_fail_memory(err, "a token") : 1;
    case TOKEN_BUSY:
        engine->decided = true;
        turn->next = SOURCE_LATER;
        turn->wait_us = token.wait_us;
        (void)snprintf(engine->say, sizeof(engine->say), "%s",
                       token.why == NULL ? "another source fetches the token" : token.why);
        turn->why = engine->say;
        return 0;
    case TOKEN_FETCH:
        break;
    }
    engine->asked_for = FOR_TOKEN;
    return token.step == TOKEN_STEP_OAUTH ? send_oauth(engine, &token.request, turn, err)
                                          : send_login(engine, &token, turn, err);
}

int auth_answer(struct engine *engine, const struct fetch_answer *answer, struct source_turn *turn,
                struct ear_error *err)
{
    int64_t wait_us = 0;

    if (token_put(engine->poll->tokens, &engine->key, engine, answer, engine_now_us(engine),
                  &wait_us, err) != 0) {
        turn->wait_us = wait_us;
        return -1;
    }
    if (ask_send(engine, engine->then, turn, err) != 0) {
        /* A reject would keep the answer in hand, and that is a token. */
        err->kind = err->kind == EAR_REJECT ? EAR_CONFIG : err->kind;
        return -1;
    }
    return 0;
}

int auth_refused(struct engine *engine, struct ear_error *err)
{
    if (engine->asked.refreshes++ == ENGINE_REFRESHES_MAX) {
        return ear_fail(err, EAR_CONFIG,
                        "auth: the server refuses each new token; check the source's credentials "
                        "and what they may read");
    }
    return token_reject(engine->poll->tokens, &engine->key, engine->token, engine_now_us(engine),
                        err);
}

bool auth_expired(const struct engine *engine, const struct fetch_answer *answer,
                  const struct json_node *body)
{
    const struct auth *auth = &engine->definition->auth;
    struct environment environment;

    if (!auth_has_tokens(engine)) {
        return false;
    }
    if (answer->status == 401) {
        return true;
    }
    if (auth->kind != AUTH_LOGIN || auth->expired.count == 0 ||
        (auth->expired_status != 0 && auth->expired_status != answer->status)) {
        return false;
    }
    engine_environment(engine, &environment);
    environment.record = body;
    environment.answer = answer;
    return conditions_all(&auth->expired, &environment);
}
