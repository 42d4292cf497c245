/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/settings/settings.h"
#include "tests/processors/stages/stage_kit.h"

extern const struct ear_stage classify_stage;

#define MODEL TESTS_DIR "/../processors/classify/model.bin"
#define WISH                                                                                       \
    "{\"source\":\"a\",\"text\":\"We got it today. Please add an offline mode to the app!\"}"

static void a_wish_is_labelled_with_its_sentence(void **state)
{
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &classify_stage,
                                    "{model: " MODEL ", threshold: {complaint: 1}}", NULL),
                     0);
    assert_string_equal(stage_kit_get(&kit, WISH, "insight.labels"), "[\"wish\"]");
    assert_string_equal(stage_kit_get(&kit, WISH, "insight.evidence"),
                        "[{\"label\":\"wish\",\"start\":17,\"end\":55}]");
    assert_true(stage_kit_get(&kit, WISH, "insight.model")[0] == '"');
    stage_kit_close(&kit);
}

static void thresholds_are_the_sources_before_the_stages(void **state)
{
    static struct settings_source sources[] = {
        {.name = "a", .threshold_wish = 1.0, .threshold_complaint = -1, .threshold_praise = -1}};
    const struct settings settings = {.sources = sources, .source_count = 1};
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &classify_stage,
                                    "{model: " MODEL ", threshold: {complaint: 1, praise: 0}}",
                                    &settings),
                     0);
    assert_string_equal(stage_kit_get(&kit, WISH, "insight.labels"), "[\"praise\"]");
    stage_kit_close(&kit);
}

static void a_language_without_a_model_is_marked(void **state)
{
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &classify_stage, "{model: " MODEL "}", NULL), 0);
    assert_string_equal(stage_kit_get(&kit, "{\"text\":\"Bitte baut Licht ein\",\"lang\":\"de\"}",
                                      "insight.unsure"),
                        "\"language\"");
    assert_string_equal(stage_kit_get(&kit, "{\"text\":\"Bitte baut Licht ein\",\"lang\":\"de\"}",
                                      "insight.labels"),
                        "[]");
    stage_kit_close(&kit);
}

static void nothing_to_read_gets_no_label(void **state)
{
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &classify_stage, "{model: " MODEL "}", NULL), 0);
    assert_string_equal(stage_kit_get(&kit, "{\"text\":\"\"}", "insight.labels"), "[]");
    assert_string_equal(stage_kit_get(&kit, "{\"id\":\"x\"}", "insight.labels"), "[]");
    stage_kit_close(&kit);
}

static void a_missing_model_is_named(void **state)
{
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &classify_stage, "{model: /nowhere/model.bin}", NULL),
                     -1);
    assert_int_equal(kit.err.kind, EAR_CONFIG);
    assert_non_null(strstr(kit.err.message, "/nowhere/model.bin"));
    stage_kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wish_is_labelled_with_its_sentence),
        cmocka_unit_test(thresholds_are_the_sources_before_the_stages),
        cmocka_unit_test(a_language_without_a_model_is_marked),
        cmocka_unit_test(nothing_to_read_gets_no_label),
        cmocka_unit_test(a_missing_model_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
