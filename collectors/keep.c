/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of a poll brings into the group: where its source stands then, and what that means
 * for its schedule, its drift and the books. */

#include "collectors/collector_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"

static uint64_t seed_of(const struct collector *collector, const struct listening *listening)
{
    const char *name = listening->entry->source->name;

    return hash64_of(name, strlen(name), collector->config.seed);
}

static bool is_same_text(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

/* Brings where the source stands up to date with the end of a poll. Returns whether that is worth a
 * message by itself. */
static bool finish_standing(struct collector *collector, struct listening *listening, bool later,
                            int64_t now_us)
{
    struct standing *standing = &listening->standing;
    const bool stale = standing->written_us == INT64_MIN || now_us < standing->written_us ||
                       now_us - standing->written_us >= STANDING_FRESH_US;
    const bool news = collector->config.once || later || listening->found > 0 || stale ||
                      standing->schedule.state != SCHEDULE_OK || standing->error != NULL ||
                      !is_same_text(standing->etag, listening->page_etag) ||
                      !is_same_text(standing->last_modified, listening->page_modified);
    const struct schedule_poll poll = {
        .posts = listening->found,
        .since_us =
            standing->last_success_us == INT64_MIN ? -1 : now_us - standing->last_success_us,
        .requests = listening->budget_requests,
        .share_us = listening->budget == NULL || listening->budget_requests == 0
                        ? 0
                        : fetch_budget_share_us(collector->config.fetch, listening->budget),
        .floor_us = listening->floor_us,
    };

    if (listening->budget_requests > 0) {
        standing->quota_left = fetch_budget_left(collector->config.fetch, listening->budget);
    }
    schedule_done(&standing->schedule, &poll, now_us, seed_of(collector, listening));
    if (later) { /* a walk that is not at its end must see its pages again */
        free(listening->page_etag);
        free(listening->page_modified);
        listening->page_etag = NULL;
        listening->page_modified = NULL;
    }
    standing->last_success_us = now_us;
    standing_clear_failure(standing);
    free(standing->etag);
    free(standing->last_modified);
    standing->etag = listening->page_etag;
    standing->last_modified = listening->page_modified;
    listening->page_etag = NULL;
    listening->page_modified = NULL;
    return news;
}

/*
 * Counts what the step took in towards the source's drift. What is unchanged, and what was
 * forgotten, comes again with every poll and would hide a drift: it is left out. Nor is a page that
 * is no page counted: then the source waits, and says why.
 */
static int count_drift(struct collector *collector, struct standing *standing, int64_t now_us,
                       enum drift_change *change, struct ear_error *err)
{
    const struct intake_counts *counts = intake_counts(collector->intake);
    const char *reason = NULL;
    const char *code = intake_last_reject(collector->intake, &reason);
    struct drift_counts window;
    char sentence[512];

    *change = drift_add(&standing->drift,
                        counts->fresh + counts->edited + counts->deleted + counts->rejected,
                        counts->rejected, now_us);
    if (!standing->drift.drifting || code == NULL) {
        return 0;
    }
    window = drift_counts(&standing->drift, now_us);
    (void)snprintf(sentence, sizeof(sentence),
                   "%" PRId64 " of %" PRId64 " records were rejected within ten minutes; "
                   "`earshot rejects` shows them; the last is '%s': %s",
                   window.rejects, window.records, code, reason);
    return standing_set_text(&standing->drift_error, sentence, err);
}

void poll_show_drift(const struct collector *collector, const struct listening *listening)
{
    char labels[256];

    if (collector->config.metrics != NULL) {
        metrics_labels(labels, sizeof(labels), "source", listening->entry->source->name, NULL);
        metrics_set(collector->config.metrics, "earshot_collect_drifting", labels,
                    listening->standing.drift.drifting ? 1 : 0);
    }
}

void poll_tell_drift(const struct collector *collector, const struct listening *listening,
                     enum drift_change change)
{
    const struct log_field fields[] = {{"source", listening->entry->source->name}, {NULL, NULL}};

    if (change == DRIFT_SAME) {
        return;
    }
    poll_show_drift(collector, listening);
    if (change == DRIFT_BEGAN) {
        log_event(LOG_LEVEL_WARN, fields, "the source is drifting: %s",
                  listening->standing.drift_error);
    } else {
        log_event(LOG_LEVEL_INFO, fields, "the source no longer drifts");
    }
}

/* What a step means for the books: what came, and what may be missing. *news: it is worth a
 * message. */
static int keep_books(struct collector *collector, struct listening *listening, struct part *part,
                      int64_t now_us, bool *news, struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    const struct intake_counts *counts = intake_counts(collector->intake);
    const bool first = listening->poll.cursor == NULL;
    const bool past = poll_is_past(listening);
    size_t count = 0;
    const struct coverage_gap *gaps = intake_gaps(collector->intake, &count);

    if (past) {
        backfill_step(listening, counts, intake_reached_us(collector->intake));
    }
    if (counts->fresh > 0) {
        const uint32_t *ages = first || past ? NULL : intake_ages(collector->intake);

        coverage_posts(&standing->coverage, counts->fresh, ages, now_us);
        for (size_t i = 0; ages != NULL && i < AGES_COUNT; i++) {
            part->ages[i] += ages[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (coverage_gap(&standing->coverage, gaps[i].kind, gaps[i].from_us, gaps[i].to_us, 0,
                         gaps[i].why, now_us, err) != 0) {
            return -1;
        }
        part->gaps++;
        *news = true;
    }
    return 0;
}

/* What the reader says that does not fit. *news: it was not known so. */
static int keep_misfits(struct collector *collector, struct listening *listening, struct part *part,
                        int64_t now_us, bool *news, struct ear_error *err)
{
    size_t count = 0;
    const struct misfit *told = intake_misfits(collector->intake, &count);

    for (size_t i = 0; i < count; i++) {
        bool is_news = false;

        if (misfits_tell(&listening->standing.misfits, &told[i], now_us, &is_news, err) != 0) {
            return -1;
        }
        part->misfits += is_news && told[i].text[0] != '\0' ? 1 : 0;
        *news = *news || is_news;
    }
    return 0;
}

/* The end of a poll for where the source stands. Returns whether that is worth a message. */
static bool finish(struct collector *collector, struct listening *listening,
                   const struct source_turn *turn, int64_t now_us)
{
    struct standing *standing = &listening->standing;
    bool news = true;

    if (poll_is_past(listening)) {
        if (turn->next == SOURCE_DONE) {
            standing->backfill.done_us = now_us;
        } else {
            standing->backfill.next_us = now_us + turn->wait_us;
        }
        return true;
    }
    news = finish_standing(collector, listening, turn->next == SOURCE_LATER, now_us);
    if (turn->next == SOURCE_LATER) {
        schedule_later(&standing->schedule, turn->wait_us, now_us);
        return true;
    }
    coverage_made(&standing->coverage, standing->schedule.next_at_us, now_us);
    return news;
}

/* Writes where the source then stands. *cursor, [*length]: the caller's, what the step puts in the
 * old one's place; NULL: nothing. NULL: err. */
static const char *write_where(struct collector *collector, const struct listening *listening,
                               char **cursor, size_t *length, size_t *message_length,
                               int64_t now_us, struct ear_error *err)
{
    const struct standing *standing = &listening->standing;
    const char *fresh = intake_cursor(collector->intake, length);

    if (fresh != NULL) {
        *cursor = strndup(fresh, *length);
        if (*cursor == NULL) {
            ear_fail_memory(err, "a cursor");
            return NULL;
        }
    }
    return standing_write(standing, listening->entry->source,
                          fresh != NULL ? fresh : standing->cursor,
                          fresh != NULL ? *length : standing->cursor_length, now_us,
                          collector->writer, message_length, err);
}

/* What the step says of its source: what came, and whether the poll is at its end. *news: it is
 * worth a message. */
static int note_step(struct collector *collector, struct listening *listening, struct part *part,
                     const struct source_turn *turn, bool *news, int64_t now_us,
                     struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    const struct intake_counts *counts = intake_counts(collector->intake);
    const bool later = turn->next == SOURCE_LATER;
    const bool done = turn->next == SOURCE_DONE || later;

    if (counts->fresh + counts->edited + counts->deleted > 0) {
        listening->found += counts->fresh + counts->edited + counts->deleted;
        standing->last_post_us = poll_is_past(listening) ? standing->last_post_us : now_us;
    }
    if (keep_books(collector, listening, part, now_us, news, err) != 0 ||
        keep_misfits(collector, listening, part, now_us, news, err) != 0) {
        return -1;
    }
    if (done && finish(collector, listening, turn, now_us)) {
        *news = true;
    }
    listening->later_us = later ? turn->wait_us : 0;
    return done ? standing_set_text(&standing->later,
                                    !later              ? NULL
                                    : turn->why == NULL ? ""
                                                        : turn->why,
                                    err)
                : 0;
}

/* What the step found goes into the group, where there is something to commit. */
int poll_keep_step(struct collector *collector, struct listening *listening,
                   const struct source_turn *turn, struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    struct part *part = group_join(collector, listening, err);
    const struct drift drift_before = standing->drift;
    const bool past = poll_is_past(listening);
    const bool done = turn->next == SOURCE_DONE || turn->next == SOURCE_LATER;
    enum drift_change change = DRIFT_SAME;
    const int64_t now_us = collector_now_us(collector);
    size_t length = 0;
    const char *fresh = intake_cursor(collector->intake, &length);
    const char *message = NULL;
    size_t message_length = 0;
    char *cursor = NULL;
    bool news = fresh != NULL && !is_same_text(fresh, standing->cursor);
    int result = -1;

    if (part == NULL) {
        return -1;
    }
    listening->moved = listening->moved || news;
    if (note_step(collector, listening, part, turn, &news, now_us, err) != 0 ||
        count_drift(collector, standing, now_us, &change, err) != 0) {
        goto done;
    }
    if (news || change != DRIFT_SAME || !intake_is_empty(collector->intake)) {
        message = write_where(collector, listening, &cursor, &length, &message_length, now_us, err);
        if (message == NULL) {
            goto done;
        }
    }
    if (group_keep(collector, listening, message, message_length, err) != 0) {
        goto done;
    }
    standing->written_us = message != NULL ? now_us : standing->written_us;
    if (cursor != NULL) {
        free(standing->cursor);
        standing->cursor = cursor;
        standing->cursor_length = length;
        cursor = NULL;
    }
    part->change = change == DRIFT_SAME ? part->change : change;
    part->done = part->done || (done && !past);
    part->walked = part->walked || (past && turn->next == SOURCE_DONE);
    part->later = turn->next == SOURCE_LATER;
    result = 0;

done:
    if (result != 0) { /* not stored: the next poll must not be spared its page by it */
        free(standing->etag);
        free(standing->last_modified);
        standing->etag = NULL;
        standing->last_modified = NULL;
        standing->drift = drift_before; /* it will be counted again */
    }
    free(cursor);
    return result;
}
