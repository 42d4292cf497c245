/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

/*
 * A family is a row of the table below; a series is a family with its labels. All series stand in
 * one hash table with open addressing, and in a list a family, in order of arrival, for printing.
 */

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

enum { BUCKETS_MAX = 16, LABELS_SIZE = 512, SLOTS_FIRST = 64 };

/* Upper bounds; the one of +Inf is not among them. */
struct buckets {
    size_t count;
    double most[BUCKETS_MAX];
};

static const struct buckets short_times = {
    11, {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};

/* Messages a transaction. */
static const struct buckets sizes = {10, {1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000}};

/* From created to stored: a second to a month. */
static const struct buckets ages = {
    12, {1, 5, 15, 60, 300, 900, 3600, 14400, 43200, 86400, 604800, 2592000}};

struct family {
    const char *name;
    enum kind kind;
    const char *help;
    const struct buckets *buckets; /* KIND_HISTOGRAM */
};

static const struct family families[] = {
    {"earshot_build_info", KIND_GAUGE, "Always 1; the version is its label.", NULL},
    {"earshot_collect_posts_total", KIND_COUNTER, "Posts published, by source.", NULL},
    {"earshot_collect_undated_total", KIND_COUNTER,
     "Of them, those without a readable time, counted at the time they were seen.", NULL},
    {"earshot_collect_requests_total", KIND_COUNTER, "Requests made, by source and answer.", NULL},
    {"earshot_ingest_requests_total", KIND_COUNTER,
     "Requests that brought entries, by source and answer.", NULL},
    {"earshot_collect_last_success_timestamp_seconds", KIND_GAUGE,
     "When a source was last polled without an error, in seconds since 1970.", NULL},
    {"earshot_collect_drifting", KIND_GAUGE,
     "Whether too many of a source's records are rejected: 1 if so, else 0.", NULL},
    {"earshot_collect_quota_remaining", KIND_GAUGE,
     "Requests that a source's server still grants in its window.", NULL},
    {"earshot_collect_sources", KIND_GAUGE, "Sources that this collector has now.", NULL},
    {"earshot_collect_polls_planned_total", KIND_COUNTER,
     "Polls that a source's plan wanted, made or not.", NULL},
    {"earshot_collect_polls_total", KIND_COUNTER, "Polls, by source and result (made, failed).",
     NULL},
    {"earshot_collect_gaps_total", KIND_COUNTER,
     "Stretches of time of which a source's server no longer gives what was said.", NULL},
    {"earshot_collect_outage", KIND_GAUGE,
     "Whether our own network is away: 1 while no host at all answers, else 0.", NULL},
    {"earshot_collect_post_age_seconds", KIND_HISTOGRAM,
     "From a post's creation until it was published, of new posts of sources known before.", &ages},
    {"earshot_collect_commit_duration_seconds", KIND_HISTOGRAM,
     "How long the log took to commit a group of polls' steps.", &short_times},
    {"earshot_collect_commit_messages", KIND_HISTOGRAM,
     "Messages that a group of polls' steps put into one transaction.", &sizes},
    {"earshot_stage_messages_total", KIND_COUNTER,
     "Messages through a stage, by result (in, out, dropped, rejected).", NULL},
    {"earshot_stage_batch_duration_seconds", KIND_HISTOGRAM, "How long a stage took for a batch.",
     &short_times},
    {"earshot_stage_restarts_total", KIND_COUNTER, "How often a stage was started again.", NULL},
    {"earshot_rejects_total", KIND_COUNTER, "What could not be handled, by stage and reason.",
     NULL},
    {"earshot_consumer_lag_messages", KIND_GAUGE, "Messages not read yet, by topic and partition.",
     NULL},
    {"earshot_audit_difference", KIND_GAUGE,
     "Messages that were lost or doubled, by source, hour, topic and reader.", NULL},
    {"earshot_post_age_seconds", KIND_HISTOGRAM, "From a post's creation until it was stored.",
     &ages},
    {"earshot_sink_commit_duration_seconds", KIND_HISTOGRAM,
     "How long the store took to commit a batch.", &short_times},
    {"earshot_stream_transaction_duration_seconds", KIND_HISTOGRAM,
     "How long a transaction took to be committed on Kafka, or to fail.", &short_times},
    {"earshot_stream_aborts_total", KIND_COUNTER, "Transactions aborted on Kafka.", NULL},
    {"earshot_stream_recycles_total", KIND_COUNTER,
     "Producers unmade because it was not known what became of a transaction.", NULL},
    {"earshot_stream_queue_messages", KIND_GAUGE,
     "Messages of the last transaction that waited to be sent when all were handed over.", NULL},
};

enum { FAMILIES = sizeof families / sizeof families[0] };

struct series {
    struct series *next; /* of the same family */
    size_t family;
    double value;     /* a histogram's sum */
    uint64_t *counts; /* [BUCKETS_MAX + 1], of a histogram alone: not cumulative; the last is
                         beyond all bounds */
    char labels[];
};

struct metrics {
    pthread_mutex_t lock;
    struct series **slots; /* [slot_count], a power of two, at most three quarters full */
    size_t slot_count;
    size_t series_count;
    struct series *first[FAMILIES];
    struct series *last[FAMILIES];
};

int metrics_new(struct metrics **out, struct ear_error *err)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    char labels[64];

    if (metrics == NULL) {
        return ear_fail_memory(err, "metrics");
    }
    metrics->slots = calloc(SLOTS_FIRST, sizeof(struct series *));
    if (metrics->slots == NULL) {
        free(metrics);
        return ear_fail_memory(err, "metrics");
    }
    metrics->slot_count = SLOTS_FIRST;
    pthread_mutex_init(&metrics->lock, NULL);
    *out = metrics;
    metrics_set(metrics, "earshot_build_info",
                metrics_labels(labels, sizeof labels, "version", EARSHOT_VERSION, NULL), 1);
    return 0;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < metrics->slot_count; i++) {
        if (metrics->slots[i] != NULL) {
            free(metrics->slots[i]->counts);
            free(metrics->slots[i]);
        }
    }
    free(metrics->slots);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* --- series --- */

