/* SPDX-License-Identifier: Apache-2.0 */

/* From a mapping to a struct by its table of options, and from one text to one value. */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config_internal.h"
#include "common/instant.h"
#include "common/text/text.h"

enum { FALLBACK_MAX = 256, SHOWN_MAX = 200 };

/* --- single values --- */

/* The end of what a fallback says apart from its range: "3 [0..10]" -> 1. */
static size_t fallback_length(const struct ear_option *option)
{
    const char *range = NULL;

    if (option->type == EAR_INTEGER || option->type == EAR_NUMBER || option->type == EAR_DURATION ||
        option->type == EAR_SIZE) {
        range = strstr(option->fallback, " [");
    }
    return range == NULL ? strlen(option->fallback) : (size_t)(range - option->fallback);
}

static bool is_required(const struct ear_option *option)
{
    return option->fallback != NULL && option->fallback[0] == '!';
}

static int parse_size(int64_t *out, const char *text, struct ear_error *err)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    char *end = NULL;
    long long number = 0;

    errno = 0;
    number = strtoll(text, &end, 10);
    if (end != text && errno == 0 && number >= 0 && text[0] >= '0' && text[0] <= '9') {
        while (*end == ' ') {
            end++;
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(end, units[i].name) == 0 && number <= (INT64_MAX >> units[i].shift)) {
                *out = (int64_t)number << units[i].shift;
                return 0;
            }
        }
    }
    return ear_fail(err, EAR_CONFIG,
                    "'%s' is no size; write a number and KiB, MiB or GiB, such as 512MiB", text);
}

static int parse_integer(int64_t *out, const char *text, struct ear_error *err)
{
    char *end = NULL;
    long long number = 0;

    errno = 0;
    number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || text[0] == ' ' || text[0] == '+') {
        return ear_fail(err, EAR_CONFIG, "'%s' is no whole number; write digits, such as 10", text);
    }
    *out = number;
    return 0;
}

static int parse_number(double *out, const char *text, struct ear_error *err)
{
    char *end = NULL;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(number) || text[0] == ' ' ||
        strpbrk(text, "xX") != NULL) {
        return ear_fail(err, EAR_CONFIG, "'%s' is no number; write one such as 0.6", text);
    }
    *out = number;
    return 0;
}

/* A number of any type as a double, for ranges; -1 where text is none. */
static int parse_measure(double *out, enum ear_option_type type, const char *text,
                         struct ear_error *err)
{
    int64_t whole = 0;
    int result = -1;

    if (type == EAR_NUMBER) {
        return parse_number(out, text, err);
    }
    if (type == EAR_DURATION) {
        result = strcmp(text, "0") == 0 ? 0 : duration_parse(&whole, text, err);
    } else if (type == EAR_SIZE) {
        result = parse_size(&whole, text, err);
    } else {
        result = parse_integer(&whole, text, err);
    }
    *out = (double)whole;
    return result;
}

/* Holds a value to the range that stands in the fallback, if one does. */
static int check_range(const struct ear_option *option, const char *text, struct ear_error *err)
{
    char range[FALLBACK_MAX];
    char *from = NULL;
    char *to = NULL;
    double value = 0;
    double least = 0;
    double most = 0;
    const char *open = option->fallback == NULL ? NULL : strstr(option->fallback, "[");

    if (open == NULL) {
        return 0;
    }
    snprintf(range, sizeof range, "%s", open + 1);
    from = range;
    to = strstr(range, "..");
    if (to == NULL || strchr(to, ']') == NULL) {
        return ear_fail(err, EAR_FATAL, "option '%s' has no readable range", option->name);
    }
    *to = '\0';
    to += 2;
    *strchr(to, ']') = '\0';
    if (parse_measure(&least, option->type, from, err) != 0 ||
        parse_measure(&most, option->type, to, err) != 0 ||
        parse_measure(&value, option->type, text, err) != 0) {
        return -1;
    }
    if (value != least && least == most) {
        return ear_fail(err, EAR_CONFIG, "'%s' does not fit; write %s", text, from);
    }
    if (value < least || value > most) {
        return ear_fail(err, EAR_CONFIG, "'%s' is out of range; write something from %s to %s",
                        text, from, to);
    }
    return 0;
}

