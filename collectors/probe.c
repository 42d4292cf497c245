/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `probe SOURCE`: fetches now and prints what would be published. Opens no log and no store, moves
 * no cursor, makes no file.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

const struct ear_option collect_probe_options[] = {
    {"count,n", EAR_INTEGER, offsetof(struct probe_values, count), "20 [1..10000]",
     "how many posts to print", NULL},
    {"raw", EAR_BOOLEAN, offsetof(struct probe_values, raw), "false",
     "print status, headers and body of the answers instead", NULL},
    {0},
};

struct found {
    int64_t at_us;
    size_t order; /* of arrival: for posts of one instant */
    char *json, *line;
};

struct probe {
    const struct session *session;
    const struct probe_values *options;
    struct post_origin origin;
    struct json_writer *writer;
    int64_t now_us;
    struct found *found; /* [count] */
    size_t count, capacity, bytes, rejected;
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
    struct found *found = NULL;

    if (probe->count == PROBE_POSTS_MAX || probe->bytes + length > PROBE_BYTES_MAX) {
        return 0;
    }
    if (probe->count == probe->capacity) {
        const size_t capacity = probe->capacity == 0 ? 64 : probe->capacity * 2;
        struct found *grown = realloc(probe->found, capacity * sizeof(*grown));

        if (grown == NULL) {
            return ear_fail_memory(err, "posts");
        }
        probe->found = grown;
        probe->capacity = capacity;
    }
    found = &probe->found[probe->count];
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
    struct probe *probe = user;

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
    struct probe *probe = user;
    struct post post = {0};
    const char *text = NULL;
    size_t length = 0;
    int result = post_read(&post, probe->session->rules, &probe->origin, record, err);

