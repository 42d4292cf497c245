/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "tests/processors/stages/stage_kit.h"

extern const struct ear_stage signals_stage;

/* The signals of a post as "kind=value(words)", with ! in front of negated ones. */
static void tell(char out[2048], struct stage_kit *kit, const char *post)
{
    struct ear_error err = {0};
    struct json *json = NULL;
    const char *text = stage_kit_get(kit, post, "insight.signals");
    const struct json_node *signals = NULL;
    size_t used = 0;

    assert_int_equal(json_new(&json, &err), 0);
    signals = json_read(json, text, strlen(text), &json_limits_default, &err);
    assert_non_null(signals);
    out[0] = '\0';
    for (const struct json_node *each = json_first(signals); each != NULL; each = json_next(each)) {
        used += (size_t)snprintf(
            out + used, 2048 - used, "%s%s%s=%s(%s)", used == 0 ? "" : " ",
            json_get(each, "negated") == NULL ? "" : "!", json_string(json_get(each, "kind"), NULL),
            json_string(json_get(each, "value"), NULL), json_string(json_get(each, "words"), NULL));
        assert_true(used < 2048);
    }
    json_free(json);
}

struct signals_case {
    const char *post, *signals;
};

static void check_cases(struct stage_kit *kit, const struct signals_case *cases, size_t count)
{
    char told[2048];

    for (size_t i = 0; i < count; i++) {
        tell(told, kit, cases[i].post);
        if (strcmp(told, cases[i].signals) != 0) {
            fail_msg("%s: %s instead of %s", cases[i].post, told, cases[i].signals);
        }
    }
}

static void phrases_tell_what_a_post_speaks_of(void **state)
{
    static const struct signals_case cases[] = {
        {"{\"text\":\"My parcel never arrived\"}",
         "touchpoint=delivery(parcel) touchpoint=delivery(never arrived) "
         "expectation=timeliness(never arrived)"},
        {"{\"text\":\"the staff were rude\"}",
         "touchpoint=staff(staff) expectation=attitude(rude)"},
        {"{\"text\":\"Stay away from them\"}", "advocacy=against(Stay away)"},
        {"{\"text\":\"I am writing in order to say hello\"}", ""},
        {"{\"text\":\"I cancelled my subscription\"}",
         "leaving=left(cancelled my subscription) touchpoint=price(subscription)"},
        {"{\"text\":\"nothing to see\"}", ""},
        {"{}", ""},
    };
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &signals_stage, NULL, NULL), 0);
    check_cases(&kit, cases, sizeof cases / sizeof *cases);
    stage_kit_close(&kit);
}

static void negation_reaches_a_few_words_and_no_further_than_the_clause(void **state)
{
    static const struct signals_case cases[] = {
        {"{\"text\":\"this is urgent\"}", "urgency=high(urgent)"},
        {"{\"text\":\"this is not urgent\"}", ""},
        {"{\"text\":\"it isn't really that urgent\"}", ""},
        {"{\"text\":\"not a word from you so far, urgent\"}", "urgency=high(urgent)"},
        {"{\"text\":\"not good. urgent\"}", "urgency=high(urgent)"},
        {"{\"text\":\"not good but urgent\"}", "urgency=high(urgent)"},
        {"{\"text\":\"not only urgent\"}", "urgency=high(urgent)"},
        {"{\"text\":\"I recommend it\"}", "advocacy=recommend(recommend)"},
        {"{\"text\":\"I would not recommend it\"}", "advocacy=against(recommend)"},
        {"{\"text\":\"I can\xE2\x80\x99t recommend enough\"}",
         "advocacy=recommend(can\xE2\x80\x99t recommend enough)"},
        {"{\"text\":\"it was not late\"}", "!expectation=timeliness(late)"},
        {"{\"text\":\"it was late\"}", "expectation=timeliness(late)"},
        {"{\"text\":\"Ich empfehle das nicht\",\"lang\":\"de\"}", "advocacy=against(empfehle)"},
        {"{\"text\":\"no recomiendo esto\",\"lang\":\"es\"}", "advocacy=against(recomiendo)"},
        {"{\"text\":\"je ne le recommande pas\",\"lang\":\"fr\"}", "advocacy=against(recommande)"},
    };
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &signals_stage, NULL, NULL), 0);
    check_cases(&kit, cases, sizeof cases / sizeof *cases);
    stage_kit_close(&kit);
}

static void phrases_count_in_texts_of_their_language(void **state)
{
    static const struct signals_case cases[] = {
        {"{\"text\":\"die Lieferung\",\"lang\":\"de\"}", "touchpoint=delivery(Lieferung)"},
        {"{\"text\":\"die Lieferung\",\"lang\":\"und\"}", "touchpoint=delivery(Lieferung)"},
        {"{\"text\":\"die Lieferung\"}", "touchpoint=delivery(Lieferung)"},
        {"{\"text\":\"die Lieferung\",\"lang\":\"en\"}", ""},
        {"{\"text\":\"das Delivery Team\",\"lang\":\"de\"}", "touchpoint=delivery(Delivery)"},
        {"{\"text\":\"la livraison\",\"lang\":\"fr\"}", "touchpoint=delivery(livraison)"},
        {"{\"text\":\"la entrega\",\"lang\":\"es\"}", "touchpoint=delivery(entrega)"},
    };
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &signals_stage, NULL, NULL), 0);
    check_cases(&kit, cases, sizeof cases / sizeof *cases);
    stage_kit_close(&kit);
}

