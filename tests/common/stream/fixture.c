/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/common/stream/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- the local back end --- */

static int make_local(char *url, size_t size, char *folder, size_t folder_size)
{
    snprintf(folder, folder_size, "/tmp/earshot-stream-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(url, size, "local:%s/log", folder);
    return 0;
}

static void remove_local(const char *folder)
{
    static const char *const names[] = {"log/data.mdb", "log/data.mdb-lock",
                                        "log/members",  "log/data.mdb.new",
                                        "log/mark",     "log",
                                        "stop",         ""};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
}

const struct backend local_backend = {.name = "local",
                                      .make_log = make_local,
                                      .remove_log = remove_local,
                                      .lag_us = 3600LL * SECOND_US,
                                      .retention_us = 60LL * SECOND_US};

struct test_times test_times;

static int64_t wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US;
}

static void set_times(const struct backend *backend)
{
    test_times = (struct test_times){.now_us = 1763800000LL * SECOND_US,
                                     .lag_us = backend->lag_us,
                                     .retention_us = backend->retention_us,
                                     .real = backend->real_time};
    if (backend->real_time) {
        test_times.now_us = wall_us();
    }
}

/* --- a log for a test --- */

struct fixture *fixture_new(const struct backend *backend)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    fixture->backend = backend;
    set_times(backend);
    assert_int_equal(backend->make_log(fixture->url, sizeof fixture->url, fixture->folder,
                                       sizeof fixture->folder),
                     0);
    fixture_configure(fixture);
    fixture_open(fixture);
    return fixture;
}

void fixture_configure(struct fixture *fixture)
{
    fixture->topics[0] = (struct stream_topic){.name = "log", .partitions = PARTITIONS};
    fixture->topics[1] =
        (struct stream_topic){.name = "table", .partitions = PARTITIONS, .compact = true};
    fixture->topics[2] = (struct stream_topic){
        .name = "aged", .partitions = PARTITIONS, .retention_us = RETENTION_US};
    fixture->topics[3] = (struct stream_topic){.name = "posts",
                                               .partitions = PARTITIONS,
                                               .compact = true,
                                               .retention_us = 10 * RETENTION_US,
                                               .yields = true};
    fixture->topics[4] = (struct stream_topic){
        .name = "seen", .partitions = PARTITIONS, .compact = true, .by_prefix = true};
    fixture->config = (struct stream_config){.url = fixture->url,
                                             .size_bytes = 64 * 1024 * 1024,
                                             .compact_lag_us = LAG_US,
                                             .topics = fixture->topics,
                                             .topic_count = 5,
                                             .options = fixture->backend->options,
                                             .option_count = fixture->backend->option_count};
}

void fixture_free(struct fixture *fixture)
{
    stream_close(fixture->stream);
    fixture->backend->remove_log(fixture->folder);
    free(fixture);
}

void fixture_open(struct fixture *fixture)
{
    struct ear_error err = {0};

    if (stream_open(&fixture->stream, &fixture->config, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

void fixture_reopen(struct fixture *fixture)
{
    stream_close(fixture->stream);
    fixture->stream = NULL;
    fixture_open(fixture);
}

void publish_at(struct stream *stream, const char *topic, const char *key, const char *value,
                int64_t at_us)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    if (stream_begin(&transaction, stream, &err) != 0 ||
        stream_publish(transaction, topic, key, key == NULL ? 0 : strlen(key), value,
                       value == NULL ? 0 : strlen(value), at_us, &err) != 0 ||
        stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

void publish(struct stream *stream, const char *topic, const char *key, const char *value)
{
    publish_at(stream, topic, key, value, NOW_US);
}

void publish_many(struct fixture *f, const char *topic, int count, const char *value)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    for (int i = 0; i < count; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%d", i);
        if (!f->backend->real_time) {
            publish(f->stream, topic, key, value);
        } else if ((transaction == NULL && stream_begin(&transaction, f->stream, &err) != 0) ||
                   stream_publish(transaction, topic, key, strlen(key), value,
                                  value == NULL ? 0 : strlen(value), NOW_US, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
    if (transaction != NULL && stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

struct stream_reader *subscribe(struct stream *stream, const char *group, const char *topic)
{
    struct stream_reader *reader = NULL;
    struct ear_error err = {0};

    if (stream_subscribe(&reader, stream, group, &topic, 1, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return reader;
}

size_t read_all(struct stream_reader *reader,
                void (*seen)(void *user, const struct stream_message *message), void *user)
{
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    size_t count = 0;

    do {
        if (stream_read(reader, &batch, 100, 1 << 20, 0, &err) != 0) {
            fail_msg("%s", err.message);
        }
        for (size_t i = 0; i < batch.count && seen != NULL; i++) {
            seen(user, &batch.messages[i]);
        }
        count += batch.count;
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    return count;
}

size_t read_and_move(struct stream *stream, struct stream_reader *reader)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};
    size_t count = read_all(reader, NULL, NULL);

    if (stream_begin(&transaction, stream, &err) != 0 ||
        stream_move(transaction, reader, &err) != 0 || stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return count;
}

void keep_house(struct stream *stream, int64_t now_us)
{
    struct ear_error err = {0};
    bool more = false;

    do {
        if (stream_maintain(stream, test_times.real ? wall_us() : now_us, &more, &err) != 0) {
            fail_msg("%s", err.message);
        }
    } while (more);
}

size_t count_messages(struct stream *stream, const char *topic)
{
    struct stream_reader *reader = NULL;
    struct ear_error err = {0};
    size_t count;

    if (stream_follow(&reader, stream, topic, INT64_MIN, &err) != 0) {
        fail_msg("%s", err.message);
    }
    count = read_all(reader, NULL, NULL);
    stream_reader_close(reader);
    return count;
}

void assert_count(struct fixture *f, const char *topic, size_t expected)
{
    int64_t until_us = mono_us() + 30LL * SECOND_US;

    while (f->backend->real_time && count_messages(f->stream, topic) != expected &&
           mono_us() < until_us) {
        keep_house(f->stream, NOW_US);
        usleep(100 * 1000);
    }
    assert_int_equal(count_messages(f->stream, topic), expected);
}

void assert_latest(struct stream *stream, const char *topic, const char *key, const char *value)
{
    struct ear_error err = {0};
    char *found = NULL;
    size_t length = 0;
    int result = stream_lookup(stream, topic, key, strlen(key), &found, &length, &err);

    if (result < 0) {
        fail_msg("%s", err.message);
    }
    if (value == NULL) {
        if (result != 0) {
            fail_msg("'%s' has '%s' and should have nothing", key, found);
        }
        return;
    }
    if (result != 1) {
        fail_msg("'%s' has nothing and should have '%s'", key, value);
    }
    assert_string_equal(found, value);
    assert_int_equal(length, strlen(value));
    free(found);
}

int64_t mono_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}
