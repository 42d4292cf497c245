/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message of an mbox (RFC 4155, RFC 5322): its headers unfolded and decoded (RFC 2047), and of
 * its parts (RFC 2046) the one that a person reads: the first that is plain text, else the first
 * that is HTML, never an attachment. Of a reply what it quotes is left out, and the signature: what
 * somebody else wrote is counted where it was written.
 *
 * Whatever stands there, nothing is allocated beyond some times the message's own size, and parts
 * are looked into MAIL_DEPTH_MAX deep.
 */
#include "collectors/file/file_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/text/text.h"

enum {
    MAIL_DEPTH_MAX = 8,
    PARTS_MAX = 200,
    HEADS_MAX = 64 * 1024,
    NAME_SIZE = 80,
    WORD_MAX = 4096
};

/* Bytes of the message; borrowed. */
struct span {
    const char *text;
    size_t length;
};

struct mail {
    struct span heads;
    char
        *kept[FILE_FIELDS + FILE_EXTRAS_MAX]; /* header values handed out, until the next message */
    size_t kept_count;
    char *text;
    size_t text_length;
    bool html, mended;
    size_t parts; /* looked into */
};

/* --- lines and headers --- */

/* The first line, without its end; *rest: what stands behind it. */
static struct span first_line(struct span from, struct span *rest)
{
    const char *end = from.length > 0 ? memchr(from.text, '\n', from.length) : NULL;
    size_t size = end != NULL ? (size_t)(end - from.text) : from.length;
    size_t taken = size + (end != NULL);

    *rest = (struct span){from.text + taken, from.length - taken};
    while (size > 0 && from.text[size - 1] == '\r') {
        size--;
    }
    return (struct span){from.text, size};
}

/* Splits a message or a part at its first blank line. */
static void split(struct span all, struct span *heads, struct span *body)
{
    struct span rest = all;

    while (rest.length > 0) {
        struct span line = first_line(rest, &rest);

        if (line.length == 0) {
            *heads = (struct span){all.text, (size_t)(line.text - all.text)};
            *body = rest;
            return;
        }
    }
    *heads = all;
    *body = (struct span){all.text + all.length, 0};
}

/* A header's value, its lines joined, as it stands there; NULL: none. Caller frees. */
static char *find_header(struct span heads, const char *name)
{
    size_t length = strlen(name);
    struct span rest = heads;
    char *value = NULL;
    size_t used = 0;

    rest.length = rest.length < HEADS_MAX ? rest.length : HEADS_MAX;
    while (rest.length > 0) {
        struct span line = first_line(rest, &rest);
        bool folded = line.length > 0 && (line.text[0] == ' ' || line.text[0] == '\t');
        size_t skip = folded ? 0 : length + 1;

        if (value != NULL && !folded) {
            break;
        }
        if (value == NULL && (line.length <= length || line.text[length] != ':' ||
                              strncasecmp(line.text, name, length) != 0)) {
            continue;
        }
        if (value == NULL) {
            value = calloc(1, rest.length + line.length + 2);
            if (value == NULL) {
                return NULL;
            }
        }
        memcpy(value + used, line.text + skip, line.length - skip);
        used += line.length - skip;
        value[used] = '\0';
    }
    return value;
}

/* --- encodings --- */

static int digit(char letter)
{
    return letter >= '0' && letter <= '9'   ? letter - '0'
           : letter >= 'A' && letter <= 'F' ? letter - 'A' + 10
           : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                            : -1;
}

/* Quoted-printable; in a header an underscore is a blank. Returns the length. */
static size_t decode_quoted(char *out, struct span from, bool header)
{
    size_t used = 0;

    for (size_t i = 0; i < from.length; i++) {
        char byte = from.text[i];

        if (byte == '=' && i + 2 < from.length && digit(from.text[i + 1]) >= 0 &&
            digit(from.text[i + 2]) >= 0) {
            out[used++] = (char)(digit(from.text[i + 1]) * 16 + digit(from.text[i + 2]));
            i += 2;
        } else if (byte == '=' && !header && i + 1 < from.length &&
                   (from.text[i + 1] == '\n' || (from.text[i + 1] == '\r' && i + 2 < from.length &&
                                                 from.text[i + 2] == '\n'))) {
            i += from.text[i + 1] == '\n' ? 1 : 2;
        } else {
            out[used++] = (char)(header && byte == '_' ? ' ' : byte);
        }
    }
    return used;
}

