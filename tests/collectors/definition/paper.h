/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_COLLECTORS_DEFINITION_PAPER_H
#define EARSHOT_TESTS_COLLECTORS_DEFINITION_PAPER_H

/*
 * A collector made of paper, for definitions: it polls one against a server made of a function,
 * commits after each step as the real one does (posts, what was seen, the cursor at once), may
 * crash at any of them, and writes down what it was told. Its store keeps what was published: a
 * post that comes again unchanged is not published again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "collectors/definition/definition.h"
#include "collectors/source.h"
#include "common/settings/settings.h"

#define NOON_US INT64_C(1795348800000000) /* 2026-11-22 12:00 UTC */
#define SECOND_US INT64_C(1000000)
#define HOUR_US INT64_C(3600000000)
#define DAY_US INT64_C(86400000000)

enum { PAPER_POSTS_MAX = 4000, PAPER_HEADERS_MAX = 8 };

/* What the server says. `out` takes the body. */
struct reply {
    int status; /* 200; 0: no answer */
    FILE *out;
    char names[PAPER_HEADERS_MAX][40], values[PAPER_HEADERS_MAX][400];
    size_t header_count;
    char etag[64];
    int64_t retry_after_us;
};

void reply_header(struct reply *reply, const char *name, const char *format, ...) EAR_PRINTF(3, 4);

/* A member of a request's query or form, decoded, the first 200 bytes; NULL: absent. */
const char *asked_for(const struct fetch_request *request, const char *name);
bool asked_path(const struct fetch_request *request, const char *path);
const char *asked_header(const struct fetch_request *request, const char *name);

struct paper_post {
    char id[64], text[64], more[200]; /* more: title|author|thread|parent */
    int64_t created_us;
    int published; /* versions */
    bool deleted;
};

enum paper_end { PAPER_DONE, PAPER_LATER, PAPER_JUDGED, PAPER_FAILED, PAPER_CRASHED };

struct paper {
    struct config *config;
    struct definition *definition;
    const char *params[16];
    struct settings settings;
    struct settings_source source;
    struct tokens *tokens;
    struct fetch *fetch;
    int64_t now_us;
    int64_t backfill_since_us;
    bool probe;
    int64_t probe_pages;
    void (*serve)(void *world, const struct fetch_request *request, struct reply *reply);
    void *world;
    size_t crash_at;        /* the poll is killed at its n-th step; 0: never */
    bool crash_uncommitted; /* before that step is committed, else after */

    struct paper_post posts[PAPER_POSTS_MAX]; /* what is in the store */
    size_t post_count;
    char *cursor;
    char *log; /* of the poll: "ask URL", "gap FROM..TO WHY", "reject ITEM CODE REASON",
                  "misfit TEXT", "fits WHERE" */
    size_t log_length;
    size_t steps, requests, published, rejects, gaps;
    enum paper_end end;
    int64_t wait_us;
    int judged; /* the status */
    char why[600];
    struct ear_error err;
};

/* Reads the definition; fails the test if it is not understood. Params in its order. */
void paper_open(struct paper *paper, const char *yaml,
                void (*serve)(void *, const struct fetch_request *, struct reply *), void *world);
void paper_close(struct paper *paper);

/* Polls once. */
enum paper_end paper_poll(struct paper *paper);
/* The same, and fails the test unless it comes to its end. */
void paper_poll_well(struct paper *paper);

/* A post of the store; NULL: there is none. */
const struct paper_post *paper_find(const struct paper *paper, const char *id);
size_t paper_alive(const struct paper *paper);
/* How often the log has this. */
size_t paper_said(const struct paper *paper, const char *text);

#endif
