/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/child.h"
#include "common/earshot/earshot_internal.h"
#include "common/log.h"

const struct role roles[ROLE_COUNT] = {
    {"collect", "earshot-collect", "run"},
    {"process", "earshot-process", "run"},
    {"sink", "earshot-sink", "run"},
    {"ingest", "earshot-collect", "ingest"},
};

bool role_is_configured(size_t which, const struct settings *settings)
{
    return which != ROLE_INGEST || settings->ingest_listen != NULL;
}

void launch_add(struct launch *launch, const char *argument)
{
    assert(launch->count + 1 < sizeof launch->argv / sizeof launch->argv[0]);
    launch->argv[launch->count++] = argument;
    launch->argv[launch->count] = NULL;
}

void launch_init(struct launch *launch, const struct command_call *call, const char *program,
                 const char *command)
{
    launch->count = 0;
    command_program_path(call, program, launch->path, sizeof launch->path);
    launch_add(launch, program);
    launch_add(launch, command);
    if (call->config_path != NULL) {
        launch_add(launch, "--config");
        launch_add(launch, call->config_path);
    }
    if (call->log != NULL) {
        launch_add(launch, "--log");
        launch_add(launch, call->log);
    }
}

void launch_add_deadline(struct launch *launch, int64_t left_us)
{
    int64_t left_ms = left_us / 1000;

    snprintf(launch->deadline, sizeof launch->deadline, "%" PRId64 "ms", left_ms < 1 ? 1 : left_ms);
    launch_add(launch, "--deadline");
    launch_add(launch, launch->deadline);
}

int launch_run(const struct launch *launch, struct ear_error *err)
{
    struct child_config config = {launch->path, launch->argv, -1, -1};

    command_stop_on_signals();
    return child_run(&config, command_stop_asked, err);
}

/* One role to its end, unless one is running. */
static int carry(const struct command_call *call, const struct settings *settings, int which,
                 int64_t left_us, struct ear_error *err)
{
    struct launch launch;

    if (settings_role_holder(settings, roles[which].name) > 0) {
        return EXIT_DONE;
    }
    if (left_us <= 0) {
        return EXIT_LATER;
    }
    launch_init(&launch, call, roles[which].program, "run");
    launch_add(&launch, "--until-end");
    launch_add_deadline(&launch, left_us);
    return launch_run(&launch, err);
}

int carry_through(const struct command_call *call, const struct settings *settings,
                  int64_t deadline_us, struct ear_error *err)
{
    static const int order[] = {ROLE_PROCESS, ROLE_SINK};
    int worst = EXIT_DONE;

    for (size_t i = 0; i < 2; i++) {
        int code = carry(call, settings, order[i], deadline_us - clock_mono_us(), err);

        if (code < 0) {
            return -1;
        }
        if (code == EXIT_LATER && worst == EXIT_DONE) {
            worst = EXIT_LATER;
        } else if (code != EXIT_DONE && code != EXIT_LATER) {
            worst = code == EXIT_CONFIG ? EXIT_CONFIG : EXIT_FAILED;
        }
        if (command_stop_asked()) {
            return worst == EXIT_DONE ? EXIT_LATER : worst;
        }
    }
    return worst;
}

int confirm_log(const struct settings *settings, struct ear_error *err)
{
    struct stream *stream = NULL;
    bool missing = false;
    int result = settings_look_stream(&stream, settings, &missing, err);

    if (result == 0) {
        stream_close(stream);
    } else if (missing) {
        ear_error_clear(err);
        result = 0;
    }
    return result;
}
