/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
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

#include "common/settings/settings.h"

#define BROKEN TESTS_DIR "/common/settings/broken"

/* A folder of its own for each test, which becomes the current one. */
struct folder {
    char path[64];
    char before[PATH_MAX];
};

static int enter(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    assert_non_null(folder);
    snprintf(folder->path, sizeof folder->path, "/tmp/earshot-settings-XXXXXX");
    assert_non_null(getcwd(folder->before, sizeof folder->before));
    assert_non_null(mkdtemp(folder->path));
    assert_int_equal(chdir(folder->path), 0);
    unsetenv("EARSHOT_DATA");
    unsetenv("EARSHOT_CONFIG");
    unsetenv("EARSHOT_METRICS");
    *state = folder;
    return 0;
}

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry = NULL;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char below[PATH_MAX];

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
            remove_all(below);
        }
    }
    if (dir != NULL) {
        closedir(dir);
        rmdir(path);
    } else {
        unlink(path);
    }
}

static int leave(void **state)
{
    struct folder *folder = *state;

    assert_int_equal(chdir(folder->before), 0);
    remove_all(folder->path);
    free(folder);
    return 0;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static struct settings *load(const char *path)
{
    struct ear_error err = {EAR_NONE, ""};
    struct settings *settings = NULL;

    if (settings_load(&settings, path, NULL, "/share", &err) != 0) {
        fail_msg("%s", err.message);
    }
    return settings;
}

static struct settings *load_text(const char *yaml)
{
    put("earshot.yaml", yaml);
    return load("earshot.yaml");
}

/* The first finding as check prints it. */
static void first_line(char out[1400], const struct settings *settings)
{
    const struct config_finding *best = NULL;

    for (size_t i = 0; i < config_finding_count(settings->config); i++) {
        const struct config_finding *finding = config_finding_at(settings->config, i);

        if (best == NULL || finding->line < best->line ||
            (finding->line == best->line && finding->column < best->column)) {
            best = finding;
        }
    }
    snprintf(out, 1400, "%s", "");
    if (best != NULL) {
        snprintf(out, 1400, "%s:%d:%d %s%s%s%s", best->file, best->line, best->column, best->key,
                 best->key[0] == '\0' ? "" : ": ",
                 best->severity == CONFIG_ERROR ? "" : "warning: ", best->text);
    }
}

static void without_a_configuration_the_defaults_hold(void **state)
{
    const struct folder *folder = *state;
    struct settings *settings = load(NULL);
    char expected[PATH_MAX];

    assert_int_equal(config_errors(settings->config), 0);
    snprintf(expected, sizeof expected, "%s/earshot.data", folder->path);
    assert_string_equal(settings->data_dir, expected);
    snprintf(expected, sizeof expected, "local:%s/earshot.data/log", folder->path);
    assert_string_equal(settings->stream_url, expected);
    snprintf(expected, sizeof expected, "%s/earshot.data/author.key", folder->path);
    assert_string_equal(settings->author_key_path, expected);
    assert_int_equal(settings->source_count, 0);
    assert_null(settings->sinks);
    assert_int_equal(settings->processor_count, 1);
    assert_string_equal(settings->processors[0].name, "main");
    assert_string_equal(settings->processors[0].from, "posts");
    assert_string_equal(settings->processors[0].to, "insights");
    assert_int_equal(settings->processors[0].stage_count, 5);
    assert_string_equal(settings->processors[0].stages[2].name, "classify");
    assert_int_equal(settings->topic_count, 11);
    assert_int_equal(settings->horizon_us, 400 * CLOCK_DAY_US);
    assert_int_equal(settings->stream_size_bytes, INT64_C(8) << 30);
    settings_free(settings);
}

static void a_complete_configuration_is_read(void **state)
{
    struct settings *settings = NULL;

    (void)state;
    put("forums.yaml", "sources:\n  - {name: forum, use: feed, url: \"https://f.example/rss\", "
                       "history: all}\nbrands:\n  Beta: [beta]\n");
    put("author_key", "0123456789abcdef0123456789abcdef");
    settings = load_text(
        "earshot: 1\ninclude: [forums.yaml]\ndata: data\nbrands:\n  Acme: [acme, \"acme phone\"]\n"
        "competitors:\n  Globex: globex\n"
        "sources:\n  - {name: blog, use: feed, url: \"https://b.example/feed\", every: 5m, about: "
        "Acme, tags: [a, b], threshold: {wish: 0.7}, history: none, lang: pt-BR, zone: "
        "Europe/Berlin, audience: internal, channel: forum}\n"
        "stream: {size: 64MiB, compact_lag: 1m, topics: {partitions: 2, posts: {retention: 1m}}}\n"
        "processors:\n  - {name: first, to: clean, stages: [normalise, {language: {hint: en}}]}\n"
        "  - {name: second, from: clean, stages: [classify], batch: {messages: 50, wait: 1s}}\n"
        "sinks:\n  - store: {}\nmetrics: {listen: \"127.0.0.1:0\"}\n"
        "network: {allow: [127.0.0.1, \"fd00::/8\", 10.0.0.0/8]}\ntimezone: Europe/Berlin\n"
        "accounts: {ours: [\"reddit:AcmeHelp\"], staff: \"discourse:kim\"}\n"
        "authors: {names: true, key: \"${file:author_key}\"}\nstore: {horizon: 90d}\n");
    assert_int_equal(config_finding_count(settings->config), 0);
    assert_int_equal(settings->brand_count, 3);
    assert_string_equal(settings->brands[0].name, "Acme");
    assert_int_equal(settings->brands[0].words.count, 3);
    assert_string_equal(settings->brands[0].words.items[2], "acme phone");
    assert_true(settings->brands[1].competitor);
    assert_string_equal(settings->brands[2].name, "Beta");
    assert_int_equal(settings->source_count, 2);
    assert_int_equal(settings->sources[0].every_us, 5 * CLOCK_MINUTE_US);
    assert_int_equal(settings->sources[0].history_us, 0);
    assert_true(settings->sources[0].threshold_wish == 0.7);
    assert_true(settings->sources[0].threshold_praise == -1);
    assert_int_equal(settings->sources[0].tags.count, 2);
    assert_int_equal(settings->sources[1].history_us, INT64_MAX);
    assert_string_equal(config_scalar(config_get(settings->sources[1].node, "url")),
                        "https://f.example/rss");
    assert_int_equal(settings->processor_count, 2);
    assert_non_null(settings->processors[0].stages[1].node);
    assert_null(settings->processors[0].stages[0].node);
    assert_int_equal(settings->processors[1].batch_messages, 50);
    assert_int_equal(settings->topic_count, 12);
    assert_int_equal(settings->topics[0].partitions, 2);
    assert_int_equal(settings->topics[0].retention_us, CLOCK_MINUTE_US);
    assert_int_equal(settings->topics[1].retention_us, 90 * CLOCK_DAY_US);
    assert_int_equal(settings->network_allow.count, 3);
    assert_true(settings->author_names);
    assert_string_equal(strrchr(settings->author_key_path, '/'), "/author_key");
    settings_free(settings);
}

/* What only a role's program finds: see tests/integration. */
static bool is_roles_own(const char *name)
{
    static const char *const names[] = {"08-", "09-", "14-", "01-", "26-", "33-", "37-", "19-"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(names[i], name, 3) == 0) {
            return true;
        }
    }
    return false;
}

