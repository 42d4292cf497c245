/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_APPLY_APPLY_INTERNAL_H
#define EARSHOT_SINKS_APPLY_APPLY_INTERNAL_H

/* What the files behind apply.h share. */

#include "common/hash.h"
#include "common/message/message.h"
#include "sinks/apply/apply.h"
#include "sinks/names.h"

enum {
    /* A stranger's message never makes more rows than these allow; the rest of a list is passed
     * over. */
    POST_BRANDS_MAX = 16,
    POST_LABELS_MAX = 16,
    POST_TOUCHPOINTS_MAX = 12,
    POST_NAME_MAX = 128,  /* bytes of a brand, label, touch point, channel, language */
    COPY_POINTS_MIN = 24, /* shorter texts ("thank you") are said by many and copied by nobody */
    TOPIC_SIZE = 64,
    POSITIONS_MAX = 5 * STREAM_PARTITIONS_MAX,
    DIRTY_MAX = 4096,
    LATE_MAX = 16,
};

enum post_audience { AUDIENCE_CUSTOMERS, AUDIENCE_STAFF, AUDIENCE_OURS };

/* Short words of one kind, each once, in the order met (labels: sorted). */
struct post_names {
    const char *items[POST_BRANDS_MAX];
    size_t count;
};

/* A message of insights as the store wants it; strings lie in the arena of the message. */
struct post {
    struct hash128 hash;
    const char *id;
    int64_t version;
    bool deleted, dropped;
    const char *model, *source, *platform, *channel, *url, *author, *author_name, *title, *text;
    const char *lang, *thread, *parent;
    size_t title_length, text_length;
    struct hash128 author_hash; /* of the pseudonym, if there is one */
    int64_t person, conversation;
    int64_t created_us, edited_us, collected_us; /* INT64_MIN: not given */
    int64_t day;
    int hour;
    enum post_audience audience;
    double rating, wish, complaint, praise, sentiment; /* NaN: not given */
    const char *engagement, *flags;                    /* JSON */
    size_t engagement_length, flags_length;
    struct post_names brands, labels, touchpoints;
    const char *theme;
    int64_t fold; /* 0: too short to be a copy */
    const char *body;
    size_t body_length;
};

/* What the store holds of a post, before a message is applied. */
struct known {
    bool stored;
    int64_t row, version, day, created_us, fold;
    bool copy;
    char *model, *source, *also, *author; /* malloc'ed; NULL unless stored */
    bool gone, gone_deleted;
    int64_t gone_version;
    char *gone_model; /* malloc'ed; NULL unless gone */
    bool forgotten;
    bool decided; /* there are decisions about it */
};

struct position {
    char topic[TOPIC_SIZE];
    int partition;
    int64_t next; /* committed; -1: no row yet */
    int64_t seen; /* the last of the batch under way; -1: none */
    int64_t done; /* the last that is applied; -1: none */
};

struct dirty_day {
    int64_t day, brand;
    bool used;
};

/* A count of the batch under way; strings malloc'ed. */
struct ledger_line {
    int64_t hour_us;
    char *source, *topic, *reader; /* reader '': who writes */
    int part;
    int64_t came, went;
};

struct apply {
    struct store *store;
    struct apply_config config;
    struct names *names;
    struct message_arena *arena; /* of the message under way */
    struct json *json;           /* for what is nested */
    struct json_writer *writer;
    struct position positions[POSITIONS_MAX];
    size_t position_count;
    struct dirty_day dirty[DIRTY_MAX]; /* open addressing; of the transaction under way */
    size_t dirty_count;
    struct ledger_line *lines; /* NULL until the first */
    size_t line_count;
    const struct stream_message *late[LATE_MAX]; /* of the seeded fault reject-outside */
    size_t late_count;
    struct ear_error late_why;
    const char *seen_source; /* what the message under way says of itself, as far as it was read; */
    int64_t seen_version;    /* borrowed from the arena */
    int64_t horizon_day;     /* days before it are frozen; of the batch under way */
    int64_t now_us;
    struct apply_stats stats;  /* of the batch under way */
    struct ahead *ahead;       /* likewise */
    bool alone;                /* the batch may concern posts of any partition: it runs alone */
    int64_t row_next, row_end; /* numbers for posts: the next, and the first that is not ours */
    bool windows_kept;         /* the store knows which cells are published */
    size_t forgotten;          /* posts kept out, of the batch under way */
};

/* post.c: reads a message of insights. EAR_REJECT, a code in front: it is none. */
EAR_MUST_CHECK
int post_read(struct post *post, struct apply *apply, const char *text, size_t length,
              struct ear_error *err);

/* Sorts labels and makes each stand once. */
void post_names_sort(struct post_names *names);
/* Adds a name (borrowed), if there is room, it is short enough and not there yet. */
void post_names_add(struct post_names *names, const char *name, size_t limit);
void post_names_remove(struct post_names *names, const char *name);

