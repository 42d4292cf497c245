/* SPDX-License-Identifier: Apache-2.0 */

/* What `earshot status` found, as a table and as JSON. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/earshot/status_internal.h"

enum { STATUS_MAX = 16 * 1024 * 1024 };

/* How old the message of a source that is well may get while it is asked and
 * the time of a poll. */
static const int64_t WRITTEN_WITHIN_US = SETTINGS_STANDING_FRESH_US + 30 * CLOCK_SECOND_US;

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

/* What is well is written about once a minute: an instant that has passed since is no delay. */
static const char *next_of(char out[48], const struct json_node *root, int64_t now_us,
                           bool collecting)
{
    const char *text = status_string(root, "next_at");
    const char *state = status_string(root, "state");
    int64_t next_us = 0;

    if (text != NULL && state != NULL && strcmp(state, "ok") == 0 &&
        instant_parse_rfc3339(&next_us, text, strlen(text)) && next_us <= now_us &&
        (collecting || now_us - next_us < WRITTEN_WITHIN_US)) {
        snprintf(out, 48, "%s", collecting ? "asking now" : "about now");
        return out;
    }
    return ago(out, text, now_us);
}

/* When it was asked and will be; who waits for what is sent is not asked. */
static void print_times(const struct json_node *root, int64_t now_us, bool collecting)
{
    const char *use = status_string(root, "use");
    const char *next = NULL;
    char asked[48];
    char at[48];
    char post[48];

    if (use != NULL && strcmp(use, "ingest") == 0) {
        fputs(": takes what is sent to /ingest/", stdout);
        print_text(stdout, status_string(root, "source"), 0);
        fputs(" and what its forms bring\n", stdout);
        return;
    }
    next = next_of(at, root, now_us, collecting);
    printf(": answered %s, last new post %s, %s%s\n",
           ago(asked, status_string(root, "last_success_at"), now_us),
           ago(post, status_string(root, "last_post_at"), now_us),
           strcmp(next, "asking now") == 0 ? "" : "next ", next);
}

static void print_source(const struct json_node *root, int64_t now_us, bool collecting)
{
    const char *state = status_string(root, "state");
    const char *error = status_string(root, "error");
    const char *drift = status_string(root, "drift_error");
    const char *later = status_string(root, "later");
    const struct json_node *misfits = json_get(root, "misfits");
    bool drifting = false;
    double left = 0;

    printf("  %s ", state != NULL && strcmp(state, "ok") == 0
                        ? json_first(misfits) != NULL ? "!" : "✓"
                    : state != NULL && strcmp(state, "red") == 0 ? "✗"
                                                                 : "…");
    print_text(stdout, status_string(root, "source"), 30);
    print_times(root, now_us, collecting);
    if (error != NULL && error[0] != '\0') {
        fputs("      ", stdout);
        print_text(stdout, error, 300);
        fputc('\n', stdout);
    }
    if (later != NULL && later[0] != '\0') {
        fputs("      goes on then: ", stdout);
        print_text(stdout, later, 300);
        fputc('\n', stdout);
    }
    for (const struct json_node *node = json_first(misfits); node != NULL; node = json_next(node)) {
        const char *text = status_string(node, "text");

        fputs("      posts may be missing: ", stdout);
        print_text(stdout, text == NULL ? "" : text, 440);
        fputc('\n', stdout);
    }
    if (json_number(json_get(root, "quota_left"), &left)) {
        printf("      quota: %.0f requests left\n", left);
    }
    if (json_boolean(json_get(root, "drifting"), &drifting) && drifting) {
        fputs("      drifting: ", stdout);
        print_text(stdout, drift == NULL ? "too many of its records are rejected" : drift, 400);
        fputc('\n', stdout);
    }
    status_print_books(root, now_us);
}

static void print_store(struct status *status)
{
    const struct json_node *root = status_read(status, status->store, strlen(status->store));

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
    const struct json_node *root = status_read(status, status->store, strlen(status->store));
    const struct json_node *audit = json_get(root, "audit");

    if (audit == NULL) {
        return;
    }
    fputs(status->differences == 0 ? "audit:  balances\n" : "audit:  does not balance\n", stdout);
    for (const struct json_node *node = status_difference(audit, NULL); node != NULL;
         node = status_difference(audit, node)) {
        const char *kind = status_string(node, "kind");
        int64_t amount = 0;

        json_integer(json_get(node, "amount"), &amount);
        fputs("  ✗ ", stdout);
        print_text(stdout, status_string(node, "source"), 30);
        printf(", hour of %s: %" PRId64 " of ", status_string(node, "hour"), amount);
        print_text(stdout, status_string(node, "topic"), 30);
        printf(" %s at ", kind != NULL && strcmp(kind, "lost") == 0 ? "never arrived"
                          : kind != NULL && strcmp(kind, "doubled") == 0
                              ? "arrived twice"
                              : "came in and went nowhere");
        print_text(stdout, status_string(node, "reader"), 60);
        fputc('\n', stdout);
    }
}

static void print_running(void *user, pid_t pid, bool fell)
{
    size_t *count = user;

    if (!fell) {
        printf("%s%d", *count == 0 ? " runs (pid " : ", ", (int)pid);
        *count += 1;
    }
}

static void print_fallen(void *user, pid_t pid, bool fell)
{
    (void)user;
    if (fell) {
        printf(" (pid %d ended without being stopped)", (int)pid);
    }
}

