/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How full the log is. LMDB's file never shrinks: pages that became free are listed in table 0, one
 * record for each transaction that freed some, each beginning with their number.
 */

#include <string.h>

#include "common/clock.h"
#include "common/stream/local_internal.h"

enum {
    GOOD_FOR_US = 1000 * 1000,
    GOOD_FOR_PART = 128 /* of the size: so much may be published before measuring again */
};

static int count_free(MDB_txn *txn, size_t *out)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_open(txn, 0, &cursor);

    *out = 0;
    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
        size_t count = 0;

        if (data.mv_size >= sizeof count) {
            memcpy(&count, data.mv_data, sizeof count);
        }
        *out += count;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* LMDB lets table 0 be walked by readers only. */
static int measure(struct local *local, struct ear_error *err)
{
    MDB_envinfo info;
    MDB_stat stat;
    MDB_txn *txn;
    size_t free_pages;
    int code;

    if (local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    code = count_free(txn, &free_pages);
    code = code == 0 ? mdb_env_info(local->env, &info) : code;
    code = code == 0 ? mdb_env_stat(local->env, &stat) : code;
    local_leave(local, txn);
    if (code != 0) {
        return local_fail(local, code, "see how full it is", err);
    }
    free_pages = free_pages < info.me_last_pgno ? free_pages : info.me_last_pgno;
    local->fullness =
        (double)(info.me_last_pgno + 1 - free_pages) * stat.ms_psize / (double)local->size_bytes;
    return 0;
}

int local_measure(struct local *local, size_t bytes, double *out, struct ear_error *err)
{
    int64_t now_us = clock_mono_us();
    int result = 0;

    pthread_mutex_lock(&local->fullness_lock);
    if (local->fullness_mono_us == 0 || now_us - local->fullness_mono_us >= GOOD_FOR_US ||
        local->unmeasured_bytes > local->size_bytes / GOOD_FOR_PART) {
        result = measure(local, err);
        local->fullness_mono_us = now_us;
        local->unmeasured_bytes = 0;
    }
    *out = local->fullness +
           (double)(local->unmeasured_bytes + (int64_t)bytes) / (double)local->size_bytes;
    local->unmeasured_bytes += *out < 1.0 ? (int64_t)bytes : 0; /* else it is refused */
    pthread_mutex_unlock(&local->fullness_lock);
    return result;
}

void local_measure_anew(struct local *local)
{
    pthread_mutex_lock(&local->fullness_lock);
    local->fullness_mono_us = 0;
    pthread_mutex_unlock(&local->fullness_lock);
}

double local_fullness(struct stream *stream)
{
    struct local *local = (struct local *)stream;
    struct ear_error err = {0};
    double full = 0;

    if (local_measure(local, 0, &full, &err) != 0 || full > 1.0) {
        return 1.0; /* what cannot be read takes nothing in */
    }
    return full;
}
