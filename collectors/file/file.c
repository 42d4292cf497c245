/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll of files: the pattern is matched once, then each file that wants it is read, some rows a
 * step. After each step the cursor stands behind the last of them.
 *
 * Where rows have no id of their own, their ordinals among equal rows depend on all that stands
 * before them in their file: when such a file is read on, its beginning is counted first, without
 * emitting anything.
 */
#include "collectors/file/file.h"
#include "collectors/file/file_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/instant.h"
#include "common/json/json.h"
#include "common/settings/settings.h"

enum {
    PIECE = 200,        /* rows a step */
    COUNT_PIECE = 5000, /* rows a step that are only counted */
    PROBE_PIECE = 1000,
    CURSOR_MAX = 900 * 1024,
    REJECT_HEAD = 64 * 1024,
};

static const struct ear_option options[] = {
    {"path", EAR_STRING, offsetof(struct file_config, path), "!",
     "a file, a folder or a pattern such as surveys/*.csv", NULL},
    {"map", EAR_TREE, offsetof(struct file_config, map), NULL,
     "post field: column, such as {text: Comment, created_at: Date}", NULL},
    {"format", EAR_CHOICE, offsetof(struct file_config, format), "auto|csv|tsv|ndjson|mbox",
     "of the files; auto goes by name and content", NULL},
    {"delimiter", EAR_STRING, offsetof(struct file_config, delimiter), "auto",
     "between cells: one character, or tab", NULL},
    {"scale", EAR_NUMBER, offsetof(struct file_config, scale), "1",
     "the best rating there is: ratings are divided by it", NULL},
    {"recorded", EAR_STRING, offsetof(struct file_config, recorded), NULL,
     "shift all times so that this instant is when the source was first read", NULL},
    {0},
};

struct file_state {
    const struct source_poll *poll;
    const struct file_config *config;
    struct file_map map;
    struct zone *zone;
    struct file_memory memory;
    glob_t found;
    bool listed;
    size_t next; /* of found */
    /* the file that is being read */
    struct file_open *open;
    struct file_mark *mark;
    int64_t count_until; /* rows before this offset are only counted */
    char tail_id[sizeof(((struct file_mark *)0)->tail_id)]; /* to be taken back unless it comes
                                                               again */
    bool settled;
    struct row_reader rows;
    bool changed; /* the cursor */
    struct json_writer *writer;
};

/* --- begin and end --- */

static void close_file(struct file_state *state)
{
    open_close(state->open);
    state->open = NULL;
    state->mark = NULL;
    state->tail_id[0] = '\0';
    ordinals_free(state->rows.ordinals);
    state->rows.ordinals = NULL;
}

static void end(void *user)
{
    struct file_state *state = user;

    if (state == NULL) {
        return;
    }
    close_file(state);
    zone_close(state->zone);
    file_memory_clear(&state->memory);
    if (state->listed) {
        globfree(&state->found);
    }
    row_clear(&state->rows);
    json_free(state->rows.json);
    json_writer_free(state->rows.writer);
    json_writer_free(state->writer);
    free(state);
}

/* The shift is made at first sight and kept. */
static int set_shift(struct file_state *state, struct ear_error *err)
{
    const char *recorded = state->config->recorded;
    struct file_memory *memory = &state->memory;
    int64_t recorded_us = 0;

    if (recorded == NULL) {
        free(memory->recorded);
        memory->recorded = NULL;
        return 0;
    }
    if (!instant_parse_rfc3339(&recorded_us, recorded, strlen(recorded))) {
        return ear_fail(err, EAR_CONFIG, "recorded: '%s' is no instant", recorded);
    }
    if (memory->recorded == NULL || strcmp(memory->recorded, recorded) != 0) {
        free(memory->recorded);
        memory->recorded = strdup(recorded);
        memory->shift_us = state->poll->now_us - recorded_us;
        if (memory->recorded == NULL) {
            return ear_fail_memory(err, "a file source");
        }
    }
    state->rows.shift_us = memory->shift_us;
    return 0;
}

/* A change of the configuration makes other posts of the same rows: they are read again. */
static void set_config(struct file_state *state)
{
    struct hash128 hash = config_hash(state->config, &state->map);
    struct file_memory *memory = &state->memory;

    if (memory->has_config && memcmp(&hash, &memory->config, sizeof hash) != 0) {
        for (size_t i = 0; i < memory->count; i++) {
            mark_reset(&memory->marks[i]);
        }
    }
    memory->config = hash;
}

static int begin(void **out, const struct source_poll *poll, struct ear_error *err)
{
    int result = -1;
    struct file_state *state = calloc(1, sizeof *state);

    if (state == NULL) {
        return ear_fail_memory(err, "a file source");
    }
    state->poll = poll;
    state->config = poll->config;
    map_read(&state->map, state->config->map);
    if (poll->source->zone != NULL && zone_open(&state->zone, poll->source->zone, err) != 0) {
        goto done;
    }
    state->rows.config = state->config;
    state->rows.map = &state->map;
    state->rows.zone = state->zone != NULL ? state->zone : poll->settings->zone;
    if (json_new(&state->rows.json, err) != 0 ||
        json_writer_new(&state->rows.writer, FILE_ROW_MAX, err) != 0 ||
        json_writer_new(&state->writer, CURSOR_MAX, err) != 0 ||
        file_memory_load(&state->memory, poll->probe ? NULL : poll->cursor, poll->cursor_length,
                         err) != 0 ||
        set_shift(state, err) != 0) {
        goto done;
    }
    set_config(state);
    *out = state;
    state = NULL;
    result = 0;

done:
    end(state);
    return result;
}

