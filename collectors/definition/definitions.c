/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which definitions there are: files of SHARE/definitions, by their names, and what `include:`
 * brought, by what they say. One's own is read at once, so that its mistakes are told even before
 * a source uses it; a built-in one when it is asked for.
 */
#include "collectors/definition/definition.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/settings/settings.h"

enum { DEFINITIONS_MAX = 1000, NAME_LENGTH_MAX = 40 };

struct entry {
    char name[NAME_LENGTH_MAX + 1];
    bool own, asked;
    struct definition *definition; /* NULL: not read yet, or wrong */
};

struct definitions {
    struct settings *settings;
    struct entry *items; /* [count] */
    size_t count, room;
    const char **names; /* [count + 1] */
};

static int by_name(const void *one, const void *other)
{
    const struct entry *a = one;
    const struct entry *b = other;

    return strcmp(a->name, b->name);
}

static struct entry *entry_of(const struct definitions *definitions, const char *name)
{
    for (size_t i = 0; i < definitions->count; i++) {
        if (strcmp(definitions->items[i].name, name) == 0) {
            return &definitions->items[i];
        }
    }
    return NULL;
}

/* NULL: err, or too many (then *full). */
static struct entry *add_entry(struct definitions *definitions, const char *name,
                               struct ear_error *err)
{
    struct entry *entry = NULL;

    if (definitions->count == definitions->room) {
        const size_t room = definitions->room == 0 ? 64 : definitions->room * 2;
        struct entry *grown = realloc(definitions->items, room * sizeof(*grown));

        if (grown == NULL) {
            ear_fail_memory(err, "the definitions");
            return NULL;
        }
        definitions->items = grown;
        definitions->room = room;
    }
    entry = &definitions->items[definitions->count++];
    *entry = (struct entry){.asked = false};
    (void)snprintf(entry->name, sizeof(entry->name), "%s", name);
    return entry;
}

/* --- one's own --- */

/* The readers that are no definitions: their names are taken. */
static bool is_reader(const char *name)
{
    return strcmp(name, "feed") == 0 || strcmp(name, "file") == 0 || strcmp(name, "ingest") == 0 ||
           strcmp(name, "ask") == 0;
}

static int add_own(struct definitions *definitions, const struct config_node *root,
                   struct ear_error *err)
{
    struct config *config = definitions->settings->config;
    const struct config_node *node = config_get(root, "platform");
    const char *name = config_scalar(node);
    struct definition *definition = NULL;
    struct entry *entry = NULL;

    if (definition_read(&definition, config, root, err) != 0) {
        return -1;
    }
    if (name == NULL || strlen(name) > NAME_LENGTH_MAX) { /* said by the reading */
        return 0;
    }
    if (is_reader(name) || entry_of(definitions, name) != NULL) {
        config_report(config, CONFIG_ERROR, node,
                      is_reader(name) ? "'%s' is a reader of Earshot's own; choose another name"
                                      : "two definitions say platform: %s; leave one out",
                      name);
        definition_free(definition);
        return 0;
    }
    entry = add_entry(definitions, name, err);
    if (entry == NULL) {
        definition_free(definition);
        return -1;
    }
    entry->own = entry->asked = true;
    entry->definition = definition;
    return 0;
}

/* --- built in --- */

static const char *folder_of(const struct definitions *definitions, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/definitions", definitions->settings->share_dir);
    return out;
}

static int add_built_in(struct definitions *definitions, const char *file, struct ear_error *err)
{
    const size_t length = strlen(file);
    char name[NAME_LENGTH_MAX + 1];

    if (length < 6 || length - 5 > NAME_LENGTH_MAX || strcmp(file + length - 5, ".yaml") != 0 ||
        definitions->count == DEFINITIONS_MAX) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)length - 5, file);
    return entry_of(definitions, name) != NULL || add_entry(definitions, name, err) != NULL ? 0
                                                                                            : -1;
}

/* A share folder without definitions has none: what a source then uses is said to be unknown. */
static int list_built_in(struct definitions *definitions, struct ear_error *err)
{
    char folder[PATH_MAX];
    DIR *dir = opendir(folder_of(definitions, folder));
    const struct dirent *file = NULL;
    int result = 0;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a folder of our own, on one thread */
    while (dir != NULL && result == 0 && (file = readdir(dir)) != NULL) {
        result = add_built_in(definitions, file->d_name, err);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return result;
}

static int read_built_in(struct definitions *definitions, struct entry *entry,
                         struct ear_error *err)
{
    struct config *config = definitions->settings->config;
    char folder[PATH_MAX];
    char path[PATH_MAX + NAME_LENGTH_MAX + 8];
    const struct config_node *root = NULL;

    (void)snprintf(path, sizeof(path), "%s/%s.yaml", folder_of(definitions, folder), entry->name);
    root = config_read_file(config, path, err);
    if (root == NULL) {
        return err->kind == EAR_NONE ? 0 : -1;
    }
    return definition_read(&entry->definition, config, root, err);
}

/* --- the whole --- */

static int name_all(struct definitions *definitions, struct ear_error *err)
{
    definitions->names = calloc(definitions->count + 1, sizeof(*definitions->names));
    if (definitions->names == NULL) {
        return ear_fail_memory(err, "the definitions");
    }
    if (definitions->count > 0) {
        qsort(definitions->items, definitions->count, sizeof(*definitions->items), by_name);
    }
    for (size_t i = 0; i < definitions->count; i++) {
        definitions->names[i] = definitions->items[i].name;
    }
    return 0;
}

int definitions_new(struct definitions **out, struct settings *settings, struct ear_error *err)
{
    struct definitions *definitions = calloc(1, sizeof(*definitions));
    int result = -1;

    ear_error_clear(err);
    if (definitions == NULL) {
        return ear_fail_memory(err, "the definitions");
    }
    definitions->settings = settings;
    for (size_t i = 0; i < settings->definition_count; i++) {
        if (add_own(definitions, settings->definitions[i], err) != 0) {
            goto done;
        }
    }
    if (list_built_in(definitions, err) != 0 || name_all(definitions, err) != 0) {
        goto done;
    }
    *out = definitions;
    definitions = NULL;
    result = 0;

done:
    definitions_free(definitions);
    return result;
}

void definitions_free(struct definitions *definitions)
{
    if (definitions == NULL) {
        return;
    }
    for (size_t i = 0; i < definitions->count; i++) {
        definition_free(definitions->items[i].definition);
    }
    free(definitions->items);
    free(definitions->names);
    free(definitions);
}

struct definition *definitions_find(struct definitions *definitions, const char *name, bool *known,
                                    struct ear_error *err)
{
    struct entry *entry = entry_of(definitions, name);

    *known = entry != NULL;
    if (entry != NULL && !entry->asked) {
        entry->asked = true;
        if (read_built_in(definitions, entry, err) != 0) {
            return NULL;
        }
    }
    return entry == NULL ? NULL : entry->definition;
}

const char *const *definitions_names(const struct definitions *definitions)
{
    return definitions->names;
}

bool definitions_is_own(const struct definitions *definitions, const char *name)
{
    const struct entry *entry = entry_of(definitions, name);

    return entry != NULL && entry->own;
}
