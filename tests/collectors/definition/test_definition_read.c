/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a definition: what it holds afterwards, and what is said of mistakes. */
#include <dirent.h>
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

struct read {
    struct config *config;
    struct definition *definition;
    struct ear_error err;
};

static void read_root(struct read *read, const struct config_node *root)
{
    assert_non_null(root);
    assert_int_equal(definition_read(&read->definition, read->config, root, &read->err), 0);
}

static void read_text(struct read *read, const char *text)
{
    *read = (struct read){0};
    assert_int_equal(config_new(&read->config, &read->err), 0);
    read_root(read, config_read_text(read->config, "d.yaml", text, &read->err));
}

static void read_clear(struct read *read)
{
    definition_free(read->definition);
    config_free(read->config);
}

static void assert_good(const struct read *read)
{
    if (read->definition == NULL) {
        const struct config_finding *finding = config_finding_at(read->config, 0);

        fail_msg("%s:%d:%d %s: %s", finding->file, finding->line, finding->column, finding->key,
                 finding->text);
    }
}

/* Each mistake: its place, its key, what is said. */
static void a_mistake_is_told_at_its_place(void **state)
{
    static const char good[] = "platform: p\nchannel: forum\nparams: {base: {required: true}}\n"
                               "request: \"{base}/x\"\nrecords: /x/*\nmap: {id: /id}\n";
    static const struct {
        const char *more, *place, *text;
    } cases[] = {
        {"chanel: x", "7:1 chanel", "did you mean 'channel'?"},
        {"hook: claimed-tim", "7:7 hook", "did you mean 'claimed-time'?"},
        {"page: {kind: tokn}", "7:14 page.kind", "did you mean 'token'?"},
        {"page: {kind: token, into: x}", "7:7 page", "page lacks 'from'"},
        {"page: {kind: number}", "1:1 ", "page lacks 'into'"},
        {"page: {kind: none, max: -1}", "7:25 page.max", "out of range"},
        {"cursor: {as: int}", "7:9 cursor", "cursor lacks 'by'"},
        {"cursor: {by: /id, order: oldest}", "7:9 cursor", "add 'into'"},
        {"cursor: {by: /id, overlap: 5 parsecs}", "7:28 cursor.overlap", "neither a number"},
        {"cursor: {by: id}", "7:14 cursor.by", "does not begin with /"},
        {"revisit: [{window: 2d}]", "7:11 revisit[0]", "lacks 'every'"},
        {"skip: {path: /a}", "7:14 skip.path", "but for what?"},
        {"skip: {is: 3}", "7:7 skip", "lacks 'path'"},
        {"skip: {path: /a, in: 3}", "7:22 skip.in", "takes a list"},
        {"skip: {path: /a, is: [3]}", "7:22 skip.is", "takes a single value"},
        {"skip: {path: /a, matches: \"(\"}", "7:28 skip.matches", "is no pattern"},
        {"skip: {pth: /a, is: 1}", "7:8 skip.pth", "did you mean 'path'?"},
        {"auth: {kind: header, value: x}", "7:7 auth", "auth lacks 'name'"},
        {"auth: {kind: oauth2, id: a, secret: b}", "7:7 auth", "auth lacks 'token_url'"},
        {"auth: {kind: bearer, value: \"{tken}\"}", "7:30 auth.value", "names nothing"},
        {"auth: {kind: bearer, value: x, if: bse}", "7:36 auth.if", "did you mean 'base'?"},
        {"login: {token: /t}", "7:8 login", "login lacks 'request'"},
        {"auth: {kind: bearer, value: x}\nlogin: {token: /t, request: \"{base}/l\"}", "8:8 login",
         "there is 'auth' as well"},
        {"errors: [{status: 40, do: stop}]", "7:19 errors[0].status", "no status code"},
        {"errors: [{status: 404}]", "7:10 errors[0]", "lacks 'do'"},
        {"errors: [{status: 404, do: stop, for: 1m}]", "7:10 errors[0]", "write do: wait"},
        {"errors: [{status: 404, do: wait, until: midnight}]", "7:41 errors[0].until",
         "no time of the day"},
        {"errors: {status: 404, do: stop}", "7:9 errors", "takes a list of rules"},
        {"limit: {per: 1m}", "7:8 limit", "limits nothing"},
        {"limit: {requests: 5, per: 1d, zone: Mars}", "7:37 limit.zone", "Mars"},
        {"children: [{each: \"/x/*\"}]", "7:12 children[0]", "children lacks 'request'"},
        {"children: [{each: \"/x/*\", request: {query: {a: 1}}}]", "7:36 children[0].request",
         "request lacks 'url'"},
        {"children: [{each: \"/x/*\", request: {url: \"{base}/posts/{id}\"}}]",
         "7:43 children[0].request.url", "nothing is known for {id} here"},
        {"children: [{each: \"/x/*\", request: {url: \"{base}/posts/{record/id}\"}}]",
         "7:43 children[0].request.url", "{record/id} is no place of a template; write {/id}"},
        {"gone: {most: 3}", "7:7 gone", "gone lacks 'request'"},
        {"gone: {request: \"{base}/{ids\"}", "7:18 gone.request", "never closed"},
        {"walk: {at: /x}", "7:7 walk", "walk lacks 'last'"},
        {"lists: [~]", "7:9 lists[0]", "a list is empty"},
        {"limit: [~]", "7:9 limit[0]", "limit is empty"},
        {"skip: [~]", "7:8 skip[0]", "a condition is empty"},
        {"errors: [~]", "7:10 errors[0]", "an error's rule is empty"},
        {"revisit: [~]", "7:11 revisit[0]", "revisit is empty"},
        {"children: [~]", "7:12 children[0]", "children is empty"},
        {"lists: []", "7:8 lists", "one to twenty lists"},
        {"lists: [{records: /y/*}]", "7:9 lists[0]", "lacks 'name'"},
        {"lists: [{name: a}, {name: a}]", "7:20 lists[1]", "two lists are called 'a'"},
        {"headers: {\"X Y\": 1}", "7:18 headers.X Y", "no name of a header"},
        {"first: {url: \"{base}/a\", form: {a: 1}, json: {a: 1}}", "7:46 first.json",
         "a form or JSON, not both"},
        {"first: {url: \"{base}/a\", if: bse}", "7:30 first.if", "did you mean 'base'?"},
        {"gone: {request: {url: \"{base}/a\", if: base}}", "7:39 gone.request.if",
         "beside the request"},
        {"cursor: {by: [/a, b]}", "7:19 cursor.by[1]", "does not begin with /"},
        {"gone: {request: \"{base}/a\", key: a}", "7:34 gone.key", "does not begin with /"},
    };

    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        char place[256] = "";
        struct read read;
        const struct config_finding *finding = NULL;

        (void)snprintf(text, sizeof(text), "%s%s\n", good, cases[i].more);
        read_text(&read, text);
        finding = config_finding_at(read.config, 0);
        if (read.definition != NULL || finding == NULL) {
            print_error("%s: no finding\n", cases[i].more);
            wrong++;
            read_clear(&read);
            continue;
        }
        (void)snprintf(place, sizeof(place), "%d:%d %s", finding->line, finding->column,
                       finding->key);
        if (strcmp(place, cases[i].place) != 0 || strstr(finding->text, cases[i].text) == NULL) {
            print_error("%s:\n%s %s, not\n%s …%s…\n", cases[i].more, place, finding->text,
                        cases[i].place, cases[i].text);
            wrong++;
        }
        read_clear(&read);
    }
    assert_int_equal(wrong, 0);
}

