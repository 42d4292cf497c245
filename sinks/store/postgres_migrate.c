/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What lies in the database, and bringing it up to date: one transaction a step, behind an advisory
 * lock of the whole database, so that of sinks which start at once one does it and the others wait.
 * The table `migration` says how far it is.
 *
 * Views for other programs stand in a schema of their own, v1. It belongs to the first Earshot of a
 * database (its comment says so); another one, or a v1 of somebody else's, and the views go to
 * SCHEMA_v1. Who may only read them is in the role earshot_reader, made where that is allowed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/store/postgres_internal.h"

enum { SCHEMA_VERSION = 2, SQL_SIZE = 1024 };

static const char bringing[] = "bringing the store up to date";

extern const char postgres_schema_1_sql[];
extern const char postgres_schema_2_sql[];
extern const char postgres_views_1_sql[];
extern const char postgres_views_2_sql[];

static const struct {
    const char *tables, *views;
} steps[SCHEMA_VERSION] = {{postgres_schema_1_sql, postgres_views_1_sql},
                           {postgres_schema_2_sql, postgres_views_2_sql}};

int postgres_has_table(bool *out, struct postgres_store *store, const char *table,
                       struct ear_error *err)
{
    char name[NAME_SIZE + 64];
    char sql[SQL_SIZE];
    char *literal = NULL;
    int64_t there = 0;
    int result = -1;

    snprintf(name, sizeof name, "%s.%s", store->schema, table);
    literal = PQescapeLiteral(store->connection, name, strlen(name));
    if (literal == NULL) {
        return ear_fail_memory(err, "a query");
    }
    /* Reading a table makes the session hear what others have made: without it, after a wait for
     * the lock inside a transaction, the answer would be the one it remembers. */
    snprintf(sql, sizeof sql, "SELECT (to_regclass(%s) IS NOT NULL)::int FROM pg_namespace LIMIT 1",
             literal);
    PQfreemem(literal);
    result = postgres_ask(&there, store, sql, "opening", err);
    *out = there == 1;
    return result;
}

/* *version: 0 where nothing is there yet. */
static int read_version(int64_t *version, struct postgres_store *store, struct ear_error *err)
{
    bool ours = false;
    bool foreign = false;

    *version = 0;
    if (postgres_has_table(&ours, store, "migration", err) != 0) {
        return -1;
    }
    if (ours) {
        return postgres_ask(version, store, "SELECT max(version) FROM migration", "opening", err);
    }
    if (postgres_has_table(&foreign, store, "insight", err) != 0) {
        return -1;
    }
    return foreign ? ear_fail(err, EAR_CONFIG,
                              "%s: the schema %s holds tables of another program; name another "
                              "one (schema: earshot)",
                              store->label, store->schema)
                   : 0;
}

static int judge(struct postgres_store *store, int64_t version, struct ear_error *err)
{
    if (version > SCHEMA_VERSION) {
        return ear_fail(
            err, EAR_CONFIG,
            "%s: the schema %s was written by a newer Earshot (store version %lld, this "
            "program knows %d); run that one, or name another schema",
            store->label, store->schema, (long long)version, SCHEMA_VERSION);
    }
    if (store->read_only && version == 0) {
        return ear_fail(err, EAR_RETRY,
                        "%s: there is no store in the schema %s yet; run earshot run --once first",
                        store->label, store->schema);
    }
    if (store->read_only && version < SCHEMA_VERSION) {
        return ear_fail(
            err, EAR_RETRY,
            "%s: the schema %s is of an older version; earshot run brings it up to date",
            store->label, store->schema);
    }
    return 0;
}

/* --- the schema of the views --- */

/* Our own words for a schema: in its comment, by which the views are found again. */
static int mark_of(char *out, size_t size, struct postgres_store *store, struct ear_error *err)
{
    char text[NAME_SIZE + 64];
    char *literal = NULL;

    snprintf(text, sizeof text, "The views of the Earshot store in the schema %s", store->schema);
    literal = PQescapeLiteral(store->connection, text, strlen(text));
    if (literal == NULL) {
        return ear_fail_memory(err, "a query");
    }
    snprintf(out, size, "%s", literal);
    PQfreemem(literal);
    return 0;
}

/* Which schema is, or will be, that of our views, as a quoted identifier; *there: it is there. */
static int find_views(char out[NAME_SIZE], bool *there, struct postgres_store *store,
                      struct ear_error *err)
{
    char mark[NAME_SIZE * 2 + 64];
    char sql[SQL_SIZE];
    int64_t taken = 0;
    PGresult *result = NULL;

