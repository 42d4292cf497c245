/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets by address in a table of fixed size: a hash names a set of eight slots, and a new
 * address takes the one of the set that was idle the longest. Somebody with many addresses can so
 * make us forget others, whose buckets are then full again; memory does not grow.
 */
#include "collectors/ingest/ingest_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"

enum { SETS = 512, WAYS = 8 };

struct bucket {
    uint64_t hash; /* 0: free */
    double tokens;
    int64_t at_us;
};

struct rate {
    pthread_mutex_t lock;
    struct bucket buckets[SETS][WAYS];
};

int rate_new(struct rate **out, struct ear_error *err)
{
    struct rate *rate = calloc(1, sizeof *rate);

    if (rate == NULL) {
        return ear_fail_memory(err, "the rates of addresses");
    }
    pthread_mutex_init(&rate->lock, NULL);
    *out = rate;
    return 0;
}

void rate_free(struct rate *rate)
{
    if (rate != NULL) {
        pthread_mutex_destroy(&rate->lock);
        free(rate);
    }
}

/* Who has an IPv6 address has 2^64 of them: the network counts. (IPv4 within IPv6 is one network.)
 */
static uint64_t hash_of(const char *address, const char *purpose)
{
    struct in6_addr six;
    char text[192];
    struct hash128 hash;
    uint64_t number = 0;

    if (inet_pton(AF_INET6, address, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six)) {
        memset(six.s6_addr + 8, 0, 8);
        (void)inet_ntop(AF_INET6, &six, text, INET6_ADDRSTRLEN);
    } else {
        snprintf(text, sizeof text, "%.64s", address);
    }
    snprintf(text + strlen(text), sizeof text - strlen(text), " %.100s", purpose);
    hash = hash128_of(text, strlen(text));
    memcpy(&number, hash.bytes, sizeof number);
    return number | 1;
}

static struct bucket *bucket_of(struct rate *rate, uint64_t hash, double full, int64_t mono_us)
{
    struct bucket *set = rate->buckets[(hash >> 1) % SETS];
    struct bucket *oldest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash) {
            return &set[i];
        }
        if (set[i].at_us < oldest->at_us) {
            oldest = &set[i];
        }
    }
    *oldest = (struct bucket){.hash = hash, .tokens = full, .at_us = mono_us};
    return oldest;
}

int rate_take(struct rate *rate, const char *address, const char *purpose, int64_t per_minute,
              int64_t mono_us)
{
    const double full = (double)per_minute;
    const double per_us = full / (double)CLOCK_MINUTE_US;
    struct bucket *bucket = NULL;
    int wait_s = 0;

    pthread_mutex_lock(&rate->lock);
    bucket = bucket_of(rate, hash_of(address, purpose), full, mono_us);
    bucket->tokens += per_us * (double)(mono_us - bucket->at_us);
    bucket->tokens = bucket->tokens > full ? full : bucket->tokens;
    bucket->at_us = mono_us;
    if (bucket->tokens >= 1) {
        bucket->tokens -= 1;
    } else {
        wait_s = (int)((1 - bucket->tokens) / per_us / 1e6) + 1;
    }
    pthread_mutex_unlock(&rate->lock);
    return wait_s;
}