static int parse_choice(struct config *config, const struct ear_option *option, const char *text,
                        const char **out, struct ear_error *err)
{
    char listed[FALLBACK_MAX];
    char words[FALLBACK_MAX];
    const char *choices[32] = {NULL};
    size_t count = 0;
    char *rest = words;
    char nearest[128];

    snprintf(words, sizeof words, "%s", option->fallback == NULL ? "" : option->fallback);
    for (char *word = strsep(&rest, "|"); word != NULL && count < 31; word = strsep(&rest, "|")) {
        if (word[0] != '\0' && strcmp(word, "!") != 0) {
            choices[count++] = word;
        }
    }
    listed[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(listed);

        if (strcmp(choices[i], text) == 0) {
            *out = config_copy(config, text, strlen(text));
            return *out == NULL ? ear_fail_memory(err, option->name) : 0;
        }
        snprintf(listed + length, sizeof listed - length, "%s%s", i == 0 ? "" : ", ", choices[i]);
    }
    config_suggest(nearest, sizeof nearest, text, choices);
    return ear_fail(err, EAR_CONFIG, "'%s' is none of: %s%s%s", text, listed,
                    nearest[0] == '\0' ? "" : "; ", nearest);
}

static void *field(void *out, const struct ear_option *option)
{
    return (char *)out + option->offset;
}

/* Copies: fields may be of any alignment the caller's struct gives them, types are the table's. */
static void set(void *out, const struct ear_option *option, const void *value, size_t size)
{
    memcpy(field(out, option), value, size);
}

static int add_string(struct config *config, struct ear_strings *list, const char *text,
                      struct ear_error *err)
{
    const char **items = config_take(config, (list->count + 1) * sizeof *items);
    char *copy = config_copy(config, text, strlen(text));

    if (items == NULL || copy == NULL) {
        return ear_fail_memory(err, "a list");
    }
    if (list->count > 0) {
        memcpy(items, list->items, list->count * sizeof *items);
    }
    items[list->count] = copy;
    list->items = items;
    list->count++;
    return 0;
}

static int parse_boolean(bool *out, const char *text, struct ear_error *err)
{
    *out = strcmp(text, "true") == 0;
    if (!*out && strcmp(text, "false") != 0) {
        return ear_fail(err, EAR_CONFIG, "'%s' is neither true nor false; write one of them", text);
    }
    return 0;
}

/* One value into its field, ranges apart. */
static int set_value(struct config *config, const struct ear_option *option, const char *text,
                     void *out, struct ear_error *err)
{
    int64_t whole = 0;
    double number = 0;
    bool truth = false;
    const char *string = NULL;
    struct ear_strings list;

    switch (option->type) {
    case EAR_INTEGER:
    case EAR_SIZE:
    case EAR_DURATION:
        if (option->type == EAR_INTEGER ? parse_integer(&whole, text, err) != 0
            : option->type == EAR_SIZE  ? parse_size(&whole, text, err) != 0
            : strcmp(text, "0") == 0    ? false
                                        : duration_parse(&whole, text, err) != 0) {
            return -1;
        }
        set(out, option, &whole, sizeof whole);
        return 0;
    case EAR_NUMBER:
        if (parse_number(&number, text, err) != 0) {
            return -1;
        }
        set(out, option, &number, sizeof number);
        return 0;
    case EAR_BOOLEAN:
        if (parse_boolean(&truth, text, err) != 0) {
            return -1;
        }
        set(out, option, &truth, sizeof truth);
        return 0;
    case EAR_CHOICE:
        if (parse_choice(config, option, text, &string, err) != 0) {
            return -1;
        }
        set(out, option, &string, sizeof string);
        return 0;
    case EAR_STRINGS:
        memcpy(&list, field(out, option), sizeof list);
        if (add_string(config, &list, text, err) != 0) {
            return -1;
        }
        set(out, option, &list, sizeof list);
        return 0;
    case EAR_STRING:
        string = config_copy(config, text, strlen(text));
        if (string == NULL) {
            return ear_fail_memory(err, option->name);
        }
        set(out, option, &string, sizeof string);
        return 0;
    case EAR_SECTION:
    case EAR_TREE:
    case EAR_UNBUILT:
        break;
    }
    return ear_fail(err, EAR_CONFIG, "'%s' takes no single value", option->name);
}

int config_value(struct config *config, const struct ear_option *option, const char *text,
                 void *out, struct ear_error *err)
{
    if (option->type == EAR_UNBUILT) {
        return ear_fail(err, EAR_CONFIG, "%s: not built yet in this version; leave it out",
                        option->help);
    }
    if (option->type == EAR_INTEGER || option->type == EAR_NUMBER || option->type == EAR_DURATION ||
        option->type == EAR_SIZE) {
        /* The value first: "no number" is the better message than one about ranges. */
        double measure = 0;

        if (parse_measure(&measure, option->type, text, err) != 0 ||
            check_range(option, text, err) != 0) {
            return -1;
        }
    }
    return set_value(config, option, text, out, err);
}