static void places_are_code_points_of_the_text(void **state)
{
    struct stage_kit kit;

    (void)state;
    assert_int_equal(stage_kit_open(&kit, &signals_stage, NULL, NULL), 0);
    assert_string_equal(
        stage_kit_get(&kit, "{\"text\":\"\xC3\xA4\xF0\x9F\x98\x80 the courier\"}", "insight"),
        "{\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\",\"words\":\"courier\","
        "\"start\":7,\"end\":14}]}");
    assert_string_equal(stage_kit_get(&kit,
                                      "{\"title\":\"The courier\",\"text\":\"is a courier, the "
                                      "website\"}",
                                      "insight"),
                        "{\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\",\"words\":"
                        "\"courier\",\"start\":5,\"end\":12},{\"kind\":\"touchpoint\",\"value\":"
                        "\"website\",\"words\":\"website\",\"start\":18,\"end\":25}]}");
    assert_string_equal(
        stage_kit_get(&kit, "{\"title\":\"The courier\",\"text\":\"hm\"}", "insight"),
        "{\"signals\":[{\"kind\":\"touchpoint\",\"value\":\"delivery\",\"words\":"
        "\"courier\"}]}");
    stage_kit_close(&kit);
}

static void a_file_of_ones_own_adds_to_the_vocabulary(void **state)
{
    static const struct signals_case both[] = {
        {"{\"text\":\"offline by courier\"}",
         "touchpoint=use(offline) feature=offline(offline) touchpoint=delivery(courier)"},
        {"{\"text\":\"not offline, no docking station\"}",
         "!touchpoint=use(offline) !touchpoint=stand(docking station)"},
    };
    static const struct signals_case own[] = {
        {"{\"text\":\"offline by courier\"}", "feature=offline(offline)"}};
    struct stage_kit kit;

    (void)state;
    assert_int_equal(
        stage_kit_open(&kit, &signals_stage, "vocabulary: [builtin, own_signals.yaml]", NULL), 0);
    check_cases(&kit, both, sizeof both / sizeof *both);
    stage_kit_close(&kit);
    assert_int_equal(stage_kit_open(&kit, &signals_stage, "vocabulary: own_signals.yaml", NULL), 0);
    check_cases(&kit, own, sizeof own / sizeof *own);
    stage_kit_close(&kit);
}

static void a_faulty_vocabulary_is_named_with_line_and_column(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"kinds: {a: {values: {b: {en: [\"\"]}}}}\n", "nothing to look for"},
        {"kinds: {a: {values: {b: [c]}}}\n", "below their language"},
        {"kinds: {a: {values: {b: {english: [c]}}}}\n", "'english' is no language"},
        {"kinds: {a: {value: {}}}\n", "values"},
        {"kind: {}\n", "kinds"},
        {"earshot: 2\n", "earshot"},
        {"kinds: [\n", ":2:"},
    };
    char path[] = "/tmp/earshot-signals-XXXXXX";
    char options[64];
    struct stage_kit kit;
    int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    snprintf(options, sizeof options, "vocabulary: %s", path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *stream = fopen(path, "w");

        assert_non_null(stream);
        fputs(cases[i].yaml, stream);
        fclose(stream);
        assert_int_equal(stage_kit_open(&kit, &signals_stage, options, NULL), -1);
        assert_int_equal(kit.err.kind, EAR_CONFIG);
        assert_memory_equal(kit.err.message, path, strlen(path));
        if (strstr(kit.err.message, cases[i].says) == NULL) {
            fail_msg("%s says %s", cases[i].yaml, kit.err.message);
        }
        stage_kit_close(&kit);
    }
    close(file);
    unlink(path);
}

static void a_post_full_of_phrases_takes_bounded_time_and_room(void **state)
{
    static char post[400100];
    struct stage_kit kit;
    size_t used = (size_t)snprintf(post, sizeof post, "{\"text\":\"");

    (void)state;
    while (used < 400000) {
        used += (size_t)snprintf(post + used, sizeof post - used, "not late no courier ");
    }
    snprintf(post + used, sizeof post - used, "\"}");
    assert_int_equal(stage_kit_open(&kit, &signals_stage, NULL, NULL), 0);
    assert_true(strlen(stage_kit_get(&kit, post, "insight")) < 16000);
    stage_kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phrases_tell_what_a_post_speaks_of),
        cmocka_unit_test(negation_reaches_a_few_words_and_no_further_than_the_clause),
        cmocka_unit_test(phrases_count_in_texts_of_their_language),
        cmocka_unit_test(places_are_code_points_of_the_text),
        cmocka_unit_test(a_file_of_ones_own_adds_to_the_vocabulary),
        cmocka_unit_test(a_faulty_vocabulary_is_named_with_line_and_column),
        cmocka_unit_test(a_post_full_of_phrases_takes_bounded_time_and_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
