/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/schedule.h"

#include <stddef.h>
#include <string.h>

static const char *const state_names[] = {"ok", "waiting", "red"};

/* 0 (inclusive) to 1 (exclusive), from a seed: splitmix64's mixer (Steele, Lea, Flood 2014). */
static double draw(uint64_t seed, int64_t salt)
{
    uint64_t z =
        seed + (uint64_t)salt * UINT64_C(0xbf58476d1ce4e5b9) + UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0;
}

/* span_us, give or take a tenth. */
static int64_t about(int64_t span_us, uint64_t seed, int64_t salt)
{
    return (int64_t)((double)span_us * (0.9 + 0.2 * draw(seed, salt)));
}

static int64_t bounded(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static int64_t fastest(const struct schedule *schedule)
{
    return (int64_t)((double)schedule->every_us * SCHEDULE_FASTEST);
}

static int64_t slowest(const struct schedule *schedule)
{
    return (int64_t)((double)schedule->every_us * SCHEDULE_SLOWEST);
}

void schedule_init(struct schedule *schedule, int64_t every_us, int64_t now_us)
{
    const int64_t least_us = 1000000;

    *schedule = (struct schedule){
        .every_us = every_us < least_us ? least_us : every_us,
        .next_at_us = now_us,
    };
    schedule->interval_us = schedule->every_us;
}

void schedule_restore(struct schedule *schedule, int64_t every_us, int64_t interval_us,
                      int64_t next_at_us, int64_t failures, enum schedule_state state,
                      int64_t now_us)
{
    int64_t furthest_us = 0;

    schedule_init(schedule, every_us, now_us);
    schedule->interval_us = bounded(interval_us, fastest(schedule), slowest(schedule));
    schedule->failures = failures < 0 ? 0 : failures;
    schedule->state = state;
    furthest_us = state == SCHEDULE_RED ? SCHEDULE_DAILY_US + SCHEDULE_DAILY_US / 10
                                        : SCHEDULE_RETRY_AFTER_MAX_US;
    if (furthest_us < slowest(schedule) * 2) {
        furthest_us = slowest(schedule) * 2;
    }
    /* Too far off: the clock, or `every`, was set back since. */
    schedule->next_at_us = next_at_us - now_us > furthest_us ? now_us : next_at_us;
}

void schedule_done(struct schedule *schedule, bool found, int64_t floor_us, int64_t now_us,
                   uint64_t seed)
{
    const double factor = found ? 0.75 : 1.25;
    int64_t wait_us = 0;

    schedule->interval_us = bounded((int64_t)((double)schedule->interval_us * factor),
                                    fastest(schedule), slowest(schedule));
    schedule->failures = 0;
    schedule->state = SCHEDULE_OK;
    wait_us = about(schedule->interval_us, seed, now_us);
    floor_us = bounded(floor_us, 0, SCHEDULE_RETRY_AFTER_MAX_US);
    schedule->next_at_us = now_us + (wait_us < floor_us ? floor_us : wait_us);
}

void schedule_wait(struct schedule *schedule, int64_t retry_after_us, int64_t now_us, uint64_t seed)
{
    int64_t wait_us = SCHEDULE_BACKOFF_FIRST_US;

    for (int64_t i = 0; i < schedule->failures && wait_us < SCHEDULE_BACKOFF_MAX_US; i++) {
        wait_us *= 2;
    }
    wait_us = bounded(wait_us, SCHEDULE_BACKOFF_FIRST_US, SCHEDULE_BACKOFF_MAX_US);
    schedule->failures++;
    schedule->state = SCHEDULE_WAITING;
    if (retry_after_us >= 0) {
        /* Never sooner than asked; a little later, so that not all come at once. */
        wait_us = bounded(retry_after_us, SCHEDULE_BACKOFF_FIRST_US, SCHEDULE_RETRY_AFTER_MAX_US);
        wait_us += (int64_t)((double)wait_us * 0.1 * draw(seed, now_us));
        wait_us = bounded(wait_us, 0, SCHEDULE_RETRY_AFTER_MAX_US);
    } else {
        wait_us = wait_us / 2 + (int64_t)((double)wait_us * 0.5 * draw(seed, now_us));
        wait_us = wait_us < SCHEDULE_BACKOFF_FIRST_US ? SCHEDULE_BACKOFF_FIRST_US : wait_us;
    }
    schedule->next_at_us = now_us + wait_us;
}

void schedule_later(struct schedule *schedule, int64_t wait_us, int64_t now_us)
{
    if (wait_us > 0) {
        schedule->next_at_us = now_us + bounded(wait_us, 0, SCHEDULE_DAILY_US);
    }
}

void schedule_refuse(struct schedule *schedule, int64_t again_us, int64_t now_us, uint64_t seed)
{
    schedule->failures++;
    schedule->state = SCHEDULE_RED;
    schedule->next_at_us = now_us + about(again_us, seed, now_us);
}

bool schedule_is_due(const struct schedule *schedule, int64_t now_us)
{
    return schedule->next_at_us <= now_us;
}

const char *schedule_state_name(enum schedule_state state)
{
    return state_names[state];
}

bool schedule_state_parse(enum schedule_state *out, const char *name)
{
    for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (strcmp(state_names[i], name) == 0) {
            *out = (enum schedule_state)i;
            return true;
        }
    }
    return false;
}
