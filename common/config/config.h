/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_CONFIG_CONFIG_H
#define EARSHOT_COMMON_CONFIG_CONFIG_H

/*
 * YAML in, checked config structs out. Three ideas: keys are described once (struct ear_option);
 * every finding names file, line, column, key, what was meant and the cure; and all findings are
 * collected before anything is refused, so that one check shows them all.
 *
 * ${VAR}, ${VAR:-default} and ${file:NAME} are substituted after parsing, in scalars only, so a
 * value never adds structure; one that is unset and has no default is a finding; $${ is a literal
 * ${. Relative ${file:} names start at the folder of the first file read. Only yaml.c knows
 * libfyaml. A document and what was filled from it live until config_free. Threads: one at a time;
 * what was filled may be read by any.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/option.h"

struct config;      /* one or more YAML files, with findings */
struct config_node; /* a value in it, with its place */

enum config_severity { CONFIG_WARNING, CONFIG_ERROR };

struct config_finding {
    enum config_severity severity;
    const char *file;
    int line, column; /* 1-based */
    const char *key;  /* "sources[2].every" */
    const char *text; /* what is wrong and what to write instead */
};

EAR_MUST_CHECK
int config_new(struct config **out, struct ear_error *err);
void config_free(struct config *config);

/*
 * Reads a file. Returns its root, or NULL: then either err is set (EAR_FATAL), or a finding says
 * what (no such file, syntax error, duplicate key). `name` is what findings call it.
 */
const struct config_node *config_read_file(struct config *config, const char *path,
                                           struct ear_error *err);
const struct config_node *config_read_text(struct config *config, const char *name,
                                           const char *text, struct ear_error *err);

/* Nodes. A NULL node is absent: everything answers so. */
bool config_is_mapping(const struct config_node *node);
bool config_is_sequence(const struct config_node *node);
bool config_is_absent(const struct config_node *node);      /* NULL, or a key without a value */
const char *config_scalar(const struct config_node *node);  /* substituted; NULL if no scalar */
const char *config_written(const struct config_node *node); /* before substitution; likewise */
bool config_is_unset(const struct config_node *node); /* what it names is not there: reported */
const struct config_node *config_get(const struct config_node *mapping, const char *key);
size_t config_count(const struct config_node *node);
const struct config_node *
config_at(const struct config_node *node,
          size_t index); /* element, or the value of a mapping's index-th pair */
const char *config_key_at(const struct config_node *mapping, size_t index);
const char *config_node_file(const struct config_node *node);
int config_node_line(const struct config_node *node);
int config_node_column(const struct config_node *node);
const char *config_path(const struct config_node *node); /* "sources[2].every" */

/*
 * Fills `out` from a mapping by its table; a NULL node fills the defaults. `what` names the thing
 * in findings ("source 'our-forum'"). Unknown keys, wrong types, values out of range, missing
 * required ones and unbuilt features become findings. extra[] (NULL-ended, may be NULL) are keys to
 * pass over: the caller reads them. Returns the number of errors found here.
 */
size_t config_fill(struct config *config, const struct config_node *mapping,
                   const struct ear_option options[], const char *const extra[], const char *what,
                   void *out);

/*
 * One value from text into the option's field of `out` (the whole struct): what the command line
 * needs. Ranges and choices hold; EAR_STRINGS adds one to the list. What is filled lives until
 * config_free. -1 with EAR_CONFIG: "'banana' is no duration; write …".
 */
EAR_MUST_CHECK
int config_value(struct config *config, const struct ear_option *option, const char *text,
                 void *out, struct ear_error *err);

/* Adds a finding of a room's own at a node; NULL: at the start of the first file. */
void config_report(struct config *config, enum config_severity severity,
                   const struct config_node *node, const char *format, ...) EAR_PRINTF(4, 5);

size_t config_errors(const struct config *config);
size_t config_finding_count(const struct config *config);
const struct config_finding *config_finding_at(const struct config *config, size_t index);

/* "did you mean 'every'?" among choices[] (NULL-ended), or "": the nearest within a third of the
 * length. Writes into out, returns it. */
const char *config_suggest(char *out, size_t size, const char *word, const char *const choices[]);

#endif