static void a_revisit_that_can_do_nothing_is_told(void **state)
{
    static const struct {
        const char *cursor;
        bool told;
    } cases[] = {
        {"{by: /id, as: int, order: oldest, into: after}", true},
        {"{by: /id, as: text, order: oldest, into: after}", true},
        {"{by: /id, as: int, order: newest}", false},
        {"{by: /at, as: time, order: oldest, into: since}", false},
        {"{by: link, order: oldest}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        struct read read;
        const struct config_finding *finding = NULL;

        (void)snprintf(text, sizeof(text),
                       "platform: p\nchannel: forum\nparams: {base: {required: true}}\n"
                       "request: \"{base}/x\"\nrecords: /x/*\n"
                       "map: {id: /id, text: /text, created_at: /at}\n"
                       "revisit: {window: 2d, every: 1h}\ncursor: %s\n",
                       cases[i].cursor);
        read_text(&read, text);
        assert_good(&read);
        finding = config_finding_at(read.config, 0);
        assert_int_equal(finding != NULL && strstr(finding->text, "a revisit does nothing") != NULL,
                         cases[i].told);
        read_clear(&read);
    }
}

static void what_is_missing_is_named(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"platform: p", "lacks 'channel'"},
        {"platform: P!\nchannel: forum\nrequest: x\nrecords: /x\nmap: {id: /id, host: h}",
         "cannot be a platform"},
        {"platform: p\nchannel: fourm\n", "did you mean 'forum'?"},
        {"platform: p\nchannel: forum\nrecords: /x\nmap: {id: /id, host: h}", "lacks 'request'"},
        {"platform: p\nchannel: forum\nrequest: x\nmap: {id: /id, host: h}", "lacks 'records'"},
        {"platform: p\nchannel: forum\nrequest: x\nrecords: /x\nmap: {host: h}", "map lacks 'id'"},
        {"platform: p\nchannel: forum\nrequest: x\nrecords: /x\nmap: {id: /id}",
         "map lacks 'host'"},
        {"platform: p\nchannel: forum\nparams: {every: {}}\nrequest: x\nrecords: /x\n"
         "map: {id: /id, host: h}",
         "every source has the key 'every' already"},
        {"platform: p\nchannel: forum\nparams: {A-b: {}}\nrequest: x\nrecords: /x\n"
         "map: {id: /id, host: h}",
         "cannot be a parameter"},
        {"platform: p\nchannel: forum\nparams: {a: {required: true, default: x}}\nrequest: x\n"
         "records: /x\nmap: {id: /id, host: h}",
         "needs no default"},
        {"platform: p\nchannel: forum\nrequest: x\nrecords: /x\nmap: {id: /id, host: h, x-a: /b}",
         "unknown key in map"},
        {"platform: p\nchannel: forum\nrequest: x\nrecords: /x\n"
         "map: {id: /id, host: h, title: {frm: /a}}",
         "did you mean 'from'?"},
        {"platform: p\nchannel: forum\nrequest: x\nrecords: /x\n"
         "map: {id: /id, host: h, title: {from: /a, on: /id}}",
         "takes from, on, with and take"},
        {"platform: p\nchannel: forum\nrequest: x\nrecords: /x\n"
         "map: {id: /id, host: h, created_at: {from: /a, zone: Berlin}}",
         "Europe/Berlin"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct read read;
        bool said = false;

        read_text(&read, cases[i].text);
        assert_null(read.definition);
        for (size_t j = 0; j < config_finding_count(read.config); j++) {
            said = said || strstr(config_finding_at(read.config, j)->text, cases[i].said) != NULL;
        }
        if (!said) {
            fail_msg("%s: not said: %s, but %s", cases[i].text, cases[i].said,
                     config_finding_at(read.config, 0)->text);
        }
        read_clear(&read);
    }
}

