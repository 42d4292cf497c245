/* SPDX-License-Identifier: Apache-2.0 */
/* Lines up to the first empty one are phrases, the rest is a text: what is found lies within the
 * text, in order, and a phrase is found in itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/text/text.h"
#include "processors/match/match.h"
#include "tests/fuzz/fuzz.h"

enum { HITS_MAX = 512, PHRASES_MAX = 64 };

static void check_hits(const struct match_hit hits[], size_t count, size_t points)
{
    for (size_t i = 0; i < count; i++) {
        assert(hits[i].start < hits[i].end && hits[i].end <= points);
        assert(hits[i].first_word <= hits[i].end_word && hits[i].end_word <= points);
        assert(i == 0 || hits[i - 1].start < hits[i].start ||
               (hits[i - 1].start == hits[i].start && hits[i - 1].end >= hits[i].end));
    }
}

/* Bytes that are not UTF-8 count as one code point each. */
static size_t count_points(const char *text, size_t length)
{
    size_t points = 0;

    for (size_t i = 0; i < length; points++) {
        size_t size = text_sequence(text + i, length - i, NULL);

        i += size == 0 ? 1 : size;
    }
    return points;
}

static void find(const struct match *match, struct match_text *ready, const char *text,
                 size_t length)
{
    static struct match_hit hits[HITS_MAX];
    struct ear_error err = {0};

    if (match_text_set(ready, text, length, &err) != 0) {
        abort();
    }
    check_hits(hits, match_find(match, ready, hits, HITS_MAX), count_points(text, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    struct ear_error err = {0};
    struct match *match = NULL;
    static struct match_text *ready; /* used again, as it is meant to be */

    if (size > 100000 || match_new(&match, &err) != 0 ||
        (ready == NULL && match_text_new(&ready, &err) != 0)) {
        goto done;
    }
    for (uint32_t tag = 0; at < end && tag < PHRASES_MAX; tag++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop == NULL ? end : stop) - at);

        if (length == 0) {
            break;
        }
        if (match_add(match, at, length, tag, &err) != 0) {
            assert(err.kind == EAR_CONFIG);
        }
        at += length + (stop != NULL);
    }
    if (match_build(match, &err) != 0) {
        abort();
    }
    find(match, ready, at, (size_t)(end - at));
    find(match, ready, (const char *)data, size);

done:
    match_free(match);
    return 0;
}
