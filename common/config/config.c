/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config/config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config_internal.h"

/* Memory in blocks that are freed together: nodes, texts and findings live as long as the config.
 */
struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

struct config {
    struct block *blocks;
    size_t memory;
    const char *folder; /* of the first file read; NULL: none read yet */
    const char *first;  /* its name */
    struct config_finding *findings;
    size_t finding_count, finding_room;
    size_t errors;
    bool exhausted;
};

int config_new(struct config **out, struct ear_error *err)
{
    struct config *config = calloc(1, sizeof *config);

    if (config == NULL) {
        return ear_fail_memory(err, "the configuration");
    }
    *out = config;
    return 0;
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    while (config->blocks != NULL) {
        struct block *next = config->blocks->next;

        free(config->blocks);
        config->blocks = next;
    }
    free(config->findings);
    free(config);
}

/* --- memory --- */

static struct block *block_for(struct config *config, size_t size)
{
    enum { USUAL = 64 * 1024 };
    size_t room = size > USUAL ? size : USUAL;
    struct block *block = NULL;

    if (config->memory + room > CONFIG_MEMORY_MAX) {
        return NULL;
    }
    block = calloc(1, sizeof *block + room);
    if (block != NULL) {
        block->size = room;
        block->next = config->blocks;
        config->blocks = block;
        config->memory += room;
    }
    return block;
}

void *config_take(struct config *config, size_t size)
{
    size_t aligned = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct block *block = config->blocks;
    void *place = NULL;

    if (size > CONFIG_MEMORY_MAX) {
        config->exhausted = true;
        return NULL;
    }
    if (block == NULL || block->size - block->used < aligned) {
        block = block_for(config, aligned);
        if (block == NULL) {
            config->exhausted = true;
            return NULL;
        }
    }
    place = block->bytes + block->used;
    block->used += aligned;
    return place;
}

char *config_copy(struct config *config, const char *text, size_t length)
{
    char *copy = config_take(config, length + 1);

    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *config_print(struct config *config, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return config_copy(config, text, strlen(text));
}

/* --- findings --- */

static struct config_finding *finding_room(struct config *config)
{
    if (config->finding_count == CONFIG_FINDINGS_MAX) {
        return NULL;
    }
    if (config->finding_count == config->finding_room) {
        size_t room = config->finding_room == 0 ? 16 : 2 * config->finding_room;
        struct config_finding *more = realloc(config->findings, room * sizeof *more);

        if (more == NULL) {
            config->exhausted = true;
            return NULL;
        }
        config->findings = more;
        config->finding_room = room;
    }
    return &config->findings[config->finding_count];
}

void config_report_list(struct config *config, enum config_severity severity, const char *file,
                        int line, int column, const char *key, const char *format,
                        va_list arguments)
{
    char text[1024];
    struct config_finding *finding = finding_room(config);
    char *copy = NULL;

    if (severity == CONFIG_ERROR) {
        config->errors++;
    }
    if (finding == NULL) {
        return;
    }
    vsnprintf(text, sizeof text, format, arguments);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
    copy = config_copy(config, text, strlen(text));
    if (copy != NULL) {
        *finding = (struct config_finding){severity, file, line, column, key, copy};
        config->finding_count++;
    }
}

void config_report_at(struct config *config, enum config_severity severity, const char *file,
                      int line, int column, const char *key, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    config_report_list(config, severity, file, line, column, key, format, arguments);
    va_end(arguments);
}

void config_report(struct config *config, enum config_severity severity,
                   const struct config_node *node, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (node == NULL) {
        config_report_list(config, severity, config->first == NULL ? "defaults" : config->first, 1,
                           1, "", format, arguments);
    } else {
        config_report_list(config, severity, node->file, node->line, node->column, node->path,
                           format, arguments);
    }
    va_end(arguments);
}

size_t config_errors(const struct config *config)
{
    return config->errors + (config->exhausted ? 1 : 0);
}

size_t config_finding_count(const struct config *config)
{
    return config->finding_count + (config->exhausted ? 1 : 0);
}

const struct config_finding *config_finding_at(const struct config *config, size_t index)
{
    static const struct config_finding exhausted = {
        CONFIG_ERROR,
        "configuration",
        1,
        1,
        "",
        "takes more than 64 MiB of memory; make it smaller"};

    if (index < config->finding_count) {
        return &config->findings[index];
    }
    return index == config->finding_count && config->exhausted ? &exhausted : NULL;
}

/* --- reading --- */

/* The first byte that a configuration may not hold (control characters, broken UTF-8); NULL: none.
 */
static const char *bad_byte(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + length;

    while (at < end) {
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        int size = *at < 0x80 ? 1 : *at >> 5 == 6 ? 2 : *at >> 4 == 14 ? 3 : *at >> 3 == 30 ? 4 : 0;
        uint32_t code = size == 1 ? *at : *at & (0x7fU >> size);

        if (size == 0 || end - at < size) {
            return (const char *)at;
        }
        for (int i = 1; i < size; i++) {
            if (at[i] >> 6 != 2) {
                return (const char *)at;
            }
            code = code << 6 | (at[i] & 0x3f);
        }
        if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
            (code < 0x20 && code != '\t' && code != '\n' && code != '\r') || code == 0x7f) {
            return (const char *)at;
        }
        at += size;
    }
    return NULL;
}

