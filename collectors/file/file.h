/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FILE_FILE_H
#define EARSHOT_COLLECTORS_FILE_FILE_H

/*
 * The file reader (`use: file`): CSV, TSV, NDJSON and mbox, one file or a folder watched by a
 * pattern, behind collectors/source.h.
 *
 * A row is a post. Its id is that of the mapped id column, else a hash of all its cells and its
 * ordinal among the equal rows of its file: reading a file again changes nothing, and two equal
 * answers stay two. In NDJSON a later line with the same id is an edit, {"id":…,"deleted":true} a
 * deletion; members that a post does not have are kept under x_.
 *
 * In an mbox a message is a post: its id is its Message-ID, its thread the first it refers to; what
 * a reply quotes is left out. A map names headers.
 *
 * The cursor keeps for each file how far it was read. A file that has grown is read on; one that is
 * shorter, another (inode) or begins otherwise is read again, and so is all after a change of the
 * source's configuration. A last line without its end is read as it stands; if it turns out longer
 * later, what was made of it is taken back.
 */

#include "collectors/source.h"

extern const struct source_reader file_reader;

/* Writes a text with what a pattern of paths would take for its own escaped; out has room for 2
 * bytes of each and a NUL. Returns its end. */
char *file_escape(char *out, const char *text);

/* --- the same rows by another way than a file --- */

/* What decides how an object becomes a post: the keys `map` and `scale` of a file source. */
struct file_rows_config {
    const struct settings *settings;
    const struct settings_source *source;
    const struct config_node *map; /* NULL: members named like fields count */
    double scale;                  /* that a rating is divided by; above 0 */
};

struct file_rows;

/* The configuration is borrowed but for the struct itself. -1: EAR_FATAL, EAR_CONFIG (its zone). */
EAR_MUST_CHECK
int file_rows_new(struct file_rows **out, const struct file_rows_config *config,
                  struct ear_error *err);
void file_rows_free(struct file_rows *rows);

/*
 * A JSON object as a record, whose strings live until the next. id: of an object that has none;
 * borrowed as long. Bytes that are no UTF-8 are mended. -1: EAR_REJECT with a code in front
 * ("bad_json: byte 12: …", "schema: …", "bad_number: …"), EAR_FATAL. Threads: one at a time.
 */
EAR_MUST_CHECK
int file_rows_read(struct file_rows *rows, const char *json, size_t length, const char *id,
                   struct source_record *record, struct ear_error *err);

/* Adds findings about the two keys, of a source's own table. */
void file_rows_check(struct config *config, const struct settings_source *source,
                     const struct config_node *map, double scale);

#endif
