/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are, what the platform allows, what its errors mean. */

#include <stdlib.h>
#include <string.h>

#include "collectors/definition/definition_read_internal.h"
#include "common/clock.h"
#include "common/instant.h"

enum { LIMITS_MAX = 8, RULES_MAX = 100 };

/* --- auth --- */

static const char *const auth_names[] = {"none",  "header", "query", "bearer",
                                         "basic", "oauth2", NULL};
static const char *const grant_names[] = {"client_credentials", "refresh_token", "password", NULL};

struct auth_keys {
    const char *kind, *name, *grant, *via;
    const struct config_node *needs, *value, *user, *password, *token_url, *id, *secret, *refresh,
        *scope;
};

static const struct ear_option auth_options[] = {
    {"kind", EAR_CHOICE, offsetof(struct auth_keys, kind),
     "!|none|header|query|bearer|basic|oauth2", "how the server knows who asks", NULL},
    {"if", EAR_TREE, offsetof(struct auth_keys, needs), NULL,
     "a parameter without which nothing is sent", NULL},
    {"name", EAR_STRING, offsetof(struct auth_keys, name), NULL, "of the header or query member",
     NULL},
    {"value", EAR_TREE, offsetof(struct auth_keys, value), NULL, "such as \"{key}\"", NULL},
    {"user", EAR_TREE, offsetof(struct auth_keys, user), NULL, "such as \"{user}\"", NULL},
    {"password", EAR_TREE, offsetof(struct auth_keys, password), NULL, "such as \"{password}\"",
     NULL},
    {"grant", EAR_CHOICE, offsetof(struct auth_keys, grant),
     "client_credentials|refresh_token|password", "of OAuth 2", NULL},
    {"token_url", EAR_TREE, offsetof(struct auth_keys, token_url), NULL,
     "where OAuth 2's tokens are", NULL},
    {"id", EAR_TREE, offsetof(struct auth_keys, id), NULL, "the client's id", NULL},
    {"secret", EAR_TREE, offsetof(struct auth_keys, secret), NULL, "the client's secret", NULL},
    {"refresh", EAR_TREE, offsetof(struct auth_keys, refresh), NULL,
     "the first refresh token, such as \"{refresh_token}\"", NULL},
    {"scope", EAR_TREE, offsetof(struct auth_keys, scope), NULL, "what is asked for", NULL},
    {"via", EAR_CHOICE, offsetof(struct auth_keys, via), "form|basic",
     "how the client's id and secret are sent", NULL},
    {0},
};

static void lack(const struct reading *reading, const struct config_node *node, const void *given,
                 const char *what, const char *example)
{
    if (given == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "auth lacks '%s'; add it, such as %s: %s", what, what, example);
    }
}

static void check_oauth2(const struct reading *reading, const struct auth *auth,
                         const struct auth_keys *keys, const struct config_node *node)
{
    lack(reading, node, keys->token_url, "token_url", "\"https://…/access_token\"");
    lack(reading, node, keys->id, "id", "\"{id}\"");
    if (auth->grant == GRANT_REFRESH_TOKEN) {
        lack(reading, node, keys->refresh, "refresh", "\"{refresh_token}\"");
    } else if (auth->grant == GRANT_PASSWORD) {
        lack(reading, node, keys->user, "user", "\"{user}\"");
        lack(reading, node, keys->password, "password", "\"{password}\"");
    } else {
        lack(reading, node, keys->secret, "secret", "\"{secret}\"");
    }
}

static void check_auth(const struct reading *reading, const struct auth *auth,
                       const struct auth_keys *keys, const struct config_node *node)
{
    switch (auth->kind) {
    case AUTH_HEADER:
    case AUTH_QUERY:
        lack(reading, node, keys->name, "name", auth->kind == AUTH_HEADER ? "Api-Key" : "key");
        lack(reading, node, keys->value, "value", "\"{key}\"");
        break;
    case AUTH_BEARER:
        lack(reading, node, keys->value, "value", "\"{token}\"");
        break;
    case AUTH_BASIC:
        lack(reading, node, keys->user, "user", "\"{user}\"");
        lack(reading, node, keys->password, "password", "\"{password}\"");
        break;
    case AUTH_OAUTH2:
        check_oauth2(reading, auth, keys, node);
        break;
    default:
        break;
    }
}

