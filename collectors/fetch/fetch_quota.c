/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers say of their quotas, in the notations of source-apis.md: a number that is left
 * (Reddit's is a float), and until when, as seconds from now, seconds since 1970, an instant, or
 * milliseconds. An instant is of the server's clock, which its Date shows; where that makes no
 * sense (a cache's old Date), our own is taken.
 */

#include "collectors/fetch/fetch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"

/* Below that, milliseconds are a span; above, since 1970 (it is 1973). */
#define MS_SINCE_1970 1e11
/* Above, seconds are no span: it is 2001, and a span of thirty years (`reset_as` was forgotten). */
#define SECONDS_SINCE_1970 1e9
#define RESET_MOST_US (366 * CLOCK_DAY_US)
#define SENSIBLE_US (26 * CLOCK_HOUR_US)
#define REST_FIRST_US CLOCK_SECOND_US
#define REST_MOST_US (5 * CLOCK_MINUTE_US)

static bool number_of(double *out, const char *text)
{
    char *end = NULL;

    *out = strtod(text, &end);
    if (end == text) {
        return false;
    }
    while (*end == ' ' || *end == 's') { /* "30s" */
        end++;
    }
    /* "100, 100;w=60": the first counts (as in the drafts of RateLimit headers). */
    return (*end == '\0' || *end == ',' || *end == ';') && *out > -1e15 && *out < 1e15;
}

static int64_t span_of(double us)
{
    return us <= 0 ? 0 : us > (double)RESET_MOST_US ? RESET_MOST_US : (int64_t)us;
}

bool fetch_reset_parse(int64_t *wait_us, const char *text, enum fetch_reset as, int64_t at_us)
{
    double number = 0;
    int64_t instant_us = 0;

    if (text == NULL) {
        return false;
    }
    if (as == FETCH_RESET_RFC3339) {
        if (!instant_parse_any(&instant_us, text, strlen(text), NULL)) {
            return false;
        }
        *wait_us = span_of((double)instant_us - (double)at_us);
        return true;
    }
    if (!number_of(&number, text)) {
        return false;
    }
    switch (as) {
    case FETCH_RESET_SECONDS:
        *wait_us = number >= MS_SINCE_1970        ? span_of(number * 1e3 - (double)at_us)
                   : number >= SECONDS_SINCE_1970 ? span_of(number * 1e6 - (double)at_us)
                                                  : span_of(number * 1e6);
        break;
    case FETCH_RESET_UNIX:
        *wait_us = span_of((number >= MS_SINCE_1970 ? number * 1e3 : number * 1e6) - (double)at_us);
        break;
    default:
        *wait_us = span_of(number < MS_SINCE_1970 ? number * 1e3 : number * 1e3 - (double)at_us);
        break;
    }
    return true;
}

int fetch_budget_id(char out[FETCH_BUDGET_ID_SIZE], const char *url, const char *credential,
                    struct ear_error *err)
{
    struct fetch_url parsed = {0};
    const char *place = NULL;
    const char *port = NULL;
    char digest[65] = "";
    int size = 0;

    if (fetch_url_parse(&parsed, url, NULL, err) != 0) {
        return -1;
    }
    if (credential != NULL && *credential != '\0') {
        sha256_format(digest, credential, strlen(credential));
    }
    place = parsed.origin + strlen(parsed.scheme) + 3;
    port = strrchr(place, ':');
    size = (int)strlen(place);
    if (port != NULL && strcmp(port, strcmp(parsed.scheme, "https") == 0 ? ":443" : ":80") == 0) {
        size -= (int)strlen(port);
    }
    size = size > 256 ? 256 : size;
    (void)snprintf(out, FETCH_BUDGET_ID_SIZE, "%.*s%s%.16s", size, place,
                   *digest == '\0' ? "" : "/", digest);
    fetch_url_clear(&parsed);
    return 0;
}

/* --- answers --- */

static const char *header_of(const struct transfer *transfer, const char *name)
{
    for (size_t i = 0; name != NULL && i < transfer->received_count; i++) {
        if (strcasecmp(transfer->received[i].name, name) == 0) {
            return transfer->received[i].value;
        }
    }
    return NULL;
}

/* Until when, by the server's clock if that gives a time one can believe in. */
static int64_t reset_of(const struct window *window, const struct transfer *transfer,
                        const struct fetch_answer *answer, int64_t now_us)
{
    const char *text = header_of(transfer, window->reset);
    const bool instant =
        window->reset_as == FETCH_RESET_UNIX || window->reset_as == FETCH_RESET_RFC3339;
    int64_t by_server_us = -1;
    int64_t by_us_us = -1;

    if (!fetch_reset_parse(&by_us_us, text, window->reset_as, now_us)) {
        return -1;
    }
    if (!instant || answer->date_us == INT64_MIN ||
        !fetch_reset_parse(&by_server_us, text, window->reset_as, answer->date_us)) {
        return by_us_us;
    }
    return by_server_us > SENSIBLE_US || (by_server_us == 0 && by_us_us < SENSIBLE_US)
               ? by_us_us
               : by_server_us;
}

/* How long it wants to be left alone; 0: not at all. told: by what is left of a quota already. */
static int64_t rest_of(const struct transfer *transfer, const struct fetch_answer *answer,
                       bool told, int64_t *refusals)
{
    int64_t rest_us = REST_FIRST_US;

    if (transfer->status != 429 && transfer->status != 503) {
        *refusals = transfer->status < 400 ? 0 : *refusals;
        return 0;
    }
    if (answer->retry_after_us >= 0) {
        return answer->retry_after_us;
    }
    if (transfer->status != 429 || told) {
        return 0;
    }
    for (int64_t i = 0; i < *refusals && rest_us < REST_MOST_US; i++) {
        rest_us *= 2;
    }
    (*refusals)++;
    return rest_us > REST_MOST_US ? REST_MOST_US : rest_us;
}

void budget_read_answer(struct budget *budget, const struct transfer *transfer, int64_t now_us)
{
    struct fetch_answer answer;
    bool told = false;
    int64_t rest_us = 0;

    if (transfer->status == 0) {
        return;
    }
    transfer_answer(&answer, transfer);
    for (size_t i = 0; i < budget->window_count; i++) {
        struct window *window = &budget->windows[i];
        const char *text = header_of(transfer, window->remaining);
        double left = 0;

        if (window->named && text != NULL && number_of(&left, text)) {
            const int64_t reset_us = reset_of(window, transfer, &answer, now_us);

            budget_tell(budget, window, left < 0 ? 0 : left, reset_us, now_us);
            told = told || (left < 1 && reset_us > 0);
        }
    }
    rest_us = rest_of(transfer, &answer, told, &budget->refusals);
    if (rest_us > 0) {
        budget_rest(budget, rest_us, now_us);
    }
}

void host_read_answer(struct host *host, const struct transfer *transfer, int64_t mono_us)
{
    struct fetch_answer answer;
    int64_t rest_us = 0;

    if (transfer->status == 0 || host->opened) {
        return;
    }
    transfer_answer(&answer, transfer);
    rest_us = rest_of(transfer, &answer, false, &host->refusals);
    if (rest_us > 0 && mono_us + rest_us > host->rest_mono_us) {
        host->rest_mono_us = mono_us + rest_us;
    }
}
