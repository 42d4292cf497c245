/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies as records: each entry becomes a JSON object, read as a line of an NDJSON file is. */
#include "collectors/ingest/ingest_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/hash.h"
#include "common/json/json.h"

enum { ID_SIZE = HASH128_TEXT_SIZE + 24, FIELDS_MAX = 200, FIELD_NAME_MAX = 200 };

enum body_type body_type_of(const char *content_type)
{
    static const struct {
        const char *name;
        enum body_type type;
    } types[] = {{"application/x-ndjson", BODY_NDJSON},
                 {"application/ndjson", BODY_NDJSON},
                 {"application/jsonl", BODY_NDJSON},
                 {"application/json", BODY_JSON},
                 {"application/x-www-form-urlencoded", BODY_FORM}};
    size_t length = content_type == NULL ? 0 : strcspn(content_type, "; \t");

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (length == strlen(types[i].name) &&
            strncasecmp(content_type, types[i].name, length) == 0) {
            return types[i].type;
        }
    }
    return BODY_UNKNOWN;
}

int body_make_key(char out[INGEST_KEY_SIZE], struct ear_error *err)
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return ear_fail(err, EAR_FATAL, "the system gives no random bytes");
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}

/* --- forms --- */

static int digit(char letter)
{
    return letter >= '0' && letter <= '9'   ? letter - '0'
           : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
           : letter >= 'A' && letter <= 'F' ? letter - 'A' + 10
                                            : -1;
}

/* What + and %XX stand for; a % that begins nothing is itself. Returns the length. */
static size_t decode(char *out, const char *text, size_t length)
{
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        int high = text[i] == '%' && i + 2 < length ? digit(text[i + 1]) : -1;
        int low = high >= 0 ? digit(text[i + 2]) : -1;

        if (low >= 0) {
            out[used++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[used++] = (char)(text[i] == '+' ? ' ' : text[i]);
        }
    }
    return used;
}

int body_write_fields(struct json_writer *writer, const char *body, size_t length,
                      struct ear_error *err)
{
    char *room = malloc(length + 1);
    size_t count = 0;
    int result = 0;

    if (room == NULL) {
        return ear_fail_memory(err, "a form");
    }
    for (size_t at = 0; at < length && result == 0;) {
        const char *end = memchr(body + at, '&', length - at);
        size_t size = end != NULL ? (size_t)(end - body) - at : length - at;
        const char *equals = memchr(body + at, '=', size);
        size_t name = equals != NULL ? (size_t)(equals - body) - at : size;
        char key[FIELD_NAME_MAX + 1];

        if (name > FIELD_NAME_MAX || ++count > FIELDS_MAX) {
            result = ear_fail(err, EAR_REJECT,
                              "bad_form: at most %d fields, with names of at most %d bytes",
                              FIELDS_MAX, FIELD_NAME_MAX);
        } else if (name > 0) {
            key[decode(key, body + at, name)] = '\0';
            json_write_key(writer, key);
            json_write_bytes(writer, room,
                             equals == NULL ? 0 : decode(room, equals + 1, size - name - 1));
        }
        at += size + 1;
    }
    free(room);
    return result;
}

/* --- entries --- */

struct emitting {
    struct file_rows *rows;
    const char *key;
    const struct source_output *output;
    struct body_fault *fault;
    size_t items;
};

/* A code and the rest, as messages have them; a byte that is named becomes a column. */
static int blame(struct emitting *emitting, const char *text, size_t length, size_t line,
                 const struct ear_error *why)
{
    struct body_fault *fault = emitting->fault;
    size_t size = strcspn(why->message, ":");
    const char *reason = why->message + size + (why->message[size] == ':');
    const char *byte = strstr(why->message, ": byte ");

    snprintf(fault->code, sizeof fault->code, "%.*s", (int)size, why->message);
    snprintf(fault->reason, sizeof fault->reason, "%s", reason + strspn(reason, " "));
    fault->item = emitting->items;
    fault->line = line;
    if (byte != NULL && text != NULL) {
        size_t at = strtoull(byte + 7, NULL, 10);

        fault->column = 1;
        for (size_t i = 0; i < at && i < length; i++) {
            fault->column = text[i] == '\n' ? 1 : fault->column + 1;
            fault->line += text[i] == '\n';
        }
    }
    return -1;
}

