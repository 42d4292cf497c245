/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing. No stack of what is open: a comma is due exactly where something stands already and the
 * last byte is none of { [ : (inside a string these are followed by its closing quote).
 */
#include "common/json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text/text.h"

enum writer_state { WRITER_WELL, WRITER_FULL, WRITER_NO_MEMORY };

struct json_writer {
    char *text;
    size_t length, capacity, limit;
    enum writer_state state;
};

int json_writer_new(struct json_writer **out, size_t limit_bytes, struct ear_error *err)
{
    struct json_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL) {
        return ear_fail_memory(err, "a JSON writer");
    }
    writer->limit = limit_bytes;
    *out = writer;
    return 0;
}

void json_writer_free(struct json_writer *writer)
{
    if (writer != NULL) {
        free(writer->text);
        free(writer);
    }
}

void json_writer_reset(struct json_writer *writer)
{
    writer->length = 0;
    writer->state = WRITER_WELL;
}

/* Makes room for `size` bytes and a NUL behind them. */
static bool fit(struct json_writer *writer, size_t size)
{
    size_t capacity = writer->capacity;
    char *text = NULL;

    if (writer->state != WRITER_WELL) {
        return false;
    }
    if (size > writer->limit - writer->length) {
        writer->state = WRITER_FULL;
        return false;
    }
    if (writer->length + size + 1 <= capacity) {
        return true;
    }
    capacity = capacity < 256 ? 256 : capacity;
    while (capacity < writer->length + size + 1) {
        capacity *= 2;
    }
    text = realloc(writer->text, capacity);
    if (text == NULL) {
        writer->state = WRITER_NO_MEMORY;
        return false;
    }
    writer->text = text;
    writer->capacity = capacity;
    return true;
}

static void put(struct json_writer *writer, const char *bytes, size_t size)
{
    if (size > 0 && fit(writer, size)) {
        memcpy(writer->text + writer->length, bytes, size);
        writer->length += size;
    }
}

static void separate(struct json_writer *writer)
{
    static const char opening[] = {'{', '[', ':'};

    if (writer->state == WRITER_WELL && writer->length > 0 &&
        memchr(opening, writer->text[writer->length - 1], sizeof opening) == NULL) {
        put(writer, ",", 1);
    }
}

void json_write_object(struct json_writer *writer)
{
    separate(writer);
    put(writer, "{", 1);
}

void json_write_object_end(struct json_writer *writer)
{
    put(writer, "}", 1);
}

void json_write_array(struct json_writer *writer)
{
    separate(writer);
    put(writer, "[", 1);
}

void json_write_array_end(struct json_writer *writer)
{
    put(writer, "]", 1);
}

static void put_escape(struct json_writer *writer, unsigned char byte)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *at = byte != 0 ? strchr(named, byte) : NULL;
    char escape[8];

    if (at != NULL) {
        escape[0] = '\\';
        escape[1] = letters[at - named];
        put(writer, escape, 2);
    } else {
        snprintf(escape, sizeof escape, "\\u%04x", byte);
        put(writer, escape, 6);
    }
}

/* Bytes at the start that need no escape and are ASCII. */
static size_t plain_run(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length && (unsigned char)text[at] >= 0x20 && (unsigned char)text[at] < 0x80 &&
           text[at] != '"' && text[at] != '\\') {
        at++;
    }
    return at;
}

static void put_quoted(struct json_writer *writer, const char *text, size_t length)
{
    size_t at = 0;

    put(writer, "\"", 1);
    while (at < length && writer->state == WRITER_WELL) {
        size_t run = plain_run(text + at, length - at);
        size_t bad = 1;
        size_t step = 0;

        put(writer, text + at, run);
        at += run;
        if (at == length) {
            break;
        }
        step = text_sequence(text + at, length - at, &bad);
        if (step == 0) {
            put(writer, "\xEF\xBF\xBD", 3);
            at += bad;
        } else if (step == 1) {
            put_escape(writer, (unsigned char)text[at]);
            at++;
        } else {
            put(writer, text + at, step);
            at += step;
        }
    }
    put(writer, "\"", 1);
}

void json_write_key(struct json_writer *writer, const char *key)
{
    separate(writer);
    put_quoted(writer, key, strlen(key));
    put(writer, ":", 1);
}

