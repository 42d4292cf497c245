/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role's own thread: what HTTP threads hand over is read and emitted body by body, each a step
 * of the intake that is kept or dropped whole; then one transaction commits all that was kept, and
 * everybody is told.
 *
 *     HTTP thread ──deliver──▶ waiting ──turn──▶ group ──commit──▶ 202
 *                                 │                 └─ failed ───▶ 503
 *                                 └─ no good ────────────────────▶ 400
 */
#include "collectors/ingest/ingest_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collectors/sources.h"
#include "common/clock.h"
#include "common/config/config.h"
#include "common/json/json.h"
#include "common/log.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

/* Enough that what came during a commit makes up the next group. */
enum { THREADS = 16, GROUP_MAX = 64 };

static const char NOT_TAKEN[] =
    "the log did not take it; nothing is kept of it: send it again in a minute";

/* --- the configuration --- */

static bool is_inlet(const struct source_entry *entry)
{
    return entry->reader == &ingest_reader;
}

int ingest_check(struct settings *settings, const struct sources *sources, struct ear_error *err)
{
    struct form *forms = NULL;
    size_t count = 0;
    const struct source_entry *first = NULL;

    for (size_t i = 0; first == NULL && i < sources->count; i++) {
        first = is_inlet(&sources->items[i]) ? &sources->items[i] : NULL;
    }
    if (settings->ingest_listen == NULL && first != NULL) {
        config_report(settings->config, CONFIG_WARNING, first->source->node,
                      "nothing listens for it; add ingest: {listen: \"127.0.0.1:8480\", token: "
                      "\"${file:ingest_token}\"}");
    }
    if (settings->ingest_listen == NULL) {
        return 0;
    }
    if (first == NULL) {
        config_report(settings->config, CONFIG_ERROR, settings->ingest_node,
                      "nothing can be sent; add {name: ideas, use: ingest} to sources");
    }
    if (settings->ingest_token != NULL && strlen(settings->ingest_token) < 16) {
        config_report(settings->config, CONFIG_ERROR, config_get(settings->ingest_node, "token"),
                      "a token has at least 16 characters: (umask 077; head -c 24 /dev/urandom | "
                      "base64 >ingest_token)");
    }
    if (forms_read(&forms, &count, settings, NULL, 0, err) != 0) {
        return -1;
    }
    free(forms);
    return 0;
}

static int open_inlet(struct inlet *inlet, const struct ingest *ingest,
                      const struct source_entry *entry, struct ear_error *err)
{
    const struct ingest_values *values = entry->config;
    struct file_rows_config config = {
        .settings = ingest->config.settings,
        .source = entry->source,
        .map = values->map,
        .scale = values->scale,
    };

    inlet->source = entry->source;
    if (post_origin_init(&inlet->origin, entry->source, entry->reader, err) != 0 ||
        file_rows_new(&inlet->rows, &config, err) != 0) {
        return -1;
    }
    config.map = NULL;
    config.scale = 1;
    return file_rows_new(&inlet->form_rows, &config, err);
}

