/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/instant/instant_internal.h"
#include "common/text/text.h"

/*
 * TZif (RFC 8536): a header of 44 bytes ("TZif", version, 15 unused, six counts), then per version
 * a block: transition times, their types, the types (offset, daylight flag, name), names, leap
 * seconds, flags. Version 2 and later have a second header and block with 64-bit times, then a
 * footer: newline, a POSIX TZ rule, newline. The second block and the footer are what is used.
 */

#define ZONE_FOLDER "/usr/share/zoneinfo"

enum {
    FILE_LIMIT = 128 * 1024, /* the biggest of 2026 has 4 KiB */
    HEADER_SIZE = 44,
    TRANSITIONS_MAX = 20000,
    TYPES_MAX = 256,
};

struct zone {
    struct zone_rule rule;  /* after the last transition */
    int64_t first_offset_s; /* before the first one */
    size_t count;
    int64_t *at_s;     /* [count], ascending */
    int64_t *offset_s; /* [count], from at_s on */
};

/* --- reading a file --- */

struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
};

static uint32_t big32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t big64(const unsigned char *at)
{
    return (int64_t)((uint64_t)big32(at) << 32 | big32(at + 4));
}

static bool read_header(const unsigned char *bytes, size_t length, struct counts *counts)
{
    if (length < HEADER_SIZE || memcmp(bytes, "TZif", 4) != 0) {
        return false;
    }
    counts->isut = big32(bytes + 20);
    counts->isstd = big32(bytes + 24);
    counts->leap = big32(bytes + 28);
    counts->time = big32(bytes + 32);
    counts->type = big32(bytes + 36);
    counts->chars = big32(bytes + 40);
    return counts->time <= TRANSITIONS_MAX && counts->type >= 1 && counts->type <= TYPES_MAX &&
           counts->chars <= FILE_LIMIT && counts->leap <= TRANSITIONS_MAX &&
           counts->isut <= TYPES_MAX && counts->isstd <= TYPES_MAX;
}

static size_t block_size(const struct counts *counts, size_t time_size)
{
    enum { TYPE_SIZE = 6 };

    return counts->time * (time_size + 1) + counts->type * (size_t)TYPE_SIZE + counts->chars +
           counts->leap * (time_size + 4) + counts->isstd + counts->isut;
}

/* Fills the transitions from a block whose size has been checked. */
static bool read_block(struct zone *zone, const unsigned char *block, const struct counts *counts,
                       size_t time_size)
{
    const unsigned char *kinds = block + counts->time * time_size;
    const unsigned char *types = kinds + counts->time;

    zone->first_offset_s = (int32_t)big32(types);
    for (size_t i = 0; i < counts->time; i++) {
        const unsigned char *at = block + i * time_size;

        if (kinds[i] >= counts->type) {
            return false;
        }
        zone->at_s[i] = time_size == 8 ? big64(at) : (int32_t)big32(at);
        zone->offset_s[i] = (int32_t)big32(types + kinds[i] * (size_t)6);
        if (i > 0 && zone->at_s[i] <= zone->at_s[i - 1]) {
            return false;
        }
    }
    zone->count = counts->time;
    zone->rule.offset_s = zone->count == 0 ? zone->first_offset_s : zone->offset_s[zone->count - 1];
    return true;
}

static bool read_footer(struct zone *zone, const unsigned char *footer, size_t length)
{
    const unsigned char *end;

    if (length < 2 || footer[0] != '\n') {
        return false;
    }
    end = memchr(footer + 1, '\n', length - 1);
    if (end == NULL) {
        return false;
    }
    return end == footer + 1 ||
           zone_rule_parse(&zone->rule, (const char *)footer + 1, (size_t)(end - footer - 1));
}

static bool read_tzif(struct zone *zone, const unsigned char *bytes, size_t length)
{
    struct counts counts = {0};
    size_t time_size = 4;
    size_t size;
    bool second;

    if (!read_header(bytes, length, &counts)) {
        return false;
    }
    second = bytes[4] >= '2';
    size = HEADER_SIZE + block_size(&counts, time_size);
    if (second) {
        if (size > length || !read_header(bytes + size, length - size, &counts)) {
            return false;
        }
        bytes += size;
        length -= size;
        time_size = 8;
        size = HEADER_SIZE + block_size(&counts, time_size);
    }
    if (size > length || counts.leap != 0) {
        return false; /* "right/" zones count leap seconds, instants here do not */
    }
    zone->at_s = calloc(counts.time + 1, sizeof *zone->at_s);
    zone->offset_s = calloc(counts.time + 1, sizeof *zone->offset_s);
    return zone->at_s != NULL && zone->offset_s != NULL &&
           read_block(zone, bytes + HEADER_SIZE, &counts, time_size) &&
           (!second || read_footer(zone, bytes + size, length - size));
}

