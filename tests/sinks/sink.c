/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sinks/sink.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/child.h"
#include "common/instant.h"
#include "common/settings/settings.h"
#include "tests/sinks/database.h"

enum { OUTPUT_MAX = 64 * 1024 * 1024, WORDS_MAX = 32 };

void sink_open(struct sink *sink)
{
    char now[INSTANT_SIZE];

    snprintf(sink->folder, sizeof sink->folder, "/tmp/earshot-sink-XXXXXX");
    assert_non_null(mkdtemp(sink->folder));
    setenv("EARSHOT_DATA", sink->folder, 1);
    setenv("EARSHOT_NOW", instant_format(now, TAPE_NOW_US), 1);
    unsetenv("EARSHOT_CONFIG");
    unsetenv("EARSHOT_KILL_POINT");
    assert_int_equal(chdir(sink->folder), 0);
    if (database_wanted()) {
        FILE *file = fopen("earshot.yaml", "w");

        assert_non_null(file);
        fprintf(file, "earshot: 1\nsinks:\n  - store: {url: \"%s\", schema: %s}\n", database_url(),
                database_schema(sink->schema, sizeof sink->schema));
        assert_int_equal(fclose(file), 0);
    }
}

void sink_lose_store(const struct sink *sink, const char *name)
{
    char sql[128];

    if (database_wanted()) {
        snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS \"%s\" CASCADE",
                 name[0] == '\0' ? sink->schema : name);
        database_do(sql);
    } else {
        remove(name[0] == '\0' ? "store.sqlite" : name);
    }
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about;
    (void)type;
    (void)place;
    return remove(path);
}

void sink_close(struct sink *sink)
{
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(nftw(sink->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct settings *load(void)
{
    struct settings *settings = NULL;
    struct ear_error err = {0};

    if (settings_load(&settings, NULL, NULL, BUILD_DIR "/share/earshot", &err) != 0) {
        fail_msg("%s", err.message);
    }
    return settings;
}

static struct stream *open_log(const struct settings *settings)
{
    struct stream *stream = NULL;
    struct ear_error err = {0};

    if (settings_open_stream(&stream, settings, false, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return stream;
}

void sink_publish(const struct tape *tape)
{
    struct settings *settings = load();
    struct stream *stream = open_log(settings);
    struct stream_transaction *transaction = NULL;
    struct ear_error err = {0};

    assert_int_equal(stream_begin(&transaction, stream, &err), 0);
    for (size_t i = 0; i < tape->count; i++) {
        const struct stream_message *message = &tape->messages[i];

        assert_int_equal(stream_publish(transaction, message->topic, message->key,
                                        message->key_length, message->value, message->value_length,
                                        message->at_us, &err),
                         0);
    }
    if (stream_commit(transaction, &err) != 0) {
        fail_msg("%s", err.message);
    }
    stream_close(stream);
    settings_free(settings);
}

size_t sink_count(const char *topic)
{
    struct settings *settings = load();
    struct stream *stream = open_log(settings);
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    struct ear_error err = {0};
    size_t count = 0;

    assert_int_equal(stream_follow(&reader, stream, topic, INT64_MIN, &err), 0);
    do {
        assert_int_equal(stream_read(reader, &batch, 100, 1 << 20, 0, &err), 0);
        count += batch.count;
    } while (batch.count > 0);
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    stream_close(stream);
    settings_free(settings);
    return count;
}

char *sink_run(const char *words, int code)
{
    const char *argv[WORDS_MAX] = {"earshot-sink"};
    struct child_config config = {BUILD_DIR "/bin/earshot-sink", argv, -1, -1};
    struct ear_error err = {0};
    char *copy = strdup(words);
    char *rest = copy;
    char *out = NULL;
    size_t length = 0;
    size_t count = 1;
    int ended = -1;

    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        assert_true(count + 1 < WORDS_MAX);
        argv[count++] = word;
    }
    if (child_capture(&out, &length, &ended, &config, OUTPUT_MAX, NULL, &err) != 0) {
        fail_msg("earshot-sink %s: %s", words, err.message);
    }
    if (ended != code) {
        fail_msg("earshot-sink %s ended with %d, expected %d; it printed: %.2000s", words, ended,
                 code, out);
    }
    free(copy);
    return out;
}

void sink_do(const char *words, int code)
{
    free(sink_run(words, code));
}

char *sink_file(const struct sink *sink, const char *name)
{
    char path[256];
    char *text = NULL;
    size_t size = 0;
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/%s", sink->folder, name);
    file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    if (getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}
