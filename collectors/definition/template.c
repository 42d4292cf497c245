/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: read once into pieces, filled as often as asked for. What a place is filled with is
 * encoded by where the text goes, so that no value of a stranger's ever adds structure: in a URL
 * only a place that is written {+…}, or that the URL begins with, may hold a slash.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "collectors/definition/template_internal.h"
#include "common/config/config.h"

/* From PLACE_CURSOR on, and from FILTER_TAIL on. */
static const char *const place_names[] = {"cursor", "since", "now",    "page", "ids", "token",
                                          "id",     "url",   "thread", "key",  NULL};
static const char *const filter_names[] = {"tail",    "head",    "host", "lower", "unix",
                                           "unix_ms", "rfc3339", "date", NULL};

/* --- reading --- */

struct reading {
    struct definition *definition;
    struct config *config;
    const struct config_node *node;
    struct piece *pieces;
    size_t count;
    bool wrong;
};

static size_t index_among(const char *word, const char *const words[])
{
    size_t i = 0;

    while (words[i] != NULL && strcmp(words[i], word) != 0) {
        i++;
    }
    return i;
}

/* Names that a place may have, for "did you mean". */
static void report_unknown(struct reading *reading, const char *name)
{
    const struct definition *definition = reading->definition;
    const char *known[120];
    char nearest[128];
    size_t count = 0;

    for (size_t i = 0; i < definition->param_count && count < 50; i++) {
        known[count++] = definition->params[i].name;
    }
    for (size_t i = 0; i < definition->text_count && count < 100; i++) {
        known[count++] = definition->texts[i].name;
    }
    for (size_t i = 0; place_names[i] != NULL; i++) {
        known[count++] = place_names[i];
    }
    known[count] = NULL;
    config_suggest(nearest, sizeof(nearest), name, known);
    config_report(reading->config, CONFIG_ERROR, reading->node, "{%.100s} names nothing; %s", name,
                  *nearest != '\0' ? nearest
                                   : "write a parameter, a {/pointer} or a word such as {cursor}");
    reading->wrong = true;
}

bool template_is_place(const char *name)
{
    return place_names[index_among(name, place_names)] != NULL;
}

static void read_filters(struct reading *reading, struct piece *piece, char *filters)
{
    size_t count = 0;
    char nearest[128];

    for (char *word = strsep(&filters, "|"); word != NULL; word = strsep(&filters, "|")) {
        const size_t which = index_among(word, filter_names);

        if (count == FILTERS_MAX) {
            config_report(reading->config, CONFIG_ERROR, reading->node,
                          "has more than four filters; leave some out");
            reading->wrong = true;
            return;
        }
        if (filter_names[which] == NULL) {
            config_suggest(nearest, sizeof(nearest), word, filter_names);
            config_report(reading->config, CONFIG_ERROR, reading->node, "|%.100s is no filter; %s",
                          word,
                          *nearest != '\0' ? nearest
                                           : "known are tail, head, host, lower, unix, unix_ms, "
                                             "rfc3339 and date");
            reading->wrong = true;
            return;
        }
        piece->filters[count++] = (enum filter)(which + 1);
    }
}

/* What stands between { and }. */
static int read_place(struct reading *reading, const char *inside, size_t length,
                      struct ear_error *err)
{
    struct piece *piece = &reading->pieces[reading->count++];
    char *name = definition_take(reading->definition, length + 1, err);
    char *filters = NULL;
    int param = -1;
    size_t word = 0;