static void report_bad_byte(struct config *config, const char *name, const char *text,
                            const char *bad)
{
    int line = 1;
    int column = 1;

    for (; text < bad; text++) {
        if (*text == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*text & 0xc0) != 0x80) {
            column++;
        }
    }
    config_report_at(
        config, CONFIG_ERROR, name, line, column, "",
        "the byte 0x%02x is no text; save the file as UTF-8 without control characters",
        (unsigned)(unsigned char)*bad);
}

static const struct config_node *read_text(struct config *config, const char *name,
                                           const char *text, size_t length)
{
    const char *kept = config_copy(config, name, strlen(name));
    const char *bad = NULL;
    struct config_node *root = NULL;
    bool empty = false;

    if (kept == NULL) {
        return NULL;
    }
    config->first = config->first == NULL ? kept : config->first;
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    bad = bad_byte(text, length);
    if (bad != NULL) {
        report_bad_byte(config, kept, text, bad);
        return NULL;
    }
    root = config_yaml(config, kept, text, length, &empty);
    if (root == NULL && empty) {
        config_report_at(config, CONFIG_ERROR, kept, 1, 1, "",
                         "is empty; `earshot init` writes a first configuration");
    }
    return root;
}

const struct config_node *config_read_text(struct config *config, const char *name,
                                           const char *text, struct ear_error *err)
{
    const struct config_node *root = read_text(config, name, text, strlen(text));

    if (config->exhausted) {
        ear_fail_memory(err, name);
        return NULL;
    }
    return root;
}

/* The folder of `path`, with its slash; "" is the current one. */
static void remember_folder(struct config *config, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (config->folder == NULL) {
        config->folder = config_copy(config, path, slash == NULL ? 0 : (size_t)(slash - path) + 1);
    }
}

const char *config_folder(const struct config *config)
{
    return config->folder == NULL ? "" : config->folder;
}

const struct config_node *config_read_file(struct config *config, const char *path,
                                           struct ear_error *err)
{
    const struct config_node *root = NULL;
    FILE *file = fopen(path, "rbe");
    char *text = NULL;
    size_t length = 0;

    remember_folder(config, path);
    if (file == NULL) {
        config_report_at(config, CONFIG_ERROR, config_print(config, "%s", path), 1, 1, "",
                         "cannot be read: %s; correct the path, or make the file",
                         strerrordesc_np(errno));
        goto done;
    }
    text = malloc(CONFIG_FILE_MAX + 1);
    if (text == NULL) {
        ear_fail_memory(err, path);
        goto done;
    }
    length = fread(text, 1, CONFIG_FILE_MAX + 1, file);
    if (ferror(file) || length > CONFIG_FILE_MAX) {
        config_report_at(config, CONFIG_ERROR, config_print(config, "%s", path), 1, 1, "",
                         ferror(file) ? "cannot be read; is it a folder?"
                                      : "is larger than 4 MiB; a configuration is smaller");
        goto done;
    }
    root = read_text(config, path, text, length);
    if (config->exhausted) {
        ear_fail_memory(err, path);
        root = NULL;
    }

done:
    free(text);
    if (file != NULL) {
        fclose(file);
    }
    return root;
}

/* --- nodes --- */

bool config_is_mapping(const struct config_node *node)
{
    return node != NULL && node->kind == CONFIG_MAPPING;
}

bool config_is_sequence(const struct config_node *node)
{
    return node != NULL && node->kind == CONFIG_SEQUENCE;
}

bool config_is_absent(const struct config_node *node)
{
    return node_is_absent(node);
}

const char *config_scalar(const struct config_node *node)
{
    return node != NULL && node->kind == CONFIG_SCALAR ? node->text : NULL;
}

const char *config_written(const struct config_node *node)
{
    return node != NULL && node->kind == CONFIG_SCALAR ? node->raw : NULL;
}

bool config_is_unset(const struct config_node *node)
{
    return node != NULL && node->unset;
}

const struct config_node *config_get(const struct config_node *mapping, const char *key)
{
    if (!config_is_mapping(mapping)) {
        return NULL;
    }
    for (size_t i = 0; i < mapping->count; i++) {
        if (strcmp(mapping->pairs[i].key, key) == 0) {
            return mapping->pairs[i].value;
        }
    }
    return NULL;
}

size_t config_count(const struct config_node *node)
{
    return node == NULL ? 0 : node->count;
}

const struct config_node *config_at(const struct config_node *node, size_t index)
{
    return index < config_count(node) ? node->pairs[index].value : NULL;
}

const char *config_key_at(const struct config_node *mapping, size_t index)
{
    return index < config_count(mapping) ? mapping->pairs[index].key : NULL;
}

const char *config_node_file(const struct config_node *node)
{
    return node == NULL ? "" : node->file;
}

int config_node_line(const struct config_node *node)
{
    return node == NULL ? 1 : node->line;
}

int config_node_column(const struct config_node *node)
{
    return node == NULL ? 1 : node->column;
}

const char *config_path(const struct config_node *node)
{
    return node == NULL ? "" : node->path;
}
