/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ended transfer means: a page, a redirect to follow, or a failure in words.
 */

#include "collectors/fetch/fetch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *header_of(const struct transfer *transfer, const char *name)
{
    for (size_t i = 0; i < transfer->received_count; i++) {
        if (strcmp(transfer->received[i].name, name) == 0) {
            return transfer->received[i].value;
        }
    }
    return NULL;
}

const char *fetch_answer_header(const struct fetch_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcmp(answer->headers[i].name, name) == 0) {
            return answer->headers[i].value;
        }
    }
    return NULL;
}

/* --- redirects --- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* A form is asked again as a page, as browsers do (RFC 9110, section 15.4). */
static bool becomes_get(const struct transfer *transfer)
{
    return transfer->status == 303
               ? strcmp(transfer->method, "HEAD") != 0
               : transfer->status <= 302 && strcmp(transfer->method, "POST") == 0;
}

static int check_redirect(const struct transfer *transfer, const struct fetch_url *to,
                          struct ear_error *err)
{
    if (transfer->redirects == FETCH_REDIRECTS_MAX) {
        return ear_fail(err, EAR_REJECT, "redirect: more than %d in a row, the last one to %s",
                        FETCH_REDIRECTS_MAX, to->origin);
    }
    if (strcmp(transfer->url.scheme, "https") == 0 && strcmp(to->scheme, "https") != 0) {
        return ear_fail(err, EAR_REJECT, "redirect: %s leads from https to plain http at %s",
                        transfer->url.origin, to->host);
    }
    if (transfer->body != NULL && !becomes_get(transfer) &&
        strcmp(transfer->origin, to->origin) != 0) {
        return ear_fail(err, EAR_REJECT, "redirect: what is sent to %s is not sent on to %s",
                        transfer->origin, to->origin);
    }
    return 0;
}

int transfer_redirect(struct transfer *transfer, struct ear_error *err)
{
    const char *location = header_of(transfer, "location");
    struct fetch_url to = {0};
    char *method = NULL;
    int result = -1;

    if (!is_redirect(transfer->status) || location == NULL || *location == '\0') {
        return 0;
    }
    if (fetch_url_parse(&to, location, transfer->url.text, err) != 0) {
        err->kind = err->kind == EAR_CONFIG ? EAR_REJECT : err->kind;
        ear_error_context(err, "redirect: from %s", transfer->url.origin);
        goto done;
    }
    if (check_redirect(transfer, &to, err) != 0) {
        goto done;
    }
    if (becomes_get(transfer)) {
        method = strdup("GET");
        if (method == NULL) {
            ear_fail_memory(err, "a redirect");
            goto done;
        }
        free(transfer->method);
        transfer->method = method;
        free(transfer->body);
        transfer->body = NULL;
    }
    fetch_url_clear(&transfer->url);
    transfer->url = to;
    to = (struct fetch_url){0};
    transfer->redirects++;
    transfer_drop_answer(transfer);
    result = 1;

done:
    fetch_url_clear(&to);
    return result;
}

/* --- failures --- */

static void explain_cut(struct ear_error *failure, const struct transfer *transfer)
{
    const char *host = transfer->url.host;
    const long long limit = (long long)transfer->fetch->config.body_limit_bytes;

    switch (transfer->cut) {
    case CUT_BOMB:
        ear_fail(failure, EAR_REJECT,
                 "bomb: what %s sent unpacks to more than %d times its size; transfer cut", host,
                 FETCH_RATIO_MAX);
        break;
    case CUT_CODINGS:
        ear_fail(failure, EAR_REJECT, "bomb: %s packed its answer %d times over, %d are taken",
                 host, transfer->codings, FETCH_CODINGS_MAX);
        break;
    case CUT_HEADERS:
        ear_fail(failure, EAR_REJECT, "too_big: the headers of %s are over %d bytes or %d lines",
                 host, FETCH_HEADER_BYTES_MAX, FETCH_HEADERS_MAX);
        break;
    case CUT_MEMORY:
        ear_fail(failure, EAR_RETRY,
                 "memory: the answer of %s was the largest when %d bytes for all were spent", host,
                 FETCH_MEMORY_BYTES);
        break;
    default:
        ear_fail(failure, EAR_REJECT, "too_big: the answer of %s is over %lld bytes; transfer cut",
                 host, limit);
        break;
    }
}

