/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_MARKUP_MARKUP_INTERNAL_H
#define EARSHOT_COMMON_MARKUP_MARKUP_INTERNAL_H

#include <stddef.h>

#include "common/markup/markup.h"
#include "common/utf8.h"

enum { ENTITY_NAME_MAX = 8 };

/* The character that an HTML name stands for ("nbsp"), written to out; returns its bytes, 0 for an
 * unknown name. */
size_t entity_named(char out[UTF8_SIZE], const char *name, size_t length);

/* UTF-8 of a code point; what is none becomes U+FFFD. Returns its bytes. */
size_t entity_encode(char out[UTF8_SIZE], unsigned long code);

/* Digits of "&#…;" (text points behind the #) as a code point, with *used bytes taken without the
 * semicolon; 0 used: no number. Capped beyond Unicode. */
unsigned long entity_number(const char *text, size_t length, size_t *used);

#endif
