/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked, how it is paged, how far. */

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_read_internal.h"
#include "common/instant.h"

enum { MEMBERS_MAX = 100, REVISITS_MAX = 8 };

int read_template(const struct reading *reading, const struct template **out,
                  const struct config_node *node)
{
    if (config_is_absent(node)) {
        return 0;
    }
    return template_read(out, reading->definition, reading->config, node, reading->err);
}

int read_url(const struct reading *reading, const struct template **out,
             const struct config_node *node)
{
    int param = -1;

    if (read_template(reading, out, node) != 0) {
        return -1;
    }
    param = template_begins_with(*out);
    if (param >= 0) {
        reading->definition->params[param].address = true;
    }
    return 0;
}

/* --- members of a query, a form, headers --- */

/* How many texts a mapping holds, lists counted by their elements. */
static size_t count_texts(const struct config_node *mapping)
{
    size_t count = 0;

    for (size_t i = 0; i < config_count(mapping); i++) {
        const struct config_node *node = config_at(mapping, i);

        count += config_is_sequence(node) ? config_count(node) : 1;
    }
    return count;
}

static bool is_named(const struct config_node *mapping, const char *name)
{
    for (size_t i = 0; i < config_count(mapping); i++) {
        if (strcasecmp(config_key_at(mapping, i), name) == 0) {
            return true;
        }
    }
    return false;
}

static int add_named(const struct reading *reading, struct named_template *out, size_t *count,
                     const char *name, const struct config_node *node)
{
    out[*count] = (struct named_template){.name = name};
    if (read_template(reading, &out[*count].value, node) != 0) {
        return -1;
    }
    *count += out[*count].value == NULL ? 0 : 1;
    return 0;
}

