/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor of a definition's source:
 *
 *     {"v":1, "of":"…", "first":{"at":…,"text":"…"}, "changed":"…", "lists":{"posts":{
 *         "seen":true, "at":…, "text":"…", "link":"…", "at_us":…, "born":…, "history":…,
 *         "recent":"…",
 * "page":{"etag":"…","modified":"…","url":…,"hash":…,"quiet":…,"lies":true,"honest":true},
 *         "revisited":[…], "walk":{…}, "past":{…}, "past_us":…,
 *         "posts":[[id,host,url,thread,created_us,shown,missing,asked,key,of,listed],…],
 * "awaited":[[id,since],…]}}}
 *
 * What is absent has its default. `changed` and `recent` are packed: six bits a character, eight
 * characters of an id and six of a value, what was used longest ago first. It never grows beyond
 * KEPT_BYTES_MAX.
 */
#include "collectors/definition/engine_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = KEPT_DIGITS;

static const struct json_limits limits = {
    .bytes = (size_t)KEPT_BYTES_MAX * 2, .depth = 16, .members = JSON_MEMBERS_MAX};

/* --- packed numbers --- */

/* NULL: no such number. */
static const char *unpack(const char *at, uint64_t *value, int characters)
{
    *value = 0;
    for (int i = 0; i < characters; i++, at++) {
        const char *digit = *at == '\0' ? NULL : strchr(digits, *at);

        if (digit == NULL) {
            return NULL;
        }
        *value = *value << 6 | (uint64_t)(digit - digits);
    }
    return at;
}

/* --- reading --- */

static int64_t integer_of(const struct json_node *object, const char *name, int64_t otherwise)
{
    json_integer(json_get(object, name), &otherwise);
    return otherwise;
}

static bool boolean_of(const struct json_node *object, const char *name)
{
    bool value = false;

    json_boolean(json_get(object, name), &value);
    return value;
}

static int text_of(char **out, const struct json_node *node, size_t max, struct ear_error *err)
{
    return kept_set(out, json_string(node, NULL), max, err);
}

static void load_recent(uint64_t out[KEPT_RECENT_MAX], size_t *count, const struct json_node *node)
{
    const char *text = json_string(node, NULL);

    while (text != NULL && *text != '\0' && *count < KEPT_RECENT_MAX) {
        text = unpack(text, &out[*count], KEPT_ID_CHARACTERS);
        *count += text == NULL ? 0 : 1;
    }
}

static int load_walk(struct walk *walk, const struct json_node *node, struct ear_error *err)
{
    const int64_t kind = integer_of(node, "kind", WALK_NONE);

    walk_clear(walk);
    if (kind <= WALK_NONE || kind > WALK_PAST) {
        return 0;
    }
    walk->kind = (enum walk_kind)kind;
    walk->down = boolean_of(node, "down");
    walk->first = boolean_of(node, "first");
    walk->has_floor = json_integer(json_get(node, "floor"), &walk->floor);
    walk->has_floor_us = json_integer(json_get(node, "floor_us"), &walk->floor_us);
    walk->has_base = json_integer(json_get(node, "base"), &walk->base);
    walk->has_high = json_integer(json_get(node, "high"), &walk->high);
    walk->has_low = json_integer(json_get(node, "low"), &walk->low);
    walk->since_us = integer_of(node, "since", INT64_MIN);
    walk->high_us = integer_of(node, "high_us", INT64_MIN);
    walk->low_us = integer_of(node, "low_us", INT64_MIN);
    walk->pages = integer_of(node, "pages", 0);
    walk->old = integer_of(node, "old", 0);
    walk->began_us = integer_of(node, "began", 0);
    walk->revisits = (unsigned)(integer_of(node, "revisits", 0) & 0xff);
    walk->doubted = boolean_of(node, "doubted");
    walk->cut = boolean_of(node, "cut");
    load_recent(walk->recent, &walk->recent_count, json_get(node, "recent"));
    walk->stuck = (uint64_t)integer_of(node, "stuck", 0);
    walk->stuck_many = integer_of(node, "stuck_many", 0);
    return text_of(&walk->base_text, json_get(node, "base_text"), KEPT_TEXT_MAX, err) != 0 ||
                   text_of(&walk->text, json_get(node, "text"), KEPT_TEXT_MAX, err) != 0 ||
                   text_of(&walk->link, json_get(node, "link"), KEPT_TEXT_MAX, err) != 0 ||
                   text_of(&walk->page, json_get(node, "page"), KEPT_TEXT_MAX, err) != 0
               ? -1
               : 0;
}

