/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A text made ready for the automaton (\1 is the marker):
 *
 *     It's LATE – set-up fails!
 *     \1it\1'\1s\1late\1–\1set\1up\1fails\1!
 *
 * ASCII is folded by arithmetic. What lies beyond is folded by common/text, each character when it
 * is first met, and kept, in pages of 256 characters.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/text/text.h"
#include "common/utf8.h"
#include "processors/match/match_internal.h"

struct range {
    uint32_t first, last;
    enum fold_kind kind;
};

/* What is no part of a word, beyond ASCII; in order. Whatever is not named is. */
static const struct range ranges[] = {
    {0x0080, 0x00A9, FOLD_OTHER},   {0x00AB, 0x00AC, FOLD_OTHER},
    {0x00AE, 0x00B1, FOLD_OTHER},   {0x00B4, 0x00B4, FOLD_OTHER},
    {0x00B6, 0x00B8, FOLD_OTHER},   {0x00BB, 0x00BB, FOLD_OTHER},
    {0x00BF, 0x00BF, FOLD_OTHER},   {0x00D7, 0x00D7, FOLD_OTHER},
    {0x00F7, 0x00F7, FOLD_OTHER},   {0x02BC, 0x02BC, FOLD_OTHER},
    {0x055A, 0x055F, FOLD_OTHER},   {0x0589, 0x058A, FOLD_OTHER},
    {0x05BE, 0x05BE, FOLD_OTHER},   {0x060C, 0x060C, FOLD_OTHER},
    {0x061B, 0x061F, FOLD_OTHER},   {0x066A, 0x066D, FOLD_OTHER},
    {0x06D4, 0x06D4, FOLD_OTHER},   {0x0964, 0x0965, FOLD_OTHER},
    {0x0E00, 0x0EFF, FOLD_OTHER},   {0x1000, 0x109F, FOLD_OTHER},
    {0x1100, 0x11FF, FOLD_OTHER},   {0x1780, 0x17FF, FOLD_OTHER},
    {0x200B, 0x200F, FOLD_NOTHING}, {0x2010, 0x2011, FOLD_HYPHEN},
    {0x2012, 0x2027, FOLD_OTHER},   {0x202A, 0x202E, FOLD_NOTHING},
    {0x2030, 0x205E, FOLD_OTHER},   {0x2060, 0x206F, FOLD_NOTHING},
    {0x20A0, 0x20CF, FOLD_OTHER},   {0x2100, 0x2BFF, FOLD_OTHER},
    {0x2E00, 0x2FFF, FOLD_OTHER},   {0x3001, 0xA4CF, FOLD_OTHER},
    {0xAC00, 0xD7FF, FOLD_OTHER},   {0xE000, 0xFAFF, FOLD_OTHER},
    {0xFE00, 0xFE0F, FOLD_NOTHING}, {0xFE10, 0xFE6F, FOLD_OTHER},
    {0xFEFF, 0xFEFF, FOLD_NOTHING}, {0xFF01, 0xFF0F, FOLD_OTHER},
    {0xFF1A, 0xFF20, FOLD_OTHER},   {0xFF3B, 0xFF40, FOLD_OTHER},
    {0xFF5B, 0xFFFF, FOLD_OTHER},   {0x1F000, 0x1FAFF, FOLD_OTHER},
    {0x20000, 0x3FFFF, FOLD_OTHER}, {0xE0000, 0xE0FFF, FOLD_NOTHING},
};

static const uint32_t spaces[] = {0x0085, 0x00A0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};

static enum fold_kind kind_of(uint32_t point)
{
    if (point == 0x00AD) {
        return FOLD_NOTHING; /* soft hyphen */
    }
    if (point >= 0x2000 && point <= 0x200A) {
        return FOLD_SPACE;
    }
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        if (spaces[i] == point) {
            return FOLD_SPACE;
        }
    }
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (point >= ranges[i].first && point <= ranges[i].last) {
            return ranges[i].kind;
        }
    }
    return FOLD_WORD;
}

