/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/http/http_server.h"
#include "common/metrics.h"

enum { BODY_LIMIT = 10000 };

/* --- a client that says exactly what it is told --- */

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const struct timeval patience = {.tv_sec = 40};
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(file >= 0);
    assert_int_equal(setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(file, (const struct sockaddr *)&address, sizeof address), 0);
    return file;
}

static void say(int file, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(file, bytes, length, MSG_NOSIGNAL);

        if (sent <= 0) {
            return; /* the server has had enough; what it answered counts */
        }
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* Everything until the server closes; valid until the next call. */
static const char *hear(int file)
{
    static char text[65536];
    size_t length = 0;
    ssize_t got;

    while (length < sizeof text - 1 &&
           (got = recv(file, text + length, sizeof text - 1 - length, 0)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(file);
    return text;
}

static const char *ask(int port, const char *request)
{
    int file = connect_to(port);

    say(file, request, strlen(request));
    return hear(file);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in: %.1000s", part, text);
    }
}

#define END " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* --- a server --- */

static void echo(void *user, const struct http_request *request, struct http_answer *answer)
{
    const char *name = http_query(request, "name");
    const char *agent = http_header(request, "User-Agent");
    int *served = user;

    (*served)++;
    answer->type = "text/plain";
    answer->body = malloc(BODY_LIMIT + 1000);
    assert_non_null(answer->body);
    answer->body_length = (size_t)snprintf(
        answer->body, BODY_LIMIT + 1000, "%s %s name=%s agent=%s %zu:%s", request->method,
        request->path, name == NULL ? "-" : name, agent == NULL ? "-" : agent, request->body_length,
        request->body == NULL ? "-" : request->body);
}

/* Who asks, and what the last proxy said of that. */
static void tell_who(void *user, const struct http_request *request, struct http_answer *answer)
{
    char address[HTTP_ADDRESS_SIZE];
    const char *last = http_header_last(request, "X-Forwarded-For");
    int length = 0;

    (void)user;
    answer->type = "text/plain";
    length = asprintf(&answer->body, "who=%s last=%s", http_address(request, address),
                      last == NULL ? "-" : last);
    assert_true(length > 0);
    answer->body_length = (size_t)length;
}

static void be_empty(void *user, const struct http_request *request, struct http_answer *answer)
{
    (void)user;
    (void)request;
    answer->status = 204;
}

static const struct http_route routes[] = {{"GET", "/echo", echo},    {"POST", "/echo", echo},
                                           {"GET", "/under/*", echo}, {"GET", "/empty", be_empty},
                                           {"GET", "/who", tell_who}, {0}};

static int served;

static int start(void **state)
{
    const struct http_config config = {
        .listen = "127.0.0.1:0", .routes = routes, .user = &served, .body_limit_bytes = BODY_LIMIT};
    struct http_server *server = NULL;
    struct ear_error err = {0};

    if (http_server_open(&server, &config, &err) != 0) {
        return -1;
    }
    *state = server;
    return 0;
}

static int stop(void **state)
{
    http_server_close(*state);
    return 0;
}

static void routes_are_found_by_method_and_path(void **state)
{
    static const struct {
        const char *request;
        const char *answer;
    } cases[] = {
        {"GET /echo" END, "GET /echo name=- agent=- 0:-"},
        {"GET /echo?name=a%20b" END, "GET /echo name=a b agent=-"},
        {"GET /under/one/two" END, "GET /under/one/two"},
        {"GET /under/" END, "GET /under/"},
        {"GET /under" END, "HTTP/1.1 404"},
        {"GET /" END, "HTTP/1.1 404"},
        {"GET /echo/" END, "HTTP/1.1 404"},
        {"PUT /echo" END, "HTTP/1.1 405"},
        {"GET /empty" END, "HTTP/1.1 204"},
        {"GET /echo" END, "X-Content-Type-Options: nosniff\r\n"},
        {"HEAD /echo" END, "Content-Length: 2"},
        {"nonsense\r\n\r\n", ""},
    };
    int port = http_server_port(*state);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_has(ask(port, cases[i].request), cases[i].answer);
    }
    assert_null(strstr(ask(port, "HEAD /echo" END), "agent="));
    assert_has(ask(port, "GET /echo HTTP/1.1\r\nHost: x\r\nUser-Agent: me\r\nConnection: close\r\n"
                         "\r\n"),
               "agent=me");
}

static void bodies_come_whole_up_to_the_limit(void **state)
{
    int port = http_server_port(*state);
    static const size_t lengths[] = {0, 1, 4096, BODY_LIMIT, BODY_LIMIT + 1, 300000};
    char head[200];

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char *body = malloc(lengths[i] + 1);
        char told[32];
        int file = connect_to(port);

        assert_non_null(body);
        memset(body, 'b', lengths[i]);
        snprintf(head, sizeof head,
                 "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n"
                 "\r\n",
                 lengths[i]);
        say(file, head, strlen(head));
        say(file, body, lengths[i]);
        snprintf(told, sizeof told, " %zu:%s", lengths[i], lengths[i] == 0 ? "-" : "b");
        assert_has(hear(file), lengths[i] <= BODY_LIMIT ? told : "HTTP/1.1 413");
        free(body);
    }
}

