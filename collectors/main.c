/* SPDX-License-Identifier: Apache-2.0 */
/* earshot-collect: polls the configured sources and publishes what is new. */

#include "collectors/commands.h"
#include "collectors/ingest/ingest.h"
#include "collectors/sources.h"
#include "common/settings/settings.h"

int collect_check(const struct command_call *call, struct ear_error *err)
{
    struct settings *settings = NULL;
    struct sources sources = {0};
    int result = -1;

    if (settings_load(&settings, call->config_path, NULL, call->share_dir, err) != 0 ||
        sources_init(&sources, settings, source_reader_find, err) != 0 ||
        ingest_check(settings, &sources, err) != 0) {
        goto done;
    }
    result =
        settings_print_findings(settings, call->output_given && call->output == OUTPUT_JSON) > 0
            ? EXIT_CONFIG
            : EXIT_DONE;

done:
    sources_clear(&sources);
    settings_free(settings);
    return result;
}

static const struct command commands[] = {
    {
        .name = "run",
        .help = "poll the sources until stopped",
        .example = "earshot-collect run",
        .needs = COMMAND_NEEDS_SETTINGS,
        .options = collect_run_options,
        .options_size = sizeof(struct run_values),
        .run = collect_run,
    },
    {
        .name = "once",
        .help = "poll each source once, print a line for each",
        .example = "earshot-collect once --deadline 5m",
        .needs = COMMAND_NEEDS_SETTINGS,
        .options = collect_once_options,
        .options_size = sizeof(struct once_values),
        .run = collect_once,
    },
    {
        .name = "backfill",
        .arguments = "SOURCE",
        .help = "walk into this source's past, as was asked for",
        .example = "earshot backfill our-forum --since 90d",
        .needs = COMMAND_NEEDS_SETTINGS,
        .run = collect_backfill,
    },
    {
        .name = "check",
        .help = "check the configuration and its sources",
        .example = "earshot-collect check",
        .needs = COMMAND_NEEDS_NOTHING,
        .run = collect_check,
    },
    {
        .name = "probe",
        .arguments = "SOURCE",
        .help = "fetch now and print what would be published",
        .example = "earshot probe our-forum -n 2",
        .needs = COMMAND_NEEDS_SETTINGS,
        .options = collect_probe_options,
        .options_size = sizeof(struct probe_values),
        .run = collect_probe,
    },
    {
        .name = "ingest",
        .help = "take in what is sent over HTTP until stopped",
        .example = "earshot-collect ingest",
        .needs = COMMAND_NEEDS_SETTINGS,
        .run = collect_receive,
    },
    {
        .name = "source",
        .arguments = "list|show|new|test [NAME|URL]",
        .help = "the platforms there are, the page of one, a draft, a test",
        .example = "earshot source show discourse",
        .needs = COMMAND_NEEDS_NOTHING,
        .options = collect_source_options,
        .options_size = sizeof(struct source_values),
        .run = collect_source,
    },
    {
        .name = "import",
        .arguments = "FILE|-",
        .help = "take in a CSV, TSV, NDJSON or mbox file",
        .example = "earshot import answers.csv --map text=Comment --channel survey",
        .needs = COMMAND_NEEDS_SETTINGS,
        .options = collect_import_options,
        .options_size = sizeof(struct import_values),
        .run = collect_import,
    },
    {0},
};

int main(int argc, char **argv)
{
    return command_main("earshot-collect", "polls the configured sources", commands, argc, argv);
}
