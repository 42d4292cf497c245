/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collectors/feed/feed.h"
#include "common/config/config.h"
#include "common/hash.h"
#include "tests/collectors/feed/poll.h"

/* As the reader's table lays it out. */
struct feed_config {
    const char *url;
    bool comments;
};

static const struct feed_config plain_config = {.url = "https://blog.example/feed"};
static const struct feed_config comments_config = {.url = "https://blog.example/feed",
                                                   .comments = true};

static const int64_t noon_us = INT64_C(1795348800000000); /* 2026-11-22 12:00 UTC */
static const int64_t hour_us = INT64_C(3600000000);

static struct poll new_poll(const struct feed_config *config, const struct poll_page *pages)
{
    return (struct poll){.reader = &feed_reader,
                         .config = config,
                         .source = {.name = "blog", .use = "feed"},
                         .pages = pages,
                         .now_us = noon_us};
}

static void assert_said(const struct poll *poll, const char *line)
{
    if (!poll_said(poll, line)) {
        fail_msg("not said: %s\nbut:\n%s", line, poll->log);
    }
}

static void poll_well(struct poll *poll)
{
    if (poll_run(poll) != 0) {
        fail_msg("%s", poll->err.message);
    }
}

/* One page, one poll; the lines that are to be said, ended by NULL. */
static const struct {
    const char *name, *type, *body;
    const char *lines[6];
} formats[] = {
    {"rss 2.0",
     NULL,
     "<?xml version='1.0'?><rss version='2.0' "
     "xmlns:content='http://purl.org/rss/1.0/modules/content/' "
     "xmlns:dc='http://purl.org/dc/elements/1.1/'><channel><title>Blog</title>"
     "<language>en-GB</language><item><title>A &amp;amp; B</title><link> /2026/a </link>"
     "<guid isPermaLink='false'>g1</guid><description>short</description>"
     "<content:encoded><![CDATA[<p>Long &amp; <b>bold</b></p><p>two</p>]]></content:encoded>"
     "<dc:creator>Jo</dc:creator><pubDate>Fri, 20 Nov 2026 08:00:00 GMT</pubDate></item>"
     "</channel></rss>",
     {"post g1|https://blog.example/2026/a|A & B|Long & bold~~two|Jo|2026-11-20T08:00:00Z|-|-|"
      "en-GB"}},
    {"rss 0.91 with a DOCTYPE, no guid, no date",
     NULL,
     "<!DOCTYPE rss PUBLIC '-//Netscape//DTD RSS 0.91//EN' 'http://x.example/rss-0.91.dtd'>"
     "<rss version='0.91'><channel><item><title>T</title><link>http://blog.example/t</link>"
     "<description>d</description><author>jo@x.example (Jo Doe)</author></item></channel></rss>",
     {"post http://blog.example/t|http://blog.example/t|T|d|Jo Doe|-|-|-|-"}},
    {"rdf 1.0",
     NULL,
     "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
     "xmlns='http://purl.org/rss/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/'>"
     "<channel rdf:about='c'><title>Blog</title><dc:language>de</dc:language></channel>"
     "<item rdf:about='http://blog.example/1'><title>Eins</title>"
     "<link>http://blog.example/1</link><description>Text</description>"
     "<dc:date>2026-11-20T09:00:00+01:00</dc:date><dc:creator>Jo</dc:creator></item></rdf:RDF>",
     {"post http://blog.example/1|http://blog.example/1|Eins|Text|Jo|2026-11-20T08:00:00Z|-|-|"
      "de"}},
    {"atom 1.0",
     NULL,
     "<feed xmlns='http://www.w3.org/2005/Atom' xml:lang='en' xml:base='http://b.example/x/'>"
     "<author><name>Feed Author</name></author><title>Blog</title>"
     "<entry xml:base='y/'><id>urn:1</id><title type='text'>1 &lt; 2 &amp;amp; so</title>"
     "<link rel='self' href='no'/><link href='post?a=1&amp;b=2'/>"
     "<published>2026-11-20T08:00:00Z</published><updated>2026-11-20T09:30:00Z</updated>"
     "<summary>short</summary><content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>"
     "<p>One <b>&lt;tag&gt;</b></p><p>Two &amp;amp;</p></div></content>"
     "<source><id>other</id><title>Other</title></source></entry>"
     "<entry xml:lang='fr'><id>urn:2</id><title type='html'>&lt;i&gt;Deux&lt;/i&gt;</title>"
     "<author><name>Lu</name><email>lu@x.example</email></author>"
     "<updated>2026-11-20T09:30:00Z</updated><content>plain &lt;b&gt; text\nline</content>"
     "</entry></feed>",
     {"post urn:1|http://b.example/x/y/post?a=1&b=2|1 < 2 &amp; so|One <tag>~~Two &amp;|"
      "Feed Author|2026-11-20T08:00:00Z|2026-11-20T09:30:00Z|-|en",
      "post urn:2|-|Deux|plain <b> text~line|Lu|2026-11-20T09:30:00Z|-|-|fr"}},
    {"atom 0.3",
     NULL,
     "<feed version='0.3' xmlns='http://purl.org/atom/ns#'><entry><title>T</title>"
     "<link rel='alternate' type='text/html' href='http://b.example/1'/>"
     "<id>tag:b.example,2026:1</id><issued>2026-11-20T08:00:00Z</issued>"
     "<modified>2026-11-20T08:00:00Z</modified>"
     "<content type='text/html' mode='escaped'>&lt;p&gt;Hi&lt;/p&gt;</content></entry></feed>",
     {"post tag:b.example,2026:1|http://b.example/1|T|Hi|-|2026-11-20T08:00:00Z|-|-|-"}},
    {"json feed 1.1",
     "application/feed+json",
     "\n{\"version\":\"https://jsonfeed.org/version/1.1\",\"language\":\"en\","
     "\"authors\":[{\"name\":\"Jo\"}],\"items\":["
     "{\"id\":7,\"url\":\"/7\",\"title\":\"Tom & <Jo>\",\"content_html\":\"<p>Hi</p>\","
     "\"date_published\":\"2026-11-20T08:00:00Z\",\"date_modified\":\"2026-11-20T08:30:00Z\"},"
     "5,{\"id\":\"8\",\"content_text\":\"a\\n<b>\",\"authors\":[{\"name\":\"Lu\"}]},"
     "{\"id\":\"9\"}]}",
     {"post 7|https://blog.example/7|Tom & <Jo>|Hi|Jo|2026-11-20T08:00:00Z|"
      "2026-11-20T08:30:00Z|-|en",
      "reject entry 2|schema|an item of a JSON Feed is an object|5", "post 8|-|-|a~<b>|Lu|-|-|-|en",
      "reject entry 4|schema|it has neither a title nor a text|9"}},
    {"json feed 1.0",
     "application/json",
     "{\"version\":\"https://jsonfeed.org/version/1\",\"author\":{\"name\":\"Jo\"},"
     "\"items\":[{\"id\":\"1\",\"title\":\"T\"}]}",
     {"post 1|-|T||Jo|-|-|-|-"}},
    {"latin 1 by its declaration",
     NULL,
     "<?xml version='1.0' encoding='iso-8859-1'?><rss><channel><item><guid>1</guid>"
     "<title>caf\xE9</title></item></channel></rss>",
     {"post 1|-|caf\xC3\xA9||-|-|-|-|-"}},
    {"HTTP wins over the declaration",
     "text/xml; charset=\"windows-1251\"",
     "<?xml version='1.0' encoding='iso-8859-1'?><rss><channel><item><guid>1</guid>"
     "<title>\xCF\xD0</title></item></channel></rss>",
     {"post 1|-|\xD0\x9F\xD0\xA0||-|-|-|-|-"}},
    {"UTF-8 that is none, declared as latin 1",
     "text/xml; charset=utf-8",
     "<?xml version='1.0' encoding='iso-8859-1'?><rss><channel><item><guid>1</guid>"
     "<title>caf\xE9</title></item></channel></rss>",
     {"post 1|-|caf\xC3\xA9||-|-|-|-|-"}},
    {"latin 1 that is UTF-8",
     "text/xml; charset=iso-8859-1",
     "<rss><channel><item><guid>1</guid><title>caf\xC3\xA9</title></item></channel></rss>",
     {"post 1|-|caf\xC3\xA9||-|-|-|-|-"}},
    {"sloppy XML",
     NULL,
     "\n <rss><channel><item><guid>1</guid><title>AT&T&nbsp;&hellip; \x0B</title>"
     "<link>http://b.example/?a=1&b=2 x</link><description>no <b>escape</b> at all</description>"
     "<dc:creator>Jo</dc:creator></item></channel></rss>",
     {"post 1|http://b.example/?a=1&b=2%20x|AT&T \xE2\x80\xA6|no escape at all|Jo|-|-|-|-"}},
    {"youtube's media",
     NULL,
     "<feed xmlns='http://www.w3.org/2005/Atom' xmlns:media='http://search.yahoo.com/mrss/'>"
     "<entry><id>yt:1</id><title>T</title><media:group><media:title>M</media:title>"
     "<media:description>Line one\nline two</media:description></media:group></entry></feed>",
     {"post yt:1|-|T|Line one~line two|-|-|-|-|-"}},
    {"an empty feed", NULL, "<rss version='2.0'><channel></channel></rss>", {NULL}},
};

