/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keeping house between turns. Of several sinks on one store one is the holder: it alone marks
 * copies, recounts dirty days, relays the outbox, writes the trend feed and lets the horizon pass.
 * Who that is, the store says, asked once a second; when a holder dies another one is told.
 */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "sinks/balance/balance.h"
#include "sinks/outbox/outbox.h"
#include "sinks/runner/runner_internal.h"

enum {
    COPY_NOTES = 1000,      /* a slice */
    ROLLUP_DAYS = 64,       /* a slice */
    OUTBOX_SLICES = 16,     /* in a turn; cells of the trend cube come in thousands */
    FEED_EVERY_S = 10,      /* the trend feed is written at most so often while posts come */
    PENDING_WARN_MIB = 256, /* of the store's WAL: a reader is stuck */
    WARN_EVERY_S = 600,
};

/* The lag of the partitions that are this sink's now. */
static void measure(struct runner *runner)
{
    for (size_t i = 0; i < RUNNER_TOPICS; i++) {
        stream_measure_lag(runner->config.stream, runner->reader, runner_topics[i],
                           runner->config.metrics);
    }
}

/*
 * A store that is this machine's alone takes everything, or its counts are wrong. If another sink
 * has joined the group, the one without the first partition gives up; what the other had not got
 * meanwhile it reads as soon as the partitions are its own, from where its store stands.
 */
static int check_alone(const struct runner *runner, struct ear_error *err)
{
    const int partitions = stream_partitions(runner->config.stream, runner_topics[0]);
    bool some = false;

    if (store_shared(runner->store) || runner->reader == NULL) {
        return 0;
    }
    for (int partition = 1; partition < partitions; partition++) {
        some = some || stream_position(runner->reader, runner_topics[0], partition) >= 0;
    }
    if (some && stream_position(runner->reader, runner_topics[0], 0) < 0) {
        return ear_fail(err, EAR_CONFIG,
                        "another sink reads %s too, and this store is one machine's: each would "
                        "have a part of the posts. Give all sinks the same \"store: "
                        "postgresql://…\", or run one",
                        runner->config.settings->stream_url);
    }
    return 0;
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

static int keep_rollups(struct runner *runner, bool all, int64_t now_us, struct ear_error *err)
{
    bool more = true;

    while (more) {
        if (apply_copies(runner->apply, now_us, COPY_NOTES, &more, err) != 0) {
            return -1;
        }
        more = more && all;
    }
    for (more = true; more;) {
        if (apply_rollups(runner->apply, now_us, ROLLUP_DAYS, &more, err) != 0) {
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
    int slices = 0;

    if (feeds) {
        runner->fed_us = mono_us;
    }
    do {
        before = left;
        if (outbox_relay(&left, &outbox, clock_now_us(runner->config.clock), feeds, err) != 0) {
            if (err->kind != EAR_FENCED) {
                return -1;
            }
            ear_error_clear(err); /* another sink has taken the outbox over meanwhile */
            return 0;
        }
        slices++;
    } while (left > 0 && left != before && (all || slices < OUTBOX_SLICES));
    return 0;
}

/* Asks whether this sink is the holder, and says so when that changes. */
static int ask_hold(struct runner *runner, struct ear_error *err)
{
    bool held = false;

    if (store_hold(runner->store, &held, err) != 0) {
        return -1;
    }
    if (held != runner->held && store_shared(runner->store)) {
        log_info(held ? "this sink now does what needs the whole store: roll-ups, copies, outbox"
                      : "another sink now does what needs the whole store");
    }
    runner->held = held;
    return 0;
}

static int keep_whole(struct runner *runner, bool all, int64_t mono_us, struct ear_error *err)
{
    int64_t now_us = clock_now_us(runner->config.clock);
    bool more = true;
    bool done = false;

    if (keep_rollups(runner, all, now_us, err) != 0 ||
        keep_outbox(runner, all, mono_us, err) != 0 ||
        apply_expire(runner->apply, now_us, &more, err) != 0) {
        return -1;
    }
    return balance_turn(runner->balance, runner->store, now_us, all, &done, err);
}

int runner_keep_house(struct runner *runner, bool all, int64_t mono_us, struct ear_error *err)
{
    bool more = true;

    if (check_alone(runner, err) != 0 || ask_hold(runner, err) != 0 ||
        (runner->held && keep_whole(runner, all, mono_us, err) != 0) ||
        stream_maintain(runner->config.stream, clock_now_us(runner->config.clock), &more, err) !=
            0) {
        return runner_failed(runner, err);
    }
    warn_of_pending(runner, mono_us);
    measure(runner);
    return 0;
}