static int value_of(char letter)
{
    return letter >= 'A' && letter <= 'Z'   ? letter - 'A'
           : letter >= 'a' && letter <= 'z' ? letter - 'a' + 26
           : letter >= '0' && letter <= '9' ? letter - '0' + 52
           : letter == '+'                  ? 62
           : letter == '/'                  ? 63
                                            : -1;
}

/* Base64; what is no letter of it is passed over. Returns the length. */
static size_t decode_base64(char *out, struct span from)
{
    unsigned bits = 0;
    int count = 0;
    size_t used = 0;

    for (size_t i = 0; i < from.length && from.text[i] != '='; i++) {
        int value = value_of(from.text[i]);

        if (value < 0) {
            continue;
        }
        bits = (bits << 6 | (unsigned)value) & 0xFFFFFF;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[used++] = (char)(unsigned char)(bits >> count);
        }
    }
    return used;
}

/* =?charset?Q?…?= at the start; its length, or 0. *out: UTF-8, the caller's. */
static size_t decode_word(struct span from, char **out, size_t *out_length, bool *mended)
{
    const char *charset = from.text + 2;
    const char *end = from.text + from.length;
    const char *kind = from.length > 6 ? memchr(charset, '?', (size_t)(end - charset)) : NULL;
    const char *text = kind != NULL && end - kind > 3 && kind[2] == '?' ? kind + 3 : NULL;
    const char *stop = text;
    char name[NAME_SIZE];
    char *bytes = NULL;
    struct span coded;
    size_t length = 0;

    while (stop != NULL && stop + 1 < end && (stop[0] != '?' || stop[1] != '=')) {
        stop = stop[0] == '\n' || stop - text > WORD_MAX ? NULL : stop + 1;
    }
    if (stop == NULL || stop + 1 >= end || strchr("QqBb", kind[1]) == NULL) {
        return 0;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(charset, "?*"), charset);
    coded = (struct span){text, (size_t)(stop - text)};
    bytes = malloc(coded.length + 1);
    if (bytes == NULL) {
        return 0;
    }
    length = kind[1] == 'Q' || kind[1] == 'q' ? decode_quoted(bytes, coded, true)
                                              : decode_base64(bytes, coded);
    *out = text_decode(bytes, length, name, out_length, mended);
    free(bytes);
    return *out == NULL ? 0 : (size_t)(stop + 2 - from.text);
}

/* A value with its encoded words decoded, as UTF-8, trimmed. NULL: out of memory. */
static char *decode_value(const char *value, bool *mended)
{
    char *plain = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&plain, &length);
    char *whole = NULL;
    bool after_word = false;

    if (out == NULL) {
        return NULL;
    }
    value += strspn(value, " \t");
    while (*value != '\0') {
        char *word = NULL;
        size_t word_length = 0;
        size_t blanks = strspn(value, " \t");
        size_t taken = strncmp(value + blanks, "=?", 2) == 0
                           ? decode_word((struct span){value + blanks, strlen(value + blanks)},
                                         &word, &word_length, mended)
                           : 0;

        if (taken > 0) {
            fwrite(value, 1, after_word ? 0 : blanks, out); /* between words they are not meant */
            fwrite(word, 1, word_length, out);
            free(word);
            value += blanks + taken;
        } else {
            size_t size = blanks > 0 ? blanks : 1;

            fwrite(value, 1, size, out);
            value += size;
        }
        after_word = taken > 0;
    }
    if (fclose(out) != 0) {
        free(plain);
        return NULL;
    }
    while (length > 0 && strchr(" \t\r", plain[length - 1]) != NULL) {
        length--;
    }
    whole = text_decode(plain, length, NULL, &length, mended);
    free(plain);
    return whole;
}

