/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_STORE_SQLITE_INTERNAL_H
#define EARSHOT_SINKS_STORE_SQLITE_INTERNAL_H

/* What the files of the SQLite back end share: its handle, and how its failures are told. */

#include <sqlite3.h>

#include "sinks/store/store_internal.h"

struct sqlite_store;

/* One query, prepared when it is first asked. */
struct sqlite_cursor {
    struct sqlite_store *store;
    sqlite3_stmt *statement;
    bool busy;  /* selected and not ended */
    bool first; /* the row of the first step, which select made, has not been given out */
    int state;  /* of that step */
};

struct sqlite_store {
    sqlite3 *db;
    char *path;
    char version[32];
    bool read_only;
    bool broken;
    const char *const *texts;
    struct sqlite_cursor cursors[QUERY_COUNT];
};

/* Fills err from what SQLite said; marks the handle broken where it must not be used again. Returns
 * -1. */
int sqlite_failed(struct sqlite_store *store, int code, const char *doing, struct ear_error *err);

/* Runs SQL of our own without parameters (pragmas, transactions, schema). */
EAR_MUST_CHECK
int sqlite_script(struct sqlite_store *store, const char *sql, const char *doing,
                  struct ear_error *err);

bool sqlite_file_missing(const char *path);

/* sqlite_open.c: opening, settings, migrations, checks. */
EAR_MUST_CHECK
int sqlite_store_open(struct sqlite_store *store, const struct store_config *config,
                      struct ear_error *err);

EAR_MUST_CHECK
int sqlite_store_backup(struct sqlite_store *store, const char *path, struct ear_error *err);

#endif
