/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a poll that fails, in one place: the rows of reliability.md's table "Bad input"
 * that speak of answers. A source waits (and asks again by itself) or is shown red (a person has to
 * look; asked again daily all the same). The failure is written where the source stands, so that
 * `status` can tell it, and told once in the log.
 */

#include "collectors/collector_internal.h"

#include <stdio.h>
#include <string.h>

#include "collectors/reject.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/settings/settings.h"

/* What was decided about a failure. */
struct verdict {
    bool red;
    char code[32];
    const char *sentence;
    int64_t retry_after_us; /* as the server says; -1: it does not */
    int64_t again_us;       /* a red one */
    const char *page;       /* [page_length] what is kept as a reject; NULL: nothing */
    size_t page_length;
    bool is_reject; /* it becomes a reject, with or without its bytes */
    bool ours;      /* our own network is away, and this may come of it */
};

void failure_tell(const struct collector *collector, const struct part *part)
{
    const struct standing *standing = &part->listening->standing;
    const struct log_field fields[] = {{"source", part->listening->entry->source->name},
                                       {"code", standing->code},
                                       {"state", schedule_state_name(standing->schedule.state)},
                                       {NULL, NULL}};
    char wait[DURATION_SIZE];

    if (collector->config.once) {
        return; /* it is in the source's line */
    }
    duration_format(wait, standing->schedule.next_at_us - collector_now_us(collector));
    log_event(!part->news ? LOG_LEVEL_DEBUG
              : part->red ? LOG_LEVEL_ERROR
                          : LOG_LEVEL_WARN,
              fields, "%s; asked again in %s", standing->error, wait);
}

/* Writes where the source now stands, and the reject, into the group. */
static int publish(struct collector *collector, struct listening *listening,
                   const struct verdict *verdict, struct part *part, struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    enum drift_change change = DRIFT_SAME;
    const int64_t now_us = collector_now_us(collector);
    const char *message = NULL;
    size_t length = 0;

    if (intake_begin(collector->intake, &listening->origin, standing->cursor,
                     standing->cursor_length, now_us, err) != 0) {
        return -1;
    }
    if (verdict->is_reject &&
        intake_reject(collector->intake, "page", verdict->code, verdict->sentence, verdict->page,
                      verdict->page_length, err) != 0) {
        return -1;
    }
    change = drift_add(&standing->drift, 0, 0, now_us);
    message = standing_write(standing, listening->entry->source, standing->cursor,
                             standing->cursor_length, now_us, collector->writer, &length, err);
    if (message == NULL || group_keep(collector, listening, message, length, err) != 0) {
        return -1;
    }
    part->change = change == DRIFT_SAME ? part->change : change;
    standing->written_us = now_us;
    return 0;
}

/* How long it now waits, and why. */
static int note(struct collector *collector, struct listening *listening,
                const struct verdict *verdict, bool *news, struct ear_error *err)
{
    struct standing *standing = &listening->standing;
    const char *name = listening->entry->source->name;
    const uint64_t seed = hash64_of(name, strlen(name), collector->config.seed);
    const int64_t now_us = collector_now_us(collector);

    *news = standing->code == NULL || strcmp(standing->code, verdict->code) != 0;
    if (verdict->red) {
        schedule_refuse(&standing->schedule, verdict->again_us, now_us, seed);
    } else {
        schedule_wait(&standing->schedule, verdict->retry_after_us, now_us, seed);
    }
    return standing_set_failure(standing, verdict->code, verdict->sentence, err);
}

static int settle(struct collector *collector, struct listening *listening,
                  const struct verdict *verdict, struct ear_error *err)
{
    struct part *part = group_join(collector, listening, err);

    if (part == NULL || note(collector, listening, verdict, &part->news, err) != 0) {
        return -1;
    }
    part->failed = true;
    part->red = verdict->red;
    if (!poll_is_past(listening)) {
        coverage_failed(&listening->standing.coverage, verdict->ours, collector_now_us(collector));
    }
    if (publish(collector, listening, verdict, part, err) != 0) {
        intake_drop(collector->intake);
        if (err->kind == EAR_FATAL || err->kind == EAR_FENCED) {
            return -1;
        }
        if (!collector->config.once) {
            log_error("write where a source stands", err);
        }
        ear_error_clear(err);
    }
    poll_end(collector, listening);
    return 0;
}

/* --- answers --- */

/* What a network that is away, or somebody between us and it, makes of an answer. */
static bool is_of_the_way(const char *code)
{
    return strcmp(code, "no_answer") == 0 || strcmp(code, "tls") == 0 ||
           strcmp(code, "forbidden_address") == 0;
}

static void judge_failure(const struct collector *collector, struct verdict *verdict,
                          const struct fetch_answer *answer)
{
    verdict->sentence =
        reject_split(verdict->code, sizeof(verdict->code), answer->failure.message, "no_answer");
    verdict->ours = collector->outage.away && is_of_the_way(verdict->code);
    if (answer->failure.kind != EAR_REJECT || verdict->ours) {
        return;
    }
    if (strcmp(verdict->code, "forbidden_address") == 0) {
        verdict->red = true;
    } else if (strcmp(verdict->code, "tls") == 0) {
        verdict->red = true;
        verdict->again_us =
            CLOCK_HOUR_US; /* a certificate is renewed sooner than a ban is lifted */
    } else {
        verdict->is_reject = true; /* too_big, bomb, redirect */
    }
}

