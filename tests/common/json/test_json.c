/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json/json.h"

static int open_json(void **state)
{
    struct ear_error err = {0};

    return json_new((struct json **)state, &err);
}

static int close_json(void **state)
{
    json_free(*state);
    return 0;
}

static const struct json_node *read_text(struct json *json, const char *text)
{
    struct ear_error err = {0};
    const struct json_node *root = json_read(json, text, strlen(text), &json_limits_default, &err);

    if (root == NULL) {
        fail_msg("%s: %s", text, err.message);
    }
    return root;
}

static void every_kind_of_value_is_read(void **state)
{
    const struct json_node *root = read_text(
        *state, " {\"n\":null,\"t\":true,\"f\":false,\"i\":-12,\"d\":1.50,\"s\":\"x\",\"a\":[1,[]],"
                "\"o\":{\"k\":{}}} \n");
    int64_t integer = 0;
    double number = 0;
    bool boolean = false;

    assert_int_equal(json_kind_of(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 8);
    assert_int_equal(json_kind_of(json_get(root, "n")), JSON_NULL);
    assert_true(json_boolean(json_get(root, "t"), &boolean) && boolean);
    assert_true(json_boolean(json_get(root, "f"), &boolean) && !boolean);
    assert_true(json_integer(json_get(root, "i"), &integer));
    assert_int_equal(integer, -12);
    assert_true(json_number(json_get(root, "d"), &number));
    assert_true(number == 1.5);
    assert_string_equal(json_string(json_get(root, "d"), NULL), "1.50");
    assert_string_equal(json_string(json_get(root, "s"), NULL), "x");
    assert_int_equal(json_count(json_get(root, "a")), 2);
    assert_null(json_first(json_pointer(root, "/o/k")));
    assert_null(json_get(root, "absent"));
    assert_null(json_get(NULL, "n"));
    assert_string_equal(json_string(read_text(*state, "7"), NULL), "7");
}

static void raw_is_the_text_as_it_stands(void **state)
{
    static const struct {
        const char *pointer, *raw, *member;
    } rows[] = {
        {"/a", "[1, {\"x\" : 2}]", "\"a\" :  [1, {\"x\" : 2}]"},
        {"/a/0", "1", NULL},
        {"/a/1", "{\"x\" : 2}", NULL},
        {"/a/1/x", "2", "\"x\" : 2"},
        {"/b", "\"q\\u00e4\\/\"", "\"b\":\"q\\u00e4\\/\""},
        {"/big", "123456789012345678901234567890", "\"big\":123456789012345678901234567890"},
        {"/f", "1.10", "\"f\":1.10"},
    };
    const struct json_node *root =
        read_text(*state, "{\"a\" :  [1, {\"x\" : 2}], \"b\":\"q\\u00e4\\/\" ,"
                          "\"big\":123456789012345678901234567890,\"f\":1.10}");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct json_node *node = json_pointer(root, rows[i].pointer);
        size_t length = 0;
        const char *raw = json_raw(node, &length);

        assert_non_null(node);
        assert_int_equal(length, strlen(rows[i].raw));
        assert_memory_equal(raw, rows[i].raw, length);
        raw = json_member_raw(node, &length);
        if (rows[i].member == NULL) {
            assert_null(raw);
        } else {
            assert_int_equal(length, strlen(rows[i].member));
            assert_memory_equal(raw, rows[i].member, length);
        }
    }
}

