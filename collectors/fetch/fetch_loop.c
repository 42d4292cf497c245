/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libcurl waits for: its sockets in one epoll set, its timer, and our own wake-up.
 *
 * A socket that has something is read until it has no more, or a transfer is done, before the next
 * one is looked at; and once one is done nothing else is read until it was given out. What has come
 * for the others stays in the kernel's buffers meanwhile, where TCP holds the servers back. So a
 * thousand answers that come at once take the memory of a few. The set gives sockets by turns, so
 * none is left behind.
 */

#include "collectors/fetch/fetch_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    EVENTS_MAX = 32,
    READS_MAX = 256, /* of one socket before the others come: 4 MiB */
};

#define NEVER_US INT64_MAX

static int on_watch(CURL *easy, curl_socket_t door, int what, void *user, void *known)
{
    struct fetch *fetch = user;
    struct epoll_event event = {.data.fd = door};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(fetch->epoll, EPOLL_CTL_DEL, door, NULL);
        return 0;
    }
    event.events = ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0) |
                   ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(fetch->epoll, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, door, &event) != 0 &&
        (errno != EEXIST || epoll_ctl(fetch->epoll, EPOLL_CTL_MOD, door, &event) != 0)) {
        return -1;
    }
    curl_multi_assign(fetch->multi, door, fetch);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct fetch *fetch = user;

    (void)multi;
    fetch->timer_us = timeout_ms < 0 ? NEVER_US : clock_mono_us() + (int64_t)timeout_ms * 1000;
    return 0;
}

int loop_open(struct fetch *fetch, struct ear_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};

    fetch->timer_us = NEVER_US;
    fetch->epoll = epoll_create1(EPOLL_CLOEXEC);
    fetch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.fd = fetch->wake;
    if (fetch->epoll < 0 || fetch->wake < 0 ||
        epoll_ctl(fetch->epoll, EPOLL_CTL_ADD, fetch->wake, &event) != 0) {
        return ear_fail(err, EAR_FATAL, "the fetcher has nothing to wait with: %s",
                        strerror(errno)); /* NOLINT(concurrency-mt-unsafe): glibc's is safe */
    }
    curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
    curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
    curl_multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
    return 0;
}

void loop_close(struct fetch *fetch)
{
    if (fetch->epoll >= 0) {
        close(fetch->epoll);
    }
    if (fetch->wake >= 0) {
        close(fetch->wake);
    }
    fetch->epoll = -1;
    fetch->wake = -1;
}

void loop_wake(struct fetch *fetch)
{
    const uint64_t one = 1;

    if (write(fetch->wake, &one, sizeof(one)) < 0) {
        return; /* it is full of wake-ups already */
    }
}

/* Something happened on a socket, or a time has come (CURL_SOCKET_TIMEOUT). *ended: a transfer came
 * to its end. */
static int act(struct fetch *fetch, curl_socket_t door, int what, bool *ended,
               struct ear_error *err)
{
    int running = 0;

    if (curl_multi_socket_action(fetch->multi, door, what, &running) != CURLM_OK) {
        return ear_fail(err, EAR_FATAL, "libcurl's loop failed");
    }
    *ended = *ended || (size_t)running < fetch->active_count;
    return 0;
}

static int read_out(struct fetch *fetch, const struct epoll_event *event, bool *ended,
                    struct ear_error *err)
{
    int what = ((event->events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
               ((event->events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((event->events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);

    for (int i = 0; i < READS_MAX && !*ended; i++) {
        const uint64_t before = fetch->received;

        if (act(fetch, event->data.fd, what, ended, err) != 0) {
            return -1;
        }
        if (fetch->received == before) {
            break;
        }
        what = CURL_CSELECT_IN;
    }
    return 0;
}

static int timeout_ms(const struct fetch *fetch, int64_t wait_us)
{
    const int64_t now_us = clock_mono_us();
    int64_t until_us = fetch->timer_us == NEVER_US ? NEVER_US : fetch->timer_us - now_us;

    until_us = until_us < wait_us ? until_us : wait_us;
    if (until_us <= 0) {
        return 0;
    }
    return until_us > INT64_C(3600000000) ? 3600000 : (int)((until_us + 999) / 1000);
}

int loop_turn(struct fetch *fetch, int64_t wait_us, bool *woken, struct ear_error *err)
{
    struct epoll_event events[EVENTS_MAX];
    bool ended = false;
    const int count = epoll_wait(fetch->epoll, events, EVENTS_MAX, timeout_ms(fetch, wait_us));

    if (count < 0 && errno != EINTR) {
        return ear_fail(err, EAR_FATAL, "the fetcher cannot wait: %s",
                        strerror(errno)); /* NOLINT(concurrency-mt-unsafe): glibc's is safe */
    }
    if (fetch->timer_us <= clock_mono_us()) {
        fetch->timer_us = NEVER_US;
        if (act(fetch, CURL_SOCKET_TIMEOUT, 0, &ended, err) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == fetch->wake) {
            uint64_t wakes = 0;

            *woken = read(fetch->wake, &wakes, sizeof(wakes)) > 0 || *woken;
        } else if (!ended && read_out(fetch, &events[i], &ended, err) != 0) {
            return -1;
        }
    }
    return 0;
}
