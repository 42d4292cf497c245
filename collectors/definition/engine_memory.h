/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_ENGINE_MEMORY_H
#define EARSHOT_COLLECTORS_DEFINITION_ENGINE_MEMORY_H

/* What is kept between polls, the cursor (`kept_…`): definition_memory*.c. */

#include "collectors/definition/definition_internal.h"
#include "collectors/source.h"
#include "common/hash.h"

enum {
    KEPT_BYTES_MAX = 256 * 1024,       /* of a cursor */
    KEPT_CHANGED_MAX = 8192,           /* values of `changed`, of all lists together */
    KEPT_SLOTS = 2 * KEPT_CHANGED_MAX, /* a power of two */
    KEPT_SHOWN_MAX = 500,              /* posts of a list that may be gone */
    KEPT_RECENT_MAX = 200,             /* ids of a list whose order only the server knows */
    KEPT_AWAITED_MAX = 200,            /* ids of a walk that were null */
    KEPT_REVISITS_MAX = 8,
    KEPT_TEXT_MAX = 4096, /* bytes of a page's token or link */
    KEPT_NAME_MAX = 512,  /* bytes of an id, URL or thread that is kept */
    KEPT_FIRST_MAX = 8192,
};

enum walk_kind {
    WALK_NONE,
    WALK_HEAD,    /* what is new, and what is due for a revisit with it */
    WALK_REVISIT, /* a revisit alone */
    WALK_PAST,    /* a backfill */
};

/* A walk along a list that is not at its end yet. */
struct walk {
    enum walk_kind kind;
    bool down;  /* from the newest to older ones; else from where we stood to newer ones */
    bool first; /* the first of this list */
    bool has_floor, has_floor_us;
    int64_t floor;    /* down: no further than records of a lower value … */
    int64_t floor_us; /* … and older than this */
    bool has_base;
    int64_t base; /* up: what is asked for is above it */
    char *base_text;
    int64_t since_us; /* {since}; INT64_MIN: all */
    bool has_high, has_low;
    int64_t high, low;       /* values that were seen */
    int64_t high_us, low_us; /* times; INT64_MIN: none was */
    char *text, *link;       /* of the first page: its first record's value, its link `rel` */
    char *page;              /* what the next page is asked with; NULL: the first */
    int64_t pages;           /* behind us */
    int64_t old;             /* records that were read before, as far as is known */
    int64_t began_us;
    uint64_t
        recent[KEPT_RECENT_MAX]; /* AS_TEXT: hashes of the values it showed, from its head on */
    size_t recent_count;
    unsigned revisits;  /* bit i: revisits[i] is done with it */
    bool doubted;       /* the list ended before what was read before: it was asked again */
    bool cut;           /* a page was passed over: not all was shown */
    uint64_t stuck;     /* the child that ended the last poll; 0: none did */
    int64_t stuck_many; /* how many in a row */
};

/* A post that the list showed: it may be gone one day. */
struct kept_post {
    char *id, *host, *url, *thread, *key; /* the last four may be NULL */
    int64_t created_us;
    uint64_t of;   /* what a child was asked for that shows it; 0: the list alone does */
    bool listed;   /* the list shows it, as far as is known */
    bool shown;    /* by the walk under way, or by what was asked for that child */
    bool missing;  /* a walk ought to have shown it: to be asked for */
    int64_t asked; /* how often it was there all the same */
};

struct kept_awaited {
    int64_t id, since_us;
};

struct kept_list {
    const struct list *list;
    uint64_t salt; /* of its name */
    bool seen;     /* a first walk is at its end */
    bool has_at;
    int64_t at;    /* the cursor */
    char *at_text; /* the same, AS_TEXT */
    char *link;    /* the same, by_link */
    int64_t at_us; /* the newest record's time; INT64_MIN: unknown */
    bool has_born;
    int64_t born; /* the highest value of the very first page: what is above came later */
    int64_t
        history_us; /* what is older and was there before us is left alone; INT64_MIN: nothing */
    uint64_t recent[KEPT_RECENT_MAX]; /* hashes of values, AS_TEXT, newest first */
    size_t recent_count;
    char *etag, *last_modified;   /* of the first page */
    uint64_t page_url, page_hash; /* which that was, and what it held */
    int64_t quiet;                /* 304s in a row */
    bool lies;                    /* it said 304 though there was something new */
    bool honest;                  /* it said so when there was nothing */
    int64_t revisited_us[KEPT_REVISITS_MAX];
    struct walk walk, past;
    int64_t past_us; /* how far back the last complete backfill went; INT64_MAX: there was none */
    struct kept_post *posts; /* [post_count], the oldest first */
    size_t post_count, post_capacity;
    struct kept_awaited awaited[KEPT_AWAITED_MAX];
    size_t awaited_count;
};

struct kept_change {
    uint64_t id, value; /* 48 and 36 bits of hashes */
    uint64_t used;      /* the higher, the later */
};

struct kept {
    char of[HASH128_TEXT_SIZE]; /* hash of what the source asks for; another one: begin anew */
    struct kept_list *lists;    /* [list_count], as the definition's */
    size_t list_count;
    struct kept_change *changes; /* [change_count] */
    size_t change_count, change_capacity;
    uint16_t *slots;  /* [KEPT_SLOTS], by id: the place in changes, from 1; 0: none */
    bool slotted;     /* they are as changes are */
    uint64_t clock;   /* of `used` */
    char *first;      /* the answer to `first`; NULL: none */
    int64_t first_us; /* when it came */
};

/* Reads a cursor (NULL: none). -1: EAR_CONFIG "cursor: …": it is not understood; EAR_FATAL. */
EAR_MUST_CHECK
int kept_load(struct kept *kept, const struct definition *definition, const char *const params[],
              const char *cursor, size_t length, struct ear_error *err);
void kept_clear(struct kept *kept);

/* The cursor, the writer's (of KEPT_BYTES_MAX) until it is used again. Forgets what is oldest where
 * it would not fit. NULL: EAR_FATAL. */
const char *kept_write(struct kept *kept, struct json_writer *writer, size_t *length,
                       struct ear_error *err);

void walk_clear(struct walk *walk);

/* Is this another value than the one that is kept of this id? */
bool kept_differs(struct kept *kept, uint64_t id, uint64_t value);
/* Keeps it; forgets the one that was not used for longest. -1: EAR_FATAL. */
EAR_MUST_CHECK
int kept_note(struct kept *kept, uint64_t id, uint64_t value, struct ear_error *err);

/* Notes a post that was shown just now; key: what else of it is wanted, may be NULL; of: 0: by the
 * list, else by what was asked for a child. -1: EAR_FATAL. */
EAR_MUST_CHECK
int kept_show(struct kept_list *list, const struct source_record *record, const char *key,
              uint64_t of, struct ear_error *err);
void kept_drop_post(struct kept_list *list, size_t at);

/* Values of an order that only the server knows: was it shown by an earlier walk? Those that a walk
 * showed are known from its end on. */
bool kept_knows(const struct kept_list *list, const char *text);
void kept_note_text(struct walk *walk, const char *text);
void kept_keep_texts(struct kept_list *list, const struct walk *walk);

/* strdup into a field, bounded: what is longer is not kept. NULL text: NULL. -1: EAR_FATAL. */
EAR_MUST_CHECK
int kept_set(char **field, const char *text, size_t max, struct ear_error *err);

/* --- for the two files of the cursor --- */

enum { KEPT_VERSION = 1, KEPT_ID_CHARACTERS = 8, KEPT_VALUE_CHARACTERS = 6 };

/* Six bits a character. */
#define KEPT_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

#endif
