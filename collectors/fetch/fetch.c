/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: hosts' queues feed libcurl's multi handle, what ends goes to the list of the done or,
 * as a redirect, back into a queue.
 *
 *     fetch_start ──▶ queue of its host ──▶ active (libcurl) ──▶ done ──▶ fetch_turn
 *                      or budget │ ▲              │ redirect      ▲
 *                                │ └──────────────┘               │
 *                                └─ given up: the budget is spent ┘
 */

#include "collectors/fetch/fetch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"
#include "common/metrics.h"

enum {
    SLOW_LOOKS = 6, /* within the time that a transfer may be slow */
    BEGUN_MAX = 32, /* in one turn of the loop */
};

/* What budgets go by. */
static int64_t budget_now_us(struct fetch *fetch)
{
    const struct clock machine = {0};
    const struct clock *clock = fetch->config.clock;

    return budgets_now(&fetch->budgets, clock_now_us(clock == NULL ? &machine : clock));
}

static int copy_config(struct fetch *fetch, const struct fetch_config *config,
                       struct ear_error *err)
{
    const char *certificates =
        secure_getenv("SSL_CERT_FILE"); /* as everywhere: who to trust instead */

    fetch->config = *config;
    fetch->config.allow = (struct ear_strings){0};
    fetch->user_agent = strdup(config->user_agent);
    fetch->allow = calloc(config->allow.count + 1, sizeof(*fetch->allow));
    if (certificates != NULL && *certificates != '\0') {
        fetch->certificates = strdup(certificates);
    }
    fetch->config.budget_path = NULL;
    fetch->budget_path = config->budget_path == NULL ? NULL : strdup(config->budget_path);
    if (fetch->user_agent == NULL || fetch->allow == NULL ||
        (fetch->budget_path == NULL && config->budget_path != NULL)) {
        return ear_fail_memory(err, "the fetcher");
    }
    for (size_t i = 0; i < config->allow.count; i++) {
        if (!fetch_range_parse(&fetch->allow[i], config->allow.items[i])) {
            return ear_fail(err, EAR_CONFIG,
                            "network.allow: '%s' is no address; write one such as 10.0.0.5, or a "
                            "range such as 10.0.0.0/8",
                            config->allow.items[i]);
        }
        fetch->allow_count++;
    }
    return 0;
}

int fetch_open(struct fetch **out, const struct fetch_config *config, struct ear_error *err)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    int result = -1;

    if (fetch == NULL) {
        ear_fail_memory(err, "the fetcher");
        goto done;
    }
    fetch->epoll = -1;
    fetch->wake = -1;
    if (copy_config(fetch, config, err) != 0) {
        goto done;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ear_fail(err, EAR_FATAL, "libcurl does not start");
        goto done;
    }
    fetch->multi = curl_multi_init();
    if (fetch->multi == NULL) {
        curl_global_cleanup();
        ear_fail_memory(err, "the fetcher");
        goto done;
    }
    if (loop_open(fetch, err) != 0) {
        goto done;
    }
    if (fetch->budget_path != NULL &&
        budgets_load(&fetch->budgets, fetch->budget_path, budget_now_us(fetch), err) != 0) {
        goto done;
    }
    curl_multi_setopt(fetch->multi, CURLMOPT_MAXCONNECTS,
                      (long)(config->concurrent < FETCH_IDLE_CONNECTIONS_MAX
                                 ? config->concurrent
                                 : FETCH_IDLE_CONNECTIONS_MAX));
    *out = fetch;
    fetch = NULL;
    result = 0;

done:
    fetch_close(fetch);
    return result;
}

/* `last`: at the end, so that it lasts. */
static void save_budgets(struct fetch *fetch, bool last)
{
    if (fetch->budget_path != NULL && !fetch->config.budget_read_only) {
        budgets_save(&fetch->budgets, fetch->budget_path, budget_now_us(fetch), last);
    }
}

static void free_list(struct transfer *list)
{
    while (list != NULL) {
        struct transfer *next = list->next;

        transfer_free(list);
        list = next;
    }
}

