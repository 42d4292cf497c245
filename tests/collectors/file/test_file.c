/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/file/file.h"
#include "common/config/config.h"
#include "tests/collectors/feed/poll.h"

static const int64_t noon_us = INT64_C(1795348800000000); /* 2026-11-22 12:00 UTC */
static const int64_t hour_us = INT64_C(3600000000);

/* A folder, and a source that reads from it. */
struct world {
    char folder[64];
    struct config *config;
    void *filled;
    struct poll poll;
};

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    if (world == NULL) {
        return -1;
    }
    snprintf(world->folder, sizeof world->folder, "/tmp/earshot-file-XXXXXX");
    if (mkdtemp(world->folder) == NULL) {
        free(world);
        return -1;
    }
    *state = world;
    return 0;
}

static void drop_source(struct world *world)
{
    poll_clear(&world->poll);
    config_free(world->config);
    free(world->filled);
    world->config = NULL;
    world->filled = NULL;
}

static int close_world(void **state)
{
    struct world *world = *state;

    drop_source(world);
    for (const char *const *name =
             (const char *const[]){"a.csv", "b.csv", "a.tsv", "a.ndjson", "a.txt", "c.csv",
                                   "[a].csv", "a.mbox", NULL};
         *name != NULL; name++) {
        char path[160];

        snprintf(path, sizeof path, "%s/%s", world->folder, *name);
        (void)unlink(path);
    }
    (void)rmdir(world->folder);
    free(world);
    return 0;
}

/* Makes the source of its keys in YAML; -1: findings. */
static size_t try_source(struct world *world, const char *yaml)
{
    struct ear_error err = {0};
    const struct config_node *root = NULL;
    size_t errors = 0;

    drop_source(world);
    assert_int_equal(config_new(&world->config, &err), 0);
    root = config_read_text(world->config, "test.yaml", yaml, &err);
    assert_non_null(root);
    world->filled = calloc(1, file_reader.config_size);
    assert_non_null(world->filled);
    world->poll = (struct poll){
        .reader = &file_reader,
        .config = world->filled,
        .settings = {.base_dir = world->folder},
        .source = {.name = "survey", .use = "file", .every_us = hour_us, .node = root},
        .now_us = noon_us};
    errors = config_fill(world->config, root, file_reader.options, NULL, "source", world->filled);
    if (errors == 0) {
        file_reader.check(world->config, &world->poll.source, world->filled);
    }
    return config_errors(world->config);
}

static void set_source(struct world *world, const char *yaml)
{
    if (try_source(world, yaml) != 0) {
        fail_msg("%s", config_finding_at(world->config, 0)->text);
    }
}

static void write_bytes(const struct world *world, const char *name, const char *how,
                        const char *bytes, size_t length)
{
    char path[160];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/%s", world->folder, name);
    file = fopen(path, how);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const struct world *world, const char *name, const char *text)
{
    write_bytes(world, name, "wb", text, strlen(text));
}

static void append(const struct world *world, const char *name, const char *text)
{
    write_bytes(world, name, "ab", text, strlen(text));
}

static void poll_well(struct world *world)
{
    if (poll_run(&world->poll) != 0) {
        fail_msg("%s", world->poll.err.message);
    }
}

static void assert_said(const struct world *world, const char *line)
{
    if (!poll_said(&world->poll, line)) {
        fail_msg("not said: %s\nbut:\n%s", line, world->poll.log);
    }
}

