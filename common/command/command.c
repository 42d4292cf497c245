/* SPDX-License-Identifier: Apache-2.0 */
#include "common/command/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/command/command_internal.h"
#include "common/config/config.h"
#include "common/log.h"
#include "common/settings/settings.h"
#include "common/testpoint.h"

/* Where this program lies and where the data files do. */
struct places {
    char bin[4096];
    char share[4096 + 32];
};

static const char *environment(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): before there are threads */

    return value == NULL || *value == '\0' ? NULL : value;
}

static int find_places(struct places *places, struct ear_error *err)
{
    const char *share = environment("EARSHOT_SHARE");
    ssize_t length = readlink("/proc/self/exe", places->bin, sizeof places->bin - 1);
    char *slash;

    if (length <= 0) {
        return ear_fail(err, EAR_FATAL, "cannot find where this program lies: %s; is /proc there?",
                        strerrordesc_np(errno));
    }
    places->bin[length] = '\0';
    slash = strrchr(places->bin, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    if (share != NULL) {
        if (strlen(share) >= sizeof places->share) {
            return ear_fail(err, EAR_CONFIG, "$EARSHOT_SHARE is too long");
        }
        snprintf(places->share, sizeof places->share, "%s", share);
        return 0;
    }
    slash = strrchr(places->bin, '/');
    snprintf(places->share, sizeof places->share, "%.*s/share/earshot",
             (int)(slash == NULL ? 0 : slash - places->bin), places->bin);
    return 0;
}

/* Programs that are started from here take over a clock that was set. */
static int set_clock(struct clock *clock, const char *now, struct ear_error *err)
{
    char shift[32];

    if (clock_init(clock, now != NULL ? now : environment("EARSHOT_NOW"), err) != 0) {
        return -1;
    }
    if (clock->shift_us != 0) {
        snprintf(shift, sizeof shift, "%" PRId64, clock->shift_us);
        setenv("EARSHOT_NOW_SHIFT", shift, 1); /* NOLINT(concurrency-mt-unsafe): likewise */
    }
    return 0;
}

static int exit_code_of(const struct ear_error *err)
{
    switch (err->kind) {
    case EAR_CONFIG:
        return EXIT_CONFIG;
    case EAR_RETRY:
        return EXIT_LATER;
    case EAR_NONE:
    case EAR_REJECT:
    case EAR_FENCED:
    case EAR_FATAL:
        break;
    }
    return EXIT_FAILED;
}

static void set_log(const char *program, const struct common_options *common,
                    const struct clock *clock)
{
    enum log_form form = LOG_FORM_AUTO;

    if (common->log != NULL) {
        form = strcmp(common->log, "json") == 0 ? LOG_FORM_JSON : LOG_FORM_TEXT;
    }
    log_open(program, form, LOG_LEVEL_INFO, clock);
}

static void set_output(struct command_call *call, const char *asked)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;

    call->output_given = asked != NULL;
    call->output = terminal ? OUTPUT_TABLE : OUTPUT_JSON;
    call->colour = terminal && environment("NO_COLOR") == NULL;
    if (asked != NULL) {
        call->output = strcmp(asked, "json") == 0  ? OUTPUT_JSON
                       : strcmp(asked, "csv") == 0 ? OUTPUT_CSV
                                                   : OUTPUT_TABLE;
    }
}

/* What was written may still be in a buffer, and the disk may be full. */
static int flush_output(const char *who, int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return code;
    }
    if (errno != EPIPE) {
        log_plain(who, "cannot write the output: %s", strerrordesc_np(errno));
    }
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

static int run_with_settings(const struct command *command, struct command_call *call,
                             struct ear_error *err)
{
    int result = -1;

    if (settings_load(&call->settings, call->config_path, NULL, call->share_dir, err) != 0) {
        goto done;
    }
    if (config_errors(call->settings->config) > 0) {
        settings_print_findings(call->settings, false);
        result = EXIT_CONFIG;
        goto done;
    }
    if (settings_refuse_definition(call->settings, err) != 0) {
        goto done;
    }
    result = command->run(call, err);

done:
    settings_free(call->settings);
    call->settings = NULL;
    return result;
}

static int run_command(const struct command *command, struct command_call *call)
{
    struct ear_error err = {0};
    char who[128];
    int code;

    code = command->needs == COMMAND_NEEDS_SETTINGS ? run_with_settings(command, call, &err)
                                                    : command->run(call, &err);
    snprintf(who, sizeof who, "%s %s", call->program, call->name);
    if (code < 0) {
        if (command->hidden) {
            log_error(command->name, &err);
        } else {
            log_plain(who, "%s", err.message);
        }
        code = exit_code_of(&err);
    }
    return flush_output(who, code);
}

