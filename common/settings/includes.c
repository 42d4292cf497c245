/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of `include:`, and those that they include in turn, depth first, as they stand there.
 * Each is read once however often it is named; what includes itself is a mistake, unless a pattern
 * only happens to fit it.
 */
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/settings/settings_internal.h"

enum { DEPTH_MAX = 8 };

/* The files on the way to the one that is read. */
struct way {
    const struct way *from; /* NULL: the main file */
    struct settings_file_id id;
    int depth;
};

struct includes {
    struct settings *settings;
    struct settings_files *files;
    struct settings_file_id read[SETTINGS_FILES_MAX];
    size_t read_count;
};

static bool is_same(const struct settings_file_id *one, const struct settings_file_id *other)
{
    return one->inode == other->inode && one->device == other->device && one->inode != 0;
}

/* All zero where there is no such file: reading it then says so. */
static struct settings_file_id id_of(const char *path)
{
    struct stat status;

    return path != NULL && stat(path, &status) == 0
               ? (struct settings_file_id){status.st_dev, status.st_ino}
               : (struct settings_file_id){0};
}

static bool is_read(const struct includes *includes, const struct settings_file_id *id)
{
    for (size_t i = 0; i < includes->read_count; i++) {
        if (is_same(&includes->read[i], id)) {
            return true;
        }
    }
    return false;
}

static bool is_on(const struct way *way, const struct settings_file_id *id)
{
    while (way != NULL && !is_same(&way->id, id)) {
        way = way->from;
    }
    return way != NULL;
}

static int read_list(struct includes *includes, const struct way *way,
                     const struct ear_strings *names, const struct config_node *list,
                     struct ear_error *err);

/* What a file holds, beside what the others do. */
static int read_file(struct includes *includes, const struct way *way, const char *path,
                     const struct config_node *node, struct ear_error *err)
{
    struct config *config = includes->settings->config;
    struct settings_files *files = includes->files;
    struct included_keys keys = {0};
    const struct config_node *root = NULL;

    if (includes->read_count + 1 >= SETTINGS_FILES_MAX) {
        config_report(config, CONFIG_ERROR, node, "more than 199 files; join some");
        return 0;
    }
    includes->read[includes->read_count++] = way->id;
    root = config_read_file(config, path, err);
    if (root == NULL) {
        return err->kind == EAR_NONE ? 0 : -1;
    }
    if (settings_says_platform(root)) {
        files->definitions[files->definition_count++] = root;
        return 0;
    }
    config_fill(config, root, settings_included_options, NULL, "an included file", &keys);
    settings_check_secrets(config, root);
    files->roots[files->count] = root;
    files->brands[files->count] = keys.brands;
    files->competitors[files->count] = keys.competitors;
    files->sources[files->count] = keys.sources;
    files->count++;
    return read_list(includes, way, &keys.include, config_get(root, "include"), err);
}

/* One that a name or a pattern led to. */
static int take_file(struct includes *includes, const struct way *from, const char *path,
                     bool by_pattern, const struct config_node *node, struct ear_error *err)
{
    struct config *config = includes->settings->config;
    const struct way way = {from, id_of(path), from->depth + 1};

    if (is_on(from, &way.id)) {
        if (!by_pattern) {
            config_report(config, CONFIG_ERROR, node,
                          "'%.200s' includes itself on this way; leave it out", path);
        }
        return 0;
    }
    if (is_read(includes, &way.id)) {
        return 0;
    }
    if (way.depth > DEPTH_MAX) {
        config_report(config, CONFIG_ERROR, node,
                      "files include files more than %d deep; name '%.200s' further up", DEPTH_MAX,
                      path);
        return 0;
    }
    return read_file(includes, &way, path, node, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX deep */
static int read_list(struct includes *includes, const struct way *way,
                     const struct ear_strings *names, const struct config_node *list,
                     struct ear_error *err)
{
    int result = 0;

    for (size_t i = 0; i < names->count && result == 0; i++) {
        const char *name = names->items[i];
        const struct config_node *node = config_is_sequence(list) ? config_at(list, i) : list;
        const bool by_pattern = strpbrk(name, "*?[") != NULL;
        glob_t found = {0};
        char *pattern = settings_path(includes->settings, name);
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread while the configuration is read */
        const int globbed = pattern == NULL ? GLOB_NOSPACE : glob(pattern, 0, NULL, &found);

        if (globbed == GLOB_NOSPACE) {
            result = ear_fail_memory(err, "included files");
        } else if (found.gl_pathc == 0) {
            config_report(includes->settings->config, by_pattern ? CONFIG_WARNING : CONFIG_ERROR,
                          node, "'%s' names no file; correct it, or leave it out", name);
        }
        for (size_t j = 0; j < found.gl_pathc && result == 0; j++) {
            result = take_file(includes, way, found.gl_pathv[j], by_pattern, node, err);
        }
        globfree(&found);
        free(pattern);
    }
    return result;
}

int settings_read_includes(struct settings *settings, struct root_keys *keys,
                           struct settings_files *files, struct ear_error *err)
{
    const struct config_node *root = files->roots[0];
    struct includes *includes = calloc(1, sizeof(*includes));
    struct way main_file = {.depth = 0};
    int result = 0;

    if (includes == NULL) {
        return ear_fail_memory(err, "included files");
    }
    includes->settings = settings;
    includes->files = files;
    main_file.id = id_of(root == NULL ? NULL : config_node_file(root));
    result = read_list(includes, &main_file, &keys->include, config_get(root, "include"), err);
    free(includes);
    return result;
}
