/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot trends`: what rises and falls against the previous equal period. One row for everything,
 * one a label (criticism first), one a touch point, one a brand; each counts posts, people and
 * conversations in both periods.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "sinks/export/csv.h"
#include "sinks/trends/feed.h"
#include "sinks/trends/view_internal.h"

enum { GROUPS_MAX = 512, WRITER_BYTES = 256 * 1024, PERCENT_LEAST = 10 };

enum group_kind { GROUP_ALL, GROUP_LABEL, GROUP_TOUCHPOINT, GROUP_BRAND, GROUP_KINDS };

struct group {
    enum group_kind kind;
    int64_t number;
    const char *name;
    struct tally now, before;
};

struct trends {
    const struct view *view;
    struct group groups[GROUPS_MAX];
    size_t count;
    bool before; /* which period is being walked */
};

/* --- counting --- */

static struct group *group_of(struct trends *trends, enum group_kind kind, int64_t number)
{
    struct group *group = NULL;

    for (size_t i = 0; i < trends->count; i++) {
        if (trends->groups[i].number == number && trends->groups[i].kind == kind) {
            return &trends->groups[i];
        }
    }
    if (trends->count == GROUPS_MAX) {
        return NULL; /* a vocabulary has fewer; what a stranger invents is in the total */
    }
    group = &trends->groups[trends->count++];
    *group =
        (struct group){.kind = kind, .number = number, .name = view_name(trends->view, number)};
    return group;
}

static int count_in(struct trends *trends, enum group_kind kind, int64_t number,
                    const struct view_post *post, struct ear_error *err)
{
    struct group *group = group_of(trends, kind, number);

    return group == NULL ? 0 : tally_add(trends->before ? &group->before : &group->now, post, err);
}

static int count_post(void *user, const struct view_post *post, struct ear_error *err)
{
    struct trends *trends = user;
    int result = count_in(trends, GROUP_ALL, 0, post, err);

    for (size_t i = 0; i < post->label_count && result == 0; i++) {
        result = count_in(trends, GROUP_LABEL, post->labels[i], post, err);
    }
    for (size_t i = 0; i < post->touchpoint_count && result == 0; i++) {
        result = count_in(trends, GROUP_TOUCHPOINT, post->touchpoints[i], post, err);
    }
    for (size_t i = 0; i < post->brand_count && result == 0; i++) {
        result = count_in(trends, GROUP_BRAND, post->brands[i], post, err);
    }
    return result;
}

/* --- order --- */

/* How notable a change is: its size over what chance alone would do to a count like that. */
static double weight_of(const struct group *group)
{
    double now = (double)group->now.people.count;
    double before = (double)group->before.people.count;

    return fabs(now - before) / sqrt(now + before + 1);
}

static int compare_groups(const void *left, const void *right)
{
    const struct group *one = left;
    const struct group *other = right;
    size_t one_rank = label_rank(one->name);
    size_t other_rank = label_rank(other->name);

    if (one->kind != other->kind) {
        return one->kind < other->kind ? -1 : 1;
    }
    if (one->kind == GROUP_LABEL && one_rank != other_rank) {
        return one_rank < other_rank ? -1 : 1;
    }
    if (one->kind != GROUP_LABEL && weight_of(one) != weight_of(other)) {
        return weight_of(one) > weight_of(other) ? -1 : 1;
    }
    return strcmp(one->name, other->name);
}

/* --- sentences --- */

static const char *title_of(const struct group *group, char *out, size_t size)
{
    if (group->kind == GROUP_ALL) {
        snprintf(out, size, "All posts");
        return out;
    }
    if (group->kind == GROUP_BRAND && strcmp(group->name, "-") == 0) {
        snprintf(out, size, "No brand named");
        return out;
    }
    snprintf(out, size, "%s", group->kind == GROUP_LABEL ? label_title(group->name) : group->name);
    return out;
}

static const char *sentence_of(const struct group *group, char *out, size_t size)
{
    char title[160];
    size_t people = group->now.people.count;
    int64_t now = group->now.posts;
    int64_t before = group->before.posts;

    title_of(group, title, sizeof title);
    snprintf(out, size, "%s %s: %lld %s by %zu %s, %lld the period before", title,
             now > before   ? "rose"
             : now < before ? "fell"
                            : "held",
             (long long)now, now == 1 ? "post" : "posts", people, people == 1 ? "person" : "people",
             (long long)before);
    return out;
}

/* What the whole view says: the label that changed most, criticism first where it is close. */
static const struct group *headline(const struct trends *trends)
{
    const struct group *best = NULL;

    for (size_t i = 0; i < trends->count; i++) {
        const struct group *group = &trends->groups[i];

        if (group->kind == GROUP_LABEL &&
            (best == NULL || weight_of(group) > weight_of(best) + 0.5)) {
            best = group;
        }
    }
    return best == NULL && trends->count > 0 ? &trends->groups[0] : best;
}

/* --- printing --- */

static const char *key_of(const struct group *group, char *out, size_t size)
{
    static const char *const fronts[GROUP_KINDS] = {"all", "", "touchpoint:", "brand:"};

    snprintf(out, size, "%s%s", fronts[group->kind], group->name);
    return out;
}

static const char *label_of(const struct trends *trends, const struct group *group)
{
    return group->kind == GROUP_LABEL ? group->name : trends->view->options->label;
}

static void write_counts(struct json_writer *writer, const struct tally *tally)
{
    json_member_integer(writer, "posts", tally->posts);
    json_member_integer(writer, "people", (int64_t)tally->people.count);
    json_member_integer(writer, "conversations", (int64_t)tally->threads.count);
}

static void write_instant(struct json_writer *writer, const char *key, bool there, int64_t at_us)
{
    char text[INSTANT_SIZE];

    json_write_key(writer, key);
    json_write_string(writer, there ? instant_format(text, at_us) : NULL);
}

static int write_group(struct json_writer *writer, const struct trends *trends,
                       const struct group *group, struct ear_error *err)
{
    char key[256];
    char title[512];
    bool there = group->now.posts > 0;

    json_write_object(writer);
    json_member_string(writer, "key", key_of(group, key, sizeof key));
    json_member_string(writer, "title", sentence_of(group, title, sizeof title));
    json_write_key(writer, "label");
    json_write_string(writer, label_of(trends, group));
    write_counts(writer, &group->now);
    json_write_key(writer, "before");
    json_write_object(writer);
    write_counts(writer, &group->before);
    json_write_object_end(writer);
    write_instant(writer, "first_at", there, group->now.first_us);
    write_instant(writer, "last_at", there, group->now.last_us);
    json_write_key(writer, "sample");
    if (print_sample(writer, trends->view, &group->now, err) != 0) {
        return -1;
    }
    json_write_object_end(writer);
    return 0;
}

static int print_json(const struct trends *trends, const struct view_complete *complete,
                      struct ear_error *err)
{
    struct json_writer *writer = NULL;
    int result = -1;

    if (json_writer_new(&writer, WRITER_BYTES, err) != 0) {
        return -1;
    }
    print_head(writer, trends->view, complete);
    for (size_t i = 0; i < trends->count; i++) {
        if (write_group(writer, trends, &trends->groups[i], err) != 0) {
            goto done;
        }
    }
    json_write_array_end(writer);
    json_write_object_end(writer);
    result = print_flush(writer, stdout, err);
    fputc('\n', stdout);

done:
    json_writer_free(writer);
    return result;
}

static void csv_instant(bool there, int64_t at_us)
{
    char text[INSTANT_SIZE];

    csv_text(stdout, there ? instant_format(text, at_us) : NULL);
}

static void print_csv(const struct trends *trends)
{
    static const char *const heads[] = {"key",          "title",         "label",
                                        "posts",        "people",        "conversations",
                                        "before.posts", "before.people", "before.conversations",
                                        "first_at",     "last_at"};

    csv_head(stdout, heads, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < trends->count; i++) {
        const struct group *group = &trends->groups[i];
        const int64_t counts[] = {group->now.posts,
                                  (int64_t)group->now.people.count,
                                  (int64_t)group->now.threads.count,
                                  group->before.posts,
                                  (int64_t)group->before.people.count,
                                  (int64_t)group->before.threads.count};
        char key[256];
        char title[512];

        csv_first(stdout, key_of(group, key, sizeof key));
        csv_text(stdout, sentence_of(group, title, sizeof title));
        csv_text(stdout, label_of(trends, group));
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            csv_integer(stdout, counts[k]);
        }
        csv_instant(group->now.posts > 0, group->now.first_us);
        csv_instant(group->now.posts > 0, group->now.last_us);
        csv_end(stdout);
    }
}

/* "+128 %", or the plain difference where a percentage would be a guess. */
static const char *change_of(const struct group *group, char *out, size_t size)
{
    int64_t now = group->now.posts;
    int64_t before = group->before.posts;

    if (before >= PERCENT_LEAST && now >= PERCENT_LEAST) {
        snprintf(out, size, "%+.0f %%", 100.0 * (double)(now - before) / (double)before);
    } else {
        snprintf(out, size, "%+lld", (long long)(now - before));
    }
    return out;
}

static void print_group(const struct group *group, bool colour)
{
    bool red = colour && group->kind == GROUP_LABEL && strcmp(group->name, "complaint") == 0;
    char title[160];
    char change[32];

    fputs(red ? "\033[31m" : "", stdout);
    print_cell(stdout, title_of(group, title, sizeof title), 26);
    fputs(red ? "\033[0m" : "", stdout);
    printf("%8lld %8zu %8zu %8lld %9s\n", (long long)group->now.posts, group->now.people.count,
           group->now.threads.count, (long long)group->before.posts,
           change_of(group, change, sizeof change));
}

static void print_table(const struct trends *trends, const struct view_complete *complete,
                        bool colour)
{
    static const char *const heads[GROUP_KINDS] = {"", "", "Touch points", "Brands"};
    const struct group *best = headline(trends);
    enum group_kind kind = GROUP_ALL;
    size_t shown = 0;
    char sentence[512];

    if (best == NULL || trends->groups[0].now.posts + trends->groups[0].before.posts == 0) {
        printf("No posts in this period. earshot run --once asks every source now.\n");
        print_foot(stdout, trends->view, complete, "");
        return;
    }
    printf("%s%s.%s\n\n", colour ? "\033[1m" : "", sentence_of(best, sentence, sizeof sentence),
           colour ? "\033[0m" : "");
    printf("%-26s%8s %8s %8s %8s %9s\n", "", "posts", "people", "threads", "before", "change");
    for (size_t i = 0; i < trends->count; i++) {
        const struct group *group = &trends->groups[i];

        shown = group->kind == kind ? shown + 1 : 1;
        if (group->kind != kind && heads[group->kind][0] != '\0') {
            printf("\n%s\n", heads[group->kind]);
        }
        kind = group->kind;
        if (trends->view->options->limit == 0 || (int64_t)shown <= trends->view->options->limit) {
            print_group(group, colour);
        }
    }
    print_foot(stdout, trends->view, complete,
               "People count once, copies as posts only, our own never. No percentage below 10.");
}

static int print_trends(const struct trends *trends, const struct command_call *call,
                        struct ear_error *err)
{
    struct view_complete *complete = malloc(sizeof *complete);
    int result = -1;

    if (complete == NULL) {
        ear_fail_memory(err, "the sources");
        return -1;
    }
    if (view_completeness(complete, trends->view, err) == 0) {
        result = 0;
        if (call->output == OUTPUT_JSON) {
            result = print_json(trends, complete, err);
        } else if (call->output == OUTPUT_CSV) {
            print_csv(trends);
        } else {
            print_table(trends, complete, call->colour);
        }
    }
    free(complete);
    return result;
}

static int count_periods(struct trends *trends, const struct view *view, struct ear_error *err)
{
    /* The labels that people look for stand there even where nobody said anything. */
    static const char *const wanted[] = {"complaint", "wish", "praise"};

    group_of(trends, GROUP_ALL, 0);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        for (size_t n = 1; n < view->name_count; n++) {
            if (strcmp(view_name(view, (int64_t)n), wanted[i]) == 0) {
                group_of(trends, GROUP_LABEL, (int64_t)n);
            }
        }
    }
    if (view_walk(view, view->since_us, view->until_us, count_post, trends, err) != 0) {
        return -1;
    }
    trends->before = true;
    return view_walk(view, view->before_us, view->since_us, count_post, trends, err);
}

int trends_command(const struct command_call *call, struct ear_error *err)
{
    const struct view_options *options = call->options;
    struct view view = {0};
    struct trends *trends = NULL;
    int result = -1;

    if (options->posts) {
        return list_command(call, NULL, err);
    }
    result = view_open(&view, call, false, err);
    if (result != 0) {
        return result;
    }
    result = -1;
    trends = calloc(1, sizeof *trends);
    if (trends == NULL) {
        ear_fail_memory(err, "trends");
        goto done;
    }
    trends->view = &view;
    if (count_periods(trends, &view, err) != 0) {
        goto done;
    }
    qsort(trends->groups, trends->count, sizeof trends->groups[0], compare_groups);
    result = print_trends(trends, call, err) == 0 ? EXIT_DONE : -1;

done:
    for (size_t i = 0; trends != NULL && i < trends->count; i++) {
        tally_clear(&trends->groups[i].now);
        tally_clear(&trends->groups[i].before);
    }
    free(trends);
    view_close(&view);
    return result;
}
