/* SPDX-License-Identifier: Apache-2.0 */

/* earshot-sink: from insights to the store, and from the store to people. */
#include "common/command/command.h"
#include "sinks/commands/commands.h"
#include "sinks/export/export.h"
#include "sinks/trends/view.h"

#define VIEW(command, text, line)                                                                  \
    {                                                                                              \
        .name = #command, .help = (text), .example = (line), .needs = COMMAND_NEEDS_SETTINGS,      \
        .options = view_options, .options_size = sizeof(struct view_options),                      \
        .run = command##_command                                                                   \
    }

static const struct command commands[] = {
    VIEW(trends, "what rises and falls", "earshot trends --brand Acme --since 7d"),
    VIEW(wishes, "what people ask for", "earshot wishes --lang en -n 50"),
    VIEW(complaints, "what people are unhappy about", "earshot complaints --touchpoint delivery"),
    VIEW(praise, "what people love", "earshot praise --since 7d -o csv"),
    {.name = "export",
     .arguments = "posts|trends|wishes|complaints|praise",
     .help = "every post, or a view, as NDJSON or CSV",
     .example = "earshot export posts -o csv > posts.csv",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = view_options,
     .options_size = sizeof(struct view_options),
     .run = export_command},
    {.name = "asks",
     .arguments = "[NAME]",
     .help = "the asks, or who answered one",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = view_options,
     .options_size = sizeof(struct view_options),
     .run = asks_command,
     .hidden = true},
    {.name = "run",
     .help = "carry insights into the store until SIGTERM",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = run_options,
     .options_size = sizeof(struct run_options),
     .run = run_command},
    {.name = "check",
     .help = "check the configuration and the sinks' keys",
     .needs = COMMAND_NEEDS_NOTHING,
     .run = check_command},
    {.name = "rebuild",
     .arguments = "INTO",
     .help = "make a new store of what the log holds",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = rebuild_command,
     .hidden = true},
    {.name = "stored",
     .arguments = "ID",
     .help = "one stored insight with its corrections",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = stored_command,
     .hidden = true},
    {.name = "status",
     .help = "what the store holds and where it stands",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = status_command,
     .hidden = true},
    {.name = "facts",
     .arguments = "[STORE]",
     .help = "every fact, in a fixed order",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = facts_command,
     .hidden = true},
    {0},
};

int main(int argc, char **argv)
{
    return command_main("earshot-sink", "Stores what customers say and shows it.", commands, argc,
                        argv);
}
