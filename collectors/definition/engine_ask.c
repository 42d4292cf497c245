/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request out of its templates. What it says is filled in once (engine->asked) and kept until its
 * answer is through; who we are is put to it each time it goes out, so that it can go out again
 * with another token. Nothing secret gets from there into a cursor.
 */
#include "collectors/definition/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "collectors/base64.h"
#include "common/json/json.h"
#include "common/settings/settings.h"

enum { SENT_MAX = sizeof(((struct engine *)0)->sent) / sizeof(struct fetch_header) };

void ask_clear(struct asked *asked)
{
    for (size_t i = 0; i < asked->header_count; i++) {
        free((char *)asked->headers[i].name);
        free((char *)asked->headers[i].value);
    }
    free(asked->headers);
    free(asked->method);
    free(asked->url);
    free(asked->body);
    free(asked->type);
    free(asked->etag);
    free(asked->last_modified);
    *asked = (struct asked){0};
}

/* --- queries and forms --- */

static bool is_given(const struct extra extras[], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (extras[i].value != NULL && extras[i].into != NULL &&
            strcmp(extras[i].into, name) == 0) {
            return true;
        }
    }
    return false;
}

/* "&name=value", or "name=value" at the beginning; takes value. */
static int put_member(FILE *out, const char *name, char *value, struct ear_error *err)
{
    char *encoded = template_encode_name(name);
    const bool good = encoded != NULL && value != NULL;

    if (good) {
        (void)fprintf(out, "%s%s=%s", ftell(out) == 0 ? "" : "&", encoded, value);
    }
    free(encoded);
    free(value);
    return good ? 0 : ear_fail_memory(err, "a request");
}

