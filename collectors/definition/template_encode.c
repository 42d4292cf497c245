/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as the place where they go may hold them, and what a URL says of its host. */
#include "collectors/definition/template_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int template_put(struct text *text, const char *bytes, size_t length, struct ear_error *err)
{
    if (length > TEXT_MAX - text->length) {
        return ear_fail(err, EAR_REJECT,
                        "schema: what a request is made of is longer than 512 KiB");
    }
    if (text->length + length + 1 > text->room) {
        const size_t room = (text->length + length + 1) * 2;
        char *grown = realloc(text->bytes, room);

        if (grown == NULL) {
            return ear_fail_memory(err, "a request");
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
    return 0;
}

static bool is_encoded(const char *at, size_t rest)
{
    return rest >= 3 && at[0] == '%' && isxdigit((unsigned char)at[1]) &&
           isxdigit((unsigned char)at[2]);
}

int template_put_encoded(struct text *text, const char *bytes, size_t length, const char *kept,
                         struct ear_error *err)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        const char code[3] = {'%', digits[c >> 4], digits[c & 15]};
        const bool plain = c == '%' ? strchr(kept, '%') != NULL && is_encoded(bytes + i, length - i)
                                    : isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL) ||
                                          (c != '\0' && strchr(kept, c) != NULL);

        if (template_put(text, plain ? bytes + i : code, plain ? 1 : 3, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int template_put_header(struct text *text, const char *bytes, size_t length, struct ear_error *err)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)bytes[i] >= 0x20 && bytes[i] != 0x7f &&
            template_put(text, bytes + i, 1, err) != 0) {
            return -1;
        }
    }
    return 0;
}

char *template_encode_name(const char *name)
{
    struct text text = {0};
    struct ear_error err = {EAR_NONE, ""};

    if (template_put_encoded(&text, name, strlen(name), "[]", &err) != 0) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}

bool template_host(const char *url, size_t length, char *out, size_t size)
{
    const char *from = memmem(url, length, "://", 3);
    const char *end = url + length;
    size_t count = 0;

    if (from == NULL) {
        return false;
    }
    from += 3;
    for (const char *at = from; at < end; at++) {
        if (strchr("/?#", *at) != NULL) {
            end = at;
        }
    }
    for (const char *at = from; at < end; at++) {
        from = *at == '@' ? at + 1 : from;
    }
    count = (size_t)(end - from);
    if (count > 3 && strncasecmp(url, "http:", 5) == 0 && strncmp(end - 3, ":80", 3) == 0) {
        count -= 3;
    } else if (count > 4 && strncasecmp(url, "https:", 6) == 0 &&
               strncmp(end - 4, ":443", 4) == 0) {
        count -= 4;
    }
    if (count == 0 || count >= size) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (char)tolower((unsigned char)from[i]);
    }
    out[count] = '\0';
    return true;
}
