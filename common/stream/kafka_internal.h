/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_STREAM_KAFKA_INTERNAL_H
#define EARSHOT_COMMON_STREAM_KAFKA_INTERNAL_H

/*
 * The log on Apache Kafka. Topic `posts` of the log kafka://…/PREFIX is the topic PREFIX.posts,
 * group `sink.store` the group PREFIX.sink.store. Clients of librdkafka that this back end makes:
 *
 *   client     one a stream, for questions and topics: metadata, where partitions begin and end,
 *              groups. Any thread.
 *   producer   one a stream, transactional, made at the first commit, unmade after doubt; under the
 *              lock of struct kafka_producer (kafka_produce.c, kafka_write.c).
 *   readers    one each: a member of its group (kafka_read.c), or alone (follow).
 *   share      a member of the group that shares keys out (kafka_share.c).
 *   tables     one consumer alone that fills what stream_lookup answers from (kafka_table.c).
 *
 * librdkafka reports what a broker says late and in pieces; reliability.md ("Rules for librdkafka")
 * says what each report is worth, and the order in which errors are asked.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/stream/stream_internal.h"

enum {
    KAFKA_NAME_MAX = 249,     /* bytes of a topic's name: Kafka's own bound */
    KAFKA_REACH_MS = 10000,   /* how long the cluster may take to answer when it is opened */
    KAFKA_ANSWER_MS = 10000,  /* how long an answer to a question is awaited */
    KAFKA_RETRY_MS = 120000,  /* how long a call that may be repeated is */
    KAFKA_HELD = 1000,        /* messages that a lane takes from its queue at once */
    KAFKA_HEADERS_MAX = 4096, /* bytes of headers of a message, at most */
    KAFKA_TOPICS_MAX = 64,    /* topics of a stream that are found without a look-up */
};

/* What a message needs at most, with its key and headers, and a batch of one. */
#define KAFKA_RECORD_MAX (STREAM_MESSAGE_MAX + STREAM_KEY_MAX + KAFKA_HEADERS_MAX)
#define KAFKA_BATCH_MAX (KAFKA_RECORD_MAX + 4096)

struct kafka_topic {
    char *name; /* "posts" */
    char *full; /* "PREFIX.posts" */
    char *type; /* of CloudEvents, "earshot.post.v1"; NULL: no headers */
    int count;  /* partitions */
    bool compact, by_prefix;
    int64_t retention_us;
};

/* A setting, copied. */
struct kafka_setting {
    char *name, *value;
};

struct kafka_producer {
    pthread_mutex_t lock;
    rd_kafka_t *client;  /* NULL: to be made */
    atomic_bool doubt;   /* a request timed out: recycle before the next transaction */
    int64_t begun_us;    /* mono: the transaction at work */
    int64_t timeout_us;  /* transaction.timeout.ms */
    int64_t answer_us;   /* socket.timeout.ms */
    int64_t delivery_us; /* message.timeout.ms */
    rd_kafka_topic_t *topics[KAFKA_TOPICS_MAX]; /* the client's, in the order of the stream's; made
                                                   at the first record */
    size_t delivered, failed;                   /* reports of the transaction at work */
    rd_kafka_resp_err_t failure;
    bool twice; /* fenced before its time: the instance is used twice */
};

struct kafka_tables;
struct kafka_share;
struct kafka_transaction;

/* What a client's callbacks are given (its opaque): whose it is. */
struct kafka_user {
    struct kafka *kafka;
    void *owner; /* a reader or share; NULL: the stream itself */
};

