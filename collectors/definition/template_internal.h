/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_TEMPLATE_INTERNAL_H
#define EARSHOT_COLLECTORS_DEFINITION_TEMPLATE_INTERNAL_H

/* What template.c (reading, putting together), template_fill.c (what a place holds) and
 * template_encode.c (how it is written where it goes) share. */

#include "collectors/definition/definition_internal.h"

enum {
    PIECES_MAX = 64,
    FILTERS_MAX = 4,
    VALUE_MAX = 64 * 1024, /* bytes of one place */
    TEXT_MAX = 512 * 1024, /* of the whole */
};

enum place {
    PLACE_NONE, /* literal text */
    PLACE_PARAM,
    PLACE_POINTER,
    PLACE_CURSOR,
    PLACE_SINCE,
    PLACE_NOW,
    PLACE_PAGE,
    PLACE_IDS,
    PLACE_TOKEN,
    PLACE_ID,
    PLACE_URL,
    PLACE_THREAD,
    PLACE_KEY,
};

enum filter {
    FILTER_NONE,
    FILTER_TAIL,
    FILTER_HEAD,
    FILTER_HOST,
    FILTER_LOWER,
    FILTER_UNIX,
    FILTER_UNIX_MS,
    FILTER_RFC3339,
    FILTER_DATE,
};

struct piece {
    enum place place;
    const char *text; /* literal */
    size_t length;
    size_t param;
    struct pointer pointer;
    bool keep; /* {+…} */
    enum filter filters[FILTERS_MAX];
};

struct template
{
    const char *text;           /* as written */
    const struct piece *pieces; /* [count] */
    size_t count;
};

/* What is written at a place: {name}, {/pointer}, {+x}; or a brace: {{ and }}. */
bool template_begins_place(const char *text);
bool template_begins_brace(const char *text);

/* The same with each {name} of the definition's texts replaced by that text; itself where it names
 * none. NULL: EAR_FATAL, or without an error: they hold each other, or are too long. */
const char *template_replace_texts(struct definition *definition, const char *text,
                                   struct ear_error *err);

/* A text, or an instant that no filter has written yet. */
struct filling {
    const char *text; /* NULL: absent */
    size_t length;
    bool is_instant;
    int64_t at_us;
    char written[64];
    char *owned;
};

/* Fills a place and runs its filters; filling->owned is the caller's to free. False: out of memory.
 */
bool piece_fill(struct filling *filling, const struct piece *piece,
                const struct environment *environment);

struct text {
    char *bytes;
    size_t length, room;
};

/* -1: EAR_REJECT: longer than TEXT_MAX; EAR_FATAL. */
EAR_MUST_CHECK
int template_put(struct text *text, const char *bytes, size_t length, struct ear_error *err);

/* Percent-encodes all but the unreserved characters (RFC 3986, 2.3), those of `kept`, and, where
 * `kept` holds %, what is encoded already. */
EAR_MUST_CHECK
int template_put_encoded(struct text *text, const char *bytes, size_t length, const char *kept,
                         struct ear_error *err);

/* Without control characters: no header ends early. */
EAR_MUST_CHECK
int template_put_header(struct text *text, const char *bytes, size_t length, struct ear_error *err);

#endif
