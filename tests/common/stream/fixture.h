/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_TESTS_COMMON_STREAM_FIXTURE_H
#define EARSHOT_TESTS_COMMON_STREAM_FIXTURE_H

/*
 * What the stream's tests share: a log of its own for each test, on the back end under test, and
 * short ways to publish and read. Whatever fails that should not fails the test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/stream/stream.h"

/* A back end under test: how to get an empty log, how to be rid of it, and where its promises
 * differ by design from those of the local log, which is all false. */
struct backend {
    const char *name;
    int (*make_log)(char *url, size_t size, char *folder, size_t folder_size);
    void (*remove_log)(const char *folder);
    const char *(*missing)(void); /* NULL, or returns which server it needs; NULL if it is there */
    const struct stream_option *options; /* [option_count] */
    size_t option_count;
    bool real_time;  /* the log keeps house by itself and by its own clock: a test waits for it, and
                        for nothing that goes only when it is read */
    bool shares_out; /* readers of one group share partitions out */
    bool forgets_unmoved; /* a group has a position only once it was moved */
    int64_t lag_us, retention_us;
};

extern const struct backend local_backend;
extern const struct backend kafka_backend;

enum { PARTITIONS = 4 };
enum { SECOND_US = 1000000 };

/* The times of the back end under test; set by fixture_new. */
struct test_times {
    int64_t now_us, lag_us, retention_us;
    bool real; /* house is kept by the machine's clock, whatever a test says */
};

extern struct test_times test_times;

#define NOW_US (test_times.now_us)
#define LAG_US (test_times.lag_us)
#define RETENTION_US (test_times.retention_us)

/*
 * Topics, four partitions each: "log" keeps everything, "table" compacts, "aged" goes after
 * RETENTION_US, "posts" compacts, ages after ten times that, and yields; "seen" compacts and lies
 * by prefix.
 */
struct fixture {
    const struct backend *backend;
    char folder[64];
    char url[120];
    struct stream_topic topics[5];
    struct stream_config config;
    struct stream *stream;
};

struct fixture *fixture_new(const struct backend *backend);
void fixture_configure(struct fixture *fixture);
void fixture_free(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);

/* Publishes one message in a transaction of its own; value NULL: tombstone. */
void publish_at(struct stream *stream, const char *topic, const char *key, const char *value,
                int64_t at_us);
void publish(struct stream *stream, const char *topic, const char *key, const char *value);

struct stream_reader *subscribe(struct stream *stream, const char *group, const char *topic);

/* Publishes k0, k1, … k(count - 1), each with the same value (NULL: tombstones); where a
 * transaction is dear, in one. */
void publish_many(struct fixture *f, const char *topic, int count, const char *value);

/* Reads until nothing comes; calls seen for each message; returns how many. */
size_t read_all(struct stream_reader *reader,
                void (*seen)(void *user, const struct stream_message *message), void *user);

/* Reads all and moves the group past it. */
size_t read_and_move(struct stream *stream, struct stream_reader *reader);

/* Maintains until nothing is left to do. */
void keep_house(struct stream *stream, int64_t now_us);

/* The topic comes to hold this many messages: at once, or where the log keeps house by itself
 * within half a minute. */
void assert_count(struct fixture *f, const char *topic, size_t expected);

/* How many messages the topic holds, all partitions. */
size_t count_messages(struct stream *stream, const char *topic);

/* The key's latest value is `value` (NULL: it has none). */
void assert_latest(struct stream *stream, const char *topic, const char *key, const char *value);

int64_t mono_us(void);

#endif
