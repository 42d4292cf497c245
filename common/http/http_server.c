/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "common/clock.h"

/*
 * libmicrohttpd serves with one epoll thread, or with several that share the connections. Its own
 * timeout counts inactivity only, so a client that sends a byte now and then would stay for ever: a
 * second thread, the watch, looks once a second for connections that took too long over what they
 * are at, and shuts their sockets down; the server then sees them closed and cleans up. A
 * connection is on the watch's list from its first moment until just before its socket is closed,
 * so the watch never touches a socket number that has gone to somebody else.
 */

enum {
    CONNECTIONS_MAX = 2048,
    CONNECTIONS_PER_ADDRESS = 20,
    CONNECTION_MEMORY_BYTES = 16 * 1024,
    IDLE_S = 30,
    WATCH_PERIOD_S = 1,
    LISTEN_QUEUE = 256,
    BODIES_BYTES_MAX = 64 * 1024 * 1024, /* of all requests that are under way */
};

static const int64_t HEADERS_US = 10 * CLOCK_SECOND_US; /* from connect */
static const int64_t BODY_US = 30 * CLOCK_SECOND_US;    /* likewise */
static const int64_t ANSWER_US = 60 * CLOCK_SECOND_US;  /* from the whole request on */
static const int64_t NEXT_US = 40 * CLOCK_SECOND_US;    /* from one answer to the next headers */

struct connection {
    struct connection *previous, *next;
    int socket;
    int64_t begun_mono_us; /* of the present request: connect, or the end of the last answer */
    int64_t deadline_mono_us;
};

struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_route *routes;
    void *user;
    size_t body_limit_bytes;
    bool (*admit)(void *user, const struct http_request *request, struct http_answer *answer);
    atomic_size_t bodies_bytes;
    int port;
    pthread_t watch;
    bool watching;
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the list */
    struct connection *connections;
};

/* A request on its way in. */
struct reception {
    char *body;
    size_t length;
    size_t capacity;
    bool too_large, too_many; /* itself; together with the others */
};

/* --- the watch --- */

static void set_deadline(struct http_server *server, struct connection *connection,
                         int64_t deadline_mono_us)
{
    pthread_mutex_lock(&server->lock);
    connection->deadline_mono_us = deadline_mono_us;
    pthread_mutex_unlock(&server->lock);
}

static void shut_the_slow(struct http_server *server)
{
    int64_t now = clock_mono_us();

    pthread_mutex_lock(&server->lock);
    for (struct connection *at = server->connections; at != NULL; at = at->next) {
        if (now > at->deadline_mono_us) {
            shutdown(at->socket, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->lock);
}

static void *watch(void *argument)
{
    struct http_server *server = argument;
    const struct timespec period = {.tv_nsec = 100000000};
    int turns = 0;

    while (!atomic_load(&server->stopping)) {
        nanosleep(&period, NULL);
        if (++turns == 10 * WATCH_PERIOD_S) {
            shut_the_slow(server);
            turns = 0;
        }
    }
    return NULL;
}

static void *connection_begun(struct http_server *server, struct MHD_Connection *of)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(of, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL || info == NULL) {
        free(connection);
        return NULL; /* it is served, but not watched: the inactivity timeout still holds */
    }
    connection->socket = info->connect_fd;
    connection->begun_mono_us = clock_mono_us();
    connection->deadline_mono_us = connection->begun_mono_us + HEADERS_US;
    pthread_mutex_lock(&server->lock);
    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    pthread_mutex_unlock(&server->lock);
    return connection;
}

static void connection_ended(struct http_server *server, struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    pthread_mutex_lock(&server->lock);
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    pthread_mutex_unlock(&server->lock);
    free(connection);
}

static void note_connection(void *argument, struct MHD_Connection *connection, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = connection_begun(argument, connection);
    } else {
        connection_ended(argument, *context);
        *context = NULL;
    }
}

