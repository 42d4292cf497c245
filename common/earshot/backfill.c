/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `earshot backfill`: a walk into a source's past. The command leaves an errand in the log; the
 * collector that has the source walks, between its ordinary polls, and writes how far it has come
 * where the source stands. If no collector runs here, one is started: on the local log for this
 * source alone. On Kafka collectors of other machines may have the source, which nobody tells us:
 * there one is started when nothing has moved for a while, and it is one like any other, for a
 * member of the group that left the other sources of its partitions alone would starve them. So
 * the walk outlives this command: after a kill it goes on with the next collector, or with the
 * next `earshot backfill SOURCE`.
 */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/earshot/earshot_internal.h"
#include "common/json_instant.h"

enum { ERRAND_MAX = 4096, LOOK_EVERY_MS = 500 };

static const int64_t carry_us = 10 * CLOCK_MINUTE_US;

/* How long a collector that runs may take to take the errand up, or on Kafka to go on with it,
 * before we say that none does. */
static const int64_t patience_us = 30 * CLOCK_SECOND_US;

const struct ear_option backfill_options[] = {
    {"since", EAR_STRING, offsetof(struct backfill_values, since), NULL,
     "how far back: 90d, a date, or all; without it the last walk goes on", NULL},
    {"stop", EAR_BOOLEAN, offsetof(struct backfill_values, stop), "false",
     "walk no further; what was found stays", NULL},
    {"no-wait", EAR_BOOLEAN, offsetof(struct backfill_values, no_wait), "false",
     "return at once; the collector walks by itself", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

/* The walk as the source's collector last told it. */
struct walk {
    const struct command_call *call;
    struct stream *stream;
    struct json *json;
    const char *source;
    int64_t asked_us; /* our errand; 0: none yet */
    int64_t since_us;
    bool taken_up, done, red;
    int64_t posts, requests, reached_us, began_us;
    char error[512]; /* the source's; empty: none */
    pid_t pid;       /* of the collector that we started; 0: none */
    int64_t began_mono_us, first_posts;
    int64_t said_us, moved_mono_us; /* when the source's collector last told of it; when we saw */
    int64_t next_us;                /* the walk itself wants to wait until then */
    bool moved;
};

static const struct json_node *look_up(struct walk *walk, const char *topic, bool *failed,
                                       struct ear_error *err)
{
    char *text = NULL;
    size_t length = 0;
    const int found =
        stream_lookup(walk->stream, topic, walk->source, strlen(walk->source), &text, &length, err);
    const struct json_node *root = NULL;

    if (found == 1) {
        root = json_read(walk->json, text, length, &json_limits_default, err);
    }
    *failed = found < 0 || (found == 1 && root == NULL);
    free(text);
    return root;
}

static int look(struct walk *walk, struct ear_error *err)
{
    bool failed = false;
    const struct json_node *root = look_up(walk, "cursors", &failed, err);
    const struct json_node *backfill = json_get(root, "backfill");
    const char *state = json_string(json_get(root, "state"), NULL);
    const char *error = json_string(json_get(root, "error"), NULL);

    if (failed) {
        return -1;
    }
    walk->taken_up = json_instant(backfill, "asked_at", 0) >= walk->asked_us && walk->asked_us != 0;
    walk->since_us = json_instant(backfill, "since", 0);
    walk->done =
        walk->taken_up && (walk->since_us == 0 || json_instant(backfill, "done_at", 0) != 0);
    walk->red = state != NULL && strcmp(state, "red") == 0;
    walk->reached_us = json_instant(backfill, "reached", 0);
    walk->began_us = json_instant(backfill, "began_at", 0);
    walk->next_us = json_instant(backfill, "next_at", 0);
    if (json_instant(root, "at", 0) != walk->said_us) {
        walk->said_us = json_instant(root, "at", 0);
        walk->moved_mono_us = clock_mono_us();
    }
    (void)json_integer(json_get(backfill, "posts"), &walk->posts);
    (void)json_integer(json_get(backfill, "requests"), &walk->requests);
    snprintf(walk->error, sizeof walk->error, "%s", error == NULL ? "" : error);
    return 0;
}

/* --- the errand --- */

static int check_source(const struct walk *walk, struct ear_error *err)
{
    const struct settings *settings = walk->call->settings;
    const char *names[65];
    size_t count = 0;
    char suggestion[160];

    for (size_t i = 0; i < settings->source_count; i++) {
        if (strcmp(settings->sources[i].name, walk->source) == 0) {
            return 0;
        }
        if (count < 64) {
            names[count++] = settings->sources[i].name;
        }
    }
    names[count] = NULL;
    config_suggest(suggestion, sizeof suggestion, walk->source, names);
    return ear_fail(err, EAR_CONFIG, "no source is called '%.100s'%s%s", walk->source,
                    *suggestion == '\0' ? "; `earshot status` lists them" : "; ", suggestion);
}

/* Later than the source's last errand, whatever the clock says. */
static int find_instant(struct walk *walk, struct ear_error *err)
{
    bool failed = false;
    const int64_t before_us = json_instant(look_up(walk, "errands", &failed, err), "at", 0);
    const int64_t now_us = clock_now_us(&walk->call->clock);

    walk->asked_us = now_us > before_us ? now_us : before_us + CLOCK_SECOND_US / 1000;
    return failed ? -1 : 0;
}

static int publish_errand(struct walk *walk, int64_t since_us, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    char at[INSTANT_SIZE];
    const char *text = NULL;
    int result = -1;

    if (json_writer_new(&writer, ERRAND_MAX, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "source", walk->source);
    json_member_string(writer, "at", instant_format(at, walk->asked_us));
    if (since_us != 0) {
        json_member_string(writer, "backfill_since", instant_format(at, since_us));
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, NULL, err);
    if (text != NULL) {
        result = publish_one(walk->stream, "errands", walk->source, text, walk->asked_us, err);
    }
    json_writer_free(writer);
    return result;
}

/* --since as an instant; `all` is the beginning of 1971. An exit code, or -1. */
static int read_since(const struct walk *walk, int64_t *since_us, struct ear_error *err)
{
    const struct backfill_values *options = walk->call->options;
    const int64_t now_us = clock_now_us(&walk->call->clock);

    if (strcmp(options->since, "all") == 0) {
        *since_us = 365 * CLOCK_DAY_US;
        return EXIT_DONE;
    }
    if (instant_parse_bound(since_us, options->since, now_us, walk->call->settings->zone, err) !=
        0) {
        if (err->kind != EAR_CONFIG) {
            return -1;
        }
        return command_misused(walk->call, "--since: %s", err->message);
    }
    if (*since_us >= now_us) {
        return command_misused(walk->call, "--since lies in the future");
    }
    *since_us = *since_us < CLOCK_DAY_US ? CLOCK_DAY_US : *since_us;
    return EXIT_DONE;
}

/* Leaves the errand, or finds the one that goes on. An exit code, or -1. */
static int ask(struct walk *walk, struct ear_error *err)
{
    const struct backfill_values *options = walk->call->options;
    int64_t since_us = 0;
    int code = EXIT_DONE;

    if (options->since != NULL && options->stop) {
        return command_misused(walk->call, "either --since or --stop");
    }
    if (options->since != NULL) {
        code = read_since(walk, &since_us, err);
    }
    if (code != EXIT_DONE || find_instant(walk, err) != 0) {
        return code != EXIT_DONE ? code : -1;
    }
    if (options->since != NULL || options->stop) {
        return publish_errand(walk, since_us, err) == 0 ? EXIT_DONE : -1;
    }
    {
        bool failed = false;

        walk->asked_us = json_instant(look_up(walk, "errands", &failed, err), "at", 0);
        if (failed) {
            return -1;
        }
    }
    if (walk->asked_us == 0) {
        return command_misused(walk->call, "say how far back, such as --since 90d");
    }
    return EXIT_DONE;
}

/* --- watching --- */

static void print_progress(struct walk *walk)
{
    const int64_t now_us = clock_now_us(&walk->call->clock);
    const double spent_s = (double)(clock_mono_us() - walk->began_mono_us) / 1e6;
    const double rate = (double)(walk->posts - walk->first_posts) / (spent_s < 1 ? 1 : spent_s);
    const double way = (double)(now_us - walk->since_us);
    const double gone = walk->reached_us == 0 ? 0 : (double)(now_us - walk->reached_us) / way;
    char left[DURATION_SIZE] = "?";

    if (gone > 0.001 && gone < 1 && walk->began_us != 0) {
        const double since_began_us = (double)(now_us - walk->began_us);

        duration_format(left, (int64_t)(since_began_us * (1 - gone) / gone));
    }
    fprintf(stderr,
            "\r\033[K%s: %3.0f %%, %" PRId64 " posts, %.0f posts/s, %" PRId64 " requests, %s left",
            walk->source, 100 * (gone > 1 ? 1 : gone), walk->posts, rate, walk->requests, left);
    if (walk->error[0] != '\0') {
        fputs("; ", stderr);
        print_text(stderr, walk->error, 60);
    }
}

/* Starts a collector, unless one runs here. */
static int start_collector(struct walk *walk, struct ear_error *err)
{
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, -1};

    if (settings_role_holder(walk->call->settings, roles[ROLE_COLLECT].name) > 0) {
        return 0;
    }
    launch_init(&launch, walk->call, roles[ROLE_COLLECT].program, "backfill");
    launch_add(&launch, "--");
    launch_add(&launch, walk->source);
    return child_start(&walk->pid, &config, err);
}

/* Ends the collector that we started; its exit code. */
static int end_collector(struct walk *walk)
{
    int code = EXIT_DONE;

    if (walk->pid != 0) {
        kill(walk->pid, SIGTERM);
        (void)child_wait(walk->pid, -1, &code);
        walk->pid = 0;
    }
    return code;
}

/* Has nobody done anything for the walk, and had no reason to wait? */
static bool is_abandoned(const struct walk *walk)
{
    const int64_t patient_us = clock_mono_us() - patience_us;

    if (walk->pid != 0 || walk->began_mono_us > patient_us) {
        return false;
    }
    return settings_on_kafka(walk->call->settings)
               ? walk->moved_mono_us <= patient_us &&
                     walk->next_us <= clock_now_us(&walk->call->clock) - patience_us
               : !walk->taken_up;
}

/* A step of watching. An exit code once it is over, GOES_ON while it is not, or -1. */
enum { GOES_ON = 1000 };

static int watch_once(struct walk *walk, struct ear_error *err)
{
    int code = EXIT_DONE;

    if (walk->pid != 0 && child_wait(walk->pid, LOOK_EVERY_MS, &code)) {
        walk->pid = 0;
        return look(walk, err) != 0 ? -1
               : walk->done         ? EXIT_DONE
               : code == EXIT_DONE  ? EXIT_LATER
                                    : code;
    }
    if (walk->pid == 0) {
        poll(NULL, 0, LOOK_EVERY_MS); /* ends early with a signal */
    }
    if (look(walk, err) != 0) {
        return -1;
    }
    if (!walk->moved) {
        walk->moved = true;
        walk->first_posts = walk->posts;
    }
    if (isatty(STDERR_FILENO) && walk->taken_up) {
        print_progress(walk);
    }
    if (walk->done) {
        return EXIT_DONE;
    }
    if (command_stop_asked()) {
        return EXIT_LATER;
    }
    if (walk->red && (walk->pid == 0 || settings_on_kafka(walk->call->settings))) {
        return EXIT_FAILED;
    }
    if (is_abandoned(walk)) {
        return settings_role_holder(walk->call->settings, roles[ROLE_COLLECT].name) > 0
                   ? EXIT_LATER
                   : (start_collector(walk, err) == 0 ? GOES_ON : -1);
    }
    return GOES_ON;
}

static int watch(struct walk *walk, struct ear_error *err)
{
    int code = GOES_ON;

    command_stop_on_signals();
    walk->began_mono_us = clock_mono_us();
    if (!settings_on_kafka(walk->call->settings) && start_collector(walk, err) != 0) {
        return -1;
    }
    while (code == GOES_ON) {
        code = watch_once(walk, err);
    }
    (void)end_collector(walk);
    if (isatty(STDERR_FILENO)) {
        fputc('\n', stderr);
    }
    return code;
}

static int report(struct walk *walk, int code, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    char text[INSTANT_SIZE];
    int result = -1;

    if (code == EXIT_FAILED) {
        fprintf(stderr, "%s: %s\n", walk->source, walk->error);
    } else if (code == EXIT_LATER) {
        fprintf(stderr,
                "not at its end yet; it goes on with `earshot run`, or `earshot backfill %s`\n",
                walk->source);
    }
    if (walk->call->output == OUTPUT_TABLE) {
        printf("%s: %" PRId64 " posts in %" PRId64 " requests%s\n", walk->source, walk->posts,
               walk->requests, walk->done ? "" : " so far");
        return code;
    }
    if (json_writer_new(&writer, ERRAND_MAX, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "source", walk->source);
    json_write_key(writer, "since");
    json_write_string(writer, walk->since_us == 0 ? NULL : instant_format(text, walk->since_us));
    json_write_key(writer, "reached");
    json_write_string(writer,
                      walk->reached_us == 0 ? NULL : instant_format(text, walk->reached_us));
    json_member_integer(writer, "posts", walk->posts);
    json_member_integer(writer, "requests", walk->requests);
    json_write_key(writer, "done");
    json_write_boolean(writer, walk->done);
    json_write_key(writer, "error");
    json_write_string(writer, walk->error[0] == '\0' ? NULL : walk->error);
    json_write_object_end(writer);
    result = print_json_line(writer, err);
    json_writer_free(writer);
    return result == 0 ? code : -1;
}

static int run(struct walk *walk, struct ear_error *err)
{
    const struct backfill_values *options = walk->call->options;
    int carried = EXIT_DONE;
    int code = ask(walk, err);

    if (code != EXIT_DONE || options->no_wait || options->stop) {
        return code;
    }
    code = watch(walk, err);
    stream_close(walk->stream); /* the roles have it now */
    walk->stream = NULL;
    if (code >= 0) {
        code = report(walk, code, err);
    }
    if (code != EXIT_DONE && code != EXIT_LATER) {
        return code;
    }
    carried = carry_through(walk->call, walk->call->settings, clock_mono_us() + carry_us, err);
    return carried < 0 || code == EXIT_DONE ? carried : code;
}

int command_backfill(const struct command_call *call, struct ear_error *err)
{
    struct walk walk = {.call = call, .source = call->arguments[0]};
    int code = -1;

    if (check_source(&walk, err) == 0 && json_new(&walk.json, err) == 0 &&
        settings_open_stream(&walk.stream, call->settings, false, err) == 0) {
        code = run(&walk, err);
    }
    stream_close(walk.stream);
    json_free(walk.json);
    return code;
}