struct kafka {
    struct stream base;
    char *brokers; /* "H:P,H:P" */
    char *prefix;
    char *transactional_id; /* PREFIX.ROLE.INSTANCE */
    char *origin;           /* "/PREFIX/ROLE": ce_source */
    bool read_only;
    bool *missing; /* the config's; while it is opened */
    bool collects; /* role collect: shorter transactions */
    int replication;
    int64_t compact_lag_us;
    struct kafka_setting *settings; /* [setting_count]: security, then what is passed through */
    size_t setting_count;
    struct kafka_topic *topics; /* [topic_count] */
    size_t topic_count;
    struct metrics *metrics; /* borrowed; may be NULL */
    struct kafka_user user;  /* of clients that are the stream's */
    rd_kafka_t *client;
    pthread_mutex_t trouble_lock;
    char trouble[256];           /* what a client logged last, for messages; under trouble_lock */
    atomic_bool opened;          /* from here on what clients say is logged */
    _Atomic int64_t lost_us;     /* mono, when a client last said that a broker is away; 0: all
                                    answer. While it is not 0 only the first such line is logged */
    atomic_bool refused;         /* a sign-in was refused */
    atomic_uint turn;            /* partition of the next message without a key */
    struct kafka_tables *tables; /* kafka_table.c's; NULL until the first lookup */
    pthread_mutex_t tables_lock;
    struct kafka_producer producer;
    struct kafka_transaction *_Atomic kept; /* memory of the last transaction, for the next */
};

/* --- kafka.c: opening, topics by name --- */

/* Whether a URL is well formed; EAR_CONFIG. Offline. */
EAR_MUST_CHECK
int kafka_check_url(const char *url, struct ear_error *err);
void kafka_close(struct stream *stream);

struct kafka_topic *kafka_find_topic(const struct kafka *kafka, const char *name);
/* By its full name, as messages of librdkafka have it. */
struct kafka_topic *kafka_find_full(const struct kafka *kafka, const char *full);
/* EAR_CONFIG where there is none. */
EAR_MUST_CHECK
int kafka_topic_named(struct kafka_topic **out, const struct kafka *kafka, const char *name,
                      struct ear_error *err);
/* EAR_CONFIG where the topic has no such partition. */
EAR_MUST_CHECK
int kafka_check_partition(const struct kafka_topic *topic, int partition, struct ear_error *err);
/* PREFIX.GROUP; caller frees. NULL: out of memory. */
char *kafka_full_group(const struct kafka *kafka, const char *group, struct ear_error *err);

/* --- kafka_client.c: making clients, errors, logs --- */

/* Says once that the brokers answer again, when they have for a while; called about once a second.
 */
void kafka_look_back(struct kafka *kafka);

enum kafka_kind {
    KAFKA_CLIENT,   /* a consumer without a group, for questions */
    KAFKA_PRODUCER, /* transactional */
    KAFKA_MEMBER,   /* a consumer in a group; the caller sets group.id and the callback */
    KAFKA_ALONE,    /* a consumer that is assigned by hand and commits nothing */
};

/* A configuration with everything that reliability.md asks of its kind, then what is passed
 * through. NULL with err. The caller's until kafka_make. Its opaque is &kafka->user; whoever sets
 * callbacks sets a struct kafka_user of its own. */
rd_kafka_conf_t *kafka_conf(struct kafka *kafka, enum kafka_kind kind, struct ear_error *err);
EAR_MUST_CHECK
int kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct ear_error *err);
/* The value in force, as text ("transaction.timeout.ms"); 0 if it is no number. */
int64_t kafka_conf_number(const rd_kafka_conf_t *conf, const char *name);
/* Takes conf, also when it fails. */
EAR_MUST_CHECK
int kafka_make(rd_kafka_t **out, struct kafka *kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf,
               struct ear_error *err);

/* What a code of librdkafka or a broker means for the caller. */
enum ear_error_kind kafka_kind_of(rd_kafka_resp_err_t code);
/* Fills err from a code: "Kafka at H:P: DOING: …". */
int kafka_fail(struct kafka *kafka, rd_kafka_resp_err_t code, const char *doing,
               struct ear_error *err);
/* The answer to a question put to the brokers; the caller destroys it. NULL with err: none came, or
 * it is an error as a whole. */
rd_kafka_event_t *kafka_await(struct kafka *kafka, rd_kafka_queue_t *queue, const char *doing,
                              struct ear_error *err);
/* The same from an error object, which it destroys. */
int kafka_fail_error(struct kafka *kafka, rd_kafka_error_t *error, const char *doing,
                     struct ear_error *err);

/*
 * Where partitions begin (RD_KAFKA_OFFSET_BEGINNING), where what is committed ends
 * (RD_KAFKA_OFFSET_END: the last stable offset), or the first message at or after an instant
 * (milliseconds since 1970; RD_KAFKA_OFFSET_END where there is none): replaces each element's
 * offset. One request a broker. Any thread.
 */
