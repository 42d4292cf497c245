/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a definition fits what the server says. A place that is named wrongly fails nothing: its
 * records, texts or pages are simply not there, as they may well not be. So what every answer of a
 * poll to one place lacked is counted, and told at the poll's end, once there were enough of them;
 * one answer that fits takes it back. What fitted once is remembered with what has changed
 * (kept_note), so that a quiet day of a good place is not taken for a bad one.
 */
#include "collectors/definition/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIT_ENOUGH = 3,        /* answers, or records, that tell something */
    FIT_ENOUGH_KNOWN = 10, /* of a place that fitted before; texts of records that have a title */
    FIT_KEYS = 8,          /* that are named */
};

#define YEAR_2000_US INT64_C(946684800000000)

/* --- places --- */

/* "children/1", "comments/children/2", "comments", "records". */
static void name_place(const struct engine *engine, char out[FIT_WHERE_SIZE])
{
    const char *list = engine->at->list->name;
    size_t length = 0;

    out[0] = '\0';
    if (list[0] != '\0') {
        length = (size_t)snprintf(out, FIT_WHERE_SIZE, "%.30s", list);
    }
    for (size_t i = 1; i < engine->depth && length < FIT_WHERE_SIZE - 16; i++) {
        length += (size_t)snprintf(
            out + length, FIT_WHERE_SIZE - length, "%schildren/%d", length == 0 ? "" : "/",
            (int)(engine->frames[i].child - engine->frames[i - 1].children) + 1);
    }
}

/* Of the frame on top; NULL: out of memory, or too many of them. */
static struct fit *fit_of(struct engine *engine)
{
    const struct frame *frame = frame_top(engine);
    const void *of = frame->child != NULL ? (const void *)frame->child : engine->at->list;
    struct fit *fits = NULL;

    for (size_t i = 0; i < engine->fit_count; i++) {
        if (engine->fits[i].of == of) {
            return &engine->fits[i];
        }
    }
    fits = engine->fit_count == FIT_MAX
               ? NULL
               : realloc(engine->fits, (engine->fit_count + 1) * sizeof(*fits));
    if (fits == NULL) {
        return NULL;
    }
    engine->fits = fits;
    fits[engine->fit_count] =
        (struct fit){.of = of, .map = frame->map, .is_child = frame->child != NULL};
    name_place(engine, fits[engine->fit_count].where);
    return &fits[engine->fit_count++];
}

static uint64_t known_id(const char *where, const char *what)
{
    return hash64_of(what, strlen(what), hash64_of(where, strlen(where), 17)) >> 16;
}

static bool was_known(struct engine *engine, const struct fit *fit, const char *what)
{
    return !kept_differs(&engine->kept, known_id(fit->where, what), 1);
}

static void note_known(struct engine *engine, const struct fit *fit, const char *what)
{
    struct ear_error ignored = {EAR_NONE, ""};

    if (kept_note(&engine->kept, known_id(fit->where, what), 1, &ignored) != 0) {
        return; /* then it is noted the next time */
    }
}

/* --- what came --- */

/* "/data, /paging"; of a list: how long it is. */
static void name_keys(const struct json_node *node, char *out, size_t size)
{
    size_t length = 0;
    size_t count = 0;

    if (json_kind_of(node) == JSON_ARRAY) {
        for (const struct json_node *each = json_first(node); each != NULL;
             each = json_next(each)) {
            count++;
        }
        (void)snprintf(out, size, "a list of %zu: /*", count);
        return;
    }
    (void)snprintf(out, size, "%s", json_kind_of(node) == JSON_OBJECT ? "nothing" : "no object");
    for (const struct json_node *each = json_kind_of(node) == JSON_OBJECT ? json_first(node) : NULL;
         each != NULL && length + 48 < size; each = json_next(each)) {
        if (count++ == FIT_KEYS) {
            (void)snprintf(out + length, size - length, " …");
            break;
        }
        length += (size_t)snprintf(out + length, size - length, "%s/%.40s", length == 0 ? "" : ", ",
                                   json_key(each));
    }
}

/* Where a pointer's way ends before its time: what is missing, and what is there instead. False:
 * all its keys are there. *first: it is the first of them. */