static void every_format_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const struct poll_page pages[] = {
            {"https://blog.example/feed", 200, formats[i].type, formats[i].body, 0, NULL}, {0}};
        struct poll poll = new_poll(&plain_config, pages);
        size_t lines = 0;

        print_message("%s\n", formats[i].name);
        poll_well(&poll);
        for (; formats[i].lines[lines] != NULL; lines++) {
            assert_said(&poll, formats[i].lines[lines]);
        }
        assert_int_equal(poll.posts + poll.rejects, lines);
        poll_clear(&poll);
    }
}

static void an_entry_without_names_is_named_by_title_and_date(void **state)
{
    const struct poll_page pages[] = {
        {"https://blog.example/feed", 200, NULL,
         "<rss><channel><item><title>T</title><pubDate>20 Nov 26 08:00 EST</pubDate></item>"
         "<item><title>T</title><pubDate>21 Nov 26 08:00 EST</pubDate></item></channel></rss>",
         0, NULL},
        {0}};
    struct poll poll = new_poll(&plain_config, pages);
    char *first = NULL;

    (void)state;
    poll_well(&poll);
    assert_int_equal(poll.posts, 2);
    assert_non_null(strstr(poll.log, "|T||-|2026-11-20T13:00:00Z|"));
    first = strdup(poll.log);
    poll_well(&poll);
    assert_string_equal(poll.log, first); /* the same names again */
    free(first);
    poll_clear(&poll);
}

static void what_is_no_feed_is_refused_with_the_cure(void **state)
{
    static const struct {
        const char *body, *message;
    } rows[] = {
        {"<html><body><p>Hi",
         "no_feed: it is a web page that names no feed, and none is where feeds usually are; give "
         "the address of a feed"},
        {"", "no_feed: the answer is empty"},
        {"<svg xmlns='http://www.w3.org/2000/svg'/>",
         "no_feed: its outermost element is <svg>, where a feed has <rss>, <rdf:RDF> or <feed>; "
         "give the address of a feed"},
        {"{\"items\":[]}", "no_feed: it is JSON, but no JSON Feed (no 'version' of jsonfeed.org "
                           "with 'items'); give the address of a feed"},
        {"<rss><channel><item>", "bad_xml: "},
        {"just words", "bad_xml: "},
        {"{\"version\":", "bad_json: "},
        {"<!DOCTYPE rss [<!ENTITY a 'b'>]><rss>&a;</rss>", "xml_dtd_refused: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct poll_page pages[] = {
            {"https://blog.example/feed", 200, NULL, rows[i].body, 0, NULL}, {0}};
        struct poll poll = new_poll(&plain_config, pages);

        assert_int_equal(poll_run(&poll), -1);
        assert_int_equal(poll.err.kind, EAR_REJECT);
        if (strncmp(poll.err.message, rows[i].message, strlen(rows[i].message)) != 0) {
            fail_msg("%s gave %s", rows[i].body, poll.err.message);
        }
        poll_clear(&poll);
    }
}

