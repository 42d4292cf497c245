/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FILE_FILE_OPEN_INTERNAL_H
#define EARSHOT_COLLECTORS_FILE_FILE_OPEN_INTERNAL_H

/* An open file, as the readers of its formats share it: pieces of bounded size, and rows in them.
 */

#include "collectors/file/file_internal.h"

enum { MARK_SIZE = 2, MARK_KEEP = 512, PIECE_SIZE = 256 * 1024, PIECE_MAX = 2 * FILE_ROW_MAX + 2 };

struct file_open {
    int fd;
    enum file_format format;
    enum file_encoding encoding;
    char delimiter;
    int64_t offset, line; /* of the next row */
    bool skipping;
    bool nothing; /* no header yet: nothing can be read */
    char *block;  /* room for a mark, then the piece */
    char *raw;    /* [raw_length], a piece of the file */
    size_t raw_length;
    char *decoded;    /* the piece as UTF-8, where it is UTF-16 */
    const char *text; /* what is parsed: raw or decoded */
    size_t length, at;
    bool at_end; /* the piece reaches the end of the file */
    char *fixed; /* the row found last, where it was not UTF-8 */
    struct csv_row cells;
    size_t column_count;
    int columns[FILE_FIELDS];
    int extras[FILE_EXTRAS_MAX];
};

/* Goes past so many bytes of the piece and so many lines. */
void open_take(struct file_open *open, size_t size, size_t lines);

/* Reads a piece of at most `size` bytes from where the next row begins. -1: EAR_RETRY, EAR_FATAL.
 */
int open_fill(struct file_open *open, size_t size, struct ear_error *err);

/* The row as valid UTF-8; *mended where something of it was lost. NULL: EAR_FATAL. */
const char *open_fix(struct file_open *open, const char *text, size_t *length, bool *mended,
                     struct ear_error *err);

/* Reads the header; leaves `offset` at the first row behind it. -1: EAR_REJECT, EAR_FATAL. */
int open_read_header(struct file_open *open, const struct file_config *config,
                     const struct file_map *map, struct ear_error *err);

/* The next message of an mbox file; ROW_END: not in this piece. */
int open_try_mbox(struct file_open *open, bool last_try, bool patient, struct file_row *row,
                  enum row_kind *kind);

/* Inside a message that is too long to be held: on to the next; true: it is there. */
bool open_skip_message(struct file_open *open);

#endif
