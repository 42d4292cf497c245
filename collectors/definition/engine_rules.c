/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer that is no page, or says that it is none: the definition's rules first, in their order,
 * then what holds everywhere: 401 another token once, on a child 403, 404 and 410 pass it over; the
 * rest is the collector's to judge. Whatever ends the poll here, the next one asks for the same
 * page again.
 */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/answer_xml.h"
#include "common/instant.h"
#include "common/settings/settings.h"

/* --- reading --- */

/* Lines become one array. */
static char *array_of(const char *text, size_t length, size_t *out_length)
{
    char *out = malloc(length * 2 + 3);
    size_t at = 0;
    bool any = false;

    if (out == NULL) {
        return NULL;
    }
    out[at++] = '[';
    for (size_t from = 0; from < length;) {
        const char *end = memchr(text + from, '\n', length - from);
        size_t line = end == NULL ? length - from : (size_t)(end - text) - from;
        const size_t next = from + line + 1;

        while (line > 0 && strchr(" \t\r", text[from]) != NULL) {
            from++;
            line--;
        }
        if (line > 0) {
            if (any) {
                out[at++] = ',';
            }
            memcpy(out + at, text + from, line);
            at += line;
            any = true;
        }
        from = next;
    }
    out[at++] = ']';
    out[at] = '\0';
    *out_length = at;
    return out;
}

const struct json_node *rules_read(struct json *json, const struct request *request,
                                   const struct fetch_answer *answer, struct ear_error *err)
{
    const struct json_node *root = NULL;
    size_t length = 0;
    char *text = NULL;

    if (request->accept == ACCEPT_JSON) {
        return json_read(json, answer->body, answer->body_length, &json_limits_default, err);
    }
    if (request->accept == ACCEPT_XML) {
        if (answer_xml_read(&text, &length, answer->body, answer->body_length, answer->type, err) !=
            0) {
            return NULL;
        }
    } else {
        text = array_of(answer->body, answer->body_length, &length);
        if (text == NULL) {
            ear_fail_memory(err, "a page");
            return NULL;
        }
    }
    root = json_read(json, text, length, &json_limits_default, err);
    free(text);
    return root;
}

/* As XML, where that was asked for and it looks like it: errors often come in JSON all the same. */
static bool is_xml(const struct engine *engine, const struct fetch_answer *answer)
{
    size_t at = 0;

    while (at < answer->body_length && strchr(" \t\r\n", answer->body[at]) != NULL &&
           answer->body[at] != '\0') {
        at++;
    }
    return engine->asked.xml && at < answer->body_length && answer->body[at] == '<';
}

/* The body, if it is understood; NULL: it is not. -1: EAR_FATAL. */
static int read_quietly(struct engine *engine, const struct fetch_answer *answer,
                        const struct json_node **root, struct ear_error *err)
{
    const struct json_limits small = {.bytes = (size_t)1024 * 1024, .depth = 64, .members = 20000};

    char *text = NULL;
    size_t length = 0;

    *root = NULL;
    if (answer->body_length == 0) {
        return 0;
    }
    if (!is_xml(engine, answer)) {
        *root = json_read(engine->body, answer->body, answer->body_length, &small, err);
    } else if (answer_xml_read(&text, &length, answer->body, answer->body_length, answer->type,
                               err) == 0) {
        *root = json_read(engine->body, text, length, &small, err);
        free(text);
    }
    if (*root == NULL && err->kind != EAR_REJECT) {
        return -1;
    }
    if (*root == NULL) {
        ear_error_clear(err);
    }
    return 0;
}

/* --- the budget --- */

/* Seconds from a value of a page, a number or its text; below 0: none. */
static double seconds_of(const struct json_node *root, const char *pointer)
{
    const struct json_node *node = json_pointer(root, pointer);
    const char *text = json_string(node, NULL);
    char *end = NULL;
    double value = text == NULL ? -1 : strtod(text, &end);

    return text == NULL || end == text || value < 0 || value > 1e9 ? -1 : value;
}

static void tell_limit(struct engine *engine, size_t at, const struct json_node *root,
                       const struct fetch_answer *answer)
{
    const struct limit *limit = &engine->definition->limits[at];
    const int64_t at_us =
        answer->date_us > 0 ? answer->date_us : engine_now_us(engine); /* the server's clock */
    const double left = limit->remaining != NULL && limit->remaining[0] == '/'
                            ? seconds_of(root, limit->remaining)
                            : -1;
    int64_t reset_us = -1;

    if (limit->reset != NULL && limit->reset[0] == '/') {
        const char *text = json_string(json_pointer(root, limit->reset), NULL);

        if (text == NULL ||
            !fetch_reset_parse(&reset_us, text, engine->limits[at].reset_as, at_us)) {
            reset_us = -1;
        }
    }
    if (left >= 0 || reset_us >= 0) {
        fetch_budget_tell(engine->poll->fetch, &engine->budget, at, left, reset_us);
    }
    if (limit->backoff != NULL) {
        const char *header =
            limit->backoff[0] == '/' ? NULL : fetch_answer_header(answer, limit->backoff);
        const double rest = limit->backoff[0] == '/' ? seconds_of(root, limit->backoff)
                            : header == NULL         ? -1
                                                     : strtod(header, NULL);

        if (rest > 0 && rest < 1e9) {
            fetch_budget_rest(engine->poll->fetch, &engine->budget, (int64_t)(rest * 1e6));
        }
    }
}