/* Quotation marks in XHTML are six bytes each once they are HTML. */
static char *atom_of_marks(size_t entries, size_t marks)
{
    const char *const front = "<feed xmlns='http://www.w3.org/2005/Atom'>"
                              "<entry><id>urn:small</id><title>Small</title></entry>";
    const char *const open = "<entry><id>urn:large</id><title>Large</title><content type='xhtml'>";
    const char *const close = "</content></entry>";
    char *text =
        malloc(strlen(front) + entries * (strlen(open) + marks + strlen(close)) + sizeof "</feed>");
    char *at = NULL;

    assert_non_null(text);
    at = stpcpy(text, front);
    for (size_t i = 0; i < entries; i++) {
        at = stpcpy(at, open);
        memset(at, '"', marks);
        at = stpcpy(at + marks, close);
    }
    stpcpy(at, "</feed>");
    return text;
}

static void texts_that_swell_keep_their_limits(void **state)
{
    char *one = atom_of_marks(1, 2 << 20);
    char *many = atom_of_marks(12, 1 << 20);
    struct poll_page pages[] = {{"https://blog.example/feed", 200, NULL, one, 0, NULL}, {0}};
    struct poll poll = new_poll(&plain_config, pages);

    (void)state;
    assert_int_equal(poll_run(&poll), 0);
    assert_int_equal(poll.posts, 1);
    assert_true(poll_said(&poll, "reject entry 2|too_large|a text of more than 8 MiB|urn:large"));
    poll_clear(&poll);
    pages[0].body = many;
    poll = new_poll(&plain_config, pages);
    assert_int_equal(poll_run(&poll), -1);
    assert_int_equal(poll.err.kind, EAR_REJECT);
    assert_int_equal(strncmp(poll.err.message, "too_big: ", 9), 0);
    poll_clear(&poll);
    free(one);
    free(many);
}

#define ITEM(number, day)                                                                          \
    "<item><guid>g" number "</guid><title>T" number "</title>"                                     \
    "<link>https://blog.example/" number "</link>"                                                 \
    "<pubDate>" day " Nov 2026 08:00:00 GMT</pubDate></item>"
#define RSS(items) "<rss version='2.0'><channel>" items "</channel></rss>"

