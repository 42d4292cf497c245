/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses a type: what is emitted has an id, a body that is refused says where and
 * why, and the same body with the same key has the same ids. What a form makes of it is an entry.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/ingest/ingest_internal.h"
#include "common/json/json.h"
#include "common/settings/settings.h"
#include "tests/fuzz/fuzz.h"

struct taken {
    uint64_t ids; /* a sum over them */
    size_t count;
};

static int on_emit(void *user, const struct source_record *record, struct ear_error *err)
{
    struct taken *taken = user;

    (void)err;
    assert(record->native_id != NULL && record->native_id[0] != '\0');
    assert(record->deleted || record->text != NULL || record->title != NULL || record->rating >= 0);
    for (const char *at = record->native_id; *at != '\0'; at++) {
        taken->ids = taken->ids * 31 + (unsigned char)*at;
    }
    taken->count++;
    return 0;
}

static int take(struct taken *taken, struct body_reader *reader, struct file_rows *rows,
                enum body_type type, const char *body, size_t length)
{
    const struct source_output output = {.user = taken, .emit = on_emit};
    struct body_fault fault;
    struct ear_error err = {0};
    int result = body_emit(reader, type, body, length, rows, "key", &output, &fault, &err);

    if (result != 0) {
        assert(err.kind == EAR_REJECT);
        assert(fault.code[0] != '\0' && fault.reason[0] != '\0');
        assert(fault.line <= length + 1 && fault.column <= length + 1);
    }
    return result;
}

static void fill_form(const char *body, size_t length, struct body_reader *reader,
                      struct file_rows *rows)
{
    struct form_entry entry = {0};
    struct ear_error err = {0};
    struct taken taken = {0};
    struct json_writer *writer = NULL;
    const char *json = NULL;
    size_t size = 0;

    assert(json_writer_new(&writer, INGEST_BODY_MAX, &err) == 0);
    if (form_read(&entry, body, length, writer, &err) == 0) {
        assert(entry.key[0] == '\0' || strlen(entry.key) == INGEST_KEY_SIZE - 1);
        json = json_writer_text(writer, &size, &err);
        if (entry.verdict == FORM_GOOD && json != NULL) {
            assert(take(&taken, reader, rows, BODY_JSON, json, size) != 0 || taken.count == 1);
        }
    } else {
        assert(err.kind == EAR_REJECT);
    }
    form_entry_clear(&entry);
    json_writer_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct settings settings = {0};
    static const struct settings_source source = {.name = "s", .use = "ingest"};
    const struct file_rows_config config = {.settings = &settings, .source = &source, .scale = 5};
    struct body_reader reader = {0};
    struct file_rows *rows = NULL;
    struct ear_error err = {0};
    struct taken first = {0};
    struct taken second = {0};
    char *body = NULL;

    if (size < 1 || size > INGEST_BODY_MAX) {
        return 0;
    }
    body = malloc(size);
    assert(body != NULL);
    memcpy(body, data + 1, size - 1);
    assert(file_rows_new(&rows, &config, &err) == 0 && json_new(&reader.json, &err) == 0 &&
           json_writer_new(&reader.writer, INGEST_BODY_MAX, &err) == 0);
    {
        enum body_type type = (enum body_type)(data[0] % 3);
        int one = take(&first, &reader, rows, type, body, size - 1);
        int other = take(&second, &reader, rows, type, body, size - 1);

        assert(one == other && first.count == second.count && first.ids == second.ids);
    }
    fill_form(body, size - 1, &reader, rows);
    json_writer_free(reader.writer);
    json_free(reader.json);
    file_rows_free(rows);
    free(body);
    return 0;
}
