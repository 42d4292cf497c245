/* SPDX-License-Identifier: Apache-2.0 */

/*
 * YAML text to nodes: libfyaml's events, one recursive descent. The tree is ours, so that places,
 * paths and memory are too, and nothing of libfyaml outlives the read.
 *
 * An alias becomes a copy of what its anchor held (a copy has a path of its own; its place stays
 * where the words stand). Copies count towards CONFIG_NODES_MAX, so that a file of nested aliases
 * ends there. `<<` merges, as many tools have it: keys that stand in the mapping win.
 */

#include <stdlib.h>
#include <string.h>

#include <libfyaml.h>

#include "common/config/config_internal.h"

enum { ANCHORS_MAX = 1000 };

struct anchor {
    const char *name;
    const struct config_node *node;
};

struct reader {
    struct config *config;
    struct fy_parser *parser;
    const char *name;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    size_t nodes;
    bool failed;
};

/* Where a node stands: below which path, under which key or index. */
struct place {
    const char *path; /* of its parent */
    const char *key;  /* NULL: an element */
    size_t index;
    int line, column; /* of its key: for a value that has no text of its own */
    int depth;
};

static struct config_node *read_node(struct reader *reader, struct fy_event *event,
                                     const struct place *place);

static void fail_at(struct reader *reader, int line, int column, const char *path, const char *text)
{
    if (!reader->failed) {
        config_report_at(reader->config, CONFIG_ERROR, reader->name, line, column, path, "%s",
                         text);
    }
    reader->failed = true;
}

static const char *path_of(struct reader *reader, const struct place *place)
{
    if (place->key == NULL) {
        return config_print(reader->config, "%s[%zu]", place->path, place->index);
    }
    return config_print(reader->config, "%s%s%s", place->path, place->path[0] == '\0' ? "" : ".",
                        place->key);
}

/* A node at a place; counts it. NULL: too many, or no memory left. */
static struct config_node *node_new(struct reader *reader, enum config_kind kind,
                                    const struct place *place, int line, int column)
{
    struct config_node *node = NULL;

    if (++reader->nodes > CONFIG_NODES_MAX) {
        fail_at(reader, line, column, place->path,
                "too many values (more than 200000, aliases included); split the file");
        return NULL;
    }
    node = config_take(reader->config, sizeof *node);
    if (node == NULL) {
        reader->failed = true;
        return NULL;
    }
    node->kind = kind;
    node->file = reader->name;
    node->line = line;
    node->column = column;
    node->path = place->depth == 0 ? "" : path_of(reader, place);
    if (node->path == NULL) {
        reader->failed = true;
        return NULL;
    }
    return node;
}

static bool node_add(struct reader *reader, struct config_node *node, struct config_pair pair)
{
    if (node->count == node->room) {
        size_t room = node->room == 0 ? 8 : 2 * node->room;
        struct config_pair *more = config_take(reader->config, room * sizeof *more);

        if (more == NULL) {
            reader->failed = true;
            return false;
        }
        if (node->count > 0) {
            memcpy(more, node->pairs, node->count * sizeof *more);
        }
        node->pairs = more;
        node->room = room;
    }
    node->pairs[node->count++] = pair;
    return true;
}

/* --- anchors and aliases --- */

static void remember(struct reader *reader, struct fy_token *token, const struct config_node *node)
{
    size_t length = 0;
    const char *name = token == NULL ? NULL : fy_token_get_text(token, &length);

    if (name == NULL || node == NULL) {
        return;
    }
    if (reader->anchor_count == ANCHORS_MAX) {
        fail_at(reader, node->line, node->column, node->path, "more than 1000 anchors; use fewer");
        return;
    }
    name = config_copy(reader->config, name, length);
    if (name == NULL) {
        reader->failed = true;
        return;
    }
    reader->anchors[reader->anchor_count++] = (struct anchor){name, node};
}

