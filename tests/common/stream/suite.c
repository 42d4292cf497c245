/* SPDX-License-Identifier: Apache-2.0 */

/* The stream's promises, held to on every back end: add one to the table at the foot. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/common/stream/fixture.h"

static char long_text[STREAM_MESSAGE_MAX + 2];

/* Where a back end differs by design, another test holds to what it promises instead. */
static void differs(bool differs, const char *instead)
{
    if (differs) {
        print_message("[ INSTEAD  ] %s\n", instead);
        skip();
    }
}

/* --- order and positions --- */

struct order {
    int last[32]; /* by key */
    size_t count;
};

static void see_order(void *user, const struct stream_message *message)
{
    struct order *order = user;
    long key = strtol(message->key + 1, NULL, 10);
    int number = (int)strtol(message->value, NULL, 10);

    assert_in_range(key, 0, 31);
    assert_int_equal(number, order->last[key] + 1);
    assert_int_equal(message->key[message->key_length], '\0');
    assert_int_equal(message->value[message->value_length], '\0');
    order->last[key] = number;
    order->count++;
}

static void messages_of_a_key_come_in_order(void **state)
{
    struct fixture *f = *state;
    struct order order = {0};
    struct stream_reader *reader = subscribe(f->stream, "g", "log");

    for (int number = 1; number <= 10; number++) {
        char value[16];

        snprintf(value, sizeof value, "%d", number);
        publish_many(f, "log", 32, value);
    }
    assert_int_equal(read_all(reader, see_order, &order), 320);
    stream_reader_close(reader);
}

static int64_t sum_of_positions(struct stream *stream, const char *group, const char *topic)
{
    struct ear_error err = {0};
    int64_t sum = 0;

    for (int partition = 0; partition < PARTITIONS; partition++) {
        int64_t position = stream_group_position(stream, group, topic, partition, &err);

        assert_true(position >= -1);
        sum += position;
    }
    return sum;
}

/* Where all partitions end; on Kafka the ends of transactions have offsets too. */
static int64_t sum_of_ends(struct stream *stream, const char *topic)
{
    struct ear_error err = {0};
    int64_t sum = 0;

    for (int partition = 0; partition < PARTITIONS; partition++) {
        struct stream_span span = {0};

        assert_int_equal(stream_span(stream, topic, partition, &span, &err), 0);
        sum += span.end;
    }
    return sum;
}

/* What the positions of a group that was never moved add up to. */
static int64_t sum_unmoved(const struct fixture *f)
{
    return f->backend->forgets_unmoved ? -PARTITIONS : 0;
}

static void position_moves_only_with_its_messages(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    publish_many(f, "log", 20, "v");
    assert_int_equal(read_all(reader, NULL, NULL), 20);
    assert_int_equal(sum_of_positions(f->stream, "g", "log"), sum_unmoved(f));

    assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
    assert_int_equal(stream_publish(transaction, "table", "a", 1, "1", 1, NOW_US, &err), 0);
    assert_int_equal(stream_move(transaction, reader, &err), 0);
    assert_latest(f->stream, "table", "a", NULL);
    assert_int_equal(stream_commit(transaction, &err), 0);
    assert_latest(f->stream, "table", "a", "1");
    assert_int_equal(sum_of_positions(f->stream, "g", "log"), sum_of_ends(f->stream, "log"));
    stream_reader_close(reader);

    fixture_reopen(f);
    reader = subscribe(f->stream, "g", "log");
    assert_int_equal(read_all(reader, NULL, NULL), 0);
    publish(f->stream, "log", "k1", "new");
    assert_int_equal(read_all(reader, NULL, NULL), 1);
    stream_reader_close(reader);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    publish_many(f, "log", 5, "v");
    assert_int_equal(read_all(reader, NULL, NULL), 5);
    assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
    assert_int_equal(stream_publish(transaction, "table", "a", 1, "1", 1, NOW_US, &err), 0);
    assert_int_equal(stream_move(transaction, reader, &err), 0);
    stream_abort(transaction);
    stream_abort(NULL);
    assert_latest(f->stream, "table", "a", NULL);
    assert_int_equal(sum_of_positions(f->stream, "g", "log"), sum_unmoved(f));

    assert_int_equal(read_all(reader, NULL, NULL), 0);
    assert_int_equal(stream_rewind(reader, &err), 0);
    assert_int_equal(read_all(reader, NULL, NULL), 5);
    stream_reader_close(reader);
}

static void two_groups_read_each_for_itself(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *one = subscribe(f->stream, "one", "log");
    struct stream_reader *two;

    publish_many(f, "log", 7, "v");
    assert_int_equal(read_and_move(f->stream, one), 7);
    two = subscribe(f->stream, "two", "log"); /* its first start: from the earliest */
    assert_int_equal(read_and_move(f->stream, two), 7);
    publish_many(f, "log", 2, "v");
    assert_int_equal(read_and_move(f->stream, two), 2);
    assert_int_equal(read_and_move(f->stream, one), 2);
    stream_reader_close(one);
    stream_reader_close(two);
}

