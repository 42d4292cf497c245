/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_ENGINE_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_ENGINE_INTERNAL_H

/*
 * The poll of a definition, as its files share it:
 *
 *     engine.c             the stages of a poll: first ─▶ each list: its walks, what is gone
 *     engine_walk.c        a walk along a list: where it begins, where it may stop, what is kept
 *     engine_frame.c       a page after the other, its records, then what is asked for once a
 * record engine_next.c        how the next page is asked for engine_ids.c         ids one by one
 * instead of a list engine_gone.c        what a walk ought to have shown and did not engine_ask.c
 * a request out of its templates engine_auth.c        whom we are, and the tokens for it
 *     engine_rules.c       an answer that is no page
 *     definition_memory.c  what is kept between polls (`kept_…`): the cursor
 *
 * One request at a time. The cursor moves when a page and all that hangs on it is through: a crash
 * before asks for that page again, and what was seen is not published twice.
 */

#include "collectors/definition/definition_internal.h"
#include "collectors/fetch/fetch.h"
#include "collectors/source.h"
#include "collectors/token/token.h"
#include "common/clock.h"
#include "common/hash.h"

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
    ENGINE_PROBE_CHILDREN = 3,
};

/* --- definition_memory.c --- */

enum {
    KEPT_BYTES_MAX = 256 * 1024, /* of a cursor */
    KEPT_CHANGED_MAX = 8192,     /* values of `changed`, of all lists together */
    KEPT_SHOWN_MAX = 500,        /* posts of a list that may be gone */
    KEPT_RECENT_MAX = 200,       /* ids of a list whose order only the server knows */
    KEPT_AWAITED_MAX = 200,      /* ids of a walk that were null */
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

/* --- the state of a poll --- */

/* A request, filled in but for whom we are. Strings are its own. */
struct asked {
    char *method, *url, *body, *type;
    struct fetch_header *headers; /* [header_count]; name and value are its own */
    size_t header_count;
    char *etag, *last_modified;
    double cost;
    bool follows;  /* a link that the server gave: who we are may stand in it already */
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
    bool sole;      /* an object stands where its list should be: a list of one, or an error */
    char *url;      /* of the page in hand */
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

