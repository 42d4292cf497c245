/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What holds on Kafka alone: readers that share partitions out, processes that die or stop in the
 * middle of a transaction, what others see of the topics. Who dies or stops is a process of its
 * own: this program again, as `test_kafka child PART PREFIX`.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "common/metrics.h"
#include "tests/common/stream/fixture.h"

static char program[4096]; /* this one: not /proc/self/exe, which under valgrind is valgrind */

enum { COUNT = 40, ROUNDS = 200, ANSWER_MS = 10000 };

#define ABORT "abort-cleanly-" /* and of how many records */

/* A member that does not poll, or stands still, loses its partitions within seconds. */
static const struct stream_option hasty[] = {
    {"session.timeout.ms", "2000"},
    {"heartbeat.interval.ms", "200"},
    {"max.poll.interval.ms", "2500"},
    {"transaction.timeout.ms", "60000"},
};

static void must(int result, const struct ear_error *err)
{
    if (result != 0) {
        fail_msg("%s", err->message);
    }
}

static void reopen_as(struct fixture *f, const char *role, const char *instance)
{
    f->config.role = role;
    f->config.instance = instance;
    f->config.options = hasty;
    f->config.option_count = sizeof hasty / sizeof hasty[0];
    fixture_reopen(f);
}

/* Reads what is there now; returns how many came, or -1: fenced. */
static int read_some(struct stream_reader *reader, int timeout_ms)
{
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    int count = -1;

    if (stream_read(reader, &batch, 1000, 1 << 20, timeout_ms, &err) == 0) {
        count = (int)batch.count;
    } else if (err.kind != EAR_FENCED) {
        fail_msg("%s", err.message);
    }
    stream_batch_clear(&batch);
    return count;
}

/* What was read before a fence is void, and comes again. */
static size_t read_until(struct stream_reader *reader, size_t wanted)
{
    int64_t until_us = mono_us() + 60LL * SECOND_US;
    size_t count = 0;

    while (count < wanted && mono_us() < until_us) {
        int came = read_some(reader, 100);

        count = came < 0 ? 0 : count + (size_t)came;
    }
    return count;
}

/* One transaction: a message on `table`, and the reader's move. */
static int publish_and_move(struct stream *stream, struct stream_reader *reader, const char *key,
                            struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;

    must(stream_begin(&transaction, stream, err), err);
    must(stream_publish(transaction, "table", key, strlen(key), "v", 1, NOW_US, err), err);
    must(stream_move(transaction, reader, err), err);
    return stream_commit(transaction, err);
}

/* --- processes --- */

static pid_t start_child(const struct fixture *f, const char *part, const char *point,
                         const char *mark)
{
    pid_t pid = fork();

    if (pid != 0) {
        return pid;
    }
    if (point != NULL) {
        setenv("EARSHOT_KILL_POINT", point, 1);
    }
    if (mark != NULL) {
        setenv("EARSHOT_KILL_POINT_MARK", mark, 1);
    }
    execl(program, program, "child", part, f->folder, (char *)NULL);
    _exit(127);
}

