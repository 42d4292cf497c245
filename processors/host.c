/* SPDX-License-Identifier: Apache-2.0 */
#include "processors/host.h"

#include <stdio.h>
#include <string.h>

#include "common/stream/stream.h"

static struct host_output *whole(struct ear_output *out)
{
    return (struct host_output *)(void *)out;
}

/* The place of a message in its batch, or count. Stages go through a batch in order, so it is where
 * the last one was or after it. */
static size_t place_of(struct host_output *output, const struct ear_message *message)
{
    for (size_t i = 0; i < output->count; i++) {
        size_t at = (output->hint + i) % output->count;

        if (output->messages[at] == message) {
            output->hint = at;
            return at;
        }
    }
    return output->count;
}

/* The place where a verdict on the message may go; NULL with EAR_FATAL: the stage breaks its
 * contract. */
static struct host_judged *place_for_verdict(struct host_output *output,
                                             const struct ear_message *message,
                                             struct ear_error *err)
{
    size_t at = place_of(output, message);

    if (at == output->count) {
        ear_fail(err, EAR_FATAL, "the stage judged a message that is not of its batch");
        return NULL;
    }
    if (output->judged[at].verdict != HOST_DROPPED) {
        ear_fail(err, EAR_FATAL, "the stage judged one message twice");
        return NULL;
    }
    return &output->judged[at];
}

static const char *keep(struct message_arena *arena, const char *text, struct ear_error *err)
{
    size_t size = strlen(text) + 1;
    char *copy = message_arena_take(arena, size, err);

    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

static int publish_elsewhere(struct host_output *output, const struct ear_message *message,
                             const char *topic, struct ear_error *err)
{
    char id[STREAM_KEY_MAX];
    const char *own = message_string(message, "id", NULL);
    struct host_elsewhere *elsewhere = NULL;
    int number = 1, length = 0;

    for (struct host_elsewhere *at = output->elsewhere; at != NULL; at = at->next) {
        const char *other = message_string(at->message, "id", NULL);

        number += strncmp(other, own, strlen(own)) == 0 && other[strlen(own)] == '#';
    }
    if (number > HOST_ELSEWHERE_MAX) {
        return ear_fail(err, EAR_FATAL, "the stage published one message more than %d times",
                        HOST_ELSEWHERE_MAX);
    }
    length = snprintf(id, sizeof id, "%s#%d", own, number);
    if (length < 0 || (size_t)length >= sizeof id) {
        return ear_fail(err, EAR_REJECT, "bad_id: an id has at most %d bytes", (int)sizeof id - 8);
    }
    elsewhere = message_arena_take(output->arena, sizeof *elsewhere, err);
    if (elsewhere == NULL) {
        return -1;
    }
    elsewhere->topic = keep(output->arena, topic, err);
    elsewhere->message = message_copy(output->arena, message, err);
    if (elsewhere->topic == NULL || elsewhere->message == NULL ||
        message_set_string(elsewhere->message, "id", id, (size_t)length, err) != 0) {
        return -1;
    }
    elsewhere->next = output->elsewhere;
    output->elsewhere = elsewhere;
    return 0;
}

static int publish(struct ear_output *out, struct ear_message *message, const char *topic,
                   struct ear_error *err)
{
    struct host_output *output = whole(out);
    struct host_judged *judged = NULL;

    if (topic != NULL) {
        return publish_elsewhere(output, message, topic, err);
    }
    judged = place_for_verdict(output, message, err);
    if (judged == NULL) {
        return -1;
    }
    judged->verdict = HOST_PASSED;
    return 0;
}

static int reject(struct ear_output *out, const struct ear_message *message, const char *code,
                  const char *reason, struct ear_error *err)
{
    struct host_output *output = whole(out);
    struct host_judged *judged = place_for_verdict(output, message, err);

    if (judged == NULL) {
        return -1;
    }
    judged->code = keep(output->arena, code, err);
    judged->reason = keep(output->arena, reason, err);
    if (judged->code == NULL || judged->reason == NULL) {
        return -1;
    }
    judged->verdict = HOST_REJECTED;
    return 0;
}

static const struct ear_host host = {
    .size = sizeof(struct ear_host),
    .string = message_string,
    .raw = message_raw,
    .integer = message_integer,
    .number = message_number,
    .set_raw = message_set_raw,
    .set_string = message_set_string,
    .publish = publish,
    .reject = reject,
};

void host_attach(struct ear_message *message)
{
    message_set_host(message, &host);
}

int host_output_init(struct host_output *output, struct message_arena *arena,
                     struct ear_message *const messages[], size_t count, struct ear_error *err)
{
    struct host_judged *judged = message_arena_take(arena, (count + 1) * sizeof *judged, err);

    if (judged == NULL) {
        return -1;
    }
    memset(judged, 0, (count + 1) * sizeof *judged);
    *output = (struct host_output){.output = {.host = &host},
                                   .arena = arena,
                                   .messages = messages,
                                   .count = count,
                                   .judged = judged};
    return 0;
}
