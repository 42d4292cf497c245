/* SPDX-License-Identifier: Apache-2.0 */
/* What a definition says several times has a name (`texts`); here it stands for it, before a
 * template is read. A text may name others. */
#include "collectors/definition/template_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 4, LENGTH_MAX = 16 * 1024 };

static const char *find_text(const struct definition *definition, const char *name, size_t length)
{
    for (size_t i = 0; i < definition->text_count; i++) {
        if (strlen(definition->texts[i].name) == length &&
            strncmp(definition->texts[i].name, name, length) == 0) {
            return definition->texts[i].text;
        }
    }
    return NULL;
}

/* False: too deep, or too long. */
/* NOLINTNEXTLINE(misc-no-recursion): DEPTH_MAX deep */
static bool put(FILE *out, const struct definition *definition, const char *at, int depth)
{
    while (*at != '\0') {
        const size_t plain = template_begins_brace(at) ? 2 : 1;
        const char *end = plain == 1 && template_begins_place(at) ? strchr(at, '}') : NULL;
        const char *text =
            end == NULL ? NULL : find_text(definition, at + 1, (size_t)(end - at) - 1);

        if (text == NULL) {
            (void)fwrite(at, 1, plain, out);
            at += plain;
        } else if (depth == DEPTH_MAX || !put(out, definition, text, depth + 1)) {
            return false;
        } else {
            at = end + 1;
        }
        if (ftell(out) > LENGTH_MAX) {
            return false;
        }
    }
    return true;
}

const char *template_replace_texts(struct definition *definition, const char *text,
                                   struct ear_error *err)
{
    char *written = NULL;
    char *kept = NULL;
    size_t size = 0;
    FILE *out = NULL;
    bool good = false;

    if (definition->text_count == 0 || strchr(text, '{') == NULL) {
        return text;
    }
    out = open_memstream(&written, &size);
    good = out != NULL && put(out, definition, text, 0);
    if (out == NULL || fclose(out) != 0) {
        ear_fail_memory(err, "a definition");
        good = false;
    }
    kept = good ? definition_take(definition, size + 1, err) : NULL;
    if (kept != NULL) {
        memcpy(kept, written, size + 1);
    }
    free(written);
    return kept;
}
