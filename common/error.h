/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_ERROR_H
#define EARSHOT_COMMON_ERROR_H

/*
 * What went wrong, told once.
 *
 * One struct is passed last, by pointer, never NULL. Its kind says what the caller should do, not
 * which library failed; its message says what, where and what to do, in a sentence that a person
 * can act on. A caller passes it up as it is; only the layer that knows a name the one below did
 * not adds it in front with ear_error_context. Return an error or log it, never both.
 *
 * Installed: plugins use it too. Threads: a struct ear_error belongs to one thread at a time; the
 * functions keep no state.
 */

#include <stddef.h>

#define EAR_MUST_CHECK __attribute__((warn_unused_result))
#define EAR_PRINTF(string, first) __attribute__((format(printf, string, first)))

#ifdef __cplusplus
extern "C" {
#endif

enum ear_error_kind {
    EAR_NONE,   /* nothing failed */
    EAR_RETRY,  /* passing trouble: the same call may succeed later */
    EAR_REJECT, /* this input will never do: set it aside, go on */
    EAR_CONFIG, /* a person has to change something first */
    EAR_FENCED, /* someone else owns this work now: let go of it */
    EAR_FATAL,  /* out of memory, broken disk, our own bug: stop */
};

struct ear_error {
    enum ear_error_kind kind;
    char message[512]; /* UTF-8, one line, NUL-ended; empty while kind is EAR_NONE */
};

/* Fills err and returns -1, so that a failure is one line: return ear_fail(err, EAR_CONFIG, "…",
 * …). Too long a message is cut. */
int ear_fail(struct ear_error *err, enum ear_error_kind kind, const char *format, ...)
    EAR_PRINTF(3, 4);

/* ear_fail for out of memory; `what` names what was to be held. */
int ear_fail_memory(struct ear_error *err, const char *what);

/* Puts a name in front of the message, with ": " between; the kind stays. */
void ear_error_context(struct ear_error *err, const char *format, ...) EAR_PRINTF(2, 3);

/* Makes err EAR_NONE with an empty message. */
void ear_error_clear(struct ear_error *err);

/* The kind's name in lower case ("retry"), for logs; a static string. */
const char *ear_error_kind_name(enum ear_error_kind kind);

#ifdef __cplusplus
}
#endif

#endif
