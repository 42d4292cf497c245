/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_SETTINGS_SETTINGS_INTERNAL_H
#define EARSHOT_COMMON_SETTINGS_SETTINGS_INTERNAL_H

/* What the files of this room share: the keys as they stand in the file, and the steps of a load.
 */

#include "common/settings/settings.h"

enum { SETTINGS_FILES_MAX = 200 };

/* earshot.yaml as its table fills it; what needs more than a table stays a node. */
struct root_keys {
    int64_t earshot;
    struct ear_strings include;
    const char *data;
    const struct config_node *brands, *competitors, *sources, *processors, *sinks;
    struct {
        const char *url, *instance;
        int64_t size, compact_lag;
        struct {
            const char *protocol, *mechanism, *user, *password, *ca, *certificate, *key;
        } security;
        const struct config_node *librdkafka;
        struct {
            int64_t partitions, replication;
            struct {
                int64_t retention;
            } posts, insights, rejects, audit, seen;
        } topics;
    } stream;
    struct {
        const char *listen;
    } metrics;
    struct {
        const char *listen, *token;
        struct ear_strings proxies;
        const struct config_node *forms;
    } ingest;
    struct {
        struct ear_strings allow;
    } network;
    const char *timezone;
    struct {
        struct ear_strings ours, staff;
        const struct config_node *same;
    } accounts;
    struct {
        bool names;
        const char *key;
    } authors;
    struct {
        int64_t horizon;
    } store;
};

/* A file of include: what may stand there. */
struct included_keys {
    int64_t earshot;
    struct ear_strings include;
    const struct config_node *brands, *competitors, *sources;
};

struct source_keys {
    const char *name, *use, *channel, *about, *lang, *audience, *zone, *history;
    struct ear_strings tags;
    int64_t every, fresh;
    struct {
        double wish, complaint, praise;
    } threshold;
};

struct processor_keys {
    const char *name, *from, *to;
    const struct config_node *stages;
    struct {
        int64_t messages, wait;
    } batch;
};

extern const struct ear_option settings_root_options[];
extern const struct ear_option settings_included_options[];
extern const struct ear_option settings_source_options[];
extern const struct ear_option settings_processor_options[];

/* The same file by whatever name. */
struct settings_file_id {
    dev_t device;
    ino_t inode;
};

/* All files of a configuration; [0] is the main one. */
struct settings_files {
    const struct config_node *roots[SETTINGS_FILES_MAX];
    const struct config_node *brands[SETTINGS_FILES_MAX], *competitors[SETTINGS_FILES_MAX],
        *sources[SETTINGS_FILES_MAX];
    size_t count;
    const struct config_node *definitions[SETTINGS_FILES_MAX];
    size_t definition_count;
};

/* Zeroed memory that goes with the settings; NULL with EAR_FATAL. */
void *settings_take(struct settings *settings, size_t size, struct ear_error *err);
const char *settings_keep(struct settings *settings, const char *text, struct ear_error *err);

/* A document that says what a platform is, not what is collected. */
static inline bool settings_says_platform(const struct config_node *root)
{
    return config_is_mapping(root) && config_get(root, "platform") != NULL;
}

/* Steps; each reports findings, and fails with EAR_FATAL only. */
int settings_read_brands(struct settings *settings, const struct settings_files *files,
                         struct ear_error *err);
int settings_read_sources(struct settings *settings, const struct settings_files *files,
                          struct ear_error *err);
int settings_read_processors(struct settings *settings, const struct config_node *node,
                             struct ear_error *err);
int settings_read_includes(struct settings *settings, struct root_keys *keys,
                           struct settings_files *files, struct ear_error *err);
/* After the URL is known: security, librdkafka, instance, replication. */
int settings_read_kafka(struct settings *settings, const struct root_keys *keys,
                        const struct config_node *root, struct ear_error *err);
void settings_check_sinks(struct settings *settings, const struct config_node *node);
void settings_make_topics(struct settings *settings, const struct root_keys *keys);
void settings_check_secrets(struct config *config, const struct config_node *root);
void settings_check_listen(struct config *config, const struct config_node *node);
void settings_check_network(struct config *config, const struct config_node *allow);
void settings_check_same(struct config *config, const struct config_node *same);

/* The name of a process among all that write the log, the same after a restart. Returns out. */
const char *settings_instance(const struct settings *settings, int index, char *out, size_t size);

/* words[] ends with NULL. */
bool settings_is_among(const char *word, const char *const words[]);

/* True if the name can stand in ids, keys and groups; else reports at the node. */
bool settings_check_name(struct config *config, const struct config_node *node, const char *name);

#endif
