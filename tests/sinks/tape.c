/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sinks/tape.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/instant.h"
#include "tests/sinks/database.h"

enum { VALUE_SIZE = 80 * 1024 };

static const char *const topics[TAPE_TOPICS] = {"insights", "decisions", "forgotten",
                                                "cursors",  "audit",     "posts"};

static size_t topic_index(const char *topic)
{
    for (size_t i = 0; i < TAPE_TOPICS; i++) {
        if (strcmp(topics[i], topic) == 0) {
            return i;
        }
    }
    fail_msg("no topic %s", topic);
    return 0;
}

void tape_clear(struct tape *tape)
{
    for (size_t i = 0; i < tape->count; i++) {
        free((char *)tape->messages[i].key);
        free((char *)tape->messages[i].value);
    }
    free(tape->messages);
    *tape = (struct tape){0};
}

void tape_add(struct tape *tape, const char *topic, const char *key, const char *format, ...)
{
    char value[VALUE_SIZE];
    va_list arguments;
    size_t index = topic_index(topic);
    int partition = (int)(hash64_of(key, strlen(key), 0) % TAPE_PARTITIONS);
    int length = 0;

    if (tape->count == tape->room) {
        tape->room = tape->room == 0 ? 256 : 2 * tape->room;
        tape->messages = realloc(tape->messages, tape->room * sizeof *tape->messages);
        assert_non_null(tape->messages);
    }
    if (format != NULL) {
        va_start(arguments, format);
        length = vsnprintf(value, sizeof value, format, arguments);
        va_end(arguments);
        assert_in_range(length, 1, sizeof value - 1);
    }
    tape->messages[tape->count++] = (struct stream_message){
        .topic = topics[index],
        .partition = partition,
        .offset = tape->next[index][partition],
        .at_us = TAPE_NOW_US,
        .key = strdup(key),
        .key_length = strlen(key),
        .value = format == NULL ? NULL : strdup(value),
        .value_length = (size_t)length,
    };
    tape->next[index][partition] += 1 + length % 3; /* offsets have gaps */
}

void tape_post(struct tape *tape, const char *id, int64_t version, const char *model,
               const char *source, const char *author, const char *text, int64_t age_us,
               const char *insight)
{
    char at[INSTANT_SIZE];
    char who[128] = "";

    if (author[0] != '\0') {
        snprintf(who, sizeof who, "\"author\":{\"id\":\"%s\",\"name\":\"Name of %s\"},", author,
                 author);
    }
    tape_add(tape, "insights", id,
             "{\"id\":\"%s\",\"source\":\"%s\",\"version\":%lld,\"created_at\":\"%s\",%s"
             "\"channel\":\"forum\",\"lang\":\"en\",\"url\":\"https://example.org/%s\","
             "\"title\":\"A title\",\"text\":\"%s\",\"insight\":{%s%s\"model\":\"%s\"}}",
             id, source, (long long)version, instant_format(at, TAPE_NOW_US - age_us), who, id,
             text, insight, insight[0] == '\0' ? "" : ",", model);
}

