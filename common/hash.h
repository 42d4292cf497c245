/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_HASH_H
#define EARSHOT_COMMON_HASH_H

/*
 * The hashes that messages and files carry. They are part of the format: never change one without a
 * migration. hash128 is XXH3-128 with seed 0, its canonical (big-endian) form; it is fast, not
 * secret. A pseudonym is secret: HMAC-SHA-256 under a key. Threads: safe from any number at once.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { HASH128_SIZE = 16, HASH128_TEXT_SIZE = 33, PSEUDONYM_KEY_SIZE = 32, PSEUDONYM_SIZE = 36 };

struct hash128 {
    unsigned char bytes[HASH128_SIZE];
};

struct hash128 hash128_of(const void *bytes, size_t length);

/* XXH3-64 with a seed: for hash tables and feature hashing. */
uint64_t hash64_of(const void *bytes, size_t length, uint64_t seed);

/* 32 hexadecimal digits and a NUL. Returns out. */
const char *hash128_format(char out[HASH128_TEXT_SIZE], struct hash128 hash);

/* SHA-256 as 64 hexadecimal digits and a NUL. Returns out. */
const char *sha256_format(char out[65], const void *bytes, size_t length);

struct pseudonym_key {
    unsigned char bytes[PSEUDONYM_KEY_SIZE];
};

/* Reads the key file (32 raw bytes); where none is, makes one, mode 0600, from the system's
 * randomness. -1 with EAR_CONFIG or EAR_FATAL. */
EAR_MUST_CHECK
int pseudonym_key_load(struct pseudonym_key *out, const char *path, struct ear_error *err);

/*
 * The keyed pseudonym of a person: "a_" and 32 hexadecimal digits, the first half of
 * HMAC-SHA-256(key, "platform:handle"). A handle is taken as the platform writes it, its ASCII
 * letters folded to lower case, a leading @ dropped. Returns out.
 */
const char *pseudonym_of(char out[PSEUDONYM_SIZE], const struct pseudonym_key *key,
                         const char *platform, const char *handle);

#endif
