/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_HOST_H
#define EARSHOT_PROCESSORS_HOST_H

/*
 * The other side of processors/stage.h: the table of functions through which a stage reaches
 * messages, and the place where it leaves its verdicts. One host_output serves one call of one
 * stage's `process`; afterwards the verdicts say for each message whether it goes on.
 */

#include <stddef.h>

#include "common/error.h"
#include "common/message/message.h"
#include "processors/stage.h"

enum { HOST_ELSEWHERE_MAX = 16 }; /* messages that one message may bring to other topics */

enum host_verdict {
    HOST_DROPPED, /* neither published nor rejected */
    HOST_PASSED,
    HOST_REJECTED,
};

/* What a stage said of one message. */
struct host_judged {
    enum host_verdict verdict;
    const char *code, *reason; /* of a reject; in the arena */
};

/* A message for another topic than the chain's; in the arena. */
struct host_elsewhere {
    const char *topic;
    struct ear_message *message; /* a copy as it stood then, its id made ID#n */
    struct host_elsewhere *next;
};

struct host_output {
    struct ear_output output; /* first: a stage sees only this */
    struct message_arena *arena;
    struct ear_message *const *messages; /* [count], the batch */
    size_t count;
    struct host_judged *judged;       /* [count], in the arena */
    struct host_elsewhere *elsewhere; /* newest first; NULL: none */
    size_t hint;                      /* where the next verdict is looked for first */
};

/* Gives a message the host's functions. */
void host_attach(struct ear_message *message);

/*
 * Begins a stage's batch: all messages count as dropped until the stage says otherwise. messages
 * borrowed until the output is done with; verdicts lie in the arena. -1: EAR_FATAL. Threads: one at
 * a time per arena.
 */
EAR_MUST_CHECK
int host_output_init(struct host_output *output, struct message_arena *arena,
                     struct ear_message *const messages[], size_t count, struct ear_error *err);

#endif