static void expect_broken(const char *name)
{
    char expected[1400] = "";
    char line[1400];
    char path[NAME_MAX + 32];
    FILE *file = NULL;
    struct settings *settings = load(name);

    if (is_roles_own(name)) {
        assert_int_equal(config_errors(settings->config), 0);
        settings_free(settings);
        return;
    }
    snprintf(path, sizeof path, "%.*s.expected", (int)strlen(name) - 5, name);
    file = fopen(path, "re");
    if (file == NULL || fgets(expected, sizeof expected, file) == NULL) {
        fail_msg("%s lacks its first line", path);
    }
    fclose(file);
    expected[strcspn(expected, "\n")] = '\0';
    assert_true(config_errors(settings->config) > 0);
    first_line(line, settings);
    assert_string_equal(line, expected);
    settings_free(settings);
}

static void every_mistake_names_line_key_and_cure(void **state)
{
    DIR *dir = opendir(BROKEN);
    const struct dirent *entry = NULL;
    size_t count = 0;

    (void)state;
    assert_non_null(dir);
    assert_int_equal(chdir(BROKEN), 0);
    assert_int_equal(chmod("12-open-secret.key", 0644), 0);
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        if (length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0) {
            expect_broken(entry->d_name);
            count++;
        }
    }
    closedir(dir);
    assert_true(count >= 30);
}

