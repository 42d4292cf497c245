/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a record, of an answer's body or of one of its headers. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/config/config.h"
#include "common/hash.h"

/* A value as conditions see it: of JSON, or a header's text. */
struct seen {
    const struct json_node *node; /* NULL: a header's */
    const char *text;             /* NULL: no plain value */
    size_t length;
};

static struct seen see(const struct json_node *node)
{
    struct seen seen = {.node = node};

    seen.text = scalar_text(node, &seen.length);
    return seen;
}

/* The whole text as a number. */
static bool number_of(const char *text, size_t length, double *out)
{
    char copy[64];
    char *end = NULL;

    if (length == 0 || length >= sizeof(copy) || strchr("0123456789-.", text[0]) == NULL ||
        memchr(text, 'x', length) != NULL) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0';
}

static bool same(const struct seen *seen, const struct config_node *said)
{
    const char *text = config_scalar(said);
    const bool number = seen->node == NULL || json_kind_of(seen->node) == JSON_NUMBER;
    double one = 0;
    double other = 0;

    if (seen->text == NULL || text == NULL) {
        return false;
    }
    if (strlen(text) == seen->length && memcmp(text, seen->text, seen->length) == 0) {
        return true;
    }
    /* 3 and 3.0 are one number, "3" and "3.0" are two texts. */
    return number && number_of(text, strlen(text), &one) &&
           number_of(seen->text, seen->length, &other) && one == other;
}

bool value_is(const struct json_node *node, const struct config_node *said)
{
    const struct seen seen = see(node);

    return same(&seen, said);
}

static bool among(const struct seen *seen, const struct config_node *list)
{
    for (size_t i = 0; i < config_count(list); i++) {
        if (same(seen, config_at(list, i))) {
            return true;
        }
    }
    return false;
}

static bool measures(const struct condition *condition, const struct seen *seen)
{
    double number = 0;

    if (!condition->has_over && !condition->has_under) {
        return true;
    }
    return seen->text != NULL && number_of(seen->text, seen->length, &number) &&
           (!condition->has_over || number > condition->over) &&
           (!condition->has_under || number < condition->under);
}

/* All but `present` and `changed`, of one value. */
static bool fits(const struct condition *condition, const struct seen *seen)
{
    size_t from = 0;
    size_t found = 0;

    return (condition->is == NULL || same(seen, condition->is)) &&
           (condition->in == NULL || among(seen, condition->in)) && measures(condition, seen) &&
           (condition->matches == NULL ||
            (seen->text != NULL &&
             pattern_find(condition->matches, seen->text, seen->length, &from, &found)));
}

struct looking {
    const struct condition *condition;
    bool there, fits;
};

static bool look(void *user, const struct json_node *node)
{
    struct looking *looking = user;
    const struct seen seen = see(node);

    if (json_kind_of(node) == JSON_NULL) {
        return true;
    }
    looking->there = true;
    looking->fits = fits(looking->condition, &seen);
    return !looking->fits;
}

static void look_at_header(struct looking *looking, const struct environment *environment)
{
    const char *text = environment->answer == NULL
                           ? NULL
                           : fetch_answer_header(environment->answer, looking->condition->header);
    const struct seen seen = {.text = text, .length = text == NULL ? 0 : strlen(text)};

    looking->there = text != NULL;
    looking->fits = text != NULL && fits(looking->condition, &seen);
}

bool condition_holds(const struct condition *condition, const struct environment *environment,
                     const char *before)
{
    struct looking looking = {.condition = condition};
    const bool asks = condition->is != NULL || condition->in != NULL || condition->has_over ||
                      condition->has_under || condition->matches != NULL;
    char now[CONDITION_VALUE_SIZE];
    bool holds = true;

    if (condition->path.text != NULL) {
        (void)pointer_each(&condition->path, pointer_root(&condition->path, environment), look,
                           &looking);
        holds = !asks || looking.fits;
    } else if (condition->header != NULL) {
        look_at_header(&looking, environment);
        holds = !asks || looking.fits;
    }
    holds = holds && (!condition->has_present || looking.there == condition->present);
    if (condition->changed) {
        holds = holds && (before == NULL ||
                          strcmp(before, condition_value(condition, environment, now)) != 0);
    }
    return holds != condition->negated;
}

bool conditions_any(const struct conditions *conditions, const struct environment *environment)
{
    for (size_t i = 0; i < conditions->count; i++) {
        if (condition_holds(&conditions->items[i], environment, NULL)) {
            return true;
        }
    }
    return false;
}

bool conditions_all(const struct conditions *conditions, const struct environment *environment)
{
    for (size_t i = 0; i < conditions->count; i++) {
        /* `changed` is as if seen for the first time; who remembers judges that part */
        if (!condition_holds(&conditions->items[i], environment, NULL)) {
            return false;
        }
    }
    return true;
}

const char *condition_value(const struct condition *condition,
                            const struct environment *environment, char out[CONDITION_VALUE_SIZE])
{
    const struct json_node *node = pointer_first(&condition->path, environment);
    size_t length = 0;
    const char *text = scalar_text(node, &length);

    if (text == NULL) {
        text = json_raw(node, &length);
    }
    if (text != NULL && length >= CONDITION_VALUE_SIZE) {
        return hash128_format(out, hash128_of(text, length));
    }
    (void)snprintf(out, CONDITION_VALUE_SIZE, "%.*s", (int)length, text == NULL ? "" : text);
    return out;
}
