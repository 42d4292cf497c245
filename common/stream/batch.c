/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A batch: an array of messages whose keys and values lie in chunks. A chunk never moves, so the
 * pointers stay; emptying keeps the chunks, so that a reader at work allocates nothing.
 */

#include <stdlib.h>
#include <string.h>

#include "common/stream/stream_internal.h"

enum { CHUNK_BYTES = 512 * 1024, KEPT_CHUNKS = 64 };

struct chunk {
    struct chunk *next;
    size_t size;
    size_t used;
    char bytes[];
};

struct batch_memory {
    struct chunk *first;
    struct chunk *last; /* the one that is being filled; those after it are empty */
    size_t message_room;
};

static struct batch_memory *memory_of(struct stream_batch *batch)
{
    if (batch->memory == NULL) {
        batch->memory = calloc(1, sizeof(struct batch_memory));
    }
    return batch->memory;
}

static void free_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void batch_reset(struct stream_batch *batch)
{
    struct batch_memory *memory = batch->memory;
    size_t kept = 0;

    batch->count = 0;
    batch->bytes = 0;
    if (memory == NULL) {
        return;
    }
    for (struct chunk *chunk = memory->first; chunk != NULL; chunk = chunk->next) {
        chunk->used = 0;
        if (++kept == KEPT_CHUNKS) {
            free_chunks(chunk->next);
            chunk->next = NULL;
        }
    }
    memory->last = memory->first;
}

void stream_batch_clear(struct stream_batch *batch)
{
    struct batch_memory *memory = batch->memory;

    if (memory != NULL) {
        free_chunks(memory->first);
    }
    free(memory);
    free(batch->messages);
    *batch = (struct stream_batch){0};
}

static struct chunk *add_chunk(struct batch_memory *memory, size_t needed)
{
    size_t size = needed > CHUNK_BYTES ? needed : CHUNK_BYTES;
    struct chunk *chunk = malloc(sizeof *chunk + size);

    if (chunk == NULL) {
        return NULL;
    }
    chunk->size = size;
    chunk->used = 0;
    if (memory->last == NULL) {
        chunk->next = NULL;
        memory->first = chunk;
    } else {
        chunk->next = memory->last->next;
        memory->last->next = chunk;
    }
    memory->last = chunk;
    return chunk;
}

static char *take(struct batch_memory *memory, size_t needed)
{
    struct chunk *chunk = memory->last;
    char *bytes;

    if (chunk != NULL && chunk->size - chunk->used < needed && chunk->next != NULL) {
        chunk = memory->last = chunk->next;
    }
    if (chunk == NULL || chunk->size - chunk->used < needed) {
        chunk = add_chunk(memory, needed);
        if (chunk == NULL) {
            return NULL;
        }
    }
    bytes = chunk->bytes + chunk->used;
    chunk->used += needed;
    return bytes;
}

static int make_room(struct stream_batch *batch, struct batch_memory *memory)
{
    size_t room = memory->message_room == 0 ? 64 : memory->message_room * 2;
    struct stream_message *grown;

    if (batch->count < memory->message_room) {
        return 0;
    }
    grown = realloc(batch->messages, room * sizeof *grown);
    if (grown == NULL) {
        return -1;
    }
    batch->messages = grown;
    memory->message_room = room;
    return 0;
}

int batch_add(struct stream_batch *batch, const struct stream_message *message,
              struct ear_error *err)
{
    struct batch_memory *memory = memory_of(batch);
    struct stream_message *copy;
    char *bytes;

    if (memory == NULL || make_room(batch, memory) != 0) {
        return ear_fail_memory(err, "a batch of messages");
    }
    bytes = take(memory, message->key_length + message->value_length + 2);
    if (bytes == NULL) {
        return ear_fail_memory(err, "the messages of a batch");
    }
    copy = &batch->messages[batch->count++];
    *copy = *message;
    copy->key = bytes;
    if (message->key_length > 0) {
        memcpy(bytes, message->key, message->key_length);
    }
    bytes += message->key_length;
    *bytes++ = '\0';
    if (message->value != NULL) {
        memcpy(bytes, message->value, message->value_length);
        copy->value = bytes;
    }
    bytes[message->value_length] = '\0';
    batch->bytes += message->key_length + message->value_length;
    return 0;
}
