/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What polling feeds costs: bench_collect [SOURCES [ROUNDS [ITEMS [HOLD_MS]]]]
 *
 * A child serves SOURCES feeds (200) of ITEMS items (20), each with one more item than the round
 * before; the collector polls all of them ROUNDS times (20) into a local log, once each as `once`
 * does. Prints feeds a second of wall and of CPU time, and the most memory that it took. With
 * HOLD_MS the server keeps each answer back so long: then all feeds are in flight at once, and the
 * memory says what that takes.
 */
#include <arpa/inet.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collectors/collector.h"
#include "collectors/fetch/fetch.h"
#include "collectors/post.h"
#include "common/clock.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

enum { CLIENTS_MAX = 4096, REQUEST_MAX = 4096, PAGE_MAX = 1 << 20, FEEDS_MAX = 100000 };

struct numbers {
    int sources, rounds, items, hold_ms;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_collect: %s\n", what);
    exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void check(int result, const struct ear_error *err)
{
    if (result != 0) {
        die(err->message);
    }
}

/* --- the server --- */

struct client {
    char request[REQUEST_MAX];
    size_t length;
    int64_t due_us; /* when its answer goes out; 0: nothing was asked */
};

struct server {
    const struct numbers *numbers;
    struct pollfd doors[CLIENTS_MAX]; /* [count]; the first listens */
    struct client *clients[CLIENTS_MAX];
    size_t count;
    int asked[FEEDS_MAX]; /* how often, by feed */
    char page[PAGE_MAX];
};

static size_t write_page(struct server *server, int feed)
{
    const int newest = server->numbers->items + server->asked[feed]++;
    char *out = server->page;
    size_t length = 0;

    length += (size_t)snprintf(out, PAGE_MAX, "<rss version=\"2.0\"><channel><title>f</title>");
    for (int i = newest; i > newest - server->numbers->items && length < PAGE_MAX - 1024; i--) {
        length += (size_t)snprintf(out + length, PAGE_MAX - length,
                                   "<item><guid isPermaLink=\"false\">f%d-%d</guid><title>Note "
                                   "%d</title><description>Wouldn't it be nice if number %d of "
                                   "feed %d synced offline?</description></item>",
                                   feed, i, i, i, feed);
    }
    length += (size_t)snprintf(out + length, PAGE_MAX - length, "</channel></rss>");
    return length;
}

static void send_all(int door, const char *bytes, size_t length)
{
    while (length > 0) {
        struct pollfd wait = {.fd = door, .events = POLLOUT};
        const ssize_t sent = send(door, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && poll(&wait, 1, 5000) <= 0) {
            return;
        }
        bytes += sent < 0 ? 0 : sent;
        length -= sent < 0 ? 0 : (size_t)sent;
    }
}

static void answer(struct server *server, size_t i)
{
    struct client *client = server->clients[i];
    const char *number = strstr(client->request, "/feed/");
    const int feed = number == NULL ? 0 : (int)strtol(number + 6, NULL, 10) % FEEDS_MAX;
    const size_t length = write_page(server, feed);
    char head[128];
    const int head_length = snprintf(head, sizeof head,
                                     "HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n"
                                     "Content-Length: %zu\r\n\r\n",
                                     length);

    send_all(server->doors[i].fd, head, (size_t)head_length);
    send_all(server->doors[i].fd, server->page, length);
    client->length = 0;
    client->due_us = 0;
}

static void greet(struct server *server)
{
    const int door = accept(server->doors[0].fd, NULL, NULL); /* NOLINT: a bench */

    if (door >= 0 && server->count < CLIENTS_MAX) {
        server->clients[server->count] = calloc(1, sizeof(struct client));
        server->doors[server->count++] = (struct pollfd){.fd = door, .events = POLLIN};
    }
}

static void hear(struct server *server, size_t i)
{
    struct client *client = server->clients[i];
    const ssize_t got = recv(server->doors[i].fd, client->request + client->length,
                             REQUEST_MAX - 1 - client->length, 0);

    if (got <= 0) {
        close(server->doors[i].fd);
        free(client);
        server->count--;
        server->doors[i] = server->doors[server->count];
        server->clients[i] = server->clients[server->count];
        return;
    }
    client->length += (size_t)got;
    client->request[client->length] = '\0';
    if (strstr(client->request, "\r\n\r\n") != NULL) {
        client->due_us = clock_mono_us() + (int64_t)server->numbers->hold_ms * 1000;
    }
}

static void serve(int listening, const struct numbers *numbers)
{
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL) {
        die("no memory");
    }
    server->numbers = numbers;
    server->doors[0] = (struct pollfd){.fd = listening, .events = POLLIN};
    server->count = 1;
    for (;;) {
        (void)poll(server->doors, server->count, 10);
        if ((server->doors[0].revents & POLLIN) != 0) {
            greet(server);
        }
        for (size_t i = server->count; i-- > 1;) {
            if (server->doors[i].revents != 0) {
                server->doors[i].revents = 0;
                hear(server, i);
            }
            if (i < server->count && server->clients[i]->due_us != 0 &&
                server->clients[i]->due_us <= clock_mono_us()) {
                answer(server, i);
            }
        }
    }
}

