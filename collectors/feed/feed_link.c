/* SPDX-License-Identifier: Apache-2.0 */
/* References against a base, as RFC 3986 has it in section 5.2 (and its appendix B: taking apart).
 */
#include "collectors/feed/feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *text;
    size_t length;
    bool is; /* there, though it may be empty */
};

struct parts {
    struct span scheme, authority, path, query, fragment;
};

static struct span take(const char **at, size_t length, size_t skip)
{
    struct span span = {.text = *at, .length = length, .is = true};

    *at += length + skip;
    return span;
}

static struct parts apart(const char *text)
{
    struct parts parts = {0};
    size_t scheme =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    if (scheme > 0 && text[scheme] == ':') {
        parts.scheme = take(&text, scheme, 1);
    }
    if (text[0] == '/' && text[1] == '/') {
        text += 2;
        parts.authority = take(&text, strcspn(text, "/?#"), 0);
    }
    parts.path = take(&text, strcspn(text, "?#"), 0);
    if (*text == '?') {
        text++;
        parts.query = take(&text, strcspn(text, "#"), 0);
    }
    if (*text == '#') {
        text++;
        parts.fragment = take(&text, strlen(text), 0);
    }
    return parts;
}

/* Section 5.2.4, in place: "/a/b/../c" becomes "/a/c". */
static void remove_dots(char *path)
{
    const char *in = path;
    char *out = path;

    while (*in != '\0') {
        size_t segment = strcspn(in + 1, "/") + 1; /* with its leading slash */

        if (segment == 2 && memcmp(in, "/.", 2) == 0) {
            in += 2;
            if (*in == '\0') {
                *out++ = '/';
            }
        } else if (segment == 3 && memcmp(in, "/..", 3) == 0) {
            in += 3;
            while (out > path && *--out != '/') {
            }
            if (*in == '\0') {
                *out++ = '/';
            }
        } else {
            memmove(out, in, segment);
            out += segment;
            in += segment;
        }
    }
    *out = '\0';
}

/* Section 5.2.3. */
static void merge(char *out, size_t size, const struct parts *base, struct span path)
{
    size_t keep = base->path.length;

    while (keep > 0 && base->path.text[keep - 1] != '/') {
        keep--;
    }
    snprintf(out, size, "%s%.*s%.*s", keep == 0 ? "/" : "", (int)keep, base->path.text,
             (int)path.length, path.text);
}

static bool is_http(struct span scheme)
{
    return scheme.is && ((scheme.length == 4 && strncasecmp(scheme.text, "http", 4) == 0) ||
                         (scheme.length == 5 && strncasecmp(scheme.text, "https", 5) == 0));
}

/* The parts of the target (section 5.2.2); the path is written to `path`. */
static struct parts target_of(const struct parts *base, const struct parts *reference, char *path,
                              size_t size)
{
    struct parts target = *reference;

    if (!reference->scheme.is) {
        target.scheme = base->scheme;
        if (!reference->authority.is) {
            target.authority = base->authority;
            if (reference->path.length == 0) {
                target.path = base->path;
                target.query = reference->query.is ? reference->query : base->query;
            }
        }
    }
    if (!reference->scheme.is && !reference->authority.is && target.path.length > 0 &&
        target.path.text[0] != '/') {
        merge(path, size, base, target.path);
    } else {
        snprintf(path, size, "%s%.*s",
                 target.path.length > 0 && target.path.text[0] == '/' ? "" : "/",
                 (int)target.path.length, target.path.text);
    }
    remove_dots(path);
    return target;
}

/* Copies without what stands around it; blanks and controls inside are percent-encoded, as people
 * forget to do. */
static bool clean(char *out, size_t size, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t length = 0;
    size_t used = 0;

    text += strspn(text, " \t\r\n\f");
    length = strlen(text);
    while (length > 0 && strchr(" \t\r\n\f", text[length - 1]) != NULL) {
        length--;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (used + 4 > size) {
            return false;
        }
        if (byte == '\t' || byte == '\n' || byte == '\r') {
            continue; /* as browsers do */
        }
        if (byte <= 0x20 || byte == 0x7F || byte == '"' || byte == '<' || byte == '>') {
            out[used++] = '%';
            out[used++] = hex[byte >> 4];
            out[used++] = hex[byte & 15];
        } else {
            out[used++] = (char)byte;
        }
    }
    out[used] = '\0';
    return used > 0;
}

char *link_resolve(const char *base, const char *reference)
{
    char cleaned[FEED_URL_MAX];
    char path[2 * FEED_URL_MAX];
    char url[4 * FEED_URL_MAX];
    struct parts from = apart(base);
    struct parts target;
    int size = 0;

    if (strlen(base) >= FEED_URL_MAX || !clean(cleaned, sizeof cleaned, reference)) {
        return NULL;
    }
    struct parts found = apart(cleaned);

    target = target_of(&from, &found, path, sizeof path);
    if (!is_http(target.scheme) || target.authority.length == 0) {
        return NULL;
    }
    size = snprintf(url, sizeof url, "%.*s://%.*s%s%s%.*s%s%.*s", (int)target.scheme.length,
                    target.scheme.text, (int)target.authority.length, target.authority.text, path,
                    target.query.is ? "?" : "", (int)target.query.length,
                    target.query.is ? target.query.text : "", target.fragment.is ? "#" : "",
                    (int)target.fragment.length, target.fragment.is ? target.fragment.text : "");
    return size > 0 && size < FEED_URL_MAX ? strdup(url) : NULL;
}

char *link_host(const char *url)
{
    struct parts parts = apart(url);
    const char *user = NULL;
    char *host = NULL;
    size_t port = 0;
    bool secure = parts.scheme.length == 5;

    if (!is_http(parts.scheme) || !parts.authority.is) {
        return NULL;
    }
    user = memchr(parts.authority.text, '@', parts.authority.length);
    if (user != NULL) {
        parts.authority.length -= (size_t)(user + 1 - parts.authority.text);
        parts.authority.text = user + 1;
    }
    host = strndup(parts.authority.text, parts.authority.length);
    if (host == NULL) {
        return NULL;
    }
    for (char *at = host; *at != '\0'; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at | 0x20 : *at);
    }
    port = strcspn(host, "]");
    port = host[port] == ']' ? port : 0; /* an IPv6 address has colons of its own */
    port += strcspn(host + port, ":");
    if (strcmp(host + port, secure ? ":443" : ":80") == 0 || strcmp(host + port, ":") == 0) {
        host[port] = '\0';
    }
    return host;
}