static void a_body_of_unknown_length_is_limited_too(void **state)
{
    static char chunk[8000];
    int port = http_server_port(*state);
    int file = connect_to(port);
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    int before = served;

    memset(chunk, 'c', sizeof chunk);
    say(file, head, strlen(head));
    for (int i = 0; i < 4; i++) {
        say(file, "1f40\r\n", 6);
        say(file, chunk, sizeof chunk);
        say(file, "\r\n", 2);
    }
    say(file, "0\r\n\r\n", 5);
    assert_has(hear(file), "HTTP/1.1 413");
    assert_int_equal(served, before);
}

static void headers_beyond_the_memory_are_refused(void **state)
{
    static char line[40000];
    int file = connect_to(http_server_port(*state));

    memset(line, 'h', sizeof line - 1);
    say(file, "GET /echo HTTP/1.1\r\nX-Long: ", 28);
    say(file, line, sizeof line - 1);
    say(file, "\r\n\r\n", 4);
    assert_null(strstr(hear(file), "200 OK"));
}

static void one_address_gets_only_so_many_connections(void **state)
{
    int port = http_server_port(*state);
    int files[25];

    for (size_t i = 0; i < 25; i++) {
        files[i] = connect_to(port);
    }
    for (size_t i = 20; i < 25; i++) {
        assert_string_equal(hear(files[i]), ""); /* closed without having been asked anything */
    }
    for (size_t i = 0; i < 20; i++) {
        say(files[i], "GET /echo" END, strlen("GET /echo" END));
        assert_has(hear(files[i]), "200 OK");
    }
}

/* A byte each second keeps an inactivity timeout from ever ending; the watch ends it after 10 s. */
static void a_client_that_drips_is_cut(void **state)
{
    int port = http_server_port(*state);
    int file = connect_to(port);
    int seconds = 0;
    char byte;

    while (seconds < 20) {
        if (send(file, "G", 1, MSG_NOSIGNAL) != 1 || recv(file, &byte, 1, MSG_DONTWAIT) == 0) {
            break;
        }
        assert_has(ask(port, "GET /echo" END), "200 OK"); /* nobody else is held up */
        sleep(1);
        seconds++;
    }
    close(file);
    assert_in_range(seconds, 10, 13);
}

static void an_address_is_told_alike_on_either_kind_of_socket(void **state)
{
    struct http_config config = {
        .listen = "[::]:0", .routes = routes, .user = &served, .body_limit_bytes = BODY_LIMIT};
    struct http_server *both = NULL;
    struct ear_error err = {0};

    assert_has(ask(http_server_port(*state), "GET /who" END), "who=127.0.0.1 last=-");
    if (http_server_open(&both, &config, &err) != 0) {
        skip(); /* no IPv6 here */
    }
    assert_has(ask(http_server_port(both), "GET /who" END), "who=127.0.0.1 last=-");
    http_server_close(both);
}

static void the_last_of_several_headers_is_the_nearest_proxys(void **state)
{
    assert_has(ask(http_server_port(*state),
                   "GET /who HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n"
                   "x-forwarded-for: 198.51.100.7\r\nConnection: close\r\n\r\n"),
               "last=198.51.100.7");
}

