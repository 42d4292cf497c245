/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A stage that does what the first word of a text says, for tests of the chain and the runner:
 *
 *   drop, reject, pass   as they say
 *   poison               fails as a whole, for good
 *   away                 fails as a whole, while the file `away` exists
 *   twice                publishes a message twice, which a stage must not
 *   more                 passes, and publishes two messages more to the topic `more`
 *   huge                 makes a message bigger than a topic takes
 *   hoard                the same, for the topic `more` alone
 *   hang                 never comes back
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "processors/stage.h"

struct contrary {
    const char *away;
    const char *more;
};

static const struct ear_option options[] = {
    {.name = "away",
     .type = EAR_STRING,
     .offset = offsetof(struct contrary, away),
     .fallback = "/nonexistent",
     .help = "the file whose presence makes 'away' fail"},
    {.name = "more",
     .type = EAR_STRING,
     .offset = offsetof(struct contrary, more),
     .fallback = "more",
     .help = "the topic of 'more'"},
    {0},
};

static int fail(struct ear_error *err, enum ear_error_kind kind, const char *message)
{
    err->kind = kind;
    snprintf(err->message, sizeof err->message, "%s", message);
    return -1;
}

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static int grow(struct ear_message *post, struct ear_error *err)
{
    static char much[600 * 1024];

    memset(much, 'x', sizeof much - 1);
    return ear_message_set_string(post, "x_a", much, sizeof much - 1, err) != 0
               ? -1
               : ear_message_set_string(post, "x_b", much, sizeof much - 1, err);
}

static int judge(const struct contrary *config, struct ear_message *post, struct ear_output *out,
                 struct ear_error *err)
{
    const char *text = ear_message_string(post, "text");

    if (text == NULL || begins(text, "drop")) {
        return 0;
    }
    if (begins(text, "reject")) {
        return ear_reject(out, post, "contrary", "it asked for it", err);
    }
    if (begins(text, "poison")) {
        return fail(err, EAR_FATAL, "poison");
    }
    if (begins(text, "away") && access(config->away, F_OK) == 0) {
        return fail(err, EAR_RETRY, "what it needs is away");
    }
    while (begins(text, "hang")) {
        sleep(1);
    }
    if (begins(text, "twice") && ear_publish(out, post, err) != 0) {
        return -1;
    }
    if ((begins(text, "huge") || begins(text, "hoard")) && grow(post, err) != 0) {
        return -1;
    }
    if (begins(text, "hoard")) {
        return out->host->publish(out, post, config->more, err);
    }
    if (begins(text, "more") && (out->host->publish(out, post, config->more, err) != 0 ||
                                 out->host->publish(out, post, config->more, err) != 0)) {
        return -1;
    }
    return ear_publish(out, post, err);
}

static int process(void *state, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        if (judge(config, messages[i], out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const char *generation(const void *state)
{
    (void)state;
    return "contrary-1";
}

static const struct ear_stage contrary_stage = {
    .size = sizeof(struct ear_stage),
    .abi = EAR_STAGE_ABI,
    .name = "contrary",
    .about = "does what the first word says",
    .options = options,
    .config_size = sizeof(struct contrary),
    .process = process,
    .generation = generation,
};

__attribute__((visibility("default"))) const struct ear_stage *ear_stage_v1(void);

const struct ear_stage *ear_stage_v1(void)
{
    return &contrary_stage;
}
