/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_POST_H
#define EARSHOT_COLLECTORS_POST_H

/*
 * From what a server said (a record) to what Earshot says (a post): the one place that decides ids,
 * pseudonyms, whose account it was, which time is believed, and how text is mended. A reader knows
 * none of it, and neither does a stage.
 *
 * A post is made in two strokes. post_read tells what the record is: its id, where it is
 * remembered, and two hashes. `raw` is over the record as it came: equal means unchanged, and
 * nothing more is done. `hash` is over the canonical content: equal means nothing a reader would
 * notice has changed. post_clean makes that content, and post_write the JSON, once the version is
 * known.
 *
 * Threads: rules may be read by any; a post belongs to one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/source.h"
#include "common/error.h"
#include "common/hash.h"

struct json_writer;
struct settings;
struct settings_source;

struct post_rules; /* what holds for all posts: the key of pseudonyms, our own accounts */

/* Settings and key are borrowed. */
EAR_MUST_CHECK
int post_rules_new(struct post_rules **out, const struct settings *settings,
                   const struct pseudonym_key *key, struct ear_error *err);
void post_rules_free(struct post_rules *rules);

/* Where a source's records come from: what their ids begin with. */
struct post_origin {
    const struct settings_source *source;
    const char *platform, *channel; /* the reader's */
    char *host;                     /* owned */
    bool lists_again;               /* a page that shows the same items with each poll */
};

/* The host of a source's ids: of its `base` or `url`, in lower case, without a default port; a
 * source without either (a file) is its own host. */
EAR_MUST_CHECK
int post_origin_init(struct post_origin *out, const struct settings_source *source,
                     const struct source_reader *reader, struct ear_error *err);
void post_origin_clear(struct post_origin *origin);

struct post {
    const struct post_rules *rules;
    const struct post_origin *origin;
    const struct source_record *record; /* borrowed: until the next call of the reader */
    char *id;
    size_t id_length;
    struct hash128 id_hash; /* of `id` */
    struct hash128 native;  /* what the source remembers it by */
    struct hash128 raw, hash;
    char author[PSEUDONYM_SIZE]; /* "": none */
    struct hash128 author_hash;  /* of `author` */
    bool ours, staff, repaired;
    char *url, *title, *text, *thread, *parent, *lang, *name; /* clean; NULL: none */
    size_t text_length;
};

/* Tells what a record is. -1: EAR_REJECT "bad_id: …", EAR_FATAL. Caller clears, also after -1. */
EAR_MUST_CHECK
int post_read(struct post *post, const struct post_rules *rules, const struct post_origin *origin,
              const struct source_record *record, struct ear_error *err);

/* Mends, decodes and tidies the content, finds the author, and hashes it. -1: EAR_FATAL. */
EAR_MUST_CHECK
int post_clean(struct post *post, struct ear_error *err);

/*
 * Writes the post into an empty writer (of MESSAGE_POST_MAX). first_us: when it was first seen, for
 * one whose own time is not to be believed. -1: EAR_REJECT "too_large: …", EAR_FATAL. The text is
 * the writer's until it is used again.
 */
EAR_MUST_CHECK
int post_write(const struct post *post, struct json_writer *writer, int64_t version,
               int64_t first_us, int64_t now_us, const char **text, size_t *length,
               struct ear_error *err);

/* The same for a post that is gone. */
EAR_MUST_CHECK
int post_write_deleted(const struct post *post, struct json_writer *writer, int64_t version,
                       const char **text, size_t *length, struct ear_error *err);

/* When it was written, for `seen`: its own time where that is to be believed, else when it was
 * first seen (before_us; INT64_MIN: now). */
int64_t post_created(const struct post *post, int64_t before_us, int64_t now_us);

/* Is its own time, as of now, to be believed? */
bool post_is_dated(const struct post *post, int64_t now_us);

/* The version of a change that is seen now: later than the one before, and than the edit. */
int64_t post_version(const struct post *post, int64_t before, int64_t now_us);

void post_clear(struct post *post);

#endif
