/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_TOKEN_TOKEN_H
#define EARSHOT_COLLECTORS_TOKEN_TOKEN_H

/*
 * Tokens that have to be fetched: OAuth 2 (RFC 6749: client credentials, refresh token, password)
 * and sessions that begin with a login. One token a credential, shared by all sources that have it;
 * one source fetches it (it is told to, and does so as a step of its poll), the others wait or go
 * on with the old one. Fetched anew at 80 % of its life, or after a 401.
 *
 *     token_get ─▶ READY: use *text
 *               ─▶ FETCH: make this request ─▶ token_put ─▶ token_get again
 *               ─▶ BUSY:  SOURCE_LATER in wait_us
 *     a 401 with that text: token_reject ─▶ token_get again, or -1: the source stops
 *
 * Tokens lie in a file of their own (0600), replaced and synced before a token just fetched is
 * given out: a server that rotates refresh tokens takes the old one back at that moment, and a
 * crash must not leave us with it. Processes of one machine share the file under a lock.
 *
 * No message of this room holds a token, a secret or what a server sent beyond its error code and a
 * description free of them; an answer to token_put must not become a reject. Threads: one at a
 * time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/fetch/fetch.h"
#include "common/error.h"

struct tokens;

enum token_kind {
    TOKEN_CLIENT_CREDENTIALS, /* OAuth 2 */
    TOKEN_REFRESH_TOKEN,      /* likewise, from a refresh token that a person was given */
    TOKEN_PASSWORD,           /* likewise, from user and password */
    TOKEN_SESSION,            /* a login: its requests are the caller's */
};

enum { TOKEN_HIDDEN_MAX = 8 };

/* Which credential, all places filled. Borrowed for each call; NULL: not given. What differs in any
 * member is another credential. */
struct token_key {
    enum token_kind kind;
    const char *url;         /* OAuth 2: where tokens are given out; a session: of the login */
    const char *id, *secret; /* of the client */
    const char *user, *password;
    const char *refresh; /* TOKEN_REFRESH_TOKEN: the first one, as configured */
    const char *scope;
    const char *agent; /* User-Agent of the request; tells no credentials apart */
    bool via_basic;    /* id and secret by Basic, else in the form (RFC 6749, 2.3.1) */
    bool can_renew;    /* a session: there is a request that renews it by its refresh token */
    /* a session: JSON pointers into the answer */
    const char *token_at;   /* required there */
    const char *refresh_at; /* NULL: none comes */
    const char
        *expires_at; /* seconds of life; NULL: a JWT's `exp` is looked at, else it has none */
    /* a session: what is secret in its requests, which are the caller's: so that no message holds
     * it. Tells no credentials apart; NULL: not given */
    const char *hidden[TOKEN_HIDDEN_MAX];
};

enum token_state { TOKEN_READY, TOKEN_FETCH, TOKEN_BUSY };

enum token_step {
    TOKEN_STEP_OAUTH, /* the request is complete: turn->request */
    TOKEN_STEP_LOGIN, /* the caller makes the session's login request */
    TOKEN_STEP_RENEW, /* the caller makes the request that renews it, with turn->refresh */
};

/* What token_get says. Strings live until the next call with the same tokens. */
struct token_turn {
    enum token_state state;
    const char *text;             /* TOKEN_READY */
    enum token_step step;         /* TOKEN_FETCH */
    struct fetch_request request; /* TOKEN_STEP_OAUTH: without source and budget */
    const char *refresh;          /* TOKEN_STEP_RENEW */
    int64_t wait_us;              /* TOKEN_BUSY: come again in so long */
    const char *why;              /* TOKEN_BUSY: a sentence */
};

/* path: DATA/run/tokens.json, need not exist; NULL: in memory alone. -1: EAR_CONFIG (others may
 * read it, it is not understood), EAR_FATAL. */
EAR_MUST_CHECK
int tokens_open(struct tokens **out, const char *path, struct ear_error *err);
void tokens_close(struct tokens *tokens);

/*
 * The token of a credential. `who` (a poll's state) is whom a TOKEN_FETCH is told to: until its
 * token_put or token_let_go, at most two minutes, everybody else gets the old token if that is
 * still good, or TOKEN_BUSY (1 s). -1: EAR_CONFIG "auth: …" (the server refused this credential
 * within the last ten minutes), EAR_RETRY (the file cannot be written), EAR_FATAL.
 */
EAR_MUST_CHECK
int token_get(struct tokens *tokens, const struct token_key *key, const void *who, int64_t now_us,
              struct token_turn *turn, struct ear_error *err);

/*
 * The answer to a TOKEN_FETCH, whatever it is (asked for with any_status). Returns 0: token_get
 * again, which gives the token (the old one, where it still lives and there is no new one), or says
 * what is tried next (a login where a session could not be renewed). -1: EAR_CONFIG "auth: …"
 * (refused: a person has to look), EAR_RETRY (no answer, 429, 5xx, the file; *wait_us, where it is
 * not 0: not sooner again), EAR_FATAL.
 */
EAR_MUST_CHECK
int token_put(struct tokens *tokens, const struct token_key *key, const void *who,
              const struct fetch_answer *answer, int64_t now_us, int64_t *wait_us,
              struct ear_error *err);

/*
 * The server did not take this token. Returns 0: token_get again. -1: EAR_CONFIG "auth: …": it was
 * fetched less than a minute ago because another was not taken: it is not the token.
 */
EAR_MUST_CHECK
int token_reject(struct tokens *tokens, const struct token_key *key, const char *text,
                 int64_t now_us, struct ear_error *err);

/*
 * From now on no token at hand is good: each credential begins anew, with what was configured (a
 * refresh token that a server rotated stays the one in hand). So whoever records requests sees all
 * of them.
 */
void tokens_begin_anew(struct tokens *tokens);

/* Every secret in hand, for whoever has to hide them. tell returns -1 to stop: pass err up. */
EAR_MUST_CHECK
int tokens_tell(const struct tokens *tokens,
                int (*tell)(void *user, const char *secret, struct ear_error *err), void *user,
                struct ear_error *err);

/* Whoever was told to fetch is gone (its poll ended): the next one may. Call it at a poll's end. */
void token_let_go(struct tokens *tokens, const void *who);

#endif
