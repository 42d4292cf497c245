/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_SETUP_H
#define EARSHOT_SINKS_SETUP_H

/*
 * What the configuration says of the sinks (`sinks:`): where the store lies, whether the trend feed
 * is written and how far back, which cells of the trend cube are published. Their keys stand in two
 * tables in setup.c. Threads: one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "sinks/store/store.h"

struct settings;

struct setup {
    char *store_url;              /* "sqlite:/absolute/path" or "postgresql://…" */
    char *store_schema;           /* of a PostgreSQL store; NULL: the usual one */
    char *store_password;         /* likewise; NULL: none of its own */
    bool feed;                    /* DATA/feeds/trends.atom and trends.json are kept */
    int64_t weeks;                /* that they go back */
    bool trend_hours, trend_days; /* cells of the topic trends, by their window */
};

/* Reads and checks; mistakes become findings of settings->config. -1 with EAR_FATAL. Caller clears.
 */
EAR_MUST_CHECK
int setup_init(struct setup *out, struct settings *settings, struct ear_error *err);
void setup_clear(struct setup *setup);

/* How the store is opened: what the setup says of it, borrowed from there. */
struct store_config setup_store(const struct setup *setup);

/* Turns to another store of the same kind: of SQLite a file of that path, of PostgreSQL a schema of
 * that name in the same database. -1 with EAR_FATAL. */
EAR_MUST_CHECK
int setup_turn(struct setup *setup, const char *place, struct ear_error *err);

#endif
