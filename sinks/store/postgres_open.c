/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connecting to PostgreSQL. The server is asked for its SQLSTATE already while connecting
 * (verbosity), so that a wrong password is told from a server that is starting up in any language.
 * Nothing of the URL gets into a message but user, host, port and database.
 *
 * A process that is paused or cut off must not keep others waiting: the server ends a transaction
 * in which nothing comes (idle_in_transaction_session_timeout), a connection whose other end does
 * not answer (tcp_keepalives_*, tcp_user_timeout), and a statement whose client has gone
 * (client_connection_check_interval).
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "sinks/store/postgres_internal.h"

enum { CONNECT_MS = 10000, POLL_MS = 1000, VERSION_LEAST = 150000 };

static const char session[] =
    "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'; SET jit = off;"
    "SET extra_float_digits = 1; SET cursor_tuple_fraction = 1;"
    "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2;"
    "SET tcp_user_timeout = '8s'; SET client_connection_check_interval = '2s';"
    "SET lock_timeout = '10s'";

/* A writer's statements touch a few rows each, by an index: with no statistics yet of a table that
 * fills at once, the planner would not know, and would keep a plan that reads it whole. */
static const char writer[] = "SET synchronous_commit = on; SET statement_timeout = '60s';"
                             "SET idle_in_transaction_session_timeout = '10s';"
                             "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";

static const char reader[] =
    "SET default_transaction_read_only = on; SET statement_timeout = '10min';"
    "SET idle_in_transaction_session_timeout = '10min'";

int postgres_check_url(const char *url, struct ear_error *err)
{
    static const char option[] = "invalid URI query parameter: ";
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);
    bool good = options != NULL && strstr(url, "://") != NULL;

    if (!good && why != NULL && strncmp(why, option, strlen(option)) == 0) {
        why[strcspn(why, "\n")] = '\0'; /* the name of the option, nothing else of the URL */
        ear_fail(err, EAR_CONFIG,
                 "%s is no option of PostgreSQL's URLs; they are those of libpq, such as sslmode",
                 why + strlen(option));
    } else if (!good) {
        ear_fail(err, EAR_CONFIG,
                 "this is no URL that libpq reads; write postgresql://USER@HOST/DATABASE, and what "
                 "is no letter or digit in a name or password as %%XX");
    }
    PQconninfoFree(options);
    PQfreemem(why);
    return good ? 0 : -1;
}

/* --- connecting --- */

static PGconn *start(const struct store_config *config)
{
    char name[64];
    const char *keys[12] = {"dbname"};
    const char *values[12] = {config->url};
    const struct {
        const char *key, *value;
    } more[] = {
        {"application_name", name},     {"client_encoding", "UTF8"}, {"keepalives_idle", "5"},
        {"keepalives_interval", "2"},   {"keepalives_count", "3"},   {"tcp_user_timeout", "10000"},
        {"password", config->password},
    };
    size_t count = 1;

    snprintf(name, sizeof name, "earshot-%s", config->role == NULL ? "sink" : config->role);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (more[i].value != NULL) {
            keys[count] = more[i].key;
            values[count++] = more[i].value;
        }
    }
    return PQconnectStartParams(keys, values, 1);
}

static void write_label(struct postgres_store *store)
{
    const char *host = PQhost(store->connection);
    const char *port = PQport(store->connection);

    snprintf(store->label, sizeof store->label, "postgresql://%s@%s:%s/%s",
             PQuser(store->connection), host == NULL || host[0] == '/' ? "" : host,
             port == NULL ? "" : port, PQdb(store->connection));
}

static PostgresPollingStatusType wait_connected(PGconn *connection)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    int left_ms = CONNECT_MS;

    while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED && left_ms > 0) {
        struct pollfd wait = {.fd = PQsocket(connection),
                              .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};

        if (poll(&wait, 1, POLL_MS) == 0) {
            left_ms -= POLL_MS;
            continue;
        }
        left_ms--; /* a server that sends byte by byte is not waited for either */
        state = PQconnectPoll(connection);
    }
    return state;
}

/* TLS that will not come about before a person acts. Not so where the server went away meanwhile,
 * or refused with an SQLSTATE. */
static bool is_tls_wrong(const char *said, const char *sqlstate)
{
    return strstr(said, "certificate") != NULL ||
           (strstr(said, "SSL") != NULL && sqlstate[0] == '\0' &&
            strstr(said, "SSL SYSCALL") == NULL && strstr(said, "closed unexpectedly") == NULL);
}

