/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transfer: what libcurl is told, what it hands back piece by piece, and where it is cut.
 *
 * Bodies are counted twice: decoded against the limit of a body, and all bodies together against
 * FETCH_MEMORY_BYTES. When that is spent, the transfer that holds most of it is cut, so that a few
 * servers that drip megabytes cannot keep the others from being read. The ratio of decoded to wire
 * bytes is looked at in the write callback, where libcurl's counter of wire bytes may lag by one
 * buffer, and exactly in the progress callback.
 */

#include "collectors/fetch/fetch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- what comes --- */

static bool is_bomb(const struct transfer *transfer, size_t decoded, int64_t slack_bytes)
{
    curl_off_t wire = 0;

    if (transfer->codings == 0 || decoded < FETCH_RATIO_FROM_BYTES) {
        return false;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
    return (int64_t)decoded > FETCH_RATIO_MAX * (wire + slack_bytes);
}

static void drop_body(struct transfer *transfer)
{
    transfer->fetch->memory_bytes -= transfer->capacity;
    free(transfer->bytes);
    transfer->bytes = NULL;
    transfer->length = 0;
    transfer->capacity = 0;
}

/* Makes room for `more` bytes of memory by cutting whoever holds most. False: that is `transfer`
 * itself. */
static bool find_memory(struct transfer *transfer, size_t more)
{
    struct fetch *fetch = transfer->fetch;

    while (fetch->memory_bytes + more > FETCH_MEMORY_BYTES) {
        struct transfer *most = transfer;

        for (struct transfer *each = fetch->active; each != NULL; each = each->next) {
            most = each->capacity > most->capacity ? each : most;
        }
        if (most == transfer) {
            return false;
        }
        most->cut = CUT_MEMORY;
        fetch->cut_some = true;
        drop_body(most);
    }
    return true;
}

static enum transfer_cut keep(struct transfer *transfer, const char *bytes, size_t length)
{
    const size_t limit = (size_t)transfer->fetch->config.body_limit_bytes;
    const size_t needed = transfer->length + length;

    if (is_bomb(transfer, needed, FETCH_BUFFER_BYTES)) {
        return CUT_BOMB;
    }
    if (needed > limit) {
        return CUT_TOO_BIG;
    }
    if (needed + 1 > transfer->capacity) {
        size_t capacity = transfer->capacity == 0 ? FETCH_BUFFER_BYTES : transfer->capacity * 2;
        char *grown = NULL;

        capacity = capacity > limit ? limit + 1 : capacity;
        capacity = capacity < needed + 1 ? needed + 1 : capacity;
        if (!find_memory(transfer, capacity - transfer->capacity)) {
            drop_body(transfer); /* others need not be cut for it as well */
            return CUT_MEMORY;
        }
        grown = realloc(transfer->bytes, capacity);
        if (grown == NULL) {
            return CUT_MEMORY;
        }
        transfer->fetch->memory_bytes += capacity - transfer->capacity;
        transfer->bytes = grown;
        transfer->capacity = capacity;
    }
    memcpy(transfer->bytes + transfer->length, bytes, length);
    transfer->length = needed;
    transfer->bytes[needed] = '\0';
    return CUT_NOT;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;

    transfer->fetch->received += size * count;
    if (transfer->cut == CUT_NOT) {
        transfer->cut = keep(transfer, bytes, size * count);
    }
    return transfer->cut == CUT_NOT ? size * count : 0;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t upload_total,
                       curl_off_t upload_now)
{
    struct transfer *transfer = user;

    (void)total;
    (void)now;
    (void)upload_total;
    (void)upload_now;
    if (transfer->cut == CUT_NOT && is_bomb(transfer, transfer->length, 0)) {
        transfer->cut = CUT_BOMB;
    }
    return transfer->cut == CUT_NOT ? 0 : 1;
}

static void count_codings(struct transfer *transfer, const char *value)
{
    bool inside = false;

    for (; *value != '\0'; value++) {
        if (*value == ',' || *value == ' ' || *value == '\t') {
            inside = false;
        } else if (!inside) {
            inside = true;
            transfer->codings += strncasecmp(value, "identity", 8) == 0 ? 0 : 1;
        }
    }
    /* "chunked" is a framing, no coding; it comes in Transfer-Encoding. */
}

static void forget_headers(struct transfer *transfer)
{
    for (size_t i = 0; i < transfer->received_count; i++) {
        free((char *)transfer->received[i].name); /* name and value lie in one piece */
    }
    transfer->received_count = 0;
    transfer->received_bytes = 0;
    transfer->codings = 0;
}

static enum transfer_cut keep_header(struct transfer *transfer, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    const char *value = NULL;
    const char *end = line + length;
    char *piece = NULL;
    size_t name_length = 0;

    if (colon == NULL) {
        return CUT_NOT;
    }
    name_length = (size_t)(colon - line);
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++) {
    }
    for (; end > value && strchr(" \t\r\n", end[-1]) != NULL; end--) {
    }
    if (transfer->received_count == FETCH_HEADERS_MAX ||
        transfer->received_bytes + length > FETCH_HEADER_BYTES_MAX) {
        return CUT_HEADERS;
    }
    if (transfer->received == NULL) {
        transfer->received = calloc(FETCH_HEADERS_MAX, sizeof(*transfer->received));
    }
    piece = malloc(length + 2);
    if (transfer->received == NULL || piece == NULL) {
        free(piece);
        return CUT_MEMORY;
    }
    for (size_t i = 0; i < name_length; i++) {
        piece[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] - 'A' + 'a' : line[i]);
    }
    piece[name_length] = '\0';
    memcpy(piece + name_length + 1, value, (size_t)(end - value));
    piece[name_length + 1 + (size_t)(end - value)] = '\0';
    transfer->received[transfer->received_count++] =
        (struct fetch_header){.name = piece, .value = piece + name_length + 1};
    transfer->received_bytes += length;
    if (strcmp(piece, "content-encoding") == 0) {
        count_codings(transfer, piece + name_length + 1);
    }
    return transfer->codings > FETCH_CODINGS_MAX ? CUT_CODINGS : CUT_NOT;
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    const size_t length = size * count;

    if (length >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
        forget_headers(transfer); /* of a 1xx before */
    } else if (transfer->cut == CUT_NOT && transfer->length == 0) {
        transfer->cut = keep_header(transfer, line, length);
    }
    return transfer->cut == CUT_NOT ? length : 0;
}

