/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hours are held: whatever is told is of the hour under way, and the one before was written
 * complete with the first message of the next. Numbers that are 0 are not written.
 */

#include "collectors/coverage.h"

#include <stdlib.h>
#include <string.h>

#include "common/ages.h"
#include "common/clock.h"
#include "common/json/json.h"
#include "common/json_instant.h"

static const char *const kind_names[] = {"gap", "away", "refused", "outage"};

const char *coverage_kind_name(enum coverage_kind kind)
{
    return kind_names[kind];
}

void coverage_clear(struct coverage *coverage)
{
    free(coverage->gaps);
    *coverage = (struct coverage){0};
}

static int64_t hour_of(int64_t at_us)
{
    return at_us - at_us % CLOCK_HOUR_US;
}

/* The hour under way; a clock that was set back counts in the latest. */
static struct coverage_hour *hour_at(struct coverage *coverage, int64_t now_us)
{
    const int64_t hour_us = hour_of(now_us);

    if (hour_us > coverage->hours[0].hour_us) {
        coverage->hours[1] = coverage->hours[0];
        coverage->hours[0] = (struct coverage_hour){.hour_us = hour_us};
    }
    return &coverage->hours[0];
}

/* --- the plan --- */

/* Polls that were planned between the plan and now, each in its hour as far as that is held. */
static void count_missed(struct coverage *coverage, int64_t missed, int64_t interval_us,
                         int64_t now_us)
{
    struct coverage_hour *now = hour_at(coverage, now_us);
    struct coverage_hour *before = &coverage->hours[1];

    for (int64_t i = 0; i < missed; i++) {
        const bool earlier = hour_of(coverage->plan_us + i * interval_us) < now->hour_us;

        *(earlier && before->hour_us != 0 ? &before->planned : &now->planned) += 1;
    }
}

int coverage_begin(struct coverage *coverage, int64_t interval_us, enum coverage_kind kind,
                   const char *why, int64_t now_us, struct coverage_begun *begun,
                   struct ear_error *err)
{
    const int64_t late_us = coverage->plan_us == 0 ? 0 : now_us - coverage->plan_us;
    const int64_t missed = late_us <= 0 ? 0 : late_us / interval_us;
    struct coverage_hour *hour = hour_at(coverage, now_us);
    int result = 0;

    *begun = (struct coverage_begun){
        .planned = missed, .gap = missed >= 2 && late_us >= COVERAGE_LATE_S * CLOCK_SECOND_US};
    if (begun->gap) {
        result = coverage_gap(coverage, kind, coverage->plan_us, now_us, missed, why, now_us, err);
    } else {
        count_missed(coverage, missed, interval_us, now_us);
    }
    if (late_us >= 0 || !coverage->retries) {
        hour->planned++;
        begun->planned++;
        coverage->plan_us = now_us + interval_us;
    }
    coverage->retries = false;
    return result;
}

void coverage_made(struct coverage *coverage, int64_t next_us, int64_t now_us)
{
    hour_at(coverage, now_us)->made++;
    coverage->plan_us = next_us;
    coverage->retries = false;
}

void coverage_failed(struct coverage *coverage, bool ours, int64_t now_us)
{
    struct coverage_hour *hour = hour_at(coverage, now_us);

    hour->failed++;
    hour->ours += ours ? 1 : 0;
    coverage->retries = true;
}

void coverage_request(struct coverage *coverage, int64_t now_us)
{
    hour_at(coverage, now_us)->requests++;
}

void coverage_posts(struct coverage *coverage, int64_t posts, const uint32_t *ages, int64_t now_us)
{
    struct coverage_hour *hour = hour_at(coverage, now_us);

    hour->posts += posts;
    if (ages != NULL) {
        ages_add(hour->ages, ages);
    }
}

/* --- where something may be missing --- */

int coverage_gap(struct coverage *coverage, enum coverage_kind kind, int64_t from_us, int64_t to_us,
                 int64_t polls, const char *why, int64_t now_us, struct ear_error *err)
{
    struct coverage_gap *last =
        coverage->gap_count == 0 ? NULL : &coverage->gaps[coverage->gap_count - 1];
    size_t length = why == NULL ? 0 : strnlen(why, COVERAGE_WHY_SIZE);

    if (last != NULL && last->kind == kind && last->from_us == from_us && last->to_us >= to_us) {
        return 0;
    }
    if (coverage->gap_count == COVERAGE_GAPS_MAX) {
        memmove(coverage->gaps, coverage->gaps + 1,
                (COVERAGE_GAPS_MAX - 1) * sizeof(*coverage->gaps));
        coverage->gap_count--;
    } else {
        struct coverage_gap *gaps =
            realloc(coverage->gaps, (coverage->gap_count + 1) * sizeof(*gaps));

        if (gaps == NULL) {
            return ear_fail_memory(err, "where something may be missing");
        }
        coverage->gaps = gaps;
    }
    if (length == COVERAGE_WHY_SIZE) { /* cut between two characters */
        for (length--; length > 0 && ((unsigned char)why[length] & 0xc0) == 0x80;) {
            length--;
        }
    }
    last = &coverage->gaps[coverage->gap_count++];
    *last = (struct coverage_gap){
        .kind = kind, .from_us = from_us, .to_us = to_us, .found_us = now_us, .polls = polls};
    if (length > 0) {
        memcpy(last->why, why, length);
    }
    hour_at(coverage, now_us)->gaps += kind == COVERAGE_GAP ? 1 : 0;
    return 0;
}

/* --- writing --- */

