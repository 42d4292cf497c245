/* SPDX-License-Identifier: Apache-2.0 */

/* Brands and competitors: a name, and the words that name it. */

#include <string.h>

#include "common/settings/settings_internal.h"

enum { BRANDS_MAX = 10000 };

static const struct settings_brand *find_brand(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->brand_count; i++) {
        if (strcmp(settings->brands[i].name, name) == 0) {
            return &settings->brands[i];
        }
    }
    return NULL;
}

/* The words of a brand: its name, then what the list or single value says. */
static int read_words(struct settings *settings, struct settings_brand *brand,
                      const struct config_node *node, struct ear_error *err)
{
    size_t given = config_is_sequence(node)      ? config_count(node)
                   : config_scalar(node) != NULL ? 1
                                                 : 0;
    const char **words = settings_take(settings, (given + 1) * sizeof *words, err);

    if (words == NULL) {
        return -1;
    }
    words[brand->words.count++] = brand->name;
    for (size_t i = 0; i < given; i++) {
        const struct config_node *item = config_is_sequence(node) ? config_at(node, i) : node;
        const char *word = config_scalar(item);

        if (word == NULL || word[0] == '\0') {
            if (!config_is_unset(item)) {
                config_report(settings->config, CONFIG_ERROR, item,
                              "a word that names %s is text, such as \"acme phone\"", brand->name);
            }
            continue;
        }
        if (strcmp(word, brand->name) != 0) {
            words[brand->words.count++] = word;
        }
    }
    brand->words.items = words;
    return 0;
}

static int read_mapping(struct settings *settings, const struct config_node *mapping,
                        bool competitor, struct ear_error *err)
{
    for (size_t i = 0; i < config_count(mapping); i++) {
        const struct config_node *node = config_at(mapping, i);
        const char *name = config_key_at(mapping, i);
        struct settings_brand *brand = &settings->brands[settings->brand_count];

        if (name[0] == '\0' || strcmp(name, "-") == 0 || strlen(name) > 200) {
            config_report(settings->config, CONFIG_ERROR, node,
                          "is no name of a brand; write one of 1 to 200 bytes");
        } else if (find_brand(settings, name) != NULL) {
            config_report(settings->config, CONFIG_ERROR, node,
                          "'%s' stands twice among brands and competitors; keep one of them", name);
        } else if (config_is_mapping(node)) {
            config_report(settings->config, CONFIG_ERROR, node,
                          "takes the words that name %s, such as [%s, \"%s phone\"]", name, name,
                          name);
        } else {
            brand->name = name;
            brand->competitor = competitor;
            settings->brand_count++;
            if (read_words(settings, brand, node, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static size_t count_all(struct settings *settings, const struct config_node *const nodes[],
                        size_t files, const char *what)
{
    size_t count = 0;

    for (size_t i = 0; i < files; i++) {
        if (!config_is_absent(nodes[i]) && !config_is_mapping(nodes[i])) {
            config_report(settings->config, CONFIG_ERROR, nodes[i],
                          "takes names with their words, such as %s: {Acme: [acme, acmephone]}",
                          what);
        } else {
            count += config_count(nodes[i]);
        }
    }
    return count;
}

int settings_read_brands(struct settings *settings, const struct settings_files *files,
                         struct ear_error *err)
{
    size_t count = count_all(settings, files->brands, files->count, "brands") +
                   count_all(settings, files->competitors, files->count, "competitors");

    if (count > BRANDS_MAX) {
        config_report(settings->config, CONFIG_ERROR, files->roots[0],
                      "more than 10000 brands and competitors; name fewer");
        return 0;
    }
    settings->brands = settings_take(settings, (count + 1) * sizeof *settings->brands, err);
    if (settings->brands == NULL) {
        return -1;
    }
    for (size_t i = 0; i < files->count; i++) {
        if (config_is_mapping(files->brands[i]) &&
            read_mapping(settings, files->brands[i], false, err) != 0) {
            return -1;
        }
        if (config_is_mapping(files->competitors[i]) &&
            read_mapping(settings, files->competitors[i], true, err) != 0) {
            return -1;
        }
    }
    return 0;
}
