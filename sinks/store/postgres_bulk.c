/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows gathered. A plain INSERT of one row (parameters in order, nothing returned, no conflict that
 * changes a row) need not go alone: its rows wait here, column by column, and go as
 *
 *     INSERT INTO table (…) SELECT * FROM unnest($1::bigint[], …)
 *
 * which costs the server a fraction of as many statements. Nobody can tell the difference: gathered
 * rows are sent before any statement whose text names their table, or one of the views, before a
 * savepoint and before COMMIT.
 *
 * An array goes in its binary form: how many dimensions (1), is there a null, the type of its
 * elements, how many, the first index (1); then each element's length (-1: null) and bytes; all
 * numbers big-endian (array_recv of PostgreSQL).
 */
#include "sinks/store/postgres_internal.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types by their numbers: fixed since PostgreSQL has types (pg_type.dat). */
enum { BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, FLOAT8 = 701 };

enum { HEADER_BYTES = 20 };

static const char *type_name(Oid type)
{
    switch (type) {
    case BYTEA:
        return "bytea";
    case INT8:
        return "bigint";
    case INT2:
        return "smallint";
    case INT4:
        return "integer";
    case TEXT:
        return "text";
    case FLOAT8:
        return "double precision";
    default:
        return NULL;
    }
}

/* Behind "VALUES (": are there just parameters, in order? Returns what follows them, or NULL. */
static const char *skip_parameters(const char *at)
{
    for (long i = 1;; i++) {
        char *end = NULL;

        at += strspn(at, " \n");
        if (*at != '$' || strtol(at + 1, &end, 10) != i) {
            return NULL;
        }
        at = end + strspn(end, " \n");
        if (*at == ')') {
            return at + 1;
        }
        if (*at++ != ',') {
            return NULL;
        }
    }
}

void postgres_bulk_judge(struct postgres_query *query)
{
    static const char insert[] = "INSERT INTO ";
    const char *values = strstr(query->text, "VALUES (");
    const char *rest = values == NULL ? NULL : skip_parameters(values + 8);
    const char *table = query->text + strlen(insert);

    if (strncmp(query->text, insert, strlen(insert)) == 0 && rest != NULL &&
        (rest[strspn(rest, " \n")] == '\0' || strstr(rest, "DO NOTHING") != NULL) &&
        strstr(rest, "RETURNING") == NULL) {
        snprintf(query->table, sizeof query->table, "%.*s", (int)strcspn(table, " "), table);
    }
}

/* --- the statement --- */

static int write_statement(struct postgres_bulk *bulk, const char *text, struct ear_error *err)
{
    const char *values = strstr(text, "VALUES (");
    const char *rest = skip_parameters(values + 8);
    size_t size = 0;
    FILE *out = open_memstream(&bulk->text, &size);

    if (out == NULL) {
        return ear_fail_memory(err, "a query");
    }
    fprintf(out, "%.*sSELECT * FROM unnest(", (int)(values - text), text);
    for (size_t i = 0; i < bulk->column_count; i++) {
        fprintf(out, "%s$%zu::%s[]", i == 0 ? "" : ", ", i + 1, type_name(bulk->types[i]));
    }
    fprintf(out, ")%s", rest);
    return fclose(out) == 0 ? 0 : ear_fail_memory(err, "a query");
}

/* Asks the server which types the columns are of. */
static int describe(struct postgres_store *store, struct postgres_query *query,
                    struct ear_error *err)
{
    PGresult *result = NULL;
    int count = 0;
    int done = -1;

