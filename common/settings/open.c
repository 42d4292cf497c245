/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "common/settings/settings.h"

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

int settings_open_stream(struct stream **out, const struct settings *settings, bool read_only,
                         struct ear_error *err)
{
    struct stream_config config = {
        .url = settings->stream_url,
        .size_bytes = settings->stream_size_bytes,
        .compact_lag_us = settings->compact_lag_us,
        .topics = settings->topics,
        .topic_count = settings->topic_count,
        .read_only = read_only,
    };

    if (!read_only && make_folders(settings->data_dir, err) != 0) {
        return -1;
    }
    return stream_open(out, &config, err);
}
