/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_STORE_POSTGRES_INTERNAL_H
#define EARSHOT_SINKS_STORE_POSTGRES_INTERNAL_H

/*
 * What the files of the PostgreSQL back end share. The connection is in pipeline mode from the end
 * of opening on: statements are sent (postgres_send) and answered later; postgres_settle waits
 * until everything sent is answered. A failure found there is that of the first statement that
 * failed; it is kept (failed) and given again until the transaction, or its savepoint, is rolled
 * back.
 */

#include <libpq-fe.h>

#include "sinks/store/store_internal.h"

enum {
    PENDING_MAX = 128, /* statements sent and not settled: their answers fit into a socket */
    BULK_COLUMNS_MAX = 40,
    BULK_ROWS_MAX = 1024,
    BULK_BYTES_MAX = 1024 * 1024,
    NAME_SIZE = 128,  /* of a schema, with its quotes doubled */
    LABEL_SIZE = 320, /* what messages call the database; never with a password */
};

enum postgres_state { OUTSIDE, INSIDE, IN_SAVEPOINT };

/* Which advisory lock: the first half of its key; the second is of the schema. */
enum postgres_lock { LOCK_MIGRATE = 0x45415201, LOCK_APPLY, LOCK_HOLD };

struct postgres_bytes {
    char *bytes;
    size_t length, room;
};

/* An INSERT of one row, of which many can be sent as one statement. */
struct postgres_bulk {
    char *text; /* NULL: not described yet */
    Oid types[BULK_COLUMNS_MAX];
    size_t column_count, rows, bytes;
    bool null[BULK_COLUMNS_MAX]; /* there is one in the column */
    struct postgres_bytes columns[BULK_COLUMNS_MAX];
};

struct postgres_query {
    const char *text;
    char table[32]; /* that it adds to, if rows may be gathered; else "" */
    char name[24];  /* of the prepared statement; "" until it is sent to be prepared */
    bool new;       /* sent to be prepared, and not answered yet */
    struct postgres_bulk *bulk;
};

struct postgres_store {
    PGconn *connection;
    char schema[NAME_SIZE]; /* as an identifier, quoted */
    char label[LABEL_SIZE], version[48], warning[1600];
    int32_t schema_key;
    bool read_only, broken, held;
    enum postgres_state state;
    struct ear_error failed; /* of the transaction under way */
    size_t pending;          /* sent and not answered */
    size_t gathered;         /* queries whose bulk holds rows */
    unsigned serial;         /* of names of prepared statements and cursors */
    struct postgres_query queries[QUERY_COUNT];
};

/* --- postgres_wire.c: statements and their answers --- */

/* Fills err from an SQLSTATE ("" unknown) and what the server or libpq said. Returns -1. */
int postgres_failed(struct postgres_store *store, const char *sqlstate, const char *said,
                    const char *doing, struct ear_error *err);

/* The connection cannot be used any more; err says so. Returns -1. */
int postgres_lost(struct postgres_store *store, struct ear_error *err);

/* The SQLSTATE in a message of verbosity PQERRORS_VERBOSE, or "". */
const char *postgres_sqlstate(char out[6], const char *said);

/* Sends SQL of our own: text without parameters. */
EAR_MUST_CHECK
int postgres_send_text(struct postgres_store *store, const char *sql, struct ear_error *err);

/* Sends a query by its name, preparing it first where it has not been. */
EAR_MUST_CHECK
int postgres_send(struct postgres_store *store, enum store_query query,
                  const struct store_value values[], size_t count, struct ear_error *err);

/* Sends a query as a cursor of that name, and the fetch of its first rows. */
EAR_MUST_CHECK
int postgres_send_cursor(struct postgres_store *store, const char *name, enum store_query query,
                         const struct store_value values[], size_t count, struct ear_error *err);

/* Waits for all answers. *last (may be NULL): the answer of the last statement, the caller's. */
EAR_MUST_CHECK
int postgres_settle(struct postgres_store *store, PGresult **last, struct ear_error *err);

/* Settles if so much was sent that it is time. */
EAR_MUST_CHECK
int postgres_ease(struct postgres_store *store, struct ear_error *err);

/* --- postgres_bulk.c: rows gathered --- */

/* Finds out whether rows of this query may be gathered. */
void postgres_bulk_judge(struct postgres_query *query);
/* Adds a row; sends what was gathered where that is enough. */
EAR_MUST_CHECK
int postgres_bulk_add(struct postgres_store *store, enum store_query query,
                      const struct store_value values[], size_t count, struct ear_error *err);
/* Sends the gathered rows that a query might see or meet; NULL: all. */
EAR_MUST_CHECK
int postgres_bulk_send(struct postgres_store *store, const struct postgres_query *before,
                       struct ear_error *err);
void postgres_bulk_drop(struct postgres_store *store); /* forgets gathered rows */
void postgres_bulk_free(struct postgres_bulk *bulk);

/* --- postgres_open.c, postgres_migrate.c --- */

/* EAR_CONFIG: a URL that libpq cannot read. */
EAR_MUST_CHECK
int postgres_check_url(const char *url, struct ear_error *err);
/* Connects and sets the session; not yet in pipeline mode. */
EAR_MUST_CHECK
int postgres_connect(struct postgres_store *store, const struct store_config *config,
                     struct ear_error *err);
/* Runs SQL of our own at once, outside pipeline mode; *out may be NULL. */
EAR_MUST_CHECK
int postgres_execute(PGresult **out, struct postgres_store *store, const char *sql,
                     const char *doing, struct ear_error *err);
/* The first value of such SQL as a number; -1 where it is null. */
EAR_MUST_CHECK
int postgres_ask(int64_t *out, struct postgres_store *store, const char *sql, const char *doing,
                 struct ear_error *err);
/* Whether a name (quoted) is that of a table in the schema. */
EAR_MUST_CHECK
int postgres_has_table(bool *out, struct postgres_store *store, const char *table,
                       struct ear_error *err);
/* Judges what is there; the writer makes it, or brings it up to date. */
EAR_MUST_CHECK
int postgres_migrate(struct postgres_store *store, struct ear_error *err);

#endif
