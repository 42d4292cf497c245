/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SOURCE_COMPARE_H
#define EARSHOT_COLLECTORS_SOURCE_COMPARE_H

/* Posts that were found beside posts that were kept, for a person to read. */

#include <stddef.h>
#include <stdio.h>

#include "common/error.h"

struct probe;

/*
 * kept: NDJSON, a post a line. Writes to `out` what is missing (-), what is new (+), and of what
 * changed each field before and now; the first twenty posts whole, the rest counted.
 * *differences: how many posts are not the same. -1: EAR_REJECT (a line that is no post),
 * EAR_FATAL.
 */
EAR_MUST_CHECK
int posts_compare(size_t *differences, const char *kept, const struct probe *probe, FILE *out,
                  struct ear_error *err);

#endif