static int open_inlets(struct ingest *ingest, struct ear_error *err)
{
    const struct sources *sources = ingest->config.sources;

    ingest->inlets = calloc(sources->count + 1, sizeof *ingest->inlets);
    if (ingest->inlets == NULL) {
        return ear_fail_memory(err, "the ingest");
    }
    for (size_t i = 0; i < sources->count; i++) {
        if (is_inlet(&sources->items[i]) && open_inlet(&ingest->inlets[ingest->inlet_count++],
                                                       ingest, &sources->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- opening and closing --- */

int ingest_new(struct ingest **out, const struct ingest_config *config, struct ear_error *err)
{
    struct ingest *ingest = calloc(1, sizeof *ingest);
    struct http_config http = {
        .listen = config->settings->ingest_listen,
        .routes = ingest_routes,
        .user = ingest,
        .body_limit_bytes = INGEST_BODY_MAX,
        .admit = ingest_admit,
        .threads = THREADS,
    };

    if (ingest == NULL) {
        return ear_fail_memory(err, "the ingest");
    }
    ingest->config = *config;
    pthread_mutex_init(&ingest->lock, NULL);
    pthread_cond_init(&ingest->came, NULL);
    pthread_cond_init(&ingest->went, NULL);
    if (open_inlets(ingest, err) != 0 ||
        forms_read(&ingest->forms, &ingest->form_count, config->settings, ingest->inlets,
                   ingest->inlet_count, err) != 0 ||
        rate_new(&ingest->rate, err) != 0 || json_new(&ingest->reader.json, err) != 0 ||
        json_writer_new(&ingest->reader.writer, INGEST_BODY_MAX, err) != 0 ||
        intake_new(&ingest->intake, config->stream, NULL, config->rules, config->metrics, err) !=
            0 ||
        http_server_open(&ingest->server, &http, err) != 0) {
        ingest_free(ingest);
        return -1;
    }
    *out = ingest;
    return 0;
}

static void answer(struct ingest *ingest, struct delivery *delivery, int status)
{
    pthread_mutex_lock(&ingest->lock);
    delivery->status = status;
    delivery->done = true;
    pthread_cond_broadcast(&ingest->went);
    pthread_mutex_unlock(&ingest->lock);
}

/* What waits, in the order it came; NULL: nothing. */
static struct delivery *take_all(struct ingest *ingest)
{
    struct delivery *first = NULL;

    pthread_mutex_lock(&ingest->lock);
    first = ingest->first;
    ingest->first = ingest->last = NULL;
    pthread_mutex_unlock(&ingest->lock);
    return first;
}

static void put_off(struct ingest *ingest, struct delivery *delivery, const char *code,
                    const char *reason)
{
    snprintf(delivery->fault.code, sizeof delivery->fault.code, "%s", code);
    snprintf(delivery->fault.reason, sizeof delivery->fault.reason, "%s", reason);
    answer(ingest, delivery, 503);
}

static void put_all_off(struct ingest *ingest, struct delivery *delivery, const char *code,
                        const char *reason)
{
    while (delivery != NULL) {
        struct delivery *next = delivery->next; /* gone with its thread once it is answered */

        put_off(ingest, delivery, code, reason);
        delivery = next;
    }
}

void ingest_free(struct ingest *ingest)
{
    if (ingest == NULL) {
        return;
    }
    pthread_mutex_lock(&ingest->lock);
    ingest->stopping = true;
    pthread_mutex_unlock(&ingest->lock);
    put_all_off(ingest, take_all(ingest), "stopping", "it stops; send it again in a minute");
    http_server_close(ingest->server);
    intake_free(ingest->intake);
    json_writer_free(ingest->reader.writer);
    json_free(ingest->reader.json);
    rate_free(ingest->rate);
    free(ingest->forms);
    for (size_t i = 0; i < ingest->inlet_count; i++) {
        post_origin_clear(&ingest->inlets[i].origin);
        file_rows_free(ingest->inlets[i].rows);
        file_rows_free(ingest->inlets[i].form_rows);
    }
    free(ingest->inlets);
    pthread_cond_destroy(&ingest->went);
    pthread_cond_destroy(&ingest->came);
    pthread_mutex_destroy(&ingest->lock);
    free(ingest);
}

int ingest_port(const struct ingest *ingest)
{
    return http_server_port(ingest->server);
}

/* --- from the HTTP threads --- */

void ingest_deliver(struct ingest *ingest, struct delivery *delivery)
{
    pthread_mutex_lock(&ingest->lock);
    if (ingest->stopping) {
        delivery->status = 503;
        snprintf(delivery->fault.code, sizeof delivery->fault.code, "stopping");
        snprintf(delivery->fault.reason, sizeof delivery->fault.reason,
                 "it stops; send it again in a minute");
    } else {
        if (ingest->last != NULL) {
            ingest->last->next = delivery;
        } else {
            ingest->first = delivery;
        }
        ingest->last = delivery;
        pthread_cond_signal(&ingest->came);
        while (!delivery->done) {
            pthread_cond_wait(&ingest->went, &ingest->lock);
        }
    }
    pthread_mutex_unlock(&ingest->lock);
}

/* --- the group --- */

struct group {
    struct delivery *items[GROUP_MAX];
    size_t count;
};

/* Tells everybody of the group how the commit went. -1: the role must stop. */
static int commit(struct ingest *ingest, struct group *group, struct ear_error *err)
{
    struct ear_error why = {EAR_NONE, ""};
    bool holds = intake_holds(ingest->intake);
    bool failed = holds && intake_commit(ingest->intake, &why) != 0;

    if (failed) {
        log_error("take in what was sent", &why);
    }
    for (size_t i = 0; i < group->count; i++) {
        if (failed) {
            put_off(ingest, group->items[i], "log", NOT_TAKEN);
        } else {
            answer(ingest, group->items[i], 202);
        }
    }
    group->count = 0;
    if (failed && why.kind != EAR_RETRY) {
        *err = why;
        return -1;
    }
    return 0;
}

/* A reject of the intake means that the whole body is refused. */
static bool is_refused(struct ingest *ingest, struct delivery *delivery)
{
    const char *reason = "";
    const char *code = NULL;

    if (intake_counts(ingest->intake)->rejected == 0) {
        return false;
    }
    code = intake_last_reject(ingest->intake, &reason);
    snprintf(delivery->fault.code, sizeof delivery->fault.code, "%s",
             code != NULL ? code : "schema");
    snprintf(delivery->fault.reason, sizeof delivery->fault.reason, "%s", reason);
    return true;
}

/* One body as a step. -1: whatever does not pass by itself. */
static int take_in(struct ingest *ingest, struct group *group, struct delivery *delivery,
                   struct ear_error *err)
{
    struct inlet *inlet = delivery->inlet;
    struct ear_error why = {EAR_NONE, ""};

    if (intake_begin(ingest->intake, &inlet->origin, NULL, 0, clock_now_us(ingest->config.clock),
                     err) != 0) {
        return -1;
    }
    if (body_emit(&ingest->reader, delivery->type, delivery->body, delivery->length,
                  delivery->of_form ? inlet->form_rows : inlet->rows, delivery->key,
                  intake_output(ingest->intake), &delivery->fault, &why) != 0 ||
        is_refused(ingest, delivery)) {
        intake_drop(ingest->intake);
        if (why.kind == EAR_NONE || why.kind == EAR_REJECT) {
            answer(ingest, delivery, 400);
            return 0;
        }
        if (why.kind != EAR_RETRY) {
            *err = why;
            return -1;
        }
        log_error("take in what was sent", &why); /* ours alone: it may name the log's place */
        put_off(ingest, delivery, "log", NOT_TAKEN);
        return 0;
    }
    delivery->counts = *intake_counts(ingest->intake);
    if (intake_is_empty(ingest->intake)) {
        intake_drop(ingest->intake); /* perhaps since an earlier one of the group says the same */
    } else if (intake_keep(ingest->intake, &inlet->part, NULL, 0, err) != 0) {
        return -1;
    }
    group->items[group->count++] = delivery;
    return 0;
}

static int take_in_all(struct ingest *ingest, struct delivery *waiting, struct ear_error *err)
{
    struct group group = {.count = 0};
    int result = 0;

    while (waiting != NULL && result == 0) {
        struct delivery *delivery = waiting;

        waiting = delivery->next;
        if (stream_fullness(ingest->config.stream) >= 0.9) {
            put_off(ingest, delivery, "full",
                    "the log is nearly full; run the other roles, or raise stream.size");
            continue;
        }
        result = take_in(ingest, &group, delivery, err);
        if (result != 0) {
            put_off(ingest, delivery, "failed", "it failed; send it again in a minute");
        } else if (group.count == GROUP_MAX || intake_is_full(ingest->intake)) {
            result = commit(ingest, &group, err);
        }
    }
    if (result == 0) {
        return commit(ingest, &group, err);
    }
    intake_abort(ingest->intake);
    for (size_t i = 0; i < group.count; i++) {
        put_off(ingest, group.items[i], "failed", "it failed; send it again in a minute");
    }
    put_all_off(ingest, waiting, "failed", "it failed; send it again in a minute");
    return -1;
}

int ingest_turn(struct ingest *ingest, int timeout_ms, struct ear_error *err)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until); /* what a condition is waited for by */
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&ingest->lock);
    while (ingest->first == NULL &&
           pthread_cond_timedwait(&ingest->came, &ingest->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&ingest->lock);
    return take_in_all(ingest, take_all(ingest), err);
}
