/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot completion` for three shells, from the table of commands; `earshot version`. */

#include <string.h>

#include "common/earshot/earshot_internal.h"

static const char common_words[] = "--config --output --now --log --help";

/* The long options of a command, each with a space in front. Those of a command that another
 * program has are in its --help, which the shell asks for: lines of two blanks, perhaps "-x, ", and
 * the name. */
static void print_options(const struct command *command)
{
    if (command->program != NULL) {
        printf(" $(earshot %s --help 2>/dev/null | "
               "sed -n \"s/^  \\(-., \\)\\{0,1\\}\\(--[a-z-]*\\) .*/\\2/p\")",
               command->name);
    }
    for (const struct ear_option *option = command->options; option != NULL && option->name != NULL;
         option++) {
        if (option->type != EAR_UNBUILT) {
            printf(" --%.*s", (int)strcspn(option->name, ","), option->name);
        }
    }
}

/* A word of the shell in single quotes. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*text);
        }
    }
    putchar('\'');
}

static void print_bash(void)
{
    puts("# bash completion of earshot: source <(earshot completion bash)\n"
         "_earshot() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} command= i\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        [[ ${COMP_WORDS[i]} != -* ]] && { command=${COMP_WORDS[i]}; break; }\n"
         "    done\n"
         "    case $command in");
    fputs("    '') COMPREPLY=($(compgen -W '--help --version", stdout);
    for (const struct command *command = earshot_commands; command->name != NULL; command++) {
        if (!command->hidden) {
            printf(" %s", command->name);
        }
    }
    puts("' -- \"$word\")) ;;");
    for (const struct command *command = earshot_commands; command->name != NULL; command++) {
        if (!command->hidden) {
            printf("    %s) COMPREPLY=($(compgen -f -W \"%s", command->name, common_words);
            print_options(command);
            puts("\" -- \"$word\")) ;;");
        }
    }
    puts("    esac\n}\ncomplete -F _earshot earshot");
}

static void print_zsh(void)
{
    puts("#compdef earshot\n# zsh completion of earshot: source <(earshot completion zsh)\n"
         "_earshot() {\n"
         "    local -a commands\n"
         "    commands=(");
    for (const struct command *command = earshot_commands; command->name != NULL; command++) {
        if (!command->hidden) {
            char line[512];

            snprintf(line, sizeof line, "%s:%s", command->name, command->help);
            fputs("        ", stdout);
            print_quoted(line);
            putchar('\n');
        }
    }
    puts("    )\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe command commands\n"
         "        return\n"
         "    fi\n"
         "    case $words[2] in");
    for (const struct command *command = earshot_commands; command->name != NULL; command++) {
        if (!command->hidden) {
            printf("    %s) compadd -- %s", command->name, common_words);
            print_options(command);
            puts("; _files ;;");
        }
    }
    puts("    esac\n}\ncompdef _earshot earshot");
}

static void print_fish(void)
{
    puts("# fish completion of earshot: earshot completion fish | source");
    for (const struct command *command = earshot_commands; command->name != NULL; command++) {
        if (command->hidden) {
            continue;
        }
        printf("complete -c earshot -n __fish_use_subcommand -a %s -d ", command->name);
        print_quoted(command->help);
        putchar('\n');
        for (const struct ear_option *option = command->options;
             option != NULL && option->name != NULL; option++) {
            if (option->type != EAR_UNBUILT) {
                printf("complete -c earshot -n '__fish_seen_subcommand_from %s' -l %.*s -d ",
                       command->name, (int)strcspn(option->name, ","), option->name);
                print_quoted(option->help);
                putchar('\n');
            }
        }
    }
}

int command_completion(const struct command_call *call, struct ear_error *err)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

    (void)err;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, call->arguments[0]) == 0) {
            shells[i].print();
            return EXIT_DONE;
        }
    }
    return command_misused(call, "'%s' is no shell that is known: bash, zsh, fish",
                           call->arguments[0]);
}

/* --- version --- */

const struct ear_option version_options[] = {
    {"json", EAR_BOOLEAN, offsetof(struct version_values, json), "false", "as one JSON object",
     NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

int command_version(const struct command_call *call, struct ear_error *err)
{
    const struct version_values *options = call->options;

    (void)err;
    if (options->json || (call->output_given && call->output == OUTPUT_JSON)) {
        puts("{\"name\":\"earshot\",\"version\":\"" EARSHOT_VERSION "\"}");
    } else {
        puts("earshot " EARSHOT_VERSION);
    }
    return EXIT_DONE;
}
