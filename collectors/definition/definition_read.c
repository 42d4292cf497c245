/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A definition from its document. Every part is read, whatever was wrong with the one before, so
 * that one `check` shows all mistakes; what was read is given out only if there were none.
 *
 * Inheritance is copying: what stands at the top is read first into a list of its own, each of
 * `lists` begins as a copy of that, each child with the map, pages and conditions of its list.
 */
#include "collectors/definition/definition.h"

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_read_internal.h"

enum {
    PARAMS_MAX = 50,
    LISTS_MAX = 20,
    CHILDREN_MAX = 10,
    GENERATIONS_MAX = 4,
    NAME_MAX_LENGTH = 40
};

/* --- what a definition owns --- */

struct held {
    struct held *next;
    void (*release)(void *thing); /* NULL: bytes only */
    void *thing;
    _Alignas(max_align_t) char bytes[];
};

void *definition_take(struct definition *definition, size_t size, struct ear_error *err)
{
    struct held *held = calloc(1, sizeof(*held) + size);

    if (held == NULL) {
        ear_fail_memory(err, "a definition");
        return NULL;
    }
    held->next = definition->memory;
    definition->memory = held;
    return held->bytes;
}

int definition_own(struct definition *definition, void (*release)(void *), void *thing,
                   struct ear_error *err)
{
    struct held *held = calloc(1, sizeof(*held));

    if (held == NULL) {
        release(thing);
        return ear_fail_memory(err, "a definition");
    }
    *held = (struct held){.next = definition->memory, .release = release, .thing = thing};
    definition->memory = held;
    return 0;
}

void definition_free(struct definition *definition)
{
    if (definition == NULL) {
        return;
    }
    while (definition->memory != NULL) {
        struct held *held = definition->memory;

        definition->memory = held->next;
        if (held->release != NULL) {
            held->release(held->thing);
        }
        free(held);
    }
    free(definition);
}

