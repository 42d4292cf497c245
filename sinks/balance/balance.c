/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rounds. A reader has passed an end when its position is there, or when nothing that it could
 * read lies in between: Kafka's markers take offsets, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "common/settings/settings.h"
#include "sinks/apply/apply.h"
#include "sinks/balance/balance_internal.h"

enum {
    ROUND_LEAST_S = 5, /* between two rounds */
    ROUND_SHARE = 20,  /* a round takes at most so small a part of the time */
    EXPIRE_EVERY_S = 600,
    PATIENCE_S = 15, /* for readers that are behind, once others are judged */
    PROBE_MESSAGES = 64,
    PROBE_READS = 16,
    SINCE_SIZE = 32,
};

bool balance_stands(int64_t since_us, int64_t now_us)
{
    int64_t grace_us = 45 * CLOCK_SECOND_US;
#ifdef EARSHOT_TEST_POINTS
    const char *given = getenv("EARSHOT_AUDIT_GRACE"); /* NOLINT(concurrency-mt-unsafe) */

    if (given != NULL) {
        grace_us = strtoll(given, NULL, 10) * CLOCK_SECOND_US;
    }
#endif
    return grace_us == 0 || now_us - since_us >= grace_us;
}

/* --- opening --- */

static int64_t hour_of(int64_t at_us)
{
    return at_us - at_us % CLOCK_HOUR_US;
}

/* True if a store before this one has read insights already. */
static int is_successor(bool *out, struct stream *stream, struct ear_error *err)
{
    int partitions = stream_partitions(stream, "insights");

    *out = false;
    for (int i = 0; i < partitions && !*out; i++) {
        int64_t position = stream_group_position(stream, "sink.store", "insights", i, err);

        if (position < -1) {
            return -1;
        }
        *out = position > 0;
    }
    return 0;
}

