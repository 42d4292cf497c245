/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Makes a post what the later stages may count on, whoever published it: needed fields are there
 * and known ones have their type (else reject `schema`, which names field and type), ids are sound,
 * title and text are in NFC without stray white space, times are RFC 3339 in UTC. A time that is
 * absent, zero or too far ahead gives way to the post's arrival, and the post is flagged
 * `time_suspect`: there is never a window in the future. What nobody knows stays as it came.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/text/text.h"
#include "processors/stage.h"

enum { ID_MAX = 2048, REASON_MAX = 256 };

struct normalise {
    int64_t ahead_us;
};

struct state {
    struct json_writer *writer;
};

static const struct ear_option options[] = {
    {.name = "ahead",
     .type = EAR_DURATION,
     .offset = offsetof(struct normalise, ahead_us),
     .fallback = "1d",
     .help = "how far after its arrival a post may be dated before its time is suspect"},
    {0},
};

struct field {
    const char *name;
    enum json_kind kind; /* JSON_TRUE stands for both booleans */
    bool needed;
};

static const struct field fields[] = {
    {"id", JSON_STRING, true},
    {"source", JSON_STRING, true},
    {"version", JSON_NUMBER, true},
    {"also", JSON_ARRAY, false},
    {"platform", JSON_STRING, true},
    {"channel", JSON_STRING, true},
    {"url", JSON_STRING, false},
    {"author", JSON_OBJECT, false},
    {"created_at", JSON_STRING, false},
    {"edited_at", JSON_STRING, false},
    {"collected_at", JSON_STRING, false},
    {"title", JSON_STRING, false},
    {"text", JSON_STRING, false},
    {"lang", JSON_STRING, false},
    {"thread", JSON_STRING, false},
    {"parent", JSON_STRING, false},
    {"rating", JSON_NUMBER, false},
    {"engagement", JSON_OBJECT, false},
    {"about", JSON_STRING, false},
    {"tags", JSON_ARRAY, false},
    {"ours", JSON_TRUE, false},
    {"staff", JSON_TRUE, false},
    {"flags", JSON_ARRAY, false},
    {"insight", JSON_OBJECT, false},
};

static enum json_kind kind_of(const char *raw)
{
    switch (raw[0]) {
    case '"':
        return JSON_STRING;
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case 't':
    case 'f':
        return JSON_TRUE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static const char *kind_name(enum json_kind kind)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",       [JSON_FALSE] = "a boolean", [JSON_TRUE] = "a boolean",
        [JSON_NUMBER] = "a number", [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",
        [JSON_OBJECT] = "an object"};

    return names[kind];
}

/* True if every field is as it must be; else the reason says which is not. */
static bool fits(const struct ear_message *post, char reason[REASON_MAX])
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct field *field = &fields[i];
        const char *raw = ear_message_raw(post, field->name, NULL);
        enum json_kind kind = raw == NULL ? JSON_NULL : kind_of(raw);

        if (kind == JSON_NULL && field->needed) {
            snprintf(reason, REASON_MAX, "'%s' is missing; a post needs it, as %s", field->name,
                     kind_name(field->kind));
            return false;
        }
        if (kind != JSON_NULL && kind != field->kind) {
            snprintf(reason, REASON_MAX, "'%s' is %s; it must be %s", field->name, kind_name(kind),
                     kind_name(field->kind));
            return false;
        }
    }
    return true;
}

static bool has_three_parts(const char *id)
{
    const char *host = strchr(id, ':');
    const char *native = host == NULL ? NULL : strchr(host + 1, ':');

    return native != NULL && host != id && native[1] != '\0';
}

/* What the types alone do not say. The code of the reject, or NULL. */
static const char *fault(const struct ear_message *post, char reason[REASON_MAX])
{
    size_t length = 0;
    const char *id = ear_message_bytes(post, "id", &length);
    int64_t version = 0;
    double rating = 0;

    if (length > ID_MAX || strstr(id, "\xEF\xBF\xBD") != NULL || !has_three_parts(id)) {
        snprintf(reason, REASON_MAX,
                 "'id' is not platform:host:native-id in sound UTF-8 of at most %d bytes", ID_MAX);
        return "bad_id";
    }
    if (!ear_message_integer(post, "version", &version) || version < 1) {
        snprintf(reason, REASON_MAX, "'version' is no count of microseconds since 1970");
        return "schema";
    }
    if (ear_message_number(post, "rating", &rating) && !(rating >= 0 && rating <= 1)) {
        snprintf(reason, REASON_MAX, "'rating' is %g; it must be 0 to 1", rating);
        return "schema";
    }
    if (ear_message_string(post, "text") == NULL && ear_message_string(post, "title") == NULL &&
        ear_message_raw(post, "rating", NULL) == NULL) {
        snprintf(reason, REASON_MAX, "'text' is missing; a post needs a text, title or rating");
        return "schema";
    }
    return NULL;
}

static int add_flag(struct state *state, struct ear_message *post, const char *flag,
                    struct ear_error *err)
{
    const struct json_node *flags = message_node(post, "flags");
    const char *text = NULL;
    size_t length = 0;

    json_writer_reset(state->writer);
    json_write_array(state->writer);
    for (const struct json_node *each = json_first(flags); each != NULL; each = json_next(each)) {
        const char *name = json_string(each, NULL);
        const char *raw = json_raw(each, &length);

        if (name != NULL && strcmp(name, flag) == 0) {
            return 0;
        }
        json_write_raw(state->writer, raw, length);
    }
    json_write_string(state->writer, flag);
    json_write_array_end(state->writer);
    text = json_writer_text(state->writer, &length, err);
    return text == NULL ? -1 : ear_message_set_raw(post, "flags", text, length, err);
}

