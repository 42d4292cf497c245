/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Committing on Kafka. Everything that a broker sees of a transaction happens here, under the
 * producer's lock and in one go:
 *
 *   begin - produce all - flush - count the reports - send offsets - commit
 *
 * Whatever fails before the commit: flush, abort (an abort while the first record is under way
 * breaks the producer), and nothing was published. An error of the commit itself says nothing. The
 * next producer of the same name settles the transaction; whether it was committed is then to be
 * seen: its first record is there, or the log goes on without it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"
#include "common/metrics.h"
#include "common/stream/kafka_table.h"
#include "common/testfault.h"
#include "common/testpoint.h"

enum { POLL_RECORDS = 128, QUEUE_FULL_MS = 50, SETTLED_READ_MS = 200 };

/* --- the steps of a commit --- */

static rd_kafka_error_t *call_begin(rd_kafka_t *client, void *user)
{
    (void)user;
    return rd_kafka_begin_transaction(client);
}

static rd_kafka_error_t *call_commit(rd_kafka_t *client, void *user)
{
    (void)user;
    return rd_kafka_commit_transaction(client, -1);
}

static rd_kafka_error_t *call_abort(rd_kafka_t *client, void *user)
{
    (void)user;
    return rd_kafka_abort_transaction(client, -1);
}

struct offsets {
    const rd_kafka_topic_partition_list_t *places;
    const rd_kafka_consumer_group_metadata_t *group;
};

static rd_kafka_error_t *call_offsets(rd_kafka_t *client, void *user)
{
    const struct offsets *offsets = user;

    return rd_kafka_send_offsets_to_transaction(client, offsets->places, offsets->group, -1);
}

/* The instant of the last record as text: most records of a transaction have the same. */
struct stamp {
    int64_t at_us;
    char text[INSTANT_SIZE];
};

/* CloudEvents 1.0, "Kafka Protocol Binding", binary mode: the value stays the plain JSON. */
static rd_kafka_headers_t *make_headers(const struct kafka *kafka,
                                        const struct kafka_record *record, struct stamp *stamp)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(6);
    size_t length =
        record->value == NULL ? record->key_length : record->key_length + 1 + record->value_length;
    char id[HASH128_TEXT_SIZE];

    hash128_format(id, hash128_of(record->key == NULL ? record->value : record->key,
                                  record->key == NULL ? record->value_length : length));
    rd_kafka_header_add(headers, "ce_specversion", -1, "1.0", -1);
    rd_kafka_header_add(headers, "ce_id", -1, id, -1);
    rd_kafka_header_add(headers, "ce_type", -1, record->topic->type, -1);
    rd_kafka_header_add(headers, "ce_source", -1, kafka->origin, -1);
    if (stamp->at_us != record->at_us || stamp->text[0] == '\0') {
        stamp->at_us = record->at_us;
        instant_format(stamp->text, record->at_us);
    }
    rd_kafka_header_add(headers, "ce_time", -1, stamp->text, -1);
    rd_kafka_header_add(headers, "content-type", -1, "application/json", -1);
    return headers;
}

/* Hands one record over. Its memory stays ours until its report, or the producer's end. */
static rd_kafka_resp_err_t produce(struct kafka *kafka, struct kafka_record *record,
                                   struct stamp *stamp)
{
    rd_kafka_topic_t *topic = kafka_producer_topic(kafka, record->topic);
    rd_kafka_headers_t *headers =
        record->topic->type == NULL ? NULL : make_headers(kafka, record, stamp);
    rd_kafka_resp_err_t code;
    enum { ROOM = 8 };
    rd_kafka_vu_t fields[ROOM];
    size_t count = 0;

    if (topic != NULL) {
        fields[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic};
    } else {
        fields[count++] =
            (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic->full};
    }
    fields[count++] =
        (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition};
    /* NOLINTBEGIN(performance-no-int-to-ptr): librdkafka only reads what it is given here */
    fields[count++] = (rd_kafka_vu_t){
        .vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)record->key, record->key_length}};
    fields[count++] =
        (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_VALUE,
                        .u.mem = {(void *)(uintptr_t)record->value, record->value_length}};
    /* NOLINTEND(performance-no-int-to-ptr) */
    fields[count++] =
        (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->at_us / 1000};
    fields[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = record};
    if (headers != NULL) {
        fields[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers};
    }
    if (TESTPOINT_FAILS("kafka.produce")) { /* as if it were refused */
        if (headers != NULL) {
            rd_kafka_headers_destroy(headers);
        }
        return RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    }
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_produceva(kafka->producer.client, fields, count);

        code = error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            break;
        }
        rd_kafka_poll(kafka->producer.client, QUEUE_FULL_MS);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

