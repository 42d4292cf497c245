/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/command/command_internal.h"
#include "common/config/config.h"

/*
 * Options may stand before and after the command's name and between its arguments; "--" ends them.
 * An option is looked up in the common table, then in the command's.
 */

const struct ear_option common_option_table[] = {
    {"config", EAR_STRING, offsetof(struct common_options, config), NULL,
     "configuration file (else $EARSHOT_CONFIG, ./earshot.yaml, /etc/earshot/earshot.yaml)", NULL},
    {"output,o", EAR_CHOICE, offsetof(struct common_options, output), "table|json|csv",
     "form of the data on stdout (a table on a terminal, else JSON)", NULL},
    {"now", EAR_STRING, offsetof(struct common_options, now), NULL,
     "start the clock at this RFC 3339 instant (else $EARSHOT_NOW, else now)", NULL},
    {"log", EAR_CHOICE, offsetof(struct common_options, log), "text|json",
     "form of the log on stderr (text on a terminal, else JSON)", NULL},
    {"help,h", EAR_BOOLEAN, offsetof(struct common_options, help), "false", "explain a command",
     NULL},
    {"version", EAR_BOOLEAN, offsetof(struct common_options, version), "false", "print the version",
     NULL},
    {"kill-points", EAR_BOOLEAN, offsetof(struct common_options, kill_points), "false",
     "list the test points of this build", NULL},
    {0},
};

/* The long name of "limit,n" is [0, comma); the short one follows it. */
static size_t long_length(const struct ear_option *option)
{
    return strcspn(option->name, ",");
}

static const struct ear_option *find_long(const struct ear_option *table, const char *name,
                                          size_t length)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (long_length(table) == length && strncmp(table->name, name, length) == 0) {
            return table;
        }
    }
    return NULL;
}

static const struct ear_option *find_short(const struct ear_option *table, char letter)
{
    for (; table != NULL && table->name != NULL; table++) {
        const char *comma = strchr(table->name, ',');

        if (comma != NULL && comma[1] == letter && letter != '\0') {
            return table;
        }
    }
    return NULL;
}

/* One option as it stands in argv. */
struct given {
    const struct ear_option *option; /* NULL: unknown */
    bool common;                     /* of the common table */
    const char *value;               /* in the same word; NULL: none there */
};

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

static struct given look_up(const char *word, const struct ear_option *table)
{
    struct given given = {NULL, true, NULL};

    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");

        given.option = find_long(common_option_table, word + 2, length);
        if (given.option == NULL) {
            given.option = find_long(table, word + 2, length);
            given.common = false;
        }
        given.value = word[2 + length] == '=' ? word + 2 + length + 1 : NULL;
    } else {
        given.option = find_short(common_option_table, word[1]);
        if (given.option == NULL) {
            given.option = find_short(table, word[1]);
            given.common = false;
        }
        given.value = word[2] != '\0' ? word + 2 : NULL;
    }
    return given;
}

static bool takes_value(const struct ear_option *option)
{
    return option->type != EAR_BOOLEAN && option->type != EAR_UNBUILT;
}

static const struct command *find_command(const struct command commands[], const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static void fail_command(const struct command commands[], const char *name, struct ear_error *err)
{
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX + 1] = {NULL};
    char hint[128];
    size_t count = 0;

    for (const struct command *command = commands; command->name != NULL && count < NAMES_MAX;
         command++) {
        if (!command->hidden) {
            names[count++] = command->name;
        }
    }
    config_suggest(hint, sizeof hint, name, names);
    ear_fail(err, EAR_CONFIG, "'%.64s' is no command; %s", name,
             *hint != '\0' ? hint : "--help lists them");
}

const struct command *command_line_find(const struct command commands[], int argc,
                                        char *const argv[], struct ear_error *err)
{
    ear_error_clear(err);
    for (int i = 1; i < argc; i++) {
        const struct command *command;

        if (is_option(argv[i])) {
            struct given given = look_up(argv[i], NULL);

            if (strcmp(argv[i], "--") == 0) {
                return NULL;
            }
            i += given.option != NULL && takes_value(given.option) && given.value == NULL ? 1 : 0;
            continue;
        }
        command = find_command(commands, argv[i]);
        if (command == NULL && strcmp(argv[i], "help") == 0) {
            continue;
        }
        if (command == NULL) {
            fail_command(commands, argv[i], err);
        }
        return command;
    }
    return NULL;
}

static void fail_option(const struct ear_option *table, const char *word, struct ear_error *err)
{
    enum { NAMES_MAX = 64, NAME_SIZE = 40 };
    char names[NAMES_MAX][NAME_SIZE];
    const char *choices[NAMES_MAX + 1] = {NULL};
    const struct ear_option *const tables[] = {common_option_table, table};
    char typed[64];
    char hint[128];
    size_t count = 0;

    for (size_t i = 0; i < 2; i++) {
        for (const struct ear_option *option = tables[i];
             option != NULL && option->name != NULL && count < NAMES_MAX; option++) {
            snprintf(names[count], NAME_SIZE, "--%.*s", (int)long_length(option), option->name);
            choices[count] = names[count];
            count++;
        }
    }
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word, "="), word);
    config_suggest(hint, sizeof hint, typed, choices);
    ear_fail(err, EAR_CONFIG, "there is no option %s; %s", typed,
             *hint != '\0' ? hint : "--help lists them");
}

