/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/ledger.h"
#include "collectors/outgoing.h"
#include "collectors/reject.h"
#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/log.h"
#include "common/message/message.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "common/testfault.h"
#include "common/testpoint.h"

enum { CODE_SIZE = 32, REASON_SIZE = 200, STEP_GAPS_MAX = 8 };

/* How old may be what we know of whether anything is to be forgotten at all. */
#define FORGOTTEN_FRESH_US (CLOCK_SECOND_US / 2)

struct intake {
    struct stream *stream;
    struct stream_share *share; /* NULL: none */
    const struct post_rules *rules;
    struct metrics *metrics;
    struct ledger *ledger;
    struct outgoing *outgoing;
    struct json_writer *writer;  /* of a post */
    struct json_writer *rejects; /* of a reject */
    struct source_output output;
    bool anything_forgotten;   /* the topic holds something at all */
    int64_t forgotten_mono_us; /* when that was last asked */

    /* the group */
    uint64_t group;        /* its number */
    int64_t items;         /* posts and rejects */
    int64_t first_mono_us; /* when its first step was kept */
    int64_t commit_us;     /* how long a commit takes, smoothed */

    /* the step under way */
    bool stepping;
    size_t first; /* the number of its first message */
    const struct post_origin *origin;
    const char *stood; /* the cursor before this step */
    size_t stood_length;
    int64_t now_us;
    char *cursor; /* the one after it */
    size_t cursor_length;
    struct intake_counts counts;
    char last_code[CODE_SIZE], last_reason[REASON_SIZE]; /* of the last reject */
    uint32_t ages[AGES_COUNT];
    int64_t reached_us;
    struct coverage_gap gaps[STEP_GAPS_MAX]; /* [gap_count] */
    size_t gap_count;
};

static int emit(void *user, const struct source_record *record, struct ear_error *err);
static int reject(void *user, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err);
static int take_cursor(void *user, const char *json, size_t length, struct ear_error *err);
static int take_gap(void *user, int64_t from_us, int64_t to_us, const char *why,
                    struct ear_error *err);

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
    intake->output = (struct source_output){
        .user = intake, .emit = emit, .reject = reject, .cursor = take_cursor, .gap = take_gap};
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

bool intake_is_empty(const struct intake *intake)
{
    return outgoing_count(intake->outgoing) == intake->first;
}

/* --- what was forgotten --- */

/* Almost always nothing was: then no post is looked up. */
static int look_for_forgotten(struct intake *intake, struct ear_error *err)
{
    const int partitions = stream_partitions(intake->stream, "forgotten");
    const int64_t mono_us = clock_mono_us();

    if (intake->anything_forgotten || (intake->forgotten_mono_us != 0 &&
                                       mono_us - intake->forgotten_mono_us < FORGOTTEN_FRESH_US)) {
        return 0;
    }
    intake->forgotten_mono_us = mono_us;
    for (int i = 0; i < partitions && !intake->anything_forgotten; i++) {
        struct stream_span span;

        if (stream_span(intake->stream, "forgotten", i, &span, err) != 0) {
            return -1;
        }
        intake->anything_forgotten = span.end > 0;
    }
    return 0;
}

/* 1: the post or its author is to be forgotten, 0: neither. */
static int is_forgotten(struct intake *intake, const struct post *post, struct ear_error *err)
{
    const struct hash128 hashes[] = {post->id_hash, post->author_hash};
    const size_t count = post->author[0] == '\0' ? 1 : 2;

    for (size_t i = 0; intake->anything_forgotten && i < count; i++) {
        char key[HASH128_TEXT_SIZE];
        char *value = NULL;
        size_t length = 0;
        const int found = stream_lookup(intake->stream, "forgotten", hash128_format(key, hashes[i]),
                                        HASH128_TEXT_SIZE - 1, &value, &length, err);

        free(value);
        if (found != 0) {
            return found;
        }
    }
    return 0;
}

/* --- publishing --- */

