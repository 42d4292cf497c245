/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/message/message.h"
#include "processors/stage.h"

static const char post[] =
    "{ \"id\" : \"feed:a:1\",\"version\":17, \"rating\":0.5,\"x_mine\": {\"b\": [ 1,2 ]} ,"
    "\"author\":{\"id\":\"a_1\"},\"text\":\"l\\u00e4uft\",\"deleted\":true}";

static int open_arena(void **state)
{
    struct ear_error err = {0};

    return message_arena_new((struct message_arena **)state, (size_t)8 * MESSAGE_MAX, &err);
}

static int close_arena(void **state)
{
    message_arena_free(*state);
    return 0;
}

static struct ear_message *read_text(void **state, const char *text)
{
    struct ear_error err = {0};
    struct ear_message *message = message_read(*state, text, strlen(text), &err);

    if (message == NULL) {
        fail_msg("%s", err.message);
    }
    return message;
}

static void assert_text(const struct ear_message *message, const char *expected)
{
    struct ear_error err = {0};
    size_t length = 0;
    const char *text = message_text(message, &length, &err);

    assert_non_null(text);
    assert_int_equal(length, strlen(expected));
    assert_string_equal(text, expected);
}

static void fields_are_got_by_kind(void **state)
{
    const struct ear_message *message = read_text(state, post);
    int64_t integer = 0;
    double number = 0;
    bool boolean = false;
    size_t length = 0;

    assert_string_equal(message_string(message, "id", &length), "feed:a:1");
    assert_int_equal(length, 8);
    assert_string_equal(message_string(message, "text", NULL), "l\xC3\xA4uft");
    assert_true(message_integer(message, "version", &integer));
    assert_int_equal(integer, 17);
    assert_true(message_number(message, "rating", &number));
    assert_true(number == 0.5);
    assert_true(message_boolean(message, "deleted", &boolean) && boolean);
    assert_null(message_string(message, "version", NULL));
    assert_null(message_string(message, "absent", NULL));
    assert_false(message_integer(message, "id", &integer));
    assert_string_equal(json_string(json_get(message_node(message, "author"), "id"), NULL), "a_1");
    assert_memory_equal(message_raw(message, "x_mine", &length), "{\"b\": [ 1,2 ]}", 14);
    assert_int_equal(length, 14);
    assert_false(message_repaired(message));
}

static void untouched_it_is_the_same_text(void **state)
{
    assert_text(read_text(state, post), post);
    assert_text(read_text(state, "{}\n"), "{}");
}

static void set_fields_are_spliced_in(void **state)
{
    struct ear_error err = {0};
    struct ear_message *message = read_text(state, post);

    assert_int_equal(message_set_string(message, "text", "a\"\xFF", 3, &err), 0);
    assert_int_equal(message_set_raw(message, "insight", " {\"wish\":0.9} ", 14, &err), 0);
    assert_int_equal(message_set_raw(message, "deleted", NULL, 0, &err), 0);
    assert_int_equal(message_set_raw(message, "never there", NULL, 0, &err), 0);
    assert_text(message,
                "{\"id\" : \"feed:a:1\",\"version\":17,\"rating\":0.5,\"x_mine\": {\"b\": [ 1,2 ]},"
                "\"author\":{\"id\":\"a_1\"},\"text\":\"a\\\"\xEF\xBF\xBD\","
                "\"insight\":{\"wish\":0.9}}");
    assert_string_equal(message_string(message, "text", NULL), "a\"\xEF\xBF\xBD");
    assert_null(message_raw(message, "deleted", NULL));
    assert_string_equal(json_string(json_get(message_node(message, "insight"), "wish"), NULL),
                        "0.9");
    assert_int_equal(message_set_raw(message, "insight", "{}", 2, &err), 0);
    assert_int_equal(message_set_raw(message, "deleted", "false", 5, &err), 0);
    assert_text(message,
                "{\"id\" : \"feed:a:1\",\"version\":17,\"rating\":0.5,\"x_mine\": {\"b\": [ 1,2 ]},"
                "\"author\":{\"id\":\"a_1\"},\"text\":\"a\\\"\xEF\xBF\xBD\",\"deleted\":false,"
                "\"insight\":{}}");
}

static void a_written_field_is_read_when_it_is_asked_for(void **state)
{
    struct ear_error err = {0};
    struct ear_message *message = read_text(state, "{\"id\":\"a\"}");
    size_t length = 0;

    assert_int_equal(message_set_written(message, "insight", "{\"wish\":0.9}", 12, &err), 0);
    assert_string_equal(message_raw(message, "insight", &length), "{\"wish\":0.9}");
    assert_int_equal(length, 12);
    assert_text(message, "{\"id\":\"a\",\"insight\":{\"wish\":0.9}}");
    assert_string_equal(json_string(json_get(message_node(message, "insight"), "wish"), NULL),
                        "0.9");
    assert_int_equal(message_set_written(message, "id", "\"b\"", 3, &err), 0);
    assert_string_equal(message_string(message, "id", &length), "b");
    assert_int_equal(length, 1);
    assert_int_equal(message_set_written(message, "id", "{}", 2, &err), 0);
    assert_null(message_string(message, "id", NULL));
    assert_text(message, "{\"id\":{},\"insight\":{\"wish\":0.9}}");
}

