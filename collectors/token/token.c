/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a token, and who fetches the next one.
 *
 *     got ──────────── 80 % ─────── expires
 *      │  READY         │ READY, but one │  BUSY, but one
 *      │  for all       │ is told FETCH  │  is told FETCH
 *
 * A FETCH is a lease: of one poll in this process (`holder`), of one process on this machine (in
 * the file). What comes back is written and synced before it is given out.
 */

#include "collectors/token/token_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

#define LEASE_US (2 * CLOCK_MINUTE_US)
#define BUSY_US CLOCK_SECOND_US
#define REFUSED_US (10 * CLOCK_MINUTE_US)
#define REJECT_AGAIN_US CLOCK_MINUTE_US
#define BACKOFF_MOST_US (5 * CLOCK_MINUTE_US)
#define RENEW_AT 0.8

/* --- memory --- */

static void wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

bool token_set(char **slot, const char *text, size_t length)
{
    char *copy = text == NULL ? NULL : strndup(text, length);

    if (text != NULL && copy == NULL) {
        return false;
    }
    wipe(*slot);
    *slot = copy;
    return true;
}

static void token_free(struct token *token)
{
    if (token != NULL) {
        wipe(token->text);
        wipe(token->refresh);
        free(token->refused);
        free(token);
    }
}

void tokens_close(struct tokens *tokens)
{
    if (tokens == NULL) {
        return;
    }
    for (size_t i = 0; i < tokens->count; i++) {
        token_free(tokens->items[i]);
    }
    wipe(tokens->text);
    wipe(tokens->body);
    wipe(tokens->header);
    free(tokens->items);
    free(tokens->path);
    free(tokens->lock_path);
    free(tokens);
}

int tokens_open(struct tokens **out, const char *path, struct ear_error *err)
{
    struct tokens *tokens = calloc(1, sizeof(*tokens));
    int result = -1;

    if (tokens == NULL) {
        return ear_fail_memory(err, "the tokens");
    }
    if (path != NULL) {
        const size_t size = strlen(path) + sizeof(".lock");

        tokens->path = strdup(path);
        tokens->lock_path = malloc(size);
        if (tokens->path == NULL || tokens->lock_path == NULL) {
            ear_fail_memory(err, "the tokens");
            goto done;
        }
        (void)snprintf(tokens->lock_path, size, "%s.lock", path);
    }
    if (tokens_look(tokens, err) != 0) {
        goto done;
    }
    *out = tokens;
    tokens = NULL;
    result = 0;

done:
    tokens_close(tokens);
    return result;
}