static void an_address_that_cannot_be_used_is_named(void **state)
{
    static const struct {
        const char *listen;
        const char *told;
    } cases[] = {
        {"8080", "write HOST:PORT"},
        {"127.0.0.1:", "write HOST:PORT"},
        {"127.0.0.1:http", "write HOST:PORT"},
        {"192.0.2.1:0", "192.0.2.1:0"},
        {"127.0.0.1:99999", "127.0.0.1:99999"},
        {"no.such.host.invalid:80", "no.such.host.invalid:80"},
    };
    struct http_config config = {.routes = routes, .user = &served};
    struct http_server *server = NULL;
    struct ear_error err = {0};
    char taken[32];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        config.listen = cases[i].listen;
        assert_int_equal(http_server_open(&server, &config, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_has(err.message, cases[i].told);
    }
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_server_port(*state));
    config.listen = taken;
    assert_int_equal(http_server_open(&server, &config, &err), -1);
    assert_has(err.message, "another program does");
    assert_null(server);
    http_server_close(NULL);
}

/* --- health --- */

static bool ready(void *user, char *why, size_t size)
{
    const bool *is_ready = user;

    if (!*is_ready) {
        snprintf(why, size, "the store does not answer");
    }
    return *is_ready;
}

static void health_tells_life_readiness_and_metrics(void **state)
{
    struct metrics *metrics = NULL;
    struct health *health = NULL;
    struct ear_error err = {0};
    bool is_ready = false;
    int port;

    (void)state;
    assert_int_equal(metrics_new(&metrics, &err), 0);
    assert_int_equal(health_open(&health, "127.0.0.1:0", metrics, ready, &is_ready, &err), 0);
    port = health_port(health);
    health_beat(health);
    assert_has(ask(port, "GET /livez" END), "200 OK");
    assert_has(ask(port, "GET /readyz" END), "HTTP/1.1 503");
    assert_has(ask(port, "GET /readyz" END), "not ready: the store does not answer\n");
    is_ready = true;
    assert_has(ask(port, "GET /readyz" END), "200 OK");
    metrics_add(metrics, "earshot_collect_posts_total", "source=\"a\"", 5);
    assert_has(ask(port, "GET /metrics" END), "earshot_collect_posts_total{source=\"a\"} 5\n");
    assert_has(ask(port, "GET /metrics" END), "text/plain; version=0.0.4");
    assert_has(ask(port, "GET /etc/passwd" END), "HTTP/1.1 404");
    assert_has(ask(port, "POST /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         "Content-Length: 1\r\n\r\nx"),
               "HTTP/1.1 413");
    health_close(health);
    metrics_free(metrics);
}

static void health_without_a_listener_keeps_its_state(void **state)
{
    struct health *health = NULL;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(health_open(&health, NULL, NULL, NULL, NULL, &err), 0);
    health_beat(health);
    assert_int_equal(health_port(health), 0);
    health_close(health);
    health_close(NULL);
    assert_int_equal(health_open(&health, "nowhere", NULL, NULL, NULL, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
}

static void systemd_is_told_ready_and_alive(void **state)
{
    static const char *const told[] = {"READY=1", "WATCHDOG=1", "STOPPING=1"};
    char folder[] = "/tmp/earshot-notify-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct health *health = NULL;
    struct ear_error err = {0};
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    assert_int_equal(bind(file, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "20000000", 1);
    assert_int_equal(health_open(&health, NULL, NULL, NULL, NULL, &err), 0);
    health_beat(health);
    health_beat(health); /* too early for another WATCHDOG=1 */
    health_close(health);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        char text[64] = {0};

        assert_true(recv(file, text, sizeof text - 1, MSG_DONTWAIT) > 0);
        assert_string_equal(text, told[i]);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    close(file);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found_by_method_and_path),
        cmocka_unit_test(bodies_come_whole_up_to_the_limit),
        cmocka_unit_test(a_body_of_unknown_length_is_limited_too),
        cmocka_unit_test(headers_beyond_the_memory_are_refused),
        cmocka_unit_test(one_address_gets_only_so_many_connections),
        cmocka_unit_test(a_client_that_drips_is_cut),
        cmocka_unit_test(an_address_is_told_alike_on_either_kind_of_socket),
        cmocka_unit_test(the_last_of_several_headers_is_the_nearest_proxys),
        cmocka_unit_test(an_address_that_cannot_be_used_is_named),
        cmocka_unit_test(health_tells_life_readiness_and_metrics),
        cmocka_unit_test(health_without_a_listener_keeps_its_state),
        cmocka_unit_test(systemd_is_told_ready_and_alive),
    };

    return cmocka_run_group_tests_name("http", tests, start, stop);
}
