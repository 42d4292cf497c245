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
#include "sinks/apply/apply.h"
#include "sinks/outbox/outbox.h"
#include "sinks/store/store.h"

enum {
    BATCH_MESSAGES = 1000,
    BATCH_BYTES = 8 * 1024 * 1024,
    ROLLUP_DAYS = 64,       /* a slice */
    FEED_EVERY_S = 10,      /* the trend feed is written at most so often while posts come */
    PENDING_WARN_MIB = 256, /* of the store's WAL: a reader is stuck */
    WARN_EVERY_S = 600,
    PATH_SIZE = 4096,
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 5000,
};

static const char *const topics[] = {"insights", "decisions", "forgotten", "cursors"};
enum { TOPIC_COUNT = sizeof topics / sizeof topics[0] };
static const char group[] = "sink.store";

struct runner {
    struct runner_config config;
    struct store *store; /* NULL after it broke, until it is open again */
    struct apply *apply;
    struct stream_reader *reader;
    struct stream_batch batch;
    bool retry; /* the batch was read and has not been applied */
    int pause_ms;
    char feed_dir[PATH_SIZE];
    int64_t kept_us, fed_us, warned_us; /* mono */
};

/* --- opening --- */

static void close_store(struct runner *runner)
{
    apply_close(runner->apply);
    runner->apply = NULL;
    store_close(runner->store);
    runner->store = NULL;
}

static int open_store(struct runner *runner, bool check, struct ear_error *err)
{
    struct store_config config = {.url = runner->config.setup->store_url, .check = check};
    struct apply_config apply = {
        .zone = runner->config.settings->zone,
        .timezone = runner->config.settings->timezone,
        .horizon_us = runner->config.settings->horizon_us,
    };

    if (store_open(&runner->store, &config, err) != 0 ||
        apply_open(&runner->apply, runner->store, &apply, err) != 0) {
        close_store(runner);
        return -1;
    }
    return 0;
}

/* Where the store stands; a partition that it does not know begins at the earliest. */
static int64_t start_at(void *user, const char *topic, int partition, struct ear_error *err)
{
    const struct runner *runner = user;
    int64_t next = apply_position(runner->apply, topic, partition);

    (void)err;
    return next < 0 ? STREAM_AT_EARLIEST : next;
}

static int subscribe(struct runner *runner, struct ear_error *err)
{
    const struct stream_start start = {start_at, runner};

    stream_reader_close(runner->reader);
    runner->reader = NULL;
    runner->retry = false;
    return stream_subscribe(&runner->reader, runner->config.stream, group, topics, TOPIC_COUNT,
                            &start, err);
}

