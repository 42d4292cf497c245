/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sharing keys out: the members of a consumer group on the tables. The range assignor gives equal
 * partitions of topics with as many partitions to the same member; each assignment is checked for
 * it. What a member was given it restores (kafka_restore.c) and then owns: it alone writes it, and
 * what it commits is applied here, so that nothing has to be read again.
 *
 * A member that has lost a partition and does not know it yet is refused by the group: every commit
 * carries the metadata of the assignment that it wrote under, taken in the callback of that
 * assignment and kept as long as it lasts.
 */

#include "common/stream/kafka_share.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/testfault.h"
#include "common/testpoint.h"

enum { POLLS_A_ROUND = 1000, IDLE_POLL_MS = 20, ROUND_US = 20000 };

/* --- the group's callback --- */

static void forget_metadata(struct kafka_share *share)
{
    if (share->metadata != NULL) {
        rd_kafka_consumer_group_metadata_destroy(share->metadata);
    }
    share->metadata = NULL;
}

/*
 * Taken while the group gives partitions out. Of no use without a generation and a member: a commit
 * with those would not be refused by the group but let through. Both stand in the serialised form
 * alone: the mark "CGMDv2:", the generation, then the group and the member, each NUL-ended.
 */
static void keep_metadata(struct kafka_share *share)
{
    static const char mark[] = "CGMDv2:";
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(share->client);
    rd_kafka_error_t *error;
    void *bytes = NULL;
    size_t size = 0;
    int32_t generation = -1;
    bool member = false;

    forget_metadata(share);
    if (TESTFAULT("no-generation") && metadata != NULL) {
        rd_kafka_consumer_group_metadata_destroy(metadata);
        share->metadata = rd_kafka_consumer_group_metadata_new(share->group);
        return;
    }
    if (metadata == NULL) {
        return;
    }
    error = rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size);
    if (error == NULL && size > sizeof mark - 1 + sizeof generation &&
        memcmp(bytes, mark, sizeof mark - 1) == 0) {
        const char *at = (const char *)bytes + sizeof mark - 1 + sizeof generation;
        const char *end = (const char *)bytes + size;
        const char *group_end = memchr(at, '\0', (size_t)(end - at));

        memcpy(&generation, (const char *)bytes + sizeof mark - 1, sizeof generation);
        member = group_end != NULL && group_end + 1 < end && group_end[1] != '\0';
    }
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    if (bytes != NULL) {
        rd_kafka_mem_free(NULL, bytes);
    }
    if (generation < 0 || !member) {
        rd_kafka_consumer_group_metadata_destroy(metadata);
        return;
    }
    share->metadata = metadata;
}

static void let_go(struct kafka_share *share)
{
    for (int p = 0; p < share->partitions; p++) {
        kafka_restore_drop(share, p);
    }
    forget_metadata(share);
    share->assigned = false;
}

/* Every table's partition came, or none's. */
static int check_assignment(struct kafka_share *share, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        for (size_t t = 0; t < share->table_count; t++) {
            if (list->elems[i].partition >= share->partitions ||
                rd_kafka_topic_partition_list_find(list, share->tables[t]->full,
                                                   list->elems[i].partition) == NULL) {
                return ear_fail(&share->trouble, EAR_CONFIG,
                                "the group '%s' gave out %s/%d without the same partition of %s: "
                                "all members need partition.assignment.strategy range, and the "
                                "topics %d partitions each",
                                share->group, list->elems[i].topic, list->elems[i].partition,
                                share->tables[t]->full, share->partitions);
            }
        }
    }
    return 0;
}

static void take_assignment(struct kafka_share *share, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code;

    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    if (check_assignment(share, list) != 0) {
        rd_kafka_assign(share->client, NULL);
        return;
    }
    for (int i = 0; i < list->cnt; i++) {
        kafka_restore_begin(share, list->elems[i].partition, false);
    }
    keep_metadata(share);
    code = rd_kafka_assign(share->client, list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && list->cnt > 0) {
        code = rd_kafka_resume_partitions(share->client, list);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_fail(share->kafka, code, "take partitions over", &share->trouble);
    }
    share->assigned = true;
    TESTPOINT("kafka.share-assigned");
}