EAR_MUST_CHECK
int kafka_offsets(struct kafka *kafka, rd_kafka_topic_partition_list_t *list, int64_t which,
                  struct ear_error *err);

/* The same for one partition: what it holds, what is committed of it. */
EAR_MUST_CHECK
int kafka_span_of(struct kafka *kafka, const struct kafka_topic *topic, int partition,
                  struct stream_span *out, struct ear_error *err);

/* Somebody says that a topic or partition is unknown. A broker that was started, or a topic that
 * was made, a moment ago may not know of the other: kafka_confirm_topics asks whether all are there
 * after all. EAR_CONFIG: one is not. */
bool kafka_unknown(rd_kafka_resp_err_t code);
EAR_MUST_CHECK
int kafka_confirm_topics(struct kafka *kafka, struct ear_error *err);

/* A list of all partitions of a topic; NULL: out of memory. */
rd_kafka_topic_partition_list_t *kafka_all_partitions(const struct kafka_topic *topic);

/* A message of librdkafka's as one of the door's: borrows from it. */
struct stream_message kafka_message(const struct kafka_topic *topic,
                                    const rd_kafka_message_t *message);

/* --- kafka_topics.c: what the broker holds --- */

/* Finds all topics, makes those that are missing, brings policies up to date. */
EAR_MUST_CHECK
int kafka_open_topics(struct kafka *kafka, struct ear_error *err);

/* --- kafka_read.c, kafka_assign.c: readers --- */

struct kafka_lane {
    struct kafka_topic *topic;
    int partition;
    int64_t next;            /* what is given out next; markers that were passed are counted */
    int64_t end;             /* where what is committed ended when it was asked last */
    bool touched;            /* given out or passed, and not moved */
    rd_kafka_queue_t *queue; /* this partition's own */
    /* Taken from a queue, not given out yet: from the client's main queue, then from its own. */
    struct kafka_held {
        rd_kafka_message_t **items; /* [KAFKA_HELD] */
        size_t first, count;
    } early, held;
};

struct kafka_reader {
    struct stream_reader base;
    struct kafka *kafka;
    struct kafka_user user;
    char *group; /* without prefix; NULL: follows without one */
    struct stream_start start;
    rd_kafka_t *client;
    rd_kafka_queue_t *events;               /* the client's main queue */
    int wake;                               /* eventfd: something came into a queue */
    rd_kafka_topic_partition_list_t *given; /* assigned by the group, not begun yet */
    struct kafka_lane *lanes;               /* [lane_count]: what it reads now */
    size_t lane_count, first;
    bool assigned; /* has begun an assignment, which may be empty */
    bool crowded;  /* more is in the main queue than lanes can hold: only what they hold is given */
    bool fenced;   /* lost partitions since the last read */
    int64_t generation;       /* counts assignments: what was read in another is void */
    struct ear_error trouble; /* reading cannot go on: until a seek, rewind or assignment */
};

/* Reads a topic's partitions from given offsets, without a group; takes nothing of `list`. */
EAR_MUST_CHECK
int kafka_reader_alone(struct kafka_reader **out, struct kafka *kafka,
                       const rd_kafka_topic_partition_list_t *list, struct ear_error *err);

/* Where the group or its owner's database says that each of `list` begins; numbers, checked against
 * what the log keeps. 1: done; 0: not known yet (a transaction is pending): ask again; -1: err. */
EAR_MUST_CHECK
int kafka_place(struct kafka_reader *reader, rd_kafka_topic_partition_list_t *list,
                struct ear_error *err);
/* Begins to read `list` at its offsets, in place of what was read before. */
EAR_MUST_CHECK
int kafka_start_lanes(struct kafka_reader *reader, const rd_kafka_topic_partition_list_t *list,
                      struct ear_error *err);
void kafka_drop_lanes(struct kafka_reader *reader);
/* Reads on elsewhere on one lane. */
EAR_MUST_CHECK
int kafka_lane_to(struct kafka_reader *reader, const struct kafka_lane *lane, int64_t offset,
                  struct ear_error *err);
struct kafka_lane *kafka_find_lane(const struct kafka_reader *reader,
                                   const struct kafka_topic *topic, int partition);
