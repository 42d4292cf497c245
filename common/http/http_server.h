/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_HTTP_HTTP_SERVER_H
#define EARSHOT_COMMON_HTTP_HTTP_SERVER_H

/*
 * The HTTP server that roles show their health and metrics on, and that later rooms (ingest,
 * dashboard) hang their routes on: threads of libmicrohttpd's, one where nothing else is asked for.
 * Limits: 20 connections an address, headers within 10 s and the body within 30 s of connecting
 * (not of the last byte), an answer read within 60 s, 16 KiB of memory a connection beside its
 * body, whose size the routes' owner limits, and 64 MiB of all bodies together. HEAD is GET without
 * its body; a path that is known with another method is 405, an unknown one 404. Only http_server.c
 * knows libmicrohttpd.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct http_server;

struct http_request {
    const char *method;
    const char *path;
    const char *body; /* [body_length], complete; NULL if none */
    size_t body_length;
    void *connection; /* for http_query and http_header */
};

enum { HTTP_LINES_MAX = 6, HTTP_LINE_SIZE = 512, HTTP_ADDRESS_SIZE = 46 };

struct http_line {
    const char *name;
    char value[HTTP_LINE_SIZE];
};

struct http_answer {
    int status;
    const char *type; /* Content-Type */
    char *body;       /* malloc'ed, the server frees it; NULL: empty */
    size_t body_length;
    struct http_line lines[HTTP_LINES_MAX]; /* [line_count] more headers: http_answer_line */
    size_t line_count;
};

const char *http_query(const struct http_request *request, const char *name);
const char *http_header(const struct http_request *request, const char *name);
/* The last of several of that name: what stood there before a proxy added its own is not its. */
const char *http_header_last(const struct http_request *request, const char *name);

/* The address of who asks, as it is written, without its port; "" where it cannot be told. One of
 * IPv4 is written so on a socket of IPv6 too. */
const char *http_address(const struct http_request *request, char out[HTTP_ADDRESS_SIZE]);

/* Adds a header to the answer (its name borrowed); one whose value is too long, or that is one too
 * many, is left out: false. */
bool http_answer_line(struct http_answer *answer, const char *name, const char *format, ...)
    EAR_PRINTF(3, 4);

struct http_route {
    const char *method; /* "GET" */
    const char *path;   /* exact, or a prefix ending in '*' */
    void (*serve)(void *user, const struct http_request *request, struct http_answer *answer);
};

struct http_config {
    const char *listen;              /* "127.0.0.1:9470"; port 0 takes a free one */
    const struct http_route *routes; /* ends with {0}; borrowed until close */
    void *user;
    size_t body_limit_bytes; /* 413 beyond */
    /*
     * Asked when the head of a request is there and its body is not: false refuses it with *answer,
     * and the body is not read. NULL: every request is read whole.
     */
    bool (*admit)(void *user, const struct http_request *request, struct http_answer *answer);
    unsigned threads; /* that serve; 0 and 1: one. With more, serve and admit are called from any */
};

/* Starts serving. EAR_CONFIG: address not usable or taken, named. Threads: serve is called from the
 * server's own threads. */
EAR_MUST_CHECK
int http_server_open(struct http_server **out, const struct http_config *config,
                     struct ear_error *err);
void http_server_close(struct http_server *server);
int http_server_port(const struct http_server *server);

/* --- health: /livez, /readyz, /metrics as every role has them --- */

struct metrics;
struct health;

/* `listen` NULL: no server, only the state. ready is asked from the server's thread: returns true
 * or writes why not. */
EAR_MUST_CHECK
int health_open(struct health **out, const char *listen, struct metrics *metrics,
                bool (*ready)(void *user, char *why, size_t size), void *user,
                struct ear_error *err);
void health_close(struct health *health);

/* The port it listens on; 0: none. */
int health_port(const struct health *health);

/* The loop is alive: call each turn, from one thread. /livez answers 503 when the last beat is
 * older than 30 s. Also feeds systemd's watchdog where there is one. */
void health_beat(struct health *health);

#endif
