/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of definitions. They are written by people we trust and run over text of
 * people we do not: the matcher gets a budget of steps, depth and heap, and a text that spends it
 * does not match.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "collectors/definition/definition_internal.h"

enum { PATTERN_MAX = 4096, TEXT_MAX = 64 * 1024, STEPS_MAX = 100000, HEAP_MAX_KIB = 1024 };

struct pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
};

int pattern_new(struct pattern **out, const char *text, struct ear_error *err)
{
    struct pattern *pattern = calloc(1, sizeof(*pattern));
    const size_t length = strlen(text);
    int code = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR why[200] = "";

    if (pattern == NULL) {
        return ear_fail_memory(err, "a pattern");
    }
    if (length > PATTERN_MAX) {
        pattern_free(pattern);
        return ear_fail(err, EAR_CONFIG,
                        "is a pattern of more than 4096 bytes; write a shorter one");
    }
    pattern->limits = pcre2_match_context_create(NULL);
    pattern->code = pcre2_compile((PCRE2_SPTR)text, length, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C,
                                  &code, &offset, NULL);
    if (pattern->code == NULL || pattern->limits == NULL) {
        const bool memory = pattern->limits == NULL || code == PCRE2_ERROR_NOMEMORY;

        pattern_free(pattern);
        if (memory) {
            return ear_fail_memory(err, "a pattern");
        }
        (void)pcre2_get_error_message(code, why, sizeof(why));
        return ear_fail(err, EAR_CONFIG, "'%.200s' is no pattern: %s, at its character %zu", text,
                        (const char *)why, offset + 1);
    }
    (void)pcre2_set_match_limit(pattern->limits, STEPS_MAX);
    (void)pcre2_set_depth_limit(pattern->limits, STEPS_MAX);
    (void)pcre2_set_heap_limit(pattern->limits, HEAP_MAX_KIB);
    *out = pattern;
    return 0;
}

void pattern_free(void *thing)
{
    struct pattern *pattern = thing;

    if (pattern != NULL) {
        pcre2_code_free(pattern->code);
        pcre2_match_context_free(pattern->limits);
        free(pattern);
    }
}

bool pattern_find(const struct pattern *pattern, const char *text, size_t length, size_t *from,
                  size_t *found)
{
    pcre2_match_data *match = NULL;
    const PCRE2_SIZE *places = NULL;
    int groups = 0;
    size_t group = 0;

    if (length > TEXT_MAX) {
        for (length = TEXT_MAX; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;
             length--) {
        }
    }
    match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    if (match == NULL) {
        return false;
    }
    groups = pcre2_match(pattern->code, (PCRE2_SPTR)text, length, 0, 0, match, pattern->limits);
    if (groups > 0) {
        places = pcre2_get_ovector_pointer(match);
        group = groups > 1 && places[2] != PCRE2_UNSET ? 1 : 0;
        *from = places[2 * group];
        /* \K can put the start behind the end. */
        *found = places[2 * group + 1] > *from ? places[2 * group + 1] - *from : 0;
    }
    pcre2_match_data_free(match);
    return groups > 0;
}