static bool find_lack(const struct pointer *pointer, const struct json_node *root, char *lacks,
                      size_t lacks_size, char *has, size_t has_size, bool *first)
{
    const struct json_node *node = root;
    size_t length = 0;

    lacks[0] = '\0';
    for (size_t i = 0; i < pointer->step_count; i++) {
        const struct pointer_step *step = &pointer->steps[i];
        const struct json_node *next = NULL;

        if (step->kind != STEP_KEY) {
            return false;
        }
        length += (size_t)snprintf(lacks + length, length < lacks_size ? lacks_size - length : 0,
                                   "/%.40s", step->key);
        if (length >= lacks_size) {
            return false;
        }
        if (json_kind_of(node) == JSON_ARRAY && step->index >= 0) {
            return false;
        }
        next = json_kind_of(node) == JSON_OBJECT ? json_get(node, step->key) : NULL;
        if (next == NULL) {
            name_keys(node, has, has_size);
            *first = i == 0;
            return json_kind_of(node) == JSON_ARRAY ||
                   (json_kind_of(node) == JSON_OBJECT && json_first(node) != NULL);
        }
        node = next;
    }
    return false;
}

/* --- answers --- */

void fit_refused(struct engine *engine, int status)
{
    struct fit *fit = fit_of(engine);

    if (fit != NULL) {
        fit->asked++;
        fit->refused++;
        fit->status = status;
    }
}

bool fit_works(struct engine *engine)
{
    struct fit *fit = fit_of(engine);

    return fit == NULL || fit->fine > 0 || was_known(engine, fit, "records");
}

void fit_page(struct engine *engine)
{
    struct frame *frame = frame_top(engine);
    struct fit *fit = fit_of(engine);
    const struct kept_list *at = engine->at;
    const bool asks_from =
        frame->child == NULL &&
        ((at->list->cursor.into != NULL && engine->cursor != NULL) || at->link != NULL);
    bool first = false;
    bool lacks = frame->odd && frame->record_count > 0;

    if (fit == NULL) {
        return;
    }
    fit->asked++;
    if (lacks) {
        lacks = find_lack(&frame->records[0], frame->root, fit->lacks, sizeof(fit->lacks), fit->has,
                          sizeof(fit->has), &first);
    }
    /* deeper down, a list that holds nothing is often left out */
    lacks = lacks && (frame->child != NULL || (first && !asks_from));
    frame->unfit = lacks;
    if (!lacks) {
        fit->fine += frame->odd ? 0 : 1;
    } else {
        fit->lacking++;
    }
}

/* --- records --- */

static bool names_something(const struct value *value, const struct environment *environment,
                            char *found, size_t size)
{
    for (; value != NULL; value = value->otherwise) {
        if (value->from_count == 0) {
            return true; /* a template, or a look elsewhere: nobody knows */
        }
        for (size_t i = 0; i < value->from_count; i++) {
            const struct json_node *node = pointer_first(&value->from[i], environment);
            size_t length = 0;
            const char *text = scalar_text(node, &length);

            if (node != NULL) {
                (void)snprintf(found, size, "%.*s", length < size ? (int)length : (int)size - 1,
                               text == NULL ? "" : text);
                return true;
            }
        }
    }
    return false;
}

void fit_record(struct engine *engine, const struct environment *environment,
                const struct source_record *record)
{
    struct fit *fit = engine->depth == 0 ? NULL : fit_of(engine);
    const struct map *map = fit == NULL ? NULL : fit->map;
    char found[sizeof(fit->time)] = "";

    if (fit == NULL || record->deleted) {
        return;
    }
    fit->records++;
    fit->titled += record->title != NULL && record->title[0] != '\0' ? 1 : 0;
    if (fit->keys[0] == '\0') {
        name_keys(environment->record, fit->keys, sizeof(fit->keys));
    }
    if (map->fields[FIELD_TEXT] != NULL &&
        names_something(map->fields[FIELD_TEXT], environment, found, sizeof(found))) {
        fit->texts++;
    }
    if (record->created_us != INT64_MIN && record->created_us >= YEAR_2000_US) {
        fit->timed++;
    } else if (map->fields[FIELD_CREATED_AT] != NULL && fit->time[0] == '\0') {
        found[0] = '\0';
        (void)names_something(map->fields[FIELD_CREATED_AT], environment, found, sizeof(found));
        memcpy(fit->time, found, sizeof(fit->time));
    }
    /* what a page holds, whatever else of its records changes from one answer to the next */
    frame_top(engine)->ids_hash =
        hash64_of(record->native_id, strlen(record->native_id), frame_top(engine)->ids_hash);
}

