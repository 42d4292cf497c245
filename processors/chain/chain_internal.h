/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_CHAIN_CHAIN_INTERNAL_H
#define EARSHOT_PROCESSORS_CHAIN_CHAIN_INTERNAL_H

#include "common/error.h"
#include "processors/stage.h"

/*
 * Loads a `.so` and copies what its ear_stage_v1 returns; fields that it was compiled without are
 * absent. *library is for plugin_unload. EAR_CONFIG: no such file, no such function, another ABI,
 * or a struct that makes no sense; the message says which and what to do.
 */
EAR_MUST_CHECK
int plugin_load(void **library, struct ear_stage *out, const char *path, struct ear_error *err);
void plugin_unload(void *library);

#endif
