/* SPDX-License-Identifier: Apache-2.0 */
#include "processors/chain/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "processors/chain/chain_internal.h"
#include "processors/stages/stages.h"

enum { STAGES_MAX = 64 }; /* built in that are named to who misspelt one */

/* One stage, opened. */
struct link {
    const char *name; /* "classify"; of a plugin the name that the configuration gives it */
    struct ear_stage stage;
    void *library; /* of a plugin */
    void *config;
    void *state;
    bool opened;
};

struct chain {
    struct link *links; /* [count] */
    size_t count;
    struct metrics *metrics;
};

/* The keys of `plugin:`. */
struct plugin {
    const char *name, *path;
    const struct config_node *config;
};

static const struct ear_option plugin_options[] = {
    {"name", EAR_STRING, offsetof(struct plugin, name), "!", "what rejects and metrics call it",
     NULL},
    {"path", EAR_STRING, offsetof(struct plugin, path), "!",
     "the .so, from where the configuration lies", NULL},
    {"config", EAR_TREE, offsetof(struct plugin, config), NULL, "the plugin's own options", NULL},
    {0},
};

static const struct ear_option no_options[] = {{0}};

static const struct ear_stage *find_builtin(const char *name)
{
    for (size_t i = 0; stages_builtin[i] != NULL; i++) {
        if (strcmp(stages_builtin[i]->name, name) == 0) {
            return stages_builtin[i];
        }
    }
    return NULL;
}

/* Names what was meant, or all that there is. */
static int fail_unknown(const char *name, struct ear_error *err)
{
    const char *choices[STAGES_MAX + 2] = {"plugin"};
    char nearest[128], all[256];
    size_t count = 1, used = 0;

    all[0] = '\0';
    for (size_t i = 0; stages_builtin[i] != NULL && i < STAGES_MAX; i++) {
        choices[count++] = stages_builtin[i]->name;
        used += (size_t)snprintf(all + used, sizeof all - used, "%s, ", stages_builtin[i]->name);
        used = used < sizeof all ? used : sizeof all - 1;
    }
    choices[count] = NULL;
    config_suggest(nearest, sizeof nearest, name, choices);
    return nearest[0] != '\0'
               ? ear_fail(err, EAR_CONFIG, "'%s' is no stage; %s", name, nearest)
               : ear_fail(err, EAR_CONFIG, "'%s' is no stage; write %sor plugin", name, all);
}

/* Makes what went wrong with a stage a finding at its place, so that all of them are seen together.
 */
static int report(const struct settings *settings, const struct settings_stage *stage,
                  struct ear_error *err)
{
    if (err->kind != EAR_CONFIG) {
        return -1;
    }
    config_report(settings->config, CONFIG_ERROR, stage->at, "%s", err->message);
    ear_error_clear(err);
    return 0;
}

/* Finds the stage's functions and the node of its own options. -1 with err; 0 with a stage that has
 * no `process` where a finding says why. */
static int find_stage(struct link *link, const struct config_node **options,
                      const struct settings *settings, const struct settings_stage *stage,
                      struct ear_error *err)
{
    const struct ear_stage *builtin = find_builtin(stage->name);
    struct plugin plugin = {0};
    char *path = NULL;
    int result = 0;

    link->name = stage->name;
    *options = stage->node;
    if (builtin != NULL) {
        link->stage = *builtin;
        return 0;
    }
    if (strcmp(stage->name, "exec") == 0) {
        return 0; /* the settings have said that it is still to come */
    }
    if (strcmp(stage->name, "plugin") != 0) {
        return fail_unknown(stage->name, err);
    }
    if (config_fill(settings->config, stage->node, plugin_options, NULL, "plugin", &plugin) > 0) {
        return 0;
    }
    link->name = plugin.name;
    *options = plugin.config;
    path = settings_path(settings, plugin.path);
    if (path == NULL) {
        return ear_fail_memory(err, "the path of a plugin");
    }
    result = plugin_load(&link->library, &link->stage, path, err);
    free(path);
    return result;
}

static int open_link(struct link *link, const struct settings *settings,
                     const struct settings_stage *stage, struct ear_error *err)
{
    const struct ear_stage_context context = {.size = sizeof context,
                                              .share_dir = settings->share_dir,
                                              .base_dir = settings->base_dir,
                                              .settings = settings};
    struct ear_stage_context foreign = context;
    const struct config_node *options = NULL;

    foreign.settings = NULL;
    if (find_stage(link, &options, settings, stage, err) != 0) {
        return report(settings, stage, err);
    }
    if (link->stage.process == NULL) {
        return 0; /* reported */
    }
    link->config = calloc(1, link->stage.config_size + 1);
    if (link->config == NULL) {
        return ear_fail_memory(err, "the options of a stage");
    }
    if (config_fill(settings->config, options,
                    link->stage.options == NULL ? no_options : link->stage.options, NULL,
                    link->name, link->config) > 0) {
        return 0; /* likewise */
    }
    if (link->stage.open != NULL &&
        link->stage.open(&link->state, link->config, link->library == NULL ? &context : &foreign,
                         err) != 0) {
        ear_error_context(err, "stage '%s'", link->name);
        return report(settings, stage, err);
    }
    link->opened = true;
    return 0;
}

int chain_open(struct chain **out, const struct settings *settings,
               const struct settings_processor *processor, struct metrics *metrics,
               struct ear_error *err)
{
    int result = -1;
    struct chain *chain = calloc(1, sizeof *chain);
    bool complete = true;

