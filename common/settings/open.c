/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "common/settings/settings_internal.h"

/* Makes a folder and those above it; only their owner may look in. */
static int make_folders(const char *path, struct ear_error *err)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (length >= sizeof part) {
        return ear_fail(err, EAR_CONFIG, "data: the path is too long; choose a shorter one");
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return ear_fail(err, EAR_CONFIG,
                            "data: the folder %s cannot be made: %s; choose another with data:",
                            part, strerrordesc_np(errno));
        }
    }
    return 0;
}

static struct stream_config configure(const struct settings *settings)
{
    return (struct stream_config){
        .url = settings->stream_url,
        .size_bytes = settings->stream_size_bytes,
        .compact_lag_us = settings->compact_lag_us,
        .topics = settings->topics,
        .topic_count = settings->topic_count,
        .replication = settings->stream_replication,
        .security = settings->stream_security,
        .options = settings->stream_options,
        .option_count = settings->stream_option_count,
    };
}

int settings_open_stream(struct stream **out, const struct settings *settings, bool read_only,
                         struct ear_error *err)
{
    struct stream_config config = configure(settings);

    config.read_only = read_only;
    if (!read_only && make_folders(settings->data_dir, err) != 0) {
        return -1;
    }
    return stream_open(out, &config, err);
}

int settings_look_stream(struct stream **out, const struct settings *settings, bool *missing,
                         struct ear_error *err)
{
    struct stream_config config = configure(settings);

    config.read_only = true;
    config.missing = missing;
    *missing = false;
    return stream_open(out, &config, err);
}

int settings_open_role_stream(struct stream **out, const struct settings *settings,
                              const struct settings_role *role, struct metrics *metrics,
                              struct ear_error *err)
{
    struct stream_config config = configure(settings);
    char instance[160];

    config.role = role->name;
    /* Only the holder among the sinks publishes (the outbox). One producer's name for all of them:
     * who takes the outbox over fences a predecessor that sleeps over its commit. */
    config.instance = strcmp(role->name, "sink") == 0
                          ? "outbox"
                          : settings_instance(settings, role->index, instance, sizeof instance);
    config.metrics = metrics;
    if (make_folders(settings->data_dir, err) != 0) {
        return -1;
    }
    return stream_open(out, &config, err);
}
