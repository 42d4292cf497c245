/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_PRIVATE_FILE_H
#define EARSHOT_COLLECTORS_PRIVATE_FILE_H

/*
 * Small files that only we read and that are replaced as a whole: what stands there is the old text
 * or the new one, never half of either. Mode 0600 from the first byte on. One writer at a time: the
 * caller sees to that.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/*
 * Reads it whole, NUL-ended; the caller frees *out. *out is NULL where there is none. `secret`: it
 * is refused where others may read it. -1: EAR_CONFIG (not to be read, open to others, longer than
 * most_bytes), EAR_FATAL.
 */
EAR_MUST_CHECK
int private_file_read(char **out, size_t *length, const char *path, size_t most_bytes, bool secret,
                      struct ear_error *err);

/* Makes the folders that are missing on the way to it. -1: EAR_RETRY. */
EAR_MUST_CHECK
int private_file_make_folder(const char *path, struct ear_error *err);

/* Replaces it, making its folder where that is missing. `lasting`: it stands there even after a
 * power cut once this returned. -1: EAR_RETRY (no room, no right; what was there still stands). */
EAR_MUST_CHECK
int private_file_write(const char *path, const char *text, size_t length, bool lasting,
                       struct ear_error *err);

#endif
