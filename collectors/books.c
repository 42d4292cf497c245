/* SPDX-License-Identifier: Apache-2.0 */
/* How completely sources are listened to, told: as metrics, and in the log where a person should
 * know. */

#include <inttypes.h>
#include <string.h>

#include "collectors/collector_internal.h"

#include "common/hash.h"
#include "common/instant.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/settings/settings.h"

/* Beyond so many posts of one age in one transaction, the histogram takes no more of them. */
enum { AGES_MAX = 1000, LABELS_SIZE = 256 };

void books_tell_begun(const struct collector *collector, const struct listening *listening,
                      const struct coverage_begun *begun)
{
    char labels[LABELS_SIZE];

    if (collector->config.metrics != NULL && begun->planned > 0) {
        metrics_labels(labels, sizeof(labels), "source", listening->entry->source->name, NULL);
        metrics_add(collector->config.metrics, "earshot_collect_polls_planned_total", labels,
                    (double)begun->planned);
    }
}

static void count_polls(struct metrics *metrics, const char *source, const char *result)
{
    char labels[LABELS_SIZE];

    metrics_labels(labels, sizeof(labels), "source", source, "result", result, NULL);
    metrics_add(metrics, "earshot_collect_polls_total", labels, 1);
}

static void tell_walked(const struct listening *listening)
{
    const struct backfill *backfill = &listening->standing.backfill;
    const struct log_field fields[] = {{"source", listening->entry->source->name}, {NULL, NULL}};

    log_event(LOG_LEVEL_INFO, fields,
              "the walk into the past is at its end: %" PRId64 " posts in %" PRId64 " requests",
              backfill->posts, backfill->requests);
}

static void tell_gaps(const struct collector *collector, const struct part *part)
{
    const struct listening *listening = part->listening;
    const struct coverage *coverage = &listening->standing.coverage;
    const struct log_field fields[] = {{"source", listening->entry->source->name}, {NULL, NULL}};
    char labels[LABELS_SIZE];

    metrics_labels(labels, sizeof(labels), "source", listening->entry->source->name, NULL);
    metrics_add(collector->config.metrics, "earshot_collect_gaps_total", labels,
                (double)part->gaps);
    if (coverage->gap_count > 0) {
        log_event(LOG_LEVEL_WARN, fields, "posts may be missing: %s",
                  coverage->gaps[coverage->gap_count - 1].why);
    }
}

static void tell_misfits(const struct part *part)
{
    const struct misfits *misfits = &part->listening->standing.misfits;
    const struct log_field fields[] = {{"source", part->listening->entry->source->name},
                                       {NULL, NULL}};
    const size_t first = misfits->count < part->misfits ? 0 : misfits->count - part->misfits;

    for (size_t i = first; i < misfits->count; i++) {
        log_event(LOG_LEVEL_WARN, fields, "posts may be missing: %s", misfits->items[i].text);
    }
}

void books_tell_part(const struct collector *collector, const struct part *part)
{
    struct metrics *metrics = collector->config.metrics;
    const char *source = part->listening->entry->source->name;

    if (part->gaps > 0) {
        tell_gaps(collector, part);
    }
    if (part->misfits > 0) {
        tell_misfits(part);
    }
    if (part->walked) {
        tell_walked(part->listening);
    }
    if (part->failed || part->done) {
        count_polls(metrics, source, part->failed ? "failed" : "made");
    }
    for (size_t i = 0; i < AGES_COUNT; i++) {
        for (uint32_t n = 0; n < part->ages[i] && n < AGES_MAX; n++) {
            /* the middle of the bucket [2^(i-1), 2^i) */
            metrics_observe(metrics, "earshot_collect_post_age_seconds", NULL,
                            i == 0 ? 0.5 : 0.75 * (double)((uint64_t)1 << i));
        }
    }
}

void books_note_answer(struct collector *collector, const struct listening *listening,
                       bool answered)
{
    const char *host = listening->origin.host == NULL ? "" : listening->origin.host;
    const int64_t now_us = collector_now_us(collector);
    char span[DURATION_SIZE];

    switch (outage_note(&collector->outage, hash64_of(host, strlen(host), 0), answered, now_us)) {
    case OUTAGE_BEGAN:
        collector->outage_us = collector->outage.silent_us;
        metrics_set(collector->config.metrics, "earshot_collect_outage", NULL, 1);
        log_warn("no host at all answers: our own network is away; sources wait, and none is "
                 "blamed for it");
        break;
    case OUTAGE_ENDED:
        duration_format(span, now_us - collector->outage_us);
        metrics_set(collector->config.metrics, "earshot_collect_outage", NULL, 0);
        log_info("our own network is back after %s", span);
        break;
    default:
        break;
    }
}

void books_tell_away(struct collector *collector)
{
    if (collector->away_sources > 0 && !collector->config.once) {
        log_warn("%zu sources were not asked for a while (%" PRId64 " polls of their plan): it "
                 "stands in the books, and they go on from where they were",
                 collector->away_sources, collector->away_polls);
    }
    collector->away_sources = 0;
    collector->away_polls = 0;
}
