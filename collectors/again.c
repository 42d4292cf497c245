/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a source anew because somebody asked for it: its cursor goes back to nothing and what was
 * rejected is no longer known, all in the group that its owner commits. What was published before
 * is known from `seen` and not published again.
 */

#include "collectors/collector_internal.h"

#include <stdlib.h>
#include <string.h>

#include "collectors/errands.h"
#include "common/log.h"
#include "common/settings/settings.h"

static int forget_rejects(struct collector *collector, const char *source, struct ear_error *err)
{
    for (size_t i = 0; i < errands_retry_count(collector->errands); i++) {
        const char *retry = errands_retry_at(collector->errands, i);

        if (errands_is_about(retry, source) && intake_retry(collector->intake, retry, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void begin_anew(struct standing *standing, int64_t now_us)
{
    free(standing->cursor);
    free(standing->etag);
    free(standing->last_modified);
    standing->cursor = NULL;
    standing->cursor_length = 0;
    standing->etag = NULL;
    standing->last_modified = NULL;
    standing->schedule.next_at_us = now_us;
    standing->written_us = now_us;
}

static int read_anew(struct collector *collector, struct listening *listening,
                     struct ear_error *err)
{
    const struct log_field fields[] = {{"source", listening->entry->source->name}, {NULL, NULL}};
    struct standing *standing = &listening->standing;
    const int64_t now_us = collector_now_us(collector);
    const char *message = NULL;
    size_t length = 0;

    poll_end(collector, listening);
    if (group_join(collector, listening, err) == NULL ||
        intake_begin(collector->intake, &listening->origin, NULL, 0, now_us, err) != 0 ||
        forget_rejects(collector, listening->entry->source->name, err) != 0) {
        return -1;
    }
    begin_anew(standing, now_us);
    collector->next_due_us = now_us;
    message = standing_write(standing, listening->entry->source, NULL, 0, now_us, collector->writer,
                             &length, err);
    if (message == NULL || group_keep(collector, listening, message, length, err) != 0) {
        return -1;
    }
    log_event(LOG_LEVEL_INFO, fields, "what was rejected is asked for again");
    return 0;
}

static bool is_asked_for(const struct collector *collector, const char *source)
{
    for (size_t i = 0; i < errands_retry_count(collector->errands); i++) {
        if (errands_is_about(errands_retry_at(collector->errands, i), source)) {
            return true;
        }
    }
    return false;
}

static bool was_just_served(const struct listening *listening)
{
    return listening->asked_mono_us != 0 &&
           clock_mono_us() - listening->asked_mono_us < ASKED_AGAIN_US;
}

int again_serve(struct collector *collector, struct ear_error *err)
{
    if (errands_look(collector->errands, err) != 0) {
        if (err->kind == EAR_FATAL || err->kind == EAR_CONFIG) {
            return -1;
        }
        ear_error_clear(err); /* next time */
        return 0;
    }
    for (size_t i = 0; errands_retry_count(collector->errands) > 0 && i < collector->count; i++) {
        struct listening *listening = &collector->items[i];

        if (listening->phase == LISTENING_AWAY || listening->phase == LISTENING_STOPPED ||
            was_just_served(listening) ||
            !is_asked_for(collector, listening->entry->source->name)) {
            continue;
        }
        listening->asked_mono_us = clock_mono_us();
        if (read_anew(collector, listening, err) != 0) {
            intake_drop(collector->intake);
            return failure_of_keeping(collector, listening, err);
        }
    }
    return 0;
}
