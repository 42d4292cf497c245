/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "processors/match/match.h"

enum { HITS_MAX = 64 };

/* Adds phrases (NULL-ended) with their index as tag. */
static struct match *build(const char *const phrases[])
{
    struct ear_error err = {0};
    struct match *match = NULL;

    assert_int_equal(match_new(&match, &err), 0);
    for (size_t i = 0; phrases[i] != NULL; i++) {
        assert_int_equal(match_add(match, phrases[i], strlen(phrases[i]), (uint32_t)i, &err), 0);
    }
    assert_int_equal(match_build(match, &err), 0);
    return match;
}

/* Where the phrases stand in a text: "tag:start-end tag:start-end". */
static void find(char out[512], const struct match *match, const char *text)
{
    struct ear_error err = {0};
    struct match_text *ready = NULL;
    struct match_hit hits[HITS_MAX];
    size_t count = 0, used = 0;

    assert_int_equal(match_text_new(&ready, &err), 0);
    assert_int_equal(match_text_set(ready, text, strlen(text), &err), 0);
    count = match_find(match, ready, hits, HITS_MAX);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(out + used, 512 - used, "%s%u:%u-%u", i == 0 ? "" : " ",
                                 hits[i].tag, hits[i].start, hits[i].end);
    }
    match_text_free(ready);
}

static void phrases_are_found_as_whole_words_in_any_case(void **state)
{
    static const struct {
        const char *phrase, *text, *expected;
    } cases[] = {
        {"acme", "I like Acme.", "0:7-11"},
        {"acme", "ACME's #acme @acme acme", "0:0-4 0:8-12 0:14-18 0:19-23"},
        {"acme", "acmephone, pacme, acme2", ""},
        {"Acme Phone", "my acme\n  phone", "0:3-15"},
        {"set up", "Set-up, set_up, set up; setup", "0:0-6 0:8-14 0:16-22"},
        {"set-up", "the set up", "0:4-10"},
        {"late", "late - too late", "0:0-4 0:11-15"},
        {"deliver*", "Delivery, delivered or undelivered", "0:0-8 0:10-19"},
        {"rip off", "a rip-off!", "0:2-9"},
        {"don't", "I don\xE2\x80\x99t", "0:2-7"},
        {"stra\xC3\x9F"
         "e",
         "STRASSE, Stra\xC3\x9F"
         "e",
         "0:0-7 0:9-15"},
        {"gr\xC3\xB6\xC3\x9F"
         "e",
         "\xE2\x80\x9EGR\xC3\x96\xE1\xBA\x9E"
         "E\xE2\x80\x9C",
         "0:1-6"},
        {"late", "\xE2\x80\x9Clate\xE2\x80\xA6", "0:1-5"},
        {"\xE5\xAE\x85\xE9\x85\x8D", "\xE6\x88\x91\xE5\xAE\x85\xE9\x85\x8D\xE4\xBA\x86", "0:1-3"},
        {"\xF0\x9F\x98\xA1", "why\xF0\x9F\x98\xA1\xF0\x9F\x98\xA1", "0:3-4 0:4-5"},
        {"!!", "no!! !", "0:2-4 0:3-6"},
        {"acme",
         "a\xC2\xAD"
         "c\xE2\x80\x8Bme",
         "0:0-6"},
        {"late", "la\xFFte late", "0:6-10"},
        {"'t", "can't", "0:3-5"},
        {"a", "", ""},
        {"404", "a 404 4040", "0:2-5"},
    };
    char found[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const phrases[] = {cases[i].phrase, NULL};
        struct match *match = build(phrases);

        find(found, match, cases[i].text);
        if (strcmp(found, cases[i].expected) != 0) {
            fail_msg("'%s' in '%s': %s instead of %s", cases[i].phrase, cases[i].text, found,
                     cases[i].expected);
        }
        match_free(match);
    }
}

static void overlapping_phrases_are_all_found_the_longest_first(void **state)
{
    static const char *const phrases[] = {"acme",           "acme air", "air",
                                          "acme air lines", "acme",     NULL};
    struct match *match = build(phrases);
    char found[512];

    (void)state;
    find(found, match, "an Acme Air lines");
    assert_string_equal(found, "3:3-17 1:3-11 0:3-7 4:3-7 2:8-11");
    match_free(match);
}

