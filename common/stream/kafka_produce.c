/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The transactional producer, one a stream: making it (which settles what its predecessor left
 * open), the steps of a transaction, and the order in which their errors are asked:
 *
 *   fatal            the producer is never used again
 *   requires abort   the transaction is aborted
 *   retriable        the same call again, with growing pauses, for two minutes at most
 *   none of them     as fatal
 *
 * After doubt (an error of commit, abort or send_offsets, one that took longer than a request may,
 * a request that went unanswered) the producer is unmade once its transaction is over: a late copy
 * of the request could end the next transaction, but not that of a later epoch.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/stream/kafka_internal.h"

enum { INIT_MS = 5000, FIRST_PAUSE_US = 20 * 1000, LAST_PAUSE_US = 2000 * 1000, FLUSH_MS = 500 };

/* --- making and unmaking --- */

/* Librdkafka calls back from poll and flush: on the thread that holds the producer's lock. */
static void hear_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_producer *producer = &((const struct kafka_user *)opaque)->kafka->producer;
    struct kafka_record *record = message->_private;

    (void)client;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        record->offset = message->offset;
        producer->delivered++;
    } else {
        producer->failure = message->err;
        producer->failed++;
    }
}

void kafka_producer_close(struct kafka *kafka)
{
    struct kafka_producer *producer = &kafka->producer;

    if (producer->client != NULL) {
        for (size_t i = 0; i < KAFKA_TOPICS_MAX; i++) {
            if (producer->topics[i] != NULL) {
                rd_kafka_topic_destroy(producer->topics[i]);
                producer->topics[i] = NULL;
            }
        }
        rd_kafka_destroy(producer->client);
        producer->client = NULL;
    }
}

void kafka_producer_recycle(struct kafka *kafka)
{
    if (kafka->producer.client != NULL) {
        metrics_add(kafka->metrics, "earshot_stream_recycles_total", NULL, 1);
        kafka_producer_close(kafka);
    }
}

static int make_producer(struct kafka *kafka, struct ear_error *err)
{
    struct kafka_producer *producer = &kafka->producer;
    rd_kafka_conf_t *conf = kafka_conf(kafka, KAFKA_PRODUCER, err);

    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, hear_delivery);
    producer->timeout_us = kafka_conf_number(conf, "transaction.timeout.ms") * 1000;
    producer->answer_us = kafka_conf_number(conf, "socket.timeout.ms") * 1000;
    producer->delivery_us = kafka_conf_number(conf, "message.timeout.ms") * 1000;
    atomic_store(&producer->doubt, false);
    return kafka_make(&producer->client, kafka, RD_KAFKA_PRODUCER, conf, err);
}

/*
 * Takes the predecessor's transaction over: ends it, and fences who may still be at it. A client
 * that has no connection yet would look for its coordinator again only after a second: so it is
 * asked for something else first.
 */
static int init_producer(struct kafka *kafka, struct ear_error *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)KAFKA_RETRY_MS / 2 * 1000;
    const rd_kafka_metadata_t *metadata = NULL;

    if (rd_kafka_metadata(kafka->producer.client, 0, NULL, &metadata, INIT_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(kafka->producer.client, INIT_MS);
        bool again;

        if (error == NULL) {
            return 0;
        }
        again = !rd_kafka_error_is_fatal(error) && clock_mono_us() < until_us &&
                kafka_kind_of(rd_kafka_error_code(error)) == EAR_RETRY;
        if (!again) {
            return kafka_fail_error(kafka, error, "take the producer's transactions over", err);
        }
        rd_kafka_error_destroy(error);
        usleep(FIRST_PAUSE_US);
    }
}

int kafka_producer_ready(struct kafka *kafka, struct ear_error *err)
{
    struct kafka_producer *producer = &kafka->producer;

    if (producer->client != NULL && atomic_load(&producer->doubt)) {
        kafka_producer_recycle(kafka);
    }
    if (producer->client != NULL) {
        return 0;
    }
    if (make_producer(kafka, err) != 0) {
        return -1;
    }
    if (init_producer(kafka, err) != 0) {
        kafka_producer_close(kafka);
        return -1;
    }
    return 0;
}