int read_named(const struct reading *reading, struct named_template **out, size_t *count,
               const struct config_node *node)
{
    const struct named_template *inherited = *out;
    const size_t inherited_count = *count;
    const size_t given = count_texts(node);

    if (config_is_absent(node)) {
        return 0;
    }
    if (!config_is_mapping(node) || given + inherited_count > MEMBERS_MAX) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes names and texts, at most 100, such as {limit: 100, sort: new}");
        return 0;
    }
    *out = reading_take(reading, inherited_count + given + 1, sizeof(**out));
    if (*out == NULL) {
        return -1;
    }
    *count = 0;
    for (size_t i = 0; i < inherited_count; i++) {
        if (!is_named(node, inherited[i].name)) {
            (*out)[(*count)++] = inherited[i];
        }
    }
    for (size_t i = 0; i < config_count(node); i++) {
        const struct config_node *value = config_at(node, i);
        const bool many = config_is_sequence(value);

        for (size_t j = 0; j < (many ? config_count(value) : 1); j++) {
            if (add_named(reading, *out, count, config_key_at(node, i),
                          many ? config_at(value, j) : value) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

void read_check_headers(const struct reading *reading, const struct config_node *node)
{
    for (size_t i = 0; config_is_mapping(node) && i < config_count(node); i++) {
        const char *name = config_key_at(node, i);

        if (name[0] == '\0' || strpbrk(name, " :\t(),/;<=>?@[\\]{}\"") != NULL) {
            config_report(reading->config, CONFIG_ERROR, config_at(node, i),
                          "'%.100s' is no name of a header; write one such as Accept", name);
        }
    }
}

/* --- requests --- */

static const char *const accept_names[] = {"json", "xml", "ndjson", NULL};

struct request_keys {
    const char *method, *accept;
    const struct config_node *url, *query, *headers, *form, *json, *needs;
    double cost;
};

static const struct ear_option request_options[] = {
    {"method", EAR_CHOICE, offsetof(struct request_keys, method), "|GET|POST|PUT|PATCH|DELETE",
     "GET; POST where there is a form or json", NULL},
    {"url", EAR_TREE, offsetof(struct request_keys, url), NULL, "such as \"{base}/posts.json\"",
     NULL},
    {"query", EAR_TREE, offsetof(struct request_keys, query), NULL, "such as {limit: 100}", NULL},
    {"headers", EAR_TREE, offsetof(struct request_keys, headers), NULL, "such as {Accept: …}",
     NULL},
    {"form", EAR_TREE, offsetof(struct request_keys, form), NULL, "a body as forms send it", NULL},
    {"json", EAR_TREE, offsetof(struct request_keys, json), NULL, "a body in JSON", NULL},
    {"accept", EAR_CHOICE, offsetof(struct request_keys, accept), "json|xml|ndjson",
     "what the answer is", NULL},
    {"cost", EAR_NUMBER, offsetof(struct request_keys, cost), "1 [0..1000000]",
     "of the limit's requests", NULL},
    {"if", EAR_TREE, offsetof(struct request_keys, needs), NULL,
     "of `first`: only where this parameter is given", NULL},
    {0},
};

/* Over what `out` holds already. */
static int read_request_keys(const struct reading *reading, struct request *out,
                             const struct config_node *node)
{
    struct request_keys keys = {0};
    const bool errors = reading_fill(reading, node, request_options, "request", &keys) != 0;
    const bool body = keys.form != NULL || keys.json != NULL;

    if (errors) {
        return 0;
    }
    if (keys.form != NULL && keys.json != NULL) {
        config_report(reading->config, CONFIG_ERROR, keys.json,
                      "a body is a form or JSON, not both; leave one out");
    }
    out->needs = reading_needs(reading, keys.needs);
    if (keys.method != NULL || body || out->method == NULL) {
        out->method = keys.method != NULL ? keys.method : body ? "POST" : "GET";
    }
    if (config_get(node, "cost") != NULL || out->cost == 0) {
        out->cost = keys.cost;
    }
    switch (config_get(node, "accept") == NULL ? 3 : reading_index(keys.accept, accept_names)) {
    case 1:
        out->accept = ACCEPT_XML;
        break;
    case 2:
        out->accept = ACCEPT_NDJSON;
        break;
    case 0:
        out->accept = ACCEPT_JSON;
        break;
    default: /* unsaid */
        break;
    }
    out->has_url = out->has_url || keys.url != NULL;
    read_check_headers(reading, keys.headers);
    if (keys.json != NULL &&
        body_read(&out->json, reading->definition, reading->config, keys.json, reading->err) != 0) {
        return -1;
    }
    return read_url(reading, &out->url, keys.url) != 0 ||
                   read_named(reading, &out->query, &out->query_count, keys.query) != 0 ||
                   read_named(reading, &out->headers, &out->header_count, keys.headers) != 0 ||
                   read_named(reading, &out->form, &out->form_count, keys.form) != 0
               ? -1
               : 0;
}

/* A mapping, over what is there; or the URL alone, in its place. */
static int read_over(const struct reading *reading, struct request *out,
                     const struct config_node *node)
{
    if (out->method == NULL || config_scalar(node) != NULL) {
        *out = (struct request){.needs = -1,
                                .headers = reading->definition->headers,
                                .header_count = reading->definition->header_count};
    }
    if (config_scalar(node) != NULL) {
        out->has_url = true;
        out->method = "GET";
        out->cost = 1;
        return read_url(reading, &out->url, node);
    }
    return read_request_keys(reading, out, node);
}

void read_check_url(const struct reading *reading, const struct request *request,
                    const struct config_node *node)
{
    if (request->method != NULL && !request->has_url) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "request lacks 'url'; add it, such as url: \"{base}/posts.json\"");
    }
}

int read_first(const struct reading *reading, struct request *out, const struct config_node *node)
{
    if (config_is_absent(node)) {
        return 0;
    }
    *out = (struct request){.method = NULL};
    if (read_over(reading, out, node) != 0) {
        return -1;
    }
    read_check_url(reading, out, node);
    return 0;
}

static void check_no_needs(const struct reading *reading, const struct config_node *node)
{
    const struct config_node *needs = config_get(node, "if");

    if (needs != NULL) {
        config_report(reading->config, CONFIG_ERROR, needs,
                      "a request has no 'if', but for `first`; put it beside the request");
    }
}

int read_request(const struct reading *reading, struct request *out, const struct config_node *node)
{
    check_no_needs(reading, node);
    return read_first(reading, out, node);
}

int read_list_request(const struct reading *reading, struct request *out,
                      const struct config_node *node)
{
    if (config_is_absent(node)) {
        return 0;
    }
    check_no_needs(reading, node);
    return read_over(reading, out, node);
}

/* --- pages --- */

static const char *const page_names[] = {"none", "token", "link", "last", "number", "offset", NULL};

struct page_keys {
    const char *kind, *rel, *into;
    const struct config_node *from, *end;
    int64_t first, size, max;
};

static const struct ear_option page_options[] = {
    {"kind", EAR_CHOICE, offsetof(struct page_keys, kind), "!|none|token|link|last|number|offset",
     "how the next page is found", NULL},
    {"from", EAR_TREE, offsetof(struct page_keys, from), NULL, "a pointer to what names the next",
     NULL},
    {"rel", EAR_STRING, offsetof(struct page_keys, rel), NULL, "of the header Link: next", NULL},
    {"into", EAR_STRING, offsetof(struct page_keys, into), NULL,
     "the query member (of a form, of JSON: field) that names the next", NULL},
    {"first", EAR_INTEGER, offsetof(struct page_keys, first), "1 [0..1000000]",
     "the number of the first page", NULL},
    {"size", EAR_INTEGER, offsetof(struct page_keys, size), "0 [0..1000000]",
     "records a page, for an offset", NULL},
    {"max", EAR_INTEGER, offsetof(struct page_keys, max), "0 [0..1000000]",
     "pages a walk, as far as the platform goes back; 0: as many as there are", NULL},
    {"end", EAR_TREE, offsetof(struct page_keys, end), NULL,
     "a condition on the answer: the last page", NULL},
    {0},
};

static void check_page(const struct reading *reading, const struct page *page,
                       const struct config_node *node)
{
    if ((page->kind == PAGE_TOKEN || page->kind == PAGE_LAST) &&
        config_is_absent(config_get(node, "from"))) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "page lacks 'from'; add where the next page's name stands, such as from: "
                      "/next");
    }
}

