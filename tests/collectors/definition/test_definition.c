/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a definition do with an answer: pointers, templates, values, conditions,
 * bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/definition/definition.h"
#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"
#include "common/instant.h"
#include "common/json/json.h"

/* A definition of some parameters, a configuration to read parts from, and answers. */
struct bench {
    struct config *config;
    struct definition *definition;
    struct json *record_json, *parent_json, *first_json;
    struct value_memory *memory;
    struct environment environment;
    struct ear_error err;
};

static const char *const params[] = {"https://forum.example/", "a b/c", NULL, "", "s3cret"};

static int set_up(void **state)
{
    static const char text[] = "earshot: 1\n"
                               "platform: test\n"
                               "channel: forum\n"
                               "params: {base: {}, board: {}, absent: {}, empty: {}, token: {}}\n"
                               "request: \"{base}/x\"\n"
                               "records: /x/*\n"
                               "map: {id: /id}\n";
    struct bench *bench = calloc(1, sizeof(*bench));
    const struct config_node *root = NULL;

    assert_non_null(bench);
    assert_int_equal(config_new(&bench->config, &bench->err), 0);
    root = config_read_text(bench->config, "test.yaml", text, &bench->err);
    assert_non_null(root);
    assert_int_equal(definition_read(&bench->definition, bench->config, root, &bench->err), 0);
    assert_non_null(bench->definition);
    assert_int_equal(json_new(&bench->record_json, &bench->err), 0);
    assert_int_equal(json_new(&bench->parent_json, &bench->err), 0);
    assert_int_equal(json_new(&bench->first_json, &bench->err), 0);
    assert_int_equal(value_memory_new(&bench->memory, &bench->err), 0);
    bench->environment = (struct environment){.definition = bench->definition,
                                              .params = params,
                                              .since_us = INT64_MIN,
                                              .now_us = INT64_MIN};
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    value_memory_free(bench->memory);
    json_free(bench->record_json);
    json_free(bench->parent_json);
    json_free(bench->first_json);
    definition_free(bench->definition);
    config_free(bench->config);
    free(bench);
    return 0;
}

static const struct json_node *read_json(struct bench *bench, struct json *json, const char *text)
{
    const struct json_node *root =
        json_read(json, text, strlen(text), &json_limits_default, &bench->err);

    if (root == NULL) {
        fail_msg("%s: %s", text, bench->err.message);
    }
    return root;
}

static void set_record(struct bench *bench, const char *text)
{
    bench->environment.record = read_json(bench, bench->record_json, text);
}

/* The value of `v` in a small document. */
static const struct config_node *node_of(struct bench *bench, const char *yaml)
{
    const struct config_node *root =
        config_read_text(bench->config, "part.yaml", yaml, &bench->err);

    assert_non_null(root);
    return config_get(root, "v");
}

static void assert_no_findings(const struct bench *bench)
{
    if (config_finding_count(bench->config) > 0) {
        fail_msg("%s", config_finding_at(bench->config, 0)->text);
    }
}

static void assert_finding(const struct bench *bench, const char *part)
{
    const size_t count = config_finding_count(bench->config);

    if (count == 0 || strstr(config_finding_at(bench->config, count - 1)->text, part) == NULL) {
        fail_msg("no finding says '%s', but: %s", part,
                 count == 0 ? "none" : config_finding_at(bench->config, count - 1)->text);
    }
}

/* --- pointers --- */

struct said {
    char text[1024];
};

static bool say(void *user, const struct json_node *node)
{
    struct said *said = user;
    size_t length = 0;
    const char *raw = json_raw(node, &length);
    const size_t at = strlen(said->text);

    (void)snprintf(said->text + at, sizeof(said->text) - at, "%s%.*s", at > 0 ? " " : "",
                   (int)length, raw);
    return true;
}

static void a_pointer_names_what_it_says(void **state)
{
    static const struct {
        const char *pointer, *answer, *found;
    } cases[] = {
        {"", "{\"a\":1}", "{\"a\":1}"},
        {"/a", "{\"a\":1}", "1"},
        {"/a/b", "{\"a\":{\"b\":[2]}}", "[2]"},
        {"/a/1", "{\"a\":[1,2,3]}", "2"},
        {"/a/01", "{\"a\":[1,2,3]}", ""},
        {"/a/3", "{\"a\":[1,2,3]}", ""},
        {"/a~1b/c~0d", "{\"a/b\":{\"c~d\":7}}", "7"},
        {"/a/*", "{\"a\":[1,null,2]}", "1 null 2"},
        {"/a/*/x", "{\"a\":[{\"x\":1},{},{\"x\":2},5]}", "1 2"},
        /* one entry is an object in its list's place (App Store) */
        {"/entry/*/id", "{\"entry\":{\"id\":1}}", "1"},
        {"/entry/*/id", "{\"entry\":\"\"}", ""},
        {"/**/id", "{\"id\":1,\"x\":[{\"id\":2,\"y\":{\"id\":3}}]}", "1 2 3"},
        {"/x/**/kids/*", "{\"kids\":[9],\"x\":{\"kids\":[{\"n\":1,\"kids\":[{\"n\":2}]}]}}",
         "{\"n\":1,\"kids\":[{\"n\":2}]} {\"n\":2}"},
        {"/**/*", "[[1,2],{\"a\":[3]}]", "[1,2] {\"a\":[3]} 1 2 3"},
        {"/a", "[1]", ""},
        {"/0", "[1]", "1"},
        {"/", "{\"\":4}", "4"},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pointer pointer = {0};
        struct said said = {""};

        assert_int_equal(pointer_read(&pointer, bench->definition, bench->config, NULL,
                                      cases[i].pointer, &bench->err),
                         0);
        assert_no_findings(bench);
        set_record(bench, cases[i].answer);
        assert_true(pointer_each(&pointer, bench->environment.record, say, &said));
        if (strcmp(said.text, cases[i].found) != 0) {
            fail_msg("%s in %s: %s, not %s", cases[i].pointer, cases[i].answer, said.text,
                     cases[i].found);
        }
    }
}

