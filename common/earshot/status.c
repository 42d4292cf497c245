/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot status`: who runs, how each source stands, what waits, what failed last and the cure. */

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/child.h"
#include "common/earshot/earshot_internal.h"

const struct ear_option status_options[] = {
    {"watch", EAR_BOOLEAN, offsetof(struct status_values, watch), "false",
     "again every two seconds until Ctrl-C", NULL},
    {"quiet", EAR_BOOLEAN, offsetof(struct status_values, quiet), "false",
     "print nothing: exit code 0 if a role runs, no source is red, the log has room and the audit "
     "balances",
     NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

enum { SOURCES_MAX = 10000, STORE_ANSWER_MAX = 1024 * 1024, STATUS_MAX = 16 * 1024 * 1024 };

/* A source's cursor message, as text; read when printed. */
struct stand {
    char *text;
    size_t length;
};

struct status {
    const struct command_call *call;
    struct stream *stream; /* NULL: no log yet */
    struct json *json;
    struct stand *stands;
    size_t stand_count, red, rejects;
    size_t running;
    double fullness;
    char *store;        /* the sink's own answer, a JSON object; NULL: none */
    size_t differences; /* that the audit found and that stand */
    bool failed;
};

static void status_clear(struct status *status)
{
    for (size_t i = 0; i < status->stand_count; i++) {
        free(status->stands[i].text);
    }
    free(status->stands);
    free(status->store);
    json_free(status->json);
    stream_close(status->stream);
}

static const struct json_node *read_text(struct status *status, const char *text, size_t length)
{
    struct ear_error why = {EAR_NONE, ""};

    return json_read(status->json, text, length, &json_limits_default, &why);
}

static const char *string_of(const struct json_node *root, const char *name)
{
    return json_string(json_get(root, name), NULL);
}

/* --- gathering --- */

static bool keep_stand(void *user, const struct stream_message *message)
{
    struct status *status = user;
    struct stand *more = NULL;
    const char *state = NULL;

    if (message->value == NULL || status->stand_count == SOURCES_MAX) {
        return true;
    }
    more = realloc(status->stands, (status->stand_count + 1) * sizeof *more);
    if (more == NULL) {
        status->failed = true;
        return false;
    }
    status->stands = more;
    more += status->stand_count;
    more->text = strndup(message->value, message->value_length);
    more->length = message->value_length;
    if (more->text == NULL) {
        status->failed = true;
        return false;
    }
    status->stand_count++;
    state = string_of(read_text(status, more->text, more->length), "state");
    status->red += state != NULL && strcmp(state, "red") == 0 ? 1 : 0;
    return true;
}

static bool count_reject(void *user, const struct stream_message *message)
{
    struct status *status = user;

    status->rejects += message->value != NULL ? 1 : 0;
    return true;
}

static pid_t holder_of(const struct status *status, size_t which)
{
    return settings_role_holder(status->call->settings, roles[which].name);
}

/* What the sink knows: counts, positions, the oldest post. Its absence is no error here. */
static void ask_store(struct status *status)
{
    struct ear_error why = {EAR_NONE, ""};
    struct launch launch;
    struct child_config config = {launch.path, launch.argv, -1, -1};
    size_t length = 0;
    int code = 0;

    launch_init(&launch, status->call, roles[ROLE_SINK].program, "status");
    launch_add(&launch, "-o");
    launch_add(&launch, "json");
    if (child_capture(&status->store, &length, &code, &config, STORE_ANSWER_MAX, command_stop_asked,
                      &why) != 0) {
        status->store = NULL;
        return;
    }
    while (length > 0 && strchr("\r\n ", status->store[length - 1]) != NULL) {
        status->store[--length] = '\0';
    }
    if (code != EXIT_DONE ||
        json_kind_of(read_text(status, status->store, length)) != JSON_OBJECT) {
        free(status->store);
        status->store = NULL;
    }
}

/* The next difference of the audit that stands, after one (NULL: the first). */
static const struct json_node *next_difference(const struct json_node *audit,
                                               const struct json_node *after)
{
    const struct json_node *node = after == NULL ? json_first(audit) : json_next(after);
    bool stands = false;

    while (node != NULL && !(json_boolean(json_get(node, "stands"), &stands) && stands)) {
        node = json_next(node);
    }
    return node;
}

static void count_differences(struct status *status)
{
    const struct json_node *node = NULL;
    const struct json_node *audit = NULL;

    if (status->store != NULL) {
        audit = json_get(read_text(status, status->store, strlen(status->store)), "audit");
    }
    while (audit != NULL && (node = next_difference(audit, node)) != NULL) {
        status->differences++;
    }
}

static int gather(struct status *status, struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};

    if (json_new(&status->json, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        status->running += holder_of(status, i) > 0 ? 1 : 0;
    }
    if (settings_open_stream(&status->stream, status->call->settings, true, &why) != 0) {
        status->stream = NULL;
        if (why.kind != EAR_RETRY) {
            *err = why;
            return -1;
        }
        return 0;
    }
    status->fullness = stream_fullness(status->stream);
    if (stream_each_latest(status->stream, "cursors", keep_stand, status, err) != 0 ||
        stream_each_latest(status->stream, "rejects", count_reject, status, err) != 0) {
        return -1;
    }
    return status->failed ? ear_fail_memory(err, "the sources") : 0;
}

/* --- lag --- */

/* How many messages a group has still to read; -1: it has never read. */
static int64_t lag_of(struct status *status, const char *group, const char *topic)
{
    struct ear_error why = {EAR_NONE, ""};
    struct stream_span span;
    int64_t lag = 0;
    int partitions = stream_partitions(status->stream, topic);
    bool began = false;

    for (int i = 0; i < partitions; i++) {
        int64_t position = stream_group_position(status->stream, group, topic, i, &why);

        if (position < -1 || stream_span(status->stream, topic, i, &span, &why) != 0) {
            return -1;
        }
        began = began || position >= 0;
        lag += span.end - (position > span.earliest ? position : span.earliest);
    }
    return began || lag == 0 ? lag : -1;
}

/* Calls print for each group and topic that there should be. */
static void each_lag(struct status *status, struct json_writer *writer,
                     void (*print)(struct status *status, struct json_writer *writer,
                                   const char *group, const char *topic))
{
    const struct settings *settings = status->call->settings;
    char group[160];

    for (size_t i = 0; i < settings->processor_count; i++) {
        snprintf(group, sizeof group, "process.%s", settings->processors[i].name);
        print(status, writer, group, settings->processors[i].from);
    }
    print(status, writer, "sink.store", "insights");
    print(status, writer, "sink.store", "decisions");
}

/* --- as a table --- */

static void print_lag_row(struct status *status, struct json_writer *writer, const char *group,
                          const char *topic)
{
    int64_t lag = lag_of(status, group, topic);

    (void)writer;
    if (lag < 0) {
        printf("  %-24s %-12s has not begun\n", group, topic);
    } else {
        printf("  %-24s %-12s %" PRId64 " behind\n", group, topic, lag);
    }
}

static void print_source(const struct json_node *root, int64_t now_us)
{
    const char *state = string_of(root, "state");
    const char *error = string_of(root, "error");
    const char *drift = string_of(root, "drift_error");
    bool drifting = false;
    char asked[48];
    char next[48];
    char post[48];

    printf("  %s ", state != NULL && strcmp(state, "ok") == 0    ? "✓"
                    : state != NULL && strcmp(state, "red") == 0 ? "✗"
                                                                 : "…");
    print_text(stdout, string_of(root, "source"), 30);
    printf(": answered %s, last new post %s, next %s\n",
           ago(asked, string_of(root, "last_success_at"), now_us),
           ago(post, string_of(root, "last_post_at"), now_us),
           ago(next, string_of(root, "next_at"), now_us));
    if (error != NULL && error[0] != '\0') {
        fputs("      ", stdout);
        print_text(stdout, error, 300);
        fputc('\n', stdout);
    }
    if (json_boolean(json_get(root, "drifting"), &drifting) && drifting) {
        fputs("      drifting: ", stdout);
        print_text(stdout, drift == NULL ? "too many of its records are rejected" : drift, 400);
        fputc('\n', stdout);
    }
}

static void print_store(struct status *status)
{
    const struct json_node *root = read_text(status, status->store, strlen(status->store));

    fputs("store:", stdout);
    for (const struct json_node *node = json_first(root); node != NULL; node = json_next(node)) {
        int64_t count = 0;

        if (json_integer(node, &count)) {
            printf("  %s %" PRId64, json_key(node), count);
        }
    }
    fputc('\n', stdout);
}

/* What the audit found, each with its source and hour. */
static void print_audit(struct status *status)
{
    const struct json_node *root = read_text(status, status->store, strlen(status->store));
    const struct json_node *audit = json_get(root, "audit");

    if (audit == NULL) {
        return;
    }
    fputs(status->differences == 0 ? "audit:  balances\n" : "audit:  does not balance\n", stdout);
    for (const struct json_node *node = next_difference(audit, NULL); node != NULL;
         node = next_difference(audit, node)) {
        const char *kind = string_of(node, "kind");
        int64_t amount = 0;

        json_integer(json_get(node, "amount"), &amount);
        fputs("  ✗ ", stdout);
        print_text(stdout, string_of(node, "source"), 30);
        printf(", hour of %s: %" PRId64 " of ", string_of(node, "hour"), amount);
        print_text(stdout, string_of(node, "topic"), 30);
        printf(" %s at ", kind != NULL && strcmp(kind, "lost") == 0 ? "never arrived"
                          : kind != NULL && strcmp(kind, "doubled") == 0
                              ? "arrived twice"
                              : "came in and went nowhere");
        print_text(stdout, string_of(node, "reader"), 60);
        fputc('\n', stdout);
    }
}

static void print_table(struct status *status)
{
    int64_t now_us = clock_now_us(&status->call->clock);

    fputs("roles:", stdout);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        pid_t holder = holder_of(status, i);

        if (holder > 0) {
            printf("  %s runs (pid %d)", roles[i].name, (int)holder);
        } else {
            printf("  %s does not run", roles[i].name);
        }
    }
    if (status->stream == NULL) {
        fputs("\nlog:    none yet; `earshot run` begins one\n", stdout);
        return;
    }
    printf("\nlog:    %.0f %% full\n", 100 * status->fullness);
    each_lag(status, NULL, print_lag_row);
    fputs("sources:\n", stdout);
    for (size_t i = 0; i < status->stand_count; i++) {
        print_source(read_text(status, status->stands[i].text, status->stands[i].length), now_us);
    }
    if (status->stand_count == 0) {
        fputs("  none has been asked yet\n", stdout);
    }
    printf("rejects: %zu%s\n", status->rejects,
           status->rejects > 0 ? "; `earshot rejects` says why" : "");
    if (status->store != NULL) {
        print_store(status);
        print_audit(status);
    }
}

/* --- as JSON --- */

static void write_lag(struct status *status, struct json_writer *writer, const char *group,
                      const char *topic)
{
    int64_t lag = lag_of(status, group, topic);

    json_write_object(writer);
    json_member_string(writer, "group", group);
    json_member_string(writer, "topic", topic);
    json_write_key(writer, "lag");
    if (lag < 0) {
        json_write_null(writer);
    } else {
        json_write_integer(writer, lag);
    }
    json_write_object_end(writer);
}

static void write_source(struct json_writer *writer, const struct json_node *root)
{
    static const char *const strings[] = {"source",       "use",     "state", "last_success_at",
                                          "last_post_at", "next_at", "code",  "error"};
    int64_t failures = 0;
    bool drifting = false;

    json_write_object(writer);
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        json_write_key(writer, strings[i]);
        json_write_string(writer, string_of(root, strings[i]));
    }
    json_integer(json_get(root, "failures"), &failures);
    json_member_integer(writer, "failures", failures);
    (void)json_boolean(json_get(root, "drifting"), &drifting);
    json_write_key(writer, "drifting");
    json_write_boolean(writer, drifting);
    json_write_key(writer, "drift_error");
    json_write_string(writer, string_of(root, "drift_error"));
    json_write_object_end(writer);
}

static void write_roles(struct status *status, struct json_writer *writer)
{
    json_write_key(writer, "roles");
    json_write_array(writer);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        pid_t holder = holder_of(status, i);

        json_write_object(writer);
        json_member_string(writer, "role", roles[i].name);
        json_write_key(writer, "pid");
        if (holder > 0) {
            json_write_integer(writer, holder);
        } else {
            json_write_null(writer);
        }
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

static int print_json(struct status *status, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    char at[INSTANT_SIZE];
    int result = -1;

    if (json_writer_new(&writer, STATUS_MAX, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_string(writer, "as_of", instant_format(at, clock_now_us(&status->call->clock)));
    write_roles(status, writer);
    json_write_key(writer, "log");
    json_write_object(writer);
    json_write_key(writer, "exists");
    json_write_boolean(writer, status->stream != NULL);
    json_write_key(writer, "fullness");
    json_write_number(writer, status->fullness, 4);
    json_write_object_end(writer);
    json_write_key(writer, "groups");
    json_write_array(writer);
    if (status->stream != NULL) {
        each_lag(status, writer, write_lag);
    }
    json_write_array_end(writer);
    json_write_key(writer, "sources");
    json_write_array(writer);
    for (size_t i = 0; i < status->stand_count; i++) {
        write_source(writer, read_text(status, status->stands[i].text, status->stands[i].length));
    }
    json_write_array_end(writer);
    json_member_integer(writer, "rejects", (int64_t)status->rejects);
    json_member_integer(writer, "audit_differences", (int64_t)status->differences);
    json_write_key(writer, "store");
    if (status->store != NULL) {
        json_write_raw(writer, status->store, strlen(status->store));
    } else {
        json_write_null(writer);
    }
    json_write_object_end(writer);
    result = print_json_line(writer, err);
    json_writer_free(writer);
    return result;
}

/* --- the command --- */

static bool is_well(const struct status *status)
{
    return status->running > 0 && status->red == 0 && status->stream != NULL &&
           status->fullness < 0.9 && status->differences == 0;
}

static int look_once(const struct command_call *call, bool quiet, struct ear_error *err)
{
    struct status status = {.call = call};
    int result = gather(&status, err);

    if (result == 0) {
        ask_store(&status);
        count_differences(&status);
    }
    if (result == 0 && quiet) {
        result = is_well(&status) ? EXIT_DONE : EXIT_FAILED;
    } else if (result == 0) {
        if (call->output == OUTPUT_TABLE) {
            print_table(&status);
        } else {
            result = print_json(&status, err);
        }
        fflush(stdout);
        result = result == 0 && status.differences > 0 ? EXIT_FAILED : result;
    }
    status_clear(&status);
    return result;
}

int command_status(const struct command_call *call, struct ear_error *err)
{
    const struct status_values *options = call->options;
    int result = 0;

    command_stop_on_signals();
    do {
        if (options->watch && call->output == OUTPUT_TABLE) {
            fputs("\033[H\033[2J", stdout);
        }
        result = look_once(call, options->quiet, err);
        if (options->watch && result >= 0) {
            poll(NULL, 0, 2000); /* ends early with a signal */
        }
    } while (options->watch && result >= 0 && !command_stop_asked());
    return result;
}
