/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The store on PostgreSQL: transactions and queries. Inside a transaction what changes rows is sent
 * and not waited for (postgres_wire.c), plain inserts even gathered first (postgres_bulk.c); what
 * is asked for is waited for, and everything sent before it with it. Inside a savepoint every
 * statement is waited for, so that the row that was refused is known.
 *
 * Locks, all advisory, of this schema: a writer's transaction shares one; the one that must be
 * alone takes it for itself; the holder has another as long as its connection lives.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/testpoint.h"
#include "sinks/store/postgres_internal.h"

extern const char postgres_queries_sql[];

/* A cell that is not used as the server wrote it. */
struct cell {
    unsigned char *bytes; /* libpq's, ours to free */
    size_t length;
    bool there;
};

struct postgres_cursor {
    struct postgres_store *store;
    PGresult *result;
    int row, columns;
    char name[24];      /* of the server's cursor; "" where all rows are here */
    struct cell *cells; /* [columns], of this row */
};

/* --- opening --- */

static void postgres_close(void *handle)
{
    struct postgres_store *store = handle;

    for (int i = 0; i < QUERY_COUNT; i++) {
        postgres_bulk_free(store->queries[i].bulk);
    }
    PQfinish(store->connection);
    free(store);
}

static int postgres_open(void **out, const struct store_config *config, const char *const texts[],
                         struct ear_error *err)
{
    struct postgres_store *store = calloc(1, sizeof *store);

    if (store == NULL) {
        return ear_fail_memory(err, "the store");
    }
    store->read_only = config->read_only;
    for (int i = 0; i < QUERY_COUNT; i++) {
        store->queries[i].text = texts[i];
        postgres_bulk_judge(&store->queries[i]);
    }
    if (postgres_connect(store, config, err) != 0 || postgres_migrate(store, err) != 0) {
        postgres_close(store);
        return -1;
    }
    if (PQenterPipelineMode(store->connection) != 1) {
        postgres_lost(store, err);
        postgres_close(store);
        return -1;
    }
    *out = store;
    return 0;
}

static bool postgres_missing(const struct store_config *config)
{
    struct postgres_store *store = calloc(1, sizeof *store);
    struct store_config reader = *config;
    struct ear_error err = {0};
    bool there = true;

    if (store == NULL) {
        return false;
    }
    reader.read_only = true;
    store->read_only = true;
    if (postgres_connect(store, &reader, &err) != 0 ||
        postgres_has_table(&there, store, "migration", &err) != 0) {
        there = true; /* that is no proof; store_open says what is wrong */
    }
    postgres_close(store);
    return !there;
}

static bool postgres_broken(const void *handle)
{
    return ((const struct postgres_store *)handle)->broken;
}

/* --- transactions --- */

static int send_lock(struct postgres_store *store, const char *function, enum postgres_lock lock,
                     struct ear_error *err)
{
    char sql[128];

    snprintf(sql, sizeof sql, "SELECT %s(%d, %d)", function, (int)lock, store->schema_key);
    return postgres_send_text(store, sql, err);
}

static int postgres_hold(void *handle, bool *held, struct ear_error *err)
{
    struct postgres_store *store = handle;
    PGresult *result = NULL;
    bool got = false;

    if (store->held) { /* the connection lives: that is what is asked */
        if (postgres_send_text(store, "SELECT", err) != 0 ||
            postgres_settle(store, NULL, err) != 0) {
            return -1;
        }
        *held = true;
        return 0;
    }
    if (send_lock(store, "pg_try_advisory_lock", LOCK_HOLD, err) != 0 ||
        postgres_settle(store, &result, err) != 0) {
        return -1;
    }
    got = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    if (got && (postgres_send_text(store, "SET idle_session_timeout = '8s'", err) != 0 ||
                postgres_settle(store, NULL, err) != 0)) {
        return -1;
    }
    store->held = got;
    *held = got;
    return 0;
}

