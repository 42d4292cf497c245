/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/command/command.h"
#include "common/http/http_server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "sinks/commands/commands.h"
#include "sinks/runner/runner.h"
#include "sinks/setup.h"

enum {
    WAIT_MS = 500,
    TRIES_AT_END = 20, /* failures in a row before --until-end gives up without a --deadline */
};

const struct ear_option run_options[] = {
    {"until-end", EAR_BOOLEAN, offsetof(struct run_options, until_end), "false",
     "stop when nothing is left to do", NULL},
    {"deadline", EAR_DURATION, offsetof(struct run_options, deadline_us), NULL,
     "stop after so long, whatever is left", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

struct role {
    const struct command_call *call;
    const struct run_options *options;
    struct setup setup;
    struct stream *stream;
    struct settings_role held;
    struct metrics *metrics;
    struct health *health;
    struct runner *runner;
    atomic_bool ready; /* asked from the health server's thread */
    int64_t end_us;    /* mono; INT64_MAX: none */
};

static bool is_ready(void *user, char *why, size_t size)
{
    struct role *role = user;

    if (!atomic_load(&role->ready)) {
        snprintf(why, size, "the store does not take rows; see the log");
        return false;
    }
    return true;
}

static int open_role(struct role *role, struct ear_error *err)
{
    const struct command_call *call = role->call;
    struct runner_config config = {
        .settings = call->settings,
        .setup = &role->setup,
        .clock = &call->clock,
        .wait_ms = role->options->until_end ? 0 : WAIT_MS,
    };
    char listen[256];

    if (settings_role_open(&role->held, call->settings, "sink", err) != 0 ||
        metrics_new(&role->metrics, err) != 0 ||
        settings_open_role_stream(&role->stream, call->settings, &role->held, role->metrics, err) !=
            0 ||
        health_open(&role->health,
                    role->options->until_end
                        ? NULL
                        : settings_role_listen(call->settings, &role->held, listen, sizeof listen),
                    role->metrics, is_ready, role, err) != 0) {
        return -1;
    }
    config.stream = role->stream;
    config.metrics = role->metrics;
    return runner_open(&role->runner, &config, err);
}

static void close_role(struct role *role)
{
    runner_close(role->runner);
    health_close(role->health);
    stream_close(role->stream);
    metrics_free(role->metrics);
    settings_role_close(&role->held);
    setup_clear(&role->setup);
}

static void wait_ms(const struct role *role, int ms)
{
    int64_t until_us = clock_mono_us() + (int64_t)ms * 1000;

    until_us = until_us > role->end_us ? role->end_us : until_us;
    while (clock_mono_us() < until_us && !command_stop_asked()) {
        poll(NULL, 0, 20);
    }
}

/* One turn and the house. Returns 0; or -1 with err. *left: there may be more to do. */
static int turn(struct role *role, bool *left, struct ear_error *err)
{
    bool idle = false;

    health_beat(role->health);
    if (runner_turn(role->runner, &idle, err) != 0) {
        return -1;
    }
    atomic_store(&role->ready, true);
    *left = !idle;
    return runner_keep(role->runner, role->options->until_end && idle, err);
}

static int loop(struct role *role, struct ear_error *err)
{
    bool left = true;
    int failures = 0;

    while (!command_stop_asked() && (left || !role->options->until_end)) {
        if (clock_mono_us() >= role->end_us) {
            return EXIT_LATER;
        }
        if (turn(role, &left, err) == 0) {
            failures = 0;
            continue;
        }
        atomic_store(&role->ready, false);
        if (err->kind != EAR_RETRY) {
            return -1;
        }
        log_error("store", err);
        ear_error_clear(err);
        left = true;
        failures++;
        if (failures >= TRIES_AT_END && role->options->until_end) {
            return EXIT_LATER;
        }
        wait_ms(role, runner_pause_ms(role->runner));
    }
    return left && role->options->until_end ? EXIT_LATER : EXIT_DONE;
}

int run_command(const struct command_call *call, struct ear_error *err)
{
    struct role role = {.call = call, .options = call->options, .end_us = INT64_MAX};
    int result = -1;

    if (role.options->deadline_us > 0) {
        role.end_us = clock_mono_us() + role.options->deadline_us;
    }
    if (setup_init(&role.setup, call->settings, err) != 0) {
        goto done;
    }
    if (config_errors(call->settings->config) > 0) {
        settings_print_findings(call->settings, false);
        result = EXIT_CONFIG;
        goto done;
    }
    command_stop_on_signals();
    command_stop_within(COMMAND_STOP_S);
    if (open_role(&role, err) == 0) {
        result = loop(&role, err);
    }

done:
    close_role(&role);
    return result;
}

int check_command(const struct command_call *call, struct ear_error *err)
{
    struct settings *settings = NULL;
    struct setup setup = {0};
    size_t errors = 0;

    if (settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0) {
        return -1;
    }
    if (setup_init(&setup, settings, err) != 0) {
        settings_free(settings);
        return -1;
    }
    errors = settings_print_findings(settings, call->output == OUTPUT_JSON);
    setup_clear(&setup);
    settings_free(settings);
    return errors == 0 ? EXIT_DONE : EXIT_CONFIG;
}
