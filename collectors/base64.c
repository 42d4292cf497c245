/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/base64.h"

#include <stdlib.h>

char *base64_of(const void *bytes, size_t length)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const unsigned char *text = bytes;
    char *out = malloc((length + 2) / 3 * 4 + 1);
    char *at = out;

    for (size_t i = 0; out != NULL && i < length; i += 3) {
        const unsigned one = text[i];
        const unsigned two = i + 1 < length ? text[i + 1] : 0;
        const unsigned three = i + 2 < length ? text[i + 2] : 0;
        const unsigned all = one << 16 | two << 8 | three;

        *at++ = digits[all >> 18 & 63];
        *at++ = digits[all >> 12 & 63];
        *at++ = digits[i + 1 < length ? all >> 6 & 63 : 64];
        *at++ = digits[i + 2 < length ? all & 63 : 64];
    }
    if (out != NULL) {
        *at = '\0';
    }
    return out;
}