    if (result == 0 && !record->deleted) {
        json_writer_reset(probe->writer);
        result = post_clean(&post, err);
        if (result == 0) {
            result = post_write(&post, probe->writer, post_version(&post, 0, probe->now_us),
                                post_created(&post, INT64_MIN, probe->now_us), probe->now_us, &text,
                                &length, err);
        }
        if (result == 0 && !probe->options->raw) {
            result = keep(probe, &post, text, length, err);
        }
    }
    if (result != 0 && err->kind == EAR_REJECT) {
        const struct ear_error why = *err;

        ear_error_clear(err);
        result = on_reject(probe, record->native_id == NULL ? "" : record->native_id, "rejected",
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

/* --- printing --- */

static int by_age(const void *one, const void *other)
{
    const struct found *a = one;
    const struct found *b = other;

    if (a->at_us != b->at_us) {
        return a->at_us < b->at_us ? 1 : -1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

static void print_raw(const struct fetch_answer *answer)
{
    const int shown = (int)strcspn(answer->url, "?"); /* behind it there may be a token */

    (void)printf("%d %.*s\n", answer->status, shown, answer->url);
    for (size_t i = 0; i < answer->header_count; i++) {
        (void)printf("%s: %s\n", answer->headers[i].name, answer->headers[i].value);
    }
    (void)printf("\n");
    (void)fwrite(answer->body, 1, answer->body_length, stdout);
    (void)printf("\n");
}

static void print_found(struct probe *probe, bool as_json)
{
    size_t shown = probe->count;

    if (probe->count > 0) {
        qsort(probe->found, probe->count, sizeof(*probe->found), by_age);
    }
    if (shown > (size_t)probe->options->count) {
        shown = (size_t)probe->options->count;
    }
    for (size_t i = 0; i < shown; i++) {
        (void)printf("%s\n", as_json ? probe->found[i].json : probe->found[i].line);
    }
    (void)fprintf(stderr, "%zu %s (of %zu on the page)", shown, shown == 1 ? "post" : "posts",
                  probe->count);
    if (probe->rejected > 0) {
        (void)fprintf(stderr, ", %zu would be rejected", probe->rejected);
    }
    (void)fputs(", nothing published\n", stderr);
}

/* --- asking --- */

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
static int ask(struct probe *probe, struct fetch_request *request, bool any_status,
               const struct fetch_answer **answer, struct ear_error *err)
{
    const char *source = probe->origin.source->name;
    void *user = NULL;
    int came = 0;

    request->source = source;
    if (fetch_start(probe->session->fetch, request, NULL, err) != 0) {
        return -1;
    }
    while (came == 0) {
        if (command_stop_asked()) {
            return EXIT_LATER;
        }
        came = fetch_turn(probe->session->fetch, 250, answer, &user, err);
    }
    if (came < 0) {
        return -1;
    }
    if (probe->options->raw && (*answer)->status != 0) {
        print_raw(*answer);
    }
    if (!any_status && ((*answer)->status < 200 || (*answer)->status >= 300)) {
        return explain(source, *answer);
    }
    return 0;
}

static int walk(struct probe *probe, const struct source_entry *entry, void *state,
                struct ear_error *err)
{
    const struct source_output output = {
        .user = probe, .emit = on_record, .reject = on_reject, .cursor = on_cursor};
    const struct fetch_answer *answer = NULL;
    int requests = 0;

    for (int i = 0; i < PROBE_STEPS_MAX && !command_stop_asked(); i++) {
        struct source_turn turn = {0};

        if (entry->reader->step(state, answer, &output, &turn, err) != 0) {
            return -1;
        }
        if (turn.next == SOURCE_JUDGE) {
            return explain(entry->source->name, answer);
        }
        if (turn.next == SOURCE_LATER) {
            (void)fprintf(stderr, "%s: %s\n", entry->source->name, turn.why);
            return EXIT_LATER;
        }
        answer = NULL;
        if (turn.next == SOURCE_DONE || probe->count == PROBE_POSTS_MAX) {
            break;
        }
        if (turn.next == SOURCE_FETCH) {
            const int code = requests++ == PROBE_REQUESTS_MAX
                                 ? EXIT_DONE
                                 : ask(probe, &turn.request, turn.any_status, &answer, err);

            if (code != 0 || answer == NULL) {
                return code;
            }
        }
    }
    return EXIT_DONE;
}

static int probe_source(struct session *session, const struct source_entry *entry,
                        const struct command_call *call, struct ear_error *err)
{
    struct probe probe = {
        .session = session, .options = call->options, .now_us = clock_now_us(&session->clock)};
    const struct source_poll poll = {.settings = session->settings,
                                     .source = entry->source,
                                     .config = entry->config,
                                     .self = entry->reader->self,
                                     .now_us = probe.now_us,
                                     .fetch = session->fetch,
                                     .tokens = session->tokens,
                                     .probe = true};
    void *state = NULL;
    int result = -1;

    if (post_origin_init(&probe.origin, entry->source, entry->reader, err) != 0 ||
        json_writer_new(&probe.writer, MESSAGE_POST_MAX, err) != 0 ||
        entry->reader->begin(&state, &poll, err) != 0) {
        goto done;
    }
    result = walk(&probe, entry, state, err);
    if (result == EXIT_DONE && !probe.options->raw) {
        print_found(&probe, call->output != OUTPUT_TABLE);
    }

done:
    if (state != NULL) {
        entry->reader->end(state);
    }
    for (size_t i = 0; i < probe.count; i++) {
        free(probe.found[i].json);
        free(probe.found[i].line);
    }
    free(probe.found);
    json_writer_free(probe.writer);
    post_origin_clear(&probe.origin);
    return result;
}

/* An error of a reader is a refusal, what a person has to change in the source too; one of the way
 * there is not. */
static int code_of(const char *source, const struct ear_error *err)
{
    if (err->kind == EAR_FATAL) {
        return -1;
    }
    (void)fprintf(stderr, "%s: %s\n", source, err->message);
    return err->kind == EAR_RETRY ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

static int unknown_source(const struct settings *settings, const char *name, struct ear_error *err)
{
    const char *names[65];
    size_t count = 0;
    char suggestion[160];

    for (; count < settings->source_count && count < 64; count++) {
        names[count] = settings->sources[count].name;
    }
    names[count] = NULL;
    config_suggest(suggestion, sizeof(suggestion), name, names);
    return ear_fail(err, EAR_CONFIG, "no source is called '%.100s'%s%s", name,
                    *suggestion == '\0' ? "; `earshot status` lists them" : "; ", suggestion);
}

int collect_probe(const struct command_call *call, struct ear_error *err)
{
    struct session session;
    const char *name = call->arguments[0];
    const struct source_entry *entry = NULL;
    int result = session_check(&session, call, err);

    command_stop_on_signals();
    for (size_t i = 0; result == EXIT_DONE && i < session.sources.count; i++) {
        if (strcmp(session.sources.items[i].source->name, name) == 0) {
            entry = &session.sources.items[i];
        }
    }
    if (result == EXIT_DONE && entry == NULL) {
        result = unknown_source(session.settings, name, err);
    }
    if (result == EXIT_DONE) {
        result = session_open_probe(&session, err);
    }
    if (result == EXIT_DONE && entry != NULL) {
        result = probe_source(&session, entry, call, err);
        if (result == -1) {
            result = code_of(name, err);
        }
    }
    session_close(&session);
    return result;
}
