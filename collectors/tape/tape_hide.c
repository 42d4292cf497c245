/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets, found in whatever writing. A character of one may stand there as it is, as %2F, as \/ or
 * as \u002F, and each for itself: a URL within JSON within a form is all of them at once. A short
 * one counts only as a word of its own, or half of every text would be gone.
 */
#include "collectors/tape/tape_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json/json.h"

enum { SHORT_SECRET = 8, DEPTH_MAX = 64 };

static const char shown[] = "SECRET";

int tape_hide(struct tape *tape, const char *secret, struct ear_error *err)
{
    if (secret == NULL || secret[0] == '\0' || strcmp(secret, shown) == 0) {
        return 0;
    }
    for (size_t i = 0; i < tape->secret_count; i++) {
        if (strcmp(tape->secrets[i], secret) == 0) {
            return 0;
        }
    }
    if (tape->secret_count == TAPE_SECRETS_MAX) {
        return ear_fail(err, EAR_FATAL, "a record with more than %d secrets", TAPE_SECRETS_MAX);
    }
    tape->secrets[tape->secret_count] = strdup(secret);
    if (tape->secrets[tape->secret_count] == NULL) {
        return ear_fail_memory(err, "a record");
    }
    tape->secret_count++;
    return 0;
}

/* --- finding --- */

static bool is_hex(const char *at, size_t digits, unsigned char byte)
{
    unsigned value = 0;

    for (size_t i = 0; i < digits; i++) {
        if (isxdigit((unsigned char)at[i]) == 0) {
            return false;
        }
        value = value * 16 + (unsigned)(isdigit((unsigned char)at[i]) != 0
                                            ? at[i] - '0'
                                            : tolower((unsigned char)at[i]) - 'a' + 10);
    }
    return value == byte;
}

/* How many bytes there are this one, in some writing; 0: it is another. */
static size_t written_as(const char *at, size_t rest, char byte)
{
    if (rest >= 6 && at[0] == '\\' && at[1] == 'u' && is_hex(at + 2, 4, (unsigned char)byte)) {
        return 6;
    }
    if (rest >= 2 && at[0] == '\\' && at[1] == byte &&
        (byte == '/' || byte == '"' || byte == '\\')) {
        return 2;
    }
    if (rest >= 3 && at[0] == '%' && is_hex(at + 1, 2, (unsigned char)byte)) {
        return 3;
    }
    return rest >= 1 && (at[0] == byte || (byte == ' ' && at[0] == '+')) ? 1 : 0;
}

static bool is_word(const char *text, size_t length, size_t from, size_t to)
{
    return (from == 0 || isalnum((unsigned char)text[from - 1]) == 0) &&
           (to == length || isalnum((unsigned char)text[to]) == 0);
}

static size_t stands_at(const char *text, size_t length, size_t from, const char *secret)
{
    size_t at = from;

    for (const char *byte = secret; *byte != '\0'; byte++) {
        const size_t taken = written_as(text + at, length - at, *byte);

        if (taken == 0) {
            return 0;
        }
        at += taken;
    }
    return strlen(secret) < SHORT_SECRET && !is_word(text, length, from, at) ? 0 : at - from;
}

static size_t longest_at(const struct tape *tape, const char *text, size_t length, size_t from)
{
    size_t longest = 0;

    for (size_t i = 0; i < tape->secret_count; i++) {
        const size_t taken = stands_at(text, length, from, tape->secrets[i]);

        longest = taken > longest ? taken : longest;
    }
    return longest;
}

int tape_clean(const struct tape *tape, struct tape_text *out, const char *bytes, size_t length,
               struct ear_error *err)
{
    FILE *clean = open_memstream(&out->bytes, &out->length);
    size_t from = 0;
    bool whole = clean != NULL;

    for (size_t at = 0; whole && at < length;) {
        const size_t taken = longest_at(tape, bytes, length, at);

        if (taken == 0) {
            at++;
            continue;
        }
        whole = fwrite(bytes + from, 1, at - from, clean) == at - from && fputs(shown, clean) >= 0;
        at += taken;
        from = at;
    }
    whole = whole && fwrite(bytes + from, 1, length - from, clean) == length - from;
    if (clean == NULL || fclose(clean) != 0 || !whole) {
        return ear_fail_memory(err, "a record");
    }
    return 0;
}

char *tape_clean_url(const struct tape *tape, const char *url, struct ear_error *err)
{
    const char *host = strstr(url, "://");
    const char *login = host == NULL ? NULL : strpbrk(host + 3, "@/?#");
    struct tape_text clean = {0};
    char *whole = NULL;

    if (login == NULL || *login != '@') {
        return tape_clean(tape, &clean, url, strlen(url), err) == 0 ? clean.bytes : NULL;
    }
    if (asprintf(&whole, "%.*s%s", (int)(host + 3 - url), url, login + 1) < 0) {
        ear_fail_memory(err, "a record");
        return NULL;
    }
    if (tape_clean(tape, &clean, whole, strlen(whole), err) != 0) {
        clean.bytes = NULL;
    }
    free(whole);
    return clean.bytes;
}

