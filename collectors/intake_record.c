/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of what a reader tells: a record is published, passed over or rejected; and what is
 * published with it. */

#include "collectors/intake_internal.h"

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
#include "common/message/message.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

/* How old may be what we know of whether anything is to be forgotten at all. */
#define FORGOTTEN_FRESH_US (CLOCK_SECOND_US / 2)

/* --- what was forgotten --- */

/* Almost always nothing was: then no post is looked up. */
int intake_look_for_forgotten(struct intake *intake, struct ear_error *err)
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

int intake_publish(struct intake *intake, const char *topic, const char *key, size_t key_length,
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
        .once = intake->once,
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
    if (intake->counts.rejected + intake->counts.again == 0) {
        copy_text(intake->first_reject.item, sizeof(intake->first_reject.item), item);
        copy_text(intake->first_reject.code, sizeof(intake->first_reject.code), code);
        copy_text(intake->first_reject.reason, sizeof(intake->first_reject.reason), reason);
    }
    if (entry.known && memcmp(&entry.hash, &why, sizeof(why)) == 0) {
        intake->counts.unchanged++;
        intake->counts.again++;
        return 0;
    }
    (void)snprintf(id, sizeof(id), "%.200s/%s", rejected.source, hash128_format(digits, key));
    text = reject_write(&rejected, id, intake->rejects, &text_length, err);
    if (text == NULL ||
        intake_publish(intake, "rejects", id, strlen(id), text, text_length, err) != 0) {
        return -1;
    }
    if (rejected.length > 0) {
        text = reject_write_body(&rejected, id, intake->rejects, &text_length, err);
        if (text == NULL ||
            intake_publish(intake, "bodies", id, strlen(id), text, text_length, err) != 0) {
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
    return intake_publish(intake, "rejects", name, strlen(name), NULL, 0, err) == 0 &&
                   intake_publish(intake, "seen", name, strlen(name), NULL, 0, err) == 0
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
int intake_publish_audit(struct intake *intake, const struct intake_counts *counts, int64_t hour_us,
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
    return text == NULL ? -1 : intake_publish(intake, "audit", key, strlen(key), text, length, err);
}

/* A version that is not of this hour (edited in the future, or twice at once) is counted under its
 * own at once. */
static int count_astray(struct intake *intake, int64_t version, struct ear_error *err)
{
    const struct intake_counts one = {.fresh = 1};

    if (intake_hour_of(version) == intake_hour_of(intake->now_us)) {
        return 0;
    }
    intake->counts.astray++;
    return intake_publish_audit(intake, &one, intake_hour_of(version), err);
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
        intake_publish(intake, "posts", post->id, post->id_length, text, length, err) != 0 ||
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
        intake_publish(intake, "posts", post->id, post->id_length, text, length, err) != 0 ||
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
    const char *source = post->origin->source->name;

    intake->counts.unchanged++;
    if (intake->now_us - before->at_us >= LEDGER_REFRESH_US) {
        return ledger_put(intake->ledger, intake->outgoing, source, post->native, before,
                          intake->now_us, err);
    }
    if (memcmp(&before->raw, &post->raw, sizeof(post->raw)) == 0) {
        ledger_know(intake->ledger, source, post->native, post->raw);
    }
    return 0;
}

/* One record, from what it is to what becomes of it. EAR_REJECT: the rules refuse it. */
static int take(struct intake *intake, struct post *post, const struct source_record *record,
                struct ear_error *err)
{
    const char *source = intake->origin->source->name;
    struct ledger_entry before;
    bool same = false;
    int forgotten = 0;

    if (post_read(post, intake->rules, intake->origin, record, err) != 0) {
        return -1;
    }
    if (!record->deleted &&
        ledger_knows(intake->ledger, source, post->native, post->raw, intake->now_us)) {
        intake->counts.unchanged++;
        return 0;
    }
    if (ledger_find(intake->ledger, source, post->native, &before, err) != 0) {
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

static int take_misfit(void *user, const char *where, const char *text, struct ear_error *err)
{
    struct intake *intake = user;
    struct misfit *misfit = NULL;

    (void)err;
    if (intake->misfit_count == STEP_MISFITS_MAX) {
        return 0;
    }
    misfit = &intake->misfits[intake->misfit_count++];
    *misfit = (struct misfit){.told_us = intake->now_us};
    copy_text(misfit->where, sizeof(misfit->where), where);
    copy_text(misfit->text, sizeof(misfit->text), text == NULL ? "" : text);
    return 0;
}

static bool refused(void *user)
{
    const struct intake *intake = user;

    return intake->counts.rejected + intake->counts.again > 0;
}

struct source_output intake_make_output(struct intake *intake)
{
    return (struct source_output){.user = intake,
                                  .emit = emit,
                                  .reject = reject,
                                  .cursor = take_cursor,
                                  .gap = take_gap,
                                  .misfit = take_misfit,
                                  .refused = refused};
}
