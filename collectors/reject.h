/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_REJECT_H
#define EARSHOT_COLLECTORS_REJECT_H

/*
 * What a collector could not handle, as a message of the topic `rejects`: with the code of
 * reliability.md, a reason in words, and the head of the bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/hash.h"

struct json_writer;

enum { REJECT_BYTES_MAX = 64 * 1024 };

struct reject {
    const char *source, *item, *code, *reason;
    const char *bytes; /* [length], as they came; NULL: none */
    size_t length;
    const char *cursor; /* [cursor_length] JSON: where the source stood; NULL: nowhere yet */
    size_t cursor_length;
    int64_t at_us;
    bool once; /* nobody reads it again by himself */
};

/* What tells one reject from another: its bytes, and where it stood if that is part of what it is
 * (a line of a file is; the third entry of a feed is the fourth tomorrow). */
struct hash128 reject_hash(const struct reject *reject, bool by_place);

/* Code and reason: when these change, it is worth telling again. */
struct hash128 reject_reason_hash(const struct reject *reject);

/* What a person can do about what has this code. */
const char *reject_what_to_do(const char *code, bool once);

/* The message, without the bytes; the writer's until it is used again. NULL: EAR_REJECT
 * "too_large", EAR_FATAL. */
const char *reject_write(const struct reject *reject, const char *id, struct json_writer *writer,
                         size_t *length, struct ear_error *err);

/* The bytes of the item (there must be some), for the topic `bodies`, which keeps them a day and no
 * longer: they may hold what somebody wants forgotten. As above. */
const char *reject_write_body(const struct reject *reject, const char *id,
                              struct json_writer *writer, size_t *length, struct ear_error *err);

/* Splits "code: reason" (otherwise the code is `fallback`). Writes the code, returns the reason
 * (within message). */
const char *reject_split(char *code, size_t size, const char *message, const char *fallback);

#endif
