/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf8.h"

static void a_code_point_takes_one_to_four_bytes(void **state)
{
    static const struct {
        uint32_t point;
        const char *bytes;
    } cases[] = {
        {0x41, "A"},
        {0x7F, "\x7F"},
        {0x80, "\xC2\x80"},
        {0x7FF, "\xDF\xBF"},
        {0x800, "\xE0\xA0\x80"},
        {0xD7FF, "\xED\x9F\xBF"},
        {0xE000, "\xEE\x80\x80"},
        {0xFFFF, "\xEF\xBF\xBF"},
        {0x10000, "\xF0\x90\x80\x80"},
        {0x10FFFF, "\xF4\x8F\xBF\xBF"},
        {0xD800, "\xEF\xBF\xBD"}, /* no characters */
        {0xDFFF, "\xEF\xBF\xBD"},
        {0x110000, "\xEF\xBF\xBD"},
        {UINT32_MAX, "\xEF\xBF\xBD"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[UTF8_SIZE];
        size_t length = utf8_put(out, cases[i].point);

        assert_int_equal(length, strlen(cases[i].bytes));
        assert_memory_equal(out, cases[i].bytes, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_code_point_takes_one_to_four_bytes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