static void the_first_that_is_not_null_is_taken(void **state)
{
    struct bench *bench = *state;
    struct pointer pointer = {0};

    assert_int_equal(
        pointer_read(&pointer, bench->definition, bench->config, NULL, "/a/*", &bench->err), 0);
    set_record(bench, "{\"a\":[null,null,3]}");
    assert_string_equal(json_string(pointer_first(&pointer, &bench->environment), NULL), "3");
    set_record(bench, "{\"a\":[null]}");
    assert_null(pointer_first(&pointer, &bench->environment));
}

static void a_pointer_may_begin_above_or_at_first(void **state)
{
    static const struct {
        const char *pointer, *text;
    } cases[] = {
        {"/n", "record"}, {"parent/n", "parent"}, {"first/n", "first"}, {"parent/parent/n", NULL}};
    struct bench *bench = *state;

    set_record(bench, "{\"n\":\"record\"}");
    bench->environment.parent = read_json(bench, bench->parent_json, "{\"n\":\"parent\"}");
    bench->environment.first = read_json(bench, bench->first_json, "{\"n\":\"first\"}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pointer pointer = {0};
        const struct json_node *node = NULL;

        assert_int_equal(pointer_read(&pointer, bench->definition, bench->config, NULL,
                                      cases[i].pointer, &bench->err),
                         0);
        node = pointer_first(&pointer, &bench->environment);
        if (cases[i].text == NULL) {
            assert_null(node);
        } else {
            assert_string_equal(json_string(node, NULL), cases[i].text);
        }
    }
}

