/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/outage.h"

/* Adds a host, if there is room and it is not there yet. */
static void add(struct outage *outage, size_t *count, uint64_t host)
{
    for (size_t i = 0; i < *count; i++) {
        if (outage->hosts[i] == host) {
            return;
        }
    }
    if (*count < OUTAGE_HOSTS) {
        outage->hosts[(*count)++] = host;
    }
}

void outage_know(struct outage *outage, uint64_t host)
{
    add(outage, &outage->known, host); /* the place is free until the first is asked */
}

enum outage_change outage_note(struct outage *outage, uint64_t host, bool answered, int64_t now_us)
{
    if (answered) {
        const bool was_away = outage->away;

        outage->count = 0;
        outage->away = false;
        return was_away ? OUTAGE_ENDED : OUTAGE_SAME;
    }
    if (outage->count == 0) {
        outage->silent_us = now_us;
    }
    add(outage, &outage->count, host);
    if (outage->away || outage->known < 2 || outage->count < outage->known ||
        now_us - outage->silent_us < OUTAGE_QUIET_US) {
        return OUTAGE_SAME;
    }
    outage->away = true;
    return OUTAGE_BEGAN;
}