static void only_404_and_410_make_an_entry_gone(void **state)
{
    static const struct {
        int status;
        bool gone;
    } rows[] = {{404, true}, {410, true}, {200, false}, {403, false}, {500, false}, {0, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct poll_page before[] = {{"https://blog.example/feed", 200, NULL,
                                            RSS(ITEM("3", "20") ITEM("2", "19") ITEM("1", "18")), 0,
                                            NULL},
                                           {0}};
        const struct poll_page after[] = {
            {"https://blog.example/feed", 200, NULL, RSS(ITEM("3", "20") ITEM("1", "18")), 0, NULL},
            {"https://blog.example/2", rows[i].status, "text/html", "x", 0, NULL},
            {0}};
        struct poll poll = new_poll(&plain_config, before);

        poll_well(&poll);
        poll.pages = after;
        poll.now_us += hour_us;
        poll_well(&poll);
        assert_said(&poll, "ask https://blog.example/2");
        assert_int_equal(poll_said(&poll, "gone g2"), rows[i].gone);
        assert_int_equal(poll.posts, rows[i].gone ? 3 : 2);
        poll_well(&poll); /* at the same time: only what did not answer is asked again */
        assert_int_equal(poll_said(&poll, "ask https://blog.example/2"),
                         rows[i].status == 500 || rows[i].status == 0);
        assert_false(poll_said(&poll, "gone g2"));
        poll_clear(&poll);
    }
}

static void of_equal_times_what_stood_behind_is_older(void **state)
{
    const struct poll_page before[] = {{"https://blog.example/feed", 200, NULL,
                                        RSS(ITEM("3", "20") ITEM("2", "18") ITEM("1", "18")), 0,
                                        NULL},
                                       {0}};
    const struct poll_page after[] = {
        {"https://blog.example/feed", 200, NULL, RSS(ITEM("3", "20") ITEM("1", "18")), 0, NULL},
        {"https://blog.example/2", 404, "text/html", "x", 0, NULL},
        {0}};
    struct poll poll = new_poll(&plain_config, before);

    (void)state;
    poll_well(&poll);
    poll.pages = after;
    poll_well(&poll);
    assert_said(&poll, "gone g2");
    poll_clear(&poll);
}

static void what_scrolled_off_is_not_asked_for(void **state)
{
    const struct poll_page before[] = {
        {"https://blog.example/feed", 200, NULL, RSS(ITEM("2", "19") ITEM("1", "18")), 0, NULL},
        {0}};
    const struct poll_page after[] = {
        {"https://blog.example/feed", 200, NULL, RSS(ITEM("3", "20") ITEM("2", "19")), 0, NULL},
        {0}};
    const struct poll_page empty[] = {{"https://blog.example/feed", 200, NULL, RSS(""), 0, NULL},
                                      {0}};
    struct poll poll = new_poll(&plain_config, before);

    (void)state;
    poll_well(&poll);
    poll.pages = after;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    poll.pages = empty;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    poll_clear(&poll);
}

static void at_most_three_are_asked_for_and_the_rest_goes_on_after_a_304(void **state)
{
    const struct poll_page before[] = {{"https://blog.example/feed", 200, NULL,
                                        RSS(ITEM("6", "25") ITEM("5", "24") ITEM("4", "23")
                                                ITEM("3", "22") ITEM("2", "21") ITEM("1", "20")),
                                        0, NULL},
                                       {0}};
    const struct poll_page after[] = {
        {"https://blog.example/feed", 200, NULL, RSS(ITEM("1", "20")), 0, NULL}, {0}};
    const struct poll_page same[] = {{"https://blog.example/feed", 304, NULL, NULL, 0, NULL}, {0}};
    struct poll poll = new_poll(&plain_config, before);

    (void)state;
    poll_well(&poll);
    poll.pages = after;
    poll_well(&poll);
    assert_int_equal(poll.requests, 4);
    assert_int_equal(poll.posts, 4); /* one there, three gone */
    poll.pages = same;
    poll_well(&poll);
    assert_int_equal(poll.requests, 3);
    assert_int_equal(poll.posts, 2);
    assert_said(&poll, "gone g2");
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    poll_clear(&poll);
}

static void one_that_is_there_is_asked_for_three_times_at_most(void **state)
{
    const struct poll_page before[] = {
        {"https://blog.example/feed", 200, NULL, RSS(ITEM("2", "19") ITEM("1", "18")), 0, NULL},
        {0}};
    const struct poll_page after[] = {
        {"https://blog.example/feed", 200, NULL, RSS(ITEM("1", "18")), 0, NULL},
        {"https://blog.example/2", 200, NULL, "still here", 0, NULL},
        {0}};
    struct poll poll = new_poll(&plain_config, before);
    size_t asked = 0;

    (void)state;
    poll_well(&poll);
    poll.pages = after;
    for (int i = 0; i < 100; i++) {
        poll.now_us += hour_us / 2;
        poll_well(&poll);
        asked += poll.requests - 1;
    }
    assert_int_equal(asked, 3);
    poll_clear(&poll);
}

static void a_comment_on_its_posts_page_stays(void **state)
{
    const struct poll_page before[] = {
        {"https://blog.example/feed", 200, NULL,
         RSS("<item><guid>http://b/?p=1#comment-2</guid><title>By: Jo</title>"
             "<link>https://blog.example/1#comment-2</link>"
             "<description>two</description><pubDate>20 Nov 2026 08:00 GMT</pubDate></item>"
             "<item><guid>http://b/?p=1#comment-1</guid><title>By: Lu</title>"
             "<link>https://blog.example/1#comment-1</link>"
             "<description>one</description><pubDate>19 Nov 2026 08:00 GMT</pubDate></item>"),
         0, NULL},
        {0}};
    const struct poll_page after[] = {
        {"https://blog.example/feed", 200, NULL,
         RSS("<item><guid>http://b/?p=1#comment-1</guid>"
             "<link>https://blog.example/1#comment-1</link>"
             "<description>one</description><pubDate>19 Nov 2026 08:00 GMT</pubDate></item>"),
         0, NULL},
        {0}};
    struct poll poll = new_poll(&plain_config, before);

    (void)state;
    poll_well(&poll);
    assert_said(&poll, "post http://b/?p=1#comment-2|https://blog.example/1#comment-2|-|two|-|"
                       "2026-11-20T08:00:00Z|-|http://b/?p=1|-");
    poll.pages = after;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    assert_int_equal(poll.posts, 1);
    poll_clear(&poll);
}

static void entries_that_share_a_guid_are_known_by_their_links(void **state)
{
    const struct poll_page pages[] = {
        {"https://blog.example/feed", 200, NULL,
         RSS("<item><guid>same</guid><title>A</title><link>/a</link></item>"
             "<item><guid>same</guid><title>B</title><link>/b</link></item>"
             "<item><guid>twice</guid><title>old</title><link>/c</link>"
             "<pubDate>19 Nov 2026 08:00 GMT</pubDate></item>"
             "<item><guid>twice</guid><title>new</title><link>/c</link>"
             "<pubDate>20 Nov 2026 08:00 GMT</pubDate></item>"),
         0, NULL},
        {0}};
    const struct poll_page later[] = {
        {"https://blog.example/feed", 200, NULL,
         RSS("<item><guid>same</guid><title>B</title><link>/b</link></item>"), 0, NULL},
        {0}};
    struct poll poll = new_poll(&plain_config, pages);

    (void)state;
    poll_well(&poll);
    assert_int_equal(poll.posts, 3);
    assert_said(&poll, "post https://blog.example/a|https://blog.example/a|A||-|-|-|-|-");
    assert_said(&poll, "post https://blog.example/b|https://blog.example/b|B||-|-|-|-|-");
    assert_said(&poll, "post twice|https://blog.example/c|new||-|2026-11-20T08:00:00Z|-|-|-");
    poll.pages = later;
    poll_well(&poll);
    assert_said(&poll, "post https://blog.example/b|https://blog.example/b|B||-|-|-|-|-");
    poll_clear(&poll);
}

#define POST_WITH_COMMENTS(count)                                                                  \
    "<item><guid>g1</guid><title>T1</title><link>/1</link>"                                        \
    "<wfw:commentRss>/1/feed</wfw:commentRss><slash:comments>" count "</slash:comments></item>"

static void comment_feeds_are_read_when_their_count_changes(void **state)
{
    static const char comments[] =
        RSS("<item><guid>g1#comment-1</guid><title>By: Jo</title>"
            "<link>/1#comment-1</link><description>Nice</description></item>");
    struct poll_page pages[] = {
        {"https://blog.example/feed", 200, NULL, RSS(POST_WITH_COMMENTS("0")), 0, NULL},
        {"https://blog.example/1/feed", 200, NULL, comments, 0, "\"c1\""},
        {0}};
    struct poll poll = new_poll(&comments_config, pages);

    (void)state;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    pages[0].body = RSS(POST_WITH_COMMENTS("1"));
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_said(&poll, "ask https://blog.example/1/feed");
    assert_said(&poll, "post g1#comment-1|https://blog.example/1#comment-1|-|Nice|-|-|-|g1|-");
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1); /* the count is the same */
    pages[0] = (struct poll_page){"https://blog.example/feed", 304, NULL, NULL, 0, NULL};
    poll.now_us += hour_us;
    poll_well(&poll); /* a 304 says nothing about comments: asked, and unchanged by its ETag */
    assert_int_equal(poll.requests, 2);
    assert_int_equal(poll.posts, 0);
    poll_clear(&poll);
}

