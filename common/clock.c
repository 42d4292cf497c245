/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/instant.h"

/* A shift of more than 19,000 years is no shift but a mistake. */
static const int64_t SHIFT_MAX_US = INT64_C(7000000) * CLOCK_DAY_US;

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now = {0};

    clock_gettime(id, &now);
    return now.tv_sec * CLOCK_SECOND_US + now.tv_nsec / 1000;
}

static int shift_from_text(int64_t *out_us, const char *text, struct ear_error *err)
{
    char *end = NULL;
    long long shift = strtoll(text, &end, 10);

    if (*text == '\0' || *end != '\0' || shift > SHIFT_MAX_US || shift < -SHIFT_MAX_US) {
        return ear_fail(err, EAR_CONFIG,
                        "EARSHOT_NOW_SHIFT is '%s', which is no number of microseconds; unset it",
                        text);
    }
    *out_us = shift;
    return 0;
}

int clock_init(struct clock *clock, const char *now, struct ear_error *err)
{
    const char *shift = getenv("EARSHOT_NOW_SHIFT"); /* NOLINT(concurrency-mt-unsafe): at start */
    int64_t now_us = 0;

    if (shift != NULL && *shift != '\0') {
        return shift_from_text(&clock->shift_us, shift, err);
    }
    if (now == NULL || *now == '\0') {
        clock->shift_us = 0;
        return 0;
    }
    if (!instant_parse_rfc3339(&now_us, now, strlen(now))) {
        return ear_fail(err, EAR_CONFIG,
                        "'%s' is no instant to start the clock at; write it as in RFC 3339, such "
                        "as 2026-11-20T08:00:00Z",
                        now);
    }
    clock->shift_us = now_us - read_clock_us(CLOCK_REALTIME);
    return 0;
}

int64_t clock_now_us(const struct clock *clock)
{
    return read_clock_us(CLOCK_REALTIME) + clock->shift_us;
}

int64_t clock_mono_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}
