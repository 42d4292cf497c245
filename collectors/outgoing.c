/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "common/stream/stream.h"

enum { KEPT_BYTES_MAX = 8 * 1024 * 1024, FIRST_BYTES = 64 * 1024, FIRST_MESSAGES = 256 };

struct message {
    const char *topic; /* NULL: struck out */
    size_t at;         /* of the key in `bytes`; the value follows it */
    size_t key_length, value_length;
    int64_t at_us;
    bool tombstone;
};

struct outgoing {
    struct message *messages; /* [capacity], count of them in use */
    size_t count, capacity;
    char *bytes; /* [room] */
    size_t used, room;
};

int outgoing_new(struct outgoing **out, struct ear_error *err)
{
    struct outgoing *outgoing = calloc(1, sizeof(*outgoing));

    if (outgoing == NULL) {
        return ear_fail_memory(err, "what goes out");
    }
    *out = outgoing;
    return 0;
}

void outgoing_free(struct outgoing *outgoing)
{
    if (outgoing == NULL) {
        return;
    }
    free(outgoing->messages);
    free(outgoing->bytes);
    free(outgoing);
}

static int make_room(struct outgoing *outgoing, size_t needed, struct ear_error *err)
{
    size_t room = outgoing->room == 0 ? FIRST_BYTES : outgoing->room;

    if (needed > OUTGOING_BYTES_MAX - outgoing->used) {
        return ear_fail(err, EAR_FATAL,
                        "a step of more than %d MiB (a bug of ours): its reader must go on sooner",
                        OUTGOING_BYTES_MAX >> 20);
    }
    while (room - outgoing->used < needed) {
        room *= 2;
    }
    if (room != outgoing->room) {
        char *bytes = realloc(outgoing->bytes, room);

        if (bytes == NULL) {
            return ear_fail_memory(err, "what goes out");
        }
        outgoing->bytes = bytes;
        outgoing->room = room;
    }
    if (outgoing->count == outgoing->capacity) {
        const size_t capacity = outgoing->capacity == 0 ? FIRST_MESSAGES : outgoing->capacity * 2;
        struct message *messages = realloc(outgoing->messages, capacity * sizeof(*messages));

        if (messages == NULL) {
            return ear_fail_memory(err, "what goes out");
        }
        outgoing->messages = messages;
        outgoing->capacity = capacity;
    }
    return 0;
}

int outgoing_add(struct outgoing *outgoing, const char *topic, const char *key, size_t key_length,
                 const char *value, size_t value_length, int64_t at_us, struct ear_error *err)
{
    char *to = NULL;

    if (key_length > STREAM_KEY_MAX || value_length > STREAM_MESSAGE_MAX) {
        return ear_fail(err, EAR_REJECT,
                        "too_large: a message for topic '%s' has a key of %zu and a value of %zu "
                        "bytes; at most %d and %d are taken",
                        topic, key_length, value_length, STREAM_KEY_MAX, STREAM_MESSAGE_MAX);
    }
    if (make_room(outgoing, key_length + value_length, err) != 0) {
        return -1;
    }
    to = outgoing->bytes + outgoing->used;
    memcpy(to, key, key_length);
    if (value != NULL) {
        memcpy(to + key_length, value, value_length);
    }
    outgoing->messages[outgoing->count++] = (struct message){
        .topic = topic,
        .at = outgoing->used,
        .key_length = key_length,
        .value_length = value_length,
        .at_us = at_us,
        .tombstone = value == NULL,
    };
    outgoing->used += key_length + value_length;
    return 0;
}

size_t outgoing_count(const struct outgoing *outgoing)
{
    return outgoing->count;
}

size_t outgoing_bytes(const struct outgoing *outgoing)
{
    return outgoing->used;
}

void outgoing_cut(struct outgoing *outgoing, size_t count)
{
    if (count < outgoing->count) {
        outgoing->used = outgoing->messages[count].at;
        outgoing->count = count;
    }
}

void outgoing_strike(struct outgoing *outgoing, size_t number)
{
    outgoing->messages[number].topic = NULL;
}

int outgoing_publish(const struct outgoing *outgoing, struct stream_transaction *transaction,
                     bool (*takes)(const char *topic), struct ear_error *err)
{
    for (size_t i = 0; i < outgoing->count; i++) {
        const struct message *message = &outgoing->messages[i];
        const char *key = outgoing->bytes + message->at;

        if (message->topic == NULL || (takes != NULL && !takes(message->topic))) {
            continue;
        }
        if (stream_publish(transaction, message->topic, key, message->key_length,
                           message->tombstone ? NULL : key + message->key_length,
                           message->value_length, message->at_us, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void outgoing_clear(struct outgoing *outgoing)
{
    outgoing->count = 0;
    outgoing->used = 0;
    if (outgoing->room > KEPT_BYTES_MAX) { /* once in a while a step is large */
        free(outgoing->bytes);
        free(outgoing->messages);
        *outgoing = (struct outgoing){0};
    }
}
