/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list, its children, what confirms a deletion, a walk by ids. A child begins as a copy of the
 * map, pages and conditions of what it hangs on.
 */
#include "collectors/definition/definition_read_internal.h"

#include <string.h>

enum { LISTS_MAX = 20, CHILDREN_MAX = 10, GENERATIONS_MAX = 4 };

struct one_list {
    struct list_keys keys;
};

static const struct ear_option list_options[] = {
    {"name", EAR_STRING, offsetof(struct list_keys, name), "!", "what it is called, such as posts",
     NULL},
    {"if", EAR_TREE, offsetof(struct list_keys, needs), NULL,
     "a parameter without which it is not asked for", NULL},
    {"when", EAR_TREE, offsetof(struct list_keys, when), NULL,
     "a condition on the answer to `first`", NULL},
    LIST_OPTIONS(one_list, keys),
    {0},
};

struct child_keys {
    const struct config_node *each, *when, *request, *records, *page, *map, *skip, *deleted,
        *children, *id, *on;
    const char *join;
    int64_t batch, max;
    bool gone;
};

static const struct ear_option child_options[] = {
    {"each", EAR_TREE, offsetof(struct child_keys, each), NULL,
     "a pointer to what it is asked for; the first of the records' without it", NULL},
    {"when", EAR_TREE, offsetof(struct child_keys, when), NULL, "conditions on such a record",
     NULL},
    {"request", EAR_TREE, offsetof(struct child_keys, request), NULL, "what is asked for", NULL},
    {"records", EAR_TREE, offsetof(struct child_keys, records), NULL, "pointers to its records",
     NULL},
    {"page", EAR_TREE, offsetof(struct child_keys, page), NULL, "how the next page is found", NULL},
    {"map", EAR_TREE, offsetof(struct child_keys, map), NULL, "the fields of a post", NULL},
    {"skip", EAR_TREE, offsetof(struct child_keys, skip), NULL, "records that are no posts", NULL},
    {"deleted", EAR_TREE, offsetof(struct child_keys, deleted), NULL, "records of what is gone",
     NULL},
    {"children", EAR_TREE, offsetof(struct child_keys, children), NULL,
     "what is asked for once one of its records", NULL},
    {"id", EAR_TREE, offsetof(struct child_keys, id), NULL,
     "a pointer to the id of the record above: /id", NULL},
    {"on", EAR_TREE, offsetof(struct child_keys, on), NULL,
     "batch: a pointer to the id of the record above in one of its records", NULL},
    {"batch", EAR_INTEGER, offsetof(struct child_keys, batch), "0 [0..1000]",
     "so many records in one request, their ids in {ids}; 0: one each", NULL},
    {"join", EAR_STRING, offsetof(struct child_keys, join), ",", "what stands between these ids",
     NULL},
    {"max", EAR_INTEGER, offsetof(struct child_keys, max), "0 [0..100000]",
     "requests a poll; 0: as many as it takes", NULL},
    {"gone", EAR_BOOLEAN, offsetof(struct child_keys, gone), "false",
     "what it does not show again is asked for as the list's `gone` says", NULL},
    {0},
};

/* What a child takes from above. */
struct above {
    const struct map *map;
    const struct page *page;
    struct pointer *records;
    size_t record_count;
    struct conditions skip, deleted;
};

static int read_children(const struct reading *reading, struct child **out, size_t *count,
                         const struct config_node *node, const struct above *above, int generation);

/* The fields that every post needs: `records` and a host stand elsewhere. */
static void check_map(const struct reading *reading, const struct map *map,
                      const struct config_node *node)
{
    const struct config_node *own = config_get(node, "map");

    /* what was written wrongly was said already, and hides what stands beside it */
    if (map->fields[FIELD_ID] == NULL && config_get(own, "id") == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "map lacks 'id'; add where the platform's own id stands, such as id: /id");
    }
    if (map->fields[FIELD_HOST] == NULL && config_get(own, "host") == NULL &&
        reading->definition->base < 0) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "map lacks 'host', and there is no parameter 'base' to take it from; add one "
                      "such as host: reddit.com");
    }
}