    if (chain == NULL) {
        ear_fail_memory(err, "a chain of stages");
        goto done;
    }
    chain->metrics = metrics;
    chain->links = calloc(processor->stage_count + 1, sizeof *chain->links);
    if (chain->links == NULL) {
        ear_fail_memory(err, "a chain of stages");
        goto done;
    }
    for (size_t i = 0; i < processor->stage_count; i++) {
        struct link *link = &chain->links[chain->count++];

        if (open_link(link, settings, &processor->stages[i], err) != 0) {
            goto done;
        }
        complete = complete && link->opened;
    }
    if (!complete) {
        ear_fail(err, EAR_CONFIG,
                 "a stage of processor '%s' cannot start; `earshot check` says why",
                 processor->name);
        goto done;
    }
    *out = chain;
    chain = NULL;
    result = 0;

done:
    chain_close(chain);
    return result;
}

void chain_close(struct chain *chain)
{
    if (chain == NULL) {
        return;
    }
    for (size_t i = 0; i < chain->count; i++) {
        struct link *link = &chain->links[i];

        if (link->opened && link->stage.close != NULL) {
            link->stage.close(link->state);
        }
        free(link->config);
        plugin_unload(link->library);
    }
    free(chain->links);
    free(chain);
}

static void count_results(const struct chain *chain, const struct link *link,
                          const struct host_output *output, int64_t began_mono_us)
{
    static const char *const names[] = {
        [HOST_DROPPED] = "dropped", [HOST_PASSED] = "passed", [HOST_REJECTED] = "rejected"};
    size_t counts[3] = {0};
    char labels[256];

    if (chain->metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < output->count; i++) {
        counts[output->judged[i].verdict]++;
    }
    for (size_t verdict = 0; verdict < 3; verdict++) {
        if (counts[verdict] > 0) {
            metrics_add(chain->metrics, "earshot_stage_messages_total",
                        metrics_labels(labels, sizeof labels, "stage", link->name, "result",
                                       names[verdict], NULL),
                        (double)counts[verdict]);
        }
    }
    metrics_observe(chain->metrics, "earshot_stage_batch_duration_seconds",
                    metrics_labels(labels, sizeof labels, "stage", link->name, NULL),
                    (double)(clock_mono_us() - began_mono_us) / (double)CLOCK_SECOND_US);
}

/* The messages that go on, with where each stood in the batch. */
struct alive {
    struct ear_message **messages; /* [count] */
    size_t *places;
    size_t count;
};

/* Files the verdicts of a stage; what passed stays alive. */
static void sort_out(struct alive *alive, const struct host_output *output, const char *stage,
                     struct chain_result results[])
{
    size_t kept = 0;

    for (size_t i = 0; i < alive->count; i++) {
        const struct host_judged *judged = &output->judged[i];

        if (judged->verdict == HOST_PASSED) {
            alive->messages[kept] = alive->messages[i];
            alive->places[kept++] = alive->places[i];
            continue;
        }
        results[alive->places[i]] = (struct chain_result){.verdict = judged->verdict,
                                                          .stage = stage,
                                                          .code = judged->code,
                                                          .reason = judged->reason};
    }
    alive->count = kept;
}

static void join(struct host_elsewhere **all, struct host_elsewhere *more)
{
    struct host_elsewhere *last = more;

    if (more == NULL) {
        return;
    }
    while (last->next != NULL) {
        last = last->next;
    }
    last->next = *all;
    *all = more;
}

static int run_link(const struct chain *chain, struct link *link, struct message_arena *arena,
                    struct alive *alive, struct chain_result results[],
                    struct host_elsewhere **elsewhere, struct ear_error *err)
{
    struct host_output output;
    int64_t began_mono_us = clock_mono_us();

    if (host_output_init(&output, arena, alive->messages, alive->count, err) != 0) {
        return -1;
    }
    if (link->stage.process(link->state, link->config, alive->messages, alive->count,
                            &output.output, err) != 0) {
        if (err->kind == EAR_NONE) {
            ear_fail(err, EAR_FATAL, "it failed and did not say why");
        }
        return -1;
    }
    count_results(chain, link, &output, began_mono_us);
    join(elsewhere, output.elsewhere);
    sort_out(alive, &output, link->name, results);
    return 0;
}

int chain_run(struct chain *chain, struct message_arena *arena,
              struct ear_message *const messages[], size_t count, struct chain_result results[],
              struct host_elsewhere **elsewhere, const char **stage, struct ear_error *err)
{
    struct alive alive = {.count = count};

    *elsewhere = NULL;
    *stage = "";
    alive.messages = message_arena_take(arena, (count + 1) * sizeof(struct ear_message *), err);
    if (alive.messages == NULL) {
        return -1;
    }
    alive.places = message_arena_take(arena, (count + 1) * sizeof(size_t), err);
    if (alive.places == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        alive.messages[i] = messages[i];
        alive.places[i] = i;
        results[i] = (struct chain_result){.verdict = HOST_PASSED};
        host_attach(messages[i]);
    }
    for (size_t i = 0; i < chain->count && alive.count > 0; i++) {
        *stage = chain->links[i].name;
        if (run_link(chain, &chain->links[i], arena, &alive, results, elsewhere, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const char *chain_generation(const struct chain *chain)
{
    for (size_t i = chain->count; i-- > 0;) {
        const struct link *link = &chain->links[i];

        if (link->stage.generation != NULL) {
            return link->stage.generation(link->state);
        }
    }
    return "";
}
