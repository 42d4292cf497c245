/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/markup/markup.h"

/* Writes down what it is told: <space|name a=v> text </name>. */
struct record {
    char text[8192];
    size_t length, opened, told;
    size_t fail_at; /* the n-th open fails; 0: none */
};

static void note(struct record *record, const char *text, size_t length)
{
    record->told += length;
    if (record->length + length < sizeof record->text) {
        memcpy(record->text + record->length, text, length);
        record->length += length;
        record->text[record->length] = '\0';
    }
}

static int on_open(void *user, const char *space, const char *name,
                   const struct markup_attribute attributes[], size_t count, struct ear_error *err)
{
    struct record *record = user;
    char line[1024];

    if (++record->opened == record->fail_at) {
        return ear_fail(err, EAR_REJECT, "enough");
    }
    note(record, line,
         (size_t)snprintf(line, sizeof line, "<%s%s%s", space, space[0] != '\0' ? "|" : "", name));
    for (size_t i = 0; i < count; i++) {
        note(record, line,
             (size_t)snprintf(line, sizeof line, " %s%s%s=%.900s", attributes[i].space,
                              attributes[i].space[0] != '\0' ? "|" : "", attributes[i].name,
                              attributes[i].value));
    }
    note(record, ">", 1);
    return 0;
}

static int on_close(void *user, const char *space, const char *name, struct ear_error *err)
{
    (void)space;
    (void)err;
    note(user, "</", 2);
    note(user, name, strlen(name));
    note(user, ">", 1);
    return 0;
}

static int on_text(void *user, const char *text, size_t length, struct ear_error *err)
{
    (void)err;
    note(user, text, length);
    return 0;
}

static const struct markup_handler handler = {.open = on_open, .close = on_close, .text = on_text};

static void xml_is_told_tag_by_tag(void **state)
{
    static const struct {
        const char *xml, *told;
    } rows[] = {
        {"<a/>", "<a></a>"},
        {"<?xml version='1.0' encoding='iso-8859-1'?><a>\xC3\xA4</a>", "<a>\xC3\xA4</a>"},
        {"<a x='1' y=\"&lt;2>\">t</a>", "<a x=1 y=<2>>t</a>"},
        {"<a xmlns='u:1' xmlns:p='u:2' p:k='v'><p:b/></a>", "<u:1|a u:2|k=v><u:2|b></b></a>"},
        {"<a><dc:creator>x</dc:creator></a>", "<a><dc|creator>x</creator></a>"},
        {"<a><![CDATA[<b>&amp;</b>]]> c</a>", "<a><b>&amp;</b> c</a>"},
        {"<a><!-- <b> & ' --><?p x & ?>t</a>", "<a>t</a>"},
        {"<a>&lt;&#65;&#x42;&amp;amp;&apos;</a>", "<a><AB&amp;'</a>"},
        {"<a t='&eacute;'>x&nbsp;y&hellip;</a>", "<a t=\xC3\xA9>x\xC2\xA0y\xE2\x80\xA6</a>"},
        {"<a h='?x=1&y=2'>AT&T & co &; &#x; &#1; &#0;</a>",
         "<a h=?x=1&y=2>AT&T & co &; &#x; \xEF\xBF\xBD \xEF\xBF\xBD</a>"},
        {"<a>\x01\x1B ok\xEF\xBF\xBE</a>", "<a>   ok\xEF\xBF\xBD</a>"},
        {"<!DOCTYPE rss PUBLIC '-//N//DTD RSS 0.91//EN' 'http://x.example/r[1].dtd'><rss/>",
         "<rss></rss>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record record = {0};
        struct ear_error err = {0};

        if (markup_read_xml(rows[i].xml, strlen(rows[i].xml), &handler, &record, &err) != 0) {
            fail_msg("%s: %s", rows[i].xml, err.message);
        }
        assert_string_equal(record.text, rows[i].told);
    }
}

static void bad_xml_is_refused_by_code(void **state)
{
    static const struct {
        const char *xml, *start;
    } rows[] = {
        {"", "bad_xml: "},
        {"no markup", "bad_xml: line 1, column 1: "},
        {"<a>\n<b></a>", "bad_xml: line 2, column "},
        {"<a", "bad_xml: "},
        {"<a></a><b/>", "bad_xml: "},
        {"<a b='1' b='2'/>", "bad_xml: "},
        {"{\"items\":[]}", "bad_xml: "},
        {"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "xml_dtd_refused: line 1: "},
        {"<!DOCTYPE a SYSTEM 'x' [ ]><a/>", "xml_dtd_refused: "},
        {"<a>\n\n&unknown;</a>", "xml_dtd_refused: line 3: "},
        {"<a b='&unknown;'/>", "xml_dtd_refused: "},
        {"<a b='&#60;unknown;' c='<'/>", "bad_xml: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record record = {0};
        struct ear_error err = {0};

        if (markup_read_xml(rows[i].xml, strlen(rows[i].xml), &handler, &record, &err) == 0) {
            fail_msg("%s", rows[i].xml);
        }
        assert_int_equal(err.kind, EAR_REJECT);
        if (strncmp(err.message, rows[i].start, strlen(rows[i].start)) != 0) {
            fail_msg("%s gave %s", rows[i].xml, err.message);
        }
    }
}

/* `count` times `piece`, and then `end`. */
static char *repeat(const char *start, const char *piece, size_t count, const char *end)
{
    size_t size = strlen(piece);
    char *text = malloc(strlen(start) + size * count + strlen(end) + 1);
    char *at = text;

    assert_non_null(text);
    at = stpcpy(at, start);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, piece, size);
        at += size;
    }
    stpcpy(at, end);
    return text;
}

static void xml_keeps_its_limits(void **state)
{
    static const struct {
        const char *start, *piece;
        size_t count;
        const char *end, *message;
    } rows[] = {
        {"", "<a>", 300, "deep", "bad_xml: "},
        {"", "<a>", MARKUP_DEPTH_MAX + 1, "", "too_deep: "},
        {"<a", " b=''", 100000, "/>", "too_many: "},
        {"", "<a xmlns:b='c'>", 1000, "", "too_many: "},
    };
    struct ear_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record *record = calloc(1, sizeof *record);
        char *xml = repeat(rows[i].start, rows[i].piece, rows[i].count, rows[i].end);

        assert_non_null(record);
        assert_int_equal(markup_read_xml(xml, strlen(xml), &handler, record, &err), -1);
        assert_memory_equal(err.message, rows[i].message, strlen(rows[i].message));
        free(xml);
        free(record);
    }
}

