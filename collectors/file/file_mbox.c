/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of an mbox file: where one ends and the next begins. */
#include "collectors/file/file_open_internal.h"

#include <string.h>

/* "From kim@x.example Fri Nov 20 08:00:00 2026": the time tells it from a sentence that somebody
 * forgot to quote. A line that the piece cuts off is none. */
static bool is_mark(const char *from, const char *end)
{
    const char *stop = memchr(from, '\n', (size_t)(end - from));

    for (const char *at = from; stop != NULL && at + 4 < stop; at++) {
        if (at[0] >= '0' && at[0] <= '9' && at[1] == ':' && at[2] >= '0' && at[2] <= '9' &&
            at[3] >= '0' && at[3] <= '9') {
            return true;
        }
    }
    return false;
}

/* Where the next message begins behind `from`: such a line after an empty one. NULL: nowhere. */
static const char *next_message(const char *from, const char *end)
{
    const char *at = from;

    while ((at = memmem(at, (size_t)(end - at), "\nFrom ", 6)) != NULL) {
        const char *before = at > from && at[-1] == '\r' ? at - 1 : at;

        if (before > from && before[-1] == '\n' && is_mark(at + 1, end)) {
            return at + 1;
        }
        at++;
    }
    return NULL;
}

static size_t count_lines(const char *from, size_t length)
{
    size_t lines = 0;

    for (size_t i = 0; i < length; i++) {
        lines += from[i] == '\n';
    }
    return lines;
}

/* Inside a message that is too long to be held: on to the next; true: it is there. What may be the
 * beginning of a mark stays for the next piece. */
bool open_skip_message(struct file_open *open)
{
    const char *from = open->text + open->at;
    size_t left = open->length - open->at;
    const char *next = left > 0 ? next_message(from, from + left) : NULL;
    size_t size = next != NULL                       ? (size_t)(next - from)
                  : open->at_end || left < MARK_KEEP ? left
                                                     : left - MARK_KEEP;

    if (next == NULL && !open->at_end && left < MARK_KEEP) {
        return false;
    }
    open_take(open, size, count_lines(from, size));
    open->skipping = next == NULL && !(open->at_end && open->at == open->length);
    return next != NULL;
}

/*
 * A message up to the next; the last of the file is whole when nothing more comes. Of one that is
 * longer than what is held its beginning counts: attachments come last.
 */
int open_try_mbox(struct file_open *open, bool last_try, bool patient, struct file_row *row,
                  enum row_kind *kind)
{
    const char *from = open->text + open->at;
    size_t left = open->length - open->at;
    const char *next = next_message(from, from + left);
    /* A mark that the piece cuts off is for skip_message to find. */
    size_t size = next != NULL ? (size_t)(next - from) : open->at_end ? left : left - MARK_KEEP;

    *kind = ROW_END;
    if (next == NULL && (!last_try || (open->at_end && patient))) {
        return 0;
    }
    *row = (struct file_row){.text = from,
                             .length = size < FILE_ROW_MAX ? size : FILE_ROW_MAX,
                             .offset = open->offset,
                             .line = open->line,
                             .ended = next != NULL || !open->at_end};
    *kind = ROW_FOUND;
    if (left < 5 || memcmp(from, "From ", 5) != 0) {
        *kind = ROW_BROKEN;
        row->code = "bad_mbox";
        row->reason = "no line that begins with 'From ' stands before it";
    }
    open_take(open, size, count_lines(from, size));
    open->skipping = next == NULL && !open->at_end;
    return 0;
}
