/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_BACKFILL_H
#define EARSHOT_COLLECTORS_BACKFILL_H

/*
 * A walk into a source's past, as it stands: part of its message on `cursors`. The walk itself is
 * made of polls that begin with source_poll.backfill_since_us, whenever no ordinary poll is due;
 * where the reader is in it, its cursor says. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

struct json_node;
struct json_writer;

struct backfill {
    int64_t asked_us; /* the errand that it serves; 0: none ever was */
    int64_t since_us; /* walk back to here; 0: it was stopped */
    int64_t began_us;
    int64_t done_us;    /* 0: under way, if since_us says so */
    int64_t reached_us; /* said then: how far it has come; 0: not known */
    int64_t posts, requests;
    int64_t next_us; /* not sooner again */
};

static inline bool backfill_is_open(const struct backfill *backfill)
{
    return backfill->since_us != 0 && backfill->done_us == 0;
}

void backfill_write(const struct backfill *backfill, struct json_writer *writer);
void backfill_read(struct backfill *out, const struct json_node *root);

#endif
