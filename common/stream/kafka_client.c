/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clients of librdkafka: how they are configured (every value that reliability.md asks for stands
 * in a table here), what they say while they run, and what their errors mean for a caller.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/stream/kafka_internal.h"

enum {
    NAP_US = 50 * 1000,
    LOOK_BACK_MS = 200,
    QUIET_US = 12 * 1000 * 1000, /* nobody missed a broker for longer than a request may take */
    ASK_MS = 2000, /* a leader that is gone does not answer: ask again, it may be another one */
};

/* What every client gets; 2 s: a broker that comes back is found well within a recovery. */
static const char *const of_all[][2] = {
    {"log.connection.close", "false"},
    {"socket.keepalive.enable", "true"},
    {"socket.timeout.ms", "10000"},
    {"reconnect.backoff.max.ms", "2000"},
};

static const char *const of_producers[][2] = {
    {"acks", "all"},
    {"transaction.timeout.ms", "30000"},
    {"message.timeout.ms", "25000"},
    {"linger.ms", "5"},
};

/* A source stays without an owner at most this and 10 s: collectors' transactions are short. */
static const char *const of_collectors[][2] = {
    {"transaction.timeout.ms", "12000"},
    {"message.timeout.ms", "10000"},
};

static const char *const of_consumers[][2] = {
    {"enable.auto.commit", "false"},
    {"isolation.level", "read_committed"},
    {"auto.offset.reset", "error"},
    {"enable.partition.eof", "true"},
    {"partition.assignment.strategy", "range"},
    {"session.timeout.ms", "10000"},
    {"heartbeat.interval.ms", "3000"},
    {"max.poll.interval.ms", "300000"},
    {"fetch.wait.max.ms", "100"},
};

/* --- configuring --- */

int kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct ear_error *err)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        return ear_fail(err, EAR_CONFIG, "librdkafka says: %s", why);
    }
    return 0;
}

static int set_rows(rd_kafka_conf_t *conf, const char *const rows[][2], size_t count,
                    struct ear_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (kafka_set(conf, rows[i][0], rows[i][1], err) != 0) {
            return -1;
        }
    }
    return 0;
}

#define SET_ROWS(conf, rows, err) set_rows(conf, rows, sizeof(rows) / sizeof((rows)[0]), err)

int64_t kafka_conf_number(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32];
    size_t size = sizeof text;

    return rd_kafka_conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK ? strtoll(text, NULL, 10)
                                                                          : 0;
}

/* Keeps a number below another that was scaled down by what is passed through. */
static int keep_below(rd_kafka_conf_t *conf, const char *name, int64_t most, struct ear_error *err)
{
    char text[32];

    if (kafka_conf_number(conf, name) <= most) {
        return 0;
    }
    snprintf(text, sizeof text, "%lld", (long long)most);
    return kafka_set(conf, name, text, err);
}

static int settle(rd_kafka_conf_t *conf, enum kafka_kind kind, struct ear_error *err)
{
    if (kind == KAFKA_PRODUCER) {
        int64_t timeout_ms = kafka_conf_number(conf, "transaction.timeout.ms");

        return keep_below(conf, "message.timeout.ms", timeout_ms * 5 / 6, err) != 0 ||
                       keep_below(conf, "socket.timeout.ms", timeout_ms * 5 / 6, err) != 0
                   ? -1
                   : 0;
    }
    return keep_below(conf, "heartbeat.interval.ms",
                      kafka_conf_number(conf, "session.timeout.ms") / 3, err);
}

static int set_kind(struct kafka *kafka, rd_kafka_conf_t *conf, enum kafka_kind kind,
                    struct ear_error *err)
{
    char number[16];

    if (SET_ROWS(conf, of_all, err) != 0 ||
        kafka_set(conf, "bootstrap.servers", kafka->brokers, err) != 0 ||
        kafka_set(conf, "client.id", kafka->transactional_id, err) != 0) {
        return -1;
    }
    if (kind != KAFKA_PRODUCER) {
        return SET_ROWS(conf, of_consumers, err);
    }
    snprintf(number, sizeof number, "%d", KAFKA_RECORD_MAX);
    if (SET_ROWS(conf, of_producers, err) != 0 ||
        (kafka->collects && SET_ROWS(conf, of_collectors, err) != 0) ||
        kafka_set(conf, "message.max.bytes", number, err) != 0) {
        return -1;
    }
    return kafka_set(conf, "transactional.id", kafka->transactional_id, err);
}

