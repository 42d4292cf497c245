/* SPDX-License-Identifier: Apache-2.0 */

/* Completeness stands beside every number: how the sources fare, and which part of what was planned
 * was heard. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "sinks/store/store.h"
#include "sinks/trends/view.h"

#define LATE_SLACK_US (10 * CLOCK_MINUTE_US)

/* Polls that the plan of a source had since plan_us, within the period, and that nobody has told of
 * yet; a little late is not late. */
static int64_t missed_since(const struct view *view, int64_t plan_us, int64_t every_us)
{
    const int64_t end_us = view->now_us < view->until_us ? view->now_us : view->until_us;
    const int64_t from_us = plan_us > view->since_us ? plan_us : view->since_us;

    if (every_us <= 0 || view->now_us - plan_us < LATE_SLACK_US ||
        view->now_us - plan_us < 2 * every_us || end_us <= from_us) {
        return 0;
    }
    return (end_us - from_us) / every_us;
}

static void judge_source(struct view_complete *out, const struct view *view,
                         const struct store_rows *rows)
{
    const char *name = store_get_text(rows, 0, NULL);
    bool red = strcmp(store_get_text(rows, 1, NULL), "red") == 0;
    bool never = store_is_null(rows, 3);
    int64_t since_us = view->now_us - store_get_integer(rows, 3);
    bool late = !red && (never || since_us > 3 * store_get_integer(rows, 6) + LATE_SLACK_US);

    out->sources++;
    if (red && out->red < VIEW_SOURCES_MAX) {
        snprintf(out->red_names[out->red], VIEW_SOURCE_SIZE, "%s", name);
    }
    if (late && out->late < VIEW_SOURCES_MAX) {
        snprintf(out->late_names[out->late], VIEW_SOURCE_SIZE, "%s", name);
    }
    out->red += red;
    out->late += late;
    out->healthy += !red && !late;
    if (!store_is_null(rows, 10) &&
        (view->options->source == NULL || strcmp(view->options->source, name) == 0)) {
        out->planned += missed_since(view, store_get_integer(rows, 10), store_get_integer(rows, 6));
    }
}

static int judge_sources(struct view_complete *out, const struct view *view, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, view->store, QUERY_SOURCE_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        judge_source(out, view, rows);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static int add_hours(struct view_complete *out, const struct view *view, struct ear_error *err)
{
    const char *source = view->options->source;
    const struct store_value values[] = {store_integer(view->since_us),
                                         store_integer(view->until_us), store_text(source)};
    struct store_rows *rows = NULL;
    uint32_t ages[AGES_COUNT];
    int there = 0;

    if (store_select(&rows, view->store,
                     source == NULL ? QUERY_COVERAGE_SPAN : QUERY_COVERAGE_SPAN_OF, values,
                     source == NULL ? 2 : 3, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        out->planned += store_get_integer(rows, 0);
        out->made += store_get_integer(rows, 1);
        ages_parse(ages, store_get_text(rows, 7, NULL));
        ages_add(out->ages, ages);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* The polls of a stretch, by the part of it that lies in the period. */
static int64_t polls_within(const struct view *view, int64_t from_us, int64_t to_us, int64_t polls)
{
    const int64_t begin_us = from_us > view->since_us ? from_us : view->since_us;
    const int64_t end_us = to_us < view->until_us ? to_us : view->until_us;

    return from_us == 0 || to_us <= from_us || end_us <= begin_us
               ? 0
               : (int64_t)((double)polls * (double)(end_us - begin_us) / (double)(to_us - from_us));
}

static void take_gap(struct view_complete *out, const struct view *view,
                     const struct store_rows *rows)
{
    const char *why = store_get_text(rows, 6, NULL);
    struct view_gap gap = {.from_us = store_get_integer(rows, 2),
                           .to_us = store_get_integer(rows, 3),
                           .polls = store_get_integer(rows, 5)};

    out->planned += polls_within(view, gap.from_us, gap.to_us, gap.polls);
    if (out->gap_count++ < VIEW_GAPS_MAX) {
        snprintf(gap.source, sizeof gap.source, "%s", store_get_text(rows, 0, NULL));
        snprintf(gap.kind, sizeof gap.kind, "%s", store_get_text(rows, 1, NULL));
        snprintf(gap.why, sizeof gap.why, "%s", why == NULL ? "" : why);
        out->gaps[out->gap_count - 1] = gap;
    }
}

static int add_gaps(struct view_complete *out, const struct view *view, struct ear_error *err)
{
    const char *source = view->options->source;
    const struct store_value values[] = {store_integer(view->since_us),
                                         store_integer(view->until_us),
                                         store_text(source == NULL ? "" : source)};
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, view->store, QUERY_COVERAGE_GAP_SPAN, values, 3, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        take_gap(out, view, rows);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

int view_completeness(struct view_complete *out, const struct view *view, struct ear_error *err)
{
    *out = (struct view_complete){0};
    if (view->store == NULL) {
        return 0;
    }
    return judge_sources(out, view, err) != 0 || add_hours(out, view, err) != 0
               ? -1
               : add_gaps(out, view, err);
}
