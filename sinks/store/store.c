/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The door: picks the back end by the URL and hands it the queries. queries.sql is compiled in; a
 * query begins after its line "-- name: NAME" and ends with its semicolon, so a query without a
 * text, or a text without a query, is found by the first store_open of any test. What a back end
 * words otherwise stands in a file of its own under the same names, and goes first.
 */
#include "sinks/store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/store/store_internal.h"

extern const char queries_sql[];

struct store {
    const struct store_backend *backend;
    void *handle;
    char *queries[2]; /* copies of the back end's own and of queries.sql, cut into texts */
    const char *texts[QUERY_COUNT];
};

struct store_rows {
    const struct store_backend *backend;
    void *cursor;
};

static const char *const query_names[QUERY_COUNT] = {
#define STORE_QUERY_NAME(constant, name) [QUERY_##constant] = (name),
    STORE_QUERIES(STORE_QUERY_NAME)
#undef STORE_QUERY_NAME
};

static const struct store_backend *const backends[] = {&store_sqlite, &store_postgres};

struct store_value store_null(void)
{
    return (struct store_value){.kind = STORE_NULL};
}

struct store_value store_integer(int64_t value)
{
    return (struct store_value){.kind = STORE_INTEGER, .integer = value};
}

struct store_value store_number(double value)
{
    return (struct store_value){.kind = STORE_NUMBER, .number = value};
}

struct store_value store_text(const char *text)
{
    return text == NULL ? store_null() : store_bytes(text, strlen(text));
}

struct store_value store_bytes(const char *text, size_t length)
{
    return (struct store_value){.kind = STORE_TEXT, .bytes = text, .length = length};
}

struct store_value store_blob(const void *bytes, size_t length)
{
    return (struct store_value){.kind = STORE_BLOB, .bytes = bytes, .length = length};
}

static const struct store_backend *backend_of(const char *url)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strncmp(url, backends[i]->scheme, strlen(backends[i]->scheme)) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

static int query_index(const char *name, size_t length)
{
    for (int i = 0; i < QUERY_COUNT; i++) {
        if (strlen(query_names[i]) == length && memcmp(query_names[i], name, length) == 0) {
            return i;
        }
    }
    return -1;
}

/* Ends a query at its semicolon, and makes its parameters those of the back end. */
static void trim_query(char *text, char mark)
{
    text[strcspn(text, ";")] = '\0';
    for (char *at = strchr(text, '?'); at != NULL; at = strchr(at, '?')) {
        *at++ = mark;
    }
}

/* Cuts texts into one NUL-ended text a query; one that a name has already stays. */
static int cut_queries(struct store *store, char *queries, bool again, struct ear_error *err)
{
    static const char mark[] = "-- name: ";
    bool seen[QUERY_COUNT] = {false};
    char *at = strstr(queries, mark);

    while (at != NULL) {
        char *name = at + strlen(mark);
        char *end = strchr(name, '\n');
        int index = end == NULL ? -1 : query_index(name, (size_t)(end - name));

        if (index < 0 || seen[index]) {
            return ear_fail(err, EAR_FATAL, "queries.sql: '%.40s' is unknown or there twice", name);
        }
        seen[index] = true;
        at = strstr(end, mark);
        if (at != NULL) {
            at[-1] = '\0'; /* the line end before the mark */
        }
        if (store->texts[index] == NULL) {
            trim_query(end + 1, store->backend->mark);
            store->texts[index] = end + 1;
        }
    }
    for (int i = 0; i < QUERY_COUNT && again; i++) {
        if (store->texts[i] == NULL) {
            return ear_fail(err, EAR_FATAL, "queries.sql: '%s' is missing", query_names[i]);
        }
    }
    return 0;
}

static int load_queries(struct store *store, struct ear_error *err)
{
    const char *own = store->backend->queries == NULL ? "" : store->backend->queries;

    store->queries[0] = strdup(own);
    store->queries[1] = strdup(queries_sql);
    if (store->queries[0] == NULL || store->queries[1] == NULL) {
        return ear_fail_memory(err, "the store's queries");
    }
    return cut_queries(store, store->queries[0], false, err) != 0
               ? -1
               : cut_queries(store, store->queries[1], true, err);
}

int store_check_url(const char *url, struct ear_error *err)
{
    const struct store_backend *backend = backend_of(url);

    if (backend == NULL) {
        return ear_fail(err, EAR_CONFIG,
                        "'%.*s…' is no store; write sqlite:PATH or postgresql://USER@HOST/DATABASE",
                        (int)strcspn(url, ":/@ "), url);
    }
    return backend->check == NULL ? 0 : backend->check(url, err);
}

