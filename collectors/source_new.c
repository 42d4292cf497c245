/* SPDX-License-Identifier: Apache-2.0 */
/* `source new URL`: asks an API once and drafts a definition from what it says. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/commands.h"
#include "collectors/draft/draft.h"
#include "collectors/fetch/fetch.h"
#include "collectors/private_file.h"
#include "collectors/session.h"
#include "common/json/json.h"
#include "common/log.h"

enum { HEADERS_MAX = 16, HEADER_FILE_MAX = 64 * 1024 };

/* Headers as they were given, apart. */
struct given {
    struct fetch_header headers[HEADERS_MAX];
    char *texts[HEADERS_MAX];  /* "Name\0value" that they point into */
    char *values[HEADERS_MAX]; /* those of files; NULL: none */
    size_t count;
};

static void given_clear(struct given *given)
{
    for (size_t i = 0; i < HEADERS_MAX; i++) {
        free(given->texts[i]);
        free(given->values[i]);
    }
}

/* A private file's text, without white space at its end. */
static char *read_private(const char *path, struct ear_error *err)
{
    char *text = NULL;
    size_t length = 0;

    if (private_file_read(&text, &length, path, HEADER_FILE_MAX, true, err) != 0) {
        return NULL;
    }
    if (text == NULL) {
        ear_fail(err, EAR_CONFIG, "there is no file '%.200s'; --header reads one", path);
        return NULL;
    }
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    return text;
}

/* Takes the text: "Name: value", or "Name: ${file:PATH}". 1: it is neither, or one too many. */
static int add_header(struct given *given, char *text, struct ear_error *err)
{
    char *colon = strchr(text, ':');
    char *value = colon == NULL ? NULL : colon + 1 + strspn(colon + 1, " ");

    if (given->count == HEADERS_MAX || value == NULL || colon == text) {
        free(text);
        return 1;
    }
    given->texts[given->count] = text;
    *colon = '\0';
    if (strncmp(value, "${file:", 7) == 0 && value[strlen(value) - 1] == '}') {
        value[strlen(value) - 1] = '\0';
        value = read_private(value + 7, err);
        given->values[given->count] = value;
        if (value == NULL) {
            return -1;
        }
    }
    log_secret(text, value);
    given->headers[given->count++] = (struct fetch_header){text, value};
    return 0;
}

static int read_headers(struct given *out, const struct ear_strings *headers, struct ear_error *err)
{
    int got = 0;

    for (size_t i = 0; i < headers->count; i++) {
        const char *item = headers->items[i];
        char *text = item[0] == '@' ? read_private(item + 1, err) : strdup(item);

        if (text == NULL) {
            return err->kind != EAR_NONE ? -1 : ear_fail_memory(err, "a header");
        }
        got = add_header(out, text, err);
        if (got != 0) {
            return got;
        }
    }
    return 0;
}

/* The answer, or NULL: err, or *code says how it ended. */
static const struct fetch_answer *ask(struct session *session, const struct fetch_request *request,
                                      int *code, struct ear_error *err)
{
    const struct fetch_answer *answer = NULL;
    void *user = NULL;
    int came = 0;

    *code = -1;
    if (fetch_start(session->fetch, request, NULL, err) != 0) {
        return NULL;
    }
    while (came == 0 && !command_stop_asked()) {
        came = fetch_turn(session->fetch, 250, &answer, &user, err);
    }
    if (came <= 0) {
        *code = came < 0 ? -1 : EXIT_LATER;
        return NULL;
    }
    if (answer->status == 0) {
        log_plain("source new", "%s%s", answer->failure.message,
                  strstr(answer->failure.message, "network.allow") == NULL
                      ? ""
                      : " (in earshot.yaml here, or in --config FILE: `network: {allow: "
                        "[ADDRESS]}`)");
        *code = answer->failure.kind == EAR_REJECT ? EXIT_FAILED : EXIT_UNAVAILABLE;
        return NULL;
    }
    if (answer->status < 200 || answer->status > 299) {
        log_plain("source new", "it answers %d: %.*s", answer->status,
                  (int)(answer->body_length > 300 ? 300 : answer->body_length), answer->body);
        *code = EXIT_FAILED;
        return NULL;
    }
    return answer;
}

