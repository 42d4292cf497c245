/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_STREAM_H
#define EARSHOT_COMMON_STREAM_STREAM_H

/*
 * The only door to the log. Topics have partitions; a message has a key, and all messages of one
 * key lie in one partition, in order. A group has a position on each partition: the offset of the
 * next message it will be given. One idea carries everything else: a transaction publishes messages
 * and moves a group's position at once, or does neither.
 *
 * Two back ends behind it, chosen by the URL: local:PATH (one LMDB environment, local.c) and
 * kafka://HOST:PORT[,HOST:PORT…]/PREFIX (Apache Kafka, kafka.c). What holds on both: offsets grow
 * but may have gaps; what was committed is durable when stream_commit returns; a reader sees only
 * what was committed; a message that a later one of the same key superseded may be gone, the latest
 * never (unless retention says so); a message with no value is a tombstone: its key is gone. What
 * differs is said where it does.
 *
 * A key's partition: the first eight bytes of its hash128, big end first, modulo the number of
 * partitions; of a topic `by_prefix` the hash of what stands before the key's first '/'. One
 * process opens a log once and shares the struct stream (EAR_FATAL otherwise); after a fork the
 * child opens anew.
 *
 * Threads: a struct stream may be shared by any number; a reader and a transaction belong to one
 * thread at a time. No transaction stays open while its owner waits for a network, a plugin or a
 * person (one writer at a time on the local log).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct stream;
struct stream_reader;
struct stream_share;
struct stream_transaction;

enum { STREAM_MESSAGE_MAX = 1024 * 1024, STREAM_KEY_MAX = 4096, STREAM_PARTITIONS_MAX = 64 };

/* What a topic keeps. Both may be set: compacted and aged out (Kafka's compact,delete). */
struct stream_topic {
    const char *name;     /* "posts" */
    int partitions;       /* 1..STREAM_PARTITIONS_MAX; fixed when the topic is first made */
    bool compact;         /* superseded messages of a key go */
    int64_t retention_us; /* what all groups have read goes at this age; 0: kept for ever */
    bool yields;    /* under pressure of size, what all groups have read goes earlier, oldest first
                       (posts) */
    bool by_prefix; /* the key is SOURCE/…, and all of a source lies in the partition that the key
                       SOURCE has in another topic of as many partitions (seen, beside cursors) */
    const char *event; /* Kafka: what a message is, for CloudEvents ("post": ce_type is
                          earshot.post.v1); NULL: no headers */
};

/* How a Kafka client signs in; NULL where not used. Secrets: never in a message or a log. */
struct stream_security {
    const char *protocol;  /* PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL; NULL: PLAINTEXT */
    const char *mechanism; /* PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, … */
    const char *user, *password;
    const char *ca, *certificate, *key; /* paths of PEM files */
};

/* A setting of librdkafka's that is passed through and wins over ours. */
struct stream_option {
    const char *name, *value;
};

struct stream_config {
    const char *url;        /* local:PATH or kafka://… */
    int64_t size_bytes;     /* local: the map's fixed size */
    int64_t compact_lag_us; /* local: a superseded message stays readable at least this long; 0:
                               goes at the next maintenance. Kafka: it is gone after about this long
                               (max.compaction.lag.ms), segments last half as long */
    const struct stream_topic
        *topics; /* [topic_count]: made where missing, policies brought up to date */
    size_t topic_count;
    bool read_only; /* views and tap: makes nothing, writes nothing; a log that does not exist is
                       EAR_RETRY */
    bool *missing;  /* set where read_only fails since there is no log yet, rather than that it does
                       not answer; NULL: not asked */

    /* Kafka alone; the local log does not look at them. */
    const char *role;     /* "collect", "process", "sink"; NULL: a command. With the instance it
                             names the transactional producer: PREFIX.ROLE.INSTANCE */
    const char *instance; /* the same after a restart, so that a successor settles what its dead
                             predecessor left open; no two live processes of a role share it */
    int replication;      /* of topics that are made; 0: the broker's default */
    struct stream_security security;
    const struct stream_option *options; /* [option_count] */
    size_t option_count;
    struct metrics *metrics; /* borrowed; where statistics go; NULL: nowhere */
};