static void all_mistakes_are_told_at_once(void **state)
{
    struct read read;

    (void)state;
    read_text(&read, "platform: p\nchannel: forum\nparams: {base: {}}\nrequest: \"{bse}/x\"\n"
                     "records: x\nmap: {id: id}\nskip: {path: /a}\nlimit: {per: 1m}\n");
    assert_null(read.definition);
    assert_true(config_finding_count(read.config) >= 4);
    read_clear(&read);
}

static const char *query_of(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, name) == 0) {
            return template_text(request->query[i].value);
        }
    }
    return "";
}

static void a_list_asks_what_all_ask_and_its_own(void **state)
{
    struct read read;
    const struct list *lists = NULL;

    (void)state;
    read_text(&read, "platform: p\nchannel: forum\nparams: {base: {}}\n"
                     "request: {query: {limit: 40, sort: new}, cost: 3}\n"
                     "records: /x/*\nmap: {id: /id}\n"
                     "lists:\n"
                     "  - {name: one, request: {url: \"{base}/one\", query: {sort: old, q: 1}}}\n"
                     "  - {name: two, request: {url: \"{base}/two\", query: {sort: ~}, cost: 1}}\n"
                     "  - {name: three, request: \"{base}/three\"}\n");
    assert_good(&read);
    lists = read.definition->lists;
    assert_string_equal(query_of(&lists[0].request, "limit"), "40");
    assert_string_equal(query_of(&lists[0].request, "sort"), "old");
    assert_string_equal(query_of(&lists[0].request, "q"), "1");
    assert_true(lists[0].request.cost == 3);
    assert_int_equal(lists[1].request.query_count, 1);
    assert_true(lists[1].request.cost == 1);
    assert_int_equal(lists[2].request.query_count, 0);
    read_clear(&read);
    read_text(&read, "platform: p\nchannel: forum\nparams: {base: {}}\n"
                     "request: {query: {limit: 40}}\nrecords: /x/*\nmap: {id: /id}\n"
                     "lists: [{name: one}]\n");
    assert_null(read.definition);
    assert_non_null(strstr(config_finding_at(read.config, 0)->text, "request lacks 'url'"));
    read_clear(&read);
}

