/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/hash.h"

struct folder {
    char path[64];
    char key[96];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    if (folder == NULL) {
        return -1;
    }
    snprintf(folder->path, sizeof folder->path, "/tmp/earshot-hash-XXXXXX");
    if (mkdtemp(folder->path) == NULL) {
        free(folder);
        return -1;
    }
    snprintf(folder->key, sizeof folder->key, "%s/author.key", folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;

    unlink(folder->key);
    if (rmdir(folder->path) != 0) {
        return -1; /* something was left behind */
    }
    free(folder);
    return 0;
}

/* Values of the reference programs xxhsum -H2 and sha256sum. */
static void hashes_are_those_of_the_reference(void **state)
{
    char text[HASH128_TEXT_SIZE];
    char digest[65];

    (void)state;
    assert_string_equal(hash128_format(text, hash128_of("", 0)),
                        "99aa06d3014798d86001c324468d497f");
    assert_string_equal(hash128_format(text, hash128_of("abc", 3)),
                        "06b05ab6733a618578af5f94892f3950");
    assert_string_equal(sha256_format(digest, "abc", 3),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(sha256_format(digest, "", 0),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void seeds_give_different_hashes(void **state)
{
    (void)state;
    assert_true(hash64_of("abc", 3, 1) != hash64_of("abc", 3, 2));
    assert_true(hash64_of("abc", 3, 1) == hash64_of("abc", 3, 1));
}

/* Reference: printf 'reddit:jo' | openssl dgst -sha256 -mac HMAC -macopt hexkey:00…00 */
static void pseudonym_is_the_half_of_an_hmac(void **state)
{
    struct pseudonym_key key = {{0}};
    char name[PSEUDONYM_SIZE];

    (void)state;
    assert_string_equal(pseudonym_of(name, &key, "reddit", "jo"),
                        "a_15d704c1c85ae36755679eb8e7355bfe");
}

static void pseudonyms_ignore_case_and_a_leading_at(void **state)
{
    struct pseudonym_key key = {{1, 2, 3}};
    struct pseudonym_key other = {{3, 2, 1}};
    char plain[PSEUDONYM_SIZE];
    char name[PSEUDONYM_SIZE];
    char handle[1000];

    (void)state;
    pseudonym_of(plain, &key, "mastodon", "kim@social.example");
    assert_string_equal(pseudonym_of(name, &key, "mastodon", "@Kim@Social.Example"), plain);
    assert_string_not_equal(pseudonym_of(name, &key, "reddit", "kim@social.example"), plain);
    assert_string_not_equal(pseudonym_of(name, &other, "mastodon", "kim@social.example"), plain);

    memset(handle, 'x', sizeof handle - 1);
    handle[sizeof handle - 1] = '\0';
    pseudonym_of(plain, &key, "reddit", handle);
    handle[sizeof handle - 2] = 'y';
    assert_string_not_equal(pseudonym_of(name, &key, "reddit", handle), plain);
}

static void a_missing_key_is_made_once(void **state)
{
    struct folder *folder = *state;
    struct pseudonym_key first = {{0}};
    struct pseudonym_key second = {{0}};
    struct ear_error err = {0};
    struct stat status;

    assert_int_equal(pseudonym_key_load(&first, folder->key, &err), 0);
    assert_int_equal(pseudonym_key_load(&second, folder->key, &err), 0);
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(stat(folder->key, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, PSEUDONYM_KEY_SIZE);
}

static void write_key(const char *path, size_t length)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    for (size_t i = 0; i < length; i++) {
        fputc('k', file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void a_key_of_another_length_is_refused(void **state)
{
    struct folder *folder = *state;
    struct pseudonym_key key = {{0}};
    struct ear_error err = {0};
    static const size_t lengths[] = {0, 31, 33, 1000};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        write_key(folder->key, lengths[i]);
        assert_int_equal(pseudonym_key_load(&key, folder->key, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, folder->key));
    }
}

static void a_key_that_everyone_can_read_is_refused(void **state)
{
    struct folder *folder = *state;
    struct pseudonym_key key = {{0}};
    struct ear_error err = {0};

    write_key(folder->key, PSEUDONYM_KEY_SIZE);
    assert_int_equal(chmod(folder->key, 0644), 0);
    assert_int_equal(pseudonym_key_load(&key, folder->key, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "chmod 600"));
}

static void a_key_in_a_missing_folder_is_refused(void **state)
{
    struct pseudonym_key key = {{0}};
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(pseudonym_key_load(&key, "/nonexistent/author.key", &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_reference),
        cmocka_unit_test(seeds_give_different_hashes),
        cmocka_unit_test(pseudonym_is_the_half_of_an_hmac),
        cmocka_unit_test(pseudonyms_ignore_case_and_a_leading_at),
        cmocka_unit_test_setup_teardown(a_missing_key_is_made_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_key_of_another_length_is_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_key_that_everyone_can_read_is_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test(a_key_in_a_missing_folder_is_refused),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
