/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in JSON, from a tree of templates. */

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"

/* As JSON has it: a number, true, false. (YAML's quotes do not come this far: a text of digits is
 * written by a template, or not needed.) */
static bool is_plain(const char *text)
{
    const char *digits = text + (*text == '-' ? 1 : 0);
    const size_t whole = strspn(digits, "0123456789");
    const char *rest = digits + whole;

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        return true;
    }
    if (whole == 0 || whole > 15 || (whole > 1 && *digits == '0')) {
        return false;
    }
    return *rest == '\0' ||
           (*rest == '.' && rest[1] != '\0' && strspn(rest + 1, "0123456789") == strlen(rest + 1));
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the document, which is bounded */
static int read_node(struct body *body, struct definition *definition, struct config *config,
                     const struct config_node *node, struct ear_error *err)
{
    const char *text = config_scalar(node);
    const size_t count = config_count(node);

    if (config_is_absent(node)) {
        *body = (struct body){.kind = BODY_RAW, .raw = "null"};
        return 0;
    }
    if (text != NULL && is_plain(text)) {
        *body = (struct body){.kind = BODY_RAW, .raw = text};
        return 0;
    }
    if (text != NULL) {
        *body = (struct body){.kind = BODY_TEXT};
        return template_read(&body->text, definition, config, node, err);
    }
    *body = (struct body){.kind = config_is_mapping(node) ? BODY_OBJECT : BODY_ARRAY};
    body->items = definition_take(definition, (count + 1) * sizeof(*body->items), err);
    if (body->items == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_node(&body->items[i], definition, config, config_at(node, i), err) != 0) {
            return -1;
        }
        body->items[i].key = body->kind == BODY_OBJECT ? config_key_at(node, i) : NULL;
        body->count++;
    }
    return 0;
}

int body_read(const struct body **out, struct definition *definition, struct config *config,
              const struct config_node *node, struct ear_error *err)
{
    struct body *body = definition_take(definition, sizeof(*body), err);

    *out = body;
    return body == NULL ? -1 : read_node(body, definition, config, node, err);
}

/* --- writing --- */

/* What is written, and where the page goes: the rest of its pointer below the node in hand; NULL:
 * not below it. */
struct writing {
    const struct environment *environment;
    const char *page;
    struct json_writer *writer;
    struct ear_error *err;
};

/* The rest of `into` behind the step `key`; NULL: it goes elsewhere. */
static const char *behind(const char *into, const char *key)
{
    const size_t length = key == NULL ? 0 : strlen(key);

    if (into == NULL || key == NULL || *into != '/' || strncmp(into + 1, key, length) != 0 ||
        (into[1 + length] != '/' && into[1 + length] != '\0')) {
        return NULL;
    }
    return into + 1 + length;
}

static int write_node(const struct writing *writing, const struct body *body, const char *into);

static int write_text(const struct writing *writing, const struct body *body)
{
    bool absent = false;
    char *text = NULL;

    if (body->text == NULL) {
        return 0;
    }
    text = template_expand(body->text, writing->environment, TEMPLATE_PLAIN, &absent, writing->err);
    if (text == NULL) {
        return absent ? 0 : -1;
    }
    if (body->key != NULL) {
        json_write_key(writing->writer, body->key);
    }
    json_write_string(writing->writer, text);
    free(text);
    return 0;
}

/* Objects that are not there yet on the way to the page. */
static void write_page(const struct writing *writing, const char *into)
{
    char key[256];
    size_t depth = 0;

    for (; *into == '/' && depth < 16; depth++) {
        const size_t length = strcspn(into + 1, "/");

        memcpy(key, into + 1, length < sizeof(key) ? length : sizeof(key) - 1);
        key[length < sizeof(key) ? length : sizeof(key) - 1] = '\0';
        if (depth > 0) {
            json_write_object(writing->writer);
        }
        json_write_key(writing->writer, key);
        into += length + 1;
    }
    json_write_string(writing->writer, writing->page);
    for (; depth > 1; depth--) {
        json_write_object_end(writing->writer);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the definition wrote it */
static int write_items(const struct writing *writing, const struct body *body, const char *into)
{
    bool placed = into == NULL || *into == '\0';

    for (size_t i = 0; i < body->count; i++) {
        const char *below = behind(into, body->items[i].key);

        placed = placed || below != NULL;
        if (below != NULL && *below == '\0') {
            json_write_key(writing->writer, body->items[i].key);
            json_write_string(writing->writer, writing->page);
        } else if (write_node(writing, &body->items[i], below) != 0) {
            return -1;
        }
    }
    if (!placed && body->kind == BODY_OBJECT) {
        write_page(writing, into);
    }
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static int write_node(const struct writing *writing, const struct body *body, const char *into)
{
    int result = 0;

    if (body->kind == BODY_TEXT) {
        return write_text(writing, body);
    }
    if (body->key != NULL) {
        json_write_key(writing->writer, body->key);
    }
    if (body->kind == BODY_RAW) {
        json_write_raw(writing->writer, body->raw, strlen(body->raw));
    } else if (body->kind == BODY_OBJECT) {
        json_write_object(writing->writer);
        result = write_items(writing, body, into);
        json_write_object_end(writing->writer);
    } else {
        json_write_array(writing->writer);
        result = write_items(writing, body, NULL);
        json_write_array_end(writing->writer);
    }
    return result;
}

int body_write(const struct body *body, const struct environment *environment, const char *into,
               const char *page, struct json_writer *writer, struct ear_error *err)
{
    const struct writing writing = {
        .environment = environment, .page = page, .writer = writer, .err = err};

    return write_node(&writing, body, page == NULL ? NULL : into);
}