static void cells_come_in_every_dress(void **state)
{
    static const struct {
        const char *what, *keys, *name, *bytes;
        size_t length; /* 0: a string */
        const char *lines[4];
    } rows[] = {
        {"comma, quotes, quoted line ends",
         "",
         "a.csv",
         "id,text,created_at\r\n1,\"one, \"\"two\"\"\r\nthree\",2026-11-20\r\n2,plain,\r\n",
         0,
         {"post 1|-|-|one, \"two\"~three|-|2026-11-20T00:00:00Z|-|-|-",
          "post 2|-|-|plain|-|-|-|-|-"}},
        {"semicolon found by itself, a mark",
         "",
         "a.csv",
         "\xEF\xBB\xBFid;text\n1;a, b, c\n2;d, e\n",
         0,
         {"post 1|-|-|a, b, c|-|-|-|-|-", "post 2|-|-|d, e|-|-|-|-|-"}},
        {"tab by the name", "", "a.tsv", "id\ttext\n1\ta, b\n", 0, {"post 1|-|-|a, b|-|-|-|-|-"}},
        {"bar", "", "a.csv", "id|text\n1|x\n", 0, {"post 1|-|-|x|-|-|-|-|-"}},
        {"the delimiter as said",
         ", delimiter: ':'",
         "a.csv",
         "id:text\n1:a,b,c\n",
         0,
         {"post 1|-|-|a,b,c|-|-|-|-|-"}},
        {"Excel's line", "", "a.csv", "sep=;\r\nid;text\r\n1;x\r\n", 0, {"post 1|-|-|x|-|-|-|-|-"}},
        {"old line ends, no last one",
         "",
         "a.csv",
         "id,text\r1,x\r2,y",
         0,
         {"post 1|-|-|x|-|-|-|-|-", "post 2|-|-|y|-|-|-|-|-"}},
        {"windows-1252",
         "",
         "a.csv",
         "id,text\n1,caf\xE9 \x80\n2,caf\xC3\xA9\n",
         0,
         {"post 1|-|-|caf\xC3\xA9 \xE2\x82\xAC|-|-|-|-|-", "post 2|-|-|caf\xC3\xA9|-|-|-|-|-"}},
        {"UTF-16",
         "",
         "a.csv",
         "\xFF\xFEi\0d\0,\0t\0e\0x\0t\0\n\0001\0,\0\xAC\x20=\xD8\0\xDE\n\0002\0,\0y\0",
         36,
         {"post 1|-|-|\xE2\x82\xAC\xF0\x9F\x98\x80|-|-|-|-|-", "post 2|-|-|y|-|-|-|-|-"}},
        {"broken UTF-8 among good",
         "",
         "a.csv",
         "id,text\n1,\xC3\xA4\n2,a\xFFz\n",
         0,
         {"post 1|-|-|\xC3\xA4|-|-|-|-|-", "post 2|-|-|a\xEF\xBF\xBDz|-|-|-|-|-"}},
        {"columns in other letters and order, blank lines",
         "",
         "a.csv",
         "Author , TEXT,ID\n\nJo,x,1\n,,\n",
         0,
         {"post 1|-|-|x|Jo|-|-|-|-"}},
        {"a map",
         ", scale: 10, map: {text: Comment, created_at: Date, author: Who, rating: Score, x_seg: "
         "Segment}",
         "a.csv",
         "Date,Who,Comment,Score,Segment,Mail\n20.11.2026 09:12,r1,Good,9,gold,a@b\n",
         0,
         {"more 3a1ee8b5|0.900|\"x_seg\":\"gold\""}},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char yaml[400];
        size_t lines = 0;

        print_message("%s\n", rows[i].what);
        snprintf(yaml, sizeof yaml, "{path: %s%s}", rows[i].name, rows[i].keys);
        set_source(world, yaml);
        write_bytes(world, rows[i].name, "wb", rows[i].bytes,
                    rows[i].length > 0 ? rows[i].length : strlen(rows[i].bytes));
        poll_well(world);
        for (; rows[i].lines[lines] != NULL; lines++) {
            if (strncmp(rows[i].lines[lines], "more", 4) == 0) {
                assert_non_null(strstr(world->poll.log, "|0.900|\"x_seg\":\"gold\""));
                assert_non_null(strstr(world->poll.log, "|-|-|Good|r1|2026-11-20T09:12:00Z|-|-|-"));
            } else {
                assert_said(world, rows[i].lines[lines]);
            }
        }
        if (world->poll.posts != lines || world->poll.rejects != 0) {
            fail_msg("%s", world->poll.log);
        }
    }
}

