/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading ahead. On a shared store every question is a journey to the server, so what stands
 * against the posts of a batch, and what is stored of them, is asked for all of them at once,
 * before the first is applied. That is sound because nobody else writes of these posts until the
 * transaction ends: their partitions are ours (the positions moved first), stored rows are held,
 * and a batch with decisions or things forgotten, which may concern any post, runs alone and reads
 * nothing ahead. An answer is good for one message: whatever comes of the same post later in the
 * batch asks again.
 */
#include <stdlib.h>
#include <string.h>

#include "sinks/apply/apply_internal.h"

enum { SLOTS = 4096, POSTS_MAX = SLOTS / 2, AUTHORS_MAX = 4096 }; /* slots is a power of two */

struct slot {
    struct hash128 hash;
    struct known known;
    bool used; /* somebody is in it */
    bool told; /* and has been given out */
};

struct ahead {
    struct slot slots[SLOTS];
    size_t count;
    struct hash128 hashes[POSTS_MAX];
    struct hash128 authors[AUTHORS_MAX]; /* forgotten, sorted */
    size_t author_count;
    bool knows_authors; /* all that are forgotten are in there */
};

static size_t place_of(const struct hash128 *hash)
{
    uint64_t bits = 0;

    memcpy(&bits, hash->bytes, sizeof bits);
    return (size_t)(bits % SLOTS);
}

/* The slot of a hash, or the empty one where it belongs. */
static struct slot *slot_of(struct ahead *ahead, const struct hash128 *hash)
{
    size_t at = place_of(hash);

    while (ahead->slots[at].used && memcmp(&ahead->slots[at].hash, hash, sizeof *hash) != 0) {
        at = (at + 1) % SLOTS;
    }
    return &ahead->slots[at];
}

void ahead_clear(struct ahead *ahead)
{
    for (size_t i = 0; ahead != NULL && ahead->count > 0 && i < SLOTS; i++) {
        if (ahead->slots[i].used) {
            known_clear(&ahead->slots[i].known);
            ahead->slots[i] = (struct slot){.used = false};
        }
    }
    if (ahead != NULL) {
        ahead->count = 0;
        ahead->knows_authors = false;
    }
}

void ahead_free(struct ahead *ahead)
{
    ahead_clear(ahead);
    free(ahead);
}

/* The slot that a row of an answer is about: its first column is the hash. */
static struct slot *slot_of_row(struct ahead *ahead, const struct store_rows *rows)
{
    struct hash128 hash;
    size_t size = 0;
    const void *bytes = store_get_blob(rows, 0, &size);

    if (size != sizeof hash) {
        return NULL;
    }
    memcpy(&hash, bytes, sizeof hash);
    return slot_of(ahead, &hash);
}

static int ask(struct ahead *ahead, struct apply *apply, enum store_query query,
               int (*fill)(struct known *known, const struct store_rows *rows, int column,
                           struct ear_error *err),
               struct ear_error *err)
{
    struct store_value values[] = {
        store_blob(ahead->hashes, ahead->count * sizeof ahead->hashes[0])};
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, apply->store, query, values, 1, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        struct slot *slot = slot_of_row(ahead, rows);

        if (slot != NULL && slot->used && fill(&slot->known, rows, 1, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there;
}

/* --- authors that are forgotten --- */

static int compare_hashes(const void *one, const void *other)
{
    return memcmp(one, other, sizeof(struct hash128));
}

static int read_authors(struct ahead *ahead, struct apply *apply, struct ear_error *err)
{
    struct store_value values[] = {store_integer(AUTHORS_MAX)};
    struct store_rows *rows = NULL;
    int there = 0;

    ahead->author_count = 0;
    if (store_select(&rows, apply->store, QUERY_FORGOTTEN_AUTHORS, values, 1, err) != 0) {
        return -1;
    }
    while (ahead->author_count < AUTHORS_MAX && (there = store_next(rows, err)) == 1) {
        size_t size = 0;
        const void *bytes = store_get_blob(rows, 0, &size);

        if (size == sizeof ahead->authors[0]) {
            memcpy(&ahead->authors[ahead->author_count++], bytes, size);
        }
    }
    store_rows_end(rows);
    qsort(ahead->authors, ahead->author_count, sizeof ahead->authors[0], compare_hashes);
    ahead->knows_authors = ahead->author_count < AUTHORS_MAX;
    return there < 0 ? -1 : 0;
}

/* --- a batch --- */

static void collect(struct ahead *ahead, const struct stream_message messages[], size_t count)
{
    for (size_t i = 0; i < count && ahead->count < POSTS_MAX; i++) {
        struct hash128 hash;
        struct slot *slot = NULL;

        if (strcmp(messages[i].topic, "insights") != 0 || messages[i].value == NULL) {
            continue;
        }
        hash = hash128_of(messages[i].key, messages[i].key_length);
        slot = slot_of(ahead, &hash);
        if (!slot->used) {
            *slot = (struct slot){.hash = hash, .used = true};
            ahead->hashes[ahead->count++] = hash;
        }
    }
}

int ahead_read(struct apply *apply, const struct stream_message messages[], size_t count,
               struct ear_error *err)
{
    if (!store_shared(apply->store) || apply->alone) {
        return 0;
    }
    if (apply->ahead == NULL) {
        apply->ahead = calloc(1, sizeof *apply->ahead);
        if (apply->ahead == NULL) {
            return ear_fail_memory(err, "what is known of a batch");
        }
    }
    collect(apply->ahead, messages, count);
    if (apply->ahead->count == 0) {
        return 0;
    }
    if (read_authors(apply->ahead, apply, err) != 0 ||
        ask(apply->ahead, apply, QUERY_POST_KNOWN_MANY, known_fill_against, err) != 0) {
        return -1;
    }
    return ask(apply->ahead, apply, QUERY_INSIGHT_HOLD_MANY, known_fill_stored, err);
}

bool ahead_take(struct known *known, struct apply *apply, const struct hash128 *hash,
                const struct hash128 *author)
{
    struct ahead *ahead = apply->ahead;
    struct slot *slot = ahead == NULL ? NULL : slot_of(ahead, hash);

    if (slot == NULL || !slot->used || slot->told || (author != NULL && !ahead->knows_authors)) {
        return false;
    }
    slot->told = true;
    *known = slot->known;
    slot->known = (struct known){0};
    if (author != NULL && bsearch(author, ahead->authors, ahead->author_count,
                                  sizeof ahead->authors[0], compare_hashes) != NULL) {
        known->forgotten = true;
    }
    return true;
}
