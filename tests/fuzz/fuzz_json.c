/* SPDX-License-Identifier: Apache-2.0 */
/* What is read is written again member by member: the copy reads as the same, and raw spans lie
 * inside the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "tests/fuzz/fuzz.h"

static void write_node(struct json_writer *writer, const struct json_node *node)
{
    size_t length = 0;
    const char *text = json_string(node, &length);

    switch (json_kind_of(node)) {
    case JSON_OBJECT:
        json_write_object(writer);
        break;
    case JSON_ARRAY:
        json_write_array(writer);
        break;
    case JSON_STRING:
        json_write_bytes(writer, text, length);
        break;
    default:
        text = json_raw(node, &length);
        json_write_raw(writer, text, length);
    }
    for (const struct json_node *inner = json_first(node); inner != NULL;
         inner = json_next(inner)) {
        if (json_key(inner) != NULL) {
            assert(json_get(node, json_key(inner)) == inner);
            assert(json_member_raw(inner, NULL) != NULL);
            json_write_key(writer, json_key(inner));
        }
        write_node(writer, inner); /* at most JSON_DEPTH_MAX deep */
    }
    if (json_kind_of(node) == JSON_OBJECT) {
        json_write_object_end(writer);
    } else if (json_kind_of(node) == JSON_ARRAY) {
        json_write_array_end(writer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ear_error err = {0};
    struct json *json = NULL;
    struct json_writer *writer = NULL;
    const struct json_node *root = NULL;
    void *packed = NULL;
    size_t length = 0;

    if (json_new(&json, &err) != 0 || json_writer_new(&writer, (size_t)64 << 20, &err) != 0) {
        abort();
    }
    root = json_read(json, (const char *)data, size, &json_limits_default, &err);
    if (root != NULL) {
        packed = malloc(json_pack_size(json));
        assert(packed != NULL);
        root = json_pack(json, packed);
        write_node(writer, root);
        const char *text = json_writer_text(writer, &length, &err);
        char *copy = malloc(length + 1);

        assert(text != NULL && copy != NULL);
        memcpy(copy, text, length + 1);
        root = json_read(json, copy, length, &json_limits_default, &err);
        assert(root != NULL && !json_repaired(json) && !json_duplicates(json));
        json_writer_reset(writer);
        write_node(writer, root);
        text = json_writer_text(writer, &length, &err);
        assert(text != NULL && strcmp(text, copy) == 0);
        free(copy);
    } else {
        assert(err.kind == EAR_REJECT && strchr(err.message, ':') != NULL);
    }
    free(packed);
    json_writer_free(writer);
    json_free(json);
    return 0;
}