static int fill(struct fold *fold, uint32_t point, struct ear_error *err)
{
    char bytes[UTF8_SIZE];
    size_t length = utf8_put(bytes, point);
    size_t folded_length = 0;
    char *folded = NULL;

    if (point == 0x2018 || point == 0x2019 ||
        point == 0x02BC) { /* the typewriter had one for all */
        *fold = (struct fold){.kind = FOLD_OTHER, .length = 1, .bytes = "'"};
        return 0;
    }
    folded = text_fold(bytes, length, &folded_length);
    if (folded == NULL) {
        return ear_fail_memory(err, "a folded character");
    }
    if (folded_length > FOLD_BYTES) {
        fold->length = (uint8_t)length;
        memcpy(fold->bytes, bytes, length);
    } else {
        fold->length = (uint8_t)folded_length;
        memcpy(fold->bytes, folded, folded_length);
    }
    fold->kind = (uint8_t)kind_of(point);
    free(folded);
    return 0;
}

static const struct fold *fold_of(struct match_text *text, uint32_t point, struct ear_error *err)
{
    struct fold **page = &text->pages[point / FOLD_PAGE];
    struct fold *fold = NULL;

    if (*page == NULL) {
        *page = calloc(FOLD_PAGE, sizeof **page);
        if (*page == NULL) {
            ear_fail_memory(err, "folded characters");
            return NULL;
        }
    }
    fold = &(*page)[point % FOLD_PAGE];
    return fold->kind == FOLD_UNKNOWN && fill(fold, point, err) != 0 ? NULL : fold;
}

/* The code point at the start and how many bytes it takes; 0 bytes: none stands there. */
static size_t decode(uint32_t *out, const unsigned char *bytes, size_t length)
{
    size_t size = text_sequence((const char *)bytes, length, NULL);

    if (size < 2) {
        return 0;
    }
    *out = bytes[0] & (0xFFU >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        *out = *out << 6 | (bytes[i] & 0x3FU);
    }
    return size;
}

/* Room for `more` folded bytes. */
static int reserve(struct match_text *text, size_t more, struct ear_error *err)
{
    size_t capacity = text->length + more;
    char *folded = NULL;
    uint32_t *point = NULL;

    if (capacity <= text->capacity) {
        return 0;
    }
    capacity += capacity / 4;
    folded = realloc(text->folded, capacity);
    if (folded == NULL) {
        return ear_fail_memory(err, "a folded text");
    }
    text->folded = folded;
    point = realloc(text->point, capacity * sizeof *point);
    if (point == NULL) {
        return ear_fail_memory(err, "a folded text");
    }
    text->point = point;
    text->capacity = capacity;
    return 0;
}

static int reserve_word(struct match_text *text, struct ear_error *err)
{
    size_t capacity = text->word_capacity * 2 + 64;
    uint32_t *words = NULL;

    if (text->word_count < text->word_capacity) {
        return 0;
    }
    words = realloc(text->words, capacity * sizeof *words);
    if (words == NULL) {
        return ear_fail_memory(err, "the words of a text");
    }
    text->words = words;
    text->word_capacity = capacity;
    return 0;
}

static inline void put(struct match_text *text, char byte, uint32_t point)
{
    text->folded[text->length] = byte;
    text->point[text->length] = point;
    text->length++;
}

/* Begins a word: its marker, unless the last word's end is all that lies before it. */
static int begin_word(struct match_text *text, uint32_t point, struct ear_error *err)
{
    if (text->length == 0 || text->folded[text->length - 1] != MATCH_MARKER) {
        put(text, MATCH_MARKER, point);
    }
    if (reserve_word(text, err) != 0) {
        return -1;
    }
    text->words[text->word_count++] = (uint32_t)(text->length - 1);
    return 0;
}

/* A hyphen between two words is white space; elsewhere it is a dash. */
static enum fold_kind hyphen_kind(const struct match_text *text, bool in_word,
                                  const unsigned char *rest, size_t length)
{
    if (!in_word || length == 0) {
        return FOLD_OTHER;
    }
    return rest[0] >= 0x80 || text->pages[0][rest[0]].kind == FOLD_WORD ? FOLD_SPACE : FOLD_OTHER;
}

static int add_fold(struct match_text *text, const struct fold *fold, enum fold_kind kind,
                    uint32_t point, bool *in_word, struct ear_error *err)
{
    if (kind == FOLD_NOTHING) {
        return 0;
    }
    if (kind == FOLD_WORD && !*in_word) {
        if (begin_word(text, point, err) != 0) {
            return -1;
        }
    } else if (kind != FOLD_WORD && *in_word) {
        put(text, MATCH_MARKER, point);
    }
    *in_word = kind == FOLD_WORD;
    if (kind != FOLD_SPACE) {
        for (size_t i = 0; i < fold->length; i++) {
            put(text, fold->bytes[i], point);
        }
    }
    return 0;
}

