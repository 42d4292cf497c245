/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/file/file_internal.h"

#include <stdio.h>
#include <string.h>

#include "common/config/config.h"
#include "common/instant.h"
#include "common/settings/settings.h"

const char *const file_field_names[FILE_FIELDS + 1] = {
    "id",         "url",       "title",  "text",   "author",  "author_name",
    "created_at", "edited_at", "lang",   "thread", "parent",  "rating",
    "likes",      "replies",   "shares", "views",  "channel", NULL};

static int field_of(const char *name)
{
    for (int i = 0; i < FILE_FIELDS; i++) {
        if (strcmp(file_field_names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

void map_read(struct file_map *map, const struct config_node *node)
{
    *map = (struct file_map){.given = config_is_mapping(node)};
    for (size_t i = 0; map->given && i < config_count(node); i++) {
        const char *name = config_key_at(node, i);
        const char *column = config_scalar(config_at(node, i));
        int field = name != NULL ? field_of(name) : -1;

        if (name == NULL || column == NULL || column[0] == '\0') {
            continue;
        }
        if (field >= 0) {
            map->fields[field] = column;
        } else if (strncmp(name, "x_", 2) == 0 && map->extra_count < FILE_EXTRAS_MAX) {
            map->extra_names[map->extra_count] = name;
            map->extras[map->extra_count++] = column;
        }
    }
}

int delimiter_of(const char *word)
{
    static const struct {
        const char *word;
        int delimiter;
    } words[] = {{"auto", 0},   {"comma", ','}, {"semicolon", ';'}, {"tab", '\t'},
                 {"\\t", '\t'}, {"pipe", '|'},  {"bar", '|'}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) == 0) {
            return words[i].delimiter;
        }
    }
    if (strlen(word) != 1 || strchr("\"\r\n", word[0]) != NULL || (unsigned char)word[0] >= 0x80) {
        return -1;
    }
    return (unsigned char)word[0];
}

static struct hash128 add(struct hash128 hash, const char *name, const char *value)
{
    char text[2048];
    int size = 0;
    char hex[HASH128_TEXT_SIZE];

    size = snprintf(text, sizeof text, "%s %s=%s", hash128_format(hex, hash), name,
                    value != NULL ? value : "");
    return hash128_of(text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

struct hash128 config_hash(const struct file_config *config, const struct file_map *map)
{
    struct hash128 hash = {{0}};
    char scale[64];

    snprintf(scale, sizeof scale, "%.9g", config->scale);
    hash = add(hash, "format", config->format);
    hash = add(hash, "delimiter", config->delimiter);
    hash = add(hash, "scale", scale);
    hash = add(hash, "recorded", config->recorded);
    hash = add(hash, "map", map->given ? "given" : NULL);
    for (int i = 0; i < FILE_FIELDS; i++) {
        hash = add(hash, file_field_names[i], map->fields[i]);
    }
    for (size_t i = 0; i < map->extra_count; i++) {
        hash = add(hash, map->extra_names[i], map->extras[i]);
    }
    return hash;
}

void map_check(struct config *config, const struct config_node *map)
{
    if (map == NULL) {
        return;
    }
    if (!config_is_mapping(map)) {
        config_report(config, CONFIG_ERROR, map,
                      "a map names a column for each field, such as {text: Comment}");
        return;
    }
    for (size_t i = 0; i < config_count(map); i++) {
        const char *name = config_key_at(map, i);
        const struct config_node *value = config_at(map, i);
        char suggestion[80];
        bool known = name != NULL && strncmp(name, "x_", 2) == 0;

        for (size_t j = 0; !known && name != NULL && j < FILE_FIELDS; j++) {
            known = strcmp(file_field_names[j], name) == 0;
        }
        if (!known) {
            config_suggest(suggestion, sizeof suggestion, name != NULL ? name : "",
                           file_field_names);
            config_report(config, CONFIG_ERROR, value,
                          "a post has no field '%s': %s; your own begin with x_",
                          name != NULL ? name : "",
                          suggestion[0] != '\0' ? suggestion : "text, title, created_at, …");
        } else if (config_scalar(value) == NULL || config_scalar(value)[0] == '\0') {
            config_report(config, CONFIG_ERROR, value, "write the name of a column");
        }
    }
}

void scale_check(struct config *config, const struct settings_source *source, double scale)
{
    if (!(scale > 0)) {
        config_report(config, CONFIG_ERROR, config_get(source->node, "scale"),
                      "a scale is a number above 0, such as 5 or 10");
    }
}

void file_check(struct config *config, const struct settings_source *source,
                const void *reader_config)
{
    const struct file_config *file = reader_config;
    int64_t recorded_us = 0;

    map_check(config, file->map);
    if (file->path != NULL && strstr(file->path, "**") != NULL) {
        config_report(config, CONFIG_ERROR, config_get(source->node, "path"),
                      "not built yet: '**' for folders of any depth; write each depth, such as "
                      "surveys/*/*.csv");
    }
    if (file->delimiter != NULL && delimiter_of(file->delimiter) < 0) {
        config_report(config, CONFIG_ERROR, config_get(source->node, "delimiter"),
                      "'%s' is no delimiter; write one character, tab, or auto", file->delimiter);
    }
    scale_check(config, source, file->scale);
    if (file->recorded != NULL &&
        !instant_parse_rfc3339(&recorded_us, file->recorded, strlen(file->recorded))) {
        config_report(config, CONFIG_ERROR, config_get(source->node, "recorded"),
                      "'%s' is no instant; write one such as 2026-06-30T12:00:00Z", file->recorded);
    }
}