/* Says what is wrong with where a reader stands, and notes that it cannot go on. */
int kafka_fail_position(struct kafka_reader *reader, const struct kafka_topic *topic, int partition,
                        int64_t position, struct ear_error *err);
/* The callback of group members; the opaque's owner is a reader. */
void kafka_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
                     rd_kafka_topic_partition_list_t *list, void *opaque);

int kafka_subscribe(struct stream_reader **out, struct stream *stream, const char *group,
                    const char *const topics[], size_t topic_count,
                    const struct stream_start *start, struct ear_error *err);
void kafka_reader_close(struct stream_reader *base);
int kafka_seek(struct stream_reader *base, const char *name, int partition, int64_t offset,
               struct ear_error *err);
int kafka_read(struct stream_reader *base, struct stream_batch *batch, size_t max_messages,
               size_t max_bytes, int timeout_ms, struct ear_error *err);
int kafka_rewind(struct stream_reader *base, struct ear_error *err);
int64_t kafka_position(const struct stream_reader *base, const char *name, int partition);
bool kafka_is_ahead(const struct stream_reader *base);

/* --- kafka_write.c, kafka_commit.c: transactions; kafka_produce.c: the producer and the order of
 * its errors --- */

/* A message on its way; lives as long as its transaction. */
struct kafka_record {
    struct kafka_topic *topic;
    int partition;
    int64_t at_us;
    const char *key, *value; /* NULL: none, tombstone */
    size_t key_length, value_length;
    int64_t offset; /* where it was delivered; -1: nowhere yet */
};

struct kafka_chunk;

struct kafka_transaction {
    struct stream_transaction base;
    struct kafka *kafka;
    struct kafka_chunk *chunks; /* the one that is being filled first */
    struct kafka_chunk *spare;  /* empty ones, all of CHUNK_BYTES */
    size_t bytes;
    struct kafka_record *records;
    size_t record_count, record_room;
    struct kafka_reader *reader;             /* to be moved; NULL: none */
    int64_t generation;                      /* the reader's when stream_move was called */
    rd_kafka_topic_partition_list_t *places; /* where it is moved to */
    struct kafka_share *share;               /* NULL: none */
};

int kafka_begin(struct stream_transaction **out, struct stream *stream, struct ear_error *err);
int kafka_publish(struct stream_transaction *base, const char *name, const char *key,
                  size_t key_length, const char *value, size_t value_length, int64_t at_us,
                  struct ear_error *err);
int kafka_move(struct stream_transaction *base, struct stream_reader *base_reader,
               struct ear_error *err);
/* Ties a transaction to a share: kafka_share_guard checks and calls this. */
void kafka_transaction_tie(struct stream_transaction *base, struct kafka_share *share);
int kafka_commit(struct stream_transaction *base, struct ear_error *err);
void kafka_abort(struct stream_transaction *base);
void kafka_transaction_free(struct kafka_transaction *transaction); /* what was kept of one */

/* What a step of a transaction came to. */
enum kafka_verdict {
    KAFKA_DONE,
    KAFKA_SPOILT, /* abort */
    KAFKA_AGAIN,  /* the same call once more */
    KAFKA_LOST,   /* the producer is of no use any more */
};

struct kafka_step {
    rd_kafka_error_t *(*call)(rd_kafka_t *client, void *user);
    void *user;
    const char *doing;
    bool doubtful; /* an error or a delay of it makes the producer be recycled */
};

/* All under the producer's lock. A producer that may begin a transaction; -1: there is none. */
EAR_MUST_CHECK
int kafka_producer_ready(struct kafka *kafka, struct ear_error *err);
void kafka_producer_recycle(struct kafka *kafka);
/* The client's handle of a topic, as long as the client; NULL: say its name. */
rd_kafka_topic_t *kafka_producer_topic(struct kafka *kafka, const struct kafka_topic *topic);
void kafka_producer_close(struct kafka *kafka);
/* Judges one call's error, destroys it and fills err; repeats a step while it may be repeated. */
enum kafka_verdict kafka_judge(struct kafka *kafka, rd_kafka_error_t *error, const char *doing,
                               struct ear_error *err);
/* What broke the producer, where that says more than the step that met it. */
void kafka_note_broken(struct kafka *kafka, struct ear_error *err);
enum kafka_verdict kafka_insist(struct kafka *kafka, const struct kafka_step *step,
                                struct ear_error *err);