static void postgres_rollback(void *handle)
{
    struct postgres_store *store = handle;
    struct ear_error err = {0};

    postgres_bulk_drop(store);
    if (store->state == OUTSIDE) {
        return;
    }
    store->state = INSIDE;
    if (!store->broken && store->pending > 0 && postgres_settle(store, NULL, &err) != 0) {
        ear_error_clear(&err); /* it is being rolled back */
    }
    store->state = OUTSIDE;
    store->failed = (struct ear_error){.kind = EAR_NONE};
    if (!store->broken && (postgres_send_text(store, "ROLLBACK", &err) != 0 ||
                           postgres_settle(store, NULL, &err) != 0)) {
        store->broken = true;
    }
}

static int postgres_begin(void *handle, enum store_manner manner, struct ear_error *err)
{
    struct postgres_store *store = handle;
    const char *begin = store->read_only ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                                         : "BEGIN ISOLATION LEVEL READ COMMITTED";
    const bool exclusive = manner == STORE_EXCLUSIVE;
    const char *lock = exclusive ? "pg_advisory_xact_lock" : "pg_advisory_xact_lock_shared";

    assert(store->state == OUTSIDE);
    if (postgres_send_text(store, begin, err) != 0) {
        return -1;
    }
    store->state = INSIDE;
    if (store->read_only) {
        return 0;
    }
    if ((manner == STORE_DERIVED &&
         postgres_send_text(store, "SET LOCAL synchronous_commit = off", err) != 0) ||
        send_lock(store, lock, LOCK_APPLY, err) != 0 ||
        (exclusive && postgres_settle(store, NULL, err) != 0)) {
        postgres_rollback(store);
        return -1;
    }
    return 0;
}

/* The transaction's failure, if it has one. */
static int is_sound(const struct postgres_store *store, struct ear_error *err)
{
    if (store->failed.kind != EAR_NONE) {
        *err = store->failed;
        return -1;
    }
    return 0;
}

/* What a test asked to fail at the commit: the connection, before it or after it. */
static int lose_connection(struct postgres_store *store, struct ear_error *err)
{
    store->broken = true;
    return ear_fail(err, EAR_RETRY, "%s: the connection is lost (%s); it is opened anew",
                    store->label, strerrordesc_np(errno));
}

static int send_commit(struct postgres_store *store, struct ear_error *err)
{
    PGresult *result = NULL;
    bool done = false;

    if (is_sound(store, err) != 0 || postgres_bulk_send(store, NULL, err) != 0) {
        return -1;
    }
    if (TESTPOINT_FAILS("sink.commit")) {
        return lose_connection(store, err);
    }
    if (postgres_send_text(store, "COMMIT", err) != 0 ||
        postgres_settle(store, &result, err) != 0) {
        return -1;
    }
    done = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    if (!done) {
        return ear_fail(err, EAR_RETRY, "%s: the server rolled the transaction back", store->label);
    }
    return TESTPOINT_FAILS("sink.commit-answer") ? lose_connection(store, err) : 0;
}

static int postgres_commit(void *handle, struct ear_error *err)
{
    struct postgres_store *store = handle;

    if (send_commit(store, err) != 0) {
        postgres_rollback(store);
        return -1;
    }
    store->state = OUTSIDE;
    return 0;
}

static int postgres_savepoint(void *handle, struct ear_error *err)
{
    struct postgres_store *store = handle;

    assert(store->state == INSIDE);
    if (is_sound(store, err) != 0 || postgres_bulk_send(store, NULL, err) != 0 ||
        postgres_send_text(store, "SAVEPOINT one", err) != 0 ||
        postgres_settle(store, NULL, err) != 0) {
        return -1;
    }
    store->state = IN_SAVEPOINT;
    return 0;
}

static int postgres_savepoint_keep(void *handle, struct ear_error *err)
{
    struct postgres_store *store = handle;

    assert(store->state == IN_SAVEPOINT);
    if (is_sound(store, err) != 0) {
        return -1;
    }
    store->state = INSIDE;
    return postgres_send_text(store, "RELEASE SAVEPOINT one", err);
}

static int postgres_savepoint_undo(void *handle, struct ear_error *err)
{
    struct postgres_store *store = handle;

    assert(store->state == IN_SAVEPOINT);
    store->state = INSIDE;
    store->failed = (struct ear_error){.kind = EAR_NONE};
    if (postgres_send_text(store, "ROLLBACK TO SAVEPOINT one", err) != 0) {
        return -1;
    }
    return postgres_send_text(store, "RELEASE SAVEPOINT one", err);
}

