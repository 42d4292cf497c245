/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The command that people type. A row either has a function here (what needs the log only, or
 * starts other programs) or names the role program that has the command. Commands of later versions
 * stand here too, hidden, and say so.
 */

#include "common/earshot/earshot_internal.h"

#define LATER_OPTION(key)                                                                          \
    {                                                                                              \
        key, EAR_UNBUILT, 0, NULL, "the command is one of a later version", NULL                   \
    }

/* What these commands will take, so that they answer by their name and not by their options. */
static const struct ear_option later_options[] = {
    LATER_OPTION("since"),
    LATER_OPTION("until"),
    LATER_OPTION("brand"),
    LATER_OPTION("compare"),
    LATER_OPTION("record"),
    LATER_OPTION("replay"),
    LATER_OPTION("label"),
    LATER_OPTION("source"),
    LATER_OPTION("note"),
    LATER_OPTION("status"),
    LATER_OPTION("contains"),
    LATER_OPTION("touchpoint"),
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

static int say_later(const struct command_call *call, struct ear_error *err)
{
    (void)err;
    return command_misused(call, "'%s' is not built yet; a later version has it", call->name);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): the arguments are whole initialisers */

/* A command that a role's program has. */
#define OF(key, program_, about)                                                                   \
    {                                                                                              \
        .name = key, .arguments = "[…]", .help = about, .program = program_                        \
    }
#define LATER(key, about)                                                                          \
    {                                                                                              \
        .name = key, .arguments = "[…]", .help = about, .options = later_options,                  \
        .options_size = 1, .run = say_later, .hidden = true                                        \
    }

/* NOLINTEND(bugprone-macro-parentheses) */

const struct command earshot_commands[] = {
    {.name = "init",
     .arguments = "[DIR]",
     .help = "ask a few questions, write earshot.yaml",
     .example = "earshot init my-brand",
     .options = init_options,
     .options_size = sizeof(struct init_values),
     .run = command_init},
    {.name = "check",
     .arguments = "[FILE…]",
     .help = "name every mistake of the configuration, with its cure",
     .example = "earshot check --online",
     .options = check_options,
     .options_size = sizeof(struct check_values),
     .run = command_check},
    OF("probe", "earshot-collect", "fetch now and print what would be published"),
    OF("source", "earshot-collect", "the platforms there are: list, show NAME, new URL, test NAME"),
    {.name = "run",
     .arguments = "[ROLE…]",
     .help = "collect, process and store until stopped; --once; --demo",
     .example = "earshot run --once",
     .options = run_options,
     .options_size = sizeof(struct run_values),
     .run = command_run},
    {.name = "import",
     .arguments = "FILE|-",
     .help = "surveys, reviews, notes, tickets from CSV, NDJSON, mbox",
     .example = "earshot import answers.csv --channel survey --map text=Comment",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = import_options,
     .options_size = sizeof(struct import_values),
     .run = command_import},
    {.name = "backfill",
     .arguments = "SOURCE",
     .help = "walk into a source's past; goes on after a kill",
     .example = "earshot backfill our-forum --since 90d",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = backfill_options,
     .options_size = sizeof(struct backfill_values),
     .run = command_backfill},
    OF("trends", "earshot-sink", "what rises and falls"),
    OF("wishes", "earshot-sink", "what people ask for"),
    OF("complaints", "earshot-sink", "what people are unhappy about"),
    OF("praise", "earshot-sink", "what people love"),
    OF("export", "earshot-sink", "every post, or a view, as NDJSON or CSV"),
    OF("classify", "earshot-process", "a filter: text in, labels out"),
    {.name = "explain",
     .arguments = "ID",
     .help = "why a stored post was judged as it was",
     .example = "earshot explain feed:blog.example:42",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = command_explain},
    {.name = "label",
     .arguments = "ID LABEL=yes|no…",
     .help = "correct what the classifier said; kept for ever",
     .example = "earshot label feed:blog.example:42 wish=no",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = label_options,
     .options_size = sizeof(struct label_values),
     .run = command_label},
    {.name = "ask",
     .arguments = "[new|list|show|change|end|remove] [TITLE|NAME] [TITLE]",
     .help = "a question put out, a contest: who answered, and what",
     .example = "earshot ask new \"Which colour next?\" --source ideas --until 2026-12-24",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = ask_options,
     .options_size = sizeof(struct ask_values),
     .run = command_ask},
    {.name = "tap",
     .arguments = "TOPIC",
     .help = "look into the log: posts, insights, rejects, decisions, …",
     .example = "earshot tap insights --from 1h --where label=wish",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = tap_options,
     .options_size = sizeof(struct tap_values),
     .run = command_tap},
    {.name = "status",
     .help = "roles, sources, lag, rejects, the last error and its cure",
     .example = "earshot status --watch",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = status_options,
     .options_size = sizeof(struct status_values),
     .run = command_status},
    {.name = "rejects",
     .arguments = "[retry|drop|show] [ID|all]",
     .help = "what could not be handled, and why",
     .example = "earshot rejects retry all",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = decide_options,
     .options_size = sizeof(struct deciding_options),
     .run = command_rejects},
    {.name = "forget",
     .arguments = "ID|AUTHOR",
     .help = "remove a post or a person from log and store",
     .example = "earshot forget reddit:some_handle",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = decide_options,
     .options_size = sizeof(struct deciding_options),
     .run = command_forget},
    {.name = "compact",
     .help = "rewrite the log without what was deleted",
     .example = "earshot compact",
     .needs = COMMAND_NEEDS_SETTINGS,
     .options = compact_options,
     .options_size = sizeof(struct compact_values),
     .run = command_compact},
    {.name = "example",
     .arguments = "[NAME]",
     .help = "print an annotated configuration",
     .example = "earshot example survey > earshot.yaml",
     .run = command_example},
    {.name = "completion",
     .arguments = "bash|zsh|fish",
     .help = "complete these commands in your shell",
     .example = "source <(earshot completion bash)",
     .run = command_completion},
    {.name = "version",
     .help = "print the version",
     .example = "earshot version --json",
     .options = version_options,
     .options_size = sizeof(struct version_values),
     .run = command_version},
    LATER("touchpoints", "touch points and expectations"),
    LATER("compare", "share of voice"),
    LATER("remedies", "what a fix did"),
    LATER("recovery", "who waits for an answer"),
    LATER("wish", "decide about a wish"),
    LATER("remedy", "register a fix"),
    LATER("promise", "register a promise"),
    LATER("target", "set a target for a touch point"),
    LATER("replay", "run old posts through today's stages"),
    LATER("stage", "test a custom stage"),
    LATER("serve", "the dashboard"),
    {0},
};

int main(int argc, char **argv)
{
    return command_main("earshot", "what customers say, and what to do about it", earshot_commands,
                        argc, argv);
}
