/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "processors/runner/runner_internal.h"

enum { PLACE_SIZE = 128 };

/* Which end of a tally an item counts at. */
enum count { COUNT_OUT, COUNT_DROPPED, COUNT_REJECTED };

/* "posts/3/1290". */
static void place_of(char out[PLACE_SIZE], const struct stream_message *in)
{
    snprintf(out, PLACE_SIZE, "%s/%d/%lld", in->topic, in->partition, (long long)in->offset);
}

static const char *source_of(const struct ear_message *message)
{
    const char *source = message == NULL ? NULL : message_string(message, "source", NULL);

    return source == NULL ? "-" : source;
}

/* The hour that the ledger files a message under: of its version, which it has from its collector.
 */
static int64_t hour_of(const struct ear_message *message, int64_t otherwise_us)
{
    int64_t version = 0;

    if (message == NULL || !message_integer(message, "version", &version) || version <= 0) {
        version = otherwise_us;
    }
    return version - version % CLOCK_HOUR_US;
}

static struct tally *find_tally(struct runner *runner, const char *source, int64_t hour_us,
                                const char *topic)
{
    for (size_t i = runner->tally_count; i-- > 0;) {
        struct tally *tally = &runner->tallies[i];

        if (tally->hour_us == hour_us && strcmp(tally->source, source) == 0 &&
            (topic == NULL ? tally->topic == NULL
                           : tally->topic != NULL && strcmp(tally->topic, topic) == 0)) {
            return tally;
        }
    }
    return NULL;
}

/* The tally of a message's source and hour, begun if it is the first. NULL: no memory. */
static struct tally *need_tally(struct runner *runner, const struct ear_message *message,
                                int64_t otherwise_us, const char *topic, struct ear_error *err)
{
    const char *source = source_of(message);
    int64_t hour_us = hour_of(message, otherwise_us);
    struct tally *tally = find_tally(runner, source, hour_us, topic);

    if (tally != NULL) {
        return tally;
    }
    if (runner->tally_count == runner->tally_capacity) {
        size_t capacity = runner->tally_capacity * 2 + 16;
        struct tally *tallies = realloc(runner->tallies, capacity * sizeof *tallies);

        if (tallies == NULL) {
            ear_fail_memory(err, "the audit");
            return NULL;
        }
        runner->tallies = tallies;
        runner->tally_capacity = capacity;
    }
    tally = &runner->tallies[runner->tally_count++];
    *tally = (struct tally){.source = strdup(source),
                            .topic = topic == NULL ? NULL : strdup(topic),
                            .hour_us = hour_us};
    if (tally->source == NULL || (topic != NULL && tally->topic == NULL)) {
        ear_fail_memory(err, "the audit");
        return NULL;
    }
    return tally;
}

static int count_item(struct runner *runner, const struct item *item, enum count end,
                      struct ear_error *err)
{
    struct tally *tally = need_tally(runner, item->message, item->in->at_us, NULL, err);

    if (tally == NULL) {
        return -1;
    }
    tally->in++;
    tally->out += end == COUNT_OUT;
    tally->dropped += end == COUNT_DROPPED;
    tally->rejected += end == COUNT_REJECTED;
    return 0;
}

static int count_elsewhere(struct runner *runner, const struct host_elsewhere *elsewhere,
                           struct ear_error *err)
{
    struct tally *tally =
        need_tally(runner, elsewhere->message, runner->now_us, elsewhere->topic, err);

    if (tally == NULL) {
        return -1;
    }
    tally->out++;
    return 0;
}

static int publish(struct runner *runner, const char *topic, const char *key, size_t key_length,
                   const char *value, size_t length, struct ear_error *err)
{
    return stream_publish(runner->transaction, topic, key, key_length, value, length,
                          runner->now_us, err);
}

/* --- rejects --- */

static int note_refusal(struct runner *runner, const struct item *item, const char *name,
                        struct ear_error *err)
{
    struct refusal *refusal = NULL;

    if (runner->refusal_count == runner->refusal_capacity) {
        size_t capacity = runner->refusal_capacity * 2 + 16;
        struct refusal *refusals = realloc(runner->refusals, capacity * sizeof *refusals);

        if (refusals == NULL) {
            return ear_fail_memory(err, "rejects");
        }
        runner->refusals = refusals;
        runner->refusal_capacity = capacity;
    }
    refusal = &runner->refusals[runner->refusal_count++];
    *refusal = (struct refusal){.source = strdup(source_of(item->message)),
                                .item = strdup(name),
                                .stage = strdup(item->stage),
                                .code = strdup(item->code),
                                .reason = strdup(item->reason)};
    if (refusal->source == NULL || refusal->item == NULL || refusal->stage == NULL ||
        refusal->code == NULL || refusal->reason == NULL) {
        return ear_fail_memory(err, "rejects");
    }
    return 0;
}

