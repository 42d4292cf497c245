/* SPDX-License-Identifier: Apache-2.0 */
/* XML and HTML: every string told is valid UTF-8, XML's tags are balanced. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/markup/markup.h"
#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

static void assert_string(const char *text)
{
    assert(text != NULL && text_valid(text, strlen(text)));
}

static int on_open(void *user, const char *space, const char *name,
                   const struct markup_attribute attributes[], size_t count, struct ear_error *err)
{
    (void)err;
    assert_string(space);
    assert_string(name);
    for (size_t i = 0; i < count; i++) {
        assert_string(attributes[i].space);
        assert_string(attributes[i].name);
        assert_string(attributes[i].value);
    }
    (*(long *)user)++;
    return 0;
}

static int on_close(void *user, const char *space, const char *name, struct ear_error *err)
{
    (void)err;
    assert_string(space);
    assert_string(name);
    (*(long *)user)--;
    return 0;
}

static int on_text(void *user, const char *text, size_t length, struct ear_error *err)
{
    (void)user;
    (void)err;
    assert(length == 0 || text != NULL);
    for (size_t i = 0; i < length; i++) {
        assert(text[i] != '\0');
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct markup_handler handler = {
        .open = on_open, .close = on_close, .text = on_text};
    struct ear_error err = {0};
    bool repaired = false;
    size_t length = 0;
    long depth = 0;
    char *text = text_repair((const char *)data, size, &length, &repaired);

    if (text == NULL) {
        return 0;
    }
    if (markup_read_xml(text, length, &handler, &depth, &err) == 0) {
        assert(depth == 0);
    } else {
        assert(err.kind == EAR_REJECT);
    }
    assert(markup_read_html(text, length, &handler, &depth, &err) == 0);
    free(text);
    return 0;
}
