/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the stages cost: bench_process [POSTS [TEXTS [FOLDER [STAGES [LANG]]]]]
 *
 * Publishes POSTS posts (200,000) to a local log, their texts from the lines of TEXTS (one to four
 * of them each, as people post; lines that are objects are taken for whole posts), then carries
 * them through chains that grow by a stage, normalise first, all five last, each a group of its
 * own, batches of 1,000, insights back into the log, positions in the same transactions. Prints CPU
 * time (user and system) per post of each chain, what its last stage added, and posts per second of
 * one core. With STAGES (0 to 5) only the chain of so many is run, none at all for 0: for
 * profilers. With LANG posts say their language, as those of most platforms do, and CLD2 is not
 * asked. Wall time says little on a shared machine.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json/json.h"
#include "common/message/message.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"
#include "common/text/text.h"
#include "processors/chain/chain.h"
#include "processors/runner/runner.h"

enum { TEXTS_MAX = 100000, POST_MAX = 64 * 1024, PER_TRANSACTION = 1000 };

static const char *const stages[] = {"normalise", "language", "classify", "signals", "brands"};
enum { STAGES = sizeof stages / sizeof *stages };

struct texts {
    char **lines; /* [count] */
    size_t count;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_process: %s\n", what);
    exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void check(int result, const struct ear_error *err)
{
    if (result != 0) {
        die(err->message);
    }
}

static double cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void read_texts(struct texts *texts, const char *path)
{
    static const char *const fallback[] = {
        "The courier left my parcel in the rain and nobody at support answers the phone.",
        "Love the new update, battery lasts two days now. Thank you!",
        "Wouldn't it be nice if the app worked offline, on the train I never have a connection",
        "Das Paket kam drei Tage zu spät, und der Kundendienst hat sich nicht gemeldet.",
    };
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t length = 0;

    texts->lines = calloc(TEXTS_MAX, sizeof *texts->lines);
    if (texts->lines == NULL || (path != NULL && file == NULL)) {
        die("the texts cannot be read");
    }
    while (file != NULL && texts->count < TEXTS_MAX && (length = getline(&line, &size, file)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (length > 20 && text_valid(line, strlen(line))) {
            texts->lines[texts->count++] = strdup(line);
        }
    }
    for (size_t i = 0; texts->count == 0 && i < sizeof fallback / sizeof *fallback; i++) {
        texts->lines[texts->count++] = strdup(fallback[i]);
    }
    free(line);
    if (file != NULL) {
        fclose(file);
    }
}

static uint32_t draw(uint64_t *seed, size_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)((*seed >> 33) % below);
}

/* One post of about 479 bytes. */
static const char *make_post(struct json_writer *writer, const struct texts *texts,
                             const char *lang, int number, uint64_t *seed, size_t *length)
{
    static const size_t counts[] = {1, 1, 2, 2, 3, 4};
    char id[64], url[128], text[POST_MAX];
    size_t lines = counts[draw(seed, 6)], used = 0;
    struct ear_error err = {0};
    const char *post = NULL;

    snprintf(id, sizeof id, "forum:forum.example.org:%016d", number);
    snprintf(url, sizeof url, "https://forum.example.org/@user%u/%d", draw(seed, 200000), number);
    for (size_t i = 0; i < lines && texts->lines[0][0] != '{'; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " ",
                                 texts->lines[draw(seed, texts->count)]);
        if (used >= sizeof text) {
            die("a line is too long");
        }
    }
    json_writer_reset(writer);
    if (texts->lines[0][0] == '{') {
        const char *line = texts->lines[(size_t)number % texts->count];

        json_write_raw(writer, line, strlen(line));
        post = json_writer_text(writer, length, &err);
        return post != NULL ? post : (die(err.message), NULL);
    }
    json_write_object(writer);
    json_member_string(writer, "id", id);
    json_member_string(writer, "source", "forum");
    json_member_string(writer, "platform", "forum");
    json_member_string(writer, "channel", "forum");
    json_member_string(writer, "url", url);
    json_member_string(writer, "created_at", "2026-11-20T08:00:00Z");
    json_member_string(writer, "collected_at", "2026-11-20T08:01:00Z");
    json_member_integer(writer, "version", INT64_C(1795341600000000) + number);
    json_member_string(writer, "text", text);
    json_member_string(writer, "lang", lang);
    json_write_object_end(writer);
    post = json_writer_text(writer, length, &err);
    if (post == NULL) {
        die(err.message);
    }
    return post;
}

static void publish_posts(struct stream *stream, const struct texts *texts, const char *lang,
                          int count)
{
    struct ear_error err = {0};
    struct json_writer *writer = NULL;
    struct stream_transaction *transaction = NULL;
    uint64_t seed = 7;
    size_t bytes = 0;

    check(json_writer_new(&writer, POST_MAX + 1024, &err), &err);
    for (int i = 0; i < count; i++) {
        char key[64];
        size_t length = 0;
        const char *post = make_post(writer, texts, lang, i, &seed, &length);

        if (i % PER_TRANSACTION == 0) {
            check(stream_begin(&transaction, stream, &err), &err);
        }
        bytes += length;
        snprintf(key, sizeof key, "forum:forum.example.org:%016d", i);
        check(stream_publish(transaction, "posts", key, strlen(key), post, length, 1, &err), &err);
        if (i % PER_TRANSACTION == PER_TRANSACTION - 1 || i == count - 1) {
            check(stream_commit(transaction, &err), &err);
        }
    }
    printf("%d posts of %zu bytes on average\n", count, bytes / (size_t)count);
    json_writer_free(writer);
}

