/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Open addressing with linear probing over pointers. A key that goes leaves no mark: the entries
 * behind it move up into the gap, so that a table that lives for months with keys that come and go
 * stays as fast as a new one.
 */

#include "common/stream/kafka_entries.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/hash.h"

enum { FIRST_CAPACITY = 64, SMALL_VALUE = 64, LOOKS_A_PUT = 4 };

static uint32_t hash_of(const char *key, size_t key_length)
{
    return (uint32_t)hash64_of(key, key_length, 0);
}

static size_t weight_of(const struct kafka_entry *entry)
{
    return sizeof *entry + entry->key_length + 2 + (entry->placed ? 0 : entry->value_length);
}

/* Where the key is, or where it would go. Capacity is not 0 and never full. */
static size_t slot_of(const struct kafka_entries *entries, const char *key, size_t key_length,
                      uint32_t hash)
{
    const size_t mask = entries->capacity - 1;
    size_t slot = hash & mask;

    while (entries->slots[slot] != NULL) {
        const struct kafka_entry *entry = entries->slots[slot];

        if (entry->hash == hash && entry->key_length == key_length &&
            memcmp(entry->bytes, key, key_length) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

static int grow(struct kafka_entries *entries)
{
    const size_t capacity = entries->capacity == 0 ? FIRST_CAPACITY : entries->capacity * 2;
    struct kafka_entry **slots;

    if ((entries->count + 1) * 4 <= entries->capacity * 3) {
        return 0;
    }
    slots = calloc(capacity, sizeof(struct kafka_entry *));
    if (slots == NULL) {
        return -1;
    }
    for (size_t i = 0; i < entries->capacity; i++) {
        struct kafka_entry *entry = entries->slots[i];

        if (entry != NULL) {
            size_t slot = entry->hash & (capacity - 1);

            while (slots[slot] != NULL) {
                slot = (slot + 1) & (capacity - 1);
            }
            slots[slot] = entry;
        }
    }
    entries->bytes += (capacity - entries->capacity) * sizeof(struct kafka_entry *);
    free(entries->slots);
    entries->slots = slots;
    entries->capacity = capacity;
    return 0;
}

static void take_out(struct kafka_entries *entries, size_t slot)
{
    const size_t mask = entries->capacity - 1;
    size_t gap = slot;

    entries->bytes -= weight_of(entries->slots[slot]);
    entries->count--;
    free(entries->slots[slot]);
    entries->slots[slot] = NULL;
    for (size_t next = (gap + 1) & mask; entries->slots[next] != NULL; next = (next + 1) & mask) {
        const size_t home = entries->slots[next]->hash & mask;

        /* It may move up to the gap unless its home lies behind the gap. */
        if (((next - home) & mask) >= ((next - gap) & mask)) {
            entries->slots[gap] = entries->slots[next];
            entries->slots[next] = NULL;
            gap = next;
        }
    }
}

static struct kafka_entry *entry_of(const struct kafka_entries *entries,
                                    const struct stream_message *message, uint32_t hash)
{
    const bool placed = message->value_length > SMALL_VALUE &&
                        entries->bytes + message->value_length > entries->budget;
    const size_t kept = placed ? 0 : message->value_length;
    struct kafka_entry *entry = malloc(sizeof *entry + message->key_length + kept + 2);

    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct kafka_entry){.offset = message->offset,
                                  .at_us = message->at_us,
                                  .hash = hash,
                                  .key_length = (uint32_t)message->key_length,
                                  .value_length = (uint32_t)message->value_length,
                                  .placed = placed};
    memcpy(entry->bytes, message->key, message->key_length);
    entry->bytes[message->key_length] = '\0';
    memcpy(entry->bytes + message->key_length + 1, message->value, kept);
    entry->bytes[message->key_length + 1 + kept] = '\0';
    return entry;
}

/* The hand goes round the slots; where it took one out another may have moved up. */
static void let_go(struct kafka_entries *entries)
{
    const int64_t oldest_us = entries->newest_us - entries->retention_us;

    for (int i = 0; i < LOOKS_A_PUT && entries->count > 0; i++) {
        const size_t slot = entries->hand & (entries->capacity - 1);

        if (entries->slots[slot] != NULL && entries->slots[slot]->at_us < oldest_us) {
            take_out(entries, slot);
        } else {
            entries->hand = slot + 1;
        }
    }
}

/* A writer whose clock is ahead makes nobody else's entries old. */
static int64_t not_ahead(int64_t at_us)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return at_us < now.tv_sec * INT64_C(1000000) ? at_us : now.tv_sec * INT64_C(1000000);
}

static void note_age(struct kafka_entries *entries, int64_t at_us)
{
    if (entries->retention_us > 0 && at_us > entries->newest_us) {
        at_us = not_ahead(at_us);
        entries->newest_us = at_us > entries->newest_us ? at_us : entries->newest_us;
    }
    if (entries->retention_us > 0 && entries->capacity > 0) {
        let_go(entries);
    }
}

int kafka_entries_put(struct kafka_entries *entries, const struct stream_message *message)
{
    const uint32_t hash = hash_of(message->key, message->key_length);
    struct kafka_entry *entry;
    size_t slot;

    if (message->value == NULL && entries->count == 0) {
        return 0;
    }
    if (grow(entries) != 0) {
        return -1;
    }
    note_age(entries, message->at_us);
    slot = slot_of(entries, message->key, message->key_length, hash);
    if (entries->slots[slot] != NULL && entries->slots[slot]->offset > message->offset) {
        return 0;
    }
    if (message->value == NULL) {
        if (entries->slots[slot] != NULL) {
            take_out(entries, slot);
        }
        return 0;
    }
    entry = entry_of(entries, message, hash);
    if (entry == NULL) {
        return -1;
    }
    if (entries->slots[slot] != NULL) {
        entries->bytes -= weight_of(entries->slots[slot]);
        free(entries->slots[slot]);
    } else {
        entries->count++;
    }
    entries->slots[slot] = entry;
    entries->bytes += weight_of(entry);
    return 0;
}

const struct kafka_entry *kafka_entries_find(const struct kafka_entries *entries, const char *key,
                                             size_t key_length)
{
    return entries->capacity == 0
               ? NULL
               : entries->slots[slot_of(entries, key, key_length, hash_of(key, key_length))];
}

void kafka_entries_clear(struct kafka_entries *entries)
{
    const size_t budget = entries->budget;
    const int64_t retention_us = entries->retention_us;

    for (size_t i = 0; i < entries->capacity; i++) {
        free(entries->slots[i]);
    }
    free(entries->slots);
    *entries = (struct kafka_entries){.budget = budget, .retention_us = retention_us};
}
