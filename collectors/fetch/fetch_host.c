/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One budget of requests per host: so many at once, so many a second (a token bucket of one
 * second's worth); a request with a budget of its own stands in that one's queue instead, and its
 * limits (fetch_budget.c) take the place of the bucket. In front of it a queue that is fair among
 * sources by start-time fair queueing
 * (Goyal, Vin, Cheng 1996): each request gets a turn, one past its source's last waiting one, or
 * the host's present turn; the lowest turn goes first, equals in order of arrival.
 *
 *     queued:  A A A B C      turns:  0 1 2 0 0      go:  A B C A A
 */

#include "collectors/fetch/fetch_internal.h"

#include <stdlib.h>
#include <string.h>

static double most_tokens(double rate_per_s)
{
    return rate_per_s < 1 ? 1 : rate_per_s;
}

static void refill(struct host *host, double rate_per_s, int64_t mono_us)
{
    const double more = (double)(mono_us - host->mono_us) * rate_per_s / 1e6;
    const double most = most_tokens(rate_per_s);

    host->tokens = host->tokens + more > most ? most : host->tokens + more;
    host->mono_us = mono_us;
}

static size_t place_of(const struct hosts *hosts, const char *name, bool *found)
{
    size_t low = 0;
    size_t high = hosts->count;

    *found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(hosts->items[middle]->name, name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Forgets hosts that have nothing to remember: no transfer, a full bucket. */
static void sweep(struct hosts *hosts, double rate_per_s, int64_t mono_us)
{
    size_t kept = 0;

    for (size_t i = 0; i < hosts->count; i++) {
        struct host *host = hosts->items[i];

        refill(host, rate_per_s, mono_us);
        if (host->active == 0 && host->first == NULL && !host->is_waiting &&
            host->rest_mono_us <= mono_us &&
            (host->budget != NULL || host->tokens >= most_tokens(rate_per_s))) {
            free(host->name);
            free(host);
        } else {
            hosts->items[kept++] = host;
        }
    }
    hosts->count = kept;
}

struct host *hosts_take(struct hosts *hosts, const char *name, double rate_per_s, int64_t mono_us)
{
    bool found = false;
    size_t place = place_of(hosts, name, &found);
    struct host *host = NULL;

    if (found) {
        return hosts->items[place];
    }
    if (hosts->count == hosts->capacity && hosts->count >= FETCH_HOSTS_IDLE_MAX) {
        sweep(hosts, rate_per_s, mono_us);
        place = place_of(hosts, name, &found);
    }
    if (hosts->count == hosts->capacity) {
        const size_t capacity = hosts->capacity == 0 ? 16 : hosts->capacity * 2;
        struct host **items = realloc(hosts->items, capacity * sizeof(void *));

        if (items == NULL) {
            return NULL;
        }
        hosts->items = items;
        hosts->capacity = capacity;
    }
    host = calloc(1, sizeof(*host));
    if (host == NULL) {
        return NULL;
    }
    host->name = strdup(name);
    if (host->name == NULL) {
        free(host);
        return NULL;
    }
    host->tokens = most_tokens(rate_per_s);
    host->mono_us = mono_us;
    memmove(hosts->items + place + 1, hosts->items + place,
            (hosts->count - place) * sizeof(void *));
    hosts->items[place] = host;
    hosts->count++;
    return host;
}

void hosts_clear(struct hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++) {
        struct host *host = hosts->items[i];

        while (host->first != NULL) {
            struct transfer *transfer = host->first;

            host->first = transfer->next;
            transfer_free(transfer);
        }
        free(host->name);
        free(host);
    }
    free(hosts->items);
    *hosts = (struct hosts){0};
}

int64_t host_wait_us(const struct hosts *hosts, const char *name, int64_t mono_us)
{
    bool found = false;
    const size_t place = place_of(hosts, name, &found);
    const int64_t rest_us = found ? hosts->items[place]->rest_mono_us - mono_us : 0;

    return rest_us > 0 ? rest_us : 0;
}

static void wait_in_ring(struct hosts *hosts, struct host *host)
{
    host->next_waiting = NULL;
    host->is_waiting = true;
    if (hosts->last_waiting == NULL) {
        hosts->first_waiting = host;
    } else {
        hosts->last_waiting->next_waiting = host;
    }
    hosts->last_waiting = host;
}

static struct host *leave_ring(struct hosts *hosts)
{
    struct host *host = hosts->first_waiting;

    hosts->first_waiting = host->next_waiting;
    if (hosts->first_waiting == NULL) {
        hosts->last_waiting = NULL;
    }
    host->is_waiting = false;
    return host;
}

void hosts_queue(struct hosts *hosts, struct host *host, struct transfer *transfer)
{
    struct transfer *before = NULL;

    transfer->turn = host->turn;
    for (struct transfer *each = host->last; each != NULL; each = each->previous) {
        if (strcmp(each->source, transfer->source) == 0) {
            transfer->turn = each->turn + 1;
            break;
        }
    }
    before = host->last;
    while (before != NULL && before->turn > transfer->turn) {
        before = before->previous;
    }
    transfer->previous = before;
    transfer->next = before == NULL ? host->first : before->next;
    if (transfer->previous == NULL) {
        host->first = transfer;
    } else {
        transfer->previous->next = transfer;
    }
    if (transfer->next == NULL) {
        host->last = transfer;
    } else {
        transfer->next->previous = transfer;
    }
    transfer->host = host;
    if (host->budget != NULL) {
        host->budget->waiting += transfer->cost;
    }
    if (!host->is_waiting) {
        wait_in_ring(hosts, host);
    }
}

/* Takes it out of its queue, wherever it stands. */
static void unlink_waiting(struct host *host, struct transfer *transfer)
{
    if (transfer->previous == NULL) {
        host->first = transfer->next;
    } else {
        transfer->previous->next = transfer->next;
    }
    if (transfer->next == NULL) {
        host->last = transfer->previous;
    } else {
        transfer->next->previous = transfer->previous;
    }
    transfer->next = NULL;
    transfer->previous = NULL;
    if (host->budget != NULL) {
        host->budget->waiting -= transfer->cost;
        if (host->first == NULL) {
            host->budget->waiting = 0; /* of roundings */
        }
    }
}

struct transfer *hosts_take_out(struct hosts *hosts, const void *user)
{
    for (struct host *host = hosts->first_waiting; host != NULL; host = host->next_waiting) {
        struct transfer *each = host->first;

        while (each != NULL && each->user != user) {
            each = each->next;
        }
        if (each == NULL) {
            continue;
        }
        unlink_waiting(host, each);
        return each; /* hosts_next passes over a host without any */
    }
    return NULL;
}

/* How far down its queue a budget looks for one that may go before those in front. */
enum { LOOK_DOWN_MAX = 32 };

static bool has_room(const struct host *host, int64_t concurrent)
{
    return host->opened || (int64_t)host->active < concurrent;
}

/* The first that may go now; NULL: none, *wait_us says how long. With a budget that need not be the
 * first of all: who took much waits longer, and not in the others' way. */
static struct transfer *choose(struct host *host, double rate_per_s, int64_t mono_us,
                               int64_t now_us, int64_t *wait_us)
{
    struct transfer *each = host->first;

    *wait_us = INT64_MAX;
    if (host->budget == NULL) {
        if (host->rest_mono_us > mono_us) {
            *wait_us = host->rest_mono_us - mono_us;
            return NULL;
        }
        if (host->opened) {
            return each;
        }
        refill(host, rate_per_s, mono_us);
        *wait_us = host->tokens >= 1 ? 0 : 1 + (int64_t)((1 - host->tokens) / rate_per_s * 1e6);
        return *wait_us == 0 ? each : NULL;
    }
    for (int i = 0; i < LOOK_DOWN_MAX && each != NULL; i++, each = each->next) {
        const int64_t wait = budget_wait_us(host->budget, each->cost, 0, each->source_hash, now_us);

        if (wait == 0) {
            return each;
        }
        *wait_us = wait < *wait_us ? wait : *wait_us;
    }
    return NULL;
}

static void let_go(struct host *host, struct transfer *transfer, int64_t now_us)
{
    unlink_waiting(host, transfer);
    host->turn = transfer->turn > host->turn ? transfer->turn : host->turn;
    host->active++;
    if (host->budget != NULL) {
        host->budget->flying += transfer->cost;
        budget_spend(host->budget, transfer->cost, transfer->source_hash, now_us);
    } else {
        host->tokens -= host->opened ? 0 : 1;
    }
}

void host_release(struct transfer *transfer)
{
    struct host *host = transfer->host;

    host->active--;
    if (host->budget != NULL) {
        host->budget->flying = host->active == 0 ? 0 : host->budget->flying - transfer->cost;
    }
}

struct transfer *hosts_next(struct hosts *hosts, int64_t concurrent, double rate_per_s,
                            int64_t mono_us, int64_t now_us, int64_t *wait_us)
{
    const struct host *stop = hosts->last_waiting;

    *wait_us = INT64_MAX;
    while (hosts->first_waiting != NULL) {
        struct host *host = leave_ring(hosts);
        struct transfer *transfer = NULL;
        int64_t wait = INT64_MAX;

        if (host->first == NULL) { /* what waited was taken out */
            if (host == stop) {
                break;
            }
            continue;
        }
        if (has_room(host, concurrent)) {
            transfer = choose(host, rate_per_s, mono_us, now_us, &wait);
        }
        if (transfer != NULL) {
            let_go(host, transfer, now_us);
            if (host->first != NULL) {
                wait_in_ring(hosts, host);
            }
            return transfer;
        }
        wait_in_ring(hosts, host);
        *wait_us = wait < *wait_us ? wait : *wait_us;
        if (host == stop) {
            break;
        }
    }
    return NULL;
}

struct transfer *host_give_up(struct host *host, int64_t now_us, int64_t *wait_us)
{
    double ahead = 0;

    if (host->budget == NULL) {
        struct transfer *each = host->first;

        *wait_us = host->rest_mono_us - now_us;
        if (each == NULL || *wait_us <= FETCH_WAIT_MAX_US) {
            return NULL;
        }
        unlink_waiting(host, each);
        return each;
    }
    for (struct transfer *each = host->first; host->budget != NULL && each != NULL;
         each = each->next) {
        *wait_us = budget_wait_us(host->budget, each->cost, ahead, each->source_hash, now_us);
        if (*wait_us > FETCH_WAIT_MAX_US) {
            unlink_waiting(host, each);
            return each;
        }
        ahead += each->cost;
    }
    return NULL;
}