/* Called before a socket is made for an address: the place where a forbidden one is refused. */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = user;
    const char *what = NULL;

    (void)purpose;
    switch (fetch_judge_address(&address->addr, transfer->fetch->allow,
                                transfer->fetch->allow_count, &what)) {
    case FETCH_FORBIDDEN:
        fetch_address_text(transfer->forbidden, &address->addr);
        transfer->forbidden_kind = what;
        return CURL_SOCKET_BAD;
    case FETCH_OPENED:
        transfer->host->opened = true;
        break;
    default:
        break;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* --- what is asked --- */

static char *copy(const char *text, bool *failed)
{
    char *copied = text == NULL ? NULL : strdup(text);

    *failed = *failed || (text != NULL && copied == NULL);
    return copied;
}

/* A header's text that would break out of its line, or NULL. */
static const char *bad_header(const struct fetch_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strpbrk(request->headers[i].name, "\r\n: ") != NULL ||
            strpbrk(request->headers[i].value, "\r\n") != NULL) {
            return request->headers[i].name;
        }
    }
    return NULL;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    const size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    struct curl_slist *longer = NULL;

    if (line == NULL) {
        return false;
    }
    /* libcurl takes "Name;" for a header without a value. */
    (void)snprintf(line, size, *value == '\0' ? "%s;" : "%s: %s", name, value);
    longer = curl_slist_append(*list, line);
    free(line);
    *list = longer == NULL ? *list : longer;
    return longer != NULL;
}

