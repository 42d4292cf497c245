/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition.h"
#include "common/config/config.h"
#include "common/instant.h"
#include "common/settings/settings.h"

enum { NAMES_MAX = 200 };

static void report_unknown(struct settings *settings, const struct settings_source *source,
                           const struct definitions *definitions)
{
    const struct config_node *node = config_get(source->node, "use");
    const char *const *names = definitions == NULL ? NULL : definitions_names(definitions);
    const char *known[NAMES_MAX + 4] = {"feed", "file", "ingest"};
    char nearest[128];

    for (size_t i = 0; names != NULL && names[i] != NULL && i < NAMES_MAX; i++) {
        known[i + 3] = names[i];
    }
    if (config_is_unset(node)) {
        return;
    }
    for (size_t i = 0; i < config_finding_count(settings->config); i++) {
        const struct config_finding *finding = config_finding_at(settings->config, i);

        /* a file that is no YAML: it may be this one's */
        if (finding->severity == CONFIG_ERROR && (finding->key == NULL || *finding->key == '\0')) {
            return;
        }
    }
    config_suggest(nearest, sizeof(nearest), source->use, known);
    config_report(settings->config, CONFIG_ERROR, node,
                  "'%.50s' is neither a reader nor a definition; %s", source->use,
                  *nearest != '\0' ? nearest : "`earshot source list` shows those there are");
}

/* The reader that `use:` names; NULL: none, and a finding says so, or err. */
static const struct source_reader *reader_of(struct settings *settings,
                                             const struct settings_source *source,
                                             const struct source_reader *(*find)(const char *name),
                                             struct definitions *definitions, struct ear_error *err)
{
    const struct source_reader *reader = find(source->use);
    struct definition *definition = NULL;
    bool known = false;

    if (reader != NULL) {
        return reader;
    }
    if (definitions != NULL) {
        definition = definitions_find(definitions, source->use, &known, err);
    }
    if (!known) {
        report_unknown(settings, source, definitions);
    }
    return definition == NULL ? NULL : definition_reader(definition);
}

static int64_t kept_seen_us(const struct settings *settings)
{
    for (size_t i = 0; i < settings->topic_count; i++) {
        if (strcmp(settings->topics[i].name, "seen") == 0) {
            return settings->topics[i].retention_us;
        }
    }
    return 0;
}

/* What a window shows again after `seen` has forgotten it would come as new. Shown all the time it
 * is remembered all the time; but a source may be away for a while, and then needs all of it. */
static void check_kept(struct settings *settings, const struct source_entry *entry)
{
    const int64_t kept_us = kept_seen_us(settings);
    const struct definition *definition = entry->reader->self;
    const int64_t widest_us = definition == NULL ? 0 : definition_revisit_us(definition);
    char window[DURATION_SIZE];
    char kept[DURATION_SIZE];

    if (kept_us == 0 || widest_us <= kept_us) {
        return;
    }
    config_report(settings->config, CONFIG_WARNING, entry->source->node,
                  "source '%.100s' looks back %s again and again, and what was seen is forgotten "
                  "after %s: posts older than that may come again as new; write "
                  "stream: {topics: {seen: {retention: %s}}}, or narrow the window in the "
                  "definition '%.50s'",
                  entry->source->name, duration_format(window, widest_us),
                  duration_format(kept, kept_us), window, entry->reader->name);
}

int source_entry_init(struct source_entry *entry, struct settings *settings,
                      const struct settings_source *source,
                      const struct source_reader *(*find)(const char *name),
                      struct definitions *definitions, struct ear_error *err)
{
    char what[160];

    *entry = (struct source_entry){.source = source};
    entry->reader = reader_of(settings, source, find, definitions, err);
    if (entry->reader == NULL) {
        return err->kind == EAR_NONE ? 0 : -1;
    }
    entry->config = calloc(1, entry->reader->config_size + 1);
    if (entry->config == NULL) {
        return ear_fail_memory(err, "a source");
    }
    (void)snprintf(what, sizeof(what), "source '%.100s'", source->name);
    if (config_fill(settings->config, source->node, entry->reader->options, settings_source_keys,
                    what, entry->config) != 0) {
        return 0;
    }
    if (entry->reader->self != NULL) {
        definition_check(entry->reader->self, settings->config, source, entry->config);
    }
    if (entry->reader->check != NULL) {
        entry->reader->check(settings->config, source, entry->config);
    }
    check_kept(settings, entry);
    return 0;
}

void source_entry_clear(struct source_entry *entry)
{
    free(entry->config);
    *entry = (struct source_entry){0};
}

int sources_init(struct sources *sources, struct settings *settings,
                 const struct source_reader *(*find)(const char *name), struct ear_error *err)
{
    *sources = (struct sources){0};
    if (definitions_new(&sources->definitions, settings, err) != 0) {
        return -1;
    }
    sources->items = calloc(settings->source_count + 1, sizeof(*sources->items));
    if (sources->items == NULL) {
        definitions_free(sources->definitions);
        *sources = (struct sources){0};
        return ear_fail_memory(err, "the sources");
    }
    for (size_t i = 0; i < settings->source_count; i++) {
        sources->count++;
        if (source_entry_init(&sources->items[i], settings, &settings->sources[i], find,
                              sources->definitions, err) != 0) {
            sources_clear(sources);
            return -1;
        }
    }
    return 0;
}

void sources_clear(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        source_entry_clear(&sources->items[i]);
    }
    free(sources->items);
    definitions_free(sources->definitions);
    *sources = (struct sources){0};
}