static void definitions_are_put_aside_for_the_collector(void **state)
{
    struct settings *settings = NULL;
    struct ear_error err = {EAR_NONE, ""};

    (void)state;
    put("forum.yaml", "earshot: 1\nplatform: ours\nchanel: x\n");
    put("more.yaml", "sources:\n  - {name: b, use: ours, anything: goes}\n");
    settings = load_text("earshot: 1\ninclude: [forum.yaml, more.yaml]\nsources:\n"
                         "  - {name: a, use: whatever}\n");
    assert_int_equal(config_finding_count(settings->config), 0);
    assert_int_equal(settings->definition_count, 1);
    assert_string_equal(config_scalar(config_get(settings->definitions[0], "platform")), "ours");
    assert_int_equal(settings->source_count, 2);
    assert_string_equal(settings->sources[0].use, "whatever");
    assert_string_equal(settings->sources[1].use, "ours");
    assert_int_equal(settings_refuse_definition(settings, &err), 0);
    settings_free(settings);
}

static void an_included_file_includes_others(void **state)
{
    struct settings *settings = NULL;

    (void)state;
    put("a.yaml", "include: [b.yaml, own.yaml]\nsources:\n  - {name: a, use: feed}\n");
    put("b.yaml",
        "include: own.yaml\nbrands: {Acme: [acme]}\nsources:\n  - {name: b, use: feed}\n");
    put("own.yaml", "platform: ours\n");
    settings = load_text("earshot: 1\ninclude: [\"*.yaml\"]\nsources:\n  - {name: m, use: feed}\n");
    assert_int_equal(config_finding_count(settings->config), 0);
    assert_int_equal(settings->definition_count, 1);
    assert_int_equal(settings->source_count, 3);
    assert_string_equal(settings->sources[1].name, "a");
    assert_string_equal(settings->sources[2].name, "b");
    assert_int_equal(settings->brand_count, 1);
    settings_free(settings);
}

static void a_file_that_includes_itself_is_named(void **state)
{
    char line[1400];
    struct settings *settings = NULL;

    (void)state;
    put("a.yaml", "include: [b.yaml]\n");
    put("b.yaml", "\n\n\n\ninclude:\n  - earshot.yaml\n  - ./a.yaml\n");
    settings = load_text("earshot: 1\ninclude: [a.yaml]\n");
    assert_int_equal(config_errors(settings->config), 2);
    first_line(line, settings);
    assert_non_null(strstr(line, "b.yaml:6:5 include[0]: "));
    assert_non_null(strstr(line, "earshot.yaml' includes itself on this way; leave it out"));
    settings_free(settings);
}

static void files_include_files_only_so_deep(void **state)
{
    char line[1400];
    char name[32];
    char text[64];
    struct settings *settings = NULL;

    (void)state;
    for (int i = 1; i <= 9; i++) {
        snprintf(name, sizeof name, "f%d.yaml", i);
        snprintf(text, sizeof text, i < 9 ? "include: [f%d.yaml]\n" : "sources: []\n", i + 1);
        put(name, text);
    }
    settings = load_text("earshot: 1\ninclude: [f2.yaml]\n");
    assert_int_equal(config_errors(settings->config), 0);
    settings_free(settings);
    settings = load_text("earshot: 1\ninclude: [f1.yaml]\n");
    assert_int_equal(config_errors(settings->config), 1);
    first_line(line, settings);
    assert_non_null(strstr(line, "f8.yaml:1:11 include[0]: files include files more than 8 deep"));
    settings_free(settings);
}