static struct connection *connection_of(struct MHD_Connection *of)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(of, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

/* --- requests --- */

const char *http_query(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct finding {
    const char *name, *value;
};

static enum MHD_Result note_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct finding *finding = user;

    (void)kind;
    finding->value = strcasecmp(name, finding->name) == 0 ? value : finding->value;
    return MHD_YES;
}

const char *http_header_last(const struct http_request *request, const char *name)
{
    struct finding finding = {.name = name};

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, note_header, &finding);
    return finding.value;
}

const char *http_address(const struct http_request *request, char out[HTTP_ADDRESS_SIZE])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    socklen_t length = (socklen_t)sizeof(struct sockaddr_in);

    if (address != NULL && address->sa_family == AF_INET6) {
        const struct in6_addr *six =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(six)) {
            return inet_ntop(AF_INET, six->s6_addr + 12, out, HTTP_ADDRESS_SIZE);
        }
        length = (socklen_t)sizeof(struct sockaddr_in6);
    }
    if (address == NULL ||
        getnameinfo(address, length, out, HTTP_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST) != 0) {
        out[0] = '\0';
    }
    return out;
}

bool http_answer_line(struct http_answer *answer, const char *name, const char *format, ...)
{
    struct http_line *line = &answer->lines[answer->line_count];
    va_list arguments;
    int size = 0;

    if (answer->line_count == HTTP_LINES_MAX) {
        return false;
    }
    va_start(arguments, format);
    size = vsnprintf(line->value, sizeof line->value, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof line->value) {
        return false;
    }
    line->name = name;
    answer->line_count++;
    return true;
}

static bool path_fits(const char *pattern, const char *path)
{
    size_t length = strlen(pattern);

    if (length > 0 && pattern[length - 1] == '*') {
        return strncmp(pattern, path, length - 1) == 0;
    }
    return strcmp(pattern, path) == 0;
}

/* HEAD is GET whose body the library leaves out. */
static bool method_fits(const char *wanted, const char *method)
{
    return strcmp(wanted, strcmp(method, "HEAD") == 0 ? "GET" : method) == 0;
}

static const struct http_route *find_route(const struct http_server *server, const char *method,
                                           const char *path, bool *path_known)
{
    *path_known = false;
    for (const struct http_route *route = server->routes; route->path != NULL; route++) {
        if (path_fits(route->path, path)) {
            *path_known = true;
            if (method_fits(route->method, method)) {
                return route;
            }
        }
    }
    return NULL;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct http_answer *answer)
{
    enum MHD_Result result;
    struct MHD_Response *response;

    if (answer->body == NULL) {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer(answer->body_length, answer->body,
                                                   MHD_RESPMEM_MUST_FREE);
    }
    if (response == NULL) {
        free(answer->body);
        return MHD_NO;
    }
    if (answer->type != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    }
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    for (size_t i = 0; i < answer->line_count; i++) {
        MHD_add_response_header(response, answer->lines[i].name, answer->lines[i].value);
    }
    result = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, int status, const char *text)
{
    struct http_answer answer = {.status = status, .type = "text/plain; charset=utf-8"};

    answer.body = strdup(text);
    answer.body_length = answer.body == NULL ? 0 : strlen(text);
    return send_answer(connection, &answer);
}

/* The head is there: what can be refused without the body is refused now. */
static enum MHD_Result begin_request(struct http_server *server, struct MHD_Connection *connection,
                                     const char *method, const char *path, void **context)
{
    const struct http_request request = {.method = method, .path = path, .connection = connection};
    struct http_answer answer = {.status = MHD_HTTP_OK};
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    struct connection *watched = connection_of(connection);
    struct reception *reception = calloc(1, sizeof *reception);

    if (reception == NULL) {
        return MHD_NO;
    }
    *context = reception;
    if (watched != NULL) {
        set_deadline(server, watched, watched->begun_mono_us + BODY_US);
    }
    if (server->admit != NULL && !server->admit(server->user, &request, &answer)) {
        return send_answer(connection, &answer);
    }
    if (length != NULL && strtoull(length, NULL, 10) > server->body_limit_bytes) {
        return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large\n");
    }
    return MHD_YES;
}