    if (name == NULL) {
        return -1;
    }
    memcpy(name, inside, length);
    piece->keep = *name == '+';
    name += piece->keep ? 1 : 0;
    filters = strchr(name, '|');
    if (filters != NULL) {
        *filters++ = '\0';
        read_filters(reading, piece, filters);
    }
    if (strncmp(name, "post/", 5) == 0 && place_names[index_among(name + 5, place_names)] != NULL &&
        index_among(name + 5, place_names) + PLACE_CURSOR >= PLACE_ID) {
        piece->place = (enum place)(PLACE_CURSOR + index_among(name + 5, place_names));
        return 0;
    }
    if (strchr(name, '/') != NULL && name[0] != '/' && strncmp(name, "parent/", 7) != 0 &&
        strncmp(name, "first/", 6) != 0) {
        config_report(reading->config, CONFIG_ERROR, reading->node,
                      "{%.100s} is no place of a template; write {/id} of the record, {parent/id} "
                      "of the one that it hangs on, {first/id} of the answer to `first`, or "
                      "{post/id} in `gone` and `walk`",
                      name);
        reading->wrong = true;
        return 0;
    }
    if (strchr(name, '/') != NULL) {
        piece->place = PLACE_POINTER;
        if (pointer_read(&piece->pointer, reading->definition, reading->config, reading->node, name,
                         err) != 0) {
            return -1;
        }
        reading->wrong = reading->wrong || piece->pointer.text == NULL;
        return 0;
    }
    param = definition_param(reading->definition, name);
    word = index_among(name, place_names);
    if (param >= 0) {
        piece->place = PLACE_PARAM;
        piece->param = (size_t)param;
    } else if (place_names[word] != NULL) {
        piece->place = (enum place)(PLACE_CURSOR + word);
    } else {
        report_unknown(reading, name);
    }
    return 0;
}

bool template_begins_place(const char *text)
{
    return text[0] == '{' && (isalpha((unsigned char)text[1]) || text[1] == '/' || text[1] == '+');
}

bool template_begins_brace(const char *text)
{
    return (text[0] == '{' && text[1] == '{') || (text[0] == '}' && text[1] == '}');
}

/* One piece from `at`; returns what follows it, NULL: err. */
static const char *read_piece(struct reading *reading, const char *at, struct ear_error *err)
{
    const char *end = at;

    if (template_begins_brace(at)) {
        reading->pieces[reading->count++] = (struct piece){.text = at, .length = 1};
        return at + 2;
    }
    if (template_begins_place(at)) {
        end = strchr(at, '}');
        if (end == NULL) {
            config_report(reading->config, CONFIG_ERROR, reading->node,
                          "'%.50s' is never closed; write {name}, or {{ for a brace", at);
            reading->wrong = true;
            return at + strlen(at);
        }
        return read_place(reading, at + 1, (size_t)(end - at) - 1, err) == 0 ? end + 1 : NULL;
    }
    for (end = at + 1; *end != '\0' && !template_begins_place(end) && !template_begins_brace(end);
         end++) {
    }
    reading->pieces[reading->count++] = (struct piece){.text = at, .length = (size_t)(end - at)};
    return end;
}

/* Each brace may end a literal text and begin a piece. */
static size_t most_pieces(const char *text)
{
    size_t count = 1;

    for (; *text != '\0'; text++) {
        count += *text == '{' || *text == '}' ? 2 : 0;
    }
    return count < PIECES_MAX ? count : PIECES_MAX;
}

int template_read(const struct template **out, struct definition *definition, struct config *config,
                  const struct config_node *node, struct ear_error *err)
{
    struct reading reading = {.definition = definition, .config = config, .node = node};
    struct template *template = definition_take(definition, sizeof(*template), err);
    const char *at = config_scalar(node);

    *out = NULL;
    if (template == NULL) {
        return -1;
    }
    if (at == NULL) {
        config_report(config, CONFIG_ERROR, node, "takes a single text, such as \"{base}/posts\"");
        return 0;
    }
    ear_error_clear(err);
    at = template_replace_texts(definition, at, err);
    if (at == NULL && err->kind == EAR_NONE) {
        config_report(config, CONFIG_ERROR, node,
                      "its texts hold each other, or come to more than 16 KiB");
        return 0;
    }
    if (at == NULL) {
        return -1;
    }
    reading.pieces = definition_take(definition, most_pieces(at) * sizeof(*reading.pieces), err);
    while (reading.pieces != NULL && at != NULL && *at != '\0') {
        if (reading.count == PIECES_MAX) {
            config_report(config, CONFIG_ERROR, node, "has more than 64 pieces; write it shorter");
            return 0;
        }
        at = read_piece(&reading, at, err);
    }
    if (reading.pieces == NULL || at == NULL) {
        return -1;
    }
    template->text = config_scalar(node);
    template->pieces = reading.pieces;
    template->count = reading.count;
    *out = reading.wrong ? NULL : template;
    return 0;
}

