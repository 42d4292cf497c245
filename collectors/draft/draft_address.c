/* SPDX-License-Identifier: Apache-2.0 */
/* The address that was asked: its base, its path, what its query says. */
#include "collectors/draft/draft_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10;
}

/* Percent-decoding in place; returns the length. */
static size_t decode(char *text)
{
    char *to = text;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
            *to++ = (char)(hex(at[1]) * 16 + hex(at[2]));
            at += 2;
        } else {
            *to++ = (char)(*at == '+' ? ' ' : *at);
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

bool draft_is_secret(const char *name)
{
    static const char *const parts[] = {"key",  "token", "secret", "password",
                                        "auth", "sig",   "cookie"};
    char lower[80];
    size_t length = 0;

    for (; name[length] != '\0' && length < sizeof(lower) - 1; length++) {
        lower[length] = (char)tolower((unsigned char)name[length]);
    }
    lower[length] = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(lower, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* A user and password before the host: no part of a definition. */
static void drop_login(char *host)
{
    const size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);

    if (at != NULL) {
        memmove(host, at + 1, strlen(at + 1) + 1);
    }
}

int draft_read_address(struct address *address, const char *url, struct ear_error *err)
{
    char *at = NULL;
    char *query = NULL;

    address->text = malloc(strlen(url) + 2);
    if (address->text == NULL) {
        ear_fail_memory(err, "an address");
        return -1;
    }
    (void)snprintf(address->text, strlen(url) + 2, "%s", url);
    at = strstr(address->text, "://");
    at = at == NULL ? address->text : at + 3;
    drop_login(at);
    at += strcspn(at, "/?#");
    address->base = address->text;
    memmove(at + 1, at, strlen(at) + 1);
    *at++ = '\0';
    at[strcspn(at, "#")] = '\0';
    query = strchr(at, '?');
    if (query != NULL) {
        *query++ = '\0';
    }
    address->path = at;
    for (char *one = strsep(&query, "&"); one != NULL && address->query_count < DRAFT_QUERY_MAX;
         one = strsep(&query, "&")) {
        struct member *member = &address->query[address->query_count];
        char *equals = strchr(one, '=');

        if (equals == NULL) {
            continue;
        }
        *equals = '\0';
        (void)decode(one);
        (void)decode(equals + 1);
        *member = (struct member){.name = one, .value = equals + 1, .secret = draft_is_secret(one)};
        address->query_count++;
    }
    return 0;
}

void draft_name(char out[80], const char *base)
{
    const char *host = strstr(base, "://");
    const char *end = NULL;
    const char *from = NULL;
    size_t length = 0;

    host = host == NULL ? base : host + 3;
    end = host + strcspn(host, ":");
    for (const char *at = end; at > host && from == NULL; at--) {
        if (*at == '.' && !isdigit((unsigned char)at[1])) {
            end = at;
            for (from = at; from > host && from[-1] != '.'; from--) {
            }
        }
    }
    from = from == NULL ? host : from;
    for (; from < end && length < 30; from++) {
        if (isalnum((unsigned char)*from) || *from == '-') {
            out[length++] = (char)tolower((unsigned char)*from);
        }
    }
    out[length] = '\0';
    if (!isalpha((unsigned char)out[0])) {
        (void)snprintf(out, 80, "draft");
    }
}