/* Takes the ASCII that follows, most of what texts are made of, up to a hyphen, of which more must
 * be known; *taken says how much. There is room for it. */
static int add_ascii(struct match_text *text, const unsigned char *at, size_t length,
                     uint32_t point, bool *in_word, size_t *taken, struct ear_error *err)
{
    const struct fold *ascii = text->pages[0];
    size_t i = 0;

    for (; i < length && at[i] < 0x80 && ascii[at[i]].kind != FOLD_HYPHEN; i++) {
        const struct fold *fold = &ascii[at[i]];
        bool word = fold->kind == FOLD_WORD;

        if (word && !*in_word && begin_word(text, point + (uint32_t)i, err) != 0) {
            return -1;
        }
        if (!word && *in_word) {
            put(text, MATCH_MARKER, point + (uint32_t)i);
        }
        *in_word = word;
        if (fold->kind != FOLD_SPACE) {
            put(text, fold->bytes[0], point + (uint32_t)i);
        }
    }
    *taken = i;
    return 0;
}

/* Takes one character; returns how many bytes it is, 0 with err. */
static size_t add_character(struct match_text *text, const unsigned char *at, size_t length,
                            uint32_t point, bool *in_word, struct ear_error *err)
{
    const struct fold *fold = NULL;
    enum fold_kind kind = FOLD_OTHER;
    uint32_t value = at[0];
    size_t size = 1;

    if (value >= 0x80) {
        size = decode(&value, at, length);
        if (size == 0) {
            size = 1;
            value = 0xFFFD;
        }
    }
    fold = fold_of(text, value, err);
    if (fold == NULL) {
        return 0;
    }
    kind = (enum fold_kind)fold->kind;
    if (kind == FOLD_HYPHEN) {
        kind = hyphen_kind(text, *in_word, at + size, length - size);
    }
    return add_fold(text, fold, kind, point, in_word, err) != 0 ? 0 : size;
}

int match_text_set(struct match_text *text, const char *bytes, size_t length, struct ear_error *err)
{
    const unsigned char *at = (const unsigned char *)bytes;
    bool in_word = false;
    uint32_t point = 0;

    length = length < MATCH_TEXT_MAX ? length : MATCH_TEXT_MAX;
    text->length = 0;
    text->word_count = 0;
    for (size_t i = 0; i < length;) {
        size_t taken = 0;

        /* what is left is ASCII as far as one knows, which takes a marker and itself */
        if (reserve(text, FOLD_BYTES + 2 * (length - i) + 2, err) != 0) {
            return -1;
        }
        if (add_ascii(text, at + i, length - i, point, &in_word, &taken, err) != 0) {
            return -1;
        }
        i += taken;
        point += (uint32_t)taken;
        if (i < length) {
            taken = add_character(text, at + i, length - i, point, &in_word, err);
            if (taken == 0) {
                return -1;
            }
            i += taken;
            point++;
        }
    }
    if (reserve(text, 1, err) != 0) {
        return -1;
    }
    if (in_word) {
        put(text, MATCH_MARKER, point);
    }
    return 0;
}

static void fill_ascii(struct fold page[FOLD_PAGE])
{
    for (int byte = 0; byte < 0x80; byte++) {
        struct fold *fold = &page[byte];
        bool upper = byte >= 'A' && byte <= 'Z';

        fold->length = 1;
        fold->bytes[0] = (char)(upper ? byte + 0x20 : byte);
        if (upper || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9')) {
            fold->kind = FOLD_WORD;
        } else if (byte <= ' ' || byte == '_' || byte == 0x7F) {
            fold->kind = FOLD_SPACE; /* also keeps the marker's byte out */
        } else {
            fold->kind = byte == '-' ? FOLD_HYPHEN : FOLD_OTHER;
        }
    }
}

int match_text_new(struct match_text **out, struct ear_error *err)
{
    struct match_text *text = calloc(1, sizeof *text);

    if (text != NULL) {
        text->pages[0] = calloc(FOLD_PAGE, sizeof *text->pages[0]);
    }
    if (text == NULL || text->pages[0] == NULL) {
        match_text_free(text);
        return ear_fail_memory(err, "a text to match");
    }
    fill_ascii(text->pages[0]);
    *out = text;
    return 0;
}

void match_text_free(struct match_text *text)
{
    if (text == NULL) {
        return;
    }
    for (size_t i = 0; i < FOLD_PAGES; i++) {
        free(text->pages[i]);
    }
    free(text->folded);
    free(text->point);
    free(text->words);
    free(text);
}