static int publish(struct intake *intake, const char *topic, const char *key, size_t key_length,
                   const char *value, size_t length, struct ear_error *err)
{
    return outgoing_add(intake->outgoing, topic, key, key_length, value, length, intake->now_us,
                        err);
}

/* Copies what fits, in whole characters. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size);

    if (length == size) {
        for (length--; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;) {
            length--;
        }
    }
    memcpy(out, text, length);
    out[length] = '\0';
}

static int reject(void *user, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err)
{
    struct intake *intake = user;
    const struct reject rejected = {
        .source = intake->origin->source->name,
        .item = item,
        .code = code,
        .reason = reason,
        .bytes = bytes,
        .length = bytes == NULL ? 0 : length,
        .cursor = intake->stood,
        .cursor_length = intake->stood_length,
        .at_us = intake->now_us,
    };
    const struct hash128 key = reject_hash(&rejected, !intake->origin->lists_again);
    const struct hash128 why = reject_reason_hash(&rejected);
    struct ledger_entry entry;
    char id[256];
    char digits[HASH128_TEXT_SIZE];
    const char *text = NULL;
    size_t text_length = 0;

    if (ledger_find(intake->ledger, rejected.source, key, &entry, err) != 0) {
        return -1;
    }
    if (entry.known && memcmp(&entry.hash, &why, sizeof(why)) == 0) {
        intake->counts.unchanged++;
        return 0;
    }
    (void)snprintf(id, sizeof(id), "%.200s/%s", rejected.source, hash128_format(digits, key));
    text = reject_write(&rejected, id, intake->rejects, &text_length, err);
    if (text == NULL || publish(intake, "rejects", id, strlen(id), text, text_length, err) != 0) {
        return -1;
    }
    if (rejected.length > 0) {
        text = reject_write_body(&rejected, id, intake->rejects, &text_length, err);
        if (text == NULL ||
            publish(intake, "bodies", id, strlen(id), text, text_length, err) != 0) {
            return -1;
        }
    }
    entry = (struct ledger_entry){.hash = why, .version = intake->now_us, .first_us = INT64_MIN};
    if (ledger_put(intake->ledger, intake->outgoing, rejected.source, key, &entry, intake->now_us,
                   err) != 0) {
        return -1;
    }
    intake->counts.rejected++;
    copy_text(intake->last_code, sizeof(intake->last_code), code);
    copy_text(intake->last_reason, sizeof(intake->last_reason), reason);
    metrics_labels(id, sizeof(id), "stage", "collect", "reason", code, NULL);
    metrics_add(intake->metrics, "earshot_rejects_total", id, 1);
    return 0;
}

int intake_reject(struct intake *intake, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err)
{
    return reject(intake, item, code, reason, bytes, length, err);
}

int intake_retry(struct intake *intake, const char *name, struct ear_error *err)
{
    /* It is remembered in `seen` under its own name. */
    return publish(intake, "rejects", name, strlen(name), NULL, 0, err) == 0 &&
                   publish(intake, "seen", name, strlen(name), NULL, 0, err) == 0
               ? 0
               : -1;
}

/* A record that the rules refuse: err says why, and becomes a reject. */
static int reject_record(struct intake *intake, const struct source_record *record,
                         struct ear_error *err)
{
    char code[32];
    struct ear_error why = *err;
    const char *reason = reject_split(code, sizeof(code), why.message, "schema");

    ear_error_clear(err);
    return reject(intake, record->native_id == NULL ? "" : record->native_id, code, reason,
                  record->text, record->text_length, err);
}

/* How many of them there were, for whoever balances the books. What was unchanged did not go in.
 * The hour is that of the posts' version, which every message of theirs carries to the store. */
