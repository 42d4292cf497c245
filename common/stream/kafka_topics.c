/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Topics on the broker: finding them, making those that are missing, and their policies. A policy
 * is what struct stream_topic says in Kafka's words. Kafka 2.0.2's library has no incremental
 * change of configurations, and the plain one replaces everything that was ever set on a topic: so
 * what somebody else set is read first and sent along.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/stream/kafka_internal.h"

enum { POLICIES_MAX = 12, LEAST_MS = 100, HOUR_MS = 3600 * 1000 };

struct policy {
    const char *name;
    char value[32];
};

struct policies {
    struct policy rows[POLICIES_MAX];
    size_t count;
};

/* --- policies --- */

static void add_text(struct policies *policies, const char *name, const char *value)
{
    struct policy *row = &policies->rows[policies->count++];

    row->name = name;
    snprintf(row->value, sizeof row->value, "%s", value);
}

static void add_number(struct policies *policies, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, value);
    add_text(policies, name, text);
}

static int64_t least(int64_t one, int64_t two)
{
    return one < two ? one : two;
}

static int64_t milliseconds(int64_t us)
{
    return us / 1000 > LEAST_MS ? us / 1000 : LEAST_MS;
}

/*
 * A superseded message stays until its segment is closed (segment.ms) and cleaned; the cleaner may
 * wait max.compaction.lag.ms after that instant at which a message came: together about the lag.
 * Tombstones and the markers of transactions stay delete.retention.ms longer: where nothing but
 * compaction ends them (cursors), an hour, so that restoring reads little.
 */
static void make_policies(struct policies *out, const struct kafka *kafka,
                          const struct kafka_topic *topic)
{
    int64_t lag_ms = milliseconds(kafka->compact_lag_us);
    int64_t retention_ms = topic->retention_us > 0 ? milliseconds(topic->retention_us) : -1;
    int64_t segment_ms = topic->compact ? milliseconds(kafka->compact_lag_us / 2) : INT64_MAX;
    bool ends = retention_ms >= 0;

    out->count = 0;
    add_text(out, "cleanup.policy",
             !topic->compact ? "delete"
             : ends          ? "compact,delete"
                             : "compact");
    add_text(out, "message.timestamp.type", "CreateTime");
    add_number(out, "max.message.bytes", KAFKA_BATCH_MAX);
    add_number(out, "retention.ms", retention_ms);
    if (ends) {
        segment_ms = least(segment_ms, milliseconds(topic->retention_us / 2));
    }
    if (segment_ms != INT64_MAX) {
        add_number(out, "segment.ms", segment_ms);
    }
    if (topic->compact) {
        add_number(out, "max.compaction.lag.ms", lag_ms);
        add_number(out, "delete.retention.ms",
                   least(lag_ms, ends ? 24 * (int64_t)HOUR_MS : (int64_t)HOUR_MS));
        add_text(out, "min.cleanable.dirty.ratio", "0.01");
    }
    if (topic->compact && !ends) {
        add_number(out, "segment.bytes", INT64_C(16) * 1024 * 1024);
    }
    if (kafka->replication >= 3) {
        add_text(out, "min.insync.replicas", "2");
    }
}

/* --- asking the broker --- */

/* The partitions of a topic as the broker has them; 0: there is none. -1: without leaders yet. */
static int partitions_of(const rd_kafka_metadata_t *metadata, const char *full)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *topic = &metadata->topics[i];

        if (strcmp(topic->topic, full) != 0) {
            continue;
        }
        if (topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            return 0;
        }
        for (int p = 0; p < topic->partition_cnt; p++) {
            if (topic->partitions[p].leader < 0) {
                return -1;
            }
        }
        return topic->err != RD_KAFKA_RESP_ERR_NO_ERROR ? -1 : topic->partition_cnt;
    }
    return 0;
}