    if (postgres_settle(store, NULL, err) != 0) {
        return -1;
    }
    snprintf(query->name, sizeof query->name, "q%u", ++store->serial);
    query->new = true;
    if (PQsendPrepare(store->connection, query->name, query->text, 0, NULL) != 1 ||
        PQsendDescribePrepared(store->connection, query->name) != 1) {
        return postgres_lost(store, err);
    }
    if (postgres_settle(store, &result, err) != 0) {
        return -1;
    }
    count = PQnparams(result);
    query->bulk = calloc(1, sizeof *query->bulk);
    if (query->bulk == NULL) {
        ear_fail_memory(err, "rows of a batch");
        goto done;
    }
    for (int i = 0; i < count && i < BULK_COLUMNS_MAX; i++) {
        query->bulk->types[i] = PQparamtype(result, i);
    }
    query->bulk->column_count = (size_t)count;
    done = 0;

done:
    PQclear(result);
    return done;
}

static bool can_gather(const struct postgres_bulk *bulk)
{
    for (size_t i = 0; i < bulk->column_count && i < BULK_COLUMNS_MAX; i++) {
        if (type_name(bulk->types[i]) == NULL) {
            return false;
        }
    }
    return bulk->column_count > 0 && bulk->column_count <= BULK_COLUMNS_MAX;
}

/* --- rows --- */

static int append(struct postgres_bytes *bytes, const void *what, size_t length,
                  struct ear_error *err)
{
    if (bytes->length + length > bytes->room) {
        size_t room = (bytes->length + length) * 2 < 1024 ? 1024 : (bytes->length + length) * 2;
        char *more = realloc(bytes->bytes, room);

        if (more == NULL) {
            return ear_fail_memory(err, "rows of a batch");
        }
        bytes->bytes = more;
        bytes->room = room;
    }
    memcpy(bytes->bytes + bytes->length, what, length);
    bytes->length += length;
    return 0;
}

static int append_number(struct postgres_bytes *column, uint64_t bits, size_t width,
                         struct ear_error *err)
{
    uint32_t length = htobe32((uint32_t)width);
    uint64_t big = htobe64(bits << (64 - 8 * width));
    char cell[12];

    memcpy(cell, &length, 4);
    memcpy(cell + 4, &big, width);
    return append(column, cell, 4 + width, err);
}

static int append_integer(struct postgres_bytes *column, Oid type, int64_t value,
                          struct ear_error *err)
{
    size_t width = type == INT8 ? 8 : type == INT4 ? 4 : 2;
    int64_t most = type == INT8 ? INT64_MAX : type == INT4 ? INT32_MAX : INT16_MAX;

    if (value > most || value < -most - 1) {
        return ear_fail(err, EAR_REJECT, "store: %lld is out of the range of its column",
                        (long long)value);
    }
    return append_number(column, (uint64_t)value, width, err);
}

static int append_bytes(struct postgres_bytes *column, const struct store_value *value,
                        struct ear_error *err)
{
    uint32_t length = htobe32((uint32_t)value->length);

    if (append(column, &length, sizeof length, err) != 0) {
        return -1;
    }
    return value->length == 0 ? 0 : append(column, value->bytes, value->length, err);
}

static int append_cell(struct postgres_bulk *bulk, size_t i, const struct store_value *value,
                       struct ear_error *err)
{
    static const unsigned char null[4] = {0xff, 0xff, 0xff, 0xff};
    struct postgres_bytes *column = &bulk->columns[i];
    Oid type = bulk->types[i];
    bool integer = type == INT8 || type == INT4 || type == INT2;
    uint64_t bits = 0;

    bulk->bytes += 4 + value->length;
    if (value->kind == STORE_NULL) {
        bulk->null[i] = true;
        return append(column, null, sizeof null, err);
    }
    if (integer && value->kind == STORE_INTEGER) {
        return append_integer(column, type, value->integer, err);
    }
    if (type == FLOAT8 && value->kind == STORE_NUMBER) {
        memcpy(&bits, &value->number, sizeof bits);
        return append_number(column, bits, 8, err);
    }
    if ((type == TEXT && value->kind == STORE_TEXT) ||
        (type == BYTEA && value->kind == STORE_BLOB)) {
        return append_bytes(column, value, err);
    }
    return ear_fail(err, EAR_FATAL, "column %zu is of type %u, the value of kind %d", i + 1, type,
                    (int)value->kind);
}

