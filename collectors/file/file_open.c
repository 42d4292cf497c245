/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file as rows. It is read a piece at a time; a row that the piece cuts off is read again with a
 * bigger one, up to the longest row there may be. Offsets are always those of the file's bytes:
 * UTF-16 is turned to UTF-8 piece by piece, and what was taken of the piece is counted back.
 *
 * What is not ASCII in the head tells the encoding: rather UTF-8, and then broken characters are
 * mended; else each row is UTF-8 if it can be, and windows-1252 if not (FILE_LEGACY).
 */
#include "collectors/file/file_open_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text/text.h"

/* --- pieces --- */

/* How many bytes of the file the first `size` bytes of text stand for. */
static int64_t raw_size(const struct file_open *open, const char *text, size_t size)
{
    int64_t raw = 0;

    if (open->encoding < FILE_UTF16LE) {
        return (int64_t)size;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];

        raw += (byte & 0xC0) == 0x80 ? 0 : byte >= 0xF0 ? 4 : 2;
    }
    return raw;
}

void open_take(struct file_open *open, size_t size, size_t lines)
{
    open->offset += raw_size(open, open->text + open->at, size);
    open->at += size;
    open->line += (int64_t)lines;
}

/* The piece gets a mark of its own in front, so that text_decode looks for no other. */
static int decode_piece(struct file_open *open, struct ear_error *err)
{
    bool little = open->encoding == FILE_UTF16LE;
    bool repaired = false;

    memcpy(open->block, little ? "\xFF\xFE" : "\xFE\xFF", MARK_SIZE);
    free(open->decoded);
    open->decoded = text_decode(open->block, MARK_SIZE + (open->raw_length & ~(size_t)1), NULL,
                                &open->length, &repaired);
    open->text = open->decoded;
    return open->decoded != NULL ? 0 : ear_fail_memory(err, "a piece of a file");
}

/* Reads a piece of at most `size` bytes from where the next row begins. */
int open_fill(struct file_open *open, size_t size, struct ear_error *err)
{
    char *block = realloc(open->block, MARK_SIZE + size + 1);
    char *raw = NULL;
    ssize_t got = 0;

    if (block == NULL) {
        return ear_fail_memory(err, "a piece of a file");
    }
    open->block = block;
    open->raw = raw = block + MARK_SIZE;
    open->raw_length = 0;
    do {
        got = pread(open->fd, raw + open->raw_length, size - open->raw_length,
                    open->offset + (off_t)open->raw_length);
        if (got < 0 && errno != EINTR) {
            return ear_fail(err, EAR_RETRY, "a file cannot be read: %s", strerrordesc_np(errno));
        }
        open->raw_length += got > 0 ? (size_t)got : 0;
    } while (got != 0 && open->raw_length < size);
    open->at_end = got == 0;
    open->at = 0;
    open->text = open->raw;
    open->length = open->raw_length;
    raw[open->raw_length] = '\0';
    return open->encoding < FILE_UTF16LE ? 0 : decode_piece(open, err);
}

/* Reads a bigger piece; false: it is as big as may be, or *failed. */
static bool fill_more(struct file_open *open, bool *failed, struct ear_error *err)
{
    size_t size = open->raw_length * 2 > PIECE_SIZE ? open->raw_length * 2 : PIECE_SIZE;

    if (open->raw_length >= PIECE_MAX) {
        return false;
    }
    *failed = open_fill(open, size < PIECE_MAX ? size : PIECE_MAX, err) != 0;
    return !*failed;
}

/* --- the head --- */

/* Among what is not ASCII in the head, is there more that is UTF-8 than that is not? */
static bool is_rather_utf8(const char *bytes, size_t length)
{
    size_t good = 0;
    size_t bad = 0;

    for (size_t at = 0; at < length;) {
        size_t taken = 1;
        size_t step = text_sequence(bytes + at, length - at, &taken);

        good += step > 1;
        bad += step == 0 && at + 4 <= length; /* the head may end inside a character */
        at += step > 0 ? step : taken;
    }
    return good > 0 && good >= bad;
}

