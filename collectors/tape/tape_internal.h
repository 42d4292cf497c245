/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_TAPE_TAPE_INTERNAL_H
#define EARSHOT_COLLECTORS_TAPE_TAPE_INTERNAL_H

/* What tape.c (keeping and giving), tape_file.c (the folder) and tape_hide.c (secrets) share. */

#include <stdbool.h>

#include "collectors/tape/tape.h"

#define TAPE_BYTES_MAX ((size_t)64 * 1024 * 1024)
enum { TAPE_HEADERS_MAX = 64, TAPE_SECRETS_MAX = 256 };

struct tape_text {
    char *bytes; /* [length], NUL-ended beyond; NULL: none */
    size_t length;
};

struct tape_headers {
    struct fetch_header items[TAPE_HEADERS_MAX]; /* names and values are its own */
    size_t count;
};

struct tape_exchange {
    char *method, *url;
    struct tape_headers asked, received;
    struct tape_text sent, body;
    int status;
    char *answer_url; /* after redirects */
    bool given;
    struct fetch_answer answer; /* of all that, once it was given */
};

struct tape {
    struct tape_exchange *items; /* [count] */
    size_t count, capacity, bytes;
    char *secrets[TAPE_SECRETS_MAX]; /* [secret_count] */
    size_t secret_count;
};

/* Adds an empty one. NULL: err. */
struct tape_exchange *tape_add(struct tape *tape, struct ear_error *err);
EAR_MUST_CHECK
int tape_copy(struct tape_text *out, const char *bytes, size_t length, struct ear_error *err);
/* Copies both; what is beyond TAPE_HEADERS_MAX is left out. */
EAR_MUST_CHECK
int tape_add_header(struct tape_headers *headers, const char *name, size_t name_length,
                    const char *value, size_t value_length, struct ear_error *err);

/* --- tape_hide.c --- */

/* A copy without what is secret. -1: EAR_FATAL. */
EAR_MUST_CHECK
int tape_clean(const struct tape *tape, struct tape_text *out, const char *bytes, size_t length,
               struct ear_error *err);

/* The same of a URL: without login too. NULL: err. */
char *tape_clean_url(const struct tape *tape, const char *url, struct ear_error *err);

/* Looks through the answers for what stands beside a secret and is one by its name. */
EAR_MUST_CHECK
int tape_hide_beside(struct tape *tape, struct ear_error *err);

/* Whether a header, or a member of an answer, of that name holds a secret. */
bool tape_names_secret(const char *name);

#endif
