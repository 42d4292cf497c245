/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/settings/settings_internal.h"

/* --- memory --- */

struct kept {
    struct kept *next;
    _Alignas(max_align_t) char bytes[];
};

void *settings_take(struct settings *settings, size_t size, struct ear_error *err)
{
    struct kept *kept = calloc(1, sizeof *kept + size);

    if (kept == NULL) {
        ear_fail_memory(err, "the settings");
        return NULL;
    }
    kept->next = settings->memory;
    settings->memory = kept;
    return kept->bytes;
}

const char *settings_keep(struct settings *settings, const char *text, struct ear_error *err)
{
    size_t length = strlen(text);
    char *copy = settings_take(settings, length + 1, err);

    if (copy != NULL) {
        memcpy(copy, text, length + 1);
    }
    return copy;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    while (settings->memory != NULL) {
        struct kept *kept = settings->memory;

        settings->memory = kept->next;
        free(kept);
    }
    zone_close(settings->zone);
    config_free(settings->config);
    free(settings);
}

int settings_refuse_definition(const struct settings *settings, struct ear_error *err)
{
    if (!settings->is_definition) {
        return 0;
    }
    return ear_fail(err, EAR_CONFIG,
                    "%s says what a platform is, not where to listen; name it in a configuration: "
                    "include: [%s]",
                    settings->path, settings->path);
}

/* --- places --- */

static char *join(const char *dir, const char *path)
{
    char *whole = NULL;

    if (path[0] == '/') {
        return strdup(path);
    }
    if (strncmp(path, "./", 2) == 0) {
        path += 2;
    }
    if (asprintf(&whole, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", path) < 0) {
        return NULL;
    }
    return whole;
}

char *settings_path(const struct settings *settings, const char *path)
{
    return join(settings->base_dir, path);
}

char *settings_find(const char *given)
{
    static const char *const places[] = {"earshot.yaml", "/etc/earshot/earshot.yaml"};
    const char *named = given != NULL ? given : secure_getenv("EARSHOT_CONFIG");

    if (named != NULL && named[0] != '\0') {
        return strdup(named);
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], F_OK) == 0) {
            return strdup(places[i]);
        }
    }
    return NULL;
}

const char *settings_run_dir(const struct settings *settings, char *out, size_t size)
{
    snprintf(out, size, "%s/run", settings->data_dir);
    return out;
}

/* The absolute folder that relative paths start at. */
static int find_base(struct settings *settings, const char *path, struct ear_error *err)
{
    char here[PATH_MAX];
    char dir[PATH_MAX];
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    char *whole = NULL;

    if (getcwd(here, sizeof here) == NULL) {
        return ear_fail(err, EAR_FATAL, "the current folder cannot be read: %s",
                        strerrordesc_np(errno));
    }
    snprintf(dir, sizeof dir, "%.*s", slash == NULL ? 0 : (int)(slash - path) + (slash == path),
             path == NULL ? "" : path);
    whole = dir[0] == '\0' || strcmp(dir, ".") == 0 ? strdup(here) : join(here, dir);
    settings->base_dir = whole == NULL ? NULL : settings_keep(settings, whole, err);
    free(whole);
    if (settings->base_dir == NULL) {
        return ear_fail_memory(err, "the settings");
    }
    return 0;
}

/* Sets *out to `path` made absolute from `dir`. */
static int set_path(struct settings *settings, const char **out, const char *dir, const char *path,
                    struct ear_error *err)
{
    char *whole = join(dir, path);

    *out = whole == NULL ? NULL : settings_keep(settings, whole, err);
    free(whole);
    return *out == NULL ? ear_fail_memory(err, "the settings") : 0;
}

/* --- steps of a load --- */

/* local:PATH with PATH made absolute; the default is local:DATA/log. */
static int set_stream(struct settings *settings, const char *url, const struct config_node *node,
                      struct ear_error *err)
{
    const char *path = NULL;
    char *whole = NULL;

    struct ear_error why = {EAR_NONE, ""};

    if (url != NULL && strncasecmp(url, "kafka:", 6) == 0 && !config_is_unset(node)) {
        if (stream_check_url(url, &why) == 0) {
            settings->stream_url = url;
            return 0;
        }
        config_report(settings->config, CONFIG_ERROR, node, "%s", why.message);
        url = NULL;
    } else if (url != NULL && (strncmp(url, "local:", 6) != 0 || url[6] == '\0')) {
        if (!config_is_unset(node)) {
            config_report(
                settings->config, CONFIG_ERROR, node,
                "'%s' is no stream; write local:PATH or kafka://HOST:PORT/PREFIX, or leave "
                "'url' out",
                url);
        }
        url = NULL;
    }
    if (set_path(settings, &path, url == NULL ? settings->data_dir : settings->base_dir,
                 url == NULL ? "log" : url + 6, err) != 0) {
        return -1;
    }
    if (asprintf(&whole, "local:%s", path) < 0) {
        return ear_fail_memory(err, "the settings");
    }
    settings->stream_url = settings_keep(settings, whole, err);
    free(whole);
    return settings->stream_url == NULL ? -1 : 0;
}