static struct config_node *node_copy(struct reader *reader, const struct config_node *from,
                                     const struct place *place)
{
    struct config_node *node = NULL;

    if (place->depth > CONFIG_DEPTH_MAX) {
        fail_at(reader, from->line, from->column, place->path, "nested deeper than 64 levels");
        return NULL;
    }
    node = node_new(reader, from->kind, place, from->line, from->column);
    if (node == NULL) {
        return NULL;
    }
    node->raw = from->raw;
    node->text = from->text;
    node->unset = from->unset;
    for (size_t i = 0; i < from->count; i++) {
        struct config_pair pair = from->pairs[i];
        struct place below = {node->path, pair.key, i, pair.line, pair.column, place->depth + 1};

        pair.value = node_copy(reader, pair.value, &below);
        if (pair.value == NULL || !node_add(reader, node, pair)) {
            return NULL;
        }
    }
    return node;
}

static struct config_node *read_alias(struct reader *reader, struct fy_event *event,
                                      const struct place *place, int line, int column)
{
    size_t length = 0;
    const char *name = fy_token_get_text(event->alias.anchor, &length);

    for (size_t i = reader->anchor_count; name != NULL && i > 0; i--) {
        const struct anchor *anchor = &reader->anchors[i - 1];

        if (strlen(anchor->name) == length && memcmp(anchor->name, name, length) == 0) {
            return node_copy(reader, anchor->node, place);
        }
    }
    fail_at(reader, line, column, place->depth == 0 ? "" : path_of(reader, place),
            "no anchor of this name stands above; quote the text if it is meant to begin with *");
    return NULL;
}

/* --- the four kinds --- */

static bool means_nothing(struct fy_token *value, const char *text, size_t length)
{
    if (value != NULL && fy_token_scalar_style(value) != FYSS_PLAIN) {
        return false;
    }
    return length == 0 || (length == 1 && *text == '~') ||
           (length == 4 && memcmp(text, "null", 4) == 0);
}

static struct config_node *read_scalar(struct reader *reader, struct fy_event *event,
                                       const struct place *place, int line, int column)
{
    size_t length = 0;
    struct fy_token *value = event->scalar.value;
    const char *text = value == NULL ? NULL : fy_token_get_text(value, &length);
    bool nothing = means_nothing(value, text == NULL ? "" : text, text == NULL ? 0 : length);
    struct config_node *node =
        node_new(reader, nothing ? CONFIG_NOTHING : CONFIG_SCALAR, place, line, column);

    if (node == NULL || nothing) {
        return node;
    }
    node->raw = config_copy(reader->config, text == NULL ? "" : text, text == NULL ? 0 : length);
    if (node->raw == NULL) {
        reader->failed = true;
        return NULL;
    }
    config_substitute(reader->config, node);
    return node;
}

static struct config_node *read_sequence(struct reader *reader, const struct place *place, int line,
                                         int column)
{
    struct config_node *node = node_new(reader, CONFIG_SEQUENCE, place, line, column);
    struct fy_event *event = NULL;

    while (node != NULL && !reader->failed) {
        struct place below = {node->path, NULL, node->count, line, column, place->depth + 1};
        struct config_pair pair = {NULL, 0, 0, NULL};
        bool end = false;

        event = fy_parser_parse(reader->parser);
        end = event == NULL || event->type == FYET_SEQUENCE_END;
        pair.value = end ? NULL : read_node(reader, event, &below);
        fy_parser_event_free(reader->parser, event);
        if (end) {
            return event == NULL ? NULL : node;
        }
        if (pair.value == NULL || !node_add(reader, node, pair)) {
            return NULL;
        }
    }
    return NULL;
}

static int by_key(const void *one, const void *other)
{
    const struct config_pair *const *a = one;
    const struct config_pair *const *b = other;
    int order = strcmp((*a)->key, (*b)->key);

    return order != 0 ? order : (*a > *b) - (*a < *b);
}

/* Reports every key that stands twice. */
static void check_twice(struct reader *reader, const struct config_node *node)
{
    const struct config_pair **sorted = NULL;

    if (node->count < 2) {
        return;
    }
    sorted = config_take(reader->config, node->count * sizeof(struct config_pair *));
    if (sorted == NULL) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        sorted[i] = &node->pairs[i];
    }
    qsort(sorted, node->count, sizeof(struct config_pair *), by_key);
    for (size_t i = 1; i < node->count; i++) {
        if (strcmp(sorted[i]->key, sorted[i - 1]->key) == 0) {
            config_report_at(reader->config, CONFIG_ERROR, reader->name, sorted[i]->line,
                             sorted[i]->column, sorted[i]->value->path,
                             "stands twice in this mapping, first in line %d; keep one of them",
                             sorted[i - 1]->line);
        }
    }
}

