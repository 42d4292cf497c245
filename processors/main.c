/* SPDX-License-Identifier: Apache-2.0 */

/* earshot-process: the stages, between two topics. */
#include "common/command/command.h"
#include "processors/classify/commands.h"
#include "processors/process.h"

static const struct command commands[] = {
    {.name = "run",
     .help = "process what the collectors publish, until stopped",
     .example = "earshot-process run --until-end",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = process_options,
     .options_size = sizeof(struct process_options),
     .run = process_run},
    {.name = "check",
     .help = "check the configuration and the options of every stage",
     .run = process_check,
     .hidden = true},
    {.name = "classify",
     .arguments = "[FILE]",
     .help = "a filter: text lines or NDJSON {\"id\",\"text\"} in, NDJSON out",
     .example = "earshot classify < posts.txt",
     .options = classify_command_options,
     .options_size = sizeof(struct classify_command_options),
     .run = classify_command},
    {.name = "explain",
     .help = "why stored posts were judged as they were; reads them on standard input",
     .run = explain_command,
     .hidden = true},
    {0},
};

int main(int argc, char **argv)
{
    return command_main("earshot-process", "runs the stages that find wishes, complaints, praise",
                        commands, argc, argv);
}
