/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several steps commit together. Each source that has a step in the open group has a part in
 * it: what is to be counted, said and reported once the log has it. Where a source stands, in
 * memory, runs ahead of the log for as long. If the commit fails, every poll that took part is
 * dropped and its source restored from the log.
 */

#include "collectors/collector_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"

struct part *group_join(struct collector *collector, struct listening *listening,
                        struct ear_error *err)
{
    const struct standing *standing = &listening->standing;

    if (listening->part != 0) {
        return &collector->parts[listening->part - 1];
    }
    if (collector->part_count == collector->part_capacity) {
        const size_t capacity = collector->part_capacity == 0 ? 16 : collector->part_capacity * 2;
        struct part *parts = realloc(collector->parts, capacity * sizeof(*parts));

        if (parts == NULL) {
            ear_fail_memory(err, "a group of steps");
            return NULL;
        }
        collector->parts = parts;
        collector->part_capacity = capacity;
    }
    collector->parts[collector->part_count] = (struct part){
        .listening = listening,
        .drift_before = standing->drift,
        .failures_before = standing->schedule.failures,
        .log_before = standing->code != NULL && strcmp(standing->code, "log") == 0,
    };
    listening->part = ++collector->part_count;
    return &collector->parts[listening->part - 1];
}

int group_keep(struct collector *collector, struct listening *listening, const char *message,
               size_t length, struct ear_error *err)
{
    const struct intake_counts counts = *intake_counts(collector->intake);
    struct part *part = group_join(collector, listening, err);

    if (part == NULL) {
        return -1;
    }
    if (message == NULL && intake_is_empty(collector->intake)) {
        intake_drop(collector->intake);
    } else if (intake_keep(collector->intake, &part->intake, message, length, err) != 0) {
        return -1;
    }
    intake_counts_add(&part->counts, &counts);
    return 0;
}

bool group_is_full(const struct collector *collector)
{
    return intake_is_full(collector->intake) || collector->part_count >= COLLECTOR_PARTS_MAX;
}

static void count_posts(const struct collector *collector, const struct part *part)
{
    const struct intake_counts *counts = &part->counts;
    char labels[256];

    if (collector->config.metrics == NULL) {
        return;
    }
    metrics_labels(labels, sizeof(labels), "source", part->listening->entry->source->name, NULL);
    metrics_add(collector->config.metrics, "earshot_collect_posts_total", labels,
                (double)(counts->fresh + counts->edited + counts->deleted));
    metrics_add(collector->config.metrics, "earshot_collect_undated_total", labels,
                (double)counts->undated);
}

/* With `once`: does its poll go on by itself soon enough? Then it is not finished. One that does
 * not say when goes on at once, as long as it comes further. */
static bool is_waited_for(const struct collector *collector, struct listening *listening)
{
    const int64_t at_us = clock_mono_us() + listening->later_us;

    if (!collector->config.once || (listening->later_us <= 0 && !listening->moved) ||
        listening->agains >= COLLECTOR_AGAINS_MAX ||
        at_us >= collector->config.once_until_mono_us) {
        return false;
    }
    listening->again_mono_us = at_us;
    listening->agains++;
    return true;
}

static void take_effect(const struct collector *collector, const struct part *part)
{
    struct listening *listening = part->listening;

    intake_counts_add(&listening->counts, &part->counts);
    count_posts(collector, part);
    books_tell_part(collector, part);
    poll_tell_drift(collector, listening, part->change);
    if (part->failed) {
        listening->finished = true;
        listening->outcome = part->red ? COLLECTOR_FAILED : COLLECTOR_LATER;
        failure_tell(collector, part);
    } else if (part->done) {
        listening->finished = !part->later || !is_waited_for(collector, listening);
        listening->outcome = part->later ? COLLECTOR_LATER : COLLECTOR_WELL;
        poll_tell_done(collector, listening);
    }
    if (part->failed || part->done) {
        intake_tell_undated(listening->entry->source->name,
                            listening->counts.undated - listening->undated_told);
        listening->undated_told = listening->counts.undated;
    }
}

/* Nothing of the part is in the log: back to what is. */
static int undo(struct collector *collector, const struct part *part, const struct ear_error *why,
                struct ear_error *err)
{
    struct listening *listening = part->listening;

    poll_end(collector, listening);
    if (!owner_has(collector, listening)) { /* in doubt: the share restores it itself first */
        collector->unsettled = true;
        return 0;
    }
    if (owner_restore(collector, listening, err) != 0) {
        if (err->kind != EAR_RETRY) {
            return -1;
        }
        ear_error_clear(err); /* the log is away: everything is restored when it is back */
        owner_drop_all(collector);
        return 0;
    }
    listening->standing.drift = part->drift_before;
    return failure_of_commit(collector, part, why, err);
}

static int undo_all(struct collector *collector, struct ear_error *err)
{
    const struct ear_error why = *err;

    ear_error_clear(err);
    if (why.kind == EAR_FENCED) {
        log_info("sources went to another collector before they were committed: %s", why.message);
        owner_drop_all(collector);
        return 0;
    }
    if (why.kind != EAR_RETRY) {
        *err = why;
        return -1;
    }
    if (!collector->config.once) {
        log_error("commit what was collected; it is collected again", &why);
    }
    for (size_t i = 0; i < collector->part_count; i++) {
        if (collector->parts[i].listening->epoch != 0 &&
            undo(collector, &collector->parts[i], &why, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int group_commit(struct collector *collector, struct ear_error *err)
{
    int result = 0;

    for (size_t i = 0; i < collector->part_count; i++) {
        collector->parts[i].listening->part = 0;
    }
    if (intake_holds(collector->intake) && intake_commit(collector->intake, err) != 0) {
        collector->commit_failed = true;
        result = undo_all(collector, err);
    } else {
        for (size_t i = 0; i < collector->part_count; i++) {
            take_effect(collector, &collector->parts[i]);
        }
    }
    collector->part_count = 0;
    return result;
}
