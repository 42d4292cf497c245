/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/option.h"
#include "common/settings/settings.h"

struct store_keys {
    const char *url, *schema;
};

static const struct ear_option store_options[] = {
    {"url", EAR_STRING, offsetof(struct store_keys, url), NULL,
     "where the store lies, sqlite:PATH; without it store.sqlite in the data folder", NULL},
    {"schema", EAR_UNBUILT, 0, NULL, "PostgreSQL as the store", NULL},
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

static int store_url(struct setup *out, const struct settings *settings, const char *url,
                     struct ear_error *err)
{
    char *path = NULL;
    int written = 0;

    if (url == NULL) {
        written = asprintf(&out->store_url, "sqlite:%s/store.sqlite", settings->data_dir);
    } else if (strncmp(url, "sqlite:", 7) == 0) {
        path = settings_path(settings, url + 7);
        written = path == NULL ? -1 : asprintf(&out->store_url, "sqlite:%s", path);
        free(path);
    } else {
        out->store_url = strdup(url);
        written = out->store_url == NULL ? -1 : 0;
    }
    if (written < 0) {
        out->store_url = NULL;
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
    if (store.url != NULL && strncmp(store.url, "sqlite:", 7) != 0 &&
        strncmp(store.url, "postgres", 8) != 0) {
        config_report(settings->config, CONFIG_ERROR, config_get(store_node, "url"),
                      "'%s' is no store; write sqlite:PATH", store.url);
    }
    *out = (struct setup){.feed = trends.feed, .weeks = trends.weeks};
    if (trends.publish) {
        read_windows(out, settings, config_get(trends_node, "windows"), &trends.windows);
    }
    return store_url(out, settings, store.url, err);
}

void setup_clear(struct setup *setup)
{
    free(setup->store_url);
    *setup = (struct setup){0};
}
