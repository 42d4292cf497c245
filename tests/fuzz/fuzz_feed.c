/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses a Content-Type, the rest is the page. It is polled twice, the second time
 * with the cursor of the first, every side request answered with the same page: what is emitted has
 * an id, and the cursor is read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/feed/feed.h"
#include "common/settings/settings.h"
#include "common/text/text.h"
#include "tests/fuzz/fuzz.h"

struct feed_config { /* as the reader's table lays it out */
    const char *url;
    bool comments;
};

struct polled {
    char *cursor;
};

static int on_emit(void *user, const struct source_record *record, struct ear_error *err)
{
    (void)user;
    (void)err;
    assert(record->native_id != NULL && record->native_id[0] != '\0');
    assert(record->deleted || record->text != NULL);
    assert(record->url == NULL || strncasecmp(record->url, "http", 4) == 0);
    assert(record->deleted || text_valid(record->text, record->text_length));
    return 0;
}

static int on_reject(void *user, const char *item, const char *code, const char *reason,
                     const char *bytes, size_t length, struct ear_error *err)
{
    (void)user;
    (void)err;
    assert(item[0] != '\0' && code[0] != '\0' && reason[0] != '\0');
    assert(length == 0 || bytes != NULL);
    return 0;
}

static int on_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    struct polled *polled = user;

    (void)err;
    free(polled->cursor);
    polled->cursor = strndup(json, length);
    assert(polled->cursor != NULL);
    return 0;
}

static void poll_once(struct polled *polled, const struct fetch_answer *answer, int64_t now_us)
{
    static const struct feed_config config = {"https://b.example/f", true};
    static const struct settings settings = {0};
    static const struct settings_source source = {.name = "b", .use = "feed"};
    const struct source_output output = {
        .user = polled, .emit = on_emit, .reject = on_reject, .cursor = on_cursor};
    char *began_with = polled->cursor != NULL ? strdup(polled->cursor) : NULL;
    const struct source_poll poll = {.settings = &settings,
                                     .source = &source,
                                     .config = &config,
                                     .cursor = began_with,
                                     .cursor_length = began_with != NULL ? strlen(began_with) : 0,
                                     .now_us = now_us};
    struct ear_error err = {0};
    struct source_turn turn = {.next = SOURCE_MORE};
    void *state = NULL;

    assert(feed_reader.begin(&state, &poll, &err) == 0);
    while (turn.next != SOURCE_DONE) {
        const bool fetched = turn.next == SOURCE_FETCH;

        turn = (struct source_turn){0};
        if (feed_reader.step(state, fetched ? answer : NULL, &output, &turn, &err) != 0) {
            assert(err.kind == EAR_REJECT && strchr(err.message, ':') != NULL);
            break;
        }
    }
    feed_reader.end(state);
    free(began_with);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"", "application/rss+xml; charset=utf-8", "text/xml",
                                        "application/feed+json", "text/html; charset=shift_jis"};
    struct polled polled = {0};
    struct fetch_answer answer = {.status = 200, .url = "https://b.example/f", .etag = "\"1\""};

    if (size == 0) {
        return 0;
    }
    answer.type = types[data[0] % 5];
    answer.body = (const char *)data + 1;
    answer.body_length = size - 1;
    poll_once(&polled, &answer, 1000000);
    poll_once(&polled, &answer, 2000000);
    free(polled.cursor);
    return 0;
}
