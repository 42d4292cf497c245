/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of cells, as RFC 4180 has them and as spreadsheets write them: a quote counts only at the
 * beginning of a cell; within quotes everything is text, and two quotes are one; a line ends with
 * CR, LF or both.
 */
#include "collectors/file/file_internal.h"

#include <stdlib.h>
#include <string.h>

struct cutting {
    const char *text;
    size_t length, at;
    char delimiter;
    char *out;
    size_t written, lines;
    bool open_quote, junk;
};

static bool is_line_end(char byte)
{
    return byte == '\n' || byte == '\r';
}

/* From behind the opening quote to behind the closing one. */
static void cut_quoted(struct cutting *cutting)
{
    cutting->at++;
    for (;;) {
        char byte = 0;

        if (cutting->at == cutting->length) {
            cutting->open_quote = true;
            return;
        }
        byte = cutting->text[cutting->at++];
        if (byte == '"') {
            if (cutting->at == cutting->length || cutting->text[cutting->at] != '"') {
                return;
            }
            cutting->at++;
        }
        cutting->lines += byte == '\n' || (byte == '\r' && cutting->at < cutting->length &&
                                           cutting->text[cutting->at] != '\n');
        cutting->out[cutting->written++] = byte;
    }
}

static void cut_plain(struct cutting *cutting)
{
    while (cutting->at < cutting->length && cutting->text[cutting->at] != cutting->delimiter &&
           !is_line_end(cutting->text[cutting->at])) {
        cutting->out[cutting->written++] = cutting->text[cutting->at++];
    }
}

static void cut_cell(struct cutting *cutting)
{
    if (cutting->at < cutting->length && cutting->text[cutting->at] == '"') {
        size_t before = 0;

        cut_quoted(cutting);
        before = cutting->at;
        cut_plain(cutting);
        cutting->junk = cutting->junk || cutting->at > before;
    } else {
        cut_plain(cutting);
    }
    cutting->out[cutting->written++] = '\0';
}

/* Takes a line end; false: there is none, or it may not be whole. */
static bool cut_line_end(struct cutting *cutting)
{
    if (cutting->at == cutting->length) {
        return false;
    }
    if (cutting->text[cutting->at] == '\r') {
        if (cutting->at + 1 == cutting->length) {
            cutting->at++;
            return false;
        }
        cutting->at += cutting->text[cutting->at + 1] == '\n';
    }
    cutting->at++;
    cutting->lines++;
    return true;
}

static int make_room(struct csv_row *row, size_t size, struct ear_error *err)
{
    char *text = NULL;

    if (row->text != NULL && size <= row->text_capacity) {
        return 0;
    }
    text = realloc(row->text, size);
    if (text == NULL) {
        return ear_fail_memory(err, "a row");
    }
    row->text = text;
    row->text_capacity = size;
    return 0;
}

/* How much of the text a row can take: up to the first line end outside of quotes at most; found
 * without copying, so that a piece of many rows is not copied for each. */
static size_t row_span(const char *text, size_t length, char delimiter)
{
    bool quoted = false;
    bool fresh = true; /* at the beginning of a cell */

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' && (quoted || fresh)) {
            quoted = !quoted;
            fresh = quoted ? false : i + 1 < length && text[i + 1] == '"';
        } else if (!quoted) {
            if (is_line_end(text[i])) {
                return i + 2 < length ? i + 2 : length;
            }
            fresh = text[i] == delimiter;
        }
    }
    return length;
}

int csv_read(struct csv_row *row, const char *text, size_t length, char delimiter,
             struct ear_error *err)
{
    struct cutting cutting = {.text = text, .delimiter = delimiter};
    bool ended = false;

    cutting.length = row_span(text, length, delimiter);
    row->count = 0;
    row->too_many = false;
    if (make_room(row, 2 * cutting.length + 2, err) != 0) {
        return -1;
    }
    cutting.out = row->text;
    if (cutting.out == NULL) {
        return ear_fail_memory(err, "a row"); /* cannot be: there is room */
    }
    for (;;) {
        if (row->count < FILE_COLUMNS_MAX) {
            row->starts[row->count++] = cutting.written;
        } else {
            row->too_many = true;
        }
        cut_cell(&cutting);
        if (cutting.at == cutting.length || cutting.text[cutting.at] != delimiter) {
            break;
        }
        cutting.at++;
    }
    ended = cut_line_end(&cutting);
    row->taken = cutting.at;
    row->lines = cutting.lines;
    row->junk = cutting.junk;
    if (cutting.open_quote) {
        return CSV_OPEN_QUOTE;
    }
    return ended ? CSV_LINE_END : CSV_TEXT_END;
}

void csv_clear(struct csv_row *row)
{
    free(row->text);
    *row = (struct csv_row){0};
}

const char *csv_cell(const struct csv_row *row, size_t index)
{
    return index < row->count ? row->text + row->starts[index] : "";
}

/* How well a delimiter fits: the cells of the first row, if the rows after it have as many. */
static size_t fit(struct csv_row *row, const char *text, size_t length, char delimiter)
{
    struct ear_error err = {0};
    size_t columns = 0;
    size_t same = 0;
    size_t rows = 0;

    for (size_t at = 0; rows < 6 && at < length; rows++) {
        int end = csv_read(row, text + at, length - at, delimiter, &err);

        if (end < 0 || (rows > 0 && end != CSV_LINE_END)) {
            break;
        }
        columns = rows == 0 ? row->count : columns;
        same += row->count == columns;
        at += row->taken;
    }
    return columns > 1 ? columns * 10 * same / (rows > 0 ? rows : 1) : 0;
}

char csv_sniff(const char *text, size_t length)
{
    static const char candidates[] = {',', ';', '\t', '|'};
    struct csv_row row = {0};
    char best = ',';
    size_t best_fit = 0;

    for (size_t i = 0; i < sizeof candidates; i++) {
        size_t now = fit(&row, text, length, candidates[i]);

        if (now > best_fit) {
            best_fit = now;
            best = candidates[i];
        }
    }
    csv_clear(&row);
    return best;
}
