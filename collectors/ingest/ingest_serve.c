/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP threads do: refuse what can be refused by its head, hand the rest over, answer. */
#include "collectors/ingest/ingest_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/json/json.h"
#include "common/metrics.h"
#include "common/settings/settings.h"

enum { ANSWER_MAX = 8 * 1024, WRONG_TOKENS_PER_MINUTE = 20, KEY_MAX = 255, LOG_FULL_WAIT_S = 60 };

static const char INGEST_PATH[] = "/ingest/";
static const char FORM_PATH[] = "/form/";
static const char WRONG_TOKEN[] = "/ingest"; /* a purpose that no form can be called */

static const char *after(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

static struct inlet *inlet_of(const struct ingest *ingest, const char *path)
{
    const char *name = after(path, INGEST_PATH);

    for (size_t i = 0; name != NULL && i < ingest->inlet_count; i++) {
        if (strcmp(ingest->inlets[i].source->name, name) == 0) {
            return &ingest->inlets[i];
        }
    }
    return NULL;
}

/* The form of a path; *rest: what stands behind its name, "" or "/thanks". */
static const struct form *form_of(const struct ingest *ingest, const char *path, const char **rest)
{
    const char *name = after(path, FORM_PATH);
    size_t length = name == NULL ? 0 : strcspn(name, "/");

    for (size_t i = 0; name != NULL && i < ingest->form_count; i++) {
        const struct form *form = &ingest->forms[i];

        if (form->inlet != NULL && strlen(form->name) == length &&
            strncmp(form->name, name, length) == 0) {
            *rest = name + length;
            return form;
        }
    }
    return NULL;
}

static void count(const struct ingest *ingest, const struct inlet *inlet, int status)
{
    char code[16];
    char labels[200];

    snprintf(code, sizeof code, "%d", status);
    metrics_add(ingest->config.metrics, "earshot_ingest_requests_total",
                metrics_labels(labels, sizeof labels, "source",
                               inlet != NULL ? inlet->source->name : "", "code", code, NULL),
                1);
}

/* --- answers --- */

static void answer_json(struct http_answer *answer, int status, struct json_writer *writer)
{
    struct ear_error err = {EAR_NONE, ""};
    size_t length = 0;
    const char *text = writer == NULL ? NULL : json_writer_text(writer, &length, &err);

    answer->status = status;
    answer->type = "application/json";
    answer->body = text == NULL ? NULL : strdup(text);
    answer->body_length = answer->body == NULL ? 0 : length;
}

static void write_place(struct json_writer *writer, const char *name, size_t value)
{
    if (value > 0) {
        json_member_integer(writer, name, (int64_t)value);
    }
}

/* {"error":CODE,"line":…,"column":…,"item":…,"reason":…} */
static void refuse(struct http_answer *answer, int status, const struct body_fault *fault)
{
    struct ear_error err = {EAR_NONE, ""};
    struct json_writer *writer = NULL;

    if (json_writer_new(&writer, ANSWER_MAX, &err) == 0) {
        json_write_object(writer);
        json_member_string(writer, "error", fault->code);
        write_place(writer, "line", fault->line);
        write_place(writer, "column", fault->column);
        write_place(writer, "item", fault->item);
        json_member_string(writer, "reason", fault->reason);
        json_write_object_end(writer);
    }
    answer_json(answer, status, writer);
    json_writer_free(writer);
}

static void refuse_for(struct http_answer *answer, int status, const char *code, const char *reason)
{
    struct body_fault fault = {0};

    snprintf(fault.code, sizeof fault.code, "%s", code);
    snprintf(fault.reason, sizeof fault.reason, "%s", reason);
    refuse(answer, status, &fault);
}

static void refuse_for_now(struct http_answer *answer, int wait_s)
{
    char reason[160];

    snprintf(reason, sizeof reason, "too many from your address; send it again in %d s", wait_s);
    (void)http_answer_line(answer, "Retry-After", "%d", wait_s);
    refuse_for(answer, 429, "too_many_requests", reason);
}

/* --- the head --- */

/* Who asks: behind a proxy that is named, who it says asks. */
static const char *address_of(const struct ingest *ingest, const struct http_request *request,
                              char out[HTTP_ADDRESS_SIZE])
{
    const struct ear_strings *proxies = &ingest->config.settings->ingest_proxies;
    const char *list = http_header_last(request, "X-Forwarded-For"); /* proxies add to its end */
    const char *last = list == NULL ? NULL : strrchr(list, ',');

    http_address(request, out);
    for (size_t i = 0; list != NULL && i < proxies->count; i++) {
        if (strcmp(proxies->items[i], out) == 0) {
            last = last == NULL ? list : last + 1;
            snprintf(out, HTTP_ADDRESS_SIZE, "%s", last + strspn(last, " "));
            break;
        }
    }
    return out;
}

/* Compares in the time of the longer one, whatever they hold. */
static bool is_token(const char *token, const char *given)
{
    size_t length = strlen(token);
    size_t given_length = strlen(given);
    size_t differs = length ^ given_length;

    for (size_t i = 0; i < given_length; i++) {
        differs |= (size_t)(unsigned char)(given[i] ^ token[length > 0 ? i % length : 0]);
    }
    return differs == 0 && length > 0;
}

static bool admit_sender(struct ingest *ingest, const struct http_request *request,
                         struct http_answer *answer)
{
    const char *token = ingest->config.settings->ingest_token;
    const char *given = http_header(request, "Authorization");
    char address[HTTP_ADDRESS_SIZE];
    int wait_s = 0;

    if (token != NULL && given != NULL && strncasecmp(given, "Bearer ", 7) == 0 &&
        is_token(token, given + 7 + strspn(given + 7, " "))) {
        return true;
    }
    wait_s = rate_take(ingest->rate, address_of(ingest, request, address), WRONG_TOKEN,
                       WRONG_TOKENS_PER_MINUTE, clock_mono_us());
    if (wait_s > 0) {
        refuse_for_now(answer, wait_s);
        return false;
    }
    (void)http_answer_line(answer, "WWW-Authenticate", "Bearer");
    refuse_for(answer, 401, "auth",
               token == NULL   ? "there is no token to send with; set ingest.token"
               : given == NULL ? "send the configured ingest.token as `Authorization: Bearer TOKEN`"
                               : "this is not the configured ingest.token");
    return false;
}

/* How long the body will be: only who says so may send one. */
static bool admit_length(const struct http_request *request, size_t most,
                         struct http_answer *answer)
{
    const char *length = http_header(request, "Content-Length");
    char reason[120];

    if (length == NULL || length[0] == '\0' || length[strspn(length, "0123456789")] != '\0') {
        refuse_for(answer, 411, "length_required", "say how long the body is: Content-Length");
        return false;
    }
    if (strtoull(length, NULL, 10) > most) {
        snprintf(reason, sizeof reason, "a body is at most %zu KiB; send several", most / 1024);
        refuse_for(answer, 413, "too_big", reason);
        return false;
    }
    return true;
}

static bool admit_ingest(struct ingest *ingest, const struct http_request *request,
                         struct http_answer *answer)
{
    if (!admit_sender(ingest, request, answer)) {
        return false;
    }
    if (inlet_of(ingest, request->path) == NULL) {
        refuse_for(answer, 404, "unknown_source",
                   "no source of `use: ingest` has this name; POST /ingest/NAME");
        return false;
    }
    if (body_type_of(http_header(request, "Content-Type")) == BODY_UNKNOWN) {
        refuse_for(answer, 415, "wrong_type",
                   "send application/x-ndjson, application/json or "
                   "application/x-www-form-urlencoded as Content-Type");
        return false;
    }
    return admit_length(request, INGEST_BODY_MAX, answer);
}

static bool admit_form(struct ingest *ingest, const struct form *form,
                       const struct http_request *request, struct http_answer *answer)
{
    char address[HTTP_ADDRESS_SIZE];
    int wait_s = 0;

    if (!form_allows(form, http_header(request, "Origin"), http_header(request, "Sec-Fetch-Site"),
                     http_header(request, "Host"))) {
        refuse_for(answer, 403, "wrong_origin",
                   "the form was sent from another site; name it in `origins` of the form");
        return false;
    }
    if (body_type_of(http_header(request, "Content-Type")) != BODY_FORM) {
        refuse_for(answer, 415, "wrong_type", "send application/x-www-form-urlencoded");
        return false;
    }
    if (!admit_length(request, INGEST_FORM_MAX, answer)) {
        return false;
    }
    wait_s = rate_take(ingest->rate, address_of(ingest, request, address), form->name,
                       form->values.per_minute, clock_mono_us());
    if (wait_s > 0) {
        refuse_for_now(answer, wait_s);
        return false;
    }
    return true;
}

bool ingest_admit(void *user, const struct http_request *request, struct http_answer *answer)
{
    struct ingest *ingest = user;
    const char *rest = "";
    const struct form *form = form_of(ingest, request->path, &rest);
    bool good = true;

    if (strcmp(request->method, "POST") != 0) {
        return true;
    }
    if (after(request->path, INGEST_PATH) != NULL) {
        good = admit_ingest(ingest, request, answer);
    } else if (form != NULL && rest[0] == '\0') {
        good = admit_form(ingest, form, request, answer);
    }
    if (!good) {
        count(ingest, form != NULL ? form->inlet : inlet_of(ingest, request->path), answer->status);
    }
    return good;
}

/* --- the body --- */

static void answer_taken(struct http_answer *answer, const struct intake_counts *counts)
{
    struct ear_error err = {EAR_NONE, ""};
    struct json_writer *writer = NULL;

    if (json_writer_new(&writer, ANSWER_MAX, &err) == 0) {
        json_write_object(writer);
        json_member_integer(writer, "new", counts->fresh);
        json_member_integer(writer, "edited", counts->edited);
        json_member_integer(writer, "deleted", counts->deleted);
        json_member_integer(writer, "unchanged", counts->unchanged);
        json_member_integer(writer, "undated", counts->undated);
        json_write_object_end(writer);
    }
    answer_json(answer, 202, writer);
    json_writer_free(writer);
}

static void answer_later(struct http_answer *answer, const struct body_fault *fault)
{
    (void)http_answer_line(answer, "Retry-After", "%d", LOG_FULL_WAIT_S);
    refuse(answer, 503, fault);
}

static void serve_ingest(void *user, const struct http_request *request, struct http_answer *answer)
{
    struct ingest *ingest = user;
    const char *key = http_header(request, "Idempotency-Key");
    struct delivery delivery = {
        .inlet = inlet_of(ingest, request->path),
        .type = body_type_of(http_header(request, "Content-Type")),
        .body = request->body == NULL ? "" : request->body,
        .length = request->body_length,
        .key = key == NULL || key[0] == '\0' ? NULL : key,
    };

    if (key != NULL && strlen(key) > KEY_MAX) {
        refuse_for(answer, 400, "bad_key", "an Idempotency-Key has at most 255 bytes");
    } else {
        ingest_deliver(ingest, &delivery);
        if (delivery.status == 202) {
            answer_taken(answer, &delivery.counts);
        } else if (delivery.status == 503) {
            answer_later(answer, &delivery.fault);
        } else {
            refuse(answer, delivery.status, &delivery.fault);
        }
    }
    count(ingest, delivery.inlet, answer->status);
}

static void see_other(const struct form *form, struct http_answer *answer)
{
    answer->status = 303;
    (void)http_answer_line(answer, "Location", "%s/thanks", form->name);
}

/* The entry on its way, and the page that says how it went. */
static void send_entry(struct ingest *ingest, const struct form *form,
                       const struct form_entry *entry, const char *json, size_t length,
                       struct http_answer *answer)
{
    struct delivery delivery = {
        .inlet = form->inlet, .of_form = true, .type = BODY_JSON, .body = json, .length = length};

    ingest_deliver(ingest, &delivery);
    if (delivery.status == 202) {
        see_other(form, answer);
    } else {
        form_show(form, delivery.fault.reason, entry, answer);
        answer->status = delivery.status;
    }
}

static void serve_entry(void *user, const struct http_request *request, struct http_answer *answer)
{
    struct ingest *ingest = user;
    const char *rest = "";
    const struct form *form = form_of(ingest, request->path, &rest);
    struct json_writer *writer = NULL;
    struct ear_error err = {EAR_NONE, ""};
    struct form_entry entry = {0};
    size_t length = 0;
    const char *json = NULL;

    if (form == NULL || rest[0] != '\0') {
        refuse_for(answer, 404, "unknown_form", "there is no form of this name");
        return;
    }
    if (json_writer_new(&writer, INGEST_BODY_MAX, &err) == 0 &&
        form_read(&entry, request->body == NULL ? "" : request->body, request->body_length, writer,
                  &err) == 0) {
        json = json_writer_text(writer, &length, &err);
    }
    if (json == NULL) {
        refuse_for(answer, err.kind == EAR_REJECT ? 400 : 503, "bad_form", err.message);
    } else if (entry.verdict == FORM_ROBOT) {
        see_other(form, answer);
    } else if (entry.verdict == FORM_EMPTY) {
        form_show(form, "Please write something.", &entry, answer);
        answer->status = 400;
    } else {
        send_entry(ingest, form, &entry, json, length, answer);
    }
    form_entry_clear(&entry);
    json_writer_free(writer);
    count(ingest, form->inlet, answer->status);
}

static void serve_form(void *user, const struct http_request *request, struct http_answer *answer)
{
    const char *rest = "";
    const struct form *form = form_of(user, request->path, &rest);

    if (form != NULL && rest[0] == '\0') {
        form_show(form, NULL, NULL, answer);
    } else if (form != NULL && strcmp(rest, "/thanks") == 0) {
        form_thank(form, answer);
    } else {
        refuse_for(answer, 404, "unknown_form", "there is no form of this name");
    }
}

static void serve_style(void *user, const struct http_request *request, struct http_answer *answer)
{
    (void)user;
    (void)request;
    form_style(answer);
}

const struct http_route ingest_routes[] = {{"POST", "/ingest/*", serve_ingest},
                                           {"GET", "/form.css", serve_style},
                                           {"GET", "/form/*", serve_form},
                                           {"POST", "/form/*", serve_entry},
                                           {0}};
