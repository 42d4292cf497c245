/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/tape/tape.h"
#include "collectors/tape/tape_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int tape_new(struct tape **out, struct ear_error *err)
{
    *out = calloc(1, sizeof(**out));
    return *out == NULL ? ear_fail_memory(err, "a record") : 0;
}

static void clear_headers(struct tape_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        free((void *)headers->items[i].name);
        free((void *)headers->items[i].value);
    }
    headers->count = 0;
}

void tape_free(struct tape *tape)
{
    if (tape == NULL) {
        return;
    }
    for (size_t i = 0; i < tape->count; i++) {
        struct tape_exchange *each = &tape->items[i];

        clear_headers(&each->asked);
        clear_headers(&each->received);
        free(each->method);
        free(each->url);
        free(each->answer_url);
        free(each->sent.bytes);
        free(each->body.bytes);
    }
    for (size_t i = 0; i < tape->secret_count; i++) {
        explicit_bzero(tape->secrets[i], strlen(tape->secrets[i]));
        free(tape->secrets[i]);
    }
    free(tape->items);
    free(tape);
}

struct tape_exchange *tape_add(struct tape *tape, struct ear_error *err)
{
    if (tape->count == TAPE_EXCHANGES_MAX) {
        ear_fail(err, EAR_REJECT, "too_big: more than %d requests in a record", TAPE_EXCHANGES_MAX);
        return NULL;
    }
    if (tape->count == tape->capacity) {
        const size_t capacity = tape->capacity == 0 ? 16 : tape->capacity * 2;
        struct tape_exchange *grown = realloc(tape->items, capacity * sizeof(*grown));

        if (grown == NULL) {
            ear_fail_memory(err, "a record");
            return NULL;
        }
        tape->items = grown;
        tape->capacity = capacity;
    }
    tape->items[tape->count] = (struct tape_exchange){0};
    return &tape->items[tape->count++];
}

int tape_add_header(struct tape_headers *headers, const char *name, size_t name_length,
                    const char *value, size_t value_length, struct ear_error *err)
{
    char *lower = NULL;
    char *copy = NULL;

    if (headers->count == TAPE_HEADERS_MAX) {
        return 0;
    }
    lower = strndup(name, name_length);
    copy = strndup(value, value_length);
    if (lower == NULL || copy == NULL) {
        free(lower);
        free(copy);
        return ear_fail_memory(err, "a record");
    }
    for (char *at = lower; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    headers->items[headers->count++] = (struct fetch_header){lower, copy};
    return 0;
}

/* --- keeping --- */

int tape_copy(struct tape_text *out, const char *bytes, size_t length, struct ear_error *err)
{
    out->bytes = malloc(length + 1);
    if (out->bytes == NULL) {
        return ear_fail_memory(err, "a record");
    }
    if (length > 0) {
        memcpy(out->bytes, bytes, length);
    }
    out->bytes[length] = '\0';
    out->length = length;
    return 0;
}

static int copy_headers(struct tape_headers *out, const struct fetch_header headers[], size_t count,
                        struct ear_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct fetch_header *each = &headers[i];

        if (tape_add_header(out, each->name, strlen(each->name), each->value, strlen(each->value),
                            err) != 0) {
            return -1;
        }
    }
    return 0;
}

int tape_keep(struct tape *tape, const struct fetch_request *request,
              const struct fetch_answer *answer, struct ear_error *err)
{
    const size_t sent = request->body == NULL ? 0 : request->body_length;
    struct tape_exchange *one = NULL;

    if (tape->bytes + answer->body_length + sent > TAPE_BYTES_MAX) {
        return ear_fail(err, EAR_REJECT, "too_big: more than 64 MiB of answers");
    }
    one = tape_add(tape, err);
    if (one == NULL) {
        return -1;
    }
    tape->bytes += answer->body_length + sent;
    one->status = answer->status;
    one->method = strdup(request->method == NULL ? "GET" : request->method);
    one->url = strdup(request->url);
    one->answer_url = strdup(answer->url == NULL ? request->url : answer->url);
    if (one->method == NULL || one->url == NULL || one->answer_url == NULL) {
        return ear_fail_memory(err, "a record");
    }
    if (copy_headers(&one->asked, request->headers, request->header_count, err) != 0 ||
        copy_headers(&one->received, answer->headers, answer->header_count, err) != 0 ||
        tape_copy(&one->sent, request->body, sent, err) != 0) {
        return -1;
    }
    return tape_copy(&one->body, answer->body, answer->body_length, err);
}

/* --- giving --- */

static const char *header_of(const struct tape_headers *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (strcmp(headers->items[i].name, name) == 0) {
            return headers->items[i].value;
        }
    }
    return NULL;
}

static const struct fetch_answer *give(struct tape_exchange *one)
{
    const char *type = header_of(&one->received, "content-type");

    one->given = true;
    one->answer = (struct fetch_answer){
        .status = one->status,
        .url = one->answer_url,
        .type = type == NULL ? "" : type,
        .etag = header_of(&one->received, "etag"),
        .last_modified = header_of(&one->received, "last-modified"),
        .body = one->body.bytes,
        .body_length = one->body.length,
        .retry_after_us = -1,
        .headers = one->received.items,
        .header_count = one->received.count,
        .date_us = INT64_MIN,
    };
    return &one->answer;
}

static bool is_same(const struct tape_exchange *one, const char *method, const char *url,
                    const struct tape_text *sent)
{
    return strcmp(one->method, method) == 0 && strcmp(one->url, url) == 0 &&
           one->sent.length == sent->length &&
           (sent->length == 0 || memcmp(one->sent.bytes, sent->bytes, sent->length) == 0);
}

int tape_answer(struct tape *tape, const struct fetch_request *request,
                const struct fetch_answer **answer, struct ear_error *err)
{
    const char *method = request->method == NULL ? "GET" : request->method;
    char *url = tape_clean_url(tape, request->url, err);
    struct tape_text sent = {0};
    struct tape_exchange *found = NULL;
    int result = -1;

    if (url == NULL || tape_clean(tape, &sent, request->body == NULL ? "" : request->body,
                                  request->body == NULL ? 0 : request->body_length, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < tape->count; i++) {
        if (is_same(&tape->items[i], method, url, &sent)) {
            found = &tape->items[i];
            if (!found->given) {
                break;
            }
        }
    }
    if (found == NULL) {
        ear_fail(err, EAR_REJECT, "the record holds no answer to %s %.300s%s%.100s", method, url,
                 sent.length == 0 ? "" : " with the body ", sent.bytes);
        goto done;
    }
    *answer = give(found);
    result = 0;

done:
    free(url);
    free(sent.bytes);
    return result;
}

size_t tape_count(const struct tape *tape)
{
    return tape->count;
}

size_t tape_unasked(const struct tape *tape)
{
    size_t unasked = 0;

    for (size_t i = 0; i < tape->count; i++) {
        unasked += tape->items[i].given ? 0 : 1;
    }
    return unasked;
}
