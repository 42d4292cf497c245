/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A site's address instead of a feed's: what its page says (<link rel="alternate" type="…">), else
 * where feeds usually lie. Of several feeds the first one is the site's, that of its comments
 * aside: WordPress, Blogger and others name both, the comments' second.
 */
#include "collectors/feed/feed_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/markup/markup.h"

struct search {
    const char *base;
    struct feed_found *found;
};

/* The title of a comment feed is in the site's language, its address hardly ever. */
static bool is_of_comments(const char *href, const char *title)
{
    static const char *const words[] = {"comment", "kommentar", "comentario", "commentaire"};

    for (size_t i = 0; title != NULL && i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(title, words[i]) != NULL) {
            return true;
        }
    }
    return strcasestr(href, "/comments/") != NULL || strcasestr(href, "comments-rss2") != NULL;
}

static bool is_feed(const char *rel, const char *type, const char *href)
{
    return rel != NULL && type != NULL && href != NULL && strcasestr(rel, "alternate") != NULL &&
           (strcasestr(type, "rss+xml") != NULL || strcasestr(type, "atom+xml") != NULL ||
            strcasestr(type, "rdf+xml") != NULL || strcasestr(type, "feed+json") != NULL);
}

static int on_link(void *user, const char *space, const char *name,
                   const struct markup_attribute attributes[], size_t count, struct ear_error *err)
{
    struct search *search = user;
    const char *rel = NULL;
    const char *type = NULL;
    const char *href = NULL;
    const char *title = NULL;
    char **found = NULL;

    (void)space;
    (void)err;
    if (strcmp(name, "link") != 0) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        rel = strcmp(attributes[i].name, "rel") == 0 ? attributes[i].value : rel;
        type = strcmp(attributes[i].name, "type") == 0 ? attributes[i].value : type;
        href = strcmp(attributes[i].name, "href") == 0 ? attributes[i].value : href;
        title = strcmp(attributes[i].name, "title") == 0 ? attributes[i].value : title;
    }
    if (!is_feed(rel, type, href)) {
        return 0;
    }
    found = is_of_comments(href, title) ? &search->found->comments : &search->found->feed;
    if (*found == NULL) {
        *found = link_resolve(search->base, href);
    }
    return 0;
}

int find_feeds(struct feed_found *out, const struct page_source *source, struct ear_error *err)
{
    static const struct markup_handler handler = {.open = on_link};
    struct search search = {.base = source->url, .found = out};
    size_t length = 0;
    bool repaired = false;
    char *text = page_decode(source, &length, &repaired);

    *out = (struct feed_found){0};
    if (text == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    if (markup_read_html(text, length, &handler, &search, err) != 0 && err->kind != EAR_FATAL) {
        ear_error_clear(err); /* what stood before the trouble counts */
    }
    free(text);
    if (err->kind == EAR_FATAL) {
        free(out->feed);
        free(out->comments);
        *out = (struct feed_found){0};
        return -1;
    }
    return 0;
}

char *find_usual(const char *url, size_t index, struct ear_error *err)
{
    /* WordPress; Ghost and Medium; static sites; Jekyll; Hugo; Blogger */
    static const char *const places[] = {"feed/",    "rss/",      "feed.xml",           "rss.xml",
                                         "atom.xml", "index.xml", "feeds/posts/default"};
    char *base = NULL;
    char *found = NULL;
    size_t length = strcspn(url, "?#");

    if (index >= sizeof places / sizeof places[0]) {
        return NULL;
    }
    base = malloc(length + 2);
    if (base == NULL) {
        ear_fail_memory(err, "a feed");
        return NULL;
    }
    memcpy(base, url, length);
    base[length] = '\0';
    if (base[length - 1] != '/') { /* a folder, even where it is not written as one */
        base[length] = '/';
        base[length + 1] = '\0';
    }
    found = link_resolve(base, places[index]);
    free(base);
    return found;
}
