/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "processors/host.h"
#include "processors/insight.h"

static void members_join_what_is_there_and_replace_their_like(void **state)
{
    static const struct {
        const char *message, *members, *expected;
    } cases[] = {
        {"{\"id\":\"a\"}", "{\"brands\":[]}", "{\"id\":\"a\",\"insight\":{\"brands\":[]}}"},
        {"{\"insight\":{}}", "{\"b\":1}", "{\"insight\":{\"b\":1}}"},
        {"{\"insight\":null}", "{\"b\":1}", "{\"insight\":{\"b\":1}}"},
        {"{\"insight\":{\"a\":1}}", "{}", "{\"insight\":{\"a\":1}}"},
        {"{\"insight\":{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":\"},\\\"\"},\"z\":1}", "{\"b\":3}",
         "{\"insight\":{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":\"},\\\"\",\"b\":3},\"z\":1}"},
        {"{\"insight\":{ \"b\" : 1 , \"c\" : 2 }}", "{\"b\":[9,{\"c\":1}],\"e\":true}",
         "{\"insight\":{\"c\" : 2 ,\"b\":[9,{\"c\":1}],\"e\":true}}"},
        {"{\"insight\":{\"b\":1}}", "{\"b\":2}", "{\"insight\":{\"b\":2}}"},
    };
    struct ear_error err = {0};
    struct message_arena *arena = NULL;

    (void)state;
    assert_int_equal(message_arena_new(&arena, 1 << 20, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ear_message *message =
            message_read(arena, cases[i].message, strlen(cases[i].message), &err);

        assert_non_null(message);
        host_attach(message);
        assert_int_equal(insight_add(message, cases[i].members, strlen(cases[i].members), &err), 0);
        assert_string_equal(message_text(message, NULL, &err), cases[i].expected);
    }
    message_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_join_what_is_there_and_replace_their_like),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
