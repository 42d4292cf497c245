/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables on Kafka beyond what every back end promises: the map that holds them, values that stay in
 * the log, what others write, and what goes from the broker's own files.
 */

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/stream/kafka_entries.h"
#include "tests/common/stream/fixture.h"

enum { LARGE_KEYS = 44, LARGE_BYTES = 900 * 1024, SKIPPED = 77 };

static const int64_t MINUTE_US = INT64_C(60000000);

static int64_t wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

static void pause_ms(int ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&pause, NULL);
}

/* --- the map --- */

enum { MAP_KEYS = 500, MAP_STEPS = 200000 };

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void check_key(const struct kafka_entries *entries, int key, const int expected[])
{
    char name[16];
    char value[16];
    const size_t length = (size_t)snprintf(name, sizeof name, "key-%d", key);
    const struct kafka_entry *entry = kafka_entries_find(entries, name, length);

    if (expected[key] == 0) {
        assert_null(entry);
        return;
    }
    snprintf(value, sizeof value, "%d", expected[key]);
    assert_non_null(entry);
    assert_string_equal(entry->bytes, name);
    assert_string_equal(kafka_entry_value(entry), value);
}

static void a_map_holds_what_was_put_last(void **state)
{
    struct kafka_entries entries = {.budget = SIZE_MAX};
    int expected[MAP_KEYS] = {0};
    uint32_t seed = 42;
    size_t count = 0;

    (void)state;
    for (int step = 1; step <= MAP_STEPS; step++) {
        const int key = (int)(next_random(&seed) % MAP_KEYS);
        const bool ends = next_random(&seed) % 3 == 0;
        char name[16];
        char value[16];
        struct stream_message message = {
            .offset = step,
            .key = name,
            .key_length = (size_t)snprintf(name, sizeof name, "key-%d", key),
            .value = ends ? NULL : value,
            .value_length = (size_t)snprintf(value, sizeof value, "%d", step)};

        message.value_length = ends ? 0 : message.value_length;
        assert_int_equal(kafka_entries_put(&entries, &message), 0);
        expected[key] = ends ? 0 : step;
        check_key(&entries, key, expected);
        if (!ends) { /* an older one changes nothing */
            message.offset = step - 1;
            message.value = "older";
            message.value_length = 5;
            assert_int_equal(kafka_entries_put(&entries, &message), 0);
            check_key(&entries, key, expected);
        }
    }
    for (int key = 0; key < MAP_KEYS; key++) {
        check_key(&entries, key, expected);
        count += expected[key] != 0;
    }
    assert_int_equal(entries.count, count);
    assert_true(entries.capacity <= 1024);
    kafka_entries_clear(&entries);
    assert_int_equal(entries.bytes, 0);
}

enum { VALUE_BYTES = 1024, BUDGET_BYTES = 100 * VALUE_BYTES };

static void a_map_keeps_its_budget(void **state)
{
    struct kafka_entries entries = {.budget = BUDGET_BYTES};
    char *value = calloc(1, VALUE_BYTES);
    size_t placed = 0;

    (void)state;
    assert_non_null(value);
    for (int i = 0; i < 500; i++) {
        char name[16];
        struct stream_message message = {.offset = i,
                                         .key = name,
                                         .key_length =
                                             (size_t)snprintf(name, sizeof name, "key-%d", i),
                                         .value = value,
                                         .value_length = 1024};

        assert_int_equal(kafka_entries_put(&entries, &message), 0);
        placed += kafka_entries_find(&entries, name, message.key_length)->placed;
    }
    assert_in_range(placed, 400, 420);
    assert_in_range(entries.bytes, 80 * 1024, 150 * 1024);
    kafka_entries_clear(&entries);
    free(value);
}

/* --- values that stay in the log --- */

static void large_key(char out[16], int number)
{
    snprintf(out, 16, "k%d", number);
}

/* Each value says whose it is, at both ends. */
static void fill_value(char *value, int number, char mark)
{
    char name[8];

    snprintf(name, sizeof name, "%04d", number);
    memset(value, mark, LARGE_BYTES);
    value[LARGE_BYTES] = '\0';
    memcpy(value, name, 4);
    memcpy(value + LARGE_BYTES - 4, name, 4);
}