static void lines_of_json_are_posts(void **state)
{
    struct world *world = *state;

    write_file(world, "a.ndjson",
               "{\"id\":\"1\",\"text\":\"one\",\"author\":{\"id\":\"jo\",\"name\":\"Jo\"},"
               "\"created_at\":\"2026-11-20T08:00:00Z\",\"rating\":0.5,\"stars\":[4, 5],"
               "\"x_kept\":true,\"version\":7,\"engagement\":{\"likes\":3}}\n"
               "\n"
               "{\"id\":\"1\",\"text\":\"one!\",\"author\":\"jo\"}\r\n"
               "{\"id\":1,\"deleted\":true}\n"
               "{\"text\":\"no id\\u0000\"}\n"
               "{\"id\":\"2\",\"text\":\"first\",\"text\":\"last\"}\n"
               "{\"id\":\"3\",\"text\":\"bro\\ud83dken\"}\n");
    set_source(world, "{path: a.ndjson}");
    poll_well(world);
    assert_said(world, "post 1|-|-|one|Jo|2026-11-20T08:00:00Z|-|-|-");
    assert_said(world, "more 1|0.500|\"x_stars\":[4, 5],\"x_kept\":true");
    assert_said(world, "post 1|-|-|one!|jo|-|-|-|-");
    assert_said(world, "gone 1");
    assert_non_null(strstr(world->poll.log, "|no id\xEF\xBF\xBD|"));
    assert_said(world, "post 2|-|-|last|-|-|-|-|-");
    assert_said(world, "mended 2");
    assert_said(world, "mended 3");
    assert_false(poll_said(&world->poll, "mended 1"));
    assert_int_equal(world->poll.posts, 6);
    set_source(world, "{path: a.ndjson, map: {id: /author/id, text: text, x_first: /stars/0}}");
    write_file(world, "a.ndjson",
               "{\"text\":\"one\",\"author\":{\"id\":\"jo\"},\"stars\":[4],\"more\":1}");
    poll_well(world);
    assert_said(world, "post jo|-|-|one|-|-|-|-|-");
    assert_said(world, "more jo|-1.000|\"x_first\":4,\"x_stars\":[4],\"x_more\":1");
}

static void broken_rows_are_rejected_by_line_and_the_rest_is_read(void **state)
{
    static const struct {
        const char *name, *text;
        size_t posts;
        const char *rejects[4];
    } rows[] = {
        {"a.csv",
         "id,text\n1,a\n2,b,c\n3\n4,d\n",
         2,
         {"reject a.csv:3|bad_csv|3 cells, where the header has 2; quote what holds the delimiter "
          "or a line end|2,b,c",
          "reject a.csv:4|bad_csv|1 cells, where the header has 2; quote what holds the delimiter "
          "or a line end|3"}},
        {"a.csv",
         "id,text\n1,a\n2,\"open\n3,c\n4,d\n",
         3,
         {"reject a.csv:3|bad_csv|a quote that is opened and not closed|2,\"open"}},
        {"a.csv",
         "id,text\n1,\"a\nb\"\n2,\"x\" y\n",
         1,
         {"reject a.csv:4|bad_csv|text behind a closing quote; double the quotes within a cell|"
          "2,\"x\" y"}},
        {"a.csv",
         "id,text,rating,channel\n1,a,7,\n2,b,n/a,\n3,c,\"0,5\",review\n4,d,,pigeon\n5,,,\n",
         2,
         {"reject a.csv:2|bad_number|rating 7; a rating is 0 to 1, or say what the best one is, "
          "such as scale: 10|1,a,7,",
          "reject a.csv:5|schema|'pigeon' is no channel; write one of forum, blog, social, video, "
          "review, survey, frontline, helpdesk, ideas, crowd, internal|4,d,,pigeon",
          "reject a.csv:6|schema|it has neither a text nor a title nor a rating|5,,,"}},
        {"a.ndjson",
         "{\"id\":\"1\",\"text\":\"a\"}\n{\"id\":\n[1]\n{\"deleted\":true}\n"
         "{\"id\":\"2\",\"text\":{}}\n{\"id\":\"3\",\"text\":\"c\"}",
         2,
         {"reject a.ndjson:2|bad_json|byte 6: it ends inside an object|{\"id\":",
          "reject a.ndjson:3|schema|a line is a JSON object, one a line|[1]",
          "reject a.ndjson:4|schema|a deletion names its 'id'|{\"deleted\":true}",
          "reject a.ndjson:5|schema|'text' is neither a string nor a number|{\"id\":\"2\","
          "\"text\":{}}"}},
        {"a.csv",
         "name,note\n1,a\n",
         0,
         {"reject a.csv|schema|no column is named 'text'; say which it is: map: {text: COLUMN}; "
          "the columns are: name, note|"}},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char yaml[80];
        size_t rejects = 0;

        snprintf(yaml, sizeof yaml, "{path: %s}", rows[i].name);
        set_source(world, yaml);
        write_file(world, rows[i].name, rows[i].text);
        world->poll.now_us = noon_us * 2; /* nobody is writing any more */
        poll_well(world);
        for (; rejects < 4 && rows[i].rejects[rejects] != NULL; rejects++) {
            assert_said(world, rows[i].rejects[rejects]);
        }
        assert_int_equal(world->poll.rejects, rejects);
        assert_int_equal(world->poll.posts, rows[i].posts);
        poll_well(world);
        assert_int_equal(world->poll.posts + world->poll.rejects, 0); /* all is read */
    }
}