static void a_broken_comment_feed_does_not_hold_up_the_feed(void **state)
{
    static const struct {
        int status;
        const char *body;
        size_t rejects;
    } rows[] = {{404, "", 0}, {503, "", 0}, {0, "", 0}, {200, "<rss>", 1}, {200, "<html>", 1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct poll_page pages[] = {
            {"https://blog.example/feed", 200, NULL, RSS(POST_WITH_COMMENTS("1")), 0, NULL},
            {"https://blog.example/1/feed", rows[i].status, NULL, rows[i].body, 0, NULL},
            {0}};
        struct poll poll = new_poll(&comments_config, pages);

        poll_well(&poll);
        assert_int_equal(poll.requests, 2);
        assert_int_equal(poll.posts, 1);
        assert_int_equal(poll.rejects, rows[i].rejects);
        poll_clear(&poll);
    }
}

/* A page of many entries: what a crash after any step leaves is made up by the next poll. */
static void a_crash_between_pieces_loses_nothing(void **state)
{
    enum { COUNT = 1050 };
    size_t capacity = (size_t)COUNT * 80 + 100;
    char *body = malloc(capacity);
    struct poll_page pages[2] = {{0}};
    struct poll poll = new_poll(&plain_config, pages);
    size_t used = 0;
    size_t steps = 0;

    (void)state;
    assert_non_null(body);
    used += (size_t)snprintf(body, capacity, "<rss><channel>");
    for (int i = 0; i < COUNT; i++) {
        used += (size_t)snprintf(body + used, capacity - used,
                                 "<item><guid>g%d</guid><title>T</title></item>", i);
    }
    snprintf(body + used, capacity - used, "</channel></rss>");
    pages[0] = (struct poll_page){"https://blog.example/feed", 200, NULL, body, 0, NULL};
    poll_well(&poll);
    assert_int_equal(poll.posts, COUNT);
    assert_in_range(poll.steps, 6, 10);
    steps = poll.steps;
    poll_clear(&poll);
    for (size_t crash = 1; crash < steps; crash++) {
        poll = new_poll(&plain_config, pages);
        poll.crash_after = crash;
        poll_well(&poll);
        poll.crash_after = 0;
        poll_well(&poll);
        assert_int_equal(poll.posts, COUNT);
        poll_clear(&poll);
    }
    free(body);
}

#define HTML(links) "<!DOCTYPE html><html><head><title>B</title>" links "</head><body>Hi</body>"
#define SITE_POST(number)                                                                          \
    "<item><guid>https://site.example/" number "</guid><title>T" number "</title></item>"
#define SITE_COMMENT(number)                                                                       \
    "<item><guid>https://site.example/1#comment-" number "</guid><title>On T1</title>"             \
    "<description>C" number "</description></item>"

static const struct feed_config site_config = {.url = "https://site.example/blog",
                                               .comments = true};

static void a_sites_address_finds_its_feed_and_that_of_its_comments(void **state)
{
    const struct poll_page pages[] = {
        {"https://site.example/blog", 200, "text/html",
         HTML("<link rel=alternate type='application/rss+xml' title='B » Comments Feed' "
              "href='/comments/feed/'><link rel='alternate' type='application/rss+xml' title='B' "
              "href='/feed/'><link rel='alternate' type='application/atom+xml' href='/atom'>"),
         0, NULL},
        {"https://site.example/feed/", 200, NULL, RSS(SITE_POST("1") SITE_POST("2")), 0, "\"f\""},
        {"https://site.example/comments/feed/", 200, NULL, RSS(SITE_COMMENT("7")), 0, NULL},
        {0}};
    struct poll poll = new_poll(&site_config, pages);

    (void)state;
    poll_well(&poll);
    assert_int_equal(poll.requests, 3);
    assert_int_equal(poll.posts, 3);
    assert_said(&poll, "ask https://site.example/feed/");
    assert_said(&poll, "post "
                       "https://site.example/1#comment-7|https://site.example/"
                       "1#comment-7|-|C7|-|-|-|https://site.example/1|-");
    poll.now_us += hour_us;
    poll_well(&poll); /* by what it found: the site's page is not asked for again */
    assert_int_equal(poll.requests, 2);
    assert_int_equal(poll.posts, 1);
    poll_clear(&poll);
}

static void a_site_that_names_no_feed_is_tried_at_the_usual_places(void **state)
{
    const struct poll_page pages[] = {
        {"https://site.example/blog", 200, "text/html", HTML(""), 0, NULL},
        {"https://site.example/blog/rss/", 200, "text/html", HTML("Not here"), 0, NULL},
        {"https://site.example/blog/feed.xml", 200, NULL, RSS(SITE_POST("1")), 0, NULL},
        {0}};
    struct poll poll = new_poll(&site_config, pages);

    (void)state;
    poll_well(&poll);
    assert_int_equal(poll.requests, 4);
    assert_int_equal(poll.posts, 1);
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    poll_clear(&poll);
}

static void a_feed_that_moved_is_found_anew(void **state)
{
    const struct poll_page before[] = {
        {"https://site.example/blog", 200, "text/html",
         HTML("<link rel='alternate' type='application/rss+xml' href='/feed/'>"), 0, NULL},
        {"https://site.example/feed/", 200, NULL, RSS(SITE_POST("1")), 0, NULL},
        {0}};
    const struct poll_page after[] = {
        {"https://site.example/blog", 200, "text/html",
         HTML("<link rel='alternate' type='application/feed+json' href='/new.json'>"), 0, NULL},
        {"https://site.example/new.json", 200, "application/feed+json",
         "{\"version\":\"https://jsonfeed.org/version/1.1\",\"items\":[{\"id\":"
         "\"https://site.example/2\",\"content_text\":\"Two\"}]}",
         0, NULL},
        {0}};
    struct poll poll = new_poll(&site_config, before);

    (void)state;
    poll_well(&poll);
    assert_int_equal(poll.posts, 1);
    poll.pages = after;
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.requests, 3);
    assert_said(&poll, "post https://site.example/2|https://site.example/2|-|Two|-|-|-|-|-");
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1);
    poll_clear(&poll);
}

