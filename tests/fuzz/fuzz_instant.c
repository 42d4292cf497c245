/* SPDX-License-Identifier: Apache-2.0 */
/* Input that begins with "TZif" is a zone file, the rest a date. What is read as RFC 3339 is
 * written and read back the same; any date that is read lies in the calendar; a zone answers for
 * any instant with an hour of the day and a day that begins before its end. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "common/instant/instant_internal.h"
#include "tests/fuzz/fuzz.h"

static void ask_zone(const struct zone *zone, int64_t at_us)
{
    int64_t day = zone_day(zone, at_us);
    int hour = zone_hour(zone, at_us);

    assert(hour >= 0 && hour <= 23);
    (void)zone_offset_s(zone, at_us);
    (void)zone_day_start_us(zone, day);
}

static void try_zone(const uint8_t *data, size_t size)
{
    static const int64_t instants[] = {
        INT64_MIN, -CLOCK_DAY_US, 0, INT64_C(1795161600000000), INT64_C(4102444800000000),
        INT64_MAX};
    struct zone *zone = NULL;
    struct ear_error err = {0};

    if (zone_from_tzif(&zone, data, size, "fuzz", &err) != 0) {
        assert(err.kind == EAR_CONFIG);
        return;
    }
    for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
        ask_zone(zone, instants[i]);
    }
    zone_close(zone);
}

static void try_date(const char *text, size_t size, const struct zone *zone)
{
    static const int64_t year_10001_us = INT64_C(253433923200000000);
    char out[INSTANT_SIZE];
    int64_t at_us = 0;
    int64_t again_us = 0;

    if (instant_parse_rfc3339(&at_us, text, size)) {
        instant_format(out, at_us);
        if (at_us > INT64_C(-62135596800000000) && at_us < INT64_C(253402300800000000)) {
            assert(instant_parse_rfc3339(&again_us, out, strlen(out)) && again_us == at_us);
        }
        assert(instant_parse_any(&again_us, text, size, zone) && again_us == at_us);
    }
    if (instant_parse_any(&at_us, text, size, zone)) {
        assert(at_us < year_10001_us && at_us > -year_10001_us);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ear_error err = {0};
    static struct zone *berlin; /* opened once: the zone is not what is tried */
    char *text = NULL;
    int64_t at_us = 0;
    struct zone_rule rule;

    if (size >= 4 && memcmp(data, "TZif", 4) == 0) {
        try_zone(data, size);
        return 0;
    }
    if (size > 4096) {
        return 0;
    }
    if (berlin == NULL && zone_open(&berlin, "Europe/Berlin", &err) != 0) {
        abort();
    }
    try_date((const char *)data, size, berlin);
    text = malloc(size + 1);
    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (instant_parse_bound(&at_us, text, INT64_C(1795161600000000), berlin, &err) != 0) {
        assert(err.kind == EAR_CONFIG);
    }
    if (duration_parse(&at_us, text, &err) == 0) {
        assert(at_us > 0);
    }
    if (zone_rule_parse(&rule, text, size)) {
        (void)zone_rule_offset_s(&rule, 0);
    }
    free(text);
    return 0;
}
