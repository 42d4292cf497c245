/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a server sends to UTF-8. Labels are matched against the list of the Encoding Standard
 * (encoding.spec.whatwg.org, section 4.2, the labels that are seen); nothing else reaches iconv, as
 * the label is a stranger's. Windows-1252 is decoded here, so that the last resort needs no module
 * of the C library.
 */
#include "common/text/text.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/utf8.h"

enum encoding_kind {
    UTF_8,
    WINDOWS_1252,
    ONE_BYTE,  /* any bytes would do: UTF-8 that is valid and not ASCII is believed over it */
    MANY_BYTES /* as labelled */
};

struct encoding {
    const char *label, *name; /* name: as iconv has it */
    enum encoding_kind kind;
};

static const struct encoding encodings[] = {
    {"utf-8", "", UTF_8},
    {"utf8", "", UTF_8},
    {"unicode-1-1-utf-8", "", UTF_8},
    {"us-ascii", "", WINDOWS_1252},
    {"ascii", "", WINDOWS_1252},
    {"iso-8859-1", "", WINDOWS_1252},
    {"iso8859-1", "", WINDOWS_1252},
    {"iso_8859-1", "", WINDOWS_1252},
    {"latin1", "", WINDOWS_1252},
    {"latin-1", "", WINDOWS_1252},
    {"windows-1252", "", WINDOWS_1252},
    {"cp1252", "", WINDOWS_1252},
    {"x-cp1252", "", WINDOWS_1252},
    {"iso-8859-2", "ISO-8859-2", ONE_BYTE},
    {"latin2", "ISO-8859-2", ONE_BYTE},
    {"iso-8859-3", "ISO-8859-3", ONE_BYTE},
    {"iso-8859-4", "ISO-8859-4", ONE_BYTE},
    {"iso-8859-5", "ISO-8859-5", ONE_BYTE},
    {"iso-8859-6", "ISO-8859-6", ONE_BYTE},
    {"iso-8859-7", "ISO-8859-7", ONE_BYTE},
    {"iso-8859-8", "ISO-8859-8", ONE_BYTE},
    {"iso-8859-9", "WINDOWS-1254", ONE_BYTE},
    {"latin5", "WINDOWS-1254", ONE_BYTE},
    {"iso-8859-10", "ISO-8859-10", ONE_BYTE},
    {"iso-8859-13", "ISO-8859-13", ONE_BYTE},
    {"iso-8859-14", "ISO-8859-14", ONE_BYTE},
    {"iso-8859-15", "ISO-8859-15", ONE_BYTE},
    {"latin-9", "ISO-8859-15", ONE_BYTE},
    {"iso-8859-16", "ISO-8859-16", ONE_BYTE},
    {"windows-874", "CP874", ONE_BYTE},
    {"tis-620", "CP874", ONE_BYTE},
    {"windows-1250", "CP1250", ONE_BYTE},
    {"windows-1251", "CP1251", ONE_BYTE},
    {"windows-1253", "CP1253", ONE_BYTE},
    {"windows-1254", "CP1254", ONE_BYTE},
    {"windows-1255", "CP1255", ONE_BYTE},
    {"windows-1256", "CP1256", ONE_BYTE},
    {"windows-1257", "CP1257", ONE_BYTE},
    {"windows-1258", "CP1258", ONE_BYTE},
    {"koi8-r", "KOI8-R", ONE_BYTE},
    {"koi8-u", "KOI8-U", ONE_BYTE},
    {"ibm866", "CP866", ONE_BYTE},
    {"macintosh", "MACINTOSH", ONE_BYTE},
    {"gb2312", "GB18030", MANY_BYTES},
    {"gbk", "GB18030", MANY_BYTES},
    {"gb18030", "GB18030", MANY_BYTES},
    {"big5", "BIG5-HKSCS", MANY_BYTES},
    {"euc-jp", "EUC-JP", MANY_BYTES},
    {"iso-2022-jp", "ISO-2022-JP", MANY_BYTES},
    {"shift_jis", "CP932", MANY_BYTES},
    {"shift-jis", "CP932", MANY_BYTES},
    {"sjis", "CP932", MANY_BYTES},
    {"windows-31j", "CP932", MANY_BYTES},
    {"euc-kr", "CP949", MANY_BYTES},
    {"ks_c_5601-1987", "CP949", MANY_BYTES},
    {"utf-16", "UTF-16LE", MANY_BYTES},
    {"utf-16le", "UTF-16LE", MANY_BYTES},
    {"utf-16be", "UTF-16BE", MANY_BYTES},
};

static const struct encoding *encoding_of(const char *label)
{
    size_t length = 0;

    if (label == NULL) {
        return NULL;
    }
    label += strspn(label, " \t\r\n\"'");
    length = strcspn(label, " \t\r\n\"';");
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        if (strlen(encodings[i].label) == length &&
            strncasecmp(encodings[i].label, label, length) == 0) {
            return &encodings[i];
        }
    }
    return NULL;
}

static const struct encoding *by_mark(const char *bytes, size_t length, size_t *mark)
{
    if (length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        *mark = 3;
        return encoding_of("utf-8");
    }
    if (length >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0)) {
        *mark = 2;
        return encoding_of(bytes[0] == (char)0xFF ? "utf-16le" : "utf-16be");
    }
    return NULL;
}

