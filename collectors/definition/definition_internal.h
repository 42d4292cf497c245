/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_DEFINITION_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_DEFINITION_INTERNAL_H

/*
 * What a definition says, once read: definition_read*.c make it, everything else only reads it.
 * Strings and nodes are borrowed from the configuration. Arrays are [count]. The vocabulary, with
 * every key: common/earshot/examples/definition.yaml.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/definition/definition.h"
#include "common/json/json.h"
#include "common/option.h"

struct pattern;
struct zone;

/* --- templates: template.c --- */

/*
 * "{base}/t/{/topic_slug}/{+x}": literal text, and places that are filled from an environment:
 *
 *     {name}            a parameter of the source; wins over the words below; or one of `texts`
 *     {/pointer}        of the record in hand
 *     {parent/pointer}  of the record whose child it is; {parent/parent/pointer}
 *     {first/pointer}   of the answer to `first`
 *     {cursor}          where the list stands         {page}     what the next page is asked with
 *     {since} {now}     instants; as RFC 3339 where   {ids}      of a batch, joined
 *                       no filter says otherwise      {token}    of the session
 *     {post/id} {post/url} {post/thread} {post/key}   of the remembered post (gone); {post/id} of
 *                       the id asked for (walk); also {id}, {url}, {thread}, {key}
 *
 * {+…} keeps : / ? # & = , ; @ and what is percent-encoded already, in URLs; so does a place that a
 * URL begins with, if it is filled with http:// or https:// (its slashes at the end are dropped
 * before another). In a query & # = are encoded all the same. Filters, up to four: |tail (after the
 * last /) |head (before the first /) |host |lower |unix |unix_ms |rfc3339 |date (YYYY-MM-DD). A
 * list of plain values is joined by commas; an object is absent. `{{` and `}}` are braces, and so
 * is a `{` that is not followed by a letter, `/` or `+`.
 *
 * A query member, header or form field whose template names something absent is left out; a URL
 * that does is an error of that request ("schema: …"). An empty parameter is absent.
 */
struct template;

enum template_use {
    TEMPLATE_URL,
    TEMPLATE_QUERY,
    TEMPLATE_HEADER,
    TEMPLATE_BODY_FORM,
    TEMPLATE_PLAIN
};

/* What the places are filled from; members may be NULL or INT64_MIN: absent. */
struct joins;

struct environment {
    const struct definition *definition;
    const char *const *params; /* [definition->param_count], by the place of the parameter */
    const struct json_node *record, *parent, *grandparent, *first;
    const char *cursor, *page, *ids, *token;
    const char *id, *url, *thread, *key; /* of what is remembered (gone), or walked to (id) */
    int64_t since_us, now_us;
    const struct fetch_answer *answer; /* for conditions on headers */
    const struct zone *zone; /* of times without one, where the value says none; NULL: UTC */
    struct joins *joins;     /* of the page in hand; NULL: none are kept */
};

/* --- values of records --- */

enum value_as {
    AS_TEXT,
    AS_HTML, /* to be made text by the intake (format), entities and all */
    AS_UNIX, /* seconds since 1970, fractions allowed */
    AS_UNIX_MS,
    AS_TIME, /* RFC 3339 and its relatives (common/instant); no zone: the source's, else `zone` of
                the value */
    AS_INT,
    AS_NUMBER,
    AS_HOST, /* the host of a URL */
    AS_JOIN, /* an array's strings joined by `join` */
    AS_BOOLEAN,
};

/*
 * A JSON Pointer (RFC 6901) that may hold `*` (every element of a list; an object in its place
 * counts as a list of one) and once `**` (the value itself and all below it, whatever the depth; in
 * the order of the text). A value takes the first that is there and not null.
 */
struct pointer_step {
    enum { STEP_KEY, STEP_EACH, STEP_DEEP } kind;
    const char *key;
    int64_t index; /* the key as a place in a list; -1: it is none */
};

struct pointer {
    const char *text; /* as written, without parent/ or first/: "/data/items"; "": the value itself;
                         NULL: none given */
    const struct pointer_step *steps; /* [step_count] */
    size_t step_count;
    bool of_parent, of_grandparent, of_first;
};

