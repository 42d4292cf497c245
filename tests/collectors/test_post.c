/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/post.h"
#include "common/clock.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/settings/settings.h"

#define NOW INT64_C(1795334400000000) /* 2026-11-22T08:00:00Z */

static const char *const ours[] = {"reddit:AcmeHelp", "@acme@mastodon.example", "HelpDesk"};
static const char *const staff[] = {"discourse:kim"};

static const struct source_reader forum = {.name = "forumish", .channel = "forum"};

struct bench {
    struct settings settings;
    struct config *config;
    struct pseudonym_key key;
    struct post_rules *rules;
    struct settings_source source;
    struct post_origin origin;
    struct json_writer *writer;
    struct json *json;
    struct post post;
    const struct json_node *root; /* of the post written last */
    const char *text;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    struct ear_error err = {0};

    bench->settings.ours = (struct ear_strings){ours, 3};
    bench->settings.staff = (struct ear_strings){staff, 1};
    memset(bench->key.bytes, 7, sizeof(bench->key.bytes));
    assert_int_equal(config_new(&bench->config, &err), 0);
    bench->settings.same = config_read_text(bench->config, "same",
                                            "[[\"reddit:jo\", \"@jo@mastodon.example\"]]", &err);
    bench->source = (struct settings_source){.name = "our-forum", .use = "forumish"};
    bench->source.node = config_read_text(bench->config, "source",
                                          "{url: \"https://Jo:pw@Forum.Example:443/a?b\"}", &err);
    assert_int_equal(post_rules_new(&bench->rules, &bench->settings, &bench->key, &err), 0);
    assert_int_equal(post_origin_init(&bench->origin, &bench->source, &forum, &err), 0);
    assert_int_equal(json_writer_new(&bench->writer, MESSAGE_POST_MAX, &err), 0);
    assert_int_equal(json_new(&bench->json, &err), 0);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    post_clear(&bench->post);
    json_free(bench->json);
    json_writer_free(bench->writer);
    post_origin_clear(&bench->origin);
    post_rules_free(bench->rules);
    config_free(bench->config);
    free(bench);
    return 0;
}

/* A record of which only what a test is about is set. */
static struct source_record record_of(const char *id, const char *text)
{
    return (struct source_record){
        .native_id = id,
        .text = text,
        .text_length = text == NULL ? 0 : strlen(text),
        .created_us = NOW - CLOCK_HOUR_US,
        .edited_us = INT64_MIN,
        .rating = -1,
        .likes = -1,
        .replies = -1,
        .shares = -1,
        .views = -1,
    };
}

static void make(struct bench *bench, const struct source_record *record)
{
    struct ear_error err = {0};
    size_t length = 0;

    post_clear(&bench->post);
    json_writer_reset(bench->writer);
    if (post_read(&bench->post, bench->rules, &bench->origin, record, &err) != 0 ||
        post_clean(&bench->post, &err) != 0 ||
        post_write(&bench->post, bench->writer, 42, post_created(&bench->post, INT64_MIN, NOW), NOW,
                   &bench->text, &length, &err) != 0) {
        fail_msg("%s", err.message);
    }
    bench->root = json_read(bench->json, bench->text, length, &json_limits_default, &err);
    assert_non_null(bench->root);
}

static const char *field(const struct bench *bench, const char *pointer)
{
    return json_string(json_pointer(bench->root, pointer), NULL);
}

