/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_CLOCK_H
#define EARSHOT_COMMON_CLOCK_H

/*
 * What time it is. Wall time is int64_t microseconds since 1970 in UTC (`…_us`), and may be set:
 * `--now` and EARSHOT_NOW let the clock start anywhere and run on from there. What must not be set
 * (timeouts, pauses) uses mono_us. Rooms take times as arguments; only programs and runners ask the
 * clock.
 */

#include <stdint.h>

#include "common/error.h"

#define CLOCK_SECOND_US INT64_C(1000000)
#define CLOCK_MINUTE_US (60 * CLOCK_SECOND_US)
#define CLOCK_HOUR_US (60 * CLOCK_MINUTE_US)
#define CLOCK_DAY_US (24 * CLOCK_HOUR_US)

struct clock {
    int64_t shift_us; /* added to the machine's wall time; 0 unless --now or EARSHOT_NOW set it */
};

/*
 * Sets a clock up. `now` is an RFC 3339 instant at which it starts, or NULL or empty for the
 * machine's time. A process that starts others passes the shift on as EARSHOT_NOW_SHIFT
 * (microseconds), which wins, so that all of them agree to the microsecond. Returns 0, or -1 with
 * EAR_CONFIG.
 */
EAR_MUST_CHECK
int clock_init(struct clock *clock, const char *now, struct ear_error *err);

/* Wall time in microseconds since 1970, UTC, shifted. Threads: any. */
int64_t clock_now_us(const struct clock *clock);

/* Microseconds on a clock that only grows, from an unspecified start. */
int64_t clock_mono_us(void);

#endif