int zone_from_tzif(struct zone **out, const unsigned char *bytes, size_t length, const char *name,
                   struct ear_error *err)
{
    struct zone *zone = calloc(1, sizeof *zone);

    if (zone == NULL) {
        return ear_fail_memory(err, "a time zone");
    }
    if (!read_tzif(zone, bytes, length)) {
        zone_close(zone);
        return ear_fail(err, EAR_CONFIG,
                        "the time zone file of '%.64s' cannot be read; install tzdata again", name);
    }
    *out = zone;
    return 0;
}

/* --- opening --- */

static bool is_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";

    return *name != '\0' && *name != '/' && strlen(name) < 64 &&
           name[strspn(name, allowed)] == '\0';
}

/* "+02:00", "+0200", "+02". */
static bool read_fixed(const char *name, int64_t *offset_s)
{
    struct cursor_text rest = {name, name + strlen(name)};
    int hours = 0;
    int minutes = 0;
    bool west = read_char(&rest, '-');

    if ((!west && !read_char(&rest, '+')) || !read_digits(&rest, 2, &hours) || hours > 23) {
        return false;
    }
    (void)read_char(&rest, ':');
    if (rest.at != rest.end && (!read_digits(&rest, 2, &minutes) || minutes > 59)) {
        return false;
    }
    *offset_s = (hours * (int64_t)SECONDS_AN_HOUR + minutes * INT64_C(60)) * (west ? -1 : 1);
    return rest.at == rest.end;
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash == NULL ? name : slash + 1;
}

/* Looks through the system's list for what was meant: the same but for case, the same city, or the
 * nearest. Without the list there is no hint. */
static void suggest(char *out, size_t size, const char *name)
{
    char line[512];
    char best[64] = "";
    int least = (int)strlen(name) / 3 + 1;
    FILE *list = fopen(ZONE_FOLDER "/tzdata.zi", "re");

    *out = '\0';
    if (list == NULL) {
        return;
    }
    while (fgets(line, sizeof line, list) != NULL) {
        /* "Z Europe/Berlin …" is a zone, "L Europe/Berlin Arctic/Longyearbyen" a link to one */
        char *zone = line[0] == 'Z' && line[1] == ' ' ? line + 2 : NULL;
        int distance;

        if (zone == NULL && line[0] == 'L' && line[1] == ' ') {
            zone = strchr(line + 2, ' ');
            zone = zone == NULL ? NULL : zone + 1;
        }
        if (zone == NULL) {
            continue;
        }
        zone[strcspn(zone, " \n")] = '\0';
        distance = strcasecmp(zone, name) == 0              ? -2
                   : strcasecmp(last_part(zone), name) == 0 ? -1
                                                            : text_distance(zone, name);
        if (distance < least) {
            least = distance;
            snprintf(best, sizeof best, "%.63s", zone);
        }
    }
    fclose(list);
    if (*best != '\0') {
        snprintf(out, size, "; did you mean '%s'?", best);
    }
}

static int fail_name(const char *name, struct ear_error *err)
{
    char hint[128];

    suggest(hint, sizeof hint, name);
    return ear_fail(err, EAR_CONFIG, "'%.64s' is no time zone%s%s", name, hint,
                    *hint != '\0' ? "" : "; write one such as Europe/Berlin, UTC or +02:00");
}

static int read_zone_file(struct zone **out, const char *name, struct ear_error *err)
{
    char path[128];
    int result = -1;
    size_t length = 0;
    ssize_t got = 0;
    int file = -1;
    unsigned char *bytes = NULL;

    snprintf(path, sizeof path, ZONE_FOLDER "/%s", name);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return fail_name(name, err);
    }
    bytes = malloc(FILE_LIMIT);
    if (bytes == NULL) {
        ear_fail_memory(err, "a time zone");
        goto done;
    }
    while (length < FILE_LIMIT && (got = read(file, bytes + length, FILE_LIMIT - length)) > 0) {
        length += (size_t)got;
    }
    if (got < 0) {
        fail_name(name, err); /* a folder, such as "Europe" */
        goto done;
    }
    result = zone_from_tzif(out, bytes, length, name, err);