/* Members a=1&b=2: what the definition says, and what stands in for it. NULL: err. */
static char *write_members(const struct named_template members[], size_t count,
                           const struct environment *environment, enum template_use use,
                           const struct extra extras[], size_t extra_count, struct ear_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int result = out == NULL ? ear_fail_memory(err, "a request") : 0;

    for (size_t i = 0; result == 0 && i < count; i++) {
        bool absent = false;
        char *value = NULL;

        if (is_given(extras, extra_count, members[i].name)) {
            continue;
        }
        value = template_expand(members[i].value, environment, use, &absent, err);
        if (value != NULL) {
            result = put_member(out, members[i].name, value, err);
        } else if (!absent) {
            result = -1;
        }
    }
    for (size_t i = 0; result == 0 && i < extra_count; i++) {
        if (extras[i].value != NULL && extras[i].into != NULL && extras[i].into[0] != '/') {
            result = put_member(out, extras[i].into,
                                extras[i].encoded ? strdup(extras[i].value)
                                                  : template_encode_name(extras[i].value),
                                err);
        }
    }
    if (out != NULL && fclose(out) != 0 && result == 0) {
        result = ear_fail_memory(err, "a request");
    }
    if (result != 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* --- the parts of a request --- */

static int add_header(struct asked *asked, const char *name, char *value, struct ear_error *err)
{
    struct fetch_header *headers =
        realloc(asked->headers, (asked->header_count + 1) * sizeof(*headers));
    char *copy = strdup(name);

    asked->headers = headers == NULL ? asked->headers : headers;
    if (headers == NULL || copy == NULL || value == NULL) {
        free(copy);
        free(value);
        return ear_fail_memory(err, "a request");
    }
    headers[asked->header_count++] = (struct fetch_header){.name = copy, .value = value};
    return 0;
}

static bool has_header(const struct asked *asked, const char *name)
{
    for (size_t i = 0; i < asked->header_count; i++) {
        if (strcasecmp(asked->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int fill_headers(struct asked *asked, const struct request *request,
                        const struct environment *environment, struct ear_error *err)
{
    static const char *const accepted[] = {
        [ACCEPT_JSON] = "application/json",
        [ACCEPT_XML] = "application/xml, text/xml;q=0.9, */*;q=0.5",
        [ACCEPT_NDJSON] = "application/x-ndjson, application/json;q=0.9"};

    for (size_t i = 0; i < request->header_count; i++) {
        bool absent = false;
        char *value =
            template_expand(request->headers[i].value, environment, TEMPLATE_HEADER, &absent, err);

        if (value == NULL && !absent) {
            return -1;
        }
        if (value != NULL && add_header(asked, request->headers[i].name, value, err) != 0) {
            return -1;
        }
    }
    return has_header(asked, "Accept")
               ? 0
               : add_header(asked, "Accept", strdup(accepted[request->accept]), err);
}

static int fill_json(struct engine *engine, const struct request *request,
                     const struct environment *environment, const struct extra extras[],
                     size_t count, struct ear_error *err)
{
    const char *into = NULL;
    const char *page = NULL;
    const char *text = NULL;
    size_t length = 0;

    for (size_t i = 0; i < count; i++) {
        if (extras[i].value != NULL && extras[i].into != NULL && extras[i].into[0] == '/') {
            into = extras[i].into;
            page = extras[i].value;
        }
    }
    json_writer_reset(engine->writer);
    if (body_write(request->json, environment, into, page, engine->writer, err) != 0) {
        return -1;
    }
    text = json_writer_text(engine->writer, &length, err);
    if (text == NULL) {
        return -1;
    }
    engine->asked.body = strndup(text, length);
    engine->asked.type = strdup("application/json");
    return engine->asked.body != NULL && engine->asked.type != NULL
               ? 0
               : ear_fail_memory(err, "a request");
}

static int join_query(char **url, const char *query, struct ear_error *err)
{
    char *whole = NULL;
    const char *mark = strchr(*url, '?');

    if (query[0] == '\0') {
        return 0;
    }
    if (asprintf(&whole, "%s%s%s", *url,
                 mark == NULL      ? "?"
                 : mark[1] == '\0' ? ""
                                   : "&",
                 query) < 0) {
        return ear_fail_memory(err, "a request");
    }
    free(*url);
    *url = whole;
    return 0;
}

static int begin_asked(struct engine *engine, const struct request *request, struct ear_error *err)
{
    ask_clear(&engine->asked);
    engine->asked.cost = request->cost;
    engine->asked.xml = request->accept == ACCEPT_XML;
    engine->asked.method = strdup(request->method == NULL ? "GET" : request->method);
    return engine->asked.method == NULL ? ear_fail_memory(err, "a request") : 0;
}

int ask_prepare(struct engine *engine, const struct request *request,
                const struct environment *environment, const struct extra extras[], size_t count,
                struct ear_error *err)
{
    const bool has_form = request->form_count > 0;
    char *query = NULL;
    bool absent = false;
    int result = -1;

    if (begin_asked(engine, request, err) != 0) {
        goto done;
    }
    engine->asked.url = template_expand(request->url, environment, TEMPLATE_URL, &absent, err);
    if (engine->asked.url == NULL) {
        if (absent) {
            ear_fail(err, EAR_REJECT,
                     "schema: the address of a request has a place that nothing "
                     "is known for");
        }
        goto done;
    }
    query = write_members(request->query, request->query_count, environment, TEMPLATE_QUERY, extras,
                          has_form ? 0 : count, err);
    if (query == NULL || join_query(&engine->asked.url, query, err) != 0 ||
        fill_headers(&engine->asked, request, environment, err) != 0) {
        goto done;
    }
    if (has_form) {
        engine->asked.body = write_members(request->form, request->form_count, environment,
                                           TEMPLATE_BODY_FORM, extras, count, err);
        engine->asked.type = strdup("application/x-www-form-urlencoded");
        if (engine->asked.body == NULL || engine->asked.type == NULL) {
            goto done;
        }
    } else if (request->json != NULL &&
               fill_json(engine, request, environment, extras, count, err) != 0) {
        goto done;
    }
    result = 0;

done:
    free(query);
    if (result != 0 && err->kind == EAR_NONE) {
        ear_fail_memory(err, "a request");
    }
    return result;
}

int ask_follow(struct engine *engine, const struct request *request,
               const struct environment *environment, const char *link, struct ear_error *err)
{
    if (begin_asked(engine, request, err) != 0) {
        return -1;
    }
    engine->asked.url = strdup(link);
    if (engine->asked.url == NULL) {
        return ear_fail_memory(err, "a request");
    }
    return fill_headers(&engine->asked, request, environment, err);
}

/* --- going out --- */

static int send_header(struct engine *engine, const char *name, const char *value,
                       struct ear_error *err)
{
    for (size_t i = 0; i < engine->sent_count; i++) {
        if (strcasecmp(engine->sent[i].name, name) == 0) {
            engine->sent[i].value = value;
            return 0;
        }
    }
    if (engine->sent_count == SENT_MAX) {
        return ear_fail(err, EAR_REJECT, "schema: a request has more than %d headers",
                        (int)SENT_MAX);
    }
    engine->sent[engine->sent_count++] = (struct fetch_header){.name = name, .value = value};
    return 0;
}

/* A value of `auth`, filled in; NULL: err. */
static char *fill(const struct engine *engine, const struct template *text, enum template_use use,
                  struct ear_error *err)
{
    struct environment environment;
    bool absent = false;
    char *value = NULL;

    engine_environment(engine, &environment);
    environment.token = engine->token;
    value = template_expand(text, &environment, use, &absent, err);
    if (value == NULL && absent) {
        ear_fail(err, EAR_CONFIG, "auth: what the source has to show is not given");
    }
    return value;
}

static int show_basic(struct engine *engine, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;
    char *user = fill(engine, auth->user, TEMPLATE_PLAIN, err);
    char *password = user == NULL             ? NULL
                     : auth->password == NULL ? strdup("")
                                              : fill(engine, auth->password, TEMPLATE_PLAIN, err);
    char *both = NULL;
    char *encoded = NULL;
    int result = -1;

    if (user == NULL || password == NULL) {
        goto done;
    }
    if (asprintf(&both, "%s:%s", user, password) < 0) {
        both = NULL;
    }
    encoded = both == NULL ? NULL : base64_of(both, strlen(both));
    if (encoded == NULL || asprintf(&engine->sent_auth, "Basic %s", encoded) < 0) {
        engine->sent_auth = NULL;
        ear_fail_memory(err, "a request");
        goto done;
    }
    result = send_header(engine, "Authorization", engine->sent_auth, err);

done:
    free(user);
    free(password);
    free(both);
    free(encoded);
    return result;
}

static int show_bearer(struct engine *engine, const char *token, struct ear_error *err)
{
    if (asprintf(&engine->sent_auth, "Bearer %s", token) < 0) {
        engine->sent_auth = NULL;
        return ear_fail_memory(err, "a request");
    }
    return send_header(engine, "Authorization", engine->sent_auth, err);
}

static int show_query(struct engine *engine, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;
    char *value = fill(engine, auth->value, TEMPLATE_QUERY, err);
    char *name = template_encode_name(auth->name);
    char *member = NULL;
    int result = -1;

    if (value != NULL && name != NULL && asprintf(&member, "%s=%s", name, value) >= 0) {
        ask_drop_secrets(engine, engine->sent_url);
        result = join_query(&engine->sent_url, member, err);
    } else if (err->kind == EAR_NONE) {
        ear_fail_memory(err, "a request");
    }
    free(value);
    free(name);
    free(member);
    return result;
}

/* Puts to the request who we are. */
static int show(struct engine *engine, struct ear_error *err)
{
    const struct auth *auth = &engine->definition->auth;
    char *value = NULL;
    int result = 0;

    if (!engine->has_auth) {
        return 0;
    }
    switch (auth->kind) {
    case AUTH_NONE:
        return 0;
    case AUTH_QUERY:
        return show_query(engine, err);
    case AUTH_BASIC:
        return show_basic(engine, err);
    case AUTH_OAUTH2:
        return show_bearer(engine, engine->token, err);
    case AUTH_BEARER:
        value = fill(engine, auth->value, TEMPLATE_HEADER, err);
        result = value == NULL ? -1 : show_bearer(engine, value, err);
        free(value);
        return result;
    case AUTH_HEADER:
    case AUTH_LOGIN:
        if (auth->name == NULL) {
            return show_bearer(engine, engine->token, err);
        }
        engine->sent_auth = fill(engine, auth->value, TEMPLATE_HEADER, err);
        return engine->sent_auth == NULL ? -1
                                         : send_header(engine, auth->name, engine->sent_auth, err);
    }
    return 0;
}

static int fill_turn(struct engine *engine, struct source_turn *turn, struct ear_error *err)
{
    const struct asked *asked = &engine->asked;

    engine->sent_count = 0;
    free(engine->sent_auth);
    free(engine->sent_url);
    engine->sent_auth = NULL;
    engine->sent_url = strdup(asked->url);
    if (engine->sent_url == NULL) {
        return ear_fail_memory(err, "a request");
    }
    for (size_t i = 0; i < asked->header_count; i++) {
        if (send_header(engine, asked->headers[i].name, asked->headers[i].value, err) != 0) {
            return -1;
        }
    }
    if (asked->type != NULL && !has_header(asked, "Content-Type") &&
        send_header(engine, "Content-Type", asked->type, err) != 0) {
        return -1;
    }
    if (show(engine, err) != 0) {
        return -1;
    }
    engine->decided = true;
    turn->next = SOURCE_FETCH;
    turn->any_status = true;
    turn->request = (struct fetch_request){
        .method = asked->method,
        .url = engine->sent_url,
        .headers = engine->sent,
        .header_count = engine->sent_count,
        .body = asked->body,
        .body_length = asked->body == NULL ? 0 : strlen(asked->body),
        .etag = asked->etag,
        .last_modified = asked->last_modified,
        .source = engine->poll->source->name,
    };
    if (engine->limit_count > 0) {
        if (fetch_budget_id(engine->budget_id, asked->url, engine->credential, err) != 0) {
            return -1;
        }
        engine->budget = (struct fetch_budget){
            .id = engine->budget_id,
            .limits = engine->limits,
            .limit_count = engine->limit_count,
            .cost = asked->cost,
        };
        turn->request.budget = &engine->budget;
    }
    return 0;
}

int ask_send(struct engine *engine, enum asked_for what, struct source_turn *turn,
             struct ear_error *err)
{
    int ready = 0;

    engine->then = what;
    ready = auth_token(engine, turn, err);
    if (ready != 1) {
        return ready;
    }
    engine->asked_for = what;
    return fill_turn(engine, turn, err);
}
