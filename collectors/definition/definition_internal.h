/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_DEFINITION_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_DEFINITION_INTERNAL_H

/*
 * What a definition says, once read: definition_read.c (and read_*.c) make it, everything else only
 * reads it. Strings and nodes are borrowed from the configuration. Arrays are [count].
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/definition/definition.h"
#include "common/json/json.h"
#include "common/option.h"

/* --- templates: template.c --- */

/*
 * "{base}/t/{/topic_slug}/{+x}": literal text, and places that are filled from an environment:
 *
 *     {name}          a parameter of the source            {+…}   keeps : / ? # & = , ; unencoded
 * in URLs
 *     {/pointer}      of the record in hand                {…|filter}  tail (after the last /),
 * head {parent/pointer}  of the record whose child it is                (before the first /), host,
 *     {first/pointer}   of the answer to `first`                       unix, rfc3339, date
 * (YYYY-MM-DD), {cursor}        where the list stands                            lower, ids (joined
 * batch) {since}         how far back this walk goes (µs, filtered; default rfc3339) {now}  {page}
 * {ids}  {token}
 *
 * A query member or header whose template names something absent is left out; a URL that does is an
 * error of that request ("schema: …").
 */
struct template;

enum template_use {
    TEMPLATE_URL,
    TEMPLATE_QUERY,
    TEMPLATE_HEADER,
    TEMPLATE_BODY_FORM,
    TEMPLATE_BODY_JSON,
    TEMPLATE_PLAIN
};