/* Which topics are missing, which have no leader; EAR_CONFIG for another number of partitions. */
static int compare(struct kafka *kafka, bool missing[], size_t *missing_count, size_t *waiting,
                   struct ear_error *err)
{
    const rd_kafka_metadata_t *metadata;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(kafka->client, 1, NULL, &metadata, KAFKA_ANSWER_MS);
    int result = 0;

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_fail(kafka, code, "list topics", err);
    }
    *missing_count = 0;
    *waiting = 0;
    for (size_t i = 0; i < kafka->topic_count && result == 0; i++) {
        const struct kafka_topic *topic = &kafka->topics[i];
        int count = partitions_of(metadata, topic->full);

        missing[i] = count == 0;
        *missing_count += count == 0;
        *waiting += count < 0;
        if (count > 0 && count != topic->count) {
            result = ear_fail(err, EAR_CONFIG,
                              "topic '%s' has %d partitions on Kafka at %s (%s), not %d: their "
                              "number never changes; configure %d",
                              topic->name, count, kafka->brokers, topic->full, topic->count, count);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    return result;
}

/* --- making topics --- */

static rd_kafka_NewTopic_t *new_topic(const struct kafka *kafka, const struct kafka_topic *topic,
                                      struct ear_error *err)
{
    char why[256];
    struct policies policies;
    int replication = kafka->replication > 0 ? kafka->replication : -1;
    rd_kafka_NewTopic_t *made =
        rd_kafka_NewTopic_new(topic->full, topic->count, replication, why, sizeof why);

    if (made == NULL) {
        ear_fail(err, EAR_CONFIG, "topic %s cannot be made: %s", topic->full, why);
        return NULL;
    }
    make_policies(&policies, kafka, topic);
    for (size_t i = 0; i < policies.count; i++) {
        rd_kafka_NewTopic_set_config(made, policies.rows[i].name, policies.rows[i].value);
    }
    return made;
}

/* Somebody else may have made a topic meanwhile: as good. */
static int check_made(struct kafka *kafka, rd_kafka_event_t *event, struct ear_error *err)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    size_t count = 0;
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);

    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topics[i]);
        const char *why = rd_kafka_topic_result_error_string(topics[i]);

        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            return ear_fail(err, kafka_kind_of(code), "Kafka at %s: make topic %s: %.250s%s",
                            kafka->brokers, rd_kafka_topic_result_name(topics[i]),
                            why == NULL ? rd_kafka_err2str(code) : why,
                            code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR
                                ? "; start more brokers, or lower stream.topics.replication"
                            : code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                                    code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
                                ? "; allow this user to make it (kafka-acls), or make it yourself"
                                : "");
        }
    }
    return 0;
}

static int make_topics(struct kafka *kafka, const bool missing[], struct ear_error *err)
{
    rd_kafka_NewTopic_t **made = calloc(kafka->topic_count, sizeof(rd_kafka_NewTopic_t *));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->client);
    rd_kafka_event_t *event = NULL;
    size_t count = 0;
    int result = -1;

    if (made == NULL) {
        ear_fail_memory(err, "new topics");
        goto done;
    }
    for (size_t i = 0; i < kafka->topic_count; i++) {
        if (missing[i]) {
            made[count] = new_topic(kafka, &kafka->topics[i], err);
            if (made[count++] == NULL) {
                goto done;
            }
        }
    }
    rd_kafka_CreateTopics(kafka->client, made, count, NULL, queue);
    event = kafka_await(kafka, queue, "make topics", err);
    result = event == NULL ? -1 : check_made(kafka, event, err);

done:
    for (size_t i = 0; i < count; i++) {
        if (made[i] != NULL) {
            rd_kafka_NewTopic_destroy(made[i]);
        }
    }
    free(made);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return result;
}

/* Until every topic is there and led. */
static int await_topics(struct kafka *kafka, bool missing[], struct ear_error *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)KAFKA_REACH_MS * 1000;
    size_t missing_count = 0;
    size_t waiting = 0;

    for (;;) {
        if (compare(kafka, missing, &missing_count, &waiting, err) != 0) {
            return -1;
        }
        if (missing_count + waiting == 0) {
            return 0;
        }
        if (clock_mono_us() > until_us) {
            return ear_fail(err, EAR_RETRY,
                            "Kafka at %s: %zu topics %s.* have no leader yet; are all brokers up?",
                            kafka->brokers, missing_count + waiting, kafka->prefix);
        }
        usleep(10 * 1000);
    }
}

/* --- bringing policies up to date --- */

static const char *value_of(const rd_kafka_ConfigEntry_t *const entries[], size_t count,
                            const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            return rd_kafka_ConfigEntry_value(entries[i]);
        }
    }
    return NULL;
}

