/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/runner/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/testpoint.h"
#include "sinks/balance/balance.h"
#include "sinks/runner/runner_internal.h"

enum {
    BATCH_MESSAGES = 1000,
    BATCH_BYTES = 8 * 1024 * 1024,
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 5000,
};

const char *const runner_topics[RUNNER_TOPICS] = {"insights", "decisions", "forgotten", "cursors",
                                                  "audit"};
const char runner_group[] = "sink.store";

/* --- opening --- */

static void close_store(struct runner *runner)
{
    apply_close(runner->apply);
    runner->apply = NULL;
    store_close(runner->names_store);
    runner->names_store = NULL;
    store_close(runner->store);
    runner->store = NULL;
    runner->held = false;
}

static int open_store(struct runner *runner, bool check, struct ear_error *err)
{
    const struct setup *setup = runner->config.setup;
    struct store_config config = setup_store(setup);
    struct store_config words = config;
    struct apply_config apply = {
        .zone = runner->config.settings->zone,
        .timezone = runner->config.settings->timezone,
        .horizon_us = runner->config.settings->horizon_us,
        .trend_days = setup->trend_days,
        .trend_hours = setup->trend_hours,
    };

    config.check = check;
    if (store_open(&runner->store, &config, err) != 0 ||
        (store_shared(runner->store) && store_open(&runner->names_store, &words, err) != 0)) {
        close_store(runner);
        return -1;
    }
    apply.names_store = runner->names_store;
    if (balance_begin(runner->store, runner->config.stream, clock_now_us(runner->config.clock),
                      err) != 0 ||
        apply_open(&runner->apply, runner->store, &apply, err) != 0) {
        close_store(runner);
        return -1;
    }
    return 0;
}

/* Where the store stands now; a partition that it does not know begins at the earliest. */
static int64_t start_at(void *user, const char *topic, int partition, struct ear_error *err)
{
    const struct runner *runner = user;
    int64_t next = -1;

    if (runner->apply == NULL) {
        ear_fail(err, EAR_RETRY, "the store is not open");
        return STREAM_AT_FAILED;
    }
    if (apply_position(&next, runner->apply, topic, partition, err) != 0) {
        return STREAM_AT_FAILED;
    }
    return next < 0 ? STREAM_AT_EARLIEST : next;
}

static int subscribe(struct runner *runner, struct ear_error *err)
{
    const struct stream_start start = {start_at, runner};

    runner->retry = false;
    return stream_subscribe(&runner->reader, runner->config.stream, runner_group, runner_topics,
                            RUNNER_TOPICS, &start, err);
}

/* Drops what was read, and reads on where the store stands. */
static int read_anew(struct runner *runner, struct ear_error *err)
{
    runner->retry = false;
    if (stream_rewind(runner->reader, err) == 0) {
        return 0;
    }
    if (err->kind == EAR_FENCED) {
        ear_error_clear(err); /* and partitions changed hands: the next read says where it begins */
        return 0;
    }
    stream_reader_close(runner->reader); /* joined again by the next turn */
    runner->reader = NULL;
    return -1;
}

int runner_open(struct runner **out, const struct runner_config *config, struct ear_error *err)
{
    struct runner *runner = calloc(1, sizeof *runner);
    const struct balance_config balance = {
        .settings = config->settings, .stream = config->stream, .metrics = config->metrics};

    if (runner == NULL) {
        return ear_fail_memory(err, "the sink");
    }
    runner->config = *config;
    runner->pause_ms = PAUSE_FIRST_MS;
    snprintf(runner->feed_dir, sizeof runner->feed_dir, "%s/feeds", config->settings->data_dir);
    if (balance_new(&runner->balance, &balance, err) != 0 || open_store(runner, false, err) != 0 ||
        subscribe(runner, err) != 0) {
        runner_close(runner);
        return -1;
    }
    if (store_shared(runner->store) && store_warning(runner->store) != NULL) {
        log_warn("%s", store_warning(runner->store));
    }
    *out = runner;
    return 0;
}

void runner_close(struct runner *runner)
{
    if (runner == NULL) {
        return;
    }
    stream_batch_clear(&runner->batch);
    stream_reader_close(runner->reader);
    close_store(runner);
    balance_free(runner->balance);
    free(runner);
}

/* --- policy --- */

int runner_pause_ms(const struct runner *runner)
{
    return runner->pause_ms;
}

int runner_failed(struct runner *runner, const struct ear_error *err)
{
    if (runner->store != NULL &&
        (store_broken(runner->store) ||
         (runner->names_store != NULL && store_broken(runner->names_store)))) {
        close_store(runner);
    }
    if (err->kind == EAR_RETRY) {
        runner->pause_ms =
            runner->pause_ms * 2 > PAUSE_MOST_MS ? PAUSE_MOST_MS : runner->pause_ms * 2;
    }
    return -1;
}