void fetch_close(struct fetch *fetch)
{
    if (fetch == NULL) {
        return;
    }
    for (struct transfer *each = fetch->active; each != NULL; each = each->next) {
        transfer_end(each, CURLE_ABORTED_BY_CALLBACK, clock_mono_us());
    }
    free_list(fetch->active);
    free_list(fetch->done);
    transfer_free(fetch->given);
    hosts_clear(&fetch->hosts);
    save_budgets(fetch, true);
    budgets_clear(&fetch->budgets);
    for (size_t i = 0; i < fetch->spare_count; i++) {
        curl_easy_cleanup(fetch->spare[i]);
    }
    if (fetch->multi != NULL) {
        curl_multi_cleanup(fetch->multi);
        curl_global_cleanup();
    }
    loop_close(fetch);
    free(fetch->user_agent);
    free(fetch->certificates);
    free(fetch->budget_path);
    free(fetch->allow);
    free(fetch);
}

/* The queue of a host or, where there is a budget, of that. */
static struct host *queue_of(struct fetch *fetch, const char *host_name, struct budget *budget)
{
    char name[FETCH_BUDGET_ID_SIZE + 1];
    struct host *host = NULL;

    if (budget != NULL) {
        (void)snprintf(name, sizeof(name), "@%s", budget->id);
    }
    host = hosts_take(&fetch->hosts, budget == NULL ? host_name : name,
                      fetch->config.host_rate_per_s, clock_mono_us());
    if (host != NULL) {
        host->budget = budget;
    }
    return host;
}

/* Puts a transfer into the queue of the host that its URL names, or of its budget while it is at
 * home. */
static int enqueue(struct fetch *fetch, struct transfer *transfer, struct ear_error *err)
{
    const bool at_home = strcmp(transfer->origin, transfer->url.origin) == 0;
    struct host *host = queue_of(fetch, transfer->url.host, at_home ? transfer->budget : NULL);
    struct fetch_range address;

    if (host == NULL) {
        return ear_fail_memory(err, "a host");
    }
    if (!host->opened && fetch_range_parse(&address, transfer->url.host)) {
        host->opened = fetch_range_opened(&address, fetch->allow, fetch->allow_count);
    }
    hosts_queue(&fetch->hosts, host, transfer);
    return 0;
}

/* Would it wait too long? Then err says so. */
static bool is_spent(struct fetch *fetch, struct budget *budget, const struct transfer *transfer,
                     struct ear_error *err)
{
    const int64_t wait_us = budget_wait_us(budget, transfer->cost, budget->waiting,
                                           transfer->source_hash, budget_now_us(fetch));
    char wait[DURATION_SIZE];

    if (wait_us <= FETCH_WAIT_MAX_US) {
        return false;
    }
    ear_fail(err, EAR_RETRY, "budget: what %s grants is spent; more in %s", transfer->url.host,
             duration_format(wait, wait_us));
    return true;
}

/* The same where its host wants to be left alone. */
static bool is_to_rest(struct fetch *fetch, const struct transfer *transfer, struct ear_error *err)
{
    const int64_t wait_us = host_wait_us(&fetch->hosts, transfer->url.host, clock_mono_us());
    char wait[DURATION_SIZE];

    if (wait_us <= FETCH_WAIT_MAX_US) {
        return false;
    }
    ear_fail(err, EAR_RETRY, "budget: %s wants to be left alone; more in %s", transfer->url.host,
             duration_format(wait, wait_us));
    return true;
}

int fetch_start(struct fetch *fetch, const struct fetch_request *request, void *user,
                struct ear_error *err)
{
    struct transfer *transfer = NULL;
    int result = -1;

