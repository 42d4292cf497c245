/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Threads and when they end. Each worker turns its runner; the main thread beats, keeps the log's
 * house once a second, and decides when all is over:
 *
 *   - somebody asks (SIGTERM), the deadline passes, or a worker fails for good;
 *   - with --until-end: nothing is left. Chains may feed each other, so a worker that found nothing
 *     proves it only as long as nobody has committed since: `commits` counts commits, a worker that
 *     reads nothing writes down the count from before that read, and all is done when every worker
 *     has written down the count as it now stands.
 */
#include "processors/process.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/http_server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "processors/chain/chain.h"
#include "processors/runner/runner.h"

enum {
    TICK_MS = 50,
    WAIT_MS = 200,                /* of a worker for its first message */
    WAIT_CHAINED_MS = 20,         /* the same with --until-end, where one chain waits for another */
    FAILURES_MAX = 12,            /* in a row with --until-end, before it is given up */
    DRAIN_S = COMMAND_STOP_S - 1, /* before the signal ends the process without a word */
};

static const int64_t maintain_every_us = CLOCK_SECOND_US;
static const int64_t measure_every_us = 5 * CLOCK_SECOND_US;
static const int64_t stuck_after_us = 30 * CLOCK_SECOND_US;

const struct ear_option process_options[] = {
    {"until-end", EAR_BOOLEAN, offsetof(struct process_options, until_end), "false",
     "stop when nothing is left to do", NULL},
    {"deadline", EAR_DURATION, offsetof(struct process_options, deadline_us), NULL,
     "stop after this long; exit 75 if something is left", NULL},
    {0},
};

struct process;

/* One processor. */
struct worker {
    struct process *process;
    struct chain *chain;
    struct runner *runner;
    pthread_t thread;
    bool started;
    _Atomic int64_t turned_mono_us; /* when its last turn ended */
    _Atomic int64_t idle_at;        /* `commits` before its last read that brought nothing; -1 */
    struct ear_error err;           /* of its end; read after it is joined */
};

struct process {
    const struct command_call *call;
    const struct settings *settings;
    const struct process_options *options;
    struct stream *stream;
    struct metrics *metrics;
    struct health *health;
    struct settings_role role;
    struct worker *workers; /* [count] */
    size_t count;
    atomic_bool stop;
    atomic_bool failed;
    _Atomic int64_t commits;
};