/* A code as the schema of rejects wants it: a plugin may have sent anything. */
static bool is_code(const char *code)
{
    return code[0] >= 'a' && code[0] <= 'z' &&
           code[strspn(code, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
}

static int publish_reject(struct runner *runner, struct item *item, struct ear_error *err)
{
    char place[PLACE_SIZE], at[INSTANT_SIZE];
    const char *id = item->message == NULL ? NULL : message_string(item->message, "id", NULL);
    const char *text = NULL;
    size_t length = 0;

    place_of(place, item->in);
    item->code = is_code(item->code) ? item->code : "rejected";
    json_writer_reset(runner->writer);
    json_write_object(runner->writer);
    json_member_string(runner->writer, "id", place);
    json_member_string(runner->writer, "source", source_of(item->message));
    json_member_string(runner->writer, "item", id == NULL ? place : id);
    json_member_string(runner->writer, "stage", item->stage);
    json_member_string(runner->writer, "code", item->code);
    json_member_string(runner->writer, "reason", item->reason);
    json_member_string(runner->writer, "action",
                       "mend its cause, then send it again with `earshot rejects retry`");
    json_member_string(runner->writer, "at", instant_format(at, runner->now_us));
    json_member_integer(runner->writer, "tries", runner->tries + 1);
    json_write_object_end(runner->writer);
    text = json_writer_text(runner->writer, &length, err);
    if (text == NULL || publish(runner, "rejects", place, strlen(place), text, length, err) != 0 ||
        note_refusal(runner, item, id == NULL ? place : id, err) != 0) {
        return -1;
    }
    return count_item(runner, item, COUNT_REJECTED, err);
}

/* --- what goes on --- */

/* True if the failure is about this one message: then it is a reject from now on. */
static bool made_reject(struct runner *runner, struct item *item, struct ear_error *err)
{
    char code[CODE_SIZE];
    const char *reason = NULL;
    char *kept = NULL;
    size_t code_size = 0, reason_size = 0;
    struct ear_error ignored = {0};

    if (err->kind != EAR_REJECT) {
        return false;
    }
    reason = runner_split_code(code, err->message, "too_large");
    code_size = strlen(code) + 1;
    reason_size = strlen(reason) + 1;
    kept = message_arena_take(runner->arena, code_size + reason_size, &ignored);
    if (kept == NULL) {
        return false;
    }
    memcpy(kept, code, code_size);
    memcpy(kept + code_size, reason, reason_size);
    item->fate = FATE_REJECTED;
    item->stage = runner->config.processor->name;
    item->code = kept;
    item->reason = kept + code_size;
    ear_error_clear(err);
    return true;
}

/* Publishes the whole message under its id. */
static int publish_message(struct runner *runner, struct item *item, struct ear_error *err)
{
    size_t length = 0, id_length = 0;
    const char *id = message_string(item->message, "id", &id_length);
    const char *text = message_text(item->message, &length, err);

    if (text == NULL ||
        publish(runner, runner->config.processor->to, id, id_length, text, length, err) != 0) {
        return made_reject(runner, item, err) ? publish_reject(runner, item, err) : -1;
    }
    return count_item(runner, item, COUNT_OUT, err);
}

static int publish_dropped(struct runner *runner, struct item *item, struct ear_error *err)
{
    size_t length = 0, id_length = 0;
    const char *id = message_string(item->message, "id", &id_length);
    const char *text = NULL;
    int64_t version = 0;

    if (!message_integer(item->message, "version", &version)) {
        item->code = "schema";
        item->reason = "it was dropped, but without a whole 'version' nobody can be told so";
        return publish_reject(runner, item, err);
    }
    json_writer_reset(runner->writer);
    json_write_object(runner->writer);
    json_write_key(runner->writer, "id");
    json_write_bytes(runner->writer, id, id_length);
    json_member_integer(runner->writer, "version", version);
    json_member_string(runner->writer, "model", chain_generation(runner->config.chain));
    json_write_key(runner->writer, "dropped");
    json_write_boolean(runner->writer, true);
    if (message_string(item->message, "source", NULL) != NULL) {
        json_member_string(runner->writer, "source", source_of(item->message)); /* for the ledger */
    }
    json_write_object_end(runner->writer);
    text = json_writer_text(runner->writer, &length, err);
    if (text == NULL ||
        publish(runner, runner->config.processor->to, id, id_length, text, length, err) != 0) {
        return -1;
    }
    return count_item(runner, item, COUNT_DROPPED, err);
}

int runner_publish_item(struct runner *runner, struct item *item, struct ear_error *err)
{
    switch (item->fate) {
    case FATE_PASSED:
    case FATE_DELETED:
        return publish_message(runner, item, err);
    case FATE_DROPPED:
        return publish_dropped(runner, item, err);
    case FATE_REJECTED:
        return publish_reject(runner, item, err);
    case FATE_TOMBSTONE:
        break;
    }
    return publish(runner, runner->config.processor->to, item->in->key, item->in->key_length, NULL,
                   0, err);
}

int runner_publish_elsewhere(struct runner *runner, const struct host_elsewhere *elsewhere,
                             struct ear_error *err)
{
    for (; elsewhere != NULL; elsewhere = elsewhere->next) {
        size_t length = 0, id_length = 0;
        const char *id = message_string(elsewhere->message, "id", &id_length);
        const char *text = message_text(elsewhere->message, &length, err);

        if (strcmp(elsewhere->topic, runner->config.processor->to) == 0) {
            return ear_fail(err, EAR_CONFIG,
                            "a stage of processor '%s' publishes more than one message to '%s'; "
                            "more must go to another topic",
                            runner->config.processor->name, elsewhere->topic);
        }
        if (text == NULL ||
            publish(runner, elsewhere->topic, id, id_length, text, length, err) != 0 ||
            count_elsewhere(runner, elsewhere, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- the audit --- */

int runner_publish_audit(struct runner *runner, struct ear_error *err)
{
    char hour[INSTANT_SIZE], at[INSTANT_SIZE], key[512];

    instant_format(at, runner->now_us);
    for (size_t i = 0; i < runner->tally_count; i++) {
        const struct tally *tally = &runner->tallies[i];
        const char *text = NULL;
        size_t length = 0;
        int key_length = 0;

        instant_format(hour, tally->hour_us);
        json_writer_reset(runner->writer);
        json_write_object(runner->writer);
        json_member_string(runner->writer, "role", "process");
        json_member_string(runner->writer, "source", tally->source);
        json_member_string(runner->writer, "hour", hour);
        json_member_integer(runner->writer, "in", tally->in);
        json_member_integer(runner->writer, "out", tally->out);
        json_member_integer(runner->writer, "dropped", tally->dropped);
        json_member_integer(runner->writer, "rejected", tally->rejected);
        json_member_string(runner->writer, "at", at);
        json_member_string(runner->writer, "name", runner->config.processor->name);
        if (tally->topic == NULL) { /* what is published elsewhere besides was read once already */
            json_member_string(runner->writer, "from", runner->config.processor->from);
        }
        json_member_string(runner->writer, "to",
                           tally->topic == NULL ? runner->config.processor->to : tally->topic);
        json_write_object_end(runner->writer);
        text = json_writer_text(runner->writer, &length, err);
        key_length = snprintf(key, sizeof key, "%.400s/%s", tally->source, hour);
        if (text == NULL ||
            publish(runner, "audit", key, (size_t)key_length, text, length, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void runner_tell_refusals(struct runner *runner)
{
    for (size_t i = 0; i < runner->refusal_count; i++) {
        const struct refusal *refusal = &runner->refusals[i];
        char labels[256];
        const struct log_field fields[] = {
            {"source", refusal->source}, {"item", refusal->item}, {"stage", refusal->stage},
            {"code", refusal->code},     {"action", "rejected"},  {NULL, NULL},
        };

        log_event(LOG_LEVEL_WARN, fields, "%s", refusal->reason);
        metrics_add(runner->config.metrics, "earshot_rejects_total",
                    metrics_labels(labels, sizeof labels, "stage", refusal->stage, "reason",
                                   refusal->code, NULL),
                    1);
    }
}

void runner_forget_counts(struct runner *runner)
{
    for (size_t i = 0; i < runner->tally_count; i++) {
        free(runner->tallies[i].source);
        free(runner->tallies[i].topic);
    }
    for (size_t i = 0; i < runner->refusal_count; i++) {
        free(runner->refusals[i].source);
        free(runner->refusals[i].item);
        free(runner->refusals[i].stage);
        free(runner->refusals[i].code);
        free(runner->refusals[i].reason);
    }
    runner->tally_count = 0;
    runner->refusal_count = 0;
}
