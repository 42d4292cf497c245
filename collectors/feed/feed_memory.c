/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a feed's cursor holds. Everything in it is bounded: a few hundred items and comment feeds,
 * each with strings of bounded length, so that it fits a message whatever a server sends.
 */
#include "collectors/feed/feed_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json/json.h"

enum { VERSION = 2, VERSION_OLD = 1, MISSING_MAX = 100, ASKS_MAX = 3, TAG_MAX = 1024 };

static void clear_items(struct feed_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(items[i].guid);
        free(items[i].url);
    }
    free(items);
}

void comments_clear(struct feed_comments *comments)
{
    free(comments->url);
    free(comments->etag);
    free(comments->last_modified);
    free(comments->parent);
}

static void clear_comments(struct feed_comments *comments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        comments_clear(&comments[i]);
    }
    free(comments);
}

void memory_clear(struct feed_memory *memory)
{
    clear_items(memory->items, memory->item_count);
    clear_comments(memory->comments, memory->comments_count);
    free(memory->feed);
    free(memory->feed_etag);
    free(memory->feed_modified);
    *memory = (struct feed_memory){0};
}

/* --- from and to JSON --- */

static char *copy_of(const struct json_node *object, const char *name)
{
    const char *text = json_string(json_get(object, name), NULL);

    return text != NULL ? strdup(text) : NULL;
}

static int64_t integer_of(const struct json_node *object, const char *name, int64_t otherwise)
{
    json_integer(json_get(object, name), &otherwise);
    return otherwise;
}

static int load_comments(struct feed_memory *memory, const struct json_node *list,
                         struct ear_error *err)
{
    size_t count = json_count(list) < FEED_COMMENTS_MAX ? json_count(list) : FEED_COMMENTS_MAX;

    if (count == 0) {
        return 0;
    }
    memory->comments = calloc(count, sizeof *memory->comments);
    if (memory->comments == NULL) {
        return ear_fail_memory(err, "the cursor of a feed");
    }
    for (const struct json_node *node = json_first(list);
         node != NULL && memory->comments_count < count; node = json_next(node)) {
        struct feed_comments *comments = &memory->comments[memory->comments_count++];

        comments->url = copy_of(node, "u");
        comments->parent = copy_of(node, "p");
        comments->etag = copy_of(node, "e");
        comments->last_modified = copy_of(node, "m");
        comments->count = integer_of(node, "c", -1);
        comments->read_count = integer_of(node, "r", -2);
        comments->asked_us = integer_of(node, "q", 0);
        json_boolean(json_get(node, "l"), &comments->present);
        if (comments->url == NULL || comments->parent == NULL) {
            return ear_fail(err, EAR_CONFIG, "cursor: a comment feed without its names");
        }
    }
    return 0;
}

