/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses what is set; the rest is the message. What comes out reads again and holds
 * what was set. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/message/message.h"
#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

static void change(struct message_arena *arena, struct ear_message *message, uint8_t choice)
{
    static const char *const names[] = {"id", "text", "insight", "x_new"};
    const char *name = names[choice & 3];
    struct ear_error err = {0};
    size_t length = 0;

    if ((choice & 4) != 0) {
        assert(message_set_raw(message, name, "{\"a\": [1]}", 10, &err) == 0);
    }
    if ((choice & 8) != 0) {
        assert(message_set_string(message, "text", "\xFF\"", 2, &err) == 0);
    }
    if ((choice & 16) != 0) {
        assert(message_set_raw(message, "id", NULL, 0, &err) == 0);
    }
    const char *text = message_text(message, &length, &err);

    assert(text != NULL && text_valid(text, length) && text[length] == '\0');
    message = message_read(arena, text, length, &err);
    assert(message != NULL);
    if ((choice & 8) != 0) {
        assert(strcmp(message_string(message, "text", NULL), "\xEF\xBF\xBD\"") == 0);
    }
    if ((choice & 16) != 0) {
        assert(message_raw(message, "id", NULL) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ear_error err = {0};
    struct message_arena *arena = NULL;
    struct ear_message *message = NULL;

    if (size == 0 || size > 100000 || message_arena_new(&arena, (size_t)256 << 20, &err) != 0) {
        return 0;
    }
    message = message_read(arena, (const char *)data + 1, size - 1, &err);
    if (message != NULL) {
        change(arena, message, data[0]);
    } else {
        assert(err.kind == EAR_REJECT);
    }
    message_arena_free(arena);
    return 0;
}
