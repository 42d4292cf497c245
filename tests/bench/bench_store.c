/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the store costs: insights applied (row, facts, copies, positions, dirty days), beside a bare
 * insert of the same rows through the same statements, 1,000 a transaction, in the same rounds.
 *
 *   bench_store [INSIGHTS [ROUNDS [FOLDER [DAYS]]]]
 *   tests/servers/with --postgres -- bench_store …      the same on PostgreSQL
 *
 * Prints CPU time (user and system; on PostgreSQL that of its processes too, found by the name of
 * the database in their titles) per insight of every round, the medians and their ratio. Posts are
 * said over DAYS (400) days up to now, in order. With a FOLDER, store.sqlite of the last round is
 * left there: the views can be timed on it (EARSHOT_DATA=FOLDER earshot-sink trends).
 */

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"
#include "sinks/apply/apply.h"
#include "sinks/store/store.h"
#include "tests/sinks/database.h"

enum { PER_TRANSACTION = 1000, ROUNDS_MAX = 25, TEXT_SIZE = 512, VALUE_SIZE = 2048 };

static const int64_t HORIZON_US = 401 * INT64_C(86400000000);

static const char *const labels[] = {"", "\"wish\"", "\"complaint\"", "\"praise\""};
static const char *const words[] = {
    "the",  "delivery", "was",   "late", "again", "and",    "nobody", "answered", "my",   "call",
    "love", "this",     "phone", "but",  "sync",  "breaks", "when",   "offline",  "wish", "cheaper",
};

struct bench {
    const char *folder;
    bool keep;
    size_t count, days;
    int64_t now_us;
    double parts_s[3]; /* of the last round: batches, copies, roll-ups */
    struct ear_error err;
};

/* One post, from its number. */
struct made {
    char id[48], author[40], at[INSTANT_SIZE], text[TEXT_SIZE], value[VALUE_SIZE];
    int64_t created_us;
    size_t label, length;
    bool touchpoint;
};

static void die(struct bench *bench, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, bench->err.message);
    exit(1);
}

static uint64_t roll(uint64_t number, uint64_t salt)
{
    return hash64_of(&number, sizeof number, salt);
}

static void make(struct made *made, const struct bench *bench, size_t i)
{
    size_t used = 0;
    int64_t span_us = (int64_t)bench->days * CLOCK_DAY_US;

    made->created_us =
        bench->now_us - span_us + (int64_t)((double)i / (double)bench->count * (double)span_us);
    made->label = roll(i, 1) % 10 < 6 ? 0 : 1 + roll(i, 2) % 3;
    made->touchpoint = roll(i, 3) % 3 == 0;
    snprintf(made->id, sizeof made->id, "feed:forum.example.org:%zu", i);
    snprintf(made->author, sizeof made->author, "a_%032llx",
             (unsigned long long)(roll(i, 4) % (bench->count / 4 + 1)));
    instant_format(made->at, made->created_us);
    for (size_t word = 0; word < 30; word++) {
        used += (size_t)snprintf(made->text + used, sizeof made->text - used, "%s ",
                                 words[roll(i * 31 + word, 5) % 20]);
    }
    snprintf(made->text + used, sizeof made->text - used, "%zu", i);
    made->length = (size_t)snprintf(
        made->value, sizeof made->value,
        "{\"id\":\"%s\",\"source\":\"forum\",\"platform\":\"feed\",\"channel\":\"forum\",\"url\":"
        "\"https://forum.example.org/t/%zu\",\"author\":{\"id\":\"%s\"},\"created_at\":\"%s\","
        "\"collected_at\":\"%s\",\"version\":%lld,\"title\":\"A title of some words\",\"text\":"
        "\"%s\",\"lang\":\"en\",\"thread\":\"%zu\",\"insight\":{\"wish\":0.12,\"complaint\":0.34,"
        "\"praise\":0.01,\"sentiment\":-0.2,\"labels\":[%s],\"signals\":[%s],\"brands\":[\"%s\"],"
        "\"model\":\"2026.11-1\"}}",
        made->id, i, made->author, made->at, made->at, (long long)made->created_us, made->text,
        i / 5, labels[made->label],
        made->touchpoint ? "{\"kind\":\"touchpoint\",\"value\":\"delivery\",\"words\":\"late\","
                           "\"start\":10,\"end\":14}"
                         : "",
        roll(i, 6) % 4 == 0 ? "Globex" : "Acme");
}

/* CPU of the server's process of that number, 0 if it is not one for our database. */
static double server_process_s(const char *pid, const char *database)
{
    char path[300];
    char text[1024] = "";
    char *rest = NULL;
    FILE *file = NULL;
    size_t length = 0;
    unsigned long ticks = 0;

    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    file = fopen(path, "r");
    length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    if (strncmp(text, "postgres: ", 10) != 0 || strstr(text, database) == NULL) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    file = fopen(path, "r");
    length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    rest = strrchr(text, ')'); /* then the state, and 10 numbers before utime and stime */
    for (int i = 0; rest != NULL && i < 12; i++) {
        rest = strchr(rest + 1, ' ');
    }
    if (rest == NULL) {
        return 0;
    }
    ticks = strtoul(rest, &rest, 10);
    ticks += strtoul(rest, NULL, 10);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double server_s(void)
{
    const char *database = strrchr(database_url(), '/') + 1;
    DIR *processes = opendir("/proc");
    const struct dirent *entry = NULL;
    double sum_s = 0;

    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            sum_s += server_process_s(entry->d_name, database);
        }
    }
    closedir(processes);
    return sum_s;
}

