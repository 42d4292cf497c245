/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/json/json.h"
#include "processors/classify/classify.h"
#include "processors/classify/features.h"

static const char model_path[] = BUILD_DIR "/share/earshot/model.bin";
static const char golden_path[] = TESTS_DIR "/processors/classify/golden.ndjson";

static struct classify_model *open_model(void)
{
    struct classify_model *model = NULL;
    struct ear_error err = {0};

    if (classify_open(&model, model_path, &err) < 0) {
        fail_msg("%s", err.message);
    }
    return model;
}

static void c_and_python_agree_on_golden_scores(void **unused)
{
    struct classify_model *model = open_model();
    struct ear_error err = {0};
    struct json *json = NULL;
    FILE *golden = fopen(golden_path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t length = 0;
    int count = 0;

    (void)unused;
    assert_non_null(golden);
    assert_int_equal(json_new(&json, &err), 0);
    while ((length = getline(&line, &size, golden)) > 0) {
        const struct json_node *row =
            json_read(json, line, (size_t)length, &json_limits_default, &err);
        const char *text = json_string(json_get(row, "text"), NULL);
        float scores[CLASSIFY_LABELS];

        assert_int_equal(classify_texts(model, &text, 1, scores, &err), 0);
        for (int label = 0; label < CLASSIFY_LABELS; label++) {
            double wanted = -1;

            assert_true(json_number(json_get(row, classify_label_name((enum classify_label)label)),
                                    &wanted));
            if (fabs(wanted - (double)scores[label]) > 1e-4) {
                fail_msg("%s of '%s': C says %f, Python %f",
                         classify_label_name((enum classify_label)label), text,
                         (double)scores[label], wanted);
            }
        }
        count++;
    }
    assert_true(count >= 20);
    free(line);
    fclose(golden);
    json_free(json);
    classify_close(model);
}

static void plain_cases_get_their_label(void **unused)
{
    static const struct {
        const char *text;
        enum classify_label label;
    } cases[] = {
        {"It would be great if you could add an offline mode to the app.", CLASSIFY_WISH},
        {"Please add a dark mode.", CLASSIFY_WISH},
        {"The app keeps crashing and nobody answers my mails.", CLASSIFY_COMPLAINT},
        {"I love this bike, best purchase this year, thank you!", CLASSIFY_PRAISE},
    };
    struct classify_model *model = open_model();
    struct ear_error err = {0};

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float scores[CLASSIFY_LABELS];

        assert_int_equal(classify_texts(model, &cases[i].text, 1, scores, &err), 0);
        if (scores[cases[i].label] < classify_threshold(model, cases[i].label)) {
            fail_msg("'%s': %s is only %f", cases[i].text, classify_label_name(cases[i].label),
                     (double)scores[cases[i].label]);
        }
    }
    classify_close(model);
}

static void evidence_is_the_sentence_that_says_it(void **unused)
{
    static const char text[] = "I got it in May. Please add an offline mode! The colour is blue.";
    struct classify_model *model = open_model();
    struct ear_error err = {0};
    float scores[CLASSIFY_LABELS];
    struct classify_span spans[CLASSIFY_LABELS];
    struct classify_reason reasons[CLASSIFY_REASONS];
    int count = 0;

    (void)unused;
    assert_int_equal(classify_text(model, text, strlen(text), scores, spans, &err), 0);
    assert_int_equal(spans[CLASSIFY_WISH].start, 17);
    assert_int_equal(spans[CLASSIFY_WISH].end, 44);
    count = classify_reasons(model, text, spans[CLASSIFY_WISH], CLASSIFY_WISH, reasons, &err);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        assert_true(reasons[i].start >= 17 && reasons[i].end <= 44);
        assert_true(i == 0 || fabsf(reasons[i].weight) <= fabsf(reasons[i - 1].weight));
    }
    classify_close(model);
}

static void sentences_are_split_like_people_read(void **unused)
{
    static const struct {
        const char *text;
        size_t sentences, tokens;
    } cases[] = {
        {"", 0, 0},
        {" ... ", 0, 0},
        {"One. Two! Three? Four", 4, 6},
        {"Mr. Smith paid 3.50 e.g. for tea.", 1, 9},
        {"no full stop\nnext line", 2, 5},
        {"see https://a.example/b?c=1. thanks @jo_b :)", 1, 4},
        {"wow!!!??", 1, 3},
        {"nice \xF0\x9F\x9A\xB2\xF0\x9F\x9A\xB2", 1, 3},
        {"don\xE2\x80\x99t can't", 1, 2},
    };
    struct ear_error err = {0};

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct feature_sentence sentence;
        size_t at = 0;
        size_t sentences = 0;
        size_t tokens = 0;

        while (features_next_sentence(cases[i].text, strlen(cases[i].text), &at, &sentence, &err) ==
               1) {
            sentences++;
            tokens += sentence.count;
        }
        if (sentences != cases[i].sentences || tokens != cases[i].tokens) {
            fail_msg("'%s': %zu sentences, %zu tokens", cases[i].text, sentences, tokens);
        }
    }
}

static void a_damaged_model_is_refused_by_name(void **unused)
{
    char path[] = "/tmp/earshot-model-XXXXXX";
    struct classify_model *model = NULL;
    struct ear_error err = {0};
    char bytes[200] = "EARCLSFY";
    int file = mkstemp(path);

    (void)unused;
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, sizeof bytes), sizeof bytes);
    close(file);
    assert_int_equal(classify_open(&model, path, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, path));
    unlink(path);
    assert_int_equal(classify_open(&model, path, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
}

static void hostile_text_is_judged_too(void **unused)
{
    size_t size = 1 << 20;
    char *text = malloc(size + 1);
    struct classify_model *model = open_model();
    struct ear_error err = {0};
    float scores[CLASSIFY_LABELS];
    struct classify_span spans[CLASSIFY_LABELS];

    (void)unused;
    assert_non_null(text);
    memset(text, 'a', size);
    text[size] = '\0';
    assert_int_equal(classify_text(model, text, size, scores, spans, &err), 0);
    for (size_t i = 0; i + 4 <= size; i += 4) {
        memcpy(text + i, "\xF0\x9F\x98\x80", 4);
    }
    assert_int_equal(classify_text(model, text, size, scores, spans, &err), 0);
    free(text);
    classify_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c_and_python_agree_on_golden_scores),
        cmocka_unit_test(plain_cases_get_their_label),
        cmocka_unit_test(evidence_is_the_sentence_that_says_it),
        cmocka_unit_test(sentences_are_split_like_people_read),
        cmocka_unit_test(a_damaged_model_is_refused_by_name),
        cmocka_unit_test(hostile_text_is_judged_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
