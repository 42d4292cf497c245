/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: read once into pieces, filled as often as asked for. What a place is filled with is
 * encoded by where the text goes, so that no value of a stranger's ever adds structure: in a URL
 * only a place that is written {+…}, or that the URL begins with, may hold a slash.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/clock.h"
#include "common/config/config.h"
#include "common/instant.h"

enum { PIECES_MAX = 64, FILTERS_MAX = 4, VALUE_MAX = 64 * 1024, TEXT_MAX = 512 * 1024 };

enum place {
    PLACE_NONE, /* literal text */
    PLACE_PARAM,
    PLACE_POINTER,
    PLACE_CURSOR,
    PLACE_SINCE,
    PLACE_NOW,
    PLACE_PAGE,
    PLACE_IDS,
    PLACE_TOKEN,
    PLACE_ID,
    PLACE_URL,
    PLACE_THREAD,
    PLACE_KEY,
};

enum filter {
    FILTER_NONE,
    FILTER_TAIL,
    FILTER_HEAD,
    FILTER_HOST,
    FILTER_LOWER,
    FILTER_UNIX,
    FILTER_UNIX_MS,
    FILTER_RFC3339,
    FILTER_DATE,
};

static const char *const place_names[] = {"cursor", "since", "now",    "page", "ids", "token",
                                          "id",     "url",   "thread", "key",  NULL};
static const char *const filter_names[] = {"tail",    "head",    "host", "lower", "unix",
                                           "unix_ms", "rfc3339", "date", NULL};

struct piece {
    enum place place;
    const char *text; /* literal */
    size_t length;
    size_t param;
    struct pointer pointer;
    bool keep; /* {+…} */
    enum filter filters[FILTERS_MAX];
};