int read_page(const struct reading *reading, struct page *out, const struct config_node *node)
{
    struct page_keys keys = {0};

    if (config_is_absent(node)) {
        return 0;
    }
    *out = (struct page){0};
    if (reading_fill(reading, node, page_options, "page", &keys) != 0) {
        return 0;
    }
    out->kind = (enum page_kind)reading_index(keys.kind, page_names);
    out->rel = keys.rel == NULL && keys.from == NULL && out->kind == PAGE_LINK ? "next" : keys.rel;
    out->into = keys.into;
    out->first = keys.first;
    out->size = keys.size;
    out->max = keys.max;
    check_page(reading, out, node);
    return read_pointer(reading, &out->from, keys.from) != 0 ||
                   read_conditions(reading, &out->last, keys.end) != 0
               ? -1
               : 0;
}

/* --- cursors --- */

struct cursor_keys {
    const struct config_node *by, *send, *start;
    const char *as, *order, *into, *rel, *overlap;
    int64_t within_us;
};

static const struct ear_option cursor_options[] = {
    {"by", EAR_TREE, offsetof(struct cursor_keys, by), NULL,
     "a pointer to what records are ordered by (or several, the first that is there), or link",
     NULL},
    {"as", EAR_CHOICE, offsetof(struct cursor_keys, as), "text|int|time|unix",
     "what it is compared as", NULL},
    {"order", EAR_CHOICE, offsetof(struct cursor_keys, order), "newest|oldest",
     "which record comes first", NULL},
    {"into", EAR_STRING, offsetof(struct cursor_keys, into), NULL,
     "the query member that carries it, where the server takes one", NULL},
    {"send", EAR_TREE, offsetof(struct cursor_keys, send), NULL,
     "how it is written there: \"{cursor}\"", NULL},
    {"start", EAR_TREE, offsetof(struct cursor_keys, start), NULL,
     "what is sent at first sight, such as \"{since}\"", NULL},
    {"within", EAR_DURATION, offsetof(struct cursor_keys, within_us), "0",
     "an older cursor is not sent, as the server refuses it", NULL},
    {"rel", EAR_STRING, offsetof(struct cursor_keys, rel), "prev",
     "by: link: which one of the header Link", NULL},
    {"overlap", EAR_STRING, offsetof(struct cursor_keys, overlap), "0",
     "how much of what was seen is read again: 50 records, or 5m", NULL},
    {0},
};

