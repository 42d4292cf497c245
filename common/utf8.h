/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_UTF8_H
#define EARSHOT_COMMON_UTF8_H

/*
 * One code point as UTF-8, for the rooms that decode escapes, entities and encodings. Reading and
 * mending are common/text's. Threads: any.
 * Source: RFC 3629, section 3.
 */

#include <stddef.h>
#include <stdint.h>

enum { UTF8_SIZE = 4 };

/* Writes a code point, without NUL; returns how many bytes it takes, 1 to 4. What is no character
 * (a surrogate, beyond U+10FFFF) is written as U+FFFD. */
size_t utf8_put(char out[UTF8_SIZE], uint32_t point);

#endif
