/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a record: tape.h says what lies in it. */
#include "collectors/tape/tape_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "collectors/private_file.h"
#include "common/instant.h"
#include "common/json/json.h"

/* What says nothing of the answer: proxies, browsers' safety, what changes from one to the next. */
static bool is_noise(const char *name)
{
    static const char *const names[] = {"age",
                                        "alt-svc",
                                        "connection",
                                        "content-encoding",
                                        "content-length",
                                        "date",
                                        "expect-ct",
                                        "keep-alive",
                                        "nel",
                                        "permissions-policy",
                                        "pragma",
                                        "referrer-policy",
                                        "report-to",
                                        "server",
                                        "server-timing",
                                        "vary",
                                        "transfer-encoding",
                                        "via",
                                        "x-request-id",
                                        "x-runtime",
                                        "x-powered-by",
                                        "www-authenticate",
                                        NULL};
    static const char *const begins[] = {"access-control-",
                                         "cf-",
                                         "content-security-policy",
                                         "cross-origin-",
                                         "reporting-",
                                         "strict-transport-",
                                         "x-cache",
                                         "x-content-type-",
                                         "x-frame-",
                                         "x-served-",
                                         "x-xss-",
                                         NULL};

    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; begins[i] != NULL; i++) {
        if (strncmp(begins[i], name, strlen(begins[i])) == 0) {
            return true;
        }
    }
    return tape_names_secret(name);
}

/* --- writing --- */

static int put_file(const char *folder, const char *name, const struct tape_text *text,
                    struct ear_error *err)
{
    char path[PATH_MAX];
    FILE *file = NULL;
    bool whole = false;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path)) {
        return ear_fail(err, EAR_CONFIG, "%.200s: the path is too long", folder);
    }
    file = fopen(path, "we");
    if (file == NULL) {
        return ear_fail(err, EAR_RETRY, "%s: %s", path, strerrordesc_np(errno));
    }
    whole = fwrite(text->bytes, 1, text->length, file) == text->length;
    whole = fclose(file) == 0 && whole;
    return whole ? 0 : ear_fail(err, EAR_RETRY, "%s: cannot be written", path);
}

static int put_header(const struct tape *tape, FILE *out, const struct fetch_header *header,
                      bool hidden, struct ear_error *err)
{
    struct tape_text value = {0};

    if (hidden) {
        (void)fprintf(out, "%s: SECRET\n", header->name);
        return 0;
    }
    if (tape_clean(tape, &value, header->value, strlen(header->value), err) != 0) {
        free(value.bytes);
        return -1;
    }
    (void)fprintf(out, "%s: %s\n", header->name, value.bytes);
    free(value.bytes);
    return 0;
}

static int put_request(const struct tape *tape, const struct tape_exchange *one, FILE *out,
                       struct ear_error *err)
{
    char *url = tape_clean_url(tape, one->url, err);
    struct tape_text sent = {0};
    int result = -1;

    if (url == NULL || tape_clean(tape, &sent, one->sent.bytes, one->sent.length, err) != 0) {
        goto done;
    }
    (void)fprintf(out, "%s %s\n", one->method, url);
    for (size_t i = 0; i < one->asked.count; i++) {
        const struct fetch_header *header = &one->asked.items[i];

        if (put_header(tape, out, header, tape_names_secret(header->name), err) != 0) {
            goto done;
        }
    }
    (void)fputs("\n", out);
    (void)fwrite(sent.bytes, 1, sent.length, out);
    result = 0;

done:
    free(url);
    free(sent.bytes);
    return result;
}