static void hear_log(const rd_kafka_t *client, int level, const char *facility, const char *text);
static void hear_error(rd_kafka_t *client, int code, const char *reason, void *opaque);

rd_kafka_conf_t *kafka_conf(struct kafka *kafka, enum kafka_kind kind, struct ear_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_opaque(conf, &kafka->user);
    rd_kafka_conf_set_log_cb(conf, hear_log);
    rd_kafka_conf_set_error_cb(conf, hear_error);
    if (set_kind(kafka, conf, kind, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < kafka->setting_count; i++) {
        if (kafka_set(conf, kafka->settings[i].name, kafka->settings[i].value, err) != 0) {
            goto done;
        }
    }
    /* librdkafka wants a group where it assigns, even by hand; nobody joins this one. It needs it
     * also where it asks for the positions of other groups: with none, the answer of a broker that
     * is not their coordinator any more ends librdkafka 2.0.2 (in rd_kafka_cgrp_op). */
    if (settle(conf, kind, err) != 0 ||
        ((kind == KAFKA_ALONE || kind == KAFKA_CLIENT) &&
         kafka_set(conf, "group.id", kafka->transactional_id, err) != 0)) {
        goto done;
    }
    return conf;

done:
    rd_kafka_conf_destroy(conf);
    return NULL;
}

int kafka_make(rd_kafka_t **out, struct kafka *kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf,
               struct ear_error *err)
{
    char why[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);

    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return ear_fail(err, EAR_CONFIG,
                        "no client for Kafka at %s can be made: %s; look at "
                        "stream.security and stream.librdkafka",
                        kafka->brokers, why);
    }
    if (type == RD_KAFKA_CONSUMER) {
        rd_kafka_poll_set_consumer(client);
    }
    *out = client;
    return 0;
}

/* --- options that are passed through --- */

/* What this back end's promises hang on, and what has a key of its own. */
static const struct {
    const char *name, *instead;
} ours[] = {
    {"bootstrap.servers", "write the brokers into stream.url"},
    {"metadata.broker.list", "write the brokers into stream.url"},
    {"security.protocol", "write stream.security.protocol"},
    {"sasl.mechanism", "write stream.security.mechanism"},
    {"sasl.mechanisms", "write stream.security.mechanism"},
    {"sasl.username", "write stream.security.user"},
    {"sasl.password", "write stream.security.password"},
    {"ssl.ca.location", "write stream.security.ca"},
    {"ssl.certificate.location", "write stream.security.certificate"},
    {"ssl.key.location", "write stream.security.key"},
    {"enable.ssl.certificate.verification", "certificates are always verified"},
    {"transactional.id", "write stream.instance"},
    {"group.id", "groups are named by what reads"},
    {"group.instance.id", "leave it out"},
    {"enable.auto.commit", "positions move with their messages"},
    {"enable.auto.offset.store", "positions move with their messages"},
    {"isolation.level", "only what was committed is read"},
    {"auto.offset.reset", "nothing is ever skipped"},
    {"enable.partition.eof", "leave it out"},
    {"partition.assignment.strategy", "keys and what is under them need 'range'"},
    {"acks", "nothing is committed before all replicas have it"},
    {"request.required.acks", "nothing is committed before all replicas have it"},
    {"enable.idempotence", "transactions need it"},
    {"message.max.bytes", "it follows from the longest message"},
    {"plugin.library.paths", "no code is loaded from here"},
};

int stream_check_option(const struct stream_option *option, struct ear_error *err)
{
    rd_kafka_conf_t *conf;
    int result;

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcmp(option->name, ours[i].name) == 0) {
            return ear_fail(err, EAR_CONFIG, "'%s' is not passed through: %s", option->name,
                            ours[i].instead);
        }
    }
    conf = rd_kafka_conf_new();
    result = kafka_set(conf, option->name, option->value, err);
    rd_kafka_conf_destroy(conf);
    return result;
}

/*
 * Before 2.6.1 librdkafka repeats the client's nonce in its last message of SCRAM; Kafka 4 compares
 * it (RFC 5802, section 5.1) and refuses the right password.
 * https://github.com/confluentinc/librdkafka/pull/4895
 */
