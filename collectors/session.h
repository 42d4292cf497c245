/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SESSION_H
#define EARSHOT_COLLECTORS_SESSION_H

/*
 * What the commands of earshot-collect open before they begin, and close in the right order: the
 * lock, the log, the key of pseudonyms, the fetcher, the rules of posts.
 */

#include "collectors/sources.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/settings/settings.h"

struct command_call;
struct fetch;
struct metrics;
struct post_rules;
struct settings;
struct stream;
struct tokens;

struct session {
    struct settings *settings; /* borrowed */
    struct clock clock;
    struct sources sources;
    struct settings_role role;
    struct stream *stream;
    struct metrics *metrics;
    struct fetch *fetch;
    struct tokens *tokens;
    struct post_rules *rules;
    struct pseudonym_key key;
};

/* Checks the sources: an exit code, EXIT_CONFIG after printing what is wrong. -1: err. */
EAR_MUST_CHECK
int session_check(struct session *session, const struct command_call *call, struct ear_error *err);

/* Takes the lock of that name ("collect", "ingest", "import") and opens the log, the fetcher and
 * the rules. -1: EAR_RETRY (held; the log away), EAR_CONFIG, EAR_FATAL. */
EAR_MUST_CHECK
int session_open(struct session *session, const char *role, struct ear_error *err);

/* Opens the fetcher, the tokens and the rules alone: writes nothing anywhere but tokens, where some
 * are fetched. */
EAR_MUST_CHECK
int session_open_probe(struct session *session, struct ear_error *err);

/*
 * The same for answers that were kept: no file is read but the configuration's, no key of
 * pseudonyms (so that all who play them get the same posts), tokens and quotas begin anew and are
 * kept nowhere.
 */
EAR_MUST_CHECK
int session_open_tape(struct session *session, struct ear_error *err);

void session_close(struct session *session);

#endif
