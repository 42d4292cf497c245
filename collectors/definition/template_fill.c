/* SPDX-License-Identifier: Apache-2.0 */
/* What a place of a template is filled with, and what its filters make of it. */
#include "collectors/definition/template_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"

static void set_text(struct filling *filling, const char *text)
{
    filling->text = text;
    filling->length = text == NULL ? 0 : strlen(text);
}

/* The plain values of a list, with commas between. */
static void join_list(struct filling *filling, const struct json_node *list)
{
    size_t room = 1;
    size_t length = 0;

    for (const struct json_node *node = json_first(list); node != NULL; node = json_next(node)) {
        room += scalar_text(node, &length) != NULL ? length + 1 : 0;
    }
    filling->owned = room > VALUE_MAX ? NULL : malloc(room);
    if (filling->owned == NULL) {
        return;
    }
    for (const struct json_node *node = json_first(list); node != NULL; node = json_next(node)) {
        const char *text = scalar_text(node, &length);

        if (text != NULL) {
            if (filling->length > 0) {
                filling->owned[filling->length++] = ',';
            }
            memcpy(filling->owned + filling->length, text, length);
            filling->length += length;
        }
    }
    filling->owned[filling->length] = '\0';
    filling->text = filling->length > 0 ? filling->owned : NULL;
}

static void fill_pointer(struct filling *filling, const struct piece *piece,
                         const struct environment *environment)
{
    const struct json_node *node = pointer_first(&piece->pointer, environment);

    if (json_kind_of(node) == JSON_ARRAY) {
        join_list(filling, node);
    } else {
        filling->text = scalar_text(node, &filling->length);
    }
}

static void fill(struct filling *filling, const struct piece *piece,
                 const struct environment *environment)
{
    switch (piece->place) {
    case PLACE_PARAM:
        set_text(filling, environment->params == NULL ? NULL : environment->params[piece->param]);
        break;
    case PLACE_POINTER:
        fill_pointer(filling, piece, environment);
        break;
    case PLACE_SINCE:
    case PLACE_NOW:
        filling->at_us = piece->place == PLACE_NOW ? environment->now_us : environment->since_us;
        filling->is_instant = filling->at_us != INT64_MIN;
        break;
    case PLACE_CURSOR:
        set_text(filling, environment->cursor);
        break;
    case PLACE_PAGE:
        set_text(filling, environment->page);
        break;
    case PLACE_IDS:
        set_text(filling, environment->ids);
        break;
    case PLACE_TOKEN:
        set_text(filling, environment->token);
        break;
    case PLACE_ID:
        set_text(filling, environment->id);
        break;
    case PLACE_URL:
        set_text(filling, environment->url);
        break;
    case PLACE_THREAD:
        set_text(filling, environment->thread);
        break;
    case PLACE_KEY:
        set_text(filling, environment->key);
        break;
    default:
        break;
    }
    if (filling->length == 0) {
        filling->text = NULL;
    }
}

/* --- filters --- */

static void write_instant(struct filling *filling, enum filter filter)
{
    int64_t at_us = filling->at_us;
    char text[DAY_SIZE > INSTANT_SIZE ? DAY_SIZE : INSTANT_SIZE];

    if (filter == FILTER_UNIX || filter == FILTER_UNIX_MS) {
        const int64_t unit = filter == FILTER_UNIX ? 1000000 : 1000;
        const int64_t whole = at_us / unit - (at_us % unit < 0 ? 1 : 0);

        (void)snprintf(filling->written, sizeof(filling->written), "%lld", (long long)whole);
    } else {
        /* Whole seconds, the earlier ones: what every server reads (GitHub and X refuse fractions).
         */
        at_us -= ((at_us % CLOCK_SECOND_US) + CLOCK_SECOND_US) % CLOCK_SECOND_US;
        (void)snprintf(filling->written, sizeof(filling->written), "%s",
                       filter == FILTER_DATE ? day_format(text, zone_day(NULL, at_us))
                                             : instant_format(text, at_us));
    }
    filling->is_instant = false;
    set_text(filling, filling->written);
}

/* A part of the text: between `from` and `to`. */
static void cut(struct filling *filling, const char *from, const char *to)
{
    filling->text = from < to ? from : NULL;
    filling->length = (size_t)(to - from);
}

static bool own(struct filling *filling, const char *text, size_t length)
{
    char *copy = strndup(text, length);

    free(filling->owned);
    filling->owned = copy;
    set_text(filling, copy);
    return copy != NULL;
}

/* False: out of memory. */
static bool apply_text(struct filling *filling, enum filter filter)
{
    const char *end = filling->text + filling->length;
    const char *slash = NULL;
    char host[300];
    bool good = true;

    switch (filter) {
    case FILTER_TAIL:
        slash = memrchr(filling->text, '/', filling->length);
        cut(filling, slash == NULL ? filling->text : slash + 1, end);
        break;
    case FILTER_HEAD:
        slash = memchr(filling->text, '/', filling->length);
        cut(filling, filling->text, slash == NULL ? end : slash);
        break;
    case FILTER_HOST:
        if (template_host(filling->text, filling->length, host, sizeof(host))) {
            good = own(filling, host, strlen(host));
        } else {
            filling->text = NULL;
        }
        break;
    case FILTER_LOWER:
        /* The old text goes only once the new one is there: it may be the owned one. */
        {
            char *copy = strndup(filling->text, filling->length);

            for (char *at = copy; at != NULL && *at != '\0'; at++) {
                *at = (char)tolower((unsigned char)*at);
            }
            free(filling->owned);
            filling->owned = copy;
            set_text(filling, copy);
            good = copy != NULL;
        }
        break;
    default: /* of time */
        if (instant_parse_any(&filling->at_us, filling->text, filling->length, NULL)) {
            write_instant(filling, filter);
        } else {
            filling->text = NULL;
        }
        break;
    }
    return good;
}

bool piece_fill(struct filling *filling, const struct piece *piece,
                const struct environment *environment)
{
    fill(filling, piece, environment);
    for (size_t i = 0; i < FILTERS_MAX && piece->filters[i] != FILTER_NONE; i++) {
        const enum filter filter = piece->filters[i];

        if (filling->is_instant) {
            write_instant(filling, filter >= FILTER_UNIX ? filter : FILTER_RFC3339);
            if (filter >= FILTER_UNIX) {
                continue;
            }
        }
        if (filling->text == NULL) {
            return true;
        }
        if (!apply_text(filling, filter)) {
            return false;
        }
    }
    if (filling->is_instant) {
        write_instant(filling, FILTER_RFC3339);
    }
    return true;
}