struct template
{
    const char *text;           /* as written */
    const struct piece *pieces; /* [count] */
    size_t count;
};

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
    const char *known[64];
    char nearest[128];
    size_t count = 0;

    for (size_t i = 0; i < definition->param_count && count < 50; i++) {
        known[count++] = definition->params[i].name;
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

static bool begins_place(const char *text)
{
    return text[0] == '{' && (isalpha((unsigned char)text[1]) || text[1] == '/' || text[1] == '+');
}

static bool begins_brace(const char *text)
{
    return (text[0] == '{' && text[1] == '{') || (text[0] == '}' && text[1] == '}');
}

/* One piece from `at`; returns what follows it, NULL: err. */
static const char *read_piece(struct reading *reading, const char *at, struct ear_error *err)
{
    const char *end = at;

    if (begins_brace(at)) {
        reading->pieces[reading->count++] = (struct piece){.text = at, .length = 1};
        return at + 2;
    }
    if (begins_place(at)) {
        end = strchr(at, '}');
        if (end == NULL) {
            config_report(reading->config, CONFIG_ERROR, reading->node,
                          "'%.50s' is never closed; write {name}, or {{ for a brace", at);
            reading->wrong = true;
            return at + strlen(at);
        }
        return read_place(reading, at + 1, (size_t)(end - at) - 1, err) == 0 ? end + 1 : NULL;
    }
    for (end = at + 1; *end != '\0' && !begins_place(end) && !begins_brace(end); end++) {
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

/* --- what a place is filled with --- */

/* A text, or an instant that no filter has written yet. */
struct filling {
    const char *text; /* NULL: absent */
    size_t length;
    bool is_instant;
    int64_t at_us;
    char written[64];
    char *owned;
};

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

static bool apply_filters(struct filling *filling, const struct piece *piece)
{
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

/* --- encoding --- */

struct text {
    char *bytes;
    size_t length, room;
};

static int put(struct text *text, const char *bytes, size_t length, struct ear_error *err)
{
    if (length > TEXT_MAX - text->length) {
        return ear_fail(err, EAR_REJECT,
                        "schema: what a request is made of is longer than 512 KiB");
    }
    if (text->length + length + 1 > text->room) {
        const size_t room = (text->length + length + 1) * 2;
        char *grown = realloc(text->bytes, room);

        if (grown == NULL) {
            return ear_fail_memory(err, "a request");
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
    return 0;
}

static bool is_encoded(const char *at, size_t rest)
{
    return rest >= 3 && at[0] == '%' && isxdigit((unsigned char)at[1]) &&
           isxdigit((unsigned char)at[2]);
}

/* Percent-encodes all but the unreserved characters (RFC 3986, 2.3), those of `kept`, and, where
 * `kept` holds %, what is encoded already. */
static int put_encoded(struct text *text, const char *bytes, size_t length, const char *kept,
                       struct ear_error *err)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)bytes[i];
        const char code[3] = {'%', digits[c >> 4], digits[c & 15]};
        const bool plain = c == '%' ? strchr(kept, '%') != NULL && is_encoded(bytes + i, length - i)
                                    : isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL) ||
                                          (c != '\0' && strchr(kept, c) != NULL);

        if (put(text, plain ? bytes + i : code, plain ? 1 : 3, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Without control characters: no header ends early. */
static int put_header(struct text *text, const char *bytes, size_t length, struct ear_error *err)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)bytes[i] >= 0x20 && bytes[i] != 0x7f &&
            put(text, bytes + i, 1, err) != 0) {
            return -1;
        }
    }
    return 0;
}

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
            return put_encoded(text, bytes, length, "%:/?#[]@!$&'()*+,;=", err);
        }
        if (index == 0 && is_address(bytes, length)) {
            const struct piece *next = index + 1 < template->count ? piece + 1 : NULL;

            while (next != NULL && next->place == PLACE_NONE && next->text[0] == '/' &&
                   bytes[length - 1] == '/') {
                length--;
            }
            keep = true;
        }
        return put_encoded(text, bytes, length, keep ? "%:/?#&=,;@[]!$'()*+" : "", err);
    case TEMPLATE_QUERY:
        return put_encoded(text, bytes, length,
                           literal ? ":/?,;@!$'()*"
                           : keep  ? "%:/?,;@"
                                   : "",
                           err);
    case TEMPLATE_BODY_FORM:
        return put_encoded(text, bytes, length, "", err);
    case TEMPLATE_HEADER:
        return put_header(text, bytes, length, err);
    default:
        return put(text, bytes, length, err);
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
        fill(&filling, piece, environment);
        if (!apply_filters(&filling, piece)) {
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
    if (put(&text, "", 0, err) != 0) {
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

bool template_has_page(const struct template *template)
{
    for (size_t i = 0; template != NULL && i < template->count; i++) {
        if (template->pieces[i].place == PLACE_PAGE) {
            return true;
        }
    }
    return false;
}

char *template_encode_name(const char *name)
{
    struct text text = {0};
    struct ear_error err = {EAR_NONE, ""};

    if (put_encoded(&text, name, strlen(name), "[]", &err) != 0) {
        free(text.bytes);
        return NULL;
    }
    return text.bytes;
}

bool template_host(const char *url, size_t length, char *out, size_t size)
{
    const char *from = memmem(url, length, "://", 3);
    const char *end = url + length;
    size_t count = 0;

    if (from == NULL) {
        return false;
    }
    from += 3;
    for (const char *at = from; at < end; at++) {
        if (strchr("/?#", *at) != NULL) {
            end = at;
        }
    }
    for (const char *at = from; at < end; at++) {
        from = *at == '@' ? at + 1 : from;
    }
    count = (size_t)(end - from);
    if (count > 3 && strncasecmp(url, "http:", 5) == 0 && strncmp(end - 3, ":80", 3) == 0) {
        count -= 3;
    } else if (count > 4 && strncasecmp(url, "https:", 6) == 0 &&
               strncmp(end - 4, ":443", 4) == 0) {
        count -= 4;
    }
    if (count == 0 || count >= size) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (char)tolower((unsigned char)from[i]);
    }
    out[count] = '\0';
    return true;
}
