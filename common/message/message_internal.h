/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_MESSAGE_MESSAGE_INTERNAL_H
#define EARSHOT_COMMON_MESSAGE_MESSAGE_INTERNAL_H

#include "common/message/message.h"

struct message_chunk;

struct message_arena {
    struct message_chunk *chunks; /* the one that is being filled first */
    struct message_chunk *spare;  /* kept from the last batch, empty, all of CHUNK_SIZE */
    size_t spare_count;
    size_t held, limit; /* bytes of all chunks but the spare ones */
    struct json *json;  /* reads every message; packed into the arena at once */
    struct json_writer *writer;
    bool unreadable; /* a field could not be read when it was asked for: memory ran out */
};

#endif
