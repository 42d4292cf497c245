/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition from its document. Every part is read, whatever was wrong with the one before, so
 * that one `check` shows all mistakes; what was read is given out only if there were none.
 *
 * Inheritance is copying: what stands at the top is read first into a list of its own, each of
 * `lists` begins as a copy of that, each child with the map, pages and conditions of its list.
 */
#include "collectors/definition/definition.h"

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_read_internal.h"

/* --- what a definition owns --- */

struct held {
    struct held *next;
    void (*release)(void *thing); /* NULL: bytes only */
    void *thing;
    _Alignas(max_align_t) char bytes[];
};

void *definition_take(struct definition *definition, size_t size, struct ear_error *err)
{
    struct held *held = calloc(1, sizeof(*held) + size);

    if (held == NULL) {
        ear_fail_memory(err, "a definition");
        return NULL;
    }
    held->next = definition->memory;
    definition->memory = held;
    return held->bytes;
}

int definition_own(struct definition *definition, void (*release)(void *), void *thing,
                   struct ear_error *err)
{
    struct held *held = calloc(1, sizeof(*held));

    if (held == NULL) {
        release(thing);
        return ear_fail_memory(err, "a definition");
    }
    *held = (struct held){.next = definition->memory, .release = release, .thing = thing};
    definition->memory = held;
    return 0;
}

void definition_free(struct definition *definition)
{
    if (definition == NULL) {
        return;
    }
    while (definition->memory != NULL) {
        struct held *held = definition->memory;

        definition->memory = held->next;
        if (held->release != NULL) {
            held->release(held->thing);
        }
        free(held);
    }
    free(definition);
}

