/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The store on SQLite: running queries. Every query is prepared once, when it is first asked, and
 * kept. What a failure means stands in one place (sqlite_failed), after the rules in
 * reliability.md: a busy COMMIT is tried again; after an I/O error, a full disk or damage nothing
 * is done with the handle but closing it. How a file is opened, set and brought up to date:
 * sqlite_open.c.
 */
#include "sinks/store/sqlite_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/testpoint.h"

enum { COMMIT_TRIES = 12, PATH_SIZE = 4096 }; /* each try waits up to busy_timeout, 5 s */

int sqlite_failed(struct sqlite_store *store, int code, const char *doing, struct ear_error *err)
{
    const char *said = store->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(store->db);

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ear_fail(err, EAR_RETRY, "%s: another process holds the store (%s); %s comes again",
                        store->path, said, doing);
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
        return ear_fail(err, EAR_REJECT, "store: %s", said);
    case SQLITE_FULL:
        store->broken = true;
        return ear_fail(err, EAR_RETRY, "%s: no room on the disk for %s; free some", store->path,
                        doing);
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        store->broken = true;
        return ear_fail(err, EAR_RETRY, "%s: %s: %s (%d); the store is opened anew and checked",
                        store->path, doing, said, code);
    case SQLITE_NOTADB:
        store->broken = true;
        return ear_fail(err, EAR_CONFIG, "%s is no Earshot store; name another path", store->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ear_fail(err, EAR_CONFIG, "%s: may not be written (%s); mind the file's owner",
                        store->path, said);
    case SQLITE_NOMEM:
        return ear_fail_memory(err, doing);
    default:
        return ear_fail(err, EAR_FATAL, "%s: %s: %s (%d)", store->path, doing, said, code);
    }
}

int sqlite_script(struct sqlite_store *store, const char *sql, const char *doing,
                  struct ear_error *err)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : sqlite_failed(store, code, doing, err);
}

static void sqlite_close_store(void *handle)
{
    struct sqlite_store *store = handle;

    for (int i = 0; i < QUERY_COUNT; i++) {
        sqlite3_finalize(store->cursors[i].statement);
    }
    sqlite3_close_v2(store->db);
    free(store->path);
    free(store);
}

static int sqlite_open_place(void **out, const struct store_config *config,
                             const char *const texts[], struct ear_error *err)
{
    struct sqlite_store *store = calloc(1, sizeof *store);

    if (store != NULL) {
        store->path = strdup(config->url + strlen(store_sqlite.scheme));
    }
    if (store == NULL || store->path == NULL) {
        free(store);
        return ear_fail_memory(err, "the store");
    }
    snprintf(store->version, sizeof store->version, "SQLite %s", sqlite3_libversion());
    store->read_only = config->read_only;
    store->texts = texts;
    for (int i = 0; i < QUERY_COUNT; i++) {
        store->cursors[i].store = store;
    }
    if (sqlite_store_open(store, config, err) != 0) {
        sqlite_close_store(store);
        return -1;
    }
    *out = store;
    return 0;
}

bool sqlite_file_missing(const char *path)
{
    struct stat about;

    return stat(path, &about) != 0 && errno == ENOENT;
}

static bool sqlite_missing(const struct store_config *config)
{
    return sqlite_file_missing(config->url + strlen(store_sqlite.scheme));
}

/* One process writes a file: it holds whatever there is to hold. */
static int sqlite_hold(void *handle, bool *held, struct ear_error *err)
{
    (void)handle;
    (void)err;
    *held = true;
    return 0;
}

static bool sqlite_broken(const void *handle)
{
    return ((const struct sqlite_store *)handle)->broken;
}

static int sqlite_begin(void *handle, enum store_manner manner, struct ear_error *err)
{
    struct sqlite_store *store = handle;

    (void)manner; /* a writer of a file is alone anyway */
    return sqlite_script(store, store->read_only ? "BEGIN" : "BEGIN IMMEDIATE",
                         "beginning a transaction", err);
}

