/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What still differs at the second look: kept in the store, where `earshot status` finds it, and
 * logged once it has stood long enough.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/instant.h"
#include "common/log.h"
#include "common/metrics.h"
#include "sinks/balance/balance_internal.h"

/* A difference as the store keeps it. */
struct difference {
    int64_t hour_us, amount, since_us;
    char *source, *topic, *reader, *kind;
};

struct differences {
    struct difference *items;
    size_t count, room;
};

static void clear(struct differences *differences)
{
    for (size_t i = 0; i < differences->count; i++) {
        free(differences->items[i].source);
        free(differences->items[i].topic);
        free(differences->items[i].reader);
        free(differences->items[i].kind);
    }
    free(differences->items);
}

static char *copied(const struct store_rows *rows, int column)
{
    const char *text = store_get_text(rows, column, NULL);

    return strdup(text == NULL ? "" : text);
}

static int add(struct differences *differences, const struct store_rows *rows,
               struct ear_error *err)
{
    struct difference *item = NULL;

    if (differences->count == differences->room) {
        size_t room = differences->room == 0 ? 16 : 2 * differences->room;
        struct difference *items = realloc(differences->items, room * sizeof *items);

        if (items == NULL) {
            return ear_fail_memory(err, "what the audit found");
        }
        differences->items = items;
        differences->room = room;
    }
    item = &differences->items[differences->count++];
    *item = (struct difference){.hour_us = store_get_integer(rows, 0),
                                .source = copied(rows, 1),
                                .topic = copied(rows, 2),
                                .reader = copied(rows, 3),
                                .kind = copied(rows, 4),
                                .amount = store_get_integer(rows, 5),
                                .since_us = store_get_integer(rows, 6)};
    return item->source == NULL || item->topic == NULL || item->reader == NULL || item->kind == NULL
               ? ear_fail_memory(err, "what the audit found")
               : 0;
}

