/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/asks.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json/json.h"
#include "common/stream/stream.h"

enum { BATCH_MESSAGES = 1000, BATCH_BYTES = 1024 * 1024 };

#define LOOK_EVERY_US CLOCK_SECOND_US

struct asks {
    struct stream_reader *reader;
    struct stream_batch batch;
    struct json *json;
    char **items; /* [count] */
    size_t count, capacity;
    int64_t looked_mono_us;
    bool known;
};

int asks_new(struct asks **out, struct stream *stream, int64_t now_us, struct ear_error *err)
{
    struct asks *asks = calloc(1, sizeof(*asks));
    int result = -1;

    if (asks == NULL) {
        ear_fail_memory(err, "what is asked for");
        goto done;
    }
    if (json_new(&asks->json, err) != 0 ||
        stream_follow(&asks->reader, stream, "rejects", now_us - ASKS_DAYS * CLOCK_DAY_US, err) !=
            0) {
        goto done;
    }
    *out = asks;
    asks = NULL;
    result = 0;

done:
    asks_free(asks);
    return result;
}

void asks_free(struct asks *asks)
{
    if (asks == NULL) {
        return;
    }
    for (size_t i = 0; i < asks->count; i++) {
        free(asks->items[i]);
    }
    free(asks->items);
    json_free(asks->json);
    stream_batch_clear(&asks->batch);
    if (asks->reader != NULL) {
        stream_reader_close(asks->reader);
    }
    free(asks);
}

static void drop(struct asks *asks, const char *key)
{
    for (size_t i = 0; i < asks->count; i++) {
        if (strcmp(asks->items[i], key) == 0) {
            free(asks->items[i]);
            asks->items[i] = asks->items[--asks->count];
            return;
        }
    }
}

static int add(struct asks *asks, const char *key, struct ear_error *err)
{
    char *copy = NULL;

    drop(asks, key);
    if (asks->count == ASKS_MAX) { /* the reject stays listed */
        return 0;
    }
    if (asks->count == asks->capacity) {
        const size_t capacity = asks->capacity == 0 ? 16 : asks->capacity * 2;
        char **items = realloc(asks->items, capacity * sizeof(*items));

        if (items == NULL) {
            return ear_fail_memory(err, "what is asked for");
        }
        asks->items = items;
        asks->capacity = capacity;
    }
    copy = strdup(key);
    if (copy == NULL) {
        return ear_fail_memory(err, "what is asked for");
    }
    asks->items[asks->count++] = copy;
    return 0;
}

static bool asks_again(struct asks *asks, const struct stream_message *message)
{
    struct ear_error why = {EAR_NONE, ""};
    bool again = false;

    if (message->value == NULL || strstr(message->value, "\"again\"") == NULL) {
        return false;
    }
    (void)json_boolean(json_get(json_read(asks->json, message->value, message->value_length,
                                          &json_limits_default, &why),
                                "again"),
                       &again);
    return again;
}

static int take(struct asks *asks, const struct stream_message *message, struct ear_error *err)
{
    if (message->key == NULL) {
        return 0;
    }
    if (asks_again(asks, message)) {
        return add(asks, message->key, err);
    }
    drop(asks, message->key);
    return 0;
}

int asks_look(struct asks *asks, struct ear_error *err)
{
    const int64_t mono_us = clock_mono_us();

    if (asks->known && mono_us - asks->looked_mono_us < LOOK_EVERY_US) {
        return 0;
    }
    asks->looked_mono_us = mono_us;
    /* 0 would wait for the end of another's transaction, and the share would stand meanwhile. */
    if (stream_read(asks->reader, &asks->batch, BATCH_MESSAGES, BATCH_BYTES, asks->known ? 1 : 0,
                    err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < asks->batch.count; i++) {
        if (take(asks, &asks->batch.messages[i], err) != 0) {
            return -1;
        }
    }
    if (asks->batch.count == 0) {
        asks->known = true;
    } else if (asks->known) {
        asks->looked_mono_us = 0; /* there may be more */
    }
    return 0;
}

bool asks_are_known(const struct asks *asks)
{
    return asks->known;
}

size_t asks_count(const struct asks *asks)
{
    return asks->count;
}

const char *asks_at(const struct asks *asks, size_t index)
{
    return asks->items[index];
}

bool asks_is_about(const char *ask, const char *source)
{
    const size_t length = strcspn(ask, "/");

    return strncmp(ask, source, length) == 0 && source[length] == '\0';
}