static void a_pointer_that_is_none_is_a_finding(void **state)
{
    static const struct {
        const char *pointer, *finding;
    } cases[] = {
        {"a/b", "does not begin with /"},
        {"/a~2", "~ that is neither"},
        {"/**/a/**/b", "** twice"},
        {"/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "more than 32"}};
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pointer pointer = {0};

        assert_int_equal(pointer_read(&pointer, bench->definition, bench->config, NULL,
                                      cases[i].pointer, &bench->err),
                         0);
        assert_null(pointer.text);
        assert_finding(bench, cases[i].finding);
    }
}

/* --- templates --- */

static char *expand(struct bench *bench, const char *template, enum template_use use, bool *absent)
{
    const struct template *read = NULL;
    char yaml[1024];

    (void)snprintf(yaml, sizeof(yaml), "v: '%s'\n", template);
    assert_int_equal(
        template_read(&read, bench->definition, bench->config, node_of(bench, yaml), &bench->err),
        0);
    assert_no_findings(bench);
    assert_non_null(read);
    return template_expand(read, &bench->environment, use, absent, &bench->err);
}

static void a_template_is_encoded_for_its_use(void **state)
{
    static const struct {
        enum template_use use;
        const char *template, *text; /* NULL: absent */
    } cases[] = {
        /* a URL begins with an address; its slash is not doubled */
        {TEMPLATE_URL, "{base}/posts.json", "https://forum.example/posts.json"},
        {TEMPLATE_URL, "{base}", "https://forum.example/"},
        {TEMPLATE_URL, "https://x.example/?u={base}",
         "https://x.example/?u=https%3A%2F%2Fforum.example%2F"},
        {TEMPLATE_URL, "https://x.example/t/{board}/é ü",
         "https://x.example/t/a%20b%2Fc/%C3%A9%20%C3%BC"},
        {TEMPLATE_URL, "https://x.example/t/{+board}?a[]=1", "https://x.example/t/a%20b/c?a[]=1"},
        {TEMPLATE_URL, "https://x.example{+/link}", "https://x.example/r/a/%D0%B0?x=%41&y=1%25#z"},
        {TEMPLATE_URL, "https://x.example/{/link}",
         "https://x.example/%2Fr%2Fa%2F%D0%B0%3Fx%3D%2541%26y%3D1%25%23z"},
        /* a query: no value ends its member */
        {TEMPLATE_QUERY, "(story,comment)", "(story,comment)"},
        {TEMPLATE_QUERY, "a>b & c=1+2", "a%3Eb%20%26%20c%3D1%2B2"},
        {TEMPLATE_QUERY, "{/link}", "%2Fr%2Fa%2F%D0%B0%3Fx%3D%2541%26y%3D1%25%23z"},
        {TEMPLATE_QUERY, "{+/link}", "/r/a/%D0%B0?x%3D%41%26y%3D1%25%23z"},
        {TEMPLATE_BODY_FORM, "a b&{board}", "a%20b%26a%20b%2Fc"},
        /* a header: no value ends it */
        {TEMPLATE_HEADER, "Bearer {token}{/lines}", "Bearer s3cretab"},
        {TEMPLATE_PLAIN, "{/lines} {board}", "a\r\nb a b/c"},
        /* kinds of values */
        {TEMPLATE_PLAIN, "{/n}|{/t}|{/f}", "12.50|true|false"},
        {TEMPLATE_PLAIN, "{/list}", "1,b,true"},
        {TEMPLATE_PLAIN, "x{/object}", NULL},
        {TEMPLATE_PLAIN, "x{/nothing}", NULL},
        {TEMPLATE_PLAIN, "x{/null}", NULL},
        {TEMPLATE_PLAIN, "x{absent}", NULL},
        {TEMPLATE_PLAIN, "x{empty}", NULL},
        {TEMPLATE_PLAIN, "x{cursor}", NULL},
        {TEMPLATE_PLAIN, "{parent/n}/{first/n}", "p/f"},
        /* braces */
        {TEMPLATE_PLAIN, "{ a }}{{b} $ {\"x\"}", "{ a }{b} $ {\"x\"}"},
        {TEMPLATE_PLAIN, "{{{board}}}", "{a b/c}"},
        /* filters */
        {TEMPLATE_PLAIN, "{/uri|tail}", "3k2"},
        {TEMPLATE_PLAIN, "{/uri|head}", "at:"},
        {TEMPLATE_PLAIN, "{/address|host}", "a.example:81"},
        {TEMPLATE_PLAIN, "{/address|host|lower}", "a.example:81"},
        {TEMPLATE_PLAIN, "{/n|host}", NULL},
        {TEMPLATE_PLAIN, "{/upper|lower}", "abc"},
        {TEMPLATE_PLAIN, "{/when|unix}", "1795348800"},
        {TEMPLATE_PLAIN, "{/when|unix_ms}", "1795348800500"},
        {TEMPLATE_PLAIN, "{/when|rfc3339}", "2026-11-22T12:00:00Z"},
        {TEMPLATE_PLAIN, "{/when|date}", "2026-11-22"},
        {TEMPLATE_PLAIN, "{/uri|unix}", NULL},
        {TEMPLATE_PLAIN, "{since}", "2026-11-22T12:00:00Z"},
        {TEMPLATE_PLAIN, "{since|unix}", "1795348800"},
        {TEMPLATE_PLAIN, "{since|date}", "2026-11-22"},
        {TEMPLATE_PLAIN, "{now|rfc3339}", NULL},
        /* a parameter wins over a word; what is remembered has words of its own */
        {TEMPLATE_PLAIN, "{token}", "s3cret"},
        {TEMPLATE_PLAIN, "{post/id} {id} {post/url|tail}", "t3_9 t3_9 7"},
        {TEMPLATE_PLAIN, "{page} {ids}", "2 1;2"},
    };
    struct bench *bench = *state;

    set_record(bench, "{\"link\":\"/r/a/\xD0\xB0?x=%41&y=1%#z\",\"lines\":\"a\\r\\nb\",\"n\":12.50,"
                      "\"t\":true,\"f\":false,\"list\":[1,\"b\",{},true],\"object\":{\"a\":1},"
                      "\"null\":null,\"uri\":\"at://did/app/3k2\",\"upper\":\"aBC\","
                      "\"address\":\"HTTP://u:p@A.example:81/x?y\","
                      "\"when\":\"2026-11-22T12:00:00.5Z\"}");
    bench->environment.parent = read_json(bench, bench->parent_json, "{\"n\":\"p\"}");
    bench->environment.first = read_json(bench, bench->first_json, "{\"n\":\"f\"}");
    bench->environment.since_us = INT64_C(1795348800000000);
    bench->environment.token = "of the session";
    bench->environment.id = "t3_9";
    bench->environment.url = "https://x.example/7";
    bench->environment.page = "2";
    bench->environment.ids = "1;2";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool absent = false;
        char *text = expand(bench, cases[i].template, cases[i].use, &absent);

        if ((text == NULL) != (cases[i].text == NULL) || absent != (cases[i].text == NULL) ||
            (text != NULL && strcmp(text, cases[i].text) != 0)) {
            fail_msg("%s: %s, not %s", cases[i].template, text == NULL ? "absent" : text,
                     cases[i].text == NULL ? "absent" : cases[i].text);
        }
        free(text);
    }
}

static void a_template_that_names_nothing_is_a_finding(void **state)
{
    static const struct {
        const char *template, *finding;
    } cases[] = {{"{bord}", "did you mean 'board'?"},
                 {"{cursr}", "did you mean 'cursor'?"},
                 {"{board", "never closed"},
                 {"{board|tial}", "did you mean 'tail'?"},
                 {"{parentx/y}", "is no place of a template"},
                 {"{/a|lower|lower|lower|lower|lower}", "more than four filters"}};
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct template *template = NULL;
        char yaml[256];

        (void)snprintf(yaml, sizeof(yaml), "v: '%s'\n", cases[i].template);
        assert_int_equal(template_read(&template, bench->definition, bench->config,
                                       node_of(bench, yaml), &bench->err),
                         0);
        assert_null(template);
        assert_finding(bench, cases[i].finding);
    }
}

static void a_value_beyond_reason_makes_no_request(void **state)
{
    struct bench *bench = *state;
    char *long_text = malloc(200000);
    bool absent = false;

    assert_non_null(long_text);
    memset(long_text, 'x', 199999);
    long_text[199999] = '\0';
    bench->environment.cursor = long_text;
    assert_null(expand(bench, "{cursor}", TEMPLATE_QUERY, &absent));
    assert_false(absent);
    assert_int_equal(bench->err.kind, EAR_REJECT);
    assert_non_null(strstr(bench->err.message, "schema: "));
    free(long_text);
}