/* --- which files --- */

static const char *name_of(const struct file_state *state, const char *path)
{
    return files_name(state->poll->settings->base_dir, path);
}

static int list_files(struct file_state *state, struct ear_error *err)
{
    state->listed = true;
    if (files_find(&state->found, state->poll->settings->base_dir, state->config->path, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < state->found.gl_pathc; i++) {
        struct file_mark *mark =
            file_memory_mark(&state->memory, name_of(state, state->found.gl_pathv[i]), err);

        if (mark == NULL) {
            return -1;
        }
        mark->present = true;
    }
    return 0;
}

/* --- one file --- */

static const char *path_now(const struct file_state *state)
{
    return state->found.gl_pathv[state->next];
}

/* A code and the rest, as messages have them: "bad_csv: …". */
static int reject(const struct file_state *state, const struct source_output *output, int64_t line,
                  const char *message, const char *bytes, size_t length, struct ear_error *err)
{
    char item[512];
    char code[40];
    size_t size = strcspn(message, ":");
    const char *reason = message + size + (message[size] == ':');

    snprintf(code, sizeof code, "%.*s", (int)size, message);
    if (line > 0) {
        snprintf(item, sizeof item, "%.450s:%lld", name_of(state, path_now(state)),
                 (long long)line);
    } else {
        snprintf(item, sizeof item, "%.450s", name_of(state, path_now(state)));
    }
    return output->reject(output->user, item, code, reason + strspn(reason, " "), bytes,
                          length < REJECT_HEAD ? length : REJECT_HEAD, err);
}

/* A last row without its end, when the file has grown: from its beginning again. */
static void go_to_tail(struct file_state *state)
{
    struct file_mark *mark = state->mark;

    if (mark->tail_offset >= 0) {
        mark->offset = mark->tail_offset;
        mark->line = mark->tail_line;
        memcpy(state->tail_id, mark->tail_id, sizeof state->tail_id);
        mark->tail_offset = -1;
        mark->tail_id[0] = '\0';
    }
}

static int open_file(struct file_state *state, const struct source_output *output,
                     struct ear_error *err)
{
    struct file_mark *mark = state->mark;
    struct file_mark from_start = {.line = 1};

    go_to_tail(state);
    state->count_until = mark->bare ? mark->offset : 0;
    state->open = open_new(path_now(state), state->config, &state->map,
                           state->count_until > 0 ? &from_start : mark, err);
    if (state->open == NULL) {
        struct ear_error reason = *err;

        if (err->kind != EAR_REJECT) {
            return -1;
        }
        ear_error_clear(err);
        mark_give_up(mark, path_now(state));
        state->changed = true;
        state->mark = NULL;
        return reject(state, output, 0, reason.message, "", 0, err);
    }
    state->rows.bare = false;
    state->rows.ordinals = ordinals_new();
    return state->rows.ordinals != NULL ? 0 : ear_fail_memory(err, "a file source");
}

/* On to the next file that wants to be read; false: there is none. */
static bool next_file(struct file_state *state, struct ear_error *err)
{
    for (; state->next < state->found.gl_pathc; state->next++) {
        state->mark = file_memory_mark(&state->memory, name_of(state, path_now(state)), err);
        if (state->mark == NULL) {
            return false;
        }
        if (mark_wants_reading(state->mark, path_now(state), state->poll->now_us,
                               &state->settled)) {
            /* Only a source that is asked again has time to wait for the end of a row. */
            state->settled = state->settled || state->poll->source->every_us <= 0;
            return true;
        }
    }
    state->mark = NULL;
    return false;
}

/* What was made of a row before it was whole is taken back, unless it is the same. */
static int take_back(struct file_state *state, const char *id, const struct source_output *output,
                     struct ear_error *err)
{
    struct source_record record = {
        .native_id = state->tail_id,
        .deleted = true,
        .created_us = INT64_MIN,
        .edited_us = INT64_MIN,
        .rating = -1,
        .likes = -1,
        .replies = -1,
        .shares = -1,
        .views = -1,
    };
    int result = 0;

    if (state->tail_id[0] != '\0' && strcmp(state->tail_id, id) != 0) {
        result = output->emit(output->user, &record, err);
    }
    state->tail_id[0] = '\0';
    return result;
}

static void note_tail(struct file_state *state, const struct file_row *row, const char *id)
{
    struct file_mark *mark = state->mark;

    mark->tail_offset = row->ended ? -1 : row->offset;
    mark->tail_line = row->line;
    snprintf(mark->tail_id, sizeof mark->tail_id, "%s",
             row->ended || strlen(id) >= sizeof mark->tail_id ? "" : id);
}

/* A row that is found: emitted, or rejected, or (*wait) left for later. */
static int take_row(struct file_state *state, const struct file_row *row, bool *wait,
                    const struct source_output *output, struct ear_error *err)
{
    struct source_record record;
    struct ear_error reason = {0};

    if (row_read(&state->rows, state->open, row, &record, &reason) == 0) {
        note_tail(state, row, record.native_id);
        state->mark->bare = state->mark->bare || state->rows.bare;
        return take_back(state, record.native_id, output, err) != 0
                   ? -1
                   : output->emit(output->user, &record, err);
    }
    if (reason.kind != EAR_REJECT) {
        *err = reason;
        return -1;
    }
    if (!row->ended && !state->settled) {
        open_back(state->open, row);
        *wait = true;
        return 0;
    }
    note_tail(state, row, "");
    if (take_back(state, "", output, err) != 0) {
        return -1;
    }
    return reject(state, output, row->line, reason.message, row->text, row->length, err);
}

static int reject_broken(struct file_state *state, const struct file_row *row,
                         const struct source_output *output, struct ear_error *err)
{
    char message[160];

    snprintf(message, sizeof message, "%s: %s", row->code, row->reason);
    if (take_back(state, "", output, err) != 0) {
        return -1;
    }
    return reject(state, output, row->line, message, row->text, row->length, err);
}

/* Some rows of the file that is open; *more: there are more. */
static int read_rows(struct file_state *state, bool *more, const struct source_output *output,
                     struct ear_error *err)
{
    int limit = state->poll->probe ? PROBE_PIECE : PIECE;
    int counted = 0;
    bool wait = false;

    *more = true;
    for (int rows = 0; rows < limit && counted < COUNT_PIECE;) {
        struct file_row row = {0};
        enum row_kind kind = ROW_END;
        bool count_only = open_offset(state->open) < state->count_until;

        if (open_next(state->open, !state->settled, &row, &kind, err) != 0) {
            return -1;
        }
        count_only = count_only && row.offset < state->count_until;
        if (kind == ROW_END) {
            *more = false;
            break;
        }
        if (count_only) {
            counted++;
            if (kind == ROW_FOUND && row_count(&state->rows, state->open, &row, err) != 0) {
                return -1;
            }
            continue;
        }
        rows++;
        if (kind == ROW_BROKEN ? reject_broken(state, &row, output, err) != 0
                               : take_row(state, &row, &wait, output, err) != 0) {
            return -1;
        }
        if (wait) {
            *more = false;
            break;
        }
    }
    if (open_offset(state->open) < state->count_until) {
        return 0; /* still counting: the cursor stays */
    }
    state->changed = true;
    return open_mark(state->open, state->mark, err);
}

/* --- steps --- */

static int put_cursor(struct file_state *state, const struct source_output *output,
                      struct ear_error *err)
{
    size_t length = 0;
    const char *text = NULL;

    if (state->poll->probe || !state->changed) {
        return 0;
    }
    state->changed = false;
    json_writer_reset(state->writer);
    file_memory_write(&state->memory, state->writer);
    text = json_writer_text(state->writer, &length, err);
    return text != NULL ? output->cursor(output->user, text, length, err) : -1;
}

static int step(void *user, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err)
{
    struct file_state *state = user;
    bool more = true;

    (void)answer;
    turn->next = SOURCE_MORE;
    if (!state->listed && list_files(state, err) != 0) {
        return -1;
    }
    if (state->open == NULL) {
        if (!next_file(state, err)) {
            turn->next = SOURCE_DONE;
            return err->kind == EAR_NONE ? put_cursor(state, output, err) : -1;
        }
        if (open_file(state, output, err) != 0) {
            return -1;
        }
    }
    if (state->open != NULL && read_rows(state, &more, output, err) != 0) {
        ear_error_context(err, "%.300s", name_of(state, path_now(state)));
        return -1;
    }
    if (state->open == NULL || !more) {
        close_file(state);
        state->next++;
    }
    if (state->poll->probe && (more || state->next == state->found.gl_pathc)) {
        turn->next = SOURCE_DONE;
    }
    return put_cursor(state, output, err);
}

static const char *watches(const void *reader_config)
{
    const struct file_config *config = reader_config;

    return config->path;
}

const struct source_reader file_reader = {
    .name = "file",
    .about = "CSV, TSV, NDJSON and mbox files",
    .channel = "survey",
    .example = "earshot: 1\n"
               "brands: {Acme: [acme]}\n"
               "sources:\n"
               "  - name: survey\n"
               "    use: file\n"
               "    path: \"surveys/*.csv\"\n"
               "    about: Acme\n"
               "    map: {text: Comment, created_at: Date, rating: Stars}\n"
               "    scale: 5\n",
    .options = options,
    .config_size = sizeof(struct file_config),
    .check = file_check,
    .watches = watches,
    .begin = begin,
    .step = step,
    .end = end,
};
