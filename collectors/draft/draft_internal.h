/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DRAFT_DRAFT_INTERNAL_H
#define EARSHOT_COLLECTORS_DRAFT_DRAFT_INTERNAL_H

/* What draft.c (looking for the records), draft_address.c (taking the URL apart) and draft_write.c
 * (writing YAML) share. */

#include <stdbool.h>
#include <stdio.h>

#include "collectors/draft/draft.h"

struct json_node;

enum { DRAFT_POINTER_MAX = 400, DRAFT_QUERY_MAX = 40 };

enum wanted {
    W_ID,
    W_URL,
    W_TITLE,
    W_TEXT,
    W_CREATED,
    W_EDITED,
    W_AUTHOR_ID,
    W_AUTHOR_NAME,
    W_LANG,
    W_THREAD,
    W_PARENT,
    W_LIKES,
    W_REPLIES,
    W_COUNT,
};

/* What was found for a record: the node of each field and its pointer. */
struct found {
    const struct json_node *nodes[W_COUNT];
    char pointers[W_COUNT][136];
    int worth;
};

struct best {
    char records[DRAFT_POINTER_MAX];
    const struct json_node *first, *last; /* records */
    size_t count;
    struct found found;
    char seen[240]; /* keys of the first object of the first list; "": none */
};

struct member {
    char *name, *value;
    bool secret;
};

struct address {
    char *text; /* cut at its ends */
    const char *base, *path;
    struct member query[DRAFT_QUERY_MAX];
    size_t query_count;
};

/* A string or a number. */
bool draft_is_plain(const struct json_node *node);

/* Takes a URL apart; address->text is the caller's to free. -1: EAR_FATAL. */
EAR_MUST_CHECK
int draft_read_address(struct address *address, const char *url, struct ear_error *err);

/* "https://api.forum.example:8443" → forum: the label before the last, in small letters. */
void draft_name(char out[80], const char *base);

/* Whether what is called so is one by its name: a key, a token. */
bool draft_is_secret(const char *name);

void draft_write(FILE *out, const char *name, const struct draft_sample *sample,
                 const struct address *address, const struct best *best);

#endif
