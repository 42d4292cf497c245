/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_COMMAND_COMMAND_INTERNAL_H
#define EARSHOT_COMMON_COMMAND_COMMAND_INTERNAL_H

/* What the files of the command room share: the command line as it was typed, and its help. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/command/command.h"
#include "common/error.h"
#include "common/option.h"

struct config;

/* The options that every program has; NULL and false where they were not given. */
struct common_options {
    const char *config;
    const char *now;
    const char *log;
    const char *output;
    bool help;
    bool version;
    bool kill_points;
};

extern const struct ear_option common_option_table[];

/* The command line, taken apart. */
struct command_line {
    struct common_options common;
    const struct command *command; /* NULL: none was named */
    void *options;                 /* of the command's table; NULL if it has none */
    const char **arguments;        /* [argument_count], borrowed strings */
    size_t argument_count;
    struct config *config; /* holds what the options were filled with */
};

/*
 * The command that argv names: the first word that is neither an option nor the value of a common
 * one. NULL with EAR_NONE: none is named; with EAR_CONFIG: it is unknown, did you mean. "help" is
 * passed over: what it explains is found.
 */
const struct command *command_line_find(const struct command commands[], int argc,
                                        char *const argv[], struct ear_error *err);

/*
 * Takes argv apart for `command` (NULL: only common options may stand there). -1 with EAR_CONFIG:
 * what was typed makes no sense. With --help, nothing but the options is checked. Caller clears,
 * also after a failure.
 */
EAR_MUST_CHECK
int command_line_init(struct command_line *line, const struct command *command, int argc,
                      char *const argv[], struct ear_error *err);
void command_line_clear(struct command_line *line);

/* Help of a whole program, and of one command. */
void command_print_help(FILE *stream, const char *program, const char *about,
                        const struct command commands[]);
void command_print_command_help(FILE *stream, const char *program, const struct command *command);

#endif
