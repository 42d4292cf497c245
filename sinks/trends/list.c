/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot wishes`, `complaints`, `praise`, and the posts behind a trend: one row a post, newest
 * first, until clusters gather them. Copies and our own posts are no askers: left out.
 */
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "sinks/export/csv.h"
#include "sinks/names.h"
#include "sinks/trends/view_internal.h"

enum { WRITER_BYTES = 4 * 1024 * 1024, TITLE_POINTS = 120 };

struct entry {
    int64_t row, created_us;
};

struct list {
    const struct view *view;
    const char *label;     /* NULL: all */
    int64_t label_number;  /* WORD_ANY: all; WORD_UNSAID: nobody said it yet */
    struct entry *entries; /* [count] */
    size_t count, room, copies;
    struct json *json;
    struct json_writer *writer;
};

static bool has_label(const struct list *list, const struct view_post *post)
{
    for (size_t i = 0; i < post->label_count; i++) {
        if (post->labels[i] == list->label_number) {
            return true;
        }
    }
    return list->label_number == WORD_ANY;
}

static int take_post(void *user, const struct view_post *post, struct ear_error *err)
{
    struct list *list = user;

    if (!has_label(list, post)) {
        return 0;
    }
    if (post->person == 0) {
        list->copies++;
        return 0;
    }
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 256 : 2 * list->room;
        struct entry *more = realloc(list->entries, room * sizeof *more);

        if (more == NULL) {
            ear_fail_memory(err, "a list of posts");
            return -1;
        }
        list->entries = more;
        list->room = room;
    }
    list->entries[list->count++] = (struct entry){post->row, post->created_us};
    return 0;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *one = left;
    const struct entry *other = right;

    if (one->created_us != other->created_us) {
        return one->created_us > other->created_us ? -1 : 1;
    }
    return one->row > other->row ? -1 : one->row < other->row;
}

/* Text in one line, cut; caller frees. */
static char *one_line(const char *text, struct ear_error *err)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);

    if (stream == NULL) {
        ear_fail_memory(err, "a title");
        return NULL;
    }
    print_cut(stream, text, TITLE_POINTS);
    fclose(stream);
    return out;
}

/* What a row is called: the ask in the customer's words; else the title; else how the text begins.
 * A table has the text before the title: what was said, not under which heading. */
static char *title_of(struct list *list, const struct store_rows *rows, bool said_first,
                      struct ear_error *err)
{
    size_t length = 0;
    const char *body = store_get_text(rows, 17, &length);
    const struct json_node *root = json_read(list->json, body, length, &json_limits_default, err);
    const char *choices[3] = {NULL, store_get_text(rows, said_first ? 4 : 3, NULL),
                              store_get_text(rows, said_first ? 3 : 4, NULL)};

    if (root == NULL) {
        return NULL;
    }
    choices[0] = json_string(json_pointer(root, "/insight/ask"), NULL);
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (choices[i] != NULL && choices[i][0] != '\0') {
            return one_line(choices[i], err);
        }
    }
    return one_line("", err);
}

static void write_raw(struct json_writer *writer, const char *key, const char *json)
{
    json_write_key(writer, key);
    if (json == NULL) {
        json_write_null(writer);
    } else {
        json_write_raw(writer, json, strlen(json));
    }
}

static void write_string(struct json_writer *writer, const char *key, const char *text)
{
    json_write_key(writer, key);
    json_write_string(writer, text);
}

static void write_counts(struct json_writer *writer, int64_t one)
{
    json_member_integer(writer, "posts", one);
    json_member_integer(writer, "people", one);
    json_member_integer(writer, "conversations", one);
}

static void write_entry(struct list *list, const struct store_rows *rows, const char *title)
{
    struct json_writer *writer = list->writer;
    const char *id = store_get_text(rows, 0, NULL);
    char at[INSTANT_SIZE];

    instant_format(at, store_get_integer(rows, 8));
    json_write_object(writer);
    write_string(writer, "key", id);
    write_string(writer, "title", title);
    write_string(writer, "label", list->label);
    write_counts(writer, 1);
    json_write_key(writer, "before");
    json_write_object(writer);
    write_counts(writer, 0);
    json_write_object_end(writer);
    write_string(writer, "first_at", at);
    write_string(writer, "last_at", at);
    json_write_key(writer, "sample");
    json_write_array(writer);
    json_write_string(writer, id);
    json_write_array_end(writer);
    write_string(writer, "url", store_get_text(rows, 2, NULL));
    write_string(writer, "text", store_get_text(rows, 4, NULL));
    write_string(writer, "source", store_get_text(rows, 1, NULL));
    write_string(writer, "channel", store_get_text(rows, 15, NULL));
    write_string(writer, "lang", store_get_text(rows, 16, NULL));
    write_raw(writer, "labels", store_get_text(rows, 10, NULL));
    json_write_object_end(writer);
}

static void csv_entry(const struct store_rows *rows, const char *label, const char *title)
{
    char at[INSTANT_SIZE];

    csv_first(stdout, store_get_text(rows, 0, NULL));
    csv_text(stdout, title);
    csv_text(stdout, label);
    csv_integer(stdout, 1);
    csv_integer(stdout, 1);
    csv_integer(stdout, 1);
    csv_text(stdout, instant_format(at, store_get_integer(rows, 8)));
    csv_text(stdout, store_get_text(rows, 2, NULL));
    csv_text(stdout, store_get_text(rows, 4, NULL));
    csv_text(stdout, store_get_text(rows, 1, NULL));
    csv_text(stdout, store_get_text(rows, 15, NULL));
    csv_text(stdout, store_get_text(rows, 16, NULL));
    csv_end(stdout);
}

static void table_entry(const struct list *list, const struct store_rows *rows, const char *title,
                        bool colour)
{
    int width = print_width();
    const char *url = store_get_text(rows, 2, NULL);
    char day[INSTANT_SIZE];

    printf("%s  ", print_day(day, sizeof day, list->view, store_get_integer(rows, 8)));
    print_cell(stdout, store_get_text(rows, 1, NULL), 16);
    fputs("  ", stdout);
    print_cut(stdout, title, width - 30);
    printf("\n%*s", 12, "");
    fputs(colour ? "\033[2m" : "", stdout);
    print_cut(stdout, url != NULL ? url : store_get_text(rows, 0, NULL), 4096);
    printf("%s\n", colour ? "\033[0m" : "");
}

static int show_entry(struct list *list, const struct command_call *call, size_t index,
                      struct ear_error *err)
{
    struct store_value values[] = {store_integer(list->entries[index].row)};
    struct store_rows *rows = NULL;
    char *title = NULL;
    int there = 0;

    if (store_select(&rows, list->view->store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        title = title_of(list, rows, call->output == OUTPUT_TABLE, err);
        there = title == NULL ? -1 : 1;
    }
    if (there == 1 && call->output == OUTPUT_JSON) {
        write_entry(list, rows, title);
        there = print_flush(list->writer, stdout, err) != 0 ? -1 : 1;
        /* The writer was reset: the comma between two rows is ours. */
        fputs(index + 1 < list->count ? "," : "", stdout);
    } else if (there == 1 && call->output == OUTPUT_CSV) {
        csv_entry(rows, list->label, title);
    } else if (there == 1) {
        table_entry(list, rows, title, call->colour);
    }
    free(title);
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static const char *noun(const char *label, size_t count)
{
    static const char *const nouns[][3] = {{"wish", "wish", "wishes"},
                                           {"complaint", "complaint", "complaints"},
                                           {"praise", "post of praise", "posts of praise"}};

    for (size_t i = 0; label != NULL && i < sizeof nouns / sizeof nouns[0]; i++) {
        if (strcmp(nouns[i][0], label) == 0) {
            return nouns[i][count == 1 ? 1 : 2];
        }
    }
    return count == 1 ? "post" : "posts";
}

static void head(struct list *list, const struct command_call *call,
                 const struct view_complete *complete)
{
    static const char *const heads[] = {"key",    "title",         "label",    "posts",
                                        "people", "conversations", "first_at", "url",
                                        "text",   "source",        "channel",  "lang"};
    struct ear_error err = {0};

    if (call->output == OUTPUT_JSON) {
        print_head(list->writer, list->view, complete);
        if (print_flush(list->writer, stdout, &err) != 0) {
            return;
        }
    } else if (call->output == OUTPUT_CSV) {
        csv_head(stdout, heads, sizeof heads / sizeof heads[0]);
    } else {
        const char *bold = call->colour ? "\033[1m" : "";
        const char *plain = call->colour ? "\033[0m" : "";
        const char *name = noun(list->label, list->count);

        if (list->count == 0) {
            printf("%sNo %s in this period.%s%s\n", bold, name, plain,
                   list->view->options->since == NULL ? " A longer one: --since 180d" : "");
        } else {
            printf("%s%zu %s, newest first.%s\n\n", bold, list->count, name, plain);
        }
    }
}

static void foot(const struct list *list, const struct command_call *call, size_t shown,
                 const struct view_complete *complete)
{
    char rule[96];

    if (call->output == OUTPUT_JSON) {
        fputs("]}\n", stdout);
    } else if (call->output == OUTPUT_TABLE) {
        if (shown < list->count) {
            printf("… and %zu more: --limit 0 shows all\n", list->count - shown);
        }
        snprintf(rule, sizeof rule, "Left out: %zu %s, and our own accounts.", list->copies,
                 list->copies == 1 ? "copy" : "copies");
        print_foot(stdout, list->view, complete, rule);
    }
}

static int show(struct list *list, const struct command_call *call, struct ear_error *err)
{
    struct view_complete *complete = malloc(sizeof *complete);
    size_t shown = list->count;
    int result = -1;

    if (complete == NULL) {
        ear_fail_memory(err, "the sources");
        return -1;
    }
    if (view_completeness(complete, list->view, err) != 0) {
        goto done;
    }
    if (call->output == OUTPUT_TABLE && list->view->options->limit > 0 &&
        shown > (size_t)list->view->options->limit) {
        shown = (size_t)list->view->options->limit;
    }
    head(list, call, complete);
    for (size_t i = 0; i < shown; i++) {
        if (show_entry(list, call, i, err) != 0) {
            goto done;
        }
    }
    foot(list, call, shown, complete);
    result = 0;

done:
    free(complete);
    return result;
}

int list_command(const struct command_call *call, const char *label, struct ear_error *err)
{
    struct view view = {0};
    struct list list = {.view = &view, .label = label, .label_number = WORD_ANY};
    int result = -1;

    result = view_open(&view, call, false, err);
    if (result != 0) {
        return result;
    }
    result = -1;
    if (label != NULL && view.store != NULL) {
        list.label_number = names_find(view.store, label, err);
        if (list.label_number == -2) {
            goto done;
        }
    }
    if (json_new(&list.json, err) != 0 || json_writer_new(&list.writer, WRITER_BYTES, err) != 0 ||
        view_walk(&view, view.since_us, view.until_us, take_post, &list, err) != 0) {
        goto done;
    }
    if (list.count > 0) {
        qsort(list.entries, list.count, sizeof list.entries[0], compare_entries);
    }
    result = show(&list, call, err) == 0 ? EXIT_DONE : -1;

done:
    free(list.entries);
    json_free(list.json);
    json_writer_free(list.writer);
    view_close(&view);
    return result;
}

int wishes_command(const struct command_call *call, struct ear_error *err)
{
    return list_command(call, "wish", err);
}

int complaints_command(const struct command_call *call, struct ear_error *err)
{
    return list_command(call, "complaint", err);
}

int praise_command(const struct command_call *call, struct ear_error *err)
{
    return list_command(call, "praise", err);
}