static double cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6 +
           (database_wanted() ? server_s() : 0);
}

/* What is made of the URL and the schema lives as long as the store. */
static struct store *open_store(struct bench *bench, const char *name)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct store *store = NULL;
    char url[300];
    char path[300];
    struct store_config config = {.url = url, .schema = name};

    snprintf(url, sizeof url, "sqlite:%s/%s", bench->folder, name);
    if (database_wanted()) {
        snprintf(path, sizeof path, "DROP SCHEMA IF EXISTS \"%s\" CASCADE; CHECKPOINT", name);
        database_do(path);
        snprintf(url, sizeof url, "%s", database_url());
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s%s", bench->folder, name, ends[i]);
        unlink(path);
    }
    if (store_open(&store, &config, &bench->err) != 0) {
        die(bench, "open");
    }
    return store;
}

/* --- the sink --- */

static double run_apply(struct bench *bench)
{
    struct store *store = open_store(bench, "store.sqlite");
    struct apply_config config = {.timezone = "UTC", .horizon_us = HORIZON_US};
    struct apply *apply = NULL;
    struct apply_stats *stats = calloc(1, sizeof *stats);
    struct made *made = calloc(PER_TRANSACTION, sizeof *made);
    struct stream_message *messages = calloc(PER_TRANSACTION, sizeof *messages);
    double spent_s = 0;
    bool more = true;

    if (stats == NULL || made == NULL || messages == NULL ||
        apply_open(&apply, store, &config, &bench->err) != 0) {
        die(bench, "apply");
    }
    for (size_t at = 0; at < bench->count; at += PER_TRANSACTION) {
        double began_s = 0;

        for (size_t i = 0; i < PER_TRANSACTION; i++) {
            make(&made[i], bench, at + i);
            messages[i] = (struct stream_message){.topic = "insights",
                                                  .offset = (int64_t)(at + i),
                                                  .at_us = bench->now_us,
                                                  .key = made[i].id,
                                                  .key_length = strlen(made[i].id),
                                                  .value = made[i].value,
                                                  .value_length = made[i].length};
        }
        began_s = cpu_s();
        if (apply_batch(apply, messages, PER_TRANSACTION, bench->now_us, stats, &bench->err) != 0 ||
            stats->posts != PER_TRANSACTION) {
            die(bench, "apply");
        }
        spent_s += cpu_s() - began_s;
    }
    bench->parts_s[0] = spent_s;
    while (more) {
        double began_s = cpu_s();

        if (apply_copies(apply, bench->now_us, 1000, &more, &bench->err) != 0) {
            die(bench, "copies");
        }
        spent_s += cpu_s() - began_s;
    }
    bench->parts_s[1] = spent_s - bench->parts_s[0];
    for (more = true; more;) {
        double began_s = cpu_s();

        if (apply_rollups(apply, bench->now_us, 256, &more, &bench->err) != 0) {
            die(bench, "roll-ups");
        }
        spent_s += cpu_s() - began_s;
    }
    bench->parts_s[2] = spent_s - bench->parts_s[0] - bench->parts_s[1];
    apply_close(apply);
    store_close(store);
    free(stats);
    free(made);
    free(messages);
    return spent_s * 1e6 / (double)bench->count;
}

/* --- a bare insert of the same rows --- */

static void insert_facts(struct bench *bench, struct store *store, const struct made *made,
                         int64_t row, int64_t person)
{
    int64_t counts[2] = {made->label == 0 ? 1 : 2, made->touchpoint ? 2 : 1};

    for (int64_t i = 0; i < counts[0] * counts[1]; i++) {
        struct store_value values[] = {store_integer(zone_day(NULL, made->created_us)),
                                       store_integer(row),
                                       store_integer(2),
                                       store_integer(i / counts[1] == 0 ? 0 : 3),
                                       store_integer(i % counts[1] == 0 ? 0 : 6),
                                       store_integer(0),
                                       store_integer(zone_hour(NULL, made->created_us)),
                                       store_integer(4),
                                       store_integer(4),
                                       store_integer(5),
                                       store_integer(0),
                                       store_integer(person),
                                       store_integer(person + 1),
                                       store_integer(made->created_us)};

        if (store_run(store, QUERY_FACT_ADD, values, 14, &bench->err) < 0) {
            die(bench, "bare insert");
        }
    }
}

