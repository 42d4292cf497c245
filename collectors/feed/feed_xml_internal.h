/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FEED_FEED_XML_INTERNAL_H
#define EARSHOT_COLLECTORS_FEED_FEED_XML_INTERNAL_H

/* Which elements of which dialect mean what: feed_xml_names.c. */

enum space { CORE, ATOM, DC, DCTERMS, CONTENT, SLASH, WFW, THREAD, MEDIA, ORIGIN, ITUNES, OTHER };

/* What an element says of an entry, or of the feed. */
enum field {
    NOTHING,
    GUID,
    LINK,
    TITLE,
    TEXT,
    SUMMARY,
    AUTHOR,
    AUTHOR_LINK,
    AUTHOR_MAIL,
    PUBLISHED,
    UPDATED,
    COMMENTS_FEED,
    COMMENTS,
    LANG
};

/* The dialect of a namespace; OTHER: none that is known. */
enum space xml_space(const char *uri);

/* What a child of an entry, of its author, or of the feed itself says. */
enum field xml_entry_field(enum space space, const char *name);
enum field xml_author_field(enum space space, const char *name);
enum field xml_feed_field(enum space space, const char *name);

#endif
