/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot ask list` and `ask show ID`: the asks, and how many answered each. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config/config.h"
#include "common/instant.h"
#include "common/log.h"
#include "common/terminal.h"
#include "sinks/asks/asks.h"
#include "sinks/trends/view_internal.h"

enum { WRITER_BYTES = 4 * 1024 * 1024, LABELS = 3, ENTRIES_MAX = 100000 };

static const char *const label_names[LABELS] = {"wish", "complaint", "praise"};

struct entry {
    int64_t row, created_us;
};

/* What answers one ask. */
struct answers {
    const struct view *view;
    struct tally tally;
    int64_t labels[LABELS];
    struct entry *entries; /* [count], of which there are ENTRIES_MAX at most; NULL: only counted */
    size_t count, room;
    bool listed;
};

static int add_entry(struct answers *answers, const struct view_post *post, struct ear_error *err)
{
    if (answers->count == answers->room) {
        size_t room = answers->room == 0 ? 256 : 2 * answers->room;
        struct entry *more = realloc(answers->entries, room * sizeof *more);

        if (more == NULL) {
            return ear_fail_memory(err, "an ask's entries");
        }
        answers->entries = more;
        answers->room = room;
    }
    answers->entries[answers->count++] = (struct entry){post->row, post->created_us};
    return 0;
}

static int count_post(void *user, const struct view_post *post, struct ear_error *err)
{
    struct answers *answers = user;

    for (size_t i = 0; i < post->label_count; i++) {
        for (size_t label = 0; label < LABELS; label++) {
            answers->labels[label] +=
                strcmp(view_name(answers->view, post->labels[i]), label_names[label]) == 0;
        }
    }
    if (tally_add(&answers->tally, post, err) != 0) {
        return -1;
    }
    return answers->listed && answers->count < ENTRIES_MAX ? add_entry(answers, post, err) : 0;
}

/* Walks what was said while the ask is open. */
static int gather(struct answers *answers, struct view *view, const struct ask *ask,
                  struct ear_error *err)
{
    int64_t since_us = ask->since_us > view->since_us ? ask->since_us : view->since_us;
    int64_t until_us = ask->until_us < view->until_us ? ask->until_us : view->until_us;
    int result = 0;

    answers->view = view;
    if (since_us >= until_us) {
        return 0;
    }
    if (ask_filter_new(&view->ask_filter, view->store, ask, err) != 0) {
        return -1;
    }
    result = view_walk(view, since_us, until_us, count_post, answers, err);
    ask_filter_free(view->ask_filter);
    view->ask_filter = NULL;
    return result;
}

static void clear_answers(struct answers *answers)
{
    tally_clear(&answers->tally);
    free(answers->entries);
}

/* --- printing --- */

static void write_instant(struct json_writer *writer, const char *key, int64_t at_us)
{
    char text[INSTANT_SIZE];

    json_write_key(writer, key);
    json_write_string(
        writer, at_us == INT64_MIN || at_us == INT64_MAX ? NULL : instant_format(text, at_us));
}

static void write_ask(struct json_writer *writer, const struct ask *ask,
                      const struct answers *answers, int64_t now_us)
{
    json_member_string(writer, "key", ask->id);
    json_member_string(writer, "title", ask->title);
    json_write_key(writer, "thread");
    json_write_string(writer, ask->thread);
    json_write_key(writer, "sources");
    json_write_array(writer);
    for (size_t i = 0; i < ask->source_count; i++) {
        json_write_string(writer, ask->sources[i]);
    }
    json_write_array_end(writer);
    write_instant(writer, "since", ask->since_us);
    write_instant(writer, "until", ask->until_us);
    json_write_key(writer, "open");
    json_write_boolean(writer, now_us < ask->until_us);
    json_member_integer(writer, "posts", answers->tally.posts);
    json_member_integer(writer, "people", (int64_t)answers->tally.people.count);
    json_member_integer(writer, "conversations", (int64_t)answers->tally.threads.count);
    for (size_t i = 0; i < LABELS; i++) {
        json_member_integer(writer, label_names[i], answers->labels[i]);
    }
}

/* The entries as rows, the newest first: key, title, text, author, at. */
static int write_entries(struct json_writer *writer, const struct view *view,
                         const struct answers *answers, size_t limit, struct ear_error *err)
{
    json_write_key(writer, "rows");
    json_write_array(writer);
    for (size_t i = 0; i < answers->count && (limit == 0 || i < limit); i++) {
        struct store_value values[] = {store_integer(answers->entries[i].row)};
        struct store_rows *rows = NULL;
        int there = 0;

        if (store_select(&rows, view->store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
            return -1;
        }
        there = store_next(rows, err);
        if (there == 1) {
            size_t length = 0;
            const char *labels = store_get_text(rows, 10, &length);

            json_write_object(writer);
            json_member_string(writer, "key", store_get_text(rows, 0, NULL));
            json_member_string(writer, "source", store_get_text(rows, 1, NULL));
            json_member_string(writer, "url", store_get_text(rows, 2, NULL));
            json_member_string(writer, "title", store_get_text(rows, 3, NULL));
            json_member_string(writer, "text", store_get_text(rows, 4, NULL));
            json_write_key(writer, "labels");
            json_write_raw(writer, labels, length);
            write_instant(writer, "at", store_get_integer(rows, 8));
            json_write_object_end(writer);
        }
        store_rows_end(rows);
        if (there < 0) {
            return -1;
        }
    }
    json_write_array_end(writer);
    return 0;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *one = left;
    const struct entry *other = right;

    return one->created_us != other->created_us ? (one->created_us < other->created_us ? 1 : -1)
           : one->row < other->row              ? 1
                                                : -(one->row > other->row);
}

static const char *day_or(char out[32], const struct view *view, int64_t at_us, const char *none)
{
    return at_us == INT64_MIN || at_us == INT64_MAX ? none : print_day(out, 32, view, at_us);
}

static void print_line(const struct view *view, const struct ask *ask,
                       const struct answers *answers)
{
    char until[32];

    printf("%-24s %6lld posts %6zu people  %-12s ", ask->id, (long long)answers->tally.posts,
           answers->tally.people.count, day_or(until, view, ask->until_us, "open"));
    (void)print_cut(stdout, ask->title, 60);
    putchar('\n');
}

/* What was asked, where and when, and how many answered. */
static void print_head_of(const struct view *view, const struct ask *ask,
                          const struct answers *answers)
{
    char since[32];
    char until[32];

    print_text(stdout, ask->title, 0);
    printf("\n%s, %s to %s\n", view->now_us < ask->until_us ? "open" : "closed",
           day_or(since, view, ask->since_us, "any time"),
           day_or(until, view, ask->until_us, "no end"));
    if (ask->thread != NULL) {
        fputs("thread ", stdout);
        print_text(stdout, ask->thread, 0);
        putchar('\n');
    }
    for (size_t i = 0; i < ask->source_count; i++) {
        fputs(i == 0 ? "source " : ", ", stdout);
        print_text(stdout, ask->sources[i], 0);
    }
    printf("%s%lld posts by %zu people in %zu conversations: %lld wishes, %lld complaints, %lld "
           "praise\n",
           ask->source_count == 0 ? "" : "\n", (long long)answers->tally.posts,
           answers->tally.people.count, answers->tally.threads.count, (long long)answers->labels[0],
           (long long)answers->labels[1], (long long)answers->labels[2]);
}

static void print_entry(const struct view *view, const struct store_rows *rows)
{
    const char *text = store_get_text(rows, 4, NULL);
    const char *labels = store_get_text(rows, 10, NULL);
    char day[32];
    int width = print_width();

    if (text == NULL || text[0] == '\0') {
        text = store_get_text(rows, 3, NULL);
    }
    print_day(day, sizeof day, view, store_get_integer(rows, 8));
    printf("\n%s  ", day);
    print_text(stdout, store_get_text(rows, 0, NULL), 80);
    for (const char *at = labels; at != NULL && *at != '\0'; at++) { /* ["wish","praise"] */
        if (strchr("[]\", ", *at) == NULL) {
            if (at > labels && at[-1] == '"') {
                fputs("  ", stdout);
            }
            putchar(*at);
        }
    }
    fputs("\n    ", stdout);
    (void)print_cut(stdout, text == NULL ? "" : text, width > 8 ? width - 4 : 76);
    putchar('\n');
}

static int print_entries(const struct view *view, const struct answers *answers, size_t limit,
                         struct ear_error *err)
{
    for (size_t i = 0; i < answers->count && (limit == 0 || i < limit); i++) {
        struct store_value values[] = {store_integer(answers->entries[i].row)};
        struct store_rows *rows = NULL;
        int there = 0;

        if (store_select(&rows, view->store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
            return -1;
        }
        there = store_next(rows, err);
        if (there == 1) {
            print_entry(view, rows);
        }
        store_rows_end(rows);
        if (there < 0) {
            return -1;
        }
    }
    if (limit > 0 && answers->count > limit) {
        printf("\n%zu more; -n 0 shows all\n", answers->count - limit);
    }
    return 0;
}

static int write_one(struct json_writer *writer, struct view *view, const struct ask *ask,
                     bool listed, struct ear_error *err)
{
    struct answers answers = {.listed = listed};
    int result = gather(&answers, view, ask, err);

    if (result == 0 && answers.count > 0) {
        qsort(answers.entries, answers.count, sizeof *answers.entries, compare_entries);
    }
    if (result == 0 && writer == NULL && listed) {
        print_head_of(view, ask, &answers);
        result = print_entries(view, &answers, (size_t)view->options->limit, err);
    } else if (result == 0 && writer == NULL) {
        print_line(view, ask, &answers);
    } else if (result == 0) {
        json_write_object(writer);
        write_ask(writer, ask, &answers, view->now_us);
        if (listed) {
            result = write_entries(writer, view, &answers, (size_t)view->options->limit, err);
        }
        json_write_object_end(writer);
    }
    clear_answers(&answers);
    return result;
}

static int show_all(struct json_writer *writer, struct view *view, const struct asks *asks,
                    struct ear_error *err)
{
    if (writer != NULL) {
        json_write_object(writer);
        write_instant(writer, "as_of", view->now_us);
        json_write_key(writer, "rows");
        json_write_array(writer);
    }
    for (size_t i = 0; i < asks->count; i++) {
        if (write_one(writer, view, &asks->items[i], false, err) != 0) {
            return -1;
        }
    }
    if (writer != NULL) {
        json_write_array_end(writer);
        json_write_object_end(writer);
    } else if (asks->count == 0) {
        puts("no ask yet; earshot ask new \"What should we do next?\" --thread URL");
    }
    return EXIT_DONE;
}

static void tell_unknown(const struct command_call *call, const struct asks *asks, const char *id)
{
    const char **names = calloc(asks->count + 1, sizeof *names);
    char nearest[160] = "";

    for (size_t i = 0; names != NULL && i < asks->count; i++) {
        names[i] = asks->items[i].id;
    }
    if (names != NULL) {
        config_suggest(nearest, sizeof nearest, id, names);
    }
    log_plain(call->program, "no ask is called '%s'; %s%searshot ask list names them", id, nearest,
              nearest[0] == '\0' ? "" : " ");
    free((void *)names);
}

int asks_command(const struct command_call *call, struct ear_error *err)
{
    const char *id = call->argument_count > 0 ? call->arguments[0] : NULL;
    struct view view = {0};
    struct asks asks = {0};
    struct json_writer *writer = NULL;
    const struct ask *ask = NULL;
    const char *text = NULL;
    int code = view_open(&view, call, true, err);

    if (code != 0) {
        return code;
    }
    code = -1;
    if ((view.store != NULL && asks_load(&asks, view.store, err) != 0) ||
        (call->output != OUTPUT_TABLE && json_writer_new(&writer, WRITER_BYTES, err) != 0)) {
        goto done;
    }
    ask = id == NULL ? NULL : asks_find(&asks, id);
    if (id != NULL && ask == NULL) {
        tell_unknown(call, &asks, id);
        code = EXIT_FAILED;
        goto done;
    }
    code = ask != NULL ? write_one(writer, &view, ask, true, err)
                       : show_all(writer, &view, &asks, err);
    if (code == 0 && writer != NULL) {
        text = json_writer_text(writer, NULL, err);
        code = text == NULL ? -1 : puts(text) < 0;
    }

done:
    json_writer_free(writer);
    asks_clear(&asks);
    view_close(&view);
    return code;
}
