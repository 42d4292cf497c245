/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_FUZZ_FUZZ_H
#define EARSHOT_TESTS_FUZZ_FUZZ_H

/* What every fuzz target is: one function, called by libFuzzer or by replay.c. */

/* Assertions are what the targets are made of: they hold in every build. */
#undef NDEBUG
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Tries one input, [size]. Returns 0; a finding aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