/* --- pages --- */

/* As many as one asks for, or a round number: more may follow. */
static bool looks_full(const struct frame *frame)
{
    const size_t count = frame->first_count;

    return count >= 10 &&
           ((int64_t)count == frame->page->size || count % 10 == 0 || count % 25 == 0);
}

void fit_next(struct engine *engine, bool found)
{
    struct frame *frame = frame_top(engine);
    struct fit *fit = fit_of(engine);
    const enum page_kind kind = frame->page->kind;
    bool first = false;

    if (fit == NULL || kind == PAGE_NONE) {
        return;
    }
    if (engine->output->came != NULL && frame->child == NULL) {
        char what[160];

        (void)snprintf(what, sizeof(what), "page %" PRId64 ": %zu %s%s", frame->pages + 1,
                       frame->nodes.count, frame->nodes.count == 1 ? "record" : "records",
                       frame->repeated ? ", the same as the page before" : "");
        engine->output->came(engine->output->user, what);
    }
    if (frame->repeated) {
        (void)snprintf(fit->paging, sizeof(fit->paging),
                       "page %" PRId64
                       " brings the same %zu records as the page before it: the server does "
                       "not heed `%.60s`; see how it wants to be asked for further pages (`page`)",
                       frame->pages + 1, frame->nodes.count,
                       frame->page->into == NULL ? "{page}" : frame->page->into);
        fit->guessed = false;
    } else if (frame->pages > 0 && frame->nodes.count > 0) {
        fit->moved += frame->follows ? 1 : 0;
    }
    frame->follows = frame->nodes.count > 0;
    fit->paged += found ? 1 : 0;
    if (found || frame->repeated || frame->pages > 0 || frame->goes_on || !looks_full(frame) ||
        frame->page->last.count > 0) {
        return;
    }
    if (kind == PAGE_LINK && frame->page->rel != NULL) {
        (void)snprintf(
            fit->paging, sizeof(fit->paging),
            "%zu records came, and no header Link with rel=\"%.40s\": if there are more, "
            "what leads to them is elsewhere (`page`)",
            frame->first_count, frame->page->rel);
        fit->guessed = true;
    } else if ((kind == PAGE_TOKEN || kind == PAGE_LINK) && !frame->page->from.of_first &&
               find_lack(&frame->page->from, frame->root, fit->page_lacks, sizeof(fit->page_lacks),
                         fit->page_has, sizeof(fit->page_has), &first)) {
        (void)snprintf(
            fit->paging, sizeof(fit->paging),
            "%zu records came, and the answer has no %.90s; it has %.120s: if there are more, "
            "what leads to them is elsewhere (`page`)",
            frame->first_count, fit->page_lacks, fit->page_has);
        fit->guessed = true;
    }
}

static bool is_unpaged(struct engine *engine, const struct fit *fit)
{
    if (fit->paging[0] == '\0') {
        return false;
    }
    return fit->guessed ? fit->paged == 0 && !was_known(engine, fit, "next")
                        : fit->moved == 0 && !was_known(engine, fit, "moved");
}

bool fit_is_unpaged(struct engine *engine)
{
    const struct fit *fit = fit_of(engine);

    return fit != NULL && is_unpaged(engine, fit);
}

/* --- telling --- */

static int64_t enough(struct engine *engine, const struct fit *fit, const char *what)
{
    return engine->poll->probe ? 1 : was_known(engine, fit, what) ? FIT_ENOUGH_KNOWN : FIT_ENOUGH;
}

/* `text` "": it fits. */
static int tell(struct engine *engine, const struct fit *fit, const char *what, const char *text,
                struct ear_error *err)
{
    const struct source_output *output = engine->output;
    char where[FIT_WHERE_SIZE + 16];
    char said[440];

