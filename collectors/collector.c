/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/collector_internal.h"

#include <stdlib.h>
#include <string.h>

#include "collectors/fetch/fetch.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

#define HOUSE_EVERY_US CLOCK_SECOND_US
#define PAUSE_AT 0.9
#define RESUME_AT 0.88

int64_t collector_now_us(const struct collector *collector)
{
    return clock_now_us(collector->config.clock);
}

static int restore(struct collector *collector, struct listening *listening,
                   const struct source_entry *entry, struct ear_error *err)
{
    listening->entry = entry;
    if (post_origin_init(&listening->origin, entry->source, entry->reader, err) != 0) {
        return -1;
    }
    if (standing_restore(&listening->standing, collector->config.stream, entry->source,
                         collector_now_us(collector), err) == 0) {
        return 0;
    }
    if (err->kind != EAR_REJECT) {
        return -1;
    }
    failure_of_cursor(collector, listening, err);
    ear_error_clear(err);
    return 0;
}

int collector_new(struct collector **out, const struct collector_config *config,
                  struct ear_error *err)
{
    struct collector *collector = calloc(1, sizeof(*collector));
    int result = -1;

    if (collector == NULL) {
        ear_fail_memory(err, "the collector");
        goto done;
    }
    collector->config = *config;
    collector->items = calloc(config->sources->count + 1, sizeof(*collector->items));
    if (collector->items == NULL) {
        ear_fail_memory(err, "the sources");
        goto done;
    }
    if (intake_new(&collector->intake, config->stream, config->rules, config->metrics, err) != 0 ||
        json_writer_new(&collector->writer, COLLECTOR_CURSOR_MAX, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < config->sources->count; i++) {
        collector->count++;
        if (restore(collector, &collector->items[i], &config->sources->items[i], err) != 0) {
            goto done;
        }
    }
    *out = collector;
    collector = NULL;
    result = 0;

done:
    collector_free(collector);
    return result;
}

void collector_free(struct collector *collector)
{
    if (collector == NULL) {
        return;
    }
    for (size_t i = 0; i < collector->count; i++) {
        poll_end(collector, &collector->items[i]);
        post_origin_clear(&collector->items[i].origin);
        standing_clear(&collector->items[i].standing);
    }
    intake_free(collector->intake);
    json_writer_free(collector->writer);
    free(collector->items);
    free(collector);
}

/* About once a second: compaction and retention, and whether there is room for more. */
static int keep_house(struct collector *collector, struct ear_error *err)
{
    const int64_t mono_us = clock_mono_us();
    double fullness = 0;
    bool more = false;

    if (collector->house_mono_us != 0 && mono_us - collector->house_mono_us < HOUSE_EVERY_US) {
        return 0;
    }
    collector->house_mono_us = mono_us;
    if (stream_maintain(collector->config.stream, collector_now_us(collector), &more, err) != 0) {
        if (err->kind != EAR_RETRY) {
            return -1;
        }
        ear_error_clear(err); /* a full log: what is read makes room */
    }
    if (more) {
        collector->house_mono_us = mono_us - HOUSE_EVERY_US / 2;
    }
    fullness = stream_fullness(collector->config.stream);
    if (!collector->paused && fullness >= PAUSE_AT) {
        collector->paused = true;
        log_warn("the log is %.0f %% full: collecting pauses until what is read makes room; "
                 "or raise stream.size",
                 fullness * 100);
    } else if (collector->paused && fullness < RESUME_AT) {
        collector->paused = false;
        log_info("the log is %.0f %% full: collecting goes on", fullness * 100);
    }
    return 0;
}

static bool is_to_begin(const struct collector *collector, const struct listening *listening,
                        int64_t now_us)
{
    if (listening->phase != LISTENING_IDLE) {
        return false;
    }
    return collector->config.once ? !listening->finished
                                  : schedule_is_due(&listening->standing.schedule, now_us);
}

/* Begins what is due, by turns, so that no source waits behind the same others each time. */
static int begin_due(struct collector *collector, struct ear_error *err)
{
    const int64_t now_us = collector_now_us(collector);
    int64_t next_us = INT64_MAX;

    if (!collector->config.once && now_us < collector->next_due_us) {
        return 0;
    }
    collector->next_due_us = INT64_MAX;
    for (size_t i = 0; i < collector->count; i++) {
        struct listening *listening = &collector->items[(collector->turn + i) % collector->count];

        if (is_to_begin(collector, listening, now_us)) {
            if (collector->under_way >= COLLECTOR_POLLS_MAX) {
                collector->turn = (collector->turn + i) % collector->count;
                collector->is_crowded = true; /* the next poll that ends makes room */
                return 0;
            }
            if (poll_begin(collector, listening, err) != 0) {
                return -1;
            }
        }
        if (listening->phase == LISTENING_IDLE &&
            listening->standing.schedule.next_at_us < next_us) {
            next_us = listening->standing.schedule.next_at_us;
        }
    }
    if (next_us < collector->next_due_us) {
        collector->next_due_us = next_us;
    }
    return 0;
}

/* One step for each poll that is ready now; what becomes ready meanwhile waits for the next turn.
 */
static int step_ready(struct collector *collector, struct ear_error *err)
{
    const struct listening *last = collector->ready_last;
    bool more = last != NULL;

    while (more) {
        struct listening *listening = collector->ready;

        collector->ready = listening->next_ready;
        if (collector->ready == NULL) {
            collector->ready_last = NULL;
        }
        more = listening != last;
        if (poll_step(collector, listening, NULL, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* How long a turn may wait: not past the next poll or the next round of the house. */
static int wait_ms(const struct collector *collector, int timeout_ms)
{
    const int64_t most_us = (int64_t)timeout_ms * 1000;
    int64_t until_us = collector->next_due_us - collector_now_us(collector);

    if (collector->paused) {
        until_us = HOUSE_EVERY_US;
    } else if (collector->ready != NULL) {
        return 0;
    }
    if (collector->config.once || until_us > HOUSE_EVERY_US) {
        until_us = HOUSE_EVERY_US;
    }
    until_us = until_us < 0 ? 0 : until_us;
    return (int)((until_us < most_us ? until_us + 999 : most_us) / 1000);
}

int collector_turn(struct collector *collector, int timeout_ms, struct ear_error *err)
{
    const struct fetch_answer *answer = NULL;
    void *user = NULL;
    int came = 0;

    if (keep_house(collector, err) != 0) {
        return -1;
    }
    if (!collector->paused) {
        if (step_ready(collector, err) != 0 || begin_due(collector, err) != 0) {
            return -1;
        }
    } else if (collector->config.once) {
        collector_cut(collector, "the log is nearly full; run the other roles, or raise "
                                 "stream.size, and try again");
    }
    if (collector->config.once && !collector_is_busy(collector)) {
        return 0;
    }
    if (collector->pages >= COLLECTOR_PAGES_MAX && !collector->paused) {
        return 0; /* first what has come */
    }
    came = fetch_turn(collector->config.fetch, wait_ms(collector, timeout_ms), &answer, &user, err);
    if (came == 1) {
        return poll_answered(collector, user, answer, err);
    }
    return came;
}

bool collector_is_busy(const struct collector *collector)
{
    for (size_t i = 0; i < collector->count; i++) {
        if (!collector->items[i].finished) {
            return true;
        }
    }
    return false;
}

void collector_cut(struct collector *collector, const char *why)
{
    for (size_t i = 0; i < collector->count; i++) {
        struct listening *listening = &collector->items[i];
        struct ear_error err = {EAR_NONE, ""};

        if (listening->finished) {
            continue;
        }
        listening->finished = true;
        listening->outcome = COLLECTOR_LATER;
        if (standing_set_failure(&listening->standing, "cut", why, &err) != 0) {
            log_error("say what was cut", &err);
        }
    }
}

struct collector_report collector_report_at(const struct collector *collector, size_t index)
{
    const struct listening *listening = &collector->items[index];

    return (struct collector_report){
        .source = listening->entry->source->name,
        .counts = listening->counts,
        .requests = listening->requests,
        .outcome = listening->outcome,
        .error = listening->outcome == COLLECTOR_WELL ? NULL : listening->standing.error,
    };
}