/* authors.key must be written ${file:NAME}: the file itself is what pseudonyms are made with. */
static int set_author_key(struct settings *settings, const struct config_node *node,
                          struct ear_error *err)
{
    const char *written = config_written(node);
    size_t length = written == NULL ? 0 : strlen(written);
    char name[PATH_MAX];
    struct stat info;

    if (config_is_absent(node) || config_is_unset(node)) {
        return set_path(settings, &settings->author_key_path, settings->data_dir, "author.key",
                        err);
    }
    if (written == NULL || length < 9 || length >= sizeof name ||
        strncmp(written, "${file:", 7) != 0 || strchr(written, '}') != written + length - 1) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "takes a file of 32 bytes that only you can read; write "
                      "\"${file:author_key}\" "
                      "(umask 077; head -c 32 /dev/urandom >author_key)");
        return set_path(settings, &settings->author_key_path, settings->data_dir, "author.key",
                        err);
    }
    snprintf(name, sizeof name, "%.*s", (int)length - 8, written + 7);
    if (set_path(settings, &settings->author_key_path, settings->base_dir, name, err) != 0) {
        return -1;
    }
    if (settings->author_key_path != NULL && stat(settings->author_key_path, &info) == 0 &&
        info.st_size != PSEUDONYM_KEY_SIZE) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "%s holds %lld bytes, not 32; restore it (a new one makes everybody a new "
                      "person)",
                      name, (long long)info.st_size);
    }
    return 0;
}

static int set_places(struct settings *settings, const struct root_keys *keys, const char *data_dir,
                      const char *share_dir, const struct config_node *root, struct ear_error *err)
{
    const struct config_node *stream = config_get(root, "stream");
    char here[PATH_MAX];

    if (getcwd(here, sizeof here) == NULL) {
        return ear_fail(err, EAR_FATAL, "the current folder cannot be read: %s",
                        strerrordesc_np(errno));
    }
    if (set_path(settings, &settings->data_dir, data_dir != NULL ? here : settings->base_dir,
                 data_dir != NULL ? data_dir : keys->data, err) != 0 ||
        set_path(settings, &settings->share_dir, here, share_dir == NULL ? "" : share_dir, err) !=
            0) {
        return -1;
    }
    if (set_stream(settings, keys->stream.url, config_get(stream, "url"), err) != 0 ||
        settings_read_kafka(settings, keys, root, err) != 0) {
        return -1;
    }
    return set_author_key(settings, config_get(config_get(root, "authors"), "key"), err);
}

static int set_zone(struct settings *settings, const struct config_node *node,
                    struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};

    if (zone_open(&settings->zone, settings->timezone, &why) == 0) {
        return 0;
    }
    if (!config_is_unset(node)) {
        config_report(settings->config, CONFIG_ERROR, node, "%s", why.message);
    }
    settings->timezone = "UTC";
    return zone_open(&settings->zone, "UTC", err);
}

static void set_plain(struct settings *settings, const struct root_keys *keys)
{
    settings->stream_size_bytes = keys->stream.size;
    settings->compact_lag_us = keys->stream.compact_lag;
    settings->metrics_listen = keys->metrics.listen;
    if (secure_getenv("EARSHOT_METRICS") != NULL && keys->metrics.listen != NULL) {
        settings->metrics_listen = secure_getenv("EARSHOT_METRICS");
    }
    settings->ingest_listen = keys->ingest.listen;
    settings->ingest_token = keys->ingest.token;
    settings->ingest_proxies = keys->ingest.proxies;
    settings->ingest_forms = config_is_absent(keys->ingest.forms) ? NULL : keys->ingest.forms;
    settings->network_allow = keys->network.allow;
    settings->timezone = keys->timezone;
    settings->ours = keys->accounts.ours;
    settings->staff = keys->accounts.staff;
    settings->same = keys->accounts.same;
    settings->author_names = keys->authors.names;
    settings->horizon_us = keys->store.horizon;
    settings->sinks = config_is_absent(keys->sinks) ? NULL : keys->sinks;
}

static void check_retention(struct settings *settings, const struct root_keys *keys,
                            const struct config_node *root)
{
    int64_t retention = keys->stream.topics.insights.retention;
    const struct config_node *topics = config_get(config_get(root, "stream"), "topics");

    if (retention > 0 && retention < keys->store.horizon) {
        config_report(settings->config, CONFIG_WARNING,
                      config_get(config_get(topics, "insights"), "retention"),
                      "shorter than the store's horizon: a rebuild cannot bring older facts back; "
                      "put the store into your backup");
    }
}

