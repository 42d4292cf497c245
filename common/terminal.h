/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_TERMINAL_H
#define EARSHOT_COMMON_TERMINAL_H

/* Texts of others on a person's terminal. Threads: any. */

#include <stddef.h>
#include <stdio.h>

/* What strangers wrote, fit for a terminal: control, escape and bidirectional characters become
 * spaces; at most `width` code points, the last one … where more would follow. 0: all. */
void print_text(FILE *out, const char *text, size_t width);

#endif