int definition_param(const struct definition *definition, const char *name)
{
    for (size_t i = 0; i < definition->param_count; i++) {
        const char *known = definition->params[i].name;

        if (known != NULL && strcmp(known, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* --- for all who read --- */

void *reading_take(const struct reading *reading, size_t count, size_t size)
{
    return definition_take(reading->definition, count * size, reading->err);
}

size_t reading_index(const char *word, const char *const words[])
{
    for (size_t i = 0; word != NULL && words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    return 0;
}

size_t reading_fill(const struct reading *reading, const struct config_node *node,
                    const struct ear_option options[], const char *what, void *out)
{
    const size_t errors = config_fill(reading->config, node, options, NULL, what, out);

    if (config_is_absent(node)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "%s is empty; fill it in, or leave it out", what);
        return errors + 1;
    }
    return errors;
}

int reading_needs(const struct reading *reading, const struct config_node *node)
{
    const char *name = config_scalar(node);
    const char *names[PARAMS_MAX + 1] = {NULL};
    char nearest[128];
    int place = -1;

    if (config_is_absent(node)) {
        return -1;
    }
    place = name == NULL ? -1 : definition_param(reading->definition, name);
    if (place < 0) {
        for (size_t i = 0; i < reading->definition->param_count; i++) {
            names[i] = reading->definition->params[i].name;
        }
        config_suggest(nearest, sizeof(nearest), name == NULL ? "" : name, names);
        config_report(reading->config, CONFIG_ERROR, node, "'%.100s' is no parameter%s%s",
                      name == NULL ? "" : name, *nearest == '\0' ? "; name one of params" : "; ",
                      nearest);
    }
    return place;
}

/* --- parameters --- */

static const struct ear_option param_options[] = {
    {"required", EAR_BOOLEAN, offsetof(struct parameter, required), "false",
     "whether a source has to give it", NULL},
    {"default", EAR_STRING, offsetof(struct parameter, fallback), NULL,
     "what it is where a source does not give it", NULL},
    {"secret", EAR_BOOLEAN, offsetof(struct parameter, secret), "false",
     "never shown, never logged", NULL},
    {"help", EAR_STRING, offsetof(struct parameter, help), NULL, "one line for who fills it in",
     NULL},
    {0},
};

/* Keys that every source has are none of a definition's. */
static const char *const source_keys[] = {"name",      "use",   "channel", "about", "lang",
                                          "audience",  "zone",  "tags",    "every", "history",
                                          "threshold", "fresh", NULL};

static bool is_platform(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' && strlen(text) <= NAME_MAX_LENGTH &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(text);
}

static bool is_identifier(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' && strlen(text) <= NAME_MAX_LENGTH &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

static void read_param(const struct reading *reading, const char *name,
                       const struct config_node *node)
{
    struct definition *definition = reading->definition;
    struct parameter *param = &definition->params[definition->param_count];

    if (!is_identifier(name)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "'%.100s' cannot be a parameter; use small letters, digits and _, such as "
                      "api_key",
                      name);
        return;
    }
    for (size_t i = 0; source_keys[i] != NULL; i++) {
        if (strcmp(source_keys[i], name) == 0) {
            config_report(reading->config, CONFIG_ERROR, node,
                          "every source has the key '%s' already; call the parameter otherwise",
                          name);
            return;
        }
    }
    (void)config_fill(reading->config, config_is_absent(node) ? NULL : node, param_options, NULL,
                      "parameter", param);
    param->name = name;
    if (param->required && param->fallback != NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "what is required needs no default; leave one of them out");
    }
    if (param->fallback != NULL && param->fallback[0] == '!') {
        config_report(reading->config, CONFIG_ERROR, node, "a default cannot begin with '!'");
    }
    definition->param_count++;
}

/* What the collector fills from a source: one text a parameter. */
static int make_options(const struct reading *reading)
{
    struct definition *definition = reading->definition;
    const size_t count = definition->param_count;

    definition->options = reading_take(reading, count + 1, sizeof(*definition->options));
    if (definition->options == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct parameter *param = &definition->params[i];

        definition->options[i] = (struct ear_option){
            .name = param->name,
            .type = EAR_STRING,
            .offset = i * sizeof(const char *),
            .fallback = param->required ? "!" : param->fallback,
            .help = param->help == NULL ? "a text" : param->help,
        };
    }
    definition->reader.options = definition->options;
    definition->reader.config_size = count * sizeof(const char *);
    return 0;
}

static int read_params(const struct reading *reading, const struct config_node *node)
{
    struct definition *definition = reading->definition;
    const size_t count = config_is_mapping(node) ? config_count(node) : 0;

    if (!config_is_absent(node) && (!config_is_mapping(node) || count > PARAMS_MAX)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes names, at most 50, such as {base: {required: true, help: \"the "
                      "forum's address\"}}");
        return make_options(reading);
    }
    definition->params = reading_take(reading, count + 1, sizeof(*definition->params));
    if (definition->params == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        read_param(reading, config_key_at(node, i), config_at(node, i));
    }
    definition->base = definition_param(definition, "base");
    return make_options(reading);
}

/* --- lists and their children --- */

struct list_keys {
    const char *name;
    const struct config_node *needs, *when, *request, *records, *page, *cursor, *revisit, *map,
        *skip, *deleted, *children, *gone, *walk;
};

#define LIST_OPTIONS(holder, keys)                                                                   \
    {"request",                                                                                      \
     EAR_TREE,                                                                                       \
     LIST_KEY(holder, keys, request),                                                                \
     NULL,                                                                                           \
     "what is asked for: {url: …, query: …, headers: …}",                                            \
     NULL},                                                                                          \
        {"records",                                                                                  \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, records),                                                            \
         NULL,                                                                                       \
         "pointers to the records, such as /data/items/*",                                           \
         NULL},                                                                                      \
        {"page", EAR_TREE, LIST_KEY(holder, keys, page), NULL, "how the next page is found", NULL},  \
        {"cursor",                                                                                   \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, cursor),                                                             \
         NULL,                                                                                       \
         "what is new: {by: …, as: …, order: …}",                                                    \
         NULL},                                                                                      \
        {"revisit",                                                                                  \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, revisit),                                                            \
         NULL,                                                                                       \
         "what is walked again: [{window: 2d, every: 1h}]",                                          \
         NULL},                                                                                      \
        {"map", EAR_TREE, LIST_KEY(holder, keys, map), NULL, "the fields of a post", NULL},          \
        {"skip", EAR_TREE, LIST_KEY(holder, keys, skip), NULL, "records that are no posts", NULL},   \
        {"deleted", EAR_TREE, LIST_KEY(holder, keys, deleted), NULL, "records of what is gone",      \
         NULL},                                                                                      \
        {"children",                                                                                 \
         EAR_TREE,                                                                                   \
         LIST_KEY(holder, keys, children),                                                           \
         NULL,                                                                                       \
         "what is asked for once a record",                                                          \
         NULL},                                                                                      \
        {"gone", EAR_TREE, LIST_KEY(holder, keys, gone), NULL, "how a deletion is confirmed", NULL}, \
    {                                                                                                \
        "walk", EAR_TREE, LIST_KEY(holder, keys, walk), NULL, "ids one by one", NULL                 \
    }

/* NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define LIST_KEY(holder, keys, member)                                                             \
    offsetof(struct holder, keys) + offsetof(struct list_keys, member)

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
     "a pointer to the records that it is asked for, such as /items/*", NULL},
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
    if (map->fields[FIELD_ID] == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "map lacks 'id'; add where the platform's own id stands, such as id: /id");
    }
    if (map->fields[FIELD_HOST] == NULL && reading->definition->base < 0) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "map lacks 'host', and there is no parameter 'base' to take it from; add one "
                      "such as host: reddit.com");
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
    if (keys.gone && keys.batch > 0) {
        config_report(reading->config, CONFIG_ERROR, config_get(node, "gone"),
                      "a batch does not tell whose records are missing; leave one of them out");
    }
    if (read_pointer(reading, &out->on, keys.on) != 0) {
        return -1;
    }
    if (keys.each == NULL || keys.request == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "children lacks '%s'; add it, such as {each: /items/*, request: {url: …}}",
                      keys.each == NULL ? "each" : "request");
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

/* The keys that stand there, over what `out` holds already. */
static int read_list_keys(const struct reading *reading, struct list *out,
                          const struct list_keys *keys)
{
    struct above above;

    if (read_request(reading, &out->request, keys->request) != 0 ||
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

static void check_list(const struct reading *reading, const struct list *list,
                       const struct config_node *node, const char *what)
{
    if (list->request.method == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "%s lacks 'request'; add it, such as request: {url: \"{base}/posts.json\"}",
                      what);
    }
    if (list->record_count == 0 && !list->walks) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "%s lacks 'records'; add where they stand in the answer, such as records: "
                      "/posts/*",
                      what);
    }
    check_page_carried(reading, &list->page, &list->request, node);
    check_map(reading, &list->map, node);
    if (list->revisit_count > 0 && list->map.fields[FIELD_CREATED_AT] == NULL) {
        config_report(reading->config, CONFIG_WARNING, node,
                      "a revisit cannot tell how old a record is without created_at in map");
    }
}

