/* SPDX-License-Identifier: Apache-2.0 */

/* What stream: says of Kafka: checked without asking a broker. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/settings/settings_internal.h"

enum { LIBRDKAFKA_MAX = 64 };

bool settings_on_kafka(const struct settings *settings)
{
    return strncmp(settings->stream_url, "kafka:", strlen("kafka:")) == 0;
}

/* --- signing in --- */

/* A path of a PEM file, made absolute; it has to be readable. */
static int set_file(struct settings *settings, const char **path, const struct config_node *node,
                    struct ear_error *err)
{
    const char *given = *path;
    char *whole;

    if (given == NULL || config_is_unset(node)) {
        *path = NULL;
        return 0;
    }
    whole = settings_path(settings, given);
    *path = whole == NULL ? NULL : settings_keep(settings, whole, err);
    free(whole);
    if (*path == NULL) {
        return ear_fail_memory(err, "the settings");
    }
    if (access(*path, R_OK) != 0) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "'%s' cannot be read; give the path of a PEM file", given);
    }
    return 0;
}

static void check_sign_in(struct settings *settings, const struct config_node *node)
{
    const struct stream_security *security = &settings->stream_security;
    bool sasl = security->protocol != NULL && strncmp(security->protocol, "SASL", 4) == 0;
    bool tls = security->protocol != NULL && strstr(security->protocol, "SSL") != NULL;
    struct ear_error why = {EAR_NONE, ""};

    if (sasl && (security->mechanism == NULL || security->user == NULL ||
                 (security->password == NULL && config_is_absent(config_get(node, "password"))))) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "%s needs mechanism, user and password, such as {protocol: SASL_SSL, "
                      "mechanism: PLAIN, user: earshot, password: \"${file:NAME}\"}",
                      security->protocol);
    }
    if (!sasl && (security->mechanism != NULL || security->user != NULL)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "a user signs in by SASL only; write protocol: SASL_SSL, or leave user and "
                      "mechanism out");
    }
    if (sasl && security->mechanism != NULL &&
        stream_check_mechanism(security->mechanism, &why) != 0) {
        config_report(settings->config, CONFIG_WARNING, config_get(node, "mechanism"), "%s",
                      why.message);
    }
    if (!tls && (security->ca != NULL || security->certificate != NULL || security->key != NULL)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "certificates are used with TLS only; write protocol: SSL or SASL_SSL");
    }
}

static int read_security(struct settings *settings, const struct root_keys *keys,
                         const struct config_node *node, struct ear_error *err)
{
    struct stream_security *security = &settings->stream_security;

    *security = (struct stream_security){
        .protocol = keys->stream.security.protocol,
        .mechanism = keys->stream.security.mechanism,
        .user = keys->stream.security.user,
        .password = keys->stream.security.password,
        .ca = keys->stream.security.ca,
        .certificate = keys->stream.security.certificate,
        .key = keys->stream.security.key,
    };
    if (set_file(settings, &security->ca, config_get(node, "ca"), err) != 0 ||
        set_file(settings, &security->certificate, config_get(node, "certificate"), err) != 0 ||
        set_file(settings, &security->key, config_get(node, "key"), err) != 0) {
        return -1;
    }
    check_sign_in(settings, node);
    return 0;
}

/* --- what is passed through --- */

static int read_options(struct settings *settings, const struct config_node *node,
                        struct ear_error *err)
{
    size_t count = config_count(node);
    struct stream_option *options;

    if (config_is_absent(node)) {
        return 0;
    }
    if (!config_is_mapping(node) || count > LIBRDKAFKA_MAX) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "takes at most %d settings of librdkafka's with their values, such as "
                      "{compression.type: zstd, linger.ms: 50}",
                      LIBRDKAFKA_MAX);
        return 0;
    }
    options = settings_take(settings, (count + 1) * sizeof *options, err);
    if (options == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_node *value = config_at(node, i);
        const struct stream_option option = {config_key_at(node, i), config_scalar(value)};
        struct ear_error why = {EAR_NONE, ""};

        if (option.value == NULL) {
            config_report(settings->config, CONFIG_ERROR, value, "takes one value");
        } else if (config_is_unset(value)) {
            continue;
        } else if (stream_check_option(&option, &why) != 0) {
            config_report(settings->config, CONFIG_ERROR, value, "%s", why.message);
        } else {
            options[settings->stream_option_count++] = option;
        }
    }
    settings->stream_options = options;
    return 0;
}

/* --- all of it --- */

static void refuse_without_kafka(struct settings *settings, const struct config_node *stream)
{
    static const char *const names[] = {"security", "librdkafka", "instance", NULL};
    const struct config_node *replication = config_get(config_get(stream, "topics"), "replication");

    for (size_t i = 0; names[i] != NULL; i++) {
        if (!config_is_absent(config_get(stream, names[i]))) {
            config_report(settings->config, CONFIG_ERROR, config_get(stream, names[i]),
                          "for Kafka only; give url: kafka://HOST:PORT/PREFIX too, or leave '%s' "
                          "out",
                          names[i]);
        }
    }
    if (!config_is_absent(replication)) {
        config_report(settings->config, CONFIG_ERROR, replication,
                      "for Kafka only; give url: kafka://HOST:PORT/PREFIX too, or leave it out");
    }
}

static void check_instance(struct settings *settings, const struct config_node *node)
{
    const char *text = settings->stream_instance;

    if (text != NULL && !config_is_unset(node) &&
        !settings_check_name(settings->config, node, text)) {
        settings->stream_instance = NULL;
    }
}

int settings_read_kafka(struct settings *settings, const struct root_keys *keys,
                        const struct config_node *root, struct ear_error *err)
{
    const struct config_node *stream = config_get(root, "stream");

    settings->stream_replication = (int)keys->stream.topics.replication;
    settings->stream_instance = keys->stream.instance;
    if (!settings_on_kafka(settings)) {
        const char *url = config_scalar(config_get(stream, "url"));

        if (url == NULL || strncmp(url, "kafka:", strlen("kafka:")) != 0) {
            refuse_without_kafka(settings, stream);
        }
        return 0;
    }
    check_instance(settings, config_get(stream, "instance"));
    if (read_security(settings, keys, config_get(stream, "security"), err) != 0) {
        return -1;
    }
    return read_options(settings, config_get(stream, "librdkafka"), err);
}