static int hex_digit(char digit)
{
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* Whether it is a hash. */
static bool load_hash(struct hash128 *out, const struct json_node *node)
{
    size_t length = 0;
    const char *text = json_string(node, &length);

    if (length != (size_t)2 * HASH128_SIZE || strspn(text, "0123456789abcdef") != length) {
        return false;
    }
    for (size_t i = 0; i < HASH128_SIZE; i++) {
        out->bytes[i] = (unsigned char)(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
    }
    return true;
}

static void load_shared(struct feed_memory *memory, const struct json_node *list)
{
    for (const struct json_node *node = json_first(list);
         node != NULL && memory->shared_count < FEED_SHARED_MAX; node = json_next(node)) {
        memory->shared_count += load_hash(&memory->shared[memory->shared_count], node) ? 1 : 0;
    }
}

/* What the cursor says; nothing of it is used if it was kept of another address. */
static int load_root(struct feed_memory *memory, const struct json_node *root,
                     struct ear_error *err)
{
    const char *kept = json_string(json_get(root, "address"), NULL);

    if (integer_of(root, "v", 0) != VERSION && integer_of(root, "v", 0) != VERSION_OLD) {
        return ear_fail(err, EAR_CONFIG,
                        "cursor: it is of format %" PRId64 ", and this program knows %d; use the "
                        "newer program, or forget the source's cursor on purpose",
                        integer_of(root, "v", 0), VERSION);
    }
    if (kept == NULL || strcmp(kept, memory->address) != 0) {
        return 0;
    }
    memory->fresh = false;
    memory->feed = copy_of(root, "feed");
    memory->feed_etag = copy_of(root, "etag");
    memory->hash = (uint64_t)integer_of(root, "hash", 0);
    memory->tag = (uint64_t)integer_of(root, "tag", 0);
    memory->read_us = integer_of(root, "read", 0);
    json_boolean(json_get(root, "honest"), &memory->honest);
    json_boolean(json_get(root, "lies"), &memory->lies);
    memory->feed_modified = copy_of(root, "modified");
    memory->whole = load_hash(&memory->page, json_get(root, "page"));
    memory->whole_us = integer_of(root, "whole", 0);
    load_shared(memory, json_get(root, "shared"));
    if (items_load(memory, json_get(root, "items"), err) != 0) {
        return -1;
    }
    return load_comments(memory, json_get(root, "comments"), err);
}

int memory_load(struct feed_memory *memory, const char *url, const char *cursor, size_t length,
                struct ear_error *err)
{
    int result = -1;
    struct json *json = NULL;
    const struct json_node *root = NULL;

    memory->fresh = true;
    hash128_format(memory->address, hash128_of(url, strlen(url)));
    if (json_new(&json, err) != 0) {
        goto done;
    }
    if (cursor == NULL) {
        result = 0;
        goto done;
    }
    root = json_read(json, cursor, length, &json_limits_default, err);
    if (root == NULL) {
        err->kind = err->kind == EAR_REJECT ? EAR_CONFIG : err->kind;
        ear_error_context(err, "cursor");
        goto done;
    }
    result = load_root(memory, root, err);

done:
    json_free(json);
    return result;
}

static void write_true(struct json_writer *writer, const char *key, bool value)
{
    if (value) {
        json_write_key(writer, key);
        json_write_boolean(writer, true);
    }
}

static void write_comments(const struct feed_memory *memory, struct json_writer *writer)
{
    json_write_key(writer, "comments");
    json_write_array(writer);
    for (size_t i = 0; i < memory->comments_count; i++) {
        const struct feed_comments *comments = &memory->comments[i];

        json_write_object(writer);
        json_member_string(writer, "u", comments->url);
        json_member_string(writer, "p", comments->parent);
        json_member_string(writer, "e", comments->etag);
        json_member_string(writer, "m", comments->last_modified);
        json_member_integer(writer, "c", comments->count);
        json_member_integer(writer, "r", comments->read_count);
        json_member_integer(writer, "q", comments->asked_us);
        json_write_key(writer, "l");
        json_write_boolean(writer, comments->present);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

void memory_write(const struct feed_memory *memory, struct json_writer *writer)
{
    json_write_object(writer);
    json_member_integer(writer, "v", VERSION);
    json_member_string(writer, "address", memory->address);
    json_member_string(writer, "feed", memory->feed);
    json_member_string(writer, "etag", memory->feed_etag);
    json_member_string(writer, "modified", memory->feed_modified);
    if (memory->hash != 0) {
        json_member_integer(writer, "hash", (int64_t)memory->hash);
        json_member_integer(writer, "tag", (int64_t)memory->tag);
        json_member_integer(writer, "read", memory->read_us);
    }
    if (memory->whole) {
        char page[HASH128_TEXT_SIZE];

        json_member_string(writer, "page", hash128_format(page, memory->page));
        json_member_integer(writer, "whole", memory->whole_us);
    }
    write_true(writer, "honest", memory->honest);
    write_true(writer, "lies", memory->lies);
    json_write_key(writer, "items");
    items_write(memory, writer);
    write_comments(memory, writer);
    json_write_key(writer, "shared");
    json_write_array(writer);
    for (size_t i = 0; i < memory->shared_count; i++) {
        char hash[HASH128_TEXT_SIZE];

        json_write_string(writer, hash128_format(hash, memory->shared[i]));
    }
    json_write_array_end(writer);
    json_write_object_end(writer);
}

/* --- entries that share a guid --- */

static bool is_shared(const struct feed_memory *memory, const char *guid)
{
    struct hash128 hash = hash128_of(guid, strlen(guid));

    for (size_t i = 0; i < memory->shared_count; i++) {
        if (memcmp(&memory->shared[i], &hash, sizeof hash) == 0) {
            return true;
        }
    }
    return false;
}

static void note_shared(struct feed_memory *memory, const char *guid)
{
    if (is_shared(memory, guid)) {
        return;
    }
    if (memory->shared_count == FEED_SHARED_MAX) { /* the oldest makes room */
        memmove(memory->shared, memory->shared + 1,
                (FEED_SHARED_MAX - 1) * sizeof memory->shared[0]);
        memory->shared_count--;
    }
    memory->shared[memory->shared_count++] = hash128_of(guid, strlen(guid));
}

static int64_t last_change(const struct feed_entry *entry)
{
    return entry->edited_us != INT64_MIN ? entry->edited_us : entry->created_us;
}

/* By guid; of one guid the latest first, then as they stand in the page. */
static int by_guid(const void *left, const void *right)
{
    const struct feed_entry *one = *(const struct feed_entry *const *)left;
    const struct feed_entry *other = *(const struct feed_entry *const *)right;
    int order = strcmp(one->guid, other->guid);

    if (order == 0) {
        order = (last_change(one) < last_change(other)) - (last_change(one) > last_change(other));
    }
    return order != 0 ? order : (one > other) - (one < other);
}

static struct feed_entry **sorted_by_guid(const struct feed_page *page, struct ear_error *err)
{
    struct feed_entry **sorted = calloc(page->count + 1, sizeof(struct feed_entry *));

    if (sorted == NULL) {
        ear_fail_memory(err, "a feed");
        return NULL;
    }
    for (size_t i = 0; i < page->count; i++) {
        sorted[i] = &page->entries[i];
    }
    qsort((void *)sorted, page->count, sizeof(struct feed_entry *), by_guid);
    return sorted;
}

static int name_by_links(const struct feed_memory *memory, struct feed_page *page,
                         struct ear_error *err)
{
    for (size_t i = 0; memory->shared_count > 0 && i < page->count; i++) {
        struct feed_entry *entry = &page->entries[i];

        if (entry->link != NULL && is_shared(memory, entry->guid)) {
            char *link = strdup(entry->link);

            if (link == NULL) {
                return ear_fail_memory(err, "a feed");
            }
            free(entry->guid);
            entry->guid = link;
        }
    }
    return 0;
}

int memory_part_shared(struct feed_memory *memory, struct feed_page *page, struct ear_error *err)
{
    int result = -1;
    struct feed_entry **sorted = sorted_by_guid(page, err);

    if (sorted == NULL) {
        goto done;
    }
    for (size_t i = 1; i < page->count; i++) {
        const struct feed_entry *one = sorted[i - 1];
        const struct feed_entry *other = sorted[i];

        if (strcmp(one->guid, other->guid) == 0 && one->link != NULL && other->link != NULL &&
            strcmp(one->link, other->link) != 0) {
            note_shared(memory, one->guid);
        }
    }
    if (name_by_links(memory, page, err) != 0) {
        goto done;
    }
    free((void *)sorted);
    sorted = sorted_by_guid(page, err);
    for (size_t i = 1; sorted != NULL && i < page->count; i++) {
        sorted[i]->repeated = strcmp(sorted[i - 1]->guid, sorted[i]->guid) == 0;
    }
    result = sorted != NULL ? 0 : -1;

done:
    free((void *)sorted);
    return result;
}

/* --- what is gone --- */

/* Only what has an address of its own can be asked for, and so confirmed. */
static bool can_be_asked(const struct feed_entry *entry)
{
    return !entry->repeated && entry->link != NULL && strchr(entry->link, '#') == NULL &&
           strlen(entry->guid) <= FEED_GUID_MAX && entry->parent == NULL;
}

static bool page_has(const struct feed_page *page, const char *guid)
{
    for (size_t i = 0; i < page->count; i++) {
        if (strcmp(page->entries[i].guid, guid) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the page shows something older than the item at `index`: by time; among equal times (many
 * feeds tell seconds only), and without them, by what stood behind it when it was there.
 * there[item_count]: which items the page shows. */
static bool shows_older(const struct feed_memory *memory, size_t index,
                        const struct feed_page *page, const bool there[])
{
    int64_t created_us = memory->items[index].created_us;
    bool timed = false;

    for (size_t i = 0; i < page->count; i++) {
        timed = timed || page->entries[i].created_us != INT64_MIN;
        if (page->entries[i].created_us != INT64_MIN && page->entries[i].created_us < created_us) {
            return true;
        }
    }
    timed = timed && created_us != INT64_MIN;
    for (size_t i = index + 1; i < memory->item_count; i++) {
        const struct feed_item *behind = &memory->items[i];

        if (!behind->missing && there[i] && (!timed || behind->created_us == created_us)) {
            return true;
        }
    }
    return false;
}

static int add_item(struct feed_item *items, size_t *count, const struct feed_entry *entry,
                    struct ear_error *err)
{
    struct feed_item *item = &items[(*count)++];

    *item = (struct feed_item){
        .guid = strdup(entry->guid), .url = strdup(entry->link), .created_us = entry->created_us};
    return item->guid != NULL && item->url != NULL ? 0 : ear_fail_memory(err, "a feed");
}

/* What is missing comes first, then what is there, in the order of the page. */
int memory_note_items(struct feed_memory *memory, const struct feed_page *page,
                      struct ear_error *err)
{
    int result = -1;
    size_t count = 0;
    bool there[FEED_ITEMS_MAX] = {false};
    bool missing[FEED_ITEMS_MAX] = {false};
    struct feed_item *items = calloc(FEED_ITEMS_MAX, sizeof *items);

    if (items == NULL) {
        return ear_fail_memory(err, "a feed");
    }
    for (size_t i = 0; i < memory->item_count; i++) {
        there[i] = page_has(page, memory->items[i].guid); /* once: a page may be long */
    }
    for (size_t i = 0; i < memory->item_count; i++) {
        missing[i] = !there[i] && shows_older(memory, i, page, there);
    }
    for (size_t i = 0; i < memory->item_count && count < MISSING_MAX; i++) {
        if (missing[i]) {
            items[count] = memory->items[i];
            items[count++].missing = true;
            memory->items[i].guid = memory->items[i].url = NULL; /* taken over */
        }
    }
    for (size_t i = 0; i < page->count && count < FEED_ITEMS_MAX; i++) {
        if (can_be_asked(&page->entries[i]) &&
            add_item(items, &count, &page->entries[i], err) != 0) {
            goto done;
        }
    }
    result = 0;

done:
    clear_items(memory->items, memory->item_count);
    memory->items = items;
    memory->item_count = count;
    return result;
}

struct feed_item *memory_next_missing(struct feed_memory *memory, int64_t now_us)
{
    for (size_t i = 0; i < memory->item_count; i++) {
        struct feed_item *item = &memory->items[i];
        int64_t wait_us = item->asked == 0 ? 0 : item->asked == 1 ? CLOCK_HOUR_US : CLOCK_DAY_US;

        if (item->missing && (item->asked_us == 0 || now_us - item->asked_us > wait_us)) {
            return item;
        }
    }
    return NULL;
}

void memory_note_there(struct feed_memory *memory, struct feed_item *item, int64_t now_us)
{
    item->asked_us = now_us;
    item->asked++;
    if (item->asked >= ASKS_MAX) {
        memory_drop_item(memory, item);
    }
}

void memory_drop_item(struct feed_memory *memory, struct feed_item *item)
{
    size_t index = (size_t)(item - memory->items);

    free(item->guid);
    free(item->url);
    memory->item_count--;
    memmove(item, item + 1, (memory->item_count - index) * sizeof *item);
}
