/* SPDX-License-Identifier: Apache-2.0 */
/* A tree is built, by places in one array, as what is alike may stand apart; then it is written. */
#include "collectors/definition/answer_xml.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/markup/markup.h"
#include "common/text/text.h"

enum { NODES_MAX = 3 * JSON_MEMBERS_MAX };

#define NONE SIZE_MAX
#define BLANKS " \t\r\n"

enum node_kind { NODE_ELEMENT, NODE_ATTRIBUTE, NODE_TEXT };

struct node {
    enum node_kind kind;
    bool again;           /* one before it has its name: that one writes it */
    size_t name;          /* where it is among the bytes; a text: its own */
    size_t text, length;  /* of an attribute or a text */
    size_t first, last;   /* below it; NONE */
    size_t next, another; /* beside it; beside it, of its name */
};

struct tree {
    struct node *nodes; /* the first is what is around the document */
    size_t count, capacity;
    char *bytes;
    size_t used, size;
    size_t open[ANSWER_XML_DEPTH_MAX + 1]; /* the way down to where we are */
    size_t depth;
    struct named *sorting;
    size_t sorting_size;
    struct json_writer *writer;
};

struct named {
    const char *name;
    size_t at;
};

/* --- building --- */

static int make_room(struct tree *tree, size_t length, struct ear_error *err)
{
    if (tree->size - tree->used < length) {
        const size_t size = (tree->used + length) * 3 / 2 + 1024;
        char *bytes = realloc(tree->bytes, size);

        if (bytes == NULL) {
            return ear_fail_memory(err, "an answer in XML");
        }
        tree->bytes = bytes;
        tree->size = size;
    }
    return 0;
}

static int put_bytes(struct tree *tree, const char *text, size_t length, struct ear_error *err)
{
    if (make_room(tree, length, err) != 0) {
        return -1;
    }
    if (length > 0) {
        memcpy(tree->bytes + tree->used, text, length);
        tree->used += length;
    }
    return 0;
}

/* The last one below where we are. NULL: err. */
static struct node *add(struct tree *tree, enum node_kind kind, struct ear_error *err)
{
    struct node *parent = NULL;

    if (tree->count == NODES_MAX) {
        ear_fail(err, EAR_REJECT, "too_many: more than %d elements, attributes and texts",
                 NODES_MAX);
        return NULL;
    }
    if (tree->nodes == NULL || tree->count == tree->capacity) {
        const size_t capacity = tree->capacity == 0 ? 256 : tree->capacity * 2;
        struct node *nodes = realloc(tree->nodes, capacity * sizeof(*nodes));

        if (nodes == NULL) {
            ear_fail_memory(err, "an answer in XML");
            return NULL;
        }
        tree->nodes = nodes;
        tree->capacity = capacity;
    }
    tree->nodes[tree->count] =
        (struct node){.kind = kind, .first = NONE, .last = NONE, .next = NONE, .another = NONE};
    if (tree->count > 0) {
        parent = &tree->nodes[tree->open[tree->depth]];
        if (parent->last == NONE) {
            parent->first = tree->count;
        } else {
            tree->nodes[parent->last].next = tree->count;
        }
        parent->last = tree->count;
    }
    return &tree->nodes[tree->count++];
}

static int name_it(struct tree *tree, struct node *node, const char *mark, const char *prefix,
                   const char *name, struct ear_error *err)
{
    node->name = tree->used;
    return put_bytes(tree, mark, strlen(mark), err) != 0 ||
                   put_bytes(tree, prefix, strlen(prefix), err) != 0 ||
                   put_bytes(tree, ":", *prefix == '\0' ? 0 : 1, err) != 0 ||
                   put_bytes(tree, name, strlen(name) + 1, err) != 0
               ? -1
               : 0;
}