/* What only `gone` and `walk` know leaves the address of a list or a child without a value. */
static void check_known(const struct reading *reading, const struct request *request,
                        const struct config_node *node, bool is_child)
{
    const char *name = template_remembered(request->url);
    const struct config_node *url = config_get(node, "url");

    if (name != NULL && node != NULL) {
        config_report(reading->config, CONFIG_ERROR, url == NULL ? node : url,
                      "nothing is known for {%s} here: it is of a post that `gone` or `walk` asks "
                      "for; %s",
                      name,
                      is_child ? "write {/id} of the record that this is asked for, or {parent/id} "
                                 "of the one above it"
                               : "write a parameter, such as {board}");
    }
}

static int read_child(const struct reading *reading, struct child *out,
                      const struct config_node *node, const struct above *above, int generation)
{
    static const struct pointer_step id_step = {.kind = STEP_KEY, .key = "id", .index = -1};
    struct child_keys keys = {0};
    struct above below;

    *out = (struct child){.map = *above->map,
                          .page = *above->page,
                          .records = above->records,
                          .record_count = above->record_count,
                          .skip = above->skip,
                          .deleted = above->deleted,
                          .id = {.text = "/id", .steps = &id_step, .step_count = 1}};
    if (reading_fill(reading, node, child_options, "children", &keys) != 0) {
        return 0;
    }
    out->batch = keys.batch;
    out->join = keys.join;
    out->max = keys.max;
    out->gone = keys.gone;
    if (keys.gone && keys.batch > 0 && keys.on == NULL) {
        config_report(
            reading->config, CONFIG_ERROR, config_get(node, "gone"),
            "a batch does not tell whose records are missing; add 'on', such as on: /post_id");
    }
    if (read_pointer(reading, &out->on, keys.on) != 0) {
        return -1;
    }
    if (keys.request == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "children lacks 'request'; add it, such as request: {url: …}");
    }
    if (read_pointer(reading, &out->each, keys.each) != 0 ||
        read_pointer(reading, &out->id, keys.id) != 0 ||
        read_conditions(reading, &out->when, keys.when) != 0 ||
        read_request(reading, &out->request, keys.request) != 0 ||
        read_pointers(reading, &out->records, &out->record_count, keys.records) != 0 ||
        read_page(reading, &out->page, keys.page) != 0 ||
        read_map(reading, &out->map, keys.map) != 0 ||
        read_conditions(reading, &out->skip, keys.skip) != 0 ||
        read_conditions(reading, &out->deleted, keys.deleted) != 0) {
        return -1;
    }
    check_known(reading, &out->request, keys.request, true);
    below = (struct above){&out->map,         &out->page, out->records,
                           out->record_count, out->skip,  out->deleted};
    return read_children(reading, &out->children, &out->child_count, keys.children, &below,
                         generation + 1);
}