/* What the places are filled from; members may be NULL or INT64_MIN: absent. */
struct environment {
    const struct definition *definition;
    const char *const *params; /* [definition->param_count], by the place of the parameter */
    const struct json_node *record, *parent, *first;
    const char *cursor, *page, *ids, *token;
    int64_t since_us, now_us;
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

/* Pointers may hold `*` (every element) and `**` (every value at any depth); a value takes the
 * first that is there and not null. */
struct pointer {
    const char *text; /* "/data/children/*" + "/data" */
    bool of_parent, of_first;
};

/* {from: …, as: …, unless: …, match: …, default: …} or a template or a pointer alone. */
struct value {
    const struct pointer *from; /* [from_count]; 0: the template */
    size_t from_count;
    const struct template *template;
    enum value_as as;
    const char *join;                 /* AS_JOIN; ", " by default */
    const char *fallback;             /* `default`; NULL */
    const struct config_node *unless; /* a scalar: a value equal to it counts as absent; NULL */
    const char *zone;                 /* AS_TIME without one; NULL: UTC */
    double scale;                     /* `out_of`: a rating is divided by it; 0: none */
    /* {from: /includes/users, on: /id, with: /author_id, take: /name}: the element of an array of
     * the whole answer whose `on` equals the record's `with` */
    const char *join_from, *join_on, *join_with, *join_take;
};

/* --- conditions: condition.c --- */

/* All that is given must hold. {path: /x, is: …, in: […], over: n, under: n, present: true,
 * matches: "regular expression", changed: true, not: true} */
struct condition {
    struct pointer path;
    const struct config_node *is;
    const struct config_node *in;
    bool has_over, has_under, has_present, present;
    bool changed; /* remembered per record between polls: definition_memory.c */
    bool negated;
    double over, under;
    void *matches; /* a compiled pattern (PCRE2, its door is condition.c); NULL */
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

struct request {
    const char *method; /* "GET", "POST" */
    const struct template *url;
    struct named_template *query, *headers, *form;
    size_t query_count, header_count, form_count;
    /* A body in JSON, NULL: none. A tree as it stands in the definition: its scalars are templates,
     * `{{` and `}}` in them are braces (GraphQL is full of them); a member whose template names
     * something absent is left out; `into` of a page sets the member at that pointer
     * ("/variables/after"). */
    const struct config_node *json;
    double cost; /* of the budget; 1 */
    enum { ACCEPT_JSON, ACCEPT_XML, ACCEPT_NDJSON } accept;
};

enum page_kind { PAGE_NONE, PAGE_TOKEN, PAGE_LINK, PAGE_LAST, PAGE_NUMBER, PAGE_OFFSET };

struct page {
    enum page_kind kind;
    struct pointer from; /* token, link, last: where the next one stands; of the answer (token,
                            link) or of the last record (last) */
    const char *rel;     /* link: of the header Link; NULL: from */
    const char *into;    /* the query member (form member of a POST) that carries it */
    int64_t first, size; /* number: of the first page; offset: records a page */
    int64_t max;         /* pages a walk, as the platform allows; 0: no limit */
    struct conditions
        last; /* `end`: the page after which none comes, told by the answer; none: an empty one */
};

enum cursor_order { ORDER_NEWEST, ORDER_OLDEST };

struct cursor {
    struct pointer by;
    bool by_link; /* the cursor is the opaque link `rel` of the first page */
    const char *rel;
    enum value_as
        as; /* AS_INT, AS_TIME, AS_UNIX, AS_TEXT (the first record's, as the server orders) */
    enum cursor_order order;
    const char *into; /* oldest, or a newest that the server bounds by itself: the query member */
    const struct template *send;  /* how the cursor is written into it; "{cursor}" by default */
    const struct template *start; /* what is sent at first sight; NULL: nothing */
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
    struct {
        const char *name;
        const struct value *value;
    } *extra; /* x_… */
    size_t extra_count;
};

/* What is asked for once per record (or per so many). */
struct child {
    struct pointer each;
    struct conditions when; /* all */
    struct request request;
    struct pointer *records;
    size_t record_count;
    struct page page;
    struct map map;
    struct conditions skip, deleted;
    int64_t batch; /* so many parents' ids in one request, joined into {ids}; 0: one each */
    const char *join;
    struct pointer id;      /* of a parent, for {ids} and for `changed`; "/id" by default */
    struct child *children; /* of these records in turn */
    size_t child_count;
    int64_t max; /* requests a poll; 0: no limit of its own */
};

struct gone {
    bool given;
    struct request
        request; /* {/pointer} is not there; {id}, {url}, {thread} of the remembered record are */
    int64_t statuses[8];
    size_t status_count;    /* 404 and 410 by default */
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
    int64_t step;
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
    const char *name;                       /* header, query */
    const struct template *value;           /* header, query, bearer */
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
    int64_t expired_status;
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
    bool required, secret;
};

struct definition {
    struct source_reader reader; /* what the collector sees; self is this */
    const char *platform, *channel, *about;
    const char
        *host; /* a template's text or NULL: the host of ids where `map` has none; the base's */
    struct parameter *params;
    size_t param_count;
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
    const char *hook; /* NULL; a name of hooks.c */
    void *memory;     /* what was made here; the definition's own */
};

/* --- what the files of this room give each other --- */

/* template.c. A mistake becomes a finding, *out NULL, 0 returned; -1: EAR_FATAL. */
EAR_MUST_CHECK
int template_read(const struct template **out, struct definition *definition, struct config *config,
                  const struct config_node *node, struct ear_error *err);
/* The text, malloc'ed, encoded for its use; NULL with *absent: a place has no value; NULL else: err
 * (EAR_FATAL). The values' own bytes are never taken for structure. */
char *template_expand(const struct template *template, const struct environment *environment,
                      enum template_use use, bool *absent, struct ear_error *err);

/* value.c. What a pointer names, the first that is there and not null; NULL: nothing. */
const struct json_node *pointer_first(const struct pointer *pointer,
                                      const struct environment *environment);
/* All that it names below `root`, in order: calls back until that returns false. */
void pointer_each(const struct pointer *pointer, const struct json_node *root,
                  bool (*found)(void *user, const struct json_node *node), void *user);
/* Fills a record from what is in hand; strings live in `memory` (value.c's, emptied by the caller
 * between records) or in the document. -1: EAR_REJECT ("schema: no id: …"), EAR_FATAL. */
struct value_memory;
EAR_MUST_CHECK
int map_record(struct source_record *out, const struct map *map,
               const struct environment *environment, const struct json_node *answer,
               struct value_memory *memory, struct ear_error *err);
/* A cursor's value of a record, as comparable number (AS_INT, AS_TIME, AS_UNIX: µs for times) or as
 * text (AS_TEXT). False: it has none. */
bool cursor_value(const struct cursor *cursor, const struct json_node *record, int64_t *number,
                  const char **text);

/* condition.c. `before`: what `changed` compares with (the value's text as remembered; NULL: first
 * seen, which counts as changed). */
bool condition_holds(const struct condition *condition, const struct environment *environment,
                     const char *before);
bool conditions_any(const struct conditions *conditions, const struct environment *environment);
void condition_clear(struct condition *condition);

/* engine.c: what the reader of every definition does. */
int engine_begin(void **out, const struct source_poll *poll, struct ear_error *err);
int engine_step(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err);
void engine_end(void *state);
void engine_check(struct config *config, const struct settings_source *source,
                  const void *config_of);

#endif
