/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8, byte by byte. Validity is table 3-7 of the Unicode standard: the lead byte fixes how many
 * follow and the range of the first of them, which is what keeps overlong forms, surrogates and
 * values beyond U+10FFFF out.
 */
#include "common/text/text.h"

#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
enum { REPLACEMENT_SIZE = 3 };

size_t text_sequence(const char *bytes, size_t length, size_t *bad)
{
    const unsigned char *at = (const unsigned char *)bytes;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t need = 0;
    size_t have = 1;

    if (at[0] < 0x80) {
        need = at[0] != 0 ? 1 : 0;
    } else if (at[0] >= 0xC2 && at[0] <= 0xDF) {
        need = 2;
    } else if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        need = 3;
        low = at[0] == 0xE0 ? 0xA0 : low;
        high = at[0] == 0xED ? 0x9F : high;
    } else if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        need = 4;
        low = at[0] == 0xF0 ? 0x90 : low;
        high = at[0] == 0xF4 ? 0x8F : high;
    }
    while (have < need && have < length && at[have] >= low && at[have] <= high) {
        have++;
        low = 0x80;
        high = 0xBF;
    }
    if (have == need) {
        return need;
    }
    if (bad != NULL) {
        *bad = have;
    }
    return 0;
}

/* Bytes at the start that are ASCII without NUL, eight at a time. */
static size_t ascii_run(const char *bytes, size_t length)
{
    size_t at = 0;
    uint64_t word = 0;

    for (; at + sizeof word <= length; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        /* A high bit, or a zero byte (which borrows into its own high bit). */
        if (((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    while (at < length && (unsigned char)(bytes[at] - 1) < 0x7F) {
        at++;
    }
    return at;
}

bool text_valid(const char *bytes, size_t length)
{
    size_t at = ascii_run(bytes, length);

    while (at < length) {
        size_t step = text_sequence(bytes + at, length - at, NULL);

        if (step == 0) {
            return false;
        }
        at += step;
        at += ascii_run(bytes + at, length - at);
    }
    return true;
}

/* Copies to out, or only measures where out is NULL; returns the bytes. */
static size_t mend(char *out, const char *bytes, size_t length, bool *mended)
{
    size_t at = 0;
    size_t written = 0;

    while (at < length) {
        size_t bad = 0;
        size_t step = text_sequence(bytes + at, length - at, &bad);
        const char *from = step > 0 ? bytes + at : replacement;
        size_t size = step > 0 ? step : REPLACEMENT_SIZE;

        if (out != NULL) {
            memcpy(out + written, from, size);
        }
        *mended = *mended || step == 0;
        written += size;
        at += step > 0 ? step : bad;
    }
    return written;
}

char *text_repair(const char *bytes, size_t length, size_t *out_length, bool *repaired)
{
    bool mended = !text_valid(bytes, length);
    size_t size = mended ? mend(NULL, bytes, length, &mended) : length;
    char *out = malloc(size + 1);

    if (out == NULL) {
        return NULL;
    }
    if (mended) {
        mend(out, bytes, length, repaired);
    } else if (length > 0) {
        memcpy(out, bytes, length);
    }
    out[size] = '\0';
    if (out_length != NULL) {
        *out_length = size;
    }
    return out;
}

size_t text_code_points(const char *text, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++) {
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return count;
}
