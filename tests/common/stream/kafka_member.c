/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/common/stream/kafka_member.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPTIONS_MAX = 12, EVERY_MS = 50, FIFTH = 5 };

const struct stream_topic member_topics[3] = {
    {.name = "cursors", .partitions = MEMBER_PARTITIONS, .compact = true},
    {.name = "seen", .partitions = MEMBER_PARTITIONS, .compact = true, .by_prefix = true},
    {.name = "log", .partitions = 4},
};

struct member {
    struct stream *stream;
    struct stream_share *share;
    int64_t numbers[MEMBER_KEYS]; /* the last committed, as far as is known; of keys that it owns */
    int64_t epochs[MEMBER_KEYS];
    int64_t commits;
    int round;
    bool writes;
    bool ends;
};

size_t member_key(char out[16], int number)
{
    return (size_t)snprintf(out, 16, "source-%03d", number);
}

static size_t seen_key(char out[32], int number, int64_t value)
{
    return (size_t)snprintf(out, 32, "source-%03d/%d", number, (int)(value % MEMBER_SEEN));
}

static void say(const char *what, const char *more)
{
    printf("%s %s\n", what, more);
    fflush(stdout);
}

static void say_number(const char *what, int64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)number);
    say(what, text);
}

/* --- restoring --- */

static int64_t look_up(struct member *member, const char *topic, const char *key, size_t length,
                       struct ear_error *err)
{
    char *text = NULL;
    size_t text_length = 0;
    int found = stream_lookup(member->stream, topic, key, length, &text, &text_length, err);
    int64_t number = found == 1 ? strtoll(text, NULL, 10) : found;

    free(text);
    return number;
}

/* What a transaction wrote to both tables must be there in both. */
static int restore_key(struct member *member, int number, struct ear_error *err)
{
    char key[32];
    int64_t cursor = look_up(member, "cursors", key, member_key(key, number), err);
    int64_t seen = 0;

    for (int i = 0; i < MEMBER_SEEN && cursor >= 0; i++) {
        int64_t one = look_up(member, "seen", key, seen_key(key, number, i), err);

        if (one < 0) {
            return -1;
        }
        seen = one > seen ? one : seen;
    }
    if (cursor < 0) {
        return -1;
    }
    member_key(key, number);
    if (seen != cursor) {
        say("TORN", key);
    }
    if (cursor < member->numbers[number]) {
        say("BACK", key);
    }
    member->numbers[number] = cursor;
    return 0;
}

static int take_stock(struct member *member, struct ear_error *err)
{
    int owned = 0;

    for (int i = 0; i < MEMBER_KEYS; i++) {
        char key[16];
        int64_t epoch = stream_share_owns(member->share, key, member_key(key, i));

        if (epoch != 0 && epoch != member->epochs[i] && restore_key(member, i, err) != 0) {
            return -1;
        }
        member->epochs[i] = epoch;
        owned += epoch != 0;
    }
    say_number("OWN", owned);
    return 0;
}

/* --- writing --- */

static int publish_key(struct member *member, struct stream_transaction *transaction, int number,
                       struct ear_error *err)
{
    const int64_t value = member->numbers[number] + 1;
    char key[32];
    char text[32];
    const size_t length = (size_t)snprintf(text, sizeof text, "%lld", (long long)value);
    struct timespec now;
    int64_t now_us;

    clock_gettime(CLOCK_REALTIME, &now);
    now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    return stream_publish(transaction, "log", key, member_key(key, number), text, length, now_us,
                          err) != 0 ||
                   stream_publish(transaction, "cursors", key, member_key(key, number), text,
                                  length, now_us, err) != 0 ||
                   stream_publish(transaction, "seen", key, seen_key(key, number, value), text,
                                  length, now_us, err) != 0
               ? -1
               : 0;
}

static bool is_due(const struct member *member, int number)
{
    return number % FIFTH == member->round % FIFTH && member->epochs[number] != 0;
}

/* A fifth of what it owns, in one transaction. */
static int write_round(struct member *member, struct ear_error *err)
{
    struct stream_transaction *transaction = NULL;
    int count = 0;

    if (stream_begin(&transaction, member->stream, err) != 0) {
        return -1;
    }
    member->round++;
    for (int i = 0; i < MEMBER_KEYS; i++) {
        if (is_due(member, i)) {
            if (publish_key(member, transaction, i, err) != 0) {
                stream_abort(transaction);
                return -1;
            }
            count++;
        }
    }
    if (count == 0) {
        stream_abort(transaction);
        return 0;
    }
    if (stream_share_guard(transaction, member->share, err) != 0) {
        stream_abort(transaction);
        return -1;
    }
    if (stream_commit(transaction, err) != 0) {
        return -1;
    }
    for (int i = 0; i < MEMBER_KEYS; i++) {
        member->numbers[i] += is_due(member, i);
    }
    say_number("C", ++member->commits);
    return 0;
}

/* --- the loop --- */

static void hear(struct member *member)
{
    char command;
    ssize_t got;

    while ((got = read(STDIN_FILENO, &command, 1)) == 1) {
        member->writes = command == 'w' || (member->writes && command != 'i');
    }
    member->ends = got == 0;
}

static int turn(struct member *member, struct ear_error *err)
{
    bool changed = false;

    if (stream_share_turn(member->share, EVERY_MS, &changed, err) != 0) {
        if (err->kind == EAR_FENCED) {
            say("TWICE", err->message);
        }
        return err->kind == EAR_RETRY ? 0 : -1;
    }
    if (changed && take_stock(member, err) != 0) {
        return -1;
    }
    if (member->writes && write_round(member, err) != 0) {
        if (err->kind != EAR_RETRY && err->kind != EAR_FENCED) {
            return -1;
        }
        say(err->kind == EAR_RETRY ? "RETRY" : "FENCED", err->message);
    }
    return 0;
}

static int run(struct member *member, struct ear_error *err)
{
    static const char *const tables[] = {"cursors", "seen"};

    if (stream_share_open(&member->share, member->stream, "c", tables, 2, err) != 0) {
        return -1;
    }
    while (!member->ends) {
        hear(member);
        if (turn(member, err) != 0) {
            return -1;
        }
        ear_error_clear(err);
    }
    return 0;
}

int member_main(int argc, char **argv)
{
    struct stream_option options[OPTIONS_MAX];
    struct stream_config config = {.url = argv[2],
                                   .instance = argv[3],
                                   .role = "collect",
                                   .compact_lag_us = 3600LL * 1000000,
                                   .topics = member_topics,
                                   .topic_count = 3,
                                   .options = options};
    struct member member = {.writes = strcmp(argv[4], "write") == 0};
    struct ear_error err = {0};
    int code = 0;

    for (int i = 5; i < argc && config.option_count < OPTIONS_MAX; i++) {
        char *equals = strchr(argv[i], '=');

        *equals = '\0';
        options[config.option_count++] = (struct stream_option){argv[i], equals + 1};
    }
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (stream_open(&member.stream, &config, &err) != 0 || run(&member, &err) != 0) {
        code = err.kind == EAR_FENCED ? 3 : 1;
        say("ERROR", err.message);
    }
    stream_share_close(member.share);
    stream_close(member.stream);
    return code;
}