/* What the answer tells of a budget, by the names that APIs give it. */
static void read_budget(struct draft_sample *sample, const struct fetch_answer *answer)
{
    static const struct {
        const char *prefix, *remaining, *reset;
    } kinds[] = {{"x-ratelimit-", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
                 {"ratelimit-", "RateLimit-Remaining", "RateLimit-Reset"},
                 {"x-rate-limit-", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && sample->remaining == NULL; i++) {
        char key[64];

        (void)snprintf(key, sizeof(key), "%sremaining", kinds[i].prefix);
        if (fetch_answer_header(answer, key) == NULL) {
            continue;
        }
        sample->remaining = kinds[i].remaining;
        (void)snprintf(key, sizeof(key), "%sreset", kinds[i].prefix);
        sample->reset_value = fetch_answer_header(answer, key);
        sample->reset = sample->reset_value == NULL ? NULL : kinds[i].reset;
        (void)snprintf(key, sizeof(key), "%slimit", kinds[i].prefix);
        sample->limit_value = fetch_answer_header(answer, key);
    }
}

static int print_draft(const struct fetch_request *request, const struct fetch_answer *answer,
                       struct ear_error *err)
{
    struct json *json = NULL;
    const char *names[HEADERS_MAX];
    const char *values[HEADERS_MAX];
    struct draft_sample sample = {.url = request->url,
                                  .link = fetch_answer_header(answer, "link"),
                                  .headers = names,
                                  .values = values,
                                  .header_count = request->header_count};
    char *draft = NULL;
    char name[80];
    int result = -1;

    if (json_new(&json, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        names[i] = request->headers[i].name;
        values[i] = request->headers[i].value;
    }
    read_budget(&sample, answer);
    sample.answer = json_read(json, answer->body, answer->body_length, &json_limits_default, err);
    if (sample.answer == NULL) {
        ear_error_context(err,
                          "the answer is no JSON, of which alone a draft is made; a definition of "
                          "your own reads XML (accept: xml), and if the site has feeds, write "
                          "use: feed, url: its address");
        goto done;
    }
    if (draft_make(&draft, name, &sample, err) != 0) {
        goto done;
    }
    (void)fputs(draft, stdout);
    (void)fprintf(stderr,
                  "a draft of '%s'   next: save it as definitions/%s.yaml, read it, earshot check "
                  "definitions/%s.yaml\n",
                  name, name, name);
    result = EXIT_DONE;

done:
    free(draft);
    json_free(json);
    return result;
}

int source_new(const struct command_call *call, struct settings *settings, const char *url,
               struct ear_error *err)
{
    const struct source_values *values = call->options;
    struct session session = {.settings = settings, .clock = call->clock};
    struct given given = {0};
    struct fetch_request request = {.url = url,
                                    .headers = given.headers,
                                    .header_count = values->header.count,
                                    .source = "draft"};
    const struct fetch_answer *answer = NULL;
    int result = -1;

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.200s' is no address of an API: it begins with http:// or https://, "
                        "such as https://%.200s",
                        url, url[0] == '/' ? "forum.example/api/posts" : url);
    }
    result = read_headers(&given, &values->header, err);
    if (result != 0) {
        given_clear(&given);
        return result < 0 ? -1
                          : command_misused(call,
                                            "--header takes \"Name: value\", \"Name: "
                                            "${file:PATH}\" or @FILE, at most %d of them",
                                            HEADERS_MAX);
    }
    result = -1;
    command_stop_on_signals();
    if (session_open_probe(&session, err) == 0) {
        answer = ask(&session, &request, &result, err);
    }
    if (answer != NULL) {
        result = print_draft(&request, answer, err);
    }
    session_close(&session);
    given_clear(&given);
    return result;
}
