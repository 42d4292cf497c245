/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_RUNNER_RUNNER_INTERNAL_H
#define EARSHOT_SINKS_RUNNER_RUNNER_INTERNAL_H

/* What the files behind runner.h share. */

#include "sinks/apply/apply.h"
#include "sinks/runner/runner.h"
#include "sinks/store/store.h"

enum { RUNNER_TOPICS = 5, RUNNER_PATH_SIZE = 4096 };

extern const char *const runner_topics[RUNNER_TOPICS];
extern const char runner_group[]; /* "sink.store" */

struct runner {
    struct runner_config config;
    struct store *store;       /* NULL after it broke, until it is open again */
    struct store *names_store; /* of a shared store: a second handle, for words */
    struct apply *apply;
    struct balance *balance;
    struct stream_reader *reader;
    struct stream_batch batch;
    bool retry; /* the batch was read and has not been applied */
    bool held;  /* this sink does what needs the whole picture */
    int pause_ms;
    char feed_dir[RUNNER_PATH_SIZE];
    int64_t kept_us, fed_us, warned_us; /* mono */
};

/* runner.c: what is done about a failure before the next try. Returns -1, so that it ends a turn.
 */
int runner_failed(struct runner *runner, const struct ear_error *err);

/* keep.c: the house, of which what needs the whole picture is the holder's. */
EAR_MUST_CHECK
int runner_keep_house(struct runner *runner, bool all, int64_t mono_us, struct ear_error *err);

#endif