static void sqlite_rollback(void *handle)
{
    struct sqlite_store *store = handle;

    for (int i = 0; i < QUERY_COUNT; i++) {
        if (store->cursors[i].statement != NULL) {
            sqlite3_reset(store->cursors[i].statement);
        }
    }
    if (!sqlite3_get_autocommit(store->db) &&
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK) {
        store->broken = true;
    }
}

/* What a test asked to fail at the commit, as SQLite would say it. */
static int commit_code(struct sqlite_store *store)
{
    if (TESTPOINT_FAILS("sink.commit")) {
        return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR;
    }
    return sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
}

static int sqlite_commit(void *handle, struct ear_error *err)
{
    struct sqlite_store *store = handle;
    int code = SQLITE_BUSY;

    for (int i = 0; i < COMMIT_TRIES && (code & 0xff) == SQLITE_BUSY; i++) {
        code = commit_code(store);
    }
    if (code == SQLITE_OK) {
        return 0;
    }
    sqlite_failed(store, code, "committing", err);
    sqlite_rollback(store);
    return -1;
}

static int sqlite_savepoint(void *handle, struct ear_error *err)
{
    return sqlite_script(handle, "SAVEPOINT one", "beginning a row", err);
}

static int sqlite_savepoint_keep(void *handle, struct ear_error *err)
{
    return sqlite_script(handle, "RELEASE one", "keeping a row", err);
}

static int sqlite_savepoint_undo(void *handle, struct ear_error *err)
{
    return sqlite_script(handle, "ROLLBACK TO one; RELEASE one", "undoing a row", err);
}

static int bind(sqlite3_stmt *statement, int index, const struct store_value *value)
{
    switch (value->kind) {
    case STORE_INTEGER:
        return sqlite3_bind_int64(statement, index, value->integer);
    case STORE_NUMBER:
        return sqlite3_bind_double(statement, index, value->number);
    case STORE_TEXT:
        return sqlite3_bind_text64(statement, index, value->bytes, value->length, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case STORE_BLOB:
        return sqlite3_bind_blob64(statement, index, value->bytes, value->length, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, index);
    }
}

/* The query's statement, prepared and with its parameters, not yet stepped. */
static struct sqlite_cursor *ready(struct sqlite_store *store, enum store_query query,
                                   const struct store_value values[], size_t count,
                                   struct ear_error *err)
{
    struct sqlite_cursor *cursor = &store->cursors[query];
    int code = SQLITE_OK;

    assert(!cursor->busy);
    if (cursor->statement == NULL) {
        code = sqlite3_prepare_v3(store->db, store->texts[query], -1, SQLITE_PREPARE_PERSISTENT,
                                  &cursor->statement, NULL);
        if (code != SQLITE_OK) {
            sqlite_failed(store, code, store->texts[query], err);
            return NULL;
        }
    }
    assert((size_t)sqlite3_bind_parameter_count(cursor->statement) == count);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
        code = bind(cursor->statement, (int)i + 1, &values[i]);
    }
    if (code != SQLITE_OK) {
        sqlite_failed(store, code, "binding a value", err);
        return NULL;
    }
    return cursor;
}

static int64_t sqlite_run(void *handle, enum store_query query, const struct store_value values[],
                          size_t count, bool asked, struct ear_error *err)
{
    struct sqlite_store *store = handle;
    struct sqlite_cursor *cursor = ready(store, query, values, count, err);
    int64_t changed = -1;
    int code = SQLITE_OK;

    (void)asked; /* it costs nothing to know */
    if (cursor == NULL) {
        return -1;
    }
    code = sqlite3_step(cursor->statement);
    if (code == SQLITE_DONE) {
        changed = sqlite3_changes(store->db);
    } else {
        sqlite_failed(store, code == SQLITE_ROW ? SQLITE_MISUSE : code, "writing", err);
    }
    sqlite3_reset(cursor->statement);
    return changed;
}

