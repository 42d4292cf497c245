/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FILE_FILE_INTERNAL_H
#define EARSHOT_COLLECTORS_FILE_FILE_INTERNAL_H

#include <glob.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "collectors/source.h"
#include "common/error.h"
#include "common/hash.h"

struct config_node;
struct json;
struct json_node;
struct json_writer;
struct zone;

enum {
    FILE_FILES_MAX = 2000,      /* that a source may match */
    FILE_ROW_MAX = 1024 * 1024, /* bytes of a row */
    FILE_HEAD_MAX = 64 * 1024,  /* looked at to tell format, encoding and delimiter */
    FILE_MARK_MAX = 1024,       /* of a file's beginning, by which it is known again */
    FILE_COLUMNS_MAX = 1000,
    FILE_EXTRAS_MAX = 64, /* x_ fields of a map */
    FILE_ID_SIZE = HASH128_TEXT_SIZE + 24,
};

/* --- what the configuration says --- */

enum file_field {
    FILE_ID,
    FILE_URL,
    FILE_TITLE,
    FILE_TEXT,
    FILE_AUTHOR,
    FILE_AUTHOR_NAME,
    FILE_CREATED,
    FILE_EDITED,
    FILE_LANG,
    FILE_THREAD,
    FILE_PARENT,
    FILE_RATING,
    FILE_LIKES,
    FILE_REPLIES,
    FILE_SHARES,
    FILE_VIEWS,
    FILE_CHANNEL,
    FILE_FIELDS
};

/* Names of the fields, as a map has them; NULL-ended. */
extern const char *const file_field_names[FILE_FIELDS + 1];

struct file_config {
    const char *path;
    const struct config_node *map;
    const char *format;    /* auto, csv, tsv, ndjson, mbox */
    const char *delimiter; /* auto, or one character */
    double scale;          /* that a rating is divided by */
    const char *recorded;  /* an instant; NULL: times as they are */
};

/* Where each field is: a column's name, or a member or JSON Pointer in NDJSON. Borrowed from the
 * configuration. */
struct file_map {
    bool given; /* else columns named like fields count */
    const char *fields[FILE_FIELDS];
    const char *extra_names[FILE_EXTRAS_MAX], *extras[FILE_EXTRAS_MAX];
    size_t extra_count;
};

void map_read(struct file_map *map, const struct config_node *node);

/* Adds findings about a map and a scale. */
void map_check(struct config *config, const struct config_node *map);
void scale_check(struct config *config, const struct settings_source *source, double scale);

/* Adds findings about the source's keys (collectors/source.h). */
void file_check(struct config *config, const struct settings_source *source,
                const void *reader_config);

/* The delimiter that a configured word names: a character, or 0 for auto; -1: none. */
int delimiter_of(const char *word);

/* A hash of all that decides how a row becomes a post: when it changes, files are read again. */
struct hash128 config_hash(const struct file_config *config, const struct file_map *map);

/* --- which files: file_find.c --- */

/*
 * The files that a path stands for: a file, a folder (all in it) or a pattern; base: the folder
 * that a relative one begins at, NULL: none. *out is the caller's to globfree, also after a
 * failure; all zero before. -1: EAR_RETRY (there is none where one was named, or it may not be
 * looked for), EAR_CONFIG (more than FILE_FILES_MAX), EAR_FATAL.
 */
EAR_MUST_CHECK
int files_find(glob_t *out, const char *base, const char *path, struct ear_error *err);

/* What a file is called in cursor and rejects: without the folder `base`. Borrowed from `path`. */
const char *files_name(const char *base, const char *path);

/* --- CSV --- */

enum csv_end {
    CSV_LINE_END,   /* a whole row */
    CSV_TEXT_END,   /* the text ends within or right behind it */
    CSV_OPEN_QUOTE, /* the text ends within quotes */
};

