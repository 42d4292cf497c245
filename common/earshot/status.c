/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot status`: who runs, how each source stands, what waits, what failed last and the cure. */

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/earshot/status_internal.h"

const struct ear_option status_options[] = {
    {"watch", EAR_BOOLEAN, offsetof(struct status_values, watch), "false",
     "again every two seconds until Ctrl-C", NULL},
    {"quiet", EAR_BOOLEAN, offsetof(struct status_values, quiet), "false",
     "print nothing: exit code 0 if a role runs here, log and store answer, the log has room, no "
     "source is red where a collector runs and the audit balances where a sink does",
     NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

enum { SOURCES_MAX = 10000, STORE_ANSWER_MAX = 1024 * 1024 };

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

const struct json_node *status_read(struct status *status, const char *text, size_t length)
{
    struct ear_error why = {EAR_NONE, ""};

    return json_read(status->json, text, length, &json_limits_default, &why);
}

const char *status_string(const struct json_node *root, const char *name)
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
    state = status_string(status_read(status, more->text, more->length), "state");
    status->red += state != NULL && strcmp(state, "red") == 0 ? 1 : 0;
    return true;
}

static bool count_reject(void *user, const struct stream_message *message)
{
    struct status *status = user;

    status->rejects += message->value != NULL ? 1 : 0;
    return true;
}

void status_processes(const struct status *status, size_t which,
                      void (*visit)(void *user, pid_t pid, bool fell), void *user)
{
    const struct settings *settings = status->call->settings;
    int most = settings_on_kafka(settings) ? SETTINGS_ROLE_MAX : 1;

    for (int i = 0; i < most; i++) {
        bool fell = false;
        pid_t pid = settings_role_process(settings, roles[which].name, i, &fell);

        if (pid > 0) {
            visit(user, pid, fell);
        }
    }
}

static void count_process(void *user, pid_t pid, bool fell)
{
    size_t *count = user;

    (void)pid;
    *count += fell ? 0 : 1;
}

/* What the sink knows: counts, positions, the oldest post. Its absence is no error here. */
static void ask_store_now(struct status *status)
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
        status->store_code = EXIT_FAILED;
        return;
    }
    status->store_code = code;
    while (length > 0 && strchr("\r\n ", status->store[length - 1]) != NULL) {
        status->store[--length] = '\0';
    }
    if (code != EXIT_DONE ||
        json_kind_of(status_read(status, status->store, length)) != JSON_OBJECT) {
        free(status->store);
        status->store = NULL;
    }
}

/* A role that makes the store just now is no news. */
static void ask_store(struct status *status)
{
    ask_store_now(status);
    for (int i = 0; i < 4 && status->store_code == EXIT_LATER && !command_stop_asked(); i++) {
        poll(NULL, 0, 250);
        ask_store_now(status);
    }
}

const struct json_node *status_difference(const struct json_node *audit,
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
        audit = json_get(status_read(status, status->store, strlen(status->store)), "audit");
    }
    while (audit != NULL && (node = status_difference(audit, node)) != NULL) {
        status->differences++;
    }
}

static int gather(struct status *status, struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    bool missing = false;

    if (json_new(&status->json, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        status_processes(status, i, count_process, &status->running[i]);
    }
    if (settings_look_stream(&status->stream, status->call->settings, &missing, &why) != 0) {
        status->stream = NULL;
        if (!missing) {
            status->log_error = why;
        }
        return 0;
    }
    status->fullness = stream_fullness(status->stream);
    if (stream_each_latest(status->stream, "cursors", keep_stand, status, &why) != 0 ||
        stream_each_latest(status->stream, "rejects", count_reject, status, &why) != 0) {
        if (why.kind == EAR_FATAL) {
            *err = why;
            return -1;
        }
        status->log_error = why;
    }
    return status->failed ? ear_fail_memory(err, "the sources") : 0;
}

/* --- the command --- */

/*
 * The health of what runs here: a source that is red concerns who collects here, a difference of
 * the audit who keeps the store; without log or store nobody gets on.
 */
static bool is_well(const struct status *status)
{
    size_t running = 0;

    for (size_t i = 0; i < ROLE_COUNT; i++) {
        running += status->running[i];
    }
    return running > 0 && status->stream != NULL && status->log_error.kind == EAR_NONE &&
           status->fullness < 0.9 && status->store_code == EXIT_DONE &&
           (status->red == 0 || status->running[ROLE_COLLECT] == 0) &&
           (status->differences == 0 || status->running[ROLE_SINK] == 0);
}

/* What is wrong by the exit code: a refusal, then what passes, then a difference. */
static int code_of(const struct status *status)
{
    enum ear_error_kind kind = status->log_error.kind;

    if (kind != EAR_NONE && kind != EAR_RETRY) {
        return kind == EAR_CONFIG ? EXIT_CONFIG : EXIT_FAILED;
    }
    if (status->store_code != EXIT_DONE && kind == EAR_NONE) {
        return status->store_code;
    }
    if (kind == EAR_RETRY) {
        return EXIT_UNAVAILABLE;
    }
    return status->differences > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int look_once(const struct command_call *call, bool quiet, struct ear_error *err)
{
    struct status status = {.call = call};
    int result = gather(&status, err);

    if (result == 0) {
        ask_store(&status);
        count_differences(&status);
    }
    if (quiet) {
        result = result == 0 && is_well(&status) ? EXIT_DONE : EXIT_FAILED;
    } else if (result == 0) {
        if (call->output == OUTPUT_TABLE) {
            status_print(&status);
        } else {
            result = status_write(&status, err);
        }
        fflush(stdout);
        result = result == 0 ? code_of(&status) : result;
    }
    status_clear(&status);
    return result;
}

/* Nor do those that it asks print a word. */
static void fall_silent(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere >= 0) {
        (void)dup2(nowhere, STDERR_FILENO);
        close(nowhere);
    }
}

int command_status(const struct command_call *call, struct ear_error *err)
{
    const struct status_values *options = call->options;
    int result = 0;

    command_stop_on_signals();
    if (options->quiet) {
        fall_silent();
    }
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
