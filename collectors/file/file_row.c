/* SPDX-License-Identifier: Apache-2.0 */
/* A row of either format as a record. */
#include "collectors/file/file_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/json/json.h"

/* What a row says, before it is understood. Strings are borrowed; NULL: nothing. */
struct values {
    const char *fields[FILE_FIELDS];
    size_t text_length;
    bool deleted, html;
};

static const char *const channels[] = {"forum",  "blog",   "social",    "video",
                                       "review", "survey", "frontline", "helpdesk",
                                       "ideas",  "crowd",  "internal",  NULL};

static bool among(const char *const names[], const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *or_null(const char *text)
{
    return text != NULL && text[strspn(text, " \t\r\n")] != '\0' ? text : NULL;
}

/* --- ids --- */

static void name_by_hash(struct row_reader *reader, struct hash128 hash)
{
    char hex[HASH128_TEXT_SIZE];
    uint32_t before = ordinals_count(reader->ordinals, &hash);

    hash128_format(hex, hash);
    if (before == 0) {
        snprintf(reader->id, sizeof reader->id, "%s", hex);
    } else {
        snprintf(reader->id, sizeof reader->id, "%s-%" PRIu32, hex, before + 1);
    }
    reader->bare = true;
}

/* Cells lie NUL-ended one after the other: their bytes are the row, whatever its delimiter. */
static struct hash128 hash_cells(const struct csv_row *cells)
{
    const char *last = csv_cell(cells, cells->count - 1);

    return hash128_of(cells->text, (size_t)(last - cells->text) + strlen(last));
}

static struct hash128 hash_line(const struct file_row *row)
{
    size_t length = row->length;
    size_t start = 0;

    while (length > 0 && strchr(" \t\r", row->text[length - 1]) != NULL) {
        length--;
    }
    while (start < length && strchr(" \t\r", row->text[start]) != NULL) {
        start++;
    }
    return hash128_of(row->text + start, length - start);
}

/* --- CSV --- */

static int check_cells(const struct file_open *open, const struct csv_row *cells,
                       struct ear_error *err)
{
    size_t columns = open_columns(open);
    size_t count = cells->count;

    while (count > columns && csv_cell(cells, count - 1)[0] == '\0') {
        count--;
    }
    if (cells->too_many || count != columns) {
        return ear_fail(err, EAR_REJECT,
                        "bad_csv: %zu cells, where the header has %zu; quote what holds the "
                        "delimiter or a line end",
                        cells->count, columns);
    }
    if (cells->junk) {
        return ear_fail(err, EAR_REJECT,
                        "bad_csv: text behind a closing quote; double the quotes within a cell");
    }
    return 0;
}

static int read_cells(struct row_reader *reader, struct file_open *open, struct values *values,
                      struct ear_error *err)
{
    const struct csv_row *cells = open_cells(open);

    if (check_cells(open, cells, err) != 0) {
        return -1;
    }
    for (int i = 0; i < FILE_FIELDS; i++) {
        int column = open_column(open, (enum file_field)i);

        values->fields[i] = column >= 0 ? or_null(csv_cell(cells, (size_t)column)) : NULL;
    }
    for (size_t i = 0; i < reader->map->extra_count; i++) {
        json_member_string(reader->writer, reader->map->extra_names[i],
                           or_null(csv_cell(cells, (size_t)open_extra_column(open, i))));
    }
    if (values->fields[FILE_ID] == NULL) {
        name_by_hash(reader, hash_cells(cells));
        values->fields[FILE_ID] = reader->id;
    }
    return 0;
}

/* --- NDJSON --- */

/* What a post has by itself; of these only the fields above are taken from a file. */
static const char *const post_members[] = {
    "source",  "also",    "platform", "author", "collected_at", "version", "engagement",
    "about",   "tags",    "audience", "ours",   "staff",        "flags",   "deleted",
    "dropped", "insight", NULL};

static const struct json_node *member_of(const struct json_node *root, const char *name)
{
    return name[0] == '/' ? json_pointer(root, name) : json_get(root, name);
}

static bool is_scalar(const struct json_node *node)
{
    enum json_kind kind = json_kind_of(node);

    return kind == JSON_STRING || kind == JSON_NUMBER;
}

static int read_member(struct values *values, enum file_field field, const struct json_node *node,
                       struct ear_error *err)
{
    if (node == NULL || json_kind_of(node) == JSON_NULL) {
        return 0;
    }
    if (!is_scalar(node)) {
        return ear_fail(err, EAR_REJECT, "schema: '%s' is neither a string nor a number",
                        file_field_names[field]);
    }
    values->fields[field] = or_null(json_string(node, NULL));
    return 0;
}

/* {"author":{"id","name"},"engagement":{"likes",…}}, as a post has them. */
static void read_nested(const struct json_node *root, struct values *values)
{
    static const enum file_field counts[] = {FILE_LIKES, FILE_REPLIES, FILE_SHARES, FILE_VIEWS};
    const struct json_node *author = json_get(root, "author");
    const struct json_node *engagement = json_get(root, "engagement");

    if (json_kind_of(author) == JSON_OBJECT) {
        values->fields[FILE_AUTHOR] = or_null(json_string(json_get(author, "id"), NULL));
        values->fields[FILE_AUTHOR_NAME] = or_null(json_string(json_get(author, "name"), NULL));
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (values->fields[counts[i]] == NULL) {
            values->fields[counts[i]] =
                json_string(json_get(engagement, file_field_names[counts[i]]), NULL);
        }
    }
}

/* Whether the map has taken the member already. */
static bool is_mapped(const struct file_map *map, const char *name)
{
    for (int i = 0; i < FILE_FIELDS; i++) {
        if (map->fields[i] != NULL && strcmp(map->fields[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < map->extra_count; i++) {
        if (strcmp(map->extras[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void write_extra(struct json_writer *writer, const char *name, const struct json_node *node)
{
    size_t length = 0;
    const char *raw = json_raw(node, &length);
    char key[256];

    snprintf(key, sizeof key, "%s%.200s", strncmp(name, "x_", 2) == 0 ? "" : "x_", name);
    json_write_key(writer, key);
    json_write_raw(writer, raw, length);
}

static void keep_unknown(struct row_reader *reader, const struct json_node *root)
{
    const struct file_map *map = reader->map;

    for (size_t i = 0; i < map->extra_count; i++) {
        const struct json_node *node = member_of(root, map->extras[i]);

        if (node != NULL) {
            write_extra(reader->writer, map->extra_names[i], node);
        }
    }
    for (const struct json_node *node = json_first(root); node != NULL; node = json_next(node)) {
        const char *name = json_key(node);

        if (!among(post_members, name) && !among(file_field_names, name) && !is_mapped(map, name)) {
            write_extra(reader->writer, name, node);
        }
    }
}

static int read_line(struct row_reader *reader, const struct file_row *row, struct values *values,
                     struct ear_error *err)
{
    const struct file_map *map = reader->map;
    const struct json_node *root =
        json_read(reader->json, row->text, row->length, &json_limits_default, err);

    if (root == NULL) {
        return -1;
    }
    if (json_kind_of(root) != JSON_OBJECT) {
        return ear_fail(err, EAR_REJECT, "schema: a line is a JSON object, one a line");
    }
    for (int i = 0; i < FILE_FIELDS; i++) {
        const char *name = map->given ? map->fields[i] : file_field_names[i];
        const struct json_node *node = name != NULL ? member_of(root, name) : NULL;

        if (!map->given && i == FILE_AUTHOR && json_kind_of(node) == JSON_OBJECT) {
            continue;
        }
        if (read_member(values, (enum file_field)i, node, err) != 0) {
            return -1;
        }
    }
    if (!map->given) {
        read_nested(root, values);
    }
    json_boolean(json_get(root, "deleted"), &values->deleted);
    keep_unknown(reader, root);
    if (values->fields[FILE_ID] == NULL) {
        if (values->deleted) {
            return ear_fail(err, EAR_REJECT, "schema: a deletion names its 'id'");
        }
        if (reader->given_id == NULL) {
            name_by_hash(reader, hash_line(row));
        }
        values->fields[FILE_ID] = reader->given_id != NULL ? reader->given_id : reader->id;
    }
    return 0;
}

/* --- mbox --- */

/* Where a field is by itself: the name of a header. Text, author and thread take more than that. */
static const char *const headers[FILE_FIELDS] = {
    [FILE_ID] = "Message-ID",      [FILE_TITLE] = "Subject",         [FILE_AUTHOR] = "From",
    [FILE_CREATED] = "Date",       [FILE_LANG] = "Content-Language", [FILE_THREAD] = "References",
    [FILE_PARENT] = "In-Reply-To",
};

/* <one@x> <two@y>: the first id without its brackets, in place. */
static char *first_id(char *value)
{
    char *open = value == NULL ? NULL : strchr(value, '<');
    char *close = open == NULL ? NULL : strchr(open, '>');

    if (close == NULL) {
        return value;
    }
    *close = '\0';
    return open + 1;
}

/* A conversation's first message names no other: its own id is the thread's. */
static void name_thread(const char *fields[FILE_FIELDS])
{
    if (fields[FILE_THREAD] == NULL) {
        fields[FILE_THREAD] = fields[FILE_PARENT] != NULL ? fields[FILE_PARENT] : fields[FILE_ID];
    }
}

static int split_sender(struct row_reader *reader, struct values *values, struct ear_error *err)
{
    const char *name = NULL;
    const char *address = NULL;

    free(reader->mail_from);
    reader->mail_from = NULL;
    if (values->fields[FILE_AUTHOR] == NULL) {
        return 0;
    }
    reader->mail_from = strdup(values->fields[FILE_AUTHOR]);
    if (reader->mail_from == NULL) {
        return ear_fail_memory(err, "a message");
    }
    mail_split_address(reader->mail_from, &name, &address);
    values->fields[FILE_AUTHOR] = or_null(address);
    if (values->fields[FILE_AUTHOR_NAME] == NULL) {
        values->fields[FILE_AUTHOR_NAME] = name;
    }
    return 0;
}

/* A subject beside a text in HTML is HTML too. */
static int escape_title(struct row_reader *reader, struct values *values, struct ear_error *err)
{
    const char *title = values->fields[FILE_TITLE];
    size_t length = 0;
    FILE *out = NULL;

    free(reader->mail_title);
    reader->mail_title = NULL;
    if (!values->html || title == NULL) {
        return 0;
    }
    out = open_memstream(&reader->mail_title, &length);
    for (; out != NULL && *title != '\0'; title++) {
        if (*title == '&' || *title == '<') {
            fputs(*title == '&' ? "&amp;" : "&lt;", out);
        } else {
            fputc(*title, out);
        }
    }
    if (out == NULL || fclose(out) != 0) {
        return ear_fail_memory(err, "a message");
    }
    values->fields[FILE_TITLE] = reader->mail_title;
    return 0;
}

/* The headers that the fields are; ids without brackets, a date without its comment. */
static void read_headers(struct row_reader *reader, struct values *values)
{
    const struct file_map *map = reader->map;

    for (int i = 0; i < FILE_FIELDS; i++) {
        const char *name = map->fields[i] != NULL ? map->fields[i] : headers[i];
        char *value = name != NULL ? mail_header(reader->mail, name) : NULL;

        if (i == FILE_ID || i == FILE_THREAD || i == FILE_PARENT) {
            value = first_id(value);
        } else if (i == FILE_CREATED && value != NULL) {
            value[strcspn(value, "(")] = '\0'; /* "+0100 (CET)" */
        }
        values->fields[i] = or_null(value);
    }
    for (size_t i = 0; i < map->extra_count; i++) {
        json_member_string(reader->writer, map->extra_names[i],
                           mail_header(reader->mail, map->extras[i]));
    }
}

static int read_mail(struct row_reader *reader, const struct file_row *row, struct values *values,
                     struct ear_error *err)
{
    if (reader->mail == NULL) {
        reader->mail = mail_new();
    }
    if (reader->mail == NULL) {
        return ear_fail_memory(err, "a message");
    }
    if (mail_read(reader->mail, row->text, row->length, err) != 0) {
        return -1;
    }
    read_headers(reader, values);
    if (reader->map->fields[FILE_TEXT] == NULL) {
        values->fields[FILE_TEXT] =
            or_null(mail_text(reader->mail, &values->text_length, &values->html));
    }
    if (values->fields[FILE_ID] == NULL) {
        name_by_hash(reader, hash_line(row));
        values->fields[FILE_ID] = reader->id;
    }
    name_thread(values->fields);
    return split_sender(reader, values, err) != 0 || escape_title(reader, values, err) != 0 ? -1
                                                                                            : 0;
}

void row_clear(struct row_reader *reader)
{
    mail_free(reader->mail);
    free(reader->mail_from);
    free(reader->mail_title);
    reader->mail = NULL;
    reader->mail_from = reader->mail_title = NULL;
}

/* --- what it means --- */

static int64_t instant_of(const struct row_reader *reader, const char *text)
{
    int64_t at_us = INT64_MIN;

    if (text == NULL || !instant_parse_any(&at_us, text, strlen(text), reader->zone)) {
        return INT64_MIN;
    }
    return at_us + reader->shift_us;
}

static int64_t count_of(const char *text)
{
    char *end = NULL;
    long long count = text != NULL ? strtoll(text, &end, 10) : -1;

    return text != NULL && end != text && *end == '\0' && count >= 0 ? count : -1;
}

/* A number, with a comma or point; words such as "n/a" are no rating. */
static int rating_of(const struct row_reader *reader, const char *text, double *rating,
                     struct ear_error *err)
{
    char number[64];
    char *comma = NULL;
    char *end = NULL;
    double value = 0;

    *rating = -1;
    if (text == NULL || strlen(text) >= sizeof number) {
        return 0;
    }
    snprintf(number, sizeof number, "%s", text);
    comma = strchr(number, ',');
    if (comma != NULL && strchr(number, '.') == NULL) {
        *comma = '.';
    }
    value = strtod(number, &end);
    if (end == number || end[strspn(end, " \t\r\n")] != '\0' || !isfinite(value)) {
        return 0;
    }
    value /= reader->config->scale;
    if (value < 0 || value > 1) {
        return ear_fail(err, EAR_REJECT, "bad_number: rating %s; a rating is 0 to %.15g%s", number,
                        reader->config->scale,
                        reader->config->scale == 1
                            ? ", or say what the best one is, such as scale: 10"
                            : ", as the scale says");
    }
    *rating = value;
    return 0;
}

static int fill_record(struct row_reader *reader, const struct values *values,
                       struct source_record *record, struct ear_error *err)
{
    const char *const *fields = values->fields;
    double rating = -1;

    *record = (struct source_record){
        .native_id = fields[FILE_ID],
        .channel = fields[FILE_CHANNEL],
        .url = fields[FILE_URL],
        .title = fields[FILE_TITLE],
        .text = fields[FILE_TEXT],
        .text_length = fields[FILE_TEXT] != NULL ? strlen(fields[FILE_TEXT]) : 0,
        .format = values->html ? SOURCE_HTML : SOURCE_PLAIN,
        .author_id = fields[FILE_AUTHOR] != NULL ? fields[FILE_AUTHOR] : fields[FILE_AUTHOR_NAME],
        .author_name =
            fields[FILE_AUTHOR_NAME] != NULL ? fields[FILE_AUTHOR_NAME] : fields[FILE_AUTHOR],
        .lang = fields[FILE_LANG],
        .thread = fields[FILE_THREAD],
        .parent = fields[FILE_PARENT],
        .created_us = instant_of(reader, fields[FILE_CREATED]),
        .edited_us = instant_of(reader, fields[FILE_EDITED]),
        .deleted = values->deleted,
        .rating = -1,
        .likes = count_of(fields[FILE_LIKES]),
        .replies = count_of(fields[FILE_REPLIES]),
        .shares = count_of(fields[FILE_SHARES]),
        .views = count_of(fields[FILE_VIEWS]),
    };
    record->time_unread = fields[FILE_CREATED] != NULL && record->created_us == INT64_MIN;
    if (values->deleted) {
        return 0;
    }
    if (rating_of(reader, fields[FILE_RATING], &rating, err) != 0) {
        return -1;
    }
    record->rating = rating;
    if (record->text == NULL && record->title == NULL && rating < 0) {
        return ear_fail(err, EAR_REJECT, "schema: it has neither a text nor a title nor a rating");
    }
    if (record->channel != NULL && !among(channels, record->channel)) {
        return ear_fail(err, EAR_REJECT,
                        "schema: '%.40s' is no channel; write one of forum, blog, "
                        "social, video, review, survey, frontline, helpdesk, "
                        "ideas, crowd, internal",
                        record->channel);
    }
    return 0;
}

/* What the values mean, and the fields of one's own beside them. */
static int finish(struct row_reader *reader, const struct values *values, bool mended,
                  struct source_record *record, struct ear_error *err)
{
    size_t length = 0;
    const char *extra = NULL;

    if (fill_record(reader, values, record, err) != 0) {
        return -1;
    }
    record->repaired = mended;
    extra = json_writer_text(reader->writer, &length, err);
    if (extra == NULL) {
        return -1;
    }
    record->extra = length > 0 ? extra : NULL;
    return 0;
}

int row_read_json(struct row_reader *reader, const struct file_row *row,
                  struct source_record *record, struct ear_error *err)
{
    struct values values = {0};

    reader->id[0] = '\0';
    json_writer_reset(reader->writer);
    if (read_line(reader, row, &values, err) != 0) {
        return -1;
    }
    return finish(reader, &values,
                  row->mended || json_repaired(reader->json) || json_duplicates(reader->json),
                  record, err);
}

int row_read(struct row_reader *reader, struct file_open *open, const struct file_row *row,
             struct source_record *record, struct ear_error *err)
{
    struct values values = {0};

    if (open_format(open) == FILE_NDJSON) {
        return row_read_json(reader, row, record, err);
    }
    reader->id[0] = '\0';
    json_writer_reset(reader->writer);
    if (open_format(open) == FILE_MBOX) {
        return read_mail(reader, row, &values, err) != 0
                   ? -1
                   : finish(reader, &values, mail_mended(reader->mail), record, err);
    }
    if (read_cells(reader, open, &values, err) != 0) {
        return -1;
    }
    return finish(reader, &values, row->mended, record, err);
}

int row_count(struct row_reader *reader, struct file_open *open, const struct file_row *row,
              struct ear_error *err)
{
    struct source_record record;

    if (row_read(reader, open, row, &record, err) != 0) {
        if (err->kind != EAR_REJECT) {
            return -1;
        }
        ear_error_clear(err);
    }
    return 0;
}