static void a_definition_alone_is_no_configuration(void **state)
{
    struct settings *settings = load_text("platform: ours\nrequest: x\n");
    struct ear_error err = {EAR_NONE, ""};

    (void)state;
    assert_int_equal(config_finding_count(settings->config), 0);
    assert_int_equal(settings->definition_count, 1);
    assert_int_equal(settings->source_count, 0);
    assert_true(settings->is_definition);
    assert_int_equal(settings_refuse_definition(settings, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "include: [earshot.yaml]"));
    settings_free(settings);
}

static void a_missing_file_says_so(void **state)
{
    struct settings *settings = load("nowhere.yaml");
    char line[1400];

    (void)state;
    first_line(line, settings);
    assert_string_equal(line, "nowhere.yaml:1:1 cannot be read: No such file or directory; "
                              "correct the path, or make the file");
    settings_free(settings);
}

static void secrets_in_clear_text_are_warned_about(void **state)
{
    struct settings *settings = load_text("earshot: 1\nsources:\n  - {name: a, use: feed, url: "
                                          "\"https://me:hunter2@b.example/feed\"}\n");
    char line[1400];

    (void)state;
    assert_int_equal(config_errors(settings->config), 0);
    assert_int_equal(config_finding_count(settings->config), 1);
    first_line(line, settings);
    assert_null(strstr(line, "hunter2"));
    assert_non_null(strstr(line, "sources[0].url: warning: a secret in clear text"));
    settings_free(settings);
}

static void a_target_that_every_does_not_allow_is_warned_about(void **state)
{
    static const char *const fresh[] = {"5m", "4m"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char text[256];
        char line[1400];
        struct settings *settings = NULL;

        (void)snprintf(text, sizeof(text),
                       "earshot: 1\nsources:\n  - {name: a, use: feed, url: "
                       "\"https://b.example/feed\", every: 10m, fresh: %s}\n",
                       fresh[i]);
        settings = load_text(text);
        assert_int_equal(config_errors(settings->config), 0);
        assert_int_equal(config_finding_count(settings->config), i);
        assert_int_equal(settings->sources[0].fresh_us, (i == 0 ? 5 : 4) * CLOCK_MINUTE_US);
        if (i == 1) {
            first_line(line, settings);
            assert_non_null(strstr(line, "sources[0].fresh: warning: it is never asked sooner"));
        }
        settings_free(settings);
    }
}

static void short_retention_of_insights_is_warned_about(void **state)
{
    struct settings *settings =
        load_text("earshot: 1\nstream: {topics: {insights: {retention: 30d}}}\n");
    char line[1400];

    (void)state;
    first_line(line, settings);
    assert_non_null(strstr(line, "warning: shorter than the store's horizon"));
    assert_int_equal(config_errors(settings->config), 0);
    settings_free(settings);
}

static void kafka_without_a_shared_author_key_is_warned_about(void **state)
{
    struct settings *settings = load_text("earshot: 1\nstream: {url: \"kafka://k-1:9092/acme\"}\n");
    char line[1400];

    (void)state;
    first_line(line, settings);
    assert_non_null(strstr(line, "earshot.yaml:2:16 stream.url: warning: "));
    assert_non_null(strstr(line, "authors: {key: \"${file:author_key}\"}"));
    assert_int_equal(config_errors(settings->config), 0);
    settings_free(settings);
    put("author_key", "0123456789abcdef0123456789abcdef");
    settings = load_text("earshot: 1\nstream: {url: \"kafka://k-1:9092/acme\"}\n"
                         "authors: {key: \"${file:author_key}\"}\n");
    assert_int_equal(config_finding_count(settings->config), 0);
    settings_free(settings);
}

