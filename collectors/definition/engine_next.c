/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the page after the one in hand is asked for. A server may repeat itself: a page that is asked
 * for with what an earlier one of this walk was asked with, or that holds the same records as the
 * one before, ends the walk.
 */
#include "collectors/definition/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- the header Link --- */

/* The end of a link value: the next comma outside of <> and quotes. */
static const char *end_of_link(const char *at)
{
    bool quoted = false;
    bool inside = false;

    for (; *at != '\0'; at++) {
        if (*at == '"') {
            quoted = !quoted;
        } else if (!quoted && (*at == '<' || *at == '>')) {
            inside = *at == '<';
        } else if (!quoted && !inside && *at == ',') {
            break;
        }
    }
    return at;
}

/* Does one of the words of its `rel` say so? */
static bool has_rel(const char *at, const char *end, const char *rel)
{
    const size_t length = strlen(rel);

    for (const char *found = at + 1; found < end; found++) { /* not beyond: a header is long */
        const char *value = NULL;
        const char *stop = NULL;

        if (strchr("; \t", found[-1]) == NULL || strncasecmp(found, "rel", 3) != 0) {
            continue;
        }
        value = found + 3 + strspn(found + 3, " \t");
        if (*value != '=') {
            continue;
        }
        value += 1 + strspn(value + 1, " \t");
        stop =
            *value == '"' ? value + 1 + strcspn(value + 1, "\"") : value + strcspn(value, ";, \t");
        value += *value == '"' ? 1 : 0;
        while (value < stop) {
            const size_t word = strcspn(value, " \t\",;");

            if (word == length && strncasecmp(value, rel, length) == 0) {
                return true;
            }
            value += word + (value[word] == '\0' ? 0 : 1);
            value += strspn(value, " \t");
        }
    }
    return false;
}

char *next_link(const struct fetch_answer *answer, const char *rel)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        const char *at = answer->headers[i].value;

        if (strcmp(answer->headers[i].name, "link") != 0) {
            continue;
        }
        while (*at != '\0') {
            const char *end = end_of_link(at);
            const char *from = memchr(at, '<', (size_t)(end - at));
            const char *to = from == NULL ? NULL : memchr(from, '>', (size_t)(end - from));

            if (to != NULL && has_rel(to, end, rel)) {
                return strndup(from + 1, (size_t)(to - from - 1));
            }
            at = *end == '\0' ? end : end + 1;
        }
    }
    return NULL;
}

/* --- pages --- */

static char *number_text(int64_t number)
{
    char *text = NULL;

    return asprintf(&text, "%" PRId64, number) < 0 ? NULL : text;
}

char *next_first(const struct page *page)
{
    switch (page->kind) {
    case PAGE_NUMBER:
        return number_text(page->first);
    case PAGE_OFFSET:
        return number_text(0);
    default:
        return NULL;
    }
}

static int64_t number_of(const struct frame *frame, int64_t otherwise)
{
    const int64_t number = frame->text == NULL ? otherwise : strtoll(frame->text, NULL, 10);

    return number < INT64_MAX / 2 ? number : INT64_MAX / 2;
}

bool next_back(struct frame *frame)
{
    const struct page *page = frame->page;
    const int64_t step = page->kind == PAGE_NUMBER ? 1 : page->kind == PAGE_OFFSET ? page->size : 0;
    const int64_t least = page->kind == PAGE_NUMBER ? page->first : 0;
    const int64_t number = number_of(frame, least) - step;
    char *text = step > 0 && number >= least ? number_text(number) : NULL;

    if (text == NULL) {
        return false;
    }
    free(frame->text);
    frame->text = text;
    return true;
}

/* What a pointer names, as text; NULL: nothing, or nothing that could be sent. */
static char *text_of(const struct engine *engine, const struct pointer *from,
                     const struct json_node *of)
{
    struct environment environment;
    const struct json_node *node = NULL;
    const char *text = NULL;

    engine_environment(engine, &environment);
    environment.record = of;
    node = pointer_first(from, &environment);
    text = scalar_text(node, NULL);
    if (text == NULL || text[0] == '\0' || json_kind_of(node) == JSON_FALSE) {
        return NULL;
    }
    return strdup(text);
}

