/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that come by another way than a file: JSON objects, read as a line of NDJSON is. */
#include <stdlib.h>

#include "collectors/file/file.h"
#include "collectors/file/file_internal.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/settings/settings.h"
#include "common/text/text.h"

struct file_rows {
    struct file_config config;
    struct file_map map;
    struct zone *zone; /* the source's own; NULL: the configuration's */
    struct row_reader reader;
    char *mended; /* of the object last read */
};

int file_rows_new(struct file_rows **out, const struct file_rows_config *config,
                  struct ear_error *err)
{
    struct file_rows *rows = calloc(1, sizeof *rows);

    if (rows == NULL) {
        return ear_fail_memory(err, "rows");
    }
    rows->config.scale = config->scale;
    map_read(&rows->map, config->map);
    rows->reader.config = &rows->config;
    rows->reader.map = &rows->map;
    if ((config->source->zone != NULL && zone_open(&rows->zone, config->source->zone, err) != 0) ||
        json_new(&rows->reader.json, err) != 0 ||
        json_writer_new(&rows->reader.writer, FILE_ROW_MAX, err) != 0) {
        file_rows_free(rows);
        return -1;
    }
    rows->reader.zone = rows->zone != NULL ? rows->zone : config->settings->zone;
    *out = rows;
    return 0;
}

void file_rows_free(struct file_rows *rows)
{
    if (rows != NULL) {
        zone_close(rows->zone);
        json_free(rows->reader.json);
        json_writer_free(rows->reader.writer);
        free(rows->mended);
        free(rows);
    }
}

int file_rows_read(struct file_rows *rows, const char *json, size_t length, const char *id,
                   struct source_record *record, struct ear_error *err)
{
    struct file_row row = {.text = json, .length = length};

    if (!text_valid(json, length)) {
        free(rows->mended);
        rows->mended = text_repair(json, length, &row.length, &row.mended);
        row.text = rows->mended;
        if (row.text == NULL) {
            return ear_fail_memory(err, "a row");
        }
    }
    rows->reader.given_id = id;
    return row_read_json(&rows->reader, &row, record, err);
}

void file_rows_check(struct config *config, const struct settings_source *source,
                     const struct config_node *map, double scale)
{
    map_check(config, map);
    scale_check(config, source, scale);
}