static void load_whose(struct kept_post *post, const struct json_node *node)
{
    int64_t of = 0;

    if (json_integer(json_pointer(node, "/9"), &of)) {
        post->of = (uint64_t)of;
        json_boolean(json_pointer(node, "/10"), &post->listed);
    }
}

static int load_posts(struct kept_list *list, const struct json_node *node, struct ear_error *err)
{
    for (const struct json_node *each = json_first(node);
         each != NULL && list->post_count < KEPT_SHOWN_MAX; each = json_next(each)) {
        const struct source_record record = {
            .native_id = json_string(json_pointer(each, "/0"), NULL),
            .host = json_string(json_pointer(each, "/1"), NULL),
            .url = json_string(json_pointer(each, "/2"), NULL),
            .thread = json_string(json_pointer(each, "/3"), NULL),
            .created_us = INT64_MIN,
        };
        struct source_record dated = record;
        size_t before = list->post_count;

        json_integer(json_pointer(each, "/4"), &dated.created_us);
        if (dated.native_id == NULL) {
            return ear_fail(err, EAR_CONFIG, "cursor: a post without its id");
        }
        if (kept_show(list, &dated, json_string(json_pointer(each, "/8"), NULL), 0, err) != 0) {
            return -1;
        }
        for (size_t i = 0; list->post_count > before && i < list->post_count; i++) {
            struct kept_post *post = &list->posts[i];

            if (strcmp(post->id, dated.native_id) == 0 && post->shown) {
                post->shown = false;
                json_boolean(json_pointer(each, "/5"), &post->shown);
                json_boolean(json_pointer(each, "/6"), &post->missing);
                json_integer(json_pointer(each, "/7"), &post->asked);
                load_whose(post, each);
            }
        }
    }
    return 0;
}

static void load_numbers(struct kept_list *list, const struct json_node *node)
{
    const struct json_node *each = json_first(json_get(node, "revisited"));

    load_recent(list->recent, &list->recent_count, json_get(node, "recent"));
    for (size_t i = 0; i < KEPT_REVISITS_MAX && each != NULL; i++, each = json_next(each)) {
        json_integer(each, &list->revisited_us[i]);
        list->revisited_us[i] = list->revisited_us[i] < 0 ? 0 : list->revisited_us[i];
    }
    for (each = json_first(json_get(node, "awaited"));
         each != NULL && list->awaited_count < KEPT_AWAITED_MAX; each = json_next(each)) {
        struct kept_awaited *awaited = &list->awaited[list->awaited_count];

        if (json_integer(json_pointer(each, "/0"), &awaited->id) &&
            json_integer(json_pointer(each, "/1"), &awaited->since_us)) {
            list->awaited_count++;
        }
    }
}

static int load_list(struct kept_list *list, const struct json_node *node, struct ear_error *err)
{
    const struct json_node *page = json_get(node, "page");

    list->seen = boolean_of(node, "seen");
    list->has_at = json_integer(json_get(node, "at"), &list->at);
    list->at_us = integer_of(node, "at_us", INT64_MIN);
    list->has_born = json_integer(json_get(node, "born"), &list->born);
    list->history_us = integer_of(node, "history", INT64_MIN);
    list->past_us = integer_of(node, "past_us", INT64_MAX);
    list->page_url = (uint64_t)integer_of(page, "url", 0);
    list->page_hash = (uint64_t)integer_of(page, "hash", 0);
    list->quiet = integer_of(page, "quiet", 0);
    list->lies = boolean_of(page, "lies");
    list->honest = boolean_of(page, "honest");
    load_numbers(list, node);
    if (text_of(&list->at_text, json_get(node, "text"), KEPT_TEXT_MAX, err) != 0 ||
        text_of(&list->link, json_get(node, "link"), KEPT_TEXT_MAX, err) != 0 ||
        text_of(&list->etag, json_get(page, "etag"), KEPT_TEXT_MAX, err) != 0 ||
        text_of(&list->last_modified, json_get(page, "modified"), KEPT_TEXT_MAX, err) != 0 ||
        load_walk(&list->walk, json_get(node, "walk"), err) != 0 ||
        load_walk(&list->past, json_get(node, "past"), err) != 0) {
        return -1;
    }
    return load_posts(list, json_get(node, "posts"), err);
}