static void a_group_that_another_reader_moved_is_fenced(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *one;
    struct stream_reader *two;
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    differs(f->backend->shares_out, "test_kafka.c: a_reader_that_lost_its_partitions_is_fenced");
    one = subscribe(f->stream, "g", "log");
    two = subscribe(f->stream, "g", "log");
    publish_many(f, "log", 9, "v");
    assert_int_equal(read_all(one, NULL, NULL), 9);
    assert_int_equal(read_and_move(f->stream, two), 9);

    assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
    assert_int_equal(stream_publish(transaction, "table", "a", 1, "1", 1, NOW_US, &err), 0);
    assert_int_equal(stream_move(transaction, one, &err), 0);
    assert_int_equal(stream_commit(transaction, &err), -1);
    assert_int_equal(err.kind, EAR_FENCED);
    assert_latest(f->stream, "table", "a", NULL);

    assert_int_equal(stream_rewind(one, &err), 0);
    publish_many(f, "log", 3, "v");
    assert_int_equal(read_and_move(f->stream, one), 3);
    stream_reader_close(one);
    stream_reader_close(two);
}

static void a_topic_that_is_new_to_a_group_starts_at_the_earliest(void **state)
{
    struct fixture *f = *state;
    const char *const both[] = {"log", "table"};
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct ear_error err = {0};

    publish_many(f, "log", 6, "v");
    publish_many(f, "table", 4, "v");
    assert_int_equal(read_and_move(f->stream, reader), 6);
    stream_reader_close(reader);
    assert_int_equal(stream_subscribe(&reader, f->stream, "g", both, 2, NULL, &err), 0);
    assert_int_equal(read_and_move(f->stream, reader), 4);
    stream_reader_close(reader);
}

