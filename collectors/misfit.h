/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_MISFIT_H
#define EARSHOT_COLLECTORS_MISFIT_H

/*
 * Where what a source is told to look for and what its server says do not fit together: a place
 * that every answer lacks, an address that is never there. Nothing fails of it, and posts are
 * missing all the same; so it is remembered, one sentence a place, until an answer fits there, or
 * nobody has said it again for a while. Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct json_node;
struct json_writer;

enum { MISFITS_MAX = 6, MISFIT_WHERE_SIZE = 80, MISFIT_TEXT_SIZE = 440 };

struct misfit {
    char where[MISFIT_WHERE_SIZE]; /* "children/1" */
    char text[MISFIT_TEXT_SIZE];   /* the sentence, `where` in front; "": it fits now */
    int64_t told_us;               /* when it was last said, give or take a day */
};

/* All zero: none. */
struct misfits {
    struct misfit *items; /* [count] its own */
    size_t count;
};

void misfits_clear(struct misfits *misfits);

/* Takes over what was told of a place; text "" takes it away. *news: it was not known so. -1:
 * EAR_FATAL. */
EAR_MUST_CHECK
int misfits_tell(struct misfits *misfits, const struct misfit *told, int64_t now_us, bool *news,
                 struct ear_error *err);

/* As member "misfits" of an object: [{"where","text","at"}]. */
void misfits_write(const struct misfits *misfits, struct json_writer *writer);
/* What misfits_write wrote, but for what nobody has said for long. -1: EAR_FATAL. */
EAR_MUST_CHECK
int misfits_read(struct misfits *out, const struct json_node *root, int64_t now_us,
                 struct ear_error *err);

#endif
