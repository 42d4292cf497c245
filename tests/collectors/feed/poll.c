/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/collectors/feed/poll.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/text/text.h"

static void say(struct poll *poll, const char *format, ...) EAR_PRINTF(2, 3);

static void say(struct poll *poll, const char *format, ...)
{
    va_list arguments;
    char *line = NULL;
    int size = 0;

    va_start(arguments, format);
    size = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (size < 0) {
        abort();
    }
    if (poll->log_length + (size_t)size + 2 > poll->log_capacity) {
        poll->log_capacity = (poll->log_length + (size_t)size + 2) * 2;
        char *log = realloc(poll->log, poll->log_capacity);

        if (log == NULL) {
            abort();
        }
        poll->log = log;
    }
    for (int i = 0; i < size; i++) {
        poll->log[poll->log_length++] = (char)(line[i] == '\n' ? '~' : line[i]);
    }
    poll->log[poll->log_length++] = '\n';
    poll->log[poll->log_length] = '\0';
    free(line);
}

static const char *or_minus(const char *text)
{
    return text != NULL ? text : "-";
}

static const char *when(char out[INSTANT_SIZE], int64_t at_us)
{
    return at_us == INT64_MIN ? "-" : instant_format(out, at_us);
}

/* Plain text as the collector would make it. */
static char *plain(const char *text, size_t length, enum source_format format)
{
    bool repaired = false;
    char *out = NULL;

    if (text == NULL) {
        return NULL;
    }
    out = format == SOURCE_HTML ? text_from_html(text, length, &length)
                                : text_repair(text, length, &length, &repaired);
    if (out == NULL) {
        abort();
    }
    length = text_tidy(out, length);
    out[length] = '\0';
    return out;
}

static int on_emit(void *user, const struct source_record *record, struct ear_error *err)
{
    struct poll *poll = user;
    char created[INSTANT_SIZE];
    char edited[INSTANT_SIZE];
    char *title = NULL;
    char *text = NULL;

    (void)err;
    poll->posts++;
    if (record->deleted) {
        say(poll, "gone %s", record->native_id);
        return 0;
    }
    title = plain(record->title, record->title != NULL ? strlen(record->title) : 0, record->format);
    text = plain(record->text, record->text_length, record->format);
    say(poll, "post %s|%s|%s|%s|%s|%s|%s|%s|%s", record->native_id, or_minus(record->url),
        or_minus(title), or_minus(text), or_minus(record->author_name),
        when(created, record->created_us), when(edited, record->edited_us),
        or_minus(record->parent), or_minus(record->lang));
    if (record->rating >= 0 || record->extra != NULL) {
        say(poll, "more %s|%.3f|%s", record->native_id, record->rating, or_minus(record->extra));
    }
    if (record->repaired) {
        say(poll, "mended %s", record->native_id);
    }
    free(title);
    free(text);
    return 0;
}

static int on_reject(void *user, const char *item, const char *code, const char *reason,
                     const char *bytes, size_t length, struct ear_error *err)
{
    struct poll *poll = user;

    (void)err;
    poll->rejects++;
    say(poll, "reject %s|%s|%s|%.*s", item, code, reason, (int)length, bytes);
    return 0;
}

static int on_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    struct poll *poll = user;

    free(poll->cursor);
    poll->cursor = strndup(json, length);
    return poll->cursor != NULL ? 0 : ear_fail_memory(err, "a cursor");
}

static bool on_refused(void *user)
{
    const struct poll *poll = user;

    return poll->rejects > 0;
}

static struct fetch_answer answer_of(const struct poll *poll, const struct fetch_request *request)
{
    struct fetch_answer answer = {.url = request->url, .type = "", .body = "", .status = 404};

    for (const struct poll_page *page = poll->pages; page != NULL && page->url != NULL; page++) {
        bool same =
            page->etag != NULL && request->etag != NULL && strcmp(page->etag, request->etag) == 0;

        if (strcmp(page->url, request->url) != 0) {
            continue;
        }
        answer.status = same ? 304 : page->status;
        answer.type = page->type != NULL ? page->type : "application/xml";
        answer.etag = page->etag;
        if (!same && page->body != NULL) {
            answer.body = page->body;
            answer.body_length = page->length > 0 ? page->length : strlen(page->body);
        }
        break;
    }
    return answer;
}

static int run_steps(struct poll *poll, void *state)
{
    const struct source_output output = {.user = poll,
                                         .emit = on_emit,
                                         .reject = on_reject,
                                         .cursor = on_cursor,
                                         .refused = poll->tells_refused ? on_refused : NULL};
    struct fetch_answer answer = {0};
    struct source_turn turn = {.next = SOURCE_MORE};

    for (;;) {
        const bool fetched = turn.next == SOURCE_FETCH;

        turn = (struct source_turn){0};
        if (poll->reader->step(state, fetched ? &answer : NULL, &output, &turn, &poll->err) != 0) {
            return -1;
        }
        poll->steps++;
        if (turn.next == SOURCE_DONE ||
            (poll->crash_after > 0 && poll->steps == poll->crash_after)) {
            return 0;
        }
        if (turn.next == SOURCE_FETCH) {
            poll->requests++;
            say(poll, "ask %s", turn.request.url);
            answer = answer_of(poll, &turn.request);
            if (!turn.any_status && answer.status != 200 && answer.status != 304) {
                return ear_fail(&poll->err, EAR_RETRY, "status %d", answer.status);
            }
        }
    }
}

int poll_run(struct poll *poll)
{
    void *state = NULL;
    char *began_with = poll->cursor != NULL ? strdup(poll->cursor) : NULL;
    struct source_poll begin = {
        .settings = &poll->settings,
        .source = &poll->source,
        .config = poll->config,
        .cursor = began_with,
        .cursor_length = began_with != NULL ? strlen(began_with) : 0,
        .now_us = poll->now_us,
        .probe = poll->probe,
    };
    int result = -1;

    poll->log_length = 0;
    poll->posts = poll->rejects = poll->steps = poll->requests = 0;
    ear_error_clear(&poll->err);
    say(poll, "poll");
    if (poll->reader->begin(&state, &begin, &poll->err) == 0) {
        result = run_steps(poll, state);
        poll->reader->end(state);
    }
    free(began_with);
    return result;
}

void poll_clear(struct poll *poll)
{
    free(poll->log);
    free(poll->cursor);
    poll->log = poll->cursor = NULL;
    poll->log_length = poll->log_capacity = 0;
}

bool poll_said(const struct poll *poll, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = poll->log; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
        if (strncmp(at, line, length) == 0 && at[length] == '\n') {
            return true;
        }
    }
    return false;
}

char *poll_recorded(const char *name, size_t *length)
{
    enum { RECORDED_MAX = 4 << 20 };
    char path[512];
    char *bytes = NULL;
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/fixtures/%s", SHARED_DIR, name);
    file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    bytes = calloc(1, RECORDED_MAX);
    if (bytes == NULL) {
        abort();
    }
    *length = fread(bytes, 1, RECORDED_MAX - 1, file);
    fclose(file);
    return bytes;
}
