/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSS, RDF and Atom, tag by tag. An element is known by its namespace and name; the dialects of RSS
 * are one namespace here, whatever they call it. Of an entry, only its direct children count (so an
 * Atom <source> does not lend it its id), but for the name within <author> and YouTube's
 * description within <media:group>.
 *
 * What an element holds is captured as text. Where it holds tags (Atom's xhtml, or HTML that
 * somebody forgot to escape), these are written into the capture, so that it is HTML again.
 */
#include "collectors/feed/feed_internal.h"
#include "collectors/feed/feed_xml_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/markup/markup.h"

/* A page of 16 MiB may be six times as long once it is escaped. */
enum { BASES_MAX = 16, CAPTURE_MAX = 8 * 1024 * 1024, CAPTURES_MAX = 24 * 1024 * 1024 };

struct base {
    char *url;
    size_t depth; /* of the element that has it */
};

struct reader {
    struct feed_page *page;
    size_t depth;       /* of the element that is open, from 1 */
    size_t entry_depth; /* 0: in none */
    size_t author_depth;
    size_t root_depth; /* of the element whose children are the feed's own fields */
    bool is_feed;
    const char *core; /* the root's namespace counts as RSS, whatever it is */
    char *core_copy;
    struct base bases[BASES_MAX];
    size_t base_count;
    enum field field; /* that is captured, or NOTHING */
    size_t capture_depth;
    bool escape; /* the capture is text within HTML */
    bool html;   /* what comes out is HTML */
    bool base64;
    char *captured;
    size_t length, capacity;
    bool cut;     /* more than CAPTURE_MAX: the rest is passed over */
    size_t taken; /* bytes of all captures of the page */
    char *mail;   /* of the author, used if there is no name */
};

static enum space space_of(const struct reader *reader, const char *uri)
{
    const enum space space = xml_space(uri);

    return space == OTHER && reader->core != NULL && strcmp(reader->core, uri) == 0 ? CORE : space;
}

static const char *attribute(const struct markup_attribute attributes[], size_t count,
                             const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(attributes[i].name, name) == 0) {
            return attributes[i].value;
        }
    }
    return NULL;
}

static const char *xml_attribute(const struct markup_attribute attributes[], size_t count,
                                 const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(attributes[i].name, name) == 0 && strstr(attributes[i].space, "XML/1998")) {
            return attributes[i].value;
        }
    }
    return NULL;
}

static const char *base_now(const struct reader *reader)
{
    return reader->bases[reader->base_count - 1].url;
}

static void push_base(struct reader *reader, const char *reference)
{
    char *url = reader->base_count < BASES_MAX ? link_resolve(base_now(reader), reference) : NULL;

    if (url != NULL) {
        reader->bases[reader->base_count++] = (struct base){.url = url, .depth = reader->depth};
    }
}

static void set_link(const struct reader *reader, char **link, const char *reference)
{
    if (*link == NULL && reference != NULL) {
        *link = link_resolve(base_now(reader), reference);
    }
}

static void set_copy(char **field, const char *text)
{
    if (*field == NULL && text != NULL && text[0] != '\0') {
        *field = strdup(text);
    }
}

static struct feed_entry *entry_now(const struct reader *reader)
{
    return &reader->page->entries[reader->page->count - 1];
}

/* --- capturing --- */

static int capture(struct reader *reader, const char *text, size_t length, struct ear_error *err)
{
    reader->cut = reader->cut || reader->length + length > CAPTURE_MAX;
    if (reader->cut) {
        return 0;
    }
    if (reader->length + length + 1 > reader->capacity) {
        size_t capacity = (reader->length + length + 1) * 2;
        char *bigger = realloc(reader->captured, capacity);

        if (bigger == NULL) {
            return ear_fail_memory(err, "an entry of a feed");
        }
        reader->captured = bigger;
        reader->capacity = capacity;
    }
    memcpy(reader->captured + reader->length, text, length);
    reader->length += length;
    reader->captured[reader->length] = '\0';
    return 0;
}

static int capture_escaped(struct reader *reader, const char *text, size_t length,
                           struct ear_error *err)
{
    size_t from = 0;

    for (size_t i = 0; i < length; i++) {
        const char *name = text[i] == '&'   ? "&amp;"
                           : text[i] == '<' ? "&lt;"
                           : text[i] == '>' ? "&gt;"
                           : text[i] == '"' ? "&quot;"
                                            : NULL;

        if (name != NULL) {
            if (capture(reader, text + from, i - from, err) != 0 ||
                capture(reader, name, strlen(name), err) != 0) {
                return -1;
            }
            from = i + 1;
        }
    }
    return capture(reader, text + from, length - from, err);
}

