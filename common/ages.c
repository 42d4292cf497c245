/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double bound_s(size_t bucket)
{
    return (double)((uint64_t)1 << bucket);
}

size_t ages_bucket(int64_t age_us)
{
    int64_t bound_us = 1000000;
    size_t bucket = 0;

    while (bucket < AGES_COUNT - 1 && age_us >= bound_us) {
        bound_us *= 2;
        bucket++;
    }
    return bucket;
}

double ages_at(const uint32_t ages[AGES_COUNT], double share)
{
    double all = 0;
    double wanted = 0;

    for (size_t i = 0; i < AGES_COUNT; i++) {
        all += ages[i];
    }
    wanted = share * all;
    for (size_t i = 0; all > 0 && i < AGES_COUNT; i++) {
        if (ages[i] > 0 && wanted <= ages[i]) {
            const double from = i == 0 ? 0 : bound_s(i - 1);

            return from + (bound_s(i) - from) * wanted / ages[i];
        }
        wanted -= ages[i];
    }
    return all > 0 ? bound_s(AGES_COUNT - 1) : -1;
}

void ages_add(uint32_t sum[AGES_COUNT], const uint32_t ages[AGES_COUNT])
{
    for (size_t i = 0; i < AGES_COUNT; i++) {
        sum[i] = sum[i] > UINT32_MAX - ages[i] ? UINT32_MAX : sum[i] + ages[i];
    }
}

const char *ages_format(char out[AGES_TEXT_SIZE], const uint32_t ages[AGES_COUNT])
{
    size_t count = AGES_COUNT;
    size_t length = 0;

    while (count > 0 && ages[count - 1] == 0) {
        count--;
    }
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        length += (size_t)snprintf(out + length, AGES_TEXT_SIZE - length, "%s%" PRIu32,
                                   i == 0 ? "" : ",", ages[i]);
    }
    return out;
}

void ages_parse(uint32_t out[AGES_COUNT], const char *text)
{
    memset(out, 0, AGES_COUNT * sizeof *out);
    for (size_t i = 0; i < AGES_COUNT && text != NULL && *text != '\0'; i++) {
        char *end = NULL;

        out[i] = (uint32_t)strtoul(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}