static void *sqlite_select(void *handle, enum store_query query, const struct store_value values[],
                           size_t count, struct ear_error *err)
{
    struct sqlite_store *store = handle;
    struct sqlite_cursor *cursor = ready(store, query, values, count, err);

    if (cursor == NULL) {
        return NULL;
    }
    /* Stepped here, while the borrowed parameters are sure to live. */
    cursor->state = sqlite3_step(cursor->statement);
    if (cursor->state != SQLITE_ROW && cursor->state != SQLITE_DONE) {
        sqlite_failed(store, cursor->state, "reading", err);
        sqlite3_reset(cursor->statement);
        return NULL;
    }
    cursor->busy = true;
    cursor->first = true;
    return cursor;
}

static int sqlite_next(void *handle, struct ear_error *err)
{
    struct sqlite_cursor *cursor = handle;

    if (cursor->first) {
        cursor->first = false;
    } else if (cursor->state == SQLITE_ROW) {
        cursor->state = sqlite3_step(cursor->statement);
    }
    if (cursor->state == SQLITE_ROW || cursor->state == SQLITE_DONE) {
        return cursor->state == SQLITE_ROW;
    }
    return sqlite_failed(cursor->store, cursor->state, "reading", err);
}

static void sqlite_end(void *handle)
{
    struct sqlite_cursor *cursor = handle;

    sqlite3_reset(cursor->statement);
    cursor->busy = false;
}

static bool sqlite_is_null(void *cursor, int column)
{
    return sqlite3_column_type(((struct sqlite_cursor *)cursor)->statement, column) == SQLITE_NULL;
}

static int64_t sqlite_integer(void *cursor, int column)
{
    return sqlite3_column_int64(((struct sqlite_cursor *)cursor)->statement, column);
}

static double sqlite_number(void *cursor, int column)
{
    return sqlite3_column_double(((struct sqlite_cursor *)cursor)->statement, column);
}

static const void *sqlite_bytes(void *handle, int column, bool text, size_t *length)
{
    struct sqlite_cursor *cursor = handle;
    const void *bytes = text ? (const void *)sqlite3_column_text(cursor->statement, column)
                             : sqlite3_column_blob(cursor->statement, column);

    if (length != NULL) {
        *length = (size_t)sqlite3_column_bytes(cursor->statement, column);
    }
    return bytes;
}

static int sqlite_backup(void *handle, const char *path, struct ear_error *err)
{
    return sqlite_store_backup(handle, path, err);
}

static int64_t sqlite_pending_bytes(const void *handle)
{
    char path[PATH_SIZE];
    struct stat about;

    snprintf(path, sizeof path, "%s-wal", ((const struct sqlite_store *)handle)->path);
    return stat(path, &about) == 0 ? (int64_t)about.st_size : 0;
}

static const char *sqlite_version(const void *handle)
{
    return ((const struct sqlite_store *)handle)->version;
}

static const char *sqlite_warning(const void *handle)
{
    int version = sqlite3_libversion_number();
    bool mended = version >= 3051003 || version == 3050007 || version == 3044006;

    (void)handle;
    return mended
               ? NULL
               : "this SQLite can damage a file that two processes checkpoint; Earshot's sink is "
                 "the only one that does: open the store with other tools read-only";
}

const struct store_backend store_sqlite = {
    .scheme = "sqlite:",
    .mark = '?',
    .open = sqlite_open_place,
    .close = sqlite_close_store,
    .missing = sqlite_missing,
    .hold = sqlite_hold,
    .broken = sqlite_broken,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .savepoint = sqlite_savepoint,
    .savepoint_keep = sqlite_savepoint_keep,
    .savepoint_undo = sqlite_savepoint_undo,
    .run = sqlite_run,
    .select = sqlite_select,
    .next = sqlite_next,
    .end = sqlite_end,
    .is_null = sqlite_is_null,
    .integer = sqlite_integer,
    .number = sqlite_number,
    .bytes = sqlite_bytes,
    .backup = sqlite_backup,
    .pending_bytes = sqlite_pending_bytes,
    .version = sqlite_version,
    .warning = sqlite_warning,
};