static char *find_text(const struct engine *engine, const struct frame *frame)
{
    const struct page *page = frame->page;

    switch (page->kind) {
    case PAGE_NONE:
        return NULL;
    case PAGE_TOKEN:
        return text_of(engine, &page->from, frame->root);
    case PAGE_LINK:
        if (page->rel != NULL) {
            return frame->link == NULL || frame->nodes.count == 0 ? NULL : strdup(frame->link);
        }
        return text_of(engine, &page->from, frame->root);
    case PAGE_LAST:
        return frame->first_count == 0
                   ? NULL
                   : text_of(engine, &page->from, frame->nodes.items[frame->first_count - 1]);
    case PAGE_NUMBER:
        if (frame->first_count == 0 ||
            (page->size > 0 && (int64_t)frame->first_count < page->size)) {
            return NULL;
        }
        return number_text(number_of(frame, page->first) + 1);
    case PAGE_OFFSET:
        if (frame->first_count == 0 ||
            (page->size > 0 && (int64_t)frame->first_count < page->size)) {
            return NULL;
        }
        return number_text(number_of(frame, 0) +
                           (page->size > 0 ? page->size : (int64_t)frame->first_count));
    }
    return NULL;
}

/* Did a page with these records name the same next one before? Remembers it. What names it may be
 * the same for every page: some servers keep in mind themselves where we are. */
static bool came_before(struct frame *frame, const char *text)
{
    const uint64_t hash = hash64_of(text, strlen(text), frame->hash);

    for (size_t i = 0; i < frame->ring_count && i < ENGINE_RING; i++) {
        if (frame->ring[i] == hash) {
            return true;
        }
    }
    frame->ring[frame->ring_count++ % ENGINE_RING] = hash;
    return false;
}

/* Are these the records of the page before? */
static bool is_repeated(struct frame *frame)
{
    uint64_t hash = 0;
    const uint64_t before = frame->hash;

    for (size_t i = 0; i < frame->nodes.count; i++) {
        size_t length = 0;
        const char *raw = json_raw(frame->nodes.items[i], &length);

        hash = hash64_of(raw, length, hash);
    }
    const uint64_t ids_before = frame->ids_before;

    frame->hash = hash;
    frame->ids_before = frame->ids_hash;
    return frame->nodes.count > 0 &&
           (hash == before || (frame->ids_hash != 0 && frame->ids_hash == ids_before));
}

/* Lists end with a page that is less full; an empty one right behind full ones, or with nothing
 * before it in this poll, may be none. */
static void look_at(struct frame *frame)
{
    const size_t count = frame->nodes.count;

    frame->blank = count == 0 && (frame->full > 0 || (frame->fullest == 0 && frame->goes_on));
    frame->full = count == 0 || count < frame->fullest ? 0
                  : count > frame->fullest             ? 1
                                                       : frame->full + 1;
    frame->fullest = count > frame->fullest ? count : frame->fullest;
}

int next_page(struct engine *engine, struct frame *frame, const char *url, char **text,
              struct ear_error *err)
{
    const struct page *page = frame->page;
    struct environment environment;
    char *found = NULL;

    *text = NULL;
    frame->empty = frame->nodes.count == 0 ? frame->empty + 1 : 0;
    look_at(frame);
    if (frame->unfit) {
        return 0;
    }
    if (is_repeated(frame)) {
        frame->odd = frame->repeated = true;
        return 0;
    }
    if (frame->empty > ENGINE_EMPTY_MAX) {
        return 0;
    }
    if (frame->child == NULL && engine->at->list->cursor.by_link && !engine->walk->down) {
        found = frame->nodes.count == 0 || engine->walk->link == NULL ? NULL
                                                                      : strdup(engine->walk->link);
        *text = found != NULL && !came_before(frame, found) ? found : NULL;
        if (*text == NULL) {
            free(found);
        }
        return 0;
    }
    engine_environment(engine, &environment);
    environment.record = frame->root;
    if (page->last.count > 0 && conditions_any(&page->last, &environment)) {
        return 0;
    }
    found = find_text(engine, frame);
    if (found == NULL) {
        return 0;
    }
    if (page->kind == PAGE_LINK) {
        char *link = ask_link(engine, url, found, err);

        free(found);
        found = link;
        if (found == NULL) {
            return -1;
        }
    }
    if (strlen(found) > KEPT_TEXT_MAX || came_before(frame, found)) {
        free(found);
        return 0;
    }
    *text = found;
    return 0;
}
