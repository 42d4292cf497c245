/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_OUTAGE_H
#define EARSHOT_COLLECTORS_OUTAGE_H

/*
 * Our own outage told from the sources': when for OUTAGE_QUIET_US no host at all has answered and
 * meanwhile OUTAGE_HOSTS different ones were asked in vain (all of them, where there are fewer; but
 * of a single one nobody can tell), it is our network that is away. It is back with the first
 * answer, whatever that says. Pure: time comes in.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTAGE_QUIET_US (INT64_C(10) * 1000000)
enum { OUTAGE_HOSTS = 3 };

struct outage {
    size_t known;                 /* how many hosts there are, up to OUTAGE_HOSTS */
    uint64_t hosts[OUTAGE_HOSTS]; /* [count] that did not answer since the last answer */
    size_t count;
    int64_t silent_us; /* since when nobody has answered */
    bool away;
};

enum outage_change { OUTAGE_SAME, OUTAGE_BEGAN, OUTAGE_ENDED };

/* A host that sources are at: a hash of its name. Each before the first is asked, more than once is
 * no harm. */
void outage_know(struct outage *outage, uint64_t host);

/* A host answered, or did not. */
enum outage_change outage_note(struct outage *outage, uint64_t host, bool answered, int64_t now_us);

#endif
