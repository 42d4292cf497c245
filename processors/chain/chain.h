/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_CHAIN_CHAIN_H
#define EARSHOT_PROCESSORS_CHAIN_CHAIN_H

/*
 * The stages of one processor, opened and run one after another: what a message's fate is after all
 * of them. Built-in stages come from the generated table of processors/stages; `plugin` loads a
 * `.so` by path. A chain knows no topics, retries or transactions: those are the runner's.
 */

#include <stddef.h>

#include "common/error.h"
#include "processors/host.h"

struct chain;
struct metrics;
struct settings;
struct settings_processor;

/* What became of one message. */
struct chain_result {
    enum host_verdict verdict;
    const char *stage;         /* where it was dropped or rejected; lives as long as the chain */
    const char *code, *reason; /* of a reject; in the arena */
};

/*
 * Fills the options of every stage from the settings and opens them. -1: EAR_CONFIG, and each thing
 * that a person must change is a finding of settings->config; EAR_FATAL. Settings (NULL metrics:
 * none are kept) are borrowed until close.
 */
EAR_MUST_CHECK
int chain_open(struct chain **out, const struct settings *settings,
               const struct settings_processor *processor, struct metrics *metrics,
               struct ear_error *err);
void chain_close(struct chain *chain);

/*
 * Runs messages[count], of the arena, through the stages.
 *
 * results    [count], the caller's: one for each message, in order
 * elsewhere  what is to go to other topics, newest first; NULL: nothing
 *
 * -1: a stage failed as a whole, and nothing of the batch counts; *stage is its name (lives as long
 * as the chain; "" before the first). Messages may have been changed: read them anew before the
 * next try. Threads: one at a time per chain.
 */
EAR_MUST_CHECK
int chain_run(struct chain *chain, struct message_arena *arena,
              struct ear_message *const messages[], size_t count, struct chain_result results[],
              struct host_elsewhere **elsewhere, const char **stage, struct ear_error *err);

/* The generation of the chain's model: of its last stage that has one; "" where none has. Lives as
 * long as the chain. */
const char *chain_generation(const struct chain *chain);

#endif
