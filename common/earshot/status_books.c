/* SPDX-License-Identifier: Apache-2.0 */

/* How completely a source is listened to, out of its message: in `earshot status`. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/ages.h"
#include "common/earshot/status_internal.h"
#include "common/json_instant.h"

enum { GAPS_SHOWN = 3 };

static const int64_t late_slack_us = 10 * CLOCK_MINUTE_US;
static const int64_t gaps_within_us = 7 * CLOCK_DAY_US;

static int64_t count_of(const struct json_node *root, const char *name)
{
    int64_t count = 0;

    (void)json_integer(json_get(root, name), &count);
    return count;
}

static void add_ages(uint32_t sum[AGES_COUNT], const struct json_node *hour)
{
    uint32_t ages[AGES_COUNT] = {0};
    size_t bucket = 0;

    for (const struct json_node *each = json_first(json_get(hour, "ages"));
         each != NULL && bucket < AGES_COUNT; each = json_next(each)) {
        int64_t count = 0;

        (void)json_integer(each, &count);
        ages[bucket++] = count < 0 || count > UINT32_MAX ? 0 : (uint32_t)count;
    }
    ages_add(sum, ages);
}

struct status_books status_books(const struct json_node *root, int64_t now_us)
{
    struct status_books books = {.half_s = -1, .most_s = -1};
    uint32_t ages[AGES_COUNT] = {0};
    const int64_t plan_us = json_instant(root, "plan_at", 0);
    const int64_t every_us = count_of(root, "every_us");

    for (const struct json_node *each = json_first(json_get(root, "hours")); each != NULL;
         each = json_next(each)) {
        if (json_instant(each, "hour", 0) > now_us - 2 * CLOCK_HOUR_US) {
            books.planned += count_of(each, "planned");
            books.made += count_of(each, "made");
            add_ages(ages, each);
        }
    }
    books.half_s = ages_at(ages, 0.5);
    books.most_s = ages_at(ages, 0.95);
    if (plan_us != 0 && every_us > 0 && now_us - plan_us > late_slack_us &&
        now_us - plan_us > 2 * every_us) {
        books.late_us = now_us - plan_us;
        books.missed = books.late_us / every_us;
    }
    return books;
}

static void print_gap(const struct json_node *gap)
{
    const char *why = status_string(gap, "why");
    const char *from = status_string(gap, "from");
    const char *to = status_string(gap, "to");

    printf("      missing: %.16s%s to %.16sZ: ", from == NULL ? "?" : from, from == NULL ? "" : "Z",
           to == NULL ? "?" : to);
    print_text(stdout, why == NULL ? "" : why, 200);
    fputc('\n', stdout);
}

static void print_gaps(const struct json_node *root, int64_t now_us)
{
    const struct json_node *shown[GAPS_SHOWN] = {NULL};
    size_t count = 0;

    for (const struct json_node *each = json_first(json_get(root, "gaps")); each != NULL;
         each = json_next(each)) {
        if (json_instant(each, "found", 0) > now_us - gaps_within_us) {
            shown[count++ % GAPS_SHOWN] = each;
        }
    }
    for (size_t i = count > GAPS_SHOWN ? count - GAPS_SHOWN : 0; i < count; i++) {
        print_gap(shown[i % GAPS_SHOWN]);
    }
    if (count > GAPS_SHOWN) {
        printf("      and %zu more within 7 days; -o json lists them\n", count - GAPS_SHOWN);
    }
}

static void print_walk(const struct json_node *root, int64_t now_us)
{
    const struct json_node *walk = json_get(root, "backfill");
    const int64_t since_us = json_instant(walk, "since", 0);
    const int64_t reached_us = json_instant(walk, "reached", 0);

    if (since_us == 0 || since_us >= now_us || json_instant(walk, "done_at", 0) != 0) {
        return;
    }
    printf("      walks into the past, back to %.10s: %.0f %%, %" PRId64 " posts\n",
           status_string(walk, "since"),
           reached_us == 0 ? 0
                           : 100.0 * (double)(now_us - reached_us) / (double)(now_us - since_us),
           count_of(walk, "posts"));
}

void status_print_books(const struct json_node *root, int64_t now_us)
{
    const struct status_books books = status_books(root, now_us);
    char first[DURATION_SIZE];
    char second[DURATION_SIZE];

    if (books.missed > 0) {
        printf("      ✗ not asked for %s: %" PRId64 " polls missed so far\n",
               duration_format(first, books.late_us), books.missed);
    } else if (books.made < books.planned - 1) { /* one may be under way */
        printf("      %" PRId64 " of %" PRId64 " planned polls were made this hour and the last\n",
               books.made, books.planned);
    }
    if (books.half_s >= 0) {
        printf("      half of its posts came within %s, 19 of 20 within %s\n",
               duration_format(first, (int64_t)(books.half_s * 1e6)),
               duration_format(second, (int64_t)(books.most_s * 1e6)));
    }
    print_gaps(root, now_us);
    print_walk(root, now_us);
}

static void write_seconds(struct json_writer *writer, const char *key, double value)
{
    json_write_key(writer, key);
    if (value < 0) {
        json_write_null(writer);
    } else {
        json_write_number(writer, value, 1);
    }
}

void status_write_books(struct json_writer *writer, const struct json_node *root, int64_t now_us)
{
    static const char *const nested[] = {"hours", "gaps", "backfill"};
    const struct status_books books = status_books(root, now_us);

    json_write_key(writer, "polls");
    json_write_object(writer);
    json_member_integer(writer, "planned", books.planned);
    json_member_integer(writer, "made", books.made);
    json_member_integer(writer, "missed", books.missed);
    json_write_object_end(writer);
    json_write_key(writer, "freshness");
    json_write_object(writer);
    write_seconds(writer, "p50_s", books.half_s);
    write_seconds(writer, "p95_s", books.most_s);
    json_write_object_end(writer);
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        const struct json_node *node = json_get(root, nested[i]);
        size_t length = 0;
        const char *text = node == NULL ? NULL : json_raw(node, &length);

        json_write_key(writer, nested[i]);
        if (text == NULL) {
            json_write_null(writer);
        } else {
            json_write_raw(writer, text, length);
        }
    }
}