int store_open(struct store **out, const struct store_config *config, struct ear_error *err)
{
    int result = -1;
    const struct store_backend *backend = backend_of(config->url);
    struct store *store = NULL;

    if (store_check_url(config->url, err) != 0) {
        return -1;
    }
    store = calloc(1, sizeof *store);
    if (store == NULL) {
        ear_fail_memory(err, "the store");
        goto done;
    }
    store->backend = backend;
    if (load_queries(store, err) != 0 ||
        backend->open(&store->handle, config, store->texts, err) != 0) {
        goto done;
    }
    *out = store;
    store = NULL;
    result = 0;

done:
    store_close(store);
    return result;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->handle != NULL) {
        store->backend->close(store->handle);
    }
    free(store->queries[0]);
    free(store->queries[1]);
    free(store);
}

bool store_missing(const struct store_config *config)
{
    const struct store_backend *backend = backend_of(config->url);

    return backend != NULL && backend->missing(config);
}

bool store_shared(const struct store *store)
{
    return store->backend->shared;
}

int store_hold(struct store *store, bool *held, struct ear_error *err)
{
    return store->backend->hold(store->handle, held, err);
}

bool store_broken(const struct store *store)
{
    return store->backend->broken(store->handle);
}

int store_begin(struct store *store, struct ear_error *err)
{
    return store->backend->begin(store->handle, STORE_PLAIN, err);
}

int store_begin_derived(struct store *store, struct ear_error *err)
{
    return store->backend->begin(store->handle, STORE_DERIVED, err);
}

int store_begin_exclusive(struct store *store, struct ear_error *err)
{
    return store->backend->begin(store->handle, STORE_EXCLUSIVE, err);
}

int store_commit(struct store *store, struct ear_error *err)
{
    return store->backend->commit(store->handle, err);
}

void store_rollback(struct store *store)
{
    store->backend->rollback(store->handle);
}

int store_savepoint(struct store *store, struct ear_error *err)
{
    return store->backend->savepoint(store->handle, err);
}

int store_savepoint_keep(struct store *store, struct ear_error *err)
{
    return store->backend->savepoint_keep(store->handle, err);
}

int store_savepoint_undo(struct store *store, struct ear_error *err)
{
    return store->backend->savepoint_undo(store->handle, err);
}

int store_run(struct store *store, enum store_query query, const struct store_value values[],
              size_t count, struct ear_error *err)
{
    return store->backend->run(store->handle, query, values, count, false, err) < 0 ? -1 : 0;
}

int64_t store_change(struct store *store, enum store_query query, const struct store_value values[],
                     size_t count, struct ear_error *err)
{
    return store->backend->run(store->handle, query, values, count, true, err);
}

int store_select(struct store_rows **out, struct store *store, enum store_query query,
                 const struct store_value values[], size_t count, struct ear_error *err)
{
    void *cursor = store->backend->select(store->handle, query, values, count, err);
    struct store_rows *rows = NULL;

    if (cursor == NULL) {
        return -1;
    }
    rows = malloc(sizeof *rows);
    if (rows == NULL) {
        store->backend->end(cursor);
        ear_fail_memory(err, "a query's rows");
        return -1;
    }
    *rows = (struct store_rows){.backend = store->backend, .cursor = cursor};
    *out = rows;
    return 0;
}

int store_next(struct store_rows *rows, struct ear_error *err)
{
    return rows->backend->next(rows->cursor, err);
}

void store_rows_end(struct store_rows *rows)
{
    if (rows != NULL) {
        rows->backend->end(rows->cursor);
        free(rows);
    }
}

bool store_is_null(const struct store_rows *rows, int column)
{
    return rows->backend->is_null(rows->cursor, column);
}

int64_t store_get_integer(const struct store_rows *rows, int column)
{
    return rows->backend->integer(rows->cursor, column);
}

double store_get_number(const struct store_rows *rows, int column)
{
    return rows->backend->number(rows->cursor, column);
}

const char *store_get_text(const struct store_rows *rows, int column, size_t *length)
{
    return rows->backend->bytes(rows->cursor, column, true, length);
}

const void *store_get_blob(const struct store_rows *rows, int column, size_t *length)
{
    return rows->backend->bytes(rows->cursor, column, false, length);
}

int store_ask_integer(int64_t *out, bool *found, struct store *store, enum store_query query,
                      const struct store_value values[], size_t count, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = -1;

    if (store_select(&rows, store, query, values, count, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        *out = store_get_integer(rows, 0);
    }
    if (there >= 0 && found != NULL) {
        *found = there == 1;
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

int store_backup(struct store *store, const char *path, struct ear_error *err)
{
    return store->backend->backup(store->handle, path, err);
}

int64_t store_pending_bytes(const struct store *store)
{
    return store->backend->pending_bytes(store->handle);
}

const char *store_version(const struct store *store)
{
    return store->backend->version(store->handle);
}

const char *store_warning(const struct store *store)
{
    return store->backend->warning(store->handle);
}