    struct source_turn *turn; /* of this step */
    bool decided;             /* the step is over: turn says what next */
    int64_t unsaved;          /* children since the cursor was put */
    bool save;                /* it is to be put with this step */
    char say[512];            /* turn->why */
};

/* The time now: a poll may take hours. */
int64_t engine_now_us(const struct engine *engine);

/* What stands in templates now: of the frame on top. */
void engine_environment(const struct engine *engine, struct environment *out);

/* Puts the cursor as it stands. */
EAR_MUST_CHECK
int engine_save(struct engine *engine, const struct source_output *output, struct ear_error *err);

/* --- engine_ask.c --- */

/* What stands in a request beside its own: a page, a cursor. */
struct extra {
    const char *into;
    char *value; /* encoded for a query, if it goes there; plain: to be encoded */
    bool encoded;
};

/* Fills engine->asked. -1: EAR_REJECT ("schema: …"), EAR_FATAL. */
EAR_MUST_CHECK
int ask_prepare(struct engine *engine, const struct request *request,
                const struct environment *environment, const struct extra extras[], size_t count,
                struct ear_error *err);
/* Likewise of a link that the server gave, as this request. */
EAR_MUST_CHECK
int ask_follow(struct engine *engine, const struct request *request,
               const struct environment *environment, const char *link, struct ear_error *err);
void ask_clear(struct asked *asked);

/* Hands engine->asked out; first asks for a token where one is needed. Turn becomes SOURCE_FETCH or
 * SOURCE_LATER. */
EAR_MUST_CHECK
int ask_send(struct engine *engine, enum asked_for what, struct source_turn *turn,
             struct ear_error *err);

/* A link whole, without what is secret in it; NULL: it leads to another host ("schema: …"), or
 * EAR_FATAL. Caller frees. */
char *ask_link(const struct engine *engine, const char *from, const char *link,
               struct ear_error *err);

/* Takes the members of a URL's query out that hold a secret, in place. */
void ask_drop_secrets(const struct engine *engine, char *url);

/* --- engine_auth.c --- */

/* Fills in who we are. -1: EAR_REJECT, EAR_FATAL. */
EAR_MUST_CHECK
int auth_begin(struct engine *engine, struct ear_error *err);
void auth_end(struct engine *engine);

/* Makes sure of a token. 1: there is one, or none is needed; 0: turn says what first; -1: err. */
EAR_MUST_CHECK
int auth_token(struct engine *engine, struct source_turn *turn, struct ear_error *err);

/* The answer to a request for a token. */
EAR_MUST_CHECK
int auth_answer(struct engine *engine, const struct fetch_answer *answer, struct source_turn *turn,
                struct ear_error *err);

/* The token was refused: 0: ask again; -1: EAR_CONFIG "auth: …", EAR_FATAL. */
EAR_MUST_CHECK
int auth_refused(struct engine *engine, struct ear_error *err);

/* Whether tokens come from somewhere. */
bool auth_has_tokens(const struct engine *engine);
/* Does this answer say that the token is not good any more? body: NULL: no JSON. */
bool auth_expired(const struct engine *engine, const struct fetch_answer *answer,
                  const struct json_node *body);

/* --- engine_rules.c --- */

enum verdict {
    VERDICT_PAGE,    /* read it */
    VERDICT_SAME,    /* 304 */
    VERDICT_SKIP,    /* pass over what it is about */
    VERDICT_END,     /* there is no further page */
    VERDICT_AGAIN,   /* the same request once more: turn is set */
    VERDICT_DECIDED, /* turn is set: the poll is over */
    VERDICT_FAILED,  /* err says why */
};

/* What is to become of an answer. is_child: of what hangs on a record. */
enum verdict rules_judge(struct engine *engine, const struct fetch_answer *answer, bool is_child,
                         struct source_turn *turn, struct ear_error *err);

/* Reads an answer into a document as its request's `accept` says; NULL: EAR_REJECT, EAR_FATAL. */
const struct json_node *rules_read(struct json *json, const struct request *request,
                                   const struct fetch_answer *answer, struct ear_error *err);

/* Tells the budget what a page says of it. */
void rules_tell(struct engine *engine, const struct json_node *root,
                const struct fetch_answer *answer);

/* --- engine_walk.c --- */

/* Begins, or goes on with, a walk of the list at hand and lays the list's frame down. *begun false:
 * there is none to be walked. */
EAR_MUST_CHECK
int walk_begin(struct engine *engine, enum walk_kind kind, bool *begun, struct ear_error *err);

/* What the list's request is asked with: the cursor as its text; NULL: none. Caller frees. */
EAR_MUST_CHECK
int walk_cursor(struct engine *engine, char **text, struct ear_error *err);

/* Is this record of the list to be published, or was it there before us, beyond `history`? */
bool walk_wants(const struct engine *engine, const struct json_node *node, int64_t created_us);

/* Looks at a record of the first pattern; created_us INT64_MIN: not known. */
void walk_note(struct engine *engine, const struct json_node *node, int64_t created_us);

/* The page in hand, and all that hangs on it, is through; `text`: what the next one is asked with
 * (taken), NULL: there is none. *over: the walk is at its end and was finished. */
EAR_MUST_CHECK
int walk_go_on(struct engine *engine, char *text, bool *over, const struct source_output *output,
               struct ear_error *err);

/* The list has no further page, as the server says by an error. */
EAR_MUST_CHECK
int walk_end(struct engine *engine, const struct source_output *output, struct ear_error *err);

/* The first page is as it was. */
void walk_unchanged(struct engine *engine);

/* Whether the first page may be asked for only if it has changed. */
bool walk_may_be_same(const struct engine *engine);

/* For the two files of walks. */
const struct list *walk_list(const struct engine *engine);
bool walk_is_numeric(const struct cursor *cursor);
bool walk_is_text(const struct cursor *cursor);
bool walk_is_time(const struct cursor *cursor);
int64_t walk_less(int64_t value, int64_t by); /* never below INT64_MIN */
int64_t walk_lower(int64_t one, int64_t other);
/* So long ago, in whole seconds: some servers take no others. */
int64_t walk_ago(const struct engine *engine, int64_t span_us);
/* The cursor is older than what the server lets one ask from: then it is not sent at all. */
bool walk_withholds(const struct engine *engine);
void walk_forget_page(struct engine *engine);

/* --- engine_frame.c --- */

EAR_MUST_CHECK
int frame_push(struct engine *engine, const struct child *child, const struct json_node *of,
               struct ear_error *err);
void frame_pop(struct engine *engine);

/* One stroke of the frame on top; turn stays untouched where there is more to do at once. */
EAR_MUST_CHECK
int frame_go_on(struct engine *engine, const struct source_output *output, struct source_turn *turn,
                struct ear_error *err);

/* A page came: engine_answer.c. */
EAR_MUST_CHECK
int frame_answer(struct engine *engine, const struct fetch_answer *answer,
                 const struct source_output *output, struct source_turn *turn,
                 struct ear_error *err);

struct frame *frame_top(struct engine *engine);
/* What stands in templates of the records of the page in hand. */
void frame_environment(struct engine *engine, struct environment *out);
void frame_clear_page(struct frame *frame);

/* --- engine_records.c --- */

/* How a record becomes a post. */
struct telling {
    const struct map *map;
    const struct conditions *skip, *deleted;
    const struct json_node *root; /* the whole answer */
    bool sole;      /* the only record, and it may be none: then the page is useless */
    bool of_list;   /* a list's own: `history` holds, and it may be gone one day */
    uint64_t of_id; /* a child's whose records may be gone likewise; 0: others' */
};

/* Maps and emits one record (environment->record); *created_us where it is known, else INT64_MIN.
 */
EAR_MUST_CHECK
int frame_emit(struct engine *engine, const struct telling *telling,
               const struct environment *environment, int64_t *created_us,
               const struct source_output *output, struct ear_error *err);

/* All that a pointer names in a page, nulls left out. */
EAR_MUST_CHECK
int records_gather(struct nodes *nodes, const struct pointer *pointer, const struct json_node *root,
                   struct ear_error *err);
/* What stands where the records should be, and can hold none, is another kind of answer: -1,
 * EAR_REJECT. *absent: nothing stands there, or null; *sole: an object. */
EAR_MUST_CHECK
int records_check_place(const struct pointer *pointer, const struct json_node *root, bool *absent,
                        bool *sole, struct ear_error *err);
/* Emits the next piece of the page in hand; *all: it was the last. */
EAR_MUST_CHECK
int records_emit(struct engine *engine, const struct source_output *output, bool *all,
                 struct ear_error *err);

/* --- engine_children.c --- */

void children_clear(struct frame *frame);
/* Lays the next child's frame on top; *none: there is none left on this page. Turn becomes
 * SOURCE_LATER where a poll asks for no more of them. */
EAR_MUST_CHECK
int children_next(struct engine *engine, bool *none, struct source_turn *turn,
                  struct ear_error *err);
/* What tells the records of one parent, by its id, from those of others; 0 for NULL. */
uint64_t children_of(const struct frame *frame, const char *id);
/* The child on top is through: takes its frame away. */
EAR_MUST_CHECK
int children_end(struct engine *engine, struct ear_error *err);

/* --- engine_next.c --- */

/* What the page after the one in hand is asked with; *text NULL: there is none. Caller frees. */
EAR_MUST_CHECK
int next_page(struct engine *engine, struct frame *frame, const char *url, char **text,
              struct ear_error *err);
/* The first page's; NULL: nothing is sent. */
char *next_first(const struct page *page);
/* One page back, where pages are counted: what they hold may have moved since they were read.
 * False: there is none, or it cannot be told. */
bool next_back(struct frame *frame);
/* The link of this `rel` in the header Link (RFC 8288); NULL: none. Caller frees. */
char *next_link(const struct fetch_answer *answer, const char *rel);

/* --- engine_ids.c, engine_gone.c --- */

EAR_MUST_CHECK
int ids_go_on(struct engine *engine, const struct source_output *output, struct source_turn *turn,
              struct ear_error *err);
EAR_MUST_CHECK
int ids_answer(struct engine *engine, const struct fetch_answer *answer,
               const struct source_output *output, struct source_turn *turn, struct ear_error *err);
EAR_MUST_CHECK
int gone_go_on(struct engine *engine, struct source_turn *turn, struct ear_error *err);
EAR_MUST_CHECK
int gone_answer(struct engine *engine, const struct fetch_answer *answer,
                const struct source_output *output, struct source_turn *turn,
                struct ear_error *err);

#endif
