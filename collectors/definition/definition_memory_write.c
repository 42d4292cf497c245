/* SPDX-License-Identifier: Apache-2.0 */
/* The cursor of a definition's source, written: definition_memory_read.c says what it holds. */
#include "collectors/definition/engine_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = KEPT_DIGITS;

static char *pack(char *at, uint64_t value, int characters)
{
    for (int i = characters - 1; i >= 0; i--) {
        *at++ = digits[(value >> (6 * i)) & 63];
    }
    return at;
}

static void member_boolean(struct json_writer *writer, const char *name, bool value)
{
    if (value) {
        json_write_key(writer, name);
        json_write_boolean(writer, true);
    }
}

static void member_number(struct json_writer *writer, const char *name, int64_t value,
                          int64_t otherwise)
{
    if (value != otherwise) {
        json_member_integer(writer, name, value);
    }
}

static void write_recent(struct json_writer *writer, const uint64_t recent[], size_t count)
{
    char text[KEPT_RECENT_MAX * KEPT_ID_CHARACTERS + 1];
    char *at = text;

    for (size_t i = 0; i < count; i++) {
        at = pack(at, recent[i], KEPT_ID_CHARACTERS);
    }
    *at = '\0';
    json_member_string(writer, "recent", count == 0 ? NULL : text);
}

static void write_walk(struct json_writer *writer, const char *name, const struct walk *walk)
{
    if (walk->kind == WALK_NONE) {
        return;
    }
    json_write_key(writer, name);
    json_write_object(writer);
    json_member_integer(writer, "kind", walk->kind);
    member_boolean(writer, "down", walk->down);
    member_boolean(writer, "first", walk->first);
    if (walk->has_floor) {
        json_member_integer(writer, "floor", walk->floor);
    }
    if (walk->has_floor_us) {
        json_member_integer(writer, "floor_us", walk->floor_us);
    }
    if (walk->has_base) {
        json_member_integer(writer, "base", walk->base);
    }
    if (walk->has_high) {
        json_member_integer(writer, "high", walk->high);
    }
    if (walk->has_low) {
        json_member_integer(writer, "low", walk->low);
    }
    json_member_string(writer, "base_text", walk->base_text);
    member_number(writer, "since", walk->since_us, INT64_MIN);
    member_number(writer, "high_us", walk->high_us, INT64_MIN);
    member_number(writer, "low_us", walk->low_us, INT64_MIN);
    json_member_string(writer, "text", walk->text);
    json_member_string(writer, "link", walk->link);
    json_member_string(writer, "page", walk->page);
    member_number(writer, "pages", walk->pages, 0);
    member_number(writer, "old", walk->old, 0);
    json_member_integer(writer, "began", walk->began_us);
    member_number(writer, "revisits", (int64_t)walk->revisits, 0);
    member_boolean(writer, "doubted", walk->doubted);
    member_boolean(writer, "cut", walk->cut);
    write_recent(writer, walk->recent, walk->recent_count);
    member_number(writer, "stuck", (int64_t)walk->stuck, 0);
    member_number(writer, "stuck_many", walk->stuck_many, 0);
    json_write_object_end(writer);
}

static void write_posts(struct json_writer *writer, const struct kept_list *list)
{
    if (list->post_count == 0) {
        return;
    }
    json_write_key(writer, "posts");
    json_write_array(writer);
    for (size_t i = 0; i < list->post_count; i++) {
        const struct kept_post *post = &list->posts[i];

        json_write_array(writer);
        json_write_string(writer, post->id);
        json_write_string(writer, post->host);
        json_write_string(writer, post->url);
        json_write_string(writer, post->thread);
        if (post->created_us == INT64_MIN) {
            json_write_null(writer);
        } else {
            json_write_integer(writer, post->created_us);
        }
        json_write_boolean(writer, post->shown);
        json_write_boolean(writer, post->missing);
        json_write_integer(writer, post->asked);
        if (post->key != NULL || post->of != 0) {
            json_write_string(writer, post->key);
        }
        if (post->of != 0) {
            json_write_integer(writer, (int64_t)post->of);
            json_write_boolean(writer, post->listed);
        }
        json_write_array_end(writer);
    }
    json_write_array_end(writer);
}

static void write_page(struct json_writer *writer, const struct kept_list *list)
{
    if (list->page_url == 0) {
        return;
    }
    json_write_key(writer, "page");
    json_write_object(writer);
    json_member_string(writer, "etag", list->etag);
    json_member_string(writer, "modified", list->last_modified);
    json_member_integer(writer, "url", (int64_t)list->page_url);
    json_member_integer(writer, "hash", (int64_t)list->page_hash);
    member_number(writer, "quiet", list->quiet, 0);
    member_boolean(writer, "lies", list->lies);
    member_boolean(writer, "honest", list->honest);
    json_write_object_end(writer);
}