static void open_store(struct shelf *shelf)
{
    struct ear_error err = {0};
    struct store_config config = {.url = shelf->url, .schema = shelf->schema};

    if (store_open(&shelf->store, &config, &err) != 0 ||
        apply_open(&shelf->apply, shelf->store, &shelf->config, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

void shelf_open(struct shelf *shelf)
{
    snprintf(shelf->folder, sizeof shelf->folder, "/tmp/earshot-shelf-XXXXXX");
    assert_non_null(mkdtemp(shelf->folder));
    database_schema(shelf->schema, sizeof shelf->schema);
    if (database_wanted()) {
        snprintf(shelf->url, sizeof shelf->url, "%s", database_url());
    } else {
        snprintf(shelf->url, sizeof shelf->url, "sqlite:%s/store.sqlite", shelf->folder);
    }
    if (shelf->config.horizon_us == 0) {
        shelf->config.horizon_us = 400 * CLOCK_DAY_US;
    }
    open_store(shelf);
}

void shelf_reopen(struct shelf *shelf)
{
    apply_close(shelf->apply);
    store_close(shelf->store);
    open_store(shelf);
}

void shelf_close(struct shelf *shelf)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[160];

    apply_close(shelf->apply);
    store_close(shelf->store);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s/store.sqlite%s", shelf->folder, ends[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(shelf->folder), 0);
}

struct apply_stats shelf_apply(struct shelf *shelf, const struct tape *tape, size_t from, size_t to)
{
    struct ear_error err = {0};
    struct apply_stats stats;

    if (apply_batch(shelf->apply, tape->messages + from, to - from, TAPE_NOW_US, &stats, &err) !=
        0) {
        fail_msg("%s", err.message);
    }
    return stats;
}

struct apply_stats shelf_apply_all(struct shelf *shelf, const struct tape *tape, size_t size)
{
    struct apply_stats sum = {0};

    for (size_t i = 0; i < tape->count; i += size) {
        size_t end = i + size < tape->count ? i + size : tape->count;
        struct apply_stats stats = shelf_apply(shelf, tape, i, end);

        sum.posts += stats.posts;
        sum.removed += stats.removed;
        sum.stale += stats.stale;
        sum.too_old += stats.too_old;
        sum.rejected += stats.rejected;
        sum.skipped += stats.skipped;
    }
    return sum;
}

void shelf_copies(struct shelf *shelf)
{
    struct ear_error err = {0};
    bool more = true;

    while (more) {
        if (apply_copies(shelf->apply, TAPE_NOW_US, 64, &more, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
}

void shelf_rollups(struct shelf *shelf)
{
    struct ear_error err = {0};
    bool more = true;

    shelf_copies(shelf);
    while (more) {
        if (apply_rollups(shelf->apply, TAPE_NOW_US, 64, &more, &err) != 0) {
            fail_msg("%s", err.message);
        }
    }
}

char *shelf_rows(struct shelf *shelf, enum store_query query, int columns)
{
    struct ear_error err = {0};
    struct store_rows *rows = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int there = 0;

    assert_non_null(out);
    if (store_select(&rows, shelf->store, query, NULL, 0, &err) != 0) {
        fail_msg("%s", err.message);
    }
    while ((there = store_next(rows, &err)) == 1) {
        for (int i = 0; i < columns; i++) {
            const char *cell = store_get_text(rows, i, NULL);

            fprintf(out, "%s%s", i == 0 ? "" : "|", cell == NULL ? "" : cell);
        }
        fputc('\n', out);
    }
    assert_int_equal(there, 0);
    store_rows_end(rows);
    fclose(out);
    return text;
}

int64_t shelf_number(struct shelf *shelf, enum store_query query)
{
    struct ear_error err = {0};
    int64_t number = -1;

    assert_int_equal(store_ask_integer(&number, NULL, shelf->store, query, NULL, 0, &err), 0);
    return number;
}

char *shelf_facts(struct shelf *shelf)
{
    shelf_copies(shelf);
    return shelf_rows(shelf, QUERY_FACT_EACH, 14);
}

int64_t shelf_counter(struct shelf *shelf, const char *name)
{
    char *text = shelf_rows(shelf, QUERY_COUNTER_EACH, 2);
    int64_t value = 0;
    char *line = strstr(text, name);

    if (line != NULL) {
        value = strtoll(strchr(line, '|') + 1, NULL, 10);
    }
    free(text);
    return value;
}

void assert_lines(const char *text, const char *part, const char *also, size_t wanted)
{
    size_t found = 0;
    const char *line = text;

    while (*line != '\0') {
        size_t length = strcspn(line, "\n");
        char *copy = strndup(line, length);

        assert_non_null(copy);
        found += strstr(copy, part) != NULL && (also == NULL || strstr(copy, also) != NULL);
        free(copy);
        line += length + (line[length] == '\n');
    }
    if (found != wanted) {
        fail_msg("%zu lines with '%s'%s%s%s, expected %zu, in:\n%s", found, part,
                 also == NULL ? "" : " and '", also == NULL ? "" : also, also == NULL ? "" : "'",
                 wanted, text);
    }
}