/* Adds what `<<` names: a mapping or a list of them; keys that are there win. */
static bool merge(struct reader *reader, struct config_node *node, const struct config_node *from,
                  int depth)
{
    if (from->kind == CONFIG_SEQUENCE) {
        for (size_t i = 0; i < from->count; i++) {
            if (from->pairs[i].value->kind != CONFIG_MAPPING ||
                !merge(reader, node, from->pairs[i].value, depth)) {
                return false;
            }
        }
        return true;
    }
    for (size_t i = 0; i < from->count; i++) {
        struct config_pair pair = from->pairs[i];
        struct place below = {node->path, pair.key, 0, pair.line, pair.column, depth + 1};

        if (config_get(node, pair.key) != NULL) {
            continue;
        }
        pair.value = node_copy(reader, pair.value, &below);
        if (pair.value == NULL || !node_add(reader, node, pair)) {
            return false;
        }
    }
    return true;
}

/* Takes the pair `<<` out of a mapping that is complete and merges its value in. */
static bool merge_all(struct reader *reader, struct config_node *node, int depth)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *from = node->pairs[i].value;

        if (strcmp(node->pairs[i].key, "<<") != 0) {
            continue;
        }
        memmove(&node->pairs[i], &node->pairs[i + 1], (node->count - i - 1) * sizeof *node->pairs);
        node->count--;
        if (from->kind == CONFIG_MAPPING || from->kind == CONFIG_SEQUENCE) {
            return merge(reader, node, from, depth);
        }
        fail_at(reader, from->line, from->column, from->path,
                "'<<' takes a mapping to merge in, such as *defaults");
        return false;
    }
    return true;
}

/* Reads the key of a pair. False: the mapping ended (then *ended), or it is no key. */
static bool read_key(struct reader *reader, struct config_pair *pair, const char *path, bool *ended)
{
    struct fy_event *event = fy_parser_parse(reader->parser);
    bool good = false;

    if (event != NULL && event->type == FYET_SCALAR) {
        size_t length = 0;
        const struct fy_mark *mark = fy_event_start_mark(event);
        const char *text =
            event->scalar.value == NULL ? NULL : fy_token_get_text(event->scalar.value, &length);

        pair->line = mark == NULL ? 1 : mark->line + 1;
        pair->column = mark == NULL ? 1 : mark->column + 1;
        pair->key =
            config_copy(reader->config, text == NULL ? "" : text, text == NULL ? 0 : length);
        good = pair->key != NULL;
        reader->failed = reader->failed || !good;
    } else if (event != NULL && event->type == FYET_MAPPING_END) {
        *ended = true;
    } else if (event != NULL) {
        const struct fy_mark *mark = fy_event_start_mark(event);

        fail_at(reader, mark == NULL ? 1 : mark->line + 1, mark == NULL ? 1 : mark->column + 1,
                path, "a key must be plain text");
    }
    fy_parser_event_free(reader->parser, event);
    return good;
}

static struct config_node *read_mapping(struct reader *reader, const struct place *place, int line,
                                        int column)
{
    struct config_node *node = node_new(reader, CONFIG_MAPPING, place, line, column);
    struct config_pair pair = {NULL, 0, 0, NULL};
    bool ended = false;

    while (node != NULL && read_key(reader, &pair, node->path, &ended)) {
        struct place below = {node->path, pair.key, 0, pair.line, pair.column, place->depth + 1};
        struct fy_event *event = fy_parser_parse(reader->parser);

        pair.value = event == NULL ? NULL : read_node(reader, event, &below);
        fy_parser_event_free(reader->parser, event);
        if (pair.value == NULL || !node_add(reader, node, pair)) {
            return NULL;
        }
    }
    if (!ended) {
        return NULL;
    }
    check_twice(reader, node);
    return merge_all(reader, node, place->depth) ? node : NULL;
}

