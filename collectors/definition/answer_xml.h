/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_ANSWER_XML_H
#define EARSHOT_COLLECTORS_DEFINITION_ANSWER_XML_H

/*
 * An answer in XML as the JSON that pointers work on:
 *
 *     an element      a member of the one around it; the document's is the only one at the top
 *     several alike   a list (of one, a pointer's * makes a list too)
 *     an attribute    "@name"
 *     text            "#text", pieces joined, white space at its ends taken off; where there is
 *                     neither attribute nor element, the text itself; null where there is nothing
 *     a namespace     its prefix stays in the name, as it is written: "media:title"
 */

#include <stddef.h>

#include "common/error.h"

enum { ANSWER_XML_DEPTH_MAX = 60 /* an element may take two levels of JSON, which has 128 */ };

/*
 * `type`: the Content-Type, for the encoding; may be NULL. *out is malloc'ed, the caller's. -1:
 * EAR_REJECT with a code in front as common/markup tells them ("bad_xml", "xml_dtd_refused",
 * "too_deep", "too_many") or "too_big"; EAR_FATAL.
 */
EAR_MUST_CHECK
int answer_xml_read(char **out, size_t *out_length, const char *bytes, size_t length,
                    const char *type, struct ear_error *err);

#endif
