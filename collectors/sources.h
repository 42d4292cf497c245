/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SOURCES_H
#define EARSHOT_COLLECTORS_SOURCES_H

/*
 * The configured sources with their readers and the readers' own keys, checked. Findings go into
 * settings->config, so that one check shows them all.
 */

#include <stddef.h>

#include "collectors/source.h"
#include "common/error.h"

struct definitions;
struct settings;
struct settings_source;

/* A source and what reads it. */
struct source_entry {
    const struct settings_source *source;
    const struct source_reader *reader;
    void *config; /* filled from the reader's options */
};

struct sources {
    struct source_entry *items; /* [count] */
    size_t count;
    struct definitions *definitions; /* whose readers some of them are */
};

/*
 * Fills one source; adds findings. `find` names the readers there are (source_reader_find, or a
 * test's); `definitions`, what else `use:` may say (NULL: nothing), has to outlive the entry.
 * entry->reader stays NULL where there is none: then a finding says so. -1: EAR_FATAL.
 */
EAR_MUST_CHECK
int source_entry_init(struct source_entry *entry, struct settings *settings,
                      const struct settings_source *source,
                      const struct source_reader *(*find)(const char *name),
                      struct definitions *definitions, struct ear_error *err);
void source_entry_clear(struct source_entry *entry);

/* All of them. Ask config_errors(settings->config) afterwards. -1: EAR_FATAL. */
EAR_MUST_CHECK
int sources_init(struct sources *sources, struct settings *settings,
                 const struct source_reader *(*find)(const char *name), struct ear_error *err);
void sources_clear(struct sources *sources);

#endif
