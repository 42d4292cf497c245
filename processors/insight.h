/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_INSIGHT_H
#define EARSHOT_PROCESSORS_INSIGHT_H

/*
 * The member "insight" of a message, to which each stage adds what it found out. A stage writes an
 * object of its own members ({"brands":["Acme"]}); insight_add joins it with what earlier stages
 * wrote. A member that is there already is replaced, so that a message that went through a chain
 * before gets today's answer.
 */

#include <stddef.h>

#include "common/error.h"

struct ear_message;

/*
 * Joins members[length], a JSON object that a json_writer wrote, into the message's "insight" (made
 * where it is absent or no object). Copied. -1: EAR_REJECT ("too_large: …"; the message stays as it
 * was) or EAR_FATAL. Threads: one at a time per message.
 */
EAR_MUST_CHECK
int insight_add(struct ear_message *message, const char *members, size_t length,
                struct ear_error *err);

#endif
