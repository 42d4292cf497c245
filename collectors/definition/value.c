/* SPDX-License-Identifier: Apache-2.0 */
/* One value of `map`: looked up in the answer, read as what it is said to be. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/value_internal.h"
#include "common/config/config.h"
#include "common/instant.h"
#include "common/text/text.h"

/* --- looking up --- */

struct choosing {
    const struct config_node *unless;
    const struct json_node *chosen;
};

static bool choose(void *user, const struct json_node *node)
{
    struct choosing *choosing = user;

    if (json_kind_of(node) == JSON_NULL ||
        (choosing->unless != NULL && value_is(node, choosing->unless))) {
        return true;
    }
    choosing->chosen = node;
    return false;
}

/* {from: /includes/users, on: /id, with: /author_id, take: /name} */
static const struct json_node *look_beside(const struct value *value, const struct mapping *mapping)
{
    struct choosing choosing = {.unless = value->unless};

    (void)pointer_each(&value->join_take, join_find(value, mapping), choose, &choosing);
    return choosing.chosen;
}

static const struct json_node *look_up(const struct value *value, const struct mapping *mapping)
{
    struct choosing choosing = {.unless = value->unless};

    if (value->join_on.text != NULL) {
        return look_beside(value, mapping);
    }
    for (size_t i = 0; i < value->from_count && choosing.chosen == NULL; i++) {
        (void)pointer_each(&value->from[i], pointer_root(&value->from[i], mapping->environment),
                           choose, &choosing);
    }
    return choosing.chosen;
}

/* --- reading as --- */

struct list_text {
    const struct value *value;
    struct value_memory *memory;
    char *out; /* NULL: only measured */
    size_t length;
};

static void add_text(struct list_text *list, const struct json_node *node)
{
    const size_t between = list->length > 0 ? strlen(list->value->joiner) : 0;
    size_t length = 0;
    const char *text = scalar_text(node, &length);

    if (text == NULL || length == 0) {
        return;
    }
    if (list->out != NULL) {
        memcpy(list->out + list->length, list->value->joiner, between);
        memcpy(list->out + list->length + between, text, length);
    }
    list->length += between + length;
}

static bool add_texts(void *user, const struct json_node *node)
{
    struct list_text *list = user;

    if (json_kind_of(node) != JSON_ARRAY) {
        add_text(list, node);
        return true;
    }
    for (const struct json_node *each = json_first(node); each != NULL; each = json_next(each)) {
        add_text(list, each);
    }
    return true;
}

static void add_all(struct list_text *list, const struct mapping *mapping)
{
    list->length = 0;
    for (size_t i = 0; i < list->value->from_count && list->length == 0; i++) {
        (void)pointer_each(&list->value->from[i],
                           pointer_root(&list->value->from[i], mapping->environment), add_texts,
                           list);
    }
}

/* All that the first pointer with anything names, joined. */
static int join_texts(struct given *out, const struct value *value, const struct mapping *mapping)
{
    struct list_text list = {.value = value};

    add_all(&list, mapping);
    if (list.length == 0) {
        return 0;
    }
    list.out = value_take(mapping->memory, list.length + 1);
    if (list.out == NULL) {
        return ear_fail(mapping->err, EAR_REJECT, "schema: a record of more than 4 MiB");
    }
    add_all(&list, mapping);
    list.out[list.length] = '\0';
    *out = (struct given){.text = list.out, .length = list.length, .as = AS_TEXT, .value = value};
    return 0;
}

static int expand(struct given *out, const struct value *value, const struct mapping *mapping,
                  enum template_use use)
{
    bool absent = false;
    char *text = template_expand(value->template, mapping->environment, use, &absent, mapping->err);

    if (text == NULL) {
        return absent ? 0 : -1;
    }
    out->value = value;
    out->as = value->as;
    out->length = strlen(text);
    out->text = value_keep(mapping->memory, text, out->length);
    free(text);
    return out->text == NULL
               ? ear_fail(mapping->err, EAR_REJECT, "schema: a record of more than 4 MiB")
               : 0;
}

/* The part that `match` names; nothing if it does not match. */
static int match(struct given *given, const struct mapping *mapping)
{
    size_t from = 0;
    size_t length = 0;

    if (given->text == NULL || given->value->match == NULL) {
        return 0;
    }
    if (!pattern_find(given->value->match, given->text, given->length, &from, &length)) {
        given->text = NULL;
        return 0;
    }
    given->node = NULL;
    given->length = length;
    given->text = value_keep(mapping->memory, given->text + from, length);
    return given->text == NULL
               ? ear_fail(mapping->err, EAR_REJECT, "schema: a record of more than 4 MiB")
               : 0;
}