static void explain(struct ear_error *failure, const struct transfer *transfer)
{
    const char *host = transfer->url.host;
    const char *detail =
        transfer->detail[0] == '\0' ? curl_easy_strerror(transfer->result) : transfer->detail;

    switch (transfer->result) {
    case CURLE_OPERATION_TIMEDOUT:
        if (!transfer->connected) {
            ear_fail(failure, EAR_RETRY, "no_answer: %s did not take the connection in time", host);
            break;
        }
        ear_fail(failure, EAR_RETRY,
                 "slow_source: %s sent under %d bytes a second for %lld s, or took over %lld s",
                 host, FETCH_SLOW_BYTES_PER_S,
                 (long long)(transfer->fetch->config.slow_timeout_us / 1000000),
                 (long long)(transfer->fetch->config.total_timeout_us / 1000000));
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
        ear_fail(failure, EAR_RETRY, "no_answer: the name %s could not be resolved", host);
        break;
    case CURLE_SSL_CONNECT_ERROR:
        ear_fail(failure, EAR_RETRY, "tls: no secure connection to %s: %s", host, detail);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        ear_fail(failure, EAR_REJECT, "tls: the certificate of %s is not to be trusted: %s", host,
                 detail);
        break;
    case CURLE_FILESIZE_EXCEEDED:
        explain_cut(failure, transfer);
        break;
    case CURLE_BAD_CONTENT_ENCODING:
        ear_fail(failure, EAR_RETRY,
                 "bad_encoding: %s packed its answer in a way that is not "
                 "understood: %s",
                 host, detail);
        break;
    default:
        ear_fail(failure, EAR_RETRY, "no_answer: %s: %s", host, detail);
        break;
    }
}

/* Printable, one line: details may quote the server. */
static void tame(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 127) {
            *text = ' ';
        }
    }
}

/* --- Retry-After --- */

/* Seconds, perhaps with a fraction or a sign, or an HTTP date, taken against the server's own Date.
 */
static int64_t retry_after(const struct transfer *transfer)
{
    const int64_t most = INT64_C(3600) * 1000000;
    const char *text = header_of(transfer, "retry-after");
    const char *date = header_of(transfer, "date");
    char *end = NULL;
    double seconds = 0;

    if (text == NULL || *text == '\0') {
        return -1;
    }
    seconds = strtod(text, &end);
    if (end == text || *end != '\0') {
        time_t then = curl_getdate(text, NULL);
        time_t now = date == NULL ? (time_t)-1 : curl_getdate(date, NULL);

        if (then == (time_t)-1) {
            return -1;
        }
        now = now == (time_t)-1 ? time(NULL) : now;
        seconds = difftime(then, now);
    }
    if (!(seconds < 3600)) { /* also not a number */
        return most;
    }
    return seconds <= 0 ? 1000000 : (int64_t)(seconds * 1e6);
}

static int64_t date_of(const struct transfer *transfer)
{
    const char *text = header_of(transfer, "date");
    const time_t date = text == NULL ? (time_t)-1 : curl_getdate(text, NULL);

    return date == (time_t)-1 ? INT64_MIN : (int64_t)date * 1000000;
}

void transfer_answer(struct fetch_answer *out, const struct transfer *transfer)
{
    const char *type = header_of(transfer, "content-type");

    *out = (struct fetch_answer){
        .status = transfer->status,
        .url = transfer->url.text,
        .type = type == NULL ? "" : type,
        .etag = header_of(transfer, "etag"),
        .last_modified = header_of(transfer, "last-modified"),
        .body = transfer->bytes == NULL ? "" : transfer->bytes,
        .body_length = transfer->length,
        .retry_after_us = retry_after(transfer),
        .headers = transfer->received,
        .header_count = transfer->received_count,
        .date_us = date_of(transfer),
        .budget_wait_us = transfer->budget_wait_us,
    };
    if (transfer->failure.kind != EAR_NONE) {
        out->failure = transfer->failure;
        out->status = 0;
        out->retry_after_us =
            transfer->budget_wait_us > 0 ? transfer->budget_wait_us : out->retry_after_us;
    } else if (transfer->cut != CUT_NOT) {
        explain_cut(&out->failure, transfer);
    } else if (transfer->result == CURLE_OK) {
        return;
    } else if (transfer->forbidden[0] != '\0') {
        ear_fail(&out->failure, EAR_REJECT,
                 "forbidden_address: %s is at %s, which is %s; name the address under "
                 "network.allow if it is meant",
                 transfer->url.host, transfer->forbidden, transfer->forbidden_kind);
    } else {
        explain(&out->failure, transfer);
    }
    tame(out->failure.message);
    out->body = "";
    out->body_length = 0;
}
