/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Copies: a post is one if another author, or another source, said the same (folded) words at most
 * 30 days before it. That is a property of the set of posts, not of the order in which they came,
 * and it ties posts of different partitions together. So whoever applies a message touches no other
 * post: it notes in a queue where something was said or is said no longer, and the holder asks the
 * posts of the window after it anew:
 *
 *     a post comes, changes, goes ──▶ copy_queue ──▶ taken ──▶ those marked wrongly, one by one
 *
 * What is taken stays until everything that follows from it is committed: a holder that dies leaves
 * it to the next. A post that changes meanwhile has noted that itself.
 */
#include "common/clock.h"
#include "common/instant.h"
#include "common/testpoint.h"
#include "sinks/apply/apply_internal.h"

#define COPY_WINDOW_US (30 * CLOCK_DAY_US)

enum { WRONG_MAX = 256 };

/* The stretch of the store's index that an instant lies in. */
static struct store_value stretch(const struct apply *apply, int64_t at_us)
{
    return store_integer(zone_day(apply->config.zone, at_us) / 32);
}

/* Does anybody else say the same about then? What two transactions that run side by side say,
 * neither sees of the other: on a shared store the queue alone tells. */
static int is_near(bool *out, struct apply *apply, int64_t fold, int64_t created_us,
                   const struct hash128 *but, struct ear_error *err)
{
    static const struct hash128 nobody = {.bytes = {0}};
    const struct hash128 *hash = but == NULL ? &nobody : but;
    struct store_value values[] = {
        store_integer(fold),
        stretch(apply, created_us - COPY_WINDOW_US),
        stretch(apply, created_us),
        stretch(apply, created_us + COPY_WINDOW_US),
        store_blob(hash->bytes, sizeof hash->bytes),
    };
    int64_t one = 0;

    *out = true;
    return store_shared(apply->store)
               ? 0
               : store_ask_integer(&one, out, apply->store, QUERY_COPY_NEAR, values, 5, err);
}

static int note(struct apply *apply, int64_t fold, int64_t created_us, struct ear_error *err)
{
    struct store_value values[] = {store_integer(fold), store_integer(created_us),
                                   stretch(apply, created_us), store_integer(0)};

    return store_run(apply->store, QUERY_COPY_QUEUE_ADD, values, 4, err);
}

int copies_came(bool *copy, struct apply *apply, const struct post *post, struct ear_error *err)
{
    bool near = false;

    if (post->fold != 0 &&
        is_near(&near, apply, post->fold, post->created_us, &post->hash, err) != 0) {
        return -1;
    }
    if (!near && copy != NULL) {
        *copy = false;
    }
    return near ? note(apply, post->fold, post->created_us, err) : 0;
}

int copies_left(struct apply *apply, int64_t fold, int64_t created_us, const struct hash128 *but,
                struct ear_error *err)
{
    bool near = false;

    if (fold != 0 && is_near(&near, apply, fold, created_us, but, err) != 0) {
        return -1;
    }
    return near ? note(apply, fold, created_us, err) : 0;
}

/* --- the holder's part --- */

/* The next posts after *after that are marked wrongly. Returns how many, or -1. */
static int find_wrong(int64_t rows_out[WRONG_MAX], struct apply *apply, int64_t after,
                      struct ear_error *err)
{
    struct store_value values[] = {store_integer(COPY_WINDOW_US), store_integer(after),
                                   store_integer(WRONG_MAX)};
    struct store_rows *rows = NULL;
    int count = 0;
    int there = 0;

    if (store_select(&rows, apply->store, QUERY_COPY_WRONG, values, 3, err) != 0) {
        return -1;
    }
    while (count < WRONG_MAX && (there = store_next(rows, err)) == 1) {
        rows_out[count++] = store_get_integer(rows, 0);
    }
    store_rows_end(rows);
    return there < 0 ? -1 : count;
}

/* Marks a post as it should be, and says in its facts who counts. */
static int settle(struct apply *apply, int64_t row, struct ear_error *err)
{
    struct store_value values[] = {store_integer(COPY_WINDOW_US), store_integer(row)};
    struct store_rows *rows = NULL;
    int64_t day = 0;
    int64_t person = 0;
    int there = 0;

    if (store_select(&rows, apply->store, QUERY_COPY_SETTLE, values, 2, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    if (there == 1) {
        day = store_get_integer(rows, 0);
        person = store_get_integer(rows, 1);
    }
    store_rows_end(rows);
    if (there == 1) {
        struct store_value person_values[] = {store_integer(day), store_integer(row),
                                              store_integer(person)};

        return facts_mark_post(apply, day, row, err) != 0
                   ? -1
                   : store_run(apply->store, QUERY_FACT_PERSON, person_values, 3, err);
    }
    return there; /* none: somebody changed it meanwhile, and noted that */
}

/* One transaction for all, or on a shared store for each: it waits for no two rows at once. */
static int settle_all(struct apply *apply, const int64_t rows[], int count, struct ear_error *err)
{
    bool each = store_shared(apply->store);

    for (int i = 0; i < count; i++) {
        if (((each || i == 0) && store_begin_derived(apply->store, err) != 0) ||
            settle(apply, rows[i], err) != 0) {
            return -1;
        }
        TESTPOINT("sink.copies");
        if ((each || i + 1 == count) && store_commit(apply->store, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int settle_taken(struct apply *apply, struct ear_error *err)
{
    int64_t rows[WRONG_MAX];
    int64_t after = INT64_MIN;
    int count = WRONG_MAX;

    while (count == WRONG_MAX) {
        count = find_wrong(rows, apply, after, err);
        if (count < 0 || settle_all(apply, rows, count, err) != 0) {
            return -1;
        }
        after = count > 0 ? rows[count - 1] : after;
    }
    return store_begin_derived(apply->store, err) != 0 ||
                   store_run(apply->store, QUERY_COPY_QUEUE_DONE, NULL, 0, err) != 0
               ? -1
               : store_commit(apply->store, err);
}

static int take_notes(int64_t *taken, struct apply *apply, size_t max, struct ear_error *err)
{
    struct store_value values[] = {store_integer((int64_t)max)};

    if (store_begin_derived(apply->store, err) != 0) {
        return -1;
    }
    *taken = store_change(apply->store, QUERY_COPY_QUEUE_TAKE, values, 1, err);
    return *taken < 0 ? -1 : store_commit(apply->store, err);
}

int apply_copies(struct apply *apply, int64_t now_us, size_t max, bool *more, struct ear_error *err)
{
    int64_t waiting = 0;
    int64_t taken = 0;

    *more = false;
    apply_set_now(apply, now_us);
    if (store_ask_integer(&waiting, NULL, apply->store, QUERY_COPY_QUEUE_COUNT, NULL, 0, err) !=
        0) {
        return -1;
    }
    if (waiting == 0) {
        return 0;
    }
    if (take_notes(&taken, apply, max, err) != 0 || settle_taken(apply, err) != 0) {
        store_rollback(apply->store);
        return -1;
    }
    *more = taken == (int64_t)max;
    return 0;
}
