/* SPDX-License-Identifier: Apache-2.0 */
#include "common/message/message_internal.h"

#include <stdalign.h>
#include <stdlib.h>

/* Spare chunks save the heap and the kernel the work of giving a batch's memory out and taking it
 * back, batch by batch. Not under the address sanitizer, which is to see what outlives its batch.
 */
#ifdef __SANITIZE_ADDRESS__
static const bool spares = false;
#else
static const bool spares = true;
#endif

enum { CHUNK_SIZE = 64 * 1024, SPARE_MAX = 16, ALIGNMENT = alignof(max_align_t) };

struct message_chunk {
    struct message_chunk *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

int message_arena_new(struct message_arena **out, size_t limit_bytes, struct ear_error *err)
{
    int result = -1;
    struct message_arena *arena = calloc(1, sizeof *arena);

    if (arena == NULL) {
        ear_fail_memory(err, "a batch of messages");
        goto done;
    }
    arena->limit = limit_bytes;
    if (json_new(&arena->json, err) != 0 ||
        json_writer_new(&arena->writer, MESSAGE_MAX, err) != 0) {
        goto done;
    }
    *out = arena;
    arena = NULL;
    result = 0;

done:
    message_arena_free(arena);
    return result;
}

static void free_chunks(struct message_chunk *chunks)
{
    while (chunks != NULL) {
        struct message_chunk *next = chunks->next;

        free(chunks);
        chunks = next;
    }
}

void message_arena_free(struct message_arena *arena)
{
    if (arena != NULL) {
        free_chunks(arena->chunks);
        free_chunks(arena->spare);
        json_free(arena->json);
        json_writer_free(arena->writer);
        free(arena);
    }
}

void message_arena_reset(struct message_arena *arena)
{
    while (arena->chunks != NULL) {
        struct message_chunk *next = arena->chunks->next;

        if (spares && arena->chunks->size == CHUNK_SIZE && arena->spare_count < SPARE_MAX) {
            arena->chunks->next = arena->spare;
            arena->spare = arena->chunks;
            arena->spare_count++;
        } else {
            free(arena->chunks);
        }
        arena->chunks = next;
    }
    arena->held = 0;
    arena->unreadable = false;
}

static struct message_chunk *add_chunk(struct message_arena *arena, size_t size)
{
    struct message_chunk *chunk = NULL;

    if (size > arena->limit - arena->held) {
        return NULL;
    }
    if (size == CHUNK_SIZE && arena->spare != NULL) {
        chunk = arena->spare;
        arena->spare = chunk->next;
        arena->spare_count--;
    } else {
        chunk = malloc(sizeof *chunk + size);
        if (chunk == NULL) {
            return NULL;
        }
    }
    *chunk = (struct message_chunk){.size = size, .next = arena->chunks};
    arena->chunks = chunk;
    arena->held += size;
    return chunk;
}

void *message_arena_take(struct message_arena *arena, size_t size, struct ear_error *err)
{
    struct message_chunk *chunk = arena->chunks;
    void *memory = NULL;

    size = size < SIZE_MAX / 2 ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : size;
    if (chunk == NULL || size > chunk->size - chunk->used) {
        chunk =
            size <= arena->limit ? add_chunk(arena, size > CHUNK_SIZE ? size : CHUNK_SIZE) : NULL;
        if (chunk == NULL && size < CHUNK_SIZE) {
            chunk = add_chunk(arena, size); /* what is left below the limit */
        }
    }
    if (chunk == NULL) {
        ear_fail(err, EAR_FATAL,
                 "no memory left for a batch of messages (%zu of %zu bytes are taken); make the "
                 "batches smaller",
                 arena->held, arena->limit);
        return NULL;
    }
    memory = chunk->bytes + chunk->used;
    chunk->used += size;
    return memory;
}
