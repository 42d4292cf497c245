/* SPDX-License-Identifier: Apache-2.0 */

/* Kafka as a back end under test: a prefix of its own for each log, on the broker that
 * EARSHOT_TEST_KAFKA names; its topics are deleted at the end. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "tests/common/stream/fixture.h"

enum { ANSWER_MS = 10000 };

static const char *brokers(void)
{
    const char *named = getenv("EARSHOT_TEST_KAFKA");

    return named == NULL || *named == '\0' ? NULL : named;
}

static const char *missing(void)
{
    return brokers() != NULL
               ? NULL
               : "EARSHOT_TEST_KAFKA names no broker; run me by: tests/servers/with --kafka --";
}

/* The folder is the prefix: what there is to be removed. */
static int make_kafka(char *url, size_t size, char *folder, size_t folder_size)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(folder, folder_size, "t%ld-%lld%09ld", (long)getpid(), (long long)now.tv_sec,
             now.tv_nsec);
    return snprintf(url, size, "kafka://%s/%s", brokers(), folder) < (int)size ? 0 : -1;
}

static void remove_topics(rd_kafka_t *client, const char *prefix)
{
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *topics[64];
    size_t count = 0;

    if (rd_kafka_metadata(client, 1, NULL, &metadata, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "the topics %s.* could not be listed and stay\n", prefix);
        rd_kafka_queue_destroy(queue);
        return;
    }
    for (int i = 0; i < metadata->topic_cnt && count < sizeof topics / sizeof topics[0]; i++) {
        const char *name = metadata->topics[i].topic;

        if (strncmp(name, prefix, strlen(prefix)) == 0 && name[strlen(prefix)] == '.') {
            topics[count++] = rd_kafka_DeleteTopic_new(name);
        }
    }
    if (count > 0) {
        rd_kafka_DeleteTopics(client, topics, count, NULL, queue);
        rd_kafka_event_destroy(rd_kafka_queue_poll(queue, ANSWER_MS));
        rd_kafka_DeleteTopic_destroy_array(topics, count);
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_queue_destroy(queue);
}

static void remove_kafka(const char *prefix)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *client;
    char why[256];

    rd_kafka_conf_set(conf, "bootstrap.servers", brokers(), why, sizeof why);
    client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return;
    }
    remove_topics(client, prefix);
    rd_kafka_destroy(client);
}

/* Scaled down, so that who dies or waits is seen within seconds. */
static const struct stream_option options[] = {
    {"session.timeout.ms", "6000"},
    {"heartbeat.interval.ms", "200"},
    {"transaction.timeout.ms", "10000"},
};

const struct backend kafka_backend = {
    .name = "kafka",
    .make_log = make_kafka,
    .remove_log = remove_kafka,
    .missing = missing,
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .real_time = true,
    .shares_out = true,
    .forgets_unmoved = true,
    .lag_us = 1 * SECOND_US,
    .retention_us = 6 * SECOND_US,
};
