/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message is a packed JSON document that never changes, and a short list of changes laid over it.
 * message_text walks the members in the order of the text and copies each as it
 * stands, key and blanks included, but for the changed ones. A change that we wrote ourselves stays
 * text until it is asked for as a node, which most never are.
 */
#include "common/message/message_internal.h"

#include <string.h>

struct change {
    const char *name;
    size_t name_length;
    const char *raw; /* JSON text, in the arena; NULL: removed */
    size_t raw_length;
    const struct json_node *node; /* the same read; NULL: not yet */
    bool in_place;                /* the document has a member of that name */
};

struct ear_message {
    const void *host; /* first: processors/stage.h */
    struct message_arena *arena;
    const struct json_node *root;
    bool repaired;
    struct change *changes;
    size_t change_count, change_capacity;
};

static const struct json_limits limits = {
    .bytes = MESSAGE_MAX, .depth = MESSAGE_DEPTH_MAX, .members = JSON_MEMBERS_MAX};
static const struct json_limits field_limits = {
    .bytes = MESSAGE_MAX, .depth = MESSAGE_DEPTH_MAX - 1, .members = JSON_MEMBERS_MAX};

/* Reads a text and keeps the document in the arena. */
static const struct json_node *keep(struct message_arena *arena, const char *text, size_t length,
                                    const struct json_limits *limit, struct ear_error *err)
{
    static const char blanks[] = {' ', '\t', '\r', '\n'};
    void *memory = NULL;

    while (length > 0 && memchr(blanks, text[length - 1], sizeof blanks) != NULL) {
        length--; /* so that the kept text ends with its NUL */
    }
    if (length > MESSAGE_MAX) {
        ear_fail(err, EAR_REJECT, "too_large: %zu bytes, where a message has at most %d", length,
                 MESSAGE_MAX);
        return NULL;
    }
    if (json_read(arena->json, text, length, limit, err) == NULL) {
        return NULL;
    }
    memory = message_arena_take(arena, json_pack_size(arena->json), err);
    return memory != NULL ? json_pack(arena->json, memory) : NULL;
}

struct ear_message *message_read(struct message_arena *arena, const char *text, size_t length,
                                 struct ear_error *err)
{
    struct ear_message *message = NULL;
    const struct json_node *root = keep(arena, text, length, &limits, err);

    if (root == NULL) {
        return NULL;
    }
    if (json_kind_of(root) != JSON_OBJECT) {
        ear_fail(err, EAR_REJECT, "schema: a message is a JSON object");
        return NULL;
    }
    message = message_arena_take(arena, sizeof *message, err);
    if (message == NULL) {
        return NULL;
    }
    *message = (struct ear_message){
        .arena = arena,
        .root = root,
        .repaired = json_repaired(arena->json) || json_duplicates(arena->json),
    };
    return message;
}

void message_set_host(struct ear_message *message, const void *host)
{
    message->host = host;
}

struct ear_message *message_copy(struct message_arena *arena, const struct ear_message *message,
                                 struct ear_error *err)
{
    struct ear_message *copy = NULL;
    size_t length = 0;
    const char *text = message_text(message, &length, err);

    if (text == NULL) {
        return NULL;
    }
    copy = message_read(arena, text, length, err);
    if (copy != NULL) {
        copy->host = message->host;
        copy->repaired = message->repaired;
    }
    return copy;
}

static struct change *find_change(const struct ear_message *message, const char *name,
                                  size_t length)
{
    for (size_t i = 0; i < message->change_count; i++) {
        struct change *change = &message->changes[i];

        if (change->name_length == length && memcmp(change->name, name, length) == 0) {
            return change;
        }
    }
    return NULL;
}

/* The node of a change, read when it is first asked for. NULL: removed, or memory ran out, which
 * message_text then says. */
static const struct json_node *read_change(const struct ear_message *message, struct change *change)
{
    struct ear_error failed = {0};

    if (change->node == NULL && change->raw != NULL) {
        change->node =
            keep(message->arena, change->raw, change->raw_length, &field_limits, &failed);
        message->arena->unreadable = message->arena->unreadable || change->node == NULL;
    }
    return change->node;
}

const struct json_node *message_node(const struct ear_message *message, const char *name)
{
    struct change *change =
        message->change_count > 0 ? find_change(message, name, strlen(name)) : NULL;

    return change != NULL ? read_change(message, change) : json_get(message->root, name);
}

const char *message_string(const struct ear_message *message, const char *name, size_t *length)
{
    const struct json_node *node = message_node(message, name);

    return json_string(json_kind_of(node) == JSON_STRING ? node : NULL, length);
}

bool message_integer(const struct ear_message *message, const char *name, int64_t *out)
{
    return json_integer(message_node(message, name), out);
}

bool message_number(const struct ear_message *message, const char *name, double *out)
{
    return json_number(message_node(message, name), out);
}

bool message_boolean(const struct ear_message *message, const char *name, bool *out)
{
    return json_boolean(message_node(message, name), out);
}