    if (transfer_new(&transfer, fetch, request, user, err) != 0) {
        return -1;
    }
    transfer->source_hash = hash64_of(transfer->source, strlen(transfer->source), 0);
    if (request->budget != NULL) {
        transfer->cost = request->budget->cost;
        if (budgets_take(&transfer->budget, &fetch->budgets, request->budget, budget_now_us(fetch),
                         err) != 0 ||
            is_spent(fetch, transfer->budget, transfer, err)) {
            goto done;
        }
    }
    if ((request->budget == NULL && is_to_rest(fetch, transfer, err)) ||
        enqueue(fetch, transfer, err) != 0) {
        goto done;
    }
    transfer = NULL;
    fetch->pending++;
    result = 0;

done:
    transfer_free(transfer);
    return result;
}

static void count_request(struct fetch *fetch, const struct transfer *transfer)
{
    char labels[512];
    char code[16] = "none";

    if (fetch->config.metrics == NULL) {
        return;
    }
    if (transfer->status != 0) {
        (void)snprintf(code, sizeof(code), "%d", transfer->status);
    }
    metrics_add(
        fetch->config.metrics, "earshot_collect_requests_total",
        metrics_labels(labels, sizeof(labels), "source", transfer->source, "code", code, NULL), 1);
}

static void settle(struct fetch *fetch, struct transfer *transfer)
{
    transfer->next = NULL;
    transfer->previous = NULL;
    if (fetch->done_last == NULL) {
        fetch->done = transfer;
    } else {
        fetch->done_last->next = transfer;
    }
    fetch->done_last = transfer;
}

/* What waits for a budget that turned out to be spent for long does not wait any more. */
static void give_up_waiting(struct fetch *fetch, struct host *host)
{
    const int64_t now_us = host->budget == NULL ? clock_mono_us() : budget_now_us(fetch);
    struct transfer *transfer = NULL;
    int64_t wait_us = 0;

    while ((transfer = host_give_up(host, now_us, &wait_us)) != NULL) {
        char wait[DURATION_SIZE];

        transfer->budget_wait_us = wait_us;
        ear_fail(&transfer->failure, EAR_RETRY, "budget: what %s grants is spent; more in %s",
                 transfer->url.host, duration_format(wait, wait_us));
        settle(fetch, transfer);
    }
}

/* What an answer says of the budget it was taken from. */
static void heed(struct fetch *fetch, const struct transfer *transfer)
{
    struct host *host = transfer->host;
    const int64_t now_us = budget_now_us(fetch);
    char labels[256];

    if (host->budget == NULL) {
        host_read_answer(host, transfer, clock_mono_us());
        return;
    }
    budget_read_answer(host->budget, transfer, now_us);
    fetch->budgets.changed = true;
    if (fetch->config.metrics != NULL && *transfer->source != '\0') {
        metrics_set(fetch->config.metrics, "earshot_collect_quota_remaining",
                    metrics_labels(labels, sizeof(labels), "source", transfer->source, NULL),
                    budget_left(host->budget, now_us));
    }
}

/* Lets go what may go now: some of it, for all that begin in one turn have their first bytes read
 * in one go. */
static int dispatch(struct fetch *fetch, int64_t *wait_us, struct ear_error *err)
{
    int begun = 0;

    *wait_us = INT64_MAX;
    while ((int64_t)fetch->active_count < fetch->config.concurrent) {
        const int64_t mono_us = clock_mono_us();
        struct transfer *transfer =
            hosts_next(&fetch->hosts, fetch->config.host_concurrent, fetch->config.host_rate_per_s,
                       mono_us, budget_now_us(fetch), wait_us);

        if (transfer == NULL) {
            break;
        }
        if (transfer_begin(transfer, mono_us, err) != 0) {
            host_release(transfer);
            transfer_free(transfer);
            return -1;
        }
        transfer->previous = NULL;
        transfer->next = fetch->active;
        if (fetch->active != NULL) {
            fetch->active->previous = transfer;
        }
        fetch->active = transfer;
        fetch->active_count++;
        if (++begun == BEGUN_MAX) {
            *wait_us = 0;
            break;
        }
    }
    return 0;
}