static bool is_ours(const struct policies *policies, const char *name)
{
    for (size_t i = 0; i < policies->count; i++) {
        if (strcmp(policies->rows[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What is to be sent for a topic whose policy differs; NULL: it does not. */
static rd_kafka_ConfigResource_t *difference(const struct kafka *kafka,
                                             const struct kafka_topic *topic,
                                             const rd_kafka_ConfigResource_t *found)
{
    struct policies policies;
    size_t count = 0;
    const rd_kafka_ConfigEntry_t *const *entries = rd_kafka_ConfigResource_configs(found, &count);
    rd_kafka_ConfigResource_t *wanted;
    bool differs = false;

    make_policies(&policies, kafka, topic);
    for (size_t i = 0; i < policies.count; i++) {
        const char *value = value_of(entries, count, policies.rows[i].name);

        differs = differs || value == NULL || strcmp(value, policies.rows[i].value) != 0;
    }
    if (!differs) {
        return NULL;
    }
    wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic->full);
    for (size_t i = 0; i < policies.count; i++) {
        rd_kafka_ConfigResource_set_config(wanted, policies.rows[i].name, policies.rows[i].value);
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (rd_kafka_ConfigEntry_source(entries[i]) ==
                RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
            value != NULL && !is_ours(&policies, name)) {
            rd_kafka_ConfigResource_set_config(wanted, name, value);
        }
    }
    return wanted;
}

/* The broker's description of all topics; the caller destroys the event. NULL with err. */
static rd_kafka_event_t *describe(struct kafka *kafka, struct ear_error *err)
{
    rd_kafka_ConfigResource_t **asked =
        calloc(kafka->topic_count, sizeof(rd_kafka_ConfigResource_t *));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->client);
    rd_kafka_event_t *event = NULL;

    if (asked == NULL) {
        ear_fail_memory(err, "the policies of topics");
        goto done;
    }
    for (size_t i = 0; i < kafka->topic_count; i++) {
        asked[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, kafka->topics[i].full);
    }
    rd_kafka_DescribeConfigs(kafka->client, asked, kafka->topic_count, NULL, queue);
    event = kafka_await(kafka, queue, "read the policies of topics", err);
    rd_kafka_ConfigResource_destroy_array(asked, kafka->topic_count);

done:
    free(asked);
    rd_kafka_queue_destroy(queue);
    return event;
}

static void warn_policy(const char *full, const char *why)
{
    log_warn("topic %s keeps its policy, which is not the configured one: %s; let its owner set it "
             "with kafka-configs, or allow this user to",
             full, why);
}

static void change(struct kafka *kafka, rd_kafka_ConfigResource_t **wanted, size_t wanted_count)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka->client);
    struct ear_error why = {EAR_NONE, ""};
    rd_kafka_event_t *event;
    const rd_kafka_ConfigResource_t **results;
    size_t count = 0;

    rd_kafka_AlterConfigs(kafka->client, wanted, wanted_count, NULL, queue);
    event = kafka_await(kafka, queue, "change the policies of topics", &why);
    if (event == NULL) {
        for (size_t i = 0; i < wanted_count; i++) {
            warn_policy(rd_kafka_ConfigResource_name(wanted[i]), why.message);
        }
        goto done;
    }
    results =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_ConfigResource_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            const char *said = rd_kafka_ConfigResource_error_string(results[i]);

            warn_policy(rd_kafka_ConfigResource_name(results[i]), said == NULL ? "refused" : said);
        }
    }

done:
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
}

/* What cannot be read or changed is said, and is no reason to stop. */
static void update_policies(struct kafka *kafka)
{
    struct ear_error why = {EAR_NONE, ""};
    rd_kafka_event_t *event = describe(kafka, &why);
    const rd_kafka_ConfigResource_t **found;
    rd_kafka_ConfigResource_t **wanted = NULL;
    size_t wanted_count = 0;
    size_t count = 0;

    if (event == NULL) { /* refused, or the broker that was asked is away: the next opening looks */
        log_warn("the policies of topics are not looked at: %s", why.message);
        return;
    }
    found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event),
                                                      &count);
    wanted = calloc(count + 1, sizeof(rd_kafka_ConfigResource_t *));
    for (size_t i = 0; wanted != NULL && i < count; i++) {
        const char *full = rd_kafka_ConfigResource_name(found[i]);
        const struct kafka_topic *topic = kafka_find_full(kafka, full);
        const char *said = rd_kafka_ConfigResource_error_string(found[i]);

        if (rd_kafka_ConfigResource_error(found[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            warn_policy(full, said == NULL ? "it cannot be read" : said);
        } else if (topic != NULL) {
            wanted[wanted_count] = difference(kafka, topic, found[i]);
            wanted_count += wanted[wanted_count] != NULL;
        }
    }
    if (wanted_count > 0) {
        change(kafka, wanted, wanted_count);
        rd_kafka_ConfigResource_destroy_array(wanted, wanted_count);
    }
    free(wanted);
    rd_kafka_event_destroy(event);
}

int kafka_open_topics(struct kafka *kafka, struct ear_error *err)
{
    bool *missing = calloc(kafka->topic_count + 1, sizeof *missing);
    size_t missing_count = 0;
    size_t waiting = 0;
    int result = -1;

    if (missing == NULL) {
        return ear_fail_memory(err, "the topics of the log");
    }
    if (compare(kafka, missing, &missing_count, &waiting, err) != 0) {
        goto done;
    }
    if (missing_count > 0 && kafka->read_only) {
        if (kafka->missing != NULL) {
            *kafka->missing = true;
        }
        ear_fail(err, EAR_RETRY,
                 "Kafka at %s has no log %s yet (%zu of %zu topics are missing); start what writes "
                 "it first: earshot run",
                 kafka->brokers, kafka->prefix, missing_count, kafka->topic_count);
        goto done;
    }
    if ((missing_count > 0 && make_topics(kafka, missing, err) != 0) ||
        (missing_count + waiting > 0 && await_topics(kafka, missing, err) != 0)) {
        goto done;
    }
    if (!kafka->read_only && missing_count < kafka->topic_count) {
        update_policies(kafka);
    }
    result = 0;

done:
    free(missing);
    return result;
}
