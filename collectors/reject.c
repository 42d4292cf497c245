/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/reject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/json/json.h"
#include "common/text/text.h"

/* What to do about a code; the last row is for all others. */
static const struct {
    const char *code, *action;
    const char *once; /* where nobody asks again by himself; NULL: the same */
} actions[] = {
    {"bad_id", "give the item an id that is text; it is read again with the next poll",
     "give the item an id that is text, and import the file again"},
    {"too_large", "shorten the item at its source", "shorten it, and import the file again"},
    {"schema", "see whether the source changed its format; mend the mapping or the item",
     "mend the item, or say which column is what, such as --map text=Comment, and import the file "
     "again"},
    {"bad_format", "save it as CSV, TSV, NDJSON or mbox; it is read again with the next poll",
     "save it as CSV, TSV, NDJSON or mbox, and import that"},
    {"bad_number", "mend the item or `scale`; it is read again with the next poll",
     "mend the item, or say the best rating with --scale, and import the file again"},
    {"unreadable", "let the user that runs this read the file",
     "let yourself read the file, and import it again"},
    {"too_big", "ask the source for smaller pages", NULL},
    {"bomb", "ask whoever runs the source what it sends", NULL},
    {NULL, "mend the item at its source; it is read again with the next poll",
     "mend the item, and import the file again"},
};

struct hash128 reject_hash(const struct reject *reject, bool by_place)
{
    struct hash128 hashes[2] = {hash128_of("reject", 6)};
    const bool has_bytes = reject->bytes != NULL && reject->length > 0;

    if (by_place || !has_bytes) {
        hashes[0] = hash128_of(reject->item, strlen(reject->item));
    }
    if (has_bytes) {
        hashes[1] = hash128_of(reject->bytes, reject->length);
    }
    hashes[1].bytes[0] ^= 0xff; /* never the hash of a post's native id */
    return hash128_of(hashes, sizeof(hashes));
}

struct hash128 reject_reason_hash(const struct reject *reject)
{
    const struct hash128 hashes[2] = {
        hash128_of(reject->code, strlen(reject->code)),
        hash128_of(reject->reason, strlen(reject->reason)),
    };

    return hash128_of(hashes, sizeof(hashes));
}

const char *reject_what_to_do(const char *code, bool once)
{
    size_t i = 0;

    while (actions[i].code != NULL && strcmp(actions[i].code, code) != 0) {
        i++;
    }
    return once && actions[i].once != NULL ? actions[i].once : actions[i].action;
}

/* Strings of strangers, mended to UTF-8. */
static bool write_mended(struct json_writer *writer, const char *key, const char *bytes,
                         size_t length)
{
    bool repaired = false;
    size_t mended_length = 0;
    char *mended = text_repair(bytes, length, &mended_length, &repaired);

    if (mended == NULL) {
        return false;
    }
    json_write_key(writer, key);
    json_write_bytes(writer, mended, mended_length);
    free(mended);
    return true;
}

const char *reject_write(const struct reject *reject, const char *id, struct json_writer *writer,
                         size_t *length, struct ear_error *err)
{
    char at[INSTANT_SIZE];
    char digits[HASH128_TEXT_SIZE];
    bool good = true;

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "id", id);
    json_member_string(writer, "source", reject->source);
    good = write_mended(writer, "item", reject->item, strlen(reject->item));
    json_member_string(writer, "stage", "collect");
    json_member_string(writer, "code", reject->code);
    good = good && write_mended(writer, "reason", reject->reason, strlen(reject->reason));
    json_member_string(writer, "action", reject_what_to_do(reject->code, reject->once));
    json_member_string(writer, "at", instant_format(at, reject->at_us));
    json_member_integer(writer, "tries", 1);
    if (reject->cursor != NULL && reject->cursor_length <= REJECT_BYTES_MAX) {
        json_write_key(writer, "cursor");
        json_write_raw(writer, reject->cursor, reject->cursor_length);
    }
    if (reject->bytes != NULL) {
        json_member_string(writer, "hash",
                           hash128_format(digits, hash128_of(reject->bytes, reject->length)));
        json_member_integer(writer, "length", (int64_t)reject->length);
    }
    json_write_object_end(writer);
    if (!good) {
        ear_fail_memory(err, "a reject");
        return NULL;
    }
    return json_writer_text(writer, length, err);
}

const char *reject_write_body(const struct reject *reject, const char *id,
                              struct json_writer *writer, size_t *length, struct ear_error *err)
{
    const size_t head = reject->length < REJECT_BYTES_MAX ? reject->length : REJECT_BYTES_MAX;
    char at[INSTANT_SIZE];

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "id", id);
    json_member_string(writer, "at", instant_format(at, reject->at_us));
    if (!write_mended(writer, "bytes", reject->bytes, head)) {
        ear_fail_memory(err, "a reject");
        return NULL;
    }
    json_write_object_end(writer);
    return json_writer_text(writer, length, err);
}

const char *reject_split(char *code, size_t size, const char *message, const char *fallback)
{
    const size_t length = strspn(message, "abcdefghijklmnopqrstuvwxyz0123456789_");

    if (length == 0 || length >= size || strncmp(message + length, ": ", 2) != 0 ||
        message[0] < 'a') {
        (void)snprintf(code, size, "%s", fallback);
        return message;
    }
    memcpy(code, message, length);
    code[length] = '\0';
    return message + length + 2;
}