static void a_feed_that_turns_into_a_page_for_a_while_stays_the_feed(void **state)
{
    const struct poll_page before[] = {
        {"https://blog.example/feed", 200, NULL, RSS(SITE_POST("1")), 0, NULL}, {0}};
    const struct poll_page during[] = {
        {"https://blog.example/feed", 200, "text/html",
         HTML("<link rel='alternate' type='application/rss+xml' href='/other'>"), 0, NULL},
        {"https://blog.example/other", 200, NULL, RSS(SITE_POST("2")), 0, NULL},
        {0}};
    struct poll poll = new_poll(&plain_config, before);

    (void)state;
    poll_well(&poll);
    poll.pages = during;
    poll.now_us += hour_us;
    assert_int_equal(poll_run(&poll), -1);
    assert_int_equal(poll.err.kind, EAR_REJECT);
    assert_int_equal(poll.posts, 0);
    ear_error_clear(&poll.err);
    poll.pages = before;
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.posts, 1);
    poll_clear(&poll);
}

static void a_304_that_lies_is_found_out(void **state)
{
    struct poll_page pages[] = {
        {"https://site.example/blog", 200, "text/html",
         HTML("<link rel='alternate' type='application/rss+xml' href='/feed/'>"), 0, NULL},
        {"https://site.example/feed/", 200, NULL, RSS(SITE_POST("1")), 0, "\"always\""},
        {0}};
    struct poll poll = new_poll(&site_config, pages);

    (void)state;
    poll.source.every_us = hour_us;
    poll_well(&poll);
    pages[1].body = RSS(SITE_POST("2") SITE_POST("1"));
    for (int i = 1; i <= 4; i++) {
        poll.now_us += hour_us;
        poll_well(&poll);
        assert_int_equal(poll.posts, i < 4 ? 0 : 2);
    }
    pages[1].body = RSS(SITE_POST("3") SITE_POST("2") SITE_POST("1"));
    poll.now_us += hour_us;
    poll_well(&poll); /* it is not asked that way again */
    assert_int_equal(poll.posts, 3);
    poll_clear(&poll);
}

static void a_page_that_is_the_same_byte_for_byte_is_not_read_again(void **state)
{
    struct poll_page pages[] = {
        {"https://blog.example/feed", 200, NULL, RSS(SITE_POST("1")), 0, NULL}, {0}};
    struct poll poll = new_poll(&plain_config, pages);
    char *cursor = NULL;

    (void)state;
    poll.tells_refused = true;
    poll_well(&poll);
    assert_int_equal(poll.posts, 1);
    cursor = strdup(poll.cursor);
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.posts, 0);
    assert_string_equal(poll.cursor, cursor); /* nothing to write */
    pages[0].body = RSS(SITE_POST("2") SITE_POST("1"));
    poll.now_us += hour_us;
    poll_well(&poll);
    assert_int_equal(poll.posts, 2);
    pages[0].type = "text/xml; charset=iso-8859-1"; /* the same bytes may mean something else */
    poll_well(&poll);
    assert_int_equal(poll.posts, 2);
    poll_well(&poll);
    assert_int_equal(poll.posts, 0);
    poll.source.zone = "Europe/Berlin";
    poll_well(&poll);
    assert_int_equal(poll.posts, 2);
    poll.now_us += 24 * hour_us; /* what is remembered of posts is refreshed */
    poll_well(&poll);
    assert_int_equal(poll.posts, 2);
    free(cursor);
    poll_clear(&poll);
}

static void a_page_of_which_something_was_refused_is_read_again(void **state)
{
    const struct poll_page pages[] = {{"https://blog.example/feed", 200, NULL,
                                       RSS("<item><guid>g</guid></item>" SITE_POST("1")), 0, NULL},
                                      {0}};
    struct poll poll = new_poll(&plain_config, pages);

    (void)state;
    poll.tells_refused = true;
    for (int i = 0; i < 3; i++) {
        poll_well(&poll);
        assert_int_equal(poll.rejects, 1);
        assert_int_equal(poll.posts, 1);
    }
    poll_clear(&poll);
}

static void a_crash_between_the_steps_of_a_page_has_it_read_again(void **state)
{
    char *body = malloc(64 * 1024);
    size_t length = 0;
    struct poll_page pages[] = {{"https://blog.example/feed", 200, NULL, body, 0, NULL}, {0}};
    struct poll poll = new_poll(&plain_config, pages);

    (void)state;
    length += (size_t)snprintf(body, 64 * 1024, "<rss version=\"2.0\"><channel>");
    for (int i = 0; i < 300; i++) { /* more than a step takes */
        length += (size_t)snprintf(body + length, 64 * 1024 - length,
                                   "<item><guid>g%d</guid><title>t</title></item>", i);
    }
    (void)snprintf(body + length, 64 * 1024 - length, "</channel></rss>");
    poll.tells_refused = true;
    poll.crash_after = 2; /* asked, the first piece */
    poll_well(&poll);
    assert_int_equal(poll.posts, 200);
    poll.crash_after = 0;
    poll_well(&poll);
    assert_int_equal(poll.posts, 300);
    poll_well(&poll);
    assert_int_equal(poll.posts, 0);
    free(body);
    poll_clear(&poll);
}

static void an_honest_server_stays_trusted_when_its_page_is_the_same(void **state)
{
    const struct poll_page pages[] = {
        {"https://site.example/blog", 200, "text/html",
         HTML("<link rel='alternate' type='application/rss+xml' href='/feed/'>"), 0, NULL},
        {"https://site.example/feed/", 200, NULL, RSS(SITE_POST("1")), 0, "\"one\""},
        {0}};
    struct poll poll = new_poll(&site_config, pages);

    (void)state;
    poll.tells_refused = true;
    poll.source.every_us = hour_us;
    poll_well(&poll);
    for (int i = 1; i <= 20; i++) {
        poll.now_us += hour_us;
        poll_well(&poll);
        assert_int_equal(poll.posts, 0);
    }
    assert_non_null(strstr(poll.cursor, "\"honest\":true"));
    assert_null(strstr(poll.cursor, "\"lies\""));
    poll_clear(&poll);
}

