/* SPDX-License-Identifier: Apache-2.0 */
/* Which definitions there are, and what is said of a source that uses one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/definition/definition.h"
#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"
#include "common/settings/settings.h"

/* A share folder, a configuration beside it, and what was read of them. */
struct place {
    char path[64];
    struct settings *settings;
    struct definitions *definitions;
    struct ear_error err;
};

#define REST                                                                                       \
    "channel: forum\nparams: {base: {}}\nrequest: \"{base}/x\"\nrecords: /x/*\nmap: {id: /id}\n"

static void put(const struct place *place, const char *name, const char *text)
{
    char path[256];
    FILE *file = NULL;

    (void)snprintf(path, sizeof(path), "%s/%s", place->path, name);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    char path[256];

    assert_non_null(place);
    (void)snprintf(place->path, sizeof(place->path), "/tmp/earshot-definitions-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    (void)snprintf(path, sizeof(path), "%s/definitions", place->path);
    assert_int_equal(mkdir(path, 0700), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"definitions/alpha.yaml",
                                        "definitions/beta.yaml",
                                        "definitions/README",
                                        "own.yaml",
                                        "other.yaml",
                                        "third.yaml",
                                        "earshot.yaml",
                                        "definitions"};
    struct place *place = *state;

    definitions_free(place->definitions);
    settings_free(place->settings);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/%s", place->path, names[i]);
        (void)remove(path);
    }
    assert_int_equal(rmdir(place->path), 0);
    free(place);
    return 0;
}

static void read_all(struct place *place, const char *configuration)
{
    char path[256];

    put(place, "earshot.yaml", configuration);
    (void)snprintf(path, sizeof(path), "%s/earshot.yaml", place->path);
    assert_int_equal(settings_load(&place->settings, path, NULL, place->path, &place->err), 0);
    assert_int_equal(definitions_new(&place->definitions, place->settings, &place->err), 0);
}

static void assert_names(const struct place *place, const char *wanted)
{
    const char *const *names = definitions_names(place->definitions);
    char all[256] = "";

    for (size_t i = 0; names[i] != NULL; i++) {
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", names[i]);
    }
    assert_string_equal(all, wanted);
}

static void assert_said(const struct place *place, const char *wanted)
{
    for (size_t i = 0; i < config_finding_count(place->settings->config); i++) {
        if (strstr(config_finding_at(place->settings->config, i)->text, wanted) != NULL) {
            return;
        }
    }
    fail_msg("not said: %s (%zu findings, the first: %s)", wanted,
             config_finding_count(place->settings->config),
             config_finding_count(place->settings->config) == 0
                 ? ""
                 : config_finding_at(place->settings->config, 0)->text);
}

static struct definition *find(struct place *place, const char *name, bool *known)
{
    return definitions_find(place->definitions, name, known, &place->err);
}

static void a_built_in_one_is_read_when_it_is_asked_for(void **state)
{
    struct place *place = *state;
    bool known = false;

    put(place, "definitions/alpha.yaml", "platform: alpha\n" REST);
    put(place, "definitions/beta.yaml", "platform: beta\nchanel: forum\n");
    put(place, "definitions/README", "no definition\n");
    read_all(place, "earshot: 1\n");
    assert_names(place, "alpha beta ");
    assert_non_null(find(place, "alpha", &known));
    assert_true(known);
    assert_ptr_equal(find(place, "alpha", &known), find(place, "alpha", &known));
    assert_int_equal(config_errors(place->settings->config), 0);
    assert_null(find(place, "gamma", &known));
    assert_false(known);
    assert_int_equal(place->err.kind, EAR_NONE);
    assert_null(find(place, "beta", &known)); /* wrong, and said once */
    assert_true(known);
    assert_said(place, "did you mean 'channel'?");
    const size_t said = config_finding_count(place->settings->config);
    assert_null(find(place, "beta", &known));
    assert_int_equal(config_finding_count(place->settings->config), said);
}

static void one_s_own_wins_over_a_built_in_one(void **state)
{
    struct place *place = *state;
    bool known = false;

    put(place, "definitions/alpha.yaml", "platform: alpha\nabout: built in\n" REST);
    put(place, "own.yaml", "platform: alpha\nabout: own\n" REST);
    read_all(place, "earshot: 1\ninclude: own.yaml\n");
    assert_names(place, "alpha ");
    assert_string_equal(find(place, "alpha", &known)->about, "own");
    assert_true(definitions_is_own(place->definitions, "alpha"));
    assert_false(definitions_is_own(place->definitions, "beta"));
}

