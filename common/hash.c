/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <xxhash.h>

enum { SHA256_SIZE = 32 };

static void hexadecimal(char *out, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

/* A hash has no way to fail, and a made-up one would end up in a message for ever. */
static void must(int worked, const char *what)
{
    if (worked != 1) {
        fprintf(stderr, "libcrypto cannot compute %s; memory has run out\n", what);
        abort();
    }
}

struct hash128 hash128_of(const void *bytes, size_t length)
{
    XXH128_canonical_t canonical;
    struct hash128 hash;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, length));
    memcpy(hash.bytes, canonical.digest, sizeof hash.bytes);
    return hash;
}

uint64_t hash64_of(const void *bytes, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, length, seed);
}

const char *hash128_format(char out[HASH128_TEXT_SIZE], struct hash128 hash)
{
    hexadecimal(out, hash.bytes, sizeof hash.bytes);
    return out;
}

const char *sha256_format(char out[65], const void *bytes, size_t length)
{
    unsigned char digest[SHA256_SIZE];

    must(EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL), "SHA-256");
    hexadecimal(out, digest, sizeof digest);
    return out;
}

static int read_key(struct pseudonym_key *out, int file, const char *path, struct ear_error *err)
{
    unsigned char bytes[PSEUDONYM_KEY_SIZE + 1];
    size_t have = 0;

    while (have < sizeof bytes) {
        ssize_t got = read(file, bytes + have, sizeof bytes - have);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return ear_fail(err, EAR_CONFIG, "cannot read the key of author pseudonyms %s: %s",
                            path, strerrordesc_np(errno));
        }
        if (got == 0) {
            break;
        }
        have += (size_t)got;
    }
    if (have != PSEUDONYM_KEY_SIZE) {
        return ear_fail(err, EAR_CONFIG,
                        "%s is no key of author pseudonyms: it must hold exactly %d bytes; restore "
                        "it from the backup (a new key makes new people of everyone)",
                        path, PSEUDONYM_KEY_SIZE);
    }
    memcpy(out->bytes, bytes, sizeof out->bytes);
    return 0;
}

static int open_key(const char *path, struct ear_error *err)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0) {
        return -1;
    }
    if (fstat(file, &status) == 0 && (status.st_mode & S_IROTH) != 0) {
        close(file);
        errno = 0;
        return ear_fail(err, EAR_CONFIG,
                        "the key of author pseudonyms %s can be read by everyone; run: chmod 600 "
                        "%s",
                        path, path);
    }
    return file;
}

/* A new name lasts through a power cut only once its folder is synced. */
static int sync_folder_of(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int length = slash == NULL ? 0 : (int)(slash - path);
    int file;
    int result;

    snprintf(folder, sizeof folder, "%.*s/", length, path);
    file = open(slash == NULL ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    result = fsync(file);
    close(file);
    return result;
}

/*
 * A new key is written whole under a name of its own, synced, then linked to its place: of two
 * processes that start at once one wins, the other reads the winner's.
 */
static int make_key(const char *path, struct ear_error *err)
{
    struct pseudonym_key key;
    char temporary[4096];
    int result = -1;
    int file = -1;
    int length = snprintf(temporary, sizeof temporary, "%s.new.%ld", path, (long)getpid());

    if (length < 0 || (size_t)length >= sizeof temporary) {
        return ear_fail(err, EAR_CONFIG, "the path of the author key is too long: %.64s…", path);
    }
    if (getrandom(key.bytes, sizeof key.bytes, 0) != (ssize_t)sizeof key.bytes) {
        return ear_fail(err, EAR_FATAL, "the system gives no randomness for %s: %s", path,
                        strerrordesc_np(errno));
    }
    unlink(temporary);
    file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || write(file, key.bytes, sizeof key.bytes) != (ssize_t)sizeof key.bytes ||
        fsync(file) != 0 || (link(temporary, path) != 0 && errno != EEXIST) ||
        sync_folder_of(path) != 0) {
        ear_fail(err, EAR_CONFIG,
                 "cannot write the key of author pseudonyms %s: %s; make its folder writable", path,
                 strerrordesc_np(errno));
        goto done;
    }
    result = 0;

done:
    if (file >= 0) {
        close(file);
        unlink(temporary);
    }
    return result;
}

int pseudonym_key_load(struct pseudonym_key *out, const char *path, struct ear_error *err)
{
    int file;
    int result;

    ear_error_clear(err);
    file = open_key(path, err);
    if (file < 0 && err->kind == EAR_NONE && errno == ENOENT) {
        if (make_key(path, err) != 0) {
            return -1;
        }
        file = open_key(path, err);
    }
    if (file < 0) {
        if (err->kind == EAR_NONE) {
            ear_fail(err, EAR_CONFIG, "cannot open the key of author pseudonyms %s: %s", path,
                     strerrordesc_np(errno));
        }
        return -1;
    }
    result = read_key(out, file, path, err);
    close(file);
    return result;
}

/* The handle goes in in pieces, folded: it may be of any length, and nothing is allocated for it.
 */
static void add_handle(EVP_MAC_CTX *mac, const char *handle)
{
    unsigned char piece[256];
    size_t length = 0;

    for (const char *at = handle[0] == '@' ? handle + 1 : handle; *at != '\0'; at++) {
        piece[length++] = (unsigned char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
        if (length == sizeof piece) {
            must(EVP_MAC_update(mac, piece, length), "a pseudonym");
            length = 0;
        }
    }
    must(EVP_MAC_update(mac, piece, length), "a pseudonym");
}

const char *pseudonym_of(char out[PSEUDONYM_SIZE], const struct pseudonym_key *key,
                         const char *platform, const char *handle)
{
    char digest_name[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);
    unsigned char digest[SHA256_SIZE];
    size_t length = 0;

    must(mac != NULL, "a pseudonym");
    must(EVP_MAC_init(mac, key->bytes, sizeof key->bytes, parameters), "a pseudonym");
    must(EVP_MAC_update(mac, (const unsigned char *)platform, strlen(platform)), "a pseudonym");
    must(EVP_MAC_update(mac, (const unsigned char *)":", 1), "a pseudonym");
    add_handle(mac, handle);
    must(EVP_MAC_final(mac, digest, &length, sizeof digest), "a pseudonym");
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(algorithm);
    out[0] = 'a';
    out[1] = '_';
    hexadecimal(out + 2, digest, SHA256_SIZE / 2);
    return out;
}