/* NOLINTNEXTLINE(misc-no-recursion): GENERATIONS_MAX deep */
static int read_children(const struct reading *reading, struct child **out, size_t *count,
                         const struct config_node *node, const struct above *above, int generation)
{
    const bool many = config_is_sequence(node);
    const size_t given = many ? config_count(node) : 1;

    if (config_is_absent(node)) {
        return 0;
    }
    if (given > CHILDREN_MAX || generation > GENERATIONS_MAX) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes at most ten children, four generations deep");
        return 0;
    }
    *count = 0;
    *out = reading_take(reading, given + 1, sizeof(**out));
    if (*out == NULL) {
        return -1;
    }
    for (size_t i = 0; i < given; i++) {
        if (read_child(reading, &(*out)[(*count)++], many ? config_at(node, i) : node, above,
                       generation) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- gone, walk --- */

struct gone_keys {
    const struct config_node *request, *when, *key;
    struct ear_strings status;
    int64_t most;
};

static const struct ear_option gone_options[] = {
    {"request", EAR_TREE, offsetof(struct gone_keys, request), NULL,
     "what is asked for: {post/id}, {post/url}, {post/thread} and {post/key} are of the post",
     NULL},
    {"key", EAR_TREE, offsetof(struct gone_keys, key), NULL,
     "a pointer to what else of a record is remembered, for {post/key}", NULL},
    {"when", EAR_TREE, offsetof(struct gone_keys, when), NULL,
     "conditions on an answer that says so by itself; with status, on one of those", NULL},
    {"status", EAR_STRINGS, offsetof(struct gone_keys, status), NULL,
     "the codes that confirm it: 404 and 410", NULL},
    {"most", EAR_INTEGER, offsetof(struct gone_keys, most), "20 [1..10000]",
     "how many are asked for in a poll", NULL},
    {0},
};

static int read_gone(const struct reading *reading, struct gone *out,
                     const struct config_node *node)
{
    struct gone_keys keys = {0};

    if (config_is_absent(node)) {
        return 0;
    }
    *out = (struct gone){.given = true, .statuses = {404, 410}, .status_count = 2};
    if (reading_fill(reading, node, gone_options, "gone", &keys) != 0) {
        return 0;
    }
    if (keys.request == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "gone lacks 'request'; add it, such as request: \"{base}/posts/{id}.json\"");
    }
    out->most = keys.most;
    if (!config_is_absent(config_get(node, "status"))) {
        read_statuses(reading, config_get(node, "status"), &keys.status, out->statuses,
                      &out->status_count, sizeof(out->statuses) / sizeof(out->statuses[0]));
        out->both = keys.when != NULL;
    }
    return read_request(reading, &out->request, keys.request) != 0 ||
                   read_pointer(reading, &out->key, keys.key) != 0 ||
                   read_conditions(reading, &out->when, keys.when) != 0
               ? -1
               : 0;
}

struct walk_keys {
    const struct config_node *last, *at;
    int64_t step;
};

static const struct ear_option walk_options[] = {
    {"last", EAR_TREE, offsetof(struct walk_keys, last), NULL,
     "the request that tells the newest id", NULL},
    {"at", EAR_TREE, offsetof(struct walk_keys, at), NULL,
     "a pointer to it in that answer; the answer itself without it", NULL},
    {"step", EAR_INTEGER, offsetof(struct walk_keys, step), "1 [1..1000000]",
     "from one id to the next", NULL},
    {0},
};

static int read_walk(const struct reading *reading, struct list *out,
                     const struct config_node *node)
{
    struct walk_keys keys = {0};

    if (config_is_absent(node)) {
        return 0;
    }
    if (reading_fill(reading, node, walk_options, "walk", &keys) != 0) {
        return 0;
    }
    if (keys.last == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "walk lacks 'last'; add the request that tells the newest id, such as last: "
                      "\"{base}/maxitem.json\"");
    }
    out->walks = true;
    out->step = keys.step;
    out->last_at = (struct pointer){.text = ""};
    return read_request(reading, &out->last, keys.last) != 0 ||
                   read_pointer(reading, &out->last_at, keys.at) != 0
               ? -1
               : 0;
}

/* --- a list --- */

int read_list_keys(const struct reading *reading, struct list *out, const struct list_keys *keys)
{
    struct above above;

    if (read_list_request(reading, &out->request, keys->request) != 0 ||
        read_pointers(reading, &out->records, &out->record_count, keys->records) != 0 ||
        read_page(reading, &out->page, keys->page) != 0 ||
        read_cursor(reading, &out->cursor, keys->cursor) != 0 ||
        read_revisits(reading, &out->revisits, &out->revisit_count, keys->revisit) != 0 ||
        read_map(reading, &out->map, keys->map) != 0 ||
        read_conditions(reading, &out->skip, keys->skip) != 0 ||
        read_conditions(reading, &out->deleted, keys->deleted) != 0 ||
        read_gone(reading, &out->gone, keys->gone) != 0 ||
        read_walk(reading, out, keys->walk) != 0) {
        return -1;
    }
    above = (struct above){&out->map,         &out->page, out->records,
                           out->record_count, out->skip,  out->deleted};
    return read_children(reading, &out->children, &out->child_count, keys->children, &above, 1);
}