static void write_numbers(struct json_writer *writer, const struct kept_list *list)
{
    write_recent(writer, list->recent, list->recent_count);
    if (list->list->revisit_count > 0) {
        json_write_key(writer, "revisited");
        json_write_array(writer);
        for (size_t i = 0; i < KEPT_REVISITS_MAX && i < list->list->revisit_count; i++) {
            json_write_integer(writer, list->revisited_us[i]);
        }
        json_write_array_end(writer);
    }
    if (list->awaited_count > 0) {
        json_write_key(writer, "awaited");
        json_write_array(writer);
        for (size_t i = 0; i < list->awaited_count; i++) {
            json_write_array(writer);
            json_write_integer(writer, list->awaited[i].id);
            json_write_integer(writer, list->awaited[i].since_us);
            json_write_array_end(writer);
        }
        json_write_array_end(writer);
    }
}

static void write_list(struct json_writer *writer, const struct kept_list *list)
{
    json_write_key(writer, list->list->name);
    json_write_object(writer);
    member_boolean(writer, "seen", list->seen);
    if (list->has_at) {
        json_member_integer(writer, "at", list->at);
    }
    json_member_string(writer, "text", list->at_text);
    json_member_string(writer, "link", list->link);
    member_number(writer, "at_us", list->at_us, INT64_MIN);
    if (list->has_born) {
        json_member_integer(writer, "born", list->born);
    }
    member_number(writer, "history", list->history_us, INT64_MIN);
    member_number(writer, "past_us", list->past_us, INT64_MAX);
    write_numbers(writer, list);
    write_page(writer, list);
    write_walk(writer, "walk", &list->walk);
    write_walk(writer, "past", &list->past);
    write_posts(writer, list);
    json_write_object_end(writer);
}

static int compare_use(const void *one, const void *other)
{
    const struct kept_change *a = one;
    const struct kept_change *b = other;

    return a->used < b->used ? -1 : a->used > b->used;
}

static int write_changes(struct json_writer *writer, struct kept *kept, struct ear_error *err)
{
    char *text = NULL;
    char *at = NULL;

    if (kept->change_count == 0) {
        return 0;
    }
    text = malloc(kept->change_count * (KEPT_ID_CHARACTERS + KEPT_VALUE_CHARACTERS) + 1);
    if (text == NULL) {
        return ear_fail_memory(err, "what changed");
    }
    kept->slotted = false; /* their places change */
    qsort(kept->changes, kept->change_count, sizeof(kept->changes[0]), compare_use);
    at = text;
    for (size_t i = 0; i < kept->change_count; i++) {
        at = pack(at, kept->changes[i].id, KEPT_ID_CHARACTERS);
        at = pack(at, kept->changes[i].value, KEPT_VALUE_CHARACTERS);
    }
    *at = '\0';
    json_member_string(writer, "changed", text);
    free(text);
    return 0;
}

static const char *write_all(struct kept *kept, struct json_writer *writer, size_t *length,
                             struct ear_error *err)
{
    json_writer_reset(writer);
    json_write_object(writer);
    json_member_integer(writer, "v", KEPT_VERSION);
    json_member_string(writer, "of", kept->of);
    if (kept->first != NULL) {
        json_write_key(writer, "first");
        json_write_object(writer);
        json_member_integer(writer, "at", kept->first_us);
        json_member_string(writer, "text", kept->first);
        json_write_object_end(writer);
    }
    if (write_changes(writer, kept, err) != 0) {
        return NULL;
    }
    json_write_key(writer, "lists");
    json_write_object(writer);
    for (size_t i = 0; i < kept->list_count; i++) {
        write_list(writer, &kept->lists[i]);
    }
    json_write_object_end(writer);
    json_write_object_end(writer);
    return json_writer_text(writer, length, err);
}

/* Forgets the oldest half of what may be forgotten. False: nothing is left to forget. */
static bool shrink(struct kept *kept)
{
    bool any = kept->change_count > 0 || kept->first != NULL;
    const size_t changes = kept->change_count / 2;

    kept->slotted = false;
    if (changes > 0) {
        memmove(kept->changes, kept->changes + (kept->change_count - changes),
                changes * sizeof(kept->changes[0]));
    }
    kept->change_count = changes;
    free(kept->first);
    kept->first = NULL;
    for (size_t i = 0; i < kept->list_count; i++) {
        struct kept_list *list = &kept->lists[i];
        const size_t leave = list->post_count / 2;

        any = any || list->post_count > 0;
        while (list->post_count > leave) {
            kept_drop_post(list, 0);
        }
    }
    return any;
}

const char *kept_write(struct kept *kept, struct json_writer *writer, size_t *length,
                       struct ear_error *err)
{
    const char *text = write_all(kept, writer, length, err);

    while (text == NULL && err->kind == EAR_REJECT && shrink(kept)) {
        ear_error_clear(err);
        text = write_all(kept, writer, length, err);
    }
    return text;
}
