/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SOURCE_HIDE_H
#define EARSHOT_COLLECTORS_SOURCE_HIDE_H

/* What nobody may see of a source's requests and answers, told to a tape. */

#include "common/error.h"

struct session;
struct source_entry;
struct tape;

/* The source's secrets as configured, and the tokens in hand. -1: EAR_FATAL. */
EAR_MUST_CHECK
int source_hide(struct tape *tape, const struct session *session, const struct source_entry *entry,
                struct ear_error *err);

/* The tokens alone: what one is, is known only once it was given out. */
EAR_MUST_CHECK
int source_hide_tokens(struct tape *tape, const struct session *session, struct ear_error *err);

#endif
