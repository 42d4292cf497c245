/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/instant.h"

/*
 * A text on its way into a line: secrets are replaced first, in whole strings, then it is escaped
 * and cut. In the other order a cut or an escape inside a secret would hide it from the search.
 */

enum {
    LINE_SIZE = 4096,   /* PIPE_BUF of Linux: written at once or not at all */
    END_SIZE = 16,      /* kept free for what closes a line */
    TEXT_SIZE = 8192,   /* a formatted message before it is cut to the line */
    VALUE_LIMIT = 1024, /* bytes of a field's value in a line */
    SECRETS_MAX = 1024,
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static const char withheld[] = "withheld: there are too many secrets to hide";

struct secret {
    char *name;
    char *value;
    size_t length;
};

struct logger {
    pthread_mutex_t lock;
    const char *program;
    bool json;
    bool json_asked; /* not only for want of a terminal */
    bool colour;
    bool muted; /* a secret could not be registered */
    enum log_level least;
    struct clock clock;
    struct secret secrets[SECRETS_MAX];
    size_t secret_count;
};

/* The logger of the process, set up by main. */
static struct logger logger = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .program = "earshot", .least = LOG_LEVEL_INFO};

struct line {
    char bytes[LINE_SIZE];
    size_t length;
};

void log_open(const char *program, enum log_form form, enum log_level least,
              const struct clock *clock)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    const char *no_colour = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): at start */

    pthread_mutex_lock(&logger.lock);
    logger.program = program;
    logger.json = form == LOG_FORM_JSON || (form == LOG_FORM_AUTO && !terminal);
    logger.json_asked = form == LOG_FORM_JSON;
    logger.colour = terminal && (no_colour == NULL || *no_colour == '\0');
    logger.least = least;
    logger.clock = clock == NULL ? (struct clock){0} : *clock;
    pthread_mutex_unlock(&logger.lock);
}

/* --- secrets --- */

static bool known(const char *value)
{
    for (size_t i = 0; i < logger.secret_count; i++) {
        if (strcmp(logger.secrets[i].value, value) == 0) {
            return true;
        }
    }
    return false;
}

static void add_secret(const char *name, const char *value)
{
    struct secret *secret = &logger.secrets[logger.secret_count];

    if (known(value)) {
        return;
    }
    if (logger.secret_count == SECRETS_MAX) {
        logger.muted = true;
        return;
    }
    secret->name = strdup(name);
    secret->value = strdup(value);
    secret->length = strlen(value);
    if (secret->name == NULL || secret->value == NULL) {
        free(secret->name);
        free(secret->value);
        logger.muted = true;
        return;
    }
    logger.secret_count++;
}

/* As RFC 3986 writes it in a query. NULL: out of memory. */
static char *percent_encoded(const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";
    char *out = malloc(3 * strlen(value) + 1);
    size_t length = 0;

    if (out == NULL) {
        return NULL;
    }
    for (const char *at = value; *at != '\0'; at++) {
        if (strchr(plain, *at) != NULL) {
            out[length++] = *at;
        } else {
            out[length++] = '%';
            out[length++] = digits[(unsigned char)*at >> 4];
            out[length++] = digits[(unsigned char)*at & 15];
        }
    }
    out[length] = '\0';
    return out;
}

void log_secret(const char *name, const char *value)
{
    enum { SHORTEST = 4 };
    char *encoded;

    if (value == NULL || strlen(value) < SHORTEST) {
        return;
    }
    encoded = percent_encoded(value);
    pthread_mutex_lock(&logger.lock);
    add_secret(name, value);
    if (encoded == NULL) {
        logger.muted = true;
    } else {
        add_secret(name, encoded);
    }
    pthread_mutex_unlock(&logger.lock);
    free(encoded);
}

/* The longest secret that begins here, so that one inside another hides nothing of it. */
static const struct secret *secret_at(const char *text)
{
    const struct secret *longest = NULL;

    for (size_t i = 0; i < logger.secret_count; i++) {
        const struct secret *secret = &logger.secrets[i];

        if (*text == *secret->value && strncmp(text, secret->value, secret->length) == 0 &&
            (longest == NULL || secret->length > longest->length)) {
            longest = secret;
        }
    }
    return longest;
}

/* --- the line --- */

static void put(struct line *line, const char *text)
{
    size_t length = strlen(text);
    size_t room = sizeof line->bytes - line->length;

    if (length > room) {
        length = room;
    }
    memcpy(line->bytes + line->length, text, length);
    line->length += length;
}

/* Reads one code point of UTF-8; its bytes, or 0 where the bytes are none (overlong, surrogate…).
 */
static size_t decode(const char *text, uint32_t *out)
{
    const unsigned char *at = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t count = at[0] < 0x80                     ? 1
                   : at[0] >= 0xc2 && at[0] <= 0xdf ? 2
                   : (at[0] & 0xf0) == 0xe0         ? 3
                   : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4
                                                    : 0;
    uint32_t code = count < 2 ? at[0] : at[0] & (0xffU >> (count + 1));

    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3fU);
    }
    if (count > 1 &&
        (code < least[count] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))) {
        return 0;
    }
    *out = code;
    return count;
}

