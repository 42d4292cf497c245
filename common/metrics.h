/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_METRICS_H
#define EARSHOT_COMMON_METRICS_H

/*
 * Counters, gauges and histograms of one process, printed in the Prometheus text format (version
 * 0.0.4). Base units, `_total` for counters, never an author, URL or post id as a label. The names
 * are API: they stand in one table in metrics.c, with their help. A registry is bounded: beyond
 * METRICS_SERIES_MAX series new label values are counted under "other". Threads: any.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { METRICS_SERIES_MAX = 60000 };

struct metrics;

EAR_MUST_CHECK
int metrics_new(struct metrics **out, struct ear_error *err);
void metrics_free(struct metrics *metrics);

/* Adds to a counter. Labels come as one string, "source=\"a\",code=\"200\"" made by metrics_labels,
 * or NULL. A NULL registry does nothing. */
void metrics_add(struct metrics *metrics, const char *name, const char *labels, double amount);

/* Sets a gauge; NAN: this process has nothing to say of it any more, and it is not printed. */
void metrics_set(struct metrics *metrics, const char *name, const char *labels, double value);

/* Observes a value in a histogram (buckets by name, from the table). */
void metrics_observe(struct metrics *metrics, const char *name, const char *labels, double value);

/* Writes `name="value",…` with values escaped into out; pairs end with NULL. Returns out; cut
 * values are still well formed. */
const char *metrics_labels(char *out, size_t size, ...);

/* All of it as text; caller frees. NULL: out of memory. */
char *metrics_text(struct metrics *metrics);

#endif