/* --- defaults --- */

static void set_nothing(const struct ear_option *option, void *out)
{
    static const union {
        int64_t whole;
        double number;
        const char *string;
        struct ear_strings list;
    } nothing = {0};
    size_t size =
        option->type == EAR_BOOLEAN   ? sizeof(bool)
        : option->type == EAR_STRINGS ? sizeof(struct ear_strings)
        : option->type == EAR_NUMBER  ? sizeof(double)
        : option->type == EAR_STRING || option->type == EAR_CHOICE || option->type == EAR_TREE
            ? sizeof(const char *)
            : sizeof(int64_t);

    if (option->type != EAR_UNBUILT && option->type != EAR_SECTION) {
        set(out, option, &nothing, size);
    }
}

/* What holds where the key is absent. */
static int set_fallback(struct config *config, const struct ear_option *option, void *out,
                        struct ear_error *err)
{
    char text[FALLBACK_MAX];
    char *rest = text;

    set_nothing(option, out);
    if (option->fallback == NULL || is_required(option) || option->type == EAR_TREE ||
        option->type == EAR_UNBUILT || option->type == EAR_SECTION) {
        return 0;
    }
    snprintf(text, sizeof text, "%.*s", (int)fallback_length(option), option->fallback);
    if (text[0] == '\0' && option->type != EAR_STRING) {
        return 0; /* a range alone, or an empty choice or list */
    }
    if (option->type == EAR_CHOICE) {
        text[strcspn(text, "|")] = '\0';
        return text[0] == '\0' ? 0 : set_value(config, option, text, out, err);
    }
    if (option->type != EAR_STRINGS) {
        return set_value(config, option, text, out, err);
    }
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
        if (item[0] != '\0' && set_value(config, option, item, out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- mappings --- */

/* A value as findings show it: cut, and never what a variable or secret file held. */
static const char *shown(const struct config_node *node, char out[SHOWN_MAX])
{
    snprintf(out, SHOWN_MAX, "%s", strcmp(node->raw, node->text) == 0 ? node->text : node->raw);
    return out;
}

static void fill_scalar(struct config *config, const struct config_node *node,
                        const struct ear_option *option, void *out)
{
    struct ear_error err = {EAR_NONE, ""};
    char text[SHOWN_MAX];

    if (node->kind != CONFIG_SCALAR) {
        config_report(config, CONFIG_ERROR, node, "takes a single value, not a %s: %s",
                      node->kind == CONFIG_MAPPING ? "mapping" : "list", option->help);
        return;
    }
    if (node->unset || config_value(config, option, node->text, out, &err) == 0) {
        return;
    }
    if (strcmp(node->raw, node->text) != 0) {
        config_report(config, CONFIG_ERROR, node, "what %s stands for does not fit; it takes %s",
                      shown(node, text), option->help);
        return;
    }
    config_report(config, CONFIG_ERROR, node, "%s", err.message);
}

static void fill_strings(struct config *config, const struct config_node *node,
                         const struct ear_option *option, void *out)
{
    if (node->kind != CONFIG_SEQUENCE) {
        fill_scalar(config, node, option, out);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->pairs[i].value;

        if (item->kind == CONFIG_NOTHING) {
            config_report(config, CONFIG_ERROR, item, "is empty; write a value, or leave it out");
        } else {
            fill_scalar(config, item, option, out);
        }
    }
}

static void check_known(struct config *config, const struct config_node *node,
                        const struct ear_option options[], const char *const extra[],
                        const char *what);

/* The names of the keys below a feature that is not built yet, in a mapping or a list of them. */
static void check_names(struct config *config, const struct config_node *node,
                        const struct ear_option section[], const char *what)
{
    for (size_t i = 0; node->kind == CONFIG_SEQUENCE && i < node->count; i++) {
        if (node->pairs[i].value->kind == CONFIG_MAPPING) {
            check_names(config, node->pairs[i].value, section, what);
        }
    }
    if (node->kind != CONFIG_MAPPING) {
        return;
    }
    check_known(config, node, section, NULL, what);
    for (const struct ear_option *option = section; option->name != NULL; option++) {
        const struct config_node *below = config_get(node, option->name);

        if (option->section != NULL && !node_is_absent(below)) {
            check_names(config, below, option->section, option->name);
        }
    }
}

/* A feature that is not built yet is one finding; the keys below are still held to their names. */
static void report_unbuilt(struct config *config, const struct config_node *mapping,
                           const struct config_node *node, const struct ear_option *option)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const struct config_pair *pair = &mapping->pairs[i];

        if (pair->value == node) {
            config_report_at(config, CONFIG_ERROR, node->file, pair->line, pair->column, node->path,
                             "not built yet: %s; leave '%s' out until a later version has it",
                             option->help, option->name);
        }
    }
    if (option->section != NULL) {
        check_names(config, node, option->section, option->name);
    }
}

static void fill_option(struct config *config, const struct config_node *mapping,
                        const struct config_node *node, const struct ear_option *option, void *out)
{
    switch (option->type) {
    case EAR_SECTION:
        config_fill(config, node, option->section, NULL, option->name, field(out, option));
        break;
    case EAR_TREE:
        set(out, option, &node, sizeof(const struct config_node *));
        break;
    case EAR_UNBUILT:
        report_unbuilt(config, mapping, node, option);
        break;
    case EAR_STRINGS:
        memset(field(out, option), 0, sizeof(struct ear_strings));
        fill_strings(config, node, option, out);
        break;
    default:
        fill_scalar(config, node, option, out);
        break;
    }
}

static bool is_listed(const char *key, const struct ear_option options[], const char *const extra[])
{
    for (const struct ear_option *option = options; option->name != NULL; option++) {
        if (strcmp(option->name, key) == 0) {
            return true;
        }
    }
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++) {
        if (strcmp(extra[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void check_known(struct config *config, const struct config_node *node,
                        const struct ear_option options[], const char *const extra[],
                        const char *what)
{
    const char *names[128] = {NULL};
    size_t count = 0;
    char listed[512] = "";

    for (const struct ear_option *option = options; option->name != NULL && count < 100; option++) {
        names[count++] = option->name;
    }
    for (size_t i = 0; extra != NULL && extra[i] != NULL && count < 127; i++) {
        names[count++] = extra[i];
    }
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(listed);

        snprintf(listed + length, sizeof listed - length, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct config_pair *pair = &node->pairs[i];
        char nearest[128];

        if (is_listed(pair->key, options, extra)) {
            continue;
        }
        config_suggest(nearest, sizeof nearest, pair->key, names);
        config_report_at(config, CONFIG_ERROR, node->file, pair->line, pair->column,
                         pair->value->path, "unknown key in %s; %s%s", what,
                         nearest[0] != '\0' ? nearest
                         : count == 0       ? "it takes none"
                                            : "known are: ",
                         nearest[0] != '\0' ? "" : listed);
    }
}

size_t config_fill(struct config *config, const struct config_node *mapping,
                   const struct ear_option options[], const char *const extra[], const char *what,
                   void *out)
{
    size_t before = config_errors(config);
    bool absent = node_is_absent(mapping);
    struct ear_error err = {EAR_NONE, ""};

    if (!absent && mapping != NULL && mapping->kind != CONFIG_MAPPING) {
        config_report(config, CONFIG_ERROR, mapping,
                      "%s takes keys and values, such as {%s: …}, not a %s", what,
                      options->name == NULL ? "key" : options->name,
                      mapping->kind == CONFIG_SEQUENCE ? "list" : "single value");
        absent = true;
    } else if (!absent) {
        check_known(config, mapping, options, extra, what);
    }
    for (const struct ear_option *option = options; option->name != NULL; option++) {
        const struct config_node *node = absent ? NULL : config_get(mapping, option->name);

        if (set_fallback(config, option, out, &err) != 0) {
            config_report(config, CONFIG_ERROR, mapping, "%s: default of '%s': %s", what,
                          option->name, err.message);
        }
        if (!node_is_absent(node)) {
            fill_option(config, mapping, node, option, out);
        } else if (option->type == EAR_SECTION) {
            config_fill(config, NULL, option->section, NULL, option->name, field(out, option));
        } else if (is_required(option) && !node_is_absent(mapping)) {
            config_report(config, CONFIG_ERROR, mapping, "%s lacks '%s'; add it: %s", what,
                          option->name, option->help);
        }
    }
    return config_errors(config) - before;
}

const char *config_suggest(char *out, size_t size, const char *word, const char *const choices[])
{
    const char *best = NULL;
    int least = 0;

    for (size_t i = 0; choices[i] != NULL; i++) {
        size_t length = strlen(choices[i]);
        int distance = text_distance(word, choices[i]);

        if (distance <= (int)((length + 2) / 3) && (best == NULL || distance < least)) {
            best = choices[i];
            least = distance;
        }
    }
    if (best == NULL) {
        out[0] = '\0';
    } else {
        snprintf(out, size, "did you mean '%s'?", best);
    }
    return out;
}
