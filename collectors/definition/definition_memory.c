/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept between polls, beside the cursors proper: which value a record had when its children
 * were last asked for, and which posts a list showed, so that one that is gone is missed. Both are
 * bounded; what was not used for longest is forgotten first, which costs a request, never a post.
 * How it becomes JSON: definition_memory_read.c and …_write.c.
 */
#include "collectors/definition/engine_memory.h"

#include <stdlib.h>
#include <string.h>

void walk_clear(struct walk *walk)
{
    free(walk->base_text);
    free(walk->text);
    free(walk->link);
    free(walk->page);
    *walk = (struct walk){.since_us = INT64_MIN, .high_us = INT64_MIN, .low_us = INT64_MIN};
}

static void clear_post(struct kept_post *post)
{
    free(post->id);
    free(post->host);
    free(post->url);
    free(post->thread);
    free(post->key);
}

static void clear_list(struct kept_list *list)
{
    for (size_t i = 0; i < list->post_count; i++) {
        clear_post(&list->posts[i]);
    }
    free(list->posts);
    free(list->at_text);
    free(list->link);
    free(list->etag);
    free(list->last_modified);
    walk_clear(&list->walk);
    walk_clear(&list->past);
}

void kept_clear(struct kept *kept)
{
    for (size_t i = 0; i < kept->list_count; i++) {
        clear_list(&kept->lists[i]);
    }
    free(kept->lists);
    free(kept->changes);
    free(kept->slots);
    free(kept->first);
    *kept = (struct kept){0};
}

int kept_set(char **field, const char *text, size_t max, struct ear_error *err)
{
    char *copy = NULL;

    if (text != NULL && strlen(text) <= max) {
        copy = strdup(text);
        if (copy == NULL) {
            return ear_fail_memory(err, "a cursor");
        }
    }
    free(*field);
    *field = copy;
    return 0;
}

/* --- what changed --- */

static void fill_slot(struct kept *kept, size_t place)
{
    size_t at = kept->changes[place].id % KEPT_SLOTS;

    while (kept->slots[at] != 0) {
        at = (at + 1) % KEPT_SLOTS;
    }
    kept->slots[at] = (uint16_t)(place + 1);
}

/* False: out of memory, then all are walked through. */
static bool fill_slots(struct kept *kept)
{
    if (kept->slots == NULL) {
        kept->slots = malloc(KEPT_SLOTS * sizeof(*kept->slots));
        if (kept->slots == NULL) {
            return false;
        }
    }
    memset(kept->slots, 0, KEPT_SLOTS * sizeof(*kept->slots));
    for (size_t i = 0; i < kept->change_count; i++) {
        fill_slot(kept, i);
    }
    kept->slotted = true;
    return true;
}

static struct kept_change *find_change(struct kept *kept, uint64_t id)
{
    if (kept->slotted || (kept->change_count > 0 && fill_slots(kept))) {
        size_t at = id % KEPT_SLOTS;

        while (kept->slots[at] != 0 && kept->changes[kept->slots[at] - 1].id != id) {
            at = (at + 1) % KEPT_SLOTS;
        }
        return kept->slots[at] == 0 ? NULL : &kept->changes[kept->slots[at] - 1];
    }
    for (size_t i = 0; i < kept->change_count; i++) {
        if (kept->changes[i].id == id) {
            return &kept->changes[i];
        }
    }
    return NULL;
}

bool kept_differs(struct kept *kept, uint64_t id, uint64_t value)
{
    struct kept_change *change = find_change(kept, id);

    if (change == NULL) {
        return true;
    }
    change->used = ++kept->clock;
    return change->value != value;
}

static struct kept_change *least_used(const struct kept *kept)
{
    struct kept_change *least = &kept->changes[0];

    for (size_t i = 1; i < kept->change_count; i++) {
        least = kept->changes[i].used < least->used ? &kept->changes[i] : least;
    }
    return least;
}

static struct kept_change *add_change(struct kept *kept, struct ear_error *err)
{
    if (kept->change_count == KEPT_CHANGED_MAX) {
        kept->slotted = false;
        return least_used(kept);
    }
    if (kept->change_count == kept->change_capacity) {
        const size_t capacity = kept->change_capacity == 0 ? 32 : kept->change_capacity * 2;
        struct kept_change *changes = realloc(kept->changes, capacity * sizeof(*changes));

        if (changes == NULL) {
            ear_fail_memory(err, "what changed");
            return NULL;
        }
        kept->changes = changes;
        kept->change_capacity = capacity;
    }
    return &kept->changes[kept->change_count++];
}

