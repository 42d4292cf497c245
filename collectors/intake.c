/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/ledger.h"
#include "collectors/reject.h"
#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "common/testpoint.h"

enum { CODE_SIZE = 32, REASON_SIZE = 200 };

struct intake {
    struct stream *stream;
    const struct post_rules *rules;
    struct metrics *metrics;
    struct ledger *ledger;
    struct json_writer *writer;  /* of a post */
    struct json_writer *rejects; /* of a reject */
    struct source_output output;
    bool anything_forgotten; /* the topic holds something at all */

    struct stream_transaction *transaction; /* NULL: none under way */
    const struct post_origin *origin;
    const char *stood; /* the cursor before this step */
    size_t stood_length;
    int64_t now_us;
    char *cursor; /* the one after it */
    size_t cursor_length;
    struct intake_counts counts;
    char last_code[CODE_SIZE], last_reason[REASON_SIZE]; /* of the last reject */
    size_t published;                                    /* messages */
};

static int emit(void *user, const struct source_record *record, struct ear_error *err);
static int reject(void *user, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err);
static int take_cursor(void *user, const char *json, size_t length, struct ear_error *err);

int intake_new(struct intake **out, struct stream *stream, const struct post_rules *rules,
               struct metrics *metrics, struct ear_error *err)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    int result = -1;

    if (intake == NULL) {
        ear_fail_memory(err, "the intake");
        goto done;
    }
    intake->stream = stream;
    intake->rules = rules;
    intake->metrics = metrics;
    intake->output = (struct source_output){
        .user = intake, .emit = emit, .reject = reject, .cursor = take_cursor};
    if (ledger_new(&intake->ledger, stream, err) != 0 ||
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
    intake_abort(intake);
    ledger_free(intake->ledger);
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

bool intake_is_empty(const struct intake *intake)
{
    return intake->published == 0;
}

/* --- what was forgotten --- */

/* Almost always nothing was: then no post is looked up. */
static int look_for_forgotten(struct intake *intake, struct ear_error *err)
{
    const int partitions = stream_partitions(intake->stream, "forgotten");

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
    if (stream_publish(intake->transaction, topic, key, key_length, value, length, intake->now_us,
                       err) != 0) {
        return -1;
    }
    intake->published++;
    return 0;
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
    if (ledger_put(intake->ledger, intake->transaction, rejected.source, key, &entry,
                   intake->now_us, err) != 0) {
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
        ledger_put(intake->ledger, intake->transaction, post->origin->source->name, post->native,
                   &now, intake->now_us, err) != 0) {
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
        ledger_put(intake->ledger, intake->transaction, post->origin->source->name, post->native,
                   &now, intake->now_us, err) != 0) {
        return -1;
    }
    if (before->known && !before->deleted) {
        intake->counts.edited++;
    } else {
        intake->counts.fresh++;
    }
    return 0;
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
        intake->counts.unchanged++;
        return 0;
    }
    if (!record->deleted && post_clean(post, err) != 0) {
        return -1;
    }
    if (same && memcmp(&before.hash, &post->hash, sizeof(post->hash)) == 0) {
        intake->counts.unchanged++;
        return 0;
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

/* --- the transaction --- */

int intake_begin(struct intake *intake, const struct post_origin *origin, const char *cursor,
                 size_t cursor_length, int64_t now_us, struct ear_error *err)
{
    intake_abort(intake);
    intake->origin = origin;
    intake->stood = cursor;
    intake->stood_length = cursor_length;
    intake->now_us = now_us;
    if (!intake->anything_forgotten && look_for_forgotten(intake, err) != 0) {
        return -1;
    }
    return stream_begin(&intake->transaction, intake->stream, err);
}

void intake_abort(struct intake *intake)
{
    if (intake->transaction != NULL) {
        stream_abort(intake->transaction);
        intake->transaction = NULL;
    }
    ledger_reset(intake->ledger);
    free(intake->cursor);
    intake->cursor = NULL;
    intake->cursor_length = 0;
    intake->counts = (struct intake_counts){0};
    intake->published = 0;
}

/* How many of them there were, for whoever balances the books. What was unchanged did not go in. */
static int publish_audit(struct intake *intake, struct ear_error *err)
{
    const struct intake_counts *counts = &intake->counts;
    const int64_t out = counts->fresh + counts->edited + counts->deleted;
    const int64_t in = out + counts->rejected + counts->forgotten;
    struct json_writer *writer = intake->writer;
    char hour[INSTANT_SIZE];
    char at[INSTANT_SIZE];
    char key[256];
    const char *text = NULL;
    size_t length = 0;

    if (in == 0) {
        return 0;
    }
    instant_format(hour, intake->now_us - intake->now_us % CLOCK_HOUR_US);
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

static void count_posts(struct intake *intake)
{
    char labels[256];
    const struct intake_counts *counts = &intake->counts;

    metrics_labels(labels, sizeof(labels), "source", intake->origin->source->name, NULL);
    metrics_add(intake->metrics, "earshot_collect_posts_total", labels,
                (double)(counts->fresh + counts->edited + counts->deleted));
}

int intake_commit(struct intake *intake, const char *cursor_message, size_t length,
                  struct ear_error *err)
{
    const char *source = intake->origin->source->name;
    struct stream_transaction *transaction = NULL;
    int result = -1;

    if (publish_audit(intake, err) != 0) {
        goto done;
    }
    if (cursor_message != NULL &&
        publish(intake, "cursors", source, strlen(source), cursor_message, length, err) != 0) {
        goto done;
    }
    if (TESTPOINT_FAILS("collect.before-commit")) {
        ear_fail(err, EAR_RETRY, "the log takes nothing more");
        goto done;
    }
    transaction = intake->transaction;
    intake->transaction = NULL;
    if (stream_commit(transaction, err) != 0) {
        goto done;
    }
    TESTPOINT("collect.after-commit");
    if (intake->metrics != NULL) {
        count_posts(intake);
    }
    result = 0;

done:
    intake_abort(intake);
    return result;
}