static void a_post_has_its_fields(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("88", "It  arrived\r\n\r\n\r\n\r\nlate.  ");

    record.title = "About\tthat";
    record.url = "https://forum.example/t/88";
    record.author_id = "jo";
    record.author_name = "Jo";
    record.lang = "en";
    record.thread = "80";
    record.parent = "81";
    record.rating = 0.25;
    record.likes = 3;
    record.views = 0;
    record.extra = "\"x_stars\":4,\"x_more\":[1]";
    make(bench, &record);
    assert_string_equal(field(bench, "/id"), "forumish:forum.example:88");
    assert_string_equal(field(bench, "/source"), "our-forum");
    assert_string_equal(field(bench, "/platform"), "forumish");
    assert_string_equal(field(bench, "/channel"), "forum");
    assert_string_equal(field(bench, "/title"), "About that");
    assert_string_equal(field(bench, "/text"), "It arrived\n\nlate.");
    assert_string_equal(field(bench, "/created_at"), "2026-11-22T07:00:00Z");
    assert_string_equal(field(bench, "/collected_at"), "2026-11-22T08:00:00Z");
    assert_null(field(bench, "/edited_at"));
    assert_string_equal(field(bench, "/version"), "42");
    assert_string_equal(field(bench, "/lang"), "en");
    assert_string_equal(field(bench, "/thread"), "80");
    assert_string_equal(field(bench, "/parent"), "81");
    assert_string_equal(field(bench, "/rating"), "0.25");
    assert_string_equal(field(bench, "/engagement/likes"), "3");
    assert_string_equal(field(bench, "/engagement/views"), "0");
    assert_null(field(bench, "/engagement/replies"));
    assert_string_equal(field(bench, "/x_stars"), "4");
    assert_null(json_pointer(bench->root, "/flags"));
    assert_null(json_pointer(bench->root, "/ours"));
    assert_int_equal(strncmp(field(bench, "/author/id"), "a_", 2), 0);
    assert_null(field(bench, "/author/name"));
    assert_null(strstr(bench->text, "\"Jo\""));
    bench->settings.author_names = true;
    make(bench, &record);
    assert_string_equal(field(bench, "/author/name"), "Jo");
}

static void ids_carry_platform_and_host(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("7", "x");
    struct hash128 own;

    make(bench, &record);
    own = bench->post.native;
    record.host = "other.example:8080";
    make(bench, &record);
    assert_string_equal(field(bench, "/id"), "forumish:other.example:8080:7");
    assert_memory_not_equal(&own, &bench->post.native, sizeof(own));
    record.platform = "mastodon";
    record.channel = "social";
    make(bench, &record);
    assert_string_equal(field(bench, "/id"), "mastodon:other.example:8080:7");
    assert_string_equal(field(bench, "/channel"), "social");
}

static void a_host_is_lower_case_without_its_default_port(void **state)
{
    static const struct {
        const char *source, *host;
        bool lists_again;
    } cases[] = {
        {"{url: \"http://Forum.Example:80/x\"}", "forum.example", true},
        {"{url: \"http://forum.example:443/x\"}", "forum.example:443", true},
        {"{url: \"https://forum.example:8443\"}", "forum.example:8443", true},
        {"{base: \"https://forum.example\", url: \"https://feeds.example/\"}", "forum.example",
         true},
        {"{path: survey.csv}", "our-forum", false},
        {"{url: survey}", "our-forum", false},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ear_error err = {0};
        struct post_origin origin;

        bench->source.node = config_read_text(bench->config, "case", cases[i].source, &err);
        assert_int_equal(post_origin_init(&origin, &bench->source, &forum, &err), 0);
        assert_string_equal(origin.host, cases[i].host);
        assert_int_equal(origin.lists_again, cases[i].lists_again);
        post_origin_clear(&origin);
    }
}

static void what_is_no_id_is_rejected(void **state)
{
    static const char *const ids[] = {"", "a\nb", "a\x01", "\xff\xfe", "a\x7f", "a\xEF\xBF\xBD"};
    struct bench *bench = *state;
    static char too_long[3000];

    memset(too_long, 'x', sizeof(too_long) - 1);
    for (size_t i = 0; i <= sizeof(ids) / sizeof(ids[0]); i++) {
        const bool last = i == sizeof(ids) / sizeof(ids[0]);
        const struct source_record record = record_of(last ? too_long : ids[i], "x");
        struct ear_error err = {0};

        assert_int_equal(post_read(&bench->post, bench->rules, &bench->origin, &record, &err), -1);
        assert_int_equal(err.kind, EAR_REJECT);
        assert_int_equal(strncmp(err.message, "bad_id: ", 8), 0);
        post_clear(&bench->post);
    }
}

static void html_becomes_text_and_text_stays(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("1", "<p>Cafe\u0301 &amp; <b>cake</b></p><p>two</p>");

    record.title = "Fish &amp; chips";
    record.format = SOURCE_HTML;
    make(bench, &record);
    assert_string_equal(field(bench, "/title"), "Fish & chips");
    assert_non_null(strstr(field(bench, "/text"), "Caf\u00e9 & cake"));
    record.format = SOURCE_PLAIN;
    make(bench, &record);
    assert_string_equal(field(bench, "/title"), "Fish &amp; chips");
    assert_non_null(strstr(field(bench, "/text"), "<b>cake</b>"));
}

