/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items that a feed showed, in its cursor: most of what is kept of a source, and thousands of
 * sources are kept. Addresses and guids of a feed begin alike, so each is written as how many bytes
 * of the one before it stay, and what follows them:
 *
 *     [bytes, rest of the URL, bytes, rest of the guid, seconds since the one before, µs, asked at,
 *      asked how often, missing]
 *
 * What is 0 or null at the end is left out. Format 1 had an object for each.
 */
#include "collectors/feed/feed_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json/json.h"

static const char *text_of(const struct json_node *node)
{
    return json_string(node, NULL);
}

static char *copy_of(const struct json_node *object, const char *name)
{
    const char *text = text_of(json_get(object, name));

    return text != NULL ? strdup(text) : NULL;
}

/* Format 1. */
static void load_object(struct feed_item *item, const struct json_node *node)
{
    item->guid = copy_of(node, "g");
    item->url = copy_of(node, "u");
    json_integer(json_get(node, "t"), &item->created_us);
    json_boolean(json_get(node, "x"), &item->missing);
    json_integer(json_get(node, "q"), &item->asked_us);
    json_integer(json_get(node, "n"), &item->asked);
}

/* What stays of `before` and what follows, as one text; NULL: it is not understood. */
static char *join(const char *before, const struct json_node *keeps, const struct json_node *rest)
{
    size_t length = 0;
    const char *text = json_string(rest, &length);
    int64_t kept = -1;
    char *out = NULL;

    if (text == NULL || !json_integer(keeps, &kept) || kept < 0 || (size_t)kept > strlen(before)) {
        return NULL;
    }
    out = malloc((size_t)kept + length + 1);
    if (out != NULL) {
        memcpy(out, before, (size_t)kept);
        memcpy(out + kept, text, length + 1);
    }
    return out;
}

static void load_array(struct feed_item *item, const struct json_node *node,
                       const struct feed_item *before, int64_t *second)
{
    const struct json_node *parts[9] = {NULL};
    size_t count = 0;
    int64_t seconds = 0;
    int64_t micros = 0;
    int64_t missing = 0;

    for (const struct json_node *each = json_first(node); each != NULL && count < 9;
         each = json_next(each)) {
        parts[count++] = each;
    }
    item->url = join(before != NULL ? before->url : "", parts[0], parts[1]);
    item->guid = join(before != NULL ? before->guid : "", parts[2], parts[3]);
    json_integer(parts[5], &micros);
    if (json_integer(parts[4], &seconds) && !__builtin_add_overflow(*second, seconds, &seconds) &&
        !__builtin_mul_overflow(seconds, CLOCK_SECOND_US, &item->created_us) &&
        !__builtin_add_overflow(item->created_us, micros, &item->created_us)) {
        *second = seconds;
    } else {
        item->created_us = INT64_MIN;
    }
    json_integer(parts[6], &item->asked_us);
    json_integer(parts[7], &item->asked);
    json_integer(parts[8], &missing);
    item->missing = missing != 0;
}

int items_load(struct feed_memory *memory, const struct json_node *list, struct ear_error *err)
{
    size_t count = json_count(list) < FEED_ITEMS_MAX ? json_count(list) : FEED_ITEMS_MAX;
    int64_t second = 0;

    if (count == 0) {
        return 0;
    }
    memory->items = calloc(count, sizeof *memory->items);
    if (memory->items == NULL) {
        return ear_fail_memory(err, "the cursor of a feed");
    }
    for (const struct json_node *node = json_first(list);
         node != NULL && memory->item_count < count; node = json_next(node)) {
        struct feed_item *item = &memory->items[memory->item_count++];

        item->created_us = INT64_MIN;
        if (json_kind_of(node) == JSON_ARRAY) {
            load_array(item, node, memory->item_count > 1 ? item - 1 : NULL, &second);
        } else {
            load_object(item, node);
        }
        if (item->guid == NULL || item->url == NULL) {
            return ear_fail(err, EAR_CONFIG, "cursor: an item without its names");
        }
    }
    return 0;
}

/* Whole characters only: what is written must be text. */
static void write_rest(struct json_writer *writer, const char *before, const char *text)
{
    size_t same = 0;

    while (text[same] != '\0' && text[same] == before[same]) {
        same++;
    }
    while (same > 0 && ((unsigned char)text[same] & 0xc0) == 0x80) {
        same--;
    }
    json_write_integer(writer, (int64_t)same);
    json_write_string(writer, text + same);
}

static void write_item(struct json_writer *writer, const struct feed_item *item,
                       const struct feed_item *before, int64_t *second)
{
    const bool timed = item->created_us != INT64_MIN;
    const int64_t seconds = timed ? item->created_us / CLOCK_SECOND_US : *second;
    const int64_t parts[] = {seconds - *second, timed ? item->created_us % CLOCK_SECOND_US : 0,
                             item->asked_us, item->asked, item->missing ? 1 : 0};
    size_t count = sizeof parts / sizeof parts[0];

    json_write_array(writer);
    write_rest(writer, before != NULL ? before->url : "", item->url);
    write_rest(writer, before != NULL ? before->guid : "", item->guid);
    while (count > 0 && parts[count - 1] == 0 && (count > 1 || !timed)) {
        count--;
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 && !timed) {
            json_write_null(writer);
        } else {
            json_write_integer(writer, parts[i]);
        }
    }
    json_write_array_end(writer);
    *second = seconds;
}

void items_write(const struct feed_memory *memory, struct json_writer *writer)
{
    int64_t second = 0;

    json_write_array(writer);
    for (size_t i = 0; i < memory->item_count; i++) {
        write_item(writer, &memory->items[i], i > 0 ? &memory->items[i - 1] : NULL, &second);
    }
    json_write_array_end(writer);
}