static int end_of(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void await_mark(const char *mark)
{
    int64_t until_us = mono_us() + 60LL * SECOND_US;

    while (access(mark, F_OK) != 0) {
        assert_true(mono_us() < until_us);
        usleep(10 * 1000);
    }
}

/* Reads all of "log", publishes "child" and moves: ends with the kind of the commit's error. */
static int move_once(struct fixture *f)
{
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct ear_error err = {0};

    if (read_until(reader, COUNT) != COUNT) {
        return 100;
    }
    return publish_and_move(f->stream, reader, "child", &err) == 0 ? 0 : (int)err.kind;
}

/* Fails once (a test point says where), goes back, and does it again. */
static int move_again(struct fixture *f)
{
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    struct ear_error err = {0};
    char key[32];

    snprintf(key, sizeof key, "child-%ld", (long)getpid());
    if (read_until(reader, COUNT) != COUNT || publish_and_move(f->stream, reader, key, &err) == 0) {
        return 100;
    }
    if (stream_rewind(reader, &err) != 0 || read_until(reader, COUNT) != COUNT) {
        return 101;
    }
    if (publish_and_move(f->stream, reader, key, &err) != 0) {
        return 102;
    }
    stream_reader_close(reader);
    return 0;
}

/* Reads while others publish, from its first moment on: nothing is passed over. */
static int read_through(struct fixture *f)
{
    struct stream_reader *reader = subscribe(f->stream, "g", "log");
    const size_t count = read_until(reader, ROUNDS * COUNT);

    if (count != ROUNDS * COUNT) {
        fprintf(stderr, "%zu of %d messages came\n", count, ROUNDS * COUNT);
        return 100;
    }
    return 0;
}

static int commit_many(struct stream *stream, int count, struct ear_error *err)
{
    static const char value[1000] = "v";
    struct stream_transaction *transaction = NULL;
    char key[32];

    must(stream_begin(&transaction, stream, err), err);
    for (int i = 0; i < count; i++) {
        const size_t length = (size_t)snprintf(key, sizeof key, "many-%d", i);

        must(stream_publish(transaction, "table", key, length, value, sizeof value, NOW_US, err),
             err);
    }
    return stream_commit(transaction, err);
}

/* An abort that went well leaves the producer as it is, also when it comes while the first of many
 * records are on their way. */
static int abort_cleanly(struct fixture *f, int count)
{
    struct metrics *metrics = NULL;
    struct ear_error err = {0};
    char *text;
    int result = 0;

    must(metrics_new(&metrics, &err), &err);
    f->config.metrics = metrics;
    reopen_as(f, "test", "child-0");
    if (commit_many(f->stream, count, &err) == 0) {
        return 100;
    }
    text = metrics_text(metrics);
    if (strstr(text, "earshot_stream_queue_messages 0\n") == NULL) {
        return 101; /* aborted while records were on their way */
    }
    free(text);
    if (commit_many(f->stream, 1, &err) != 0) {
        return 102;
    }
    text = metrics_text(metrics);
    if (strstr(text, "earshot_stream_aborts_total 1\n") == NULL ||
        strstr(text, "earshot_stream_recycles_total 1") != NULL) {
        fprintf(stderr, "%s\n", text);
        result = 103;
    }
    return result;
}

static int run_child(const char *part, const char *prefix)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->backend = &kafka_backend;
    snprintf(f->folder, sizeof f->folder, "%s", prefix);
    snprintf(f->url, sizeof f->url, "kafka://%s/%s", getenv("EARSHOT_TEST_KAFKA"), prefix);
    fixture_configure(f);
    reopen_as(f, "test", "child-0");
    if (strcmp(part, "move-again") == 0) {
        return move_again(f);
    }
    if (strcmp(part, "read-through") == 0) {
        return read_through(f);
    }
    return strncmp(part, ABORT, strlen(ABORT)) == 0
               ? abort_cleanly(f, (int)strtol(part + strlen(ABORT), NULL, 10))
               : move_once(f);
}

/* --- readers of one group --- */

static void two_readers_share_the_partitions_out(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *readers[2] = {subscribe(f->stream, "g", "log"),
                                        subscribe(f->stream, "g", "log")};
    int64_t until_us = mono_us() + 60LL * SECOND_US;
    size_t counts[2] = {0};
    bool shared = false;

    while (!shared && mono_us() < until_us) {
        int held = 0;

        shared = true;
        for (int r = 0; r < 2; r++) {
            assert_true(read_some(readers[r], 50) <= 0);
        }
        for (int p = 0; p < PARTITIONS; p++) {
            held += stream_position(readers[0], "log", p) >= 0 ? 1 : 0;
            shared = shared && (stream_position(readers[0], "log", p) >= 0) !=
                                   (stream_position(readers[1], "log", p) >= 0);
        }
        shared = shared && held == PARTITIONS / 2;
    }
    assert_true(shared);
    publish_many(f, "log", COUNT, "v");
    for (int r = 0; r < 2; r++) {
        counts[r] = read_and_move(f->stream, readers[r]);
        assert_true(counts[r] > 0);
    }
    assert_int_equal(counts[0] + counts[1], COUNT);
    stream_reader_close(readers[1]); /* leaves: the other has all at once */
    publish_many(f, "log", COUNT, "v");
    assert_int_equal(read_until(readers[0], COUNT), COUNT);
    stream_reader_close(readers[0]);
}

