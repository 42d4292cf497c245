/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_COLLECTORS_FEED_POLL_H
#define EARSHOT_TESTS_COLLECTORS_FEED_POLL_H

/*
 * A collector made of paper: it polls a reader against a list of pages and writes down what it is
 * told, a line each. Readers of files need no pages.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/source.h"
#include "common/settings/settings.h"

struct poll_page {
    const char *url;
    int status;
    const char *type; /* NULL: application/xml */
    const char *body;
    size_t length; /* 0: of a string */
    const char *etag;
};

struct poll {
    const struct source_reader *reader;
    const void *config;
    struct settings settings;
    struct settings_source source;
    const struct poll_page *pages; /* ended by one without url; other addresses are 404 */
    int64_t now_us;
    bool probe;
    bool tells_refused; /* the collector tells what was refused, as the real one does */
    size_t crash_after; /* stop after so many steps, with what was committed; 0: never */
    /* What came of it. The log has lines "post
     * ID|URL|TITLE|TEXT|AUTHOR|CREATED|EDITED|PARENT|LANG", "more ID|RATING|EXTRA", "mended ID",
     * "gone ID", "reject ITEM|CODE|REASON|BYTES", "ask URL"; ~ is a line end. */
    char *log;
    size_t log_length, log_capacity;
    char *cursor; /* kept from poll to poll */
    size_t posts, rejects, steps, requests;
    struct ear_error err;
};

/* Polls once; returns 0, or -1 with poll->err. The log is emptied before. */
int poll_run(struct poll *poll);
void poll_clear(struct poll *poll);

/* Whether the log has that line, whole. */
bool poll_said(const struct poll *poll, const char *line);

/* A file of the recorded answers, NULL where they are not; length by out. Caller frees. */
char *poll_recorded(const char *name, size_t *length);

#endif
