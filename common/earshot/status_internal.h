/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_EARSHOT_STATUS_INTERNAL_H
#define EARSHOT_COMMON_EARSHOT_STATUS_INTERNAL_H

/* What `earshot status` gathers (status.c) and prints (status_print.c). */

#include "common/earshot/earshot_internal.h"

/* A source's cursor message, as text; read when printed. */
struct stand {
    char *text;
    size_t length;
};

struct status {
    const struct command_call *call;
    struct stream *stream; /* NULL: no log yet */
    struct json *json;
    struct stand *stands;
    size_t stand_count, red, rejects;
    size_t running[ROLE_COUNT];
    double fullness;
    struct ear_error log_error; /* why the log does not answer */
    char *store;                /* the sink's own answer, a JSON object; NULL: none */
    int store_code;             /* why there is none: EXIT_…, it said the rest on stderr */
    size_t differences;         /* that the audit found and that stand */
    bool failed;
};

/* Text that lives as long as the next one is not read; NULL: it is no JSON. */
const struct json_node *status_read(struct status *status, const char *text, size_t length);
const char *status_string(const struct json_node *root, const char *name);

/* Calls visit for each process of a role here, and for each that fell and was not replaced. */
void status_processes(const struct status *status, size_t which,
                      void (*visit)(void *user, pid_t pid, bool fell), void *user);

/* The next difference of the audit that stands, after one (NULL: the first). */
const struct json_node *status_difference(const struct json_node *audit,
                                          const struct json_node *after);

/* How completely a source is listened to, as of its message. */
struct status_books {
    int64_t planned, made; /* polls, this hour and the last */
    int64_t missed; /* since the plan wanted the next one, late by late_us; 0: it is not late */
    int64_t late_us;
    double half_s, most_s; /* of posts when they came: median, 95th percentile; -1: none came */
};

struct status_books status_books(const struct json_node *root, int64_t now_us);
void status_print_books(const struct json_node *root, int64_t now_us);
void status_write_books(struct json_writer *writer, const struct json_node *root, int64_t now_us);

void status_print(struct status *status);
EAR_MUST_CHECK
int status_write(struct status *status, struct ear_error *err);

#endif