/* {from: …, as: …, unless: …, match: …, default: …}, a template, a pointer, or a list of these. */
struct value {
    const struct pointer *from; /* [from_count]; 0: the template, or a join */
    size_t from_count;
    const struct template *template;
    enum value_as as;
    const char *joiner;               /* AS_JOIN; ", " by default */
    const char *fallback;             /* `default`; NULL */
    const struct config_node *unless; /* a scalar: a value equal to it counts as absent; NULL */
    const struct pattern *match;      /* its first group, or all it matches, is the value; NULL */
    struct zone *zone;                /* AS_TIME without one; NULL: the environment's */
    double out_of;                    /* a rating is divided by it; 0: none */
    /* {from: /includes/users, on: /id, with: /author_id, take: /name}: of the element of a list of
     * the whole answer whose `on` equals the record's `with`; then `from` is that list's */
    struct pointer join_on, join_with, join_take; /* text NULL: no join */
    const struct value *otherwise;                /* where this one gives nothing; NULL */
};

/* --- conditions: condition.c --- */

/*
 * All that is given must hold. {path: /x, is: …, in: […], over: n, under: n, present: true,
 * matches: "regular expression", changed: true, not: true}. Where the path names several values, it
 * holds if it does for one of them. `header` instead of `path`: of the environment's answer.
 */
struct condition {
    struct pointer path; /* text NULL: the header, else nothing to look at: always holds */
    const char *header;  /* in lower case; NULL */
    const struct config_node *is, *in;
    bool has_over, has_under, has_present, present;
    bool changed; /* remembered per record between polls: definition_memory.c */
    bool negated;
    double over, under;
    const struct pattern *matches;
};

struct conditions { /* any of them, where the vocabulary says so (skip, deleted); all of them in
                       `when` */
    struct condition *items;
    size_t count;
};

/* --- requests --- */

struct named_template {
    const char *name;
    const struct template *value;
};

/*
 * A body in JSON, as it stands in the definition: its texts are templates, and a member or element
 * whose template names something absent is left out. Plain numbers, true, false are such in JSON
 * too. `into` of a page sets the member at that pointer ("/variables/after").
 */
struct body {
    enum { BODY_OBJECT, BODY_ARRAY, BODY_TEXT, BODY_RAW } kind;
    const char *key; /* in an object; NULL in an array */
    const struct template *text;
    const char *raw; /* "3", "true" */
    struct body *items;
    size_t count;
};

struct request {
    const char *method;         /* "GET", "POST" */
    const struct template *url; /* NULL: there is no such request */
    bool has_url;               /* it was said, rightly or not */
    struct named_template *query, *headers, *form;
    size_t query_count, header_count, form_count;
    const struct body *json; /* a body in JSON; NULL */
    int needs;               /* `if`: the place of a parameter without which it is not made; -1;
                                `first` alone may say it */
    double cost;             /* of the budget; 1 */
    enum { ACCEPT_JSON, ACCEPT_XML, ACCEPT_NDJSON } accept;
};

enum page_kind { PAGE_NONE, PAGE_TOKEN, PAGE_LINK, PAGE_LAST, PAGE_NUMBER, PAGE_OFFSET };

struct page {
    enum page_kind kind;
    struct pointer from; /* token, link, last: where the next one stands; of the answer (token,
                            link) or of the last record (last) */
    const char *rel;     /* link: of the header Link ("next" where there is no from); NULL: from */
    const char *into;    /* the query member (form member of a POST) that carries it */
    int64_t first,
        size;    /* number: of the first page; offset: records a page (0: as many as came) */
    int64_t max; /* pages a walk, as the platform allows; 0: no limit */
    struct conditions
        last; /* `end`: the page after which none comes, told by the answer; none: an empty one */
};

enum cursor_order { ORDER_NEWEST, ORDER_OLDEST };

struct cursor {
    bool given;         /* false: the whole list is read with every poll */
    struct pointer *by; /* [by_count]: the first that is there */
    size_t by_count;
    bool by_link; /* the cursor is the opaque link `rel` of the first page */
    const char *rel;
    enum value_as
        as; /* AS_INT, AS_TIME, AS_UNIX, AS_TEXT (the first record's, as the server orders) */
    enum cursor_order order;
    const char *into; /* oldest, or a newest that the server bounds by itself: the query member */
    const struct template *send;  /* how the cursor is written into it; NULL: as it is */
    const struct template *start; /* what is sent at first sight; NULL: nothing */
    int64_t within_us; /* into: an older cursor is not sent, as the server refuses it; 0: none is */
    int64_t overlap_us, overlap_count; /* one of them; how much of what was seen is read again */
};

struct revisit {
    int64_t window_us, every_us;
};