/* Says what is wrong with a URL, without opening it: EAR_CONFIG, and what to write instead. */
EAR_MUST_CHECK
int stream_check_url(const char *url, struct ear_error *err);

/* Says what is wrong with one of librdkafka's settings: EAR_CONFIG, its name and the cure. */
EAR_MUST_CHECK
int stream_check_option(const struct stream_option *option, struct ear_error *err);

/* Says, without asking a broker, that this librdkafka cannot sign in by a mechanism at the brokers
 * of today, though the password is right: EAR_CONFIG, and what to use instead. */
EAR_MUST_CHECK
int stream_check_mechanism(const char *mechanism, struct ear_error *err);

/*
 * Opens the log. Config is borrowed for the call. -1: EAR_CONFIG (URL, path not usable, a topic
 * with another number of partitions, refused sign-in), EAR_RETRY (a service that does not answer;
 * read_only and no log yet), EAR_FATAL (broken or newer file). Caller closes, after its readers and
 * shares.
 */
EAR_MUST_CHECK
int stream_open(struct stream **out, const struct stream_config *config, struct ear_error *err);
void stream_close(struct stream *stream);

/* --- reading --- */

struct stream_message {
    const char *topic; /* lives as long as the stream */
    int partition;
    int64_t offset;
    int64_t at_us;   /* when it was published: wall time of its writer */
    const char *key; /* NUL-ended beyond its length; lives as long as the batch */
    size_t key_length;
    const char *value; /* NULL: tombstone. NUL-ended beyond its length */
    size_t value_length;
};

/* What a read brought: a copy, free of the log. Reused from read to read. */
struct stream_batch {
    struct stream_message *messages; /* [count]; per partition in order of offset */
    size_t count;
    size_t bytes;
    void *memory; /* the stream's */
};

void stream_batch_clear(struct stream_batch *batch);

enum { STREAM_AT_GROUP = -1, STREAM_AT_EARLIEST = -2, STREAM_AT_FAILED = -3 };

/*
 * Where a reader begins on a partition that it is given, or goes back to: asked by its owner's
 * database rather than by the group. Called on the reader's thread, from stream_subscribe,
 * stream_read and stream_rewind, for each partition. Returns an offset, STREAM_AT_GROUP,
 * STREAM_AT_EARLIEST, or STREAM_AT_FAILED with err.
 */
struct stream_start {
    int64_t (*at)(void *user, const char *topic, int partition, struct ear_error *err);
    void *user;
};

/*
 * Joins a group on topics. Where it stands: at the group's positions, or where `start` (copied;
 * NULL: none) says; a group with none on any partition starts at the earliest; a partition without
 * one among others that have one is new and starts at the earliest. Anything else missing (a
 * position past the end, or below what is kept although the group never read it) is EAR_CONFIG with
 * topic, partition and both offsets: never a silent jump. On the local log the group is known from
 * here on: nothing that it has still to read goes by age.
 *
 * Several readers of one group: on Kafka they share the partitions out, and joining goes on in the
 * background: stream_read brings the first assignment. On the local log nothing is shared out, and
 * the second to commit is fenced. Caller closes.
 */
EAR_MUST_CHECK
int stream_subscribe(struct stream_reader **out, struct stream *stream, const char *group,
                     const char *const topics[], size_t topic_count,
                     const struct stream_start *start, struct ear_error *err);
void stream_reader_close(struct stream_reader *reader);

/* Reads on elsewhere on one partition that the reader has. Drops nothing else. */
EAR_MUST_CHECK
int stream_seek(struct stream_reader *reader, const char *topic, int partition, int64_t offset,
                struct ear_error *err);

/*
 * The next messages, at most max_messages and about max_bytes (one larger message comes alone).
 * Waits up to timeout_ms for the first (woken within 50 ms of a commit; a signal ends the wait),
 * never for more. Messages come fairly from all partitions. 0 with batch->count 0: none came; and
 * if timeout_ms was 0, there was none when it was called, on any partition that this reader has
 * (Kafka: it first waits for its assignment and looks where the partitions end).
 * EAR_FENCED: partitions of this reader went to another, or came: what was read and not moved is
 * void; drop it, read on.
 */
EAR_MUST_CHECK
int stream_read(struct stream_reader *reader, struct stream_batch *batch, size_t max_messages,
                size_t max_bytes, int timeout_ms, struct ear_error *err);

