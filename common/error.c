/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20) {
            *text = ' ';
        }
    }
}

int ear_fail(struct ear_error *err, enum ear_error_kind kind, const char *format, ...)
{
    va_list arguments;

    err->kind = kind;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    one_line(err->message);
    return -1;
}

int ear_fail_memory(struct ear_error *err, const char *what)
{
    return ear_fail(err, EAR_FATAL,
                    "no memory left for %s; give the process more or lower its limits", what);
}

void ear_error_context(struct ear_error *err, const char *format, ...)
{
    char front[sizeof err->message];
    char whole[2 * sizeof err->message + 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(front, sizeof front, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "%s: %s", front, err->message);
    whole[sizeof err->message - 1] = '\0';
    memcpy(err->message, whole, sizeof err->message);
    one_line(err->message);
}

void ear_error_clear(struct ear_error *err)
{
    err->kind = EAR_NONE;
    err->message[0] = '\0';
}

const char *ear_error_kind_name(enum ear_error_kind kind)
{
    static const char *const names[] = {"none", "retry", "reject", "config", "fenced", "fatal"};

    return names[kind];
}