static void a_text_stands_for_what_it_holds(void **state)
{
    static const char *const wrong[] = {
        "{a: \"{b}\", b: \"{a}\"}", "{a: [1]}", "{base: x}", "{cursor: x}", "{\"a b\": x}", "3",
    };
    struct environment environment = {.params = (const char *const[]){"http://x.example"}};
    struct ear_error err;
    struct read read;
    char *text = NULL;
    bool absent = false;

    (void)state;
    read_text(&read, "platform: p\nchannel: forum\nparams: {base: {}}\n"
                     "texts: {post: \"id,by{{name}}\", reply: \"{post},parent\"}\n"
                     "request: {url: \"{base}/x\", query: {f: \"{post},all{{{reply}}}\"}}\n"
                     "records: /x/*\nmap: {id: /id}\n");
    assert_good(&read);
    environment.definition = read.definition;
    text = template_expand(read.definition->lists[0].request.query[0].value, &environment,
                           TEMPLATE_PLAIN, &absent, &err);
    assert_non_null(text);
    assert_string_equal(text, "id,by{name},all{id,by{name},parent}");
    free(text);
    read_clear(&read);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char yaml[400];

        (void)snprintf(yaml, sizeof(yaml),
                       "platform: p\nchannel: forum\nparams: {base: {}}\ntexts: %s\n"
                       "request: \"{base}/{a}\"\nrecords: /x/*\nmap: {id: /id}\n",
                       wrong[i]);
        read_text(&read, yaml);
        assert_null(read.definition);
        read_clear(&read);
    }
}

