/* SPDX-License-Identifier: Apache-2.0 */

/* The log on Kafka: its URL, opening and closing, topics by name. The idea stands in
 * kafka_internal.h. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/stream/kafka_internal.h"

static const char scheme[] = "kafka://";

/* --- the URL --- */

/* A user or password in a URL is never shown. */
static int fail_url(const char *url, const char *why, struct ear_error *err)
{
    const char *end = strrchr(url, '@'); /* behind who signs in */

    return ear_fail(err, EAR_CONFIG,
                    "the URL '%s%.200s': %s; write kafka://HOST:PORT[,HOST:PORT…]/PREFIX, such as "
                    "kafka://kafka-1:9092,kafka-2:9092/acme.earshot",
                    end == NULL ? "" : "kafka://…", end == NULL ? url : end, why);
}

static bool is_port(const char *text, size_t length)
{
    long port =
        length > 0 && length <= 5 && isdigit((unsigned char)*text) ? strtol(text, NULL, 10) : 0;

    return port > 0 && port <= 65535 && strspn(text, "0123456789") >= length;
}

/* HOST:PORT or [ADDRESS]:PORT. */
static bool is_broker(const char *text, size_t length)
{
    const char *end = memrchr(text, ':', length);

    return end != NULL && end > text && memchr(text, '@', length) == NULL &&
           is_port(end + 1, length - (size_t)(end + 1 - text));
}

int kafka_check_url(const char *url, struct ear_error *err)
{
    const char *brokers = url + sizeof scheme - 1;
    const char *slash = strncmp(url, scheme, sizeof scheme - 1) == 0 ? strchr(brokers, '/') : NULL;
    const char *prefix = slash == NULL ? NULL : slash + 1;

    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return fail_url(url, "it does not begin with kafka://", err);
    }
    if (prefix == NULL || *prefix == '\0') {
        return fail_url(url, "it names no prefix, which all topics begin with", err);
    }
    if (prefix[strspn(
            prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] != '\0' ||
        strlen(prefix) > KAFKA_NAME_MAX / 2) {
        return fail_url(url, "a prefix has letters, digits, '.', '_' and '-', at most 124", err);
    }
    for (const char *at = brokers; at <= slash; at++) {
        size_t length = strcspn(at, ",/");

        if (!is_broker(at, length)) {
            return fail_url(url, "each broker is HOST:PORT (a user goes into stream.security)",
                            err);
        }
        at += length;
    }
    return 0;
}

/* --- making the struct --- */

static char *joined(const char *one, const char *two, const char *three, struct ear_error *err)
{
    char *text = NULL;

    if (asprintf(&text, "%s%s%s", one, two, three) < 0) {
        ear_fail_memory(err, "the log");
        return NULL;
    }
    return text;
}

static int copy_topic(struct kafka_topic *to, const struct kafka *kafka,
                      const struct stream_topic *from, struct ear_error *err)
{
    *to = (struct kafka_topic){.count = from->partitions,
                               .compact = from->compact,
                               .by_prefix = from->by_prefix,
                               .retention_us = from->retention_us};
    to->name = joined(from->name, "", "", err);
    to->full = joined(kafka->prefix, ".", from->name, err);
    to->type = from->event == NULL ? NULL : joined("earshot.", from->event, ".v1", err);
    if (to->name == NULL || to->full == NULL || (from->event != NULL && to->type == NULL)) {
        return -1;
    }
    if (strlen(to->full) > KAFKA_NAME_MAX) {
        return ear_fail(err, EAR_CONFIG,
                        "topic '%.64s…' is longer than Kafka takes (%d bytes): shorten the prefix",
                        to->full, KAFKA_NAME_MAX);
    }
    return 0;
}

static int add_setting(struct kafka *kafka, const char *name, const char *value,
                       struct ear_error *err)
{
    struct kafka_setting *setting = &kafka->settings[kafka->setting_count];

    if (value == NULL) {
        return 0;
    }
    kafka->setting_count++;
    setting->name = joined(name, "", "", err);
    setting->value = joined(value, "", "", err);
    return setting->name == NULL || setting->value == NULL ? -1 : 0;
}