/* Controls, line ends of Unicode, marks of direction, and the byte order mark. */
static bool must_be_escaped(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
           (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/* Writes one code point's form into out (NUL-ended); returns how many bytes of text it took. */
static size_t escape_one(char out[8], const char *text, bool json)
{
    uint32_t code = 0;
    size_t count = decode(text, &code);

    if (count == 0) {
        snprintf(out, 8, "\xef\xbf\xbd");
        return 1;
    }
    if (code == '\n') {
        snprintf(out, 8, "\\n");
    } else if (json && (code == '"' || code == '\\')) {
        snprintf(out, 8, "\\%c", (char)code);
    } else if (must_be_escaped(code)) {
        snprintf(out, 8, "\\u%04x", (unsigned)(code & 0xffff));
    } else {
        memcpy(out, text, count);
        out[count] = '\0';
    }
    return count;
}

/* Puts a stranger's text: secrets replaced, escaped, cut after `limit` bytes of the line. */
static void put_text(struct line *line, const char *text, size_t limit)
{
    size_t end = line->length + limit;

    if (end > sizeof line->bytes - END_SIZE) {
        end = sizeof line->bytes - END_SIZE;
    }
    while (*text != '\0') {
        const struct secret *secret = secret_at(text);
        char form[8];
        size_t taken;

        if (secret != NULL) {
            if (line->length + strlen(secret->name) + 2 > end) {
                put(line, "…");
                return;
            }
            put(line, "[");
            put(line, secret->name);
            put(line, "]");
            text += secret->length;
            continue;
        }
        taken = escape_one(form, text, logger.json);
        if (line->length + strlen(form) > end) {
            put(line, "…");
            return;
        }
        put(line, form);
        text += taken;
    }
}

static void put_fields(struct line *line, const struct log_field fields[])
{
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (fields->value == NULL) {
            continue;
        }
        if (line->length + strlen(fields->name) + 4 * (size_t)END_SIZE > sizeof line->bytes) {
            return; /* no room for a name and a little of its value */
        }
        put(line, logger.json ? ",\"" : "  ");
        put(line, fields->name);
        put(line, logger.json ? "\":\"" : "=");
        put_text(line, fields->value, VALUE_LIMIT);
        put(line, logger.json ? "\"" : "");
    }
}

static void put_json(struct line *line, enum log_level level, const struct log_field fields[],
                     const char *text)
{
    char at[INSTANT_SIZE];

    put(line, "{\"at\":\"");
    put(line, instant_format(at, clock_now_us(&logger.clock)));
    put(line, "\",\"level\":\"");
    put(line, level_names[level]);
    put(line, "\",\"program\":\"");
    put(line, logger.program);
    put(line, "\",\"message\":\"");
    put_text(line, text, sizeof line->bytes);
    put(line, "\"");
    put_fields(line, fields);
    put(line, "}\n");
}

static void put_plain(struct line *line, enum log_level level, const struct log_field fields[],
                      const char *text)
{
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    char at[INSTANT_SIZE];

    instant_format(at, clock_now_us(&logger.clock) / CLOCK_SECOND_US * CLOCK_SECOND_US);
    put(line, at);
    put(line, " ");
    put(line, logger.colour ? colours[level] : "");
    put(line, level_names[level]);
    put(line, logger.colour && *colours[level] != '\0' ? "\033[0m" : "");
    put(line, " ");
    put(line, logger.program);
    put(line, ": ");
    put_text(line, text, sizeof line->bytes);
    put_fields(line, fields);
    put(line, "\n");
}

static void write_line(const struct line *line)
{
    size_t done = 0;

    while (done < line->length) {
        ssize_t wrote = write(STDERR_FILENO, line->bytes + done, line->length - done);

        if (wrote < 0 && errno != EINTR) {
            return; /* nobody is left to be told */
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
}

void log_event(enum log_level level, const struct log_field fields[], const char *format, ...)
{
    char text[TEXT_SIZE];
    struct line line;
    int kept_errno = errno;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&logger.lock);
    if (level >= logger.least) {
        const char *shown = logger.muted ? withheld : text;

        line.length = 0;
        if (logger.json) {
            put_json(&line, level, logger.muted ? NULL : fields, shown);
        } else {
            put_plain(&line, level, logger.muted ? NULL : fields, shown);
        }
        write_line(&line);
    }
    pthread_mutex_unlock(&logger.lock);
    errno = kept_errno;
}

void log_plain(const char *who, const char *format, ...)
{
    char text[TEXT_SIZE];
    struct line line = {.length = 0};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&logger.lock);
    if (logger.json_asked) {
        put_json(&line, LOG_LEVEL_ERROR, NULL, logger.muted ? withheld : text);
    } else {
        bool json = logger.json;

        logger.json = false;
        put(&line, who);
        put(&line, ": ");
        put_text(&line, logger.muted ? withheld : text, sizeof line.bytes);
        put(&line, "\n");
        logger.json = json;
    }
    write_line(&line);
    pthread_mutex_unlock(&logger.lock);
}

bool log_json_asked(void)
{
    bool asked;

    pthread_mutex_lock(&logger.lock);
    asked = logger.json_asked;
    pthread_mutex_unlock(&logger.lock);
    return asked;
}

void log_error(const char *doing, const struct ear_error *err)
{
    const struct log_field fields[] = {{"kind", ear_error_kind_name(err->kind)}, {NULL, NULL}};

    log_event(err->kind == EAR_RETRY ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, fields, "%s: %s", doing,
              err->message);
}