static void broken_text_is_mended_and_flagged(void **state)
{
    struct bench *bench = *state;
    const struct source_record record = record_of("1", "half \xc3 a letter");

    make(bench, &record);
    assert_string_equal(field(bench, "/text"), "half \uFFFD a letter");
    assert_string_equal(field(bench, "/flags/0"), "text_repaired");
}

static void times_are_believed_within_reason(void **state)
{
    static const struct {
        int64_t created_us, edited_us;
        const char *created_at, *edited_at;
        bool suspect;
    } cases[] = {
        {NOW, INT64_MIN, "2026-11-22T08:00:00Z", NULL, false},
        {NOW + CLOCK_DAY_US, INT64_MIN, "2026-11-23T08:00:00Z", NULL, false},
        {NOW + CLOCK_DAY_US + 1, INT64_MIN, "2026-11-22T08:00:00Z", NULL, true},
        {0, INT64_MIN, "2026-11-22T08:00:00Z", NULL, true},
        {-5, INT64_MIN, "2026-11-22T08:00:00Z", NULL, true},
        {INT64_MIN, INT64_MIN, "2026-11-22T08:00:00Z", NULL, true},
        {INT64_MAX, INT64_MAX, "2026-11-22T08:00:00Z", NULL, true},
        {NOW - CLOCK_HOUR_US, NOW, "2026-11-22T07:00:00Z", "2026-11-22T08:00:00Z", false},
        {NOW - CLOCK_HOUR_US, NOW + 2 * CLOCK_DAY_US, "2026-11-22T07:00:00Z", NULL, true},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct source_record record = record_of("1", "x");
        const char *flag = NULL;

        record.created_us = cases[i].created_us;
        record.edited_us = cases[i].edited_us;
        make(bench, &record);
        flag = field(bench, "/flags/0");
        assert_string_equal(field(bench, "/created_at"), cases[i].created_at);
        if (cases[i].edited_at == NULL) {
            assert_null(field(bench, "/edited_at"));
        } else {
            assert_string_equal(field(bench, "/edited_at"), cases[i].edited_at);
        }
        assert_int_equal(flag != NULL && strcmp(flag, "time_suspect") == 0, cases[i].suspect);
    }
}

/* A post without a time keeps the one of its first sight. */
static void first_sight_is_kept(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("1", "x");

    record.created_us = INT64_MIN;
    make(bench, &record);
    assert_true(post_created(&bench->post, INT64_MIN, NOW) == NOW);
    assert_true(post_created(&bench->post, NOW - 5, NOW) == NOW - 5);
    record.created_us = NOW - 9;
    make(bench, &record);
    assert_true(post_created(&bench->post, NOW - 5, NOW) == NOW - 9);
}

static void versions_only_grow(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("1", "x");

    make(bench, &record);
    assert_true(post_version(&bench->post, 0, NOW) == NOW);
    assert_true(post_version(&bench->post, NOW, NOW) == NOW + 1);
    assert_true(post_version(&bench->post, NOW + 7, NOW) == NOW + 8);
    record.edited_us = NOW + 100;
    assert_true(post_version(&bench->post, 0, NOW) == NOW + 100);
    record.edited_us = NOW + 2 * CLOCK_DAY_US; /* not believed */
    assert_true(post_version(&bench->post, 0, NOW) == NOW);
}

static void accounts_tell_who_is_ours(void **state)
{
    static const struct {
        const char *platform, *host, *id, *name;
        bool ours, staff;
    } cases[] = {
        {"reddit", "reddit.com", "acmehelp", NULL, true, false},
        {"reddit", "reddit.com", "t2_1", "AcmeHelp", true, false},
        {"forumish", "forum.example", "AcmeHelp", NULL, false, false},
        {"mastodon", "mastodon.example", "acme", NULL, true, false},
        {"mastodon", "other.example", "acme@mastodon.example", NULL, true, false},
        {"mastodon", "other.example", "acme", NULL, false, false},
        {"forumish", "forum.example", "@helpdesk", NULL, true, false},
        {"discourse", "forum.example", "kim", NULL, false, true},
        {"reddit", "reddit.com", "kim", NULL, false, false},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct source_record record = record_of("1", "x");

        record.platform = cases[i].platform;
        record.host = cases[i].host;
        record.author_id = cases[i].id;
        record.author_name = cases[i].name;
        make(bench, &record);
        assert_int_equal(json_pointer(bench->root, "/ours") != NULL, cases[i].ours);
        assert_int_equal(json_pointer(bench->root, "/staff") != NULL, cases[i].staff);
    }
}