static int load(struct differences *differences, struct store *store, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, store, QUERY_DIFFERENCE_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        if (add(differences, rows, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there;
}

/* What an entry's second look says: how much differs, and which way. 0: nothing does. */
static int look_again(int64_t *amount, const char **kind, struct store *store,
                      const struct entry *entry, struct ear_error *err)
{
    struct store_value values[] = {store_integer(entry->hour_us), store_text(entry->source),
                                   store_text(entry->pair->topic), store_text(entry->pair->reader)};
    struct store_rows *rows = NULL;
    int there = 0;
    int64_t wrote = 0;
    int64_t came = 0;
    int64_t went = 0;

    if (store_select(&rows, store, QUERY_LEDGER_ONE, values, 4, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        wrote = store_get_integer(rows, 0);
        came = store_get_integer(rows, 1);
        went = store_get_integer(rows, 2);
    }
    store_rows_end(rows);
    if (there != 1) {
        return there;
    }
    *amount = 0;
    if (entry->wrote > came) {
        *amount = entry->wrote - came;
        *kind = "lost";
    } else if (entry->came > wrote) {
        *amount = entry->came - wrote;
        *kind = "doubled";
    } else if (entry->came > went || entry->went > came) {
        *amount = entry->came > went ? entry->came - went : entry->went - came;
        *kind = "unsettled";
    }
    return 0;
}

static bool is_entry(const struct entry *entry, const struct difference *item)
{
    return entry->hour_us == item->hour_us && strcmp(entry->source, item->source) == 0 &&
           strcmp(entry->pair->topic, item->topic) == 0 &&
           strcmp(entry->pair->reader, item->reader) == 0;
}

static int keep_entry(struct store *store, const struct entry *entry, int64_t amount,
                      const char *kind, int64_t now_us, struct ear_error *err)
{
    struct store_value values[] = {store_integer(entry->hour_us),
                                   store_text(entry->source),
                                   store_text(entry->pair->topic),
                                   store_text(entry->pair->reader),
                                   store_text(kind),
                                   store_integer(amount),
                                   store_integer(now_us)};

    return store_run(store, QUERY_DIFFERENCE_PUT, values, 7, err);
}

static void measure(const struct balance *balance, const struct difference *item, double amount)
{
    char labels[512];
    char hour[INSTANT_SIZE];

    metrics_labels(labels, sizeof labels, "source", item->source, "hour",
                   instant_format(hour, item->hour_us), "topic", item->topic, "reader",
                   item->reader, NULL);
    metrics_set(balance->config.metrics, "earshot_audit_difference", labels, amount);
}

static int drop(struct balance *balance, struct store *store, const struct difference *item,
                struct ear_error *err)
{
    struct store_value values[] = {store_integer(item->hour_us), store_text(item->source),
                                   store_text(item->topic), store_text(item->reader)};

    measure(balance, item, (double)NAN);
    return store_run(store, QUERY_DIFFERENCE_DELETE, values, 4, err);
}

/* Whether this round can say anything of a difference; of a reader that is gone, nobody will. */
static bool is_judged(const struct balance *balance, const struct difference *item)
{
    for (size_t i = 0; i < balance->pair_count; i++) {
        const struct pair *pair = &balance->pairs[i];

        if (strcmp(pair->topic, item->topic) == 0 && strcmp(pair->reader, item->reader) == 0) {
            return pair->judged;
        }
    }
    return true;
}

/* Writes down what differs now, and takes out what no longer does. */
static int keep(struct balance *balance, struct store *store, int64_t now_us, struct ear_error *err)
{
    struct differences before = {0};
    bool still[ENTRIES_MAX] = {false};
    int result = load(&before, store, err);

    for (size_t i = 0; i < balance->entry_count && result == 0; i++) {
        int64_t amount = 0;
        const char *kind = "";

        if (!balance->entries[i].pair->judged) {
            continue;
        }
        result = look_again(&amount, &kind, store, &balance->entries[i], err);
        still[i] = amount > 0;
        if (result == 0 && still[i]) {
            result = keep_entry(store, &balance->entries[i], amount, kind, now_us, err);
        }
    }
    for (size_t i = 0; i < before.count && result == 0; i++) {
        bool stands = false;

        for (size_t k = 0; k < balance->entry_count && !stands; k++) {
            stands = still[k] && is_entry(&balance->entries[k], &before.items[i]);
        }
        if (!stands && is_judged(balance, &before.items[i])) {
            result = drop(balance, store, &before.items[i], err);
        }
    }
    clear(&before);
    return result;
}

/* True if it was not logged yet by this process; from here on it was. */
static bool is_new(struct balance *balance, const struct difference *item)
{
    uint64_t name = hash64_of(item->source, strlen(item->source), (uint64_t)item->hour_us);

    name = hash64_of(item->topic, strlen(item->topic), name);
    name = hash64_of(item->reader, strlen(item->reader), name);
    for (size_t i = 0; i < balance->alert_count; i++) {
        if (balance->alerts[i].name == name) {
            balance->alerts[i].stands = true;
            return false;
        }
    }
    if (balance->alert_count < ALERTS_MAX) {
        balance->alerts[balance->alert_count++] = (struct alert){name, true};
    }
    return true;
}

static void alert(const struct difference *item)
{
    char hour[INSTANT_SIZE];
    const struct log_field fields[] = {
        {"source", item->source}, {"hour", instant_format(hour, item->hour_us)},
        {"topic", item->topic},   {"reader", item->reader},
        {"code", item->kind},     {NULL, NULL}};

    log_event(LOG_LEVEL_ERROR, fields,
              "the audit does not balance: of what source '%s' brought in the hour of %s, %" PRId64
              " message%s of topic '%s' %s at '%s'; look at the log of that role, and rebuild the "
              "store if it stands",
              item->source, hour, item->amount, item->amount == 1 ? "" : "s", item->topic,
              strcmp(item->kind, "lost") == 0      ? "never arrived"
              : strcmp(item->kind, "doubled") == 0 ? "arrived twice"
                                                   : "came in and went nowhere",
              item->reader);
}

/* Tells what stands long enough; forgets what stood and does no longer. */
static int tell(struct balance *balance, struct store *store, int64_t now_us, struct ear_error *err)
{
    struct differences standing = {0};
    size_t kept = 0;
    int result = load(&standing, store, err);

    for (size_t i = 0; i < balance->alert_count; i++) {
        balance->alerts[i].stands = false;
    }
    for (size_t i = 0; i < standing.count && result == 0; i++) {
        const struct difference *item = &standing.items[i];

        measure(balance, item, (double)item->amount);
        if (balance_stands(item->since_us, now_us) && is_new(balance, item)) {
            alert(item);
        }
    }
    for (size_t i = 0; i < balance->alert_count; i++) {
        if (balance->alerts[i].stands) {
            balance->alerts[kept++] = balance->alerts[i];
        }
    }
    balance->alert_count = kept;
    clear(&standing);
    return result;
}

int differences_settle(struct balance *balance, struct store *store, int64_t now_us,
                       struct ear_error *err)
{
    if (store_begin(store, err) != 0) {
        return -1;
    }
    if (keep(balance, store, now_us, err) != 0 || store_commit(store, err) != 0) {
        store_rollback(store);
        return -1;
    }
    return tell(balance, store, now_us, err);
}