static int put_head(const struct tape *tape, const struct tape_exchange *one, FILE *out,
                    struct ear_error *err)
{
    (void)fprintf(out, "status %d\n", one->status);
    if (strcmp(one->url, one->answer_url) != 0) {
        char *url = tape_clean_url(tape, one->answer_url, err);

        if (url == NULL) {
            return -1;
        }
        (void)fprintf(out, "url %s\n", url);
        free(url);
    }
    for (size_t i = 0; i < one->received.count; i++) {
        const struct fetch_header *header = &one->received.items[i];

        if (!is_noise(header->name) && put_header(tape, out, header, false, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* One of the three files, as `put` writes it. */
static int save_one(const struct tape *tape, const struct tape_exchange *one, const char *folder,
                    size_t number, const char *ending,
                    int (*put)(const struct tape *, const struct tape_exchange *, FILE *,
                               struct ear_error *),
                    struct ear_error *err)
{
    struct tape_text text = {0};
    char name[32];
    FILE *out = open_memstream(&text.bytes, &text.length);
    int result = out == NULL ? ear_fail_memory(err, "a record") : put(tape, one, out, err);

    if (out != NULL && fclose(out) != 0 && result == 0) {
        result = ear_fail_memory(err, "a record");
    }
    if (result == 0) {
        (void)snprintf(name, sizeof(name), "%03zu.%s", number, ending);
        result = put_file(folder, name, &text, err);
    }
    free(text.bytes);
    return result;
}

static int put_body(const struct tape *tape, const struct tape_exchange *one, FILE *out,
                    struct ear_error *err)
{
    struct tape_text body = {0};
    const int result = tape_clean(tape, &body, one->body.bytes, one->body.length, err);

    if (result == 0) {
        (void)fwrite(body.bytes, 1, body.length, out);
    }
    free(body.bytes);
    return result;
}

static int save_about(const char *folder, const struct tape_about *about, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    char at[INSTANT_SIZE];
    char line[1024];
    struct tape_text text = {line, 0};
    const char *json = NULL;
    int result = -1;

    if (json_writer_new(&writer, sizeof(line), err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_integer(writer, "earshot", 1);
    json_member_string(writer, "source", about->source);
    json_member_string(writer, "use", about->use);
    json_member_string(writer, "at", instant_format(at, about->at_us));
    json_member_integer(writer, "pages", about->pages);
    json_write_object_end(writer);
    json = json_writer_text(writer, &text.length, err);
    if (json != NULL) {
        text.length = (size_t)snprintf(line, sizeof(line), "%s\n", json);
        result = put_file(folder, "record.json", &text, err);
    }
    json_writer_free(writer);
    return result;
}

/* What an older record left beyond the end of this one. */
static void drop_older(const char *folder, size_t from)
{
    static const char *const endings[] = {"request", "head", "body"};
    char path[PATH_MAX];
    bool there = true;

    for (size_t i = from; there && i <= TAPE_EXCHANGES_MAX; i++) {
        there = false;
        for (size_t k = 0; k < 3; k++) {
            if ((size_t)snprintf(path, sizeof(path), "%s/%03zu.%s", folder, i, endings[k]) <
                sizeof(path)) {
                there = unlink(path) == 0 || there;
            }
        }
    }
}

int tape_save(struct tape *tape, const char *folder, const struct tape_about *about,
              struct ear_error *err)
{
    char inside[PATH_MAX];

    if ((size_t)snprintf(inside, sizeof(inside), "%s/record.json", folder) >= sizeof(inside)) {
        return ear_fail(err, EAR_CONFIG, "%.200s: the path is too long", folder);
    }
    if (tape_hide_beside(tape, err) != 0 || private_file_make_folder(inside, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < tape->count; i++) {
        const struct tape_exchange *one = &tape->items[i];

        if (save_one(tape, one, folder, i + 1, "request", put_request, err) != 0 ||
            save_one(tape, one, folder, i + 1, "head", put_head, err) != 0 ||
            save_one(tape, one, folder, i + 1, "body", put_body, err) != 0) {
            return -1;
        }
    }
    drop_older(folder, tape->count + 1);
    return save_about(folder, about, err);
}

int tape_print(struct tape *tape, FILE *out, struct ear_error *err)
{
    if (tape_hide_beside(tape, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < tape->count; i++) {
        const struct tape_exchange *one = &tape->items[i];
        char *url = tape_clean_url(tape, one->answer_url, err);

        if (url == NULL) {
            return -1;
        }
        (void)fprintf(out, "%d %s\n", one->status, url);
        free(url);
        for (size_t k = 0; k < one->received.count; k++) {
            const struct fetch_header *header = &one->received.items[k];

            if (put_header(tape, out, header, tape_names_secret(header->name), err) != 0) {
                return -1;
            }
        }
        (void)fputs("\n", out);
        if (put_body(tape, one, out, err) != 0) {
            return -1;
        }
        (void)fputs("\n", out);
    }
    return 0;
}

/* --- reading --- */

/* *out->bytes stays NULL where there is no such file. */
static int take_file(struct tape_text *out, const char *folder, size_t number, const char *ending,
                     struct ear_error *err)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof(path), "%s/%03zu.%s", folder, number, ending) >=
        sizeof(path)) {
        return ear_fail(err, EAR_CONFIG, "%.200s: the path is too long", folder);
    }
    return private_file_read(&out->bytes, &out->length, path, TAPE_BYTES_MAX, false, err);
}

/* "Name: value" lines up to an empty one or the end. NULL: err; else where they end. */
static const char *take_headers(struct tape_headers *out, const char *at, const char *what,
                                struct ear_error *err)
{
    while (*at != '\0' && *at != '\n') {
        const size_t length = strcspn(at, "\n");
        const size_t name = strcspn(at, ":\n");
        size_t value = name + 1;

        if (name == 0 || name >= length) {
            ear_fail(err, EAR_CONFIG, "%s: '%.*s' is no header; write Name: value", what,
                     length < 60 ? (int)length : 60, at);
            return NULL;
        }
        value += strspn(at + value, " ");
        if (tape_add_header(out, at, name, at + value, value < length ? length - value : 0, err) !=
            0) {
            return NULL;
        }
        at += length + (at[length] == '\n' ? 1 : 0);
    }
    return at + (*at == '\n' ? 1 : 0);
}

static int take_request(struct tape_exchange *one, const struct tape_text *text,
                        struct ear_error *err)
{
    const char *space = strchr(text->bytes, ' ');
    const char *end = strchr(text->bytes, '\n');
    const char *body = NULL;

    if (space == NULL || end == NULL || space > end) {
        return ear_fail(err, EAR_CONFIG, "a request begins with METHOD URL");
    }
    one->method = strndup(text->bytes, (size_t)(space - text->bytes));
    one->url = strndup(space + 1, (size_t)(end - space - 1));
    if (one->method == NULL || one->url == NULL) {
        return ear_fail_memory(err, "a record");
    }
    body = take_headers(&one->asked, end + 1, "a request", err);
    if (body == NULL) {
        return -1;
    }
    return tape_copy(&one->sent, body, text->length - (size_t)(body - text->bytes), err);
}

static int take_head(struct tape_exchange *one, const struct tape_text *text, struct ear_error *err)
{
    const char *at = text->bytes;
    char *end = NULL;
    long status = 0;

    if (strncmp(at, "status ", 7) == 0) {
        status = strtol(at + 7, &end, 10);
    }
    if (end == NULL || *end != '\n' || status < 100 || status > 599) {
        return ear_fail(err, EAR_CONFIG, "a head begins with a line such as: status 200");
    }
    one->status = (int)status;
    at = end + 1;
    if (strncmp(at, "url ", 4) == 0) {
        const size_t length = strcspn(at, "\n");

        one->answer_url = strndup(at + 4, length - 4);
        at += length + (at[length] == '\n' ? 1 : 0);
    } else {
        one->answer_url = strdup(one->url);
    }
    if (one->answer_url == NULL) {
        return ear_fail_memory(err, "a record");
    }
    return take_headers(&one->received, at, "a head", err) == NULL ? -1 : 0;
}

/* 1: read; 0: there is none of that number. */
static int take_exchange(struct tape *tape, const char *folder, size_t number,
                         struct ear_error *err)
{
    struct tape_text request = {0};
    struct tape_text head = {0};
    struct tape_text body = {0};
    struct tape_exchange *one = NULL;
    int result = -1;

    if (take_file(&request, folder, number, "request", err) != 0) {
        goto done;
    }
    if (request.bytes == NULL) {
        result = 0;
        goto done;
    }
    if (take_file(&head, folder, number, "head", err) != 0 ||
        take_file(&body, folder, number, "body", err) != 0) {
        goto done;
    }
    if (head.bytes == NULL || body.bytes == NULL) {
        ear_fail(err, EAR_CONFIG, "%03zu.%s is missing", number,
                 head.bytes == NULL ? "head" : "body");
        goto done;
    }
    one = tape_add(tape, err);
    if (one == NULL || take_request(one, &request, err) != 0 || take_head(one, &head, err) != 0) {
        goto done;
    }
    one->body = body;
    body = (struct tape_text){0};
    result = 1;

done:
    if (result == -1 && err->kind == EAR_CONFIG) {
        ear_error_context(err, "%s: %03zu", folder, number);
    }
    free(request.bytes);
    free(head.bytes);
    free(body.bytes);
    return result;
}

static bool take_name(char out[TAPE_NAME_SIZE], const struct json_node *node)
{
    const char *text = json_string(node, NULL);

    return text != NULL && (size_t)snprintf(out, TAPE_NAME_SIZE, "%s", text) < TAPE_NAME_SIZE;
}

static int take_about(struct tape_about *about, const char *folder, struct ear_error *err)
{
    char path[PATH_MAX];
    struct json *json = NULL;
    const struct json_node *root = NULL;
    struct tape_text text = {0};
    const char *at = NULL;
    size_t length = 0;
    int result = -1;

    (void)snprintf(path, sizeof(path), "%s/record.json", folder);
    if (private_file_read(&text.bytes, &text.length, path, (size_t)64 * 1024, false, err) != 0) {
        goto done;
    }
    if (text.bytes == NULL) {
        ear_fail(err, EAR_CONFIG,
                 "%s: no record lies there; `earshot source test NAME --record %s`", folder,
                 folder);
        goto done;
    }
    if (json_new(&json, err) != 0) {
        goto done;
    }
    root = json_read(json, text.bytes, text.length, &json_limits_default, err);
    if (root == NULL && err->kind == EAR_FATAL) {
        goto done;
    }
    ear_error_clear(err);
    at = json_string(json_get(root, "at"), &length);
    if (!take_name(about->source, json_get(root, "source")) ||
        !take_name(about->use, json_get(root, "use")) || at == NULL ||
        !instant_parse_rfc3339(&about->at_us, at, length)) {
        ear_fail(err, EAR_CONFIG, "%s: it needs \"source\", \"use\" and \"at\", an instant", path);
        goto done;
    }
    about->pages = 1;
    (void)json_integer(json_get(root, "pages"), &about->pages);
    result = 0;

done:
    json_free(json);
    free(text.bytes);
    return result;
}

int tape_load(struct tape **out, const char *folder, struct tape_about *about,
              struct ear_error *err)
{
    struct tape *tape = NULL;
    int more = 1;

    if (take_about(about, folder, err) != 0 || tape_new(&tape, err) != 0) {
        return -1;
    }
    for (size_t i = 1; more == 1 && i <= TAPE_EXCHANGES_MAX; i++) {
        more = take_exchange(tape, folder, i, err);
    }
    if (more == -1) {
        tape_free(tape);
        return -1;
    }
    *out = tape;
    return 0;
}
