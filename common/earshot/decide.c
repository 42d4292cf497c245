/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot label` and `earshot import`: what people say themselves, appended and carried through.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/earshot/earshot_internal.h"

enum { DECISION_MAX = 64 * 1024 };

static const int64_t carry_us = 10 * CLOCK_MINUTE_US;

const struct ear_option decide_options[] = {
    {"no-wait", EAR_BOOLEAN, offsetof(struct deciding_options, no_wait), "false",
     "return at once, before it has reached the store", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* --- label --- */

const struct ear_option label_options[] = {
    {"note", EAR_STRING, offsetof(struct label_values, note), NULL, "why, in your words", NULL},
    {"who", EAR_STRING, offsetof(struct label_values, who), NULL, "who says so (else $USER)", NULL},
    {"no-wait", EAR_BOOLEAN, offsetof(struct label_values, no_wait), "false",
     "return at once, before it has reached the store", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* A random UUID (RFC 9562, version 4). */
static int make_uuid(char out[37], struct ear_error *err)
{
    unsigned char bytes[16];
    size_t used = 0;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return ear_fail(err, EAR_FATAL, "the system gives no random bytes");
    }
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[used++] = '-';
        }
        snprintf(out + used, 37 - used, "%02x", bytes[i]);
        used += 2;
    }
    return 0;
}

/* wish=no, complaint=yes: into the object "set". */
static int write_set(const struct command_call *call, struct json_writer *writer)
{
    static const char *const labels[] = {"wish", "complaint", "praise", NULL};
    char nearest[128];

    json_write_key(writer, "set");
    json_write_object(writer);
    for (size_t i = 1; i < call->argument_count; i++) {
        const char *argument = call->arguments[i];
        size_t length = strcspn(argument, "=");
        const char *value = argument[length] == '=' ? argument + length + 1 : "";
        char label[32];
        size_t which = 0;

        snprintf(label, sizeof label, "%.*s", (int)length, argument);
        while (labels[which] != NULL && strcmp(labels[which], label) != 0) {
            which++;
        }
        if (labels[which] == NULL) {
            config_suggest(nearest, sizeof nearest, label, labels);
            return command_misused(call, "'%s' is no label: wish, complaint, praise%s%s", label,
                                   nearest[0] == '\0' ? "" : "; ", nearest);
        }
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
            return command_misused(call, "%s is yes or no, such as %s=no", label, label);
        }
        json_write_key(writer, label);
        json_write_boolean(writer, strcmp(value, "yes") == 0);
    }
    json_write_object_end(writer);
    return EXIT_DONE;
}

int decision_begin(struct json_writer *writer, const char *who, const char *kind,
                   const char *subject, int64_t now_us, struct ear_error *err)
{
    const char *user = who != NULL ? who : secure_getenv("USER");
    char uuid[37];
    char at[INSTANT_SIZE];

    if (make_uuid(uuid, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "id", uuid);
    json_member_string(writer, "at", instant_format(at, now_us));
    json_member_string(writer, "who", user == NULL ? "unknown" : user);
    json_member_string(writer, "kind", kind);
    json_member_string(writer, "subject", subject);
    return 0;
}

static int write_decision(const struct command_call *call, struct json_writer *writer,
                          int64_t now_us, struct ear_error *err)
{
    const struct label_values *options = call->options;
    int code = EXIT_DONE;

    if (decision_begin(writer, options->who, "label", call->arguments[0], now_us, err) != 0) {
        return -1;
    }
    json_member_string(writer, "post", call->arguments[0]);
    code = write_set(call, writer);
    json_member_string(writer, "note", options->note);
    json_write_object_end(writer);
    return code;
}

static int append_decision(const struct command_call *call, const char *decision, int64_t now_us,
                           struct ear_error *err)
{
    const char *id = call->arguments[0];
    struct stream *stream = NULL;
    char *value = NULL;
    size_t length = 0;
    int found = 0;
    int result = -1;

    if (settings_open_stream(&stream, call->settings, false, err) != 0) {
        return -1;
    }
    found = stream_lookup(stream, "insights", id, strlen(id), &value, &length, err);
    if (found >= 0) {
        result = publish_one(stream, "decisions", id, decision, now_us, err);
    }
    if (result == 0 && found == 0) {
        fprintf(
            stderr,
            "no post of this id has been classified yet, so the correction waits for it (status: "
            "decisions_waiting); is the id right? `earshot export posts -o json` shows those of "
            "all\n");
    }
    free(value);
    stream_close(stream);
    return result;
}

int command_label(const struct command_call *call, struct ear_error *err)
{
    const struct label_values *options = call->options;
    struct json_writer *writer = NULL;
    const char *decision = NULL;
    int64_t now_us = clock_now_us(&call->clock);
    int code = -1;

    if (call->argument_count < 2) {
        return command_misused(call, "say what is right, such as wish=no");
    }
    if (strlen(call->arguments[0]) >= STREAM_KEY_MAX) {
        return command_misused(call, "this is no post id");
    }
    if (json_writer_new(&writer, DECISION_MAX, err) != 0) {
        return -1;
    }
    code = write_decision(call, writer, now_us, err);
    if (code == EXIT_DONE) {
        decision = json_writer_text(writer, NULL, err);
        code = decision == NULL || append_decision(call, decision, now_us, err) != 0 ? -1 : 0;
    }
    if (code == EXIT_DONE && !options->no_wait) {
        code = carry_through(call, call->settings, clock_mono_us() + carry_us, err);
    }
    json_writer_free(writer);
    return code;
}

/* --- import --- */

const struct ear_option import_options[] = {
    {"source", EAR_STRING, offsetof(struct import_values, source), NULL,
     "what it is called (else the file's name); part of the ids", NULL},
    {"channel", EAR_STRING, offsetof(struct import_values, channel), NULL,
     "survey, review, frontline, helpdesk, …", NULL},
    {"map", EAR_STRINGS, offsetof(struct import_values, map), NULL,
     "FIELD=COLUMN, such as text=Comment; again for each field, or with commas", NULL},
    {"about", EAR_STRING, offsetof(struct import_values, about), NULL, "the brand that it is about",
     NULL},
    {"zone", EAR_STRING, offsetof(struct import_values, zone), NULL,
     "the time zone of times without one", NULL},
    {"lang", EAR_STRING, offsetof(struct import_values, lang), NULL, "its language, such as en",
     NULL},
    {"delimiter", EAR_STRING, offsetof(struct import_values, delimiter), NULL,
     "between columns (else found out)", NULL},
    {"scale", EAR_STRING, offsetof(struct import_values, scale), NULL,
     "the best rating there is, such as 5 or 10 (else ratings are 0 to 1)", NULL},
    {"no-wait", EAR_BOOLEAN, offsetof(struct import_values, no_wait), "false",
     "return at once, before it has reached the store", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

static void hand_on(struct launch *launch, const char *name, const char *value)
{
    if (value != NULL) {
        launch_add(launch, name);
        launch_add(launch, value);
    }
}

int command_import(const struct command_call *call, struct ear_error *err)
{
    const struct import_values *options = call->options;
    struct launch launch;
    int code = 0;
    int carried = 0;

    if (options->map.count > 20) {
        return command_misused(call, "more than 20 --map; join some with commas");
    }
    launch_init(&launch, call, roles[ROLE_COLLECT].program, "import");
    hand_on(&launch, "--source", options->source);
    hand_on(&launch, "--channel", options->channel);
    hand_on(&launch, "--about", options->about);
    hand_on(&launch, "--zone", options->zone);
    hand_on(&launch, "--lang", options->lang);
    hand_on(&launch, "--delimiter", options->delimiter);
    hand_on(&launch, "--scale", options->scale);
    for (size_t i = 0; i < options->map.count; i++) {
        hand_on(&launch, "--map", options->map.items[i]);
    }
    launch_add(&launch, "--");
    launch_add(&launch, call->arguments[0]);
    code = launch_run(&launch, err);
    if (code < 0 || code == EXIT_USAGE || code == EXIT_CONFIG || options->no_wait) {
        return code;
    }
    /* What was good is carried on even where some of it was not. */
    carried = carry_through(call, call->settings, clock_mono_us() + carry_us, err);
    return carried < 0 || code == EXIT_DONE ? carried : code;
}