static void a_reader_that_lost_its_partitions_is_fenced(void **state)
{
    struct fixture *f = *state;
    struct stream_batch batch = {0};
    struct stream_reader *one;
    struct stream_reader *two;
    struct ear_error err = {0};

    reopen_as(f, "test", "a-0");
    one = subscribe(f->stream, "g", "log");
    publish_many(f, "log", COUNT, "v");
    assert_int_equal(read_until(one, COUNT), COUNT);
    two = subscribe(f->stream, "g", "log"); /* one does not poll: it is put out of the group */
    assert_int_equal(read_until(two, COUNT), COUNT);
    must(publish_and_move(f->stream, two, "two", &err), &err);

    assert_int_equal(publish_and_move(f->stream, one, "one", &err), -1);
    assert_int_equal(err.kind, EAR_FENCED);
    assert_latest(f->stream, "table", "one", NULL);
    assert_latest(f->stream, "table", "two", "v");
    must(stream_rewind(one, &err), &err);
    assert_int_equal(stream_read(one, &batch, 10, 1000, 5000, &err), -1);
    assert_int_equal(err.kind, EAR_FENCED);
    stream_reader_close(two);
    publish_many(f, "log", COUNT, "v");
    assert_int_equal(read_until(one, COUNT), COUNT);
    must(publish_and_move(f->stream, one, "one", &err), &err);
    stream_batch_clear(&batch);
    stream_reader_close(one);
}

/* Nothing is published, but the group is moved by its consumer: the same fence. */
static void a_move_without_messages_is_fenced_too(void **state)
{
    struct fixture *f = *state;
    struct stream_transaction *transaction = NULL;
    struct stream_reader *one;
    struct stream_reader *two;
    struct ear_error err = {0};

    reopen_as(f, "test", "a-0");
    one = subscribe(f->stream, "g", "log");
    publish_many(f, "log", COUNT, "v");
    assert_int_equal(read_until(one, COUNT), COUNT);
    two = subscribe(f->stream, "g", "log");
    assert_int_equal(read_until(two, COUNT), COUNT);
    must(stream_begin(&transaction, f->stream, &err), &err);
    must(stream_move(transaction, one, &err), &err);
    assert_int_equal(stream_commit(transaction, &err), -1);
    assert_int_equal(err.kind, EAR_FENCED);
    must(stream_begin(&transaction, f->stream, &err), &err);
    must(stream_move(transaction, two, &err), &err);
    must(stream_commit(transaction, &err), &err);
    stream_reader_close(one);
    stream_reader_close(two);
}

/* Messages that come while a reader begins are spread over two queues of librdkafka: the earlier
 * ones wait in the main one, the later ones in their partitions' own. */
static void what_comes_while_a_reader_begins_is_read(void **state)
{
    struct fixture *f = *state;
    pid_t pid;

    publish_many(f, "log", COUNT, "v");
    pid = start_child(f, "read-through", "kafka.lanes-asked:1:pause=1,kafka.lanes-parted:1:pause=1",
                      NULL);
    for (int i = 1; i < ROUNDS; i++) {
        publish_many(f, "log", COUNT, "v");
        usleep(20 * 1000);
    }
    assert_int_equal(end_of(pid), 0);
}

