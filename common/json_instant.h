/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_JSON_INSTANT_H
#define EARSHOT_COMMON_JSON_INSTANT_H

/* Instants as members of JSON objects: RFC 3339 in, RFC 3339 out. */

#include <stdint.h>

struct json_node;
struct json_writer;

/* The instant that a member holds, or `otherwise` where there is none; object may be NULL. */
int64_t json_instant(const struct json_node *object, const char *key, int64_t otherwise);

/* Key and value in one call; what equals `none` is left out. */
void json_member_instant(struct json_writer *writer, const char *key, int64_t at_us, int64_t none);

#endif
