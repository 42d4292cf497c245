/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/intake_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/ledger.h"
#include "collectors/outgoing.h"
#include "collectors/reject.h"
#include "common/clock.h"
#include "common/json/json.h"
#include "common/log.h"
#include "common/message/message.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "common/testfault.h"
#include "common/testpoint.h"

int intake_new(struct intake **out, struct stream *stream, struct stream_share *share,
               const struct post_rules *rules, struct metrics *metrics, struct ear_error *err)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    int result = -1;

    if (intake == NULL) {
        ear_fail_memory(err, "the intake");
        goto done;
    }
    intake->stream = stream;
    intake->share = share;
    intake->group = 1;
    intake->rules = rules;
    intake->metrics = metrics;
    intake->output = intake_make_output(intake);
    if (ledger_new(&intake->ledger, stream, err) != 0 ||
        outgoing_new(&intake->outgoing, err) != 0 ||
        json_writer_new(&intake->writer, MESSAGE_POST_MAX, err) != 0 ||
        json_writer_new(&intake->rejects, MESSAGE_MAX, err) != 0) {
        goto done;
    }
    *out = intake;
    intake = NULL;
    result = 0;

done:
    intake_free(intake);
    return result;
}

void intake_free(struct intake *intake)
{
    if (intake == NULL) {
        return;
    }
    ledger_free(intake->ledger);
    outgoing_free(intake->outgoing);
    json_writer_free(intake->writer);
    json_writer_free(intake->rejects);
    free(intake->cursor);
    free(intake);
}

const struct source_output *intake_output(struct intake *intake)
{
    return &intake->output;
}

const char *intake_cursor(const struct intake *intake, size_t *length)
{
    *length = intake->cursor_length;
    return intake->cursor;
}

const struct intake_counts *intake_counts(const struct intake *intake)
{
    return &intake->counts;
}

const char *intake_last_reject(const struct intake *intake, const char **reason)
{
    if (intake->counts.rejected == 0) {
        return NULL;
    }
    *reason = intake->last_reason;
    return intake->last_code;
}

const uint32_t *intake_ages(const struct intake *intake)
{
    return intake->ages;
}

int64_t intake_reached_us(const struct intake *intake)
{
    return intake->reached_us;
}

const struct coverage_gap *intake_gaps(const struct intake *intake, size_t *count)
{
    *count = intake->gap_count;
    return intake->gaps;
}

const struct misfit *intake_misfits(const struct intake *intake, size_t *count)
{
    *count = intake->misfit_count;
    return intake->misfits;
}

bool intake_is_empty(const struct intake *intake)
{
    return outgoing_count(intake->outgoing) == intake->first;
}

/* --- a step --- */

bool intake_first_reject(struct intake_reject *out, const struct intake *intake)
{
    *out = (struct intake_reject){
        .item = intake->first_reject.item,
        .code = intake->first_reject.code,
        .reason = intake->first_reject.reason,
        .what_to_do = reject_what_to_do(intake->first_reject.code, intake->once),
    };
    return intake->counts.rejected + intake->counts.again > 0;
}

int intake_begin(struct intake *intake, const struct post_origin *origin, const char *cursor,
                 size_t cursor_length, int64_t now_us, struct ear_error *err)
{
    intake_drop(intake);
    if (intake_look_for_forgotten(intake, err) != 0) {
        return -1;
    }
    intake->stepping = true;
    intake->first = outgoing_count(intake->outgoing);
    intake->origin = origin;
    intake->once = origin->source->every_us <= 0;
    intake->stood = cursor;
    intake->stood_length = cursor_length;
    intake->now_us = now_us;
    ledger_mark(intake->ledger);
    return 0;
}

static void end_step(struct intake *intake)
{
    intake->stepping = false;
    intake->first = outgoing_count(intake->outgoing);
    free(intake->cursor);
    intake->cursor = NULL;
    intake->cursor_length = 0;
    intake->counts = (struct intake_counts){0};
    intake->gap_count = 0;
    intake->misfit_count = 0;
    intake->reached_us = INT64_MIN;
    memset(intake->ages, 0, sizeof(intake->ages));
}

void intake_drop(struct intake *intake)
{
    if (intake->stepping) {
        outgoing_cut(intake->outgoing, intake->first);
        ledger_rewind(intake->ledger);
    }
    end_step(intake);
}

void intake_counts_add(struct intake_counts *sum, const struct intake_counts *counts)
{
    sum->fresh += counts->fresh;
    sum->edited += counts->edited;
    sum->deleted += counts->deleted;
    sum->unchanged += counts->unchanged;
    sum->rejected += counts->rejected;
    sum->forgotten += counts->forgotten;
    sum->astray += counts->astray;
    sum->again += counts->again;
    sum->undated += counts->undated;
}

void intake_tell_undated(const char *source, int64_t count)
{
    const struct log_field fields[] = {{"source", source}, {NULL, NULL}};

    if (count > 0) {
        log_event(LOG_LEVEL_WARN, fields,
                  "%" PRId64 " %s no readable time (none, none that is a date, or one in the "
                  "future): counted at the time of being seen, with the flag time_suspect; mind "
                  "what is mapped to created_at, and write times such as 2026-11-20T08:00:00Z or "
                  "20.11.2026",
                  count, count == 1 ? "post bears" : "posts bear");
    }
}

