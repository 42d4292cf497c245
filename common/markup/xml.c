/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML by libxml2's SAX interface, after a pass over the text that needs no more than to know where
 * tags, comments, sections and instructions begin and end:
 *
 *   in text and attributes   &name; of HTML -> its character, written as &#…; where XML minds
 *                            &amp; &lt; … &#…;  -> as they stand; a number that is no character of
 *                                                  XML -> U+FFFD
 *                            a bare &           -> &amp;
 *                            &unknown;          -> refused
 *   everywhere               a control character that XML does not allow -> blank
 *   <!DOCTYPE … [            refused
 *   a tag                    its attributes are counted by their "="
 */
#include "common/markup/markup_internal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

enum { DICTIONARY_MAX = 1024 * 1024 };

struct reading {
    const struct markup_handler *handler;
    void *user;
    struct ear_error *err;
    xmlParserCtxtPtr parser;
    bool failed; /* err is filled; the rest of the callbacks do nothing */
    struct markup_attribute attributes[MARKUP_ATTRIBUTES_MAX];
    char *values; /* of the attributes of one tag, NUL-ended one after the other */
    size_t values_size;
    const char *text; /* mended */
    size_t length, given;
};

/* --- the pass before --- */

struct mending {
    const char *text;
    size_t length, at;
    char *out;
    size_t written, size;
    struct ear_error *err;
};

static int refuse(const struct mending *mending, const char *code, const char *what)
{
    size_t line = 1;

    for (size_t i = 0; i < mending->at; i++) {
        line += mending->text[i] == '\n';
    }
    return ear_fail(mending->err, EAR_REJECT, "%s: line %zu: %s", code, line, what);
}

static int put(struct mending *mending, const char *bytes, size_t size)
{
    if (mending->written + size > mending->size) {
        size_t bigger = (mending->written + size) * 5 / 4 + 256;
        char *out = realloc(mending->out, bigger);

        if (out == NULL) {
            return ear_fail_memory(mending->err, "an XML document");
        }
        mending->out = out;
        mending->size = bigger;
    }
    memcpy(mending->out + mending->written, bytes, size);
    mending->written += size;
    return 0;
}

/* Copies `size` bytes as they stand. */
static int copy(struct mending *mending, size_t size)
{
    if (put(mending, mending->text + mending->at, size) != 0) {
        return -1;
    }
    mending->at += size;
    return 0;
}

/* Puts a blank for each control character and U+FFFD for U+FFFE and U+FFFF: XML has none of them.
 */
static void mend_characters(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') {
            text[i] = ' ';
        } else if (byte == 0xEF && i + 2 < length && (unsigned char)text[i + 1] == 0xBF &&
                   (unsigned char)text[i + 2] >= 0xBE) {
            text[i + 2] = (char)0xBD;
        }
    }
}

static bool starts(const struct mending *mending, const char *with)
{
    size_t size = strlen(with);

    return mending->length - mending->at >= size &&
           memcmp(mending->text + mending->at, with, size) == 0;
}

/* Copies up to and with `end`, or all that is left. */
static int copy_through(struct mending *mending, const char *end)
{
    const char *from = mending->text + mending->at;
    size_t left = mending->length - mending->at;
    const char *found = memmem(from, left, end, strlen(end));

    return copy(mending, found != NULL ? (size_t)(found - from) + strlen(end) : left);
}

static int copy_doctype(struct mending *mending)
{
    char quote = '\0';
    size_t size = 0;

    for (; mending->at + size < mending->length; size++) {
        char byte = mending->text[mending->at + size];

        if (quote != '\0') {
            quote = (char)(byte == quote ? '\0' : quote);
        } else if (byte == '"' || byte == '\'') {
            quote = byte;
        } else if (byte == '[') {
            return refuse(mending, "xml_dtd_refused", "a DOCTYPE with declarations of its own");
        } else if (byte == '>') {
            size++;
            break;
        }
    }
    return copy(mending, size);
}

/* Whether XML allows the character with that number. */
static bool allowed(unsigned long code)
{
    return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code < 0xD800) ||
           (code >= 0xE000 && code <= 0xFFFD) || (code >= 0x10000 && code <= 0x10FFFF);
}

/* At an "&". */
static int mend_reference(struct mending *mending)
{
    const char *name = mending->text + mending->at + 1;
    size_t left = mending->length - mending->at - 1;
    char character[UTF8_SIZE];
    size_t size = 0;

    if (left > 0 && name[0] == '#') {
        unsigned long code = entity_number(name + 1, left - 1, &size);

        if (size > 0 && size + 1 < left && name[size + 1] == ';') {
            if (allowed(code) && name[1] != 'X') {
                return copy(mending, size + 3);
            }
            mending->at += size + 3;
            return put(mending, "\xEF\xBF\xBD", 3);
        }
        mending->at++;
        return put(mending, "&amp;", 5);
    }
    while (size < left && size < 64 &&
           strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", name[size]) !=
               NULL &&
           name[size] != '\0') {
        size++;
    }
    if (size == 0 || size == left || name[size] != ';') {
        mending->at++;
        return put(mending, "&amp;", 5);
    }
    size_t bytes = entity_named(character, name, size);

    if (bytes == 0) {
        return refuse(mending, "xml_dtd_refused", "an entity that is defined nowhere");
    }
    if (bytes == 1) {
        return copy(mending, size + 2); /* amp, lt, gt, quot, apos: XML has them too */
    }
    mending->at += size + 2;
    return put(mending, character, bytes);
}

