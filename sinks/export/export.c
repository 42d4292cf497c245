/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/export/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/command/command.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/settings/settings.h"
#include "sinks/export/csv.h"
#include "sinks/store/store.h"
#include "sinks/trends/feed.h"
#include "sinks/trends/view.h"

enum { WRITER_BYTES = 8 * 1024 * 1024, NUMBER_SIZE = 32 };

/* The rows that a filter lets through; NULL-like while there is none. */
struct picked {
    int64_t *rows; /* sorted */
    size_t count, room;
    bool all;
};

struct export
{
    struct view view;
    struct picked picked;
    struct json_writer *writer;
    struct json *json;
    bool csv;
};

/* --- which posts --- */

static int pick(void *user, const struct view_post *post, struct ear_error *err)
{
    struct picked *picked = user;

    if (picked->count == picked->room) {
        size_t room = picked->room == 0 ? 1024 : 2 * picked->room;
        int64_t *more = realloc(picked->rows, room * sizeof *more);

        if (more == NULL) {
            ear_fail_memory(err, "the posts of an export");
            return -1;
        }
        picked->rows = more;
        picked->room = room;
    }
    picked->rows[picked->count++] = post->row;
    return 0;
}

static int compare_rows(const void *left, const void *right)
{
    int64_t one = *(const int64_t *)left;
    int64_t other = *(const int64_t *)right;

    return one < other ? -1 : one > other;
}

static bool is_picked(const struct picked *picked, int64_t row)
{
    return picked->all || (picked->count > 0 && bsearch(&row, picked->rows, picked->count,
                                                        sizeof row, compare_rows) != NULL);
}

static bool is_filtered(const struct view_options *options)
{
    const char *const given[] = {options->brand,   options->competitor, options->label,
                                 options->theme,   options->touchpoint, options->segment,
                                 options->channel, options->source,     options->tag,
                                 options->lang,    options->contains,   options->ask,
                                 options->since,   options->until};

    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i] != NULL) {
            return true;
        }
    }
    return strcmp(options->audience, "all") != 0 && strcmp(options->audience, "public") != 0;
}

/* --- one post --- */

static void json_text(struct json_writer *writer, const char *key, const char *text)
{
    json_write_key(writer, key);
    json_write_string(writer, text);
}

static void json_instant(struct json_writer *writer, const char *key, const struct store_rows *rows,
                         int column)
{
    char text[INSTANT_SIZE];

    json_text(writer, key,
              store_is_null(rows, column) ? NULL
                                          : instant_format(text, store_get_integer(rows, column)));
}

static void json_score(struct json_writer *writer, const char *key, const struct store_rows *rows,
                       int column)
{
    json_write_key(writer, key);
    if (store_is_null(rows, column)) {
        json_write_null(writer);
    } else {
        json_write_number(writer, store_get_number(rows, column), 9);
    }
}

static const char *or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static int write_json(struct export *export, const struct store_rows *rows, struct ear_error *err)
{
    struct json_writer *writer = export->writer;
    size_t length = 0;
    const char *text = store_get_text(rows, 10, &length);

    json_writer_reset(writer);
    json_write_object(writer);
    json_text(writer, "id", store_get_text(rows, 0, NULL));
    json_text(writer, "source", or_null(store_get_text(rows, 1, NULL)));
    json_text(writer, "url", store_get_text(rows, 2, NULL));
    json_text(writer, "title", store_get_text(rows, 3, NULL));
    json_text(writer, "text", store_get_text(rows, 4, NULL));
    json_write_key(writer, "author");
    json_write_object(writer);
    json_text(writer, "id", or_null(store_get_text(rows, 5, NULL)));
    json_text(writer, "name", store_get_text(rows, 6, NULL));
    json_write_object_end(writer);
    json_text(writer, "thread", store_get_text(rows, 7, NULL));
    json_instant(writer, "created_at", rows, 8);
    json_instant(writer, "edited_at", rows, 9);
    json_write_key(writer, "labels");
    json_write_raw(writer, text, length);
    json_score(writer, "wish", rows, 11);
    json_score(writer, "complaint", rows, 12);
    json_score(writer, "praise", rows, 13);
    json_member_integer(writer, "version", store_get_integer(rows, 14));
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text == NULL) {
        return -1;
    }
    fwrite(text, 1, length, stdout);
    fputc('\n', stdout);
    return 0;
}

static void csv_instant(const struct store_rows *rows, int column)
{
    char text[INSTANT_SIZE];

    csv_text(stdout, store_is_null(rows, column)
                         ? NULL
                         : instant_format(text, store_get_integer(rows, column)));
}

static void csv_score(const struct store_rows *rows, int column)
{
    char digits[NUMBER_SIZE] = "";

    if (!store_is_null(rows, column)) {
        snprintf(digits, sizeof digits, "%.9g", store_get_number(rows, column));
    }
    csv_number(stdout, digits);
}

