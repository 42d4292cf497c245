/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/earshot/earshot_internal.h"

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

int print_json_line(struct json_writer *writer, struct ear_error *err)
{
    size_t length = 0;
    const char *text = json_writer_text(writer, &length, err);

    if (text == NULL) {
        return -1;
    }
    fwrite(text, 1, length, stdout);
    fputc('\n', stdout);
    json_writer_reset(writer);
    return 0;
}

const char *ago(char out[48], const char *instant, int64_t now_us)
{
    char span[DURATION_SIZE];
    int64_t at_us = 0;

    if (instant == NULL || !instant_parse_rfc3339(&at_us, instant, strlen(instant))) {
        snprintf(out, 48, "never");
    } else if (at_us <= now_us) {
        snprintf(out, 48, "%s ago", duration_format(span, now_us - at_us));
    } else {
        snprintf(out, 48, "in %s", duration_format(span, at_us - now_us));
    }
    return out;
}

int publish_one(struct stream *stream, const char *topic, const char *key, const char *value,
                int64_t at_us, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;

    if (stream_begin(&transaction, stream, err) != 0) {
        return -1;
    }
    if (stream_publish(transaction, topic, key, strlen(key), value,
                       value == NULL ? 0 : strlen(value), at_us, err) != 0) {
        stream_abort(transaction);
        return -1;
    }
    return stream_commit(transaction, err);
}
