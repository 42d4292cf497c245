/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normal forms and folding by utf8proc, with short ways for what needs none of it: every character
 * below U+0300 is in NFC as it stands and combines with nothing.
 */
#include "common/text/text.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

enum { FIRST_COMBINING_LEAD = 0xCC }; /* U+0300 is CC 80 */

static char *take(const char *text, size_t length, size_t *out_length)
{
    char *out = malloc(length + 1);

    if (out == NULL) {
        return NULL;
    }
    if (length > 0) {
        memcpy(out, text, length);
    }
    out[length] = '\0';
    if (out_length != NULL) {
        *out_length = length;
    }
    return out;
}

static bool surely_nfc(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] >= FIRST_COMBINING_LEAD) {
            return false;
        }
    }
    return true;
}

char *text_nfc(const char *text, size_t length, size_t *out_length)
{
    utf8proc_uint8_t *out = NULL;
    utf8proc_ssize_t size = 0;

    if (surely_nfc(text, length)) {
        return take(text, length, out_length);
    }
    size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &out,
                        UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (size < 0) {
        return NULL;
    }
    if (out_length != NULL) {
        *out_length = (size_t)size;
    }
    return (char *)out;
}

/* Folds one character into out (at most three characters of at most three bytes). */
static size_t fold_character(utf8proc_uint8_t out[16], const char *text, size_t length,
                             size_t *used)
{
    utf8proc_int32_t code = 0;
    utf8proc_int32_t folded[4] = {0};
    int boundary = 0;
    size_t written = 0;
    utf8proc_ssize_t count = 0;
    utf8proc_ssize_t taken =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &code);

    if (taken <= 0) { /* not valid after all: passed over */
        *used = 1;
        return 0;
    }
    *used = (size_t)taken;
    count = utf8proc_decompose_char(code, folded, 4, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < count && i < 4; i++) {
        written += (size_t)utf8proc_encode_char(folded[i], out + written);
    }
    return written;
}

char *text_fold(const char *text, size_t length, size_t *out_length)
{
    /* The longest: U+0390 (two bytes) folds to three characters of two bytes each. */
    size_t size = length * 3;
    char *out = malloc(size + 1);
    char *composed = NULL;
    size_t written = 0;

    if (out == NULL) {
        return NULL;
    }
    for (size_t at = 0; at < length;) {
        unsigned char byte = (unsigned char)text[at];

        if (byte < 0x80) {
            out[written++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
            at++;
        } else {
            utf8proc_uint8_t folded[16];
            size_t used = 0;
            size_t bytes = fold_character(folded, text + at, length - at, &used);

            if (bytes <= size - written) {
                memcpy(out + written, folded, bytes);
                written += bytes;
            }
            at += used;
        }
    }
    composed = text_nfc(out, written, out_length);
    free(out);
    return composed;
}

/* What a blank or a line end at `text` takes, 0 if it is neither. */
static size_t white_space(const char *text, size_t length, bool *line_end)
{
    const unsigned char *at = (const unsigned char *)text;

    *line_end = at[0] >= '\n' && at[0] <= '\r'; /* LF VT FF CR */
    if (at[0] == ' ' || at[0] == '\t' || *line_end) {
        bool pair = at[0] == '\r' && length > 1 && at[1] == '\n';

        return pair ? 2 : 1;
    }
    if (length > 1 && at[0] == 0xC2 && (at[1] == 0xA0 || at[1] == 0x85)) { /* no-break, NEL */
        *line_end = at[1] == 0x85;
        return 2;
    }
    if (length < 3) {
        return 0;
    }
    if (at[0] == 0xE2 && at[1] == 0x80) { /* U+2000..200A, 2028, 2029, 202F */
        *line_end = at[2] == 0xA8 || at[2] == 0xA9;
        return at[2] <= 0x8A || *line_end || at[2] == 0xAF ? 3 : 0;
    }
    return (at[0] == 0xE2 && at[1] == 0x81 && at[2] == 0x9F) ||         /* U+205F */
                   (at[0] == 0xE3 && at[1] == 0x80 && at[2] == 0x80) || /* U+3000 */
                   (at[0] == 0xE1 && at[1] == 0x9A && at[2] == 0x80)    /* U+1680 */
               ? 3
               : 0;
}

size_t text_tidy(char *text, size_t length)
{
    size_t written = 0;
    size_t at = 0;

    while (at < length) {
        size_t ends = 0;
        size_t run = at;
        size_t step = 0;
        bool line_end = false;

        while (run < length && (step = white_space(text + run, length - run, &line_end)) > 0) {
            ends += line_end;
            run += step;
        }
        if (run > at && written > 0 && run < length) {
            text[written++] = ends > 0 ? '\n' : ' ';
            if (ends > 1) {
                text[written++] = '\n';
            }
        }
        at = run;
        if (at < length) {
            text[written++] = text[at++];
        }
    }
    if (length > 0) {
        text[written] = '\0';
    }
    return written;
}
