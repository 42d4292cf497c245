/* SPDX-License-Identifier: Apache-2.0 */
/* The source as the collector sees it: it is there, and nothing is to be fetched. */
#include "collectors/ingest/ingest_internal.h"

static const struct ear_option options[] = {
    {"map", EAR_TREE, offsetof(struct ingest_values, map), NULL,
     "post field: member, such as {text: message, author: user}", NULL},
    {"scale", EAR_NUMBER, offsetof(struct ingest_values, scale), "1",
     "the best rating there is: ratings are divided by it", NULL},
    {0},
};

static void check(struct config *config, const struct settings_source *source,
                  const void *reader_config)
{
    const struct ingest_values *values = reader_config;

    file_rows_check(config, source, values->map, values->scale);
}

static int begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    (void)poll;
    (void)err;
    *out = NULL;
    return 0;
}

static int step(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    (void)state;
    (void)answer;
    (void)output;
    (void)err;
    turn->next = SOURCE_DONE;
    return 0;
}

static void end(void *state)
{
    (void)state;
}

const struct source_reader ingest_reader = {
    .name = "ingest",
    .about = "entries that are sent by HTTP or filled into a form",
    .channel = "crowd",
    .example = "earshot: 1\n"
               "sources:\n"
               "  - {name: ideas, use: ingest, channel: ideas}\n"
               "  - {name: chatbot, use: ingest, channel: helpdesk, map: {text: message, author: "
               "user}}\n"
               "ingest:\n"
               "  listen: \"127.0.0.1:8480\"\n"
               "  token: \"${EARSHOT_INGEST_TOKEN:-write-one-of-your-own}\"\n"
               "  forms:\n"
               "    ideas: {source: ideas, title: \"What should we do better?\"}\n",
    .options = options,
    .config_size = sizeof(struct ingest_values),
    .check = check,
    .begin = begin,
    .step = step,
    .end = end,
};