/* A list in one cell: its labels, a blank between. */
static int csv_labels(struct export *export, const struct store_rows *rows, struct ear_error *err)
{
    char cell[512] = "";
    size_t used = 0;
    size_t length = 0;
    const char *text = store_get_text(rows, 10, &length);
    const struct json_node *root = json_read(export->json, text, length, &json_limits_default, err);

    if (root == NULL) {
        return -1;
    }
    for (const struct json_node *item = json_first(root); item != NULL && used < sizeof cell - 1;
         item = json_next(item)) {
        used += (size_t)snprintf(cell + used, sizeof cell - used, "%s%s", used > 0 ? " " : "",
                                 json_string(item, NULL));
    }
    csv_text(stdout, cell);
    return 0;
}

static int write_csv(struct export *export, const struct store_rows *rows, struct ear_error *err)
{
    csv_first(stdout, store_get_text(rows, 0, NULL));
    for (int column = 1; column <= 7; column++) {
        csv_text(stdout, store_get_text(rows, column, NULL));
    }
    csv_instant(rows, 8);
    csv_instant(rows, 9);
    if (csv_labels(export, rows, err) != 0) {
        return -1;
    }
    csv_score(rows, 11);
    csv_score(rows, 12);
    csv_score(rows, 13);
    csv_integer(stdout, store_get_integer(rows, 14));
    csv_end(stdout);
    return 0;
}

static int write_row(struct export *export, int64_t row, struct ear_error *err)
{
    struct store_value values[] = {store_integer(row)};
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, export->view.store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        there = (export->csv ? write_csv(export, rows, err) : write_json(export, rows, err)) != 0
                    ? -1
                    : 1;
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* --- all of them --- */

static int write_posts(struct export *export, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (export->view.store == NULL) {
        return 0;
    }
    if (store_select(&rows, export->view.store, QUERY_INSIGHT_BY_ID, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        int64_t row = store_get_integer(rows, 0);

        if (is_picked(&export->picked, row) && write_row(export, row, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static int pick_posts(struct export *export, const struct view_options *options,
                      struct ear_error *err)
{
    export->picked.all = !is_filtered(options);
    if (export->picked.all) {
        return 0;
    }
    if (view_walk(&export->view, export->view.since_us, export->view.until_us, pick,
                  &export->picked, err) != 0) {
        return -1;
    }
    if (export->picked.count > 0) {
        qsort(export->picked.rows, export->picked.count, sizeof(int64_t), compare_rows);
    }
    return 0;
}

static int export_posts(const struct command_call *call, struct ear_error *err)
{
    static const char *const heads[] = {"id",         "source",    "url",         "title",
                                        "text",       "author.id", "author.name", "thread",
                                        "created_at", "edited_at", "labels",      "wish",
                                        "complaint",  "praise",    "version"};
    struct export export = {.csv = call->output == OUTPUT_CSV};
    int result = -1;

    result = view_open(&export.view, call, true, err);
    if (result != 0) {
        return result;
    }
    result = -1;
    if (strcmp(((const struct view_options *)call->options)->audience, "public") == 0) {
        export.view.audience = -1; /* the audit door: all of them, unless one is asked for */
    }
    if (json_writer_new(&export.writer, WRITER_BYTES, err) != 0 ||
        json_new(&export.json, err) != 0 || pick_posts(&export, call->options, err) != 0) {
        goto done;
    }
    if (export.csv) {
        csv_head(stdout, heads, sizeof heads / sizeof heads[0]);
    }
    result = write_posts(&export, err) == 0 ? EXIT_DONE : -1;

done:
    free(export.picked.rows);
    json_writer_free(export.writer);
    json_free(export.json);
    view_close(&export.view);
    return result;
}

static int export_feed(const struct command_call *call, struct ear_error *err)
{
    const struct view_options *options = call->options;
    enum feed_form form = strcmp(options->feed, "atom") == 0 ? FEED_ATOM : FEED_JSON;
    struct view view = {0};
    char *text = NULL;
    int code = 0;

    if (strcmp(options->feed, "atom") != 0 && strcmp(options->feed, "json") != 0) {
        return command_misused(call, "--feed is atom or json");
    }
    code = view_open(&view, call, false, err);
    if (code != 0) {
        return code;
    }
    {
        struct feed_config feed = {.store = view.store, .zone = view.zone};

        text = feed_text(&feed, form, view.now_us, err);
    }
    if (text != NULL) {
        fputs(text, stdout);
    }
    free(text);
    view_close(&view);
    return text == NULL ? -1 : EXIT_DONE;
}

int export_command(const struct command_call *call, struct ear_error *err)
{
    static const struct {
        const char *name;
        int (*run)(const struct command_call *call, struct ear_error *err);
    } views[] = {
        {"posts", export_posts},    {"trends", trends_command},
        {"wishes", wishes_command}, {"complaints", complaints_command},
        {"praise", praise_command},
    };
    const struct view_options *options = call->options;
    struct command_call data = *call;

    /* What is exported is for programs, on a terminal too. */
    data.output = call->output == OUTPUT_CSV ? OUTPUT_CSV : OUTPUT_JSON;
    if (options->feed != NULL) {
        return strcmp(call->arguments[0], "trends") == 0
                   ? export_feed(&data, err)
                   : command_misused(call, "--feed belongs to export trends");
    }
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        if (strcmp(views[i].name, call->arguments[0]) == 0) {
            return views[i].run(&data, err);
        }
    }
    return command_misused(call, "no view '%s'; posts, trends, wishes, complaints or praise",
                           call->arguments[0]);
}