static struct config_node *read_node(struct reader *reader, struct fy_event *event,
                                     const struct place *place)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    int line = mark == NULL ? place->line : mark->line + 1;
    int column = mark == NULL ? place->column : mark->column + 1;
    struct fy_token *anchor = NULL;
    struct fy_token *tag = NULL;
    struct config_node *node = NULL;

    if (place->depth > CONFIG_DEPTH_MAX) {
        fail_at(reader, line, column, place->path, "nested deeper than 64 levels");
        return NULL;
    }
    if (event->type == FYET_SCALAR) {
        anchor = event->scalar.anchor;
        tag = event->scalar.tag;
        node = read_scalar(reader, event, place, line, column);
    } else if (event->type == FYET_SEQUENCE_START) {
        anchor = event->sequence_start.anchor;
        tag = event->sequence_start.tag;
        node = read_sequence(reader, place, line, column);
    } else if (event->type == FYET_MAPPING_START) {
        anchor = event->mapping_start.anchor;
        tag = event->mapping_start.tag;
        node = read_mapping(reader, place, line, column);
    } else if (event->type == FYET_ALIAS) {
        node = read_alias(reader, event, place, line, column);
    }
    if (tag != NULL && node != NULL) {
        config_report_at(reader->config, CONFIG_ERROR, reader->name, line, column, node->path,
                         "a tag (!…) means nothing here; leave it out, or quote the text");
    }
    remember(reader, anchor, node);
    return node;
}

/* --- the document --- */

/* What libfyaml found wrong, with a cure where it is known. */
static void report_syntax(struct reader *reader, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);

    if (error == NULL) {
        fail_at(reader, 1, 1, "", "is no YAML");
        return;
    }
    config_report_at(reader->config, CONFIG_ERROR, reader->name, error->line < 1 ? 1 : error->line,
                     error->column < 1 ? 1 : error->column, "",
                     "is no YAML: %s; look here and one line above: %s", error->msg,
                     strstr(error->msg, "tab") != NULL
                         ? "indent with spaces, not with tabs"
                         : "indentation, closing quotes and brackets, a space after each colon");
    reader->failed = true;
}

/* Reads on until the first document's root or the end of the text. */
static struct config_node *read_root(struct reader *reader, bool *empty)
{
    static const struct place top = {"", NULL, 0, 1, 1, 0};
    struct config_node *root = NULL;
    struct fy_event *event = NULL;
    int documents = 0;

    *empty = true;
    while (!reader->failed && (event = fy_parser_parse(reader->parser)) != NULL) {
        const struct fy_mark *mark = fy_event_start_mark(event);

        if (event->type == FYET_DOCUMENT_START && ++documents == 2) {
            fail_at(
                reader, mark == NULL ? 1 : mark->line + 1, 1, "",
                "a second document begins here; leave out the '---' (use include: for more files)");
        } else if (event->type >= FYET_MAPPING_START || event->type == FYET_SEQUENCE_START) {
            *empty = false;
            root = read_node(reader, event, &top);
        }
        fy_parser_event_free(reader->parser, event);
    }
    *empty = *empty && !reader->failed;
    return root;
}

struct config_node *config_yaml(struct config *config, const char *name, const char *text,
                                size_t length, bool *empty)
{
    struct fy_diag_cfg quiet;
    struct fy_parse_cfg how = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG};
    struct reader *reader = calloc(1, sizeof *reader);
    struct fy_diag *diag = NULL;
    struct config_node *root = NULL;
    size_t errors = config_errors(config);
    void *at = NULL;

    *empty = false;
    fy_diag_cfg_default(&quiet);
    diag = fy_diag_create(&quiet);
    if (reader == NULL || diag == NULL) {
        goto done;
    }
    fy_diag_set_collect_errors(diag, true);
    how.diag = diag;
    reader->config = config;
    reader->name = name;
    reader->parser = fy_parser_create(&how);
    if (reader->parser == NULL || fy_parser_set_string(reader->parser, text, length) != 0) {
        goto done;
    }
    root = read_root(reader, empty);
    if (!reader->failed && fy_diag_errors_iterate(diag, &at) != NULL) {
        *empty = false;
        report_syntax(reader, diag);
    }
    if (reader->failed) {
        root = NULL;
    }

done:
    if (root == NULL && !*empty && config_errors(config) == errors) {
        config_report_at(config, CONFIG_ERROR, name, 1, 1, "", "cannot be read as YAML");
    }
    if (reader != NULL) {
        fy_parser_destroy(reader->parser);
    }
    fy_diag_destroy(diag);
    free(reader);
    return root;
}