static void sleep_ms(int ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* --- a worker --- */

/* Waits after a failed turn; false: it is over. */
static bool bear_failure(struct worker *worker, const struct ear_error *err, int failures)
{
    int pause_ms = runner_pause_ms(worker->runner);

    if (err->kind != EAR_RETRY ||
        (worker->process->options->until_end && failures >= FAILURES_MAX)) {
        worker->err = *err;
        atomic_store(&worker->process->failed, true);
        return false;
    }
    log_error("process", err);
    for (; pause_ms > 0 && !atomic_load(&worker->process->stop); pause_ms -= TICK_MS) {
        sleep_ms(TICK_MS);
        atomic_store(&worker->turned_mono_us, clock_mono_us());
    }
    return true;
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct process *process = worker->process;
    int64_t measured_mono_us = 0;
    int failures = 0;

    while (!atomic_load(&process->stop)) {
        struct ear_error err = {0};
        int64_t commits = atomic_load(&process->commits);
        bool idle = false;

        if (runner_turn(worker->runner, &idle, &err) != 0) {
            if (!bear_failure(worker, &err, ++failures)) {
                break;
            }
        } else if (idle) {
            atomic_store(&worker->idle_at, commits);
        } else {
            atomic_fetch_add(&process->commits, 1);
            failures = 0;
        }
        atomic_store(&worker->turned_mono_us, clock_mono_us());
        if (clock_mono_us() - measured_mono_us > measure_every_us) {
            runner_measure_lag(worker->runner);
            measured_mono_us = clock_mono_us();
        }
    }
    return NULL;
}

/* --- the main thread --- */

static bool nothing_left(struct process *process)
{
    int64_t commits = atomic_load(&process->commits);

    for (size_t i = 0; i < process->count; i++) {
        if (atomic_load(&process->workers[i].idle_at) != commits) {
            return false;
        }
    }
    return true;
}

static void beat(struct process *process)
{
    int64_t now_mono_us = clock_mono_us();

    for (size_t i = 0; i < process->count; i++) {
        if (now_mono_us - atomic_load(&process->workers[i].turned_mono_us) > stuck_after_us) {
            return; /* a stage hangs: /livez shall say so */
        }
    }
    health_beat(process->health);
}

/* Watches until it is over. Returns the exit code. */
static int watch(struct process *process)
{
    int64_t began_mono_us = clock_mono_us(), maintained_mono_us = began_mono_us;
    bool more = false;

    for (;;) {
        struct ear_error err = {0};
        int64_t now_mono_us = clock_mono_us();

        if (atomic_load(&process->failed) || command_stop_asked()) {
            return EXIT_DONE;
        }
        if (process->options->until_end && nothing_left(process)) {
            return EXIT_DONE;
        }
        if (process->options->deadline_us > 0 &&
            now_mono_us - began_mono_us > process->options->deadline_us) {
            log_warn("the deadline has passed; what is left is processed at the next run");
            return EXIT_LATER;
        }
        beat(process);
        if (more || now_mono_us - maintained_mono_us > maintain_every_us) {
            maintained_mono_us = now_mono_us;
            if (stream_maintain(process->stream, clock_now_us(&process->call->clock), &more,
                                &err) != 0) {
                log_error("keep the log's house", &err);
                more = false;
            }
        }
        sleep_ms(process->options->until_end ? 2 : TICK_MS);
    }
}

/* Joins the workers within DRAIN_S; leaves the process if one does not come back. */
static void drain(struct process *process)
{
    struct timespec until;

    atomic_store(&process->stop, true);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_S;
    for (size_t i = 0; i < process->count; i++) {
        struct worker *worker = &process->workers[i];

        if (worker->started && pthread_timedjoin_np(worker->thread, NULL, &until) != 0) {
            log_warn("processor '%s' does not give its batch back; it is left uncommitted and "
                     "comes again",
                     process->settings->processors[i].name);
            _exit(EXIT_DONE); /* nothing is half done: the transaction is not committed */
        }
        worker->started = false;
    }
}

static bool is_ready(void *user, char *why, size_t size)
{
    const struct process *process = user;
    struct ear_error err = {0};
    struct stream_span span;

    if (stream_span(process->stream, process->settings->processors[0].from, 0, &span, &err) != 0) {
        snprintf(why, size, "%s", err.message);
        return false;
    }
    return true;
}

static int open_chains(struct process *process, struct ear_error *err)
{
    process->workers = calloc(process->settings->processor_count, sizeof *process->workers);
    if (process->workers == NULL) {
        return ear_fail_memory(err, "the processors");
    }
    for (size_t i = 0; i < process->settings->processor_count; i++) {
        struct worker *worker = &process->workers[process->count++];

        worker->process = process;
        atomic_init(&worker->idle_at, -1);
        atomic_init(&worker->turned_mono_us, clock_mono_us());
        if (chain_open(&worker->chain, process->settings, &process->settings->processors[i],
                       process->metrics, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int open_runners(struct process *process, struct ear_error *err)
{
    for (size_t i = 0; i < process->count; i++) {
        struct worker *worker = &process->workers[i];
        struct runner_config config = {
            .stream = process->stream,
            .processor = &process->settings->processors[i],
            .chain = worker->chain,
            .clock = &process->call->clock,
            .metrics = process->metrics,
            .wait_ms = WAIT_MS,
        };

        if (process->options->until_end) {
            config.wait_ms = process->count > 1 ? WAIT_CHAINED_MS : 0;
        }
        if (runner_open(&worker->runner, &config, err) != 0) {
            ear_error_context(err, "processor '%s'", config.processor->name);
            return -1;
        }
    }
    return 0;
}

static int start_workers(struct process *process, struct ear_error *err)
{
    for (size_t i = 0; i < process->count; i++) {
        struct worker *worker = &process->workers[i];
        int code = pthread_create(&worker->thread, NULL, work, worker);

        if (code != 0) {
            return ear_fail(err, EAR_FATAL, "no thread can be started: %s", strerrordesc_np(code));
        }
        worker->started = true;
    }
    return 0;
}

static int open_process(struct process *process, struct ear_error *err)
{
    char listen[256];

    if (metrics_new(&process->metrics, err) != 0 || open_chains(process, err) != 0 ||
        settings_role_open(&process->role, process->settings, "process", err) != 0 ||
        settings_open_role_stream(&process->stream, process->settings, &process->role,
                                  process->metrics, err) != 0 ||
        open_runners(process, err) != 0) {
        return -1;
    }
    return health_open(
        &process->health,
        settings_role_listen(process->settings, &process->role, listen, sizeof listen),
        process->metrics, is_ready, process, err);
}

static void close_process(struct process *process)
{
    drain(process);
    health_close(process->health);
    for (size_t i = 0; i < process->count; i++) {
        runner_close(process->workers[i].runner);
        chain_close(process->workers[i].chain);
    }
    free(process->workers);
    stream_close(process->stream);
    metrics_free(process->metrics);
    settings_role_close(&process->role);
}

/* The error of the worker that failed first in the configuration; -1 if there is one. */
static int take_failure(const struct process *process, struct ear_error *err)
{
    for (size_t i = 0; i < process->count; i++) {
        if (process->workers[i].err.kind != EAR_NONE) {
            *err = process->workers[i].err;
            return -1;
        }
    }
    return 0;
}

int process_run(const struct command_call *call, struct ear_error *err)
{
    struct process process = {.call = call, .settings = call->settings, .options = call->options};
    int result = -1;

    command_stop_on_signals();
    command_stop_within(COMMAND_STOP_S);
    if (open_process(&process, err) != 0) {
        if (config_errors(call->settings->config) > 0) { /* of stages: opening them found out */
            settings_print_findings(call->settings, false);
            result = EXIT_CONFIG;
        }
        goto done;
    }
    if (start_workers(&process, err) != 0) {
        goto done;
    }
    result = watch(&process);
    drain(&process);
    if (take_failure(&process, err) != 0) {
        result = -1;
    }

done:
    close_process(&process);
    return result;
}

int process_check(const struct command_call *call, struct ear_error *err)
{
    int result = -1;
    struct settings *settings = NULL;

    if (settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < settings->processor_count; i++) {
        struct chain *chain = NULL;

        if (chain_open(&chain, settings, &settings->processors[i], NULL, err) != 0) {
            if (err->kind != EAR_CONFIG) {
                goto done;
            }
            ear_error_clear(err); /* the findings say it better */
        }
        chain_close(chain);
    }
    result = settings_print_findings(settings, call->output == OUTPUT_JSON) > 0 ? EXIT_CONFIG
                                                                                : EXIT_DONE;

done:
    settings_free(settings);
    return result;
}