static void a_cursor_of_the_first_format_is_read_and_written_in_the_second(void **state)
{
    static const char first[] =
        "\"items\":[{\"g\":\"gé1\",\"u\":\"https://blog.example/é/1\",\"t\":1700000000000001},"
        "{\"g\":\"gè2\",\"u\":\"https://blog.example/è/2\"},"
        "{\"g\":\"gone\",\"u\":\"https://blog.example/gone\",\"t\":-1500000,\"x\":true,\"q\":5,"
        "\"n\":1}],\"comments\":[],\"shared\":[]}";
    static const char second[] =
        "\"items\":[[0,\"https://blog.example/é/1\",0,\"gé1\",1700000000,1],"
        "[21,\"è/2\",1,\"è2\"],"
        "[21,\"gone\",1,\"one\",-1700000001,-500000,5,1,1]],";
    const struct poll_page same[] = {{"https://blog.example/feed", 304, NULL, NULL, 0, NULL}, {0}};
    struct poll poll = new_poll(&plain_config, same);
    char address[HASH128_TEXT_SIZE];
    char cursor[1024];
    char *once = NULL;

    (void)state;
    hash128_format(address, hash128_of(same[0].url, strlen(same[0].url)));
    (void)snprintf(cursor, sizeof cursor, "{\"v\":1,\"address\":\"%s\",%s", address, first);
    poll.cursor = strdup(cursor);
    poll.now_us = 10;
    poll_well(&poll);
    assert_int_equal(poll.requests, 1); /* not yet asked for again */
    assert_non_null(strstr(poll.cursor, "{\"v\":2,"));
    assert_non_null(strstr(poll.cursor, second));
    once = strdup(poll.cursor);
    poll_well(&poll);
    assert_string_equal(poll.cursor, once);
    free(once);
    poll_clear(&poll);
}

static void items_that_are_no_items_stop_the_source(void **state)
{
    static const char *const items[] = {
        "[1,\"u\",0,\"g\"]", "[-1,\"u\",0,\"g\"]",   "[0,\"u\"]", "[]",
        "[0,\"u\",1,\"g\"]", "[null,\"u\",0,\"g\"]", "{}"};

    (void)state;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        struct poll poll = new_poll(&plain_config, NULL);
        char address[HASH128_TEXT_SIZE];
        char cursor[256];

        hash128_format(address, hash128_of("https://blog.example/feed", 25));
        (void)snprintf(cursor, sizeof cursor, "{\"v\":2,\"address\":\"%s\",\"items\":[%s]}",
                       address, items[i]);
        poll.cursor = strdup(cursor);
        assert_int_equal(poll_run(&poll), -1);
        assert_int_equal(poll.err.kind, EAR_CONFIG);
        poll_clear(&poll);
    }
}

static void a_304_on_an_address_never_read_is_asked_again(void **state)
{
    const struct poll_page pages[] = {{"https://blog.example/feed", 304, NULL, NULL, 0, NULL}, {0}};
    struct poll poll = new_poll(&plain_config, pages);

    (void)state;
    assert_int_equal(poll_run(&poll), -1);
    assert_int_equal(poll.err.kind, EAR_RETRY);
    assert_int_equal(poll.requests, 2);
    poll_clear(&poll);
}

static void a_cursor_that_is_not_understood_stops_the_source(void **state)
{
    static const char *const cursors[] = {"{\"v\":3}", "{}", "[]", "{", "{\"v\":1,\"url\":\"u\""};

    (void)state;
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        struct poll poll = new_poll(&plain_config, NULL);

        poll.cursor = strdup(cursors[i]);
        assert_int_equal(poll_run(&poll), -1);
        assert_int_equal(poll.err.kind, EAR_CONFIG);
        assert_memory_equal(poll.err.message, "cursor: ", 8);
        poll_clear(&poll);
    }
}

static void a_cursor_holds_nothing_of_the_addresss_secrets(void **state)
{
    static const char address[] = "https://blog.example/feed?token=hunter2";
    const struct feed_config config = {.url = address};
    const struct poll_page pages[] = {{address, 200, NULL, RSS(POST_WITH_COMMENTS("1")), 0, NULL},
                                      {0}};
    struct poll poll = new_poll(&config, pages);

    (void)state;
    poll_well(&poll);
    assert_non_null(poll.cursor);
    assert_null(strstr(poll.cursor, "hunter2"));
    poll_clear(&poll);
}

static void probing_shows_one_page_and_keeps_nothing(void **state)
{
    const struct poll_page pages[] = {
        {"https://blog.example/feed", 200, NULL, RSS(POST_WITH_COMMENTS("1")), 0, NULL}, {0}};
    struct poll poll = new_poll(&comments_config, pages);

    (void)state;
    poll.probe = true;
    poll.cursor = strdup("{\"v\":99}");
    poll_well(&poll);
    assert_int_equal(poll.posts, 1);
    assert_int_equal(poll.requests, 1);
    assert_string_equal(poll.cursor, "{\"v\":99}");
    poll_clear(&poll);
}

