/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json/json_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int json_new(struct json **out, struct ear_error *err)
{
    struct json *json = calloc(1, sizeof *json);

    if (json == NULL) {
        return ear_fail_memory(err, "a JSON document");
    }
    *out = json;
    return 0;
}

void json_free(struct json *json)
{
    if (json == NULL) {
        return;
    }
    json_yajl_free(json);
    free(json->text);
    free(json->strings);
    free(json->tape);
    free((void *)json->sorted);
    free(json);
}

bool json_repaired(const struct json *json)
{
    return json->repaired;
}

bool json_duplicates(const struct json *json)
{
    return json->duplicates;
}

/* Nodes, then the text, then the strings. */
size_t json_pack_size(const struct json *json)
{
    return json->count * sizeof(struct json_node) + json->text_length + 1 + json->strings_length;
}

static const char *moved(const char *pointer, const char *from, const char *to)
{
    return pointer != NULL ? to + (pointer - from) : NULL;
}

const struct json_node *json_pack(const struct json *json, void *memory)
{
    struct json_node *tape = memory;
    char *text = (char *)(tape + json->count);
    char *strings = text + json->text_length + 1;

    memcpy(tape, json->tape, json->count * sizeof *tape);
    memcpy(text, json->text, json->text_length + 1);
    if (json->strings_length > 0) {
        memcpy(strings, json->strings, json->strings_length);
    }
    for (size_t i = 0; i < json->count; i++) {
        tape[i].key = moved(tape[i].key, json->strings, strings);
        tape[i].string = moved(tape[i].string, json->strings, strings);
        tape[i].key_raw = moved(tape[i].key_raw, json->text, text);
        tape[i].raw = moved(tape[i].raw, json->text, text);
    }
    return tape;
}

enum json_kind json_kind_of(const struct json_node *node)
{
    return node != NULL ? node->kind : JSON_NULL;
}

size_t json_count(const struct json_node *node)
{
    return node != NULL ? node->count : 0;
}

const struct json_node *json_first(const struct json_node *node)
{
    return node != NULL && node->first > 0 ? node + node->first : NULL;
}

const struct json_node *json_next(const struct json_node *node)
{
    return node != NULL && node->next > 0 ? node + node->next : NULL;
}

const char *json_key(const struct json_node *node)
{
    return node != NULL ? node->key : NULL;
}

static const struct json_node *member(const struct json_node *object, const char *key,
                                      size_t length)
{
    if (object == NULL || object->kind != JSON_OBJECT) {
        return NULL;
    }
    for (const struct json_node *node = json_first(object); node != NULL; node = json_next(node)) {
        if (node->key_length == length && (length == 0 || node->key[0] == key[0]) &&
            memcmp(node->key, key, length) == 0) {
            return node;
        }
    }
    return NULL;
}

const struct json_node *json_get(const struct json_node *object, const char *key)
{
    return member(object, key, strlen(key));
}

/* An element by its index as RFC 6901 writes it: digits without a leading zero. */
static const struct json_node *element(const struct json_node *array, const char *digits,
                                       size_t length)
{
    const struct json_node *node = json_first(array);
    size_t index = 0;

    if (length == 0 || length > 9 || (digits[0] == '0' && length > 1)) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return NULL;
        }
        index = index * 10 + (size_t)(digits[i] - '0');
    }
    while (node != NULL && index > 0) {
        node = json_next(node);
        index--;
    }
    return node;
}

/* Takes ~0 and ~1 out of a reference token; returns its length, or SIZE_MAX if it does not fit. */
static size_t unescape(char *out, size_t size, const char *token, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (used == size) {
            return SIZE_MAX;
        }
        out[used] = token[i];
        if (token[i] == '~' && i + 1 < length && (token[i + 1] == '0' || token[i + 1] == '1')) {
            out[used] = token[++i] == '0' ? '~' : '/';
        }
        used++;
    }
    return used;
}

const struct json_node *json_pointer(const struct json_node *node, const char *pointer)
{
    char key[512];

    while (node != NULL && *pointer != '\0') {
        size_t length = 0;

        if (*pointer != '/') {
            return NULL;
        }
        pointer++;
        length = strcspn(pointer, "/");
        if (node->kind == JSON_ARRAY) {
            node = element(node, pointer, length);
        } else {
            size_t used = unescape(key, sizeof key, pointer, length);

            node = used == SIZE_MAX ? NULL : member(node, key, used);
        }
        pointer += length;
    }
    return node;
}

static const char *give(const char *text, size_t size, size_t *length)
{
    if (length != NULL) {
        *length = text != NULL ? size : 0;
    }
    return text;
}

const char *json_string(const struct json_node *node, size_t *length)
{
    if (node == NULL) {
        return give(NULL, 0, length);
    }
    return give(node->string, node->string_length, length);
}

const char *json_raw(const struct json_node *node, size_t *length)
{
    if (node == NULL) {
        return give(NULL, 0, length);
    }
    return give(node->raw, node->raw_length, length);
}

const char *json_member_raw(const struct json_node *node, size_t *length)
{
    if (node == NULL || node->key_raw == NULL) {
        return give(NULL, 0, length);
    }
    return give(node->key_raw, (size_t)(node->raw - node->key_raw) + node->raw_length, length);
}

bool json_number(const struct json_node *node, double *out)
{
    if (node == NULL || node->kind != JSON_NUMBER) {
        return false;
    }
    *out = strtod(node->string, NULL);
    return true;
}

bool json_integer(const struct json_node *node, int64_t *out)
{
    const double exact = 9007199254740992.0; /* 2^53 */
    double number = 0;
    long long value = 0;
    char *end = NULL;

    if (node == NULL || node->kind != JSON_NUMBER) {
        return false;
    }
    errno = 0;
    value = strtoll(node->string, &end, 10);
    if (*end == '\0' && errno == 0) {
        *out = value;
        return true;
    }
    number = strtod(node->string, NULL); /* 1.0 and 1e3 are integers as well */
    if (*end == '\0' || number != trunc(number) || fabs(number) > exact) {
        return false;
    }
    *out = (int64_t)number;
    return true;
}

bool json_boolean(const struct json_node *node, bool *out)
{
    if (node == NULL || (node->kind != JSON_TRUE && node->kind != JSON_FALSE)) {
        return false;
    }
    *out = node->kind == JSON_TRUE;
    return true;
}
