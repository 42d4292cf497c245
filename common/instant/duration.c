/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"

struct unit {
    const char *name;
    int64_t us;
};

/* Longest names first: "ms" before "m". */
static const struct unit units[] = {
    {"ms", 1000},         {"s", CLOCK_SECOND_US}, {"m", CLOCK_MINUTE_US},
    {"h", CLOCK_HOUR_US}, {"d", CLOCK_DAY_US},    {"w", 7 * CLOCK_DAY_US},
};

static const struct unit *read_unit(const char **at)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i].name);

        if (strncmp(*at, units[i].name, length) == 0) {
            *at += length;
            return &units[i];
        }
    }
    return NULL;
}

/* One "90d": adds it to *sum. False: none stands here, or the sum is beyond what can be held. */
static bool add_part(const char **at, int64_t *sum)
{
    int64_t count = 0;
    int64_t part = 0;
    const struct unit *unit;

    if (**at < '0' || **at > '9') {
        return false;
    }
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (__builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, **at - '0', &count)) {
            return false;
        }
    }
    unit = read_unit(at);
    return unit != NULL && !__builtin_mul_overflow(count, unit->us, &part) &&
           !__builtin_add_overflow(*sum, part, sum);
}

int duration_parse(int64_t *out_us, const char *text, struct ear_error *err)
{
    const char *at = text;
    int64_t sum = 0;

    do {
        if (!add_part(&at, &sum)) {
            return ear_fail(err, EAR_CONFIG,
                            "'%.64s' is no duration; write a number and s, m, h, d or w, such as "
                            "30s, 5m or 2h",
                            text);
        }
    } while (*at != '\0');
    if (sum == 0) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.64s' is no time at all; write a longer duration, such "
                        "as 30s, 5m or 2h",
                        text);
    }
    *out_us = sum;
    return 0;
}

const char *duration_format(char out[DURATION_SIZE], int64_t duration_us)
{
    static const struct unit shown[] = {{"d", CLOCK_DAY_US},
                                        {"h", CLOCK_HOUR_US},
                                        {"m", CLOCK_MINUTE_US},
                                        {"s", CLOCK_SECOND_US},
                                        {"ms", 1000}};
    enum { SHOWN = sizeof shown / sizeof shown[0], SECONDS = 3 };
    uint64_t left = duration_us < 0 ? 0 - (uint64_t)duration_us : (uint64_t)duration_us;
    size_t first = 0;
    uint64_t next;
    int written;

    while (first < SHOWN && left < (uint64_t)shown[first].us) {
        first++;
    }
    if (first == SHOWN) {
        snprintf(out, DURATION_SIZE, "0s");
        return out;
    }
    next = first < SECONDS ? left % (uint64_t)shown[first].us / (uint64_t)shown[first + 1].us : 0;
    written = snprintf(out, DURATION_SIZE, "%s%" PRIu64 "%s", duration_us < 0 ? "-" : "",
                       left / (uint64_t)shown[first].us, shown[first].name);
    if (next != 0) {
        snprintf(out + written, DURATION_SIZE - (size_t)written, " %" PRIu64 "%s", next,
                 shown[first + 1].name);
    }
    return out;
}
