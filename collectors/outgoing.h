/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_OUTGOING_H
#define EARSHOT_COLLECTORS_OUTGOING_H

/*
 * The messages of a transaction to be: kept aside until the steps that it is made of are through,
 * so that one that fails can be taken out again, and so that no transaction of the log is open
 * while a source is read. One that a later one makes void (an older cursor of the same source) is
 * struck out. Threads: one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct outgoing;
struct stream_transaction;

enum { OUTGOING_BYTES_MAX = 256 * 1024 * 1024 };

EAR_MUST_CHECK
int outgoing_new(struct outgoing **out, struct ear_error *err);
void outgoing_free(struct outgoing *outgoing);

/* Adds a copy of a message (value NULL: a tombstone); the topic's name is borrowed. EAR_REJECT
 * "too_large": more than the log takes, and nothing was added. EAR_FATAL: out of memory, or beyond
 * OUTGOING_BYTES_MAX. */
EAR_MUST_CHECK
int outgoing_add(struct outgoing *outgoing, const char *topic, const char *key, size_t key_length,
                 const char *value, size_t value_length, int64_t at_us, struct ear_error *err);

/* How many were added, struck out ones among them: the number of the next one. */
size_t outgoing_count(const struct outgoing *outgoing);
size_t outgoing_bytes(const struct outgoing *outgoing);

/* Takes out everything from number `count` on. */
void outgoing_cut(struct outgoing *outgoing, size_t count);
/* Message `number` will not be published. */
void outgoing_strike(struct outgoing *outgoing, size_t number);

/* Publishes those of the topics that `takes` lets through (NULL: all), in order. */
EAR_MUST_CHECK
int outgoing_publish(const struct outgoing *outgoing, struct stream_transaction *transaction,
                     bool (*takes)(const char *topic), struct ear_error *err);

void outgoing_clear(struct outgoing *outgoing);

#endif
