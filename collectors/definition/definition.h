/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_DEFINITION_DEFINITION_H
#define EARSHOT_COLLECTORS_DEFINITION_DEFINITION_H

/*
 * A platform as YAML: how to ask, how to page, where the records are, how fields map, what to fetch
 * per record, what to visit again, how to wait. A definition is read once and checked whole (every
 * mistake with its place); from then on it is constant data, which one engine (engine.c) interprets
 * for every source that uses it. It is a source_reader like any other: the collector, `probe` and
 * `check` see no difference.
 *
 *     built in:  SHARE/definitions/NAME.yaml       one's own: any file of `include:` that begins
 *                                                  with `platform:`; it wins over a built-in one
 *
 * Threads: constant once read; one at a time while it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "collectors/source.h"
#include "common/error.h"

struct config;
struct config_node;
struct definition;
struct settings;
struct settings_source;

/*
 * Reads a definition from its document. Mistakes become findings of `config`; then *out is NULL and
 * 0 is returned. Both config and document have to live as long as the definition. -1: EAR_FATAL.
 */
EAR_MUST_CHECK
int definition_read(struct definition **out, struct config *config, const struct config_node *root,
                    struct ear_error *err);
void definition_free(struct definition *definition);

/* The reader that a definition makes; lives as long as the definition. */
const struct source_reader *definition_reader(struct definition *definition);

/* The reference page of a platform, in Markdown, with a configuration that `check` accepts. */
void definition_page(const struct definition *definition, bool own, FILE *out);

/* Whether a parameter of that name holds a secret. */
bool definition_hides(const struct definition *definition, const char *param);

/* How far back its widest revisit window reaches; 0: it revisits nothing. */
int64_t definition_revisit_us(const struct definition *definition);

/* What no table says of a source: adds findings. `filled` is its config struct. */
void definition_check(const struct definition *definition, struct config *config,
                      const struct settings_source *source, const void *filled);

/*
 * The definitions that a configuration's sources may use. One's own are read at once, a built-in
 * one when it is first asked for. Findings go into the settings' config, which has to outlive them.
 * definitions_find gives NULL where there is none (*known false), where it is wrong (findings say
 * why), and with EAR_FATAL.
 */
struct definitions;

EAR_MUST_CHECK
int definitions_new(struct definitions **out, struct settings *settings, struct ear_error *err);
void definitions_free(struct definitions *definitions);
struct definition *definitions_find(struct definitions *definitions, const char *name, bool *known,
                                    struct ear_error *err);

/* The names of all, built in and own, sorted, NULL-ended; the definitions' own. */
const char *const *definitions_names(const struct definitions *definitions);
bool definitions_is_own(const struct definitions *definitions, const char *name);

#endif