/* A number that meta keeps as text; -1: it is not there. */
static int ask_since(int64_t *out, struct store *store, struct ear_error *err)
{
    struct store_value values[] = {store_text("ledger_since")};
    struct store_rows *rows = NULL;
    int there = -1;

    *out = -1;
    if (store_select(&rows, store, QUERY_META_GET, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        *out = strtoll(store_get_text(rows, 0, NULL), NULL, 10);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

int balance_begin(struct store *store, struct stream *stream, int64_t now_us, struct ear_error *err)
{
    char text[SINCE_SIZE];
    int64_t since_us = 0;
    bool successor = false;

    if (ask_since(&since_us, store, err) != 0) {
        return -1;
    }
    if (since_us >= 0) {
        return 0;
    }
    if (is_successor(&successor, stream, err) != 0) {
        return -1;
    }
    /* What another store counted is not here: of the hour under way there is only a part. */
    since_us = hour_of(now_us) + (successor ? CLOCK_HOUR_US : 0);
    snprintf(text, sizeof text, "%" PRId64, since_us);
    {
        struct store_value values[] = {store_text("ledger_since"), store_text(text)};

        if (store_begin(store, err) != 0 ||
            store_run(store, QUERY_META_FIRST, values, 2, err) != 0 ||
            store_commit(store, err) != 0) {
            store_rollback(store);
            return -1;
        }
    }
    return 0;
}

static void add_pair(struct balance *balance, const char *topic, const char *reader, bool sink)
{
    if (balance->pair_count < PAIRS_MAX) {
        struct pair *pair = &balance->pairs[balance->pair_count++];

        *pair = (struct pair){.topic = topic, .sink = sink, .known = sink};
        snprintf(pair->reader, sizeof pair->reader, "%s%s", sink ? "" : "process.", reader);
    }
}

int balance_new(struct balance **out, const struct balance_config *config, struct ear_error *err)
{
    struct balance *balance = calloc(1, sizeof *balance);

    if (balance == NULL) {
        return ear_fail_memory(err, "the audit");
    }
    balance->config = *config;
    balance->audit = (struct pair){.topic = "audit", .sink = true, .known = true};
    add_pair(balance, "insights", "sink.store", true);
    for (size_t i = 0; i < config->settings->processor_count; i++) {
        const struct settings_processor *processor = &config->settings->processors[i];

        add_pair(balance, processor->from, processor->name, false);
    }
    *out = balance;
    return 0;
}

static void clear_entries(struct balance *balance)
{
    for (size_t i = 0; i < balance->entry_count; i++) {
        free(balance->entries[i].source);
    }
    balance->entry_count = 0;
}

void balance_free(struct balance *balance)
{
    if (balance != NULL) {
        clear_entries(balance);
        free(balance);
    }
}

/* --- the first look --- */

/* A reader is known from the first count of its own on; what was written earlier and is gone is
 * none of its. */
static int know_reader(struct pair *pair, struct store *store, int64_t now_us,
                       struct ear_error *err)
{
    struct store_value reader[] = {store_text(pair->reader)};
    struct store_value since[] = {store_text(pair->reader), store_integer(hour_of(now_us))};
    int64_t one = 0;

    if (pair->known) {
        return 0;
    }
    if (store_ask_integer(&one, &pair->known, store, QUERY_LEDGER_READER_SEEN, reader, 1, err) !=
        0) {
        return -1;
    }
    if (!pair->known) {
        return 0;
    }
    if (store_begin(store, err) != 0 ||
        store_run(store, QUERY_LEDGER_READER_ADD, since, 2, err) != 0 ||
        store_commit(store, err) != 0) {
        store_rollback(store);
        pair->known = false;
        return -1;
    }
    return 0;
}

static int take_entry(struct balance *balance, struct pair *pair, const struct store_rows *rows,
                      struct ear_error *err)
{
    struct entry *entry = &balance->entries[balance->entry_count];

    *entry = (struct entry){.pair = pair,
                            .hour_us = store_get_integer(rows, 0),
                            .source = strdup(store_get_text(rows, 1, NULL)),
                            .wrote = store_get_integer(rows, 2),
                            .came = store_get_integer(rows, 3),
                            .went = store_get_integer(rows, 4)};
    if (entry->source == NULL) {
        return ear_fail_memory(err, "the audit");
    }
    balance->entry_count++;
    pair->open = true;
    return 0;
}

static int look_at(struct balance *balance, struct pair *pair, struct store *store,
                   int64_t since_us, struct ear_error *err)
{
    struct store_value values[] = {store_text(pair->topic), store_text(pair->reader),
                                   store_integer(since_us), store_integer(ENTRIES_MAX)};
    struct store_rows *rows = NULL;
    int there = 0;

    pair->open = false;
    if (!pair->known) {
        return 0;
    }
    if (store_select(&rows, store, QUERY_LEDGER_OPEN, values, 4, err) != 0) {
        return -1;
    }
    while (balance->entry_count < ENTRIES_MAX && (there = store_next(rows, err)) == 1) {
        if (take_entry(balance, pair, rows, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* Where a topic ends now: what a reader has to pass. */
static int note_ends(struct balance *balance, struct pair *pair, struct ear_error *err)
{
    int partitions = stream_partitions(balance->config.stream, pair->topic);

    for (int i = 0; i < STREAM_PARTITIONS_MAX; i++) {
        struct stream_span span = {0};

        pair->ends[i] = -1;
        if (i >= partitions) {
            continue;
        }
        if (stream_span(balance->config.stream, pair->topic, i, &span, err) != 0) {
            return -1;
        }
        pair->ends[i] = span.end > span.earliest ? span.end : -1;
    }
    return 0;
}

static int look(struct balance *balance, struct store *store, int64_t now_us, struct ear_error *err)
{
    int64_t since_us = 0;
    const int64_t oldest_us = hour_of(now_us - APPLY_LEDGER_US) + CLOCK_HOUR_US;

    clear_entries(balance);
    if (ask_since(&since_us, store, err) != 0) {
        return -1;
    }
    since_us = since_us > oldest_us ? since_us : oldest_us;
    for (size_t i = 0; i < balance->pair_count; i++) {
        if (know_reader(&balance->pairs[i], store, now_us, err) != 0 ||
            look_at(balance, &balance->pairs[i], store, since_us, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < balance->pair_count && balance->entry_count > 0; i++) {
        if (balance->pairs[i].open && note_ends(balance, &balance->pairs[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- waiting --- */

static int position_of(int64_t *out, struct balance *balance, const struct pair *pair,
                       int partition, struct store *store, struct ear_error *err)
{
    struct store_value values[] = {store_text(pair->topic), store_integer(partition)};
    bool found = false;

    if (pair->sink) {
        if (store_ask_integer(out, &found, store, QUERY_POSITION_OF, values, 2, err) != 0) {
            return -1;
        }
        *out = found ? *out : -1;
        return 0;
    }
    *out = stream_group_position(balance->config.stream, pair->reader, pair->topic, partition, err);
    return *out < -1 ? -1 : 0;
}

/* Marks as passed what has no message between a position and the end. Never waits: what cannot be
 * told in a few reads is told another time. */
static int probe(struct balance *balance, struct pair *pair, const int64_t positions[],
                 struct ear_error *err)
{
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    bool there[STREAM_PARTITIONS_MAX] = {false};
    int result = stream_follow(&reader, balance->config.stream, pair->topic, INT64_MAX, err);
    bool end = false;

    for (int i = 0; i < STREAM_PARTITIONS_MAX && result == 0; i++) {
        if (pair->ends[i] >= 0 && positions[i] >= 0) {
            result = stream_seek(reader, pair->topic, i, positions[i], err);
        }
    }
    for (int reads = 0; reads < PROBE_READS && !end && result == 0; reads++) {
        result = stream_read(reader, &batch, PROBE_MESSAGES, STREAM_MESSAGE_MAX, 0, err);
        end = result == 0 && batch.count == 0;
        for (size_t i = 0; i < batch.count && result == 0; i++) {
            const struct stream_message *message = &batch.messages[i];

            there[message->partition] |= message->offset < pair->ends[message->partition];
        }
    }
    for (int i = 0; i < STREAM_PARTITIONS_MAX && end; i++) {
        if (positions[i] >= 0 && !there[i]) {
            pair->ends[i] = -1;
        }
    }
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    return result;
}

/* *out: the reader is past the ends that were noted. */
static int has_passed(bool *out, struct balance *balance, struct pair *pair, struct store *store,
                      struct ear_error *err)
{
    int64_t positions[STREAM_PARTITIONS_MAX];
    bool gap = false;

    *out = true;
    for (int i = 0; i < STREAM_PARTITIONS_MAX; i++) {
        positions[i] = -1;
        if (pair->ends[i] < 0) {
            continue;
        }
        if (position_of(&positions[i], balance, pair, i, store, err) != 0) {
            return -1;
        }
        pair->ends[i] = positions[i] >= pair->ends[i] ? -1 : pair->ends[i];
        gap = gap || (pair->ends[i] >= 0 && positions[i] >= 0);
    }
    if (gap && probe(balance, pair, positions, err) != 0) {
        return -1;
    }
    for (int i = 0; i < STREAM_PARTITIONS_MAX; i++) {
        *out = *out && pair->ends[i] < 0;
    }
    return 0;
}

/* *out: each reader is past the ends; or the first are, and the others have far to go: these are
 * judged another time. */
static int have_passed(bool *out, struct balance *balance, struct store *store,
                       struct ear_error *err)
{
    bool late = clock_mono_us() - balance->began_us > PATIENCE_S * CLOCK_SECOND_US;
    bool any = false;

    *out = true;
    for (size_t i = 0; i < balance->pair_count; i++) {
        struct pair *pair = &balance->pairs[i];

        pair->judged = true;
        if (pair->open && has_passed(&pair->judged, balance, pair, store, err) != 0) {
            return -1;
        }
        any = any || (pair->open && pair->judged);
        *out = *out && pair->judged;
    }
    *out = *out || (late && any);
    return 0;
}

/* --- a round --- */

static int expire(struct balance *balance, struct store *store, int64_t now_us,
                  struct ear_error *err)
{
    /* A day longer than is counted: nobody adds to these rows any more. */
    struct store_value values[] = {store_integer(now_us - APPLY_LEDGER_US - CLOCK_DAY_US)};
    int64_t mono_us = clock_mono_us();

    if (balance->expired_us != 0 &&
        mono_us - balance->expired_us < EXPIRE_EVERY_S * CLOCK_SECOND_US) {
        return 0;
    }
    balance->expired_us = mono_us;
    if (store_begin(store, err) != 0 ||
        store_run(store, QUERY_LEDGER_EXPIRE, values, 1, err) != 0 ||
        store_commit(store, err) != 0) {
        store_rollback(store);
        return -1;
    }
    return 0;
}

static int begin_round(struct balance *balance, struct store *store, int64_t now_us,
                       struct ear_error *err)
{
    balance->began_us = clock_mono_us();
    if (expire(balance, store, now_us, err) != 0 || look(balance, store, now_us, err) != 0) {
        return -1;
    }
    balance->next_us = clock_mono_us() + ROUND_LEAST_S * CLOCK_SECOND_US +
                       ROUND_SHARE * (clock_mono_us() - balance->began_us);
    balance->phase = balance->entry_count == 0 ? PHASE_AUDIT : PHASE_DATA;
    memset(balance->audit.ends, -1, sizeof balance->audit.ends);
    for (size_t i = 0; i < balance->pair_count; i++) {
        balance->pairs[i].judged = !balance->pairs[i].open;
    }
    return 0;
}

static int step(struct balance *balance, struct store *store, int64_t now_us, bool *done,
                struct ear_error *err)
{
    bool passed = false;

    if (balance->phase == PHASE_IDLE && begin_round(balance, store, now_us, err) != 0) {
        return -1;
    }
    if (balance->phase == PHASE_DATA) {
        if (have_passed(&passed, balance, store, err) != 0) {
            return -1;
        }
        if (!passed) {
            return 0;
        }
        if (note_ends(balance, &balance->audit, err) != 0) {
            return -1;
        }
        balance->phase = PHASE_AUDIT;
    }
    if (has_passed(&passed, balance, &balance->audit, store, err) != 0) {
        return -1;
    }
    if (passed) {
        balance->phase = PHASE_IDLE;
        *done = true;
        return differences_settle(balance, store, now_us, err);
    }
    return 0;
}

int balance_turn(struct balance *balance, struct store *store, int64_t now_us, bool all, bool *done,
                 struct ear_error *err)
{
    *done = false;
    if (balance->phase == PHASE_IDLE && !all && clock_mono_us() < balance->next_us) {
        return 0;
    }
    if (step(balance, store, now_us, done, err) != 0) {
        balance->phase = PHASE_IDLE;
        return -1;
    }
    return 0;
}