/* --- who dies or stands still --- */

static void a_process_that_stood_still_commits_nothing(void **state)
{
    struct fixture *f = *state;
    char mark[] = "/tmp/earshot-mark-XXXXXX";
    struct stream_reader *reader;
    struct ear_error err = {0};
    pid_t pid;

    assert_true(mkstemp(mark) >= 0);
    assert_int_equal(unlink(mark), 0);
    reopen_as(f, "test", "parent-0");
    publish_many(f, "log", COUNT, "v");
    pid = start_child(f, "move", "kafka.flushed:1:pause=1", mark);
    await_mark(mark);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    reader = subscribe(f->stream, "g", "log");
    assert_int_equal(read_until(reader, COUNT), COUNT);
    must(publish_and_move(f->stream, reader, "parent", &err), &err);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(end_of(pid), EAR_FENCED);
    assert_latest(f->stream, "table", "child", NULL);
    assert_latest(f->stream, "table", "parent", "v");
    unlink(mark);
    stream_reader_close(reader);
}

/* Its transaction would stay open for a minute, and hide what comes after it. */
static void what_a_dead_process_left_open_its_successor_ends(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader;
    struct ear_error err = {0};
    int64_t began_us;

    publish_many(f, "log", COUNT, "v");
    assert_int_equal(end_of(start_child(f, "move", "kafka.before-commit", NULL)), -SIGKILL);
    began_us = mono_us();
    reopen_as(f, "test", "child-0");
    publish(f->stream, "table", "child", "successor");
    assert_latest(f->stream, "table", "child", "successor");
    reader = subscribe(f->stream, "g", "log");
    assert_int_equal(read_until(reader, COUNT), COUNT);
    must(publish_and_move(f->stream, reader, "more", &err), &err);
    assert_in_range(mono_us() - began_us, 0, 30LL * SECOND_US);
    assert_int_equal(count_messages(f->stream, "table"), 2);
    stream_reader_close(reader);
}

static void what_is_committed_stays_though_its_process_dies(void **state)
{
    struct fixture *f = *state;
    struct stream_reader *reader;

    publish_many(f, "log", COUNT, "v");
    assert_int_equal(end_of(start_child(f, "move", "kafka.committed", NULL)), -SIGKILL);
    reopen_as(f, "test", "child-0");
    assert_latest(f->stream, "table", "child", "v");
    reader = subscribe(f->stream, "g", "log");
    assert_int_equal(read_all(reader, NULL, NULL), 0);
    stream_reader_close(reader);
}

/* --- what fails on the way --- */

static void what_failed_is_read_again_and_published_once(void **state)
{
    static const char *const points[] = {"kafka.before-commit:1:eio", "kafka.produced:1:enospc",
                                         "kafka.produce:1:eio"};
    struct fixture *f = *state;

    publish_many(f, "log", COUNT, "v");
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct ear_error err = {0};

        assert_int_equal(end_of(start_child(f, "move-again", points[i], NULL)), 0);
        assert_int_equal(count_messages(f->stream, "table"), i + 1);
        assert_int_equal(stream_forget_group(f->stream, "g", &err), 1);
    }
}

/* However far the first record has come: not sent, its partition not in the transaction yet, sent.
 */
static void an_abort_leaves_no_doubt(void **state)
{
    static const char *const parts[] = {ABORT "1", ABORT "400", ABORT "20000"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_int_equal(end_of(start_child(f, parts[i], "kafka.produced:1:eio", NULL)), 0);
    }
}

