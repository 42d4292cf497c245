/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the local log costs. Three programs in one:
 *
 *   bench_stream [MESSAGES [ROUNDS [FOLDER]]]
 *       Appends and reads back messages of some 479 bytes, 1,000 a transaction, four partitions,
 *       and beside it, in the same rounds, a raw file: one write and one fdatasync for 1,000
 *       messages. Prints CPU time (user and system) per message of every round, the medians, and
 *       the ratio to the raw file. Wall time says little on a shared machine.
 *
 *   bench_stream soak SECONDS RETENTION_SECONDS [PER_SECOND [FOLDER]]
 *       Publishes to a topic that is compacted and ages out, moves a group along, keeps house once
 *       a second, and prints every ten seconds how big the file is: it must stop growing. Exit 1 if
 *       it grew by more than a tenth after its first third.
 *
 *   bench_stream tail SECONDS
 *       One process publishes 1,000 messages a second, five every 5 ms, another reads them: how
 *       long from publishing (before its sync) until the reader has it.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/stream/stream.h"

enum { PER_TRANSACTION = 1000, ROUNDS_MAX = 25, PARTITIONS = 4, TOPICS = 2 };

static const int64_t SECOND_US = 1000000;

enum { RAW_WRITE, RAW_READ, LOG_WRITE, LOG_READ, TABLE_WRITE, TABLE_READ, MEASURES };

static const char *const measure_names[MEASURES] = {
    "raw file: append, fdatasync", "raw file: read",          "stream: append", "stream: read",
    "stream: append, compacted",   "stream: read, compacted",
};

/* The messages: keys and values one after the other, made from a seed. */
struct messages {
    char *bytes;
    size_t *ends;    /* [count] */
    size_t *lengths; /* [count]: of the key */
    size_t count, used;
};

struct bench {
    const char *folder;
    struct messages messages;
    double us[MEASURES][ROUNDS_MAX];
    int rounds;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_stream: %s: %s\n", what, why);
    _exit(1);
}

static double cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int64_t wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

/* xorshift64*: the same messages in every run. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ULL;
}

/* 310 to 1,500 bytes, half of them below 479. */
static size_t draw_size(uint64_t *state)
{
    uint64_t random = next_random(state);
    size_t part = random >> 40 & 255;

    return (random & 1) != 0 ? 310 + part * 169 / 255 : 479 + part * part * part * 1021 / 16581375;
}

static void make_messages(struct messages *messages, size_t count)
{
    uint64_t state = 479;

    messages->bytes = malloc(count * 1600);
    messages->ends = calloc(count, sizeof *messages->ends);
    messages->lengths = calloc(count, sizeof *messages->lengths);
    messages->count = count;
    if (messages->bytes == NULL || messages->ends == NULL || messages->lengths == NULL) {
        die("messages", "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        char *at = messages->bytes + messages->used;
        size_t size = draw_size(&state);
        int key = snprintf(at, 64, "forum:forum.acme.example:%zu", i);

        messages->lengths[i] = (size_t)key;
        memset(at + key, 'a' + (int)(i % 26), size - (size_t)key);
        messages->used += size;
        messages->ends[i] = messages->used;
    }
}

static size_t begin_of(const struct messages *messages, size_t i)
{
    return i == 0 ? 0 : messages->ends[i - 1];
}

/* --- the raw file --- */

static void write_raw(const struct messages *messages, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

    if (file < 0) {
        die(path, "cannot be opened");
    }
    for (size_t i = 0; i < messages->count; i += PER_TRANSACTION) {
        size_t last = i + PER_TRANSACTION < messages->count ? i + PER_TRANSACTION : messages->count;
        size_t at = begin_of(messages, i);

        while (at < messages->ends[last - 1]) {
            ssize_t written = write(file, messages->bytes + at, messages->ends[last - 1] - at);

            if (written <= 0) {
                die(path, "cannot be written");
            }
            at += (size_t)written;
        }
        if (fdatasync(file) != 0) {
            die(path, "cannot be synced");
        }
    }
    close(file);
}

static void read_raw(const struct messages *messages, const char *path)
{
    static char buffer[512 * 1024];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t total = 0;
    ssize_t got;

    while ((got = read(file, buffer, sizeof buffer)) > 0) {
        total += (size_t)got;
    }
    close(file);
    if (total != messages->used) {
        die(path, "is not what was written");
    }
}

/* --- the stream --- */

static const struct stream_topic *topics_of(int64_t retention_us)
{
    static struct stream_topic topics[TOPICS];

    topics[0] = (struct stream_topic){.name = "log", .partitions = PARTITIONS};
    topics[1] = (struct stream_topic){.name = "posts",
                                      .partitions = PARTITIONS,
                                      .compact = true,
                                      .retention_us = retention_us,
                                      .yields = true};
    return topics;
}

static struct stream *open_stream(const char *folder, int64_t retention_us, int64_t size_bytes)
{
    char url[4200];
    struct stream_config config = {.url = url,
                                   .size_bytes = size_bytes,
                                   .compact_lag_us = (int64_t)24 * 3600 * SECOND_US,
                                   .topics = topics_of(retention_us),
                                   .topic_count = TOPICS};
    struct stream *stream = NULL;
    struct ear_error err = {0};

    snprintf(url, sizeof url, "local:%s/log", folder);
    if (stream_open(&stream, &config, &err) != 0) {
        die("open", err.message);
    }
    return stream;
}

static void remove_stream(const char *folder)
{
    static const char *const names[] = {"data.mdb", "data.mdb-lock", "members", ""};
    char path[4200];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/log/%s", folder, names[i]);
        remove(path);
    }
}