char *mail_header(struct mail *mail, const char *name)
{
    char *raw = find_header(mail->heads, name);
    char *value = raw != NULL ? decode_value(raw, &mail->mended) : NULL;

    free(raw);
    if (value != NULL &&
        (mail->kept_count == sizeof mail->kept / sizeof mail->kept[0] || value[0] == '\0')) {
        free(value);
        return NULL;
    }
    if (value != NULL) {
        mail->kept[mail->kept_count++] = value;
    }
    return value;
}

/* --- parts --- */

/* A parameter of a header's value (`; charset="utf-8"`), into out; "" where there is none. */
static void parameter(char *out, size_t size, const char *value, const char *name)
{
    size_t length = strlen(name);

    out[0] = '\0';
    for (const char *at = value; at != NULL && (at = strchr(at, ';')) != NULL;) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, length) == 0 && at[length + strspn(at + length, " \t")] == '=') {
            at += length + strspn(at + length, " \t") + 1;
            at += strspn(at, " \t");
            if (*at == '"') {
                snprintf(out, size, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
            } else {
                snprintf(out, size, "%.*s", (int)strcspn(at, "; \t"), at);
            }
            return;
        }
    }
}

static bool is_type(const char *type, const char *wanted)
{
    return strncasecmp(type, wanted, strlen(wanted)) == 0;
}

/* The body of a part as bytes; caller frees. */
static char *decode_body(struct span body, const char *coding, size_t *length)
{
    char *bytes = malloc(body.length > 0 ? body.length : 1);

    if (bytes == NULL) {
        return NULL;
    }
    if (is_type(coding, "quoted-printable")) {
        *length = decode_quoted(bytes, body, false);
    } else if (is_type(coding, "base64")) {
        *length = decode_base64(bytes, body);
    } else {
        memcpy(bytes, body.text, body.length);
        *length = body.length;
    }
    return bytes;
}

/* Takes a part's text, if there is none yet, or one in HTML and this is plain. */
static int take_text(struct mail *mail, struct span body, const char *type, const char *coding,
                     struct ear_error *err)
{
    bool html = is_type(type, "text/html");
    char charset[NAME_SIZE];
    size_t length = 0;
    char *bytes = NULL;

    if (mail->text != NULL && (!mail->html || html)) {
        return 0;
    }
    parameter(charset, sizeof charset, type, "charset");
    bytes = decode_body(body, coding, &length);
    free(mail->text);
    mail->text = bytes == NULL ? NULL
                               : text_decode(bytes, length, charset[0] != '\0' ? charset : NULL,
                                             &mail->text_length, &mail->mended);
    mail->html = html;
    free(bytes);
    return mail->text != NULL ? 0 : ear_fail_memory(err, "a message");
}

static int read_part(struct mail *mail, struct span part, int depth, struct ear_error *err);

/* Whether a line is the boundary; *last: it ends the parts. */
static bool is_boundary(struct span line, const char *boundary, bool *last)
{
    size_t length = strlen(boundary);

    if (line.length < length + 2 || memcmp(line.text, "--", 2) != 0 ||
        memcmp(line.text + 2, boundary, length) != 0) {
        return false;
    }
    *last = line.length >= length + 4 && memcmp(line.text + length + 2, "--", 2) == 0;
    return true;
}

static int read_parts(struct mail *mail, struct span body, const char *boundary, int depth,
                      struct ear_error *err)
{
    struct span rest = body;
    const char *begun = NULL;
    bool last = false;

    while (!last && rest.length > 0 && mail->parts < PARTS_MAX) {
        struct span line = first_line(rest, &rest);

        if (is_boundary(line, boundary, &last)) {
            if (begun != NULL && read_part(mail, (struct span){begun, (size_t)(line.text - begun)},
                                           depth + 1, err) != 0) {
                return -1;
            }
            begun = rest.text;
        }
    }
    if (!last && begun != NULL && rest.length == 0) { /* its end is missing */
        return read_part(mail, (struct span){begun, (size_t)(rest.text - begun)}, depth + 1, err);
    }
    return 0;
}

