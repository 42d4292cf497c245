/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Restoring a partition before owning it. Each step was bought with a failure:
 *
 *  1. It is read from its BEGINNING, and resumed: a pause outlives a rebalance.
 *  2. The group is asked what its former owners committed, one partition a question, 300 ms at
 *     most, the consumer polled between. No answer means that a transaction of a former owner is
 *     pending: ask again, never go on without.
 *  3. It is read until the position has reached that committed offset. An open transaction of a
 *     former owner that has lost the partition hides what was committed behind it: the last stable
 *     offset, and so the end of the partition, may lie before the committed offset, and what is
 *     between them is the newest cursors.
 *  4. Read on to the last stable offset where that is further: what nobody in the group wrote.
 *  5. Only then it is owned, and paused: from here on only its owner writes it.
 */

#include "common/clock.h"
#include "common/stream/kafka_share.h"
#include "common/testfault.h"
#include "common/testpoint.h"

enum { ASK_MS = 300, SEEK_MS = 5000 };

/* Longer than a transaction may stay open anywhere (transaction.max.timeout.ms, 15 minutes). */
static const int64_t HOPELESS_US = 16 * CLOCK_MINUTE_US;

static void empty_part(struct kafka_share *share, struct kafka_share_part *part)
{
    for (size_t i = 0; i < share->table_count; i++) {
        struct kafka_share_lane *lane = &part->lanes[i];

        kafka_entries_clear(&lane->entries);
        lane->position = 0;
        lane->target = -1;
    }
}

void kafka_restore_begin(struct kafka_share *share, int partition, bool seek)
{
    struct kafka_share_part *part = &share->parts[partition];

    pthread_mutex_lock(&share->lock);
    share->changed = share->changed || part->state == KAFKA_SHARE_OWNED;
    empty_part(share, part);
    part->state = KAFKA_SHARE_RESTORING;
    part->seek = seek;
    part->since_mono_us = clock_mono_us();
    pthread_mutex_unlock(&share->lock);
}

void kafka_restore_drop(struct kafka_share *share, int partition)
{
    struct kafka_share_part *part = &share->parts[partition];

    pthread_mutex_lock(&share->lock);
    share->changed = share->changed || part->state == KAFKA_SHARE_OWNED;
    empty_part(share, part);
    part->state = KAFKA_SHARE_NONE;
    pthread_mutex_unlock(&share->lock);
}

bool kafka_restore_busy(const struct kafka_share *share)
{
    for (int p = 0; p < share->partitions; p++) {
        if (share->parts[p].state == KAFKA_SHARE_RESTORING) {
            return true;
        }
    }
    return false;
}

/* The partition of every table. */
static rd_kafka_topic_partition_list_t *list_of(const struct kafka_share *share, int partition)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)share->table_count);

    for (size_t i = 0; i < share->table_count; i++) {
        rd_kafka_topic_partition_list_add(list, share->tables[i]->full, partition)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    return list;
}