static int copy_settings(struct kafka *kafka, const struct stream_config *config,
                         struct ear_error *err)
{
    const struct stream_security *security = &config->security;
    const struct stream_option of_security[] = {
        {"security.protocol", security->protocol},
        {"sasl.mechanism", security->mechanism},
        {"sasl.username", security->user},
        {"sasl.password", security->password},
        {"ssl.ca.location", security->ca},
        {"ssl.certificate.location", security->certificate},
        {"ssl.key.location", security->key},
    };
    enum { COUNT = sizeof of_security / sizeof of_security[0] };

    kafka->settings = calloc(COUNT + config->option_count, sizeof *kafka->settings);
    if (kafka->settings == NULL) {
        return ear_fail_memory(err, "the log");
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (add_setting(kafka, of_security[i].name, of_security[i].value, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < config->option_count; i++) {
        if (stream_check_option(&config->options[i], err) != 0) {
            ear_error_context(err, "stream.librdkafka");
            return -1;
        }
        if (add_setting(kafka, config->options[i].name, config->options[i].value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/*
 * A command has no instance: its transactions are single, and nobody takes them over but the
 * broker's own time limit. Its name must only be its own.
 */
static int name_producer(struct kafka *kafka, const struct stream_config *config,
                         struct ear_error *err)
{
    const char *role = config->role == NULL ? "command" : config->role;
    const char *instance = config->instance;
    char own[64];

    if (instance == NULL) {
        snprintf(own, sizeof own, "%llx-%lld-%ld", (unsigned long long)gethostid(),
                 (long long)clock_mono_us(), (long)getpid());
        instance = own;
    }
    kafka->collects = strcmp(role, "collect") == 0;
    kafka->origin = joined("/", kafka->prefix, "", err);
    if (kafka->origin == NULL ||
        asprintf(&kafka->transactional_id, "%s.%s.%s", kafka->prefix, role, instance) < 0) {
        kafka->transactional_id = NULL;
        return ear_fail_memory(err, "the log");
    }
    free(kafka->origin);
    if (asprintf(&kafka->origin, "/%s/%s", kafka->prefix, role) < 0) {
        kafka->origin = NULL;
        return ear_fail_memory(err, "the log");
    }
    return 0;
}

static int fill(struct kafka *kafka, const struct stream_config *config, struct ear_error *err)
{
    const char *brokers = config->url + sizeof scheme - 1;
    const char *slash = strchr(brokers, '/');

    kafka->brokers = strndup(brokers, (size_t)(slash - brokers));
    kafka->prefix = strdup(slash + 1);
    kafka->topics = calloc(config->topic_count + 1, sizeof *kafka->topics);
    if (kafka->brokers == NULL || kafka->prefix == NULL || kafka->topics == NULL) {
        return ear_fail_memory(err, "the log");
    }
    kafka->read_only = config->read_only;
    kafka->missing = config->missing;
    kafka->replication = config->replication;
    kafka->compact_lag_us = config->compact_lag_us;
    kafka->metrics = config->metrics;
    if (name_producer(kafka, config, err) != 0 || copy_settings(kafka, config, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < config->topic_count; i++) {
        kafka->topic_count++;
        if (copy_topic(&kafka->topics[i], kafka, &config->topics[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static struct kafka *new_kafka(const struct stream_config *config, struct ear_error *err)
{
    struct kafka *kafka = calloc(1, sizeof *kafka);

    if (kafka == NULL) {
        ear_fail_memory(err, "the log");
        return NULL;
    }
    kafka->base.backend = &stream_kafka;
    kafka->user.kafka = kafka;
    pthread_mutex_init(&kafka->trouble_lock, NULL);
    pthread_mutex_init(&kafka->tables_lock, NULL);
    pthread_mutex_init(&kafka->producer.lock, NULL);
    if (fill(kafka, config, err) != 0) {
        kafka_close(&kafka->base);
        return NULL;
    }
    return kafka;
}

/* --- opening and closing --- */

/* What is to be said of how this client signs in, beside what the broker says. */
static int check_mechanism(const struct kafka *kafka, struct ear_error *err)
{
    for (size_t i = 0; i < kafka->setting_count; i++) {
        if (strcmp(kafka->settings[i].name, "sasl.mechanism") == 0) {
            return stream_check_mechanism(kafka->settings[i].value, err);
        }
    }
    return 0;
}

/*
 * What to change, by what librdkafka said last. A listener that speaks another protocol is not told
 * from one that is broken: each sentence says what it would mean.
 */
static const struct {
    const char *said, *cure;
} cures[] = {
    {"incorrect security.protocol",
     "if this listener speaks TLS or SASL, write stream.security, such as {protocol: SASL_SSL, "
     "mechanism: PLAIN, …}"},
    {"mechanism",
     "mind stream.security.mechanism; a listener that names none wants no user: write PLAINTEXT "
     "or SSL as stream.security.protocol"},
    {"SSL",
     "if this listener speaks no TLS, write PLAINTEXT or SASL_PLAINTEXT as "
     "stream.security.protocol; if its certificate is of an authority of your own, give its file "
     "as stream.security.ca"},
    {"uthentication", "mind user and password in stream.security"},
    {"resolve", "correct the host in stream.url"},
    {"", "start a broker there, or correct stream.url"},
};

static const char *cure_of(struct kafka *kafka)
{
    size_t i = 0;

    pthread_mutex_lock(&kafka->trouble_lock);
    while (strstr(kafka->trouble, cures[i].said) == NULL) {
        i++;
    }
    pthread_mutex_unlock(&kafka->trouble_lock);
    return cures[i].cure;
}

static int fail_unreached(struct kafka *kafka, struct ear_error *err)
{
    char trouble[sizeof kafka->trouble];

    pthread_mutex_lock(&kafka->trouble_lock);
    snprintf(trouble, sizeof trouble, "%s", kafka->trouble);
    pthread_mutex_unlock(&kafka->trouble_lock);
    return ear_fail(err, EAR_RETRY, "Kafka at %.200s does not answer%s%.200s; %s", kafka->brokers,
                    trouble[0] == '\0' ? "" : ": ", trouble, cure_of(kafka));
}

static int fail_sign_in(struct kafka *kafka, struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    struct ear_error broken = {EAR_NONE, ""};

    kafka_fail(kafka, RD_KAFKA_RESP_ERR__TRANSPORT, "sign in", &why);
    if (check_mechanism(kafka, &broken) == 0) {
        return ear_fail(err, EAR_CONFIG, "%.300s; %s", why.message, cure_of(kafka));
    }
    return ear_fail(err, EAR_CONFIG, "%.300s; %.200s", why.message, broken.message);
}

/* Waits until a broker answers; a refused sign-in is known at once. */
static int reach(struct kafka *kafka, struct ear_error *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)KAFKA_REACH_MS * 1000;

    for (;;) {
        const rd_kafka_metadata_t *metadata = NULL;
        rd_kafka_resp_err_t code = rd_kafka_metadata(kafka->client, 0, NULL, &metadata, 500);

        rd_kafka_poll(kafka->client, 0); /* what went wrong comes as an event */
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            return 0;
        }
        if (atomic_load(&kafka->refused)) {
            return fail_sign_in(kafka, err);
        }
        if (clock_mono_us() > until_us) {
            return fail_unreached(kafka, err);
        }
    }
}

static int kafka_open(struct stream **out, const struct stream_config *config,
                      struct ear_error *err)
{
    struct kafka *kafka;
    rd_kafka_conf_t *conf;

    if (kafka_check_url(config->url, err) != 0) {
        return -1;
    }
    kafka = new_kafka(config, err);
    if (kafka == NULL) {
        return -1;
    }
    conf = kafka_conf(kafka, KAFKA_CLIENT, err);
    if (conf == NULL || kafka_make(&kafka->client, kafka, RD_KAFKA_CONSUMER, conf, err) != 0 ||
        reach(kafka, err) != 0 || kafka_open_topics(kafka, err) != 0) {
        kafka_close(&kafka->base);
        return -1;
    }
    atomic_store(&kafka->opened, true);
    kafka->missing = NULL;
    *out = &kafka->base;
    return 0;
}

void kafka_close(struct stream *stream)
{
    struct kafka *kafka = (struct kafka *)stream;

    kafka_settle_last(kafka);
    kafka_tables_free(kafka->tables);
    kafka_producer_close(kafka);
    kafka_transaction_free(atomic_load(&kafka->kept));
    if (kafka->client != NULL) {
        rd_kafka_destroy(kafka->client);
    }
    for (size_t i = 0; i < kafka->topic_count; i++) {
        free(kafka->topics[i].name);
        free(kafka->topics[i].full);
        free(kafka->topics[i].type);
    }
    for (size_t i = 0; i < kafka->setting_count; i++) {
        free(kafka->settings[i].name);
        free(kafka->settings[i].value);
    }
    pthread_mutex_destroy(&kafka->trouble_lock);
    pthread_mutex_destroy(&kafka->tables_lock);
    pthread_mutex_destroy(&kafka->producer.lock);
    free(kafka->topics);
    free(kafka->settings);
    free(kafka->transactional_id);
    free(kafka->origin);
    free(kafka->brokers);
    free(kafka->prefix);
    free(kafka);
}

/* --- names --- */

struct kafka_topic *kafka_find_topic(const struct kafka *kafka, const char *name)
{
    for (size_t i = 0; i < kafka->topic_count; i++) {
        if (strcmp(kafka->topics[i].name, name) == 0) {
            return &kafka->topics[i];
        }
    }
    return NULL;
}

struct kafka_topic *kafka_find_full(const struct kafka *kafka, const char *full)
{
    size_t length = strlen(kafka->prefix);

    if (strncmp(full, kafka->prefix, length) != 0 || full[length] != '.') {
        return NULL;
    }
    return kafka_find_topic(kafka, full + length + 1);
}

int kafka_topic_named(struct kafka_topic **out, const struct kafka *kafka, const char *name,
                      struct ear_error *err)
{
    *out = kafka_find_topic(kafka, name);
    if (*out == NULL) {
        return ear_fail(err, EAR_CONFIG, "the log has no topic '%.64s'", name);
    }
    return 0;
}

int kafka_check_partition(const struct kafka_topic *topic, int partition, struct ear_error *err)
{
    if (partition < 0 || partition >= topic->count) {
        return ear_fail(err, EAR_CONFIG, "topic '%s' has the partitions 0 to %d, no %d",
                        topic->name, topic->count - 1, partition);
    }
    return 0;
}

char *kafka_full_group(const struct kafka *kafka, const char *group, struct ear_error *err)
{
    if (*group == '\0' || strlen(group) > KAFKA_NAME_MAX / 2) {
        ear_fail(err, EAR_CONFIG, "a group's name has 1 to %d bytes; '%.64s' has %zu",
                 KAFKA_NAME_MAX / 2, group, strlen(group));
        return NULL;
    }
    return joined(kafka->prefix, ".", group, err);
}

const struct stream_backend stream_kafka = {
    .scheme = "kafka:",
    .check_url = kafka_check_url,
    .open = kafka_open,
    .close = kafka_close,
    .subscribe = kafka_subscribe,
    .reader_close = kafka_reader_close,
    .seek = kafka_seek,
    .read = kafka_read,
    .rewind = kafka_rewind,
    .position = kafka_position,
    .is_ahead = kafka_is_ahead,
    .begin = kafka_begin,
    .publish = kafka_publish,
    .move = kafka_move,
    .commit = kafka_commit,
    .abort = kafka_abort,
    .share_open = kafka_share_open,
    .share_close = kafka_share_close,
    .share_turn = kafka_share_turn,
    .share_owns = kafka_share_owns,
    .share_settling = kafka_share_settling,
    .share_guard = kafka_share_guard,
    .lookup = kafka_lookup,
    .each_latest = kafka_each_latest,
    .partitions = kafka_partitions,
    .span = kafka_span,
    .fetch = kafka_fetch,
    .follow = kafka_follow,
    .group_position = kafka_group_position,
    .each_group = kafka_each_group,
    .forget_group = kafka_forget_group,
    .fullness = kafka_fullness,
    .maintain = kafka_maintain,
    .compact = kafka_compact,
};
