/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/earshot/earshot_internal.h"

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