static int publish_audit(struct intake *intake, const struct intake_counts *counts, int64_t hour_us,
                         struct ear_error *err)
{
    const int64_t out = counts->fresh + counts->edited + counts->deleted - counts->astray;
    const int64_t in = out + counts->rejected + counts->forgotten;
    struct json_writer *writer = intake->writer;
    char hour[INSTANT_SIZE];
    char at[INSTANT_SIZE];
    char key[256];
    const char *text = NULL;
    size_t length = 0;

    instant_format(hour, hour_us);
    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "role", "collect");
    json_member_string(writer, "source", intake->origin->source->name);
    json_member_string(writer, "hour", hour);
    json_member_integer(writer, "in", in);
    json_member_integer(writer, "out", out);
    json_member_integer(writer, "dropped", counts->forgotten);
    json_member_integer(writer, "rejected", counts->rejected);
    json_member_string(writer, "at", instant_format(at, intake->now_us));
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    (void)snprintf(key, sizeof(key), "%.200s/%s", intake->origin->source->name, hour);
    return text == NULL ? -1 : publish(intake, "audit", key, strlen(key), text, length, err);
}

static int64_t hour_of(int64_t at_us)
{
    return at_us - at_us % CLOCK_HOUR_US;
}

/* A version that is not of this hour (edited in the future, or twice at once) is counted under its
 * own at once. */
static int count_astray(struct intake *intake, int64_t version, struct ear_error *err)
{
    const struct intake_counts one = {.fresh = 1};

    if (hour_of(version) == hour_of(intake->now_us)) {
        return 0;
    }
    intake->counts.astray++;
    return publish_audit(intake, &one, hour_of(version), err);
}

static int publish_deleted(struct intake *intake, const struct post *post,
                           const struct ledger_entry *before, struct ear_error *err)
{
    struct ledger_entry now = {.deleted = true, .first_us = before->first_us};
    const char *text = NULL;
    size_t length = 0;

    if (!before->known || before->deleted) {
        intake->counts.unchanged++;
        return 0;
    }
    now.version = post_version(post, before->version, intake->now_us);
    json_writer_reset(intake->writer);
    if (post_write_deleted(post, intake->writer, now.version, &text, &length, err) != 0 ||
        publish(intake, "posts", post->id, post->id_length, text, length, err) != 0 ||
        ledger_put(intake->ledger, intake->outgoing, post->origin->source->name, post->native, &now,
                   intake->now_us, err) != 0 ||
        count_astray(intake, now.version, err) != 0) {
        return -1;
    }
    intake->counts.deleted++;
    return 0;
}

static int publish_post(struct intake *intake, const struct post *post,
                        const struct ledger_entry *before, struct ear_error *err)
{
    struct ledger_entry now = {.hash = post->hash, .raw = post->raw};
    const char *text = NULL;
    size_t length = 0;

    now.version = post_version(post, before->known ? before->version : 0, intake->now_us);
    now.first_us = post_created(post, before->first_us, intake->now_us);
    json_writer_reset(intake->writer);
    if (post_write(post, intake->writer, now.version, now.first_us, intake->now_us, &text, &length,
                   err) != 0 ||
        publish(intake, "posts", post->id, post->id_length, text, length, err) != 0 ||
        ledger_put(intake->ledger, intake->outgoing, post->origin->source->name, post->native, &now,
                   intake->now_us, err) != 0 ||
        count_astray(intake, now.version, err) != 0) {
        return -1;
    }
    if (before->known && !before->deleted) {
        intake->counts.edited++;
    } else {
        intake->counts.fresh++;
        if (post_is_dated(post, intake->now_us)) {
            intake->ages[ages_bucket(intake->now_us - now.first_us)]++;
        }
    }
    intake->counts.undated += post_is_dated(post, intake->now_us) ? 0 : 1;
    return 0;
}

/* One that is unchanged: it is remembered for as long as it comes. */
static int pass_over(struct intake *intake, const struct post *post,
                     const struct ledger_entry *before, struct ear_error *err)
{
    intake->counts.unchanged++;
    return intake->now_us - before->at_us < LEDGER_REFRESH_US
               ? 0
               : ledger_put(intake->ledger, intake->outgoing, post->origin->source->name,
                            post->native, before, intake->now_us, err);
}