/* Publishes messages [first, last) in one transaction. */
static void publish(struct stream *stream, const struct messages *messages, const char *topic,
                    size_t first, size_t last, struct stream_reader *moved)
{
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};
    int64_t now_us = wall_us();

    if (stream_begin(&transaction, stream, &err) != 0) {
        die("begin", err.message);
    }
    for (size_t i = first; i < last; i++) {
        const char *key = messages->bytes + begin_of(messages, i);
        size_t size = messages->ends[i] - begin_of(messages, i);

        if (stream_publish(transaction, topic, key, messages->lengths[i],
                           key + messages->lengths[i], size - messages->lengths[i], now_us,
                           &err) != 0) {
            die("publish", err.message);
        }
    }
    if (moved != NULL && stream_move(transaction, moved, &err) != 0) {
        die("move", err.message);
    }
    if (stream_commit(transaction, &err) != 0) {
        die("commit", err.message);
    }
}

static void keep_house(struct stream *stream)
{
    struct ear_error err = {0};
    bool more = false;

    do {
        if (stream_maintain(stream, wall_us(), &more, &err) != 0) {
            die("maintain", err.message);
        }
    } while (more);
}

static void write_stream(struct stream *stream, const struct messages *messages, const char *topic)
{
    for (size_t i = 0; i < messages->count; i += PER_TRANSACTION) {
        size_t last = i + PER_TRANSACTION < messages->count ? i + PER_TRANSACTION : messages->count;

        publish(stream, messages, topic, i, last, NULL);
    }
    keep_house(stream);
}

static void read_stream(struct stream *stream, const struct messages *messages, const char *topic)
{
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    size_t total = 0;

    if (stream_follow(&reader, stream, topic, INT64_MIN, &err) != 0) {
        die("follow", err.message);
    }
    do {
        if (stream_read(reader, &batch, PER_TRANSACTION, 8 << 20, 0, &err) != 0) {
            die("read", err.message);
        }
        total += batch.bytes;
    } while (batch.count > 0);
    if (total != messages->used) {
        die(topic, "is not what was published");
    }
    stream_batch_clear(&batch);
    stream_reader_close(reader);
}

/* --- rounds --- */

static void note(struct bench *bench, int measure, int round, double since_us)
{
    bench->us[measure][round] = (cpu_us() - since_us) / (double)bench->messages.count;
}

