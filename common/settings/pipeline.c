/* SPDX-License-Identifier: Apache-2.0 */

/* Chains of stages, sinks, and the topics of the log. Their options are the roles' own. */

#include <string.h>

#include "common/settings/settings_internal.h"

enum { PROCESSORS_MAX = 32, STAGES_MAX = 64 };

static const char *const sinks[] = {"store", "trends", NULL};
static const char *const later_sinks[] = {"webhook", "alerts", "export", "kafka", NULL};

/* The topics of our own; a chain reads and writes posts, insights, or topics of its own. */
static const char *const own_topics[] = {"cursors", "seen",   "decisions", "forgotten", "trends",
                                         "rejects", "bodies", "audit",     "errands",   NULL};

/* --- chains --- */

/* Which stages there are is the role's to say, when it opens the chain; not what is to come. */
static void check_stage(struct settings *settings, const struct config_node *node, const char *name)
{
    if (strcmp(name, "exec") == 0) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "not built yet: stages as programs of their own ('exec'); write a plugin, or "
                      "leave it out");
    }
}

/* A stage is its name, or its name with options: classify, or {classify: {threshold: …}}. */
static bool read_stage(struct settings *settings, const struct config_node *node,
                       struct settings_stage *stage)
{
    stage->at = node;
    if (config_scalar(node) != NULL) {
        stage->name = config_scalar(node);
    } else if (config_is_mapping(node) && config_count(node) == 1) {
        stage->name = config_key_at(node, 0);
        stage->node = config_is_absent(config_at(node, 0)) ? NULL : config_at(node, 0);
    } else {
        config_report(settings->config, CONFIG_ERROR, node,
                      "a stage is its name, or one name with options: '- classify: {threshold: "
                      "{wish: 0.6}}'");
        return false;
    }
    if (config_is_unset(node)) {
        return false;
    }
    check_stage(settings, node, stage->name);
    return true;
}

static int read_stages(struct settings *settings, struct settings_processor *processor,
                       const struct config_node *node, struct ear_error *err)
{
    static const char *const usual[] = {"normalise", "language", "classify", "signals", "brands"};
    size_t count = config_is_absent(node) ? 5 : config_count(node);

    if (!config_is_absent(node) &&
        (!config_is_sequence(node) || count == 0 || count > STAGES_MAX)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "takes a list of 1 to 64 stages, such as [normalise, language, classify, "
                      "signals, brands]");
        count = 0;
    }
    processor->stages = settings_take(settings, (count + 1) * sizeof *processor->stages, err);
    if (processor->stages == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct settings_stage *stage = &processor->stages[processor->stage_count];

        if (config_is_absent(node)) {
            stage->name = usual[i];
            processor->stage_count++;
        } else if (read_stage(settings, config_at(node, i), stage)) {
            processor->stage_count++;
        }
    }
    return 0;
}

static void check_topic(struct settings *settings, const struct config_node *node, const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_");

    if (settings_is_among(name, own_topics)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "the topic '%s' is Earshot's own; write posts, insights or a new name", name);
    } else if (length == 0 || length > 100 || name[length] != '\0') {
        config_report(settings->config, CONFIG_ERROR, node,
                      "'%.100s' is no name of a topic; use small letters, digits, '.', '-' and '_'",
                      name);
    }
}

static void check_processor(struct settings *settings, const struct config_node *node,
                            const struct processor_keys *keys)
{
    check_topic(settings, config_get(node, "from") == NULL ? node : config_get(node, "from"),
                keys->from);
    check_topic(settings, config_get(node, "to") == NULL ? node : config_get(node, "to"), keys->to);
    if (strcmp(keys->from, keys->to) == 0) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "reads and writes the same topic '%s'; give 'to' another", keys->to);
    }
    for (size_t i = 0; keys->name != NULL && i < settings->processor_count; i++) {
        if (strcmp(settings->processors[i].name, keys->name) == 0) {
            config_report(settings->config, CONFIG_ERROR, config_get(node, "name"),
                          "a processor of the name '%s' stands above; give this one another",
                          keys->name);
        }
    }
}

static int read_processor(struct settings *settings, const struct config_node *node,
                          struct ear_error *err)
{
    struct processor_keys keys = {0};
    struct settings_processor *processor = &settings->processors[settings->processor_count];

    config_fill(settings->config, node, settings_processor_options, NULL, "processor", &keys);
    if (node != NULL) {
        check_processor(settings, node, &keys);
        if (keys.name == NULL ||
            !settings_check_name(settings->config, config_get(node, "name"), keys.name)) {
            return 0;
        }
    }
    processor->name = node == NULL ? "main" : keys.name;
    processor->from = keys.from;
    processor->to = keys.to;
    processor->node = node;
    processor->batch_messages = keys.batch.messages;
    processor->batch_wait_us = keys.batch.wait;
    settings->processor_count++;
    return read_stages(settings, processor, keys.stages, err);
}

int settings_read_processors(struct settings *settings, const struct config_node *node,
                             struct ear_error *err)
{
    size_t count = config_is_absent(node) ? 1 : config_count(node);