static const struct {
    int status;
    const char *code, *sentence;
} refusals[] = {
    {401, "auth", "the server wants a login (401); check the source's key or token"},
    {403, "auth", "the server refuses us (403); check that the place is public, or its key"},
    {404, "not_found", "nothing is there (404); check the source's address"},
    {410, "gone", "it is gone for good, says the server (410); take the source out"},
};

static bool says_later(int status)
{
    return status == 429 || status == 408 || status == 425 || status >= 500;
}

const char *collector_sentence(int status, char *out, size_t size)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].status == status) {
            return refusals[i].sentence;
        }
    }
    (void)snprintf(out, size,
                   says_later(status) ? "the server says to come back later (%d)"
                   : status < 400     ? "the server answered %d, which is no page"
                                      : "the server refuses the request (%d); check the address",
                   status);
    return out;
}

static void judge_status(struct verdict *verdict, const struct fetch_answer *answer, char *sentence,
                         size_t size)
{
    const int status = answer->status;
    const char *code = "refused";

    verdict->sentence = collector_sentence(status, sentence, size);
    verdict->retry_after_us = answer->retry_after_us;
    if (says_later(status)) {
        code = status == 429 ? "rate_limit" : "server";
    } else if (status < 400) {
        code = "redirect";
    } else {
        verdict->red = true;
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        code = refusals[i].status == status ? refusals[i].code : code;
    }
    (void)snprintf(verdict->code, sizeof(verdict->code), "%s", code);
}

int failure_of_answer(struct collector *collector, struct listening *listening,
                      const struct fetch_answer *answer, struct ear_error *err)
{
    struct verdict verdict = {.retry_after_us = -1, .again_us = SCHEDULE_DAILY_US};
    char sentence[128];

    if (answer->status == 0) {
        judge_failure(collector, &verdict, answer);
    } else {
        judge_status(&verdict, answer, sentence, sizeof(sentence));
    }
    return settle(collector, listening, &verdict, err);
}

/* --- steps and commits --- */

int failure_of_step(struct collector *collector, struct listening *listening,
                    const struct fetch_answer *answer, int64_t wait_us, struct ear_error *err)
{
    struct verdict verdict = {.retry_after_us = wait_us > 0 ? wait_us : -1,
                              .again_us = SCHEDULE_DAILY_US};
    const struct ear_error why = *err;

    if (why.kind == EAR_FATAL || why.kind == EAR_FENCED || why.kind == EAR_NONE) {
        ear_error_context(err, "source '%s'", listening->entry->source->name);
        return -1;
    }
    ear_error_clear(err);
    verdict.sentence = reject_split(verdict.code, sizeof(verdict.code), why.message,
                                    why.kind == EAR_CONFIG  ? "config"
                                    : why.kind == EAR_RETRY ? "later"
                                                            : "schema");
    verdict.red = why.kind == EAR_CONFIG;
    if (why.kind == EAR_REJECT) {
        verdict.is_reject = true;
        verdict.page = answer == NULL ? NULL : answer->body;
        verdict.page_length = answer == NULL ? 0 : answer->body_length;
    }
    return settle(collector, listening, &verdict, err);
}

int failure_of_keeping(struct collector *collector, struct listening *listening,
                       struct ear_error *err)
{
    struct verdict verdict = {.retry_after_us = -1, .again_us = SCHEDULE_DAILY_US, .code = "log"};
    const struct ear_error why = *err;

    if (why.kind ==
        EAR_REJECT) { /* what the reader wants to remember is more than a message holds */
        verdict.red = true;
        (void)snprintf(verdict.code, sizeof(verdict.code), "cursor");
    } else if (why.kind != EAR_RETRY) {
        err->kind = EAR_FATAL;
        ear_error_context(err, "source '%s'", listening->entry->source->name);
        return -1;
    }
    ear_error_clear(err);
    verdict.sentence = why.message;
    return settle(collector, listening, &verdict, err);
}

/* What the log did not take is not tried at once with the failure itself: that is told here alone,
 * and written with the next poll. */
int failure_of_commit(struct collector *collector, const struct part *part,
                      const struct ear_error *why, struct ear_error *err)
{
    const struct verdict verdict = {.retry_after_us = -1, .code = "log", .sentence = why->message};
    struct listening *listening = part->listening;
    struct schedule *schedule = &listening->standing.schedule;
    struct part told = {.listening = listening, .failed = true};

    schedule->failures = part->failures_before;
    if (note(collector, listening, &verdict, &told.news, err) != 0) {
        return -1;
    }
    told.news = !part->log_before;
    listening->finished = true;
    listening->outcome = COLLECTOR_LATER;
    if (schedule->next_at_us < collector->next_due_us) {
        collector->next_due_us = schedule->next_at_us;
    }
    failure_tell(collector, &told);
    return 0;
}

void failure_of_cursor(struct collector *collector, struct listening *listening,
                       const struct ear_error *why)
{
    struct ear_error err = {EAR_NONE, ""};
    const struct log_field fields[] = {
        {"source", listening->entry->source->name}, {"code", "cursor"}, {NULL, NULL}};

    listening->phase = LISTENING_STOPPED;
    listening->finished = true;
    listening->outcome = COLLECTOR_FAILED;
    if (standing_set_failure(&listening->standing, "cursor", why->message, &err) != 0 ||
        !collector->config.once) {
        log_event(LOG_LEVEL_ERROR, fields, "%s; the source stops until a person has looked",
                  why->message);
    }
}