static void equal_rows_stay_apart_and_reading_again_changes_nothing(void **state)
{
    struct world *world = *state;
    char *first = NULL;

    write_file(world, "a.csv", "text,date\ngood,1\ngood,1\nbad,1\ngood,1\n");
    set_source(world, "{path: a.csv}");
    poll_well(world);
    assert_int_equal(world->poll.posts, 4);
    first = strdup(world->poll.log);
    free(world->poll.cursor);
    world->poll.cursor = NULL;
    poll_well(world);
    assert_string_equal(world->poll.log, first);
    for (const char *at = strstr(first, "post "); at != NULL; at = strstr(at + 1, "post ")) {
        char id[64];
        int size = (int)strcspn(at + 5, "|") + 1;

        snprintf(id, sizeof id, " %.*s", size, at + 5);
        assert_null(strstr(at + 5, id)); /* no other line has it */
    }
    append(world, "a.csv", "good,1\nbad,2\n"); /* the fourth equal one, after a pause */
    poll_well(world);
    assert_int_equal(world->poll.posts, 2);
    assert_non_null(strstr(world->poll.log, "-4|-|-|good|"));
    free(first);
}

static void a_file_that_grows_is_read_on(void **state)
{
    struct world *world = *state;

    set_source(world, "{path: a.csv}");
    write_file(world, "a.csv", "id,text\n1,a\n");
    poll_well(world);
    assert_int_equal(world->poll.posts, 1);
    poll_well(world);
    assert_int_equal(world->poll.posts, 0);
    append(world, "a.csv", "2,b\n3,c");
    poll_well(world);
    assert_int_equal(world->poll.posts, 2);
    append(world, "a.csv", "\n4,d\n");
    poll_well(world);
    assert_said(world, "post 3|-|-|c|-|-|-|-|-"); /* it has its end now; nothing has changed */
    assert_said(world, "post 4|-|-|d|-|-|-|-|-");
    assert_int_equal(world->poll.posts, 2);
}

static void a_last_row_that_was_not_whole_is_taken_back(void **state)
{
    struct world *world = *state;
    char line[200];

    set_source(world, "{path: a.csv}");
    write_file(world, "a.csv", "text\none\ngre");
    poll_well(world);
    assert_int_equal(world->poll.posts, 2);
    snprintf(line, sizeof line, "gone %.32s",
             strstr(strstr(world->poll.log, "|one|"), "post ") + 5);
    append(world, "a.csv", "at\nthree\n");
    poll_well(world);
    assert_said(world, line);
    assert_non_null(strstr(world->poll.log, "|great|"));
    assert_non_null(strstr(world->poll.log, "|three|"));
    assert_int_equal(world->poll.posts, 3);
    write_file(world, "a.ndjson", "{\"id\":\"1\",\"text\":\"a\"}\n{\"id\":\"2\",\"te");
    set_source(world, "{path: a.ndjson}");
    world->poll.now_us = INT64_C(1000000) * time(NULL);
    poll_well(world);
    assert_int_equal(world->poll.posts, 1);
    assert_int_equal(world->poll.rejects, 0); /* it is still being written */
    append(world, "a.ndjson", "xt\":\"b\"}\n");
    poll_well(world);
    assert_said(world, "post 2|-|-|b|-|-|-|-|-");
    assert_int_equal(world->poll.posts, 1);
}

static void a_file_that_is_replaced_or_cut_is_read_again(void **state)
{
    struct world *world = *state;
    char from[160];
    char to[160];

    snprintf(from, sizeof from, "%s/b.csv", world->folder);
    snprintf(to, sizeof to, "%s/a.csv", world->folder);
    set_source(world, "{path: a.csv}");
    write_file(world, "a.csv", "id,text\n1,a\n2,b\n");
    poll_well(world);
    write_file(world, "a.csv", "id,text\n3,c\n");
    poll_well(world);
    assert_said(world, "post 3|-|-|c|-|-|-|-|-");
    assert_int_equal(world->poll.posts, 1);
    write_file(world, "b.csv", "id,text\n3,c\n4,d\n5,e\n");
    assert_int_equal(rename(from, to), 0);
    poll_well(world);
    assert_int_equal(world->poll.posts, 3);
    write_file(world, "a.csv", "id,text\n3,C\n4,d\n5,e\n6,f\n"); /* longer, but not grown */
    poll_well(world);
    assert_int_equal(world->poll.posts, 4);
}

