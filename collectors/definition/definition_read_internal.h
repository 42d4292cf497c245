/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_DEFINITION_READ_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_DEFINITION_READ_INTERNAL_H

/*
 * What the files that read a definition share. Each function reads a part from its node, reports
 * mistakes at their places and goes on; where the node is absent it leaves *out as it is, which is
 * how parts are inherited. -1: EAR_FATAL.
 */

#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"

enum { READING_PARAMS_MAX = 50, READING_NAME_MAX = 40 };

struct reading {
    struct definition *definition;
    struct config *config;
    struct ear_error *err;
};

/* --- definition_read.c --- */

void *reading_take(const struct reading *reading, size_t count, size_t size);
/* The place of a word among words[] (NULL-ended), as EAR_CHOICE has checked it; 0 for NULL. */
size_t reading_index(const char *word, const char *const words[]);
/* config_fill, for what cannot be absent: an element of a list that is nothing is a finding. */
size_t reading_fill(const struct reading *reading, const struct config_node *node,
                    const struct ear_option options[], const char *what, void *out);
/* The place of the parameter that `if` names; -1: none, or a finding. */
int reading_needs(const struct reading *reading, const struct config_node *node);

/* --- definition_read_params.c --- */

int read_params(const struct reading *reading, const struct config_node *node);
/* After the parameters, whose names theirs cannot be. */
int read_texts(const struct reading *reading, const struct config_node *node);

/* --- definition_read_list.c --- */

struct list_keys {
    const char *name;
    const struct config_node *needs, *when, *request, *records, *page, *cursor, *revisit, *map,
        *skip, *deleted, *children, *gone, *walk;
};

#define LIST_OPTIONS(holder, keys)                                                                   \
    {"request",                                                                                      \
     EAR_TREE,                                                                                       \
     LIST_KEY(holder, keys, request),                                                                \
     NULL,                                                                                           \
     "what is asked for: {url: …, query: …, headers: …}",                                            \
     NULL},                                                                                          \
        {"records",                                                                                  \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, records),                                                            \
         NULL,                                                                                       \
         "pointers to the records, such as /data/items/*",                                           \
         NULL},                                                                                      \
        {"page", EAR_TREE, LIST_KEY(holder, keys, page), NULL, "how the next page is found", NULL},  \
        {"cursor",                                                                                   \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, cursor),                                                             \
         NULL,                                                                                       \
         "what is new: {by: …, as: …, order: …}",                                                    \
         NULL},                                                                                      \
        {"revisit",                                                                                  \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, revisit),                                                            \
         NULL,                                                                                       \
         "what is walked again: [{window: 2d, every: 1h}]",                                          \
         NULL},                                                                                      \
        {"map", EAR_TREE, LIST_KEY(holder, keys, map), NULL, "the fields of a post", NULL},          \
        {"skip", EAR_TREE, LIST_KEY(holder, keys, skip), NULL, "records that are no posts", NULL},   \
        {"deleted", EAR_TREE, LIST_KEY(holder, keys, deleted), NULL, "records of what is gone",      \
         NULL},                                                                                      \
        {"children",                                                                                 \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, children),                                                           \
         NULL,                                                                                       \
         "what is asked for once a record",                                                          \
         NULL},                                                                                      \
        {"gone", EAR_TREE, LIST_KEY(holder, keys, gone), NULL, "how a deletion is confirmed", NULL}, \
    {                                                                                                \
        "walk", EAR_TREE, LIST_KEY(holder, keys, walk), NULL, "ids one by one", NULL                 \
    }

/* NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define LIST_KEY(holder, keys, member)                                                             \
    offsetof(struct holder, keys) + offsetof(struct list_keys, member)

/* The keys that stand there, over what `out` holds already. */
int read_list_keys(const struct reading *reading, struct list *out, const struct list_keys *keys);
/* Several, each over a copy of `shared`. */
int read_lists(const struct reading *reading, const struct list *shared,
               const struct config_node *node);
/* What a list that is read whole still lacks. `what` names it. */
void read_check_list(const struct reading *reading, const struct list *list,
                     const struct config_node *node, const char *what);

/* --- definition_read_request.c --- */

int read_template(const struct reading *reading, const struct template **out,
                  const struct config_node *node);
/* A URL: the parameter that it begins with is an address. */
int read_url(const struct reading *reading, const struct template **out,
             const struct config_node *node);
/* Names with their templates, over those that are there; a list of texts gives a name several. */
int read_named(const struct reading *reading, struct named_template **out, size_t *count,
               const struct config_node *node);
/* Names that a header can have. */
void read_check_headers(const struct reading *reading, const struct config_node *node);
/* A mapping, or the URL alone. Headers of the definition are among its own. */
int read_first(const struct reading *reading, struct request *out, const struct config_node *node);
/* The same, but a mapping goes over the request that `out` holds, member by member; whether it has
 * a URL then, read_check_url.
 */