int transfer_new(struct transfer **out, struct fetch *fetch, const struct fetch_request *request,
                 void *user, struct ear_error *err)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    bool failed = transfer == NULL;
    int result = -1;

    if (failed) {
        ear_fail_memory(err, "a request");
        goto done;
    }
    transfer->fetch = fetch;
    transfer->user = user;
    if (bad_header(request) != NULL) {
        ear_fail(err, EAR_CONFIG, "header '%.80s' has a line end in it; take it out",
                 bad_header(request));
        goto done;
    }
    if (fetch_url_parse(&transfer->url, request->url == NULL ? "" : request->url, NULL, err) != 0) {
        goto done;
    }
    transfer->origin = copy(transfer->url.origin, &failed);
    transfer->login = copy(transfer->url.login, &failed);
    transfer->password = copy(transfer->url.password, &failed);
    transfer->method = copy(request->method == NULL ? "GET" : request->method, &failed);
    transfer->etag = copy(request->etag, &failed);
    transfer->last_modified = copy(request->last_modified, &failed);
    transfer->source = copy(request->source == NULL ? "" : request->source, &failed);
    if (request->body != NULL) {
        transfer->body = malloc(request->body_length + 1);
        transfer->body_length = request->body_length;
        failed = failed || transfer->body == NULL;
        if (transfer->body != NULL) {
            memcpy(transfer->body, request->body, request->body_length);
        }
    }
    for (size_t i = 0; i < request->header_count && !failed; i++) {
        failed =
            !add_header(&transfer->headers, request->headers[i].name, request->headers[i].value);
    }
    if (failed) {
        ear_fail_memory(err, "a request");
        goto done;
    }
    *out = transfer;
    transfer = NULL;
    result = 0;

done:
    transfer_free(transfer);
    return result;
}

void transfer_drop_answer(struct transfer *transfer)
{
    forget_headers(transfer);
    drop_body(transfer);
    transfer->status = 0;
    transfer->cut = CUT_NOT;
    transfer->forbidden[0] = '\0';
    transfer->detail[0] = '\0';
}

void transfer_free(struct transfer *transfer)
{
    if (transfer == NULL) {
        return;
    }
    if (transfer->fetch != NULL) {
        transfer_drop_answer(transfer);
    }
    fetch_url_clear(&transfer->url);
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->sent);
    free(transfer->origin);
    free(transfer->login);
    free(transfer->password);
    free(transfer->method);
    free(transfer->body);
    free(transfer->etag);
    free(transfer->last_modified);
    free(transfer->source);
    free(transfer->received);
    free(transfer);
}

/* The headers of this hop. What the caller gave goes to the first origin only. */
static bool list_headers(struct transfer *transfer, bool same_origin)
{
    struct curl_slist *sent = NULL;
    bool good = true;

    for (struct curl_slist *each = transfer->headers; same_origin && each != NULL && good;
         each = each->next) {
        struct curl_slist *longer = curl_slist_append(sent, each->data);

        good = longer != NULL;
        sent = good ? longer : sent;
    }
    if (good && transfer->etag != NULL && strpbrk(transfer->etag, "\r\n") == NULL) {
        good = add_header(&sent, "If-None-Match", transfer->etag);
    }
    if (good && transfer->last_modified != NULL &&
        strpbrk(transfer->last_modified, "\r\n") == NULL) {
        good = add_header(&sent, "If-Modified-Since", transfer->last_modified);
    }
    if (good) {
        struct curl_slist *longer = curl_slist_append(sent, "Expect:"); /* none */

        good = longer != NULL;
        sent = good ? longer : sent;
    }
    curl_slist_free_all(transfer->sent);
    transfer->sent = sent;
    return good;
}