int read_auth(const struct reading *reading, struct auth *out, const struct config_node *node)
{
    struct auth_keys keys = {0};
    int result = 0;

    if (config_is_absent(node)) {
        return 0;
    }
    if (reading_fill(reading, node, auth_options, "auth", &keys) != 0) {
        return 0;
    }
    out->kind = (enum auth_kind)reading_index(keys.kind, auth_names);
    out->grant = (enum auth_grant)reading_index(keys.grant, grant_names);
    out->name = keys.name;
    out->via_basic = strcmp(keys.via, "basic") == 0;
    out->needs = reading_needs(reading, keys.needs);
    check_auth(reading, out, &keys, node);
    if (read_url(reading, &out->token_url, keys.token_url) != 0) {
        return -1;
    }

    const struct {
        const struct template **to;
        const struct config_node *node;
    } templates[] = {
        {&out->value, keys.value}, {&out->user, keys.user},     {&out->password, keys.password},
        {&out->id, keys.id},       {&out->secret, keys.secret}, {&out->refresh, keys.refresh},
        {&out->scope, keys.scope},
    };

    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]) && result == 0; i++) {
        result = read_template(reading, templates[i].to, templates[i].node);
    }
    return result;
}

/* --- login --- */

struct expired_keys {
    struct condition_keys when;
    struct ear_strings status;
};

static const struct ear_option expired_options[] = {
    CONDITION_OPTIONS(expired_keys, when),
    {"status", EAR_STRINGS, offsetof(struct expired_keys, status), NULL,
     "the status of an answer that means: log in again", NULL},
    {0},
};

struct login_keys {
    const struct config_node *needs, *request, *again, *token, *refresh, *expires, *expired, *value;
    const char *name;
};

static const struct ear_option login_options[] = {
    {"if", EAR_TREE, offsetof(struct login_keys, needs), NULL,
     "a parameter without which nobody logs in", NULL},
    {"request", EAR_TREE, offsetof(struct login_keys, request), NULL, "what makes a session", NULL},
    {"again", EAR_TREE, offsetof(struct login_keys, again), NULL,
     "what makes it last, with the refresh token as {token}", NULL},
    {"token", EAR_TREE, offsetof(struct login_keys, token), NULL,
     "a pointer to the token in the answer", NULL},
    {"refresh", EAR_TREE, offsetof(struct login_keys, refresh), NULL,
     "a pointer to the refresh token", NULL},
    {"expires", EAR_TREE, offsetof(struct login_keys, expires), NULL,
     "a pointer to the seconds that it lasts", NULL},
    {"expired", EAR_TREE, offsetof(struct login_keys, expired), NULL,
     "the answer that means: log in again; 401 always does", NULL},
    {"name", EAR_STRING, offsetof(struct login_keys, name), NULL,
     "the header that carries the token: Authorization", NULL},
    {"value", EAR_TREE, offsetof(struct login_keys, value), NULL,
     "what it holds: \"Bearer {token}\"", NULL},
    {0},
};

static int read_expired(const struct reading *reading, struct auth *out,
                        const struct config_node *node)
{
    struct expired_keys keys = {0};
    size_t count = 0;

    if (config_is_absent(node) ||
        reading_fill(reading, node, expired_options, "expired", &keys) != 0) {
        return 0;
    }
    read_statuses(reading, config_get(node, "status"), &keys.status, &out->expired_status, &count,
                  1);
    return read_condition_inline(reading, &out->expired, &keys.when, node);
}

