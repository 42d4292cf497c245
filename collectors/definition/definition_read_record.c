/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers, values and the map of a record's fields. */

#include <string.h>

#include "collectors/definition/definition_read_internal.h"
#include "common/instant.h"

enum { POINTERS_MAX = 32, EXTRA_MAX = 50, ALTERNATIVES_MAX = 16 };

int read_pointer(const struct reading *reading, struct pointer *out, const struct config_node *node)
{
    const char *text = config_scalar(node);

    if (config_is_absent(node)) {
        return 0;
    }
    if (text == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes a pointer, such as /data/items/*, not a %s",
                      config_is_mapping(node) ? "mapping" : "list");
        return 0;
    }
    return pointer_read(out, reading->definition, reading->config, node, text, reading->err);
}

int read_pointers(const struct reading *reading, struct pointer **out, size_t *count,
                  const struct config_node *node)
{
    const bool many = config_is_sequence(node);
    const size_t given = many ? config_count(node) : 1;

    if (config_is_absent(node)) {
        return 0;
    }
    if (given > POINTERS_MAX) {
        config_report(reading->config, CONFIG_ERROR, node, "more than 32 pointers; name fewer");
        return 0;
    }
    *count = 0;
    *out = reading_take(reading, given + 1, sizeof(**out));
    if (*out == NULL) {
        return -1;
    }
    for (size_t i = 0; i < given; i++) {
        if (read_pointer(reading, &(*out)[*count], many ? config_at(node, i) : node) != 0) {
            return -1;
        }
        *count += (*out)[*count].text == NULL ? 0 : 1;
    }
    return 0;
}

/* --- values --- */

static const char *const as_names[] = {"text",   "html", "unix", "unix_ms", "time", "int",
                                       "number", "host", "join", "boolean", NULL};

struct value_keys {
    const struct config_node *from, *on, *with, *take, *unless;
    const char *as, *match, *zone, *join, *fallback;
    double out_of;
};

static const struct ear_option value_options[] = {
    {"from", EAR_TREE, offsetof(struct value_keys, from), NULL,
     "a pointer, or a list of them: the first that is there", NULL},
    {"as", EAR_CHOICE, offsetof(struct value_keys, as),
     "|text|html|unix|unix_ms|time|int|number|host|join|boolean", "what it is read as", NULL},
    {"unless", EAR_TREE, offsetof(struct value_keys, unless), NULL, "a value that counts as none",
     NULL},
    {"match", EAR_STRING, offsetof(struct value_keys, match), NULL,
     "a regular expression; its first group is the value", NULL},
    {"zone", EAR_STRING, offsetof(struct value_keys, zone), NULL,
     "the zone of a time without one, such as UTC", NULL},
    {"out_of", EAR_NUMBER, offsetof(struct value_keys, out_of), "0 [0..1000000]",
     "the best of a rating, such as 5", NULL},
    {"join", EAR_STRING, offsetof(struct value_keys, join), ", ",
     "what stands between the values of a list", NULL},
    {"default", EAR_STRING, offsetof(struct value_keys, fallback), NULL,
     "what it is where nothing is there", NULL},
    {"on", EAR_TREE, offsetof(struct value_keys, on), NULL,
     "a pointer into an element of the list `from`", NULL},
    {"with", EAR_TREE, offsetof(struct value_keys, with), NULL,
     "a pointer to what `on` has to equal", NULL},
    {"take", EAR_TREE, offsetof(struct value_keys, take), NULL,
     "a pointer into the element: the value", NULL},
    {0},
};

/* What is not said by `as`. */
static enum value_as usual(enum field field)
{
    switch (field) {
    case FIELD_CREATED_AT:
    case FIELD_EDITED_AT:
        return AS_TIME;
    default:
        return AS_TEXT;
    }
}

static void release_zone(void *zone)
{
    zone_close(zone);
}

static int read_zone(const struct reading *reading, struct value *out,
                     const struct config_node *node, const char *name)
{
    struct ear_error why = {EAR_NONE, ""};

    if (zone_open(&out->zone, name, &why) != 0) {
        config_report(reading->config, CONFIG_ERROR, node, "%s", why.message);
        return 0;
    }
    return definition_own(reading->definition, release_zone, out->zone, reading->err);
}

static int read_match(const struct reading *reading, struct value *out,
                      const struct config_node *node, const char *text)
{
    struct ear_error why = {EAR_NONE, ""};
    struct pattern *pattern = NULL;

    if (pattern_new(&pattern, text, &why) != 0) {
        config_report(reading->config, CONFIG_ERROR, node, "%s", why.message);
        return 0;
    }
    out->match = pattern;
    return definition_own(reading->definition, pattern_free, pattern, reading->err);
}

static int read_from(const struct reading *reading, struct value *out,
                     const struct config_node *node)
{
    struct pointer *from = NULL;

    if (read_pointers(reading, &from, &out->from_count, node) != 0) {
        return -1;
    }
    out->from = from;
    return 0;
}

/* All four of a look beside, or `from` alone. */
static void check_join(const struct reading *reading, const struct value_keys *keys,
                       const struct config_node *node)
{
    const size_t given =
        (keys->on != NULL ? 1U : 0) + (keys->with != NULL ? 1U : 0) + (keys->take != NULL ? 1U : 0);

    if (given != 0 && given != 3) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "a look into another part of the answer takes from, on, with and take, such "
                      "as {from: /users, on: /id, with: /author_id, take: /name}");
    }
    if (keys->from == NULL && keys->fallback == NULL) {
        config_report(reading->config, CONFIG_ERROR, node, "a value lacks 'from', such as /body");
    }
}

