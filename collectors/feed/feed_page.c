/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of any format: decoded, told apart, read, and its entries made whole (guid, link, times,
 * what a comment belongs to).
 */
#include "collectors/feed/feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/instant.h"
#include "common/markup/markup.h"
#include "common/text/text.h"

struct feed_entry *page_add(struct feed_page *page, struct ear_error *err)
{
    if (page->count == FEED_ENTRIES_MAX) {
        ear_fail(err, EAR_REJECT, "too_many: a feed of more than %d entries", FEED_ENTRIES_MAX);
        return NULL;
    }
    if (page->count == page->capacity) {
        size_t capacity = page->capacity == 0 ? 32 : page->capacity * 2;
        struct feed_entry *entries = realloc(page->entries, capacity * sizeof *entries);

        if (entries == NULL) {
            ear_fail_memory(err, "a feed");
            return NULL;
        }
        page->entries = entries;
        page->capacity = capacity;
    }
    page->entries[page->count] =
        (struct feed_entry){.created_us = INT64_MIN, .edited_us = INT64_MIN, .comments = -1};
    return &page->entries[page->count++];
}

void page_clear(struct feed_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        struct feed_entry *entry = &page->entries[i];

        free(entry->guid);
        free(entry->link);
        free(entry->title);
        free(entry->text);
        free(entry->summary);
        free(entry->author);
        free(entry->author_link);
        free(entry->published);
        free(entry->updated);
        free(entry->comments_feed);
        free(entry->parent);
        free(entry->lang);
    }
    free(page->entries);
    free(page->lang);
    free(page->author);
    *page = (struct feed_page){0};
}

/* --- what it is --- */

char *page_decode(const struct page_source *source, size_t *length, bool *repaired)
{
    return text_decode_markup(source->bytes, source->length, source->type, length, repaired);
}

/* A web page is seen by what it begins with, whatever its type says. */
static bool is_html(const char *text, size_t length)
{
    static const char *const signs[] = {"<html", "<!doctype html", "<head", "<body"};
    char head[1025];
    size_t size = length < sizeof head - 1 ? length : sizeof head - 1;

    memcpy(head, text, size);
    head[size] = '\0';
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strcasestr(head, signs[i]) != NULL) {
            return strcasestr(head, "<rss") == NULL && strcasestr(head, "<feed") == NULL &&
                   strcasestr(head, "<rdf:RDF") == NULL;
        }
    }
    return false;
}

bool page_is_html(const struct page_source *source)
{
    return is_html(source->bytes, source->length);
}

/* --- entries made whole --- */

static bool is_blank(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* The guid, else the link, else a hash of title and date. */
static int name_entry(struct feed_entry *entry, struct ear_error *err)
{
    char hash[HASH128_TEXT_SIZE];
    char *text = NULL;
    int size = 0;

    if (entry->guid != NULL) {
        return 0;
    }
    if (entry->link != NULL) {
        entry->guid = strdup(entry->link);
    } else {
        size = asprintf(&text, "%s\n%s", is_blank(entry->title) ? "" : entry->title,
                        is_blank(entry->published) ? "" : entry->published);
        if (size >= 0) {
            entry->guid = strdup(hash128_format(hash, hash128_of(text, (size_t)size)));
            free(text);
        }
    }
    return entry->guid != NULL ? 0 : ear_fail_memory(err, "an entry of a feed");
}

/* WordPress and others name a comment by its post's guid and "#comment-7". */
static void find_parent(struct feed_entry *entry)
{
    const char *sign = entry->guid != NULL ? strstr(entry->guid, "#comment") : NULL;

    if (entry->parent == NULL && sign != NULL && sign > entry->guid) {
        entry->parent = strndup(entry->guid, (size_t)(sign - entry->guid));
    }
}

static void read_times(struct feed_entry *entry, const struct zone *zone)
{
    if (entry->published != NULL &&
        !instant_parse_any(&entry->created_us, entry->published, strlen(entry->published), zone)) {
        entry->created_us = INT64_MIN;
    }
    if (entry->updated != NULL &&
        !instant_parse_any(&entry->edited_us, entry->updated, strlen(entry->updated), zone)) {
        entry->edited_us = INT64_MIN;
    }
    if (entry->created_us == INT64_MIN) {
        entry->created_us = entry->edited_us;
    }
    if (entry->edited_us <= entry->created_us) {
        entry->edited_us = INT64_MIN;
    }
}

static void inherit(char **field, const char *from)
{
    if (*field == NULL && from != NULL) {
        *field = strdup(from);
    }
}

static int finish(struct feed_page *page, const struct page_source *source, struct ear_error *err)
{
    for (size_t i = 0; i < page->count; i++) {
        struct feed_entry *entry = &page->entries[i];

        if (entry->link == NULL && entry->guid != NULL && !entry->guid_is_no_link &&
            strncasecmp(entry->guid, "http", 4) == 0) {
            entry->link = link_resolve(source->url, entry->guid);
        }
        if (name_entry(entry, err) != 0) {
            return -1;
        }
        find_parent(entry);
        read_times(entry, source->zone);
        inherit(&entry->lang, page->lang);
        inherit(&entry->author, page->author);
    }
    return 0;
}

int page_read(struct feed_page *page, const struct page_source *source,
              const struct source_output *output, struct ear_error *err)
{
    int result = -1;
    size_t length = 0;
    char *text = page_decode(source, &length, &page->repaired);
    size_t start = 0;

    if (text == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    start = strspn(text, " \t\r\n");
    if (start == length) {
        ear_fail(err, EAR_REJECT, "no_feed: the answer is empty");
    } else if (is_html(text, length)) {
        ear_fail(err, EAR_REJECT,
                 "no_feed: it is a web page that names no feed, and none is where feeds usually "
                 "are; give the address of a feed");
    } else if (text[start] == '{' || text[start] == '[') {
        result = page_read_json(page, text, length, source->url, output, err);
    } else {
        result = page_read_xml(page, text + start, length - start, source->url, err);
    }
    if (result == 0) {
        result = finish(page, source, err);
    }
    free(text);
    return result;
}
