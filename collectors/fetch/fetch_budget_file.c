/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets between runs: one JSON file, replaced as a whole at most once a second.
 *
 *     {"version":1,"budgets":[{"id":"api.example/5e88…","rest_until":µs,"windows":[
 *         {"units":60,"per_us":60000000,"slot":29871520,"spent":"0:3 1:12 60:1"},
 *         {"units":10000,"zone":"America/Los_Angeles","day":20779,"spent_today":812,
 *          "left":9100,"until":µs}]}]}
 *
 * "spent" goes back from the newest slot: how many slots ago, how much. What lies ahead of the
 * clock by more than any rule here would set is dropped: the clock, or --now, was set back.
 */

#include "collectors/fetch/fetch_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/private_file.h"
#include "common/clock.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/log.h"

enum { SPENT_TEXT_BYTES = (FETCH_SLOTS + 1) * 32, SAVE_DUTY = 50 };

#define AHEAD_MOST_US (26 * CLOCK_HOUR_US)

/* --- reading --- */

static void read_spent(struct window *window, const char *text)
{
    while (text != NULL && *text != '\0') {
        char *end = NULL;
        const long long ago = strtoll(text, &end, 10);
        double spent = 0;

        if (end == text || *end != ':') {
            return;
        }
        text = end + 1;
        spent = strtod(text, &end);
        if (end == text) {
            return;
        }
        if (ago >= 0 && ago <= FETCH_SLOTS && window->slot >= ago && spent > 0 && spent < 1e12) {
            window->spent[(window->slot - ago) % (FETCH_SLOTS + 1)] = (float)spent;
        }
        text = *end == ' ' ? end + 1 : end;
    }
}

/* False: it makes no sense, or lies ahead. */
static bool read_window(struct window *window, const struct json_node *node, int64_t now_us)
{
    const char *zone = json_string(json_get(node, "zone"), NULL);
    struct ear_error err = {EAR_NONE, ""};

    *window = (struct window){.until_us = INT64_MIN};
    if (!json_number(json_get(node, "units"), &window->units) || !(window->units > 0)) {
        return false;
    }
    if (json_integer(json_get(node, "until"), &window->until_us) &&
        (!json_number(json_get(node, "left"), &window->left) || window->until_us <= now_us ||
         window->until_us - now_us > AHEAD_MOST_US)) {
        window->until_us = INT64_MIN;
    }
    if (zone != NULL) {
        if (!json_integer(json_get(node, "day"), &window->day) ||
            !json_number(json_get(node, "spent_today"), &window->spent_today) ||
            zone_open(&window->zone, zone, &err) != 0) {
            return false;
        }
        window->zone_name = strdup(zone);
        return window->zone_name != NULL && window->day <= zone_day(window->zone, now_us);
    }
    if (!json_integer(json_get(node, "per_us"), &window->per_us) ||
        !json_integer(json_get(node, "slot"), &window->slot) || window->per_us < FETCH_SLOTS ||
        window->slot < 0) {
        return false;
    }
    window->slot_us = (window->per_us + FETCH_SLOTS - 1) / FETCH_SLOTS;
    if (window->slot > now_us / window->slot_us) {
        return false;
    }
    read_spent(window, json_string(json_get(node, "spent"), NULL));
    return true;
}

static int read_budget(struct budgets *budgets, const struct json_node *node, int64_t now_us,
                       struct ear_error *err)
{
    const char *id = json_string(json_get(node, "id"), NULL);
    const struct json_node *each = json_first(json_get(node, "windows"));
    struct budget *budget = NULL;

    if (id == NULL || *id == '\0' || strlen(id) >= FETCH_BUDGET_ID_SIZE) {
        return 0;
    }
    budget = budgets_add(budgets, id);
    if (budget == NULL) {
        return ear_fail_memory(err, "a budget");
    }
    if (!json_integer(json_get(node, "rest_until"), &budget->rest_us) ||
        budget->rest_us - now_us > AHEAD_MOST_US) {
        budget->rest_us = INT64_MIN;
    }
    for (; each != NULL && budget->window_count < FETCH_LIMITS_MAX; each = json_next(each)) {
        struct window *window = budget_add_window(budget);

        if (window == NULL) {
            return ear_fail_memory(err, "a budget");
        }
        if (!read_window(window, each, now_us)) {
            zone_close(window->zone);
            free(window->zone_name);
            budget->window_count--;
        }
    }
    return 0;
}

