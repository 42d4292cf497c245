/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/settings/settings.h"
#include "common/testpoint.h"
#include "processors/runner/runner_internal.h"

const char *runner_split_code(char code[CODE_SIZE], const char *message, const char *otherwise)
{
    size_t length = strspn(message, "abcdefghijklmnopqrstuvwxyz_0123456789");

    if (length > 0 && length < CODE_SIZE && message[length] == ':' && message[length + 1] == ' ') {
        memcpy(code, message, length);
        code[length] = '\0';
        return message + length + 2;
    }
    snprintf(code, CODE_SIZE, "%s", otherwise);
    return message;
}

static int keep(const char **out, struct runner *runner, const char *text, struct ear_error *err)
{
    size_t size = strlen(text) + 1;
    char *copy = message_arena_take(runner->arena, size, err);

    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, text, size);
    *out = copy;
    return 0;
}

static int reject(struct runner *runner, struct item *item, const char *code, const char *reason,
                  struct ear_error *err)
{
    item->fate = FATE_REJECTED;
    item->stage = runner->config.processor->name;
    return keep(&item->code, runner, code, err) != 0 ||
                   keep(&item->reason, runner, reason, err) != 0
               ? -1
               : 0;
}

/* Reads a message and says whether it goes through the chain (FATE_PASSED so far). */
static int read_item(struct runner *runner, struct item *item, struct ear_error *err)
{
    const struct stream_message *in = item->in;
    char code[CODE_SIZE];
    size_t id_length = 0;
    int64_t version = 0;
    bool deleted = false;

    *item = (struct item){.in = in, .fate = FATE_PASSED};
    if (in->value == NULL) {
        item->fate = FATE_TOMBSTONE;
        return 0;
    }
    item->message = message_read(runner->arena, in->value, in->value_length, err);
    if (item->message == NULL) {
        struct ear_error fault = *err;
        const char *reason = runner_split_code(code, fault.message, "bad_json");

        if (fault.kind != EAR_REJECT) {
            return -1;
        }
        ear_error_clear(err);
        return reject(runner, item, code, reason, err);
    }
    if (message_string(item->message, "id", &id_length) == NULL || id_length == 0 ||
        id_length > STREAM_KEY_MAX) {
        return reject(runner, item, "schema", "'id' is missing; a message needs it, as a string",
                      err);
    }
    if (message_boolean(item->message, "deleted", &deleted) && deleted) {
        item->fate = FATE_DELETED;
        if (!message_integer(item->message, "version", &version)) {
            return reject(runner, item, "schema",
                          "'version' is missing; a deleted message needs it, as an integer", err);
        }
    }
    return 0;
}

/* Files what the chain made of its messages with their items. */
static void take_results(struct runner *runner, size_t first, size_t count)
{
    size_t next = 0;

    for (size_t i = first; i < first + count; i++) {
        struct item *item = &runner->items[i];
        const struct chain_result *result = &runner->results[next];

        if (item->fate != FATE_PASSED) {
            continue;
        }
        next++;
        item->stage = result->stage;
        item->code = result->code;
        item->reason = result->reason;
        if (result->verdict != HOST_PASSED) {
            item->fate = result->verdict == HOST_DROPPED ? FATE_DROPPED : FATE_REJECTED;
        }
    }
}

int runner_carry_range(struct runner *runner, size_t first, size_t count, struct ear_error *err)
{
    struct host_elsewhere *elsewhere = NULL;
    size_t through = 0;

    runner->failed_in_stage = true;
    runner->stage = runner->config.processor->name;
    message_arena_reset(runner->arena);
    for (size_t i = first; i < first + count; i++) {
        struct item *item = &runner->items[i];

        if (read_item(runner, item, err) != 0) {
            return -1;
        }
        if (item->fate == FATE_PASSED) {
            runner->batch[through++] = item->message;
        }
    }
    if (chain_run(runner->config.chain, runner->arena, runner->batch, through, runner->results,
                  &elsewhere, &runner->stage, err) != 0) {
        return -1;
    }
    runner->failed_in_stage = false;
    take_results(runner, first, count);
    TESTPOINT("process.after-stage");
    /* First what may be refused on behalf of a whole item: one that is rejected has no output. */
    if (runner_publish_elsewhere(runner, elsewhere, err) != 0) {
        runner->failed_in_stage = err->kind == EAR_REJECT;
        return -1;
    }
    for (size_t i = first; i < first + count; i++) {
        if (runner_publish_item(runner, &runner->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}
