/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walking a compacted topic as a table, by a consumer of its own, so that whoever is called may
 * look up meanwhile. Partition by partition: one pass finds the latest message of every key, with
 * its value as far as WALK_BUDGET goes; then those are told; what had to stay in the log is told by
 * a second pass. A message that the cleaner takes between the passes was superseded by one behind
 * it, so the second pass goes on until nothing is missing or nothing more comes.
 */

#include "common/stream/kafka_table.h"

enum { WALK_BUDGET = 32 * 1024 * 1024 };

struct walk {
    struct kafka *kafka;
    struct kafka_scanner scanner;
    struct kafka_entries entries;
    struct kafka_topic *topic;
    int partition;
    bool (*visit)(void *user, const struct stream_message *message);
    void *user;
    bool enough;
};

static int take_latest(void *user, const struct stream_message *message, struct ear_error *err)
{
    struct walk *walk = user;

    return message->key == NULL || kafka_entries_put(&walk->entries, message) == 0
               ? 0
               : ear_fail_memory(err, "the keys of a topic");
}

/* Second pass: a message is told if its key is still missing; then it is not missing any more. */
static int take_missing(void *user, const struct stream_message *message, struct ear_error *err)
{
    struct walk *walk = user;
    const struct kafka_entry *entry =
        message->key == NULL
            ? NULL
            : kafka_entries_find(&walk->entries, message->key, message->key_length);
    struct stream_message end = *message;

    if (entry == NULL || message->offset < entry->offset) {
        return 0;
    }
    end.value = NULL;
    if (kafka_entries_put(&walk->entries, &end) != 0) {
        return ear_fail_memory(err, "the keys of a topic");
    }
    walk->enough = message->value != NULL && !walk->visit(walk->user, message);
    return walk->enough || walk->entries.count == 0 ? 1 : 0;
}

/* What is in memory is told. Returns how many are not. */
static size_t tell_held(struct walk *walk)
{
    size_t missing = 0;

    for (size_t i = 0; i < walk->entries.capacity && !walk->enough; i++) {
        struct kafka_entry *entry = walk->entries.slots[i];

        if (entry == NULL) {
            continue;
        }
        if (entry->placed) {
            missing++;
            continue;
        }
        walk->enough =
            !walk->visit(walk->user, &(struct stream_message){.topic = walk->topic->name,
                                                              .partition = walk->partition,
                                                              .offset = entry->offset,
                                                              .at_us = entry->at_us,
                                                              .key = entry->bytes,
                                                              .key_length = entry->key_length,
                                                              .value = kafka_entry_value(entry),
                                                              .value_length = entry->value_length});
        entry->offset = INT64_MAX; /* no message is later: told */
    }
    return walk->enough ? 0 : missing;
}

static int tell_missing(struct walk *walk, struct kafka_stretch *stretch, size_t missing,
                        struct ear_error *err)
{
    size_t told = walk->entries.count - missing;

    stretch->take = take_missing;
    for (;;) {
        const int64_t before = stretch->position;

        if (kafka_scan(&walk->scanner, stretch, err) != 0) {
            return -1;
        }
        if (walk->enough || walk->entries.count <= told || stretch->position == before) {
            return 0;
        }
        if (kafka_end_of(walk->kafka, walk->topic, walk->partition, &stretch->end, err) != 0) {
            return -1;
        }
    }
}

static int walk_partition(struct walk *walk, struct ear_error *err)
{
    struct kafka_stretch stretch = {
        .topic = walk->topic, .partition = walk->partition, .take = take_latest, .user = walk};
    int64_t begin = 0;
    size_t missing;

    if (kafka_settled_end(walk->kafka, walk->topic, walk->partition, &stretch.end, err) != 0 ||
        kafka_begin_of(walk->kafka, walk->topic, walk->partition, &begin, err) != 0) {
        return -1;
    }
    stretch.position = begin;
    if (kafka_scan(&walk->scanner, &stretch, err) != 0) {
        return -1;
    }
    missing = tell_held(walk);
    if (missing > 0) {
        stretch.position = begin;
        return tell_missing(walk, &stretch, missing, err);
    }
    return 0;
}

int kafka_each_latest(struct stream *stream, const char *name,
                      bool (*visit)(void *user, const struct stream_message *message), void *user,
                      struct ear_error *err)
{
    struct walk walk = {.kafka = (struct kafka *)stream,
                        .entries = {.budget = WALK_BUDGET},
                        .visit = visit,
                        .user = user};
    int result = 0;

    if (kafka_compacted_topic(&walk.topic, walk.kafka, name, err) != 0 ||
        kafka_scanner_open(&walk.scanner, walk.kafka, err) != 0) {
        return -1;
    }
    for (; walk.partition < walk.topic->count && result == 0 && !walk.enough; walk.partition++) {
        result = walk_partition(&walk, err);
        kafka_entries_clear(&walk.entries);
    }
    kafka_scanner_close(&walk.scanner);
    return result;
}
