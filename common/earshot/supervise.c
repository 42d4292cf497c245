/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keeps the roles running, each a process of its own: starts, restarts one that dies (0.2 s, then
 * twice as long up to 5 s), hands SIGTERM on and waits at most 10 s. SIGHUP checks the
 * configuration anew and, if it is valid, restarts the roles with it. Once a day it asks whether
 * anything was deleted, and if so stops the roles for the time `earshot compact` takes.
 */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/earshot/earshot_internal.h"
#include "common/log.h"

enum { TURN_MS = 100 };

static const int64_t backoff_least_us = CLOCK_SECOND_US / 5;
static const int64_t backoff_most_us = 5 * CLOCK_SECOND_US;
static const int64_t steady_us = 10 * CLOCK_SECOND_US; /* ran this long: trouble is over */
static const int64_t grace_us = 10 * CLOCK_SECOND_US;  /* from SIGTERM to SIGKILL */

/* A role whose lock is held is tried again for so long: a supervisor that was killed leaves roles
 * behind that take up to grace_us to end. */
static const int64_t patience_us = 15 * CLOCK_SECOND_US;

struct charge {
    const struct role *role;
    bool wanted;
    pid_t pid; /* 0: does not run */
    int64_t started_us, start_at_us, backoff_us;
    bool steady; /* it has run for a while, so that it can */
    char lock_name[32];
    struct settings_role lock; /* who supervises this role; the role has a lock of its own */
};

struct supervisor {
    const struct command_call *call;
    const struct settings *settings;
    struct settings *reread; /* the same after SIGHUP; NULL: none yet */
    struct charge charges[ROLE_COUNT];
    int64_t began_us, compact_at_us;
    int code;                /* what ends it all: an exit code, or -1 */
    char metrics_given[256]; /* $EARSHOT_METRICS as it was; empty: not set */
};

/* Roles serve health and metrics each on a port of its own: the configured one (or what
 * $EARSHOT_METRICS says instead) and those above. Ours stays as it was: settings are read again. */
static void set_metrics_port(const struct supervisor *supervisor, size_t which)
{
    const char *listen = supervisor->settings->metrics_listen;
    const char *colon = listen == NULL ? NULL : strrchr(listen, ':');
    char moved[256];
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, NULL, 10);

    if (port != 0 && which > 0) {
        snprintf(moved, sizeof moved, "%.*s:%lu", (int)(colon - listen), listen, port + which);
        setenv("EARSHOT_METRICS", moved, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
}

static void restore_metrics_port(const struct supervisor *supervisor)
{
    if (supervisor->metrics_given[0] != '\0') {
        setenv("EARSHOT_METRICS", supervisor->metrics_given, 1); /* NOLINT(concurrency-mt-unsafe) */
    } else {
        unsetenv("EARSHOT_METRICS"); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
}

static void start(struct supervisor *supervisor, size_t which, int64_t now_us)
{
    struct charge *charge = &supervisor->charges[which];
    struct ear_error err = {EAR_NONE, ""};
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, -1};

    launch_init(&launch, supervisor->call, charge->role->program, charge->role->command);
    set_metrics_port(supervisor, which);
    charge->started_us = now_us;
    if (child_start(&charge->pid, &config, &err) != 0) {
        log_error("start a role", &err);
        charge->pid = 0;
        charge->start_at_us = now_us + backoff_most_us;
    }
    restore_metrics_port(supervisor);
}

/* A role ended though nobody asked it to. */
static void judge_end(struct supervisor *supervisor, struct charge *charge, int code,
                      int64_t now_us)
{
    char number[16];
    const struct log_field fields[] = {
        {"role", charge->role->name}, {"code", number}, {NULL, NULL}};

    snprintf(number, sizeof number, "%d", code);
    charge->steady = charge->steady || now_us - charge->started_us > steady_us;
    if (code == EXIT_CONFIG ||
        (code == EXIT_LATER && !charge->steady && now_us - supervisor->began_us > patience_us)) {
        log_event(LOG_LEVEL_ERROR, fields, "%s cannot run; stopping the others",
                  charge->role->program);
        supervisor->code = code;
        return;
    }
    if (now_us - charge->started_us > steady_us) {
        charge->backoff_us = backoff_least_us;
    }
    charge->start_at_us = now_us + charge->backoff_us;
    log_event(LOG_LEVEL_WARN, fields, "%s ended with code %d; it is started again in %.1f s",
              charge->role->program, code, (double)charge->backoff_us / 1e6);
    charge->backoff_us =
        2 * charge->backoff_us > backoff_most_us ? backoff_most_us : 2 * charge->backoff_us;
}

/* Stops those that run and waits for them. */
static void stop_all(struct supervisor *supervisor)
{
    int64_t until_us = clock_mono_us() + grace_us;
    bool running = true;

    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (supervisor->charges[i].pid > 0) {
            kill(supervisor->charges[i].pid, SIGTERM);
        }
    }
    while (running) {
        running = false;
        for (size_t i = 0; i < ROLE_COUNT; i++) {
            struct charge *charge = &supervisor->charges[i];
            int code = 0;

            if (charge->pid == 0) {
                continue;
            }
            if (clock_mono_us() > until_us) {
                log_warn("%s did not stop within 10 s and is killed", charge->role->program);
                kill(charge->pid, SIGKILL);
            }
            if (child_wait(charge->pid, TURN_MS, &code)) {
                charge->pid = 0;
                charge->start_at_us = 0;
            } else {
                running = true;
            }
        }
    }
}

