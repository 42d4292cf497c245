/* SPDX-License-Identifier: Apache-2.0 */
/* A message with any insight: adding members to it leaves an object that has them, once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "processors/host.h"
#include "processors/insight.h"
#include "tests/fuzz/fuzz.h"

static const char members[] = "{\"brands\":[\"Acme\"],\"n\":{\"a\":\"}\\\"\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ear_error err = {0};
    struct message_arena *arena = NULL;
    struct ear_message *message = NULL;
    const struct json_node *insight = NULL;
    size_t before = 0;

    if (size > 100000 || message_arena_new(&arena, (size_t)16 << 20, &err) != 0) {
        return 0;
    }
    message = message_read(arena, (const char *)data, size, &err);
    if (message == NULL) {
        goto done;
    }
    host_attach(message);
    insight = message_node(message, "insight");
    if (insight != NULL && json_kind_of(insight) == JSON_OBJECT) {
        before = json_count(insight) - (json_get(insight, "brands") != NULL) -
                 (json_get(insight, "n") != NULL);
    }
    if (insight_add(message, members, strlen(members), &err) != 0) {
        abort();
    }
    insight = message_node(message, "insight");
    assert(json_kind_of(insight) == JSON_OBJECT && json_count(insight) == before + 2);
    assert(json_count(json_get(insight, "brands")) == 1);
    assert(json_count(json_get(insight, "n")) == 1);

done:
    message_arena_free(arena);
    return 0;
}
