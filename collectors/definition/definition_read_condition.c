/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions, and the status codes that stand beside them. */

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_read_internal.h"

struct only_condition {
    struct condition_keys keys;
};

static const struct ear_option condition_options[] = {
    CONDITION_OPTIONS(only_condition, keys),
    {0},
};

static bool has(const struct config_node *mapping, const char *key)
{
    return !config_is_absent(config_get(mapping, key));
}

static void check_said(const struct reading *reading, const struct condition_keys *keys)
{
    if (keys->is != NULL && config_scalar(keys->is) == NULL) {
        config_report(reading->config, CONFIG_ERROR, keys->is,
                      "takes a single value; for several write in: […]");
    }
    if (keys->in != NULL && !config_is_sequence(keys->in)) {
        config_report(reading->config, CONFIG_ERROR, keys->in,
                      "takes a list, such as [1, 2]; for one value write is: …");
    }
}

static int read_pattern(const struct reading *reading, const struct pattern **out,
                        const struct config_node *node, const char *text)
{
    struct ear_error why = {EAR_NONE, ""};
    struct pattern *pattern = NULL;

    if (pattern_new(&pattern, text, &why) != 0) {
        if (why.kind == EAR_FATAL) {
            *reading->err = why;
            return -1;
        }
        config_report(reading->config, CONFIG_ERROR, node, "%s", why.message);
        return 0;
    }
    *out = pattern;
    return definition_own(reading->definition, pattern_free, pattern, reading->err);
}

static const char *lower(const struct reading *reading, const char *text)
{
    const size_t length = strlen(text);
    char *copy = reading_take(reading, length + 1, 1);

    for (size_t i = 0; copy != NULL && i < length; i++) {
        copy[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    }
    return copy;
}

int read_condition(const struct reading *reading, struct condition *out, bool *given,
                   const struct condition_keys *keys, const struct config_node *node)
{
    *out = (struct condition){.is = keys->is,
                              .in = keys->in,
                              .has_over = has(node, "over"),
                              .has_under = has(node, "under"),
                              .has_present = keys->present != NULL,
                              .present = keys->present != NULL && keys->present[0] == 't',
                              .changed = keys->changed,
                              .negated = keys->negated,
                              .over = keys->over,
                              .under = keys->under};
    check_said(reading, keys);
    if (read_pointer(reading, &out->path, keys->path) != 0) {
        return -1;
    }
    if (keys->header != NULL) {
        out->header = lower(reading, keys->header);
        if (out->header == NULL) {
            return -1;
        }
    }
    if (keys->matches != NULL &&
        read_pattern(reading, &out->matches, config_get(node, "matches"), keys->matches) != 0) {
        return -1;
    }
    *given = keys->path != NULL || out->header != NULL;
    if (*given && out->is == NULL && out->in == NULL && !out->has_over && !out->has_under &&
        !out->has_present && keys->matches == NULL && !out->changed) {
        config_report(reading->config, CONFIG_ERROR, keys->path == NULL ? node : keys->path,
                      "is looked at, but for what? Add is, in, over, under, present, matches or "
                      "changed");
    }
    return 0;
}

int read_condition_inline(const struct reading *reading, struct conditions *out,
                          const struct condition_keys *keys, const struct config_node *node)
{
    bool given = false;
    struct condition *condition = reading_take(reading, 1, sizeof(*condition));

    if (condition == NULL || read_condition(reading, condition, &given, keys, node) != 0) {
        return -1;
    }
    *out = (struct conditions){.items = condition, .count = given ? 1 : 0};
    return 0;
}

int read_conditions(const struct reading *reading, struct conditions *out,
                    const struct config_node *node)
{
    const bool many = config_is_sequence(node);
    const size_t count = many ? config_count(node) : 1;

    if (config_is_absent(node)) {
        return 0;
    }
    out->count = 0;
    out->items = reading_take(reading, count + 1, sizeof(*out->items));
    if (out->items == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_node *one = many ? config_at(node, i) : node;
        struct only_condition only = {0};
        bool given = false;

        if (reading_fill(reading, one, condition_options, "a condition", &only) != 0) {
            continue;
        }
        if (read_condition(reading, &out->items[out->count], &given, &only.keys, one) != 0) {
            return -1;
        }
        if (!given) {
            config_report(reading->config, CONFIG_ERROR, one,
                          "lacks 'path'; write a condition such as {path: /deleted, is: true}");
            continue;
        }
        out->count++;
    }
    return 0;
}

void read_statuses(const struct reading *reading, const struct config_node *node,
                   const struct ear_strings *texts, int64_t *out, size_t *count, size_t room)
{
    if (texts->count > room) {
        config_report(reading->config, CONFIG_ERROR, node, "more than %zu codes; split the rule",
                      room);
        return;
    }
    *count = 0;
    for (size_t i = 0; i < texts->count; i++) {
        char *end = NULL;
        const long code = strtol(texts->items[i], &end, 10);

        if (*end != '\0' || strlen(texts->items[i]) != 3 || code < 100 || code > 599) {
            config_report(reading->config, CONFIG_ERROR, node,
                          "'%.50s' is no status code; write one such as 404", texts->items[i]);
            continue;
        }
        out[(*count)++] = code;
    }
}