struct large {
    int visits[LARGE_KEYS];
    char mark[LARGE_KEYS];
};

static bool see_large(void *user, const struct stream_message *message)
{
    struct large *large = user;
    const long key = strtol(message->key + 1, NULL, 10);
    char name[8];

    assert_in_range(key, 0, LARGE_KEYS - 1);
    assert_int_equal(message->value_length, LARGE_BYTES);
    snprintf(name, sizeof name, "%04ld", key);
    assert_memory_equal(message->value, name, 4);
    assert_memory_equal(message->value + LARGE_BYTES - 4, name, 4);
    large->visits[key]++;
    large->mark[key] = message->value[100];
    return true;
}

static void look_up_large(struct fixture *f, int number, char mark)
{
    struct ear_error err = {0};
    struct large large = {0};
    char key[16];
    char *value = NULL;
    size_t length = 0;

    large_key(key, number);
    if (stream_lookup(f->stream, "single", key, strlen(key), &value, &length, &err) != 1) {
        fail_msg("%s: %s", key, err.message);
    }
    see_large(&large, &(struct stream_message){.key = key, .value = value, .value_length = length});
    assert_int_equal(large.mark[number], mark);
    free(value);
}

static void values_beyond_the_budget_are_read_from_the_log(void **state)
{
    struct fixture *f = *state;
    struct large large = {.visits = {0}};
    struct ear_error err = {0};
    char *value = malloc(LARGE_BYTES + 1);
    char key[16];

    assert_non_null(value);
    stream_close(f->stream);
    f->topics[1] = (struct stream_topic){.name = "single", .partitions = 1, .compact = true};
    f->config.compact_lag_us = 3600LL * SECOND_US;
    fixture_open(f);
    for (int i = 0; i < LARGE_KEYS; i++) { /* about 40 MiB in one partition */
        large_key(key, i);
        fill_value(value, i, 'a');
        publish_at(f->stream, "single", key, value, wall_us());
    }
    for (int i = 0; i < LARGE_KEYS; i += 5) {
        look_up_large(f, i, 'a');
    }
    large_key(key, LARGE_KEYS - 1); /* one of those whose value is not in memory */
    fill_value(value, LARGE_KEYS - 1, 'b');
    publish_at(f->stream, "single", key, value, wall_us());
    publish_at(f->stream, "single", "k40", NULL, wall_us());
    look_up_large(f, LARGE_KEYS - 1, 'b');
    assert_latest(f->stream, "single", "k40", NULL);
    if (stream_each_latest(f->stream, "single", see_large, &large, &err) != 0) {
        fail_msg("%s", err.message);
    }
    for (int i = 0; i < LARGE_KEYS; i++) {
        assert_int_equal(large.visits[i], i == 40 ? 0 : 1);
        assert_int_equal(large.mark[i], i == 40 ? 0 : i == LARGE_KEYS - 1 ? 'b' : 'a');
    }
    free(value);
}

/* --- shares --- */

