/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses a format and a cut: the file is polled when it is as long as the cut, and
 * again when it is whole, then once more. What is emitted has an id, the last poll finds nothing,
 * and the file ends up as it would have been read at once.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectors/file/file.h"
#include "common/settings/settings.h"
#include "tests/fuzz/fuzz.h"

struct file_config { /* as the reader's table lays it out */
    const char *path;
    const void *map;
    const char *format, *delimiter;
    double scale;
    const char *recorded;
};

struct polled {
    char *cursor;
    size_t items;
};

static int on_emit(void *user, const struct source_record *record, struct ear_error *err)
{
    struct polled *polled = user;

    (void)err;
    assert(record->native_id != NULL && record->native_id[0] != '\0');
    assert(record->rating <= 1);
    polled->items++;
    return 0;
}

static int on_reject(void *user, const char *item, const char *code, const char *reason,
                     const char *bytes, size_t length, struct ear_error *err)
{
    struct polled *polled = user;

    (void)err;
    assert(item[0] != '\0' && code[0] != '\0' && reason[0] != '\0');
    assert(length == 0 || bytes != NULL);
    polled->items++;
    return 0;
}

static int on_cursor(void *user, const char *json, size_t length, struct ear_error *err)
{
    struct polled *polled = user;

    (void)err;
    free(polled->cursor);
    polled->cursor = strndup(json, length);
    assert(polled->cursor != NULL);
    return 0;
}

static void poll_once(struct polled *polled, const struct file_config *config)
{
    static const struct settings settings = {0};
    static const struct settings_source source = {.name = "f", .use = "file"};
    const struct source_output output = {
        .user = polled, .emit = on_emit, .reject = on_reject, .cursor = on_cursor};
    char *began_with = polled->cursor != NULL ? strdup(polled->cursor) : NULL;
    const struct source_poll poll = {.settings = &settings,
                                     .source = &source,
                                     .config = config,
                                     .cursor = began_with,
                                     .cursor_length = began_with != NULL ? strlen(began_with) : 0};
    struct ear_error err = {0};
    struct source_turn turn = {.next = SOURCE_MORE};
    void *state = NULL;
    int steps = 0;

    polled->items = 0;
    assert(file_reader.begin(&state, &poll, &err) == 0);
    while (turn.next != SOURCE_DONE) {
        turn = (struct source_turn){0};
        assert(file_reader.step(state, NULL, &output, &turn, &err) == 0);
        assert(++steps < 10000);
    }
    file_reader.end(state);
    free(began_with);
}

static void append(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert(fd >= 0);
    assert(write(fd, data, size) == (ssize_t)size);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"auto", "csv", "ndjson", "mbox"};
    struct polled polled = {0};
    char path[64];
    struct file_config config = {.path = path, .delimiter = "auto", .scale = 10};
    size_t cut = 0;

    if (size < 2) {
        return 0;
    }
    snprintf(path, sizeof path, "/tmp/earshot-fuzz-file-%d.txt", (int)getpid());
    (void)unlink(path);
    config.format = formats[data[0] & 3];
    cut = (size - 1) * (data[0] >> 2) / 63;
    append(path, data + 1, cut);
    poll_once(&polled, &config);
    append(path, data + 1 + cut, size - 1 - cut);
    poll_once(&polled, &config);
    poll_once(&polled, &config);
    assert(polled.items == 0);
    free(polled.cursor);
    (void)unlink(path);
    return 0;
}
