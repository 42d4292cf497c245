/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_STAGES_STAGES_H
#define EARSHOT_PROCESSORS_STAGES_STAGES_H

/*
 * The stages that are built in, in the order of CMakeLists.txt beside this file, which makes the
 * table: nobody edits it.
 */

#include "processors/stage.h"

/* Ends with NULL. */
extern const struct ear_stage *const stages_builtin[];

#endif
