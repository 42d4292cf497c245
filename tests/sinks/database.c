/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sinks/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/child.h"

enum { OUTPUT_MAX = 16 * 1024 * 1024 };

static struct {
    char server[256], url[300], name[48];
    pid_t owner;
    unsigned schemas;
} database;

bool database_wanted(void)
{
    const char *server = getenv("EARSHOT_TEST_POSTGRES");

    return server != NULL && server[0] != '\0';
}

static char *ask(const char *url, const char *sql)
{
    const char *argv[] = {"env", "psql", "-X", "-q",
                          "-A",  "-t",   "-v", "ON_ERROR_STOP=1",
                          "-d",  url,    "-c", "SET client_min_messages = warning",
                          "-c",  sql,    NULL};
    struct child_config config = {"/usr/bin/env", argv, -1, -1};
    struct ear_error err = {0};
    size_t length = 0;
    char *out = NULL;
    int code = -1;

    if (child_capture(&out, &length, &code, &config, OUTPUT_MAX, NULL, &err) != 0) {
        fail_msg("psql: %s", err.message);
    }
    if (code != 0) {
        fail_msg("psql ended with %d: %s", code, sql);
    }
    return out;
}

static void drop_database(void)
{
    char sql[128];

    if (getpid() == database.owner) {
        snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", database.name);
        free(ask(database.server, sql));
    }
}

static void make_database(void)
{
    const char *server = getenv("EARSHOT_TEST_POSTGRES");
    char sql[128];
    char *slash = NULL;

    assert_non_null(server);
    database.owner = getpid();
    snprintf(database.server, sizeof database.server, "%s", server);
    snprintf(database.name, sizeof database.name, "earshot_test_%d", (int)database.owner);
    slash = strrchr(server, '/');
    assert_non_null(slash);
    snprintf(database.url, sizeof database.url, "%.*s/%s", (int)(slash - server), server,
             database.name);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'",
             database.name);
    free(ask(database.server, sql));
    assert_int_equal(atexit(drop_database), 0);
}

const char *database_url(void)
{
    if (database.url[0] == '\0') {
        make_database();
    }
    return database.url;
}

const char *database_schema(char *out, size_t size)
{
    snprintf(out, size, "t%u", ++database.schemas);
    return out;
}

char *database_ask(const char *sql)
{
    return ask(database_url(), sql);
}

void database_do(const char *sql)
{
    free(database_ask(sql));
}
