/* SPDX-License-Identifier: Apache-2.0 */
/* How often each row was met: a table of hashes with open addressing, doubled while it may grow. */
#include "collectors/file/file_internal.h"

#include <stdlib.h>
#include <string.h>

enum { START = 1024, SLOTS_MAX = 4 * 1024 * 1024 }; /* of 12 bytes: 48 MiB at most */

struct ordinals {
    uint64_t *hashes; /* [slots]; 0: free */
    uint32_t *counts;
    size_t slots, used;
};

struct ordinals *ordinals_new(void)
{
    return calloc(1, sizeof(struct ordinals));
}

void ordinals_free(struct ordinals *ordinals)
{
    if (ordinals != NULL) {
        free(ordinals->hashes);
        free(ordinals->counts);
        free(ordinals);
    }
}

static size_t slot_of(const struct ordinals *ordinals, uint64_t hash)
{
    size_t slot = (size_t)hash & (ordinals->slots - 1);

    while (ordinals->hashes[slot] != 0 && ordinals->hashes[slot] != hash) {
        slot = (slot + 1) & (ordinals->slots - 1);
    }
    return slot;
}

static bool grow(struct ordinals *ordinals)
{
    struct ordinals bigger = {.slots = ordinals->slots == 0 ? START : ordinals->slots * 2};

    if (bigger.slots > SLOTS_MAX) {
        return false;
    }
    bigger.hashes = calloc(bigger.slots, sizeof *bigger.hashes);
    bigger.counts = calloc(bigger.slots, sizeof *bigger.counts);
    if (bigger.hashes == NULL || bigger.counts == NULL) {
        free(bigger.hashes);
        free(bigger.counts);
        return false;
    }
    for (size_t i = 0; i < ordinals->slots; i++) {
        if (ordinals->hashes[i] != 0) {
            size_t slot = slot_of(&bigger, ordinals->hashes[i]);

            bigger.hashes[slot] = ordinals->hashes[i];
            bigger.counts[slot] = ordinals->counts[i];
        }
    }
    bigger.used = ordinals->used;
    free(ordinals->hashes);
    free(ordinals->counts);
    *ordinals = bigger;
    return true;
}

uint32_t ordinals_count(struct ordinals *ordinals, const struct hash128 *row)
{
    uint64_t hash = 0;
    size_t slot = 0;

    memcpy(&hash, row->bytes, sizeof hash);
    hash |= 1; /* never the mark of a free slot */
    if (2 * ordinals->used >= ordinals->slots && !grow(ordinals) &&
        (ordinals->slots == 0 || 8 * ordinals->used >= 7 * ordinals->slots)) {
        return 0;
    }
    slot = slot_of(ordinals, hash);
    if (ordinals->hashes[slot] == 0) {
        ordinals->hashes[slot] = hash;
        ordinals->used++;
    }
    return ordinals->counts[slot]++;
}
