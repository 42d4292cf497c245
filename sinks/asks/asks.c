/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A post answers a thread when its address is the thread's or lies below it (a forum's /t/12/3, a
 * blog's #comment-5), or when it names the conversation of a post at that address, on the same
 * platform and host: threads are called by numbers there, which others have too.
 */
#include "sinks/asks/asks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "sinks/store/store.h"

enum { ROOTS_MAX = 1000 };

/* A conversation: "discourse:forum.example:" and "12". */
struct root {
    char *place;
    char *thread;
};

struct ask_filter {
    struct store *store;
    const struct ask *ask;
    struct root roots[ROOTS_MAX];
    size_t root_count;
};

/* --- the decisions --- */

static void clear_ask(struct ask *ask)
{
    free(ask->id);
    free(ask->title);
    free(ask->thread);
    for (size_t i = 0; i < ask->source_count; i++) {
        free(ask->sources[i]);
    }
    *ask = (struct ask){0};
}

void asks_clear(struct asks *asks)
{
    for (size_t i = 0; i < asks->count; i++) {
        clear_ask(&asks->items[i]);
    }
    free(asks->items);
    *asks = (struct asks){0};
}

const struct ask *asks_find(const struct asks *asks, const char *id)
{
    for (size_t i = 0; i < asks->count; i++) {
        if (strcmp(asks->items[i].id, id) == 0) {
            return &asks->items[i];
        }
    }
    return NULL;
}

static void read_instant(int64_t *out_us, const struct json_node *node)
{
    size_t length = 0;
    const char *text = json_string(node, &length);
    int64_t at_us = 0;

    if (text != NULL && instant_parse_rfc3339(&at_us, text, length)) {
        *out_us = at_us;
    }
}

/* Takes a text over where there is one. */
static int read_text(char **out, const struct json_node *node, struct ear_error *err)
{
    const char *text = json_string(node, NULL);
    char *copy = text == NULL ? NULL : strdup(text);

    if (text == NULL) {
        return 0;
    }
    if (copy == NULL) {
        return ear_fail_memory(err, "an ask");
    }
    free(*out);
    *out = copy;
    return 0;
}

static int read_sources(struct ask *ask, const struct json_node *list, struct ear_error *err)
{
    if (json_kind_of(list) != JSON_ARRAY) {
        return 0;
    }
    for (size_t i = 0; i < ask->source_count; i++) {
        free(ask->sources[i]);
        ask->sources[i] = NULL;
    }
    ask->source_count = 0;
    for (const struct json_node *item = json_first(list);
         item != NULL && ask->source_count < ASK_SOURCES_MAX; item = json_next(item)) {
        if (json_string(item, NULL) == NULL) {
            continue;
        }
        if (read_text(&ask->sources[ask->source_count], item, err) != 0) {
            return -1;
        }
        ask->source_count++;
    }
    return 0;
}

/* The ask of that name, made where it is new; NULL: one too many, or EAR_FATAL. */
static struct ask *ask_of(struct asks *asks, const char *id, struct ear_error *err)
{
    struct ask *more = NULL;
    const struct ask *found = asks_find(asks, id);

    if (found != NULL || asks->count == ASKS_MAX) {
        return found == NULL ? NULL : &asks->items[found - asks->items];
    }
    more = realloc(asks->items, (asks->count + 1) * sizeof *more);
    if (more == NULL) {
        ear_fail_memory(err, "the asks");
        return NULL;
    }
    asks->items = more;
    more[asks->count] = (struct ask){
        .id = strdup(id), .title = strdup(id), .since_us = INT64_MIN, .until_us = INT64_MAX};
    if (more[asks->count].id == NULL || more[asks->count].title == NULL) {
        clear_ask(&more[asks->count]);
        ear_fail_memory(err, "the asks");
        return NULL;
    }
    return &more[asks->count++];
}

/* As if it had never been: what is decided of the name later is about a new one. */
static void remove_ask(struct asks *asks, const char *id)
{
    const struct ask *found = asks_find(asks, id);
    size_t at = found == NULL ? 0 : (size_t)(found - asks->items);

    if (found != NULL) {
        clear_ask(&asks->items[at]);
        asks->count--;
        memmove(&asks->items[at], &asks->items[at + 1], (asks->count - at) * sizeof *asks->items);
    }
}

static int take_decision(struct asks *asks, const struct json_node *root, struct ear_error *err)
{
    const char *id = json_string(json_get(root, "subject"), NULL);
    const struct json_node *said = json_get(root, "ask");
    struct ask *ask = NULL;
    bool removed = false;
    bool ended = false;

    if (id != NULL && json_boolean(json_get(said, "removed"), &removed) && removed) {
        remove_ask(asks, id);
        return 0;
    }
    ask = id == NULL || said == NULL ? NULL : ask_of(asks, id, err);
    if (ask == NULL) {
        return err->kind == EAR_NONE ? 0 : -1;
    }
    if (ask->at_us == 0) {
        read_instant(&ask->at_us, json_get(root, "at"));
    }
    read_instant(&ask->since_us, json_get(said, "since"));
    read_instant(&ask->until_us, json_get(said, "until"));
    if (json_boolean(json_get(said, "ended"), &ended)) {
        ask->ended = ended;
    }
    return read_text(&ask->title, json_get(said, "title"), err) != 0 ||
                   read_text(&ask->thread, json_get(said, "thread"), err) != 0 ||
                   read_sources(ask, json_get(said, "sources"), err) != 0
               ? -1
               : 0;
}

