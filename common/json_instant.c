/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_instant.h"

#include "common/instant.h"
#include "common/json/json.h"

int64_t json_instant(const struct json_node *object, const char *key, int64_t otherwise)
{
    size_t length = 0;
    const char *text = json_string(json_get(object, key), &length);
    int64_t at_us = otherwise;

    if (text != NULL) {
        (void)instant_parse_rfc3339(&at_us, text, length);
    }
    return at_us;
}

void json_member_instant(struct json_writer *writer, const char *key, int64_t at_us, int64_t none)
{
    char text[INSTANT_SIZE];

    if (at_us != none) {
        json_member_string(writer, key, instant_format(text, at_us));
    }
}
