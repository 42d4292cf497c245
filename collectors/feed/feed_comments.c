/* SPDX-License-Identifier: Apache-2.0 */
/* Which comment feeds a site and its entries name, and which of them is to be read next. */
#include "collectors/feed/feed_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

static bool is_of_site(const struct feed_comments *comments)
{
    return comments->parent[0] == '\0';
}

static struct feed_comments *find_comments(struct feed_memory *memory, const char *url)
{
    for (size_t i = 0; memory->comments != NULL && i < memory->comments_count; i++) {
        if (strcmp(memory->comments[i].url, url) == 0) {
            return &memory->comments[i];
        }
    }
    return NULL;
}

/* Room for one more: what the page does not name any longer goes first. NULL: all are named. */
static struct feed_comments *make_room(struct feed_memory *memory)
{
    struct feed_comments *all = memory->comments;

    if (memory->comments_count < FEED_COMMENTS_MAX) {
        return &all[memory->comments_count++];
    }
    for (size_t i = 0; i < memory->comments_count; i++) {
        if (!all[i].present) {
            comments_clear(&all[i]);
            return &all[i];
        }
    }
    return NULL;
}

static void forget_comments(struct feed_memory *memory, struct feed_comments *comments)
{
    comments_clear(comments);
    *comments = memory->comments[--memory->comments_count];
}

static int open_comments(struct feed_memory *memory, struct ear_error *err)
{
    struct feed_comments *all = realloc(memory->comments, FEED_COMMENTS_MAX * sizeof *all);

    if (all == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    memory->comments = all;
    return 0;
}

static int add_comments(struct feed_memory *memory, struct feed_comments *comments, const char *url,
                        const char *parent, struct ear_error *err)
{
    *comments =
        (struct feed_comments){.url = strdup(url), .parent = strdup(parent), .read_count = -2};
    if (comments->url == NULL || comments->parent == NULL) {
        forget_comments(memory, comments);
        return ear_fail_memory(err, "a feed");
    }
    return 0;
}

int memory_note_site_comments(struct feed_memory *memory, const char *url, struct ear_error *err)
{
    struct feed_comments *comments = NULL;

    for (size_t i = memory->comments_count; i > 0; i--) { /* its place may have changed */
        if (is_of_site(&memory->comments[i - 1]) &&
            (url == NULL || strcmp(memory->comments[i - 1].url, url) != 0)) {
            forget_comments(memory, &memory->comments[i - 1]);
        }
    }
    if (url == NULL || find_comments(memory, url) != NULL) {
        return 0;
    }
    if (open_comments(memory, err) != 0) {
        return -1;
    }
    comments = make_room(memory);
    if (comments == NULL) {
        return 0;
    }
    if (add_comments(memory, comments, url, "", err) != 0) {
        return -1;
    }
    comments->count = -1;
    comments->present = true;
    return 0;
}

int memory_note_comments(struct feed_memory *memory, const struct feed_page *page,
                         struct ear_error *err)
{
    if (open_comments(memory, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < memory->comments_count; i++) {
        memory->comments[i].present = is_of_site(&memory->comments[i]);
    }
    for (size_t i = 0; i < page->count; i++) {
        const struct feed_entry *entry = &page->entries[i];
        struct feed_comments *comments = NULL;

        if (entry->repeated || entry->comments_feed == NULL || entry->comments == 0 ||
            strlen(entry->guid) > FEED_GUID_MAX) {
            continue;
        }
        comments = find_comments(memory, entry->comments_feed);
        if (comments == NULL) {
            comments = make_room(memory);
            if (comments == NULL) {
                continue; /* next time, when others are gone from the page */
            }
            if (add_comments(memory, comments, entry->comments_feed, entry->guid, err) != 0) {
                return -1;
            }
        }
        comments->count = entry->comments;
        comments->present = true;
    }
    return 0;
}

struct feed_comments *memory_next_comments(struct feed_memory *memory, bool counted, int64_t now_us)
{
    struct feed_comments *next = NULL;

    for (size_t i = 0; i < memory->comments_count; i++) {
        struct feed_comments *comments = &memory->comments[i];
        bool due = !counted || comments->count < 0 || comments->count != comments->read_count ||
                   now_us - comments->asked_us > CLOCK_DAY_US;

        if (comments->present && comments->asked_us != now_us && due &&
            (next == NULL || comments->asked_us < next->asked_us)) {
            next = comments;
        }
    }
    return next;
}