static void tables_that_are_shared_have_as_many_partitions(void **state)
{
    struct fixture *f = *state;
    static const char *const tables[] = {"table", "single"};
    static const char *const uncompacted[] = {"log"};
    struct stream_share *share = NULL;
    struct ear_error err = {0};

    stream_close(f->stream);
    f->topics[4] = (struct stream_topic){.name = "single", .partitions = 1, .compact = true};
    fixture_open(f);
    assert_int_equal(stream_share_open(&share, f->stream, "c", tables, 2, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_non_null(strstr(err.message, "single has 1"));
    assert_int_equal(stream_share_open(&share, f->stream, "c", uncompacted, 1, &err), -1);
    assert_int_equal(err.kind, EAR_CONFIG);
    assert_null(share);
}

enum { LOOKERS = 4, ROUNDS = 30, THREAD_KEYS = 8 };

struct looker {
    struct stream *stream;
    atomic_bool *ended;
    const char *topic;
    long looks;
    char why[512];
};

/* What is looked up never goes back, whoever answers. */
static void *look_on(void *user)
{
    struct looker *looker = user;
    long last[THREAD_KEYS] = {0};

    while (!atomic_load(looker->ended) && looker->why[0] == '\0') {
        const int number = (int)(looker->looks++ % THREAD_KEYS);
        struct ear_error err = {0};
        char key[16];
        char *value = NULL;
        size_t length = 0;
        const int found =
            stream_lookup(looker->stream, looker->topic, key,
                          (size_t)snprintf(key, sizeof key, "k%d", number), &value, &length, &err);
        const long now = found == 1 ? strtol(value, NULL, 10) : 0;

        free(value);
        if (found < 0 || now < last[number]) {
            snprintf(looker->why, sizeof looker->why, "%s: %s was %ld, is %ld: %.300s",
                     looker->topic, key, last[number], now, err.message);
        }
        last[number] = now;
    }
    return NULL;
}

static void write_share_round(struct fixture *f, struct stream_share *share, int round)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};
    bool changed = false;
    char value[16];
    const size_t length = (size_t)snprintf(value, sizeof value, "%d", round);

    assert_int_equal(stream_share_turn(share, 0, &changed, &err), 0);
    assert_int_equal(stream_begin(&transaction, f->stream, &err), 0);
    for (int i = 0; i < THREAD_KEYS; i++) {
        char key[16];
        const size_t key_length = (size_t)snprintf(key, sizeof key, "k%d", i);

        assert_int_equal(
            stream_publish(transaction, "table", key, key_length, value, length, wall_us(), &err),
            0);
        assert_int_equal(
            stream_publish(transaction, "posts", key, key_length, value, length, wall_us(), &err),
            0);
    }
    assert_int_equal(stream_share_guard(transaction, share, &err), 0);
    if (stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void threads_look_up_what_an_owner_writes(void **state)
{
    struct fixture *f = *state;
    static const char *const tables[] = {"table"};
    struct stream_share *share = NULL;
    struct ear_error err = {0};
    struct looker lookers[LOOKERS];
    pthread_t threads[LOOKERS];
    atomic_bool ended = false;
    bool changed = false;

    stream_close(f->stream); /* what is written now has to stay for the time of the test */
    f->config.compact_lag_us = 3600LL * SECOND_US;
    f->topics[3].retention_us = 0;
    fixture_open(f);
    assert_int_equal(stream_share_open(&share, f->stream, "c", tables, 1, &err), 0);
    for (int i = 0; i < LOOKERS; i++) {
        lookers[i] = (struct looker){
            .stream = f->stream, .ended = &ended, .topic = i % 2 == 0 ? "table" : "posts"};
        assert_int_equal(pthread_create(&threads[i], NULL, look_on, &lookers[i]), 0);
    }
    while (stream_share_settling(share)) {
        assert_int_equal(stream_share_turn(share, 50, &changed, &err), 0);
    }
    for (int round = 1; round <= ROUNDS; round++) {
        write_share_round(f, share, round);
    }
    assert_latest(f->stream, "table", "k3", "30");
    assert_latest(f->stream, "posts", "k3", "30");
    atomic_store(&ended, true);
    for (int i = 0; i < LOOKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_string_equal(lookers[i].why, "");
        assert_true(lookers[i].looks > 0);
    }
    stream_share_close(share);
}

/* --- what others write --- */

/* A writer that is not ours: kcat, without transactions. value NULL: a tombstone. */
static bool write_by_kcat(struct fixture *f, const char *topic, const char *key, const char *value)
{
    const char *brokers = f->url + strlen("kafka://");
    char full[160];
    char list[128];
    char line[256];
    int feed[2];
    int status = 0;
    pid_t child;
    int partition = 0;

    snprintf(list, sizeof list, "%.*s", (int)strcspn(brokers, "/"), brokers);
    snprintf(full, sizeof full, "%s.%s", strchr(brokers, '/') + 1, topic);
    assert_int_equal(pipe(feed), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char number[8];

        snprintf(number, sizeof number, "%d", partition);
        dup2(feed[0], STDIN_FILENO);
        close(feed[1]);
        execlp("kcat", "kcat", "-P", "-b", list, "-t", full, "-p", number, "-K", "=", "-Z",
               (char *)NULL);
        _exit(127);
    }
    close(feed[0]);
    status = snprintf(line, sizeof line, "%s=%s\n", key, value == NULL ? "" : value);
    assert_int_equal(write(feed[1], line, (size_t)status), status);
    close(feed[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void what_others_write_is_seen_even_when_its_tombstone_is_gone(void **state)
{
    struct fixture *f = *state;
    int64_t until_us;

    stream_close(f->stream);
    f->topics[1] = (struct stream_topic){.name = "single", .partitions = 1, .compact = true};
    fixture_open(f);
    publish_at(f->stream, "single", "a", "1", wall_us());
    publish_at(f->stream, "single", "b", "1", wall_us());
    assert_latest(f->stream, "single", "a", "1");
    if (!write_by_kcat(f, "single", "a", "2")) {
        assert_null(getenv("CI")); /* NOLINT(concurrency-mt-unsafe) */
        print_message("skipped: no kcat\n");
        skip();
    }
    pause_ms(600);
    assert_latest(f->stream, "single", "a", "2");
    assert_true(write_by_kcat(f, "single", "a", NULL));
    until_us = mono_us() + 30LL * SECOND_US;
    while (count_messages(f->stream, "single") > 1) { /* until the tombstone itself is gone */
        assert_true(mono_us() < until_us);
        keep_house(f->stream, wall_us());
        pause_ms(100);
    }
    assert_latest(f->stream, "single", "a", NULL);
    assert_latest(f->stream, "single", "b", "1");
}

/* --- the broker's files --- */

static bool file_has(const char *path, const char *word)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t size = 0;
    bool found = false;

    if (file == NULL) {
        return false; /* cleaned meanwhile */
    }
    bytes = malloc(1 << 20);
    assert_non_null(bytes);
    size = fread(bytes, 1, 1 << 20, file);
    found = memmem(bytes, size, word, strlen(word)) != NULL;
    free(bytes);
    fclose(file);
    return found;
}

/* How many files of the topic's partitions hold the word. */
static int files_with(const struct fixture *f, const char *data, const char *topic,
                      const char *word)
{
    int count = 0;

    for (int partition = 0; partition < PARTITIONS; partition++) {
        char folder[512];
        DIR *dir;

        snprintf(folder, sizeof folder, "%s/%s.%s-%d", data, f->folder, topic, partition);
        dir = opendir(folder);
        assert_non_null(dir);
        for (struct dirent *entry = readdir(dir); entry != NULL; /* NOLINT(concurrency-mt-unsafe) */
             entry = readdir(dir)) {                             /* NOLINT(concurrency-mt-unsafe) */
            char path[1024];

            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            count += file_has(path, word);
        }
        closedir(dir);
    }
    return count;
}

/* In one transaction, so that all of it lies in one segment of its partition. */
static void write_history(struct stream *stream)
{
    static const char *const history[][2] = {{"deleted", "zeppelins"},
                                             {"edited", "quokkas"},
                                             {"kept", "xylophones"},
                                             {"deleted", NULL},
                                             {"edited", "wombats"}};
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    assert_int_equal(stream_begin(&transaction, stream, &err), 0);
    for (size_t i = 0; i < sizeof history / sizeof history[0]; i++) {
        const char *value = history[i][1];

        assert_int_equal(stream_publish(transaction, "table", history[i][0], strlen(history[i][0]),
                                        value, value == NULL ? 0 : strlen(value), wall_us(), &err),
                         0);
    }
    if (stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

/* As a process would that looks at an instant; it has never looked before. */
static void keep_house_at(struct fixture *f, int64_t now_us)
{
    struct ear_error err = {0};
    bool more = false;

    fixture_reopen(f);
    if (stream_maintain(f->stream, now_us, &more, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static int64_t sum_of_ends(struct fixture *f)
{
    struct ear_error err = {0};
    int64_t sum = 0;

    for (int partition = 0; partition < PARTITIONS; partition++) {
        struct stream_span span = {0};

        assert_int_equal(stream_span(f->stream, "table", partition, &span, &err), 0);
        sum += span.end;
    }
    return sum;
}

/* Instants ahead of the broker's clock stand for the time that passes; segments last 5 minutes. */
static void what_is_deleted_leaves_the_files_of_an_idle_partition(void **state)
{
    struct fixture *f = *state;
    const char *data = getenv("EARSHOT_TEST_KAFKA_DATA"); /* NOLINT(concurrency-mt-unsafe) */
    const int64_t begun_us = wall_us();
    int64_t until_us;
    int64_t end;

    if (data == NULL) {
        print_message("skipped: EARSHOT_TEST_KAFKA_DATA does not say where the segments lie\n");
        skip();
    }
    f->config.compact_lag_us = 10 * MINUTE_US;
    fixture_reopen(f);
    write_history(f->stream);
    end = sum_of_ends(f);
    keep_house_at(f, begun_us + 4 * MINUTE_US); /* not idle long enough */
    pause_ms(2000);
    assert_int_equal(sum_of_ends(f), end);
    assert_true(files_with(f, data, "table", "zeppelins") > 0);
    assert_true(files_with(f, data, "table", "quokkas") > 0);

    keep_house_at(f, begun_us + 7 * MINUTE_US);
    until_us = mono_us() + 60LL * SECOND_US;
    while (files_with(f, data, "table", "zeppelins") + files_with(f, data, "table", "quokkas") >
           0) {
        assert_true(mono_us() < until_us);
        pause_ms(50);
    }
    assert_true(files_with(f, data, "table", "xylophones") > 0);
    assert_true(files_with(f, data, "table", "wombats") > 0);
    assert_latest(f->stream, "table", "kept", "xylophones");
    assert_latest(f->stream, "table", "edited", "wombats");
    assert_latest(f->stream, "table", "deleted", NULL);
    assert_int_equal(count_messages(f->stream, "table"), 3);

    end = sum_of_ends(f);
    keep_house_at(f, begun_us + 14 * MINUTE_US); /* closed: nothing to do */
    assert_int_equal(sum_of_ends(f), end);
    keep_house_at(f, begun_us + 29 * MINUTE_US); /* once more, for the tombstone's sake */
    assert_true(sum_of_ends(f) > end);
    end = sum_of_ends(f);
    keep_house_at(f, begun_us + 55 * MINUTE_US); /* at rest */
    assert_int_equal(sum_of_ends(f), end);
    publish_at(f->stream, "table", "kept", "yaks", begun_us);
    end = sum_of_ends(f);
    keep_house_at(f, begun_us + 55 * MINUTE_US); /* and from the start */
    assert_true(sum_of_ends(f) > end);
}

/* --- the frame --- */

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

#define PROMISE(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(int argc, char **argv)
{
    const struct CMUnitTest maps[] = {
        cmocka_unit_test(a_map_holds_what_was_put_last),
        cmocka_unit_test(a_map_keeps_its_budget),
    };

    cmocka_set_test_filter(getenv("EARSHOT_TEST_ONLY")); /* tests/faults */
    const struct CMUnitTest tables[] = {
        PROMISE(values_beyond_the_budget_are_read_from_the_log),
        PROMISE(tables_that_are_shared_have_as_many_partitions),
        PROMISE(threads_look_up_what_an_owner_writes),
        PROMISE(what_others_write_is_seen_even_when_its_tombstone_is_gone),
        PROMISE(what_is_deleted_leaves_the_files_of_an_idle_partition),
    };
    const char *missing = kafka_backend.missing();
    int failed;

    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    failed = cmocka_run_group_tests(maps, NULL, NULL);
    if (missing != NULL) {
        const bool ci = getenv("CI") != NULL; /* NOLINT(concurrency-mt-unsafe) */

        print_message("skipped: Kafka: %s\n", missing);
        return failed != 0 || ci ? 1 : SKIPPED;
    }
    return failed + cmocka_run_group_tests(tables, NULL, NULL);
}
