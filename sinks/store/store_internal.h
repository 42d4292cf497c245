/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_STORE_STORE_INTERNAL_H
#define EARSHOT_SINKS_STORE_STORE_INTERNAL_H

/*
 * What a back end is: a handle and the functions that the door calls. Each keeps the promises of
 * store.h for its database; `texts` are the queries of queries.sql, each NUL-ended, for the life of
 * the store, those in its own words where it has any.
 */

#include "sinks/store/store.h"

enum store_manner { STORE_PLAIN, STORE_DERIVED, STORE_EXCLUSIVE };

struct store_backend {
    const char *scheme; /* "sqlite:": how its URLs begin */
    bool shared;
    char mark;           /* that a parameter begins with: '?' as in queries.sql, or '$' */
    const char *queries; /* those that it words otherwise, as in queries.sql; NULL: none */
    int (*check)(const char *url, struct ear_error *err); /* NULL: any URL will do */
    int (*open)(void **handle, const struct store_config *config, const char *const texts[],
                struct ear_error *err);
    void (*close)(void *handle);
    bool (*missing)(const struct store_config *config);
    bool (*broken)(const void *handle);
    int (*hold)(void *handle, bool *held, struct ear_error *err);
    int (*begin)(void *handle, enum store_manner manner, struct ear_error *err);
    int (*commit)(void *handle, struct ear_error *err);
    void (*rollback)(void *handle);
    int (*savepoint)(void *handle, struct ear_error *err);
    int (*savepoint_keep)(void *handle, struct ear_error *err);
    int (*savepoint_undo)(void *handle, struct ear_error *err);
    /* The number of rows changed is asked for, or the query may run later. */
    int64_t (*run)(void *handle, enum store_query query, const struct store_value values[],
                   size_t count, bool asked, struct ear_error *err);
    void *(*select)(void *handle, enum store_query query, const struct store_value values[],
                    size_t count, struct ear_error *err); /* a cursor, or NULL */
    int (*next)(void *cursor, struct ear_error *err);
    void (*end)(void *cursor);
    bool (*is_null)(void *cursor, int column);
    int64_t (*integer)(void *cursor, int column);
    double (*number)(void *cursor, int column);
    const void *(*bytes)(void *cursor, int column, bool text, size_t *length);
    int (*backup)(void *handle, const char *path, struct ear_error *err);
    int64_t (*pending_bytes)(const void *handle);
    const char *(*version)(const void *handle);
    const char *(*warning)(const void *handle);
};

extern const struct store_backend store_sqlite;
extern const struct store_backend store_postgres;

#endif