const char *message_raw(const struct ear_message *message, const char *name, size_t *length)
{
    const struct change *change =
        message->change_count > 0 ? find_change(message, name, strlen(name)) : NULL;

    if (change == NULL) {
        return json_raw(json_get(message->root, name), length);
    }
    if (length != NULL) {
        *length = change->raw_length;
    }
    return change->raw;
}

bool message_repaired(const struct ear_message *message)
{
    return message->repaired;
}

/* The change of that name, made if there is none yet. */
static struct change *take_change(struct ear_message *message, const char *name,
                                  struct ear_error *err)
{
    size_t length = strlen(name);
    struct change *change = find_change(message, name, length);
    char *copy = NULL;

    if (change != NULL) {
        return change;
    }
    if (message->change_count == message->change_capacity) {
        size_t capacity = message->change_capacity == 0 ? 8 : message->change_capacity * 2;
        struct change *changes =
            message_arena_take(message->arena, capacity * sizeof *changes, err);

        if (changes == NULL) {
            return NULL;
        }
        if (message->change_count > 0) {
            memcpy(changes, message->changes, message->change_count * sizeof *changes);
        }
        message->changes = changes;
        message->change_capacity = capacity;
    }
    copy = message_arena_take(message->arena, length + 1, err);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, name, length + 1);
    change = &message->changes[message->change_count++];
    *change = (struct change){
        .name = copy, .name_length = length, .in_place = json_get(message->root, name) != NULL};
    change->node = json_get(message->root, name);
    change->raw = json_raw(change->node, &change->raw_length);
    return change;
}

int message_set_raw(struct ear_message *message, const char *name, const char *json, size_t length,
                    struct ear_error *err)
{
    const struct json_node *node = NULL;
    struct change *change = NULL;

    if (json != NULL) {
        node = keep(message->arena, json, length, &field_limits, err);
        if (node == NULL) {
            return -1;
        }
    }
    change = take_change(message, name, err);
    if (change == NULL) {
        return -1;
    }
    change->node = node;
    change->raw = json_raw(node, &change->raw_length);
    return 0;
}

int message_set_written(struct ear_message *message, const char *name, const char *json,
                        size_t length, struct ear_error *err)
{
    struct change *change = NULL;
    char *copy = NULL;

    if (length > MESSAGE_MAX) {
        return ear_fail(err, EAR_REJECT, "too_large: %zu bytes, where a message has at most %d",
                        length, MESSAGE_MAX);
    }
    copy = message_arena_take(message->arena, length + 1, err);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, json, length);
    copy[length] = '\0';
    change = take_change(message, name, err);
    if (change == NULL) {
        return -1;
    }
    change->node = NULL;
    change->raw = copy;
    change->raw_length = length;
    return 0;
}

int message_set_string(struct ear_message *message, const char *name, const char *text,
                       size_t length, struct ear_error *err)
{
    struct json_writer *writer = message->arena->writer;
    const char *json = NULL;
    size_t size = 0;

    if (text == NULL) {
        return message_set_raw(message, name, NULL, 0, err);
    }
    json_writer_reset(writer);
    json_write_bytes(writer, text, length);
    json = json_writer_text(writer, &size, err);
    return json != NULL ? message_set_written(message, name, json, size, err) : -1;
}

static void put_new(struct json_writer *writer, const struct change *change)
{
    json_write_key(writer, change->name);
    json_write_raw(writer, change->raw, change->raw_length);
}

/* One member of the document, as it stands or with its new value. */
static void put_member(struct json_writer *writer, const struct ear_message *message,
                       const struct json_node *member)
{
    const char *key = json_key(member);
    const struct change *change = find_change(message, key, strlen(key));

    if (change == NULL) {
        size_t length = 0;
        const char *span = json_member_raw(member, &length);

        json_write_raw(writer, span, length);
    } else if (change->raw != NULL) {
        put_new(writer, change);
    }
}

const char *message_text(const struct ear_message *message, size_t *length, struct ear_error *err)
{
    struct json_writer *writer = message->arena->writer;
    size_t size = 0;
    const char *text = json_raw(message->root, &size);
    char *copy = NULL;

    if (length != NULL) {
        *length = size;
    }
    if (message->arena->unreadable) {
        ear_fail_memory(err, "a field of a message");
        return NULL;
    }
    if (message->change_count == 0) {
        return text;
    }
    json_writer_reset(writer);
    json_write_object(writer);
    for (const struct json_node *member = json_first(message->root); member != NULL;
         member = json_next(member)) {
        put_member(writer, message, member);
    }
    for (size_t i = 0; i < message->change_count; i++) {
        if (!message->changes[i].in_place && message->changes[i].raw != NULL) {
            put_new(writer, &message->changes[i]);
        }
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &size, err);
    copy = text != NULL ? message_arena_take(message->arena, size + 1, err) : NULL;
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, text, size + 1);
    if (length != NULL) {
        *length = size;
    }
    return copy;
}
