/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_ASKS_H
#define EARSHOT_COLLECTORS_ASKS_H

/*
 * What people ask of collectors: to read a source anew, now that what was rejected of it is mended.
 * `earshot rejects retry` marks the reject with `"again": true`; the collector that has the source
 * does the rest in a transaction of its own, so that nobody but its owner ever writes where a
 * source stands. An ask is open until its reject is gone or was told again; all collectors know all
 * of them, for the source may come to any. One that nobody had heard of for ASKS_DAYS is forgotten:
 * the reject is still listed, and can be asked for again. Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct asks;
struct stream;

enum { ASKS_DAYS = 7, ASKS_MAX = 10000 };

/* The stream is borrowed. -1: as stream_follow. */
EAR_MUST_CHECK
int asks_new(struct asks **out, struct stream *stream, int64_t now_us, struct ear_error *err);
void asks_free(struct asks *asks);

/* Looks for new ones, at most once a second; at first, until all are known. -1: EAR_RETRY,
 * EAR_FATAL. */
EAR_MUST_CHECK
int asks_look(struct asks *asks, struct ear_error *err);

/* False until all that were open at the start are known. */
bool asks_are_known(const struct asks *asks);

/* The open ones: names of rejects, SOURCE/HASH. Borrowed until the next look. */
size_t asks_count(const struct asks *asks);
const char *asks_at(const struct asks *asks, size_t index);

/* Is the ask about this source? */
bool asks_is_about(const char *ask, const char *source);

#endif