static void insert_post(struct bench *bench, struct store *store, const struct made *made, size_t i)
{
    struct hash128 hash = hash128_of(made->id, strlen(made->id));
    int64_t person = (int64_t)(hash64_of(made->author, strlen(made->author), 0) >> 1);
    char url[64];
    char thread[24];
    int64_t row = (int64_t)i + 1;

    snprintf(url, sizeof url, "https://forum.example.org/t/%zu", i);
    snprintf(thread, sizeof thread, "%zu", i / 5);
    {
        struct store_value values[] = {store_blob(hash.bytes, sizeof hash.bytes),
                                       store_text(made->id),
                                       store_integer(made->created_us),
                                       store_text("2026.11-1"),
                                       store_text("forum"),
                                       store_text("[]"),
                                       store_text("feed"),
                                       store_text("forum"),
                                       store_text(url),
                                       store_text(made->author),
                                       store_null(),
                                       store_integer(person),
                                       store_integer(made->created_us),
                                       store_null(),
                                       store_integer(made->created_us),
                                       store_integer(zone_day(NULL, made->created_us)),
                                       store_integer(zone_hour(NULL, made->created_us)),
                                       store_text("A title of some words"),
                                       store_text(made->text),
                                       store_text("en"),
                                       store_text(thread),
                                       store_null(),
                                       store_integer(person + 1),
                                       store_null(),
                                       store_null(),
                                       store_null(),
                                       store_integer(0),
                                       store_number(0.12),
                                       store_number(0.34),
                                       store_number(0.01),
                                       store_number(-0.2),
                                       store_text("[\"wish\"]"),
                                       store_integer((int64_t)(roll(i, 9) >> 1)),
                                       store_integer(0),
                                       store_bytes(made->value, made->length),
                                       store_integer(row)};

        if (store_run(store, QUERY_INSIGHT_ADD, values, 36, &bench->err) != 0) {
            die(bench, "bare insert");
        }
    }
    insert_facts(bench, store, made, row, person);
}

static double run_bare(struct bench *bench)
{
    struct store *store = open_store(bench, "bare.sqlite");
    struct made *made = calloc(PER_TRANSACTION, sizeof *made);
    double spent_s = 0;

    if (made == NULL) {
        die(bench, "memory");
    }
    for (size_t at = 0; at < bench->count; at += PER_TRANSACTION) {
        double began_s = 0;

        for (size_t i = 0; i < PER_TRANSACTION; i++) {
            make(&made[i], bench, at + i);
        }
        began_s = cpu_s();
        if (store_begin(store, &bench->err) != 0) {
            die(bench, "begin");
        }
        for (size_t i = 0; i < PER_TRANSACTION; i++) {
            insert_post(bench, store, &made[i], at + i);
        }
        if (store_commit(store, &bench->err) != 0) {
            die(bench, "commit");
        }
        spent_s += cpu_s() - began_s;
    }
    store_close(store);
    free(made);
    return spent_s * 1e6 / (double)bench->count;
}

static int compare(const void *left, const void *right)
{
    double one = *(const double *)left;
    double other = *(const double *)right;

    return one < other ? -1 : one > other;
}

int main(int argc, char **argv)
{
    char made[] = "/tmp/earshot-bench-XXXXXX";
    struct bench bench = {.count = 100000, .days = 400};
    double apply_us[ROUNDS_MAX];
    double bare_us[ROUNDS_MAX];
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 3;
    struct clock clock = {0};

    bench.count = argc > 1 ? strtoull(argv[1], NULL, 10) : bench.count;
    bench.count = (bench.count + PER_TRANSACTION - 1) / PER_TRANSACTION * PER_TRANSACTION;
    bench.keep = argc > 3;
    bench.folder = bench.keep ? argv[3] : mkdtemp(made);
    bench.days = argc > 4 ? strtoull(argv[4], NULL, 10) : bench.days;
    bench.now_us = clock_now_us(&clock);
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    for (int i = 0; i < rounds; i++) {
        bare_us[i] = run_bare(&bench);
        apply_us[i] = run_apply(&bench);
        printf("round %d: bare insert %.2f us, applied %.2f us per insight (CPU): batches %.2f, "
               "copies "
               "%.2f, roll-ups %.2f\n",
               i + 1, bare_us[i], apply_us[i], bench.parts_s[0] * 1e6 / (double)bench.count,
               bench.parts_s[1] * 1e6 / (double)bench.count,
               bench.parts_s[2] * 1e6 / (double)bench.count);
        fflush(stdout);
    }
    qsort(apply_us, (size_t)rounds, sizeof apply_us[0], compare);
    qsort(bare_us, (size_t)rounds, sizeof bare_us[0], compare);
    printf(
        "%zu insights: bare insert %.2f us, applied %.2f us, ratio %.2f, %.0f insights/s a core\n",
        bench.count, bare_us[rounds / 2], apply_us[rounds / 2],
        apply_us[rounds / 2] / bare_us[rounds / 2], 1e6 / apply_us[rounds / 2]);
    if (!bench.keep) {
        char command[300];

        snprintf(command, sizeof command, "%s/store.sqlite", bench.folder);
        unlink(command);
        snprintf(command, sizeof command, "%s/bare.sqlite", bench.folder);
        unlink(command);
        rmdir(bench.folder);
    }
    return 0;
}