static int on_open(void *user, const char *prefix, const char *name,
                   const struct markup_attribute attributes[], size_t count, struct ear_error *err)
{
    struct tree *tree = user;
    struct node *node = NULL;

    if (tree->depth == ANSWER_XML_DEPTH_MAX) {
        return ear_fail(err, EAR_REJECT, "too_deep: more than %d elements are open",
                        ANSWER_XML_DEPTH_MAX);
    }
    node = add(tree, NODE_ELEMENT, err);
    if (node == NULL || name_it(tree, node, "", prefix, name, err) != 0) {
        return -1;
    }
    tree->open[++tree->depth] = tree->count - 1;
    for (size_t i = 0; i < count; i++) {
        node = add(tree, NODE_ATTRIBUTE, err);
        if (node == NULL ||
            name_it(tree, node, "@", attributes[i].space, attributes[i].name, err) != 0) {
            return -1;
        }
        node->text = tree->used;
        node->length = strlen(attributes[i].value);
        if (put_bytes(tree, attributes[i].value, node->length, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int on_text(void *user, const char *text, size_t length, struct ear_error *err)
{
    struct tree *tree = user;
    const size_t last = tree->nodes[tree->open[tree->depth]].last;
    struct node *node = last == NONE ? NULL : &tree->nodes[last];

    if (node == NULL || node->kind != NODE_TEXT || node->text + node->length != tree->used) {
        node = add(tree, NODE_TEXT, err);
        if (node == NULL) {
            return -1;
        }
        node->text = tree->used;
    }
    node->length += length;
    return put_bytes(tree, text, length, err);
}

static int compare(const void *one, const void *other)
{
    const struct named *a = one;
    const struct named *b = other;
    const int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* Finds what is alike below an element that is complete. */
static int on_close(void *user, const char *prefix, const char *name, struct ear_error *err)
{
    struct tree *tree = user;
    size_t count = 0;

    (void)prefix;
    (void)name;
    for (size_t at = tree->nodes[tree->open[tree->depth]].first; at != NONE;
         at = tree->nodes[at].next) {
        if (tree->nodes[at].kind != NODE_ELEMENT) {
            continue;
        }
        if (count == tree->sorting_size) {
            const size_t size = tree->sorting_size == 0 ? 64 : tree->sorting_size * 2;
            struct named *sorting = realloc(tree->sorting, size * sizeof(*sorting));

            if (sorting == NULL) {
                return ear_fail_memory(err, "an answer in XML");
            }
            tree->sorting = sorting;
            tree->sorting_size = size;
        }
        tree->sorting[count++] =
            (struct named){.name = tree->bytes + tree->nodes[at].name, .at = at};
    }
    if (count > 1) {
        qsort(tree->sorting, count, sizeof(*tree->sorting), compare);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(tree->sorting[i - 1].name, tree->sorting[i].name) == 0) {
            tree->nodes[tree->sorting[i - 1].at].another = tree->sorting[i].at;
            tree->nodes[tree->sorting[i].at].again = true;
        }
    }
    tree->depth--;
    return 0;
}

/* --- writing --- */

static bool is_blank(char byte)
{
    return byte != '\0' && strchr(BLANKS, byte) != NULL;
}

/* The text of an element, gathered behind the bytes. */
static int gather(struct tree *tree, const struct node *element, const char **text, size_t *length,
                  struct ear_error *err)
{
    const size_t from = tree->used;
    size_t whole = 0;

    for (size_t at = element->first; at != NONE; at = tree->nodes[at].next) {
        whole += tree->nodes[at].kind == NODE_TEXT ? tree->nodes[at].length : 0;
    }
    if (make_room(tree, whole, err) != 0) {
        return -1;
    }
    for (size_t at = element->first; at != NONE; at = tree->nodes[at].next) {
        const struct node *node = &tree->nodes[at];

        if (node->kind == NODE_TEXT) {
            memcpy(tree->bytes + tree->used, tree->bytes + node->text, node->length);
            tree->used += node->length;
        }
    }
    tree->used = from; /* until the next one */
    *text = whole == 0 ? "" : tree->bytes + from;
    while (whole > 0 && is_blank(**text)) {
        (*text)++;
        whole--;
    }
    while (whole > 0 && is_blank((*text)[whole - 1])) {
        whole--;
    }
    *length = whole;
    return 0;
}

static int write_element(struct tree *tree, size_t place, struct ear_error *err);

/* NOLINTNEXTLINE(misc-no-recursion): at most ANSWER_XML_DEPTH_MAX deep */
static int write_child(struct tree *tree, size_t place, struct ear_error *err)
{
    const struct node *node = &tree->nodes[place];
    int result = 0;

    if (node->kind == NODE_TEXT || node->again) {
        return 0;
    }
    json_write_key(tree->writer, tree->bytes + node->name);
    if (node->kind == NODE_ATTRIBUTE) {
        json_write_bytes(tree->writer, tree->bytes + node->text, node->length);
        return 0;
    }
    if (node->another == NONE) {
        return write_element(tree, place, err);
    }
    json_write_array(tree->writer);
    for (size_t at = place; at != NONE && result == 0; at = tree->nodes[at].another) {
        result = write_element(tree, at, err);
    }
    json_write_array_end(tree->writer);
    return result;
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static int write_element(struct tree *tree, size_t place, struct ear_error *err)
{
    const struct node *element = &tree->nodes[place];
    const char *text = NULL;
    size_t length = 0;
    bool plain = true;

    for (size_t at = element->first; at != NONE && plain; at = tree->nodes[at].next) {
        plain = tree->nodes[at].kind == NODE_TEXT;
    }
    if (!plain) {
        json_write_object(tree->writer);
        for (size_t at = element->first; at != NONE; at = tree->nodes[at].next) {
            if (write_child(tree, at, err) != 0) {
                return -1;
            }
        }
    }
    if (gather(tree, element, &text, &length, err) != 0) {
        return -1;
    }
    if (!plain && length > 0) {
        json_write_key(tree->writer, "#text");
    }
    if (length > 0) {
        json_write_bytes(tree->writer, text, length);
    } else if (plain) {
        json_write_null(tree->writer);
    }
    if (!plain) {
        json_write_object_end(tree->writer);
    }
    return 0;
}

static int build(struct tree *tree, const char *bytes, size_t length, const char *type,
                 struct ear_error *err)
{
    static const struct markup_handler handler = {
        .open = on_open, .close = on_close, .text = on_text, .prefixes = true};
    bool repaired = false;
    size_t text_length = 0;
    char *text = text_decode_markup(bytes, length, type, &text_length, &repaired);
    int result = -1;

    if (text == NULL) {
        return ear_fail_memory(err, "an answer in XML");
    }
    if (add(tree, NODE_ELEMENT, err) != NULL) {
        result = markup_read_xml(text, text_length, &handler, tree, err);
    }
    free(text);
    return result;
}

int answer_xml_read(char **out, size_t *out_length, const char *bytes, size_t length,
                    const char *type, struct ear_error *err)
{
    struct tree tree = {0};
    const char *text = NULL;
    int result = -1;

    *out = NULL;
    if (length == 0) {
        return ear_fail(err, EAR_REJECT, "bad_xml: the answer is empty");
    }
    if (length > json_limits_default.bytes) {
        return ear_fail(err, EAR_REJECT, "too_big: an answer of %zu bytes", length);
    }
    if (build(&tree, bytes, length, type, err) != 0 ||
        json_writer_new(&tree.writer, json_limits_default.bytes, err) != 0 ||
        write_element(&tree, 0, err) != 0) {
        goto done;
    }
    text = json_writer_text(tree.writer, out_length, err);
    if (text == NULL) {
        goto done;
    }
    *out = strndup(text, *out_length);
    result = *out == NULL ? ear_fail_memory(err, "an answer in XML") : 0;

done:
    json_writer_free(tree.writer);
    free(tree.sorting);
    free(tree.nodes);
    free(tree.bytes);
    return result;
}
