/* SPDX-License-Identifier: Apache-2.0 */
/* Walks into the past: what is remembered of one, and errands that begin or stop one, as steps of
 * the group. */

#include "collectors/backfill.h"

#include <string.h>

#include "collectors/collector_internal.h"
#include "collectors/errands.h"
#include "common/instant.h"
#include "common/json_instant.h"
#include "common/log.h"
#include "common/settings/settings.h"

void backfill_write(const struct backfill *backfill, struct json_writer *writer)
{
    if (backfill->asked_us == 0) {
        return;
    }
    json_write_key(writer, "backfill");
    json_write_object(writer);
    json_member_instant(writer, "asked_at", backfill->asked_us, 0);
    json_member_instant(writer, "since", backfill->since_us, 0);
    json_member_instant(writer, "began_at", backfill->began_us, 0);
    json_member_instant(writer, "reached", backfill->reached_us, 0);
    json_member_instant(writer, "done_at", backfill->done_us, 0);
    json_member_instant(writer, "next_at", backfill->next_us, 0);
    json_member_integer(writer, "posts", backfill->posts);
    json_member_integer(writer, "requests", backfill->requests);
    json_write_object_end(writer);
}

void backfill_read(struct backfill *out, const struct json_node *root)
{
    const struct json_node *node = json_get(root, "backfill");

    *out = (struct backfill){.asked_us = json_instant(node, "asked_at", 0),
                             .since_us = json_instant(node, "since", 0),
                             .began_us = json_instant(node, "began_at", 0),
                             .reached_us = json_instant(node, "reached", 0),
                             .done_us = json_instant(node, "done_at", 0),
                             .next_us = json_instant(node, "next_at", 0)};
    (void)json_integer(json_get(node, "posts"), &out->posts);
    (void)json_integer(json_get(node, "requests"), &out->requests);
}

/* --- errands --- */

static int take_up(struct collector *collector, struct listening *listening,
                   const struct errand *errand, struct ear_error *err)
{
    const struct log_field fields[] = {{"source", listening->entry->source->name}, {NULL, NULL}};
    struct standing *standing = &listening->standing;
    const struct backfill before = standing->backfill;
    const int64_t now_us = collector_now_us(collector);
    const char *message = NULL;
    size_t length = 0;
    char since[INSTANT_SIZE];

    if (listening->poll.backfill_since_us != 0) {
        poll_end(collector, listening);
    }
    if (group_join(collector, listening, err) == NULL ||
        intake_begin(collector->intake, &listening->origin, NULL, 0, now_us, err) != 0) {
        return -1;
    }
    standing->backfill = (struct backfill){
        .asked_us = errand->asked_us, .since_us = errand->since_us, .began_us = now_us};
    message = standing_write(standing, listening->entry->source, standing->cursor,
                             standing->cursor_length, now_us, collector->writer, &length, err);
    if (message == NULL || group_keep(collector, listening, message, length, err) != 0) {
        standing->backfill = before;
        return -1;
    }
    standing->written_us = now_us;
    collector->next_due_us = 0;
    if (errand->since_us != 0) {
        log_event(LOG_LEVEL_INFO, fields, "walks into the past, back to %s",
                  instant_format(since, errand->since_us));
    } else {
        log_event(LOG_LEVEL_INFO, fields, "walks no further into the past");
    }
    return 0;
}

int backfill_serve(struct collector *collector, struct ear_error *err)
{
    for (size_t i = 0; errands_count(collector->errands) > 0 && i < collector->count; i++) {
        struct listening *listening = &collector->items[i];

        if (listening->phase == LISTENING_AWAY || listening->phase == LISTENING_STOPPED) {
            continue;
        }
        for (size_t j = 0; j < errands_count(collector->errands); j++) {
            const struct errand errand = errands_at(collector->errands, j);

            if (errand.asked_us <= listening->standing.backfill.asked_us ||
                strcmp(errand.source, listening->entry->source->name) != 0) {
                continue;
            }
            if (take_up(collector, listening, &errand, err) != 0) {
                intake_drop(collector->intake);
                return failure_of_keeping(collector, listening, err);
            }
        }
    }
    return 0;
}

bool backfill_is_due(const struct collector *collector, const struct listening *listening,
                     int64_t now_us)
{
    const struct standing *standing = &listening->standing;

    return standing_may_walk(standing) && !collector->config.once &&
           standing->backfill.next_us <= now_us;
}

void backfill_step(struct listening *listening, const struct intake_counts *counts,
                   int64_t reached_us)
{
    struct backfill *backfill = &listening->standing.backfill;

    backfill->posts += counts->fresh + counts->edited;
    if (reached_us != INT64_MIN && reached_us != 0 &&
        (backfill->reached_us == 0 || reached_us < backfill->reached_us)) {
        backfill->reached_us = reached_us;
    }
}
