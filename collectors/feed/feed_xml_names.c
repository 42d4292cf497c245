/* SPDX-License-Identifier: Apache-2.0 */
/* Names in feeds: the dialects of RSS are one namespace here, whatever they call it. */
#include "collectors/feed/feed_xml_internal.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *uri;
    enum space space;
} spaces[] = {
    {"", CORE},
    {"http://purl.org/rss/1.0/", CORE},
    {"http://my.netscape.com/rdf/simple/0.9/", CORE},
    {"http://channel.netscape.com/rdf/simple/0.9/", CORE},
    {"http://backend.userland.com/rss2", CORE},
    {"http://www.w3.org/2005/Atom", ATOM},
    {"http://purl.org/atom/ns#", ATOM},
    {"atom", ATOM},
    {"http://purl.org/dc/elements/1.1/", DC},
    {"http://purl.org/dc/elements/1.0/", DC},
    {"dc", DC},
    {"http://purl.org/dc/terms/", DCTERMS},
    {"dcterms", DCTERMS},
    {"http://purl.org/rss/1.0/modules/content/", CONTENT},
    {"content", CONTENT},
    {"http://purl.org/rss/1.0/modules/slash/", SLASH},
    {"slash", SLASH},
    {"http://wellformedweb.org/CommentAPI/", WFW},
    {"wfw", WFW},
    {"http://purl.org/syndication/thread/1.0", THREAD},
    {"thr", THREAD},
    {"http://search.yahoo.com/mrss/", MEDIA},
    {"media", MEDIA},
    {"http://rssnamespace.org/feedburner/ext/1.0", ORIGIN},
    {"feedburner", ORIGIN},
    {"http://www.itunes.com/dtds/podcast-1.0.dtd", ITUNES},
    {"itunes", ITUNES},
};

struct known {
    enum space space;
    const char *name;
    enum field field;
};

/* Children of an entry. */
static const struct known entry_fields[] = {
    {CORE, "guid", GUID},
    {CORE, "link", LINK},
    {CORE, "title", TITLE},
    {CORE, "description", SUMMARY},
    {CORE, "author", AUTHOR},
    {CORE, "pubDate", PUBLISHED},
    {CORE, "pubdate", PUBLISHED},
    {ATOM, "id", GUID},
    {ATOM, "title", TITLE},
    {ATOM, "content", TEXT},
    {ATOM, "summary", SUMMARY},
    {ATOM, "published", PUBLISHED},
    {ATOM, "issued", PUBLISHED},
    {ATOM, "created", PUBLISHED},
    {ATOM, "updated", UPDATED},
    {ATOM, "modified", UPDATED},
    {DC, "creator", AUTHOR},
    {DC, "date", PUBLISHED},
    {DC, "title", TITLE},
    {DC, "description", SUMMARY},
    {DC, "language", LANG},
    {DCTERMS, "created", PUBLISHED},
    {DCTERMS, "issued", PUBLISHED},
    {DCTERMS, "modified", UPDATED},
    {CONTENT, "encoded", TEXT},
    {SLASH, "comments", COMMENTS},
    {WFW, "commentRss", COMMENTS_FEED},
    {WFW, "commentRSS", COMMENTS_FEED},
    {THREAD, "total", COMMENTS},
    {MEDIA, "description", SUMMARY},
    {ORIGIN, "origLink", LINK},
    {ITUNES, "author", AUTHOR},
    {ITUNES, "summary", SUMMARY},
};

/* Children of <author>. */
static const struct known author_fields[] = {
    {ATOM, "name", AUTHOR},
    {ATOM, "uri", AUTHOR_LINK},
    {ATOM, "url", AUTHOR_LINK},
    {ATOM, "email", AUTHOR_MAIL},
};

/* Of the channel or feed itself. */
static const struct known feed_fields[] = {{CORE, "language", LANG}, {DC, "language", LANG}};

enum space xml_space(const char *uri)
{
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        if (strcmp(spaces[i].uri, uri) == 0) {
            return spaces[i].space;
        }
    }
    return OTHER;
}

static enum field field_of(const struct known known[], size_t count, enum space space,
                           const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (known[i].space == space && strcmp(known[i].name, name) == 0) {
            return known[i].field;
        }
    }
    return NOTHING;
}

enum field xml_entry_field(enum space space, const char *name)
{
    return field_of(entry_fields, sizeof entry_fields / sizeof entry_fields[0], space, name);
}

enum field xml_author_field(enum space space, const char *name)
{
    return field_of(author_fields, sizeof author_fields / sizeof author_fields[0], space, name);
}

enum field xml_feed_field(enum space space, const char *name)
{
    return field_of(feed_fields, sizeof feed_fields / sizeof feed_fields[0], space, name);
}
