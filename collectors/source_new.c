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
        log_plain("source new", "%s", answer->failure.message);
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

static int print_draft(const char *url, const struct fetch_answer *answer, struct ear_error *err)
{
    struct json *json = NULL;
    struct draft_sample sample = {.url = url, .link = fetch_answer_header(answer, "link")};
    char *draft = NULL;
    char name[80];
    int result = -1;

    if (json_new(&json, err) != 0) {
        return -1;
    }
    sample.answer = json_read(json, answer->body, answer->body_length, &json_limits_default, err);
    if (sample.answer == NULL) {
        ear_error_context(err,
                          "the answer is no JSON; if the site has feeds, write use: feed, url: "
                          "its address");
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
    command_stop_on_signals();
    if (session_open_probe(&session, err) == 0) {
        answer = ask(&session, &request, &result, err);
    }
    if (answer != NULL) {
        result = print_draft(url, answer, err);
    }
    session_close(&session);
    return result;
}