static void text_beyond_depth_256_is_told(void **state)
{
    struct record *record = calloc(1, sizeof *record);
    char *closes = repeat("words", "</a>", 1000, "");
    char *xml = repeat("", "<a>", 1000, closes);
    struct ear_error err = {0};

    (void)state;
    assert_non_null(record);
    assert_int_equal(markup_read_xml(xml, strlen(xml), &handler, record, &err), 0);
    assert_non_null(strstr(record->text, ">words<"));
    free(xml);
    free(closes);
    free(record);
}

static void a_handler_stops_the_reading(void **state)
{
    static const char text[] = "<a><b/><c/><d/></a>";

    (void)state;
    for (int html = 0; html < 2; html++) {
        struct record record = {.fail_at = 3};
        struct ear_error err = {0};

        assert_int_equal(html ? markup_read_html(text, strlen(text), &handler, &record, &err)
                              : markup_read_xml(text, strlen(text), &handler, &record, &err),
                         -1);
        assert_string_equal(err.message, "enough");
        assert_int_equal(record.opened, 3);
    }
}

static void html_is_told_as_it_stands(void **state)
{
    static const struct {
        const char *html, *told;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"<P CLASS=a id='b c' x>t</P >", "<p class=a id=b c x=>t</p>"},
        {"a<br>b<br/>c<img src=x>", "a<br></br>b<br></br>c<img src=x></img>"},
        {"</br>x</p>", "x</p>"},
        {"a < b, I <3 you, x <y", "a < b, I <3 you, x <y"},
        {"<b>x <y", "<b>x <y"},
        {"1<!-- <b> -->2<!---->3<!-->4<!doctype html>5<?php ?>6</ >7", "1234567"},
        {"a<!-- no end <b>", "a"},
        {"<script>if (a<b) '</b>'</script>x", "<script>if (a<b) '</b>'</script>x"},
        {"<style>no end <b>", "<style>no end <b>"},
        {"&lt;b&gt; &amp;amp; &nbsp;&#8364;&#x20ac;&#128;&#150;", "<b> &amp; \xC2\xA0\xE2\x82\xAC"
                                                                  "\xE2\x82\xAC\xE2\x82\xAC"
                                                                  "\xE2\x80\x93"},
        {"&amp &lt&unknown; &ampx &#; &", "& <&unknown; &ampx &#; &"},
        {"<a href='?a=1&amp;b=2&copy=3' title=\"&quot;q&quot;\">",
         "<a href=?a=1&b=2&copy=3 title=\"q\">"},
        {"<a href=\"x>y", "<a href=x>y>"},
        {"<a / = b=c/>d", "<a b=c/>d"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record record = {0};
        struct ear_error err = {0};

        assert_int_equal(
            markup_read_html(rows[i].html, strlen(rows[i].html), &handler, &record, &err), 0);
        if (strcmp(record.text, rows[i].told) != 0) {
            fail_msg("%s gave %s", rows[i].html, record.text);
        }
    }
}

static void hostile_html_takes_no_square(void **state)
{
    static const struct {
        const char *start, *piece;
    } rows[] = {
        {"<a ", "x1 "}, {"<a ", "x='"}, {"", "<b></i>"}, {"", "<!--"}, {"", "<script>"},
        {"", "<"},      {"", "&"},      {"", "&a"},      {"", "</"},   {"<textarea>", "</x"},
        {"", "<a b="},  {"", "<!"},     {"", "<a\""},    {"", "&#x1"},
    };
    struct ear_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record *record = calloc(1, sizeof *record);
        char *html = repeat(rows[i].start, rows[i].piece, 200000, "");
        char *ended = repeat(html, ">", 1, "");

        assert_non_null(record);
        assert_int_equal(markup_read_html(html, strlen(html), &handler, record, &err), 0);
        assert_int_equal(markup_read_html(ended, strlen(ended), &handler, record, &err), 0);
        free(ended);
        free(html);
        free(record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml_is_told_tag_by_tag),
        cmocka_unit_test(bad_xml_is_refused_by_code),
        cmocka_unit_test(xml_keeps_its_limits),
        cmocka_unit_test(text_beyond_depth_256_is_told),
        cmocka_unit_test(a_handler_stops_the_reading),
        cmocka_unit_test(html_is_told_as_it_stands),
        cmocka_unit_test(hostile_html_takes_no_square),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