int budgets_load(struct budgets *budgets, const char *path, int64_t now_us, struct ear_error *err)
{
    struct json *json = NULL;
    const struct json_node *root = NULL;
    const struct json_node *each = NULL;
    char *text = NULL;
    size_t length = 0;
    int64_t version = 0;
    int result = -1;

    if (private_file_read(&text, &length, path, FETCH_BUDGET_FILE_BYTES, false, err) != 0) {
        goto done;
    }
    if (text == NULL) {
        result = 0;
        goto done;
    }
    if (json_new(&json, err) != 0) {
        goto done;
    }
    root = json_read(json, text, length, &json_limits_default, err);
    if (root == NULL) {
        goto done;
    }
    if (!json_integer(json_get(root, "version"), &version) || version != 1) {
        ear_fail(err, EAR_REJECT, "it is of another version");
        goto done;
    }
    for (each = json_first(json_get(root, "budgets")); each != NULL; each = json_next(each)) {
        if (read_budget(budgets, each, now_us, err) != 0) {
            goto done;
        }
    }
    result = 0;

done:
    json_free(json);
    free(text);
    if (result != 0 && err->kind != EAR_FATAL) {
        log_warn("%s: what was spent of the sources' quotas is not known: %s", path, err->message);
        ear_error_clear(err);
        result = 0;
    }
    return result;
}

/* --- writing --- */

static void write_spent(struct json_writer *writer, const struct window *window)
{
    char text[SPENT_TEXT_BYTES];
    size_t length = 0;

    text[0] = '\0';
    for (int64_t ago = 0; ago <= FETCH_SLOTS && ago <= window->slot; ago++) {
        const double spent = (double)window->spent[(window->slot - ago) % (FETCH_SLOTS + 1)];

        if (spent > 0) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%" PRId64 ":%.6g",
                                       length == 0 ? "" : " ", ago, spent);
        }
    }
    json_member_string(writer, "spent", text);
}

static void write_window(struct json_writer *writer, const struct window *window, int64_t now_us)
{
    json_write_object(writer);
    json_write_key(writer, "units");
    json_write_number(writer, window->units, 6);
    if (window->zone_name != NULL) {
        json_member_string(writer, "zone", window->zone_name);
        json_member_integer(writer, "day", window->day);
        json_write_key(writer, "spent_today");
        json_write_number(writer, window->spent_today, 6);
    } else {
        json_member_integer(writer, "per_us", window->per_us);
        json_member_integer(writer, "slot", window->slot);
        write_spent(writer, window);
    }
    if (window->until_us > now_us) {
        json_write_key(writer, "left");
        json_write_number(writer, window->left, 6);
        json_member_integer(writer, "until", window->until_us);
    }
    json_write_object_end(writer);
}

/* Is there anything to remember? Brings its windows up to date. */
static bool is_worth_it(struct budget *budget, int64_t now_us)
{
    bool worth = budget->rest_us > now_us;

    for (size_t i = 0; i < budget->window_count; i++) {
        worth = window_spent(&budget->windows[i], now_us) > 0 || worth;
        worth = worth || budget->windows[i].until_us > now_us;
    }
    return worth;
}

static void write_budget(struct json_writer *writer, const struct budget *budget, int64_t now_us)
{
    json_write_object(writer);
    json_member_string(writer, "id", budget->id);
    if (budget->rest_us > now_us) {
        json_member_integer(writer, "rest_until", budget->rest_us);
    }
    json_write_key(writer, "windows");
    json_write_array(writer);
    for (size_t i = 0; i < budget->window_count; i++) {
        write_window(writer, &budget->windows[i], now_us);
    }
    json_write_array_end(writer);
    json_write_object_end(writer);
}

static int write_all(struct budgets *budgets, const char *path, int64_t now_us, bool last,
                     struct ear_error *err)
{
    struct json_writer *writer = NULL;
    const char *text = NULL;
    size_t length = 0;
    size_t kept = 0;
    int result = -1;

    if (json_writer_new(&writer, FETCH_BUDGET_FILE_BYTES, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_integer(writer, "version", 1);
    json_write_key(writer, "budgets");
    json_write_array(writer);
    for (size_t i = 0; i < budgets->count && kept < FETCH_BUDGETS_KEPT; i++) {
        if (is_worth_it(budgets->items[i], now_us)) {
            write_budget(writer, budgets->items[i], now_us);
            kept++;
        }
    }
    json_write_array_end(writer);
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text != NULL) {
        result = private_file_write(path, text, length, last, err);
    }
    json_writer_free(writer);
    return result;
}

void budgets_save(struct budgets *budgets, const char *path, int64_t now_us, bool last)
{
    const int64_t began_us = clock_mono_us();
    struct ear_error err = {EAR_NONE, ""};
    int64_t pause_us = 0;

    if (!budgets->changed || (!last && began_us < budgets->save_mono_us)) {
        return;
    }
    if (write_all(budgets, path, now_us, last, &err) == 0) {
        budgets->changed = false;
        budgets->complained = false;
    } else if (!budgets->complained) {
        budgets->complained = true; /* once, until it works again */
        log_error("write down what was spent of the sources' quotas", &err);
    }
    /* Thousands of budgets take long to write: never more than a fiftieth of the time. */
    pause_us = (clock_mono_us() - began_us) * SAVE_DUTY;
    budgets->save_mono_us = began_us + (pause_us > CLOCK_SECOND_US ? pause_us : CLOCK_SECOND_US);
}
