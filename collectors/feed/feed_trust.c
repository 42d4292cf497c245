/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers answer 304 that have something new: caches, and blogs whose feed changes without its
 * ETag. Now and then the page is asked for without a condition, soon at first, seldom once the
 * server was found to be honest, always once it was not. That costs no request more, only the
 * page's bytes.
 */
#include "collectors/feed/feed_internal.h"

#include <string.h>

#include "common/clock.h"

enum { DOUBT = 4, TRUST = 20 /* times `every` */ };

bool memory_distrusts(const struct feed_memory *memory, int64_t every_us, int64_t now_us)
{
    const int64_t good_us = every_us * (memory->honest ? TRUST : DOUBT);

    return memory->lies ||
           (memory->hash != 0 && good_us > 0 && now_us - memory->read_us >= good_us);
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return text == NULL ? seed * 31 + 1 : hash64_of(text, strlen(text), seed);
}

static uint64_t hash_entries(const struct feed_page *page)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < page->count; i++) {
        const struct feed_entry *entry = &page->entries[i];

        hash = hash_text(entry->guid, hash);
        hash = hash_text(entry->title, hash);
        hash = hash_text(entry->text, hash);
        hash = hash_text(entry->summary, hash);
    }
    return hash == 0 ? 1 : hash;
}

void memory_note_page(struct feed_memory *memory, const struct feed_page *page, const char *etag,
                      const char *last_modified, bool asked, int64_t now_us)
{
    const uint64_t hash = hash_entries(page);
    const uint64_t tag = hash_text(last_modified, hash_text(etag, 2));

    if (asked && memory->hash != 0 && (etag != NULL || last_modified != NULL)) {
        memory->lies = memory->lies || (memory->tag == tag && memory->hash != hash);
        memory->honest = !memory->lies;
    }
    memory->hash = hash;
    memory->tag = tag;
    memory->read_us = now_us;
}

struct hash128 page_digest(const struct page_source *source, const char *zone, bool comments)
{
    struct {
        struct hash128 bytes;
        uint64_t read_by;
    } both = {.bytes = hash128_of(source->bytes, source->length)};

    both.read_by = hash_text(EARSHOT_VERSION, comments ? 4 : 3);
    both.read_by = hash_text(zone, both.read_by);
    both.read_by = hash_text(source->type, both.read_by);
    both.read_by = hash_text(source->url, both.read_by);
    return hash128_of(&both, sizeof both);
}

bool memory_has_page(const struct feed_memory *memory, struct hash128 page, int64_t now_us)
{
    return memory->whole && memcmp(&memory->page, &page, sizeof page) == 0 &&
           now_us >= memory->whole_us && now_us - memory->whole_us < CLOCK_DAY_US;
}

void memory_note_same(struct feed_memory *memory, const char *etag, const char *last_modified,
                      bool asked, int64_t now_us)
{
    if (etag != NULL || last_modified != NULL) {
        memory->tag = hash_text(last_modified, hash_text(etag, 2));
        if (asked) {
            memory->honest = !memory->lies;
            memory->read_us = now_us;
        }
    }
}
