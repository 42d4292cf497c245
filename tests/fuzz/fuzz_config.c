/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "tests/fuzz/fuzz.h"

struct keys {
    const char *name;
    int64_t every, size, count;
    double share;
    bool loud;
    struct ear_strings words;
    const struct config_node *tree;
};

static const struct ear_option options[] = {
    {"name", EAR_STRING, offsetof(struct keys, name), "!", "a name", NULL},
    {"every", EAR_DURATION, offsetof(struct keys, every), "10m [1s..1d]", "a duration", NULL},
    {"size", EAR_SIZE, offsetof(struct keys, size), "1KiB [1..1GiB]", "a size", NULL},
    {"count", EAR_INTEGER, offsetof(struct keys, count), "3 [0..10]", "a count", NULL},
    {"share", EAR_NUMBER, offsetof(struct keys, share), "-1 [0..1]", "a share", NULL},
    {"loud", EAR_BOOLEAN, offsetof(struct keys, loud), "false", "true or false", NULL},
    {"words", EAR_STRINGS, offsetof(struct keys, words), NULL, "words", NULL},
    {"tree", EAR_TREE, offsetof(struct keys, tree), NULL, "anything", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* Every node has a place and a path; every finding is whole. */
static void walk(const struct config_node *node, int depth)
{
    if (config_node_line(node) < 1 || config_node_column(node) < 1 || config_path(node) == NULL ||
        depth > 100) {
        abort();
    }
    for (size_t i = 0; i < config_count(node); i++) {
        walk(config_at(node, i), depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ear_error err = {EAR_NONE, ""};
    struct config *config = NULL;
    const struct config_node *root = NULL;
    struct keys keys;
    char *text = NULL;

    if (size > 64 * 1024 || config_new(&config, &err) != 0) {
        return 0;
    }
    text = strndup((const char *)data, size);
    root = text == NULL ? NULL : config_read_text(config, "fuzz.yaml", text, &err);
    if (root != NULL) {
        walk(root, 0);
        config_fill(config, root, options, NULL, "it", &keys);
    } else if (config_errors(config) == 0 && err.kind == EAR_NONE) {
        abort(); /* refused without a word */
    }
    for (size_t i = 0; i < config_finding_count(config); i++) {
        const struct config_finding *finding = config_finding_at(config, i);

        if (finding->text[0] == '\0' || finding->line < 1 || finding->column < 1) {
            abort();
        }
    }
    free(text);
    config_free(config);
    return 0;
}