static void print_roles(const struct status *status)
{
    fputs("roles:", stdout);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        size_t count = 0;

        if (!role_is_configured(i, status->call->settings) && status->running[i] == 0) {
            continue;
        }
        printf("  %s", roles[i].name);
        status_processes(status, i, print_running, &count);
        fputs(count > 0 ? ")" : " does not run", stdout);
        status_processes(status, i, print_fallen, NULL);
    }
    fputc('\n', stdout);
}

static void print_stored(struct status *status)
{
    if (status->store != NULL) {
        print_store(status);
        print_audit(status);
    } else if (status->store_code != EXIT_DONE) {
        fputs("store:  ✗ cannot be asked; the reason is on stderr\n", stdout);
    }
}

void status_print(struct status *status)
{
    int64_t now_us = clock_now_us(&status->call->clock);

    print_roles(status);
    if (status->log_error.kind != EAR_NONE) {
        printf("log:    ✗ %s\n", status->log_error.message);
        print_stored(status);
        return;
    }
    if (status->stream == NULL) {
        fputs("log:    none yet; `earshot run` begins one\n", stdout);
        print_stored(status);
        return;
    }
    printf("log:    %.0f %% full\n", 100 * status->fullness);
    each_lag(status, NULL, print_lag_row);
    fputs("sources:\n", stdout);
    for (size_t i = 0; i < status->stand_count; i++) {
        print_source(status_read(status, status->stands[i].text, status->stands[i].length), now_us,
                     status->running[ROLE_COLLECT] > 0);
    }
    if (status->stand_count == 0) {
        fputs("  none has been asked yet\n", stdout);
    }
    printf("rejects: %zu%s\n", status->rejects,
           status->rejects > 0 ? "; `earshot rejects` says why" : "");
    print_stored(status);
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

static void write_source(struct json_writer *writer, const struct json_node *root, int64_t now_us)
{
    static const char *const strings[] = {"source",       "use",     "state", "last_success_at",
                                          "last_post_at", "next_at", "code",  "error"};
    int64_t failures = 0;
    bool drifting = false;
    double left = 0;

    json_write_object(writer);
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        json_write_key(writer, strings[i]);
        json_write_string(writer, status_string(root, strings[i]));
    }
    json_integer(json_get(root, "failures"), &failures);
    json_member_integer(writer, "failures", failures);
    (void)json_boolean(json_get(root, "drifting"), &drifting);
    json_write_key(writer, "drifting");
    json_write_boolean(writer, drifting);
    json_write_key(writer, "drift_error");
    json_write_string(writer, status_string(root, "drift_error"));
    json_write_key(writer, "later");
    json_write_string(writer, status_string(root, "later"));
    json_write_key(writer, "quota_left");
    if (json_number(json_get(root, "quota_left"), &left)) {
        json_write_number(writer, left, 1);
    } else {
        json_write_null(writer);
    }
    json_write_key(writer, "warnings");
    json_write_array(writer);
    for (const struct json_node *node = json_first(json_get(root, "misfits")); node != NULL;
         node = json_next(node)) {
        json_write_string(writer, status_string(node, "text"));
    }
    json_write_array_end(writer);
    status_write_books(writer, root, now_us);
    json_write_object_end(writer);
}

static void write_running(void *user, pid_t pid, bool fell)
{
    if (!fell) {
        json_write_integer(user, pid);
    }
}

static void write_fallen(void *user, pid_t pid, bool fell)
{
    if (fell) {
        json_write_integer(user, pid);
    }
}

static void write_roles(struct status *status, struct json_writer *writer)
{
    json_write_key(writer, "roles");
    json_write_array(writer);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        pid_t holder = settings_role_holder(status->call->settings, roles[i].name);

        if (!role_is_configured(i, status->call->settings) && holder <= 0) {
            continue;
        }
        json_write_object(writer);
        json_member_string(writer, "role", roles[i].name);
        json_write_key(writer, "pid");
        if (holder > 0) {
            json_write_integer(writer, holder);
        } else {
            json_write_null(writer);
        }
        json_write_key(writer, "pids");
        json_write_array(writer);
        status_processes(status, i, write_running, writer);
        json_write_array_end(writer);
        json_write_key(writer, "fallen");
        json_write_array(writer);
        status_processes(status, i, write_fallen, writer);
        json_write_array_end(writer);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

/* What is not known is null. */
static void write_log(struct status *status, struct json_writer *writer)
{
    bool known = status->log_error.kind == EAR_NONE;

    json_write_key(writer, "log");
    json_write_object(writer);
    json_write_key(writer, "exists");
    if (known) {
        json_write_boolean(writer, status->stream != NULL);
    } else {
        json_write_null(writer);
    }
    json_write_key(writer, "fullness");
    json_write_number(writer, status->fullness, 4);
    json_write_key(writer, "error");
    json_write_string(writer, known ? NULL : status->log_error.message);
    json_write_object_end(writer);
    json_write_key(writer, "groups");
    json_write_array(writer);
    if (known && status->stream != NULL) {
        each_lag(status, writer, write_lag);
    }
    json_write_array_end(writer);
    json_write_key(writer, "sources");
    json_write_array(writer);
    for (size_t i = 0; i < status->stand_count && known; i++) {
        write_source(writer, status_read(status, status->stands[i].text, status->stands[i].length),
                     clock_now_us(&status->call->clock));
    }
    json_write_array_end(writer);
    json_write_key(writer, "rejects");
    if (known) {
        json_write_integer(writer, (int64_t)status->rejects);
    } else {
        json_write_null(writer);
    }
}

int status_write(struct status *status, struct ear_error *err)
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
    write_log(status, writer);
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
