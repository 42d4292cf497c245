/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COMMON_SETTINGS_SETTINGS_H
#define EARSHOT_COMMON_SETTINGS_SETTINGS_H

/*
 * The whole configuration (earshot.yaml, interface.md section 2), read, checked and filled in: what
 * every role starts from. Keys are tables in tables.c. What only one role understands (a source's
 * params, a stage's options, a sink's options) stays a node that the role fills with tables of its
 * own; it does so before anything starts, and reports into settings->config, so that all findings
 * appear together. Threads: one until it is filled; then nothing changes, and any number may read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/clock.h"
#include "common/config/config.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/instant.h"
#include "common/option.h"
#include "common/stream/stream.h"

struct lockfile;
struct metrics;

/* A brand or competitor with the words that name it. */
struct settings_brand {
    const char *name;
    struct ear_strings words; /* the name itself is among them */
    bool competitor;
};

/* One of `sources:`; the keys below hold for every reader, the rest is the reader's. */
struct settings_source {
    const char *name; /* unique */
    const char
        *use; /* "feed", "file", or a definition's name; the collector knows which there are */
    const char *channel;  /* NULL: the reader's own */
    const char *about;    /* NULL: none; a name among brands */
    const char *lang;     /* hint; NULL */
    const char *audience; /* "public" or "internal" */
    const char *zone;     /* NULL: the configuration's timezone */
    struct ear_strings tags;
    int64_t every_us;
    int64_t fresh_us;   /* how old a post may be on arrival; 0: not said */
    int64_t history_us; /* INT64_MAX: all; 0: none */
    double threshold_wish, threshold_complaint, threshold_praise; /* -1: the stage's */
    const struct config_node *node;                               /* for the reader's own keys */
};

/* One stage of a chain. */
struct settings_stage {
    const char *name;               /* "classify" */
    const struct config_node *node; /* its options; NULL: none given */
    const struct config_node *at;   /* where it stands, for findings; NULL: the default chain */
};

struct settings_processor {
    const char *name, *from, *to;   /* name unique; its group is process.NAME */
    const struct config_node *node; /* NULL: the default chain */
    struct settings_stage *stages;  /* [stage_count] */
    size_t stage_count;
    int64_t batch_messages;
    int64_t batch_wait_us;
};

struct settings {
    struct config *config;         /* the documents and all findings; freed with the settings */
    const char *path;              /* of the configuration; NULL: none */
    const char *base_dir;          /* relative paths start here (absolute) */
    const char *data_dir;          /* absolute */
    const char *share_dir;         /* absolute */
    struct settings_brand *brands; /* [brand_count] brands and competitors */
    size_t brand_count;
    struct settings_source *sources;
    size_t source_count;
    const struct config_node *const *definitions; /* [definition_count] documents of `include:` that
                                                     begin with `platform:`: the collector's */
    size_t definition_count;
    bool is_definition; /* the file itself is one, and nothing else: to be checked, not to be run */
    struct settings_processor *processors; /* at least one: the default chain */
    size_t processor_count;
    const struct config_node *sinks; /* NULL: the SQLite store and the trend feed */
    const char *stream_url;          /* local:DATA/log by default */
    int64_t stream_size_bytes;
    int64_t compact_lag_us;
    int stream_replication;      /* Kafka: of topics that are made; 0: the broker's */
    const char *stream_instance; /* Kafka: as configured; NULL: made from host and data */
    struct stream_security stream_security;
    const struct stream_option *stream_options; /* [stream_option_count] */
    size_t stream_option_count;
    struct stream_topic
        topics[20]; /* [topic_count], with the policies of architecture.md as configured */
    size_t topic_count;
    const struct config_node *ingest_node;  /* the section `ingest:`; NULL: none */
    const char *ingest_listen;              /* NULL: nothing is sent to us */
    const char *ingest_token;               /* NULL: none, so only forms take something in */
    struct ear_strings ingest_proxies;      /* addresses whose X-Forwarded-For is believed */
    const struct config_node *ingest_forms; /* by name; collectors/ingest reads them. NULL: none */
    const char *metrics_listen; /* NULL: none; $EARSHOT_METRICS wins (run: a port for each role) */
    struct ear_strings network_allow;
    const char *timezone;
    struct zone *zone; /* of timezone */
    struct ear_strings ours,
        staff; /* accounts, as written: "reddit:AcmeHelp", "@acme@mastodon.example" */
    const struct config_node *same; /* accounts.same */
    bool author_names;
    const char *author_key_path; /* DATA/author.key by default */
    int64_t horizon_us;
    void *memory; /* what was made here rather than read; the settings' own */
};

/* The common keys of a source, NULL-ended: what a reader passes over (`extra` of config_fill) when
 * it fills its own table from source->node. */
