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

/* A back end under test: how to get an empty log, and how to be rid of it. */
struct backend {
    const char *name;
    int (*make_log)(char *url, size_t size, char *folder, size_t folder_size);
    void (*remove_log)(const char *folder);
};

extern const struct backend local_backend;

enum { PARTITIONS = 4 };
enum { SECOND_US = 1000000 };

static const int64_t NOW_US = 1763800000LL * SECOND_US;
static const int64_t LAG_US = 3600LL * SECOND_US;
static const int64_t RETENTION_US = 60LL * SECOND_US;

/*
 * Topics, four partitions each: "log" keeps everything, "table" compacts, "aged" goes after
 * RETENTION_US, "posts" compacts, ages after ten times that, and yields; "seen" compacts and lies
 * by prefix.
 */
struct fixture {
    const struct backend *backend;
    char folder[64];
    char url[96];
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

/* Reads until nothing comes; calls seen for each message; returns how many. */
size_t read_all(struct stream_reader *reader,
                void (*seen)(void *user, const struct stream_message *message), void *user);

/* Reads all and moves the group past it. */
size_t read_and_move(struct stream *stream, struct stream_reader *reader);

/* Maintains until nothing is left to do. */
void keep_house(struct stream *stream, int64_t now_us);

/* How many messages the topic holds, all partitions. */
size_t count_messages(struct stream *stream, const char *topic);

/* The key's latest value is `value` (NULL: it has none). */
void assert_latest(struct stream *stream, const char *topic, const char *key, const char *value);

int64_t mono_us(void);

#endif