/* The next page has to be asked for somehow. */
static void check_page_carried(const struct reading *reading, const struct page *page,
                               const struct request *request, const struct config_node *node)
{
    bool carried = page->kind == PAGE_NONE || page->kind == PAGE_LINK || page->into != NULL ||
                   request->json != NULL || template_has_page(request->url);

    for (size_t i = 0; i < request->query_count; i++) {
        carried = carried || template_has_page(request->query[i].value);
    }
    for (size_t i = 0; i < request->form_count; i++) {
        carried = carried || template_has_page(request->form[i].value);
    }
    if (!carried) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "page lacks 'into'; add the query member that names the next page, such as "
                      "into: page, or write {page} in the request");
    }
}

void read_check_list(const struct reading *reading, const struct list *list,
                     const struct config_node *node, const char *what)
{
    if (list->request.method == NULL && config_get(node, "request") == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "%s lacks 'request'; add it, such as request: {url: \"{base}/posts.json\"}",
                      what);
    }
    read_check_url(reading, &list->request, node);
    if (list->record_count == 0 && !list->walks && config_get(node, "records") == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "%s lacks 'records'; add where they stand in the answer, such as records: "
                      "/posts/*",
                      what);
    }
    if (!list->walks) {
        check_known(reading, &list->request, config_get(node, "request"), false);
    }
    check_page_carried(reading, &list->page, &list->request, node);
    check_map(reading, &list->map, node);
    if (list->revisit_count > 0 && list->cursor.given && list->cursor.order == ORDER_OLDEST &&
        !list->cursor.by_link && (list->cursor.as == AS_INT || list->cursor.as == AS_TEXT)) {
        config_report(reading->config, CONFIG_WARNING, node,
                      "a revisit does nothing where a list is asked for from a number or a text "
                      "on, as no window can be told by it; take a cursor that is a time (of the "
                      "last change, where there is one), or order: newest");
    }
    if (list->revisit_count > 0 && list->map.fields[FIELD_CREATED_AT] == NULL) {
        config_report(reading->config, CONFIG_WARNING, node,
                      "a revisit cannot tell how old a record is without created_at in map");
    }
}

int read_lists(const struct reading *reading, const struct list *shared,
               const struct config_node *node)
{
    struct definition *definition = reading->definition;
    const size_t count = config_count(node);

    if (!config_is_sequence(node) || count == 0 || count > LISTS_MAX) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes one to twenty lists, such as [{name: posts, records: /posts/*}]");
        return 0;
    }
    definition->lists = reading_take(reading, count, sizeof(*definition->lists));
    if (definition->lists == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_node *one = config_at(node, i);
        struct list *list = &definition->lists[i];
        struct one_list keys = {0};

        *list = *shared;
        if (reading_fill(reading, one, list_options, "a list", &keys) != 0) {
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            if (definition->lists[j].name != NULL &&
                strcmp(definition->lists[j].name, keys.keys.name) == 0) {
                config_report(reading->config, CONFIG_ERROR, one, "two lists are called '%.50s'",
                              keys.keys.name);
            }
        }
        list->name = keys.keys.name;
        list->needs = reading_needs(reading, keys.keys.needs);
        if (read_conditions(reading, &list->when, keys.keys.when) != 0 ||
            read_list_keys(reading, list, &keys.keys) != 0) {
            return -1;
        }
        read_check_list(reading, list, one, "a list");
    }
    definition->list_count = count;
    return 0;
}
