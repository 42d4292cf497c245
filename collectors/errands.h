/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_ERRANDS_H
#define EARSHOT_COLLECTORS_ERRANDS_H

/*
 * What people ask of collectors. The collector that has the source does it in transactions of its
 * own, so that nobody but its owner ever writes where a source stands; all collectors know all
 * of it, for the source may come to any. Threads: one at a time.
 *
 * To read a source anew, now that what was rejected of it is mended: `earshot rejects retry` marks
 * the reject with `"again": true`. That is open until its reject is gone or was told again. One
 * that nobody had heard of for ERRANDS_DAYS is forgotten: the reject is still listed, and can be
 * asked for again.
 *
 * To walk into a source's past: `earshot backfill` puts an errand, the source's latest wins. Where
 * the source stands says which one it has served.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct errands;
struct stream;

enum { ERRANDS_DAYS = 7, ERRANDS_MAX = 10000 };

/* The stream is borrowed. -1: as stream_follow. */
EAR_MUST_CHECK
int errands_new(struct errands **out, struct stream *stream, int64_t now_us, struct ear_error *err);
void errands_free(struct errands *errands);

/* Looks for new ones, at most once a second; at first, until all are known. -1: EAR_RETRY,
 * EAR_FATAL. */
EAR_MUST_CHECK
int errands_look(struct errands *errands, struct ear_error *err);

/* False until all that were open at the start are known. */
bool errands_are_known(const struct errands *errands);

/* What is to be read anew: names of rejects, SOURCE/HASH. Borrowed until the next look. */
size_t errands_retry_count(const struct errands *errands);
const char *errands_retry_at(const struct errands *errands, size_t index);

/* What is to be done of a source's past. */
struct errand {
    const char *source; /* borrowed until the next look */
    int64_t asked_us;   /* later than the one before it of the same source */
    int64_t since_us;   /* walk back to here; 0: stop walking */
};

size_t errands_count(const struct errands *errands);
struct errand errands_at(const struct errands *errands, size_t index);

/* Is it about a reject of this source? */
bool errands_is_about(const char *retry, const char *source);

#endif