static int read_lists(const struct reading *reading, const struct list *shared,
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
        check_list(reading, list, one, "a list");
    }
    definition->list_count = count;
    return 0;
}

/* --- the whole --- */

struct definition_keys {
    int64_t earshot;
    const char *platform, *channel, *about, *hook;
    const struct config_node *params, *auth, *login, *headers, *first, *lists, *limit, *errors;
    struct list_keys shared;
};

static const struct ear_option definition_options[] = {
    {"earshot", EAR_INTEGER, offsetof(struct definition_keys, earshot), "1 [1..1]",
     "the version of this format: 1", NULL},
    {"platform", EAR_STRING, offsetof(struct definition_keys, platform), "!",
     "what `use:` says; its posts' ids begin with it", NULL},
    {"channel", EAR_CHOICE, offsetof(struct definition_keys, channel),
     "!|forum|blog|social|video|review|survey|frontline|helpdesk|ideas|crowd|internal",
     "what kind of place it is", NULL},
    {"about", EAR_STRING, offsetof(struct definition_keys, about), NULL,
     "one line: what it collects", NULL},
    {"params", EAR_TREE, offsetof(struct definition_keys, params), NULL, "what a source gives",
     NULL},
    {"auth", EAR_TREE, offsetof(struct definition_keys, auth), NULL, "who we are", NULL},
    {"login", EAR_TREE, offsetof(struct definition_keys, login), NULL, "a session", NULL},
    {"headers", EAR_TREE, offsetof(struct definition_keys, headers), NULL,
     "sent with every request", NULL},
    {"first", EAR_TREE, offsetof(struct definition_keys, first), NULL,
     "a request that is made once, before the others", NULL},
    LIST_OPTIONS(definition_keys, shared),
    {"lists", EAR_TREE, offsetof(struct definition_keys, lists), NULL,
     "several lists, each with its own keys over those above", NULL},
    {"limit", EAR_TREE, offsetof(struct definition_keys, limit), NULL, "what the platform allows",
     NULL},
    {"errors", EAR_TREE, offsetof(struct definition_keys, errors), NULL,
     "what its errors mean, and what to do", NULL},
    {"hook", EAR_STRING, offsetof(struct definition_keys, hook), NULL,
     "a small function of ours for what none of these can say", NULL},
    {0},
};