static int start_row(struct postgres_store *store, struct postgres_bulk *bulk,
                     struct ear_error *err)
{
    static const char room[HEADER_BYTES];

    if (bulk->rows++ > 0) {
        return 0;
    }
    store->gathered++;
    for (size_t i = 0; i < bulk->column_count; i++) {
        if (append(&bulk->columns[i], room, sizeof room, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void empty(struct postgres_store *store, struct postgres_bulk *bulk)
{
    store->gathered -= bulk->rows > 0;
    bulk->rows = 0;
    bulk->bytes = 0;
    for (size_t i = 0; i < bulk->column_count; i++) {
        bulk->columns[i].length = 0;
        bulk->null[i] = false;
    }
}

static int send_rows(struct postgres_store *store, struct postgres_bulk *bulk,
                     struct ear_error *err)
{
    const char *values[BULK_COLUMNS_MAX];
    int lengths[BULK_COLUMNS_MAX];
    int formats[BULK_COLUMNS_MAX];
    int good = 0;

    for (size_t i = 0; i < bulk->column_count; i++) {
        uint32_t header[5] = {htobe32(1), htobe32(bulk->null[i]), htobe32(bulk->types[i]),
                              htobe32((uint32_t)bulk->rows), htobe32(1)};

        memcpy(bulk->columns[i].bytes, header, sizeof header);
        values[i] = bulk->columns[i].bytes;
        lengths[i] = (int)bulk->columns[i].length;
        formats[i] = 1;
    }
    good = PQsendQueryParams(store->connection, bulk->text, (int)bulk->column_count, NULL, values,
                             lengths, formats, 0);
    empty(store, bulk);
    if (good != 1) {
        return postgres_lost(store, err);
    }
    store->pending++;
    return postgres_ease(store, err);
}

int postgres_bulk_add(struct postgres_store *store, enum store_query query,
                      const struct store_value values[], size_t count, struct ear_error *err)
{
    struct postgres_query *known = &store->queries[query];

    if (known->bulk == NULL && describe(store, known, err) != 0) {
        return -1;
    }
    if (!can_gather(known->bulk) || known->bulk->column_count != count) {
        known->table[0] = '\0';
        return postgres_send(store, query, values, count, err);
    }
    if ((known->bulk->text == NULL && write_statement(known->bulk, known->text, err) != 0) ||
        start_row(store, known->bulk, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (append_cell(known->bulk, i, &values[i], err) != 0) {
            return -1;
        }
    }
    return known->bulk->rows < BULK_ROWS_MAX && known->bulk->bytes < BULK_BYTES_MAX
               ? 0
               : send_rows(store, known->bulk, err);
}

/* A view reads more tables than its name tells. */
static bool may_meet(const struct postgres_query *query, const struct postgres_query *before)
{
    return before == NULL || strstr(before->text, query->table) != NULL ||
           strstr(before->text, "FROM fact ") != NULL ||
           strstr(before->text, "FROM rollup_day") != NULL;
}

int postgres_bulk_send(struct postgres_store *store, const struct postgres_query *before,
                       struct ear_error *err)
{
    for (int i = 0; i < QUERY_COUNT && store->gathered > 0; i++) {
        struct postgres_query *query = &store->queries[i];

        if (query->bulk != NULL && query->bulk->rows > 0 && query != before &&
            may_meet(query, before) && send_rows(store, query->bulk, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void postgres_bulk_drop(struct postgres_store *store)
{
    for (int i = 0; i < QUERY_COUNT; i++) {
        if (store->queries[i].bulk != NULL) {
            empty(store, store->queries[i].bulk);
        }
    }
}

void postgres_bulk_free(struct postgres_bulk *bulk)
{
    if (bulk == NULL) {
        return;
    }
    for (size_t i = 0; i < BULK_COLUMNS_MAX; i++) {
        free(bulk->columns[i].bytes);
    }
    free(bulk->text);
    free(bulk);
}
