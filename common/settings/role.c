/* SPDX-License-Identifier: Apache-2.0 */

/* Processes of a role on one machine: their locks, and the names that Kafka knows them by. */

#include "common/lockfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/settings/settings_internal.h"

static const char *lock_name(char *out, size_t size, const char *role, int index)
{
    if (index == 0) {
        snprintf(out, size, "%s", role);
    } else {
        snprintf(out, size, "%s-%d", role, index);
    }
    return out;
}

int settings_role_open(struct settings_role *out, const struct settings *settings, const char *name,
                       struct ear_error *err)
{
    int most = settings_on_kafka(settings) ? SETTINGS_ROLE_MAX : 1;
    struct settings_role role = {.name = name};
    char dir[4096];
    char lock[64];

    settings_run_dir(settings, dir, sizeof dir);
    for (role.index = 0; role.index < most; role.index++) {
        ear_error_clear(err);
        if (lockfile_open(&role.lock, dir, lock_name(lock, sizeof lock, name, role.index), err) ==
            0) {
            *out = role;
            return 0;
        }
        if (err->kind != EAR_RETRY) {
            return -1;
        }
    }
    return -1;
}

void settings_role_close(struct settings_role *role)
{
    lockfile_close(role->lock);
    role->lock = NULL;
}

const char *settings_role_listen(const struct settings *settings, const struct settings_role *role,
                                 char *out, size_t size)
{
    const char *listen = settings->metrics_listen;
    const char *colon = listen == NULL ? NULL : strrchr(listen, ':');
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, NULL, 10);

    if (port == 0 || role->index == 0) {
        return listen;
    }
    port += (unsigned long)(role->index * SETTINGS_ROLE_KINDS);
    snprintf(out, size, "%.*s:%lu", (int)(colon - listen), listen, port);
    return out;
}

pid_t settings_role_holder(const struct settings *settings, const char *name)
{
    int most = settings_on_kafka(settings) ? SETTINGS_ROLE_MAX : 1;
    char dir[4096];
    char lock[64];

    settings_run_dir(settings, dir, sizeof dir);
    for (int i = 0; i < most; i++) {
        pid_t holder = lockfile_holder(dir, lock_name(lock, sizeof lock, name, i));

        if (holder > 0) {
            return holder;
        }
    }
    return 0;
}

pid_t settings_role_process(const struct settings *settings, const char *name, int index,
                            bool *fell)
{
    char dir[4096];
    char lock[64];

    settings_run_dir(settings, dir, sizeof dir);
    return lockfile_last(dir, lock_name(lock, sizeof lock, name, index), fell);
}

/* HOST-<8 hexadecimal digits of the data folder's hash>: two that share a host stay apart. */
const char *settings_instance(const struct settings *settings, int index, char *out, size_t size)
{
    char host[64] = "host";
    char hash[HASH128_TEXT_SIZE];

    if (settings->stream_instance != NULL) {
        snprintf(out, size, "%s-%d", settings->stream_instance, index);
        return out;
    }
    if (gethostname(host, sizeof host - 1) != 0) {
        host[0] = '\0';
    }
    host[sizeof host - 1] = '\0';
    for (char *at = host; *at != '\0'; at++) {
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", *at) ==
            NULL) {
            *at = '_';
        }
    }
    hash128_format(hash, hash128_of(settings->data_dir, strlen(settings->data_dir)));
    snprintf(out, size, "%s-%.8s-%d", host, hash, index);
    return out;
}