static int read_keys(const struct reading *reading, struct value *out,
                     const struct config_node *node, enum value_as usually)
{
    struct value_keys keys = {0};

    if (reading_fill(reading, node, value_options, "a value", &keys) != 0) {
        return 0;
    }
    check_join(reading, &keys, node);
    out->as = keys.as == NULL ? usually : (enum value_as)reading_index(keys.as, as_names);
    out->joiner = keys.join;
    out->fallback = keys.fallback;
    out->unless = keys.unless;
    out->out_of = keys.out_of;
    if (keys.zone != NULL && read_zone(reading, out, config_get(node, "zone"), keys.zone) != 0) {
        return -1;
    }
    if (keys.match != NULL &&
        read_match(reading, out, config_get(node, "match"), keys.match) != 0) {
        return -1;
    }
    return read_from(reading, out, keys.from) != 0 ||
                   read_pointer(reading, &out->join_on, keys.on) != 0 ||
                   read_pointer(reading, &out->join_with, keys.with) != 0 ||
                   read_pointer(reading, &out->join_take, keys.take) != 0
               ? -1
               : 0;
}

/* One alternative: a pointer, a template, or keys. */
static int read_alternative(const struct reading *reading, struct value *out,
                            const struct config_node *node, enum value_as usually)
{
    const char *text = config_scalar(node);

    *out = (struct value){.as = usually, .joiner = ", "};
    if (text == NULL) {
        return read_keys(reading, out, node, usually);
    }
    if (text[0] != '\0' && pointer_is(text)) {
        return read_from(reading, out, node);
    }
    return read_template(reading, &out->template, node);
}

static int read_value(const struct reading *reading, const struct value **out,
                      const struct config_node *node, enum value_as usually)
{
    const bool many = config_is_sequence(node);
    const size_t count = many ? config_count(node) : 1;
    struct value *values = NULL;

    if (count == 0 || count > ALTERNATIVES_MAX) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes one to sixteen values, the first that gives something");
        return 0;
    }
    values = reading_take(reading, count, sizeof(*values));
    if (values == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_alternative(reading, &values[i], many ? config_at(node, i) : node, usually) != 0) {
            return -1;
        }
        values[i].otherwise = i + 1 < count ? &values[i + 1] : NULL;
    }
    *out = values;
    return 0;
}

/* --- the map --- */

struct map_keys {
    const struct config_node *fields[FIELD_COUNT];
    struct {
        const struct config_node *id, *name;
    } author;
    struct {
        const struct config_node *likes, *replies, *shares, *views;
    } engagement;
};

#define FIELD(name, field, help)                                                                   \
    {                                                                                              \
        name, EAR_TREE,                                                                            \
            offsetof(struct map_keys, fields) + (field) * sizeof(struct config_node *), NULL,      \
            help, NULL                                                                             \
    }
#define PART(name, index, help)                                                                    \
    {                                                                                              \
        name, EAR_TREE, (index) * sizeof(struct config_node *), NULL, help, NULL                   \
    }

static const struct ear_option author_options[] = {
    PART("id", 0, "the author's handle or number, the same in all posts"),
    PART("name", 1, "the author's name as it is shown"),
    {0},
};

static const struct ear_option engagement_options[] = {
    PART("likes", 0, "how many like it"),
    PART("replies", 1, "how many replies it has"),
    PART("shares", 2, "how often it was shared"),
    PART("views", 3, "how often it was seen"),
    {0},
};

static const struct ear_option map_options[] = {
    FIELD("id", FIELD_ID, "the platform's own id, never the same for two posts"),
    FIELD("host", FIELD_HOST, "whose ids they are; that of `base` by default"),
    FIELD("url", FIELD_URL, "the page a person opens"),
    FIELD("title", FIELD_TITLE, "the title"),
    FIELD("text", FIELD_TEXT, "the text"),
    FIELD("created_at", FIELD_CREATED_AT, "when it was written"),
    FIELD("edited_at", FIELD_EDITED_AT, "when it was last changed"),
    FIELD("lang", FIELD_LANG, "its language"),
    FIELD("thread", FIELD_THREAD, "the id of the conversation"),
    FIELD("parent", FIELD_PARENT, "the id of what it answers"),
    FIELD("rating", FIELD_RATING, "a rating"),
    FIELD("channel", FIELD_CHANNEL, "the kind of place, where it differs from post to post"),
    {"author", EAR_SECTION, offsetof(struct map_keys, author), NULL, "who wrote it",
     author_options},
    {"engagement", EAR_SECTION, offsetof(struct map_keys, engagement), NULL, "what others did",
     engagement_options},
    {0},
};

