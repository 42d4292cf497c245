/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Feed 1.0 and 1.1 (jsonfeed.org/version/1.1). */
#include "collectors/feed/feed_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/source.h"
#include "common/json/json.h"

/* A string member, or a number as its text; NULL: absent, empty or of another kind. */
static char *string_of(const struct json_node *object, const char *name)
{
    const char *text = json_string(json_get(object, name), NULL);

    return text != NULL && text[0] != '\0' ? strdup(text) : NULL;
}

/* 1.1 has a list `authors`, 1.0 one `author`. */
static char *author_of(const struct json_node *object, const char *what)
{
    const struct json_node *authors = json_get(object, "authors");
    const struct json_node *author =
        json_kind_of(authors) == JSON_ARRAY ? json_first(authors) : json_get(object, "author");

    return string_of(author, what);
}

static int read_item(struct feed_page *page, size_t number, const struct json_node *item,
                     const char *url, struct ear_error *err)
{
    struct feed_entry *entry = page_add(page, err);
    char *link = NULL;

    if (entry == NULL) {
        return -1;
    }
    entry->number = number;
    entry->guid = string_of(item, "id");
    entry->title = string_of(item, "title");
    entry->text = string_of(item, "content_html");
    entry->text_html = entry->text != NULL;
    if (entry->text == NULL) {
        entry->text = string_of(item, "content_text");
    }
    entry->summary = string_of(item, "summary");
    entry->published = string_of(item, "date_published");
    entry->updated = string_of(item, "date_modified");
    entry->lang = string_of(item, "language");
    entry->author = author_of(item, "name");
    entry->author_link = author_of(item, "url");
    link = string_of(item, "url");
    if (link == NULL) {
        link = string_of(item, "external_url");
    }
    entry->link = link != NULL ? link_resolve(url, link) : NULL;
    free(link);
    return 0;
}

static int reject_item(const struct source_output *output, size_t number,
                       const struct json_node *item, struct ear_error *err)
{
    char where[32];
    size_t length = 0;
    const char *raw = json_raw(item, &length);

    if (output == NULL) {
        return 0;
    }
    snprintf(where, sizeof where, "entry %zu", number);
    return output->reject(output->user, where, "schema", "an item of a JSON Feed is an object", raw,
                          length, err);
}

static int read_items(struct feed_page *page, const struct json_node *items, const char *url,
                      const struct source_output *output, struct ear_error *err)
{
    size_t number = 0;

    for (const struct json_node *item = json_first(items); item != NULL; item = json_next(item)) {
        int result = 0;

        number++;
        if (json_kind_of(item) == JSON_OBJECT) {
            result = read_item(page, number, item, url, err);
        } else {
            result = reject_item(output, number, item, err);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

int page_read_json(struct feed_page *page, const char *text, size_t length, const char *url,
                   const struct source_output *output, struct ear_error *err)
{
    int result = -1;
    struct json *json = NULL;
    const struct json_node *root = NULL;
    const char *version = NULL;

    if (json_new(&json, err) != 0) {
        goto done;
    }
    root = json_read(json, text, length, &json_limits_default, err);
    if (root == NULL) {
        goto done;
    }
    version = json_string(json_get(root, "version"), NULL);
    if (version == NULL || strstr(version, "jsonfeed.org/version/") == NULL ||
        json_kind_of(json_get(root, "items")) != JSON_ARRAY) {
        ear_fail(err, EAR_REJECT,
                 "no_feed: it is JSON, but no JSON Feed (no 'version' of jsonfeed.org with "
                 "'items'); give the address of a feed");
        goto done;
    }
    page->lang = string_of(root, "language");
    page->author = author_of(root, "name");
    page->repaired = page->repaired || json_repaired(json) || json_duplicates(json);
    result = read_items(page, json_get(root, "items"), url, output, err);

done:
    json_free(json);
    return result;
}
