/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each list of objects in the answer is a candidate, and so is an object within its elements
 * ({"kind", "data": {…}}): the one in which most of a post's fields are found is taken. A field is
 * looked for by the names that APIs give it, the likeliest first, one level down as well.
 */
#include "collectors/draft/draft.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/json/json.h"

enum { POINTER_MAX = 400, DEPTH_MAX = 6, QUERY_MAX = 40 };

enum wanted {
    W_ID,
    W_URL,
    W_TITLE,
    W_TEXT,
    W_CREATED,
    W_EDITED,
    W_AUTHOR_ID,
    W_AUTHOR_NAME,
    W_LANG,
    W_THREAD,
    W_PARENT,
    W_LIKES,
    W_REPLIES,
    W_COUNT,
};

/* The names of a field, the likeliest first; a dot goes one level down. */
static const struct {
    const char *names;
    int worth; /* how much it says that this is a post */
} wanted[W_COUNT] = {
    [W_ID] = {"uri objectID id _id guid uuid key recommendationid question_id post_id comment_id "
              "review_id item_id number name",
              3},
    [W_URL] = {"html_url permalink permalink_url link web_url url", 1},
    [W_TITLE] = {"title title.rendered subject headline summary story_title link_title topic_title",
                 2},
    [W_TEXT] = {"body content content.rendered text message review comment description cooked "
                "html selftext comment_text caption record.text textDisplay plaintext raw "
                "content.label",
                4},
    [W_CREATED] = {"created_at createdAt created_utc created_at_i created created_time date_gmt "
                   "published_at publishedAt published creation_date timestamp_created indexedAt "
                   "posted_at date timestamp time",
                   3},
    [W_EDITED] = {"edited_at lastEditedAt edited updated_at updatedAt updated_time modified_gmt "
                  "modified updated last_edit_date timestamp_updated",
                  1},
    [W_AUTHOR_ID] = {"author_fullname user_id author_id author.did author.id user.id account.url "
                     "from.id owner.user_id user.login author.steamid creator.id by",
                     1},
    [W_AUTHOR_NAME] = {"author_name username author.handle author.name user.name user.login "
                       "user.username account.acct from.name owner.display_name author by "
                       "display_name name",
                       1},
    [W_LANG] = {"lang language language_code", 0},
    [W_THREAD] = {"conversation_id thread_id topic_id link_id post discussion_id story_id", 0},
    [W_PARENT] = {"parent_id in_reply_to_id reply_to parent parentId", 0},
    [W_LIKES] = {"like_count likeCount likes favourites_count points score ups upvotes votes "
                 "votes_up",
                 0},
    [W_REPLIES] = {"reply_count replyCount replies_count num_comments comments_count comment_count "
                   "comments",
                   0},
};

/* What was found for a record: the node of each field and its pointer. */
struct found {
    const struct json_node *nodes[W_COUNT];
    char pointers[W_COUNT][136];
    int worth;
};

struct best {
    char records[POINTER_MAX];
    const struct json_node *first, *last; /* records */
    size_t count;
    struct found found;
};

/* --- fields of a record --- */

static bool is_plain(const struct json_node *node)
{
    const enum json_kind kind = json_kind_of(node);

    return kind == JSON_STRING || kind == JSON_NUMBER;
}

static bool is_time(const struct json_node *node)
{
    int64_t at_us = 0;
    size_t length = 0;
    const char *text = json_string(node, &length);

    return text != NULL && length >= 8 && instant_parse_any(&at_us, text, length, NULL);
}

static bool fits(enum wanted which, const struct json_node *node)
{
    if (which == W_CREATED || which == W_EDITED) {
        return is_time(node);
    }
    if (which == W_LIKES || which == W_REPLIES) {
        return json_kind_of(node) == JSON_NUMBER;
    }
    if (which == W_TEXT || which == W_TITLE || which == W_URL) {
        return json_kind_of(node) == JSON_STRING;
    }
    return is_plain(node);
}

