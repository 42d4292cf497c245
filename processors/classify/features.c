/* SPDX-License-Identifier: Apache-2.0 */
#include "processors/classify/features.h"

#include <stdlib.h>
#include <string.h>

#include "common/text/text.h"

/*
 * Character classes, in the order of features.py. Beyond ASCII everything is a word character but
 * punctuation and symbols: so words of any script stay words, at the price that a script without
 * spaces gives long ones.
 */
enum character { BLANK, LINE_END, WORD, STOP, QUESTION, EXCLAMATION, EMOJI, APOSTROPHE, OTHER };

static const uint64_t FNV_OFFSET = UINT64_C(14695981039346656037);
static const uint64_t FNV_PRIME = UINT64_C(1099511628211);
static const uint64_t GROUP_PRIME = UINT64_C(0x9E3779B97F4A7C15);

/* Most of what texts are made of. */
static inline bool is_plain_word(unsigned char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26 || (unsigned char)(c - '0') < 10;
}

static enum character classify_ascii(unsigned char c)
{
    if (is_plain_word(c)) {
        return WORD;
    }
    switch (c) {
    case '\n':
    case '\r':
        return LINE_END;
    case ' ':
    case '\t':
        return BLANK;
    case '.':
        return STOP;
    case '?':
        return QUESTION;
    case '!':
        return EXCLAMATION;
    case '\'':
        return APOSTROPHE;
    default:
        return OTHER;
    }
}

static enum character classify_wide(uint32_t c)
{
    if (c == 0x2019 || c == 0x2018) {
        return APOSTROPHE;
    }
    if (c == 0x2026) {
        return STOP;
    }
    if (c == 0xA0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200B)) {
        return BLANK;
    }
    if (c == 0x2028 || c == 0x2029) {
        return LINE_END;
    }
    if ((c >= 0x2600 && c <= 0x27BF) || (c >= 0x1F000 && c <= 0x1FAFF)) {
        return EMOJI;
    }
    if ((c >= 0x80 && c <= 0xBF) || c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c <= 0x2BFF) ||
        (c >= 0x3000 && c <= 0x303F) || (c >= 0xFE00 && c <= 0xFE0F) || c >= 0xE0000 ||
        c == 0xFFFD) {
        return OTHER;
    }
    return WORD;
}

/* The character at a byte of valid UTF-8, and its length. */
static enum character character_at(const char *text, size_t length, size_t at, size_t *size)
{
    const unsigned char *bytes = (const unsigned char *)text + at;
    uint32_t c = bytes[0];

    if (c < 0x80) {
        *size = 1;
        return classify_ascii((unsigned char)c);
    }
    *size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (at + *size > length) {
        *size = length - at; /* a text cut at CLASSIFY_TEXT_MAX may end in mid-character */
        return OTHER;
    }
    c &= 0x3FU >> (*size - 1);
    for (size_t i = 1; i < *size; i++) {
        c = c << 6 | (bytes[i] & 0x3FU);
    }
    return classify_wide(c);
}

static uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t hash = FNV_OFFSET;

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * FNV_PRIME;
    }
    return hash;
}

static uint64_t hash_mask(const char *mask)
{
    return hash_bytes(mask, strlen(mask));
}

static bool word_follows(const char *text, size_t length, size_t at)
{
    size_t size = 0;

    return at < length && character_at(text, length, at, &size) == WORD;
}

/* A word: letters and digits, with apostrophes inside. Its hash is of the folded form with plain
 * apostrophes; all digits are one mask. */
static int read_word(const char *text, size_t length, size_t *at, uint64_t *hash,
                     struct ear_error *err)
{
    size_t start = *at;
    size_t end = start;
    bool digits = true;
    bool ascii = true;
    uint64_t value = FNV_OFFSET;

    while (end < length) {
        size_t size = 1;
        unsigned char c = (unsigned char)text[end];
        enum character kind = is_plain_word(c) ? WORD : character_at(text, length, end, &size);

        if (kind == APOSTROPHE && end > start && word_follows(text, length, end + size)) {
            c = '\'';
        } else if (kind != WORD) {
            break;
        } else if (size > 1) {
            ascii = false;
        }
        digits = digits && c >= '0' && c <= '9';
        c = (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        value = (value ^ c) * FNV_PRIME;
        end += size;
    }
    *at = end;
    if (digits) {
        *hash = hash_mask("<num>");
        return 0;
    }
    *hash = value;
    if (!ascii) {
        size_t folded_length = 0;
        char *folded = text_fold(text + start, end - start, &folded_length);

        if (folded == NULL) {
            return ear_fail_memory(err, "a word");
        }
        *hash = hash_bytes(folded, folded_length);
        free(folded);
    }
    return 0;
}

static bool starts_url(const char *text, size_t length, size_t at)
{
    static const char *const starts[] = {"http://", "https://", "www."};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        size_t size = strlen(starts[i]);

        if (length - at > size && memcmp(text + at, starts[i], size) == 0) {
            return true;
        }
    }
    return false;
}