static void lists_and_children_inherit(void **state)
{
    struct read read;
    const struct definition *d = NULL;
    const struct child *child = NULL;
    const struct child *grandchild = NULL;

    (void)state;
    read_text(&read,
              "platform: p\nchannel: forum\nparams: {base: {}, tag: {}}\n"
              "headers: {User-Agent: me, Accept: a}\n"
              "request: {url: \"{base}/x\", headers: {accept: b}}\n"
              "records: [/x/*, /y/*]\npage: {kind: token, from: /n, into: page}\n"
              "revisit: {window: 2d, every: 1h}\n"
              "map: {id: /id, title: /t, text: /b, x_a: /a, x_b: /b, author: {id: /u, name: /n}}\n"
              "skip: {path: /s, is: 1}\n"
              "lists:\n"
              "  - name: one\n"
              "    if: tag\n"
              "  - name: two\n"
              "    request: \"{base}/y\"\n"
              "    records: /z/*\n"
              "    map: {title: ~, text: /c, x_b: ~, x_c: /c, author: {name: ~}}\n"
              "    skip: []\n"
              "    children:\n"
              "      - each: /z/*\n"
              "        request: \"{base}/z/{/id}\"\n"
              "        page: {kind: none}\n"
              "        map: {parent: parent/id}\n"
              "        children: {each: /z/*, request: \"{base}/zz\", records: /zz/*}\n");
    assert_good(&read);
    d = read.definition;
    assert_int_equal(d->list_count, 2);
    assert_string_equal(d->lists[0].name, "one");
    assert_int_equal(d->lists[0].needs, 1);
    assert_int_equal(d->lists[1].needs, -1);
    assert_int_equal(d->lists[0].record_count, 2);
    assert_int_equal(d->lists[0].request.header_count, 2); /* its own Accept, the shared agent */
    assert_string_equal(d->lists[0].request.headers[1].name, "accept");
    assert_int_equal(d->lists[1].request.header_count, 2);
    assert_string_equal(d->lists[1].request.headers[1].name, "Accept");
    assert_string_equal(d->lists[1].records[0].text, "/z/*");
    assert_int_equal(d->lists[1].page.kind, PAGE_TOKEN);
    assert_int_equal(d->lists[1].revisit_count, 1);
    assert_int_equal(d->lists[0].skip.count, 1);
    assert_int_equal(d->lists[1].skip.count, 0);
    assert_non_null(d->lists[0].map.fields[FIELD_TITLE]);
    assert_null(d->lists[1].map.fields[FIELD_TITLE]);
    assert_null(d->lists[1].map.fields[FIELD_AUTHOR_NAME]);
    assert_ptr_equal(d->lists[1].map.fields[FIELD_AUTHOR_ID],
                     d->lists[0].map.fields[FIELD_AUTHOR_ID]);
    assert_string_equal(d->lists[1].map.fields[FIELD_TEXT]->from[0].text, "/c");
    assert_int_equal(d->lists[0].map.extra_count, 2);
    assert_int_equal(d->lists[1].map.extra_count, 2);
    assert_string_equal(d->lists[1].map.extra[1].name, "x_c");
    child = &d->lists[1].children[0];
    assert_int_equal(child->page.kind, PAGE_NONE);
    assert_string_equal(child->records[0].text, "/z/*");
    assert_string_equal(child->id.text, "/id");
    assert_true(child->map.fields[FIELD_PARENT]->from[0].of_parent);
    assert_null(child->map.fields[FIELD_TITLE]);
    grandchild = &child->children[0];
    assert_string_equal(grandchild->records[0].text, "/zz/*");
    assert_non_null(grandchild->map.fields[FIELD_PARENT]);
    assert_int_equal(grandchild->page.kind, PAGE_NONE);
    read_clear(&read);
}

static void the_parameters_are_the_reader_s_options(void **state)
{
    struct read read;
    const struct source_reader *reader = NULL;

    (void)state;
    read_text(&read, "platform: p\nchannel: video\nabout: it\n"
                     "params: {base: {required: true, help: where}, key: {secret: true}, n: "
                     "{default: 5}, bare: ~}\n"
                     "request: \"{base}/x\"\nrecords: /x/*\nmap: {id: /id}\n");
    assert_good(&read);
    reader = &read.definition->reader;
    assert_string_equal(reader->name, "p");
    assert_string_equal(reader->channel, "video");
    assert_int_equal(reader->config_size, 4 * sizeof(char *));
    assert_string_equal(reader->options[0].name, "base");
    assert_string_equal(reader->options[0].fallback, "!");
    assert_null(reader->options[1].fallback);
    assert_string_equal(reader->options[2].fallback, "5");
    assert_string_equal(reader->options[3].name, "bare");
    assert_null(reader->options[4].name);
    assert_true(read.definition->params[1].secret);
    assert_int_equal(read.definition->base, 0);
    assert_ptr_equal(reader->self, read.definition);
    read_clear(&read);
}

