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
 * A request that names a budget of its own (struct fetch_budget: a platform's limit for one host
 * and one credential) waits its turn there instead. What was spent, and what the server said is
 * left, outlives the process: a restart does not begin a new quota.
 *
 * Only fetch.c knows libcurl. Threads: one at a time, but fetch_wake from any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/option.h"

struct clock;
struct fetch;
struct metrics;

struct fetch_config {
    struct ear_strings allow;  /* addresses or CIDR that may be reached although internal */
    int64_t body_limit_bytes;  /* decoded; 16 MiB */
    int64_t total_timeout_us;  /* 60 s */
    int64_t slow_timeout_us;   /* below 64 B/s for so long: cut; 30 s */
    int64_t concurrent;        /* transfers at once; 1,000 */
    int64_t host_concurrent;   /* to one host without a limit of its own; 4 */
    double host_rate_per_s;    /* likewise; 10. Hosts opened by `allow` have none */
    const char *user_agent;    /* "earshot/0.1 (+…)" */
    struct metrics *metrics;   /* may be NULL */
    const struct clock *clock; /* of days, and of what is kept; NULL: the machine's. Borrowed */
    const char *budget_path;   /* file that keeps budgets between runs, 0600; NULL: nowhere */
    bool budget_read_only;     /* it is read and never written */
};

struct fetch_header {
    const char *name, *value;
};

/* How a server says when its quota is full again. */
enum fetch_reset {
    FETCH_RESET_SECONDS, /* from now on; fractions allowed */
    FETCH_RESET_UNIX,    /* seconds since 1970 */
    FETCH_RESET_RFC3339, /* an instant */
    FETCH_RESET_MS,      /* milliseconds: since 1970 where that makes sense, else from now on */
};

enum { FETCH_LIMITS_MAX = 8, FETCH_BUDGET_ID_SIZE = 304 };

/* One bound of a budget: never more than `units` in any span of per_us, or in a day of `zone`. */
struct fetch_limit {
    double units;
    int64_t per_us;
    const char *zone; /* NULL: a sliding window; else per_us is passed over: each day begins anew at
                         midnight there */
    const char *remaining, *reset; /* headers, in lower case, that say what is left and until when;
                                      NULL, or a JSON pointer ("/quota_remaining"): no header */
    enum fetch_reset reset_as;
};

/*
 * Whose quota a request is taken from. Requests of equal id share one budget, whatever source they
 * are of; it is the id that names it, the limits may differ (each is kept by itself, all count).
 */
struct fetch_budget {
    const char *id;                   /* as fetch_budget_id makes it */
    const struct fetch_limit *limits; /* [limit_count], at most FETCH_LIMITS_MAX */
    size_t limit_count;
    double cost; /* units that this request takes; usually 1; 0: free */
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
    const struct fetch_budget *budget; /* NULL: the host's own (host_concurrent, host_rate_per_s) */
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
    int64_t budget_wait_us;   /* above 0: it was never sent, for its budget is spent for so long
                                 (status   0, failure EAR_RETRY "budget: …"): nobody's fault */
    int64_t date_us;          /* of Date: the server's clock; INT64_MIN: not said */
    struct ear_error failure; /* EAR_RETRY or EAR_REJECT ("forbidden_address: …", "too_big: …",
                                 "bomb: …", "slow_source: …", "tls: …"); EAR_NONE with a status */
};

EAR_MUST_CHECK
int fetch_open(struct fetch **out, const struct fetch_config *config, struct ear_error *err);
void fetch_close(struct fetch *fetch); /* unfinished transfers are cut */

/* Hands a request over; `user` comes back with the answer. Waits its turn by host, or by budget.
 * -1: EAR_CONFIG (no http or https URL, an unknown zone), EAR_FATAL; EAR_RETRY: its budget is spent
 * for longer than FETCH_WAIT_MAX_US (fetch_budget_wait_us says how long). */
EAR_MUST_CHECK
int fetch_start(struct fetch *fetch, const struct fetch_request *request, void *user,
                struct ear_error *err);

/* No request waits longer for its budget: it is refused instead. */
#define FETCH_WAIT_MAX_US (INT64_C(30) * 1000000)

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

/* --- budgets --- */

/*
 * The id of a budget: the URL's host (with its port unless that is the scheme's own) and a hash of
 * the credential (any text that tells credentials apart; NULL: none). Never the credential itself.
 * EAR_CONFIG: no http or https URL.
 */
EAR_MUST_CHECK
int fetch_budget_id(char out[FETCH_BUDGET_ID_SIZE], const char *url, const char *credential,
                    struct ear_error *err);

/* How long a request that is handed over now would wait for this budget; 0: it could go. A source
 * that took far more than its share may have to wait longer; source NULL: nobody in particular. */
int64_t fetch_budget_wait_us(struct fetch *fetch, const struct fetch_budget *budget,
                             const char *source);

/*
 * What the server says in its answer's body of limits[limit] (what it says in the headers that the
 * limit names is heeded by itself, and so is Retry-After of a 429 or 503): so many units are left,
 * until reset_us from now. Below 0: not said; a reset that is not said is the end of the window.
 */
void fetch_budget_tell(struct fetch *fetch, const struct fetch_budget *budget, size_t limit,
                       double remaining, int64_t reset_us);

/*
 * How long the URL's host wants to be left alone, as it said by a 429 or a 503 to a request without
 * a budget, whatever source that was of; 0: it does not. Such requests wait, or are refused, as
 * those whose budget is spent.
 */
int64_t fetch_rest_us(struct fetch *fetch, const char *url);

/* Nothing of this budget goes for so long. */
void fetch_budget_rest(struct fetch *fetch, const struct fetch_budget *budget, int64_t wait_us);

/*
 * How far apart a source's requests may come if all sources that asked for this budget of late
 * share it alike; at most a day. 0: no budget of that id.
 */
int64_t fetch_budget_share_us(struct fetch *fetch, const char *id);

/* Units that are left now, of the limit where that is least; below 0: no budget of that id. */
double fetch_budget_left(struct fetch *fetch, const char *id);

/*
 * Reads "how long until" off a value in one of the notations; instants are taken against at_us (the
 * server's own clock where it is known). Negative waits are 0. False: not understood, *wait_us
 * untouched.
 */
bool fetch_reset_parse(int64_t *wait_us, const char *text, enum fetch_reset as, int64_t at_us);

#endif