/* What works with the librdkafka at hand is not warned about. */
static void scram_is_warned_about_where_it_cannot_work(void **state)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-512"};
    char text[512];
    char line[1400];

    (void)state;
    put("author_key", "0123456789abcdef0123456789abcdef");
    for (size_t i = 0; i < 2; i++) {
        struct ear_error why = {EAR_NONE, ""};
        const size_t wanted = stream_check_mechanism(mechanisms[i], &why) == 0 ? 0 : 1;
        struct settings *settings;

        (void)snprintf(text, sizeof(text),
                       "earshot: 1\nauthors: {key: \"${file:author_key}\"}\nstream:\n"
                       "  url: \"kafka://k-1:9092/acme\"\n"
                       "  security: {protocol: SASL_SSL, mechanism: %s, user: me, password: "
                       "\"${file:author_key}\"}\n",
                       mechanisms[i]);
        settings = load_text(text);
        assert_int_equal(config_errors(settings->config), 0);
        assert_int_equal(config_finding_count(settings->config), wanted);
        if (wanted == 1) {
            first_line(line, settings);
            assert_non_null(strstr(line, "stream.security.mechanism: warning: librdkafka"));
            assert_non_null(strstr(line, "PLAIN over SASL_SSL"));
        }
        settings_free(settings);
    }
}

static void the_data_folder_can_be_handed_on(void **state)
{
    struct ear_error err = {EAR_NONE, ""};
    struct settings *settings = NULL;

    (void)state;
    put("earshot.yaml", "earshot: 1\ndata: one\n");
    assert_int_equal(settings_load(&settings, "earshot.yaml", "/two", "/share", &err), 0);
    assert_string_equal(settings->data_dir, "/two");
    assert_string_equal(settings->stream_url, "local:/two/log");
    settings_free(settings);
    setenv("EARSHOT_DATA", "/three", 1);
    settings = load("earshot.yaml");
    assert_string_equal(settings->data_dir, "/three");
    settings_free(settings);
    unsetenv("EARSHOT_DATA");
}

static void a_configuration_is_found_in_this_order(void **state)
{
    char *found = NULL;

    (void)state;
    found = settings_find(NULL);
    assert_true(found == NULL || strcmp(found, "/etc/earshot/earshot.yaml") == 0);
    free(found);
    put("earshot.yaml", "earshot: 1\n");
    found = settings_find(NULL);
    assert_string_equal(found, "earshot.yaml");
    free(found);
    setenv("EARSHOT_CONFIG", "other.yaml", 1);
    found = settings_find(NULL);
    assert_string_equal(found, "other.yaml");
    free(found);
    found = settings_find("given.yaml");
    assert_string_equal(found, "given.yaml");
    free(found);
    unsetenv("EARSHOT_CONFIG");
}

static void reading_a_log_that_is_not_there_makes_nothing(void **state)
{
    struct ear_error err = {EAR_NONE, ""};
    struct stream *stream = NULL;
    struct settings *settings = load(NULL);

    (void)state;
    assert_int_equal(settings_open_stream(&stream, settings, true, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    assert_int_equal(access("earshot.data", F_OK), -1);
    assert_int_equal(settings_open_stream(&stream, settings, false, &err), 0);
    stream_close(stream);
    assert_int_equal(access("earshot.data/log", F_OK), 0);
    settings_free(settings);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(without_a_configuration_the_defaults_hold),
        TEST(a_complete_configuration_is_read),
        TEST(every_mistake_names_line_key_and_cure),
        TEST(a_missing_file_says_so),
        TEST(definitions_are_put_aside_for_the_collector),
        TEST(an_included_file_includes_others),
        TEST(a_file_that_includes_itself_is_named),
        TEST(files_include_files_only_so_deep),
        TEST(a_definition_alone_is_no_configuration),
        TEST(secrets_in_clear_text_are_warned_about),
        TEST(a_target_that_every_does_not_allow_is_warned_about),
        TEST(short_retention_of_insights_is_warned_about),
        TEST(kafka_without_a_shared_author_key_is_warned_about),
        TEST(scram_is_warned_about_where_it_cannot_work),
        TEST(the_data_folder_can_be_handed_on),
        TEST(a_configuration_is_found_in_this_order),
        TEST(reading_a_log_that_is_not_there_makes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