int asks_load(struct asks *out, struct store *store, struct ear_error *err)
{
    const struct hash128 none = hash128_of("", 0); /* they are about no post */
    struct store_value values[] = {store_blob(none.bytes, sizeof none.bytes), store_text("ask")};
    struct store_rows *rows = NULL;
    struct json *json = NULL;
    int there = -1;

    *out = (struct asks){0};
    if (json_new(&json, err) != 0 ||
        store_select(&rows, store, QUERY_DECISION_OF_POST, values, 2, err) != 0) {
        json_free(json);
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        size_t length = 0;
        const char *body = store_get_text(rows, 0, &length);
        const struct json_node *root = json_read(json, body, length, &json_limits_default, err);

        if (root == NULL || take_decision(out, root, err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    json_free(json);
    if (there != 0) {
        asks_clear(out);
    }
    return there;
}

/* --- what belongs to one --- */

/* Where the native id begins in PLATFORM:HOST:ID. */
static const char *native_of(const char *id)
{
    const char *colon = strchr(id, ':');

    colon = colon == NULL ? NULL : strchr(colon + 1, ':');
    return colon == NULL ? id : colon + 1;
}

static int add_root(struct ask_filter *filter, const char *id, const char *thread,
                    struct ear_error *err)
{
    struct root *root = &filter->roots[filter->root_count];

    if (thread == NULL || filter->root_count == ROOTS_MAX) {
        return 0;
    }
    root->place = strndup(id, (size_t)(native_of(id) - id));
    root->thread = strdup(thread);
    filter->root_count++;
    return root->place == NULL || root->thread == NULL ? ear_fail_memory(err, "an ask's thread")
                                                       : 0;
}

static int find_roots(struct ask_filter *filter, struct ear_error *err)
{
    char slashed[4096];
    struct store_value values[] = {store_text(filter->ask->thread), store_text(slashed)};
    struct store_rows *rows = NULL;
    int there = 0;

    snprintf(slashed, sizeof slashed, "%s/", filter->ask->thread);
    values[1] = store_text(slashed);
    if (store_select(&rows, filter->store, QUERY_INSIGHT_OF_URL, values, 2, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1) {
        const char *id = store_get_text(rows, 0, NULL);

        if (add_root(filter, id, native_of(id), err) != 0 ||
            add_root(filter, id, store_get_text(rows, 1, NULL), err) != 0) {
            there = -1;
            break;
        }
    }
    store_rows_end(rows);
    return there;
}

int ask_filter_new(struct ask_filter **out, struct store *store, const struct ask *ask,
                   struct ear_error *err)
{
    struct ask_filter *filter = calloc(1, sizeof *filter);

    if (filter == NULL) {
        return ear_fail_memory(err, "an ask");
    }
    filter->store = store;
    filter->ask = ask;
    if (ask->thread != NULL && find_roots(filter, err) != 0) {
        ask_filter_free(filter);
        return -1;
    }
    *out = filter;
    return 0;
}

void ask_filter_free(struct ask_filter *filter)
{
    if (filter != NULL) {
        for (size_t i = 0; i < filter->root_count; i++) {
            free(filter->roots[i].place);
            free(filter->roots[i].thread);
        }
        free(filter);
    }
}

static bool is_source(const struct ask *ask, const char *source)
{
    for (size_t i = 0; source != NULL && i < ask->source_count; i++) {
        if (strcmp(ask->sources[i], source) == 0) {
            return true;
        }
    }
    return false;
}

/* `also`: a JSON array of names, which hold no quotes. */
static bool is_among_also(const struct ask *ask, const char *also)
{
    for (size_t i = 0; also != NULL && i < ask->source_count; i++) {
        const char *at = strstr(also, ask->sources[i]);
        size_t length = strlen(ask->sources[i]);

        for (; at != NULL; at = strstr(at + 1, ask->sources[i])) {
            if (at > also && at[-1] == '"' && at[length] == '"') {
                return true;
            }
        }
    }
    return false;
}

static bool is_below(const char *url, const char *thread)
{
    size_t length = strlen(thread);

    return url != NULL && strncmp(url, thread, length) == 0 &&
           (url[length] == '\0' || strchr("/#?&", url[length]) != NULL);
}

static bool is_in_conversation(const struct ask_filter *filter, const char *id, const char *thread)
{
    for (size_t i = 0; i < filter->root_count; i++) {
        const struct root *root = &filter->roots[i];

        if (strncmp(id, root->place, strlen(root->place)) == 0 &&
            (strcmp(native_of(id), root->thread) == 0 ||
             (thread != NULL && strcmp(thread, root->thread) == 0))) {
            return true;
        }
    }
    return false;
}

int ask_filter_fits(bool *out, const struct ask_filter *filter, int64_t row, struct ear_error *err)
{
    const struct ask *ask = filter->ask;
    struct store_value values[] = {store_integer(row)};
    struct store_rows *rows = NULL;
    int there = 0;

    *out = false;
    if (store_select(&rows, filter->store, QUERY_INSIGHT_ASKED, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        const char *id = store_get_text(rows, 0, NULL);
        int64_t created_us = store_get_integer(rows, 5);

        *out = created_us >= ask->since_us && created_us < ask->until_us &&
               (is_source(ask, store_get_text(rows, 1, NULL)) ||
                is_among_also(ask, store_get_text(rows, 2, NULL)) ||
                (ask->thread != NULL && is_below(store_get_text(rows, 3, NULL), ask->thread)) ||
                is_in_conversation(filter, id, store_get_text(rows, 4, NULL)));
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}
