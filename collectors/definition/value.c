/* SPDX-License-Identifier: Apache-2.0 */
/* From what a server says to a record: each field of `map` is looked up, read as what it is said to
 * be, and put where it belongs. What cannot be understood is left out, but an id. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"
#include "common/instant.h"
#include "common/text/text.h"

/* --- memory of one record --- */

enum { BLOCK_SIZE = 16 * 1024, RECORD_MAX = 4 * 1024 * 1024 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

/* The first block stays, further ones go with the record. */
struct value_memory {
    struct block *blocks; /* the newest first */
    size_t total;
};

static struct block *block_new(struct value_memory *memory, size_t size)
{
    struct block *block = NULL;

    if (memory->total + size > RECORD_MAX) {
        return NULL;
    }
    block = malloc(sizeof(*block) + size);
    if (block != NULL) {
        *block = (struct block){.next = memory->blocks, .size = size};
        memory->blocks = block;
        memory->total += size;
    }
    return block;
}

int value_memory_new(struct value_memory **out, struct ear_error *err)
{
    struct value_memory *memory = calloc(1, sizeof(*memory));

    if (memory == NULL || block_new(memory, BLOCK_SIZE) == NULL) {
        free(memory);
        return ear_fail_memory(err, "a record");
    }
    *out = memory;
    return 0;
}

void value_memory_empty(struct value_memory *memory)
{
    while (memory->blocks->next != NULL) {
        struct block *block = memory->blocks;

        memory->blocks = block->next;
        memory->total -= block->size;
        free(block);
    }
    memory->blocks->used = 0;
}

void value_memory_free(struct value_memory *memory)
{
    if (memory != NULL) {
        value_memory_empty(memory);
        free(memory->blocks);
        free(memory);
    }
}

static char *take(struct value_memory *memory, size_t size)
{
    struct block *block = memory->blocks;
    char *place = NULL;

    if (block->size - block->used < size) {
        block = block_new(memory, size > BLOCK_SIZE ? size : BLOCK_SIZE);
        if (block == NULL) {
            return NULL;
        }
    }
    place = block->bytes + block->used;
    block->used += size;
    return place;
}

static const char *keep(struct value_memory *memory, const char *text, size_t length)
{
    char *copy = take(memory, length + 1);

    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

/* --- looking up --- */

/* What is needed all the way down. */
struct mapping {
    const struct environment *environment;
    const struct json_node *answer;
    struct value_memory *memory;
    struct ear_error *err;
};

/* What a value gave. `text` NULL: nothing. */
struct given {
    const struct json_node *node; /* where it came from as it is; NULL: made */
    const char *text;
    size_t length;
    enum value_as as;
    const struct value *value;
};

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

struct joining {
    const struct pointer *on;
    const char *with;
    size_t length;
    const struct json_node *found;
};

static bool is_joined(void *user, const struct json_node *node)
{
    struct joining *joining = user;
    const struct environment there = {.record = node};
    size_t length = 0;
    const char *text = scalar_text(pointer_first(joining->on, &there), &length);

    if (text != NULL && length == joining->length && memcmp(text, joining->with, length) == 0) {
        joining->found = node;
        return false;
    }
    return true;
}

/* Each element of a list, or each of what a pointer with * names. */
static bool among_joined(void *user, const struct json_node *node)
{
    if (json_kind_of(node) != JSON_ARRAY) {
        return is_joined(user, node);
    }
    for (const struct json_node *each = json_first(node); each != NULL; each = json_next(each)) {
        if (!is_joined(user, each)) {
            return false;
        }
    }
    return true;
}

/* {from: /includes/users, on: /id, with: /author_id, take: /name} */
static const struct json_node *look_beside(const struct value *value, const struct mapping *mapping)
{
    struct joining joining = {.on = &value->join_on};
    struct choosing choosing = {.unless = value->unless};

    joining.with =
        scalar_text(pointer_first(&value->join_with, mapping->environment), &joining.length);
    for (size_t i = 0; i < value->from_count && joining.with != NULL && joining.found == NULL;
         i++) {
        (void)pointer_each(&value->from[i], mapping->answer, among_joined, &joining);
    }
    (void)pointer_each(&value->join_take, joining.found, choose, &choosing);
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
    list.out = take(mapping->memory, list.length + 1);
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
    out->text = keep(mapping->memory, text, out->length);
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
    given->text = keep(mapping->memory, given->text + from, length);
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

/* The first of a value and what is behind it that gives something. An empty text is nothing. */
static int give(struct given *out, const struct value *value, const struct mapping *mapping,
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

static bool to_number(const struct given *given, double *out)
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

static bool to_instant(const struct given *given, enum value_as as, const struct zone *zone,
                       int64_t *out_us)
{
    double number = 0;

    if (as == AS_UNIX || as == AS_UNIX_MS) {
        return to_number(given, &number) &&
               from_unix(as == AS_UNIX ? number : number / 1000, out_us);
    }
    return given->text != NULL && instant_parse_any(out_us, given->text, given->length, zone);
}

static const struct zone *zone_of(const struct given *given, const struct mapping *mapping)
{
    return given->value->zone != NULL ? given->value->zone : mapping->environment->zone;
}

static int64_t give_instant(const struct value *value, const struct mapping *mapping, bool *failed)
{
    struct given given;
    int64_t at_us = INT64_MIN;

    if (value == NULL) {
        return INT64_MIN;
    }
    if (give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        *failed = true;
        return INT64_MIN;
    }
    return given.text != NULL && to_instant(&given, given.as, zone_of(&given, mapping), &at_us)
               ? at_us
               : INT64_MIN;
}

static bool give_number(const struct value *value, const struct mapping *mapping, double *out,
                        bool *failed)
{
    struct given given;

    if (value == NULL) {
        return false;
    }
    if (give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        *failed = true;
        return false;
    }
    if (!to_number(&given, out)) {
        return false;
    }
    if (given.value->out_of > 0) {
        *out /= given.value->out_of;
    }
    return true;
}

static int64_t give_count(const struct value *value, const struct mapping *mapping, bool *failed)
{
    double number = -1;

    if (!give_number(value, mapping, &number, failed) || number < 0 || number > 9e15) {
        return -1;
    }
    return (int64_t)number;
}

/* --- texts --- */

/* A text as what it is said to be. */
static const char *read_as(struct given *given, const struct mapping *mapping)
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
        there = to_instant(given, given->as, zone_of(given, mapping), &at_us);
        if (there) {
            (void)instant_format(text, at_us);
        }
        break;
    case AS_INT:
        if (strspn(given->text, "0123456789") == given->length) {
            return given->text; /* an id may have more digits than a double */
        }
        there = to_number(given, &number) && fabs(number) < 9e15;
        (void)snprintf(text, sizeof(text), "%.0f", there ? trunc(number) : 0);
        break;
    case AS_HTML: /* where no HTML may be: entities are resolved at once */
        plain = text_from_html(given->text, given->length, &given->length);
        given->text = plain == NULL ? NULL : keep(mapping->memory, plain, given->length);
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
    given->text = keep(mapping->memory, text, given->length);
    given->node = NULL;
    return given->text;
}

static const char *kind_name(const struct json_node *node)
{
    return json_kind_of(node) == JSON_OBJECT ? "an object" : "a list";
}

/* A field that is a plain text. -1: err. */
static int give_text(const char **out, const struct value *value, const struct mapping *mapping)
{
    struct given given;

    *out = NULL;
    if (value == NULL) {
        return 0;
    }
    if (give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        return -1;
    }
    *out = given.text == NULL ? NULL : read_as(&given, mapping);
    return 0;
}

/* Text that goes where HTML is expected. */
static const char *escape(struct value_memory *memory, const char *text, size_t length)
{
    size_t room = 1;
    char *out = NULL;
    char *to = NULL;

    for (size_t i = 0; i < length; i++) {
        room += text[i] == '&' || text[i] == '<' || text[i] == '>' ? 5 : 1;
    }
    out = to = take(memory, room);
    for (size_t i = 0; out != NULL && i < length; i++) {
        const char *entity = text[i] == '&'   ? "&amp;"
                             : text[i] == '<' ? "&lt;"
                             : text[i] == '>' ? "&gt;"
                                              : NULL;
        const size_t size = entity == NULL ? 1 : strlen(entity);

        memcpy(to, entity == NULL ? text + i : entity, size);
        to += size;
    }
    if (out != NULL) {
        *to = '\0';
    }
    return out;
}

static const char *where(const struct value *value)
{
    return value->from_count > 0 ? value->from[0].text : "";
}

/* Title and text are one format to the intake: where they differ, the title gives way. */
static int give_words(struct source_record *out, const struct map *map,
                      const struct mapping *mapping)
{
    struct given title = {0};
    struct given text = {0};

    if (give(&title, map->fields[FIELD_TITLE], mapping, TEMPLATE_PLAIN) != 0 ||
        give(&text, map->fields[FIELD_TEXT], mapping, TEMPLATE_PLAIN) != 0) {
        return -1;
    }
    if (text.text == NULL && text.node != NULL) {
        return ear_fail(mapping->err, EAR_REJECT, "schema: the text at %s is %s",
                        where(map->fields[FIELD_TEXT]), kind_name(text.node));
    }
    out->format = text.text == NULL    ? (title.as == AS_HTML ? SOURCE_HTML : SOURCE_PLAIN)
                  : text.as == AS_HTML ? SOURCE_HTML
                                       : SOURCE_PLAIN;
    if (title.text != NULL && title.as == AS_HTML && out->format == SOURCE_PLAIN) {
        title.text = read_as(&title, mapping);
    } else if (title.text != NULL && title.as != AS_HTML && out->format == SOURCE_HTML) {
        title.text = escape(mapping->memory, title.text, title.length);
        if (title.text == NULL) {
            return ear_fail(mapping->err, EAR_REJECT, "schema: a record of more than 4 MiB");
        }
    }
    out->title = title.text;
    out->text = text.text;
    out->text_length = text.text == NULL ? 0 : text.length;
    return 0;
}

/* --- whole records --- */

static int give_id(struct source_record *out, const struct map *map, const struct mapping *mapping)
{
    const struct value *value = map->fields[FIELD_ID];
    struct given given = {0};

    if (value != NULL && give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        return -1;
    }
    if (given.text != NULL) {
        out->native_id = read_as(&given, mapping);
    }
    if (out->native_id == NULL && given.node != NULL) {
        return ear_fail(mapping->err, EAR_REJECT, "schema: the id at %s is %s, not a text",
                        where(value), kind_name(given.node));
    }
    if (out->native_id == NULL) {
        return ear_fail(mapping->err, EAR_REJECT, "schema: no id at %s",
                        value == NULL ? "all" : where(value));
    }
    return 0;
}

/* The source's own: its `base`. */
static const char *base_of(const struct mapping *mapping)
{
    const struct definition *definition = mapping->environment->definition;

    return definition->base < 0 || mapping->environment->params == NULL
               ? NULL
               : mapping->environment->params[definition->base];
}

static int give_host(struct source_record *out, const struct map *map,
                     const struct mapping *mapping)
{
    const char *base = base_of(mapping);
    char host[300];

    if (give_text(&out->host, map->fields[FIELD_HOST], mapping) != 0) {
        return -1;
    }
    if (out->host == NULL && base != NULL &&
        template_host(base, strlen(base), host, sizeof(host))) {
        out->host = keep(mapping->memory, host, strlen(host));
    }
    return 0;
}

/* "/t/5" becomes an address of the base's origin. */
static int give_url(struct source_record *out, const struct map *map, const struct mapping *mapping)
{
    const char *base = base_of(mapping);
    const char *origin_end = NULL;
    struct given given;
    char *whole = NULL;

    if (give(&given, map->fields[FIELD_URL], mapping, TEMPLATE_URL) != 0) {
        return -1;
    }
    out->url = given.text;
    if (given.text == NULL || given.text[0] != '/' || given.text[1] == '/' || base == NULL) {
        return 0;
    }
    origin_end = strstr(base, "://");
    origin_end = origin_end == NULL ? NULL : origin_end + 3 + strcspn(origin_end + 3, "/?#");
    if (origin_end != NULL) {
        const size_t length = (size_t)(origin_end - base);

        whole = take(mapping->memory, length + given.length + 1);
        if (whole == NULL) {
            return ear_fail(mapping->err, EAR_REJECT, "schema: a record of more than 4 MiB");
        }
        memcpy(whole, base, length);
        memcpy(whole + length, given.text, given.length + 1);
        out->url = whole;
    }
    return 0;
}

static int give_names(struct source_record *out, const struct map *map,
                      const struct mapping *mapping)
{
    const struct {
        const char **to;
        enum field field;
    } texts[] = {
        {&out->author_id, FIELD_AUTHOR_ID}, {&out->author_name, FIELD_AUTHOR_NAME},
        {&out->lang, FIELD_LANG},           {&out->thread, FIELD_THREAD},
        {&out->parent, FIELD_PARENT},       {&out->channel, FIELD_CHANNEL},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (give_text(texts[i].to, map->fields[texts[i].field], mapping) != 0) {
            return -1;
        }
    }
    return 0;
}

/* `"x_stars":4,…`: what is mapped without `as` keeps its kind. */
static int give_extra(struct source_record *out, const struct map *map,
                      const struct mapping *mapping)
{
    struct json_writer *writer = NULL;
    const char *text = NULL;
    size_t length = 0;
    int result = -1;

    if (map->extra_count == 0) {
        return 0;
    }
    if (json_writer_new(&writer, (size_t)256 * 1024, mapping->err) != 0) {
        return -1;
    }
    json_write_object(writer);
    for (size_t i = 0; i < map->extra_count; i++) {
        struct given given;

        if (give(&given, map->extra[i].value, mapping, TEMPLATE_PLAIN) != 0) {
            goto done;
        }
        if (given.node != NULL && (given.value == NULL || given.as == AS_TEXT)) {
            json_write_key(writer, map->extra[i].name);
            text = json_raw(given.node, &length);
            json_write_raw(writer, text, length);
        } else if (given.text != NULL) {
            json_member_string(writer, map->extra[i].name, read_as(&given, mapping));
        }
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, mapping->err);
    if (text == NULL) {
        goto done;
    }
    if (length > 2) {
        out->extra = keep(mapping->memory, text + 1, length - 2);
        if (out->extra == NULL) {
            ear_fail(mapping->err, EAR_REJECT, "schema: a record of more than 4 MiB");
            goto done;
        }
    }
    result = 0;

done:
    json_writer_free(writer);
    return result;
}

int map_record(struct source_record *out, const struct map *map,
               const struct environment *environment, const struct json_node *answer,
               struct value_memory *memory, struct ear_error *err)
{
    const struct mapping mapping = {
        .environment = environment, .answer = answer, .memory = memory, .err = err};
    double rating = -1;
    bool failed = false;

    *out = (struct source_record){.created_us = INT64_MIN, .edited_us = INT64_MIN, .rating = -1};
    if (give_id(out, map, &mapping) != 0 || give_host(out, map, &mapping) != 0 ||
        give_url(out, map, &mapping) != 0 || give_words(out, map, &mapping) != 0 ||
        give_names(out, map, &mapping) != 0 || give_extra(out, map, &mapping) != 0) {
        return -1;
    }
    out->created_us = give_instant(map->fields[FIELD_CREATED_AT], &mapping, &failed);
    out->edited_us = give_instant(map->fields[FIELD_EDITED_AT], &mapping, &failed);
    if (give_number(map->fields[FIELD_RATING], &mapping, &rating, &failed) && rating >= 0) {
        out->rating = rating > 1 ? 1 : rating;
    }
    out->likes = give_count(map->fields[FIELD_LIKES], &mapping, &failed);
    out->replies = give_count(map->fields[FIELD_REPLIES], &mapping, &failed);
    out->shares = give_count(map->fields[FIELD_SHARES], &mapping, &failed);
    out->views = give_count(map->fields[FIELD_VIEWS], &mapping, &failed);
    return failed ? -1 : 0;
}

bool cursor_value(const struct cursor *cursor, const struct json_node *record, int64_t *number,
                  const char **text)
{
    const struct environment environment = {.record = record};
    const struct json_node *node = NULL;
    struct given given = {0};
    double value = 0;

    for (size_t i = 0; i < cursor->by_count && node == NULL; i++) {
        node = pointer_first(&cursor->by[i], &environment);
    }
    given.node = node;
    given.text = scalar_text(node, &given.length);
    if (given.text == NULL || given.length == 0) {
        return false;
    }
    if (cursor->as == AS_TEXT) {
        *text = given.text;
        return true;
    }
    if (cursor->as != AS_INT) {
        return to_instant(&given, cursor->as, NULL, number);
    }
    /* Exact beyond 2^53 too: ids of 64 bits are usual. */
    if (strspn(given.text, "0123456789-") == given.length) {
        char *end = NULL;

        *number = strtoll(given.text, &end, 10);
        return *end == '\0' && *number != INT64_MAX && *number != INT64_MIN;
    }
    if (!to_number(&given, &value) || fabs(value) > 9e15) {
        return false;
    }
    *number = (int64_t)value;
    return true;
}
