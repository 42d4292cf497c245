/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot check`: each role program reads the configuration and says what it finds, its own keys
 * included; here their answers become one list.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/earshot/earshot_internal.h"
#include "common/log.h"

const struct ear_option check_options[] = {
    {"online", EAR_BOOLEAN, offsetof(struct check_values, online), "false",
     "also sign in at stream and store, and ask every source once", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

enum { FINDINGS_MAX = 3000, LINE_BYTES = 64 * 1024, ANSWER_MAX = 8 * 1024 * 1024 };

struct finding {
    char *file, *key, *text;
    int64_t line, column;
    bool error;
};

struct findings {
    struct finding *items; /* [FINDINGS_MAX] */
    size_t count;
};

static void findings_clear(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].file);
        free(findings->items[i].key);
        free(findings->items[i].text);
    }
    free(findings->items);
    findings->items = NULL;
    findings->count = 0;
}

static int by_place(const void *one, const void *other)
{
    const struct finding *a = one;
    const struct finding *b = other;
    int order = strcmp(a->file, b->file);

    if (order == 0) {
        order = (a->line > b->line) - (a->line < b->line);
    }
    if (order == 0) {
        order = (a->column > b->column) - (a->column < b->column);
    }
    if (order == 0) {
        order = strcmp(a->key, b->key);
    }
    return order != 0 ? order : strcmp(a->text, b->text);
}

static char *copy_of(const struct json_node *node)
{
    const char *text = json_string(node, NULL);

    return strdup(text == NULL ? "" : text);
}

static int add_line(struct findings *findings, struct json *json, const char *line, size_t length,
                    const char *program, struct ear_error *err)
{
    const struct json_node *root = json_read(json, line, length, &json_limits_default, err);
    struct finding *finding = &findings->items[findings->count];
    const char *severity = NULL;

    if (root == NULL) {
        ear_error_context(err, "%s check", program);
        return -1;
    }
    if (findings->count == FINDINGS_MAX) {
        return 0;
    }
    findings->count++;
    *finding = (struct finding){copy_of(json_get(root, "file")),
                                copy_of(json_get(root, "key")),
                                copy_of(json_get(root, "text")),
                                1,
                                1,
                                true};
    if (finding->file == NULL || finding->key == NULL || finding->text == NULL) {
        return ear_fail_memory(err, "findings");
    }
    severity = json_string(json_get(root, "severity"), NULL);
    finding->error = severity == NULL || strcmp(severity, "warning") != 0;
    json_integer(json_get(root, "line"), &finding->line);
    json_integer(json_get(root, "column"), &finding->column);
    return 0;
}

/* Asks one role's program. */
static int ask(struct findings *findings, struct json *json, const struct command_call *call,
               const char *program, struct ear_error *err)
{
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, -1};
    char *answer = NULL;
    size_t length = 0;
    int code = 0;
    int result = -1;

    launch_init(&launch, call, program, "check");
    launch_add(&launch, "-o");
    launch_add(&launch, "json");
    if (child_capture(&answer, &length, &code, &config, ANSWER_MAX, command_stop_asked, err) != 0) {
        goto done;
    }
    if (code != EXIT_DONE && code != EXIT_CONFIG) {
        ear_fail(err, EAR_FATAL, "%s check ended with exit code %d; its message stands above",
                 program, code);
        goto done;
    }
    for (char *line = answer; *line != '\0';) {
        size_t size = strcspn(line, "\n");

        if (size > 0 && add_line(findings, json, line, size, program, err) != 0) {
            goto done;
        }
        line += size + (line[size] == '\n' ? 1 : 0);
    }
    result = 0;

done:
    free(answer);
    return result;
}

static void print_json(struct json_writer *writer, const struct finding *finding,
                       struct ear_error *err)
{
    json_write_object(writer);
    json_member_string(writer, "file", finding->file);
    json_member_integer(writer, "line", finding->line);
    json_member_integer(writer, "column", finding->column);
    json_member_string(writer, "key", finding->key);
    json_member_string(writer, "severity", finding->error ? "error" : "warning");
    json_member_string(writer, "text", finding->text);
    json_write_object_end(writer);
    if (print_json_line(writer, err) != 0) {
        json_writer_reset(writer);
    }
}

static void tell(const struct finding *finding)
{
    const struct config_finding as_found = {
        .severity = finding->error ? CONFIG_ERROR : CONFIG_WARNING,
        .file = finding->file,
        .line = (int)finding->line,
        .column = (int)finding->column,
        .key = finding->key,
        .text = finding->text,
    };

    settings_tell_finding(&as_found);
}

static size_t print_all(struct findings *findings, struct json_writer *writer,
                        struct ear_error *err)
{
    size_t errors = 0;

    qsort(findings->items, findings->count, sizeof *findings->items, by_place);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];

        if (i > 0 && by_place(finding, finding - 1) == 0) {
            continue;
        }
        errors += finding->error ? 1 : 0;
        if (writer != NULL) {
            print_json(writer, finding, err);
        } else {
            tell(finding);
        }
    }
    return errors;
}

int check_configuration(const struct command_call *call, bool json_out, size_t *errors,
                        struct ear_error *err)
{
    struct findings findings = {calloc(FINDINGS_MAX, sizeof *findings.items), 0};
    struct json *json = NULL;
    struct json_writer *writer = NULL;
    int result = -1;

    if (findings.items == NULL) {
        ear_fail_memory(err, "findings");
        goto done;
    }
    if (json_new(&json, err) != 0 || (json_out && json_writer_new(&writer, LINE_BYTES, err) != 0)) {
        goto done;
    }
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (i == ROLE_INGEST) {
            continue; /* the collector's program, which is asked already */
        }
        if (ask(&findings, json, call, roles[i].program, err) != 0) {
            goto done;
        }
    }
    *errors = print_all(&findings, writer, err);
    result = 0;

done:
    json_writer_free(writer);
    json_free(json);
    findings_clear(&findings);
    return result;
}

/* --- online --- */

/* Asks one source for its newest post; what is wrong is said by the collector. */
static int ask_source(const struct command_call *call, const char *name, int nowhere,
                      struct ear_error *err)
{
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, nowhere};
    int code = 0;

    launch_init(&launch, call, roles[ROLE_COLLECT].program, "probe");
    launch_add(&launch, "-n");
    launch_add(&launch, "1");
    launch_add(&launch, "--");
    launch_add(&launch, name);
    code = child_run(&config, command_stop_asked, err);
    if (code == EXIT_DONE) {
        fputs("✓ ", stderr);
        print_text(stderr, name, 0);
        fputs(" answers\n", stderr);
    }
    return code;
}

/* Kafka, asked from here. */
static int ask_stream(const struct settings *settings)
{
    struct ear_error why = {EAR_NONE, ""};

    if (!settings_on_kafka(settings)) {
        return EXIT_DONE;
    }
    if (confirm_log(settings, &why) == 0) {
        fputs("✓ stream answers\n", stderr);
        return EXIT_DONE;
    }
    print_text(stderr, why.message, 0);
    fputc('\n', stderr);
    return why.kind == EAR_RETRY ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

/* The store, asked by the sink, which says itself what is wrong. */
static int ask_store(const struct command_call *call, int nowhere, struct ear_error *err)
{
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, nowhere};
    int code = 0;

    launch_init(&launch, call, roles[ROLE_SINK].program, "status");
    code = child_run(&config, command_stop_asked, err);
    if (code == EXIT_DONE) {
        fputs("✓ store answers\n", stderr);
    }
    return code == EXIT_LATER ? EXIT_UNAVAILABLE : code;
}

/* What is refused outweighs what does not answer. */
static int worse(int worst, int code)
{
    if (code == EXIT_DONE || (code == EXIT_UNAVAILABLE && worst != EXIT_DONE)) {
        return worst;
    }
    return code == EXIT_UNAVAILABLE ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

static int check_online(const struct command_call *call, struct ear_error *err)
{
    struct settings *settings = NULL;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int worst = EXIT_DONE;
    int code = 0;

    if (nowhere < 0 ||
        settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0) {
        worst = -1;
        goto done;
    }
    worst = worse(worst, ask_stream(settings));
    code = ask_store(call, nowhere, err);
    if (code < 0) {
        worst = -1;
        goto done;
    }
    worst = worse(worst, code);
    for (size_t i = 0; i < settings->source_count && !command_stop_asked(); i++) {
        code = ask_source(call, settings->sources[i].name, nowhere, err);

        if (code < 0) {
            worst = -1;
            goto done;
        }
        worst = worse(worst, code);
    }

done:
    if (nowhere >= 0) {
        close(nowhere);
    }
    settings_free(settings);
    return worst;
}

/* What to do next: a configuration that listens nowhere is valid, and of no use yet. */
static int say_valid(const struct command_call *call, bool online, struct ear_error *err)
{
    struct settings *settings = NULL;

    if (settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0) {
        return -1;
    }
    fputs(settings->is_definition
              ? "✓ a valid definition   next: name it in include:, and its platform in use:\n"
          : settings->source_count == 0
              ? "✓ valid, but no source is named yet   next: earshot example\n"
          : online ? "✓ valid, and stream, store and every source answer\n"
                   : "✓ valid   next: earshot run\n",
          stderr);
    settings_free(settings);
    return 0;
}

int command_check(const struct command_call *call, struct ear_error *err)
{
    const struct check_values *options = call->options;
    struct command_call one = *call;
    size_t all = 0;
    size_t errors = 0;
    bool json = call->output_given && call->output == OUTPUT_JSON;

    command_stop_on_signals();
    if (call->config_path == NULL && call->argument_count == 0) {
        fputs("no configuration found: the defaults hold; `earshot init` writes one\n", stderr);
    }
    for (size_t i = 0; i < (call->argument_count == 0 ? 1 : call->argument_count); i++) {
        if (call->argument_count > 0) {
            one.config_path = call->arguments[i];
        }
        if (check_configuration(&one, json, &errors, err) != 0) {
            return -1;
        }
        all += errors;
        if (errors == 0 && options->online) {
            int code = check_online(&one, err);

            if (code != EXIT_DONE) {
                return code;
            }
        }
    }
    if (all == 0 && !json && say_valid(&one, options->online, err) != 0) {
        return -1;
    }
    return all == 0 ? EXIT_DONE : EXIT_CONFIG;
}
