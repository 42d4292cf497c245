/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/option.h"
#include "common/settings/settings.h"

struct store_keys {
    const char *url, *schema, *password;
};

static const struct ear_option store_options[] = {
    {"url", EAR_STRING, offsetof(struct store_keys, url), NULL,
     "where the store lies, sqlite:PATH or postgresql://USER@HOST/DATABASE; without it "
     "store.sqlite in the data folder",
     NULL},
    {"schema", EAR_STRING, offsetof(struct store_keys, schema), NULL,
     "of PostgreSQL: the schema of its tables; without it earshot", NULL},
    {"password", EAR_STRING, offsetof(struct store_keys, password), NULL,
     "of PostgreSQL: \"${file:NAME}\", whatever characters it has", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

struct trends_keys {
    bool feed, publish;
    int64_t weeks;
    struct ear_strings windows;
};

static const struct ear_option trends_options[] = {
    {"feed", EAR_BOOLEAN, offsetof(struct trends_keys, feed), "true",
     "keep feeds/trends.atom and feeds/trends.json in the data folder", NULL},
    {"weeks", EAR_INTEGER, offsetof(struct trends_keys, weeks), "8 [1..53]",
     "how many weeks the feed goes back", NULL},
    {"publish", EAR_BOOLEAN, offsetof(struct trends_keys, publish), "false",
     "keep the topic trends: each cell of the trend cube as it now stands", NULL},
    {"windows", EAR_STRINGS, offsetof(struct trends_keys, windows), NULL,
     "how long the cells of the topic are: 1h, 1d or both; without it both", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

static int make_url(char **out, const char *path, const char *end)
{
    if (asprintf(out, "sqlite:%s%s", path, end) < 0) {
        *out = NULL; /* which it leaves undefined */
        return -1;
    }
    return 0;
}

static char *copy_or_null(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

static int fill_store(struct setup *out, const struct settings *settings,
                      const struct store_keys *keys, struct ear_error *err)
{
    const char *url = keys->url;
    char *path = NULL;
    int written = 0;

    if (url == NULL) {
        written = make_url(&out->store_url, settings->data_dir, "/store.sqlite");
    } else if (strncmp(url, "sqlite:", 7) == 0) {
        path = settings_path(settings, url + 7);
        written = path == NULL ? -1 : make_url(&out->store_url, path, "");
        free(path);
    } else {
        out->store_url = strdup(url);
        written = out->store_url == NULL ? -1 : 0;
    }
    out->store_schema = copy_or_null(keys->schema);
    out->store_password = copy_or_null(keys->password);
    if (written < 0 || (keys->schema != NULL && out->store_schema == NULL) ||
        (keys->password != NULL && out->store_password == NULL)) {
        ear_fail_memory(err, "the store's URL");
        return -1;
    }
    return 0;
}

/* Which windows the cells have that are published. */
static void read_windows(struct setup *out, struct settings *settings,
                         const struct config_node *node, const struct ear_strings *windows)
{
    out->trend_hours = windows->count == 0;
    out->trend_days = windows->count == 0;
    for (size_t i = 0; i < windows->count; i++) {
        if (strcmp(windows->items[i], "1h") == 0) {
            out->trend_hours = true;
        } else if (strcmp(windows->items[i], "1d") == 0) {
            out->trend_days = true;
        } else {
            config_report(settings->config, CONFIG_ERROR, node,
                          "'%s' is no window of the trends; write [1h, 1d], or one of them",
                          windows->items[i]);
        }
    }
}

static void check_store(struct config *config, const struct config_node *node,
                        const struct store_keys *keys)
{
    bool shared = keys->url != NULL && strncmp(keys->url, "postgres", 8) == 0;
    const char *only = keys->schema != NULL ? "schema" : "password";
    struct ear_error err = {0};

    if (keys->url != NULL && store_check_url(keys->url, &err) != 0) {
        config_report(config, CONFIG_ERROR, config_get(node, "url"), "%s", err.message);
    } else if (!shared && (keys->schema != NULL || keys->password != NULL)) {
        config_report(config, CONFIG_ERROR, config_get(node, only),
                      "'%s' is of a store on PostgreSQL; leave it out, or write url: "
                      "\"postgresql://USER@HOST/DATABASE\"",
                      only);
    }
}

int setup_init(struct setup *out, struct settings *settings, struct ear_error *err)
{
    struct store_keys store = {0};
    struct trends_keys trends = {0};
    const struct config_node *store_node = NULL;
    const struct config_node *trends_node = NULL;

    for (size_t i = 0; i < config_count(settings->sinks); i++) {
        const struct config_node *sink = config_at(settings->sinks, i);

        if (config_get(sink, "store") != NULL) {
            store_node = config_get(sink, "store");
        }
        if (config_get(sink, "trends") != NULL) {
            trends_node = config_get(sink, "trends");
        }
    }
    config_fill(settings->config, config_is_mapping(store_node) ? store_node : NULL, store_options,
                NULL, "sink 'store'", &store);
    config_fill(settings->config, config_is_mapping(trends_node) ? trends_node : NULL,
                trends_options, NULL, "sink 'trends'", &trends);
    check_store(settings->config, store_node, &store);
    *out = (struct setup){.feed = trends.feed, .weeks = trends.weeks};
    if (trends.publish) {
        read_windows(out, settings, config_get(trends_node, "windows"), &trends.windows);
    }
    return fill_store(out, settings, &store, err);
}

struct store_config setup_store(const struct setup *setup)
{
    return (struct store_config){
        .url = setup->store_url, .schema = setup->store_schema, .password = setup->store_password};
}

int setup_turn(struct setup *setup, const char *place, struct ear_error *err)
{
    bool file = strncmp(setup->store_url, "sqlite:", 7) == 0;
    char **part = file ? &setup->store_url : &setup->store_schema;
    char *other = NULL;

    if (file) {
        make_url(&other, place, "");
    } else {
        other = strdup(place);
    }
    if (other == NULL) {
        return ear_fail_memory(err, "the place of a store");
    }
    free(*part);
    *part = other;
    return 0;
}

void setup_clear(struct setup *setup)
{
    free(setup->store_url);
    free(setup->store_schema);
    free(setup->store_password);
    *setup = (struct setup){0};
}