/* By its client: the opaque pointer is the stream's. */
static struct kafka_share *share_of(const struct kafka *kafka, const rd_kafka_t *client)
{
    struct kafka_share *share;

    pthread_mutex_lock(&kafka->tables->shares_lock);
    for (share = kafka->tables->shares; share != NULL && share->client != client;
         share = share->next) {
    }
    pthread_mutex_unlock(&kafka->tables->shares_lock);
    return share;
}

static void rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
                      rd_kafka_topic_partition_list_t *list, void *user)
{
    struct kafka_share *share = share_of(((const struct kafka_user *)user)->kafka, client);

    if (share == NULL) { /* never: it is enlisted from before it joins until it has left */
        rd_kafka_assign(client, NULL);
        return;
    }
    let_go(share);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_assignment(share, list);
        return;
    }
    TESTPOINT("kafka.share-revoked");
    rd_kafka_assign(client, NULL);
}

/* --- opening and closing --- */

static int check_tables(struct kafka_share *share, const char *const tables[], size_t table_count,
                        struct ear_error *err)
{
    if (table_count == 0 || table_count > KAFKA_SHARE_TABLES_MAX) {
        return ear_fail(err, EAR_CONFIG, "a share has 1 to %d tables", KAFKA_SHARE_TABLES_MAX);
    }
    for (size_t i = 0; i < table_count; i++) {
        if (kafka_compacted_topic(&share->tables[i], share->kafka, tables[i], err) != 0) {
            return -1;
        }
        if (share->tables[i]->count != share->tables[0]->count) {
            return ear_fail(err, EAR_CONFIG,
                            "topics that are shared out together have as many partitions: %s has "
                            "%d, %s has %d",
                            share->tables[0]->full, share->tables[0]->count, share->tables[i]->full,
                            share->tables[i]->count);
        }
    }
    share->table_count = table_count;
    share->partitions = share->tables[0]->count;
    return 0;
}

static int make_member(struct kafka_share *share, struct ear_error *err)
{
    rd_kafka_conf_t *conf = kafka_conf(share->kafka, KAFKA_MEMBER, err);

    /* The lag of a former owner's commit is waited for here: soon is better than seldom. */
    if (conf == NULL || kafka_set(conf, "group.id", share->group, err) != 0 ||
        kafka_set(conf, "fetch.wait.max.ms", "50", err) != 0 ||
        kafka_set(conf, "enable.partition.eof", "true", err) != 0) {
        if (conf != NULL) {
            rd_kafka_conf_destroy(conf);
        }
        return -1;
    }
    rd_kafka_conf_set_rebalance_cb(conf, rebalance);
    if (kafka_make(&share->client, share->kafka, RD_KAFKA_CONSUMER, conf, err) != 0) {
        return -1;
    }
    return 0;
}

static int join(struct kafka_share *share, struct ear_error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)share->table_count);
    rd_kafka_resp_err_t code;

    for (size_t i = 0; i < share->table_count; i++) {
        rd_kafka_topic_partition_list_add(list, share->tables[i]->full, RD_KAFKA_PARTITION_UA);
    }
    code = rd_kafka_subscribe(share->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0
                                              : kafka_fail(share->kafka, code, "join a group", err);
}

static void enlist(struct kafka_share *share, struct kafka_tables *tables)
{
    pthread_mutex_lock(&tables->shares_lock);
    share->next = tables->shares;
    tables->shares = share;
    pthread_mutex_unlock(&tables->shares_lock);
}

static void delist(struct kafka_share *share)
{
    struct kafka_tables *tables = share->kafka->tables;

    if (tables == NULL) {
        return;
    }
    pthread_mutex_lock(&tables->shares_lock);
    for (struct kafka_share **at = &tables->shares; *at != NULL; at = &(*at)->next) {
        if (*at == share) {
            *at = share->next;
            break;
        }
    }
    pthread_mutex_unlock(&tables->shares_lock);
}