    if (mark_of(mark, sizeof mark, store, err) != 0) {
        return -1;
    }
    snprintf(sql, sizeof sql,
             "SELECT quote_ident(nspname) FROM pg_namespace "
             "WHERE obj_description(oid, 'pg_namespace') = %s",
             mark);
    if (postgres_execute(&result, store, sql, "opening", err) != 0) {
        return -1;
    }
    *there = PQntuples(result) > 0;
    if (*there) {
        snprintf(out, NAME_SIZE, "%s", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    if (*there) {
        return 0;
    }
    if (postgres_ask(&taken, store, "SELECT count(*) FROM pg_namespace WHERE nspname = 'v1'",
                     "opening", err) != 0) {
        return -1;
    }
    if (taken == 0) {
        snprintf(out, NAME_SIZE, "v1");
    } else {
        snprintf(out, NAME_SIZE, "%.*s_v1\"", (int)strlen(store->schema) - 1, store->schema);
    }
    return 0;
}

static int make_views(struct postgres_store *store, const char *text, struct ear_error *err)
{
    char views[NAME_SIZE];
    char mark[NAME_SIZE * 2 + 64];
    char sql[SQL_SIZE];
    bool there = false;

    if (find_views(views, &there, store, err) != 0 || mark_of(mark, sizeof mark, store, err) != 0) {
        return -1;
    }
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s; COMMENT ON SCHEMA %s IS %s", views, views, mark);
    if (!there && postgres_execute(NULL, store, sql, bringing, err) != 0) {
        return -1;
    }
    snprintf(sql, sizeof sql, "SET LOCAL search_path = %s, %s", views, store->schema);
    return postgres_execute(NULL, store, sql, bringing, err) != 0
               ? -1
               : postgres_execute(NULL, store, text, bringing, err);
}

/* --- the steps --- */

/* Only an owner of the database can cure it: what to tell them, in full. */
static int need_create(struct postgres_store *store, struct ear_error *err)
{
    int64_t may = 0;
    char *database = NULL;
    char *user = NULL;

    if (postgres_ask(&may, store,
                     "SELECT has_database_privilege(current_database(), 'CREATE')::int", bringing,
                     err) != 0) {
        return -1;
    }
    if (may == 1) {
        return 0;
    }
    database = PQescapeIdentifier(store->connection, PQdb(store->connection),
                                  strlen(PQdb(store->connection)));
    user = PQescapeIdentifier(store->connection, PQuser(store->connection),
                              strlen(PQuser(store->connection)));
    ear_fail(err, EAR_CONFIG,
             "%s: this user may not make the schema %s; let the database's owner run: "
             "GRANT CREATE ON DATABASE %s TO %s",
             store->label, store->schema, database == NULL ? "…" : database,
             user == NULL ? "…" : user);
    PQfreemem(database);
    PQfreemem(user);
    return -1;
}

static int make_schema(struct postgres_store *store, struct ear_error *err)
{
    char sql[SQL_SIZE];
    char *literal = NULL;
    int64_t there = 0;

    snprintf(sql, sizeof sql, "%s", store->schema);
    literal = PQescapeLiteral(store->connection, sql, strlen(sql));
    if (literal == NULL) {
        return ear_fail_memory(err, "a query");
    }
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pg_namespace WHERE quote_ident(nspname) = "
             "quote_ident((parse_ident(%s))[1])",
             literal);
    PQfreemem(literal);
    if (postgres_ask(&there, store, sql, bringing, err) != 0 || there > 0) {
        return there > 0 ? 0 : -1;
    }
    if (need_create(store, err) != 0) {
        return -1;
    }
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", store->schema);
    return postgres_execute(NULL, store, sql, bringing, err);
}

/* Begins a transaction behind the lock of the whole database. */
static int begin_alone(struct postgres_store *store, struct ear_error *err)
{
    char sql[SQL_SIZE];

    snprintf(sql, sizeof sql,
             "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
             "SELECT pg_advisory_xact_lock(%d, 0)",
             LOCK_MIGRATE);
    return postgres_execute(NULL, store, sql, bringing, err);
}

static int end_alone(struct postgres_store *store, int result, struct ear_error *err)
{
    if (result != 0) {
        PQclear(PQexec(store->connection, "ROLLBACK"));
        return -1;
    }
    return postgres_execute(NULL, store, "COMMIT", bringing, err);
}

/* One step, inside its transaction; the lock is taken first, and what is there read again. */
static int step(int64_t *version, struct postgres_store *store, struct ear_error *err)
{
    char sql[SQL_SIZE];

    if (begin_alone(store, err) != 0 || read_version(version, store, err) != 0 ||
        judge(store, *version, err) != 0) {
        return -1;
    }
    if (*version == SCHEMA_VERSION) {
        return 0; /* another one has done it meanwhile */
    }
    if ((*version == 0 && make_schema(store, err) != 0) ||
        postgres_execute(NULL, store, steps[*version].tables, bringing, err) != 0 ||
        make_views(store, steps[*version].views, err) != 0) {
        return -1;
    }
    snprintf(sql, sizeof sql,
             "SET LOCAL search_path = %s; INSERT INTO migration (version) VALUES (%lld)",
             store->schema, (long long)++*version);
    return postgres_execute(NULL, store, sql, bringing, err);
}

static int take_steps(int64_t version, struct postgres_store *store, struct ear_error *err)
{
    while (version < SCHEMA_VERSION) {
        if (end_alone(store, step(&version, store, err), err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- who may only read --- */

static int grant_reader(struct postgres_store *store, struct ear_error *err)
{
    static const char make[] =
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'earshot_reader') THEN "
        "CREATE ROLE earshot_reader NOLOGIN; END IF; "
        "EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL; "
        "END $$";
    char views[NAME_SIZE];
    char sql[SQL_SIZE];
    bool there = false;
    int64_t count = 0;

    if (find_views(views, &there, store, err) != 0 ||
        postgres_execute(NULL, store, make, bringing, err) != 0 ||
        postgres_ask(&count, store,
                     "SELECT count(*) FROM pg_roles WHERE rolname = 'earshot_reader'", bringing,
                     err) != 0) {
        return -1;
    }
    snprintf(sql, sizeof sql,
             "GRANT USAGE ON SCHEMA %s TO earshot_reader; "
             "GRANT SELECT ON ALL TABLES IN SCHEMA %s TO earshot_reader",
             views, views);
    snprintf(store->warning, sizeof store->warning,
             "%s: this user may not make the role that only reads the views; let an administrator "
             "run: %s%s",
             store->label, count > 0 ? "" : "CREATE ROLE earshot_reader NOLOGIN; ", sql);
    if (count == 0) {
        return 0;
    }
    if (postgres_execute(NULL, store, sql, bringing, err) != 0) {
        return -1;
    }
    store->warning[0] = '\0';
    return 0;
}

/* Whether the role can read the views already: then nothing is to be done. */
static int has_reader(bool *out, struct postgres_store *store, struct ear_error *err)
{
    char views[NAME_SIZE];
    char sql[SQL_SIZE];
    char *literal = NULL;
    bool there = false;
    int64_t may = 0;

    *out = false;
    if (find_views(views, &there, store, err) != 0) {
        return -1;
    }
    literal = PQescapeLiteral(store->connection, views, strlen(views));
    if (literal == NULL) {
        return ear_fail_memory(err, "a query");
    }
    snprintf(sql, sizeof sql,
             "SELECT coalesce((SELECT has_table_privilege(r.oid, c.oid, 'SELECT')::int "
             "FROM pg_roles AS r, pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
             "WHERE r.rolname = 'earshot_reader' AND quote_ident(n.nspname) = %s "
             "AND c.relname = 'remedy'), 0)",
             literal);
    PQfreemem(literal);
    if (postgres_ask(&may, store, sql, "opening", err) != 0) {
        return -1;
    }
    *out = may == 1;
    return 0;
}

/* A user that may not make roles, or grant, is told what to ask for; nothing else hangs on it. */
static int need_reader(struct postgres_store *store, struct ear_error *err)
{
    bool there = false;
    int result = 0;

    if (has_reader(&there, store, err) != 0 || there) {
        return there ? 0 : -1;
    }
    result = begin_alone(store, err);
    if (result == 0) {
        result = has_reader(&there, store, err);
    }
    if (result == 0 && !there) {
        result = grant_reader(store, err);
    }
    result = end_alone(store, result, err);
    if (result != 0 && err->kind == EAR_CONFIG) {
        ear_error_clear(err);
        result = 0;
    }
    return result;
}

int postgres_migrate(struct postgres_store *store, struct ear_error *err)
{
    int64_t version = 0;

    if (read_version(&version, store, err) != 0 || judge(store, version, err) != 0) {
        return -1;
    }
    if (store->read_only) {
        return 0;
    }
    if (take_steps(version, store, err) != 0 || need_reader(store, err) != 0) {
        return -1;
    }
    if (version == SCHEMA_VERSION) {
        store->warning[0] = '\0'; /* said when the tables were made: not at every start of all */
    }
    return 0;
}