static void reload(struct supervisor *supervisor)
{
    const struct command_call *call = supervisor->call;
    struct ear_error err = {EAR_NONE, ""};
    struct settings *settings = NULL;
    size_t errors = 0;

    if (check_configuration(call, false, &errors, &err) != 0 ||
        (errors == 0 &&
         settings_load(&settings, call->config_path, NULL, call->share_dir, &err) != 0)) {
        log_error("reread the configuration", &err);
    } else if (errors > 0) {
        log_warn("the configuration has mistakes; the roles go on with the old one");
    } else {
        settings_free(supervisor->reread);
        supervisor->settings = supervisor->reread = settings;
        log_info("the configuration is valid; the roles are started anew with it");
        stop_all(supervisor);
    }
}

static int run_compact(const struct supervisor *supervisor, const char *option)
{
    struct ear_error err = {EAR_NONE, ""};
    struct launch launch;
    int code = 0;

    launch_init(&launch, supervisor->call, "earshot", "compact");
    launch_add(&launch, option);
    code = launch_run(&launch, &err);
    if (code < 0) {
        log_error("compact the log", &err);
    }
    return code;
}

/* Daily: what was deleted leaves the disk. */
static void keep_house(struct supervisor *supervisor, int64_t now_us)
{
    if (now_us < supervisor->compact_at_us) {
        return;
    }
    supervisor->compact_at_us = now_us + CLOCK_DAY_US;
    if (run_compact(supervisor, "--needed") == EXIT_DONE && !command_stop_asked()) {
        log_info("something was deleted; the log is rewritten without it");
        stop_all(supervisor);
        run_compact(supervisor, "--quiet");
    }
}

/* One turn: starts what is due, notices what ended. */
static void look_after(struct supervisor *supervisor)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        struct charge *charge = &supervisor->charges[i];
        int64_t now_us = clock_mono_us();
        int code = 0;

        if (!charge->wanted) {
            continue;
        }
        if (charge->pid == 0 && now_us >= charge->start_at_us) {
            start(supervisor, i, now_us);
        } else if (charge->pid > 0 && child_wait(charge->pid, 0, &code)) {
            charge->pid = 0;
            judge_end(supervisor, charge, code, now_us);
        }
    }
}

/* One supervisor a role: a second one says at once who the first is. On Kafka there may be several,
 * as there may be of roles. */
static int take_locks(struct supervisor *supervisor, struct ear_error *err)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        struct charge *charge = &supervisor->charges[i];

        snprintf(charge->lock_name, sizeof charge->lock_name, "run-%s", charge->role->name);
        if (charge->wanted &&
            settings_role_open(&charge->lock, supervisor->settings, charge->lock_name, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void run_until_stopped(struct supervisor *supervisor)
{
    log_info("running; stop with Ctrl-C or SIGTERM");
    while (!command_stop_asked() && supervisor->code < 0) {
        look_after(supervisor);
        if (command_reload_asked()) {
            reload(supervisor);
        }
        keep_house(supervisor, clock_mono_us());
        poll(NULL, 0, TURN_MS); /* ends early with a signal */
    }
    stop_all(supervisor);
    log_info("stopped");
}

int supervise(const struct command_call *call, const struct settings *settings,
              const bool wanted[ROLE_COUNT], struct ear_error *err)
{
    struct supervisor supervisor = {.call = call, .settings = settings, .code = -1};
    const char *given = secure_getenv("EARSHOT_METRICS");
    int result = -1;

    snprintf(supervisor.metrics_given, sizeof supervisor.metrics_given, "%s",
             given == NULL ? "" : given);
    supervisor.began_us = clock_mono_us();
    supervisor.compact_at_us = supervisor.began_us + CLOCK_DAY_US;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        supervisor.charges[i] =
            (struct charge){.role = &roles[i], .wanted = wanted[i], .backoff_us = backoff_least_us};
    }
    if (take_locks(&supervisor, err) == 0) {
        run_until_stopped(&supervisor);
        result = supervisor.code < 0 ? EXIT_DONE : supervisor.code;
    }
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        settings_role_close(&supervisor.charges[i].lock);
    }
    settings_free(supervisor.reread);
    return result;
}