int kept_note(struct kept *kept, uint64_t id, uint64_t value, struct ear_error *err)
{
    struct kept_change *change = find_change(kept, id);
    const bool is_new = change == NULL;

    if (change == NULL) {
        change = add_change(kept, err);
        if (change == NULL) {
            return -1;
        }
    }
    *change = (struct kept_change){.id = id, .value = value, .used = ++kept->clock};
    if (is_new && kept->slotted) {
        fill_slot(kept, (size_t)(change - kept->changes));
    }
    return 0;
}

/* --- what was shown --- */

static bool is_same(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

void kept_drop_post(struct kept_list *list, size_t at)
{
    clear_post(&list->posts[at]);
    list->post_count--;
    memmove(list->posts + at, list->posts + at + 1,
            (list->post_count - at) * sizeof(list->posts[0]));
}

/* Its place by time, after its equals. */
static size_t place_of(const struct kept_list *list, int64_t created_us)
{
    size_t at = list->post_count;

    while (at > 0 && list->posts[at - 1].created_us > created_us) {
        at--;
    }
    return at;
}

static int make_room(struct kept_list *list, struct ear_error *err)
{
    if (list->post_count == list->post_capacity) {
        const size_t capacity = list->post_capacity == 0 ? 16 : list->post_capacity * 2;
        struct kept_post *posts = realloc(list->posts, capacity * sizeof(*posts));

        if (posts == NULL) {
            return ear_fail_memory(err, "what was shown");
        }
        list->posts = posts;
        list->post_capacity = capacity;
    }
    return 0;
}

int kept_show(struct kept_list *list, const struct source_record *record, const char *key,
              uint64_t of, struct ear_error *err)
{
    struct kept_post post = {
        .created_us = record->created_us, .of = of, .listed = of == 0, .shown = true};
    size_t at = 0;

    if (strlen(record->native_id) > KEPT_NAME_MAX) {
        return 0;
    }
    for (size_t i = list->post_count; i > 0; i--) {
        struct kept_post *each = &list->posts[i - 1];

        if (strcmp(each->id, record->native_id) == 0 && is_same(each->host, record->host)) {
            each->of = of != 0 ? of : each->of;
            each->listed = each->listed || of == 0;
            each->shown = true;
            each->missing = false;
            each->asked = 0;
            return 0;
        }
    }
    if (list->post_count == KEPT_SHOWN_MAX) {
        if (record->created_us < list->posts[0].created_us) {
            return 0; /* the oldest go first, and this one is */
        }
        kept_drop_post(list, 0);
    }
    if (make_room(list, err) != 0 ||
        kept_set(&post.id, record->native_id, KEPT_NAME_MAX, err) != 0 ||
        kept_set(&post.host, record->host, KEPT_NAME_MAX, err) != 0 ||
        kept_set(&post.url, record->url, KEPT_NAME_MAX, err) != 0 ||
        kept_set(&post.thread, record->thread, KEPT_NAME_MAX, err) != 0 ||
        kept_set(&post.key, key, KEPT_NAME_MAX, err) != 0) {
        clear_post(&post);
        return -1;
    }
    at = place_of(list, post.created_us);
    memmove(list->posts + at + 1, list->posts + at,
            (list->post_count - at) * sizeof(list->posts[0]));
    list->posts[at] = post;
    list->post_count++;
    return 0;
}

/* --- an order that only the server knows --- */

static uint64_t short_hash(const char *text)
{
    return hash64_of(text, strlen(text), 0) >> 16;
}

bool kept_knows(const struct kept_list *list, const char *text)
{
    const uint64_t hash = short_hash(text);

    for (size_t i = 0; i < list->recent_count; i++) {
        if (list->recent[i] == hash) {
            return true;
        }
    }
    return false;
}

void kept_note_text(struct walk *walk, const char *text)
{
    if (walk->recent_count < KEPT_RECENT_MAX) {
        walk->recent[walk->recent_count++] = short_hash(text);
    }
}

void kept_keep_texts(struct kept_list *list, const struct walk *walk)
{
    uint64_t merged[KEPT_RECENT_MAX];
    size_t filled = walk->recent_count;

    memcpy(merged, walk->recent, filled * sizeof(merged[0]));
    for (size_t i = 0; i < list->recent_count && filled < KEPT_RECENT_MAX; i++) {
        bool there = false;

        for (size_t k = 0; k < filled && !there; k++) {
            there = merged[k] == list->recent[i];
        }
        if (!there) {
            merged[filled++] = list->recent[i];
        }
    }
    memcpy(list->recent, merged, filled * sizeof(merged[0]));
    list->recent_count = filled;
}
