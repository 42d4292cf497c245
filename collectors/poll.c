/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a poll. Its state in memory, and where its source stands there, run ahead of the log
 * by what the open group holds: when a commit fails, the poll is dropped, and the next one begins
 * from what was committed (group.c).
 */

#include "collectors/collector_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/fetch/fetch.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/testpoint.h"

#define HOST_RESTS "the host asked to be left alone; it goes on when it may be asked again"
#define BUDGET_SPENT "the budget of requests is spent; it goes on when there is more"

static void hold_page(struct collector *collector, struct listening *listening, bool holds)
{
    if (holds && !listening->holds_page) {
        collector->pages++;
    } else if (!holds && listening->holds_page) {
        collector->pages--;
    }
    listening->holds_page = holds;
}

static void queue_ready(struct collector *collector, struct listening *listening)
{
    listening->phase = LISTENING_READY;
    listening->is_queued = true;
    listening->next_ready = NULL;
    if (collector->ready_last == NULL) {
        collector->ready = listening;
    } else {
        collector->ready_last->next_ready = listening;
    }
    collector->ready_last = listening;
}

static void leave_queue(struct collector *collector, struct listening *listening)
{
    struct listening *before = NULL;

    for (struct listening *each = collector->ready; each != listening; each = each->next_ready) {
        before = each;
    }
    if (before == NULL) {
        collector->ready = listening->next_ready;
    } else {
        before->next_ready = listening->next_ready;
    }
    if (collector->ready_last == listening) {
        collector->ready_last = before;
    }
    listening->is_queued = false;
}

void poll_end(struct collector *collector, struct listening *listening)
{
    if (listening->phase == LISTENING_FETCHING) {
        fetch_cancel(collector->config.fetch, listening);
    }
    if (listening->is_queued) {
        leave_queue(collector, listening);
    }
    hold_page(collector, listening, false);
    if (listening->state != NULL) {
        listening->entry->reader->end(listening->state);
        listening->state = NULL;
    }
    free(listening->began_with);
    free(listening->page_etag);
    free(listening->page_modified);
    listening->began_with = NULL;
    listening->page_etag = NULL;
    listening->page_modified = NULL;
    if (listening->phase == LISTENING_FETCHING || listening->phase == LISTENING_READY) {
        listening->phase = LISTENING_IDLE;
        collector->under_way--;
        if (collector->is_crowded) {
            collector->is_crowded = false;
            collector->next_due_us = 0;
        }
    }
    if (standing_next_us(&listening->standing) < collector->next_due_us) {
        collector->next_due_us = standing_next_us(&listening->standing);
    }
}

/* --- the beginning --- */

/* Brings the books up to where a poll begins now. */
static int open_books(struct collector *collector, struct listening *listening, int64_t now_us,
                      struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    const struct schedule *schedule = &standing->schedule;
    const int64_t grace_us = COVERAGE_LATE_S * CLOCK_SECOND_US;
    const bool refused = schedule->state != SCHEDULE_OK && now_us - schedule->next_at_us < grace_us;
    struct coverage_begun begun;

    if (coverage_begin(
            &standing->coverage, schedule->interval_us, refused ? COVERAGE_REFUSED : COVERAGE_AWAY,
            refused ? standing->error : "nobody asked: no collector ran, or none came round to it",
            now_us, &begun, err) != 0) {
        return -1;
    }
    if (begun.gap && !refused) {
        collector->away_sources++;
        collector->away_polls += begun.planned - 1;
    }
    books_tell_begun(collector, listening, &begun);
    return 0;
}

static int begin(struct collector *collector, struct listening *listening, int64_t since_us,
                 struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    const int64_t now_us = collector_now_us(collector);

    if (since_us == 0 && open_books(collector, listening, now_us, err) != 0) {
        return -1;
    }
    if (standing_set_text(&listening->began_with, standing->cursor, err) != 0) {
        return -1;
    }
    listening->poll = (struct source_poll){
        .settings = collector->config.settings,
        .source = listening->entry->source,
        .config = listening->entry->config,
        .self = listening->entry->reader->self,
        .cursor = listening->began_with,
        .cursor_length = standing->cursor_length,
        .now_us = now_us,
        .fetch = collector->config.fetch,
        .tokens = collector->config.tokens,
        .backfill_since_us = since_us,
    };
    listening->first_page = true;
    listening->found = 0;
    listening->moved = false;
    listening->budget_requests = 0;
    listening->floor_us = 0;
    listening->phase = LISTENING_READY;
    collector->under_way++;
    if (listening->entry->reader->begin(&listening->state, &listening->poll, err) != 0) {
        return failure_of_step(collector, listening, NULL, 0, err);
    }
    return poll_step(collector, listening, NULL, err);
}