/* A row's cells, unquoted, NUL-ended. Its memory is used again for the next. */
struct csv_row {
    char *text;
    size_t text_capacity;
    size_t starts[FILE_COLUMNS_MAX]; /* [count] of the cells in text */
    size_t count;
    size_t taken; /* bytes of the source text, line end included */
    size_t lines; /* line ends among them */
    bool junk;    /* something stood between a closing quote and the delimiter */
    bool too_many;
};

/* Reads the row at the start of the text (RFC 4180; any line ends; quotes doubled). -1: EAR_FATAL;
 * else an enum csv_end. */
int csv_read(struct csv_row *row, const char *text, size_t length, char delimiter,
             struct ear_error *err);
void csv_clear(struct csv_row *row);
const char *csv_cell(const struct csv_row *row, size_t index); /* "" beyond the last */

/* The delimiter among comma, semicolon, tab and bar that fits the head of a file best. */
char csv_sniff(const char *text, size_t length);

/* --- a file that is being read --- */

/* What is kept of a file between polls. */
struct file_mark {
    char *path; /* relative to the configuration's folder where it lies in it */
    int64_t inode, size, changed_us;
    int64_t offset; /* of the next row */
    int64_t line;   /* its number, from 1 */
    int64_t head_length;
    struct hash128 head;   /* of so many first bytes */
    struct hash128 before; /* of up to FILE_MARK_MAX bytes before offset */
    bool bare;             /* rows without an id of their own were read: ordinals count */
    bool skipping;         /* offset lies inside a row that is too long */
    int64_t tail_offset;   /* of a last row that had no end yet; -1: none */
    int64_t tail_line;
    char tail_id[FILE_ID_SIZE * 4]; /* what it was emitted as; "" where it was not */
    bool present;                   /* found in this poll; not kept */
};

enum file_format { FILE_CSV, FILE_NDJSON, FILE_MBOX };
enum file_encoding { FILE_UTF8, FILE_LEGACY, FILE_UTF16LE, FILE_UTF16BE };

enum row_kind {
    ROW_END,    /* no more for now */
    ROW_FOUND,  /* text and place are filled */
    ROW_BROKEN, /* code and reason too */
};

/* A row as it lies in the file, decoded. Borrowed until the next. */
struct file_row {
    const char *text; /* [length], without its line end */
    size_t length;
    int64_t offset, line;
    bool ended;  /* by a line end */
    bool mended; /* bytes of it were no text */
    const char *code, *reason;
};

struct file_open; /* a file, its header and where it is read */

/*
 * Opens a file to be read from mark->offset. NULL with EAR_REJECT and a code in front
 * ("unreadable: …", "schema: …" where the header lacks a mapped column), or EAR_FATAL. Closes with
 * open_close.
 */
struct file_open *open_new(const char *path, const struct file_config *config,
                           const struct file_map *map, const struct file_mark *mark,
                           struct ear_error *err);
void open_close(struct file_open *open);

/* The next row; *kind says what it is. `patient`: a broken last row may still be being written.
 * -1: EAR_RETRY (the disk), EAR_FATAL. */
int open_next(struct file_open *open, bool patient, struct file_row *row, enum row_kind *kind,
              struct ear_error *err);

/* Gives the row found last back: the next one is that again. */
void open_back(struct file_open *open, const struct file_row *row);

/* Where the next row begins. */
int64_t open_offset(const struct file_open *open);
enum file_format open_format(const struct file_open *open);

/* Of CSV: how many columns its header has. */
size_t open_columns(const struct file_open *open);

/* Of CSV: the cells of the row found last, and where a field's column is (-1: nowhere). */
const struct csv_row *open_cells(const struct file_open *open);
int open_column(const struct file_open *open, enum file_field field);
int open_extra_column(const struct file_open *open, size_t extra);

/* Fills the mark with where the file is read and how it now looks. -1: EAR_RETRY (the disk). */
EAR_MUST_CHECK
int open_mark(const struct file_open *open, struct file_mark *mark, struct ear_error *err);

/* --- marks --- */