int kafka_share_open(struct stream_share **out, struct stream *stream, const char *group,
                     const char *const tables[], size_t table_count, struct ear_error *err)
{
    struct kafka_share *share = calloc(1, sizeof *share);
    struct kafka_tables *all;
    int result = -1;

    if (share == NULL) {
        return ear_fail_memory(err, "a share of the log");
    }
    share->base.backend = stream->backend;
    share->kafka = (struct kafka *)stream;
    pthread_mutex_init(&share->lock, NULL);
    all = kafka_tables_of(share->kafka, err);
    if (all == NULL || check_tables(share, tables, table_count, err) != 0) {
        goto done;
    }
    share->group = kafka_full_group(share->kafka, group, err);
    share->parts = calloc((size_t)share->partitions, sizeof *share->parts);
    if (share->group == NULL || share->parts == NULL) {
        ear_fail_memory(err, "a share of the log");
        goto done;
    }
    for (int p = 0; p < share->partitions; p++) {
        for (size_t i = 0; i < table_count; i++) {
            share->parts[p].lanes[i].entries.budget = SIZE_MAX;
            share->parts[p].lanes[i].entries.retention_us = share->tables[i]->retention_us;
        }
    }
    if (make_member(share, err) != 0) {
        goto done;
    }
    enlist(share, all);
    if (join(share, err) != 0) {
        goto done;
    }
    *out = &share->base;
    share = NULL;
    result = 0;

done:
    if (share != NULL) {
        kafka_share_close(&share->base);
    }
    return result;
}

void kafka_share_close(struct stream_share *base)
{
    struct kafka_share *share = (struct kafka_share *)base;

    if (share->client != NULL) {
        rd_kafka_consumer_close(share->client); /* leaves; the callback lets go */
        rd_kafka_destroy(share->client);
    }
    delist(share);
    for (int p = 0; p < share->partitions && share->parts != NULL; p++) {
        for (size_t i = 0; i < share->table_count; i++) {
            kafka_entries_clear(&share->parts[p].lanes[i].entries);
        }
    }
    free(share->parts);
    free(share->group);
    forget_metadata(share);
    pthread_mutex_destroy(&share->lock);
    free(share);
}

/* --- a turn --- */

/* Takes what has come; waits up to timeout_ms for the first. 1: something came. */
static int poll_round(struct kafka_share *share, int timeout_ms, struct ear_error *err)
{
    int result = 0;
    int count = 0;

    for (; count < POLLS_A_ROUND && result == 0; count++) {
        rd_kafka_message_t *raw =
            rd_kafka_consumer_poll(share->client, count == 0 ? timeout_ms : 0);

        if (raw == NULL) {
            break;
        }
        result = kafka_restore_take(share, raw, err);
        rd_kafka_message_destroy(raw);
    }
    if (result == 0 && share->trouble.kind != EAR_NONE) {
        *err = share->trouble;
        ear_error_clear(&share->trouble);
        result = -1;
    }
    return result != 0 ? result : count > 0;
}

static int serve(struct kafka_share *share, int timeout_ms, struct ear_error *err)
{
    const int64_t began_us = clock_mono_us();
    const int64_t until_us = began_us + (int64_t)timeout_ms * 1000;
    int64_t left_us = timeout_ms > 0 ? until_us - began_us : 0;

    for (;;) {
        const bool busy = kafka_restore_busy(share);
        const int64_t most_us = busy ? IDLE_POLL_MS * INT64_C(1000) : INT64_C(1000000);
        int came;
        bool asked;

        kafka_restore_seek(share);
        came = poll_round(share, (int)((left_us < most_us ? left_us : most_us) / 1000), err);
        if (came < 0) {
            return -1;
        }
        asked = kafka_restore_ask(share);
        if (kafka_restore_own(share, err) != 0) {
            return -1;
        }
        left_us = until_us - clock_mono_us();
        if (share->changed ||
            (left_us <= 0 && ((came == 0 && !asked) || clock_mono_us() - began_us > ROUND_US))) {
            return 0;
        }
        left_us = left_us > 0 && !asked ? left_us : 0;
    }
}