int poll_begin(struct collector *collector, struct listening *listening, struct ear_error *err)
{
    return begin(collector, listening, 0, err);
}

int poll_begin_past(struct collector *collector, struct listening *listening, struct ear_error *err)
{
    return begin(collector, listening, listening->standing.backfill.since_us, err);
}

/* --- steps --- */

/* A stranger's address that is no URL, asked for on the side: no answer, and the reader goes on. */
static int answer_nothing(struct collector *collector, struct listening *listening,
                          struct ear_error *err)
{
    const struct fetch_answer answer = {
        .url = "", .type = "", .body = "", .retry_after_us = -1, .failure = *err};

    ear_error_clear(err);
    return poll_answered(collector, listening, &answer, err);
}

static int start_fetch(struct collector *collector, struct listening *listening,
                       struct fetch_request *request, struct ear_error *err)
{
    const struct standing *standing = &listening->standing;

    request->source = listening->entry->source->name;
    if (listening->first_page && !listening->any_status && !poll_is_past(listening) &&
        request->etag == NULL && request->last_modified == NULL && standing->cursor != NULL) {
        request->etag = standing->etag;
        request->last_modified = standing->last_modified;
    }
    TESTPOINT("collect.before-fetch");
    if (request->budget != NULL) {
        if (standing_set_text(&listening->budget, request->budget->id, err) != 0) {
            return -1;
        }
        listening->budget_requests++;
    }
    if (fetch_start(collector->config.fetch, request, listening, err) != 0) {
        return err->kind == EAR_CONFIG && listening->any_status
                   ? answer_nothing(collector, listening, err)
                   : failure_of_step(collector, listening, NULL, 0, err);
    }
    listening->phase = LISTENING_FETCHING;
    return 0;
}

void poll_tell_done(const struct collector *collector, const struct listening *listening)
{
    const struct intake_counts *counts = &listening->counts;
    const char *source = listening->entry->source->name;
    char labels[256];

    if (collector->config.metrics != NULL) {
        metrics_labels(labels, sizeof(labels), "source", source, NULL);
        metrics_set(collector->config.metrics, "earshot_collect_last_success_timestamp_seconds",
                    labels, (double)listening->standing.last_success_us / 1e6);
    }
    poll_show_drift(collector, listening);
    if (listening->found > 0 && !collector->config.once) {
        const struct log_field fields[] = {{"source", source}, {NULL, NULL}};

        log_event(LOG_LEVEL_INFO, fields,
                  "so far %" PRId64 " new, %" PRId64 " edited, %" PRId64 " deleted, %" PRId64
                  " rejected, %" PRId64 " undated",
                  counts->fresh, counts->edited, counts->deleted, counts->rejected,
                  counts->undated);
    }
}

/* A walk into the past that has come a step further ends where an ordinary poll is due; it goes on
 * afterwards. */
static bool is_to_make_way(const struct collector *collector, const struct listening *listening)
{
    return poll_is_past(listening) && listening->moved &&
           schedule_is_due(&listening->standing.schedule, collector_now_us(collector));
}

/* A request whose budget is spent for long is not waited for: the poll goes on later. */
static void spare_budget(const struct collector *collector, const struct listening *listening,
                         struct source_turn *turn)
{
    int64_t wait_us = 0;

    if (turn->next != SOURCE_FETCH) {
        return;
    }
    wait_us = turn->request.budget == NULL
                  ? fetch_rest_us(collector->config.fetch, turn->request.url)
                  : fetch_budget_wait_us(collector->config.fetch, turn->request.budget,
                                         listening->entry->source->name);
    if (wait_us > FETCH_WAIT_MAX_US) {
        *turn =
            (struct source_turn){.next = SOURCE_LATER,
                                 .wait_us = wait_us,
                                 .why = turn->request.budget == NULL ? HOST_RESTS : BUDGET_SPENT};
    }
}

/* The same once a request was handed over: what is in hand is in the group already. */
static int end_later(struct collector *collector, struct listening *listening, int64_t wait_us,
                     struct ear_error *err)
{
    const struct standing *standing = &listening->standing;
    const struct source_turn turn = {.next = SOURCE_LATER, .wait_us = wait_us, .why = BUDGET_SPENT};

