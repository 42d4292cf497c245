/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/settings/settings.h"
#include "tests/processors/stages/stage_kit.h"

extern const struct ear_stage language_stage;

struct language_case {
    const char *post, *lang;
};

static void check_cases(struct stage_kit *kit, const struct language_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *lang = stage_kit_get(kit, cases[i].post, "lang");

        if (strcmp(lang, cases[i].lang) != 0) {
            fail_msg("%s: %s instead of %s", cases[i].post, lang, cases[i].lang);
        }
    }
    stage_kit_close(kit);
}

static void the_text_tells_unless_the_platform_does(void **state)
{
    static const struct language_case cases[] = {
        {"{\"text\":\"The parcel came three days late and nobody told me\"}", "\"en\""},
        {"{\"text\":\"Das Paket kam drei Tage zu spät und keiner sagt etwas\"}", "\"de\""},
        {"{\"text\":\"El paquete llegó tres días tarde y nadie me dijo nada\"}", "\"es\""},
        {"{\"text\":\"Le colis est arrivé trois jours en retard sans un mot\"}", "\"fr\""},
        {"{\"text\":\"配送が遅いです\"}", "\"ja\""},
        {"{\"text\":\"schnell\",\"title\":\"Das Paket kam viel zu spät an\"}", "\"de\""},
        {"{\"text\":\"too late\"}", "\"und\""},
        {"{\"text\":\"see https://example.com/a/b/c @jo @ann too late\"}", "\"und\""},
        {"{\"text\":\"\"}", "\"und\""},
        {"{\"text\":\"1 2 3 4 5 6 7\"}", "\"und\""},
        {"{\"text\":\"too late\",\"lang\":\"en-GB\"}", "\"en\""},
        {"{\"text\":\"The parcel came three days late\",\"lang\":\"DE\"}", "\"de\""},
        {"{\"text\":\"The parcel came three days late\",\"lang\":\"und\"}", "\"en\""},
        {"{\"text\":\"The parcel came three days late\",\"lang\":\"english\"}", "\"en\""},
        {"{\"text\":\"x\",\"lang\":\"iw\"}", "\"he\""},
    };
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &language_stage, NULL, NULL), 0);
    check_cases(&kit, cases, sizeof cases / sizeof *cases);
}

static void the_source_comes_before_the_text(void **state)
{
    static const struct language_case cases[] = {
        {"{\"source\":\"a\",\"text\":\"ok\"}", "\"nl\""},
        {"{\"source\":\"a\",\"text\":\"ok\",\"lang\":\"en\"}", "\"en\""},
        {"{\"source\":\"b\",\"text\":\"ok\"}", "\"und\""},
        {"{\"source\":\"c\",\"text\":\"ok\"}", "\"pt\""},
    };
    struct settings_source sources[] = {
        {.name = "c", .lang = "pt-BR"}, {.name = "b"}, {.name = "a", .lang = "nl"}};
    const struct settings settings = {.sources = sources, .source_count = 3};
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &language_stage, NULL, &settings), 0);
    check_cases(&kit, cases, sizeof cases / sizeof *cases);
}

static void one_hint_is_taken_for_granted_several_are_a_hint(void **state)
{
    static const struct language_case one[] = {
        {"{\"text\":\"ok\"}", "\"de\""},
        {"{\"text\":\"ok\",\"lang\":\"en\"}", "\"en\""},
    };
    static const struct language_case several[] = {
        {"{\"text\":\"ok\"}", "\"und\""},
        {"{\"text\":\"The parcel came three days late\"}", "\"en\""},
    };
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &language_stage, "hint: [de]", NULL), 0);
    check_cases(&kit, one, sizeof one / sizeof *one);
    assert_int_equal(stage_kit_open(&kit, &language_stage, "hint: [en, de]", NULL), 0);
    check_cases(&kit, several, sizeof several / sizeof *several);
    assert_int_equal(stage_kit_open(&kit, &language_stage, "hint: [german]", NULL), -1);
    assert_int_equal(kit.err.kind, EAR_CONFIG);
    stage_kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_tells_unless_the_platform_does),
        cmocka_unit_test(the_source_comes_before_the_text),
        cmocka_unit_test(one_hint_is_taken_for_granted_several_are_a_hint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
