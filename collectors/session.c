/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/session.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "collectors/fetch/fetch.h"
#include "collectors/ingest/ingest.h"
#include "collectors/post.h"
#include "collectors/token/token.h"
#include "common/command/command.h"
#include "common/config/config.h"
#include "common/metrics.h"
#include "common/settings/settings.h"
#include "common/stream/stream.h"

#define USER_AGENT "earshot/" EARSHOT_VERSION

/* Measured: 1,000 feeds of 100 items in flight take 115 MiB. */
enum { TRANSFERS_MAX = 1000, FILES_WANTED = 2048 };

/* A transfer is an open file; the usual limit of 1,024 is only what a process starts with. */
static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILES_WANTED) {
        limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else some transfers wait and come again */
    }
}

int session_check(struct session *session, const struct command_call *call, struct ear_error *err)
{
    *session = (struct session){.settings = call->settings, .clock = call->clock};
    if (sources_init(&session->sources, session->settings, source_reader_find, err) != 0 ||
        ingest_check(session->settings, &session->sources, err) != 0) {
        return -1;
    }
    if (config_errors(session->settings->config) > 0) {
        (void)settings_print_findings(session->settings, false);
        return EXIT_CONFIG;
    }
    return EXIT_DONE;
}

/* Each process of the role keeps its own books: what was spent by one is not written over by
 * another. */
static int budget_path(char *out, size_t size, const struct session *session, struct ear_error *err)
{
    const int index = session->role.index;
    char number[24] = "";

    if (index > 0) {
        (void)snprintf(number, sizeof(number), "-%d", index);
    }
    if ((size_t)snprintf(out, size, "%s/run/budgets%s.json", session->settings->data_dir, number) >=
        size) {
        return ear_fail(err, EAR_CONFIG, "data: the path is too long");
    }
    return 0;
}

static int open_tokens(struct session *session, struct ear_error *err)
{
    char path[4096];

    if ((size_t)snprintf(path, sizeof(path), "%s/run/tokens.json", session->settings->data_dir) >=
        sizeof(path)) {
        return ear_fail(err, EAR_CONFIG, "data: the path is too long");
    }
    return tokens_open(&session->tokens, path, err);
}

enum budgets { BUDGETS_KEPT, BUDGETS_READ, BUDGETS_FORGOTTEN };

static int open_fetch(struct session *session, enum budgets budgets, struct ear_error *err)
{
    char path[4096];
    const struct fetch_config config = {
        .allow = session->settings->network_allow,
        .body_limit_bytes = INT64_C(16) * 1024 * 1024,
        .total_timeout_us = CLOCK_MINUTE_US,
        .slow_timeout_us = 30 * CLOCK_SECOND_US,
        .concurrent = TRANSFERS_MAX,
        .host_concurrent = 4,
        .host_rate_per_s = 10,
        .user_agent = USER_AGENT,
        .metrics = session->metrics,
        .clock = &session->clock,
        .budget_path = budgets == BUDGETS_FORGOTTEN ? NULL : path,
        .budget_read_only = budgets == BUDGETS_READ,
    };

    if (budget_path(path, sizeof(path), session, err) != 0) {
        return -1;
    }
    allow_files();
    return fetch_open(&session->fetch, &config, err);
}

int session_open(struct session *session, const char *role, struct ear_error *err)
{
    if (settings_role_open(&session->role, session->settings, role, err) != 0 ||
        metrics_new(&session->metrics, err) != 0 ||
        settings_open_role_stream(&session->stream, session->settings, &session->role,
                                  session->metrics, err) != 0 ||
        pseudonym_key_load(&session->key, session->settings->author_key_path, err) != 0 ||
        open_fetch(session, strcmp(role, "collect") == 0 ? BUDGETS_KEPT : BUDGETS_READ, err) != 0 ||
        open_tokens(session, err) != 0) {
        return -1;
    }
    return post_rules_new(&session->rules, session->settings, &session->key, err);
}

int session_open_probe(struct session *session, struct ear_error *err)
{
    /* Reading the key would make one where none is. */
    if (access(session->settings->author_key_path, R_OK) == 0 &&
        pseudonym_key_load(&session->key, session->settings->author_key_path, err) != 0) {
        return -1;
    }
    /* Tokens are kept all the same: a refresh token that a server took back is lost otherwise. */
    if (open_fetch(session, BUDGETS_READ, err) != 0 || open_tokens(session, err) != 0) {
        return -1;
    }
    return post_rules_new(&session->rules, session->settings, &session->key, err);
}

int session_open_tape(struct session *session, struct ear_error *err)
{
    if (open_fetch(session, BUDGETS_FORGOTTEN, err) != 0 ||
        tokens_open(&session->tokens, NULL, err) != 0) {
        return -1;
    }
    return post_rules_new(&session->rules, session->settings, &session->key, err);
}

void session_close(struct session *session)
{
    post_rules_free(session->rules);
    fetch_close(session->fetch);
    tokens_close(session->tokens);
    stream_close(session->stream);
    metrics_free(session->metrics);
    settings_role_close(&session->role);
    sources_clear(&session->sources);
    *session = (struct session){0};
}
