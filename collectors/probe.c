/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/collector.h"
#include "collectors/commands.h"
#include "collectors/fetch/fetch.h"
#include "collectors/post.h"
#include "collectors/session.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/settings/settings.h"

enum { PROBE_POSTS_MAX = 10000, PROBE_STEPS_MAX = 1000, PROBE_REQUESTS_MAX = 20 };
#define PROBE_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* A look under way. */
struct look {
    struct probe *probe;
    struct post_origin origin;
    struct json_writer *writer;
};

/* --- what a step finds --- */

/* "2026-11-20 the first words" */
static char *line_of(const struct post *post, int64_t at_us)
{
    const char *text = post->title != NULL ? post->title : post->text != NULL ? post->text : "";
    char day[DAY_SIZE];
    char line[160];
    size_t length = strcspn(text, "\n");

    if (length > 100) {
        for (length = 100; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80; length--) {
        }
    }
    (void)snprintf(line, sizeof(line), "%s %.*s%s", day_format(day, zone_day(NULL, at_us)),
                   (int)length, text, text[length] == '\0' ? "" : "…");
    return strdup(line);
}

static int keep(struct probe *probe, const struct post *post, const char *text, size_t length,
                struct ear_error *err)
{
    struct probe_post *found = NULL;

    if (probe->count == PROBE_POSTS_MAX || probe->bytes + length > PROBE_BYTES_MAX) {
        return 0;
    }
    if (probe->count == probe->capacity) {
        const size_t capacity = probe->capacity == 0 ? 64 : probe->capacity * 2;
        struct probe_post *grown = realloc(probe->posts, capacity * sizeof(*grown));

        if (grown == NULL) {
            return ear_fail_memory(err, "posts");
        }
        probe->posts = grown;
        probe->capacity = capacity;
    }
    found = &probe->posts[probe->count];
    found->at_us = post_created(post, INT64_MIN, probe->now_us);
    found->order = probe->count;
    found->json = strndup(text, length);
    found->line = line_of(post, found->at_us);
    probe->count++;
    probe->bytes += length;
    return found->json == NULL || found->line == NULL ? ear_fail_memory(err, "posts") : 0;
}

static int on_reject(void *user, const char *item, const char *code, const char *reason,
                     const char *bytes, size_t length, struct ear_error *err)
{
    struct probe *probe = ((struct look *)user)->probe;

    (void)bytes;
    (void)length;
    (void)err;
    probe->rejected++;
    if (probe->rejected <= 20) {
        (void)fprintf(stderr, "would be rejected: %s: %s: %s\n", item, code, reason);
    }
    return 0;
}

static int on_record(void *user, const struct source_record *record, struct ear_error *err)
{
    struct look *look = user;
    struct probe *probe = look->probe;
    struct post post = {0};
    const char *text = NULL;
    size_t length = 0;
    int result = post_read(&post, probe->session->rules, &look->origin, record, err);

    if (result == 0 && !record->deleted) {
        json_writer_reset(look->writer);
        result = post_clean(&post, err);
        if (result == 0) {
            result = post_write(&post, look->writer, post_version(&post, 0, probe->now_us),
                                post_created(&post, INT64_MIN, probe->now_us), probe->now_us, &text,
                                &length, err);
        }
        if (result == 0 && !probe->forgets) {
            result = keep(probe, &post, text, length, err);
        }
    }
    if (result != 0 && err->kind == EAR_REJECT) {
        const struct ear_error why = *err;

        ear_error_clear(err);
        result = on_reject(look, record->native_id == NULL ? "" : record->native_id, "rejected",
                           why.message, NULL, 0, err);
    }
    post_clear(&post);
    return result;
}

static int on_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    (void)user;
    (void)json;
    (void)length;
    (void)err;
    return 0;
}

static void remark(struct look *look, const char *before, const char *what)
{
    struct probe *probe = look->probe;
    const size_t length = strlen(probe->remarks);

    (void)snprintf(probe->remarks + length, sizeof(probe->remarks) - length, "%s%s\n", before,
                   what);
}

static int on_misfit(void *user, const char *where, const char *text, struct ear_error *err)
{
    (void)where;
    (void)err;
    if (text != NULL) {
        remark(user, "posts may be missing: ", text);
    }
    return 0;
}

static void on_came(void *user, const char *what)
{
    struct look *look = user;

    if (look->probe->pages > 1) {
        remark(look, "", what);
    }
}

/* --- printing --- */

