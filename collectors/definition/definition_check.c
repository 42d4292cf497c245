/* SPDX-License-Identifier: Apache-2.0 */
/* What no table says of a source that uses a definition: addresses, secrets, whether anything is
 * left to be asked. */

#include <stdio.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"
#include "common/log.h"
#include "common/settings/settings.h"

/* "https://forum.example/…": a scheme of ours, a host, and nothing that no URL holds. */
static bool is_address(const char *text)
{
    char host[300];
    const bool scheme =
        strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0;

    return scheme && strpbrk(text, " \t\"<>\\^`{|}") == NULL &&
           template_host(text, strlen(text), host, sizeof(host)) && host[0] != ':';
}

bool definition_hides(const struct definition *definition, const char *param)
{
    const int at = definition_param(definition, param);

    return at >= 0 && definition->params[at].secret;
}

static void check_param(struct config *config, const struct parameter *param, const char *value,
                        const struct config_node *node)
{
    const char *written = config_written(node);

    if (param->secret) {
        log_secret(param->name, value);
        if (written != NULL && strcmp(written, value) == 0 &&
            !settings_names_secret(param->name)) { /* which the settings warn about */
            config_report(config, CONFIG_WARNING, node,
                          "a secret in clear text; write \"${file:NAME}\" with a file that only "
                          "you can read, or \"${VARIABLE}\"");
        }
    }
    if (param->address && !is_address(value)) {
        config_report(config, CONFIG_ERROR, node,
                      "'%.200s' is no http or https address; write one such as "
                      "https://forum.example",
                      param->secret || strpbrk(value, "@?") != NULL ? "…" : value);
    }
}

/* Each of several lists may hang on a parameter; some list has to be left. */
static void check_lists(struct config *config, const struct definition *definition,
                        const struct settings_source *source, const char *const values[])
{
    char needed[300] = "";

    for (size_t i = 0; i < definition->list_count; i++) {
        const int needs = definition->lists[i].needs;
        const size_t length = strlen(needed);

        if (needs < 0 || (values[needs] != NULL && values[needs][0] != '\0')) {
            return;
        }
        (void)snprintf(needed + length, sizeof(needed) - length, "%s%s", length == 0 ? "" : ", ",
                       definition->params[needs].name);
    }
    config_report(config, CONFIG_ERROR, source->node,
                  "source '%.100s' says nothing to look for; give one of: %s", source->name,
                  needed);
}

int64_t definition_revisit_us(const struct definition *definition)
{
    int64_t widest_us = 0;

    for (size_t i = 0; i < definition->list_count; i++) {
        for (size_t j = 0; j < definition->lists[i].revisit_count; j++) {
            const struct revisit *revisit = &definition->lists[i].revisits[j];

            widest_us = revisit->window_us > widest_us ? revisit->window_us : widest_us;
        }
    }
    return widest_us;
}

void definition_check(const struct definition *definition, struct config *config,
                      const struct settings_source *source, const void *filled)
{
    const char *const *values = filled;

    for (size_t i = 0; i < definition->param_count; i++) {
        const struct config_node *node = config_get(source->node, definition->params[i].name);

        if (values[i] != NULL && values[i][0] != '\0' && !config_is_unset(node)) {
            check_param(config, &definition->params[i], values[i], node);
        } else if (definition->params[i].required && values[i] != NULL && !config_is_unset(node)) {
            config_report(config, CONFIG_ERROR, node, "is empty; it is required: %s",
                          definition->options[i].help);
        }
    }
    check_lists(config, definition, source, values);
}
