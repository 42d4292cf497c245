/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot compact`: rewrites the log without what was superseded, deleted or forgotten. */

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/earshot/earshot_internal.h"

const struct ear_option compact_options[] = {
    {"needed", EAR_BOOLEAN, offsetof(struct compact_values, needed), "false",
     "only say whether anything was deleted since: exit code 0 if so, else 1", NULL},
    {"quiet", EAR_BOOLEAN, offsetof(struct compact_values, quiet), "false", "print nothing", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* A file whose time is that of the last rewrite. */
static const char *mark_path(const struct command_call *call, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/compacted", call->settings->data_dir);
    return out;
}

static void set_mark(const struct command_call *call)
{
    char path[PATH_MAX];
    int file = open(mark_path(call, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (file >= 0) {
        (void)futimens(file, NULL); /* without it the next rewrite only comes too early */
        close(file);
    }
}

/* Messages of a topic since an instant; true from `found` ends it. */
static int look(struct stream *stream, const char *topic, int64_t since_us,
                bool (*found)(const struct stream_message *), struct ear_error *err)
{
    struct stream_reader *reader = NULL;
    struct stream_batch batch = {0};
    int result = 0;

    if (stream_follow(&reader, stream, topic, since_us, err) != 0) {
        return -1;
    }
    while ((result = stream_read(reader, &batch, 1000, (size_t)8 << 20, 0, err)) == 0 &&
           batch.count > 0) {
        for (size_t i = 0; i < batch.count; i++) {
            if (found(&batch.messages[i])) {
                result = 1;
                goto done;
            }
        }
    }

done:
    stream_batch_clear(&batch);
    stream_reader_close(reader);
    return result;
}

/* Quotes inside a JSON string are escaped, so these bytes are a field and nothing else. */
static bool is_deletion(const struct stream_message *message)
{
    static const char field[] = "\"deleted\":true";

    return message->value == NULL ||
           memmem(message->value, message->value_length, field, sizeof field - 1) != NULL;
}

static bool is_anything(const struct stream_message *message)
{
    (void)message;
    return true;
}

static int ask_needed(const struct command_call *call, struct stream *stream, struct ear_error *err)
{
    char path[PATH_MAX];
    struct stat info;
    int64_t since_us = INT64_MIN;
    int found = 0;

    if (stat(mark_path(call, path), &info) == 0) {
        since_us = info.st_mtim.tv_sec * CLOCK_SECOND_US;
    }
    found = look(stream, "forgotten", since_us, is_anything, err);
    if (found == 0) {
        found = look(stream, "posts", since_us, is_deletion, err);
    }
    return found < 0 ? -1 : found == 1 ? EXIT_DONE : EXIT_FAILED;
}

int command_compact(const struct command_call *call, struct ear_error *err)
{
    const struct compact_values *options = call->options;
    struct stream *stream = NULL;
    int64_t freed = 0;
    int result = -1;

    if (options->needed && strncmp(call->settings->stream_url, "kafka:", strlen("kafka:")) == 0) {
        return EXIT_FAILED; /* brokers do it, and the roles may go on */
    }
    if (settings_open_stream(&stream, call->settings, options->needed, err) != 0) {
        return -1;
    }
    if (options->needed) {
        result = ask_needed(call, stream, err);
    } else if (stream_compact(stream, true, &freed, err) == 0) {
        set_mark(call);
        if (!options->quiet && freed == STREAM_FREED_LATER) {
            fprintf(stderr, "Kafka's brokers remove what is superseded or deleted by themselves, "
                            "at most stream.compact_lag later; they were asked to begin\n");
        } else if (!options->quiet) {
            fprintf(stderr, "the log was rewritten; %" PRId64 " MiB given back\n", freed >> 20);
        }
        result = EXIT_DONE;
    }
    stream_close(stream);
    return result;
}
