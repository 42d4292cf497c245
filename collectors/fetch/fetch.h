/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FETCH_FETCH_H
#define EARSHOT_COLLECTORS_FETCH_FETCH_H

/*
 * The fetcher: one libcurl multi loop for all sources of a process. Whoever wants a page hands a
 * request over and gets an answer back from fetch_turn; in between other transfers go on. The
 * fetcher keeps the rules of reliability.md by itself: size, ratio and time limits, redirects
 * checked hop by hop, forbidden addresses refused at connect, one budget of requests per host,
 * credentials only on their own origin, TLS always verified. It never retries: when to ask again is
 * the scheduler's, told by `wait_us` and the kind of the error.
 *
 * Only fetch.c knows libcurl. Threads: one at a time, but fetch_wake from any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/option.h"

struct fetch;
struct metrics;

struct fetch_config {
    struct ear_strings allow; /* addresses or CIDR that may be reached although internal */
    int64_t body_limit_bytes; /* decoded; 16 MiB */
    int64_t total_timeout_us; /* 60 s */
    int64_t slow_timeout_us;  /* below 64 B/s for so long: cut; 30 s */
    int64_t concurrent;       /* transfers at once; 1,000 */
    int64_t host_concurrent;  /* to one host without a limit of its own; 4 */
    double host_rate_per_s;   /* likewise; 10. Hosts opened by `allow` have none */
    const char *user_agent;   /* "earshot/0.1 (+…)" */
    struct metrics *metrics;  /* may be NULL */
};

struct fetch_header {
    const char *name, *value;
};

/* What is asked for. Copied by fetch_start. */
struct fetch_request {
    const char *method; /* NULL: GET */
    const char *url;
    const struct fetch_header *headers; /* [header_count]; sent to the URL's own origin only */
    size_t header_count;
    const char *body; /* [body_length]; NULL: none */
    size_t body_length;
    const char *etag,
        *last_modified; /* of the last answer, for a conditional request; NULL: none */
    const char *source; /* for metrics and messages */
};

/* What came. Lives until the next fetch_turn. */
struct fetch_answer {
    int status;                       /* 0: no answer, then `failure` says why */
    const char *url;                  /* after redirects */
    const char *type;                 /* Content-Type; "" if none */
    const char *etag, *last_modified; /* NULL if none */
    const char *body;                 /* [body_length], NUL-ended beyond; "" if none */
    size_t body_length;
    int64_t
        retry_after_us; /* of Retry-After in either form, capped at 1 h, negative = 1 s; -1: none */
    const struct fetch_header *headers; /* [header_count], names in lower case */
    size_t header_count;
    struct ear_error failure; /* EAR_RETRY or EAR_REJECT ("forbidden_address: …", "too_big: …",
                                 "bomb: …", "slow_source: …", "tls: …"); EAR_NONE with a status */
};

EAR_MUST_CHECK
int fetch_open(struct fetch **out, const struct fetch_config *config, struct ear_error *err);
void fetch_close(struct fetch *fetch); /* unfinished transfers are cut */

/* Hands a request over; `user` comes back with the answer. Waits its turn by host. -1: EAR_CONFIG
 * (no http or https URL), EAR_FATAL. */
EAR_MUST_CHECK
int fetch_start(struct fetch *fetch, const struct fetch_request *request, void *user,
                struct ear_error *err);

/* Cuts whatever was asked for with this `user`: no answer of it comes any more. */
void fetch_cancel(struct fetch *fetch, const void *user);

/* Drives transfers for up to timeout_ms, until one is done: 1 and its answer and user, 0 none, -1
 * EAR_FATAL. */
EAR_MUST_CHECK
int fetch_turn(struct fetch *fetch, int timeout_ms, const struct fetch_answer **answer, void **user,
               struct ear_error *err);

/* Ends a fetch_turn that waits. */
void fetch_wake(struct fetch *fetch);

/* How many requests are queued or under way. */
size_t fetch_pending(const struct fetch *fetch);

/* A header of an answer, by its lower-case name; NULL: absent. */
const char *fetch_answer_header(const struct fetch_answer *answer, const char *name);

#endif
