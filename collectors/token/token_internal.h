/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_TOKEN_TOKEN_INTERNAL_H
#define EARSHOT_COLLECTORS_TOKEN_TOKEN_INTERNAL_H

/* What token.c (who may use and who fetches), token_request.c (what is asked), token_answer.c (what
 * came) and token_file.c (what is kept) share. */

#include <sys/types.h>

#include "collectors/token/token.h"

enum {
    TOKEN_BYTES_MAX = 16 * 1024, /* of one token */
    TOKEN_KEY_SIZE = 65,         /* SHA-256 in hexadecimal digits and a NUL */
    TOKENS_MAX = 10000,
    TOKEN_FILE_BYTES = 16 * 1024 * 1024,
};

struct token {
    char key[TOKEN_KEY_SIZE]; /* of its credential */
    /* kept */
    char *text;         /* NULL: none yet */
    char *refresh;      /* NULL: none */
    int64_t got_us;     /* 0: never */
    int64_t expires_us; /* INT64_MAX: it does not say */
    int64_t used_us;
    int64_t saved_us; /* what the file says of that */
    pid_t lease_pid;  /* the process that is fetching it, until then */
    int64_t lease_us;
    /* of this process */
    const void *holder; /* who was told to fetch it; NULL: nobody, until then */
    int64_t held_us;
    enum token_step step; /* what it was told */
    bool renewing;        /* with a refresh token */
    bool dead;            /* the server did not take it */
    bool after_reject;    /* it was fetched since the one before was not taken */
    bool anew;            /* from the beginning, where that is another way */
    bool afresh;          /* the refresh token is no good: from the beginning */
    bool unsaved;         /* not to be given out before it is on the disk */
    int64_t failures;     /* in a row */
    int64_t again_us;     /* not fetched sooner */
    char *refused;        /* why the credential is not taken, until then; NULL */
    int64_t refused_us;
};

struct tokens {
    char *path; /* NULL: none */
    char *lock_path;
    struct token **items; /* [count], by key */
    size_t count, capacity;
    /* the file as it was last read or written */
    dev_t device;
    ino_t inode;
    struct timespec changed;
    /* what a turn lends */
    char *text, *body, *header;
    struct fetch_header headers[4];
};

/* --- token.c --- */

/* The token of that key, made where missing. NULL: out of memory, or too many. */
struct token *tokens_take(struct tokens *tokens, const char *key);
/* Replaces a secret, wiping what was there. False: out of memory. */
bool token_set(char **slot, const char *text, size_t length);

/* --- token_request.c --- */

/* The credential's name in the file. -1: EAR_FATAL. */
EAR_MUST_CHECK
int token_key_format(char out[TOKEN_KEY_SIZE], const struct token_key *key, struct ear_error *err);

/* Builds the OAuth request into the tokens' memory. refresh: NULL: by the credential itself. */
EAR_MUST_CHECK
int token_build(struct fetch_request *out, struct tokens *tokens, const struct token_key *key,
                const char *refresh, struct ear_error *err);

/* --- token_answer.c --- */

/* What an answer brought. Strings are the caller's to wipe and free. */
struct token_grant {
    char *text, *refresh;
    int64_t life_us; /* INT64_MAX: not said */
};

/* -1: EAR_REJECT: it holds none: the message is fit to be shown; EAR_FATAL. */
EAR_MUST_CHECK
int token_read_answer(struct token_grant *out, const struct token_key *key,
                      const struct token *token, const struct fetch_answer *answer, int64_t now_us,
                      struct ear_error *err);

/* --- token_file.c --- */

/* Takes over what another process wrote since. -1: EAR_CONFIG, EAR_FATAL. */
EAR_MUST_CHECK
int tokens_look(struct tokens *tokens, struct ear_error *err);

/* Locks the file against other processes; -1: none there to lock. EAR_RETRY: held too long. */
EAR_MUST_CHECK
int tokens_lock(struct tokens *tokens, int *lock, struct ear_error *err);
void tokens_unlock(int lock);

/* Writes all of them, under the lock. `lasting`: synced. -1: EAR_RETRY, EAR_FATAL. */
EAR_MUST_CHECK
int tokens_save(struct tokens *tokens, int64_t now_us, bool lasting, struct ear_error *err);

#endif
