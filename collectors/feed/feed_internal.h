/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FEED_FEED_INTERNAL_H
#define EARSHOT_COLLECTORS_FEED_FEED_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/hash.h"

struct json_node;
struct json_writer;
struct source_output;
struct zone;

enum {
    FEED_ENTRIES_MAX = 20000, /* of a page; beyond: too_many */
    FEED_ITEMS_MAX = 300,     /* remembered, for telling what is gone */
    FEED_COMMENTS_MAX = 200,  /* comment feeds remembered */
    FEED_SHARED_MAX = 100,    /* guids that several entries bear */
    FEED_GUID_MAX = 512,      /* longer ones are emitted, but not remembered */
    FEED_URL_MAX = 2048,
};

/* --- links --- */

/*
 * A reference as found, resolved against a base (RFC 3986, section 5.2), blanks around it taken off
 * and blanks within it percent-encoded. NULL for what is no http or https URL then, too long, or
 * where memory ran out. Caller frees.
 */
char *link_resolve(const char *base, const char *reference);

/* The host of a URL in lower case, with its port unless that is the scheme's own; NULL as above. */
char *link_host(const char *url);

/* --- a page --- */

/* An entry as read. Strings are owned, UTF-8; NULL: not given. */
struct feed_entry {
    size_t number;     /* in the page, from 1 */
    char *guid, *link; /* after page_read a guid is always there, a link is a whole URL */
    char *title, *text, *summary;
    bool title_html, text_html, summary_html;
    char *author, *author_link;
    char *published, *updated; /* as written */
    int64_t created_us, edited_us;
    char *comments_feed; /* a whole URL */
    int64_t comments;    /* how many; -1: not said */
    char *parent;        /* guid of what this comments on; NULL: it is no comment */
    char *lang;
    bool guid_is_no_link;
    bool too_large; /* one of its texts was cut: a reject */
    bool repeated;  /* an older version of one that stands in the page as well: not emitted */
};

struct feed_page {
    struct feed_entry *entries; /* [count] */
    size_t count, capacity;
    char *lang, *author; /* of the feed, for entries without their own */
    bool repaired;       /* its bytes were mended */
};

/* What is known of a page before it is read. */
struct page_source {
    const char *url;  /* after redirects; links are relative to it */
    const char *type; /* Content-Type */
    const char *bytes;
    size_t length;
    const struct zone *zone; /* of times without one; NULL: UTC */
};

/*
 * Reads a page of any of the formats into *page (which the caller clears also after a failure). -1
 * with EAR_REJECT and a code in front: no_feed (the message says what it is instead, and where its
 * feed may be), bad_xml, xml_dtd_refused, too_deep, too_many, too_big, bad_json. Broken single
 * entries go to `output` (may be NULL).
 */
EAR_MUST_CHECK
int page_read(struct feed_page *page, const struct page_source *source,
              const struct source_output *output, struct ear_error *err);
void page_clear(struct feed_page *page);

/* A new entry at the end of the page; NULL with err. It may move the others. */
struct feed_entry *page_add(struct feed_page *page, struct ear_error *err);

/* For page_read: one format each, filling entries as they stand. `text` is valid UTF-8. */
EAR_MUST_CHECK
int page_read_xml(struct feed_page *page, const char *text, size_t length, const char *url,
                  struct ear_error *err);
EAR_MUST_CHECK
int page_read_json(struct feed_page *page, const char *text, size_t length, const char *url,
                   const struct source_output *output, struct ear_error *err);

/* A page's bytes as UTF-8; NULL: out of memory. Caller frees. */
char *page_decode(const struct page_source *source, size_t *length, bool *repaired);

/* Whether it is a web page: seen by what it begins with, whatever its type says. */
bool page_is_html(const struct page_source *source);

/* --- feed_emit.c --- */

/*
 * Tells an entry, or rejects it. of: guid of the entry whose comment feed it stands in; "": it is
 * the whole site's; NULL: it is no comment feed. repaired: its page's bytes were mended.
 */
EAR_MUST_CHECK
int entry_emit(const struct feed_entry *entry, const char *of, bool repaired,
               const struct source_output *output, struct ear_error *err);

/* --- a site's address: feed_find.c --- */

/* Where a web page says its feeds are. Whole URLs, the caller's to free; NULL: nowhere. */
struct feed_found {
    char *feed;     /* the first that is none of comments */
    char *comments; /* of the whole site */
};

/* -1: EAR_FATAL; nothing found is no failure. */
EAR_MUST_CHECK
int find_feeds(struct feed_found *out, const struct page_source *source, struct ear_error *err);

/* Where feeds usually lie, the `index`th, below the site's address; NULL: there are no more.
 * Caller frees. */
char *find_usual(const char *url, size_t index, struct ear_error *err);

/* --- what is kept between polls --- */

/* An entry that the feed showed, in the order of the page. */
struct feed_item {
    char *guid, *url;
    int64_t created_us; /* INT64_MIN: unknown */
    bool missing;       /* from the last page, which still showed older ones */
    int64_t asked_us;   /* when its URL was last asked for; 0: never */
    int64_t asked;      /* how often it was there all the same */
};

