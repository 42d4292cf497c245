/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ledger: how often messages of a source and an hour (that of their version, which every one of
 * them carries) were written to a topic and read from it. Collectors, processors and commands say
 * it in the topic `audit`, in the transactions that publish; the sink counts what it applies
 * itself, in the transaction that applies. Counts of a batch are kept in memory and written before
 * it commits. Whether they balance, the holder tells (sinks/balance).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/instant.h"
#include "sinks/apply/apply_internal.h"

enum { LINES_MAX = 1024, READER_SIZE = 256 };

static void clear_line(struct ledger_line *line)
{
    free(line->source);
    free(line->topic);
    free(line->reader);
    *line = (struct ledger_line){0};
}

void ledger_forget(struct apply *apply)
{
    for (size_t i = 0; i < apply->line_count; i++) {
        clear_line(&apply->lines[i]);
    }
    apply->line_count = 0;
}

static int compare_lines(const void *one, const void *other)
{
    const struct ledger_line *left = one;
    const struct ledger_line *right = other;
    int order = left->hour_us < right->hour_us ? -1 : left->hour_us > right->hour_us;

    order = order != 0 ? order : strcmp(left->source, right->source);
    order = order != 0 ? order : strcmp(left->topic, right->topic);
    order = order != 0 ? order : strcmp(left->reader, right->reader);
    return order != 0 ? order : left->part - right->part;
}

int ledger_flush(struct apply *apply, struct ear_error *err)
{
    if (apply->line_count > 1) {
        qsort(apply->lines, apply->line_count, sizeof apply->lines[0], compare_lines);
    }
    for (size_t i = 0; i < apply->line_count; i++) {
        const struct ledger_line *line = &apply->lines[i];
        struct store_value values[] = {store_integer(line->hour_us), store_text(line->source),
                                       store_text(line->topic),      store_text(line->reader),
                                       store_integer(line->part),    store_integer(line->came),
                                       store_integer(line->went)};

        if (store_run(apply->store, QUERY_LEDGER_ADD, values, 7, err) != 0) {
            return -1;
        }
    }
    ledger_forget(apply);
    return 0;
}

/* The line of these; begun if it is the first. The latest stand last and are asked first. NULL: no
 * memory, or the store failed. */
static struct ledger_line *need_line(struct apply *apply, const struct ledger_line *like,
                                     struct ear_error *err)
{
    struct ledger_line *line = NULL;

    for (size_t i = apply->line_count; i-- > 0;) {
        if (compare_lines(&apply->lines[i], like) == 0) {
            return &apply->lines[i];
        }
    }
    if (apply->line_count == LINES_MAX && ledger_flush(apply, err) != 0) {
        return NULL;
    }
    if (apply->lines == NULL) {
        apply->lines = calloc(LINES_MAX, sizeof *apply->lines);
    }
    if (apply->lines == NULL) {
        ear_fail_memory(err, "the ledger");
        return NULL;
    }
    line = &apply->lines[apply->line_count];
    *line = (struct ledger_line){.hour_us = like->hour_us,
                                 .source = strdup(like->source),
                                 .topic = strdup(like->topic),
                                 .reader = strdup(like->reader),
                                 .part = like->part};
    if (line->source == NULL || line->topic == NULL || line->reader == NULL) {
        clear_line(line);
        ear_fail_memory(err, "the ledger");
        return NULL;
    }
    apply->line_count++;
    return line;
}

/* Adds to the counts that `like` names. What is older than the ledger goes back is left out. */
static int count(struct apply *apply, const struct ledger_line *like, int64_t came, int64_t went,
                 struct ear_error *err)
{
    struct ledger_line *line = NULL;

    if (like->hour_us < apply->now_us - APPLY_LEDGER_US) {
        return 0;
    }
    line = need_line(apply, like, err);
    if (line == NULL) {
        return -1;
    }
    line->came += came;
    line->went += went;
    return 0;
}

static char *name_of(const char *text)
{
    return (char *)(text == NULL || text[0] == '\0' || strlen(text) >= READER_SIZE ? "-" : text);
}

int ledger_insight(struct apply *apply, const struct stream_message *message, struct ear_error *err)
{
    int64_t at_us = apply->seen_version > 0 ? apply->seen_version : message->at_us;
    struct ledger_line like = {.hour_us = at_us - at_us % CLOCK_HOUR_US,
                               .source = name_of(apply->seen_source),
                               .topic = (char *)message->topic,
                               .reader = (char *)"sink.store",
                               .part = message->partition};

    return message->value == NULL ? 0 : count(apply, &like, 1, 1, err);
}

/* --- the topic audit --- */

struct audit {
    const char *role, *name, *from, *to;
    struct ledger_line line;
    int64_t in, out, dropped, rejected;
};

static int read_audit(struct audit *audit, struct apply *apply,
                      const struct stream_message *message, struct ear_error *err)
{
    struct ear_message *read =
        message_read(apply->arena, message->value, message->value_length, err);
    size_t length = 0;
    const char *hour = NULL;

    if (read == NULL) {
        return -1;
    }
    hour = message_string(read, "hour", &length);
    audit->role = message_string(read, "role", NULL);
    audit->name = message_string(read, "name", NULL);
    audit->from = message_string(read, "from", NULL);
    audit->to = message_string(read, "to", NULL);
    audit->line.source = name_of(message_string(read, "source", NULL));
    audit->line.part = message->partition;
    if (hour == NULL || audit->role == NULL ||
        !instant_parse_rfc3339(&audit->line.hour_us, hour, length)) {
        return ear_fail(err, EAR_REJECT, "schema: a count of the audit has 'role' and 'hour'");
    }
    message_integer(read, "in", &audit->in);
    message_integer(read, "out", &audit->out);
    message_integer(read, "dropped", &audit->dropped);
    message_integer(read, "rejected", &audit->rejected);
    return 0;
}

int audit_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err)
{
    struct audit audit = {0};
    char reader[READER_SIZE] = "";
    bool collector = false;

    if (message->value == NULL) {
        return 0;
    }
    if (read_audit(&audit, apply, message, err) != 0) {
        return -1;
    }
    /* What a collector passes over goes nowhere; what a processor drops, it says so in its topic.
     */
    collector = strcmp(audit.role, "collect") == 0;
    audit.line.topic = name_of(collector && audit.to == NULL ? "posts" : audit.to);
    audit.line.reader = reader;
    if (count(apply, &audit.line, audit.out + (collector ? 0 : audit.dropped), 0, err) != 0) {
        return -1;
    }
    if (audit.from == NULL || audit.name == NULL) {
        return 0;
    }
    snprintf(reader, sizeof reader, "process.%s", audit.name);
    audit.line.topic = name_of(audit.from);
    return count(apply, &audit.line, audit.in, audit.out + audit.dropped + audit.rejected, err);
}