/* Always SPOILT; what passes is EAR_RETRY. */
static enum kafka_verdict fail_record(struct kafka *kafka, rd_kafka_resp_err_t code,
                                      const char *doing, struct ear_error *err)
{
    if (!kafka_unknown(code) || kafka_confirm_topics(kafka, err) == 0) {
        kafka_fail(kafka, code, doing, err);
        err->kind = kafka_unknown(code) ? EAR_RETRY : err->kind;
    }
    return KAFKA_SPOILT;
}

static enum kafka_verdict produce_all(struct kafka_transaction *transaction, struct ear_error *err)
{
    struct kafka *kafka = transaction->kafka;
    struct kafka_producer *producer = &kafka->producer;
    struct stamp stamp = {0};
    size_t produced = 0;

    for (size_t i = 0; i < transaction->record_count; i++) {
        struct kafka_record *record = &transaction->records[i];
        rd_kafka_resp_err_t code = produce(kafka, record, &stamp);

        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            produced++;
            if (produced % POLL_RECORDS == 0) {
                rd_kafka_poll(producer->client, 0); /* memory of what has arrived serves again */
            }
        } else if (!TESTFAULT("produce-ignored")) {
            return fail_record(kafka, code, record->topic->name, err);
        }
    }
    metrics_set(kafka->metrics, "earshot_stream_queue_messages", NULL,
                (double)rd_kafka_outq_len(producer->client));
    if (TESTPOINT_FAILS("kafka.produced")) {
        ear_fail(err, EAR_RETRY, "the log cannot take a transaction (a test says so)");
        return KAFKA_SPOILT;
    }
    if (kafka_flush(kafka) != 0 || producer->failed > 0 || producer->delivered != produced) {
        return fail_record(
            kafka, producer->failed > 0 ? producer->failure : RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
            "publish", err);
    }
    TESTPOINT("kafka.flushed");
    return KAFKA_DONE;
}

/* The reader's partitions must still be its own, in the generation in which it read. */
static bool still_assigned(const struct kafka_transaction *transaction, struct ear_error *err)
{
    const struct kafka_reader *reader = transaction->reader;

    if (reader == NULL || TESTFAULT("commit-after-lost")) {
        return true;
    }
    if (reader->generation == transaction->generation &&
        !rd_kafka_assignment_lost(reader->client)) {
        return true;
    }
    ear_fail(err, EAR_FENCED,
             "partitions of group '%s' went to another reader; nothing was published",
             reader->group);
    return false;
}

static enum kafka_verdict send_offsets(struct kafka *kafka,
                                       const rd_kafka_topic_partition_list_t *places,
                                       const rd_kafka_consumer_group_metadata_t *group,
                                       struct ear_error *err)
{
    struct offsets offsets = {places, group};
    const struct kafka_step step = {call_offsets, &offsets, "send a group's offsets", true};
    enum kafka_verdict verdict = kafka_insist(kafka, &step, err);

    /* A generation that is over is over, whatever the producer makes of it. */
    return verdict == KAFKA_LOST && err->kind == EAR_FENCED ? KAFKA_SPOILT : verdict;
}

static enum kafka_verdict move_reader(struct kafka_transaction *transaction, struct ear_error *err)
{
    const struct kafka_reader *reader = transaction->reader;
    rd_kafka_consumer_group_metadata_t *group;
    enum kafka_verdict verdict;
    char *full;

    if (reader == NULL || transaction->places->cnt == 0) {
        return KAFKA_DONE;
    }
    if (!still_assigned(transaction, err)) {
        return KAFKA_SPOILT;
    }
    if (TESTFAULT("no-generation") || TESTFAULT("commit-after-lost")) {
        full = kafka_full_group(transaction->kafka, reader->group, err);
        group = rd_kafka_consumer_group_metadata_new(full);
        free(full);
    } else {
        group = rd_kafka_consumer_group_metadata(reader->client);
    }
    verdict = send_offsets(transaction->kafka, transaction->places, group, err);
    rd_kafka_consumer_group_metadata_destroy(group);
    return verdict;
}

static enum kafka_verdict move_share(struct kafka_transaction *transaction, struct ear_error *err)
{
    const rd_kafka_consumer_group_metadata_t *group;
    rd_kafka_topic_partition_list_t *list;
    enum kafka_verdict verdict = KAFKA_SPOILT;

