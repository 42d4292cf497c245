/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "processors/host.h"

struct fixture {
    struct message_arena *arena;
    struct ear_message *messages[3];
    struct host_output output;
    struct ear_error err;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    static const char *const texts[] = {"{\"id\":\"a\",\"n\":1.5,\"i\":7}", "{\"id\":\"b\"}",
                                        "{\"id\":\"a\"}"};

    fixture = (struct fixture){0};
    assert_int_equal(message_arena_new(&fixture.arena, 1 << 20, &fixture.err), 0);
    for (size_t i = 0; i < 3; i++) {
        fixture.messages[i] = message_read(fixture.arena, texts[i], strlen(texts[i]), &fixture.err);
        assert_non_null(fixture.messages[i]);
        host_attach(fixture.messages[i]);
    }
    assert_int_equal(
        host_output_init(&fixture.output, fixture.arena, fixture.messages, 3, &fixture.err), 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    message_arena_free(fixture->arena);
    return 0;
}

static void what_nobody_judged_is_dropped(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ear_publish(&f->output.output, f->messages[2], &f->err), 0);
    assert_int_equal(ear_reject(&f->output.output, f->messages[0], "schema", "no 'text'", &f->err),
                     0);
    assert_int_equal(f->output.judged[0].verdict, HOST_REJECTED);
    assert_string_equal(f->output.judged[0].code, "schema");
    assert_string_equal(f->output.judged[0].reason, "no 'text'");
    assert_int_equal(f->output.judged[1].verdict, HOST_DROPPED);
    assert_int_equal(f->output.judged[2].verdict, HOST_PASSED);
}

static void a_message_is_judged_once_and_by_its_own_batch(void **state)
{
    struct fixture *f = *state;
    struct ear_message *stranger = message_read(f->arena, "{\"id\":\"c\"}", 10, &f->err);

    host_attach(stranger);
    assert_int_equal(ear_publish(&f->output.output, f->messages[0], &f->err), 0);
    assert_int_equal(ear_publish(&f->output.output, f->messages[0], &f->err), -1);
    assert_int_equal(f->err.kind, EAR_FATAL);
    assert_int_equal(ear_reject(&f->output.output, f->messages[0], "x", "y", &f->err), -1);
    assert_int_equal(ear_publish(&f->output.output, stranger, &f->err), -1);
    assert_int_equal(f->err.kind, EAR_FATAL);
}

static void more_messages_go_to_other_topics_under_numbered_ids(void **state)
{
    struct fixture *f = *state;
    const struct ear_host *host = f->output.output.host;

    assert_int_equal(host->publish(&f->output.output, f->messages[1], "elsewhere", &f->err), 0);
    assert_int_equal(host->publish(&f->output.output, f->messages[1], "elsewhere", &f->err), 0);
    assert_int_equal(f->output.judged[1].verdict, HOST_DROPPED);
    assert_string_equal(message_string(f->output.elsewhere->message, "id", NULL), "b#2");
    assert_string_equal(message_string(f->output.elsewhere->next->message, "id", NULL), "b#1");
    assert_string_equal(message_string(f->messages[1], "id", NULL), "b");
    for (int i = 2; i < HOST_ELSEWHERE_MAX; i++) {
        assert_int_equal(host->publish(&f->output.output, f->messages[1], "t", &f->err), 0);
    }
    assert_int_equal(host->publish(&f->output.output, f->messages[1], "t", &f->err), -1);
}

static void fields_are_reached_through_the_message(void **state)
{
    struct fixture *f = *state;
    double number = 0;
    int64_t integer = 0;
    size_t length = 0;

    assert_string_equal(ear_message_string(f->messages[0], "id"), "a");
    assert_string_equal(ear_message_bytes(f->messages[0], "id", &length), "a");
    assert_int_equal(length, 1);
    assert_true(ear_message_number(f->messages[0], "n", &number));
    assert_true(ear_message_integer(f->messages[0], "i", &integer));
    assert_int_equal(integer, 7);
    assert_int_equal(ear_message_set_string(f->messages[0], "id", "z", 1, &f->err), 0);
    assert_int_equal(ear_message_set_raw(f->messages[0], "x_a", "[1]", 3, &f->err), 0);
    assert_string_equal(message_text(f->messages[0], NULL, &f->err),
                        "{\"id\":\"z\",\"n\":1.5,\"i\":7,\"x_a\":[1]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_judged_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_is_judged_once_and_by_its_own_batch, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_messages_go_to_other_topics_under_numbered_ids, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(fields_are_reached_through_the_message, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
