/* SPDX-License-Identifier: Apache-2.0 */
/* Links that a server gives: made whole, kept on the host, freed of what is secret. */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Is a member's value this secret, as it is or encoded? */
static bool is_that(const char *secret, const char *value, size_t length)
{
    char *encoded = NULL;
    bool same = false;

    if (secret == NULL || secret[0] == '\0') {
        return false;
    }
    encoded = template_encode_name(secret);
    same = (strlen(secret) == length && strncmp(secret, value, length) == 0) ||
           (encoded != NULL && strlen(encoded) == length && strncmp(encoded, value, length) == 0);
    free(encoded);
    return same;
}

/* Some servers write the token that they were shown into their links. */
static bool is_secret(const struct engine *engine, const char *name, size_t name_length,
                      const char *value, size_t length)
{
    const struct definition *definition = engine->definition;
    const struct auth *auth = &definition->auth;

    if (auth->kind == AUTH_QUERY && strlen(auth->name) == name_length &&
        strncmp(auth->name, name, name_length) == 0) {
        return true;
    }
    for (size_t i = 0; i < definition->param_count; i++) {
        if (definition->params[i].secret && is_that(engine->params[i], value, length)) {
            return true;
        }
    }
    return is_that(engine->token, value, length);
}

/* Takes the members of a URL's query out that hold a secret, in place. */
void ask_drop_secrets(const struct engine *engine, char *url)
{
    char *query = strchr(url, '?');
    char *to = query == NULL ? NULL : query + 1;
    const char *from = to;

    while (from != NULL) {
        const size_t length = strcspn(from, "&");
        const size_t name = strcspn(from, "=&");
        const char *value = from + (name < length ? name + 1 : length);
        const char *next = from[length] == '&' ? from + length + 1 : NULL;

        if (!is_secret(engine, from, name, value, (size_t)(from + length - value))) {
            if (to != query + 1) {
                *to++ = '&';
            }
            memmove(to, from, length);
            to += length;
        }
        from = next;
    }
    if (to != NULL) {
        *(to == query + 1 ? query : to) = '\0';
    }
}

/* A reference made whole: enough of RFC 3986 for what servers write. NULL: out of memory. */
static char *make_whole(const char *asked, const char *link)
{
    const char *scheme_end = strstr(asked, "://");
    const char *host = scheme_end == NULL ? asked : scheme_end + 3;
    const size_t origin = (size_t)(host - asked) + strcspn(host, "/?#");
    const size_t path = strcspn(asked, "?#");
    char *whole = NULL;
    size_t keep = 0;

    if (strncasecmp(link, "http://", 7) == 0 || strncasecmp(link, "https://", 8) == 0) {
        return strdup(link);
    }
    if (strncmp(link, "//", 2) == 0) {
        keep = (size_t)(host - asked) - 2;
    } else if (link[0] == '/') {
        keep = origin;
    } else if (link[0] == '?') {
        keep = path;
    } else {
        for (keep = path; keep > origin && asked[keep - 1] != '/'; keep--) {
        }
    }
    return asprintf(&whole, "%.*s%s%s", (int)keep, asked,
                    keep == origin && link[0] != '/' && link[0] != '?' ? "/" : "", link) < 0
               ? NULL
               : whole;
}

/* Gives it the scheme of what was asked: servers behind a proxy do not know their own. */
static char *take_scheme(char *link, const char *asked)
{
    const char *rest = strstr(link, "://");
    char *out = NULL;

    if (rest == NULL || asprintf(&out, "%.*s%s", (int)strcspn(asked, ":"), asked, rest) < 0) {
        out = NULL;
    }
    free(link);
    return out;
}

char *ask_link(const struct engine *engine, const char *from, const char *link,
               struct ear_error *err)
{
    const char *asked = engine->asked.url;
    char wanted[256];
    char moved[256];
    char host[256];
    char *whole = make_whole(from[0] == '\0' ? asked : from, link);

    if (whole == NULL) {
        ear_fail_memory(err, "a link");
        return NULL;
    }
    if (!template_host(whole, strlen(whole), host, sizeof(host)) ||
        !template_host(asked, strlen(asked), wanted, sizeof(wanted)) ||
        !template_host(from, strlen(from), moved, sizeof(moved))) {
        free(whole);
        ear_fail(err, EAR_REJECT, "schema: the link to the next page is no address");
        return NULL;
    }
    if (strcmp(host, wanted) != 0 && (engine->has_auth || strcmp(host, moved) != 0)) {
        free(whole);
        ear_fail(err, EAR_REJECT,
                 "schema: the link to the next page leads from %s to another host, %s", wanted,
                 host);
        return NULL;
    }
    whole = take_scheme(whole, asked);
    if (whole == NULL) {
        ear_fail_memory(err, "a link");
        return NULL;
    }
    whole[strcspn(whole, "#")] = '\0';
    ask_drop_secrets(engine, whole);
    return whole;
}