static void an_instance_that_is_used_twice_is_named(void **state)
{
    struct fixture *f = *state;
    struct stream_transaction *transaction = NULL;
    struct stream *other = NULL;
    struct ear_error err = {0};

    reopen_as(f, "test", "same-0");
    publish(f->stream, "log", "a", "1");
    must(stream_open(&other, &f->config, &err), &err);
    publish(other, "log", "a", "2");
    must(stream_begin(&transaction, f->stream, &err), &err);
    must(stream_publish(transaction, "log", "a", 1, "3", 1, NOW_US, &err), &err);
    assert_int_equal(stream_commit(transaction, &err), -1);
    assert_int_equal(err.kind, EAR_FENCED);
    assert_non_null(strstr(err.message, "test.same-0"));
    assert_non_null(strstr(err.message, "stream.instance"));
    assert_int_equal(count_messages(other, "log"), 2);
    stream_close(other);
}

static void a_broker_that_does_not_answer_is_named(void **state)
{
    const struct stream_config config = {.url = "kafka://127.0.0.1:1/nobody"};
    struct stream *stream = NULL;
    struct ear_error err = {0};
    int64_t began_us = mono_us();

    (void)state;
    assert_int_equal(stream_open(&stream, &config, &err), -1);
    assert_int_equal(err.kind, EAR_RETRY);
    assert_non_null(strstr(err.message, "127.0.0.1:1"));
    assert_non_null(strstr(err.message, "refused"));
    assert_non_null(strstr(err.message, "stream.url"));
    assert_in_range(mono_us() - began_us, 0, 20LL * SECOND_US);
}

static void a_log_that_is_not_there_is_not_made_by_looking(void **state)
{
    struct fixture *f = *state;
    struct stream *stream = NULL;
    struct ear_error err = {0};
    char url[160];

    snprintf(url, sizeof url, "%s-none", f->url);
    f->config.url = url;
    f->config.read_only = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stream_open(&stream, &f->config, &err), -1);
        assert_int_equal(err.kind, EAR_RETRY);
    }
}

static void what_a_broker_refuses_comes_with_its_cure(void **state)
{
    static const struct {
        int replication;
        struct stream_security security;
        const char *cure;
    } cases[] = {
        {99, {0}, "stream.topics.replication"},
        {1, {.protocol = "SSL"}, "stream.security.protocol"},
        {1,
         {.protocol = "SASL_PLAINTEXT", .mechanism = "PLAIN", .user = "jo", .password = "hunter2"},
         "stream.security"},
    };
    struct fixture *f = *state;
    char url[160];

    snprintf(url, sizeof url, "%s-refused", f->url);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stream_config config = f->config;
        struct stream *stream = NULL;
        struct ear_error err = {0};

        config.url = url;
        config.replication = cases[i].replication;
        config.security = cases[i].security;
        assert_int_equal(stream_open(&stream, &config, &err), -1);
        if (strstr(err.message, cases[i].cure) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].cure);
        }
        assert_null(strstr(err.message, "hunter2"));
    }
}

static void settings_of_librdkafka_are_checked_by_name(void **state)
{
    static const struct {
        struct stream_option option;
        const char *said;
    } cases[] = {
        {{"linger.msec", "5"}, "linger.msec"},
        {{"linger.ms", "soon"}, "Invalid value"},
        {{"isolation.level", "read_uncommitted"}, "not passed through"},
        {{"transactional.id", "mine"}, "stream.instance"},
        {{"plugin.library.paths", "/tmp/x.so"}, "no code"},
    };
    const struct stream_option good = {"linger.ms", "50"};
    struct ear_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(stream_check_option(&cases[i].option, &err), -1);
        assert_int_equal(err.kind, EAR_CONFIG);
        if (strstr(err.message, cases[i].said) == NULL) {
            fail_msg("%s", err.message);
        }
    }
    assert_int_equal(stream_check_option(&good, &err), 0);
}

