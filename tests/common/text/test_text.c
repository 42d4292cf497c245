/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/text/text.h"

#define BAD "\xEF\xBF\xBD"

static void invalid_bytes_become_the_replacement(void **state)
{
    /* The second half are the examples of the Unicode standard, tables 3-8 to 3-11. */
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } rows[] = {
        {"", 0, ""},
        {"plain and long enough", 21, "plain and long enough"},
        {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"a\0b", 3, "a" BAD "b"},
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", 9, BAD BAD BAD BAD BAD BAD BAD BAD "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", 9, BAD BAD BAD BAD BAD BAD BAD BAD "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", 9, BAD BAD BAD BAD BAD "A" BAD BAD "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 9, BAD BAD BAD BAD "A"},
        {"\xE2\x82", 2, BAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool repaired = false;
        size_t length = 99;
        char *text = text_repair(rows[i].bytes, rows[i].length, &length, &repaired);

        assert_string_equal(text, rows[i].text);
        assert_int_equal(length, strlen(rows[i].text));
        assert_int_equal(repaired, strstr(rows[i].text, BAD) != NULL);
        assert_int_equal(text_valid(rows[i].bytes, rows[i].length), !repaired);
        assert_true(text_valid(text, length));
        free(text);
    }
}

static void every_position_of_a_bad_byte_is_seen(void **state)
{
    char text[41];

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        memset(text, 'x', sizeof text);
        assert_true(text_valid(text, 40));
        text[i] = '\0';
        assert_false(text_valid(text, 40));
        text[i] = '\x80';
        assert_false(text_valid(text, 40));
        text[i] = '\x7F';
        assert_true(text_valid(text, 40));
    }
}

typedef char *(*change_function)(const char *, size_t, size_t *);

struct change_row {
    const char *from, *to;
};

static void assert_changes(change_function change, const struct change_row rows[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = 0;
        char *text = change(rows[i].from, strlen(rows[i].from), &length);

        assert_non_null(text);
        if (strcmp(text, rows[i].to) != 0) {
            fail_msg("'%s' gave '%s'", rows[i].from, text);
        }
        assert_int_equal(length, strlen(rows[i].to));
        free(text);
    }
}

static void composed_is_nfc(void **state)
{
    static const struct change_row rows[] = {
        {"", ""},
        {"caf\xC3\xA9", "caf\xC3\xA9"},
        {"cafe\xCC\x81", "caf\xC3\xA9"},
        {"\xE2\x84\xAB", "\xC3\x85"},                             /* the Angstrom sign */
        {"q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87"},               /* marks in their order */
        {"\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"}, /* Hangul */
    };

    (void)state;
    assert_changes(text_nfc, rows, sizeof rows / sizeof rows[0]);
}

/* The right side is what Python 3.11 says: unicodedata.normalize("NFC", s.casefold()). */
static void folding_is_full_and_composed(void **state)
{
    static const struct change_row rows[] = {
        {"", ""},
        {"ABC xyz 09 [@", "abc xyz 09 [@"},
        {"STRASSE Stra\xC3\x9F"
         "e",
         "strasse strasse"},
        {"\xE1\xBA\x9E", "ss"},
        {"\xC3\x84\xC3\x96\xC3\x9C", "\xC3\xA4\xC3\xB6\xC3\xBC"},
        {"A\xCC\x88", "\xC3\xA4"},
        {"\xCE\xA3\xCF\x82\xCF\x83", "\xCF\x83\xCF\x83\xCF\x83"},
        {"\xC4\xB0", "i\xCC\x87"},
        {"\xC4\xB1", "\xC4\xB1"},
        {"\xEF\xAC\x81", "fi"},
        {"\xCE\x90", "\xCE\x90"},
        {"\xE1\xBE\x92", "\xE1\xBC\xA2\xCE\xB9"},
        {"\xE1\x8E\xA0\xEA\xAD\xB0", "\xE1\x8E\xA0\xE1\x8E\xA0"},
        {"\xD0\x9F\xD0\xA0", "\xD0\xBF\xD1\x80"},
    };

    (void)state;
    assert_changes(text_fold, rows, sizeof rows / sizeof rows[0]);
}

static void code_points_are_counted(void **state)
{
    (void)state;
    assert_int_equal(text_code_points("", 0), 0);
    assert_int_equal(text_code_points("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", 10), 4);
}

