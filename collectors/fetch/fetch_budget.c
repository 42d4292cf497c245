/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets: how much a credential may still ask of a host. A sliding window is a ring of slots, each
 * a sixtieth of it; a slot counts until the whole window has passed since its end, so that in no
 * span as long as the window more than its units go, wherever the span begins:
 *
 *     slots   ─┬──┬──┬──┬─ … ─┬──┬──┬─▶ time        counted now: the newest and the 60 before it
 *              └ leaves ──────────── now
 *
 * A zone's window is a day there and one number. Beside its own count each window keeps the
 * server's word ("so many left, until then"), less what went since; the stricter one holds. Time is
 * an argument everywhere.
 *
 * Fairness: the queue gives turns (fetch_host.c), and a source that took half as much again as its
 * share leaves the last quarter of each window to the others, so that one long walk into the past
 * does not silence all who share its credential until midnight.
 */

#include "collectors/fetch/fetch_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"

#define LEFT_TO_OTHERS 0.25
#define HEAVY 1.5                     /* times its share */
#define STEP_BACK_US CLOCK_MINUTE_US  /* smaller ones are waited out */
#define SHARER_LEAST_US CLOCK_HOUR_US /* how long a source counts as one that shares */
#define SHARER_MOST_US (26 * CLOCK_HOUR_US)
#define COUNT_EVERY_US CLOCK_SECOND_US
#define UNTIL_MOST_US (26 * CLOCK_HOUR_US)
#define ROUNDING 1e-6

/* --- windows --- */

static void advance(struct window *window, int64_t now_us)
{
    if (window->until_us <= now_us) {
        window->until_us = INT64_MIN;
    }
    if (window->zone_name != NULL) {
        const int64_t day = zone_day(window->zone, now_us);

        /* A day that comes again, the clock set back, brings nothing anew. */
        window->spent_today = day > window->day ? 0 : window->spent_today;
        window->day = day;
        return;
    }
    for (const int64_t slot = now_us / window->slot_us; window->slot < slot;) {
        if (slot - window->slot > FETCH_SLOTS) {
            memset(window->spent, 0, sizeof(window->spent));
            window->slot = slot;
        } else {
            window->slot++;
            window->spent[window->slot % (FETCH_SLOTS + 1)] = 0;
        }
    }
}

double window_spent(struct window *window, int64_t now_us)
{
    double spent = 0;

    advance(window, now_us);
    if (window->zone_name != NULL) {
        return window->spent_today;
    }
    for (size_t i = 0; i <= FETCH_SLOTS; i++) {
        spent += (double)window->spent[i];
    }
    return spent;
}

/* When the window begins anew, or is over for what goes now. */
static int64_t end_of(const struct window *window, int64_t now_us)
{
    return window->zone_name != NULL ? zone_day_start_us(window->zone, window->day + 1)
                                     : now_us + window->per_us;
}

/* How long until `need` units fit in; at most `usable` of them. */
static int64_t wait_to_fit(struct window *window, double need, double usable, int64_t now_us)
{
    double spent = window_spent(window, now_us);

    if (spent + need <= usable + ROUNDING) {
        return 0;
    }
    if (window->zone_name != NULL) {
        return end_of(window, now_us) - now_us;
    }
    for (int64_t slot = window->slot - FETCH_SLOTS; slot < window->slot; slot++) {
        if (slot >= 0) {
            spent -= (double)window->spent[slot % (FETCH_SLOTS + 1)];
        }
        if (spent + need <= usable + ROUNDING) {
            return (slot + FETCH_SLOTS + 1) * window->slot_us - now_us;
        }
    }
    return window->per_us + window->slot_us;
}

static int64_t wait_of_window(struct window *window, double cost, double ahead, bool modest,
                              int64_t now_us)
{
    const double usable = modest ? window->units * (1 - LEFT_TO_OTHERS) : window->units;
    const double least = usable < 1 && window->units >= 1 ? 1 : usable;
    const double need = (cost > least ? least : cost) + ahead;
    const double rounds = need > least ? ceil(need / least) - 1 : 0;
    int64_t wait_us = wait_to_fit(window, need - rounds * least, least, now_us);

    if (rounds > 0) {
        const int64_t span_us = window->zone_name != NULL ? CLOCK_DAY_US : window->per_us;

        wait_us += rounds > 1000 ? 1000 * span_us : (int64_t)rounds * span_us;
    }
    if (window->until_us > now_us && window->left + ROUNDING < need &&
        window->until_us - now_us > wait_us) {
        wait_us = window->until_us - now_us;
    }
    return wait_us;
}