static void scram_is_warned_of_where_librdkafka_cannot(void **state)
{
    const bool mended = rd_kafka_version() >= 0x020601ff;
    struct ear_error err = {0};

    (void)state;
    assert_int_equal(stream_check_mechanism("PLAIN", &err), 0);
    assert_int_equal(stream_check_mechanism("SCRAM-SHA-256", &err), mended ? 0 : -1);
    assert_int_equal(stream_check_mechanism("SCRAM-SHA-512", &err), mended ? 0 : -1);
    if (!mended) {
        assert_int_equal(err.kind, EAR_CONFIG);
        assert_non_null(strstr(err.message, rd_kafka_version_str()));
        assert_non_null(strstr(err.message, "PLAIN over SASL_SSL"));
    }
}

/* --- what others see --- */

static rd_kafka_t *other_client(rd_kafka_type_t type)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];

    assert_int_equal(
        rd_kafka_conf_set(conf, "bootstrap.servers", getenv("EARSHOT_TEST_KAFKA"), why, sizeof why),
        0);
    assert_int_equal(rd_kafka_conf_set(conf, "group.id", "others", why, sizeof why), 0);
    return rd_kafka_new(type, conf, why, sizeof why);
}

/* The first message of a topic's partition 0, read as a stranger would. */
static rd_kafka_message_t *first_message(rd_kafka_t *client, const char *full)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_message_t *message = NULL;

    rd_kafka_topic_partition_list_add(list, full, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(client, list), 0);
    while (message == NULL) {
        message = rd_kafka_consumer_poll(client, ANSWER_MS);
        assert_non_null(message);
        assert_int_equal(message->err, 0);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return message;
}

static void assert_header(const rd_kafka_message_t *message, const char *name, const char *value)
{
    rd_kafka_headers_t *headers = NULL;
    const void *found = NULL;
    size_t size = 0;

    assert_int_equal(rd_kafka_message_headers(message, &headers), 0);
    assert_int_equal(rd_kafka_header_get_last(headers, name, &found, &size), 0);
    if (value != NULL) {
        assert_int_equal(size, strlen(value));
        assert_memory_equal(found, value, size);
    }
}

static void messages_carry_the_headers_of_cloudevents(void **state)
{
    struct fixture *f = *state;
    rd_kafka_t *client = other_client(RD_KAFKA_CONSUMER);
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_message_t *message;
    char full[160];
    char source[160];

    f->topics[0].event = "post";
    f->topics[0].partitions = PARTITIONS;
    reopen_as(f, "collect", "h-0");
    for (int i = 0; i < PARTITIONS; i++) { /* by turns: one in each */
        publish(f->stream, "log", NULL, "{\"id\":1}");
    }
    publish_many(f, "table", COUNT, "{}");
    snprintf(full, sizeof full, "%s.log", f->folder);
    snprintf(source, sizeof source, "/%s/collect", f->folder);
    message = first_message(client, full);
    assert_memory_equal(message->payload, "{\"id\":1}", 8);
    assert_header(message, "ce_specversion", "1.0");
    assert_header(message, "ce_type", "earshot.post.v1");
    assert_header(message, "ce_source", source);
    assert_header(message, "ce_id", NULL);
    assert_header(message, "ce_time", NULL);
    assert_header(message, "content-type", "application/json");
    rd_kafka_message_destroy(message);
    snprintf(full, sizeof full, "%s.table", f->folder);
    message = first_message(client, full);
    assert_int_not_equal(rd_kafka_message_headers(message, &headers), 0);
    rd_kafka_message_destroy(message);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
}

/* Whether a topic's setting has this value now. */
static bool has_policy(rd_kafka_t *client, const char *full, const char *name, const char *value)
{
    rd_kafka_ConfigResource_t *asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, full);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    const rd_kafka_ConfigResource_t **found;
    const rd_kafka_ConfigEntry_t **entries;
    rd_kafka_event_t *event;
    bool result = false;
    size_t count = 0;

    rd_kafka_DescribeConfigs(client, &asked, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, ANSWER_MS);
    assert_non_null(event);
    found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event),
                                                      &count);
    assert_int_equal(count, 1);
    entries = rd_kafka_ConfigResource_configs(found[0], &count);
    for (size_t i = 0; i < count; i++) {
        const char *said = rd_kafka_ConfigEntry_value(entries[i]);

        result = result || (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0 &&
                            said != NULL && strcmp(said, value) == 0);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(asked);
    rd_kafka_queue_destroy(queue);
    return result;
}