    if (output->misfit == NULL) {
        return 0;
    }
    (void)snprintf(where, sizeof(where), "%s%s%s", fit->where, fit->where[0] == '\0' ? "" : "/",
                   what);
    if (text[0] == '\0') {
        return engine->poll->probe ? 0 : output->misfit(output->user, where, NULL, err);
    }
    (void)snprintf(said, sizeof(said), "%s: %s", where, text);
    return output->misfit(output->user, where, said, err);
}

static int tell_answers(struct engine *engine, const struct fit *fit, struct ear_error *err)
{
    char text[400];
    const int64_t least = fit->is_child ? enough(engine, fit, "records") : 1;

    if (fit->fine > 0) {
        note_known(engine, fit, "records");
        return tell(engine, fit, "records", "", err) != 0 ||
                       tell(engine, fit, "request", "", err) != 0
                   ? -1
                   : 0;
    }
    if (fit->refused == fit->asked && fit->refused >= least) {
        (void)snprintf(text, sizeof(text),
                       "%" PRId64 " of %" PRId64
                       " requests were answered %d; is the address right?",
                       fit->refused, fit->asked, fit->status);
        return tell(engine, fit, "request", text, err);
    }
    if (fit->lacking > 0 && fit->lacking + fit->refused == fit->asked && fit->lacking >= least) {
        (void)snprintf(text, sizeof(text), "%s finds nothing; the answer has %s", fit->lacks,
                       fit->has);
        return tell(engine, fit, "records", text, err);
    }
    return 0;
}

static const char *from_of(const struct value *value)
{
    return value != NULL && value->from_count > 0 ? value->from[0].text : "it";
}

static const char *name_of_as(enum value_as as)
{
    static const char *const names[] = {
        [AS_UNIX] = "unix", [AS_UNIX_MS] = "unix_ms", [AS_TIME] = "time"};

    return as == AS_UNIX || as == AS_UNIX_MS || as == AS_TIME ? names[as] : "text";
}

static int tell_records(struct engine *engine, const struct fit *fit, struct ear_error *err)
{
    const struct value *text = fit->map->fields[FIELD_TEXT];
    const struct value *created = fit->map->fields[FIELD_CREATED_AT];
    int64_t least = enough(engine, fit, "text");
    char said[400];

    if (fit->records == 0) {
        return 0;
    }
    least = fit->titled == fit->records && !engine->poll->probe ? FIT_ENOUGH_KNOWN : least;
    if (fit->texts > 0) {
        note_known(engine, fit, "text");
    }
    if (text != NULL && (fit->texts > 0 || fit->records >= least)) {
        (void)snprintf(said, sizeof(said), "no record had a text at %s; the records have %s",
                       from_of(text), fit->keys);
        if (tell(engine, fit, "map/text", fit->texts > 0 ? "" : said, err) != 0) {
            return -1;
        }
    }
    if (created == NULL ||
        (fit->timed == 0 && fit->records < (engine->poll->probe ? 1 : FIT_ENOUGH))) {
        return 0;
    }
    if (fit->time[0] != '\0') {
        (void)snprintf(said, sizeof(said),
                       "no record's time could be read: %s is '%s', read as: %s", from_of(created),
                       fit->time, name_of_as(created->as));
    } else {
        (void)snprintf(said, sizeof(said), "no record had a time at %s; the records have %s",
                       from_of(created), fit->keys);
    }
    return tell(engine, fit, "map/created_at", fit->timed > 0 ? "" : said, err);
}

static int tell_pages(struct engine *engine, const struct fit *fit, struct ear_error *err)
{
    if (fit->paged > 0) {
        note_known(engine, fit, "next");
    }
    if (fit->moved > 0) {
        note_known(engine, fit, "moved");
        return tell(engine, fit, "page", "", err);
    }
    return is_unpaged(engine, fit) ? tell(engine, fit, "page", fit->paging, err) : 0;
}

int fit_tell(struct engine *engine, struct ear_error *err)
{
    for (size_t i = 0; i < engine->fit_count; i++) {
        const struct fit *fit = &engine->fits[i];

        if (tell_answers(engine, fit, err) != 0 || tell_records(engine, fit, err) != 0 ||
            tell_pages(engine, fit, err) != 0) {
            return -1;
        }
    }
    return 0;
}
