/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML, tokenised as browsers do (HTML Living Standard, section 13.2.5) as far as text needs it:
 *
 *   <name …>  </name>      tags; a "<" before anything but a letter, "/", "!" or "?" is text, and
 *                          so is one that no ">" follows
 *   <!-- … -->             left out; an unended one up to the end, as browsers do
 *   <! … >  <? … >  </1>   left out
 *   <script>, <style>, …   what they hold is text up to their own end tag
 *   &name; &#1; &#x1;      decoded once; &amp &lt &gt &quot &nbsp also without their semicolon
 *
 * Each byte is looked at a bounded number of times, whatever comes.
 */
#include "common/markup/markup_internal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 32 };

struct page {
    const char *text;
    size_t length, at;
    size_t last_end;   /* of the last ">" in the text, or 0 */
    size_t comment_at; /* from here on no "-->" follows; SIZE_MAX: not known to be so */
    const struct markup_handler *handler;
    void *user;
    struct ear_error *err;
    char *values; /* decoded attributes of one tag; as long as the text at most */
    size_t values_size;
    struct markup_attribute attributes[MARKUP_ATTRIBUTES_MAX];
    char names[MARKUP_ATTRIBUTES_MAX][NAME_MAX_BYTES];
};

static const char *const never_ended[] = {
    "area", "base", "br",    "col", "embed",  "hr",    "img", "input",
    "link", "meta", "param", "wbr", "source", "track", NULL,
};
static const char *const raw_text[] = {
    "script", "style", "iframe", "noembed", "noframes", "xmp", "textarea", "title", NULL,
};

