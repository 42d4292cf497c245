/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_ENGINE_STATE_H
#define EARSHOT_COLLECTORS_DEFINITION_ENGINE_STATE_H

/* The state of a poll. */

#include "collectors/definition/engine_memory.h"
#include "collectors/fetch/fetch.h"
#include "collectors/token/token.h"

struct zone;

enum {
    ENGINE_DEPTH_MAX = 5,      /* a list, and four generations of children */
    ENGINE_PIECE = 200,        /* records a step */
    ENGINE_PAGES_MAX = 100000, /* of one walk, whatever a server says */
    ENGINE_NODES_MAX = 100000, /* records of one page: as many as a document has */
    ENGINE_EMPTY_MAX = 20,     /* pages without a record, one after the other */
    ENGINE_RING = 32,          /* pages that are told from one that comes again */
    ENGINE_REFRESHES_MAX = 2,  /* tokens that one request may use up */
    ENGINE_STUCK_MAX = 5,      /* polls that one child may bring to their end */
    ENGINE_SAVE_EVERY = 20,    /* children between two cursors */
    ENGINE_PROBE_CHILDREN = 3, /* 2 where a second page is asked for too */
};

/* A request, filled in but for whom we are. Strings are its own. */
struct asked {
    char *method, *url, *body, *type;
    struct fetch_header *headers; /* [header_count]; name and value are its own */
    size_t header_count;
    char *etag, *last_modified;
    double cost;
    bool xml;      /* the answer, as it was asked for */
    int refreshes; /* tokens that it has used up */
};

enum asked_for { FOR_NOTHING, FOR_TOKEN, FOR_FIRST, FOR_PAGE, FOR_GONE, FOR_LAST, FOR_ID };

enum frame_state { FRAME_ASK, FRAME_EMIT, FRAME_CHILDREN, FRAME_NEXT };

struct nodes {
    const struct json_node **items; /* [count] */
    size_t count, capacity;
};

/* Pages of one kind: a list's, or those of a child. */
struct frame {
    enum frame_state state;
    const struct child *child; /* NULL: it is the list's */
    const struct request *request;
    const struct page *page;
    const struct pointer *records;
    const struct map *map;
    const struct conditions *skip, *deleted;
    const struct child *children;
    size_t record_count, child_count;
    uint64_t salt; /* of the place in the definition */

    struct json *json; /* the page in hand */
    const struct json_node *root;
    struct joins *joins;
    const struct json_node *of; /* the record it is asked for; in the frame above; NULL: a list's */
    uint64_t of_id;             /* what tells it from others; 0: nothing does */
    bool whole;                 /* all its pages were read */
    char *ids;                  /* or the batch, joined */
    struct nodes nodes;         /* its records, those of the first pattern in front */
    size_t first_count;
    size_t next; /* to be emitted */
    char *link;  /* of the header Link, `page.rel` */

    /* its children */
    size_t child_at;
    bool child_found;
    struct nodes each;
    size_t each_from, each_to;      /* those that are being asked for */
    uint64_t *each_id, *each_value; /* [each.count] what is noted of them once they are through */

    /* paging */
    char *text; /* what the page in hand was asked with; NULL: the first */
    int64_t pages;
    uint64_t ring[ENGINE_RING];
    size_t ring_count;
    uint64_t hash;  /* of the records of the page before */
    int64_t empty;  /* pages without a record in a row */
    size_t fullest; /* records of the fullest page */
    int64_t full;   /* pages as full as that in a row, up to the one before */
    bool odd;       /* the page in hand has no list, or is the one before: hardly the list's end */
    bool blank;     /* it is empty, and the one before was as full as any */
    bool goes_on;   /* its first page was one of an earlier poll's walk */
    bool unfit;     /* … it has other things instead: a further page has no list either */
    bool repeated;  /* it is the one before */
    bool follows;   /* a page with records came before it, in this poll */
    uint64_t ids_hash, ids_before; /* of the ids of its records; of the page before */
    bool sole; /* an object stands where its list should be: a list of one, or an error */
    char *url; /* of the page in hand */
};

/* Whether one place of the definition, a list or a child, fits what came in this poll. */
enum { FIT_WHERE_SIZE = 64, FIT_MAX = 24 };