/* Processor number n has the first n stages, number 0 none: it only reads and writes. */
static void write_config(const char *folder)
{
    char path[8192];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/earshot.yaml", folder);
    file = fopen(path, "w");
    if (file == NULL) {
        die("the configuration cannot be written");
    }
    fprintf(file, "earshot: 1\nstream: {size: 8GiB}\n"
                  "brands: {Acme: [acme, \"acme phone\"]}\n"
                  "competitors: {Globex: [globex], Initech: [initech]}\nprocessors:\n");
    for (size_t n = 0; n <= STAGES; n++) {
        fprintf(file, "  - {name: chain%zu, batch: {messages: 1000}, stages: [", n);
        for (size_t i = 0; i < n; i++) {
            fprintf(file, "%s%s", i == 0 ? "" : ", ", stages[i]);
        }
        fprintf(file, "]}\n");
    }
    fclose(file);
}

/* CPU microseconds a post of one processor over the whole log. */
static double carry(struct stream *stream, const struct settings *settings, size_t which, int count)
{
    struct ear_error err = {0};
    struct chain *chain = NULL;
    struct runner *runner = NULL;
    struct clock clock = {0};
    struct runner_config config = {
        .stream = stream, .processor = &settings->processors[which], .clock = &clock};
    bool idle = false;
    double began_us = 0, ended_us = 0;

    if (chain_open(&chain, settings, config.processor, NULL, &err) != 0) {
        settings_print_findings(settings, false);
        die(err.message);
    }
    config.chain = chain;
    check(runner_open(&runner, &config, &err), &err);
    began_us = cpu_us();
    while (!idle) {
        check(runner_turn(runner, &idle, &err), &err);
    }
    ended_us = cpu_us();
    runner_close(runner);
    chain_close(chain);
    return (ended_us - began_us) / count;
}

/* CPU microseconds that reading a message and giving its text back takes, without any log. */
static double read_alone(const struct texts *texts, const char *lang, int count)
{
    struct ear_error err = {0};
    struct json_writer *writer = NULL;
    struct message_arena *arena = NULL;
    uint64_t seed = 7;
    double taken_us = 0;
    int rounds = count / PER_TRANSACTION + 1;
    char *posts[PER_TRANSACTION];
    size_t lengths[PER_TRANSACTION];

    check(json_writer_new(&writer, POST_MAX + 1024, &err), &err);
    check(message_arena_new(&arena, (size_t)96 << 20, &err), &err);
    for (int i = 0; i < PER_TRANSACTION; i++) {
        posts[i] = strdup(make_post(writer, texts, lang, i, &seed, &lengths[i]));
    }
    taken_us = -cpu_us();
    for (int round = 0; round < rounds; round++) {
        message_arena_reset(arena);
        for (int i = 0; i < PER_TRANSACTION; i++) {
            struct ear_message *message = message_read(arena, posts[i], lengths[i], &err);

            if (message == NULL || message_text(message, NULL, &err) == NULL) {
                die(err.message);
            }
        }
    }
    taken_us += cpu_us();
    for (int i = 0; i < PER_TRANSACTION; i++) {
        free(posts[i]);
    }
    message_arena_free(arena);
    json_writer_free(writer);
    return taken_us / rounds / PER_TRANSACTION;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 200000;
    long only = argc > 4 ? strtol(argv[4], NULL, 10) : -1;
    char folder[4096], path[8192];
    struct ear_error err = {0};
    struct settings *settings = NULL;
    struct stream *stream = NULL;
    struct texts texts = {0};
    double before = 0;

    snprintf(folder, sizeof folder, "%s/earshot-bench-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    if (count < 1 || mkdtemp(folder) == NULL) {
        die("usage: bench_process [POSTS [TEXTS [FOLDER [STAGES [LANG]]]]]");
    }
    read_texts(&texts, argc > 2 ? argv[2] : NULL);
    write_config(folder);
    snprintf(path, sizeof path, "%s/earshot.yaml", folder);
    check(settings_load(&settings, path, NULL, BUILD_DIR "/share/earshot", &err), &err);
    check(settings_open_stream(&stream, settings, false, &err), &err);
    publish_posts(stream, &texts, argc > 5 ? argv[5] : NULL, count);
    printf("… %-10s %6.2f us a post\n", "read alone",
           read_alone(&texts, argc > 5 ? argv[5] : NULL, count));
    for (size_t n = 0; n <= STAGES; n++) {
        if (only < 0 || (size_t)only == n) {
            double us = carry(stream, settings, n, count);

            printf("… %-10s %6.2f us a post (+%5.2f)  %7.0f posts/s of one core\n",
                   n == 0 ? "no stage" : stages[n - 1], us, us - before, 1e6 / us);
            before = us;
        }
    }
    stream_close(stream);
    settings_free(settings);
    for (size_t i = 0; i < texts.count; i++) {
        free(texts.lines[i]);
    }
    free(texts.lines);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : 1;
}