static void numbers_are_read_in_their_units(void **state)
{
    struct read read;
    const struct definition *d = NULL;

    (void)state;
    read_text(
        &read,
        "platform: p\nchannel: forum\nparams: {base: {}, u: {}}\nrequest: {url: \"{base}/x\", "
        "cost: 100, json: {a: 1}, accept: ndjson}\nrecords: /x/*\nmap: {id: /id}\n"
        "page: {kind: offset, into: start, size: 50, max: 10, end: {path: /more, is: false}}\n"
        "cursor: {by: /t, as: unix, order: oldest, into: since, send: \"{cursor|unix}\", "
        "start: \"{since|unix}\", overlap: 5m}\n"
        "limit: [{requests: 10000, per: 1d, zone: America/Los_Angeles, remaining: "
        "X-Left, reset: /q/reset, reset_as: rfc3339, backoff: /backoff}]\n"
        "errors: [{status: [403, 429], path: /e, is: quota, do: wait, until: \"00:30\"}, "
        "{do: wait, for: 90s}, {status: 200, path: /e, present: true, do: wait, "
        "wait_from: /s}]\n"
        "gone: {request: \"{base}/{post/id}\", status: 404, most: 5}\n"
        "login: {if: u, request: {url: \"{base}/l\", json: {u: \"{u}\"}}, token: /t, "
        "expired: {status: 400, path: /error, is: Expired}}\n");
    assert_good(&read);
    d = read.definition;
    assert_string_equal(d->lists[0].request.method, "POST");
    assert_int_equal(d->lists[0].request.accept, ACCEPT_NDJSON);
    assert_true(d->lists[0].request.cost > 99.9);
    assert_int_equal(d->lists[0].page.kind, PAGE_OFFSET);
    assert_int_equal(d->lists[0].page.size, 50);
    assert_int_equal(d->lists[0].page.max, 10);
    assert_int_equal(d->lists[0].page.last.count, 1);
    assert_true(d->lists[0].cursor.given);
    assert_int_equal(d->lists[0].cursor.as, AS_UNIX);
    assert_int_equal(d->lists[0].cursor.order, ORDER_OLDEST);
    assert_int_equal(d->lists[0].cursor.overlap_us, INT64_C(300000000));
    assert_int_equal(d->limits[0].per_us, INT64_C(86400000000));
    assert_string_equal(d->limits[0].remaining, "x-left");
    assert_string_equal(d->limits[0].reset, "/q/reset");
    assert_int_equal(d->limits[0].reset_as, RESET_RFC3339);
    assert_int_equal(d->errors[0].status_count, 2);
    assert_int_equal(d->errors[0].until_us, INT64_C(1800000000));
    assert_int_equal(d->errors[1].wait_us, INT64_C(90000000));
    assert_int_equal(d->errors[1].until_us, -1);
    assert_int_equal(d->errors[1].status_count, 0);
    assert_int_equal(d->errors[1].what, DO_WAIT);
    assert_string_equal(d->errors[2].wait_from.text, "/s");
    assert_int_equal(d->lists[0].gone.status_count, 1);
    assert_int_equal(d->lists[0].gone.most, 5);
    assert_int_equal(d->auth.kind, AUTH_LOGIN);
    assert_int_equal(d->auth.needs, 1);
    assert_int_equal(d->auth.expired_status, 400);
    assert_int_equal(d->auth.expired.count, 1);
    assert_string_equal(d->auth.login.method, "POST");
    assert_null(d->auth.relogin.url);
    read_clear(&read);
}

/* The reference page of all keys is one that is read. */
static void the_example_of_every_key_is_a_definition(void **state)
{
    struct read read = {0};

    (void)state;
    assert_int_equal(config_new(&read.config, &read.err), 0);
    read_root(&read,
              config_read_file(read.config, SOURCE_DIR "/common/earshot/examples/definition.yaml",
                               &read.err));
    assert_good(&read);
    assert_string_equal(read.definition->platform, "myforum");
    read_clear(&read);
}

static void every_definition_that_is_shipped_is_read(void **state)
{
    const char *const folder = SOURCE_DIR "/collectors/definitions";
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    size_t count = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        char path[1024];
        struct read read = {0};

        if (dot == NULL || strcmp(dot, ".yaml") != 0) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        assert_int_equal(config_new(&read.config, &read.err), 0);
        read_root(&read, config_read_file(read.config, path, &read.err));
        assert_good(&read);
        assert_int_equal(strlen(read.definition->platform), (size_t)(dot - entry->d_name));
        assert_memory_equal(read.definition->platform, entry->d_name,
                            (size_t)(dot - entry->d_name));
        read_clear(&read);
        count++;
    }
    closedir(dir);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_is_told_at_its_place),
        cmocka_unit_test(a_revisit_that_can_do_nothing_is_told),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(a_list_asks_what_all_ask_and_its_own),
        cmocka_unit_test(a_text_stands_for_what_it_holds),
        cmocka_unit_test(lists_and_children_inherit),
        cmocka_unit_test(the_parameters_are_the_reader_s_options),
        cmocka_unit_test(numbers_are_read_in_their_units),
        cmocka_unit_test(the_example_of_every_key_is_a_definition),
        cmocka_unit_test(every_definition_that_is_shipped_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