rd_kafka_topic_t *kafka_producer_topic(struct kafka *kafka, const struct kafka_topic *topic)
{
    struct kafka_producer *producer = &kafka->producer;
    size_t i = (size_t)(topic - kafka->topics);

    if (i < KAFKA_TOPICS_MAX && producer->topics[i] == NULL) {
        producer->topics[i] = rd_kafka_topic_new(producer->client, topic->full, NULL);
    }
    return i < KAFKA_TOPICS_MAX ? producer->topics[i] : NULL;
}

/* --- one step --- */

/* Fenced before its time is up: by another process of the same name, not by the coordinator. */
static int fail_fenced(struct kafka *kafka, struct ear_error *err)
{
    struct kafka_producer *producer = &kafka->producer;

    if (clock_mono_us() - producer->begun_us >= producer->timeout_us) {
        return ear_fail(err, EAR_RETRY,
                        "Kafka at %s ended a transaction that was open longer than %lld ms",
                        kafka->brokers, (long long)(producer->timeout_us / 1000));
    }
    producer->twice = true;
    return ear_fail(err, EAR_FATAL,
                    "another process writes as '%s': the same instance is used twice; give each "
                    "process a stream.instance of its own",
                    kafka->transactional_id);
}

/* Records that were under way when the producer was fenced fail first, with less to say. */
void kafka_note_broken(struct kafka *kafka, struct ear_error *err)
{
    if (kafka->producer.client != NULL &&
        rd_kafka_fatal_error(kafka->producer.client, NULL, 0) == RD_KAFKA_RESP_ERR__FENCED) {
        fail_fenced(kafka, err);
    }
}

enum kafka_verdict kafka_judge(struct kafka *kafka, rd_kafka_error_t *error, const char *doing,
                               struct ear_error *err)
{
    enum kafka_verdict verdict = KAFKA_LOST;

    if (error == NULL) {
        return KAFKA_DONE;
    }
    if (rd_kafka_error_is_fatal(error)) {
        verdict = KAFKA_LOST;
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        verdict = KAFKA_SPOILT;
    } else if (rd_kafka_error_is_retriable(error)) {
        verdict = KAFKA_AGAIN;
    }
    if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__FENCED) {
        rd_kafka_error_destroy(error);
        fail_fenced(kafka, err);
        return KAFKA_LOST;
    }
    kafka_fail_error(kafka, error, doing, err);
    return verdict;
}

enum kafka_verdict kafka_insist(struct kafka *kafka, const struct kafka_step *step,
                                struct ear_error *err)
{
    int64_t begun_us = clock_mono_us();
    int64_t pause_us = FIRST_PAUSE_US;
    bool erred = false;
    enum kafka_verdict verdict;

    for (;;) {
        verdict =
            kafka_judge(kafka, step->call(kafka->producer.client, step->user), step->doing, err);
        erred = erred || verdict != KAFKA_DONE;
        if (verdict != KAFKA_AGAIN) {
            break;
        }
        if (clock_mono_us() - begun_us > (int64_t)KAFKA_RETRY_MS * 1000) {
            verdict = KAFKA_LOST;
            break;
        }
        usleep((useconds_t)pause_us);
        pause_us = pause_us * 2 < LAST_PAUSE_US ? pause_us * 2 : LAST_PAUSE_US;
    }
    if (step->doubtful && (erred || clock_mono_us() - begun_us > kafka->producer.answer_us)) {
        atomic_store(&kafka->producer.doubt, true);
    }
    if (verdict == KAFKA_DONE) {
        ear_error_clear(err);
    }
    return verdict;
}

/* --- delivery --- */

int kafka_flush(struct kafka *kafka)
{
    const struct kafka_producer *producer = &kafka->producer;
    int64_t until_us = clock_mono_us() + producer->delivery_us + 5 * CLOCK_SECOND_US;

    while (rd_kafka_flush(producer->client, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (clock_mono_us() > until_us) {
            return -1;
        }
    }
    return 0;
}
