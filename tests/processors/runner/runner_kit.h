/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_PROCESSORS_RUNNER_RUNNER_KIT_H
#define EARSHOT_TESTS_PROCESSORS_RUNNER_RUNNER_KIT_H

/*
 * A processor on a real local log in a folder of its own, for tests: posts in, turns, and what then
 * lies in the topics. Failures of the kit fail the test.
 */

#include "common/clock.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "processors/chain/chain.h"
#include "processors/runner/runner.h"

struct runner_kit {
    char folder[64];
    char away[96]; /* path of the file that the stage contrary looks for */
    struct clock clock;
    struct settings *settings;
    struct stream *stream;
    struct chain *chain;
    struct runner *runner;
    struct ear_error err;
};

/* Makes the folder and its configuration: a chain of normalise, contrary and brands, batches of
 * `batch` messages. Opens nothing. */
void runner_kit_make(struct runner_kit *kit, int batch);
void runner_kit_remove(struct runner_kit *kit);

/* Opens log, chain and runner; closes them. A process may open a log once at a time. */
void runner_kit_open(struct runner_kit *kit);
void runner_kit_close(struct runner_kit *kit);

/* Publishes one message of the topic posts; value NULL: a tombstone. */
void runner_kit_put(struct runner_kit *kit, const char *key, const char *value);

/* Publishes a post whose text is given, under id test:a:NUMBER. */
void runner_kit_post(struct runner_kit *kit, int number, int64_t version, const char *text);

/* Turns until a turn is idle; returns how many failed with EAR_RETRY on the way. More than 40 fail
 * the test. */
int runner_kit_drain(struct runner_kit *kit);

/* Calls visit for every message that a topic holds, in order per partition; returns how many. */
size_t runner_kit_each(struct runner_kit *kit, const char *topic,
                       void (*visit)(void *user, const struct stream_message *message), void *user);

/* The value of a topic's n-th message that has `needle` in it, counted from 0; NULL: none. Caller
 * frees. */
char *runner_kit_find(struct runner_kit *kit, const char *topic, const char *needle, size_t n);

#endif