enum field {
    FIELD_ID,
    FIELD_HOST,
    FIELD_URL,
    FIELD_TITLE,
    FIELD_TEXT,
    FIELD_CREATED_AT,
    FIELD_EDITED_AT,
    FIELD_AUTHOR_ID,
    FIELD_AUTHOR_NAME,
    FIELD_LANG,
    FIELD_THREAD,
    FIELD_PARENT,
    FIELD_RATING,
    FIELD_LIKES,
    FIELD_REPLIES,
    FIELD_SHARES,
    FIELD_VIEWS,
    FIELD_CHANNEL,
    FIELD_COUNT,
};

struct map {
    const struct value *fields[FIELD_COUNT]; /* NULL: not mapped */
    struct map_extra {
        const char *name;
        const struct value *value;
    } *extra; /* x_…; letters, digits and _ */
    size_t extra_count;
};

/* What is asked for once per record (or per so many). */
struct child {
    struct pointer each;    /* text NULL: the first of the records' pointers */
    struct conditions when; /* all */
    struct request request;
    struct pointer *records;
    size_t record_count;
    struct page page;
    struct map map;
    struct conditions skip, deleted;
    int64_t batch;     /* so many parents' ids in one request, joined into {ids}; 0: one each */
    const char *join;  /* "," by default */
    struct pointer id; /* of a parent, for {ids} and for `changed`; "/id" by default */
    bool gone;         /* a record that is not shown again is asked for, as the list's are; one each
                          only */
    struct pointer on; /* of a record, batch: equals the `id` of the record whose child it is, for
                          parent/…; text NULL: not told */
    struct child *children; /* of these records in turn */
    size_t child_count;
    int64_t max; /* requests a poll; 0: no limit of its own */
};

struct gone {
    bool given;
    struct request
        request; /* {/pointer} is not there; {id}, {url}, {thread} of the remembered post are */
    struct pointer
        key; /* what else of a record is remembered, for {post/key}; text NULL: nothing */
    int64_t statuses[8];
    size_t status_count;    /* 404 and 410 by default */
    bool both;              /* one of the statuses and one of `when`, as both were given */
    struct conditions when; /* any: an answer that says so by itself ({path: /deleted, is: true},
                               {path: /items/0, present: false} where ids are looked up) */
    int64_t most;           /* asked a poll; 20 */
};

struct list {
    const char *name; /* "" where there is one */
    int needs; /* `if`: the place of a parameter without which this list is not asked for; -1.
                  A source whose parameters leave no list at all is a finding of `check`: "give
                  one of: tag, account" */
    struct conditions when; /* all, of the answer to `first` (a version): asked for only then */
    struct request request;
    struct pointer *records;
    size_t record_count;
    struct page page;
    struct cursor cursor;
    struct revisit *revisits;
    size_t revisit_count;
    struct map map;
    struct conditions skip, deleted;
    struct child *children;
    size_t child_count;
    struct gone gone;
    /* walk: ids one by one */
    bool walks;
    struct request last; /* where the newest id stands */
    struct pointer last_at;
    int64_t step; /* from one id to the next; 1 */
};

/* --- whom we are, how often --- */

enum auth_kind {
    AUTH_NONE,
    AUTH_HEADER,
    AUTH_QUERY,
    AUTH_BEARER,
    AUTH_BASIC,
    AUTH_OAUTH2,
    AUTH_LOGIN
};
enum auth_grant { GRANT_CLIENT_CREDENTIALS, GRANT_REFRESH_TOKEN, GRANT_PASSWORD };

struct auth {
    enum auth_kind kind;
    const char *name;             /* header, query; login: the header that carries the token */
    const struct template *value; /* header, query, bearer; login: what that holds; both NULL:
                                     Authorization: Bearer {token} */
    const struct template *user, *password; /* basic; oauth2's password grant */
    int needs; /* `if`: the place of a parameter without which there is no auth; -1 */
    enum auth_grant grant;
    const struct template *token_url, *id, *secret, *refresh, *scope;
    bool via_basic; /* the client's id and secret by Basic, else in the form */
    /* login: a session */
    struct request login, relogin; /* relogin: with the refresh token, {token}; absent url: none */
    struct pointer token, refresh_token,
        expires; /* in the answer; expires: seconds from now, or a JWT's exp is read */
    struct conditions expired; /* an answer that means: log in again (with `expired_status`) */
    int64_t expired_status;    /* 0: whatever it is; 401 always means it */
};

enum reset_as { RESET_SECONDS, RESET_UNIX, RESET_RFC3339, RESET_MS };