/* Ends a transfer that is under way. */
static void stop(struct fetch *fetch, struct transfer *transfer, CURLcode result)
{
    if (transfer->previous == NULL) {
        fetch->active = transfer->next;
    } else {
        transfer->previous->next = transfer->next;
    }
    if (transfer->next != NULL) {
        transfer->next->previous = transfer->previous;
    }
    fetch->active_count--;
    host_release(transfer);
    transfer_end(transfer, result, clock_mono_us());
}

/* A transfer that libcurl, or we, ended: done, or on to its next hop. */
static int finish(struct fetch *fetch, struct transfer *transfer, CURLcode result,
                  struct ear_error *err)
{
    struct host *host = transfer->host;
    int more = 0;

    stop(fetch, transfer, result);
    count_request(fetch, transfer);
    heed(fetch, transfer);
    more = transfer_redirect(transfer, &transfer->failure);
    if (more != 1) {
        settle(fetch, transfer);
    }
    give_up_waiting(fetch, host);
    if (more == 1 && enqueue(fetch, transfer, err) != 0) {
        transfer_free(transfer);
        return -1;
    }
    return 0;
}

/* Takes what is done for this `user`, and not given out, off the list. */
static void drop_done(struct fetch *fetch, const void *user)
{
    struct transfer *list = fetch->done;

    fetch->done = NULL;
    fetch->done_last = NULL;
    while (list != NULL) {
        struct transfer *next = list->next;

        if (list->user == user) {
            transfer_free(list);
            fetch->pending--;
        } else {
            settle(fetch, list);
        }
        list = next;
    }
}

void fetch_cancel(struct fetch *fetch, const void *user)
{
    struct transfer *waiting = NULL;

    while ((waiting = hosts_take_out(&fetch->hosts, user)) != NULL) {
        transfer_free(waiting);
        fetch->pending--;
    }
    for (struct transfer *each = fetch->active, *next = NULL; each != NULL; each = next) {
        next = each->next;
        if (each->user == user) {
            stop(fetch, each, CURLE_ABORTED_BY_CALLBACK);
            transfer_free(each);
            fetch->pending--;
        }
    }
    drop_done(fetch, user);
}

static int reap(struct fetch *fetch, struct ear_error *err)
{
    CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(fetch->multi, &left)) != NULL) {
        char *private = NULL;

        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        if (finish(fetch, (struct transfer *)(void *)private, message->data.result, err) != 0) {
            return -1;
        }
    }
    /* Those that were cut to make room for others, or for being slow: libcurl does not know it. */
    for (struct transfer *each = fetch->cut_some ? fetch->active : NULL, *next = NULL; each != NULL;
         each = next) {
        next = each->next;
        if ((each->cut == CUT_MEMORY || each->slow) &&
            finish(fetch, each, each->slow ? CURLE_OPERATION_TIMEDOUT : CURLE_WRITE_ERROR, err) !=
                0) {
            return -1;
        }
    }
    fetch->cut_some = false;
    return 0;
}

static int give(struct fetch *fetch, const struct fetch_answer **answer, void **user)
{
    struct transfer *transfer = fetch->done;

    fetch->done = transfer->next;
    if (fetch->done == NULL) {
        fetch->done_last = NULL;
    }
    transfer->next = NULL;
    fetch->given = transfer;
    fetch->pending--;
    transfer_answer(&fetch->answer, transfer);
    *answer = &fetch->answer;
    *user = transfer->user;
    return 1;
}

/* Looks now and then whether transfers come in at all. *wait_us: not longer than until the next
 * look. */
static void watch_speed(struct fetch *fetch, int64_t *wait_us)
{
    const int64_t every_us = fetch->config.slow_timeout_us / SLOW_LOOKS;
    const int64_t mono_us = clock_mono_us();

    if (mono_us >= fetch->slow_mono_us) {
        for (struct transfer *each = fetch->active; each != NULL; each = each->next) {
            transfer_watch_speed(each, mono_us);
            fetch->cut_some = fetch->cut_some || each->slow;
        }
        fetch->slow_mono_us = mono_us + every_us;
    }
    if (fetch->active != NULL && fetch->slow_mono_us - mono_us < *wait_us) {
        *wait_us = fetch->slow_mono_us - mono_us;
    }
}

