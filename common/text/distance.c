/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/text/text.h"

enum { WORD_MAX = 64, FAR = 99 };

static int least(int one, int other)
{
    return one < other ? one : other;
}

/*
 * Optimal string alignment: insertions, deletions, exchanges, and neighbours swapped; row by row,
 * with the two rows above at hand. Words longer than 64 bytes are far from everything.
 * Source: Boytsov 2011, "Indexing methods for approximate dictionary searching", section 2.
 */
int text_distance(const char *one, const char *other)
{
    int rows[3][WORD_MAX + 1];
    size_t length = strlen(one);
    size_t width = strlen(other);

    if (length > WORD_MAX || width > WORD_MAX) {
        return FAR;
    }
    for (size_t j = 0; j <= width; j++) {
        rows[0][j] = (int)j;
    }
    for (size_t i = 1; i <= length; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3];
        const int *before = rows[(i + 1) % 3];

        row[0] = (int)i;
        for (size_t j = 1; j <= width; j++) {
            int change = one[i - 1] == other[j - 1] ? 0 : 1;

            row[j] = least(least(row[j - 1], above[j]) + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1]) {
                row[j] = least(row[j], before[j - 2] + 1);
            }
        }
    }
    return least(rows[length % 3][width], FAR);
}
