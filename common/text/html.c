/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML to plain text: tags come one by one, words are put down with what lies between them. White
 * space is not written but owed: a blank, a line end or an empty line is put down only when words
 * follow, so nothing piles up. A hidden element is passed over up to its own end tag.
 */
#include "common/text/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/markup/markup.h"

enum { QUOTES_MAX = 8, NAME_SIZE = 32 };

struct plain {
    char *out;
    size_t length, capacity;
    int owed_ends; /* 0, 1 or 2 line ends before the next words */
    bool owed_blank;
    int quotes;             /* blockquotes that are open */
    int written_quotes;     /* of the line that stands */
    int preserved;          /* <pre> that are open */
    bool item;              /* a list item begins with the next words */
    char hidden[NAME_SIZE]; /* the element that is passed over, or "" */
    size_t hidden_depth;    /* of elements of that name */
};

struct element {
    const char *name;
    int ends; /* line ends before and after */
};

/* Sorted by name. What is not here stands within a line. */
static const struct element blocks[] = {
    {"address", 1}, {"article", 2}, {"aside", 2}, {"blockquote", 2}, {"body", 1},
    {"br", 0},      {"center", 1},  {"dd", 1},    {"details", 1},    {"dialog", 1},
    {"div", 1},     {"dl", 2},      {"dt", 1},    {"fieldset", 1},   {"figcaption", 1},
    {"figure", 2},  {"footer", 1},  {"form", 1},  {"h1", 2},         {"h2", 2},
    {"h3", 2},      {"h4", 2},      {"h5", 2},    {"h6", 2},         {"header", 1},
    {"hr", 2},      {"li", 1},      {"main", 1},  {"nav", 1},        {"ol", 2},
    {"option", 1},  {"p", 2},       {"pre", 2},   {"section", 2},    {"summary", 1},
    {"table", 2},   {"tr", 1},      {"ul", 2},
};

static const char *const left_out[] = {
    "script", "style",  "head",  "title", "template", "noscript", "iframe",   "noembed",
    "svg",    "object", "audio", "video", "canvas",   "select",   "noframes", NULL,
};

static bool put(struct plain *plain, const char *bytes, size_t size)
{
    if (plain->length + size + 1 > plain->capacity) {
        size_t capacity = (plain->length + size + 1) * 2;
        char *out = realloc(plain->out, capacity);

        if (out == NULL) {
            return false;
        }
        plain->out = out;
        plain->capacity = capacity;
    }
    memcpy(plain->out + plain->length, bytes, size);
    plain->length += size;
    return true;
}

static void owe(struct plain *plain, int ends)
{
    plain->owed_ends = ends > plain->owed_ends ? ends : plain->owed_ends;
}

static bool put_quotes(struct plain *plain)
{
    static const char signs[] = "> > > > > > > > ";
    int quotes = plain->quotes < QUOTES_MAX ? plain->quotes : QUOTES_MAX;

    plain->written_quotes = plain->quotes;
    return put(plain, signs, (size_t)quotes * 2);
}

/* Puts down what is owed before words. */
static bool settle(struct plain *plain)
{
    bool fresh = plain->length == 0;

    if (plain->quotes != plain->written_quotes && !fresh) {
        owe(plain, 1);
    }
    if (fresh) {
        plain->owed_ends = 0;
    }
    for (int i = 0; i < plain->owed_ends; i++) {
        /* The empty line between two quoted paragraphs is quoted; one at their edge is not. */
        if ((i > 0 && plain->quotes == plain->written_quotes && !put_quotes(plain)) ||
            !put(plain, "\n", 1)) {
            return false;
        }
    }
    if ((fresh || plain->owed_ends > 0) && !put_quotes(plain)) {
        return false;
    }
    if (plain->item) {
        if (!put(plain, "- ", 2)) {
            return false;
        }
    } else if (plain->owed_blank && plain->owed_ends == 0 && !fresh && !put(plain, " ", 1)) {
        return false;
    }
    plain->owed_ends = 0;
    plain->owed_blank = false;
    plain->item = false;
    return true;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static bool put_preserved(struct plain *plain, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            if (plain->length > 0) {
                plain->owed_ends = plain->owed_ends < 2 ? plain->owed_ends + 1 : 2;
            }
        } else if (text[i] != '\r' && (!settle(plain) || !put(plain, text + i, 1))) {
            return false;
        }
    }
    return true;
}

static bool put_words(struct plain *plain, const char *text, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t start = at;

        while (at < length && !is_blank(text[at])) {
            at++;
        }
        if (at > start && (!settle(plain) || !put(plain, text + start, at - start))) {
            return false;
        }
        if (at < length) {
            plain->owed_blank = true;
            at++;
        }
    }
    return true;
}

