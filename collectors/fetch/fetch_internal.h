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

struct transfer;

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

/* --- budgets --- */

enum {
    FETCH_SLOTS = 60,          /* parts of a sliding window */
    FETCH_SHARERS_MAX = 16384, /* sources of one budget that are told apart */
    FETCH_BUDGETS_KEPT = 8192, /* in the file */
    FETCH_BUDGET_FILE_BYTES = 16 * 1024 * 1024,
};

/* One limit, and what was spent of it. */
struct window {
    double units;
    int64_t per_us, slot_us; /* of a sliding one */
    char *zone_name;         /* NULL: a sliding one */
    struct zone *zone;
    char *remaining, *reset; /* headers; NULL: none */
    enum fetch_reset reset_as;
    bool named;                   /* by a request of this process: else it binds nobody */
    float spent[FETCH_SLOTS + 1]; /* sliding: a ring, slot n at n % (FETCH_SLOTS + 1) */
    int64_t slot;                 /* the newest */
    int64_t day;                  /* of a zone's: */
    double spent_today;
    double left;      /* as the server said, less what went since: while until_us is to come */
    int64_t until_us; /* INT64_MIN: it said nothing */
};

/* A source that takes from a budget. */
struct sharer {
    uint64_t source; /* a hash of its name */
    int64_t last_us;
    double used; /* units, fading with the longest window */
};

/* Times are wall times; see budgets_now. */
struct budget {
    char *id;
    struct window *windows; /* [window_count], at most FETCH_LIMITS_MAX; moves when one is added */
    size_t window_count;
    int64_t rest_us;        /* nothing goes before; INT64_MIN: no rest */
    int64_t refusals;       /* answers in a row that said "too many" without saying until when */
    double waiting, flying; /* units that are queued, under way */
    double used;            /* by all, fading as theirs */
    int64_t used_us;
    struct sharer *sharers; /* [sharer_count], by source */
    size_t sharer_count, sharer_capacity, active_sharers;
    int64_t counted_us; /* when active_sharers was counted; INT64_MIN: to be counted */
};

struct budgets {
    struct budget **items; /* [count], by id */
    size_t count, capacity;
    int64_t last_us;      /* the last budgets_now */
    bool changed;         /* since it was last written */
    bool complained;      /* that it cannot be written */
    int64_t save_mono_us; /* not sooner again */
};

/* The budget of that id, NULL: none. */
struct budget *budgets_find(const struct budgets *budgets, const char *id);

/* The same, made where missing, with a window for each limit. -1: EAR_CONFIG (a limit makes no
 * sense, an unknown zone), EAR_FATAL. */
EAR_MUST_CHECK
int budgets_take(struct budget **out, struct budgets *budgets, const struct fetch_budget *budget,
                 int64_t now_us, struct ear_error *err);
void budgets_clear(struct budgets *budgets);

/* An empty one of that id; NULL: out of memory. The file's reader fills it. */
struct budget *budgets_add(struct budgets *budgets, const char *id);

/* The wall time, which never goes back: where the machine's is set back by much, everything that is
 * remembered moves with it. */
int64_t budgets_now(struct budgets *budgets, int64_t wall_us);

/* How long until `cost` may go, behind `ahead` units; 0: now. source: its hash; one that took far
 * more than its share leaves a quarter to the others. */
int64_t budget_wait_us(struct budget *budget, double cost, double ahead, uint64_t source,
                       int64_t now_us);
/* A request goes. */
void budget_spend(struct budget *budget, double cost, uint64_t source, int64_t now_us);
/* What the server said of a window: so much is left until then; below 0: not said. */
void budget_tell(struct budget *budget, struct window *window, double remaining, int64_t reset_us,
                 int64_t now_us);
void budget_rest(struct budget *budget, int64_t wait_us, int64_t now_us);
/* See fetch_budget_share_us. */
int64_t budget_share_us(struct budget *budget, int64_t now_us);
/* Units left now, of the window where that is least; below 0: none is known. */
double budget_left(struct budget *budget, int64_t now_us);
/* Brings a window up to date; returns what was spent in it. */
double window_spent(struct window *window, int64_t now_us);
/* Another window, empty; NULL: out of memory. */
struct window *budget_add_window(struct budget *budget);
/* The window of a limit, NULL: none. */
struct window *budget_window(struct budget *budget, const struct fetch_limit *limit);

/* What an answer's headers and status say of its budget: fetch_quota.c. */
void budget_read_answer(struct budget *budget, const struct transfer *transfer, int64_t now_us);

/* fetch_budget_file.c. What is not understood is as good as nothing, and said in the log. -1:
 * EAR_FATAL. */
EAR_MUST_CHECK
int budgets_load(struct budgets *budgets, const char *path, int64_t now_us, struct ear_error *err);
/* Writes them if something changed; `last`: at the end, so that it lasts. */
void budgets_save(struct budgets *budgets, const char *path, int64_t now_us, bool last);