/* Goes back to the group's committed positions (or where `start` says), as after an abort: what was
 * read since comes again. */
EAR_MUST_CHECK
int stream_rewind(struct stream_reader *reader, struct ear_error *err);

/* Where the reader will read next on a partition. -1: no such, or not this reader's now. */
int64_t stream_position(const struct stream_reader *reader, const char *topic, int partition);

/*
 * True if stream_move would move the group: messages were given out, or what is no message was
 * passed (Kafka's markers of transactions), since the last move. An idle role moves then too:
 * a group that stays before the markers shows a lag for ever, and stands below what is kept once a
 * quiet partition has aged.
 */
bool stream_is_ahead(const struct stream_reader *reader);

/* Sets earshot_consumer_lag_messages for each partition of a topic; of one that another reader has,
 * this process has nothing to say (NAN). metrics may be NULL. */
void stream_measure_lag(struct stream *stream, const struct stream_reader *reader,
                        const char *topic, struct metrics *metrics);

/* --- sharing keys out --- */

/*
 * Joins a group whose members share the keys of compacted tables out by partition, so that each key
 * has one owner (collectors: the sources, on `cursors` and `seen`). All tables have as many
 * partitions; a key and what is `by_prefix` under it go to one owner together. A partition is owned
 * once what its former owners committed is restored: stream_lookup on it is then exact.
 *
 * On Kafka: a consumer group (reliability.md, "Who stores what"); adding a member is starting one
 * more process. On the local log everything is owned at once and for good: a lock of the role keeps
 * others out. Threads: one at a time. Caller closes, before the stream.
 */
EAR_MUST_CHECK
int stream_share_open(struct stream_share **out, struct stream *stream, const char *group,
                      const char *const tables[], size_t table_count, struct ear_error *err);
void stream_share_close(struct stream_share *share);

/*
 * Serves the group: assignments, restoring, waiting up to timeout_ms for either. Call it at least
 * every few seconds, never between stream_share_guard and stream_commit. *changed: what is owned
 * has changed since the last call: ask stream_share_owns again for every key, and look up again
 * what is newly owned. -1: EAR_RETRY; EAR_FENCED (the instance is used twice: leave), EAR_CONFIG,
 * EAR_FATAL.
 */
EAR_MUST_CHECK
int stream_share_turn(struct stream_share *share, int timeout_ms, bool *changed,
                      struct ear_error *err);

/* Since which change this key has been owned without a break (1, 2, …); 0: it is not owned now. */
int64_t stream_share_owns(const struct stream_share *share, const char *key, size_t key_length);

/* True until every partition that this member was given is restored, and before the first
 * assignment: keys may still come. */
bool stream_share_settling(const struct stream_share *share);

/* --- writing --- */

/* Begins. Outside work first: messages are copied and encoded as they are published, the log is
 * locked in stream_commit only. */
EAR_MUST_CHECK
int stream_begin(struct stream_transaction **out, struct stream *stream, struct ear_error *err);

/*
 * Adds a message (value NULL: tombstone). key may be NULL on topics that are not compacted:
 * partitions by turns. EAR_REJECT "too_large" beyond STREAM_MESSAGE_MAX, and the transaction goes
 * on without it; EAR_CONFIG: unknown topic.
 */
EAR_MUST_CHECK
int stream_publish(struct stream_transaction *transaction, const char *topic, const char *key,
                   size_t key_length, const char *value, size_t value_length, int64_t at_us,
                   struct ear_error *err);

/*
 * Moves the reader's group to one past each partition's last message that stream_read gave out.
 * With a condition: if the group's position is not where this reader began (somebody else moved
 * it), the commit fails with EAR_FENCED and nothing is published.
 */
EAR_MUST_CHECK
int stream_move(struct stream_transaction *transaction, struct stream_reader *reader,
                struct ear_error *err);

/*
 * Ties the transaction to the ownership of every key that it publishes to a shared table: if one
 * went to another owner, the commit fails with EAR_FENCED and nothing is published.
 */
EAR_MUST_CHECK
int stream_share_guard(struct stream_transaction *transaction, struct stream_share *share,
                       struct ear_error *err);