void rules_tell(struct engine *engine, const struct json_node *root,
                const struct fetch_answer *answer)
{
    if (engine->poll->fetch == NULL || root == NULL) {
        return;
    }
    for (size_t i = 0; i < engine->limit_count; i++) {
        tell_limit(engine, i, root, answer);
    }
}

/* --- the rules --- */

static bool is_good(int status)
{
    return status >= 200 && status < 300;
}

static bool rule_fits(const struct engine *engine, const struct error_rule *rule,
                      const struct fetch_answer *answer, const struct json_node *body)
{
    struct environment environment;
    bool named = rule->status_count == 0 && !is_good(answer->status) && answer->status != 0;

    for (size_t i = 0; i < rule->status_count; i++) {
        named = named || rule->statuses[i] == answer->status;
    }
    if (!named) {
        return false;
    }
    if (rule->when.count == 0) {
        return true;
    }
    engine_environment(engine, &environment);
    environment.record = body;
    environment.answer = answer;
    return conditions_all(&rule->when, &environment);
}

static bool rules_look_at(const struct definition *definition, int status)
{
    if (!is_good(status)) {
        return true;
    }
    for (size_t i = 0; i < definition->error_count; i++) {
        for (size_t k = 0; k < definition->errors[i].status_count; k++) {
            if (definition->errors[i].statuses[k] == status) {
                return true;
            }
        }
    }
    return false;
}

/* What a rule says, in words; engine->say. */
static int fill_say(struct engine *engine, const struct error_rule *rule,
                    const struct fetch_answer *answer, const struct json_node *body,
                    struct ear_error *err)
{
    struct environment environment;
    bool absent = false;
    char *text = NULL;

    (void)snprintf(engine->say, sizeof(engine->say), "the server answered %d", answer->status);
    if (rule->say == NULL) {
        return 0;
    }
    engine_environment(engine, &environment);
    environment.record = body;
    environment.answer = answer;
    text = template_expand(rule->say, &environment, TEMPLATE_PLAIN, &absent, err);
    if (text == NULL) {
        return absent ? 0 : -1;
    }
    (void)snprintf(engine->say, sizeof(engine->say), "%s", text);
    free(text);
    return 0;
}

/* Until this time of the day, in the zone of the limit. */
static int64_t wait_until(const struct engine *engine, int64_t until_us)
{
    const int64_t now_us = engine_now_us(engine);
    const char *name = NULL;
    struct zone *zone = NULL;
    struct ear_error ignored = {EAR_NONE, ""};
    int64_t at_us = 0;
    int64_t day = 0;

    for (size_t i = 0; i < engine->definition->limit_count && name == NULL; i++) {
        name = engine->definition->limits[i].zone;
    }
    if (name == NULL || zone_open(&zone, name, &ignored) != 0) {
        zone = NULL;
    }
    day = zone_day(zone, now_us);
    at_us = zone_day_start_us(zone, day) + until_us;
    if (at_us <= now_us) {
        at_us = zone_day_start_us(zone, day + 1) + until_us;
    }
    zone_close(zone);
    return at_us - now_us;
}

/* What the headers say of when there is room again; below 0: nothing. */
static int64_t wait_of_headers(const struct engine *engine, const struct fetch_answer *answer)
{
    const int64_t at_us = answer->date_us > 0 ? answer->date_us : engine_now_us(engine);
    int64_t wait_us = answer->retry_after_us;

    for (size_t i = 0; wait_us < 0 && i < engine->definition->limit_count; i++) {
        const struct limit *limit = &engine->definition->limits[i];
        const char *reset = limit->reset == NULL || limit->reset[0] == '/'
                                ? NULL
                                : fetch_answer_header(answer, limit->reset);

        if (reset != NULL && i < engine->limit_count &&
            !fetch_reset_parse(&wait_us, reset, engine->limits[i].reset_as, at_us)) {
            wait_us = -1;
        }
    }
    return wait_us;
}

static int64_t wait_of_rule(const struct engine *engine, const struct error_rule *rule,
                            const struct fetch_answer *answer, const struct json_node *body)
{
    struct environment environment;
    const struct json_node *node = NULL;
    const char *text = NULL;

    if (rule->until_us >= 0) {
        return wait_until(engine, rule->until_us);
    }
    if (rule->wait_from.text != NULL) {
        engine_environment(engine, &environment);
        environment.record = body;
        environment.answer = answer;
        node = body == NULL ? NULL : pointer_first(&rule->wait_from, &environment);
        text = json_string(node, NULL);
        if (text != NULL && strtod(text, NULL) > 0 && strtod(text, NULL) < 1e9) {
            return (int64_t)(strtod(text, NULL) * 1e6);
        }
    }
    if (rule->wait_us > 0) {
        return rule->wait_us;
    }
    return wait_of_headers(engine, answer);
}

