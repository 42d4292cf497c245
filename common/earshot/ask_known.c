/* SPDX-License-Identifier: Apache-2.0 */

/* The asks that the log knows of, whether a sink has them yet or not: `decisions`, from its
 * beginning. */

#include <stdlib.h>
#include <string.h>

#include "common/earshot/earshot_internal.h"

enum { BATCH_MESSAGES = 500, BATCH_BYTES = 4 * 1024 * 1024, KNOWN_MAX = 10000 };

static ptrdiff_t place_of(const struct asks_known *known, const char *name)
{
    for (size_t i = 0; i < known->count; i++) {
        if (strcmp(known->names[i], name) == 0) {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

bool asks_known_have(const struct asks_known *known, const char *name)
{
    return place_of(known, name) >= 0;
}

static int take_name(struct asks_known *known, const char *name, bool removed,
                     struct ear_error *err)
{
    ptrdiff_t at = place_of(known, name);
    const char **more = NULL;

    if (removed && at >= 0) {
        free((char *)known->names[at]);
        known->names[at] = known->names[--known->count];
        known->names[known->count] = NULL;
    }
    if (removed || at >= 0 || known->count == KNOWN_MAX) {
        return 0;
    }
    more = realloc(known->names, (known->count + 2) * sizeof *more);
    if (more == NULL) {
        return ear_fail_memory(err, "the asks");
    }
    known->names = more;
    more[known->count] = strdup(name);
    more[known->count + 1] = NULL;
    if (more[known->count] == NULL) {
        return ear_fail_memory(err, "the asks");
    }
    known->count++;
    return 0;
}

static int take_decision(struct asks_known *known, struct json *json,
                         const struct stream_message *message, struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *root =
        message->value == NULL
            ? NULL
            : json_read(json, message->value, message->value_length, &json_limits_default, &why);
    const struct json_node *said = json_get(root, "ask");
    const char *name = json_string(json_get(root, "subject"), NULL);
    bool removed = false;

    if (said == NULL || name == NULL) {
        return 0;
    }
    (void)json_boolean(json_get(said, "removed"), &removed);
    return take_name(known, name, removed, err);
}

int asks_known_read(struct asks_known *out, struct stream *stream, struct ear_error *err)
{
    struct stream_batch batch = {0};
    struct stream_reader *reader = NULL;
    struct json *json = NULL;
    int result = -1;

    *out = (struct asks_known){0};
    if (json_new(&json, err) != 0 ||
        stream_follow(&reader, stream, "decisions", INT64_MIN, err) != 0) {
        goto done;
    }
    do {
        result = stream_read(reader, &batch, BATCH_MESSAGES, BATCH_BYTES, 0, err);
        for (size_t i = 0; result == 0 && i < batch.count; i++) {
            result = take_decision(out, json, &batch.messages[i], err);
        }
    } while (result == 0 && batch.count > 0);

done:
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    json_free(json);
    if (result != 0) {
        asks_known_clear(out);
    }
    return result;
}

void asks_known_clear(struct asks_known *known)
{
    for (size_t i = 0; i < known->count; i++) {
        free((char *)known->names[i]);
    }
    free((void *)known->names);
    *known = (struct asks_known){0};
}
