/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition, and a server that answers it whatever it likes: two polls of a source, the second
 * with the cursor of the first. An input is the definition; then, each behind a line that begins
 * with `@`, answers: the line is the status and headers, `@200 link: <…>; rel="next"`, with `|`
 * between several, what follows is the body. They are given in turn, from the first again when they
 * run out.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition.h"
#include "collectors/source.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/settings/settings.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 64 * 1024, ANSWERS_MAX = 20, HEADERS_MAX = 6, PARAMS_MAX = 64, STEPS_MAX = 150 };
enum { CURSOR_MAX = 256 * 1024 };

struct answer {
    int status;
    struct fetch_header headers[HEADERS_MAX];
    size_t header_count;
    char *body;
    size_t body_length;
};

struct run {
    char *text; /* the input; answers point into it */
    struct answer answers[ANSWERS_MAX];
    size_t answer_count, next;
    char *cursor;
    struct json *json;
};

/* --- the input --- */

static void read_headers(struct answer *answer, char *line)
{
    char *rest = line;

    for (char *one = strsep(&rest, "|"); one != NULL && answer->header_count < HEADERS_MAX;
         one = strsep(&rest, "|")) {
        char *colon = strchr(one, ':');

        if (colon != NULL) {
            *colon = '\0';
            one += strspn(one, " ");
            for (char *at = one; *at != '\0'; at++) {
                *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
            }
            answer->headers[answer->header_count++] =
                (struct fetch_header){one, colon + 1 + strspn(colon + 1, " ")};
        }
    }
}

/* Cuts the input at lines that begin with @; what stands before is the definition. */
static void read_input(struct run *run, char *text)
{
    char *at = strstr(text, "\n@");

    while (at != NULL && run->answer_count < ANSWERS_MAX) {
        struct answer *answer = &run->answers[run->answer_count++];
        char *line = at + 2;
        char *end = strchr(line, '\n');
        char *next = end == NULL ? NULL : strstr(end, "\n@");

        *at = '\0';
        answer->body = end == NULL ? line + strlen(line) : end + 1;
        if (end != NULL) {
            *end = '\0';
        }
        answer->body_length =
            next == NULL || next == end ? strlen(answer->body) : (size_t)(next - answer->body);
        answer->status = (int)strtol(line, &line, 10);
        answer->status = answer->status < 0 || answer->status > 599 ? 0 : answer->status;
        read_headers(answer, line);
        at = next == end ? NULL : next;
    }
}

/* --- what is promised of what comes --- */

static void hold_text(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        assert((unsigned char)*text >= 0x20 && *text != 0x7f);
    }
}

static int on_emit(void *user, const struct source_record *record, struct ear_error *err)
{
    struct run *run = user;

    (void)err;
    assert(record->native_id != NULL && record->native_id[0] != '\0');
    assert(record->text == NULL || strlen(record->text) <= record->text_length + 1);
    assert(record->rating <= 1);
    if (record->extra != NULL) {
        char *whole = malloc(strlen(record->extra) + 3);
        struct ear_error why = {EAR_NONE, ""};

        assert(whole != NULL);
        (void)snprintf(whole, strlen(record->extra) + 3, "{%s}", record->extra);
        assert(json_read(run->json, whole, strlen(whole), &json_limits_default, &why) != NULL);
        free(whole);
    }
    return 0;
}

static int on_reject(void *user, const char *item, const char *code, const char *reason,
                     const char *bytes, size_t length, struct ear_error *err)
{
    (void)user;
    (void)err;
    assert(item != NULL && code != NULL && code[0] != '\0' && reason != NULL);
    assert(bytes != NULL || length == 0);
    return 0;
}

static int on_gap(void *user, int64_t from_us, int64_t to_us, const char *why,
                  struct ear_error *err)
{
    (void)user;
    (void)err;
    (void)from_us;
    (void)to_us;
    assert(why != NULL);
    return 0;
}

static int on_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    struct run *run = user;
    struct ear_error why = {EAR_NONE, ""};

    (void)err;
    assert(length <= CURSOR_MAX);
    assert(json_read(run->json, json, length, &json_limits_default, &why) != NULL);
    free(run->cursor);
    run->cursor = strndup(json, length);
    return run->cursor == NULL ? -1 : 0;
}

static void hold_request(const struct fetch_request *request)
{
    assert(request->url != NULL && strpbrk(request->url, " \"<>\\^`{|}") == NULL);
    hold_text(request->url);
    for (size_t i = 0; i < request->header_count; i++) {
        hold_text(request->headers[i].name);
        hold_text(request->headers[i].value);
    }
    assert(request->body != NULL || request->body_length == 0);
}

