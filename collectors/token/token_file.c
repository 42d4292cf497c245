/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens between runs, and between processes: one JSON file of mode 0600, replaced as a whole under
 * a lock of its own. Whoever is about to write reads first what another wrote since; of two tokens
 * of one credential the younger is kept. A process that fetches a token leaves a lease there, so
 * that no other spends the same refresh token at the same time; the lease of a process that is gone
 * counts for nothing.
 *
 *     {"version":1,"tokens":[{"key":SHA-256 of the credential,"token":…,"refresh":…,"got":µs,
 *                             "expires":µs,"used":µs,"lease_pid":…,"lease":µs}]}
 */

#include "collectors/token/token_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "collectors/private_file.h"
#include "common/clock.h"
#include "common/json/json.h"

enum { LOCK_TRIES = 200, LOCK_PAUSE_NS = 5000000 };

#define UNUSED_US (90 * CLOCK_DAY_US) /* then a token that can be fetched again is dropped */
#define UNUSED_REFRESH_US (400 * CLOCK_DAY_US) /* and one that only a person can give back */

/* --- reading --- */

static bool take_text(char **slot, const struct json_node *node)
{
    size_t length = 0;
    const char *text = json_string(node, &length);

    return token_set(slot, length > TOKEN_BYTES_MAX ? NULL : text,
                     length > TOKEN_BYTES_MAX ? 0 : length);
}

static int read_token(struct tokens *tokens, const struct json_node *node, struct ear_error *err)
{
    const char *key = json_string(json_get(node, "key"), NULL);
    struct token *token = NULL;
    int64_t got_us = 0;
    int64_t used_us = 0;
    int64_t pid = 0;

    if (key == NULL || strlen(key) != TOKEN_KEY_SIZE - 1) {
        return 0;
    }
    token = tokens_take(tokens, key);
    if (token == NULL) {
        return ear_fail_memory(err, "a token");
    }
    token->lease_pid = 0;
    if (json_integer(json_get(node, "lease_pid"), &pid) && pid > 0 &&
        json_integer(json_get(node, "lease"), &token->lease_us)) {
        token->lease_pid = (pid_t)pid;
    }
    if (!json_integer(json_get(node, "got"), &got_us) || token->unsaved || got_us < token->got_us) {
        return 0;
    }
    if (json_integer(json_get(node, "used"), &used_us)) {
        token->saved_us = used_us;
        token->used_us = used_us > token->used_us ? used_us : token->used_us;
    }
    if (got_us == token->got_us) {
        return 0; /* ours; another process may have used it */
    }
    if (!take_text(&token->text, json_get(node, "token")) ||
        !take_text(&token->refresh, json_get(node, "refresh"))) {
        return ear_fail_memory(err, "a token");
    }
    token->got_us = got_us;
    token->expires_us = INT64_MAX;
    (void)json_integer(json_get(node, "expires"), &token->expires_us);
    token->dead = false;
    token->after_reject = false;
    token->afresh = false;
    return 0;
}

/* Notes which file it is. False: as it was. */
static bool is_another(struct tokens *tokens, const struct stat *status)
{
    const bool another = status->st_dev != tokens->device || status->st_ino != tokens->inode ||
                         status->st_mtim.tv_sec != tokens->changed.tv_sec ||
                         status->st_mtim.tv_nsec != tokens->changed.tv_nsec;

    tokens->device = status->st_dev;
    tokens->inode = status->st_ino;
    tokens->changed = status->st_mtim;
    return another;
}

int tokens_look(struct tokens *tokens, struct ear_error *err)
{
    struct json *json = NULL;
    const struct json_node *root = NULL;
    const struct json_node *each = NULL;
    struct stat status;
    char *text = NULL;
    size_t length = 0;
    int64_t version = 0;
    int result = -1;

    if (tokens->path == NULL || stat(tokens->path, &status) != 0 || !is_another(tokens, &status)) {
        return 0;
    }
    if (private_file_read(&text, &length, tokens->path, TOKEN_FILE_BYTES, true, err) != 0) {
        goto done;
    }
    if (text == NULL) {
        result = 0;
        goto done;
    }
    if (json_new(&json, err) != 0) {
        goto done;
    }
    root = json_read(json, text, length, &json_limits_default, err);
    if (root == NULL || !json_integer(json_get(root, "version"), &version) || version != 1) {
        if (err->kind != EAR_FATAL) { /* what is wrong is not said: it might quote a token */
            ear_fail(err, EAR_CONFIG,
                     "%s is not understood; was it written by a newer version? Put it back from "
                     "the backup, or remove it (sources with a refresh token need a new one then)",
                     tokens->path);
        }
        goto done;
    }
    for (each = json_first(json_get(root, "tokens")); each != NULL; each = json_next(each)) {
        if (read_token(tokens, each, err) != 0) {
            goto done;
        }
    }
    result = 0;

done:
    if (result != 0) {
        tokens->inode = 0; /* to be read again */
    }
    if (text != NULL) {
        explicit_bzero(text, length);
    }
    free(text);
    json_free(json);
    return result;
}

