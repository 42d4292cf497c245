/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Objects are joined as text: a stage's few members are appended before the last brace, nothing is
 * parsed. Where both have a key, the old members of those names are left out; a scan over the top
 * level of both objects finds them.
 */
#include "processors/insight.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/message/message.h"

struct member {
    const char *key; /* in quotes, as it stands */
    size_t key_length;
    size_t length; /* of key, colon and value */
};

/* The end of the string that begins at `at` (a quote), one past its closing quote. */
static size_t string_end(const char *text, size_t at, size_t length)
{
    for (at++; at < length && text[at] != '"'; at++) {
        if (text[at] == '\\') {
            at++;
        }
    }
    return at < length ? at + 1 : length;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The next member of an object's text (valid JSON), from *at on (0 at first). False: no more. */
static bool next_member(struct member *out, const char *text, size_t length, size_t *at)
{
    size_t i = *at == 0 ? 1 : *at;
    size_t depth = 0, start = 0;

    while (i < length && (is_blank(text[i]) || text[i] == ',')) {
        i++;
    }
    if (i >= length || text[i] != '"') {
        return false;
    }
    start = i;
    i = string_end(text, i, length);
    *out = (struct member){.key = text + start, .key_length = i - start};
    for (; i < length; i++) {
        char byte = text[i];

        if (byte == '"') {
            i = string_end(text, i, length) - 1;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if (depth == 0 && (byte == ',' || byte == '}')) {
            break;
        } else if (byte == '}' || byte == ']') {
            depth--;
        }
    }
    out->length = i - start;
    *at = i;
    return true;
}

/* True if an object has the key of `wanted`. */
static bool has_key(const char *object, size_t length, const struct member *wanted)
{
    struct member member;
    size_t at = 0;

    if (memmem(object, length, wanted->key, wanted->key_length) == NULL) {
        return false; /* nearly always: each stage adds what no other has */
    }
    while (next_member(&member, object, length, &at)) {
        if (member.key_length == wanted->key_length &&
            memcmp(member.key, wanted->key, member.key_length) == 0) {
            return true;
        }
    }
    return false;
}

/* True if the objects have a key in common. */
static bool overlap(const char *old, size_t old_length, const char *members, size_t length)
{
    struct member member;
    size_t at = 0;

    while (next_member(&member, members, length, &at)) {
        if (has_key(old, old_length, &member)) {
            return true;
        }
    }
    return false;
}

/* Appends the members of `object` but those that `without` has too (NULL: all of them). */
static size_t copy_members(char *out, size_t used, const char *object, size_t length,
                           const char *without, size_t without_length)
{
    struct member member;
    size_t at = 0;

    while (next_member(&member, object, length, &at)) {
        if (without != NULL && has_key(without, without_length, &member)) {
            continue;
        }
        if (used > 1) {
            out[used++] = ',';
        }
        memcpy(out + used, member.key, member.length);
        used += member.length;
    }
    return used;
}

int insight_add(struct ear_message *message, const char *members, size_t length,
                struct ear_error *err)
{
    int result = -1;
    size_t old_length = 0, used = 1, at = 0;
    const char *old = message_raw(message, "insight", &old_length);
    struct member first;
    char *joined = NULL;

    if (old == NULL || old_length < 2 || old[0] != '{') {
        return message_set_written(message, "insight", members, length, err);
    }
    joined = malloc(old_length + length + 2);
    if (joined == NULL) {
        ear_fail_memory(err, "an insight");
        goto done;
    }
    joined[0] = '{';
    if (overlap(old, old_length, members, length)) {
        used = copy_members(joined, used, old, old_length, members, length);
    } else if (next_member(&first, old, old_length, &at)) {
        used = old_length - 1; /* all but the last brace */
        memcpy(joined, old, used);
    }
    used = copy_members(joined, used, members, length, NULL, 0);
    joined[used++] = '}';
    result = message_set_written(message, "insight", joined, used, err);

done:
    free(joined);
    return result;
}
