/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_ENGINE_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_ENGINE_INTERNAL_H

/*
 * The poll of a definition, as its files share it:
 *
 *     engine.c           the stages of a poll: first ─▶ each list: its walks, what is gone
 *     engine_walk.c      a walk along a list: where it begins; engine_walk_end.c: where it may stop
 *     engine_frame.c     a page after the other, its records, then what is asked for once a record
 *     engine_answer.c    an answer to a page; engine_rules.c: one that is no page
 *     engine_records.c   the records of a page; engine_children.c: what hangs on them
 *     engine_fit.c       whether the definition fits what comes
 *     engine_next.c      how the next page is asked for
 *     engine_ids.c       ids one by one instead of a list
 *     engine_gone.c      what a walk ought to have shown and did not
 *     engine_ask.c       a request out of its templates; engine_link.c: out of a link
 *     engine_auth.c      whom we are, and the tokens for it
 *     definition_memory*.c  what is kept between polls: engine_memory.h
 *
 * One request at a time. The cursor moves when a page and all that hangs on it is through: a crash
 * before asks for that page again, and what was seen is not published twice.
 */

#include "collectors/definition/engine_state.h"
#include "common/clock.h"

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
    bool of_page;   /* of the frame on top */
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
 * EAR_REJECT. *absent: nothing stands there, or null; *sole: an object. xml: where one is a list
 * too, and none is there when the list is empty. */
EAR_MUST_CHECK
int records_check_place(const struct pointer *pointer, bool xml, const struct json_node *root,
                        bool *absent, bool *sole, struct ear_error *err);
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

/* --- engine_fit.c: of the place whose frame is on top --- */

/* A child was answered that there is nothing. */
void fit_refused(struct engine *engine, int status);
/* A page was read; sets frame->unfit. */
void fit_page(struct engine *engine);
/* Has this place ever fitted? */
bool fit_works(struct engine *engine);
/* A record of the page in hand was mapped. */
void fit_record(struct engine *engine, const struct environment *environment,
                const struct source_record *record);
/* The page in hand is through; found: it names a next one. */
void fit_next(struct engine *engine, bool found);
/* Do its pages not work, so that records beyond the first are missing? */
bool fit_is_unpaged(struct engine *engine);
/* Tells what does not fit, and what does, at the end of a poll. -1: as the output's. */
EAR_MUST_CHECK
int fit_tell(struct engine *engine, struct ear_error *err);

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