/* --- queries --- */

static int64_t changed_of(PGresult *result)
{
    int64_t changed = strtoll(PQcmdTuples(result), NULL, 10);

    PQclear(result);
    return changed;
}

static int send_deferred(struct postgres_store *store, enum store_query query,
                         const struct store_value values[], size_t count, struct ear_error *err)
{
    const struct postgres_query *known = &store->queries[query];
    int result = -1;

    if (postgres_bulk_send(store, known, err) != 0) {
        return -1;
    }
    if (known->table[0] != '\0') {
        result = postgres_bulk_add(store, query, values, count, err);
    } else if (postgres_send(store, query, values, count, err) == 0) {
        result = postgres_ease(store, err);
    }
    if (result != 0 && store->failed.kind == EAR_NONE) {
        store->failed = *err; /* half a row may be gathered: nothing of this goes on */
    }
    return result;
}

static int64_t postgres_run(void *handle, enum store_query query, const struct store_value values[],
                            size_t count, bool asked, struct ear_error *err)
{
    struct postgres_store *store = handle;
    PGresult *result = NULL;

    if (is_sound(store, err) != 0) {
        return -1;
    }
    if (!asked && store->state == INSIDE && !store->read_only) {
        return send_deferred(store, query, values, count, err);
    }
    if (postgres_bulk_send(store, &store->queries[query], err) != 0 ||
        postgres_send(store, query, values, count, err) != 0 ||
        postgres_settle(store, &result, err) != 0) {
        return -1;
    }
    return changed_of(result);
}

/* What may be more rows than memory should hold: fetched part by part, inside a transaction. */
static bool is_long(enum store_query query)
{
    switch (query) {
    case QUERY_FACT_SCAN:
    case QUERY_FACT_EACH:
    case QUERY_ROLLUP_EACH:
    case QUERY_INSIGHT_BY_ID:
    case QUERY_INSIGHT_STATE:
        return true;
    default:
        return false;
    }
}

static struct postgres_cursor *new_cursor(struct postgres_store *store, PGresult *result,
                                          const char *name, struct ear_error *err)
{
    struct postgres_cursor *cursor = calloc(1, sizeof *cursor);
    int columns = PQnfields(result);

    if (cursor != NULL) {
        cursor->cells = calloc((size_t)columns + 1, sizeof cursor->cells[0]);
    }
    if (cursor == NULL || cursor->cells == NULL) {
        free(cursor);
        PQclear(result);
        ear_fail_memory(err, "a query's rows");
        return NULL;
    }
    cursor->store = store;
    cursor->result = result;
    cursor->row = -1;
    cursor->columns = columns;
    snprintf(cursor->name, sizeof cursor->name, "%s", name);
    return cursor;
}

static void *postgres_select(void *handle, enum store_query query,
                             const struct store_value values[], size_t count, struct ear_error *err)
{
    struct postgres_store *store = handle;
    PGresult *result = NULL;
    char name[24] = "";
    int done = -1;

    if (is_sound(store, err) != 0 || postgres_bulk_send(store, &store->queries[query], err) != 0) {
        return NULL;
    }
    if (store->state == INSIDE && is_long(query)) {
        snprintf(name, sizeof name, "c%u", ++store->serial);
        done = postgres_send_cursor(store, name, query, values, count, err);
    } else {
        done = postgres_send(store, query, values, count, err);
    }
    if (done != 0 || postgres_settle(store, &result, err) != 0) {
        return NULL;
    }
    return new_cursor(store, result, name, err);
}

static void clear_cells(struct postgres_cursor *cursor)
{
    for (int i = 0; i < cursor->columns; i++) {
        if (cursor->cells[i].there) {
            PQfreemem(cursor->cells[i].bytes);
            cursor->cells[i] = (struct cell){0};
        }
    }
}

static int fetch_more(struct postgres_cursor *cursor, struct ear_error *err)
{
    PGresult *result = NULL;
    char sql[64];

    snprintf(sql, sizeof sql, "FETCH 1000 FROM %s", cursor->name);
    if (postgres_send_text(cursor->store, sql, err) != 0 ||
        postgres_settle(cursor->store, &result, err) != 0) {
        return -1;
    }
    PQclear(cursor->result);
    cursor->result = result;
    cursor->row = 0;
    return 0;
}

