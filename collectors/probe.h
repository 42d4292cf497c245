/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_PROBE_H
#define EARSHOT_COLLECTORS_PROBE_H

/*
 * One look at a source: what a poll without a past would publish. Opens no log and no store, moves
 * no cursor. Its requests go to the fetcher, or to whoever else has answers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/fetch/fetch.h"
#include "common/error.h"

struct command_call;
struct session;
struct source_entry;

/* Of each list: whether its pages work is seen by the second one. */
enum { PROBE_PAGES = 2 };

struct probe_post {
    int64_t at_us;
    size_t order; /* of arrival: for posts of one instant */
    char *json, *line;
};

/* The first part is filled in by the caller, the rest is zero. */
struct probe {
    const struct session *session; /* open */
    const struct source_entry *entry;
    int64_t now_us;
    int64_t pages; /* of each list; 0: one */
    bool forgets;  /* no posts are kept: only the answers matter */
    /* A request to its answer, which lives until the next: 0; an exit code; -1 and err. */
    int (*ask)(void *user, const struct fetch_request *request, const struct fetch_answer **answer,
               struct ear_error *err);
    void *user;

    struct probe_post *posts; /* [count], newest first after probe_run */
    size_t count, capacity, bytes, rejected;
    char remarks[4096]; /* on its pages, and on what does not fit: lines */
};

/* Looks. What is refused is said on stderr, and so is an answer that is no page. Returns an exit
 * code; -1: err. */
EAR_MUST_CHECK
int probe_run(struct probe *probe, struct ear_error *err);
void probe_clear(struct probe *probe);

/* The first `most` posts on stdout, how many there are on stderr. */
void probe_print(const struct probe *probe, size_t most, bool as_json);

/* Asks through the session's fetcher, as `ask` does. */
int probe_fetch(const struct session *session, const struct fetch_request *request,
                const struct fetch_answer **answer, struct ear_error *err);

/* The configured source of that name. -1: EAR_CONFIG: there is none. */
EAR_MUST_CHECK
int probe_find(const struct source_entry **out, const struct session *session, const char *name,
               struct ear_error *err);

/* An exit code for an error of a look, which is said on stderr: what a person has to change in the
 * source is a refusal, one of the way there is not. -1: EAR_FATAL. */
int probe_code(const char *source, const struct ear_error *err);

#endif