static int give_one(struct given *out, const struct value *value, const struct mapping *mapping,
                    enum template_use use)
{
    *out = (struct given){.value = value, .as = value->as};
    if (value->template != NULL) {
        if (expand(out, value, mapping, use) != 0) {
            return -1;
        }
    } else if (value->as == AS_JOIN) {
        if (join_texts(out, value, mapping) != 0) {
            return -1;
        }
    } else {
        out->node = look_up(value, mapping);
        out->text = scalar_text(out->node, &out->length);
    }
    if (match(out, mapping) != 0) {
        return -1;
    }
    if (out->text == NULL && out->node == NULL && value->fallback != NULL) {
        out->text = value->fallback;
        out->length = strlen(value->fallback);
    }
    return 0;
}

int value_give(struct given *out, const struct value *value, const struct mapping *mapping,
               enum template_use use)
{
    struct given kept = {0};

    *out = (struct given){0};
    for (; value != NULL; value = value->otherwise) {
        if (give_one(out, value, mapping, use) != 0) {
            return -1;
        }
        if (out->text != NULL && out->length > 0) {
            return 0;
        }
        if (kept.node == NULL && out->node != NULL && out->text == NULL) {
            kept = *out; /* of another kind: worth saying where it is needed */
        }
    }
    out->text = NULL;
    out->node = kept.node;
    return 0;
}

/* --- numbers and times --- */

bool value_to_number(const struct given *given, double *out)
{
    char copy[64];
    char *end = NULL;

    if (given->text == NULL) {
        return false;
    }
    if (strcmp(given->text, "true") == 0 || strcmp(given->text, "false") == 0) {
        *out = given->text[0] == 't' ? 1 : 0;
        return true;
    }
    if (given->length == 0 || given->length >= sizeof(copy) ||
        strspn(given->text, "0123456789+-.eE") != given->length) {
        return false;
    }
    memcpy(copy, given->text, given->length);
    copy[given->length] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

/* From 0001 to 9999, as common/instant has it. */
static bool from_unix(double seconds, int64_t *out_us)
{
    if (!(seconds >= -62135596800.0 && seconds < 253402300800.0)) {
        return false;
    }
    *out_us = (int64_t)llround(seconds * 1e6);
    return true;
}

bool value_to_instant(const struct given *given, enum value_as as, const struct zone *zone,
                      int64_t *out_us)
{
    double number = 0;

    if (as == AS_UNIX || as == AS_UNIX_MS) {
        return value_to_number(given, &number) &&
               from_unix(as == AS_UNIX ? number : number / 1000, out_us);
    }
    return given->text != NULL && instant_parse_any(out_us, given->text, given->length, zone);
}

const struct zone *value_zone(const struct given *given, const struct mapping *mapping)
{
    return given->value->zone != NULL ? given->value->zone : mapping->environment->zone;
}

/* --- texts --- */

const char *value_read_as(struct given *given, const struct mapping *mapping)
{
    char text[300];
    int64_t at_us = 0;
    double number = 0;
    bool there = true;
    char *plain = NULL;

    switch (given->as) {
    case AS_HOST:
        there = template_host(given->text, given->length, text, sizeof(text));
        break;
    case AS_UNIX:
    case AS_UNIX_MS:
    case AS_TIME:
        there = value_to_instant(given, given->as, value_zone(given, mapping), &at_us);
        if (there) {
            (void)instant_format(text, at_us);
        }
        break;
    case AS_INT:
        if (strspn(given->text, "0123456789") == given->length) {
            return given->text; /* an id may have more digits than a double */
        }
        there = value_to_number(given, &number) && fabs(number) < 9e15;
        (void)snprintf(text, sizeof(text), "%.0f", there ? trunc(number) : 0);
        break;
    case AS_HTML: /* where no HTML may be: entities are resolved at once */
        plain = text_from_html(given->text, given->length, &given->length);
        given->text = plain == NULL ? NULL : value_keep(mapping->memory, plain, given->length);
        free(plain);
        return given->text;
    default:
        return given->text;
    }
    if (!there) {
        given->text = NULL;
        return NULL;
    }
    given->length = strlen(text);
    given->text = value_keep(mapping->memory, text, given->length);
    given->node = NULL;
    return given->text;
}
