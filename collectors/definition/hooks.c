/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What YAML cannot say: small functions that a definition names by `hook:`. One mends a record that
 * was mapped already; it asks for nothing and remembers nothing.
 */
#include "collectors/definition/definition_internal.h"

#include <string.h>

#include "collectors/source.h"

/* A platform that lets the author's clock say when (Bluesky's createdAt): never later than the
 * instant at which the server itself first had it, which is what the list is ordered by. */
static void mend_claimed_time(struct source_record *record, const struct cursor *cursor,
                              const struct json_node *node)
{
    const char *text = NULL;
    int64_t at_us = 0;

    if (cursor->given && !cursor->by_link && cursor->as != AS_TEXT && cursor->as != AS_INT &&
        cursor_value(cursor, node, &at_us, &text) && record->created_us > at_us) {
        record->created_us = at_us;
    }
}

static const struct hook hooks[] = {
    {"claimed-time", "created_at is never later than what the list is ordered by",
     mend_claimed_time},
    {NULL, NULL, NULL},
};

static const char *const names[] = {"claimed-time", NULL};

const struct hook *hook_find(const char *name)
{
    for (const struct hook *hook = hooks; hook->name != NULL; hook++) {
        if (strcmp(hook->name, name) == 0) {
            return hook;
        }
    }
    return NULL;
}

const char *const *hook_names(void)
{
    return names;
}
