/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_SOURCE_H
#define EARSHOT_COLLECTORS_SOURCE_H

/*
 * What every reader is (feed, file, and the definition engine later): a poll that goes step by
 * step. The collector begins a poll with the cursor of the last one, then steps it; a step emits
 * records, sets the cursor as it then stands, and says what next: fetch this, go on, or done. After
 * each step the collector publishes what was emitted, what was thereby seen and the cursor in one
 * transaction, so a crash between two steps loses and doubles nothing.
 *
 * A reader decides nothing about ids, pseudonyms, versions, duplicates, retries or time: it says
 * what the server said. It never blocks: pages come from the fetcher, files are read a bounded
 * piece a step. Threads: one at a time per poll.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/fetch/fetch.h"
#include "common/error.h"
#include "common/option.h"

struct config;
struct config_node;
struct settings;
struct settings_source;
struct tokens;

enum source_format { SOURCE_PLAIN, SOURCE_HTML };

/*
 * One item as the server has it. Strings are borrowed for the call, any bytes (mended and
 * normalised by the collector); NULL: not given. Titles are HTML where the text is.
 */
struct source_record {
    const char *native_id; /* stable within host; required */
    const char *host;      /* of the post id; NULL: the source's own */
    const char *platform;  /* of the post id; NULL: the reader's name */
    const char *channel;   /* NULL: the source's, else the reader's */
    const char *url, *title, *text;
    size_t text_length;
    enum source_format format;
    const char *author_id, *author_name; /* handle as the platform writes it */
    const char *lang;
    const char *thread, *parent;           /* native ids */
    int64_t created_us, edited_us;         /* INT64_MIN: not given or not understood */
    bool deleted;                          /* confirmed gone: only native_id counts */
    double rating;                         /* 0..1; below 0: none */
    int64_t likes, replies, shares, views; /* below 0: none */
    bool time_unread;                      /* a time was given that could not be read */
    bool just_written; /* where created_us is not given: it is written as it comes (a form) */
    bool repaired;     /* its bytes were mended by the reader already: flag text_repaired */
    const char *extra; /* JSON members of its own, `"x_stars":4,…`, without braces; NULL: none */
};

/* Where a step puts what it found. The functions are the collector's (or probe's, or a test's). -1
 * stops the step: pass err up. */
struct source_output {
    void *user;
    int (*emit)(void *user, const struct source_record *record, struct ear_error *err);
    /* An item that will never do: where ("line 14", "entry 3"), code ("bad_json"), reason, its
     * bytes. */
    int (*reject)(void *user, const char *item, const char *code, const char *reason,
                  const char *bytes, size_t length, struct ear_error *err);
    /* The cursor as it stands after what was emitted so far: a JSON object; opaque to the
     * collector. Last one of a step wins. */
    int (*cursor)(void *user, const char *json, size_t length, struct ear_error *err);
    /*
     * Posts of the source may be missing for good between two instants, through nobody's mistake: a
     * walk met the limit of its pages before it met what was read before, or the head of what the
     * server still has is younger than the cursor. from_us: what was read before reaches up to
     * here; INT64_MIN: unknown; to_us: what was read now begins here. why: a sentence ("10 pages
     * are all that the server gives"). NULL: nobody keeps the books; then the reader goes on.
     */
    int (*gap)(void *user, int64_t from_us, int64_t to_us, const char *why, struct ear_error *err);
    /*
     * What the source is told to look for and what its server says do not fit together, at this
     * place of it ("children/1"): nothing fails of it, and posts are missing all the same. text: a
     * sentence with the cure, the place in front; NULL: it fits there now. NULL: nobody listens.
     */
    int (*misfit)(void *user, const char *where, const char *text, struct ear_error *err);
    /* What came, for who watches (probe): "page 2: 20 records". NULL: nobody does. */
    void (*came)(void *user, const char *what);
    /* Whether an item of this step was refused, by the reader or by what emit leads to; it may be
     * taken another time. NULL: it is not known. */
    bool (*refused)(void *user);
};