static void a_person_has_one_pseudonym(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("1", "x");
    char expected[PSEUDONYM_SIZE];

    record.platform = "mastodon";
    record.host = "mastodon.example";
    record.author_id = "jo";
    make(bench, &record);
    assert_string_equal(field(bench, "/author/id"),
                        pseudonym_of(expected, &bench->key, "reddit", "jo"));
    record.author_id = NULL;
    record.author_name = "Someone";
    make(bench, &record);
    assert_string_equal(field(bench, "/author/id"),
                        pseudonym_of(expected, &bench->key, "mastodon", "Someone"));
    record.author_name = NULL;
    make(bench, &record);
    assert_null(json_pointer(bench->root, "/author"));
}

/* The hash is over what a reader would notice; the raw one over what came. */
static void hashes_tell_changes(void **state)
{
    struct bench *bench = *state;
    struct source_record record = record_of("1", "<p>same</p>");
    struct hash128 hash;
    struct hash128 raw;

    record.format = SOURCE_HTML;
    make(bench, &record);
    hash = bench->post.hash;
    raw = bench->post.raw;
    record.text = "<div>same</div>";
    record.text_length = strlen(record.text);
    record.likes = 12;
    make(bench, &record);
    assert_memory_equal(&bench->post.hash, &hash, sizeof(hash));
    assert_memory_not_equal(&bench->post.raw, &raw, sizeof(raw));
    record.rating = 1;
    make(bench, &record);
    assert_memory_not_equal(&bench->post.hash, &hash, sizeof(hash));
    record.rating = -1;
    record.title = "x";
    make(bench, &record);
    hash = bench->post.hash;
    record.title = NULL;
    record.thread = "x"; /* the same letters elsewhere are another content */
    make(bench, &record);
    assert_memory_not_equal(&bench->post.hash, &hash, sizeof(hash));
}

static void the_source_says_what_it_is_about(void **state)
{
    static const char *const tags[] = {"thought-leader", "de"};
    struct bench *bench = *state;
    const struct source_record record = record_of("1", "x");

    bench->source.about = "Acme";
    bench->source.audience = "internal";
    bench->source.tags = (struct ear_strings){tags, 2};
    make(bench, &record);
    assert_string_equal(field(bench, "/about"), "Acme");
    assert_string_equal(field(bench, "/audience"), "internal");
    assert_string_equal(field(bench, "/tags/1"), "de");
}

static void too_large_a_post_is_rejected(void **state)
{
    struct bench *bench = *state;
    char *text = calloc(1, MESSAGE_POST_MAX + 1);
    struct source_record record;
    struct ear_error err = {0};
    size_t length = 0;

    memset(text, 'x', MESSAGE_POST_MAX);
    record = record_of("1", text);
    assert_int_equal(post_read(&bench->post, bench->rules, &bench->origin, &record, &err), 0);
    assert_int_equal(post_clean(&bench->post, &err), 0);
    assert_int_equal(
        post_write(&bench->post, bench->writer, 1, NOW, NOW, &bench->text, &length, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_int_equal(strncmp(err.message, "too_large", 9), 0);
    free(text);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_post_has_its_fields),
        CASE(ids_carry_platform_and_host),
        CASE(a_host_is_lower_case_without_its_default_port),
        CASE(what_is_no_id_is_rejected),
        CASE(html_becomes_text_and_text_stays),
        CASE(broken_text_is_mended_and_flagged),
        CASE(times_are_believed_within_reason),
        CASE(first_sight_is_kept),
        CASE(versions_only_grow),
        CASE(accounts_tell_who_is_ours),
        CASE(a_person_has_one_pseudonym),
        CASE(hashes_tell_changes),
        CASE(the_source_says_what_it_is_about),
        CASE(too_large_a_post_is_rejected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