static void a_written_field_that_memory_does_not_hold_fails_the_text(void **state)
{
    struct ear_error err = {0};
    struct message_arena *arena = NULL;
    struct ear_message *message = NULL;

    (void)state;
    assert_int_equal(message_arena_new(&arena, 1024, &err), 0);
    message = message_read(arena, "{\"id\":\"a\"}", 10, &err);
    assert_non_null(message);
    assert_int_equal(message_set_written(message, "x", "[1,2,3,4,5,6,7,8,9,10]", 22, &err), 0);
    assert_null(message_node(message, "x"));
    assert_null(message_text(message, NULL, &err));
    assert_int_equal(err.kind, EAR_FATAL);
    message_arena_free(arena);
}

static void a_first_field_may_go_and_come(void **state)
{
    struct ear_error err = {0};
    struct ear_message *message = read_text(state, "{\"a\":1}");

    assert_int_equal(message_set_raw(message, "a", NULL, 0, &err), 0);
    assert_text(message, "{}");
    for (int i = 0; i < 20; i++) {
        char name[] = {(char)('b' + i), '\0'};

        assert_int_equal(message_set_raw(message, name, "0", 1, &err), 0);
    }
    assert_text(message, "{\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,"
                         "\"k\":0,\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0,\"r\":0,\"s\":0,"
                         "\"t\":0,\"u\":0}");
}

static void what_is_no_json_is_not_set(void **state)
{
    struct ear_error err = {0};
    struct ear_message *message = read_text(state, "{\"a\":1}");

    assert_int_equal(message_set_raw(message, "a", "{", 1, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_int_equal(message_set_raw(message, "b", "1,\"c\":2", 7, &err), -1);
    assert_text(message, "{\"a\":1}");
}

static void of_equal_keys_the_last_is_the_field(void **state)
{
    struct ear_error err = {0};
    struct ear_message *message = read_text(state, "{\"a\":1,\"b\":2,\"a\":3}");
    int64_t value = 0;

    assert_true(message_repaired(message));
    assert_true(message_integer(message, "a", &value));
    assert_int_equal(value, 3);
    assert_int_equal(message_set_raw(message, "a", "4", 1, &err), 0);
    assert_text(message, "{\"b\":2,\"a\":4}");
}

static void a_copy_changes_apart(void **state)
{
    struct ear_error err = {0};
    struct ear_message *message = read_text(state, post);
    struct message_arena *other = NULL;
    static const struct ear_host host = {.size = sizeof host, .string = message_string};

    message_set_host(message, &host);
    assert_int_equal(message_arena_new(&other, MESSAGE_MAX, &err), 0);
    struct ear_message *copy = message_copy(other, message, &err);

    assert_non_null(copy);
    assert_int_equal(message_set_string(copy, "id", "other", 5, &err), 0);
    assert_string_equal(message_string(message, "id", NULL), "feed:a:1");
    assert_string_equal(ear_message_string(copy, "id"), "other");
    message_arena_free(other);
}

static void what_is_no_message_is_refused_by_code(void **state)
{
    static const struct {
        const char *text, *start;
    } rows[] = {
        {"[]", "schema: "}, {"1", "schema: "}, {"", "bad_json: "}, {"{\"a\":}", "bad_json: "}};
    struct ear_error err = {0};
    char *big = malloc(MESSAGE_MAX + 1);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_null(message_read(*state, rows[i].text, strlen(rows[i].text), &err));
        assert_int_equal(err.kind, EAR_REJECT);
        assert_memory_equal(err.message, rows[i].start, strlen(rows[i].start));
    }
    assert_non_null(big);
    memset(big, 'x', MESSAGE_MAX + 1);
    assert_null(message_read(*state, big, MESSAGE_MAX + 1, &err));
    assert_memory_equal(err.message, "too_large: ", 11);
    struct ear_message *message = read_text(state, "{\"id\":\"1\"}");

    assert_int_equal(message_set_string(message, "text", big, MESSAGE_MAX - 8, &err), 0);
    assert_null(message_text(message, NULL, &err));
    assert_int_equal(err.kind, EAR_REJECT);
    assert_memory_equal(err.message, "too_large: ", 11);
    free(big);
}

static void an_arena_keeps_its_limit(void **state)
{
    struct ear_error err = {0};
    struct message_arena *arena = NULL;
    size_t count = 0;

    (void)state;
    assert_int_equal(message_arena_new(&arena, 100000, &err), 0);
    while (message_read(arena, post, strlen(post), &err) != NULL) {
        count++;
    }
    assert_int_equal(err.kind, EAR_FATAL);
    assert_in_range(count, 50, 200);
    assert_null(message_arena_take(arena, SIZE_MAX - 64, &err));
    message_arena_reset(arena);
    assert_non_null(message_read(arena, post, strlen(post), &err));
    message_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_got_by_kind),
        cmocka_unit_test(untouched_it_is_the_same_text),
        cmocka_unit_test(set_fields_are_spliced_in),
        cmocka_unit_test(a_written_field_is_read_when_it_is_asked_for),
        cmocka_unit_test(a_written_field_that_memory_does_not_hold_fails_the_text),
        cmocka_unit_test(a_first_field_may_go_and_come),
        cmocka_unit_test(what_is_no_json_is_not_set),
        cmocka_unit_test(of_equal_keys_the_last_is_the_field),
        cmocka_unit_test(a_copy_changes_apart),
        cmocka_unit_test(what_is_no_message_is_refused_by_code),
        cmocka_unit_test(an_arena_keeps_its_limit),
    };

    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