static int capture_open(struct reader *reader, const char *name,
                        const struct markup_attribute attributes[], size_t count,
                        struct ear_error *err)
{
    if (capture(reader, "<", 1, err) != 0 || capture(reader, name, strlen(name), err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (capture(reader, " ", 1, err) != 0 ||
            capture(reader, attributes[i].name, strlen(attributes[i].name), err) != 0 ||
            capture(reader, "=\"", 2, err) != 0 ||
            capture_escaped(reader, attributes[i].value, strlen(attributes[i].value), err) != 0 ||
            capture(reader, "\"", 1, err) != 0) {
            return -1;
        }
    }
    return capture(reader, ">", 1, err);
}

static int capture_close(struct reader *reader, const char *name, struct ear_error *err)
{
    return capture(reader, "</", 2, err) != 0 || capture(reader, name, strlen(name), err) != 0 ||
                   capture(reader, ">", 1, err) != 0
               ? -1
               : 0;
}

static bool is_texty(enum field field)
{
    return field == TITLE || field == TEXT || field == SUMMARY;
}

/* What kind of text an element holds: RSS says HTML always; Atom says it in attributes. */
static void begin_capture(struct reader *reader, enum field field, enum space space,
                          const struct markup_attribute attributes[], size_t count)
{
    const char *type = attribute(attributes, count, "type");
    const char *mode = attribute(attributes, count, "mode"); /* Atom 0.3 */
    bool atom = space == ATOM;

    reader->field = field;
    reader->capture_depth = reader->depth;
    reader->length = 0;
    reader->cut = false;
    if (reader->captured != NULL) {
        reader->captured[0] = '\0';
    }
    reader->base64 = mode != NULL && strcasecmp(mode, "base64") == 0;
    reader->escape = false;
    reader->html = is_texty(field);
    if (!atom && space != MEDIA) {
        return;
    }
    if (type == NULL || strcasecmp(type, "text") == 0 || strcasecmp(type, "text/plain") == 0 ||
        strcasecmp(type, "plain") == 0) {
        reader->html = false;
    } else if (strcasecmp(type, "xhtml") == 0 || strcasecmp(type, "application/xhtml+xml") == 0 ||
               (mode != NULL && strcasecmp(mode, "xml") == 0)) {
        reader->escape = true;
    } else if (strcasecmp(type, "html") != 0 && strcasecmp(type, "text/html") != 0) {
        reader->base64 = field == TEXT; /* another medium: not for reading */
    }
}

static char *trimmed(const char *text, size_t length)
{
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL) {
        length--;
    }
    while (length > 0 && strchr(" \t\r\n", *text) != NULL) {
        text++;
        length--;
    }
    return length > 0 ? strndup(text, length) : NULL;
}

/* "jo@example.com (Jo Doe)" is Jo Doe. */
static void take_author(char **author, char *text)
{
    char *open = strchr(text, '(');
    size_t length = strlen(text);

    if (*author != NULL) {
        return;
    }
    if (open != NULL && strchr(text, '@') != NULL && strchr(text, '@') < open &&
        text[length - 1] == ')') {
        *author = trimmed(open + 1, length - (size_t)(open - text) - 2);
    }
    if (*author == NULL) {
        *author = strdup(text);
    }
}

static void take_text(char **field, bool *is_html, char **text, const struct reader *reader)
{
    if (*field == NULL && !reader->base64) {
        *field = *text;
        *is_html = reader->html;
        *text = NULL;
    }
}

static void take_for_feed(struct feed_page *page, enum field field, const char *text)
{
    if (field == LANG) {
        set_copy(&page->lang, text);
    } else if (field == AUTHOR) {
        set_copy(&page->author, text);
    }
}

