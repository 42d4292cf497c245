/* SPDX-License-Identifier: Apache-2.0 */
/* The cursor of a file source: a mark for each file, within the limit of a message. */
#include "collectors/file/file_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"

enum { VERSION = 1 };

void file_memory_clear(struct file_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++) {
        free(memory->marks[i].path);
    }
    free(memory->marks);
    free(memory->recorded);
    *memory = (struct file_memory){0};
}

struct file_mark *file_memory_mark(struct file_memory *memory, const char *path,
                                   struct ear_error *err)
{
    struct file_mark *marks = NULL;
    struct file_mark *mark = NULL;

    for (size_t i = 0; i < memory->count; i++) {
        if (strcmp(memory->marks[i].path, path) == 0) {
            return &memory->marks[i];
        }
    }
    marks = realloc(memory->marks, (memory->count + 1) * sizeof *marks);
    if (marks == NULL) {
        ear_fail_memory(err, "the cursor of a file source");
        return NULL;
    }
    memory->marks = marks;
    mark = &marks[memory->count];
    *mark = (struct file_mark){.path = strdup(path)};
    if (mark->path == NULL) {
        ear_fail_memory(err, "the cursor of a file source");
        return NULL;
    }
    mark_reset(mark);
    memory->count++;
    return mark;
}

/* --- from JSON --- */

static int64_t integer_of(const struct json_node *object, const char *name, int64_t otherwise)
{
    json_integer(json_get(object, name), &otherwise);
    return otherwise;
}

static int hex_digit(char digit)
{
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

static bool hash_from(struct hash128 *out, const struct json_node *object, const char *name)
{
    size_t length = 0;
    const char *text = json_string(json_get(object, name), &length);

    if (text == NULL || length != (size_t)2 * HASH128_SIZE ||
        strspn(text, "0123456789abcdef") != length) {
        return false;
    }
    for (size_t i = 0; i < HASH128_SIZE; i++) {
        out->bytes[i] = (unsigned char)(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
    }
    return true;
}

static int load_mark(struct file_memory *memory, const struct json_node *node,
                     struct ear_error *err)
{
    const char *path = json_string(json_get(node, "p"), NULL);
    const char *tail_id = json_string(json_get(node, "ti"), NULL);
    struct file_mark *mark = NULL;

    if (path == NULL) {
        return ear_fail(err, EAR_CONFIG, "cursor: a file without its path");
    }
    mark = file_memory_mark(memory, path, err);
    if (mark == NULL) {
        return -1;
    }
    mark->inode = integer_of(node, "i", 0);
    mark->size = integer_of(node, "s", 0);
    mark->changed_us = integer_of(node, "m", 0);
    mark->offset = integer_of(node, "o", 0);
    mark->line = integer_of(node, "l", 1);
    mark->head_length = integer_of(node, "n", -1);
    if (!hash_from(&mark->head, node, "h") || !hash_from(&mark->before, node, "b") ||
        mark->offset < 0 || mark->head_length > FILE_MARK_MAX) {
        mark->head_length = -1;
        mark->offset = mark->offset < 0 ? 0 : mark->offset;
    }
    json_boolean(json_get(node, "bare"), &mark->bare);
    json_boolean(json_get(node, "skip"), &mark->skipping);
    mark->tail_offset = integer_of(node, "to", -1);
    mark->tail_line = integer_of(node, "tl", 1);
    if (tail_id != NULL) {
        snprintf(mark->tail_id, sizeof mark->tail_id, "%s", tail_id);
    }
    return 0;
}

static int load_root(struct file_memory *memory, const struct json_node *root,
                     struct ear_error *err)
{
    const char *recorded = json_string(json_get(root, "recorded"), NULL);
    const struct json_node *files = json_get(root, "files");

    if (integer_of(root, "v", 0) != VERSION) {
        return ear_fail(err, EAR_CONFIG,
                        "cursor: it is of format %" PRId64 ", and this program knows %d; use the "
                        "newer program, or forget the source's cursor on purpose",
                        integer_of(root, "v", 0), VERSION);
    }
    memory->has_config = hash_from(&memory->config, root, "config");
    if (recorded != NULL) {
        memory->recorded = strdup(recorded);
        memory->shift_us = integer_of(root, "shift", 0);
    }
    for (const struct json_node *node = json_first(files); node != NULL; node = json_next(node)) {
        if (load_mark(memory, node, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int file_memory_load(struct file_memory *memory, const char *cursor, size_t length,
                     struct ear_error *err)
{
    int result = -1;
    struct json *json = NULL;
    const struct json_node *root = NULL;

    if (cursor == NULL) {
        return 0;
    }
    if (json_new(&json, err) != 0) {
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

/* --- to JSON --- */

static void write_hash(struct json_writer *writer, const char *key, struct hash128 hash)
{
    char hex[HASH128_TEXT_SIZE];

    json_member_string(writer, key, hash128_format(hex, hash));
}

static void write_true(struct json_writer *writer, const char *key, bool value)
{
    if (value) {
        json_write_key(writer, key);
        json_write_boolean(writer, true);
    }
}

static void write_mark(const struct file_mark *mark, struct json_writer *writer)
{
    json_write_object(writer);
    json_member_string(writer, "p", mark->path);
    json_member_integer(writer, "i", mark->inode);
    json_member_integer(writer, "s", mark->size);
    json_member_integer(writer, "m", mark->changed_us);
    json_member_integer(writer, "o", mark->offset);
    json_member_integer(writer, "l", mark->line);
    json_member_integer(writer, "n", mark->head_length);
    write_hash(writer, "h", mark->head);
    write_hash(writer, "b", mark->before);
    write_true(writer, "bare", mark->bare);
    write_true(writer, "skip", mark->skipping);
    if (mark->tail_offset >= 0) {
        json_member_integer(writer, "to", mark->tail_offset);
        json_member_integer(writer, "tl", mark->tail_line);
        json_member_string(writer, "ti", mark->tail_id[0] != '\0' ? mark->tail_id : NULL);
    }
    json_write_object_end(writer);
}

void file_memory_write(const struct file_memory *memory, struct json_writer *writer)
{
    json_write_object(writer);
    json_member_integer(writer, "v", VERSION);
    write_hash(writer, "config", memory->config);
    if (memory->recorded != NULL) {
        json_member_string(writer, "recorded", memory->recorded);
        json_member_integer(writer, "shift", memory->shift_us);
    }
    json_write_key(writer, "files");
    json_write_array(writer);
    for (size_t i = 0; i < memory->count; i++) {
        if (memory->marks[i].present) {
            write_mark(&memory->marks[i], writer);
        }
    }
    json_write_array_end(writer);
    json_write_object_end(writer);
}
