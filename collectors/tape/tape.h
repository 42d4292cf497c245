/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_TAPE_TAPE_H
#define EARSHOT_COLLECTORS_TAPE_TAPE_H

/*
 * What a source was asked and what it answered, as files that a person can read and commit, and
 * the same played again instead of the network. A folder holds record.json (whose, when) and for
 * each request in turn
 *
 *     001.request   GET URL, the headers, an empty line, the body
 *     001.head      status 200, the headers that matter
 *     001.body      the answer as it came
 *
 * Secrets never get there: what tape_hide names is SECRET wherever it stands, in whatever writing
 * (%2F, \/, \u002f); so is what stands beside one in an answer under a name like `refresh_token`;
 * headers that sign a request show their name alone; cookies are dropped. A request is found again
 * by method, URL and body, with secrets out of both: whoever plays a tape needs none of the real
 * ones. Threads: one at a time.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "collectors/fetch/fetch.h"
#include "common/error.h"

struct tape;

enum { TAPE_EXCHANGES_MAX = 999, TAPE_NAME_SIZE = 128 };

/* What record.json says. */
struct tape_about {
    char source[TAPE_NAME_SIZE], use[TAPE_NAME_SIZE];
    int64_t pages; /* of each list; 1 where a record does not say */
    int64_t at_us; /* the instant that the source was asked at, for whoever reads times off it */
};

EAR_MUST_CHECK
int tape_new(struct tape **out, struct ear_error *err);
void tape_free(struct tape *tape);

/* Never to be seen; copied. NULL and "" are passed over. */
EAR_MUST_CHECK
int tape_hide(struct tape *tape, const char *secret, struct ear_error *err);

/* What a configured address holds of the kind: its password, members of its query such as `token`
 * and `api_key`. */
EAR_MUST_CHECK
int tape_hide_address(struct tape *tape, const char *url, struct ear_error *err);

/* Copies both onto its end. -1: EAR_REJECT "too_big: …" (64 MiB, TAPE_EXCHANGES_MAX), EAR_FATAL. */
EAR_MUST_CHECK
int tape_keep(struct tape *tape, const struct fetch_request *request,
              const struct fetch_answer *answer, struct ear_error *err);

/* Writes it into a folder, made where missing; an older record there is replaced. -1: EAR_RETRY (no
 * room, no right), EAR_FATAL. */
EAR_MUST_CHECK
int tape_save(struct tape *tape, const char *folder, const struct tape_about *about,
              struct ear_error *err);

/* The same for a person to read: status, address, headers and body of each answer. */
EAR_MUST_CHECK
int tape_print(struct tape *tape, FILE *out, struct ear_error *err);

/* -1: EAR_CONFIG: no record lies there, or what does is not understood; EAR_FATAL. */
EAR_MUST_CHECK
int tape_load(struct tape **out, const char *folder, struct tape_about *about,
              struct ear_error *err);

/* The answer that was kept to such a request: the first that was not given yet, else the last.
 * Lives as long as the tape. -1: EAR_REJECT: there is none; the message says what was asked. */
EAR_MUST_CHECK
int tape_answer(struct tape *tape, const struct fetch_request *request,
                const struct fetch_answer **answer, struct ear_error *err);

size_t tape_count(const struct tape *tape);
size_t tape_unasked(const struct tape *tape); /* answers that nobody has asked for */

#endif
