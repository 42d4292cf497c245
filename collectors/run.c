/* SPDX-License-Identifier: Apache-2.0 */
/* The role itself, until SIGTERM; and `once`, each source to its end. */

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collectors/collector.h"
#include "collectors/commands.h"
#include "collectors/session.h"
#include "common/http/http_server.h"
#include "common/json/json.h"
#include "common/log.h"
#include "common/settings/settings.h"

/* How long a turn may wait: SIGTERM is noticed at its end. */
enum { TURN_MS = 250, LINE_MAX_BYTES = 64 * 1024 };

/* Pages come and go among cursors that stay: what lies free between those is given back so often.
 */
#define TRIM_EVERY_US (20 * CLOCK_SECOND_US)

const struct ear_option collect_run_options[] = {
    {"until-end", EAR_BOOLEAN, offsetof(struct run_values, until_end), "false",
     "poll each source once and end", NULL},
    {"deadline", EAR_DURATION, offsetof(struct run_values, deadline_us), "10m [1ms..7d]",
     "with --until-end: no longer than this", NULL},
    {0},
};

const struct ear_option collect_once_options[] = {
    {"deadline", EAR_DURATION, offsetof(struct once_values, deadline_us), "10m [1ms..7d]",
     "no longer than this; what it cuts off goes on at the next run", NULL},
    {0},
};

static struct collector_config config_of(const struct session *session, bool once)
{
    return (struct collector_config){
        .settings = session->settings,
        .sources = &session->sources,
        .stream = session->stream,
        .fetch = session->fetch,
        .tokens = session->tokens,
        .rules = session->rules,
        .metrics = session->metrics,
        .clock = &session->clock,
        .seed = (uint64_t)clock_mono_us() ^ (uint64_t)getpid() << 40,
        .once = once,
    };
}

/* --- once --- */

