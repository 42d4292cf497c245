/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/sources.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/config/config.h"
#include "common/settings/settings.h"

int source_entry_init(struct source_entry *entry, struct settings *settings,
                      const struct settings_source *source,
                      const struct source_reader *(*find)(const char *name), struct ear_error *err)
{
    char what[160];

    *entry = (struct source_entry){.source = source, .reader = find(source->use)};
    if (entry->reader == NULL) {
        config_report(settings->config, CONFIG_ERROR, config_get(source->node, "use"),
                      "'%.50s' is no reader; write feed, file or ingest", source->use);
        return 0;
    }
    entry->config = calloc(1, entry->reader->config_size + 1);
    if (entry->config == NULL) {
        return ear_fail_memory(err, "a source");
    }
    (void)snprintf(what, sizeof(what), "source '%.100s'", source->name);
    if (config_fill(settings->config, source->node, entry->reader->options, settings_source_keys,
                    what, entry->config) == 0 &&
        entry->reader->check != NULL) {
        entry->reader->check(settings->config, source, entry->config);
    }
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
    sources->count = 0;
    sources->items = calloc(settings->source_count + 1, sizeof(*sources->items));
    if (sources->items == NULL) {
        return ear_fail_memory(err, "the sources");
    }
    for (size_t i = 0; i < settings->source_count; i++) {
        sources->count++;
        if (source_entry_init(&sources->items[i], settings, &settings->sources[i], find, err) !=
            0) {
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
    *sources = (struct sources){0};
}
