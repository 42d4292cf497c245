/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_INGEST_INGEST_H
#define EARSHOT_COLLECTORS_INGEST_INGEST_H

/*
 * Posts that are sent to us (`use: ingest`, and the section `ingest:`): contests, idea forms, chat
 * bots, one's own programs.
 *
 *     POST /ingest/SOURCE     NDJSON, JSON (an object, or an array of them) or a form, with
 *                             "Authorization: Bearer TOKEN"; the keys of a file source's `map`
 *                             hold. 202 only after the log has committed; a batch is taken whole
 *                             or refused whole, with a reason in JSON
 *     GET  /form/NAME         a page with a small form, for strangers; it may be framed by the
 *                             sites that `origins` names. POST takes it in and thanks
 *
 * The same entry sent again is one: by its mapped id, or by Idempotency-Key and its place in the
 * body; what has neither is new each time. A form has a key of its own hidden in it.
 *
 * HTTP threads check and wait; the role's own thread reads bodies and commits several requests in
 * one transaction. Nothing a stranger sends makes memory grow beyond the limits below.
 */

#include "collectors/source.h"
#include "common/error.h"

struct clock;
struct ingest;
struct metrics;
struct post_rules;
struct settings;
struct sources;
struct stream;

enum {
    INGEST_BODY_MAX = 1024 * 1024,
    INGEST_FORM_MAX = 64 * 1024, /* of a form's body */
    INGEST_ITEMS_MAX = 10000,    /* of a body */
};

/* A source that is sent to; polled, it has nothing. */
extern const struct source_reader ingest_reader;

/* Adds findings about the section `ingest:`. -1: EAR_FATAL. */
EAR_MUST_CHECK
int ingest_check(struct settings *settings, const struct sources *sources, struct ear_error *err);

/* All borrowed until ingest_free. */
struct ingest_config {
    struct settings *settings;
    const struct sources *sources; /* checked */
    struct stream *stream;
    const struct post_rules *rules;
    struct metrics *metrics; /* may be NULL */
    const struct clock *clock;
};

/* Listens at once. -1: EAR_CONFIG (nothing to listen on, the address is taken), EAR_FATAL. */
EAR_MUST_CHECK
int ingest_new(struct ingest **out, const struct ingest_config *config, struct ear_error *err);
/* Who still waits is told 503. */
void ingest_free(struct ingest *ingest);

/* Takes in what waits, after at most timeout_ms. -1: EAR_FATAL, EAR_CONFIG, EAR_FENCED. */
EAR_MUST_CHECK
int ingest_turn(struct ingest *ingest, int timeout_ms, struct ear_error *err);

int ingest_port(const struct ingest *ingest);

#endif
