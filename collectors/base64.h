/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_BASE64_H
#define EARSHOT_COLLECTORS_BASE64_H

/* What `Authorization: Basic` shows. */

#include <stddef.h>

/* Base64 with padding (RFC 4648, section 4), NUL-ended; the caller frees it. NULL: no memory. */
char *base64_of(const void *bytes, size_t length);

#endif
