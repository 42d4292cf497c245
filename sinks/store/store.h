/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_STORE_STORE_H
#define EARSHOT_SINKS_STORE_STORE_H

/*
 * The door to the store: where insights, facts, roll-ups, decisions, the outbox and the positions
 * lie. Two ideas: everything it is ever asked stands in queries.sql under a name, with bound
 * parameters only; and whoever writes does so between store_begin and store_commit, rows and
 * positions at once.
 *
 * A back end (store_internal.h) runs those queries: SQLite, one process's file, or PostgreSQL,
 * which many share (store_shared). What a table holds, and why, is told in its schema. Policy -
 * when to retry, to open anew, to give up - is the caller's; an error's kind says which:
 * EAR_REJECT: the database refuses this row, everything else may go on (inside a savepoint);
 * EAR_RETRY: nothing of the transaction counts; if store_broken then says so, the store has to be
 * closed and opened again before the next try; EAR_CONFIG: a person has to act; EAR_FATAL: broken.
 *
 * Threads: one at a time per struct store.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct store;
struct store_rows;

struct store_config {
    const char *url;      /* "sqlite:PATH", or "postgresql://…": a URI as libpq reads it */
    const char *schema;   /* PostgreSQL: where its tables lie; NULL: earshot */
    const char *password; /* PostgreSQL: NULL: that of the URL, of PGPASSFILE, or none */
    const char *role; /* PostgreSQL: who connects, as application_name earshot-ROLE; NULL: sink */
    bool read_only;   /* views: makes nothing, writes nothing, checkpoints nothing; no store yet is
                         EAR_RETRY */
    bool check;       /* read the whole file first and refuse a damaged one: after store_broken */
};

