/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/source_compare.h"

#include <stdlib.h>
#include <string.h>

#include "collectors/probe.h"
#include "common/json/json.h"

enum { SHOWN_MAX = 20, VALUE_MAX = 300 };

struct line {
    const char *text;
    size_t length;
    char *id;
};

struct lines {
    struct line *items; /* [count], by id */
    size_t count, capacity;
};

/* --- reading --- */

static void clear(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->items[i].id);
    }
    free(lines->items);
}

static int add(struct lines *lines, struct json *json, const char *text, size_t length,
               struct ear_error *err)
{
    const struct json_node *root = json_read(json, text, length, &json_limits_default, err);
    const char *id = json_string(json_get(root, "id"), NULL);

    if (root == NULL) {
        return -1;
    }
    if (id == NULL) {
        return ear_fail(err, EAR_REJECT, "line %zu is no post: it has no id", lines->count + 1);
    }
    if (lines->count == lines->capacity) {
        const size_t capacity = lines->capacity == 0 ? 64 : lines->capacity * 2;
        struct line *grown = realloc(lines->items, capacity * sizeof(*grown));

        if (grown == NULL) {
            return ear_fail_memory(err, "posts");
        }
        lines->items = grown;
        lines->capacity = capacity;
    }
    lines->items[lines->count] = (struct line){text, length, strdup(id)};
    if (lines->items[lines->count].id == NULL) {
        return ear_fail_memory(err, "posts");
    }
    lines->count++;
    return 0;
}

static int by_id(const void *one, const void *other)
{
    const struct line *a = one;
    const struct line *b = other;
    const int order = strcmp(a->id, b->id);

    return order != 0 ? order : a->text < b->text ? -1 : a->text > b->text;
}

static void sort(struct lines *lines)
{
    if (lines->count > 0) {
        qsort(lines->items, lines->count, sizeof(*lines->items), by_id);
    }
}

static int read_kept(struct lines *out, struct json *json, const char *text, struct ear_error *err)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");

        if (length > 0 && add(out, json, text, length, err) != 0) {
            return -1;
        }
        text += length + (text[length] == '\n' ? 1 : 0);
    }
    sort(out);
    return 0;
}

static int read_found(struct lines *out, struct json *json, const struct probe *probe,
                      struct ear_error *err)
{
    for (size_t i = 0; i < probe->count; i++) {
        const char *text = probe->posts[i].json;

        if (add(out, json, text, strlen(text), err) != 0) {
            return -1;
        }
    }
    sort(out);
    return 0;
}

/* --- telling --- */

static void put_value(FILE *out, char sign, const char *key, const struct json_node *value)
{
    size_t length = 0;
    const char *raw = value == NULL ? NULL : json_raw(value, &length);
    size_t shown = length < VALUE_MAX ? length : VALUE_MAX;

    while (shown > 0 && shown < length && ((unsigned char)raw[shown] & 0xc0) == 0x80) {
        shown--;
    }
    if (raw != NULL) {
        (void)fprintf(out, "    %c %s: %.*s%s\n", sign, key, (int)shown, raw,
                      shown < length ? "…" : "");
    }
}

static bool is_same(const struct json_node *one, const struct json_node *other)
{
    size_t a = 0;
    size_t b = 0;
    const char *x = one == NULL ? NULL : json_raw(one, &a);
    const char *y = other == NULL ? NULL : json_raw(other, &b);

    return x == NULL || y == NULL ? x == y : a == b && memcmp(x, y, a) == 0;
}

/* Each field that differs, as it was and as it is. */
static int put_fields(FILE *out, const struct line *was, const struct line *is,
                      struct json *const json[2], struct ear_error *err)
{
    const struct json_node *before =
        json_read(json[0], was->text, was->length, &json_limits_default, err);
    const struct json_node *now =
        before == NULL ? NULL : json_read(json[1], is->text, is->length, &json_limits_default, err);

    if (now == NULL) {
        return -1;
    }
    (void)fprintf(out, "~ %s\n", was->id);
    for (const struct json_node *each = json_first(before); each != NULL; each = json_next(each)) {
        const struct json_node *other = json_get(now, json_key(each));

        if (!is_same(each, other)) {
            put_value(out, '-', json_key(each), each);
            put_value(out, '+', json_key(each), other);
        }
    }
    for (const struct json_node *each = json_first(now); each != NULL; each = json_next(each)) {
        if (json_get(before, json_key(each)) == NULL) {
            put_value(out, '+', json_key(each), each);
        }
    }
    return 0;
}

static int put_whole(FILE *out, char sign, const struct line *line, struct json *json,
                     struct ear_error *err)
{
    const struct json_node *root =
        json_read(json, line->text, line->length, &json_limits_default, err);

    if (root == NULL) {
        return -1;
    }
    (void)fprintf(out, "%c %s\n", sign, line->id);
    put_value(out, sign, "title", json_get(root, "title"));
    put_value(out, sign, "text", json_get(root, "text"));
    return 0;
}

static int merge(size_t *differences, const struct lines *was, const struct lines *is, FILE *out,
                 struct json *const json[2], struct ear_error *err)
{
    size_t a = 0;
    size_t b = 0;

    while (a < was->count || b < is->count) {
        const struct line *one = a < was->count ? &was->items[a] : NULL;
        const struct line *other = b < is->count ? &is->items[b] : NULL;
        const int order = one == NULL ? 1 : other == NULL ? -1 : strcmp(one->id, other->id);
        int result = 0;

        a += order <= 0 ? 1 : 0;
        b += order >= 0 ? 1 : 0;
        if (order == 0 && one->length == other->length &&
            memcmp(one->text, other->text, one->length) == 0) {
            continue;
        }
        if (++*differences > SHOWN_MAX) {
            continue;
        }
        result = order == 0  ? put_fields(out, one, other, json, err)
                 : order < 0 ? put_whole(out, '-', one, json[0], err)
                             : put_whole(out, '+', other, json[0], err);
        if (result != 0) {
            return -1;
        }
    }
    if (*differences > SHOWN_MAX) {
        (void)fprintf(out, "… and %zu more\n", *differences - SHOWN_MAX);
    }
    return 0;
}

int posts_compare(size_t *differences, const char *kept, const struct probe *probe, FILE *out,
                  struct ear_error *err)
{
    struct json *json[2] = {NULL, NULL};
    struct lines was = {0};
    struct lines is = {0};
    int result = -1;

    *differences = 0;
    if (json_new(&json[0], err) == 0 && json_new(&json[1], err) == 0 &&
        read_kept(&was, json[0], kept, err) == 0 && read_found(&is, json[0], probe, err) == 0) {
        result = merge(differences, &was, &is, out, json, err);
    }
    clear(&was);
    clear(&is);
    json_free(json[0]);
    json_free(json[1]);
    return result;
}
