/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_MESSAGE_MESSAGE_H
#define EARSHOT_COMMON_MESSAGE_MESSAGE_H

/*
 * A message of a topic: one JSON object, read once per process into an opaque handle that knows the
 * spans of its top-level fields. Getting a field looks into the span; setting one splices it in (or
 * replaces it); whatever nobody set stays byte for byte as it came. Shapes of the messages: the
 * JSON Schemas in common/schema/.
 *
 * The messages of a batch live in an arena and are freed with it. Threads: one at a time per arena.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/json/json.h"

enum {
    MESSAGE_POST_MAX = 512 * 1024, /* bytes of a post */
    MESSAGE_MAX = 1024 * 1024,     /* bytes of any message or line */
    MESSAGE_DEPTH_MAX = JSON_DEPTH_MAX,
};

struct message_arena;
struct ear_message;

/* An arena of at most limit_bytes for the texts and handles of one batch. */
EAR_MUST_CHECK
int message_arena_new(struct message_arena **out, size_t limit_bytes, struct ear_error *err);
void message_arena_free(struct message_arena *arena);
void message_arena_reset(struct message_arena *arena); /* all its messages are gone */

/* Room of at least `size` bytes, aligned for anything, in the arena; NULL with EAR_FATAL past its
 * limit. */
void *message_arena_take(struct message_arena *arena, size_t size, struct ear_error *err);

/*
 * Reads one message; copies `text`. NULL with EAR_REJECT and a code in front ("bad_json: …",
 * "too_deep: …", "too_large: …", "schema: no object").
 */
EAR_MUST_CHECK
struct ear_message *message_read(struct message_arena *arena, const char *text, size_t length,
                                 struct ear_error *err);

/*
 * What a message begins with: the table of functions through which a stage reaches it
 * (processors/stage.h, struct ear_host). NULL until the runner sets it; a copy has its original's.
 */
void message_set_host(struct ear_message *message, const void *host);

/* A copy, in any arena, that can be changed apart from its original. */
EAR_MUST_CHECK
struct ear_message *message_copy(struct message_arena *arena, const struct ear_message *message,
                                 struct ear_error *err);

/* A top-level string field decoded, NUL-ended, length by out (may be NULL); NULL: absent or no
 * string. Lives as long as the message. */
const char *message_string(const struct ear_message *message, const char *name, size_t *length);
bool message_integer(const struct ear_message *message, const char *name, int64_t *out);
bool message_number(const struct ear_message *message, const char *name, double *out);
bool message_boolean(const struct ear_message *message, const char *name, bool *out);

/* A field as it stands in the text, length by out; NULL: absent. */
const char *message_raw(const struct ear_message *message, const char *name, size_t *length);

/* A field as a node, for what is nested ("author", "insight"). Lives as long as the message. NULL:
 * absent. */
const struct json_node *message_node(const struct ear_message *message, const char *name);

/*
 * Sets a field to JSON text (checked; copied) or to a string. Set to NULL removes it. -1 with
 * EAR_REJECT ("bad_json: …", "too_large: …"; the field stays as it was) or EAR_FATAL.
 */
EAR_MUST_CHECK
int message_set_raw(struct ear_message *message, const char *name, const char *json, size_t length,
                    struct ear_error *err);
EAR_MUST_CHECK
int message_set_string(struct ear_message *message, const char *name, const char *text,
                       size_t length, struct ear_error *err);

/*
 * Sets a field to JSON text that a json_writer of this process wrote (copied): being sound by
 * construction it is not checked, and not read before somebody asks for the field as a node or a
 * string. -1 as above.
 */
EAR_MUST_CHECK
int message_set_written(struct ear_message *message, const char *name, const char *json,
                        size_t length, struct ear_error *err);

/*
 * The whole as text: untouched fields byte for byte, set ones in place or before the last brace.
 * Lives as long as the arena. NULL with EAR_REJECT "too_large: …" beyond MESSAGE_MAX, or EAR_FATAL.
 */
EAR_MUST_CHECK
const char *message_text(const struct ear_message *message, size_t *length, struct ear_error *err);

/* True if the text was mended on reading (U+FFFD put in) or had a key twice. */
bool message_repaired(const struct ear_message *message);

#endif