static void a_host_is_of_a_url(void **state)
{
    static const struct {
        const char *url, *host;
    } cases[] = {{"https://A.Example:443/x", "a.example"},
                 {"http://a:80", "a"},
                 {"http://a:443/", "a:443"},
                 {"https://u:p@b@a/x@y", "a"},
                 {"a.example", NULL},
                 {"https:///x", NULL},
                 {"http://[::1]:81/", "[::1]:81"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char host[100] = "";
        const bool there = template_host(cases[i].url, strlen(cases[i].url), host, sizeof(host));

        assert_int_equal(there, cases[i].host != NULL);
        assert_string_equal(host, cases[i].host == NULL ? "" : cases[i].host);
    }
}

/* --- bodies --- */

static void a_body_is_a_tree_of_templates(void **state)
{
    static const struct {
        const char *yaml, *into, *page, *json;
    } cases[] = {
        {"v: {a: '{board}', n: 3, t: true, z: ~, s: 'x\"y', 'off': '{absent}', l: [1, '{token}']}",
         NULL, NULL,
         "{\"a\":\"a b/c\",\"n\":3,\"t\":true,\"z\":null,\"s\":\"x\\\"y\",\"l\":[1,\"s3cret\"]}"},
        {"v: {query: 'q { x }', variables: {first: 10, after: old}}", "/variables/after", "p\"2",
         "{\"query\":\"q { x }\",\"variables\":{\"first\":10,\"after\":\"p\\\"2\"}}"},
        {"v: {query: q}", "/variables/after", "p2",
         "{\"query\":\"q\",\"variables\":{\"after\":\"p2\"}}"},
        {"v: {query: q}", "/after", "p2", "{\"query\":\"q\",\"after\":\"p2\"}"},
        {"v: {query: q, variables: {a: 1}}", "/variables/after", "p2",
         "{\"query\":\"q\",\"variables\":{\"a\":1,\"after\":\"p2\"}}"},
        {"v: {query: q}", "/variables/after", NULL, "{\"query\":\"q\"}"},
        {"v: {a: [{after: 1}], after: 2}", "/after", "p",
         "{\"a\":[{\"after\":1}],\"after\":\"p\"}"},
    };
    struct bench *bench = *state;
    struct json_writer *writer = NULL;

    assert_int_equal(json_writer_new(&writer, 10000, &bench->err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct body *body = NULL;
        const char *text = NULL;
        size_t length = 0;

        assert_int_equal(body_read(&body, bench->definition, bench->config,
                                   node_of(bench, cases[i].yaml), &bench->err),
                         0);
        assert_no_findings(bench);
        json_writer_reset(writer);
        assert_int_equal(body_write(body, &bench->environment, cases[i].into, cases[i].page, writer,
                                    &bench->err),
                         0);
        text = json_writer_text(writer, &length, &bench->err);
        assert_non_null(text);
        assert_string_equal(text, cases[i].json);
    }
    json_writer_free(writer);
}

/* --- whole definitions around a part --- */

/* A definition whose list is `part`; its own configuration. */
struct part {
    struct config *config;
    struct definition *definition;
};

static void part_read(struct bench *bench, struct part *part, const char *text)
{
    char yaml[4096];
    const struct config_node *root = NULL;

    (void)snprintf(yaml, sizeof(yaml),
                   "platform: test\nchannel: forum\nparams: {base: {}, board: {}}\n"
                   "request: \"{base}/x\"\nrecords: /x/*\n%s\n",
                   text);
    assert_int_equal(config_new(&part->config, &bench->err), 0);
    root = config_read_text(part->config, "part.yaml", yaml, &bench->err);
    assert_non_null(root);
    assert_int_equal(definition_read(&part->definition, part->config, root, &bench->err), 0);
    if (part->definition == NULL) {
        fail_msg("%s: %s", text, config_finding_at(part->config, 0)->text);
    }
    bench->environment.definition = part->definition;
}

static void part_clear(struct part *part)
{
    definition_free(part->definition);
    config_free(part->config);
}

static void say_text(char *out, size_t size, const char *name, const char *text)
{
    const size_t at = strlen(out);

    if (text != NULL) {
        (void)snprintf(out + at, size - at, "%s%s=%s", at > 0 ? "|" : "", name, text);
    }
}

static void say_time(char *out, size_t size, const char *name, int64_t at_us)
{
    char text[INSTANT_SIZE];

    say_text(out, size, name, at_us == INT64_MIN ? NULL : instant_format(text, at_us));
}

static void say_count(char *out, size_t size, const char *name, int64_t count)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%lld", (long long)count);
    say_text(out, size, name, count < 0 ? NULL : text);
}

static void say_record(char *out, size_t size, const struct source_record *record)
{
    char rating[32];

    *out = '\0';
    (void)snprintf(rating, sizeof(rating), "%.2f", record->rating);
    say_text(out, size, "id", record->native_id);
    say_text(out, size, "host", record->host);
    say_text(out, size, "url", record->url);
    say_text(out, size, "title", record->title);
    say_text(out, size, record->format == SOURCE_HTML ? "html" : "text", record->text);
    say_time(out, size, "created", record->created_us);
    say_time(out, size, "edited", record->edited_us);
    say_text(out, size, "author", record->author_id);
    say_text(out, size, "name", record->author_name);
    say_text(out, size, "lang", record->lang);
    say_text(out, size, "thread", record->thread);
    say_text(out, size, "parent", record->parent);
    say_text(out, size, "channel", record->channel);
    say_text(out, size, "rating", record->rating < 0 ? NULL : rating);
    say_count(out, size, "likes", record->likes);
    say_count(out, size, "replies", record->replies);
    say_count(out, size, "shares", record->shares);
    say_count(out, size, "views", record->views);
    say_text(out, size, "extra", record->extra);
}

static void a_record_is_mapped_as_its_map_says(void **state)
{
    static const struct {
        const char *map, *record, *said; /* said "!…": rejected so */
    } cases[] = {
        {"{id: /id}", "{\"id\":7}", "id=7|host=forum.example"},
        {"{id: /id, host: reddit.com}", "{\"id\":\"t1_x\"}", "id=t1_x|host=reddit.com"},
        {"{id: \"c{/id}\", host: {from: /uri, as: host}}",
         "{\"id\":7,\"uri\":\"https://M.example/@a/1\"}", "id=c7|host=m.example"},
        {"{id: /id}", "{\"id\":{\"a\":1}}", "!schema: the id at /id is an object, not a text"},
        {"{id: /id}", "{\"id\":null}", "!schema: no id at /id"},
        {"{id: /id}", "{\"id\":\"\"}", "!schema: no id at /id"},
        {"{id: [/a, /b]}", "{\"b\":\"2\"}", "id=2|host=forum.example"},
        {"{id: {from: [/a, /b], unless: 0}}", "{\"a\":0,\"b\":5}", "id=5|host=forum.example"},
        {"{id: {from: /big, as: int}}", "{\"big\":\"9223372036854775999\"}",
         "id=9223372036854775999|host=forum.example"},
        /* url */
        {"{id: /id, url: \"{base}/t/{/slug}/{/id}\"}", "{\"id\":1,\"slug\":\"a b\"}",
         "id=1|host=forum.example|url=https://forum.example/t/a%20b/1"},
        {"{id: /id, url: /path}", "{\"id\":1,\"path\":\"/t/1\"}",
         "id=1|host=forum.example|url=https://forum.example/t/1"},
        {"{id: /id, url: [\"{base}/a/{/a}\", \"{base}/b/{/id}\"]}", "{\"id\":1}",
         "id=1|host=forum.example|url=https://forum.example/b/1"},
        /* words */
        {"{id: /id, title: /t, text: {from: /b, as: html}}",
         "{\"id\":1,\"t\":\"a <b> & c\",\"b\":\"<p>x</p>\"}",
         "id=1|host=forum.example|title=a &lt;b&gt; &amp; c|html=<p>x</p>"},
        {"{id: /id, title: {from: /t, as: html}, text: /b}",
         "{\"id\":1,\"t\":\"a &amp; b\",\"b\":\"1 < 2\"}",
         "id=1|host=forum.example|title=a & b|text=1 < 2"},
        {"{id: /id, text: [/raw, {from: /cooked, as: html}]}",
         "{\"id\":1,\"raw\":\"i <3 it\",\"cooked\":\"i &lt;3 it\"}",
         "id=1|host=forum.example|text=i <3 it"},
        {"{id: /id, text: [/raw, {from: /cooked, as: html}]}",
         "{\"id\":1,\"raw\":null,\"cooked\":\"i &lt;3 it\"}",
         "id=1|host=forum.example|html=i &lt;3 it"},
        {"{id: /id, text: /t}", "{\"id\":1,\"t\":[1]}", "!schema: the text at /t is a list"},
        {"{id: /id, text: /t}", "{\"id\":1,\"t\":42}", "id=1|host=forum.example|text=42"},
        {"{id: /id, text: {from: /tags/*, as: join, join: \" + \"}}",
         "{\"id\":1,\"tags\":[\"a\",\"b\",3]}", "id=1|host=forum.example|text=a + b + 3"},
        {"{id: /id, text: {from: /tags, as: join}}", "{\"id\":1,\"tags\":[\"a\",{},\"b\"]}",
         "id=1|host=forum.example|text=a, b"},
        /* times */
        {"{id: /id, created_at: /c, edited_at: {from: /e, as: unix, unless: false}}",
         "{\"id\":1,\"c\":\"2020-01-01T12:00:00+0000\",\"e\":false}",
         "id=1|host=forum.example|created=2020-01-01T12:00:00Z"},
        {"{id: /id, created_at: {from: /c, as: unix}, edited_at: {from: /e, as: unix_ms}}",
         "{\"id\":1,\"c\":1600000000.25,\"e\":\"1600000000250\"}",
         "id=1|host=forum.example|created=2020-09-13T12:26:40.250000Z|edited=2020-09-13T12:26:40."
         "250000Z"},
        {"{id: /id, created_at: {from: /c, zone: Europe/Berlin}, edited_at: /c}",
         "{\"id\":1,\"c\":\"2026-07-01 12:00:00\"}",
         "id=1|host=forum.example|created=2026-07-01T10:00:00Z|edited=2026-07-01T12:00:00Z"},
        {"{id: /id, created_at: /c}", "{\"id\":1,\"c\":\"soon\"}", "id=1|host=forum.example"},
        {"{id: /id, created_at: {from: /c, as: unix}}", "{\"id\":1,\"c\":1e300}",
         "id=1|host=forum.example"},
        /* people, places, numbers */
        {"{id: /id, author: {id: /u/id, name: {from: /u/n, as: html}}, lang: /l, thread: parent/id,"
         " parent: {from: /p, unless: 0}, channel: {from: /k, match: \"^(ideas|support)$\"}}",
         "{\"id\":1,\"u\":{\"id\":5,\"n\":\"A &amp; B\"},\"l\":\"en\",\"p\":0,\"k\":\"other\"}",
         "id=1|host=forum.example|author=5|name=A & B|lang=en|thread=above"},
        {"{id: /id, rating: {from: /s, as: number, out_of: 5}, engagement: {likes: /l, replies: /r,"
         " shares: /x, views: {from: /v, default: 0}}}",
         "{\"id\":1,\"s\":4,\"l\":-3,\"r\":\"12\",\"x\":{}}",
         "id=1|host=forum.example|rating=0.80|replies=12|views=0"},
        {"{id: /id, rating: {from: /up, as: boolean}}", "{\"id\":1,\"up\":true}",
         "id=1|host=forum.example|rating=1.00"},
        {"{id: /id, rating: {from: /s, out_of: 5}}", "{\"id\":1,\"s\":9}",
         "id=1|host=forum.example|rating=1.00"},
        /* beside, extra */
        {"{id: /id, author: {name: {from: /users, on: /id, with: /by, take: /n}}}",
         "{\"id\":1,\"by\":\"9\",\"users\":[{\"id\":8,\"n\":\"no\"},{\"id\":9,\"n\":\"yes\"}]}",
         "id=1|host=forum.example|name=yes"},
        {"{id: /id, author: {name: [{from: /users, on: /id, with: /by, take: /n}, /by]}}",
         "{\"id\":1,\"by\":\"7\",\"users\":[]}", "id=1|host=forum.example|name=7"},
        {"{id: /id, x_stars: /s, x_o: /o, x_none: /n, x_b: \"{board}!\"}",
         "{\"id\":1,\"s\":4.50,\"o\":{\"a\":[1]}}",
         "id=1|host=forum.example|extra=\"x_stars\":4.50,\"x_o\":{\"a\":[1]},\"x_b\":\"a b/c!\""},
        {"{id: {from: /link, match: \"/(\\\\d+)/\"}}", "{\"link\":\"/t/123/x\"}",
         "id=123|host=forum.example"},
    };
    struct bench *bench = *state;

    bench->environment.parent = read_json(bench, bench->parent_json, "{\"id\":\"above\"}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char yaml[1024];
        char said[2048] = "!";
        struct part part = {0};
        struct source_record record = {0};
        int result = 0;

        (void)snprintf(yaml, sizeof(yaml), "map: %s", cases[i].map);
        part_read(bench, &part, yaml);
        set_record(bench, cases[i].record);
        value_memory_empty(bench->memory);
        ear_error_clear(&bench->err);
        result = map_record(&record, &part.definition->lists[0].map, &bench->environment,
                            bench->environment.record, bench->memory, &bench->err);
        if (result == 0) {
            say_record(said, sizeof(said), &record);
        } else {
            assert_int_equal(bench->err.kind, EAR_REJECT);
            say_text(said, sizeof(said), "", NULL);
            (void)snprintf(said, sizeof(said), "!%s", bench->err.message);
        }
        if (strcmp(said, cases[i].said) != 0) {
            fail_msg("map %s of %s:\n%s, not\n%s", cases[i].map, cases[i].record, said,
                     cases[i].said);
        }
        part_clear(&part);
    }
}

/* 20,000 posts of 20,000 people: what asks each of all would take minutes. */
static void a_look_beside_is_the_same_by_its_index(void **state)
{
    enum { PEOPLE = 20000, OTHERS = 6, STRIDE = 997 };
    struct bench *bench = *state;
    struct part part = {0};
    struct source_record record = {0};
    struct joins *joins = joins_new();
    struct json *json = NULL;
    const struct json_node *root = NULL;
    char *text = malloc((size_t)PEOPLE * 40 + 400);
    size_t at = 0;

    assert_non_null(text);
    assert_non_null(joins);
    at = (size_t)snprintf(text, 100, "{\"first\":[{\"id\":3,\"n\":\"first\"}],\"users\":[");
    for (size_t i = 0; i < PEOPLE; i++) { /* the same id twice: the first is meant */
        at += (size_t)snprintf(text + at, 40, "{\"id\":%zu,\"n\":\"n%zu\"},", i / 2, i);
    }
    (void)snprintf(text + at, 200,
                   "{\"id\":null,\"n\":\"no\"},{\"n\":\"no\"},{\"id\":\"x\",\"n\":\"text\"}]}");
    assert_int_equal(json_new(&json, &bench->err), 0);
    root = read_json(bench, json, text);
    part_read(bench, &part,
              "map: {id: /id, author: {name: [{from: [/first/*, /users], on: /id, with: /by, take: "
              "/n}, /by]}}");
    for (size_t i = 0; i < PEOPLE + OTHERS; i++) {
        static const char *const others[OTHERS] = {"\"x\"", "\"y\"", "null", "\"\"", "3", "true"};
        static const char *const names[OTHERS] = {"text", "y", NULL, NULL, "first", "true"};
        char post[100];
        char name[40];
        const char *wanted = name;

        (void)snprintf(post, sizeof(post), "{\"id\":1,\"by\":%zu}", i / 2);
        (void)snprintf(name, sizeof(name), "n%zu", i - i % 2);
        if (i / 2 == 3) {
            wanted = "first";
        }
        if (i >= PEOPLE) {
            (void)snprintf(post, sizeof(post), "{\"id\":1,\"by\":%s}", others[i - PEOPLE]);
            wanted = names[i - PEOPLE];
        }
        set_record(bench, post);
        for (int way = 0; way < (i % STRIDE == 0 || i >= PEOPLE ? 2 : 1); way++) {
            bench->environment.joins = way == 0 ? joins : NULL;
            value_memory_empty(bench->memory);
            assert_int_equal(map_record(&record, &part.definition->lists[0].map,
                                        &bench->environment, root, bench->memory, &bench->err),
                             0);
            if (wanted == NULL) {
                assert_null(record.author_name);
            } else {
                assert_non_null(record.author_name);
                assert_string_equal(record.author_name, wanted);
            }
        }
    }
    bench->environment.joins = NULL;
    joins_free(joins);
    json_free(json);
    part_clear(&part);
    free(text);
}

static void a_record_of_megabytes_is_refused_not_held(void **state)
{
    struct bench *bench = *state;
    struct part part = {0};
    struct source_record record = {0};
    const size_t size = 6000000;
    char *text = malloc(size + 100);
    size_t at = 0;

    assert_non_null(text);
    at = (size_t)snprintf(text, 100, "{\"id\":1,\"t\":\"<&>\",\"l\":[\"");
    memset(text + at, 'x', size);
    (void)snprintf(text + at + size, 100 - at, "\"]}");
    part_read(bench, &part, "map: {id: /id, text: {from: /l, as: join}}");
    set_record(bench, text);
    assert_int_equal(map_record(&record, &part.definition->lists[0].map, &bench->environment,
                                bench->environment.record, bench->memory, &bench->err),
                     -1);
    assert_int_equal(bench->err.kind, EAR_REJECT);
    part_clear(&part);
    free(text);
}

static void a_cursor_s_value_is_exact(void **state)
{
    static const struct {
        const char *cursor, *record;
        bool there;
        int64_t number;
        const char *text;
    } cases[] = {
        {"{by: /id, as: int}", "{\"id\":9007199254740993}", true, 9007199254740993, NULL},
        {"{by: /id, as: int}", "{\"id\":\"12\"}", true, 12, NULL},
        {"{by: /id, as: int}", "{\"id\":1.5e3}", true, 1500, NULL},
        {"{by: /id, as: int}", "{\"id\":\"99999999999999999999\"}", false, 0, NULL},
        {"{by: /id, as: int}", "{\"id\":\"x\"}", false, 0, NULL},
        {"{by: /id, as: int}", "{}", false, 0, NULL},
        {"{by: /t, as: unix}", "{\"t\":1600000000.5}", true, 1600000000500000, NULL},
        {"{by: /t, as: time}", "{\"t\":\"2020-09-13T12:26:40.5\"}", true, 1600000000500000, NULL},
        {"{by: /t, as: time}", "{\"t\":\"x\"}", false, 0, NULL},
        {"{by: /t, as: text}", "{\"t\":\"01ABC\"}", true, 0, "01ABC"},
        {"{by: /t, as: text}", "{\"t\":[]}", false, 0, NULL},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char yaml[256];
        struct part part = {0};
        int64_t number = 0;
        const char *text = NULL;

        (void)snprintf(yaml, sizeof(yaml), "map: {id: /id}\ncursor: %s", cases[i].cursor);
        part_read(bench, &part, yaml);
        set_record(bench, cases[i].record);
        assert_int_equal(cursor_value(&part.definition->lists[0].cursor, bench->environment.record,
                                      &number, &text),
                         cases[i].there);
        if (cases[i].text != NULL) {
            assert_string_equal(text, cases[i].text);
        } else if (cases[i].there) {
            assert_int_equal(number, cases[i].number);
        }
        part_clear(&part);
    }
}

/* --- conditions --- */

static void a_condition_holds_when_all_of_it_does(void **state)
{
    static const struct {
        const char *condition, *record;
        bool holds;
    } cases[] = {
        {"{path: /a, is: 3}", "{\"a\":3}", true},
        {"{path: /a, is: 3}", "{\"a\":3.0}", true},
        {"{path: /a, is: 3}", "{\"a\":\"3\"}", true},
        {"{path: /a, is: 3.0}", "{\"a\":\"3\"}", false},
        {"{path: /a, is: 3}", "{\"a\":4}", false},
        {"{path: /a, is: false}", "{\"a\":false}", true},
        {"{path: /a, is: false}", "{\"a\":null}", false},
        {"{path: /a, is: false}", "{}", false},
        {"{path: /a, is: \"[deleted]\"}", "{\"a\":\"[deleted]\"}", true},
        {"{path: /a, in: [2, 3, x]}", "{\"a\":3}", true},
        {"{path: /a, in: [2, 3, x]}", "{\"a\":\"x\"}", true},
        {"{path: /a, in: [2, 3, x]}", "{\"a\":5}", false},
        {"{path: /a, over: 5}", "{\"a\":6}", true},
        {"{path: /a, over: 5}", "{\"a\":5}", false},
        {"{path: /a, over: 5, under: 10}", "{\"a\":\"7\"}", true},
        {"{path: /a, over: 5, under: 10}", "{\"a\":10}", false},
        {"{path: /a, over: -1}", "{\"a\":\"x\"}", false},
        {"{path: /a, present: true}", "{\"a\":{}}", true},
        {"{path: /a, present: true}", "{\"a\":null}", false},
        {"{path: /a, present: false}", "{\"a\":null}", true},
        {"{path: /a, present: false}", "{\"b\":1}", true},
        {"{path: /a, present: false}", "{\"a\":0}", false},
        {"{path: /a, matches: \"(?i)^welcome\"}", "{\"a\":\"WELCOME here\"}", true},
        {"{path: /a, matches: \"^b\"}", "{\"a\":\"ab\"}", false},
        {"{path: /a, matches: \".\"}", "{}", false},
        {"{path: /a, is: 3, not: true}", "{\"a\":4}", true},
        {"{path: /a, is: 3, not: true}", "{}", true},
        {"{path: \"/e/*/type\", is: GONE}", "{\"e\":[{\"type\":\"x\"},{\"type\":\"GONE\"}]}", true},
        {"{path: \"/e/*/type\", is: GONE}", "{\"e\":[{\"type\":\"x\"}]}", false},
        {"{path: \"/e/*\", present: true}", "{\"e\":[null]}", false},
        {"[{path: /a, is: 1}, {path: /b, is: 1}]", "{\"b\":1}", true},
        {"[{path: /a, is: 1}, {path: /b, is: 1}]", "{\"b\":2}", false},
        {"[]", "{}", false},
        {"{path: first/v, matches: \"^2\"}", "{}", true},
        {"{path: \"\", is: 5}", "5", true},
        {"{path: \"\", present: false}", "null", true},
    };
    struct bench *bench = *state;

    bench->environment.first = read_json(bench, bench->first_json, "{\"v\":\"2.1\"}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char yaml[256];
        struct part part = {0};

        (void)snprintf(yaml, sizeof(yaml), "map: {id: /id}\nskip: %s", cases[i].condition);
        part_read(bench, &part, yaml);
        set_record(bench, cases[i].record);
        if (conditions_any(&part.definition->lists[0].skip, &bench->environment) !=
            cases[i].holds) {
            fail_msg("%s of %s", cases[i].condition, cases[i].record);
        }
        part_clear(&part);
    }
}

static void a_header_is_looked_at_by_any_case_of_its_name(void **state)
{
    static const struct fetch_header headers[] = {{"x-ratelimit-remaining", "0"}};
    const struct fetch_answer answer = {.status = 403, .headers = headers, .header_count = 1};
    struct bench *bench = *state;
    struct part part = {0};

    part_read(bench, &part,
              "map: {id: /id}\nerrors:\n"
              "  - {status: 403, header: X-RateLimit-Remaining, is: 0, do: wait}\n"
              "  - {status: 403, header: Retry-After, present: true, do: wait}\n");
    bench->environment.answer = &answer;
    assert_int_equal(part.definition->error_count, 2);
    assert_true(conditions_all(&part.definition->errors[0].when, &bench->environment));
    assert_false(conditions_all(&part.definition->errors[1].when, &bench->environment));
    part_clear(&part);
}

static void changed_is_judged_by_what_is_remembered(void **state)
{
    struct bench *bench = *state;
    struct part part = {0};
    const struct condition *condition = NULL;
    char value[CONDITION_VALUE_SIZE];

    part_read(bench, &part,
              "map: {id: /id}\nchildren: [{each: \"/x/*\", when: {path: /n, over: 5, changed: "
              "true}, request: \"{base}/y\"}]");
    condition = &part.definition->lists[0].children[0].when.items[0];
    set_record(bench, "{\"n\":7}");
    assert_string_equal(condition_value(condition, &bench->environment, value), "7");
    assert_true(condition_holds(condition, &bench->environment, NULL));
    assert_true(condition_holds(condition, &bench->environment, "6"));
    assert_false(condition_holds(condition, &bench->environment, "7"));
    set_record(bench, "{\"n\":5}");
    assert_false(condition_holds(condition, &bench->environment, "7"));
    set_record(bench, "{\"n\":\"0123456789012345678901234567890123456789x\"}");
    assert_int_equal(strlen(condition_value(condition, &bench->environment, value)), 32);
    part_clear(&part);
}

/* A pattern that backtracks without end is cut off. */
static void a_pattern_cannot_be_made_to_run_for_ever(void **state)
{
    struct pattern *pattern = NULL;
    struct ear_error err = {EAR_NONE, ""};
    char text[60];
    size_t from = 0;
    size_t length = 0;

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(pattern_new(&pattern, "^(a+)+$", &err), 0);
    assert_true(pattern_find(pattern, text, strlen(text), &from, &length));
    text[sizeof(text) - 2] = 'b';
    assert_false(pattern_find(pattern, text, strlen(text), &from, &length));
    assert_false(pattern_find(pattern, "\xff", 1, &from, &length));
    pattern_free(pattern);
    assert_int_equal(pattern_new(&pattern, "(", &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "at its character 2"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pointer_names_what_it_says),
        TEST(the_first_that_is_not_null_is_taken),
        TEST(a_pointer_may_begin_above_or_at_first),
        TEST(a_pointer_that_is_none_is_a_finding),
        TEST(a_template_is_encoded_for_its_use),
        TEST(a_template_that_names_nothing_is_a_finding),
        TEST(a_value_beyond_reason_makes_no_request),
        TEST(a_host_is_of_a_url),
        TEST(a_body_is_a_tree_of_templates),
        TEST(a_record_is_mapped_as_its_map_says),
        TEST(a_look_beside_is_the_same_by_its_index),
        TEST(a_record_of_megabytes_is_refused_not_held),
        TEST(a_cursor_s_value_is_exact),
        TEST(a_condition_holds_when_all_of_it_does),
        TEST(a_header_is_looked_at_by_any_case_of_its_name),
        TEST(changed_is_judged_by_what_is_remembered),
        TEST(a_pattern_cannot_be_made_to_run_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