int read_login(const struct reading *reading, struct auth *out, const struct config_node *node)
{
    struct login_keys keys = {0};

    if (config_is_absent(node)) {
        return 0;
    }
    if (reading_fill(reading, node, login_options, "login", &keys) != 0) {
        return 0;
    }
    if (out->kind != AUTH_NONE) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "there is 'auth' as well; a session sends its own token: leave auth out");
    }
    if (keys.request == NULL || keys.token == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "login lacks '%s'; add it: {request: {url: …, json: …}, token: /token}",
                      keys.request == NULL ? "request" : "token");
    }
    if ((keys.name == NULL) != (keys.value == NULL)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "name and value go together, such as {name: X-Session, value: \"{token}\"}");
    }
    out->kind = AUTH_LOGIN;
    out->name = keys.name;
    out->needs = reading_needs(reading, keys.needs);
    return read_template(reading, &out->value, keys.value) != 0 ||
                   read_request(reading, &out->login, keys.request) != 0 ||
                   read_request(reading, &out->relogin, keys.again) != 0 ||
                   read_pointer(reading, &out->token, keys.token) != 0 ||
                   read_pointer(reading, &out->refresh_token, keys.refresh) != 0 ||
                   read_pointer(reading, &out->expires, keys.expires) != 0 ||
                   read_expired(reading, out, keys.expired) != 0
               ? -1
               : 0;
}

/* --- limits --- */

static const char *const reset_names[] = {"seconds", "unix", "rfc3339", "ms", NULL};

struct limit_keys {
    int64_t requests, per;
    const char *zone, *remaining, *reset, *reset_as, *backoff;
};

static const struct ear_option limit_options[] = {
    {"requests", EAR_INTEGER, offsetof(struct limit_keys, requests), "0 [1..1000000000]",
     "how many requests are allowed", NULL},
    {"per", EAR_DURATION, offsetof(struct limit_keys, per), "1m [1s..365d]", "in what time", NULL},
    {"zone", EAR_STRING, offsetof(struct limit_keys, zone), NULL,
     "of a day that begins anew at midnight, such as America/Los_Angeles", NULL},
    {"remaining", EAR_STRING, offsetof(struct limit_keys, remaining), NULL,
     "a header or pointer that tells how many are left", NULL},
    {"reset", EAR_STRING, offsetof(struct limit_keys, reset), NULL,
     "a header or pointer that tells when they are renewed", NULL},
    {"reset_as", EAR_CHOICE, offsetof(struct limit_keys, reset_as), "seconds|unix|rfc3339|ms",
     "in what notation", NULL},
    {"backoff", EAR_STRING, offsetof(struct limit_keys, backoff), NULL,
     "a header or pointer to the seconds to rest before the next request", NULL},
    {0},
};

/* A header in lower case, or a pointer as it is. NULL: none given, or err. */
static const char *header_or_pointer(const struct reading *reading, const char *text)
{
    const size_t length = text == NULL ? 0 : strlen(text);
    char *copy = NULL;

    if (text == NULL || text[0] == '/') {
        return text;
    }
    copy = reading_take(reading, length + 1, 1);
    for (size_t i = 0; copy != NULL && i < length; i++) {
        copy[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    }
    return copy;
}

static void check_zone(const struct reading *reading, const struct config_node *node,
                       const char *name)
{
    struct ear_error why = {EAR_NONE, ""};
    struct zone *zone = NULL;

    if (name != NULL && zone_open(&zone, name, &why) != 0) {
        config_report(reading->config, CONFIG_ERROR, node, "%s", why.message);
    }
    zone_close(zone);
}

static int read_limit(const struct reading *reading, struct limit *out,
                      const struct config_node *node)
{
    struct limit_keys keys = {0};

    if (reading_fill(reading, node, limit_options, "limit", &keys) != 0) {
        return 0;
    }
    check_zone(reading, config_get(node, "zone"), keys.zone);
    if (keys.requests == 0 && keys.remaining == NULL && keys.reset == NULL &&
        keys.backoff == NULL) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "limits nothing; write one such as {requests: 60, per: 1m}");
    }
    out->requests = keys.requests;
    out->per_us = keys.per;
    out->zone = keys.zone;
    out->remaining = header_or_pointer(reading, keys.remaining);
    out->reset = header_or_pointer(reading, keys.reset);
    out->backoff = header_or_pointer(reading, keys.backoff);
    out->reset_as = (enum reset_as)reading_index(keys.reset_as, reset_names);
    return reading->err->kind == EAR_FATAL ? -1 : 0;
}