static void a_folder_is_watched(void **state)
{
    struct world *world = *state;

    set_source(world, "{path: '*.csv'}");
    poll_well(world);
    assert_int_equal(world->poll.posts, 0);
    write_file(world, "a.csv", "id,text\n1,a\n");
    write_file(world, "a.txt", "not matched\nby the pattern\n");
    poll_well(world);
    assert_int_equal(world->poll.posts, 1);
    write_file(world, "b.csv", "id;text\n2;b\n");
    write_file(world, "c.csv", "");
    poll_well(world);
    assert_said(world, "post 2|-|-|b|-|-|-|-|-");
    assert_int_equal(world->poll.posts, 1);
    append(world, "a.csv", "3,c\n");
    append(world, "c.csv", "id,te");
    poll_well(world);
    assert_said(world, "post 3|-|-|c|-|-|-|-|-");
    assert_int_equal(world->poll.posts, 1);
    append(world, "c.csv", "xt\n4,d\n");
    poll_well(world);
    assert_said(world, "post 4|-|-|d|-|-|-|-|-");
    set_source(world, "{path: '.'}"); /* a folder stands for the files in it */
    world->poll.now_us *= 2;
    poll_well(world);
    assert_int_equal(world->poll.posts, 4);
    assert_int_equal(world->poll.rejects, 1); /* a.txt */
}

static void a_file_may_be_called_like_a_pattern(void **state)
{
    struct world *world = *state;

    write_file(world, "[a].csv", "id,text\n1,a\n");
    set_source(world, "{path: '[a].csv'}");
    poll_well(world);
    assert_int_equal(world->poll.posts, 1);
}

static void a_missing_file_is_waited_for(void **state)
{
    struct world *world = *state;

    set_source(world, "{path: nowhere.csv}");
    assert_int_equal(poll_run(&world->poll), -1);
    assert_int_equal(world->poll.err.kind, EAR_RETRY);
    assert_string_equal(world->poll.err.message,
                        "there is no file 'nowhere.csv'; mend 'path', or put it there");
}

/* A poll by somebody whom permissions bind: by nobody, where the tests are run as root. */
static int poll_bound(struct world *world)
{
    bool root = geteuid() == 0;
    int result = -1;

    if (root) {
        assert_int_equal(seteuid(65534), 0);
    }
    result = poll_run(&world->poll);
    if (root) {
        assert_int_equal(seteuid(0), 0);
    }
    return result;
}

static void set_mode(const struct world *world, const char *name, mode_t mode)
{
    char path[160];

    snprintf(path, sizeof path, "%s/%s", world->folder, name);
    assert_int_equal(chmod(path, mode), 0);
}

static void what_may_not_be_read_is_told_and_read_once_it_may(void **state)
{
    struct world *world = *state;

    set_mode(world, ".", 0755);
    write_file(world, "a.csv", "id,text\n1,a\n");
    write_file(world, "b.csv", "id,text\n2,b\n");
    set_mode(world, "b.csv", 0);
    set_source(world, "{path: '*.csv'}");
    assert_int_equal(poll_bound(world), 0);
    assert_said(world, "post 1|-|-|a|-|-|-|-|-");
    assert_int_equal(world->poll.rejects, 1);
    assert_int_equal(poll_bound(world), 0);
    assert_int_equal(world->poll.rejects, 0);
    set_mode(world, "b.csv", 0644);
    assert_int_equal(poll_bound(world), 0);
    assert_said(world, "post 2|-|-|b|-|-|-|-|-");
}

static void a_folder_that_may_not_be_read_is_told(void **state)
{
    static const char *const paths[] = {"{path: '*.csv'}", "{path: '.'}", "{path: a.csv}"};
    struct world *world = *state;

    write_file(world, "a.csv", "id,text\n1,a\n");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        set_source(world, paths[i]);
        set_mode(world, ".", 0);
        assert_int_equal(poll_bound(world), -1);
        set_mode(world, ".", 0755);
        assert_int_equal(world->poll.err.kind, EAR_RETRY);
        assert_non_null(strstr(world->poll.err.message, "permission denied"));
        assert_int_equal(poll_bound(world), 0);
        assert_said(world, "post 1|-|-|a|-|-|-|-|-");
    }
}

