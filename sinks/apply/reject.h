/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_APPLY_REJECT_H
#define EARSHOT_SINKS_APPLY_REJECT_H

/*
 * A message that the sink sets aside: its reject, put into the outbox in the transaction that goes
 * past it. The relay publishes it from there; its id is the place of the message, so one that is
 * published twice is the same one twice.
 */

#include <stdint.h>

#include "common/error.h"
#include "common/json/json.h"
#include "common/stream/stream.h"
#include "sinks/store/store.h"

enum { REJECT_ID_SIZE = 128, REJECT_CODE_SIZE = 32 };

/* "insights/3/1290". Returns out. */
const char *reject_id(char out[REJECT_ID_SIZE], const struct stream_message *message);

/* The code in front of a message ("schema: …"), or "store". Returns out. */
const char *reject_code(char out[REJECT_CODE_SIZE], const struct ear_error *why);

/* Puts it there. `source` is the configured one that the message names, '' where it names none. */
EAR_MUST_CHECK
int reject_put(struct store *store, struct json_writer *writer,
               const struct stream_message *message, const char *source,
               const struct ear_error *why, int64_t now_us, struct ear_error *err);

#endif