static size_t family_of(const char *name)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        if (strcmp(families[i].name, name) == 0) {
            return i;
        }
    }
    assert(false && "a metric that is not in the table");
    return 0;
}

/* The slot where a series stands or would stand. */
static struct series **slot_of(struct series **slots, size_t slot_count, size_t family,
                               const char *labels)
{
    size_t at = hash64_of(labels, strlen(labels), family) & (slot_count - 1);

    while (slots[at] != NULL &&
           (slots[at]->family != family || strcmp(slots[at]->labels, labels) != 0)) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

static bool grow(struct metrics *metrics)
{
    size_t slot_count = metrics->slot_count * 2;
    struct series **slots = calloc(slot_count, sizeof(struct series *));

    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < metrics->slot_count; i++) {
        struct series *series = metrics->slots[i];

        if (series != NULL) {
            *slot_of(slots, slot_count, series->family, series->labels) = series;
        }
    }
    free(metrics->slots);
    metrics->slots = slots;
    metrics->slot_count = slot_count;
    return true;
}

/* source="a",code="200" becomes source="other",code="other". */
static void all_other(char out[LABELS_SIZE], const char *labels)
{
    size_t length = 0;
    bool inside = false;

    for (; *labels != '\0'; labels++) {
        if (inside && *labels == '\\' && labels[1] != '\0') {
            labels++;
        } else if (*labels == '"') {
            inside = !inside;
            length +=
                (size_t)snprintf(out + length, LABELS_SIZE - length, inside ? "\"other" : "\"");
        } else if (!inside) {
            out[length++] = *labels;
        }
        if (length + sizeof "\"other" > LABELS_SIZE) {
            break;
        }
    }
    out[length] = '\0';
}

static struct series *add_series(struct metrics *metrics, size_t family, const char *labels)
{
    size_t size = strlen(labels) + 1;
    struct series *series;

    if (metrics->series_count >= metrics->slot_count / 4 * 3 && !grow(metrics)) {
        return NULL;
    }
    series = calloc(1, sizeof *series + size);
    if (series == NULL) {
        return NULL;
    }
    if (families[family].kind == KIND_HISTOGRAM) {
        series->counts = calloc(BUCKETS_MAX + 1, sizeof *series->counts);
        if (series->counts == NULL) {
            free(series);
            return NULL;
        }
    }
    series->family = family;
    memcpy(series->labels, labels, size);
    if (metrics->first[family] == NULL) {
        metrics->first[family] = series;
    } else {
        metrics->last[family]->next = series;
    }
    metrics->last[family] = series;
    *slot_of(metrics->slots, metrics->slot_count, family, labels) = series;
    metrics->series_count++;
    return series;
}

/* The series, made if need be; NULL without memory: a number less is better than a stop. */
static struct series *series_of(struct metrics *metrics, const char *name, enum kind kind,
                                const char *labels)
{
    size_t family = family_of(name);
    const char *wanted = labels == NULL ? "" : labels;
    struct series *series = *slot_of(metrics->slots, metrics->slot_count, family, wanted);
    char other[LABELS_SIZE];

    assert(families[family].kind == kind);
    (void)kind;
    if (series == NULL && *wanted != '\0' && metrics->series_count >= METRICS_SERIES_MAX) {
        all_other(other, wanted);
        wanted = other;
        series = *slot_of(metrics->slots, metrics->slot_count, family, wanted);
    }
    return series != NULL ? series : add_series(metrics, family, wanted);
}

