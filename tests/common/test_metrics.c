/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"

static int set_up(void **state)
{
    struct metrics *metrics = NULL;
    struct ear_error err = {0};

    if (metrics_new(&metrics, &err) != 0) {
        return -1;
    }
    *state = metrics;
    return 0;
}

static int tear_down(void **state)
{
    metrics_free(*state);
    return 0;
}

static void assert_printed(struct metrics *metrics, const char *part, bool printed)
{
    char *text = metrics_text(metrics);

    assert_non_null(text);
    if ((strstr(text, part) != NULL) != printed) {
        fail_msg("'%s' is %s in:\n%.2000s", part, printed ? "not" : "still", text);
    }
    free(text);
}

static void only_what_was_told_is_printed(void **state)
{
    char *text = metrics_text(*state);

    assert_string_equal(text, "# HELP earshot_build_info Always 1; the version is its label.\n"
                              "# TYPE earshot_build_info gauge\n"
                              "earshot_build_info{version=\"" EARSHOT_VERSION "\"} 1\n");
    free(text);
}

static void counters_add_up_by_their_labels(void **state)
{
    struct metrics *metrics = *state;
    char labels[128];

    for (int i = 0; i < 3; i++) {
        metrics_add(metrics, "earshot_collect_posts_total",
                    metrics_labels(labels, sizeof labels, "source", "our-forum", NULL), 2);
    }
    metrics_add(metrics, "earshot_collect_posts_total",
                metrics_labels(labels, sizeof labels, "source", "blog", NULL), 0.5);
    assert_printed(metrics,
                   "# TYPE earshot_collect_posts_total counter\n"
                   "earshot_collect_posts_total{source=\"our-forum\"} 6\n"
                   "earshot_collect_posts_total{source=\"blog\"} 0.5\n",
                   true);
}

static void gauges_show_the_last_value(void **state)
{
    struct metrics *metrics = *state;

    metrics_set(metrics, "earshot_consumer_lag_messages", "topic=\"posts\",partition=\"0\"", 7);
    metrics_set(metrics, "earshot_consumer_lag_messages", "topic=\"posts\",partition=\"0\"", 3);
    metrics_set(metrics, "earshot_collect_quota_remaining", "source=\"a\"", INFINITY);
    metrics_set(metrics, "earshot_collect_quota_remaining", "source=\"b\"", NAN);
    metrics_set(metrics, "earshot_collect_last_success_timestamp_seconds", "source=\"a\"",
                1795161600.25);
    assert_printed(metrics, "{topic=\"posts\",partition=\"0\"} 3\n", true);
    assert_printed(metrics, "remaining{source=\"a\"} +Inf\n", true);
    assert_printed(metrics, "remaining{source=\"b\"}", false);
    assert_printed(metrics, "seconds{source=\"a\"} 1795161600.25\n", true);
}

static void histograms_count_cumulatively(void **state)
{
    struct metrics *metrics = *state;

    metrics_observe(metrics, "earshot_sink_commit_duration_seconds", NULL, 0.005);
    metrics_observe(metrics, "earshot_sink_commit_duration_seconds", NULL, 0.3);
    metrics_observe(metrics, "earshot_sink_commit_duration_seconds", NULL, 99);
    metrics_observe(metrics, "earshot_sink_commit_duration_seconds", NULL, NAN);
    assert_printed(metrics, "earshot_sink_commit_duration_seconds_bucket{le=\"0.005\"} 1\n", true);
    assert_printed(metrics, "earshot_sink_commit_duration_seconds_bucket{le=\"0.25\"} 1\n", true);
    assert_printed(metrics, "earshot_sink_commit_duration_seconds_bucket{le=\"0.5\"} 2\n", true);
    assert_printed(metrics,
                   "earshot_sink_commit_duration_seconds_bucket{le=\"10\"} 2\n"
                   "earshot_sink_commit_duration_seconds_bucket{le=\"+Inf\"} 3\n"
                   "earshot_sink_commit_duration_seconds_sum 99.305\n"
                   "earshot_sink_commit_duration_seconds_count 3\n",
                   true);
    metrics_observe(metrics, "earshot_stage_batch_duration_seconds", "stage=\"brands\"", 1);
    assert_printed(metrics, "_bucket{stage=\"brands\",le=\"1\"} 1\n", true);
}

static void labels_are_escaped_and_cut_whole(void **state)
{
    static const struct {
        size_t size;
        const char *value;
        const char *labels;
    } cases[] = {
        {64, "a", "source=\"a\",code=\"200\""},
        {64, "a\"b\\c\nd", "source=\"a\\\"b\\\\c\\nd\",code=\"200\""},
        {16, "abcdefghij", "source=\"abcdef\""},
        {16, "abcde\"", "source=\"abcde\""},
        {16, "abcde\xc3\xbc", "source=\"abcde\""},
        {17, "abcde\xc3\xbc", "source=\"abcde\xc3\xbc\""},
        {11, "abc", "source=\"a\""},
        {10, "abc", ""},
        {1, "abc", ""},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(out, 'x', sizeof out);
        metrics_labels(out, cases[i].size, "source", cases[i].value, "code", "200", NULL);
        assert_string_equal(out, cases[i].labels);
    }
}

static void beyond_the_limit_series_are_other(void **state)
{
    struct metrics *metrics = *state;
    char value[32];
    char labels[64];
    size_t lines = 0;
    char *text;

    for (int i = 0; i < METRICS_SERIES_MAX + 500; i++) {
        snprintf(value, sizeof value, "s\"%d", i);
        metrics_add(metrics, "earshot_collect_requests_total",
                    metrics_labels(labels, sizeof labels, "source", value, "code", "200", NULL), 1);
    }
    metrics_add(metrics, "earshot_collect_requests_total", "source=\"s\\\"7\",code=\"200\"", 1);
    metrics_observe(metrics, "earshot_sink_commit_duration_seconds", NULL, 1); /* has no labels */
    text = metrics_text(metrics);
    for (const char *at = text; *at != '\0'; at++) {
        lines += *at == '\n' ? 1 : 0;
    }
    assert_in_range(lines, METRICS_SERIES_MAX, METRICS_SERIES_MAX + 40);
    assert_non_null(strstr(text, "{source=\"other\",code=\"other\"} 501\n"));
    assert_non_null(strstr(text, "{source=\"s\\\"7\",code=\"200\"} 2\n"));
    assert_non_null(strstr(text, "earshot_sink_commit_duration_seconds_count 1\n"));
    free(text);
}

static void *count_much(void *metrics)
{
    for (int i = 0; i < 10000; i++) {
        metrics_add(metrics, "earshot_stage_messages_total", "stage=\"a\",result=\"in\"", 1);
    }
    return NULL;
}

static void threads_count_together(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, *state), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_printed(*state, "{stage=\"a\",result=\"in\"} 40000\n", true);
}

static void without_a_registry_nothing_happens(void **state)
{
    (void)state;
    metrics_add(NULL, "earshot_collect_posts_total", NULL, 1);
    metrics_set(NULL, "earshot_build_info", NULL, 1);
    metrics_observe(NULL, "earshot_post_age_seconds", NULL, 1);
    metrics_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_was_told_is_printed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counters_add_up_by_their_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gauges_show_the_last_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(histograms_count_cumulatively, set_up, tear_down),
        cmocka_unit_test(labels_are_escaped_and_cut_whole),
        cmocka_unit_test_setup_teardown(beyond_the_limit_series_are_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_count_together, set_up, tear_down),
        cmocka_unit_test(without_a_registry_nothing_happens),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
