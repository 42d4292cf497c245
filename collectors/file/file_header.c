/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a CSV or TSV file: which column is which. */
#include "collectors/file/file_open_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void take_separator_line(struct file_open *open, const struct file_config *config)
{
    if (open->length > 5 && strncasecmp(open->text, "sep=", 4) == 0 &&
        (open->text[5] == '\r' || open->text[5] == '\n')) {
        char delimiter = open->text[open->at + 4];

        open_take(open, 6, 1);
        if (open->text[open->at - 1] == '\r' && open->text[open->at] == '\n') {
            open_take(open, 1, 0);
        }
        if (delimiter_of(config->delimiter) == 0) {
            open->delimiter = delimiter;
        }
    }
}

static int find_column(const struct csv_row *header, const char *name)
{
    for (int strict = 1; strict >= 0; strict--) {
        for (size_t i = 0; i < header->count; i++) {
            const char *cell = csv_cell(header, i);
            size_t length = 0;

            cell += strspn(cell, " \t");
            length = strlen(cell);
            while (length > 0 && (cell[length - 1] == ' ' || cell[length - 1] == '\t')) {
                length--;
            }
            if (length == strlen(name) &&
                (strict ? strncmp(cell, name, length) : strncasecmp(cell, name, length)) == 0) {
                return (int)i;
            }
        }
    }
    return -1;
}

static void list_columns(char *out, size_t size, const struct csv_row *header)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < header->count && used + 1 < size; i++) {
        int wrote =
            snprintf(out + used, size - used, "%s%.40s", i > 0 ? ", " : "", csv_cell(header, i));

        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static int find_columns(struct file_open *open, const struct file_map *map, struct ear_error *err)
{
    char columns[240];
    const char *missing = NULL;

    for (int i = 0; i < FILE_FIELDS; i++) {
        const char *name = map->given ? map->fields[i] : file_field_names[i];

        open->columns[i] = name != NULL ? find_column(&open->cells, name) : -1;
        if (map->given && name != NULL && open->columns[i] < 0) {
            missing = name;
        }
    }
    for (size_t i = 0; i < map->extra_count; i++) {
        open->extras[i] = find_column(&open->cells, map->extras[i]);
        missing = open->extras[i] < 0 ? map->extras[i] : missing;
    }
    open->column_count = open->cells.count;
    while (open->column_count > 1 && csv_cell(&open->cells, open->column_count - 1)[0] == '\0') {
        open->column_count--; /* a delimiter at the end of the header */
    }
    list_columns(columns, sizeof columns, &open->cells);
    if (missing != NULL) {
        return ear_fail(err, EAR_REJECT,
                        "schema: there is no column '%.60s'; the columns are: %s; mend 'map' or "
                        "say the delimiter",
                        missing, columns);
    }
    if (open->columns[FILE_TEXT] < 0 && open->columns[FILE_TITLE] < 0 &&
        open->columns[FILE_RATING] < 0) {
        return ear_fail(err, EAR_REJECT,
                        "schema: no column is named 'text'; say which it is: map: {text: COLUMN}; "
                        "the columns are: %s",
                        columns);
    }
    return 0;
}

/* Reads the header; leaves `offset` at the first row behind it. */
int open_read_header(struct file_open *open, const struct file_config *config,
                     const struct file_map *map, struct ear_error *err)
{
    const char *text = NULL;
    size_t length = 0;
    bool mended = false;
    int end = 0;

    take_separator_line(open, config);
    end = csv_read(&open->cells, open->text + open->at, open->length - open->at, open->delimiter,
                   err);
    if (end < 0) {
        return -1;
    }
    if (end != CSV_LINE_END) {
        if (!open->at_end) {
            return ear_fail(err, EAR_REJECT, "bad_csv: its first line is no header");
        }
        open->nothing = true; /* a header alone, perhaps not yet whole */
        return 0;
    }
    length = open->cells.taken;
    if (memchr(open->text + open->at, '\0', length) != NULL) {
        return ear_fail(err, EAR_REJECT,
                        "bad_format: its first line holds zero bytes: it is no text. A program, a "
                        "picture, a workbook?");
    }
    text = open_fix(open, open->text + open->at, &length, &mended, err);
    open_take(open, open->cells.taken, open->cells.lines);
    if (text == NULL || csv_read(&open->cells, text, length, open->delimiter, err) < 0) {
        return -1;
    }
    return find_columns(open, map, err);
}
