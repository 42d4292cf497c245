/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A turn:
 *
 *     gather ──▶ carry (read, stages, publish) ──▶ move ──▶ commit
 *        ▲          │ a stage failed                 │ the log failed
 *        └─ rewind ◀┴────────────────────────────────┘
 *
 * Whatever fails, the transaction is aborted and the reader goes back to where its group stands, so
 * the next turn reads the same messages again (and perhaps more). What a turn must remember of a
 * failure is only how often stages failed in a row: from the third time on it carries one message
 * at a time.
 */
#include "processors/runner/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/testpoint.h"
#include "processors/runner/runner_internal.h"

enum { PAUSE_LEAST_MS = 100, PAUSE_MOST_MS = 5000, INSIGHT_MAX = 256 * 1024 };

/* --- reading --- */

static void add_items(struct runner *runner, const struct stream_batch *read)
{
    for (size_t i = 0; i < read->count; i++) {
        runner->items[runner->item_count++] = (struct item){.in = &read->messages[i]};
    }
}

/* Milliseconds until an instant of clock_mono_us, at least 0. */
static int until_ms(int64_t mono_us)
{
    int64_t left_us = mono_us - clock_mono_us();

    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

/* Reads until the batch is full, or has waited long enough since its first message. */
static int gather(struct runner *runner, struct ear_error *err)
{
    const struct settings_processor *processor = runner->config.processor;
    size_t most = (size_t)processor->batch_messages, bytes = 0;
    int64_t until_mono_us = 0;

    runner->item_count = 0;
    for (runner->read_count = 0; runner->read_count < READS_MAX;) {
        struct stream_batch *read = &runner->reads[runner->read_count];
        int wait_ms = runner->config.wait_ms;

        if (runner->read_count > 0 && wait_ms > 0) {
            wait_ms = until_ms(until_mono_us);
        }
        if (stream_read(runner->reader, read, most - runner->item_count, BATCH_BYTES - bytes,
                        wait_ms, err) != 0) {
            return -1;
        }
        if (read->count == 0) {
            break;
        }
        if (runner->read_count++ == 0) {
            until_mono_us = clock_mono_us() + processor->batch_wait_us;
        }
        bytes += read->bytes;
        add_items(runner, read);
        if (runner->item_count >= most || bytes >= BATCH_BYTES) {
            break;
        }
    }
    return 0;
}

/* --- carrying --- */

/* Carries a batch slice by slice. */
static int carry_whole(struct runner *runner, struct ear_error *err)
{
    for (size_t first = 0; first < runner->item_count; first += SLICE) {
        size_t left = runner->item_count - first;

        if (runner_carry_range(runner, first, left < SLICE ? left : SLICE, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Makes an item that fails alone a reject. */
static int reject_alone(struct runner *runner, struct item *item, const struct ear_error *fault,
                        struct ear_error *err)
{
    char code[CODE_SIZE];
    const char *reason = runner_split_code(code, fault->message,
                                           fault->kind == EAR_REJECT ? "rejected" : "stage_failed");

    item->fate = FATE_REJECTED;
    item->stage = runner->stage;
    item->code = code;
    item->reason = reason;
    return runner_publish_item(runner, item, err);
}

/*
 * Carries a batch that keeps failing, one message at a time; those that fail alone are rejected. -1
 * with EAR_RETRY if the stages have no verdict on any of them but that: something that they need is
 * away. A message that is alone from the start cannot show that; it is rejected in the end.
 */
static int carry_one_by_one(struct runner *runner, struct ear_error *err)
{
    size_t waiting = 0, judged = 0;
    struct ear_error last = {0};

    for (size_t i = 0; i < runner->item_count; i++) {
        if (runner_carry_range(runner, i, 1, err) == 0) {
            judged += runner->items[i].fate == FATE_PASSED || runner->items[i].fate == FATE_DROPPED;
            continue;
        }
        if (!runner->failed_in_stage || err->kind == EAR_CONFIG) {
            return -1;
        }
        last = *err;
        ear_error_clear(err);
        waiting += last.kind == EAR_RETRY;
        judged += last.kind != EAR_RETRY;
        if (reject_alone(runner, &runner->items[i], &last, err) != 0) {
            return -1;
        }
    }
    if (waiting > 0 && judged == 0 && (waiting > 1 || runner->tries < TRIES_ALONE)) {
        *err = last;
        runner->failed_in_stage = true;
        return -1;
    }
    return 0;
}

/* Nothing came, but the reader may stand further than its group. */
static int catch_up(struct runner *runner, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;

    if (!stream_is_ahead(runner->reader)) {
        return 0;
    }
    if (stream_begin(&transaction, runner->config.stream, err) != 0) {
        return -1;
    }
    if (stream_move(transaction, runner->reader, err) != 0) {
        stream_abort(transaction);
        return -1;
    }
    return stream_commit(transaction, err);
}

static int commit(struct runner *runner, struct ear_error *err)
{
    struct stream_transaction *transaction = runner->transaction;

    if (runner_publish_audit(runner, err) != 0 ||
        stream_move(transaction, runner->reader, err) != 0) {
        return -1;
    }
    if (TESTPOINT_FAILS("process.before-commit")) {
        return ear_fail(err, EAR_RETRY, "the log cannot be written: %s", strerrordesc_np(errno));
    }
    runner->transaction = NULL; /* freed by the commit, whatever happens */
    if (stream_commit(transaction, err) != 0) {
        return -1;
    }
    TESTPOINT("process.after-commit");
    return 0;
}

static int carry(struct runner *runner, struct ear_error *err)
{
    int result = 0;

    runner->failed_in_stage = false;
    if (stream_begin(&runner->transaction, runner->config.stream, err) != 0) {
        return -1;
    }
    result = runner->tries < TRIES_WHOLE ? carry_whole(runner, err) : carry_one_by_one(runner, err);
    return result != 0 ? -1 : commit(runner, err);
}

/* Back to where the group stands. Who cannot go back now does so before reading on: what the failed
 * batch held would be skipped, and the next commit would move the group past it. */
static int go_back(struct runner *runner, struct ear_error *err)
{
    runner->astray = true;
    if (TESTPOINT_FAILS("process.before-rewind")) {
        return ear_fail(err, EAR_RETRY, "the log cannot be read: %s", strerrordesc_np(errno));
    }
    if (stream_rewind(runner->reader, err) != 0) {
        return -1;
    }
    runner->astray = false;
    return 0;
}

/* After a failure: nothing of the batch counts, it will come again. */
static void take_back(struct runner *runner, struct ear_error *err)
{
    struct ear_error more = {0};

    if (runner->transaction != NULL) {
        stream_abort(runner->transaction);
        runner->transaction = NULL;
    }
    runner->failures++;
    if (runner->failed_in_stage) {
        ear_error_context(err, "stage '%s'", runner->stage);
    }
    if (runner->failed_in_stage && err->kind != EAR_CONFIG) {
        runner->tries += err->kind == EAR_REJECT && runner->tries < TRIES_WHOLE ? TRIES_WHOLE : 1;
        err->kind = EAR_RETRY; /* whatever the stage thinks: the third time it is taken apart */
    }
    if (err->kind == EAR_FENCED) {
        err->kind = EAR_RETRY; /* the group was moved by somebody else: read on from there */
    }
    if (go_back(runner, &more) != 0) {
        *err = more;
    }
    ear_error_context(err, "processor '%s'", runner->config.processor->name);
}

int runner_turn(struct runner *runner, bool *idle, struct ear_error *err)
{
    int result = -1;

    *idle = false;
    runner->failed_in_stage = false;
    if (runner->astray && go_back(runner, err) != 0) {
        runner->failures++;
        ear_error_context(err, "processor '%s'", runner->config.processor->name);
        goto done;
    }
    if (gather(runner, err) != 0) {
        if (err->kind == EAR_FENCED) { /* partitions changed hands: what was read is void */
            ear_error_clear(err);
            result = 0;
            goto done;
        }
        take_back(runner, err);
        goto done;
    }
    runner->now_us = clock_now_us(runner->config.clock);
    if (runner->item_count == 0) {
        if (catch_up(runner, err) != 0) {
            take_back(runner, err);
            goto done;
        }
        *idle = true;
        result = 0;
        goto done;
    }
    if (carry(runner, err) != 0) {
        take_back(runner, err);
        goto done;
    }
    runner_tell_refusals(runner);
    runner->tries = 0;
    runner->failures = 0;
    result = 0;

done:
    runner_forget_counts(runner);
    return result;
}

int runner_pause_ms(const struct runner *runner)
{
    int pause_ms = PAUSE_LEAST_MS;

    for (int i = 1; i < runner->failures && pause_ms < PAUSE_MOST_MS; i++) {
        pause_ms *= 2;
    }
    return pause_ms < PAUSE_MOST_MS ? pause_ms : PAUSE_MOST_MS;
}

void runner_measure_lag(struct runner *runner)
{
    stream_measure_lag(runner->config.stream, runner->reader, runner->config.processor->from,
                       runner->config.metrics);
}

/* --- life --- */

void runner_close(struct runner *runner)
{
    if (runner == NULL) {
        return;
    }
    for (size_t i = 0; i < READS_MAX; i++) {
        stream_batch_clear(&runner->reads[i]);
    }
    runner_forget_counts(runner);
    stream_reader_close(runner->reader);
    message_arena_free(runner->arena);
    json_writer_free(runner->writer);
    free(runner->items);
    free(runner->tallies);
    free(runner->refusals);
    free(runner);
}

int runner_open(struct runner **out, const struct runner_config *config, struct ear_error *err)
{
    int result = -1;
    struct runner *runner = calloc(1, sizeof *runner);
    size_t most = (size_t)config->processor->batch_messages;
    char group[512];

    if (runner == NULL) {
        ear_fail_memory(err, "a processor");
        goto done;
    }
    runner->config = *config;
    runner->items = calloc(most, sizeof *runner->items);
    if (runner->items == NULL) {
        ear_fail_memory(err, "a processor's batch");
        goto done;
    }
    snprintf(group, sizeof group, "process.%s", config->processor->name);
    if (message_arena_new(&runner->arena, ARENA_BYTES, err) != 0 ||
        json_writer_new(&runner->writer, INSIGHT_MAX, err) != 0 ||
        stream_subscribe(&runner->reader, config->stream, group, &config->processor->from, 1, NULL,
                         err) != 0) {
        goto done;
    }
    *out = runner;
    runner = NULL;
    result = 0;

done:
    runner_close(runner);
    return result;
}
