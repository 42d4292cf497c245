/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a server that gives out tokens (RFC 6749, sections 2.3.1, 4.3, 4.4 and 6): a
 * form by POST, the client named by Basic or in the form.
 */

#include "collectors/token/token_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/base64.h"
#include "common/hash.h"

/* A text that grows; wiped by whoever frees it. */
struct text {
    char *bytes;
    size_t length, capacity;
    bool failed;
};

static void add(struct text *text, const char *bytes, size_t length)
{
    if (text->failed) {
        return;
    }
    if (text->length + length + 1 > text->capacity) {
        const size_t capacity = (text->length + length + 1) * 2;
        char *grown = malloc(capacity);

        if (grown == NULL) {
            text->failed = true;
            return;
        }
        if (text->bytes != NULL) {
            memcpy(grown, text->bytes, text->length);
            explicit_bzero(text->bytes, text->capacity);
            free(text->bytes);
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void text_clear(struct text *text)
{
    if (text->bytes != NULL) {
        explicit_bzero(text->bytes, text->capacity);
    }
    free(text->bytes);
    *text = (struct text){0};
}

/* application/x-www-form-urlencoded; what is unreserved in RFC 3986 stays. */
static void add_encoded(struct text *text, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *value != '\0'; value++) {
        const unsigned char byte = (unsigned char)*value;
        const char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                           (byte >= '0' && byte <= '9') || strchr("-._~", byte) != NULL;

        add(text, plain ? value : escaped, plain ? 1 : 3);
    }
}

static void add_member(struct text *form, const char *name, const char *value)
{
    if (value == NULL || *value == '\0') {
        return;
    }
    if (form->length > 0) {
        add(form, "&", 1);
    }
    add(form, name, strlen(name));
    add(form, "=", 1);
    add_encoded(form, value);
}

static void add_basic(struct text *header, const struct token_key *key)
{
    struct text pair = {0};
    char *encoded = NULL;

    add_encoded(&pair, key->id == NULL ? "" : key->id);
    add(&pair, ":", 1);
    add_encoded(&pair, key->secret == NULL ? "" : key->secret);
    add(header, "Basic ", 6);
    encoded = pair.failed ? NULL : base64_of(pair.bytes, pair.length);
    if (encoded != NULL) {
        add(header, encoded, strlen(encoded));
    }
    header->failed = header->failed || encoded == NULL;
    free(encoded);
    text_clear(&pair);
}

static void fill_form(struct text *form, const struct token_key *key, const char *refresh)
{
    if (refresh != NULL) {
        add_member(form, "grant_type", "refresh_token");
        add_member(form, "refresh_token", refresh);
    } else if (key->kind == TOKEN_PASSWORD) {
        add_member(form, "grant_type", "password");
        add_member(form, "username", key->user);
        add_member(form, "password", key->password);
    } else {
        add_member(form, "grant_type", "client_credentials");
    }
    add_member(form, "scope", key->scope);
    if (!key->via_basic) {
        add_member(form, "client_id", key->id);
        add_member(form, "client_secret", key->secret);
    }
}

int token_build(struct fetch_request *out, struct tokens *tokens, const struct token_key *key,
                const char *refresh, struct ear_error *err)
{
    struct text form = {0};
    struct text basic = {0};
    size_t count = 0;
    int result = -1;

    fill_form(&form, key, refresh);
    if (key->via_basic) {
        add_basic(&basic, key);
    }
    if (form.failed || basic.failed || !token_set(&tokens->body, form.bytes, form.length) ||
        !token_set(&tokens->header, basic.bytes, basic.length)) {
        ear_fail_memory(err, "the request for a token");
        goto done;
    }
    tokens->headers[count++] =
        (struct fetch_header){"Content-Type", "application/x-www-form-urlencoded"};
    tokens->headers[count++] = (struct fetch_header){"Accept", "application/json"};
    if (tokens->header != NULL) {
        tokens->headers[count++] = (struct fetch_header){"Authorization", tokens->header};
    }
    if (key->agent != NULL) {
        tokens->headers[count++] = (struct fetch_header){"User-Agent", key->agent};
    }
    *out = (struct fetch_request){
        .method = "POST",
        .url = key->url,
        .headers = tokens->headers,
        .header_count = count,
        .body = tokens->body,
        .body_length = form.length,
    };
    result = 0;

done:
    text_clear(&form);
    text_clear(&basic);
    return result;
}

int token_key_format(char out[TOKEN_KEY_SIZE], const struct token_key *key, struct ear_error *err)
{
    const char *const members[] = {key->url,        key->id,        key->secret, key->user,
                                   key->password,   key->refresh,   key->scope,  key->token_at,
                                   key->refresh_at, key->expires_at};
    struct text all = {0};
    char number[24];
    int result = -1;

    (void)snprintf(number, sizeof(number), "%d/%d/%d", (int)key->kind, key->via_basic,
                   key->can_renew);
    add(&all, number, strlen(number) + 1);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (members[i] == NULL) {
            add(&all, "\1", 2); /* not the same as an empty one */
        } else {
            add(&all, members[i], strlen(members[i]) + 1);
        }
    }
    if (all.failed) {
        ear_fail_memory(err, "a credential");
        goto done;
    }
    sha256_format(out, all.bytes, all.length);
    result = 0;

done:
    text_clear(&all);
    return result;
}
