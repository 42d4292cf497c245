/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/errands.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json/json.h"
#include "common/json_instant.h"
#include "common/stream/stream.h"

enum { BATCH_MESSAGES = 1000, BATCH_BYTES = 1024 * 1024 };

#define LOOK_EVERY_US CLOCK_SECOND_US

enum topic { REJECTS, ERRANDS, TOPICS };

static const char *const topics[TOPICS] = {"rejects", "errands"};

struct noted {
    char *source;
    int64_t asked_us, since_us;
};

struct errands {
    struct stream_reader *readers[TOPICS];
    struct stream_batch batch;
    struct json *json;
    char **retries; /* [retry_count] */
    size_t retry_count, retry_capacity;
    struct noted *noted; /* [noted_count] */
    size_t noted_count, noted_capacity;
    int64_t looked_mono_us;
    bool at_end[TOPICS]; /* all that there was at the start is known */
    bool known;
};

int errands_new(struct errands **out, struct stream *stream, int64_t now_us, struct ear_error *err)
{
    struct errands *errands = calloc(1, sizeof(*errands));
    int result = -1;

    if (errands == NULL) {
        ear_fail_memory(err, "what is asked for");
        goto done;
    }
    if (json_new(&errands->json, err) != 0 ||
        stream_follow(&errands->readers[REJECTS], stream, topics[REJECTS],
                      now_us - ERRANDS_DAYS * CLOCK_DAY_US, err) != 0 ||
        stream_follow(&errands->readers[ERRANDS], stream, topics[ERRANDS], INT64_MIN, err) != 0) {
        goto done;
    }
    *out = errands;
    errands = NULL;
    result = 0;

done:
    errands_free(errands);
    return result;
}

void errands_free(struct errands *errands)
{
    if (errands == NULL) {
        return;
    }
    for (size_t i = 0; i < errands->retry_count; i++) {
        free(errands->retries[i]);
    }
    for (size_t i = 0; i < errands->noted_count; i++) {
        free(errands->noted[i].source);
    }
    free(errands->retries);
    free(errands->noted);
    json_free(errands->json);
    stream_batch_clear(&errands->batch);
    for (size_t i = 0; i < TOPICS; i++) {
        if (errands->readers[i] != NULL) {
            stream_reader_close(errands->readers[i]);
        }
    }
    free(errands);
}

static void drop(struct errands *errands, const char *key)
{
    for (size_t i = 0; i < errands->retry_count; i++) {
        if (strcmp(errands->retries[i], key) == 0) {
            free(errands->retries[i]);
            errands->retries[i] = errands->retries[--errands->retry_count];
            return;
        }
    }
}

static int add(struct errands *errands, const char *key, struct ear_error *err)
{
    char *copy = NULL;

    drop(errands, key);
    if (errands->retry_count == ERRANDS_MAX) { /* the reject stays listed */
        return 0;
    }
    if (errands->retry_count == errands->retry_capacity) {
        const size_t capacity = errands->retry_capacity == 0 ? 16 : errands->retry_capacity * 2;
        char **items = realloc(errands->retries, capacity * sizeof(*items));

        if (items == NULL) {
            return ear_fail_memory(err, "what is asked for");
        }
        errands->retries = items;
        errands->retry_capacity = capacity;
    }
    copy = strdup(key);
    if (copy == NULL) {
        return ear_fail_memory(err, "what is asked for");
    }
    errands->retries[errands->retry_count++] = copy;
    return 0;
}

static bool is_for_again(struct errands *errands, const struct stream_message *message)
{
    struct ear_error why = {EAR_NONE, ""};
    bool again = false;

    if (message->value == NULL || strstr(message->value, "\"again\"") == NULL) {
        return false;
    }
    (void)json_boolean(json_get(json_read(errands->json, message->value, message->value_length,
                                          &json_limits_default, &why),
                                "again"),
                       &again);
    return again;
}

static struct noted *errand_of(struct errands *errands, const char *source, struct ear_error *err)
{
    struct noted *errand = NULL;

