/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_LOG_H
#define EARSHOT_COMMON_LOG_H

/*
 * What a program says on stderr: one event, one line; text on a terminal, JSON otherwise
 * ({"at","level","program","message", then the fields}). The logger is one of the two writable
 * globals of the project (the other is the signal flag); main sets it up. Control, escape and
 * bidirectional characters of strangers are escaped, so a line stays a line; registered secrets are
 * replaced by their name, wherever they occur. A line is at most PIPE_BUF bytes and written at
 * once, so lines of several processes that share stderr never mix; what is longer is cut with "…".
 *
 * Only programs and runners log; rooms return errors. Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* auto: text if stderr is a terminal */
enum log_form { LOG_FORM_AUTO, LOG_FORM_TEXT, LOG_FORM_JSON };

struct clock;

/* Sets the logger up: who speaks ("earshot-collect", borrowed for the process's life), in what
 * form, from which level. The clock is copied; NULL: the machine's time. */
void log_open(const char *program, enum log_form form, enum log_level least,
              const struct clock *clock);

/* Replaces `value`, also as it is written in URLs, by "[name]" in every line from now on. Both are
 * copied; values shorter than 4 bytes are not registered. When no more can be held, nothing but
 * levels is logged from then on: better mute than telling. */
void log_secret(const char *name, const char *value);

/* A field of an event: "source" = "our-forum". */
struct log_field {
    const char *name;
    const char *value; /* NULL is left out */
};

/* One event. fields[] ends with a NULL name; NULL for none. */
void log_event(enum log_level level, const struct log_field fields[], const char *format, ...)
    EAR_PRINTF(3, 4);

#define log_info(...) log_event(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, NULL, __VA_ARGS__)

/* What a command tells the person who typed it: "WHO: MESSAGE" on stderr, without time or level, in
 * every form but an explicit JSON; escaped, and secrets hidden, like an event. */
void log_plain(const char *who, const char *format, ...) EAR_PRINTF(2, 3);

/* Was JSON asked for expressly? Then nothing else belongs on stderr. */
bool log_json_asked(void);

/* An error at the place that decides what happens next; adds its kind. `doing` says what was under
 * way: "poll our-forum". */
void log_error(const char *doing, const struct ear_error *err);

#endif