/* --- putting together --- */

static bool is_address(const char *text, size_t length)
{
    return (length > 7 && strncasecmp(text, "http://", 7) == 0) ||
           (length > 8 && strncasecmp(text, "https://", 8) == 0);
}

/* What a piece adds to a text of that use. */
static int put_piece(struct text *text, const struct template *template, size_t index,
                     const char *bytes, size_t length, enum template_use use, struct ear_error *err)
{
    const struct piece *piece = &template->pieces[index];
    const bool literal = piece->place == PLACE_NONE;
    bool keep = piece->keep;

    switch (use) {
    case TEMPLATE_URL:
        if (literal) { /* as it is written, but what no URL may hold */
            return template_put_encoded(text, bytes, length, "%:/?#[]@!$&'()*+,;=", err);
        }
        if (index == 0 && is_address(bytes, length)) {
            const struct piece *next = index + 1 < template->count ? piece + 1 : NULL;

            while (next != NULL && next->place == PLACE_NONE && next->text[0] == '/' &&
                   bytes[length - 1] == '/') {
                length--;
            }
            keep = true;
        }
        return template_put_encoded(text, bytes, length, keep ? "%:/?#&=,;@[]!$'()*+" : "", err);
    case TEMPLATE_QUERY:
        return template_put_encoded(text, bytes, length,
                                    literal ? ":/?,;@!$'()*"
                                    : keep  ? "%:/?,;@"
                                            : "",
                                    err);
    case TEMPLATE_BODY_FORM:
        return template_put_encoded(text, bytes, length, "", err);
    case TEMPLATE_HEADER:
        return template_put_header(text, bytes, length, err);
    default:
        return template_put(text, bytes, length, err);
    }
}

static int expand_piece(struct text *text, const struct template *template, size_t index,
                        const struct environment *environment, enum template_use use, bool *absent,
                        struct ear_error *err)
{
    const struct piece *piece = &template->pieces[index];
    struct filling filling = {.text = piece->text, .length = piece->length};
    int result = -1;

    if (piece->place != PLACE_NONE) {
        filling.length = 0;
        if (!piece_fill(&filling, piece, environment)) {
            ear_fail_memory(err, "a request");
            goto done;
        }
    }
    if (filling.text == NULL) {
        *absent = true;
    } else if (filling.length > VALUE_MAX) {
        ear_fail(err, EAR_REJECT, "schema: a value of %zu bytes is too long for a request",
                 filling.length);
    } else {
        result = put_piece(text, template, index, filling.text, filling.length, use, err);
    }

done:
    free(filling.owned);
    return result;
}

char *template_expand(const struct template *template, const struct environment *environment,
                      enum template_use use, bool *absent, struct ear_error *err)
{
    struct text text = {0};

    *absent = false;
    if (template_put(&text, "", 0, err) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < template->count; i++) {
        if (expand_piece(&text, template, i, environment, use, absent, err) != 0) {
            free(text.bytes);
            return NULL;
        }
    }
    return text.bytes;
}

const char *template_text(const struct template *template)
{
    return template == NULL ? "" : template->text;
}

int template_begins_with(const struct template *template)
{
    return template != NULL && template->count > 0 && template->pieces[0].place == PLACE_PARAM
               ? (int)template->pieces[0].param
               : -1;
}

const char *template_remembered(const struct template *template)
{
    for (size_t i = 0; template != NULL && i < template->count; i++) {
        const enum place place = template->pieces[i].place;

        if (place >= PLACE_ID && place <= PLACE_KEY) {
            return place_names[place - PLACE_CURSOR];
        }
    }
    return NULL;
}

bool template_has_page(const struct template *template)
{
    for (size_t i = 0; template != NULL && i < template->count; i++) {
        if (template->pieces[i].place == PLACE_PAGE) {
            return true;
        }
    }
    return false;
}