/* Every query by its name in queries.sql, in no order. */
#define STORE_QUERIES(QUERY)                                                                       \
    QUERY(META_GET, "meta_get")                                                                    \
    QUERY(META_FIRST, "meta_first")                                                                \
    QUERY(META_SET, "meta_set")                                                                    \
    QUERY(COUNTER_ADD, "counter_add")                                                              \
    QUERY(COUNTER_EACH, "counter_each")                                                            \
    QUERY(NAME_FIND, "name_find")                                                                  \
    QUERY(NAME_ADD, "name_add")                                                                    \
    QUERY(NAME_EACH, "name_each")                                                                  \
    QUERY(POSITION_EACH, "position_each")                                                          \
    QUERY(POSITION_OF, "position_of")                                                              \
    QUERY(POSITION_FIRST, "position_first")                                                        \
    QUERY(POSITION_MOVE, "position_move")                                                          \
    QUERY(POST_KNOWN, "post_known")                                                                \
    QUERY(POST_KNOWN_MANY, "post_known_many")                                                      \
    QUERY(INSIGHT_FIND, "insight_find")                                                            \
    QUERY(INSIGHT_HOLD, "insight_hold")                                                            \
    QUERY(INSIGHT_HOLD_MANY, "insight_hold_many")                                                  \
    QUERY(INSIGHT_ROWS, "insight_rows")                                                            \
    QUERY(INSIGHT_ADD, "insight_add")                                                              \
    QUERY(INSIGHT_REPLACE, "insight_replace")                                                      \
    QUERY(INSIGHT_ALSO, "insight_also")                                                            \
    QUERY(INSIGHT_REFRESH, "insight_refresh")                                                      \
    QUERY(INSIGHT_DELETE, "insight_delete")                                                        \
    QUERY(INSIGHT_BY_PERSON, "insight_by_person")                                                  \
    QUERY(INSIGHT_BEFORE_DAY, "insight_before_day")                                                \
    QUERY(INSIGHT_EACH_ROW, "insight_each_row")                                                    \
    QUERY(INSIGHT_BODY, "insight_body")                                                            \
    QUERY(INSIGHT_HOLD_BODY, "insight_hold_body")                                                  \
    QUERY(INSIGHT_SHOW, "insight_show")                                                            \
    QUERY(INSIGHT_ASKED, "insight_asked")                                                          \
    QUERY(INSIGHT_OF_URL, "insight_of_url")                                                        \
    QUERY(INSIGHT_BY_ID, "insight_by_id")                                                          \
    QUERY(INSIGHT_STATE, "insight_state")                                                          \
    QUERY(INSIGHT_SPAN, "insight_span")                                                            \
    QUERY(GONE_PUT, "gone_put")                                                                    \
    QUERY(GONE_CLEAR, "gone_clear")                                                                \
    QUERY(GONE_OLD, "gone_old")                                                                    \
    QUERY(GONE_EXPIRE, "gone_expire")                                                              \
    QUERY(COPY_NEAR, "copy_near")                                                                  \
    QUERY(COPY_QUEUE_ADD, "copy_queue_add")                                                        \
    QUERY(COPY_QUEUE_TAKE, "copy_queue_take")                                                      \
    QUERY(COPY_QUEUE_DONE, "copy_queue_done")                                                      \
    QUERY(COPY_QUEUE_COUNT, "copy_queue_count")                                                    \
    QUERY(COPY_WRONG, "copy_wrong")                                                                \
    QUERY(COPY_SETTLE, "copy_settle")                                                              \
    QUERY(FACT_ADD, "fact_add")                                                                    \
    QUERY(FACT_DELETE, "fact_delete")                                                              \
    QUERY(FACT_BRANDS, "fact_brands")                                                              \
    QUERY(FACT_PERSON, "fact_person")                                                              \
    QUERY(FACT_SCAN, "fact_scan")                                                                  \
    QUERY(FACT_EACH, "fact_each")                                                                  \
    QUERY(FACT_COUNT, "fact_count")                                                                \
    QUERY(DIRTY_ADD, "dirty_add")                                                                  \
    QUERY(DIRTY_DAYS, "dirty_days")                                                                \
    QUERY(DIRTY_COUNT, "dirty_count")                                                              \
    QUERY(DIRTY_ALL, "dirty_all")                                                                  \
    QUERY(DIRTY_CLEAR, "dirty_clear")                                                              \
    QUERY(DIRTY_FORGET_BEFORE, "dirty_forget_before")                                              \
    QUERY(ROLLUP_CLEAR, "rollup_clear")                                                            \
    QUERY(ROLLUP_FILL, "rollup_fill")                                                              \
    QUERY(ROLLUP_EACH, "rollup_each")                                                              \
    QUERY(ROLLUP_WRONG, "rollup_wrong")                                                            \
    QUERY(TREND_CHANGED, "trend_changed")                                                          \
    QUERY(TREND_PUT, "trend_put")                                                                  \
    QUERY(TREND_DELETE, "trend_delete")                                                            \
    QUERY(TREND_VALUE, "trend_value")                                                              \
    QUERY(TREND_FORGET_BEFORE, "trend_forget_before")                                              \
    QUERY(DECISION_ADD, "decision_add")                                                            \
    QUERY(DECISION_OF_POST, "decision_of_post")                                                    \
    QUERY(DECISION_COUNTS, "decision_counts")                                                      \
    QUERY(FORGOTTEN_ADD, "forgotten_add")                                                          \
    QUERY(FORGOTTEN_AUTHORS, "forgotten_authors")                                                  \
    QUERY(SOURCE_PUT, "source_put")                                                                \
    QUERY(SOURCE_DELETE, "source_delete")                                                          \
    QUERY(SOURCE_EACH, "source_each")                                                              \
    QUERY(COVERAGE_FIND, "coverage_find")                                                          \
    QUERY(COVERAGE_PUT, "coverage_put")                                                            \
    QUERY(COVERAGE_TOTAL_FIND, "coverage_total_find")                                              \
    QUERY(COVERAGE_TOTAL_PUT, "coverage_total_put")                                                \
    QUERY(COVERAGE_GAP_PUT, "coverage_gap_put")                                                    \
    QUERY(COVERAGE_EXPIRE, "coverage_expire")                                                      \
    QUERY(COVERAGE_TOTAL_EXPIRE, "coverage_total_expire")                                          \
    QUERY(COVERAGE_GAP_EXPIRE, "coverage_gap_expire")                                              \
    QUERY(COVERAGE_SPAN, "coverage_span")                                                          \
    QUERY(COVERAGE_SPAN_OF, "coverage_span_of")                                                    \
    QUERY(COVERAGE_GAP_SPAN, "coverage_gap_span")                                                  \
    QUERY(OUTBOX_ADD, "outbox_add")                                                                \
    QUERY(OUTBOX_NEXT, "outbox_next")                                                              \
    QUERY(OUTBOX_DELETE, "outbox_delete")                                                          \
    QUERY(OUTBOX_COUNT, "outbox_count")                                                            \
    QUERY(FEED_EACH, "feed_each")                                                                  \
    QUERY(FEED_PUT, "feed_put")                                                                    \
    QUERY(FEED_DELETE, "feed_delete")                                                              \
    QUERY(LEDGER_ADD, "ledger_add")                                                                \
    QUERY(LEDGER_READER_SEEN, "ledger_reader_seen")                                                \
    QUERY(LEDGER_READER_ADD, "ledger_reader_add")                                                  \
    QUERY(LEDGER_OPEN, "ledger_open")                                                              \
    QUERY(LEDGER_ONE, "ledger_one")                                                                \
    QUERY(LEDGER_EXPIRE, "ledger_expire")                                                          \
    QUERY(DIFFERENCE_PUT, "difference_put")                                                        \
    QUERY(DIFFERENCE_DELETE, "difference_delete")                                                  \
    QUERY(DIFFERENCE_EACH, "difference_each")

