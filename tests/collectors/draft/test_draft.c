/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts of definitions: each is one that is read, and that maps the answer it was made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/definition/definition_internal.h"
#include "collectors/draft/draft.h"
#include "common/config/config.h"
#include "common/json/json.h"

struct case_of {
    const char *url, *link, *answer;
    const char *lines[8];  /* that the draft holds */
    const char *id, *text; /* of its first record */
    const char *header, *value;
    const char *remaining, *reset, *reset_value, *limit_value;
};

static const struct case_of cases[] = {
    {.url = "https://forum.acme.example/posts.json?limit=50",
     .answer =
         "{\"latest_posts\":[{\"id\":9,\"username\":\"jo\",\"user_id\":4,\"cooked\":\"<p>hi</p>\","
         "\"created_at\":\"2026-11-20T08:00:00Z\",\"updated_at\":\"2026-11-20T09:00:00Z\","
         "\"topic_id\":7,\"reply_count\":2}]}",
     .lines = {"platform: acme\n", "records: \"/latest_posts/*\"",
               "request: {url: \"{base}/posts.json\", "
               "query: {\"limit\": \"50\"}}",
               "text: {from: /cooked, as: html}",
               "cursor: {by: /created_at, as: time, order: newest",
               "author: {id: /user_id, name: /username}", "thread: /topic_id"},
     .id = "9",
     .text = "<p>hi</p>"},
    {.url = "https://oauth.reddit.com/r/acme/comments",
     .answer = "{\"kind\":\"Listing\",\"data\":{\"after\":\"t1_b\",\"children\":[{\"kind\":\"t1\","
               "\"data\":{"
               "\"name\":\"t1_a\",\"id\":\"a\",\"body\":\"x\",\"created_utc\":1600000000.0,"
               "\"score\":3}},{\"kind\":\"t1\","
               "\"data\":{\"id\":\"b\",\"body\":\"y\",\"created_utc\":1600000100.0}}]}}",
     .lines = {"records: \"/data/children/*/data\"",
               "page: {kind: token, from: /data/after, into: after}",
               "created_at: {from: /created_utc, as: unix}", "the oldest comes first here"},
     .id = "a",
     .text = "x"},
    {.url = "https://me:hunter2@api.shop.example/v1/reviews?api_key=hunter2&page=0&q=%7Bx%7D+y",
     .link = "<https://api.shop.example/v1/reviews?page=1>; rel=\"next\"",
     .answer = "[{\"review_id\":1,\"review\":\"good\",\"timestamp_created\":1600000000123}]",
     .lines = {"platform: shop\n", "secret1: {required: true, secret: true, help: \"api_key\"}",
               "\"api_key\": \"{secret1}\", \"q\": \"{{x}} y\"", "page: {kind: link, rel: next}",
               "as: unix_ms", "records: \"/*\""},
     .id = "1",
     .text = "good"},
    {.url = "http://127.0.0.1:8080/wp-json/wp/v2/posts?page=1",
     .answer = "[{\"id\":3,\"date_gmt\":\"2026-11-20T08:00:00\",\"link\":\"http://b/"
               "3\",\"title\":{\"rendered\":\"A &amp; "
               "B\"},\"content\":{\"rendered\":\"<p>c</p>\"}}]",
     .lines = {"platform: draft\n", "page: {kind: number, into: page, first: 1}",
               "title: {from: /title/rendered, as: html}",
               "text: {from: /content/rendered, as: html}", "url: /link"},
     .id = "3",
     .text = "<p>c</p>"},
    {.url = "https://api.club.example/posts",
     .answer = "{\"posts\":[{\"id\":\"p1\",\"body_html\":\"only words\",\"created\":1600000000,"
               "\"member\":{\"id\":7,\"name\":\"Jo\"}}],\"paging\":{\"next_cursor\":\"abc\"}}",
     .lines = {"text: {from: /body_html, as: html}", "author: {id: /member/id, name: /member/name}",
               "page: {kind: token, from: /paging/next_cursor, into: cursor}",
               "auth: {kind: header, name: \"X-Api-Key\", value: \"{key}\"}",
               "key: {required: true, secret: true, help: \"X-Api-Key\"}",
               "limit: {requests: 120, per: 1m, remaining: \"X-RateLimit-Remaining\", reset: "
               "\"X-RateLimit-Reset\", reset_as: unix}"},
     .id = "p1",
     .text = "only words",
     .header = "X-Api-Key",
     .value = "hunter2",
     .remaining = "X-RateLimit-Remaining",
     .reset = "X-RateLimit-Reset",
     .reset_value = "1795000000",
     .limit_value = "120"},
    {.url = "https://api.club.example/posts?cursor=x",
     .answer = "[{\"id\":\"p1\",\"content_html\":\"<b>x</b>\",\"created\":1600000000}]",
     .lines = {"text: {from: /content_html, as: html}", "auth: {kind: bearer, value: \"{key}\"}",
               "reset_as: seconds"},
     .id = "p1",
     .text = "<b>x</b>",
     .header = "Authorization",
     .value = "Bearer hunter2",
     .remaining = "RateLimit-Remaining",
     .reset = "RateLimit-Reset",
     .reset_value = "30"},
    {.url = "https://api.club.example/posts",
     .answer = "[{\"id\":\"p1\",\"text\":\"x\",\"created\":1600000000}]",
     .lines = {"request: {url: \"{base}/posts\", headers: {\"Accept-Version\": \"2 {{x}}\"}}"},
     .id = "p1",
     .text = "x",
     .header = "Accept-Version",
     .value = "2 {x}"},
};

