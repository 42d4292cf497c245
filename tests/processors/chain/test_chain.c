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

#include "common/settings/settings.h"
#include "processors/chain/chain.h"

#define PLUGINS BUILD_DIR "/tests/plugin"
#define SHARE TESTS_DIR "/../processors/stages"

struct fixture {
    char path[64];
    struct settings *settings;
    struct chain *chain;
    struct message_arena *arena;
    struct ear_error err;
};

/* Opens the chain of a configuration; returns what chain_open does. */
static int open_chain(struct fixture *f, const char *stages)
{
    FILE *file = NULL;
    int number = 0;

    *f = (struct fixture){.path = "/tmp/earshot-chain-XXXXXX"};
    number = mkstemp(f->path);
    assert_true(number >= 0);
    file = fdopen(number, "w");
    assert_non_null(file);
    fprintf(file,
            "earshot: 1\nbrands: {Acme: [acme]}\nprocessors:\n  - name: main\n    stages:\n%s",
            stages);
    fclose(file);
    assert_int_equal(settings_load(&f->settings, f->path, "/tmp/earshot-none", SHARE, &f->err), 0);
    if (config_errors(f->settings->config) > 0) {
        fail_msg("%s", config_finding_at(f->settings->config, 0)->text);
    }
    assert_int_equal(message_arena_new(&f->arena, (size_t)16 << 20, &f->err), 0);
    return chain_open(&f->chain, f->settings, f->settings->processors, NULL, &f->err);
}

static void close_chain(struct fixture *f)
{
    chain_close(f->chain);
    message_arena_free(f->arena);
    settings_free(f->settings);
    unlink(f->path);
}

static void each_message_gets_the_fate_of_all_stages(void **state)
{
    static const char *const texts[] = {
        "{\"id\":\"1\",\"text\":\"pass Acme\"}",
        "{\"id\":\"2\",\"text\":\"drop it\"}",
        "{\"id\":\"3\",\"text\":\"reject it\"}",
        "{\"id\":\"4\",\"text\":\"no\"}",
        "{\"id\":\"5\"}",
        "{\"id\":\"6\",\"text\":\"more of it\"}",
    };
    static const struct {
        enum host_verdict verdict;
        const char *stage;
    } expected[] = {{HOST_PASSED, NULL},         {HOST_DROPPED, "contrary"},
                    {HOST_REJECTED, "contrary"}, {HOST_DROPPED, "length"},
                    {HOST_REJECTED, "length"},   {HOST_PASSED, NULL}};
    struct fixture f;
    struct ear_message *messages[6];
    struct chain_result results[6];
    struct host_elsewhere *elsewhere = NULL;
    const char *stage = NULL;

    (void)state;
    assert_int_equal(open_chain(&f,
                                "      - plugin: {name: length, path: " PLUGINS
                                "/minlength.so, config: {characters: 4}}\n"
                                "      - plugin: {name: contrary, path: " PLUGINS "/contrary.so}\n"
                                "      - brands\n"),
                     0);
    for (size_t i = 0; i < 6; i++) {
        messages[i] = message_read(f.arena, texts[i], strlen(texts[i]), &f.err);
        assert_non_null(messages[i]);
    }
    assert_int_equal(chain_run(f.chain, f.arena, messages, 6, results, &elsewhere, &stage, &f.err),
                     0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(results[i].verdict, expected[i].verdict);
        if (expected[i].stage != NULL) {
            assert_string_equal(results[i].stage, expected[i].stage);
        }
    }
    assert_string_equal(results[2].code, "contrary");
    assert_string_equal(results[2].reason, "it asked for it");
    assert_string_equal(message_text(messages[0], NULL, &f.err),
                        "{\"id\":\"1\",\"text\":\"pass Acme\",\"insight\":{\"brands\":[\"Acme\"],"
                        "\"competitors\":[]}}");
    assert_non_null(elsewhere);
    assert_string_equal(elsewhere->topic, "more");
    assert_string_equal(message_string(elsewhere->next->message, "id", NULL), "6#1");
    assert_string_equal(chain_generation(f.chain), "contrary-1");
    close_chain(&f);
}

static void a_stage_that_fails_is_named(void **state)
{
    static const char *const texts[] = {"{\"id\":\"1\",\"text\":\"poison\"}",
                                        "{\"id\":\"1\",\"text\":\"twice\"}"};
    struct fixture f;

    (void)state;
    assert_int_equal(
        open_chain(&f, "      - plugin: {name: contrary, path: " PLUGINS "/contrary.so}\n"), 0);
    for (size_t i = 0; i < 2; i++) {
        struct ear_message *message = message_read(f.arena, texts[i], strlen(texts[i]), &f.err);
        struct chain_result result;
        struct host_elsewhere *elsewhere = NULL;
        const char *stage = NULL;

        assert_int_equal(
            chain_run(f.chain, f.arena, &message, 1, &result, &elsewhere, &stage, &f.err), -1);
        assert_string_equal(stage, "contrary");
        assert_int_equal(f.err.kind, EAR_FATAL);
    }
    close_chain(&f);
}

static void what_a_person_must_change_is_a_finding_at_its_place(void **state)
{
    static const struct {
        const char *stages, *says;
        int line;
    } cases[] = {
        {"      - language: {hint: [german]}\n", "'german', which is no language", 6},
        {"      - language: {hints: [de]}\n", "hint", 6},
        {"      - normalise\n      - langauge\n",
         "'langauge' is no stage; did you mean 'language'?", 7},
        {"      - translate\n", "write normalise, language, classify, signals, brands, or plugin",
         6},
        {"      - normalise\n      - signals: {vocabulary: /nonexistent.yaml}\n",
         "/nonexistent.yaml", 7},
        {"      - plugin: {name: a, path: /nonexistent.so}\n", "cannot be loaded", 6},
        {"      - plugin: {name: a}\n", "path", 6},
        {"      - plugin: {name: a, path: " PLUGINS "/wrong_abi.so}\n", "stage interface 99", 6},
        {"      - plugin: {name: a, path: " PLUGINS "/minlength.so, config: {characters: -1}}\n",
         "0", 6},
        {"      - plugin: {name: a, path: " PLUGINS "/minlength.so, config: {charactres: 1}}\n",
         "characters", 6},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        const struct config_finding *finding = NULL;

        assert_int_equal(open_chain(&f, cases[i].stages), -1);
        assert_int_equal(f.err.kind, EAR_CONFIG);
        assert_true(config_errors(f.settings->config) > 0);
        finding = config_finding_at(f.settings->config, 0);
        if (strstr(finding->text, cases[i].says) == NULL || finding->line != cases[i].line) {
            fail_msg("%s says %d: %s", cases[i].stages, finding->line, finding->text);
        }
        close_chain(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_gets_the_fate_of_all_stages),
        cmocka_unit_test(a_stage_that_fails_is_named),
        cmocka_unit_test(what_a_person_must_change_is_a_finding_at_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