/* One record, from what it is to what becomes of it. EAR_REJECT: the rules refuse it. */
static int take(struct intake *intake, struct post *post, const struct source_record *record,
                struct ear_error *err)
{
    struct ledger_entry before;
    bool same = false;
    int forgotten = 0;

    if (post_read(post, intake->rules, intake->origin, record, err) != 0 ||
        ledger_find(intake->ledger, intake->origin->source->name, post->native, &before, err) !=
            0) {
        return -1;
    }
    same = before.known && !before.deleted && !record->deleted;
    if (same && memcmp(&before.raw, &post->raw, sizeof(post->raw)) == 0) {
        return pass_over(intake, post, &before, err);
    }
    if (!record->deleted && post_clean(post, err) != 0) {
        return -1;
    }
    if (same && memcmp(&before.hash, &post->hash, sizeof(post->hash)) == 0) {
        return pass_over(intake, post, &before, err);
    }
    forgotten = is_forgotten(intake, post, err);
    if (forgotten != 0) {
        intake->counts.forgotten += forgotten == 1 ? 1 : 0;
        return forgotten == 1 ? 0 : -1;
    }
    return record->deleted ? publish_deleted(intake, post, &before, err)
                           : publish_post(intake, post, &before, err);
}

static int emit(void *user, const struct source_record *record, struct ear_error *err)
{
    struct intake *intake = user;
    struct post post = {0};
    int result = take(intake, &post, record, err);

    if (record->created_us != INT64_MIN) {
        intake->reached_us = record->created_us;
    }

    if (result != 0 && err->kind == EAR_REJECT) {
        result = reject_record(intake, record, err);
    }
    post_clear(&post);
    return result;
}

static int take_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    struct intake *intake = user;
    char *copy = malloc(length + 1);

    if (copy == NULL) {
        return ear_fail_memory(err, "a cursor");
    }
    memcpy(copy, json, length);
    copy[length] = '\0';
    free(intake->cursor);
    intake->cursor = copy;
    intake->cursor_length = length;
    return 0;
}

static int take_gap(void *user, int64_t from_us, int64_t to_us, const char *why,
                    struct ear_error *err)
{
    struct intake *intake = user;
    struct coverage_gap *gap = NULL;

    (void)err;
    if (intake->gap_count == STEP_GAPS_MAX) {
        memmove(intake->gaps, intake->gaps + 1, (STEP_GAPS_MAX - 1) * sizeof(*gap));
        intake->gap_count--;
    }
    gap = &intake->gaps[intake->gap_count++];
    *gap = (struct coverage_gap){
        .kind = COVERAGE_GAP, .from_us = from_us, .to_us = to_us, .found_us = intake->now_us};
    copy_text(gap->why, sizeof(gap->why), why == NULL ? "" : why);
    return 0;
}

/* --- a step --- */

int intake_begin(struct intake *intake, const struct post_origin *origin, const char *cursor,
                 size_t cursor_length, int64_t now_us, struct ear_error *err)
{
    intake_drop(intake);
    if (look_for_forgotten(intake, err) != 0) {
        return -1;
    }
    intake->stepping = true;
    intake->first = outgoing_count(intake->outgoing);
    intake->origin = origin;
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
    const int64_t hour_us = hour_of(intake->now_us);

    if (went_in(&intake->counts)) {
        if (before.hour_us != hour_us) {
            now.audited = (struct intake_counts){0};
        }
        intake_counts_add(&now.audited, &intake->counts);
        now.hour_us = hour_us;
        if (publish_audit(intake, &now.audited, hour_us, err) != 0) {
            return -1;
        }
        now.audit = outgoing_count(intake->outgoing);
    }
    if (cursor_message != NULL) {
        if (publish(intake, "cursors", source, strlen(source), cursor_message, length, err) != 0) {
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