static size_t skip_solid(const char *text, size_t length, size_t at)
{
    while (at < length) {
        size_t size = 0;
        enum character kind = character_at(text, length, at, &size);

        if (kind == BLANK || kind == LINE_END) {
            break;
        }
        at += size;
    }
    return at;
}

static size_t skip_handle(const char *text, size_t length, size_t at)
{
    while (at < length) {
        size_t size = 0;
        enum character kind = character_at(text, length, at, &size);

        if (kind != WORD && text[at] != '_' && text[at] != '-') {
            break;
        }
        at += size;
    }
    return at;
}

static size_t skip_run(const char *text, size_t length, size_t at, enum character run)
{
    size_t size = 0;

    while (at < length && character_at(text, length, at, &size) == run) {
        at += size;
    }
    return at;
}

/* One token, or nothing (a character that is none): *found says which. */
static int read_token(const char *text, size_t length, size_t *at, struct feature_token *out,
                      bool *found, struct ear_error *err)
{
    size_t size = 0;
    size_t start = *at;
    enum character kind = character_at(text, length, start, &size);
    int result = 0;

    *found = true;
    if (kind == WORD && starts_url(text, length, start)) {
        *at = skip_solid(text, length, start);
        out->hash = hash_mask("<url>");
    } else if (kind == WORD) {
        result = read_word(text, length, at, &out->hash, err);
    } else if (kind == QUESTION || kind == EXCLAMATION) {
        *at = skip_run(text, length, start, kind);
        out->hash = hash_mask(kind == QUESTION ? "?" : "!");
    } else if (kind == EMOJI) {
        *at = start + size;
        out->hash = hash_bytes(text + start, size);
    } else if (text[start] == '@' && word_follows(text, length, start + 1)) {
        *at = skip_handle(text, length, start + 1);
        out->hash = hash_mask("<user>");
    } else {
        *at = start + size;
        *found = false;
    }
    out->start = (uint32_t)start;
    out->end = (uint32_t)*at;
    return result;
}

/* After these a full stop ends no sentence. A single letter ("e.g.") is one too. */
static bool is_abbreviation(const char *text, const struct feature_token *token)
{
    static const char *const known[] = {"mr", "mrs", "ms", "dr", "st", "vs", "etc", "approx", "no"};
    size_t length = token->end - token->start;

    if (length == 1) {
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i]) == length && strncasecmp(text + token->start, known[i], length) == 0) {
            return true;
        }
    }
    return false;
}

static bool blank_follows(const char *text, size_t length, size_t at)
{
    size_t size = 0;
    enum character kind = OTHER;

    if (at >= length) {
        return true;
    }
    kind = character_at(text, length, at, &size);
    return kind == BLANK || kind == LINE_END;
}

/* Whether the character just passed, of class `kind`, ends the sentence that so far has `out`. */
static bool ends_sentence(const char *text, size_t length, size_t at, enum character kind,
                          const struct feature_sentence *out)
{
    if (kind == LINE_END) {
        return true;
    }
    if (kind == QUESTION || kind == EXCLAMATION) {
        return blank_follows(text, length, at);
    }
    return kind == STOP && blank_follows(text, length, at) &&
           !(out->count > 0 && out->tokens[out->count - 1].end + 1 == at && text[at - 1] == '.' &&
             is_abbreviation(text, &out->tokens[out->count - 1]));
}

int features_next_sentence(const char *text, size_t length, size_t *at,
                           struct feature_sentence *out, struct ear_error *err)
{
    out->count = 0;
    out->start = 0;
    out->end = 0;
    while (*at < length && out->count < FEATURES_SENTENCE_MAX) {
        size_t size = 0;
        enum character kind = character_at(text, length, *at, &size);
        bool found = false;

        if (read_token(text, length, at, &out->tokens[out->count], &found, err) < 0) {
            return -1;
        }
        if (found) {
            out->start = out->count == 0 ? out->tokens[0].start : out->start;
            out->count++;
        }
        if (out->count > 0 && kind != BLANK && kind != LINE_END) {
            out->end = (uint32_t)*at;
        }
        if (out->count > 0 && ends_sentence(text, length, *at, kind, out)) {
            break;
        }
    }
    return out->count > 0 ? 1 : 0;
}

void features_join(struct feature_sentence *into, const struct feature_sentence *next)
{
    for (size_t i = 0; i < next->count && into->count < FEATURES_SENTENCE_MAX; i++) {
        into->tokens[into->count++] = next->tokens[i];
    }
    into->end = next->end;
}

uint32_t features_group(const struct feature_token *tokens, size_t size)
{
    uint64_t hash = tokens[0].hash;

    for (size_t i = 1; i < size; i++) {
        hash = (hash ^ (tokens[i].hash + GROUP_PRIME + (hash << 6) + (hash >> 2))) * FNV_PRIME;
    }
    hash ^= hash >> 29;
    hash *= GROUP_PRIME;
    return (uint32_t)(hash >> 48);
}