static void tell_encoding(struct file_open *open)
{
    size_t length = open->raw_length;

    if (length >= 2 && memcmp(open->raw, "\xFF\xFE", 2) == 0) {
        open->encoding = FILE_UTF16LE;
    } else if (length >= 2 && memcmp(open->raw, "\xFE\xFF", 2) == 0) {
        open->encoding = FILE_UTF16BE;
    } else {
        open->encoding = is_rather_utf8(open->raw, length) ? FILE_UTF8 : FILE_LEGACY;
    }
}

static bool has_ending(const char *path, const char *const endings[])
{
    const char *dot = strrchr(path, '.');

    for (; dot != NULL && *endings != NULL; endings++) {
        if (strcasecmp(dot, *endings) == 0) {
            return true;
        }
    }
    return false;
}

static void tell_format(struct file_open *open, const char *path, const struct file_config *config)
{
    static const char *const ndjson[] = {".ndjson", ".jsonl", ".json", NULL};
    static const char *const csv[] = {".csv", ".txt", ".tsv", ".tab", NULL};
    static const char *const tsv[] = {".tsv", ".tab", NULL};
    static const char *const mbox[] = {".mbox", ".mbx", NULL};
    int delimiter = delimiter_of(config->delimiter);
    size_t blanks = strspn(open->text, " \t\r\n");
    bool automatic = strcmp(config->format, "auto") == 0;

    open->format = FILE_CSV;
    if (strcmp(config->format, "mbox") == 0 ||
        (automatic &&
         (has_ending(path, mbox) || (!has_ending(path, csv) && !has_ending(path, ndjson) &&
                                     open->length >= 5 && memcmp(open->text, "From ", 5) == 0)))) {
        open->format = FILE_MBOX;
        return;
    }
    if (strcmp(config->format, "ndjson") == 0 ||
        (automatic &&
         (has_ending(path, ndjson) ||
          (!has_ending(path, csv) && blanks < open->length && open->text[blanks] == '{')))) {
        open->format = FILE_NDJSON;
    }
    if (delimiter > 0) {
        open->delimiter = (char)delimiter;
    } else if (strcmp(config->format, "tsv") == 0 || (automatic && has_ending(path, tsv))) {
        open->delimiter = '\t';
    } else {
        open->delimiter = csv_sniff(open->text, open->length);
    }
}

/* Excel's first line "sep=;" says how the rest is delimited. */
/* The row as valid UTF-8; *mended where something of it was lost. */
const char *open_fix(struct file_open *open, const char *text, size_t *length, bool *mended,
                     struct ear_error *err)
{
    if (text_valid(text, *length)) {
        return text;
    }
    free(open->fixed);
    open->fixed = open->encoding == FILE_LEGACY ? text_decode(text, *length, NULL, length, mended)
                                                : text_repair(text, *length, length, mended);
    if (open->fixed == NULL) {
        ear_fail_memory(err, "a row");
    }
    return open->fixed;
}

static int read_head(struct file_open *open, const char *path, const struct file_config *config,
                     const struct file_map *map, struct ear_error *err)
{
    if (open_fill(open, FILE_HEAD_MAX, err) != 0) {
        return -1;
    }
    tell_encoding(open);
    if (open->encoding >= FILE_UTF16LE && decode_piece(open, err) != 0) {
        return -1;
    }
    if (open->text == NULL) {
        return ear_fail_memory(err, "a piece of a file"); /* cannot be: it was filled */
    }
    if (open->length >= 3 && memcmp(open->text, "\xEF\xBB\xBF", 3) == 0) {
        open_take(open, 3, 0); /* its mark */
        open->encoding = open->encoding == FILE_LEGACY ? FILE_UTF8 : open->encoding;
    }
    open->text += open->at; /* the head is told from behind its mark */
    open->length -= open->at;
    open->at = 0;
    tell_format(open, path, config);
    if (open->format == FILE_MBOX) {
        open->encoding = FILE_UTF8; /* each part has its own */
    }
    if (open->format == FILE_CSV && open->length > 0) {
        return open_read_header(open, config, map, err);
    }
    open->nothing = open->length == 0;
    return 0;
}

