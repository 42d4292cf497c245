/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_INGEST_INGEST_INTERNAL_H
#define EARSHOT_COLLECTORS_INGEST_INGEST_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/file/file.h"
#include "collectors/ingest/ingest.h"
#include "collectors/intake.h"
#include "common/error.h"
#include "common/http/http_server.h"
#include "common/option.h"

struct json;
struct json_writer;

enum {
    INGEST_NAME_MAX = 64,
    INGEST_REASON_SIZE = 600,
    INGEST_CODE_SIZE = 40,
    INGEST_KEY_SIZE = 33
};

/* The keys of a source of `use: ingest`. */
struct ingest_values {
    const struct config_node *map;
    double scale;
};

/* A source that is sent to. */
struct inlet {
    const struct settings_source *source;
    struct post_origin origin;
    struct intake_part part;
    struct file_rows *rows;      /* as its map says */
    struct file_rows *form_rows; /* of our own form: members are named like fields */
};

/* --- ingest_form.c --- */

struct form_values {
    const char *source, *title, *text, *author, *rating, *button, *thanks, *lang;
    struct ear_strings origins;
    int64_t per_minute;
};

struct form {
    const char *name;
    struct form_values values;
    struct inlet *inlet;
};

/* Reads ingest.forms: an array that the caller frees; adds findings. inlets NULL: only checks. -1:
 * EAR_FATAL. */
EAR_MUST_CHECK
int forms_read(struct form **out, size_t *count, struct settings *settings, struct inlet *inlets,
               size_t inlet_count, struct ear_error *err);

/* May a page of this origin send the form? Both headers may be NULL; host is ours. */
bool form_allows(const struct form *form, const char *origin, const char *site, const char *host);

enum form_verdict { FORM_GOOD, FORM_EMPTY, FORM_ROBOT };

/* What somebody filled in. All zero: nothing. */
struct form_entry {
    enum form_verdict verdict;
    char *text, *author; /* its own; NULL: left empty */
    int stars;           /* 0: none */
    /* What a page of ours had hidden in it: whoever sends it again means the same entry. Nobody
     * else may know it, so an entry's id is its SHA-256. "": none that is ours. */
    char key[INGEST_KEY_SIZE];
};

/* Reads it, and writes it as a JSON object with the fields of a post. The caller clears it, also
 * after -1: EAR_REJECT with a code in front, EAR_FATAL. */
EAR_MUST_CHECK
int form_read(struct form_entry *out, const char *body, size_t length, struct json_writer *writer,
              struct ear_error *err);
void form_entry_clear(struct form_entry *entry);

/* The page with the form, and the one that thanks. complaint: why it comes again, with what was
 * filled in; both may be NULL. */
void form_show(const struct form *form, const char *complaint, const struct form_entry *entry,
               struct http_answer *answer);
void form_thank(const struct form *form, struct http_answer *answer);
void form_style(struct http_answer *answer);

/* --- ingest_body.c --- */

enum body_type { BODY_NDJSON, BODY_JSON, BODY_FORM, BODY_UNKNOWN };

enum body_type body_type_of(const char *content_type); /* NULL: unknown */

/* application/x-www-form-urlencoded as members of the writer's open object. -1: EAR_REJECT
 * "bad_form: …", EAR_FATAL. */
EAR_MUST_CHECK
int body_write_fields(struct json_writer *writer, const char *body, size_t length,
                      struct ear_error *err);

/* Where and why a body is refused. */
struct body_fault {
    char code[INGEST_CODE_SIZE];
    char reason[INGEST_REASON_SIZE];
    size_t line, column, item; /* from 1; 0: not told */
};

/* What a body is read with. */
struct body_reader {
    struct json *json;
    struct json_writer *writer;
};

/*
 * Emits what a body holds. key: the ids of entries without one are made of it and their place
 * (NULL: of chance). -1: EAR_REJECT, and *fault says where and why; else as the output.
 */
EAR_MUST_CHECK
int body_emit(struct body_reader *reader, enum body_type type, const char *body, size_t length,
              struct file_rows *rows, const char *key, const struct source_output *output,
              struct body_fault *fault, struct ear_error *err);

/* 32 hexadecimal digits of chance. -1: EAR_FATAL. */
EAR_MUST_CHECK
int body_make_key(char out[INGEST_KEY_SIZE], struct ear_error *err);

/* --- ingest_rate.c --- */

struct rate; /* how often addresses came; bounded: the oldest are forgotten */

EAR_MUST_CHECK
int rate_new(struct rate **out, struct ear_error *err);
void rate_free(struct rate *rate);

/* Takes one of `per_minute` (and as many at once) for an address and a purpose. Returns 0, or after
 * how many seconds there is one again. Threads: any. */
int rate_take(struct rate *rate, const char *address, const char *purpose, int64_t per_minute,
              int64_t mono_us);

/* --- ingest_serve.c --- */

/* A request's body on its way from the HTTP thread to the role's and back. */
struct delivery {
    struct delivery *next;
    struct inlet *inlet;
    bool of_form;
    enum body_type type;
    const char *body;
    size_t length;
    const char *key; /* NULL: none */
    bool done;
    int status; /* 202, 400, 503 */
    struct intake_counts counts;
    struct body_fault fault;
};

extern const struct http_route ingest_routes[];
bool ingest_admit(void *user, const struct http_request *request, struct http_answer *answer);

/* --- ingest.c --- */

struct ingest {
    struct ingest_config config;
    struct inlet *inlets; /* [inlet_count] */
    size_t inlet_count;
    struct form *forms; /* [form_count] */
    size_t form_count;
    struct rate *rate;
    struct intake *intake;
    struct body_reader reader;
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t came, went;
    struct delivery *first, *last; /* what waits */
    bool stopping;
};

/* Hands a body over and waits until it is committed or refused. */
void ingest_deliver(struct ingest *ingest, struct delivery *delivery);

#endif
