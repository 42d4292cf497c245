/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_PROCESSORS_STAGE_H
#define EARSHOT_PROCESSORS_STAGE_H

/*
 * The stage interface: what a built-in stage and a `.so` both are. A stage is stateless between
 * batches: messages in, at most one message out for each, rejects aside. It never logs, retries or
 * waits: it gives a verdict, the runner has the policy.
 *
 * A stage is one `const struct ear_stage`. The runner allocates the config struct, fills it from
 * the stage's option table, calls open once per thread, process once per batch, close at the end. A
 * `.so` exports `const struct ear_stage *ear_stage_v1(void)`.
 *
 * Messages are opaque; what a stage does with one goes through the host's table of functions,
 * reached from the message or output itself, so a
 * `.so` needs no symbol of ours. Strings from a message live until the batch ends. Threads: one
 * state is used by one thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/option.h"

enum { EAR_STAGE_ABI = 1 };

struct ear_host;
struct ear_message; /* one message of a batch; see common/message/message.h for what a set does */

/* Where verdicts go. The first field is public, the rest the runner's. */
struct ear_output {
    const struct ear_host *host;
};

/* What a stage is told when it opens. Strings live until close. */
struct ear_stage_context {
    size_t size;           /* of this struct */
    const char *share_dir; /* where the shipped vocabularies and the model lie */
    const char *base_dir;  /* where relative paths of the configuration start */
    const void *settings;  /* built-in stages: const struct settings *; NULL for others */
};

struct ear_stage {
    size_t size; /* sizeof(struct ear_stage) as the stage was compiled */
    int abi;     /* EAR_STAGE_ABI */
    const char *name;
    const char *about;                /* one line */
    const struct ear_option *options; /* of the config; NULL: none */
    size_t config_size;               /* of the struct they fill */
    /* Makes a state from the filled config (which outlives it). Absent: the state is NULL. */
    int (*open)(void **state, const void *config, const struct ear_stage_context *context,
                struct ear_error *err);
    /*
     * Judges a batch: for each message in order ear_publish, ear_reject, or neither (dropped). -1
     * only for what concerns the whole batch (EAR_RETRY, EAR_FATAL, EAR_CONFIG): then nothing of it
     * counts.
     */
    int (*process)(void *state, const void *config, struct ear_message *const messages[],
                   size_t count, struct ear_output *out, struct ear_error *err);
    void (*close)(void *state);
    /* The generation of the model that the state judges with ("2026.11-1"): what a dropped message
     * carries as `model`. Absent: the stage has no model. Lives as long as the state. */
    const char *(*generation)(const void *state);
};

/* The host's functions. Only appended to. Sizes are bytes; lengths exclude the NUL. */
struct ear_host {
    size_t size;
    const char *(*string)(const struct ear_message *message, const char *name, size_t *length);
    const char *(*raw)(const struct ear_message *message, const char *name, size_t *length);
    bool (*integer)(const struct ear_message *message, const char *name, int64_t *out);
    bool (*number)(const struct ear_message *message, const char *name, double *out);
    int (*set_raw)(struct ear_message *message, const char *name, const char *json, size_t length,
                   struct ear_error *err);
    int (*set_string)(struct ear_message *message, const char *name, const char *text,
                      size_t length, struct ear_error *err);
    int (*publish)(struct ear_output *out, struct ear_message *message, const char *topic,
                   struct ear_error *err);
    int (*reject)(struct ear_output *out, const struct ear_message *message, const char *code,
                  const char *reason, struct ear_error *err);
};

/* A message begins with a pointer to its host's functions. */
static inline const struct ear_host *ear_message_host(const struct ear_message *message)
{
    return *(const struct ear_host *const *)(const void *)message;
}

/* A top-level string field, decoded, NUL-ended; NULL: absent or no string. */
static inline const char *ear_message_string(const struct ear_message *message, const char *name)
{
    return ear_message_host(message)->string(message, name, NULL);
}

/* The same with its length in bytes (length may be NULL). */
static inline const char *ear_message_bytes(const struct ear_message *message, const char *name,
                                            size_t *length)
{
    return ear_message_host(message)->string(message, name, length);
}

/* A top-level field as it stands in the JSON text. */
static inline const char *ear_message_raw(const struct ear_message *message, const char *name,
                                          size_t *length)
{
    return ear_message_host(message)->raw(message, name, length);
}

static inline bool ear_message_integer(const struct ear_message *message, const char *name,
                                       int64_t *out)
{
    return ear_message_host(message)->integer(message, name, out);
}

static inline bool ear_message_number(const struct ear_message *message, const char *name,
                                      double *out)
{
    return ear_message_host(message)->number(message, name, out);
}

/* Sets a field to JSON text (valid; copied) or to a string (copied). */
EAR_MUST_CHECK
static inline int ear_message_set_raw(struct ear_message *message, const char *name,
                                      const char *json, size_t length, struct ear_error *err)
{
    return ear_message_host(message)->set_raw(message, name, json, length, err);
}

EAR_MUST_CHECK
static inline int ear_message_set_string(struct ear_message *message, const char *name,
                                         const char *text, size_t length, struct ear_error *err)
{
    return ear_message_host(message)->set_string(message, name, text, length, err);
}

/* Passes a message on along the chain. At most once for each message of the batch. */
EAR_MUST_CHECK
static inline int ear_publish(struct ear_output *out, struct ear_message *message,
                              struct ear_error *err)
{
    return out->host->publish(out, message, NULL, err);
}

/* Sets a message aside with a short code ("schema") and a reason: what was expected, what was
 * found. Returns 0: the batch goes on. */
EAR_MUST_CHECK
static inline int ear_reject(struct ear_output *out, const struct ear_message *message,
                             const char *code, const char *reason, struct ear_error *err)
{
    return out->host->reject(out, message, code, reason, err);
}

#endif
