/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/collectors/definition/paper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "common/config/config.h"
#include "common/instant.h"

enum { STAGED_MAX = 2000, LOG_MAX = 4 << 20 };

/* What a step emitted, before it is committed. */
struct staged {
    struct paper *paper;
    struct paper_post posts[STAGED_MAX];
    size_t count;
    char *cursor;
};

static void say(struct paper *paper, const char *format, ...) EAR_PRINTF(2, 3);

static void say(struct paper *paper, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (paper->log_length < LOG_MAX - 2000) {
        paper->log_length +=
            (size_t)vsnprintf(paper->log + paper->log_length, 1999, format, arguments);
        paper->log[paper->log_length++] = '\n';
        paper->log[paper->log_length] = '\0';
    }
    va_end(arguments);
}

/* --- what was asked for --- */

static int hex(char digit)
{
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

static const char *find_member(const char *text, const char *name, char out[200])
{
    const size_t length = strlen(name);

    for (const char *at = text; at != NULL; at = strchr(at, '&')) {
        size_t filled = 0;

        at += *at == '&' || *at == '?' ? 1 : 0;
        if (strncmp(at, name, length) != 0 || at[length] != '=') {
            continue;
        }
        for (at += length + 1; *at != '\0' && *at != '&' && filled < 199; at++) {
            if (*at == '%') {
                out[filled++] = (char)(hex(at[1]) * 16 + hex(at[2]));
                at += 2;
            } else {
                out[filled++] = *at;
            }
        }
        out[filled] = '\0';
        return out;
    }
    return NULL;
}

const char *asked_for(const struct fetch_request *request, const char *name)
{
    static char rooms[8][200];
    static size_t turn;
    char *room = rooms[turn++ % 8];
    const char *query = strchr(request->url, '?');
    const char *found = query == NULL ? NULL : find_member(query, name, room);

    return found != NULL || request->body == NULL ? found : find_member(request->body, name, room);
}

bool asked_path(const struct fetch_request *request, const char *path)
{
    const char *from = strstr(request->url, "://");

    from = from == NULL ? request->url : from + 3;
    from += strcspn(from, "/?");
    return strncmp(from, path, strlen(path)) == 0 && strchr("?", from[strlen(path)]) != NULL;
}

const char *asked_header(const struct fetch_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

void reply_header(struct reply *reply, const char *name, const char *format, ...)
{
    va_list arguments;

    assert_true(reply->header_count < PAPER_HEADERS_MAX);
    va_start(arguments, format);
    vsnprintf(reply->values[reply->header_count], sizeof reply->values[0], format, arguments);
    va_end(arguments);
    snprintf(reply->names[reply->header_count], sizeof reply->names[0], "%s", name);
    reply->header_count++;
}

/* --- what a step brings --- */

static const char *or_minus(const char *text)
{
    return text != NULL ? text : "-";
}

static int on_emit(void *user, const struct source_record *record, struct ear_error *err)
{
    struct staged *staged = user;
    struct paper_post *post = &staged->posts[staged->count++];

    (void)err;
    assert_true(staged->count < STAGED_MAX);
    assert_non_null(record->native_id);
    snprintf(post->id, sizeof post->id, "%s", record->native_id);
    snprintf(post->text, sizeof post->text, "%.*s",
             record->text == NULL ? 0 : (int)record->text_length, or_minus(record->text));
    snprintf(post->more, sizeof post->more, "%s|%s|%s|%s", or_minus(record->title),
             or_minus(record->author_name), or_minus(record->thread), or_minus(record->parent));
    post->created_us = record->created_us;
    post->deleted = record->deleted;
    return 0;
}

static int on_reject(void *user, const char *item, const char *code, const char *reason,
                     const char *bytes, size_t length, struct ear_error *err)
{
    struct staged *staged = user;

    (void)bytes;
    (void)length;
    (void)err;
    staged->paper->rejects++;
    say(staged->paper, "reject %s %s %s", item, code, reason);
    return 0;
}

static int on_gap(void *user, int64_t from_us, int64_t to_us, const char *why,
                  struct ear_error *err)
{
    struct staged *staged = user;
    char from[INSTANT_SIZE];
    char to[INSTANT_SIZE];

    (void)err;
    staged->paper->gaps++;
    say(staged->paper, "gap %s..%s %s", from_us == INT64_MIN ? "-" : instant_format(from, from_us),
        instant_format(to, to_us), why);
    return 0;
}

static int on_misfit(void *user, const char *where, const char *text, struct ear_error *err)
{
    struct staged *staged = user;

    (void)err;
    if (text == NULL) {
        say(staged->paper, "fits %s", where);
    } else {
        say(staged->paper, "misfit %s", text);
    }
    return 0;
}

static void on_came(void *user, const char *what)
{
    struct staged *staged = user;

    say(staged->paper, "came %s", what);
}

static int on_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    struct staged *staged = user;

    (void)err;
    free(staged->cursor);
    staged->cursor = strndup(json, length);
    assert_non_null(staged->cursor);
    return 0;
}

/* --- the store --- */

static struct paper_post *find(struct paper *paper, const char *id)
{
    for (size_t i = 0; i < paper->post_count; i++) {
        if (strcmp(paper->posts[i].id, id) == 0) {
            return &paper->posts[i];
        }
    }
    return NULL;
}

const struct paper_post *paper_find(const struct paper *paper, const char *id)
{
    return find((struct paper *)paper, id);
}

size_t paper_alive(const struct paper *paper)
{
    size_t count = 0;

    for (size_t i = 0; i < paper->post_count; i++) {
        count += paper->posts[i].deleted ? 0 : 1;
    }
    return count;
}

static void keep(struct paper *paper, const struct paper_post *post)
{
    struct paper_post *there = find(paper, post->id);
    int published = 0;

    if (there != NULL && there->deleted == post->deleted &&
        (post->deleted ||
         (strcmp(there->text, post->text) == 0 && strcmp(there->more, post->more) == 0))) {
        return;
    }
    if (there == NULL) {
        assert_true(paper->post_count < PAPER_POSTS_MAX);
        there = &paper->posts[paper->post_count++];
    } else {
        published = there->published;
    }
    *there = *post;
    there->published = published + 1;
    paper->published++;
}

static void commit(struct paper *paper, struct staged *staged)
{
    for (size_t i = 0; i < staged->count; i++) {
        keep(paper, &staged->posts[i]);
    }
    staged->count = 0;
    if (staged->cursor != NULL) {
        free(paper->cursor);
        paper->cursor = staged->cursor;
        staged->cursor = NULL;
    }
}

/* --- a poll --- */

struct fetched {
    struct reply reply;
    char *body;
    size_t length;
    char url[2000];
    struct fetch_header headers[PAPER_HEADERS_MAX];
    struct fetch_answer answer;
};

static void fetch(struct paper *paper, const struct fetch_request *request, struct fetched *fetched)
{
    struct reply *reply = &fetched->reply;

    free(fetched->body);
    *fetched = (struct fetched){.reply = {.status = 200, .retry_after_us = -1}};
    reply->out = open_memstream(&fetched->body, &fetched->length);
    assert_non_null(reply->out);
    snprintf(fetched->url, sizeof fetched->url, "%s", request->url);
    say(paper, "ask %s%s%s %s", request->url, request->body == NULL ? "" : " ",
        request->body == NULL ? "" : request->body, request->etag == NULL ? "" : "if-none-match");
    paper->requests++;
    paper->serve(paper->world, request, reply);
    fclose(reply->out);
    for (size_t i = 0; i < reply->header_count; i++) {
        fetched->headers[i] =
            (struct fetch_header){.name = reply->names[i], .value = reply->values[i]};
    }
    fetched->answer = (struct fetch_answer){
        .status = reply->status,
        .url = fetched->url,
        .type = "application/json",
        .etag = reply->etag[0] == '\0' ? NULL : reply->etag,
        .body = fetched->body,
        .body_length = fetched->length,
        .retry_after_us = reply->retry_after_us,
        .headers = fetched->headers,
        .header_count = reply->header_count,
        .date_us = INT64_MIN,
    };
    if (reply->status == 0) {
        ear_fail(&fetched->answer.failure, EAR_RETRY, "no_answer: the connection broke off");
    }
}

static enum paper_end run_steps(struct paper *paper, void *state, struct staged *staged,
                                struct fetched *fetched)
{
    const struct source_output output = {.user = staged,
                                         .emit = on_emit,
                                         .reject = on_reject,
                                         .cursor = on_cursor,
                                         .gap = on_gap,
                                         .misfit = on_misfit,
                                         .came = staged->paper->probe ? on_came : NULL};
    const struct source_reader *reader = definition_reader(paper->definition);
    struct source_turn turn = {.next = SOURCE_MORE};

    for (;;) {
        const bool answered = turn.next == SOURCE_FETCH;
        int result = 0;

        turn = (struct source_turn){0};
        result =
            reader->step(state, answered ? &fetched->answer : NULL, &output, &turn, &paper->err);
        paper->steps++;
        assert_true(paper->steps < 100000);
        paper->wait_us = turn.wait_us;
        if (result != 0 || turn.next == SOURCE_JUDGE) {
            staged->count = 0; /* of a step that fails the cursor alone is kept */
            commit(paper, staged);
            paper->judged = result == 0 ? fetched->answer.status : 0;
            return result != 0 ? PAPER_FAILED : PAPER_JUDGED;
        }
        if (paper->steps == paper->crash_at && paper->crash_uncommitted) {
            return PAPER_CRASHED;
        }
        commit(paper, staged);
        if (paper->steps == paper->crash_at) {
            return PAPER_CRASHED;
        }
        if (turn.next == SOURCE_LATER) {
            snprintf(paper->why, sizeof paper->why, "%s", or_minus(turn.why));
            return PAPER_LATER;
        }
        if (turn.next == SOURCE_DONE) {
            return PAPER_DONE;
        }
        if (turn.next == SOURCE_FETCH) {
            assert_true(turn.any_status);
            fetch(paper, &turn.request, fetched);
        }
    }
}

enum paper_end paper_poll(struct paper *paper)
{
    const struct source_reader *reader = definition_reader(paper->definition);
    struct staged *staged = calloc(1, sizeof *staged);
    struct fetched *fetched = calloc(1, sizeof *fetched);
    char *began_with = paper->cursor == NULL ? NULL : strdup(paper->cursor);
    const struct source_poll poll = {
        .settings = &paper->settings,
        .source = &paper->source,
        .config = paper->params,
        .self = reader->self,
        .cursor = began_with,
        .cursor_length = began_with == NULL ? 0 : strlen(began_with),
        .now_us = paper->now_us,
        .probe = paper->probe,
        .probe_pages = paper->probe_pages,
        .fetch = paper->fetch,
        .tokens = paper->tokens,
        .backfill_since_us = paper->backfill_since_us,
    };
    void *state = NULL;

    assert_non_null(staged);
    assert_non_null(fetched);
    staged->paper = paper;
    paper->log_length = 0;
    paper->log[0] = '\0';
    paper->steps = paper->requests = paper->published = paper->rejects = paper->gaps = 0;
    ear_error_clear(&paper->err);
    paper->end = PAPER_FAILED;
    if (reader->begin(&state, &poll, &paper->err) == 0) {
        paper->end = run_steps(paper, state, staged, fetched);
        reader->end(state);
    }
    free(staged->cursor);
    free(staged);
    free(fetched->body);
    free(fetched);
    free(began_with);
    return paper->end;
}

void paper_poll_well(struct paper *paper)
{
    enum paper_end end = paper_poll(paper);

    if (end == PAPER_LATER && strstr(paper->why, "ends where it should go on") != NULL) {
        const struct paper first = *paper;

        end = paper_poll(paper); /* as `run --once` does */
        paper->requests += first.requests;
        paper->published += first.published;
        paper->rejects += first.rejects;
        paper->gaps += first.gaps;
    }
    if (end != PAPER_DONE) {
        fail_msg("the poll ended with %d (%s, %s, status %d):\n%s", (int)paper->end,
                 paper->err.message, paper->why, paper->judged, paper->log);
    }
}

size_t paper_said(const struct paper *paper, const char *text)
{
    size_t count = 0;

    for (const char *at = paper->log; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

void paper_open(struct paper *paper, const char *yaml,
                void (*serve)(void *, const struct fetch_request *, struct reply *), void *world)
{
    struct ear_error err = {EAR_NONE, ""};
    const struct config_node *root = NULL;

    memset(paper, 0, sizeof *paper);
    paper->source =
        (struct settings_source){.name = "place", .use = "place", .history_us = INT64_MAX};
    paper->now_us = NOON_US;
    paper->serve = serve;
    paper->world = world;
    paper->log = calloc(1, LOG_MAX);
    assert_non_null(paper->log);
    assert_int_equal(config_new(&paper->config, &err), 0);
    root = config_read_text(paper->config, "place.yaml", yaml, &err);
    if (root != NULL) {
        assert_int_equal(definition_read(&paper->definition, paper->config, root, &err), 0);
    }
    if (paper->definition == NULL) {
        for (size_t i = 0; i < config_finding_count(paper->config); i++) {
            const struct config_finding *finding = config_finding_at(paper->config, i);

            print_error("%d:%d %s: %s\n", finding->line, finding->column, finding->key,
                        finding->text);
        }
        fail_msg("the definition is not understood: %s", err.message);
    }
}

void paper_close(struct paper *paper)
{
    definition_free(paper->definition);
    config_free(paper->config);
    free(paper->log);
    free(paper->cursor);
}