static int by_age(const void *one, const void *other)
{
    const struct probe_post *a = one;
    const struct probe_post *b = other;

    if (a->at_us != b->at_us) {
        return a->at_us < b->at_us ? 1 : -1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

void probe_print(const struct probe *probe, size_t most, bool as_json)
{
    const size_t shown = probe->count < most ? probe->count : most;

    for (size_t i = 0; i < shown; i++) {
        (void)printf("%s\n", as_json ? probe->posts[i].json : probe->posts[i].line);
    }
    (void)fprintf(stderr, "%zu %s (of %zu on the page)", shown, shown == 1 ? "post" : "posts",
                  probe->count);
    if (probe->rejected > 0) {
        (void)fprintf(stderr, ", %zu would be rejected", probe->rejected);
    }
    (void)fputs(", nothing published\n", stderr);
    (void)fputs(probe->remarks, stderr);
}

/* --- asking --- */

int probe_fetch(const struct session *session, const struct fetch_request *request,
                const struct fetch_answer **answer, struct ear_error *err)
{
    void *user = NULL;
    int came = 0;

    if (fetch_start(session->fetch, request, NULL, err) != 0) {
        return -1;
    }
    while (came == 0) {
        if (command_stop_asked()) {
            return EXIT_LATER;
        }
        came = fetch_turn(session->fetch, 250, answer, &user, err);
    }
    return came < 0 ? -1 : 0;
}

/* An answer that is no page, in words. Returns the exit code. */
static int explain(const char *source, const struct fetch_answer *answer)
{
    char sentence[128];

    if (answer->status == 0) {
        (void)fprintf(stderr, "%s: %s\n", source, answer->failure.message);
        return answer->failure.kind == EAR_REJECT ? EXIT_FAILED : EXIT_UNAVAILABLE;
    }
    (void)fprintf(stderr, "%s: %s\n", source,
                  collector_sentence(answer->status, sentence, sizeof(sentence)));
    return answer->status == 429 || answer->status >= 500 ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

/* One request to its answer. -1: err; 0 and *answer; or an exit code. */
static int ask(struct probe *probe, struct source_turn *turn, const struct fetch_answer **answer,
               struct ear_error *err)
{
    const char *source = probe->entry->source->name;
    int code = 0;

    turn->request.source = source;
    code = probe->ask(probe->user, &turn->request, answer, err);
    if (code == 0 && !turn->any_status && ((*answer)->status < 200 || (*answer)->status >= 300)) {
        return explain(source, *answer);
    }
    return code;
}

static int walk(struct look *look, void *state, struct ear_error *err)
{
    struct probe *probe = look->probe;
    const struct source_entry *entry = probe->entry;
    const struct source_output output = {.user = look,
                                         .emit = on_record,
                                         .reject = on_reject,
                                         .cursor = on_cursor,
                                         .misfit = on_misfit,
                                         .came = on_came};
    const struct fetch_answer *answer = NULL;
    int requests = 0;

    for (int i = 0; i < PROBE_STEPS_MAX && !command_stop_asked(); i++) {
        struct source_turn turn = {0};

        if (entry->reader->step(state, answer, &output, &turn, err) != 0) {
            return -1;
        }
        if (turn.next == SOURCE_JUDGE && answer != NULL) {
            return explain(entry->source->name, answer);
        }
        if (turn.next == SOURCE_LATER) {
            (void)fprintf(stderr, "%s: %s\n", entry->source->name,
                          turn.why == NULL ? "it goes on later" : turn.why);
            return EXIT_LATER;
        }
        answer = NULL;
        if (turn.next == SOURCE_DONE || probe->count == PROBE_POSTS_MAX) {
            break;
        }
        if (turn.next == SOURCE_FETCH) {
            const int code =
                requests++ == PROBE_REQUESTS_MAX ? EXIT_DONE : ask(probe, &turn, &answer, err);

            if (code != 0 || answer == NULL) {
                return code;
            }
        }
    }
    return EXIT_DONE;
}

int probe_run(struct probe *probe, struct ear_error *err)
{
    const struct session *session = probe->session;
    const struct source_entry *entry = probe->entry;
    struct look look = {.probe = probe};
    const struct source_poll poll = {.settings = session->settings,
                                     .source = entry->source,
                                     .config = entry->config,
                                     .self = entry->reader->self,
                                     .now_us = probe->now_us,
                                     .fetch = session->fetch,
                                     .tokens = session->tokens,
                                     .probe = true,
                                     .probe_pages = probe->pages};
    void *state = NULL;
    int result = -1;

    if (post_origin_init(&look.origin, entry->source, entry->reader, err) == 0 &&
        json_writer_new(&look.writer, MESSAGE_POST_MAX, err) == 0 &&
        entry->reader->begin(&state, &poll, err) == 0) {
        result = walk(&look, state, err);
    }
    if (state != NULL) {
        entry->reader->end(state);
    }
    if (probe->count > 0) {
        qsort(probe->posts, probe->count, sizeof(*probe->posts), by_age);
    }
    json_writer_free(look.writer);
    post_origin_clear(&look.origin);
    return result;
}

void probe_clear(struct probe *probe)
{
    for (size_t i = 0; i < probe->count; i++) {
        free(probe->posts[i].json);
        free(probe->posts[i].line);
    }
    free(probe->posts);
    probe->posts = NULL;
    probe->count = probe->capacity = 0;
}

/* --- for its commands --- */

int probe_code(const char *source, const struct ear_error *err)
{
    if (err->kind == EAR_FATAL) {
        return -1;
    }
    (void)fprintf(stderr, "%s: %s\n", source, err->message);
    return err->kind == EAR_RETRY ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

int probe_find(const struct source_entry **out, const struct session *session, const char *name,
               struct ear_error *err)
{
    const char *names[65];
    size_t count = 0;
    char suggestion[160];

    for (size_t i = 0; i < session->sources.count; i++) {
        if (strcmp(session->sources.items[i].source->name, name) == 0) {
            *out = &session->sources.items[i];
            return 0;
        }
        if (count < 64) {
            names[count++] = session->sources.items[i].source->name;
        }
    }
    names[count] = NULL;
    config_suggest(suggestion, sizeof(suggestion), name, names);
    return ear_fail(err, EAR_CONFIG, "no source is called '%.100s'%s%s", name,
                    *suggestion == '\0' ? "; `earshot status` lists them" : "; ", suggestion);
}
