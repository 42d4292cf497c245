/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FETCH_FETCH_INTERNAL_H
#define EARSHOT_COLLECTORS_FETCH_FETCH_INTERNAL_H

/*
 * What the files of the fetcher share. A request becomes a transfer; it waits in the queue of its
 * host (fetch_host.c) until that host's budget and the fetcher's own limit let it go, is run by
 * libcurl (fetch_transfer.c), perhaps sent on by a redirect, and ends in the list of what is done.
 */

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "collectors/fetch/fetch.h"
#include "collectors/fetch/fetch_url.h"

enum {
    FETCH_REDIRECTS_MAX = 5,
    FETCH_CODINGS_MAX = 2,
    FETCH_RATIO_MAX = 100,
    FETCH_RATIO_FROM_BYTES = 1024 * 1024,
    FETCH_HEADERS_MAX = 200,
    FETCH_HEADER_BYTES_MAX = 64 * 1024,
    FETCH_BUFFER_BYTES = 16 * 1024,
    FETCH_MEMORY_BYTES = 48 * 1024 * 1024, /* bodies of all transfers together */
    FETCH_SLOW_BYTES_PER_S = 64,
    FETCH_CONNECT_TIMEOUT_MS = 15000,
    FETCH_SPARE_HANDLES_MAX = 16,
    FETCH_HOSTS_IDLE_MAX = 4096,
    FETCH_IDLE_CONNECTIONS_MAX = 100, /* kept for the next request */
};

/* --- addresses --- */

/* An address range; IPv4 lies in ::ffff:0:0/96. */
struct fetch_range {
    unsigned char bytes[16];
    int bits; /* 0..128 */
};

enum fetch_verdict { FETCH_PUBLIC, FETCH_OPENED, FETCH_FORBIDDEN };

/* Reads "10.0.0.5", "10.0.0.0/8", "fd00::/8". False: none of these. */
bool fetch_range_parse(struct fetch_range *out, const char *text);

/* Does allow[count] open the whole range? */
bool fetch_range_opened(const struct fetch_range *range, const struct fetch_range allow[],
                        size_t count);

/* May this address be reached? FETCH_OPENED: internal, but one of allow[count] names it. *what says
 * what kind of address a forbidden one is. */
enum fetch_verdict fetch_judge_address(const struct sockaddr *address,
                                       const struct fetch_range allow[], size_t count,
                                       const char **what);

/* Numeric text of an address; out has INET6_ADDRSTRLEN bytes. Returns out. */
const char *fetch_address_text(char out[INET6_ADDRSTRLEN], const struct sockaddr *address);

/* --- hosts --- */

struct transfer;

/* A host's budget and the queue in front of it. */
struct host {
    char *name;                    /* lower case, without port */
    bool opened;                   /* reached through `allow`: no budget */
    size_t active;                 /* transfers under way */
    double tokens;                 /* requests that may go now; at most max(1, rate) */
    int64_t mono_us;               /* when tokens was brought up to date */
    uint64_t turn;                 /* of the transfer that went last */
    struct transfer *first, *last; /* waiting, in order of (turn, arrival) */
    struct host *next_waiting;     /* in the fetcher's ring of hosts with a queue */
    bool is_waiting;
};

/* All hosts, sorted by name. */
struct hosts {
    struct host **items; /* [count] */
    size_t count, capacity;
    struct host *first_waiting, *last_waiting;
};

/* The host of that name, made where missing. NULL: out of memory. */
struct host *hosts_take(struct hosts *hosts, const char *name, double rate_per_s, int64_t mono_us);
void hosts_clear(struct hosts *hosts);

/* Queues a transfer fairly: a source's second request goes behind every other source's first. */
void hosts_queue(struct hosts *hosts, struct host *host, struct transfer *transfer);

/* Takes the first waiting transfer of this `user` out of its queue; NULL: none. */
struct transfer *hosts_take_out(struct hosts *hosts, const void *user);

/*
 * The next transfer whose host lets it go now, taken out of its queue and counted as active; NULL:
 * none. *wait_us becomes the time until one may go (INT64_MAX: only when another one ends).
 */
struct transfer *hosts_next(struct hosts *hosts, int64_t concurrent, double rate_per_s,
                            int64_t mono_us, int64_t *wait_us);

/* --- transfers --- */

/* Why we ended a transfer ourselves. */
enum transfer_cut { CUT_NOT, CUT_TOO_BIG, CUT_BOMB, CUT_CODINGS, CUT_HEADERS, CUT_MEMORY };

struct transfer {
    struct fetch *fetch;
    struct host *host;
    CURL *easy; /* while under way */
    void *user;
    struct transfer *next, *previous; /* in its host's queue, among the active ones, or the done */
    uint64_t turn;

    /* the request */
    struct fetch_url url;            /* of this hop */
    char *origin, *login, *password; /* of the first: what is secret goes there only */
    char *method, *body, *etag, *last_modified, *source;
    size_t body_length;
    struct curl_slist *headers; /* the caller's: for `origin` only */
    struct curl_slist *sent;    /* of this hop */
    int redirects;
    int64_t spent_us, began_us; /* of the total timeout, by earlier hops; when this hop began */

    /* the answer */
    CURLcode result;
    enum transfer_cut cut;
    int status;
    int codings;
    bool connected;
    struct ear_error failure; /* of a redirect */
    char forbidden[INET6_ADDRSTRLEN];
    const char *forbidden_kind;
    char *bytes; /* [length]; capacity is counted in fetch->memory_bytes */
    size_t length, capacity;
    struct fetch_header *received; /* [received_count] */
    size_t received_count, received_bytes;
    char detail[CURL_ERROR_SIZE];
};

struct fetch {
    CURLM *multi;
    struct fetch_config config;
    char *user_agent, *certificates;
    struct fetch_range *allow; /* [allow_count] */
    size_t allow_count;
    struct hosts hosts;
    struct transfer *active;           /* under way */
    struct transfer *done, *done_last; /* ended, not yet given out */
    struct transfer *given;            /* the one that `answer` shows */
    size_t active_count, pending;
    size_t memory_bytes; /* of all bodies */
    CURL *spare[FETCH_SPARE_HANDLES_MAX];
    size_t spare_count;
    atomic_bool woken;
    struct fetch_answer answer;
};

/* Copies a request. EAR_CONFIG: its URL or a header will not do. */
EAR_MUST_CHECK
int transfer_new(struct transfer **out, struct fetch *fetch, const struct fetch_request *request,
                 void *user, struct ear_error *err);
void transfer_free(struct transfer *transfer);

/* Prepares a handle for the next hop and hands it to libcurl. */
EAR_MUST_CHECK
int transfer_begin(struct transfer *transfer, int64_t mono_us, struct ear_error *err);

/* Takes the handle out of libcurl, keeps or drops it. */
void transfer_end(struct transfer *transfer, CURLcode result, int64_t mono_us);

/* After transfer_end: is this a redirect to follow? Then its next hop is prepared: 1. 0: it is
 * done. -1: it is done and must not be followed: err says why. */
int transfer_redirect(struct transfer *transfer, struct ear_error *err);

/* Forgets what was received. */
void transfer_drop_answer(struct transfer *transfer);

/* Makes the answer out of an ended transfer. */
void transfer_answer(struct fetch_answer *out, const struct transfer *transfer);

#endif
