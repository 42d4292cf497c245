/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_SINKS_DATABASE_H
#define EARSHOT_TESTS_SINKS_DATABASE_H

/*
 * A database of its own on the PostgreSQL server that EARSHOT_TEST_POSTGRES names; the tests of the
 * store run on it instead of SQLite where that is set. Made at the first need, dropped when the
 * program ends. Everything here fails the test instead of returning an error.
 */

#include <stdbool.h>
#include <stddef.h>

/* Whether this run of the tests is one on PostgreSQL. */
bool database_wanted(void);

/* Its URL, for the life of the program. */
const char *database_url(void);

/* A name for a schema that no other test has. Returns out. */
const char *database_schema(char *out, size_t size);

/* Runs SQL by psql; returns what it printed, fields divided by '|', a row a line. Caller frees. */
char *database_ask(const char *sql);
/* The same, and throws the output away. */
void database_do(const char *sql);

#endif