/* --- hosts --- */

/* The queue of requests in front of a host, or of a budget. */
struct host {
    char *name;                    /* lower case, without port; of a budget: "@" and its id */
    struct budget *budget;         /* NULL: tokens, below */
    bool opened;                   /* reached through `allow`: as many at once as one likes, and
                                      without a budget as often */
    size_t active;                 /* transfers under way */
    double tokens;                 /* requests that may go now; at most max(1, rate) */
    int64_t mono_us;               /* when tokens was brought up to date */
    int64_t rest_mono_us;          /* without a budget: nothing goes before; 0: no rest */
    int64_t refusals;              /* likewise: "too many" in a row, without saying until when */
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
 * none. *wait_us becomes the time until one may go (INT64_MAX: only when another one ends). now_us:
 * what budgets go by.
 */
struct transfer *hosts_next(struct hosts *hosts, int64_t concurrent, double rate_per_s,
                            int64_t mono_us, int64_t now_us, int64_t *wait_us);

/* Takes a waiting transfer whose budget makes it wait longer than FETCH_WAIT_MAX_US, *wait_us, out
 * of its queue; NULL: none. */
struct transfer *host_give_up(struct host *host, int64_t now_us, int64_t *wait_us);
/* What an answer says of whether the host wants to be left alone. */
void host_read_answer(struct host *host, const struct transfer *transfer, int64_t mono_us);
/* How long the host of this name wants to be left alone; 0: not at all. */
int64_t host_wait_us(const struct hosts *hosts, const char *name, int64_t mono_us);

/* A transfer is no longer under way. */
void host_release(struct transfer *transfer);

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
    struct budget *budget; /* of its origin; NULL: the host's */
    double cost;           /* of it */
    uint64_t source_hash;
    size_t body_length;
    struct curl_slist *headers; /* the caller's: for `origin` only */
    struct curl_slist *sent;    /* of this hop */
    int redirects;
    int64_t spent_us, began_us; /* of the total timeout, by earlier hops; when this hop began */
    int64_t slow_since_us;      /* hardly anything has come since */
    int64_t looked_us;          /* when that was looked at, and */
    int64_t bytes_then;         /* what had come and gone by then, on the wire */

    /* the answer */
    CURLcode result;
    enum transfer_cut cut;
    int status;
    int codings;
    bool connected, slow;
    struct ear_error failure; /* of a redirect, of a budget */
    int64_t budget_wait_us;   /* it was given up in the queue: not sooner again; 0: it was not */
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
    struct budgets budgets;
    char *budget_path;
    struct transfer *active;           /* under way */
    struct transfer *done, *done_last; /* ended, not yet given out */
    struct transfer *given;            /* the one that `answer` shows */
    size_t active_count, pending;
    size_t memory_bytes;  /* of all bodies */
    uint64_t received;    /* bytes, ever */
    bool cut_some;        /* to make room for others: libcurl does not know it yet */
    int64_t slow_mono_us; /* when to look for slow ones again */
    int epoll, wake;      /* its sockets; an event of our own */
    int64_t timer_us;     /* when libcurl wants to be called; INT64_MAX: not */
    CURL *spare[FETCH_SPARE_HANDLES_MAX];
    size_t spare_count;
    struct fetch_answer answer;
};

/* --- the loop: fetch_loop.c --- */

/* Tells the multi handle whom to ask. */
EAR_MUST_CHECK
int loop_open(struct fetch *fetch, struct ear_error *err);
void loop_close(struct fetch *fetch);

/* Lets libcurl do what there is to do, waiting for it up to wait_us; returns as soon as a transfer
 * has ended. *woken becomes true if somebody called loop_wake. */
EAR_MUST_CHECK
int loop_turn(struct fetch *fetch, int64_t wait_us, bool *woken, struct ear_error *err);
void loop_wake(struct fetch *fetch); /* from any thread */

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

/*
 * Looks whether less than FETCH_SLOW_BYTES_PER_S have come since the last look; those where it is
 * so for the fetcher's slow timeout are marked `slow`. libcurl has such a watch itself, but with it
 * reads a piece of every transfer each second, whether there is room for it or not.
 */
void transfer_watch_speed(struct transfer *transfer, int64_t mono_us);

/* After transfer_end: is this a redirect to follow? Then its next hop is prepared: 1. 0: it is
 * done. -1: it is done and must not be followed: err says why. */
int transfer_redirect(struct transfer *transfer, struct ear_error *err);

/* Forgets what was received. */
void transfer_drop_answer(struct transfer *transfer);

/* Makes the answer out of an ended transfer. */
void transfer_answer(struct fetch_answer *out, const struct transfer *transfer);

#endif
