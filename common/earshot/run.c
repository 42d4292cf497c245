/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot run`: until it is stopped, or once; with the configuration, or the demo's. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/earshot/earshot_internal.h"
#include "common/lockfile.h"
#include "common/log.h"

const struct ear_option run_options[] = {
    {"once", EAR_BOOLEAN, offsetof(struct run_values, once), "false",
     "poll every source once, carry every post to the store, exit", NULL},
    {"demo", EAR_BOOLEAN, offsetof(struct run_values, demo), "false",
     "recorded posts of a made-up brand; no configuration, no network", NULL},
    {"deadline", EAR_DURATION, offsetof(struct run_values, deadline), "10m [1s..7d]",
     "with --once: what it cuts off goes on at the next run", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

#define DEMO_DATA "earshot.data"
#define DEMO_MARK DEMO_DATA "/demo"

/* --- the demo's folder --- */

static bool exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

/* The demo keeps to ./earshot.data; a small file in it says that it is the demo's. */
static int claim_demo_folder(struct ear_error *err)
{
    static const char words[] =
        "Made by `earshot run --demo`. Delete this folder to be rid of it.\n";
    char whole[PATH_MAX];
    int mark = -1;
    bool written = false;

    if (exists("earshot.yaml")) {
        return ear_fail(err, EAR_CONFIG,
                        "this folder holds a configuration, earshot.yaml; run the demo in an empty "
                        "one: mkdir demo && cd demo");
    }
    if (exists(DEMO_DATA) && !exists(DEMO_MARK)) {
        return ear_fail(err, EAR_CONFIG,
                        "this folder holds a store that is not the demo's, ./" DEMO_DATA
                        "; run the demo in an empty one: mkdir demo && cd demo");
    }
    if (mkdir(DEMO_DATA, 0700) != 0 && errno != EEXIST) {
        return ear_fail(err, EAR_CONFIG,
                        "./" DEMO_DATA " cannot be made: %s; choose another folder",
                        strerrordesc_np(errno));
    }
    mark = open(DEMO_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    written = mark >= 0 && write(mark, words, sizeof words - 1) == (ssize_t)sizeof words - 1;
    if (mark >= 0) {
        close(mark);
    }
    if (!written || realpath(DEMO_DATA, whole) == NULL) {
        return ear_fail(err, EAR_CONFIG, "./" DEMO_MARK " cannot be written: %s",
                        strerrordesc_np(errno));
    }
    setenv("EARSHOT_DATA", whole, 1); /* NOLINT(concurrency-mt-unsafe): before there are threads */
    return 0;
}

static void say_demo_next(void)
{
    fputs("\nThe demo is stored: half a year of what people say about Tandelo, a made-up brand of\n"
          "electric bikes, and two rivals. Look at it, in this folder:\n\n"
          "    earshot trends                      what rises and what falls\n"
          "    earshot complaints                  criticism first\n"
          "    earshot wishes                      what people ask for\n"
          "    earshot praise                      what they love\n"
          "    earshot export posts -o json        every post, with its labels\n\n"
          "Then listen to your own customers: mkdir my-brand && cd my-brand && earshot init\n",
          stderr);
}

/* --- once --- */

static int worse(int one, int other)
{
    static const int order[] = {EXIT_CONFIG, EXIT_FAILED, EXIT_LATER};

    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (one == order[i] || other == order[i]) {
            return order[i];
        }
    }
    return one == EXIT_DONE && other == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

static int run_once(const struct command_call *call, const struct settings *settings,
                    int64_t deadline_us, struct ear_error *err)
{
    struct launch launch;
    int collected = 0;
    int carried = 0;

    /* Said once, rather than by each role after a wait of its own. */
    if (settings_on_kafka(settings) && confirm_log(settings, err) != 0) {
        return -1;
    }
    launch_init(&launch, call, roles[ROLE_COLLECT].program, "once");
    launch_add_deadline(&launch, deadline_us - clock_mono_us());
    fflush(stdout);
    collected = launch_run(&launch, err);
    if (collected < 0 || collected == EXIT_CONFIG) {
        return collected;
    }
    if (command_stop_asked()) {
        return worse(collected, EXIT_LATER);
    }
    /* What is in the log goes on to the store even where a source failed. */
    carried = carry_through(call, settings, deadline_us, err);
    return carried < 0 ? -1 : worse(collected, carried);
}

/* --- roles --- */

static int choose_roles(bool wanted[ROLE_COUNT], const struct command_call *call)
{
    char nearest[128];

    for (size_t i = 0; i < ROLE_COUNT; i++) {
        wanted[i] = call->argument_count == 0;
    }
    for (size_t i = 0; i < call->argument_count; i++) {
        static const char *const names[] = {"collect", "process", "sink", "ingest", NULL};
        const char *name = call->arguments[i];
        size_t which = 0;

        while (which < ROLE_COUNT && strcmp(roles[which].name, name) != 0) {
            which++;
        }
        if (which == ROLE_COUNT && strcmp(name, "serve") == 0) {
            return command_misused(call, "'serve' is not built yet: the dashboard");
        }
        if (which == ROLE_COUNT) {
            config_suggest(nearest, sizeof nearest, name, names);
            return command_misused(call, "'%s' is no role: collect, process, sink, ingest%s%s",
                                   name, nearest[0] == '\0' ? "" : "; ", nearest);
        }
        wanted[which] = true;
    }
    return EXIT_DONE;
}

static const char no_source[] =
    "names no source, so nothing is collected; `earshot example` shows some";

static int run_checked(const struct command_call *call, const struct run_values *options,
                       bool wanted[ROLE_COUNT], int64_t deadline_us, struct ear_error *err)
{
    struct settings *settings = NULL;
    size_t errors = 0;
    int result = -1;

    if (check_configuration(call, false, &errors, err) != 0) {
        return -1;
    }
    if (errors > 0) {
        return EXIT_CONFIG;
    }
    if (settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0) {
        return -1;
    }
    if (settings_refuse_definition(settings, err) != 0) {
        settings_free(settings);
        return -1;
    }
    for (size_t i = 0; call->argument_count == 0 && i < ROLE_COUNT; i++) {
        wanted[i] = role_is_configured(i, settings);
    }
    if (settings->source_count == 0 && wanted[ROLE_COLLECT]) {
        const char *which =
            call->config_path == NULL ? "no configuration was found: it" : call->config_path;

        if (log_json_asked()) {
            log_warn("%s %s", which, no_source);
        } else {
            fprintf(stderr, "%s %s\n", which, no_source);
        }
    }
    result = options->once ? run_once(call, settings, deadline_us, err)
                           : supervise(call, settings, wanted, err);
    settings_free(settings);
    return result;
}

int command_run(const struct command_call *call, struct ear_error *err)
{
    const struct run_values *options = call->options;
    struct command_call demo = *call;
    char path[PATH_MAX];
    bool wanted[ROLE_COUNT];
    int64_t deadline_us = clock_mono_us() + options->deadline;
    int code = choose_roles(wanted, call);

    if (code != EXIT_DONE) {
        return code;
    }
    if (options->once && call->argument_count > 0) {
        return command_misused(call, "--once runs all roles; leave '%s' out", call->arguments[0]);
    }
    command_stop_on_signals();
    if (!options->demo) {
        return run_checked(call, options, wanted, deadline_us, err);
    }
    if (claim_demo_folder(err) != 0) {
        return -1;
    }
    demo.config_path = command_share_path(call, "demo/earshot.yaml", path, sizeof path);
    code = run_checked(&demo, options, wanted, deadline_us, err);
    if (code == EXIT_DONE && options->once) {
        say_demo_next();
    }
    return code;
}
