/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_LEDGER_H
#define EARSHOT_COLLECTORS_LEDGER_H

/*
 * What a source was last seen to hold: the topic `seen`, read through what the transaction to be
 * has itself added. Key: SOURCE/hash of the native id. Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/hash.h"

/*
 * An entry of something that is still shown is written anew once it is so old: `seen` forgets what
 * it has kept for its retention (at least twice as long), and what a source goes on showing must
 * not come again as new. What comes only now and then, such as the past that a backfill walks
 * through, is forgotten after that time; it then comes again with a new version, and the store
 * holds it once.
 */
#define LEDGER_REFRESH_US (30 * INT64_C(86400000000))

struct ledger;
struct outgoing;
struct stream;

/* One item as it was last seen. */
struct ledger_entry {
    bool known;   /* it was seen before */
    bool deleted; /* and gone when last seen */
    struct hash128 hash, raw;
    int64_t version;
    int64_t first_us; /* when it was first seen */
    int64_t at_us;    /* when the entry was written; 0: before that was kept */
};

EAR_MUST_CHECK
int ledger_new(struct ledger **out, struct stream *stream, struct ear_error *err);
void ledger_free(struct ledger *ledger);

/* Forgets what was added: it is committed, or came to nothing. */
void ledger_reset(struct ledger *ledger);

/* From here on what is added may be taken back, by ledger_rewind: all of it since the last mark. */
void ledger_mark(struct ledger *ledger);
void ledger_rewind(struct ledger *ledger);

/*
 * Items that are known to stand in the log as they came, so that what a page shows again with every
 * poll need not be looked up there: at most LEDGER_KNOWN_MAX of them, forgotten after a day at the
 * latest (their age has to be looked at now and then). An item that is put is forgotten at once.
 */
enum { LEDGER_KNOWN_MAX = 1 << 19 }; /* 8 MiB */

bool ledger_knows(struct ledger *ledger, const char *source, struct hash128 native,
                  struct hash128 raw, int64_t now_us);
/* What ledger_find just told, of an item that is not deleted. */
void ledger_know(struct ledger *ledger, const char *source, struct hash128 native,
                 struct hash128 raw);
/* Somebody else may have written: the log has to be asked again. */
void ledger_forget_known(struct ledger *ledger);

/* What is known of an item; entry->known false: nothing. -1: EAR_RETRY, EAR_FATAL. */
EAR_MUST_CHECK
int ledger_find(struct ledger *ledger, const char *source, struct hash128 native,
                struct ledger_entry *entry, struct ear_error *err);

/* Remembers an item, among what goes out and from now on. */
EAR_MUST_CHECK
int ledger_put(struct ledger *ledger, struct outgoing *outgoing, const char *source,
               struct hash128 native, const struct ledger_entry *entry, int64_t now_us,
               struct ear_error *err);

#endif
