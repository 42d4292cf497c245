/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TEXT_TEXT_H
#define EARSHOT_COMMON_TEXT_TEXT_H

/*
 * Text as people write it, made fit to be compared: UTF-8 mended, NFC, folded, HTML taken off.
 * Strings carry their length; what is returned is NUL-ended, valid UTF-8 and the caller's to free,
 * unless said otherwise. Only this room knows utf8proc. Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Copies bytes as valid UTF-8: what is not (also NUL and surrogates) becomes U+FFFD, and *repaired
 * true (left alone otherwise). NULL: out of memory. */
char *text_repair(const char *bytes, size_t length, size_t *out_length, bool *repaired);

/*
 * How many bytes the character at the start takes: 1 to 4 if it is valid UTF-8 (a NUL is not), else
 * 0 and *bad (may be NULL) the number of bytes that one U+FFFD stands for, 1 to 3. length > 0.
 * Source: Unicode 15, table 3-7 and section 3.9, "maximal subparts".
 */
size_t text_sequence(const char *bytes, size_t length, size_t *bad);

/* True if the bytes are valid UTF-8 without NUL. */
bool text_valid(const char *bytes, size_t length);

/* NFC, as Unicode 14 has it. Input must be valid. NULL: out of memory. */
char *text_nfc(const char *text, size_t length, size_t *out_length);

/* Full case folding, then NFC: for comparing, hashing, matching. The same as Python's
 * unicodedata.normalize("NFC", s.casefold()). */
char *text_fold(const char *text, size_t length, size_t *out_length);

/* Code points. Input must be valid. */
size_t text_code_points(const char *text, size_t length);

/* White space folded: runs of blanks become one, of three or more line ends two; ends trimmed. In
 * place; returns the new length. */
size_t text_tidy(char *text, size_t length);

/*
 * HTML (a fragment or a page) to plain text: entities decoded once, blocks and <br> become line
 * ends, list items begin with "- ", links keep their words, script, style, head and hidden elements
 * are left out, quotes (<blockquote>) begin each line with "> ". Never runs, never fetches. NULL:
 * out of memory.
 */
char *text_from_html(const char *html, size_t length, size_t *out_length);

/*
 * Bytes in a named or guessed encoding to UTF-8: a BOM wins (and is taken off), then `encoding` (a
 * label as in HTTP or XML; NULL or unknown: none), then UTF-8 if valid, then windows-1252. A label
 * of one byte a character is not believed where the bytes are valid UTF-8: mislabelled pages are
 * common, such bytes by chance are not. *repaired as above. NULL: out of memory.
 */
char *text_decode(const char *bytes, size_t length, const char *encoding, size_t *out_length,
                  bool *repaired);

/* The same of XML or HTML, its encoding by its Content-Type (may be NULL), then by its declaration.
 */
char *text_decode_markup(const char *bytes, size_t length, const char *type, size_t *out_length,
                         bool *repaired);

/* Edit distance (optimal string alignment) of two short ASCII words, for "did you mean"; capped
 * at 99. */
int text_distance(const char *one, const char *other);

#endif
