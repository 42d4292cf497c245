/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/http_server.h"
#include "common/instant.h"
#include "common/metrics.h"

/*
 * systemd's side is its notify protocol: a datagram to the socket that $NOTIFY_SOCKET names,
 * READY=1 once and WATCHDOG=1 at least every $WATCHDOG_USEC (sd_notify(3)); no library is needed
 * for that.
 */

static const int64_t ALIVE_US = 30 * CLOCK_SECOND_US;

struct health {
    struct http_server *server;
    struct metrics *metrics;
    bool (*ready)(void *user, char *why, size_t size);
    void *user;
    atomic_llong last_beat_us; /* monotonic; 0 before the first */
    int notify_file;           /* -1: no systemd */
    int64_t notify_every_us;   /* 0: READY alone */
    int64_t next_notify_us;
};

/* --- systemd --- */

static const char *environment(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): asked at start */
}

static void open_notify(struct health *health)
{
    const char *path = environment("NOTIFY_SOCKET");
    const char *period = environment("WATCHDOG_USEC");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path == NULL ? 0 : strlen(path);

    health->notify_file = -1;
    if (length < 2 || length >= sizeof address.sun_path || (*path != '/' && *path != '@')) {
        return;
    }
    memcpy(address.sun_path, path, length);
    if (*path == '@') {
        address.sun_path[0] = '\0'; /* the abstract name space */
    }
    health->notify_file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (health->notify_file >= 0 &&
        connect(health->notify_file, (const struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) != 0) {
        close(health->notify_file);
        health->notify_file = -1;
    }
    /* half of what is allowed, as sd_watchdog_enabled(3) advises */
    health->notify_every_us = period == NULL ? 0 : strtoll(period, NULL, 10) / 2;
}

static void notify(const struct health *health, const char *message)
{
    if (health->notify_file >= 0) {
        (void)send(health->notify_file, message, strlen(message), MSG_NOSIGNAL);
    }
}

/* --- routes --- */

static void set_text(struct http_answer *answer, int status, const char *text)
{
    answer->status = status;
    answer->type = "text/plain; charset=utf-8";
    answer->body = strdup(text);
    answer->body_length = answer->body == NULL ? 0 : strlen(text);
}

static void serve_live(void *user, const struct http_request *request, struct http_answer *answer)
{
    struct health *health = user;
    int64_t silent_us = clock_mono_us() - atomic_load(&health->last_beat_us);
    char silent[DURATION_SIZE];
    char text[128];

    (void)request;
    if (silent_us <= ALIVE_US) {
        set_text(answer, 200, "alive\n");
        return;
    }
    snprintf(text, sizeof text, "the loop has given no sign for %s\n",
             duration_format(silent, silent_us));
    set_text(answer, 503, text);
}

static void serve_ready(void *user, const struct http_request *request, struct http_answer *answer)
{
    const struct health *health = user;
    char why[512] = "";
    char text[sizeof why + 16];

    (void)request;
    if (health->ready == NULL || health->ready(health->user, why, sizeof why)) {
        set_text(answer, 200, "ready\n");
        return;
    }
    snprintf(text, sizeof text, "not ready: %s\n", why);
    set_text(answer, 503, text);
}

static void serve_metrics(void *user, const struct http_request *request,
                          struct http_answer *answer)
{
    const struct health *health = user;

    (void)request;
    answer->body = health->metrics == NULL ? strdup("") : metrics_text(health->metrics);
    if (answer->body == NULL) {
        answer->status = 503;
        return;
    }
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    answer->body_length = strlen(answer->body);
}

static const struct http_route routes[] = {{"GET", "/livez", serve_live},
                                           {"GET", "/readyz", serve_ready},
                                           {"GET", "/metrics", serve_metrics},
                                           {0}};

/* --- the door --- */

int health_open(struct health **out, const char *listen, struct metrics *metrics,
                bool (*ready)(void *user, char *why, size_t size), void *user,
                struct ear_error *err)
{
    struct health *health = calloc(1, sizeof *health);
    const struct http_config config = {
        .listen = listen, .routes = routes, .user = health, .body_limit_bytes = 0};

    if (health == NULL) {
        return ear_fail_memory(err, "the state of health");
    }
    health->metrics = metrics;
    health->ready = ready;
    health->user = user;
    atomic_store(&health->last_beat_us, clock_mono_us());
    open_notify(health);
    if (listen != NULL && http_server_open(&health->server, &config, err) != 0) {
        health_close(health);
        return -1;
    }
    *out = health;
    return 0;
}

void health_close(struct health *health)
{
    if (health == NULL) {
        return;
    }
    http_server_close(health->server);
    if (health->notify_file >= 0) {
        notify(health, "STOPPING=1");
        close(health->notify_file);
    }
    free(health);
}

int health_port(const struct health *health)
{
    return health->server == NULL ? 0 : http_server_port(health->server);
}

void health_beat(struct health *health)
{
    int64_t now = clock_mono_us();

    atomic_store(&health->last_beat_us, now);
    if (health->next_notify_us == 0) {
        notify(health, "READY=1");
        health->next_notify_us = now;
    }
    if (health->notify_every_us > 0 && now >= health->next_notify_us) {
        notify(health, "WATCHDOG=1");
        health->next_notify_us = now + health->notify_every_us;
    }
}