    for (size_t i = 0; i < errands->noted_count; i++) {
        if (strcmp(errands->noted[i].source, source) == 0) {
            return &errands->noted[i];
        }
    }
    if (errands->noted_count == errands->noted_capacity) {
        const size_t capacity = errands->noted_capacity == 0 ? 16 : errands->noted_capacity * 2;
        struct noted *grown = realloc(errands->noted, capacity * sizeof(*grown));

        if (grown == NULL) {
            ear_fail_memory(err, "what is asked for");
            return NULL;
        }
        errands->noted = grown;
        errands->noted_capacity = capacity;
    }
    errand = &errands->noted[errands->noted_count];
    *errand = (struct noted){.source = strdup(source)};
    if (errand->source == NULL) {
        ear_fail_memory(err, "what is asked for");
        return NULL;
    }
    errands->noted_count++;
    return errand;
}

/* Nobody but a program of ours writes there: what is not understood is of a newer one. */
static int take_errand(struct errands *errands, const struct stream_message *message,
                       struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *root = NULL;
    struct noted *errand = NULL;
    int64_t asked_us = 0;

    if (message->value == NULL || message->key == NULL) {
        return 0;
    }
    root =
        json_read(errands->json, message->value, message->value_length, &json_limits_default, &why);
    asked_us = json_instant(root, "at", INT64_MIN);
    if (asked_us == INT64_MIN) {
        return 0;
    }
    errand = errand_of(errands, message->key, err);
    if (errand == NULL) {
        return -1;
    }
    if (asked_us > errand->asked_us) {
        errand->asked_us = asked_us;
        errand->since_us = json_instant(root, "backfill_since", 0);
    }
    return 0;
}

static int take(struct errands *errands, const struct stream_message *message,
                struct ear_error *err)
{
    if (strcmp(message->topic, topics[ERRANDS]) == 0) {
        return take_errand(errands, message, err);
    }
    if (message->key == NULL) {
        return 0;
    }
    if (is_for_again(errands, message)) {
        return add(errands, message->key, err);
    }
    drop(errands, message->key);
    return 0;
}

static int look(struct errands *errands, enum topic topic, struct ear_error *err)
{
    /* 0 would wait for the end of another's transaction, and the share would stand meanwhile. */
    if (stream_read(errands->readers[topic], &errands->batch, BATCH_MESSAGES, BATCH_BYTES,
                    errands->at_end[topic] ? 1 : 0, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < errands->batch.count; i++) {
        if (take(errands, &errands->batch.messages[i], err) != 0) {
            return -1;
        }
    }
    if (errands->batch.count == 0) {
        errands->at_end[topic] = true;
    } else if (errands->known) {
        errands->looked_mono_us = 0; /* there may be more */
    }
    return 0;
}

int errands_look(struct errands *errands, struct ear_error *err)
{
    const int64_t mono_us = clock_mono_us();

    if (errands->known && mono_us - errands->looked_mono_us < LOOK_EVERY_US) {
        return 0;
    }
    errands->looked_mono_us = mono_us;
    for (enum topic topic = REJECTS; topic < TOPICS; topic++) {
        if ((errands->known || !errands->at_end[topic]) && look(errands, topic, err) != 0) {
            return -1;
        }
    }
    errands->known = errands->at_end[REJECTS] && errands->at_end[ERRANDS];
    return 0;
}

bool errands_are_known(const struct errands *errands)
{
    return errands->known;
}

size_t errands_retry_count(const struct errands *errands)
{
    return errands->retry_count;
}

const char *errands_retry_at(const struct errands *errands, size_t index)
{
    return errands->retries[index];
}

size_t errands_count(const struct errands *errands)
{
    return errands->noted_count;
}

struct errand errands_at(const struct errands *errands, size_t index)
{
    const struct noted *noted = &errands->noted[index];

    return (struct errand){
        .source = noted->source, .asked_us = noted->asked_us, .since_us = noted->since_us};
}

bool errands_is_about(const char *retry, const char *source)
{
    const size_t length = strcspn(retry, "/");

    return strncmp(retry, source, length) == 0 && source[length] == '\0';
}