/* A seek that fails is tried again at the next turn; until then nothing is taken. */
void kafka_restore_seek(struct kafka_share *share)
{
    for (int p = 0; p < share->partitions; p++) {
        rd_kafka_topic_partition_list_t *list;
        rd_kafka_error_t *error;
        bool done;

        if (share->parts[p].state != KAFKA_SHARE_RESTORING || !share->parts[p].seek) {
            continue;
        }
        list = list_of(share, p);
        done = rd_kafka_resume_partitions(share->client, list) == RD_KAFKA_RESP_ERR_NO_ERROR;
        error = rd_kafka_seek_partitions(share->client, list, SEEK_MS);
        for (int i = 0; i < list->cnt; i++) {
            done = done && list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        share->parts[p].seek = error != NULL || !done;
        if (error != NULL) {
            rd_kafka_error_destroy(error);
        }
        rd_kafka_topic_partition_list_destroy(list);
    }
}

/* --- reading --- */

static struct kafka_share_lane *lane_of(struct kafka_share *share, const rd_kafka_message_t *raw,
                                        size_t *table)
{
    const char *full = raw->rkt == NULL ? NULL : rd_kafka_topic_name(raw->rkt);
    const struct kafka_topic *topic = full == NULL ? NULL : kafka_find_full(share->kafka, full);

    for (size_t i = 0; i < share->table_count && topic != NULL; i++) {
        if (share->tables[i] == topic && raw->partition >= 0 &&
            raw->partition < share->partitions &&
            share->parts[raw->partition].state == KAFKA_SHARE_RESTORING &&
            !share->parts[raw->partition].seek) {
            *table = i;
            return &share->parts[raw->partition].lanes[i];
        }
    }
    return NULL;
}

static int take_message(struct kafka_share *share, const rd_kafka_message_t *raw,
                        struct ear_error *err)
{
    struct stream_message message;
    struct kafka_share_lane *lane;
    size_t table = 0;
    int result = 0;

    lane = lane_of(share, raw, &table);
    if (lane == NULL) {
        return 0;
    }
    message = kafka_message(share->tables[table], raw);
    if (message.key != NULL && !kafka_is_roll(message.key, message.key_length)) {
        pthread_mutex_lock(&share->lock);
        result = kafka_entries_put(&lane->entries, &message);
        pthread_mutex_unlock(&share->lock);
    }
    if (result != 0) {
        return ear_fail_memory(err, "what a shared partition holds");
    }
    lane->position = raw->offset + 1 > lane->position ? raw->offset + 1 : lane->position;
    return 0;
}

int kafka_restore_take(struct kafka_share *share, const rd_kafka_message_t *raw,
                       struct ear_error *err)
{
    struct kafka_share_lane *lane;
    size_t table = 0;

    switch (raw->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return take_message(share, raw, err);
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        lane = lane_of(share, raw, &table);
        if (lane != NULL && raw->offset > lane->position) {
            lane->position = raw->offset;
        }
        return 0;
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED: /* left the group; the revocation comes by itself */
        return 0;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: /* cut below what was being read: once more */
        lane = lane_of(share, raw, &table);
        if (lane != NULL) {
            kafka_restore_begin(share, raw->partition, true);
        }
        return 0;
    default:
        if (kafka_unknown(raw->err)) {
            return kafka_confirm_topics(share->kafka, err);
        }
        return kafka_kind_of(raw->err) == EAR_RETRY
                   ? 0
                   : kafka_fail(share->kafka, raw->err, "share the sources out", err);
    }
}

/* --- how far --- */

/* What the group committed there; -1: nothing yet. Returns whether it is known. */
static bool ask_committed(struct kafka_share *share, const char *full, int partition,
                          int64_t *committed)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    bool known;

    rd_kafka_topic_partition_list_add(list, full, partition);
    known = rd_kafka_committed(share->client, list, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            list->elems[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    *committed = list->elems[0].offset >= 0 ? list->elems[0].offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return known;
}

static void ask_lane(struct kafka_share *share, int partition, size_t table)
{
    const struct kafka_topic *topic = share->tables[table];
    struct kafka_share_lane *lane = &share->parts[partition].lanes[table];
    struct ear_error away = {0};
    int64_t committed = -1;
    int64_t stable = 0;

    if (!ask_committed(share, topic->full, partition, &committed) ||
        kafka_end_of(share->kafka, topic, partition, &stable, &away) != 0) {
        share->ask_mono_us = clock_mono_us() + ASK_MS * INT64_C(1000);
        return;
    }
    if (committed > stable) {
        TESTPOINT("kafka.share-hidden");
    }
    lane->target = committed > stable && !TESTFAULT("restore-to-lso") ? committed : stable;
}

bool kafka_restore_ask(struct kafka_share *share)
{
    const int tables = (int)share->table_count;
    const int lanes = share->partitions * tables;

    if (clock_mono_us() < share->ask_mono_us) {
        return false;
    }
    for (int i = 0; i < lanes; i++) {
        const int at = (share->ask + i) % lanes;
        const struct kafka_share_part *part = &share->parts[at / tables];

        if (part->state == KAFKA_SHARE_RESTORING && part->lanes[at % tables].target < 0) {
            share->ask = at + 1;
            ask_lane(share, at / tables, (size_t)(at % tables));
            return true;
        }
    }
    return false;
}

/* --- owning --- */

static int check_hope(const struct kafka_share *share, int partition, size_t table,
                      struct ear_error *err)
{
    const struct kafka_share_part *part = &share->parts[partition];
    const struct kafka_share_lane *lane = &part->lanes[table];

    if (lane->target < 0 || clock_mono_us() - part->since_mono_us < HOPELESS_US) {
        return 0;
    }
    return ear_fail(err, EAR_CONFIG,
                    "the group '%s' has committed %s/%d up to %lld, but it holds nothing behind "
                    "%lld: what is missing was lost or deleted on the broker, and with it what was "
                    "collected last; see to the topic, or forget the group to go on without",
                    share->group, share->tables[table]->full, partition, (long long)lane->target,
                    (long long)lane->position);
}

static bool restored(const struct kafka_share *share, const struct kafka_share_part *part)
{
    for (size_t i = 0; i < share->table_count; i++) {
        if (part->lanes[i].target < 0 || part->lanes[i].position < part->lanes[i].target) {
            return false;
        }
    }
    return !part->seek;
}

static int own(struct kafka_share *share, int partition, struct ear_error *err)
{
    struct kafka_share_part *part = &share->parts[partition];
    rd_kafka_topic_partition_list_t *list = list_of(share, partition);
    const rd_kafka_resp_err_t code = rd_kafka_pause_partitions(share->client, list);

    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_fail(share->kafka, code, "pause a partition that is owned", err);
    }
    TESTPOINT("kafka.share-restored");
    pthread_mutex_lock(&share->lock);
    part->state = KAFKA_SHARE_OWNED;
    part->epoch = ++share->epochs;
    share->changed = true;
    pthread_mutex_unlock(&share->lock);
    return 0;
}

int kafka_restore_own(struct kafka_share *share, struct ear_error *err)
{
    for (int p = 0; p < share->partitions; p++) {
        if (share->parts[p].state != KAFKA_SHARE_RESTORING) {
            continue;
        }
        if (restored(share, &share->parts[p])) {
            if (own(share, p, err) != 0) {
                return -1;
            }
            continue;
        }
        for (size_t i = 0; i < share->table_count; i++) {
            if (check_hope(share, p, i, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* --- what is held --- */

int kafka_share_table(const struct kafka_share *share, const struct kafka_topic *topic)
{
    for (size_t i = 0; i < share->table_count; i++) {
        if (share->tables[i] == topic) {
            return (int)i;
        }
    }
    return -1;
}

static int look(struct kafka_share *share, int table, int partition, const char *key,
                size_t key_length, char **out, size_t *out_length, struct ear_error *err)
{
    const struct kafka_entry *entry;
    int found = 2;

    pthread_mutex_lock(&share->lock);
    if (share->parts[partition].state == KAFKA_SHARE_OWNED) {
        entry = kafka_entries_find(&share->parts[partition].lanes[table].entries, key, key_length);
        found = entry == NULL ? 0
                              : kafka_copy_value(out, out_length, kafka_entry_value(entry),
                                                 entry->value_length, err);
    }
    pthread_mutex_unlock(&share->lock);
    return found;
}

int kafka_share_lookup(struct kafka_tables *tables, const struct kafka_topic *topic, int partition,
                       const char *key, size_t key_length, char **out, size_t *out_length,
                       struct ear_error *err)
{
    int found = 2;

    pthread_mutex_lock(&tables->shares_lock);
    for (struct kafka_share *share = tables->shares; share != NULL && found == 2;
         share = share->next) {
        const int table = kafka_share_table(share, topic);

        if (table >= 0) {
            found = look(share, table, partition, key, key_length, out, out_length, err);
        }
    }
    pthread_mutex_unlock(&tables->shares_lock);
    return found;
}