/* The store after it broke: opened anew, and read whole before it is trusted. */
static int need_store(struct runner *runner, struct ear_error *err)
{
    if (runner->store != NULL) {
        return 0;
    }
    if (open_store(runner, true, err) != 0) {
        return runner_failed(runner, err);
    }
    log_warn("the store was opened anew and is sound");
    return 0;
}

/* --- a turn --- */

static void note(struct runner *runner, const struct apply_stats *stats, int64_t began_us)
{
    char labels[64];

    metrics_observe(runner->config.metrics, "earshot_sink_commit_duration_seconds", NULL,
                    (double)(clock_mono_us() - began_us) / 1e6);
    for (size_t i = 0; i < stats->age_count; i++) {
        metrics_observe(runner->config.metrics, "earshot_post_age_seconds", NULL, stats->ages_s[i]);
    }
    if (stats->rejected > 0) {
        metrics_labels(labels, sizeof labels, "stage", "store", "reason", "store", NULL);
        metrics_add(runner->config.metrics, "earshot_rejects_total", labels,
                    (double)stats->rejected);
        log_warn("%zu messages set aside; earshot rejects shows why", stats->rejected);
    }
}

/* The group follows the store, so that lag can be seen. Somebody else having moved it is no harm:
 * the store is what counts, and it is guarded; the reader reads on where the store stands. */
static int move_group(struct runner *runner, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error more = {0};

    if (stream_begin(&transaction, runner->config.stream, err) != 0) {
        return runner_failed(runner, err);
    }
    if (stream_move(transaction, runner->reader, err) != 0) {
        stream_abort(transaction);
    } else if (stream_commit(transaction, err) == 0) {
        TESTPOINT("sink.group-moved");
        return 0;
    }
    if (err->kind == EAR_FENCED) {
        ear_error_clear(err);
        return read_anew(runner, err) != 0 ? runner_failed(runner, err) : 0;
    }
    if (read_anew(runner, &more) != 0) {
        *err = more;
    }
    return runner_failed(runner, err);
}

static int apply_read(struct runner *runner, struct ear_error *err)
{
    struct apply_stats stats = {0};
    int64_t began_us = clock_mono_us();

    if (apply_batch(runner->apply, runner->batch.messages, runner->batch.count,
                    clock_now_us(runner->config.clock), &stats, err) != 0) {
        if (err->kind != EAR_FENCED) {
            return runner_failed(runner, err);
        }
        log_warn("%s; reading on where the store stands", err->message);
        ear_error_clear(err);
        return read_anew(runner, err) != 0 ? runner_failed(runner, err) : 0;
    }
    TESTPOINT("sink.after-commit");
    runner->retry = false;
    runner->pause_ms = PAUSE_FIRST_MS;
    note(runner, &stats, began_us);
    /* What is in the store is in the store: a log that is full or away does not undo it. */
    return move_group(runner, err);
}

/* Nothing came, but the reader may stand further than store and group. */
static int catch_up(struct runner *runner, struct ear_error *err)
{
    struct apply_place places[RUNNER_TOPICS * STREAM_PARTITIONS_MAX];
    size_t count = 0;

    if (!stream_is_ahead(runner->reader)) {
        return 0;
    }
    for (size_t i = 0; i < RUNNER_TOPICS; i++) {
        const int partitions = stream_partitions(runner->config.stream, runner_topics[i]);

        for (int partition = 0; partition < partitions; partition++) {
            const int64_t next = stream_position(runner->reader, runner_topics[i], partition);

            if (next >= 0) {
                places[count++] = (struct apply_place){runner_topics[i], partition, next};
            }
        }
    }
    if (apply_pass(runner->apply, places, count, err) == 0) {
        return move_group(runner, err);
    }
    if (err->kind != EAR_FENCED) {
        return runner_failed(runner, err);
    }
    ear_error_clear(err);
    return read_anew(runner, err) != 0 ? runner_failed(runner, err) : 0;
}

int runner_turn(struct runner *runner, bool *idle, struct ear_error *err)
{
    *idle = false;
    if (need_store(runner, err) != 0) {
        return -1;
    }
    if (runner->reader == NULL && subscribe(runner, err) != 0) {
        return runner_failed(runner, err);
    }
    if (!runner->retry) {
        if (stream_read(runner->reader, &runner->batch, BATCH_MESSAGES, BATCH_BYTES,
                        runner->config.wait_ms, err) != 0) {
            if (err->kind == EAR_FENCED) {
                ear_error_clear(err); /* partitions changed hands: what came of them is void */
                return 0;
            }
            return runner_failed(runner, err);
        }
        runner->retry = runner->batch.count > 0;
    }
    *idle = !runner->retry;
    if (runner->retry) {
        return apply_read(runner, err);
    }
    return catch_up(runner, err);
}

int runner_keep(struct runner *runner, bool all, struct ear_error *err)
{
    int64_t mono_us = clock_mono_us();

    if (!all && mono_us - runner->kept_us < CLOCK_SECOND_US) {
        return 0;
    }
    runner->kept_us = mono_us;
    return need_store(runner, err) != 0 ? -1 : runner_keep_house(runner, all, mono_us, err);
}
