/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json/json.h"
#include "common/log.h"
#include "common/settings/settings_internal.h"
#include "common/terminal.h"

enum { FINDING_MAX = 64 * 1024, PLACE_MAX = 4200 };

static int by_place(const void *one, const void *other)
{
    const struct config_finding *a = *(const struct config_finding *const *)one;
    const struct config_finding *b = *(const struct config_finding *const *)other;
    int order = strcmp(a->file, b->file);

    if (order != 0) {
        return order;
    }
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    if (a->column != b->column) {
        return a->column < b->column ? -1 : 1;
    }
    return strcmp(a->text, b->text);
}

static void print_json(struct json_writer *writer, const struct config_finding *finding)
{
    struct ear_error err = {EAR_NONE, ""};
    const char *text = NULL;

    json_writer_reset(writer);
    json_write_object(writer);
    json_member_string(writer, "file", finding->file);
    json_member_integer(writer, "line", finding->line);
    json_member_integer(writer, "column", finding->column);
    json_member_string(writer, "key", finding->key);
    json_member_string(writer, "severity", finding->severity == CONFIG_ERROR ? "error" : "warning");
    json_member_string(writer, "text", finding->text);
    json_write_object_end(writer);
    text = json_writer_text(writer, NULL, &err);
    if (text != NULL) {
        puts(text);
    }
}

void settings_tell_finding(const struct config_finding *finding)
{
    const bool wrong = finding->severity == CONFIG_ERROR;
    char place[PLACE_MAX];

    (void)snprintf(place, sizeof place, "%s:%d:%d", finding->file, finding->line, finding->column);
    if (log_json_asked()) {
        const struct log_field fields[] = {
            {"place", place},
            {"key", finding->key[0] == '\0' ? NULL : finding->key},
            {NULL, NULL},
        };

        log_event(wrong ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, fields, "%s", finding->text);
        return;
    }
    fprintf(stderr, "%s %s%s%s", place, finding->key, finding->key[0] == '\0' ? "" : ": ",
            wrong ? "" : "warning: ");
    print_text(stderr, finding->text, 0);
    fputc('\n', stderr);
}

size_t settings_print_findings(const struct settings *settings, bool json)
{
    size_t count = config_finding_count(settings->config);
    const struct config_finding **sorted = calloc(count + 1, sizeof(struct config_finding *));
    struct json_writer *writer = NULL;
    struct ear_error err = {EAR_NONE, ""};

    if (sorted == NULL || (json && json_writer_new(&writer, FINDING_MAX, &err) != 0)) {
        fputs("no memory left to print findings\n", stderr);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = config_finding_at(settings->config, i);
    }
    qsort(sorted, count, sizeof(struct config_finding *), by_place);
    for (size_t i = 0; i < count; i++) {
        if (json) {
            print_json(writer, sorted[i]);
        } else {
            settings_tell_finding(sorted[i]);
        }
    }
    fflush(stdout);

done:
    json_writer_free(writer);
    free(sorted);
    return config_errors(settings->config);
}