/* ahead.c: what is known of the posts of a batch, asked at once; does nothing where a question
 * costs little. Answers stand until ahead_clear. */
struct ahead;
EAR_MUST_CHECK
int ahead_read(struct apply *apply, const struct stream_message messages[], size_t count,
               struct ear_error *err);
/* Gives out what was read of a post, once. False: it has to be asked. */
bool ahead_take(struct known *known, struct apply *apply, const struct hash128 *hash,
                const struct hash128 *author);
void ahead_clear(struct ahead *ahead); /* NULL does nothing, as below */
void ahead_free(struct ahead *ahead);

/* post_rows.c: a post's row and facts. */
/* From the columns of the row of an answer, from that one on. */
EAR_MUST_CHECK
int known_fill_against(struct known *known, const struct store_rows *rows, int column,
                       struct ear_error *err);
EAR_MUST_CHECK
int known_fill_stored(struct known *known, const struct store_rows *rows, int column,
                      struct ear_error *err);
EAR_MUST_CHECK
int known_load(struct known *known, struct apply *apply, const struct hash128 *hash,
               const struct hash128 *author, struct ear_error *err);
void known_clear(struct known *known);
EAR_MUST_CHECK
int rows_apply(struct apply *apply, struct post *post, struct ear_error *err);
/* Takes a post out by the hash of its id; nothing where there is none. */
EAR_MUST_CHECK
int rows_remove_hash(struct apply *apply, const struct hash128 *hash, struct ear_error *err);
/* Takes a row out; one whose author is forgotten keeps older versions out, as a drop does. */
EAR_MUST_CHECK
int rows_remove(struct apply *apply, int64_t row, bool forgotten, struct ear_error *err);
/* Writes a stored post's labels and facts anew, as decisions, time zone and copies now say. */
EAR_MUST_CHECK
int rows_refresh(struct apply *apply, int64_t row, struct ear_error *err);

/* facts.c */
EAR_MUST_CHECK
int facts_put(struct apply *apply, const struct post *post, int64_t row, const char *source,
              bool copy, struct ear_error *err);
/* Takes a post's facts of a day out and marks what they were counted in. */
EAR_MUST_CHECK
int facts_take(struct apply *apply, int64_t day, int64_t row, struct ear_error *err);
EAR_MUST_CHECK
int facts_mark(struct apply *apply, int64_t day, int64_t brand, struct ear_error *err);
EAR_MUST_CHECK
int facts_mark_post(struct apply *apply, int64_t day, int64_t row, struct ear_error *err);
/* Writes the marks of the transaction down. */
EAR_MUST_CHECK
int facts_flush(struct apply *apply, struct ear_error *err);

/* copies.c: notes that a post now says what it says; *copy (may be NULL) becomes false where it is
 * plain at once that it is none. */
EAR_MUST_CHECK
int copies_came(bool *copy, struct apply *apply, const struct post *post, struct ear_error *err);
/* Notes that a post (`but`; NULL: it is gone) no longer says what it said at an instant. */
EAR_MUST_CHECK
int copies_left(struct apply *apply, int64_t fold, int64_t created_us, const struct hash128 *but,
                struct ear_error *err);

/* apply.c: days before the horizon of an instant are frozen from here on. */
void apply_set_now(struct apply *apply, int64_t now_us);

/* ledger.c: counts for the audit. Counts an insight that was applied or set aside. */
EAR_MUST_CHECK
int ledger_insight(struct apply *apply, const struct stream_message *message,
                   struct ear_error *err);
/* Takes in what others counted. */
EAR_MUST_CHECK
int audit_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err);
/* Writes the counts of the transaction down; forgets them. */
EAR_MUST_CHECK
int ledger_flush(struct apply *apply, struct ear_error *err);
void ledger_forget(struct apply *apply);

/* coverage.c: how completely a source was listened to, out of its message on `cursors`; and letting
 * go of what is old, in a transaction of the holder. */
EAR_MUST_CHECK
int coverage_apply(struct apply *apply, const struct stream_message *message,
                   const struct ear_message *cursor, struct ear_error *err);
EAR_MUST_CHECK
int coverage_expire(struct apply *apply, struct ear_error *err);

/* decide.c: decisions, forgotten, cursors. */
EAR_MUST_CHECK
int decide_labels(struct post_names *labels, struct apply *apply, const struct hash128 *post,
                  struct ear_error *err);
EAR_MUST_CHECK
int decide_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err);
EAR_MUST_CHECK
int forget_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err);
EAR_MUST_CHECK
int source_apply(struct apply *apply, const struct stream_message *message, struct ear_error *err);

/* The number that a person or a conversation counts under: 63 bits of the hash, never 0. */
int64_t hash_number(const struct hash128 *hash);

#endif