/* Puts what was captured into the entry (or the feed); the first that is not empty counts. */
static void end_capture(struct reader *reader)
{
    char *text = reader->length > 0 ? trimmed(reader->captured, reader->length) : NULL;
    struct feed_entry none = {0};
    struct feed_entry *entry = reader->entry_depth > 0 ? entry_now(reader) : &none;
    enum field field = reader->field;

    reader->field = NOTHING;
    reader->taken += reader->length;
    entry->too_large = entry->too_large || reader->cut;
    if (text == NULL) {
        return;
    }
    if (reader->entry_depth == 0) {
        take_for_feed(reader->page, field, text);
        free(text);
        return;
    }
    switch (field) {
    case GUID:
        set_copy(&entry->guid, text);
        break;
    case LINK:
        set_link(reader, &entry->link, text);
        break;
    case TITLE:
        take_text(&entry->title, &entry->title_html, &text, reader);
        break;
    case TEXT:
        take_text(&entry->text, &entry->text_html, &text, reader);
        break;
    case SUMMARY:
        take_text(&entry->summary, &entry->summary_html, &text, reader);
        break;
    case AUTHOR:
        take_author(&entry->author, text);
        break;
    case AUTHOR_LINK:
        set_copy(&entry->author_link, text);
        break;
    case AUTHOR_MAIL:
        set_copy(&reader->mail, text);
        break;
    case PUBLISHED:
        set_copy(&entry->published, text);
        break;
    case UPDATED:
        set_copy(&entry->updated, text);
        break;
    case COMMENTS_FEED:
        set_link(reader, &entry->comments_feed, text);
        break;
    case COMMENTS:
        entry->comments = strtoll(text, NULL, 10);
        break;
    case LANG:
        set_copy(&entry->lang, text);
        break;
    default:
        break;
    }
    free(text);
}

/* --- elements --- */

static bool is_entry(enum space space, const char *name)
{
    return (space == CORE && strcmp(name, "item") == 0) ||
           (space == ATOM && strcmp(name, "entry") == 0);
}

static void open_root(struct reader *reader, const char *space, const char *name)
{
    bool rss = strcasecmp(name, "rss") == 0;
    bool rdf = strcmp(name, "RDF") == 0;
    bool atom = strcmp(name, "feed") == 0 && space_of(reader, space) == ATOM;

    reader->is_feed = rss || rdf || atom;
    reader->root_depth = atom ? 1 : 2;
    if (rss) {
        reader->core_copy = strdup(space);
        reader->core = reader->core_copy;
    }
}

static int open_entry(struct reader *reader, const struct markup_attribute attributes[],
                      size_t count, struct ear_error *err)
{
    struct feed_entry *entry = page_add(reader->page, err);

    if (entry == NULL) {
        return -1;
    }
    entry->number = reader->page->count;
    reader->entry_depth = reader->depth;
    set_copy(&entry->lang, xml_attribute(attributes, count, "lang"));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(attributes[i].name, "about") == 0 && strstr(attributes[i].space, "rdf")) {
            set_copy(&entry->guid, attributes[i].value);
        }
    }
    return 0;
}

/* Atom's <link rel type href>, also within RSS. */
static void open_atom_link(const struct reader *reader, struct feed_entry *entry,
                           const struct markup_attribute attributes[], size_t count)
{
    const char *rel = attribute(attributes, count, "rel");
    const char *type = attribute(attributes, count, "type");
    const char *href = attribute(attributes, count, "href");
    const char *replies = attribute(attributes, count, "count");

    if (rel == NULL || strcmp(rel, "alternate") == 0) {
        if (type == NULL || strstr(type, "html") != NULL) {
            set_link(reader, &entry->link, href);
        }
    } else if (strcmp(rel, "replies") == 0 && type != NULL &&
               (strstr(type, "atom") != NULL || strstr(type, "rss") != NULL)) {
        set_link(reader, &entry->comments_feed, href);
        if (replies != NULL && entry->comments < 0) {
            entry->comments = strtoll(replies, NULL, 10);
        }
    }
}

/* Some element within an entry. */
static void open_in_entry(struct reader *reader, enum space space, const char *name,
                          const struct markup_attribute attributes[], size_t count)
{
    struct feed_entry *entry = entry_now(reader);
    bool child = reader->depth == reader->entry_depth + 1;
    enum field field = NOTHING;

    if (reader->author_depth > 0 && reader->depth == reader->author_depth + 1) {
        field = xml_author_field(space, name);
    } else if (child && space == ATOM && strcmp(name, "author") == 0) {
        reader->author_depth = reader->depth;
    } else if (child && space == ATOM && strcmp(name, "link") == 0) {
        open_atom_link(reader, entry, attributes, count);
    } else if (child && space == THREAD && strcmp(name, "in-reply-to") == 0) {
        set_copy(&entry->parent, attribute(attributes, count, "ref"));
    } else if (child || (space == MEDIA && strcmp(name, "description") == 0)) {
        field = xml_entry_field(space, name);
    }
    if (field == GUID && space == CORE) {
        const char *permanent = attribute(attributes, count, "isPermaLink");

        entry->guid_is_no_link = permanent != NULL && strcasecmp(permanent, "false") == 0;
    }
    if (field == LINK && attribute(attributes, count, "href") != NULL) {
        set_link(reader, &entry->link, attribute(attributes, count, "href"));
    }
    if (field != NOTHING) {
        begin_capture(reader, field, space, attributes, count);
    }
}

