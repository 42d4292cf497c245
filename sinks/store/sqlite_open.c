/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Opening an SQLite store: whose file it is, how it is set, how an older one is brought up to date.
 * Only the writer checkpoints; a reader opens read-only, never checkpoints and does not when it
 * closes (reliability.md, rules for SQLite, 1: two checkpointing connections can damage the file).
 */
#include "sinks/store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/testfault.h"

enum {
    SCHEMA_VERSION = 3,
    APPLICATION_ID = 0x45415253, /* "EARS": what file(1) and we know the file by */
    VALUE_MAX = 8 * 1024 * 1024,
    PATH_SIZE = 4096,
};

extern const char sqlite_schema_1_sql[];
extern const char sqlite_schema_2_sql[];
extern const char sqlite_schema_3_sql[];

static const char *const schemas[SCHEMA_VERSION] = {sqlite_schema_1_sql, sqlite_schema_2_sql,
                                                    sqlite_schema_3_sql};

static const char writer_pragmas[] =
    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0;"
    "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;"
    "PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864;"
    "PRAGMA temp_store = MEMORY";

static const char reader_pragmas[] =
    "PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;"
    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA cache_size = -16384";

/* The first value of a statement of our own, as a number or as text. */
static int ask(struct sqlite_store *store, const char *sql, int64_t *number, char *text,
               size_t size, struct ear_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW && number != NULL) {
        *number = sqlite3_column_int64(statement, 0);
    }
    if (code == SQLITE_ROW && text != NULL) {
        snprintf(text, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? 0 : sqlite_failed(store, code, "opening", err);
}

/* A new file must not be gone after a power cut: the folder that names it is synced too. */
static int sync_folder(const char *path, struct ear_error *err)
{
    char folder[PATH_SIZE];
    char *slash = NULL;
    int fd = -1;
    int failed = 0;

    snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL) {
        folder[0] = '.';
        folder[1] = '\0';
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return ear_fail(err, EAR_CONFIG, "%s: %s; make the folder first", folder,
                        strerrordesc_np(errno));
    }
    failed = fsync(fd);
    close(fd);
    return failed == 0 ? 0 : ear_fail(err, EAR_RETRY, "%s: %s", folder, strerrordesc_np(errno));
}

static int connect_file(struct sqlite_store *store, struct ear_error *err)
{
    bool faulty = store->read_only && TESTFAULT("second-checkpointer");
    int flags = SQLITE_OPEN_NOMUTEX |
                (store->read_only && !faulty ? SQLITE_OPEN_READONLY
                                             : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    bool fresh = sqlite_file_missing(store->path);
    int code = SQLITE_OK;

    if (fresh && store->read_only) {
        return ear_fail(err, EAR_RETRY, "%s: there is no store yet; run earshot run --once first",
                        store->path);
    }
    code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (code != SQLITE_OK) {
        const char *said = store->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(store->db);

        return ear_fail(err, code == SQLITE_NOMEM ? EAR_FATAL : EAR_CONFIG,
                        "%s: %s; mind the folder and its owner", store->path, said);
    }
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, 5000);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (faulty) {
        return sqlite_script(store, "PRAGMA wal_checkpoint(TRUNCATE)", "opening", err);
    }
    if (store->read_only) {
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        return sqlite_script(store, reader_pragmas, "opening", err);
    }
    return fresh ? sync_folder(store->path, err) : 0;
}

static int set_writer(struct sqlite_store *store, struct ear_error *err)
{
    char mode[16] = "";

    if (ask(store, "PRAGMA journal_mode = WAL", NULL, mode, sizeof mode, err) != 0) {
        return -1;
    }
    if (strcmp(mode, "wal") != 0) {
        return ear_fail(err, EAR_CONFIG,
                        "%s: this file system cannot keep a write-ahead log; name a local folder",
                        store->path);
    }
    return sqlite_script(store, writer_pragmas, "opening", err);
}

/* Whose file it is: one of ours (or empty), and not newer than we are. */
static int judge_file(struct sqlite_store *store, int64_t *version, struct ear_error *err)
{
    int64_t application = 0;
    int64_t tables = 0;

    if (ask(store, "PRAGMA application_id", &application, NULL, 0, err) != 0 ||
        ask(store, "PRAGMA user_version", version, NULL, 0, err) != 0 ||
        ask(store, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0, err) != 0) {
        return -1;
    }
    if (application != APPLICATION_ID && (tables > 0 || *version != 0)) {
        return ear_fail(err, EAR_CONFIG,
                        "%s is a database of another program; name another path for the store",
                        store->path);
    }
    if (*version > SCHEMA_VERSION) {
        return ear_fail(err, EAR_CONFIG,
                        "%s was written by a newer Earshot (store version %lld, this program knows "
                        "%d); run that one, or name another path",
                        store->path, (long long)*version, SCHEMA_VERSION);
    }
    return 0;
}

static int migrate_step(struct sqlite_store *store, int64_t from, struct ear_error *err)
{
    char mark[96];

    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %lld",
             APPLICATION_ID, (long long)from + 1);
    if (sqlite_script(store, "BEGIN IMMEDIATE", "bringing the store up to date", err) != 0) {
        return -1;
    }
    if (sqlite_script(store, schemas[from], "bringing the store up to date", err) != 0 ||
        sqlite_script(store, mark, "bringing the store up to date", err) != 0 ||
        sqlite_script(store, "COMMIT", "bringing the store up to date", err) != 0) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}

static int migrate(struct sqlite_store *store, int64_t version, struct ear_error *err)
{
    char backup[PATH_SIZE];

    if (version > 0 && version < SCHEMA_VERSION) {
        snprintf(backup, sizeof backup, "%s.version-%lld", store->path, (long long)version);
        if (sqlite_store_backup(store, backup, err) != 0) {
            return -1;
        }
    }
    for (; version < SCHEMA_VERSION; version++) {
        if (migrate_step(store, version, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_whole(struct sqlite_store *store, struct ear_error *err)
{
    char said[256] = "";

    if (ask(store, "PRAGMA quick_check(1)", NULL, said, sizeof said, err) != 0) {
        return -1;
    }
    if (strcmp(said, "ok") != 0) {
        return ear_fail(err, EAR_CONFIG,
                        "%s is damaged: %.160s; restore a backup, or move it away and run "
                        "earshot-sink rebuild",
                        store->path, said);
    }
    return 0;
}

int sqlite_store_open(struct sqlite_store *store, const struct store_config *config,
                      struct ear_error *err)
{
    int64_t version = 0;

    if (connect_file(store, err) != 0 || judge_file(store, &version, err) != 0 ||
        (config->check && check_whole(store, err) != 0)) {
        return -1;
    }
    if (config->read_only) {
        return version == SCHEMA_VERSION
                   ? 0
                   : ear_fail(err, EAR_RETRY,
                              "%s is of an older version; earshot run brings it up to date",
                              store->path);
    }
    if (set_writer(store, err) != 0) {
        return -1;
    }
    return migrate(store, version, err);
}

int sqlite_store_backup(struct sqlite_store *store, const char *path, struct ear_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, "VACUUM INTO ?1", -1, &statement, NULL);

    if (code == SQLITE_OK) {
        code = sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    if (code == SQLITE_DONE) {
        return sync_folder(path, err);
    }
    sqlite_failed(store, code, "copying the store", err);
    ear_error_context(err, "backup %s", path);
    return -1;
}
