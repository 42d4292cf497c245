/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `source list`: what `use:` may say. `source show NAME`: the reference page of a platform, made
 * from its definition. `source new URL`: a draft for another. `source test NAME`: a configured one,
 * recorded and played again. All others work without a configuration;
 * with one, its own definitions and what it allows of the network count.
 */

#include <stdio.h>
#include <string.h>

#include "collectors/commands.h"
#include "collectors/definition/definition.h"
#include "collectors/source.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/settings/settings.h"

const struct ear_option collect_source_options[] = {
    {"header", EAR_STRINGS, offsetof(struct source_values, header), NULL,
     "new: a header to ask with: \"Name: value\"; a secret as @FILE, which holds such a line, or "
     "\"Authorization: ${file:PATH}\"; may be given several times",
     NULL},
    {"record", EAR_STRING, offsetof(struct source_values, record), NULL,
     "test: ask the source now, keep what it answers in this folder", NULL},
    {"replay", EAR_STRING, offsetof(struct source_values, replay), NULL,
     "test: ask that folder; are the posts those that were kept?", NULL},
    {"accept", EAR_BOOLEAN, offsetof(struct source_values, accept), "false",
     "test --replay: keep the posts as they are now", NULL},
    {0},
};

enum { LINE_MAX_BYTES = 64 * 1024 };

struct row {
    const char *name, *channel, *about, *kind;
};

static int print_row(const struct row *row, struct json_writer *writer, struct ear_error *err)
{
    size_t length = 0;
    const char *text = NULL;

    if (writer == NULL) {
        (void)printf("%-20s %-10s %-9s %s\n", row->name, row->channel, row->kind, row->about);
        return 0;
    }
    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "name", row->name);
    json_member_string(writer, "channel", row->channel);
    json_member_string(writer, "kind", row->kind);
    json_member_string(writer, "about", row->about);
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text == NULL) {
        return -1;
    }
    (void)printf("%s\n", text);
    return 0;
}

static int list_readers(struct json_writer *writer, struct ear_error *err)
{
    for (size_t i = 0; source_readers[i] != NULL; i++) {
        const struct source_reader *reader = source_readers[i];
        const struct row row = {reader->name, reader->channel, reader->about, "reader"};

        if (print_row(&row, writer, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A definition that is wrong is listed too: `source show` says what is wrong with it. */
static int list_definitions(struct definitions *definitions, struct json_writer *writer,
                            struct ear_error *err)
{
    const char *const *names = definitions_names(definitions);

    for (size_t i = 0; names[i] != NULL; i++) {
        bool known = false;
        struct definition *definition = definitions_find(definitions, names[i], &known, err);
        const struct source_reader *reader =
            definition == NULL ? NULL : definition_reader(definition);
        const struct row row = {names[i], reader == NULL ? "-" : reader->channel,
                                reader == NULL ? "has mistakes" : reader->about,
                                definitions_is_own(definitions, names[i]) ? "own" : "built in"};

        if (err->kind != EAR_NONE || print_row(&row, writer, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int list(const struct command_call *call, struct definitions *definitions,
                struct ear_error *err)
{
    struct json_writer *writer = NULL;
    int result = -1;

    if (call->output != OUTPUT_TABLE && json_writer_new(&writer, LINE_MAX_BYTES, err) != 0) {
        return -1;
    }
    if (list_readers(writer, err) == 0 && list_definitions(definitions, writer, err) == 0) {
        result = EXIT_DONE;
    }
    json_writer_free(writer);
    return result;
}

static void show_reader(const struct source_reader *reader)
{
    (void)printf("# %s\n\n%s. A reader of Earshot's own; its posts are of the channel %s.\n\n"
                 "## Its keys\n\n| key | default | meaning |\n| --- | --- | --- |\n",
                 reader->name, reader->about, reader->channel == NULL ? "-" : reader->channel);
    for (const struct ear_option *option = reader->options; option->name != NULL; option++) {
        const bool required = option->fallback != NULL && option->fallback[0] == '!';

        (void)printf("| %s | %s | %s |\n", option->name,
                     required                   ? "required"
                     : option->fallback == NULL ? "none"
                                                : option->fallback,
                     option->help == NULL ? "" : option->help);
    }
    if (reader->example != NULL) {
        (void)printf("\n## A configuration\n\n```yaml\n%s```\n", reader->example);
    }
}

static int unknown(struct definitions *definitions, const char *name, struct ear_error *err)
{
    char nearest[128];

    config_suggest(nearest, sizeof(nearest), name, definitions_names(definitions));
    return ear_fail(err, EAR_CONFIG, "no platform is called '%.100s'; %s", name,
                    *nearest != '\0' ? nearest : "`earshot source list` shows those there are");
}

static int show(const struct settings *settings, struct definitions *definitions, const char *name,
                struct ear_error *err)
{
    const struct source_reader *reader = source_reader_find(name);
    struct definition *definition = NULL;
    bool known = false;

    if (reader != NULL) {
        show_reader(reader);
        return EXIT_DONE;
    }
    definition = definitions_find(definitions, name, &known, err);
    if (definition != NULL) {
        definition_page(definition, definitions_is_own(definitions, name), stdout);
        return EXIT_DONE;
    }
    if (err->kind != EAR_NONE) {
        return -1;
    }
    if (!known) {
        return unknown(definitions, name, err);
    }
    (void)settings_print_findings(settings, false);
    return EXIT_CONFIG;
}

int collect_source(const struct command_call *call, struct ear_error *err)
{
    struct settings *settings = NULL;
    struct definitions *definitions = NULL;
    const char *action = call->arguments[0];
    int result = -1;

    const bool is_list = strcmp(action, "list") == 0;
    const bool is_new = strcmp(action, "new") == 0;
    const bool is_test = strcmp(action, "test") == 0;

    if (!is_list && !is_new && !is_test && strcmp(action, "show") != 0) {
        return command_misused(call, "'%.50s' is none of: list, show NAME, new URL, test NAME",
                               action);
    }
    if (is_list != (call->argument_count == 1)) {
        return command_misused(
            call, "write source list, source show NAME, source new URL, or source test NAME");
    }
    if (settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0) {
        goto done;
    }
    if (is_test) { /* reads definitions by itself, as a source's */
        result = source_test(call, settings, call->arguments[1], err);
        goto done;
    }
    if (definitions_new(&definitions, settings, err) != 0) {
        goto done;
    }
    result = is_list  ? list(call, definitions, err)
             : is_new ? source_new(call, settings, call->arguments[1], err)
                      : show(settings, definitions, call->arguments[1], err);

done:
    definitions_free(definitions);
    settings_free(settings);
    return result;
}