    if (transaction->share == NULL) {
        return KAFKA_DONE;
    }
    list = rd_kafka_topic_partition_list_new(8);
    group = kafka_share_metadata(transaction->share, err);
    if (group != NULL && kafka_share_offsets(transaction->share, transaction->records,
                                             transaction->record_count, list, err) == 0) {
        verdict = list->cnt == 0 ? KAFKA_DONE : send_offsets(transaction->kafka, list, group, err);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return verdict;
}

/* --- how a transaction ends --- */

static int give_up(struct kafka *kafka)
{
    const struct kafka_step step = {call_abort, NULL, "abort a transaction", true};
    struct ear_error err = {EAR_NONE, ""};

    if (!TESTFAULT("abort-without-flush")) {
        (void)kafka_flush(kafka);
    }
    metrics_set(kafka->metrics, "earshot_stream_queue_messages", NULL,
                (double)rd_kafka_outq_len(kafka->producer.client));
    TESTPOINT("kafka.before-abort");
    metrics_add(kafka->metrics, "earshot_stream_aborts_total", NULL, 1);
    if (kafka_insist(kafka, &step, &err) != KAFKA_DONE) {
        return -1;
    }
    TESTPOINT("kafka.aborted");
    return 0;
}

/* The record by which it shows whether the transaction was committed: of a topic that is not
 * compacted if there is one. */
static const struct kafka_record *witness(const struct kafka_transaction *transaction)
{
    for (size_t i = 0; i < transaction->record_count; i++) {
        if (!transaction->records[i].topic->compact && transaction->records[i].offset >= 0) {
            return &transaction->records[i];
        }
    }
    return &transaction->records[0];
}

/* 1: it is there, so all is; 0: the log goes on without it; -1: nobody says (err). */
static int is_there(struct kafka *kafka, const struct kafka_record *record, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    struct kafka_reader *reader = NULL;
    struct stream_batch batch = {0};
    int64_t until_us = clock_mono_us() + (int64_t)KAFKA_RETRY_MS / 2 * 1000;
    int result = -1;

    rd_kafka_topic_partition_list_add(list, record->topic->full, record->partition)->offset =
        record->offset;
    if (kafka_reader_alone(&reader, kafka, list, err) != 0) {
        goto done;
    }
    while (result < 0) {
        if (kafka_read(&reader->base, &batch, 1, 1, SETTLED_READ_MS, err) != 0) {
            goto done;
        }
        if (batch.count > 0) {
            result = batch.messages[0].offset == record->offset ? 1 : 0;
        } else if (reader->lanes[0].next > record->offset) {
            result = 0;
        } else if (clock_mono_us() > until_us) {
            ear_fail(err, EAR_RETRY, "another transaction hides it");
            goto done;
        }
    }

done:
    if (reader != NULL) {
        kafka_reader_close(&reader->base);
    }
    stream_batch_clear(&batch);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/*
 * The commit went wrong in a way that says nothing. A new producer of the same name ends the
 * transaction one way or the other; then it is looked up which. Where that cannot be found out, a
 * reader or share that is tied to it finds out when it is restored; else nobody does.
 */
static int find_out(struct kafka_transaction *transaction, struct ear_error *err)
{
    struct kafka *kafka = transaction->kafka;
    struct ear_error why = {EAR_NONE, ""};
    int there = -1;

    TESTPOINT("kafka.in-doubt");
    kafka_producer_recycle(kafka);
    if (kafka_producer_ready(kafka, &why) == 0) {
        there = is_there(kafka, witness(transaction), &why);
    }
    if (there == 1) {
        ear_error_clear(err);
        return 0;
    }
    if (there == 0) {
        if (err->kind == EAR_NONE || err->kind == EAR_CONFIG) {
            err->kind = EAR_RETRY;
        }
        return -1;
    }
    return ear_fail(
        err, transaction->reader != NULL || transaction->share != NULL ? EAR_RETRY : EAR_FATAL,
        "it is not known whether a transaction was committed: %.400s", why.message);
}

/* Everything between begin and commit. */
static enum kafka_verdict fill(struct kafka_transaction *transaction, struct ear_error *err)
{
    static const struct kafka_step begin = {call_begin, NULL, "begin a transaction", false};
    struct kafka_producer *producer = &transaction->kafka->producer;
    enum kafka_verdict verdict;

    producer->begun_us = clock_mono_us();
    producer->twice = false;
    producer->delivered = 0;
    producer->failed = 0;
    verdict = kafka_insist(transaction->kafka, &begin, err);
    if (verdict != KAFKA_DONE) {
        return KAFKA_LOST; /* nothing was begun that could be aborted */
    }
    TESTPOINT("kafka.begun");
    verdict = produce_all(transaction, err);
    if (verdict == KAFKA_DONE) {
        verdict = move_reader(transaction, err);
    }
    if (verdict == KAFKA_DONE) {
        verdict = move_share(transaction, err);
    }
    TESTPOINT("kafka.offsets-sent");
    return verdict;
}

static int run(struct kafka_transaction *transaction, struct ear_error *err)
{
    static const struct kafka_step commit = {call_commit, NULL, "commit a transaction", true};
    struct kafka *kafka = transaction->kafka;
    enum kafka_verdict verdict = fill(transaction, err);
    bool committing = false;

    if (verdict == KAFKA_DONE && TESTPOINT_FAILS("kafka.before-commit")) {
        ear_fail(err, EAR_RETRY, "the log cannot commit (a test says so); nothing was published");
        verdict = KAFKA_SPOILT;
    }
    if (verdict == KAFKA_DONE && !still_assigned(transaction, err)) {
        verdict = KAFKA_SPOILT;
    }
    if (verdict == KAFKA_DONE) {
        committing = true;
        verdict = kafka_insist(kafka, &commit, err);
        TESTPOINT("kafka.committed");
    }
    if (verdict == KAFKA_SPOILT && give_up(kafka) != 0) {
        verdict = KAFKA_LOST; /* if the commit had been asked for, it may have arrived */
        kafka_note_broken(kafka, err);
    }
    if (verdict == KAFKA_LOST && committing) {
        return find_out(transaction, err);
    }
    if (verdict == KAFKA_LOST || rd_kafka_outq_len(kafka->producer.client) > 0) {
        kafka_producer_recycle(kafka); /* also: it still sends from this transaction's memory */
    }
    return verdict == KAFKA_DONE ? 0 : -1;
}

/* What follows from a commit, or from none, for who is tied to it. */
static int settle(struct kafka_transaction *transaction, int result, struct ear_error *err)
{
    if (result != 0) {
        if (transaction->share != NULL) {
            const bool twice = transaction->kafka->producer.twice;

            kafka_share_void(transaction->share, twice);
            err->kind = twice ? EAR_FENCED : err->kind; /* stream_share_turn says more */
        } else if (transaction->reader == NULL && transaction->kafka->producer.twice) {
            err->kind = EAR_FENCED; /* tied to nothing: whoever publishes may let go of it */
        }
        return -1;
    }
    for (int i = 0; transaction->reader != NULL && i < transaction->places->cnt; i++) {
        const rd_kafka_topic_partition_t *place = &transaction->places->elems[i];
        struct kafka_lane *lane =
            kafka_find_lane(transaction->reader, kafka_find_full(transaction->kafka, place->topic),
                            place->partition);

        if (lane != NULL && lane->next == place->offset) {
            lane->touched = false;
        }
    }
    kafka_table_note(transaction->kafka, transaction->records, transaction->record_count);
    return transaction->share == NULL
               ? 0
               : kafka_share_committed(transaction->share, transaction->records,
                                       transaction->record_count, err);
}

/* Nothing to publish: the group's consumer moves it, which needs no transaction. */
static int move_only(struct kafka_transaction *transaction, struct ear_error *err)
{
    rd_kafka_resp_err_t code;

    if (transaction->reader == NULL || transaction->places->cnt == 0) {
        return 0;
    }
    if (!still_assigned(transaction, err)) {
        return -1;
    }
    TESTPOINT("kafka.before-move");
    code = rd_kafka_commit(transaction->reader->client, transaction->places, 0);
    for (int i = 0; i < transaction->places->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = transaction->places->elems[i].err;
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : kafka_fail(transaction->kafka, code, "move a group", err);
}

int kafka_commit(struct stream_transaction *base, struct ear_error *err)
{
    struct kafka_transaction *transaction = (struct kafka_transaction *)base;
    struct kafka *kafka = transaction->kafka;
    int64_t begun_us = clock_mono_us();
    int result;

    ear_error_clear(err);
    if (transaction->record_count == 0) {
        result = move_only(transaction, err);
    } else {
        pthread_mutex_lock(&kafka->producer.lock);
        result = kafka_producer_ready(kafka, err) == 0 ? run(transaction, err) : -1;
        pthread_mutex_unlock(&kafka->producer.lock);
        metrics_observe(kafka->metrics, "earshot_stream_transaction_duration_seconds", NULL,
                        (double)(clock_mono_us() - begun_us) / 1e6);
    }
    result = settle(transaction, result, err);
    kafka_abort(base);
    return result;
}