static size_t place_of(const struct tokens *tokens, const char *key, bool *found)
{
    size_t low = 0;
    size_t high = tokens->count;

    *found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(tokens->items[middle]->key, key);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct token *tokens_take(struct tokens *tokens, const char *key)
{
    bool found = false;
    const size_t place = place_of(tokens, key, &found);
    struct token *token = NULL;

    if (found) {
        return tokens->items[place];
    }
    if (tokens->count >= TOKENS_MAX) {
        return NULL;
    }
    if (tokens->count == tokens->capacity) {
        const size_t capacity = tokens->capacity == 0 ? 8 : tokens->capacity * 2;
        struct token **items = realloc(tokens->items, capacity * sizeof(void *));

        if (items == NULL) {
            return NULL;
        }
        tokens->items = items;
        tokens->capacity = capacity;
    }
    token = calloc(1, sizeof(*token));
    if (token == NULL) {
        return NULL;
    }
    (void)snprintf(token->key, sizeof(token->key), "%s", key);
    token->expires_us = INT64_MAX;
    memmove(tokens->items + place + 1, tokens->items + place,
            (tokens->count - place) * sizeof(void *));
    tokens->items[place] = token;
    tokens->count++;
    return token;
}

static struct token *find(struct tokens *tokens, const struct token_key *key, struct ear_error *err)
{
    char name[TOKEN_KEY_SIZE];
    struct token *token = NULL;

    if (token_key_format(name, key, err) != 0) {
        return NULL;
    }
    token = tokens_take(tokens, name);
    if (token == NULL) {
        ear_fail_memory(err, "a token");
    }
    return token;
}

/* --- getting --- */

static bool is_good(const struct token *token, int64_t now_us)
{
    return token->text != NULL && !token->dead && !token->anew && !token->unsaved &&
           now_us < token->expires_us;
}

/* Good, and not yet to be renewed. */
static bool is_young(const struct token *token, int64_t now_us)
{
    const double life_us =
        token->expires_us == INT64_MAX ? 0 : (double)token->expires_us - (double)token->got_us;

    return is_good(token, now_us) && (token->expires_us == INT64_MAX ||
                                      (double)now_us < (double)token->got_us + RENEW_AT * life_us);
}

static int say_busy(struct token_turn *turn, int64_t wait_us, const char *why)
{
    turn->state = TOKEN_BUSY;
    turn->wait_us = wait_us;
    turn->why = why;
    return 0;
}

/* Where a failure does not matter: what is not written now is with the next save. */
static void save_quietly(struct tokens *tokens, int64_t now_us)
{
    struct ear_error err = {EAR_NONE, ""};
    int lock = -1;

    if (tokens->path == NULL || tokens_lock(tokens, &lock, &err) != 0) {
        return;
    }
    if (tokens_look(tokens, &err) == 0 && tokens_save(tokens, now_us, false, &err) != 0) {
        ear_error_clear(&err);
    }
    tokens_unlock(lock);
}

/* The file drops what was not used for long: it must know of a use that needs nothing else of it.
 */
static void note_use(struct tokens *tokens, struct token *token, int64_t now_us)
{
    token->used_us = now_us > token->used_us ? now_us : token->used_us;
    if (token->used_us - token->saved_us > CLOCK_DAY_US) {
        token->saved_us =
            token->used_us - CLOCK_DAY_US + CLOCK_HOUR_US; /* if it fails: not sooner */
        save_quietly(tokens, now_us);
    }
}

/* The token if it is good; else later. */
static int use_or_wait(struct tokens *tokens, struct token *token, int64_t wait_us, const char *why,
                       int64_t now_us, struct token_turn *turn, struct ear_error *err)
{
    if (is_good(token, now_us)) {
        note_use(tokens, token, now_us);
    }
    if (!is_good(token, now_us)) {
        return say_busy(turn, wait_us, why);
    }
    if (!token_set(&tokens->text, token->text, strlen(token->text))) {
        return ear_fail_memory(err, "a token");
    }
    turn->state = TOKEN_READY;
    turn->text = tokens->text;
    return 0;
}

static int save_under_lock(struct tokens *tokens, struct token *token, int64_t now_us,
                           struct ear_error *err)
{
    int lock = -1;
    int result = -1;

    if (tokens_lock(tokens, &lock, err) != 0) {
        return -1;
    }
    if (tokens_look(tokens, err) == 0 && tokens_save(tokens, now_us, true, err) == 0) {
        token->unsaved = false;
        result = 0;
    }
    tokens_unlock(lock);
    return result;
}

/* Is another process, which still lives, at it? One of our own pid was us before we started. */
static bool is_leased_elsewhere(const struct token *token, int64_t now_us)
{
    return token->lease_pid > 0 && token->lease_pid != getpid() && token->lease_us > now_us &&
           token->lease_us - now_us <= LEASE_US &&
           (kill(token->lease_pid, 0) == 0 || errno != ESRCH);
}

/* Takes the lease in the file. 1: it is ours. 0: another process has it, or fetched it just now. */
static int take_lease(struct tokens *tokens, struct token *token, int64_t now_us,
                      struct ear_error *err)
{
    int lock = -1;
    int result = -1;

    if (tokens_lock(tokens, &lock, err) != 0) {
        return -1;
    }
    if (tokens_look(tokens, err) != 0) {
        goto done;
    }
    if (is_leased_elsewhere(token, now_us) || is_young(token, now_us)) {
        result = 0;
        goto done;
    }
    token->lease_pid = getpid();
    token->lease_us = now_us + LEASE_US;
    result = tokens_save(tokens, now_us, false, err) == 0 ? 1 : -1;

done:
    tokens_unlock(lock);
    return result;
}

static int tell_fetch(struct tokens *tokens, const struct token_key *key, struct token *token,
                      const void *who, int64_t now_us, struct token_turn *turn,
                      struct ear_error *err)
{
    const bool begins = token->afresh || (token->anew && key->kind != TOKEN_REFRESH_TOKEN);
    const char *refresh = begins ? NULL : token->refresh;

    if (refresh == NULL && key->kind == TOKEN_REFRESH_TOKEN) {
        refresh = key->refresh;
    } else if (key->kind == TOKEN_CLIENT_CREDENTIALS ||
               (key->kind == TOKEN_SESSION && !key->can_renew)) {
        refresh = NULL;
    }
    turn->state = TOKEN_FETCH;
    turn->step = key->kind != TOKEN_SESSION ? TOKEN_STEP_OAUTH
                 : refresh != NULL          ? TOKEN_STEP_RENEW
                                            : TOKEN_STEP_LOGIN;
    if (turn->step == TOKEN_STEP_OAUTH) {
        if (token_build(&turn->request, tokens, key, refresh, err) != 0) {
            return -1;
        }
    } else if (refresh != NULL) {
        if (!token_set(&tokens->text, refresh, strlen(refresh))) {
            return ear_fail_memory(err, "a token");
        }
        turn->refresh = tokens->text;
    }
    token->holder = who;
    token->held_us = now_us + LEASE_US;
    token->step = turn->step;
    token->renewing = refresh != NULL;
    return 0;
}

int token_get(struct tokens *tokens, const struct token_key *key, const void *who, int64_t now_us,
              struct token_turn *turn, struct ear_error *err)
{
    struct token *token = NULL;
    int leased = 0;

    *turn = (struct token_turn){0};
    token = find(tokens, key, err);
    if (token == NULL || tokens_look(tokens, err) != 0) {
        return -1;
    }
    if (token->unsaved && save_under_lock(tokens, token, now_us, err) != 0) {
        return -1;
    }
    if (is_young(token, now_us)) {
        return use_or_wait(tokens, token, 0, NULL, now_us, turn, err);
    }
    if (token->refused != NULL && now_us < token->refused_us && !is_good(token, now_us)) {
        return ear_fail(err, EAR_CONFIG, "%s", token->refused);
    }
    if (now_us < token->again_us || (token->refused != NULL && now_us < token->refused_us)) {
        return use_or_wait(tokens, token, token->again_us - now_us,
                           "the server that gives out tokens is to be asked again later", now_us,
                           turn, err);
    }
    if (token->holder != NULL && token->holder != who && now_us < token->held_us) {
        return use_or_wait(tokens, token, BUSY_US, "its token is being fetched", now_us, turn, err);
    }
    leased = take_lease(tokens, token, now_us, err);
    if (leased < 0) {
        return -1;
    }
    if (leased == 0) {
        return use_or_wait(tokens, token, BUSY_US, "another process is fetching its token", now_us,
                           turn, err);
    }
    return tell_fetch(tokens, key, token, who, now_us, turn, err);
}

/* --- what came --- */

static void release(struct token *token)
{
    token->holder = NULL;
    if (token->lease_pid == getpid()) {
        token->lease_pid = 0;
    }
}

static int fail_later(struct token *token, const struct fetch_answer *answer, int64_t now_us,
                      int64_t *wait_us, struct ear_error *err)
{
    int64_t backoff_us = CLOCK_SECOND_US;

    for (int64_t i = 0; i < token->failures && backoff_us < BACKOFF_MOST_US; i++) {
        backoff_us *= 2;
    }
    token->failures++;
    backoff_us = backoff_us > BACKOFF_MOST_US ? BACKOFF_MOST_US : backoff_us;
    *wait_us = answer->retry_after_us > backoff_us ? answer->retry_after_us : backoff_us;
    token->again_us = now_us + *wait_us;
    if (is_good(token, now_us)) {
        return 0; /* it was ahead of time: the old one does */
    }
    if (answer->status == 0) {
        return ear_fail(err, EAR_RETRY, "no token: %s", answer->failure.message);
    }
    return ear_fail(err, EAR_RETRY,
                    "no token: the server that gives them out says to come back later (%d)",
                    answer->status);
}

static bool says_later(const struct fetch_answer *answer)
{
    return answer->status == 0 ? answer->failure.kind == EAR_RETRY
                               : answer->status == 429 || answer->status == 408 ||
                                     answer->status == 425 || answer->status >= 500;
}

/* It is not taken. Where that was a refresh token and there is another way, that is tried next: 0.
 */
static int settle_refused(const struct token_key *key, struct token *token, int64_t now_us,
                          struct ear_error *err)
{
    const bool other_way =
        token->renewing && !token->afresh &&
        (key->kind != TOKEN_REFRESH_TOKEN || (key->refresh != NULL && token->refresh != NULL &&
                                              strcmp(key->refresh, token->refresh) != 0));

    if (other_way) {
        token->afresh = true;
        ear_error_clear(err);
        return 0;
    }
    err->kind = EAR_CONFIG;
    ear_error_context(err, "auth");
    free(token->refused);
    token->refused = strdup(err->message); /* NULL: it is asked again sooner */
    token->refused_us = now_us + REFUSED_US;
    token->afresh = false;
    if (is_good(token, now_us)) {
        ear_error_clear(err); /* whoever comes when the old one has ended is told */
        return 0;
    }
    return -1;
}

static int keep(struct tokens *tokens, struct token *token, const struct token_grant *grant,
                int64_t now_us, struct ear_error *err)
{
    if (!token_set(&token->text, grant->text, strlen(grant->text)) ||
        (grant->refresh != NULL &&
         !token_set(&token->refresh, grant->refresh, strlen(grant->refresh)))) {
        return ear_fail_memory(err, "a token");
    }
    if (grant->refresh == NULL && token->afresh) {
        (void)token_set(&token->refresh, NULL, 0);
    }
    token->after_reject = token->dead;
    token->dead = false;
    token->anew = false;
    token->afresh = false;
    token->failures = 0;
    token->again_us = 0;
    free(token->refused);
    token->refused = NULL;
    token->got_us = now_us > token->got_us ? now_us : token->got_us + 1;
    token->expires_us = grant->life_us == INT64_MAX ? INT64_MAX : now_us + grant->life_us;
    token->used_us = now_us;
    token->unsaved = true;
    return save_under_lock(tokens, token, now_us, err);
}

int token_put(struct tokens *tokens, const struct token_key *key, const void *who,
              const struct fetch_answer *answer, int64_t now_us, int64_t *wait_us,
              struct ear_error *err)
{
    struct token *token = find(tokens, key, err);
    struct token_grant grant = {0};
    int result = -1;

    *wait_us = 0;
    if (token == NULL) {
        return -1;
    }
    if (token->holder == who) {
        release(token);
    }
    if (answer->budget_wait_us > 0 || says_later(answer)) {
        save_quietly(tokens, now_us);
        return fail_later(token, answer, now_us, wait_us, err);
    }
    if (answer->status == 0) {
        save_quietly(tokens, now_us);
        ear_fail(err, EAR_REJECT, "no token: %s", answer->failure.message);
        return settle_refused(key, token, now_us, err);
    }
    if (token_read_answer(&grant, key, token, answer, now_us, err) != 0) {
        if (err->kind == EAR_REJECT) {
            save_quietly(tokens, now_us);
            return settle_refused(key, token, now_us, err);
        }
        return -1;
    }
    result = keep(tokens, token, &grant, now_us, err);
    wipe(grant.text);
    wipe(grant.refresh);
    return result;
}

int token_reject(struct tokens *tokens, const struct token_key *key, const char *text,
                 int64_t now_us, struct ear_error *err)
{
    struct token *token = find(tokens, key, err);

    if (token == NULL) {
        return -1;
    }
    if (token->text == NULL || strcmp(token->text, text) != 0 || token->dead) {
        return 0; /* another one is there, or on its way, already */
    }
    if (token->after_reject && now_us - token->got_us < REJECT_AGAIN_US) {
        return ear_fail(err, EAR_CONFIG,
                        "auth: the server takes neither the token nor a fresh one (401); check "
                        "what the source's credential may read");
    }
    token->dead = true;
    return 0;
}

void token_let_go(struct tokens *tokens, const void *who)
{
    for (size_t i = 0; i < tokens->count; i++) {
        struct token *token = tokens->items[i];

        if (token->holder == who) {
            const int64_t now_us = token->held_us - LEASE_US;

            release(token);
            save_quietly(tokens, now_us);
        }
    }
}

void tokens_begin_anew(struct tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        tokens->items[i]->anew = true;
    }
}

int tokens_tell(const struct tokens *tokens,
                int (*tell)(void *user, const char *secret, struct ear_error *err), void *user,
                struct ear_error *err)
{
    for (size_t i = 0; i < tokens->count; i++) {
        const struct token *each = tokens->items[i];

        if ((each->text != NULL && tell(user, each->text, err) != 0) ||
            (each->refresh != NULL && tell(user, each->refresh, err) != 0)) {
            return -1;
        }
    }
    return 0;
}