struct fit {
    const void *of; /* the list, or the child */
    const struct map *map;
    bool is_child;
    char where[FIT_WHERE_SIZE]; /* "", "children/1", "comments/children/2" */
    int64_t asked, refused;     /* requests; those answered 403, 404, 410 */
    int status;                 /* the last of these */
    int64_t fine, lacking;      /* answers that have the place of the records, or lack it */
    char lacks[100], has[220];  /* what the last one lacks, and has */
    int64_t records, titled, texts, timed;
    char keys[220], time[48]; /* of the first record; a time that could not be read */
    int64_t paged;            /* pages that named a next one */
    int64_t moved;            /* pages that were other than the one before */
    char paging[360];         /* what is wrong with the pages; "": nothing */
    bool guessed;             /* it may also be that there are no more */
    char page_lacks[100], page_has[160];
};

/* What a page of a list showed, as far as it was gone through: its records of the first pattern. */
struct page_sight {
    size_t count;
    bool has_value[2]; /* of the last record that has one, and of the one before it */
    int64_t value[2];
    int64_t time_us[2]; /* likewise; INT64_MIN: unknown */
    bool known[2];      /* AS_TEXT: likewise, whether it was read before */
    bool rising;        /* no value is below the one before */
    bool has_most;
    int64_t most;
    char *last_text; /* AS_TEXT, up */
};

enum stage { STAGE_LIST, STAGE_HEAD, STAGE_REVISIT, STAGE_GONE, STAGE_IDS, STAGE_END };

struct engine {
    const struct source_poll *poll;
    int64_t began_mono_us;
    const struct definition *definition;
    const char *const *params;
    struct zone *zone; /* the source's own; NULL: the configuration's */
    struct kept kept;
    struct value_memory *values;
    struct json_writer *writer;
    struct json *body;  /* an answer that is no page, or that is looked at once */
    struct json *first; /* the answer to `first` */
    const struct json_node *first_root;

    size_t list; /* of the definition; list_count: all are through */
    enum stage stage;
    struct kept_list *at; /* the same list */
    struct walk *walk;    /* under way; among at's */
    struct frame frames[ENGINE_DEPTH_MAX];
    size_t depth;
    int64_t child_requests; /* in this poll */
    char *cursor;           /* {cursor} of the list's walk */
    bool resumed;     /* the walk goes on from an earlier poll, and no page of it was read yet */
    bool conditional; /* the request under way has an ETag or a date */
    bool head_read;   /* the first page of the walk was read in this poll: what follows is its */
    char *etag, *last_modified;
    uint64_t page_url, page_hash;
    struct page_sight sight; /* of the page in hand, of a list */
    struct fit *fits;        /* [fit_count] */
    size_t fit_count;
    bool believed; /* a list that ended where it should go on was asked again in this poll */
    bool unpaged;  /* the walk under way ends since its pages do not work */

    size_t gone_at;
    int64_t gone_asked;
    int64_t id_asked, id_last, ids_asked;
    bool id_known; /* id_last is */
    bool walked;   /* the way down was begun in this poll */
    size_t awaited_at;

    struct asked asked, login;
    enum asked_for asked_for;
    enum asked_for then; /* after the token */
    char *token;         /* in use; NULL: none */
    struct fetch_header sent[24];
    size_t sent_count;
    char *sent_auth, *sent_url;

    /* who we are, filled in */
    bool has_auth;
    struct token_key key;
    char *key_text[12];
    char *credential;
    struct fetch_limit limits[FETCH_LIMITS_MAX];
    size_t limit_count;
    char budget_id[FETCH_BUDGET_ID_SIZE];
    struct fetch_budget budget;

    struct source_turn *turn;           /* of this step */
    const struct source_output *output; /* likewise */
    bool decided;                       /* the step is over: turn says what next */
    int64_t unsaved;                    /* children since the cursor was put */
    bool save;                          /* it is to be put with this step */
    char say[512];                      /* turn->why */
};

/* --- engine.c --- */

/* The time now: a poll may take hours. */
int64_t engine_now_us(const struct engine *engine);

/* What stands in templates now: of the frame on top. */
void engine_environment(const struct engine *engine, struct environment *out);

/* Puts the cursor as it stands. */
EAR_MUST_CHECK
int engine_save(struct engine *engine, const struct source_output *output, struct ear_error *err);

#endif