void json_write_bytes(struct json_writer *writer, const char *text, size_t length)
{
    separate(writer);
    put_quoted(writer, text, length);
}

void json_write_string(struct json_writer *writer, const char *text)
{
    if (text == NULL) {
        json_write_null(writer);
    } else {
        json_write_bytes(writer, text, strlen(text));
    }
}

void json_write_raw(struct json_writer *writer, const char *json, size_t length)
{
    separate(writer);
    put(writer, json, length);
}

void json_write_null(struct json_writer *writer)
{
    json_write_raw(writer, "null", 4);
}

void json_write_boolean(struct json_writer *writer, bool value)
{
    json_write_raw(writer, value ? "true" : "false", value ? 4 : 5);
}

/* Writes digits up to, not including, `end`, at least `least` of them; returns where they begin. */
static char *put_digits(char *end, uint64_t value, int least)
{
    char *at = end;

    while (value > 0 || end - at < least) {
        *--at = (char)('0' + value % 10);
        value /= 10;
    }
    return at;
}

void json_write_integer(struct json_writer *writer, int64_t value)
{
    char digits[24];
    char *end = digits + sizeof digits;
    char *at = put_digits(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);

    if (value < 0) {
        *--at = '-';
    }
    json_write_raw(writer, at, (size_t)(end - at));
}

/*
 * A number of few digits, as "%.*f" would write it and trailing zeros cut, at a fraction of its
 * cost: probabilities are most of what is written. False, and nothing written: it is too large, or
 * lies so near the middle between two decimals that only exact arithmetic can round it.
 */
static bool write_small(struct json_writer *writer, double value, int digits)
{
    static const double scales[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    const double most = 1e6, unsure = 1e-3;
    char text[32];
    char *end = text + sizeof text, *at = NULL;
    double scaled = 0, fraction = 0;
    uint64_t whole = 0, unit = 0;

    if (digits >= (int)(sizeof scales / sizeof *scales) || !(fabs(value) < most)) {
        return false;
    }
    unit = (uint64_t)scales[digits];
    scaled = fabs(value) * scales[digits];
    whole = (uint64_t)scaled;
    fraction = scaled - (double)whole;
    if (fabs(fraction - 0.5) < unsure) {
        return false;
    }
    whole += fraction > 0.5;
    at = end;
    if (whole % unit != 0) {
        uint64_t rest = whole % unit;

        for (; rest % 10 == 0; digits--) {
            rest /= 10;
        }
        at = put_digits(end, rest, digits);
        *--at = '.';
    }
    at = put_digits(at, whole / unit, 1);
    if (value < 0 && whole > 0) {
        *--at = '-';
    }
    json_write_raw(writer, at, (size_t)(end - at));
    return true;
}

void json_write_number(struct json_writer *writer, double value, int digits)
{
    char text[400]; /* the largest double has 309 digits before the point */
    int size = 0;

    if (!isfinite(value)) {
        json_write_null(writer);
        return;
    }
    digits = digits < 0 ? 0 : digits;
    if (write_small(writer, value, digits)) {
        return;
    }
    size = snprintf(text, sizeof text, "%.*f", digits > 17 ? 17 : digits, value);
    if (strchr(text, '.') != NULL) {
        while (text[size - 1] == '0') {
            size--;
        }
        size -= text[size - 1] == '.';
    }
    if (size == 2 && text[0] == '-' && text[1] == '0') {
        json_write_raw(writer, "0", 1);
        return;
    }
    json_write_raw(writer, text, (size_t)size);
}

void json_member_string(struct json_writer *writer, const char *key, const char *text)
{
    if (text != NULL) {
        json_write_key(writer, key);
        json_write_string(writer, text);
    }
}

void json_member_integer(struct json_writer *writer, const char *key, int64_t value)
{
    json_write_key(writer, key);
    json_write_integer(writer, value);
}

const char *json_writer_text(struct json_writer *writer, size_t *length, struct ear_error *err)
{
    if (!fit(writer, 0)) {
        if (writer->state == WRITER_NO_MEMORY) {
            ear_fail_memory(err, "a JSON text");
        } else {
            ear_fail(err, EAR_REJECT, "too_large: a JSON text beyond its limit of %zu bytes",
                     writer->limit);
        }
        return NULL;
    }
    writer->text[writer->length] = '\0';
    if (length != NULL) {
        *length = writer->length;
    }
    return writer->text;
}