#define STORE_QUERY_CONSTANT(constant, name) QUERY_##constant,
enum store_query { STORE_QUERIES(STORE_QUERY_CONSTANT) QUERY_COUNT };
#undef STORE_QUERY_CONSTANT

enum store_kind { STORE_NULL, STORE_INTEGER, STORE_NUMBER, STORE_TEXT, STORE_BLOB };

/* A parameter; bytes are borrowed for the call. */
struct store_value {
    enum store_kind kind;
    int64_t integer;
    double number;
    const void *bytes;
    size_t length;
};

struct store_value store_null(void);
struct store_value store_integer(int64_t value);
struct store_value store_number(double value);
struct store_value store_text(const char *text); /* NULL becomes null */
struct store_value store_bytes(const char *text, size_t length);
struct store_value store_blob(const void *bytes, size_t length);

/* EAR_CONFIG, without a word of the URL that could be secret: no store has such a one. */
EAR_MUST_CHECK
int store_check_url(const char *url, struct ear_error *err);

/*
 * Opens the store; the writer makes it where it is missing and brings an older one up to date, each
 * step in one transaction after a backup beside it. The caller holds the role's lock if it writes.
 * Config is borrowed for the call. -1: EAR_CONFIG (URL, back end not built, path not usable, a file
 * that is no Earshot store or is newer than this program, damage found on opening), EAR_RETRY
 * (busy; read_only and no store yet). Caller closes.
 */
EAR_MUST_CHECK
int store_open(struct store **out, const struct store_config *config, struct ear_error *err);
void store_close(struct store *store);

/* True if there is no store at this URL yet: a view then shows that nothing was said. A server that
 * does not answer is no proof of that: store_open says what is wrong with it. */
bool store_missing(const struct store_config *config);

/* Other processes may write this store too (PostgreSQL). Then every transaction of ours touches
 * only rows of the partitions that are ours, and what needs the whole picture is the holder's. */
bool store_shared(const struct store *store);

/*
 * Tries to become, or to stay, the one process that does what needs the whole picture; called about
 * once a second, outside a transaction. *held: we are. PostgreSQL: a lock of this connection, free
 * again when that ends, however it ends; a holder that does not come by for 8 s is disconnected, so
 * that a paused one is no holder. SQLite: always held. -1: EAR_RETRY, as of any query.
 */
EAR_MUST_CHECK
int store_hold(struct store *store, bool *held, struct ear_error *err);

/* A statement failed in a way after which the handle must not be used: close and open again. */
bool store_broken(const struct store *store);

