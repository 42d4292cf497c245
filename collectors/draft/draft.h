/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DRAFT_DRAFT_H
#define EARSHOT_COLLECTORS_DRAFT_DRAFT_H

/*
 * From a sample answer of an API to the draft of a definition: where the records are, which of
 * their fields is what, how the next page is asked for. All of it is guessed, by the names and the
 * looks of what is there, and written with the doubts beside it: a person reads it before it is
 * used. A parameter of the address that is a secret by its name never appears: it becomes a
 * parameter of the definition.
 */

#include <stddef.h>

#include "common/error.h"

struct json_node;

struct draft_sample {
    const char *url;  /* as it was asked for: with its query */
    const char *link; /* the header Link; NULL: none */
    const struct json_node *answer;
    const char *const *headers; /* [header_count]: names of those it was asked with */
    const char *const *values;  /* [header_count]: what they said; of a secret only the kind of
                                   login (Bearer) is written */
    size_t header_count;
    /* Headers of the answer that tell of a budget; NULL: none. The name of what is left (such as
     * X-RateLimit-Remaining), and name and value of when it begins anew; limit: how many there
     * are. */
    const char *remaining, *reset, *reset_value, *limit_value;
};

/*
 * The draft as YAML, malloc'ed, the caller's. *name (80 bytes): what it calls the platform. -1:
 * EAR_REJECT: nothing in the answer looks like a list of records; EAR_FATAL.
 */
EAR_MUST_CHECK
int draft_make(char **out, char name[80], const struct draft_sample *sample, struct ear_error *err);

#endif