enum source_next {
    SOURCE_DONE,  /* the poll is over: head reached */
    SOURCE_FETCH, /* hand turn->request to the fetcher, step again with its answer */
    SOURCE_MORE,  /* commit, then step again */
    SOURCE_LATER, /* the poll ends here through nobody's fault (a budget is spent, a token is on its
                     way), and goes on in turn->wait_us; turn->why says what for */
    SOURCE_JUDGE, /* the answer in hand is no page, and the reader has nothing to say of it: the
                     collector decides as of one that was not asked for with any_status */
};

/* What a step says. All zero before it. */
struct source_turn {
    enum source_next next;
    struct fetch_request request; /* SOURCE_FETCH; strings live until the next step. Where its
                                     budget is spent for longer than FETCH_WAIT_MAX_US, the
                                     collector makes this a SOURCE_LATER by itself: it asks before
                                     it commits the step, so the cursor must stand where the request
                                     is still to be made */
    bool any_status; /* SOURCE_FETCH: hand the answer over though it is no page (429, 5xx, none,
                        401, 404); else the collector judges it by itself */
    int64_t wait_us; /* SOURCE_LATER, and where a step failed with EAR_RETRY: not sooner again; 0:
                        as the schedule has it */
    const char *why; /* SOURCE_LATER: a sentence; lives until the next step */
};

/* What a poll begins with. Borrowed until end. */
struct source_poll {
    const struct settings *settings;
    const struct settings_source *source;
    const void *config; /* filled from the reader's options */
    const void *self;   /* the reader's own: source_reader.self */
    const char *cursor; /* JSON object of the last step committed; NULL: first sight */
    size_t cursor_length;
    int64_t now_us;
    bool probe;            /* show what is there now: ignore the cursor, few pages */
    int64_t probe_pages;   /* so many; 0: one */
    struct fetch *fetch;   /* to tell what an answer says of its budget; never to ask by */
    struct tokens *tokens; /* of all sources' credentials (collectors/token) */
    /*
     * 0: an ordinary poll. Otherwise one that walks into the past: each list that is paged back is
     * walked from its head to this instant (µs), whatever was read before. How far it has come goes
     * into the cursor with each page, beside what ordinary polls go on from, which it leaves as it
     * is: the collector may end it between any two steps (an ordinary poll is due, or we are
     * killed) and begins it anew later with the same instant; it then goes on where it was.
     * SOURCE_DONE: all lists have come to that instant or to their end, and the cursor set with
     * that step holds nothing of the walk any more, so that the next one begins at the head; so
     * does one to another instant than the cursor speaks of (the last was stopped). A reader that
     * always takes everything does what it always does.
     */
    int64_t backfill_since_us;
};

struct source_reader {
    const void *self;    /* what begin and check get of it (a definition); may be NULL */
    const char *name;    /* what `use:` says; platform of its ids */
    const char *about;   /* one line */
    const char *channel; /* default */
    const char *example; /* a configuration to start from, YAML; NULL: a definition's is made */
    const struct ear_option *options; /* the reader's own keys of a source */
    size_t config_size;
    /* Checks what a table cannot say; adds findings. May be absent. */
    void (*check)(struct config *config, const struct settings_source *source,
                  const void *reader_config);
    /* The path or pattern of the files it reads: a change there is worth a poll
     * (collectors/watch.h). Borrowed from the config; NULL, or absent: none. */
    const char *(*watches)(const void *reader_config);
    int (*begin)(void **out, const struct source_poll *poll, struct ear_error *err);
    /*
     * One step. `answer` is NULL at first and after SOURCE_MORE. -1: the poll failed: EAR_RETRY
     * (ask again later), EAR_REJECT (page useless: code in front), EAR_CONFIG (red: code in front).
     * What it emitted is dropped then; a cursor that it set is kept if it emitted nothing. So it is
     * with SOURCE_JUDGE.
     */
    int (*step)(void *state, const struct fetch_answer *answer, const struct source_output *output,
                struct source_turn *turn, struct ear_error *err);
    void (*end)(void *state);
};

/* All readers, NULL-ended: source_readers.c. */
extern const struct source_reader *const source_readers[];
const struct source_reader *source_reader_find(const char *name); /* NULL: none */

#endif