static void recorded_feeds_are_read(void **state)
{
    static const struct {
        const char *name;
        size_t posts;
        const char *line;
    } rows[] = {
        {"wordpress/feed.xml", 10,
         "post http://127.0.0.1:28010/2026/11/late-0/|http://127.0.0.1:28010/2026/11/late-0/|"
         "Late 0|\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE3\x83\x86\xE3\x82\xAD\xE3\x82"
         "\xB9\xE3\x83\x88\xEF\xBC\x9A\xE3\x82\x82\xE3\x81\xA3\xE3\x81\xA8\xE9\x80\x9F\xE3\x81\x8F"
         "\xE3\x81\x97\xE3\x81\xA6\xE3\x81\xBB\xE3\x81\x97\xE3\x81\x84\xE3\x80\x82~~> quoted "
         "line~~after~~marker-1000|Ann O'Hara|2026-11-22T05:30:28Z|-|-|en-US"},
        {"wordpress/feed-atom.xml", 10,
         "post http://127.0.0.1:28010/2026/11/late-1/|http://127.0.0.1:28010/2026/11/late-1/|"
         "Late 1|Code sample:~~if (a < b && c) { return \"x\"; }~~marker-1001|Ann O'Hara|"
         "2026-11-22T05:30:28Z|-|-|en-US"},
        {"wordpress/comments-feed.xml", 10,
         "post http://127.0.0.1:28010/2026/11/late-0/#comment-1032|"
         "http://127.0.0.1:28010/2026/11/late-0/#comment-1032|-|late comment 0|Late 0|"
         "2026-11-22T05:30:28Z|-|http://127.0.0.1:28010/2026/11/late-0/|-"},
        {"ghost/feed.xml", 15,
         "post 6b02862cca439e4826d7e4cf|http://localhost:28060/feedback-number-1230/|"
         "Feedback number 1230|I wish the app had an offline mode; on the train it is "
         "useless.~~marker-1230|Ann O'Hara & Co|2026-11-22T06:05:32Z|-|-|-"},
        {"lemmy/feed.xml", 20,
         "post http://localhost:28070/post/298|http://localhost:28070/post/298|"
         "Feedback number 297|submitted by annika to feedback~1 points | 1 comments~~Lunch was "
         "fine today m297|http://localhost:28070/u/annika|2026-11-22T06:12:42Z|-|-|-"},
    };
    size_t found = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t length = 0;
        char *body = poll_recorded(rows[i].name, &length);
        const struct poll_page pages[] = {
            {"https://blog.example/feed", 200, NULL, body, length, NULL}, {0}};
        struct poll poll = new_poll(&plain_config, pages);

        if (body == NULL) {
            continue;
        }
        found++;
        poll_well(&poll);
        assert_said(&poll, rows[i].line);
        assert_int_equal(poll.posts, rows[i].posts);
        assert_int_equal(poll.rejects, 0);
        poll_clear(&poll);
        free(body);
    }
    if (found == 0) {
        print_message("skipped: no recorded feeds in %s/fixtures\n", SHARED_DIR);
        skip();
    }
}

static void an_address_without_a_host_is_told(void **state)
{
    static const struct {
        const char *url;
        size_t errors;
    } rows[] = {
        {"https://blog.example/feed", 0},
        {"HTTP://Blog.example:8080/a b", 0},
        {"http://[::1]:8080/f", 0},
        {"https://b\xc3\xbc"
         "cher.example/",
         0},
        {"ftp://blog.example/", 1},
        {"https://", 1},
        {"https://:80/", 1},
        {"https://blog.example:99999/", 1},
        {"https://blog.example:ab/", 1},
        {"http://[::1/", 1},
        {"https://our blog.example/", 1},
        {"ftp://kim:secret@blog.example/", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *config = NULL;
        struct ear_error err = {0};
        struct settings_source source = {.name = "blog"};
        void *filled = calloc(1, feed_reader.config_size);
        char yaml[200];

        assert_non_null(filled);
        assert_int_equal(config_new(&config, &err), 0);
        snprintf(yaml, sizeof yaml, "{url: \"%s\"}", rows[i].url);
        source.node = config_read_text(config, "test.yaml", yaml, &err);
        assert_non_null(source.node);
        assert_int_equal(
            config_fill(config, source.node, feed_reader.options, NULL, "source", filled), 0);
        feed_reader.check(config, &source, filled);
        if (config_errors(config) != rows[i].errors) {
            fail_msg("%s: %zu errors", rows[i].url, config_errors(config));
        }
        if (rows[i].errors > 0) {
            assert_null(strstr(config_finding_at(config, 0)->text, "secret"));
        }
        config_free(config);
        free(filled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read),
        cmocka_unit_test(an_address_without_a_host_is_told),
        cmocka_unit_test(an_entry_without_names_is_named_by_title_and_date),
        cmocka_unit_test(what_is_no_feed_is_refused_with_the_cure),
        cmocka_unit_test(texts_that_swell_keep_their_limits),
        cmocka_unit_test(only_404_and_410_make_an_entry_gone),
        cmocka_unit_test(of_equal_times_what_stood_behind_is_older),
        cmocka_unit_test(what_scrolled_off_is_not_asked_for),
        cmocka_unit_test(at_most_three_are_asked_for_and_the_rest_goes_on_after_a_304),
        cmocka_unit_test(one_that_is_there_is_asked_for_three_times_at_most),
        cmocka_unit_test(a_comment_on_its_posts_page_stays),
        cmocka_unit_test(entries_that_share_a_guid_are_known_by_their_links),
        cmocka_unit_test(comment_feeds_are_read_when_their_count_changes),
        cmocka_unit_test(a_broken_comment_feed_does_not_hold_up_the_feed),
        cmocka_unit_test(a_crash_between_pieces_loses_nothing),
        cmocka_unit_test(a_sites_address_finds_its_feed_and_that_of_its_comments),
        cmocka_unit_test(a_site_that_names_no_feed_is_tried_at_the_usual_places),
        cmocka_unit_test(a_feed_that_moved_is_found_anew),
        cmocka_unit_test(a_feed_that_turns_into_a_page_for_a_while_stays_the_feed),
        cmocka_unit_test(a_304_that_lies_is_found_out),
        cmocka_unit_test(a_page_that_is_the_same_byte_for_byte_is_not_read_again),
        cmocka_unit_test(a_page_of_which_something_was_refused_is_read_again),
        cmocka_unit_test(a_crash_between_the_steps_of_a_page_has_it_read_again),
        cmocka_unit_test(an_honest_server_stays_trusted_when_its_page_is_the_same),
        cmocka_unit_test(a_cursor_of_the_first_format_is_read_and_written_in_the_second),
        cmocka_unit_test(items_that_are_no_items_stop_the_source),
        cmocka_unit_test(a_304_on_an_address_never_read_is_asked_again),
        cmocka_unit_test(a_cursor_that_is_not_understood_stops_the_source),
        cmocka_unit_test(a_cursor_holds_nothing_of_the_addresss_secrets),
        cmocka_unit_test(probing_shows_one_page_and_keeps_nothing),
        cmocka_unit_test(recorded_feeds_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
