/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/instant.h"
#include "sinks/trends/view_internal.h"

enum { WIDTH_LEAST = 80, WIDTH_MOST = 160, WIDTH_USUAL = 100 };

const char *print_day(char *out, size_t size, const struct view *view, int64_t at_us)
{
    char day[DAY_SIZE];

    snprintf(out, size, "%s", day_format(day, zone_day(view->zone, at_us)));
    return out;
}

int print_width(void)
{
    struct winsize window = {0};
    int width = WIDTH_USUAL;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
        width = window.ws_col;
    }
    return width < WIDTH_LEAST ? WIDTH_LEAST : width > WIDTH_MOST ? WIDTH_MOST : width;
}

/* Bytes of the code point at text; invalid bytes count as one. */
static size_t point_size(const char *text)
{
    unsigned char first = (unsigned char)*text;
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    for (size_t i = 1; i < size; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return size;
}

/* What would move the cursor, colour the screen or turn the direction of writing (reliability.md).
 */
static bool is_control(const char *text, size_t size)
{
    unsigned char first = (unsigned char)*text;
    unsigned char second = size > 1 ? (unsigned char)text[1] : 0;
    unsigned char third = size > 2 ? (unsigned char)text[2] : 0;

    return first < 0x20 || first == 0x7f || (size == 2 && first == 0xc2 && second < 0xa0) ||
           (size == 3 && first == 0xe2 && second == 0x80 && third >= 0x8b && third <= 0x8f) ||
           (size == 3 && first == 0xe2 && second == 0x80 && third >= 0xa8 && third <= 0xae) ||
           (size == 3 && first == 0xe2 && second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

int print_cut(FILE *out, const char *text, int columns)
{
    int used = 0;
    bool blank = false;

    while (*text != '\0') {
        size_t size = point_size(text);

        if (is_control(text, size) || *text == ' ') {
            blank = used > 0;
            text += size;
            continue;
        }
        if (used + blank + 1 >= columns) {
            fputs("…", out);
            return used + 1;
        }
        if (blank) {
            fputc(' ', out);
            used++;
            blank = false;
        }
        fwrite(text, 1, size, out);
        used++;
        text += size;
    }
    return used;
}

void print_cell(FILE *out, const char *text, int columns)
{
    int used = print_cut(out, text, columns);

    fprintf(out, "%*s", used < columns ? columns - used : 0, "");
}

static void names(struct json_writer *writer, const char *key, size_t count,
                  char list[][VIEW_SOURCE_SIZE])
{
    json_write_key(writer, key);
    json_write_array(writer);
    for (size_t i = 0; i < count && i < VIEW_SOURCES_MAX; i++) {
        json_write_string(writer, list[i]);
    }
    json_write_array_end(writer);
}

static void instant(struct json_writer *writer, const char *key, int64_t at_us)
{
    char text[INSTANT_SIZE];

    json_member_string(writer, key, instant_format(text, at_us));
}

static void seconds(struct json_writer *writer, const char *key, double value)
{
    json_write_key(writer, key);
    if (value < 0) {
        json_write_null(writer);
    } else {
        json_write_number(writer, value, 1);
    }
}

static void write_gap(struct json_writer *writer, const struct view_gap *gap)
{
    json_write_object(writer);
    json_member_string(writer, "source", gap->source);
    json_member_string(writer, "kind", gap->kind);
    json_write_key(writer, "from");
    if (gap->from_us == 0) {
        json_write_null(writer);
    } else {
        char text[INSTANT_SIZE];

        json_write_string(writer, instant_format(text, gap->from_us));
    }
    instant(writer, "to", gap->to_us);
    json_member_integer(writer, "polls", gap->polls);
    json_member_string(writer, "why", gap->why);
    json_write_object_end(writer);
}

/* Which part of the plan was heard, how fresh posts were, and where some may be missing. */
static void write_books(struct json_writer *writer, const struct view_complete *complete)
{
    json_write_key(writer, "polls");
    json_write_object(writer);
    json_member_integer(writer, "planned", complete->planned);
    json_member_integer(writer, "made", complete->made);
    json_write_key(writer, "share");
    if (complete->planned == 0) {
        json_write_null(writer);
    } else {
        json_write_number(writer, (double)complete->made / (double)complete->planned, 4);
    }
    json_write_object_end(writer);
    json_write_key(writer, "freshness");
    json_write_object(writer);
    seconds(writer, "p50_s", ages_at(complete->ages, 0.5));
    seconds(writer, "p95_s", ages_at(complete->ages, 0.95));
    json_write_object_end(writer);
    json_member_integer(writer, "gap_count", (int64_t)complete->gap_count);
    json_write_key(writer, "gaps");
    json_write_array(writer);
    for (size_t i = 0; i < complete->gap_count && i < VIEW_GAPS_MAX; i++) {
        write_gap(writer, &complete->gaps[i]);
    }
    json_write_array_end(writer);
}

void print_head(struct json_writer *writer, const struct view *view,
                const struct view_complete *complete)
{
    struct view_complete *sources = (struct view_complete *)complete;

    json_write_object(writer);
    instant(writer, "as_of", view->now_us);
    instant(writer, "since", view->since_us);
    instant(writer, "until", view->options->until == NULL ? view->now_us : view->until_us);
    json_write_key(writer, "complete");
    json_write_object(writer);
    json_member_integer(writer, "sources", (int64_t)complete->sources);
    json_member_integer(writer, "healthy", (int64_t)complete->healthy);
    names(writer, "late", complete->late, sources->late_names);
    names(writer, "red", complete->red, sources->red_names);
    write_books(writer, complete);
    json_write_object_end(writer);
    json_write_key(writer, "rows");
    json_write_array(writer);
}

int print_flush(struct json_writer *writer, FILE *out, struct ear_error *err)
{
    size_t length = 0;
    const char *text = json_writer_text(writer, &length, err);

    if (text == NULL) {
        return -1;
    }
    fwrite(text, 1, length, out);
    json_writer_reset(writer);
    return 0;
}

static void print_gap(FILE *out, const struct view *view, const struct view_gap *gap)
{
    char from[INSTANT_SIZE] = "?";
    char to[INSTANT_SIZE];

    if (gap->from_us != 0) {
        print_day(from, sizeof from, view, gap->from_us);
    }
    print_day(to, sizeof to, view, gap->to_us);
    fputs("  missing: ", out);
    (void)print_cut(out, gap->source, 30);
    fprintf(out, ", %s to %s: ", from, to);
    (void)print_cut(out, gap->why, 56);
    fputc('\n', out);
}

static void print_books(FILE *out, const struct view *view, const struct view_complete *complete)
{
    const double median_s = ages_at(complete->ages, 0.5);
    char half[DURATION_SIZE];
    char most[DURATION_SIZE];

    if (complete->planned == 0) {
        return;
    }
    fprintf(out, "Polls: %lld of %lld planned were made", (long long)complete->made,
            (long long)complete->planned);
    if (median_s >= 0) {
        duration_format(half, (int64_t)(median_s * 1e6));
        duration_format(most, (int64_t)(ages_at(complete->ages, 0.95) * 1e6));
        fprintf(out, "; half of the posts came within %s, 19 of 20 within %s", half, most);
    }
    fputs(".\n", out);
    for (size_t i = 0; i < complete->gap_count && i < 3; i++) {
        print_gap(out, view, &complete->gaps[i]);
    }
    if (complete->gap_count > 3) {
        fprintf(out, "  and %zu more stretches; -o json lists them\n", complete->gap_count - 3);
    }
}

void print_foot(FILE *out, const struct view *view, const struct view_complete *complete,
                const char *rule)
{
    char since[INSTANT_SIZE];
    char until[INSTANT_SIZE];
    char now[INSTANT_SIZE];

    print_day(since, sizeof since, view, view->since_us);
    print_day(until, sizeof until, view, view->until_us - 1);
    instant_format(now, view->now_us - view->now_us % CLOCK_SECOND_US);
    fprintf(out, "\n%s to %s, as of %s.\n%s%s", since, until, now, rule,
            rule[0] == '\0' ? "" : "\n");
    if (complete->sources == 0) {
        return;
    }
    fprintf(out, "Sources: %zu healthy, %zu late, %zu red", complete->healthy, complete->late,
            complete->red);
    for (size_t i = 0; i < complete->red && i < 5; i++) {
        fprintf(out, "%s%s", i == 0 ? " (red: " : ", ", complete->red_names[i]);
    }
    fputs(complete->red > 0 ? ")" : "", out);
    fputs(complete->red + complete->late > 0 ? "; a fall may be theirs.\n" : ".\n", out);
    print_books(out, view, complete);
}

int print_sample(struct json_writer *writer, const struct view *view, const struct tally *tally,
                 struct ear_error *err)
{
    json_write_array(writer);
    for (size_t i = 0; i < tally->sample_count; i++) {
        struct store_value values[] = {store_integer(tally->sample[i])};
        struct store_rows *rows = NULL;
        int there = 0;

        if (store_select(&rows, view->store, QUERY_INSIGHT_SHOW, values, 1, err) != 0) {
            return -1;
        }
        there = store_next(rows, err);
        if (there == 1) {
            json_write_string(writer, store_get_text(rows, 0, NULL));
        }
        store_rows_end(rows);
        if (there < 0) {
            return -1;
        }
    }
    json_write_array_end(writer);
    return 0;
}
