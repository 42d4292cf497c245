/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_AGES_H
#define EARSHOT_COMMON_AGES_H

/*
 * How old things were when they came, as counts in buckets of doubling width: bucket i holds ages
 * below 2^i seconds (and not below 2^(i-1)), the last all that are older (3 days and more). Two of
 * them are added up bucket by bucket, which percentiles cannot be. In JSON an array without the
 * empty buckets at its end.
 */

#include <stddef.h>
#include <stdint.h>

/* 2^32 has ten digits, and a comma behind each. */
enum { AGES_COUNT = 20, AGES_TEXT_SIZE = AGES_COUNT * 11 + 1 };

size_t ages_bucket(int64_t age_us);

/* The age, in seconds, that this share (0.5, 0.95) of them did not exceed: the line between the
 * bounds of the bucket it falls into. -1: there are none. */
double ages_at(const uint32_t ages[AGES_COUNT], double share);

/* Adds up; a count that would not fit stays at UINT32_MAX. */
void ages_add(uint32_t sum[AGES_COUNT], const uint32_t ages[AGES_COUNT]);

/* Counts by commas, the empty buckets at the end left out; as stores keep them. Returns out. */
const char *ages_format(char out[AGES_TEXT_SIZE], const uint32_t ages[AGES_COUNT]);

/* What ages_format wrote; NULL: none. */
void ages_parse(uint32_t out[AGES_COUNT], const char *text);

#endif