int stream_check_mechanism(const char *mechanism, struct ear_error *err)
{
    if (strncmp(mechanism, "SCRAM", 5) != 0 || rd_kafka_version() >= 0x020601ff) {
        return 0;
    }
    return ear_fail(err, EAR_CONFIG,
                    "librdkafka %s cannot use SCRAM with Kafka 4 even if the password is right: "
                    "take PLAIN over SASL_SSL, a client certificate, or librdkafka 2.6.1",
                    rd_kafka_version_str());
}

/* --- what clients say --- */

static void note_trouble(struct kafka *kafka, const char *text)
{
    pthread_mutex_lock(&kafka->trouble_lock);
    snprintf(kafka->trouble, sizeof kafka->trouble, "%s", text);
    pthread_mutex_unlock(&kafka->trouble_lock);
}

/* What passes by itself, and is tried again by who said it, worries nobody. */
static enum log_level level_of(int level, const char *said)
{
    return strstr(said, "retrying") != NULL && level > 2 ? LOG_LEVEL_INFO
           : level <= 2                                  ? LOG_LEVEL_ERROR
           : level <= 4                                  ? LOG_LEVEL_WARN
           : level <= 6                                  ? LOG_LEVEL_INFO
                                                         : LOG_LEVEL_DEBUG;
}

/* Every client of every process says of every broker, again and again, that it does not answer. */
static bool says_away(int level, const char *facility)
{
    return level <= 4 && (strcmp(facility, "REQTMOUT") == 0 || strcmp(facility, "FAIL") == 0);
}

static void log_away(struct kafka *kafka, const char *said)
{
    bool first = atomic_exchange(&kafka->lost_us, clock_mono_us()) == 0;

    log_event(first ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, NULL, "Kafka: %s%s", said,
              first ? "; it is tried again until it answers" : "");
}

void kafka_look_back(struct kafka *kafka)
{
    int64_t lost_us = atomic_load(&kafka->lost_us);
    const rd_kafka_metadata_t *metadata;

    if (lost_us == 0 || clock_mono_us() - lost_us < QUIET_US ||
        rd_kafka_metadata(kafka->client, 0, NULL, &metadata, LOOK_BACK_MS) !=
            RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    rd_kafka_metadata_destroy(metadata);
    if (atomic_compare_exchange_strong(&kafka->lost_us, &lost_us, 0)) {
        log_info("Kafka at %s answers again", kafka->brokers);
    }
}

/*
 * "REQTMOUT": a request went unanswered. Of the producer that may have been the end of a
 * transaction, whose late copy would end the next one: the producer is recycled before that.
 * "CONFWARN" says that a setting is another kind of client's: known, all are passed to all.
 */
static void hear_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    const struct kafka_user *user = client == NULL ? NULL : rd_kafka_opaque(client);
    struct kafka *kafka = user == NULL ? NULL : user->kafka;
    const char *from = strncmp(text, "[thrd:", 6) == 0 ? strstr(text, "]: ") : NULL;
    const char *said = from == NULL ? text : from + 3;

    if (kafka == NULL || strcmp(facility, "CONFWARN") == 0) {
        return;
    }
    if (strcmp(facility, "REQTMOUT") == 0 && rd_kafka_type(client) == RD_KAFKA_PRODUCER) {
        atomic_store(&kafka->producer.doubt, true);
    }
    if (level <= 4) {
        note_trouble(kafka, said);
    }
    if (!atomic_load(&kafka->opened)) {
        return;
    }
    if (says_away(level, facility)) {
        log_away(kafka, said);
    } else {
        log_event(level_of(level, said), NULL, "Kafka: %s", said);
    }
}

static void hear_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct kafka *kafka = ((const struct kafka_user *)opaque)->kafka;

    (void)client;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
        atomic_store(&kafka->refused, true);
    }
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        note_trouble(kafka, reason);
    }
}

/* --- errors --- */

enum ear_error_kind kafka_kind_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
        return EAR_FENCED;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return EAR_CONFIG;
    case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR__UNKNOWN_GROUP:
        return EAR_FATAL;
    default: /* brokers that are away, coordinators that move: it passes */
        return EAR_RETRY;
    }
}