    if (intake_begin(collector->intake, &listening->origin, standing->cursor,
                     standing->cursor_length, collector_now_us(collector), err) != 0 ||
        poll_keep_step(collector, listening, &turn, err) != 0) {
        intake_drop(collector->intake);
        return failure_of_keeping(collector, listening, err);
    }
    poll_end(collector, listening);
    return 0;
}

/* A step that ends its poll without having emitted anything may have come further all the same (a
 * page that was asked for in vain so many times): that much of it is kept. */
static void keep_cursor(struct collector *collector, struct listening *listening)
{
    struct standing *standing = &listening->standing;
    size_t length = 0;
    const char *cursor = intake_cursor(collector->intake, &length);
    char *kept =
        cursor == NULL || !intake_is_empty(collector->intake) ? NULL : strndup(cursor, length);

    if (kept != NULL) {
        free(standing->cursor);
        standing->cursor = kept;
        standing->cursor_length = length;
    }
}

int poll_step(struct collector *collector, struct listening *listening,
              const struct fetch_answer *answer, struct ear_error *err)
{
    const struct standing *standing = &listening->standing;
    struct source_turn turn = {0};

    if (intake_begin(collector->intake, &listening->origin, standing->cursor,
                     standing->cursor_length, collector_now_us(collector), err) != 0) {
        return failure_of_keeping(collector, listening, err);
    }
    if (listening->entry->reader->step(listening->state, answer, intake_output(collector->intake),
                                       &turn, err) != 0) {
        keep_cursor(collector, listening);
        intake_drop(collector->intake);
        return failure_of_step(collector, listening, answer, turn.wait_us, err);
    }
    if (turn.next == SOURCE_JUDGE) {
        keep_cursor(collector, listening);
        intake_drop(collector->intake);
        return failure_of_answer(collector, listening, answer, err);
    }
    spare_budget(collector, listening, &turn);
    TESTPOINT("collect.after-step");
    if (poll_keep_step(collector, listening, &turn, err) != 0) {
        intake_drop(collector->intake);
        return failure_of_keeping(collector, listening, err);
    }
    if (is_to_make_way(collector, listening)) {
        poll_end(collector, listening);
        return 0;
    }
    switch (turn.next) {
    case SOURCE_FETCH:
        hold_page(collector, listening, false);
        listening->any_status = turn.any_status;
        return start_fetch(collector, listening, &turn.request, err);
    case SOURCE_MORE:
        hold_page(collector, listening, answer != NULL || listening->holds_page);
        queue_ready(collector, listening);
        break;
    default:
        poll_end(collector, listening);
        break;
    }
    return 0;
}

/* Cache-Control's max-age: how long the page is good (RFC 9111, section 5.2.2.1); 0: not said. */
static int64_t max_age_us(const struct fetch_answer *answer)
{
    const char *control = fetch_answer_header(answer, "cache-control");
    const char *age = control == NULL ? NULL : strstr(control, "max-age=");
    const long seconds = age == NULL ? 0 : strtol(age + 8, NULL, 10);

    if (age == NULL || (age != control && strchr(" ,", age[-1]) == NULL)) {
        return 0;
    }
    return seconds < 0 ? 0 : seconds > 3600 ? CLOCK_HOUR_US : seconds * CLOCK_SECOND_US;
}

int poll_answered(struct collector *collector, struct listening *listening,
                  const struct fetch_answer *answer, struct ear_error *err)
{
    const bool page = (answer->status >= 200 && answer->status < 300) || answer->status == 304;

    TESTPOINT("collect.after-fetch");
    if (answer->budget_wait_us > 0) {
        listening->phase = LISTENING_READY;
        return end_later(collector, listening, answer->budget_wait_us, err);
    }
    listening->requests++;
    books_note_answer(collector, listening, answer->status != 0);
    coverage_request(&listening->standing.coverage, collector_now_us(collector));
    listening->standing.backfill.requests += poll_is_past(listening) ? 1 : 0;
    listening->phase = LISTENING_READY;
    if (!page && !listening->any_status) {
        return failure_of_answer(collector, listening, answer, err);
    }
    if (listening->first_page && page && !poll_is_past(listening)) {
        const struct standing *standing = &listening->standing;
        const bool same = answer->status == 304;

        listening->floor_us = max_age_us(answer);
        if (standing_set_text(&listening->page_etag,
                              same && answer->etag == NULL ? standing->etag : answer->etag,
                              err) != 0 ||
            standing_set_text(&listening->page_modified,
                              same && answer->last_modified == NULL ? standing->last_modified
                                                                    : answer->last_modified,
                              err) != 0) {
            return -1;
        }
    }
    listening->first_page = false;
    return poll_step(collector, listening, answer, err);
}