/* Fills one option; `next` is the word after it, *used says whether it was the value. */
static int take_option(struct command_line *line, const char *word, const char *next, bool *used,
                       struct ear_error *err)
{
    const struct ear_option *table = line->command == NULL ? NULL : line->command->options;
    struct given given = look_up(word, table);
    void *out = given.common ? (void *)&line->common : line->options;
    const char *value = given.value;

    if (given.option == NULL) {
        fail_option(table, word, err);
        return -1;
    }
    if (given.option->type == EAR_UNBUILT) {
        return ear_fail(err, EAR_CONFIG, "--%.*s is not built yet: %s",
                        (int)long_length(given.option), given.option->name, given.option->help);
    }
    if (value == NULL && !takes_value(given.option)) {
        value = "true";
    }
    if (value == NULL && next == NULL) {
        return ear_fail(err, EAR_CONFIG, "%s needs a value: %s", word, given.option->help);
    }
    *used = value == NULL;
    if (config_value(line->config, given.option, value == NULL ? next : value, out, err) != 0) {
        ear_error_context(err, "--%.*s", (int)long_length(given.option), given.option->name);
        return -1;
    }
    return 0;
}

static bool was_given(const struct ear_option *option, int argc, char *const argv[])
{
    const struct ear_option table[] = {*option, {0}};

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (is_option(argv[i]) && look_up(argv[i], table).option == &table[0]) {
            return true;
        }
    }
    return false;
}

static int check_required(const struct command *command, int argc, char *const argv[],
                          struct ear_error *err)
{
    for (const struct ear_option *option = command->options; option != NULL && option->name != NULL;
         option++) {
        if (option->fallback != NULL && option->fallback[0] == '!' &&
            !was_given(option, argc, argv)) {
            return ear_fail(err, EAR_CONFIG, "--%.*s must be given: %s", (int)long_length(option),
                            option->name, option->help);
        }
    }
    return 0;
}

/* How many arguments a usage line asks for: see command.h. */
static void count_arguments(const char *usage, size_t *least, size_t *most)
{
    size_t depth = 0;

    *least = 0;
    *most = 0;
    if (usage == NULL) {
        return;
    }
    if (strstr(usage, "…") != NULL || strstr(usage, "...") != NULL) {
        *most = SIZE_MAX;
    }
    for (bool in_word = false; *usage != '\0'; usage++) {
        depth += *usage == '[' ? 1 : 0;
        if (*usage != ' ' && !in_word) {
            *least += depth == 0 ? 1 : 0;
            *most += *most != SIZE_MAX ? 1 : 0;
        }
        in_word = *usage != ' ';
        depth -= *usage == ']' && depth > 0 ? 1 : 0;
    }
}

static int check_arguments(const struct command_line *line, struct ear_error *err)
{
    size_t least = 0;
    size_t most = 0;

    count_arguments(line->command->arguments, &least, &most);
    if (line->argument_count < least) {
        return ear_fail(err, EAR_CONFIG, "something is missing; write: %s %s", line->command->name,
                        line->command->arguments);
    }
    if (line->argument_count > most) {
        return ear_fail(err, EAR_CONFIG, "'%.64s' is too much; write: %s%s%s",
                        line->arguments[most], line->command->name, most == 0 ? "" : " ",
                        most == 0 ? "" : line->command->arguments);
    }
    return 0;
}

static int open_line(struct command_line *line, const struct command *command, int argc,
                     struct ear_error *err)
{
    *line = (struct command_line){.command = command};
    line->arguments = calloc((size_t)argc + 1, sizeof *line->arguments);
    if (line->arguments == NULL) {
        return ear_fail_memory(err, "the command line");
    }
    if (config_new(&line->config, err) != 0) {
        return -1;
    }
    if (command == NULL || command->options == NULL) {
        return 0;
    }
    assert(command->options_size > 0);
    line->options = calloc(1, command->options_size);
    if (line->options == NULL) {
        return ear_fail_memory(err, "the command line");
    }
    /* findings about required options are not for here: check_required knows what was typed */
    (void)config_fill(line->config, NULL, command->options, NULL, command->name, line->options);
    return 0;
}

int command_line_init(struct command_line *line, const struct command *command, int argc,
                      char *const argv[], struct ear_error *err)
{
    bool named = command == NULL;
    bool ended = false;

    if (open_line(line, command, argc, err) != 0) {
        return -1;
    }
    for (int i = 1; i < argc; i++) {
        bool used = false;

        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && is_option(argv[i])) {
            if (take_option(line, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used, err) != 0) {
                return -1;
            }
            i += used ? 1 : 0;
        } else if (!named && strcmp(argv[i], command->name) == 0) {
            named = true;
        } else if (!named || command == NULL) {
            line->common.help = true; /* "help" itself: command_line_find let nothing else pass */
        } else {
            line->arguments[line->argument_count++] = argv[i];
        }
    }
    if (command == NULL || line->common.help || line->common.version || line->common.kill_points) {
        return 0;
    }
    return check_required(command, argc, argv, err) != 0 ? -1 : check_arguments(line, err);
}

void command_line_clear(struct command_line *line)
{
    free(line->options);
    free(line->arguments);
    config_free(line->config);
    *line = (struct command_line){0};
}