static void strings_are_decoded_and_mended(void **state)
{
    static const struct {
        const char *json, *text;
        bool repaired;
    } rows[] = {
        {"\"plain\"", "plain", false},
        {"\"\"", "", false},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz", false},
        {"\"\\u0041\\u00e4\\u20aC\"", "A\xC3\xA4\xE2\x82\xAC", false},
        {"\"\\ud83d\\ude00!\"", "\xF0\x9F\x98\x80!", false},
        {"\"\\ud83d\"", "\xEF\xBF\xBD", true},
        {"\"\\ude00x\"", "\xEF\xBF\xBDx", true},
        {"\"\\ud83d\\u0041\"",
         "\xEF\xBF\xBD"
         "A",
         true},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", true},
        {"\"a\\u0000b\"",
         "a\xEF\xBF\xBD"
         "b",
         true},
        {"\"a\xFFz\"", "a\xEF\xBF\xBDz", true},
        {"\"\xED\xA0\x80\"", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", true},
        {"\"\xF0\x9F\x98\"", "\xEF\xBF\xBD", true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct json_node *root = read_text(*state, rows[i].json);

        assert_string_equal(json_string(root, NULL), rows[i].text);
        assert_int_equal(json_repaired(*state), rows[i].repaired);
    }
}

static void what_is_copied_raw_is_sound_too(void **state)
{
    const struct json_node *root = read_text(*state, "{\"a\":\"\\ud83d \\u0000 \xFF\"}");
    static const char mended[] = "\"\\ufffd \\ufffd \xEF\xBF\xBD\"";
    size_t length = 0;
    const char *raw = json_raw(json_get(root, "a"), &length);

    assert_int_equal(length, strlen(mended));
    assert_memory_equal(raw, mended, length);
}

static void a_broken_text_is_refused_by_code(void **state)
{
    static const struct {
        const char *text, *start;
    } rows[] = {
        {"", "bad_json: byte 0"},
        {"  ", "bad_json: byte 2"},
        {"{", "bad_json: byte 1: it ends inside an object"},
        {"[1,", "bad_json: byte 3: it ends inside an array"},
        {"{\"a\":1} x", "bad_json: byte "},
        {"{} {}", "bad_json: byte 2: something follows"},
        {"{} \"unended", "bad_json: byte 2: something follows"},
        {"1 2", "bad_json: byte 1: something follows"},
        {"\"unended", "bad_json: byte"},
        {"NaN", "bad_json: byte "},
        {"{\"a\":Infinity}", "bad_json: byte "},
        {"{'a':1}", "bad_json: byte "},
        {"{\"a\":01}", "bad_json: byte "},
        {"{\"a\" 1}", "bad_json: byte "},
        {"[1,]", "bad_json: byte "},
        {"\xEF\xBB\xBF{}", "bad_json: byte "},
        {"/* */ {}", "bad_json: byte "},
        {"\"tab\there\"", "bad_json: byte "},
        {"\"\\x\"", "bad_json: byte "},
        {"[1\f]", "bad_json: byte 2"},
        {"[1e999]", "bad_number: byte "},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ear_error err = {0};

        assert_null(
            json_read(*state, rows[i].text, strlen(rows[i].text), &json_limits_default, &err));
        assert_int_equal(err.kind, EAR_REJECT);
        if (strncmp(err.message, rows[i].start, strlen(rows[i].start)) != 0) {
            fail_msg("'%s' gave '%s'", rows[i].text, err.message);
        }
        read_text(*state, "{\"well\":[1,2,\"three\"]}"); /* the document is fit for the next text */
    }
}

static void limits_hold_whatever_comes(void **state)
{
    enum { SIZE = 300001 };
    char *text = malloc(SIZE + 1);
    struct ear_error err = {0};
    struct json_limits limits = json_limits_default;

    assert_non_null(text);
    memset(text, '[', SIZE);
    assert_null(json_read(*state, text, SIZE, &limits, &err));
    assert_memory_equal(err.message, "too_deep:", 9);
    for (size_t i = 0; i < 2 * (size_t)JSON_DEPTH_MAX; i++) {
        text[i] = i < JSON_DEPTH_MAX ? '[' : ']';
    }
    assert_non_null(json_read(*state, text, (size_t)2 * JSON_DEPTH_MAX, &limits, &err));
    limits.depth = 2;
    assert_null(json_read(*state, "[[[]]]", 6, &limits, &err));
    assert_memory_equal(err.message, "too_deep:", 9);
    text[0] = '[';
    for (size_t i = 1; i < SIZE; i += 2) {
        text[i] = '1';
        text[i + 1] = ',';
    }
    text[SIZE - 1] = ']';
    assert_null(json_read(*state, text, SIZE, &json_limits_default, &err));
    assert_memory_equal(err.message, "too_many:", 9);
    limits.bytes = 10;
    assert_null(json_read(*state, "[1,2,3,4,5]", 11, &limits, &err));
    assert_memory_equal(err.message, "too_big:", 8);
    free(text);
}

static void of_equal_keys_the_last_wins(void **state)
{
    const struct json_node *root =
        read_text(*state, "{\"a\":1,\"b\":{\"x\":0},\"a\":2,\"c\":3,\"b\":5,\"a\":4}");
    int64_t value = 0;

    assert_true(json_duplicates(*state));
    assert_int_equal(json_count(root), 3);
    assert_true(json_integer(json_get(root, "a"), &value));
    assert_int_equal(value, 4);
    assert_string_equal(json_key(json_first(root)), "c");
    assert_string_equal(json_key(json_next(json_first(root))), "b");
    assert_null(json_next(json_get(root, "a")));
    read_text(*state, "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}");
    assert_false(json_duplicates(*state));
}

static void many_equal_keys_cost_no_square(void **state)
{
    enum { COUNT = 90000 };
    char *text = malloc((size_t)COUNT * 16 + 32);
    size_t used = 0;
    int64_t value = 0;

    assert_non_null(text);
    text[used++] = '{';
    for (int i = 0; i < COUNT; i++) {
        used += (size_t)snprintf(text + used, 32, "\"k%d\":%d,", i % 45000, i);
    }
    text[used - 1] = '}';
    text[used] = '\0';
    const struct json_node *root = read_text(*state, text);

    assert_true(json_duplicates(*state));
    assert_int_equal(json_count(root), 45000);
    assert_true(json_integer(json_get(root, "k0"), &value));
    assert_int_equal(value, 45000);
    free(text);
}

static void a_pointer_names_a_value(void **state)
{
    static const struct {
        const char *pointer, *value;
    } rows[] = {
        {"/foo/0", "bar"}, {"/", "empty"},    {"/a~1b", "slash"}, {"/m~0n", "tilde"},
        {"/foo/2", NULL},  {"/foo/01", NULL}, {"/foo/-", NULL},   {"/foo/0/x", NULL},
        {"foo", NULL},     {"/none", NULL},
    };
    const struct json_node *root =
        read_text(*state, "{\"foo\":[\"bar\",\"baz\"],\"\":\"empty\",\"a/b\":\"slash\","
                          "\"m~n\":\"tilde\"}");

    assert_ptr_equal(json_pointer(root, ""), root);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *value = json_string(json_pointer(root, rows[i].pointer), NULL);

        if (rows[i].value == NULL) {
            assert_null(value);
        } else {
            assert_string_equal(value, rows[i].value);
        }
    }
}

static void integers_are_exact_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool is;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"1.0", true, 1},
        {"1e3", true, 1000},
        {"1.5", false, 0},
        {"1e300", false, 0},
        {"\"1\"", false, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t value = 0;

        assert_int_equal(json_integer(read_text(*state, rows[i].text), &value), rows[i].is);
        assert_true(value == rows[i].value);
    }
}

