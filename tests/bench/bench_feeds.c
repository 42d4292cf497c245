/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Feeds to be polled by who is measured: bench_feeds
 *
 * Serves /feed/0 … /feed/99999, each an RSS feed of its own of 85 items and 49 kB, on a free port
 * of all addresses 127.x.y.z (each may stand for a host of its own); prints the port. /next is the
 * next feed in turn, for a client that knows one address. One thread and a page of which only the
 * numbers are set anew, so that it costs a fraction of what any client spends.
 *
 *     GET /control?new=3&etag=1&hold=0&feeds=5000   from now on: a feed has so many more items with
 *         each answer; answers bear an ETag, and 304 says that nothing has changed; an answer is
 *         held back for so many ms; /next has so many feeds
 *     GET /asked     a line for each request for a feed since the last time: µs since 1970, number,
 *         status; the last line is how many were held back at once at most, and how many came
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FEEDS_MAX = 100000,
    ITEMS = 85,
    ITEM_BYTES = 573, /* as pages that were measured have */
    PAGE_MAX = 64 * 1024,
    SERIES = 50000, /* items of a feed, ever */
    DATE_BYTES = 29,
    REQUEST_MAX = 2048,
    EVENTS = 64,
    TEXTS = 5,
};

#define CHANNEL                                                                                    \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\" "                            \
    "xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><channel><title>Notes of blog "                 \
    "00000</title><link>http://blog-00000.example.org/</link><description>What people "            \
    "say</description><language>en</language>\n"
#define ITEM                                                                                       \
    "<item><title>Note 000000 of blog 00000</title><link>http://blog-00000.example.org/note/"      \
    "000000</link><guid isPermaLink=\"false\">blog-00000-000000</guid><pubDate>Sun, 22 Nov 2026 "  \
    "00:00:00 GMT</pubDate><dc:creator>reader-000000</dc:creator><description><![CDATA[<p>"
#define ITEM_END "</p>]]></description></item>\n"
#define CHANNEL_END "</channel></rss>\n"

static const char *const said[TEXTS] = {
    "The courier left my parcel in the rain and nobody at support answers the phone. ",
    "Love the new update, battery lasts two days now. Thank you! ",
    "Wouldn&#8217;t it be nice if the app worked <em>offline</em>, on the train I never have one? ",
    "Globex charges half of that and answers within the hour, why does Acme not? ",
    "Is it normal that the charger gets this warm after twenty minutes of <b>nothing</b>? ",
};

struct client {
    int door;
    char request[REQUEST_MAX];
    size_t length;
    int64_t due_us;       /* its answer is held back until then; 0: it is not */
    struct client *later; /* among those that are held back */
    int feed;
    bool knows; /* it named the ETag that holds still */
    char *rest; /* [rest_length] of an answer that did not go out at once */
    size_t rest_length, rest_sent;
    bool gone;
};

struct asked {
    int64_t at_us;
    int feed, status;
};

struct server {
    int poll, listening;
    struct client *held, *held_last;
    size_t held_count, held_most;
    struct asked *asked; /* [asked_count] */
    size_t asked_count, asked_capacity;
    int newest[FEEDS_MAX]; /* of each feed's items */
    long more, etag, hold_ms, feeds;
    long next;
    char page[PAGE_MAX];
    size_t page_length;
    char items[TEXTS][ITEM_BYTES + 1];
    char dates[SERIES][DATE_BYTES + 1];
};

