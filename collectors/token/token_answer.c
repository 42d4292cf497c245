/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server answers that was asked for a token: the token (RFC 6749, section 5.1, or where a
 * session's pointers say), how long it lives, or an error (section 5.2, and what is near to it). No
 * byte of the answer goes into a message but an error code and a description in which no secret of
 * ours stands.
 */

#include "collectors/token/token_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json/json.h"

enum { DESCRIPTION_MAX = 160, SECRET_LEAST = 4, JWT_PAYLOAD_MAX = 8 * 1024 };

#define LIFE_MOST_US (3650 * CLOCK_DAY_US)
#define SECONDS_MOST 1e11 /* since 1970: beyond it is no time */

/* --- what is wrong --- */

static bool holds(const char *text, const char *secret)
{
    return secret != NULL && strlen(secret) >= SECRET_LEAST && strstr(text, secret) != NULL;
}

static bool is_fit_to_show(const char *text, const struct token_key *key, const struct token *token)
{
    for (const char *each = text; *each != '\0'; each++) {
        if ((unsigned char)*each < ' ' || *each == 127) {
            return false;
        }
    }
    for (size_t i = 0; i < TOKEN_HIDDEN_MAX; i++) {
        if (holds(text, key->hidden[i])) {
            return false;
        }
    }
    return !holds(text, key->secret) && !holds(text, key->password) && !holds(text, key->refresh) &&
           !holds(text, token->text) && !holds(text, token->refresh) && !holds(text, key->user);
}

static const char *shown(const struct json_node *node, const struct token_key *key,
                         const struct token *token)
{
    const char *text = json_string(node, NULL);

    return text == NULL || *text == '\0' || !is_fit_to_show(text, key, token) ? NULL : text;
}

/* What a person can do about it. */
static const char *cure_of(const struct token_key *key)
{
    switch (key->kind) {
    case TOKEN_REFRESH_TOKEN:
        return "give the source a new refresh token";
    case TOKEN_PASSWORD:
    case TOKEN_SESSION:
        return "check the source's user and password";
    default:
        return "check the source's id and secret";
    }
}

static int fail_refused(struct ear_error *err, const struct json_node *root,
                        const struct token_key *key, const struct token *token, int status)
{
    const struct json_node *error = json_get(root, "error");
    const bool nested = error != NULL && json_kind_of(error) == JSON_OBJECT;
    const char *code = shown(nested ? json_get(error, "status") : error, key, token);
    const char *description = shown(json_get(root, "error_description"), key, token);

    if (description == NULL) {
        description = shown(json_get(nested ? error : root, "message"), key, token);
    }
    return ear_fail(err, EAR_REJECT, "the server gives no token (%d%s%.60s%s%.*s); %s", status,
                    code == NULL ? "" : ", ", code == NULL ? "" : code,
                    description == NULL ? "" : ": ", DESCRIPTION_MAX,
                    description == NULL ? "" : description, cure_of(key));
}

/* --- what is right --- */

/* A token goes into a header: visible ASCII, no spaces. */
static bool is_token(const char *text, size_t length)
{
    if (text == NULL || length == 0 || length > TOKEN_BYTES_MAX || strlen(text) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] >= 127) {
            return false;
        }
    }
    return true;
}

static int value_of(char letter)
{
    return letter >= 'A' && letter <= 'Z'   ? letter - 'A'
           : letter >= 'a' && letter <= 'z' ? letter - 'a' + 26
           : letter >= '0' && letter <= '9' ? letter - '0' + 52
           : letter == '-' || letter == '+' ? 62
           : letter == '_' || letter == '/' ? 63
                                            : -1;
}

/* base64url without padding (RFC 7515, appendix C). Returns the length; 0: it is none. */
static size_t decode(char *out, size_t size, const char *text, size_t length)
{
    unsigned bits = 0;
    int have = 0;
    size_t put = 0;

    for (size_t i = 0; i < length && text[i] != '='; i++) {
        const int value = value_of(text[i]);

        if (value < 0 || put >= size) {
            return 0;
        }
        bits = bits << 6 | (unsigned)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[put++] = (char)(bits >> have & 0xff);
        }
    }
    return put;
}