/* Keeps a piece of the body; what is beyond the limit is read and thrown away until its time is
 * up, because the library takes an answer only before the body or after it. */
static enum MHD_Result take_body(struct http_server *server, struct reception *reception,
                                 const char *bytes, size_t length)
{
    size_t needed = reception->length + length + 1;

    if (reception->too_large || needed > server->body_limit_bytes + 1) {
        reception->too_large = true;
        return MHD_YES;
    }
    if (reception->too_many) {
        return MHD_YES;
    }
    if (needed > reception->capacity) {
        size_t capacity = needed < 4096 ? 4096 : 2 * needed;
        char *body;

        if (capacity > server->body_limit_bytes + 1) {
            capacity = server->body_limit_bytes + 1;
        }
        if (atomic_fetch_add(&server->bodies_bytes, capacity - reception->capacity) + capacity -
                reception->capacity >
            BODIES_BYTES_MAX) {
            atomic_fetch_sub(&server->bodies_bytes, capacity - reception->capacity);
            reception->too_many = true;
            return MHD_YES;
        }
        body = realloc(reception->body, capacity);
        if (body == NULL) {
            atomic_fetch_sub(&server->bodies_bytes, capacity - reception->capacity);
            return MHD_NO;
        }
        reception->body = body;
        reception->capacity = capacity;
    }
    memcpy(reception->body + reception->length, bytes, length);
    reception->length += length;
    reception->body[reception->length] = '\0';
    return MHD_YES;
}

static enum MHD_Result answer_request(struct http_server *server, struct MHD_Connection *connection,
                                      const char *method, const char *path,
                                      const struct reception *reception)
{
    const struct http_request request = {.method = method,
                                         .path = path,
                                         .body = reception->body,
                                         .body_length = reception->length,
                                         .connection = connection};
    struct http_answer answer = {.status = MHD_HTTP_OK};
    struct connection *watched = connection_of(connection);
    const struct http_route *route;
    bool path_known = false;

    if (watched != NULL) {
        set_deadline(server, watched, clock_mono_us() + ANSWER_US);
    }
    if (reception->too_large) {
        return refuse(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large\n");
    }
    if (reception->too_many) {
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "too much is under way; send it again in a minute\n");
    }
    route = find_route(server, method, path, &path_known);
    if (route == NULL) {
        return path_known
                   ? refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method\n")
                   : refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing here\n");
    }
    route->serve(server->user, &request, &answer);
    return send_answer(connection, &answer);
}

static enum MHD_Result handle(void *argument, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **context)
{
    struct http_server *server = argument;

    (void)version;
    if (*context == NULL) {
        return begin_request(server, connection, method, path, context);
    }
    if (*upload_size > 0) {
        enum MHD_Result result = take_body(server, *context, upload, *upload_size);

        *upload_size = 0;
        return result;
    }
    return answer_request(server, connection, method, path, *context);
}

static void request_done(void *argument, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *server = argument;
    struct reception *reception = *context;
    struct connection *watched = connection_of(connection);

    (void)code;
    if (reception != NULL) {
        atomic_fetch_sub(&server->bodies_bytes, reception->capacity);
        free(reception->body);
        free(reception);
    }
    *context = NULL;
    if (watched != NULL) {
        watched->begun_mono_us = clock_mono_us();
        set_deadline(server, watched, watched->begun_mono_us + NEXT_US);
    }
}

/* --- opening --- */

/* "127.0.0.1:9470", "[::1]:9470", ":9470" */
static int split_listen(const char *listen_on, char *host, size_t size, const char **port,
                        struct ear_error *err)
{
    const char *colon = strrchr(listen_on, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - listen_on);
    const char *first = listen_on;