static void where_to_read_can_be_set(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct stream_span span = {0};
    struct ear_error err = {0};

    for (int i = 0; i < 10; i++) {
        publish(f->stream, "log", "same", "v");
    }
    assert_int_equal(read_and_move(f->stream, reader), 10);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        assert_int_equal(stream_span(f->stream, "log", partition, &span, &err), 0);
        if (span.end == 0) {
            continue;
        }
        assert_int_equal(stream_position(reader, "log", partition), span.end);
        assert_int_equal(stream_seek(reader, "log", partition, span.earliest, &err), 0);
        assert_int_equal(read_and_move(f->stream, reader), 10);
        assert_int_equal(stream_seek(reader, "log", partition, span.end + 1, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
    }
    assert_int_equal(stream_seek(reader, "log", PARTITIONS, 0, &err), -1);
    assert_int_equal(stream_position(reader, "log", PARTITIONS), -1);
    assert_int_equal(stream_position(reader, "table", 0), -1);
    stream_reader_close(reader);
}

/* Where the owner's database says to begin: by partition. */
struct elsewhere {
    int64_t at[PARTITIONS];
    int asked;
};

static int64_t begin_elsewhere(void *user, const char *topic, int partition, struct ear_error *err)
{
    struct elsewhere *elsewhere = user;

    assert_string_equal(topic, "log");
    assert_in_range(partition, 0, PARTITIONS - 1);
    elsewhere->asked++;
    if (elsewhere->at[partition] == STREAM_AT_FAILED) {
        ear_fail(err, EAR_RETRY, "the database is away");
    }
    return elsewhere->at[partition];
}

static void a_database_may_say_where_to_begin(void **state)
{
    struct fixture *f = *state;
    const char *topic = "log";
    struct elsewhere elsewhere = {.asked = 0};
    const struct stream_start start = {begin_elsewhere, &elsewhere};
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct ear_error err = {0};

    publish_many(f, "log", 40, "v");
    assert_int_equal(read_and_move(f->stream, reader), 40);
    stream_reader_close(reader);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        elsewhere.at[partition] = STREAM_AT_EARLIEST;
    }
    assert_int_equal(stream_subscribe(&reader, f->stream, "g", &topic, 1, &start, &err), 0);
    assert_int_equal(read_all(reader, NULL, NULL), 40);
    assert_int_equal(elsewhere.asked, PARTITIONS);

    for (int partition = 0; partition < PARTITIONS; partition++) {
        elsewhere.at[partition] = stream_position(reader, "log", partition);
    }
    elsewhere.at[0] = STREAM_AT_GROUP;
    assert_int_equal(stream_rewind(reader, &err), 0);
    assert_int_equal(read_all(reader, NULL, NULL), 0);
    elsewhere.at[1] = STREAM_AT_FAILED;
    assert_int_equal(stream_rewind(reader, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    stream_reader_close(reader);
}

/* --- sharing keys out --- */

static void wait_for_share(struct stream_share *share)
{
    struct ear_error err = {0};
    int64_t until_us = mono_us() + 60LL * SECOND_US;
    bool changed = false;

    assert_true(stream_share_settling(share));
    while (stream_share_settling(share)) {
        assert_true(mono_us() < until_us);
        if (stream_share_turn(share, 100, &changed, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
}

static void a_lone_member_owns_every_key_and_what_is_under_it(void **state)
{
    struct fixture *f = *state;
    static const char *const tables[] = {"table", "seen"};
    struct stream_share *share = NULL;
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    publish_many(f, "table", 20, "before");
    publish(f->stream, "seen", "k3/one", "before");
    assert_int_equal(stream_share_open(&share, f->stream, "c", tables, 2, &err), 0);
    assert_int_equal(stream_share_owns(share, "k3", 2), 0);
    wait_for_share(share);
    for (int i = 0; i < 20; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%d", i);
        assert_true(stream_share_owns(share, key, strlen(key)) > 0);
        assert_latest(f->stream, "table", key, "before");
    }
    assert_latest(f->stream, "seen", "k3/one", "before");

    assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
    assert_int_equal(stream_publish(transaction, "table", "k3", 2, "after", 5, NOW_US, &err), 0);
    assert_int_equal(stream_publish(transaction, "seen", "k3/two", 6, "after", 5, NOW_US, &err), 0);
    assert_int_equal(stream_publish(transaction, "log", "p", 1, "post", 4, NOW_US, &err), 0);
    assert_int_equal(stream_share_guard(transaction, share, &err), 0);
    if (stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_latest(f->stream, "table", "k3", "after");
    assert_latest(f->stream, "seen", "k3/two", "after");
    stream_share_close(share);
    share = NULL;

    fixture_reopen(f);
    assert_int_equal(stream_share_open(&share, f->stream, "c", tables, 2, &err), 0);
    wait_for_share(share);
    assert_latest(f->stream, "table", "k3", "after");
    assert_latest(f->stream, "seen", "k3/one", "before");
    assert_latest(f->stream, "seen", "k3/two", "after");
    stream_share_close(share);
}

static void what_lies_by_prefix_lies_beside_its_source(void **state)
{
    struct fixture *f = *state;
    struct ear_error err = {0};

    for (int i = 0; i < 10; i++) {
        char source[32];
        char key[64];

        snprintf(source, sizeof source, "source-%d", i);
        snprintf(key, sizeof key, "source-%d/item", i);
        publish(f->stream, "table", source, "v");
        publish(f->stream, "seen", key, "v");
    }
    for (int partition = 0; partition < PARTITIONS; partition++) {
        struct stream_span sources = {0};
        struct stream_span items = {0};

        assert_int_equal(stream_span(f->stream, "table", partition, &sources, &err), 0);
        assert_int_equal(stream_span(f->stream, "seen", partition, &items, &err), 0);
        assert_int_equal(sources.end, items.end);
    }
}

/* --- what a batch holds --- */

static void a_batch_keeps_its_limits(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    size_t count = 0;

    publish_many(f, "log", 40, "0123456789");
    assert_int_equal(stream_read(reader, &batch, 7, 1 << 20, 0, &err), 0);
    assert_int_equal(batch.count, 7);
    count += batch.count;
    assert_int_equal(stream_read(reader, &batch, 100, 100, 0, &err), 0);
    assert_in_range(batch.count, 1, 10);
    assert_in_range(batch.bytes, 1, 100);
    count += batch.count;
    while (batch.count > 0) { /* one larger than the limit comes alone */
        assert_int_equal(stream_read(reader, &batch, 100, 1, 0, &err), 0);
        assert_in_range(batch.count, 0, 1);
        count += batch.count;
    }
    assert_int_equal(count, 40);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
}

/* Reads one message, lets the others come, and tells how many of 40 more each partition gave. */
static void read_forty(struct stream_reader *reader, int wait_ms, int seen[PARTITIONS])
{
    struct stream_batch batch = {0};
    struct ear_error err = {0};

    assert_int_equal(stream_read(reader, &batch, 1, 1 << 20, 0, &err), 0);
    assert_int_equal(batch.count, 1);
    usleep((useconds_t)wait_ms * 1000);
    assert_int_equal(stream_read(reader, &batch, 40, 1 << 20, 0, &err), 0);
    for (size_t i = 0; i < batch.count; i++) {
        seen[batch.messages[i].partition]++;
    }
    stream_batch_clear(&batch);
}

/* Fair is what has come: where partitions lie with a server, each comes in its own time, so a
 * reader may have to give them more. */
static void messages_come_fairly_from_all_partitions(void **state)
{
    struct fixture *f = *state;
    bool fair = false;

    publish_many(f, "log", 400, "v");
    for (int wait_ms = 0; !fair && wait_ms <= 2000; wait_ms = wait_ms * 2 + 1) {
        struct stream_reader *reader = subscribe(f->stream, "g", "log");
        int seen[PARTITIONS] = {0};

        read_forty(reader, wait_ms, seen);
        fair = true;
        for (int partition = 0; partition < PARTITIONS; partition++) {
            fair = fair && seen[partition] == 10;
        }
        stream_reader_close(reader);
    }
    assert_true(fair);
}

static void what_is_too_large_is_refused_and_the_rest_goes_on(void **state)
{
    struct fixture *f = *state;
    struct stream_transaction *transaction = NULL;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    size_t count = 0;
    size_t bytes = 0;

    memset(long_text, 'x', sizeof long_text - 1);
    assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
    assert_int_equal(
        stream_publish(transaction, "log", "a", 1, long_text, STREAM_MESSAGE_MAX, NOW_US, &err), 0);
    assert_int_equal(
        stream_publish(transaction, "log", "b", 1, long_text, STREAM_MESSAGE_MAX + 1, NOW_US, &err),
        -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_non_null(strstr(err.message, "too_large"));
    assert_int_equal(
        stream_publish(transaction, "log", long_text, STREAM_KEY_MAX + 1, "v", 1, NOW_US, &err),
        -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_int_equal(
        stream_publish(transaction, "log", long_text, STREAM_KEY_MAX, "v", 1, NOW_US, &err), 0);
    assert_int_equal(stream_publish(transaction, "none", "c", 1, "v", 1, NOW_US, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_int_equal(stream_publish(transaction, "table", NULL, 0, "v", 1, NOW_US, &err), -1);
    assert_int_equal(err.kind, EAR_REJECT);
    assert_int_equal(stream_commit(transaction, &err), 0);

    do {
        assert_int_equal(stream_read(reader, &batch, 10, 8 << 20, 0, &err), 0);
        count += batch.count;
        bytes += batch.bytes;
    } while (batch.count > 0);
    assert_int_equal(count, 2);
    assert_int_equal(bytes, STREAM_MESSAGE_MAX + 1 + STREAM_KEY_MAX + 1);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
}

static void without_a_key_partitions_take_turns(void **state)
{
    struct fixture *f = *state;
    struct stream_span span = {0};
    struct ear_error err = {0};

    for (int i = 0; i < 8; i++) {
        publish(f->stream, "log", NULL, "v");
    }
    assert_int_equal(count_messages(f->stream, "log"), 8);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        assert_int_equal(stream_span(f->stream, "log", partition, &span, &err), 0);
        assert_int_equal(span.end - span.earliest, sum_of_ends(f->stream, "log") / PARTITIONS);
    }
}

/* --- waiting --- */

static void *publish_soon(void *user)
{
    usleep(200 * 1000);
    publish(user, "log", "a", "late");
    return NULL;
}

static void a_waiting_reader_is_woken(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    int64_t began_us = mono_us();
    pthread_t thread;

    assert_int_equal(stream_read(reader, &batch, 10, 1000, 30, &err), 0);
    assert_int_equal(batch.count, 0);
    assert_in_range(mono_us() - began_us, 29 * 1000, 60 * SECOND_US);

    assert_int_equal(pthread_create(&thread, NULL, publish_soon, f->stream), 0);
    began_us = mono_us();
    assert_int_equal(stream_read(reader, &batch, 10, 1000, 30000, &err), 0);
    assert_int_equal(batch.count, 1);
    assert_in_range(mono_us() - began_us, 0, 15 * SECOND_US);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
}

static void *publish_hundred(void *user)
{
    publish_many(user, "log", 100, "v");
    publish_many(user, "table", 50, "v");
    return NULL;
}

static void threads_share_a_stream(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    size_t count = 0;
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, publish_hundred, f), 0);
    }
    while (count < 200) {
        count += read_and_move(f->stream, reader);
        keep_house(f->stream, NOW_US);
        assert_latest(f->stream, "table", "none", NULL);
        assert_in_range(stream_fullness(f->stream), 0, 1);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(count, 200);
    assert_latest(f->stream, "table", "k49", "v");
    stream_reader_close(reader);
}

/* --- tables --- */

struct table {
    char values[1000][16]; /* by key */
    size_t visits;
    size_t stop_after;
};

static bool see_latest(void *user, const struct stream_message *message)
{
    struct table *table = user;
    long key = strtol(message->key + 1, NULL, 10);

    assert_in_range(key, 0, 999);
    assert_int_equal(table->values[key][0], '\0'); /* each key once */
    snprintf(table->values[key], sizeof table->values[key], "%s", message->value);
    return ++table->visits != table->stop_after;
}

static size_t visit_all(struct stream *stream, const char *topic, struct table *table)
{
    struct ear_error err = {0};

    memset(table->values, 0, sizeof table->values);
    table->visits = 0;
    assert_int_equal(stream_each_latest(stream, topic, see_latest, table, &err), 0);
    return table->visits;
}

static void the_latest_of_each_key_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct table *table = calloc(1, sizeof *table);

    assert_non_null(table);
    assert_int_equal(visit_all(f->stream, "table", table), 0);
    publish_many(f, "table", 300, "old");
    publish_many(f, "table", 100, "mid");
    assert_int_equal(visit_all(f->stream, "table", table), 300);
    assert_string_equal(table->values[99], "mid");
    assert_string_equal(table->values[100], "old");
    keep_house(f->stream, NOW_US + LAG_US);
    assert_int_equal(visit_all(f->stream, "table", table), 300);
    publish_many(f, "table", 50, "new"); /* some keys are indexed, some are not yet */
    publish(f->stream, "table", "k0", NULL);
    publish(f->stream, "table", "k200", NULL);
    publish(f->stream, "table", "k400", "v");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(visit_all(f->stream, "table", table), 299);
        assert_string_equal(table->values[0], "");
        assert_string_equal(table->values[49], "new");
        assert_string_equal(table->values[50], "mid");
        assert_string_equal(table->values[200], "");
        assert_string_equal(table->values[299], "old");
        assert_string_equal(table->values[400], "v");
        assert_latest(f->stream, "table", "k0", NULL);
        assert_latest(f->stream, "table", "k49", "new");
        assert_latest(f->stream, "table", "k50", "mid");
        assert_latest(f->stream, "table", "k200", NULL);
        assert_latest(f->stream, "table", "k500", NULL);
        if (round == 0) {
            fixture_reopen(f);
        } else {
            keep_house(f->stream, NOW_US + 3 * LAG_US);
        }
    }
    table->stop_after = 5;
    assert_int_equal(visit_all(f->stream, "table", table), 5);
    free(table);
}

static void only_compacted_topics_are_tables(void **state)
{
    struct fixture *f = *state;
    struct ear_error err = {0};
    char *value = NULL;
    size_t length = 0;

    assert_int_equal(stream_lookup(f->stream, "log", "a", 1, &value, &length, &err), -1);
    assert_int_equal(stream_lookup(f->stream, "none", "a", 1, &value, &length, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_null(value);
}

/* --- compaction and retention: what a back end does by itself, or when told --- */

static void superseded_messages_go_when_read_and_old_enough(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *one = subscribe(f->stream, "one", "table");
    struct stream_reader *two = subscribe(f->stream, "two", "table");

    publish_many(f, "table", 100, "old");
    publish_many(f, "table", 100, "new");
    read_and_move(f->stream, one);
    if (!f->backend->real_time) {
        keep_house(f->stream, NOW_US + LAG_US);
        assert_int_equal(count_messages(f->stream, "table"), 200); /* two has not read them */
        assert_int_equal(read_and_move(f->stream, two), 200);
        keep_house(f->stream, NOW_US + LAG_US - 1);
        assert_int_equal(count_messages(f->stream, "table"), 200); /* not old enough */
    }
    keep_house(f->stream, NOW_US + LAG_US);
    assert_count(f, "table", 100);
    assert_latest(f->stream, "table", "k7", "new");
    stream_reader_close(one);
    stream_reader_close(two);
}

static void tombstones_go_when_read_and_old_enough(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "one", "table");
    struct table *table = calloc(1, sizeof *table);

    assert_non_null(table);
    publish_many(f, "table", 50, "old");
    keep_house(f->stream, NOW_US + LAG_US);
    publish_many(f, "table", 20, NULL);
    publish(f->stream, "table", "never", NULL);
    publish_many(f, "table", 10, "back");
    assert_int_equal(visit_all(f->stream, "table", table), 40);
    keep_house(f->stream, NOW_US + LAG_US);
    if (!f->backend->real_time) {
        assert_int_equal(count_messages(f->stream, "table"), 81);
        assert_int_equal(read_and_move(f->stream, reader), 81);
        keep_house(f->stream, NOW_US + LAG_US);
    }
    assert_count(f, "table", 40);
    assert_int_equal(visit_all(f->stream, "table", table), 40);
    assert_latest(f->stream, "table", "k9", "back");
    assert_latest(f->stream, "table", "k10", NULL);
    assert_latest(f->stream, "table", "k20", "old");
    free(table);
    stream_reader_close(reader);
}

static void compacting_at_once_asks_no_group(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "one", "table");
    struct ear_error err = {0};

    publish_many(f, "table", 100, "old");
    publish_many(f, "table", 30, NULL);
    publish_many(f, "table", 10, "new");
    assert_int_equal(stream_compact(f->stream, false, NULL, &err), 0);
    if (!f->backend->real_time) {
        /* 70 old, 10 new; of 30 tombstones 10 are superseded, 20 have still to be read */
        assert_int_equal(read_and_move(f->stream, reader), 100);
        assert_int_equal(stream_compact(f->stream, false, NULL, &err), 0);
    }
    assert_count(f, "table", 80);
    assert_latest(f->stream, "table", "k3", "new");
    assert_latest(f->stream, "table", "k29", NULL);
    assert_latest(f->stream, "table", "k30", "old");
    stream_reader_close(reader);
}

static void what_all_have_read_goes_by_age(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "one", "aged");

    publish_many(f, "aged", 40, "old");
    publish_many(f, "log", 10, "v");
    assert_int_equal(read_and_move(f->stream, reader), 40);
    if (!f->backend->real_time) {
        for (int i = 0; i < 10; i++) {
            publish_at(f->stream, "aged", "late", "new", NOW_US + RETENTION_US);
        }
        keep_house(f->stream, NOW_US + RETENTION_US - 1);
        assert_int_equal(count_messages(f->stream, "aged"), 50);
        keep_house(f->stream, NOW_US + RETENTION_US);
        assert_int_equal(count_messages(f->stream, "aged"), 10);
        keep_house(f->stream, NOW_US + 10 * RETENTION_US);
        assert_int_equal(count_messages(f->stream, "aged"), 10); /* unread, however old */
        assert_int_equal(read_and_move(f->stream, reader), 10);
    }
    keep_house(f->stream, NOW_US + 10 * RETENTION_US);
    assert_count(f, "aged", 0);
    assert_int_equal(count_messages(f->stream, "log"), 10); /* kept for ever */
    stream_reader_close(reader);
}

/* Also where the log counts more than messages: who read all of a quiet topic stands at its end. */
static void who_read_all_outlives_what_goes_by_age(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "one", "aged");
    struct stream_span span = {0};
    struct ear_error err = {0};

    publish_many(f, "aged", 40, "old");
    assert_int_equal(read_and_move(f->stream, reader), 40);
    assert_int_equal(read_and_move(f->stream, reader), 0); /* as an idle role does */
    for (int partition = 0; partition < PARTITIONS; partition++) {
        assert_int_equal(stream_span(f->stream, "aged", partition, &span, &err), 0);
        assert_int_equal(stream_group_position(f->stream, "one", "aged", partition, &err),
                         span.end);
    }
    stream_reader_close(reader);
    keep_house(f->stream, NOW_US + 10 * RETENTION_US);
    assert_count(f, "aged", 0);
    reader = subscribe(f->stream, "one", "aged");
    assert_int_equal(read_all(reader, NULL, NULL), 0);
    publish(f->stream, "aged", "k1", "new");
    assert_int_equal(read_all(reader, NULL, NULL), 1);
    stream_reader_close(reader);
}

/* Where the log goes by its own clock, what is to be old is published as of then. */
static void begin_in_the_past(const struct fixture *f, int64_t ago_us)
{
    if (f->backend->real_time) {
        test_times.now_us -= ago_us;
    }
}

static void what_no_group_reads_goes_by_age_alone(void **state)
{
    struct fixture *f = *state;
    struct table *table = calloc(1, sizeof *table);

    assert_non_null(table);
    begin_in_the_past(f, 20 * RETENTION_US);
    publish_many(f, "aged", 40, "v");
    publish_many(f, "posts", 100, "old");
    keep_house(f->stream, NOW_US + LAG_US / 100);
    publish_at(f->stream, "posts", "k5", "new", NOW_US + 20 * RETENTION_US);
    keep_house(f->stream, NOW_US + 20 * RETENTION_US);
    assert_count(f, "aged", 0);
    assert_count(f, "posts", 1);
    assert_int_equal(visit_all(f->stream, "posts", table), 1);
    assert_latest(f->stream, "posts", "k5", "new");
    assert_latest(f->stream, "posts", "k6", NULL);
    free(table);
}

static void offsets_never_come_again(void **state)
{
    struct fixture *f = *state;
    struct stream_span before[PARTITIONS];
    struct stream_span after = {0};
    int64_t end_mark = f->backend->real_time ? 1 : 0; /* a transaction's, written as of now */
    struct ear_error err = {0};

    begin_in_the_past(f, 2 * RETENTION_US);
    publish_many(f, "aged", 40, "v");
    for (int partition = 0; partition < PARTITIONS; partition++) {
        assert_int_equal(stream_span(f->stream, "aged", partition, &before[partition], &err), 0);
        assert_true(before[partition].end > 0);
    }
    keep_house(f->stream, NOW_US + RETENTION_US);
    assert_count(f, "aged", 0);
    fixture_reopen(f);
    for (int partition = 0; partition < PARTITIONS; partition++) {
        int64_t until_us = mono_us() + 10LL * SECOND_US;

        do { /* on Kafka the mark of its transaction may outlast a message for a moment */
            assert_int_equal(stream_span(f->stream, "aged", partition, &after, &err), 0);
        } while (f->backend->real_time && after.earliest < after.end && mono_us() < until_us);
        assert_int_equal(after.end, before[partition].end);
        assert_int_equal(after.earliest, after.end);
    }
    begin_in_the_past(f, -2 * RETENTION_US);
    publish_many(f, "aged", 40, "v");
    for (int partition = 0; partition < PARTITIONS; partition++) {
        assert_int_equal(stream_span(f->stream, "aged", partition, &after, &err), 0);
        assert_in_range(after.earliest, before[partition].end - end_mark, before[partition].end);
    }
}

static int64_t begin_at_three(void *user, const char *topic, int partition, struct ear_error *err)
{
    (void)user;
    (void)topic;
    (void)partition;
    (void)err;
    return 3;
}

static void what_went_unread_is_an_error_never_a_jump(void **state)
{
    struct fixture *f = *state;
    const struct stream_start start = {begin_at_three, NULL};
    const char *topic = "aged";
    struct stream_reader *reader = subscribe(f->stream, "one", "aged");
    struct stream_batch batch = {0};
    struct stream_span span = {0};
    struct ear_error err = {0};
    char earliest[32];

    publish_many(f, "aged", 40, "v");
    assert_int_equal(read_and_move(f->stream, reader), 40);
    assert_int_equal(stream_span(f->stream, "aged", 0, &span, &err), 0);
    snprintf(earliest, sizeof earliest, " %lld ", (long long)span.end);
    if (f->backend->real_time) { /* what is fetched ahead would still come: a new reader */
        stream_reader_close(reader);
        assert_count(f, "aged", 0);
        assert_int_equal(stream_subscribe(&reader, f->stream, "one", &topic, 1, &start, &err), 0);
    } else {
        assert_int_equal(stream_seek(reader, "aged", 0, 3, &err), 0);
        keep_house(f->stream, NOW_US + RETENTION_US);
        publish_many(f, "aged", 40, "v");
    }
    assert_int_equal(stream_read(reader, &batch, 10, 1000, 0, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "/3,"));
    assert_non_null(strstr(err.message, earliest));
    stream_batch_clear(&batch);
    stream_reader_close(reader);
}

/* --- groups --- */

static bool see_group(void *user, const char *group, const char *topic, int partition,
                      int64_t position)
{
    int64_t *sum = user;

    assert_string_equal(group, "old");
    assert_string_equal(topic, "aged");
    assert_in_range(partition, 0, PARTITIONS - 1);
    *sum += position;
    return true;
}

static void a_group_holds_its_messages_until_it_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader = subscribe(f->stream, "old", "aged");
    struct ear_error err = {0};
    int64_t sum = 0;

    publish_many(f, "aged", 40, "v");
    assert_int_equal(read_and_move(f->stream, reader), 40);
    publish_many(f, "aged", 20, "v");
    stream_reader_close(reader);
    assert_int_equal(stream_each_group(f->stream, see_group, &sum, &err), 0);
    assert_int_equal(sum, sum_of_positions(f->stream, "old", "aged"));
    assert_true(sum >= 40);
    if (!f->backend->real_time) {
        keep_house(f->stream, NOW_US + RETENTION_US);
        assert_int_equal(count_messages(f->stream, "aged"), 20);
    }
    assert_int_equal(stream_forget_group(f->stream, "none", &err), 0);
    assert_int_equal(stream_forget_group(f->stream, "old", &err), 1);
    assert_int_equal(sum_of_positions(f->stream, "old", "aged"), -PARTITIONS);
    keep_house(f->stream, NOW_US + RETENTION_US);
    assert_count(f, "aged", 0);
}

/* --- looking without joining --- */

static void following_begins_where_it_is_asked_to(void **state)
{
    struct fixture *f = *state;
    struct stream_transaction *transaction = NULL;
    struct ear_error error = {0};
    const struct {
        int64_t from_us;
        size_t expected;
    } cases[] = {
        {INT64_MIN, 100},
        {NOW_US, 100},
        {NOW_US + 30 * SECOND_US, 70},
        {NOW_US + 99 * SECOND_US, 1},
        {NOW_US + 100 * SECOND_US, 0},
        {INT64_MAX, 0},
    };

    assert_int_equal(stream_begin(&transaction, f->stream, &error), 0);
    for (int i = 0; i < 100; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(stream_publish(transaction, "log", key, strlen(key), "v", 1,
                                        NOW_US + (int64_t)i * SECOND_US, &error),
                         0);
    }
    assert_int_equal(stream_commit(transaction, &error), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stream_reader *reader = NULL;
        struct ear_error err = {0};

        assert_int_equal(stream_follow(&reader, f->stream, "log", cases[i].from_us, &err), 0);
        assert_int_equal(read_all(reader, NULL, NULL), cases[i].expected);
        publish(f->stream, "posts", "a", "v"); /* another topic does not show */
        assert_int_equal(read_all(reader, NULL, NULL), 0);
        stream_reader_close(reader);
    }
    assert_int_equal(sum_of_positions(f->stream, "tap", "log"), -PARTITIONS);
}

static void one_message_is_fetched_by_its_place(void **state)
{
    struct fixture *f = *state;
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    int found = 0;

    publish(f->stream, "log", "key", "value");
    for (int partition = 0; partition < PARTITIONS; partition++) {
        int result = stream_fetch(f->stream, "log", partition, 0, &batch, &err);

        assert_true(result >= 0);
        found += result;
        if (result == 1) {
            assert_string_equal(batch.messages[0].key, "key");
            assert_string_equal(batch.messages[0].value, "value");
            assert_string_equal(batch.messages[0].topic, "log");
            assert_int_equal(batch.messages[0].at_us, NOW_US);
            assert_int_equal(stream_fetch(f->stream, "log", partition, 1, &batch, &err), 0);
        }
    }
    assert_int_equal(found, 1);
    assert_int_equal(stream_fetch(f->stream, "log", PARTITIONS, 0, &batch, &err), -1);
    assert_int_equal(stream_partitions(f->stream, "log"), PARTITIONS);
    assert_int_equal(stream_partitions(f->stream, "none"), 0);
    stream_batch_clear(&batch);
}

/* --- opening --- */

static void the_number_of_partitions_never_changes(void **state)
{
    struct fixture *f = *state;
    struct ear_error err = {0};

    stream_close(f->stream);
    f->stream = NULL;
    f->topics[1].partitions = PARTITIONS + 1;
    assert_int_equal(stream_open(&f->stream, &f->config, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "'table'"));
    f->topics[1].partitions = PARTITIONS;
    fixture_open(f);
}

static void an_unknown_log_is_refused_by_name(void **state)
{
    static const struct {
        const char *url;
        const char *said;
    } cases[] = {
        {"kafka://localhost:9092", "no prefix"},
        {"kafka://localhost/acme", "HOST:PORT"},
        {"kafka://me:secret@localhost:9092/acme", "stream.security"},
        {"kafka://localhost:9092/a/b", "a prefix has letters"},
        {"ftp://localhost", "'ftp:'"},
        {"local:", "no path"},
        {"local:/proc/nothing/log", "/proc/nothing/log"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stream_config config = {.url = cases[i].url, .size_bytes = 1 << 20};
        struct stream *stream = NULL;
        struct ear_error err = {0};

        assert_int_equal(stream_open(&stream, &config, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, cases[i].said));
    }
}

/* --- the table of back ends --- */

static const struct backend *const backends[] = {&local_backend, &kafka_backend};

static const struct backend *current;

static int make(void **state)
{
    *state = fixture_new(current);
    return 0;
}

static int drop(void **state)
{
    fixture_free(*state);
    return 0;
}

#define PROMISE(function) cmocka_unit_test_setup_teardown(function, make, drop)

/* test_stream [BACKEND [PATTERN]]: one back end, or all whose servers are there; tests whose names
 * match. */
int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        PROMISE(messages_of_a_key_come_in_order),
        PROMISE(position_moves_only_with_its_messages),
        PROMISE(an_aborted_transaction_leaves_nothing),
        PROMISE(two_groups_read_each_for_itself),
        PROMISE(a_group_that_another_reader_moved_is_fenced),
        PROMISE(a_topic_that_is_new_to_a_group_starts_at_the_earliest),
        PROMISE(where_to_read_can_be_set),
        PROMISE(a_database_may_say_where_to_begin),
        PROMISE(a_lone_member_owns_every_key_and_what_is_under_it),
        PROMISE(what_lies_by_prefix_lies_beside_its_source),
        PROMISE(a_batch_keeps_its_limits),
        PROMISE(messages_come_fairly_from_all_partitions),
        PROMISE(what_is_too_large_is_refused_and_the_rest_goes_on),
        PROMISE(without_a_key_partitions_take_turns),
        PROMISE(a_waiting_reader_is_woken),
        PROMISE(threads_share_a_stream),
        PROMISE(the_latest_of_each_key_is_told_once),
        PROMISE(only_compacted_topics_are_tables),
        PROMISE(superseded_messages_go_when_read_and_old_enough),
        PROMISE(tombstones_go_when_read_and_old_enough),
        PROMISE(compacting_at_once_asks_no_group),
        PROMISE(what_all_have_read_goes_by_age),
        PROMISE(who_read_all_outlives_what_goes_by_age),
        PROMISE(what_no_group_reads_goes_by_age_alone),
        PROMISE(offsets_never_come_again),
        PROMISE(what_went_unread_is_an_error_never_a_jump),
        PROMISE(a_group_holds_its_messages_until_it_is_forgotten),
        PROMISE(following_begins_where_it_is_asked_to),
        PROMISE(one_message_is_fetched_by_its_place),
        PROMISE(the_number_of_partitions_never_changes),
        PROMISE(an_unknown_log_is_refused_by_name),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    int failed = 0;
    int skipped = 0;
    int ran = 0;

    if (argc > 2) {
        cmocka_set_test_filter(argv[2]);
    }
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        const char *missing = backends[i]->missing == NULL ? NULL : backends[i]->missing();

        current = backends[i];
        if (argc > 1 && strcmp(argv[1], current->name) != 0) {
            continue;
        }
        if (missing != NULL) {
            printf("skipped: %s: %s\n", current->name, missing);
            skipped++;
            continue;
        }
        ran++;
        failed += cmocka_run_group_tests_name(current->name, tests, NULL, NULL);
    }
    if (ran == 0 && skipped > 0) {
        return getenv("CI") == NULL ? 77 : 1;
    }
    return failed;
}
