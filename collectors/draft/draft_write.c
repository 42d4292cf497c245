/* SPDX-License-Identifier: Apache-2.0 */
/* What was found, as YAML, with the doubts beside it. */
#include "collectors/draft/draft_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/instant.h"
#include "common/json/json.h"

/* A text in double quotes, as YAML and templates take it: braces are doubled. */
static void put_quoted(FILE *out, const char *text, size_t length)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];

        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c == '{' || c == '}') {
            (void)fprintf(out, "%c%c", c, c);
        } else if (c == '$' && i + 1 < length && text[i + 1] == '{') {
            (void)fputs("$$", out);
        } else if ((unsigned char)c >= 0x20 && c != 0x7f) {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

/* The header that signs in, of those it was asked with: its number, or header_count. */
static size_t login_of(const struct draft_sample *sample)
{
    size_t i = 0;

    while (i < sample->header_count && !draft_is_secret(sample->headers[i])) {
        i++;
    }
    return i;
}

static void put_auth(FILE *out, const struct draft_sample *sample)
{
    const size_t i = login_of(sample);
    const char *name = i < sample->header_count ? sample->headers[i] : NULL;
    const char *value = name == NULL ? "" : sample->values[i];
    const size_t scheme = strcspn(value, " ");

    if (name == NULL) {
        return;
    }
    if (strcasecmp(name, "Authorization") == 0 && strncasecmp(value, "Bearer ", 7) == 0) {
        (void)fputs("auth: {kind: bearer, value: \"{key}\"}\n", out);
        return;
    }
    (void)fputs("auth: {kind: header, name: ", out);
    put_quoted(out, name, strlen(name));
    (void)fputs(", value: ", out);
    if (strcasecmp(name, "Authorization") == 0 && value[scheme] == ' ' && scheme < 20) {
        (void)fprintf(out, "\"%.*s {key}\"}\n", (int)scheme, value); /* Basic, Token */
    } else {
        (void)fputs("\"{key}\"}\n", out);
    }
}

/* Other headers go along as they were given: what they ask for is no secret by its name. */
static void put_headers(FILE *out, const struct draft_sample *sample)
{
    const char *between = ", headers: {";

    for (size_t i = 0; i < sample->header_count; i++) {
        if (!draft_is_secret(sample->headers[i])) {
            (void)fputs(between, out);
            put_quoted(out, sample->headers[i], strlen(sample->headers[i]));
            (void)fputs(": ", out);
            put_quoted(out, sample->values[i], strlen(sample->values[i]));
            between = ", ";
        }
    }
    (void)fputs(*between == ',' && between[2] == '\0' ? "}" : "", out);
}

static void put_params(FILE *out, const struct draft_sample *sample, const struct address *address)
{
    (void)fputs("params:\n  base: {default: ", out);
    put_quoted(out, address->base, strlen(address->base));
    (void)fputs(", help: \"the address of the API\"}\n", out);
    for (size_t i = 0; i < address->query_count; i++) {
        if (address->query[i].secret) {
            (void)fprintf(out, "  secret%zu: {required: true, secret: true, help: ", i + 1);
            put_quoted(out, address->query[i].name, strlen(address->query[i].name));
            (void)fputs("}\n", out);
        }
    }
    if (login_of(sample) < sample->header_count) {
        (void)fputs("  key: {required: true, secret: true, help: ", out);
        put_quoted(out, sample->headers[login_of(sample)],
                   strlen(sample->headers[login_of(sample)]));
        (void)fputs("}\n", out);
    }
    put_auth(out, sample);
}

static bool is_page(const char *name)
{
    static const char *const names[] = {"page",  "p",      "offset",    "start",     "cursor",
                                        "after", "before", "pagetoken", "page_token"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void put_request(FILE *out, const struct draft_sample *sample, const struct address *address)
{
    const char *between = ", query: {";

    (void)fputs("request: {url: \"{base}", out);
    for (const char *at = address->path; *at != '\0'; at++) {
        if (strchr("\"\\{}", *at) == NULL && (unsigned char)*at >= 0x20) {
            (void)fputc(*at, out);
        }
    }
    (void)fputc('"', out);
    for (size_t i = 0; i < address->query_count; i++) {
        const struct member *member = &address->query[i];

        if (is_page(member->name)) {
            continue;
        }
        (void)fputs(between, out);
        put_quoted(out, member->name, strlen(member->name));
        (void)fputs(": ", out);
        if (member->secret) {
            (void)fprintf(out, "\"{secret%zu}\"", i + 1);
        } else {
            put_quoted(out, member->value, strlen(member->value));
        }
        between = ", ";
    }
    (void)fputs(*between == ',' && between[2] == '\0' ? "}" : "", out);
    put_headers(out, sample);
    (void)fputs("}\n", out);
}

/* Where an answer names its next page, and what it is asked for with. */
static const struct {
    const char *from, *into;
} nexts[] = {
    {"/nextPageToken", "pageToken"},
    {"/data/after", "after"},
    {"/meta/next_token", "next_token"},
    {"/paging/cursors/after", "after"},
    {"/next_cursor", "cursor"},
    {"/meta/next_cursor", "cursor"},
    {"/paging/next_cursor", "cursor"},
    {"/pagination/next_cursor", "cursor"},
    {"/page/next_cursor", "cursor"},
    {"/response_metadata/next_cursor", "cursor"},
    {"/paging/nextCursor", "cursor"},
    {"/pagination/nextCursor", "cursor"},
    {"/meta/nextCursor", "cursor"},
    {"/nextCursor", "cursor"},
    {"/paging/next_token", "next_token"},
    {"/pagination/next_token", "next_token"},
    {"/next_token", "next_token"},
    {"/paging/cursor", "cursor"},
    {"/cursor", "cursor"},
    {"/next_page_token", "page_token"},
    {"/pageInfo/endCursor", "after"},
    {"/paging/next", NULL},
    {"/next_page", "page_cursor"},
    {"/links/next", NULL},
    {"/pagination/next", "page"},
    {"/pagination/next_page", "page"},
    {"/meta/next_page", "page"},
    {"/next", "page"},
    {"/meta/pagination/next", "page"},
};

static bool is_url(const struct json_node *node)
{
    const char *text = json_kind_of(node) == JSON_STRING ? json_string(node, NULL) : NULL;

    return text != NULL && (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0);
}

static void put_page(FILE *out, const struct draft_sample *sample, const struct address *address)
{
    for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        const struct json_node *node = json_pointer(sample->answer, nexts[i].from);

        if (is_url(node)) {
            (void)fprintf(out, "page: {kind: link, from: %s}\n", nexts[i].from);
            return;
        }
        if (draft_is_plain(node) && nexts[i].into != NULL) {
            (void)fprintf(out, "page: {kind: token, from: %s, into: %s}      # is it called so?\n",
                          nexts[i].from, nexts[i].into);
            return;
        }
    }
    if (sample->link != NULL && strstr(sample->link, "next") != NULL) {
        (void)fputs("page: {kind: link, rel: next}\n", out);
        return;
    }
    for (size_t i = 0; i < address->query_count; i++) {
        if (strcasecmp(address->query[i].name, "page") == 0) {
            (void)fprintf(out, "page: {kind: number, into: %s, first: %s}\n",
                          address->query[i].name,
                          strcmp(address->query[i].value, "0") == 0 ? "0" : "1");
            return;
        }
    }
    (void)fputs(
        "page: {kind: none}      # how is the next page asked for? kind: token, link, last, "
        "number or offset\n",
        out);
}

static const char *time_as(const struct json_node *node)
{
    double number = 0;

    if (json_kind_of(node) != JSON_NUMBER || !json_number(node, &number)) {
        return "time";
    }
    return number > 1e11 ? "unix_ms" : "unix";
}

static void put_cursor(FILE *out, const struct best *best)
{
    const struct json_node *first = best->found.nodes[W_CREATED];
    const struct json_node *last = json_pointer(best->last, best->found.pointers[W_CREATED]);
    int64_t first_us = 0;
    int64_t last_us = 0;
    size_t length = 0;
    const char *text = NULL;

    if (first == NULL || strcmp(time_as(first), "unix_ms") == 0) {
        (void)fputs("# cursor: {by: /created_at, as: time, order: newest, overlap: 5m}      # else "
                    "all of it is read with every poll\n",
                    out);
        return;
    }
    (void)fprintf(out, "cursor: {by: %s, as: %s, order: newest, overlap: 5m}",
                  best->found.pointers[W_CREATED], time_as(first));
    text = json_string(first, &length);
    (void)instant_parse_any(&first_us, text, length, NULL);
    text = draft_is_plain(last) ? json_string(last, &length) : NULL;
    if (text != NULL && instant_parse_any(&last_us, text, length, NULL) && first_us < last_us) {
        (void)fputs(
            "      # the oldest comes first here: ask for the newest first, or from: order: "
            "oldest, into: …",
            out);
    }
    (void)fputs("\nrevisit: [{window: 2d, every: 1h}, {window: 14d, every: 1d}]\n", out);
}

static bool looks_like_html(const struct json_node *node)
{
    const char *text = json_string(node, NULL);

    return text != NULL && (strstr(text, "</") != NULL || strstr(text, "<br") != NULL ||
                            strstr(text, "<p>") != NULL || strstr(text, "&amp;") != NULL ||
                            strstr(text, "&#") != NULL || strstr(text, "&quot;") != NULL);
}

/* By its name: body_html, contentHtml, html. */
static bool is_html(const char *pointer)
{
    const size_t length = strlen(pointer);

    return length >= 4 && strcasecmp(pointer + length - 4, "html") == 0;
}

static void put_field(FILE *out, const struct found *found, enum wanted which, const char *name)
{
    const struct json_node *node = found->nodes[which];
    const char *pointer = found->pointers[which];

    if (node == NULL) {
        return;
    }
    if ((which == W_TEXT || which == W_TITLE) && (is_html(pointer) || looks_like_html(node))) {
        (void)fprintf(out, "  %s: {from: %s, as: html}\n", name, pointer);
    } else if ((which == W_CREATED || which == W_EDITED) && strcmp(time_as(node), "time") != 0) {
        (void)fprintf(out, "  %s: {from: %s, as: %s}\n", name, pointer, time_as(node));
    } else {
        (void)fprintf(out, "  %s: %s\n", name, pointer);
    }
}

/* Two fields of a mapping of their own. */
static void put_pair(FILE *out, const struct found *found, const char *name, enum wanted one,
                     const char *one_name, enum wanted other, const char *other_name)
{
    const bool both = found->nodes[one] != NULL && found->nodes[other] != NULL;

    if (found->nodes[one] == NULL && found->nodes[other] == NULL) {
        return;
    }
    (void)fprintf(out, "  %s: {", name);
    if (found->nodes[one] != NULL) {
        (void)fprintf(out, "%s: %s", one_name, found->pointers[one]);
    }
    if (found->nodes[other] != NULL) {
        (void)fprintf(out, "%s%s: %s", both ? ", " : "", other_name, found->pointers[other]);
    }
    (void)fputs("}\n", out);
}

static void put_map(FILE *out, const struct found *found)
{
    (void)fputs("map:\n", out);
    put_field(out, found, W_ID, "id");
    if (found->nodes[W_URL] == NULL) {
        (void)fprintf(out, "  # url: \"{base}/…/{%s}\"      # the page that a person opens\n",
                      found->pointers[W_ID]);
    }
    put_field(out, found, W_URL, "url");
    put_field(out, found, W_TITLE, "title");
    put_field(out, found, W_TEXT, "text");
    put_field(out, found, W_CREATED, "created_at");
    put_field(out, found, W_EDITED, "edited_at");
    put_pair(out, found, "author", W_AUTHOR_ID, "id", W_AUTHOR_NAME, "name");
    put_field(out, found, W_LANG, "lang");
    put_field(out, found, W_THREAD, "thread");
    put_field(out, found, W_PARENT, "parent");
    put_pair(out, found, "engagement", W_LIKES, "likes", W_REPLIES, "replies");
}

/* How the time of the next budget is written: an epoch is far off, seconds are few. */
static const char *reset_as(const char *value)
{
    double number = 0;
    char *end = NULL;

    number = value == NULL ? 0 : strtod(value, &end);
    if (value == NULL || end == value || *end != '\0') {
        return value != NULL && strchr(value, 'T') != NULL ? "rfc3339" : "seconds";
    }
    return number > 1e8 ? "unix" : "seconds";
}

static void put_limit(FILE *out, const struct draft_sample *sample)
{
    const char *limit = sample->limit_value;
    const bool counts = limit != NULL && limit[0] >= '1' && limit[0] <= '9' &&
                        strspn(limit, "0123456789") == strlen(limit) && strlen(limit) < 7;

    (void)fprintf(out, "limit: {requests: %s, per: 1m", counts ? limit : "30");
    if (sample->remaining != NULL) {
        (void)fputs(", remaining: ", out);
        put_quoted(out, sample->remaining, strlen(sample->remaining));
    }
    if (sample->remaining != NULL && sample->reset != NULL) {
        (void)fputs(", reset: ", out);
        put_quoted(out, sample->reset, strlen(sample->reset));
        (void)fprintf(out, ", reset_as: %s", reset_as(sample->reset_value));
    }
    (void)fputs(counts ? "}      # per minute, or in how long?\n"
                       : "}      # what does the API allow?\n",
                out);
}

void draft_write(FILE *out, const char *name, const struct draft_sample *sample,
                 const struct address *address, const struct best *best)
{
    (void)fprintf(
        out,
        "# A draft, guessed from one answer: read it against the API's documentation, and "
        "try it with `earshot probe`.\n"
        "# Every key there is: earshot example definition\n"
        "platform: %s\nchannel: forum      # or blog, social, video, review, survey, "
        "helpdesk, ideas\nabout: \n",
        name);
    put_params(out, sample, address);
    put_request(out, sample, address);
    (void)fprintf(out, "records: \"%s\"\n", best->records);
    put_page(out, sample, address);
    put_cursor(out, best);
    put_map(out, &best->found);
    (void)fputs(
        "# deleted: {path: /deleted, is: true}      # how does the list show what was "
        "deleted?\n"
        "# gone: {request: \"{base}/…/{post/id}\"}      # or what answers 404 for a post that "
        "is gone?\n",
        out);
    put_limit(out, sample);
}