int collect_print_counts(const char *source, const struct intake_counts *counts, int64_t requests,
                         const char *error, const struct misfits *misfits, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    const char *text = NULL;
    size_t length = 0;

    if (json_writer_new(&writer, LINE_MAX_BYTES, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "source", source);
    json_member_integer(writer, "new", counts->fresh);
    json_member_integer(writer, "edited", counts->edited);
    json_member_integer(writer, "deleted", counts->deleted);
    json_member_integer(writer, "unchanged", counts->unchanged);
    json_member_integer(writer, "rejected", counts->rejected);
    json_member_integer(writer, "undated", counts->undated);
    json_member_integer(writer, "requests", requests);
    json_write_key(writer, "error");
    json_write_string(writer, error);
    if (misfits != NULL && misfits->count > 0) {
        json_write_key(writer, "warnings");
        json_write_array(writer);
        for (size_t i = 0; i < misfits->count; i++) {
            json_write_string(writer, misfits->items[i].text);
        }
        json_write_array_end(writer);
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text != NULL) {
        (void)printf("%s\n", text);
    }
    json_writer_free(writer);
    return text == NULL ? -1 : 0;
}

static int report_all(const struct session *session, const struct collector *collector, bool print,
                      struct ear_error *err)
{
    int code = EXIT_DONE;

    for (size_t i = 0; i < session->sources.count; i++) {
        const struct collector_report report = collector_report_at(collector, i);

        if (print && collect_print_counts(report.source, &report.counts, report.requests,
                                          report.error, report.misfits, err) != 0) {
            return -1;
        }
        if (report.outcome == COLLECTOR_FAILED) {
            code = EXIT_FAILED;
        } else if (report.outcome == COLLECTOR_LATER && code == EXIT_DONE) {
            code = EXIT_LATER;
        }
    }
    return code;
}

static int poll_all(const struct session *session, int64_t deadline_us, bool print,
                    struct ear_error *err)
{
    const int64_t end_us = clock_mono_us() + deadline_us;
    struct collector_config config = config_of(session, true);
    struct collector *collector = NULL;
    int result = -1;

    config.once_until_mono_us = end_us;
    if (collector_new(&collector, &config, err) != 0) {
        return -1;
    }
    while (collector_is_busy(collector)) {
        const int64_t left_ms = (end_us - clock_mono_us()) / 1000;

        if (left_ms <= 0) {
            collector_cut(collector, "cut off by the deadline; it goes on at the next run");
        } else if (command_stop_asked()) {
            collector_cut(collector, "stopped; it goes on at the next run");
        } else if (collector_turn(collector, left_ms < TURN_MS ? (int)left_ms : TURN_MS, err) !=
                   0) {
            goto done;
        }
    }
    result = report_all(session, collector, print, err);

done:
    collector_free(collector);
    return result;
}

static int open_and_poll_all(const struct command_call *call, int64_t deadline_us, bool print,
                             struct ear_error *err)
{
    struct session session;
    int result = session_check(&session, call, err);

    command_stop_on_signals();
    if (result == EXIT_DONE) {
        result = session_open(&session, "collect", err);
    }
    if (result == EXIT_DONE) {
        result = poll_all(&session, deadline_us, print, err);
    }
    session_close(&session);
    return result;
}

int collect_once(const struct command_call *call, struct ear_error *err)
{
    const struct once_values *options = call->options;

    return open_and_poll_all(call, options->deadline_us, true, err);
}

/* --- a walk into one source's past --- */

/* On Kafka this is a collector like any other until it is stopped: the partitions that the group
 * gives it hold other sources too, and the source may be another's. */
static int walk_back(const struct session *session, const char *source, struct ear_error *err)
{
    const bool shared = settings_on_kafka(session->settings);
    struct collector_config config = config_of(session, false);
    struct collector *collector = NULL;
    size_t index = 0;
    int result = -1;

    config.only = shared ? NULL : source;
    while (index < session->sources.count &&
           strcmp(session->sources.items[index].source->name, source) != 0) {
        index++;
    }
    if (index == session->sources.count) {
        return ear_fail(err, EAR_CONFIG, "no source is called '%.100s'", source);
    }
    if (collector_new(&collector, &config, err) != 0) {
        return -1;
    }
    result = EXIT_DONE;
    while (result == EXIT_DONE && (shared || collector_is_busy(collector))) {
        const struct collector_report report = collector_report_at(collector, index);

        if (report.outcome == COLLECTOR_FAILED && !shared) {
            result = EXIT_FAILED;
        } else if (command_stop_asked()) {
            result = EXIT_LATER;
        } else if (collector_turn(collector, TURN_MS, err) != 0) {
            result = -1;
        }
    }
    collector_free(collector);
    return result;
}

int collect_backfill(const struct command_call *call, struct ear_error *err)
{
    struct session session;
    int result = session_check(&session, call, err);

    command_stop_on_signals();
    if (result == EXIT_DONE) {
        result = session_open(&session, "collect", err);
    }
    if (result == EXIT_DONE) {
        result = walk_back(&session, call->arguments[0], err);
    }
    session_close(&session);
    return result;
}

/* --- the role --- */

/* What /readyz answers: the loop only runs while configuration and log are good. */
static bool is_ready(void *user, char *why, size_t size)
{
    (void)user;
    (void)why;
    (void)size;
    return true;
}

static int run_role(const struct session *session, struct ear_error *err)
{
    const struct collector_config config = config_of(session, false);
    struct collector *collector = NULL;
    struct health *health = NULL;
    char listen[256];
    int64_t trim_mono_us = clock_mono_us() + CLOCK_SECOND_US;
    int result = -1;

    if (collector_new(&collector, &config, err) != 0 ||
        health_open(&health,
                    settings_role_listen(session->settings, &session->role, listen, sizeof listen),
                    session->metrics, is_ready, NULL, err) != 0) {
        goto done;
    }
    log_info("collecting from %zu sources", session->sources.count);
    while (!command_stop_asked()) {
        health_beat(health);
        if (collector_turn(collector, TURN_MS, err) != 0) {
            goto done;
        }
        if (clock_mono_us() >= trim_mono_us) {
            (void)malloc_trim(0);
            trim_mono_us = clock_mono_us() + TRIM_EVERY_US;
        }
    }
    result = EXIT_DONE;

done:
    health_close(health);
    collector_free(collector);
    return result;
}

int collect_run(const struct command_call *call, struct ear_error *err)
{
    const struct run_values *options = call->options;
    struct session session;
    int result = 0;

    if (options->until_end) {
        return open_and_poll_all(call, options->deadline_us, false, err);
    }
    result = session_check(&session, call, err);
    command_stop_on_signals();
    command_stop_within(COMMAND_STOP_S);
    if (result == EXIT_DONE) {
        result = session_open(&session, "collect", err);
    }
    if (result == EXIT_DONE) {
        result = run_role(&session, err);
    }
    session_close(&session);
    return result;
}
