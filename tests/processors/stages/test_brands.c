/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/settings/settings.h"
#include "tests/processors/stages/stage_kit.h"

extern const struct ear_stage brands_stage;

static const char *const acme[] = {"Acme", "acmephone", "acme phone"};
static const char *const acme_air[] = {"Acme Air"};
static const char *const globex[] = {"Globex", "gbx"};
static struct settings_brand brands[] = {
    {.name = "Acme", .words = {acme, 3}},
    {.name = "Globex", .words = {globex, 2}, .competitor = true},
    {.name = "Acme Air", .words = {acme_air, 1}, .competitor = true},
};

static void posts_name_brands_by_whole_words(void **state)
{
    static const struct {
        const char *post, *insight;
    } cases[] = {
        {"{\"text\":\"My ACME beats Globex\"}",
         "{\"brands\":[\"Acme\"],\"competitors\":[\"Globex\"]}"},
        {"{\"text\":\"the AcmePhone's screen, acme\"}",
         "{\"brands\":[\"Acme\"],\"competitors\":[]}"},
        {"{\"text\":\"acmephones, pacme\"}", "{\"brands\":[],\"competitors\":[]}"},
        {"{\"text\":\"\",\"title\":\"gbx\"}", "{\"brands\":[],\"competitors\":[\"Globex\"]}"},
        {"{\"text\":\"Acme Air was late\"}", "{\"brands\":[],\"competitors\":[\"Acme Air\"]}"},
        {"{\"text\":\"Acme Air, not Acme\"}",
         "{\"brands\":[\"Acme\"],\"competitors\":[\"Acme Air\"]}"},
        {"{\"text\":\"It broke\",\"about\":\"Acme\"}",
         "{\"brands\":[\"Acme\"],\"competitors\":[]}"},
        {"{\"text\":\"It broke\",\"about\":\"Initech\"}", "{\"brands\":[],\"competitors\":[]}"},
        {"{\"insight\":{\"wish\":0.5,\"brands\":[\"Old\"]}}",
         "{\"wish\":0.5,\"brands\":[],\"competitors\":[]}"},
    };
    const struct settings settings = {.brands = brands, .brand_count = 3};
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &brands_stage, NULL, &settings), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(stage_kit_get(&kit, cases[i].post, "insight"), cases[i].insight);
    }
    stage_kit_close(&kit);
}

static void without_brands_every_post_passes(void **state)
{
    const struct settings settings = {0};
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &brands_stage, NULL, &settings), 0);
    assert_string_equal(stage_kit_run(&kit, "{\"text\":\"a\"}"),
                        "{\"text\":\"a\",\"insight\":{\"brands\":[],\"competitors\":[]}}");
    stage_kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_name_brands_by_whole_words),
        cmocka_unit_test(without_brands_every_post_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
