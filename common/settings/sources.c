/* SPDX-License-Identifier: Apache-2.0 */

/* The sources' common keys. What a reader alone understands is left to it. */

#include <stdlib.h>
#include <string.h>

#include "common/settings/settings_internal.h"

enum { SOURCES_MAX = 10000 };

bool settings_is_among(const char *word, const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

bool settings_check_name(struct config *config, const struct config_node *node, const char *name)
{
    size_t length = strlen(name);
    bool good = length > 0 && length <= 100 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];

        good = good && c > 0x20 && c != 0x7f && c != '/' && c != ':' && c != '\\' && c != '"';
    }
    if (!good && !config_is_unset(node)) {
        config_report(config, CONFIG_ERROR, node,
                      "'%.100s' cannot be a name; use letters, digits, '-', '_' and '.', such as "
                      "our-forum",
                      name);
    }
    return good;
}

static void check_about(struct settings *settings, const struct config_node *node,
                        const char *about)
{
    char nearest[128] = "";
    const char *names[257];
    size_t count = 0;

    for (size_t i = 0; i < settings->brand_count; i++) {
        if (strcmp(settings->brands[i].name, about) == 0) {
            return;
        }
        if (count < 256) {
            names[count++] = settings->brands[i].name;
        }
    }
    names[count] = NULL;
    if (!config_is_unset(node)) {
        config_suggest(nearest, sizeof nearest, about, names);
        config_report(settings->config, CONFIG_ERROR, node,
                      "'%s' stands neither among brands nor competitors; %s", about,
                      nearest[0] != '\0' ? nearest : "add it there, or leave 'about' out");
    }
}

static int64_t read_history(struct settings *settings, const struct config_node *node,
                            const char *text)
{
    struct ear_error err = {EAR_NONE, ""};
    int64_t history_us = 30 * CLOCK_DAY_US;

    if (strcmp(text, "all") == 0) {
        return INT64_MAX;
    }
    if (strcmp(text, "none") == 0) {
        return 0;
    }
    if (duration_parse(&history_us, text, &err) != 0 && !config_is_unset(node)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "'%s' is no duration; write one such as 90d, or all, or none", text);
    }
    return history_us;
}

static void check_zone(struct settings *settings, const struct config_node *node, const char *name)
{
    struct ear_error err = {EAR_NONE, ""};
    struct zone *zone = NULL;

    if (!config_is_unset(node) && zone_open(&zone, name, &err) != 0) {
        config_report(settings->config, CONFIG_ERROR, node, "%s", err.message);
    }
    zone_close(zone);
}

/* A language as in BCP 47: letters, then subtags; en, pt-BR. */
static void check_language(struct settings *settings, const struct config_node *node,
                           const char *lang)
{
    size_t letters = 0;
    size_t length = strlen(lang);

    while ((lang[letters] | 0x20) >= 'a' && (lang[letters] | 0x20) <= 'z') {
        letters++;
    }
    if (letters < 2 || letters > 3 || length > 35 ||
        (lang[letters] != '\0' && lang[letters] != '-')) {
        if (!config_is_unset(node)) {
            config_report(settings->config, CONFIG_ERROR, node,
                          "'%s' is no language; write its code, such as en, de or pt-BR", lang);
        }
    }
}

/* All keys that stand in a source: the reader judges those that are not ours. */
static const char **keys_of(struct settings *settings, const struct config_node *node,
                            struct ear_error *err)
{
    size_t count = config_is_mapping(node) ? config_count(node) : 0;
    const char **keys = settings_take(settings, (count + 1) * sizeof *keys, err);

    for (size_t i = 0; keys != NULL && i < count; i++) {
        keys[i] = config_key_at(node, i);
    }
    return keys;
}

static void check_source(struct settings *settings, const struct config_node *node,
                         const struct source_keys *keys)
{
    const struct config_node *at = NULL;

    if (keys->about != NULL) {
        check_about(settings, config_get(node, "about"), keys->about);
    }
    if (keys->zone != NULL) {
        check_zone(settings, config_get(node, "zone"), keys->zone);
    }
    if (keys->lang != NULL) {
        check_language(settings, config_get(node, "lang"), keys->lang);
    }
    if (keys->fresh > 0 && keys->fresh < keys->every / 2) {
        config_report(settings->config, CONFIG_WARNING, config_get(node, "fresh"),
                      "it is never asked sooner than after half of its 'every'; set 'every' to at "
                      "most twice this");
    }
    for (size_t i = 0; keys->name != NULL && i < settings->source_count; i++) {
        const struct settings_source *other = &settings->sources[i];

        at = config_get(node, "name");
        if (strcmp(other->name, keys->name) == 0 && !config_is_unset(at)) {
            config_report(
                settings->config, CONFIG_ERROR, at,
                "a source of the name '%s' stands in %s:%d already; give this one another",
                keys->name, config_node_file(other->node), config_node_line(other->node));
            break;
        }
    }
}

static int read_source(struct settings *settings, const struct config_node *node,
                       struct ear_error *err)
{
    struct source_keys keys = {0};
    struct settings_source *source = &settings->sources[settings->source_count];
    const char **present = keys_of(settings, node, err);
    size_t errors = config_errors(settings->config);

    if (present == NULL) {
        return -1;
    }
    config_fill(settings->config, node, settings_source_options, present, "source", &keys);
    check_source(settings, node, &keys);
    if (keys.name == NULL ||
        !settings_check_name(settings->config, config_get(node, "name"), keys.name)) {
        return 0;
    }
    source->name = keys.name;
    source->use = keys.use == NULL ? "" : keys.use;
    source->channel = keys.channel;
    source->about = keys.about;
    source->lang = keys.lang;
    source->audience = keys.audience;
    source->zone = keys.zone;
    source->tags = keys.tags;
    source->every_us = keys.every;
    source->fresh_us = keys.fresh;
    source->history_us = read_history(settings, config_get(node, "history"), keys.history);
    source->threshold_wish = keys.threshold.wish;
    source->threshold_complaint = keys.threshold.complaint;
    source->threshold_praise = keys.threshold.praise;
    source->node = node;
    if (config_errors(settings->config) == errors || keys.use != NULL) {
        settings->source_count++; /* one that only half fits is still its reader's to check */
    }
    return 0;
}

int settings_read_sources(struct settings *settings, const struct settings_files *files,
                          struct ear_error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < files->count; i++) {
        if (config_is_sequence(files->sources[i])) {
            count += config_count(files->sources[i]);
        } else if (!config_is_absent(files->sources[i])) {
            config_report(settings->config, CONFIG_ERROR, files->sources[i],
                          "takes a list: write '- {name: our-blog, use: feed, url: …}' below it");
        }
    }
    if (count > SOURCES_MAX) {
        config_report(settings->config, CONFIG_ERROR, files->roots[0],
                      "more than 10000 sources; name fewer");
        return 0;
    }
    settings->sources = settings_take(settings, (count + 1) * sizeof *settings->sources, err);
    if (settings->sources == NULL) {
        return -1;
    }
    for (size_t i = 0; i < files->count; i++) {
        for (size_t j = 0;
             config_is_sequence(files->sources[i]) && j < config_count(files->sources[i]); j++) {
            if (read_source(settings, config_at(files->sources[i], j), err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}