static void die(const char *what)
{
    fprintf(stderr, "bench_feeds: %s: %s\n", what, strerror(errno)); /* NOLINT: one thread */
    exit(1);                                                         /* NOLINT: likewise */
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- pages --- */

static void append(struct server *server, const char *text, size_t length)
{
    if (server->page_length + length > PAGE_MAX) {
        die("the page is too long");
    }
    memcpy(server->page + server->page_length, text, length);
    server->page_length += length;
}

static void make_item(char out[ITEM_BYTES + 1], int number)
{
    size_t length = strlen(ITEM);
    const size_t end = ITEM_BYTES - strlen(ITEM_END);

    memcpy(out, ITEM, length);
    for (int n = number; length < end; n++) {
        const char *text = said[n % TEXTS];
        const size_t most = strlen(text) < end - length ? strlen(text) : end - length;

        memcpy(out + length, text, most);
        length += most;
    }
    memcpy(out + end, ITEM_END, strlen(ITEM_END));
}

static void make_page(struct server *server)
{
    const time_t first = time(NULL) - (time_t)SERIES * 60;

    for (int i = 0; i < SERIES; i++) {
        const time_t at = first + (time_t)i * 60;
        struct tm parts;

        gmtime_r(&at, &parts);
        strftime(server->dates[i], DATE_BYTES + 1, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    append(server, CHANNEL, strlen(CHANNEL));
    for (int i = 0; i < ITEMS; i++) {
        char item[ITEM_BYTES + 1] = "";

        append(server, item, ITEM_BYTES); /* made anew with each answer */
    }
    append(server, CHANNEL_END, strlen(CHANNEL_END));
    for (int i = 0; i < TEXTS; i++) {
        make_item(server->items[i], i);
    }
}

static void put_number(char *out, int number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10) {
        out[i] = (char)('0' + number % 10);
    }
}

/* A page: what an item says hangs on its number alone, so that it is the same in each answer. */
static void set_page(struct server *server, int feed)
{
    char *at = server->page;
    const int newest = server->newest[feed] + ITEMS - 1;

    put_number(strstr(at, "of blog ") + 8, feed, 5);
    put_number(strstr(at, "blog-") + 5, feed, 5);
    at += strlen(CHANNEL);
    for (int i = 0; i < ITEMS; i++, at += ITEM_BYTES) {
        const int number = (newest - i) % SERIES;
        static const char item[] = ITEM;

        memcpy(at, server->items[number % TEXTS], ITEM_BYTES);
        for (const char *each = item; (each = strstr(each, "000000")) != NULL; each += 6) {
            put_number(at + (each - item), number, 6);
        }
        put_number(at + (strstr(item, "of blog ") - item) + 8, feed, 5);
        put_number(at + (strstr(item, "//blog-") - item) + 7, feed, 5);
        put_number(at + (strstr(item, ">blog-") - item) + 6, feed, 5);
        memcpy(at + (strstr(item, "Sun, ") - item), server->dates[number], DATE_BYTES);
    }
}

/* --- answers --- */

static void watch(struct server *server, struct client *client, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};

    if (epoll_ctl(server->poll, how, client == NULL ? server->listening : client->door, &event) !=
        0) {
        die("epoll");
    }
}

/* What does not go out at once is kept; a client asks for one thing at a time. */
static void send_piece(struct server *server, struct client *client, const char *bytes,
                       size_t length)
{
    ssize_t sent = 0;

    if (client->rest == NULL) {
        sent = send(client->door, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent = sent < 0 ? 0 : sent; /* one that is gone is noticed at the next event */
    }
    if ((size_t)sent < length) {
        const bool first = client->rest == NULL;
        char *rest = realloc(client->rest, client->rest_length + length - (size_t)sent);

        if (rest == NULL) {
            die("no memory");
        }
        memcpy(rest + client->rest_length, bytes + sent, length - (size_t)sent);
        client->rest = rest;
        client->rest_length += length - (size_t)sent;
        if (first) {
            watch(server, client, EPOLL_CTL_MOD, EPOLLOUT);
        }
    }
}

static void send_rest(struct server *server, struct client *client)
{
    const ssize_t sent = send(client->door, client->rest + client->rest_sent,
                              client->rest_length - client->rest_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && errno != EAGAIN) {
        client->gone = true;
        return;
    }
    client->rest_sent += sent < 0 ? 0 : (size_t)sent;
    if (client->rest_sent == client->rest_length) {
        free(client->rest);
        client->rest = NULL;
        client->rest_length = 0;
        client->rest_sent = 0;
        watch(server, client, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void note(struct server *server, int feed, int status)
{
    if (server->asked_count == server->asked_capacity) {
        server->asked_capacity = server->asked_capacity * 2 + 4096;
        server->asked =
            realloc(server->asked, server->asked_capacity * sizeof(*server->asked)); /* NOLINT */
        if (server->asked == NULL) {
            die("no memory");
        }
    }
    server->asked[server->asked_count++] =
        (struct asked){.at_us = now_us(), .feed = feed, .status = status};
}

static void answer_feed(struct server *server, struct client *client)
{
    const int feed = client->feed;
    char etag[64] = "";
    char head[256];
    int length = 0;

    if (server->etag != 0) {
        (void)snprintf(etag, sizeof etag, "ETag: \"%d-%d\"\r\n", feed, server->newest[feed]);
    }
    if (client->knows) {
        length = snprintf(head, sizeof head, "HTTP/1.1 304 Not Modified\r\n%s\r\n", etag);
        send_piece(server, client, head, (size_t)length);
        return;
    }
    set_page(server, feed);
    length = snprintf(head, sizeof head,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n%s"
                      "Content-Length: %zu\r\n\r\n",
                      etag, server->page_length);
    send_piece(server, client, head, (size_t)length);
    send_piece(server, client, server->page, server->page_length);
}

static void answer_text(struct server *server, struct client *client, const char *text,
                        size_t length)
{
    char head[128];
    const int head_length = snprintf(
        head, sizeof head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", length);

    send_piece(server, client, head, (size_t)head_length);
    send_piece(server, client, text, length);
}

static void answer_asked(struct server *server, struct client *client)
{
    const size_t size = server->asked_count * 48 + 64;
    char *text = malloc(size);
    size_t length = 0;

    if (text == NULL) {
        die("no memory");
    }
    for (size_t i = 0; i < server->asked_count; i++) {
        const struct asked *asked = &server->asked[i];

        length += (size_t)snprintf(text + length, size - length, "%lld %d %d\n",
                                   (long long)asked->at_us, asked->feed, asked->status);
    }
    length += (size_t)snprintf(text + length, size - length, "%zu %zu\n", server->held_most,
                               server->asked_count);
    server->asked_count = 0;
    server->held_most = server->held_count;
    answer_text(server, client, text, length);
    free(text);
}

static void set_one(const char *line, const char *name, long *out)
{
    const char *at = strstr(line, name);

    if (at != NULL) {
        *out = strtol(at + strlen(name), NULL, 10);
    }
}

static void control(struct server *server, struct client *client)
{
    set_one(client->request, "new=", &server->more);
    set_one(client->request, "etag=", &server->etag);
    set_one(client->request, "hold=", &server->hold_ms);
    set_one(client->request, "feeds=", &server->feeds);
    answer_text(server, client, "set\n", 4);
}

/* --- requests --- */

/* The ETag that it names, if it is still the feed's. */
static bool knows(struct server *server, const struct client *client)
{
    const char *line = strcasestr(client->request, "If-None-Match: \"");
    char *end = NULL;

    if (line == NULL || server->etag == 0) {
        return false;
    }
    return strtol(line + 16, &end, 10) == client->feed && *end == '-' &&
           strtol(end + 1, NULL, 10) == server->newest[client->feed];
}

static void hold(struct server *server, struct client *client)
{
    client->due_us = now_us() + server->hold_ms * 1000;
    client->later = NULL;
    if (server->held_last == NULL) {
        server->held = client;
    } else {
        server->held_last->later = client;
    }
    server->held_last = client;
    server->held_count++;
    server->held_most =
        server->held_count > server->held_most ? server->held_count : server->held_most;
}

static void take_request(struct server *server, struct client *client)
{
    const bool in_turn = strncmp(client->request, "GET /next", 9) == 0;

    client->length = 0;
    if (strncmp(client->request, "GET /asked", 10) == 0) {
        answer_asked(server, client);
    } else if (strncmp(client->request, "GET /control", 12) == 0) {
        control(server, client);
    } else if (in_turn || strncmp(client->request, "GET /feed/", 10) == 0) {
        client->feed = (int)(in_turn ? server->next++ % server->feeds
                                     : strtol(client->request + 10, NULL, 10) % FEEDS_MAX);
        server->newest[client->feed] += (int)server->more;
        client->knows = knows(server, client);
        note(server, client->feed, client->knows ? 304 : 200);
        if (server->hold_ms == 0) {
            answer_feed(server, client);
        } else {
            hold(server, client);
        }
    } else {
        client->gone = true;
    }
}

static void hear(struct server *server, struct client *client)
{
    const ssize_t got = recv(client->door, client->request + client->length,
                             REQUEST_MAX - 1 - client->length, MSG_DONTWAIT);

    if (got <= 0) {
        client->gone = got == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    client->length += (size_t)got;
    client->request[client->length] = '\0';
    if (strstr(client->request, "\r\n\r\n") != NULL) {
        take_request(server, client);
    }
}

static void greet(struct server *server)
{
    const int door = accept(server->listening, NULL, NULL); /* NOLINT: a bench */
    struct client *client = NULL;
    const int on = 1;

    if (door < 0) {
        return;
    }
    client = calloc(1, sizeof *client);
    if (client == NULL) {
        die("no memory");
    }
    (void)setsockopt(door, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->door = door;
    watch(server, client, EPOLL_CTL_ADD, EPOLLIN);
}

/* One whose answer is held back is still looked for there: it goes when that is due. */
static void part_from(struct client *client)
{
    if (client->due_us != 0) {
        return;
    }
    close(client->door);
    free(client->rest);
    free(client);
}

static void release(struct server *server)
{
    while (server->held != NULL && server->held->due_us <= now_us()) {
        struct client *client = server->held;

        server->held = client->later;
        server->held_last = server->held == NULL ? NULL : server->held_last;
        server->held_count--;
        client->due_us = 0;
        if (client->gone) {
            part_from(client);
        } else {
            answer_feed(server, client);
        }
    }
}

static void serve(struct server *server)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        const int count = epoll_wait(server->poll, events, EVENTS, server->held == NULL ? -1 : 1);

        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;

            if (client == NULL) {
                greet(server);
                continue;
            }
            if (client->rest != NULL) {
                send_rest(server, client);
            } else {
                hear(server, client);
            }
            if (client->gone) {
                (void)epoll_ctl(server->poll, EPOLL_CTL_DEL, client->door, NULL);
                part_from(client);
            }
        }
        release(server);
    }
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof address;
    struct server *server = calloc(1, sizeof *server);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with who started it */
    if (server == NULL) {
        die("no memory");
    }
    server->feeds = 1;
    make_page(server);
    server->poll = epoll_create1(EPOLL_CLOEXEC);
    server->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->poll < 0 || server->listening < 0 ||
        bind(server->listening, (struct sockaddr *)&address, size) != 0 ||
        listen(server->listening, 4096) != 0 ||
        getsockname(server->listening, (struct sockaddr *)&address, &size) != 0) {
        die("no port to listen on");
    }
    watch(server, NULL, EPOLL_CTL_ADD, EPOLLIN);
    printf("%d %zu\n", ntohs(address.sin_port), server->page_length);
    (void)fflush(stdout);
    serve(server);
}
