/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/command/command_internal.h"

static void print_options(FILE *stream, const struct ear_option *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        size_t length = strcspn(table->name, ",");
        const char *letter = table->name[length] == ',' ? table->name + length + 1 : "";
        char left[64];

        if (table->type == EAR_UNBUILT) {
            continue;
        }
        snprintf(left, sizeof left, "%s%s%s--%.*s%s", *letter != '\0' ? "-" : "", letter,
                 *letter != '\0' ? ", " : "", (int)length, table->name,
                 table->type == EAR_BOOLEAN    ? ""
                 : table->type == EAR_DURATION ? " DURATION"
                 : table->type == EAR_INTEGER  ? " N"
                                               : " VALUE");
        fprintf(stream, "  %-22s %s", left, table->help);
        if (table->type == EAR_CHOICE) {
            fprintf(stream, ": %s", table->fallback);
        } else if (table->type != EAR_BOOLEAN && table->fallback != NULL &&
                   table->fallback[0] != '\0') {
            fprintf(stream, table->fallback[0] == '!' ? " (required)" : " (default %s)",
                    table->fallback);
        }
        fputc('\n', stream);
    }
}

void command_print_help(FILE *stream, const char *program, const char *about,
                        const struct command commands[])
{
    const char *example = NULL;

    fprintf(stream, "%s: %s\n\nusage: %s [OPTION…] COMMAND [ARGUMENT…]\n\n", program, about,
            program);
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (command->hidden) {
            continue;
        }
        fprintf(stream, "  %-12s %s\n", command->name, command->help);
        if (example == NULL) {
            example = command->example;
        }
    }
    fprintf(stream, "\n%s COMMAND --help explains one; with every command:\n", program);
    print_options(stream, common_option_table);
    if (example != NULL) {
        fprintf(stream, "\nfor example: %s\n", example);
    }
}

void command_print_command_help(FILE *stream, const char *program, const struct command *command)
{
    fprintf(stream, "usage: %s %s%s%s%s\n\n%s\n", program, command->name,
            command->options != NULL ? " [OPTION…]" : "", command->arguments != NULL ? " " : "",
            command->arguments != NULL ? command->arguments : "", command->help);
    if (command->options != NULL) {
        fputc('\n', stream);
        print_options(stream, command->options);
    }
    fputs("\nwith every command:\n", stream);
    print_options(stream, common_option_table);
    if (command->example != NULL) {
        fprintf(stream, "\nfor example: %s\n", command->example);
    }
}