static void check_platform(const struct reading *reading, const struct config_node *node,
                           const char *name)
{
    if (!is_platform(name)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "'%.100s' cannot be a platform; use small letters, digits, - and _, such as "
                      "myforum",
                      name);
    }
}

/* The lists: those of `lists`, or the one that stands at the top. */
static int read_all_lists(const struct reading *reading, const struct definition_keys *keys,
                          const struct config_node *root)
{
    struct definition *definition = reading->definition;
    struct list *shared = reading_take(reading, 1, sizeof(*shared));

    if (shared == NULL) {
        return -1;
    }
    shared->name = "";
    shared->needs = -1;
    if (read_list_keys(reading, shared, &keys->shared) != 0) {
        return -1;
    }
    if (keys->lists != NULL) {
        return read_lists(reading, shared, keys->lists);
    }
    check_list(reading, shared, root, "the definition");
    definition->lists = shared;
    definition->list_count = 1;
    return 0;
}

static void check_hook(const struct reading *reading, const struct config_node *node,
                       const char *name)
{
    char meant[80];

    reading->definition->hook = name == NULL ? NULL : hook_find(name);
    if (name != NULL && reading->definition->hook == NULL) {
        config_report(reading->config, CONFIG_ERROR, node, "'%.50s' is no hook; %s", name,
                      config_suggest(meant, sizeof(meant), name, hook_names()));
    }
}

static int read_root(const struct reading *reading, const struct config_node *root)
{
    struct definition *definition = reading->definition;
    struct definition_keys keys = {0};

    if (reading_fill(reading, root, definition_options, "the definition", &keys) != 0) {
        return 0;
    }
    check_platform(reading, config_get(root, "platform"), keys.platform);
    definition->platform = keys.platform;
    definition->channel = keys.channel;
    definition->about = keys.about == NULL ? "a platform described in YAML" : keys.about;
    check_hook(reading, config_get(root, "hook"), keys.hook);
    definition->reader = (struct source_reader){
        .self = definition,
        .name = definition->platform,
        .about = definition->about,
        .channel = definition->channel,
    };
    definition->has_first = keys.first != NULL;
    definition->auth.needs = -1;
    read_check_headers(reading, keys.headers);
    return read_params(reading, keys.params) != 0 ||
                   read_named(reading, &definition->headers, &definition->header_count,
                              keys.headers) != 0 ||
                   read_auth(reading, &definition->auth, keys.auth) != 0 ||
                   read_login(reading, &definition->auth, keys.login) != 0 ||
                   read_first(reading, &definition->first, keys.first) != 0 ||
                   read_limits(reading, keys.limit) != 0 ||
                   read_errors(reading, keys.errors) != 0 ||
                   read_all_lists(reading, &keys, root) != 0
               ? -1
               : 0;
}

int definition_read(struct definition **out, struct config *config, const struct config_node *root,
                    struct ear_error *err)
{
    const size_t errors = config_errors(config);
    struct definition *definition = calloc(1, sizeof(*definition));
    struct reading reading = {.definition = definition, .config = config, .err = err};
    int result = -1;

    *out = NULL;
    ear_error_clear(err);
    if (definition == NULL) {
        return ear_fail_memory(err, "a definition");
    }
    definition->base = -1;
    if (read_root(&reading, root) != 0) {
        goto done;
    }
    if (config_errors(config) == errors) {
        *out = definition;
        definition = NULL;
    }
    result = 0;

done:
    definition_free(definition);
    return result;
}
