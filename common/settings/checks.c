/* SPDX-License-Identifier: Apache-2.0 */

/* What no table can say: secrets in clear text, addresses, accounts. */

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/settings/settings_internal.h"

/* --- secrets --- */

bool settings_names_secret(const char *key)
{
    static const char *const names[] = {"password", "token",   "secret",        "key", "webhook",
                                        "sign",     "api_key", "client_secret", NULL};

    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* scheme://user:password@host */
static bool has_password(const char *text)
{
    const char *rest = strstr(text, "://");
    const char *at = rest == NULL ? NULL : strpbrk(rest + 3, "@/?# ");
    const char *colon = rest == NULL ? NULL : strchr(rest + 3, ':');

    return at != NULL && *at == '@' && colon != NULL && colon < at;
}

void settings_check_secrets(struct config *config, const struct config_node *root)
{
    for (size_t i = 0; i < config_count(root); i++) {
        const struct config_node *node = config_at(root, i);
        const char *key = config_is_mapping(root) ? config_key_at(root, i) : "";
        const char *text = config_scalar(node);
        bool secret =
            settings_names_secret(key) && strcmp(config_path(node), "stream.security.key") != 0;

        if (text == NULL) {
            if (strcmp(key, "map") != 0 && strcmp(key, "brands") != 0 &&
                strcmp(key, "competitors") != 0) {
                settings_check_secrets(config, node);
            }
            continue;
        }
        if (secret) {
            log_secret(key, text);
        }
        if (text[0] != '\0' && strcmp(text, config_written(node)) == 0 &&
            (secret || has_password(text))) {
            config_report(
                config, CONFIG_WARNING, node,
                "a secret in clear text; write \"${file:NAME}\" with a file that only you "
                "can read, or \"${VARIABLE}\"");
        }
    }
}

/* --- addresses --- */

void settings_check_listen(struct config *config, const struct config_node *node)
{
    const char *text = config_scalar(node);
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);

    if (text != NULL && !config_is_unset(node) &&
        (colon == NULL || colon == text || end == colon + 1 || *end != '\0' || port > 65535)) {
        config_report(config, CONFIG_ERROR, node,
                      "'%s' is no ADDRESS:PORT; write one such as 127.0.0.1:9470", text);
    }
}

static bool is_network(const char *text)
{
    char address[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];
    const char *slash = strchr(text, '/');
    size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    char *end = NULL;
    unsigned long most = 0;

    if (length >= sizeof address) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    most = inet_pton(AF_INET, address, bytes) == 1    ? 32
           : inet_pton(AF_INET6, address, bytes) == 1 ? 128
                                                      : 0;
    if (most == 0 || slash == NULL) {
        return most != 0;
    }
    return slash[1] >= '0' && slash[1] <= '9' && strtoul(slash + 1, &end, 10) <= most &&
           *end == '\0';
}

void settings_check_network(struct config *config, const struct config_node *allow)
{
    size_t count = config_is_sequence(allow) ? config_count(allow) : 1;

    for (size_t i = 0; i < count; i++) {
        const struct config_node *node = config_is_sequence(allow) ? config_at(allow, i) : allow;
        const char *text = config_scalar(node);

        if (text != NULL && !config_is_unset(node) && !is_network(text)) {
            config_report(config, CONFIG_ERROR, node,
                          "'%s' is neither an address nor a range; write 10.0.0.5 or 10.0.0.0/8",
                          text);
        }
    }
}

/* --- accounts --- */

static bool is_person(const struct config_node *node)
{
    for (size_t i = 0; i < config_count(node); i++) {
        if (config_scalar(config_at(node, i)) == NULL) {
            return false;
        }
    }
    return config_is_sequence(node) && config_count(node) > 1;
}

void settings_check_same(struct config *config, const struct config_node *same)
{
    static const char form[] = "takes lists of the handles of one person, such as "
                               "[[\"reddit:jo\", \"@jo@mastodon.example\"]]";

    if (!config_is_absent(same) && !config_is_sequence(same)) {
        config_report(config, CONFIG_ERROR, same, "%s", form);
        return;
    }
    for (size_t i = 0; i < config_count(same); i++) {
        if (!is_person(config_at(same, i))) {
            config_report(config, CONFIG_ERROR, config_at(same, i), "%s", form);
        }
    }
}