/* Fills size, time, inode and hashes, of a file that was read up to mark->offset. */
EAR_MUST_CHECK
int mark_note(struct file_mark *mark, int fd, struct ear_error *err);

/* Lets a file that cannot be read rest until it changes. */
void mark_give_up(struct file_mark *mark, const char *path);

/*
 * Whether the file at `path` is to be read: on from where the mark stands, or from its beginning
 * (then the mark is set back). False: it is as it was, or no plain file. *settled: it has not
 * changed for some seconds.
 */
bool mark_wants_reading(struct file_mark *mark, const char *path, int64_t now_us, bool *settled);
void mark_reset(struct file_mark *mark);

/* --- ordinals --- */

struct ordinals; /* how often each row was met in a file */
struct ordinals *ordinals_new(void);
void ordinals_free(struct ordinals *ordinals);

/* How often the row was met before; counts it. Rows beyond some two million different ones are not
 * counted: of them equal ones are one. */
uint32_t ordinals_count(struct ordinals *ordinals, const struct hash128 *row);

/* --- messages of an mbox --- */

struct mail; /* the one that was read last */
struct mail *mail_new(void);
void mail_free(struct mail *mail);

/* Reads a message, whatever it is: bytes as they lie in the file, the line "From …" before them.
 * Borrowed until the next. -1: EAR_FATAL. */
EAR_MUST_CHECK
int mail_read(struct mail *mail, const char *bytes, size_t length, struct ear_error *err);

/* A header by its name, decoded; NULL: none. The mail's until the next message; the caller may cut
 * it. */
char *mail_header(struct mail *mail, const char *name);

/* What was written, without what it quotes; NULL: nothing that is text. */
const char *mail_text(const struct mail *mail, size_t *length, bool *html);
bool mail_mended(const struct mail *mail);

/* "Kim <kim@x.example>" in its two halves, in place; no name: NULL. */
void mail_split_address(char *value, const char **name, const char **address);

/* --- rows to records --- */

struct row_reader {
    const struct file_config *config;
    const struct file_map *map;
    const struct zone *zone;
    int64_t shift_us;
    struct json *json;
    struct json_writer *writer;
    struct mail *mail; /* made when there is one */
    char *mail_from;   /* its sender, split */
    char *mail_title;  /* as HTML, where the text is */
    struct ordinals *ordinals;
    const char *given_id;  /* of a row that has none; NULL: the hash of the row */
    char id[FILE_ID_SIZE]; /* of the row last read, where it is a hash; "" otherwise */
    bool bare;             /* some row had no id of its own */
};

/*
 * A row as a record, whose strings live until the next. -1 with EAR_REJECT and a code in front
 * ("bad_csv: …", "bad_json: …", "bad_number: …", "schema: …"), or EAR_FATAL.
 */
int row_read(struct row_reader *reader, struct file_open *open, const struct file_row *row,
             struct source_record *record, struct ear_error *err);

/* The same of a JSON object that lies in no file. */
int row_read_json(struct row_reader *reader, const struct file_row *row,
                  struct source_record *record, struct ear_error *err);

/* Lets go of what rows were read with, but for what the reader was given. */
void row_clear(struct row_reader *reader);

/* Only counts a row of a part that was read before. */
int row_count(struct row_reader *reader, struct file_open *open, const struct file_row *row,
              struct ear_error *err);

/* --- the cursor --- */

struct file_memory {
    struct hash128 config;
    bool has_config;
    char *recorded; /* that the shift was made for */
    int64_t shift_us;
    struct file_mark *marks; /* [count] */
    size_t count;
};

int file_memory_load(struct file_memory *memory, const char *cursor, size_t length,
                     struct ear_error *err);
void file_memory_clear(struct file_memory *memory);
void file_memory_write(const struct file_memory *memory, struct json_writer *writer);

/* The mark of a path, made if there is none; NULL with EAR_FATAL. It may move the others. */
struct file_mark *file_memory_mark(struct file_memory *memory, const char *path,
                                   struct ear_error *err);

#endif