static void hits_know_the_numbers_of_their_words(void **state)
{
    static const char *const phrases[] = {"never arrived", "package", "!", NULL};
    struct ear_error err = {0};
    struct match *match = build(phrases);
    struct match_text *text = NULL;
    struct match_hit hits[HITS_MAX];
    static const char sentence[] = "My package, sadly, never arrived!";

    (void)state;
    assert_int_equal(match_text_new(&text, &err), 0);
    assert_int_equal(match_text_set(text, sentence, strlen(sentence), &err), 0);
    assert_int_equal(match_find(match, text, hits, HITS_MAX), 3);
    assert_int_equal(hits[0].first_word, 1);
    assert_int_equal(hits[0].end_word, 2);
    assert_int_equal(hits[1].first_word, 3);
    assert_int_equal(hits[1].end_word, 5);
    assert_int_equal(hits[2].first_word, 5);
    assert_int_equal(hits[2].end_word, 5);
    assert_int_equal(match_find(match, text, hits, 1), 1);
    match_text_free(text);
    match_free(match);
}

static void a_phrase_must_leave_something_to_look_for(void **state)
{
    static const char *const bad[] = {"", " ", "*", " - ", "\xE2\x80\x8B"};
    char *long_phrase = NULL;
    struct ear_error err = {0};
    struct match *match = NULL;

    (void)state;
    assert_int_equal(match_new(&match, &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int result = match_add(match, bad[i], strlen(bad[i]), 0, &err);

        if (strcmp(bad[i], "*") == 0 || strcmp(bad[i], " - ") == 0) {
            assert_int_equal(result, 0); /* an asterisk or a dash by itself */
        } else {
            assert_int_equal(result, -1);
            assert_int_equal(err.kind, EAR_CONFIG);
        }
    }
    long_phrase = malloc(MATCH_PHRASE_MAX + 1);
    assert_non_null(long_phrase);
    memset(long_phrase, 'a', MATCH_PHRASE_MAX + 1);
    assert_int_equal(match_add(match, long_phrase, MATCH_PHRASE_MAX + 1, 0, &err), -1);
    free(long_phrase);
    match_free(match);
}

static void many_phrases_are_found_as_a_plain_search_finds_them(void **state)
{
    static const char alphabet[] = "ab c";
    struct ear_error err = {0};
    struct match *match = NULL;
    struct match_text *text = NULL;
    static char phrases[300][8];
    static char words[2000];
    static struct match_hit hits[40000];
    uint32_t seed = 7;
    size_t expected = 0, found = 0;

    (void)state;
    assert_int_equal(match_new(&match, &err), 0);
    for (size_t i = 0; i < 300; i++) { /* words of a, b, c */
        size_t length = 1 + i % 5;

        for (size_t j = 0; j < length; j++) {
            seed = seed * 1664525 + 1013904223;
            phrases[i][j] = "abc"[(seed >> 16) % 3];
        }
        assert_int_equal(match_add(match, phrases[i], length, (uint32_t)i, &err), 0);
    }
    assert_int_equal(match_build(match, &err), 0);
    for (size_t i = 0; i + 1 < sizeof words; i++) {
        seed = seed * 1664525 + 1013904223;
        words[i] = alphabet[(seed >> 16) % 4];
    }
    for (size_t i = 0; i < 300; i++) {
        size_t length = strlen(phrases[i]);

        for (const char *at = strstr(words, phrases[i]); at != NULL;
             at = strstr(at + 1, phrases[i])) {
            expected += (at == words || at[-1] == ' ') && (at[length] == '\0' || at[length] == ' ');
        }
    }
    assert_int_equal(match_text_new(&text, &err), 0);
    assert_int_equal(match_text_set(text, words, strlen(words), &err), 0);
    found = match_find(match, text, hits, sizeof hits / sizeof *hits);
    assert_int_equal(found, expected);
    for (size_t i = 0; i < found; i++) {
        assert_memory_equal(words + hits[i].start, phrases[hits[i].tag],
                            hits[i].end - hits[i].start);
    }
    match_text_free(text);
    match_free(match);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phrases_are_found_as_whole_words_in_any_case),
        cmocka_unit_test(overlapping_phrases_are_all_found_the_longest_first),
        cmocka_unit_test(hits_know_the_numbers_of_their_words),
        cmocka_unit_test(a_phrase_must_leave_something_to_look_for),
        cmocka_unit_test(many_phrases_are_found_as_a_plain_search_finds_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
