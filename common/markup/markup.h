/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_MARKUP_MARKUP_H
#define EARSHOT_COMMON_MARKUP_MARKUP_H

/*
 * Marked-up text of strangers, told tag by tag. XML (feeds) and HTML (what people wrote in them)
 * come through the same three functions; no tree is built, nothing recurses, nothing is fetched, no
 * entity is expanded but those that stand for one character.
 *
 * XML goes through libxml2, behind a pass of our own that keeps out what libxml2 2.9 is slow or
 * generous with: internal subsets, thousands of attributes in one tag, deep namespaces. The same
 * pass mends what feeds often have: control characters, a bare "&", HTML names such as &nbsp;.
 * HTML is read here, because libxml2's parser takes a time that grows with the square of the input
 * (200 KB of attributes, or of unmatched end tags: more than two seconds). No other room includes
 * libxml2.
 *
 * Time and memory grow with the input, by the byte; the caller caps its bytes. Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum {
    MARKUP_DEPTH_MAX = 10000,    /* elements open at once (XML); beyond: too_deep */
    MARKUP_ATTRIBUTES_MAX = 256, /* of one tag; beyond: XML too_many, HTML passed over */
    MARKUP_SPACES_MAX = 64, /* namespace declarations in force at once (XML); beyond: too_many */
};

struct markup_attribute {
    const char *space; /* namespace as below; "" for none */
    const char *name;
    const char *value; /* decoded, NUL-ended */
};

/*
 * Who is told. Strings are valid UTF-8 and borrowed for the call. Names are local names; HTML's in
 * lower case. `space` is the namespace's URI; the prefix where it was not declared; "" for none and
 * always for HTML. A function that returns -1 with err filled stops the reading, and markup_read_…
 * returns -1 with that error. An absent function is not called.
 */
struct markup_handler {
    int (*open)(void *user, const char *space, const char *name,
                const struct markup_attribute attributes[], size_t count, struct ear_error *err);
    int (*close)(void *user, const char *space, const char *name, struct ear_error *err);
    /* A piece of text, entities decoded; one run of text may come in many pieces. */
    int (*text)(void *user, const char *text, size_t length, struct ear_error *err);
    bool prefixes; /* XML: `space` is the prefix as it is written, declared or not */
};

/*
 * Reads an XML document that is UTF-8 already (what its declaration says about its encoding is
 * passed over). Every open has its close. -1 with EAR_REJECT and a code in front: "bad_xml: line 3,
 * column 7: …", "xml_dtd_refused: …" (internal subset, undefined entity), "too_deep: …",
 * "too_many: …"; or EAR_FATAL.
 */
EAR_MUST_CHECK
int markup_read_xml(const char *text, size_t length, const struct markup_handler *handler,
                    void *user, struct ear_error *err);

/*
 * Reads HTML, a page or a fragment, valid UTF-8. Nothing is refused and nothing balanced: tags are
 * told as they stand, but that what never has an end (br, img, …) gets its close at once. What
 * lies in script and style is told as text, as it stands. -1 only for EAR_FATAL or by the handler.
 */
EAR_MUST_CHECK
int markup_read_html(const char *text, size_t length, const struct markup_handler *handler,
                     void *user, struct ear_error *err);

#endif
