/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/collector_internal.h"

#include <stdlib.h>
#include <string.h>

#include "collectors/errands.h"
#include "collectors/fetch/fetch.h"
#include "collectors/watch.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

enum {
    SETTLING_WAIT_MS = 50,
    LOOK_US = 4,     /* a source: looks for due ones come so far apart at least, */
    LOOK_MANY = 500, /* where there are so many sources */
};

#define HOUSE_EVERY_US CLOCK_SECOND_US
#define PAUSE_AT 0.9
#define RESUME_AT 0.88
#define LOOK_MAX_US (CLOCK_SECOND_US / 10)

int64_t collector_now_us(const struct collector *collector)
{
    return clock_now_us(collector->config.clock);
}

static int open_watch(struct collector *collector, struct ear_error *err)
{
    if (watch_new(&collector->watch, collector->config.settings->base_dir, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < collector->count; i++) {
        const struct source_entry *entry = collector->items[i].entry;
        const char *path =
            entry->reader->watches == NULL ? NULL : entry->reader->watches(entry->config);

        if (path != NULL && watch_add(collector->watch, i, path, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void wake(void *user, size_t source)
{
    struct collector *collector = user;

    collector->items[source].woken = true;
    collector->next_due_us = 0;
}

int collector_new(struct collector **out, const struct collector_config *config,
                  struct ear_error *err)
{
    static const char *const tables[] = {"cursors", "seen"};
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
    if (stream_share_open(&collector->share, config->stream, "collect", tables, 2, err) != 0 ||
        errands_new(&collector->errands, config->stream, collector_now_us(collector), err) != 0 ||
        intake_new(&collector->intake, config->stream, collector->share, config->rules,
                   config->metrics, err) != 0 ||
        json_writer_new(&collector->writer, COLLECTOR_CURSOR_MAX, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < config->sources->count; i++) {
        struct listening *listening = &collector->items[i];

        listening->entry = &config->sources->items[i];
        collector->count++;
        if (post_origin_init(&listening->origin, listening->entry->source, listening->entry->reader,
                             err) != 0) {
            goto done;
        }
        if (listening->origin.host != NULL) {
            outage_know(&collector->outage,
                        hash64_of(listening->origin.host, strlen(listening->origin.host), 0));
        }
    }
    if (!config->once && open_watch(collector, err) != 0) {
        goto done;
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
        free(collector->items[i].budget);
        post_origin_clear(&collector->items[i].origin);
        standing_clear(&collector->items[i].standing);
    }
    intake_free(collector->intake);
    errands_free(collector->errands);
    watch_free(collector->watch);
    stream_share_close(collector->share);
    json_writer_free(collector->writer);
    free(collector->parts);
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

static bool is_asked(const struct collector *collector, const struct listening *listening)
{
    return listening->phase == LISTENING_IDLE &&
           (collector->config.only == NULL ||
            strcmp(collector->config.only, listening->entry->source->name) == 0);
}

static bool is_to_begin(const struct collector *collector, const struct listening *listening,
                        int64_t now_us)
{
    if (!is_asked(collector, listening) || listening->part != 0) {
        return false;
    }
    if (collector->config.once || (collector->config.only != NULL && !listening->finished)) {
        return !listening->finished && clock_mono_us() >= listening->again_mono_us;
    }
    return listening->woken || schedule_is_due(&listening->standing.schedule, now_us);
}

static bool is_to_walk(const struct collector *collector, const struct listening *listening,
                       int64_t now_us)
{
    return is_asked(collector, listening) && listening->part == 0 &&
           backfill_is_due(collector, listening, now_us);
}

/* Commits where it is time to. */
static int commit_full(struct collector *collector, struct ear_error *err)
{
    return group_is_full(collector) ? group_commit(collector, err) : 0;
}

/* How long until the next look for due ones. Each goes through all sources: with thousands of them,
 * some always due, that was most of what a poll cost. What is due comes together a little, which is
 * as good for the commit. */
static int64_t look_wait_us(const struct collector *collector, int64_t mono_us)
{
    const int64_t most_us = collector->count < LOOK_MANY ? 0 : (int64_t)collector->count * LOOK_US;
    const int64_t every_us = most_us < LOOK_MAX_US ? most_us : LOOK_MAX_US;
    const int64_t since_us = mono_us - collector->looked_mono_us;

    return since_us >= every_us ? 0 : every_us - since_us;
}

/* Begins what is due, by turns, so that no source waits behind the same others each time. */
static int begin_due(struct collector *collector, struct ear_error *err)
{
    const int64_t now_us = collector_now_us(collector);
    const int64_t mono_us = clock_mono_us();
    int64_t next_us = INT64_MAX;

    if (!collector->config.once && collector->config.only == NULL &&
        now_us < collector->next_due_us) {
        return 0;
    }
    if (collector->looked_mono_us != 0 && look_wait_us(collector, mono_us) > 0) {
        return 0;
    }
    collector->looked_mono_us = mono_us;
    collector->next_due_us = INT64_MAX;
    for (size_t i = 0; i < collector->count; i++) {
        struct listening *listening = &collector->items[(collector->turn + i) % collector->count];

        const bool ordinary = is_to_begin(collector, listening, now_us);

        if (ordinary || is_to_walk(collector, listening, now_us)) {
            if (collector->under_way >= COLLECTOR_POLLS_MAX) {
                collector->turn = (collector->turn + i) % collector->count;
                collector->is_crowded = true; /* the next poll that ends makes room */
                return 0;
            }
            listening->woken = listening->woken && !ordinary;
            if ((ordinary ? poll_begin(collector, listening, err)
                          : poll_begin_past(collector, listening, err)) != 0 ||
                commit_full(collector, err) != 0) {
                return -1;
            }
            if (collector->commit_failed) {
                collector->next_due_us = 0; /* the others in the next turn */
                return 0;
            }
        }
        if (is_asked(collector, listening)) {
            const int64_t own_us = standing_next_us(&listening->standing);

            next_us = own_us < next_us ? own_us : next_us;
        }
    }
    if (next_us < collector->next_due_us) {
        collector->next_due_us = next_us;
    }
    books_tell_away(collector);
    return 0;
}

/* One step for each poll that is ready now; what becomes ready meanwhile waits for the next round.
 */
static int step_ready(struct collector *collector, struct ear_error *err)
{
    size_t count = 0;

    for (const struct listening *each = collector->ready; each != NULL; each = each->next_ready) {
        count++;
    }
    for (; count > 0 && collector->ready != NULL && !collector->commit_failed; count--) {
        struct listening *listening = collector->ready;

        collector->ready = listening->next_ready;
        if (collector->ready == NULL) {
            collector->ready_last = NULL;
        }
        listening->is_queued = false;
        if (poll_step(collector, listening, NULL, err) != 0 || commit_full(collector, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Takes an answer, waiting for it up to timeout_ms. 1: there was one. */
static int take_answer(struct collector *collector, int timeout_ms, struct ear_error *err)
{
    const struct fetch_answer *answer = NULL;
    void *user = NULL;
    const int came = fetch_turn(collector->config.fetch, timeout_ms, &answer, &user, err);

    if (came != 1) {
        return came;
    }
    return poll_answered(collector, user, answer, err) == 0 && commit_full(collector, err) == 0
               ? 1
               : -1;
}

/* Does a poll wait for an answer whose source takes no part in the group yet? */
static bool others_wait(const struct collector *collector)
{
    size_t parts = 0;

    for (size_t i = 0; i < collector->part_count; i++) {
        parts += collector->parts[i].listening->phase == LISTENING_FETCHING ? 1 : 0;
    }
    return fetch_pending(collector->config.fetch) > parts;
}

/* The answers that are there now, as long as pages may be held. If a group is open, those of other
 * sources too that come within the time that its commit would take. */
static int take_answers(struct collector *collector, struct ear_error *err)
{
    int came = 1;

    while (came == 1 && collector->pages < COLLECTOR_PAGES_MAX && !collector->commit_failed) {
        came = take_answer(collector, 0, err);
        if (came == 0 && collector->ready == NULL) {
            const int64_t patience_us = intake_patience_us(collector->intake);

            came = patience_us > 0 && others_wait(collector)
                       ? take_answer(collector, (int)(patience_us / 1000), err)
                       : 0;
        }
    }
    return came < 0 ? -1 : 0;
}

/*
 * Rounds of steps until nothing is ready, or for as long as a group may be open; then the commit,
 * so that no group is open while the collector waits.
 */
static int work(struct collector *collector, struct ear_error *err)
{
    const int64_t end_mono_us = clock_mono_us() + INTAKE_AGE_MAX_US;

    watch_look(collector->watch, clock_mono_us(), wake, collector);
    if (again_serve(collector, err) != 0 || backfill_serve(collector, err) != 0 ||
        (errands_are_known(collector->errands) && begin_due(collector, err) != 0)) {
        return -1;
    }
    do {
        if (step_ready(collector, err) != 0 || take_answers(collector, err) != 0) {
            return -1;
        }
    } while (collector->ready != NULL && !collector->commit_failed &&
             clock_mono_us() < end_mono_us);
    return group_commit(collector, err);
}

/* How long a turn may wait: not past the next poll or the next round of the house. */
static int wait_ms(const struct collector *collector, int timeout_ms)
{
    const int64_t most_us = (int64_t)timeout_ms * 1000;
    const int64_t look_us = look_wait_us(collector, clock_mono_us());
    int64_t until_us = collector->next_due_us - collector_now_us(collector);

    until_us = until_us < look_us ? look_us : until_us;
    if (collector->paused) {
        until_us = HOUSE_EVERY_US;
    } else if (collector->ready != NULL) {
        return 0;
    }
    if (collector->config.once) {
        until_us = look_us;
    }
    if (until_us > HOUSE_EVERY_US || (collector->config.once && until_us == 0)) {
        until_us = HOUSE_EVERY_US;
    }
    until_us = until_us < 0 ? 0 : until_us;
    return (int)((until_us < most_us ? until_us + 999 : most_us) / 1000);
}

/* Waits for an answer or, while sources are still to come, for those. */
static int wait_for_more(struct collector *collector, int timeout_ms, struct ear_error *err)
{
    int wait = wait_ms(collector, timeout_ms);
    int came = 0;

    if (stream_share_settling(collector->share) || collector->unsettled) {
        wait = wait < SETTLING_WAIT_MS ? wait : SETTLING_WAIT_MS;
        if (fetch_pending(collector->config.fetch) == 0) {
            return owner_serve(collector, wait, err);
        }
    }
    came = take_answer(collector, wait, err);
    return came == 1 ? work(collector, err) : came;
}

int collector_turn(struct collector *collector, int timeout_ms, struct ear_error *err)
{
    collector->commit_failed = false;
    if (owner_serve(collector, 0, err) != 0 || keep_house(collector, err) != 0) {
        return -1;
    }
    if (!collector->paused) {
        if (work(collector, err) != 0) {
            return -1;
        }
    } else if (collector->config.once) {
        collector_cut(collector, "the log is nearly full; run the other roles, or raise "
                                 "stream.size, and try again");
    }
    if (collector->config.once && !collector_is_busy(collector)) {
        return 0;
    }
    if (!collector->paused && (collector->ready != NULL || collector->commit_failed ||
                               !errands_are_known(collector->errands))) {
        return 0; /* first what has come */
    }
    return wait_for_more(collector, timeout_ms, err);
}

/* Is that source's walk still under way, or not known yet? */
static bool is_walking(const struct collector *collector)
{
    for (size_t i = 0; i < collector->count; i++) {
        const struct listening *listening = &collector->items[i];

        if (strcmp(listening->entry->source->name, collector->config.only) != 0) {
            continue;
        }
        return listening->phase == LISTENING_AWAY || listening->part != 0 ||
               (listening->phase != LISTENING_STOPPED &&
                backfill_is_open(&listening->standing.backfill));
    }
    return false;
}

bool collector_is_busy(const struct collector *collector)
{
    if (collector->config.only != NULL) {
        return !errands_are_known(collector->errands) || is_walking(collector);
    }
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
        .misfits = &listening->standing.misfits,
        .error = listening->outcome == COLLECTOR_WELL ? NULL
                 : listening->standing.error != NULL  ? listening->standing.error
                                                      : listening->standing.later,
    };
}
