/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_CONFIG_CONFIG_INTERNAL_H
#define EARSHOT_COMMON_CONFIG_CONFIG_INTERNAL_H

/*
 * What the files of this room share: nodes (our own tree, so that libfyaml is done with once a file
 * is read) and the memory they lie in.
 */

#include <stdarg.h>

#include "common/config/config.h"

enum {
    CONFIG_FILE_MAX = 4 * 1024 * 1024,    /* bytes of one file */
    CONFIG_MEMORY_MAX = 64 * 1024 * 1024, /* bytes of everything read and found */
    CONFIG_NODES_MAX = 200 * 1000,        /* of one file, aliases counted as often as they stand */
    CONFIG_DEPTH_MAX = 64,
    CONFIG_FINDINGS_MAX = 500, /* kept; the rest is only counted */
    CONFIG_SECRET_MAX = 64 * 1024,
};

enum config_kind { CONFIG_NOTHING, CONFIG_SCALAR, CONFIG_MAPPING, CONFIG_SEQUENCE };

/* A pair of a mapping, or an element (no key). */
struct config_pair {
    const char *key;
    int line, column; /* of the key */
    struct config_node *value;
};

struct config_node {
    enum config_kind kind;
    const char *file;
    int line, column;
    const char *path;          /* "sources[2].every" */
    const char *raw;           /* scalar as written */
    const char *text;          /* scalar after substitution */
    bool unset;                /* names something that is not there: already reported */
    struct config_pair *pairs; /* [count] */
    size_t count, room;
};

static inline bool node_is_absent(const struct config_node *node)
{
    return node == NULL || node->kind == CONFIG_NOTHING;
}

/* Memory that lives until config_free, zeroed; NULL past the limit (and then config_errors is never
 * 0 again). */
void *config_take(struct config *config, size_t size);
char *config_copy(struct config *config, const char *text, size_t length);
char *config_print(struct config *config, const char *format, ...) EAR_PRINTF(2, 3);

/* A finding at a place that is no node's. */
void config_report_at(struct config *config, enum config_severity severity, const char *file,
                      int line, int column, const char *key, const char *format, ...)
    EAR_PRINTF(7, 8);
void config_report_list(struct config *config, enum config_severity severity, const char *file,
                        int line, int column, const char *key, const char *format,
                        va_list arguments) EAR_PRINTF(7, 0);

/* yaml.c: reads text that is known to be UTF-8 into nodes. NULL: findings say why, or nothing is
 * there (then *empty). */
struct config_node *config_yaml(struct config *config, const char *name, const char *text,
                                size_t length, bool *empty);

/* substitute.c: sets node->text from node->raw. */
void config_substitute(struct config *config, struct config_node *node);

/* The folder that relative ${file:} names start at, with a slash at the end; "" is the current one.
 */
const char *config_folder(const struct config *config);

#endif