done:
    free(bytes);
    close(file);
    return result;
}

int zone_open(struct zone **out, const char *name, struct ear_error *err)
{
    int64_t offset_s = 0;
    struct zone *zone;

    if (strcmp(name, "UTC") != 0 && strcmp(name, "Z") != 0 && !read_fixed(name, &offset_s)) {
        return is_name(name) ? read_zone_file(out, name, err) : fail_name(name, err);
    }
    zone = calloc(1, sizeof *zone);
    if (zone == NULL) {
        return ear_fail_memory(err, "a time zone");
    }
    zone->first_offset_s = offset_s;
    zone->rule.offset_s = offset_s;
    *out = zone;
    return 0;
}

void zone_close(struct zone *zone)
{
    if (zone == NULL) {
        return;
    }
    free(zone->at_s);
    free(zone->offset_s);
    free(zone);
}

/* --- asking --- */

static int64_t offset_at(const struct zone *zone, int64_t at_s)
{
    size_t low = 0;
    size_t high = zone == NULL ? 0 : zone->count;

    if (zone == NULL) {
        return 0;
    }
    while (low < high) { /* ends at the number of transitions not after at_s */
        size_t middle = low + (high - low) / 2;

        if (zone->at_s[middle] <= at_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == zone->count) {
        return zone_rule_offset_s(&zone->rule, at_s);
    }
    return low == 0 ? zone->first_offset_s : zone->offset_s[low - 1];
}

int64_t zone_offset_s(const struct zone *zone, int64_t at_us)
{
    return offset_at(zone, floor_div(at_us, CLOCK_SECOND_US));
}

static int64_t local_seconds(const struct zone *zone, int64_t at_us)
{
    int64_t at_s = floor_div(at_us, CLOCK_SECOND_US);

    return at_s + offset_at(zone, at_s);
}

int64_t zone_day(const struct zone *zone, int64_t at_us)
{
    return floor_div(local_seconds(zone, at_us), SECONDS_A_DAY);
}

int zone_hour(const struct zone *zone, int64_t at_us)
{
    int64_t local_s = local_seconds(zone, at_us);

    return (int)((local_s - floor_div(local_s, SECONDS_A_DAY) * SECONDS_A_DAY) / SECONDS_AN_HOUR);
}

/* The first second at which local time is `local_s`; where a change of the clock skipped it, as
 * much after the change (true) or the change itself (false). */
static int64_t find_local(const struct zone *zone, int64_t local_s, bool after_change)
{
    int64_t before_s = offset_at(zone, local_s - SECONDS_A_DAY);
    int64_t after_s = offset_at(zone, local_s + SECONDS_A_DAY);
    int64_t with_before = local_s - before_s;
    int64_t with_after = local_s - after_s;
    bool before_fits = offset_at(zone, with_before) == before_s;
    bool after_fits = offset_at(zone, with_after) == after_s;

    if (before_fits || after_fits) {
        return before_fits && (!after_fits || with_before < with_after) ? with_before : with_after;
    }
    if (after_change) {
        return with_before;
    }
    while (with_after <
           with_before) { /* local time is too early at with_after, not at with_before */
        int64_t middle = floor_div(with_after + with_before, 2);

        if (middle + offset_at(zone, middle) >= local_s) {
            with_before = middle;
        } else {
            with_after = middle + 1;
        }
    }
    return with_before;
}

int64_t zone_day_start_us(const struct zone *zone, int64_t day)
{
    enum { DAYS_MAX = 100000000 }; /* 273,000 years: beyond, microseconds would overflow */
    int64_t within = day > DAYS_MAX ? DAYS_MAX : day < -DAYS_MAX ? -DAYS_MAX : day;

    return find_local(zone, within * SECONDS_A_DAY, false) * CLOCK_SECOND_US;
}

int64_t zone_civil_us(const struct zone *zone, const struct civil *civil)
{
    return find_local(zone, civil_seconds(civil), true) * CLOCK_SECOND_US + civil->micros;
}
