/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/processors/stages/stage_kit.h"

extern const struct ear_stage normalise_stage;

#define HEAD                                                                                       \
    "{\"id\":\"feed:a.example:1\",\"source\":\"s\",\"platform\":\"feed\",\"channel\":\"blog\","    \
    "\"version\":1763800000000000,\"collected_at\":\"2025-11-22T08:26:40Z\""
#define TIMES ",\"created_at\":\"2025-11-21T10:00:00Z\""

static int open_kit(void **state)
{
    static struct stage_kit kit;

    *state = &kit;
    return stage_kit_open(&kit, &normalise_stage, NULL, NULL);
}

static int close_kit(void **state)
{
    stage_kit_close(*state);
    return 0;
}

static void a_sound_post_passes_byte_for_byte(void **state)
{
    static const char *const posts[] = {
        HEAD TIMES ",\"text\":\"L\xC3\xA4uft \xE2\x80\x93 bien \xF0\x9F\x98\x80\\nja\"}",
        HEAD TIMES " , \"text\" : \"a\", \"x_own\" : [1, 2.50], \"rating\":0.5,\"tags\":[\"t\"]}",
        HEAD TIMES ",\"text\":\"a\",\"title\":null,\"flags\":[\"copy\"],\"ours\":true}",
    };

    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        assert_string_equal(stage_kit_run(*state, posts[i]), posts[i]);
    }
}

static void what_is_no_post_is_rejected_with_field_and_type(void **state)
{
    static const struct {
        const char *post, *reject;
    } cases[] = {
        {"{}", "schema: 'id' is missing; a post needs it, as a string"},
        {"{\"id\":7}", "schema: 'id' is a number; it must be a string"},
        {"{\"id\":\"a:b:c\",\"source\":\"s\"}",
         "schema: 'version' is missing; a post needs it, as a number"},
        {"{\"id\":\"a:b:c\",\"source\":\"s\",\"platform\":\"feed\",\"channel\":\"blog\","
         "\"version\":\"1\",\"text\":\"\"}",
         "schema: 'version' is a string; it must be a number"},
        {"{\"id\":\"a:b:c\",\"source\":\"s\",\"platform\":\"feed\",\"channel\":\"blog\","
         "\"version\":1.5,\"text\":\"\"}",
         "schema: 'version' is no count of microseconds since 1970"},
        {HEAD ",\"text\":[\"a\"]}", "schema: 'text' is an array; it must be a string"},
        {HEAD ",\"text\":\"a\",\"author\":\"jo\"}",
         "schema: 'author' is a string; it must be an object"},
        {HEAD ",\"text\":\"a\",\"ours\":\"yes\"}",
         "schema: 'ours' is a string; it must be a boolean"},
        {HEAD ",\"text\":\"a\",\"rating\":4}", "schema: 'rating' is 4; it must be 0 to 1"},
        {HEAD "}", "schema: 'text' is missing; a post needs a text, title or rating"},
        {"{\"id\":\"nocolons\",\"source\":\"s\",\"platform\":\"feed\",\"channel\":\"blog\","
         "\"version\":1,\"text\":\"\"}",
         "bad_id: 'id' is not platform:host:native-id in sound UTF-8 of at most 2048 bytes"},
        {"{\"id\":\"a:b:\\ud800\",\"source\":\"s\",\"platform\":\"feed\",\"channel\":\"blog\","
         "\"version\":1,\"text\":\"\"}",
         "bad_id: 'id' is not platform:host:native-id in sound UTF-8 of at most 2048 bytes"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(stage_kit_run(*state, cases[i].post), cases[i].reject);
    }
}

static void text_is_brought_into_nfc_and_tidied(void **state)
{
    static const struct {
        const char *post, *field, *value;
    } cases[] = {
        {HEAD TIMES ",\"text\":\"La\xCC\x88uft\"}", "text", "\"L\xC3\xA4uft\""},
        {HEAD TIMES ",\"text\":\" a \\t b\\n\\n\\n\\nc \"}", "text", "\"a b\\n\\nc\""},
        {HEAD TIMES ",\"text\":\"a\xC2\xA0 b\"}", "text", "\"a b\""},
        {HEAD TIMES ",\"text\":\"a\",\"title\":\" T\"}", "title", "\"T\""},
        {HEAD TIMES ",\"title\":\"T\"}", "text", "\"\""},
        {HEAD TIMES ",\"rating\":1}", "text", "\"\""},
        {HEAD TIMES ",\"text\":\"\xE2\x84\xAB\"}", "text", "\"\xC3\x85\""},
        {HEAD TIMES ",\"text\":\"a\\ud800\"}", "flags", "[\"text_repaired\"]"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(stage_kit_get(*state, cases[i].post, cases[i].field), cases[i].value);
    }
}

static void a_time_that_cannot_be_gives_way_to_the_arrival(void **state)
{
    static const struct {
        const char *time, *created_at, *flags;
    } cases[] = {
        {",\"created_at\":\"2025-11-21T10:00:00Z\"", "\"2025-11-21T10:00:00Z\"", ""},
        {",\"created_at\":\"2025-11-21T10:00:00+02:00\"", "\"2025-11-21T08:00:00Z\"", ""},
        {",\"created_at\":\"2025-11-23T08:26:40Z\"", "\"2025-11-23T08:26:40Z\"", ""},
        {",\"created_at\":\"2025-11-23T08:26:41Z\"", "\"2025-11-22T08:26:40Z\"",
         "[\"time_suspect\"]"},
        {",\"created_at\":\"1970-01-01T00:00:00Z\"", "\"2025-11-22T08:26:40Z\"",
         "[\"time_suspect\"]"},
        {",\"created_at\":\"once upon a time\"", "\"2025-11-22T08:26:40Z\"", "[\"time_suspect\"]"},
        {"", "\"2025-11-22T08:26:40Z\"", "[\"time_suspect\"]"},
        {",\"flags\":[\"copy\",\"time_suspect\"]", "\"2025-11-22T08:26:40Z\"",
         "[\"copy\",\"time_suspect\"]"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char post[1024];

        snprintf(post, sizeof post, "%s%s,\"text\":\"a\"}", HEAD, cases[i].time);
        assert_string_equal(stage_kit_get(*state, post, "created_at"), cases[i].created_at);
        assert_string_equal(stage_kit_get(*state, post, "flags"), cases[i].flags);
    }
}

static void without_a_time_of_collection_the_version_tells_the_arrival(void **state)
{
    static const char post[] =
        "{\"id\":\"a:b:c\",\"source\":\"s\",\"platform\":\"feed\",\"channel\":\"blog\","
        "\"version\":1763800000000000,\"text\":\"\"}";

    assert_string_equal(stage_kit_get(*state, post, "collected_at"), "\"2025-11-22T08:26:40Z\"");
    assert_string_equal(stage_kit_get(*state, post, "created_at"), "\"2025-11-22T08:26:40Z\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_post_passes_byte_for_byte),
        cmocka_unit_test(what_is_no_post_is_rejected_with_field_and_type),
        cmocka_unit_test(text_is_brought_into_nfc_and_tidied),
        cmocka_unit_test(a_time_that_cannot_be_gives_way_to_the_arrival),
        cmocka_unit_test(without_a_time_of_collection_the_version_tells_the_arrival),
    };

    return cmocka_run_group_tests(tests, open_kit, close_kit);
}