int definition_param(const struct definition *definition, const char *name)
{
    for (size_t i = 0; i < definition->param_count; i++) {
        const char *known = definition->params[i].name;

        if (known != NULL && strcmp(known, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* --- for all who read --- */

void *reading_take(const struct reading *reading, size_t count, size_t size)
{
    return definition_take(reading->definition, count * size, reading->err);
}

size_t reading_index(const char *word, const char *const words[])
{
    for (size_t i = 0; word != NULL && words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    return 0;
}

size_t reading_fill(const struct reading *reading, const struct config_node *node,
                    const struct ear_option options[], const char *what, void *out)
{
    const size_t errors = config_fill(reading->config, node, options, NULL, what, out);

    if (config_is_absent(node)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "%s is empty; fill it in, or leave it out", what);
        return errors + 1;
    }
    return errors;
}

int reading_needs(const struct reading *reading, const struct config_node *node)
{
    const char *name = config_scalar(node);
    const char *names[READING_PARAMS_MAX + 1] = {NULL};
    char nearest[128];
    int place = -1;

    if (config_is_absent(node)) {
        return -1;
    }
    place = name == NULL ? -1 : definition_param(reading->definition, name);
    if (place < 0) {
        for (size_t i = 0; i < reading->definition->param_count; i++) {
            names[i] = reading->definition->params[i].name;
        }
        config_suggest(nearest, sizeof(nearest), name == NULL ? "" : name, names);
        config_report(reading->config, CONFIG_ERROR, node, "'%.100s' is no parameter%s%s",
                      name == NULL ? "" : name, *nearest == '\0' ? "; name one of params" : "; ",
                      nearest);
    }
    return place;
}

/* --- the whole --- */

struct definition_keys {
    int64_t earshot;
    const char *platform, *channel, *about, *hook;
    const struct config_node *params, *texts, *auth, *login, *headers, *first, *lists, *limit,
        *errors;
    struct list_keys shared;
};

static const struct ear_option definition_options[] = {
    {"earshot", EAR_INTEGER, offsetof(struct definition_keys, earshot), "1 [1..1]",
     "the version of this format: 1", NULL},
    {"platform", EAR_STRING, offsetof(struct definition_keys, platform), "!",
     "what `use:` says; its posts' ids begin with it", NULL},
    {"channel", EAR_CHOICE, offsetof(struct definition_keys, channel),
     "!|forum|blog|social|video|review|survey|frontline|helpdesk|ideas|crowd|internal",
     "what kind of place it is", NULL},
    {"about", EAR_STRING, offsetof(struct definition_keys, about), NULL,
     "one line: what it collects", NULL},
    {"params", EAR_TREE, offsetof(struct definition_keys, params), NULL, "what a source gives",
     NULL},
    {"texts", EAR_TREE, offsetof(struct definition_keys, texts), NULL,
     "what {name} stands for wherever it is written, such as {fields: \"id,text\"}", NULL},
    {"auth", EAR_TREE, offsetof(struct definition_keys, auth), NULL, "who we are", NULL},
    {"login", EAR_TREE, offsetof(struct definition_keys, login), NULL, "a session", NULL},
    {"headers", EAR_TREE, offsetof(struct definition_keys, headers), NULL,
     "sent with every request", NULL},
    {"first", EAR_TREE, offsetof(struct definition_keys, first), NULL,
     "a request that is made once, before the others", NULL},
    LIST_OPTIONS(definition_keys, shared),
    {"lists", EAR_TREE, offsetof(struct definition_keys, lists), NULL,
     "several lists, each with its own keys over those above", NULL},
    {"limit", EAR_TREE, offsetof(struct definition_keys, limit), NULL, "what the platform allows",
     NULL},
    {"errors", EAR_TREE, offsetof(struct definition_keys, errors), NULL,
     "what its errors mean, and what to do", NULL},
    {"hook", EAR_STRING, offsetof(struct definition_keys, hook), NULL,
     "a small function of ours for what none of these can say", NULL},
    {0},
};

static bool is_platform(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' && strlen(text) <= READING_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(text);
}

static void check_platform(const struct reading *reading, const struct config_node *node,
                           const char *name)
{
    if (!is_platform(name)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "'%.100s' cannot be a platform; use small letters, digits, - and _, such as "
                      "myforum",
                      name);
    }
}

/* The lists: those of `lists`, or the one that stands at the top. */
static int read_all_lists(const struct reading *reading, const struct definition_keys *keys,
                          const struct config_node *root)
{
    struct definition *definition = reading->definition;
    struct list *shared = reading_take(reading, 1, sizeof(*shared));

    if (shared == NULL) {
        return -1;
    }
    shared->name = "";
    shared->needs = -1;
    if (read_list_keys(reading, shared, &keys->shared) != 0) {
        return -1;
    }
    if (keys->lists != NULL) {
        return read_lists(reading, shared, keys->lists);
    }
    read_check_list(reading, shared, root, "the definition");
    definition->lists = shared;
    definition->list_count = 1;
    return 0;
}

static void check_hook(const struct reading *reading, const struct config_node *node,
                       const char *name)
{
    char meant[80];

    reading->definition->hook = name == NULL ? NULL : hook_find(name);
    if (name != NULL && reading->definition->hook == NULL) {
        config_report(reading->config, CONFIG_ERROR, node, "'%.50s' is no hook; %s", name,
                      config_suggest(meant, sizeof(meant), name, hook_names()));
    }
}

static int read_root(const struct reading *reading, const struct config_node *root)
{
    struct definition *definition = reading->definition;
    struct definition_keys keys = {0};

    if (reading_fill(reading, root, definition_options, "the definition", &keys) != 0) {
        return 0;
    }
    check_platform(reading, config_get(root, "platform"), keys.platform);
    definition->platform = keys.platform;
    definition->channel = keys.channel;
    definition->about = keys.about == NULL ? "a platform described in YAML" : keys.about;
    check_hook(reading, config_get(root, "hook"), keys.hook);
    definition->reader = (struct source_reader){
        .self = definition,
        .name = definition->platform,
        .about = definition->about,
        .channel = definition->channel,
    };
    definition->has_first = keys.first != NULL;
    definition->auth.needs = -1;
    read_check_headers(reading, keys.headers);
    return read_params(reading, keys.params) != 0 || read_texts(reading, keys.texts) != 0 ||
                   read_named(reading, &definition->headers, &definition->header_count,
                              keys.headers) != 0 ||
                   read_auth(reading, &definition->auth, keys.auth) != 0 ||
                   read_login(reading, &definition->auth, keys.login) != 0 ||
                   read_first(reading, &definition->first, keys.first) != 0 ||
                   read_limits(reading, keys.limit) != 0 ||
                   read_errors(reading, keys.errors) != 0 ||
                   read_all_lists(reading, &keys, root) != 0
               ? -1
               : 0;
}

int definition_read(struct definition **out, struct config *config, const struct config_node *root,
                    struct ear_error *err)
{
    const size_t errors = config_errors(config);
    struct definition *definition = calloc(1, sizeof(*definition));
    struct reading reading = {.definition = definition, .config = config, .err = err};
    int result = -1;

    *out = NULL;
    ear_error_clear(err);
    if (definition == NULL) {
        return ear_fail_memory(err, "a definition");
    }
    definition->base = -1;
    if (read_root(&reading, root) != 0) {
        goto done;
    }
    if (config_errors(config) == errors) {
        *out = definition;
        definition = NULL;
    }
    result = 0;

done:
    definition_free(definition);
    return result;
}