static int postgres_next(void *handle, struct ear_error *err)
{
    struct postgres_cursor *cursor = handle;

    clear_cells(cursor);
    cursor->row++;
    if (cursor->name[0] != '\0' && cursor->row >= PQntuples(cursor->result) && cursor->row > 0 &&
        fetch_more(cursor, err) != 0) {
        return -1;
    }
    return cursor->row < PQntuples(cursor->result);
}

static void postgres_end(void *handle)
{
    struct postgres_cursor *cursor = handle;
    struct ear_error err = {0};
    char sql[40];

    if (cursor->name[0] != '\0' && is_sound(cursor->store, &err) == 0 && !cursor->store->broken) {
        snprintf(sql, sizeof sql, "CLOSE %s", cursor->name);
        if (postgres_send_text(cursor->store, sql, &err) != 0) {
            cursor->store->broken = true;
        }
    }
    clear_cells(cursor);
    PQclear(cursor->result);
    free(cursor->cells);
    free(cursor);
}

static bool postgres_is_null(void *handle, int column)
{
    const struct postgres_cursor *cursor = handle;

    return PQgetisnull(cursor->result, cursor->row, column) != 0;
}

static int64_t postgres_integer(void *handle, int column)
{
    const struct postgres_cursor *cursor = handle;
    const char *text = PQgetvalue(cursor->result, cursor->row, column);

    return text[0] == 't' ? 1 : strtoll(text, NULL, 10); /* a truth value is t or f */
}

static double postgres_number(void *handle, int column)
{
    const struct postgres_cursor *cursor = handle;

    return strtod(PQgetvalue(cursor->result, cursor->row, column), NULL);
}

static const void *postgres_bytes(void *handle, int column, bool text, size_t *length)
{
    struct postgres_cursor *cursor = handle;
    struct cell *cell = &cursor->cells[column];
    const char *said = PQgetvalue(cursor->result, cursor->row, column);
    size_t said_length = (size_t)PQgetlength(cursor->result, cursor->row, column);

    if (postgres_is_null(handle, column)) {
        said = NULL;
    } else if (!text) {
        if (!cell->there) {
            cell->bytes = PQunescapeBytea((const unsigned char *)said, &cell->length);
            cell->there = cell->bytes != NULL;
        }
        said = (const char *)cell->bytes;
        said_length = cell->length;
    }
    if (length != NULL) {
        *length = said == NULL ? 0 : said_length;
    }
    return said;
}

/* --- about it --- */

static int postgres_backup(void *handle, const char *path, struct ear_error *err)
{
    const struct postgres_store *store = handle;

    (void)path;
    return ear_fail(err, EAR_CONFIG,
                    "%s: a store on PostgreSQL is copied by its own tool; use pg_dump",
                    store->label);
}

static int64_t postgres_pending_bytes(const void *handle)
{
    (void)handle;
    return 0;
}

static const char *postgres_version(const void *handle)
{
    return ((const struct postgres_store *)handle)->version;
}

static const char *postgres_warning(const void *handle)
{
    const char *warning = ((const struct postgres_store *)handle)->warning;

    return warning[0] == '\0' ? NULL : warning;
}

const struct store_backend store_postgres = {
    .scheme = "postgres",
    .shared = true,
    .mark = '$',
    .queries = postgres_queries_sql,
    .check = postgres_check_url,
    .open = postgres_open,
    .close = postgres_close,
    .missing = postgres_missing,
    .broken = postgres_broken,
    .hold = postgres_hold,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .savepoint = postgres_savepoint,
    .savepoint_keep = postgres_savepoint_keep,
    .savepoint_undo = postgres_savepoint_undo,
    .run = postgres_run,
    .select = postgres_select,
    .next = postgres_next,
    .end = postgres_end,
    .is_null = postgres_is_null,
    .integer = postgres_integer,
    .number = postgres_number,
    .bytes = postgres_bytes,
    .backup = postgres_backup,
    .pending_bytes = postgres_pending_bytes,
    .version = postgres_version,
    .warning = postgres_warning,
};