/* A comment feed of an entry. */
struct feed_comments {
    char *url, *etag, *last_modified;
    char *parent;       /* guid of the entry; "": of the whole site */
    int64_t count;      /* that the feed said; -1: none */
    int64_t read_count; /* the same, when it was last read; -2: never */
    int64_t asked_us;
    bool present; /* named by the last page */
};

/* The feed's own ETag is kept by the collector. */
struct feed_memory {
    /* Hash of the configured address when this was kept (the address itself may hold a secret, and
     * cursors are shown); another one: all else is not used. */
    char address[HASH128_TEXT_SIZE];
    bool fresh; /* nothing was kept of this address */
    char *feed; /* the address is a site's: its feed; NULL */
    char *feed_etag, *feed_modified;
    /* Of the page that was read last: */
    uint64_t hash;           /* of its entries; 0: none was read */
    uint64_t tag;            /* of what the server calls its state */
    int64_t read_us;         /* when */
    bool honest;             /* what the server called unchanged was so, when it was looked at */
    bool lies;               /* it was not */
    bool whole;              /* all that its page holds is in the log: nothing was refused */
    struct hash128 page;     /* then: of its bytes, and of what they are read by */
    int64_t whole_us;        /* when it was read entry by entry */
    struct feed_item *items; /* [item_count] */
    size_t item_count;
    struct feed_comments *comments; /* [comments_count] */
    size_t comments_count;
    struct hash128 shared[FEED_SHARED_MAX]; /* hashes of guids that several entries bore */
    size_t shared_count;
};

/* Reads a cursor (NULL: none). -1 with EAR_CONFIG "cursor: …" if it is not understood, EAR_FATAL.
 */
EAR_MUST_CHECK
int memory_load(struct feed_memory *memory, const char *url, const char *cursor, size_t length,
                struct ear_error *err);
void memory_clear(struct feed_memory *memory);
void memory_write(const struct feed_memory *memory, struct json_writer *writer);

/* Lets entries that share a guid be known by their links, now and later. */
EAR_MUST_CHECK
int memory_part_shared(struct feed_memory *memory, struct feed_page *page, struct ear_error *err);

/* After a page: which items are missing, which are there. */
EAR_MUST_CHECK
int memory_note_items(struct feed_memory *memory, const struct feed_page *page,
                      struct ear_error *err);

/*
 * The missing item to ask for next; NULL: none is due. One that is there all the same is asked for
 * again after an hour and after a day (what a cache still shows), then dropped.
 */
struct feed_item *memory_next_missing(struct feed_memory *memory, int64_t now_us);
void memory_note_there(struct feed_memory *memory, struct feed_item *item, int64_t now_us);
void memory_drop_item(struct feed_memory *memory, struct feed_item *item);

/* --- feed_items.c: the items in the cursor --- */

EAR_MUST_CHECK
int items_load(struct feed_memory *memory, const struct json_node *list, struct ear_error *err);
void items_write(const struct feed_memory *memory, struct json_writer *writer);

/* --- feed_trust.c --- */

/* Whether the page is to be asked for without a condition: servers answer 304 that have something
 * new. */
bool memory_distrusts(const struct feed_memory *memory, int64_t every_us, int64_t now_us);
/* The feed's own page was read; asked: without a condition, out of distrust. etag and last_modified
 * may be NULL. */
void memory_note_page(struct feed_memory *memory, const struct feed_page *page, const char *etag,
                      const char *last_modified, bool asked, int64_t now_us);

/* Of a page's bytes, and of all that decides what is read from them. */
struct hash128 page_digest(const struct page_source *source, const char *zone, bool comments);
/* Whether a page is the one whose entries are all in the log. Once a day it is read all the same:
 * what is remembered of entries is kept only as long as they come. */
bool memory_has_page(const struct feed_memory *memory, struct hash128 page, int64_t now_us);
/* memory_note_page, for such a page. The memory changes only where it must: what is unchanged need
 * not be written. */
void memory_note_same(struct feed_memory *memory, const char *etag, const char *last_modified,
                      bool asked, int64_t now_us);

/* --- feed_comments.c --- */

/* Frees what it holds. */
void comments_clear(struct feed_comments *comments);

/* After a page: the comment feeds that its entries name. */
EAR_MUST_CHECK
int memory_note_comments(struct feed_memory *memory, const struct feed_page *page,
                         struct ear_error *err);

/* The comment feed of the whole site, on its page; NULL: it names none. */
EAR_MUST_CHECK
int memory_note_site_comments(struct feed_memory *memory, const char *url, struct ear_error *err);

/*
 * The comment feed to ask for next, the one asked for longest ago first; NULL: none is due. Where
 * the page was read just now (counted), only those whose count has changed are due, and each once a
 * day; else all: a server may say that a feed is unchanged though it has new comments.
 */
struct feed_comments *memory_next_comments(struct feed_memory *memory, bool counted,
                                           int64_t now_us);

#endif
