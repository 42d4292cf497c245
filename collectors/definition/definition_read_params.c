/* SPDX-License-Identifier: Apache-2.0 */
/* What a source gives: the parameters, which become its options. */
#include "collectors/definition/definition_read_internal.h"

#include <string.h>

static const struct ear_option param_options[] = {
    {"required", EAR_BOOLEAN, offsetof(struct parameter, required), "false",
     "whether a source has to give it", NULL},
    {"default", EAR_STRING, offsetof(struct parameter, fallback), NULL,
     "what it is where a source does not give it", NULL},
    {"secret", EAR_BOOLEAN, offsetof(struct parameter, secret), "false",
     "never shown, never logged", NULL},
    {"example", EAR_STRING, offsetof(struct parameter, example), NULL,
     "what a value looks like, for the page that `earshot source show` prints", NULL},
    {"help", EAR_STRING, offsetof(struct parameter, help), NULL, "one line for who fills it in",
     NULL},
    {0},
};

/* Keys that every source has are none of a definition's. */
static const char *const source_keys[] = {"name",      "use",   "channel", "about", "lang",
                                          "audience",  "zone",  "tags",    "every", "history",
                                          "threshold", "fresh", NULL};

static bool is_identifier(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' && strlen(text) <= READING_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

static void read_param(const struct reading *reading, const char *name,
                       const struct config_node *node)
{
    struct definition *definition = reading->definition;
    struct parameter *param = &definition->params[definition->param_count];

    if (!is_identifier(name)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "'%.100s' cannot be a parameter; use small letters, digits and _, such as "
                      "api_key",
                      name);
        return;
    }
    for (size_t i = 0; source_keys[i] != NULL; i++) {
        if (strcmp(source_keys[i], name) == 0) {
            config_report(reading->config, CONFIG_ERROR, node,
                          "every source has the key '%s' already; call the parameter otherwise",
                          name);
            return;
        }
    }
    (void)config_fill(reading->config, config_is_absent(node) ? NULL : node, param_options, NULL,
                      "parameter", param);
    param->name = name;
    if (param->required && param->fallback != NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "what is required needs no default; leave one of them out");
    }
    if (param->fallback != NULL && param->fallback[0] == '!') {
        config_report(reading->config, CONFIG_ERROR, node, "a default cannot begin with '!'");
    }
    definition->param_count++;
}

/* What the collector fills from a source: one text a parameter. */
static int make_options(const struct reading *reading)
{
    struct definition *definition = reading->definition;
    const size_t count = definition->param_count;

    definition->options = reading_take(reading, count + 1, sizeof(*definition->options));
    if (definition->options == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct parameter *param = &definition->params[i];

        definition->options[i] = (struct ear_option){
            .name = param->name,
            .type = EAR_STRING,
            .offset = i * sizeof(const char *),
            .fallback = param->required ? "!" : param->fallback,
            .help = param->help == NULL ? "a text" : param->help,
        };
    }
    definition->reader.options = definition->options;
    definition->reader.config_size = count * sizeof(const char *);
    return 0;
}

int read_params(const struct reading *reading, const struct config_node *node)
{
    struct definition *definition = reading->definition;
    const size_t count = config_is_mapping(node) ? config_count(node) : 0;

    if (!config_is_absent(node) && (!config_is_mapping(node) || count > READING_PARAMS_MAX)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes names, at most 50, such as {base: {required: true, help: \"the "
                      "forum's address\"}}");
        return make_options(reading);
    }
    definition->params = reading_take(reading, count + 1, sizeof(*definition->params));
    if (definition->params == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        read_param(reading, config_key_at(node, i), config_at(node, i));
    }
    definition->base = definition_param(definition, "base");
    return make_options(reading);
}

/* --- texts --- */

/* Names that stand for a text wherever a template has them. */
int read_texts(const struct reading *reading, const struct config_node *node)
{
    struct definition *definition = reading->definition;
    const size_t count = config_is_mapping(node) ? config_count(node) : 0;

    if (!config_is_absent(node) && (!config_is_mapping(node) || count > READING_PARAMS_MAX)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes names and their texts, at most 50, such as {fields: \"id,text\"}");
        return 0;
    }
    definition->texts = reading_take(reading, count + 1, sizeof(*definition->texts));
    if (definition->texts == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = config_key_at(node, i);
        const char *text = config_scalar(config_at(node, i));

        if (text == NULL) {
            config_report(reading->config, CONFIG_ERROR, config_at(node, i),
                          "'%.100s' takes a single text", name);
        } else if (!is_identifier(name) || template_is_place(name) ||
                   definition_param(definition, name) >= 0) {
            config_report(reading->config, CONFIG_ERROR, config_at(node, i),
                          "'%.100s' cannot be a text's name; use small letters, digits and _, and "
                          "no name that is taken",
                          name);
        } else {
            definition->texts[definition->text_count++] = (struct named_text){name, text};
        }
    }
    return 0;
}