static void a_change_of_the_map_reads_all_again(void **state)
{
    struct world *world = *state;
    char *cursor = NULL;

    write_file(world, "a.csv", "id,text,note\n1,a,b\n");
    set_source(world, "{path: a.csv}");
    poll_well(world);
    cursor = strdup(world->poll.cursor);
    set_source(world, "{path: a.csv, map: {id: id, text: note}}");
    world->poll.cursor = cursor;
    poll_well(world);
    assert_said(world, "post 1|-|-|b|-|-|-|-|-");
    poll_well(world);
    assert_int_equal(world->poll.posts, 0);
}

static void recorded_times_are_shifted_once(void **state)
{
    struct world *world = *state;

    write_file(world, "a.csv", "id,text,created_at\n1,a,2026-06-30T12:00:00Z\n");
    set_source(world, "{path: a.csv, recorded: 2026-06-30T12:00:00Z}");
    poll_well(world);
    assert_said(world, "post 1|-|-|a|-|2026-11-22T12:00:00Z|-|-|-");
    append(world, "a.csv", "2,b,2026-06-30T11:00:00Z\n");
    world->poll.now_us += 24 * hour_us;
    poll_well(world);
    assert_said(world, "post 2|-|-|b|-|2026-11-22T11:00:00Z|-|-|-");
}

/* Whatever step the process dies after, the next poll goes on from there: nothing twice, nothing
 * lost, and the same ids as in one go. */
static void a_crash_between_pieces_loses_and_doubles_nothing(void **state)
{
    enum { COUNT = 2100 };
    struct world *world = *state;
    size_t steps = 0;
    size_t last = 0;

    write_file(world, "a.csv", "text,n\n");
    for (int i = 0; i < COUNT; i++) {
        char row[40];

        snprintf(row, sizeof row, "row,%d\n", i % 700);
        append(world, "a.csv", row);
    }
    set_source(world, "{path: a.csv}");
    poll_well(world);
    assert_int_equal(world->poll.posts, COUNT);
    assert_non_null(strstr(world->poll.log, "-3|-|-|row|"));
    steps = world->poll.steps;
    assert_in_range(steps, COUNT / 200, COUNT / 200 + 4);
    for (size_t crash = 1; crash < steps; crash++) {
        free(world->poll.cursor);
        world->poll.cursor = NULL;
        world->poll.crash_after = crash;
        poll_well(world);
        last = world->poll.posts;
        world->poll.crash_after = 0;
        poll_well(world);
        assert_int_equal(world->poll.posts + last, COUNT);
        if (last <= 1400) {
            assert_non_null(strstr(world->poll.log, "-3|-|-|row|"));
        }
        assert_null(strstr(world->poll.log, "-4|-|-|row|"));
    }
}

static void a_row_too_long_is_passed_over(void **state)
{
    enum { LONG = 3 * 1024 * 1024 };
    struct world *world = *state;
    char *bytes = malloc(LONG);

    assert_non_null(bytes);
    memset(bytes, 'x', LONG);
    for (int quoted = 0; quoted < 2; quoted++) {
        write_file(world, "a.csv", quoted ? "id,text\n1,a\n2,\"" : "id,text\n1,a\n2,");
        write_bytes(world, "a.csv", "ab", bytes, LONG);
        append(world, "a.csv", quoted ? "\"\n3,c\n" : "\n3,c\n");
        set_source(world, "{path: a.csv}");
        poll_well(world);
        assert_int_equal(world->poll.posts, 2);
        assert_int_equal(world->poll.rejects, 1);
        assert_non_null(strstr(world->poll.log, "reject a.csv:3|too_large|"));
        assert_said(world, "post 3|-|-|c|-|-|-|-|-");
    }
    free(bytes);
}

