/* SPDX-License-Identifier: Apache-2.0 */

/* Posts, and distinct people and conversations among them: sets of the 63-bit numbers of facts. */
#include <stdlib.h>
#include <string.h>

#include "sinks/trends/view_internal.h"

static size_t place(const struct tally_set *set, int64_t number)
{
    /* The numbers are hashes already; their low bits will do. */
    size_t at = (size_t)number & (set->size - 1);

    while (set->slots[at] != 0 && set->slots[at] != number) {
        at = (at + 1) & (set->size - 1);
    }
    return at;
}

static int grow(struct tally_set *set, struct ear_error *err)
{
    struct tally_set bigger = {.size = set->size == 0 ? 64 : 2 * set->size, .count = set->count};

    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        ear_fail_memory(err, "counting people");
        return -1;
    }
    for (size_t i = 0; i < set->size; i++) {
        if (set->slots[i] != 0) {
            bigger.slots[place(&bigger, set->slots[i])] = set->slots[i];
        }
    }
    free(set->slots);
    *set = bigger;
    return 0;
}

static int set_add(struct tally_set *set, int64_t number, struct ear_error *err)
{
    size_t at = 0;

    if (2 * set->count >= set->size && grow(set, err) != 0) {
        return -1;
    }
    at = place(set, number);
    if (set->slots[at] == 0) {
        set->slots[at] = number;
        set->count++;
    }
    return 0;
}

static void sample_add(struct tally *tally, const struct view_post *post)
{
    size_t at = tally->sample_count;

    while (at > 0 && tally->sample_us[at - 1] < post->created_us) {
        at--;
    }
    if (at == TALLY_SAMPLE) {
        return;
    }
    if (tally->sample_count < TALLY_SAMPLE) {
        tally->sample_count++;
    }
    for (size_t i = tally->sample_count - 1; i > at; i--) {
        tally->sample[i] = tally->sample[i - 1];
        tally->sample_us[i] = tally->sample_us[i - 1];
    }
    tally->sample[at] = post->row;
    tally->sample_us[at] = post->created_us;
}

int tally_add(struct tally *tally, const struct view_post *post, struct ear_error *err)
{
    if (tally->posts == 0 || post->created_us < tally->first_us) {
        tally->first_us = post->created_us;
    }
    if (tally->posts == 0 || post->created_us > tally->last_us) {
        tally->last_us = post->created_us;
    }
    tally->posts++;
    if (post->person != 0) {
        sample_add(tally, post);
        if (set_add(&tally->people, post->person, err) != 0) {
            return -1;
        }
    }
    return set_add(&tally->threads, post->thread, err);
}

void tally_clear(struct tally *tally)
{
    free(tally->people.slots);
    free(tally->threads.slots);
    *tally = (struct tally){0};
}