static void write_count(struct json_writer *writer, const char *key, int64_t count)
{
    if (count != 0) {
        json_member_integer(writer, key, count);
    }
}

static void write_ages(struct json_writer *writer, const uint32_t *ages)
{
    size_t count = AGES_COUNT;

    while (count > 0 && ages[count - 1] == 0) {
        count--;
    }
    if (count == 0) {
        return;
    }
    json_write_key(writer, "ages");
    json_write_array(writer);
    for (size_t i = 0; i < count; i++) {
        json_write_integer(writer, ages[i]);
    }
    json_write_array_end(writer);
}

static void write_hour(struct json_writer *writer, const struct coverage_hour *hour)
{
    json_write_object(writer);
    json_member_instant(writer, "hour", hour->hour_us, INT64_MIN);
    write_count(writer, "planned", hour->planned);
    write_count(writer, "made", hour->made);
    write_count(writer, "failed", hour->failed);
    write_count(writer, "ours", hour->ours);
    write_count(writer, "requests", hour->requests);
    write_count(writer, "posts", hour->posts);
    write_count(writer, "gaps", hour->gaps);
    write_ages(writer, hour->ages);
    json_write_object_end(writer);
}

static void write_gap(struct json_writer *writer, const struct coverage_gap *gap)
{
    json_write_object(writer);
    json_member_string(writer, "kind", kind_names[gap->kind]);
    json_member_instant(writer, "from", gap->from_us, INT64_MIN);
    json_member_instant(writer, "to", gap->to_us, INT64_MIN);
    json_member_instant(writer, "found", gap->found_us, INT64_MIN);
    write_count(writer, "polls", gap->polls);
    json_member_string(writer, "why", gap->why[0] == '\0' ? NULL : gap->why);
    json_write_object_end(writer);
}

void coverage_write(const struct coverage *coverage, struct json_writer *writer)
{
    if (coverage->plan_us != 0) {
        json_member_instant(writer, "plan_at", coverage->plan_us, INT64_MIN);
    }
    if (coverage->retries) {
        json_write_key(writer, "retries");
        json_write_boolean(writer, true);
    }
    if (coverage->hours[0].hour_us != 0) {
        json_write_key(writer, "hours");
        json_write_array(writer);
        for (size_t i = 0; i < 2 && coverage->hours[i].hour_us != 0; i++) {
            write_hour(writer, &coverage->hours[i]);
        }
        json_write_array_end(writer);
    }
    if (coverage->gap_count > 0) {
        json_write_key(writer, "gaps");
        json_write_array(writer);
        for (size_t i = 0; i < coverage->gap_count; i++) {
            write_gap(writer, &coverage->gaps[i]);
        }
        json_write_array_end(writer);
    }
}

/* --- reading --- */

static int64_t count_of(const struct json_node *root, const char *key)
{
    int64_t count = 0;

    (void)json_integer(json_get(root, key), &count);
    return count < 0 ? 0 : count;
}

static bool read_hour(struct coverage_hour *out, const struct json_node *root)
{
    size_t bucket = 0;

    *out = (struct coverage_hour){
        .hour_us = json_instant(root, "hour", INT64_MIN),
        .planned = count_of(root, "planned"),
        .made = count_of(root, "made"),
        .failed = count_of(root, "failed"),
        .ours = count_of(root, "ours"),
        .requests = count_of(root, "requests"),
        .posts = count_of(root, "posts"),
        .gaps = count_of(root, "gaps"),
    };
    for (const struct json_node *each = json_first(json_get(root, "ages"));
         each != NULL && bucket < AGES_COUNT; each = json_next(each)) {
        int64_t count = 0;

        (void)json_integer(each, &count);
        out->ages[bucket++] = count < 0 ? 0 : count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    }
    return out->hour_us > 0;
}

static int read_gap(struct coverage *out, const struct json_node *root, struct ear_error *err)
{
    const char *name = json_string(json_get(root, "kind"), NULL);
    const int64_t found_us = json_instant(root, "found", INT64_MIN);

    for (size_t i = 0; name != NULL && i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            return coverage_gap(out, (enum coverage_kind)i, json_instant(root, "from", INT64_MIN),
                                json_instant(root, "to", INT64_MIN), count_of(root, "polls"),
                                json_string(json_get(root, "why"), NULL),
                                found_us == INT64_MIN ? 0 : found_us, err);
        }
    }
    return 0;
}

int coverage_read(struct coverage *out, const struct json_node *root, int64_t written_us,
                  int64_t fresh_us, struct ear_error *err)
{
    const int64_t plan_us = json_instant(root, "plan_at", INT64_MIN);
    struct coverage_hour hours[2] = {{0}};
    size_t count = 0;

    *out = (struct coverage){0};
    for (const struct json_node *each = json_first(json_get(root, "gaps")); each != NULL;
         each = json_next(each)) {
        if (read_gap(out, each, err) != 0) {
            coverage_clear(out);
            return -1;
        }
    }
    for (const struct json_node *each = json_first(json_get(root, "hours"));
         each != NULL && count < 2; each = json_next(each)) {
        count += read_hour(&hours[count], each) ? 1 : 0;
    }
    for (size_t i = 0; i < 2; i++) {
        out->hours[i] = i < count ? hours[i] : (struct coverage_hour){0};
    }
    if (plan_us != INT64_MIN && written_us != INT64_MIN) {
        out->plan_us = plan_us > written_us + fresh_us ? plan_us : written_us + fresh_us;
    }
    (void)json_boolean(json_get(root, "retries"), &out->retries);
    return 0;
}