static void a_packed_document_outlives_the_next_text(void **state)
{
    const struct json_node *root = NULL;
    void *memory = NULL;
    size_t length = 0;

    read_text(*state, "{\"a\":[\"one\",{\"b\":2.5}],\"c\":\"\"}");
    memory = malloc(json_pack_size(*state));

    assert_non_null(memory);
    root = json_pack(*state, memory);
    read_text(*state, "{\"other\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}");
    assert_string_equal(json_string(json_pointer(root, "/a/0"), NULL), "one");
    assert_string_equal(json_string(json_pointer(root, "/a/1/b"), NULL), "2.5");
    assert_memory_equal(json_member_raw(json_get(root, "c"), &length), "\"c\":\"\"", 6);
    assert_int_equal(length, 6);
    free(memory);
}

static void the_writer_puts_commas_and_escapes(void **state)
{
    struct json_writer *writer = NULL;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(json_writer_new(&writer, 4096, &err), 0);
    json_write_object(writer);
    json_member_string(writer, "a", "q\"\\\n\x01\x1f {");
    json_member_string(writer, "left out", NULL);
    json_write_key(writer, "list");
    json_write_array(writer);
    json_write_array(writer);
    json_write_array_end(writer);
    json_write_integer(writer, INT64_MIN);
    json_write_number(writer, 0.1 + 0.2, 3);
    json_write_number(writer, 2.0, 3);
    json_write_number(writer, -0.0001, 2);
    json_write_number(writer, 0.0 / 0.0, 2);
    json_write_boolean(writer, true);
    json_write_string(writer, NULL);
    json_write_array_end(writer);
    json_write_raw(writer, "\"x\":{}", 6);
    json_member_integer(writer, "n", 5);
    json_write_object_end(writer);
    assert_string_equal(json_writer_text(writer, NULL, &err),
                        "{\"a\":\"q\\\"\\\\\\n\\u0001\\u001f {\",\"list\":[[],"
                        "-9223372036854775808,0.3,2,0,null,true,null],\"x\":{},\"n\":5}");
    json_writer_free(writer);
}