static bool went_in(const struct intake_counts *counts)
{
    return counts->fresh + counts->edited + counts->deleted + counts->rejected + counts->forgotten >
           counts->astray;
}

/* One audit for all steps of a source in a group and an hour, one cursor: the last. */
int intake_keep(struct intake *intake, struct intake_part *part, const char *cursor_message,
                size_t length, struct ear_error *err)
{
    const char *source = intake->origin->source->name;
    const struct intake_part before =
        part->group == intake->group ? *part : (struct intake_part){.group = intake->group};
    struct intake_part now = before;
    const int64_t hour_us = intake_hour_of(intake->now_us);

    if (went_in(&intake->counts)) {
        if (before.hour_us != hour_us) {
            now.audited = (struct intake_counts){0};
        }
        intake_counts_add(&now.audited, &intake->counts);
        now.hour_us = hour_us;
        if (intake_publish_audit(intake, &now.audited, hour_us, err) != 0) {
            return -1;
        }
        now.audit = outgoing_count(intake->outgoing);
    }
    if (cursor_message != NULL) {
        if (intake_publish(intake, "cursors", source, strlen(source), cursor_message, length,
                           err) != 0) {
            return -1;
        }
        now.cursor = outgoing_count(intake->outgoing);
    }
    if (before.audit != 0 && now.audit != before.audit && now.hour_us == before.hour_us) {
        outgoing_strike(intake->outgoing, before.audit - 1);
    }
    if (before.cursor != 0 && now.cursor != before.cursor) {
        outgoing_strike(intake->outgoing, before.cursor - 1);
    }
    intake->items += intake->counts.fresh + intake->counts.edited + intake->counts.deleted +
                     intake->counts.rejected;
    if (intake->first_mono_us == 0) {
        intake->first_mono_us = clock_mono_us();
    }
    *part = now;
    end_step(intake);
    return 0;
}

/* --- the group --- */

bool intake_holds(const struct intake *intake)
{
    return intake->first_mono_us != 0;
}

bool intake_is_full(const struct intake *intake)
{
    return intake_holds(intake) && (intake->items >= INTAKE_ITEMS_MAX ||
                                    outgoing_bytes(intake->outgoing) >= INTAKE_BYTES_MAX ||
                                    clock_mono_us() - intake->first_mono_us >= INTAKE_AGE_MAX_US);
}

int64_t intake_patience_us(const struct intake *intake)
{
    const int64_t most_us =
        intake->commit_us < INTAKE_AGE_MAX_US ? intake->commit_us : INTAKE_AGE_MAX_US;
    const int64_t age_us = clock_mono_us() - intake->first_mono_us;

    return !intake_holds(intake) || age_us >= most_us ? 0 : most_us - age_us;
}

void intake_forget_known(struct intake *intake)
{
    ledger_forget_known(intake->ledger);
}

void intake_abort(struct intake *intake)
{
    end_step(intake);
    outgoing_clear(intake->outgoing);
    ledger_reset(intake->ledger);
    intake->first = 0;
    intake->items = 0;
    intake->first_mono_us = 0;
    intake->group++;
}

/* All of the group, or what `takes` lets through, in one transaction. */
static int commit(struct intake *intake, bool (*takes)(const char *topic), struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;

    if (stream_begin(&transaction, intake->stream, err) != 0) {
        return -1;
    }
    if (outgoing_publish(intake->outgoing, transaction, takes, err) != 0 ||
        (intake->share != NULL && stream_share_guard(transaction, intake->share, err) != 0)) {
        stream_abort(transaction);
        return -1;
    }
    return stream_commit(transaction, err);
}

/* A seeded fault: what test builds do wrong to see whether a test notices. */
static bool is_cursor(const char *topic)
{
    return strcmp(topic, "cursors") == 0;
}

static bool is_no_cursor(const char *topic)
{
    return !is_cursor(topic);
}

static int commit_all(struct intake *intake, struct ear_error *err)
{
    if (TESTFAULT("cursor-outside")) {
        return commit(intake, is_cursor, err) == 0 ? commit(intake, is_no_cursor, err) : -1;
    }
    return commit(intake, NULL, err);
}

static void measure(struct intake *intake, int64_t began_mono_us)
{
    const int64_t took_us = clock_mono_us() - began_mono_us;

    intake->commit_us += (took_us - intake->commit_us) / 4;
    metrics_observe(intake->metrics, "earshot_collect_commit_duration_seconds", NULL,
                    (double)took_us / 1e6);
    metrics_observe(intake->metrics, "earshot_collect_commit_messages", NULL,
                    (double)outgoing_count(intake->outgoing));
}

int intake_commit(struct intake *intake, struct ear_error *err)
{
    const int64_t began_mono_us = clock_mono_us();
    int result = -1;

    intake_drop(intake);
    if (TESTPOINT_FAILS("collect.before-commit")) {
        ear_fail(err, EAR_RETRY, "the log takes nothing more");
        goto done;
    }
    if (commit_all(intake, err) != 0) {
        goto done;
    }
    TESTPOINT("collect.after-commit");
    measure(intake, began_mono_us);
    result = 0;

done:
    intake_abort(intake);
    return result;
}