static bool among(const char *const names[], const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

/* The byte at `at`, or NUL beyond the end (the text has none). */
static char peek(const struct page *page, size_t at)
{
    return (char)(at < page->length ? page->text[at] : '\0');
}

static char lower(char byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

static int tell_text(struct page *page, const char *text, size_t length)
{
    return length > 0 && page->handler->text != NULL
               ? page->handler->text(page->user, text, length, page->err)
               : 0;
}

static int tell_close(struct page *page, const char *name)
{
    return page->handler->close != NULL ? page->handler->close(page->user, "", name, page->err) : 0;
}

/* A number of Windows-1252 where Unicode has controls: that is what its writers meant. */
static unsigned long unicode_of(unsigned long code)
{
    static const unsigned short meant[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
    };

    return code >= 0x80 && code <= 0x9F ? meant[code - 0x80] : code;
}

static size_t letters_and_digits(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length && (is_letter(text[at]) || (text[at] >= '0' && text[at] <= '9'))) {
        at++;
    }
    return at;
}

/* The reference at "&": writes its character, returns its bytes and *used of the text; 0 if it is
 * none. */
static size_t reference(char out[UTF8_SIZE], const char *text, size_t length, size_t *used)
{
    static const char *const unended[] = {"amp", "lt", "gt", "quot", "nbsp", NULL};
    char name[ENTITY_NAME_MAX + 1] = {0};
    size_t size = 0;

    if (length > 2 && text[1] == '#') {
        unsigned long code = entity_number(text + 2, length - 2, &size);

        *used = size + 2;
        *used += *used < length && text[*used] == ';';
        return size > 0 ? entity_encode(out, unicode_of(code)) : 0;
    }
    size = letters_and_digits(text + 1, length - 1 < 64 ? length - 1 : 64);
    if (size == 0 || size > ENTITY_NAME_MAX) {
        return 0;
    }
    memcpy(name, text + 1, size);
    *used = size + 1;
    if (size + 1 < length && text[size + 1] == ';') {
        (*used)++;
    } else if (!among(unended, name) || (size + 1 < length && text[size + 1] == '=')) {
        return 0;
    }
    return entity_named(out, name, size);
}

/* Text up to the next "<" that is none, or the end. */
static int read_text(struct page *page, size_t end)
{
    size_t from = page->at;

    while (page->at < end) {
        char character[UTF8_SIZE];
        size_t used = 1;
        size_t size = 0;
        const char *sign = memchr(page->text + page->at, '&', end - page->at);

        page->at = sign != NULL ? (size_t)(sign - page->text) : end;
        if (sign != NULL) {
            size = reference(character, sign, end - page->at, &used);
        }
        if (size == 0) {
            page->at += sign != NULL;
            continue;
        }
        if (tell_text(page, page->text + from, page->at - from) != 0 ||
            tell_text(page, character, size) != 0) {
            return -1;
        }
        page->at += used;
        from = page->at;
    }
    return tell_text(page, page->text + from, end - from);
}

static size_t find(const struct page *page, size_t from, const char *what)
{
    const char *found = from < page->length
                            ? memmem(page->text + from, page->length - from, what, strlen(what))
                            : NULL;

    return found != NULL ? (size_t)(found - page->text) + strlen(what) : SIZE_MAX;
}

static void skip_comment(struct page *page)
{
    size_t end = page->at >= page->comment_at ? SIZE_MAX : find(page, page->at + 2, "-->");

    if (end == SIZE_MAX) {
        page->comment_at = page->at; /* never look again */
        end = page->length;
    }
    page->at = end;
}

/* Reads a name in lower case, cut to fit; leaves `at` behind it. */
static void read_name(struct page *page, char out[NAME_MAX_BYTES], const char *stops)
{
    size_t used = 0;

    while (page->at < page->length && !is_blank(page->text[page->at]) &&
           (page->text[page->at] == '\0' || strchr(stops, page->text[page->at]) == NULL)) {
        if (used + 1 < NAME_MAX_BYTES) {
            out[used++] = lower(page->text[page->at]);
        }
        page->at++;
    }
    if (used + 1 == NAME_MAX_BYTES) { /* perhaps cut, but never inside a character */
        while (used > 0 && ((unsigned char)out[used - 1] & 0x80) != 0) {
            used--;
        }
    }
    out[used] = '\0';
}

static void skip_blanks(struct page *page)
{
    while (page->at < page->length && is_blank(page->text[page->at])) {
        page->at++;
    }
}

/* Decodes a value into page->values at *used; it never gets longer than it was but for its NUL,
 * which takes the place of the "=". */
static const char *decode_value(struct page *page, const char *text, size_t length, size_t *used)
{
    char *start = page->values + *used;
    char *out = start;

    for (size_t at = 0; at < length;) {
        char character[UTF8_SIZE];
        size_t taken = 1;
        size_t size = text[at] == '&' ? reference(character, text + at, length - at, &taken) : 0;

        if (size > 0) {
            memcpy(out, character, size);
            out += size;
            at += taken;
        } else {
            *out++ = text[at++];
        }
    }
    *out = '\0';
    *used += (size_t)(out - start) + 1;
    return start;
}

/* Behind the "=": where the value lies; leaves `at` behind it. */
static const char *value_span(struct page *page, size_t *length)
{
    size_t start = page->at;
    char quote = peek(page, page->at);

    if (quote == '"' || quote == '\'') {
        const char *from = page->text + ++start;
        const char *end = memchr(from, quote, page->length - start);

        *length = end != NULL ? (size_t)(end - from) : page->length - start;
        page->at = start + *length + (end != NULL);
        return from;
    }
    while (page->at < page->length && !is_blank(page->text[page->at]) &&
           page->text[page->at] != '>') {
        page->at++;
    }
    *length = page->at - start;
    return page->text + start;
}

/* From behind the tag's name to behind its ">". Returns how many attributes it has. */
static size_t read_attributes(struct page *page)
{
    size_t count = 0;
    size_t used = 0;

    while (page->at < page->length) {
        char passed[NAME_MAX_BYTES];
        char *name = count < MARKUP_ATTRIBUTES_MAX ? page->names[count] : passed;
        const char *value = "";
        size_t length = 0;

        skip_blanks(page);
        if (page->at < page->length && page->text[page->at] == '/') {
            page->at++;
            continue;
        }
        if (page->at >= page->length || page->text[page->at] == '>') {
            page->at += page->at < page->length;
            break;
        }
        if (page->text[page->at] == '=') {
            page->at++; /* a stray one */
            continue;
        }
        read_name(page, name, "/>=");
        skip_blanks(page);
        if (page->at < page->length && page->text[page->at] == '=') {
            page->at++;
            skip_blanks(page);
            value = value_span(page, &length);
            if (count < MARKUP_ATTRIBUTES_MAX) {
                value = decode_value(page, value, length, &used);
            }
        }
        if (count < MARKUP_ATTRIBUTES_MAX) {
            page->attributes[count++] =
                (struct markup_attribute){.space = "", .name = name, .value = value};
        }
    }
    return count;
}

/* What lies in <script> and the like, up to its own end tag. */
static int read_raw(struct page *page, const char *name)
{
    size_t from = page->at;
    size_t size = strlen(name);
    size_t at = page->at;

    for (;;) {
        const char *sign =
            at < page->length ? memchr(page->text + at, '<', page->length - at) : NULL;

        at = sign != NULL ? (size_t)(sign - page->text) : page->length;
        if (sign == NULL ||
            (page->length - at > size + 2 && sign[1] == '/' &&
             strncasecmp(sign + 2, name, size) == 0 && !is_letter(sign[size + 2]))) {
            break;
        }
        at++;
    }
    page->at = at;
    return tell_text(page, page->text + from, at - from);
}

static int read_open(struct page *page)
{
    char name[NAME_MAX_BYTES];
    size_t count = 0;

    page->at++;
    read_name(page, name, "/>");
    count = read_attributes(page);
    if (page->handler->open != NULL &&
        page->handler->open(page->user, "", name, page->attributes, count, page->err) != 0) {
        return -1;
    }
    if (among(never_ended, name)) {
        return tell_close(page, name);
    }
    return among(raw_text, name) ? read_raw(page, name) : 0;
}

static int read_close(struct page *page)
{
    char name[NAME_MAX_BYTES];

    page->at += 2;
    read_name(page, name, "/>");
    read_attributes(page);
    return among(never_ended, name) ? 0 : tell_close(page, name);
}

/* At a "<". */
static int read_tag(struct page *page, bool *is_text)
{
    const char *sign = page->text + page->at;
    size_t left = page->length - page->at;
    char next = peek(page, page->at + 1);

    if (left >= 4 && memcmp(sign, "<!--", 4) == 0) {
        skip_comment(page);
        return 0;
    }
    *is_text = page->at >= page->last_end;
    if (!*is_text && is_letter(next)) {
        return read_open(page);
    }
    if (!*is_text && next == '/' && is_letter(peek(page, page->at + 2))) {
        return read_close(page);
    }
    if (!*is_text && (next == '!' || next == '?' || next == '/')) {
        page->at = find(page, page->at, ">");
        return 0;
    }
    *is_text = true;
    return 0;
}

static int read_page(struct page *page)
{
    while (page->at < page->length) {
        bool is_text = false;
        size_t from = page->at;

        if (page->text[page->at] == '<' && read_tag(page, &is_text) != 0) {
            return -1;
        }
        if (page->at == from) {
            size_t search = from + (is_text ? 1 : 0);
            const char *sign = search < page->length
                                   ? memchr(page->text + search, '<', page->length - search)
                                   : NULL;

            if (read_text(page, sign != NULL ? (size_t)(sign - page->text) : page->length) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

int markup_read_html(const char *text, size_t length, const struct markup_handler *handler,
                     void *user, struct ear_error *err)
{
    int result = -1;
    const char *last = length > 0 ? memrchr(text, '>', length) : NULL;
    struct page *page = malloc(sizeof *page);

    if (page == NULL) {
        ear_fail_memory(err, "an HTML text");
        goto done;
    }
    page->text = text;
    page->length = length;
    page->at = 0;
    page->last_end = last != NULL ? (size_t)(last - text) : 0;
    page->comment_at = SIZE_MAX;
    page->handler = handler;
    page->user = user;
    page->err = err;
    page->values_size = length + 1;
    page->values = malloc(page->values_size);
    if (page->values == NULL) {
        ear_fail_memory(err, "an HTML text");
        goto done;
    }
    result = read_page(page);

done:
    if (page != NULL) {
        free(page->values);
    }
    free(page);
    return result;
}