static int load_changes(struct kept *kept, const char *text, struct ear_error *err)
{
    while (text != NULL && *text != '\0') {
        uint64_t id = 0;
        uint64_t value = 0;

        text = unpack(text, &id, KEPT_ID_CHARACTERS);
        text = text == NULL ? NULL : unpack(text, &value, KEPT_VALUE_CHARACTERS);
        if (text == NULL) {
            return ear_fail(err, EAR_CONFIG, "cursor: 'changed' is not understood");
        }
        if (kept_note(kept, id, value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_root(struct kept *kept, const struct json_node *root, struct ear_error *err)
{
    const int64_t version = integer_of(root, "v", 0);
    const char *of = json_string(json_get(root, "of"), NULL);
    const struct json_node *lists = json_get(root, "lists");
    const struct json_node *first = json_get(root, "first");

    if (version != KEPT_VERSION) {
        return ear_fail(err, EAR_CONFIG,
                        "cursor: it is of format %" PRId64 ", and this program knows %d; use the "
                        "newer program, or forget the source's cursor on purpose",
                        version, KEPT_VERSION);
    }
    if (of == NULL || strcmp(of, kept->of) != 0) {
        return 0; /* it was another place that was asked */
    }
    kept->first_us = integer_of(first, "at", 0);
    if (text_of(&kept->first, json_get(first, "text"), KEPT_FIRST_MAX, err) != 0 ||
        load_changes(kept, json_string(json_get(root, "changed"), NULL), err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < kept->list_count; i++) {
        const struct json_node *node = json_get(lists, kept->lists[i].list->name);

        if (node != NULL && load_list(&kept->lists[i], node, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* What the source asks for: all it gives but its secrets, which may change. */
static int describe(struct kept *kept, const struct definition *definition,
                    const char *const params[], struct ear_error *err)
{
    struct json_writer *writer = NULL;
    const char *text = NULL;
    size_t length = 0;
    int result = -1;

    if (json_writer_new(&writer, (size_t)1024 * 1024, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "", definition->platform);
    for (size_t i = 0; i < definition->param_count; i++) {
        if (!definition->params[i].secret) {
            json_member_string(writer, definition->params[i].name, params[i]);
        }
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text != NULL) {
        hash128_format(kept->of, hash128_of(text, length));
        result = 0;
    }
    json_writer_free(writer);
    return result;
}

static int make_lists(struct kept *kept, const struct definition *definition, struct ear_error *err)
{
    kept->lists = calloc(definition->list_count, sizeof(*kept->lists));
    if (kept->lists == NULL) {
        return ear_fail_memory(err, "a cursor");
    }
    kept->list_count = definition->list_count;
    for (size_t i = 0; i < kept->list_count; i++) {
        struct kept_list *list = &kept->lists[i];

        list->list = &definition->lists[i];
        list->salt = hash64_of(list->list->name, strlen(list->list->name), 1);
        list->at_us = list->history_us = INT64_MIN;
        list->past_us = INT64_MAX;
        walk_clear(&list->walk);
        walk_clear(&list->past);
    }
    return 0;
}

int kept_load(struct kept *kept, const struct definition *definition, const char *const params[],
              const char *cursor, size_t length, struct ear_error *err)
{
    int result = -1;
    struct json *json = NULL;
    const struct json_node *root = NULL;

    *kept = (struct kept){0};
    if (describe(kept, definition, params, err) != 0 || make_lists(kept, definition, err) != 0) {
        return -1;
    }
    if (cursor == NULL) {
        return 0;
    }
    if (json_new(&json, err) != 0) {
        return -1;
    }
    root = json_read(json, cursor, length, &limits, err);
    if (root == NULL) {
        err->kind = err->kind == EAR_REJECT ? EAR_CONFIG : err->kind;
        ear_error_context(err, "cursor");
    } else {
        result = load_root(kept, root, err);
    }
    json_free(json);
    return result;
}