static bool is_own(const char *key)
{
    return strncmp(key, "x_", 2) == 0 && key[2] != '\0' && strlen(key) <= 100 &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
               strlen(key);
}

/* The keys that begin with x_, for config_fill to pass over. */
static const char **own_keys(const struct reading *reading, const struct config_node *node,
                             size_t *count)
{
    const size_t all = config_is_mapping(node) ? config_count(node) : 0;
    const char **keys = reading_take(reading, all + 1, sizeof(*keys));

    *count = 0;
    for (size_t i = 0; keys != NULL && i < all; i++) {
        if (is_own(config_key_at(node, i))) {
            keys[(*count)++] = config_key_at(node, i);
        }
    }
    return keys;
}

static int put_extra(const struct reading *reading, struct map *out, const char *name,
                     const struct config_node *node)
{
    size_t place = 0;

    while (place < out->extra_count && strcmp(out->extra[place].name, name) != 0) {
        place++;
    }
    out->extra[place].name = name;
    out->extra_count += place == out->extra_count ? 1 : 0;
    if (config_is_absent(node)) { /* inherited, and taken away */
        out->extra[place] = out->extra[--out->extra_count];
        return 0;
    }
    return read_value(reading, &out->extra[place].value, node, AS_TEXT);
}

static int read_extra(const struct reading *reading, struct map *out,
                      const struct config_node *node, const char *const names[], size_t count)
{
    const struct map_extra *inherited = out->extra;

    if (count == 0) {
        return 0;
    }
    if (out->extra_count + count > EXTRA_MAX) {
        config_report(reading->config, CONFIG_ERROR, node, "more than 50 fields of one's own");
        return 0;
    }
    out->extra = reading_take(reading, out->extra_count + count, sizeof(*out->extra));
    if (out->extra == NULL) {
        return -1;
    }
    if (out->extra_count > 0) {
        memcpy(out->extra, inherited, out->extra_count * sizeof(*out->extra));
    }
    for (size_t i = 0; i < count; i++) {
        if (put_extra(reading, out, names[i], config_get(node, names[i])) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A field that is said, over what was inherited; said to be nothing, it goes. */
static int read_field(const struct reading *reading, struct map *out, enum field field,
                      const struct config_node *mapping, const char *key,
                      const struct config_node *node)
{
    if (node != NULL) {
        return read_value(reading, &out->fields[field], node, usual(field));
    }
    if (config_get(mapping, key) != NULL) {
        out->fields[field] = NULL;
    }
    return 0;
}

static int read_parts(const struct reading *reading, struct map *out, const struct map_keys *keys,
                      const struct config_node *node)
{
    const struct config_node *author = config_get(node, "author");
    const struct config_node *engagement = config_get(node, "engagement");
    const struct {
        enum field field;
        const struct config_node *mapping;
        const char *key;
        const struct config_node *node;
    } parts[] = {
        {FIELD_AUTHOR_ID, author, "id", keys->author.id},
        {FIELD_AUTHOR_NAME, author, "name", keys->author.name},
        {FIELD_LIKES, engagement, "likes", keys->engagement.likes},
        {FIELD_REPLIES, engagement, "replies", keys->engagement.replies},
        {FIELD_SHARES, engagement, "shares", keys->engagement.shares},
        {FIELD_VIEWS, engagement, "views", keys->engagement.views},
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (read_field(reading, out, parts[i].field, parts[i].mapping, parts[i].key,
                       parts[i].node) != 0) {
            return -1;
        }
    }
    return 0;
}

int read_map(const struct reading *reading, struct map *out, const struct config_node *node)
{
    struct map_keys keys = {0};
    size_t own_count = 0;
    const char **own = NULL;

    if (config_is_absent(node)) {
        return 0;
    }
    own = own_keys(reading, node, &own_count);
    if (own == NULL) {
        return -1;
    }
    if (config_fill(reading->config, node, map_options, own, "map", &keys) != 0) {
        return 0;
    }
    for (const struct ear_option *option = map_options; option->type == EAR_TREE; option++) {
        const size_t field =
            (option->offset - offsetof(struct map_keys, fields)) / sizeof(struct config_node *);

        if (read_field(reading, out, (enum field)field, node, option->name, keys.fields[field]) !=
            0) {
            return -1;
        }
    }
    return read_parts(reading, out, &keys, node) != 0 ||
                   read_extra(reading, out, node, own, own_count) != 0
               ? -1
               : 0;
}