static void set_limits(struct transfer *transfer)
{
    const struct fetch_config *config = &transfer->fetch->config;
    CURL *easy = transfer->easy;
    const int64_t left_us = config->total_timeout_us - transfer->spent_us;
    const long left_ms = left_us < 1000 ? 1 : (long)(left_us / 1000);

    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)config->body_limit_bytes);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)FETCH_BUFFER_BYTES);
}

static void set_request(struct transfer *transfer, bool same_origin)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_URL, transfer->url.text);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* the address rules hold for what we connect to */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, transfer->fetch->user_agent);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (transfer->fetch->certificates != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, transfer->fetch->certificates);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->sent);
    if (strcmp(transfer->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        if (transfer->body != NULL || strcmp(transfer->method, "POST") == 0) {
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_length);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                             transfer->body == NULL ? "" : transfer->body);
        }
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, transfer->method);
    }
    if (same_origin && transfer->login != NULL) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, transfer->login);
        curl_easy_setopt(easy, CURLOPT_PASSWORD,
                         transfer->password == NULL ? "" : transfer->password);
    }
}

static void set_callbacks(struct transfer *transfer)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
}

int transfer_begin(struct transfer *transfer, int64_t mono_us, struct ear_error *err)
{
    struct fetch *fetch = transfer->fetch;
    const bool same_origin = strcmp(transfer->origin, transfer->url.origin) == 0;

    if (!list_headers(transfer, same_origin)) {
        return ear_fail_memory(err, "a request");
    }
    transfer->easy = fetch->spare_count > 0 ? fetch->spare[--fetch->spare_count] : curl_easy_init();
    if (transfer->easy == NULL) {
        return ear_fail_memory(err, "a transfer");
    }
    set_limits(transfer);
    set_request(transfer, same_origin);
    set_callbacks(transfer);
    transfer->began_us = mono_us;
    transfer->slow_since_us = mono_us;
    transfer->looked_us = mono_us;
    transfer->bytes_then = 0;
    transfer->slow = false;
    if (curl_multi_add_handle(fetch->multi, transfer->easy) != CURLM_OK) {
        curl_easy_cleanup(transfer->easy);
        transfer->easy = NULL;
        return ear_fail(err, EAR_FATAL, "libcurl takes no more transfers");
    }
    return 0;
}

void transfer_watch_speed(struct transfer *transfer, int64_t mono_us)
{
    curl_off_t down = 0;
    curl_off_t up = 0;
    int64_t bytes = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    bytes = (int64_t)down + (int64_t)up;
    if ((bytes - transfer->bytes_then) * 1000000 >=
        FETCH_SLOW_BYTES_PER_S * (mono_us - transfer->looked_us)) {
        transfer->slow_since_us = mono_us;
    }
    transfer->bytes_then = bytes;
    transfer->looked_us = mono_us;
    transfer->slow = mono_us - transfer->slow_since_us >= transfer->fetch->config.slow_timeout_us;
}

void transfer_end(struct transfer *transfer, CURLcode result, int64_t mono_us)
{
    struct fetch *fetch = transfer->fetch;
    long status = 0;
    curl_off_t connected_us = 0;

    transfer->result = result;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (transfer->cut == CUT_NOT && result == CURLE_OK && is_bomb(transfer, transfer->length, 0)) {
        transfer->cut = CUT_BOMB;
    }
    transfer->status = result == CURLE_OK && transfer->cut == CUT_NOT ? (int)status : 0;
    transfer->connected = connected_us > 0;
    transfer->spent_us += mono_us - transfer->began_us;
    curl_multi_remove_handle(fetch->multi, transfer->easy);
    if (fetch->spare_count < FETCH_SPARE_HANDLES_MAX) {
        curl_easy_reset(transfer->easy);
        fetch->spare[fetch->spare_count++] = transfer->easy;
    } else {
        curl_easy_cleanup(transfer->easy);
    }
    transfer->easy = NULL;
}