static enum verdict wait(struct engine *engine, int64_t wait_us, const char *code,
                         struct source_turn *turn, struct ear_error *err)
{
    if (wait_us > CLOCK_DAY_US) {
        wait_us = CLOCK_DAY_US;
    }
    turn->wait_us = wait_us > 0 ? wait_us : 0;
    if (wait_us > CLOCK_HOUR_US) { /* a quota that is spent; a failure is asked again sooner */
        turn->next = SOURCE_LATER;
        turn->why = engine->say;
        return VERDICT_DECIDED;
    }
    ear_fail(err, EAR_RETRY, "%s: %s", code, engine->say);
    return VERDICT_FAILED;
}

static const char *code_of(int status)
{
    switch (status) {
    case 401:
    case 403:
        return "auth";
    case 404:
        return "not_found";
    case 410:
        return "gone";
    case 429:
        return "rate_limit";
    default:
        return status >= 500 || status == 0 ? "server" : "refused";
    }
}

static enum verdict refresh(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    if (auth_refused(engine, err) != 0) {
        return VERDICT_FAILED;
    }
    return ask_send(engine, engine->asked_for, turn, err) == 0 ? VERDICT_AGAIN : VERDICT_FAILED;
}

/* Is it only about the one record that it was asked for? */
static bool is_missing(int status)
{
    return status == 403 || status == 404 || status == 410;
}

/* `single`: asked for one record, by a rule that is meant for lists: "no such forum". */
static enum verdict obey(struct engine *engine, const struct error_rule *rule, bool single,
                         const struct fetch_answer *answer, const struct json_node *body,
                         struct source_turn *turn, struct ear_error *err)
{
    if (single && rule->what == DO_STOP && is_missing(answer->status)) {
        return VERDICT_SKIP;
    }
    if (fill_say(engine, rule, answer, body, err) != 0) {
        return VERDICT_FAILED;
    }
    switch (rule->what) {
    case DO_SKIP:
        return VERDICT_SKIP;
    case DO_END:
        return VERDICT_END;
    case DO_RETRY:
        return wait(engine, -1, code_of(answer->status), turn, err);
    case DO_WAIT:
        return wait(engine, wait_of_rule(engine, rule, answer, body),
                    is_good(answer->status) ? "later" : "rate_limit", turn, err);
    case DO_REFRESH:
        if (auth_has_tokens(engine)) {
            return refresh(engine, turn, err);
        }
        ear_fail(err, EAR_CONFIG, "auth: %s", engine->say);
        return VERDICT_FAILED;
    case DO_STOP:
        break;
    }
    if (rule->say == NULL && !is_good(answer->status)) {
        turn->next = SOURCE_JUDGE;
        return VERDICT_DECIDED;
    }
    ear_fail(err, EAR_CONFIG, "%s: %s", code_of(answer->status), engine->say);
    return VERDICT_FAILED;
}

/* What holds where no rule fits. */
static enum verdict judge_plainly(struct engine *engine, const struct fetch_answer *answer,
                                  bool is_child, struct source_turn *turn, struct ear_error *err)
{
    const int status = answer->status;
    int64_t wait_us = -1;

    if (status == 304 && engine->conditional) {
        return VERDICT_SAME;
    }
    if (is_child && is_missing(status)) {
        return VERDICT_SKIP;
    }
    wait_us = status == 429 && answer->retry_after_us < 0 ? wait_of_headers(engine, answer) : -1;
    if (wait_us > 0) {
        (void)snprintf(engine->say, sizeof(engine->say),
                       "the server says to come back later (429)");
        return wait(engine, wait_us, "rate_limit", turn, err);
    }
    turn->next = SOURCE_JUDGE;
    return VERDICT_DECIDED;
}

enum verdict rules_judge(struct engine *engine, const struct fetch_answer *answer, bool is_child,
                         struct source_turn *turn, struct ear_error *err)
{
    const struct definition *definition = engine->definition;
    const struct json_node *body = NULL;

    if (!rules_look_at(definition, answer->status)) {
        return VERDICT_PAGE;
    }
    if (read_quietly(engine, answer, &body, err) != 0) {
        return VERDICT_FAILED;
    }
    if (answer->status != 401 && auth_expired(engine, answer, body)) {
        return refresh(engine, turn, err);
    }
    for (size_t i = 0; i < definition->error_count; i++) {
        if (rule_fits(engine, &definition->errors[i], answer, body)) {
            return obey(engine, &definition->errors[i],
                        is_child && definition->errors[i].when.count == 0, answer, body, turn, err);
        }
    }
    if (answer->status == 401 && auth_has_tokens(engine)) {
        return refresh(engine, turn, err);
    }
    return is_good(answer->status) ? VERDICT_PAGE
                                   : judge_plainly(engine, answer, is_child, turn, err);
}