static void window_clear(struct window *window)
{
    zone_close(window->zone);
    free(window->zone_name);
    free(window->remaining);
    free(window->reset);
    *window = (struct window){0};
}

static bool is_same_text(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

struct window *budget_window(struct budget *budget, const struct fetch_limit *limit)
{
    for (size_t i = 0; i < budget->window_count; i++) {
        struct window *window = &budget->windows[i];

        if (window->units == limit->units && is_same_text(window->zone_name, limit->zone) &&
            (limit->zone != NULL || window->per_us == limit->per_us)) {
            return window;
        }
    }
    return NULL;
}

static char *header_named(const char *name, bool *failed)
{
    char *copy = name == NULL || *name == '/' || *name == '\0' ? NULL : strdup(name);

    *failed = *failed || (copy == NULL && name != NULL && *name != '/' && *name != '\0');
    return copy;
}

struct window *budget_add_window(struct budget *budget)
{
    struct window *grown =
        realloc(budget->windows, (budget->window_count + 1) * sizeof(*budget->windows));

    if (grown == NULL) {
        return NULL;
    }
    budget->windows = grown;
    grown[budget->window_count] = (struct window){.until_us = INT64_MIN};
    return &grown[budget->window_count++];
}

/* A place for another window: a new one, or that of a limit that nobody names any more. NULL: too
 * many, or out of memory. */
static struct window *room_for_window(struct budget *budget)
{
    if (budget->window_count < FETCH_LIMITS_MAX) {
        return budget_add_window(budget);
    }
    for (size_t i = 0; i < budget->window_count; i++) {
        if (!budget->windows[i].named) {
            window_clear(&budget->windows[i]);
            return &budget->windows[i];
        }
    }
    return NULL;
}

static int name_window(struct budget *budget, const struct fetch_limit *limit, int64_t now_us,
                       struct ear_error *err)
{
    struct window *window = budget_window(budget, limit);
    bool failed = false;

    if (!(limit->units > 0) || (limit->zone == NULL && limit->per_us < FETCH_SLOTS)) {
        return ear_fail(err, EAR_CONFIG,
                        "limit: a budget needs a number of requests above 0 and "
                        "a time in which they may go");
    }
    if (window == NULL) {
        struct zone *zone = NULL;

        if (limit->zone != NULL && zone_open(&zone, limit->zone, err) != 0) {
            ear_error_context(err, "limit");
            return -1;
        }
        window = room_for_window(budget);
        if (window == NULL) {
            zone_close(zone);
            return budget->window_count < FETCH_LIMITS_MAX
                       ? ear_fail_memory(err, "a budget")
                       : ear_fail(err, EAR_CONFIG, "limit: one budget has at most %d limits",
                                  FETCH_LIMITS_MAX);
        }
        *window = (struct window){.units = limit->units,
                                  .per_us = limit->per_us,
                                  .slot_us = (limit->per_us + FETCH_SLOTS - 1) / FETCH_SLOTS,
                                  .zone = zone,
                                  .slot = INT64_MIN / 2,
                                  .until_us = INT64_MIN};
        window->zone_name = limit->zone == NULL ? NULL : strdup(limit->zone);
        failed = limit->zone != NULL && window->zone_name == NULL;
        if (!failed) {
            advance(window, now_us);
        }
    }
    if (!window->named) {
        window->named = true;
        window->remaining = header_named(limit->remaining, &failed);
        window->reset = header_named(limit->reset, &failed);
        window->reset_as = limit->reset_as;
    }
    return failed ? ear_fail_memory(err, "a budget") : 0;
}

/* --- all budgets --- */

static size_t place_of(const struct budgets *budgets, const char *id, bool *found)
{
    size_t low = 0;
    size_t high = budgets->count;

    *found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(budgets->items[middle]->id, id);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct budget *budgets_find(const struct budgets *budgets, const char *id)
{
    bool found = false;
    const size_t place = place_of(budgets, id, &found);

    return found ? budgets->items[place] : NULL;
}

static void budget_free(struct budget *budget)
{
    if (budget == NULL) {
        return;
    }
    for (size_t i = 0; i < budget->window_count; i++) {
        window_clear(&budget->windows[i]);
    }
    free(budget->windows);
    free(budget->sharers);
    free(budget->id);
    free(budget);
}

struct budget *budgets_add(struct budgets *budgets, const char *id)
{
    bool found = false;
    const size_t place = place_of(budgets, id, &found);
    struct budget *budget = NULL;

    if (found) {
        return budgets->items[place];
    }
    if (budgets->count == budgets->capacity) {
        const size_t capacity = budgets->capacity == 0 ? 16 : budgets->capacity * 2;
        struct budget **items = realloc(budgets->items, capacity * sizeof(void *));

        if (items == NULL) {
            return NULL;
        }
        budgets->items = items;
        budgets->capacity = capacity;
    }
    budget = calloc(1, sizeof(*budget));
    if (budget == NULL) {
        return NULL;
    }
    budget->rest_us = INT64_MIN;
    budget->counted_us = INT64_MIN;
    budget->id = strdup(id);
    if (budget->id == NULL) {
        budget_free(budget);
        return NULL;
    }
    memmove(budgets->items + place + 1, budgets->items + place,
            (budgets->count - place) * sizeof(void *));
    budgets->items[place] = budget;
    budgets->count++;
    return budget;
}

int budgets_take(struct budget **out, struct budgets *budgets, const struct fetch_budget *budget,
                 int64_t now_us, struct ear_error *err)
{
    struct budget *taken = NULL;

    if (budget->id == NULL || *budget->id == '\0' || strlen(budget->id) >= FETCH_BUDGET_ID_SIZE ||
        !(budget->cost >= 0)) {
        return ear_fail(err, EAR_CONFIG, "a budget needs an id of at most %d bytes and a cost",
                        FETCH_BUDGET_ID_SIZE - 1);
    }
    taken = budgets_add(budgets, budget->id);
    if (taken == NULL) {
        return ear_fail_memory(err, "a budget");
    }
    for (size_t i = 0; i < budget->limit_count; i++) {
        if (name_window(taken, &budget->limits[i], now_us, err) != 0) {
            return -1;
        }
    }
    *out = taken;
    return 0;
}

void budgets_clear(struct budgets *budgets)
{
    for (size_t i = 0; i < budgets->count; i++) {
        budget_free(budgets->items[i]);
    }
    free(budgets->items);
    *budgets = (struct budgets){0};
}

static void move(int64_t *at_us, int64_t by_us)
{
    *at_us = *at_us == INT64_MIN ? INT64_MIN : *at_us + by_us;
}

/* The clock was set back: what we remember of it goes along. Days stay what they are. */
static void move_all(struct budgets *budgets, int64_t by_us)
{
    for (size_t i = 0; i < budgets->count; i++) {
        struct budget *budget = budgets->items[i];

        move(&budget->rest_us, by_us);
        budget->counted_us = INT64_MIN;
        budget->used_us += by_us;
        for (size_t j = 0; j < budget->sharer_count; j++) {
            budget->sharers[j].last_us += by_us;
        }
        for (size_t j = 0; j < budget->window_count; j++) {
            struct window *window = &budget->windows[j];

            move(&window->until_us, by_us);
            if (window->zone_name == NULL && window->slot >= 0) {
                float spent[FETCH_SLOTS + 1];
                const int64_t slot = window->slot + by_us / window->slot_us;

                for (int64_t k = 0; k <= FETCH_SLOTS; k++) {
                    spent[(slot + FETCH_SLOTS + 1 - k) % (FETCH_SLOTS + 1)] =
                        window->spent[(window->slot + FETCH_SLOTS + 1 - k) % (FETCH_SLOTS + 1)];
                }
                memcpy(window->spent, spent, sizeof(spent));
                window->slot = slot;
            }
        }
    }
}

int64_t budgets_now(struct budgets *budgets, int64_t wall_us)
{
    if (wall_us < budgets->last_us - STEP_BACK_US) {
        move_all(budgets, wall_us - budgets->last_us);
        budgets->last_us = wall_us;
    }
    budgets->last_us = wall_us > budgets->last_us ? wall_us : budgets->last_us;
    return budgets->last_us;
}

/* --- who shares --- */

static int64_t longest_us(const struct budget *budget)
{
    int64_t longest = CLOCK_SECOND_US;

    for (size_t i = 0; i < budget->window_count; i++) {
        const struct window *window = &budget->windows[i];
        const int64_t span_us = window->zone_name != NULL ? CLOCK_DAY_US : window->per_us;

        longest = span_us > longest ? span_us : longest;
    }
    return longest;
}

static int64_t sharer_life_us(const struct budget *budget)
{
    const int64_t life_us = 2 * longest_us(budget);

    return life_us < SHARER_LEAST_US  ? SHARER_LEAST_US
           : life_us > SHARER_MOST_US ? SHARER_MOST_US
                                      : life_us;
}

static size_t place_of_sharer(const struct budget *budget, uint64_t source)
{
    size_t low = 0;
    size_t high = budget->sharer_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (budget->sharers[middle].source < source) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Counts those that asked of late, and forgets the others. */
static void count_sharers(struct budget *budget, int64_t now_us)
{
    const int64_t life_us = sharer_life_us(budget);
    size_t kept = 0;

    if (budget->counted_us != INT64_MIN && now_us - budget->counted_us < COUNT_EVERY_US) {
        return;
    }
    for (size_t i = 0; i < budget->sharer_count; i++) {
        if (now_us - budget->sharers[i].last_us < life_us) {
            budget->sharers[kept++] = budget->sharers[i];
        }
    }
    budget->sharer_count = kept;
    budget->active_sharers = kept;
    budget->counted_us = now_us;
}

static double faded(double used, int64_t last_us, int64_t now_us, int64_t span_us)
{
    return used * exp(-(double)(now_us - last_us) / (double)span_us);
}

/* Has this source taken far more than is its due? */
static bool is_heavy(struct budget *budget, uint64_t source, int64_t now_us)
{
    const int64_t span_us = longest_us(budget);
    const struct sharer *sharer = NULL;
    size_t place = 0;

    count_sharers(budget, now_us);
    place = place_of_sharer(budget, source);
    if (budget->sharer_count < 2 || place >= budget->sharer_count ||
        budget->sharers[place].source != source) {
        return false;
    }
    sharer = &budget->sharers[place];
    return faded(sharer->used, sharer->last_us, now_us, span_us) * (double)budget->sharer_count >
           HEAVY * faded(budget->used, budget->used_us, now_us, span_us);
}

/* False: no memory, or too many: the source goes uncounted. */
static bool insert_sharer(struct budget *budget, size_t place, uint64_t source, int64_t now_us)
{
    if (budget->sharer_count >= FETCH_SHARERS_MAX) {
        return false;
    }
    if (budget->sharer_count == budget->sharer_capacity) {
        const size_t capacity = budget->sharer_capacity == 0 ? 4 : budget->sharer_capacity * 2;
        struct sharer *grown = realloc(budget->sharers, capacity * sizeof(*grown));

        if (grown == NULL) {
            return false;
        }
        budget->sharers = grown;
        budget->sharer_capacity = capacity;
    }
    memmove(budget->sharers + place + 1, budget->sharers + place,
            (budget->sharer_count - place) * sizeof(*budget->sharers));
    budget->sharers[place] = (struct sharer){.source = source, .last_us = now_us};
    budget->sharer_count++;
    budget->counted_us = INT64_MIN;
    return true;
}

static void count_use(struct budget *budget, double cost, uint64_t source, int64_t now_us)
{
    const int64_t span_us = longest_us(budget);
    const size_t place = place_of_sharer(budget, source);
    struct sharer *sharer = NULL;

    budget->used = faded(budget->used, budget->used_us, now_us, span_us) + cost;
    budget->used_us = now_us;
    if ((place >= budget->sharer_count || budget->sharers[place].source != source) &&
        !insert_sharer(budget, place, source, now_us)) {
        return;
    }
    sharer = &budget->sharers[place];
    sharer->used = faded(sharer->used, sharer->last_us, now_us, span_us) + cost;
    sharer->last_us = now_us;
}

int64_t budget_share_us(struct budget *budget, int64_t now_us)
{
    double apart_us = 0;

    count_sharers(budget, now_us);
    for (size_t i = 0; i < budget->window_count; i++) {
        struct window *window = &budget->windows[i];
        const double span_us = (double)(window->zone_name != NULL ? CLOCK_DAY_US : window->per_us);

        if (!window->named) {
            continue;
        }
        apart_us = fmax(apart_us, span_us / window->units);
        advance(window, now_us);
        if (window->until_us > now_us) {
            apart_us = fmax(apart_us, (double)(window->until_us - now_us) / fmax(window->left, 1));
        }
        if (window->zone_name != NULL) {
            apart_us = fmax(apart_us, (double)(end_of(window, now_us) - now_us) /
                                          fmax(window->units - window->spent_today, 1));
        }
    }
    apart_us *= (double)(budget->active_sharers == 0 ? 1 : budget->active_sharers);
    return apart_us > (double)CLOCK_DAY_US ? CLOCK_DAY_US : (int64_t)apart_us;
}

/* --- spending --- */

int64_t budget_wait_us(struct budget *budget, double cost, double ahead, uint64_t source,
                       int64_t now_us)
{
    const bool modest = budget->window_count > 0 && is_heavy(budget, source, now_us);
    int64_t wait_us = budget->rest_us > now_us ? budget->rest_us - now_us : 0;

    for (size_t i = 0; i < budget->window_count && cost > 0; i++) {
        struct window *window = &budget->windows[i];
        const int64_t wait =
            window->named ? wait_of_window(window, cost, ahead, modest, now_us) : 0;

        wait_us = wait > wait_us ? wait : wait_us;
    }
    return wait_us;
}

void budget_spend(struct budget *budget, double cost, uint64_t source, int64_t now_us)
{
    for (size_t i = 0; i < budget->window_count; i++) {
        struct window *window = &budget->windows[i];

        advance(window, now_us);
        if (window->zone_name != NULL) {
            window->spent_today += cost;
        } else {
            window->spent[window->slot % (FETCH_SLOTS + 1)] += (float)cost;
        }
        if (window->until_us > now_us) {
            window->left -= cost;
        }
    }
    count_use(budget, cost, source, now_us);
}

void budget_tell(struct budget *budget, struct window *window, double remaining, int64_t reset_us,
                 int64_t now_us)
{
    int64_t until_us = 0;

    if (!(remaining >= 0)) {
        return;
    }
    advance(window, now_us);
    until_us = reset_us >= 0 ? now_us + (reset_us > UNTIL_MOST_US ? UNTIL_MOST_US : reset_us)
                             : end_of(window, now_us);
    /* What is under way the server may have counted or not: not is the safe guess. */
    window->left = remaining - budget->flying;
    window->until_us = until_us > now_us ? until_us : INT64_MIN;
}

void budget_rest(struct budget *budget, int64_t wait_us, int64_t now_us)
{
    const int64_t until_us = now_us + (wait_us > UNTIL_MOST_US ? UNTIL_MOST_US : wait_us);

    budget->rest_us = until_us > budget->rest_us ? until_us : budget->rest_us;
}

double budget_left(struct budget *budget, int64_t now_us)
{
    double least = -1;

    for (size_t i = 0; i < budget->window_count; i++) {
        struct window *window = &budget->windows[i];
        double left = 0;

        if (!window->named) {
            continue;
        }
        left = window->units - window_spent(window, now_us);
        if (window->until_us > now_us && window->left < left) {
            left = window->left;
        }
        left = left < 0 ? 0 : left;
        least = least < 0 || left < least ? left : least;
    }
    return least;
}