/* --- the lock --- */

int tokens_lock(struct tokens *tokens, int *lock, struct ear_error *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
    struct flock whole = {0};
    int file = -1;

    *lock = -1;
    if (tokens->path == NULL) {
        return 0;
    }
    if (private_file_make_folder(tokens->lock_path, err) != 0) {
        return -1;
    }
    file = open(tokens->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        return ear_fail(err, EAR_RETRY, "cannot open %s: %s; make its folder writable",
                        tokens->lock_path, strerrordesc_np(errno));
    }
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (fcntl(file, F_OFD_SETLK, &whole) == 0) {
            *lock = file;
            return 0;
        }
        if (errno != EAGAIN && errno != EACCES) {
            break;
        }
        (void)nanosleep(&pause, NULL); /* others hold it for a write and a sync */
    }
    close(file);
    return ear_fail(err, EAR_RETRY, "cannot lock %s: %s", tokens->lock_path,
                    strerrordesc_np(errno));
}

void tokens_unlock(int lock)
{
    if (lock >= 0) {
        close(lock);
    }
}

/* --- writing --- */

static bool is_leased(const struct token *token, int64_t now_us)
{
    return token->lease_pid > 0 && token->lease_us > now_us;
}

static bool is_kept(const struct token *token, int64_t now_us)
{
    const int64_t unused_us = now_us - token->used_us;

    return (token->text != NULL || token->refresh != NULL)
               ? unused_us < (token->refresh == NULL ? UNUSED_US : UNUSED_REFRESH_US)
               : is_leased(token, now_us);
}

static void write_token(struct json_writer *writer, const struct token *token, int64_t now_us)
{
    json_write_object(writer);
    json_member_string(writer, "key", token->key);
    json_member_string(writer, "token", token->text);
    json_member_string(writer, "refresh", token->refresh);
    if (token->got_us > 0) {
        json_member_integer(writer, "got", token->got_us);
        json_member_integer(writer, "used", token->used_us);
    }
    if (token->expires_us != INT64_MAX) {
        json_member_integer(writer, "expires", token->expires_us);
    }
    if (is_leased(token, now_us)) {
        json_member_integer(writer, "lease_pid", token->lease_pid);
        json_member_integer(writer, "lease", token->lease_us);
    }
    json_write_object_end(writer);
}

int tokens_save(struct tokens *tokens, int64_t now_us, bool lasting, struct ear_error *err)
{
    struct json_writer *writer = NULL;
    struct stat status;
    const char *text = NULL;
    size_t length = 0;
    int result = -1;

    if (tokens->path == NULL) {
        return 0;
    }
    if (json_writer_new(&writer, TOKEN_FILE_BYTES, err) != 0) {
        return -1;
    }
    json_write_object(writer);
    json_member_integer(writer, "version", 1);
    json_write_key(writer, "tokens");
    json_write_array(writer);
    for (size_t i = 0; i < tokens->count; i++) {
        if (is_kept(tokens->items[i], now_us)) {
            write_token(writer, tokens->items[i], now_us);
            tokens->items[i]->saved_us = tokens->items[i]->used_us;
        }
    }
    json_write_array_end(writer);
    json_write_object_end(writer);
    text = json_writer_text(writer, &length, err);
    if (text != NULL) {
        result = private_file_write(tokens->path, text, length, lasting, err);
    } else if (err->kind == EAR_REJECT) {
        err->kind = EAR_RETRY; /* larger than is read back */
    }
    if (result == 0 && stat(tokens->path, &status) == 0) {
        (void)is_another(tokens, &status);
    }
    json_writer_free(writer);
    return result;
}