static void run_round(struct bench *bench, int round)
{
    const struct messages *messages = &bench->messages;
    struct stream *stream;
    char raw[4200];
    double since;

    snprintf(raw, sizeof raw, "%s/raw", bench->folder);
    since = cpu_us();
    write_raw(messages, raw);
    note(bench, RAW_WRITE, round, since);
    since = cpu_us();
    read_raw(messages, raw);
    note(bench, RAW_READ, round, since);
    unlink(raw);

    stream = open_stream(bench->folder, 0, (int64_t)4 << 30);
    for (int topic = 0; topic < TOPICS; topic++) {
        const char *name = topic == 0 ? "log" : "posts";

        since = cpu_us();
        write_stream(stream, messages, name);
        note(bench, LOG_WRITE + 2 * topic, round, since);
        since = cpu_us();
        read_stream(stream, messages, name);
        note(bench, LOG_READ + 2 * topic, round, since);
    }
    stream_close(stream);
    remove_stream(bench->folder);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static void print_measure(const struct bench *bench, int measure)
{
    int raw = measure % 2; /* RAW_WRITE or RAW_READ */
    double values[ROUNDS_MAX];
    double ratios[ROUNDS_MAX];

    printf("%-30s", measure_names[measure]);
    for (int round = 0; round < bench->rounds; round++) {
        values[round] = bench->us[measure][round];
        ratios[round] = bench->us[measure][round] / bench->us[raw][round];
        printf(" %6.3f", values[round]);
    }
    qsort(values, (size_t)bench->rounds, sizeof values[0], compare);
    qsort(ratios, (size_t)bench->rounds, sizeof ratios[0], compare);
    printf("  median %6.3f us  %5.2f x raw\n", values[bench->rounds / 2],
           ratios[bench->rounds / 2]);
}

static int run_bench(size_t count, int rounds, const char *folder)
{
    struct bench bench = {.folder = folder, .rounds = rounds};

    make_messages(&bench.messages, count);
    printf("%zu messages, %.0f bytes on average, %d a transaction, CPU us per message:\n", count,
           (double)bench.messages.used / (double)count, PER_TRANSACTION);
    for (int round = 0; round < rounds; round++) {
        run_round(&bench, round);
    }
    for (int measure = 0; measure < MEASURES; measure++) {
        print_measure(&bench, measure);
    }
    free(bench.messages.bytes);
    free(bench.messages.ends);
    free(bench.messages.lengths);
    return 0;
}

/* --- soak --- */

static double file_mib(const char *folder)
{
    char path[4200];
    struct stat status;

    snprintf(path, sizeof path, "%s/log/data.mdb", folder);
    return stat(path, &status) == 0 ? (double)status.st_size / (1 << 20) : 0;
}

static int64_t left_in(struct stream *stream)
{
    struct stream_span span;
    struct ear_error err = {0};
    int64_t left = 0;

    for (int partition = 0; partition < PARTITIONS; partition++) {
        if (stream_span(stream, "posts", partition, &span, &err) != 0) {
            die("span", err.message);
        }
        left += span.end - span.earliest;
    }
    return left;
}

/* Reads what there is; the next transaction moves the group past it. */
static void drain(struct stream_reader *reader, struct stream_batch *batch)
{
    struct ear_error err = {0};

    do {
        if (stream_read(reader, batch, PER_TRANSACTION, 8 << 20, 0, &err) != 0) {
            die("read", err.message);
        }
    } while (batch->count == PER_TRANSACTION);
}

static int run_soak(int64_t seconds, int64_t retention_s, int64_t per_second, const char *folder)
{
    const char *const topic = "posts";
    struct stream *stream = open_stream(folder, retention_s * SECOND_US, (int64_t)8 << 30);
    struct messages messages = {0};
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    int64_t begun_us = wall_us();
    int64_t published = 0;
    int64_t housed_us = 0;
    int64_t printed_s = -10;
    double third_mib = 0;

    make_messages(&messages,
                  (size_t)200 * PER_TRANSACTION); /* each key comes again: superseded, too */
    if (stream_subscribe(&reader, stream, "bench", &topic, 1, NULL, &err) != 0) {
        die("subscribe", err.message);
    }
    printf("%8s %12s %12s %10s %10s\n", "seconds", "published", "kept", "file MiB", "full");
    for (int64_t now_us = begun_us; now_us - begun_us < seconds * SECOND_US; now_us = wall_us()) {
        int64_t passed_s = (now_us - begun_us) / SECOND_US;
        size_t first = (size_t)published % messages.count;

        if (published > (now_us - begun_us) / 1000 * per_second / 1000) {
            usleep(1000);
            continue;
        }
        drain(reader, &batch);
        publish(stream, &messages, topic, first, first + PER_TRANSACTION, reader);
        published += PER_TRANSACTION;
        if (now_us - housed_us >= SECOND_US) {
            keep_house(stream);
            housed_us = now_us;
        }
        if (passed_s >= printed_s + 10) {
            printed_s = passed_s;
            printf("%8lld %12lld %12lld %10.1f %10.3f\n", (long long)passed_s, (long long)published,
                   (long long)left_in(stream), file_mib(folder), stream_fullness(stream));
            fflush(stdout);
        }
        if (third_mib == 0 && passed_s >= seconds / 3) {
            third_mib = file_mib(folder);
        }
    }
    printf("CPU %.3f us a message; the file grew from %.1f to %.1f MiB after the first third\n",
           cpu_us() / (double)published, third_mib, file_mib(folder));
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    stream_close(stream);
    seconds = file_mib(folder) > third_mib * 1.1 ? 1 : 0;
    remove_stream(folder);
    free(messages.bytes);
    free(messages.ends);
    free(messages.lengths);
    return (int)seconds;
}

/* --- tail --- */

enum { TAIL_PER_BATCH = 5, TAIL_EVERY_US = 5000 };

static void publish_steadily(const char *folder, int64_t seconds)
{
    struct stream *stream = open_stream(folder, 0, (int64_t)1 << 30);
    struct messages messages = {0};
    int64_t count = seconds * SECOND_US / TAIL_EVERY_US;
    int64_t begun_us = wall_us();

    make_messages(&messages, (size_t)count * TAIL_PER_BATCH);
    for (int64_t i = 0; i < count; i++) {
        int64_t wait_us = begun_us + i * TAIL_EVERY_US - wall_us();

        if (wait_us > 0) {
            usleep((unsigned)wait_us);
        }
        publish(stream, &messages, "log", (size_t)i * TAIL_PER_BATCH,
                (size_t)(i + 1) * TAIL_PER_BATCH, NULL);
    }
    stream_close(stream);
    _exit(0);
}

static int run_tail(int64_t seconds, const char *folder)
{
    size_t count = (size_t)(seconds * SECOND_US / TAIL_EVERY_US) * TAIL_PER_BATCH;
    double *delays_us = calloc(count, sizeof *delays_us);
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    struct stream *stream;
    size_t seen = 0;

    if (delays_us == NULL) {
        die("delays", "out of memory");
    }
    if (fork() == 0) {
        publish_steadily(folder, seconds);
    }
    stream = open_stream(folder, 0, (int64_t)1 << 30);
    if (stream_follow(&reader, stream, "log", INT64_MIN, &err) != 0) {
        die("follow", err.message);
    }
    while (seen < count) {
        int64_t now_us;

        if (stream_read(reader, &batch, PER_TRANSACTION, 8 << 20, 10000, &err) != 0) {
            die("read", err.message);
        }
        now_us = wall_us();
        for (size_t i = 0; i < batch.count && seen < count; i++) {
            delays_us[seen++] = (double)(now_us - batch.messages[i].at_us);
        }
        if (batch.count == 0) {
            die("read", "nothing came for 10 s");
        }
    }
    wait(NULL);
    qsort(delays_us, count, sizeof *delays_us, compare);
    printf("%zu messages: p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", count,
           delays_us[count / 2] / 1000, delays_us[count * 99 / 100] / 1000,
           delays_us[count - 1] / 1000);
    free(delays_us);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    stream_close(stream);
    remove_stream(folder);
    return 0;
}

static long number(int argc, char **argv, int i, long fallback)
{
    long value = argc > i ? strtol(argv[i], NULL, 10) : fallback;

    if (value <= 0) {
        die(argv[i], "is no positive number");
    }
    return value;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/earshot-bench-XXXXXX";
    bool soak = argc > 1 && strcmp(argv[1], "soak") == 0;
    int folder_at = soak ? 5 : 3;
    const char *given = argc > folder_at ? argv[folder_at] : NULL;
    const char *where = given;
    int result;

    if (where == NULL) {
        where = mkdtemp(folder);
    }
    if (where == NULL) {
        die("/tmp", "no folder can be made there");
    }
    if (argc > 1 && strcmp(argv[1], "tail") == 0) {
        result = run_tail(number(argc, argv, 2, 10), where);
    } else if (soak) {
        result = run_soak(number(argc, argv, 2, 60), number(argc, argv, 3, 10),
                          number(argc, argv, 4, 20000), where);
    } else {
        long rounds = number(argc, argv, 2, 3);

        result = run_bench((size_t)number(argc, argv, 1, 1000000),
                           rounds < ROUNDS_MAX ? (int)rounds : ROUNDS_MAX, where);
    }
    if (given == NULL) {
        rmdir(where);
    }
    return result;
}