/* Waits for every report; -1: some are still out though their time is over. */
int kafka_flush(struct kafka *kafka);

/* --- kafka_share.c: sharing keys out, exactly as reliability.md says --- */

/*
 * What stream_commit needs of a share, all on the share's thread and in this order:
 * kafka_share_offsets before send_offsets: for each shared partition that `records` touch, its
 * highest offset + 1 into `list`; EAR_FENCED if one is not owned. kafka_share_metadata: the group's
 * metadata of this generation, borrowed; NULL with EAR_FENCED if there is none of use. Then either
 * kafka_share_committed (applies the records to what the share holds) or kafka_share_void (nothing
 * was committed, or it is not known: restores everything it owns anew). `twice`: the producer was
 * fenced before its time: the instance is used twice; the next stream_share_turn says so.
 */
EAR_MUST_CHECK
int kafka_share_offsets(struct kafka_share *share, const struct kafka_record records[],
                        size_t count, rd_kafka_topic_partition_list_t *list, struct ear_error *err);
const rd_kafka_consumer_group_metadata_t *kafka_share_metadata(struct kafka_share *share,
                                                               struct ear_error *err);
EAR_MUST_CHECK
int kafka_share_committed(struct kafka_share *share, const struct kafka_record records[],
                          size_t count, struct ear_error *err);
void kafka_share_void(struct kafka_share *share, bool twice);

int kafka_share_open(struct stream_share **out, struct stream *stream, const char *group,
                     const char *const tables[], size_t table_count, struct ear_error *err);
void kafka_share_close(struct stream_share *base);
int kafka_share_turn(struct stream_share *base, int timeout_ms, bool *changed,
                     struct ear_error *err);
int64_t kafka_share_owns(const struct stream_share *base, const char *key, size_t key_length);
bool kafka_share_settling(const struct stream_share *base);
int kafka_share_guard(struct stream_transaction *transaction, struct stream_share *base,
                      struct ear_error *err);

/* --- kafka_table.c: tables in memory --- */

/* After a commit of this process: what a lookup has to have read. Any thread. */
void kafka_table_note(struct kafka *kafka, const struct kafka_record records[], size_t count);
/* The highest offset that this process committed; -1: none. Any thread. */
int64_t kafka_table_noted(struct kafka *kafka, const struct kafka_topic *topic, int partition);
void kafka_tables_free(struct kafka_tables *tables);
/*
 * Before this process lets go of the log: what it committed can be read. A commit returns when its
 * end is certain, which is a moment before the partitions say so; who is started next (run --once:
 * the next role) would find nothing there. A second or two at most, and not where a broker is away.
 */
void kafka_settle_last(struct kafka *kafka);

int kafka_lookup(struct stream *stream, const char *name, const char *key, size_t key_length,
                 char **out, size_t *out_length, struct ear_error *err);
int kafka_each_latest(struct stream *stream, const char *name,
                      bool (*visit)(void *user, const struct stream_message *message), void *user,
                      struct ear_error *err);

/* --- kafka_look.c: looking without joining; kafka_group.c: groups; kafka_keep.c: keeping house ---
 */

int kafka_follow(struct stream_reader **out, struct stream *stream, const char *name,
                 int64_t from_us, struct ear_error *err);
int kafka_partitions(struct stream *stream, const char *name);
int kafka_span(struct stream *stream, const char *name, int partition, struct stream_span *out,
               struct ear_error *err);
int kafka_fetch(struct stream *stream, const char *name, int partition, int64_t offset,
                struct stream_batch *batch, struct ear_error *err);
int64_t kafka_group_position(struct stream *stream, const char *group, const char *name,
                             int partition, struct ear_error *err);
int kafka_each_group(struct stream *stream,
                     bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                   int64_t position),
                     void *user, struct ear_error *err);
int kafka_forget_group(struct stream *stream, const char *group, struct ear_error *err);
double kafka_fullness(struct stream *stream);
int kafka_maintain(struct stream *stream, int64_t now_us, bool *more, struct ear_error *err);
int kafka_compact(struct stream *stream, bool disk, int64_t *freed_bytes, struct ear_error *err);

#endif
