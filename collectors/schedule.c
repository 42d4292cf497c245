/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/schedule.h"

#include <math.h>
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
    const int64_t slowest_us = (int64_t)((double)schedule->every_us * SCHEDULE_SLOWEST);

    return schedule->fresh_us == 0 ? slowest_us
                                   : bounded(schedule->fresh_us, fastest(schedule), slowest_us);
}

static double target_us(const struct schedule *schedule)
{
    return (double)(schedule->fresh_us == 0 ? schedule->every_us : schedule->fresh_us);
}

void schedule_init(struct schedule *schedule, int64_t every_us, int64_t fresh_us, int64_t now_us)
{
    const int64_t least_us = 1000000;

    *schedule = (struct schedule){
        .every_us = every_us < least_us ? least_us : every_us,
        .fresh_us = fresh_us <= 0         ? 0
                    : fresh_us < least_us ? least_us
                                          : fresh_us,
        .next_at_us = now_us,
        .requests = 1,
    };
    schedule->interval_us = bounded(schedule->every_us, fastest(schedule), slowest(schedule));
}

void schedule_restore(struct schedule *schedule, int64_t every_us, int64_t fresh_us,
                      int64_t interval_us, int64_t next_at_us, int64_t failures,
                      enum schedule_state state, int64_t now_us)
{
    int64_t furthest_us = SCHEDULE_DAILY_US + SCHEDULE_DAILY_US / 10;

    schedule_init(schedule, every_us, fresh_us, now_us);
    schedule->interval_us = bounded(interval_us, fastest(schedule), slowest(schedule));
    schedule->failures = failures < 0 ? 0 : failures;
    schedule->state = state;
    if (furthest_us < slowest(schedule) * 2) {
        furthest_us = slowest(schedule) * 2;
    }
    /* Too far off: the clock, or `every`, was set back since. */
    schedule->next_at_us = next_at_us - now_us > furthest_us ? now_us : next_at_us;
}

void schedule_restore_rate(struct schedule *schedule, double posts, double over_us)
{
    if (posts >= 0 && posts < 1e12 && over_us >= 0 && over_us < 1e18) {
        schedule->posts = posts;
        schedule->over_us = over_us;
    }
}

/* What came counts half after SCHEDULE_MEMORY targets. No more is remembered than asks for the
 * fastest interval, and a half: a flood is soon forgotten. */
static void learn(struct schedule *schedule, const struct schedule_poll *poll)
{
    const double target = target_us(schedule);
    const double span_us = target * SCHEDULE_MEMORY;
    const double fastest_us = (double)fastest(schedule);
    /* One poll that took a long walk does not make all of them long ones. */
    const double most = 4 * schedule->requests;
    const double requests = poll->requests < 1 ? 1 : (double)poll->requests;

    schedule->requests = 0.7 * schedule->requests + 0.3 * (requests > most ? most : requests);
    if (poll->since_us < 0) {
        return;
    }
    schedule->posts *= exp2(-(double)poll->since_us / span_us);
    schedule->over_us *= exp2(-(double)poll->since_us / span_us);
    schedule->posts += poll->posts < 0 ? 0 : (double)poll->posts;
    schedule->over_us += (double)poll->since_us;
    schedule->posts = fmin(schedule->posts,
                           1.5 * target * (schedule->over_us + target) / (fastest_us * fastest_us));
}

void schedule_done(struct schedule *schedule, const struct schedule_poll *poll, int64_t now_us,
                   uint64_t seed)
{
    const double target = target_us(schedule);
    const int64_t floor_us = bounded(poll->floor_us, 0, SCHEDULE_RETRY_AFTER_MAX_US);
    int64_t share_us = 0;
    int64_t wait_us = 0;

    learn(schedule, poll);
    /* As if one post had come within one target before anything was known. */
    schedule->interval_us =
        bounded((int64_t)sqrt(target * (schedule->over_us + target) / (schedule->posts + 1)),
                fastest(schedule), slowest(schedule));
    schedule->failures = 0;
    schedule->state = SCHEDULE_OK;
    wait_us = about(schedule->interval_us, seed, now_us);
    if (schedule->fresh_us != 0 && wait_us > slowest(schedule)) {
        wait_us = slowest(schedule); /* a target leaves no room for jitter beyond it */
    }
    share_us =
        bounded((int64_t)((double)poll->share_us * schedule->requests), 0, SCHEDULE_DAILY_US);
    wait_us = wait_us < floor_us ? floor_us : wait_us;
    schedule->next_at_us = now_us + (wait_us < share_us ? share_us : wait_us);
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