static int emit(struct emitting *emitting, const char *text, size_t length, size_t line,
                struct ear_error *err)
{
    struct source_record record;
    char id[ID_SIZE] = "";
    char chance[INGEST_KEY_SIZE];

    if (++emitting->items > INGEST_ITEMS_MAX) {
        ear_fail(err, EAR_REJECT, "too_many: at most %d entries at once; send several bodies",
                 INGEST_ITEMS_MAX);
        return blame(emitting, NULL, 0, line, err);
    }
    if (emitting->key != NULL) {
        char hash[HASH128_TEXT_SIZE];

        snprintf(id, sizeof id, "%s-%zu",
                 hash128_format(hash, hash128_of(emitting->key, strlen(emitting->key))),
                 emitting->items);
    } else {
        if (body_make_key(chance, err) != 0) {
            return -1;
        }
        snprintf(id, sizeof id, "%s", chance);
    }
    if (file_rows_read(emitting->rows, text, length, id, &record, err) != 0) {
        return err->kind == EAR_REJECT ? blame(emitting, text, length, line, err) : -1;
    }
    record.just_written = !record.time_unread;
    return emitting->output->emit(emitting->output->user, &record, err);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static int emit_lines(struct emitting *emitting, const char *body, size_t length,
                      struct ear_error *err)
{
    size_t line = 1;

    for (size_t at = 0; at < length; line++) {
        const char *end = memchr(body + at, '\n', length - at);
        size_t size = end != NULL ? (size_t)(end - body) - at : length - at;
        size_t blanks = 0;

        while (blanks < size && is_blank(body[at + blanks])) {
            blanks++;
        }
        if (blanks < size && emit(emitting, body + at, size, line, err) != 0) {
            return -1;
        }
        at += size + 1;
    }
    return 0;
}

static int emit_json(struct emitting *emitting, struct body_reader *reader, const char *body,
                     size_t length, struct ear_error *err)
{
    const struct json_node *root = json_read(reader->json, body, length, &json_limits_default, err);

    if (root == NULL) {
        return err->kind == EAR_REJECT ? blame(emitting, body, length, 1, err) : -1;
    }
    if (json_kind_of(root) != JSON_ARRAY) {
        return emit(emitting, body, length, 1, err);
    }
    for (const struct json_node *node = json_first(root); node != NULL; node = json_next(node)) {
        size_t size = 0;
        const char *raw = json_raw(node, &size);

        if (emit(emitting, raw, size, 0, err) != 0) {
            emitting->fault->line = emitting->fault->column = 0; /* of the element, not the body */
            return -1;
        }
    }
    return 0;
}

static int emit_form(struct emitting *emitting, struct body_reader *reader, const char *body,
                     size_t length, struct ear_error *err)
{
    size_t size = 0;
    const char *text = NULL;

    json_writer_reset(reader->writer);
    json_write_object(reader->writer);
    if (body_write_fields(reader->writer, body, length, err) != 0) {
        return err->kind == EAR_REJECT ? blame(emitting, NULL, 0, 0, err) : -1;
    }
    json_write_object_end(reader->writer);
    text = json_writer_text(reader->writer, &size, err);
    if (text == NULL) {
        return err->kind == EAR_REJECT ? blame(emitting, NULL, 0, 0, err) : -1;
    }
    return emit(emitting, text, size, 0, err);
}

int body_emit(struct body_reader *reader, enum body_type type, const char *body, size_t length,
              struct file_rows *rows, const char *key, const struct source_output *output,
              struct body_fault *fault, struct ear_error *err)
{
    struct emitting emitting = {.rows = rows, .key = key, .output = output, .fault = fault};
    int result = 0;

    *fault = (struct body_fault){0};
    if (length >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0) {
        body += 3;
        length -= 3;
    }
    result = type == BODY_NDJSON ? emit_lines(&emitting, body, length, err)
             : type == BODY_JSON ? emit_json(&emitting, reader, body, length, err)
                                 : emit_form(&emitting, reader, body, length, err);
    if (result == 0 && emitting.items == 0 && type != BODY_JSON) {
        ear_fail(err, EAR_REJECT, "schema: the body holds no entry");
        return blame(&emitting, NULL, 0, 0, err);
    }
    return result;
}
