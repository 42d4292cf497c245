/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_STREAM_INTERNAL_H
#define EARSHOT_COMMON_STREAM_STREAM_INTERNAL_H

/*
 * What the back ends and stream.c share: the table of functions behind the door, and batches. Every
 * object of the door begins with its back end; a back end's own struct has it as its first member.
 */

#include "common/stream/stream.h"

struct stream {
    const struct stream_backend *backend;
};

struct stream_reader {
    const struct stream_backend *backend;
};

struct stream_share {
    const struct stream_backend *backend;
};

struct stream_transaction {
    const struct stream_backend *backend;
};

/* The functions of stream.h, one for one: what is said there holds here. */
struct stream_backend {
    const char *scheme;                                       /* "local:" */
    int (*check_url)(const char *url, struct ear_error *err); /* NULL: opening says it */

    int (*open)(struct stream **out, const struct stream_config *config, struct ear_error *err);
    void (*close)(struct stream *stream);

    int (*subscribe)(struct stream_reader **out, struct stream *stream, const char *group,
                     const char *const topics[], size_t topic_count,
                     const struct stream_start *start, struct ear_error *err);
    int (*follow)(struct stream_reader **out, struct stream *stream, const char *topic,
                  int64_t from_us, struct ear_error *err);
    void (*reader_close)(struct stream_reader *reader);
    int (*seek)(struct stream_reader *reader, const char *topic, int partition, int64_t offset,
                struct ear_error *err);
    int (*read)(struct stream_reader *reader, struct stream_batch *batch, size_t max_messages,
                size_t max_bytes, int timeout_ms, struct ear_error *err);
    int (*rewind)(struct stream_reader *reader, struct ear_error *err);
    int64_t (*position)(const struct stream_reader *reader, const char *topic, int partition);
    bool (*is_ahead)(const struct stream_reader *reader);

    int (*share_open)(struct stream_share **out, struct stream *stream, const char *group,
                      const char *const tables[], size_t table_count, struct ear_error *err);
    void (*share_close)(struct stream_share *share);
    int (*share_turn)(struct stream_share *share, int timeout_ms, bool *changed,
                      struct ear_error *err);
    int64_t (*share_owns)(const struct stream_share *share, const char *key, size_t key_length);
    bool (*share_settling)(const struct stream_share *share);
    int (*share_guard)(struct stream_transaction *transaction, struct stream_share *share,
                       struct ear_error *err);

    int (*begin)(struct stream_transaction **out, struct stream *stream, struct ear_error *err);
    int (*publish)(struct stream_transaction *transaction, const char *topic, const char *key,
                   size_t key_length, const char *value, size_t value_length, int64_t at_us,
                   struct ear_error *err);
    int (*move)(struct stream_transaction *transaction, struct stream_reader *reader,
                struct ear_error *err);
    int (*commit)(struct stream_transaction *transaction, struct ear_error *err);
    void (*abort)(struct stream_transaction *transaction);

    int (*lookup)(struct stream *stream, const char *topic, const char *key, size_t key_length,
                  char **out, size_t *out_length, struct ear_error *err);
    int (*each_latest)(struct stream *stream, const char *topic,
                       bool (*visit)(void *user, const struct stream_message *message), void *user,
                       struct ear_error *err);

    int (*partitions)(struct stream *stream, const char *topic);
    int (*span)(struct stream *stream, const char *topic, int partition, struct stream_span *out,
                struct ear_error *err);
    int64_t (*group_position)(struct stream *stream, const char *group, const char *topic,
                              int partition, struct ear_error *err);
    int (*each_group)(struct stream *stream,
                      bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                    int64_t position),
                      void *user, struct ear_error *err);
    int (*forget_group)(struct stream *stream, const char *group, struct ear_error *err);
    int (*fetch)(struct stream *stream, const char *topic, int partition, int64_t offset,
                 struct stream_batch *batch, struct ear_error *err);

    double (*fullness)(struct stream *stream);
    int (*maintain)(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err);
    int (*compact)(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err);
};

extern const struct stream_backend stream_local;
extern const struct stream_backend stream_kafka;

/* A key's partition among `count`, as stream.h says: part of the format of both back ends. */
int stream_partition_of(bool by_prefix, const char *key, size_t key_length, int count);

/* What every log refuses in a message, before it is its back end's: EAR_REJECT, a code in front. */
EAR_MUST_CHECK
int stream_check_message(const char *topic, bool compact, const char *key, size_t key_length,
                         size_t value_length, struct ear_error *err);

/* Asks where to begin on a partition. Returns an offset, STREAM_AT_…; without `at`: at the group.
 */
int64_t stream_start_at(const struct stream_start *start, const char *topic, int partition,
                        struct ear_error *err);

/* Empties a batch but keeps its memory for the next read. */
void batch_reset(struct stream_batch *batch);

/* Adds a copy of a message: key and value are taken from it, NUL-ended in the copy. */
EAR_MUST_CHECK
int batch_add(struct stream_batch *batch, const struct stream_message *message,
              struct ear_error *err);

#endif