int fetch_turn(struct fetch *fetch, int timeout_ms, const struct fetch_answer **answer, void **user,
               struct ear_error *err)
{
    const int64_t end_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    int64_t wait_us = 0;
    bool woken = false;

    transfer_free(fetch->given);
    fetch->given = NULL;
    while (fetch->done == NULL) {
        int64_t left_us = 0;

        if (loop_turn(fetch, wait_us, &woken, err) != 0 || reap(fetch, err) != 0 ||
            dispatch(fetch, &wait_us, err) != 0) {
            return -1;
        }
        save_budgets(fetch, false);
        watch_speed(fetch, &wait_us);
        left_us = end_us - clock_mono_us();
        if (left_us <= 0 || woken) {
            break;
        }
        wait_us = wait_us < left_us ? wait_us : left_us;
    }
    return fetch->done == NULL ? 0 : give(fetch, answer, user);
}

void fetch_wake(struct fetch *fetch)
{
    loop_wake(fetch);
}

size_t fetch_pending(const struct fetch *fetch)
{
    return fetch->pending;
}

/* --- budgets --- */

int64_t fetch_rest_us(struct fetch *fetch, const char *url)
{
    struct ear_error ignored = {EAR_NONE, ""};
    struct fetch_url parsed = {0};
    int64_t wait_us = 0;

    if (fetch_url_parse(&parsed, url, NULL, &ignored) != 0) {
        return 0; /* which is said when the request is made */
    }
    wait_us = host_wait_us(&fetch->hosts, parsed.host, clock_mono_us());
    fetch_url_clear(&parsed);
    return wait_us;
}

int64_t fetch_budget_wait_us(struct fetch *fetch, const struct fetch_budget *budget,
                             const char *source)
{
    struct ear_error err = {EAR_NONE, ""};
    struct budget *taken = NULL;

    /* What is wrong with it is said when the request is made. */
    if (budgets_take(&taken, &fetch->budgets, budget, budget_now_us(fetch), &err) != 0) {
        return 0;
    }
    return budget_wait_us(taken, budget->cost, taken->waiting,
                          source == NULL ? 0 : hash64_of(source, strlen(source), 0),
                          budget_now_us(fetch));
}

/* What was said of a budget holds for what waits too. */
static void apply(struct fetch *fetch, struct budget *budget)
{
    struct host *host = queue_of(fetch, NULL, budget);

    fetch->budgets.changed = true;
    if (host != NULL) {
        give_up_waiting(fetch, host);
    }
}

void fetch_budget_tell(struct fetch *fetch, const struct fetch_budget *budget, size_t limit,
                       double remaining, int64_t reset_us)
{
    struct budget *known = budgets_find(&fetch->budgets, budget->id);
    struct window *window = known == NULL || limit >= budget->limit_count
                                ? NULL
                                : budget_window(known, &budget->limits[limit]);

    if (window != NULL) {
        budget_tell(known, window, remaining, reset_us, budget_now_us(fetch));
        apply(fetch, known);
    }
}

void fetch_budget_rest(struct fetch *fetch, const struct fetch_budget *budget, int64_t wait_us)
{
    struct budget *known = budgets_find(&fetch->budgets, budget->id);

    if (known != NULL && wait_us > 0) {
        budget_rest(known, wait_us, budget_now_us(fetch));
        apply(fetch, known);
    }
}

int64_t fetch_budget_share_us(struct fetch *fetch, const char *id)
{
    struct budget *known = budgets_find(&fetch->budgets, id);

    return known == NULL ? 0 : budget_share_us(known, budget_now_us(fetch));
}

double fetch_budget_left(struct fetch *fetch, const char *id)
{
    struct budget *known = budgets_find(&fetch->budgets, id);

    return known == NULL ? -1 : budget_left(known, budget_now_us(fetch));
}