static pid_t start_server(const struct numbers *numbers, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid = 0;

    if (listening < 0 || bind(listening, (struct sockaddr *)&address, size) != 0 ||
        listen(listening, 4096) != 0 ||
        getsockname(listening, (struct sockaddr *)&address, &size) != 0) {
        die("no port to listen on");
    }
    *port = ntohs(address.sin_port);
    pid = fork();
    if (pid == 0) {
        serve(listening, numbers);
    }
    close(listening);
    return pid;
}

/* --- the collector --- */

static double cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void write_configuration(const char *path, const struct numbers *numbers, int port)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        die("the configuration cannot be written");
    }
    (void)fprintf(file, "earshot: 1\nnetwork: {allow: [127.0.0.1]}\nsources:\n");
    for (int i = 0; i < numbers->sources; i++) {
        (void)fprintf(file,
                      "  - {name: feed-%d, use: feed, url: \"http://127.0.0.1:%d/feed/%d\"}\n", i,
                      port, i);
    }
    (void)fclose(file);
}

static int64_t poll_round(const struct collector_config *config)
{
    struct ear_error err = {EAR_NONE, ""};
    struct collector *collector = NULL;
    int64_t fresh = 0;

    check(collector_new(&collector, config, &err), &err);
    while (collector_is_busy(collector)) {
        check(collector_turn(collector, 250, &err), &err);
    }
    for (size_t i = 0; i < config->sources->count; i++) {
        const struct collector_report report = collector_report_at(collector, i);

        fresh += report.counts.fresh;
        if (report.outcome != COLLECTOR_WELL) {
            die(report.error);
        }
    }
    collector_free(collector);
    return fresh;
}

static void measure(const struct numbers *numbers, const char *folder, int port)
{
    static const char *const loopback[] = {"127.0.0.1"};
    const struct fetch_config fetching = {
        .allow = {loopback, 1},
        .body_limit_bytes = 16 << 20,
        .total_timeout_us = 60 * CLOCK_SECOND_US,
        .slow_timeout_us = 30 * CLOCK_SECOND_US,
        .concurrent = 1000,
        .host_concurrent = 4,
        .host_rate_per_s = 10,
        .user_agent = "earshot-bench/1",
    };
    struct ear_error err = {EAR_NONE, ""};
    struct pseudonym_key key = {{1}};
    struct settings *settings = NULL;
    struct sources sources = {0};
    struct clock clock;
    struct collector_config config = {.clock = &clock, .once = true, .seed = 1};
    struct stream *stream = NULL;
    struct fetch *fetch = NULL;
    struct post_rules *rules = NULL;
    struct rusage usage;
    char path[256];
    int64_t fresh = 0;
    int64_t began_us = 0;
    double began_cpu_s = 0;
    double wall_s = 0;
    const double polls = (double)numbers->sources * numbers->rounds;

    (void)snprintf(path, sizeof path, "%s/earshot.yaml", folder);
    write_configuration(path, numbers, port);
    check(clock_init(&clock, NULL, &err), &err);
    check(settings_load(&settings, path, NULL, ".", &err), &err);
    check(sources_init(&sources, settings, source_reader_find, &err), &err);
    check(settings_open_stream(&stream, settings, false, &err), &err);
    check(fetch_open(&fetch, &fetching, &err), &err);
    check(post_rules_new(&rules, settings, &key, &err), &err);
    config.settings = settings;
    config.sources = &sources;
    config.stream = stream;
    config.fetch = fetch;
    config.rules = rules;
    (void)poll_round(&config); /* the first sight: all items are new */
    began_us = clock_mono_us();
    began_cpu_s = cpu_s();
    for (int round = 0; round < numbers->rounds; round++) {
        fresh += poll_round(&config);
    }
    wall_s = (double)(clock_mono_us() - began_us) / 1e6;
    getrusage(RUSAGE_SELF, &usage);
    printf("%d feeds x %d rounds, %lld new posts: %.0f feeds/s, %.0f us CPU a feed, at most %ld "
           "MiB\n",
           numbers->sources, numbers->rounds, (long long)fresh, polls / wall_s,
           (cpu_s() - began_cpu_s) / polls * 1e6, usage.ru_maxrss / 1024);
    post_rules_free(rules);
    fetch_close(fetch);
    stream_close(stream);
    sources_clear(&sources);
    settings_free(settings);
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
    (void)stat;
    (void)kind;
    (void)where;
    return remove(path);
}

static int number_of(int argc, char **argv, int place, int fallback)
{
    return argc > place ? (int)strtol(argv[place], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    const struct numbers numbers = {
        .sources = number_of(argc, argv, 1, 200),
        .rounds = number_of(argc, argv, 2, 20),
        .items = number_of(argc, argv, 3, 20),
        .hold_ms = number_of(argc, argv, 4, 0),
    };
    char folder[] = "/var/tmp/earshot-bench-XXXXXX"; /* a disk: fsync is part of it */
    int port = 0;
    pid_t server = 0;

    if (mkdtemp(folder) == NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        die("no folder");
    }
    server = start_server(&numbers, &port);
    measure(&numbers, folder, port);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
