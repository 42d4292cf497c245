/* SPDX-License-Identifier: Apache-2.0 */

/* Sharing out where nothing is shared: one process, which a lock of its role keeps alone, owns
 * every key from the start. */

#include <stdlib.h>

#include "common/stream/local_internal.h"

struct local_share {
    struct stream_share base;
    bool told; /* that everything is owned */
};

int local_share_open(struct stream_share **out, struct stream *stream, const char *group,
                     const char *const tables[], size_t table_count, struct ear_error *err)
{
    struct local_share *share = NULL;
    struct local_topic *topic;

    if (local_check_group(group, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < table_count; i++) {
        if (local_compacted_topic(&topic, (struct local *)stream, tables[i], err) != 0) {
            return -1;
        }
    }
    share = calloc(1, sizeof *share);
    if (share == NULL) {
        return ear_fail_memory(err, "a share of the log");
    }
    share->base.backend = &stream_local;
    *out = &share->base;
    return 0;
}

void local_share_close(struct stream_share *base)
{
    free(base);
}

int local_share_turn(struct stream_share *base, int timeout_ms, bool *changed,
                     struct ear_error *err)
{
    struct local_share *share = (struct local_share *)base;

    (void)timeout_ms;
    (void)err;
    *changed = !share->told;
    share->told = true;
    return 0;
}

int64_t local_share_owns(const struct stream_share *base, const char *key, size_t key_length)
{
    (void)key;
    (void)key_length;
    return ((const struct local_share *)base)->told ? 1 : 0;
}

bool local_share_settling(const struct stream_share *base)
{
    return !((const struct local_share *)base)->told;
}

int local_share_guard(struct stream_transaction *transaction, struct stream_share *share,
                      struct ear_error *err)
{
    (void)transaction;
    (void)share;
    (void)err;
    return 0;
}
