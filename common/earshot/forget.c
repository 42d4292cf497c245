/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot forget`: a post or a person leaves the log and the store. One transaction writes the
 * hash that keeps collectors from bringing it back and tombstones for every message that holds it;
 * then the log is compacted, so that no interface shows it any more, and the sink removes it from
 * the store.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/earshot/earshot_internal.h"

enum { IDS_MAX = 1000 * 1000, REPORT_MAX = 64 * 1024 };

struct subject {
    bool author;
    const char *id;                 /* post id, or pseudonym */
    char pseudonym[PSEUDONYM_SIZE]; /* where it was made from a handle */
    char hash[HASH128_TEXT_SIZE];   /* its key in `forgotten` */
    struct json *json;              /* for looking into messages */
    struct stream_transaction *transaction;
    int64_t at_us;
    size_t posts, insights, rejects;
    size_t *count; /* of the topic at hand */
    const char *topic;
    struct ear_error *err;
    bool failed;
};

/* --- whom --- */

static size_t colons_of(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        count += *text == ':' ? 1 : 0;
    }
    return count;
}

static bool is_pseudonym(const char *text)
{
    return strlen(text) == 34 && strncmp(text, "a_", 2) == 0 &&
           strspn(text + 2, "0123456789abcdef") == 32;
}

/* A pseudonym as it is; PLATFORM:HANDLE makes one; PLATFORM:HOST:ID is a post. */
static int find_subject(struct subject *subject, const struct command_call *call,
                        struct ear_error *err)
{
    const char *text = call->arguments[0];
    struct pseudonym_key key;
    char platform[128];
    size_t length = strcspn(text, ":");

    subject->id = text;
    subject->author = is_pseudonym(text);
    if (!subject->author && colons_of(text) == 1 && length > 0 && length < sizeof platform) {
        if (pseudonym_key_load(&key, call->settings->author_key_path, err) != 0) {
            return -1;
        }
        snprintf(platform, sizeof platform, "%.*s", (int)length, text);
        subject->id = pseudonym_of(subject->pseudonym, &key, platform, text + length + 1);
        subject->author = true;
        explicit_bzero(&key, sizeof key);
    } else if (!subject->author && colons_of(text) < 2) {
        return command_misused(call,
                               "'%.100s' is neither a post id (platform:host:id) nor a pseudonym "
                               "(a_…) nor platform:handle",
                               text);
    }
    hash128_format(subject->hash, hash128_of(subject->id, strlen(subject->id)));
    return EXIT_DONE;
}

/* --- what holds it --- */

static bool is_of(struct subject *subject, const struct stream_message *message)
{
    struct ear_error why = {EAR_NONE, ""};
    const struct json_node *root = NULL;
    const char *id = NULL;

    if (!subject->author) {
        return message->key != NULL && strcmp(message->key, subject->id) == 0;
    }
    if (memmem(message->value, message->value_length, subject->id, strlen(subject->id)) == NULL) {
        return false;
    }
    root =
        json_read(subject->json, message->value, message->value_length, &json_limits_default, &why);
    id = json_string(json_pointer(root, "/author/id"), NULL);
    return id != NULL && strcmp(id, subject->id) == 0;
}

static bool bury(void *user, const struct stream_message *message)
{
    struct subject *subject = user;

    if (message->value == NULL || !is_of(subject, message)) {
        return true;
    }
    subject->failed =
        *subject->count >= IDS_MAX
            ? ear_fail(subject->err, EAR_REJECT, "%s: more than %d messages in '%s' are of it",
                       subject->id, IDS_MAX, subject->topic) != 0
            : stream_publish(subject->transaction, subject->topic, message->key,
                             message->key_length, NULL, 0, subject->at_us, subject->err) != 0;
    *subject->count += subject->failed ? 0 : 1;
    return !subject->failed;
}

/* A reject of a post names it as item; the bytes of a collector's lie in
 * `bodies`, for a day. */
static bool bury_reject(void *user, const struct stream_message *message)
{
    struct subject *subject = user;

    if (message->value == NULL ||
        memmem(message->value, message->value_length, subject->id, strlen(subject->id)) == NULL) {
        return true;
    }
    subject->failed =
        stream_publish(subject->transaction, "rejects", message->key, message->key_length, NULL, 0,
                       subject->at_us, subject->err) != 0 ||
        stream_publish(subject->transaction, "bodies", message->key, message->key_length, NULL, 0,
                       subject->at_us, subject->err) != 0;
    subject->rejects++;
    return !subject->failed;
}

static int publish_all(struct subject *subject, struct stream *stream, struct ear_error *err)
{
    char value[128];
    char at[INSTANT_SIZE];

    snprintf(value, sizeof value, "{\"kind\":\"%s\",\"at\":\"%s\"}",
             subject->author ? "author" : "post", instant_format(at, subject->at_us));
    if (stream_begin(&subject->transaction, stream, err) != 0) {
        return -1;
    }
    subject->topic = "posts";
    subject->count = &subject->posts;
    if (stream_publish(subject->transaction, "forgotten", subject->hash, strlen(subject->hash),
                       value, strlen(value), subject->at_us, err) != 0 ||
        stream_each_latest(stream, "posts", bury, subject, err) != 0 || subject->failed) {
        goto failed;
    }
    subject->topic = "insights";
    subject->count = &subject->insights;
    if (stream_each_latest(stream, "insights", bury, subject, err) != 0 || subject->failed ||
        stream_each_latest(stream, "rejects", bury_reject, subject, err) != 0 || subject->failed) {
        goto failed;
    }
    return stream_commit(subject->transaction, err);

failed:
    stream_abort(subject->transaction);
    return -1;
}

/* --- the report --- */

enum disk { DISK_WITH_COMPACT, DISK_BY_BROKERS, DISK_OFF };

static int report(const struct command_call *call, const struct subject *subject, enum disk disk,
                  struct ear_error *err)
{
    static const char *const when[] = {
        [DISK_WITH_COMPACT] =
            "off the disk with the next `earshot compact` (`earshot run` does it daily)",
        [DISK_BY_BROKERS] =
            "off the brokers' disks, and out of `earshot tap`, about stream.compact_lag later",
        [DISK_OFF] = "off the disk",
    };
    struct json_writer *writer = NULL;
    int result = -1;

    if (call->output == OUTPUT_TABLE) {
        printf("forgotten: %s %s\n", subject->author ? "the author" : "the post", subject->id);
        printf("  from the log: %zu posts, %zu insights, %zu rejects; %s\n", subject->posts,
               subject->insights, subject->rejects, when[disk]);
        return EXIT_DONE;
    }
    if (json_writer_new(&writer, REPORT_MAX, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "kind", subject->author ? "author" : "post");
    json_member_string(writer, "id", subject->id);
    json_member_integer(writer, "posts", (int64_t)subject->posts);
    json_member_integer(writer, "insights", (int64_t)subject->insights);
    json_member_integer(writer, "rejects", (int64_t)subject->rejects);
    json_write_key(writer, "off_disk");
    json_write_boolean(writer, disk == DISK_OFF);
    json_member_string(writer, "disk", when[disk]);
    json_write_object_end(writer);
    result = print_json_line(writer, err) == 0 ? EXIT_DONE : -1;
    json_writer_free(writer);
    return result;
}

static int forget(struct subject *subject, const struct command_call *call, struct ear_error *err)
{
    const struct deciding_options *options = call->options;
    struct ear_error why = {EAR_NONE, ""};
    struct stream *stream = NULL;
    int64_t freed = 0;
    enum disk disk;
    int code = EXIT_DONE;

    if (isatty(STDERR_FILENO)) {
        fputs("looking through the whole log for it; this takes a while\n", stderr);
    }
    if (settings_open_stream(&stream, call->settings, false, err) != 0) {
        return -1;
    }
    if (publish_all(subject, stream, err) != 0 || stream_compact(stream, false, &freed, err) != 0) {
        stream_close(stream);
        return -1;
    }
    disk = freed == STREAM_FREED_LATER ? DISK_BY_BROKERS : DISK_WITH_COMPACT;
    stream_close(stream);
    if (!options->no_wait) {
        code = carry_through(call, call->settings, clock_mono_us() + 10 * CLOCK_MINUTE_US, err);
        if (code != EXIT_DONE) {
            return code;
        }
        if (settings_open_stream(&stream, call->settings, false, err) != 0) {
            return -1;
        }
        if (stream_compact(stream, true, &freed, &why) == 0 && disk != DISK_BY_BROKERS) {
            disk = DISK_OFF;
        }
        stream_close(stream);
    }
    return report(call, subject, disk, err);
}

int command_forget(const struct command_call *call, struct ear_error *err)
{
    struct subject subject = {.at_us = clock_now_us(&call->clock), .err = err};
    int code = find_subject(&subject, call, err);

    if (code != EXIT_DONE || json_new(&subject.json, err) != 0) {
        return code != EXIT_DONE ? code : -1;
    }
    code = forget(&subject, call, err);
    json_free(subject.json);
    return code;
}