int kafka_fail(struct kafka *kafka, rd_kafka_resp_err_t code, const char *doing,
               struct ear_error *err)
{
    char trouble[sizeof kafka->trouble];
    bool away = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;

    pthread_mutex_lock(&kafka->trouble_lock);
    snprintf(trouble, sizeof trouble, "%s", away ? kafka->trouble : "");
    pthread_mutex_unlock(&kafka->trouble_lock);
    return ear_fail(err, kafka_kind_of(code), "Kafka at %s: %s: %s%s%s", kafka->brokers, doing,
                    rd_kafka_err2str(code), trouble[0] == '\0' ? "" : "; it last said: ", trouble);
}

int kafka_fail_error(struct kafka *kafka, rd_kafka_error_t *error, const char *doing,
                     struct ear_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    int result = ear_fail(err, kafka_kind_of(code), "Kafka at %s: %s: %s", kafka->brokers, doing,
                          rd_kafka_error_string(error));

    rd_kafka_error_destroy(error);
    return result;
}

/* --- places --- */

rd_kafka_topic_partition_list_t *kafka_all_partitions(const struct kafka_topic *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(topic->count);

    rd_kafka_topic_partition_list_add_range(list, topic->full, 0, topic->count - 1);
    return list;
}

static rd_kafka_resp_err_t ask_offsets(struct kafka *kafka, rd_kafka_topic_partition_list_t *list,
                                       int64_t which)
{
    rd_kafka_resp_err_t code;

    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = which;
    }
    code = rd_kafka_offsets_for_times(kafka->client, list, ASK_MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    return code;
}

bool kafka_unknown(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

/* The client knows leaders from what it was told last, and looks for new ones by itself only of
 * topics that it holds a handle of. */
static void look_for_leaders(struct kafka *kafka)
{
    const rd_kafka_metadata_t *metadata;

    if (rd_kafka_metadata(kafka->client, 1, NULL, &metadata, ASK_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
}

/* Leaders move, and what is unknown to one broker may be known to all in a moment: it passes. */
int kafka_offsets(struct kafka *kafka, rd_kafka_topic_partition_list_t *list, int64_t which,
                  struct ear_error *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)KAFKA_ANSWER_MS * 1000;

    for (;;) {
        rd_kafka_resp_err_t code = ask_offsets(kafka, list, which);

        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return 0;
        }
        if ((kafka_kind_of(code) != EAR_RETRY && !kafka_unknown(code)) ||
            clock_mono_us() > until_us) {
            return kafka_fail(kafka, code, "where partitions begin and end", err);
        }
        usleep(NAP_US);
        look_for_leaders(kafka);
    }
}

int kafka_confirm_topics(struct kafka *kafka, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)kafka->topic_count);
    int result;

    for (size_t i = 0; i < kafka->topic_count; i++) {
        rd_kafka_topic_partition_list_add(list, kafka->topics[i].full, 0);
    }
    result = kafka_offsets(kafka, list, RD_KAFKA_OFFSET_BEGINNING, err);
    if (result != 0 && err->kind == EAR_RETRY) {
        ear_error_clear(err); /* nobody says so now */
        result = 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

int kafka_span_of(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                  struct stream_span *out, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *place =
        rd_kafka_topic_partition_list_add(list, topic->full, partition);
    int result = kafka_offsets(kafka, list, RD_KAFKA_OFFSET_BEGINNING, err);

    out->earliest = place->offset;
    if (result == 0) {
        result = kafka_offsets(kafka, list, RD_KAFKA_OFFSET_END, err);
        out->end = place->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

struct stream_message kafka_message(const struct kafka_topic *topic,
                                    const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t at_ms = rd_kafka_message_timestamp(message, &type);

    return (struct stream_message){
        .topic = topic->name,
        .partition = message->partition,
        .offset = message->offset,
        .at_us = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : at_ms * 1000,
        .key = message->key,
        .key_length = message->key_len,
        .value = message->payload,
        .value_length = message->len,
    };
}

rd_kafka_event_t *kafka_await(struct kafka *kafka, rd_kafka_queue_t *queue, const char *doing,
                              struct ear_error *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * KAFKA_ANSWER_MS);
    rd_kafka_resp_err_t code =
        event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return event;
    }
    kafka_fail(kafka, code, doing, err);
    rd_kafka_event_destroy(event);
    return NULL;
}
