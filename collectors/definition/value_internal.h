/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_VALUE_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_VALUE_INTERNAL_H

/* What value.c (one value of `map`), map.c (the whole record) and value_memory.c share. */

#include "collectors/definition/definition_internal.h"

/* What is needed all the way down. */
struct mapping {
    const struct environment *environment;
    const struct json_node *answer;
    struct value_memory *memory;
    struct ear_error *err;
};

/* What a value gave. `text` NULL: nothing. */
struct given {
    const struct json_node *node; /* where it came from as it is; NULL: made */
    const char *text;
    size_t length;
    enum value_as as;
    const struct value *value;
};

/* NULL: a record of more than 4 MiB, or out of memory. */
char *value_take(struct value_memory *memory, size_t size);
const char *value_keep(struct value_memory *memory, const char *text, size_t length);

/* The first of a value and what is behind it that gives something. An empty text is nothing. */
EAR_MUST_CHECK
int value_give(struct given *out, const struct value *value, const struct mapping *mapping,
               enum template_use use);

/* join.c. What `on` makes the one that `with` means; NULL: none. */
const struct json_node *join_find(const struct value *value, const struct mapping *mapping);

/* A text as what it is said to be; NULL: it is none. */
const char *value_read_as(struct given *given, const struct mapping *mapping);

bool value_to_number(const struct given *given, double *out);
bool value_to_instant(const struct given *given, enum value_as as, const struct zone *zone,
                      int64_t *out_us);
/* The zone that a time without one is read in. */
const struct zone *value_zone(const struct given *given, const struct mapping *mapping);

#endif