static int read_part(struct mail *mail, struct span part, int depth, struct ear_error *err)
{
    struct span heads;
    struct span body;
    char boundary[NAME_SIZE];
    char *type = NULL;
    char *coding = NULL;
    char *kind = NULL;
    int result = 0;

    split(part, &heads, &body);
    mail->parts++;
    type = find_header(heads, "Content-Type");
    coding = find_header(heads, "Content-Transfer-Encoding");
    kind = find_header(heads, "Content-Disposition");
    {
        const char *name = type == NULL ? "text/plain" : type + strspn(type, " \t");
        const char *how = coding == NULL ? "" : coding + strspn(coding, " \t");
        bool attached = kind != NULL && is_type(kind + strspn(kind, " \t"), "attachment");

        if (is_type(name, "multipart/") && depth < MAIL_DEPTH_MAX) {
            parameter(boundary, sizeof boundary, name, "boundary");
            result = boundary[0] == '\0' ? 0 : read_parts(mail, body, boundary, depth, err);
        } else if (!attached && (is_type(name, "text/plain") || is_type(name, "text/html"))) {
            result = take_text(mail, body, name, how, err);
        }
    }
    free(type);
    free(coding);
    free(kind);
    return result;
}

/* --- what somebody else wrote --- */

static bool is_quoted(struct span line)
{
    return line.length > 0 && line.text[0] == '>';
}

/* "-- " alone begins the signature. */
static bool is_signature(struct span line)
{
    return line.length == 3 && memcmp(line.text, "-- ", 3) == 0;
}

static struct span peek_line(struct span rest)
{
    struct span line = {rest.text, 0};

    while (rest.length > 0 && line.length == 0) {
        line = first_line(rest, &rest);
    }
    return line;
}

/* Leaves out quoted lines, the line that says whom ("… wrote:"), and the signature. In place. */
static void drop_quotes(struct mail *mail)
{
    struct span rest = {mail->text, mail->text_length};
    size_t used = 0;

    while (rest.length > 0) {
        const char *from = rest.text;
        struct span line = first_line(rest, &rest);
        size_t size = (size_t)(rest.text - from);
        bool says_whom =
            line.length > 0 && line.text[line.length - 1] == ':' && is_quoted(peek_line(rest));

        if (is_signature(line)) {
            break;
        }
        if (line.length > 6 && memcmp(line.text, ">From ", 6) == 0) {
            from++; /* as an mbox writes a line that begins with "From " */
            size--;
        } else if (is_quoted(line)) {
            continue;
        }
        if (!says_whom) {
            memmove(mail->text + used, from, size);
            used += size;
        }
    }
    while (used > 0 && strchr(" \t\r\n", mail->text[used - 1]) != NULL) {
        used--;
    }
    mail->text[used] = '\0';
    mail->text_length = used;
}

/* --- the door --- */

struct mail *mail_new(void)
{
    return calloc(1, sizeof(struct mail));
}

static void empty(struct mail *mail)
{
    for (size_t i = 0; i < mail->kept_count; i++) {
        free(mail->kept[i]);
    }
    free(mail->text);
    *mail = (struct mail){0};
}

void mail_free(struct mail *mail)
{
    if (mail != NULL) {
        empty(mail);
        free(mail);
    }
}

int mail_read(struct mail *mail, const char *bytes, size_t length, struct ear_error *err)
{
    struct span all = {bytes, length};
    struct span body;

    empty(mail);
    if (length >= 5 && memcmp(bytes, "From ", 5) == 0) {
        (void)first_line(all, &all);
    }
    split(all, &mail->heads, &body);
    if (read_part(mail, all, 0, err) != 0) {
        return -1;
    }
    if (mail->text != NULL && !mail->html) {
        drop_quotes(mail);
    }
    return 0;
}

const char *mail_text(const struct mail *mail, size_t *length, bool *html)
{
    *length = mail->text_length;
    *html = mail->html;
    return mail->text;
}

bool mail_mended(const struct mail *mail)
{
    return mail->mended;
}

void mail_split_address(char *value, const char **name, const char **address)
{
    char *open = strrchr(value, '<');
    char *close = open == NULL ? NULL : strchr(open, '>');

    *name = NULL;
    *address = value;
    if (close == NULL) {
        return;
    }
    *close = '\0';
    *address = open + 1;
    while (open > value && strchr(" \t\"", open[-1]) != NULL) {
        open--;
    }
    *open = '\0';
    value += strspn(value, " \t\"");
    *name = value[0] != '\0' ? value : NULL;
}
