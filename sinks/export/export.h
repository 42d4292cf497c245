/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_EXPORT_EXPORT_H
#define EARSHOT_SINKS_EXPORT_EXPORT_H

/*
 * `earshot export`: every post of the store, or a view, for other programs. `export posts` is the
 * audit door: internal, ours and copies are there, deleted and dropped ones are not, in order of
 * their ids (interface.md).
 */

#include "common/error.h"

struct command_call;

int export_command(const struct command_call *call, struct ear_error *err);

#endif