/* A broker learns of a change a moment after it was made. */
static void assert_policy(rd_kafka_t *client, const char *full, const char *name, const char *value)
{
    int64_t until_us = mono_us() + 10LL * SECOND_US;

    while (!has_policy(client, full, name, value)) {
        if (mono_us() > until_us) {
            fail_msg("%s: %s is not %s", full, name, value);
        }
        usleep(20 * 1000);
    }
}

static void set_policy(rd_kafka_t *client, const char *full, const char *name, const char *value)
{
    rd_kafka_ConfigResource_t *wanted = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, full);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_event_t *event;

    rd_kafka_ConfigResource_set_config(wanted, name, value);
    rd_kafka_AlterConfigs(client, &wanted, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, ANSWER_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(wanted);
    rd_kafka_queue_destroy(queue);
}

static void policies_are_brought_up_to_date_and_others_are_kept(void **state)
{
    struct fixture *f = *state;
    rd_kafka_t *client = other_client(RD_KAFKA_CONSUMER);
    char full[160];

    snprintf(full, sizeof full, "%s.posts", f->folder);
    assert_policy(client, full, "cleanup.policy", "compact,delete");
    assert_policy(client, full, "retention.ms", "60000");
    assert_policy(client, full, "max.compaction.lag.ms", "1000");
    assert_policy(client, full, "message.timestamp.type", "CreateTime");
    set_policy(client, full, "flush.ms", "12345"); /* replaces all that was set */
    assert_policy(client, full, "flush.ms", "12345");
    f->topics[3].retention_us = 7200LL * SECOND_US;
    fixture_reopen(f);
    assert_policy(client, full, "cleanup.policy", "compact,delete");
    assert_policy(client, full, "retention.ms", "7200000");
    assert_policy(client, full, "flush.ms", "12345");
    rd_kafka_destroy(client);
}

/* --- all of it --- */

static int make(void **state)
{
    *state = fixture_new(&kafka_backend);
    return 0;
}

static int drop(void **state)
{
    fixture_free(*state);
    return 0;
}

int main(int argc, char *argv[])
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(two_readers_share_the_partitions_out),
        TEST(a_reader_that_lost_its_partitions_is_fenced),
        TEST(a_move_without_messages_is_fenced_too),
        TEST(what_comes_while_a_reader_begins_is_read),
        TEST(a_process_that_stood_still_commits_nothing),
        TEST(what_a_dead_process_left_open_its_successor_ends),
        TEST(what_is_committed_stays_though_its_process_dies),
        TEST(what_failed_is_read_again_and_published_once),
        TEST(an_abort_leaves_no_doubt),
        TEST(an_instance_that_is_used_twice_is_named),
        cmocka_unit_test(a_broker_that_does_not_answer_is_named),
        TEST(a_log_that_is_not_there_is_not_made_by_looking),
        TEST(what_a_broker_refuses_comes_with_its_cure),
        cmocka_unit_test(settings_of_librdkafka_are_checked_by_name),
        cmocka_unit_test(scram_is_warned_of_where_librdkafka_cannot),
        TEST(messages_carry_the_headers_of_cloudevents),
        TEST(policies_are_brought_up_to_date_and_others_are_kept),
    };

    if (realpath(argv[0], program) == NULL) {
        return 1;
    }
    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    const char *missing = kafka_backend.missing();

    if (missing != NULL) {
        printf("skipped: kafka: %s\n", missing);
        return getenv("CI") == NULL ? 77 : 1;
    }
    if (argc == 4 && strcmp(argv[1], "child") == 0) {
        _exit(run_child(argv[2], argv[3])); /* as abruptly as it may */
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