static int tell_refused(struct postgres_store *store, struct ear_error *err)
{
    const char *said = PQerrorMessage(store->connection);
    char state[6];

    if (PQconnectionNeedsPassword(store->connection)) {
        return ear_fail(err, EAR_CONFIG,
                        "%s: the server asks for a password; write password: \"${file:NAME}\" "
                        "beside the store's url",
                        store->label);
    }
    if (is_tls_wrong(said, postgres_sqlstate(state, said))) {
        return ear_fail(err, EAR_CONFIG, "%s: %.*s; mind sslmode and sslrootcert in the URL",
                        store->label, (int)strcspn(said, "\n"), said);
    }
    return postgres_failed(store, state, said, "connecting", err);
}

/* --- the session --- */

int postgres_execute(PGresult **out, struct postgres_store *store, const char *sql,
                     const char *doing, struct ear_error *err)
{
    PGresult *result = PQexec(store->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        postgres_failed(store, state == NULL ? "" : state,
                        said == NULL ? PQerrorMessage(store->connection) : said, doing, err);
        PQclear(result);
        return -1;
    }
    if (out != NULL) {
        *out = result;
    } else {
        PQclear(result);
    }
    return 0;
}

int postgres_ask(int64_t *out, struct postgres_store *store, const char *sql, const char *doing,
                 struct ear_error *err)
{
    PGresult *result = NULL;

    if (postgres_execute(&result, store, sql, doing, err) != 0) {
        return -1;
    }
    *out = PQntuples(result) == 0 || PQgetisnull(result, 0, 0)
               ? -1
               : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return 0;
}

static int name_schema(struct postgres_store *store, const char *schema, struct ear_error *err)
{
    char *quoted = NULL;
    int written = 0;

    schema = schema == NULL ? "earshot" : schema;
    quoted = PQescapeIdentifier(store->connection, schema, strlen(schema));
    written = quoted == NULL ? -1 : snprintf(store->schema, sizeof store->schema, "%s", quoted);
    PQfreemem(quoted);
    store->schema_key = (int32_t)(hash64_of(schema, strlen(schema), 0) >> 33);
    return written > 0 && (size_t)written < sizeof store->schema
               ? 0
               : ear_fail(err, EAR_CONFIG, "the schema '%.20s…' is no name; write a short word",
                          schema);
}

static int set_session(struct postgres_store *store, const struct store_config *config,
                       struct ear_error *err)
{
    char path[NAME_SIZE + 64];
    int version = PQserverVersion(store->connection);
    const char *encoding = PQparameterStatus(store->connection, "server_encoding");

    snprintf(store->version, sizeof store->version, "PostgreSQL %d.%d", version / 10000,
             version % 10000);
    if (version < VERSION_LEAST) {
        return ear_fail(err, EAR_CONFIG, "%s is %s; Earshot wants PostgreSQL 15 or later",
                        store->label, store->version);
    }
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        return ear_fail(err, EAR_CONFIG,
                        "%s is kept in %s; make a database with createdb --encoding=UTF8 "
                        "--template=template0",
                        store->label, encoding == NULL ? "?" : encoding);
    }
    if (name_schema(store, config->schema, err) != 0 ||
        postgres_execute(NULL, store, session, "connecting", err) != 0 ||
        postgres_execute(NULL, store, config->read_only ? reader : writer, "connecting", err) !=
            0) {
        return -1;
    }
    snprintf(path, sizeof path, "SET search_path = %s", store->schema);
    return postgres_execute(NULL, store, path, "connecting", err);
}

static void ignore_notice(void *user, const char *said)
{
    (void)user;
    (void)said;
}

int postgres_connect(struct postgres_store *store, const struct store_config *config,
                     struct ear_error *err)
{
    PostgresPollingStatusType state = PGRES_POLLING_FAILED;

    store->connection = start(config);
    if (store->connection == NULL) {
        return ear_fail_memory(err, "a connection");
    }
    PQsetErrorVerbosity(store->connection, PQERRORS_VERBOSE);
    PQsetNoticeProcessor(store->connection, ignore_notice, NULL);
    if (PQstatus(store->connection) != CONNECTION_BAD) {
        state = wait_connected(store->connection);
    }
    write_label(store);
    if (state == PGRES_POLLING_OK) {
        return set_session(store, config, err);
    }
    if (state != PGRES_POLLING_FAILED) {
        return ear_fail(err, EAR_RETRY, "%s: no answer for %d s", store->label, CONNECT_MS / 1000);
    }
    return tell_refused(store, err);
}