    if (length >= 2 && listen_on[0] == '[' && listen_on[length - 1] == ']') {
        first++;
        length -= 2;
    }
    if (colon == NULL || colon[1] == '\0' || colon[1 + strspn(colon + 1, "0123456789")] != '\0' ||
        strlen(colon + 1) > 5 || strtol(colon + 1, NULL, 10) > 65535 || length >= size) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.64s' is no address to listen on; write HOST:PORT, such as "
                        "127.0.0.1:9470",
                        listen_on);
    }
    snprintf(host, size, "%.*s", (int)length, first);
    *port = colon + 1;
    return 0;
}

/* A listening socket, or -1 with *failure the errno. */
static int bind_one(const struct addrinfo *address, int *failure)
{
    int on = 1;
    int file = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (file >= 0) {
        (void)setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(file, address->ai_addr, address->ai_addrlen) == 0 &&
            listen(file, LISTEN_QUEUE) == 0) {
            return file;
        }
    }
    *failure = errno;
    if (file >= 0) {
        close(file);
    }
    return -1;
}

static int open_socket(const char *listen_on, struct ear_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    const char *port = NULL;
    char host[256] = "";
    int file = -1;
    int failure = 0;
    int code;

    if (split_listen(listen_on, host, sizeof host, &port, err) != 0) {
        return -1;
    }
    code = getaddrinfo(*host == '\0' ? NULL : host, port, &hints, &addresses);
    if (code != 0) {
        return ear_fail(err, EAR_CONFIG,
                        "cannot listen on %s: %s; write an address of this "
                        "machine, such as 127.0.0.1:9470",
                        listen_on, gai_strerror(code));
    }
    for (const struct addrinfo *at = addresses; at != NULL && file < 0; at = at->ai_next) {
        file = bind_one(at, &failure);
    }
    if (file < 0 && failure == EADDRINUSE) {
        ear_fail(err, EAR_CONFIG,
                 "cannot listen on %s: another program does; stop it or choose another port",
                 listen_on);
    } else if (file < 0) {
        ear_fail(err, EAR_CONFIG, "cannot listen on %s: %s; write an address of this machine",
                 listen_on, strerrordesc_np(failure));
    }
    freeaddrinfo(addresses);
    return file;
}

static int port_of(int file)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char port[8];

    if (getsockname(file, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV) != 0) {
        return 0;
    }
    return (int)strtol(port, NULL, 10);
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int file, unsigned threads)
{
    const struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
                                          {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem one[] = {{MHD_OPTION_END, 0, NULL}};

    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle,
                            server, MHD_OPTION_LISTEN_SOCKET, file, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION,
                            note_connection, server, MHD_OPTION_NOTIFY_COMPLETED, request_done,
                            server, MHD_OPTION_ARRAY, threads > 1 ? pool : one, MHD_OPTION_END);
}

int http_server_open(struct http_server **out, const struct http_config *config,
                     struct ear_error *err)
{
    int file = open_socket(config->listen, err);
    struct http_server *server = NULL;

    if (file < 0) {
        return -1;
    }
    server = calloc(1, sizeof *server);
    if (server == NULL) {
        close(file);
        return ear_fail_memory(err, "the HTTP server");
    }
    server->routes = config->routes;
    server->user = config->user;
    server->body_limit_bytes = config->body_limit_bytes;
    server->admit = config->admit;
    server->port = port_of(file);
    pthread_mutex_init(&server->lock, NULL);
    server->daemon = start_daemon(server, file, config->threads);
    if (server->daemon == NULL) {
        close(file);
        http_server_close(server);
        return ear_fail(err, EAR_FATAL, "the HTTP server on %s cannot start: %s", config->listen,
                        strerrordesc_np(errno));
    }
    if (pthread_create(&server->watch, NULL, watch, server) != 0) {
        http_server_close(server);
        return ear_fail(err, EAR_FATAL, "the HTTP server on %s cannot start a thread",
                        config->listen);
    }
    server->watching = true;
    *out = server;
    return 0;
}

void http_server_close(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    atomic_store(&server->stopping, true);
    if (server->watching) {
        pthread_join(server->watch, NULL);
    }
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon); /* also closes the listening socket */
    }
    pthread_mutex_destroy(&server->lock);
    free(server);
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}
