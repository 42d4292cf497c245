/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/standing.h"

#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/json_instant.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

int standing_set_text(char **slot, const char *text, struct ear_error *err)
{
    char *copy = text == NULL ? NULL : strdup(text);

    if (text != NULL && copy == NULL) {
        return ear_fail_memory(err, "where a source stands");
    }
    free(*slot);
    *slot = copy;
    return 0;
}

bool standing_may_walk(const struct standing *standing)
{
    return backfill_is_open(&standing->backfill) && standing->schedule.state == SCHEDULE_OK &&
           standing->last_success_us != INT64_MIN;
}

int64_t standing_next_us(const struct standing *standing)
{
    return standing_may_walk(standing) && standing->backfill.next_us < standing->schedule.next_at_us
               ? standing->backfill.next_us
               : standing->schedule.next_at_us;
}

int standing_set_failure(struct standing *standing, const char *code, const char *error,
                         struct ear_error *err)
{
    if (standing_set_text(&standing->code, code, err) != 0 ||
        standing_set_text(&standing->later, NULL, err) != 0) {
        return -1;
    }
    return standing_set_text(&standing->error, error, err);
}

void standing_clear_failure(struct standing *standing)
{
    free(standing->code);
    free(standing->error);
    standing->code = NULL;
    standing->error = NULL;
}

void standing_clear(struct standing *standing)
{
    free(standing->cursor);
    free(standing->etag);
    free(standing->last_modified);
    free(standing->drift_error);
    free(standing->later);
    coverage_clear(&standing->coverage);
    misfits_clear(&standing->misfits);
    standing_clear_failure(standing);
    *standing = (struct standing){0};
}

/* --- reading --- */

static int take_texts(struct standing *out, const struct json_node *root, struct ear_error *err)
{
    const struct json_node *cursor = json_get(root, "cursor");

    if (cursor != NULL && json_kind_of(cursor) == JSON_OBJECT) {
        const char *text = json_raw(cursor, &out->cursor_length);

        out->cursor = strndup(text, out->cursor_length);
        if (out->cursor == NULL) {
            return ear_fail_memory(err, "a cursor");
        }
    }
    if (standing_set_text(&out->etag, json_string(json_get(root, "etag"), NULL), err) != 0 ||
        standing_set_text(&out->last_modified, json_string(json_get(root, "last_modified"), NULL),
                          err) != 0 ||
        standing_set_text(&out->code, json_string(json_get(root, "code"), NULL), err) != 0 ||
        standing_set_text(&out->later, json_string(json_get(root, "later"), NULL), err) != 0 ||
        standing_set_text(&out->drift_error, json_string(json_get(root, "drift_error"), NULL),
                          err) != 0) {
        return -1;
    }
    return standing_set_text(&out->error, json_string(json_get(root, "error"), NULL), err);
}

static int understand(struct standing *out, const struct json_node *root,
                      const struct settings_source *source, int64_t now_us, struct ear_error *err)
{
    const char *use = json_string(json_get(root, "use"), NULL);
    const char *state = json_string(json_get(root, "state"), NULL);
    const struct json_node *cursor = json_get(root, "cursor");
    enum schedule_state stood = SCHEDULE_OK;
    int64_t failures = 0;
    int64_t interval_us = source->every_us;
    int64_t next_us = json_instant(root, "next_at", INT64_MIN);
    double posts = 0;
    double over_us = 0;
    bool drifting = false;

    if (use != NULL && strcmp(use, source->use) != 0) {
        return ear_fail(err, EAR_REJECT,
                        "cursor: it was made by '%.50s', the source now uses '%.50s'; give the "
                        "source another name",
                        use, source->use);
    }
    if (use == NULL || state == NULL || !schedule_state_parse(&stood, state) ||
        (cursor != NULL && json_kind_of(cursor) != JSON_OBJECT &&
         json_kind_of(cursor) != JSON_NULL)) {
        return ear_fail(err, EAR_REJECT,
                        "cursor: it is not understood; was it written by a newer version?");
    }
    (void)json_integer(json_get(root, "failures"), &failures);
    (void)json_integer(json_get(root, "every_us"), &interval_us);
    schedule_restore(&out->schedule, source->every_us, source->fresh_us, interval_us,
                     next_us == INT64_MIN ? now_us : next_us, failures, stood, now_us);
    (void)json_number(json_get(root, "quota_left"), &out->quota_left);
    if (json_number(json_get(root, "posts"), &posts) &&
        json_number(json_get(root, "posts_over_us"), &over_us)) {
        schedule_restore_rate(&out->schedule, posts, over_us);
    }
    (void)json_boolean(json_get(root, "drifting"), &drifting);
    if (drifting) {
        drift_restore(&out->drift, json_instant(root, "drift_at", INT64_MIN), now_us);
    }
    out->last_success_us = json_instant(root, "last_success_at", INT64_MIN);
    out->last_post_us = json_instant(root, "last_post_at", INT64_MIN);
    out->written_us = json_instant(root, "at", INT64_MIN);
    backfill_read(&out->backfill, root);
    if (coverage_read(&out->coverage, root, out->written_us, STANDING_FRESH_US, err) != 0) {
        return -1;
    }
    return misfits_read(&out->misfits, root, now_us, err) != 0 ? -1 : take_texts(out, root, err);
}

