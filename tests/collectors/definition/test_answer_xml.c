/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/definition/answer_xml.h"
#include "common/json/json.h"
#include "tests/collectors/definition/paper.h"

static void xml_becomes_the_same_tree_as_json(void **state)
{
    static const struct {
        const char *xml, *json;
    } rows[] = {
        {"<a/>", "{\"a\":null}"},
        {"<?xml version='1.0'?>\n<a> \n</a>", "{\"a\":null}"},
        {"<a>x</a>", "{\"a\":\"x\"}"},
        {"<a>\n  x y\n</a>", "{\"a\":\"x y\"}"},
        {"<a b='1'/>", "{\"a\":{\"@b\":\"1\"}}"},
        {"<a b='1'>x</a>", "{\"a\":{\"@b\":\"1\",\"#text\":\"x\"}}"},
        {"<l><i>1</i></l>", "{\"l\":{\"i\":\"1\"}}"},
        {"<l><i>1</i><i>2</i><i/></l>", "{\"l\":{\"i\":[\"1\",\"2\",null]}}"},
        {"<l><i>1</i><n>9</n><i k='v'/></l>", "{\"l\":{\"i\":[\"1\",{\"@k\":\"v\"}],\"n\":\"9\"}}"},
        {"<l><z/><a><i>1</i><i>2</i></a><z/><b/></l>",
         "{\"l\":{\"z\":[null,null],\"a\":{\"i\":[\"1\",\"2\"]},\"b\":null}}"},
        {"<a><![CDATA[<b>\"x\" & y</b>]]> z</a>", "{\"a\":\"<b>\\\"x\\\" & y</b> z\"}"},
        {"<a>&lt;p&gt;A &amp; B&nbsp;&eacute;&lt;/p&gt;</a>",
         "{\"a\":\"<p>A & B\xC2\xA0\xC3\xA9</p>\"}"},
        {"<a>x <b>y</b> z</a>", "{\"a\":{\"b\":\"y\",\"#text\":\"x  z\"}}"},
        {"<!-- c --><a><!-- d -->x<!-- e -->y</a>", "{\"a\":\"xy\"}"},
        {"<f xmlns='u:1' xmlns:m='u:2'><m:t m:k='1'>x</m:t><t>y</t></f>",
         "{\"f\":{\"m:t\":{\"@m:k\":\"1\",\"#text\":\"x\"},\"t\":\"y\"}}"},
        {"<a><q:b xml:lang='de'>x</q:b></a>",
         "{\"a\":{\"q:b\":{\"@xml:lang\":\"de\",\"#text\":\"x\"}}}"},
        {"<?xml version='1.0' encoding='iso-8859-1'?><a>\xE9</a>", "{\"a\":\"\xC3\xA9\"}"},
        {"\xEF\xBB\xBF<a>\xC3\xA9</a>", "{\"a\":\"\xC3\xA9\"}"},
    };
    struct ear_error err = {EAR_NONE, ""};
    char *out = NULL;
    size_t length = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (answer_xml_read(&out, &length, rows[i].xml, strlen(rows[i].xml), NULL, &err) != 0) {
            fail_msg("%s: %s", rows[i].xml, err.message);
        }
        assert_string_equal(out, rows[i].json);
        assert_int_equal(length, strlen(out));
        free(out);
    }
    assert_int_equal(
        answer_xml_read(&out, &length, "<a>\xE4</a>", 8, "text/xml; charset=iso-8859-2", &err), 0);
    assert_string_equal(out, "{\"a\":\"\xC3\xA4\"}");
    free(out);
}

static char *repeat(const char *head, const char *each, size_t count, const char *tail)
{
    const size_t size = strlen(each);
    char *text = malloc(strlen(head) + count * size + strlen(tail) + 1);
    char *to = text;

    assert_non_null(text);
    to = stpcpy(to, head);
    for (size_t i = 0; i < count; i++, to += size) {
        memcpy(to, each, size + 1);
    }
    memcpy(to, tail, strlen(tail) + 1);
    return text;
}

