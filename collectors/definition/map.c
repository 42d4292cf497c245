/* SPDX-License-Identifier: Apache-2.0 */
/* From what a server says to a record: each value of `map` is put where it belongs. What cannot be
 * understood is left out, but an id. */
#include "collectors/definition/value_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"

/* --- numbers and times --- */

static int64_t give_instant(const struct value *value, const struct mapping *mapping, bool *failed)
{
    struct given given;
    int64_t at_us = INT64_MIN;

    if (value == NULL) {
        return INT64_MIN;
    }
    if (value_give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        *failed = true;
        return INT64_MIN;
    }
    return given.text != NULL &&
                   value_to_instant(&given, given.as, value_zone(&given, mapping), &at_us)
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
    if (value_give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        *failed = true;
        return false;
    }
    if (!value_to_number(&given, out)) {
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
    if (value_give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        return -1;
    }
    *out = given.text == NULL ? NULL : value_read_as(&given, mapping);
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
    out = to = value_take(memory, room);
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

    if (value_give(&title, map->fields[FIELD_TITLE], mapping, TEMPLATE_PLAIN) != 0 ||
        value_give(&text, map->fields[FIELD_TEXT], mapping, TEMPLATE_PLAIN) != 0) {
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
        title.text = value_read_as(&title, mapping);
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

    if (value != NULL && value_give(&given, value, mapping, TEMPLATE_PLAIN) != 0) {
        return -1;
    }
    if (given.text != NULL) {
        out->native_id = value_read_as(&given, mapping);
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
        out->host = value_keep(mapping->memory, host, strlen(host));
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

    if (value_give(&given, map->fields[FIELD_URL], mapping, TEMPLATE_URL) != 0) {
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

        whole = value_take(mapping->memory, length + given.length + 1);
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

        if (value_give(&given, map->extra[i].value, mapping, TEMPLATE_PLAIN) != 0) {
            goto done;
        }
        if (given.node != NULL && (given.value == NULL || given.as == AS_TEXT)) {
            json_write_key(writer, map->extra[i].name);
            text = json_raw(given.node, &length);
            json_write_raw(writer, text, length);
        } else if (given.text != NULL) {
            json_member_string(writer, map->extra[i].name, value_read_as(&given, mapping));
        }
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, mapping->err);
    if (text == NULL) {
        goto done;
    }
    if (length > 2) {
        out->extra = value_keep(mapping->memory, text + 1, length - 2);
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
        return value_to_instant(&given, cursor->as, NULL, number);
    }
    /* Exact beyond 2^53 too: ids of 64 bits are usual. */
    if (strspn(given.text, "0123456789-") == given.length) {
        char *end = NULL;

        *number = strtoll(given.text, &end, 10);
        return *end == '\0' && *number != INT64_MAX && *number != INT64_MIN;
    }
    if (!value_to_number(&given, &value) || fabs(value) > 9e15) {
        return false;
    }
    *number = (int64_t)value;
    return true;
}
