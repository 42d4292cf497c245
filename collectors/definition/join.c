/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into another part of the answer. A page has as many records as it has authors: what is
 * looked through is indexed by the text at `on` when the first record asks, and goes with the page.
 */
#include "collectors/definition/value_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

struct joined {
    uint64_t hash;
    size_t order; /* in the answer: of several the first is meant */
    const struct json_node *node;
};

struct index {
    const struct value *value;
    struct joined *items;
    size_t count, capacity;
    bool failed; /* out of memory: all of it is walked through */
    struct index *next;
};

struct joins {
    struct index *indexes;
};

static const char *text_at(const struct value *value, const struct json_node *node, size_t *length)
{
    const struct environment there = {.record = node};

    return scalar_text(pointer_first(&value->join_on, &there), length);
}

/* --- each of those that may be meant --- */

struct walk {
    bool (*found)(void *user, const struct json_node *node);
    void *user;
};

/* Each element of a list, or each of what a pointer with * names. */
static bool walk_into(void *user, const struct json_node *node)
{
    const struct walk *walk = user;

    if (json_kind_of(node) != JSON_ARRAY) {
        return walk->found(walk->user, node);
    }
    for (const struct json_node *each = json_first(node); each != NULL; each = json_next(each)) {
        if (!walk->found(walk->user, each)) {
            return false;
        }
    }
    return true;
}

static void walk_all(const struct value *value, const struct json_node *answer,
                     bool (*found)(void *user, const struct json_node *node), void *user)
{
    struct walk walk = {.found = found, .user = user};
    bool goes_on = true;

    for (size_t i = 0; i < value->from_count && goes_on; i++) {
        goes_on = pointer_each(&value->from[i], answer, walk_into, &walk);
    }
}

/* --- without an index --- */

struct search {
    const struct value *value;
    const char *with;
    size_t length;
    const struct json_node *found;
};

static bool is_joined(void *user, const struct json_node *node)
{
    struct search *search = user;
    size_t length = 0;
    const char *text = text_at(search->value, node, &length);

    if (text != NULL && length == search->length && memcmp(text, search->with, length) == 0) {
        search->found = node;
        return false;
    }
    return true;
}

/* --- the index --- */

static bool add(void *user, const struct json_node *node)
{
    struct index *index = user;
    size_t length = 0;
    const char *text = text_at(index->value, node, &length);

    if (text == NULL) {
        return true;
    }
    if (index->items == NULL || index->count == index->capacity) {
        const size_t capacity = index->capacity == 0 ? 64 : index->capacity * 2;
        struct joined *items = realloc(index->items, capacity * sizeof(*items));

        if (items == NULL) {
            index->failed = true;
            return false;
        }
        index->items = items;
        index->capacity = capacity;
    }
    index->items[index->count] =
        (struct joined){.hash = hash64_of(text, length, 0), .order = index->count, .node = node};
    index->count++;
    return true;
}

static int compare(const void *one, const void *other)
{
    const struct joined *a = one;
    const struct joined *b = other;

    return a->hash != b->hash ? (a->hash > b->hash) - (a->hash < b->hash)
                              : (a->order > b->order) - (a->order < b->order);
}

static const struct index *index_of(struct joins *joins, const struct value *value,
                                    const struct json_node *answer)
{
    struct index *index = joins->indexes;

    while (index != NULL && index->value != value) {
        index = index->next;
    }
    if (index != NULL) {
        return index->failed ? NULL : index;
    }
    index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return NULL;
    }
    *index = (struct index){.value = value, .next = joins->indexes};
    joins->indexes = index;
    walk_all(value, answer, add, index);
    if (index->failed) {
        return NULL;
    }
    if (index->count > 1) {
        qsort(index->items, index->count, sizeof(*index->items), compare);
    }
    return index;
}

static const struct json_node *find(const struct index *index, const char *with, size_t length)
{
    const uint64_t hash = hash64_of(with, length, 0);
    size_t from = 0;
    size_t to = index->count;

    while (from < to) {
        const size_t middle = from + (to - from) / 2;

        if (index->items[middle].hash < hash) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    for (; from < index->count && index->items[from].hash == hash; from++) {
        size_t other = 0;
        const char *text = text_at(index->value, index->items[from].node, &other);

        if (other == length && memcmp(text, with, length) == 0) {
            return index->items[from].node;
        }
    }
    return NULL;
}

const struct json_node *join_find(const struct value *value, const struct mapping *mapping)
{
    struct joins *joins = mapping->environment->joins;
    struct search search = {.value = value};
    const struct index *index = NULL;

    search.with =
        scalar_text(pointer_first(&value->join_with, mapping->environment), &search.length);
    if (search.with == NULL) {
        return NULL;
    }
    index = joins == NULL ? NULL : index_of(joins, value, mapping->answer);
    if (index != NULL) {
        return find(index, search.with, search.length);
    }
    walk_all(value, mapping->answer, is_joined, &search);
    return search.found;
}

struct joins *joins_new(void)
{
    return calloc(1, sizeof(struct joins));
}

void joins_free(struct joins *joins)
{
    while (joins != NULL && joins->indexes != NULL) {
        struct index *index = joins->indexes;

        joins->indexes = index->next;
        free(index->items);
        free(index);
    }
    free(joins);
}
