/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A batch is tried without savepoints first: they cost, and a row that the database refuses is
 * rare. If there is one, everything is rolled back and done again with a savepoint around each
 * message, so that the poison alone is undone and rejected.
 */
#include "sinks/apply/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/instant.h"
#include "common/testfault.h"
#include "common/testpoint.h"
#include "sinks/apply/apply_internal.h"
#include "sinks/apply/reject.h"

enum {
    ARENA_BYTES = 64 * 1024 * 1024,
    WRITER_BYTES = 64 * 1024,
    RECOUNT_SLICE = 256,
    EXPIRE_SLICE = 256,
};

/* --- positions --- */

static int load_positions(struct apply *apply, struct ear_error *err)
{
    struct store_rows *rows = NULL;
    int there = 0;

    apply->position_count = 0;
    if (store_select(&rows, apply->store, QUERY_POSITION_EACH, NULL, 0, err) != 0) {
        return -1;
    }
    while ((there = store_next(rows, err)) == 1 && apply->position_count < POSITIONS_MAX) {
        struct position *position = &apply->positions[apply->position_count++];

        snprintf(position->topic, sizeof position->topic, "%s", store_get_text(rows, 0, NULL));
        position->partition = (int)store_get_integer(rows, 1);
        position->next = store_get_integer(rows, 2);
        position->seen = -1;
        position->done = -1;
    }
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

static struct position *find_position(const struct apply *apply, const char *topic, int partition)
{
    for (size_t i = 0; i < apply->position_count; i++) {
        const struct position *position = &apply->positions[i];

        if (position->partition == partition && strcmp(position->topic, topic) == 0) {
            return (struct position *)position;
        }
    }
    return NULL;
}

static struct position *need_position(struct apply *apply, const char *topic, int partition,
                                      struct ear_error *err)
{
    struct position *position = find_position(apply, topic, partition);

    if (position != NULL) {
        return position;
    }
    if (apply->position_count == POSITIONS_MAX) {
        ear_fail(err, EAR_FATAL, "more than %d partitions", POSITIONS_MAX);
        return NULL;
    }
    position = &apply->positions[apply->position_count++];
    snprintf(position->topic, sizeof position->topic, "%s", topic);
    position->partition = partition;
    position->next = -1;
    position->seen = -1;
    position->done = -1;
    return position;
}

int apply_position(int64_t *out, struct apply *apply, const char *topic, int partition,
                   struct ear_error *err)
{
    struct store_value values[] = {store_text(topic), store_integer(partition)};
    struct position *position = need_position(apply, topic, partition, err);
    int64_t next = -1;
    bool found = false;

    if (position == NULL ||
        store_ask_integer(&next, &found, apply->store, QUERY_POSITION_OF, values, 2, err) != 0) {
        return -1;
    }
    position->next = found ? next : -1;
    position->seen = -1;
    *out = position->next;
    return 0;
}

static int compare_positions(const void *one, const void *other)
{
    const struct position *left = one;
    const struct position *right = other;
    int order = strcmp(left->topic, right->topic);

    return order != 0 ? order : left->partition - right->partition;
}

/* The guard: a position that somebody else moved is not ours to move. */
static int move_position(struct store *store, const struct position *position,
                         struct ear_error *err)
{
    struct store_value values[] = {store_text(position->topic), store_integer(position->partition),
                                   store_integer(position->seen + 1),
                                   store_integer(position->next)};
    int64_t changed = 0;

    if (position->next < 0) {
        changed = store_change(store, QUERY_POSITION_FIRST, values, 3, err);
    } else {
        changed = store_change(store, QUERY_POSITION_MOVE, values, 4, err);
    }
    if (changed < 0) {
        return -1;
    }
    return changed == 1 ? 0
                        : ear_fail(err, EAR_FENCED, "%s/%d: another sink moved the store past %lld",
                                   position->topic, position->partition, (long long)position->next);
}

/*
 * Moves the positions past the batch before anything else of it is done: whoever still works on the
 * same partitions, or begins to, waits here, so that two transactions never meet at the rows of a
 * post. In a fixed order, so that they never wait for each other.
 */
static int move_positions(struct apply *apply, struct ear_error *err)
{
    qsort(apply->positions, apply->position_count, sizeof apply->positions[0], compare_positions);
    for (size_t i = 0; i < apply->position_count; i++) {
        const struct position *position = &apply->positions[i];

        if (position->seen >= 0 && move_position(apply->store, position, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int move_past(struct apply *apply, const struct stream_message messages[], size_t count,
                     struct ear_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct position *position =
            need_position(apply, messages[i].topic, messages[i].partition, err);

        if (position == NULL) {
            return -1;
        }
        if (messages[i].offset >= position->next && messages[i].offset > position->seen) {
            position->seen = messages[i].offset;
        }
    }
    return move_positions(apply, err);
}

static void settle_positions(struct apply *apply, bool committed)
{
    for (size_t i = 0; i < apply->position_count; i++) {
        if (committed && apply->positions[i].seen >= 0) {
            apply->positions[i].next = apply->positions[i].seen + 1;
        }
        apply->positions[i].seen = -1;
        apply->positions[i].done = -1;
    }
}

/* --- opening --- */

static int recount(struct apply *apply, struct ear_error *err)
{
    int64_t after = INT64_MIN;
    int64_t row = 0;
    bool found = true;

    while (found) {
        struct store_value values[] = {store_integer(after), store_integer(1)};

        if (store_ask_integer(&row, &found, apply->store, QUERY_INSIGHT_EACH_ROW, values, 2, err) !=
                0 ||
            (found && rows_refresh(apply, row, err) != 0)) {
            return -1;
        }
        message_arena_reset(apply->arena);
        after = row;
    }
    return facts_flush(apply, err);
}

static int ask_timezone(bool *known, bool *same, struct apply *apply, const char *timezone,
                        struct ear_error *err)
{
    struct store_value values[] = {store_text("timezone")};
    struct store_rows *rows = NULL;
    int there = 0;

    if (store_select(&rows, apply->store, QUERY_META_GET, values, 1, err) != 0) {
        return -1;
    }
    there = store_next(rows, err);
    *known = there == 1;
    *same = there == 1 && strcmp(store_get_text(rows, 0, NULL), timezone) == 0;
    store_rows_end(rows);
    return there < 0 ? -1 : 0;
}

/* Days and hours are those of a zone: facts told in another one are told anew, all at once. */
static int keep_timezone(struct apply *apply, struct ear_error *err)
{
    const char *timezone = apply->config.timezone == NULL ? "UTC" : apply->config.timezone;
    struct store_value values[] = {store_text("timezone"), store_text(timezone)};
    bool known = false;
    bool same = false;

    if (ask_timezone(&known, &same, apply, timezone, err) != 0) {
        return -1;
    }
    if (same) {
        return 0;
    }
    apply->horizon_day = INT64_MIN;
    if (store_begin_exclusive(apply->store, err) != 0 ||
        ask_timezone(&known, &same, apply, timezone, err) != 0 ||
        (known && !same && recount(apply, err) != 0) ||
        store_run(apply->store, QUERY_META_SET, values, 2, err) != 0 ||
        store_commit(apply->store, err) != 0) {
        store_rollback(apply->store);
        return -1;
    }
    return 0;
}

int apply_open(struct apply **out, struct store *store, const struct apply_config *config,
               struct ear_error *err)
{
    struct apply *apply = calloc(1, sizeof *apply);

    if (apply == NULL) {
        return ear_fail_memory(err, "the sink");
    }
    apply->store = store;
    apply->config = *config;
    if (names_new(&apply->names, store, config->names_store, err) != 0 ||
        message_arena_new(&apply->arena, ARENA_BYTES, err) != 0 ||
        json_new(&apply->json, err) != 0 ||
        json_writer_new(&apply->writer, WRITER_BYTES, err) != 0 ||
        load_positions(apply, err) != 0 || keep_timezone(apply, err) != 0) {
        apply_close(apply);
        return -1;
    }
    *out = apply;
    return 0;
}

void apply_close(struct apply *apply)
{
    if (apply == NULL) {
        return;
    }
    names_free(apply->names);
    ahead_free(apply->ahead);
    message_arena_free(apply->arena);
    json_free(apply->json);
    json_writer_free(apply->writer);
    ledger_forget(apply);
    free(apply->lines);
    free(apply);
}

/* --- a batch --- */

static int apply_insight(struct apply *apply, const struct stream_message *message,
                         struct ear_error *err)
{
    struct hash128 hash;
    struct post post;

    if (message->value == NULL) {
        hash = hash128_of(message->key, message->key_length);
        return rows_remove_hash(apply, &hash, err);
    }
    if (post_read(&post, apply, message->value, message->value_length, err) != 0) {
        return -1;
    }
    return rows_apply(apply, &post, err);
}

static int apply_one(struct apply *apply, const struct stream_message *message,
                     struct ear_error *err)
{
    message_arena_reset(apply->arena);
    apply->seen_source = NULL;
    apply->seen_version = 0;
    if (strcmp(message->topic, "insights") == 0) {
        return apply_insight(apply, message, err);
    }
    if (strcmp(message->topic, "decisions") == 0) {
        return decide_apply(apply, message, err);
    }
    if (strcmp(message->topic, "forgotten") == 0) {
        return forget_apply(apply, message, err);
    }
    if (strcmp(message->topic, "cursors") == 0) {
        return source_apply(apply, message, err);
    }
    if (strcmp(message->topic, "audit") == 0) {
        return audit_apply(apply, message, err);
    }
    return ear_fail(err, EAR_FATAL, "topic '%s' is none of the store's", message->topic);
}

/* The source that a message names, as far as it can be read; one that is too long to be a name
 * would be too long for the reject as well. */
static const char *source_of(struct apply *apply, const struct stream_message *message)
{
    struct ear_error err = {0};
    struct ear_message *read = NULL;
    const char *source = NULL;

    if (message->value != NULL) {
        read = message_read(apply->arena, message->value, message->value_length, &err);
    }
    source = read == NULL ? NULL : message_string(read, "source", NULL);
    return source == NULL || strlen(source) > POST_NAME_MAX ? "" : source;
}

/* One message inside its savepoint: refused, it is undone and set aside. */
static int apply_isolated(struct apply *apply, const struct stream_message *message,
                          struct ear_error *err)
{
    struct ear_error why = {0};

    if (store_savepoint(apply->store, err) != 0) {
        return -1;
    }
    if (apply_one(apply, message, &why) == 0) {
        return store_savepoint_keep(apply->store, err);
    }
    if (why.kind != EAR_REJECT) {
        *err = why;
        return -1;
    }
    names_forget(apply->names);
    if (store_savepoint_undo(apply->store, err) != 0) {
        return -1;
    }
    apply->stats.rejected++;
    if (TESTFAULT("reject-outside") && apply->late_count < LATE_MAX) {
        apply->late[apply->late_count++] = message;
        apply->late_why = why;
        return 0;
    }
    return reject_put(apply->store, apply->writer, message, source_of(apply, message), &why,
                      apply->now_us, err);
}

static int apply_messages(struct apply *apply, const struct stream_message messages[], size_t count,
                          bool isolate, struct ear_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct stream_message *message = &messages[i];
        struct position *position = find_position(apply, message->topic, message->partition);

        if (message->offset < position->next || message->offset <= position->done) {
            apply->stats.skipped++;
            continue;
        }
        if ((isolate ? apply_isolated(apply, message, err) : apply_one(apply, message, err)) != 0) {
            return -1;
        }
        position->done = message->offset;
        if (strcmp(message->topic, "insights") == 0 && ledger_insight(apply, message, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int count_up(struct apply *apply, const char *name, size_t amount, struct ear_error *err)
{
    struct store_value values[] = {store_text(name), store_integer((int64_t)amount)};

    return amount > 0 && store_run(apply->store, QUERY_COUNTER_ADD, values, 2, err) < 0 ? -1 : 0;
}

static int finish(struct apply *apply, struct ear_error *err)
{
    if (facts_flush(apply, err) != 0 || ledger_flush(apply, err) != 0 ||
        count_up(apply, "forgotten", apply->forgotten, err) != 0 ||
        count_up(apply, "rejected", apply->stats.rejected, err) != 0 ||
        count_up(apply, "too_old", apply->stats.too_old, err) != 0) {
        return -1;
    }
    TESTPOINT("sink.before-commit");
    return store_commit(apply->store, err);
}

/* What is forgotten takes posts of any partition out, and a decision may be about one that another
 * sink is just writing: such a batch runs alone. */
static int begin(struct apply *apply, const struct stream_message messages[], size_t count,
                 struct ear_error *err)
{
    apply->alone = false;
    for (size_t i = 0; i < count && !apply->alone; i++) {
        apply->alone = strcmp(messages[i].topic, "forgotten") == 0 ||
                       strcmp(messages[i].topic, "decisions") == 0;
    }
    return apply->alone ? store_begin_exclusive(apply->store, err) : store_begin(apply->store, err);
}

/* The seeded fault sink-offset-outside: rows that come after their position. */
static int commit_early(struct apply *apply, struct ear_error *err)
{
    if (!TESTFAULT("sink-offset-outside")) {
        return 0;
    }
    return store_commit(apply->store, err) != 0 ? -1 : store_begin(apply->store, err);
}

/* The seeded fault reject-outside: rejects that come after the position past them. */
static int reject_late(struct apply *apply, struct ear_error *err)
{
    int result = apply->late_count == 0 ? 0 : store_begin(apply->store, err);

    for (size_t i = 0; i < apply->late_count && result == 0; i++) {
        result = reject_put(apply->store, apply->writer, apply->late[i], "", &apply->late_why,
                            apply->now_us, err);
    }
    result = result == 0 && apply->late_count > 0 ? store_commit(apply->store, err) : result;
    apply->late_count = 0;
    return result;
}

static int attempt(struct apply *apply, const struct stream_message messages[], size_t count,
                   bool isolate, struct ear_error *err)
{
    int result = -1;

    apply->stats = (struct apply_stats){0};
    apply->forgotten = 0;
    settle_positions(apply, false);
    if (begin(apply, messages, count, err) != 0) {
        return -1;
    }
    if (move_past(apply, messages, count, err) == 0 && commit_early(apply, err) == 0 &&
        (isolate || ahead_read(apply, messages, count, err) == 0) &&
        apply_messages(apply, messages, count, isolate, err) == 0 && finish(apply, err) == 0) {
        result = reject_late(apply, err);
    }
    if (result != 0) {
        store_rollback(apply->store);
        names_forget(apply->names);
        ledger_forget(apply);
        memset(apply->dirty, 0, sizeof apply->dirty);
        apply->dirty_count = 0;
    }
    ahead_clear(apply->ahead);
    settle_positions(apply, result == 0);
    return result;
}

int apply_pass(struct apply *apply, const struct apply_place places[], size_t count,
               struct ear_error *err)
{
    bool any = false;

    settle_positions(apply, false);
    for (size_t i = 0; i < count; i++) {
        struct position *position = find_position(apply, places[i].topic, places[i].partition);

        if (position != NULL && position->next >= 0 && places[i].next > position->next) {
            position->seen = places[i].next - 1;
            any = true;
        }
    }
    if (!any) {
        return 0;
    }
    if (store_begin(apply->store, err) != 0) {
        settle_positions(apply, false);
        return -1;
    }
    if (move_positions(apply, err) != 0 || store_commit(apply->store, err) != 0) {
        store_rollback(apply->store);
        settle_positions(apply, false);
        return -1;
    }
    settle_positions(apply, true);
    return 0;
}

void apply_set_now(struct apply *apply, int64_t now_us)
{
    apply->now_us = now_us;
    apply->horizon_day = zone_day(apply->config.zone, now_us - apply->config.horizon_us);
}

int apply_batch(struct apply *apply, const struct stream_message messages[], size_t count,
                int64_t now_us, struct apply_stats *stats, struct ear_error *err)
{
    int result = 0;
    struct ear_error again = {0};

    apply_set_now(apply, now_us);
    result = attempt(apply, messages, count, false, err);
    if (result != 0 && err->kind == EAR_REJECT) {
        ear_error_clear(err);
        result = attempt(apply, messages, count, true, err);
    }
    if (result != 0 && err->kind == EAR_FENCED && load_positions(apply, &again) != 0) {
        *err = again;
    }
    *stats = apply->stats;
    return result;
}

/* --- what the horizon has passed --- */

/* Takes the oldest post out that the horizon has passed. *found: there was one. */
static int expire_one(bool *found, struct apply *apply, struct ear_error *err)
{
    struct store_value values[] = {store_integer(apply->horizon_day), store_integer(1)};
    int64_t row = 0;

    if (store_ask_integer(&row, found, apply->store, QUERY_INSIGHT_BEFORE_DAY, values, 2, err) !=
            0 ||
        (*found && rows_remove(apply, row, false, err) != 0)) {
        return -1;
    }
    return facts_flush(apply, err);
}

/* A slice of them: on a shared store a transaction each, which waits for no two posts at once. */
static int expire_posts(bool *more, struct apply *apply, struct ear_error *err)
{
    bool each = store_shared(apply->store);

    *more = true;
    for (int i = 0; i < EXPIRE_SLICE && *more; i++) {
        if (expire_one(more, apply, err) != 0 ||
            (each && *more &&
             (store_commit(apply->store, err) != 0 || store_begin(apply->store, err) != 0))) {
            return -1;
        }
    }
    return 0;
}

static int expire_slice(struct apply *apply, bool *more, struct ear_error *err)
{
    struct store_value frozen[] = {store_integer(apply->horizon_day)};

    if (expire_posts(more, apply, err) != 0 ||
        store_run(apply->store, QUERY_DIRTY_FORGET_BEFORE, frozen, 1, err) != 0 ||
        store_run(apply->store, QUERY_TREND_FORGET_BEFORE, frozen, 1, err) != 0 ||
        coverage_expire(apply, err) != 0) {
        return -1;
    }
    return store_commit(apply->store, err);
}

/* What keeps old versions out goes with the versions; many rows at once, so it runs alone. */
static int expire_gone(struct apply *apply, int64_t now_us, struct ear_error *err)
{
    struct store_value values[] = {store_integer(now_us - apply->config.horizon_us)};
    int64_t one = 0;
    bool found = false;

    if (store_ask_integer(&one, &found, apply->store, QUERY_GONE_OLD, values, 1, err) != 0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    if (store_begin_exclusive(apply->store, err) != 0 ||
        store_run(apply->store, QUERY_GONE_EXPIRE, values, 1, err) != 0 ||
        store_commit(apply->store, err) != 0) {
        store_rollback(apply->store);
        return -1;
    }
    return 0;
}

int apply_expire(struct apply *apply, int64_t now_us, bool *more, struct ear_error *err)
{
    apply_set_now(apply, now_us);
    if (store_begin(apply->store, err) != 0) {
        return -1;
    }
    if (expire_slice(apply, more, err) != 0) {
        store_rollback(apply->store);
        return -1;
    }
    return expire_gone(apply, now_us, err);
}