/* Becomes the program beside this one; comes back only if that fails. argv[0] stays what was typed,
 * so that its help speaks of the command that people know. */
static int become(const struct places *places, const struct command *command, char **argv)
{
    struct command_call call = {.bin_dir = places->bin};
    char path[8192];

    command_program_path(&call, command->program, path, sizeof path);
    execv(path, argv);
    log_plain(command->name, "cannot start %s: %s; it is installed together with this program",
              path, strerrordesc_np(errno));
    return EXIT_FAILED;
}

static const char *shown_name(const char *program, char *const argv[])
{
    const char *slash = argv[0] == NULL ? NULL : strrchr(argv[0], '/');
    const char *typed = slash != NULL ? slash + 1 : argv[0];

    return typed != NULL && strcmp(typed, "earshot") == 0 ? typed : program;
}

static int print_points(const char *who)
{
    if (!testpoint_print(stdout)) {
        log_plain(who, "this build has no kill points; configure with EARSHOT_TEST_POINTS");
        return EXIT_FAILED;
    }
    return flush_output(who, EXIT_DONE);
}

/* What needs no command to be run: returns its exit code, or -1 if there is more to do. */
static int answer_common(const struct command_line *line, const char *program, const char *about,
                         const struct command commands[])
{
    if (line->common.version) {
        printf("%s %s\n", program, EARSHOT_VERSION);
        return flush_output(program, EXIT_DONE);
    }
    if (line->common.kill_points) {
        return print_points(program);
    }
    if (line->common.help) {
        if (line->command == NULL) {
            command_print_help(stdout, program, about, commands);
        } else {
            command_print_command_help(stdout, program, line->command);
        }
        return flush_output(program, EXIT_DONE);
    }
    if (line->command == NULL) {
        command_print_help(stderr, program, about, commands);
        return EXIT_USAGE;
    }
    return -1;
}

static int call_command(const struct command_line *line, const char *program,
                        const struct places *places, const struct clock *clock)
{
    char *config_path = settings_find(line->common.config);
    struct command_call call = {
        .program = program,
        .name = line->command->name,
        .arguments = line->arguments,
        .argument_count = line->argument_count,
        .options = line->options,
        .config_path = config_path,
        .bin_dir = places->bin,
        .share_dir = places->share,
        .clock = *clock,
        .log = line->common.log,
    };
    int code;

    set_output(&call, line->common.output);
    code = run_command(line->command, &call);
    free(config_path);
    return code;
}

int command_main(const char *program, const char *about, const struct command commands[], int argc,
                 char **argv)
{
    const char *shown = shown_name(program, argv);
    struct command_line line = {0};
    struct places places;
    struct clock clock = {0};
    struct ear_error err = {0};
    const struct command *command = command_line_find(commands, argc, argv, &err);
    int code = EXIT_USAGE;

    log_open(program, LOG_FORM_AUTO, LOG_LEVEL_INFO, NULL);
    if (err.kind != EAR_NONE || find_places(&places, &err) != 0) {
        goto done;
    }
    if (command != NULL && command->program != NULL) {
        return become(&places, command, argv);
    }
    if (command_line_init(&line, command, argc, argv, &err) != 0 ||
        set_clock(&clock, line.common.now, &err) != 0) {
        goto done;
    }
    set_log(program, &line.common, &clock);
    code = answer_common(&line, shown, about, commands);
    if (code < 0) {
        code = call_command(&line, shown, &places, &clock);
    }

done:
    if (err.kind != EAR_NONE) {
        char who[128];

        snprintf(who, sizeof who, "%s%s%s", shown, command != NULL ? " " : "",
                 command != NULL ? command->name : "");
        log_plain(who, "%s", err.message);
        code = err.kind == EAR_CONFIG ? EXIT_USAGE : exit_code_of(&err);
    }
    command_line_clear(&line);
    return code;
}

int command_misused(const struct command_call *call, const char *format, ...)
{
    char text[1024];
    char who[128];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(who, sizeof who, "%s %s", call->program, call->name);
    log_plain(who, "%s; %s --help explains", text, who);
    return EXIT_USAGE;
}

static const char *join(char *out, size_t size, const char *folder, const char *name)
{
    if (snprintf(out, size, "%s/%s", folder, name) >= (int)size && size > 0) {
        out[0] = '\0'; /* a cut path would name something else */
    }
    return out;
}

const char *command_program_path(const struct command_call *call, const char *program, char *out,
                                 size_t size)
{
    return join(out, size, call->bin_dir, program);
}

const char *command_share_path(const struct command_call *call, const char *file, char *out,
                               size_t size)
{
    return join(out, size, call->share_dir, file);
}