static void read_overlap(const struct reading *reading, struct cursor *out,
                         const struct config_node *node, const char *text)
{
    struct ear_error why = {EAR_NONE, ""};

    if (strlen(text) < 7 && strspn(text, "0123456789") == strlen(text)) {
        out->overlap_count = strtol(text, NULL, 10);
    } else if (duration_parse(&out->overlap_us, text, &why) != 0) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "'%.50s' is neither a number of records, such as 50, nor a duration, such "
                      "as 5m",
                      text);
    }
}

static void check_cursor(const struct reading *reading, const struct cursor *cursor,
                         const struct config_node *node)
{
    if (!cursor->by_link && config_is_absent(config_get(node, "by"))) {
        config_report(
            reading->config, CONFIG_ERROR, node,
            "cursor lacks 'by'; add what records are ordered by, such as by: /created_at");
    }
    if (cursor->order == ORDER_OLDEST && !cursor->by_link && cursor->into == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "with order: oldest the server has to be told where to begin; add 'into', "
                      "such as into: since");
    }
}

int read_cursor(const struct reading *reading, struct cursor *out, const struct config_node *node)
{
    static const enum value_as kinds[] = {AS_TEXT, AS_INT, AS_TIME, AS_UNIX};
    static const char *const kind_names[] = {"text", "int", "time", "unix", NULL};
    struct cursor_keys keys = {0};
    const char *by = NULL;

    if (config_is_absent(node)) {
        return 0;
    }
    *out = (struct cursor){0};
    if (reading_fill(reading, node, cursor_options, "cursor", &keys) != 0) {
        return 0;
    }
    by = config_scalar(keys.by);
    out->given = true;
    out->by_link = by != NULL && strcmp(by, "link") == 0;
    out->rel = keys.rel;
    out->as = kinds[reading_index(keys.as, kind_names)];
    out->order = strcmp(keys.order, "oldest") == 0 ? ORDER_OLDEST : ORDER_NEWEST;
    out->into = keys.into;
    out->within_us = keys.within_us;
    read_overlap(reading, out, config_get(node, "overlap"), keys.overlap);
    check_cursor(reading, out, node);
    if (!out->by_link && read_pointers(reading, &out->by, &out->by_count, keys.by) != 0) {
        return -1;
    }
    return read_template(reading, &out->send, keys.send) != 0 ||
                   read_template(reading, &out->start, keys.start) != 0
               ? -1
               : 0;
}

/* --- revisits --- */

static const struct ear_option revisit_options[] = {
    {"window", EAR_DURATION, offsetof(struct revisit, window_us), "! [1m..36500d]",
     "how far back it is walked again, such as 2d", NULL},
    {"every", EAR_DURATION, offsetof(struct revisit, every_us), "! [1m..365d]",
     "how often, such as 1h", NULL},
    {0},
};

int read_revisits(const struct reading *reading, struct revisit **out, size_t *count,
                  const struct config_node *node)
{
    const bool many = config_is_sequence(node);
    const size_t given = many ? config_count(node) : 1;

    if (config_is_absent(node)) {
        return 0;
    }
    if (given > REVISITS_MAX) {
        config_report(reading->config, CONFIG_ERROR, node, "more than eight windows; name fewer");
        return 0;
    }
    *count = 0;
    *out = reading_take(reading, given + 1, sizeof(**out));
    if (*out == NULL) {
        return -1;
    }
    for (size_t i = 0; i < given; i++) {
        if (reading_fill(reading, many ? config_at(node, i) : node, revisit_options, "revisit",
                         &(*out)[*count]) == 0) {
            (*count)++;
        }
    }
    return 0;
}