static char *from_windows_1252(const char *bytes, size_t length, size_t *out_length, bool *repaired)
{
    static const unsigned short high[32] = {
        0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD, 0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178,
    };
    char *out = malloc(length * 3 + 1);
    size_t written = 0;

    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        unsigned code = byte >= 0x80 && byte < 0xA0 ? high[byte - 0x80] : byte;

        code = byte == 0 ? 0xFFFD : code;
        *repaired = *repaired || code == 0xFFFD;
        written += utf8_put(out + written, code); /* at most three bytes */
    }
    out[written] = '\0';
    *out_length = written;
    return out;
}

/* No encoding of the list needs more than three bytes of UTF-8 for one of its own, or four for two.
 */
static char *by_iconv(iconv_t converter, size_t unit, const char *bytes, size_t length,
                      size_t *out_length, bool *repaired)
{
    size_t size = length * 3 + 16;
    char *out = malloc(size);
    char *in_at = NULL; /* iconv does not write, but POSIX took the const away */
    char *out_at = out;
    size_t left = length;
    size_t room = size;

    if (out == NULL) {
        return NULL;
    }
    memcpy(&in_at, &bytes, sizeof in_at);
    while (left > 0 && iconv(converter, &in_at, &left, &out_at, &room) == (size_t)-1) {
        if (errno == E2BIG || room < 3) { /* cannot be, see above; better short than over */
            break;
        }
        memcpy(out_at, "\xEF\xBF\xBD", 3);
        out_at += 3;
        room -= 3;
        in_at += left < unit ? left : unit;
        left -= left < unit ? left : unit;
        *repaired = true;
    }
    *out_length = (size_t)(out_at - out);
    return out;
}

static char *convert(const struct encoding *encoding, const char *bytes, size_t length,
                     size_t *out_length, bool *repaired)
{
    char *mended = NULL;
    char *out = NULL;
    size_t size = 0;
    iconv_t converter = iconv_open("UTF-8", encoding->name);

    /* NOLINTNEXTLINE(performance-no-int-to-ptr): that is what POSIX returns */
    if (converter == (iconv_t)-1) { /* this C library came without it */
        return text_valid(bytes, length) ? text_repair(bytes, length, out_length, repaired)
                                         : from_windows_1252(bytes, length, out_length, repaired);
    }
    out = by_iconv(converter, strncmp(encoding->name, "UTF-16", 6) == 0 ? 2 : 1, bytes, length,
                   &size, repaired);
    iconv_close(converter);
    if (out != NULL) {
        mended = text_repair(out, size, out_length, repaired); /* NULs, and the NUL at the end */
    }
    free(out);
    return mended;
}

char *text_decode(const char *bytes, size_t length, const char *encoding, size_t *out_length,
                  bool *repaired)
{
    size_t mark = 0;
    size_t unused = 0;
    const struct encoding *found = by_mark(bytes, length, &mark);
    bool valid = false;

    out_length = out_length != NULL ? out_length : &unused;
    bytes += mark;
    length -= mark;
    if (found == NULL) {
        found = encoding_of(encoding);
    }
    if (found != NULL && found->kind == MANY_BYTES) {
        return convert(found, bytes, length, out_length, repaired);
    }
    valid = text_valid(bytes, length);
    if (valid || (found != NULL && found->kind == UTF_8)) {
        return text_repair(bytes, length, out_length, repaired);
    }
    if (found != NULL && found->kind == ONE_BYTE) {
        return convert(found, bytes, length, out_length, repaired);
    }
    return from_windows_1252(bytes, length, out_length, repaired);
}

/* The value of a parameter within a header or declaration: charset=…, encoding="…". */
static bool parameter(char *out, size_t size, const char *text, size_t length, const char *name)
{
    size_t name_length = strlen(name);

    for (size_t i = 0; i + name_length < length; i++) {
        if (strncasecmp(text + i, name, name_length) == 0) {
            size_t at = i + name_length;
            size_t used = 0;

            while (at < length && strchr(" \t", text[at]) != NULL && text[at] != '\0') {
                at++;
            }
            if (at == length || text[at] != '=') {
                continue;
            }
            at++;
            while (at < length && text[at] != '\0' && strchr(" \t\"'", text[at]) != NULL) {
                at++;
            }
            while (at < length && text[at] != '\0' && strchr(" \t\"';?>", text[at]) == NULL &&
                   used + 1 < size) {
                out[used++] = text[at++];
            }
            out[used] = '\0';
            return used > 0;
        }
    }
    return false;
}

/* HTTP's charset, then the XML declaration's; but a charset of UTF-8 that the bytes deny gives way
 * to a declaration that says otherwise. */
char *text_decode_markup(const char *bytes, size_t length, const char *type, size_t *out_length,
                         bool *repaired)
{
    char charset[64];
    char declared[64];
    const char *label = NULL;
    size_t head = length < 256 ? length : 256;
    const char *end = memchr(bytes, '>', head);
    bool is_declared = end != NULL && parameter(declared, sizeof declared, bytes,
                                                (size_t)(end - bytes), "encoding");

    if (type != NULL && parameter(charset, sizeof charset, type, strlen(type), "charset")) {
        label = charset;
    }
    if (is_declared &&
        (label == NULL || (strncasecmp(label, "utf-8", 6) == 0 && !text_valid(bytes, length)))) {
        label = declared;
    }
    return text_decode(bytes, length, label, out_length, repaired);
}
