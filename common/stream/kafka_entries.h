/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_KAFKA_ENTRIES_H
#define EARSHOT_COMMON_STREAM_KAFKA_ENTRIES_H

/*
 * The keys of one partition of a compacted topic, in memory: a hash map of key to latest message,
 * one allocation a key. How many keys there are is for the data to say; what their values weigh is
 * bounded: beyond a budget an entry keeps only the place of its message in the log. What is older
 * than its topic keeps messages goes a little with each put, so that a table that lives for months
 * holds no more than the log does. Knows nothing of Kafka. Threads: its owner's lock.
 */

#include "common/stream/stream.h"

struct kafka_entry {
    int64_t offset; /* of the message that this is */
    int64_t at_us;
    uint32_t hash;
    uint32_t key_length;
    uint32_t value_length;
    bool placed;  /* the value is not here: read it at offset */
    char bytes[]; /* key, NUL, value, NUL */
};

struct kafka_entries {
    struct kafka_entry **slots; /* [capacity], NULL: free; linear probing */
    size_t capacity;            /* a power of two, or 0 */
    size_t count;
    size_t bytes;         /* all that is allocated */
    size_t budget;        /* beyond it values stay in the log; SIZE_MAX: never */
    int64_t retention_us; /* entries this much older than the newest go; 0: never */
    int64_t newest_us;    /* the youngest message met; 0: none */
    size_t hand;          /* the slot that is looked at next for its age */
};

/* Takes a message over: the latest of its key from here on, or with no value the end of its key.
 * One that is older than what is held changes nothing. -1: out of memory, nothing changed. */
EAR_MUST_CHECK
int kafka_entries_put(struct kafka_entries *entries, const struct stream_message *message);

/* The entry of a key, or NULL; lives until the next put or clear. */
const struct kafka_entry *kafka_entries_find(const struct kafka_entries *entries, const char *key,
                                             size_t key_length);

static inline const char *kafka_entry_value(const struct kafka_entry *entry)
{
    return entry->bytes + entry->key_length + 1;
}

/* Forgets all keys and gives the memory back; budget and retention stay. */
void kafka_entries_clear(struct kafka_entries *entries);

#endif