/* From "<" to ">", quoted values skipped over. */
static int mend_tag(struct mending *mending)
{
    char quote = '\0';
    size_t attributes = 0;
    size_t size = 0;

    while (mending->at + size < mending->length) {
        char byte = mending->text[mending->at + size];

        if (byte == '&') {
            if (copy(mending, size) != 0 || mend_reference(mending) != 0) {
                return -1;
            }
            size = 0;
            continue;
        }
        size++;
        if (quote != '\0') {
            quote = (char)(byte == quote ? '\0' : quote);
        } else if (byte == '"' || byte == '\'') {
            quote = byte;
        } else if (byte == '=' && ++attributes > MARKUP_ATTRIBUTES_MAX) {
            return refuse(mending, "too_many", "more attributes in a tag than anybody needs");
        }
        if (byte == '>' && quote == '\0') {
            break;
        }
    }
    return copy(mending, size);
}

static int mend(struct mending *mending)
{
    while (mending->at < mending->length) {
        size_t plain = 0;
        int result = 0;

        while (mending->at + plain < mending->length && mending->text[mending->at + plain] != '<' &&
               mending->text[mending->at + plain] != '&') {
            plain++;
        }
        if (plain > 0) {
            result = copy(mending, plain);
        } else if (mending->text[mending->at] == '&') {
            result = mend_reference(mending);
        } else if (starts(mending, "<!--")) {
            result = copy_through(mending, "-->");
        } else if (starts(mending, "<![CDATA[")) {
            result = copy_through(mending, "]]>");
        } else if (starts(mending, "<?")) {
            result = copy_through(mending, "?>");
        } else if (starts(mending, "<!")) {
            result = copy_doctype(mending);
        } else {
            result = mend_tag(mending);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- what libxml2 tells --- */

static void stop(struct reading *reading)
{
    reading->failed = true;
    xmlStopParser(reading->parser);
}

static const char *space_of(const struct reading *reading, const xmlChar *prefix,
                            const xmlChar *uri)
{
    if (uri != NULL && !reading->handler->prefixes) {
        return (const char *)uri;
    }
    return prefix != NULL ? (const char *)prefix : "";
}

/* libxml2 gives attributes as five pointers each: name, prefix, URI, value, end of value. */
static bool take_attributes(struct reading *reading, size_t count, const xmlChar **five)
{
    size_t size = 0;
    char *out = NULL;

    for (size_t i = 0; i < count; i++) {
        size += (size_t)(five[5 * i + 4] - five[5 * i + 3]) + 1;
    }
    if (size > reading->values_size) {
        free(reading->values);
        reading->values = malloc(size);
        reading->values_size = reading->values != NULL ? size : 0;
    }
    if (size > 0 && reading->values == NULL) {
        ear_fail_memory(reading->err, "an XML document");
        return false;
    }
    out = reading->values;
    for (size_t i = 0; i < count; i++) {
        size_t length = (size_t)(five[5 * i + 4] - five[5 * i + 3]);

        memcpy(out, five[5 * i + 3], length);
        out[length] = '\0';
        reading->attributes[i] = (struct markup_attribute){
            .space = space_of(reading, five[5 * i + 1], five[5 * i + 2]),
            .name = (const char *)five[5 * i],
            .value = out,
        };
        out += length + 1;
    }
    return true;
}

static void on_open(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                    int space_count, const xmlChar **spaces, int count, int defaulted,
                    const xmlChar **attributes)
{
    struct reading *reading = user;

    (void)space_count;
    (void)spaces;
    (void)defaulted;
    if (reading->failed) {
        return;
    }
    if (reading->parser->nameNr >= MARKUP_DEPTH_MAX) {
        ear_fail(reading->err, EAR_REJECT, "too_deep: line %d: %d elements are open",
                 xmlSAX2GetLineNumber(reading->parser), MARKUP_DEPTH_MAX);
        stop(reading);
        return;
    }
    if (reading->parser->nsNr > 2 * MARKUP_SPACES_MAX || count > MARKUP_ATTRIBUTES_MAX) {
        ear_fail(reading->err, EAR_REJECT, "too_many: line %d: namespaces or attributes",
                 xmlSAX2GetLineNumber(reading->parser));
        stop(reading);
        return;
    }
    if (!take_attributes(reading, (size_t)count, attributes) ||
        (reading->handler->open != NULL &&
         reading->handler->open(reading->user, space_of(reading, prefix, uri), (const char *)name,
                                reading->attributes, (size_t)count, reading->err) != 0)) {
        stop(reading);
    }
}

static void on_close(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct reading *reading = user;

    if (!reading->failed && reading->handler->close != NULL &&
        reading->handler->close(reading->user, space_of(reading, prefix, uri), (const char *)name,
                                reading->err) != 0) {
        stop(reading);
    }
}

static void on_text(void *user, const xmlChar *text, int length)
{
    struct reading *reading = user;

    if (!reading->failed && reading->handler->text != NULL &&
        reading->handler->text(reading->user, (const char *)text, (size_t)length, reading->err) !=
            0) {
        stop(reading);
    }
}

static void on_declaration(void *user)
{
    struct reading *reading = user;

    if (!reading->failed) {
        ear_fail(reading->err, EAR_REJECT, "xml_dtd_refused: line %d: a declaration",
                 xmlSAX2GetLineNumber(reading->parser));
        stop(reading);
    }
}

static void on_entity(void *user, const xmlChar *name, int type, const xmlChar *public_id,
                      const xmlChar *system_id, xmlChar *content)
{
    (void)name;
    (void)type;
    (void)public_id;
    (void)system_id;
    (void)content;
    on_declaration(user);
}

static xmlEntityPtr no_entity(void *user, const xmlChar *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static void on_error(void *user, xmlErrorPtr error)
{
    struct reading *reading = user;

    if (reading->failed || error->level != XML_ERR_FATAL) {
        return;
    }
    if (error->code == XML_ERR_NO_MEMORY) {
        ear_fail_memory(reading->err, "an XML document");
    } else {
        ear_fail(reading->err, EAR_REJECT, "bad_xml: line %d, column %d: %.*s", error->line,
                 error->int2, error->message != NULL ? (int)strcspn(error->message, "\n") : 0,
                 error->message != NULL ? error->message : "");
    }
    stop(reading);
}

static int give(void *user, char *buffer, int size)
{
    struct reading *reading = user;
    size_t left = reading->length - reading->given;
    size_t now = left < (size_t)size ? left : (size_t)size;

    memcpy(buffer, reading->text + reading->given, now);
    reading->given += now;
    return (int)now;
}

static const xmlSAXHandler sax = {
    .initialized = XML_SAX2_MAGIC,
    .startElementNs = on_open,
    .endElementNs = on_close,
    .characters = on_text,
    .ignorableWhitespace = on_text,
    .cdataBlock = on_text,
    .entityDecl = on_entity,
    .getEntity = no_entity,
    .getParameterEntity = no_entity,
    .serror = (xmlStructuredErrorFunc)on_error,
};

static int parse(struct reading *reading)
{
    /* NOENT only so that &amp; in an attribute is decoded: there are no other entities. */
    const int options = XML_PARSE_NONET | XML_PARSE_HUGE | XML_PARSE_IGNORE_ENC | XML_PARSE_NOENT;
    int result = -1;
    xmlParserInputBufferPtr buffer = NULL;
    xmlParserInputPtr input = NULL;

    reading->parser = xmlNewParserCtxt();
    if (reading->parser == NULL) {
        return ear_fail_memory(reading->err, "the XML reader");
    }
    memcpy(reading->parser->sax, &sax, sizeof sax);
    reading->parser->userData = reading;
    xmlCtxtUseOptions(reading->parser, options);
    xmlDictSetLimit(reading->parser->dict, DICTIONARY_MAX);
    buffer = xmlParserInputBufferCreateIO(give, NULL, reading, XML_CHAR_ENCODING_UTF8);
    input = buffer != NULL ? xmlNewIOInputStream(reading->parser, buffer, XML_CHAR_ENCODING_UTF8)
                           : NULL;
    if (input == NULL) {
        xmlFreeParserInputBuffer(buffer);
        ear_fail_memory(reading->err, "the XML reader");
        goto done;
    }
    inputPush(reading->parser, input);
    xmlParseDocument(reading->parser);
    if (!reading->failed && !reading->parser->wellFormed) {
        ear_fail(reading->err, EAR_REJECT, "bad_xml: it is no well-formed XML");
        goto done;
    }
    result = reading->failed ? -1 : 0;

done:
    xmlFreeParserCtxt(reading->parser);
    return result;
}

int markup_read_xml(const char *text, size_t length, const struct markup_handler *handler,
                    void *user, struct ear_error *err)
{
    int result = -1;
    struct mending mending = {.text = text, .length = length, .err = err};
    struct reading *reading = calloc(1, sizeof *reading);

    if (reading == NULL) {
        ear_fail_memory(err, "an XML document");
        goto done;
    }
    mending.out = malloc(length + 256);
    mending.size = length + 256;
    if (mending.out == NULL) {
        ear_fail_memory(err, "an XML document");
        goto done;
    }
    if (mend(&mending) != 0) {
        goto done;
    }
    mend_characters(mending.out, mending.written);
    reading->handler = handler;
    reading->user = user;
    reading->err = err;
    reading->text = mending.out;
    reading->length = mending.written;
    result = parse(reading);

done:
    if (reading != NULL) {
        free(reading->values);
    }
    free(reading);
    free(mending.out);
    return result;
}
