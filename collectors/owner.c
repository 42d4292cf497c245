/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sources are ours. The share says since which of its changes a source has been ours without
 * a break; where that is another one than we know of, what we know is void, and the source is
 * restored from the log, which then holds all that its last owner committed.
 */

#include "collectors/collector_internal.h"

#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

int owner_restore(struct collector *collector, struct listening *listening, struct ear_error *err)
{
    standing_clear(&listening->standing);
    listening->phase = LISTENING_IDLE;
    intake_forget_known(collector->intake);
    if (standing_restore(&listening->standing, collector->config.stream, listening->entry->source,
                         collector_now_us(collector), err) == 0) {
        const int64_t next_us = standing_next_us(&listening->standing);

        if (next_us < collector->next_due_us) {
            collector->next_due_us = next_us;
        }
        return 0;
    }
    if (err->kind != EAR_REJECT) {
        return -1;
    }
    failure_of_cursor(collector, listening, err);
    ear_error_clear(err);
    return 0;
}

static int64_t epoch_of(const struct collector *collector, const struct listening *listening)
{
    const char *name = listening->entry->source->name;

    return stream_share_owns(collector->share, name, strlen(name));
}

bool owner_has(const struct collector *collector, const struct listening *listening)
{
    return listening->epoch != 0 && epoch_of(collector, listening) == listening->epoch;
}

static void let_go(struct collector *collector, struct listening *listening)
{
    poll_end(collector, listening);
    standing_clear(&listening->standing);
    listening->phase = LISTENING_AWAY;
    listening->epoch = 0;
    listening->asked_mono_us = 0;
    collector->owned--;
}

void owner_drop_all(struct collector *collector)
{
    for (size_t i = 0; i < collector->count; i++) {
        if (collector->items[i].epoch != 0) {
            let_go(collector, &collector->items[i]);
        }
    }
    collector->unsettled = true;
}

static int take_over(struct collector *collector, struct listening *listening, int64_t epoch,
                     struct ear_error *err)
{
    listening->epoch = epoch;
    collector->owned++;
    if (listening->elsewhere) {
        listening->elsewhere = false;
        listening->finished = false;
        listening->outcome = COLLECTOR_WELL;
    }
    if (owner_restore(collector, listening, err) == 0) {
        return 0;
    }
    let_go(collector, listening);
    if (err->kind != EAR_RETRY) {
        ear_error_context(err, "source '%s'", listening->entry->source->name);
        return -1;
    }
    collector->unsettled = true; /* asked again in the next turn */
    ear_error_clear(err);
    return 0;
}

/* Says how many there are, when that has changed. */
static void tell(const struct collector *collector, size_t before)
{
    metrics_set(collector->config.metrics, "earshot_collect_sources", NULL,
                (double)collector->owned);
    if (collector->config.once || collector->owned == before) {
        return;
    }
    log_info("%zu of %zu sources are this collector's now; they were %zu", collector->owned,
             collector->count, before);
}

static int look_again(struct collector *collector, struct ear_error *err)
{
    const size_t before = collector->owned;

    collector->unsettled = false;
    for (size_t i = 0; i < collector->count; i++) {
        struct listening *listening = &collector->items[i];
        const int64_t epoch = epoch_of(collector, listening);

        if (epoch == listening->epoch) {
            continue;
        }
        if (listening->epoch != 0) {
            let_go(collector, listening);
        }
        if (epoch != 0 && take_over(collector, listening, epoch, err) != 0) {
            return -1;
        }
    }
    tell(collector, before);
    return 0;
}

/* With `once`: what another collector has is not waited for. */
static int leave_to_others(struct collector *collector, struct ear_error *err)
{
    for (size_t i = 0; i < collector->count; i++) {
        struct listening *listening = &collector->items[i];

        if (listening->epoch != 0 || listening->finished) {
            continue;
        }
        listening->finished = true;
        listening->elsewhere = true;
        listening->outcome = COLLECTOR_LATER;
        if (standing_set_failure(&listening->standing, "elsewhere",
                                 "another collector has this source", err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The group of collectors cannot be asked just now: what is ours stays so until it says otherwise.
 */
static void go_without(struct collector *collector, struct ear_error *err)
{
    if (!collector->share_away) {
        log_error("share the sources out; it is tried again", err);
    }
    collector->share_away = true;
    ear_error_clear(err);
}

int owner_serve(struct collector *collector, int timeout_ms, struct ear_error *err)
{
    bool changed = false;

    if (stream_share_turn(collector->share, timeout_ms, &changed, err) != 0) {
        if (err->kind != EAR_RETRY) {
            return -1;
        }
        go_without(collector, err);
        return changed ? look_again(collector, err) : 0;
    }
    if (collector->share_away) {
        log_info("sources are shared out again");
        collector->share_away = false;
    }
    if ((changed || collector->unsettled) && look_again(collector, err) != 0) {
        return -1;
    }
    if (!collector->config.once || collector->unsettled ||
        stream_share_settling(collector->share)) {
        return 0;
    }
    return leave_to_others(collector, err);
}