int standing_restore(struct standing *out, struct stream *stream,
                     const struct settings_source *source, int64_t now_us, struct ear_error *err)
{
    struct json *json = NULL;
    const struct json_node *root = NULL;
    char *text = NULL;
    size_t length = 0;
    int result = -1;
    int found = 0;

    *out = (struct standing){.last_success_us = INT64_MIN,
                             .last_post_us = INT64_MIN,
                             .written_us = INT64_MIN,
                             .quota_left = -1};
    schedule_init(&out->schedule, source->every_us, source->fresh_us, now_us);
    found =
        stream_lookup(stream, "cursors", source->name, strlen(source->name), &text, &length, err);
    if (found <= 0) {
        result = found;
        goto done;
    }
    if (json_new(&json, err) != 0) {
        goto done;
    }
    root = json_read(json, text, length, &json_limits_default, err);
    if (root == NULL) {
        ear_error_context(err, "cursor: it is not understood");
        goto done;
    }
    result = understand(out, root, source, now_us, err);

done:
    json_free(json);
    free(text);
    return result;
}

/* --- writing --- */

const char *standing_write(const struct standing *standing, const struct settings_source *source,
                           const char *cursor, size_t cursor_length, int64_t now_us,
                           struct json_writer *writer, size_t *length, struct ear_error *err)
{
    const struct schedule *schedule = &standing->schedule;

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "source", source->name);
    json_member_string(writer, "use", source->use);
    json_member_instant(writer, "at", now_us, INT64_MIN);
    json_member_string(writer, "state", schedule_state_name(schedule->state));
    if (standing->drift.drifting) {
        json_write_key(writer, "drifting");
        json_write_boolean(writer, true);
        json_member_string(writer, "drift_error", standing->drift_error);
        json_member_instant(writer, "drift_at", standing->drift.reject_us, INT64_MIN);
    }
    if (cursor != NULL) {
        json_write_key(writer, "cursor");
        json_write_raw(writer, cursor, cursor_length);
    }
    json_member_instant(writer, "last_success_at", standing->last_success_us, INT64_MIN);
    json_member_instant(writer, "last_post_at", standing->last_post_us, INT64_MIN);
    json_member_instant(writer, "next_at", schedule->next_at_us, INT64_MIN);
    json_member_string(writer, "etag", standing->etag);
    json_member_string(writer, "last_modified", standing->last_modified);
    json_member_string(writer, "code", standing->code);
    json_member_string(writer, "error", standing->error);
    json_member_integer(writer, "failures", schedule->failures);
    json_member_integer(writer, "every_us", schedule->interval_us);
    json_member_string(writer, "later", standing->later);
    if (standing->quota_left >= 0) {
        json_write_key(writer, "quota_left");
        json_write_number(writer, standing->quota_left, 1);
    }
    json_write_key(writer, "posts");
    json_write_number(writer, schedule->posts, 3);
    json_write_key(writer, "posts_over_us");
    json_write_number(writer, schedule->over_us, 0);
    coverage_write(&standing->coverage, writer);
    backfill_write(&standing->backfill, writer);
    misfits_write(&standing->misfits, writer);
    json_write_object_end(writer);
    return json_writer_text(writer, length, err);
}