struct limit { /* several may hold at once */
    int64_t requests;
    int64_t per_us;
    const char *zone; /* of a day that begins anew at midnight; NULL: a sliding window */
    const char *remaining,
        *reset; /* headers in lower case, or a pointer into the answer ("/quota_remaining") */
    enum reset_as reset_as;
    const char
        *backoff; /* a pointer to seconds to rest before the same request again (Stack Exchange) */
};

enum error_do { DO_RETRY, DO_WAIT, DO_SKIP, DO_END, DO_REFRESH, DO_STOP };

struct error_rule {
    int64_t statuses[16];
    size_t status_count; /* 0: any that is no page; 200 may be named too (errors beside data) */
    struct conditions when;
    enum error_do what;
    const struct template *say;
    int64_t wait_us;          /* wait; 0: as the server says, else jittered */
    int64_t until_us;         /* wait until this time of the day in the limit's zone; -1: none */
    struct pointer wait_from; /* seconds in the answer's body; text NULL: none */
};

struct parameter {
    const char *name, *help, *fallback;
    const char *example; /* what stands on its reference page; NULL */
    bool required, secret;
    bool address; /* some URL begins with it */
};

struct definition {
    struct source_reader reader; /* what the collector sees; self is this */
    const char *platform, *channel, *about;
    struct parameter *params;
    size_t param_count;
    struct named_text { /* what {name} stands for in templates, whose places are filled there */
        const char *name, *text;
    } *texts;
    size_t text_count;
    int base; /* the place of the parameter `base`, whose host is that of ids where `map` has none;
                 -1 */
    struct named_template *headers; /* of every request, also of those for tokens; each request
                                       has them among its own already */
    size_t header_count;
    struct ear_option *options; /* one an EAR_STRING a parameter, {0}-ended; config struct: const
                                   char *[param_count] */
    struct auth auth;
    bool has_first;
    struct request first;
    struct list *lists;
    size_t list_count;
    struct limit *limits;
    size_t limit_count;
    struct error_rule *errors;
    size_t error_count;
    const struct hook *hook; /* NULL: none */
    void *memory;            /* what was made here; the definition's own */
};

/* --- what the files of this room give each other --- */

/* definition_read.c. Zeroed memory that goes with the definition; NULL with EAR_FATAL. */
void *definition_take(struct definition *definition, size_t size, struct ear_error *err);
/* The definition owns `thing` from here on, also after -1 (EAR_FATAL). */
EAR_MUST_CHECK
int definition_own(struct definition *definition, void (*release)(void *), void *thing,
                   struct ear_error *err);
/* The place of a parameter; -1: there is none of that name. */
int definition_param(const struct definition *definition, const char *name);

/* pattern.c: regular expressions, with limits of our own on what a stranger's text may cost. */
EAR_MUST_CHECK
int pattern_new(struct pattern **out, const char *text,
                struct ear_error *err); /* EAR_CONFIG: why not */
void pattern_free(void *thing);         /* a struct pattern */
/* Does it match anywhere? *from and *length (may be NULL): the first group, else all of it. */
bool pattern_find(const struct pattern *pattern, const char *text, size_t length, size_t *from,
                  size_t *found);

/* pointer.c. A mistake becomes a finding, and out->text stays NULL; -1: EAR_FATAL. */
EAR_MUST_CHECK
int pointer_read(struct pointer *out, struct definition *definition, struct config *config,
                 const struct config_node *node, const char *text, struct ear_error *err);
/* Whether a scalar is one: "", or begins with /, parent/ or first/, and holds no template. */
bool pointer_is(const char *text);
/* What a pointer names, the first that is there and not null; NULL: nothing. */
const struct json_node *pointer_first(const struct pointer *pointer,
                                      const struct environment *environment);
/* All that it names below `root`, in order, nulls too: calls back until that returns false. False:
 * it did. */
bool pointer_each(const struct pointer *pointer, const struct json_node *root,
                  bool (*found)(void *user, const struct json_node *node), void *user);
/* Where it begins: the record, its parent, or the answer to `first`; NULL: not there. */
const struct json_node *pointer_root(const struct pointer *pointer,
                                     const struct environment *environment);
/* A string's or number's text, "true", "false"; NULL for the rest. */
const char *scalar_text(const struct json_node *node, size_t *length);

/* template.c. A mistake becomes a finding, *out NULL, 0 returned; -1: EAR_FATAL. */
EAR_MUST_CHECK
int template_read(const struct template **out, struct definition *definition, struct config *config,
                  const struct config_node *node, struct ear_error *err);