int kafka_share_turn(struct stream_share *base, int timeout_ms, bool *changed,
                     struct ear_error *err)
{
    struct kafka_share *share = (struct kafka_share *)base;

    *changed = false;
    if (share->twice) {
        return ear_fail(err, EAR_FENCED,
                        "another process writes as '%s': the instance is used twice; give each "
                        "process its own stream.instance",
                        share->kafka->transactional_id);
    }
    if (serve(share, timeout_ms, err) != 0) {
        return -1;
    }
    *changed = share->changed;
    share->changed = false;
    return 0;
}

/* --- what is owned --- */

static int part_of(const struct kafka_share *share, const char *key, size_t key_length)
{
    return stream_partition_of(share->tables[0]->by_prefix, key, key_length, share->partitions);
}

int64_t kafka_share_owns(const struct stream_share *base, const char *key, size_t key_length)
{
    const struct kafka_share *share = (const struct kafka_share *)base;
    const struct kafka_share_part *part = &share->parts[part_of(share, key, key_length)];

    return part->state == KAFKA_SHARE_OWNED ? part->epoch : 0;
}

bool kafka_share_settling(const struct stream_share *base)
{
    const struct kafka_share *share = (const struct kafka_share *)base;

    return !share->assigned || kafka_restore_busy(share);
}

/* --- a transaction of an owner --- */

int kafka_share_guard(struct stream_transaction *transaction, struct stream_share *base,
                      struct ear_error *err)
{
    (void)err;
    kafka_transaction_tie(transaction, (struct kafka_share *)base);
    return 0;
}

int kafka_share_offsets(struct kafka_share *share, const struct kafka_record records[],
                        size_t count, rd_kafka_topic_partition_list_t *list, struct ear_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct kafka_record *record = &records[i];
        rd_kafka_topic_partition_t *element;

        if (kafka_share_table(share, record->topic) < 0) {
            continue;
        }
        if (share->parts[record->partition].state != KAFKA_SHARE_OWNED) {
            return ear_fail(err, EAR_FENCED, "%s/%d belongs to another member of '%s' now",
                            record->topic->full, record->partition, share->group);
        }
        element = rd_kafka_topic_partition_list_find(list, record->topic->full, record->partition);
        if (element == NULL) {
            element =
                rd_kafka_topic_partition_list_add(list, record->topic->full, record->partition);
            element->offset = -1;
        }
        if (record->offset + 1 > element->offset) {
            element->offset = record->offset + 1;
        }
    }
    return 0;
}

const rd_kafka_consumer_group_metadata_t *kafka_share_metadata(struct kafka_share *share,
                                                               struct ear_error *err)
{
    if (share->metadata == NULL) {
        ear_fail(err, EAR_FENCED, "this process is no member of the group '%s' now", share->group);
        return NULL;
    }
    return share->metadata;
}

int kafka_share_committed(struct kafka_share *share, const struct kafka_record records[],
                          size_t count, struct ear_error *err)
{
    int result = 0;

    pthread_mutex_lock(&share->lock);
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct kafka_record *record = &records[i];
        const int table = kafka_share_table(share, record->topic);
        struct stream_message message = {.offset = record->offset,
                                         .at_us = record->at_us,
                                         .key = record->key,
                                         .key_length = record->key_length,
                                         .value = record->value,
                                         .value_length = record->value_length};

        if (table >= 0 && share->parts[record->partition].state == KAFKA_SHARE_OWNED) {
            result =
                kafka_entries_put(&share->parts[record->partition].lanes[table].entries, &message);
        }
    }
    pthread_mutex_unlock(&share->lock);
    if (result != 0) {
        kafka_share_void(share, false); /* what is committed is read again */
        return ear_fail_memory(err, "what a shared partition holds");
    }
    return 0;
}

void kafka_share_void(struct kafka_share *share, bool twice)
{
    share->twice = share->twice || twice;
    for (int p = 0; p < share->partitions; p++) {
        if (share->parts[p].state != KAFKA_SHARE_NONE) {
            kafka_restore_begin(share, p, true);
        }
    }
}
