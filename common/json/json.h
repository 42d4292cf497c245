/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_JSON_JSON_H
#define EARSHOT_COMMON_JSON_JSON_H

/*
 * JSON in and out. Reading goes through yajl's SAX side only, under limits of our own (depth,
 * members, bytes); a document becomes a flat tape of nodes that refer back into the text, so that
 * any value can be copied byte for byte. Writing goes to a growing buffer with a limit and never
 * emits invalid UTF-8.
 *
 * Strings are decoded once, on reading: escapes resolved, a lone surrogate, NUL or invalid UTF-8
 * replaced by U+FFFD (`repaired` says so), in the kept text too, so that what is copied out of it
 * raw is sound. Numbers keep their text. Duplicate keys: the last wins, the others are passed over
 * by every function (`duplicates` says so). No other room includes yajl.
 *
 * Threads: one at a time per document or writer; nodes may be read by any number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { JSON_DEPTH_MAX = 128, JSON_MEMBERS_MAX = 100000 };

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_limits {
    size_t bytes;   /* of the text; beyond: too_big */
    size_t depth;   /* of nesting, at most JSON_DEPTH_MAX; beyond: too_deep */
    size_t members; /* of all arrays and objects together; beyond: too_many */
};

/* 16 MiB, JSON_DEPTH_MAX, JSON_MEMBERS_MAX: what an answer of a server gets. */
extern const struct json_limits json_limits_default;

struct json; /* a document: keeps its tape and decoded strings, borrows nothing; may be used again
                for the next text */
struct json_node; /* a value in it; valid until the document reads again or is freed */

EAR_MUST_CHECK
int json_new(struct json **out, struct ear_error *err);
void json_free(struct json *json);

/*
 * Reads one value; trailing bytes other than white space are an error. The document keeps a copy of
 * `text`. Returns its root; or NULL with EAR_REJECT, the message beginning with a code of
 * reliability.md ("bad_json", "too_deep", "too_many", "bad_number", "too_big"), a colon, and the
 * byte offset. Reuses the memory of the last text.
 */
EAR_MUST_CHECK
const struct json_node *json_read(struct json *json, const char *text, size_t length,
                                  const struct json_limits *limits, struct ear_error *err);

/*
 * The last text that was read, for keeping: a copy of the whole document in one piece of
 * json_pack_size bytes of the caller's (aligned as malloc does), so that the struct json is free
 * for the next text. Returns its root, which lives as long as the memory. Only after a json_read
 * that succeeded.
 */
size_t json_pack_size(const struct json *json);
const struct json_node *json_pack(const struct json *json, void *memory);

bool json_repaired(const struct json *json);   /* some string of the last text was mended */
bool json_duplicates(const struct json *json); /* some object of the last text had a key twice */

enum json_kind json_kind_of(const struct json_node *node);
size_t json_count(const struct json_node *node); /* elements or members; 0 for the rest */

/* A member's value, or NULL (also for NULL or a node that is no object). */
const struct json_node *json_get(const struct json_node *object, const char *key);

/* What an RFC 6901 pointer names ("/data/children/0"), or NULL. "" is the node itself. */
const struct json_node *json_pointer(const struct json_node *node, const char *pointer);

/* Iteration: the first element or member, and the one after it; NULL at the end. json_key is a
 * member's key (NULL in arrays). */
const struct json_node *json_first(const struct json_node *node);
const struct json_node *json_next(const struct json_node *node);
const char *json_key(const struct json_node *node);

/* A string's bytes, NUL-ended, length by out (may be NULL); a number's text. NULL for the rest and
 * for a NULL node. */
const char *json_string(const struct json_node *node, size_t *length);

/* What the value is, where it is: false, *out untouched, if it is absent, of another kind or out of
 * range. */
bool json_integer(const struct json_node *node, int64_t *out);
bool json_number(const struct json_node *node, double *out);
bool json_boolean(const struct json_node *node, bool *out);

/* The value as it stands in the text (for a string: with quotes and escapes), length by out. */
const char *json_raw(const struct json_node *node, size_t *length);

/* A member as it stands in the text: key, colon and value. NULL for what is no member. */
const char *json_member_raw(const struct json_node *node, size_t *length);

/* --- writing --- */

struct json_writer; /* a buffer with a limit; the first failure sticks and is reported by
                       json_writer_text */

EAR_MUST_CHECK
int json_writer_new(struct json_writer **out, size_t limit_bytes, struct ear_error *err);
void json_writer_free(struct json_writer *writer);
void json_writer_reset(struct json_writer *writer);

/* Values. Inside an object each follows a json_write_key. Commas are the writer's business. */
void json_write_object(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);
void json_write_key(struct json_writer *writer, const char *key);
void json_write_string(struct json_writer *writer, const char *text); /* NULL writes null */
void json_write_bytes(struct json_writer *writer, const char *text, size_t length);
void json_write_integer(struct json_writer *writer, int64_t value);
void json_write_number(struct json_writer *writer, double value,
                       int digits); /* %.*f, trailing zeros cut; NaN: null */
void json_write_boolean(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);
void json_write_raw(struct json_writer *writer, const char *json,
                    size_t length); /* valid JSON of the caller's */

/* Key and value in one call; a NULL string is left out. */
void json_member_string(struct json_writer *writer, const char *key, const char *text);
void json_member_integer(struct json_writer *writer, const char *key, int64_t value);

/* The text so far, NUL-ended, borrowed until the next call; NULL with EAR_REJECT "too_large" or
 * EAR_FATAL. */
EAR_MUST_CHECK
const char *json_writer_text(struct json_writer *writer, size_t *length, struct ear_error *err);

#endif
