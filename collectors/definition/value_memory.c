/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one record: all of it goes at once. */
#include "collectors/definition/value_internal.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 16 * 1024, RECORD_MAX = 4 * 1024 * 1024 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

/* The first block stays, further ones go with the record. */
struct value_memory {
    struct block *blocks; /* the newest first */
    size_t total;
};

static struct block *block_new(struct value_memory *memory, size_t size)
{
    struct block *block = NULL;

    if (memory->total + size > RECORD_MAX) {
        return NULL;
    }
    block = malloc(sizeof(*block) + size);
    if (block != NULL) {
        *block = (struct block){.next = memory->blocks, .size = size};
        memory->blocks = block;
        memory->total += size;
    }
    return block;
}

int value_memory_new(struct value_memory **out, struct ear_error *err)
{
    struct value_memory *memory = calloc(1, sizeof(*memory));

    if (memory == NULL || block_new(memory, BLOCK_SIZE) == NULL) {
        free(memory);
        return ear_fail_memory(err, "a record");
    }
    *out = memory;
    return 0;
}

void value_memory_empty(struct value_memory *memory)
{
    while (memory->blocks->next != NULL) {
        struct block *block = memory->blocks;

        memory->blocks = block->next;
        memory->total -= block->size;
        free(block);
    }
    memory->blocks->used = 0;
}

void value_memory_free(struct value_memory *memory)
{
    if (memory != NULL) {
        value_memory_empty(memory);
        free(memory->blocks);
        free(memory);
    }
}

char *value_take(struct value_memory *memory, size_t size)
{
    struct block *block = memory->blocks;
    char *place = NULL;

    if (block->size - block->used < size) {
        block = block_new(memory, size > BLOCK_SIZE ? size : BLOCK_SIZE);
        if (block == NULL) {
            return NULL;
        }
    }
    place = block->bytes + block->used;
    block->used += size;
    return place;
}

const char *value_keep(struct value_memory *memory, const char *text, size_t length)
{
    char *copy = value_take(memory, length + 1);

    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}