/* Some element outside of entries. */
static void open_in_feed(struct reader *reader, enum space space, const char *name,
                         const struct markup_attribute attributes[], size_t count)
{
    enum field field = NOTHING;

    if (reader->author_depth > 0 && reader->depth == reader->author_depth + 1) {
        field = xml_author_field(space, name);
    } else if (reader->depth == reader->root_depth + 1) {
        field = xml_feed_field(space, name);
        if (space == ATOM && strcmp(name, "author") == 0) {
            reader->author_depth = reader->depth;
        }
    }
    if (field != NOTHING) {
        begin_capture(reader, field, space, attributes, count);
    }
}

static int on_open(void *user, const char *uri, const char *name,
                   const struct markup_attribute attributes[], size_t count, struct ear_error *err)
{
    struct reader *reader = user;
    enum space space = space_of(reader, uri);
    const char *base = xml_attribute(attributes, count, "base");

    reader->depth++;
    if (reader->field != NOTHING) {
        return is_texty(reader->field) && (reader->html || reader->escape)
                   ? capture_open(reader, name, attributes, count, err)
                   : 0;
    }
    if (reader->depth == 1) {
        open_root(reader, uri, name);
        space = space_of(reader, uri);
        set_copy(&reader->page->lang, xml_attribute(attributes, count, "lang"));
    }
    if (!reader->is_feed) {
        return ear_fail(err, EAR_REJECT,
                        "no_feed: its outermost element is <%.40s>, where a feed has <rss>, "
                        "<rdf:RDF> or <feed>; give the address of a feed",
                        name);
    }
    if (base != NULL) {
        push_base(reader, base);
    }
    if (reader->entry_depth > 0) {
        open_in_entry(reader, space, name, attributes, count);
    } else if (reader->depth > 1 && reader->depth <= 3 && is_entry(space, name)) {
        return open_entry(reader, attributes, count, err);
    } else {
        open_in_feed(reader, space, name, attributes, count);
    }
    return 0;
}

static void close_entry(struct reader *reader)
{
    struct feed_entry *entry = entry_now(reader);

    if (entry->author == NULL) {
        entry->author = reader->mail;
        reader->mail = NULL;
    }
    free(reader->mail);
    reader->mail = NULL;
    reader->entry_depth = 0;
}

static int on_close(void *user, const char *uri, const char *name, struct ear_error *err)
{
    struct reader *reader = user;
    size_t depth = reader->depth--;

    (void)uri;
    if (reader->field != NOTHING && depth > reader->capture_depth) {
        return is_texty(reader->field) && (reader->html || reader->escape)
                   ? capture_close(reader, name, err)
                   : 0;
    }
    if (reader->field != NOTHING) {
        end_capture(reader);
        if (reader->taken > CAPTURES_MAX) {
            return ear_fail(err, EAR_REJECT, "too_big: the texts of the feed are over %d bytes",
                            CAPTURES_MAX);
        }
    }
    if (depth == reader->author_depth) {
        reader->author_depth = 0;
    }
    if (depth == reader->entry_depth) {
        close_entry(reader);
    }
    while (reader->base_count > 1 && reader->bases[reader->base_count - 1].depth >= depth) {
        free(reader->bases[--reader->base_count].url);
    }
    return 0;
}

static int on_text(void *user, const char *text, size_t length, struct ear_error *err)
{
    struct reader *reader = user;

    if (reader->field == NOTHING) {
        return 0;
    }
    return reader->escape ? capture_escaped(reader, text, length, err)
                          : capture(reader, text, length, err);
}

int page_read_xml(struct feed_page *page, const char *text, size_t length, const char *url,
                  struct ear_error *err)
{
    static const struct markup_handler handler = {
        .open = on_open, .close = on_close, .text = on_text};
    struct reader reader = {.page = page, .base_count = 1};
    int result = -1;

    reader.bases[0].url = strdup(url);
    if (reader.bases[0].url == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    result = markup_read_xml(text, length, &handler, &reader, err);
    while (reader.base_count > 0) {
        free(reader.bases[--reader.base_count].url);
    }
    free(reader.core_copy);
    free(reader.captured);
    free(reader.mail);
    return result;
}