extern const char *const settings_source_keys[];

/* Whether a key of this name holds a secret, wherever it stands. */
bool settings_names_secret(const char *key);

/*
 * Reads and checks. `path` NULL: no configuration, the defaults hold (data: ./earshot.data).
 * data_dir NULL: $EARSHOT_DATA, else as configured; else it wins (run --demo hands it on so).
 * Returns 0 with settings also when there are findings of severity error: ask
 * config_errors(settings->config). -1 with EAR_FATAL. Caller frees with settings_free.
 */
EAR_MUST_CHECK
int settings_load(struct settings **out, const char *path, const char *data_dir,
                  const char *share_dir, struct ear_error *err);
void settings_free(struct settings *settings);

/* For whoever needs a configuration: EAR_CONFIG where the file is a definition. */
EAR_MUST_CHECK
int settings_refuse_definition(const struct settings *settings, struct ear_error *err);

/* --config, $EARSHOT_CONFIG, ./earshot.yaml, /etc/earshot/earshot.yaml: the first that is named or
 * exists; NULL: none. Caller frees. */
char *settings_find(const char *given);

/* `path` from where the configuration lies (absolute stays); caller frees. NULL: out of memory. */
char *settings_path(const struct settings *settings, const char *path);

/* DATA/run, where the roles' lock files lie; written to out. */
const char *settings_run_dir(const struct settings *settings, char *out, size_t size);

/* How old the message of a source on `cursors` may get while it is asked and nothing happens: the
 * collector writes by it, `earshot status` reads by it. */
#define SETTINGS_STANDING_FRESH_US (60 * INT64_C(1000000))

/* Whether the log is Kafka's: then several processes of a role share the work. */
bool settings_on_kafka(const struct settings *settings);

/*
 * A process of a role: its lock in DATA/run. On the local log there is one, ROLE.lock, and who
 * comes second is told who the first is (EAR_RETRY). On Kafka a process takes the first that is
 * free of ROLE.lock, ROLE-1.lock, …; the number is part of its instance, so that a process that is
 * started again takes over what its dead predecessor left open.
 */
struct settings_role {
    const char *name; /* "collect"; borrowed */
    int index;
    struct lockfile *lock;
};

enum { SETTINGS_ROLE_MAX = 64 }; /* processes of a role on one machine, for one data folder */

EAR_MUST_CHECK
int settings_role_open(struct settings_role *out, const struct settings *settings, const char *name,
                       struct ear_error *err);
void settings_role_close(struct settings_role *role);

/* How many roles there are: `earshot run` gives each a port for its metrics beside the others'. */
enum { SETTINGS_ROLE_KINDS = 4 };

/*
 * Where this process serves its metrics: metrics_listen for the first of a role,
 * SETTINGS_ROLE_KINDS ports above that for each further one in the data folder. Port 0 stays (any
 * free one). Written to out, or NULL: nowhere.
 */
const char *settings_role_listen(const struct settings *settings, const struct settings_role *role,
                                 char *out, size_t size);

/* The pid of a process that is a role here now, or 0. */
pid_t settings_role_holder(const struct settings *settings, const char *name);

/* The same of the one with this index, below SETTINGS_ROLE_MAX. *fell: the pid is of one that does
 * not run and was not stopped either (killed, crashed), and that none took the place of yet. */
pid_t settings_role_process(const struct settings *settings, const char *name, int index,
                            bool *fell);

/*
 * Opens the configured stream with all topics. Makes the data folder where it is missing, unless
 * read_only. settings_open_stream is for commands; a role says who it is, and where the stream's
 * metrics go (borrowed, NULL: nowhere).
 */
EAR_MUST_CHECK
int settings_open_stream(struct stream **out, const struct settings *settings, bool read_only,
                         struct ear_error *err);
/* Read only; *missing: it failed since there is no log yet, rather than that it does not answer. */
EAR_MUST_CHECK
int settings_look_stream(struct stream **out, const struct settings *settings, bool *missing,
                         struct ear_error *err);
EAR_MUST_CHECK
int settings_open_role_stream(struct stream **out, const struct settings *settings,
                              const struct settings_role *role, struct metrics *metrics,
                              struct ear_error *err);

/*
 * Prints findings in the order of their places: one a line, FILE:LINE:COL KEY: TEXT, to stderr, or
 * NDJSON {"file","line","column","key","severity","text"} to stdout. Returns how many are errors.
 */
size_t settings_print_findings(const struct settings *settings, bool json);

/* The same for one finding on stderr: an event with the fields "place" and "key" where the log was
 * asked to be JSON, plain text otherwise. */
void settings_tell_finding(const struct config_finding *finding);

#endif