int runner_open(struct runner **out, const struct runner_config *config, struct ear_error *err)
{
    struct runner *runner = calloc(1, sizeof *runner);

    if (runner == NULL) {
        return ear_fail_memory(err, "the sink");
    }
    runner->config = *config;
    runner->pause_ms = PAUSE_FIRST_MS;
    snprintf(runner->feed_dir, sizeof runner->feed_dir, "%s/feeds", config->settings->data_dir);
    if (open_store(runner, false, err) != 0 || subscribe(runner, err) != 0) {
        runner_close(runner);
        return -1;
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
    free(runner);
}

/* --- policy --- */

int runner_pause_ms(const struct runner *runner)
{
    return runner->pause_ms;
}

/* What is done about a failure before the next try. Returns -1, so that it ends a turn. */
static int after_failure(struct runner *runner, const struct ear_error *err)
{
    if (runner->store != NULL && store_broken(runner->store)) {
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
        return after_failure(runner, err);
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

/* The group follows the store. Somebody else having moved it is no harm: the store is what counts,
 * and it is guarded; the reader begins again where the store stands. */
static int move_group(struct runner *runner, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;

    if (stream_begin(&transaction, runner->config.stream, err) != 0) {
        return -1;
    }
    if (stream_move(transaction, runner->reader, err) != 0) {
        stream_abort(transaction);
        return -1;
    }
    if (stream_commit(transaction, err) == 0) {
        TESTPOINT("sink.group-moved");
        return 0;
    }
    if (err->kind == EAR_FENCED) {
        log_error("move the group", err);
        ear_error_clear(err);
        return subscribe(runner, err);
    }
    return -1;
}

static int apply_read(struct runner *runner, struct ear_error *err)
{
    struct apply_stats stats = {0};
    int64_t began_us = clock_mono_us();

    if (apply_batch(runner->apply, runner->batch.messages, runner->batch.count,
                    clock_now_us(runner->config.clock), &stats, err) != 0) {
        if (err->kind != EAR_FENCED) {
            return after_failure(runner, err);
        }
        log_error("apply a batch", err);
        ear_error_clear(err);
        return subscribe(runner, err);
    }
    TESTPOINT("sink.after-commit");
    runner->retry = false;
    runner->pause_ms = PAUSE_FIRST_MS;
    note(runner, &stats, began_us);
    /* What is in the store is in the store: a log that is full or away does not undo it. */
    return move_group(runner, err);
}

int runner_turn(struct runner *runner, bool *idle, struct ear_error *err)
{
    *idle = false;
    if (need_store(runner, err) != 0) {
        return -1;
    }
    if (runner->reader == NULL && subscribe(runner, err) != 0) {
        return after_failure(runner, err);
    }
    if (!runner->retry) {
        if (stream_read(runner->reader, &runner->batch, BATCH_MESSAGES, BATCH_BYTES,
                        runner->config.wait_ms, err) != 0) {
            if (err->kind == EAR_FENCED) {
                ear_error_clear(err);
                return subscribe(runner, err);
            }
            return after_failure(runner, err);
        }
        runner->retry = runner->batch.count > 0;
    }
    *idle = !runner->retry;
    return runner->retry ? apply_read(runner, err) : 0;
}

/* --- keeping house --- */

static void measure(struct runner *runner)
{
    char labels[160];
    char part[16];
    struct ear_error err = {0};

    for (size_t i = 0; runner->config.metrics != NULL && i < TOPIC_COUNT; i++) {
        int partitions = stream_partitions(runner->config.stream, topics[i]);

        for (int partition = 0; partition < partitions; partition++) {
            struct stream_span span;
            int64_t next = stream_position(runner->reader, topics[i], partition);

            if (stream_span(runner->config.stream, topics[i], partition, &span, &err) == 0) {
                snprintf(part, sizeof part, "%d", partition);
                metrics_labels(labels, sizeof labels, "topic", topics[i], "partition", part, NULL);
                metrics_set(runner->config.metrics, "earshot_consumer_lag_messages", labels,
                            (double)(span.end - next));
            }
        }
    }
}

static void warn_of_pending(struct runner *runner, int64_t mono_us)
{
    int64_t mib = store_pending_bytes(runner->store) / INT64_C(1048576);

    if (mib >= PENDING_WARN_MIB &&
        mono_us - runner->warned_us > (int64_t)WARN_EVERY_S * CLOCK_SECOND_US) {
        runner->warned_us = mono_us;
        log_warn("the store's write-ahead log has grown to %lld MiB: some program reads the store "
                 "and never ends; find and stop it",
                 (long long)mib);
    }
}

static int keep_rollups(struct runner *runner, bool all, struct ear_error *err)
{
    bool more = true;

    while (more) {
        if (apply_rollups(runner->apply, ROLLUP_DAYS, &more, err) != 0) {
            return -1;
        }
        more = more && all;
    }
    return 0;
}

static int keep_outbox(struct runner *runner, bool all, int64_t mono_us, struct ear_error *err)
{
    const struct settings *settings = runner->config.settings;
    struct outbox_config outbox = {
        .store = runner->store,
        .stream = runner->config.stream,
        .feed_dir = runner->config.setup->feed ? runner->feed_dir : NULL,
        .zone = settings->zone,
        .feed_weeks = runner->config.setup->weeks,
        .rejects_topic = "rejects",
    };
    bool feeds = all || mono_us - runner->fed_us >= (int64_t)FEED_EVERY_S * CLOCK_SECOND_US;
    size_t left = 1;
    size_t before = 0;

    if (feeds) {
        runner->fed_us = mono_us;
    }
    do {
        before = left;
        if (outbox_relay(&left, &outbox, clock_now_us(runner->config.clock), feeds, err) != 0) {
            return -1;
        }
    } while (all && left > 0 && left != before);
    return 0;
}

static int keep(struct runner *runner, bool all, int64_t mono_us, struct ear_error *err)
{
    int64_t now_us = clock_now_us(runner->config.clock);
    bool more = true;

    if (keep_rollups(runner, all, err) != 0 || keep_outbox(runner, all, mono_us, err) != 0 ||
        apply_expire(runner->apply, now_us, &more, err) != 0 ||
        stream_maintain(runner->config.stream, now_us, &more, err) != 0) {
        return after_failure(runner, err);
    }
    warn_of_pending(runner, mono_us);
    measure(runner);
    return 0;
}

int runner_keep(struct runner *runner, bool all, struct ear_error *err)
{
    int64_t mono_us = clock_mono_us();

    if (!all && mono_us - runner->kept_us < CLOCK_SECOND_US) {
        return 0;
    }
    runner->kept_us = mono_us;
    return need_store(runner, err) != 0 ? -1 : keep(runner, all, mono_us, err);
}