static void white_space_is_folded(void **state)
{
    static const struct change_row rows[] = {
        {"", ""},
        {" \t\n ", ""},
        {"a", "a"},
        {"a b c\nd", "a b c\nd"},
        {"  a  b\t\tc  ", "a b c"},
        {"a b\nc", "a b\nc"},
        {"a \n b", "a\nb"},
        {"a\r\nb\rc", "a\nb\nc"},
        {"a\n\nb", "a\n\nb"},
        {"a\n \n\n\n b\n", "a\n\nb"},
        {"a\xC2\xA0 \xE2\x80\x89\xE3\x80\x80z", "a z"},
        {"a\xE2\x80\xA8z\xC2\x85y", "a\nz\ny"},
        {"a\xE2\x80\x8B\xE2\x80\x8Dz", "a\xE2\x80\x8B\xE2\x80\x8Dz"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = strlen(rows[i].from);
        char *text = malloc(size + 1);

        assert_non_null(text);
        memcpy(text, rows[i].from, size + 1);
        size = text_tidy(text, size);
        assert_int_equal(size, strlen(rows[i].to));
        assert_string_equal(text, rows[i].to);
        free(text);
    }
}

static void html_becomes_plain_text(void **state)
{
    static const struct change_row rows[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"<p>One</p><p>Two<br>lines</p>", "One\n\nTwo\nlines"},
        {"<div>a</div><div>b</div>", "a\nb"},
        {"  a \n <b> b</b>c ", "a bc"},
        {"a<b>b</b>c", "abc"},
        {"<ul><li>one<li> two</li></ul>after", "- one\n- two\n\nafter"},
        {"<li></li><p>x", "x"},
        {"see <a href=\"http://x.example\">the words</a>!", "see the words!"},
        {"x<script>alert(1)</script>y<style>p{}</style>z", "xyz"},
        {"<html><head><title>T</title><meta x></head><body>B</body>", "B"},
        {"<head><title>T</title><body>B", "B"},
        {"a<span hidden>b<span>c</span>d</span>e", "ae"},
        {"a<p style='color:red; DISPLAY : none'>b<p>c", "a\n\nc"},
        {"a<svg><title>t</title><path/></svg>b", "ab"},
        {"q<blockquote><p>one</p><p>two<br>three</p></blockquote><p>r",
         "q\n\n> one\n> \n> two\n> three\n\nr"},
        {"<blockquote>a<blockquote>b</blockquote>c</blockquote>d", "> a\n\n> > b\n\n> c\n\nd"},
        {"<pre>a\n  b\n\n\n\nc</pre>d", "a\n  b\n\nc\n\nd"},
        {"<table><tr><td>a</td><td>b</td></tr><tr><th>c</table>", "a b\nc"},
        {"AT&amp;T &amp;lt;b&gt; &eacute;", "AT&T &lt;b> \xC3\xA9"},
        {"so glad <img class='wp-smiley' alt='\xF0\x9F\x99\x82' src=x><img alt=logo>",
         "so glad \xF0\x9F\x99\x82"},
        {"a<br><br><br><br>b", "a\n\nb"},
        {"a &lt; b <3 c", "a < b <3 c"},
        {"<p>a</p>\n\n<p>b</p>\n", "a\n\nb"},
    };

    (void)state;
    assert_changes(text_from_html, rows, sizeof rows / sizeof rows[0]);
}

static void bytes_are_decoded_by_mark_label_and_guess(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *label, *text;
        bool repaired;
    } rows[] = {
        {"caf\xC3\xA9", 5, NULL, "caf\xC3\xA9", false},
        {"caf\xE9", 4, NULL, "caf\xC3\xA9", false},
        {"caf\xE9", 4, "ISO-8859-1", "caf\xC3\xA9", false},
        {"\x80 \x93q\x94", 5, "iso-8859-1", "\xE2\x82\xAC \xE2\x80\x9Cq\xE2\x80\x9D", false},
        {"\xBF", 1, "iso-8859-15", "\xC2\xBF", false},
        {"\xA4", 1, "ISO-8859-15", "\xE2\x82\xAC", false},
        {"caf\xC3\xA9", 5, "iso-8859-1", "caf\xC3\xA9", false},
        {"\xCF\xD0", 2, "windows-1251", "\xD0\x9F\xD0\xA0", false},
        {"\xEF\xBB\xBF"
         "caf\xC3\xA9",
         8, "iso-8859-1", "caf\xC3\xA9", false},
        {"\xFF\xFE"
         "a\0\xAC\x20",
         6, "utf-8", "a\xE2\x82\xAC", false},
        {"\xFE\xFF\0a", 4, NULL, "a", false},
        {"a\0b\0", 4, "utf-16", "ab", false},
        {"\x3D\xD8\0\0b\0c", 7, "utf-16", BAD BAD "b" BAD, true},
        {"\x93\xFA\x96{", 4, "Shift_JIS", "\xE6\x97\xA5\xE6\x9C\xAC", false},
        {"\xC4\xE3", 2, " \"GB2312\" ", "\xE4\xBD\xA0", false},
        {"a\xE9z", 3, "utf-8", "a" BAD "z", true},
        {"\x81", 1, "windows-1252", BAD, true},
        {"a\x93", 2, "shift_jis", "a" BAD, true},
        {"caf\xE9", 4, "UTF-7//TRANSLIT", "caf\xC3\xA9", false},
        {"a\0b", 3, NULL, "a" BAD "b", true},
        {"", 0, "utf-16", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool repaired = false;
        size_t length = 0;
        char *text = text_decode(rows[i].bytes, rows[i].length, rows[i].label, &length, &repaired);

        assert_non_null(text);
        if (strcmp(text, rows[i].text) != 0 || repaired != rows[i].repaired) {
            fail_msg("row %zu gave '%s'", i, text);
        }
        assert_int_equal(length, strlen(rows[i].text));
        free(text);
    }
}

static void distance_counts_edits(void **state)
{
    static const struct {
        const char *one, *other;
        int distance;
    } rows[] = {
        {"", "", 0},           {"every", "every", 0},    {"evry", "every", 1},
        {"eveyr", "every", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
        {"", "abc", 3},        {"url", "path", 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(text_distance(rows[i].one, rows[i].other), rows[i].distance);
        assert_int_equal(text_distance(rows[i].other, rows[i].one), rows[i].distance);
    }
    assert_int_equal(
        text_distance("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a"),
        99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invalid_bytes_become_the_replacement),
        cmocka_unit_test(every_position_of_a_bad_byte_is_seen),
        cmocka_unit_test(composed_is_nfc),
        cmocka_unit_test(folding_is_full_and_composed),
        cmocka_unit_test(code_points_are_counted),
        cmocka_unit_test(white_space_is_folded),
        cmocka_unit_test(html_becomes_plain_text),
        cmocka_unit_test(bytes_are_decoded_by_mark_label_and_guess),
        cmocka_unit_test(distance_counts_edits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