/* Reads the draft as a definition and maps the first record. */
static void expect_maps(const struct case_of *one, const char *draft,
                        const struct json_node *answer)
{
    struct ear_error err = {EAR_NONE, ""};
    struct config *config = NULL;
    struct definition *definition = NULL;
    struct value_memory *memory = NULL;
    const char *params[8] = {one->url};
    struct environment environment = {.params = params};
    struct source_record record;
    const struct config_node *root = NULL;

    assert_int_equal(config_new(&config, &err), 0);
    root = config_read_text(config, "draft.yaml", draft, &err);
    assert_non_null(root);
    assert_int_equal(definition_read(&definition, config, root, &err), 0);
    if (definition == NULL) {
        fail_msg("%s\n%d: %s", draft, config_finding_at(config, 0)->line,
                 config_finding_at(config, 0)->text);
    }
    environment.definition = definition;
    environment.record = answer;
    environment.record = pointer_first(&definition->lists[0].records[0], &environment);
    assert_non_null(environment.record);
    assert_int_equal(value_memory_new(&memory, &err), 0);
    assert_int_equal(
        map_record(&record, &definition->lists[0].map, &environment, answer, memory, &err), 0);
    assert_string_equal(record.native_id, one->id);
    assert_string_equal(record.text, one->text);
    assert_true(record.created_us > 0);
    value_memory_free(memory);
    definition_free(definition);
    config_free(config);
}

static void a_draft_is_a_definition_of_what_it_was_made_from(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ear_error err = {EAR_NONE, ""};
        struct json *json = NULL;
        char *draft = NULL;
        char name[80];
        struct draft_sample sample = {
            .url = cases[i].url,
            .link = cases[i].link,
            .headers = &cases[i].header,
            .values = &cases[i].value,
            .header_count = cases[i].header != NULL ? 1 : 0,
            .remaining = cases[i].remaining,
            .reset = cases[i].reset,
            .reset_value = cases[i].reset_value,
            .limit_value = cases[i].limit_value,
        };

        assert_int_equal(json_new(&json, &err), 0);
        sample.answer =
            json_read(json, cases[i].answer, strlen(cases[i].answer), &json_limits_default, &err);
        assert_non_null(sample.answer);
        assert_int_equal(draft_make(&draft, name, &sample, &err), 0);
        for (size_t j = 0; j < 8 && cases[i].lines[j] != NULL; j++) {
            if (strstr(draft, cases[i].lines[j]) == NULL) {
                fail_msg("'%s' is not in\n%s", cases[i].lines[j], draft);
            }
        }
        assert_null(strstr(draft, "hunter2"));
        expect_maps(&cases[i], draft, sample.answer);
        free(draft);
        json_free(json);
    }
}

static void an_answer_without_posts_makes_no_draft(void **state)
{
    static const char *const answers[] = {"{}", "[1,2]", "{\"a\":[{\"x\":1}]}", "null",
                                          "{\"a\":[{\"id\":1,\"words\":2}]}"};
    static const char *const seen[] = {"no object", "no object", ": x;", "no object",
                                       ": id, words;"};

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct ear_error err = {EAR_NONE, ""};
        struct json *json = NULL;
        char *draft = NULL;
        char name[80];
        struct draft_sample sample = {.url = "https://a.example/"};

        assert_int_equal(json_new(&json, &err), 0);
        sample.answer = json_read(json, answers[i], strlen(answers[i]), &json_limits_default, &err);
        assert_int_equal(draft_make(&draft, name, &sample, &err), -1);
        assert_int_equal(err.kind, EAR_REJECT);
        assert_non_null(strstr(err.message, seen[i]));
        json_free(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_is_a_definition_of_what_it_was_made_from),
        cmocka_unit_test(an_answer_without_posts_makes_no_draft),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
