/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Statements and their answers. Parameters go as text where they are numbers, so that whatever type
 * the server finds for them reads them, and as bytes where they are texts or blobs, so that a NUL
 * or bytes that are no UTF-8 are refused by the server (a row's fault), not cut off here.
 */
#include "sinks/store/postgres_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS_MAX = 48, NUMBER_SIZE = 32, CURSOR_ROWS = 1000 };

/* --- what a failure means --- */

enum cure { AGAIN, AGAIN_ANEW, ROW, PERSON, BROKEN };

struct meaning {
    const char *state; /* how the SQLSTATE begins; the first that fits counts */
    enum cure cure;
    const char *words; /* what to do */
};

/* https://www.postgresql.org/docs/15/errcodes-appendix.html */
static const struct meaning meanings[] = {
    {"22", ROW, ""},
    {"23", ROW, ""},
    {"54", ROW, ""}, /* a key too long for an index, and such limits */
    {"40", AGAIN, "it comes again"},
    {"55P03", AGAIN, "another one holds a lock; it comes again"},
    {"57014", AGAIN, "it took too long; it comes again"},
    {"53100", AGAIN, "free some room on the server's disk"},
    {"53", AGAIN, "the server is short of something; it comes again"},
    {"25006", AGAIN_ANEW, "this server only reads (a standby?); another is looked for"},
    {"25P03", AGAIN_ANEW, "we stood still inside a transaction; it comes again"},
    {"57P", AGAIN_ANEW, "the server ended the connection; it is opened anew"},
    {"08", AGAIN_ANEW, "it is opened anew"},
    {"58", AGAIN_ANEW, "it is opened anew"},
    {"28", PERSON, "mind user, password and the server's pg_hba.conf"},
    {"3D", PERSON, "make the database first (createdb), or name another in the URL"},
    {"42501", PERSON, "grant it to this user, or connect as another"},
    {"0A", AGAIN_ANEW, "it is opened anew"}, /* a table that changed under a prepared statement */
    {"XX001", PERSON, "the database is damaged; restore a backup"},
    {"XX002", PERSON, "an index is damaged; REINDEX it"},
};

/* The first line of what was said, without the SQLSTATE in front. */
static const char *first_line(char *out, size_t size, const char *said)
{
    char state[6];
    const char *at = postgres_sqlstate(state, said);
    const char *from = at[0] == '\0' ? said : strstr(said, state) + 7;

    snprintf(out, size, "%.*s", (int)strcspn(from, "\n"), from);
    return out;
}

const char *postgres_sqlstate(char out[6], const char *said)
{
    out[0] = '\0';
    for (const char *at = strstr(said, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        const char *state = at + 3;

        if (strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && state[5] == ':') {
            memcpy(out, state, 5);
            out[5] = '\0';
            break;
        }
    }
    return out;
}

static const struct meaning *meaning_of(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (strncmp(sqlstate, meanings[i].state, strlen(meanings[i].state)) == 0) {
            return &meanings[i];
        }
    }
    return NULL;
}

int postgres_failed(struct postgres_store *store, const char *sqlstate, const char *said,
                    const char *doing, struct ear_error *err)
{
    const struct meaning *meaning = meaning_of(sqlstate);
    enum cure cure = meaning == NULL ? BROKEN : meaning->cure;
    char line[256];

    first_line(line, sizeof line, said);
    if (PQstatus(store->connection) == CONNECTION_BAD && cure == BROKEN) {
        store->broken = true;
        return ear_fail(err, EAR_RETRY, "%s: %s: %s; it is opened anew", store->label, doing, line);
    }
    if (store->read_only && strcmp(sqlstate, "25006") == 0) {
        return ear_fail(err, EAR_FATAL, "%s: the store was opened to be read only", store->label);
    }
    store->broken = store->broken || cure == AGAIN_ANEW;
    switch (cure) {
    case ROW:
        return ear_fail(err, EAR_REJECT, "store: %s", line);
    case AGAIN:
    case AGAIN_ANEW:
        return ear_fail(err, EAR_RETRY, "%s: %s: %s; %s", store->label, doing, line,
                        meaning->words);
    case PERSON:
        return ear_fail(err, EAR_CONFIG, "%s: %s: %s; %s", store->label, doing, line,
                        meaning->words);
    default:
        return ear_fail(err, EAR_FATAL, "%s: %s: %s (%s)", store->label, doing, line, sqlstate);
    }
}

int postgres_lost(struct postgres_store *store, struct ear_error *err)
{
    const char *said = PQerrorMessage(store->connection);

    store->broken = true;
    return ear_fail(err, EAR_RETRY, "%s: the connection is lost (%.*s); it is opened anew",
                    store->label, (int)strcspn(said, "\n"), said);
}

/* --- sending --- */

/* Of a statement: as libpq wants them. */
struct parameters {
    const char *values[PARAMETERS_MAX];
    int lengths[PARAMETERS_MAX];
    int formats[PARAMETERS_MAX];
    char numbers[PARAMETERS_MAX][NUMBER_SIZE];
};

static void bind(struct parameters *out, const struct store_value values[], size_t count)
{
    assert(count <= PARAMETERS_MAX);
    for (size_t i = 0; i < count; i++) {
        out->values[i] = out->numbers[i];
        out->lengths[i] = 0;
        out->formats[i] = 0;
        switch (values[i].kind) {
        case STORE_INTEGER:
            snprintf(out->numbers[i], NUMBER_SIZE, "%lld", (long long)values[i].integer);
            break;
        case STORE_NUMBER:
            snprintf(out->numbers[i], NUMBER_SIZE, "%.17g", values[i].number);
            break;
        case STORE_TEXT:
        case STORE_BLOB:
            out->values[i] = values[i].bytes == NULL ? "" : values[i].bytes;
            out->lengths[i] = (int)values[i].length;
            out->formats[i] = 1;
            break;
        default:
            out->values[i] = NULL;
        }
    }
}

static int sent(struct postgres_store *store, int good, struct ear_error *err)
{
    if (good != 1) {
        return postgres_lost(store, err);
    }
    store->pending++;
    return 0;
}

int postgres_send_text(struct postgres_store *store, const char *sql, struct ear_error *err)
{
    return sent(store, PQsendQueryParams(store->connection, sql, 0, NULL, NULL, NULL, NULL, 0),
                err);
}

/* A name is never used twice: after a failure nobody knows which of those sent was prepared. */
static int prepare(struct postgres_store *store, struct postgres_query *query,
                   struct ear_error *err)
{
    snprintf(query->name, sizeof query->name, "q%u", ++store->serial);
    query->new = true;
    return sent(store, PQsendPrepare(store->connection, query->name, query->text, 0, NULL), err);
}

int postgres_send(struct postgres_store *store, enum store_query query,
                  const struct store_value values[], size_t count, struct ear_error *err)
{
    struct postgres_query *known = &store->queries[query];
    struct parameters parameters;

    if (known->name[0] == '\0' && prepare(store, known, err) != 0) {
        return -1;
    }
    bind(&parameters, values, count);
    return sent(store,
                PQsendQueryPrepared(store->connection, known->name, (int)count, parameters.values,
                                    parameters.lengths, parameters.formats, 0),
                err);
}

int postgres_send_cursor(struct postgres_store *store, const char *name, enum store_query query,
                         const struct store_value values[], size_t count, struct ear_error *err)
{
    struct parameters parameters;
    char fetch[64];
    char *sql = NULL;
    int good = 0;

    if (asprintf(&sql, "DECLARE %s NO SCROLL CURSOR FOR %s", name, store->queries[query].text) <
        0) {
        return ear_fail_memory(err, "a query");
    }
    bind(&parameters, values, count);
    good = PQsendQueryParams(store->connection, sql, (int)count, NULL, parameters.values,
                             parameters.lengths, parameters.formats, 0);
    free(sql);
    if (sent(store, good, err) != 0) {
        return -1;
    }
    snprintf(fetch, sizeof fetch, "FETCH %d FROM %s", CURSOR_ROWS, name);
    return postgres_send_text(store, fetch, err);
}

/* --- answers --- */

/* Statements sent to be prepared are now; or it is not known, and they get another name. */
static void settle_names(struct postgres_store *store, bool good)
{
    for (int i = 0; i < QUERY_COUNT; i++) {
        if (store->queries[i].new && !good) {
            store->queries[i].name[0] = '\0';
        }
        store->queries[i].new = false;
    }
}

static void note_failure(struct postgres_store *store, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (store->failed.kind == EAR_NONE) {
        postgres_failed(store, state == NULL ? "" : state,
                        said == NULL ? PQresultErrorMessage(result) : said, "asking",
                        &store->failed);
    }
}

/* Reads answers up to the mark that was sent behind them. */
static void read_answers(struct postgres_store *store, PGresult **last)
{
    bool ended = false;
    bool nothing = false; /* the last one read was no answer */

    while (!ended) {
        PGresult *result = PQgetResult(store->connection);

        if (result == NULL) {
            /* One parts the answers of two statements; two in a row come when all is over. */
            ended = nothing || PQstatus(store->connection) == CONNECTION_BAD;
            nothing = true;
            continue;
        }
        nothing = false;
        switch (PQresultStatus(result)) {
        case PGRES_PIPELINE_SYNC:
            ended = true;
            break;
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
            PQclear(*last);
            *last = result;
            continue;
        case PGRES_PIPELINE_ABORTED:
            break;
        default:
            note_failure(store, result);
        }
        PQclear(result);
    }
}

int postgres_settle(struct postgres_store *store, PGresult **last, struct ear_error *err)
{
    PGresult *result = NULL;
    bool was_failed = store->failed.kind != EAR_NONE;

    if (PQpipelineSync(store->connection) != 1) {
        settle_names(store, false);
        return postgres_lost(store, err);
    }
    read_answers(store, &result);
    store->pending = 0;
    if (PQstatus(store->connection) == CONNECTION_BAD && store->failed.kind == EAR_NONE) {
        postgres_lost(store, &store->failed);
    }
    settle_names(store, store->failed.kind == EAR_NONE);
    if (store->failed.kind != EAR_NONE) {
        PQclear(result);
        *err = store->failed;
        if (store->state == OUTSIDE && !was_failed) {
            store->failed = (struct ear_error){.kind = EAR_NONE};
        }
        return -1;
    }
    if (last != NULL) {
        *last = result;
    } else {
        PQclear(result);
    }
    return 0;
}

int postgres_ease(struct postgres_store *store, struct ear_error *err)
{
    return store->pending < PENDING_MAX ? 0 : postgres_settle(store, NULL, err);
}