/*
 * The text, malloc'ed, encoded for its use: TEMPLATE_URL a whole URL, TEMPLATE_QUERY and _BODY_FORM
 * one member's value, encoded (its literal text too), TEMPLATE_HEADER without control characters,
 * TEMPLATE_PLAIN as it is. NULL with *absent: a place has no value; NULL else: err (EAR_REJECT
 * "schema: …": too long; EAR_FATAL). The values' own bytes are never taken for structure.
 */
char *template_expand(const struct template *template, const struct environment *environment,
                      enum template_use use, bool *absent, struct ear_error *err);
/* Whether {name} is a place of every template: {cursor}, {now}. */
bool template_is_place(const char *name);
/* As it is written; "" for NULL. */
const char *template_text(const struct template *template);
/* The place of the parameter that it begins with; -1: it begins with none. */
int template_begins_with(const struct template *template);
/* The first of its places that only `gone` and `walk` know ({id}, {url}, {thread}, {key}); NULL: it
 * has none. */
const char *template_remembered(const struct template *template);
/* Whether it has the place {page}: then a page needs no `into`. */
bool template_has_page(const struct template *template);

/* body.c. Reads a tree; writes it, with `page` (may be NULL) at the pointer `into` (may be NULL).
 * The writer has the last word on what went wrong; -1: EAR_REJECT, EAR_FATAL of a template. */
EAR_MUST_CHECK
int body_read(const struct body **out, struct definition *definition, struct config *config,
              const struct config_node *node, struct ear_error *err);
EAR_MUST_CHECK
int body_write(const struct body *body, const struct environment *environment, const char *into,
               const char *page, struct json_writer *writer, struct ear_error *err);

/* The name of a query member or form field, encoded; malloc'ed, NULL: out of memory. */
char *template_encode_name(const char *name);
/* The host of a URL, in lower case, its port kept unless it is the scheme's own; false: none. */
bool template_host(const char *url, size_t length, char *out, size_t size);

/* join.c. Indexes for {from, on, with}, of one answer: to be freed before its document is read
 * anew. NULL: out of memory, which costs time alone. */
struct joins *joins_new(void);
void joins_free(struct joins *joins);

/* value.c. Where the strings of a record lie; emptied by the caller between records. */
struct value_memory;
EAR_MUST_CHECK
int value_memory_new(struct value_memory **out, struct ear_error *err);
void value_memory_empty(struct value_memory *memory);
void value_memory_free(struct value_memory *memory);

/*
 * Fills a record from what is in hand (environment->record; `answer` is the whole page's root, for
 * joins). Strings lie in `memory` or in the document. `deleted` is the caller's to set. -1:
 * EAR_REJECT ("schema: /id is an object, not text"), EAR_FATAL.
 */
EAR_MUST_CHECK
int map_record(struct source_record *out, const struct map *map,
               const struct environment *environment, const struct json_node *answer,
               struct value_memory *memory, struct ear_error *err);

/* A cursor's value of a record, as comparable number (AS_INT, AS_TIME, AS_UNIX: µs for times) or as
 * text (AS_TEXT; in the document). False: it has none. */
bool cursor_value(const struct cursor *cursor, const struct json_node *record, int64_t *number,
                  const char **text);

/* condition.c. `before`: what `changed` compares with (condition_value as remembered; NULL: first
 * seen, which counts as changed). */
bool condition_holds(const struct condition *condition, const struct environment *environment,
                     const char *before);
/* Any of them; all of them (`when`). `changed` counts as true, as of what was never seen: who
 * remembers judges it by itself. None given: any is false, all is true. */
bool conditions_any(const struct conditions *conditions, const struct environment *environment);
bool conditions_all(const struct conditions *conditions, const struct environment *environment);
/* What `changed` remembers: the value's text, or a hash of it where that is long; "" for none. */
enum { CONDITION_VALUE_SIZE = 40 };
const char *condition_value(const struct condition *condition,
                            const struct environment *environment, char out[CONDITION_VALUE_SIZE]);
/* Whether a node of a configuration says the same as a value: false is false, 3 is 3.0, "x" is x.
 */
bool value_is(const struct json_node *node, const struct config_node *said);

/* hooks.c: what mends a record that was mapped from `node`, of a list with this cursor. */
struct hook {
    const char *name, *about;
    void (*mend)(struct source_record *record, const struct cursor *cursor,
                 const struct json_node *node);
};

const struct hook *hook_find(const char *name); /* NULL: there is none of that name */
const char *const *hook_names(void);            /* NULL-ended */

/* engine.c: what the reader of every definition does. */
int engine_begin(void **out, const struct source_poll *poll, struct ear_error *err);
int engine_step(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err);
void engine_end(void *state);

#endif