/* One name, "author.name": *node and its pointer. */
static bool try_name(struct found *found, enum wanted which, const struct json_node *record,
                     const char *name, size_t length)
{
    const char *dot = memchr(name, '.', length);
    char first[64];
    char second[64] = "";
    const struct json_node *node = NULL;

    (void)snprintf(first, sizeof(first), "%.*s", (int)(dot == NULL ? length : (size_t)(dot - name)),
                   name);
    node = json_get(record, first);
    if (dot != NULL) {
        (void)snprintf(second, sizeof(second), "%.*s", (int)(name + length - dot - 1), dot + 1);
        node = json_get(node, second);
    }
    if (node == NULL || !fits(which, node)) {
        return false;
    }
    found->nodes[which] = node;
    (void)snprintf(found->pointers[which], sizeof(found->pointers[which]), "/%s%s%s", first,
                   dot == NULL ? "" : "/", second);
    return true;
}

static void look(struct found *found, const struct json_node *record)
{
    *found = (struct found){0};
    for (size_t i = 0; i < W_COUNT; i++) {
        for (const char *name = wanted[i].names; *name != '\0';) {
            const size_t length = strcspn(name, " ");

            if (try_name(found, (enum wanted)i, record, name, length)) {
                found->worth += wanted[i].worth;
                break;
            }
            name += length + (name[length] == ' ' ? 1 : 0);
        }
    }
}

/* --- the list of records --- */

/* A key as a pointer's step: ~ and / escaped. */
static void append(char *pointer, const char *key)
{
    size_t at = strlen(pointer);

    if (at + 2 * strlen(key) + 2 >= POINTER_MAX) {
        return;
    }
    pointer[at++] = '/';
    for (; *key != '\0'; key++) {
        if (*key == '~' || *key == '/') {
            pointer[at++] = '~';
            pointer[at++] = *key == '~' ? '0' : '1';
        } else {
            pointer[at++] = *key;
        }
    }
    pointer[at] = '\0';
}

/* A key that a draft can name. */
static bool is_tame(const char *key)
{
    for (; *key != '\0'; key++) {
        if ((unsigned char)*key < 0x20 || strchr("\"\\\x7f", *key) != NULL) {
            return false;
        }
    }
    return true;
}

static const struct json_node *last_of(const struct json_node *list)
{
    const struct json_node *last = NULL;

    for (const struct json_node *each = json_first(list); each != NULL; each = json_next(each)) {
        last = each;
    }
    return last;
}

