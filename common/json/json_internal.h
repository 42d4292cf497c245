/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_JSON_JSON_INTERNAL_H
#define EARSHOT_COMMON_JSON_JSON_INTERNAL_H

/*
 * The tape, shared by reading and looking.
 *
 * Nodes stand in the order of the text, a container before what it holds. `first` and `next` are
 * distances on the tape, so that it may move while it grows; 0 is none. Superseded members are
 * linked past. Pointers go into two buffers that do not move during a read: the text, and the
 * decoded strings, which are never longer than the text (a pair of quotes makes room for the NUL, a
 * number is followed by at least one byte).
 */

#include "common/json/json.h"

struct json_node {
    const char *key; /* decoded; NULL in arrays and at the root */
    const char *key_raw;
    const char *string; /* decoded string or a number's text; NULL for the rest */
    const char *raw;
    uint32_t key_length, string_length, raw_length;
    uint32_t first, next; /* distances on the tape */
    uint32_t count;       /* live elements or members */
    uint32_t key_hash;
    enum json_kind kind;
};

struct json_frame {
    uint32_t container, last; /* on the tape; last is 0 before the first child */
};

struct json {
    void *yajl; /* yajl_handle, kept from text to text because making one costs as much as a post */
    char *text;
    size_t text_length, text_capacity;
    char *strings;
    size_t strings_length, strings_capacity;
    struct json_node *tape;
    size_t count, capacity;
    struct json_node **sorted; /* for finding duplicates among many members */
    size_t sorted_capacity;
    struct json_frame frames[JSON_DEPTH_MAX];
    size_t depth;
    struct json_limits limits;
    size_t members;
    size_t end;          /* of the last token, in the text */
    const char *key;     /* of the value that comes, or NULL */
    const char *key_raw; /* where it begins */
    uint32_t key_length; /* of the decoded key */
    bool repaired, duplicates;
    struct ear_error *err; /* of the read that is under way */
};

/* Frees what yajl holds: after a failure it cannot be used again. */
void json_yajl_free(struct json *json);

#endif