/* One key for all machines: else each makes its own, and one person counts once for each of them.
 */
static void check_shared_key(struct settings *settings, const struct config_node *root)
{
    if (settings_on_kafka(settings) && config_errors(settings->config) == 0 &&
        config_is_absent(config_get(config_get(root, "authors"), "key"))) {
        config_report(settings->config, CONFIG_WARNING,
                      config_get(config_get(root, "stream"), "url"),
                      "with Kafka several machines may collect, and without authors.key each "
                      "counts a person anew; write authors: {key: \"${file:author_key}\"}, the "
                      "same 32 bytes everywhere: "
                      "(umask 077; head -c 32 /dev/urandom >author_key)");
    }
}

/* Documents of `include:` that say what a platform is. */
static int keep_definitions(struct settings *settings, const struct settings_files *files,
                            struct ear_error *err)
{
    const size_t size = files->definition_count * sizeof(void *);
    const struct config_node **kept = settings_take(settings, size + 1, err);

    if (kept == NULL) {
        return -1;
    }
    memcpy(kept, files->definitions, size);
    settings->definitions = kept;
    settings->definition_count = files->definition_count;
    return 0;
}

/* Everything behind the first table. */
static int read_all(struct settings *settings, struct root_keys *keys, struct settings_files *files,
                    struct ear_error *err)
{
    const struct config_node *root = files->roots[0];

    set_plain(settings, keys);
    settings_check_secrets(settings->config, root);
    settings_check_listen(settings->config, config_get(config_get(root, "metrics"), "listen"));
    settings->ingest_node = config_get(root, "ingest");
    settings_check_listen(settings->config, config_get(settings->ingest_node, "listen"));
    settings_check_network(settings->config, config_get(settings->ingest_node, "proxies"));
    settings_check_network(settings->config, config_get(config_get(root, "network"), "allow"));
    settings_check_same(settings->config, keys->accounts.same);
    settings_check_sinks(settings, keys->sinks);
    check_retention(settings, keys, root);
    if (set_zone(settings, config_get(root, "timezone"), err) != 0 ||
        settings_read_includes(settings, keys, files, err) != 0 ||
        settings_read_brands(settings, files, err) != 0 ||
        settings_read_sources(settings, files, err) != 0 ||
        settings_read_processors(settings, keys->processors, err) != 0) {
        return -1;
    }
    if (keep_definitions(settings, files, err) != 0) {
        return -1;
    }
    check_shared_key(settings, root);
    settings_make_topics(settings, keys);
    return 0;
}

static int load(struct settings *settings, const char *path, const char *data_dir,
                const char *share_dir, struct settings_files *files, struct ear_error *err)
{
    struct root_keys keys = {0};
    const struct config_node *root = NULL;

    if (config_new(&settings->config, err) != 0 || find_base(settings, path, err) != 0) {
        return -1;
    }
    if (path != NULL) {
        settings->path = settings_keep(settings, path, err);
        root = settings->path == NULL ? NULL : config_read_file(settings->config, path, err);
        if (root == NULL && err->kind != EAR_NONE) {
            return -1;
        }
    }
    if (settings_says_platform(root)) {
        settings->is_definition = true;
        files->definitions[files->definition_count++] = root;
        root = NULL;
    }
    config_fill(settings->config, root, settings_root_options, NULL, "the configuration", &keys);
    files->roots[0] = root;
    files->brands[0] = keys.brands;
    files->competitors[0] = keys.competitors;
    files->sources[0] = keys.sources;
    files->count = 1;
    if (set_places(settings, &keys, data_dir, share_dir, root, err) != 0) {
        return -1;
    }
    return read_all(settings, &keys, files, err);
}

int settings_load(struct settings **out, const char *path, const char *data_dir,
                  const char *share_dir, struct ear_error *err)
{
    struct settings *settings = calloc(1, sizeof *settings);
    struct settings_files *files = calloc(1, sizeof *files);
    int result = -1;

    ear_error_clear(err);
    if (data_dir == NULL) {
        const char *given = secure_getenv("EARSHOT_DATA");

        data_dir = given == NULL || given[0] == '\0' ? NULL : given;
    }
    if (settings == NULL || files == NULL) {
        ear_fail_memory(err, "the settings");
        goto done;
    }
    if (load(settings, path, data_dir, share_dir, files, err) == 0) {
        *out = settings;
        settings = NULL;
        result = 0;
    }

done:
    free(files);
    settings_free(settings);
    return result;
}