struct file_open *open_new(const char *path, const struct file_config *config,
                           const struct file_map *map, const struct file_mark *mark,
                           struct ear_error *err)
{
    struct file_open *open = calloc(1, sizeof *open);

    if (open == NULL) {
        ear_fail_memory(err, "a file");
        return NULL;
    }
    open->line = 1;
    open->fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (open->fd < 0) {
        ear_fail(err, EAR_REJECT, "unreadable: %s", strerrordesc_np(errno));
        goto failed;
    }
    if (read_head(open, path, config, map, err) != 0) {
        goto failed;
    }
    if (mark->offset > open->offset) {
        open->offset = mark->offset;
        open->line = mark->line;
        open->skipping = mark->skipping;
    }
    open->length = open->at = 0; /* the next piece is read from there */
    open->at_end = false;
    return open;

failed:
    open_close(open);
    return NULL;
}

void open_close(struct file_open *open)
{
    if (open != NULL) {
        if (open->fd >= 0) {
            close(open->fd);
        }
        free(open->block);
        free(open->decoded);
        free(open->fixed);
        csv_clear(&open->cells);
        free(open);
    }
}

/* --- rows --- */

/* Takes the first physical line only, so that what stands behind a broken row is read. */
static void give_broken(struct file_open *open, const char *code, const char *reason,
                        struct file_row *row, enum row_kind *kind)
{
    const char *from = open->text + open->at;
    const char *end = memchr(from, '\n', open->length - open->at);
    size_t size = end != NULL ? (size_t)(end - from) : open->length - open->at;

    *row = (struct file_row){.text = from,
                             .length = size,
                             .offset = open->offset,
                             .line = open->line,
                             .ended = end != NULL,
                             .code = code,
                             .reason = reason};
    open_take(open, size + (end != NULL), end != NULL);
    open->skipping = end == NULL && !open->at_end;
    *kind = ROW_BROKEN;
}