static void try_record(struct best *best, const struct json_node *list, const char *pointer,
                       const char *inner)
{
    struct found found;
    const struct json_node *first = json_first(list);
    const struct json_node *last = last_of(list);

    if (inner != NULL) {
        first = json_get(first, inner);
        last = json_get(last, inner);
    }
    look(&found, first);
    if (found.nodes[W_ID] == NULL ||
        (found.nodes[W_TEXT] == NULL && found.nodes[W_TITLE] == NULL) ||
        found.worth <= best->found.worth) {
        return;
    }
    *best = (struct best){.first = first, .last = last, .count = json_count(list), .found = found};
    (void)snprintf(best->records, sizeof(best->records), "%s/*", pointer);
    if (inner != NULL) {
        append(best->records, inner);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX deep */
static void search(struct best *best, const struct json_node *node, const char *pointer, int depth)
{
    char below[POINTER_MAX];

    if (depth > DEPTH_MAX) {
        return;
    }
    if (json_kind_of(node) == JSON_ARRAY && json_kind_of(json_first(node)) == JSON_OBJECT) {
        try_record(best, node, pointer, NULL);
        for (const struct json_node *each = json_first(json_first(node)); each != NULL;
             each = json_next(each)) {
            if (json_kind_of(each) == JSON_OBJECT && is_tame(json_key(each))) {
                try_record(best, node, pointer, json_key(each));
            }
        }
    }
    for (const struct json_node *each = json_first(node);
         each != NULL && json_kind_of(node) == JSON_OBJECT; each = json_next(each)) {
        if (is_tame(json_key(each))) {
            (void)snprintf(below, sizeof(below), "%s", pointer);
            append(below, json_key(each));
            search(best, each, below, depth + 1);
        }
    }
}

/* --- the address --- */

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

static bool is_secret(const char *name)
{
    static const char *const parts[] = {"key", "token", "secret", "password", "auth", "sig"};
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

struct member {
    char *name, *value;
    bool secret;
};

struct address {
    char *text; /* cut at its ends */
    const char *base, *path;
    struct member query[QUERY_MAX];
    size_t query_count;
};

/* A user and password before the host: no part of a definition. */
static void drop_login(char *host)
{
    const size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);

    if (at != NULL) {
        memmove(host, at + 1, strlen(at + 1) + 1);
    }
}

static int read_address(struct address *address, const char *url, struct ear_error *err)
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
    for (char *one = strsep(&query, "&"); one != NULL && address->query_count < QUERY_MAX;
         one = strsep(&query, "&")) {
        struct member *member = &address->query[address->query_count];
        char *equals = strchr(one, '=');

        if (equals == NULL) {
            continue;
        }
        *equals = '\0';
        (void)decode(one);
        (void)decode(equals + 1);
        *member = (struct member){.name = one, .value = equals + 1, .secret = is_secret(one)};
        address->query_count++;
    }
    return 0;
}

/* "https://api.forum.example:8443" → forum: the label before the last, in small letters. */
static void name_platform(char out[80], const char *base)
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

/* --- writing --- */

static void put_params(FILE *out, const struct address *address)
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

static void put_request(FILE *out, const struct address *address)
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
    (void)fputs(*between == ',' && between[2] == '\0' ? "}}\n" : "}\n", out);
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
    {"/cursor", "cursor"},
    {"/next_page_token", "page_token"},
    {"/pageInfo/endCursor", "after"},
    {"/paging/next", NULL},
    {"/next_page", "page_cursor"},
    {"/links/next", NULL},
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
        if (is_plain(node) && nexts[i].into != NULL) {
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
    text = is_plain(last) ? json_string(last, &length) : NULL;
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

static void put_field(FILE *out, const struct found *found, enum wanted which, const char *name)
{
    const struct json_node *node = found->nodes[which];
    const char *pointer = found->pointers[which];

    if (node == NULL) {
        return;
    }
    if ((which == W_TEXT || which == W_TITLE) && looks_like_html(node)) {
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

static void put_all(FILE *out, const char *name, const struct draft_sample *sample,
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
    put_params(out, address);
    put_request(out, address);
    (void)fprintf(out, "records: \"%s\"\n", best->records);
    put_page(out, sample, address);
    put_cursor(out, best);
    put_map(out, &best->found);
    (void)fputs(
        "# deleted: {path: /deleted, is: true}      # how does the list show what was "
        "deleted?\n"
        "# gone: {request: \"{base}/…/{post/id}\"}      # or what answers 404 for a post that "
        "is gone?\n"
        "limit: {requests: 30, per: 1m}      # what does the API allow?\n",
        out);
}

int draft_make(char **out, char name[80], const struct draft_sample *sample, struct ear_error *err)
{
    struct best best = {0};
    struct address address = {0};
    size_t size = 0;
    FILE *file = NULL;
    int result = -1;

    search(&best, sample->answer, "", 0);
    if (best.first == NULL) {
        return ear_fail(err, EAR_REJECT,
                        "nothing in the answer looks like a list of posts: none has an id and a "
                        "text or title");
    }
    if (read_address(&address, sample->url, err) != 0) {
        goto done;
    }
    name_platform(name, address.base);
    *out = NULL;
    file = open_memstream(out, &size);
    if (file == NULL) {
        ear_fail_memory(err, "a draft");
        goto done;
    }
    put_all(file, name, sample, &address, &best);
    if (fclose(file) != 0) {
        free(*out);
        *out = NULL;
        ear_fail_memory(err, "a draft");
        goto done;
    }
    result = 0;

done:
    free(address.text);
    return result;
}