/* --- by name --- */

bool tape_names_secret(const char *name)
{
    static const char *const parts[] = {"token",  "jwt",   "secret", "passw", "session",
                                        "cookie", "auth",  "key",    "sig",   "sid",
                                        "csrf",   "nonce", "email",  "code",  NULL};

    for (size_t i = 0; parts[i] != NULL; i++) {
        if (strcasestr(name, parts[i]) != NULL) {
            return strcasecmp(name, "token_type") != 0;
        }
    }
    return false;
}

/* Where the next page is goes by such names too. */
static bool names_place(const char *name)
{
    static const char *const parts[] = {"page", "next", "cursor", "sort", NULL};

    for (size_t i = 0; parts[i] != NULL; i++) {
        if (strcasestr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static int hide_encoded(struct tape *tape, const char *text, size_t length, struct ear_error *err)
{
    char *plain = strndup(text, length);
    char *to = plain;
    int result = 0;

    if (plain == NULL) {
        return ear_fail_memory(err, "a record");
    }
    for (const char *at = plain; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;

        if (*at == '%' && isxdigit((unsigned char)at[1]) != 0 &&
            isxdigit((unsigned char)at[2]) != 0) {
            const char digits[3] = {at[1], at[2], '\0'};

            byte = (unsigned char)strtoul(digits, NULL, 16);
            at += 2;
        }
        *to++ = (char)byte;
    }
    *to = '\0';
    result = tape_hide(tape, plain, err);
    free(plain);
    return result;
}

int tape_hide_address(struct tape *tape, const char *url, struct ear_error *err)
{
    const char *host = strstr(url, "://");
    const char *login = host == NULL ? NULL : strpbrk(host + 3, "@/?#");
    const char *at = strchr(url, '?');

    if (login != NULL && *login == '@') {
        const char *colon = memchr(host + 3, ':', (size_t)(login - host - 3));

        if (colon != NULL && hide_encoded(tape, colon + 1, (size_t)(login - colon - 1), err) != 0) {
            return -1;
        }
    }
    while (at != NULL) {
        const char *member = at + 1;
        const size_t length = strcspn(member, "&#");
        const size_t name = strcspn(member, "=&#");
        char *copy = strndup(member, name);
        const bool is_secret = copy != NULL && tape_names_secret(copy) && !names_place(copy);

        free(copy);
        if (copy == NULL) {
            return ear_fail_memory(err, "a record");
        }
        if (is_secret && name < length &&
            hide_encoded(tape, member + name + 1, length - name - 1, err) != 0) {
            return -1;
        }
        at = member[length] == '&' ? member + length : NULL;
    }
    return 0;
}

static bool is_hidden(const struct tape *tape, const struct json_node *node)
{
    const char *text = json_string(node, NULL);

    for (size_t i = 0; text != NULL && i < tape->secret_count; i++) {
        if (strcmp(text, tape->secrets[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int hide_in(struct tape *tape, const struct json_node *node, int depth,
                   struct ear_error *err)
{
    const bool in_object = json_kind_of(node) == JSON_OBJECT;
    bool beside = false;

    if (node == NULL || depth == DEPTH_MAX) {
        return 0;
    }
    for (const struct json_node *each = json_first(node); each != NULL; each = json_next(each)) {
        beside =
            beside || (in_object && json_kind_of(each) == JSON_STRING && is_hidden(tape, each));
    }
    for (const struct json_node *each = json_first(node); each != NULL; each = json_next(each)) {
        const enum json_kind kind = json_kind_of(each);

        if (beside && kind == JSON_STRING && tape_names_secret(json_key(each)) &&
            tape_hide(tape, json_string(each, NULL), err) != 0) {
            return -1;
        }
        if ((kind == JSON_OBJECT || kind == JSON_ARRAY) &&
            hide_in(tape, each, depth + 1, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int tape_hide_beside(struct tape *tape, struct ear_error *err)
{
    struct json *json = NULL;
    int result = -1;

    if (json_new(&json, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < tape->count; i++) {
        const struct tape_text *body = &tape->items[i].body;
        const struct json_node *root =
            body->length == 0
                ? NULL
                : json_read(json, body->bytes, body->length, &json_limits_default, err);

        if (root == NULL && err->kind != EAR_NONE && err->kind != EAR_REJECT) {
            goto done;
        }
        ear_error_clear(err);
        if (root != NULL && hide_in(tape, root, 0, err) != 0) {
            goto done;
        }
    }
    result = 0;

done:
    json_free(json);
    return result;
}