/* True if NFC cannot change the text: all of it is below U+0300, general punctuation or emoji. */
static bool is_surely_nfc(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte >= 0xCC && byte != 0xE2 && byte != 0xF0) {
            return false;
        }
        if (byte == 0xE2 && !(text[i + 1] == '\x80' && (unsigned char)text[i + 2] > 0x81)) {
            return false;
        }
        if (byte == 0xF0 && text[i + 1] != '\x9F') {
            return false;
        }
    }
    return true;
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* A no-break space, or one of the blanks of U+2000 to U+200A and U+3000. */
static bool is_wide_blank(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    return (at[0] == 0xC2 && at[1] == 0xA0) || (at[0] == 0xE2 && at[1] == 0x80 && at[2] <= 0x8A) ||
           (at[0] == 0xE3 && at[1] == 0x80 && at[2] == 0x80);
}

/* True if tidying cannot change it: no white space at the ends, none in a row, no other than space
 * and line end. */
static bool is_surely_tidy(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_blank(text[i])) {
            if (is_wide_blank(text + i)) {
                return false;
            }
            continue;
        }
        if (i == 0 || i + 1 == length || is_blank(text[i + 1]) ||
            (text[i] != ' ' && text[i] != '\n')) {
            return false;
        }
    }
    return true;
}

static int mend_text(struct ear_message *post, const char *name, struct ear_error *err)
{
    int result = -1;
    size_t length = 0, mended_length = 0;
    const char *text = ear_message_bytes(post, name, &length);
    char *mended = NULL;

    if (text == NULL || (is_surely_nfc(text, length) && is_surely_tidy(text, length))) {
        return 0;
    }
    mended = text_nfc(text, length, &mended_length);
    if (mended == NULL) {
        ear_fail_memory(err, "a text in NFC");
        goto done;
    }
    mended_length = text_tidy(mended, mended_length);
    if (mended_length == length && memcmp(mended, text, length) == 0) {
        result = 0;
        goto done;
    }
    result = ear_message_set_string(post, name, mended, mended_length, err);

done:
    free(mended);
    return result;
}

static bool read_time(int64_t *out_us, const struct ear_message *post, const char *name)
{
    size_t length = 0;
    const char *text = ear_message_bytes(post, name, &length);

    return text != NULL && instant_parse_rfc3339(out_us, text, length);
}

/* Writes an instant where it does not stand so already. */
static int set_time(struct ear_message *post, const char *name, int64_t at_us,
                    struct ear_error *err)
{
    char text[INSTANT_SIZE];
    const char *old = ear_message_string(post, name);

    instant_format(text, at_us);
    if (old != NULL && strcmp(old, text) == 0) {
        return 0;
    }
    return ear_message_set_string(post, name, text, strlen(text), err);
}

static int mend_times(struct state *state, const struct normalise *config, struct ear_message *post,
                      struct ear_error *err)
{
    int64_t arrived_us = 0, created_us = 0, edited_us = 0;
    bool suspect = false;

    if (!read_time(&arrived_us, post, "collected_at")) {
        (void)ear_message_integer(post, "version", &arrived_us);
    }
    if (set_time(post, "collected_at", arrived_us, err) != 0) {
        return -1;
    }
    if (!read_time(&created_us, post, "created_at") || created_us == 0 ||
        created_us > arrived_us + config->ahead_us) {
        created_us = arrived_us;
        suspect = true;
    }
    if (set_time(post, "created_at", created_us, err) != 0) {
        return -1;
    }
    if (ear_message_string(post, "edited_at") != NULL) {
        if (!read_time(&edited_us, post, "edited_at") || edited_us == 0 ||
            edited_us > arrived_us + config->ahead_us) {
            edited_us = arrived_us;
            suspect = true;
        }
        if (set_time(post, "edited_at", edited_us, err) != 0) {
            return -1;
        }
    }
    return suspect ? add_flag(state, post, "time_suspect", err) : 0;
}

static int judge(struct state *state, const struct normalise *config, struct ear_message *post,
                 struct ear_output *out, struct ear_error *err)
{
    char reason[REASON_MAX];
    const char *code = "schema";

    if (!fits(post, reason)) {
        return ear_reject(out, post, code, reason, err);
    }
    code = fault(post, reason);
    if (code != NULL) {
        return ear_reject(out, post, code, reason, err);
    }
    if (ear_message_string(post, "text") == NULL &&
        ear_message_set_string(post, "text", "", 0, err) != 0) {
        return -1;
    }
    if (mend_text(post, "title", err) != 0 || mend_text(post, "text", err) != 0 ||
        mend_times(state, config, post, err) != 0) {
        return -1;
    }
    if (message_repaired(post) && add_flag(state, post, "text_repaired", err) != 0) {
        return -1;
    }
    return ear_publish(out, post, err);
}

static int process(void *state, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (judge(state, config, messages[i], out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void close_state(void *opened)
{
    struct state *state = opened;

    if (state != NULL) {
        json_writer_free(state->writer);
    }
    free(state);
}

static int open_state(void **out, const void *config, const struct ear_stage_context *context,
                      struct ear_error *err)
{
    struct state *state = calloc(1, sizeof *state);

    (void)config;
    (void)context;
    if (state == NULL) {
        return ear_fail_memory(err, "the stage normalise");
    }
    if (json_writer_new(&state->writer, MESSAGE_POST_MAX, err) != 0) {
        close_state(state);
        return -1;
    }
    *out = state;
    return 0;
}

const struct ear_stage normalise_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "normalise",
    .about = "checks that a post is one, and brings text and times into one form",
    .options = options,
    .config_size = sizeof(struct normalise),
    .open = open_state,
    .process = process,
    .close = close_state,
};
