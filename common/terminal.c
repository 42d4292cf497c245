/* SPDX-License-Identifier: Apache-2.0 */
#include "common/terminal.h"

#include <stdbool.h>
#include <stdint.h>

/* One code point from valid UTF-8; moves *at past it. */
static uint32_t next_point(const char **at)
{
    const unsigned char *from = (const unsigned char *)*at;
    int more = *from >= 0xf0 ? 3 : *from >= 0xe0 ? 2 : *from >= 0xc0 ? 1 : 0;
    uint32_t point = more == 0 ? *from : *from & (0x3fU >> more);

    for (int i = 1; i <= more && (from[i] & 0xc0) == 0x80; i++) {
        point = point << 6 | (from[i] & 0x3f);
        *at += 1;
    }
    *at += 1;
    return point;
}

static bool is_hidden(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

void print_text(FILE *out, const char *text, size_t width)
{
    size_t printed = 0;
    const char *at = text == NULL ? "" : text;

    while (*at != '\0') {
        const char *from = at;
        uint32_t point = next_point(&at);

        if (width != 0 && printed + 1 == width && *at != '\0') {
            fputs("…", out);
            return;
        }
        if (is_hidden(point)) {
            fputc(' ', out);
        } else {
            fwrite(from, 1, (size_t)(at - from), out);
        }
        printed++;
    }
}