/*
 * Begins a transaction: SQLite's writer takes the write lock at once; on a shared store many run
 * side by side, each statement sees what was committed before it. A reader's is a snapshot.
 */
EAR_MUST_CHECK
int store_begin(struct store *store, struct ear_error *err);
/* The same for what is worked out of other rows and would be worked out again (copies, roll-ups):
 * a crash of the machine may lose the transaction whole, so the commit waits for no disk. SQLite:
 * store_begin. */
EAR_MUST_CHECK
int store_begin_derived(struct store *store, struct ear_error *err);
/* The same, alone: waits until no other transaction of a writer runs, and holds off new ones. */
EAR_MUST_CHECK
int store_begin_exclusive(struct store *store, struct ear_error *err);
/* -1: nothing of the transaction counts, but where store_broken says so: then the connection was
 * lost and the commit may have arrived; open again and read the positions. */
EAR_MUST_CHECK
int store_commit(struct store *store, struct ear_error *err);
void store_rollback(struct store *store); /* does nothing outside a transaction */

/* One savepoint inside a transaction: what came after it is undone, or kept. Not nested. */
EAR_MUST_CHECK
int store_savepoint(struct store *store, struct ear_error *err);
EAR_MUST_CHECK
int store_savepoint_keep(struct store *store, struct ear_error *err);
EAR_MUST_CHECK
int store_savepoint_undo(struct store *store, struct ear_error *err);

/*
 * Runs a query that gives no rows. Inside a transaction and outside a savepoint it need not have
 * run when this returns (PostgreSQL: it is sent with others, in order): a failure then shows at a
 * later call, at store_commit at the latest, with the kind it has; only inside a savepoint is it
 * known which query failed. So: try a batch without savepoints, and where it ends in EAR_REJECT
 * roll back and do it again with one savepoint a message.
 */
EAR_MUST_CHECK
int store_run(struct store *store, enum store_query query, const struct store_value values[],
              size_t count, struct ear_error *err);

/* The same, waiting for the answer. Returns how many rows it changed, or -1. */
EAR_MUST_CHECK
int64_t store_change(struct store *store, enum store_query query, const struct store_value values[],
                     size_t count, struct ear_error *err);

/*
 * Runs a query that gives rows. One at a time per query: end it before asking the same one again.
 * Values are borrowed until store_rows_end.
 */
EAR_MUST_CHECK
int store_select(struct store_rows **out, struct store *store, enum store_query query,
                 const struct store_value values[], size_t count, struct ear_error *err);

/* The next row: 1 there is one, 0 there is none, -1 failed. */
EAR_MUST_CHECK
int store_next(struct store_rows *rows, struct ear_error *err);
void store_rows_end(struct store_rows *rows); /* NULL does nothing */

/* Columns of the row, from 0. Text and blobs live until the next store_next; text is NUL-ended
 * (NULL: null), length may be NULL. */
bool store_is_null(const struct store_rows *rows, int column);
int64_t store_get_integer(const struct store_rows *rows, int column);
double store_get_number(const struct store_rows *rows, int column);
const char *store_get_text(const struct store_rows *rows, int column, size_t *length);
const void *store_get_blob(const struct store_rows *rows, int column, size_t *length);

/* The first column of the first row as a number; *found tells whether there was a row (may be
 * NULL). */
EAR_MUST_CHECK
int store_ask_integer(int64_t *out, bool *found, struct store *store, enum store_query query,
                      const struct store_value values[], size_t count, struct ear_error *err);

/* A copy of the whole as of now, in a new file (SQLite: VACUUM INTO; the only backup of a live
 * file). PostgreSQL: EAR_CONFIG, which says to use pg_dump. */
EAR_MUST_CHECK
int store_backup(struct store *store, const char *path, struct ear_error *err);

/* How large the part is that waits to be merged into the file (SQLite's WAL); the runner warns past
 * 256 MiB. */
int64_t store_pending_bytes(const struct store *store);

/* "SQLite 3.40.1", and what a person has to know about this store, or NULL. For the life of the
 * store. */
const char *store_version(const struct store *store);
const char *store_warning(const struct store *store);

#endif
