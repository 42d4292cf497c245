/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/asks.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/stream/stream.h"

enum { BATCH_MESSAGES = 1000, BATCH_BYTES = 1024 * 1024 };

#define LOOK_EVERY_US CLOCK_SECOND_US

enum topic { REJECTS, ERRANDS, TOPICS };

static const char *const topics[TOPICS] = {"rejects", "errands"};

struct noted {
    char *source;
    int64_t asked_us, since_us;
};

struct asks {
    struct stream_reader *readers[TOPICS];
    struct stream_batch batch;
    struct json *json;
    char **items; /* [count] */
    size_t count, capacity;
    struct noted *errands; /* [errand_count] */
    size_t errand_count, errand_capacity;
    int64_t looked_mono_us;
    bool at_end[TOPICS]; /* all that there was at the start is known */
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
        stream_follow(&asks->readers[REJECTS], stream, topics[REJECTS],
                      now_us - ASKS_DAYS * CLOCK_DAY_US, err) != 0 ||
        stream_follow(&asks->readers[ERRANDS], stream, topics[ERRANDS], INT64_MIN, err) != 0) {
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
    for (size_t i = 0; i < asks->errand_count; i++) {
        free(asks->errands[i].source);
    }
    free(asks->items);
    free(asks->errands);
    json_free(asks->json);
    stream_batch_clear(&asks->batch);
    for (size_t i = 0; i < TOPICS; i++) {
        if (asks->readers[i] != NULL) {
            stream_reader_close(asks->readers[i]);
        }
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

static struct noted *errand_of(struct asks *asks, const char *source, struct ear_error *err)
{
    struct noted *errand = NULL;

    for (size_t i = 0; i < asks->errand_count; i++) {
        if (strcmp(asks->errands[i].source, source) == 0) {
            return &asks->errands[i];
        }
    }
    if (asks->errand_count == asks->errand_capacity) {
        const size_t capacity = asks->errand_capacity == 0 ? 16 : asks->errand_capacity * 2;
        struct noted *errands = realloc(asks->errands, capacity * sizeof(*errands));

        if (errands == NULL) {
            ear_fail_memory(err, "what is asked for");
            return NULL;
        }
        asks->errands = errands;
        asks->errand_capacity = capacity;
    }
    errand = &asks->errands[asks->errand_count];
    *errand = (struct noted){.source = strdup(source)};
    if (errand->source == NULL) {
        ear_fail_memory(err, "what is asked for");
        return NULL;
    }
    asks->errand_count++;
    return errand;
}

static bool read_instant(int64_t *out, const struct json_node *root, const char *key)
{
    size_t length = 0;
    const char *text = json_string(json_get(root, key), &length);

    return text != NULL && instant_parse_rfc3339(out, text, length);
}

/* Nobody but a program of ours writes there: what is not understood is of a newer one. */
static int take_errand(struct asks *asks, const struct stream_message *message,
                       struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *root = NULL;
    struct noted *errand = NULL;
    int64_t asked_us = 0;
    int64_t since_us = 0;

    if (message->value == NULL || message->key == NULL) {
        return 0;
    }
    root = json_read(asks->json, message->value, message->value_length, &json_limits_default, &why);
    if (!read_instant(&asked_us, root, "at")) {
        return 0;
    }
    (void)read_instant(&since_us, root, "backfill_since");
    errand = errand_of(asks, message->key, err);
    if (errand == NULL) {
        return -1;
    }
    if (asked_us > errand->asked_us) {
        errand->asked_us = asked_us;
        errand->since_us = since_us;
    }
    return 0;
}

static int take(struct asks *asks, const struct stream_message *message, struct ear_error *err)
{
    if (strcmp(message->topic, topics[ERRANDS]) == 0) {
        return take_errand(asks, message, err);
    }
    if (message->key == NULL) {
        return 0;
    }
    if (asks_again(asks, message)) {
        return add(asks, message->key, err);
    }
    drop(asks, message->key);
    return 0;
}

static int look(struct asks *asks, enum topic topic, struct ear_error *err)
{
    /* 0 would wait for the end of another's transaction, and the share would stand meanwhile. */
    if (stream_read(asks->readers[topic], &asks->batch, BATCH_MESSAGES, BATCH_BYTES,
                    asks->at_end[topic] ? 1 : 0, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < asks->batch.count; i++) {
        if (take(asks, &asks->batch.messages[i], err) != 0) {
            return -1;
        }
    }
    if (asks->batch.count == 0) {
        asks->at_end[topic] = true;
    } else if (asks->known) {
        asks->looked_mono_us = 0; /* there may be more */
    }
    return 0;
}

int asks_look(struct asks *asks, struct ear_error *err)
{
    const int64_t mono_us = clock_mono_us();

    if (asks->known && mono_us - asks->looked_mono_us < LOOK_EVERY_US) {
        return 0;
    }
    asks->looked_mono_us = mono_us;
    for (enum topic topic = REJECTS; topic < TOPICS; topic++) {
        if ((asks->known || !asks->at_end[topic]) && look(asks, topic, err) != 0) {
            return -1;
        }
    }
    asks->known = asks->at_end[REJECTS] && asks->at_end[ERRANDS];
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

size_t asks_errand_count(const struct asks *asks)
{
    return asks->errand_count;
}

struct errand asks_errand_at(const struct asks *asks, size_t index)
{
    const struct noted *noted = &asks->errands[index];

    return (struct errand){
        .source = noted->source, .asked_us = noted->asked_us, .since_us = noted->since_us};
}

bool asks_is_about(const char *ask, const char *source)
{
    const size_t length = strcspn(ask, "/");

    return strncmp(ask, source, length) == 0 && source[length] == '\0';
}
