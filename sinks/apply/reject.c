/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/apply/reject.h"

#include <stdio.h>
#include <string.h>

#include "common/instant.h"

const char *reject_id(char out[REJECT_ID_SIZE], const struct stream_message *message)
{
    snprintf(out, REJECT_ID_SIZE, "%s/%d/%lld", message->topic, message->partition,
             (long long)message->offset);
    return out;
}

const char *reject_code(char out[REJECT_CODE_SIZE], const struct ear_error *why)
{
    size_t length = strspn(why->message, "abcdefghijklmnopqrstuvwxyz_");

    if (length == 0 || length >= REJECT_CODE_SIZE || why->message[length] != ':') {
        snprintf(out, REJECT_CODE_SIZE, "store");
    } else {
        snprintf(out, REJECT_CODE_SIZE, "%.*s", (int)length, why->message);
    }
    return out;
}

int reject_put(struct store *store, struct json_writer *writer,
               const struct stream_message *message, const char *source,
               const struct ear_error *why, int64_t now_us, struct ear_error *err)
{
    char id[REJECT_ID_SIZE];
    char code[REJECT_CODE_SIZE];
    char at[INSTANT_SIZE];
    const char *reason = strstr(why->message, ": ");
    const char *text = NULL;
    size_t length = 0;

    reason = reason == NULL ? why->message : reason + 2;
    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "id", reject_id(id, message));
    json_member_string(writer, "source", source);
    json_write_key(writer, "item");
    json_write_bytes(writer, message->key, message->key_length);
    json_member_string(writer, "stage", "store");
    json_member_string(writer, "code", reject_code(code, why));
    json_member_string(writer, "reason", reason);
    json_member_string(writer, "action", "set aside; earshot rejects retry sends it again");
    json_member_string(writer, "at", instant_format(at, now_us));
    json_member_integer(writer, "tries", 1);
    json_write_key(writer, "cursor");
    json_write_null(writer);
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text == NULL) {
        return -1;
    }
    {
        struct store_value values[] = {store_text("reject"), store_text(id),
                                       store_bytes(text, length)};

        return store_run(store, QUERY_OUTBOX_ADD, values, 3, err) < 0 ? -1 : 0;
    }
}