/* --- a poll --- */

static struct fetch_answer give(struct run *run, const char *url)
{
    static const struct answer silence = {.status = 0, .body = (char *)""};
    const struct answer *answer =
        run->answer_count == 0 ? &silence : &run->answers[run->next++ % run->answer_count];
    struct fetch_answer out = {.status = answer->status,
                               .url = url,
                               .type = "application/json",
                               .body = answer->body,
                               .body_length = answer->body_length,
                               .retry_after_us = -1,
                               .date_us = INT64_MIN,
                               .headers = answer->headers,
                               .header_count = answer->header_count};

    if (out.status == 0) {
        ear_fail(&out.failure, EAR_RETRY, "no_answer: nothing came");
    }
    return out;
}

static void poll_once(struct run *run, const struct source_reader *reader,
                      const struct source_poll *poll)
{
    const struct source_output output = {
        .user = run, .emit = on_emit, .reject = on_reject, .cursor = on_cursor, .gap = on_gap};
    struct ear_error err = {EAR_NONE, ""};
    struct fetch_answer answer = {0};
    char *url = NULL;
    bool answered = false;
    void *state = NULL;

    if (reader->begin(&state, poll, &err) != 0) {
        assert(err.kind != EAR_NONE && err.message[0] != '\0');
        return;
    }
    for (int i = 0; i < STEPS_MAX; i++) {
        struct source_turn turn = {0};

        if (reader->step(state, answered ? &answer : NULL, &output, &turn, &err) != 0) {
            assert(err.kind != EAR_NONE && err.message[0] != '\0');
            break;
        }
        assert(err.kind == EAR_NONE);
        if (turn.next == SOURCE_DONE || turn.next == SOURCE_JUDGE || turn.next == SOURCE_LATER) {
            break;
        }
        answered = turn.next == SOURCE_FETCH;
        if (answered) {
            hold_request(&turn.request);
            free(url);
            url = strdup(turn.request.url);
            answer = give(run, url);
        }
    }
    reader->end(state);
    free(url);
}

static void run_definition(struct run *run, struct config *config, struct definition *definition)
{
    const struct source_reader *reader = definition_reader(definition);
    const char *params[PARAMS_MAX] = {NULL};
    const struct settings settings = {.config = config};
    const struct settings_source source = {
        .name = "fuzz", .use = reader->name, .history_us = INT64_MAX};
    struct source_poll poll = {.settings = &settings,
                               .source = &source,
                               .config = params,
                               .self = reader->self,
                               .now_us = INT64_C(1795348800000000)};

    for (size_t i = 0; reader->options[i].name != NULL && i < PARAMS_MAX; i++) {
        const char *fallback = reader->options[i].fallback;

        params[i] = fallback == NULL     ? (i % 2 == 0 ? "https://p.example/x" : NULL)
                    : fallback[0] == '!' ? "https://q.example"
                                         : fallback;
    }
    poll_once(run, reader, &poll);
    poll.cursor = run->cursor;
    poll.cursor_length = run->cursor == NULL ? 0 : strlen(run->cursor);
    run->cursor = NULL;
    poll.now_us += INT64_C(7200000000);
    poll_once(run, reader, &poll);
    free((char *)poll.cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ear_error err = {EAR_NONE, ""};
    struct run run = {0};
    struct config *config = NULL;
    struct definition *definition = NULL;
    const struct config_node *root = NULL;
    size_t errors = 0; /* of the document itself: a key that stands twice */

    if (size > INPUT_MAX || config_new(&config, &err) != 0) {
        return 0;
    }
    run.text = strndup((const char *)data, size);
    if (run.text == NULL || json_new(&run.json, &err) != 0) {
        goto done;
    }
    read_input(&run, run.text);
    root = config_read_text(config, "fuzz.yaml", run.text, &err);
    errors = config_errors(config);
    if (root == NULL || definition_read(&definition, config, root, &err) != 0) {
        goto done;
    }
    assert((definition == NULL) == (config_errors(config) > errors));
    for (size_t i = 0; i < config_finding_count(config); i++) {
        const struct config_finding *finding = config_finding_at(config, i);

        assert(finding->text[0] != '\0' && finding->line >= 1 && finding->column >= 1);
    }
    if (definition != NULL) {
        FILE *nowhere = fopen("/dev/null", "we");

        if (nowhere != NULL) {
            definition_page(definition, true, nowhere);
            (void)fclose(nowhere);
        }
        run_definition(&run, config, definition);
    }

done:
    definition_free(definition);
    config_free(config);
    json_free(run.json);
    free(run.cursor);
    free(run.text);
    return 0;
}
