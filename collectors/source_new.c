/* SPDX-License-Identifier: Apache-2.0 */
/* `source new URL`: asks an API once and drafts a definition from what it says. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/commands.h"
#include "collectors/draft/draft.h"
#include "collectors/fetch/fetch.h"
#include "collectors/session.h"
#include "common/json/json.h"
#include "common/log.h"

enum { HEADERS_MAX = 16 };

/* "Name: value" apart; the names lie in `names`. -1: one is none. */
static int read_headers(const struct ear_strings *given, struct fetch_header out[HEADERS_MAX],
                        char names[HEADERS_MAX][100])
{
    if (given->count > HEADERS_MAX) {
        return -1;
    }
    for (size_t i = 0; i < given->count; i++) {
        const char *colon = strchr(given->items[i], ':');
        const size_t length = colon == NULL ? 0 : (size_t)(colon - given->items[i]);

        if (length == 0 || length >= sizeof(names[i])) {
            return -1;
        }
        (void)snprintf(names[i], sizeof(names[i]), "%.*s", (int)length, given->items[i]);
        out[i] = (struct fetch_header){names[i], colon + 1 + strspn(colon + 1, " ")};
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
    struct fetch_header headers[HEADERS_MAX];
    char names[HEADERS_MAX][100];
    struct fetch_request request = {
        .url = url, .headers = headers, .header_count = values->header.count, .source = "draft"};
    const struct fetch_answer *answer = NULL;
    int result = -1;

    if (read_headers(&values->header, headers, names) != 0) {
        return command_misused(call, "--header takes \"Name: value\", at most 16 of them");
    }
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.200s' is no address of an API: it begins with http:// or https://, "
                        "such as https://%.200s",
                        url, url[0] == '/' ? "forum.example/api/posts" : url);
    }
    command_stop_on_signals();
    if (session_open_probe(&session, err) == 0) {
        answer = ask(&session, &request, &result, err);
    }
    if (answer != NULL) {
        result = print_draft(&request, answer, err);
    }
    session_close(&session);
    return result;
}
