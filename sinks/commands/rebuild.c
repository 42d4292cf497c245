/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot-sink rebuild INTO`: an empty store, fed what the log holds of insights, decisions, what
 * is forgotten and cursors. No group is joined and nothing is published; the new store knows where
 * it stands, so it may take the place of the old one while no sink runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/command/command.h"
#include "common/settings/settings.h"
#include "sinks/apply/apply.h"
#include "sinks/commands/commands.h"
#include "sinks/setup.h"
#include "sinks/store/store.h"

enum { BATCH_MESSAGES = 1000, BATCH_BYTES = 8 * 1024 * 1024, ROLLUP_DAYS = 256, COPY_NOTES = 1000 };

struct rebuild {
    struct stream *stream;
    struct store *store;
    struct apply *apply;
    int64_t now_us;
    size_t posts;
};

static int feed_topic(struct rebuild *rebuild, const char *topic, struct ear_error *err)
{
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct apply_stats *stats = malloc(sizeof *stats);
    int result = -1;

    if (stats == NULL) {
        ear_fail_memory(err, "a rebuild");
        return -1;
    }
    if (stream_follow(&reader, rebuild->stream, topic, INT64_MIN, err) != 0) {
        goto done;
    }
    do {
        if (command_stop_asked()) {
            ear_fail(err, EAR_RETRY, "stopped half way; remove what is there and begin again");
            goto done;
        }
        if (stream_read(reader, &batch, BATCH_MESSAGES, BATCH_BYTES, 0, err) != 0 ||
            (batch.count > 0 && apply_batch(rebuild->apply, batch.messages, batch.count,
                                            rebuild->now_us, stats, err) != 0)) {
            goto done;
        }
        rebuild->posts += batch.count > 0 ? stats->posts : 0;
    } while (batch.count > 0);
    result = 0;

done:
    free(stats);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    return result;
}

/* What is set aside was set aside before: its reject has left already. */
static int drop_rejects(struct rebuild *rebuild, struct ear_error *err)
{
    struct store_value values[] = {store_integer(0), store_integer(INT32_MAX)};
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_begin(rebuild->store, err) != 0) {
        return -1;
    }
    if (store_select(&rows, rebuild->store, QUERY_OUTBOX_NEXT, values, 2, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        struct store_value row[] = {store_integer(store_get_integer(rows, 0))};

        if (strcmp(store_get_text(rows, 1, NULL), "reject") == 0 &&
            store_run(rebuild->store, QUERY_OUTBOX_DELETE, row, 1, err) < 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : store_commit(rebuild->store, err);
}

static int feed_all(struct rebuild *rebuild, struct ear_error *err)
{
    static const char *const topics[] = {"forgotten", "decisions", "insights", "cursors"};
    bool more = true;

    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (feed_topic(rebuild, topics[i], err) != 0) {
            return -1;
        }
    }
    while (more) {
        if (apply_copies(rebuild->apply, rebuild->now_us, COPY_NOTES, &more, err) != 0) {
            return -1;
        }
    }
    for (more = true; more;) {
        if (apply_rollups(rebuild->apply, rebuild->now_us, ROLLUP_DAYS, &more, err) != 0) {
            return -1;
        }
    }
    return drop_rejects(rebuild, err);
}

static int open_all(struct rebuild *rebuild, const struct command_call *call,
                    const struct store_config *config, struct ear_error *err)
{
    struct apply_config apply = {
        .zone = call->settings->zone,
        .timezone = call->settings->timezone,
        .horizon_us = call->settings->horizon_us,
    };

    if (settings_open_stream(&rebuild->stream, call->settings, true, err) != 0 ||
        store_open(&rebuild->store, config, err) != 0) {
        return -1;
    }
    return apply_open(&rebuild->apply, rebuild->store, &apply, err);
}

int rebuild_command(const struct command_call *call, struct ear_error *err)
{
    struct rebuild rebuild = {.now_us = clock_now_us(&call->clock)};
    struct setup setup = {0};
    struct store_config config;
    int result = -1;

    if (setup_init(&setup, call->settings, err) != 0 ||
        setup_turn(&setup, call->arguments[0], err) != 0) {
        goto done;
    }
    config = setup_store(&setup);
    config.role = "rebuild";
    command_stop_on_signals();
    if (!store_missing(&config)) {
        ear_fail(err, EAR_CONFIG, "%s is there already; name one that is not", call->arguments[0]);
    } else if (open_all(&rebuild, call, &config, err) == 0 && feed_all(&rebuild, err) == 0) {
        fprintf(stderr, "%zu posts and versions into %s\n", rebuild.posts, call->arguments[0]);
        result = EXIT_DONE;
    }

done:
    setup_clear(&setup);
    apply_close(rebuild.apply);
    store_close(rebuild.store);
    stream_close(rebuild.stream);
    return result;
}