EAR_MUST_CHECK
int read_list_request(const struct reading *reading, struct request *out,
                      const struct config_node *node);
void read_check_url(const struct reading *reading, const struct request *request,
                    const struct config_node *node);
EAR_MUST_CHECK
int read_request(const struct reading *reading, struct request *out,
                 const struct config_node *node);
int read_page(const struct reading *reading, struct page *out, const struct config_node *node);
int read_cursor(const struct reading *reading, struct cursor *out, const struct config_node *node);
int read_revisits(const struct reading *reading, struct revisit **out, size_t *count,
                  const struct config_node *node);

/* --- definition_read_access.c --- */

int read_auth(const struct reading *reading, struct auth *out, const struct config_node *node);
int read_login(const struct reading *reading, struct auth *out, const struct config_node *node);
int read_limits(const struct reading *reading, const struct config_node *node);
int read_errors(const struct reading *reading, const struct config_node *node);

/* --- definition_read_record.c --- */

int read_pointer(const struct reading *reading, struct pointer *out,
                 const struct config_node *node);
/* One, or a list of them. */
int read_pointers(const struct reading *reading, struct pointer **out, size_t *count,
                  const struct config_node *node);
/* Fields over those that are there. */
int read_map(const struct reading *reading, struct map *out, const struct config_node *node);

/* --- definition_read_condition.c --- */

/* One mapping, or a list of them. */
int read_conditions(const struct reading *reading, struct conditions *out,
                    const struct config_node *node);

/* The keys of a condition, in a table of their own or among others'. */
struct condition_keys {
    const struct config_node *path, *is, *in;
    const char *header, *present, *matches;
    double over, under;
    bool changed, negated;
};

/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define CONDITION_KEY(holder, keys, member)                                                        \
    offsetof(struct holder, keys) + offsetof(struct condition_keys, member)
/* NOLINTEND(bugprone-macro-parentheses) */

#define CONDITION_OPTIONS(holder, keys)                                                            \
    {"path",                                                                                       \
     EAR_TREE,                                                                                     \
     CONDITION_KEY(holder, keys, path),                                                            \
     NULL,                                                                                         \
     "a pointer to what is looked at, such as /deleted",                                           \
     NULL},                                                                                        \
        {"header",                                                                                 \
         EAR_STRING,                                                                               \
         CONDITION_KEY(holder, keys, header),                                                      \
         NULL,                                                                                     \
         "a header of the answer instead of a pointer",                                            \
         NULL},                                                                                    \
        {"is", EAR_TREE, CONDITION_KEY(holder, keys, is), NULL, "what it has to be", NULL},        \
        {"in", EAR_TREE, CONDITION_KEY(holder, keys, in), NULL, "a list of what it may be", NULL}, \
        {"over", EAR_NUMBER, CONDITION_KEY(holder, keys, over), "0", "a number it has to exceed",  \
         NULL},                                                                                    \
        {"under",                                                                                  \
         EAR_NUMBER,                                                                               \
         CONDITION_KEY(holder, keys, under),                                                       \
         "0",                                                                                      \
         "a number it has to stay below",                                                          \
         NULL},                                                                                    \
        {"present",                                                                                \
         EAR_CHOICE,                                                                               \
         CONDITION_KEY(holder, keys, present),                                                     \
         "|true|false",                                                                            \
         "whether it has to be there, and not null",                                               \
         NULL},                                                                                    \
        {"matches",                                                                                \
         EAR_STRING,                                                                               \
         CONDITION_KEY(holder, keys, matches),                                                     \
         NULL,                                                                                     \
         "a regular expression that has to match it",                                              \
         NULL},                                                                                    \
        {"changed",                                                                                \
         EAR_BOOLEAN,                                                                              \
         CONDITION_KEY(holder, keys, changed),                                                     \
         "false",                                                                                  \
         "whether it has to be another than with the last poll",                                   \
         NULL},                                                                                    \
    {                                                                                              \
        "not", EAR_BOOLEAN, CONDITION_KEY(holder, keys, negated), "false",                         \
            "true turns all that round", NULL                                                      \
    }

/* The condition that a filled table says; *given: false where it says none. */
int read_condition(const struct reading *reading, struct condition *out, bool *given,
                   const struct condition_keys *keys, const struct config_node *node);
/* The same as the one of a set, or none. */
int read_condition_inline(const struct reading *reading, struct conditions *out,
                          const struct condition_keys *keys, const struct config_node *node);

/* Status codes, one or several, at most `room`. */
void read_statuses(const struct reading *reading, const struct config_node *node,
                   const struct ear_strings *texts, int64_t *out, size_t *count, size_t room);

#endif
