/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Pointers with `*` and `**`, taken apart when a definition is read. */

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"

enum { STEPS_MAX = 32 };

/* What stands in front: parent, parent/parent, first, or nothing. Returns the rest. */
static const char *read_root(struct pointer *out, const char *text)
{
    out->of_grandparent = strncmp(text, "parent/parent/", 14) == 0;
    out->of_parent = !out->of_grandparent && strncmp(text, "parent/", 7) == 0;
    out->of_first = strncmp(text, "first/", 6) == 0;
    return text + (out->of_grandparent ? 13 : out->of_parent ? 6 : out->of_first ? 5 : 0);
}

bool pointer_is(const char *text)
{
    struct pointer pointer = {0};
    const char *rest = read_root(&pointer, text);

    return (*rest == '/' || *rest == '\0') && strchr(text, '{') == NULL;
}

/* The key between two slashes, ~1 and ~0 resolved (RFC 6901, section 4). False: a lone ~. */
static bool unescape(char *out, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (from[i] != '~') {
            *out++ = from[i];
        } else if (i + 1 < length && (from[i + 1] == '0' || from[i + 1] == '1')) {
            *out++ = from[++i] == '0' ? '~' : '/';
        } else {
            return false;
        }
    }
    *out = '\0';
    return true;
}

/* A place in a list: digits without a leading zero. */
static int64_t index_of(const char *key)
{
    const size_t length = strlen(key);

    if (length == 0 || length > 9 || strspn(key, "0123456789") != length ||
        (key[0] == '0' && length > 1)) {
        return -1;
    }
    return strtol(key, NULL, 10);
}

/* Reads the steps of `text`; says what is wrong, or NULL. */
static const char *read_steps(struct pointer_step *steps, size_t *count, char *keys,
                              const char *text)
{
    size_t deep = 0;

    for (const char *at = text; *at == '/';) {
        const size_t length = strcspn(at + 1, "/");
        struct pointer_step *step = &steps[*count];

        if (*count == STEPS_MAX) {
            return "has more than 32 steps";
        }
        if (!unescape(keys, at + 1, length)) {
            return "has a ~ that is neither ~0 nor ~1";
        }
        step->kind = strcmp(keys, "*") == 0    ? STEP_EACH
                     : strcmp(keys, "**") == 0 ? STEP_DEEP
                                               : STEP_KEY;
        deep += step->kind == STEP_DEEP ? 1 : 0;
        if (deep > 1) {
            return "holds ** twice; once is enough for any depth";
        }
        step->key = keys;
        step->index = index_of(keys);
        keys += strlen(keys) + 1;
        at += length + 1;
        (*count)++;
    }
    return NULL;
}

int pointer_read(struct pointer *out, struct definition *definition, struct config *config,
                 const struct config_node *node, const char *text, struct ear_error *err)
{
    struct pointer pointer = {0};
    const char *rest = read_root(&pointer, text);
    size_t slashes = 0;
    struct pointer_step *steps = NULL;
    char *keys = NULL;
    size_t count = 0;
    const char *wrong = NULL;

    *out = (struct pointer){0};
    for (const char *at = rest; *at != '\0'; at++) {
        slashes += *at == '/' ? 1 : 0;
    }
    steps = definition_take(definition, (slashes + 1) * sizeof(*steps), err);
    keys = definition_take(definition, strlen(rest) + slashes + 1, err);
    if (steps == NULL || keys == NULL) {
        return -1;
    }
    wrong = *rest != '/' && *rest != '\0' ? "does not begin with /"
                                          : read_steps(steps, &count, keys, rest);
    if (wrong != NULL) {
        config_report(config, CONFIG_ERROR, node,
                      "the pointer '%.200s' %s; write one such as /data/items/*", text, wrong);
        return 0;
    }
    pointer.text = rest;
    pointer.steps = steps;
    pointer.step_count = count;
    *out = pointer;
    return 0;
}

/* --- following --- */

struct walk {
    const struct pointer *pointer;
    bool (*found)(void *user, const struct json_node *node);
    void *user;
};

static const struct json_node *element(const struct json_node *array, int64_t index)
{
    const struct json_node *node = index < 0 ? NULL : json_first(array);

    for (; node != NULL && index > 0; index--) {
        node = json_next(node);
    }
    return node;
}

static bool is_container(const struct json_node *node)
{
    return json_kind_of(node) == JSON_ARRAY || json_kind_of(node) == JSON_OBJECT;
}

static bool follow(const struct walk *walk, size_t at, const struct json_node *node);

/* Goes on, with step `at`, below each child. */
static bool follow_children(const struct walk *walk, size_t at, const struct json_node *node)
{
    if (!is_container(node)) {
        return true;
    }
    for (const struct json_node *child = json_first(node); child != NULL;
         child = json_next(child)) {
        if (!follow(walk, at, child)) {
            return false;
        }
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the document, which is at most JSON_DEPTH_MAX */
static bool follow(const struct walk *walk, size_t at, const struct json_node *node)
{
    const struct pointer_step *step = NULL;
    const struct json_node *next = NULL;

    if (at == walk->pointer->step_count) {
        return walk->found(walk->user, node);
    }
    step = &walk->pointer->steps[at];
    switch (step->kind) {
    case STEP_EACH:
        if ((json_kind_of(node) == JSON_OBJECT || json_kind_of(node) == JSON_STRING) &&
            (at == 0 || step[-1].kind != STEP_DEEP)) {
            return follow(walk, at + 1, node); /* behind ** it would be found twice */
        }
        return json_kind_of(node) != JSON_ARRAY || follow_children(walk, at + 1, node);
    case STEP_DEEP:
        return follow(walk, at + 1, node) && follow_children(walk, at, node);
    default:
        break;
    }
    if (json_kind_of(node) == JSON_OBJECT) {
        next = json_get(node, step->key);
    } else if (json_kind_of(node) == JSON_ARRAY) {
        next = element(node, step->index);
    }
    return next == NULL || follow(walk, at + 1, next);
}

bool pointer_each(const struct pointer *pointer, const struct json_node *root,
                  bool (*found)(void *user, const struct json_node *node), void *user)
{
    const struct walk walk = {.pointer = pointer, .found = found, .user = user};

    return pointer->text == NULL || root == NULL || follow(&walk, 0, root);
}

static bool take_first(void *user, const struct json_node *node)
{
    const struct json_node **out = user;

    if (json_kind_of(node) == JSON_NULL) {
        return true;
    }
    *out = node;
    return false;
}

const struct json_node *pointer_root(const struct pointer *pointer,
                                     const struct environment *environment)
{
    return pointer->of_parent        ? environment->parent
           : pointer->of_grandparent ? environment->grandparent
           : pointer->of_first       ? environment->first
                                     : environment->record;
}

const struct json_node *pointer_first(const struct pointer *pointer,
                                      const struct environment *environment)
{
    const struct json_node *node = NULL;

    (void)pointer_each(pointer, pointer_root(pointer, environment), take_first, &node);
    return node;
}

const char *scalar_text(const struct json_node *node, size_t *length)
{
    const char *text = NULL;

    if (node == NULL) {
        return NULL;
    }
    switch (json_kind_of(node)) {
    case JSON_TRUE:
        text = "true";
        break;
    case JSON_FALSE:
        text = "false";
        break;
    case JSON_STRING:
    case JSON_NUMBER:
        return json_string(node, length);
    default:
        return NULL;
    }
    if (length != NULL) {
        *length = strlen(text);
    }
    return text;
}