static void a_wrong_configuration_is_told_with_its_cure(void **state)
{
    static const struct {
        const char *yaml, *text;
    } rows[] = {
        {"{path: a.csv, map: {txt: Comment}}",
         "a post has no field 'txt': did you mean 'text'?; your own begin with x_"},
        {"{path: a.csv, map: {mood: Comment}}",
         "a post has no field 'mood': text, title, created_at, …; your own begin with x_"},
        {"{path: 'in/**/*.csv'}",
         "not built yet: '**' for folders of any depth; write each depth, such as surveys/*/*.csv"},
        {"{path: a.csv, map: [text]}",
         "a map names a column for each field, such as {text: Comment}"},
        {"{path: a.csv, map: {text: {}}}", "write the name of a column"},
        {"{path: a.csv, delimiter: ab}", "'ab' is no delimiter; write one character, tab, or auto"},
        {"{path: a.csv, scale: 0}", "a scale is a number above 0, such as 5 or 10"},
        {"{path: a.csv, recorded: yesterday}",
         "'yesterday' is no instant; write one such as 2026-06-30T12:00:00Z"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(try_source(world, rows[i].yaml), 1);
        assert_string_equal(config_finding_at(world->config, 0)->text, rows[i].text);
    }
}

static void a_cursor_that_is_not_understood_stops_the_source(void **state)
{
    static const char *const cursors[] = {"{\"v\":2}", "[]", "{", "{\"v\":1,\"files\":[{}]}"};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        set_source(world, "{path: a.csv}");
        world->poll.cursor = strdup(cursors[i]);
        assert_int_equal(poll_run(&world->poll), -1);
        assert_int_equal(world->poll.err.kind, EAR_CONFIG);
        assert_memory_equal(world->poll.err.message, "cursor: ", 8);
    }
}

/* --- mbox --- */

static const char two_mails[] =
    "From kim@x.example Fri Nov 20 08:00:00 2026\n"
    "Message-ID: <one@x.example>\n"
    "From: =?utf-8?Q?Kim_M=C3=BCller?= <kim@x.example>\n"
    "Date: Fri, 20 Nov 2026 09:00:00 +0100 (CET)\n"
    "Subject: =?UTF-8?B?w4RyZ2Vy?=\n"
    " =?iso-8859-1?q?_&_Lob?=\n"
    "Content-Type: multipart/mixed; boundary=\"b1\"\n"
    "\n"
    "not for eyes\n"
    "--b1\n"
    "Content-Type: multipart/alternative; boundary=b2\n"
    "\n"
    "--b2\n"
    "Content-Type: text/html\n\n<p>as HTML</p>\n"
    "--b2\n"
    "Content-Type: text/plain; charset=iso-8859-1\n"
    "Content-Transfer-Encoding: quoted-printable\n"
    "\n"
    "Caf=E9 is =\ngreat\n"
    "On Thu, we wrote:\n"
    "> what do you think?\n"
    "\n"
    ">From my side: yes\n"
    "-- \n"
    "Kim, +49 30\n"
    "--b2--\n"
    "--b1\n"
    "Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nattached\n"
    "--b1--\n"
    "\n"
    "From lee@y.example Fri Nov 20 10:00:00 2026\r\n"
    "message-id: <two@y.example>\r\n"
    "from: lee@y.example\r\n"
    "in-reply-to: <one@x.example>\r\n"
    "references: <zero@x.example> <one@x.example>\r\n"
    "subject: a <b> & c\r\n"
    "content-type: text/html; charset=utf-8\r\n"
    "content-transfer-encoding: base64\r\n"
    "\r\n"
    "PHA+Tm8gPGI+YmF0dGVy\r\neTwvYj48L3A+\r\n";

static void messages_of_an_mbox_are_posts(void **state)
{
    struct world *world = *state;

    set_source(world, "{path: a.mbox, map: {x_to: To, x_date: Date}}");
    write_file(world, "a.mbox", two_mails);
    poll_well(world);
    assert_int_equal(world->poll.posts, 2);
    assert_said(world, "post one@x.example|-|\xC3\x84rger & Lob|Caf\xC3\xA9 is great~~From my "
                       "side: yes|Kim M\xC3\xBCller|2026-11-20T08:00:00Z|-|-|-");
    assert_said(world, "more one@x.example|-1.000|\"x_date\":\"Fri, 20 Nov 2026 09:00:00 +0100 "
                       "(CET)\"");
    assert_said(world,
                "post two@y.example|-|a <b> & c|No battery|lee@y.example|-|-|one@x.example|-");
    poll_well(world);
    assert_int_equal(world->poll.posts, 0);
}