static int on_text(void *user, const char *text, size_t length, struct ear_error *err)
{
    struct plain *plain = user;

    if (plain->hidden[0] != '\0') {
        return 0;
    }
    if (!(plain->preserved > 0 ? put_preserved : put_words)(plain, text, length)) {
        return ear_fail_memory(err, "a text");
    }
    return 0;
}

static const char *attribute(const struct markup_attribute attributes[], size_t count,
                             const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(attributes[i].name, name) == 0) {
            return attributes[i].value;
        }
    }
    return NULL;
}

static bool among(const char *const names[], const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_hidden(const char *name, const struct markup_attribute attributes[], size_t count)
{
    const char *style = attribute(attributes, count, "style");
    const char *display = style != NULL ? strcasestr(style, "display") : NULL;

    if (among(left_out, name) || attribute(attributes, count, "hidden") != NULL) {
        return true;
    }
    if (display != NULL) {
        display += strlen("display");
        display += strspn(display, " \t\r\n");
        display += *display == ':' ? 1 : 0;
        display += strspn(display, " \t\r\n");
        return strncasecmp(display, "none", 4) == 0;
    }
    return false;
}

static int by_name(const void *key, const void *row)
{
    return strcmp(key, ((const struct element *)row)->name);
}

static void owe_for(struct plain *plain, const char *name)
{
    const struct element *block =
        bsearch(name, blocks, sizeof blocks / sizeof blocks[0], sizeof blocks[0], by_name);

    if (block != NULL) {
        owe(plain, block->ends);
    } else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0) {
        plain->owed_blank = true;
    }
}

/* A smiley that is a picture says what it is in its alt. */
static int put_image(struct plain *plain, const struct markup_attribute attributes[], size_t count,
                     struct ear_error *err)
{
    const char *class = attribute(attributes, count, "class");
    const char *alt = attribute(attributes, count, "alt");

    if (class != NULL && alt != NULL &&
        (strstr(class, "emoji") != NULL || strstr(class, "smiley") != NULL)) {
        return on_text(plain, alt, strlen(alt), err);
    }
    return 0;
}

/* True where an open tag inside a hidden element ends it: <p hidden>…<p>. */
static bool ends_hidden(const struct plain *plain, const char *name)
{
    return (strcmp(plain->hidden, "p") == 0 || strcmp(plain->hidden, "li") == 0)
               ? strcmp(plain->hidden, name) == 0
               : strcmp(plain->hidden, "head") == 0 && strcmp(name, "body") == 0;
}

static int on_open(void *user, const char *space, const char *name,
                   const struct markup_attribute attributes[], size_t count, struct ear_error *err)
{
    struct plain *plain = user;

    (void)space;
    if (plain->hidden[0] != '\0') {
        if (!ends_hidden(plain, name)) {
            plain->hidden_depth += strcmp(name, plain->hidden) == 0;
            return 0;
        }
        plain->hidden[0] = '\0';
    }
    owe_for(plain, name);
    if (is_hidden(name, attributes, count)) {
        size_t length = strlen(name);

        if (length < NAME_SIZE) {
            memcpy(plain->hidden, name, length + 1);
            plain->hidden_depth = 1;
        }
        return 0;
    }
    if (strcmp(name, "br") == 0) {
        plain->owed_ends = plain->owed_ends < 2 ? plain->owed_ends + 1 : 2;
    } else if (strcmp(name, "li") == 0) {
        plain->item = true;
    } else if (strcmp(name, "blockquote") == 0) {
        plain->quotes++;
    } else if (strcmp(name, "pre") == 0) {
        plain->preserved++;
    } else if (strcmp(name, "img") == 0) {
        return put_image(plain, attributes, count, err);
    }
    return 0;
}

static int on_close(void *user, const char *space, const char *name, struct ear_error *err)
{
    struct plain *plain = user;

    (void)space;
    (void)err;
    if (plain->hidden[0] != '\0') {
        if (strcmp(name, plain->hidden) == 0 && --plain->hidden_depth == 0) {
            plain->hidden[0] = '\0';
        }
        return 0;
    }
    owe_for(plain, name);
    if (strcmp(name, "blockquote") == 0 && plain->quotes > 0) {
        plain->quotes--;
    } else if (strcmp(name, "pre") == 0 && plain->preserved > 0) {
        plain->preserved--;
    } else if (strcmp(name, "li") == 0) {
        plain->item = false;
    }
    return 0;
}

char *text_from_html(const char *html, size_t length, size_t *out_length)
{
    static const struct markup_handler handler = {
        .open = on_open, .close = on_close, .text = on_text};
    struct plain plain = {.capacity = length + 64};
    struct ear_error err = {0};

    plain.out = malloc(plain.capacity);
    if (plain.out == NULL || markup_read_html(html, length, &handler, &plain, &err) != 0) {
        free(plain.out);
        return NULL;
    }
    plain.out[plain.length] = '\0';
    if (out_length != NULL) {
        *out_length = plain.length;
    }
    return plain.out;
}