void metrics_add(struct metrics *metrics, const char *name, const char *labels, double amount)
{
    struct series *series;

    if (metrics == NULL) {
        return;
    }
    assert(amount >= 0);
    pthread_mutex_lock(&metrics->lock);
    series = series_of(metrics, name, KIND_COUNTER, labels);
    if (series != NULL) {
        series->value += amount;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_set(struct metrics *metrics, const char *name, const char *labels, double value)
{
    struct series *series;

    if (metrics == NULL) {
        return;
    }
    pthread_mutex_lock(&metrics->lock);
    series = series_of(metrics, name, KIND_GAUGE, labels);
    if (series != NULL) {
        series->value = value;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_observe(struct metrics *metrics, const char *name, const char *labels, double value)
{
    struct series *series;

    if (metrics == NULL || isnan(value)) {
        return;
    }
    pthread_mutex_lock(&metrics->lock);
    series = series_of(metrics, name, KIND_HISTOGRAM, labels);
    if (series != NULL) {
        const struct buckets *buckets = families[series->family].buckets;
        size_t bucket = 0;

        while (bucket < buckets->count && value > buckets->most[bucket]) {
            bucket++;
        }
        series->counts[bucket]++;
        series->value += value;
    }
    pthread_mutex_unlock(&metrics->lock);
}

/* --- labels --- */

/* Appends a value, escaped and cut between characters so that `keep` bytes stay free. */
static size_t put_value(char *out, size_t size, size_t length, size_t keep, const char *value)
{
    while (*value != '\0') {
        char form[8];
        size_t taken = 1;

        while (((unsigned char)value[taken] & 0xc0) == 0x80 && taken < 4) {
            taken++;
        }
        if (*value == '"' || *value == '\\' || *value == '\n') {
            snprintf(form, sizeof form, "\\%c", *value == '\n' ? 'n' : *value);
        } else {
            snprintf(form, sizeof form, "%.*s", (int)taken, value);
        }
        if (length + strlen(form) + keep >= size) {
            break;
        }
        length += (size_t)snprintf(out + length, size - length, "%s", form);
        value += taken;
    }
    return length;
}

const char *metrics_labels(char *out, size_t size, ...)
{
    va_list pairs;
    size_t length = 0;
    const char *name;

    out[0] = '\0';
    va_start(pairs, size);
    while ((name = va_arg(pairs, const char *)) != NULL) {
        const char *value = va_arg(pairs, const char *);

        if (length + strlen(name) + sizeof ",=\"\"" > size) {
            break;
        }
        length +=
            (size_t)snprintf(out + length, size - length, "%s%s=\"", length > 0 ? "," : "", name);
        length = put_value(out, size, length, 1, value == NULL ? "" : value);
        length += (size_t)snprintf(out + length, size - length, "\"");
    }
    va_end(pairs);
    return out;
}

/* --- text --- */

static void print_value(FILE *text, double value)
{
    if (isinf(value)) {
        fputs(value < 0 ? " -Inf\n" : " +Inf\n", text);
    } else {
        fprintf(text, " %.15g\n", value);
    }
}

static void print_name(FILE *text, const char *name, const char *suffix, const char *labels,
                       const char *bound)
{
    fprintf(text, "%s%s", name, suffix);
    if (*labels != '\0' || bound != NULL) {
        fprintf(text, "{%s", labels);
        if (bound != NULL) {
            fprintf(text, "%sle=\"%s\"", *labels != '\0' ? "," : "", bound);
        }
        fputc('}', text);
    }
}

static void print_histogram(FILE *text, const struct family *family, const struct series *series)
{
    uint64_t count = 0;
    char bound[32];

    for (size_t i = 0; i <= family->buckets->count; i++) {
        count += series->counts[i];
        if (i < family->buckets->count) {
            snprintf(bound, sizeof bound, "%.15g", family->buckets->most[i]);
        } else {
            snprintf(bound, sizeof bound, "+Inf");
        }
        print_name(text, family->name, "_bucket", series->labels, bound);
        print_value(text, (double)count);
    }
    print_name(text, family->name, "_sum", series->labels, NULL);
    print_value(text, series->value);
    print_name(text, family->name, "_count", series->labels, NULL);
    print_value(text, (double)count);
}

static void print_family(FILE *text, const struct family *family, const struct series *series)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    if (series == NULL) {
        return;
    }
    fprintf(text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
            kinds[family->kind]);
    for (; series != NULL; series = series->next) {
        if (family->kind == KIND_HISTOGRAM) {
            print_histogram(text, family, series);
        } else if (!isnan(series->value)) {
            print_name(text, family->name, "", series->labels, NULL);
            print_value(text, series->value);
        }
    }
}

char *metrics_text(struct metrics *metrics)
{
    char *bytes = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&bytes, &length);
    bool failed;

    if (text == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < FAMILIES; i++) {
        print_family(text, &families[i], metrics->first[i]);
    }
    pthread_mutex_unlock(&metrics->lock);
    failed = ferror(text) != 0;
    if (fclose(text) != 0 || failed) {
        free(bytes);
        return NULL;
    }
    return bytes;
}