static void an_mbox_that_grows_is_read_on_and_half_a_message_waits(void **state)
{
    struct world *world = *state;
    size_t half = 500; /* inside the first */
    char part[sizeof two_mails];

    set_source(world, "{path: a.mbox}");
    snprintf(part, sizeof part, "%.*s", (int)half, two_mails);
    write_file(world, "a.mbox", part);
    world->poll.now_us = (int64_t)time(NULL) * 1000000; /* it was written just now */
    poll_well(world);
    assert_int_equal(world->poll.posts, 0);
    append(world, "a.mbox", two_mails + half);
    poll_well(world);
    assert_int_equal(world->poll.posts, 1);
    world->poll.now_us += hour_us;
    poll_well(world);
    assert_int_equal(world->poll.posts, 1);
    append(world, "a.mbox",
           "\nFrom x Fri Nov 20 10:00:00 2026\nSubject: three\n\nFrom here\n"
           "text goes on\n");
    world->poll.now_us += hour_us;
    poll_well(world);
    assert_int_equal(world->poll.posts, 2); /* the last one is told again, as it was */
    assert_int_equal(world->poll.rejects, 0);
    poll_well(world);
    assert_int_equal(world->poll.posts, 0);
}

static void a_message_with_a_large_attachment_is_read(void **state)
{
    struct world *world = *state;
    static char line[] =
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
    size_t size = 5 * 1024 * 1024;
    char *attachment = malloc(size + sizeof line);

    assert_non_null(attachment);
    for (size_t i = 0; i < size; i += sizeof line - 1) {
        memcpy(attachment + i, line, sizeof line);
    }
    set_source(world, "{path: a.mbox}");
    write_file(world, "a.mbox",
               "From x Fri Nov 20 10:00:00 2026\nMessage-ID: <big@x>\n"
               "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nlook at this\n--b\n"
               "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n");
    append(world, "a.mbox", attachment);
    append(world, "a.mbox",
           "--b--\n\nFrom y Fri Nov 20 10:00:00 2026\nMessage-ID: <small@x>\n\n"
           "and this\n");
    free(attachment);
    poll_well(world);
    assert_said(world, "post big@x|-|-|look at this|-|-|-|-|-");
    assert_said(world, "post small@x|-|-|and this|-|-|-|-|-");
    assert_int_equal(world->poll.posts, 2);
    assert_int_equal(world->poll.rejects, 0);
}

static void what_is_no_mbox_is_rejected_and_what_follows_read(void **state)
{
    struct world *world = *state;

    set_source(world, "{path: a.mbox}");
    write_file(
        world, "a.mbox",
        "junk\nmore junk\n\nFrom y Fri Nov 20 10:00:00 2026\n\n"
        "a message without any header\n\nFrom z Fri Nov 20 10:00:00 2026\nSubject: =?x?Q?=4\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nno end");
    poll_well(world);
    assert_int_equal(world->poll.rejects, 1);
    assert_int_equal(world->poll.posts, 2);
    assert_non_null(strstr(world->poll.log, "reject a.mbox:1|bad_mbox|"));
    assert_non_null(strstr(world->poll.log, "|a message without any header|"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_an_mbox_are_posts, open_world, close_world),
        cmocka_unit_test_setup_teardown(an_mbox_that_grows_is_read_on_and_half_a_message_waits,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(a_message_with_a_large_attachment_is_read, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(what_is_no_mbox_is_rejected_and_what_follows_read,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(cells_come_in_every_dress, open_world, close_world),
        cmocka_unit_test_setup_teardown(lines_of_json_are_posts, open_world, close_world),
        cmocka_unit_test_setup_teardown(broken_rows_are_rejected_by_line_and_the_rest_is_read,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(equal_rows_stay_apart_and_reading_again_changes_nothing,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(a_file_that_grows_is_read_on, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_last_row_that_was_not_whole_is_taken_back, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_file_that_is_replaced_or_cut_is_read_again, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_folder_is_watched, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_file_may_be_called_like_a_pattern, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_missing_file_is_waited_for, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_may_not_be_read_is_told_and_read_once_it_may,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(a_folder_that_may_not_be_read_is_told, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_change_of_the_map_reads_all_again, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(recorded_times_are_shifted_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_crash_between_pieces_loses_and_doubles_nothing,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(a_row_too_long_is_passed_over, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_wrong_configuration_is_told_with_its_cure, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_cursor_that_is_not_understood_stops_the_source,
                                        open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
