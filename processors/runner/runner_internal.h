/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_RUNNER_RUNNER_INTERNAL_H
#define EARSHOT_PROCESSORS_RUNNER_RUNNER_INTERNAL_H

#include "common/json/json.h"
#include "common/stream/stream.h"
#include "processors/chain/chain.h"
#include "processors/runner/runner.h"

enum {
    READS_MAX = 16,                 /* reads that make up a batch */
    BATCH_BYTES = 4 * 1024 * 1024,  /* of messages as they lie in the log */
    ARENA_BYTES = 96 * 1024 * 1024, /* of messages as they are worked on */
    TRIES_WHOLE = 2,                /* of a batch before it is taken apart */
    TRIES_ALONE = 10,               /* of a message that says EAR_RETRY, before it is rejected */
    SLICE = 128, /* messages that the stages are given at once: so many stay in a core's cache, and
                    the arena small, however large the transaction is */
    CODE_SIZE = 32,
};

/* What becomes of one message. */
enum fate { FATE_PASSED, FATE_DROPPED, FATE_REJECTED, FATE_DELETED, FATE_TOMBSTONE };

struct item {
    const struct stream_message *in;
    struct ear_message *message; /* NULL: a tombstone, or not readable */
    enum fate fate;
    const char *stage, *code, *reason; /* of a reject or drop; as long as the arena */
};

/* How many messages of one source and hour went which way in this transaction; or, with a topic
 * (configured elsewhere), how many a stage published there besides. */
struct tally {
    char *source, *topic;
    int64_t hour_us;
    int64_t in, out, dropped, rejected;
};

/* A reject as it is logged and counted once it is committed. */
struct refusal {
    char *source, *item, *stage, *code, *reason;
};

struct runner {
    struct runner_config config;
    struct stream_reader *reader;
    struct stream_batch reads[READS_MAX];
    size_t read_count;
    struct item *items;               /* [item_count] of batch_messages */
    struct ear_message *batch[SLICE]; /* what goes through the chain */
    struct chain_result results[SLICE];
    size_t item_count;
    struct message_arena *arena;
    struct json_writer *writer;
    struct stream_transaction *transaction; /* open while a batch is carried */
    struct tally *tallies;
    size_t tally_count, tally_capacity;
    struct refusal *refusals;
    size_t refusal_count, refusal_capacity;
    int64_t now_us;       /* of this turn */
    int tries;            /* how often this batch failed in a stage */
    int failures;         /* turns that failed, in a row */
    bool astray;          /* the reader could not go back to where its group stands */
    bool failed_in_stage; /* the last failure was a stage's, not the log's */
    const char *stage;    /* which */
};

/* Reads items first…first+count (at most SLICE), runs them through the chain and publishes what
 * comes of them. Resets the arena. -1: failed_in_stage says whose fault it is. */
EAR_MUST_CHECK
int runner_carry_range(struct runner *runner, size_t first, size_t count, struct ear_error *err);

/* Publishes what became of one item, by its fate, and counts it. */
EAR_MUST_CHECK
int runner_publish_item(struct runner *runner, struct item *item, struct ear_error *err);

EAR_MUST_CHECK
int runner_publish_elsewhere(struct runner *runner, const struct host_elsewhere *elsewhere,
                             struct ear_error *err);

EAR_MUST_CHECK
int runner_publish_audit(struct runner *runner, struct ear_error *err);

/* Logs and counts the rejects of a committed transaction. */
void runner_tell_refusals(struct runner *runner);

/* Forgets tallies and refusals. */
void runner_forget_counts(struct runner *runner);

/* Cuts a code off the front of a message: "bad_json: byte 7" is bad_json and "byte 7"; without one
 * the code is `otherwise`. code is the caller's; returns the rest. */
const char *runner_split_code(char code[CODE_SIZE], const char *message, const char *otherwise);

#endif