static void hostile_xml_is_refused_with_a_code(void **state)
{
    static const struct {
        const char *head, *each;
        size_t count;
        const char *tail, *code;
    } rows[] = {
        {"", "", 0, "", "bad_xml: "},
        {"{\"a\":1}", "", 0, "", "bad_xml: "},
        {"<a><b>x</b>", "", 0, "", "bad_xml: "},
        {"<a><b>x</a>", "", 0, "", "bad_xml: "},
        {"<a>x</a><b/>", "", 0, "", "bad_xml: "},
        {"<a b='1' b='2'/>", "", 0, "", "bad_xml: "},
        {"<!DOCTYPE html><html><body><p>Down<br>for</p></body></html>", "", 0, "", "bad_xml: "},
        {"<!DOCTYPE a [<!ENTITY e 'eeee'><!ENTITY f '&e;&e;&e;'>]><a>&f;</a>", "", 0, "",
         "xml_dtd_refused: "},
        {"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", "", 0, "",
         "xml_dtd_refused: "},
        {"<a>&unheard;</a>", "", 0, "", "xml_dtd_refused: "},
        {"", "<a>", ANSWER_XML_DEPTH_MAX + 1, "", "too_deep: "},
        {"", "<a>", 100000, "", "too_deep: "},
        {"<a ", "b='' ", 300, "/>", "too_many: "},
        {"<a>", "<b/>x", 200000, "</a>", "too_many: "},
        {"<a>", "0123456789abcdef", (size_t)1024 * 1024, "</a>", "too_big: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ear_error err = {EAR_NONE, ""};
        char *xml = repeat(rows[i].head, rows[i].each, rows[i].count, rows[i].tail);
        char *out = NULL;
        size_t length = 0;

        assert_int_equal(answer_xml_read(&out, &length, xml, strlen(xml), NULL, &err), -1);
        assert_null(out);
        assert_int_equal(err.kind, EAR_REJECT);
        if (strncmp(err.message, rows[i].code, strlen(rows[i].code)) != 0) {
            fail_msg("row %zu: %s", i, err.message);
        }
        free(xml);
    }
}

static void the_deepest_and_the_longest_that_are_read_fit_json(void **state)
{
    char *head = repeat("", "<l><a>", ANSWER_XML_DEPTH_MAX / 2, "x");
    char *tail = repeat("", "</a><a/></l>", ANSWER_XML_DEPTH_MAX / 2, "");
    char *deep = repeat(head, "", 0, tail);
    char *many = repeat("<l>", "<i>x</i>", JSON_MEMBERS_MAX - 10, "</l>");
    const char *const texts[] = {deep, many};
    struct ear_error err = {EAR_NONE, ""};
    struct json *json = NULL;

    (void)state;
    assert_int_equal(json_new(&json, &err), 0);
    for (size_t i = 0; i < 2; i++) {
        char *out = NULL;
        size_t length = 0;

        assert_int_equal(
            answer_xml_read(&out, &length, texts[i], strlen(texts[i]), "text/xml", &err), 0);
        if (json_read(json, out, length, &json_limits_default, &err) == NULL) {
            fail_msg("%s", err.message);
        }
        free(out);
    }
    json_free(json);
    free(head);
    free(tail);
    free(deep);
    free(many);
}

/* --- polls --- */

#define SHOP                                                                                       \
    "earshot: 1\nplatform: shop\nchannel: review\nparams: {base: {required: true, help: x}}\n"     \
    "first: {url: '{base}/about', accept: xml}\n"                                                  \
    "request: {url: '{base}/reviews', accept: xml}\n"                                              \
    "records: /rev:reviews/review/*\npage: {kind: number, into: page}\n"                           \
    "cursor: {by: /@at, as: unix, order: newest}\n"                                                \
    "errors: [{status: 503, path: /error/@code, is: busy, do: wait, for: 2m, say: '{/error/why}'}" \
    "]\n"                                                                                          \
    "map:\n  id: /@id\n  title: /title\n  text: {from: /body, as: html}\n"                         \
    "  created_at: {from: /@at, as: unix}\n  author: {name: [/by/#text, /by]}\n"                   \
    "  thread: '{/about/@ref}-{first/about/version}'\n"                                            \
    "  parent: {from: /tags/tag/*, as: join, join: '+'}\n"

struct shop {
    size_t count, page; /* reviews in all, and on a page */
    const char *instead;
    int status;
    int abouts;
};

static void serve(void *world, const struct fetch_request *request, struct reply *reply)
{
    struct shop *shop = world;
    const char *number = asked_for(request, "page");
    const size_t page = number == NULL ? 1 : (size_t)strtoul(number, NULL, 10);

    assert_non_null(strstr(asked_header(request, "Accept"), "application/xml"));
    if (asked_path(request, "/about")) {
        shop->abouts++;
        fputs("<about><version>7</version></about>", reply->out);
        return;
    }
    if (shop->instead != NULL) {
        reply->status = shop->status;
        fputs(shop->instead, reply->out);
        return;
    }
    fputs("<?xml version=\"1.0\"?>\n<rev:reviews xmlns:rev=\"u:r\">\n", reply->out);
    for (size_t i = (page - 1) * shop->page; i < page * shop->page && i < shop->count; i++) {
        fprintf(reply->out,
                "  <review id=\"r%zu\" at=\"%zu\">\n    <title>T &amp; %zu</title>\n"
                "    <body><![CDATA[<p>good <b>%zu</b></p>]]></body>\n"
                "    %s\n    <about ref=\"p%zu\"/>\n    <tags><tag>a</tag>%s</tags>\n"
                "  </review>\n",
                i, (size_t)1795347000 - i * 60, i, i,
                i % 2 == 0 ? "<by>Kim</by>" : "<by id='3'>Lee</by>", i,
                i % 2 == 0 ? "" : "<tag>b</tag>");
    }
    fputs("</rev:reviews>\n", reply->out);
}

static struct paper *new_shop(struct shop *shop)
{
    struct paper *paper = calloc(1, sizeof *paper);

    assert_non_null(paper);
    paper_open(paper, SHOP, serve, shop);
    paper->params[0] = "https://shop.example";
    return paper;
}

static void free_shop(struct paper *paper)
{
    paper_close(paper);
    free(paper);
}

static void xml_is_polled_page_by_page(void **state)
{
    static const struct {
        size_t count, page;
    } rows[] = {{0, 3}, {1, 3}, {5, 1}, {7, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct shop shop = {.count = rows[i].count, .page = rows[i].page};
        struct paper *paper = new_shop(&shop);
        const struct paper_post *post = NULL;

        paper_poll_well(paper);
        if (paper->published != shop.count || paper->rejects != 0) {
            fail_msg("row %zu: %zu posts\n%s", i, paper->published, paper->log);
        }
        paper->now_us += HOUR_US;
        paper_poll_well(paper);
        assert_int_equal(paper->published, 0);
        assert_int_equal(shop.abouts, 1); /* what it said is kept, as JSON */
        post = paper_find(paper, "r0");
        assert_true((post != NULL) == (shop.count > 0));
        if (post != NULL) {
            assert_string_equal(post->text, "<p>good <b>0</b></p>");
            assert_string_equal(post->more, "T &amp; 0|Kim|p0-7|a");
            assert_true(post->created_us == INT64_C(1795347000000000));
        }
        post = paper_find(paper, "r1");
        if (post != NULL) {
            assert_string_equal(post->more, "T &amp; 1|Lee|p1-7|a+b");
        }
        free_shop(paper);
    }
}

static void what_is_no_page_in_xml_is_judged(void **state)
{
    static const struct {
        const char *body;
        int status;
        enum paper_end end;
        const char *says;
    } rows[] = {
        {"<rev:reviews><review id='1'>", 200, PAPER_FAILED, "bad_xml: "},
        {"{\"reviews\":[]}", 200, PAPER_FAILED, "bad_xml: "},
        {"<rev:reviews>closed</rev:reviews>", 200, PAPER_FAILED, "schema: "},
        {"<error code='busy'><why>moving house</why></error>", 503, PAPER_FAILED, "moving house"},
        {" {\"error\":{\"@code\":\"busy\",\"why\":\"in JSON\"}}", 503, PAPER_FAILED, "in JSON"},
        {"<html><br></html>", 503, PAPER_JUDGED, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct shop shop = {.instead = rows[i].body, .status = rows[i].status};
        struct paper *paper = new_shop(&shop);

        paper_poll(paper);
        if (paper->end != rows[i].end ||
            (rows[i].says != NULL && strstr(paper->err.message, rows[i].says) == NULL)) {
            fail_msg("row %zu: %d: %s", i, paper->end, paper->err.message);
        }
        free_shop(paper);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml_becomes_the_same_tree_as_json),
        cmocka_unit_test(hostile_xml_is_refused_with_a_code),
        cmocka_unit_test(the_deepest_and_the_longest_that_are_read_fit_json),
        cmocka_unit_test(xml_is_polled_page_by_page),
        cmocka_unit_test(what_is_no_page_in_xml_is_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