    if (!config_is_absent(node) &&
        (!config_is_sequence(node) || count == 0 || count > PROCESSORS_MAX)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "takes a list of 1 to 32 processors: '- {name: main, from: posts, to: "
                      "insights, stages: […]}'");
        count = 1;
        node = NULL;
    }
    settings->processors = settings_take(settings, (count + 1) * sizeof *settings->processors, err);
    if (settings->processors == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_node *item = config_is_absent(node) ? NULL : config_at(node, i);

        if (read_processor(settings, item, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- sinks --- */

static const char *sink_name(const struct config_node *node)
{
    return config_is_mapping(node) ? config_key_at(node, 0) : config_scalar(node);
}

/* Whether one of the same name stands before it. */
static bool is_second(const struct config_node *list, size_t index)
{
    const char *name = sink_name(config_at(list, index));

    for (size_t i = 0; name != NULL && i < index; i++) {
        const char *other = sink_name(config_at(list, i));

        if (other != NULL && strcmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_sink(struct settings *settings, const struct config_node *node)
{
    const char *name = sink_name(node);
    const struct config_node *keys = config_is_mapping(node) ? config_at(node, 0) : NULL;
    char nearest[128];

    if (name == NULL || (config_is_mapping(node) && config_count(node) != 1)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "a sink is one name with its options: '- store: {url: …}'");
    } else if (settings_is_among(name, later_sinks)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "not built yet: the sink '%s'; leave it out until a later version has it",
                      name);
    } else if (!settings_is_among(name, sinks)) {
        config_suggest(nearest, sizeof nearest, name, sinks);
        config_report(settings->config, CONFIG_ERROR, node, "'%s' is no sink; %s", name,
                      nearest[0] != '\0' ? nearest : "write store or trends");
    } else if (!config_is_absent(keys) && !config_is_mapping(keys)) {
        config_report(settings->config, CONFIG_ERROR, keys, "takes keys and values, such as '- %s'",
                      strcmp(name, "store") == 0 ? "store: {url: \"sqlite:PATH\"}"
                                                 : "trends: {feed: false}");
    }
}

void settings_check_sinks(struct settings *settings, const struct config_node *node)
{
    if (config_is_absent(node)) {
        return;
    }
    if (!config_is_sequence(node)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "takes a list of sinks: '- store: {}' and '- trends: {}'");
        return;
    }
    for (size_t i = 0; i < config_count(node); i++) {
        check_sink(settings, config_at(node, i));
        if (is_second(node, i)) {
            config_report(settings->config, CONFIG_ERROR, config_at(node, i),
                          "the sink '%s' stands above already; there is one of each",
                          sink_name(config_at(node, i)));
        }
    }
}

/* --- topics --- */

/* False: no room for another. */
static bool add_topic(struct settings *settings, int partitions, struct stream_topic topic)
{
    size_t room = sizeof settings->topics / sizeof settings->topics[0];

    for (size_t i = 0; i < settings->topic_count; i++) {
        if (strcmp(settings->topics[i].name, topic.name) == 0) {
            return true;
        }
    }
    if (settings->topic_count == room) {
        return false;
    }
    topic.partitions = partitions;
    settings->topics[settings->topic_count++] = topic;
    return true;
}

static int64_t or_else(int64_t configured, int64_t usual)
{
    return configured > 0 ? configured : usual;
}

void settings_make_topics(struct settings *settings, const struct root_keys *keys)
{
    int partitions = (int)keys->stream.topics.partitions;
    int64_t horizon = keys->store.horizon;
    int64_t posts = or_else(keys->stream.topics.posts.retention, 30 * CLOCK_DAY_US);
    const struct stream_topic topics[] = {
        {.name = "posts", .compact = true, .retention_us = posts, .yields = true, .event = "post"},
        {.name = "insights",
         .compact = true,
         .retention_us = or_else(keys->stream.topics.insights.retention, horizon),
         .event = "insight"},
        {.name = "cursors", .compact = true},
        {.name = "seen",
         .compact = true,
         .retention_us = or_else(keys->stream.topics.seen.retention, 90 * CLOCK_DAY_US),
         .by_prefix = true},
        {.name = "decisions", .event = "decision"},
        {.name = "forgotten", .compact = true},
        {.name = "trends", .compact = true, .event = "trend"},
        {.name = "rejects",
         .compact = true,
         .retention_us = or_else(keys->stream.topics.rejects.retention, 30 * CLOCK_DAY_US),
         .event = "reject"},
        {.name = "bodies", .compact = true, .retention_us = CLOCK_DAY_US},
        {.name = "audit",
         .retention_us = or_else(keys->stream.topics.audit.retention, 7 * CLOCK_DAY_US),
         .event = "audit"},
        {.name = "errands", .compact = true, .retention_us = 30 * CLOCK_DAY_US},
    };

    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        (void)add_topic(settings, partitions, topics[i]);
    }
    for (size_t i = 0; i < settings->processor_count; i++) {
        const struct settings_processor *processor = &settings->processors[i];
        const char *const between[] = {processor->from, processor->to};

        for (size_t j = 0; j < 2; j++) {
            if (!add_topic(settings, partitions,
                           (struct stream_topic){.name = between[j],
                                                 .compact = true,
                                                 .retention_us = posts,
                                                 .yields = true,
                                                 .event = "insight"})) {
                config_report(settings->config, CONFIG_ERROR, processor->node,
                              "more than 7 topics of one's own; use fewer");
                return;
            }
        }
    }
}