/*
 * Commits and frees the transaction, whatever happens. -1: EAR_RETRY (log full or service away:
 * nothing was published; begin again), EAR_FENCED, EAR_FATAL. After a failure with a reader moved:
 * stream_rewind.
 */
EAR_MUST_CHECK
int stream_commit(struct stream_transaction *transaction, struct ear_error *err);
void stream_abort(struct stream_transaction *transaction);

/* --- tables: what compacted topics hold --- */

/* The latest value of a key, copied; caller frees. 1 found, 0 none (or tombstone), -1 failed. */
EAR_MUST_CHECK
int stream_lookup(struct stream *stream, const char *topic, const char *key, size_t key_length,
                  char **out, size_t *out_length, struct ear_error *err);

/* Calls visit for the latest message of every key, in no order; visit returns false to stop. Values
 * live during the call. */
EAR_MUST_CHECK
int stream_each_latest(struct stream *stream, const char *topic,
                       bool (*visit)(void *user, const struct stream_message *message), void *user,
                       struct ear_error *err);

/* --- looking without joining --- */

struct stream_span {
    int64_t earliest; /* offset of the oldest message kept */
    int64_t end;      /* offset that the next message will get */
};

int stream_partitions(struct stream *stream, const char *topic); /* 0: unknown topic */
EAR_MUST_CHECK
int stream_span(struct stream *stream, const char *topic, int partition, struct stream_span *out,
                struct ear_error *err);

/* A group's committed position, or -1 where it has none. Own errors: -2 with err. */
EAR_MUST_CHECK
int64_t stream_group_position(struct stream *stream, const char *group, const char *topic,
                              int partition, struct ear_error *err);

/*
 * Calls visit for every position of every group, also of groups and topics that nobody configures
 * any more; visit returns false to stop. Names live during the call.
 */
EAR_MUST_CHECK
int stream_each_group(struct stream *stream,
                      bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                    int64_t position),
                      void *user, struct ear_error *err);

/*
 * Forgets a group: it holds nothing back any more, and would start at the earliest. For groups that
 * are gone for good, a processor that was renamed: until then the log keeps what they have not
 * read. Nobody may be reading for it. Returns 1, or 0 where there is no such group, or -1.
 */
EAR_MUST_CHECK
int stream_forget_group(struct stream *stream, const char *group, struct ear_error *err);

/* A reader without a group, from given instants or ends: what `tap` uses. from_us: INT64_MIN
 * earliest, INT64_MAX only what arrives. */
EAR_MUST_CHECK
int stream_follow(struct stream_reader **out, struct stream *stream, const char *topic,
                  int64_t from_us, struct ear_error *err);

/* One message by place ("posts/3/1290"): what `rejects retry` reads. 1 found, 0 gone, -1 failed.
 * Batch holds it. */
EAR_MUST_CHECK
int stream_fetch(struct stream *stream, const char *topic, int partition, int64_t offset,
                 struct stream_batch *batch, struct ear_error *err);

/* --- keeping house --- */

/* How full the log is, 0..1 (local; 0 where there is no bound). At 0.9 collectors pause. */
double stream_fullness(struct stream *stream);

/*
 * A bounded slice of compaction and retention as of now_us; call about once a second from any role.
 * Sets *more if there is work left. Removes nothing that a group has still to read: superseded
 * messages and tombstones go once compact_lag_us has passed and every group of the topic has read
 * them, the rest by age or, in topics that yield, for want of room. On Kafka brokers do all this by
 * themselves; here partitions that fell silent get what makes a broker clean them too
 * (kafka_keep.c). No-op where the stream is read_only.
 */
EAR_MUST_CHECK
int stream_maintain(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err);

enum { STREAM_FREED_LATER = -1 };

/*
 * Removes every superseded message now, whatever the lag and whoever has not read it, and every
 * tombstone that all groups have read (the others go with maintenance): what `forget` needs. With
 * `disk`: also rewrites the file without them, which needs every other process to have
 * closed it (EAR_RETRY names who has not) and fills *freed_bytes. On Kafka it closes the segments
 * that hold such messages, and *freed_bytes is STREAM_FREED_LATER: brokers clean them by
 * themselves, within compact_lag_us.
 */
EAR_MUST_CHECK
int stream_compact(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err);

#endif