static void numbers_are_rounded_as_printf_would(void **state)
{
    struct json_writer *writer = NULL;
    struct ear_error err = {0};
    uint64_t seed = 7;

    (void)state;
    assert_int_equal(json_writer_new(&writer, 4096, &err), 0);
    for (int i = 0; i < 20000; i++) {
        char expected[400];
        int digits = i % 9;
        double value = 0;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        value = (double)(int64_t)seed / 9.3e18; /* -1 to 1 */
        value *= i % 3 == 0 ? 1e7 : 1;
        value = i % 5 == 0 ? (double)(int64_t)(value * 1e4) / 1e4 + 5e-5
                           : value; /* in the middle, nearly */
        snprintf(expected, sizeof expected, "%.*f", digits, value);
        if (strchr(expected, '.') != NULL) {
            size_t end = strlen(expected);

            while (expected[end - 1] == '0') {
                end--;
            }
            expected[expected[end - 1] == '.' ? end - 1 : end] = '\0';
        }
        json_writer_reset(writer);
        json_write_number(writer, value, digits);
        assert_string_equal(json_writer_text(writer, NULL, &err),
                            strcmp(expected, "-0") == 0 ? "0" : expected);
    }
    json_writer_free(writer);
}

static void the_writer_never_emits_bad_utf8(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *json;
    } rows[] = {
        {"\xC3\xA4\xF0\x9F\x98\x80", 6, "\"\xC3\xA4\xF0\x9F\x98\x80\""},
        {"a\xFFz", 3, "\"a\xEF\xBF\xBDz\""},
        {"\xE2\x82", 2, "\"\xEF\xBF\xBD\""},
        {"\xC0\xAF", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"a\0b", 3,
         "\"a\xEF\xBF\xBD"
         "b\""},
        {"", 0, "\"\""},
    };
    struct json_writer *writer = NULL;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(json_writer_new(&writer, 64, &err), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_writer_reset(writer);
        json_write_bytes(writer, rows[i].bytes, rows[i].length);
        assert_string_equal(json_writer_text(writer, NULL, &err), rows[i].json);
    }
    json_writer_free(writer);
}

static void beyond_its_limit_the_writer_fails_for_good(void **state)
{
    struct json_writer *writer = NULL;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(json_writer_new(&writer, 10, &err), 0);
    json_write_string(writer, "12345678");
    assert_non_null(json_writer_text(writer, NULL, &err));
    json_writer_reset(writer);
    json_write_string(writer, "123456789");
    json_write_null(writer);
    assert_null(json_writer_text(writer, NULL, &err));
    assert_int_equal(err.kind, EAR_REJECT);
    assert_memory_equal(err.message, "too_large:", 10);
    json_writer_free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(raw_is_the_text_as_it_stands),
        cmocka_unit_test(strings_are_decoded_and_mended),
        cmocka_unit_test(what_is_copied_raw_is_sound_too),
        cmocka_unit_test(a_broken_text_is_refused_by_code),
        cmocka_unit_test(limits_hold_whatever_comes),
        cmocka_unit_test(of_equal_keys_the_last_wins),
        cmocka_unit_test(many_equal_keys_cost_no_square),
        cmocka_unit_test(a_pointer_names_a_value),
        cmocka_unit_test(integers_are_exact_or_refused),
        cmocka_unit_test(a_packed_document_outlives_the_next_text),
        cmocka_unit_test(the_writer_puts_commas_and_escapes),
        cmocka_unit_test(numbers_are_rounded_as_printf_would),
        cmocka_unit_test(the_writer_never_emits_bad_utf8),
        cmocka_unit_test(beyond_its_limit_the_writer_fails_for_good),
    };

    return cmocka_run_group_tests(tests, open_json, close_json);
}
