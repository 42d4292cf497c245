/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_BALANCE_BALANCE_INTERNAL_H
#define EARSHOT_SINKS_BALANCE_BALANCE_INTERNAL_H

/* What the files behind balance.h share. */

#include <stddef.h>

#include "common/stream/stream.h"
#include "sinks/balance/balance.h"
#include "sinks/store/store.h"

enum { PAIRS_MAX = 32, ENTRIES_MAX = 512, ALERTS_MAX = 256, READER_SIZE = 256 };

/* A topic and who reads it. */
struct pair {
    const char *topic;
    char reader[READER_SIZE]; /* its group, too */
    bool sink;                /* this store reads it: its position is the store's */
    bool known;               /* it keeps books */
    bool open;                /* something did not balance at the first look */
    bool judged;              /* of this round: it is past the ends, or nothing was open */
    int64_t ends[STREAM_PARTITIONS_MAX]; /* where the topic ended at the first look; -1: passed */
};

/* What did not balance at the first look. */
struct entry {
    struct pair *pair;
    int64_t hour_us;
    char *source;
    int64_t wrote, came, went;
};

/* A difference that was logged. */
struct alert {
    uint64_t name;
    bool stands;
};

enum phase { PHASE_IDLE, PHASE_DATA, PHASE_AUDIT };

struct balance {
    struct balance_config config;
    struct pair pairs[PAIRS_MAX];
    size_t pair_count;
    struct pair audit; /* the topic audit, read by this store */
    struct entry entries[ENTRIES_MAX];
    size_t entry_count;
    enum phase phase;
    int64_t next_us, began_us, expired_us; /* mono */
    struct alert alerts[ALERTS_MAX];
    size_t alert_count;
};

/* differences.c: looks at each entry again, keeps what still differs in the store, and says so. */
EAR_MUST_CHECK
int differences_settle(struct balance *balance, struct store *store, int64_t now_us,
                       struct ear_error *err);

#endif