int read_limits(const struct reading *reading, const struct config_node *node)
{
    struct definition *definition = reading->definition;
    const bool many = config_is_sequence(node);
    const size_t count = many ? config_count(node) : 1;

    if (config_is_absent(node)) {
        return 0;
    }
    if (count > LIMITS_MAX) {
        config_report(reading->config, CONFIG_ERROR, node, "more than eight limits; name fewer");
        return 0;
    }
    definition->limits = reading_take(reading, count + 1, sizeof(*definition->limits));
    if (definition->limits == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_limit(reading, &definition->limits[definition->limit_count++],
                       many ? config_at(node, i) : node) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- errors --- */

static const char *const do_names[] = {"retry", "wait", "skip", "end", "refresh", "stop", NULL};

struct rule_keys {
    struct condition_keys when;
    struct ear_strings status;
    const char *what, *until;
    const struct config_node *say, *wait_from;
    int64_t wait;
};

static const struct ear_option rule_options[] = {
    CONDITION_OPTIONS(rule_keys, when),
    {"status", EAR_STRINGS, offsetof(struct rule_keys, status), NULL,
     "the codes it is about; any that is no page without it", NULL},
    {"do", EAR_CHOICE, offsetof(struct rule_keys, what), "!|retry|wait|skip|end|refresh|stop",
     "what to do", NULL},
    {"say", EAR_TREE, offsetof(struct rule_keys, say), NULL, "what a person is told, with the cure",
     NULL},
    {"for", EAR_DURATION, offsetof(struct rule_keys, wait), "0 [0..365d]",
     "do: wait: how long, such as 1m; as the server says without it", NULL},
    {"until", EAR_STRING, offsetof(struct rule_keys, until), NULL,
     "do: wait: a time of the day in the limit's zone, such as \"00:00\"", NULL},
    {"wait_from", EAR_TREE, offsetof(struct rule_keys, wait_from), NULL,
     "do: wait: a pointer to the seconds in the answer", NULL},
    {0},
};

/* "00:00" as microseconds of the day; -1: a finding. */
static int64_t read_until(const struct reading *reading, const struct config_node *node,
                          const char *text)
{
    const bool good = strlen(text) == 5 && text[2] == ':' && strspn(text, "0123456789") == 2 &&
                      strspn(text + 3, "0123456789") == 2;
    const int64_t hour = good ? strtol(text, NULL, 10) : 24;
    const int64_t minute = good ? strtol(text + 3, NULL, 10) : 60;

    if (hour > 23 || minute > 59) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "'%.50s' is no time of the day; write one such as \"00:00\"", text);
        return -1;
    }
    return (hour * 60 + minute) * CLOCK_MINUTE_US;
}

static int read_rule(const struct reading *reading, struct error_rule *out,
                     const struct config_node *node)
{
    struct rule_keys keys = {0};

    out->until_us = -1;
    if (reading_fill(reading, node, rule_options, "an error's rule", &keys) != 0) {
        return 0;
    }
    out->what = (enum error_do)reading_index(keys.what, do_names);
    out->wait_us = keys.wait;
    if (keys.until != NULL) {
        out->until_us = read_until(reading, config_get(node, "until"), keys.until);
    }
    if (out->what != DO_WAIT && (keys.wait != 0 || keys.until != NULL || keys.wait_from != NULL)) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "for, until and wait_from say how long to wait; write do: wait");
    }
    read_statuses(reading, config_get(node, "status"), &keys.status, out->statuses,
                  &out->status_count, sizeof(out->statuses) / sizeof(out->statuses[0]));
    return read_condition_inline(reading, &out->when, &keys.when, node) != 0 ||
                   read_template(reading, &out->say, keys.say) != 0 ||
                   read_pointer(reading, &out->wait_from, keys.wait_from) != 0
               ? -1
               : 0;
}

int read_errors(const struct reading *reading, const struct config_node *node)
{
    struct definition *definition = reading->definition;
    const size_t count = config_count(node);

    if (config_is_absent(node)) {
        return 0;
    }
    if (!config_is_sequence(node) || count > RULES_MAX) {
        config_report(reading->config, CONFIG_ERROR, node,
                      "takes a list of rules, at most 100, such as [{status: 404, do: stop, say: "
                      "\"Is {base} right?\"}]");
        return 0;
    }
    definition->errors = reading_take(reading, count + 1, sizeof(*definition->errors));
    if (definition->errors == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_rule(reading, &definition->errors[definition->error_count++],
                      config_at(node, i)) != 0) {
            return -1;
        }
    }
    return 0;
}