/* Inside a row that is too long: on to its line end. */
static int skip_line(struct file_open *open, struct ear_error *err)
{
    while (open->skipping && open->format == FILE_MBOX) {
        if (open_skip_message(open) || (open->at_end && open->at == open->length)) {
            return 0;
        }
        if (open_fill(open, PIECE_SIZE, err) != 0) {
            return -1;
        }
    }
    while (open->skipping) {
        const char *from = open->text + open->at;
        const char *end =
            open->length > open->at ? memchr(from, '\n', open->length - open->at) : NULL;

        if (end != NULL) {
            open_take(open, (size_t)(end - from) + 1, 1);
            open->skipping = false;
        } else {
            open_take(open, open->length - open->at, 0);
            if (open->at_end) {
                return 0;
            }
            if (open_fill(open, PIECE_SIZE, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int give_found(struct file_open *open, size_t length, size_t taken, size_t lines, bool ended,
                      struct file_row *row, enum row_kind *kind, struct ear_error *err)
{
    *row = (struct file_row){
        .length = length, .offset = open->offset, .line = open->line, .ended = ended};
    row->text = open_fix(open, open->text + open->at, &row->length, &row->mended, err);
    if (row->text == NULL) {
        return -1;
    }
    if (open->format == FILE_CSV && row->text == open->fixed &&
        csv_read(&open->cells, row->text, row->length, open->delimiter, err) < 0) {
        return -1;
    }
    open_take(open, taken, lines);
    *kind = ROW_FOUND;
    return 0;
}

/* One try at a row within the piece: *kind is ROW_END where the piece does not hold it whole. */
static int try_csv(struct file_open *open, bool last_try, bool patient, struct file_row *row,
                   enum row_kind *kind, struct ear_error *err)
{
    const char *from = open->text + open->at;
    size_t left = open->length - open->at;
    int end = csv_read(&open->cells, from, left, open->delimiter, err);
    size_t length = open->cells.taken;

    *kind = ROW_END;
    if (end < 0) {
        return -1;
    }
    if (end != CSV_LINE_END && !last_try) {
        return 0;
    }
    if (end == CSV_OPEN_QUOTE || (end == CSV_TEXT_END && !open->at_end)) {
        if (open->at_end && patient && from[left - 1] != '\n') {
            return 0; /* perhaps it is still being written */
        }
        give_broken(open, open->at_end ? "bad_csv" : "too_large",
                    open->at_end ? "a quote that is opened and not closed"
                                 : "a row longer than 1 MiB, or a quote that is not closed",
                    row, kind);
        return 0;
    }
    while (length > 0 && (from[length - 1] == '\n' || from[length - 1] == '\r')) {
        length--;
    }
    return give_found(open, length, open->cells.taken, open->cells.lines, end == CSV_LINE_END, row,
                      kind, err);
}

static int try_ndjson(struct file_open *open, bool last_try, struct file_row *row,
                      enum row_kind *kind, struct ear_error *err)
{
    const char *from = open->text + open->at;
    size_t left = open->length - open->at;
    const char *end = memchr(from, '\n', left);
    size_t length = end != NULL ? (size_t)(end - from) : left;

    *kind = ROW_END;
    if (end == NULL && !last_try) {
        return 0;
    }
    if (end == NULL && !open->at_end) {
        give_broken(open, "too_large", "a line longer than 1 MiB", row, kind);
        return 0;
    }
    return give_found(open, length, length + (end != NULL), end != NULL, end != NULL, row, kind,
                      err);
}

static bool is_blank_row(const struct file_open *open, const struct file_row *row)
{
    for (size_t i = 0; i < row->length; i++) {
        bool between = open->format == FILE_CSV && row->text[i] == open->delimiter;

        if (!between && row->text[i] != ' ' && row->text[i] != '\t' && row->text[i] != '\r') {
            return false;
        }
    }
    return true;
}

static int try_row(struct file_open *open, bool patient, struct file_row *row, enum row_kind *kind,
                   struct ear_error *err)
{
    bool last_try = open->at_end || open->raw_length >= PIECE_MAX;

    if (open->format == FILE_MBOX) {
        return open_try_mbox(open, last_try, patient, row, kind);
    }
    return open->format == FILE_CSV ? try_csv(open, last_try, patient, row, kind, err)
                                    : try_ndjson(open, last_try, row, kind, err);
}

int open_next(struct file_open *open, bool patient, struct file_row *row, enum row_kind *kind,
              struct ear_error *err)
{
    if (open->nothing) {
        *kind = ROW_END;
        return 0;
    }
    if (skip_line(open, err) != 0) {
        return -1;
    }
    for (;;) {
        bool failed = false;

        *kind = ROW_END;
        if (open->at == open->length) {
            if (open->at_end) {
                return 0;
            }
            if (open_fill(open, PIECE_SIZE, err) != 0) {
                return -1;
            }
            continue;
        }
        if (try_row(open, patient, row, kind, err) != 0) {
            return -1;
        }
        if (*kind == ROW_FOUND && is_blank_row(open, row)) {
            continue;
        }
        if (*kind != ROW_END || open->at_end) {
            return 0;
        }
        if (open->at > 0) {
            failed = open_fill(open, PIECE_SIZE, err) != 0;
        } else {
            fill_more(open, &failed, err);
        }
        if (failed) {
            return -1;
        }
    }
}

void open_back(struct file_open *open, const struct file_row *row)
{
    open->offset = row->offset;
    open->line = row->line;
    open->length = open->at = 0;
    open->at_end = false;
    open->skipping = false;
}

int open_mark(const struct file_open *open, struct file_mark *mark, struct ear_error *err)
{
    mark->offset = open->offset;
    mark->line = open->line;
    mark->skipping = open->skipping;
    return mark_note(mark, open->fd, err);
}

int64_t open_offset(const struct file_open *open)
{
    return open->offset;
}

enum file_format open_format(const struct file_open *open)
{
    return open->format;
}

size_t open_columns(const struct file_open *open)
{
    return open->column_count;
}

const struct csv_row *open_cells(const struct file_open *open)
{
    return &open->cells;
}

int open_column(const struct file_open *open, enum file_field field)
{
    return open->columns[field];
}

int open_extra_column(const struct file_open *open, size_t extra)
{
    return open->extras[extra];
}