/* The end of a JWT's life (RFC 7519, section 4.1.4), in seconds since 1970; 0: it has none. */
static int64_t jwt_end(const char *token, int64_t *issued, struct ear_error *err)
{
    const char *begin = strchr(token, '.');
    const char *end = begin == NULL ? NULL : strchr(begin + 1, '.');
    char payload[JWT_PAYLOAD_MAX];
    struct json *json = NULL;
    const struct json_node *root = NULL;
    struct ear_error ignored = {EAR_NONE, ""};
    size_t length = 0;
    double exp = 0;
    double iat = 0;

    *issued = 0;
    if (end == NULL) {
        return 0;
    }
    length = decode(payload, sizeof(payload), begin + 1, (size_t)(end - begin - 1));
    if (length == 0) {
        return 0;
    }
    if (json_new(&json, err) != 0) {
        return -1;
    }
    root = json_read(json, payload, length, &json_limits_default, &ignored);
    if (root != NULL) {
        (void)json_number(json_get(root, "exp"), &exp);
        (void)json_number(json_get(root, "iat"), &iat);
    }
    explicit_bzero(payload, sizeof(payload));
    json_free(json);
    if (!(exp > 0 && exp < SECONDS_MOST)) {
        return 0;
    }
    *issued = iat > 0 && iat < exp ? (int64_t)iat : 0;
    return (int64_t)exp;
}

static bool seconds_of(double *out, const struct json_node *node)
{
    const char *text = json_string(node, NULL);
    char *end = NULL;

    if (text == NULL) {
        return false;
    }
    *out = strtod(text, &end); /* some write "3600" */
    return end != text && *end == '\0' && *out > 0;
}

/* A JWT says by whose clock it ends: its own `iat` beside its `exp` is the life, whatever ours
 * shows.
 */
static int life_of(int64_t *out, const struct token_key *key, const struct json_node *root,
                   const char *token, int64_t now_us, struct ear_error *err)
{
    const char *at = key->kind == TOKEN_SESSION ? key->expires_at : "/expires_in";
    double seconds = 0;
    int64_t issued = 0;
    int64_t end = 0;

    *out = INT64_MAX;
    if (at != NULL && seconds_of(&seconds, json_pointer(root, at))) {
        *out = seconds * 1e6 > (double)LIFE_MOST_US ? LIFE_MOST_US : (int64_t)(seconds * 1e6);
        return 0;
    }
    end = jwt_end(token, &issued, err);
    if (end < 0) {
        return -1;
    }
    if (end > 0) {
        *out = (issued > 0 ? end - issued : end - now_us / CLOCK_SECOND_US) * CLOCK_SECOND_US;
        *out = *out < CLOCK_SECOND_US ? CLOCK_SECOND_US : *out > LIFE_MOST_US ? LIFE_MOST_US : *out;
    }
    return 0;
}

static int take(struct token_grant *out, const struct token_key *key, const struct json_node *root,
                int64_t now_us, struct ear_error *err)
{
    const bool session = key->kind == TOKEN_SESSION;
    const char *refresh_at = session ? key->refresh_at : "/refresh_token";
    size_t length = 0;
    size_t refresh_length = 0;
    const char *text =
        json_string(json_pointer(root, session ? key->token_at : "/access_token"), &length);
    const char *refresh =
        refresh_at == NULL ? NULL : json_string(json_pointer(root, refresh_at), &refresh_length);

    if (!is_token(text, length)) {
        return ear_fail(err, EAR_REJECT,
                        "the server's answer holds no token; check the source's %s",
                        session ? "login" : "token address");
    }
    if (life_of(&out->life_us, key, root, text, now_us, err) != 0) {
        return -1;
    }
    if (!token_set(&out->text, text, length) ||
        (is_token(refresh, refresh_length) && !token_set(&out->refresh, refresh, refresh_length))) {
        return ear_fail_memory(err, "a token");
    }
    return 0;
}

int token_read_answer(struct token_grant *out, const struct token_key *key,
                      const struct token *token, const struct fetch_answer *answer, int64_t now_us,
                      struct ear_error *err)
{
    const bool good = answer->status >= 200 && answer->status < 300;
    struct ear_error unread = {EAR_NONE, ""};
    const struct json_node *root = NULL;
    struct json *json = NULL;
    int result = -1;

    *out = (struct token_grant){.life_us = INT64_MAX};
    if (json_new(&json, err) != 0) {
        return -1;
    }
    root = json_read(json, answer->body, answer->body_length, &json_limits_default, &unread);
    if (unread.kind == EAR_FATAL) {
        *err = unread;
    } else if (!good || (root != NULL && json_get(root, "error") != NULL)) {
        fail_refused(err, root, key, token, answer->status); /* some say so with a 200 */
    } else if (root == NULL) {
        ear_fail(err, EAR_REJECT,
                 "the server's answer is no JSON, and holds no token; check the "
                 "source's token address");
    } else {
        result = take(out, key, root, now_us, err);
    }
    json_free(json); /* the document's own copy of the tokens goes with it */
    if (result != 0) {
        (void)token_set(&out->text, NULL, 0);
        (void)token_set(&out->refresh, NULL, 0);
    }
    return result;
}
