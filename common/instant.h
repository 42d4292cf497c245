/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_INSTANT_H
#define EARSHOT_COMMON_INSTANT_H

/*
 * Instants, durations, days and zones as text and back. An instant is int64_t microseconds since
 * 1970 in UTC (Gregorian calendar, no leap seconds), years 0001 to 9999. A zone is one of the
 * system's time zones, read once from its TZif file (RFC 8536), without the process-wide TZ of the
 * C library.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { INSTANT_SIZE = 32, DAY_SIZE = 40, DURATION_SIZE = 24 };

struct zone;

/* Opens a zone by its name ("Europe/Berlin", "UTC") or fixed offset ("+02:00"). -1 with EAR_CONFIG:
 * unknown, did you mean. Caller closes. */
EAR_MUST_CHECK
int zone_open(struct zone **out, const char *name, struct ear_error *err);
void zone_close(struct zone *zone);

/* Seconds east of UTC at an instant. NULL is UTC. Threads: any number on one zone. */
int64_t zone_offset_s(const struct zone *zone, int64_t at_us);

/* The calendar day (days since 1970-01-01, local) and the hour of the day (0..23) at an instant. */
int64_t zone_day(const struct zone *zone, int64_t at_us);
int zone_hour(const struct zone *zone, int64_t at_us);

/* The instant at which a local day begins. */
int64_t zone_day_start_us(const struct zone *zone, int64_t day);

/* Strict RFC 3339 ("2026-11-20T08:00:00.5+01:00"); a space for the T is allowed. Whole text. False:
 * not one; *out untouched. */
bool instant_parse_rfc3339(int64_t *out_us, const char *text, size_t length);

/*
 * As strangers write it: RFC 3339, ISO 8601 with or without time and zone, RFC 822/1123/850 with
 * two-digit years, missing week day, named American zones, or a local one, ctime, Unix seconds or
 * milliseconds, 20.11.2026 and 11/20/2026 (month first unless that cannot be). Without a zone it is
 * read in `zone` (NULL: UTC). False: none of these.
 */
bool instant_parse_any(int64_t *out_us, const char *text, size_t length, const struct zone *zone);

/*
 * What --since and --until take: an instant, a date (its beginning in `zone`), "now", "today",
 * "yesterday", or a duration back from now_us. -1 with EAR_CONFIG says what to write.
 */
EAR_MUST_CHECK
int instant_parse_bound(int64_t *out_us, const char *text, int64_t now_us, const struct zone *zone,
                        struct ear_error *err);

/* "2026-11-20T08:00:00Z", with .ffffff only where not zero. Returns out. */
const char *instant_format(char out[INSTANT_SIZE], int64_t at_us);

/* "2026-11-20" of a day number. Returns out. */
const char *day_format(char out[DAY_SIZE], int64_t day);

/* "30s", "5m", "2h", "90d", "1w", "250ms", also "1h30m". Positive. -1 with EAR_CONFIG: "'10
 * parsecs' is no duration; write …". */
EAR_MUST_CHECK
int duration_parse(int64_t *out_us, const char *text, struct ear_error *err);

/* The two biggest units: "3d 4h", "12s". Returns out. */
const char *duration_format(char out[DURATION_SIZE], int64_t duration_us);

#endif