static void one_s_own_is_checked_though_nothing_uses_it(void **state)
{
    struct place *place = *state;

    put(place, "own.yaml", "platform: mine\nrecords: x\n" REST);
    read_all(place, "earshot: 1\ninclude: [own.yaml]\n");
    assert_said(place, "stands twice");
}

static void names_that_are_taken_are_refused(void **state)
{
    struct place *place = *state;

    put(place, "own.yaml", "platform: feed\n" REST);
    put(place, "other.yaml", "platform: mine\n" REST);
    put(place, "third.yaml", "platform: mine\n" REST);
    read_all(place, "earshot: 1\ninclude: [own.yaml, other.yaml, third.yaml]\n");
    assert_said(place, "'feed' is a reader of Earshot's own");
    assert_said(place, "two definitions say platform: mine");
}

static void without_a_share_folder_there_are_none(void **state)
{
    struct place *place = *state;
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/definitions", place->path);
    assert_int_equal(rmdir(path), 0);
    read_all(place, "earshot: 1\n");
    assert_names(place, "");
}

/* --- a source --- */

static void check_source(struct place *place, const char *source)
{
    char text[512];
    const char *values[8] = {NULL};
    const struct definition *definition = NULL;
    bool known = false;

    put(place, "definitions/alpha.yaml",
        "platform: alpha\nchannel: forum\n"
        "params: {base: {required: true}, tag: {}, account: {}, code: {secret: true}, token: "
        "{secret: true}, api: {default: \"https://api.example\"}}\n"
        "records: /x/*\nmap: {id: /id}\n"
        "lists:\n"
        "  - {name: a, if: tag, request: \"{base}/{tag}\"}\n"
        "  - {name: b, if: account, request: {url: \"{api}/{account}\", headers: {K: "
        "\"{code}\"}}}\n");
    (void)snprintf(text, sizeof(text), "earshot: 1\nsources:\n  - {name: s, use: alpha, %s}\n",
                   source);
    read_all(place, text);
    definition = find(place, "alpha", &known);
    assert_non_null(definition);
    assert_int_equal(config_fill(place->settings->config, place->settings->sources[0].node,
                                 definition->options, settings_source_keys, "source", values),
                     0);
    definition_check(definition, place->settings->config, &place->settings->sources[0], values);
}

static void a_source_that_fits_is_not_complained_about(void **state)
{
    struct place *place = *state;

    (void)setenv("EARSHOT_TEST_CODE", "hunter2", 1);
    check_source(place,
                 "base: \"https://a.example:8443/x\", tag: t, code: \"${EARSHOT_TEST_CODE}\"");
    if (config_finding_count(place->settings->config) > 0) {
        fail_msg("%s", config_finding_at(place->settings->config, 0)->text);
    }
}

static void an_address_has_to_be_one(void **state)
{
    check_source(*state, "base: forum.example, tag: t");
    assert_said(*state, "'forum.example' is no http or https address");
}

static void an_address_with_a_password_is_not_shown(void **state)
{
    check_source(*state, "base: \"ftp://me:hunter2@a.example\", tag: t");
    assert_said(*state, "'…' is no http or https address");
}

static void each_parameter_that_begins_a_url_is_an_address(void **state)
{
    check_source(*state, "base: \"https://a.example\", tag: t, api: api.example");
    assert_said(*state, "'api.example' is no http");
}

static void a_secret_in_clear_text_is_warned_about(void **state)
{
    struct place *place = *state;

    check_source(place, "base: \"https://a.example\", tag: t, code: hunter2, token: hunter2");
    assert_said(place, "a secret in clear text");
    assert_int_equal(config_errors(place->settings->config), 0);
    /* once for each: `token` is known by its name already */
    assert_int_equal(config_finding_count(place->settings->config), 2);
}

static void a_source_without_anything_to_ask_for_is_told(void **state)
{
    check_source(*state, "base: \"https://a.example\", tag: \"\"");
    assert_said(*state, "give one of: tag, account");
}

static void an_empty_required_parameter_is_told(void **state)
{
    check_source(*state, "base: \"\", tag: t");
    assert_said(*state, "is empty; it is required");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_built_in_one_is_read_when_it_is_asked_for),
        TEST(one_s_own_wins_over_a_built_in_one),
        TEST(one_s_own_is_checked_though_nothing_uses_it),
        TEST(names_that_are_taken_are_refused),
        TEST(without_a_share_folder_there_are_none),
        TEST(a_source_that_fits_is_not_complained_about),
        TEST(an_address_has_to_be_one),
        TEST(an_address_with_a_password_is_not_shown),
        TEST(each_parameter_that_begins_a_url_is_an_address),
        TEST(a_secret_in_clear_text_is_warned_about),
        TEST(a_source_without_anything_to_ask_for_is_told),
        TEST(an_empty_required_parameter_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
